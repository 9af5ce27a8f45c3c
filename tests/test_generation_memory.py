"""Memory of generation requests: the cache at the last token, layers that are a loop, and devices that are too small."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import pytest
from model_doubles import toy_device
from test_generation import DECODER, DEVICE, causal, request

from perfmodel.graph import Graph
from perfmodel.ops import Attention
from perfmodel.predict import predict
from perfmodel.predict.generation import prepare_request
from perfmodel.predict.steps import cache_bytes
from perfmodel.report.request import course


def too_small(warnings: tuple[str, ...]) -> list[str]:
    return [w for w in warnings if "would not run there" in w]


@pytest.mark.parametrize("device", [DEVICE, "xeon-8380"])
def test_the_peak_is_that_of_the_last_step(device: Any) -> None:
    r = request(device=device, generate=400)
    # Token 400 is made by the step that finds the prompt's 10 tokens and 398 others; no step that is predicted is that late.
    steps = [
        predict(DECODER, device, dims={"batch": 3, "seq": 1, "past": past}, predictor="analytical")
        for past in (395, 408)
    ]
    earlier, last = (p.peak_memory_bytes for p in steps)
    assert earlier < last == r.peak_memory_bytes
    assert r.peak_memory_bytes >= steps[1].weights_bytes + r.kv_cache_bytes
    # 768 bytes a token, of which the last is never read back.
    assert r.kv_cache_bytes == 768 * 409


@pytest.mark.parametrize("generate", [1, 2, 7])
def test_the_peak_may_be_that_of_prefill_or_of_a_step_that_is_predicted(generate: int) -> None:
    r = request(prompt=100, generate=generate)
    assert r.peak_memory_bytes == max(p.peak_memory_bytes for phase in r.phases for p, _ in phase.parts)


def test_no_point_of_the_curve_of_memory_is_above_the_peak() -> None:
    prepared = prepare_request(DECODER, 10, 400, {"batch": 3}, (None, None, None, "engine"), None)
    found = course(request(generate=400), prepared, DEVICE)
    most = max(m["weights"] + m["rest"] + m["cache"][1] for m in found["memory"])
    assert most == pytest.approx(found["peak_bytes"], rel=1e-2)
    assert most <= found["peak_bytes"] * (1 + 1e-4)  # numbers of the page have few digits


def looped(layers: int) -> Graph:
    """Layers that are a loop: one node of attention, executed as often."""
    graph = causal()
    return replace(
        graph, nodes=tuple(n.replace(count=layers) if isinstance(n.op, Attention) else n for n in graph.nodes)
    )


def test_layers_that_are_a_loop_have_a_cache_each() -> None:
    # Two heads of keys and two of values, 8 values of 2 bytes, 2 sequences, 13 tokens; of five layers.
    one = 2 * 2 * 8 * 2 * 2 * 13
    assert cache_bytes(looped(5).bind(seq=1), 13, has_cache=False) == 5 * one
    assert request(looped(5), dims={}).kv_cache_bytes == 5 * one


def test_a_device_that_holds_each_run_but_not_the_cache_beside_it() -> None:
    roomy = request(causal(), dims={}, generate=500)
    runs = max(p.peak_memory_bytes for phase in roomy.phases for p, _ in phase.parts)
    assert roomy.peak_memory_bytes == runs + roomy.kv_cache_bytes
    assert too_small(roomy.warnings) == []
    tight = request(
        causal(), dims={}, generate=500, device=toy_device(memory_bytes=int(runs + roomy.kv_cache_bytes / 2))
    )
    assert not any(too_small(p.warnings) for phase in tight.phases for p, _ in phase.parts)
    assert len(too_small(tight.warnings)) == 1


def test_a_request_that_does_not_fit_says_so_once() -> None:
    # 768 kB a token: each run needs another number of tenths of GB.
    r = request(dims={"batch": 3000}, generate=2000, device=toy_device(memory_bytes=1000))
    each = {w for phase in r.phases for p, _ in phase.parts for w in too_small(p.warnings)}
    assert len(each) > 3
    [said] = too_small(r.warnings)
    # 2,009 tokens are 1.54 GB; beside them lie 3,000 logits of 50, hidden states, and weights of some kB.
    assert "needs 1.5 GB" in said
