"""Whole models: hand-made graphs through composition, memory, cast and JSON, every figure counted."""

from __future__ import annotations

import json
from typing import Any

import numpy as np
import pytest
import sympy
from model_doubles import predictor, residual, toy_device

import perfmodel
from perfmodel.errors import DtypeError, InputError, UnboundDimensionError
from perfmodel.graph import Graph, Node, Removed, Tensor
from perfmodel.hardware import load_device
from perfmodel.models.predictor import Predictor
from perfmodel.ops import (
    Attention,
    Conv,
    Copy,
    Elementwise,
    Embedding,
    Gemm,
    Norm,
    Operator,
    Quantize,
    Softmax,
    Unmodelled,
    View,
)
from perfmodel.predict import Estimate, ModelPrediction, compare, predict
from perfmodel.predict.cast import activation_dtype, cast
from perfmodel.predict.compose import EAGER_DISPATCH_HIGH_S, EAGER_DISPATCH_LOW_S, EAGER_DISPATCH_S

TOY = toy_device()
# Counted in the tests of the analytical model, from a cold cache.
GEMM, GEMM_S = Gemm(m=128, n=128, k=32, dtype="bf16"), 5.196e-6
ADD, ADD_S = Elementwise(kind="add", elements=4800, inputs=2, dtype="fp32"), 4.88e-6
MAGIC, MAGIC_S = Unmodelled(kind="Magic", read=2400, written=2400, dtype="fp32"), 2.2e-6


def tensor(name: str, elements: Any, dtype: str = "fp32", **changes: Any) -> Tensor:
    return Tensor(name, (elements,), dtype, **changes)


def graph(*nodes: Node, tensors: tuple[Tensor, ...] = (), **changes: Any) -> Graph:
    return Graph("tiny", {t.name: t for t in tensors}, nodes, **changes)


def tiny(**changes: Any) -> Graph:
    """A product run twice, an addition, a reshape, and an operator that no rule covers."""
    return graph(
        Node("fc", GEMM, ("x", "w"), ("y",), count=2),
        Node("sum", ADD, ("y", "x"), ("z",)),
        Node("flat", View(dtype="fp32"), ("z",), ("v",)),
        Node("magic", MAGIC, ("v",), ("out",), source_op="Magic"),
        tensors=(
            tensor("x", 1000), tensor("w", 4096, "bf16", is_weight=True), tensor("y", 16384, "bf16"),
            tensor("z", 4800), tensor("v", 4800), tensor("out", 600),
        ),
        **{
            "inputs": ("x",),
            "outputs": ("out",),
            "warnings": ("the file said so",),
            "removed": (Removed("bn", "BatchNormalization", "folded", flops=123),),
            **changes,
        },
    )  # fmt: skip


def run(g: Graph, p: Predictor | None = None, **options: Any) -> ModelPrediction:
    device = options.pop("device", TOY)
    return predict(g, device, **{"predictor": p or predictor(), "cache": "cold", "fusion": "none", **options})


# --------------------------------------------------------------------------------------------------------- composition
def test_the_sum_of_its_operators() -> None:
    p = run(tiny())
    assert p.latency_s.value == pytest.approx(2 * GEMM_S + ADD_S + MAGIC_S)
    assert [(o.name, o.op, o.count) for o in p.operators] == [
        ("fc", "gemm", 2), ("sum", "elementwise", 1), ("magic", "unmodelled", 1)
    ]  # fmt: skip
    fc = p.operators[0]
    assert (fc.latency_each_s.value, fc.latency_s.value) == pytest.approx((GEMM_S, 2 * GEMM_S))
    assert (fc.shape, fc.dtype, fc.bound, fc.source) == ("128x128x32", "bf16", "compute", "analytical")
    # FLOPs and bytes are those of both executions: 2·128·128·32 and 49,152 each.
    assert (fc.flops, fc.bytes) == (2 * 1048576, 2 * 49152)
    assert fc.terms == pytest.approx(
        {"compute": 2048e-9, "l2": 1024e-9, "dram": 1024e-9, "vector": 0, "launch": 1100e-9}
    )
    assert (p.flops, p.bytes) == (2 * 1048576 + 4800, 2 * 49152 + 57600 + 4800)
    assert (p.removed_flops, p.launch_gap_s, p.model, p.device, p.predictor) == (123, 0, "tiny", "toy", "hand-made")
    # The ends of the intervals are added: ±0.4/0.6 in the logarithm for the product, a factor of two for the others.
    others = ADD_S + MAGIC_S
    assert p.latency_s.low == pytest.approx(2 * GEMM_S * 0.6703200 + others / 2)
    assert p.latency_s.high == pytest.approx(2 * GEMM_S * 1.8221188 + others * 2)


