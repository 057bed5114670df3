"""Whole blocks of MX and NVFP4 in one pass, and the tensor that comes out packed."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import ArrayLike, NDArray

from hwsim.errors import FormatError
from hwsim.numerics.catalog import formats
from hwsim.numerics.codec import decode, element_format, encode, real_array
from hwsim.numerics.format import BlockFormat, FloatLayout, Format
from hwsim.numerics.packing import pack, unpack
from hwsim.numerics.plan import Plan, plan
from hwsim.numerics.qtensor import QTensor
from hwsim.numerics.scales import amax_scale
from hwsim.numerics.threads import split

_CHUNK = 1 << 16  # elements a piece of the search for the tensor's largest magnitude


@dataclass(frozen=True, eq=False)
class PackedTensor:
    """A block-quantized tensor as it lies in memory: packed codes and, beside them, the codes of its scales.

    Attributes:
        raw: uint8 [..., bytes of a row], codes low bits first.
        scale: codes of the block format's ``scale_format``, [..., blocks of a row].
        block_format: name of the block format.
        shape: shape of the tensor; its last axis is the blocked one and holds whole blocks.
        tensor_scale: float32 second-level scale (NVFP4), or None.
    """

    raw: NDArray[np.uint8]
    scale: NDArray[Any]
    block_format: str
    shape: tuple[int, ...]
    tensor_scale: np.float32 | None = None

    @property
    def nbytes(self) -> int:
        return self.raw.nbytes + self.scale.nbytes + (4 if self.tensor_scale is not None else 0)

    def unpack(self) -> QTensor:
        """The same tensor, one code an element."""
        block = _block(self.block_format)
        codes = unpack(self.raw, block.element, self.shape)
        scale = np.asarray(decode(self.scale, block.scale_format), np.float32)
        axis = len(self.shape) - 1
        size, stored, name = block.block_size, block.scale_format, block.name
        return QTensor(codes, block.element, scale, None, axis, size, stored, self.tensor_scale, name)

    def dequantize(self) -> NDArray[np.float32]:
        """The real numbers, float32, in the tensor's shape."""
        return self.unpack().dequantize()


def _block(name: str) -> BlockFormat:
    entry = formats[name]
    if not isinstance(entry, BlockFormat) or entry.rule not in ("power_of_two", "two_level"):
        packable = [n for n, e in formats.items() if isinstance(e, BlockFormat) and e.rule in _RULES]
        raise FormatError(f"{name!r} does not pack beside its scales", hint=f"one of: {', '.join(packable)}")
    return entry


_RULES = ("power_of_two", "two_level")


def quantize_packed(
    x: ArrayLike,
    fmt: str,
    *,
    mode: str | None = None,
    profile: str | None = None,
    tensor_scale: float | None = None,
    block_scale_floor: float = 0.0,
) -> PackedTensor:
    """`quantize_tensor` along the last axis and `pack`, for MX formats and NVFP4, without codes in between.

    Raises:
        FormatError: as `quantize_tensor`; a last axis that does not hold whole blocks.
    """
    from hwsim.numerics.quantize import check_mode, quantize_tensor

    block = _block(fmt)
    where = f"quantize_packed to {fmt!r}"
    array = real_array(x, where)
    if array.ndim == 0 or array.shape[-1] % block.block_size:
        raise FormatError(f"expected whole blocks of {block.block_size} along the last axis, found {array.shape}")
    element = element_format(block.element)
    chosen = plan(element, None, None, profile, None)
    made = None
    if element.bits == 4:
        rule = check_mode(block, mode, where)
        made = one_pass(array, block, chosen, rule, tensor_scale, block_scale_floor, True, where)
    if made is None:
        q = quantize_tensor(
            array, fmt, mode=mode, profile=profile, tensor_scale=tensor_scale, block_scale_floor=block_scale_floor
        )
        made = pack(q.codes, element), encode(q.scale, block.scale_format), q.tensor_scale
    raw, scale, tensor = made
    rows, blocks = array.shape[-1] * element.storage_bits // 8, array.shape[-1] // block.block_size
    lead = array.shape[:-1]
    return PackedTensor(raw.reshape(*lead, rows), scale.reshape(*lead, blocks), fmt, array.shape, tensor)


