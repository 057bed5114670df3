"""``hwsim robust``: what a network on chips withstands."""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING, Any

import click

from hwsim.cli.common import (
    emit_json,
    json_option,
    precision_option,
    progress,
    table,
    targets_option,
    writable_folder,
)

if TYPE_CHECKING:
    from hwsim.report.stress import Stress


Callback = Callable[[click.Context, click.Parameter, str | None], Any]


def _numbers(low: float, high: float, *, exactly: int | None = None) -> Callback:
    """``A,B,...``: numbers of more than ``low`` and at most ``high``."""

    def read(ctx: click.Context, param: click.Parameter, value: str | None) -> tuple[float, ...] | None:
        if value is None:
            return None
        try:
            found = tuple(float(part) for part in value.split(","))
        except ValueError:
            raise click.BadParameter(f"expected numbers with commas, found {value!r}") from None
        if exactly is not None and len(found) != exactly:
            raise click.BadParameter(f"expected {exactly} numbers, found {len(found)}")
        for number in found:
            if not (math.isfinite(number) and low < number <= high):
                raise click.BadParameter(f"expected more than {low:g} and at most {high:g}, found {number:g}")
        return tuple(dict.fromkeys(found)) if exactly is None else found

    return read


def _names(ctx: click.Context, param: click.Parameter, value: str | None) -> tuple[str, ...] | None:
    """``a,b,...``; their catalog is looked at later, when it is loaded."""
    if value is None:
        return None
    found = tuple(part.strip() for part in value.split(",") if part.strip())
    if not found:
        raise click.BadParameter("expected names with commas, found none")
    return tuple(dict.fromkeys(found))


