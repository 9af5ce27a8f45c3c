"""``--dtype-map``: which key decides, what is refused, and what conversions between formats cost; bytes by hand."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import onnx
import pytest
from fusion_graphs import Builder
from hypothesis import given
from hypothesis import strategies as st
from onnx import helper
from onnx_models import FLOAT16, model, value, weight

from perfmodel.errors import DtypeError, InputError, PerfmodelError
from perfmodel.features import read_onnx
from perfmodel.graph import Graph, Node, Tensor
from perfmodel.ops import Attention, Copy, Embedding, Gemm, Norm
from perfmodel.predict import compare, predict
from perfmodel.predict.cast import cast
from perfmodel.predict.dtype_map import Matcher, parse


def block(dtype: str = "fp32") -> Graph:
    """norm → q, k, v (32 x 32) → attention → norm → head (32 x 100), for 8 tokens; the head's weight was transposed."""
    b = Builder(dtype)
    x = b.input(8, 32)
    names: dict[str, str] = {}

    def add(name: str, op: Any, inputs: tuple[str, ...], shape: tuple[int, ...]) -> str:
        out = b.node(op, inputs, shape)[0]
        b.nodes[-1] = b.nodes[-1].replace(name=name, members=(name,))
        names[name] = out
        return out

    def gemm(name: str, x: str, n: int) -> str:
        w = b.weight(32, n)
        b.tensors[w] = Tensor(w, (32, n), dtype, is_weight=True, source=f"{name}.weight")
        return add(name, Gemm(m=8, n=n, k=32, dtype=dtype), (x, w), (8, n))

    norm = Norm(kind="rmsnorm", rows=8, cols=32, dtype=dtype)
    y = add("block/norm", norm, (x, b.weight(32)), (8, 32))
    q, k, v = (gemm(f"block/{n}", y, 32) for n in "qkv")
    attention = Attention(batch=1, q_len=8, kv_len=8, heads=4, kv_heads=4, head_dim=8, dtype=dtype)
    z = add("block/attention", attention, (q, k, v), (8, 32))
    z = add("norm", norm, (z, b.weight(32)), (8, 32))
    out = gemm("lm_head/MatMul", z, 100)
    return Graph("block", b.tensors, tuple(b.nodes), tuple(b.inputs), (out,))


def formats(graph: Graph) -> dict[str, str]:
    return {n.name: n.op.dtype for n in graph.nodes}


def node(graph: Graph, name: str) -> Node:
    return next(n for n in graph.nodes if n.name == name)


# --------------------------------------------------------------------------------------------------- which key decides
@pytest.mark.parametrize("order", [1, -1])
def test_the_most_specific_key_decides(order: int) -> None:
    mapping = dict(
        list({"gemm": "w4a16", "*lm_head*": "bf16", "block/*": "fp8", "block/q": "int8", "*/k": "w3a16"}.items())[
            ::order
        ]
    )
    after = formats(cast(block(), "bf16", mapping))
    assert after["block/q"] == "int8"  # a name before every pattern
    assert after["block/v"] == "fp8"  # a pattern before a family; attention matches it, too
    assert after["block/attention"] == "fp8"
    assert after["block/k"] == "fp8"  # six literal characters before two
    assert after["lm_head/MatMul"] == "bf16"


def test_of_equal_patterns_the_later_decides() -> None:
    assert formats(cast(block(), "bf16", {"*/q": "int8", "b*q": "fp8"}))["block/q"] == "fp8"
    assert formats(cast(block(), "bf16", {"b*q": "fp8", "*/q": "int8"}))["block/q"] == "int8"


def test_what_no_key_names_runs_as_dtype_says() -> None:
    after = formats(cast(block(), "bf16", {"attention": "fp8"}))
    assert {d for n, d in after.items() if n not in ("block/attention", "block/norm", "norm")} == {"bf16"}
    assert (after["block/attention"], after["norm"]) == ("fp8", "fp32")
    assert formats(cast(block(), None, {"attention": "bf16"}))["block/q"] == "fp32"


def test_a_weight_that_the_reader_folded_is_found_under_its_first_name() -> None:
    assert formats(cast(block(), "bf16", {"lm_head*.weight": "int8"}))["lm_head/MatMul"] == "int8"


