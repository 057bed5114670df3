"""RTL against the golden model: what a unit's Verilog answers, and in how many cycles; the only home of cocotb."""

from __future__ import annotations

import importlib
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from hwsim.verify.catalog import RTL_UNITS, RtlUnit
    from hwsim.verify.checks import CHECKS
    from hwsim.verify.matmul import rtl_matmul
    from hwsim.verify.network import rtl_products, verify_network
    from hwsim.verify.result import CheckRow, VerifyReport
    from hwsim.verify.simulator import SIMULATORS
    from hwsim.verify.subject import verifiable
    from hwsim.verify.verify import verify_rtl

_HOME = {
    "CHECKS": "checks",
    "RTL_UNITS": "catalog",
    "SIMULATORS": "simulator",
    "CheckRow": "result",
    "RtlUnit": "catalog",
    "VerifyReport": "result",
    "rtl_matmul": "matmul",
    "rtl_products": "network",
    "verifiable": "subject",
    "verify_network": "network",
    "verify_rtl": "verify",
}

__all__ = [
    "CHECKS",
    "RTL_UNITS",
    "SIMULATORS",
    "CheckRow",
    "RtlUnit",
    "VerifyReport",
    "rtl_matmul",
    "rtl_products",
    "verifiable",
    "verify_network",
    "verify_rtl",
]


def __getattr__(name: str) -> Any:
    if name in _HOME:
        return getattr(importlib.import_module(f"hwsim.verify.{_HOME[name]}"), name)
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
