"""Every error hwsim raises on bad input, in one tree.

    HwsimError
    ├── FormatError   an encoding: unknown name, unsupported option, value it cannot hold
    ├── UnitError     a matrix unit: unknown name, operands it does not take
    ├── ModelError    a model file or a graph: unreadable, malformed, unsupported operator
    ├── TargetError   a target file: unreadable, unknown key, wrong type
    ├── RecipeError   a quantization recipe that a graph or a target cannot follow
    ├── DataError     input data: missing, empty, wrong shape, not finite
    └── ToolError     an outside program (a simulator, a package) is missing or failed

A message is one line: where, what was expected, what was found, and the nearest valid name. The command line prints it
without a traceback and exits with ``exit_status``.
"""

from __future__ import annotations

import difflib
from collections.abc import Iterable, Mapping

MOST_NAMES = 60
"""Names that an error lists; of more it says the first few."""
LONGEST = 500
"""Characters of a message, and of a hint three times as many; a file's own text in it may be of any length."""


class HwsimError(Exception):
    """Base of every error that hwsim raises on purpose.

    Args:
        message: what was expected and what was found, in one line.
        where: the file (``path:line``), node or argument at fault; put before the message.
        hint: what to do about it; put after the message.

    Example:
        >>> str(HwsimError("expected int4, found int5", where="mine.yaml:3", hint="did you mean 'int4'?"))
        "mine.yaml:3: expected int4, found int5 (did you mean 'int4'?)"
    """

    exit_status = 2

    def __init__(self, message: str, *, where: str | None = None, hint: str | None = None) -> None:
        self.message = message
        self.where = where
        self.hint = hint
        line = f"{where}: {_short(message, LONGEST)}" if where else _short(message, LONGEST)
        super().__init__(" ".join((f"{line} ({_short(hint, 3 * LONGEST)})" if hint else line).split()))


class FormatError(HwsimError):
    """An encoding is unknown, or was asked for what it does not have."""


class UnitError(HwsimError):
    """A matrix unit is unknown, or was given operands that it does not take."""


class ModelError(HwsimError):
    """A model file or a graph is unreadable, malformed or unsupported."""


class TargetError(HwsimError):
    """A target description is unreadable, malformed or incomplete."""


class RecipeError(HwsimError):
    """A quantization recipe does not fit its graph or target."""


class DataError(HwsimError):
    """Input data are missing, empty, of the wrong shape, or not finite."""


class ToolError(HwsimError):
    """A program or package outside hwsim is missing or failed."""

    exit_status = 3


def _short(text: str, most: int) -> str:
    """The beginning and the end of a long text."""
    return text if len(text) <= most else f"{text[: most - most // 4]} [...] {text[-most // 4 :]}"


def nearest(name: str, choices: Iterable[str]) -> str | None:
    """The choice most like ``name``, or None where nothing is near."""
    found = difflib.get_close_matches(name, list(choices), n=1, cutoff=0.5)
    return found[0] if found else None


def unknown(
    error: type[HwsimError],
    kind: str,
    name: object,
    choices: Iterable[str],
    *,
    where: str | None = None,
    meant: Mapping[str, str] | None = None,
) -> HwsimError:
    """Build the error for a name that is not in a catalog: it names the nearest entry, else lists them all.

    ``meant`` are entries that are called otherwise elsewhere, by those names in lower case.

    Example:
        >>> str(unknown(FormatError, "format", "int5", ["int4", "uint4"]))
        "unknown format 'int5' (did you mean 'int4'?)"
    """
    names = sorted(choices)
    close = (meant or {}).get(str(name).lower()) or nearest(str(name), names)
    listed = ", ".join(names) if len(names) <= MOST_NAMES else f"{', '.join(names[:8])} and {len(names) - 8} others"
    hint = f"did you mean {close!r}?" if close else f"one of: {listed}"
    return error(f"unknown {kind} {str(name)!r}", where=where, hint=hint)
