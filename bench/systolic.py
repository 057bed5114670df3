"""Time and memory of one ResNet-50 estimate, stalls and energy included: ``python bench/systolic.py [TARGET...]``.

SCALE-Sim 3.0.0 takes 240 CPU seconds and 7.9 GB for ResNet-50 on a 128 x 128 weight-stationary array. Its stall-free
total is printed from our compatible mode, over our layers, which are padded (its own topology file says 876,832).
Time is the best of five, in CPU seconds; memory is the process's peak, imports included.
"""

from __future__ import annotations

import resource
import sys
import time

from hwsim.ir.workload import MatrixWork
from hwsim.perf import estimate, scalesim, workload
from hwsim.target import load_target

ROUNDS = 5
TARGETS = ("google-tpu-v4i", "google-tpu-v1", "gemmini", "ascend-910b4", "hwsim-int4-ws16", "cim-isaac")


def main() -> None:
    print(f"{'target':18s} {'CPU ms':>8s} {'cycles':>14s} {'stalls':>14s} {'mJ':>9s}")
    for name in sys.argv[1:] or TARGETS:
        target = load_target(name)
        mode = target.precision()
        net = workload("resnet50", weights=mode.weights.format, activations=mode.activations.format)
        best = float("inf")
        for _ in range(ROUNDS):
            start = time.process_time()
            found = estimate(net, target)
            best = min(best, time.process_time() - start)
        stalls = sum(row.stall_cycles for row in found.rows)
        print(f"{name:18s} {best * 1e3:8.1f} {found.cycles:14,} {stalls:14,} {found.joules * 1e3:9.2f}")
    products = [op for op in workload("resnet50", weights="int8").ops if isinstance(op, MatrixWork)]
    start = time.process_time()
    cycles = sum(scalesim(op.m, op.n, op.k, rows=128, cols=128, dataflow="ws").cycles for op in products)
    took = time.process_time() - start
    print(f"scalesim mode, 128 x 128 ws: {cycles:,} cycles over {len(products)} products in {took * 1e3:.2f} ms")
    print(f"peak memory {resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024:.0f} MB")


if __name__ == "__main__":
    main()
