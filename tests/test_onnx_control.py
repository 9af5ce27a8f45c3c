"""How often bodies run: trip counts from constants, dimensions and the caller; nested bodies; sequences in loops."""

from __future__ import annotations

import onnx
import pytest
from onnx import helper
from onnx_models import BOOL, INT64, constant, model, value

from perfmodel.errors import InputError, UnboundDimensionError
from perfmodel.features import read_onnx
from perfmodel.graph import Graph
from perfmodel.ops import Unmodelled, View

node = helper.make_node


def counts(graph: Graph) -> dict[str, int]:
    """Executions by operator, views left out."""
    found: dict[str, int] = {}
    for n in graph.nodes:
        if not isinstance(n.op, View):
            found[n.source_op] = found.get(n.source_op, 0) + n.count
    return found


def body(*inner: onnx.NodeProto, shape: list[int] | None = None, condition: str = "go") -> onnx.GraphProto:
    """A Loop body that carries ``h`` to ``next``; its condition is the one it was given, or computed by ``inner``."""
    shape = [10] if shape is None else shape
    nodes = [*inner]
    if condition == "go":
        nodes.insert(0, node("Identity", ["go"], ["go_on"]))
        condition = "go_on"
    return helper.make_graph(
        nodes,
        "body",
        [value("i", [], INT64), value("go", [], BOOL), value("h", shape)],
        [value(condition, [], BOOL), value("next", shape)],
    )


def loop(
    count: str, inside: onnx.GraphProto, name: str = "decoder", start: str = "x", result: str = "y"
) -> onnx.NodeProto:
    return node("Loop", [count, "", start], [result], body=inside, name=name)


# ------------------------------------------------------------------------------------------------------ Loop


def test_the_trip_count_may_be_an_input_dimension() -> None:
    nodes = [
        node("Shape", ["tokens"], ["lengths"], start=1, end=2),
        node("Squeeze", ["lengths"], ["times"]),
        loop("times", body(node("Exp", ["h"], ["next"]))),
    ]
    proto = model(nodes, [value("x", [10]), value("tokens", ["batch", "seq"], INT64)])
    graph = read_onnx(proto, dims={"batch": 2, "seq": 7})
    assert counts(graph) == {"Exp": 7}
    assert graph.warnings == ()
    swept = read_onnx(proto, keep_symbolic=True)
    assert swept.open_dims == ("batch", "seq")
    assert swept.bind(batch=2, seq=7).total("flops") == 7 * 10 * 8


def test_a_trip_count_that_depends_on_data_counts_once_and_says_how_to_give_it() -> None:
    proto = model(
        [loop("times", body(node("Exp", ["h"], ["next"])), "/model/decoder/Loop")],
        [value("x", [10]), value("times", [], INT64)],
    )
    graph = read_onnx(proto)
    assert counts(graph) == {"Exp": 1}
    (warning,) = graph.warnings
    assert "--dim model_decoder_Loop_trips=N" in warning
    told = read_onnx(proto, dims={"model_decoder_Loop_trips": 12})
    assert counts(told) == {"Exp": 12}
    assert told.warnings == ()
    with pytest.raises(InputError, match=r"has no dimension 'decoder_loop_trips'.*model_decoder_Loop_trips"):
        read_onnx(proto, dims={"decoder_loop_trips": 12})


@pytest.mark.parametrize(("condition", "trips"), [(True, 6), (False, 0)])
def test_a_loop_whose_condition_is_false_from_the_start_does_not_run(condition: bool, trips: int) -> None:
    once = node("Loop", ["times", "go", "x"], ["y"], body=body(node("Exp", ["h"], ["next"])), name="loop")
    constants = [constant("times", [6], shape=[]), constant("go", [condition], BOOL, [])]
    graph = read_onnx(model([once], [value("x", [10])], ["y"], constants))
    assert counts(graph) == ({"Exp": trips} if trips else {})


