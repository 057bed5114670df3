"""The zoo's entries beyond photographs and text: digits, file types, lines of print, speech."""

from __future__ import annotations

from dataclasses import replace

from hwsim.zoo.catalog_wheels import DIGITS, matplotlib
from hwsim.zoo.spec import Wheel, ZooEntry

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
    splits=("test", "calib", "train"),
    note="2,000 digits held out by a stratified split of npm mnist@1.1.0; not the official MNIST test set",
    train_wheel=DIGITS,
)

MNIST_MLP = replace(
    MNIST_CNN,
    name="mnist-mlp",
    title="MLP 784-256-128-10, MNIST digits",
    params=235_146,
    macs=234_752,
    training="python -m hwsim.zoo.train_mnist --digits ... --out hwsim/zoo/data --network mlp --epochs 30",
    published="97.30 % top-1 on the 2,000 held-out digits (hwsim/zoo/data/README.md)",
)

MAGIKA = ZooEntry(
    name="magika",
    title="Magika v3.3, file types",
    task="type of a file, 214 types",
    metric="top-1 accuracy",
    input_shape=(2048,),
    preprocessing="first and last 1,024 bytes without white space around, 256 for padding",
    classes=(),
    params=784_479,
    macs=366_717_952,
    source="magika 1.0.3 (ONNX, standard_v3_3); files: matplotlib 3.11.2",
    licence="weights: Apache-2.0 (Google); files: matplotlib's licence (PSF-based)",
    training="github.com/google/magika (its makers)",
    published="about 99 % precision and recall on its makers' test set (their paper, arXiv 2409.13768)",
    splits=("test", "calib"),
    note="files of one wheel, 11 types, labelled by their extensions: real files, but alike",
    model_wheel=Wheel(
        package="magika",
        version="1.0.3",
        filename="magika-1.0.3-py3-none-manylinux_2_28_x86_64.whl",
        sha256="3e9b49134e8116ee40b431664dcbed9e199413efddcce1a173c734b4e0521529",
        members=("magika/models/standard_v3_3/model.onnx",),
        tags=("--python-version=3.11", "--platform=manylinux_2_28_x86_64"),
    ),
    data_wheel=matplotlib("matplotlib/*"),
    form="onnx",
    corpus="files",
)

PPOCR = ZooEntry(
    name="ppocr-rec",
    title="PP-OCRv4 recognizer, lines of text",
    task="letters of a line of text, 6,625 classes",
    metric="character error rate",
    input_shape=(3, 48, 320),
    preprocessing="height 48, padded to 320, pixel / 127.5 - 1",
    classes=(),
    params=2_690_296,
    macs=702_469_440,
    source="rapidocr-onnxruntime 1.4.4 (ONNX of PaddleOCR's ch_PP-OCRv4_rec); fonts: DejaVu in matplotlib 3.11.2",
    licence="weights: Apache-2.0 (PaddlePaddle); fonts: Bitstream Vera's licence",
    training="github.com/PaddlePaddle/PaddleOCR (its makers)",
    published="none on drawn lines",
    splits=("test", "calib"),
    note="60 drawn lines of English words and numbers: synthetic, clean print",
    model_wheel=Wheel(
        package="rapidocr-onnxruntime",
        version="1.4.4",
        filename="rapidocr_onnxruntime-1.4.4-py3-none-any.whl",
        sha256="971d7d5f223a7a808662229df1ef69893809d8457d834e6373d3854bc1782cbf",
        members=("rapidocr_onnxruntime/models/ch_PP-OCRv4_rec_infer.onnx",),
    ),
    data_wheel=matplotlib(
        *(
            f"matplotlib/mpl-data/fonts/ttf/DejaVu{face}.ttf"
            for face in ("Sans", "Sans-Bold", "Sans-Oblique", "SansMono", "Serif", "Serif-Bold")
        )
    ),
    form="onnx",
    corpus="lines",
)

SILERO = ZooEntry(
    name="silero-vad",
    title="Silero VAD, convolutions and LSTM",
    task="is the last of 16 frames speech",
    metric="speech F1",
    input_shape=(16, 576),
    preprocessing="16 kHz, frames of 512 samples with the 64 before; state of zeros at the first",
    classes=(),
    params=309_761,
    macs=10_807_296,
    source="silero-vad 6.2.3 (ONNX, 16 kHz, frames joined by hwsim.zoo._speech); speech: espeak-ng",
    licence="weights: MIT (Silero Team)",
    training="github.com/snakers4/silero-vad (its makers)",
    published="none on this sound",
    splits=("test", "calib"),
    note="160 stretches of half a second: synthetic speech (espeak-ng, 8 voices) in noise, or noise alone",
    model_wheel=Wheel(
        package="silero-vad",
        version="6.2.3",
        filename="silero_vad-6.2.3-py3-none-any.whl",
        sha256="7b7f5436cfcb02fae583a05b512ea96467fd449fe54cb49a5e4f06c51a1e43b8",
        members=("silero_vad/data/silero_vad_16k_sequence.onnx",),
    ),
    form="silero",
    corpus="speech",
)

MORE = (MNIST_MLP, MAGIKA, PPOCR, SILERO)
