"""The memory plan: hand-counted graphs, what always holds, and a planner by brute force."""

from __future__ import annotations

import random
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from perfmodel.graph import Graph, Node, Tensor
from perfmodel.ops import Attention, Conv, Copy, Elementwise, Gemm, Norm, Reduce, Rnn, Softmax, View
from perfmodel.predict.memory import ENGINE, ONNXRUNTIME_CPU, MemoryPlan, Runtime, placement, plan, plan_on_cpu
from perfmodel.predict.memory.buffers import Buffer
from perfmodel.predict.memory.placement import arena_bytes
from perfmodel.predict.memory.scratch import cpu_scratch_bytes

ADD = Elementwise(kind="add", elements=1, inputs=2, dtype="fp32")
SUM = Reduce(rows=1, cols=1, dtype="fp32")  # never in place
VIEW = View(dtype="fp32")


def tensor(name: str, elements: Any, dtype: str = "fp32", **changes: Any) -> Tensor:
    return Tensor(name, elements if isinstance(elements, tuple) else (elements,), dtype, **changes)


def graph(nodes: tuple[Node, ...], *tensors: Tensor, **changes: Any) -> Graph:
    return Graph("g", {t.name: t for t in tensors}, nodes, **changes)


# ------------------------------------------------------------------------------------------------------------ liveness
CHAIN = (
    Node("n1", ADD, ("x",), ("a",)), Node("view", VIEW, ("a",), ("v",)), Node("n2", ADD, ("v",), ("b",)),
    Node("n3", ADD, ("b",), ("c",)),
)  # fmt: skip
# 100, 200, 200, 300, 40, 60, 1000, 200 bytes; a weight; a view of it; a tensor that nothing is known of.
SIZES = (
    tensor("x", 25), tensor("a", 50), tensor("v", 50), tensor("b", 75), tensor("c", 10), tensor("unread", 15),
    tensor("side", 250), tensor("v2", 50), tensor("w", 9999, is_weight=True), tensor("wv", 9999),
    Tensor("mystery", None, "fp32"),
)  # fmt: skip


@pytest.mark.parametrize(
    ("changes", "peak"),
    [
        ({}, 600),  # x, a (seen through v) and b, while n2 runs
        ({"outputs": ("c", "v")}, 640),  # a stays to the end for v: x + a + b + c
        ({"outputs": ("c", "a", "b")}, 640),
        ({"inputs": ("x", "unread")}, 660),  # 15 values that nothing reads are there all the same
        ({"nodes": (*CHAIN[:2], Node("n2", ADD, ("v",), ("b", "side")), CHAIN[3])}, 1600),  # 250 that nobody reads
        ({"nodes": (*CHAIN[:3], Node("n3", ADD, ("b", "x"), ("c",)))}, 600),
        ({"nodes": (*CHAIN[:2], Node("vv", VIEW, ("v",), ("v2",)), Node("n2", ADD, ("v2",), ("b",)))}, 600),
        ({"nodes": (Node("n1", ADD, ("x", "w"), ("a",)), Node("vw", VIEW, ("w",), ("wv",)))}, 300),
        ({"nodes": (Node("n1", ADD, ("x",), ("mystery",)),)}, 100),
        ({"nodes": ()}, 100),
    ],
)
def test_peak_by_hand(changes: dict[str, Any], peak: float) -> None:
    fields: dict[str, Any] = {"nodes": CHAIN, "inputs": ("x",), "outputs": ("c",), **changes}
    found = plan(Graph("g", {t.name: t for t in SIZES}, **fields))
    assert found.peak_bytes - found.weights_bytes == peak


