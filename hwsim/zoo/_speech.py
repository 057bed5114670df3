"""silero-vad as one network over a fixed stretch of sound, and stretches of sound that espeak-ng speaks.

The maker's network takes one frame of 512 samples (16 kHz) with 64 of the frame before, and hands its state to the next
call. Here the frames of a stretch are one input [N, frames, 576] from a state of zeros, so that a chip runs the whole
recurrence. The speech is synthetic and labels itself: the last frame of a stretch is loud speech, or it is noise.
"""

from __future__ import annotations

import io
import shutil
import subprocess
import wave
from typing import Any

import numpy as np
import onnx
from numpy.typing import NDArray
from onnx import ModelProto, NodeProto, helper, numpy_helper

from hwsim.errors import ModelError, ToolError

RATE, HOP, CONTEXT, FRAMES = 16_000, 512, 64, 16
COUNT = 160
HIDDEN, SPECTRUM = 128, 129
STRIDES = (1, 2, 2, 1)
VOICES = ("en", "en-us+f3", "en-gb+m4", "de", "fr+f2", "es+m2", "it", "pt+f4")
SENTENCES = (
    "the quick brown fox jumps over the lazy dog while seven wizards watch",
    "please turn the volume down and read me the weather for tomorrow",
    "a chip that multiplies small numbers spends its energy on moving them",
    "one two three four five six seven eight nine ten eleven twelve",
    "we were away a year ago and nobody knew where the old road went",
)


def convert(data: bytes, name: str) -> ModelProto:
    """The maker's 16 kHz network over :data:`FRAMES` frames: [N, frames, 576] -> chances of speech [N, frames].

    Raises:
        ModelError: other weights than expected.
    """
    try:
        held = {t.name: numpy_helper.to_array(t) for t in onnx.load_model_from_string(data).graph.initializer}
    except Exception as err:
        raise ModelError(f"not an ONNX file: {type(err).__name__}", where=name) from None
    found = [held[key] for key in ("stft.forward_basis_buffer", "output.weight", "output.bias") if key in held]
    cells = [value for key, value in held.items() if key.startswith("onnx::LSTM")]
    convs = [
        held[f"encoder.{i}.{part}"] for i in range(4) for part in ("weight", "bias") if f"encoder.{i}.bias" in held
    ]
    if len(found) != 3 or len(cells) != 3 or len(convs) != 8:
        raise ModelError("expected silero-vad's 16 kHz weights", where=name)
    return _Network(found, cells, convs).model(name)


class _Network:
    """Nodes and weights so far; frames are the rows of images, so that each convolution sees one frame."""

    def __init__(self, ends: list[NDArray[Any]], cells: list[NDArray[Any]], convs: list[NDArray[Any]]) -> None:
        self.ends, self.cells, self.convs = ends, cells, convs
        self.nodes: list[NodeProto] = []
        self.weights: dict[str, NDArray[Any]] = {}

    def node(self, op: str, name: str, *inputs: str, **attrs: Any) -> str:
        self.nodes.append(helper.make_node(op, list(inputs), [name], name, **attrs))
        return name

    def constant(self, name: str, value: NDArray[Any]) -> str:
        self.weights[name] = np.ascontiguousarray(value)
        return name

    def model(self, name: str) -> ModelProto:
        size = HOP + CONTEXT
        mirrored = np.concatenate([np.arange(size), size - 2 - np.arange(CONTEXT)])
        x = self.node("Gather", "mirrored", "sound", self.constant("order", mirrored), axis=2)
        x = self.node("Unsqueeze", "image", x, self.constant("one", np.array([1])))
        basis = self.constant("basis", self.ends[0][:, :, None, :])
        x = self.node("Conv", "waves", x, basis, kernel_shape=[1, 256], strides=[1, 128])
        squares = []
        for at, part in enumerate(("real", "imaginary")):
            cut = [self.constant(f"{part}.{k}", np.array([v])) for k, v in (("from", at * 129), ("to", at * 129 + 129))]
            half = self.node("Slice", part, x, *cut, "one")
            squares.append(self.node("Mul", f"{part}.square", half, half))
        x = self.node("Sqrt", "spectrum", self.node("Add", "power", *squares))
        for at, stride in enumerate(STRIDES):
            w, b = self.convs[2 * at], self.convs[2 * at + 1]
            names = (self.constant(f"encoder{at}.weight", w[:, :, None, :]), self.constant(f"encoder{at}.bias", b))
            attrs = {"kernel_shape": [1, 3], "strides": [1, stride], "pads": [0, 1, 0, 1]}
            x = self.node("Relu", f"relu{at}", self.node("Conv", f"encoder{at}", x, *names, **attrs))
        x = self.node("Squeeze", "features", x, self.constant("last", np.array([3])))
        x = self.node("Transpose", "time", x, perm=[2, 0, 1])
        cells = [self.constant(f"lstm.{k}", v) for k, v in zip(("W", "R", "B"), self.cells, strict=True)]
        x = self.node("LSTM", "lstm", x, *cells, hidden_size=HIDDEN)
        x = self.node("Relu", "states", self.node("Squeeze", "hidden", x, "one"))
        x = self.node("Transpose", "rows", x, perm=[1, 0, 2])
        weight, bias = self.constant("head.weight", self.ends[1][0]), self.constant("head.bias", self.ends[2])
        x = self.node("Add", "sums", self.node("MatMul", "products", x, weight), bias)
        chance = self.node("Sigmoid", "chances", x)
        self.node("Squeeze", "speech", chance, self.constant("width", np.array([2])))
        graph = helper.make_graph(
            self.nodes,
            name,
            [helper.make_tensor_value_info("sound", 1, ["N", FRAMES, size])],
            [helper.make_tensor_value_info("speech", 1, ["N", FRAMES])],
            [numpy_helper.from_array(v, k) for k, v in self.weights.items()],
        )
        model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 13)], producer_name="hwsim")
        model.ir_version = 8
        onnx.checker.check_model(model)
        return model


