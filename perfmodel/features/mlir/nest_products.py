"""Nests that are matrix products: by which loops the indices of each buffer depend on."""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass, field
from math import isqrt, prod
from typing import TYPE_CHECKING, Any

from perfmodel import ops
from perfmodel.dtypes import element_bytes
from perfmodel.features.mlir.call import RuleError
from perfmodel.features.mlir.contractions import Format, format_of
from perfmodel.features.mlir.convolutions import Window, convolution
from perfmodel.features.mlir.indices import Access, Loop, distinct, variables
from perfmodel.features.mlir.instructions import is_on_chip
from perfmodel.features.mlir.ir import Value
from perfmodel.features.mlir.scalar_code import LOADS
from perfmodel.ops.base import is_symbolic

if TYPE_CHECKING:
    from perfmodel.features.mlir.convert import Conversion
    from perfmodel.features.mlir.nest_walk import Walk


@dataclass
class NestProduct:
    """A nest that multiplies matrices.

    Attributes:
        op: the descriptor.
        operands: the buffers that are A and B.
        fused: arithmetic beside the product.
        attributes: of the node.
        form: how the operands are multiplied; None where instructions say it.
        weights: the operand on the side of the weights.
    """

    op: ops.Gemm | ops.Conv
    operands: tuple[Value, ...] = ()
    fused: tuple[ops.Operator, ...] = ()
    attributes: dict[str, Any] = field(default_factory=dict)
    form: Format | None = None
    weights: Value | None = None

    def extra_bytes(self, convert: Conversion, read: Mapping[Value, Any]) -> Any:
        """Bytes of the narrower buffer beyond those that the descriptor counts for it.

        Args:
            read: bytes that are read of each buffer in memory.
        """
        if self.form is None or self.form.narrow is None or self.weights is None:
            return 0
        second = convert.known(self.weights).tensor
        narrow = next((v for v in self.operands if convert.known(v).tensor is self.form.narrow), None)
        if second is None or narrow is None or narrow not in read:
            return 0
        return self.form.extra_bytes(self.op, second, read[narrow])


def _form(convert: Conversion, x: Value, w: Value) -> Format:
    """How two buffers are multiplied, of which the second is on the side of the weights."""
    first, second = (convert.known(v).tensor for v in (x, w))
    if first is not None and second is not None:
        return format_of(first, second, fixed=True)
    found = convert.typed(x.type)
    dtype = found[1] if found is not None else "fp32"
    return Format(dtype, dtype)


def product_of(convert: Conversion, walk: Walk) -> NestProduct | None:
    """The product that a nest is; None where it is something else."""
    if walk.work.products:
        return _of_instructions(convert, walk)
    return _of_scalars(convert, walk) or _of_counts(convert, walk)


def _extent(loops: dict[Value, Loop], values: Collection[Value]) -> Any:
    # In the order of the nest, as what it runs was counted: extents may be means, and products of those round.
    total = prod((loop.extent for v, loop in loops.items() if v in values), start=1)
    return int(total) if isinstance(total, float) and total.is_integer() else total


def _of_scalars(convert: Conversion, walk: Walk) -> NestProduct | None:
    """``C[..] += A[..] * B[..]`` with scalars or vectors."""
    work = walk.work
    pairs = set(work.multiplied)
    if len(pairs) != 1:
        return None
    first, second = next(iter(pairs))
    loaded = _loaded(walk, first), _loaded(walk, second)
    if loaded[0] is None or loaded[1] is None or len(work.stores) != 1:
        return None
    (a, of_a), (b, of_b) = loaded[0], loaded[1]
    ((c, stores),) = work.stores.items()
    if a is b or c in (a, b):
        return None
    loops = walk.indices.loops
    vars_a, vars_b, vars_c = variables(of_a), variables(of_b), variables(stores[-1])
    if not (vars_a & vars_b) - vars_c or any(None in x.axes for x in (of_a, of_b, stores[-1])):
        return None
    if of_a.width or of_b.width:
        return None
    total = sum(times for (kind, _), times in work.arithmetic.items() if kind in ("mul", "mul+add"))
    around = vars_a | vars_b | vars_c
    if is_symbolic(total) or total != _extent(loops, around):
        return None
    others = tuple(
        ops.Elementwise(kind=kind, elements=times, inputs=0, dtype=dtype)
        for (kind, dtype), times in work.arithmetic.items()
        if not (kind in ("mul", "mul+add", "add") and times == total)
    )
    batch = vars_a & vars_b & vars_c
    rows, columns, summed = (vars_a & vars_c) - vars_b, (vars_b & vars_c) - vars_a, (vars_a & vars_b) - vars_c
    result = walk.convert.typed(c.type)
    stored = result[1] if result is not None else None
    conv = _as_convolution(convert, walk, (a, of_a), (b, of_b), stores[-1], stored)
    if conv is not None:
        conv.operands, conv.fused = (a, b), others
        return conv
    form = _form(convert, a, b)
    op = ops.Gemm(
        batch=_extent(loops, batch), m=_extent(loops, rows), n=_extent(loops, columns), k=_extent(loops, summed),
        dtype=form.dtype, out_dtype=None if stored is None else form.out_dtype(stored),
    )  # fmt: skip
    return NestProduct(op, (a, b), others, form=form, weights=b)


