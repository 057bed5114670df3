"""Record what other people's encoders answer, into element_, block_ and ggml_vectors.npz.

    python tests/data/make_encoding_vectors.py [--ggml LIBRARY]

Run from the repository root where torch, torchao, bitsandbytes, amd-quark, compressed-tensors, gguf and en-dtypes are
installed. Inputs are made anew by the tests (`tests.numerics.peers`), so the files hold answers alone. LIBRARY is
ggml-quants.c compiled as a shared object:

    gcc -O2 -ffp-contract=off -shared -fPIC -Isrc -Iinclude src/ggml-quants.c -o LIBRARY -lm
"""

from __future__ import annotations

import argparse
import ctypes
import os
from pathlib import Path

import numpy as np

from tests.numerics.peers import BLOCKS, ELEMENTS, block_inputs, element_inputs
from tests.numerics.test_ggml import GGML_BLOCKS
from tests.numerics.test_peers import RECORDED_BLOCKS, RECORDED_RANDOM

HERE = Path(__file__).parent


def record_peers() -> None:
    answers = {name: peer.answer(element_inputs(peer.fmt, RECORDED_RANDOM)) for name, peer in ELEMENTS.items()}
    save("element_vectors.npz", {name: half(answer) for name, answer in answers.items()})
    answers = {name: peer.answer(block_inputs(RECORDED_BLOCKS)) for name, peer in BLOCKS.items()}
    save("block_vectors.npz", answers)


def half(values: np.ndarray) -> np.ndarray:
    """FP4 values as float16, which holds them, infinities and NaN."""
    return values.astype(np.float16) if values.dtype == np.float32 else values


def record_ggml(library: str) -> None:
    """Raw blocks of ggml-quants.c for the quantizers that the gguf package lacks."""
    ggml = ctypes.CDLL(library, mode=os.RTLD_LAZY)
    x = block_inputs(GGML_BLOCKS)
    source = x.ctypes.data_as(ctypes.c_void_p)
    answers = {"q4_k": np.zeros((len(x), 144), np.uint8)}
    for mode in ("reference", "search"):
        answers[f"iq4_nl_{mode}"] = np.zeros((len(x), 8 * 18), np.uint8)
    target = {name: raw.ctypes.data_as(ctypes.c_void_p) for name, raw in answers.items()}
    ggml.quantize_row_q4_K_ref(source, target["q4_k"], ctypes.c_int64(x.size))
    ggml.quantize_row_iq4_nl_ref(source, target["iq4_nl_reference"], ctypes.c_int64(x.size))
    ggml.quantize_iq4_nl(source, target["iq4_nl_search"], ctypes.c_int64(len(x)), ctypes.c_int64(256), None)
    save("ggml_vectors.npz", answers)


def save(name: str, arrays: dict[str, np.ndarray]) -> None:
    np.savez_compressed(HERE / name, **arrays)
    print(name, (HERE / name).stat().st_size, "bytes")


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--ggml", help="ggml-quants.c as a shared object")
    arguments = parser.parse_args()
    record_peers()
    if arguments.ggml:
        record_ggml(arguments.ggml)
