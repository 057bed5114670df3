"""Quantized IR: graphs of real tensors with declared storage, their verifier, text form and float meaning."""

from __future__ import annotations

from hwsim.ir.check import check
from hwsim.ir.graph import BATCH, Arithmetic, Graph, Node, QuantParams, Value
from hwsim.ir.ops import OPS
from hwsim.ir.text import dumps, dumps_json, loads, loads_json
from hwsim.ir.workload import MatrixWork, VectorWork, Workload, gemm

__all__ = [
    "BATCH",
    "OPS",
    "Arithmetic",
    "Graph",
    "MatrixWork",
    "Node",
    "QuantParams",
    "Value",
    "VectorWork",
    "Workload",
    "check",
    "dumps",
    "dumps_json",
    "gemm",
    "loads",
    "loads_json",
]
