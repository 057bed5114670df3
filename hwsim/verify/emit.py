"""Write the Verilog that follows from numerics' catalog: ``python -m hwsim.verify.emit`` into rtl/ (a test compares).

Emitted: one ``mul_<name>.v`` for each multiplier that is not written by hand; ``mul.v``, which chooses among all; and
``tb/tb_multipliers.v``, which holds all of them side by side.
"""

from __future__ import annotations

import sys
import textwrap
from pathlib import Path

from hwsim.numerics import formats
from hwsim.numerics.format import FloatLayout, Format, IntegerLayout
from hwsim.verify.multipliers import MULTIPLIERS, Multiplier, fixed_point
from hwsim.verify.sources import rtl_dir

EMITTED = "Emitted by python -m hwsim.verify.emit from the catalog of formats; do not edit."


def emitted() -> dict[str, str]:
    """File name -> text of every emitted source."""
    files = {f"mul_{entry.name}.v": _multiplier(entry) for entry in MULTIPLIERS.values() if not entry.by_hand}
    return {**files, "mul.v": _chooser(), "tb/tb_multipliers.v": _bench()}


def _multiplier(entry: Multiplier) -> str:
    a, b = _format(entry.a_format), _format(entry.b_format)
    bits = entry.product_bits
    low, high = _range(entry)
    ports = ["input  wire a", "input  wire b", "output wire p"]
    body: list[str]
    told = ""
    if isinstance(a.layout, FloatLayout):
        body = _float_body(a.layout, entry)
        if entry.special:
            ports.append("output wire special")
            told = " special is high where an operand is an infinity or NaN; p is then 0."
        else:
            body = ["    wire special;", "    wire unused = special;", "", *body]
    elif isinstance(a.layout, IntegerLayout) and a.layout.kind == "bipolar":
        told = " Equal bits give +1, unequal ones -1 (XNOR)."
        body = ["    assign p = (a ~^ b) ? 2'sd1 : -2'sd1;"]
    else:
        body = [_widened("x", "a", a, bits), _widened("y", "b", b, bits), "", "    assign p = x * y;"]
    same = f"two {a.name} operands" if a == b else f"one {a.name} and one {b.name} operand"
    lsb = f"LSB 2**{entry.lsb_exponent}" if entry.lsb_exponent else "LSB 1"
    header = (
        f"mul_{entry.name}: exact product of {same}. Combinational (latency 0). Codes a ({a.bits} bits) "
        f"and b ({b.bits} bits), signed product p ({bits} bits, {low}..{high}, {lsb}).{told} No parameters. {EMITTED}"
    )
    widths = {"a": f"[{a.bits - 1}:0]", "b": f"[{b.bits - 1}:0]", "p": f"signed [{bits - 1}:0]", "special": ""}
    declared = [f"{port.rsplit(' ', 1)[0]} {widths[name]:<15} {name}" for port in ports for name in [port.split()[-1]]]
    return _file(header, f"module mul_{entry.name} (\n    " + ",\n    ".join(declared) + "\n);", body)


def _float_body(layout: FloatLayout, entry: Multiplier) -> list[str]:
    nan = {"none": 0, "all_ones": 1, "ieee": 2}[layout.nan]
    return [
        f"    mul_float #(.E({layout.exponent_bits}), .M({layout.mantissa_bits}), .NAN({nan}), "
        f".P_W({entry.product_bits})) m (",
        "        .a(a), .b(b), .p(p), .special(special)",
        "    );",
    ]


def _widened(wide: str, port: str, fmt: Format, bits: int) -> str:
    assert isinstance(fmt.layout, IntegerLayout)
    top = f"{port}[{fmt.bits - 1}]" if fmt.layout.kind == "twos_complement" else "1'b0"
    return f"    wire signed [{bits - 1}:0] {wide} = {{{{{bits - fmt.bits}{{{top}}}}}, {port}}};"


def _range(entry: Multiplier) -> tuple[int, int]:
    a, b = fixed_point(entry.a_format)[0], fixed_point(entry.b_format)[0]
    ends = [int(x) * int(y) for x in (a.min(), a.max()) for y in (b.min(), b.max())]
    return min(ends), max(ends)