def test_a_while_loop_counts_as_often_as_its_caller_says() -> None:
    inside = body(
        node("ReduceSum", ["h"], ["sum"], keepdims=0),
        node("Less", ["sum", "limit"], ["small"]),
        node("Exp", ["h"], ["next"]),
        condition="small",
    )
    limit = constant("limit", [100.0], 1, [])
    endless = model([node("Loop", ["", "go", "x"], ["y"], body=inside, name="while")],
                    [value("x", [10]), value("go", [], BOOL)], ["y"], [limit])  # fmt: skip
    assert counts(read_onnx(endless)) == {"ReduceSum": 1, "Less": 1, "Exp": 1}
    assert counts(read_onnx(endless, dims={"while_trips": 5})) == {"ReduceSum": 5, "Less": 5, "Exp": 5}
    limited = model(
        [loop("times", inside, "while")], [value("x", [10])], ["y"], [limit, constant("times", [9], shape=[])]
    )
    graph = read_onnx(limited)
    assert counts(graph)["Exp"] == 9
    assert "may end it early" in graph.warnings[0]
    told = read_onnx(limited, dims={"while_trips": 4})
    assert counts(told)["Exp"] == 4
    assert told.warnings == ()


def test_counts_of_nested_bodies_multiply() -> None:
    inner = helper.make_graph(
        [node("Identity", ["go2"], ["go_on2"]), node("Exp", ["h2"], ["next2"])],
        "inner",
        [value("j", [], INT64), value("go2", [], BOOL), value("h2", [10])],
        [value("go_on2", [], BOOL), value("next2", [10])],
    )
    outer = body(
        node("Loop", ["three", "", "h"], ["mid"], body=inner, name="inner"),
        node("Mul", ["mid", "mid"], ["next"]),
    )
    proto = model([loop("five", outer)], [value("x", [10])], ["y"],
                  [constant("three", [3], shape=[]), constant("five", [5], shape=[])])  # fmt: skip
    assert counts(read_onnx(proto)) == {"Exp": 15, "Mul": 5}
    data = model(
        [loop("five", outer)], [value("x", [10]), value("three", [], INT64)], ["y"], [constant("five", [5], shape=[])]
    )
    assert counts(read_onnx(data, dims={"inner_trips": 4})) == {"Exp": 20, "Mul": 5}


def test_two_loops_of_one_name_have_a_dimension_each() -> None:
    nodes = [
        loop("times", body(node("Exp", ["h"], ["next"])), "same", "x", "mid"),
        loop("times", body(node("Tanh", ["h"], ["next"])), "same", "mid", "y"),
    ]
    proto = model(nodes, [value("x", [10]), value("times", [], INT64)])
    graph = read_onnx(proto, dims={"same_trips": 2, "same_2_trips": 3})
    assert counts(graph) == {"Exp": 2, "Tanh": 3}
    for number, long in enumerate(("encoder/", "decoder/")):
        proto.graph.node[number].name = long + "x" * 60  # only the end of a name is kept
    tail = "x" * 50
    assert counts(read_onnx(proto, dims={f"{tail}_trips": 2, f"{tail}_2_trips": 3})) == {"Exp": 2, "Tanh": 3}


def test_what_a_loop_makes_longer_has_its_length_at_the_end() -> None:
    inside = helper.make_graph(
        [node("Identity", ["go"], ["go_on"]), node("Concat", ["h", "piece"], ["next"], axis=0)],
        "body",
        [value("i", [], INT64), value("go", [], BOOL), value("h", None)],
        [value("go_on", [], BOOL), value("next", None)],
    )
    proto = model([loop("six", inside), node("Relu", ["y"], ["z"])], [value("x", [10, 4]), value("piece", [2, 4])], ["z"],
                  [constant("six", [6], shape=[])])  # fmt: skip
    graph = read_onnx(proto)
    assert graph.tensors["z"].shape == (22, 4)
    assert "shapes of the first iteration" in graph.warnings[0]


def test_a_branch_inside_a_loop() -> None:
    def branch(op: str) -> onnx.GraphProto:
        return helper.make_graph([node(op, ["h"], [f"{op}_out"])], op, [], [value(f"{op}_out", None)])

    inside = body(node("If", ["flag"], ["next"], then_branch=branch("Relu"), else_branch=branch("Exp")))
    proto = model(
        [loop("six", inside)], [value("x", [10]), value("flag", [], BOOL)], ["y"], [constant("six", [6], shape=[])]
    )
    graph = read_onnx(proto)
    assert counts(graph) == {"Exp": 6}
    assert "dearer branch (else)" in graph.warnings[0]


# ------------------------------------------------------------------------------------------------------ Scan


