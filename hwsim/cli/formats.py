"""``hwsim formats``: the catalog of encodings, and one format in full."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import click

from hwsim.cli.common import emit_json, facts, json_option, table

if TYPE_CHECKING:
    from hwsim.numerics import BlockFormat, Format
    from hwsim.numerics.format import Profile


@click.command(
    "formats",
    short_help="Number formats.",
    epilog="Example: hwsim formats fp4_e2m1",
)
@click.argument("name", metavar="[FORMAT]", required=False)
@json_option
def command(name: str | None, as_json: bool) -> None:
    """List every number format, or show one: fields, range, codes, number line, special values, profiles, source."""
    from hwsim.numerics import BlockFormat, formats

    if name is None:
        entries = [formats[known] for known in formats]
        if as_json:
            emit_json("hwsim.formats/1", {"formats": [describe(entry) for entry in entries]})
            return
        elements = [_row(entry) for entry in entries if not isinstance(entry, BlockFormat)]
        blocks = [_block_row(entry) for entry in entries if isinstance(entry, BlockFormat)]
        click.echo(
            table(("format", "bits", "smallest", "largest", "specials", "what it is"), elements, right=(1, 2, 3))
        )
        click.echo()
        click.echo(table(("block format", "element", "block", "scale", "bits", "what it is"), blocks, right=(2, 4)))
        return
    entry = formats[name]
    if as_json:
        emit_json("hwsim.format/1", describe(entry, codes=True))
    elif isinstance(entry, BlockFormat):
        click.echo(_block_page(entry))
    else:
        click.echo(_page(entry))


def describe(entry: Format | BlockFormat, codes: bool = False) -> dict[str, Any]:
    """A format as plain values; ``codes`` adds the value of every code where there are at most 256."""
    from dataclasses import asdict

    from hwsim.numerics import BlockFormat, decode_table

    source = asdict(entry.source)
    if isinstance(entry, BlockFormat):
        return {
            "name": entry.name,
            "title": entry.title,
            "element": entry.element,
            "block_size": entry.block_size,
            "scale_format": entry.scale_format,
            "rule": entry.rule,
            "modes": entry.modes,
            "fields": [asdict(field) for field in entry.fields],
            "bits_per_element": bits_per_element(entry),
            "source": source,
            "note": entry.note,
        }
    out: dict[str, Any] = {
        "name": entry.name,
        "title": entry.title,
        "bits": entry.bits,
        "layout": {"kind": type(entry.layout).__name__, **asdict(entry.layout)},
        "min": entry.min_value,
        "max": entry.max_value,
        "smallest_positive": smallest_positive(entry),
        "negative_zero_code": entry.negative_zero_code,
        "negative_zero": entry.negative_zero,
        "has_infinity": entry.has_infinity,
        "has_nan": entry.has_nan,
        "profiles": {known: asdict(profile) for known, profile in entry.profiles.items()},
        "source": source,
        "note": entry.note,
    }
    if codes and entry.bits <= 8:
        out["values"] = [
            _word(float(value)) if value != value or abs(value) == float("inf") else float(value)
            for value in decode_table(entry)
        ]
    return out


def bits_per_element(entry: BlockFormat) -> float:
    """Stored bits an element, the scale's share included."""
    from hwsim.numerics.codec import element_format

    scale = element_format(entry.scale_format).storage_bits / entry.block_size
    return element_format(entry.element).storage_bits + (entry.field_bits if entry.fields else scale)


def smallest_positive(entry: Format) -> float | None:
    """The smallest value above zero."""
    from hwsim.numerics import decode_table
    from hwsim.numerics.format import FloatLayout, IntegerLayout

    if entry.bits <= 8:
        positive = [float(value) for value in decode_table(entry) if value > 0]
        return min(positive) if positive else None
    if isinstance(entry.layout, FloatLayout):
        return float(entry.layout.magnitude(1 if entry.layout.zero else 0))
    return 1 / (1 << entry.layout.fraction_bits) if isinstance(entry.layout, IntegerLayout) else None


def specials(entry: Format) -> str:
    """Which of -0, infinity and NaN the format has."""
    have = (("-0", entry.negative_zero_code is not None), ("inf", entry.has_infinity), ("nan", entry.has_nan))
    return " ".join(word for word, present in have if present) or "none"


def _word(value: float) -> str:
    """A value in few characters."""
    if value != value:
        return "nan"
    if value == 0:
        return "-0" if str(value).startswith("-") else "0"
    return f"{value:.6g}"


def _row(entry: Format) -> tuple[str, ...]:
    return (entry.name, str(entry.bits), _word(entry.min_value), _word(entry.max_value), specials(entry), entry.title)


def _block_row(entry: BlockFormat) -> tuple[str, ...]:
    bits = f"{bits_per_element(entry):.4g}"
    return (entry.name, entry.element, str(entry.block_size), entry.scale_format, bits, entry.title)


