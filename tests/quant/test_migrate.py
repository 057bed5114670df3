"""A whole network between targets: which pairs lose nothing, what the others change, and answers that prove it."""

from __future__ import annotations

import itertools
from dataclasses import replace

import numpy as np
import pytest

import hwsim
from hwsim.emulate import bind, declare
from hwsim.emulate.operands import weight_operand
from hwsim.errors import RecipeError
from hwsim.ir import Graph, Node, QuantParams, Value, dumps, dumps_json, loads, loads_json
from hwsim.ir.graph import Arithmetic
from hwsim.numerics import QTensor
from hwsim.quant import Recipe, Scheme, quantize, recipe_for
from hwsim.quant.migrate import Change, is_lossless, migrate
from hwsim.target import load_target
from tests.ir.graphs import small_cnn

TARGETS = {
    "hwsim-int4-ws16": "int4",
    "hwsim-uint4-ws16": "int4",
    "hwsim-int4-sm16": "int4",
    "ascend-910b4": "int4",
    "nvidia-h100": "fp8",
    "nvidia-b200": "nvfp4",
}
LOSSLESS = {
    ("hwsim-int4-ws16", "hwsim-uint4-ws16"),
    ("hwsim-uint4-ws16", "hwsim-int4-ws16"),
    ("ascend-910b4", "hwsim-int4-ws16"),
    ("ascend-910b4", "hwsim-uint4-ws16"),
}
X = np.random.default_rng(0).standard_normal((40, 3, 8, 8)).astype(np.float32)


def home(name: str) -> Graph:
    """The small network as a target stores it."""
    return hwsim.quantize(small_cnn(), name, X, precision=TARGETS[name], calibrator="minmax")


def moved_to(graph: Graph, name: str, data: np.ndarray | None = X) -> tuple[Graph, tuple[Change, ...]]:
    chip = load_target(name)
    moved, changes = migrate(graph, recipe_for(chip, TARGETS[name], "minmax"), data)
    return declare(moved, chip, TARGETS[name]), changes


def answers(graph: Graph, name: str) -> np.ndarray:
    return hwsim.emulate(graph, name, X, precision=TARGETS[name]).output


@pytest.mark.parametrize(("source", "target"), list(itertools.permutations(TARGETS, 2)))
def test_all_ordered_pairs(source: str, target: str) -> None:
    """Every pair runs; those without loss are these; a lossless weight has the same numbers, bit for bit."""
    graph = home(source)
    moved, changes = moved_to(graph, target)
    assert is_lossless(changes) == ((source, target) in LOSSLESS)
    weights = {name for name, held in graph.constants.items() if isinstance(held, QTensor) and held.codes.ndim > 1}
    assert {c.name for c in changes if c.kind == "weight"} == weights
    for change in changes:
        assert (change.changed == 0) == (change.how not in ("requantized",)) or change.kind == "activation"
        if change.kind == "weight" and change.how in ("same", "lossless"):
            before, after = graph.float_constant(change.name), moved.float_constant(change.name)
            assert np.array_equal(before, after)
    reference = answers(graph, source)
    found = answers(moved, target)
    if (source, target) in LOSSLESS and source != "ascend-910b4":
        np.testing.assert_array_equal(found, reference)
    ratio = np.abs(found - reference).max() / np.abs(reference).max()
    assert ratio < 0.6, "the network is another one"


@pytest.mark.parametrize(("source", "target"), sorted(LOSSLESS))
def test_lossless_pairs_come_back_code_for_code(source: str, target: str) -> None:
    graph = home(source)
    moved, _ = moved_to(graph, target)
    if source == "ascend-910b4":  # whose products are the same everywhere, and which has no zero points
        assert all(
            v.quant is None or v.quant.zero_point is None or int(v.quant.zero_point) in (0, 8) for v in values(moved)
        )
    back, changes = moved_to(moved, source)
    assert is_lossless(changes)
    assert dumps(replace(back, notes={})) == dumps(
        replace(declare(graph, load_target(source), TARGETS[source]), notes={})
    )


def values(graph: Graph) -> list[Value]:
    return list(graph.values.values())


def test_int4_to_fp8_loses_no_weight_and_no_level() -> None:
    moved, changes = moved_to(home("hwsim-int4-ws16"), "nvidia-h100")
    assert {c.how for c in changes if c.kind == "weight"} == {"lossless"}
    assert {c.how for c in changes if c.kind == "activation"} == {"finer"}
    assert {c.after for c in changes if c.kind == "bias"} == {"fp32"}
    back, again = moved_to(moved, "hwsim-int4-ws16")
    assert {c.how for c in again if c.kind == "weight"} == {"lossless"}
    for name, held in home("hwsim-int4-ws16").constants.items():
        found = back.constants[name]
        if isinstance(held, QTensor) and held.codes.ndim > 1:
            assert isinstance(found, QTensor)
            np.testing.assert_array_equal(found.codes, held.codes)


