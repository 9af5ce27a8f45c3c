"""Files and numbers that cannot be used: one clear line each, never a traceback, nothing read that must not be."""

from __future__ import annotations

import builtins
import io
import os
import time
from pathlib import Path
from typing import Any

import onnx
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from onnx import TensorProto, helper
from onnx_models import BOOL, INT64, constant, model, single, value, weight

from perfmodel.errors import InputError, ModelFileError, PerfmodelError, UnboundDimensionError
from perfmodel.features import model_dims, read_onnx

node = helper.make_node


def message(source: Any, kind: type[PerfmodelError] = ModelFileError, **options: Any) -> str:
    """The one line that reading fails with."""
    with pytest.raises(kind) as caught:
        read_onnx(source, **options)
    text = str(caught.value)
    assert text
    assert "\n" not in text
    assert len(text) < 700
    return text


def refusal(source: Any, **options: Any) -> str | None:
    """The line that reading fails with, or None when it succeeds; every other exception is a failed test."""
    try:
        graph = read_onnx(source, **options)
        assert graph.total("bytes") is not None
    except PerfmodelError as error:
        return str(error)
    return None


# ------------------------------------------------------------------------------------------------- files


@pytest.mark.parametrize(
    ("content", "expected"),
    [
        (b"", "the file is empty"),
        (b"hello, this is a text\n" * 9, "not an ONNX file; wanted one (or MLIR, whose name ends in .mlir)"),
        (b"\x89PNG\r\n\x1a\n" + bytes(99), "a PNG picture"),
        (b"PK\x03\x04" + bytes(99), "torch.onnx.export"),
        (b"version https://git-lfs.github.com/spec/v1\noid sha256:0\n", "git lfs pull"),
        (b'{"irVersion": "8"}', "JSON"),
        (bytes(1000), "not an ONNX file"),
        (b"\x08\x08", "truncated or damaged"),
    ],
)
def test_files_that_are_no_onnx_files(tmp_path: Path, content: bytes, expected: str) -> None:
    path = tmp_path / "model.onnx"
    path.write_bytes(content)
    text = message(path)
    assert expected in text
    assert text.startswith(str(path))


def test_paths_that_are_no_files(tmp_path: Path) -> None:
    assert "no such file" in message(tmp_path / "absent.onnx")
    assert "is a folder" in message(tmp_path)
    assert "is no path" in message("nul\0.onnx")
    assert "cannot be read" in message("x" * 5000)
    if os.path.exists("/dev/zero"):
        assert "not a regular file" in message("/dev/zero")


def test_every_truncation_of_a_model_is_refused() -> None:
    whole = single("Conv", ["batch", 3, 8, 8], weights=[[4, 3, 3, 3]]).SerializeToString()
    for length in range(1, len(whole)):
        text = refusal(whole[:length], dims={"batch": 2})
        # A cut between two fields of the model leaves the graph whole: only the operator set is gone.
        assert text or length > len(whole) - 8
        assert "\n" not in (text or "")


