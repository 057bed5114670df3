"""Networks by shape: multiply-accumulates and weights against published counts."""

from __future__ import annotations

import csv
from pathlib import Path

import pytest

from hwsim.errors import DataError, FormatError, ModelError, TargetError
from hwsim.perf import estimate, workload
from hwsim.perf.gpu_links import collective_s
from hwsim.perf.workloads import NAMES
from hwsim.target import load_target


@pytest.mark.parametrize(
    ("name", "gmacs", "weights"),
    [
        # torchvision's tables (GFLOPS there are multiply-accumulates); parameters without biases, norms, positions
        ("resnet50", 4.089, 25_502_912),
        ("mobilenet_v2", 0.3008, 3_469_760),
        ("vit_b_16", 17.564, 86_292_480),
        ("vit_l_16", 61.555, 303_800_320),
        ("resnet18", 1.814, 11_678_912),
        ("resnet34", 3.664, 21_779_648),
        ("resnet101", 7.801, 44_442_816),
        ("resnet152", 11.514, 60_040_384),
        ("efficientnet_b0", 0.3857, 5_236_192),
        ("mobilenet_v3_large", 0.2166, 5_483_032 - 2 * 12_200 - 7_360),
        ("mobilenet_v3_small", 0.0565, 2_542_856 - 2 * 6_056 - 4_912),
    ],
)
def test_image_networks(name: str, gmacs: float, weights: int) -> None:
    found = workload(name)
    assert found.macs / 1e9 == pytest.approx(gmacs, rel=0.002)
    assert found.weight_elements == weights
    assert workload(name, batch=3).macs == 3 * found.macs


@pytest.mark.parametrize(
    ("name", "parameters", "embeddings"),
    [
        # all parameters, and those of embeddings (looked up, not multiplied), as papers and model cards give them
        ("llama2-7b", 6.738e9, 32000 * 4096),
        ("llama3-8b", 8.030e9, 128256 * 4096),
        ("llama2-13b", 13.016e9, 32000 * 5120),
        ("llama3.2-1b", 1.236e9, 0),  # tied: the output product is the embedding
        ("qwen2-7b", 7.616e9, 152064 * 3584),
        ("mistral-7b", 7.242e9, 32000 * 4096),
        ("mixtral-8x7b", 46.70e9, 32000 * 4096),
        ("llama2-70b", 68.977e9, 32000 * 8192),
        ("llama3-70b", 70.554e9, 128256 * 8192),
        ("llama3.2-3b", 3.2127e9, 0),
        ("tinyllama-1.1b", 1.1000e9, 32000 * 2048),
        ("qwen2.5-0.5b", 0.4940e9, 0),
        ("qwen2.5-1.5b", 1.5437e9, 0),
        ("qwen2.5-3b", 3.0859e9, 0),
        ("qwen2.5-7b", 7.6156e9, 152064 * 3584),
        ("qwen2.5-14b", 14.770e9, 152064 * 5120),
        ("qwen2.5-32b", 32.764e9, 152064 * 5120),
        ("phi3-mini", 3.8211e9, 32064 * 3072),
        ("gemma-2b", 2.5062e9, 0),
        ("gemma-7b", 8.5377e9, 0),
        ("gpt2-large", 774.0e6, 1024 * 1280),
        ("gpt2-xl", 1557.6e6, 1024 * 1600),
        ("opt-125m", 125.2e6, 2050 * 768),
        ("opt-1.3b", 1315.8e6, 2050 * 2048),
        ("opt-6.7b", 6658.5e6, 2050 * 4096),
        ("distilbert", 66.36e6, (30522 + 512) * 768),
        ("roberta_base", 124.65e6, (50265 + 514 + 1) * 768 + 768 * 768),
        ("roberta_large", 355.36e6, (50265 + 514 + 1) * 1024 + 1024 * 1024),
        ("gpt2-medium", 354.8e6, 1024 * 1024),
        ("bert_large", 335.1e6, (30522 + 512 + 2) * 1024 + 1024 * 1024),
        ("gpt2", 124.4e6, 1024 * 768),
        ("bert_base", 109.5e6, (30522 + 512 + 2) * 768 + 768 * 768),
    ],
)
def test_language_models_multiply_with_all_but_their_embeddings(name: str, parameters: float, embeddings: int) -> None:
    found = workload(name, new_tokens=64, context=64)
    assert found.weight_elements == pytest.approx(parameters - embeddings, rel=0.003)


@pytest.mark.parametrize("name", ["Llama2_7B", "bert-base", "ResNet50", "gpt2_medium"])
def test_other_spellings_of_a_name(name: str) -> None:
    assert workload(name).name in NAMES


