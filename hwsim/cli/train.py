"""``hwsim train``: a network learns the chip's few bits, as a recipe says."""

from __future__ import annotations

import click

from hwsim.cli.common import emit_json, facts, json_option, progress, writable_folder


@click.command(
    "train",
    short_help="Networks that learn their low bits.",
    epilog="Example: hwsim train w2a4.yaml --out w2a4; then "
    "hwsim emulate w2a4/model.qir --target hwsim-int4-ws16 --data mnist-cnn",
)
@click.argument("recipe")
@click.option("--out", metavar="DIR", help="Folder of the results; default: NAME-training.")
@click.option("--fresh", is_flag=True, help="Forget what the folder holds, instead of going on from there.")
@click.option("--threads", type=click.IntRange(min=1), metavar="N", help="Of torch; its bits depend on it. Default: 1.")
@json_option
@click.pass_context
def command(ctx: click.Context, recipe: str, out: str | None, fresh: bool, threads: int | None, as_json: bool) -> None:
    """Train a network for a chip as RECIPE (a .yaml file) says, and write model.qir, curve.json and page.html.

    Checkpoints are kept as it goes. A training that was stopped, by Ctrl-C, a crash or kill -9, goes on where it was
    when the same command is typed again, and ends with the same bits.
    """
    from dataclasses import asdict
    from pathlib import Path

    from hwsim.training import load_plan, run_plan

    plan = load_plan(recipe)
    folder = writable_folder(Path(out or f"{plan.name}-training"))
    typed = ctx.find_root().obj or ""
    with progress() as show:
        found = run_plan(plan, folder, fresh=fresh, threads=threads or 1, progress=show, command=typed)
    learned = found.learned
    if as_json:
        emit_json("hwsim.training/1", asdict(learned))
        return
    click.echo(
        facts(
            [
                (learned.model, f"{learned.weights} weights, {learned.activations} activations, {learned.target}"),
                ("score", learned.metric),
                ("float32", learned.text(learned.float32)),
                ("quantized", f"{learned.text(learned.before)} on the chip, without training"),
                ("trained", f"{learned.text(learned.after)} on the chip, {learned.n:,} inputs"),
                *(("written", str(path)) for path in found.files),
            ]
        )
    )
