"""What operators read and write beside their first operand and result, counted by hand on small shapes."""

from __future__ import annotations

from typing import Any

import onnx
import pytest
from onnx import TensorProto, helper
from onnx_models import BOOL, FLOAT, FLOAT16, INT64, constant, model, value, weight

from perfmodel import ops
from perfmodel.features import read_onnx
from perfmodel.features.fusion import fuse
from perfmodel.graph import Node

node = helper.make_node
MICROSOFT = "com.microsoft"


def only(proto: onnx.ModelProto, **dims: int) -> Node:
    (found,) = read_onnx(proto, dims=dims).nodes
    return found


# ------------------------------------------------------------------------------------------------- training


@pytest.mark.parametrize(
    ("opset", "outputs", "attributes", "extra"),
    [
        (15, ["y"], {"training_mode": 1}, 0),
        (15, ["y", "m", "v"], {"training_mode": 1}, 2 * 4 * 6),
        (9, ["y", "m", "v", "m1", "v1"], {}, 4 * 4 * 6),  # the results say that it trains
    ],
)
def test_batchnorm_in_training_takes_means_of_its_own(
    opset: int, outputs: list[str], attributes: dict[str, Any], extra: int
) -> None:
    nodes = [node("Conv", ["x", "w"], ["c"]), node("BatchNormalization", ["c", *"gggg"], outputs, **attributes)]
    results = [value("y", [2, 6, 4, 4])]  # inference leaves the shapes of the others open before operator set 14
    graph = read_onnx(
        model(nodes, [value("x", [2, 3, 4, 4])], results, [weight("w", [6, 3, 1, 1]), weight("g", [6])], opset=opset)
    )
    conv, norm = fuse(graph).nodes  # nothing is folded: the scale follows from the data
    # 6 channels of 32 elements: 7 FLOPs an element, 8 a channel. Scale, shift and both running statistics are read.
    assert (norm.flops, norm.op.bytes_read, norm.op.bytes_written) == (7 * 192 + 8 * 6, 4 * (192 + 4 * 6), 4 * 192)
    assert norm.extra_bytes_read == extra
    assert conv.flops == 2 * 192 * 3


def dropout(op_type: str, operands: list[str], ratio: float, trains: bool, outputs: list[str]) -> Node:
    domain = MICROSOFT if op_type == "BiasDropout" else ""
    stored = [constant("r", [ratio], FLOAT, []), constant("t", [trains], BOOL, [])]
    results = [value("y", [5, 8]), value("m", [5, 8], BOOL)][: len(outputs)]
    inputs = [value(n, [5, 8]) for n in operands]
    return only(
        model(
            [node(op_type, [*operands, "r", "t"], outputs, domain=domain)], inputs, results, stored, domains=[MICROSOFT]
        )
    )


def test_dropout_in_training_is_computed_and_its_mask_written() -> None:
    found = dropout("Dropout", ["x"], 0.5, True, ["y", "m"])
    # Compared, selected, scaled; 40 elements in and out, and a byte each for the mask.
    assert (found.flops, found.op.bytes_read, found.op.bytes_written) == (3 * 40, 4 * 40, 4 * 40 + 40)
    assert dropout("Dropout", ["x"], 0.5, True, ["y"]).bytes == 2 * 4 * 40
    for inactive in (dropout("Dropout", ["x"], 0.5, False, ["y"]), dropout("Dropout", ["x"], 0.0, True, ["y"])):
        assert isinstance(inactive.op, ops.View)


def test_dropout_behind_a_bias_and_a_residual_in_training() -> None:
    found = dropout("BiasDropout", ["x", "b", "s"], 0.5, True, ["y", "m"])
    assert (found.flops, found.op.bytes_read, found.op.bytes_written) == (5 * 40, 3 * 4 * 40, 4 * 40 + 40)
    assert dropout("BiasDropout", ["x", "b", "s"], 0.5, False, ["y"]).flops == 2 * 40


# ------------------------------------------------------------------------------------ norms after a residual


def contrib(
    op_type: str,
    shapes: list[list[int] | None],
    outputs: tuple[str, ...] = ("y",),
    elem_type: int = FLOAT,
    **attributes: Any,
) -> Node:
    """An operator of ONNX Runtime on inputs of these shapes, None where one is absent; so is an output without a name."""
    names = ["" if shape is None else f"x{i}" for i, shape in enumerate(shapes)]
    inputs = [value(name, shape, elem_type) for name, shape in zip(names, shapes, strict=True) if name]
    nodes = [node(op_type, names, outputs, domain=MICROSOFT, **attributes)]
    return only(model(nodes, inputs, [o for o in outputs if o], domains=[MICROSOFT]))


