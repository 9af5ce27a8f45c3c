"""Rules of operations that move, select or rename data, for the dialects that share their meaning.

What differs between dialects is where the axes, the permutation or the result's shape stand; the functions here take them,
the dialects' own modules bring them.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from perfmodel import ops
from perfmodel.features.mlir.call import Call, Modelled, Rule, RuleError
from perfmodel.features.mlir.contractions import is_one
from perfmodel.graph import Tensor


def view(kind: str = "reshape") -> Rule:
    """Nothing moves."""

    def rule(call: Call) -> ops.View | None:
        if call.inputs and call.inputs[0] is None:  # a list, a token
            for value, known in zip(call.operation.results, call.known, strict=False):
                call.convert.alias(value, known)
            return None
        dtype = next((t.dtype for t in call.inputs if t is not None), "fp32")
        return ops.View(kind=kind, dtype=dtype)

    return rule


def reshape(call: Call) -> Modelled | ops.Operator | None:
    """The same elements in another shape; only the first operand is read."""
    x, out = call.tensor(0), call.result()
    if x.shape == out.shape:  # also keeps what is known of broadcasts
        call.convert.alias(call.operation.results[0], call.known[0])
        return None
    known = call.known[0]
    if known.spread is not None and known.spread.shape == ():
        call.convert.broadcast(call.operation, known, (1,) * len(out.shape or ()), out)
        return None
    call.convert.full(known)
    x = known.tensor or x
    call.emit(ops.View(kind="reshape", dtype=x.dtype), (x,), (out,))
    return None


def identity(call: Call) -> None:
    """The results are the operands."""
    for value, known in zip(call.operation.results, call.known, strict=False):
        call.convert.alias(value, known)


def copy(kind: str, *, reads_all: bool = False, operand: int = 0) -> Rule:
    """What is written was read once; with ``reads_all`` the whole operand is read instead."""

    def rule(call: Call) -> ops.Copy:
        read = call.elements(operand) if reads_all else None
        return ops.Copy(
            kind=kind, elements=call.result().elements, read_elements=read, dtype=call.tensor(operand).dtype
        )

    return rule


def fill(kind: str) -> Rule:
    """Written, with nothing to speak of read."""

    def rule(call: Call) -> ops.Copy:
        out = call.result()
        return ops.Copy(kind=kind, elements=out.elements, read_elements=0, dtype=out.dtype)

    return rule


def permuted(call: Call, perm: Sequence[int], x: Tensor, out: Tensor) -> None:
    """A transpose; one that only moves axes of one element is a view.

    Raises:
        RuleError: the permutation does not fit.
    """
    shape = x.shape or ()
    perm = tuple(int(p) for p in perm)
    if sorted(perm) != list(range(len(shape))):
        raise RuleError(f"its permutation {perm} does not fit a tensor of rank {len(shape)}")
    kept = [p for p in perm if not is_one(shape[p])]
    if kept == sorted(kept):
        call.emit(ops.View(kind="transpose", dtype=x.dtype), (x,), (out,), {"perm": perm})
    else:
        call.emit(ops.Copy(kind="transpose", elements=x.elements, dtype=x.dtype), (x,), (out,), {"perm": perm})


def joined(call: Call, axis: int, inputs: Sequence[Tensor]) -> Modelled:
    """A concatenation of several tensors; of one it is a view."""
    out = call.result()
    if len(inputs) == 1:
        return Modelled(ops.View(kind="identity", dtype=out.dtype), {"axis": axis})
    return Modelled(ops.Copy(kind="concat", elements=out.elements, dtype=out.dtype), {"axis": axis})


def cut(call: Call, starts: Sequence[Any] | None, steps: Sequence[Any] | None, inputs: Sequence[Tensor]) -> None:
    """A slice: what is selected is read and written; one that selects everything is a view.

    Args:
        starts, steps: of every axis, where they are known beforehand.
        inputs: the tensor that is cut, and operands that are read beside it.
    """
    x, out = inputs[0], call.result()
    if x.shape == out.shape and (steps is None or all(s == 1 for s in steps)):
        call.convert.alias(call.operation.results[0], call.known[0])
        return
    attributes: dict[str, Any] = {}
    if starts is not None:
        stops = [s + n if isinstance(s, int) else None for s, n in zip(starts, out.shape or (), strict=False)]
        attributes = {
            "starts": tuple(starts), "ends": tuple(stops), "axes": tuple(range(len(starts))),
            "steps": None if steps is None else tuple(steps),
        }  # fmt: skip
    call.emit(ops.Copy(kind="slice", elements=out.elements, dtype=x.dtype), inputs[:1], (out,), attributes)


def padded(call: Call, x: Tensor, value: Any, inputs: Sequence[Tensor] = ()) -> Modelled:
    """All of the operand is read, and what is around it written, too.

    Args:
        value: what is around it, where that is known.
    """
    out = call.result()
    op = ops.Copy(kind="pad", elements=out.elements, read_elements=x.elements, dtype=x.dtype)
    number = float(value) if isinstance(value, (int, float)) else None
    return Modelled(op, {"mode": "constant", "value": number})


def looked_up(call: Call, table: Tensor, indices: Tensor, out: Tensor, *, axis: int | None, rows: bool) -> None:
    """A gather: rows of a weight table are an embedding; everything else is a selection.

    Args:
        rows: whether whole rows of a table of rank 2 are taken.
    """
    if rows and table.is_weight and len(table.shape or ()) == 2:
        op: ops.Operator = ops.Embedding(rows=indices.elements, cols=(table.shape or (0, 0))[1], dtype=table.dtype)
        call.emit(op, (table, indices), (out,), {"axis": axis})
        return
    op = ops.Copy(kind="gather", elements=out.elements, dtype=table.dtype)
    call.emit(op, (table, indices), (out,), {"axis": axis}, extra=indices.bytes)


def scattered(call: Call, x: Tensor, indices: Tensor | None, updates: Tensor, how: str | None) -> Modelled:
    """A scatter: the data are copied, the updates written over them, or combined with them.

    Args:
        how: the scalar function that combines; None writes over.
    """
    out = call.result()
    op = ops.Copy(kind="scatter", elements=out.elements, read_elements=x.elements, dtype=x.dtype)
    fused: tuple[ops.Operator, ...] = ()
    if how is not None:
        fused = (ops.Elementwise(kind=how, elements=updates.elements, inputs=0, dtype=updates.dtype),)
    extra = updates.bytes + (indices.bytes if indices is not None else 0)
    return Modelled(op, {}, fused, extra)
