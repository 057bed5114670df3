"""Tables that learn: what a code stands for moves, and the table travels with the graph to the chip."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from tests.oracles import need_heavy_module

torch = need_heavy_module("torch")

import hwsim  # noqa: E402
from hwsim import zoo  # noqa: E402
from hwsim.errors import RecipeError  # noqa: E402
from hwsim.io.model import save_model  # noqa: E402
from hwsim.ir import QuantParams  # noqa: E402
from hwsim.numerics import decode_table, encode, formats  # noqa: E402
from hwsim.quant.qat import Course, FakeQuant, Learning, train  # noqa: E402
from hwsim.quant.qat.table import LearnedTable  # noqa: E402
from tests.quant.qat.test_course import CHIP, start  # noqa: E402


def store(how: str) -> FakeQuant:
    return FakeQuant(QuantParams("int2", scale=np.array(1.0, np.float32)), Learning(table=how, scale="fixed"))


@pytest.mark.parametrize("how", ["free", "piecewise"])
def test_a_table_starts_as_its_format(how: str) -> None:
    """INT2's -2 .. 1 on INT4's grid, four steps apart, read as INT2 reads."""
    x = torch.tensor([-5.0, -1.2, -0.3, 0.2, 0.8, 9.0])
    plain = FakeQuant(QuantParams("int2", scale=np.array(1.0, np.float32)), Learning(scale="fixed"))
    assert store(how)(x).tolist() == plain(x).tolist()
    assert sorted(decode_table(store(how).format)) == [-8, -4, 0, 4]


def test_numbers_go_where_the_loss_leads() -> None:
    """Least squares to 1.5, which INT2 at scale 1 does not reach: its largest number moves from 4/4 to 6/4."""
    held = store("free")
    assert held.table is not None
    x = torch.full((64,), 1.5)
    optimizer = torch.optim.Adam([held.table.numbers], lr=0.1)
    for _ in range(60):
        optimizer.zero_grad()
        (held(x) - 1.5).square().mean().backward()
        optimizer.step()
    assert held(x).unique().tolist() == [1.5]
    assert sorted(decode_table(held.format)) == [-8, -4, 0, 6]


def test_gradient_of_a_number_is_the_sum_over_its_elements() -> None:
    held = store("free")
    assert held.table is not None
    x = torch.tensor([0.9, 1.1, 0.1, -1.0])
    held(x).backward(torch.tensor([1.0, 2.0, 4.0, 8.0]))
    by_number = dict(zip(held.table.start.tolist(), held.table.numbers.grad.tolist(), strict=True))
    balance = (4 * 4) ** -0.5
    assert by_number == {4: 3 * 0.25 * balance, 0: 4 * 0.25 * balance, -4: 8 * 0.25 * balance, -8: 0}


def test_two_slopes() -> None:
    table = LearnedTable("int4", "piecewise", "int8")
    with torch.no_grad():
        table.numbers.copy_(torch.tensor([0.5, 2.0]))
    spread, most = table.spread, 8 * table.spread
    want = [np.sign(v) * (min(abs(v), most / 2) * 0.5 + max(abs(v) - most / 2, 0) * 2) for v in table.start.numpy()]
    assert spread == 16
    read = decode_table("int8")[encode(np.array(want, np.float32), "int8")]
    assert table.levels().tolist() == read.tolist()


def test_a_learned_table_runs_on_the_chip_and_from_a_file(tmp_path: Path) -> None:
    digits = zoo.data("mnist-cnn", "calib")
    net = start(learning=Learning(table="free"))
    train(net, digits.inputs, digits.labels, Course(epochs=3, batch=32, table_rate=300.0))
    graph = net.export()
    held = graph.constants["fc1.weight"]
    assert held.format in formats.added
    assert sorted(decode_table(held.format)) != [-8, -4, 0, 4]
    save_model(graph, tmp_path / "m.qir")
    again = hwsim.load_model(tmp_path / "m.qir")
    a, b = (hwsim.emulate(g, CHIP, digits.inputs[:32]).output for g in (graph, again))
    assert np.array_equal(a, b)
    with torch.no_grad():
        mine = net(torch.from_numpy(digits.inputs[:32])).numpy()
    assert np.allclose(mine, a, rtol=1e-3, atol=1e-2 * np.abs(a).max())


def test_what_does_not_fit() -> None:
    with pytest.raises(RecipeError, match="up to 4 bits"):
        LearnedTable("int8", "free", "int8")
    with pytest.raises(RecipeError, match="does not hold"):
        LearnedTable("int4", "free", "int2")
    with pytest.raises(RecipeError, match="did you mean 'free'"):
        Learning(table="fre")
    with pytest.raises(RecipeError, match="fixed or learned"):
        Learning(table="free", scale="absmean")
