"""The report says passed only where something was compared and nothing differed; bad arguments are refused."""

from __future__ import annotations

import json
from dataclasses import FrozenInstanceError, replace

import pytest

from hwsim.errors import DataError, UnitError
from hwsim.verify import CheckRow, VerifyReport, verify_rtl
from tests.oracles import need_tool

GOOD = CheckRow("random_tiles", "hwsim.rtl.int4", 256, 0, 1, 0, 0.5, 62)
REPORT = VerifyReport("hwsim.rtl.int4", "icarus", 16, 16, 16, 1, 0, (), (GOOD,))


def test_what_counts_as_passed() -> None:
    assert REPORT.passed
    assert not replace(REPORT, rows=()).passed
    for bad in ({"mismatches": 1}, {"cycle_mismatches": 1}, {"compared": 0}):
        assert not replace(REPORT, rows=(GOOD, replace(GOOD, **bad))).passed
    with pytest.raises(FrozenInstanceError):
        GOOD.mismatches = 1  # type: ignore[misc]


def test_json_says_what_the_report_says() -> None:
    bad = replace(GOOD, mismatches=2, first_mismatch="c=0, a=1 x w=1: expected 1, got 2", wave_file="w.fst")
    read = json.loads(replace(REPORT, rows=(GOOD, bad)).to_json())
    assert read["passed"] is False
    assert [row["passed"] for row in read["rows"]] == [True, False]
    assert read["rows"][1]["first_mismatch"].endswith("expected 1, got 2")
    assert (read["unit"], read["seed"], read["array_rows"]) == ("hwsim.rtl.int4", 0, 16)


def test_rows_are_told_as_they_come() -> None:
    need_tool("iverilog", "sudo apt-get install iverilog")
    seen: list[CheckRow] = []
    report = verify_rtl(tiles=2, rows=2, cols=2, m=2, checks=["random_tiles", "gaps"], on_check=seen.append)
    assert tuple(seen) == report.rows
    assert [row.check for row in seen] == ["random_tiles", "gaps"]


@pytest.mark.parametrize(
    ("arguments", "error", "message"),
    [
        ({"unit": "hwsim.rtl.int44"}, UnitError, "did you mean 'hwsim.rtl.int4'"),
        ({"checks": ["random_tile"]}, DataError, "unknown check 'random_tile' .did you mean 'random_tiles'"),
        ({"checks": []}, DataError, "at least one check"),
        ({"tiles": 0}, DataError, "tiles must be 1 or more, not 0"),
        ({"rows": -1}, DataError, "rows must be 1 or more, not -1"),
        ({"waves": "sometimes"}, DataError, "waves 'on_failure' or 'never'"),
    ],
)
def test_arguments_out_of_range(arguments: dict[str, object], error: type[Exception], message: str) -> None:
    with pytest.raises(error, match=message):
        verify_rtl(**arguments)  # type: ignore[arg-type]
