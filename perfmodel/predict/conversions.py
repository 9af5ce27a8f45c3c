"""Activations between operators that run in different formats.

Activations are stored in one format: that of ``--dtype``, or as the file has them. Where an operator wants another

- the kernel that makes the activation writes it so, in its epilogue, if every product that reads it wants the same (what
  compilers do with a cast behind an operator); the others that read it take it as it is stored;
- otherwise (the model's own inputs and outputs, readers that disagree) a kernel of its own casts it, once a format.

Formats of 8 bits and less want 16-bit activations of either kind: quantising those is part of the operator, as the measured
tables of such GEMMs have it. Results leave an operator in the format of the activations around it.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Container, Mapping, Sequence

from perfmodel.dtypes import dtype as dtype_record
from perfmodel.dtypes import gemm_dtype, is_floating
from perfmodel.graph import Graph, Node, Tensor
from perfmodel.ops import Attention, Conv, Copy, Gemm, View

_OWN = {"fp64": ("fp64",), "fp32": ("fp32", "tf32"), "tf32": ("fp32", "tf32"), "fp16": ("fp16",), "bf16": ("bf16",)}


def wanted(dtype: str) -> tuple[str, ...]:
    """The formats of activations that an operator in ``dtype`` takes, the usual one first."""
    if dtype in _OWN:
        return _OWN[dtype]
    return ("fp32", "tf32") if gemm_dtype(dtype).activation_bits > 16 else ("bf16", "fp16")


def convert(graph: Graph, castable: Container[int]) -> Graph:
    """The graph with every operand in a format that its operator takes.

    Args:
        graph: whose operators have their formats already.
        castable: positions of the nodes whose format was chosen or could have been.
    """
    return _Conversion(graph, castable).run()


class _Conversion:
    def __init__(self, graph: Graph, castable: Container[int]) -> None:
        self.graph = graph
        self.tensors: dict[str, Tensor] = dict(graph.tensors)
        self.roots: dict[str, str] = {}
        for node in graph.nodes:
            if isinstance(node.op, View) and node.inputs:
                self.roots |= dict.fromkeys(node.outputs, self.root(node.inputs[0]))
        self.castable = castable
        self.interface = {self.root(n) for n in (*graph.inputs, *graph.outputs)}

    def root(self, name: str) -> str:
        return self.roots.get(name, name)

    def run(self) -> Graph:
        rewritten = self._absorbed()
        nodes: list[Node] = []
        done: dict[tuple[str, str], str] = {}
        for index, node in enumerate(self.graph.nodes):
            if index in self.castable:
                nodes.extend(self._casts(node, done))
                nodes.append(self._writing(self._adjusted(self._reading(node, done), rewritten, self._operands(node))))
            else:
                nodes.append(self._adjusted(node, rewritten))
        return dataclasses.replace(self.graph, tensors=self.tensors, nodes=tuple(nodes))

    def _operands(self, node: Node) -> list[str]:
        """The activations that the node multiplies: what stands behind them (residuals, masks) is read as it is."""
        count = 3 if isinstance(node.op, Attention) else 2 if isinstance(node.op, Gemm) else 1
        return [n for n in node.inputs[:count] if self._is_activation(n)]

    def _is_activation(self, name: str) -> bool:
        tensor, root = self.tensors.get(name), self.tensors.get(self.root(name))
        return tensor is not None and is_floating(tensor.dtype) and not (root is not None and root.is_weight)

    def _absorbed(self) -> dict[str, tuple[str, str]]:
        """Activations that their makers write in another format: (before, after) by root."""
        makers = {name for n in self.graph.nodes if not isinstance(n.op, View) for name in n.outputs}
        readers: dict[str, list[tuple[str, ...]]] = {}
        for index, node in enumerate(self.graph.nodes):
            for name in self._operands(node) if index in self.castable else ():
                readers.setdefault(self.root(name), []).append(wanted(node.op.dtype))
        result: dict[str, tuple[str, str]] = {}
        for root, wants in readers.items():
            stored = self.tensors[root].dtype
            if root not in makers or root in self.interface or all(stored in w for w in wants):
                continue
            common = [f for f in wants[0] if all(f in w for w in wants)]
            if common:
                result[root] = (stored, common[0])
        for name, tensor in self.tensors.items():
            if self.root(name) in result:
                self.tensors[name] = dataclasses.replace(tensor, dtype=result[self.root(name)][1])
        return result

    def _casts(self, node: Node, done: dict[tuple[str, str], str]) -> list[Node]:
        """The kernels that cast the operands of a node, where no other did already."""
        kernels = []
        for name in self._operands(node):
            tensor, formats = self.tensors[name], wanted(node.op.dtype)
            if tensor.dtype in formats or (name, formats[0]) in done:
                continue
            result = done[name, formats[0]] = f"{name}@{formats[0]}"
            self.tensors[result] = dataclasses.replace(tensor, name=result, dtype=formats[0])
            op = Copy(kind="cast", elements=tensor.elements or 0, dtype=tensor.dtype, out_dtype=formats[0])
            kernels.append(
                Node(name=result, op=op, inputs=(name,), outputs=(result,), source_op="Cast", count=node.count)
            )
        return kernels

    def _reading(self, node: Node, done: Mapping[tuple[str, str], str]) -> Node:
        """The node with the cast operands in place of those that it does not take."""
        operands, usual = self._operands(node), wanted(node.op.dtype)
        inputs = [
            done.get((n, usual[0]), n) if n in operands and self.tensors[n].dtype not in usual else n
            for n in node.inputs
        ]
        return node.replace(inputs=tuple(inputs))

    def _adjusted(
        self, node: Node, rewritten: Mapping[str, tuple[str, str]], operands: Sequence[str] | None = None
    ) -> Node:
        """The node with the bytes of what it reads and writes in another format than its descriptor counts.

        Args:
            operands: of a product, whose results :meth:`_writing` sees to; None for other operators.
        """
        if isinstance(node.op, View):
            return node
        read = [n for n in node.inputs if n not in (operands or ())]
        changed = [self.root(n) for n in (*read, *(node.outputs if operands is None else ()))]
        more = sum(self._difference(n, *rewritten[n]) for n in changed if n in rewritten)
        return node.replace(extra_bytes_read=node.extra_bytes_read + more) if more else node

    def _writing(self, node: Node) -> Node:
        """A product whose usual result is not what the activations around it are."""
        if not node.outputs:
            return node
        stored, usual = self.tensors[node.outputs[0]].dtype, wanted(node.op.dtype)
        if not is_floating(stored) or stored in usual:
            return node
        if isinstance(node.op, (Gemm, Conv)):
            return node.replace(op=node.op.replace(out_dtype=stored))
        more = self._difference(node.outputs[0], usual[0], stored)
        return node.replace(extra_bytes_read=node.extra_bytes_read + more) if more else node

    def _difference(self, name: str, before: str, after: str) -> float:
        elements = self.tensors[name].elements or 0
        return float(elements * (dtype_record(after).activation_bits - dtype_record(before).activation_bits) / 8)
