"""``linalg.generic`` and its relatives: what a nest of parallel and reducing loops over tensors computes.

The indexing maps say which axis of which operand each loop runs over, the body what is done with one element of each. A
sum over a product of two operands is a GEMM, with a compound index a convolution; another accumulation is a reduction or a
pool; without reducing loops it is elementwise, a transpose or a broadcast. Bodies of several scalar functions become
several nodes, so that fusion meets the same graph from every dialect; it joins them again.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from math import prod
from typing import Any

from perfmodel import ops
from perfmodel.features.mlir.attributes import AffineMap, DialectAttribute
from perfmodel.features.mlir.bodies import REDUCTIONS
from perfmodel.features.mlir.call import Call, Rule, RuleError
from perfmodel.features.mlir.contractions import Operand, contract, is_one, out_dtype_of
from perfmodel.features.mlir.convolutions import Window, convolution, pool
from perfmodel.features.mlir.ir import Operation, Value
from perfmodel.features.mlir.kinds import SCALAR_KINDS
from perfmodel.features.mlir.scalar_bodies import Body
from perfmodel.graph import Tensor


@dataclass(slots=True)
class Nest:
    """A nest of loops over tensors.

    Attributes:
        ins, outs: the tensors read and written.
        maps: for each of them, what its axes are indexed with.
        sizes: extent of each loop; None where unknown.
        reducing: which loops reduce.
        initial: the accumulators' initial values where they are tensors of the device; None for fills.
    """

    ins: list[Tensor]
    outs: list[Tensor]
    maps: list[AffineMap]
    sizes: list[Any]
    reducing: frozenset[int]
    initial: list[Tensor | None]


def generic(call: Call) -> None:
    """``linalg.generic``."""
    maps = [m for m in call.attributes.get("indexing_maps", ()) if isinstance(m, AffineMap)]
    kinds = [_iterator(k) for k in call.attributes.get("iterator_types", ())]
    nest_of(call, maps, frozenset(i for i, k in enumerate(kinds) if k != "parallel"))


def _iterator(kind: Any) -> str:
    return kind.body.strip("<> ") if isinstance(kind, DialectAttribute) else str(kind)


def split_operands(call: Call) -> tuple[int, int]:
    """How many operands are read, and how many are written.

    Raises:
        RuleError: the operation does not say.
    """
    groups = call.operation.operand_groups
    if "ins" in groups or "outs" in groups:
        return groups.get("ins", 0), groups.get("outs", 0)
    sizes = call.attributes.get("operandSegmentSizes", call.attributes.get("operand_segment_sizes"))
    if sizes is not None:
        numbers = call.ints(
            "operandSegmentSizes" if "operandSegmentSizes" in call.attributes else "operand_segment_sizes"
        )
        return numbers[0], numbers[1]
    results = len(call.operation.results)
    if results:
        return len(call.operation.operands) - results, results
    if len(call.operation.operands) > 1:
        return len(call.operation.operands) - 1, 1
    raise RuleError("it does not say which operands it writes")


def written(call: Call, ins: int, outs: int) -> list[Tensor]:
    """The tensors that an operation writes: its results, or new states of the buffers it is given."""
    if call.operation.results:
        return [t for t in call.outputs if t is not None]
    found = []
    for value in call.operation.operands[ins : ins + outs]:
        known = call.convert.known(value)
        if known.tensor is None:
            raise RuleError("it writes to what is no buffer")
        found.append(call.convert.overwrite(value, known.tensor))
    return found


def initial_values(call: Call, ins: int, outs: int) -> list[Tensor | None]:
    """What accumulators start from, where the device must read that."""
    found: list[Tensor | None] = []
    for known in call.known[ins : ins + outs]:
        is_fill = known.empty or known.number == 0 or known.scalar is not None
        found.append(None if is_fill else known.spread or known.tensor)
    return found


def nest_of(call: Call, maps: Sequence[AffineMap], reducing: frozenset[int]) -> None:
    """Describe a nest whose body is the operation's region."""
    ins, outs = split_operands(call)
    if len(maps) != ins + outs:
        raise RuleError(f"it has {len(maps)} indexing maps for {ins + outs} operands")
    tensors = [call.tensor(i) for i in range(ins)]
    initial = initial_values(call, ins, outs)
    results = written(call, ins, outs)
    sizes = _sizes(list(maps), [*tensors, *results])
    nest = Nest(tensors, results, list(maps), sizes, reducing, initial)
    if reducing:
        _reduction(call, nest)
    else:
        _elementwise(call, nest)


