"""Quantized IR: graphs of real tensors with declared storage, their verifier, text form and float meaning."""

from __future__ import annotations

from hwsim.ir.check import check
from hwsim.ir.graph import BATCH, Graph, Node, QuantParams, Value
from hwsim.ir.ops import OPS
from hwsim.ir.text import dumps, loads
from hwsim.ir.workload import MatrixWork, VectorWork, Workload, gemm

__all__ = [
    "BATCH",
    "OPS",
    "Graph",
    "MatrixWork",
    "Node",
    "QuantParams",
    "Value",
    "VectorWork",
    "Workload",
    "check",
    "dumps",
    "gemm",
    "loads",
]
