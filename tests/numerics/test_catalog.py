"""Every catalog entry, held to its own declarations; and a format of our own, added by public means."""

from __future__ import annotations

import datetime
import sys

import numpy as np
import pytest

import hwsim.numerics as hn
from hwsim.errors import FormatError
from hwsim.numerics import BlockFormat, Format, decode, decode_table, encode, formats, int_table, pack, unpack
from hwsim.numerics.catalog import ELSEWHERE
from hwsim.numerics.format import FloatLayout, Profile, Source, by_name

ELEMENTS = [name for name, entry in formats.items() if isinstance(entry, Format)]
BLOCKS = [name for name, entry in formats.items() if isinstance(entry, BlockFormat)]
PROMISED = {
    *("int4", "int4_sym", "uint4", "int4_offset", "int4_sm", "int2", "uint2", "ternary", "binary", "int8", "uint8"),
    *("int32", "fp4_e2m1", "fp4_e1m2", "fp4_e3m0", "fp4_bnb", "nf4", "fp6_e2m3", "fp6_e3m2", "fp8_e4m3fn", "fp8_e5m2"),
    *("fp8_e4m3fnuz", "fp8_e5m2fnuz", "e8m0", "ue4m3", "bf16", "fp16", "tf32", "fp32", "mxfp4", "mxfp6_e2m3"),
    *("mxfp6_e3m2", "mxfp8_e4m3", "mxfp8_e5m2", "mxint8", "nvfp4", "int4_g32", "int4_g128"),
    *("fp8_hif8", "e6m2", "log4", "apot4", "hif4", "mx9", "mx6", "mx4", "q4_0", "q4_1", "q8_0", "q4_k", "iq4_nl"),
}

# codes that decode to a value which the encoder writes with another code, and why
ALIASES = {
    "int4_sym": {0x8},  # outside the range: saturates to -7
    "ternary": {0x2},
    "int8_mx": {0x80},
    "ue4m3": set(range(0x80, 0x100)),  # the ignored bit
    "fp4_bnb": {0x8},  # bitsandbytes writes -0 as +0
    "fp8_e5m2": {0x7C, 0xFC},  # infinities saturate by default
}


def table_of(name: str) -> tuple[np.ndarray, np.ndarray]:
    """Codes of a format (all up to 16 bits, else every exponent with some mantissas) and their values."""
    entry = formats[name]
    if entry.bits <= 16:
        codes = np.arange(1 << entry.bits, dtype=entry.code_dtype)
    else:
        rng = np.random.default_rng(7)
        codes = rng.integers(0, 1 << entry.bits, 20_000, dtype=np.uint64).astype(entry.code_dtype)
    return codes, decode(codes, name)


def test_catalog_holds_the_promised_names():
    assert not PROMISED - set(formats)


@pytest.mark.parametrize("name", list(formats))
def test_entry_names_its_source(name):
    entry = formats[name]
    assert entry.name == name
    assert entry.title
    assert entry.source.document
    assert entry.source.section
    assert datetime.date.fromisoformat(entry.source.read)


@pytest.mark.parametrize("name", BLOCKS)
def test_block_format_names_element_formats(name):
    entry = formats[name]
    assert entry.element in ELEMENTS
    assert entry.scale_format in ELEMENTS
    with pytest.raises(FormatError, match=f"its element is '{entry.element}'"):
        encode([1.0], name)


@pytest.mark.parametrize("name", ELEMENTS)
@pytest.mark.parametrize("dtype", [np.float32, np.float64])
def test_every_code_round_trips(name, dtype):
    codes, values = table_of(name)
    kept = ~np.isnan(values) & ~np.isin(codes, list(ALIASES.get(name, set())))
    if values.dtype == np.float64:
        dtype = np.float64
    back = encode(values[kept].astype(dtype), name)
    assert back.dtype == formats[name].code_dtype
    np.testing.assert_array_equal(back, codes[kept])


@pytest.mark.parametrize("name", [n for n in ELEMENTS if formats[n].bits <= 8])
def test_tables_agree_with_decode(name):
    _, values = table_of(name)
    table = decode_table(name)
    assert table.dtype == np.float32
    np.testing.assert_array_equal(table.view(np.uint32), values.view(np.uint32))
    if formats[name].is_integer:
        np.testing.assert_array_equal(int_table(name), table.astype(np.int32))
    else:
        with pytest.raises(FormatError, match="takes integer formats"):
            int_table(name)


@pytest.mark.parametrize("name", ELEMENTS)
def test_limits_agree_with_the_codes(name):
    entry = formats[name]
    _, values = table_of(name)
    finite = values[np.isfinite(values)]
    if entry.bits <= 16 and name not in ("int4_sym", "ternary", "int8_mx"):
        assert entry.max_value == finite.max()
        assert entry.min_value == finite.min()
    assert entry.has_nan == bool(np.isnan(values).any()) or entry.bits > 16
    assert entry.has_infinity == bool(np.isinf(values).any()) or entry.bits > 16