def _sizes(maps: Sequence[AffineMap], tensors: Sequence[Tensor]) -> list[Any]:
    found: list[Any] = [None] * (maps[0].num_dims if maps else 0)
    for map_, tensor in zip(maps, tensors, strict=False):
        for expression, size in zip(map_.results, tensor.shape or (), strict=False):
            if isinstance(expression, tuple) and expression[0] == "d" and (
                found[expression[1]] is None or is_one(found[expression[1]])
            ):  # fmt: skip
                found[expression[1]] = size
    return found


def letters(map_: AffineMap) -> list[Any]:
    """The loop that each axis is indexed by, None for a constant.

    Raises:
        RuleError: an axis is indexed by more than one loop.
    """
    found: list[Any] = []
    for expression in map_.results:
        if isinstance(expression, int):
            found.append(None)
        elif expression[0] == "d":
            found.append(expression[1])
        else:
            raise RuleError("an index is more than one loop's")
    return found


# Elementwise


def _elementwise(call: Call, nest: Nest) -> None:
    out_letters = letters(nest.maps[len(nest.ins)])
    block = call.body()
    terminator = block.terminator
    arguments = block.arguments
    direct = (
        terminator is not None
        and len(terminator.operands) == 1
        and terminator.operands[0] in arguments[: len(nest.ins)]
    )
    if direct and terminator is not None:
        index = arguments.index(terminator.operands[0])
        _moved(call, nest, index, out_letters)
        return
    aligned = [_aligned(call, nest, index, out_letters) for index in range(len(nest.ins))]
    # What an accumulator held before is read where the body uses it.
    before = [t if t is not None else nest.outs[i] for i, t in enumerate(nest.initial)]
    Body(call, [*aligned, *before], nest.outs, arguments).emit(joined=call.convert.joined)


def _moved(call: Call, nest: Nest, index: int, out_letters: Sequence[Any]) -> None:
    """A body that hands an operand on: a transpose, a broadcast or a copy."""
    source, out = nest.ins[index], nest.outs[0]
    try:
        own = letters(nest.maps[index])
    except RuleError:
        call.emit(ops.Copy(kind="gather", elements=out.elements, dtype=source.dtype), (source,), (out,))
        return
    used = [x for x in own if x is not None]
    order = [x for x in out_letters if x in used]
    if order != used and len(used) == len(out_letters) == len(own):
        _transposed(call, source, [own.index(x) for x in order], out)
        return
    aligned = _aligned(call, nest, index, out_letters)
    if aligned.shape == out.shape:
        kind = "copy" if source.dtype == out.dtype else "cast"
        call.emit(
            ops.Copy(kind=kind, elements=out.elements, dtype=source.dtype, out_dtype=out_dtype_of(source, out)),
            (aligned,),
            (out,),
        )
    elif call.operation.results:
        from perfmodel.features.mlir.known import Known

        origin = call.known[index].origin
        known = Known(aligned, origin=origin, source=call.known[index].source)
        call.convert.broadcast(call.operation, known, tuple(aligned.shape or ()), out)
    else:
        call.emit(
            ops.Copy(kind="expand", elements=out.elements, read_elements=aligned.elements, dtype=out.dtype),
            (aligned,),
            (out,),
        )


def _transposed(call: Call, source: Tensor, perm: Sequence[int], out: Tensor) -> None:
    from perfmodel.features.mlir.rules_movement import permuted

    permuted(call, perm, source, out)


