"""``python -m hwsim`` is the command ``hwsim``."""

from __future__ import annotations

from hwsim.cli import main

if __name__ == "__main__":
    main()
