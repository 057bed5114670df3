"""Test vectors of one's own: a .npz or .csv file, an array or column for each port, a row for each case."""

from __future__ import annotations

import csv
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from hwsim.errors import DataError, unknown
from hwsim.io.data import read_arrays
from hwsim.verify.cases import CaseUnit, Port

MOST_CASES = 1 << 22


def read_vectors(path: Path, unit: CaseUnit) -> tuple[dict[str, NDArray[Any]], dict[str, NDArray[Any]]]:
    """Inputs and, where the file has them, expected outputs: port -> integers [cases, lanes].

    A .npz holds whole-number arrays [cases] or [cases, lanes] named like the ports. A .csv has a line of port names,
    then a line a case; lanes are separated by spaces, numbers are decimal or 0x hexadecimal. Numbers are codes and bit
    patterns; a signed port also takes negative numbers. Inputs other than operands may be left out and are then 0.

    Raises:
        DataError: an unreadable file, a port that the unit lacks, an operand that is missing, another number of cases
            or lanes, or a number that does not fit its port; the place in the file is named.
    """
    ports = {port.name: port for port in (*unit.inputs, *unit.outputs)}
    if path.suffix == ".csv":
        raw = _csv(path, ports)
    elif path.suffix == ".npz":
        raw = read_arrays(path, {name: f"{port.lanes} x {port.bits} bits" for name, port in ports.items()})
    else:
        raise DataError(f"expected a .npz or .csv file, found {path.suffix or 'none'}", where=str(path))
    if unit.rows:
        raise DataError(f"{unit.name} takes no file of vectors: its cases are sequences", where=str(path))
    missing = [port.name for port in unit.inputs[:2] if port.name not in raw]
    if missing:
        raise DataError(f"no {missing[0]!r}; expected {', '.join(p.name for p in unit.inputs)}", where=str(path))
    found = {name: _checked(values, ports[name], f"{path}: {name}") for name, values in raw.items()}
    counts = {name: len(values) for name, values in found.items()}
    if len(set(counts.values())) != 1:
        raise DataError(f"arrays differ in their number of cases: {counts}", where=str(path))
    cases = next(iter(counts.values()))
    if not 0 < cases <= MOST_CASES:
        raise DataError(f"expected 1 to {MOST_CASES} cases, found {cases}", where=str(path))
    inputs = {p.name: found.get(p.name, np.zeros((cases, p.lanes), np.int64)) for p in unit.inputs}
    return inputs, {port.name: found[port.name] for port in unit.outputs if port.name in found}


def _checked(values: NDArray[Any], port: Port, where: str) -> NDArray[Any]:
    array = np.asarray(values)
    if array.dtype.kind == "f":
        raise DataError(f"expected codes, which are whole numbers, found {array.dtype}", where=where)
    if not array.size:
        raise DataError(f"expected values, found shape {list(array.shape)}", where=where)
    array = array.reshape(len(array), -1) if array.ndim else array.reshape(1, 1)
    if array.shape[1] != port.lanes:
        raise DataError(f"expected {port.lanes} values a case, found {array.shape[1]}", where=where)
    low = -(1 << (port.bits - 1)) if port.signed else 0
    wrong = np.argwhere((array < low) | (array >= 1 << port.bits))
    if len(wrong):
        case, lane = (int(i) for i in wrong[0])
        fits = f"{port.bits} bits ({low}..{(1 << port.bits) - 1})"
        raise DataError(f"case {case}, lane {lane}: {array[case, lane]} does not fit {fits}", where=where)
    wide = array if array.dtype == object and port.bits > 62 else array.astype(np.int64)
    return np.where(wide >= 1 << (port.bits - 1), wide - (1 << port.bits), wide) if port.signed else wide


def _csv(path: Path, ports: Mapping[str, Port]) -> dict[str, NDArray[Any]]:
    try:
        with path.open(encoding="utf-8", newline="") as file:
            lines = list(csv.reader(line for line in file if line.strip() and not line.lstrip().startswith("#")))
    except (OSError, UnicodeDecodeError, csv.Error) as error:
        raise DataError(f"cannot read it: {error}", where=str(path)) from None
    if len(lines) < 2:
        raise DataError("expected a line of port names and a line for each case", where=str(path))
    names = [cell.strip() for cell in lines[0]]
    for name in names:
        if name not in ports or names.count(name) > 1:
            raise unknown(DataError, "port", name, ports, where=f"{path}: line 1")
    columns: dict[str, list[list[int]]] = {name: [] for name in names}
    for case, cells in enumerate(lines[1:]):
        where = f"{path}: case {case}"
        if len(cells) != len(names):
            raise DataError(f"expected {len(names)} cells, found {len(cells)}", where=where)
        for name, cell in zip(names, cells, strict=True):
            try:
                numbers = [int(word, 0) for word in cell.split()]
            except ValueError:
                raise DataError(
                    f"{name}: expected whole numbers, decimal or 0x.., found {cell!r}", where=where
                ) from None
            if len(numbers) != ports[name].lanes:
                raise DataError(f"{name}: expected {ports[name].lanes} values, found {len(numbers)}", where=where)
            columns[name].append(numbers)
    return {name: np.array(rows, dtype=object) for name, rows in columns.items()}