def test_parts_owners_and_profile() -> None:
    found = plan(graph(CHAIN, *SIZES, inputs=("x",), outputs=("c",)), workspace={"n2": 7.0, "n3": 5.0})
    assert (found.peak_node, found.peak_bytes, found.workspace_bytes) == ("n2", 607, 7)
    assert (found.inputs_bytes, found.activations_bytes, found.outputs_bytes) == (100, 500, 0)
    assert found.profile.tolist() == [300, 300, 607, 445]
    assert [(o.name, o.kind, o.bytes, o.made_by, o.until) for o in found.owners] == [
        ("b", "activation", 300, "n2", None), ("a", "activation", 200, "n1", "n2"), ("x", "input", 100, None, None),
        ("n2", "workspace", 7, "n2", "n2"),
    ]  # fmt: skip
    assert sum(o.share for o in found.owners) == pytest.approx(1)
    assert found.to_dict(profile=True)["profile"][2] == {"node": "n2", "bytes": 607}
    assert "profile" not in found.to_dict()


def test_workspace_needs_one_entry_a_node() -> None:
    g = graph(CHAIN, *SIZES, inputs=("x",), outputs=("c",))
    assert plan(g, workspace=[0, 0, 7, 5]).peak_bytes == plan(g, workspace=np.array([0, 0, 7.0, 5])).peak_bytes == 607
    with pytest.raises(ValueError, match="3 entries; wanted one for each of the 4"):
        plan(g, workspace=[1, 2, 3])


def test_unknown_tensors_are_listed_and_not_counted_as_zero() -> None:
    g = graph(
        (Node("n", ADD, ("x", "u"), ("mystery",)),), *SIZES, Tensor("u", None, "fp32", is_weight=True), inputs=("x",)
    )
    assert plan(g).unknown == ("mystery", "u")


# ------------------------------------------------------------------------------------------------------------ in place
def activations(
    *nodes: Node, runtime: Runtime = ENGINE, in_place: bool = True, outputs: tuple[str, ...] = ("z",)
) -> Any:
    """Peak of the activations alone, in units of a tensor of 100 values; x is given, w and the like are weights."""
    names = {n for node in nodes for n in (*node.inputs, *node.outputs)}
    tensors = [tensor(n, 100, is_weight=n.startswith("w")) for n in names if n not in ("z", "half", "narrow")]
    tensors += [tensor("z", 1), tensor("half", 50), tensor("narrow", 100, "fp16")]
    found = plan(graph(nodes, *tensors, inputs=("x",), outputs=outputs), runtime, in_place=in_place)
    return found.activations_bytes / 400


END = Node("end", SUM, ("y",), ("z",))
MAKE_A = Node("a", SUM, ("x",), ("a",))
MAKE_R = Node("r", SUM, ("x",), ("r",))


@pytest.mark.parametrize(
    ("nodes", "peak"),
    [
        ((MAKE_A, Node("y", ADD, ("a",), ("y",)), END), 1),  # over a
        ((MAKE_A, Node("y", ADD, ("a", "a"), ("y",)), END), 1),
        ((MAKE_A, Node("v", VIEW, ("a",), ("v",)), Node("y", ADD, ("v",), ("y",)), END), 1),  # through a view
        ((MAKE_A, Node("y", ADD, ("a",), ("y",)), Node("end", SUM, ("y", "a"), ("z",))), 2),  # a is needed later
        ((Node("y", ADD, ("x",), ("y",)), END), 1),  # never over the caller's input
        ((Node("y", ADD, ("w", "x"), ("y",)), END), 1),  # nor over a weight
        ((MAKE_A, Node("y", ADD, ("a",), ("half",)), Node("end", SUM, ("half",), ("z",))), 1.5),
        ((MAKE_A, Node("y", ADD, ("a",), ("narrow",)), Node("end", SUM, ("narrow",), ("z",))), 1.5),
        ((MAKE_A, Node("y", SUM, ("a",), ("y",)), END), 2),  # no elementwise kernel
        ((MAKE_A, Node("s", Softmax(rows=1, cols=1, dtype="fp32"), ("a",), ("y",)), END), 2),
        # A residual that dies is added to where it lies; the operands of the product are never overwritten.
        ((MAKE_A, MAKE_R, Node("y", Gemm(m=1, n=1, k=1, dtype="fp32"), ("a", "w", "r"), ("y",), fused=(ADD,)), END), 2),
        ((MAKE_A, Node("y", Gemm(m=1, n=1, k=1, dtype="fp32"), ("a", "w"), ("y",)), END), 2),
        ((MAKE_A, Node("y", Gemm(m=1, n=1, k=1, dtype="fp32"), ("a", "w", "wb"), ("y",), fused=(ADD,)), END), 2),
        ((MAKE_A, MAKE_R, Node("y", Norm(rows=1, cols=1, residual=True, dtype="fp32"), ("a", "r", "w"), ("y", "sum")), END), 3),
    ],
)  # fmt: skip
def test_engines_overwrite_what_dies(nodes: tuple[Node, ...], peak: float) -> None:
    assert activations(*nodes) == peak
    assert activations(*nodes, in_place=False) >= peak


