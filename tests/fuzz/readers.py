"""Every reader of hwsim: how it is called, its good files, how they are damaged, which hostile ones are known."""

from __future__ import annotations

import io
import json
import zipfile
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
import yaml
from onnx import ModelProto

from hwsim.errors import HwsimError
from tests.fuzz import known, seeds
from tests.fuzz.change import bytes_changed, pick, text_changed, tree_changed
from tests.fuzz.known import Case, Write, held
from tests.fuzz.onnx import fields_changed, write_beside

ROOT = Path(__file__).parents[2]
Random = np.random.Generator
Damage = Callable[[Random], Case]


@dataclass(frozen=True)
class Reader:
    """What reads one kind of file.

    Attributes:
        load: called with a path; it returns, or raises an HwsimError.
        good: writers of files that load.
        known: hostile files made by hand.
        damage: a hostile file from random numbers.
    """

    load: Callable[[Path], Any]
    good: tuple[Write, ...]
    known: tuple[Case, ...]
    damage: Damage


def readers(folder: Path) -> dict[str, Callable[[], Reader]]:
    """Name -> the reader, made when it is asked for; good files are written into ``folder``."""
    return {
        "target": _target,
        "sweep": _sweep,
        "recipe": _recipe,
        "portmap": _portmap,
        "vectors csv": _vectors_csv,
        "vectors npz": _vectors_npz,
        "data npz": _data,
        "run.json": _run_json,
        "qir": partial(_qir, folder, ".qir"),
        "qir.json": partial(_qir, folder, ".qir.json"),
        "onnx": _onnx,
        "onnx qdq": _onnx_quantized,
        "qonnx": _qonnx,
        "safetensors": _safetensors,
        "gptq": _gptq,
        "bert": _bert,
        "gguf": _gguf,
        "tflite": _tflite,
        "checkpoint": _checkpoint,
        "points": partial(_points, folder),
    }


def _several(rng: Random, change: Callable[[Random, Any], tuple[str, Any]], good: Any) -> tuple[str, Any]:
    """Damage once, or again and again."""
    said = []
    for _ in range(min(int(rng.geometric(0.6)), 5)):
        what, good = change(rng, good)
        said.append(what)
    return "; ".join(said), good


def _raw(rng: Random, goods: Sequence[bytes], name: str) -> Case:
    what, changed = _several(rng, bytes_changed, pick(rng, goods))
    return what, held(changed, name)


def _texts(goods: Sequence[str], name: str, parse: Callable[[str], Any], show: Callable[[Any], str]) -> Damage:
    """Damage to the bytes, the lines or the tree of a text."""

    def damage(rng: Random) -> Case:
        good, way = pick(rng, goods), rng.random()
        if way < 0.2:
            return _raw(rng, [good.encode()], name)
        if way < 0.55:
            what, text = _several(rng, partial(text_changed, others=goods), good)
        else:
            what, tree = _several(rng, tree_changed, parse(good))
            text = show(tree)
        return what, held(text.encode("utf-8", "surrogatepass"), name)

    return damage


def _yaml(goods: Sequence[str], name: str, load: Callable[[Path], Any], opening: str) -> Reader:
    from hwsim.target.yaml import parse_yaml

    show = partial(yaml.safe_dump, sort_keys=False, allow_unicode=True, default_flow_style=None)
    damage = _texts(goods, name, lambda text: parse_yaml(text).data, show)
    return Reader(load, tuple(held(text.encode(), name) for text in goods), tuple(known.yaml(opening)), damage)


def _target() -> Reader:
    from hwsim.target import load_target

    goods = [path.read_text() for path in sorted((ROOT / "targets").glob("*.yaml"))]
    return _yaml(goods, "chip.yaml", load_target, "name: x")


SWEEP = """\
name: some
search: bayes
points: 40
at_once: 4
seed: 3
limit: 100
space:
  model: [mnist-cnn, resnet8]
  target: hwsim-int4-ws16
  machine.rows: {from: 8, to: 64, factor: 2}
  machine.cols: {from: 8, to: 64, step: 8}
  machine.clock_hz: {low: 1.0e+8, high: 1.0e+9, log: true}
objectives: [latency_s, energy_j]
constraints:
  power_w: {max: 30, min: 0.1}
"""


