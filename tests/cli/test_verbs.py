"""Each verb on real input: what it prints, the JSON, the files, the exit status."""

from __future__ import annotations

import json
import re
from pathlib import Path

import numpy as np
import pytest

import hwsim
from hwsim.cli.app import VERBS
from hwsim.report import read
from tests.cli.conftest import CHIPS, Say


@pytest.mark.parametrize("verb", [*VERBS, "zoo list", "zoo show", "zoo get"])
def test_help_has_an_example_that_names_the_verb(say: Say, verb: str) -> None:
    said = say(*verb.split(), "--help")
    assert (said.status, said.err) == (0, "")
    assert re.search(rf"Examples?:\s+hwsim\s+{verb.split()[0]}", " ".join(said.out.split()))
    assert "--json" in said.out


def test_help_lists_every_verb_and_every_exit_status(say: Say) -> None:
    said = say("--help")
    assert said.status == 0
    assert all(re.search(rf"^  {verb} ", said.out, re.MULTILINE) for verb in VERBS)
    assert all(f"{status} " in said.out for status in (0, 1, 2, 3, 70, 130))


def test_version(say: Say) -> None:
    assert say("--version").out == f"hwsim {hwsim.__version__}\n"


def test_nothing_to_do_is_help_on_stderr_and_status_2(say: Say) -> None:
    said = say()
    assert (said.status, said.out) == (2, "")
    assert "Verbs:" in said.err


@pytest.mark.parametrize("verb", ["formats", "units", "targets", "zoo"])
def test_catalogs_list_every_entry(say: Say, verb: str) -> None:
    from hwsim import target, zoo

    names = {
        "formats": list(hwsim.formats),
        "units": list(hwsim.units),
        "targets": list(target.names()),
        "zoo": list(zoo.names()),
    }[verb]
    out = say(verb).out
    assert [line.split()[0] for line in out.splitlines() if line.split() and line.split()[0] in names] == names
    body = json.loads(say(verb, "--json").out)
    assert body.pop("schema") == f"hwsim.{verb}/1"
    if verb == "zoo":
        shapes = body.pop("shapes")
        assert "llama2-7b" in shapes
        assert all(name in out for name in shapes)
    ((_, listed),) = body.items()
    assert [entry["name"] for entry in listed] == names


@pytest.mark.parametrize("name", list(hwsim.formats))
def test_every_format_has_a_page_and_json(say: Say, name: str) -> None:
    page = say("formats", name)
    assert page.status == 0
    assert page.out.startswith(f"{name} ")
    body = json.loads(say("formats", name, "--json").out)
    assert (body["name"], body["schema"]) == (name, "hwsim.format/1")
    if body.get("values"):
        words = {"nan": np.nan, "inf": np.inf, "-inf": -np.inf}
        values = [words[v] if isinstance(v, str) else v for v in body["values"]]
        codes = np.arange(len(values))
        np.testing.assert_array_equal(values, hwsim.decode(codes, name))


def test_a_number_line_marks_each_value_once(say: Say) -> None:
    lines = say("formats", "fp4_e2m1").out.splitlines()
    (axis,) = [line for line in lines if set(line) == {"|", "-"}]
    assert axis.count("|") == 15  # 16 codes, and -0 is where 0 is
    labels = [float(label) for label in lines[lines.index(axis) + 1].split()]
    assert labels == sorted({float(value) for value in hwsim.decode(np.arange(16), "fp4_e2m1")})


def test_a_code_table_gives_every_code(say: Say) -> None:
    out = say("formats", "int4_sm").out
    pairs = dict(re.findall(r"0x([0-9A-F]) [01]{4}\s+(-?\d+)", out))
    assert {int(code, 16): value for code, value in pairs.items()} == {
        **{code: str(code) for code in range(8)},
        8: "-0",
        **{code: str(8 - code) for code in range(9, 16)},
    }


@pytest.mark.parametrize("name", ["hwsim.rtl.int4", "nvidia.hopper.wgmma.e4m3", "ascend.cube.int4"])
def test_a_unit_page_names_operands_evidence_and_source(say: Say, name: str) -> None:
    unit, out = hwsim.units[name], say("units", name).out
    assert all(word in " ".join(out.split()) for word in (unit.a_format, unit.accumulator, unit.evidence))
    assert " ".join(unit.source.split()) in " ".join(out.split())
    assert json.loads(say("units", name, "--json").out)["evidence"] == unit.evidence


@pytest.mark.parametrize("name", ["nvidia-h100", "ascend-910b4", "hwsim-int4-ws16"])
def test_a_target_page_has_every_quantity_with_evidence_and_source(say: Say, name: str) -> None:
    target = hwsim.load_target(name)
    out = say("targets", name).out
    rows = {line.split()[0]: line.split() for line in out.splitlines() if line.strip()}
    for path, quantity in target.quantities():
        assert rows[path][-2:] == [quantity.kind, quantity.source]
    assert json.loads(say("targets", name, "--json").out)["name"] == name


