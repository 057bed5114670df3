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

ELSEWHERE: Final = {
    **{name: "fp32" for name in ("f32", "float", "float32", "single")},
    **{name: "fp16" for name in ("f16", "float16", "half")},
    **{name: "bf16" for name in ("bfloat", "bfloat16")},
    **{name: "fp8_e4m3fn" for name in ("fp8", "f8", "float8", "e4m3", "e4m3fn", "fp8_e4m3", "float8_e4m3fn")},
    **{name: "fp8_e5m2" for name in ("e5m2", "float8_e5m2")},
    **{name: "fp4_e2m1" for name in ("fp4", "f4", "e2m1", "float4_e2m1fn", "float4_e2m1fn_x2")},
    **{name: "fp6_e2m3" for name in ("fp6", "e2m3")},
    **{name: f"int{name[1:]}" for name in ("s2", "s4", "s8", "s32", "i2", "i4", "i8", "i32")},
    **{name: f"uint{name[1:]}" for name in ("u2", "u4", "u8")},
}
"""What PTX, torch, NumPy and ONNX call a format -> its name here, for a person who asks by that name."""

formats: Final[Catalog[Format | BlockFormat]] = Catalog({entry.name: entry for entry in _ENTRIES}, elsewhere=ELSEWHERE)