def test_three_gigabytes_are_refused_unread(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = tmp_path / "big.onnx"
    with path.open("wb") as file:
        file.truncate(3 * 10**9)  # sparse: takes no space
    monkeypatch.setattr(Path, "open", lambda *_: pytest.fail("the file was opened"))
    text = message(path)
    assert "3.0 GB" in text
    assert "save_as_external_data=True" in text


def test_a_large_truncated_file_is_refused_by_its_lengths(tmp_path: Path) -> None:
    tensor = onnx.TensorProto(name="w", data_type=1, dims=[1, 5_000_000], raw_data=bytes(20_000_000))
    whole = model([node("MatMul", ["x", "w"], ["y"])], [value("x", [2, 1])], ["y"], [tensor]).SerializeToString()
    path = tmp_path / "large.onnx"
    path.write_bytes(whole[:15_000_000])
    assert "truncated or damaged" in message(path)


# ------------------------------------------------------------------------------------------------- graphs


def test_cycles_name_a_node() -> None:
    nodes = [
        node("Add", ["x", "b"], ["a"], name="first"),
        node("Relu", ["a"], ["b"], name="second"),
        node("Exp", ["b"], ["y"]),
    ]
    text = message(model(nodes, [value("x", [3])]))
    assert "cycle" in text
    assert "'first'" in text or "'second'" in text
    assert "cycle" in message(model([node("Add", ["x", "y"], ["y"], name="self")], [value("x", [3])]))


def test_names_that_contradict_each_other() -> None:
    x = value("x", [3])
    twice = [node("Relu", ["x"], ["y"]), node("Exp", ["x"], ["y"], name="second")]
    assert "'y' is made twice, the second time by the node 'second' (Exp)" in message(model(twice, [x]))
    assert "'x' is made twice" in message(model([node("Relu", ["x"], ["x"])], [x], ["x"]))
    assert "reads the tensor 'gone', which nothing makes" in message(model([node("Relu", ["gone"], ["y"])], [x]))
    assert "the output 'z' is made by no node" in message(model([node("Relu", ["x"], ["y"])], [x], ["z"]))
    assert "declared twice" in message(model([node("Relu", ["x"], ["y"])], [x, x]))
    assert "stored twice" in message(model([node("Add", ["x", "w"], ["y"])], [x], ["y"], [weight("w", [3])] * 2))


def chain(length: int) -> bytes:
    nodes = [node("Exp" if i % 2 else "Neg", [f"t{i}"], [f"t{i + 1}"]) for i in range(length)]
    return model(nodes, [value("t0", ["batch", 4])], [f"t{length}"]).SerializeToString()


def test_time_grows_in_proportion_to_the_number_of_nodes() -> None:
    def seconds(data: bytes) -> float:
        start = time.process_time()
        assert read_onnx(data, dims={"batch": 2}).total("flops") > 0
        return time.process_time() - start

    seconds(chain(10))  # imports
    small, large = seconds(chain(2_000)), seconds(chain(20_000))
    assert large < 30 * small  # ten times the nodes; quadratic would be a hundred times


def test_operators_that_the_inference_library_fails_on_are_left_to_onnx(monkeypatch: pytest.MonkeyPatch) -> None:
    from onnx_shape_inference import registry

    found = type(registry).get
    passes = 0

    def fails(ctx: Any, broken: Any) -> None:
        raise KeyError(broken.name)

    def get(self: Any, domain: str, op_type: str, version: int) -> Any:
        nonlocal passes
        if op_type == "Softplus" and domain == "":
            passes += 1
            return fails
        return found(self, domain, op_type, version)

    monkeypatch.setattr(type(registry), "get", get)
    nodes = [node("Softplus" if i % 2 else "Relu", [f"t{i}"], [f"t{i + 1}"]) for i in range(200)]
    graph = read_onnx(model(nodes, [value("t0", [3, 4])], ["t200"]))
    assert graph.tensors["t200"].shape == (3, 4)
    assert graph.total("flops") == 100 * 12 * (17 + 1)
    assert passes < 10


@pytest.mark.skipif("PERFMODEL_SLOW" not in os.environ, reason="takes half a minute: set PERFMODEL_SLOW=1")
def test_two_hundred_thousand_nodes_are_read() -> None:
    graph = read_onnx(chain(200_000), dims={"batch": 2})
    assert len(graph.nodes) == 200_000
    assert graph.total("flops") == 100_000 * 8 * (1 + 8)  # Neg 1, Exp 8


def test_the_number_of_nodes_is_limited(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("perfmodel.features.onnx.check.MAX_NODES", 99)
    assert "more than 99 nodes" in message(chain(100), dims={"batch": 2})


def nested(levels: int) -> onnx.ModelProto:
    def graph(level: int) -> onnx.GraphProto:
        inner = node("Relu", ["x"], [f"y{level}"])
        if level < levels:
            branches = {
                "then_branch": graph(level + 1),
                "else_branch": graph(level + 1) if level == levels - 1 else leaf(level),
            }
            inner = node("If", ["c"], [f"y{level}"], **branches)
        return helper.make_graph([inner], "g", [], [value(f"y{level}", None)])

    def leaf(level: int) -> onnx.GraphProto:
        return helper.make_graph([node("Exp", ["x"], [f"e{level}"])], "e", [], [value(f"e{level}", None)])

    whole = graph(0)
    whole.input.extend([value("x", [3]), value("c", [], BOOL)])
    return helper.make_model(whole, opset_imports=[helper.make_opsetid("", 18)])


def test_nesting_is_limited_and_costs_no_more_than_its_nodes() -> None:
    start = time.process_time()
    assert len(read_onnx(nested(15)).nodes) >= 15
    assert time.process_time() - start < 5
    assert "17 levels deep" in message(nested(20))


def test_functions_that_call_themselves_or_explode() -> None:
    opset = [helper.make_opsetid("", 18), helper.make_opsetid("f", 1)]

    def function(name: str, callee: str) -> onnx.FunctionProto:
        calls = [node(callee, ["a"], ["h"], domain="f"), node(callee, ["h"], ["b"], domain="f")]
        return helper.make_function("f", name, ["a"], ["b"], calls, opset)

    call = node("F0", ["x"], ["y"], domain="f")
    circle = [function("F0", "F1"), function("F1", "F0")]
    assert "calls itself" in message(model([call], [value("x", [3])], domains=["f"], functions=circle))
    last = helper.make_function("f", "F40", ["a"], ["b"], [node("Relu", ["a"], ["b"])], opset)
    doubling = [function(f"F{i}", f"F{i + 1}") for i in range(40)]
    text = message(model([call], [value("x", [3])], domains=["f"], functions=[*doubling, last]))
    assert "expand to 1,099,511,627,776 nodes" in text


# ------------------------------------------------------------------------------------------ dimensions


def test_open_dimensions_are_asked_for_by_name() -> None:
    proto = single("Add", ["batch", "seq", 8], ["batch", "seq", 8])
    text = message(proto, UnboundDimensionError)
    assert "'batch' and 'seq'" in text
    assert "--dim batch=1 --dim seq=128" in text
    with pytest.raises(UnboundDimensionError) as caught:
        read_onnx(proto, dims={"batch": 4})
    assert caught.value.names == ("seq",)
    assert "the model has the dimensions batch, seq" in str(caught.value)


def test_unknown_dimensions_get_the_nearest_names() -> None:
    proto = single("Relu", ["batch", 8])
    assert "did you mean 'batch'?" in message(proto, InputError, dims={"bacth": 2, "batch": 2})
    assert "it has no dimension 'bacth'" in message(proto, InputError, dims={"bacth": 2})
    assert "all its dimensions are fixed" in message(single("Relu", [2, 8]), InputError, dims={"batch": 2})


@pytest.mark.parametrize("number", [0, -1, 2**31 + 1, 2**62, 1.5, "8", True, None])
def test_numbers_that_no_dimension_has(number: Any) -> None:
    assert "the dimension 'batch' is given as" in message(
        single("Relu", ["batch", 8]), InputError, dims={"batch": number}
    )


@pytest.mark.parametrize(("size", "expected"), [(2**62, "2^48"), (-7, "dimension -7"), (0, "dimension 0")])
def test_impossible_dimensions_in_the_file(size: int, expected: str) -> None:
    assert expected in message(single("Relu", [size, 8]))


def test_absurd_sizes_on_the_way() -> None:
    tile = model([node("Tile", ["x", "n"], ["y"])], [value("x", [4])], ["y"], [constant("n", [2**60])])
    assert "2^48" in message(tile)
    stored = weight("w", [4, 4])
    stored.dims[0] = -4
    assert "dimension -4" in message(model([node("MatMul", ["x", "w"], ["y"])], [value("x", [4, 4])], ["y"], [stored]))


@pytest.mark.parametrize(
    ("operator", "inputs"),
    [
        ("Reshape", "xn"),
        ("Expand", "xn"),
        ("ConstantOfShape", "n"),
        ("Tile", "xn"),
        ("Reshape", "xm"),
        ("Expand", "xm"),
    ],
)
@pytest.mark.parametrize("length", [65, 2**31])
def test_an_operand_of_a_billion_dimensions_is_refused(operator: str, inputs: str, length: int) -> None:
    start = time.process_time()
    nodes = [node("Neg", ["n"], ["m"]), node(operator, list(inputs), ["y"])]
    made = model(nodes[1:] if "m" not in inputs else nodes, [value("x", [4]), value("n", [length], INT64)], ["y"])
    assert f"{length} dimensions; tensors of up to 64 exist" in message(made)
    assert time.process_time() - start < 5


def test_a_minus_one_is_a_dimension_without_a_name() -> None:
    assert model_dims(single("Relu", [-1, 8])) == ("x0_0",)


@pytest.mark.parametrize(
    "name", ["9**9**9**9", '__import__("os").abort()', "a" * 5000, "((((" * 900, "\n", "x if y else z"]
)
def test_names_of_dimensions_are_never_executed(name: str) -> None:
    start = time.process_time()
    text = message(single("Relu", [name, 8]), UnboundDimensionError)
    assert "give a number for the dimension" in text
    assert time.process_time() - start < 5


# ---------------------------------------------------------------------------------- shapes and types


def test_operands_that_do_not_fit() -> None:
    assert "contraction dimensions: 4 vs 5" in message(single("MatMul", [2, 4], [5, 6]))
    assert "'node' (Add)" in message(single("Add", [2, 4], [5, 6]))
    assert "reshapes 6 elements into 8" in message(
        model([node("Reshape", ["x", "s"], ["y"])], [value("x", [6])], ["y"], [constant("s", [4, 2])])
    )
    assert "its filters are for 4 x 1 channels, its input has 3" in message(
        single("Conv", [1, 3, 9, 9], weights=[[8, 4, 3, 3]])
    )
    assert "dimension -2" in message(single("Conv", [1, 3, 4, 4], weights=[[8, 3, 7, 7]]))


def test_element_types_that_do_not_fit() -> None:
    add = [node("Add", ["a", "b"], ["y"], name="sum")]
    mixed = message(model(add, [value("a", [3]), value("b", [3], INT64)]))
    assert "'sum' (Add) mixes the element types FLOAT ('a') and INT64 ('b')" in mixed
    text = message(model([node("Relu", ["x"], ["y"], name="r")], [value("x", [3], TensorProto.STRING)]))
    assert "'r' (Relu) is not defined for STRING" in text
    assert "no element type" in message(model([node("Relu", ["x"], ["y"])], [value("x", [3], 0)]))
    assert "99" in message(model([node("Relu", ["x"], ["y"])], [value("x", [3], 99)]))
    assert "declares no shape" in message(model([node("Relu", ["x"], ["y"])], [value("x", None)]))


def test_constants_whose_bytes_do_not_fit_their_shape() -> None:
    broken = onnx.TensorProto(name="s", data_type=INT64, dims=[2], raw_data=b"123")
    text = message(model([node("Reshape", ["x", "s"], ["y"])], [value("x", [6])], ["y"], [broken]))
    assert "the data of the tensor 's' do not fit its shape" in text


def test_sparse_tensors_are_refused_by_name() -> None:
    numbers = constant("sparse", [1.0, 2.0], 1)
    sparse = helper.make_sparse_tensor(numbers, constant("places", [0, 5]), [8])
    stored = model([node("Add", ["x", "sparse"], ["y"])], [value("x", [8])])
    stored.graph.sparse_initializer.append(sparse)
    inside = [node("Constant", [], ["sparse"], sparse_value=sparse), node("Add", ["x", "sparse"], ["y"])]
    for proto in (stored, model(inside, [value("x", [8])])):
        assert "'sparse' is stored as a sparse tensor" in message(proto)


# -------------------------------------------------------------------------------------- external data


@pytest.mark.parametrize(
    "location",
    ["../secret", "/etc/passwd", "a/../../secret", "C:\\secret", "\\\\host\\share", "..\\secret", "C:secret"],
)
def test_external_data_outside_the_folder_are_refused(location: str) -> None:
    stored = weight("w", [8, 4])
    stored.external_data[0].value = location
    text = message(model([node("MatMul", ["x", "w"], ["y"])], [value("x", [3, 8])], ["y"], [stored]))
    assert "outside the model's folder" in text


def test_no_file_but_the_model_and_its_small_constants_is_opened(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    home, secret = tmp_path / "home", tmp_path / "secret"
    home.mkdir()
    secret.write_bytes(bytes(64))
    (home / "link").symlink_to(secret)
    (home / "weights.bin").write_bytes(bytes(400))
    shape = weight("s", [2], INT64)
    shape.external_data[0].value = "link"
    large = weight("w", [100])
    large.external_data[0].value = "weights.bin"
    nodes = [node("Add", ["x", "w"], ["h"]), node("Reshape", ["h", "s"], ["y"])]
    onnx.save(model(nodes, [value("x", [100])], [value("y", [4, 25])], [shape, large]), home / "m.onnx")
    opened: list[str] = []

    def watched(original: Any) -> Any:
        def call(file: Any, *args: Any, **kwargs: Any) -> Any:
            opened.append(str(file))
            return original(file, *args, **kwargs)

        return call

    monkeypatch.setattr(io, "open", watched(io.open))
    monkeypatch.setattr(builtins, "open", watched(builtins.open))
    graph = read_onnx(home / "m.onnx")
    assert [Path(f).name for f in opened if str(tmp_path) in f] == ["m.onnx"]
    assert graph.tensors["y"].shape == (4, 25)  # from what the file declares: the link was not followed


# ------------------------------------------------------------------------------------------------ noise


def bodies() -> list[bytes]:
    """Small models of different kinds, to be damaged."""
    body = helper.make_graph(
        [node("Identity", ["go"], ["on"]), node("Mul", ["h", "h"], ["n"])],
        "body",
        [value("i", [], INT64), value("go", [], BOOL), value("h", [3])],
        [value("on", [], BOOL), value("n", [3])],
    )
    loop = model(
        [node("Loop", ["t", "c", "x"], ["y"], body=body)],
        [value("x", [3])],
        ["y"],
        [constant("t", [4], shape=[]), constant("c", [True], BOOL, [])],
    )
    reshape = model(
        [node("Shape", ["x"], ["s"]), node("Concat", ["s", "m"], ["t"], axis=0), node("Reshape", ["x", "t"], ["y"])],
        [value("x", ["batch", 4])],
        ["y"],
        [constant("m", [-1])],
    )
    rest = [
        single("Conv", ["batch", 3, 8, 8], weights=[[4, 3, 3, 3], [4]], strides=[2, 2], auto_pad="SAME_UPPER"),
        single("Einsum", [2, 3, 4], [2, 4, 5], equation="bij,bjk->bik"),
        single("Attention", [2, 8, 16, 8], [2, 2, 16, 8], [2, 2, 16, 8], is_causal=1, opset=23),
    ]
    return [p.SerializeToString() for p in (loop, reshape, *rest)]


BODIES = bodies()


@settings(max_examples=400, deadline=None, derandomize=True, suppress_health_check=[HealthCheck.too_slow])
@given(
    which=st.integers(0, len(BODIES) - 1),
    edits=st.lists(st.tuples(st.integers(0, 2**20), st.integers(0, 255)), max_size=8),
    cut=st.integers(0, 2**20) | st.none(),
    symbolic=st.booleans(),
)
def test_damaged_models_raise_nothing_but_our_errors(
    which: int, edits: list[tuple[int, int]], cut: int | None, symbolic: bool
) -> None:
    data = bytearray(BODIES[which])
    for place, byte in edits:
        data[place % len(data)] = byte
    if cut is not None:
        del data[cut % len(data) :]
    text = refusal(bytes(data), dims={"batch": 2} if which in (1, 2) else None, keep_symbolic=symbolic)
    assert "\n" not in (text or "")


@settings(max_examples=200, deadline=None, derandomize=True)
@given(st.binary(max_size=200))
def test_noise_raises_nothing_but_our_errors(data: bytes) -> None:
    with pytest.raises(PerfmodelError):
        read_onnx(data)
