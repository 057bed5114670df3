"""The table of reports/rtl.md: random 16x16x16 tiles of every unit and dataflow, and modelled against simulated cycles.

python bench/rtl.py --tiles 10000 --cases 500
"""

from __future__ import annotations

import argparse
import os
import time

from hwsim.verify import RTL_UNITS, verify_rtl
from hwsim.verify.cycles import DATAFLOWS, compare_cycles

CHECKS = {"ws": "random_tiles", "os": "output_stationary"}


def tiles(count: int) -> bool:
    """A line for each unit and dataflow: sums, differences, tiles a second by the clock and of processor time.

    Both include the golden model, which runs beside the simulation.
    """
    good = True
    print(f"| unit | dataflow | sums | differ | times | differ | tiles/s | of processor time |\n|{'---|' * 8}")
    for name, unit in RTL_UNITS.items():
        for dataflow, check in CHECKS.items():
            if unit.scaled and dataflow == "os":
                continue
            verify_rtl(name, sim="verilator", tiles=50, checks=[check])  # builds
            began, spent = time.perf_counter(), time.process_time()
            (row,) = verify_rtl(name, sim="verilator", tiles=count, checks=[check], seed=1).rows
            rate, spared = count / (time.perf_counter() - began), count / (time.process_time() - spent)
            flow = "scaled ws" if unit.scaled else dataflow
            print(
                f"| {name} | {flow} | {row.compared:,} | {row.mismatches} | {row.cycles_compared:,} "
                f"| {row.cycle_mismatches} | {rate:,.0f} | {spared:,.0f} |",
                flush=True,
            )
            good &= row.passed
    return good


def cycles(count: int) -> bool:
    """A line for each dataflow: cases, how many differ, the first that does."""
    good = True
    for dataflow in DATAFLOWS:
        found = list(compare_cycles(dataflow, count))
        wrong = [case for case in found if not case.agrees]
        total = sum(case.simulated for case in found)
        print(
            f"{dataflow}: {len(found)} products, {total:,} cycles simulated, {len(wrong)} differ {wrong[:1] or ''}",
            flush=True,
        )
        good &= not wrong
    return good


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--tiles", type=int, default=2000)
    parser.add_argument("--cases", type=int, default=100)
    told = parser.parse_args()
    print(f"load {os.getloadavg()[0]:.1f} on {os.cpu_count()} cores\n")
    good = tiles(told.tiles)
    print()
    good &= cycles(told.cases)
    return 0 if good else 1


if __name__ == "__main__":
    raise SystemExit(main())
