"""``hwsim report``: results written before -> a page, JSON, CSV or Markdown."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

import click

from hwsim.cli.common import console, json_option
from hwsim.errors import DataError

if TYPE_CHECKING:
    from hwsim.report import Comparison


@click.command(
    "report",
    short_help="Reports.",
    epilog="Examples: hwsim report reports/demo/run.json -o demo.html -o demo.csv; "
    "hwsim report --compare before/run.json after/run.json",
)
@click.argument("runs", nargs=-1, required=True, metavar="RUN...")
@click.option(
    "-o", "--out", "outs", multiple=True, metavar="FILE", help="Where to: .html, .json, .csv or .md; repeatable."
)
@click.option("--compare", is_flag=True, help="Say what changed from the first of two runs to the second.")
@json_option
def command(runs: tuple[str, ...], outs: tuple[str, ...], compare: bool, as_json: bool) -> None:
    """Write reports from RUN: a run.json (or its folder) that hwsim emulate wrote.

    Several runs of one network on the same data become one comparison. Without -o: report.html beside the first run.
    With --compare, two runs of whatever kind: change.html beside the second.
    """
    from hwsim.report import SUFFIXES, dumps, read, write_report

    files = [_file(run) for run in runs]
    if compare:
        _compare(files, outs, as_json)
        return
    paths = [Path(out) for out in outs] or ([] if as_json else [files[0].with_name("report.html")])
    for path in paths:
        if path.suffix.lower() not in SUFFIXES:
            raise DataError(f"expected a file of type {', '.join(SUFFIXES)}, found {path.name!r}", where=str(path))
    comparison = _joined([read(file) for file in files], files)
    for path in paths:
        write_report(comparison, path)
    if as_json:
        click.echo(dumps(comparison), nl=False)
    else:
        for path in paths:
            click.echo(str(path))


def _compare(files: list[Path], outs: tuple[str, ...], as_json: bool) -> None:
    from hwsim.report import change_json, compare_runs, print_change, read, write_change

    if len(files) != 2:
        raise click.UsageError(f"--compare takes two runs, found {len(files)}")
    paths = [Path(out) for out in outs] or ([] if as_json else [files[1].with_name("change.html")])
    for path in paths:
        if path.suffix.lower() not in (".html", ".json"):
            raise DataError(f"expected a file of type .html, .json, found {path.name!r}", where=str(path))
    change = compare_runs(*(read(file) for file in files))
    for path in paths:
        write_change(change, path)
    if as_json:
        click.echo(change_json(change), nl=False)
        return
    print_change(change, console())
    for path in paths:
        click.echo(str(path))


def _file(run: str) -> Path:
    path = Path(run)
    return path / "run.json" if path.is_dir() else path


def _joined(comparisons: list[Comparison], files: list[Path]) -> Comparison:
    """One comparison of all targets.

    Raises:
        DataError: different networks or data, or the same target twice.
    """
    from dataclasses import replace

    first = comparisons[0]
    for other, file in zip(comparisons[1:], files[1:], strict=True):
        for what in ("model", "data", "n"):
            here, there = getattr(first, what), getattr(other, what)
            if here != there:
                raise DataError(f"expected {what} {here!r} as in {files[0]}, found {there!r}", where=str(file))
    if len(comparisons) == 1:
        return first
    results = tuple(result for each in comparisons for result in each.results)
    hashes = {key: value for each in comparisons for key, value in each.hashes.items()}
    notes = tuple(dict.fromkeys(note for each in comparisons for note in each.notes))
    name = first.title.rpartition(" on ")[0] or first.model
    return replace(
        first,
        title=f"{name} on {len(results)} chips",
        results=results,
        hashes=hashes,
        notes=notes,
        command="; ".join(each.command for each in comparisons),
    )
