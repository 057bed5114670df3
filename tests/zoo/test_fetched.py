"""The larger fetched networks: float answers and scores as their makers' tools give them."""

from __future__ import annotations

import numpy as np

from hwsim import zoo
from hwsim.io.metric import METRICS
from hwsim.ir.infer import elements
from hwsim.ir.reference import run
from hwsim.zoo import _texts
from tests.oracles import need_network


def test_efficientnet_answers_eighteen_of_twenty() -> None:
    need_network("efficientnet-lite0")
    graph, data, held = zoo.model("efficientnet-lite0"), zoo.data("efficientnet-lite0"), zoo.entry("efficientnet-lite0")
    y = np.concatenate([run(graph, {"image": data.inputs[i : i + 5]})["logits"] for i in range(0, 20, 5)])
    assert (y.argmax(1) == data.labels).sum() == 18
    assert sum(np.size(c) for c in graph.constants.values()) == held.params
    matrix = [n for n in graph if n.op in ("Conv", "Gemm")]
    assert (
        sum(elements(graph.shape_of(n.output)) * elements(graph.shape_of(n.inputs[1])[1:]) for n in matrix) == held.macs
    )


def test_minilm_ranks_pairs_as_its_makers_model_does() -> None:
    """.729 over all pairs; here a part of them, against the same part."""
    need_network("minilm")
    graph, data = zoo.model("minilm"), zoo.data("minilm")
    assert len(data) == 706
    some = data.head(80)
    metric = METRICS[zoo.entry("minilm").metric]
    y = run(graph, {"tokens": some.inputs})["sentence"]
    assert metric.score(metric.figures(y, some.inputs), some.labels) > 0.6


def test_smollm2_reads_wikipedia() -> None:
    need_network("smollm2-135m")
    data = zoo.data("smollm2-135m")
    assert data.inputs.shape == (16, 512)
    assert zoo.data("smollm2-135m", "calib").inputs.shape == (8, 512)
    assert not {tuple(r) for r in data.inputs} & {tuple(r) for r in zoo.data("smollm2-135m", "calib").inputs}


def test_markup_becomes_sentences() -> None:
    markup = (
        "{{Infobox|a={{b}}}}\n'''Tin''' is a [[metal|soft metal]]<ref name=x>no</ref> of [[Cornwall]].<!-- no -->\n"
        "== Uses ==\n* list\n[[File:a.png|thumb|A [[can]] here]]It is [http://x.y used] for cans &amp; solder.\n"
        "{| class=a\n| cell\n|}\n[[Category:Metals]]"
    )
    assert _texts.plain(markup) == "Tin is a soft metal of Cornwall.\nIt is used for cans & solder."
