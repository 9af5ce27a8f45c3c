"""Transposes around elementwise operators, concatenations and reductions that an engine does not run.

Frameworks that keep channels last write a transpose before and one after every convolution (tf2onnx does for TensorFlow).
Those that meet cancel (``noops``); here those that are kept apart by operators which work in any layout.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from typing import Any

from perfmodel.features.fusion.elementwise import is_pointwise
from perfmodel.features.fusion.noops import fits, permutation
from perfmodel.features.fusion.quantized import dequantizes, quantizes
from perfmodel.features.fusion.rewrite import Rewriter, Vertex, same_shape
from perfmodel.ops import Copy, Elementwise, Reduce

OTHER_LAYOUT = "the operators between work in the layout that is there"
READ_BY_REDUCTION = "read strided by the reduction"

_MAX_REGION = 256


@dataclass
class _Region:
    """Operators between transposes.

    Attributes:
        members: they work in any layout.
        ends: the transposes that read from them and turn back.
        tensors: what flows between them and to the ends.
    """

    members: dict[Vertex, None] = field(default_factory=dict)
    ends: dict[Vertex, None] = field(default_factory=dict)
    tensors: dict[str, None] = field(default_factory=dict)


def cancel_across(ws: Rewriter) -> None:
    """Takes out transposes before and after operators that work in any layout, when all that goes in is transposed one way
    and all that comes out is transposed back; and transposes before a reduction that do not change its result."""
    for vertex in ws.vertices(Copy):
        if not ws.alive(vertex) or not vertex.copies("transpose") or not fits(ws, vertex):
            continue
        perm = permutation(vertex)
        reader = ws.sole_reader(vertex.output) if len(vertex.node.outputs) == 1 else None
        if perm is None or len(vertex.node.outputs) != 1:
            continue
        if reader is not None and isinstance(reader.op, Reduce):
            _reduce_as_it_lies(ws, vertex, reader, perm)
            continue
        region = _region(ws, vertex, perm)
        if region is not None:
            _take_out(ws, region, perm)


def _turns(vertex: Vertex) -> bool:
    """Whether a vertex is a transpose, be it one that moves nothing (a gate with one value a channel)."""
    return vertex.copies("transpose") or (vertex.is_view and vertex.kind == "transpose")


def _inverse(perm: Sequence[int]) -> tuple[int, ...]:
    return tuple(sorted(range(len(perm)), key=lambda axis: perm[axis]))


def _reduce_as_it_lies(ws: Rewriter, transpose: Vertex, reduction: Vertex, perm: tuple[int, ...]) -> None:
    axes = reduction.node.attributes.get("axis")
    if not isinstance(axes, tuple) or reduction.node.attributes.get("keepdims", True) or not axes:
        return
    if not all(0 <= axis < len(perm) for axis in axes):
        return
    kept = [perm[axis] for axis in range(len(perm)) if axis not in axes]
    if kept == sorted(kept) and ws.bypass(transpose, READ_BY_REDUCTION):
        moved = tuple(sorted(perm[axis] for axis in axes))
        ws.update(reduction, attributes={**reduction.node.attributes, "axis": moved})


def _region(ws: Rewriter, start: Vertex, perm: tuple[int, ...]) -> _Region | None:
    """What lies between a transpose and those that turn its values back; None when something else gets at them."""
    back = _inverse(perm)
    found = _Region()
    waiting = [r for r in ws.readers(start.output) if not r.copies("transpose")]
    if ws.is_output(start.output) or len(waiting) != len(ws.readers(start.output)):
        return None
    while waiting:
        vertex = waiting.pop()
        if vertex in found.members:
            continue
        if len(found.members) == _MAX_REGION or not _works_in_any_layout(ws, vertex, len(perm)):
            return None
        found.members[vertex] = None
        for name in vertex.inputs:
            if ws.is_constant(name) or ws.is_small(name):
                continue
            maker = ws.maker(name)
            if maker is None:
                return None
            if _turns(maker):
                if permutation(maker) != perm or not fits(ws, maker):
                    return None
            elif maker not in found.members:
                waiting.append(maker)
        found.tensors[vertex.output] = None
        if ws.is_output(vertex.output):
            return None
        for reader in ws.readers(vertex.output):
            if reader.copies("transpose"):
                if permutation(reader) != back or not fits(ws, reader) or ws.is_output(reader.output):
                    return None
                found.ends[reader] = None
            elif reader not in found.members:
                waiting.append(reader)
    return found if found.ends else None


def _works_in_any_layout(ws: Rewriter, vertex: Vertex, rank: int) -> bool:
    """Whether an operator does the same to its operands when all their axes are permuted."""
    shape = ws.shape(vertex.output)
    if len(vertex.node.outputs) != 1 or shape is None or len(shape) != rank:
        return False
    if vertex.copies("concat"):
        axis = vertex.node.attributes.get("axis")
        return isinstance(axis, int) and 0 <= axis < rank
    if vertex.copies("pad"):
        return len(ws.shape(vertex.inputs[0]) or ()) == rank
    if isinstance(vertex.op, Elementwise):
        return is_pointwise(vertex)
    return vertex.copies("cast") or quantizes(vertex) or dequantizes(vertex)


def _take_out(ws: Rewriter, region: _Region, perm: tuple[int, ...]) -> None:
    back = _inverse(perm)
    starts: dict[Vertex, None] = {}
    for name in region.tensors:
        shape = ws.shape(name)
        assert shape is not None
        ws.store(replace(ws.tensors[name], shape=tuple(shape[axis] for axis in back)))
    for end in region.ends:
        ws.bypass(end, OTHER_LAYOUT)
    for vertex in region.members:
        change: dict[str, str] = {}
        for name in vertex.inputs:
            maker = ws.maker(name)
            if ws.is_constant(name) and not ws.is_small(name):
                change[name] = _permuted_constant(ws, name, back)
            elif maker is not None and _turns(maker):
                change[name] = maker.inputs[0]
                starts[maker] = None
        if change:
            ws.reroute(vertex, change)
        attributes: dict[str, Any] = dict(vertex.node.attributes)
        if vertex.copies("concat"):
            attributes["axis"] = perm[attributes["axis"]]
            ws.update(vertex, attributes=attributes)
    for start in starts:
        ws.drop_unread(start, OTHER_LAYOUT)


def _permuted_constant(ws: Rewriter, name: str, perm: tuple[int, ...]) -> str:
    """A constant operand as it is stored for the other layout."""
    tensor = ws.tensors[name]
    shape = tensor.shape or ()
    padded = (1,) * (len(perm) - len(shape)) + tuple(shape)
    permuted = tuple(padded[axis] for axis in perm)
    if same_shape(permuted, padded):
        return name
    return ws.store(replace(tensor, name=f"{name} as {''.join(map(str, perm))}", shape=permuted))