def test_results_never_take_over_an_activation() -> None:
    g = graph((MAKE_A, Node("y", ADD, ("a",), ("y",))), *(tensor(n, 100) for n in "xay"), inputs=("x",), outputs=("y",))
    assert (plan(g).activations_bytes, plan(g).outputs_bytes) == (400, 400)


def test_elements_of_another_width_are_not_overwritten() -> None:
    """As many bytes, but the second result's first half lies where operands are still to be read."""
    tensors = (tensor("x", 100), tensor("a", 100), tensor("y", 200, "fp16"), tensor("z", 1))
    assert plan(graph((MAKE_A, Node("y", ADD, ("a",), ("y",)), END), *tensors, inputs=("x",))).activations_bytes == 800


@pytest.mark.parametrize(("kind", "peak"), [("relu", 1), ("clip", 1), ("tanh", 1), ("add", 2), ("gelu", 2), ("exp", 2)])
def test_cpu_kernels_overwrite_what_their_definition_says(kind: str, peak: float) -> None:
    op = Elementwise(kind=kind, elements=100, dtype="fp32")
    assert activations(MAKE_A, Node("y", op, ("a",), ("y",)), END, runtime=ONNXRUNTIME_CPU) == peak


def test_cpu_buffers_wait_for_a_tensor_of_their_shape() -> None:
    """a is dead after ``half``, but its buffer is kept for c, whose shape it has; an engine frees it."""
    nodes = (
        MAKE_A, Node("h", SUM, ("a",), ("half",)), Node("b", SUM, ("half",), ("b",)), Node("h2", SUM, ("b",), ("h2",)),
        Node("c", SUM, ("h2",), ("y",)), END,
    )  # fmt: skip
    names = {n for node in nodes for n in (*node.inputs, *node.outputs)} - {"half", "h2", "z"}
    tensors = [tensor(n, 100) for n in names] + [tensor("half", 50), tensor("h2", 900), tensor("z", 1)]
    g = graph(nodes, *tensors, inputs=("x",), outputs=("z",))
    assert plan(g, ENGINE).activations_bytes == 400 + 3600  # b and h2
    # b took a's buffer; y takes it again: 400 + 3600, nothing more is kept.
    assert plan(g, ONNXRUNTIME_CPU).activations_bytes == 400 + 3600
    # Without a later tensor of the shape of `half`, its buffer is free again; with one, it waits.
    longer = (*nodes[:5], Node("h3", SUM, ("y",), ("h3",)), Node("end", SUM, ("h3",), ("z",)))
    g = graph(longer, *tensors, tensor("h3", 50), inputs=("x",), outputs=("z",))
    assert plan(g, ENGINE).activations_bytes == 400 + 3600
    assert plan(g, ONNXRUNTIME_CPU).activations_bytes == 400 + 3600 + 200


# --------------------------------------------------------------------------------------------------------------- loops
def test_what_a_loop_reads_lives_to_its_end() -> None:
    """Node 2 and 3 run five times: a is read by the first, and again in every iteration."""
    nodes = (
        MAKE_A, Node("b", SUM, ("a",), ("b",), count=5), Node("c", SUM, ("b",), ("c",), count=5),
        Node("end", SUM, ("c",), ("z",)),
    )  # fmt: skip
    assert activations(*nodes) == 3
    assert activations(*(n.replace(count=1) for n in nodes)) == 2