def test_utilisation_is_that_of_the_matrix_units() -> None:
    p = run(tiny())
    assert p.utilisation == pytest.approx(2 * 1048576 / 1.024e12 / (2 * GEMM_S + ADD_S + MAGIC_S))
    # Products in fp32 are held against the fp32 peak of 1e11.
    p = run(graph(Node("fc", GEMM.replace(dtype="fp32"))))
    assert p.utilisation == pytest.approx(1048576 / 1e11 / p.latency_s.value)
    # Of causal attention the executed half counts: 10 of 16 scores.
    causal = Attention(q_len=4, kv_len=4, heads=1, kv_heads=1, head_dim=64, causal=True, dtype="bf16")
    p = run(graph(Node("a", causal)))
    assert p.utilisation == pytest.approx(10 * 256 / 1.024e12 / p.latency_s.value)


def test_eager_launches_wait_for_the_host() -> None:
    device_s, launches = 2 * GEMM_S + ADD_S + MAGIC_S, 4  # the view launches nothing
    graph_mode, eager = run(tiny()), run(tiny(), launch="eager")
    assert eager.latency_s.value == pytest.approx(launches * EAGER_DISPATCH_S)
    assert eager.launch_gap_s == pytest.approx(launches * EAGER_DISPATCH_S - device_s)
    assert eager.latency_s.low >= launches * EAGER_DISPATCH_LOW_S
    assert eager.latency_s.high == pytest.approx(max(launches * EAGER_DISPATCH_HIGH_S, graph_mode.latency_s.high))
    # The device idles meanwhile, at its top clock: 1.45 times the 10 W that it draws at the lowest.
    assert eager.energy_j is not None
    assert graph_mode.energy_j is not None
    assert eager.energy_j.value - graph_mode.energy_j.value == pytest.approx(14.5 * eager.launch_gap_s)
    # A host that takes 5 or 30 us a launch makes the device wait for 4 · 5 - 17.472 or 4 · 30 - 17.472 us.
    for end, waits_s in (("low", 2.528e-6), ("high", 102.528e-6)):
        more = getattr(eager.energy_j, end) - getattr(graph_mode.energy_j, end)
        assert more == pytest.approx(14.5 * waits_s)
    assert eager.energy_j.high >= 14.5 * eager.latency_s.high  # of idling alone
    # Kernels that draw the least beside the longest wait, and the most beside the shortest.
    busy = {e: sum(getattr(o.power_w, e) * o.latency_s.value for o in graph_mode.operators) for e in ("low", "high")}
    assert eager.power_w is not None
    assert eager.power_w.low == pytest.approx((busy["low"] + 14.5 * 102.528e-6) / 120e-6)
    assert eager.power_w.high == pytest.approx((busy["high"] + 14.5 * 2.528e-6) / 20e-6)
    assert eager.power_w.low < eager.power_w.value < eager.power_w.high < 100
    # A kernel of a millisecond leaves the host time enough.
    long = graph(Node("fc", GEMM.replace(m=8192, n=2048)), Node("sum", ADD))
    assert run(long, launch="eager").launch_gap_s == 0
    assert run(long, launch="eager").latency_s.value == run(long).latency_s.value


def test_power_is_the_mean_over_time() -> None:
    p = run(tiny())
    assert p.power_w is not None
    assert p.energy_j is not None
    joules = sum(o.energy_j.value for o in p.operators if o.energy_j is not None)
    assert p.energy_j.value == pytest.approx(joules)
    assert p.power_w.value == pytest.approx(joules / p.latency_s.value)
    # Errors of operators of one kind go the same way: the ends of their intervals are added.
    ends = [(o.energy_j.low, o.energy_j.high) for o in p.operators if o.energy_j is not None]
    assert (p.energy_j.low, p.energy_j.high) == pytest.approx(tuple(map(sum, zip(*ends, strict=True))))
    fc = p.operators[0]
    assert fc.power_w is not None
    assert fc.energy_j is not None
    assert fc.energy_j.value == pytest.approx(fc.power_w.value * 2 * GEMM_S)
    unknown = run(tiny(), device=toy_device(tdp_w=None))
    assert (unknown.power_w, unknown.energy_j, unknown.operators[0].power_w) == (None, None, None)
    capped = run(tiny(), power_limit_w=10.2)
    assert capped.power_w is not None
    assert 10 <= capped.power_w.low <= capped.power_w.value <= capped.power_w.high <= 10.2


