"""What ONNX Runtime's quantisation tools write, read and fused."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import onnx
import pytest
from fusion_checks import check_invariants
from onnx import helper, numpy_helper

from perfmodel.features import read_onnx
from perfmodel.features.fusion import fuse
from perfmodel.graph import Graph

quantization = pytest.importorskip("onnxruntime.quantization", reason="onnxruntime is not installed")
N = helper.make_node
CNN, TRANSFORMER = (1, 3, 16, 16), (2, 4, 16)


def _model(nodes: list[onnx.NodeProto], shape: tuple[int, ...], tensors: dict[str, Any]) -> onnx.ModelProto:
    rng = np.random.default_rng(0)
    stored = {k: rng.normal(0, 0.1, v).astype(np.float32) if isinstance(v, tuple) else v for k, v in tensors.items()}
    graph = helper.make_graph(
        nodes, "test", [helper.make_tensor_value_info("x", 1, shape)], [helper.make_tensor_value_info("y", 1, None)],
        [numpy_helper.from_array(array, name) for name, array in stored.items()],
    )  # fmt: skip
    return helper.make_model(graph, opset_imports=[helper.make_opsetid("", 17)], ir_version=8)


def cnn() -> onnx.ModelProto:
    """Convolutions with a residual, pools, a concatenation and a linear layer."""
    nodes = [
        N("Conv", ["x", "w1", "b1"], ["c1"], kernel_shape=[3, 3], pads=[1] * 4), N("Relu", ["c1"], ["r1"]),
        N("MaxPool", ["r1"], ["p1"], kernel_shape=[2, 2], strides=[2, 2]),
        N("Conv", ["p1", "w2", "b1"], ["c2"], kernel_shape=[3, 3], pads=[1] * 4), N("Relu", ["c2"], ["r2"]),
        N("Conv", ["r2", "w3"], ["c3"], kernel_shape=[1, 1]), N("Add", ["c3", "p1"], ["a3"]), N("Relu", ["a3"], ["r3"]),
        N("Concat", ["r3", "p1"], ["cc"], axis=1), N("GlobalAveragePool", ["cc"], ["g"]), N("Flatten", ["g"], ["f"]),
        N("Gemm", ["f", "w4", "b4"], ["y"], transB=1),
    ]  # fmt: skip
    sizes = {"w1": (8, 3, 3, 3), "b1": (8,), "w2": (8, 8, 3, 3), "w3": (8, 8, 1, 1), "w4": (10, 16), "b4": (10,)}
    return _model(nodes, CNN, sizes)


def transformer() -> onnx.ModelProto:
    """Attention with projections, a residual, a norm and a feed-forward layer."""
    nodes, sizes = [], {}
    for name, source, k, n in (("q", "x", 16, 16), ("k", "x", 16, 16), ("v", "x", 16, 16)):
        nodes += [N("MatMul", [source, f"{name}w"], [f"{name}m"]), N("Add", [f"{name}m", f"{name}b"], [name])]
        nodes += [N("Reshape", [name, "heads"], [f"{name}r"])]
        nodes += [N("Transpose", [f"{name}r"], [f"{name}t"], perm=[0, 2, 3, 1] if name == "k" else [0, 2, 1, 3])]
        sizes |= {f"{name}w": (k, n), f"{name}b": (n,)}
    nodes += [
        N("MatMul", ["qt", "kt"], ["s"]), N("Mul", ["s", "scale"], ["ss"]), N("Softmax", ["ss"], ["p"], axis=-1),
        N("MatMul", ["p", "vt"], ["o"]), N("Transpose", ["o"], ["ot"], perm=[0, 2, 1, 3]), N("Reshape", ["ot", "flat"], ["or"]),
        N("MatMul", ["or", "zw"], ["zm"]), N("Add", ["zm", "x"], ["h"]),
        N("LayerNormalization", ["h", "qb", "kb"], ["ln"], axis=-1),
        N("MatMul", ["ln", "uw"], ["u"]), N("Relu", ["u"], ["ur"]), N("MatMul", ["ur", "dw"], ["d"]),
        N("Add", ["d", "h"], ["y"]),
    ]  # fmt: skip
    more = {
        "zw": (16, 16), "uw": (16, 32), "dw": (32, 16), "scale": np.float32(0.35),
        "heads": np.array([0, 0, 2, 8]), "flat": np.array([0, 0, 16]),
    }  # fmt: skip
    return _model(nodes, TRANSFORMER, {**sizes, **more})


class _Samples(quantization.CalibrationDataReader):  # type: ignore[misc]
    def __init__(self, shape: tuple[int, ...]) -> None:
        rng = np.random.default_rng(1)
        self._samples: Iterator[Any] = iter([{"x": rng.normal(size=shape).astype(np.float32)} for _ in range(2)])

    def get_next(self) -> Any:
        return next(self._samples, None)


def quantised(name: str, tmp_path: Path, **options: Any) -> tuple[Graph, Graph]:
    """The model after the tool: read, and fused; what fusion promises is checked."""
    source, target = tmp_path / "float.onnx", tmp_path / "quantised.onnx"
    onnx.save(cnn() if name == "cnn" else transformer(), source)
    if options.pop("dynamic", False):
        quantization.quantize_dynamic(source, target, **options)
    else:
        shape = CNN if name == "cnn" else TRANSFORMER
        quantization.quantize_static(source, target, _Samples(shape), **options)
    before = read_onnx(target)
    after = fuse(before)
    check_invariants(before, after)
    return before, after


def products(graph: Graph) -> Counter[str]:
    return Counter(n.op.dtype for n in graph.nodes if n.op.products)


_QDQ, _QOPERATOR = quantization.QuantFormat.QDQ, quantization.QuantFormat.QOperator
_SIXTEEN = {
    "activation_type": quantization.QuantType.QUInt16, "weight_type": quantization.QuantType.QInt8,
    "extra_options": {"UseQDQContribOps": True},
}  # fmt: skip


@pytest.mark.parametrize(
    ("name", "options", "dtype", "count"),
    [
        ("cnn", {"quant_format": _QDQ}, "int8", 4),
        ("cnn", {"quant_format": _QDQ, "per_channel": True}, "int8", 4),
        ("cnn", {"quant_format": _QDQ, **_SIXTEEN}, "w8a16", 4),
        ("cnn", {"quant_format": _QOPERATOR}, "int8", 4),
        ("cnn", {"dynamic": True}, "int8", 4),
        ("transformer", {"quant_format": _QDQ}, "int8", 8),
        ("transformer", {"quant_format": _QOPERATOR}, "int8", 8),
        ("transformer", {"dynamic": True, "per_channel": True}, "int8", 6),
    ],
)  # fmt: skip
def test_all_products_run_narrow(name: str, options: dict[str, Any], dtype: str, count: int, tmp_path: Path) -> None:
    before, after = quantised(name, tmp_path, **options)
    found = products(after)
    # Attention itself is not quantised dynamically: Q·K^T and P·V have no weights.
    assert found == {dtype: count, **({"fp32": 1} if "dynamic" in options and name == "transformer" else {})}
    assert not any(n.op.op == "unmodelled" for n in before.nodes)
    assert not any(n.op.dtype == "fp32" for n in after.nodes if n.op.op in ("pool", "copy")) or "dynamic" in options


def test_both_formats_move_the_same_bytes(tmp_path: Path) -> None:
    """With Q and DQ around operators, and with operators of integers: the same kernels in the end."""
    _, pairs = quantised("cnn", tmp_path, quant_format=_QDQ)
    _, single = quantised("cnn", tmp_path, quant_format=_QOPERATOR)
    assert len(pairs.nodes) == len(single.nodes) == 10
    # An operator of integers reads each scale and zero point, five bytes a pair; Q and DQ have them as immediates.
    scales = 3 * 15 + 10 + 15 + 15
    assert abs(single.total("bytes") - pairs.total("bytes")) <= scales
    assert pairs.total("product_flops") == single.total("product_flops")


def test_dynamic_quantisation_of_activations_is_a_kernel_each(tmp_path: Path) -> None:
    _, after = quantised("transformer", tmp_path, dynamic=True)
    assert Counter(n.op.op for n in after.nodes) == {"quantize": 4, "gemm": 6, "attention": 1, "norm": 1}