def test_nothing_in_a_loop_writes_over_what_its_next_iteration_reads() -> None:
    """a is read by all five iterations, the last node of each among them: their result needs memory of its own."""
    nodes = (MAKE_A, Node("b", ADD, ("a", "x"), ("b",), count=5), Node("end", SUM, ("b",), ("z",)))
    assert activations(*nodes) == 2
    assert activations(*(n.replace(count=1) for n in nodes)) == 1
    # After the loop, a is as dead as ever.
    assert activations(*nodes[:2], Node("c", ADD, ("a", "b"), ("c",)), Node("end", SUM, ("c",), ("z",))) == 2


def test_joined_results_of_a_loop_are_no_view() -> None:
    nodes = (
        Node("b", SUM, ("x",), ("b",), count=5), Node("all", VIEW, ("b",), ("all",)), Node("end", SUM, ("all",), ("z",))
    )  # fmt: skip
    g = graph(
        nodes, tensor("x", 1), tensor("b", 100), tensor("all", 500), tensor("z", 1), inputs=("x",), outputs=("z",)
    )
    assert plan(g).activations_bytes == 400 + 2000


# --------------------------------------------------------------------------------------------------------- what holds
@st.composite
def dags(draw: st.DrawFn) -> Graph:
    """Graphs of up to eight nodes with every kind of tensor."""
    sizes = st.integers(1, 9)
    tensors = [tensor("in0", draw(sizes)), tensor("in1", draw(sizes)), tensor("w", draw(sizes), is_weight=True)]
    nodes: list[Node] = []
    for index in range(draw(st.integers(1, 8))):
        names = [t.name for t in tensors]
        read = tuple(draw(st.lists(st.sampled_from(names), min_size=1, max_size=3, unique=True)))
        first = next(t for t in tensors if t.name == read[0])
        op = draw(st.sampled_from((ADD, SUM, VIEW, Elementwise(kind="relu", elements=1, dtype="fp32"))))
        outputs = 1 if op is VIEW else draw(st.integers(1, 2))
        made = []
        for number in range(outputs):
            # Often the size of the operand, so that something can be overwritten.
            size = first.elements if op is VIEW or draw(st.booleans()) else draw(sizes)
            made.append(tensor(f"t{index}_{number}", size))
        nodes.append(Node(f"n{index}", op, read[:1] if op is VIEW else read, tuple(t.name for t in made)))
        tensors += made
    made_names = [n for node in nodes for n in node.outputs]
    outputs_of = tuple(draw(st.lists(st.sampled_from(made_names), min_size=1, max_size=2, unique=True)))
    return graph(tuple(nodes), *tensors, inputs=("in0", "in1"), outputs=outputs_of)


def brute_force(g: Graph) -> float:
    """The most bytes alive at once, counted set by set: at every node, whatever is there and still needed."""

    def source(name: str) -> str:
        for node in g.nodes:
            if isinstance(node.op, View) and name in node.outputs:
                return source(node.inputs[0])
        return name

    def size(name: str) -> float:
        return 0 if g.tensors[name].is_weight else g.tensors[name].bytes

    most = 0.0
    for now in range(len(g.nodes)):
        there = {source(n) for node in g.nodes[: now + 1] for n in node.outputs}
        needed = {source(n) for node in g.nodes[now:] for n in node.inputs} | {source(n) for n in g.outputs}
        written = {source(n) for n in g.nodes[now].outputs}
        alive = (there & needed) | written | set(g.inputs)
        most = max(most, sum(size(n) for n in alive))
    return most


def without_weights(found: MemoryPlan) -> float:
    return found.peak_bytes - found.weights_bytes


@settings(max_examples=80, deadline=None)
@given(dags())
def test_liveness_is_that_of_brute_force(g: Graph) -> None:
    assert without_weights(plan(g, ENGINE, in_place=False)) == brute_force(g)


