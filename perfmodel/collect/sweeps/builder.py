"""Writing the graph of a sweep model: names, weights, operators, chains of operators."""

from __future__ import annotations

from collections.abc import Sequence
from functools import cache
from math import prod
from typing import Any

import numpy as np

OPSET = 17
IR_VERSION = 8
_POOL = 1 << 20
"""Numbers that weights are cut from: kernels take as long whatever they multiply, and drawing millions takes seconds."""


@cache
def _pool(kind: str) -> np.ndarray:
    rng = np.random.default_rng(0)
    if kind == "float32":
        return rng.standard_normal(_POOL).astype(np.float32)
    low, high = np.iinfo(kind).min, np.iinfo(kind).max
    return rng.integers(low, high, _POOL, dtype=kind, endpoint=True)


class Builder:
    """A model that grows.

    Args:
        rng: of every dimension, choice and weight.

    Attributes:
        flops: multiplications and additions of the products so far, for budgets.
        weight_bytes: bytes of the weights so far.
    """

    def __init__(self, rng: np.random.Generator) -> None:
        self.rng = rng
        self.flops: float = 0.0
        self.weight_bytes: int = 0
        self._nodes: list[Any] = []
        self._weights: list[Any] = []
        self._inputs: list[Any] = []
        self._outputs: list[tuple[str, str]] = []
        self._made = 0

    def __len__(self) -> int:
        return len(self._nodes)

    # ------------------------------------------------------------------------------------------------ draws
    def between(self, low: float, high: float) -> int:
        """A whole number whose logarithm is uniform between two bounds."""
        return round(float(np.exp(self.rng.uniform(np.log(low), np.log(high)))))

    def one_of(self, *choices: Any) -> Any:
        """One of some choices, all alike."""
        return choices[int(self.rng.integers(len(choices)))]

    def chance(self, share: float) -> bool:
        """True in so many of all draws."""
        return bool(self.rng.random() < share)

    def channels(self, low: int, high: int) -> int:
        """A number of channels: mostly a multiple of 8 or 16, as networks have them, sometimes any."""
        drawn = self.between(low, high)
        step = self.one_of(16, 16, 8, 8, 32, 1)
        return drawn if drawn <= step else max(step, round(drawn / step) * step)

    # ----------------------------------------------------------------------------------------------- values
    def _name(self, stem: str) -> str:
        self._made += 1
        return f"{stem}_{self._made}"

    def input(self, *shape: int, kind: str = "float32") -> str:
        """An input of the model."""
        from onnx import helper

        name = self._name("x")
        self._inputs.append(helper.make_tensor_value_info(name, _element(kind), list(shape)))
        return name

    def weight(self, *shape: int, kind: str = "float32", scale: float | None = None) -> str:
        """A weight of random numbers; those of ``float32`` have the standard deviation ``scale`` (None: keeps the size
        of what a product's rows have)."""
        count = prod(shape)
        pool = _pool(kind)
        start = int(self.rng.integers(_POOL))
        values = np.take(pool, np.arange(start, start + count) % _POOL) if count else pool[:0]
        if kind == "float32":
            fan = count / max(shape[0], 1) if shape else 1.0
            values = values * np.float32(1 / np.sqrt(max(fan, 1.0)) if scale is None else scale)
        return self.constant(values.reshape(shape))

    def constant(self, values: Any) -> str:
        """A weight of given numbers."""
        from onnx import numpy_helper

        array = np.ascontiguousarray(values)
        name = self._name("w")
        self._weights.append(numpy_helper.from_array(array, name))
        self.weight_bytes += array.nbytes
        return name

    def positive(self, *shape: int) -> str:
        """A weight of numbers around 1: scales and variances."""
        return self.constant(self.rng.uniform(0.5, 1.5, shape).astype(np.float32))

    # -------------------------------------------------------------------------------------------- operators
    def op(self, op_type: str, *inputs: str, domain: str = "", **attributes: Any) -> str:
        """An operator with one result; its name."""
        return self.ops(op_type, *inputs, results=1, domain=domain, **attributes)[0]

    def ops(self, op_type: str, *inputs: str, results: int, domain: str = "", **attributes: Any) -> tuple[str, ...]:
        """An operator with several results; their names."""
        from onnx import helper

        outputs = tuple(self._name("t") for _ in range(results))
        name = self._name(op_type)
        self._nodes.append(
            helper.make_node(op_type, list(inputs), list(outputs), name=name, domain=domain, **attributes)
        )
        return outputs

    def count(self, flops: float) -> None:
        """Adds FLOPs to the budget."""
        self.flops += flops

    def output(self, name: str, kind: str = "float32") -> None:
        """A result of the model."""
        self._outputs.append((name, kind))

    def model(self, name: str) -> Any:
        """The model so far, as ``onnx.ModelProto``."""
        from onnx import helper

        outputs = [helper.make_tensor_value_info(o, _element(kind), None) for o, kind in self._outputs]
        graph = helper.make_graph(self._nodes, name, self._inputs, outputs, self._weights)
        opsets = [helper.make_opsetid("", OPSET), helper.make_opsetid("com.microsoft", 1)]
        return helper.make_model(graph, opset_imports=opsets, ir_version=IR_VERSION)


def _element(kind: str) -> int:
    from onnx import helper

    return int(helper.np_dtype_to_tensor_dtype(np.dtype(kind)))


def int64(builder: Builder, values: Sequence[int]) -> str:
    """A constant of axes, shapes or indices."""
    return builder.constant(np.array(values, dtype=np.int64))
