"""A small language for building graphs by hand, as a reader would: the fusion tests write models in it."""

from __future__ import annotations

from math import prod
from typing import Any

from perfmodel import ops
from perfmodel.graph import Graph, Node, Tensor


class Builder:
    """Collects tensors and nodes; every method that makes a node returns the name of its (first) result."""

    def __init__(self, dtype: str = "fp32") -> None:
        self.dtype = dtype
        self.tensors: dict[str, Tensor] = {}
        self.nodes: list[Node] = []
        self.inputs: list[str] = []
        self._count = 0

    def _name(self, prefix: str) -> str:
        self._count += 1
        return f"{prefix}_{self._count}"

    def input(self, *shape: Any, dtype: str | None = None) -> str:
        """A tensor that the model is given."""
        name = self._name("input")
        self.tensors[name] = Tensor(name, shape, dtype or self.dtype)
        self.inputs.append(name)
        return name

    def weight(self, *shape: Any, dtype: str | None = None) -> str:
        """A tensor stored with the model."""
        name = self._name("weight")
        self.tensors[name] = Tensor(name, shape, dtype or self.dtype, is_weight=True)
        return name

    def scalar(self, value: float, dtype: str | None = None) -> str:
        """A constant of one element whose value is known."""
        name = self._name("scalar")
        self.tensors[name] = Tensor(name, (), dtype or self.dtype, is_weight=True, scalar=value)
        return name

    def shape(self, name: str) -> tuple[Any, ...]:
        """The shape of a tensor."""
        shape = self.tensors[name].shape
        assert shape is not None
        return shape

    def size(self, name: str) -> Any:
        """The elements of a tensor."""
        return prod(self.shape(name))

    def node(
        self,
        op: ops.Operator,
        inputs: tuple[str, ...],
        *shapes: tuple[Any, ...],
        dtype: str | None = None,
        **fields: Any,
    ) -> tuple[str, ...]:
        """A node with one result a shape."""
        name = self._name(getattr(op, "kind", op.op).split("+")[0])
        outputs = tuple(f"{name}.{i}" for i in range(len(shapes)))
        for output, shape in zip(outputs, shapes, strict=True):
            self.tensors[output] = Tensor(output, shape, dtype or self.tensors[inputs[0]].dtype)
        self.nodes.append(Node(name, op, inputs, outputs, source_op=op.op, **fields))
        return outputs

    def ew(self, kind: str, *inputs: str, dtype: str | None = None, **fields: Any) -> str:
        """A scalar function over the broadcast of its operands; numbers become scalars."""
        names = tuple(self.scalar(n) if isinstance(n, (int, float)) else n for n in inputs)
        rank = max(len(self.shape(n)) for n in names)
        padded = [(1,) * (rank - len(self.shape(n))) + self.shape(n) for n in names]
        shape = tuple(next((d for d in axis if d != 1), 1) for axis in zip(*padded, strict=True))
        own = self.tensors[names[0]].dtype
        if own == "bool" and len(names) > 1:
            own = self.tensors[names[1]].dtype
        if kind in ("less", "less_equal", "greater", "greater_equal", "is_nan", "equal", "and"):
            dtype = "bool"
        op = ops.Elementwise(
            kind=kind, elements=prod(shape), inputs=len(names), input_elements=sum(self.size(n) for n in names),
            dtype=own, out_dtype=None if dtype in (None, own) else dtype,
        )  # fmt: skip
        return self.node(op, names, shape, dtype=dtype or own, **fields)[0]

    def view(self, name: str, *shape: Any, kind: str = "reshape") -> str:
        """A reshape."""
        assert prod(shape) == self.size(name)
        return self.node(ops.View(kind=kind, dtype=self.tensors[name].dtype), (name,), shape)[0]

    def cast(self, name: str, dtype: str) -> str:
        """A cast."""
        op = ops.Copy(kind="cast", elements=self.size(name), dtype=self.tensors[name].dtype, out_dtype=dtype)
        return self.node(op, (name,), self.shape(name), dtype=dtype)[0]

    def transpose(self, name: str, *perm: int) -> str:
        """A transpose."""
        shape = self.shape(name)
        op = ops.Copy(kind="transpose", elements=self.size(name), dtype=self.tensors[name].dtype)
        return self.node(op, (name,), tuple(shape[p] for p in perm), attributes={"perm": perm})[0]

    def expand(self, name: str, *shape: Any) -> str:
        """A broadcast that is written out."""
        op = ops.Copy(
            kind="expand", elements=prod(shape), read_elements=self.size(name), dtype=self.tensors[name].dtype
        )
        return self.node(op, (name,), shape)[0]

    def slice(self, name: str, axis: int, start: int, stop: int) -> str:
        """A part along one axis."""
        shape = list(self.shape(name))
        shape[axis] = stop - start
        op = ops.Copy(kind="slice", elements=prod(shape), dtype=self.tensors[name].dtype)
        return self.node(op, (name,), tuple(shape), attributes={"axes": (axis,), "starts": (start,), "ends": (stop,)})[
            0
        ]

    def split(self, name: str, axis: int, parts: int) -> tuple[str, ...]:
        """Equal parts along one axis."""
        shape = list(self.shape(name))
        shape[axis] //= parts
        op = ops.Copy(kind="split", elements=self.size(name), dtype=self.tensors[name].dtype)
        return self.node(op, (name,), *[tuple(shape)] * parts, attributes={"axis": axis})

    def concat(self, axis: int, *names: str) -> str:
        """Several tensors behind each other."""
        shape = list(self.shape(names[0]))
        shape[axis] = sum(self.shape(n)[axis] for n in names)
        op = ops.Copy(kind="concat", elements=prod(shape), dtype=self.tensors[names[0]].dtype)
        return self.node(op, names, tuple(shape), attributes={"axis": axis})[0]

    def reduce(self, kind: str, name: str, axis: int = -1) -> str:
        """A reduction along one axis, which is kept with one element."""
        shape = list(self.shape(name))
        cols = shape[axis]
        shape[axis] = 1
        op = ops.Reduce(kind=kind, rows=prod(shape), cols=cols, dtype=self.tensors[name].dtype)
        axis %= len(shape)
        return self.node(op, (name,), tuple(shape), attributes={"axis": (axis,), "keepdims": True})[0]

    def softmax(self, name: str) -> str:
        """A softmax over the last axis."""
        shape = self.shape(name)
        op = ops.Softmax(rows=prod(shape[:-1]), cols=shape[-1], dtype=self.tensors[name].dtype)
        return self.node(op, (name,), shape, attributes={"axis": len(shape) - 1})[0]

    def layernorm(self, name: str) -> str:
        """A LayerNorm over the last axis with gamma and beta."""
        shape = self.shape(name)
        op = ops.Norm(kind="layernorm", rows=prod(shape[:-1]), cols=shape[-1], dtype=self.tensors[name].dtype)
        return self.node(op, (name, self.weight(shape[-1]), self.weight(shape[-1])), shape)[0]

    def batchnorm(self, name: str) -> str:
        """A batch norm over axis 1."""
        shape = self.shape(name)
        parameters = tuple(self.weight(shape[1]) for _ in range(4))
        op = ops.Norm(kind="batchnorm", rows=shape[1], cols=prod(shape) // shape[1], dtype=self.tensors[name].dtype)
        return self.node(op, (name, *parameters), shape)[0]

    def matmul(self, a: str, b: str) -> str:
        """A matrix product; batches fold into the rows when B is shared."""
        left, right = self.shape(a), self.shape(b)
        batch = prod(right[:-2])
        rows = prod(left[:-1])
        op = ops.Gemm(batch=batch, m=rows // batch, n=right[-1], k=left[-1], dtype=self.tensors[a].dtype)
        attributes = {"transpose_a": False, "transpose_b": False}
        return self.node(op, (a, b), (*left[:-1], right[-1]), attributes=attributes)[0]

    def linear(self, name: str, width: int, *, bias: bool = True) -> str:
        """A GEMM with weights and, as a node of its own, a bias."""
        y = self.matmul(name, self.weight(self.shape(name)[-1], width))
        return self.ew("add", y, self.weight(width)) if bias else y

    def conv(self, name: str, channels: int, kernel: int = 3, *, bias: bool = False) -> str:
        """A convolution with stride 1 that keeps height and width."""
        n, c, h, w = self.shape(name)
        op = ops.Conv(
            batch=n, c_in=c, c_out=channels, h=h, w=w, kernel_h=kernel, kernel_w=kernel, pad_h=kernel // 2,
            pad_w=kernel // 2, dtype=self.tensors[name].dtype,
        )  # fmt: skip
        inputs = [name, self.weight(channels, c, kernel, kernel)]
        fields: dict[str, Any] = {}
        if bias:
            inputs.append(self.weight(channels))
            add = ops.Elementwise(kind="add", elements=n * channels * h * w, inputs=1, dtype=op.dtype)
            fields = {"fused": (add,), "extra_bytes_read": channels * 4}
        return self.node(op, tuple(inputs), (n, channels, h, w), **fields)[0]

    def graph(self, *outputs: str) -> Graph:
        """The finished graph."""
        return Graph("hand", dict(self.tensors), tuple(self.nodes), tuple(self.inputs), outputs)
