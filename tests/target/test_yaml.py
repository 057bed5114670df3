"""The YAML reader: YAML 1.2 scalars, every fault one line with the line number."""

from __future__ import annotations

import math
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from hwsim.errors import TargetError
from hwsim.limits import limit
from hwsim.target.yaml import parse_yaml, read_yaml


@pytest.mark.parametrize(
    ("text", "value"),
    [
        ("1e9", 1e9),
        ("1.5E-3", 1.5e-3),
        ("-.5", -0.5),
        ("3.", 3.0),
        ("12", 12),
        ("-7", -7),
        ("0o17", 15),
        ("0x1F", 31),
        ("010", 10),
        ("1_000", "1_000"),
        ("12:30:45", "12:30:45"),
        ("yes", "yes"),
        ("off", "off"),
        ("true", True),
        ("FALSE", False),
        ("null", None),
        ("~", None),
        (".inf", math.inf),
        ("-.INF", -math.inf),
        ("2024-01-31", "2024-01-31"),
        ("'12'", "12"),
        ('"true"', "true"),
        ("fp8", "fp8"),
        ("1e", "1e"),
    ],
)
def test_scalars_follow_yaml_1_2(text: str, value: object) -> None:
    found = parse_yaml(f"key: {text}").data["key"]
    assert found == value
    assert type(found) is type(value)


def test_nan_is_a_number() -> None:
    assert math.isnan(parse_yaml("key: .nan").data["key"])


def test_lines_of_nested_keys() -> None:
    document = parse_yaml("a: 1\nb:\n  c: 2\n  d:\n  - x\n  - {e: 3}\n", "f.yaml")
    assert document.data == {"a": 1, "b": {"c": 2, "d": ["x", {"e": 3}]}}
    assert document.where(("b", "c")) == "f.yaml:3"
    assert document.where(("b", "d", 1, "e")) == "f.yaml:6"
    assert document.where(("b", "missing")) == "f.yaml:2"


BAD = {
    "duplicate": ("a: 1\nb: 2\na: 3\n", ":3: expected each key once, found 'a' again (first on line 1)"),
    "nested duplicate": ("a:\n  x: 1\n  x: 2\n", ":3: expected each key once, found 'x' again (first on line 2)"),
    "empty": ("", ":1: expected a mapping of keys, found an empty file"),
    "comment only": ("# nothing\n", ":1: expected a mapping of keys, found an empty file"),
    "list": ("- a\n- b\n", ":1: expected a mapping of keys, found a list"),
    "scalar": ("hello\n", ":1: expected a mapping of keys, found a single value"),
    "anchor": ("a: &x [1]\nb: 2\n", ":1: expected plain YAML, found an anchor or alias"),
    "alias": ("b: *x\n", "found"),
    "tag": ("a: 1\nb: !!python/object/apply:os.system ['true']\n", ":2: expected plain YAML, found the tag"),
    "two documents": ("a: 1\n---\nb: 2\n", ":2: expected one document, found a second"),
    "syntax": ("a: 1\nb: [1, 2\n", "expected YAML, found a syntax error"),
    "collection as key": ("a: 1\n? [x, y]\n: 2\n", ":2: expected a name as key, found a collection"),
    "deep": ("a: " + "[" * 2000 + "]" * 2000, "levels of nesting"),
    "control character": ("a: \x07\n", "expected YAML"),
}


@pytest.mark.parametrize("name", BAD)
def test_faults_are_one_line(name: str) -> None:
    text, part = BAD[name]
    with pytest.raises(TargetError) as caught:
        parse_yaml(text, "chip.yaml")
    line = str(caught.value)
    assert line.startswith("chip.yaml")
    assert part in line
    assert "\n" not in line


def test_alias_bomb_is_refused() -> None:
    bomb = "a: &a [x, x, x, x, x, x, x, x, x]\n" + "".join(
        f"{new}: &{new} [{', '.join(['*' + old] * 9)}]\n" for old, new in zip("abcdefgh", "bcdefghi", strict=True)
    )
    with pytest.raises(TargetError, match="anchor or alias"):
        parse_yaml(bomb)


def test_files(tmp_path: Path) -> None:
    with pytest.raises(TargetError, match="cannot read the file: No such file"):
        read_yaml(tmp_path / "none.yaml")
    with pytest.raises(TargetError, match="cannot read the file: Is a directory"):
        read_yaml(tmp_path)
    large = tmp_path / "large.yaml"
    large.write_bytes(b"#" * (limit("yaml_bytes") + 1))
    with pytest.raises(TargetError, match="expected at most 1000000 bytes, found more"):
        read_yaml(large)
    binary = tmp_path / "binary.yaml"
    binary.write_bytes(b"a: 1\nb: \xff\xfe\n")
    with pytest.raises(TargetError, match=r"binary\.yaml:2: expected UTF-8 text"):
        read_yaml(binary)


@given(st.text(max_size=200))
def test_any_text_parses_or_is_one_clear_line(text: str) -> None:
    said = ""
    try:
        parse_yaml(text)
    except TargetError as error:
        said = str(error)
    assert "\n" not in said