def test_equal_operators_are_predicted_once_and_unlike_ones_apart() -> None:
    calls: list[int] = []

    class Counting(Predictor):
        def predict(self, ops: Any, *args: Any, **options: Any) -> Any:
            calls.append(len(ops))
            return super().predict(ops, *args, **options)

    p = predictor()
    counting = Counting(p.name, p.constants, p.residuals, p.analytical_log_intervals)
    relu = Elementwise(kind="relu", elements=100_000, dtype="bf16")
    nodes = [
        Node("a", GEMM), Node("b", GEMM), Node("c", GEMM, fused=(relu,)), Node("d", GEMM, extra_bytes_read=480_000),
        Node("e", GEMM, count=3),
    ]  # fmt: skip
    result = run(graph(*nodes * 20), counting)
    assert calls == [3]
    each = {o.name: o.latency_each_s.value for o in result.operators}
    # 100,000 FLOPs at ten a clock after the launch of 1,100; 480,000 bytes more at 48 a clock.
    assert each == pytest.approx({"a": GEMM_S, "b": GEMM_S, "c": 11.1e-6, "d": GEMM_S + 10e-6, "e": GEMM_S})
    assert result.latency_s.value == pytest.approx(20 * (2 * GEMM_S + 11.1e-6 + GEMM_S + 10e-6 + 3 * GEMM_S))


def test_unmodelled_operators_are_listed_with_their_share() -> None:
    g = tiny()
    more = graph(*g.nodes, Node("m2", MAGIC, count=3), Node("v", Unmodelled(kind="Voodoo", read=100, dtype="fp32")))
    p = run(more)
    total = 2 * 49152 + 57600 + 4 * 4800 + 100
    assert [dict(u) for u in p.unmodelled] == [
        {"op": "Magic", "count": 4, "bytes_share": pytest.approx(4 * 4800 / total)},
        {"op": "Voodoo", "count": 1, "bytes_share": pytest.approx(100 / total)},
    ]
    assert p.warnings[-1] == "no rule covers 4 x Magic, 1 x Voodoo: estimated as memory traffic (11.0% of the bytes)"
    assert run(graph(Node("fc", GEMM))).unmodelled == ()


def test_warnings_come_once_and_in_order() -> None:
    two = run(tiny(), predictor(residual(log_ratio=(0.1,)))).warnings
    assert two[0] == "the file said so"
    assert two[1] == "no software was given: GEMMs are for the fastest of stack0-1.0"
    narrow = graph(Node("a", GEMM.replace(dtype="fp8")), Node("b", GEMM.replace(dtype="fp8", m=64)))
    assert run(narrow).warnings == ("fp8: toy has no fp8 arithmetic; bf16 ran instead",)
    fp32 = graph(Node("a", GEMM.replace(dtype="fp32")))
    assert run(fp32).warnings == ()  # the toy has no TF32
    (tf32,) = run(fp32, device=toy_device(peak_flops={"bf16": 1.024e12, "fp32": 1e11, "tf32": 5e11})).warnings
    assert "matrix products run in full fp32" in tf32
    # 4,096 weights of 2 bytes do not fit a memory of 8 kB minus one byte.
    assert "more than the" in run(tiny(), device=toy_device(memory_bytes=8191)).warnings[1]


def test_a_graph_of_views_takes_no_time() -> None:
    p = run(
        graph(Node("v", View(dtype="fp32"), ("x",), ("y",)), tensors=(tensor("x", 10), tensor("y", 10)), inputs=("x",))
    )
    assert p.latency_s == Estimate(0, 0, 0)
    assert (p.power_w, p.energy_j, p.utilisation, p.operators) == (None, None, 0, ())
    assert json.loads(json.dumps(p.to_dict()))["peak_memory_bytes"] == 40


# -------------------------------------------------------------------------------------------------------------- memory
def test_peak_memory_is_weights_and_activations() -> None:
    p = run(tiny())
    # x 4,000, y 32,768, z 19,200 while the sum runs; w 8,192.
    assert (p.weights_bytes, p.peak_memory_bytes) == (8192, 8192 + 4000 + 32768 + 19200)
    assert p.memory is not None
    assert (p.memory.peak_node, p.memory.inputs_bytes, p.memory.activations_bytes) == ("sum", 4000, 32768 + 19200)
    assert p.peak_memory_bytes == p.memory.peak_bytes


