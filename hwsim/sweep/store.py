"""Where results are kept: one SQLite file in the sweep's folder, a row a point, each written in its own transaction.

A process killed at any moment leaves every finished row and no half row; the next run skips what is there.
"""

from __future__ import annotations

import json
import sqlite3
from collections.abc import Mapping
from pathlib import Path
from types import TracebackType
from typing import Self

from hwsim.errors import DataError
from hwsim.sweep.evaluate import Outcome

FILE = "points.sqlite"
_SCHEMA = "hwsim.sweep/1"


class Store:
    """The points of one sweep that have an outcome.

    Args:
        folder: made if it is not there; None keeps everything in memory.
        fingerprint: what the results depend on: the spec and the files that it names. A folder keeps one.
        fresh: forget what the folder holds.

    Raises:
        DataError: the folder holds another sweep, is in use by a running one, or cannot be written.
    """

    def __init__(self, folder: Path | None, fingerprint: Mapping[str, str], *, fresh: bool = False) -> None:
        self._where = "memory" if folder is None else str(folder)
        path = None if folder is None else folder / FILE
        try:
            if path is not None and fresh:
                for name in (FILE, f"{FILE}-wal", f"{FILE}-shm"):
                    path.with_name(name).unlink(missing_ok=True)
            self._base = sqlite3.connect(":memory:" if path is None else path, timeout=1.0, isolation_level=None)
            self._open(fingerprint)
        except OSError as error:
            raise DataError(f"cannot be written: {error.strerror or error}", where=self._where) from None
        except sqlite3.Error as error:
            raise self._explained(error) from None
        except (ValueError, TypeError, AttributeError):
            raise DataError(f"{FILE} is damaged", where=self._where, hint="--fresh starts over") from None

    def _open(self, fingerprint: Mapping[str, str]) -> None:
        run = self._base.execute
        run("PRAGMA locking_mode=EXCLUSIVE")
        run("PRAGMA journal_mode=WAL")
        run("PRAGMA synchronous=NORMAL")
        run("BEGIN EXCLUSIVE")
        run("CREATE TABLE IF NOT EXISTS about (key TEXT PRIMARY KEY, value TEXT NOT NULL)")
        run("CREATE TABLE IF NOT EXISTS points (point TEXT PRIMARY KEY, found TEXT, error TEXT NOT NULL)")
        wanted = {"schema": _SCHEMA, **fingerprint}
        held = dict(run("SELECT key, value FROM about").fetchall())
        if held:
            for key in (*wanted, *held):
                if held.get(key) != wanted.get(key):
                    self._base.close()
                    raise DataError(
                        f"expected an empty folder or this sweep's results, found results of another: {key} differs",
                        where=self._where,
                        hint="--fresh starts over, --out takes another folder",
                    )
        run("DELETE FROM about")
        self._base.executemany("INSERT INTO about VALUES (?, ?)", wanted.items())
        run("COMMIT")
        rows = run("SELECT point, found, error FROM points").fetchall()
        self.done = {
            point: Outcome(None if found is None else json.loads(found), error) for point, found, error in rows
        }

    def add(self, point: str, outcome: Outcome) -> None:
        """Keep one outcome; it is on disk when this returns.

        Raises:
            DataError: the disk is full, or the file was taken away.
        """
        found = None if outcome.values is None else json.dumps(dict(outcome.values))
        try:
            self._base.execute("INSERT OR REPLACE INTO points VALUES (?, ?, ?)", (point, found, outcome.error))
        except sqlite3.Error as error:
            raise self._explained(error) from None
        self.done[point] = outcome

    def forget_failures(self) -> int:
        """Drop the points that failed, so that they are tried again; how many they were."""
        failed = [point for point, outcome in self.done.items() if outcome.values is None]
        for point in failed:
            del self.done[point]
        self._base.execute("DELETE FROM points WHERE found IS NULL")
        return len(failed)

    def _explained(self, error: sqlite3.Error) -> DataError:
        text = str(error)
        if "locked" in text:
            return DataError("a sweep that is running writes here", where=self._where, hint="wait, or another --out")
        if "not a database" in text or "malformed" in text or "UTF-8" in text:
            return DataError(f"{FILE} is not a sweep's file", where=self._where, hint="--fresh starts over")
        return DataError(f"cannot be written: {text}", where=self._where)

    def close(self) -> None:
        """Give the file free."""
        self._base.close()

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()
