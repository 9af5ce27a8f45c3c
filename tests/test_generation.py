"""Generation requests: which graphs run, what a cache changes, and figures that add up."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
from attention_graphs import heads, merged, plain
from fake_predictions import operator, prediction
from fusion_graphs import Builder
from hypothesis import given
from hypothesis import strategies as st
from memory_models import decoder
from model_doubles import toy_device
from onnx import TensorProto, helper

from perfmodel.errors import InputError
from perfmodel.features.onnx import read_onnx
from perfmodel.graph import Graph, Tensor
from perfmodel.hardware import load_device
from perfmodel.ops import Attention
from perfmodel.predict import Estimate, _on_host, predict
from perfmodel.predict.energy import Hosts, Prices
from perfmodel.predict.generation import _chunks, _totals, compare_generation, predict_generation, prepare_request
from perfmodel.predict.generation_result import GenerationPrediction
from perfmodel.predict.steps import steps_of

# Two layers of two heads of eight values; it takes its past keys and values and returns them longer.
DECODER = decoder(width=16, heads=2, layers=2, vocabulary=50).SerializeToString()
DEVICE = toy_device()


def request(model: Any = DECODER, prompt: int = 10, generate: int = 4, **options: Any) -> GenerationPrediction:
    dims = options.pop("dims", {"batch": 3})
    return predict_generation(
        model,
        options.pop("device", DEVICE),
        prompt=prompt,
        generate=generate,
        dims=dims,
        predictor="analytical",
        **options,
    )


# ------------------------------------------------------------------------------------------- with inputs for a cache
def test_each_run_is_the_model_with_that_many_tokens_in_the_cache() -> None:
    r = request()
    prefill, decode = r.phases
    assert (prefill.name, prefill.runs, prefill.tokens) == ("prefill", 1, 3 * 10)
    # Prefill makes the first of four tokens: three steps, of three sequences each.
    assert (decode.name, decode.runs, decode.tokens) == ("decode", 3, 3 * 3)
    assert (r.workload.samples, r.workload.tokens) == (3, 3 * 14)
    for (part, runs), past in zip(decode.parts, (10, 11, 12), strict=True):
        alone = predict(DECODER, DEVICE, dims={"batch": 3, "seq": 1, "past": past}, predictor="analytical")
        assert runs == 1
        assert part.latency_s == alone.latency_s
        assert part.energy_j == alone.energy_j
        attention = [o for o in part.operators if o.op == "attention"]
        assert [o.shape.split()[1:3] for o in attention] == [["q1", f"kv{past + 1}"]] * 2
    assert [o.shape.split()[1:3] for o in prefill.parts[0][0].operators if o.op == "attention"] == [["q10", "kv10"]] * 2


def test_the_cache_at_the_end() -> None:
    # Keys and values of 2 layers, 3 sequences, 2 heads, 8 values of 4 bytes: 768 bytes a token. The last of 14 tokens is
    # never read back.
    assert request().kv_cache_bytes == 2 * 2 * 3 * 2 * 8 * 4 * 13
    assert request(kv_dtype="fp8").kv_cache_bytes == 2 * 2 * 3 * 2 * 8 * 13
    assert request(generate=1).kv_cache_bytes == 2 * 2 * 3 * 2 * 8 * 4 * 10


def test_one_token_is_prefill_alone() -> None:
    r = request(generate=1)
    assert [p.name for p in r.phases] == ["prefill"]
    assert r.latency_s == r.phases[0].latency_s


# ---------------------------------------------------------------------------------- without: the cache that is added
def causal(window: int | None = None) -> Graph:
    """A layer without a cache, its sequence open; attention as one operator, since symbolic parts are not fused."""
    import sympy

    seq = sympy.Symbol("seq", integer=True, positive=True)
    b = Builder("bf16")
    x = b.input(2, seq, 32)
    op = Attention(
        phase="prefill", batch=2, q_len=seq, kv_len=seq, heads=4, kv_heads=2, head_dim=8, causal=True, window=window,
        dtype="bf16",
    )  # fmt: skip
    q, k, v = (b.linear(x, n) for n in (32, 16, 16))
    [y] = b.node(op, (q, k, v), (2, seq, 32))
    graph = b.graph(b.linear(y, 32))
    return Graph(
        graph.name, graph.tensors, graph.nodes, graph.inputs, graph.outputs, input_axes={x: (None, "seq", None)}
    )


def test_a_causal_file_without_a_cache_gets_one() -> None:
    r = request(causal(), dims={})
    prefill, decode = r.phases
    [whole] = [o for o in prefill.parts[0][0].operators if o.op == "attention"]
    assert whole.shape.startswith("b2 q10 kv10")
    shapes = [[o.shape for o in p.operators if o.op == "attention"] for p, _ in decode.parts]
    assert [s[0].split()[:3] for s in shapes] == [["b2", "q1", f"kv{n}"] for n in (11, 12, 13)]
    # Products are of one token of each sequence.
    assert {o.shape for p, _ in decode.parts for o in p.operators if o.op == "gemm"} == {"2x32x32", "2x16x32"}
    # Two heads of keys and two of values, 8 values of 2 bytes, 2 sequences, 13 tokens.
    assert r.kv_cache_bytes == 2 * 2 * 8 * 2 * 2 * 13
    assert any("no inputs for past keys and values" in w for w in r.warnings)


def test_a_processor_with_learned_kernels_reads_the_cache_too(monkeypatch: pytest.MonkeyPatch) -> None:
    prepared = prepare_request(causal(), 10, 4, {}, (None, None, None, "engine"), None)
    steps = [p for phase, _, p in prepared.parts if phase == "decode"]
    # What a runtime on a processor runs is fused from the bound graph, not from that of engines.
    reads = [[n.op.kv_len for n in p.on_cpu.nodes if isinstance(n.op, Attention)] for p in steps]
    assert reads == [[11], [12], [13]]
    kernels = SimpleNamespace(threads=1)
    monkeypatch.setattr("perfmodel.models.host.boosters.host_kernels_of", lambda *given: kernels)
    lost = "cost the same after any prompt"
    for step in steps:
        graph, host, warning = _on_host(step, load_device("xeon-8380"), None, None, None)
        assert (graph, host) == (step.on_cpu, kernels)
        assert lost not in warning
    # Attention in parts, of which none is known to read a cache.
    parts = tuple(n for n in steps[0].bound.nodes if not isinstance(n.op, Attention))
    in_parts = replace(steps[0], bound=replace(steps[0].bound, nodes=parts))
    for step in (in_parts, replace(in_parts, dtype="bf16")):
        assert lost in _on_host(step, load_device("xeon-8380"), None, None, None)[2]
    assert lost not in _on_host(replace(in_parts, cache_added=False), load_device("xeon-8380"), None, None, None)[2]


def test_a_window_stays() -> None:
    r = request(causal(window=5), dims={}, prompt=100)
    bytes_read = [o.bytes for p, _ in r.phases[1].parts for o in p.operators if o.op == "attention"]
    # Five tokens of keys and values (2·2 heads of 8 values), the query and the result (4 heads), 2 bytes each, of 2 sequences.
    assert bytes_read == [2 * 2 * (5 * 4 * 8 + 2 * 4 * 8)] * 3


def test_both_ways_agree_on_attention(shared: Path) -> None:
    """GPT-2 from a file without a cache: its attention reads what attention over a cache reads."""
    r = request(str(shared / "onnx" / "gpt2.graph.onnx"), device="h100-sxm", dims={"batch": 2}, prompt=64, dtype="bf16")
    for (part, _), kv in zip(r.phases[1].parts, (65, 66, 67), strict=True):
        attention = [o for o in part.operators if o.op == "attention"]
        assert len(attention) == 12
        # Keys and values of 12 heads of 64, one query, one result, bf16, two sequences.
        # (and the scale, one number).
        assert {o.bytes for o in attention} == {2 * 2 * 12 * 64 * (2 * kv + 2) + 4}
    # 124 million parameters of 2 bytes are read for each token at least (the embedding table is read as the last product).
    part = r.phases[1].parts[0][0]
    assert part.bytes > 2 * 123e6
    assert part.flops == pytest.approx(2 * 2 * 124e6, rel=0.03)


# --------------------------------------------------------------------------------------------------------- adding up
@pytest.mark.parametrize("launch", ["graph", "eager"])
@pytest.mark.parametrize("generate", [1, 2, 30])
def test_operators_add_up_to_phases_and_phases_to_the_request(launch: str, generate: int) -> None:
    r = request(generate=generate, launch=launch)
    for kind in ("value", "low", "high"):
        for quantity in ("latency_s", "energy_j"):
            phases = [getattr(getattr(p, quantity), kind) for p in r.phases]
            assert getattr(getattr(r, quantity), kind) == pytest.approx(sum(phases))
            for phase in r.phases:
                parts = [n * getattr(getattr(p, quantity), kind) for p, n in phase.parts]
                assert getattr(getattr(phase, quantity), kind) == pytest.approx(sum(parts))
    assert r.energy_j is not None
    assert r.power_w is not None
    assert r.peak_w is not None
    assert r.energy_j.value == pytest.approx(r.power_w.value * r.latency_s.value)
    joules = sum(
        n * (sum(o.energy_j.value for o in p.operators if o.energy_j) + p.launch_gap_s * (p.idle_power_w or 0.0))
        for phase in r.phases
        for p, n in phase.parts
    )
    assert joules == pytest.approx(r.energy_j.value)
    profile = r.power_profile()
    assert profile.duration_s == pytest.approx(r.latency_s.value)
    assert profile.average_w.value == pytest.approx(r.power_w.value)
    assert profile.peak_w.value == pytest.approx(r.peak_w.value)
    assert profile.peak_w.value >= profile.percentile_w().value
    assert profile.peak_w.value >= profile.average_w.value >= (r.idle_power_w or 0.0)
    assert {record["phase"] for record in profile.slices(50)} == {p.name for p in r.phases}


def test_a_phase_that_takes_no_time_leaves_the_power_of_the_other() -> None:
    # 0.1 J in 1 ms; a run without time has no power, since that is energy over time.
    one = operator("gemm", "a", 1e-3, power_w=Estimate(100.0, 80.0, 120.0), energy_j=Estimate(0.1, 0.08, 0.12))
    busy = prediction(operators=(one,), latency_s=one.latency_s, power_w=one.power_w, energy_j=one.energy_j)
    still = replace(busy, operators=(), latency_s=Estimate(0, 0, 0), power_w=None, energy_j=None)
    for parts in ([(still, 1), (busy, 3)], [(busy, 3), (still, 5)]):
        latency, energy, power, peak = _totals(parts)
        assert latency.value == pytest.approx(3e-3)
        assert (energy.value, energy.low, energy.high) == pytest.approx((0.3, 0.24, 0.36))
        assert (power.value, power.low, power.high) == pytest.approx((100, 80, 120))
        assert peak == one.power_w
    assert _totals([(still, 2)]) == (still.latency_s, None, None, None)
    # Where power is unknown while time passes, so is the sum.
    assert _totals([(busy, 1), (replace(busy, power_w=None, energy_j=None), 1)])[1:] == (None, None, None)


def test_costs_add_up() -> None:
    r = request()
    prices = Prices(grid=400, per_hour=3.6, electricity=0.5, hosts=Hosts(300.0), pue=1.3)
    whole, phases = r.cost(prices), [p.cost(prices) for p in r.phases]
    for name in ("energy_j", "carbon_g", "money"):
        parts = [getattr(p.per_run, name).value for p in phases]
        assert getattr(whole.per_run, name).value == pytest.approx(sum(parts))
    assert [c.units for c in (whole, *phases)] == [42, 30, 9]
    assert phases[1].per_million.time_s.value == pytest.approx(1e6 / 9 * r.phases[1].latency_s.value)


@given(st.integers(0, 500))
def test_chunks_cover_every_step_once(steps: int) -> None:
    chunks = _chunks(steps)
    assert [i for first, runs in chunks for i in range(first, first + runs)] == list(range(steps))
    assert len(chunks) == min(steps, 6)


@pytest.mark.parametrize(("prompt", "generate"), [(1, 1), (5, 3), (40, 2)])
def test_longer_requests_take_more(prompt: int, generate: int) -> None:
    def figures(p: int, g: int) -> tuple[float, float, float]:
        r = request(GRAPH, prompt=p, generate=g, dims={})
        assert r.energy_j is not None
        return r.latency_s.value, r.energy_j.value, r.kv_cache_bytes

    here = figures(prompt, generate)
    assert all(b > a for a, b in zip(here, figures(prompt, generate + 1), strict=True))
    assert all(b >= a * (1 - 1e-9) for a, b in zip(here, figures(prompt + 8, generate), strict=True))


GRAPH = read_onnx(DECODER, dims={"batch": 1}, keep_symbolic=True)


def test_sampled_steps_stand_for_all() -> None:
    """Two dozen steps predicted one by one, against six of them."""
    r = request(GRAPH, prompt=20, generate=25, dims={})
    each = [predict(GRAPH.bind(seq=1, past=20 + i), DEVICE, predictor="analytical").latency_s.value for i in range(24)]
    assert len(r.phases[1].parts) == 6
    assert r.phases[1].latency_s.value == pytest.approx(sum(each), rel=2e-3)


def test_several_devices_fastest_first() -> None:
    both = compare_generation(GRAPH, ["a10", "h100-sxm"], prompt=4, generate=2, predictor="analytical")
    assert [r.device for r in both] == sorted(
        (r.device for r in both), key=lambda d: {r.device: r.latency_s.value for r in both}[d]
    )
    alone = request(GRAPH, prompt=4, generate=2, dims={}, device="a10")
    assert next(r for r in both if r.device == "a10").latency_s == alone.latency_s


# ------------------------------------------------------------------------------------------------------ what is refused
def encoder() -> Graph:
    b = Builder("bf16")
    x = b.input(2, 8, 32)
    q, k, v = (heads(b, b.linear(x, 32)) for _ in range(3))
    graph = b.graph(merged(b, plain(b, q, k, v)))
    return Graph(
        graph.name, graph.tensors, graph.nodes, graph.inputs, graph.outputs, input_axes={x: (None, "seq", None)}
    )


@pytest.mark.parametrize(
    ("model", "options", "message"),
    [
        (DECODER, {"dims": {"batch": 3, "seq": 5}}, "--dim seq is what --prompt and --generate decide"),
        (DECODER, {"dims": {"batch": 3, "past": 5}}, "--dim past is what --prompt and --generate decide"),
        (DECODER, {"dims": {}}, "give a number for the dimensions batch"),
        (DECODER, {"prompt": 0}, "prompt is 0: wanted a whole number of tokens"),
        (DECODER, {"generate": 1.5}, "generate is 1.5"),
        ("examples/resnet18.onnx", {"dims": {"batch": 1}}, "no input has an open dimension that counts its new tokens"),
        (encoder(), {"dims": {}}, "no input has an open dimension that counts its new tokens"),
    ],
)
def test_what_is_refused(model: Any, options: dict[str, Any], message: str) -> None:
    with pytest.raises(InputError, match=message):
        request(model, **options)


def test_an_encoder_generates_nothing(shared: Path) -> None:
    with pytest.raises(InputError, match="is not causal: an encoder generates nothing"):
        request(str(shared / "onnx" / "bert-base.graph.onnx"), dims={"batch": 1})


def test_attention_in_parts_cannot_be_told(shared: Path) -> None:
    with pytest.raises(InputError, match="no attention that is one operator after fusion"):
        request(str(shared / "onnx" / "gpt2.graph.onnx"), dims={"batch": 1}, fusion="none")


def test_keys_of_the_json() -> None:
    keys = request().to_dict()
    assert set(keys) == {
        "model", "device", "predictor", "prompt", "generate", "latency_s", "power_w", "energy_j", "peak_w",
        "kv_cache_bytes", "peak_memory_bytes", "samples", "tokens", "dims", "dtype_map", "kv_dtype", "warnings",
        "idle_power_w", "power_limit_w", "lowest_idle_power_w", "phases",
    }  # fmt: skip
    phase = keys["phases"][1]
    assert set(phase) == {
        "name", "runs", "tokens", "latency_s", "latency_per_run_s", "energy_j", "energy_per_token_j", "power_w", "peak_w",
        "parts",
    }  # fmt: skip
    assert phase["parts"][0]["runs"] == 1
    assert phase["parts"][0]["operators"]
    assert phase["energy_per_token_j"]["value"] == pytest.approx(phase["energy_j"]["value"] / 9)


# --------------------------------------------------------------------------------------- the names that exporters use
def named(**axes: tuple[str | int, ...]) -> Graph:
    """A graph of inputs with open dimensions, which nothing reads."""
    import sympy

    symbols = {
        a: sympy.Symbol(a, integer=True, positive=True) for row in axes.values() for a in row if isinstance(a, str)
    }
    b = Builder("bf16")
    tensors = dict(b.graph().tensors)
    for name, row in axes.items():
        kind = "int64" if "ids" in name or "mask" in name else "bf16"
        tensors[name] = Tensor(name, tuple(symbols.get(a, a) if isinstance(a, str) else a for a in row), kind)
    called = {n: tuple(a if isinstance(a, str) else None for a in row) for n, row in axes.items()}
    return Graph("named", tensors, (), inputs=tuple(axes), input_axes=called)


OPTIMUM = named(
    input_ids=(2, "sequence_length"), attention_mask=(2, "total_sequence_length"),
    **{f"past_key_values.{i}.{what}": (2, 8, "past_sequence_length", 64) for i in range(2) for what in ("key", "value")},
)  # fmt: skip
UNNAMED = named(
    input_ids=(2, "sequence_length"),
    **{f"past_key_values.{i}.key": (2, 8, f"past_key_values_{i}_key_2", 64) for i in range(2)},
)
MASKED = named(input_ids=(2, "seq"), attention_mask=(2, "attention_mask_1"), cache_k=(2, "kv_len", 512))


@pytest.mark.parametrize(
    ("graph", "ids", "mask", "past"),
    [(OPTIMUM, "input_ids", "attention_mask", "past_key_values.1.value"), (UNNAMED, "input_ids", None, "past_key_values.1.key"),
     (MASKED, "input_ids", "attention_mask", "cache_k")],
)  # fmt: skip
def test_names_of_exporters(graph: Graph, ids: str, mask: str | None, past: str) -> None:
    steps = steps_of(graph, 10, {})
    assert steps.has_cache
    for bound, new, cached in ((steps.prompt, 10, 0), (steps.step(12), 1, 12)):
        shapes = {n: t.shape for n, t in bound.tensors.items()}
        assert shapes[ids] == (2, new)
        assert mask is None or shapes[mask] == (2, cached + new)
        shape = shapes[past]
        assert shape is not None
        assert cached in shape


def grouped_queries() -> bytes:
    """A layer as ONNX Runtime's generators have it: GroupQueryAttention over a cache, a mask of the total length."""
    h, kv, d, width = 8, 2, 64, 512
    value, node = helper.make_tensor_value_info, helper.make_node
    names = (
        [f"past_key_values.0.{what}" for what in ("key", "value")],
        [f"present.0.{what}" for what in ("key", "value")],
    )
    nodes = [
        node("Gather", ["table", "input_ids"], ["x"]),
        *(node("MatMul", ["x", f"w{p}"], [p]) for p in "qkv"),
        node("ReduceSum", ["attention_mask", "axis"], ["ones"]),
        node("Cast", ["ones"], ["lengths"], to=TensorProto.INT32),
        node("Shape", ["attention_mask"], ["extents"]),
        node("Gather", ["extents", "last"], ["extent"]),
        node("Cast", ["extent"], ["total"], to=TensorProto.INT32),
        node(
            "GroupQueryAttention", ["q", "k", "v", *names[0], "lengths", "total"], ["a", *names[1]],
            domain="com.microsoft", num_heads=h, kv_num_heads=kv,
        ),
        node("MatMul", ["a", "wo"], ["logits"]),
    ]  # fmt: skip
    shapes = {
        "table": (100, width),
        "wq": (width, width),
        "wk": (width, kv * d),
        "wv": (width, kv * d),
        "wo": (width, 100),
    }
    weights = [
        helper.make_tensor(n, TensorProto.FLOAT16, s, bytes(2 * s[0] * s[1]), raw=True) for n, s in shapes.items()
    ]
    weights += [
        helper.make_tensor("axis", TensorProto.INT64, [1], [1]),
        helper.make_tensor("last", TensorProto.INT64, [], [1]),
    ]
    inputs = [
        value("input_ids", TensorProto.INT64, ["batch_size", "sequence_length"]),
        value("attention_mask", TensorProto.INT64, ["batch_size", "total_sequence_length"]),
        *(value(n, TensorProto.FLOAT16, ["batch_size", kv, "past_sequence_length", d]) for n in names[0]),
    ]
    outputs = [
        value("logits", TensorProto.FLOAT16, ["batch_size", "sequence_length", 100]),
        *(value(n, TensorProto.FLOAT16, ["batch_size", kv, "total_sequence_length", d]) for n in names[1]),
    ]
    graph = helper.make_graph(nodes, "grouped", inputs, outputs, weights)
    imports = [helper.make_opsetid("", 17), helper.make_opsetid("com.microsoft", 1)]
    return helper.make_model(graph, opset_imports=imports, ir_version=8).SerializeToString()


def test_a_file_of_a_generator() -> None:
    r = request(grouped_queries(), prompt=100, dims={"batch_size": 2})
    shapes = [o.shape for phase in r.phases for p, _ in phase.parts for o in p.operators if o.op == "attention"]
    runs = (("q100", "kv100"), ("q1", "kv101"), ("q1", "kv102"), ("q1", "kv103"))
    assert [s.split()[:4] for s in shapes] == [["b2", q, kv, "h8/2"] for q, kv in runs]
    assert r.kv_cache_bytes == 2 * 2 * 2 * 64 * 2 * 103
    assert not any("no inputs for past" in w for w in r.warnings)
