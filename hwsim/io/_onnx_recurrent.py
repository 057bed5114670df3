"""Recurrent layers through their gates: LSTM and GRU become products, sigmoids and tanhs, one set a time step.

ONNX operator specification, LSTM and GRU (opset 14: ``layout`` 1, batch first). What all steps take from the input is
one product; each step's state goes through a product of its own, with the layer's recurrent weights.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from hwsim.io._onnx_graph import Op
from hwsim.io._onnx_shapes import Live

MAX_STEPS = 4096
_GATES = {"LSTM": 4, "GRU": 3}
_USUAL = {"LSTM": ("Sigmoid", "Tanh", "Tanh"), "GRU": ("Sigmoid", "Tanh")}
Constants = tuple[str, str, str, str]
"""Names of W [gates * hidden, input], its bias, R [gates * hidden, hidden], its bias."""


def recurrent(op: Op) -> str:
    """LSTM and GRU from a state of zeros, forward, reverse or both ways; all outputs."""
    x = op.live()
    if int(op.attrs.get("layout", 0)) != 1:
        raise op.error("time comes first here; a Transpose with perm [1, 0, 2] must stand right before the layer")
    hidden, gates = int(op.attrs["hidden_size"]), _GATES[op.op]
    ways = {"forward": (False,), "reverse": (True,), "bidirectional": (False, True)}
    direction = str(op.attrs.get("direction", "forward"))
    usual = _USUAL[op.op] * len(ways.get(direction, ()))
    given = tuple(str(a) for a in op.attrs.get("activations", usual))
    if direction not in ways or given != usual or op.attrs.get("clip") or op.attrs.get("input_forget", 0):
        raise op.error("only the usual activations, without clip and input_forget, are supported")
    if op.has(4) or op.has(7):
        raise op.error("sequence lengths and peepholes are not supported")
    for index in (5, 6):
        if op.has(index) and op.known(index, "initial state").any():
            raise op.error("an initial state other than zeros is not supported")
    steps, size = int(x.shape[1]), int(x.shape[2])
    if steps > MAX_STEPS:
        raise op.error(f"{steps} steps are over the limit of {MAX_STEPS}")
    w, r = op.floats(1, "W"), op.floats(2, "R")
    count = len(ways[direction])
    if w.shape != (count, gates * hidden, size) or r.shape != (count, gates * hidden, hidden):
        raise op.error(f"W {list(w.shape)} and R {list(r.shape)} do not fit {size} inputs and {hidden} states")
    both = op.floats(3, "B") if op.has(3) else np.zeros((count, 2 * gates * hidden), np.float32)
    results = []
    for at, backwards in enumerate(ways[direction]):
        tag = "" if count == 1 else f".{'reverse' if backwards else 'forward'}"
        results.append(_Direction(op, w[at], r[at], both[at], tag).run(steps, backwards))
    return _outputs(op, results, steps, hidden)


def _outputs(op: Op, results: list[tuple[list[str], str, str]], steps: int, hidden: int) -> str:
    """Y [N, steps, ways, hidden], Y_h and Y_c [N, ways, hidden], those that the file names."""
    last = [[found[1] for found in results], [found[2] for found in results]]
    for at, name in enumerate(op.node.output[1:]):
        if name:
            parts = [_shaped(op, part, (1, hidden), f"last{at}.{i}") for i, part in enumerate(last[at])]
            out = parts[0] if len(parts) == 1 else op.emit("Concat", parts, {"axis": 1}, tag=f"last{at}")
            op.importer.env[name] = Live(out, op.shape(out))
    rows = []
    for step in range(steps):
        parts = [
            _shaped(op, states[step], (1, 1, hidden), f"{way}.{step}.row") for way, (states, _, _) in enumerate(results)
        ]
        rows.append(parts[0] if len(parts) == 1 else op.emit("Concat", parts, {"axis": 2}, tag=f"{step}.both"))
    return op.emit("Concat", rows, {"axis": 1}) if len(rows) <= _WIDEST else _joined(op, rows)


_WIDEST = 64
"""Most inputs of one Concat."""


def _joined(op: Op, rows: list[str]) -> str:
    parts = [
        op.emit("Concat", rows[i : i + _WIDEST], {"axis": 1}, tag=f"part{i // _WIDEST}")
        for i in range(0, len(rows), _WIDEST)
    ]
    return op.emit("Concat", parts, {"axis": 1})


def _shaped(op: Op, x: str, shape: tuple[int, ...], tag: str) -> str:
    return op.emit("Reshape", [x], {"shape": (-1, *shape)}, tag=tag)


class _Direction:
    """One direction of a layer, step by step."""

    def __init__(
        self, op: Op, w: NDArray[np.float32], r: NDArray[np.float32], bias: NDArray[np.float32], tag: str
    ) -> None:
        self.op = op
        self.tag = tag
        self.hidden = r.shape[1]
        self.linear = bool(op.attrs.get("linear_before_reset", 0))
        half = bias.size // 2
        ours, theirs = bias[:half], bias[half:]
        if op.op == "LSTM":
            ours, theirs = ours + theirs, np.zeros(half, np.float32)
        self.w = op.new_constant(w, f"W{tag}")
        self.bias = op.new_constant(ours, f"bias{tag}")
        self.r, self.theirs = r, theirs
        self.names: dict[str, str] = {}

    def run(self, steps: int, backwards: bool) -> tuple[list[str], str, str]:
        """The state after each step, by time; the last state; the last cell (GRU: the state again)."""
        op, width = self.op, len(self.r)
        taken = op.emit("Gemm", [op.live().name, self.w, self.bias], tag=f"input{self.tag}")
        states: dict[int, str] = {}
        state, cell = "", ""
        for at in reversed(range(steps)) if backwards else range(steps):
            cut = {"starts": (at,), "ends": (at + 1,), "axes": (1,), "steps": (1,)}
            row = op.emit("Slice", [taken], cut, tag=f"input{self.tag}.{at}")
            row = _shaped(op, row, (width,), f"input{self.tag}.{at}.row")
            if op.op == "LSTM":
                state, cell = self._lstm(row, state, cell, f"step{self.tag}.{at}")
            else:
                state = cell = self._gru(row, state, f"step{self.tag}.{at}")
            states[at] = state
        return [states[at] for at in range(steps)], state, cell

    def _constant(self, what: str, value: NDArray[np.float32]) -> str:
        if what not in self.names:
            self.names[what] = self.op.new_constant(value, f"{what}{self.tag}")
        return self.names[what]

    def _part(self, x: str, gate: int, tag: str) -> str:
        cut = {"starts": (gate * self.hidden,), "ends": ((gate + 1) * self.hidden,), "axes": (1,), "steps": (1,)}
        return self.op.emit("Slice", [x], cut, tag=tag)

    def _lstm(self, row: str, state: str, cell: str, at: str) -> tuple[str, str]:
        """c' = f c + i tanh(g), h' = o tanh(c'); gates lie in the order i, o, f, g."""
        emit = self.op.emit
        if state:
            ours = emit("Gemm", [state, self._constant("R", self.r)], tag=f"{at}.state")
            row = emit("Add", [row, ours], tag=f"{at}.gates")
        i, o, f = (emit("Sigmoid", [self._part(row, k, f"{at}.{n}0")], tag=f"{at}.{n}") for k, n in enumerate("iof"))
        g = emit("Tanh", [self._part(row, 3, f"{at}.g0")], tag=f"{at}.g")
        fresh = emit("Mul", [i, g], tag=f"{at}.new")
        if cell:
            kept = emit("Mul", [f, cell], tag=f"{at}.kept")
            fresh = emit("Add", [kept, fresh], tag=f"{at}.cell")
        wide = emit("Tanh", [fresh], tag=f"{at}.wide")
        return emit("Mul", [o, wide], tag=f"{at}.h"), fresh

    def _gru(self, row: str, state: str, at: str) -> str:
        """h' = (1 - z) n + z h; gates lie in the order z, r, n."""
        emit, h = self.op.emit, self.hidden
        zr, parts = ("z", "r"), {}
        for k, name in enumerate(zr):
            part = self._part(row, k, f"{at}.{name}0")
            rows = slice(k * h, (k + 1) * h)
            if state or self.theirs[rows].any():
                part = self._with_state(part, state, name, rows, f"{at}.{name}1")
            parts[name] = emit("Sigmoid", [part], tag=f"{at}.{name}")
        rows, new = slice(2 * h, 3 * h), self._part(row, 2, f"{at}.n0")
        if self.linear:
            ours = self._state(state, "n", rows, f"{at}.n1")
            if ours:
                new = emit("Add", [new, emit("Mul", [parts["r"], ours], tag=f"{at}.n2")], tag=f"{at}.n3")
        else:
            reset = emit("Mul", [parts["r"], state], tag=f"{at}.reset") if state else ""
            new = self._with_state(new, reset, "n", rows, f"{at}.n1")
        new = emit("Tanh", [new], tag=f"{at}.n")
        one = self._constant("one", np.ones((), np.float32))
        fresh = emit("Mul", [emit("Sub", [one, parts["z"]], tag=f"{at}.rest"), new], tag=f"{at}.new")
        if not state:
            return fresh
        return emit("Add", [fresh, emit("Mul", [parts["z"], state], tag=f"{at}.kept")], tag=f"{at}.h")

    def _state(self, state: str, name: str, rows: slice, tag: str) -> str:
        """What one gate takes from the state, or the name of its bias where there is no state yet."""
        bias = self._constant(f"R{name}.bias", self.theirs[rows])
        if not state:
            return bias if self.theirs[rows].any() else ""
        return self.op.emit("Gemm", [state, self._constant(f"R{name}", self.r[rows]), bias], tag=tag)

    def _with_state(self, part: str, state: str, name: str, rows: slice, tag: str) -> str:
        ours = self._state(state, name, rows, f"{tag}.state")
        return self.op.emit("Add", [part, ours], tag=tag) if ours else part
