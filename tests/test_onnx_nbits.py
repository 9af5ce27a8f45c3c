"""MatMulNBits: the bytes of weights with their own width and block, in the format of their activations."""

from __future__ import annotations

from typing import Any

import onnx
import pytest
from onnx import helper
from onnx_models import FLOAT, FLOAT16, UINT8, model, value, weight

from perfmodel import ops
from perfmodel.features import read_onnx
from perfmodel.graph import Graph
from perfmodel.predict.cast import cast

BF16 = onnx.TensorProto.BFLOAT16


def nbits(
    bits: int = 4, block: int | None = 32, *, elem_type: int = FLOAT, n: int = 64, k: int = 256, zero_points: bool = False,
    m: int = 5,
) -> onnx.ModelProto:  # fmt: skip
    size = block or 32
    blocks = -(-k // size)
    packed, scales = [n, blocks, size * bits // 8], [n * blocks]
    initializers = [weight("b", packed, UINT8), weight("scales", scales, elem_type)]
    if zero_points:
        initializers.append(weight("zero", [n * -(-blocks * bits // 8)], UINT8))
    attributes: dict[str, Any] = {"N": n, "K": k, "bits": bits} | ({} if block is None else {"block_size": block})
    names = ["x", *(i.name for i in initializers)]
    node = helper.make_node("MatMulNBits", names, ["y"], name="node", domain="com.microsoft", **attributes)
    outputs = [value("y", [m, n], elem_type)]
    return model([node], [value("x", [m, k], elem_type)], outputs, initializers, domains=["com.microsoft"])


def only(proto: onnx.ModelProto) -> tuple[Graph, ops.Gemm, Any]:
    graph = read_onnx(proto)
    (node,) = graph.nodes
    assert isinstance(node.op, ops.Gemm)
    return graph, node.op, node


@pytest.mark.parametrize(
    ("bits", "block", "elem_type", "dtype"),
    [
        (4, 32, FLOAT16, "w4a16_g32"), (4, 128, FLOAT16, "w4a16"), (4, 128, BF16, "w4a16"), (8, 64, FLOAT16, "w8a16_g64"),
        (2, 16, FLOAT16, "w2a16_g16"), (3, 64, FLOAT, "w3a32_g64"), (4, 32, FLOAT, "w4a32_g32"), (8, 256, FLOAT, "w8a32_g256"),
        (4, None, FLOAT, "w4a32_g32"),
    ],
)  # fmt: skip
def test_width_and_block_make_the_format(bits: int, block: int | None, elem_type: int, dtype: str) -> None:
    graph, op, node = only(nbits(bits, block, elem_type=elem_type))
    assert op.dtype == dtype
    width = 4 if elem_type == FLOAT else 2
    # What the file stores: 64 x 256 weights, and a scale of the activations' width a block.
    stored = 64 * 256 * bits / 8 + 64 * 256 / (block or 32) * width
    assert op.weight_bytes == stored
    assert graph.weights_bytes == stored
    assert node.bytes == 5 * 256 * width + stored + 5 * 64 * width
    assert node.extra_bytes_read == 0


def test_zero_points_are_read() -> None:
    _, _, node = only(nbits(zero_points=True))
    assert node.extra_bytes_read == 64 * 4  # 8 blocks a row, 4 bits each


def test_a_block_longer_than_a_row_is_a_row() -> None:
    _, op, _ = only(nbits(block=128, k=64))
    assert op.dtype == "w4a32_g64"


@pytest.mark.parametrize(
    ("elem_type", "dtype", "after"),
    [(FLOAT, "bf16", "w4a16_g32"), (FLOAT16, "fp32", "w4a32_g32"), (FLOAT16, "fp8", "w4a16_g32"), (FLOAT, "fp32", "w4a32_g32")],
)  # fmt: skip
def test_stored_weights_stay_and_activations_follow(elem_type: int, dtype: str, after: str) -> None:
    graph = cast(read_onnx(nbits(elem_type=elem_type)), dtype)
    (node,) = graph.nodes
    assert node.op.dtype == after
    assert node.op.weight_bytes == 64 * 256 / 2 + 512 * (4 if after.startswith("w4a32") else 2)


@pytest.mark.parametrize("attributes", [{"bits": 9}, {"n": 0}, {"block": -1}])
def test_attributes_that_make_no_sense_are_counted_as_traffic(attributes: dict[str, int]) -> None:
    proto = nbits()
    for name, number in attributes.items():
        key = {"bits": "bits", "n": "N", "block": "block_size"}[name]
        (attribute,) = (a for a in proto.graph.node[0].attribute if a.name == key)
        attribute.i = number
    graph = read_onnx(proto)
    assert isinstance(graph.nodes[0].op, ops.Unmodelled)
    assert any("MatMulNBits" in w for w in graph.warnings)