def test_a_cpu_keeps_what_an_accelerator_overwrites() -> None:
    # y = a + b in a buffer of its own on a CPU; on an accelerator over a.
    g = graph(
        Node("a", ADD, ("x",), ("a",)), Node("b", ADD, ("x",), ("b",)), Node("y", ADD, ("a", "b"), ("y",)),
        Node("z", ADD, ("y",), ("z",)),
        tensors=tuple(tensor(n, 1000) for n in "xabyz"), inputs=("x",), outputs=("z",),
    )  # fmt: skip
    engine, cpu = run(g).memory, run(g, device=toy_device(kind="cpu")).memory
    assert engine is not None
    assert cpu is not None
    assert (engine.activations_bytes, cpu.activations_bytes) == (8000, 12000)


def test_tensors_of_unknown_shape_are_named() -> None:
    g = graph(
        Node("n1", ADD, ("x",), ("mystery",)), tensors=(tensor("x", 25), Tensor("mystery", None, "fp32")), inputs=("x",)
    )
    assert any("'mystery' has an unknown shape: memory leaves it out" in w for w in run(g).warnings)


# ---------------------------------------------------------------------------------------------------------------- cast
@pytest.mark.parametrize(
    ("dtype", "activation"),
    [
        ("bf16", "bf16"), ("fp16", "fp16"), ("fp32", "fp32"), ("fp64", "fp64"), ("tf32", "tf32"), ("fp8", "bf16"),
        ("nvfp4", "bf16"), ("int8", "bf16"), ("int8_sq", "bf16"), ("w4a16", "bf16"), ("w4a8_mxfp4_mxfp8", "bf16"),
    ],
)  # fmt: skip
def test_activations_between_narrow_operators_have_16_bits(dtype: str, activation: str) -> None:
    assert activation_dtype(dtype) == activation


CAST_RULES: list[tuple[Operator, dict[str, Any]]] = [
    (Gemm(m=1, n=1, k=1, dtype="fp32"), {"dtype": "fp8"}),
    (Gemm(m=1, n=1, k=1, dtype="fp32", out_dtype="fp32"), {"dtype": "fp8", "out_dtype": "bf16"}),
    (Gemm(m=1, n=1, k=1, dtype="int8"), {"dtype": "int8"}),  # what is quantised already stays so
    (Conv(c_in=1, c_out=1, h=1, w=1, kernel_h=1, kernel_w=1, dtype="fp16"), {"dtype": "fp8"}),
    (Attention(q_len=1, kv_len=1, heads=1, kv_heads=1, head_dim=1, dtype="fp32", kv_dtype="fp32"),
     {"dtype": "fp8", "kv_dtype": "bf16"}),
    (Elementwise(kind="add", elements=1, dtype="fp32"), {"dtype": "bf16", "out_dtype": None}),
    (Elementwise(kind="less", elements=1, dtype="fp32", out_dtype="bool"), {"dtype": "bf16", "out_dtype": "bool"}),
    (Elementwise(kind="add", elements=1, dtype="int64"), {"dtype": "int64"}),  # index arithmetic
    (Copy(kind="cast", elements=1, dtype="int64", out_dtype="fp32"), {"dtype": "int64", "out_dtype": "fp32"}),
    (Embedding(rows=1, cols=1, dtype="fp32"), {"dtype": "bf16"}),
    # Their arithmetic stays; what they read and write does not.
    (Norm(rows=1, cols=1, dtype="fp32"), {"dtype": "fp32", "io_dtype": "bf16"}),
    (Softmax(rows=1, cols=1, dtype="fp32"), {"dtype": "fp32", "io_dtype": "bf16"}),
    # What is quantised stays so; what it was made from, or is made into, is an activation.
    (Quantize(rows=1, cols=1, dtype="fp32"), {"dtype": "bf16", "out_dtype": "int8"}),
    (Quantize(kind="dequantize", rows=1, cols=1, dtype="fp8", out_dtype="fp32"), {"dtype": "fp8", "out_dtype": "bf16"}),
    (Elementwise(kind="dequantize+add", elements=1, dtype="int8", out_dtype="fp32"), {"dtype": "int8", "out_dtype": "bf16"}),
    (Gemm(m=1, n=1, k=1, dtype="int8", out_dtype="fp32"), {"dtype": "int8", "out_dtype": "bf16"}),
    (Gemm(m=1, n=1, k=1, dtype="fp8_static", out_dtype="fp8"), {"dtype": "fp8_static", "out_dtype": "fp8"}),
]  # fmt: skip