def test_decode_and_prefill() -> None:
    decode = workload("llama2-7b", batch=2, new_tokens=1, context=512, weights="bf16")
    attention = 2 * 32 * 32 * 2 * 512 * 128
    assert decode.macs == 2 * decode.weight_elements + attention
    prefill = workload("llama2-7b", new_tokens=512, context=512, weights="bf16")
    assert prefill.macs > 500 * decode.macs / 2


def test_a_token_of_mixtral_reads_two_experts() -> None:
    one, many = workload("mixtral-8x7b"), workload("mixtral-8x7b", batch=64)
    expert = 3 * 4096 * 14336 * 32
    assert many.weight_elements - one.weight_elements == 6 * expert


@pytest.mark.parametrize("name", NAMES)
def test_every_network_on_the_h100(name: str) -> None:
    found = estimate(workload(name, weights="fp16"), load_target("nvidia-h100"))
    assert found.precision == "fp16"
    assert found.seconds > 0


def test_errors() -> None:
    with pytest.raises(ModelError, match=r"unknown workload 'resnet5' \(did you mean 'resnet50'\?\)"):
        workload("resnet5")
    with pytest.raises(FormatError, match="fp17"):
        workload("resnet50", weights="fp17")
    with pytest.raises(DataError, match="batch must be at least 1, found 0"):
        workload("resnet50", batch=0)
    with pytest.raises(DataError, match="at most context = 4, found 8"):
        workload("gpt2", new_tokens=8, context=4)


def test_h100_prefill_against_silicon() -> None:
    """Large products dominate here; launch-bound networks and quantized decoding are not yet modelled this well."""
    with (Path(__file__).resolve().parents[1] / "data" / "h100" / "nets.csv").open() as stream:
        rows = list(csv.DictReader(line for line in stream if not line.startswith("#")))
    errors = []
    for row in rows:
        detail = dict(item.split("=") for item in row["detail"].split(";"))
        if detail.get("weights") == "bf16" and int(detail["new_tokens"]) > 1:
            sizes = {key: int(detail[key]) for key in ("batch", "new_tokens", "context")}
            found = estimate(workload("llama2-7b", weights="bf16", **sizes), load_target("nvidia-h100"))
            errors += [abs(found.seconds * 1e6 / float(row["us"]) - 1), abs(found.joules * 1e3 / float(row["mJ"]) - 1)]
    assert len(errors) == 6
    assert max(errors) < 0.08


@pytest.mark.parametrize("chips", [2, 4, 8])
def test_chips_share_a_transformer(chips: int) -> None:
    """Products and weights are an equal part each; all chips together do what one does alone."""
    one = workload("llama2-7b", batch=4, context=1024, weights="bf16")
    part = workload("llama2-7b", batch=4, context=1024, weights="bf16", chips=chips)
    assert part.macs == one.macs
    assert part.weight_elements == one.weight_elements
    joins = [op for op in part.ops if op.op in ("AllReduce", "AllGather")]
    assert len(joins) == 2 * 32 + 1
    assert joins[0].output_elements == 4 * 4096
    target = load_target("nvidia-h100")
    alone, shared = estimate(one, target), estimate(part, target)
    assert alone.seconds / chips < shared.seconds < alone.seconds
    assert shared.joules == pytest.approx(chips * sum(row.total_pj for row in shared.rows) / 1e12)
    joined = sum(row.seconds for row in shared.rows if row.op == "AllReduce")
    assert joined == pytest.approx(64 * collective_s("all_reduce", 4 * 4096 * 2, chips, target))


def test_what_chips_cannot_share() -> None:
    with pytest.raises(DataError, match="divide 12 heads, found 5"):
        workload("gpt2", chips=5)
    with pytest.raises(DataError, match="for transformers"):
        workload("resnet50", chips=2)
    with pytest.raises(TargetError, match="no links to other chips"):
        estimate(workload("gpt2", chips=2, weights="int8"), load_target("google-tpu-v5e"))


def test_a_narrow_cache_is_read_in_fewer_bytes() -> None:
    target = load_target("nvidia-h100")
    wide, narrow = (
        next(row for row in estimate(work, target).rows if row.name == "layer0.scores").dram_bytes
        for work in (
            workload("llama2-7b", batch=8, context=2048, weights="bf16"),
            workload("llama2-7b", batch=8, context=2048, weights="bf16", kv_cache="fp8_e4m3fn"),
        )
    )
    assert narrow == wide / 2
