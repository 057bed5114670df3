"""Make damaged and hostile model files, and load each in a process of its own with little memory and little time.

    python -m tests.io.hostile FOLDER       one JSON line a file: kind, what was done to it, what came of it

Every choice follows from a seed. A file may load (most single bits of weights are harmless) or end in one HwsimError.
"""

from __future__ import annotations

import base64
import io
import json
import os
import pickle
import resource
import signal
import struct
import sys
import time
import zipfile
import zlib
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import numpy as np
from onnx import ModelProto, TensorProto, helper

from hwsim import HwsimError
from hwsim.io import data, load_model, save_model
from hwsim.io.onnx import from_model, to_model
from hwsim.ir import Graph
from hwsim.quant import Recipe, quantize
from hwsim.quant.recipe import Scheme
from hwsim.zoo import _torch
from tests.io.decoders import CONFIG, weights
from tests.io.models import build

MEMORY_BYTES = 768 << 20
"""What loading may take beyond what the process holds already."""
SECONDS = 10.0
"""What one file may take."""
Case = tuple[str, Callable[[Path], Path]]
"""What was done, and a function that writes the file (or folder) into a folder and says what to load."""


def f32(*shape: int) -> np.ndarray[Any, Any]:
    return np.random.default_rng(len(shape)).standard_normal(shape).astype(np.float32)


def network() -> Graph:
    node = helper.make_node
    nodes = [
        node("Conv", ["x", "w", "b"], ["c"], name="c", pads=[1, 1, 1, 1], strides=[2, 2]),
        node("Relu", ["c"], ["r"], name="r"),
        node("MaxPool", ["r"], ["p"], name="p", kernel_shape=[2, 2], strides=[2, 2]),
        node("Reshape", ["p", "shape"], ["f"], name="f"),
        node("Gemm", ["f", "g", "h"], ["y"], name="y", transB=1),
    ]
    held = {"w": f32(4, 1, 3, 3), "b": f32(4), "g": f32(3, 16), "h": f32(3), "shape": np.array([-1, 16])}
    return from_model(build(nodes, ("N", 1, 8, 8), held), name="g")


def stored(weight: Scheme, activation: Scheme) -> Graph:
    return quantize(network(), Recipe(weight, activation).with_calibrator("minmax"), f32(4, 1, 8, 8))


def bytes_changed(rng: np.random.Generator, good: bytes) -> tuple[str, bytes]:
    """Bits flipped, bytes replaced, a cut, a part doubled or blanked."""
    held = bytearray(good)
    at, end = sorted(int(v) for v in rng.integers(0, len(held), 2))
    way = ("flip", "replace", "cut", "double", "blank", "ones")[int(rng.integers(6))]
    if way == "flip":
        for place in rng.integers(0, len(held), int(rng.integers(1, 8))):
            held[place] ^= 1 << int(rng.integers(8))
    elif way == "replace":
        for place in rng.integers(0, len(held), int(rng.integers(1, 8))):
            held[place] = int(rng.integers(256))
    elif way == "cut":
        held = held[:at]
    elif way == "double":
        held = held[:end] + held[at:]
    else:
        size = min(int(rng.integers(1, 64)), len(held) - at)
        held[at : at + size] = (b"\0" if way == "blank" else b"\xff") * size
    return f"{way} at {at}", bytes(held)


def raw_cases(
    kind: str, good: bytes, suffix: str, count: int, beside: Callable[[Path], None] | None = None
) -> Iterator[Case]:
    rng = np.random.default_rng(sum(kind.encode()))
    for number in range(count):
        what, changed = bytes_changed(rng, good)

        def write(folder: Path, changed: bytes = changed, number: int = number) -> Path:
            if beside is not None:
                beside(folder)
            path = folder / f"m{number}{suffix}"
            path.write_bytes(changed)
            return path

        yield what, write


# ONNX ---------------------------------------------------------------------------------------------------------------
ABSURD = (-1, 0, 1, 3, 1 << 20, 1 << 31, 1 << 40, (1 << 63) - 1, -(1 << 63))


