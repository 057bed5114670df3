"""What the verbs share: output for people or machines, tables, checks before long work, progress on stderr."""

from __future__ import annotations

import math
import os
import sys
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from hwsim.errors import DataError

if TYPE_CHECKING:
    from rich.console import Console

json_option = click.option("--json", "as_json", is_flag=True, help="Print JSON on stdout, for machines.")
targets_option = click.option(
    "--target", "targets", multiple=True, required=True, metavar="T", help="Chip: a name or a .yaml file; repeatable."
)
precision_option = click.option(
    "--precision", metavar="P", help="A mode that every target has; default: each target's own default."
)

Progress = Callable[[str, int, int], None]
"""Called with (stage, done, total) while a verb works."""


def emit_json(schema: str, body: Mapping[str, Any]) -> None:
    """One JSON document on stdout; not-a-number and infinities become null, as JSON has no word for them."""
    import json

    click.echo(json.dumps({"schema": schema, **_plain(body)}, indent=1, ensure_ascii=False, allow_nan=False))


def _plain(value: Any) -> Any:
    if isinstance(value, Mapping):
        return {str(key): _plain(item) for key, item in value.items()}
    if isinstance(value, list | tuple | set | frozenset):
        return [_plain(item) for item in value]
    if isinstance(value, bool) or value is None or isinstance(value, str):
        return value
    if hasattr(value, "__index__"):
        return int(value)
    number = float(value)
    return number if math.isfinite(number) else None


def table(header: Sequence[str], rows: Sequence[Sequence[str]], *, right: Sequence[int] = (), indent: str = "") -> str:
    """Aligned columns as plain text; ``right`` are the columns aligned right. Nothing is cut."""
    lines = [tuple(header), *(tuple(row) for row in rows)]
    widths = [max(len(line[at]) for line in lines) for at in range(len(header))]
    out = []
    for number, line in enumerate(lines):
        cells = [
            cell.rjust(width) if at in right else cell.ljust(width)
            for at, (cell, width) in enumerate(zip(line, widths, strict=True))
        ]
        out.append(indent + "  ".join(cells).rstrip())
        if number == 0:
            out.append(indent + "  ".join("-" * width for width in widths))
    return "\n".join(out)


def facts(pairs: Sequence[tuple[str, str]]) -> str:
    """``label  text`` lines, labels padded, empty texts left out, long texts wrapped under themselves."""
    import textwrap

    pairs = [pair for pair in pairs if pair[1]]
    width = max((len(label) for label, _ in pairs), default=0)
    lines = []
    for label, text in pairs:
        wrapped = textwrap.wrap(text, 100 - width, break_long_words=False, break_on_hyphens=False) or [""]
        lines.append(f"{label.ljust(width)}  {wrapped[0]}")
        lines += [f"{'':{width}}  {more}" for more in wrapped[1:]]
    return "\n".join(lines)


def plain(text: str) -> str:
    """A number from ``report.humanise`` with ordinary spaces, for a terminal's columns."""
    return text.replace("\u202f", " ")


def writable_folder(folder: str | os.PathLike[str]) -> Path:
    """Make sure, before the long work, that results can be written to ``folder``; it is made if it is not there.

    Raises:
        DataError: it cannot be made or written to, or is a file.
    """
    path = Path(folder)
    try:
        path.mkdir(parents=True, exist_ok=True)
    except FileExistsError:
        raise DataError("expected a folder, found a file", where=str(path)) from None
    except OSError as error:
        raise DataError(f"cannot be made: {error.strerror}", where=str(path)) from None
    if not os.access(path, os.W_OK | os.X_OK):
        raise DataError("cannot be written to", where=str(path))
    return path


def console() -> Console:
    """Where rich tables go: as wide as the terminal, or wide enough for any table in a file or a pipe."""
    from rich.console import Console

    class Quiet(Console):
        """Leaves a closed pipe to the command line, which ends by it as other programs do."""

        def on_broken_pipe(self) -> None:
            raise BrokenPipeError

    return Quiet(width=None if sys.stdout.isatty() else 140)


@contextmanager
def progress(quiet: bool = False) -> Iterator[Progress]:
    """Progress on stderr: a live bar at a terminal, else one line a stage."""
    if quiet:
        yield lambda stage, done, total: None
    elif sys.stderr.isatty():
        with _bars() as show:
            yield show
    else:
        yield _lines()


_SAY_EVERY_S = 10.0


def _lines() -> Progress:
    finished: set[str] = set()
    begun: dict[str, tuple[float, int]] = {}
    said = time.monotonic()

    def show(stage: str, done: int, total: int) -> None:
        nonlocal said
        now = time.monotonic()
        start, first = begun.setdefault(stage, (now, done))
        if done >= total and stage not in finished:
            finished.add(stage)
            click.echo(f"{stage}: done" if total <= 1 else f"{stage}: {done} of {total}", err=True)
        elif stage not in finished and done > first and now - said >= _SAY_EVERY_S:
            said = now
            rate = (done - first) / (now - start)
            left = (total - done) / rate
            click.echo(f"{stage}: {done} of {total}, {rate:.3g} a second, {left:.0f} s left", err=True)

    return show


@contextmanager
def _bars() -> Iterator[Progress]:
    from rich.console import Console
    from rich.progress import BarColumn, MofNCompleteColumn, TextColumn, TimeElapsedColumn, TimeRemainingColumn
    from rich.progress import Progress as Bars

    columns = (
        TextColumn("{task.description}"),
        BarColumn(),
        MofNCompleteColumn(),
        TimeElapsedColumn(),
        TextColumn("left"),
        TimeRemainingColumn(),
    )
    with Bars(*columns, console=Console(stderr=True)) as bars:
        tasks: dict[str, Any] = {}

        def show(stage: str, done: int, total: int) -> None:
            if stage not in tasks:
                tasks[stage] = bars.add_task(stage, total=total)
            bars.update(tasks[stage], completed=done, total=total)

        yield show