@click.command(
    "robust",
    short_help="Attacks, bad light, strangers, bit flips.",
    epilog="Example: hwsim robust mnist-cnn --target hwsim-int4-ws16 --target nvidia-h100 --corruptions --faults "
    "--attacks pgd --epsilon 0.05,0.1 --limit 500 --out robust",
)
@click.argument("model")
@targets_option
@click.option("--attacks", callback=_names, metavar="K,K", help="fgsm, pgd, square, or all; hwsim[robust] is needed.")
@click.option("--corruptions", is_flag=True, help="Motion blur, defocus, low light, contrast, JPEG; five severities.")
@click.option("--strangers", is_flag=True, help="Tell inputs of no class from the data by the network's scores.")
@click.option("--faults", is_flag=True, help="Flip bits of weights, activations and accumulators.")
@click.option("--data", metavar="D", help="Inputs and labels: a .npz file or a zoo name; default: the zoo model's.")
@click.option("--calibration", metavar="D", help="Inputs that ranges are picked on; default: the zoo model's.")
@precision_option
@click.option("--calibrator", metavar="C", default="mse", show_default=True, help="How ranges are picked.")
@click.option(
    "--limit",
    type=click.IntRange(min=2),
    default=200,
    show_default=True,
    metavar="N",
    help="Use so many inputs, evenly spread.",
)
@click.option(
    "--epsilon",
    callback=_numbers(0, 1),
    default="0.05,0.1,0.2",
    show_default=True,
    metavar="E,E",
    help="How far an attack may move each number, as shares of the span from black to white.",
)
@click.option("--steps", type=click.IntRange(min=1), default=40, show_default=True, help="Of pgd and square.")
@click.option(
    "--rates",
    callback=_numbers(0, 1),
    default="0.001,0.003,0.01",
    show_default=True,
    metavar="R,R",
    help="Probabilities that a bit flips.",
)
@click.option("--repeats", type=click.IntRange(min=2), default=5, show_default=True, help="Draws of the faults.")
@click.option(
    "--span",
    callback=_numbers(-math.inf, math.inf, exactly=2),
    metavar="LOW,HIGH",
    help="The network's values of black and white; default: 0,1 or -1,1, whichever fits.",
)
@click.option("--quick", is_flag=True, help="Gradients by torch's sums instead of the chip's: sooner, not exact.")
@click.option("--seed", type=click.IntRange(min=0), default=0, show_default=True, help="Of all that is drawn.")
@click.option("--out", metavar="DIR", help="Write robustness.html, .json, .csv and .md there.")
@json_option
@click.pass_context
def command(
    ctx: click.Context,
    model: str,
    targets: tuple[str, ...],
    attacks: tuple[str, ...] | None,
    corruptions: bool,
    strangers: bool,
    faults: bool,
    data: str | None,
    calibration: str | None,
    precision: str | None,
    calibrator: str,
    limit: int,
    epsilon: tuple[float, ...],
    steps: int,
    rates: tuple[float, ...],
    repeats: int,
    span: tuple[float, float] | None,
    quick: bool,
    seed: int,
    out: str | None,
    as_json: bool,
) -> None:
    """Measure what MODEL (.onnx, .qir or a zoo name) withstands on each target, beside the float network.

    Without --attacks, --corruptions, --strangers or --faults it does all but the attacks.
    """
    if span is not None and not span[0] < span[1]:
        raise click.BadParameter(f"expected LOW below HIGH, found {span[0]:g},{span[1]:g}", param_hint="'--span'")
    folder = writable_folder(out) if out is not None else None
    from hwsim.report import stress_dict, write_robustness
    from hwsim.robust import ATTACKS, CORRUPTIONS, STRANGERS, Attack
    from hwsim.stressing import stress

    everything = attacks is None and not (corruptions or strangers or faults)
    wanted = tuple(ATTACKS) if attacks == ("all",) else attacks or ()
    with progress() as show:
        found = stress(
            model,
            list(targets),
            data,
            attacks=[Attack(kind, size, 1 if kind == "fgsm" else steps) for kind in wanted for size in epsilon],
            corruptions=list(CORRUPTIONS) if corruptions or everything else [],
            others=list(STRANGERS) if strangers or everything else [],
            rates=rates if faults or everything else (),
            repeats=repeats,
            calibration=calibration,
            precision=precision,
            calibrator=calibrator,
            limit=limit,
            span=span,
            exact=not quick,
            seed=seed,
            progress=show,
            command=str(ctx.obj),
        )
    paths = []
    if folder is not None:
        paths = [write_robustness(found, folder / f"robustness.{kind}") for kind in ("json", "csv", "md", "html")]
    if as_json:
        body = stress_dict(found)
        emit_json(str(body.pop("schema")), body)
        return
    names = [column.name for column in found.columns]
    click.echo(f"{found.title}; {found.data}, n = {found.n:,}; % right\n")
    click.echo(table(["", *names], _rows(found, names), right=range(1, len(names) + 1)))
    for path in paths:
        click.echo(str(path))


def _rows(found: Stress, names: Sequence[str]) -> list[list[str]]:
    """The terminal's table: a row a condition, a column a network."""
    from hwsim.report.stress import kinds

    def share(right: int) -> str:
        return f"{100 * right / found.n:.2f}"

    rows = [["as they are", *(share(column.right) for column in found.columns)]]
    for kind in kinds(found.attacks):
        for epsilon, _ in found.strengths(kind):
            direct = {name: row for name in names for row in found.direct(kind, name) if row.epsilon == epsilon}
            rows.append([f"{kind} {epsilon:g}", *(share(direct[name].right) for name in names)])
    for kind in kinds(found.corruptions):
        for at, row in enumerate(found.light(kind, names[0])):
            shares = (share(found.light(kind, name)[at].right) for name in names)
            rows.append([f"{kind.replace('_', ' ')} {row.severity}", *shares])
    for kind in kinds(found.strangers):
        for score in dict.fromkeys(row.score for row in found.strangers):
            held = {r.tested: r.auroc for r in found.strangers if (r.kind, r.score) == (kind, score)}
            rows.append([f"AUROC of {kind}, {score}", *(f"{held[name]:.3f}" for name in names)])
    for place, rate in dict.fromkeys((row.place, row.rate) for row in found.faults):
        flipped = {row.target: row.accuracy for row in found.faults if (row.place, row.rate) == (place, rate)}
        shares = (f"{100 * flipped[name]:.2f}" if name in flipped else "–" for name in names)
        rows.append([f"flips in {place}, {rate:g}", *shares])
    return rows
