"""Everything a target's scheme needs survives text and JSON bit for bit; the JSON fits the schema made from the code;
damaged documents are one clear error or a graph that checks."""

from __future__ import annotations

import json
import random
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from hwsim.errors import ModelError
from hwsim.ir import Arithmetic, Graph, Node, QuantParams, Value, check, dumps, dumps_json, loads, loads_json
from hwsim.ir.passes import run_passes
from hwsim.ir.schema import json_schema
from hwsim.numerics import BlockFormat, Format, QTensor, encode, formats, quantize_tensor
from hwsim.numerics.format import Profile, Source, TableLayout
from tests.ir.graphs import small_cnn
from tests.oracles import need_module

ROOT = Path(__file__).parents[2]
BLOCKS = [name for name, entry in formats.items() if isinstance(entry, BlockFormat)]
ELEMENTS = [name for name, entry in formats.items() if isinstance(entry, Format) and entry.bits <= 16]
RNG = np.random.default_rng(7)


def holding(held: Any) -> Graph:
    """A graph that multiplies its input by one stored weight [8, 256]."""
    values = {name: Value(name, ("N", size)) for name, size in (("x", 256), ("y", 8))}
    return Graph("g", ("x",), ("y",), (Node("fc", "Gemm", ("x", "w"), "y"),), values, {"w": held})


def both_ways(graph: Graph) -> list[Graph]:
    """The graph after text and after JSON; each writes the same again."""
    text, body = dumps(graph), dumps_json(graph)
    back = [loads(text), loads_json(body)]
    assert [dumps(g) for g in back] == [text] * 2
    assert [dumps_json(g) for g in back] == [body] * 2
    return back


def same_tensor(found: Any, held: QTensor) -> None:
    assert isinstance(found, QTensor)
    assert found.equals(held)
    assert (found.fields is None) == (held.fields is None)
    for key, array in (held.fields or {}).items():
        assert found.fields is not None
        assert found.fields[key].dtype == array.dtype
        np.testing.assert_array_equal(found.fields[key], array)
    np.testing.assert_array_equal(found.dequantize().view(np.uint32), held.dequantize().view(np.uint32))
    assert found.nbytes_packed == held.nbytes_packed


@pytest.mark.parametrize("name", BLOCKS)
def test_every_block_format_with_its_fields(name: str) -> None:
    held = quantize_tensor(RNG.standard_normal((8, 256)).astype(np.float32), name, axis=1)
    for graph in both_ways(holding(held)):
        same_tensor(graph.constants["w"], held)


@pytest.mark.parametrize("name", ELEMENTS)
def test_every_code_of_every_element_format(name: str) -> None:
    entry = formats[name]
    assert isinstance(entry, Format)
    codes = np.resize(np.arange(min(1 << entry.bits, 2048)), (8, 256)).astype(entry.code_dtype)
    held = QTensor(codes, name, np.float32(0.1))
    for graph in both_ways(holding(held)):
        np.testing.assert_array_equal(graph.constants["w"].codes, codes)


@pytest.mark.parametrize(
    "options",
    [
        {"axis": None},
        {"axis": 0},
        {"axis": 1, "block_size": 48},
        {"axis": None, "symmetric": False},
        {"axis": 0, "symmetric": False},
        {"axis": 1, "block_size": 32, "symmetric": False, "scale_format": "fp16"},
    ],
)
@pytest.mark.parametrize("fmt", ["int4", "uint4", "int4_offset", "int8"])
def test_scales_and_zero_points_of_every_granularity(fmt: str, options: dict[str, Any]) -> None:
    if fmt == "uint4" and options.get("symmetric", True):
        options = {**options, "symmetric": False}
    held = quantize_tensor(RNG.standard_normal((8, 256)).astype(np.float32) + 0.3, fmt, **options)
    for graph in both_ways(holding(held)):
        same_tensor(graph.constants["w"], held)


