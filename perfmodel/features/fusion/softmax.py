"""Softmax that an exporter wrote out as arithmetic, back into one operator."""

from __future__ import annotations

from math import inf

from perfmodel.features.fusion.rewrite import Rewriter, Vertex, same
from perfmodel.ops import Reduce, Softmax


def fuse_softmax(ws: Rewriter) -> None:
    """exp(x - max x) / sum(exp(x - max x)), with or without the shift, and its logarithm, become one softmax."""
    for vertex in ws.vertices(Reduce):
        if ws.alive(vertex) and vertex.kind == "sum":
            # JAX sums exponentials of narrow floats in fp32.
            name, casts = ws.back(vertex.inputs[0], "cast")
            exp = ws.maker(name)
            if exp is not None and exp.computes("exp") and not any(v.is_view for v in casts):
                _softmax(ws, exp, vertex, casts)
    for vertex in ws.vertices(Softmax):
        if ws.alive(vertex):
            _drop_guard(ws, vertex)


def _softmax(ws: Rewriter, exp: Vertex, total: Vertex, casts: list[Vertex]) -> bool:
    assert isinstance(total.op, Reduce)
    members = [exp, *casts, total]
    shift = ws.maker(exp.inputs[0])
    x = exp.inputs[0]
    if shift is not None and shift.computes("sub"):
        largest, path = ws.back(shift.inputs[1], "expand", "broadcast")
        limit = ws.maker(largest)
        if limit is not None and limit.computes("max"):  # JAX guards rows of -inf by max(-inf, row maximum)
            rest = [n for n in limit.inputs if ws.scalar(n) is None]
            if len(rest) == 1:
                path.append(limit)
                largest, more = ws.back(rest[0], "expand", "broadcast")
                path += more
                limit = ws.maker(largest)
        if (
            limit is not None
            and isinstance(limit.op, Reduce)
            and limit.kind == "max"
            and limit.inputs[0] == shift.inputs[0]
        ):
            members += [shift, limit, *path]
            x = shift.inputs[0]
    last, kind = _quotient(ws, exp, total, members)
    if last is None:
        last, kind = _logarithm(ws, shift, total, members)
    if last is None or not same(ws.elements(last.output), ws.elements(x)) or ws.dtype(x) != ws.dtype(last.output):
        return False
    op = Softmax(kind=kind, dtype=ws.dtype(x), rows=total.op.rows, cols=total.op.cols)
    attributes = {"axis": total.node.attributes.get("axis", -1)}
    merged = ws.merge(members, main=exp, op=op, inputs=(x,), outputs=(last.output,), attributes=attributes)
    return merged is not None


_SPREADING = ("expand", "broadcast")


def _quotient(ws: Rewriter, exp: Vertex, total: Vertex, members: list[Vertex]) -> tuple[Vertex | None, str]:
    """The division by the sum; what lies between is added to the members."""
    is_cast = ws.dtype(total.inputs[0]) != ws.dtype(exp.output)
    end, path = ws.ahead(total.output, *_SPREADING, *(("cast",) if is_cast else ()))
    if end is None:
        return None, ""
    divisor = path[-1].output if path else total.output
    if end.computes("reciprocal"):
        path.append(end)
        divisor = end.output
        end, more = ws.ahead(divisor, "expand", "broadcast")
        path += more
        divisor = more[-1].output if more else divisor
        if end is None or not end.computes("mul") or end.other(divisor) != exp.output:
            return None, ""
    elif not end.computes("div") or end.inputs != (exp.output, divisor):
        return None, ""
    members += [*path, end]
    return end, "softmax"


def _logarithm(ws: Rewriter, shift: Vertex | None, total: Vertex, members: list[Vertex]) -> tuple[Vertex | None, str]:
    """x - max x - log(sum)."""
    log, path = ws.ahead(total.output)
    if shift is None or shift not in members or log is None or not log.computes("log"):
        return None, ""
    end, more = ws.ahead(log.output, "expand", "broadcast")
    divisor = more[-1].output if more else log.output
    if end is None or not end.computes("sub") or end.inputs != (shift.output, divisor):
        return None, ""
    members += [log, *path, *more, end]
    return end, "log_softmax"


def _drop_guard(ws: Rewriter, softmax: Vertex) -> None:
    """``where(all(x == -inf), 0, softmax(x))``: rows without any key give zeros instead of NaN, as kernels do by themselves."""
    choice, path = ws.ahead(softmax.output)
    if choice is None or path or not choice.computes("where") or choice.inputs[2] != softmax.output:
        return
    if ws.scalar(choice.inputs[1]) != 0.0:
        return
    name, walked = ws.back(choice.inputs[0], *_SPREADING)
    every = ws.maker(name)
    if every is None or not isinstance(every.op, Reduce) or every.kind != "and":
        return
    test = ws.maker(every.inputs[0])
    if test is None or not test.computes("equal") or not any(ws.scalar(n) == -inf for n in test.inputs):
        return
    tested = next((n for n in test.inputs if ws.scalar(n) is None), None)
    if tested is None:
        return
    casts: list[Vertex] = []
    while tested != softmax.inputs[0]:
        cast = ws.maker(tested)
        if cast is None or not cast.copies("cast"):
            return
        casts.append(cast)
        tested = cast.inputs[0]
    ws.merge(
        [softmax, choice, every, test, *walked, *casts],
        main=softmax,
        op=softmax.op,
        inputs=softmax.inputs,
        outputs=(choice.output,),
        fused=softmax.node.fused,
        extra_bytes_read=softmax.node.extra_bytes_read,
    )
