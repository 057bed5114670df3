"""What a training run is scored by, the same in float32, in torch and on the chip."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from hwsim.comparing import limited, metric_of
from hwsim.emulate.run import float_outputs
from hwsim.errors import DataError
from hwsim.io import Dataset
from hwsim.io.metric import METRICS, Metric, classes_of
from hwsim.ir import Graph
from hwsim.quant.qat import QatNetwork

TASKS = {"perplexity": "next_token", "rank correlation": "vectors"}
"""The loss by which a network learns that is scored so; the others learn labels."""


@dataclass(frozen=True, slots=True)
class Judge:
    """A score over test inputs.

    Attributes:
        test: the inputs, with labels where the score needs them.
        metric: what is computed of the outputs; None counts right answers.
    """

    test: Dataset
    metric: Metric | None

    @classmethod
    def of(cls, graph: Graph, test: Dataset, limit: int | None, task: str | None) -> Judge:
        """What the zoo scores the network by; perplexity for a network that is to learn the next token. ``limit`` of
        the inputs, evenly spread.

        Raises:
            DataError: right answers are to be counted, and the test data have no labels.
        """
        metric = METRICS["perplexity"] if task == "next_token" else metric_of(graph)
        if metric is None and test.labels is None:
            raise DataError("expected labels of the test data, found none", where=test.name)
        return cls(limited(graph, test, limit), metric)

    @property
    def name(self) -> str:
        return "accuracy" if self.metric is None else self.metric.name

    @property
    def task(self) -> str:
        """The loss that fits."""
        return TASKS.get(self.name, "labels")

    def figures(self, outputs: NDArray[Any], inputs: NDArray[Any]) -> NDArray[Any]:
        """What the score needs of a chunk of outputs."""
        return classes_of(outputs) if self.metric is None else self.metric.figures(outputs, inputs)

    def score(self, figures: NDArray[Any]) -> float:
        """One number from the figures of every test input."""
        if self.metric is not None:
            return self.metric.score(figures, self.test.labels)
        return float((figures == self.test.labels).mean())

    def of_float(self, graph: Graph) -> float:
        """The float network's score."""
        return self.score(float_outputs(graph, self.test.inputs, reduce=self.figures))

    def of_torch(self, network: QatNetwork, batch: int) -> float:
        """The score of what torch computes, as the network stores things now; the chip has its say at the end."""
        import torch

        chip, network.chip = network.chip, None
        parts = []
        with torch.no_grad():
            for start in range(0, len(self.test.inputs), batch):
                rows = np.ascontiguousarray(self.test.inputs[start : start + batch])
                parts.append(self.figures(network(torch.from_numpy(rows)).numpy(), rows))
        network.chip = chip
        return self.score(np.concatenate(parts))