def fields_changed(rng: np.random.Generator, model: ModelProto) -> str:
    """One thing that a protobuf can say and should not."""

    def one(things: Any) -> Any:
        return things[int(rng.integers(len(things)))]

    graph = model.graph
    tensor, node, way = one(graph.initializer), one(graph.node), int(rng.integers(13))
    if way == 0:
        tensor.dims[:] = [int(one(ABSURD)) for _ in range(int(rng.integers(0, 5)))]
    elif way == 1:
        tensor.data_type = int(rng.integers(0, 30))
    elif way == 2:
        tensor.raw_data = bytes(rng.integers(0, 256, int(rng.integers(0, 80)), dtype=np.uint8))
    elif way == 3:
        node.input[int(rng.integers(len(node.input)))] = one(graph.node).output[0]  # cycles, among others
    elif way == 4:
        node.op_type = one(
            ["Conv", "Gemm", "QuantizeLinear", "DequantizeLinear", "Quant", "Loop", "", "Slice", "Resize"]
        )
    elif way == 5 and node.attribute:
        held = one(node.attribute)
        held.i, held.ints[:], held.f = int(one(ABSURD)), [int(one(ABSURD)) for _ in held.ints], float("nan")
    elif way == 6:
        name, value = one(["axis", "block_size", "group", "strides", "pads", "perm"]), int(one(ABSURD))
        node.attribute.append(
            helper.make_attribute(name, value if name in ("axis", "block_size", "group") else [value] * 2)
        )
    elif way == 7:
        del node.input[int(rng.integers(len(node.input))) :]
    elif way == 8:
        tensor.ClearField("raw_data")
        tensor.data_location = TensorProto.EXTERNAL
        where = one(["../outside.bin", "/etc/passwd", "link.bin", "nothing.bin", "a/../../outside.bin", "\0", ""])
        for key, value in (("location", where), ("offset", str(one(ABSURD))), ("length", str(one(ABSURD)))):
            entry = tensor.external_data.add()
            entry.key, entry.value = key, value
    elif way == 9:
        graph.input[0].type.tensor_type.shape.dim[int(rng.integers(4))].dim_value = int(one(ABSURD))
    elif way == 10:
        graph.output[0].name = one(graph.input).name if rng.random() < 0.5 else "nowhere"
    elif way == 11:
        reals = [t for t in graph.initializer if t.data_type == TensorProto.FLOAT and t.raw_data]
        value = one([np.nan, np.inf, 0, -1, 1e-45, 3e38])
        chosen = one(reals)
        chosen.raw_data = np.full(len(chosen.raw_data) // 4, value, np.float32).tobytes()
    else:
        entry = node.metadata_props.add()
        entry.key = "hwsim.storage"
        entry.value = one(
            ["{", "[]", '{"format": "int3"}', '{"format": "nvfp4"}', '{"block_format": "int4"}', "[" * 4000]
        )
    return f"field, way {way}"


def onnx_cases(kind: str, model: ModelProto, count: int) -> Iterator[Case]:
    yield from raw_cases(kind, model.SerializeToString(), ".onnx", count // 2)
    rng = np.random.default_rng(7)
    for number in range(count - count // 2):
        changed = ModelProto()
        changed.CopyFrom(model)
        what = fields_changed(rng, changed)

        def write(folder: Path, changed: ModelProto = changed, number: int = number) -> Path:
            (folder.parent / "outside.bin").write_bytes(bytes(4096))
            link = folder / "link.bin"
            if not link.is_symlink():
                link.symlink_to(folder.parent / "outside.bin")
            path = folder / f"f{number}.onnx"
            path.write_bytes(changed.SerializeToString())
            return path

        yield what, write


# Safetensors --------------------------------------------------------------------------------------------------------
def llama() -> dict[str, Any]:
    return {**CONFIG, "num_hidden_layers": 1}


def tensors(packed: bool) -> dict[str, tuple[str, np.ndarray[Any, Any]]]:
    """One decoder layer, float or as GPTQ packs it."""
    out: dict[str, tuple[str, np.ndarray[Any, Any]]] = {}
    for name, value in weights().items():
        if "layers.1" in name:
            continue
        if packed and "proj" in name:
            rows, columns = value.shape
            at, groups = name.removesuffix(".weight"), columns // 16
            out[f"{at}.qweight"] = ("I32", np.arange(columns // 8 * rows, dtype=np.int32).reshape(-1, rows))
            out[f"{at}.qzeros"] = ("I32", np.zeros((groups, rows // 8), np.int32))
            out[f"{at}.scales"] = ("F16", np.ones((groups, rows), np.float16))
            out[f"{at}.g_idx"] = ("I32", np.arange(columns, dtype=np.int32) // 16)
        else:
            out[name] = ("F32", value)
    return out


def laid_out(held: dict[str, tuple[str, np.ndarray[Any, Any]]]) -> tuple[dict[str, Any], bytes]:
    header: dict[str, Any] = {}
    body = b""
    for name, (kind, value) in held.items():
        raw = value.tobytes()
        header[name] = {"dtype": kind, "shape": list(value.shape), "data_offsets": [len(body), len(body) + len(raw)]}
        body += raw
    return header, body


def framed(header: Any, body: bytes, length: int | None = None) -> bytes:
    text = json.dumps(header).encode()
    return struct.pack("<Q", len(text) if length is None else length) + text + body


def folder_of(config: Any, raw: bytes) -> Callable[[Path], Path]:
    def write(folder: Path) -> Path:
        (folder / "config.json").write_text(config if isinstance(config, str) else json.dumps(config))
        (folder / "model.safetensors").write_bytes(raw)
        return folder

    return write


def safetensors_cases(kind: str, packed: bool, count: int) -> Iterator[Case]:
    rng = np.random.default_rng(11 + packed)
    header, body = laid_out(tensors(packed))
    config = llama()
    if packed:
        config["quantization_config"] = {"quant_method": "gptq", "bits": 4, "group_size": 16}
    good = framed(header, body)
    for length in (0, 1, len(good), 1 << 30, 1 << 62, (1 << 64) - 1):
        yield f"header of {length}", folder_of(config, framed(header, body, length))
    for text in ("", "{", "[]", "[" * 100_000, '{"model_type": "llama"}', '{"model_type": []}', "null"):
        yield "config", folder_of(text, good)
        yield "header text", folder_of(config, struct.pack("<Q", len(text)) + text.encode() + body)
    for key, value in (
        ("hidden_size", 1 << 40),
        ("num_hidden_layers", 1 << 30),
        ("vocab_size", -1),
        ("rms_norm_eps", "x"),
    ):
        yield f"config {key}", folder_of({**config, key: value}, good)
    for number in range(count):
        if number % 3 == 0:
            what, changed = bytes_changed(rng, good)
            yield what, folder_of(config, changed)
            continue
        broken = json.loads(json.dumps(header))
        entry = broken[list(broken)[int(rng.integers(len(broken)))]]
        absurd = [int(v) for v in rng.choice(np.array(ABSURD), 2)]
        way = int(rng.integers(6))
        if way == 0:
            entry["shape"] = absurd
        elif way == 1:
            entry["data_offsets"] = absurd
        elif way == 2:
            entry["data_offsets"] = [v + 4 for v in entry["data_offsets"]]  # over its neighbour
        elif way == 3:
            entry["dtype"] = ["F64", "I8", "Q4_0", "BOOL", None, 7][int(rng.integers(6))]
        elif way == 4:
            entry["shape"] = [[1], "4", None, [1.5], [True]][int(rng.integers(5))]
        else:
            entry.pop(["dtype", "shape", "data_offsets"][int(rng.integers(3))])
        yield f"header, way {way}", folder_of(config, framed(broken, body))


# GGUF ---------------------------------------------------------------------------------------------------------------
def gguf_bytes() -> bytes:
    """A decoder layer, by the format's description."""

    def text(value: str) -> bytes:
        return struct.pack("<Q", len(value)) + value.encode()

    meta = {
        "general.architecture": "llama", "llama.block_count": 1, "llama.embedding_length": 32,
        "llama.feed_forward_length": 64, "llama.attention.head_count": 4, "llama.attention.head_count_kv": 2,
        "llama.attention.layer_norm_rms_epsilon": 1e-5,
    }  # fmt: skip
    names = {
        "self_attn.q_proj": "attn_q", "self_attn.k_proj": "attn_k", "self_attn.v_proj": "attn_v",
        "self_attn.o_proj": "attn_output", "input_layernorm": "attn_norm", "post_attention_layernorm": "ffn_norm",
        "mlp.gate_proj": "ffn_gate", "mlp.up_proj": "ffn_up", "mlp.down_proj": "ffn_down",
        "model.layers": "blk", "model.embed_tokens": "token_embd", "model.norm": "output_norm",
    }  # fmt: skip
    pairs = b""
    for key, value in meta.items():
        kind, packed = (8, text(str(value))) if isinstance(value, str) else (6, struct.pack("<f", value))
        if isinstance(value, int):
            kind, packed = 4, struct.pack("<I", value)
        pairs += text(key) + struct.pack("<I", kind) + packed
    pairs += text("tokenizer.ggml.tokens") + struct.pack("<IIQ", 9, 8, 2) + text("a") + text("b")
    infos, body = b"", b""
    held = {name: value for name, (_, value) in tensors(False).items()}
    for name, value in held.items():
        for old, new in names.items():
            name = name.replace(old, new)
        dims = struct.pack(f"<{value.ndim}Q", *value.shape[::-1])
        infos += text(name) + struct.pack("<I", value.ndim) + dims + struct.pack("<IQ", 0, len(body))
        body += value.tobytes() + bytes(-len(value.tobytes()) % 32)
    head = b"GGUF" + struct.pack("<IQQ", 3, len(held), len(meta) + 1) + pairs + infos
    return head + bytes(-len(head) % 32) + body


def gguf_cases(kind: str, count: int) -> Iterator[Case]:
    good = gguf_bytes()
    yield from raw_cases(kind, good, ".gguf", count // 2)
    rng = np.random.default_rng(13)
    head = good.index(b"tokenizer") + 400
    for number in range(count - count // 2):  # counts, lengths, types, dimensions: whole words of the directory
        at = int(rng.integers(4, head)) if number > 20 else (8, 16)[number % 2]
        value = struct.pack("<Q", int(rng.choice([0, 1, 255, 1 << 20, 1 << 31, 1 << 40, (1 << 63) - 1])))
        changed = good[:at] + value[: 8 if number % 3 else 4] + good[at + (8 if number % 3 else 4) :]

        def write(folder: Path, changed: bytes = changed, number: int = number) -> Path:
            (folder / f"c{number}.gguf").write_bytes(changed)
            return folder / f"c{number}.gguf"

        yield f"word at {at}", write


# Checkpoints, data sets, text ---------------------------------------------------------------------------------------


def checkpoint_bytes() -> bytes:
    """A checkpoint of the old form with two tensors, by the pickles that torch writes."""

    def pickled(write: Callable[[Any], None]) -> bytes:
        out = io.BytesIO()
        write(out)
        return out.getvalue()

    def tensor(key: str, count: int, rows: int) -> bytes:
        storage = b"(X\x07\x00\x00\x00storagectorch\nFloatStorage\nX" + struct.pack("<I", len(key)) + key.encode()
        storage += b"X\x03\x00\x00\x00cpuK" + bytes([count]) + b"NtQ"
        shape = b"K" + bytes([rows]) + b"K" + bytes([count // rows]) + b"\x86"
        strides = b"K" + bytes([count // rows]) + b"K\x01\x86"
        return (
            b"ctorch._utils\n_rebuild_tensor_v2\n("
            + storage
            + b"K\x00"
            + shape
            + strides
            + b"\x89ccollections\nOrderedDict\n)RtR"
        )

    state = b"\x80\x02ccollections\nOrderedDict\n)R(X\x01\x00\x00\x00a" + tensor("0", 12, 3)
    state += b"X\x01\x00\x00\x00b" + tensor("1", 6, 2) + b"u."
    parts = [pickle.dumps(part, 2) for part in (_torch.MAGIC, _torch.PROTOCOL, {"little_endian": True})]
    parts += [state, pickle.dumps(["0", "1"], 2)]
    parts += [struct.pack("<Q", n) + np.arange(n, dtype="<f4").tobytes() for n in (12, 6)]
    return b"".join(parts)


def zipped(name: str, size: int, claim: bytes = b"") -> bytes:
    """A zip file whose one member unpacks to ``size`` zeros behind ``claim``."""
    out = io.BytesIO()
    with zipfile.ZipFile(out, "w", zipfile.ZIP_DEFLATED) as archive, archive.open(name, "w", force_zip64=True) as file:
        file.write(claim)
        for _ in range(size >> 20):
            file.write(bytes(1 << 20))
    return out.getvalue()


def npy_header(shape: tuple[int, ...], dtype: str = "<f4") -> bytes:
    text = f"{{'descr': {dtype!r}, 'fortran_order': False, 'shape': {shape}, }}"
    text += " " * (-(len(text) + 11) % 64) + "\n"
    return b"\x93NUMPY\x01\x00" + struct.pack("<H", len(text)) + text.encode()


def held_bytes(raw: bytes, name: str) -> Callable[[Path], Path]:
    def write(folder: Path) -> Path:
        (folder / name).write_bytes(raw)
        return folder / name

    return write


def checkpoint_cases(kind: str, count: int) -> Iterator[Case]:
    yield from raw_cases(kind, checkpoint_bytes(), ".pth", count)
    yield "zip bomb", held_bytes(zipped("archive/data.pkl", 1 << 30), "bomb.pth")


def npz_cases(kind: str, count: int) -> Iterator[Case]:
    buffer = io.BytesIO()
    np.savez_compressed(buffer, x=f32(5, 1, 8, 8), y=np.arange(5))
    yield "claims more than it holds", held_bytes(zipped("x.npy", 1 << 20, npy_header((1 << 20, 1 << 20))), "more.npz")
    yield "overflow", held_bytes(zipped("x.npy", 1 << 20, npy_header((1 << 62, 4))), "over.npz")
    yield "negative", held_bytes(zipped("x.npy", 1 << 20, npy_header((-4, -4))), "less.npz")
    yield "objects", held_bytes(zipped("x.npy", 1 << 20, npy_header((4, 4), "|O")), "object.npz")
    yield "a path", held_bytes(zipped("../../x.npy", 1 << 20, npy_header((4, 4))), "path.npz")
    yield from raw_cases(kind, buffer.getvalue(), ".npz", count)
    yield "zip bomb", held_bytes(zipped("x.npy", 1 << 30, npy_header((1 << 14, 1 << 14))), "bomb.npz")


def text_cases(kind: str, good: str, suffix: str, count: int) -> Iterator[Case]:
    yield from raw_cases(kind, good.encode(), suffix, count // 2)
    if suffix == ".qir":
        bomb = base64.b64encode(zlib.compress(bytes(1 << 29), 9)).decode()
        lines = [
            good.split("\n")[0],
            "graph g",
            "input x : fp32[N,4]",
            f"const w : fp32[{1 << 27}]",
            "data",
            f"w value {bomb}",
        ]
        yield "deflate bomb", held_bytes("\n".join(lines).encode(), "bomb.qir")
    rng = np.random.default_rng(17)
    words = [
        "-1",
        "0",
        "99999999999",
        "1e999",
        "NaN",
        '"x"',
        "[]",
        "{",
        "N",
        "int4",
        "nvfp4",
        "[" * 5000,
        "\x00",
        "x" * 10_000,
    ]
    for number in range(count - count // 2):
        lines = good.split("\n") if suffix == ".qir" else good.split(",")
        at = int(rng.integers(len(lines)))
        way = int(rng.integers(4))
        if way == 0:
            del lines[at]
        elif way == 1:
            lines.insert(int(rng.integers(len(lines))), lines[at])
        else:
            parts = lines[at].split(" ")
            parts[int(rng.integers(len(parts)))] = words[int(rng.integers(len(words)))]
            lines[at] = " ".join(parts)
        changed = ("\n" if suffix == ".qir" else ",").join(lines).encode()

        def write(folder: Path, changed: bytes = changed, number: int = number) -> Path:
            (folder / f"t{number}{suffix}").write_bytes(changed)
            return folder / f"t{number}{suffix}"

        yield f"line {at}, way {way}", write


def kinds(folder: Path) -> dict[str, tuple[Callable[[Path], Any], Iterator[Case]]]:
    """Kind -> how it is loaded, and its files."""
    int4, fp4 = (stored(Scheme(w, "per_channel"), Scheme(a)) for w, a in (("int4", "int8"), ("fp4_e2m1", "fp8_e4m3fn")))
    texts = {}
    for suffix in (".qir", ".qir.json"):
        save_model(int4, folder / f"good{suffix}")
        texts[suffix] = (folder / f"good{suffix}").read_text()
    return {
        "onnx": (load_model, onnx_cases("onnx", to_model(network()), 80)),
        "onnx int4": (load_model, onnx_cases("onnx int4", to_model(int4), 80)),
        "onnx fp4": (load_model, onnx_cases("onnx fp4", to_model(fp4), 50)),
        "qonnx": (load_model, onnx_cases("qonnx", to_model(int4, "qonnx"), 50)),
        "safetensors": (load_model, safetensors_cases("safetensors", False, 40)),
        "gptq": (load_model, safetensors_cases("gptq", True, 40)),
        "gguf": (load_model, gguf_cases("gguf", 80)),
        "checkpoint": (lambda path: _torch.read(path.read_bytes(), str(path)), checkpoint_cases("checkpoint", 50)),
        "npz": (data.read_npz, npz_cases("npz", 40)),
        "qir": (load_model, text_cases("qir", texts[".qir"], ".qir", 70)),
        "qir.json": (load_model, text_cases("qir.json", texts[".qir.json"], ".qir.json", 40)),
    }


def memory_bytes(field: str) -> int:
    """A figure of /proc/self/status."""
    line = next(line for line in Path("/proc/self/status").read_text().splitlines() if line.startswith(f"{field}:"))
    return int(line.split()[1]) << 10


def attempt(load: Callable[[Path], Any], path: Path) -> dict[str, Any]:
    """Load one file under the clock."""

    def late(*_: object) -> None:
        raise TimeoutError(f"over {SECONDS} s")

    signal.signal(signal.SIGALRM, late)
    signal.setitimer(signal.ITIMER_REAL, SECONDS)
    began = time.monotonic()
    try:
        load(path)
        outcome, text = "loaded", ""
    except HwsimError as err:
        outcome, text = "refused", str(err)
    except BaseException as err:
        outcome, text = "failed", f"{type(err).__name__}: {err}"
    finally:
        signal.setitimer(signal.ITIMER_REAL, 0)
    return {"outcome": outcome, "text": text[:3000], "seconds": time.monotonic() - began}


def main(folder: Path) -> None:
    plans = kinds(folder)
    for load, cases in plans.values():  # imports and compiled code are not part of what a file costs
        what, write = next(cases)
        place = folder / "first"
        place.mkdir(exist_ok=True)
        attempt(load, write(place))
    Path("/proc/self/clear_refs").write_text("5")  # forget the peak so far
    began = memory_bytes("VmRSS")
    held = memory_bytes("VmSize") + MEMORY_BYTES
    resource.setrlimit(resource.RLIMIT_AS, (held, held))
    for kind, (load, cases) in plans.items():
        for number, (what, write) in enumerate(cases):
            place = folder / kind.replace(" ", "-") / str(number)
            place.mkdir(parents=True)
            path = write(place)
            print(json.dumps({"kind": kind, "begin": what, "path": str(path)}), flush=True)
            print(json.dumps({"kind": kind, "what": what, "path": str(path), **attempt(load, path)}), flush=True)
    print(json.dumps({"kind": "end", "grown": memory_bytes("VmHWM") - began}), flush=True)


if __name__ == "__main__":
    os.environ.setdefault("NUMBA_NUM_THREADS", "1")
    main(Path(sys.argv[1]))
