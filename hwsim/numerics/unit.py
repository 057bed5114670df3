"""What a matrix unit is: frozen data from which `mma` follows. The entries are in `unit_catalog`.

A unit answers d = c + a * b^T for operands given as codes. Which kind of unit it is (its class) says how the sum is
formed; its fields say with which numbers. To add a unit, build one of these and pass it to `mma`, or list it in
`unit_catalog`.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from typing import Literal

import numpy as np

from hwsim.errors import UnitError, unknown

Accumulator = Literal["int32", "fp32", "fp16", "fp64"]
Evidence = Literal["silicon", "rtl", "published", "derived", "assumed"]
ResultRounding = Literal["rz_fp32", "rz_e8m13", "rne_fp16"]

ACCUMULATOR_DTYPES: Mapping[Accumulator, np.dtype[np.generic]] = {
    "int32": np.dtype(np.int32),
    "fp32": np.dtype(np.float32),
    "fp16": np.dtype(np.float16),
    "fp64": np.dtype(np.float64),
}
QUIET_NAN: Mapping[Accumulator, int] = {"fp16": 0x7E00, "fp32": 0x7FC00000, "fp64": 0x7FF8000000000000}
ALL_ONES_NAN: Mapping[Accumulator, int] = {"fp16": 0x7FFF, "fp32": 0x7FFFFFFF}


@dataclass(frozen=True, kw_only=True)
class MatrixUnit:
    """What every unit has.

    Attributes:
        name: ``<vendor>.<arch>.<instruction>.<types>``.
        a_format, b_format: names of the element formats whose codes the unit takes.
        accumulator: type of c and d (of c, unless the unit says otherwise).
        nan: bits of every NaN that comes out; None takes the class's own (an integer accumulator has none).
        evidence: what the arithmetic is held against: ``silicon`` (equal to a recording of the chip), ``rtl`` (equal to
            our Verilog), ``published`` (a paper or manual), ``derived`` (follows from another entry), ``assumed``.
        source: the document or recording.
        note: what the evidence does not cover; empty where nothing is open.
    """

    name: str
    a_format: str
    b_format: str
    accumulator: Accumulator
    evidence: Evidence
    source: str
    note: str = ""
    nan: int | None = None

    @property
    def accumulator_dtype(self) -> np.dtype[np.generic]:
        """numpy type of c and d: int32, float32, float16 or float64."""
        return ACCUMULATOR_DTYPES[self.accumulator]

    @property
    def addend_dtype(self) -> np.dtype[np.generic]:
        """numpy type of c: d's, but for units that say otherwise."""
        return self.accumulator_dtype

    def _set_default(self, field: str, value: object, unset: object = None) -> None:
        """Give a field that its caller left open what the class says."""
        if getattr(self, field) == unset:
            object.__setattr__(self, field, value)


@dataclass(frozen=True, kw_only=True)
class IntegerUnit(MatrixUnit):
    """Exact products of integers, added to an INT32 accumulator: c first, then k = 0, 1, ...

    Attributes:
        overflow: ``wrap`` (modulo 2**32) or ``saturate`` (held within -2**31 .. 2**31 - 1 after each step).
        products: products that are added exactly before the accumulator is looked at (1: after every product). Only a
            saturating unit can show it.
    """

    overflow: Literal["wrap", "saturate"] = "wrap"
    products: int = 1

    def __post_init__(self) -> None:
        _require(self, self.accumulator == "int32", "accumulator", "int32", self.accumulator)
        _require(self, self.overflow in ("wrap", "saturate"), "overflow", "wrap or saturate", self.overflow)
        _require(self, self.products >= 1, "products", "1 or more", self.products)


