"""The course of training: batches, losses, accumulated gradients, checkpoints that a killed run goes on from.

Everything that the next step depends on is in the checkpoint, and each step draws from its own seed, so that a run that
was killed at any moment ends with the same bits as one that was not (on one machine, with one number of threads).
"""

from __future__ import annotations

import io
import json
import math
import warnings
from collections.abc import Callable
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor
from torch.nn import functional

from hwsim.errors import DataError, RecipeError, unknown
from hwsim.io import atomic
from hwsim.quant.qat.network import QatNetwork

OPTIMIZERS = ("adamw", "sgd")
ACCUMULATORS = {"fp32": torch.float32, "fp16": torch.float16, "bf16": torch.bfloat16}
TASKS = ("labels", "next_token", "vectors")
_LOSS_SCALE = 1024.0
"""Of gradients while they are summed in 16 bits, so that small ones do not vanish."""

Augment = Callable[[Tensor, torch.Generator], Tensor]
Penalty = Callable[[QatNetwork, Tensor, torch.Generator], Tensor]


@dataclass(frozen=True, slots=True)
class Course:
    """How long, how fast, in which steps.

    Attributes:
        epochs, batch: passes over the data; inputs a step.
        rate: peak learning rate of weights; it rises for the first tenth and falls to nothing by a cosine.
        scale_rate: of scales and offsets, as a share of ``rate``.
        table_rate: of the numbers of learned tables, which are steps of their grid, as a share of ``rate``.
        log_rate: of the logarithms of attention's factors, as a share of ``rate``.
        optimizer: ``adamw`` or ``sgd`` (momentum .9).
        weight_decay: of weights, not of scales.
        accumulate: micro-batches a step; their gradients are summed in ``accumulator``.
        accumulator: ``fp32``, ``fp16`` (with a loss scale of 1024) or ``bf16``.
        teacher: share of the loss that is distance to the float network's answers (distillation; Hinton et al., arXiv
            1503.02531), 0 to 1.
        temperature: of the teacher's answers.
        task: ``labels`` (cross-entropy), ``next_token``, or ``vectors``, where the loss is one less the cosine of the
            network's outputs and the teacher's, which teaches alone (``teacher`` is 1).
        seed: of the order of the data, of augmentation and of stochastic rounding.
        checkpoint_steps: steps between checkpoints.
        report_steps: steps that a row of the curve stands for; None: an epoch.

    Raises:
        RecipeError: an unknown name, or a number that makes no sense.
    """

    epochs: int = 5
    batch: int = 100
    rate: float = 1e-3
    scale_rate: float = 1.0
    table_rate: float = 100.0
    log_rate: float = 10.0
    optimizer: str = "adamw"
    weight_decay: float = 1e-4
    accumulate: int = 1
    accumulator: str = "fp32"
    teacher: float = 0.0
    temperature: float = 2.0
    task: str = "labels"
    seed: int = 0
    checkpoint_steps: int = 200
    report_steps: int | None = None

    def __post_init__(self) -> None:
        for kind, name, known in (
            ("optimizer", self.optimizer, OPTIMIZERS),
            ("accumulator", self.accumulator, tuple(ACCUMULATORS)),
            ("task", self.task, TASKS),
        ):
            if name not in known:
                raise unknown(RecipeError, kind, name, known)
        for name in ("epochs", "batch", "accumulate", "checkpoint_steps"):
            if getattr(self, name) < 1:
                raise RecipeError(f"{name}: expected at least 1, found {getattr(self, name)}")
        if self.report_steps is not None and self.report_steps < 1:
            raise RecipeError(f"report_steps: expected at least 1, found {self.report_steps}")
        if not 0 <= self.teacher <= 1:
            raise RecipeError(f"teacher: expected a share of 0 to 1, found {self.teacher}")
        if self.task == "vectors" and self.teacher != 1:
            raise RecipeError(f"vectors are learned from the teacher alone, expected teacher 1, found {self.teacher}")
        if not self.rate > 0:
            raise RecipeError(f"rate: expected more than 0, found {self.rate}")


