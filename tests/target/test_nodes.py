"""A chip's energies at another node."""

from __future__ import annotations

import warnings

import pytest
from click.testing import CliRunner

from hwsim.cli.app import group as main
from hwsim.errors import DataError
from hwsim.perf import estimate, workload
from hwsim.target import at_node, load_target


def test_the_table_gives_its_own_ends_back() -> None:
    """Gemmini is given at 16 nm; from 45 nm to 7 nm logic falls to 0.35, memories to 0.355, whatever lies between."""
    chip = load_target("gemmini")
    old, new = at_node(chip, 45), at_node(chip, 7)
    assert new.precision().mac_pj.value_pj == pytest.approx(0.35 * old.precision().mac_pj.value_pj)
    assert old.energy.scratchpad_pj_per_byte is not None
    assert new.energy.scratchpad_pj_per_byte is not None
    assert new.energy.scratchpad_pj_per_byte.value_pj == pytest.approx(
        0.355 * old.energy.scratchpad_pj_per_byte.value_pj
    )
    assert new.energy.dram_pj_per_byte == chip.energy.dram_pj_per_byte
    assert new.energy.static_w == chip.energy.static_w
    back = at_node(old, chip.energy.node_nm.value)
    assert back.precision().mac_pj.value_pj == pytest.approx(chip.precision().mac_pj.value_pj)


def test_bands_widen_and_evidence_weakens() -> None:
    with pytest.warns(UserWarning, match="at 4 nm"):
        scaled = at_node(load_target("nvidia-h100"), 7)
    price = scaled.precision("fp16").mac_pj
    assert price.low_pj is not None
    assert price.high_pj is not None
    assert price.high_pj >= 2 * price.value_pj >= 4 * price.low_pj * 0.999
    assert price.kind == "derived"
    assert price.source == "nodes"
    work = workload("resnet50", weights="fp16")
    assert estimate(work, scaled).joules > estimate(work, load_target("nvidia-h100")).joules


def test_extrapolation_is_told() -> None:
    with pytest.warns(UserWarning, match="eyeriss: energies are known from 7 to 45 nm; at 65 nm they are"):
        at_node(load_target("eyeriss"), 28)
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        at_node(load_target("gemmini"), 22)
    with pytest.raises(DataError, match="expected a node above 0 nm, found -3"):
        at_node(load_target("gemmini"), -3)
    ran = CliRunner().invoke(main, ["estimate", "--gemm", "8,8,8", "--target", "gemmini", "--node", "3"])
    assert "hwsim: warning: gemmini: energies are known from 7 to 45 nm; at 3 nm" in ran.output