def test_a_target_file_can_be_copied_and_changed(say: Say, tmp_path: Path) -> None:
    said = say("targets", "hwsim-int4-ws16", "--yaml")
    mine = tmp_path / "mine.yaml"
    mine.write_text(said.out.replace("name: hwsim-int4-ws16", "name: mine", 1))
    assert say("targets", mine).out.startswith("mine ")
    assert say("targets", "--yaml").status == 2


def test_emulate_compares_writes_and_ends_with_the_page(say: Say, model: Path, data: Path, tmp_path: Path) -> None:
    out = tmp_path / "made" / "here"
    said = say("emulate", model, *CHIPS, "--data", data, "--out", out)
    assert said.status == 0
    assert said.out.splitlines()[-1] == str(out / "report.html")
    assert "hwsim-int4-ws16: emulate: 40 of 40" in said.err
    assert sorted(p.name for p in out.iterdir()) == ["report.html", "run.json"]
    comparison = read(out / "run.json")
    assert [r.target.name for r in comparison.results] == ["hwsim-int4-ws16", "nvidia-h100"]
    assert comparison.command.startswith("hwsim emulate ")
    assert comparison.n == 40
    for result in comparison.results:
        assert result.accuracy is not None
        assert result.accuracy.n == 40
        assert {row.layer for row in result.trace} == {"conv1", "fc"}
        assert sum(row.macs for row in result.trace) == 40 * result.estimate.macs


def test_emulate_json_is_the_run_and_nothing_else(say: Say, model: Path, data: Path, tmp_path: Path) -> None:
    said = say("emulate", model, *CHIPS, "--data", data, "--limit", 8, "--batch", 4, "--json")
    body = json.loads(said.out)
    assert (body["schema"], body["n"]) == ("hwsim.comparison/1", 8)
    assert {result["estimate"]["batch"] for result in body["results"]} == {4}


def test_emulate_says_when_ranges_come_from_the_test_inputs(say: Say, model: Path, data: Path) -> None:
    notes = json.loads(say("emulate", model, *CHIPS, "--data", data, "--json").out)["notes"]
    assert any("the very inputs" in note for note in notes)
    notes = json.loads(say("emulate", model, *CHIPS, "--data", data, "--calibration", data, "--json").out)["notes"]
    assert not any("the very inputs" in note for note in notes)


def test_emulate_says_why(say: Say, model: Path, data: Path, tmp_path: Path) -> None:
    out = tmp_path / "why"
    said = say("emulate", model, *CHIPS, "--data", data, "--limit", 12, "--why", "--out", out)
    assert said.status == 0
    assert said.out.splitlines()[-1] == str(out / "report.html")
    assert "is the layer to mend" in said.out
    reasons = [f"why-{chip}{end}" for chip in ("hwsim-int4-ws16", "nvidia-h100") for end in (".html", ".json")]
    assert sorted(p.name for p in out.iterdir()) == sorted(["report.html", "run.json", *reasons])
    held = json.loads((out / "why-nvidia-h100.json").read_text())
    assert (held["schema"], held["n"]) == ("hwsim.attribution/1", 12)
    both = json.loads(say("emulate", model, *CHIPS, "--data", data, "--limit", 12, "--why", "--json").out)
    assert [(each["target"]["name"], each["layers"]) for each in both["why"]][1] == ("nvidia-h100", held["layers"])
    assert say("emulate", model, *CHIPS, "--data", data, "--why", "--backend", "rtl").status == 2


def test_report_repeats_the_page_and_joins_runs(say: Say, model: Path, data: Path, tmp_path: Path) -> None:
    for chip in ("hwsim-int4-ws16", "nvidia-h100"):
        assert say("emulate", model, "--target", chip, "--data", data, "--out", tmp_path / chip).status == 0
    one = tmp_path / "nvidia-h100"
    page = (one / "report.html").read_bytes()
    (one / "report.html").unlink()
    assert say("report", one).out == f"{one / 'report.html'}\n"
    assert (one / "report.html").read_bytes() == page
    both = tmp_path / "both.json"
    assert (
        say("report", one / "run.json", tmp_path / "hwsim-int4-ws16", "-o", both, "-o", tmp_path / "b.csv").status == 0
    )
    assert [r.target.name for r in read(both).results] == ["nvidia-h100", "hwsim-int4-ws16"]
    assert (tmp_path / "b.csv").stat().st_size > 100


