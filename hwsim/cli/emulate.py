"""``hwsim emulate``: one network on one or more chips, bit for bit, compared."""

from __future__ import annotations

from typing import Any

import click

from hwsim.cli.attention import attention_table, write_attention
from hwsim.cli.common import (
    console,
    emit_json,
    json_option,
    precision_option,
    progress,
    targets_option,
    writable_folder,
)
from hwsim.cli.recipe_options import Choices, recipe_options


@click.command(
    "emulate",
    short_help="Networks on chips.",
    epilog="Example: hwsim emulate net.onnx --target nvidia-h100 --data test.npz --calibration train.npz --out result",
)
@click.argument("model")
@targets_option
@click.option(
    "--data", metavar="D", help="Inputs and labels: a .npz file or a zoo name; default: the zoo model's test set."
)
@click.option(
    "--calibration", metavar="D", help="Inputs that ranges are picked on; default: the zoo model's, else --data."
)
@precision_option
@recipe_options
@click.option("--limit", type=click.IntRange(min=1), metavar="N", help="Run only N of the inputs, evenly spread.")
@click.option(
    "--batch", type=click.IntRange(min=1), default=1, show_default=True, help="Inferences at once, for time and energy."
)
@click.option(
    "--backend",
    type=click.Choice(["model", "rtl"]),
    default="model",
    show_default=True,
    help="What computes the matrix products: the golden model, or the target's Verilog in a simulator.",
)
@click.option(
    "--why",
    is_flag=True,
    help="Say which causes and layers the loss comes from, on 256 inputs or --limit of them.",
)
@click.option(
    "--attention",
    is_flag=True,
    help="Show what becomes of each head of attention, on 16 inputs or --limit of them.",
)
@click.option(
    "--out",
    metavar="DIR",
    help="Write report.html and run.json there; with --why also why-TARGET.html, with --attention also "
    "attention-TARGET.json.",
)
@json_option
@click.pass_context
def command(
    ctx: click.Context,
    model: str,
    targets: tuple[str, ...],
    data: str | None,
    calibration: str | None,
    precision: str | None,
    choices: Choices,
    limit: int | None,
    batch: int,
    backend: str,
    why: bool,
    attention: bool,
    out: str | None,
    as_json: bool,
) -> None:
    """Quantize MODEL (.onnx, .qir or a zoo name) for each target, run it bit for bit, estimate time and energy.

    Prints answers, latency, throughput and energy side by side, each with the kind of evidence it rests on.
    """
    from hwsim.comparing import compare
    from hwsim.report import dumps, print_comparison, print_why, to_json, why_dict, write_report, write_why

    if why and backend == "rtl":
        raise click.UsageError("--why swaps the golden model's arithmetic; it goes without --backend rtl")
    reasons, studies = [], []
    folder = writable_folder(out) if out is not None else None
    with progress() as show:
        asked: dict[str, Any] = {
            "calibration": calibration,
            "precision": precision,
            "calibrator": choices.calibrator,
            "recipe": None if choices.plain else choices.recipe,
            "limit": limit,
            "progress": show,
        }
        if attention:
            from hwsim.attending import attend

            studies = [attend(model, target, data, **asked) for target in targets]
        comparison = compare(model, list(targets), data, batch=batch, backend=backend, command=str(ctx.obj), **asked)
        if why:
            from hwsim.attributing import attribute

            reasons = [attribute(model, target, data, command=str(ctx.obj), **asked) for target in targets]
    if folder is not None:
        write_report(comparison, folder / "run.json")
        write_report(comparison, folder / "report.html")
        for reason in reasons:
            for suffix in (".json", ".html"):
                write_why(reason, folder / f"why-{reason.target.name}{suffix}")
        for study in studies:
            write_attention(study, folder / f"attention-{study.target}.json")
    if as_json and (why or attention):
        found: dict[str, object] = {"comparison": to_json(comparison)}
        found |= {"why": [why_dict(reason) for reason in reasons]} if why else {}
        found |= {"attention": [study.to_dict() for study in studies]} if attention else {}
        emit_json("hwsim.emulate.attention/1" if attention else "hwsim.emulate.why/1", found)
    elif as_json:
        click.echo(dumps(comparison), nl=False)
    else:
        print_comparison(comparison, console())
        for reason in reasons:
            print_why(reason, console())
        for study in studies:
            click.echo(attention_table(study))
        if folder is not None:
            for reason in reasons:
                click.echo(str(folder / f"why-{reason.target.name}.html"))
            click.echo(str(folder / "report.html"))
