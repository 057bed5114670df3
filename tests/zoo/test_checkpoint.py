"""Torch checkpoints without torch: equal to what torch loads, and nothing in them is ever called."""

from __future__ import annotations

import io
import pickle
from typing import Any

import numpy as np
import pytest

from hwsim.errors import ModelError
from hwsim.zoo import _torch
from tests.oracles import need_heavy_module


def saved(state: Any) -> bytes:
    torch: Any = need_heavy_module("torch")
    buffer = io.BytesIO()
    torch.save(state, buffer, _use_new_zipfile_serialization=False)
    return buffer.getvalue()


def some_state() -> dict[str, Any]:
    torch: Any = need_heavy_module("torch")
    torch.manual_seed(0)
    base = torch.randn(4, 3, 2, 5)
    return {
        "plain": torch.randn(3, 4),
        "turned": base.permute(3, 2, 0, 1),
        "part": base[1, 2],
        "half": torch.randn(6).half(),
        "scalar": torch.tensor(2.5),
        "count": torch.tensor(7),
    }


def test_equals_torch() -> None:
    state = some_state()
    found = _torch.read(saved(state), "m")
    assert set(found) == set(state) - {"count"}
    for name, value in found.items():
        np.testing.assert_array_equal(value, state[name].float().numpy())


class Evil:
    def __reduce__(self) -> Any:
        return (print, ("called",))


@pytest.mark.parametrize("place", range(5))
def test_a_pickle_that_calls_is_refused(place: int, capsys: pytest.CaptureFixture[str]) -> None:
    parts: list[Any] = [_torch.MAGIC, _torch.PROTOCOL, {}, {}, []]
    parts[place] = {"x": Evil()}
    raw = b"".join(pickle.dumps(part, protocol=2) for part in parts)
    with pytest.raises(ModelError, match="is not allowed"):
        _torch.read(raw, "m")
    assert capsys.readouterr().out == ""


def test_damaged_checkpoints_are_one_clear_error_or_load() -> None:
    raw, rng, lines = saved(some_state()), np.random.default_rng(0), []
    for at in range(200):
        data = bytearray(raw)
        if at % 2:
            del data[int(rng.integers(0, len(data))) :]
        else:
            for place in rng.integers(0, len(data), 4):
                data[int(place)] = int(rng.integers(0, 256))
        try:
            _torch.read(bytes(data), "m")
        except ModelError as err:
            lines.append(str(err))
    assert len(lines) > 100
    assert not any("\n" in line for line in lines)


def test_a_tensor_outside_its_storage_is_refused() -> None:
    storage = _torch._Storage("<f4", "0", 4)
    data = np.zeros(4, np.float32)
    for offset, shape, strides in (
        (1, (4,), (1,)),
        (0, (2, 2), (4, 1)),
        (0, (1 << 40, 1 << 20), (0, 0)),
        (0, (0,), (1,)),
    ):
        with pytest.raises(ValueError, match="outside"):
            _torch._view(data, _torch._Tensor(storage, offset, shape, strides))