@pytest.mark.parametrize(("op", "expected"), CAST_RULES, ids=str)
def test_what_a_cast_changes(op: Operator, expected: dict[str, Any]) -> None:
    (node,) = cast(graph(Node("n", op)), "fp8").nodes
    assert {name: getattr(node.op, name) for name in expected} == expected
    assert node.op.flops == op.flops


def test_tensors_weights_and_epilogues_are_cast_with_their_operators() -> None:
    relu = Elementwise(kind="relu", elements=16384, dtype="fp32")
    g = graph(
        Node("reshape", View(dtype="fp32"), ("w2",), ("w2v",)),
        Node("fc", GEMM.replace(dtype="fp32"), ("x", "w1"), ("y",), fused=(relu,), extra_bytes_read=512),
        Node("fc2", GEMM.replace(dtype="fp32"), ("y", "w2v"), ("z",)),
        Node("look", Embedding(rows=4, cols=8, dtype="fp32"), ("table", "ids"), ("e",)),
        tensors=(
            tensor("x", 100), tensor("w1", 128, is_weight=True), tensor("w2", 128, is_weight=True), tensor("w2v", 128),
            tensor("y", 100), tensor("z", 100), tensor("table", 100, is_weight=True), tensor("ids", 4, "int64"),
            tensor("e", 32),
        ),
    )  # fmt: skip
    narrow = cast(g, "w4a16")
    stored = {name: t.dtype for name, t in narrow.tensors.items()}
    assert (stored["w1"], stored["w2"]) == ("w4a16", "w4a16")  # the second through its reshape
    assert (stored["table"], stored["x"], stored["z"], stored["ids"]) == ("bf16", "bf16", "bf16", "int64")
    fc = narrow.nodes[1]
    assert (fc.fused[0].dtype, fc.extra_bytes_read) == ("bf16", 256)  # a bias of 128 fp32 values
    # 128 weights of 4.125 bits twice, 100 of 16 bits.
    assert narrow.weights_bytes == 66 + 66 + 200
    assert cast(g, "fp32") == g
    for wrong in ("int64", "bf61"):
        with pytest.raises(DtypeError, match=f"unknown dtype '{wrong}'"):
            cast(g, wrong)


# --------------------------------------------------------------------------------------------------- JSON, predict, compare
ESTIMATE = {"value", "low", "high"}
CONTRACT = {
    "model", "device", "predictor", "latency_s", "power_w", "energy_j", "flops", "flops_executed", "bytes", "weights_bytes",
    "peak_memory_bytes", "utilisation", "operators", "unmodelled", "warnings",
}  # fmt: skip
OPERATOR_CONTRACT = {
    "name", "op", "shape", "dtype", "count", "flops", "bytes", "latency_s", "latency_each_s", "power_w", "energy_j", "bound",
    "source",
}  # fmt: skip


def test_keys_of_the_json() -> None:
    value = json.loads(json.dumps(run(tiny()).to_dict(), allow_nan=False))
    assert set(value) == CONTRACT | {
        "launch_gap_s", "removed_flops", "dims", "dtype_map", "kv_dtype", "memory", "samples", "tokens", "idle_power_w",
        "lowest_idle_power_w", "power_limit_w",
    }  # fmt: skip
    for operator in value["operators"]:
        assert set(operator) == OPERATOR_CONTRACT | {
            "terms_s", "analytical_s", "tile", "algorithm", "workspace_bytes", "power_source", "flops_executed",
            "members",
        }  # fmt: skip
        assert all(set(operator[k]) == ESTIMATE for k in ("latency_s", "latency_each_s", "power_w", "energy_j"))
    assert all(set(u) == {"op", "count", "bytes_share"} for u in value["unmodelled"])
    assert all(set(value[k]) == ESTIMATE for k in ("latency_s", "power_w", "energy_j"))


