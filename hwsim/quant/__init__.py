"""Quantization: recipes, calibration, and the passes that give a float graph its storage."""

from __future__ import annotations

from hwsim.quant.calibrate import CALIBRATORS
from hwsim.quant.quantize import quantize, store_weight
from hwsim.quant.recipe import Recipe, Scheme, recipe_for

__all__ = ["CALIBRATORS", "Recipe", "Scheme", "quantize", "recipe_for", "store_weight"]
