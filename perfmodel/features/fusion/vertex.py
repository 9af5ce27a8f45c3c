"""A node of the graph that is being rewritten."""

from __future__ import annotations

from perfmodel.graph import Node
from perfmodel.ops import Copy, Elementwise, Operator, View

# How many operands elementwise functions have of which patterns look at more than the first. A damaged file may give
# them fewer: then they are nothing that a pattern knows.
_OPERANDS = {"add": 2, "sub": 2, "mul": 2, "div": 2, "pow": 2, "where": 3}


class Vertex:
    """A node of the graph that is being rewritten; two vertices are equal only when they are the same one.

    Attributes:
        node: what the finished graph will hold.
        key: position; a vertex comes after the makers of all it reads.
    """

    __slots__ = ("key", "node")

    def __init__(self, node: Node, key: int) -> None:
        self.node = node
        self.key = key

    @property
    def op(self) -> Operator:
        """The descriptor."""
        return self.node.op

    @property
    def inputs(self) -> tuple[str, ...]:
        """Names of the tensors read."""
        return self.node.inputs

    @property
    def output(self) -> str:
        """Name of the first (mostly the only) result; empty, which no tensor is called, without any."""
        return self.node.outputs[0] if self.node.outputs else ""

    @property
    def members(self) -> tuple[str, ...]:
        """Names of the nodes of the file that this one stands for."""
        return self.node.members or (self.node.name,)

    @property
    def kind(self) -> str:
        """The descriptor's kind; empty for families without kinds."""
        return getattr(self.node.op, "kind", "")

    def computes(self, *kinds: str) -> bool:
        """Whether this is one elementwise function of one of these kinds, with as many operands as it takes."""
        op = self.node.op
        if not isinstance(op, Elementwise) or op.kind not in kinds:
            return False
        operands = _OPERANDS.get(op.kind)
        return len(self.inputs) == operands if operands is not None else bool(self.inputs)

    def copies(self, *kinds: str) -> bool:
        """Whether this is a copy of one of these kinds."""
        return isinstance(self.node.op, Copy) and self.node.op.kind in kinds and bool(self.inputs)

    @property
    def is_view(self) -> bool:
        """Whether nothing is moved or computed."""
        return isinstance(self.node.op, View) and bool(self.inputs)

    def other(self, name: str) -> str | None:
        """The second operand of a binary operator that reads ``name``; None when it is not binary."""
        if len(self.inputs) != 2 or name not in self.inputs:
            return None
        return self.inputs[1] if self.inputs[0] == name else self.inputs[0]
