"""Names in a table stay names: no formula in a spreadsheet, no markup in Markdown."""

from __future__ import annotations

import csv
import io

from hwsim.io.tables import csv_text, markdown, markdown_table


def test_a_spreadsheet_runs_nothing() -> None:
    text = csv_text(["=head", "n"], [["=cmd()", -1.5], ["+1", 2], ["@x", 3], ["a,b\nc", None], ["ok", "-2"]])
    read = list(csv.reader(io.StringIO(text)))
    assert read == [["'=head", "n"], ["'=cmd()", "-1.5"], ["'+1", "2"], ["'@x", "3"], ["a,b\nc", ""], ["ok", "'-2"]]


def test_markdown_shows_what_stands_there() -> None:
    assert markdown("<img src=x> | a_b*c\n# d & `e`") == "&lt;img src=x&gt; \\| a\\_b\\*c \\# d &amp; \\`e\\`"
    lines = markdown_table(["a|b", "n"], [["x|y", "1"]], "lr")
    assert lines == ["| a\\|b | n |", "| --- | ---: |", "| x\\|y | 1 |"]