def test_sum_with_a_residual_is_written_where_it_is_wanted() -> None:
    x, gamma = [1, 128, 64], [64]
    # 128 rows of 64: layer norm 7 FLOPs an element and 8 a row, the sum 1 an element. Two tensors are read, and gamma.
    flops, read = 8192 * (7 + 1) + 128 * 8, 2 * 4 * 8192 + 4 * 64
    alone = contrib("SkipLayerNormalization", [x, x, gamma])
    assert (alone.flops, alone.bytes) == (flops, read + 4 * 8192)
    both = contrib("SkipLayerNormalization", [x, x, gamma], ("y", "", "", "sum"))
    assert (both.flops, both.bytes) == (flops, read + 2 * 4 * 8192)
    # The RMS form: 4 FLOPs an element, and 1 for a bias that is added, too.
    biased = contrib("SkipSimplifiedLayerNormalization", [x, x, gamma, [64]])
    assert (biased.flops, biased.bytes) == (8192 * (4 + 2) + 128 * 8, read + 4 * 64 + 4 * 8192)
    shared = contrib("SkipLayerNormalization", [[8, 128, 64], x, gamma])  # one residual for 8 sequences
    assert shared.bytes == 2 * 8 * 4 * 8192 + 4 * 8192 + 4 * 64


def test_group_norm_whose_sum_nobody_wants() -> None:
    x = [2, 4, 4, 8]
    found = contrib("SkipGroupNorm", [x, [8], [8], x], elem_type=FLOAT16, groups=2, activation=1)
    # 4 groups of 64: 7 FLOPs an element and 8 a group, the sum 1, SiLU 15; scale and shift count as wide as the rest.
    assert (found.flops, found.bytes) == (256 * (7 + 1 + 15) + 4 * 8, 2 * (3 * 256 + 16))


# ------------------------------------------------------------------------------------------- operands of two widths


def test_condition_is_a_byte_an_element() -> None:
    nodes = [node("Where", ["c", "x", "z"], ["y"])]
    inputs = [value("c", [1000], BOOL), value("x", [1000]), value("z", [1000])]
    both = only(model(nodes, inputs))
    assert both.bytes == 13 * 1000  # 1 + 4 + 4 read, 4 written
    filled = only(model(nodes, inputs[:2], ["y"], [constant("z", [0.0], FLOAT, [])]))
    assert filled.bytes == 9 * 1000 + 4
    turned = only(model(nodes, [value("c", [10, 1], BOOL), value("x", [10, 100]), value("z", [])]))
    assert turned.bytes == 10 + 4000 + 4 + 4000  # each at its own size
    assert both.flops == turned.flops == 1000


def test_exponents_of_another_dtype_are_read_as_wide_as_they_are() -> None:
    found = only(model([node("Pow", ["x", "e"], ["y"])], [value("x", [100], FLOAT16), value("e", [100], INT64)]))
    assert found.bytes == (2 + 8 + 2) * 100
    assert found.op.dtype == "fp16"


# ----------------------------------------------------------------------------------- positions and other results


@pytest.mark.parametrize("positions", [True, False])
def test_positions_of_maxima_are_written_where_they_are_wanted(positions: bool) -> None:
    outputs = ["y", "i"][: 1 + positions]
    results = [value("y", [1, 4, 4, 4]), value("i", [1, 4, 4, 4], INT64)][: 1 + positions]
    proto = model(
        [node("MaxPool", ["x"], outputs, kernel_shape=[2, 2], strides=[2, 2])], [value("x", [1, 4, 8, 8])], results
    )
    assert only(proto).bytes == 4 * (256 + 64) + 8 * 64 * positions


def test_masks_of_pooling_are_read() -> None:
    found = contrib("MaxpoolWithMask", [[1, 4, 8, 8], [1, 4, 8, 8]], kernel_shape=[2, 2], strides=[2, 2])
    assert found.bytes == 4 * (2 * 256 + 64)


@pytest.mark.parametrize(
    ("op_type", "second", "elem_type", "attributes", "result", "read"),
    [
        # 256 values and their positions in, four times as many out
        ("MaxUnpool", [1, 4, 8, 8], INT64, {"kernel_shape": [2, 2], "strides": [2, 2]}, [1, 4, 16, 16], (4 + 8) * 256),
        ("Compress", [8], BOOL, {"axis": 2}, [1, 4, 3, 8], 4 * 256 + 8),
        ("ReverseSequence", [8], INT64, {"time_axis": 0, "batch_axis": 2}, [1, 4, 8, 8], 4 * 256 + 8 * 8),
    ],
)
def test_what_says_which_elements_is_read(
    op_type: str, second: list[int], elem_type: int, attributes: dict[str, Any], result: list[int], read: int
) -> None:
    inputs = [value("x", [1, 4, 8, 8]), value("i", second, elem_type)]
    found = only(model([node(op_type, ["x", "i"], ["y"], **attributes)], inputs, [value("y", result)]))
    written = 4 * result[0] * result[1] * result[2] * result[3]
    assert found.bytes == read + written


