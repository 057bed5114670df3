"""A page as a reader uses it: its blocks run in order, in one folder, and print what the page says.

``python`` blocks share one namespace. In ``sh`` blocks a line that starts with ``hwsim`` runs in this process; ``sed``
and ``cat`` run in a shell; ``make``, ``pip``, ``python``, ``git`` and ``chromium`` are the reader's. A comment that
speaks of minutes, hours or fetching marks a line that only has to parse. A block of another language
whose first line is a comment with a file's name becomes that file. A ``text`` block shows lines that the block before
it printed; ``...`` stands for lines left out, and seconds are not compared.
"""

from __future__ import annotations

import io
import re
import shlex
import subprocess
from collections.abc import Iterator
from contextlib import redirect_stderr, redirect_stdout
from dataclasses import dataclass, field
from pathlib import Path

import click

from hwsim.cli import run
from hwsim.cli.app import group

ROOT = Path(__file__).resolve().parents[2]
PAGES = ("README.md", "CONTRIBUTING.md", *sorted(str(p.relative_to(ROOT)) for p in ROOT.glob("docs/**/*.md")))
PAGES = tuple(page for page in PAGES if "_build" not in page)

_BLOCK = re.compile(r"^```\{?(?:code-block\} )?(\w+)\}?\n(.*?)^```$", re.MULTILINE | re.DOTALL)
_FILE = re.compile(r"(?://|#) (\S+\.(?:v|yaml|csv))\s*$")
_LONG = re.compile(r"minute|hour|fetch", re.IGNORECASE)
_SHELL = ("sed ", "cat ")
_READERS = ("make ", "pip ", "python ", "git ", "chromium ", "pytest ", ". ", ".ci/", "ruff ", "jupyter ")


@dataclass(frozen=True)
class Block:
    """A fenced block: its language, its text, and the line that it starts on."""

    language: str
    text: str
    line: int


def text_of(page: str) -> str:
    return (ROOT / page).read_text(encoding="utf-8")


def blocks(page: str, language: str | None = None) -> list[Block]:
    text = text_of(page)
    found = (Block(m[1], m[2], text.count("\n", 0, m.start()) + 1) for m in _BLOCK.finditer(text))
    return [block for block in found if language in (None, block.language)]


def lines_of(block: Block) -> Iterator[tuple[str, str]]:
    """(command, comment) of each line of a ``sh`` block; a backslash joins lines."""
    for line in block.text.replace("\\\n", " ").splitlines():
        command, _, comment = line.partition(" #") if not line.startswith("#") else ("", "", line)
        if command.strip():
            yield command.strip(), comment


def commands(page: str, program: str) -> list[str]:
    """What the page's ``sh`` blocks ask of ``program``, without redirections."""
    lines = [command.partition(" > ")[0].strip() for block in blocks(page, "sh") for command, _ in lines_of(block)]
    return [line for line in lines if line.startswith(f"{program} ")]


def parses(line: str) -> None:
    """The command line takes it: verbs, options and their types."""
    _, verb, *args = shlex.split(line)
    command = group.get_command(click.Context(group), verb)
    assert command is not None, f"no verb {verb!r}"
    command.make_context(verb, args)


@dataclass
class Reader:
    """Someone who types a page, block by block, in the folder that is the current one."""

    page: str
    names: dict[str, object] = field(default_factory=dict)
    said: str = ""

    def read(self) -> None:
        for block in blocks(self.page):
            where = f"{self.page}:{block.line}"
            if block.language == "python":
                self.said = self._python(block, where)
            elif block.language == "sh":
                self.said = "".join(self._command(command, comment, where) for command, comment in lines_of(block))
            elif block.language == "text":
                self._compare(block, where)
            elif named := _FILE.match(block.text.partition("\n")[0]):
                Path(named[1]).write_text(block.text)

    def _python(self, block: Block, where: str) -> str:
        out = io.StringIO()
        with redirect_stdout(out):
            exec(compile("\n" * block.line + block.text, where, "exec"), self.names)
        return out.getvalue()

    def _command(self, command: str, comment: str, where: str) -> str:
        if command.startswith(_READERS):
            return ""
        if command.startswith(_SHELL):
            done = subprocess.run(command, shell=True, check=True, capture_output=True, text=True)
            return done.stdout
        assert command.startswith("hwsim "), f"{where}: nothing runs {command!r}"
        line, _, target = command.partition(" > ")
        if _LONG.search(comment):
            parses(line)
            return ""
        out, err = io.StringIO(), io.StringIO()
        with redirect_stdout(out), redirect_stderr(err):
            status = run(shlex.split(line)[1:])
        assert status in (0, 1), f"{where}: {line}: {err.getvalue()}"
        if target:
            Path(target.strip()).write_text(out.getvalue())
            return ""
        return out.getvalue()

    def _compare(self, block: Block, where: str) -> None:
        printed = {_plain(line) for line in self.said.splitlines()}
        for line in block.text.splitlines():
            if line.strip() and line.strip() != "...":
                assert _plain(line) in printed, f"{where}: the page shows\n  {line}\nprinted was\n{self.said}"


def _plain(line: str) -> str:
    """A line without what differs from machine to machine: column widths, seconds, the cache's folder."""
    line = re.sub(r"[\s─-]+", " ", line.replace("\u202f", " ")).strip()
    line = re.sub(r"\d+\.\d (passed|FAILED)$", r"\1", line)
    return re.sub(r"^waves: .*/(\S+?) \w+\.(fst|vcd)$", r"waves: \1", line)
