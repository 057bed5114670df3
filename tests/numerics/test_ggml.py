"""GGML's blocks against ggml-quants.c (recorded) and the gguf package, byte for byte.

Quirks: IQ4_NL's reference quantizer leaves a zero block the codes that were in memory (its scale is 0), ours are 0;
gguf decodes E2M1's -0 as +0, and its MXFP4 scales of 0xFF as a number.
"""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from hwsim.errors import FormatError
from hwsim.numerics import quantize_tensor
from hwsim.numerics.vendor import GGML, from_ggml, to_ggml
from tests.numerics.peers import block_inputs
from tests.oracles import need_module

DATA = Path(__file__).parent.parent / "data" / "ggml_vectors.npz"
GGML_BLOCKS = 150


@pytest.mark.parametrize(
    ("key", "name", "options"),
    [
        ("q4_k", "q4_k", {}),
        ("iq4_nl_reference", "iq4_nl", {}),
        ("iq4_nl_search", "iq4_nl", {"mode": "search"}),
    ],
)
def test_c_quantizers(key, name, options):
    with np.load(DATA, allow_pickle=False) as archive:
        theirs = archive[key]
    x = block_inputs(GGML_BLOCKS)
    q = quantize_tensor(x, name, **options)
    mine = to_ggml(q)
    keep = np.ones(mine.shape, bool)
    if key == "iq4_nl_reference":  # the quirk
        keep = np.repeat(x.reshape(len(x), -1, 32).any(axis=2), GGML[name], axis=1)
    np.testing.assert_array_equal(mine[keep], theirs[keep])


@pytest.mark.parametrize("name", GGML)
def test_rows_round_trip(name):
    x = block_inputs(20)
    q = quantize_tensor(x, name)
    raw = to_ggml(q)
    assert raw.shape == (20, 256 * GGML[name] // {"q4_k": 256}.get(name, 32))
    assert raw.nbytes == q.nbytes_packed
    assert from_ggml(raw, name).equals(q)


@pytest.mark.parametrize("name", GGML)
def test_any_bytes_decode_as_gguf_does(name):
    """Random blocks with finite scales."""
    gguf = need_module("gguf")
    from gguf import quants

    rng = np.random.default_rng(3)
    raw = rng.integers(0, 256, (200, 4 * GGML[name]), dtype=np.uint8)
    blocks = raw.reshape(-1, GGML[name])
    if name == "mxfp4":
        blocks[:, 0] = rng.integers(2, 250, len(blocks))
    else:
        blocks[:, 1:4:2] &= 0x7B if name in ("q4_1", "q4_k") else 0xFF
        blocks[:, 1] &= 0x7B  # no infinity, no NaN
    q = from_ggml(raw, name)
    np.testing.assert_array_equal(q.dequantize(), quants.dequantize(raw, gguf.GGMLQuantizationType[name.upper()]))
    np.testing.assert_array_equal(to_ggml(q), raw)


def test_refusals():
    x = block_inputs(3)
    with pytest.raises(FormatError, match="takes whole blocks of 32; dimension 1 is 40"):
        quantize_tensor(x[:, :40], "q4_0")
    with pytest.raises(FormatError, match="rule fixes scales, rounding"):
        quantize_tensor(x, "q4_0", rounding="up")
    with pytest.raises(FormatError, match="scale exceeds float16"):
        quantize_tensor(np.full((1, 32), 1e9, np.float32), "q4_0")
    with pytest.raises(FormatError, match="NaN or infinity"):
        quantize_tensor(np.full((1, 32), np.inf, np.float32), "q8_0")
    with pytest.raises(FormatError, match="'nvfp4' is not a block format of GGML"):
        to_ggml(quantize_tensor(x, "nvfp4"))
    with pytest.raises(FormatError, match="whole blocks of 32 along the last axis"):
        to_ggml(quantize_tensor(x[:, :32].T.copy(), "q4_0", axis=0))
    with pytest.raises(FormatError, match="whole 18-byte blocks"):
        from_ggml(np.zeros((1, 19), np.uint8), "q4_0")
