"""Quantization: recipes, calibration, and the passes that give a float graph its storage."""

from __future__ import annotations

from hwsim.quant.calibrators import CALIBRATORS
from hwsim.quant.quantize import quantize
from hwsim.quant.recipe import Recipe, Scheme, recipe_for
from hwsim.quant.store import store_weight

__all__ = ["CALIBRATORS", "Recipe", "Scheme", "quantize", "recipe_for", "store_weight"]
