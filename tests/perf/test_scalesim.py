"""SCALE-Sim mode against what SCALE-Sim 3.0.0 printed, every row."""

from __future__ import annotations

import csv
import re
from pathlib import Path

import pytest

from hwsim.errors import DataError
from hwsim.perf import scalesim

FILES = sorted((Path(__file__).resolve().parents[1] / "data" / "scalesim").glob("*.csv"))


@pytest.mark.parametrize("path", FILES, ids=lambda path: path.stem)
def test_every_row(path: Path) -> None:
    name = re.search(r"_(\d+)x(\d+)_(ws|os|is)_", path.name)
    assert name is not None
    with path.open() as stream:
        rows = list(csv.DictReader(stream))
    assert rows
    for row in rows:
        size = {axis: int(row[axis]) for axis in "MNK"}
        found = scalesim(**size, rows=int(name[1]), cols=int(name[2]), dataflow=name[3])
        assert found.cycles == int(row["total_cycles"]) - int(row["stall_cycles"]), row["layer"]
        assert found.sram_ifmap_reads == int(row["sram_ifmap_reads"]), row["layer"]
        assert found.sram_filter_reads == int(row["sram_filter_reads"]), row["layer"]
        assert found.sram_ofmap_writes == int(row["sram_ofmap_writes"]), row["layer"]


def test_enough_rows_were_compared() -> None:
    assert sum(len(path.read_text().splitlines()) - 1 for path in FILES) == 414


def test_random_products_on_random_arrays() -> None:
    with (FILES[0].parents[1] / "scalesim_random" / "rows.csv").open() as stream:
        rows = [
            {key: value if key in ("dataflow", "bandwidth") else int(value) for key, value in row.items()}
            for row in csv.DictReader(stream)
        ]
    assert len(rows) == 400
    assert sum(row["rows"] == 1 or row["cols"] == 1 for row in rows) > 50
    for row in rows:
        sizes = {name: row[name] for name in ("M", "N", "K", "rows", "cols", "dataflow")}
        found = scalesim(**sizes)
        assert found.cycles == row["cycles"] - row["stalls"], sizes
        assert found.sram_ifmap_reads == row["sram_ifmap_reads"], sizes
        assert found.sram_filter_reads == row["sram_filter_reads"], sizes
        assert found.sram_ofmap_writes == row["sram_ofmap_writes"], sizes


def test_bad_arguments() -> None:
    with pytest.raises(DataError, match=r"unknown dataflow 'wss' \(did you mean 'ws'\?\)"):
        scalesim(1, 1, 1, rows=1, cols=1, dataflow="wss")
    with pytest.raises(DataError, match="cols must be at least 1, found 0"):
        scalesim(1, 1, 1, rows=1, cols=0, dataflow="ws")
