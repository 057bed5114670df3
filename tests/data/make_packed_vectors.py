"""Record what GPTQ's, AWQ's and compressed-tensors' own code packs, and what it unpacks, into packed_vectors.npz.

    python tests/data/make_packed_vectors.py GPTQMODEL AUTOAWQ

GPTQMODEL and AUTOAWQ are folders with the sources of gptqmodel 7.7.0 and autoawq 0.2.9; single functions are taken from
them, since neither package opens without a GPU's libraries. compressed-tensors 0.20.0 must be installed. Every case
holds the tensors as a checkpoint has them, the settings, and ``real``, the weight [out, in] that the package reads.
"""

from __future__ import annotations

import ast
import json
import math
import sys
from contextlib import nullcontext
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
import torch

HERE = Path(__file__).parent
OUT, IN = 64, 96
Case = dict[str, Any]


def function(path: Path, name: str, names: dict[str, Any]) -> Any:
    """One function of a file, without the rest."""
    tree = ast.parse(path.read_text())
    found = next(n for n in ast.walk(tree) if isinstance(n, ast.FunctionDef) and n.name == name)
    found.decorator_list, found.returns = [], None
    for arg in found.args.args:
        arg.annotation = None
    exec(compile(ast.Module([found], []), str(path), "exec"), names)
    return names[name]


def draw(seed: int) -> torch.Tensor:
    return torch.tensor(np.random.default_rng(seed).standard_normal((OUT, IN)).astype(np.float32))


def ranges(w: torch.Tensor, group: int, top: int) -> tuple[torch.Tensor, torch.Tensor]:
    """Scales and zero points [out, groups] of an asymmetric scheme; zero points of at least 1, as v1 files can say."""
    parts = w.reshape(OUT, -1, group)
    low, high = parts.amin(-1).clamp(max=-1e-3), parts.amax(-1).clamp(min=0)
    scale = ((high - low) / top).half().float()
    return scale, torch.round(-low / scale).clamp(1, top)


def gptq(sources: Path, bits: int, version: str, order: bool) -> Case:
    """gptqmodel's pack_original; version 1 by the subtraction that its saver applies."""
    linears = sources / "gptqmodel" / "nn_modules" / "qlinear" / "__init__.py"
    nothing = SimpleNamespace(threadpool_limits=lambda n: nullcontext())
    names = {
        "t": torch, "np": np, "math": math, "nn": torch.nn, "_ConvNd": torch.nn.Conv2d, "THREADPOOLCTL": nothing,
        "transformers": SimpleNamespace(pytorch_utils=SimpleNamespace(Conv1D=int)),
        "_torch_right_shift": torch.bitwise_right_shift,
    }  # fmt: skip
    pack = function(linears, "pack_original", names)
    read = function(linears, "dequantize_weight", names)
    finish = function(linears, "_dequantize_from_codes", names)
    w, group = draw(bits), 16
    g_idx = torch.arange(IN) // group
    if order:
        g_idx = g_idx[torch.tensor(np.random.default_rng(9).permutation(IN))]
    by_group = torch.argsort(g_idx, stable=True)
    scale, zero = ranges(w[:, by_group], group, (1 << bits) - 1)
    held = SimpleNamespace(
        bits=bits, maxq=(1 << bits) - 1, pack_dtype_bits=32, pack_factor=32 // bits, planar=False, g_idx=g_idx.int(),
        pack_np_math_dtype=np.uint32, pack_np_dtype=np.int32, pack_dtype=torch.int32, in_features=IN,
        dequant_dtype=torch.int16 if bits == 8 else torch.int8, _init_wf_unsqueeze_buffers=lambda: None,
    )  # fmt: skip
    held.register_buffer = lambda name, value: setattr(held, name, value)
    linear = SimpleNamespace(weight=SimpleNamespace(data=w))
    pack(held, linear, scale, zero, held.g_idx)
    shifts = torch.arange(0, 32, bits, dtype=torch.int32)
    held.wf_unsqueeze_zero, held.wf_unsqueeze_neg_one = shifts[None, None], shifts[None, :, None]
    held._dequantize_from_codes = lambda *a, **k: finish(held, *a, **k)
    real = read(held).T.float().numpy()
    qzeros = held.qzeros.numpy()
    if version == "gptq":
        ones = sum(1 << at for at in range(0, 32, bits))
        qzeros = (qzeros.view(np.uint32) - np.uint32(ones)).view(np.int32)
    settings = {
        "quant_method": "gptq",
        "bits": bits,
        "group_size": group,
        "checkpoint_format": version,
        "desc_act": order,
    }
    parts = {"qweight": held.qweight, "qzeros": qzeros, "scales": held.scales, "g_idx": held.g_idx}
    return {"settings": settings, "real": real, **{k: np.asarray(v) for k, v in parts.items()}}