@pytest.mark.parametrize(
    ("op_type", "given", "made", "attributes", "expected"),
    [
        ("NonZero", (BOOL, [3, 100]), (INT64, [2, 40]), {}, 300 + 8 * 80),
        ("Bernoulli", (FLOAT, [1000]), (TensorProto.DOUBLE, [1000]), {"dtype": TensorProto.DOUBLE}, (4 + 8) * 1000),
        ("Multinomial", (FLOAT, [2, 50]), (TensorProto.INT32, [2, 10]), {"sample_size": 10}, 4 * (100 + 20)),
        ("Multinomial", (FLOAT, [2, 50]), (INT64, [2, 10]), {"sample_size": 10, "dtype": INT64}, 4 * 100 + 8 * 20),
    ],
)
def test_results_are_as_wide_as_they_are_stored(
    op_type: str, given: tuple[int, list[int]], made: tuple[int, list[int]], attributes: dict[str, Any], expected: int
) -> None:
    inputs, results = [value("x", given[1], given[0])], [value("y", made[1], made[0])]
    assert only(model([node(op_type, ["x"], ["y"], **attributes)], inputs, results)).bytes == expected


def test_state_of_a_causal_convolution_is_written() -> None:
    proto = model(
        [node("CausalConvWithState", ["x", "w"], ["y", "s"])], [value("x", [2, 4, 8]), value("w", [4, 1, 4])],
        [value("y", [2, 4, 8]), value("s", [2, 4, 3])], opset=27,
    )  # fmt: skip
    assert only(proto).bytes == 4 * (64 + 16 + 64 + 24)


# ------------------------------------------------------------------------------------------------- attention


def grouped(
    q_len: int, cache: tuple[int, list[int]], further: dict[int, tuple[int, list[int]]], **attributes: Any
) -> Node:
    """A GroupQueryAttention in fp16 of 8 heads of 64 over 2 of keys and values, with a cache and further operands."""
    operands: dict[int, tuple[int, list[int]]] = {
        0: (FLOAT16, [1, q_len, 512]), 1: (FLOAT16, [1, q_len, 128]), 2: (FLOAT16, [1, q_len, 128]), 3: cache, 4: cache,
        5: (TensorProto.INT32, [1]), 6: (TensorProto.INT32, [1]), **further,
    }  # fmt: skip
    names = [f"x{i}" if i in operands else "" for i in range(max(operands) + 1)]
    inputs = [value(f"x{i}", shape, elem_type) for i, (elem_type, shape) in operands.items()]
    nodes = [node("GroupQueryAttention", names, ["y"], domain=MICROSOFT, num_heads=8, kv_num_heads=2, **attributes)]
    return only(model(nodes, inputs, domains=[MICROSOFT]))


def test_bias_of_grouped_attention_is_added_to_the_scores() -> None:
    cache, bias = (FLOAT16, [1, 2, 48, 64]), {10: (FLOAT16, [1, 8, 16, 64])}
    plain, biased = grouped(16, cache, {}), grouped(16, cache, bias)
    # 8 heads of 16 queries times 48 + 16 keys
    assert biased.flops - plain.flops == 8 * 16 * 64
    assert biased.bytes - plain.bytes == 2 * 8 * 16 * 64


def test_four_bits_of_a_cache_lie_in_pairs() -> None:
    scales = {12: (FLOAT, [1]), 13: (FLOAT, [1])}
    found = grouped(1, (TensorProto.UINT8, [1, 2, 63, 32]), scales, kv_cache_bit_width=4)
    # Queries and results of 8 x 64 in fp16; keys and values of 2 x 64 of 63 + 1 tokens in half a byte; two scales.
    assert found.bytes == 2 * (2 * 512) + 2 * 2 * 64 * 64 // 2 + 2 * 4


# ------------------------------------------------------------------------------------------------------ casts


@pytest.mark.parametrize("target", [TensorProto.FLOAT8E5M2, TensorProto.FLOAT8E4M3FN])
def test_cast_between_two_formats_of_eight_bits_is_a_kernel(target: int) -> None:
    nodes = [node("Cast", ["x"], ["y"], to=target)]
    graph = read_onnx(
        model(nodes, [value("x", [1000], TensorProto.FLOAT8E4M3FN)], [value("y", [1000], target)], opset=23)
    )
    for found in (graph, fuse(graph)):
        assert found.total("bytes") == (2 * 1000 if target == TensorProto.FLOAT8E5M2 else 0)
