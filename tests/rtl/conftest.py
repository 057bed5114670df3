"""Builds and recordings of these tests stay out of the user's cache; the test processes of a run share one folder."""

from __future__ import annotations

import os
from collections.abc import Iterator

import pytest


@pytest.fixture(scope="session", autouse=True)
def own_cache(tmp_path_factory: pytest.TempPathFactory) -> Iterator[None]:
    """Point HWSIM_CACHE at a temporary folder for the session."""
    before = os.environ.get("HWSIM_CACHE")
    base = tmp_path_factory.getbasetemp()
    shared = base.parent if os.environ.get("PYTEST_XDIST_WORKER") else base
    os.environ["HWSIM_CACHE"] = str(shared / "hwsim-cache")
    yield
    if before is None:
        del os.environ["HWSIM_CACHE"]
    else:
        os.environ["HWSIM_CACHE"] = before
