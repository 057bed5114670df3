"""The checks of a module that answers case by case: exhaustive, corner and random cases, and a file of one's own."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from hwsim.verify.cases import CaseUnit, Values, run_cases
from hwsim.verify.compare import UNKNOWN, Outcome
from hwsim.verify.simulator import Design
from hwsim.verify.vectors import read_vectors

VECTORS = "vectors"
FILE = "vectors_file"


@dataclass(frozen=True)
class CasePlan:
    """What to drive: the module, its sources, how many random cases, a file of vectors.

    ``latency``: cycles from inputs to outputs, for a pipeline; 0 for logic without a clock.
    """

    unit: CaseUnit
    sources: tuple[Path, ...]
    sim: str
    seed: int
    count: int
    latency: int = 0
    vectors: Path | None = None

    def design(self) -> Design:
        """What is built."""
        return Design.of(self.unit.top, self.sources, self.unit.parameters)

    def checks(self) -> Mapping[str, Callable[[], Outcome]]:
        """Check -> its run."""
        found: dict[str, Callable[[], Outcome]] = {name: self._check(name) for name in self.unit.checks}
        if self.vectors is not None:
            inputs, expected = read_vectors(self.vectors, self.unit)
            found[VECTORS] = lambda: self._hold(inputs)
            if expected:
                found[FILE] = lambda: self._file(inputs, expected)
        return found

    def _check(self, name: str) -> Callable[[], Outcome]:
        def run() -> Outcome:
            rng = np.random.default_rng([self.seed, *name.encode()])
            return self._hold(self.unit.checks[name](rng, self.count))

        return run

    def _hold(self, values: Values) -> Outcome:
        """Drive the cases, and hold every answer against the golden model's."""
        unit, design = self.unit, self.design()
        answers = unit.golden(values)

        def run(part: slice = slice(None), wave: Path | None = None) -> Any:
            driven = {name: held[part] for name, held in values.items()}
            return run_cases(unit, design, driven, latency=self.latency, sim=self.sim, seed=self.seed, wave=wave)

        got, known, cycles = run()
        cases, lanes = len(known), sum(port.lanes for port in unit.outputs)
        mismatches, earliest, first = 0, cases, None
        for port in unit.outputs:
            want = port.packed(answers[port.name])
            tail = -port.bits * port.lanes % 8
            got[port.name][:, -1] &= 0xFF >> tail  # bits above the last lane are not the module's
            wrong = np.flatnonzero((got[port.name] != want).any(axis=1) | ~known)
            for case in wrong.tolist():
                lane = [
                    at for at in range(port.lanes) if port.lane(got[port.name][case], at) != port.lane(want[case], at)
                ]
                mismatches += len(lane) if known[case] else port.lanes
                if case < earliest:
                    at = lane[0] if lane else 0
                    shown = port.told(port.lane(got[port.name][case], at)) if known[case] else UNKNOWN
                    name = f"{port.name}[{at}]" if port.lanes > 1 else port.name
                    earliest = case
                    first = (
                        f"case {case}: {unit.described(values, case)}: {name}: "
                        f"expected {port.told(port.lane(want[case], at))}, got {shown}"
                    )

        def record(wave: Path) -> None:
            """The failing case alone; of a pipeline also what came before it."""
            run(slice(max(0, earliest - 8) if self.latency else earliest, earliest + 1), wave)

        return Outcome(
            compared=cases * lanes,
            mismatches=mismatches,
            cycles_compared=0,
            cycle_mismatches=0,
            simulated_cycles=cycles,
            first=first,
            record=record,
            points=unit.points(values, answers),
        )

    def _file(self, values: Values, expected: Values) -> Outcome:
        """What the file expects against the golden model: no module is driven."""
        answers = self.unit.golden(values)
        compared, mismatches, first = 0, 0, None
        for port in self.unit.outputs:
            if port.name not in expected:
                continue
            want, said = port.packed(answers[port.name]), port.packed(expected[port.name])
            wrong = np.argwhere((want != said).any(axis=1))[:, 0]
            compared += len(want) * port.lanes
            mismatches += len(wrong)
            if len(wrong) and first is None:
                case = int(wrong[0])
                at = next(i for i in range(port.lanes) if port.lane(want[case], i) != port.lane(said[case], i))
                first = (
                    f"case {case}: {self.unit.described(values, case)}: the file expects "
                    f"{port.told(port.lane(said[case], at))}, the golden model {port.told(port.lane(want[case], at))}"
                )
        return Outcome(compared, mismatches, 0, 0, 0, first)