def _aligned(call: Call, nest: Nest, index: int, out_letters: Sequence[Any]) -> Tensor:
    """An operand with its axes in the order of the result's, and ones where the result repeats it."""
    source = nest.ins[index]
    shape = source.shape or ()
    if not shape or prod(shape) == 1:
        return source
    try:
        own = letters(nest.maps[index])
    except RuleError:  # windows, strides: read in pieces, once a result
        return source
    if len(own) != len(shape):
        return source
    if own == list(out_letters):
        return source
    size_of = {x: size for x, size in zip(own, shape, strict=True) if x is not None}
    used = [x for x in own if x is not None]
    order = [x for x in out_letters if x in size_of]
    if order != used:
        if len(order) != len(used):
            return source
        perm = [own.index(x) for x in order] + [i for i, x in enumerate(own) if x is None]
        turned = call.new(tuple(shape[p] for p in perm), source.dtype)
        _transposed(call, source, perm, turned)
        source, shape = turned, turned.shape or ()
    ones = tuple(size_of.get(x, 1) for x in out_letters)
    if shape == ones or (
        ones[len(ones) - len(shape) :] == shape and all(d == 1 for d in ones[: len(ones) - len(shape)])
    ):
        return source
    if source.is_weight:
        return call.convert.reshaped_constant(source, ones)
    target = call.new(ones, source.dtype)
    call.emit(ops.View(kind="reshape", dtype=source.dtype), (source,), (target,))
    return target


# Reductions


def _reduction(call: Call, nest: Nest) -> None:
    block = call.body()
    terminator = block.terminator
    if terminator is None or not terminator.operands:
        raise RuleError("its body yields nothing")
    accumulator = block.arguments[len(nest.ins)] if len(block.arguments) > len(nest.ins) else None
    found = _accumulation(terminator.operands[0], accumulator)
    if found is None:
        raise RuleError("its body is no accumulation that is known")
    kind, value = found
    factors = _factors(value)
    arguments = block.arguments[: len(nest.ins)]
    compound = [any(isinstance(e, tuple) and e[0] not in ("d", "s") for e in m.results) for m in nest.maps]
    if kind == "sum" and factors is not None and all(f in arguments for f in factors) and factors[0] is not factors[1]:
        a, b = (arguments.index(f) for f in factors)
        if compound[a] or compound[b]:
            a, b = (a, b) if compound[a] else (b, a)
            _convolved(call, nest, a, b)
        else:
            _multiplied(call, nest, a, b)
        return
    if len(nest.ins) >= 1 and compound[0]:
        _pooled(call, nest, kind)
        return
    _reduced(call, nest, kind, value)


def _accumulation(value: Value, accumulator: Value | None) -> tuple[str, Value] | None:
    """(kind of reduction, what is accumulated) of a yielded value; casts around are looked through."""
    value = _uncast(value)
    operation = value.operation
    if operation is None or accumulator is None:
        return None
    kind = REDUCTIONS.get(SCALAR_KINDS.get(operation.name, ""))
    if kind is not None and len(operation.operands) == 2:
        left, right = operation.operands
        if _uncast(left) is accumulator:
            return kind, right
        if _uncast(right) is accumulator:
            return kind, left
    if SCALAR_KINDS.get(operation.name) == "where" and len(operation.operands) == 3:
        others = [v for v in operation.operands[1:] if _uncast(v) is not accumulator]
        test = operation.operands[0].operation
        if len(others) == 1 and test is not None and SCALAR_KINDS.get(test.name) == "compare":
            return "max", others[0]
    if operation.name == "math.fma" and _uncast(operation.operands[2]) is accumulator:
        return "sum", value
    return None


def _uncast(value: Value) -> Value:
    while (operation := value.operation) is not None and SCALAR_KINDS.get(operation.name) == "cast":
        value = operation.operands[0]
    return value