def _bench() -> str:
    header = (
        "tb_multipliers: every multiplier at the same operands (simulation only), so that one build drives all of them "
        "through every operand pair. Combinational (latency 0). Codes a and b, of which each multiplier takes its low "
        f"bits; product p_<name>, and special_<name> where there is one. No parameters. {EMITTED}"
    )
    ports = ["input  wire [7:0] a", "input  wire [7:0] b"]
    body: list[str] = []
    for entry in MULTIPLIERS.values():
        ports.append(f"output wire signed [{entry.product_bits - 1}:0] p_{entry.name}")
        pins = f".a(a[{entry.a_bits - 1}:0]), .b(b[{entry.b_bits - 1}:0]), .p(p_{entry.name})"
        if entry.special:
            ports.append(f"output wire special_{entry.name}")
            pins += f", .special(special_{entry.name})"
        body.append(f"    mul_{entry.name} m_{entry.name} ({pins});")
    return _file(header, "module tb_multipliers (\n    " + ",\n    ".join(ports) + "\n);", body)


def _chooser() -> str:
    names = list(MULTIPLIERS)
    quoted = ", ".join(f'"{name}"' for name in names)
    header = (
        "mul: the multiplier of a processing element, chosen by name, so that one PE serves every format. "
        f"Combinational (latency 0). Parameters: MUL names the multiplier, one of {quoted}; A_W and B_W are the "
        "operand code widths and P_W the width of the signed product, which must be what the named multiplier has, or "
        "elaboration stops. "
        "Operands must be numbers: the product of an infinity or NaN is 0 here (mul_<format> says which those are). "
        f"A new multiplier is one line in hwsim/verify/multipliers.py. {EMITTED}"
    )
    module = """module mul #(
    parameter [127:0] MUL = "int4",
    parameter A_W = 4,
    parameter B_W = 4,
    parameter P_W = 8
) (
    input  wire [A_W-1:0]        a,
    input  wire [B_W-1:0]        b,
    output wire signed [P_W-1:0] p
);"""
    body = [
        *(f'    localparam [127:0] {name.upper()} = "{name}";' for name in names),
        "",
        "    // an instance of a module that does not exist stops elaboration",
        "    generate",
    ]
    for at, entry in enumerate(MULTIPLIERS.values()):
        widths = (entry.a_bits, entry.b_bits, entry.product_bits)
        pins = ".a(a), .b(b), .p(p)" + (", .special(special)" if entry.special else "")
        body += [
            f"        {'end else ' if at else ''}if (MUL == {entry.name.upper()}) begin : g_{entry.name}",
            f"            if (A_W != {widths[0]} || B_W != {widths[1]} || P_W != {widths[2]}) begin : g_widths",
            "                mul_needs_A_W_{}_B_W_{}_P_W_{} impossible ();".format(*widths),
            "            end else begin : g_fits",
            *(["                wire special;", "                wire unused = special;"] if entry.special else []),
            f"                mul_{entry.name} m ({pins});",
            "            end",
        ]
    body += [
        "        end else begin : g_unknown",
        "            mul_needs_a_MUL_of_the_list_in_mul_v impossible ();",
        "        end",
        "    endgenerate",
    ]
    return _file(header, module, body)


def _file(header: str, module: str, body: list[str]) -> str:
    comment = textwrap.wrap(header, 117, break_long_words=False, break_on_hyphens=False)
    lines = [*(f"// {line}" for line in comment), "", "`default_nettype none", "", module, "", *body, "", "endmodule"]
    return "\n".join([*lines, "", "`default_nettype wire", ""])


def _format(name: str) -> Format:
    entry = formats[name]
    assert isinstance(entry, Format)
    return entry


def main(folder: Path | None = None) -> int:
    """Write every file that differs; print the names of those."""
    home = folder or rtl_dir()
    for name, text in emitted().items():
        path = home / name
        if not path.is_file() or path.read_text(encoding="utf-8") != text:
            path.write_text(text, encoding="utf-8")
            print(path)
    return 0


if __name__ == "__main__":
    sys.exit(main())
