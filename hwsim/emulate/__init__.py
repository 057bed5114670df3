"""Emulation: bind a quantized graph to a target and run it bit for bit."""

from __future__ import annotations

from hwsim.emulate.declare import declare
from hwsim.emulate.program import MatrixStep, Program, VectorStep, bind
from hwsim.emulate.run import emulate
from hwsim.emulate.trace import HealthRow, Run, TileRow, Trace

__all__ = ["HealthRow", "MatrixStep", "Program", "Run", "TileRow", "Trace", "VectorStep", "bind", "declare", "emulate"]
