"""Tables that learn: the numbers that codes stand for, each rounded to a format that a chip's unit multiplies."""

from __future__ import annotations

import math

import numpy as np
import torch
from torch import Tensor, nn

from hwsim.errors import RecipeError
from hwsim.numerics import Format, decode_table, encode, formats
from hwsim.numerics.codec import element_format
from hwsim.numerics.format import Profile, Source, TableLayout


class LearnedTable(nn.Module):  # type: ignore[misc]  # torch is untyped here
    """The numbers of ``fmt``'s codes, on their way.

    Args:
        fmt: element format of at most 4 bits whose numbers are where learning starts.
        how: ``free``, every number learns; ``piecewise``, the slopes below and above half the range learn.
        grid: format of the numbers that the unit multiplies.

    Raises:
        RecipeError: a wide format, or a grid that does not hold the first table.
    """

    def __init__(self, fmt: str, how: str, grid: str) -> None:
        super().__init__()
        entry, target = element_format(fmt), element_format(grid)
        if entry.bits > 4 or target.bits > 8:
            raise RecipeError(f"tables of up to 4 bits learn, on grids of up to 8; found {fmt} on {grid}")
        start = decode_table(fmt).astype(np.float32)
        if not np.isfinite(start).all():
            raise RecipeError(f"{fmt} has codes that are no numbers", where="table")
        ends = [(target.max_value, entry.max_value), (target.min_value, entry.min_value)]
        room = min(abs(wide / narrow) for wide, narrow in ends if narrow)
        if room < 1:
            raise RecipeError(f"{grid} does not hold the numbers of {fmt}", where="table")
        self.how, self.grid, self.bits = how, grid, entry.bits
        self.spread = float(math.floor(room))
        """Steps of the grid to one of the first table: numbers need room to move."""
        self.start = torch.from_numpy(start * np.float32(self.spread))
        self.numbers = nn.Parameter(self.start.clone() if how == "free" else torch.ones(2))

    def levels(self) -> Tensor:
        """The number of each code on the grid; its gradient is that of the number that was rounded."""
        wanted = self.numbers if self.how == "free" else self._bent()
        read = decode_table(self.grid)[encode(wanted.detach().numpy(), self.grid)]
        return wanted + (torch.from_numpy(read.astype(np.float32)) - wanted).detach()

    def format(self) -> str:
        """Name of the table as it is now; ``hwsim.formats`` knows it from here on."""
        values = self.levels().detach().numpy()
        codes = encode(values, self.grid)
        digits = (element_format(self.grid).bits + 3) // 4
        name = f"table{self.bits}_{self.grid}_{''.join(f'{int(code):0{digits}x}' for code in codes)}"
        if name not in formats:
            source = Source("a table that hwsim learned", f"{self.how}, on the grid of {self.grid}", "")
            profile = Profile("strict", "refuses NaN")
            layout = TableLayout(tuple(float(value) for value in values))
            title = f"learned table of {len(values)} numbers"
            formats.add(name, Format(name, title, self.bits, layout, source, {profile.name: profile}))
        return name

    def _bent(self) -> Tensor:
        """The first table through two slopes that meet at half its range."""
        size, knee = self.start.abs(), self.start.abs().max() / 2
        low, high = self.numbers[0], self.numbers[1]
        return self.start.sign() * (size.minimum(knee) * low + (size - knee).clamp_min(0) * high)