@dataclass(frozen=True, slots=True)
class Epoch:
    """What one epoch (or ``report_steps`` of it) came to.

    Attributes:
        epoch: its number, from 0.
        loss: mean training loss.
        score: what ``judge`` said of the network; None without one.
        step: steps done by its end.
    """

    epoch: int
    loss: float
    score: float | None = None
    step: int = 0


def train(
    network: QatNetwork,
    inputs: NDArray[Any],
    labels: NDArray[Any] | None,
    course: Course,
    *,
    teacher: QatNetwork | None = None,
    augment: Augment | None = None,
    attack: Callable[[QatNetwork, Tensor, Tensor, torch.Generator], Tensor] | None = None,
    penalty: Penalty | None = None,
    judge: Callable[[QatNetwork], float] | None = None,
    checkpoint: Path | None = None,
    threads: int | None = None,
    progress: Callable[[str, int, int], None] | None = None,
) -> tuple[Epoch, ...]:
    """Teach ``network`` in place.

    Args:
        inputs: [n, ...]. labels: [n] for the task ``labels``; None for ``next_token``.
        teacher: the float network (``QatNetwork(..., full=True)``), where the course has one.
        augment: (inputs of a batch, generator) -> changed inputs.
        attack: (network, inputs, labels, generator) -> inputs to learn from instead (adversarial training).
        penalty: (network, inputs, generator) -> a term of the loss (an out-of-distribution regularizer).
        judge: called for each row of the curve; its number is kept there.
        checkpoint: file to go on from if it is there, and to write; removed by nobody.
        threads: of torch, for the whole process; None leaves them as they are.
        progress: called with ("train", steps done, steps in all).

    Returns:
        The curve: a row an epoch, or for each ``report_steps``.

    Raises:
        DataError: labels or data do not fit the task, or the checkpoint is another run's.
    """
    _check_data(inputs, labels, course)
    if threads is not None:
        torch.set_num_threads(threads)
    torch.use_deterministic_algorithms(True, warn_only=True)
    batches = math.ceil(len(inputs) / course.batch)
    total = course.epochs * batches
    optimizer, schedule = _optimizer(network, course, total)
    run = _State(network, optimizer, schedule, course, checkpoint)
    done = run.load()
    show = progress or (lambda stage, now, whole: None)
    x_all = torch.from_numpy(np.require(inputs, requirements=["C", "W"]))
    y_all = None if labels is None else torch.from_numpy(np.asarray(labels, np.int64))
    while done < total:
        epoch, place = divmod(done, batches)
        order = torch.randperm(len(x_all), generator=_generator(course.seed, epoch, 0))
        pick = order[place * course.batch : (place + 1) * course.batch]
        dice = _generator(course.seed, done, 1)
        network.train()
        _reseed(network, done)
        run.loss += _step(network, teacher, x_all, y_all, pick, course, optimizer, dice, augment, attack, penalty)
        schedule.step()
        done += 1
        if done % (course.report_steps or batches) == 0 or done == total:
            network.eval()
            score = None if judge is None else judge(network)
            before = run.curve[-1].step if run.curve else 0
            run.curve.append(Epoch(epoch, run.loss / (done - before), score, done))
            run.loss = 0.0
        if done % course.checkpoint_steps == 0 or done == total:
            run.save(done)
        show("train", done, total)
    network.eval()
    return tuple(run.curve)