@dataclass(frozen=True, kw_only=True)
class FusedUnit(MatrixUnit):
    """NVIDIA's truncated fused dot product (MMA-Sim, arXiv 2511.10909).

    Products are exact and not renormalised; with c they are aligned to the largest exponent among them (zero terms
    count as ``floor_exponent``), cut toward zero at ``fraction_bits`` below it, added exactly, and rounded once.

    Attributes:
        products: products summed at once (L), a multiple of 4.
        fraction_bits: bits kept below the largest exponent (F).
        floor_exponent: least value of the largest exponent (e0).
        rounding: ``rz_fp32`` (toward zero), ``rz_e8m13`` (toward zero at 13 mantissa bits, in an FP32 container) or
            ``rne_fp16`` (nearest even). A NaN has all its low bits set, a zero is +0.
        instruction_products: products of one instruction; more than ``products`` are chained. K is padded with zeros
            to a multiple of it.
        operands_become: format that both operands are converted to, exactly, before they are multiplied (a subnormal
            may become normal by it); None: none.
        pairs_first: K indices with k % 4 < 2 of an instruction are summed before the others.
        addend_apart: an instruction starts from zero, and c is added to its result in the accumulator's type, nearest
            even.
        addend: type of the first instruction's c where it is not the accumulator's; subnormals stay at its exponent.
    """

    products: int
    fraction_bits: int
    floor_exponent: int
    rounding: ResultRounding = "rz_fp32"
    instruction_products: int = 0
    operands_become: str | None = None
    pairs_first: bool = False
    addend_apart: bool = False
    addend: Literal["fp16"] | None = None

    def __post_init__(self) -> None:
        self._set_default("instruction_products", self.products, unset=0)
        _require(self, self.accumulator in ("fp32", "fp16"), "accumulator", "fp32 or fp16", self.accumulator)
        self._set_default("nan", ALL_ONES_NAN[self.accumulator])
        _require(self, self.products >= 4 and self.products % 4 == 0, "products", "a multiple of 4", self.products)
        whole = self.instruction_products % self.products == 0
        _require(self, whole, "instruction_products", f"a multiple of {self.products}", self.instruction_products)
        _require(self, 1 <= self.fraction_bits <= 35, "fraction_bits", "1..35", self.fraction_bits)
        _require(
            self,
            (self.accumulator == "fp16") == (self.rounding == "rne_fp16"),
            "rounding",
            "that of the accumulator",
            self.rounding,
        )

    @property
    def addend_dtype(self) -> np.dtype[np.generic]:
        """numpy type of c."""
        return ACCUMULATOR_DTYPES[self.addend or self.accumulator]

    @property
    def operand_order(self) -> tuple[int, ...]:
        """K indices of one instruction in the order in which they are summed."""
        indices = range(self.instruction_products)
        return tuple(sorted(indices, key=lambda k: k % 4 >= 2)) if self.pairs_first else tuple(indices)


@dataclass(frozen=True, kw_only=True)
class ScaledFusedUnit(FusedUnit):
    """A truncated fused dot product whose operands carry block scales.

    Attributes:
        scale_format: format of the scale codes.
        block_size: consecutive elements along K that share a scale.
        group: 1: each product takes part alone, at its own exponent plus both scales'. More: that many products are
            summed exactly, multiplied by the scales' significands, and aligned by the scales' exponents alone.
    """

    scale_format: str
    block_size: int
    group: int = 1

    def __post_init__(self) -> None:
        super().__post_init__()
        _require(self, not self.pairs_first, "pairs_first", "False", self.pairs_first)
        _require(self, self.products % self.group == 0, "group", f"a divisor of {self.products}", self.group)
        _require(self, self.block_size % self.group == 0, "block_size", f"a multiple of {self.group}", self.block_size)


@dataclass(frozen=True, kw_only=True)
class TwoStageUnit(MatrixUnit):
    """CDNA3's dot product: products cut against the largest of them, then their sum floored against c (MMA-Sim).

    The products are aligned to the largest exponent among them and cut toward zero at ``fraction_bits``. Their sum is
    floored at ``sum_bits`` + 1 and c at ``fraction_bits`` below the larger exponent of the two (a zero c has that of
    the smallest normal number). What they add to is normalised, floored at ``sum_bits`` and rounded to FP32, nearest
    even. A product of 2**128 or more is infinite.

    Attributes:
        products: products summed at once (L).
        fraction_bits, sum_bits: bits kept below the larger exponent in the first and in the second stage.
        interleaved: even and odd K indices are summed apart and each sum is floored at ``fraction_bits`` before they
            meet; a c that lies wholly below that is dropped instead of floored.
    """

    products: int
    fraction_bits: int = 24
    sum_bits: int = 31
    interleaved: bool = False

    def __post_init__(self) -> None:
        _require(self, self.accumulator == "fp32", "accumulator", "fp32", self.accumulator)
        _require(self, self.products >= 2 and self.products % 2 == 0, "products", "an even number", self.products)
        _require(self, 1 <= self.fraction_bits <= 24, "fraction_bits", "1..24", self.fraction_bits)
        _require(self, 24 <= self.sum_bits <= 35, "sum_bits", "24..35", self.sum_bits)
        self._set_default("nan", ALL_ONES_NAN["fp32"])