@settings(max_examples=80, deadline=None)
@given(dags(), st.sampled_from((ENGINE, ONNXRUNTIME_CPU)), st.integers(0, 50))
def test_bounds_that_always_hold(g: Graph, runtime: Runtime, workspace: int) -> None:
    extra = [float(workspace)] * len(g.nodes)
    found = plan(g, runtime, workspace=extra)
    alone = plan(g, ENGINE, workspace=extra, in_place=False)
    sizes = {name: t.bytes for name, t in g.tensors.items()}
    weights = sum(sizes[n] for n in {"w"} & {n for node in g.nodes for n in node.inputs})
    assert found.weights_bytes == weights
    # A node's distinct operands must be there while it runs; what it writes may take their place.
    at_least = max(
        sum(sizes[n] for n in {*node.inputs, *g.inputs} - {"w"} if n in g.inputs or not is_view_of(g, n, node.inputs))
        for node in g.nodes
    )
    assert found.peak_bytes >= at_least + weights
    assert found.peak_bytes <= sum(sizes.values()) + workspace
    if runtime is ENGINE:
        assert found.peak_bytes <= alone.peak_bytes
    assert sum(o.bytes for o in found.owners) <= found.peak_bytes + 1e-9
    assert found.profile.max() == found.peak_bytes
    assert found.arena_bytes is not None
    own = found.activations_bytes + found.outputs_bytes + found.kv_cache_bytes + found.workspace_bytes
    assert found.arena_bytes >= own


def is_view_of(g: Graph, name: str, others: tuple[str, ...]) -> bool:
    """Whether a tensor is a view, or another operand may be a view of it: then the two share memory."""
    views = [node for node in g.nodes if isinstance(node.op, View)]
    return any(name in (*v.outputs, *v.inputs) for v in views) and len(others) > 0


@settings(max_examples=60, deadline=None)
@given(dags(), st.randoms(use_true_random=False))
def test_the_order_in_which_tensors_are_listed_does_not_matter(g: Graph, rng: random.Random) -> None:
    names = list(g.tensors)
    rng.shuffle(names)
    shuffled = Graph(g.name, {n: g.tensors[n] for n in names}, g.nodes, g.inputs[::-1], g.outputs[::-1])
    for runtime in (ENGINE, ONNXRUNTIME_CPU):
        assert plan(g, runtime).profile.tolist() == plan(shuffled, runtime).profile.tolist()


# ----------------------------------------------------------------------------------------------------------- placement
def test_a_hole_is_filled_by_what_fits_best() -> None:
    def buffer(size: float, first: int, last: int) -> Buffer:
        return Buffer(size, "activation", first, last, [(first, "t")])

    # 512 and 256 bytes are freed at either side of what stays; 200 bytes go into the smaller hole, 300 into the larger.
    fixed = [buffer(512, 0, 1), buffer(100, 0, 9), buffer(256, 0, 1), buffer(1, 0, 9)]
    assert arena_bytes(fixed, 256) == 256 + 256 + 512 + 256
    assert arena_bytes([*fixed, buffer(200, 2, 3), buffer(300, 2, 3)], 256) == 1280
    # 520 bytes fit none: they come after the end.
    assert arena_bytes([*fixed, buffer(520, 2, 3)], 256) == 1280 + 768