def _factors(value: Value) -> tuple[Value, Value] | None:
    """The two block arguments that are multiplied; zero points may be subtracted, and types widened, before."""
    operation: Operation | None = _uncast(value).operation
    if operation is None or SCALAR_KINDS.get(operation.name) not in ("mul", "mul+add", "and"):
        return None
    found = []
    for side in operation.operands[:2]:
        side = _uncast(side)
        inner = side.operation
        if inner is not None and SCALAR_KINDS.get(inner.name) == "sub":
            side = _uncast(inner.operands[0])
        found.append(side)
    return found[0], found[1]


def _multiplied(call: Call, nest: Nest, a: int, b: int) -> None:
    first, second, out = nest.ins[a], nest.ins[b], nest.outs[0]
    sizes: dict[Any, Any] = {i: s for i, s in enumerate(nest.sizes) if s is not None}
    answer, swapped = contract(
        Operand(first, letters(nest.maps[a])), Operand(second, letters(nest.maps[b])),
        letters(nest.maps[len(nest.ins)]), sizes=sizes, out_dtype=out_dtype_of(first, out),
    )  # fmt: skip
    inputs = [second, first] if swapped else [first, second]
    emit_accumulated(call, answer.op, inputs, out, dict(answer.attributes), nest.initial[0])


def emit_accumulated(
    call: Call, op: ops.Operator, inputs: list[Tensor], out: Tensor, attributes: dict[str, Any], initial: Tensor | None
) -> None:
    """A product, and the addition of what its accumulator starts from: a bias, or an earlier result."""
    if initial is None:
        call.emit(op, inputs, (out,), attributes)
        return
    add = ops.Elementwise(
        kind="add", elements=out.elements, inputs=1, input_elements=out.elements + initial.elements, dtype=out.dtype
    )
    call.emit(op, [*inputs, initial], (out,), {**attributes, "bias": initial.name}, fused=(add,), extra=initial.bytes)


def _convolved(call: Call, nest: Nest, a: int, b: int) -> None:
    x, w, out = nest.ins[a], nest.ins[b], nest.outs[0]
    of_w, of_out = letters(nest.maps[b]), letters(nest.maps[len(nest.ins)])
    size_w = dict(zip(of_w, w.shape or (), strict=True))
    size_out = dict(zip(of_out, out.shape or (), strict=True))
    batch: Any = 1
    c_in: Any = 1
    groups: Any = 1
    sizes, kernel, strides, dilations, results = [], [], [], [], []
    seen = set()
    for expression, size in zip(nest.maps[a].results, x.shape or (), strict=True):
        if isinstance(expression, int):
            continue
        if expression[0] == "d":
            d = expression[1]
            seen.add(d)
            if d in size_out and d in size_w:
                groups = groups * size
            elif d in size_out:
                batch = batch * size
            else:
                c_in = c_in * size
            continue
        window = window_terms(expression, set(size_out), nest.reducing)
        if window is None:
            raise RuleError("an index is no window over an axis")
        (moved, stride), (inner, dilation) = window
        seen.update((moved, inner))
        sizes.append(size)
        kernel.append(size_w.get(inner, nest.sizes[inner] if nest.sizes[inner] is not None else 1))
        strides.append(stride)
        dilations.append(dilation)
        results.append(size_out.get(moved, 1))
    c_out = prod(size for d, size in size_w.items() if d in size_out and d not in seen)
    pads = [0] * len(sizes)
    op = convolution(
        Window(sizes, kernel, strides, dilations, pads, results), batch=batch, c_in=c_in * groups, c_out=c_out * groups,
        groups=groups, dtype=x.dtype, out_dtype=out_dtype_of(x, out),
    )  # fmt: skip
    channels = [i for i, d in enumerate(of_out) if d in size_w]
    attributes = {"groups": groups, "strides": tuple(strides), "channel_axis": channels[0] if channels else 1}
    emit_accumulated(call, op, [x, w], out, attributes, nest.initial[0])