def test_the_reader_remembers_the_name_of_a_weight_that_it_transposes() -> None:
    nodes = [
        helper.make_node("Transpose", ["head.weight"], ["t"], perm=[1, 0]),
        helper.make_node("Cast", ["t"], ["c"], to=onnx.TensorProto.FLOAT),
        helper.make_node("MatMul", ["x", "c"], ["y"], name="product"),
    ]
    proto = model(nodes, [value("x", [8, 32])], ["y"], [weight("head.weight", [100, 32], FLOAT16)])
    graph = read_onnx(proto)
    assert graph.tensors["c"].source == "head.weight"
    assert graph.tensors["x"].source is None
    # The input is the model's own, in fp32: a kernel casts it.
    assert formats(cast(graph, None, {"head.*": "w4a16"})) == {"x@bf16": "fp32", "product": "w4a16"}


def test_what_was_asked_for_is_said() -> None:
    mapping = {"attention": "fp8", "lm_head*": "w4a16"}
    p = predict(block(), "h100-sxm", dtype="bf16", dtype_map=mapping, predictor="analytical")
    assert p.to_dict()["dtype_map"] == mapping
    assert {o.name: o.dtype for o in p.operators if o.op != "norm"} == {
        "block/q": "bf16", "block/k": "bf16", "block/v": "bf16", "block/attention": "fp8", "lm_head/MatMul": "w4a16",
    }  # fmt: skip
    both = compare(block(), ["h100-sxm", "l40s"], dtype="bf16", dtype_map=mapping, predictor="analytical")
    assert [q.dtype_map for q in both] == [mapping, mapping]
    assert {q.latency_s.value for q in both} > {p.latency_s.value}


# ------------------------------------------------------------------------------------------------------- what is refused
@pytest.mark.parametrize(
    ("mapping", "message"),
    [
        ({"lm_haed/*": "bf16"}, "dtype_map: 'lm_haed/*' matches no operator: did you mean 'lm_head/MatMul'"),
        ({"atention": "bf16"}, "dtype_map: 'atention' matches no operator: did you mean 'attention'"),
        ({"zzz?": "bf16"}, "'zzz?' matches no operator; they are called, for example, 'block/q', "),
        ({"norm": "bf16"}, "norm keeps its arithmetic; formats are for gemm, conv, attention, moe, rnn, or for names"),
        ({"block/norm": "bf16"}, "'block/norm' matches only operators that multiply no floating matrices"),
        ({"gemm": "bf61"}, "dtype_map, key 'gemm': unknown dtype 'bf61': did you mean 'bf16'"),
        ({"gemm": "uint8"}, "dtype_map, key 'gemm': unknown dtype 'uint8'"),
        ({"": "bf16"}, "dtype_map has the key ''; wanted"),
        ({1: "bf16"}, "dtype_map has the key 1; wanted"),
        ([("gemm", "bf16")], "dtype_map is a list; wanted a mapping"),
        ({str(i): "bf16" for i in range(1001)}, "dtype_map has 1,001 keys; at most 1,000 are read"),
    ],
)  # fmt: skip
def test_maps_that_are_refused(mapping: Any, message: str) -> None:
    with pytest.raises((InputError, DtypeError)) as error:
        cast(block(), "bf16", mapping)
    assert message in str(error.value)
    assert "\n" not in str(error.value)


def test_a_family_that_the_model_lacks_is_a_warning() -> None:
    after = cast(block(), "bf16", {"moe": "fp8", "gemm": "fp8"})
    assert after.warnings == ("dtype_map: the model has no moe operator whose format can be chosen",)


def test_a_key_that_others_outdo_is_no_mistake() -> None:
    assert cast(block(), None, {"gemm": "bf16", "*q": "bf16", "*k": "bf16", "*v": "bf16", "lm*": "bf16"}).warnings == ()


def test_pairs_and_files(tmp_path: Path) -> None:
    file = tmp_path / "map.toml"
    file.write_text('attention = "fp8"\n"*/lm_head/*" = "bf16"\n')
    assert parse([str(file), "gemm = w4a16 , a=b/c=int8,"]) == {
        "attention": "fp8", "*/lm_head/*": "bf16", "gemm": "w4a16", "a=b/c": "int8",
    }  # fmt: skip


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("gemm", "--dtype-map 'gemm': wanted KEY=DTYPE, as in gemm=w4a16"),
        ("=fp8", "wanted KEY=DTYPE"), ("gemm=", "wanted KEY=DTYPE"), (",,", "--dtype-map ',,' holds nothing"),
        ("gemm=fp8,gemm=bf16", "--dtype-map gives 'gemm' twice: 'fp8' and 'bf16'"),
        ("absent.toml", "--dtype-map absent.toml: cannot be read: No such file"),
    ],
)  # fmt: skip
def test_texts_that_are_refused(text: str, message: str) -> None:
    with pytest.raises(InputError) as error:
        parse([text])
    assert message in str(error.value)