def awq(sources: Path) -> Case:
    """autoawq's WQLinear_GEMM.from_linear, read by its dequantize_gemm."""
    folder = sources / "awq"
    pack = function(
        folder / "modules" / "linear" / "gemm.py", "from_linear", {"torch": torch, "get_best_device": lambda: "cpu"}
    )
    names: dict[str, Any] = {
        "torch": torch,
        "AWQ_ORDER": [0, 2, 4, 6, 1, 3, 5, 7],
        "AWQ_REVERSE_ORDER": [0, 4, 1, 5, 2, 6, 3, 7],
    }
    for name in ("unpack_awq", "reverse_awq_order", "dequantize_gemm"):
        function(folder / "utils" / "packing_utils.py", name, names)
    w, group = draw(20), 32
    scale, zero = ranges(w, group, 15)
    grid = zero.repeat_interleave(group, 1)
    codes = (torch.round(w / scale.repeat_interleave(group, 1)) + grid).clamp(0, 15)
    linear = SimpleNamespace(in_features=IN, out_features=OUT, bias=None)
    linear.weight = SimpleNamespace(data=(codes - grid) * scale.repeat_interleave(group, 1), device="cpu")
    made = lambda *a: SimpleNamespace(w_bit=4, in_features=IN, out_features=OUT)  # noqa: E731
    held = pack(made, linear, 4, group, False, scale.T.contiguous(), zero.T.contiguous())
    real = names["dequantize_gemm"](held.qweight, held.qzeros, held.scales, 4, group).T.float().numpy()
    settings = {"quant_method": "awq", "bits": 4, "group_size": group, "version": "gemm", "zero_point": True}
    return {
        "settings": settings,
        "real": real,
        **{k: getattr(held, k).numpy() for k in ("qweight", "qzeros", "scales")},
    }


def compressed(kind: str, seed: int, **weights: Any) -> Case:
    """A compressor of compressed-tensors, there and back."""
    from compressed_tensors.compressors import BaseCompressor
    from compressed_tensors.compressors.nvfp4.helpers import unpack_fp4_from_uint8
    from compressed_tensors.quantization import QuantizationArgs, QuantizationScheme
    from compressed_tensors.quantization.lifecycle.forward import dequantize
    from compressed_tensors.quantization.utils import calculate_qparams, generate_gparam

    w, args = draw(seed), QuantizationArgs(**weights)
    scheme = QuantizationScheme(targets=["Linear"], weights=args)
    group, state = args.group_size or IN, {"weight": w}
    if args.strategy == "block":
        tall, wide = args.block_structure
        parts = w.reshape(OUT // tall, tall, IN // wide, wide)
        low, high = parts.amin((1, 3)), parts.amax((1, 3))
    else:
        parts = w.reshape(1, 1, -1) if args.strategy == "tensor" else w.reshape(OUT, -1, group)
        low, high = parts.amin(-1), parts.amax(-1)
    if kind.startswith("nvfp4"):
        state["weight_global_scale"] = generate_gparam(w.amin(), w.amax())
    scale, zero = calculate_qparams(low, high, args, global_scale=state.get("weight_global_scale"))
    state["weight_scale"] = scale.reshape(1) if args.strategy == "tensor" else scale
    if not args.symmetric:
        state["weight_zero_point"] = zero
    compressor = BaseCompressor.get_value_from_registry(kind)
    packed = compressor.compress(dict(state), scheme)
    real = compressor.decompress(dict(packed), scheme)["weight"].float().numpy()
    if kind.startswith("nvfp4"):  # the compressor itself would go through bfloat16
        codes = unpack_fp4_from_uint8(packed["weight_packed"], OUT, IN, dtype=torch.float32)
        scales, divisor = packed["weight_scale"].float(), packed["weight_global_scale"]
        real = dequantize(codes, scales, args=args, global_scale=divisor, dtype=torch.float32).numpy()
    said = {"quant_method": "compressed-tensors", "format": kind, "config_groups": {"group_0": {"weights": weights}}}
    out: Case = {"settings": said, "real": real}
    for key, value in packed.items():
        eight = value.dtype in (torch.float8_e4m3fn, torch.float8_e5m2)
        out[f"{key}|{'F8_E4M3' if eight else ''}"] = (
            value.detach().view(torch.uint8).numpy() if eight else value.detach().numpy()
        )
    return out


def main(gptqmodel: str, autoawq: str) -> None:
    cases = {
        f"gptq {bits} bits {version}{' ordered' if order else ''}": gptq(Path(gptqmodel), bits, version, order)
        for bits, version, order in (
            (4, "gptq", False), (4, "gptq_v2", False), (4, "gptq", True), (8, "gptq", False), (2, "gptq_v2", True),
        )
    }  # fmt: skip
    cases["awq"] = awq(Path(autoawq))
    whole, small = {"type": "int", "symmetric": True}, {"type": "float", "symmetric": True}
    cases["pack int4 groups"] = compressed("pack-quantized", 30, **whole, num_bits=4, strategy="group", group_size=16)
    cases["pack int4 asymmetric"] = compressed(
        "pack-quantized", 31, num_bits=4, type="int", symmetric=False, strategy="group", group_size=32
    )
    cases["pack int8 channels"] = compressed("pack-quantized", 32, **whole, num_bits=8, strategy="channel")
    cases["int8 tensor"] = compressed("int-quantized", 33, **whole, num_bits=8, strategy="tensor")
    cases["int8 channels"] = compressed("int-quantized", 34, **whole, num_bits=8, strategy="channel")
    cases["fp8 channels"] = compressed("float-quantized", 35, **small, num_bits=8, strategy="channel")
    cases["fp8 blocks"] = compressed(
        "float-quantized", 36, **small, num_bits=8, strategy="block", block_structure=[16, 32]
    )
    cases["nvfp4"] = compressed("nvfp4-pack-quantized", 37, **small, num_bits=4, strategy="tensor_group", group_size=16)
    cases["mxfp4"] = compressed("mxfp4-pack-quantized", 38, **small, num_bits=4, strategy="group", group_size=32)
    arrays = {
        f"{case}/{key}": value for case, held in cases.items() for key, value in held.items() if key != "settings"
    }
    settings = {case: held["settings"] for case, held in cases.items()}
    np.savez_compressed(HERE / "packed_vectors.npz", settings=np.array(json.dumps(settings)), **arrays)


if __name__ == "__main__":
    main(*sys.argv[1:3])