def scan_body() -> onnx.GraphProto:
    return helper.make_graph(
        [node("Add", ["s", "v"], ["s2"]), node("Exp", ["s2"], ["out"])],
        "body",
        [value("s", [3]), value("v", [3])],
        [value("s2", [3]), value("out", [3])],
    )


def test_a_scan_over_an_open_axis() -> None:
    scan = node("Scan", ["x0", "xs"], ["last", "y"], body=scan_body(), num_scan_inputs=1, scan_input_axes=[1])
    proto = model([scan], [value("x0", [3]), value("xs", [3, "seq"])], ["last", "y"])
    assert counts(read_onnx(proto, dims={"seq": 9})) == {"Add": 9, "Exp": 9}
    assert read_onnx(proto, keep_symbolic=True).bind(seq=9).total("flops") == 9 * (3 + 24)


def test_the_scan_of_operator_set_8_runs_for_each_sequence_of_the_batch() -> None:
    scan = node("Scan", ["", "x0", "xs"], ["last", "y"], body=scan_body(), num_scan_inputs=1)
    proto = model([scan], [value("x0", [2, 3]), value("xs", [2, 7, 3])], ["last", "y"], opset=8)
    assert counts(read_onnx(proto)) == {"Add": 14, "Exp": 14}


# --------------------------------------------------------------------------------------------------- functions


def test_functions_inside_functions_and_loops() -> None:
    square = helper.make_function(
        "my.own", "Square", ["a"], ["b"], [node("Mul", ["a", "a"], ["b"])], [helper.make_opsetid("", 18)]
    )
    fourth = helper.make_function(
        "my.own", "Fourth", ["a"], ["c"],
        [node("Square", ["a"], ["b"], domain="my.own"), node("Square", ["b"], ["c"], domain="my.own")],
        [helper.make_opsetid("", 18), helper.make_opsetid("my.own", 1)],
    )  # fmt: skip
    inside = body(node("Fourth", ["h"], ["next"], domain="my.own"))
    proto = model([loop("six", inside)], [value("x", [10])], ["y"], [constant("six", [6], shape=[])],
                  domains=["my.own"], functions=[square, fourth])  # fmt: skip
    graph = read_onnx(proto)
    assert counts(graph) == {"Mul": 12}


def test_overloads_of_a_function_are_told_apart() -> None:
    def made(op: str, overload: str) -> onnx.FunctionProto:
        function = helper.make_function(
            "my.own", "Act", ["a"], ["b"], [node(op, ["a"], ["b"])], [helper.make_opsetid("", 18)]
        )
        function.overload = overload
        return function

    first, second = node("Act", ["x"], ["h"], domain="my.own"), node("Act", ["h"], ["y"], domain="my.own")
    first.overload, second.overload = "a", "b"
    proto = model(
        [first, second], [value("x", [10])], domains=["my.own"], functions=[made("Exp", "a"), made("Relu", "b")]
    )
    proto.ir_version = 10
    assert counts(read_onnx(proto)) == {"Exp": 1, "Relu": 1}


# --------------------------------------------------------------------------------------------------- sequences


def test_pieces_of_a_split_are_found_by_position() -> None:
    nodes = [
        node("SplitToSequence", ["x", "sizes"], ["parts"], axis=1),
        node("SequenceAt", ["parts", "second"], ["part"]),
        node("Exp", ["part"], ["y"]),
    ]
    stored = [constant("sizes", [2, 5, 3]), constant("second", [1], shape=[])]
    graph = read_onnx(model(nodes, [value("x", [4, 10])], ["y"], stored))
    assert graph.tensors["y"].shape == (4, 5)
    assert not [n for n in graph.nodes if isinstance(n.op, Unmodelled)]
    (split,) = [n for n in graph.nodes if n.source_op == "SplitToSequence"]
    assert split.bytes == 2 * 4 * 40


@pytest.mark.parametrize(("attributes", "shape"), [({"axis": 0}, (7, 3)), ({"axis": 0, "new_axis": 1}, None)])
def test_concatenated_sequences(attributes: dict[str, int], shape: tuple[int, ...] | None) -> None:
    nodes = [
        node("SequenceConstruct", ["a", "b"], ["s"]),
        node("SequenceInsert", ["s", "a"], ["s3"]),
        node("SequenceErase", ["s3", "zero"], ["s2"]),
        node("ConcatFromSequence", ["s2"], ["joined"], **attributes),
        node("Relu", ["joined"], ["y"]),
    ]
    height = 5 if shape else 2
    proto = model(nodes, [value("a", [2, 3]), value("b", [height, 3])], ["y"], [constant("zero", [0], shape=[])])
    assert read_onnx(proto).tensors["y"].shape == (shape or (2, 2, 3))


