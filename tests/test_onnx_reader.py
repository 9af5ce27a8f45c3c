"""The ONNX reader: dimensions, shapes, what an engine folds, control flow, weights that are never loaded."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import numpy as np
import onnx
import pytest
from onnx import helper
from onnx_models import BOOL, FLOAT16, INT64, constant, model, single, value, weight

from perfmodel import ops
from perfmodel.errors import InputError, ModelFileError, UnboundDimensionError
from perfmodel.features import model_dims, read_onnx
from perfmodel.graph import Graph

node = helper.make_node


def kinds(graph: Graph) -> list[str]:
    return [n.source_op for n in graph.nodes]


def light_models() -> list[Path]:
    folder = Path(onnx.__file__).parent / "backend" / "test" / "data" / "light"
    return sorted(folder.glob("light_*.onnx"))


def test_there_are_nine_light_models() -> None:
    assert len(light_models()) == 9


# Millions of parameters as their papers or model zoos give them.
LIGHT_PARAMETERS = {
    "light_bvlc_alexnet": 61.0, "light_densenet121": 8.0, "light_inception_v1": 7.0, "light_inception_v2": 11.2,
    "light_resnet50": 25.6, "light_shufflenet": 1.4, "light_squeezenet": 1.24, "light_vgg19": 143.7,
    "light_zfnet512": 87.3,
}  # fmt: skip


@pytest.mark.parametrize("path", light_models(), ids=lambda p: p.stem)
def test_light_models_are_read_whole(path: Path) -> None:
    graph = read_onnx(path)
    unmodelled = sum(n.bytes for n in graph.nodes if isinstance(n.op, ops.Unmodelled))
    assert unmodelled < 0.01 * graph.total("bytes")
    assert graph.weights_bytes == pytest.approx(4e6 * LIGHT_PARAMETERS[path.stem], rel=0.03)
    assert graph.warnings == ()


# --------------------------------------------------------------------------------------------- dimensions


def test_dimensions_are_named_as_the_file_names_them() -> None:
    inputs = [value("ids", ["batch", "seq"], INT64), value("image", [None, 3, "?", "image width"])]
    nodes = [node("Relu", ["image"], ["y"]), node("Identity", ["ids"], ["z"])]
    proto = model(nodes, inputs, ["y", "z"])
    assert model_dims(proto) == ("batch", "seq", "image_0", "image_2", "image_width")
    dims = {"batch": 2, "seq": 3, "image_0": 4, "image_2": 5, "image width": 6}  # as the file or as an identifier
    assert read_onnx(proto, dims=dims).tensors["y"].shape == (4, 3, 5, 6)


def test_names_that_differ_in_odd_characters_are_two_dimensions() -> None:
    """``a b`` is not ``a_b``, and an axis without a name is not the dimension that the file calls like it."""
    inputs = [value("x", ["a b", None]), value("z", ["a_b", "x_1"])]
    proto = model([node("Relu", ["x"], ["y"]), node("Relu", ["z"], ["w"])], inputs, ["y", "w"])
    assert model_dims(proto) == ("a_b_", "x_1_", "a_b", "x_1")
    for given in ({"a_b_": 2, "x_1_": 3, "a_b": 5, "x_1": 7}, {"a b": 2, "x_1_": 3, "a_b": 5, "x_1": 7}):
        tensors = read_onnx(proto, dims=given).tensors
        assert (tensors["y"].shape, tensors["w"].shape) == ((2, 3), (5, 7))


def test_the_caller_may_say_what_rank_an_input_has() -> None:
    proto = model([node("Relu", ["in/x"], ["y"])], [value("in/x", None)])
    assert read_onnx(proto, dims={"in_x_0": 2, "in/x_1": 3, "in_x_2": 5}).tensors["y"].shape == (2, 3, 5)
    with pytest.raises(ModelFileError, match=r"not even its rank; give each .* --dim in_x_0=1 --dim in_x_1=8"):
        read_onnx(proto)
    with pytest.raises(InputError, match="has no dimension 'in_x_2'"):
        read_onnx(proto, dims={"in_x_0": 2, "in_x_2": 5})


def test_expressions_over_other_dimensions_need_no_number() -> None:
    inputs = [
        value("past", ["batch", "past_len", 8]),
        value("x", ["batch", "seq", 8]),
        value("m", ["batch", "past_len + seq"]),
    ]
    nodes = [
        node("Concat", ["past", "x"], ["all"], axis=1),
        node("Unsqueeze", ["m", "axis"], ["mask"]),
        node("Mul", ["all", "mask"], ["y"]),
    ]
    proto = model(nodes, inputs, ["y"], [constant("axis", [2])])
    assert model_dims(proto) == ("batch", "past_len", "seq")
    graph = read_onnx(proto, dims={"batch": 2, "past_len": 5, "seq": 3})
    assert graph.tensors["y"].shape == (2, 8, 8)
    assert graph.tensors["m"].shape == (2, 8)


def test_dimensions_that_depend_on_data_are_asked_for_by_name() -> None:
    proto = model([node("NonZero", ["x"], ["hits"]), node("Cast", ["hits"], ["y"], to=1)], [value("x", ["n", 4])])
    assert model_dims(proto) == ("n", "hits_1")
    with pytest.raises(UnboundDimensionError, match="'hits_1' is made by NonZero") as caught:
        read_onnx(proto, dims={"n": 10})
    assert caught.value.names == ("hits_1",)
    assert read_onnx(proto, dims={"n": 10, "hits_1": 7}).tensors["y"].shape == (2, 7)


def test_stale_shapes_in_the_file_lose_against_inference() -> None:
    proto = model(
        [node("Relu", ["x"], ["h"]), node("Relu", ["h"], ["y"])], [value("x", ["batch", 4])], [value("y", [1, 4])]
    )
    proto.graph.value_info.append(value("h", [1, 4]))
    graph = read_onnx(proto, dims={"batch": 8})
    assert graph.tensors["h"].shape == (8, 4)
    assert graph.total("flops") == 64
    assert graph.warnings == ("the file declares the shape [1,4] for the output 'y'; inferred and used: [8,4]",)


def test_shapes_the_file_declares_help_where_nothing_can_be_inferred() -> None:
    nodes = [node("Mystery", ["x"], ["h"], domain="my.own"), node("Relu", ["h"], ["y"])]
    proto = model(nodes, [value("x", ["batch", 4])], domains=["my.own"])
    proto.graph.value_info.append(value("h", ["batch", 10]))
    graph = read_onnx(proto, dims={"batch": 8})
    first, second = graph.nodes
    assert first.op == ops.Unmodelled(kind="my.own::Mystery", read=128, written=320, dtype="fp32")
    assert second.op.flops == 80
    assert "my.own::Mystery: no rule covers it" in graph.warnings[0]


# ---------------------------------------------------------------------------------------------- symbolic


def attention_block() -> onnx.ModelProto:
    """Embedding, projection, scores with a causal mask made of the length, softmax."""
    nodes = [
        node("Gather", ["table", "ids"], ["h"]),
        node("MatMul", ["h", "w"], ["q"]),
        node("Transpose", ["h"], ["k"], perm=[0, 2, 1]),
        node("MatMul", ["q", "k"], ["s"]),
        node("Shape", ["ids"], ["n"], start=1, end=2),
        node("Concat", ["n", "n"], ["nn"], axis=0),
        node("ConstantOfShape", ["nn"], ["ones"]),
        node("Trilu", ["ones"], ["mask"], upper=1),
        node("Add", ["s", "mask"], ["masked"]),
        node("Softmax", ["masked"], ["y"], axis=-1),
    ]
    stored = [weight("table", [100, 16]), weight("w", [16, 16])]
    return model(nodes, [value("ids", ["batch", "seq"], INT64)], ["y"], stored)


def test_a_sweep_over_open_dimensions_is_one_call() -> None:
    symbolic = read_onnx(attention_block(), keep_symbolic=True)
    assert symbolic.open_dims == ("batch", "seq")
    batches, lengths = np.array([1, 3, 8]), np.array([4, 7, 16])
    swept = symbolic.bind(batch=batches, seq=lengths)
    for index, (batch, seq) in enumerate(zip(batches, lengths, strict=True)):
        read = read_onnx(attention_block(), dims={"batch": int(batch), "seq": int(seq)})
        for count in ("flops", "product_flops", "bytes"):
            assert swept.total(count)[index] == read.total(count)
    # Two products: 2·tokens·16·16, and 2·batch·seq²·16.
    assert symbolic.bind(batch=2, seq=5).total("product_flops") == 2 * 10 * 256 + 2 * 2 * 25 * 16


def test_some_dimensions_may_be_given_and_others_stay_open() -> None:
    graph = read_onnx(attention_block(), dims={"batch": 2}, keep_symbolic=True)
    assert graph.open_dims == ("seq",)
    assert graph.bind(seq=5).total("flops") == read_onnx(attention_block(), dims={"batch": 2, "seq": 5}).total("flops")


@pytest.mark.parametrize(("name", "dims"), [("gpt2", {"batch": 3, "seq": 96}), ("llama3-8b-full-meta", {"seq": 640})])
def test_real_models_stay_symbolic(shared: Path, name: str, dims: dict[str, int]) -> None:
    path = shared / "onnx" / f"{name}.graph.onnx"
    bound = read_onnx(path, keep_symbolic=True).bind(**dims)
    read = read_onnx(path, dims=dims)
    assert [(n.name, n.op) for n in bound.nodes] == [(n.name, n.op) for n in read.nodes]
    assert bound.total("bytes") == read.total("bytes")


# ------------------------------------------------------------------------------------ what an engine folds


def test_shape_arithmetic_and_masks_made_of_shapes_are_folded() -> None:
    graph = read_onnx(attention_block(), dims={"batch": 2, "seq": 5})
    assert kinds(graph) == ["Gather", "MatMul", "Transpose", "MatMul", "Add", "Softmax"]
    assert {(r.source_op, r.reason) for r in graph.removed} == {
        (op, "shape arithmetic") for op in ("Shape", "Concat", "ConstantOfShape", "Trilu")
    }
    assert graph.tensors["mask"].is_weight
    assert "ones" not in graph.tensors  # nothing that is executed reads it


def test_a_mask_that_is_an_input_is_computed_each_time() -> None:
    nodes = [
        node("Cast", ["mask"], ["m"], to=1),
        node("Sub", ["one", "m"], ["inverse"]),
        node("Mul", ["inverse", "low"], ["bias"]),
        node("Add", ["x", "bias"], ["y"]),
    ]
    stored = [constant("one", [1.0], 1, []), constant("low", [-3e38], 1, [])]
    graph = read_onnx(model(nodes, [value("x", [2, 5]), value("mask", [2, 5], INT64)], ["y"], stored))
    assert kinds(graph) == ["Cast", "Sub", "Mul", "Add"]
    assert graph.removed == ()


def test_a_transposed_weight_is_a_weight() -> None:
    nodes = [node("Transpose", ["w"], ["wt"], perm=[1, 0]), node("MatMul", ["x", "wt"], ["y"])]
    graph = read_onnx(model(nodes, [value("x", [3, 16])], ["y"], [weight("w", [32, 16])]))
    assert kinds(graph) == ["MatMul"]
    assert (graph.tensors["wt"].is_weight, graph.tensors["wt"].shape) == (True, (16, 32))
    assert graph.weights_bytes == 4 * 512
    assert [(r.source_op, r.reason) for r in graph.removed] == [("Transpose", "constant")]


def test_weights_that_are_stored_narrow_stay_narrow() -> None:
    nodes = [node("DequantizeLinear", ["w", "scale"], ["wide"]), node("MatMul", ["x", "wide"], ["y"])]
    stored = [weight("w", [16, 32], onnx.TensorProto.INT8), constant("scale", [0.1], 1, [])]
    graph = read_onnx(model(nodes, [value("x", [3, 16])], ["y"], stored))
    assert kinds(graph) == ["DequantizeLinear", "MatMul"]
    assert graph.weights_bytes == 512 + 4


def test_random_numbers_are_not_constants() -> None:
    nodes = [
        node("RandomNormal", [], ["r"], shape=[4]),
        node("RandomNormalLike", ["w"], ["s"]),
        node("Sum", ["x", "r", "s"], ["y"]),
    ]
    graph = read_onnx(model(nodes, [value("x", [4])], ["y"], [weight("w", [4])]))
    assert kinds(graph) == ["RandomNormal", "RandomNormalLike", "Sum"]


def test_constants_of_one_element_are_known() -> None:
    nodes = [
        node("Constant", [], ["d"], value_float=64.0),
        node("Sqrt", ["d"], ["root"]),
        node("Div", ["one", "root"], ["scale"]),
        node("Mul", ["x", "scale"], ["h"]),
        node("Pow", ["h", "two"], ["y"]),
    ]
    stored = [constant("one", [1.0], 1, []), constant("two", [2.0], 1, [])]
    graph = read_onnx(model(nodes, [value("x", [4])], ["y"], stored))
    assert graph.tensors["scale"].scalar == 0.125
    assert graph.tensors["two"].scalar == 2.0
    assert graph.tensors["x"].scalar is None
    assert "Constant" not in {r.source_op for r in graph.removed}


# ------------------------------------------------------------------------------------------ control flow


def branch(name: str, op_type: str, result: str) -> onnx.GraphProto:
    return helper.make_graph([node(op_type, ["x"], [result])], name, [], [value(result, None)])


def test_the_dearer_branch_counts_where_the_condition_depends_on_data() -> None:
    both = node("If", ["c"], ["y"], then_branch=branch("t", "Relu", "a"), else_branch=branch("e", "Exp", "b"))
    graph = read_onnx(model([both], [value("x", [10]), value("c", [], BOOL)]))
    assert kinds(graph) == ["Exp", "Identity"]
    assert graph.total("flops") == 80
    assert "dearer branch (else)" in graph.warnings[0]
    known = read_onnx(model([both], [value("x", [10])], ["y"], [constant("c", [True], BOOL, [])]))
    assert kinds(known) == ["Relu", "Identity"]
    assert known.warnings == ()


def loop_body() -> onnx.GraphProto:
    nodes = [node("Identity", ["go"], ["go_on"]), node("Mul", ["h", "h"], ["next"]), node("Exp", ["h"], ["seen"])]
    inputs = [value("i", [], INT64), value("go", [], BOOL), value("h", [10])]
    return helper.make_graph(
        nodes, "body", inputs, [value("go_on", [], BOOL), value("next", [10]), value("seen", [10])]
    )


def test_a_loop_of_known_length_counts_each_iteration() -> None:
    loop = node("Loop", ["times", "", "x"], ["y", "all"], body=loop_body())
    graph = read_onnx(model([loop], [value("x", [10])], ["y", "all"], [constant("times", [6], shape=[])]))
    counted = {n.source_op: n.count for n in graph.nodes if not isinstance(n.op, ops.View)}
    assert counted == {"Mul": 6, "Exp": 6}
    assert graph.total("flops") == 6 * (10 + 80)
    assert graph.tensors["all"].shape == (6, 10)


def test_a_loop_whose_length_depends_on_data_asks_for_what_it_collects() -> None:
    loop = node("Loop", ["times", "", "x"], ["y", "all"], body=loop_body(), name="decoder")
    proto = model([loop, node("Relu", ["all"], ["z"])], [value("x", [10]), value("times", [], INT64)], ["y", "z"])
    assert model_dims(proto) == ("decoder_trips",)
    with pytest.raises(UnboundDimensionError, match="--dim decoder_trips=8"):
        read_onnx(proto)
    graph = read_onnx(proto, dims={"decoder_trips": 4})
    counted = {n.source_op: n.count for n in graph.nodes if not isinstance(n.op, ops.View)}
    assert counted == {"Mul": 4, "Exp": 4, "Relu": 1}
    assert graph.tensors["all"].shape == (4, 10)
    assert graph.warnings == ()
    assert read_onnx(proto, keep_symbolic=True).bind(decoder_trips=4).total("flops") == graph.total("flops")


def test_a_scan_runs_once_for_each_slice() -> None:
    body = helper.make_graph(
        [node("Add", ["s", "v"], ["s2"]), node("Identity", ["s2"], ["out"])],
        "body",
        [value("s", [3]), value("v", [3])],
        [value("s2", [3]), value("out", [3])],
    )
    scan = node("Scan", ["x0", "xs"], ["last", "y"], body=body, num_scan_inputs=1)
    graph = read_onnx(model([scan], [value("x0", [3]), value("xs", [7, 3])], ["last", "y"]))
    assert graph.total("flops") == 7 * 3


def test_model_local_functions_are_expanded() -> None:
    square = helper.make_function(
        "my.own", "Square", ["a"], ["b"], [node("Mul", ["a", "a"], ["b"])], [helper.make_opsetid("", 18)]
    )
    nodes = [node("Square", ["x"], ["h"], domain="my.own"), node("Square", ["h"], ["y"], domain="my.own")]
    graph = read_onnx(model(nodes, [value("x", [10])], domains=["my.own"], functions=[square]))
    assert kinds(graph) == ["Mul", "Mul"]
    assert len({n.name for n in graph.nodes}) == 2


# ------------------------------------------------------------------------------------------------ weights


def save_with_weights(path: Path, elements: int) -> onnx.ModelProto:
    nodes = [
        node("MatMul", ["x", "w"], ["h"]),
        node("Constant", [], ["c"], value=_stored("c", elements)),
        node("Add", ["h", "c"], ["y"]),
    ]
    proto = model(nodes, [value("x", ["batch", 1])], ["y"], [_stored("w", elements)])
    onnx.save(proto, path)
    return proto


def _stored(name: str, elements: int) -> onnx.TensorProto:
    return onnx.TensorProto(name=name, data_type=1, dims=[1, elements], raw_data=bytes(4 * elements))


def test_weights_inside_the_file_are_not_loaded(tmp_path: Path) -> None:
    from perfmodel.features.onnx.wire import without_weights

    path = tmp_path / "inline.onnx"
    save_with_weights(path, 12_000_000)  # 96 MB in all, half of them in a Constant node
    data = path.read_bytes()
    assert len(data) > 96_000_000
    stripped = without_weights(data)
    assert len(stripped) < 1000
    # In a process of its own, the reader needs little more for this file than for one with small weights.
    if not Path("/proc/self/status").exists():
        pytest.skip("the peak memory of a process is read from /proc, which this system does not have")
    program = (
        "import re, sys; from perfmodel.features import read_onnx; g = read_onnx(sys.argv[1], dims={'batch': 2});"
        "print(g.weights_bytes, re.search(r'VmHWM:\\s*(\\d+) kB', open('/proc/self/status').read())[1])"
    )
    peaks = []
    for elements in (1000, 12_000_000):
        save_with_weights(path, elements)
        command = [sys.executable, "-c", program, path]
        weights_bytes, peak = subprocess.run(command, capture_output=True, text=True, check=True).stdout.split()
        assert int(weights_bytes) == 2 * 4 * elements
        peaks.append(int(peak) * 1024)
    assert peaks[1] - peaks[0] < 10e6


def test_stripping_keeps_everything_else(tmp_path: Path) -> None:
    from perfmodel.features.onnx.wire import without_weights

    path = tmp_path / "inline.onnx"
    proto = save_with_weights(path, 3000)
    stripped = onnx.ModelProto.FromString(without_weights(path.read_bytes()))
    for tensor in (*stripped.graph.initializer, stripped.graph.node[1].attribute[0].t):
        assert (tensor.raw_data, tensor.data_location) == (b"", onnx.TensorProto.EXTERNAL)
        tensor.raw_data = bytes(12_000)
        tensor.ClearField("data_location")
    assert stripped == proto


def test_small_constants_outside_the_file_are_read(tmp_path: Path) -> None:
    shape = onnx.numpy_helper.from_array(np.array([2, 6]), "shape")
    proto = model(
        [node("Reshape", ["x", "shape"], ["h"]), node("Relu", ["h"], ["y"])], [value("x", [3, 4])], ["y"], [shape]
    )
    onnx.save(proto, tmp_path / "m.onnx", save_as_external_data=True, size_threshold=0, location="m.bin")
    assert (tmp_path / "m.bin").stat().st_size == 16
    assert read_onnx(tmp_path / "m.onnx").tensors["y"].shape == (2, 6)


def test_names_are_unique_and_graphs_are_named_after_their_file(tmp_path: Path) -> None:
    nodes = [helper.make_node("Relu", [a], [b], name="same") for a, b in (("x", "h"), ("h", "y"))]
    onnx.save(model(nodes, [value("x", [3], FLOAT16)]), tmp_path / "tiny.graph.onnx")
    graph = read_onnx(tmp_path / "tiny.graph.onnx")
    assert (graph.name, [n.name for n in graph.nodes]) == ("tiny", ["same", "same#2"])
    assert (graph.inputs, graph.outputs, graph.tensors["y"].dtype) == (("x",), ("y",), "fp16")


def test_a_model_is_read_from_bytes_or_a_message_and_left_as_it_was() -> None:
    proto = single("Relu", ["batch", 4])
    before = proto.SerializeToString()
    assert read_onnx(proto, dims={"batch": 3}).total("flops") == 12
    assert read_onnx(before, dims={"batch": 3}).total("flops") == 12
    assert proto.SerializeToString() == before


def test_nodes_out_of_order_are_sorted() -> None:
    nodes = [node("Relu", ["h"], ["y"]), node("Exp", ["x"], ["h"])]
    assert kinds(read_onnx(model(nodes, [value("x", [3])]))) == ["Exp", "Relu"]


def test_importing_the_features_loads_no_onnx() -> None:
    program = "import sys, perfmodel.features; sys.exit(any(m in sys.modules for m in ('onnx', 'onnx_ir', 'sympy')))"
    assert subprocess.run([sys.executable, "-c", program], check=False).returncode == 0
