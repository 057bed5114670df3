"""Several chips: work is conserved, energy adds up, and faster links or memories never make a pass slower."""

from __future__ import annotations

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from hwsim.api import estimate
from hwsim.target import load_target
from tests.perf.parts import faster

H100 = load_target("nvidia-h100")


@settings(max_examples=25, deadline=None)
@given(
    st.sampled_from(["llama2-7b", "llama3-8b", "gpt2"]),
    st.sampled_from([2, 4]),
    st.integers(1, 64),
    st.sampled_from([1, 128]),
    st.sampled_from(["fp16", "fp8"]),
)
def test_invariants(network: str, chips: int, batch: int, tokens: int, precision: str) -> None:
    sizes = {"precision": precision, "batch": batch, "new_tokens": tokens, "context": 256}
    one, shared = estimate(network, H100, **sizes), estimate(network, H100, **sizes, chips=chips)
    # Heads, hidden elements and vocabulary are cut; what does not divide is filled up (50257 and 128256 words).
    assert one.macs <= shared.macs <= one.macs * 1.001
    assert shared.joules == pytest.approx(sum(shared.energy_pj.values()) / 1e12)
    assert shared.joules == pytest.approx(chips * sum(row.total_pj for row in shared.rows) / 1e12)
    assert min(shared.energy_pj.values()) >= 0
    assert one.energy_pj["link"] == 0 < shared.energy_pj["link"]
    assert shared.joules > one.joules * 0.99  # nothing is saved but weights' tiles; idle power flows in each
    assert sum(row.seconds for row in shared.rows) == pytest.approx(shared.seconds)
    for path in ("machine.link.bytes_per_s", "machine.dram.bytes_per_s"):
        better = estimate(network, faster(H100, path, 2), **sizes, chips=chips)
        assert better.seconds <= shared.seconds * (1 + 1e-6)
        assert better.macs == shared.macs


def test_large_prefill_gains_and_one_token_of_a_small_network_does_not() -> None:
    large = [estimate("llama2-7b", H100, batch=4, new_tokens=1024, context=1024, chips=n).seconds for n in (1, 2, 4)]
    assert large[0] > large[1] > large[2] > large[0] / 4
    small = [estimate("gpt2", H100, chips=n).seconds for n in (1, 4)]
    assert small[1] > small[0]  # two all-reduces a layer, 23 us each


def test_links_cost_what_they_carry() -> None:
    found = estimate("llama2-7b", H100, precision="fp16", batch=2, chips=4)
    one_join = 2 * (4 - 1) / 4 * 2 * 4096 * 2  # an all-reduce of two rows of 4096 FP16 numbers
    joins = [row for row in found.rows if row.op == "AllReduce"]
    assert len(joins) == 64
    assert all(row.actions["link_bytes"] == one_join for row in joins)
    logits = next(row for row in found.rows if row.op == "AllGather").actions["link_bytes"]
    assert logits == (4 - 1) / 4 * 2 * 32000 * 2
    assert found.energy_pj["link"] == pytest.approx(4 * 40 * (64 * one_join + logits))


@pytest.mark.parametrize("name", ["nvidia-a100", "nvidia-b200", "nvidia-h200", "amd-mi300x"])
def test_other_chips_with_links(name: str) -> None:
    one, four = (estimate("llama2-7b", name, precision="fp16", batch=4, new_tokens=512, chips=n) for n in (1, 4))
    assert one.seconds / 4 < four.seconds < one.seconds
    assert four.evidence["energy"] == "assumed"


def test_memory_holds_the_cache_in_the_format_that_the_framework_keeps() -> None:
    sizes = {"precision": "fp8", "batch": 64, "context": 4096}
    cached = 2 * 32 * 64 * 4096 * 4096
    wide, narrow = (
        next(limit for limit in estimate("llama2-7b", H100, **sizes, **kept).constraints if limit.name == "memory")
        for kept in ({}, {"kv_cache": "fp8_e4m3fn"})
    )
    assert wide.found - narrow.found == pytest.approx(cached)
    assert not wide.meets
    assert narrow.meets