def test_a_loop_that_collects_a_sequence() -> None:
    inside = helper.make_graph(
        [
            node("Identity", ["go"], ["go_on"]),
            node("Exp", ["x"], ["piece"]),
            node("SequenceInsert", ["s", "piece"], ["s2"]),
        ],
        "body",
        [value("i", [], INT64), value("go", [], BOOL), helper.make_tensor_sequence_value_info("s", 1, None)],
        [value("go_on", [], BOOL), helper.make_tensor_sequence_value_info("s2", 1, None)],
    )
    nodes = [
        node("SequenceEmpty", [], ["empty"]),
        node("Loop", ["six", "", "empty"], ["all"], body=inside),
        node("ConcatFromSequence", ["all"], ["joined"], axis=0),
        node("Relu", ["joined"], ["y"]),
    ]
    graph = read_onnx(model(nodes, [value("x", [2, 3])], ["y"], [constant("six", [6], shape=[])]))
    assert graph.tensors["y"].shape == (12, 3)
    assert counts(graph)["Exp"] == 6


def test_a_sequence_map_runs_its_body_for_each_element() -> None:
    inside = helper.make_graph([node("Exp", ["e"], ["f"])], "body", [value("e", None)], [value("f", None)])
    nodes = [
        node("SequenceConstruct", ["x", "x", "x"], ["s"]),
        node("SequenceMap", ["s"], ["mapped"], body=inside),
        node("SequenceLength", ["mapped"], ["many"]),
        node("ConcatFromSequence", ["mapped"], ["y"], axis=0),
    ]
    graph = read_onnx(model(nodes, [value("x", [2, 3])], ["y", "many"], opset=18))
    assert counts(graph) == {"Exp": 3, "ConcatFromSequence": 1}
    assert graph.total("flops") == 3 * 6 * 8
    assert graph.tensors["y"].shape == (6, 3)


def test_a_body_that_reads_what_surrounds_it_is_no_constant() -> None:
    inside = helper.make_graph([node("Mul", ["e", "x"], ["f"])], "body", [value("e", [2, 3])], [value("f", [2, 3])])
    nodes = [
        node("SplitToSequence", ["w"], ["s"], axis=0),
        node("SequenceMap", ["s"], ["mapped"], body=inside),
        node("ConcatFromSequence", ["mapped"], ["y"], axis=0),
    ]
    stored = [helper.make_tensor("w", 1, [4, 2, 3], [0.5] * 24)]
    assert counts(read_onnx(model(nodes, [value("x", [2, 3])], ["y"], stored)))["Mul"] == 4


def test_a_sequence_that_enters_the_model_has_the_length_that_is_given() -> None:
    inside = helper.make_graph([node("Exp", ["e"], ["f"])], "body", [value("e", None)], [value("f", None)])
    proto = model([node("SequenceMap", ["s"], ["y"], body=inside, name="map")],
                  [helper.make_tensor_sequence_value_info("s", 1, [4, 5])], ["y"], opset=18)  # fmt: skip
    del proto.graph.output[:]
    proto.graph.output.append(helper.make_tensor_sequence_value_info("y", 1, None))
    graph = read_onnx(proto)
    assert counts(graph) == {"Exp": 1}
    assert "--dim map_trips=N" in graph.warnings[0]
    assert read_onnx(proto, dims={"map_trips": 3}).total("flops") == 3 * 20 * 8


def test_optionals_pass_what_they_hold() -> None:
    nodes = [node("Optional", ["x"], ["o"]), node("OptionalGetElement", ["o"], ["h"]), node("Exp", ["h"], ["y"])]
    graph = read_onnx(model(nodes, [value("x", [2, 3])], ["y"]))
    assert graph.total("flops") == 48


def test_dimensions_are_still_asked_for() -> None:
    proto = model([loop("times", body(node("Exp", ["h"], ["next"])))], [value("x", ["n"]), value("times", [], INT64)])
    with pytest.raises(UnboundDimensionError, match="give a number for the dimension 'n', for example --dim n=1"):
        read_onnx(proto, dims={"decoder_trips": 3})
