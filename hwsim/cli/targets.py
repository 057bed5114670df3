"""``hwsim targets``: the shipped chips, and one chip with the evidence under each of its numbers."""

from __future__ import annotations

from typing import TYPE_CHECKING

import click

from hwsim.cli.common import emit_json, facts, json_option, plain, table

if TYPE_CHECKING:
    from hwsim.target import Count, Energy, Quantity, Target


@click.command(
    "targets",
    short_help="Chips.",
    epilog="Examples: hwsim targets ascend-910b4; hwsim targets ascend-910b4 --yaml > mine.yaml",
)
@click.argument("name", metavar="[TARGET]", required=False)
@click.option("--yaml", "as_yaml", is_flag=True, help="Print a shipped target's file, to make your own from it.")
@json_option
def command(name: str | None, as_yaml: bool, as_json: bool) -> None:
    """List the shipped chips, or show one (by name, or a .yaml file): precisions, every number, evidence, sources."""
    from hwsim.target import load_target, names, path_of

    if as_yaml:
        if name is None or as_json:
            raise click.UsageError("--yaml takes the name of a shipped target, and no --json")
        click.echo(path_of(name).read_text(encoding="utf-8"), nl=False)
        return
    if name is None:
        chips = [load_target(known) for known in names()]
        if as_json:
            listed = [
                {
                    "name": t.name,
                    "title": t.title,
                    "vendor": t.vendor,
                    "machine": t.machine.kind,
                    "precisions": list(t.precisions),
                    "default_precision": t.default_precision,
                }
                for t in chips
            ]
            emit_json("hwsim.targets/1", {"targets": listed})
            return
        rows = [(t.name, t.machine.kind, _peak(t), _modes(t), t.title) for t in chips]
        click.echo(table(("target", "machine", "peak", "precisions (* default)", "what it is"), rows, right=(2,)))
        return
    target = load_target(name)
    if as_json:
        emit_json("hwsim.target/1", target.model_dump(mode="json"))
    else:
        click.echo(_page(target))


def _modes(target: Target) -> str:
    return " ".join(f"{name}{'*' if name == target.default_precision else ''}" for name in target.precisions)


def _peak(target: Target) -> str:
    """Operations a second (two a multiply-accumulate) at the default precision."""
    from hwsim.perf import peak_macs_per_s
    from hwsim.report.humanise import si

    return plain(si(2.0 * peak_macs_per_s(target), "op/s"))


def _page(target: Target) -> str:
    from hwsim.report.chip import draw_chip

    head = facts(
        (
            (target.name, target.title),
            ("vendor", target.vendor),
            ("machine", target.machine.kind),
            ("peak", f"{_peak(target)} in {target.default_precision}"),
            ("about", " ".join(target.description.split())),
        )
    )
    modes = table(
        ("precision", "weights", "activations", "matrix unit", "requantize", "evidence"),
        [
            (
                name + (" *" if name == target.default_precision else ""),
                _stored(mode.weights),
                _stored(mode.activations),
                mode.unit,
                mode.requantize,
                mode.kind,
            )
            for name, mode in target.precisions.items()
        ],
    )
    numbers = table(
        ("quantity", "value", "evidence", "source"),
        [(path, _value(path, quantity), quantity.kind, quantity.source) for path, quantity in target.quantities()],
        right=(1,),
    )
    sources = facts([(key, _source(target, key)) for key in target.sources])
    held = target.validated or ("Peak rate: the published one. Time and energy: nothing.",)
    return "\n\n".join(
        (head, draw_chip(target), facts([("held against", text) for text in held]), modes, numbers, sources)
    )


def _stored(tensor: object) -> str:
    words = str(getattr(tensor, "granularity", "")).replace("_", " ")
    size = getattr(tensor, "group_size", None)
    return f"{getattr(tensor, 'format', '')} {words}" + (f" of {size}" if size else "")


def _value(path: str, quantity: Quantity | Count | Energy) -> str:
    """The number with the unit that its field's name ends in, and its band."""
    from hwsim.report.humanise import si

    value = getattr(quantity, "value_pj", None)
    if value is not None:
        per = "/B" if path.endswith("per_byte") else ""
        low, high = getattr(quantity, "low_pj", None), getattr(quantity, "high_pj", None)
        band = f" ({low or value:g}..{high or value:g})" if low or high else ""
        return f"{value:g} pJ{per}{band}"
    number = float(getattr(quantity, "value", 0))
    name = path.rpartition(".")[2]
    if name.endswith("node_nm"):
        return f"{number:g} nm"
    for ending, unit in (
        ("_bytes_per_s", "B/s"),
        ("bytes_per_s", "B/s"),
        ("_hz", "Hz"),
        ("_bytes", "B"),
        ("_w", "W"),
        ("_s", "s"),
    ):
        if name.endswith(ending):
            return plain(si(number, unit, digits=4))
    return f"{number:,.10g}"


def _source(target: Target, key: str) -> str:
    source = target.sources[key]
    parts = [source.title, source.section or "", source.url or "", f"(read {source.read})"]
    return ", ".join(part for part in parts[:3] if part) + " " + parts[3]