@settings(max_examples=100, deadline=None)
@given(st.lists(st.tuples(st.integers(1, 2000), st.integers(0, 12), st.integers(0, 6)), min_size=1, max_size=20))
def test_an_arena_holds_what_is_alive(rows: list[tuple[int, int, int]]) -> None:
    buffers = [Buffer(float(s), "activation", f, f + n, [(f, "t")]) for s, f, n in rows]
    rounded = [-(-s // 256) * 256 for s, _, _ in rows]
    live = [sum(r for r, b in zip(rounded, buffers, strict=True) if b.first <= now <= b.last) for now in range(20)]
    found = arena_bytes(buffers, 256)
    assert found is not None
    assert max(live) <= found <= sum(rounded)


# ------------------------------------------------------------------------------------------------------------- scratch
# 2 sequences, 4 heads, 3 x 5 scores.
ENCODER = Attention(phase="encoder", batch=2, q_len=3, kv_len=5, heads=4, kv_heads=4, head_dim=8, dtype="fp32")


@pytest.mark.parametrize(
    ("node", "expected"),
    [
        # 2x3 and 2x1 operands, a condition of 3: both selections have 6 elements; against a scalar only 3.
        (Node("n", Elementwise(kind="where", elements=6, dtype="fp32"), ("c3", "m23", "m21")), 4 * (6 + 6)),
        (Node("n", Elementwise(kind="where", elements=6, dtype="fp32"), ("c3", "m23", "one")), 4 * (6 + 3)),
        # 8 channels out, kernel 2x2, 5x5 in: one image's columns.
        (
            Node("n", Conv(transposed=True, batch=7, c_in=4, c_out=8, h=5, w=5, kernel_h=2, kernel_w=2, dtype="fp32")),
            4 * 8 * 4 * 25,
        ),
        (Node("n", ENCODER), 4 * 120),
        (Node("n", Rnn(kind="lstm", batch=2, seq_len=3, input_size=9, hidden_size=5, dtype="fp32")), 480),
        # Two directions: 40 gates; 9 inputs and 5 results in reverse; 6 steps of sequences.
        (
            Node("n", Rnn(kind="lstm", batch=2, seq_len=3, input_size=9, hidden_size=5, directions=2, dtype="fp32")),
            4 * 6 * (40 + 14),
        ),
        (Node("n", ADD, ("m23",)), 0),
    ],
)  # fmt: skip
def test_scratch_of_cpu_kernels(node: Node, expected: float) -> None:
    g = graph((), tensor("c3", 3, "bool"), tensor("m23", (2, 3)), tensor("m21", (2, 1)), tensor("one", ()))
    assert cpu_scratch_bytes(g, node) == expected


def test_scratch_counts_at_the_peak() -> None:
    op = Attention(phase="encoder", q_len=10, kv_len=10, heads=1, kv_heads=1, head_dim=1, dtype="fp32")
    g = graph((Node("a", op, ("x",), ("y",)),), tensor("x", 10), tensor("y", 10), inputs=("x",), outputs=("y",))
    assert (plan_on_cpu(g).workspace_bytes, plan_on_cpu(g).peak_bytes) == (400, 480)


# ------------------------------------------------------------------------------------------------------------ kv cache
def decoder(op: str, *, returned: bool = True) -> Graph:
    """One layer's keys: 2 sequences, 3 heads, 6 past tokens and 1 new one, 4 features: 144 elements past, 168 present."""
    past, new = tensor("past", (2, 3, 6, 4), "fp16"), tensor("k", (2, 3, 1, 4), "fp16")
    present = tensor("now", (2, 3, 7, 4), "fp16")
    attention = Attention(phase="decode", batch=2, q_len=1, kv_len=7, heads=3, kv_heads=3, head_dim=4, dtype="fp16")
    nodes: tuple[Node, ...] = (
        Node("join", Copy(kind=op, elements=168, dtype="fp16"), ("past", "k"), ("now",)),
        Node("attend", attention, ("q", "now", "now"), ("y",)),
    )
    if op == "attention":
        nodes = (Node("attend", attention, ("q", "k", "past"), ("y", "now")),)
    return graph(
        nodes, past, new, present, tensor("q", (2, 3, 1, 4), "fp16"), tensor("y", 24, "fp16"), inputs=("q", "k", "past"),
        outputs=("y", "now") if returned else ("y",), input_axes={"past": ("batch", None, "past_len", None)},
    )  # fmt: skip


@pytest.mark.parametrize("op", ["cache_append", "concat", "attention"])
def test_caches_are_told_by_what_is_done_with_them(op: str) -> None:
    found = plan(decoder(op))
    assert found.kv_cache is not None
    # 168 elements of 2 bytes; a token of one sequence is 3 heads of 4 features.
    assert (found.kv_cache.bytes, found.kv_cache.tokens, found.kv_cache.bytes_per_token) == (336, 7, 24)
    assert found.kv_cache.grows_with == {"batch": 168, "past_len": 48}
    # An engine appends: the past lies inside the present. A CPU runtime has both.
    assert found.kv_cache_bytes == 336
    assert plan(decoder(op), ONNXRUNTIME_CPU).kv_cache_bytes == 288 + 336
    assert found.inputs_bytes == 2 * 48  # q and the new keys


def test_what_is_no_cache() -> None:
    assert plan(decoder("concat", returned=False)).kv_cache is None  # a concatenation that the model keeps to itself
    assert (
        plan(decoder("cache_append", returned=False)).kv_cache is not None
    )  # attention reads it from an engine's cache
    streaming = graph(
        (Node("join", Copy(kind="concat", elements=9, dtype="fp32"), ("state", "x"), ("new",)),),
        tensor("state", (2, 3)), tensor("x", (2, 1)), tensor("new", (2, 4)), inputs=("state", "x"), outputs=("new",),
    )  # fmt: skip
    assert plan(streaming).kv_cache is None  # a matrix has no heads, tokens and features


def test_what_is_longer_than_the_present_is_no_past() -> None:
    g = decoder("attention")
    longer = {**g.tensors, "past": tensor("past", (2, 3, 9, 4), "fp16")}
    found = plan(Graph("g", longer, g.nodes, g.inputs, g.outputs, input_axes=g.input_axes)).kv_cache
    assert found is not None
    assert (found.bytes, found.grows_with) == (336, {})


def test_keys_that_attention_reads_and_the_model_returns_start_a_cache() -> None:
    op = Attention(
        phase="prefill", batch=1, q_len=5, kv_len=5, heads=2, kv_heads=2, head_dim=4, causal=True, dtype="fp16"
    )
    made = [Node(n, SUM, ("x",), (n,)) for n in "qkv"]
    g = graph(
        (*made, Node("attend", op, ("q", "k", "v"), ("y",))), tensor("x", 40, "fp16"),
        *(tensor(n, (1, 2, 5, 4), "fp16") for n in "qkvy"), inputs=("x",), outputs=("y", "k", "v"),
    )  # fmt: skip
    found = plan(g).kv_cache
    assert found is not None
    assert (found.bytes, found.tensors, found.tokens, found.bytes_per_token) == (160, 2, 5, 32)


def test_keys_and_values_in_one_tensor_have_their_sequences_along_the_second_axis() -> None:
    """``com.microsoft.Attention``: keys and values, 3 sequences, 4 heads, 11 tokens, 8 numbers of 2 bytes."""
    op = Attention(phase="decode", batch=3, q_len=1, kv_len=11, heads=4, kv_heads=4, head_dim=8, dtype="fp16")
    tensors = (
        tensor("q", (3, 1, 96), "fp16"), tensor("past", (2, 3, 4, 10, 8), "fp16"),
        tensor("present", (2, 3, 4, 11, 8), "fp16"), tensor("y", (3, 1, 32), "fp16"),
    )  # fmt: skip
    node = Node("attention", op, ("q", "past"), ("y", "present"))
    cache = plan(graph((node,), *tensors, inputs=("q", "past"), outputs=("y", "present"))).kv_cache
    assert cache is not None
    assert (cache.bytes, cache.tokens, cache.bytes_per_token) == (2 * 3 * 4 * 11 * 8 * 2, 11, 2 * 4 * 8 * 2)


# ------------------------------------------------------------------------------------------------------------ linearity
def test_a_long_graph_is_no_trouble() -> None:
    nodes = tuple(Node(f"n{i}", SUM, (f"t{i}",), (f"t{i + 1}",)) for i in range(5000))
    g = graph(nodes, *(tensor(f"t{i}", 10) for i in range(5001)), inputs=("t0",), outputs=("t5000",))
    for runtime in (ENGINE, ONNXRUNTIME_CPU):
        found = plan(g, runtime)
        assert (found.peak_bytes, found.activations_bytes) == (40 + 80, 80)


def test_too_many_live_buffers_have_no_placement(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(placement, "MAX_STEPS", 54)
    rows = [Buffer(1.0, "activation", 0, 1, [(0, "t")]) for _ in range(10)]
    assert arena_bytes(rows, 256) is None  # 1 + 2 + ... + 10 = 55
    assert arena_bytes(rows[:9], 256) == 9 * 256