def test_negative_zeros_are_counted() -> None:
    graph = home("hwsim-int4-sm16")
    held = graph.constants["conv1.weight"]
    assert isinstance(held, QTensor)
    count = int((held.codes == 8).sum())
    assert count > 0
    moved, changes = moved_to(graph, "hwsim-int4-ws16")
    assert next(c for c in changes if c.name == "conv1.weight").negative_zeros == count
    np.testing.assert_array_equal(answers(moved, "hwsim-int4-ws16"), answers(graph, "hwsim-int4-sm16"))


def test_levels_that_no_input_uses_may_go() -> None:
    """After a ReLU a symmetric INT4 uses 0..7 only, and sign-magnitude has those: the same step is kept."""
    graph = home("ascend-910b4")
    moved, changes = moved_to(graph, "hwsim-int4-sm16")
    after = [c for c in changes if c.kind == "activation" and c.name != "x.q"]
    assert len(after) == 2
    assert {(c.how, c.changed) for c in after} == {("as seen", 0)}
    for c in after:
        old, new = graph.value(c.name).quant, moved.value(c.name).quant
        assert old is not None
        assert new is not None
        assert old.scale == new.scale


def test_without_data_old_ranges_serve() -> None:
    graph = home("hwsim-int4-ws16")
    moved, changes = moved_to(graph, "ascend-910b4", None)
    assert all(c.elements == 16 for c in changes if c.kind == "activation")
    assert np.isfinite(answers(moved, "ascend-910b4")).all()
    with pytest.raises(RecipeError, match="says nothing of its range"):
        moved_to(home("nvidia-b200"), "hwsim-int4-ws16", None)


def test_quantize_sinks_below_movers_for_blocks_and_block_storage_keeps_its_axis() -> None:
    graph = home("hwsim-int4-ws16")
    assert graph.producer("f.q").op == "Flatten"  # type: ignore[union-attr]
    moved, _ = moved_to(graph, "nvidia-b200")
    assert moved.producer("f.q").op == "Quantize"  # type: ignore[union-attr]
    stored = {v.name: v.quant for v in values(moved) if v.quant is not None}
    assert all(moved.producer(name).op == "Quantize" for name in stored)  # type: ignore[union-attr]
    assert {q.axis for name, q in stored.items() if len(moved.shape_of(name)) == 4} == {1}


def test_wide_floats_and_mixed_widths() -> None:
    graph = home("hwsim-int4-ws16")
    eight = Scheme("int8", "per_channel", calibrator="minmax")
    mixed = Recipe(Scheme("int4", "per_channel"), Scheme("int8", symmetric=False), layers=(("fc", eight),))
    moved, changes = migrate(graph, mixed, X)
    assert is_lossless(changes) or {c.how for c in changes} <= {"same", "lossless", "finer"}
    assert moved.constants["fc.weight"].format == "int8"  # type: ignore[union-attr]
    half, changes = migrate(graph, recipe_for(load_target("nvidia-h100"), "fp16"), X)
    assert min(c.sqnr_db or np.inf for c in changes) > 60
    assert np.isfinite(hwsim.emulate(half, "nvidia-h100", X, precision="fp16").output).all()


def test_weights_that_came_stored_alone_get_operands() -> None:
    """As a GPTQ file brings them: UINT4 in groups with zero points, activations in float."""
    graph = small_cnn()
    held = hwsim.quantize_tensor(graph.float_constant("w3"), "uint4", axis=1, block_size=3, symmetric=False)
    graph = replace(graph, constants={**graph.constants, "w3": held})
    grouped = Recipe(Scheme("int4", "per_group", 3, False), Scheme("int4", symmetric=False, calibrator="minmax"))
    moved, changes = migrate(graph, grouped, X)
    assert {(c.name, c.how) for c in changes if c.kind == "weight"} == {("w3", "lossless")}
    assert moved.value(moved.node("fc").inputs[0]).format == "int4"
    assert moved.value(moved.node("conv1").inputs[0]).quant is None
    assert np.array_equal(moved.float_constant("w3"), held.dequantize())
    with pytest.raises(RecipeError, match="give calibration data"):
        migrate(graph, grouped, None)


