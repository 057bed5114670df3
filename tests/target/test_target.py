"""Target files: what ships is complete and sourced; each fault of a user's file is one line with place and remedy."""

from __future__ import annotations

import re
from datetime import date
from pathlib import Path

import pytest
from pydantic import ValidationError

from hwsim.errors import TargetError
from hwsim.numerics import formats, units
from hwsim.target import KINDS, Target, load_target, loads_target, names

ROOT = Path(__file__).resolve().parents[2]
TEXT = (ROOT / "targets" / "hwsim-int4-ws16.yaml").read_text()


def test_shipped_names() -> None:
    assert {"nvidia-h100", "ascend-910b4", "hwsim-int4-ws16"} <= set(names())


@pytest.mark.parametrize("name", names())
def test_shipped_targets_are_complete(name: str) -> None:
    target = load_target(name)
    assert target.name == name
    assert target.default_precision in target.precisions
    for precision in target.precisions.values():
        assert precision.unit in units
        assert precision.weights.format in formats
        assert precision.activations.format in formats
    used = {quantity.source for _, quantity in target.quantities()} | {p.source for p in target.precisions.values()}
    used |= {tile.source for p in target.precisions.values() for tile in p.tiles or ()}
    assert used == set(target.sources), "a source that nothing uses, or a use without source"
    for source in target.sources.values():
        assert date.fromisoformat(source.read).year >= 2025
    assert all(quantity.kind in KINDS for _, quantity in target.quantities())


def test_published_rates_follow_from_the_parts() -> None:
    """Rates that vendors print: H100 1979 TFLOPS FP8 dense at its 1830 MHz; Ascend 910B4 491.5 TOPS INT8."""
    h100 = load_target("nvidia-h100")
    assert h100.machine.kind == "gpu"
    fp8 = h100.precision("fp8").macs_per_cycle
    assert fp8 is not None
    assert 2 * fp8.value * h100.machine.sms.value * 1.83e9 == pytest.approx(1979e12, rel=0.001)
    ascend = load_target("ascend-910b4")
    assert ascend.machine.kind == "systolic"
    block = ascend.precision("int8").block
    assert block is not None
    macs = block.m.value * block.k.value * block.n.value * ascend.machine.cores.value * ascend.machine.clock_hz.value
    assert 2 * macs == pytest.approx(491.5e12, rel=0.001)


def test_a_target_is_frozen_and_cached() -> None:
    target = load_target("nvidia-h100")
    with pytest.raises(ValidationError):
        target.name = "other"  # type: ignore[misc]
    assert load_target("nvidia-h100") is target


def test_load_by_path(tmp_path: Path) -> None:
    path = tmp_path / "mine.yaml"
    path.write_text(TEXT.replace("name: hwsim-int4-ws16", "name: mine"))
    assert load_target(path).name == "mine"
    assert load_target(str(path)) == load_target(path)


def test_unknown_name_names_the_nearest() -> None:
    with pytest.raises(TargetError, match=r"unknown target 'nvidia-h10' \(did you mean 'nvidia-h100'\?\)"):
        load_target("nvidia-h10")


def test_unknown_precision_names_the_nearest() -> None:
    with pytest.raises(TargetError, match=r"unknown precision of nvidia-h100 'fp9' \(did you mean 'fp"):
        load_target("nvidia-h100").precision("fp9")


def line_of(pattern: str) -> int:
    return next(number for number, line in enumerate(TEXT.splitlines(), 1) if pattern in line)


