"""The house keeps its floors: import-linter's contracts hold, and numba stays in the files that are named for it."""

from __future__ import annotations

import ast
from collections.abc import Iterator
from pathlib import Path

from tests.oracles import need_module

ROOT = Path(__file__).resolve().parents[1]


def imported(tree: ast.AST) -> Iterator[str]:
    """Top packages that a file imports, wherever in it."""
    for node in ast.walk(tree):
        if isinstance(node, ast.Import):
            yield from (alias.name.partition(".")[0] for alias in node.names)
        elif isinstance(node, ast.ImportFrom) and node.level == 0:
            yield (node.module or "").partition(".")[0]


def test_imports_point_down() -> None:
    need_module("importlinter", "pip install import-linter")
    from importlinter.cli import lint_imports

    assert lint_imports(config_filename=str(ROOT / "pyproject.toml"), cache_dir=None) == 0


def test_numba_lives_in_kernel_files() -> None:
    users = {
        path.relative_to(ROOT).as_posix()
        for path in (ROOT / "hwsim").rglob("*.py")
        if "numba" in set(imported(ast.parse(path.read_text(encoding="utf-8"))))
    }
    assert users
    assert [path for path in sorted(users) if not Path(path).name.startswith("_kernels")] == []


def test_no_pickle_and_no_eval_in_the_package() -> None:
    for path in (ROOT / "hwsim").rglob("*.py"):
        tree = ast.parse(path.read_text(encoding="utf-8"))
        assert not {"pickle", "marshal", "shelve", "dill"} & set(imported(tree)), path
        called = {n.func.id for n in ast.walk(tree) if isinstance(n, ast.Call) and isinstance(n.func, ast.Name)}
        assert not {"eval", "exec"} & called, path