@pytest.mark.parametrize(
    ("content", "message"),
    [
        (b"gemm = 8\n", "'gemm' is a int; wanted lines"), (b'[a]\nb = "fp8"\n', "'a' is a dict"), (b"gemm", "not TOML"),
        (b"\xff", "not TOML"),
        (b"a" + b".a" * 1500 + b' = "fp8"', "line 1 has 1,500 dots; at most 40 are read"),
        (b"#" * 1_000_001, "at most 1,000,000 bytes"),
    ],
)  # fmt: skip
def test_files_that_are_refused(tmp_path: Path, content: bytes, message: str) -> None:
    file = tmp_path / "map.toml"
    file.write_bytes(content)
    with pytest.raises(InputError) as error:
        parse([str(file)])
    assert message in str(error.value)
    assert "\n" not in str(error.value)


@given(st.dictionaries(st.text(max_size=8), st.sampled_from(["bf16", "w4a16", "x"]), max_size=3))
def test_any_map_is_applied_or_refused_in_one_line(mapping: dict[str, str]) -> None:
    message = ""
    try:
        cast(block(), "bf16", mapping)
    except PerfmodelError as error:
        message = str(error)
    assert "\n" not in message


@given(st.text(alphabet="ab*?[]!/", max_size=6), st.text(alphabet="ab/", max_size=6))
def test_a_pattern_is_compared_as_shells_do(pattern: str, name: str) -> None:
    import fnmatch

    if pattern:
        found = Matcher({pattern: "bf16"}).key_for("gemm", (name,)) is not None
        assert found == fnmatch.fnmatchcase(name, pattern)


# ------------------------------------------------------------------------------------------- conversions, bytes by hand
def test_one_format_for_all_needs_no_conversion() -> None:
    by_map = cast(block(), "bf16", {"gemm": "bf16", "attention": "bf16"})
    plain = cast(block(), "bf16")
    assert (by_map.nodes, by_map.tensors) == (plain.nodes, plain.tensors)


def test_weights_take_the_format_of_their_operator() -> None:
    after = cast(block(), "bf16", {"gemm": "w4a16", "*lm_head*": "int8"})
    # Three of 32 x 32 in 4.125 bits, 32 x 100 bytes, and the parameters of two norms in bf16.
    assert after.weights_bytes == 3 * 1024 * 4.125 / 8 + 3200 + 2 * 32 * 2


def test_a_maker_writes_what_its_only_reader_wants() -> None:
    before, after = cast(block(), None), cast(block(), None, {"*lm_head*": "bf16"})
    # The norm writes 8 x 32 in bf16 instead of fp32; the head reads those and bf16 weights, and writes fp32 like the rest.
    assert node(before, "norm").bytes - node(after, "norm").bytes == 8 * 32 * 2
    head = node(after, "lm_head/MatMul")
    assert head.op == Gemm(m=8, n=100, k=32, dtype="bf16", out_dtype="fp32")
    assert head.bytes == 8 * 32 * 2 + 32 * 100 * 2 + 8 * 100 * 4
    assert len(after.nodes) == len(before.nodes)
    assert after.tensors[after.outputs[0]].dtype == "fp32"


def test_readers_that_disagree_need_a_kernel() -> None:
    after = cast(block(), None, {"block/q": "bf16", "block/k": "w4a16"})
    casts = [n for n in after.nodes if isinstance(n.op, Copy)]
    # v reads fp32, so that the norm writes that; q and k share one cast of 8 x 32 elements.
    assert [(n.op.kind, n.op.dtype, n.op.out_dtype, n.bytes) for n in casts] == [("cast", "fp32", "bf16", 8 * 32 * 6)]
    (copied,) = casts[0].outputs
    assert [node(after, f"block/{n}").inputs[0] == copied for n in "qkv"] == [True, True, False]
    assert after.tensors[copied].dtype == "bf16"
    assert list(after.nodes).index(casts[0]) < list(after.nodes).index(node(after, "block/q"))


def test_an_input_of_the_model_keeps_its_format() -> None:
    b = Builder()
    x = b.input(8, 32)
    y = b.linear(x, 16, bias=False)
    after = cast(b.graph(y), None, {"gemm": "bf16"})
    assert [n.op.op for n in after.nodes] == ["copy", "gemm"]
    assert (after.tensors[x].dtype, after.tensors[y].dtype) == ("fp32", "fp32")


