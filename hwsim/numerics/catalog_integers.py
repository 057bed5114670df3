"""Integer and fixed-point formats, as data."""

from __future__ import annotations

from typing import Final

from hwsim.numerics.catalog_sources import MICRO, MX, ONNX, OWN, READ, STRICT
from hwsim.numerics.format import Format, IntegerKind, IntegerLayout, NegativeZero, Profile, Source, by_name


def _integer_profiles() -> dict[str, Profile]:
    return by_name(
        (
            STRICT,
            Profile("ascend", "CANN's non-IEEE mode: infinities saturate, NaN becomes 0", nan=(0, 0)),
            Profile("cambricon", "ties go away from zero; the number is clamped before it is rounded", "nearest_away"),
            Profile("ml_dtypes", "truncates, wraps modulo 2^bits, NaN becomes 0", "toward_zero", "wrap", nan=(0, 0)),
        )
    )


def _integer(
    name: str,
    title: str,
    bits: int,
    kind: IntegerKind,
    minimum: int,
    maximum: int,
    *,
    source: Source = ONNX,
    negative_zero: NegativeZero = "none",
    fraction_bits: int = 0,
    note: str = "",
) -> Format:
    layout = IntegerLayout(kind, minimum, maximum, fraction_bits)
    profiles = _integer_profiles()
    if kind not in ("twos_complement", "unsigned") or (maximum - minimum + 1) != 1 << bits:
        del profiles["ml_dtypes"]  # it has only the full-range types
    return Format(name, title, bits, layout, source, profiles, negative_zero, note=note)


INTEGERS: Final = (
    _integer("int4", "signed 4-bit integer, -8..7", 4, "twos_complement", -8, 7),
    _integer(
        "int4_sym",
        "signed 4-bit integer, -7..7",
        4,
        "twos_complement",
        -7,
        7,
        note="code 0x8 is never produced; it decodes to -8, as two's complement hardware reads it",
    ),
    _integer("uint4", "unsigned 4-bit integer, 0..15", 4, "unsigned", 0, 15),
    _integer(
        "int4_offset",
        "offset binary 4-bit integer, code - 8",
        4,
        "offset_binary",
        -8,
        7,
        source=Source("GGML block format q4_0", "nibble minus 8", READ),
    ),
    _integer(
        "int4_sm",
        "sign-magnitude 4-bit integer, -7..7 and -0",
        4,
        "sign_magnitude",
        -7,
        7,
        source=OWN,
        negative_zero="keep",
        note="code 0x8 is -0",
    ),
    _integer("int8", "signed 8-bit integer", 8, "twos_complement", -128, 127),
    _integer("uint8", "unsigned 8-bit integer", 8, "unsigned", 0, 255),
    _integer("int2", "signed 2-bit integer, -2..1", 2, "twos_complement", -2, 1),
    _integer("uint2", "unsigned 2-bit integer, 0..3", 2, "unsigned", 0, 3),
    _integer(
        "ternary",
        "-1, 0, +1 in two bits",
        2,
        "twos_complement",
        -1,
        1,
        source=OWN,
        note="code 0b10 is never produced; it decodes to -2, as two's complement hardware reads it",
    ),
    _integer(
        "binary",
        "-1, +1 in one bit (0 is -1, 1 is +1)",
        1,
        "bipolar",
        -1,
        1,
        source=OWN,
        note="no zero: inputs below 0 give -1, the others, either zero among them, give +1",
    ),
    _integer(
        "int32", "signed 32-bit integer: accumulators and biases", 32, "twos_complement", -(1 << 31), (1 << 31) - 1
    ),
    _integer(
        "int8_mx",
        "MXINT8 element: 8-bit fixed point, 2^-6 a step",
        8,
        "twos_complement",
        -127,
        127,
        source=MX,
        fraction_bits=6,
        note="the range is symmetric, as the specification permits; code 0x80 decodes to -2",
    ),
    *(
        _integer(
            f"int{bits}_sm",
            f"element of MX{bits + 1}: sign and {bits - 1}-bit magnitude",
            bits,
            "sign_magnitude",
            1 - (1 << (bits - 1)),
            (1 << (bits - 1)) - 1,
            source=MICRO,
            negative_zero="keep",
        )
        for bits in (8, 5, 3)
    ),
)