def _sweep() -> Reader:
    from hwsim.sweep.space import choices, grid, size
    from hwsim.sweep.spec import Interval, load_spec

    def load(path: Path) -> None:
        """As a sweep begins: how many points, the choices of each dimension, the first point."""
        try:
            spec = load_spec(path)
            size(spec)
            axes = [choices(axis) for axis in spec.space.values() if not isinstance(axis, Interval)]
            assert all(axes)
            assert spec.search != "grid" or next(grid(spec))
        except HwsimError as error:
            raise type(error)(error.message, where=error.where or str(path), hint=error.hint) from None

    goods = [SWEEP, *(path.read_text() for path in sorted((ROOT / "hwsim/sweep/presets").glob("*.yaml")))]
    return _yaml(goods, "sweep.yaml", load, "name: x")


RECIPE = """\
name: mnist-w2a4
model: mnist-cnn
target: hwsim-int4-ws16
precision: int4
calibrator: mse
limit: 500
weights: {format: int2, estimator: clipped, scale: learned, table: none}
activations: {scale: offset, format: int4}
course: {epochs: 3, teacher: 0.5, rate: 1.0e-3, batch: 50, optimizer: adamw, seed: 1}
augment: [jitter]
sums: torch
"""


def _recipe() -> Reader:
    from hwsim.training.spec import load_plan

    return _yaml([RECIPE], "recipe.yaml", load_plan, "name: x")


PORTMAP = """\
replaces: mul_int4
module: booth_mul
ports: {a: x, b: y, p: z}
parameters: {WIDTH: 4}
constants: {enable: 1}
latency: 2
clock: clk
reset: rst
"""


def _portmap() -> Reader:
    from hwsim.verify.portmap import read_portmap, wrapper

    examples = ROOT / "rtl/examples"
    source = (examples / "booth_mul.v").read_text()

    def load(path: Path) -> None:
        beside = path.with_name("mine.v")
        wrapper(read_portmap(path, top="mul_int4", sources=(beside if beside.exists() else examples / "booth_mul.v",)))

    maps = _yaml([PORTMAP, (examples / "booth_mul.yaml").read_text()], "map.yaml", load, "module: booth_mul")

    def damage(rng: Random) -> Case:
        what, write = maps.damage(rng)
        if rng.random() < 0.7:
            return what, write
        said, verilog = _several(rng, text_changed, source)

        def both(folder: Path) -> Path:
            (folder / "mine.v").write_text(verilog, encoding="utf-8", errors="replace")
            return maps.good[int(rng.integers(2))](folder)

        return f"Verilog: {said}", both

    return Reader(load, maps.good, maps.known, damage)


def _unit(name: str) -> Any:
    from hwsim.verify.case_catalog import case_unit

    unit = case_unit(name)
    assert unit is not None
    return unit


def _vectors_csv() -> Reader:
    from hwsim.verify.vectors import read_vectors

    unit = _unit("mul_int4")
    goods = [(ROOT / "rtl/examples/booth_mul.csv").read_text(), "a,b,p\n1,2,2\n0xF,0xF,1\n# none\n8,8,64\n"]

    def rows(text: str) -> list[list[str]]:
        return [line.split(",") for line in text.splitlines()]

    def show(table: Any) -> str:
        lines = table if isinstance(table, list) else [table]
        return "\n".join(",".join(map(str, line)) if isinstance(line, list) else str(line) for line in lines)

    damage = _texts(goods, "cases.csv", rows, show)
    good = tuple(held(text.encode(), "cases.csv") for text in goods)
    return Reader(lambda path: read_vectors(path, unit), good, (), damage)


def _vectors_npz() -> Reader:
    from hwsim.verify.vectors import read_vectors

    unit = _unit("mul_int4")
    a, b = np.arange(12) % 16, np.arange(12) % 7
    files = [seeds.npz(True, a=a, b=b), seeds.npz(False, a=a.astype(np.uint8), b=b.astype(np.int8), p=0 * a)]
    return _npz(lambda path: read_vectors(path, unit), files, "a", ("a", "b", "p", "q"))