def test_what_is_in_float_stays_in_float() -> None:
    recipe = replace(recipe_for(load_target("hwsim-int4-ws16"), None, "minmax"), keep=("conv2",))
    graph = quantize(small_cnn(), recipe, X)
    moved, changes = moved_to(graph, "nvidia-h100")
    assert not any(c.name.startswith("conv2") for c in changes)
    assert isinstance(moved.constants[moved.node("conv2").inputs[1]], np.ndarray)
    assert np.isfinite(answers(moved, "nvidia-h100")).all()


# Arithmetic that a graph carries --------------------------------------------------------------------------------------
def test_declared_integers_are_those_of_the_chip() -> None:
    """Multipliers and shifts written into the graph give the answers of those that the emulator finds itself, and
    other ones give others."""
    chip = load_target("hwsim-int4-ws16")
    digits = hwsim.load_data("mnist-cnn").head(20)
    graph = hwsim.quantize("mnist-cnn", chip, digits, calibrator="minmax")
    fixed = declare(graph, chip)
    held = fixed.node("conv1").arithmetic
    assert held is not None
    assert held.multiplier is not None
    assert held.multiplier.shape == (16,)
    assert (held.multiplier >= 1 << 30).all()
    want = hwsim.emulate(graph, chip, digits).output
    for again in (fixed, loads(dumps(fixed)), loads_json(dumps_json(fixed))):
        np.testing.assert_array_equal(hwsim.emulate(again, chip, digits).output, want)
    halved = replace(held, multiplier=held.multiplier // 2)
    other = replace(fixed, nodes=tuple(replace(n, arithmetic=halved) if n.name == "conv1" else n for n in fixed))
    assert (hwsim.emulate(other, chip, digits).output != want).any()


def test_a_graph_with_arithmetic_refuses_other_chips() -> None:
    fixed = declare(home("hwsim-int4-ws16"), load_target("hwsim-int4-ws16"))
    with pytest.raises(RecipeError, match=r"conv1: was made for .* wrap, and ascend.cube.int4 has saturate .*convert"):
        bind(fixed, load_target("ascend-910b4"))
    moved, _ = moved_to(fixed, "ascend-910b4")
    bind(moved, load_target("ascend-910b4"))
    assert moved.notes["target"] == "ascend-910b4"
    assert moved.node("conv1").arithmetic.multiplier is None  # type: ignore[union-attr]
    assert isinstance(moved.node("conv1").arithmetic, Arithmetic)


def test_dynamic_products_migrate() -> None:
    """A product of two run-time values: per-tensor storage on both sides, float where a target has blocks only."""
    shapes = {"x": ("N", 4, 16), "k": ("N", 16, 4), "s": ("N", 4, 4)}
    nodes = (Node("t", "Transpose", ("x",), "k", {"perm": (0, 2, 1)}), Node("mm", "MatMul", ("x", "k"), "s"))
    graph = Graph("attn", ("x",), ("s",), nodes, {n: Value(n, s) for n, s in shapes.items()}, {})
    x = np.random.default_rng(2).standard_normal((8, 4, 16)).astype(np.float32)
    stored = hwsim.quantize(graph, "hwsim-int4-ws16", x)
    moved, _ = migrate(stored, recipe_for(load_target("nvidia-h100"), "fp8"), x)
    assert {v.format for v in values(moved) if v.quant} == {"fp8_e4m3fn"}
    blocks, _ = migrate(stored, recipe_for(load_target("nvidia-b200"), "nvfp4"), x)
    assert {v.format for v in values(blocks)} <= {"fp32", "fp16", "nvfp4", "fp8_e4m3fn"}


def test_storage_of_graph_values_without_a_quantize_node() -> None:
    graph = home("hwsim-int4-ws16")
    quant = QuantParams("int4", np.float32(0.5), np.int32(2).reshape(()))
    graph = replace(graph, values={**graph.values, "x": replace(graph.values["x"], quant=quant)})
    moved, changes = moved_to(graph, "hwsim-uint4-ws16")
    found = moved.value("x").quant
    assert found is not None
    assert int(found.zero_point) == 10  # type: ignore[arg-type]
    assert next(c for c in changes if c.name == "x").how == "lossless"


def test_blocks_with_offsets_need_a_unit_that_widens() -> None:
    held = hwsim.quantize_tensor(np.random.default_rng(1).standard_normal((4, 64)).astype(np.float32), "q4_1", axis=1)
    wide = weight_operand(held, "fp16", slice(None))
    assert wide.codes.shape == (4, 64)
    with pytest.raises(RecipeError, match="q4_1 adds an offset"):
        weight_operand(held, "uint4", slice(None))
