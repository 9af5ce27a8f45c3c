"""The rule of Einsum."""

from __future__ import annotations

from typing import Any

from perfmodel import ops
from perfmodel.features.onnx.call import Call, Modelled, Rule, RuleError, elements
from perfmodel.features.onnx.rules_elementwise import share
from perfmodel.ops import Dim
from perfmodel.ops.base import is_symbolic


def einsum(call: Call) -> Modelled:
    """Einsum: a transposition or a sum of one operand; products of two; of more, from left to right."""
    equation = str(call.get("equation", "")).replace(" ", "")
    left, arrow, right = equation.partition("->")
    terms = left.split(",")
    if len(terms) != len(call.inputs):
        raise RuleError(f"its equation {equation!r} does not fit its {len(call.inputs)} operands")
    labelled = [_labels(term, call.shape(i)) for i, term in enumerate(terms)]
    size = {label: dim for term in labelled for label, dim in term if not _is_one(dim)}
    names = [[label for label, _ in term] for term in labelled]
    if arrow:
        out = [label for label, _ in _labels(right, call.result_shape())]
    else:
        # The axes of an ellipsis, then the labels that occur once, by the alphabet.
        flat = [label for term in names for label in term]
        hidden = dict.fromkeys(label for label in flat if label.startswith("."))
        out = [*hidden, *sorted(label for label in flat if label not in hidden and flat.count(label) == 1)]
    attributes = {"equation": equation}
    if len(terms) == 1:
        return Modelled(_of_one(call, names[0], out), attributes)
    steps: list[ops.Operator] = []
    first = set(names[0])
    for number in range(1, len(terms)):
        later = set(out).union(*names[number + 1 :])
        a, sums_a = _summed(first, later | set(names[number]), size, call.dtype)
        b, sums_b = _summed(set(names[number]), later | first, size, call.dtype)
        is_last = number == len(terms) - 1
        weight_left = number == 1 and call.tensor(0).is_weight and not call.tensor(1).is_weight
        steps += [*sums_a, *sums_b, _product(call, a, b, later, size, weight_left, is_last)]
        first = (a | b) & later
    # The last product is the kernel that the others are fused into.
    main = steps.pop()
    if len(terms) > 2 and isinstance(main, ops.Gemm):
        steps, main = _dearest_first(steps, main)
    # The descriptor reads two operands; the further ones come on top.
    further = sum(call.tensor(i).bytes for i in range(2, len(terms)))
    return Modelled(main, attributes, tuple(steps), further)


def _dearest_first(steps: list[ops.Operator], main: ops.Operator) -> tuple[list[ops.Operator], ops.Operator]:
    products = [s for s in (*steps, main) if isinstance(s, ops.Gemm)]
    if any(is_symbolic(p.flops) for p in products):
        return steps, main
    dearest = max(products, key=lambda p: float(p.flops))
    rest = [s for s in (*steps, main) if s is not dearest]
    return rest, dearest


def _of_one(call: Call, names: list[str], out: list[str]) -> ops.Operator:
    if set(out) == set(names):
        return ops.Copy(kind="transpose", elements=call.result().elements, dtype=call.dtype)
    rows = call.result().elements
    return ops.Reduce(kind="sum", rows=rows, cols=share(call.elements(0), rows), dtype=call.dtype)


def _extent(labels: set[str], size: dict[str, Dim]) -> Any:
    return elements(tuple(size.get(label, 1) for label in sorted(labels)))


def _summed(
    labels: set[str], wanted: set[str], size: dict[str, Dim], dtype: str
) -> tuple[set[str], list[ops.Operator]]:
    """The labels that somebody needs, and the sum over the others, which comes before the product."""
    kept = labels & wanted
    if kept == labels or _is_one(_extent(labels - kept, size)):
        return kept, []
    return kept, [ops.Reduce(kind="sum", rows=_extent(kept, size), cols=_extent(labels - kept, size), dtype=dtype)]


def _product(
    call: Call, a: set[str], b: set[str], wanted: set[str], size: dict[str, Dim], weight_left: bool, is_last: bool
) -> ops.Operator:
    if not (a & b) - wanted:
        return ops.Elementwise(
            kind="mul", elements=_extent(a | b, size), inputs=2, input_elements=_extent(a, size) + _extent(b, size),
            dtype=call.dtype,
        )  # fmt: skip
    batch, m, n, k = (
        _extent(labels, size) for labels in (a & b & wanted, (a - b) & wanted, (b - a) & wanted, (a & b) - wanted)
    )
    if weight_left:
        m, n = n, m
    out_dtype = call.out_dtype if is_last else None
    return ops.Gemm(batch=batch, m=m, n=n, k=k, dtype=call.dtype, out_dtype=out_dtype)


def _is_one(dim: Any) -> bool:
    return not is_symbolic(dim) and bool(dim == 1)


def _labels(term: str, shape: tuple[Dim, ...]) -> list[tuple[str, Dim]]:
    """(label, size) for each axis; the axes of an ellipsis are numbered from the right."""
    before, dots, after = term.partition("...")
    hidden = len(shape) - len(before) - len(after)
    if hidden < 0 or (hidden and not dots):
        raise RuleError(f"the term {term!r} does not fit a tensor of rank {len(shape)}")
    names = [*before, *(f".{hidden - i}" for i in range(hidden)), *after]
    return list(zip(names, shape, strict=True))


RULES: dict[str, Rule] = {"Einsum": einsum}