@dataclass(frozen=True, kw_only=True)
class FlushedTreeUnit(MatrixUnit):
    """CDNA2's chain of small trees of FP32 operations, each nearest even, whose subnormal results become zero.

    Subnormal operands, and a subnormal c of an instruction, become +0. Products are added in pairs, pairs of pairs
    where there are four, and then to c; a subnormal result becomes a zero of its sign.

    Attributes:
        products: products of one tree, 2 or 4.
        instruction_products: products of one instruction, several trees in a chain.
    """

    products: int
    instruction_products: int

    def __post_init__(self) -> None:
        _require(self, self.accumulator == "fp32", "accumulator", "fp32", self.accumulator)
        _require(self, self.products in (2, 4), "products", "2 or 4", self.products)
        whole = self.instruction_products >= self.products and self.instruction_products % self.products == 0
        _require(self, whole, "instruction_products", f"a multiple of {self.products}", self.instruction_products)
        self._set_default("nan", QUIET_NAN["fp32"])


@dataclass(frozen=True, kw_only=True)
class FmaChainUnit(MatrixUnit):
    """One fused multiply-add for each k in turn, nearest even, onto c: FP32, or FP64 for operands of format ``fp64``.

    ``fp64`` is the one operand format that `formats` does not list: its codes are binary64 patterns, uint64.
    """

    def __post_init__(self) -> None:
        _require(self, self.accumulator in ("fp32", "fp64"), "accumulator", "fp32 or fp64", self.accumulator)
        wide = (self.a_format == "fp64", self.b_format == "fp64")
        _require(self, wide == (self.accumulator == "fp64",) * 2, "a_format, b_format", "fp64 with fp64 only", wide)
        self._set_default("nan", QUIET_NAN[self.accumulator])


@dataclass(frozen=True, kw_only=True)
class ExactUnit(MatrixUnit):
    """The exact sum of c and products, rounded once to FP32, nearest even; a zero is +0.

    Attributes:
        products: products that are summed before a rounding; more are chained. 0: all of K.
    """

    products: int = 0

    def __post_init__(self) -> None:
        _require(self, self.accumulator == "fp32", "accumulator", "fp32", self.accumulator)
        _require(self, self.products >= 0, "products", "0 or more", self.products)
        self._set_default("nan", QUIET_NAN["fp32"])


@dataclass(frozen=True, kw_only=True)
class KulischUnit(MatrixUnit):
    """A fixed-point register that products enter exactly; it is read once, to FP32, nearest even.

    c enters with its bits below the register cut off (toward minus infinity). The register is two's complement and
    wraps; infinities and NaN follow IEEE 754 beside it.

    Attributes:
        lowest_exponent: the register's lowest bit counts 2**lowest_exponent, at most the least product.
        register_bits: width, with the sign.
    """

    lowest_exponent: int
    register_bits: int

    def __post_init__(self) -> None:
        _require(self, self.accumulator == "fp32", "accumulator", "fp32", self.accumulator)
        _require(self, -298 <= self.lowest_exponent <= 0, "lowest_exponent", "-298..0", self.lowest_exponent)
        room = 640 - (self.lowest_exponent + 298)
        _require(self, 8 <= self.register_bits <= room, "register_bits", f"8..{room}", self.register_bits)
        self._set_default("nan", QUIET_NAN["fp32"])


@dataclass(frozen=True, kw_only=True)
class PopcountUnit(MatrixUnit):
    """One-bit operands combined bit by bit and counted, added to an INT32 accumulator that wraps.

    Attributes:
        operation: ``xor`` and ``and`` count ones; ``xnor`` counts equal bits less unequal ones, which is the sum of
            products of -1 and +1.
    """

    operation: Literal["xor", "and", "xnor"]

    def __post_init__(self) -> None:
        _require(self, self.accumulator == "int32", "accumulator", "int32", self.accumulator)
        _require(self, self.operation in ("xor", "and", "xnor"), "operation", "xor, and or xnor", self.operation)
        _require(self, (self.a_format, self.b_format) == ("binary",) * 2, "formats", "binary", self.a_format)


def _require(unit: MatrixUnit, holds: bool, field: str, expected: str, found: object) -> None:
    if not holds:
        raise UnitError(f"{field}: expected {expected}, found {found!r}", where=f"unit {unit.name!r}")


class UnitCatalog(Mapping[str, MatrixUnit]):
    """Matrix units by name; an unknown name is a `UnitError` that names the nearest."""

    def __init__(self, entries: Iterable[MatrixUnit]) -> None:
        self._entries: dict[str, MatrixUnit] = {}
        for unit in entries:
            if unit.name in self._entries:
                raise UnitError("listed twice in the catalog", where=f"unit {unit.name!r}")
            self._entries[unit.name] = unit

    def __getitem__(self, name: str) -> MatrixUnit:
        if not isinstance(name, str) or name not in self._entries:
            raise unknown(UnitError, "matrix unit", name, self._entries)
        return self._entries[name]

    def __contains__(self, name: object) -> bool:
        return isinstance(name, str) and name in self._entries

    def __iter__(self) -> Iterator[str]:
        return iter(self._entries)

    def __len__(self) -> int:
        return len(self._entries)
