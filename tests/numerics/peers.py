"""Other people's encoders as functions: what `tests/data/make_encoding_vectors.py` records and the slow tests run live.

Every `Peer` answers with codes or with values for one input array; tests say what hwsim must be asked for to agree.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any

import numpy as np

from hwsim.numerics import random_bits
from tests.numerics.reference import critical_points


@dataclass(frozen=True)
class Peer:
    """One outside encoder.

    Attributes:
        module: the package to import; ``install`` is its name for pip where that differs.
        fmt, options: what hwsim is asked for (`encode`, or `quantize_tensor` for block formats).
        answer: codes of a float32 array, or (where ``values``) the numbers they stand for.
        skip: where an input is outside what the peer defines, and why.
    """

    module: str
    fmt: str
    answer: Callable[[np.ndarray], np.ndarray]
    options: dict[str, Any] = field(default_factory=dict)
    values: bool = False
    skip: Callable[[np.ndarray], np.ndarray] = lambda x: np.zeros(x.shape, bool)
    install: str = ""


def _tensor(x: np.ndarray) -> Any:
    import torch

    return torch.from_numpy(np.ascontiguousarray(x))


def _torch(name: str) -> Callable[[np.ndarray], np.ndarray]:
    def answer(x: np.ndarray) -> np.ndarray:
        import torch

        return _tensor(x).to(getattr(torch, name)).view(torch.uint8).numpy()

    return answer


def _torchao(name: str) -> Callable[[np.ndarray], np.ndarray]:
    def answer(x: np.ndarray) -> np.ndarray:
        from torchao.prototype.mx_formats import kernels

        return getattr(kernels, name)(_tensor(x)).numpy()

    return answer


def _compressed_tensors(x: np.ndarray) -> np.ndarray:
    from compressed_tensors.quantization.utils.fp4_utils import cast_to_fp4

    return cast_to_fp4(_tensor(x).clone()).numpy()


def _quark_fp4(x: np.ndarray) -> np.ndarray:
    import quark.torch.kernel  # noqa: F401
    import torch

    return torch.ops.quark.fake_quantize_to_low_precision_fp(_tensor(x).clone(), 2, 1, 6.0, 0).numpy()


def _en_dtypes(name: str) -> Callable[[np.ndarray], np.ndarray]:
    def answer(x: np.ndarray) -> np.ndarray:
        import en_dtypes

        with np.errstate(all="ignore"):
            return x.astype(getattr(en_dtypes, name)).view(np.uint8)

    return answer


def _onnx_e8m0(mode: str) -> Callable[[np.ndarray], np.ndarray]:
    def answer(x: np.ndarray) -> np.ndarray:
        from onnx import numpy_helper

        return numpy_helper.to_float8e8m0(x, saturate=True, round_mode=mode).view(np.uint8)

    return answer


def _not_positive(x: np.ndarray) -> np.ndarray:
    return ~(x > 0) | np.isinf(x)


def _tiny(x: np.ndarray) -> np.ndarray:
    return (x != 0) & (np.abs(x) < 2.0**-126)


def _subnormal(x: np.ndarray) -> np.ndarray:
    return _not_positive(x) | (x < 2.0**-126)


ELEMENTS: dict[str, Peer] = {
    "torch_e4m3fn": Peer("torch", "fp8_e4m3fn", _torch("float8_e4m3fn"), {"profile": "torch"}),
    "torch_e5m2": Peer("torch", "fp8_e5m2", _torch("float8_e5m2"), {"profile": "torch"}),
    "torch_e4m3fnuz": Peer("torch", "fp8_e4m3fnuz", _torch("float8_e4m3fnuz"), {"profile": "ml_dtypes"}),
    "torch_e5m2fnuz": Peer("torch", "fp8_e5m2fnuz", _torch("float8_e5m2fnuz"), {"profile": "ml_dtypes"}),
    "torch_e8m0": Peer("torch", "e8m0", _torch("float8_e8m0fnu"), {"profile": "torch"}, skip=_tiny),
    "torchao_e2m1": Peer("torchao", "fp4_e2m1", _torchao("f32_to_f4_unpacked"), skip=np.isnan),
    "torchao_e2m3": Peer("torchao", "fp6_e2m3", _torchao("f32_to_f6_e2m3_unpacked"), skip=np.isnan),
    "torchao_e3m2": Peer("torchao", "fp6_e3m2", _torchao("f32_to_f6_e3m2_unpacked"), skip=np.isnan),
    "compressed_tensors_e2m1": Peer(
        "compressed_tensors",
        "fp4_e2m1",
        _compressed_tensors,
        {"profile": "compressed_tensors"},
        values=True,
        skip=np.isnan,
        install="compressed-tensors",
    ),
    "quark_e2m1": Peer(
        "quark",
        "fp4_e2m1",
        _quark_fp4,
        {"profile": "quark"},
        values=True,
        skip=lambda x: ~np.isfinite(x),
        install="amd-quark",
    ),
    "en_dtypes_hif8": Peer("en_dtypes", "fp8_hif8", _en_dtypes("hifloat8"), install="en-dtypes"),
    "en_dtypes_e1m2": Peer("en_dtypes", "fp4_e1m2", _en_dtypes("float4_e1m2"), skip=np.isnan, install="en-dtypes"),
    "en_dtypes_e2m1": Peer("en_dtypes", "fp4_e2m1", _en_dtypes("float4_e2m1"), skip=np.isnan, install="en-dtypes"),
    "onnx_e8m0_down": Peer("onnx", "e8m0", _onnx_e8m0("down"), {"rounding": "toward_zero"}, skip=_subnormal),
    "onnx_e8m0_up": Peer("onnx", "e8m0", _onnx_e8m0("up"), {"rounding": "up"}, skip=_subnormal),
}


def element_inputs(fmt: str, random: int, dtype: type = np.float32) -> np.ndarray:
    """All float16 patterns, every value and midpoint of the format with their neighbours, and random bit patterns."""
    from hwsim.numerics import formats

    half = np.arange(1 << 16, dtype=np.uint16).view(np.float16).astype(dtype)
    words = random_bits(random * np.dtype(dtype).itemsize // 4, seed=20261123).view(dtype)
    return np.concatenate([half, critical_points(formats[fmt], dtype), words])


# Blocks ---------------------------------------------------------------------------------------------------------------
def block_inputs(blocks: int) -> np.ndarray:
    """[blocks, 256] finite float32 from Philox bits: sums of uniforms over 32 octaves, with zeros and equal numbers."""
    words = random_bits((blocks, 256, 4), seed=7).astype(np.float64) / 2.0**32 - 0.5
    octave = random_bits(blocks, seed=8) % 32
    x = (words.sum(axis=2) * np.exp2(octave[:, None].astype(np.float64) - 20)).astype(np.float32)
    x[random_bits((blocks, 256), seed=9) % 16 == 0] = 0
    x[0] = 0
    x[1] = 1.5
    x[2, ::2] = -0.0
    return x


def _torchao_mx(element: str, mode: str) -> Callable[[np.ndarray], np.ndarray]:
    def answer(x: np.ndarray) -> np.ndarray:
        import torch
        from torchao.prototype.mx_formats.config import ScaleCalculationMode
        from torchao.prototype.mx_formats.mx_tensor import to_mx

        kind = getattr(torch, element)
        scale, data = to_mx(_tensor(x), kind, 32, ScaleCalculationMode(mode))
        rows = scale.view(torch.uint8).numpy().reshape(len(x), -1), data.view(torch.uint8).numpy().reshape(len(x), -1)
        return np.concatenate(rows, axis=1)

    return answer


def _torchao_nvfp4(x: np.ndarray) -> np.ndarray:
    import torch
    from torchao.prototype.mx_formats.nvfp4_tensor import nvfp4_quantize

    tensor = _tensor(x)
    scale, data = nvfp4_quantize(tensor, 16, tensor.abs().max() / (448 * 6))
    rows = scale.view(torch.uint8).numpy().reshape(len(x), -1), data.view(torch.uint8).numpy().reshape(len(x), -1)
    return np.concatenate(rows, axis=1)


def _quark_micro(bits: int) -> Callable[[np.ndarray], np.ndarray]:
    def answer(x: np.ndarray) -> np.ndarray:
        import quark.torch.kernel  # noqa: F401
        from quark.torch.kernel.hw_emulation import hw_emulation_interface as emulation

        options = {"axis": -1, "block_size": 16, "quant_bit": bits, "sub_block_size": 2}
        return emulation.fake_quantize_mx6_mx9(_tensor(x), **options).numpy()

    return answer


def _quark_mx(element: str, mode: str) -> Callable[[np.ndarray], np.ndarray]:
    def answer(x: np.ndarray) -> np.ndarray:
        import quark.torch.kernel  # noqa: F401
        from quark.torch.kernel.hw_emulation import hw_emulation_interface as emulation

        return emulation.fake_quantize_mx(_tensor(x), -1, 32, mode, mx_element_dtype=element).numpy()

    return answer


def _gguf(name: str) -> Callable[[np.ndarray], np.ndarray]:
    def answer(x: np.ndarray) -> np.ndarray:
        from gguf import GGMLQuantizationType, quants

        return quants.quantize(x, GGMLQuantizationType[name])

    return answer


def _bitsandbytes(name: str) -> Callable[[np.ndarray], np.ndarray]:
    def answer(x: np.ndarray) -> np.ndarray:
        from bitsandbytes.functional import quantize_4bit

        raw, state = quantize_4bit(_tensor(x), blocksize=64, quant_type=name)
        return np.concatenate([raw.numpy().reshape(-1), state.absmax.numpy().view(np.uint8)])

    return answer


_MX_ELEMENTS = {"mxfp4": "float4_e2m1fn_x2", "mxfp8_e4m3": "float8_e4m3fn", "mxfp8_e5m2": "float8_e5m2"}
BLOCKS: dict[str, Peer] = {
    **{
        f"torchao_{fmt}_{mode}": Peer("torchao", fmt, _torchao_mx(element, mode), {"mode": mode})
        for fmt, element in _MX_ELEMENTS.items()
        for mode in ("floor", "even", "rceil", "ceil")
    },
    "torchao_nvfp4": Peer("torchao", "nvfp4", _torchao_nvfp4, {"mode": "reciprocal", "block_scale_floor": 2.0**-6}),
    "quark_mx9": Peer("quark", "mx9", _quark_micro(8), values=True, install="amd-quark"),
    "quark_mx6": Peer("quark", "mx6", _quark_micro(5), values=True, install="amd-quark"),
    "quark_mxfp4_even": Peer(
        "quark", "mxfp4", _quark_mx("fp4", "even"), {"mode": "even"}, values=True, install="amd-quark"
    ),
    "gguf_q4_0": Peer("gguf", "q4_0", _gguf("Q4_0")),
    "gguf_q4_1": Peer("gguf", "q4_1", _gguf("Q4_1")),
    "gguf_q8_0": Peer("gguf", "q8_0", _gguf("Q8_0")),
    "bitsandbytes_nf4": Peer("bitsandbytes", "nf4", _bitsandbytes("nf4")),
    "bitsandbytes_fp4": Peer("bitsandbytes", "fp4_bnb", _bitsandbytes("fp4")),
}
