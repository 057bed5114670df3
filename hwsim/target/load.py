"""Find, read and check target files: a name or a path in, a :class:`Target` or one clear line out."""

from __future__ import annotations

from functools import lru_cache
from pathlib import Path
from typing import Any

from pydantic import ValidationError

from hwsim.errors import FormatError, HwsimError, TargetError, UnitError, unknown
from hwsim.target.explain import explain
from hwsim.target.machines import GpuMachine, SystolicMachine
from hwsim.target.schema import Target
from hwsim.target.yaml import Document, Key, parse_yaml, read_yaml

_PACKAGE = Path(__file__).resolve().parents[1]


def _folder() -> Path:
    """Shipped targets: beside the package in a checkout, inside it in an installed wheel."""
    packed = _PACKAGE / "_data" / "targets"
    return packed if packed.is_dir() else _PACKAGE.parent / "targets"


def names() -> tuple[str, ...]:
    """Names of the shipped targets, sorted."""
    return tuple(sorted(path.stem for path in _folder().glob("*.yaml")))


def path_of(name: str) -> Path:
    """The file of a shipped target, to copy and change.

    Raises:
        TargetError: no such name; the nearest is named.
    """
    if name not in names():
        raise unknown(TargetError, "target", name, names())
    return _folder() / f"{name}.yaml"


def load_target(name_or_path: str | Path) -> Target:
    """Load a shipped target by name, or any target file by path (it ends in .yaml or .yml, or has a folder in it).

    Raises:
        TargetError: one line: no such name (the nearest is named), or ``path:line: what was expected, what was found``.

    Example:
        >>> chip = load_target("hwsim-int4-ws16")
        >>> chip.machine.rows.value, chip.machine.rows.kind
        (16, 'rtl')
    """
    text = str(name_or_path)
    if isinstance(name_or_path, Path) or text.endswith((".yaml", ".yml")) or "/" in text or "\\" in text:
        return build_target(read_yaml(name_or_path))
    path_of(text)
    return _shipped(text)


@lru_cache(maxsize=64)
def _shipped(name: str) -> Target:
    target = build_target(read_yaml(path_of(name)))
    if target.name != name:
        raise TargetError(f"expected the name {name!r} like the file's, found {target.name!r}", where=f"{name}.yaml")
    return target


def loads_target(text: str, path: str = "<text>") -> Target:
    """Build a target from YAML text. Raises TargetError as :func:`load_target` does."""
    return build_target(parse_yaml(text, path))


def build_target(document: Document) -> Target:
    """Validate a parsed file. Raises TargetError as :func:`load_target` does."""
    try:
        target = Target.model_validate(document.data)
    except ValidationError as error:
        raise explain(document, error, Target, TargetError) from None
    _check_sources(document, document.data, (), target)
    _check_precisions(document, target)
    _check_machine(document, target)
    _check_bands(document, target)
    return target


def _check_sources(document: Document, data: Any, at: Key, target: Target) -> None:
    """Every ``source:`` below the sources themselves must be a key of them."""
    if not isinstance(data, dict):
        return
    for key, value in data.items():
        here = (*at, key)
        if key == "source" and isinstance(value, str):
            if value not in target.sources:
                raise unknown(TargetError, "source", value, target.sources, where=document.where(here))
        elif here != ("sources",):
            _check_sources(document, value, here, target)


