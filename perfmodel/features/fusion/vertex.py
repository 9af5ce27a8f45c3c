"""A node of the graph that is being rewritten."""

from __future__ import annotations

from perfmodel.graph import Node
from perfmodel.ops import Copy, Elementwise, Operator, View

# How many operands elementwise functions have of which patterns look at more than the first. A damaged file may give
# them fewer: then they are nothing that a pattern knows.
_OPERANDS = {"add": 2, "sub": 2, "mul": 2, "div": 2, "pow": 2, "where": 3}


class Vertex:
    """A node of the graph that is being rewritten; two vertices are equal only when they are the same one.

    What patterns ask for thousands of times stands here once, rather than behind properties.

    Attributes:
        key: position; a vertex comes after the makers of all it reads.
        node: what the finished graph will hold; :meth:`become` changes it.
        op: the descriptor.
        inputs: names of the tensors read.
        output: name of the first (mostly the only) result; empty, which no tensor is called, without any.
        kind: the descriptor's kind; empty for families without kinds.
        is_view: whether nothing is moved or computed.
    """

    __slots__ = ("inputs", "is_view", "key", "kind", "node", "op", "output")

    def __init__(self, node: Node, key: int) -> None:
        self.key: int = key
        self.become(node)

    def become(self, node: Node) -> None:
        """Stand for another node."""
        self.node: Node = node
        self.op: Operator = node.op
        self.inputs: tuple[str, ...] = node.inputs
        self.output: str = node.outputs[0] if node.outputs else ""
        self.kind: str = getattr(node.op, "kind", "")
        self.is_view: bool = isinstance(node.op, View) and bool(node.inputs)

    @property
    def members(self) -> tuple[str, ...]:
        """Names of the nodes of the file that this one stands for."""
        return self.node.members or (self.node.name,)

    def computes(self, *kinds: str) -> bool:
        """Whether this is one elementwise function of one of these kinds, with as many operands as it takes."""
        if self.kind not in kinds or not isinstance(self.op, Elementwise):
            return False
        operands = _OPERANDS.get(self.kind)
        return len(self.inputs) == operands if operands is not None else bool(self.inputs)

    def copies(self, *kinds: str) -> bool:
        """Whether this is a copy of one of these kinds."""
        return self.kind in kinds and isinstance(self.op, Copy) and bool(self.inputs)

    def other(self, name: str) -> str | None:
        """The second operand of a binary operator that reads ``name``; None when it is not binary."""
        if len(self.inputs) != 2 or name not in self.inputs:
            return None
        return self.inputs[1] if self.inputs[0] == name else self.inputs[0]
