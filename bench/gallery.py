"""What reports/ holds, what makes each of it, and whether the chips have changed since.

    python -m bench.gallery                  make again what takes seconds, and say which of the rest is stale
    python -m bench.gallery --check          only say it; exit status 1 when something is
    python -m bench.gallery --stamp zoo.md   after a long bench: this report now shows the chips as they are

A report is stale when the numbers of a chip in it have changed in targets/: units and formats for a report of answers,
all of them for one of time and energy. ``make gallery`` makes what takes seconds; the rest is made by benches
that take from minutes to hours.
"""

from __future__ import annotations

import argparse
import hashlib
import json
import shutil
import subprocess
import sys
import tempfile
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from hwsim.target import load_target

ROOT = Path(__file__).resolve().parents[1]
HOME = ROOT / "reports"
STAMPS = HOME / "stamps.json"
SHOWN = "mnist-cnn/report.html"
"""The page that the README shows."""
OURS = "hwsim-int4-ws16"
DEMO = ("nvidia-h100", "ascend-910b4", OURS)
SCHEMES = (OURS, "hwsim-uint4-ws16", "hwsim-int4-sm16", "ascend-910b4", "nvidia-h100", "nvidia-b200")
FOUR = (OURS, "nvidia-h100", "nvidia-b200", "ascend-910b4")
ANSWERS = ("unit", "weights", "activations", "requantize", "vector_format", "attention", "cache")
"""What of a mode decides answers; the rest is time and energy."""
TEXTS = ("kind", "source", "note", "title", "description", "vendor", "sources")


@dataclass(frozen=True)
class Report:
    """One report.

    Attributes:
        command: what makes it, as a reader types it.
        chips: targets whose numbers are in it.
        costs: it shows time or energy, not only answers.
        quick: it takes seconds, and ``make gallery`` makes it; False: a long bench does.
        prints: the command prints it.
    """

    command: str
    chips: tuple[str, ...] = ()
    costs: bool = False
    quick: bool = False
    prints: bool = False


REPORTS = {
    SHOWN: Report(
        f"hwsim emulate mnist-cnn {' '.join(f'--target {chip}' for chip in DEMO)} --out reports/mnist-cnn",
        DEMO,
        costs=True,
        quick=True,
    ),
    "validation-tpu-v1.md": Report(
        "python bench/parity_tpu_v1.py -o reports/validation-tpu-v1.md", ("google-tpu-v1",), costs=True, quick=True
    ),
    "verify-int4.txt": Report("hwsim verify", quick=True, prints=True),
    "network-on-rtl.txt": Report(
        "hwsim verify --network mnist-cnn --layer conv1 --layer conv2 --images 20", quick=True, prints=True
    ),
    "migration.md": Report("python bench/migration.py --write", SCHEMES),
    "validation-h100.md": Report("python bench/parity_h100.py --folds 5 --write", ("nvidia-h100",), costs=True),
    "decoders.md": Report("python bench/decoder_report.py", FOUR),
    "zoo.md": Report("python bench/zoo.py", FOUR),
    "training.md": Report("python -m bench.qat bars", FOUR),
}


def numbers(chip: str, costs: bool) -> str:
    """A hash of the numbers of a chip that a report rests on; words about them do not count."""
    held = load_target(chip).model_dump(mode="json")
    if not costs:
        held = {name: {key: mode.get(key) for key in ANSWERS} for name, mode in held["precisions"].items()}
    return hashlib.sha256(json.dumps(_bare(held), sort_keys=True).encode()).hexdigest()[:12]


def _bare(value: Any) -> Any:
    if isinstance(value, dict):
        return {key: _bare(held) for key, held in value.items() if key not in TEXTS and held is not None}
    return [_bare(held) for held in value] if isinstance(value, list) else value


def now(name: str) -> dict[str, str]:
    """What the stamp of a report would be."""
    report = REPORTS[name]
    return {chip: numbers(chip, report.costs) for chip in report.chips}


def stale() -> list[str]:
    """A line for each report whose chips have changed, and what to run."""
    stamps = json.loads(STAMPS.read_text()) if STAMPS.exists() else {}
    out = []
    for name, report in REPORTS.items():
        then, here = stamps.get(name, {}), now(name)
        changed = [chip for chip in here if then.get(chip) != here[chip]]
        if changed:
            again = "make gallery" if report.quick else f"{report.command}; python -m bench.gallery --stamp {name}"
            out.append(f"reports/{name} is older than the numbers of {', '.join(changed)}; run: {again}")
    return out


def stamp(names: Sequence[str]) -> None:
    """Note that these reports show the chips as they are."""
    held = json.loads(STAMPS.read_text()) if STAMPS.exists() else {}
    held |= {name: now(name) for name in names if REPORTS[name].chips}
    STAMPS.write_text(json.dumps(dict(sorted(held.items())), indent=1) + "\n")


def make(name: str) -> None:
    """Run what makes a report."""
    report = REPORTS[name]
    program, *arguments = report.command.split()
    command = [sys.executable, *(["-m", "hwsim"] if program == "hwsim" else []), *arguments]
    done = subprocess.run(command, cwd=ROOT, check=True, text=True, stdout=subprocess.PIPE)
    if report.prints:
        (HOME / name).write_text(done.stdout)
    if name == SHOWN:
        picture(HOME / name, ROOT / "docs/demo.png")


def picture(page: Path, to: Path) -> None:
    """The first screen of a page, for the README; the old one stays where there is no browser."""
    browser = shutil.which("chromium")
    if browser is None:
        print(f"{to.name} stays as it is: chromium is missing (apt-get install chromium)")
        return
    with tempfile.TemporaryDirectory() as profile:
        flags = ["--headless", "--no-sandbox", "--disable-gpu", "--hide-scrollbars", f"--user-data-dir={profile}"]
        command = [browser, *flags, "--window-size=1280,1030", f"--screenshot={to}", page.as_uri()]
        subprocess.run(command, check=True, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL, timeout=120)


def main() -> int:
    ask = argparse.ArgumentParser(prog="python -m bench.gallery")
    ask.add_argument("--check", action="store_true")
    ask.add_argument("--stamp", nargs="+", choices=tuple(REPORTS), metavar="REPORT")
    told = ask.parse_args()
    if told.stamp:
        stamp(told.stamp)
    elif not told.check:
        quick = [name for name, report in REPORTS.items() if report.quick]
        for name in quick:
            print(f"{REPORTS[name].command}", flush=True)
            make(name)
        stamp(quick)
    lines = stale()
    print("\n".join(lines) or "every report shows the chips as they are")
    return 1 if lines and told.check else 0


if __name__ == "__main__":
    sys.exit(main())