def annotated() -> Graph:
    """Every optional thing that a graph can say."""
    graph = small_cnn()
    quant = QuantParams(
        "int4_sm", np.float32(0.1), rounding="nearest_away", overflow="wrap", negative_zero="canonicalise"
    )
    blocks = QuantParams("fp4_e2m1", block_format="mxfp4", axis=1, mode="rceil")
    vendor = QuantParams("int8", np.float32(2.0**-7), np.int32(3).reshape(()), profile="cambricon", scale_format="fp16")
    stored = {"r1": quant, "p1": blocks, "r2": vendor}
    values = {k: replace(v, quant=stored[k]) if k in stored else v for k, v in graph.values.items()}
    numbers = np.arange(6, dtype=np.int64)
    fixed = Arithmetic("int32", "saturate", "fixed_point", numbers + (1 << 30), numbers + 31)
    sums = {"conv1": fixed, "conv2": Arithmetic("fp32", "inf"), "fc": Arithmetic("int32", "wrap", "tflite_reference")}
    nodes = tuple(replace(n, arithmetic=sums.get(n.name)) for n in graph.nodes)
    return replace(
        graph, nodes=nodes, values=values, cached=("r1",), notes={"target": "ascend-910b4", "odd": 'a "b"\n'}
    )


def test_quantizations_arithmetic_caches_and_notes() -> None:
    want = annotated()
    for graph in both_ways(want):
        assert graph.cached == ("r1",)
        assert graph.notes == want.notes
        for name, value in want.values.items():
            found, quant = graph.values[name].quant, value.quant
            assert (found is None) == (quant is None)
            if quant is not None and found is not None:
                for key in (
                    "format",
                    "axis",
                    "block_format",
                    "rounding",
                    "overflow",
                    "negative_zero",
                    "profile",
                    "mode",
                ):
                    assert getattr(found, key) == getattr(quant, key)
                assert np.array_equal(np.asarray(found.scale), np.asarray(quant.scale))
        for node, old in zip(graph.nodes, want.nodes, strict=True):
            if old.arithmetic is None:
                assert node.arithmetic is None
                continue
            assert node.arithmetic is not None
            assert (node.arithmetic.accumulator, node.arithmetic.overflow) == (
                old.arithmetic.accumulator,
                old.arithmetic.overflow,
            )
            np.testing.assert_array_equal(np.asarray(node.arithmetic.multiplier), np.asarray(old.arithmetic.multiplier))


def test_stored_values_follow_their_policies() -> None:
    x = np.array([-0.01, 0.25, 9.0], np.float32)
    scale = np.float32(0.1)
    assert QuantParams("int4_sm", scale).quantize(x).codes.tolist() == [8, 2, 7]
    assert QuantParams("int4_sm", scale, negative_zero="canonicalise").quantize(x).codes.tolist() == [0, 2, 7]
    assert QuantParams("int4", scale, rounding="up").quantize(x).codes.tolist() == [0, 3, 7]
    assert QuantParams("int4", scale, profile="cambricon", rounding="nearest_away").quantize(x).codes[1] == 3
    assert QuantParams("int4", scale, overflow="wrap").quantize(x).codes[2] == 90 & 15


def learned_table() -> str:
    """A piecewise table of one's own, known by name."""
    name = "learned3"
    if name not in formats:
        table = TableLayout((-1.0, -0.4, -0.1, 0.0, 0.05, 0.25, 0.7, float("inf")))
        source = Source("a table learned for a test", "none", "2026-11-23")
        formats.add(name, Format(name, "learned", 3, table, source, {"own": Profile("own", "strict")}))
    return name