def one_pass(
    array: NDArray[Any],
    block: BlockFormat,
    chosen: Plan,
    mode: str,
    tensor_scale: float | None,
    floor: float,
    packed: bool,
    where: str,
) -> tuple[NDArray[np.uint8], NDArray[Any], np.float32 | None] | None:
    """Flat codes (or packed bytes), flat scales (float32, or their codes) and the tensor scale; None where the short
    cut does not apply: other types than float32, special roundings, NaN or infinity among the data.
    """
    layout = chosen.fmt.layout
    usual = chosen.fast == "bits" and chosen.fast_spec.plain == 1 and chosen.options.overflow == "saturate"
    if array.dtype != np.float32 or not usual or not isinstance(layout, FloatLayout) or array.size == 0:
        return None
    from hwsim.numerics import _kernels_blocks as kernels

    flat = np.ascontiguousarray(array).reshape(-1)
    count = flat.size // block.block_size
    out = np.empty(flat.size // 2 if packed else flat.size, np.uint8)
    none, floats = np.empty(0, np.uint8), np.empty(0 if packed else count, np.float32)
    stored = np.empty(count if packed else 0, np.uint8)
    outputs = (none, out, floats, stored) if packed else (out, none, floats, stored)
    tensor: np.float32 | None = None
    if block.rule == "power_of_two":
        carry = (1 << 52) - (1 << (51 - layout.mantissa_bits))
        rule = kernels.PowerRule(_MODES.index(mode), chosen.fmt.max_exponent, carry, np.float32(chosen.fmt.max_value))
        status = split(
            lambda first, last: kernels.mx_blocks(flat, *outputs, chosen.fast_spec, rule, first, last),
            count,
            flat.size,
        )
    else:
        scale_format = element_format(block.scale_format)
        tensor = _tensor_scale(flat, chosen.fmt, scale_format, tensor_scale, where)
        if tensor is None or not 0 <= floor < np.inf:
            return None
        with np.errstate(over="ignore"):
            if mode == "reciprocal" and not np.isfinite(np.float32(1) / tensor):
                return None  # the slower path says why
        two = kernels.TwoLevel(
            tensor,
            np.float32(floor),
            np.float32(scale_format.max_value),
            np.float32(chosen.fmt.max_value),
            int(mode == "reciprocal"),
        )
        e4m3 = plan(element_format("fp8_e4m3fn"), None, None, None, None).fast_spec
        status = split(
            lambda first, last: kernels.two_level_blocks(flat, *outputs, chosen.fast_spec, e4m3, two, first, last),
            count,
            flat.size,
        )
    if status:
        return None
    return out, stored if packed else floats, tensor


_MODES = ("floor", "even", "rceil", "ceil")


def _tensor_scale(
    flat: NDArray[np.float32], element: Format, scale_format: Format, given: float | None, where: str
) -> np.float32 | None:
    """NVFP4's second-level scale, given or found; None where the data hold NaN or infinity."""
    if given is not None:
        return np.float32(given) if np.isfinite(np.float32(given)) and given > 0 else None
    from hwsim.numerics import _kernels_blocks as kernels

    pieces = -(-flat.size // _CHUNK)
    found = np.empty(pieces, np.uint32)
    split(lambda first, last: kernels.largest_patterns(flat, found, _CHUNK, first, last), pieces, flat.size)
    amax = found.max(keepdims=True).view(np.float32).astype(np.float64)
    if not np.isfinite(amax[0]):
        return None
    return np.float32(
        amax_scale(amax, float(np.float32(scale_format.max_value) * np.float32(element.max_value)), where)[0]
    )