def _data() -> Reader:
    from hwsim.io.data import read_npz

    images = np.arange(320, dtype=np.uint8).reshape(5, 1, 8, 8)
    files = [
        seeds.npz(True, x=seeds.f32(5, 1, 8, 8), y=np.arange(5)),
        seeds.npz(False, x=images, y=np.arange(5), scale=np.float32(1 / 255)),
        seeds.npz(False, x=np.arange(40).reshape(5, 8)),
    ]
    return _npz(read_npz, files, "x", ("x", "y", "scale", "z"))


KINDS = ("<f2", "<f4", ">f4", "<f8", "u1", "i1", "<i4", ">i8", "<u8", "?", "<c8", "S3", "<U2", "<M8[s]", "V4")


def _npz(load: Callable[[Path], Any], files: list[bytes], name: str, names: tuple[str, ...]) -> Reader:
    """Damage to the file's bytes, to one member's bytes, or arrays that nobody expects."""

    def member(rng: Random) -> Case:
        with zipfile.ZipFile(io.BytesIO(pick(rng, files))) as good:
            parts = {key: good.read(key) for key in good.namelist()}
        key = pick(rng, list(parts))
        what, parts[key] = _several(rng, bytes_changed, parts[key])
        if rng.random() < 0.3:
            parts[f"{pick(rng, names)}.npy"] = parts.pop(key)
        out = io.BytesIO()
        with zipfile.ZipFile(out, "w") as changed:
            for name, raw in parts.items():
                changed.writestr(name, raw)
        return f"{key}: {what}", held(out.getvalue(), "d.npz")

    def odd(rng: Random) -> np.ndarray[Any, Any]:
        shape = tuple(int(n) for n in rng.integers(0, 6, int(rng.integers(0, 5))))
        values = rng.integers(0, 256, int(np.prod(shape)) * np.dtype(kind := pick(rng, KINDS)).itemsize, dtype=np.uint8)
        return np.frombuffer(values.tobytes(), kind).reshape(shape)

    def damage(rng: Random) -> Case:
        if (way := rng.random()) < 0.6:
            return member(rng) if way < 0.4 else _raw(rng, files, "d.npz")
        chosen = rng.choice(names, int(rng.integers(1, len(names) + 1)), replace=False)
        arrays = {str(key): odd(rng) for key in chosen}
        said = ", ".join(f"{key} {value.dtype}{list(value.shape)}" for key, value in arrays.items())
        return said, held(seeds.npz(rng.random() < 0.5, **arrays), "d.npz")

    return Reader(load, tuple(held(raw, "d.npz") for raw in files), tuple(known.arrays(name)), damage)


def _run_json() -> Reader:
    from hwsim.report.document import read

    good = (ROOT / "reports/mnist-cnn/run.json").read_text()
    whole = json.loads(good)
    for result in whole["results"][1:]:
        whole["results"].remove(result)
    small = json.dumps(whole)
    damage = _texts([small], "run.json", json.loads, json.dumps)
    return Reader(read, (held(small.encode(), "run.json"),), (), damage)


def _qir(folder: Path, suffix: str) -> Reader:
    from hwsim.io import load_model

    good = seeds.saved(folder, suffix)
    cases = known.qir(good) if suffix == ".qir" else []

    def damage(rng: Random) -> Case:
        if suffix != ".qir":
            return trees(rng)
        if rng.random() < 0.3:
            return _raw(rng, [good.encode()], "m.qir")
        what, text = _several(rng, text_changed, good)
        return what, held(text.encode(), "m.qir")

    trees = _texts([good], f"m{suffix}", json.loads, json.dumps)
    return Reader(load_model, (held(good.encode(), f"m{suffix}"),), tuple(cases), damage)


def _models(*models: ModelProto) -> Reader:
    from hwsim.io import load_model

    files = [model.SerializeToString() for model in models]

    def damage(rng: Random) -> Case:
        if rng.random() < 0.4:
            return _raw(rng, files, "m.onnx")
        what, changed = _several(rng, fields_changed, pick(rng, models))

        def write(folder: Path) -> Path:
            write_beside(folder)
            return held(changed.SerializeToString(), "m.onnx")(folder)

        return what, write

    return Reader(load_model, tuple(held(raw, "m.onnx") for raw in files), (), damage)


def _onnx() -> Reader:
    return _models(seeds.network(), seeds.shapes())


def _onnx_quantized() -> Reader:
    from hwsim.io.onnx import to_model

    return _models(to_model(seeds.stored("int4", "int8")), to_model(seeds.stored("fp4_e2m1", "fp8_e4m3fn")))