def test_a_learned_table_travels_with_the_graph() -> None:
    name = learned_table()
    held = quantize_tensor(RNG.standard_normal((8, 256)).astype(np.float32), name, axis=0)
    graph = holding(held)
    text, body = dumps(graph), dumps_json(graph)
    assert f"format {name} " in text
    own = formats._entries.pop(name)  # as in a process that never heard of it
    try:
        for back in (loads(text), loads_json(body)):
            found = back.constants["w"]
            np.testing.assert_array_equal(found.dequantize(), held.dequantize())
            assert encode(np.float32([0.3]), name)[0] == 5
    finally:
        formats._entries[name] = own
    assert "format" not in dumps(holding(quantize_tensor(np.ones((8, 256), np.float32), "nf4"))).split("\n")[2]
    other = text.replace("0.25", "0.26", 1)
    with pytest.raises(ModelError, match="is another one here"):
        loads(other)


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"bits": 40}, "bits must be in 1..32"),
        ({"layout": {"values": [1.0] * 7}}, "2\\*\\*bits"),
        ({"layout": {"values": ["a"] * 8}}, "a table holds numbers"),
        ({"kind": "float", "layout": {"exponent_bits": 10**9}}, "not a definition"),
        ({"kind": "nothing"}, "not a definition"),
        ({"source": 3}, "not a definition"),
    ],
)
def test_definitions_that_are_none(change: dict[str, Any], message: str) -> None:
    doc = json.loads(dumps_json(holding(quantize_tensor(np.ones((8, 256), np.float32), learned_table()))))
    doc["formats"] = {"mine": {**doc["formats"].pop(learned_table()), **change}}
    with pytest.raises(ModelError, match=message):
        loads_json(json.dumps(doc))
    assert "mine" not in formats


def test_odd_names_can_be_written() -> None:
    graph = small_cnn()
    odd = {"r1": 'a b,(c)%41\u2028"{', "x": "\u00fcber/in:0", "w1": "w 1"}

    def new(name: str) -> str:
        return odd.get(name, name)

    graph = Graph(
        "my net",
        tuple(map(new, graph.inputs)),
        graph.outputs,
        tuple(replace(n, inputs=tuple(map(new, n.inputs)), output=new(n.output)) for n in graph.nodes),
        {new(k): replace(v, name=new(k)) for k, v in graph.values.items()},
        {new(k): v for k, v in graph.constants.items()},
    )
    for back in both_ways(graph):
        assert back.nodes == graph.nodes
        assert set(back.values) == set(graph.values)
        assert back.name == "my net"


BAD_ARITHMETIC = {
    "unknown accumulator 'int31'": ("fc", Arithmetic("int31", "wrap")),
    "unknown overflow": ("fc", Arithmetic("int32", "explode")),
    "unknown requantization": ("fc", Arithmetic("int32", "wrap", "fp33")),
    "a multiplier needs its shift": ("fc", Arithmetic("int32", "wrap", "fixed_point", np.ones(5, np.int64))),
    "one each of 5 channels": ("fc", Arithmetic("int32", "wrap", "fixed_point", *[np.ones(4, np.int64)] * 2)),
    "shifts in 1..62": ("fc", Arithmetic("int32", "wrap", "fixed_point", *[np.full(5, 63, np.int64)] * 2)),
    "is no matrix product": ("relu1", Arithmetic("int32", "wrap")),
}


@pytest.mark.parametrize("message", BAD_ARITHMETIC)
def test_verifier_refuses_arithmetic(message: str) -> None:
    name, held = BAD_ARITHMETIC[message]
    graph = small_cnn()
    with pytest.raises(ModelError, match=message):
        check(replace(graph, nodes=tuple(replace(n, arithmetic=held) if n.name == name else n for n in graph)))


@pytest.mark.parametrize(
    ("quant", "message"),
    [
        (QuantParams("int4", np.float32(1), rounding="nearest"), "unknown rounding 'nearest'"),
        (QuantParams("int4", np.float32(1), overflow="clip"), "unknown overflow"),
        (QuantParams("int4", np.float32(1), negative_zero="drop"), "unknown negative-zero policy"),
        (QuantParams("int4", np.float32(1), profile="cambicon"), "unknown profile 'cambicon' \\(did you mean"),
        (QuantParams("int4", np.float32(1), mode="floor"), "for block formats"),
        (QuantParams("fp4_e2m1", block_format="int4"), "no block format"),
        (QuantParams("int4", np.float32(1), scale_format="fp17"), "unknown format 'fp17'"),
    ],
)
def test_verifier_refuses_quantizations(quant: QuantParams, message: str) -> None:
    graph = small_cnn()
    with pytest.raises(ModelError, match=message):
        check(replace(graph, values={**graph.values, "r1": replace(graph.values["r1"], quant=quant)}))


