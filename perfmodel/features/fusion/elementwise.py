"""Chains and small trees of elementwise operators, one kernel each."""

from __future__ import annotations

from functools import lru_cache
from typing import Any

from perfmodel.features.fusion.quantized import dequantizes, quantizes
from perfmodel.features.fusion.rewrite import Rewriter, Vertex, same
from perfmodel.ops import Copy, Elementwise, Quantize, View

CHAIN = "fused_chain"
"""Attribute of a kernel that stands for several elementwise operators: it is not taken apart for epilogues again."""

MAX_PARTS = 64
"""Operators in one kernel at most; compilers set such limits to bound registers and code size (TorchInductor's
``max_fusion_size`` is 64)."""

# Each element of the result is made from several of an operand (resize, grid sample, rotation).
_MIXING = frozenset(
    f"resize_{kind}{axes}" for kind in ("linear", "cubic") for axes in ("_1d", "", "_3d")
) | frozenset(("copy", "rope", "fft_stage", "iou", "complex_mul"))  # fmt: skip

BROADCAST = "broadcast by the kernel that reads it"


def spread_in_place(ws: Rewriter) -> None:
    """An expansion that only elementwise operators read does not happen: they read the small operand."""
    for vertex in ws.vertices(Copy):
        if not vertex.copies("expand", "broadcast") or not vertex.inputs:
            continue
        name, source = vertex.output, vertex.inputs[0]
        readers = ws.readers(name)
        if not readers or not all(_can_spread(ws, r, name) for r in readers):
            continue
        saved = ws.elements(name) - ws.elements(source)
        if ws.bypass(vertex, BROADCAST):
            for reader in readers:
                assert isinstance(reader.op, Elementwise)
                read = _elements_read(reader.op)
                ws.update(reader, op=reader.op.replace(input_elements=read - saved))


def _elements_read(op: Elementwise) -> Any:
    return op.elements * op.inputs if op.input_elements is None else op.input_elements


def _can_spread(ws: Rewriter, reader: Vertex, name: str) -> bool:
    """Whether the reader's result keeps its shape, and its count of elements read stays sound, without the
    expansion."""
    if not isinstance(reader.op, Elementwise) or reader.inputs.count(name) != 1 or len(reader.inputs) < 2:
        return False
    if ws.dtype(name) != reader.op.dtype:
        return False  # counted in another dtype's elements
    return any(n != name and same(ws.elements(n), reader.op.elements) for n in reader.inputs)


def is_pointwise(vertex: Vertex) -> bool:
    """Whether each element of the result depends on one element of each operand."""
    return not _mixes(vertex.kind) and same(getattr(vertex.op, "steps", 1), 1)


@lru_cache(maxsize=1024)
def _mixes(kind: str) -> bool:
    return not _MIXING.isdisjoint(kind.split("+"))


def fuse_chains(ws: Rewriter) -> None:
    """Joins elementwise operators, casts, Q and DQ of equally many elements whose intermediate results nothing else needs.

    Walks from the results backwards: an operator joins the kernel that reads it when that kernel is the only one. So
    each kernel has one result, and no kernel waits for itself.
    """
    kernel: dict[Vertex, int] = {}
    groups: list[list[Vertex]] = []
    parts: list[int] = []
    for vertex in ws.vertices(Elementwise, Copy, Quantize, View, newest_first=True):
        if not _may_join(ws, vertex):
            continue
        found = _kernel_of_readers(ws, vertex, kernel)
        size = 0 if vertex.is_view else vertex.kind.count("+") + 1
        if found is not None and parts[found] + size <= MAX_PARTS and _matches(ws, vertex, groups[found][0]):
            groups[found].append(vertex)
            parts[found] += size
            kernel[vertex] = found
        elif not vertex.is_view:
            kernel[vertex] = len(groups)
            groups.append([vertex])
            parts.append(size)
    for group in groups:
        if sum(not v.is_view for v in group) > 1:
            _join(ws, group[::-1])


def _may_join(ws: Rewriter, vertex: Vertex) -> bool:
    if len(vertex.node.outputs) != 1 or not vertex.inputs:
        return False
    if not (isinstance(vertex.op, Elementwise) or vertex.copies("cast") or vertex.is_view or _converts(vertex)):
        return False
    if isinstance(vertex.op, Elementwise) and not (same(vertex.op.outputs, 1) and same(vertex.op.steps, 1)):
        return False
    return all(ws.elements(n) is not None for n in (*vertex.inputs, vertex.output))


def _converts(vertex: Vertex) -> bool:
    return quantizes(vertex) or dequantizes(vertex)


def _kernel_of_readers(ws: Rewriter, vertex: Vertex, kernel: dict[Vertex, int]) -> int | None:
    """The one kernel that all readers of a vertex belong to."""
    if ws.is_output(vertex.output):
        return None
    found: int | None = None
    for reader in ws.readers(vertex.output):
        group = kernel.get(reader)
        if group is None or (found is not None and group != found):
            return None
        if not is_pointwise(reader) and not (reader.kind == "rope" and vertex.copies("cast")):
            return None
        found = group
    return found


def _matches(ws: Rewriter, vertex: Vertex, last: Vertex) -> bool:
    """Whether a vertex computes as many elements as the kernel that ends in ``last``."""
    if vertex.node.count != last.node.count:
        return False
    size = ws.elements(last.output)
    if vertex.is_view:
        return same(ws.elements(vertex.inputs[0]), size) and same(ws.elements(vertex.output), size)
    computed = (
        vertex.op.rows * vertex.op.cols if isinstance(vertex.op, Quantize) else getattr(vertex.op, "elements", None)
    )
    return same(ws.elements(vertex.output), size) and same(computed, size)


def _join(ws: Rewriter, group: list[Vertex]) -> None:
    last = group[-1]
    outside = ws.outside(group)
    if not outside:
        outside = list(dict.fromkeys(n for v in group for n in v.inputs if ws.maker(n) not in group))
    dtype = max(outside, key=lambda n: _size(ws, n), default=last.output)
    dtype = ws.dtype(dtype)
    kinds = [v.kind for v in group if not v.is_view]
    result = ws.dtype(last.output)
    op = Elementwise(
        kind="+".join(kinds),
        dtype=dtype,
        elements=ws.elements(last.output),
        inputs=len(outside),
        input_elements=sum(ws.elements(n) for n in outside if ws.dtype(n) == dtype),
        out_dtype=None if result == dtype else result,
    )
    main = next((v for v in group if isinstance(v.op, Elementwise)), last)
    ws.merge(
        group,
        main=main,
        op=op,
        inputs=outside,
        outputs=(last.output,),
        fused=[f for v in group for f in v.node.fused],
        extra_bytes_read=sum(ws.bytes(n) for n in outside if ws.dtype(n) != dtype),
        attributes={CHAIN: True},
    )


def _size(ws: Rewriter, name: str) -> float:
    size = ws.bytes(name)
    return float(size) if isinstance(size, (int, float)) else 0.0