def _qonnx() -> Reader:
    from hwsim.io.onnx import to_model

    return _models(to_model(seeds.stored("int4", "int8"), "qonnx"))


def _folders(config: dict[str, Any], tensors: seeds.Tensors, cases: Sequence[Case] = ()) -> Reader:
    """A network as Hugging Face keeps it: damage to its settings, its directory, its index of shards, or any byte."""
    from hwsim.io import load_model

    header, body = seeds.laid_out(tensors)
    good = seeds.framed(header, body)

    def damage(rng: Random) -> Case:
        way = rng.random()
        if way < 0.3:
            what, changed = _several(rng, bytes_changed, good)
            return what, known.folder_of(config, changed)
        if way < 0.6:
            what, said = _several(rng, tree_changed, config)
            return f"config: {what}", known.folder_of(said, good)
        if way < 0.7:
            what, said = _several(rng, tree_changed, {"weight_map": dict.fromkeys(header, "model.safetensors")})
            return f"index: {what}", _with_index(config, said, good)
        what, said = _several(rng, tree_changed, header)
        return f"header: {what}", known.folder_of(config, seeds.framed(said, body))

    return Reader(load_model, (known.folder_of(config, good),), tuple(cases), damage)


def _safetensors() -> Reader:
    return _folders(seeds.CONFIG, seeds.decoder(False), known.safetensors())


def _gptq() -> Reader:
    return _folders(seeds.GPTQ, seeds.decoder(True))


def _bert() -> Reader:
    return _folders(seeds.BERT, seeds.encoder())


def _with_index(config: Any, index: Any, raw: bytes) -> Write:
    def write(folder: Path) -> Path:
        (folder / "model.safetensors.index.json").write_text(json.dumps(index))
        return known.folder_of(config, raw)(folder)

    return write


def _gguf() -> Reader:
    from hwsim.io import load_model

    good = seeds.gguf()
    head = good.index(b"tokenizer") + 900

    def damage(rng: Random) -> Case:
        if rng.random() < 0.4:
            return _raw(rng, [good], "m.gguf")
        what, changed = _several(rng, bytes_changed, good[:head])  # counts, lengths, types, dimensions
        return f"directory: {what}", held(changed + good[head:], "m.gguf")

    return Reader(load_model, (held(good, "m.gguf"),), tuple(known.ggufs()), damage)


def _tflite() -> Reader:
    from hwsim.io import load_model

    files = [path.read_bytes() for path in sorted((ROOT / "tests/data/tflite").glob("*.tflite"))]

    def damage(rng: Random) -> Case:
        good = pick(rng, files)
        if rng.random() < 0.3:
            return _raw(rng, [good], "m.tflite")
        # Constants come first in these files; the tables that say what they are lie in the last part.
        cut = len(good) - 6000
        what, changed = _several(rng, bytes_changed, good[cut:])
        return f"tables: {what}", held(good[:cut] + changed, "m.tflite")

    return Reader(load_model, tuple(held(raw, "m.tflite") for raw in files), (), damage)


def _checkpoint() -> Reader:
    from hwsim.zoo import _torch

    good = seeds.checkpoint()
    return Reader(
        lambda path: _torch.read(path.read_bytes(), str(path)),
        (held(good, "m.pth"),),
        tuple(known.checkpoints()),
        lambda rng: _raw(rng, [good], "m.pth"),
    )


def _points(folder: Path) -> Reader:
    """The file of results that a sweep goes on from."""
    from hwsim.sweep.evaluate import Outcome
    from hwsim.sweep.store import FILE, Store

    def load(path: Path) -> None:
        with Store(path, {"spec": "x"}) as store:
            store.add("another", Outcome({"latency_s": 1.0}))

    with Store(folder, {"spec": "x"}) as store:
        for number in range(40):
            store.add(f'{{"n":{number}}}', Outcome({"latency_s": float(number)}) if number % 3 else Outcome(error="no"))
    good = (folder / FILE).read_bytes()

    def damage(rng: Random) -> Case:
        what, write = _raw(rng, [good], FILE)
        return what, lambda folder: write(folder).parent

    return Reader(load, (lambda place: held(good, FILE)(place).parent,), (), damage)