def test_attention_without_an_output_format_of_its_own_writes_that_of_its_neighbours() -> None:
    wide, narrow = cast(block(), "fp32"), cast(block(), "fp32", {"attention": "bf16"})
    # Q, K and V in bf16, written so by their GEMMs; 8 x 32 results in fp32.
    assert node(narrow, "block/attention").bytes == 3 * 8 * 32 * 2 + 8 * 32 * 4
    assert node(wide, "block/q").bytes - node(narrow, "block/q").bytes == 8 * 32 * 2


def test_formats_of_eight_bits_read_what_is_there() -> None:
    after = cast(block("fp16"), None, {"gemm": "fp8", "attention": "int8"})
    assert not [n for n in after.nodes if isinstance(n.op, Copy)]
    assert node(after, "norm").extra_bytes_read == 0
    assert {t.dtype for n, t in after.tensors.items() if not t.is_weight} == {"fp16"}


def test_a_residual_is_read_as_it_is_stored() -> None:
    b = Builder()
    x = b.input(8, 32)
    y = b.linear(x, 32, bias=False)  # made in fp32, read in bf16 by the next product and as it is by the sum
    z = b.linear(y, 32, bias=False)
    total = b.ew("add", z, y)
    before, after = b.graph(total), cast(b.graph(total), None, {b.nodes[1].name: "bf16"})
    assert after.nodes[0].op.replace(out_dtype=None) == before.nodes[0].op
    assert after.tensors[y].dtype == "bf16"
    assert before.nodes[2].bytes - after.nodes[2].bytes == 8 * 32 * 2


def test_two_readers_of_one_weight_in_two_formats_store_it_twice() -> None:
    b = Builder("bf16")
    x, w = b.input(8, 32), b.weight(32, 32)
    op = Gemm(m=8, n=32, k=32, dtype="bf16")
    y = b.node(op, (x, w), (8, 32))[0]
    z = b.node(op, (y, w), (8, 32))[0]
    after = cast(b.graph(z), None, {b.nodes[1].name: "w4a16"})
    assert after.weights_bytes == 1024 * 2 + 1024 * 4.125 / 8


def test_a_table_that_embedding_and_head_share_is_stored_twice() -> None:
    b = Builder("bf16")
    table = b.weight(100, 32)
    x = b.node(Embedding(rows=8, cols=32, dtype="bf16"), (table, b.input(8, dtype="int64")), (8, 32), dtype="bf16")[0]
    turned = b.view(table, 32, 100)
    y = b.node(Gemm(m=8, n=100, k=32, dtype="bf16"), (x, turned), (8, 100))[0]
    for dtype in (None, "bf16"):
        after = cast(b.graph(y), dtype, {"gemm": "w4a16"})
        assert after.weights_bytes == 3200 * 2 + 3200 * 4.125 / 8
        assert after.tensors[after.nodes[-1].inputs[1]].shape == (100, 32)


def test_products_of_activations_have_no_weights_to_narrow() -> None:
    b = Builder("bf16")
    x, y = b.linear(b.input(8, 32), 32), b.linear(b.input(8, 32), 32)
    z = b.matmul(x, b.transpose(y, 1, 0))
    after = cast(b.graph(z), "w4a16")
    assert [n.op.dtype for n in after.nodes if isinstance(n.op, Gemm)] == ["w4a16", "w4a16", "bf16"]
    assert formats(cast(block(), "w4a8"))["block/attention"] == "bf16"
    assert formats(cast(block(), "w4a32"))["block/attention"] == "fp32"
    assert formats(cast(block(), "fp8"))["block/attention"] == "fp8"


@given(st.dictionaries(st.sampled_from(["gemm", "attention", "*/q", "*/k", "lm*"]), st.sampled_from(
    ["fp32", "tf32", "fp16", "bf16", "fp8", "w4a16", "w8a32", "int8", "mxfp6"]), max_size=5),
    st.sampled_from([None, "fp32", "bf16", "fp8"]))  # fmt: skip
def test_every_operand_is_in_a_format_that_its_operator_takes(mapping: dict[str, str], dtype: str | None) -> None:
    after = cast(block(), dtype, mapping)
    made = set(after.inputs) | {n for n, t in after.tensors.items() if t.is_weight}
    for n in after.nodes:
        assert made.issuperset(n.inputs)
        made.update(n.outputs)
        assert n.bytes > 0
        if n.op.op in ("gemm", "attention"):
            wide = n.op.dtype in ("fp32", "tf32", "w8a32")
            operands = n.inputs[: 3 if n.op.op == "attention" else 1]
            assert {after.tensors[i].dtype in ("fp32", "tf32") for i in operands} == {wide} or not mapping
    assert after.tensors[after.outputs[0]].dtype == cast(block(), dtype).tensors[after.outputs[0]].dtype
