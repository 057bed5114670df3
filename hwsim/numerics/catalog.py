"""Every element and block encoding, by name. Entries are data; behaviour is in `codec`, `scales` and `packing`.

To add a format: one `Format(...)` in `catalog_floats`, `catalog_integers` or `catalog_tables`, or one
`BlockFormat(...)` in `catalog_blocks`; its tests are generated from the entry.
"""

from __future__ import annotations

from typing import Final

from hwsim.numerics.catalog_blocks import BLOCKS
from hwsim.numerics.catalog_floats import FLOATS
from hwsim.numerics.catalog_integers import INTEGERS
from hwsim.numerics.catalog_tables import TABLES
from hwsim.numerics.format import BlockFormat, Catalog, Format

_ENTRIES: Final[tuple[Format | BlockFormat, ...]] = (*INTEGERS, *FLOATS, *TABLES, *BLOCKS)

_CALLED: Final = {
    "fp32": ("f32", "float", "float32", "single"),
    "fp16": ("f16", "float16", "half"),
    "bf16": ("bfloat", "bfloat16"),
    "fp8_e4m3fn": ("fp8", "f8", "float8", "e4m3", "e4m3fn", "fp8_e4m3", "float8_e4m3fn"),
    "fp8_e5m2": ("e5m2", "float8_e5m2"),
    "fp4_e2m1": ("fp4", "f4", "e2m1", "float4_e2m1fn", "float4_e2m1fn_x2"),
    "fp6_e2m3": ("fp6", "e2m3"),
    **{f"int{bits}": (f"s{bits}", f"i{bits}") for bits in (2, 4, 8, 32)},
    **{f"uint{bits}": (f"u{bits}",) for bits in (2, 4, 8)},
}
ELSEWHERE: Final = {name: ours for ours, names in _CALLED.items() for name in names}
"""What PTX, torch, NumPy and ONNX call a format -> its name here, for a person who asks by that name."""

formats: Final[Catalog[Format | BlockFormat]] = Catalog({entry.name: entry for entry in _ENTRIES}, elsewhere=ELSEWHERE)
