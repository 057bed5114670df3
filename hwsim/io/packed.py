"""Weights that GPTQ, AWQ and compressed-tensors packed, out of a folder of safetensors, code for code.

Layouts: gptqmodel and AutoGPTQ (``qweight``, ``qzeros``, ``scales``, ``g_idx``; checkpoint_format ``gptq`` stores zero
points minus one, ``gptq_v2`` as they are), AutoAWQ (version ``gemm``), compressed-tensors (``pack-quantized``,
``int-quantized``, ``float-quantized``, ``naive-quantized``, ``nvfp4-pack-quantized``, ``mxfp4-pack-quantized``).
Nothing is rounded anew: what a file stores is what the graph holds.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
from numpy.typing import NDArray

from hwsim.errors import FormatError, ModelError, unknown
from hwsim.io.tensors import Tensors
from hwsim.numerics import QTensor, decode, unpack
from hwsim.numerics.vendor import from_awq

METHODS = ("gptq", "awq", "compressed-tensors", "fp8")
PACKED_BITS = (2, 4, 8)
"""Widths that our formats have; GPTQ and compressed-tensors know others."""
_SMALL = {"F16": "fp16", "BF16": "bf16", "F32": "fp32"}

Array = NDArray[Any]


@dataclass(frozen=True, slots=True, eq=False)
class PackedTensors(Tensors):
    """The tensors of a folder whose config.json has a ``quantization_config``.

    A packed module ``m`` has no tensor ``m.weight``, but parts; it is asked for by that name all the same.

    Attributes:
        method: a name in :data:`METHODS`.
        settings: the ``quantization_config``.
    """

    method: str = ""
    settings: Mapping[str, Any] | None = None

    def __contains__(self, name: str) -> bool:
        module = name.removesuffix(".weight")
        return any(part in self.entries for part in (name, f"{module}.qweight", f"{module}.weight_packed"))

    def weight(self, name: str, shape: tuple[int, ...] | None = None) -> NDArray[np.float32] | QTensor:
        """A weight [out, in] as the file stores it, with inputs in the order of :meth:`order`.

        Raises:
            ModelError: parts are missing or do not fit each other or ``shape``; a width or a layout without a format.
        """
        module = name.removesuffix(".weight")
        where = f"{self.where}: module {module!r}"
        try:
            if f"{module}.qweight" in self.entries:
                found = self._gptq(module, where) if self.method == "gptq" else self._awq(module, where)
            elif f"{module}.weight_packed" in self.entries:
                words = self.kind(f"{module}.weight_packed") == "I32"
                found = self._integers(module, where) if words else self._fp4(module, where)
            elif name in self.entries and self.kind(name) in ("I8", "F8_E4M3", "F8_E5M2"):
                found = self._bytes(module, where)
            else:
                return self.load(name, shape)
        except FormatError as err:
            raise ModelError(err.message, where=where) from None
        if shape is not None and found.shape != shape:
            raise ModelError(f"must have shape {list(shape)}, found {list(found.shape)}", where=where)
        return found

    def order(self, name: str) -> NDArray[np.int64] | None:
        """Which input each column of the weight takes (GPTQ's act-order puts groups together); None: as they come."""
        groups = self._groups(name.removesuffix(".weight"))
        found = None if groups is None else np.argsort(groups, kind="stable")
        return None if found is None or np.array_equal(found, np.arange(found.size)) else found

    def _groups(self, module: str) -> NDArray[np.int64] | None:
        """The group of each input, where the file lists them."""
        key = next((k for k in (f"{module}.g_idx", f"{module}.weight_g_idx") if k in self.entries), None)
        return None if key is None else self.stored(key).astype(np.int64).reshape(-1)

    def _in_order(self, module: str, held: QTensor, where: str) -> QTensor:
        """The weight with its columns put together by groups."""
        groups, inputs = self._groups(module), held.shape[1]
        if groups is None:
            return held
        size = inputs if held.block_size is None else held.block_size
        if not np.array_equal(np.sort(groups), np.arange(inputs) // size):
            raise ModelError(f"g_idx does not hold {inputs} inputs in groups of {size}", where=where)
        return replace(held, codes=np.ascontiguousarray(held.codes[:, np.argsort(groups, kind="stable")]))

    def _part(self, module: str, part: str, rank: int, where: str) -> Array:
        found = self.stored(f"{module}.{part}")
        if found.ndim != rank:
            raise ModelError(f"{part} must have {rank} dimensions, found shape {list(found.shape)}", where=where)
        return found

    def _reals(self, module: str, part: str) -> tuple[NDArray[np.float32], str]:
        """Scales, and the format that stores them."""
        name = f"{module}.{part}"
        return self.load(name), _SMALL.get(self.kind(name), "fp32")

    def _gptq(self, module: str, where: str) -> QTensor:
        qweight, qzeros = self._part(module, "qweight", 2, where), self._part(module, "qzeros", 2, where)
        scales, small = self._reals(module, "scales")
        bits = self._setting("bits", 4, where)
        inputs, outputs = qweight.shape[0] * 32 // max(bits, 1), qweight.shape[1]
        if bits not in PACKED_BITS:
            raise ModelError(f"{bits} bits are not supported, only {_listed(PACKED_BITS)}", where=where)
        codes = _fields(qweight.T, bits, inputs, where)
        zeros = _fields(qzeros, bits, outputs, where).astype(np.int32)
        version = str((self.settings or {}).get("checkpoint_format", "gptq"))
        if version not in ("gptq", "gptq_v2"):
            raise unknown(ModelError, "checkpoint_format", version, ("gptq", "gptq_v2"), where=where)
        if version == "gptq":  # stored minus one, modulo the width
            zeros = zeros + 1 & (1 << bits) - 1
        return self._in_order(module, self._grouped(codes, f"uint{bits}", scales.T, zeros.T, small, where), where)

    def _awq(self, module: str, where: str) -> QTensor:
        parts = [self._part(module, part, 2, where) for part in ("qweight", "qzeros")]
        scales, small = self._reals(module, "scales")
        version, bits = str((self.settings or {}).get("version", "gemm")).lower(), self._setting("bits", 4, where)
        if (version, bits) != ("gemm", 4):
            raise ModelError(
                f"AWQ version {version!r} with {bits} bits is not supported, only gemm with 4", where=where
            )
        if parts[1].shape != (scales.shape[0], parts[0].shape[1]) or scales.shape[1] != parts[0].shape[1] * 8:
            shapes = ", ".join(str(list(part.shape)) for part in (*parts, scales))
            raise ModelError(f"qweight, qzeros and scales of shapes {shapes} do not fit each other", where=where)
        found = from_awq(parts[0], parts[1], scales)
        zeros = found.zero_point
        assert zeros is not None
        return self._grouped(found.codes, "uint4", scales.T, zeros, small, where)

    def _integers(self, module: str, where: str) -> QTensor:
        """pack-quantized: codes plus 2^(bits - 1), a bit stream along the inputs."""
        words, shape = self._part(module, "weight_packed", 2, where), self._part(module, "weight_shape", 1, where)
        if shape.size != 2 or shape[0] != words.shape[0] or not 1 <= shape[1] <= words.shape[1] * 32:
            raise ModelError(f"weight_shape {shape.tolist()} does not fit words of {list(words.shape)}", where=where)
        inputs = int(shape[1])
        bits = next((b for b in PACKED_BITS if -(-inputs * b // 32) == words.shape[1]), None)
        if bits is None:
            raise ModelError(
                f"{inputs} inputs in {words.shape[1]} words: only {_listed(PACKED_BITS)} bits are supported",
                where=where,
            )
        half = 1 << (bits - 1)
        codes = _fields(words, bits, inputs, where) ^ np.uint8(half)
        scales, small = self._reals(module, "weight_scale")
        zeros: NDArray[np.int32] | None = None
        if f"{module}.weight_zero_point" in self.entries:
            packed = self._part(module, "weight_zero_point", 2, where)
            outputs = words.shape[0]
            zeros = _fields(packed.T, bits, outputs, where).T.astype(np.int32) - half
        return self._in_order(module, self._grouped(codes, f"int{bits}", scales, zeros, small, where), where)

    def _fp4(self, module: str, where: str) -> QTensor:
        """nvfp4- and mxfp4-pack-quantized: two E2M1 codes a byte, the first low."""
        raw, scale_name = self._part(module, "weight_packed", 2, where), f"{module}.weight_scale"
        codes = unpack(np.ascontiguousarray(raw, np.uint8).reshape(-1), "fp4_e2m1", (raw.shape[0], raw.shape[1] * 2))
        if f"{module}.weight_global_scale" not in self.entries:
            exponents = self._part(module, "weight_scale", 2, where)
            if exponents.dtype != np.uint8:
                raise ModelError(f"MXFP4 scales must be bytes, found {exponents.dtype}", where=where)
            return QTensor(codes, "fp4_e2m1", decode(exponents, "e8m0"), None, 1, 32, "e8m0", None, "mxfp4")
        if self.kind(scale_name) != "F8_E4M3":
            raise ModelError(f"NVFP4 scales must be F8_E4M3, found {self.kind(scale_name)}", where=where)
        divisor = self.load(f"{module}.weight_global_scale").reshape(-1)
        if divisor.size != 1 or divisor[0] <= 0:
            raise ModelError("weight_global_scale must be one number above 0", where=where)
        tensor = np.float32(1) / divisor[0]
        return QTensor(codes, "fp4_e2m1", self.load(scale_name), None, 1, 16, "ue4m3", tensor, "nvfp4")

    def _bytes(self, module: str, where: str) -> QTensor:
        """int- and float-quantized: a byte an element; scales per tensor, channel, group or two-dimensional block."""
        name = f"{module}.weight"
        codes = self._part(module, "weight", 2, where).view(np.uint8)
        fmt = {"I8": "int8", "F8_E4M3": "fp8_e4m3fn", "F8_E5M2": "fp8_e5m2"}[self.kind(name)]
        part = "weight_scale" if f"{module}.weight_scale" in self.entries else "weight_scale_inv"
        scales, small = self._reals(module, part)
        zeros: NDArray[np.int32] | None = None
        if fmt == "int8" and f"{module}.weight_zero_point" in self.entries:
            zeros = self.stored(f"{module}.weight_zero_point").astype(np.int32)
        rows = len(codes)
        if scales.ndim == 2 and scales.shape[0] not in (1, rows):  # one scale a square of rows and columns
            tall, wide = self._block(scales.shape, codes.shape, where)
            scales = np.repeat(scales, tall, axis=0)[:rows]
            return QTensor(codes, fmt, np.ascontiguousarray(scales), None, 1, wide, small)
        return self._grouped(codes, fmt, scales, zeros, small, where)

    def _block(self, scales: tuple[int, ...], shape: tuple[int, ...], where: str) -> tuple[int, int]:
        """Rows and columns that share a scale."""
        held = self.settings or {}
        found = held.get("weight_block_size") or next(
            (args.get("block_structure") for args in self._weight_arguments() if args.get("block_structure")), None
        )
        fits = isinstance(found, list) and len(found) == 2 and all(type(v) is int and v > 0 for v in found)
        if not fits or tuple(-(-n // b) for n, b in zip(shape, found or (1, 1), strict=True)) != scales:
            raise ModelError(f"blocks of {found} over {list(shape)} do not give scales of {list(scales)}", where=where)
        return found[0], found[1]  # type: ignore[index]

    def _weight_arguments(self) -> list[Mapping[str, Any]]:
        groups = (self.settings or {}).get("config_groups")
        held = groups.values() if isinstance(groups, dict) else ()
        return [g["weights"] for g in held if isinstance(g, dict) and isinstance(g.get("weights"), dict)]

    def _grouped(self, codes: Array, fmt: str, scales: Array, zeros: Array | None, small: str, where: str) -> QTensor:
        """Codes [out, in] with scales [out, groups], [out, 1] or of one element."""
        outputs, inputs = codes.shape
        codes, scale = np.ascontiguousarray(codes), np.ascontiguousarray(scales, np.float32)
        zero = None if zeros is None else np.ascontiguousarray(zeros, np.int32)
        if zero is not None and zero.size == scale.size:
            zero = zero.reshape(scale.shape)
        if scale.size == 1:
            return QTensor(codes, fmt, scale.reshape(()), None if zero is None else zero.reshape(()), None, None, small)
        if scale.shape in ((outputs,), (outputs, 1)):
            zero = None if zero is None else zero.reshape(-1)
            return QTensor(codes, fmt, scale.reshape(-1), zero, 0, None, small)
        if scale.ndim != 2 or scale.shape[0] != outputs or scale.shape[1] > inputs:
            raise ModelError(f"scales of shape {list(scales.shape)} do not fit {list(codes.shape)}", where=where)
        size = self._group(inputs, scale.shape[1], where)
        return QTensor(codes, fmt, scale, zero, 1, size, small)

    def _group(self, inputs: int, groups: int, where: str) -> int:
        """Inputs that share a scale."""
        said = [(self.settings or {}).get(key) for key in ("group_size", "q_group_size")]
        said += [args.get("group_size") for args in self._weight_arguments()]
        for size in (*(s for s in said if type(s) is int and s > 0), inputs // groups):
            if -(-inputs // size) == groups:
                return int(size)
        raise ModelError(f"{groups} groups of {inputs} inputs: no group size gives them", where=where)

    def _setting(self, key: str, default: int, where: str) -> int:
        held = self.settings or {}
        found = held.get(key, held.get(f"w_{key.removesuffix('s')}", default))
        if type(found) is not int:
            raise ModelError(f"quantization_config: {key!r} must be a whole number, found {found!r}", where=where)
        return found


def opened(tensors: Tensors, settings: object) -> Tensors:
    """The tensors of a folder, packed as its ``quantization_config`` says; as they are where it says nothing.

    Raises:
        ModelError: not an object, or another method than :data:`METHODS`.
    """
    if settings is None:
        return tensors
    if not isinstance(settings, dict):
        raise ModelError("quantization_config must be an object", where=tensors.where)
    method = settings.get("quant_method", "compressed-tensors")
    if method not in METHODS:
        raise unknown(ModelError, "quant_method", method, METHODS, where=tensors.where)
    return PackedTensors(tensors.where, tensors.entries, str(method), settings)


def _fields(words: Array, bits: int, count: int, where: str) -> NDArray[np.uint8]:
    """Rows of int32 words as ``count`` fields of ``bits`` bits each, from the lowest bit up."""
    if words.dtype != np.int32 or words.shape[1] * 32 < count * bits:
        raise ModelError(f"{count} codes of {bits} bits do not lie in {words.dtype} {list(words.shape)}", where=where)
    raw = np.ascontiguousarray(words, "<i4").view(np.uint8)
    each = raw.shape[1] * 8 // bits
    codes: NDArray[np.uint8] = unpack(raw.reshape(-1), f"uint{bits}", (len(raw), each)).astype(np.uint8)
    return codes[:, :count]


def _listed(values: tuple[int, ...]) -> str:
    return ", ".join(map(str, values))
