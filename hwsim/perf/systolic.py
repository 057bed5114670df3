"""Cycles of one fold of a systolic array."""

from __future__ import annotations


def ws_fold_cycles(rows: int, cols: int, m: int) -> int:
    """Cycles of one weight-stationary fold on ``rows`` x ``cols``: load the weights (``rows``), stream ``m``
    activation rows, and let the last one cross the array (``rows + cols - 2``): 2*rows + cols + m - 2, what
    ``rtl/array_ws.v`` takes."""
    return 2 * rows + cols + m - 2