def _source(entry: Format | BlockFormat) -> str:
    return f"{entry.source.document}, {entry.source.section} (read {entry.source.read})"


def _block_page(entry: BlockFormat) -> str:
    return facts(
        (
            (entry.name, entry.title),
            ("elements", f"{entry.element}, {entry.scale_size} share one scale, {entry.block_size} a block"),
            ("bits an element", f"{bits_per_element(entry):.4g} with the scale"),
            ("a block stores", _stored(entry)),
            ("scale rule", entry.rule + (f"; modes: {', '.join(entry.modes)}" if entry.modes else "")),
            ("zero points", "one a block when quantized asymmetrically" if entry.zero_points else "none"),
            ("note", entry.note),
            ("source", _source(entry)),
        )
    )


def _stored(entry: BlockFormat) -> str:
    """What one block holds, outermost first, and its size."""
    from hwsim.numerics.codec import element_format
    from hwsim.numerics.format import Field

    fields = entry.fields or (Field("scale", element_format(entry.scale_format).storage_bits, entry.block_size),)
    parts = []
    for field in fields:
        count = entry.block_size // field.size
        parts.append(
            f"{field.name} ({field.bits} bits)" if count == 1 else f"{count} {field.name} ({field.bits} bits each)"
        )
    total = bits_per_element(entry) * entry.block_size / 8
    return f"{', '.join(parts)}, {entry.block_size} elements: {total:g} bytes"


def _users(entry: Format) -> str:
    """Block formats that this format is the element or the scale of."""
    from hwsim.numerics import BlockFormat, formats

    blocks = [formats[name] for name in formats]
    return ", ".join(
        block.name
        for block in blocks
        if isinstance(block, BlockFormat) and entry.name in (block.element, block.scale_format)
    )


def _ties(entry: Format) -> str:
    """Where table formats cut between neighbours."""
    from hwsim.numerics.format import TableLayout

    layout = entry.layout
    if not isinstance(layout, TableLayout):
        return ""
    side = {"lower": "the lower", "upper": "the upper"}[layout.ties]
    where = "limits of its own" if layout.thresholds else f"the midpoint, which goes to {side} one"
    return f"neighbours meet at {where}" + (", magnitudes alike on both sides of zero" if layout.symmetric else "")


def _page(entry: Format) -> str:
    from hwsim.cli.number_line import code_table, number_line

    smallest = smallest_positive(entry)
    head = facts(
        (
            (entry.name, entry.title),
            (
                "bits",
                f"{entry.bits}" + (f", stored in {entry.storage_bits}" if entry.storage_bits != entry.bits else ""),
            ),
            ("fields", _fields(entry)),
            ("range", f"{_word(entry.min_value)} .. {_word(entry.max_value)}"),
            ("least above 0", "" if smallest is None else f"{smallest:.9g}"),
            ("specials", specials(entry) + (f"; a -0 is: {entry.negative_zero}" if "-0" in specials(entry) else "")),
            ("nearest", _ties(entry)),
            ("used by", _users(entry)),
            ("note", entry.note),
            ("source", _source(entry)),
        )
    )
    rows = [
        (p.name, p.rounding, p.overflow, _nan(p.nan, entry.bits), _zeros(entry, p), p.note)
        for p in entry.profiles.values()
    ]
    profiles = table(("profile", "rounding", "overflow", "NaN becomes", "-0, underflow", "who"), rows)
    parts = [head, profiles]
    if entry.bits <= 8:
        parts = [head, number_line(entry), code_table(entry), profiles]
    return "\n\n".join(parts)


def _nan(rule: tuple[int, int] | str, bits: int) -> str:
    if isinstance(rule, str):
        return rule
    digits = -(-bits // 4)
    return " / ".join(f"0x{code:0{digits}X}" for code in dict.fromkeys(rule))


def _zeros(entry: Format, profile: Profile) -> str:
    """What an input of -0 and a negative number that rounds to zero become."""
    if entry.negative_zero_code is None:
        return "0, 0"
    if (profile.negative_zero or entry.negative_zero) != "keep":
        return "0, 0"
    signs = {"negative_zero": "-0", "positive_zero": "0"}
    return f"{signs[profile.negative_zero_input]}, {signs[profile.negative_underflow]}"


def _fields(entry: Format) -> str:
    from hwsim.numerics.format import FloatLayout, IntegerLayout

    layout = entry.layout
    if isinstance(layout, FloatLayout):
        parts = [f"{layout.padding} unused"] if layout.padding else []
        parts += ["1 sign"] if layout.signed else []
        parts += [f"{layout.exponent_bits} exponent (bias {layout.bias})"]
        parts += [f"{layout.mantissa_bits} mantissa"] if layout.mantissa_bits else []
        return ", ".join(parts)
    if isinstance(layout, IntegerLayout):
        kind = layout.kind.replace("_", " ")
        return kind + (f", {layout.fraction_bits} fraction bits" if layout.fraction_bits else "")
    return "a table: each code has its own value"