def framed(sound: NDArray[np.float32]) -> NDArray[np.float32]:
    """[samples] -> [frames, 576]: each frame of 512 with the 64 samples before it (zeros before the first)."""
    whole = np.concatenate([np.zeros(CONTEXT, np.float32), sound[: FRAMES * HOP]])
    return np.stack([whole[at * HOP : at * HOP + HOP + CONTEXT] for at in range(FRAMES)])


def arrays(split: str = "test") -> dict[str, NDArray[Any]]:
    """``x`` [n, frames, 576] and ``y`` [n]: 1 where the last frame is speech, 0 where it is noise.

    Raises:
        ToolError: espeak-ng is missing or fails.
    """
    rng = np.random.default_rng(24 if split == "calib" else 23)
    length = FRAMES * HOP
    x, y = [], []
    spoken = [_speak(voice, SENTENCES[i % len(SENTENCES)]) for i, voice in enumerate(VOICES, start=split == "calib")]
    for at in range(COUNT):
        speech = at % 2 == 0
        noise = _noise(rng, length) * 10 ** rng.uniform(-2.5, -0.7)
        sound = noise
        if speech:
            voice = spoken[at // 2 % len(spoken)]
            ends = _loud_frames(voice)
            end = int(ends[rng.integers(len(ends))])
            sound = noise + voice[end - length : end] * 10 ** rng.uniform(-1.5, -0.2)
        x.append(framed(sound.astype(np.float32)))
        y.append(int(speech))
    return {"x": np.stack(x).astype(np.float16), "y": np.array(y, np.uint8)}


def _loud_frames(voice: NDArray[np.float32]) -> NDArray[np.intp]:
    """Sample numbers where a frame ends whose loudness is that of speech, with a whole stretch before."""
    ends = np.arange(FRAMES * HOP, len(voice), HOP)
    loud = np.array([np.sqrt(np.mean(voice[end - HOP : end] ** 2)) for end in ends])
    found: NDArray[np.intp] = ends[loud > 0.08]
    return found


def _noise(rng: np.random.Generator, length: int) -> NDArray[np.float64]:
    """White, pink or humming noise, peak near 1."""
    kind = rng.integers(3)
    if kind == 2:
        time = np.arange(length) / RATE
        return np.asarray(np.sin(2 * np.pi * rng.uniform(40, 400) * time) + 0.1 * rng.normal(size=length))
    bands = np.fft.rfft(rng.normal(size=length))
    if kind == 1:
        bands = bands / np.sqrt(np.maximum(np.arange(len(bands)), 1))
    sound = np.fft.irfft(bands, length)
    return np.asarray(sound / np.abs(sound).max())


def _speak(voice: str, sentence: str) -> NDArray[np.float32]:
    """A sentence at 16 kHz, peak 1."""
    tool = shutil.which("espeak-ng")
    if tool is None:
        raise ToolError("needs espeak-ng to speak", where="silero-vad", hint="apt install espeak-ng")
    try:
        done = subprocess.run([tool, "-v", voice, "--stdout", sentence], capture_output=True, timeout=60, check=True)
        with wave.open(io.BytesIO(done.stdout)) as file:
            rate = file.getframerate()
            raw = np.frombuffer(file.readframes(1 << 24), "<i2").astype(np.float64)
    except (OSError, subprocess.SubprocessError, wave.Error, EOFError) as err:
        raise ToolError(f"espeak-ng failed: {err}", where="silero-vad") from None
    at = np.arange(0, len(raw) - 1, rate / RATE)
    sound = np.interp(at, np.arange(len(raw)), raw)
    found: NDArray[np.float32] = (sound / np.abs(sound).max()).astype(np.float32)
    return found
