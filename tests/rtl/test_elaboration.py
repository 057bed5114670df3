"""Impossible parameters stop elaboration; narrow accumulators wrap and saturate at their own width."""

from __future__ import annotations

import numpy as np
import pytest

from hwsim.errors import ToolError
from hwsim.verify.drive import pack_lanes, run_replay
from hwsim.verify.simulator import Design, build
from hwsim.verify.sources import rtl_sources
from tests.oracles import need_tool


@pytest.fixture(autouse=True)
def _icarus() -> None:
    need_tool("iverilog", "sudo apt-get install iverilog")


@pytest.mark.parametrize(
    ("parameters", "message"),
    [
        ({"ROWS": 0}, "array_ws_needs_ROWS_COLS_of_1_or_more"),
        ({"COLS": 0}, "array_ws_needs_ROWS_COLS_of_1_or_more"),
        ({"ACC_W": 7}, "accumulator_needs_ACC_W_of_P_W_or_more"),
        ({"SATURATE": 2}, "accumulator_needs_SATURATE_0_or_1"),
        ({"A_W": 5}, "mul_needs_A_W_4_B_W_4_P_W_8"),
        ({"W_W": 3}, "mul_needs_A_W_4_B_W_4_P_W_8"),
        ({"P_W": 6}, "mul_needs_A_W_4_B_W_4_P_W_8"),
        ({"MUL": "int5"}, "mul_needs_a_MUL_of_the_list_in_mul_v"),
        ({"MUL": "e4m3"}, "mul_needs_A_W_8_B_W_8_P_W_37"),
    ],
)
def test_impossible_parameters_stop_elaboration(parameters: dict[str, int | str], message: str) -> None:
    with pytest.raises(ToolError, match=message):
        build("icarus", Design.of("array_ws", rtl_sources(), parameters))


@pytest.mark.parametrize("saturate", [0, 1])
@pytest.mark.parametrize("width", [8, 9, 24])
def test_narrow_accumulators(width: int, saturate: int) -> None:
    low, high = -(1 << (width - 1)), (1 << (width - 1)) - 1
    rng = np.random.default_rng(width)
    cases = 300
    a, w = rng.integers(-8, 8, (2, cases))
    edges = np.array([low, low + 10, -1, 0, high - 10, high])
    c = np.where(rng.random(cases) < 0.6, rng.choice(edges, cases), rng.integers(low, high, cases, endpoint=True))
    total = c + a * w
    expected = np.clip(total, low, high) if saturate else (total - low) % (1 << width) + low

    # two cycles a case: load the weight, then the operands; two more to see the last result
    zero = np.zeros(2 * cases + 2, dtype=np.int64)
    streams = {name: zero.copy() for name in ("rst", "w_load", "w_in", "valid_in", "a_in", "psum_in")}
    streams["w_load"][0 : 2 * cases : 2] = 1
    streams["w_in"][0 : 2 * cases : 2] = w
    streams["valid_in"][1 : 2 * cases : 2] = 1
    streams["a_in"][1 : 2 * cases : 2] = a
    streams["psum_in"][1 : 2 * cases : 2] = c
    bits = {"w_in": 4, "a_in": 4, "psum_in": width}
    inputs = {name: pack_lanes(values[:, None], bits.get(name, 1)) for name, values in streams.items()}
    design = Design.of("pe_ws", rtl_sources(), {"ACC_W": width, "SATURATE": saturate})
    got = run_replay(design, inputs, lanes=1, bits=width, sim="icarus")
    assert got.known.all()
    np.testing.assert_array_equal(got.cycles, np.arange(cases) * 2 + 2)
    np.testing.assert_array_equal(got.lanes[:, 0], expected)