def test_known_values():
    assert decode_table("fp4_e2m1").tolist()[:8] == [0, 0.5, 1, 1.5, 2, 3, 4, 6]
    assert decode_table("fp4_e1m2").tolist()[:8] == [0, 0.25, 0.5, 0.75, 1, 1.25, 1.5, 1.75]
    assert decode_table("fp4_e3m0").tolist()[:8] == [0, 0.25, 0.5, 1, 2, 4, 8, 16]
    assert [formats[n].max_value for n in ("fp6_e2m3", "fp6_e3m2", "fp8_e4m3fn", "fp8_e5m2", "fp8_e4m3fnuz")] == [
        7.5,
        28,
        448,
        57344,
        240,
    ]
    assert int_table("int4_sm").tolist() == [0, 1, 2, 3, 4, 5, 6, 7, 0, -1, -2, -3, -4, -5, -6, -7]
    assert int_table("int4_offset").tolist() == list(range(-8, 8))
    assert int_table("binary").tolist() == [-1, 1]
    assert decode(np.array([0xFFFFFFFF, 0x80000000, 7], np.uint32), "int32").tolist() == [-1, -(2.0**31), 7]


@pytest.mark.parametrize(
    ("name", "near"), [("int5", "int"), ("fp4e2m1", "fp4_e2m1"), ("mxpf4", "mxfp4"), ("nvfp", "nvfp4")]
)
def test_unknown_format_names_the_nearest(name, near):
    with pytest.raises(FormatError, match=f"unknown format '{name}' .did you mean '{near}"):
        formats[name]


def test_unknown_options_name_the_nearest():
    with pytest.raises(FormatError, match="did you mean 'nearest_even'"):
        encode([1.0], "int4", rounding="nearest")
    with pytest.raises(FormatError, match="did you mean 'saturate'"):
        encode([1.0], "int4", overflow="saturating")
    with pytest.raises(FormatError, match=r"format 'fp4_e2m1': unknown profile 'nvida' .did you mean 'nvidia'"):
        encode([1.0], "fp4_e2m1", profile="nvida")
    with pytest.raises(FormatError, match="unknown negative zero policy"):
        encode([1.0], "int4_sm", negative_zero="canonicalize")


@pytest.mark.parametrize(
    ("name", "options", "message"),
    [
        ("fp4_e2m1", {"overflow": "inf"}, "has no infinity"),
        ("fp4_e2m1", {"overflow": "nan"}, "has no NaN"),
        ("int4_sym", {"overflow": "wrap"}, "cannot wrap"),
        ("fp8_e4m3fn", {"overflow": "wrap"}, "cannot wrap"),
        ("int4", {"negative_zero": "keep"}, "has no negative zero"),
        ("int4", {"rounding": "stochastic"}, "needs random_bits"),
        ("int4", {"random_bits": np.zeros(1, np.uint32)}, "random_bits are for stochastic"),
    ],
)
def test_options_that_a_format_lacks_are_refused(name, options, message):
    with pytest.raises(FormatError, match=message):
        encode([1.0], name, **options)


@pytest.mark.parametrize("name", ELEMENTS)
def test_every_profile_encodes(name):
    for profile in formats[name].profiles:
        x = np.array([0.25, 1.0, 100.0], np.float32)
        if formats[name].profiles[profile].overflow == "error":
            x = x[:2]
        assert encode(x, name, profile=profile).shape == x.shape


def test_a_made_up_format_needs_only_an_entry():
    """A 5-bit E2M2 float: encoded, decoded, packed and refused like the catalog's own."""
    made_up = Format(
        "fp5_e2m2",
        "a 5-bit float",
        5,
        FloatLayout(True, 2, 2, 1),
        Source("this test", "test_a_made_up_format_needs_only_an_entry", "2026-11-23"),
        by_name((Profile("strict", "NaN is refused"),)),
        "keep",
    )
    values = decode(np.arange(32, dtype=np.uint8), made_up)
    assert values.tolist()[:16] == [0, 0.25, 0.5, 0.75, 1, 1.25, 1.5, 1.75, 2, 2.5, 3, 3.5, 4, 5, 6, 7]
    codes = encode(values, made_up)
    assert codes.tolist() == list(range(32))
    assert encode([100.0, 0.125, 0.375, -0.1], made_up).tolist() == [15, 0, 2, 16]
    raw = pack(codes, made_up)
    assert raw.size == 20
    assert unpack(raw, made_up, 32).tolist() == codes.tolist()
    with pytest.raises(FormatError, match="x holds NaN"):
        encode([np.nan], made_up)


def test_a_layout_that_does_not_add_up_is_refused():
    profiles = by_name((Profile("strict", ""),))
    source = Source("", "", "2026-11-23")
    with pytest.raises(FormatError, match="fields take 5 bits, bits says 6"):
        Format("bad", "", 6, FloatLayout(True, 2, 2, 1), source, profiles)
    with pytest.raises(FormatError, match="at least one profile"):
        Format("bad", "", 5, FloatLayout(True, 2, 2, 1), source, {})


def test_import_is_light():
    import subprocess

    code = "import sys, hwsim.numerics as n; n.formats['int4']; sys.exit('numba' in sys.modules)"
    assert subprocess.run([sys.executable, "-c", code], check=False).returncode == 0
    with pytest.raises(AttributeError, match="no attribute 'nothing'"):
        _ = hn.nothing


@pytest.mark.parametrize("name", ELSEWHERE)
def test_a_name_from_elsewhere_leads_to_ours(name: str) -> None:
    """Every such name is another's alone, and the error says what it is here."""
    assert name not in formats
    with pytest.raises(FormatError, match=rf"unknown format '{name}' \(did you mean '{ELSEWHERE[name]}'\?\)"):
        formats[name]
    assert ELSEWHERE[name] in formats
