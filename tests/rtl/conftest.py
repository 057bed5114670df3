"""Builds and recordings of these tests stay out of the user's cache; each test process has one folder."""

from __future__ import annotations

import os
from collections.abc import Iterator

import pytest


@pytest.fixture(scope="session", autouse=True)
def own_cache(tmp_path_factory: pytest.TempPathFactory) -> Iterator[None]:
    """Point HWSIM_CACHE at a temporary folder for the session."""
    before = os.environ.get("HWSIM_CACHE")
    os.environ["HWSIM_CACHE"] = str(tmp_path_factory.mktemp("hwsim-cache"))
    yield
    if before is None:
        del os.environ["HWSIM_CACHE"]
    else:
        os.environ["HWSIM_CACHE"] = before
