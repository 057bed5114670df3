"""Machine models: a workload on a target gives cycles, action counts and energy.

``estimate(workload, target)`` is the way in; ``workload`` names networks by shape, ``scalesim`` answers as
SCALE-Sim does.
"""

from __future__ import annotations

from hwsim.perf.estimate import estimate, peak_macs_per_s
from hwsim.perf.result import COMPONENTS, Estimate, LayerEstimate
from hwsim.perf.scalesim import ScaleSim, scalesim
from hwsim.perf.systolic import ws_fold_cycles
from hwsim.perf.workloads import workload

__all__ = [
    "COMPONENTS",
    "Estimate",
    "LayerEstimate",
    "ScaleSim",
    "estimate",
    "peak_macs_per_s",
    "scalesim",
    "workload",
    "ws_fold_cycles",
]
