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

formats: Final[Catalog[Format | BlockFormat]] = Catalog({entry.name: entry for entry in _ENTRIES})
