"""What a page says of the shipped chips, against their files read as plain YAML."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
import yaml

from hwsim.errors import TargetError
from hwsim.ir.workload import gemm
from hwsim.perf import estimate as perf_estimate
from hwsim.report import HealthRow, render_html, summarise, target_result
from hwsim.report.model import KINDS, Comparison
from hwsim.target import load_target, names
from tests.report.sample import CNN, estimate, health, trace

TARGETS = Path(__file__).resolve().parents[2] / "targets"


def kinds(node: Any) -> set[str]:
    """Kinds of evidence of every number at or below a node of a target file."""
    if not isinstance(node, dict):
        return set()
    here = {node["kind"]} if "source" in node and ("value" in node or "value_pj" in node) else set()
    return here.union(*(kinds(child) for child in node.values()))


@pytest.mark.parametrize("name", names())
def test_every_claim_rests_on_the_weakest_of_its_numbers(name: str) -> None:
    target = load_target(name)
    raw = yaml.safe_load((TARGETS / f"{name}.yaml").read_text(encoding="utf-8"))
    for precision in target.precisions:
        mode = raw["precisions"][precision]
        if target.machine.kind == "gpu":  # its launch includes the wait for memory; one chip has no use for links
            raw["machine"]["dram"].pop("latency_s", None)
            raw["machine"].pop("link", None)
            raw["machine"].get("dequantize", {}).pop("operations_per_weight", None)
        timing = kinds(raw["machine"]) | kinds(raw["vector"]) | kinds({k: v for k, v in mode.items() if k != "mac_pj"})
        energy = kinds(raw["energy"]) | kinds(mode["mac_pj"])
        summary = summarise(target, precision)
        assert summary.evidence["timing"].kind == max(timing, key=KINDS.index)
        assert summary.evidence["energy"].kind == max(energy, key=KINDS.index)
        assert all(evidence.source for evidence in summary.evidence.values())
        made = perf_estimate(gemm(8, 8, 8), target, precision)
        assert {subject: proof.kind for subject, proof in summary.evidence.items()} == made.evidence
        assert summary.unit == mode["unit"]
        assert summary.weights.startswith(mode["weights"]["format"])


@pytest.mark.parametrize("name", names())
def test_numbers_of_other_precisions_are_left_out(name: str) -> None:
    target = load_target(name)
    summary = summarise(target)
    other = [path for path, _ in target.quantities() if path.startswith("precisions.")]
    mine = [path for path in other if path.startswith(f"precisions.{target.default_precision}.")]
    paths = [item.path for item in summary.numbers]
    assert [path for path in paths if path.startswith("precisions.")] == mine
    assert len(paths) == len(list(target.quantities())) - len(other) + len(mine)


def test_a_page_of_a_shipped_target() -> None:
    target = load_target("hwsim-int4-ws16")
    made = estimate(target.name, CNN, peak=1e11, bandwidth=1e9)
    result = target_result(target, made, trace=trace(CNN, "hwsim.rtl.int4"), health=health(CNN))
    page = render_html(Comparison("mnist-cnn", "one chip", "none", 0, (result,), created="2026-01-01T00:00:00Z"))
    assert target.title in page
    assert "machine.clock_hz" in page
    assert isinstance(result.health[0], HealthRow)


def test_unknown_precision() -> None:
    with pytest.raises(TargetError, match="did you mean 'int4'"):
        summarise(load_target("hwsim-int4-ws16"), "int44")
