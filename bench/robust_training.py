"""Networks that learned to withstand: attacked inputs, strangers, or neither, at W4A4, three seeds each.

    hwsim zoo get mnist-cnn --training
    python -m bench.robust_training --out trained [--seeds 3] [--jobs 2] [NAME ...]

The recipes are bench/recipes/*-w4a4.yaml, as ``hwsim train`` takes them; only the seed differs. Each run is a folder
``trained/NAME-seedN``; one that is there already is not made again.
"""

from __future__ import annotations

import argparse
from concurrent.futures import ProcessPoolExecutor
from multiprocessing import get_context
from pathlib import Path

RECIPES = Path(__file__).parent / "recipes"
NAMES = ("adversarial", "plain", "exposure", "energy")


def run(name: str, seed: int, out: Path) -> str:
    """Train one; a line about it."""
    from hwsim.training import load_plan, run_plan
    from hwsim.training.run import MODEL

    folder = out / f"{name}-seed{seed}"
    if (folder / MODEL).exists():
        return f"{folder.name}: there already"
    plan = load_plan(RECIPES / f"{name}-w4a4.yaml")
    plan = plan.model_copy(update={"course": plan.course.model_copy(update={"seed": seed})})
    folder.mkdir(parents=True, exist_ok=True)
    learned = run_plan(plan, folder, command=f"python -m bench.robust_training {name}").learned
    return f"{folder.name}: {learned.before:.4f} quantized, {learned.after:.4f} trained, {learned.float32:.4f} float32"


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("names", nargs="*", default=list(NAMES), metavar="NAME", help=", ".join(NAMES))
    parser.add_argument("--out", type=Path, required=True)
    parser.add_argument("--seeds", type=int, default=3)
    parser.add_argument("--jobs", type=int, default=2)
    options = parser.parse_intermixed_args()
    todo = [(name, seed, options.out) for name in options.names or NAMES for seed in range(options.seeds)]
    with ProcessPoolExecutor(options.jobs, mp_context=get_context("spawn")) as pool:
        for line in pool.map(run, *zip(*todo, strict=True)):
            print(line, flush=True)


if __name__ == "__main__":
    main()
