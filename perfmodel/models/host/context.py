"""How a kernel stands in its graph, as far as its time depends on it: what a descriptor does not say.

Whether an operand is still in a cache follows from what ran since it was written or read last; how fast elements move,
from how many lie side by side.
"""

from __future__ import annotations

from collections.abc import Mapping
from math import prod
from typing import Any

from perfmodel.graph import Graph, Node, Tensor
from perfmodel.ops import Conv, Copy, Elementwise, Gemm, View

COLUMNS = (
    "weight_bytes", "input_bytes", "output_bytes", "extra_bytes_read", "extra_flops", "input_distance_bytes", "run_bytes",
    "contiguous_elements", "operands",
)  # fmt: skip
"""Optional columns of operator traces, all of them numbers:

``weight_bytes``, ``input_bytes``, ``output_bytes``
    of stored operands, of computed ones, of results
``extra_bytes_read``, ``extra_flops``
    of what the kernel absorbed
``input_distance_bytes``
    what the run has moved since the largest computed operand was written (for an input of the model: the whole run)
``run_bytes``
    distinct bytes that a run of the model touches: what lies between two uses of a weight
``contiguous_elements``
    how many elements in a row the kernel reads before it jumps, or before a smaller operand repeats
``operands``
    how many there are
"""


def contexts(graph: Graph) -> list[dict[str, float]]:
    """Of each node of a graph, in order, the columns :data:`COLUMNS`."""
    tensors = graph.tensors
    moved, total = 0.0, 0.0
    before: list[float] = []
    written: dict[str, int] = {}
    weights: set[str] = set()
    for index, node in enumerate(graph.nodes):
        before.append(moved)
        if not isinstance(node.op, View):
            moved += float(node.bytes)
        for name in node.outputs:
            written[name] = index
            total += _bytes(tensors.get(name)) if not isinstance(node.op, View) else 0.0
        for name in node.inputs:
            tensor = tensors.get(name)
            if tensor is not None and tensor.is_weight and name not in weights:
                weights.add(name)
                total += _bytes(tensor)
    found = []
    # A view hands its operand on: what it renames was written when that was.
    origin = dict(written)
    for index, node in enumerate(graph.nodes):
        if isinstance(node.op, View) and node.inputs and node.inputs[0] in origin:
            for name in node.outputs:
                origin[name] = origin[node.inputs[0]]
        found.append(_context(node, tensors, index, before, origin, moved, total))
    return found


def _context(
    node: Node,
    tensors: Mapping[str, Tensor],
    index: int,
    before: list[float],
    origin: Mapping[str, int],
    moved: float,
    total: float,
) -> dict[str, float]:
    stored = computed = largest = 0.0
    distance = moved
    for name in node.inputs:
        tensor = tensors.get(name)
        size = _bytes(tensor)
        if tensor is not None and tensor.is_weight:
            stored += size
            continue
        computed += size
        if size > largest:
            largest = size
            producer = origin.get(name)
            distance = moved if producer is None else max(0.0, before[index] - _end(before, producer, moved))
    return {
        "weight_bytes": stored,
        "input_bytes": computed,
        "output_bytes": sum(_bytes(tensors.get(name)) for name in node.outputs),
        "extra_bytes_read": _number(node.extra_bytes_read),
        "extra_flops": float(sum(_number(f.flops) for f in node.fused)),
        "input_distance_bytes": distance,
        "run_bytes": total,
        "contiguous_elements": float(_contiguous(node, tensors)),
        "operands": float(len(node.inputs)),
    }


def _end(before: list[float], producer: int, moved: float) -> float:
    return before[producer + 1] if producer + 1 < len(before) else moved


def _bytes(tensor: Tensor | None) -> float:
    return 0.0 if tensor is None or tensor.shape is None else _number(tensor.bytes)


def _number(value: Any) -> float:
    return float(value) if value is not None else 0.0


def _contiguous(node: Node, tensors: Mapping[str, Tensor]) -> int:
    """Elements that lie side by side for the kernel; all of them where nothing is known."""
    shapes = [t.shape for name in node.inputs if (t := tensors.get(name)) is not None and t.shape is not None]
    if not shapes:
        return 1
    shape = tuple(int(d) for d in max(shapes, key=lambda s: prod(s) if s else 1))
    everything = max(1, prod(shape))
    attributes = node.attributes
    if isinstance(node.op, Copy):
        if node.op.kind == "transpose" and "perm" in attributes:
            return _kept_by(tuple(attributes["perm"]), shape)
        axis = attributes.get("axis")
        axes = attributes.get("axes")
        if node.op.kind == "slice" and axes:
            return max(1, prod(shape[min(max(axes) + 1, len(shape)) :]))
        if isinstance(axis, int) and shape:
            out = [t.shape for name in node.outputs if (t := tensors.get(name)) is not None and t.shape is not None]
            # Joins and splits move what stands behind the axis together with a part of the axis.
            part = min((int(s[axis]) for s in (*shapes, *out) if len(s) == len(shape)), default=1)
            behind = prod(shape[axis % len(shape) + 1 :])
            return max(1, behind * (part if node.op.kind in ("concat", "split") else 1))
        return everything
    if isinstance(node.op, Elementwise):
        # Numbers that no operand of the function is (scales, bounds, axes) are looked up once.
        operands = shapes if len(shapes) == node.op.inputs else [other for other in shapes if other]
        return min((_run_of_equal(shape, tuple(int(d) for d in other)) for other in operands), default=everything)
    if isinstance(node.op, Gemm | Conv):
        return everything
    axis = attributes.get("axis")
    last = max(axis) if isinstance(axis, tuple) and axis and all(isinstance(a, int) for a in axis) else axis
    if isinstance(last, int) and shape and last % len(shape) != len(shape) - 1:
        return max(1, prod(shape[last % len(shape) + 1 :]))
    return everything


def _kept_by(perm: tuple[int, ...], shape: tuple[int, ...]) -> int:
    """Elements at the end that a permutation leaves side by side."""
    kept, last = 1, len(shape) - 1
    for target in range(len(perm) - 1, -1, -1):
        source = perm[target]
        if shape[source] == 1:
            continue
        while last >= 0 and shape[last] == 1:
            last -= 1
        if source != last:
            break
        kept *= shape[source]
        last -= 1
    return max(1, kept)


def _run_of_equal(shape: tuple[int, ...], other: tuple[int, ...]) -> int:
    """How many elements of the larger operand pass before the smaller one repeats or stays; all where it never does."""
    if prod(other) == 1 and shape[-1:] != (1,):
        return max(1, prod(shape))
    other = other or (1,)  # a number alone repeats along the last axis, too: [.., 1] * [] runs element by element
    padded = (1,) * (len(shape) - len(other)) + other
    run, repeats = 1, None
    for place, (mine, theirs) in enumerate(zip(reversed(shape), reversed(padded), strict=False), start=1):
        if mine == 1 and place != len(other):
            continue  # the first axis of the smaller operand counts even so: [.., 1] + [1] runs element by element
        same = mine == theirs
        if repeats is None:
            repeats = same
        if same != repeats:
            return max(1, run)
        run *= mine
    return max(1, run)