def _of_counts(convert: Conversion, walk: Walk) -> NestProduct | None:
    """A product whose loops are unrolled or run over vectors: by how many elements of each buffer it reaches.

    M·K, K·N and M·N elements and M·N·K products leave one M, N and K; where those do not fit, it is something else.
    """
    work = walk.work
    sides = {(_origin(walk, a), _origin(walk, b)) for a, b in work.multiplied}
    if len(sides) != 1 or len(work.stores) != 1:
        return None
    a, b = next(iter(sides))
    ((c, stores),) = work.stores.items()
    if a is None or b is None or a is b or c in (a, b):
        return None
    loops = walk.indices.loops
    accesses = [work.loads.get(a, []), work.loads.get(b, []), stores]
    used = [frozenset(v for access in group for v in variables(access)) for group in accesses]
    if not (used[0] & used[1]) - used[2]:
        return None
    counts = []
    for buffer, group in zip((a, b, c), accesses, strict=True):
        shape = getattr(convert.known(buffer).tensor, "shape", None)
        if shape is None or any(None in access.axes for access in group):
            return None
        counts.append(distinct(group, shape, loops))
    total = sum(times for (kind, _), times in work.arithmetic.items() if kind in ("mul", "mul+add"))
    batch = _extent(loops, used[0] & used[1] & used[2])
    if any(not isinstance(n, (int, float)) or n != int(n) or n <= 0 for n in (*counts, total, batch)):
        return None
    of_a, of_b, of_c = (int(n) // int(batch) for n in counts)
    m, n, k = (isqrt(x * y // z) for x, y, z in ((of_a, of_c, of_b), (of_b, of_c, of_a), (of_a, of_b, of_c)))
    if (m * k, k * n, m * n) != (of_a, of_b, of_c) or m * n * k * batch != total:
        return None
    form = _form(convert, a, b)
    result = walk.convert.typed(c.type)
    others = tuple(
        ops.Elementwise(kind=name, elements=times, inputs=0, dtype=dtype)
        for (name, dtype), times in work.arithmetic.items()
        if not (name in ("mul", "mul+add", "add") and times == total)
    )
    out = None if result is None else form.out_dtype(result[1])
    op = ops.Gemm(batch=int(batch), m=m, n=n, k=k, dtype=form.dtype, out_dtype=out)
    return NestProduct(op, (a, b), others, form=form, weights=b)


_SPREADING = frozenset("vector.broadcast vector.splat vector.shape_cast vector.extract vector.extractelement".split())


def _origin(walk: Walk, value: Value) -> Value | None:
    """The buffer that a factor was loaded from, spread over a vector or not."""
    while (operation := value.operation) is not None and operation.name in _SPREADING:
        value = operation.operands[0]
    if operation is None or operation.name not in LOADS:
        return None
    return walk.buffer(operation.operands[0])


def _loaded(walk: Walk, value: Value) -> tuple[Value, Access] | None:
    """The buffer that a value was loaded from, and how."""
    operation = value.operation
    if operation is None or operation.name not in LOADS:
        return None
    buffer = walk.buffer(operation.operands[0])
    accesses = walk.work.loads.get(buffer, [])
    return (buffer, accesses[0]) if len(accesses) == 1 else None


def _as_convolution(
    convert: Conversion, walk: Walk, a: tuple[Value, Access], b: tuple[Value, Access], store: Access, stored: str | None
) -> NestProduct | None:
    """The convolution that a product is where an index of one operand is the sum of a result's and a filter's loop."""
    for (x, of_x), (w, of_w) in ((a, b), (b, a)):
        windows = [axis for axis in of_x.axes if axis is not None and len(axis.coefficients) == 2]
        if windows:
            form = _form(convert, x, w)
            out = None if stored is None else form.out_dtype(stored)
            conv = _windowed(convert, walk, x, of_x, of_w, store, form.dtype, out)
            return None if conv is None else NestProduct(conv, form=form, weights=w)
    return None


def _windowed(
    convert: Conversion, walk: Walk, x: Value, of_x: Access, of_w: Access, store: Access, dtype: str, out: str | None
) -> ops.Conv | None:
    loops = walk.indices.loops
    in_w, in_c = variables(of_w), variables(store)
    shape = getattr(convert.known(x).tensor, "shape", None) or ()
    sizes: list[Any] = []
    kernel: list[Any] = []
    strides: list[Any] = []
    dilations: list[Any] = []
    results: list[Any] = []
    batch: Any = 1
    c_in: Any = 1
    groups: Any = 1
    seen: set[Value] = set()
    for axis, size in zip(of_x.axes, shape, strict=False):
        if axis is None:
            return None
        seen.update(axis.coefficients)
        if len(axis.coefficients) == 2:
            moved = [v for v in axis.coefficients if v in in_c and v not in in_w]
            inner = [v for v in axis.coefficients if v in in_w and v not in in_c]
            if len(moved) != 1 or len(inner) != 1:
                return None
            steps = [axis.coefficients[v] * (loops[v].step or 1) for v in (moved[0], inner[0])]
            sizes.append(size)
            kernel.append(loops[inner[0]].extent)
            results.append(loops[moved[0]].extent)
            strides.append(steps[0])
            dilations.append(steps[1])
            continue
        for v in axis.coefficients:
            if v in in_c and v in in_w:
                groups = groups * loops[v].extent
            elif v in in_c:
                batch = batch * loops[v].extent
            elif v in in_w:
                c_in = c_in * loops[v].extent
    c_out = _extent(loops, [v for v in in_w & in_c if v not in seen])
    if not all(isinstance(v, int) and v > 0 for v in (*strides, *dilations)):
        return None
    try:
        return convolution(
            Window(sizes, kernel, strides, dilations, [0] * len(sizes), results), batch=batch, c_in=c_in * groups,
            c_out=c_out * groups, groups=groups, dtype=dtype, out_dtype=out,
        )  # fmt: skip
    except RuleError:
        return None


def _of_instructions(convert: Conversion, walk: Walk) -> NestProduct:
    """A kernel of matrix instructions: all of them together make the stored matrix, whose extent gives rows and columns."""
    work = walk.work
    dtype, out = work.products[0][4], work.products[0][5]
    total = sum(m * n * k * runs for m, n, k, runs, _, _ in work.products)
    fused = tuple(
        ops.Elementwise(kind=kind, elements=times, inputs=0, dtype=d) for (kind, d), times in work.arithmetic.items()
    )
    stored = [v for v in work.stores if not is_on_chip(v)]
    operands = tuple(v for v in work.loads if v not in stored and not is_on_chip(v))[:2]
    attributes = {"matrix_instructions": sum(runs for *_, runs, _, _ in work.products)}
    shapes = [getattr(convert.known(v).tensor, "shape", None) for v in stored]
    shape: Sequence[Any] | None = shapes[0] if len(shapes) == 1 else None
    if (
        shape is not None
        and len(shape) >= 2
        and all(isinstance(d, int) for d in shape)
        and isinstance(total, (int, float))
    ):
        elements = prod(shape)
        if elements and total % elements == 0:
            op = ops.Gemm(
                batch=prod(shape[:-2]), m=shape[-2], n=shape[-1], k=int(total // elements), dtype=dtype,
                out_dtype=None if out == dtype else out,
            )  # fmt: skip
            return NestProduct(op, operands, fused, attributes)
    m, n, k, runs, _, _ = work.products[0]
    written = [w for _, w, _ in work.pointers.values() if w]
    elements = written[0] // element_bytes(out) if len(written) == 1 and isinstance(written[0], (int, float)) else 0
    if elements and isinstance(total, int) and total % elements == 0 and elements % (m * n) == 0:
        # Stored through a pointer: sums stay in registers until then.
        op = ops.Gemm(
            batch=int(elements) // (m * n), m=m, n=n, k=int(total // elements), dtype=dtype,
            out_dtype=None if out == dtype else out,
        )  # fmt: skip
        return NestProduct(op, tuple(p for p, (r, _, _) in work.pointers.items() if r)[:2], fused, attributes)
    per = m * n * k
    count = total // per if isinstance(total, int) and isinstance(per, int) and per else runs
    op = ops.Gemm(batch=count, m=m, n=n, k=k, dtype=dtype, out_dtype=None if out == dtype else out)
    return NestProduct(op, operands, fused, attributes)
