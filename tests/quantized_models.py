"""ONNX models with quantise and dequantise nodes, built by hand."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import onnx
from onnx import TensorProto, helper
from onnx_models import FLOAT, FLOAT16, INT8, UINT8, constant, model, value, weight

INT4, UINT4, INT16, UINT16, INT32 = (
    TensorProto.INT4, TensorProto.UINT4, TensorProto.INT16, TensorProto.UINT16, TensorProto.INT32,
)  # fmt: skip
FP8, FP4 = TensorProto.FLOAT8E4M3FN, TensorProto.FLOAT4E2M1
_NUMBERS = (FLOAT, FLOAT16, INT8, UINT8, INT16, UINT16, INT32)


class Builder:
    """A model under construction; every method returns the name of what it makes."""

    def __init__(self, floating: int = FLOAT, opset: int = 23) -> None:
        self.floating = floating
        self.opset = opset
        self.nodes: list[onnx.NodeProto] = []
        self.inputs: list[onnx.ValueInfoProto] = []
        self.initializers: list[onnx.TensorProto] = []

    def _name(self) -> str:
        return f"t{len(self.nodes) + len(self.initializers) + len(self.inputs)}"

    def input(self, *shape: Any, elem_type: int | None = None) -> str:
        """An input of the model."""
        name = self._name()
        self.inputs.append(value(name, shape, elem_type or self.floating))
        return name

    def weight(self, *shape: int, elem_type: int | None = None) -> str:
        """A stored tensor whose data nobody has."""
        name = self._name()
        self.initializers.append(weight(name, shape, elem_type or self.floating))
        return name

    def number(self, number: float, elem_type: int | None = None) -> str:
        """A stored tensor of one element."""
        name = self._name()
        self.initializers.append(constant(name, [number], elem_type or self.floating, shape=[]))
        return name

    def ints(self, *numbers: int) -> str:
        """A stored list of integers."""
        name = self._name()
        self.initializers.append(constant(name, numbers))
        return name

    def node(self, op_type: str, *inputs: str, outputs: int = 1, domain: str = "", **attributes: Any) -> Any:
        """One operator; a list where it has several results."""
        base = self._name()
        names = [base if i == 0 else f"{base}_{i}" for i in range(outputs)]
        self.nodes.append(
            helper.make_node(op_type, inputs, names, name=f"n{len(self.nodes)}", domain=domain, **attributes)
        )
        return names[0] if outputs == 1 else names

    def quantize(self, x: str, scale: float = 0.5, elem_type: int = INT8, zero: int = 0) -> str:
        """Q with one scale and one zero point."""
        return str(self.node("QuantizeLinear", x, self.number(scale), self._zero(elem_type, zero)))

    def dequantize(self, x: str, scale: float = 0.5, elem_type: int = INT8, zero: int = 0) -> str:
        """DQ with one scale and one zero point."""
        return str(self.node("DequantizeLinear", x, self.number(scale), self._zero(elem_type, zero)))

    def _zero(self, elem_type: int, zero: int) -> str:
        if elem_type in _NUMBERS:
            return self.number(zero, elem_type)
        return self.weight(elem_type=elem_type)

    def qdq(self, x: str, scale: float = 0.5, elem_type: int = INT8, zero: int = 0) -> str:
        """Q and DQ."""
        return self.dequantize(self.quantize(x, scale, elem_type, zero), scale, elem_type, zero)

    def stored(
        self, *shape: int, elem_type: int = INT8, axis: int | None = None, block: int | None = None, zeros: bool = False
    ) -> str:
        """Quantised weights, dequantised: one scale in all, one along an axis, or one a block along an axis."""
        data = self.weight(*shape, elem_type=elem_type)
        attributes: dict[str, int] = {} if axis is None else {"axis": axis}
        scales: Sequence[int] = () if axis is None else (shape[axis],)
        if block is not None:
            assert axis is not None
            attributes["block_size"] = block
            scales = tuple(s // block if i == axis else s for i, s in enumerate(shape))
        parameters = [self.weight(*scales) if scales else self.number(0.5)]
        if zeros:
            parameters.append(self.weight(*scales, elem_type=elem_type))
        return str(self.node("DequantizeLinear", data, *parameters, **attributes))

    def conv(self, x: str, w: str, *bias: str, kernel: int = 3, **attributes: Any) -> str:
        """A convolution that keeps height and width."""
        attributes.setdefault("pads", [kernel // 2] * 4)
        return str(self.node("Conv", x, w, *bias, kernel_shape=[kernel, kernel], **attributes))

    def model(self, *outputs: str) -> onnx.ModelProto:
        """The finished model."""
        return model(self.nodes, self.inputs, outputs, self.initializers, opset=self.opset, domains=["com.microsoft"])
