"""A quantized tensor: codes, the scales that give them meaning, and nothing else."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from hwsim.errors import FormatError
from hwsim.numerics.catalog import formats
from hwsim.numerics.codec import Codes, check_codes, decode, decode_table, element_format
from hwsim.numerics.format import BlockFormat
from hwsim.numerics.geometry import normalise_axis, runs, scale_shape
from hwsim.numerics.threads import split

_NAN_SCALES = ("e8m0", "ue4m3")  # scale formats in which a NaN marks a whole block as NaN


@dataclass(frozen=True, eq=False)
class QTensor:
    """real = (decode(code) - zero_point) * scale [* tensor_scale] [+ offset], one code an element.

    Attributes:
        codes: uint8, uint16 or uint32 (`Format.code_dtype`), in the tensor's shape, unpacked.
        format: name of the element format, also when the tensor came from a block format.
        scale: float32: () per tensor; (C,) per channel along ``axis``; for groups the tensor's shape with dimension
            ``axis`` replaced by ceil(dim / block_size).
        zero_point: int32 in the shape of ``scale``, or None for zero.
        axis: the channel or blocked axis; None per tensor.
        block_size: elements that share a scale along ``axis``; None per channel or per tensor.
        scale_format: format in which a scale is stored, for `nbytes_packed`.
        tensor_scale: float32 second-level scale (NVFP4), or None.
        block_format: name of the block format it came from, or None.
        offset: float32 in the shape of ``scale``, added last (the minimum of GGML's Q4_1 and Q4_K), or None.
        fields: block formats with several levels: what their blocks store, as codes by field name
            (`BlockFormat.fields`); ``scale`` and ``offset`` follow from them.

    Raises:
        FormatError: unknown names, shapes or types that do not fit each other, codes out of range, scales that are
            infinite (or NaN where ``scale_format`` has none).

    Example:
        >>> tensor = QTensor(np.array([1, 15], np.uint8), "int4", np.array(0.5, np.float32))
        >>> tensor.dequantize()  # 15 is -1 in four bits
        array([ 0.5, -0.5], dtype=float32)
        >>> tensor.nbytes_packed  # two codes in a byte, a scale in four
        5
    """

    codes: Codes
    format: str
    scale: NDArray[np.float32]
    zero_point: NDArray[np.int32] | None = None
    axis: int | None = None
    block_size: int | None = None
    scale_format: str = "fp32"
    tensor_scale: np.float32 | None = None
    block_format: str | None = None
    offset: NDArray[np.float32] | None = None
    fields: Mapping[str, NDArray[Any]] | None = None

    def __post_init__(self) -> None:
        fmt = element_format(self.format)
        element_format(self.scale_format)
        set_field = object.__setattr__
        codes = check_codes(self.codes, fmt)
        set_field(self, "codes", codes)
        set_field(self, "scale", np.asarray(self.scale, dtype=np.float32))
        if self.axis is not None:
            set_field(self, "axis", normalise_axis(self.axis, codes.ndim))
        expected = scale_shape(codes.shape, self.axis, self.block_size)
        if self.scale.shape != expected:
            raise FormatError(f"scale must have shape {expected}, found {self.scale.shape}", where="QTensor")
        allowed = np.isfinite(self.scale) | (np.isnan(self.scale) & (self.scale_format in _NAN_SCALES))
        if not bool(np.all(allowed)):
            raise FormatError("scales must be finite", where="QTensor")
        if self.zero_point is not None:
            zero_point = np.asarray(self.zero_point)
            if zero_point.dtype.kind not in "ui" or zero_point.shape != expected:
                raise FormatError(
                    f"zero_point must be integers of shape {expected}, found {zero_point.dtype} of {zero_point.shape}",
                    where="QTensor",
                )
            if not fmt.is_integer:
                raise FormatError(f"{fmt.name!r} is not an integer format and takes no zero point", where="QTensor")
            set_field(self, "zero_point", zero_point.astype(np.int32, copy=False))
        if self.offset is not None:
            set_field(self, "offset", np.asarray(self.offset, dtype=np.float32))
            if self.offset.shape != expected or not np.isfinite(self.offset).all():
                raise FormatError(f"offset must be finite and of shape {expected}", where="QTensor")
        if self.tensor_scale is not None:
            if np.ndim(self.tensor_scale) or not np.isfinite(self.tensor_scale):
                raise FormatError("tensor_scale must be one finite number", where="QTensor")
            set_field(self, "tensor_scale", np.float32(self.tensor_scale))

    @property
    def shape(self) -> tuple[int, ...]:
        return self.codes.shape

    @property
    def bits(self) -> int:
        """Width of one code."""
        return element_format(self.format).bits

    @property
    def nbytes_packed(self) -> int:
        """Bytes in memory: codes at their storage width, scales at theirs, zero points at the codes' width."""
        if self.fields is not None:
            block = formats[str(self.block_format)]
            assert isinstance(block, BlockFormat)
            bits = sum(entry.bits * self.fields[entry.name].size for entry in block.fields)
            return -(-(self.codes.size * element_format(self.format).storage_bits + bits) // 8)
        width = element_format(self.format).storage_bits
        scale_width = element_format(self.scale_format).storage_bits
        total = -(-self.codes.size * width // 8) + -(-self.scale.size * scale_width // 8)
        if self.zero_point is not None:
            total += -(-self.zero_point.size * width // 8)
        return total + (4 if self.tensor_scale is not None else 0)

    def dequantize(self) -> NDArray[np.float32]:
        """The real numbers, float32, in the tensor's shape; NVFP4 multiplies its two scales first."""
        fmt = element_format(self.format)
        scale = self.scale if self.tensor_scale is None else self.scale * self.tensor_scale
        zeros = np.zeros(scale.size, np.float32)
        if self.zero_point is not None:
            zeros = self.zero_point.reshape(-1).astype(np.float32)
        factors = np.ascontiguousarray(scale, dtype=np.float32).reshape(-1)
        geometry = runs(self.shape, self.axis, self.block_size)
        out = np.empty(self.codes.size, np.float32)
        from hwsim.numerics import _kernels_decode as kernels

        codes: NDArray[Any] = np.ascontiguousarray(self.codes).reshape(-1)
        if fmt.bits <= 8:
            values: NDArray[Any] = decode_table(fmt)
        else:  # every element its own table entry
            values, codes = decode(codes, fmt), np.arange(codes.size)
        split(
            lambda first, last: kernels.dequantize(codes, values, factors, zeros, out, geometry, first, last),
            geometry.total,
            out.size,
        )
        if self.offset is not None:
            offsets = np.ascontiguousarray(self.offset).reshape(-1)
            split(lambda first, last: kernels.add_offset(out, offsets, geometry, first, last), geometry.total, out.size)
        return out.reshape(self.shape)

    def equals(self, other: QTensor) -> bool:
        """Every field is the same, scales bit for bit (a NaN scale equals itself)."""

        def bits(array: NDArray[np.float32] | np.float32 | None) -> bytes | None:
            return None if array is None else np.asarray(array, np.float32).tobytes()

        same = (self.format, self.axis, self.block_size, self.scale_format, self.block_format, self.shape)
        theirs = (other.format, other.axis, other.block_size, other.scale_format, other.block_format, other.shape)
        if same != theirs or self.scale.shape != other.scale.shape:
            return False
        if bits(self.scale) != bits(other.scale) or bits(self.tensor_scale) != bits(other.tensor_scale):
            return False
        if bits(self.offset) != bits(other.offset):
            return False
        if (self.zero_point is None) != (other.zero_point is None):
            return False
        zeros = self.zero_point is None or np.array_equal(self.zero_point, np.asarray(other.zero_point))
        return bool(zeros and np.array_equal(self.codes, other.codes))
