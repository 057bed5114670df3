"""``hwsim convert``: a quantized network from one chip's storage to another's, tensor by tensor."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

import click

from hwsim.cli.common import emit_json, facts, json_option, plain, progress, table, writable_folder

if TYPE_CHECKING:
    from hwsim.converting import Answers, Conversion
    from hwsim.quant.migrate import Change


@click.command(
    "convert",
    short_help="Quantized networks between chips.",
    epilog="Example: hwsim convert mnist-int4.qir --to nvidia-h100 -o mnist-h100.qir",
)
@click.argument("model")
@click.option("--to", "target", required=True, metavar="T", help="Chip it is to run on: a name or a .yaml file.")
@click.option("--precision", metavar="P", help="A mode of that chip; default: its own default.")
@click.option(
    "--from", "source", metavar="T", help="Chip it is stored for; default: what the file says. A float MODEL needs it."
)
@click.option("--from-precision", metavar="P", help="A mode of that chip; default: what the file says.")
@click.option("-o", "--out", metavar="FILE", help="Where to write the converted network (.qir, .qir.json or ONNX).")
@click.option(
    "--data", metavar="D", help="Inputs and labels for the answers: a .npz file or a zoo name; default: the zoo's."
)
@click.option(
    "--calibration", metavar="D", help="Inputs that new ranges are picked on; default: the zoo's, else --data."
)
@click.option(
    "--calibrator",
    metavar="C",
    default="mse",
    show_default=True,
    help="How new ranges are picked: minmax, percentile, mse, kl, mixture, kde or multistage.",
)
@click.option("--limit", type=click.IntRange(min=1), metavar="N", help="Measure answers on N inputs, evenly spread.")
@click.option("--no-run", is_flag=True, help="Convert only; measure no answers.")
@json_option
def command(
    model: str,
    target: str,
    precision: str | None,
    source: str | None,
    from_precision: str | None,
    out: str | None,
    data: str | None,
    calibration: str | None,
    calibrator: str,
    limit: int | None,
    no_run: bool,
    as_json: bool,
) -> None:
    """Store MODEL (a quantized .qir, or a float network with --from) as another chip stores it.

    Codes change without loss where both chips have the same numbers; the rest is quantized again. Prints what became of
    each tensor, and the answers on both chips.
    """
    from hwsim.converting import convert
    from hwsim.io.model import save_model

    if out is not None:
        _checked(out)
    with progress() as show:
        done = convert(
            model,
            target,
            precision=precision,
            source=source,
            source_precision=from_precision,
            data=data,
            calibration=calibration,
            calibrator=calibrator,
            limit=limit,
            run=not no_run,
            progress=show,
        )
    if out is not None:
        save_model(done.graph, out)
    if as_json:
        emit_json("hwsim.convert/1", {"file": out, **done.to_dict()})
        return
    click.echo(_table(done.changes))
    click.echo()
    click.echo(facts(_summary(done, out)))


def _checked(out: str) -> None:
    """Refuse, before the work, a file that cannot be written."""
    from hwsim.io.model import checked_suffix

    writable_folder(checked_suffix(Path(out)).parent)


def _table(changes: tuple[Change, ...]) -> str:
    rows = [
        (
            change.name,
            change.kind,
            change.before,
            change.after,
            change.how,
            f"{change.changed:,} of {change.elements:,}" if change.elements else "-",
            f"{change.max_error:.3g}" if change.elements else "-",
            _decibels(change.sqnr_db),
        )
        for change in changes
    ]
    head = ("tensor", "kind", "before", "after", "how", "changed", "max error", "SQNR")
    return table(head, rows, right=(5, 6, 7))


def _decibels(value: float | None) -> str:
    from math import isinf

    return "-" if value is None else "exact" if isinf(value) and value > 0 else f"{value:.1f} dB"


def _summary(done: Conversion, out: str | None) -> tuple[tuple[str, str], ...]:
    kinds = [change.how for change in done.changes]
    counts = ", ".join(
        f"{kinds.count(how)} {how}" for how in ("same", "lossless", "finer", "as seen", "requantized") if how in kinds
    )
    lost = sum(change.negative_zeros for change in done.changes)
    return (
        ("tensors", counts),
        ("-0", f"{lost:,} negative zeros became zeros" if lost else ""),
        ("arithmetic", "; ".join(f"{what} {before} -> {after}" for what, before, after in done.arithmetic)),
        ("before", _answers(done.before)),
        ("after", _answers(done.after)),
        *(("note", note) for note in done.notes),
        ("written", out or ""),
    )


def _answers(found: Answers | None) -> str:
    if found is None:
        return ""
    from hwsim.report.humanise import percent, significant

    if found.interval is None:
        value = f"{found.metric} {significant(found.value, 4)}"
    else:
        low, high = found.interval
        value = f"{found.metric} {percent(found.value)} (95 %: {percent(low)} to {percent(high)})"
    return plain(f"{found.target} {found.precision}: {value} of {found.n:,} inputs")
