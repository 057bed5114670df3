"""Write a file whole or not at all."""

from __future__ import annotations

import os
import tempfile
from pathlib import Path

from hwsim.errors import HwsimError


def write(path: Path, data: bytes, error: type[HwsimError]) -> None:
    """Write ``data`` beside ``path`` and rename it into place; a reader never sees half a file. Folders are made.

    Raises:
        HwsimError: of class ``error``, where the folder cannot be written.
    """
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        handle, draft = tempfile.mkstemp(dir=path.parent, prefix=f".{path.name}.")
        try:
            with os.fdopen(handle, "wb") as file:
                file.write(data)
            os.chmod(draft, 0o666 & ~_umask())
            os.replace(draft, path)
        except BaseException:
            Path(draft).unlink(missing_ok=True)
            raise
    except OSError as err:
        raise error(f"cannot be written: {err.strerror or err}", where=str(path)) from None


def _umask() -> int:
    mask = os.umask(0)
    os.umask(mask)
    return mask