def _step(
    network: QatNetwork,
    teacher: QatNetwork | None,
    x_all: Tensor,
    y_all: Tensor | None,
    pick: Tensor,
    course: Course,
    optimizer: torch.optim.Optimizer,
    dice: torch.Generator,
    augment: Augment | None,
    attack: Callable[[QatNetwork, Tensor, Tensor, torch.Generator], Tensor] | None,
    penalty: Penalty | None,
) -> float:
    learned = [p for p in network.parameters() if p.requires_grad]
    kind = ACCUMULATORS[course.accumulator]
    factor = _LOSS_SCALE if course.accumulator == "fp16" else 1.0
    sums = [torch.zeros_like(p, dtype=kind) for p in learned]
    loss_sum = 0.0
    for part in pick.tensor_split(min(course.accumulate, len(pick))):
        x = x_all[part]
        y = x if y_all is None else y_all[part]
        if augment is not None:
            x = augment(x, dice)
        if attack is not None:
            x = attack(network, x, y, dice)
        optimizer.zero_grad(set_to_none=True)
        loss = _loss(network, teacher, x, y, course)
        if penalty is not None:
            loss = loss + penalty(network, x, dice)
        share = len(part) / len(pick)
        (loss * share * factor).backward()
        for total, parameter in zip(sums, learned, strict=True):
            if parameter.grad is not None:
                total += parameter.grad.to(kind)
        loss_sum += float(loss.detach()) * share
    for total, parameter in zip(sums, learned, strict=True):
        parameter.grad = total.float() / factor
    torch.nn.utils.clip_grad_norm_(learned, 5.0, error_if_nonfinite=False)
    optimizer.step()
    return loss_sum


def _loss(network: QatNetwork, teacher: QatNetwork | None, x: Tensor, y: Tensor, course: Course) -> Tensor:
    answers = network(x)
    if course.task == "vectors" and teacher is not None:
        with torch.no_grad():
            wanted = teacher(x)
        cosine: Tensor = functional.cosine_similarity(answers.flatten(1), wanted.flatten(1))
        return 1 - cosine.mean()
    if course.task == "next_token":
        logits, truth = answers[:, :-1].flatten(0, 1), y[:, 1:].long().flatten()
    else:
        logits, truth = answers.flatten(1), y
    hard = functional.cross_entropy(logits, truth)
    if teacher is None or course.teacher == 0:
        return hard
    with torch.no_grad():
        wanted = teacher(x)
    wanted = wanted[:, :-1].flatten(0, 1) if course.task == "next_token" else wanted.flatten(1)
    t = course.temperature
    soft = functional.kl_div(
        functional.log_softmax(logits / t, 1),
        functional.log_softmax(wanted / t, 1),
        reduction="batchmean",
        log_target=True,
    )
    return (1 - course.teacher) * hard + course.teacher * t * t * soft


