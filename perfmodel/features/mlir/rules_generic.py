"""``linalg.generic`` and its relatives: what a nest of parallel and reducing loops over tensors computes.

The indexing maps say which axis of which operand each loop runs over, the body what is done with one element of each. A
sum over a product of two operands is a GEMM, with a compound index a convolution; another accumulation is a reduction or a
pool; without reducing loops it is elementwise, a transpose or a broadcast. Bodies of several scalar functions become
several nodes, so that fusion meets the same graph from every dialect; it joins them again.
"""

from __future__ import annotations

from collections.abc import Sequence
from math import prod
from typing import Any

from perfmodel import ops
from perfmodel.dtypes import element_bytes
from perfmodel.features.fusion.bodies import BODY
from perfmodel.features.mlir.attributes import AffineMap, DialectAttribute
from perfmodel.features.mlir.bodies import REDUCTIONS
from perfmodel.features.mlir.call import Call, Rule, RuleError
from perfmodel.features.mlir.contractions import Operand, Scales, contract, format_of, is_one, out_dtype_of
from perfmodel.features.mlir.generic_products import (
    Factor,
    arithmetic,
    dequantised,
    factors_of,
    group_of,
    loops_of,
    uncast,
)
from perfmodel.features.mlir.generic_windows import Nest, Prologue, convolved, emit_accumulated, letters, pooled
from perfmodel.features.mlir.ir import Value
from perfmodel.features.mlir.kinds import SCALAR_KINDS
from perfmodel.features.mlir.scalar_bodies import Body
from perfmodel.features.onnx.rules_elementwise import share
from perfmodel.graph import Tensor
from perfmodel.ops.formats import is_narrow


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
    narrow = dequantised(call.operation)
    if narrow is not None:
        _dequantised(call, nest, narrow)
        return
    aligned = [_aligned(call, nest, index, out_letters) for index in range(len(nest.ins))]
    # What an accumulator held before is read where the body uses it.
    before = [t if t is not None else nest.outs[i] for i, t in enumerate(nest.initial)]
    Body(call, [*aligned, *before], nest.outs, arguments).emit(joined=call.convert.joined)


def _dequantised(call: Call, nest: Nest, narrow: Factor) -> None:
    """Weights or activations brought to floating point: the products that read them may take them as they are stored."""
    source, out = nest.ins[narrow.operand], nest.outs[0]
    # The scale before the zero point, as every format has them.
    order = sorted(narrow.others, key=lambda i: is_narrow(nest.ins[i].dtype))
    blocks = [
        size
        for d, size in zip(letters(nest.maps[narrow.operand]), source.shape or (), strict=True)
        if d not in loops_of(nest.maps[order[0]])
    ]
    block = blocks[-1] if blocks and len(loops_of(nest.maps[order[0]])) > 1 else 0
    scales = [nest.ins[i] for i in order]
    op = ops.Quantize(kind="dequantize", rows=1, cols=source.elements, dtype=source.dtype, out_dtype=out.dtype)
    extra = sum(t.bytes for t in scales)
    call.emit(op, (source, *scales), (out,), {"block_size": block}, extra=extra)


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
    arguments = block.arguments[: len(nest.ins)]
    compound = [any(isinstance(e, tuple) and e[0] not in ("d", "s") for e in m.results) for m in nest.maps]
    factors = None
    if kind == "sum":
        factors = factors_of(value, arguments, nest.maps[: len(nest.ins)], nest.sizes, nest.reducing)
    if factors is not None:
        a, b = factors.a, factors.b
        if compound[a.operand] or compound[b.operand]:
            a, b = (a, b) if compound[a.operand] else (b, a)
            convolved(call, nest, a.operand, b.operand, _prologue(nest, a, b, factors.of_result))
            return
        if _is_product(nest, a.operand, b.operand):
            _multiplied(call, nest, a, b, factors.of_result)
            return
    if len(nest.ins) >= 1 and compound[0]:
        pooled(call, nest, kind)
        return
    _reduced(call, nest, kind, value)


def _accumulation(value: Value, accumulator: Value | None) -> tuple[str, Value] | None:
    """(kind of reduction, what is accumulated) of a yielded value; casts around are looked through."""
    value = uncast(value)
    operation = value.operation
    if operation is None or accumulator is None:
        return None
    kind = REDUCTIONS.get(SCALAR_KINDS.get(operation.name, ""))
    if kind is not None and len(operation.operands) == 2:
        left, right = operation.operands
        if uncast(left) is accumulator:
            return kind, right
        if uncast(right) is accumulator:
            return kind, left
    if SCALAR_KINDS.get(operation.name) == "where" and len(operation.operands) == 3:
        others = [v for v in operation.operands[1:] if uncast(v) is not accumulator]
        test = operation.operands[0].operation
        if len(others) == 1 and test is not None and SCALAR_KINDS.get(test.name) == "compare":
            return "max", others[0]
    if operation.name == "math.fma" and uncast(operation.operands[2]) is accumulator:
        return "sum", value
    return None


def _is_product(nest: Nest, a: int, b: int) -> bool:
    """Whether two operands share every loop that reduces; a sum of scaled rows is no product of matrices."""
    of_a, of_b = letters(nest.maps[a]), letters(nest.maps[b])
    return all(d in of_a and d in of_b for d in nest.reducing if not is_one(nest.sizes[d]))


