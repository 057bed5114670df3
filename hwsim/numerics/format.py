"""What an encoding is: frozen data that every other file of this room reads, and nothing that computes on arrays.

A `Format` has one of three layouts (floating point, integer, table); its behaviour follows from the layout's numbers
and from a named `Profile`, which says how one vendor or library treats the cases that the layout leaves open.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from fractions import Fraction
from math import isfinite, isinf, isnan
from typing import Final, Generic, Literal, TypeVar, get_args

import numpy as np

from hwsim.errors import FormatError, unknown

Rounding = Literal["nearest_even", "nearest_away", "toward_zero", "up", "down", "stochastic"]
Overflow = Literal["saturate", "wrap", "nan", "inf", "error"]
NegativeZero = Literal["none", "keep", "canonicalise", "trap"]
NanKind = Literal["none", "ieee", "all_ones", "negative_zero"]
IntegerKind = Literal["twos_complement", "unsigned", "offset_binary", "sign_magnitude", "bipolar"]

ROUNDINGS: Final[tuple[str, ...]] = get_args(Rounding)
OVERFLOWS: Final[tuple[str, ...]] = get_args(Overflow)
NEGATIVE_ZEROS: Final[tuple[str, ...]] = get_args(NegativeZero)


@dataclass(frozen=True)
class Source:
    """Where a fact was read: document, section (or function, or table) and the ISO date of reading."""

    document: str
    section: str
    read: str


@dataclass(frozen=True)
class Profile:
    """How one vendor or library treats what a layout leaves open.

    Attributes:
        name: the profile's name, as ``encode(..., profile=name)`` takes it.
        note: one line on who behaves so.
        rounding: the rounding used where the caller names none.
        overflow: the overflow rule used where the caller names none.
        nan: codes for a NaN input with sign bit 0 and 1; ``"payload"`` (sign and top payload bits kept, made
            quiet), ``"truncate"`` (the same, not made quiet unless nothing is left) or ``"error"`` (a `FormatError`).
        negative_zero: policy used where the caller names none; None is the format's own.
        negative_zero_input: what an input of -0 becomes, where the policy is ``keep``.
        negative_underflow: what a negative non-zero input that rounds to zero becomes, where the policy is ``keep``.
        zero: code for a zero input in formats that have no zero, or ``"error"``.
        negative: what unsigned formats do with a value below zero: ``"overflow"`` (the overflow rule at the lower end),
            ``"magnitude"`` (the sign is dropped), ``"nan"`` or ``"error"``.
    """

    name: str
    note: str
    rounding: Rounding = "nearest_even"
    overflow: Overflow = "saturate"
    nan: tuple[int, int] | Literal["payload", "truncate", "error"] = "error"
    negative_zero: NegativeZero | None = None
    negative_zero_input: Literal["negative_zero", "positive_zero"] = "negative_zero"
    negative_underflow: Literal["negative_zero", "positive_zero"] = "negative_zero"
    zero: int | Literal["error"] = "error"
    negative: Literal["overflow", "magnitude", "nan", "error"] = "overflow"


@dataclass(frozen=True)
class FloatLayout:
    """Sign, exponent, mantissa, from the top bit down; value (-1)^s * 2^(e - bias) * 1.m, subnormal at e = 0.

    Attributes:
        signed: a sign bit exists (bit ``bits - 1``).
        exponent_bits, mantissa_bits, bias: the fields; ``bias`` is subtracted from the exponent field.
        infinity: the code with exponent all ones and mantissa zero is an infinity.
        nan: which codes are NaN: ``none``; ``ieee`` (exponent all ones, mantissa not zero); ``all_ones`` (magnitude
            bits all ones); ``negative_zero`` (the pattern of -0).
        zero: exponent field 0 means zero and subnormals. False (E8M0, E6M2) makes it an ordinary exponent.
        padding: bits above the fields that a decoder ignores and an encoder writes as 0.
    """

    signed: bool
    exponent_bits: int
    mantissa_bits: int
    bias: int
    infinity: bool = False
    nan: NanKind = "none"
    zero: bool = True
    padding: int = 0

    @property
    def magnitude_bits(self) -> int:
        return self.exponent_bits + self.mantissa_bits

    @property
    def max_code(self) -> int:
        """Largest magnitude code that is a finite number."""
        full = (1 << self.magnitude_bits) - 1
        if self.nan == "ieee" or self.infinity:
            return (((1 << self.exponent_bits) - 1) << self.mantissa_bits) - 1
        return full - 1 if self.nan == "all_ones" else full

    @property
    def infinity_code(self) -> int:
        return ((1 << self.exponent_bits) - 1) << self.mantissa_bits

    @property
    def nan_code(self) -> int:
        """The canonical (quiet, positive) NaN; 0 where the format has none."""
        if self.nan == "ieee":
            return self.infinity_code | 1 << (self.mantissa_bits - 1)
        if self.nan == "negative_zero":
            return 1 << self.magnitude_bits
        return (1 << self.magnitude_bits) - 1 if self.nan == "all_ones" else 0

    def magnitude(self, code: int) -> Fraction:
        """Exact value of a finite magnitude code (sign bit off)."""
        exponent, mantissa = code >> self.mantissa_bits, code & ((1 << self.mantissa_bits) - 1)
        if self.zero:
            significand = mantissa + ((1 << self.mantissa_bits) if exponent else 0)
            exponent = max(exponent, 1)
        else:
            significand = mantissa + (1 << self.mantissa_bits)
        return Fraction(significand) * Fraction(2) ** (exponent - self.bias - self.mantissa_bits)


@dataclass(frozen=True)
class IntegerLayout:
    """Integers ``minimum .. maximum`` (what an encoder produces), times 2^-fraction_bits.

    Attributes:
        kind: how an integer becomes a code: ``twos_complement``, ``unsigned``, ``offset_binary`` (code = q - minimum of
            the full range), ``sign_magnitude`` (top bit sign), ``bipolar`` (code 0 is -1, code 1 is +1).
        minimum, maximum: the range that an encoder saturates to. Codes outside it still decode, as hardware would.
        fraction_bits: fixed point; 0 for plain integers.
    """

    kind: IntegerKind
    minimum: int
    maximum: int
    fraction_bits: int = 0

    def integer(self, code: int, bits: int) -> int:
        """The integer (before fraction_bits) that a code stands for."""
        half = 1 << (bits - 1)
        if self.kind == "twos_complement":
            return code - 2 * half if code >= half else code
        if self.kind == "offset_binary":
            return code - half
        if self.kind == "sign_magnitude":
            return -(code - half) if code >= half else code
        if self.kind == "bipolar":
            return 2 * code - 1
        return code


@dataclass(frozen=True)
class TableLayout:
    """A value for each code, infinities and NaN among them. Encoding picks the nearest value; ``thresholds`` are where
    neighbours meet.

    Attributes:
        values: value of each code, rounded to float32 when used.
        thresholds: between neighbours of the sorted finite values, the greatest number that still takes the lower one
            under nearest rounding; empty means the exact midpoints.
        symmetric: the top bit is a sign: magnitudes are the first half of ``values``, and ``thresholds`` lie between
            the sorted magnitudes (so ties go to the same side of zero).
        ties: which neighbour takes an exact midpoint, where no thresholds are given.
        overflows_at: least magnitude that nearest rounding sends to infinity, in tables that hold an infinity.
    """

    values: tuple[float, ...]
    thresholds: tuple[float, ...] = ()
    symmetric: bool = False
    ties: Literal["lower", "upper"] = "lower"
    overflows_at: float = float("inf")

    @property
    def finite(self) -> tuple[float, ...]:
        return tuple(value for value in self.values if isfinite(value))

    @property
    def has_infinity(self) -> bool:
        return any(isinf(value) for value in self.values)


@dataclass(frozen=True, eq=False)
class Format:
    """One element encoding, as the catalog lists it; two formats are the same only if they are one object.

    Attributes:
        name: catalog name.
        title: one line a person recognises it by.
        bits: code width; codes are stored one an array element in `code_dtype` and masked to this width.
        layout: the numbers from which all behaviour follows.
        source: where the layout was read.
        profiles: vendor behaviours by name; the first is the default.
        negative_zero: default policy: ``none`` (the format has no -0: a zero is +0), ``keep``, ``canonicalise`` (-0
            becomes +0, on encoding and on decoding) or ``trap`` (a -0 is a `FormatError`).
        storage_bits: bits that one code takes when packed (tf32 has 19 bits and is stored in 32).
        note: what a reader must know besides.
    """

    name: str
    title: str
    bits: int
    layout: FloatLayout | IntegerLayout | TableLayout
    source: Source
    profiles: Mapping[str, Profile]
    negative_zero: NegativeZero = "none"
    storage_bits: int = 0
    note: str = ""

    def __post_init__(self) -> None:
        if not 1 <= self.bits <= 32:
            raise FormatError(f"format {self.name!r}: bits must be in 1..32, found {self.bits}")
        if not self.profiles:
            raise FormatError(f"format {self.name!r}: at least one profile is needed, the first is the default")
        if self.storage_bits == 0:
            object.__setattr__(self, "storage_bits", self.bits)
        layout = self.layout
        if isinstance(layout, FloatLayout):
            width = layout.padding + layout.signed + layout.magnitude_bits
            if width != self.bits:
                raise FormatError(f"format {self.name!r}: fields take {width} bits, bits says {self.bits}")
        elif isinstance(layout, TableLayout):
            if self.bits > 8 or len(layout.values) != 1 << self.bits:
                raise FormatError(
                    f"format {self.name!r}: expected 2**bits (at most 256) values, found {len(layout.values)}"
                )
            half = layout.values[: len(layout.values) >> layout.symmetric]
            count = sum(map(isfinite, half)) - 1
            if layout.thresholds and len(layout.thresholds) != count:
                raise FormatError(f"format {self.name!r}: expected {count} thresholds, found {len(layout.thresholds)}")
            if list(layout.thresholds) != sorted(layout.thresholds):
                raise FormatError(f"format {self.name!r}: thresholds must ascend, as the sorted values do")

    @property
    def is_integer(self) -> bool:
        """Values are integers, so `int_table` and integer matrix units apply."""
        return isinstance(self.layout, IntegerLayout) and self.layout.fraction_bits == 0

    @property
    def is_float(self) -> bool:
        return isinstance(self.layout, FloatLayout)

    @property
    def signed(self) -> bool:
        """Some code stands for a negative number."""
        return self.min_value < 0

    @property
    def code_dtype(self) -> np.dtype[np.unsignedinteger]:
        """uint8 up to 8 bits, uint16 up to 16, uint32 above."""
        return np.dtype(np.uint8 if self.bits <= 8 else np.uint16 if self.bits <= 16 else np.uint32)

    @property
    def value_dtype(self) -> np.dtype[np.floating]:
        """What `decode` returns: float32 where every value is exact in it, else float64."""
        layout = self.layout
        if isinstance(layout, IntegerLayout):
            exact = self.bits <= 24
        elif isinstance(layout, FloatLayout):
            smallest = 1 - layout.bias - layout.mantissa_bits
            exact = layout.mantissa_bits <= 23 and smallest >= -149 and self.max_exponent <= 127
        else:
            exact = True
        return np.dtype(np.float32 if exact else np.float64)

    @property
    def default_profile(self) -> Profile:
        return next(iter(self.profiles.values()))

    @property
    def max_value(self) -> float:
        """Largest finite value that an encoder produces."""
        if isinstance(self.layout, FloatLayout):
            return float(self.layout.magnitude(self.layout.max_code))
        if isinstance(self.layout, IntegerLayout):
            return self.layout.maximum / (1 << self.layout.fraction_bits)
        return max(self.layout.finite)

    @property
    def min_value(self) -> float:
        """Smallest (most negative) finite value that an encoder produces."""
        if isinstance(self.layout, FloatLayout):
            if self.layout.signed:
                return -self.max_value
            return 0.0 if self.layout.zero else float(self.layout.magnitude(0))
        if isinstance(self.layout, IntegerLayout):
            return self.layout.minimum / (1 << self.layout.fraction_bits)
        return min(self.layout.finite)

    @property
    def max_exponent(self) -> int:
        """floor(log2(max_value)): what the MX specification calls emax."""
        return int(np.frexp(self.max_value)[1]) - 1

    @property
    def has_infinity(self) -> bool:
        if isinstance(self.layout, TableLayout):
            return self.layout.has_infinity
        return isinstance(self.layout, FloatLayout) and self.layout.infinity

    @property
    def has_nan(self) -> bool:
        if isinstance(self.layout, TableLayout):
            return any(map(isnan, self.layout.values))
        return isinstance(self.layout, FloatLayout) and self.layout.nan != "none"

    @property
    def negative_zero_code(self) -> int | None:
        """The code of -0, or None where the format has none."""
        layout = self.layout
        if isinstance(layout, FloatLayout) and layout.signed and layout.nan != "negative_zero":
            return 1 << layout.magnitude_bits
        if isinstance(layout, IntegerLayout) and layout.kind == "sign_magnitude":
            return 1 << (self.bits - 1)
        if isinstance(layout, TableLayout):
            for code, value in enumerate(layout.values):
                if value == 0 and np.signbit(value):
                    return code
        return None

    def profile(self, name: str | None) -> Profile:
        """The profile of that name, or the default for None.

        Raises:
            FormatError: no such profile; the message names the nearest.
        """
        if name is None:
            return self.default_profile
        if name not in self.profiles:
            raise unknown(FormatError, "profile", name, self.profiles, where=f"format {self.name!r}")
        return self.profiles[name]


Rule = Literal["power_of_two", "two_level", "amax", "micro_exponent", "hif4", "ggml"]


@dataclass(frozen=True)
class Field:
    """One thing that a block stores beside its elements: ``bits`` wide, shared by ``size`` elements."""

    name: str
    bits: int
    size: int


@dataclass(frozen=True)
class BlockFormat:
    """Elements that share a scale, as the catalog lists it.

    Attributes:
        name, title, source, note: as in `Format`.
        element: name of the element `Format`.
        block_size: elements of a block, along the blocked axis. The last block of a row may be short, but for ``ggml``.
        scale_format: name of the `Format` that stores the scale.
        rule: how the scale is found: ``power_of_two`` (MX: from the block's amax and a scale mode), ``two_level``
            (NVFP4: block scale times one float32 tensor scale), ``amax`` (amax / largest element value),
            ``micro_exponent`` (MX9: a shared exponent and one shift bit a pair), ``hif4`` (three levels), ``ggml`` (the
            quantizer of that name in GGML).
        modes: the choices of that rule (`mode` of `quantize_tensor`); the first is the default.
        zero_points: an integer zero point is stored beside each scale when quantized asymmetrically.
        fields: what a block stores beside its elements, outermost first; empty means one scale a block.
    """

    name: str
    title: str
    element: str
    block_size: int
    scale_format: str
    rule: Rule
    source: Source
    modes: tuple[str, ...] = ()
    zero_points: bool = False
    note: str = ""
    fields: tuple[Field, ...] = ()

    @property
    def scale_size(self) -> int:
        """Elements that share one effective scale: the finest level of the block."""
        return min((entry.size for entry in self.fields), default=self.block_size)

    @property
    def field_bits(self) -> float:
        """Bits an element that the fields take; 0 where there are none and one ``scale_format`` scale is stored."""
        return sum(entry.bits / entry.size for entry in self.fields)


T = TypeVar("T")


class Catalog(Mapping[str, T], Generic[T]):
    """Entries by name; a name it lacks is a `FormatError` that names the nearest. Entries are added, never changed."""

    def __init__(
        self, entries: Mapping[str, T], kind: str = "format", elsewhere: Mapping[str, str] | None = None
    ) -> None:
        """``elsewhere``: names, in lower case, by which others know entries; an error then names the entry."""
        self._entries = dict(entries)
        self._elsewhere = dict(elsewhere or {})
        self._own = frozenset(entries)
        self._kind = kind

    @property
    def added(self) -> tuple[str, ...]:
        """Names that `add` made known."""
        return tuple(name for name in self._entries if name not in self._own)

    def __getitem__(self, name: str) -> T:
        if name not in self:
            raise unknown(FormatError, self._kind, name, self._entries, meant=self._elsewhere)
        return self._entries[name]

    def add(self, name: str, entry: T) -> None:
        """Make ``entry`` known by ``name`` to this process.

        Raises:
            FormatError: the name stands for another entry.
        """
        if self._entries.setdefault(name, entry) is not entry:
            raise FormatError(f"{self._kind} {name!r} is in the catalog already", hint="choose another name")

    def __contains__(self, name: object) -> bool:
        return isinstance(name, str) and name in self._entries

    def __iter__(self) -> Iterator[str]:
        return iter(self._entries)

    def __len__(self) -> int:
        return len(self._entries)

    def __repr__(self) -> str:
        return f"<{self._kind}s: {', '.join(self._entries)}>"


def by_name(entries: Iterable[Profile]) -> dict[str, Profile]:
    """Profiles keyed by their names, in the order given."""
    return {entry.name: entry for entry in entries}
