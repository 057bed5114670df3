"""Damaged and hostile files for every reader, in processes that a crash ends and that cannot take more memory.

    python -m tests.fuzz --count 100000 --jobs 2 --out fuzz       goes on where it was stopped
    python -m tests.fuzz --out fuzz --write reports/fuzz.md       what came of it, as a page
    python -m tests.fuzz --one 'onnx:1234'                        one input again, with its traceback

Every input follows from the reader's name, the seed and its number. The exit status is 1 when any input failed.
"""

from __future__ import annotations

import argparse
import json
import os
import subprocess
import sys
import tempfile
import threading
import time
from collections import Counter
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

from hwsim.errors import ToolError
from tests.fuzz.readers import ROOT, readers
from tests.fuzz.work import MEMORY_BYTES, SECONDS, case

BLOCK = 5000
"""Inputs that one process takes."""
SILENT_S = 120
"""A process that says nothing for so long hangs where no signal reaches it."""
NAMES = tuple(readers(Path()))
Block = dict[str, Any]


def block(name: str, seed: int, first: int, last: int, module: str = "tests.fuzz.work") -> Block:
    """Run one block in ``module``; a process that dies is started again behind the input that it died of."""
    done: Block = {"reader": name, "seed": seed, "first": first, "last": last}
    done |= {"loaded": 0, "refused": 0, "failed": [], "seconds": 0.0, "slowest": 0.0, "memory": 0}
    at = first
    while at < last:
        at = _process(done, module, name, seed, at, last)
    return done


def _process(done: Block, module: str, name: str, seed: int, first: int, last: int) -> int:
    at, ended = first, False
    with tempfile.TemporaryDirectory(dir="/dev/shm" if Path("/dev/shm").is_dir() else None) as folder:
        command = [sys.executable, "-m", module, folder, str(seed), f"{name}:{first}:{last}"]
        environment = {**os.environ, "NUMBA_NUM_THREADS": "1", "OMP_NUM_THREADS": "1"}
        with tempfile.TemporaryFile() as errors:
            worker = subprocess.Popen(command, cwd=ROOT, env=environment, stdout=subprocess.PIPE, stderr=errors)
            heard = [time.monotonic()]
            threading.Thread(target=_watch, args=(worker, heard), daemon=True).start()
            assert worker.stdout is not None
            for line in worker.stdout:
                heard[0] = time.monotonic()
                row = json.loads(line)
                if row[1] == "memory":
                    done["memory"], ended = max(done["memory"], row[2]), True
                    continue
                _, at, outcome, what, text, seconds = row
                done["seconds"] += seconds
                done["slowest"] = max(done["slowest"], seconds)
                if outcome == "failed":
                    done["failed"].append([at, what, text])
                else:
                    done[outcome] += 1
                at += 1
            status = worker.wait()
            errors.seek(0)
            said = errors.read().decode(errors="replace")[-600:]
    if status == ToolError.exit_status:
        sys.exit(said)
    if ended:
        return last
    done["failed"].append([at, "", f"the process hung or died with status {status}: {said}"])
    return at + 1


def _watch(worker: subprocess.Popen[bytes], heard: list[float]) -> None:
    while worker.poll() is None:
        if time.monotonic() - heard[0] > SILENT_S:
            worker.kill()
        time.sleep(1)


def blocks(path: Path) -> list[Block]:
    """Blocks that are done; a line that was cut off when the run was killed does not count."""
    out = []
    for line in path.read_text().splitlines() if path.exists() else ():
        try:
            out.append(json.loads(line))
        except ValueError:
            continue
    return out


def table(done: list[Block]) -> str:
    """Counts by reader and outcome, as Markdown."""
    head = "| reader | inputs | loaded | refused in one line | anything else | slowest | most memory |"
    lines = [head, "|---|--:|--:|--:|--:|--:|--:|"]
    total: Counter[str] = Counter()
    for name in NAMES:
        mine = [b for b in done if b["reader"] == name]
        if not mine:
            continue
        counts = Counter({key: sum(b[key] for b in mine) for key in ("loaded", "refused")})
        counts["failed"] = sum(len(b["failed"]) for b in mine)
        total += counts
        slowest, memory = max(b["slowest"] for b in mine), max(b["memory"] for b in mine)
        lines.append(
            f"| {name} | {counts.total():,} | {counts['loaded']:,} | {counts['refused']:,} | {counts['failed']:,} "
            f"| {slowest:.2f} s | {memory / 1e6:.0f} MB |"
        )
    sums = f"{total['loaded']:,} | {total['refused']:,} | **{total['failed']:,}**"
    lines.append(f"| **all** | **{total.total():,}** | {sums} | | |")
    return "\n".join(lines)


