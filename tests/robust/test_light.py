"""Loading the room costs nothing, and each of its names is there."""

from __future__ import annotations

import subprocess
import sys

import hwsim.robust


def test_the_room_is_light() -> None:
    code = (
        "import sys, hwsim.robust; "
        "print([m for m in ('numpy', 'numba', 'torch', 'art', 'sklearn', 'scipy', 'PIL') if m in sys.modules])"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "[]"


def test_names_are_there() -> None:
    for name in hwsim.robust.__all__:
        assert getattr(hwsim.robust, name).__doc__
    assert sorted(hwsim.robust.__all__, key=str.swapcase) == sorted(hwsim.robust._HOMES, key=str.swapcase)
