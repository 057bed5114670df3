"""Where the Verilog is, and how a caller's own files take the place of ours."""

from __future__ import annotations

import re
from collections.abc import Iterable
from pathlib import Path

from hwsim.errors import DataError, ToolError

_COMMENT = re.compile(r"//[^\n]*|/\*.*?\*/", re.DOTALL)
_MODULE = re.compile(r"^\s*module\s+(?:automatic\s+|static\s+)?([A-Za-z_]\w*)", re.MULTILINE)


def rtl_dir() -> Path:
    """The folder of Verilog sources: ``rtl/`` of a checkout, or the copy inside an installed package.

    Raises:
        ToolError: neither is there; the installation is damaged.
    """
    package = Path(__file__).resolve().parent.parent
    for folder in (package / "_data" / "rtl", package.parent / "rtl"):
        if (folder / "array_ws.v").is_file():
            return folder
    raise ToolError("the Verilog sources are missing", where=str(package / "_data" / "rtl"), hint="reinstall hwsim")


def modules_in(path: Path) -> tuple[str, ...]:
    """Names of the modules that a Verilog file defines, in order (comments do not count).

    Raises:
        DataError: the file cannot be read as text.
    """
    try:
        text = path.read_text(encoding="utf-8")
    except FileNotFoundError:
        raise DataError("no such Verilog file", where=str(path)) from None
    except (OSError, UnicodeDecodeError) as error:
        raise DataError(f"cannot read the Verilog file: {error}", where=str(path)) from None
    return tuple(_MODULE.findall(without_comments(text)))


def without_comments(text: str) -> str:
    """Verilog with each comment replaced by a space."""
    return _COMMENT.sub(" ", text)


def rtl_sources(replacements: Iterable[str | Path] = ()) -> tuple[Path, ...]:
    """Every Verilog file of hwsim, those that define a module of ``replacements`` replaced by the caller's files.

    A caller's file may bring further modules of its own, but together they must replace at least one of ours.

    Raises:
        DataError: a file is unreadable, defines no module, or defines one that another of the files defines too; or
            none of the modules is one of ours.
    """
    ours = {path: modules_in(path) for path in sorted((*rtl_dir().glob("*.v"), *rtl_dir().glob("tb/*.v")))}
    theirs = {Path(path).resolve(): modules_in(Path(path)) for path in replacements}
    if not theirs:
        return tuple(ours)
    brought: dict[str, Path] = {}
    for path, names in theirs.items():
        if not names:
            raise DataError("the file defines no Verilog module", where=str(path))
        for name in names:
            if name in brought:
                raise DataError(f"module {name!r} is defined in {brought[name]} too", where=str(path))
            brought[name] = path
    replaceable = sorted(name for names in ours.values() for name in names)
    if not set(brought) & set(replaceable):
        raise DataError(
            f"no module of {_listed(brought)} is part of the array",
            where=str(next(iter(theirs))),
            hint=f"define one of: {', '.join(replaceable)}; or give a port map, which lets another stand in",
        )
    return (*(path for path, names in ours.items() if not set(names) & set(brought)), *theirs)


def _listed(names: Iterable[str]) -> str:
    return ", ".join(sorted(names))