def _optimizer(network: QatNetwork, course: Course, total: int) -> tuple[torch.optim.Optimizer, Any]:
    scales, tables, logs = network.scales(), network.tables(), network.logs()
    marks = {id(p) for p in (*scales, *tables, *logs)}
    weights = [p for p in network.parameters() if id(p) not in marks]
    kinds = (
        (weights, course.rate, course.weight_decay),
        (scales, course.rate * course.scale_rate, 0.0),
        (tables, course.rate * course.table_rate, 0.0),
        (logs, course.rate * course.log_rate, 0.0),
    )
    learned = [([p for p in held if p.requires_grad], rate, decay) for held, rate, decay in kinds]
    groups = [{"params": held, "lr": rate, "weight_decay": decay} for held, rate, decay in learned if held]
    optimizer: torch.optim.Optimizer
    if course.optimizer == "adamw":
        optimizer = torch.optim.AdamW(groups)
    else:
        optimizer = torch.optim.SGD(groups, lr=course.rate, momentum=0.9)
    warm = max(1, total // 10)

    def share(step: int) -> float:
        if step < warm:
            return (step + 1) / warm
        return 0.5 * (1 + math.cos(math.pi * (step - warm) / max(1, total - warm)))

    return optimizer, torch.optim.lr_scheduler.LambdaLR(optimizer, share)


def _generator(seed: int, at: int, kind: int) -> torch.Generator:
    return torch.Generator().manual_seed((seed * 1_000_003 + at) * 2 + kind)


def _reseed(network: QatNetwork, step: int) -> None:
    """Each step's stochastic rounding has its own draws, whenever the run began."""
    for store in network.stores.values():
        store.draws = step * 1_000_000


class _State:
    """What a checkpoint holds."""

    def __init__(
        self, network: QatNetwork, optimizer: torch.optim.Optimizer, schedule: Any, course: Course, path: Path | None
    ) -> None:
        self.network, self.optimizer, self.schedule, self.course, self.path = network, optimizer, schedule, course, path
        self.loss = 0.0
        self.curve: list[Epoch] = []

    def save(self, done: int) -> None:
        if self.path is None:
            return
        arrays = {f"network:{name}": value.numpy() for name, value in self.network.state_dict().items()}
        state = self.optimizer.state_dict()["state"]
        for index, held in state.items():
            arrays.update({f"optimizer:{index}:{name}": np.asarray(value) for name, value in held.items()})
        arrays |= self._memories()
        about = {
            "done": done,
            "loss": self.loss,
            "curve": [asdict(row) for row in self.curve],
            "course": asdict(self.course),
            "schedule": self.schedule.last_epoch,
            "coefficients": {name: store.coefficient for name, store in self.network.stores.items()},
        }
        arrays["about"] = np.frombuffer(json.dumps(about).encode(), np.uint8)
        held = io.BytesIO()
        np.savez(held, **arrays)
        atomic.write(self.path, held.getvalue(), DataError)

    def _memories(self) -> dict[str, NDArray[Any]]:
        """What the learned coefficients of gradient scaling remember of the step before."""
        found = {}
        for name, store in self.network.stores.items():
            if store.memory is not None:
                found[f"memory:{name}"] = store.memory.numpy()
        return found

    def load(self) -> int:
        """Take up a checkpoint; how many steps it has behind it."""
        if self.path is None or not self.path.exists():
            return 0
        where = str(self.path)
        try:
            with np.load(self.path, allow_pickle=False) as file:
                arrays = dict(file)
            about = json.loads(arrays.pop("about").tobytes())
        except (OSError, ValueError, KeyError) as error:
            raise DataError(f"is not a checkpoint: {error}", where=where) from None
        if about["course"] != asdict(self.course):
            raise DataError("is the checkpoint of another course", where=where, hint="remove it to start over")
        mine = self.network.state_dict()
        given = {name[8:]: torch.from_numpy(a) for name, a in arrays.items() if name.startswith("network:")}
        if {n: tuple(v.shape) for n, v in given.items()} != {n: tuple(v.shape) for n, v in mine.items()}:
            raise DataError("is the checkpoint of another network", where=where, hint="remove it to start over")
        self.network.load_state_dict(given)
        whole = self.optimizer.state_dict()
        for name, array in arrays.items():
            if name.startswith("optimizer:"):
                _, index, field = name.split(":")
                whole["state"].setdefault(int(index), {})[field] = torch.from_numpy(array)
            elif name.startswith("memory:"):
                self.network.stores[name[7:]].memory = torch.from_numpy(array)
        self.optimizer.load_state_dict(whole)
        for name, value in about["coefficients"].items():
            self.network.stores[name].coefficient = value
        with warnings.catch_warnings():
            warnings.simplefilter("ignore", UserWarning)  # the optimizer's steps were taken before the run was killed
            for _ in range(about["schedule"]):
                self.schedule.step()
        self.loss = about["loss"]
        self.curve = [Epoch(**row) for row in about["curve"]]
        done: int = about["done"]
        return done


def _check_data(inputs: NDArray[Any], labels: NDArray[Any] | None, course: Course) -> None:
    if len(inputs) == 0:
        raise DataError("training data are empty")
    if course.task == "labels" and (labels is None or len(labels) != len(inputs)):
        found = "none" if labels is None else str(len(labels))
        raise DataError(f"expected {len(inputs)} labels, found {found}")


def accuracy(network: QatNetwork, inputs: NDArray[Any], labels: NDArray[Any], batch: int = 256) -> float:
    """Share of right answers, as the network stores things now."""
    network.eval()
    right = 0
    with torch.no_grad():
        for start in range(0, len(inputs), batch):
            answers = network(torch.from_numpy(np.ascontiguousarray(inputs[start : start + batch])))
            right += int((answers.flatten(1).argmax(1).numpy() == labels[start : start + batch]).sum())
    return right / len(inputs)
