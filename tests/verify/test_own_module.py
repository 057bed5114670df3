"""A module of one's own: port maps, files of vectors, coverage and the first mismatch; ``hwsim verify --unit``."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest
from click.testing import CliRunner

from hwsim.cli.verify import command
from hwsim.errors import DataError, HwsimError, ToolError, UnitError
from hwsim.numerics import mma
from hwsim.verify import verifiable, verify_rtl
from hwsim.verify.case_catalog import case_unit
from hwsim.verify.portmap import ports_of, read_portmap, wrapper
from hwsim.verify.sources import rtl_dir
from hwsim.verify.vectors import read_vectors
from tests.oracles import need_module, need_tool

EXAMPLES = rtl_dir() / "examples"
BOOTH = EXAMPLES / "booth_mul.v"


@pytest.fixture
def _icarus() -> None:
    need_tool("iverilog", "sudo apt-get install iverilog")


@pytest.mark.usefixtures("_icarus")
def test_the_example_of_the_readme() -> None:
    told = ["--unit", "mul_int4", "--source", str(BOOTH), "--ports", str(EXAMPLES / "booth_mul.yaml")]
    told += ["--vectors", str(EXAMPLES / "booth_mul.csv")]
    done = CliRunner().invoke(command, told)
    assert done.exit_code == 1, done.output
    assert "case 130: a=-8 (0x8), b=2 (0x2): p: expected -16, got -48" in done.output
    assert "case 0: a=-8 (0x8), b=-8 (0x8): p: expected 64, got -64" in done.output
    assert "coverage: mul_int4: 3 of 3 points" in done.output
    waves = [line.removeprefix("waves: ") for line in done.output.splitlines() if line.startswith("waves: ")]
    assert len(waves) == 2
    assert all(Path(wave).stat().st_size > 100 for wave in waves)


@pytest.mark.usefixtures("_icarus")
def test_the_example_mended_passes(tmp_path: Path) -> None:
    mended = tmp_path / "booth_mul.v"
    text = BOOTH.read_text(encoding="utf-8")
    mended.write_text(text.replace("signed [4:0]", "signed [5:0]"), encoding="utf-8")
    report = verify_rtl("mul_int4", sources=[mended], ports=EXAMPLES / "booth_mul.yaml")
    assert report.passed, report.first_mismatch
    assert report.rows[0].compared == 256


@pytest.mark.parametrize(("ports", "said"), [("[2:0] x", "3 bits, expected 4"), ("[3:0] x", "9 bits, expected 8")])
@pytest.mark.parametrize("sim", ["icarus", "verilator"])
def test_ports_of_another_width_are_refused(sim: str, ports: str, said: str, tmp_path: Path) -> None:
    need_tool("iverilog", "sudo apt-get install iverilog") if sim == "icarus" else need_module("verilator")
    mine, told = tmp_path / "narrow.v", tmp_path / "narrow.yaml"
    result = "output [7:0] p" if "2:0" in ports else "output [8:0] p"
    # a constant of any width may go into an input of its own
    mine.write_text(
        f"module narrow(input on, input {ports}, input [3:0] b, {result}); assign p = on ? x * b : 0; endmodule\n",
        encoding="utf-8",
    )
    told.write_text("replaces: mul_int4\nports: {a: x}\nconstants: {on: 1}\n", encoding="utf-8")
    with pytest.raises(ToolError, match=said):
        verify_rtl("mul_int4", sim=sim, sources=[mine], ports=told)


@pytest.mark.usefixtures("_icarus")
@pytest.mark.parametrize("name", ["mul_e4m3", "requantizer_int4", "requantizer_int4_sm", "sparse_2to4", "zero_point"])
def test_modules_pass_with_full_coverage(name: str) -> None:
    report = verify_rtl(name, tiles=60)
    assert report.passed, report.first_mismatch
    assert [point for point in report.coverage if not point.reached] == []


@pytest.mark.parametrize("unit", ["nvidia.hopper.wgmma.e4m3", "nvidia.hopper.mma.f16"])
def test_the_dot_product_of_an_h100_by_its_unit(unit: str, tmp_path: Path) -> None:
    need_module("verilator")
    need_tool("g++", "sudo apt-get install g++")
    path = tmp_path / "cases.npz"
    rng = np.random.default_rng(1)
    entry = case_unit(unit)
    assert entry is not None
    lanes, bits = entry.inputs[0].lanes, entry.inputs[0].bits
    a, b = rng.integers(0, 1 << (bits - 2), (2, 5, lanes)).astype(np.uint8 if bits == 8 else np.uint16)
    d = mma(a[:, None], b[:, None], None, unit)[:, 0, 0].view(np.uint32)
    d[3] ^= 1
    np.savez(path, a=a, b=b, d=d)
    report = verify_rtl(unit, sim="verilator", tiles=100, vectors=path)
    rows = {row.check: row for row in report.rows}
    assert all(row.passed for name, row in rows.items() if name != "vectors_file")
    assert rows["vectors"].compared == 5
    assert rows["vectors_file"].mismatches == 1
    assert "case 3: " in (rows["vectors_file"].first_mismatch or "")
    assert "the file expects" in (rows["vectors_file"].first_mismatch or "")
    assert [point for point in report.coverage if not point.reached] == []


@pytest.mark.usefixtures("_icarus")
def test_products_of_a_file_on_the_array(tmp_path: Path) -> None:
    rng = np.random.default_rng(2)
    a, b = rng.integers(0, 16, (2, 3, 9), dtype=np.uint8), rng.integers(0, 16, (2, 5, 9), dtype=np.uint8)
    d = np.stack([mma(x, y, None, "hwsim.rtl.int4") for x, y in zip(a, b, strict=True)])
    np.savez(tmp_path / "right.npz", a=a, b=b, d=d)
    np.savez(tmp_path / "wrong.npz", a=a, b=b, d=d + (np.arange(d.size).reshape(d.shape) == 7))
    for name, good in (("right", True), ("wrong", False)):
        report = verify_rtl(rows=4, cols=4, checks=["vectors"], vectors=tmp_path / f"{name}.npz")
        assert report.passed is good, report.first_mismatch
    assert "tile 0, row 1, column 2: array and golden model agree, but not the file" in str(report.first_mismatch)


def test_everything_that_can_be_proven_is_listed() -> None:
    names = verifiable()
    assert len(names) == len(set(names))
    listed = {"hwsim.rtl.int4", "mac_tile_axis", "mul_int8", "sparse_2to4", "nvidia.hopper.wgmma.e4m3"}
    assert listed <= set(names)
    assert CliRunner().invoke(command, ["--list"]).output.split() == list(names)
    with pytest.raises(UnitError, match=r"unknown unit or module with Verilog 'mul_int5' \(did you mean 'mul_int"):
        verify_rtl("mul_int5")


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("module: booth_mul2\n", "unknown module of the sources 'booth_mul2'"),
        ("modul: booth_mul\n", r"map\.yaml:1: unknown key 'modul' \(did you mean 'module'\?\)"),
        ("ports: {a: x, q: y}\n", "unknown port of mul_int4 'q'"),
        ("ports: {a: 'x); evil'}\n", "expected a Verilog name"),
        ("latency: 2\n", "latency and clock go together"),
        ("latency: fast\n", r"latency: expected a whole number, found 'fast'"),
        ("replaces: mul_int44\n", "unknown module of hwsim 'mul_int44'"),
        ("reset: rst\n", "reset: only beside a clock"),
        ("- a\n", "expected a mapping"),
    ],
)
def test_port_maps_that_do_not_fit(text: str, message: str, tmp_path: Path) -> None:
    path = tmp_path / "map.yaml"
    path.write_text(text, encoding="utf-8")
    with pytest.raises(DataError, match=message):
        read_portmap(path, top="mul_int4", sources=(BOOTH,))


def test_a_port_map_needs_a_source(tmp_path: Path) -> None:
    with pytest.raises(DataError, match="--source"):
        verify_rtl("mul_int4", ports=EXAMPLES / "booth_mul.yaml")


def test_the_wrapper_has_our_ports_and_holds_yours() -> None:
    text = wrapper(read_portmap(EXAMPLES / "booth_mul.yaml", top="mul_int4", sources=(BOOTH,)))
    assert "module mul_int4 (\n    input  wire clk," in text
    assert ".x(a),\n        .y(b),\n        .product(p),\n        .clk_i(clk)" in text
    assert [name for _, name in ports_of("mac_tile_axis")][:2] == ["aclk", "aresetn"]
    assert ("output", "start") in ports_of("zero_point")


@pytest.mark.parametrize(
    ("name", "content", "message"),
    [
        ("v.csv", "a,b\n1\n", r"case 0: expected 2 cells, found 1"),
        ("v.csv", "a,q\n1,2\n", r"line 1: unknown port 'q'"),
        ("v.csv", "a,b\n", "a line for each case"),
        ("v.csv", "a,b\n1,two\n", "b: expected whole numbers, decimal or 0x.., found 'two'"),
        ("v.csv", "a,b\n1,16\n", r"b: case 0, lane 0: 16 does not fit 4 bits \(0\.\.15\)"),
        ("v.csv", "a,b\n1,1 2\n", "b: expected 1 values, found 2"),
        ("v.csv", "a,p\n1,1\n", "no 'b'"),
        ("v.txt", "a,b\n1,1\n", r"expected a \.npz or \.csv file"),
        ("v.npz", "not one", "not a .npz file"),
    ],
)
def test_vectors_that_do_not_fit(name: str, content: str, message: str, tmp_path: Path) -> None:
    path = tmp_path / name
    path.write_text(content, encoding="utf-8")
    unit = case_unit("mul_int4")
    assert unit is not None
    with pytest.raises(HwsimError, match=message):
        read_vectors(path, unit)


@pytest.mark.usefixtures("_icarus")
def test_json_holds_coverage() -> None:
    done = CliRunner().invoke(command, ["--unit", "mul_int2", "--json"])
    (report,) = json.loads(done.stdout)["reports"]
    assert report["rows"][0]["points"][0] == {"name": "operand pairs", "hits": 16, "of": 16}
