"""Finding our Verilog, and putting a caller's files in its place."""

from __future__ import annotations

from pathlib import Path

import pytest

from hwsim.errors import DataError, ToolError
from hwsim.verify.sources import modules_in, rtl_dir, rtl_sources


def write(folder: Path, name: str, *modules: str) -> Path:
    path = folder / name
    path.write_text("".join(f"module {module} ();\nendmodule\n" for module in modules), encoding="utf-8")
    return path


def test_the_repository_is_the_source_in_a_checkout() -> None:
    assert (rtl_dir() / "array_ws.v").is_file()
    names = [name for path in rtl_sources() for name in modules_in(path)]
    assert sorted(names) == sorted(set(names))
    assert {"array_ws", "pe_ws", "mul_int4", "tb_array_ws"} <= set(names)


def test_an_installed_package_brings_its_own_copy(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setattr("hwsim.verify.sources.__file__", str(tmp_path / "hwsim" / "verify" / "sources.py"))
    with pytest.raises(ToolError, match=r"Verilog sources are missing \(reinstall hwsim\)"):
        rtl_dir()
    inside = tmp_path / "hwsim" / "_data" / "rtl"
    inside.mkdir(parents=True)
    write(inside, "array_ws.v", "array_ws")
    assert rtl_dir() == inside


def test_modules_are_found_outside_comments(tmp_path: Path) -> None:
    path = tmp_path / "x.v"
    path.write_text(
        "// module a ();\n/* module b ();\nmodule c (); */\nmodule d ();\nendmodule\n  module e;\nendmodule\n"
    )
    assert modules_in(path) == ("d", "e")


def test_a_callers_module_replaces_ours_whatever_its_file_is_called(tmp_path: Path) -> None:
    mine = write(tmp_path, "anything.v", "mul_int4")
    sources = rtl_sources([mine])
    assert mine in sources
    assert rtl_dir() / "mul_int4.v" not in sources
    assert len(sources) == len(rtl_sources())


def test_a_caller_may_bring_helpers(tmp_path: Path) -> None:
    files = [write(tmp_path, "top.v", "mul_int4"), write(tmp_path, "helper.v", "full_adder")]
    assert set(files) <= set(rtl_sources(files))


def test_files_that_cannot_stand_in(tmp_path: Path) -> None:
    with pytest.raises(DataError, match=r"no module of mul_int5 is part of the array \(define one of: .*mul_int4"):
        rtl_sources([write(tmp_path, "a.v", "mul_int5")])
    with pytest.raises(DataError, match="no such Verilog file"):
        rtl_sources([tmp_path / "none.v"])
    with pytest.raises(DataError, match="defines no Verilog module"):
        rtl_sources([write(tmp_path, "b.v")])
    with pytest.raises(DataError, match=r"module 'mul_int4' is defined in .*c\.v too"):
        rtl_sources([write(tmp_path, "c.v", "mul_int4"), write(tmp_path, "d.v", "mul_int4")])
    (tmp_path / "e.v").write_bytes(b"\xff\xfe\x00")
    with pytest.raises(DataError, match="cannot read the Verilog file"):
        rtl_sources([tmp_path / "e.v"])
