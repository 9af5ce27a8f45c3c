"""FLOPs of single operators against naive definitions that count every operation one by one.

The operators and their numbers are the node tests of the onnx package. The naive definition must give the numbers that the
test expects, so that what is counted is the operator; then its count must be perfmodel's.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from typing import Any

import brute_force as naive
import brute_force_recurrent as layers
import numpy as np
import onnx
import pytest
from backend_models import Case, node_cases
from brute_force import Tally, numbers, values
from onnx import helper
from onnx_models import model, value

from perfmodel.features import read_onnx

Operands = list[Any]
Definition = Callable[[Operands, dict[str, Any], Case, Tally], np.ndarray | None]


def attributes_of(node: onnx.NodeProto) -> dict[str, Any]:
    found = {a.name: helper.get_attribute_value(a) for a in node.attribute}
    return {k: v.decode() if isinstance(v, bytes) else v for k, v in found.items()}


def operand(operands: Operands, index: int) -> Any:
    return operands[index] if index < len(operands) else None


def counted(operands: Operands, index: int, tally: Tally) -> Any:
    array = operand(operands, index)
    return None if array is None else numbers(array, tally)


# ------------------------------------------------------------------------------------------------- definitions


def matmul(o: Operands, a: dict[str, Any], case: Case, t: Tally) -> np.ndarray:
    return naive.matmul(numbers(o[0], t), numbers(o[1], t), t)


def gemm(o: Operands, a: dict[str, Any], case: Case, t: Tally) -> np.ndarray:
    # The factors are part of the constants by the time that a kernel runs.
    left, right = (x.T if a.get(k) else x for x, k in ((o[0] * a.get("alpha", 1.0), "transA"), (o[1], "transB")))
    out = naive.matmul(numbers(left, t), numbers(right, t), t)
    if operand(o, 2) is None:
        return out
    added = numbers(np.broadcast_to(o[2] * a.get("beta", 1.0), out.shape), t)
    return out + added


def einsum(o: Operands, a: dict[str, Any], case: Case, t: Tally) -> np.ndarray:
    return naive.einsum(a["equation"], [numbers(x, t) for x in o], t)


def conv(o: Operands, a: dict[str, Any], case: Case, t: Tally) -> np.ndarray:
    return naive.conv(numbers(o[0], t), numbers(o[1], t), counted(o, 2, t), a, t)


def conv_transpose(o: Operands, a: dict[str, Any], case: Case, t: Tally) -> None:
    extents = case.outputs[0].shape[2:]
    naive.conv_transpose(numbers(o[0], t), numbers(o[1], t), counted(o, 2, t), a, extents, t)


def pool(kind: str) -> Definition:
    def definition(o: Operands, a: dict[str, Any], case: Case, t: Tally) -> np.ndarray | None:
        chosen = {1: "l1", 2: "l2"}.get(a.get("p", 2), "lp") if kind == "lp" else kind
        out = naive.pool(chosen, numbers(o[0], t), a, t)
        # The mean of a window that reaches into the padding has another divisor, but costs the same.
        return None if kind == "mean" else out

    return definition


def global_pool(kind: str) -> Definition:
    def definition(o: Operands, a: dict[str, Any], case: Case, t: Tally) -> np.ndarray:
        x = numbers(o[0], t)
        out = naive.reduce(kind, x, range(2, x.ndim), t)
        return out.reshape(case.outputs[0].shape)

    return definition


def reduction(kind: str) -> Definition:
    def definition(o: Operands, a: dict[str, Any], case: Case, t: Tally) -> np.ndarray | None:
        rank = o[0].ndim
        axes = a.get("axes") if operand(o, 1) is None else [int(i) for i in o[1]]
        if not axes:
            if a.get("noop_with_empty_axes"):
                axes = []
                if kind in ("sum", "max", "min", "prod", "mean"):
                    return None  # nothing to do
            else:
                axes = range(rank)
        out = naive.reduce(kind, numbers(o[0], t), [i % rank for i in axes] if rank else [], t)
        return out.reshape(case.outputs[0].shape)

    return definition


def searched(o: Operands, a: dict[str, Any], case: Case, t: Tally) -> None:
    naive.reduce("max", numbers(o[0], t), [a.get("axis", 0) % o[0].ndim], t)


def running(kind: str) -> Definition:
    def definition(o: Operands, a: dict[str, Any], case: Case, t: Tally) -> None:
        naive.reduce(kind, numbers(o[0], t), [int(o[1]) % o[0].ndim], t)

    return definition


def softmax(o: Operands, a: dict[str, Any], case: Case, t: Tally, *, log: bool = False) -> np.ndarray:
    moved = np.moveaxis(o[0], a.get("axis", -1), -1)
    out = naive.softmax(numbers(moved.reshape(-1, moved.shape[-1]), t), t, log=log)
    return np.moveaxis(out.reshape(moved.shape), -1, a.get("axis", -1))


def log_softmax(o: Operands, a: dict[str, Any], case: Case, t: Tally) -> np.ndarray:
    return softmax(o, a, case, t, log=True)


def recurrent(kind: str) -> Definition:
    def definition(o: Operands, a: dict[str, Any], case: Case, t: Tally) -> np.ndarray | None:
        x, h0, c0 = o[0], operand(o, 5), operand(o, 6)
        if a.get("layout"):
            x = np.swapaxes(x, 0, 1)
            h0, c0 = (None if s is None else np.swapaxes(s, 0, 1) for s in (h0, c0))
        states = layers.recurrent(
            kind, numbers(x, t), numbers(o[1], t), numbers(o[2], t), t, b=counted(o, 3, t), p=counted(o, 7, t),
            h0=None if h0 is None else numbers(h0, t), c0=None if c0 is None else numbers(c0, t),
            reset_after=bool(a.get("linear_before_reset")), reverse=a.get("direction") == "reverse",
        )  # fmt: skip
        node = onnx.ModelProto.FromString(case.model).graph.node[0]
        if not node.output[0]:
            last = [states[0 if d or a.get("direction") == "reverse" else -1, d] for d in range(states.shape[1])]
            return None if a.get("layout") else np.array(last, dtype=object)
        return np.transpose(states, (2, 0, 1, 3)) if a.get("layout") else states

    return definition


DEFINITIONS: dict[str, Definition] = {
    "MatMul": matmul, "Gemm": gemm, "Einsum": einsum, "Conv": conv, "ConvTranspose": conv_transpose,
    "MaxPool": pool("max"), "AveragePool": pool("mean"), "LpPool": pool("lp"),
    "GlobalMaxPool": global_pool("max"), "GlobalAveragePool": global_pool("mean"),
    "ReduceSum": reduction("sum"), "ReduceMean": reduction("mean"), "ReduceMax": reduction("max"),
    "ReduceMin": reduction("min"), "ReduceProd": reduction("prod"), "ReduceL1": reduction("l1"),
    "ReduceL2": reduction("l2"), "ReduceSumSquare": reduction("sum_square"), "ReduceLogSum": reduction("log_sum"),
    "ReduceLogSumExp": reduction("log_sum_exp"), "ArgMax": searched, "ArgMin": searched,
    "CumSum": running("sum"), "CumProd": running("prod"), "Softmax": softmax, "LogSoftmax": log_softmax,
    "LSTM": recurrent("lstm"), "GRU": recurrent("gru"), "RNN": recurrent("rnn"),
}  # fmt: skip

LARGEST = 100_000
"""Operations beyond which a naive definition would take seconds."""


def _tested() -> list[tuple[Case, onnx.NodeProto]]:
    found = []
    for case in node_cases():
        proto = onnx.ModelProto.FromString(case.model)
        results = [o.size for o in case.outputs if isinstance(o, np.ndarray)]
        if len(proto.graph.node) == 1 and proto.graph.node[0].op_type in DEFINITIONS and results and all(results):
            found.append((case, proto.graph.node[0]))
    return found


@pytest.mark.parametrize("op_type", DEFINITIONS)
def test_node_tests_cost_what_their_definition_counts(op_type: str) -> None:
    """All node tests of one operator."""
    checked, wrong = 0, []
    for case, node in _tested():
        if node.op_type != op_type:
            continue
        graph = read_onnx(case.model)
        ours = graph.total("flops")
        if ours > LARGEST:
            continue
        tally = Tally()
        given = iter(case.inputs)
        operands = [next(given) if name else None for name in node.input]
        result = DEFINITIONS[op_type](operands, attributes_of(node), case, tally)
        if result is not None and operands[0].size:
            expected = np.asarray(case.outputs[0], dtype=np.float64)
            assert np.allclose(values(result), expected, rtol=1e-3, atol=1e-4, equal_nan=True), case.name
        checked += 1
        if tally.flops != ours:
            wrong.append((case.name, ours, tally.flops))
    assert wrong == []
    assert checked


# ------------------------------------------------------------------------- options that the node tests leave out


RECURRENT = [
    ("LSTM", 4, {}, {}),
    ("LSTM", 4, {"direction": "bidirectional"}, {"bias": True}),
    ("LSTM", 4, {"direction": "reverse"}, {"bias": True, "peepholes": True}),
    ("LSTM", 4, {"direction": "bidirectional", "layout": 1}, {"peepholes": True, "lengths": True}),
    ("LSTM", 4, {"activations": ["Relu", "Tanh", "Relu"]}, {"bias": True}),
    ("GRU", 3, {"direction": "bidirectional"}, {"bias": True}),
    ("GRU", 3, {"linear_before_reset": 1}, {"bias": True, "lengths": True}),
    ("GRU", 3, {"linear_before_reset": 1, "layout": 1}, {}),
    ("RNN", 1, {"direction": "bidirectional", "activations": ["Relu", "Tanh"]}, {"bias": True}),
    ("RNN", 1, {"layout": 1}, {}),
]
ACTIVATIONS = {"Relu": layers.relu, "Tanh": layers.tanh, "Sigmoid": layers.sigmoid}


@pytest.mark.parametrize(("op_type", "gates", "attributes", "options"), RECURRENT)
def test_options_of_recurrent_layers(
    op_type: str, gates: int, attributes: dict[str, Any], options: dict[str, bool]
) -> None:
    steps, batch, inputs, hidden = 3, 2, 4, 5
    directions = 2 if attributes.get("direction") == "bidirectional" else 1
    x = (batch, steps, inputs) if attributes.get("layout") else (steps, batch, inputs)
    shapes: list[tuple[str, tuple[int, ...]]] = [
        ("x", x), ("w", (directions, gates * hidden, inputs)), ("r", (directions, gates * hidden, hidden)),
    ]  # fmt: skip
    if options.get("bias"):
        shapes.append(("b", (directions, 2 * gates * hidden)))
    if options.get("lengths"):
        shapes.append(("lengths", (batch,)))
    if options.get("peepholes"):
        shapes.append(("p", (directions, 3 * hidden)))
    order = ["x", "w", "r", "b", "lengths", "h0", "c0", "p"] if op_type == "LSTM" else ["x", "w", "r", "b", "lengths"]
    present = dict(shapes)
    node = helper.make_node(
        op_type, [n if n in present else "" for n in order], ["y"], hidden_size=hidden, **attributes
    )
    inputs_of_model = [value(n, s, onnx.TensorProto.INT32 if n == "lengths" else 1) for n, s in shapes]
    graph = read_onnx(model([node], inputs_of_model, ["y"], opset=22))
    tally = Tally()
    generator = np.random.default_rng(0)
    made = {n: numbers(generator.normal(size=s), tally) for n, s in shapes if n not in ("x", "lengths")}
    layers.recurrent(
        op_type.lower(), numbers(generator.normal(size=(steps, batch, inputs)), tally), made["w"], made["r"], tally,
        b=made.get("b"), p=made.get("p"), reset_after=bool(attributes.get("linear_before_reset")),
        activations=[ACTIVATIONS[name] for name in attributes.get("activations", ())],
    )  # fmt: skip
    assert graph.total("flops") == tally.flops


def test_determinants_cost_an_elimination() -> None:
    size = 5
    graph = read_onnx(model([helper.make_node("Det", ["x"], ["y"])], [value("x", [3, size, size])]))
    tally = Tally()
    for matrix in np.random.default_rng(1).normal(size=(3, size, size)):
        m = numbers(matrix, tally)
        for pivot in range(size):
            for row in range(pivot + 1, size):
                factor = m[row, pivot] / m[pivot, pivot]
                for column in range(pivot + 1, size):
                    m[row, column] = m[row, column] - factor * m[pivot, column]
        result = m[0, 0]
        for pivot in range(1, size):
            result = result * m[pivot, pivot]
        assert result.value == pytest.approx(np.linalg.det(matrix))
    assert graph.total("flops") == tally.flops


def radix_2(signal: Sequence[complex], tally: Tally) -> list[complex]:
    """The fast Fourier transform of Cooley and Tukey; a complex product is 6 operations, a sum 2."""
    if len(signal) == 1:
        return list(signal)
    even, odd = radix_2(signal[::2], tally), radix_2(signal[1::2], tally)
    turned = []
    for k, item in enumerate(odd):
        tally.flops += 6 + 2 * 2
        turned.append(
            item * complex(math.cos(-2 * math.pi * k / len(signal)), math.sin(-2 * math.pi * k / len(signal)))
        )
    return [e + t for e, t in zip(even, turned, strict=True)] + [e - t for e, t in zip(even, turned, strict=True)]


@pytest.mark.parametrize(("parts", "share"), [(2, 1.0), (1, 0.5)])
def test_fourier_transforms_cost_their_butterflies(parts: int, share: float) -> None:
    length, batch = 32, 3
    node = helper.make_node("DFT", ["x", "", "axis"], ["y"])
    axis = helper.make_tensor("axis", onnx.TensorProto.INT64, [], [1])
    graph = read_onnx(model([node], [value("x", [batch, length, parts])], ["y"], [axis], opset=20))
    tally = Tally()
    for signal in np.random.default_rng(2).normal(size=(batch, length)):
        found = radix_2(list(map(complex, signal)), tally)
        assert np.allclose(found, np.fft.fft(signal))
    # Real signals need half of it.
    assert graph.total("flops") == share * tally.flops


@pytest.mark.parametrize("rule", ["linear", "gated", "delta", "gated_delta"])
def test_linear_attention_costs_its_recurrence(rule: str) -> None:
    batch, tokens, heads, kv_heads, key, val = 2, 3, 4, 2, 3, 5
    shapes = {
        "q": (batch, tokens, heads * key),
        "k": (batch, tokens, kv_heads * key),
        "v": (batch, tokens, kv_heads * val),
    }
    names = ["q", "k", "v", ""]
    if "gated" in rule:
        shapes["decay"] = (batch, tokens, kv_heads)
        names.append("decay")
    if "delta" in rule:
        names += [""] * (5 - len(names)) + ["beta"]
        shapes["beta"] = (batch, tokens, kv_heads)
    node = helper.make_node("LinearAttention", names, ["y"], q_num_heads=heads, kv_num_heads=kv_heads, update_rule=rule)
    graph = read_onnx(model([node], [value(n, s) for n, s in shapes.items()], ["y"], opset=27))
    t = Tally()
    random = np.random.default_rng(3)

    def some(*shape: int) -> np.ndarray:
        return numbers(random.normal(size=shape), t)

    scale = naive.Number(0.5, t)
    for _ in range(batch * kv_heads):
        state = some(key, val)
        for _ in range(tokens):
            k, v = some(key), some(val)
            if "gated" in rule:
                forget = some(1)[0].function("exp")
                state = np.array([[s * forget for s in row] for row in state], dtype=object)
            if "delta" in rule:
                rate = some(1)[0]
                held = [naive.dot(zip(k, state[:, j], strict=True), t) for j in range(val)]
                v = [rate * (a - b) for a, b in zip(v, held, strict=True)]
            state = np.array([[state[i, j] + k[i] * v[j] for j in range(val)] for i in range(key)], dtype=object)
            for _ in range(heads // kv_heads):
                q = some(key)
                for j in range(val):
                    naive.dot(zip(q, state[:, j], strict=True), t) * scale
    assert graph.total("flops") == t.flops