def test_the_algorithm_and_its_workspace_reach_the_json() -> None:
    op = Conv(batch=64, c_in=256, c_out=256, h=14, w=14, kernel_h=3, kernel_w=3, pad_h=1, pad_w=1, dtype="fp32")
    sizes = {"x": 64 * 256 * 196, "y": 64 * 256 * 196}
    made = graph(
        Node("conv", op, ("x", "w"), ("y",)),
        tensors=(*(tensor(n, e, "fp32") for n, e in sizes.items()), tensor("w", 256 * 256 * 9, "fp32", is_weight=True)),
        inputs=("x",), outputs=("y",),
    )  # fmt: skip
    result = perfmodel.predict(made, "v100-pcie-32gb").to_dict()
    (operator,) = result["operators"]
    assert result["memory"]["workspace_bytes"] == operator["workspace_bytes"]
    assert result["peak_memory_bytes"] == 4 * (2 * 64 * 256 * 196 + 256 * 256 * 9) + operator["workspace_bytes"]
    assert operator["algorithm"] == "winograd_nonfused"
    # 36 matrices: 64·16 tiles of 256 inputs and of 256 outputs, and the filters.
    assert operator["workspace_bytes"] == 36 * 4 * (2 * 64 * 16 * 256 + 256 * 256)
    # An operator with one algorithm has none to name.
    plain = run(tiny()).to_dict()["operators"]
    assert any(o["algorithm"] is None for o in plain)


def batched() -> Graph:
    batch = sympy.Symbol("batch", positive=True, integer=True)
    return graph(
        Node("fc", Gemm(m=batch, n=4096, k=4096, dtype="bf16"), ("x", "w"), ("y",)),
        tensors=(tensor("x", batch * 4096, "bf16"), tensor("w", 4096**2, "bf16", is_weight=True), tensor("y", batch * 4096)),
        inputs=("x",), outputs=("y",),
    )  # fmt: skip


def test_dimensions_are_bound_and_asked_for() -> None:
    p = run(batched(), dims={"batch": np.int64(128)})
    assert (p.flops, p.dims) == (2 * 128 * 4096**2, {"batch": 128})
    json.dumps(p.to_dict())
    with pytest.raises(UnboundDimensionError, match="open dimensions batch"):
        run(batched())
    for wrong in (0, -1, 2**62, 1.5, True, "8", np.array([1, 2])):
        with pytest.raises(InputError, match="the dimension 'batch' is given as"):
            run(batched(), dims={"batch": wrong})


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"fusion": "all"}, "fusion is 'all': known: engine, none"),
        ({"launch": "eagre"}, "launch is 'eagre': did you mean 'eager'"),
        ({"device": "h100"}, "unknown device 'h100'"),
        ({"dtype": "bf61"}, "unknown dtype 'bf61': did you mean 'bf16'"),
        ({"cache": "hot"}, "cache is 'hot': known: cold, filling, rotating"),
        ({"clock_mhz": 0}, "wanted a .*number"),
        ({"power_limit_w": float("nan")}, "wanted a .*number"),
        ({"predictor": "defualt"}, "defualt"),
    ],
)
def test_wrong_options(options: dict[str, Any], message: str) -> None:
    with pytest.raises(InputError, match=message):
        run(tiny(), **options)


def test_a_locked_clock_in_megahertz() -> None:
    # Everything but DRAM takes twice the time at half the clock.
    p = run(graph(Node("fc", GEMM)), clock_mhz=500)
    assert p.latency_s.value == pytest.approx(2 * (1100 + 2048 + 1024) * 1e-9 + 1024e-9)
    for wrong in (0, -1, float("inf"), "fast", 1e9):
        with pytest.raises(InputError, match="clock"):
            run(graph(Node("fc", GEMM)), clock_mhz=wrong)


def test_comparing_ranks_by_latency() -> None:
    devices = ["t4", "h100-sxm", load_device("a100-sxm-80gb")]
    ranked = compare(batched(), devices, dims={"batch": 512}, predictor=predictor(constants=None))
    assert [p.device for p in ranked] == ["h100-sxm", "a100-sxm-80gb", "t4"]
    alone = predict(batched(), "t4", dims={"batch": 512}, predictor=predictor(constants=None))
    assert ranked[-1] == alone
    with pytest.raises(InputError, match="at least one device"):
        compare(batched(), [], dims={"batch": 512})


def test_the_shipped_predictor_on_a_model_of_products() -> None:
    try:
        perfmodel.load("default")
    except InputError as error:
        pytest.skip(f"no shipped predictor: {error}")
    p = perfmodel.predict(batched(), "h100-sxm", dims={"batch": 4096})
    assert [o.source for o in p.operators] == ["learned"]
    # 137 GFLOP at no more than the peak of 989 TFLOP/s, and at no less than a third of it.
    assert 139e-6 < p.latency_s.value < 420e-6
    assert p.latency_s.low < p.latency_s.value < p.latency_s.high
