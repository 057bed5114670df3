"""Where hwsim keeps what it can make or fetch again."""

from __future__ import annotations

import os
from pathlib import Path


def cache_dir() -> Path:
    """Folder for fetched models, builds and recordings: ``$HWSIM_CACHE``, else ``$XDG_CACHE_HOME/hwsim``, else
    ``~/.cache/hwsim``."""
    if own := os.environ.get("HWSIM_CACHE"):
        return Path(own).expanduser().resolve()
    return Path(os.environ.get("XDG_CACHE_HOME") or "~/.cache").expanduser().resolve() / "hwsim"