def window_terms(
    expression: Any, outer: set[Any], reducing: frozenset[int]
) -> tuple[tuple[int, int], tuple[int, int]] | None:
    """((loop of the result, stride), (loop of the window, dilation)) of ``d0 * 2 + d3``; None for anything else."""
    if expression[0] != "+":
        return None
    terms = []
    for side in expression[1:]:
        if isinstance(side, tuple) and side[0] == "d":
            terms.append((side[1], 1))
        elif isinstance(side, tuple) and side[0] == "*":
            factor = next((s for s in side[1:] if isinstance(s, int)), None)
            loop = next((s for s in side[1:] if isinstance(s, tuple) and s[0] == "d"), None)
            if factor is None or loop is None:
                return None
            terms.append((loop[1], factor))
        else:
            return None
    moved = [t for t in terms if t[0] in outer and t[0] not in reducing]
    inner = [t for t in terms if t[0] in reducing]
    return (moved[0], inner[0]) if len(moved) == len(inner) == 1 else None


def _pooled(call: Call, nest: Nest, kind: str) -> None:
    x, out = nest.ins[0], nest.outs[0]
    of_out = letters(nest.maps[len(nest.ins)])
    size_out = dict(zip(of_out, out.shape or (), strict=True))
    sizes, kernel, strides, dilations, results = [], [], [], [], []
    fixed: list[Any] = []
    for expression, size in zip(nest.maps[0].results, x.shape or (), strict=True):
        window = (
            None
            if isinstance(expression, int) or expression[0] == "d"
            else window_terms(expression, set(size_out), nest.reducing)
        )
        if window is None:
            fixed.append(size)
            continue
        (moved, stride), (inner, dilation) = window
        extent = nest.sizes[inner]
        if extent is None:
            raise RuleError("the extent of its window is not known")
        sizes.append(size)
        kernel.append(extent)
        strides.append(stride)
        dilations.append(dilation)
        results.append(size_out.get(moved, 1))
    op = pool(
        Window(sizes, kernel, strides, dilations, [0] * len(sizes), results), kind={"sum": "average"}.get(kind, kind),
        batch=fixed[0] if fixed else 1, channels=prod(fixed[1:]), dtype=x.dtype,
    )  # fmt: skip
    call.emit(op, (x,), (out,), {"kernel": tuple(kernel), "strides": tuple(strides)})


def _reduced(call: Call, nest: Nest, kind: str, value: Value) -> None:
    out = nest.outs[0]
    block = call.body()
    arguments = block.arguments[: len(nest.ins)]
    order = list(range(len(nest.sizes)))
    source: Tensor
    value = _uncast(value)
    if value in arguments:
        index = arguments.index(value)
        source = nest.ins[index]
        axes = tuple(i for i, d in enumerate(letters(nest.maps[index])) if d in nest.reducing)
    else:
        whole = tuple(nest.sizes)
        if any(d is None for d in whole):
            raise RuleError("the extent of a loop is not known")
        aligned = [_aligned(call, nest, index, order) for index in range(len(nest.ins))]
        source = call.new(whole, out.dtype)
        Body(call, [*aligned, *nest.outs], [source], block.arguments).emit_value(value, source)
        axes = tuple(i for i in order if i in nest.reducing)
    results = list(nest.outs)
    rows = out.elements
    cols = _quotient(source.elements, rows)
    op = ops.Reduce(kind=kind, rows=rows, cols=cols, out_dtype=out_dtype_of(source, out), dtype=source.dtype)
    extra = sum((t.bytes for t in results[1:]), 0)
    keepdims = len(out.shape or ()) == len(source.shape or ())
    call.emit(op, (source,), results, {"axis": axes, "keepdims": keepdims}, extra=extra)


def _quotient(total: Any, part: Any) -> Any:
    from perfmodel.features.onnx.rules_memory import over

    return over(total, part)


def pointwise_body(call: Call, inputs: list[Tensor], outputs: list[Tensor]) -> None:
    """A body of scalar functions over operands of the result's shape (``linalg.map``, ``stablehlo.map``)."""
    Body(call, [*inputs, *outputs], outputs, call.body().arguments).emit(joined=call.convert.joined)


RULES: dict[str, Rule] = {"linalg.generic": generic}