def _check_precisions(document: Document, target: Target) -> None:
    from hwsim.numerics import formats, units

    if target.default_precision not in target.precisions:
        where = document.where(("default_precision",))
        raise unknown(TargetError, "precision", target.default_precision, target.precisions, where=where)
    for name, precision in target.precisions.items():
        at: Key = ("precisions", name)
        _known(document, (*at, "unit"), lambda unit=precision.unit: units[unit], UnitError)
        tensors = {"weights": precision.weights, "activations": precision.activations, "cache": precision.cache}
        for tensor, declared in tensors.items():
            if declared is None:
                continue
            _known(document, (*at, tensor, "format"), lambda fmt=declared.format: formats[fmt], FormatError)
            if (declared.granularity == "per_group") != (declared.group_size is not None):
                raise TargetError(
                    f"precisions.{name}.{tensor}: expected group_size with granularity per_group and only there, "
                    f"found granularity {declared.granularity}, group_size {declared.group_size}",
                    where=document.where((*at, tensor)),
                )
        if (found := precision.activations.granularity) != "per_tensor":
            raise TargetError(
                f"precisions.{name}.activations: expected granularity per_tensor, found {found}",
                where=document.where((*at, "activations", "granularity")),
            )
        for index, tile in enumerate(precision.tiles or ()):
            if not tile.sides:
                raise TargetError(
                    f"precisions.{name}.tiles[{index}].rows: expected a side of {tile.tile}, found {tile.rows}",
                    where=document.where((*at, "tiles")),
                )
        if precision.attention is not None and precision.attention not in target.precisions:
            where = document.where((*at, "attention"))
            raise unknown(TargetError, "precision", precision.attention, target.precisions, where=where)


def _known(document: Document, at: Key, look_up: Any, error: type[HwsimError]) -> None:
    try:
        look_up()
    except error as fault:
        raise TargetError(fault.message, where=document.where(at), hint=fault.hint) from None


def _check_machine(document: Document, target: Target) -> None:
    machine = target.machine
    for name, precision in target.precisions.items():
        kind = f"{machine.kind} {machine.dataflow}" if isinstance(machine, SystolicMachine) else machine.kind
        needed = {"gpu": "macs_per_cycle", "systolic cube": "block"}.get(kind)
        if precision.macs_per_element is not None and kind in ("gpu", "systolic cube", "analog"):
            raise TargetError(
                f"precisions.{name}: expected key 'macs_per_element' only on an array of rows and columns",
                where=document.where(("precisions", name)),
            )
        if precision.sparse_2to4 is not None and kind == "analog":
            raise TargetError(
                f"precisions.{name}: expected no key 'sparse_2to4' on an analog machine",
                where=document.where(("precisions", name)),
            )
        for key in ("macs_per_cycle", "block"):
            if (getattr(precision, key) is not None) != (key == needed):
                verb = "expected" if key == needed else "expected no"
                raise TargetError(
                    f"precisions.{name}: {verb} key {key!r} on a {kind} machine",
                    where=document.where(("precisions", name)),
                )
    if isinstance(machine, GpuMachine) and machine.power_limit_w.value <= target.energy.static_w.value:
        raise TargetError(
            f"machine.power_limit_w: expected more than energy.static_w = {target.energy.static_w.value:g}, "
            f"found {machine.power_limit_w.value:g}",
            where=document.where(("machine", "power_limit_w")),
        )
    if isinstance(machine, SystolicMachine):
        cube = machine.dataflow == "cube"
        if machine.whole_tiles and machine.dataflow != "ws":
            raise TargetError(
                f"machine.whole_tiles: expected it only with dataflow ws, found {machine.dataflow}",
                where=document.where(("machine", "whole_tiles")),
            )
        for key, wanted in (("rows", not cube), ("cols", not cube), ("pipeline_cycles", cube)):
            if (getattr(machine, key) is not None) != wanted:
                verb = "expected" if wanted else "expected no"
                raise TargetError(
                    f"machine: {verb} key {key!r} with dataflow {machine.dataflow}", where=document.where(("machine",))
                )
    if (machine.shared is None) != (target.energy.shared_pj_per_byte is None):
        raise TargetError(
            "energy.shared_pj_per_byte: expected it where machine.shared is given and only there",
            where=document.where(("energy",)),
        )


def _check_bands(document: Document, target: Target) -> None:
    for path, quantity in target.quantities():
        value = getattr(quantity, "value_pj", None) or getattr(quantity, "value", None)
        low = getattr(quantity, "low", None) or getattr(quantity, "low_pj", None)
        high = getattr(quantity, "high", None) or getattr(quantity, "high_pj", None)
        if (low is not None and value is not None and low > value) or (
            high is not None and value is not None and high < value
        ):
            raise TargetError(
                f"{path}: expected low <= value <= high, found {low} <= {value} <= {high}",
                where=document.where(tuple(path.split("."))),
            )