def _prologue(nest: Nest, a: Factor, b: Factor, of_result: Sequence[int]) -> Prologue:
    """What is done with the operands of a product in its kernel."""
    first, second, out = nest.ins[a.operand], nest.ins[b.operand], nest.outs[0]
    narrow = a if element_bytes(first.dtype) < element_bytes(second.dtype) else b
    scales = None
    if narrow.others:
        scale = max(narrow.others, key=lambda i: len(loops_of(nest.maps[i])))
        summed = [d for d in nest.reducing if not is_one(nest.sizes[d])]
        group = group_of(nest.maps[narrow.operand], nest.maps[scale], nest.sizes, summed)
        scales = Scales(nest.ins[scale].dtype, group)
    read = [nest.ins[i] for i in dict.fromkeys((*a.others, *b.others, *of_result))]
    after = tuple(ops.Elementwise(kind="mul", elements=out.elements, inputs=0, dtype=out.dtype) for _ in of_result)
    return Prologue(scales, read, {t.name: arithmetic(f, t) for f, t in ((a, first), (b, second))}, after)


def _multiplied(call: Call, nest: Nest, a: Factor, b: Factor, of_result: Sequence[int]) -> None:
    first, second, out = nest.ins[a.operand], nest.ins[b.operand], nest.outs[0]
    sizes: dict[Any, Any] = {i: s for i, s in enumerate(nest.sizes) if s is not None}
    around = _prologue(nest, a, b, of_result)
    answer, swapped = contract(
        Operand(first, letters(nest.maps[a.operand])), Operand(second, letters(nest.maps[b.operand])),
        letters(nest.maps[len(nest.ins)]), sizes=sizes, out=out, scales=around.scales,
    )  # fmt: skip
    inputs = [second, first] if swapped else [first, second]
    answer = around.of(answer, format_of(first, second, around.scales))
    emit_accumulated(call, answer, [*inputs, *around.read], out, nest.initial[0])


def _reduced(call: Call, nest: Nest, kind: str, value: Value) -> None:
    out = nest.outs[0]
    block = call.body()
    arguments = block.arguments[: len(nest.ins)]
    order = list(range(len(nest.sizes)))
    before = len(call.convert.nodes)
    source: Tensor
    value = uncast(value)
    if value in arguments:
        index = arguments.index(value)
        source = nest.ins[index]
        axes = tuple(i for i, d in enumerate(letters(nest.maps[index])) if d in nest.reducing)
    else:
        whole = tuple(nest.sizes)
        if any(d is None for d in whole):
            raise RuleError("the extent of a loop is not known")
        if call.convert.joined or all(_is_smaller(t.elements, prod(whole)) for t in nest.ins):
            _reduced_in_place(call, nest, kind, value, prod(whole))
            return
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
    nodes = call.convert.nodes
    if len(nodes) - before > 1:  # fusion joins what no pattern takes apart
        tag = nodes[-1].name
        nodes[before:] = [n.replace(attributes={**n.attributes, BODY: tag}) for n in nodes[before:]]


def _is_smaller(elements: Any, whole: Any) -> bool:
    return isinstance(elements, int) and isinstance(whole, int) and elements < whole


_COMBINED = {"sum": "add", "prod": "mul"}


def _reduced_in_place(call: Call, nest: Nest, kind: str, value: Value, whole: Any) -> None:
    """A function of several operands that is reduced as it is computed: one kernel, which stores none of its values.

    Where each operand lacks a loop (distances between all rows of two tables), what is reduced is larger than all that
    is read, and never is in memory.
    """
    block = call.body()
    out = nest.outs[0]
    kinds, read = Body(call, [*nest.ins, *nest.outs], nest.outs, block.arguments).collect(value)
    inputs = [t for t in read if t.name != out.name]
    if not inputs:
        raise RuleError("what it reduces depends on no operand")
    dtype = max(inputs, key=lambda t: float(t.elements) if isinstance(t.elements, int) else 0.0).dtype
    same = [t.elements for t in inputs if t.dtype == dtype]
    extra = sum((t.bytes for t in (*(t for t in inputs if t.dtype != dtype), *nest.outs[1:])), 0)
    op = ops.Elementwise(
        kind="+".join([*kinds, _COMBINED.get(kind, kind)]), elements=whole, inputs=len(same), input_elements=sum(same),
        outputs=share(out.elements, whole), out_dtype=None if out.dtype == dtype else out.dtype, dtype=dtype,
    )  # fmt: skip
    call.emit(op, inputs, nest.outs, extra=extra)


def _quotient(total: Any, part: Any) -> Any:
    from perfmodel.features.onnx.rules_memory import over

    return over(total, part)


def pointwise_body(call: Call, inputs: list[Tensor], outputs: list[Tensor]) -> None:
    """A body of scalar functions over operands of the result's shape (``linalg.map``, ``stablehlo.map``)."""
    Body(call, [*inputs, *outputs], outputs, call.body().arguments).emit(joined=call.convert.joined)


RULES: dict[str, Rule] = {"linalg.generic": generic}