PAGE = """\
# {total:,} bad files

Every reader of hwsim is given files that were damaged on purpose: bits flipped, words of the directory replaced, lines
moved, values of a tree swapped for absurd ones, zip bombs, paths out of the folder. A reader may load such a file (many
a changed weight is harmless) or refuse it in one line that names the file. Anything else is a fault: another
exception, a crash, more than {seconds:.0f} seconds of a processor, more than {memory} MiB beyond what the process held.

```
python -m tests.fuzz --count {count} --seed {seed} --jobs 8 --out fuzz      # goes on where it was stopped
```

{table}

Earlier runs, of 575,264 (seed 1) and 100,016 (seed 0), found 75 faults: of readers, and 27 of the program that makes
them. All were mended: numpy headers that its own parser chokes on, zip directories with names that are no text, arrays
without elements, a run-time batch where a convolution wants its weight, sizes of decoders that are fractions, ranges of
sweeps beyond the floats, tables of results with other things in them, port maps with empty parts, and lines of a
hundred thousand letters, which are now cut.

Each input follows from the reader's name, the seed and its number: `python -m tests.fuzz --one 'onnx:1234'` makes one
again. `points` is the file of results that a sweep goes on from, `portmap` also reads damaged Verilog, and memory is
what the process took beyond what it held before. The default tests load the first inputs of each reader
([tests/fuzz](../tests/fuzz)); [docs/limits.md](../docs/limits.md) has the limits, which are settings.
"""


def main() -> int:
    ask = argparse.ArgumentParser(prog="python -m tests.fuzz")
    ask.add_argument("--count", type=int, default=100_000, help="inputs, over all readers")
    ask.add_argument("--jobs", type=int, default=os.cpu_count(), help="processes")
    ask.add_argument("--seed", type=int, default=0)
    ask.add_argument("--reader", action="append", choices=NAMES, help="only this one")
    ask.add_argument("--out", type=Path, default=Path("fuzz"), help="folder that keeps what is done")
    ask.add_argument("--write", type=Path, help="write the page from what is done, and run nothing")
    ask.add_argument("--one", metavar="READER:NUMBER", help="one input again")
    told = ask.parse_args()
    if told.one:
        return one(*told.one.rsplit(":", 1), told.seed)
    path = told.out / "blocks.jsonl"
    done = blocks(path)
    if told.write:
        total = sum(b["last"] - b["first"] for b in done)
        page = PAGE.format(
            seconds=SECONDS,
            memory=MEMORY_BYTES >> 20,
            total=total,
            count=max(b["last"] for b in done) * len(NAMES),
            seed=done[0]["seed"],
            table=table(done),
        )
        told.write.write_text(page)
        return 0
    chosen = told.reader or NAMES
    share = -(-told.count // len(NAMES))
    have = {(b["reader"], b["seed"], b["first"], b["last"]) for b in done}
    wanted = [(n, told.seed, at, min(at + BLOCK, share)) for at in range(0, share, BLOCK) for n in chosen]
    told.out.mkdir(parents=True, exist_ok=True)
    with path.open("a") as kept, ThreadPoolExecutor(told.jobs) as pool:
        for found in pool.map(lambda job: block(*job), [job for job in wanted if job not in have]):
            done.append(found)
            print(json.dumps(found), file=kept, flush=True)
    print(table(done))
    failed = [(b["reader"], *row) for b in done for row in b["failed"]]
    for name, number, what, text in failed:
        print(f"{name}:{number}: {what}: {text}")
    return 1 if failed else 0


def one(name: str, number: str, seed: int) -> int:
    """Load one input without a net."""
    with tempfile.TemporaryDirectory() as folder:
        home, place = Path(folder) / "good", Path(folder) / "one"
        home.mkdir()
        place.mkdir()
        reader = readers(home)[name]()
        what, write = case(name, reader, seed, int(number))
        print(what)
        print(reader.load(write(place)))
    return 0


if __name__ == "__main__":
    sys.exit(main())