def test_cached_values_exist() -> None:
    with pytest.raises(ModelError, match="cached value 'k' is never computed"):
        check(replace(small_cnn(), cached=("k",)))


def test_a_pass_that_breaks_a_graph_is_named() -> None:
    def break_it(graph: Graph) -> Graph:
        return replace(graph, outputs=("nothing",))

    with pytest.raises(ModelError, match="pass break_it left it so"):
        run_passes(small_cnn(), lambda graph: graph, break_it)
    with pytest.raises(ModelError, match=r"never computed$"):
        run_passes(break_it(small_cnn()), lambda graph: graph)


def documents() -> list[dict[str, Any]]:
    held = quantize_tensor(RNG.standard_normal((8, 256)).astype(np.float32), "q4_k", axis=1)
    learned = quantize_tensor(RNG.standard_normal((8, 256)).astype(np.float32), learned_table(), axis=0)
    return [json.loads(dumps_json(graph)) for graph in (annotated(), holding(held), holding(learned), small_cnn())]


def test_documents_fit_the_schema_and_wrong_ones_do_not() -> None:
    jsonschema = need_module("jsonschema")
    schema = json_schema()
    jsonschema.Draft202012Validator.check_schema(schema)
    judge = jsonschema.Draft202012Validator(schema)
    for doc in documents():
        judge.validate(doc)
    doc = documents()[0]
    for path, value in (
        (("schema",), "hwsim.qir/1"),
        (("nodes", 0, "op"), "Convolution"),
        (("nodes", 0, "attrs", "strides"), [1]),
        (("nodes", 0, "attrs", "stride"), 1),
        (("nodes", 0, "inputs"), ["x"]),
        (("nodes", 0, "arithmetic", "overflow"), "explode"),
        (("nodes", 2, "arithmetic"), {"accumulator": "int32", "overflow": "wrap"}),
        (("values", "r1", "quant", "rounding"), "nearest"),
        (("values", "r1", "shape"), ["M", 2]),
        (("constants", "w1", "parts", "value"), "not base64!"),
        (("extra",), 1),
    ):
        wrong = json.loads(json.dumps(doc))
        place = wrong
        for key in path[:-1]:
            place = place[key]
        place[path[-1]] = value
        assert not judge.is_valid(wrong), path
        with pytest.raises(ModelError):
            loads_json(json.dumps(wrong))


def test_published_schema_is_the_code_s() -> None:
    published = json.loads((ROOT / "docs" / "qir.schema.json").read_text())
    assert published == json_schema(), "python -m hwsim.ir.schema > docs/qir.schema.json"


def _spots(node: Any, path: tuple[Any, ...] = ()) -> list[tuple[Any, ...]]:
    items = node.items() if isinstance(node, dict) else enumerate(node) if isinstance(node, list) else ()
    return [path, *(spot for key, child in items for spot in _spots(child, (*path, key)))]


def test_mutated_documents_are_errors_or_graphs() -> None:
    """400 documents with something replaced, dropped or grown: ModelError or a graph that checks; nothing else."""
    dice = random.Random(11)
    refused = 0
    wild = [None, -1, 0, 1 << 60, 1e308, True, "", "N", "zz", [], [[]], {}, {"a": 1}, ["x"], [1.5], "int4", [1 << 70]]
    for doc in documents():
        spots = [spot for spot in _spots(doc) if spot]
        for _ in range(100):
            wrong = json.loads(json.dumps(doc))
            *lead, last = dice.choice(spots)
            place = wrong
            for key in lead:
                place = place[key]
            if dice.random() < 0.3:
                del place[last]
            else:
                place[last] = dice.choice(wild)
            before = set(formats)
            line = ""
            try:
                check(loads_json(json.dumps(wrong), where="m.qir.json"))
            except ModelError as e:
                line = str(e)
            refused += bool(line)
            assert not line or line.startswith("m.qir.json")
            assert "\n" not in line
            for name in set(formats) - before:
                formats._entries.pop(name)
    assert refused > 250