def test_report_says_what_changed(say: Say, model: Path, data: Path, tmp_path: Path) -> None:
    for limit in (8, 20):
        args = (*CHIPS, "--data", data, "--limit", limit, "--batch", limit, "--out", tmp_path / str(limit))
        assert say("emulate", model, *args).status == 0
    said = say("report", "--compare", tmp_path / "8", tmp_path / "20")
    assert said.status == 0
    assert said.out.splitlines()[-1] == str(tmp_path / "20" / "change.html")
    assert "n: 8 → 20" in said.out
    made = tmp_path / "change.json"
    assert say("report", "--compare", tmp_path / "8", tmp_path / "20", "-o", made).status == 0
    held = json.loads(made.read_text())
    assert held == json.loads(say("report", "--compare", tmp_path / "8", tmp_path / "20", "--json").out)
    assert [target["target"] for target in held["targets"]] == ["hwsim-int4-ws16", "nvidia-h100"]
    assert say("report", "--compare", tmp_path / "8").status == 2
    assert say("report", "--compare", tmp_path / "8", tmp_path / "20", "-o", tmp_path / "x.csv").status == 2


def test_report_refuses_to_join_different_data(say: Say, model: Path, data: Path, tmp_path: Path) -> None:
    for limit in (8, 9):
        args = ("--target", "nvidia-h100", "--data", data, "--limit", limit, "--out", tmp_path / str(limit))
        assert say("emulate", model, *args).status == 0
    said = say("report", tmp_path / "8", tmp_path / "9", "-o", tmp_path / "x.html")
    assert said.status == 2
    assert "expected n 8" in said.err
    assert not (tmp_path / "x.html").exists()


def test_estimate_of_a_product_is_the_library_s(say: Say) -> None:
    said = say("estimate", "--gemm", "64,32,48", "--target", "hwsim-int4-ws16", "--json")
    (found,) = json.loads(said.out)["estimates"]
    want = hwsim.estimate(hwsim.gemm(64, 32, 48, weights="int4", activations="int4"), "hwsim-int4-ws16")
    assert (found["cycles"], found["joules"], found["macs"]) == (want.cycles, want.joules, 64 * 32 * 48)


def test_estimate_of_a_model_grows_with_its_batch(say: Say, model: Path) -> None:
    macs = 4 * 16 * 9 + 16 * 3
    for batch in (1, 8):
        (found,) = json.loads(say("estimate", model, *CHIPS[:2], "--batch", batch, "--json").out)["estimates"]
        assert found["macs"] == batch * macs
    assert "conv1" in say("estimate", model, *CHIPS).out


def test_estimate_of_a_network_known_by_shape(say: Say) -> None:
    said = say("estimate", "gpt2", "--target", "nvidia-h100", "--precision", "bf16", "--context", 64, "--json")
    (found,) = json.loads(said.out)["estimates"]
    want = hwsim.workload("gpt2", "nvidia-h100", precision="bf16", context=64)
    assert found["macs"] == want.macs


def test_quantize_writes_a_model_that_emulates_alike(say: Say, model: Path, data: Path, tmp_path: Path) -> None:
    qir = tmp_path / "q" / "small.qir"
    said = say("quantize", model, "--target", "hwsim-int4-ws16", "--data", data, "-o", qir)
    assert (said.status, said.out.splitlines()[-1].split()) == (0, ["written", str(qir)])
    x = hwsim.load_data(data)
    direct = hwsim.quantize(model, "hwsim-int4-ws16", x)
    runs = [hwsim.emulate(graph, "hwsim-int4-ws16", x).output for graph in (direct, hwsim.load_model(qir), qir)]
    np.testing.assert_array_equal(runs[0], runs[1])
    np.testing.assert_array_equal(runs[0], runs[2])
    assert say("emulate", qir, "--target", "hwsim-int4-ws16", "--data", data).status == 0


def test_quantize_per_group(say: Say, model: Path, data: Path, tmp_path: Path) -> None:
    args = ("--weights-granularity", "per_group", "--group-size", 8, "--calibrator", "minmax", "--json")
    said = say("quantize", model, "--target", "hwsim-int4-ws16", "--data", data, "-o", tmp_path / "g.qir", *args)
    assert said.status == 0
    held = hwsim.load_model(tmp_path / "g.qir").constants["fc.weight"]
    assert isinstance(held, hwsim.QTensor)
    assert (held.block_size, held.scale.shape) == (8, (3, 2))


def test_zoo_shows_and_finds_shipped_files(say: Say) -> None:
    assert "mnist-cnn" in say("zoo", "show", "mnist-cnn").out
    files = json.loads(say("zoo", "get", "mnist-cnn", "--json").out)["files"]
    assert set(files) == {"model", "test", "calib"}
    assert all(Path(path).is_file() for path in files.values())


def test_quantize_says_how_far_it_is(say: Say, model: Path, data: Path, tmp_path: Path) -> None:
    line = ("quantize", model, "--target", "nvidia-h100", "--data", data, "--weight-method", "gptq")
    said = say(*line, "-o", tmp_path / "small.qir")
    assert (said.status, said.err.splitlines()) == (0, ["ranges: 40 of 40", "weights: 2 of 2"])
