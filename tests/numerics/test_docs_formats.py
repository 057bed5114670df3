"""docs/formats.md: its examples run, its answers hold, and it names the whole catalog's rules and layouts."""

from __future__ import annotations

import re
from pathlib import Path

import numpy as np
import pytest

from hwsim.errors import FormatError
from hwsim.numerics import BlockFormat, decode, encode, formats, pack, quantize_tensor, unpack

TEXT = (Path(__file__).parents[2] / "docs" / "formats.md").read_text()
EXAMPLES = re.findall(r"```python\n(.*?)```", TEXT, re.DOTALL)


@pytest.fixture(autouse=True)
def same_catalog(monkeypatch):
    monkeypatch.setattr(formats, "_entries", dict(formats))


def test_examples_run():
    for example in EXAMPLES:
        exec(compile(example, "docs/formats.md", "exec"), {})
    assert "fp5_e2m2" in formats


def test_names_are_added_once():
    scope: dict = {}
    exec(compile(EXAMPLES[1], "docs/formats.md", "exec"), scope)
    formats.add("fp5_e2m2", scope["fp5"])
    with pytest.raises(FormatError, match="'int4' is in the catalog already"):
        formats.add("int4", scope["fp5"])
    with pytest.raises(FormatError, match="a QTensor names its format"):
        quantize_tensor([1.0], scope["knots"])


def test_a_format_of_ones_own_needs_only_an_entry():
    scope: dict = {}
    exec(compile(EXAMPLES[1], "docs/formats.md", "exec"), scope)
    fp5, knots = scope["fp5"], scope["knots"]
    assert encode([0.3, -7.0, 100.0], fp5).tolist() == [1, 31, 15]
    assert decode(encode([-0.61, -0.6, 0.31], knots), knots).tolist() == [-1, -1, np.float32(0.7)]
    assert decode(encode([-0.6000001, -0.5999, -0.1, -0.0999, 0.3, 9], knots), knots).tolist() == [
        *(-1, np.float32(-0.4), np.float32(-0.4), 0, 0, np.float32(0.7)),
    ]
    codes = np.arange(32, dtype=np.uint8)
    assert pack(codes, fp5).size == 20
    np.testing.assert_array_equal(unpack(pack(codes, fp5), fp5, 32), codes)
    np.testing.assert_array_equal(encode(decode(codes, fp5), fp5), codes)


def test_every_rule_and_layout_is_named():
    for name, entry in formats.items():
        if isinstance(entry, BlockFormat):
            assert f"`{entry.rule}`" in TEXT, name
        else:
            assert f"`{type(entry.layout).__name__}`" in TEXT, name
