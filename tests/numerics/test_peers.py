"""Other people's encoders: their recorded answers here, and the packages themselves in the slow tests.

Quirks, each met below by a profile or left out by ``Peer.skip``:
* torch rounds subnormals to E8M0 by their top bits; onnx treats zero, negatives, infinities and subnormals its own way;
* torchao, en_dtypes (FP4) and compressed-tensors give no meaning to NaN; Quark passes infinities and NaN through;
* Quark writes every zero as +0 (profile ``quark``), compressed-tensors an input of -0 (profile of that name);
* torchao's and Quark's zero blocks take their own scale; their values are the same zeros;
* bitsandbytes' CPU code gives numbers that round to zero the code of the opposite zero in FP4, and cuts at midpoints
  where its CUDA code, which hwsim follows, has decimal limits (.583333): they part within 1e-6 of a limit.
"""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from hwsim.numerics import decode, encode, formats, pack, quantize_tensor, unpack
from hwsim.numerics.schemes import bitsandbytes
from hwsim.numerics.vendor import GGML, to_ggml
from tests.numerics.peers import BLOCKS, ELEMENTS, Peer, block_inputs, element_inputs
from tests.oracles import need_module

DATA = Path(__file__).parent.parent / "data"
RECORDED_RANDOM, RECORDED_BLOCKS = 6_000, 16
LIVE_RANDOM, LIVE_BLOCKS = 4_000_000, 15_625


def element_mismatches(peer: Peer, x: np.ndarray, theirs: np.ndarray) -> np.ndarray:
    """Where hwsim and the peer part, outside what the peer leaves undefined."""
    keep = ~peer.skip(x)
    out = np.zeros(x.shape, bool)
    codes = encode(x[keep], peer.fmt, **peer.options)
    if peer.values:
        out[keep] = decode(codes, peer.fmt).view(np.uint32) != theirs[keep].view(np.uint32)
    else:
        out[keep] = codes != theirs[keep]
    return out


def block_mismatches(peer: Peer, x: np.ndarray, theirs: np.ndarray) -> int:
    """How many bytes (or values) part."""
    if peer.module == "bitsandbytes":
        raw, absmax = bitsandbytes(x, peer.fmt)
        mine = np.concatenate([raw, absmax.view(np.uint8)])
        if peer.fmt == "fp4_bnb":  # the quirks
            scaled = np.abs(x.reshape(-1, 64) / np.maximum(absmax, np.float32(1e-38))[:, None]).reshape(-1, 1)
            near = (np.abs(scaled - np.array(formats["fp4_bnb"].layout.thresholds)) < 1e-6).any(axis=1)
            mine, theirs = (
                np.append(np.where(near, 0, _one_zero(a[: raw.size])), a[raw.size :]) for a in (mine, theirs)
            )
        return int(np.count_nonzero(mine != theirs))
    q = quantize_tensor(x, peer.fmt, **peer.options)
    if peer.fmt in GGML and peer.module == "gguf":
        return int(np.count_nonzero(to_ggml(q) != theirs))
    if peer.values:
        return int(np.count_nonzero(q.dequantize() != theirs))
    scale = encode(q.scale, formats[peer.fmt].scale_format)
    rows = pack(q.codes, q.format).reshape(len(x), -1)
    differ = np.concatenate([scale, rows], axis=1) != theirs
    differ[~x.any(axis=1)] = False
    blocks = np.abs(x).reshape(len(x), scale.shape[1], -1).max(axis=2) == 0
    differ[:, : scale.shape[1]] &= ~blocks
    return int(np.count_nonzero(differ))


def _one_zero(raw: np.ndarray) -> np.ndarray:
    codes = unpack(raw, "fp4_bnb", raw.size * 2, layout="high_first")
    return np.where(codes == 8, 0, codes)


def recorded(file: str, name: str) -> np.ndarray:
    with np.load(DATA / file, allow_pickle=False) as archive:
        return archive[name]


@pytest.mark.parametrize("name", ELEMENTS)
def test_recorded_elements(name):
    peer = ELEMENTS[name]
    x = element_inputs(peer.fmt, RECORDED_RANDOM)
    theirs = recorded("element_vectors.npz", name)
    bad = element_mismatches(peer, x, theirs.astype(np.float32) if peer.values else theirs)
    assert not bad.any(), x[bad][:5]


@pytest.mark.parametrize("name", BLOCKS)
def test_recorded_blocks(name):
    peer = BLOCKS[name]
    assert block_mismatches(peer, block_inputs(RECORDED_BLOCKS), recorded("block_vectors.npz", name)) == 0


@pytest.mark.slow
@pytest.mark.parametrize("name", ELEMENTS)
def test_live_elements(name):
    peer = ELEMENTS[name]
    need_module(peer.module, f"pip install {peer.install or peer.module}")
    x = element_inputs(peer.fmt, LIVE_RANDOM)
    bad = element_mismatches(peer, x, peer.answer(x))
    assert not bad.any(), x[bad][:5]


@pytest.mark.slow
@pytest.mark.parametrize("name", BLOCKS)
def test_live_blocks(name):
    peer = BLOCKS[name]
    need_module(peer.module, f"pip install {peer.install or peer.module}")
    x = block_inputs(LIVE_BLOCKS)
    assert block_mismatches(peer, x, peer.answer(x)) == 0
