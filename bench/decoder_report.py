"""reports/decoders.md from what bench/decoders.py and bench/decoder_targets.py measured."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np

REPORTS = Path(__file__).parent.parent / "reports"
HEAD = """# Decoders and encoders in few bits

Made by `python bench/decoder_report.py` from `reports/decoders/*.jsonl`, which `bench/decoders.py` and
`bench/decoder_targets.py` write row by row.

**Read before comparing.** SmolLM2's "float" is the dequantized Q4_1 file (its embedding Q8_0), not the original
weights: there is no other in any package. tiny-llama is a true float32 decoder, trained here
(`hwsim/zoo/data/README.md`). Perplexities of different tokenizers do not compare: tiny-llama has 1,024 tokens,
SmolLM2 49,152. Test windows are Wikipedia pages; ranges and curvature come from four windows of other pages.

tiny-llama's rows were made with four windows of 256 tokens, too few for a curvature of 128 to 352 inputs: GPTQ at 3
bits, group 32, then gives 28.20 on 16 windows, rounding to nearest 28.21, float 25.98. From 32 windows, which the bench
takes by now, GPTQ gives 27.32 (40% won back), and at group 128 27.77 against 29.76 (52%).
"""
MEANING = {
    "rtn": "round to nearest, the group's full range",
    "clip": "round to nearest, the range of least square error",
    "awq": "scales moved across norms and gates by activation (AWQ), then clip",
    "gptq": "error-compensating rounding, layer by layer (GPTQ), on clip's scales",
    "awq+gptq": "both",
}


def rows(file: Path, *keys: str) -> list[dict]:
    """The lines of a file; a later one takes the place of an earlier one with the same keys."""
    if not file.is_file():
        return []
    found = map(json.loads, file.read_text().splitlines())
    return list({tuple(held[k] for k in keys): held for held in found}.values())


def methods(model: str) -> str:
    """The table of methods by bits by group of one model."""
    held = {row["row"]: row for row in rows(REPORTS / "decoders" / f"{model}.jsonl", "row")}
    if "float" not in held:
        return ""
    lines = []
    for name, row in held.items():
        if name == "float":
            continue
        n = min(len(row["losses"]), len(held["float"]["losses"]))
        method, bits, group, symmetric = name.split(":")
        near = held.get(f"rtn:{bits}:{group}:{symmetric}")
        score, whole = _perplexity(row, n), _perplexity(held["float"], n)
        back = ""
        if near is not None and method != "rtn" and len(near["losses"]) >= n:
            lost = _perplexity(near, n) - whole
            back = f"{(lost - (score - whole)) / lost:.0%}" if lost > 0 else ""
        cpu = row["quantize_cpu_s"]
        lines.append(f"| {bits} | {group} | {method} | {n} | {whole:.2f} | **{score:.2f}** | {back} | {cpu:.0f} |")
    head = "| bits | group | method | windows | float | perplexity | of RTN's loss won back | CPU s to quantize |"
    return "\n".join([f"## {model}: weights only", "", head, "|---|---|---|---|---|---|---|---|", *sorted(lines), ""])


def _perplexity(row: dict, windows: int) -> float:
    return float(np.exp(np.mean(row["losses"][:windows])))


def chips() -> str:
    """The table of models on chips."""
    held = rows(REPORTS / "decoders" / "targets.jsonl", "model", "target", "precision", "n")
    lines = []
    for row in held:
        band = f"{row['low']:.3g} to {row['high']:.3g}" if np.isfinite(row["high"]) else "one window: none"
        mode = f"{row['target']} {row['precision']}".strip()
        lines.append(f"| {row['model']} | {mode} | {row['metric']} | {row['n']} | **{row['score']:.3f}** | {band} |")
    head = ["| network | on | score | n | bit for bit | 95 % interval |", "|---|---|---|---|---|---|"]
    return "\n".join(["## On chips, bit for bit", "", *head, *lines, "", INTERVAL])


INTERVAL = """`float32` rows are the baseline on the same inputs. n: windows of a decoder, single words (two to a
pair) of MiniLM. The interval of a perplexity comes from the spread of its windows (their texts differ more than the
arithmetic does: compare scores on the same windows, not intervals), that of a rank correlation from Fisher's
transformation. Everything is quantized, the output layer and attention too, by minimal square error, without
compensation; `docs/arithmetic.md` says where attention runs.
"""


def main() -> None:
    """Write the report."""
    meaning = "\n".join(f"- `{name}`: {text}." for name, text in MEANING.items())
    note = f"""Weights of every product, the output layer too, in integers of few bits with a float32 scale a group,
symmetric; embedding, activations and attention stay in float32 (perplexity of the float network with quantized weights,
not bit for bit). 3 bits are sign and magnitude, -3 to 3. Rows that are not here were not measured. On eight windows a
difference of 0.2 in tiny-llama's perplexity is noise.

{meaning}
"""
    parts = [HEAD, note, methods("smollm2-135m"), methods("tiny-llama"), chips()]
    (REPORTS / "decoders.md").write_text("\n".join(part for part in parts if part).rstrip() + "\n")


if __name__ == "__main__":
    main()