FAULTS = {
    "unknown key": ("  cores:", "  corse:", "  corse", "unknown key 'corse' in machine (did you mean 'cores'?"),
    "unknown top key": ("vendor:", "vendr:", "vendr", "unknown key 'vendr' (did you mean 'vendor'?"),
    "unknown deep key": (
        "{value: 16, kind: rtl, source: rtl}",
        "{valu: 16, kind: rtl, source: rtl}",
        "valu:",
        "'value'",
    ),
    "wrong type": (
        "  rows: {value: 16,",
        "  rows: {value: sixteen,",
        "sixteen",
        "machine.rows.value: expected a whole number",
    ),
    "fraction for a count": (
        "  rows: {value: 16,",
        "  rows: {value: 16.5,",
        "16.5",
        "machine.rows.value: expected a whole number",
    ),
    "bool for a number": ("{value: 6.4e9,", "{value: true,", "true, kind: assumed", "expected a number, found True"),
    "text for a mapping": (
        "clock_hz: {value: 2.0e8, low: 1.0e8, high: 3.0e8, kind: assumed, source: design}",
        "clock_hz: 2.0e8",
        "clock_hz",
        "machine.clock_hz: expected a mapping, found 200000000.0",
    ),
    "negative": ("{value: 6.4e9,", "{value: -6.4e9,", "-6.4e9", "expected a number above 0"),
    "zero": (
        "  rows: {value: 16,",
        "  rows: {value: 0,",
        "value: 0,",
        "expected a whole number of at least 1, found 0",
    ),
    "nan": ("{value: 6.4e9,", "{value: .nan,", ".nan", "expected a finite number, found nan"),
    "infinite": ("{value: 6.4e9,", "{value: .inf,", ".inf", "expected a finite number, found inf"),
    "unknown unit": (
        "hwsim.rtl.int4\n",
        "hwsim.rtl.int44\n",
        "hwsim.rtl.int44",
        "'hwsim.rtl.int44' (did you mean 'hwsim.rtl.int4'?)",
    ),
    "unknown format": (
        "weights: {format: int4,",
        "weights: {format: itn4,",
        "itn4",
        "unknown format 'itn4' (did you mean 'int4'?)",
    ),
    "unknown source": (
        "source: lpddr4}",
        "source: lpdr4}",
        "lpdr4}",
        "unknown source 'lpdr4' (did you mean 'lpddr4'?)",
    ),
    "unknown default": (
        "default_precision: int4",
        "default_precision: int3",
        "int3",
        "unknown precision 'int3' (did you mean 'int4'?)",
    ),
    "unknown kind": (
        "kind: published, source: lpddr4",
        "kind: publshed, source: lpddr4",
        "publshed",
        "did you mean 'published'?",
    ),
    "unknown machine": ("  kind: systolic", "  kind: systolc", "machine:", "did you mean 'systolic'?"),
    "unknown dataflow": (
        "  dataflow: ws",
        "  dataflow: wz",
        "dataflow: wz",
        "machine.dataflow: expected one of ws, os, is, cube",
    ),
    "missing key": ("vendor: hwsim\n", "", "", "expected the key 'vendor' in the file, found none"),
    "missing deep key": (
        ", kind: rtl, source: rtl}\n  cols",
        ", source: rtl}\n  cols",
        "rows:",
        "expected the key 'kind' in machine.rows",
    ),
    "missing kind of machine": ("  kind: systolic\n", "", "machine:", "expected the key 'kind' in machine, found none"),
    "duplicate key": (
        "vendor: hwsim\n",
        "vendor: hwsim\nvendor: me\n",
        "vendor: me",
        "expected each key once, found 'vendor' again",
    ),
    "bad date": (
        "section: hwsim verify, read: 2026-11-23",
        "section: hwsim verify, read: yesterday",
        "yesterday",
        "sources.rtl.read: expected text like",
    ),
    "block on an array": (
        "    mac_pj:",
        "    macs_per_cycle: {value: 2, kind: rtl, source: rtl}\n    mac_pj:",
        "  int4:",
        "expected no key 'macs_per_cycle'",
    ),
    "array without rows": (
        "  rows: {value: 16, kind: rtl, source: rtl}\n",
        "",
        "machine:",
        "expected key 'rows' with dataflow ws",
    ),
    "group without size": (
        "format: int4, granularity: per_channel",
        "format: int4, granularity: per_group",
        "per_group",
        "expected group_size",
    ),
    "band the wrong way": (
        "low: 1.0e8, high: 3.0e8",
        "low: 2.5e8, high: 3.0e8",
        "low: 2.5e8",
        "expected low <= value <= high",
    ),
    "empty name": ("vendor: hwsim\n", "vendor: ''\n", "vendor", "vendor: expected text, not empty, found ''"),
    "number for text": ("vendor: hwsim\n", "vendor: 12\n", "vendor", "vendor: expected text, found 12"),
    "null": ("vendor: hwsim\n", "vendor:\n", "vendor", "vendor: expected text, found nothing"),
}


@pytest.mark.parametrize("name", FAULTS)
def test_each_fault_is_one_line_with_its_place(name: str) -> None:
    old, new, marker, part = FAULTS[name]
    assert old in TEXT
    broken = TEXT.replace(old, new, 1)
    with pytest.raises(TargetError) as caught:
        loads_target(broken, "chip.yaml")
    message = str(caught.value)
    assert "\n" not in message
    assert part in message
    where = re.match(r"chip\.yaml:(\d+): ", message)
    assert where is not None, message
    if marker:
        assert marker in broken.splitlines()[int(where[1]) - 1]


def test_the_first_of_many_faults_is_told_and_the_rest_counted() -> None:
    broken = TEXT.replace("vendor: hwsim", "vendor: 1").replace("dataflow: ws", "dataflow: xx")
    with pytest.raises(TargetError, match=rf"^chip:{line_of('vendor:')}: vendor: .*1 more fault in the file"):
        loads_target(broken, "chip")


def test_shared_memory_and_its_price_come_together() -> None:
    one = "{value: 1, kind: rtl, source: rtl}"
    shared = f"  shared:\n    capacity_bytes: {one}\n    bytes_per_s: {one}\n"
    with pytest.raises(TargetError, match="shared_pj_per_byte"):
        loads_target(TEXT.replace("  dram:\n", shared + "  dram:\n"))


def test_a_power_limit_leaves_room_for_work() -> None:
    text = (ROOT / "targets" / "nvidia-h100.yaml").read_text()
    with pytest.raises(TargetError, match=r"expected more than energy.static_w = 116.5, found 100"):
        loads_target(text.replace("power_limit_w: {value: 695", "power_limit_w: {value: 100"))


def test_schema_and_catalogs_agree_on_evidence() -> None:
    assert {unit.evidence for unit in units.values()} <= set(KINDS)
    assert isinstance(load_target("ascend-910b4"), Target)


def test_a_tile_has_its_rows_among_its_sides() -> None:
    text = (ROOT / "targets" / "nvidia-h100.yaml").read_text()
    with pytest.raises(TargetError, match=r"tiles\[4\].rows: expected a side of 128x64, found 77"):
        loads_target(text.replace("tile: 128x64, rows: 64", "tile: 128x64, rows: 77"))
