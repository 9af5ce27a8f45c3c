"""Products of tensors by what each axis does: the one way from any dialect to a :class:`perfmodel.ops.Gemm`.

An axis of a contraction is a letter that stands for the same index wherever it occurs (Einstein's convention). A letter of
A, B and the result is a batch, one of A and the result a row, of B and the result a column; one of A and B alone is
summed over. ``dot_general``'s dimension numbers, linalg's indexing maps, the loops of an affine nest and the names of
named operations all are letters to this module.
"""

from __future__ import annotations

from collections.abc import Hashable, Sequence
from dataclasses import dataclass
from math import prod
from typing import Any

from perfmodel import ops
from perfmodel.dtypes import dtype as dtype_record
from perfmodel.dtypes import element_bytes, is_floating
from perfmodel.features.mlir.call import DefinitionError, Modelled, RuleError
from perfmodel.graph import Tensor
from perfmodel.ops.base import is_symbolic
from perfmodel.ops.formats import LARGEST_GROUP, is_narrow, product_format, weight_format

Letters = Sequence[Hashable]


@dataclass(frozen=True, slots=True)
class Operand:
    """One operand: its tensor, and a letter an axis (None for an axis of one element that no index runs over)."""

    tensor: Tensor
    letters: Letters


def is_one(dim: Any) -> bool:
    """Whether a dimension is certainly 1."""
    return not is_symbolic(dim) and bool(dim == 1)


def contract(
    a: Operand, b: Operand, result: Letters, *, sizes: dict[Hashable, Any] | None = None,
    out: Tensor | None = None, out_dtype: str | None = None, scales: Scales | None = None,
) -> tuple[Modelled, bool]:  # fmt: skip
    """The descriptor of a product.

    An operand that has one element along an axis where the other has more is shared along it: that is more rows or
    columns, not more products.

    Args:
        result: the letters of the result's axes.
        sizes: of letters; None means what the tensors say.
        out: the result, whose shape is compared and whose dtype is ``out_dtype``.
        scales: of the narrow operand, where there are any.

    Returns:
        The answer of a rule, and whether A and B change places (the result is stored transposed).

    Raises:
        RuleError: a letter that only one operand has and the result lacks, or an unknown shape.
    """
    known = dict(sizes or {})
    shapes = []
    for operand in (a, b):
        shape = operand.tensor.shape
        if shape is None:
            raise RuleError("the shape of an operand is not known")
        if len(shape) != len(operand.letters):
            raise DefinitionError(f"expected an operand of {len(operand.letters)} axes, found one of {len(shape)}")
        shapes.append(shape)
        for letter, size in zip(operand.letters, shape, strict=True):
            if letter is None:
                continue
            if letter not in known or is_one(known[letter]):
                known[letter] = size
            elif (
                not is_one(size) and not is_symbolic(size) and not is_symbolic(known[letter]) and size != known[letter]
            ):
                raise DefinitionError(
                    f"expected operands of one size along an axis that they share, found {known[letter]} and {size}"
                )
    in_a = [x for x, size in zip(a.letters, shapes[0], strict=True) if x is not None and not _shared(size, known[x])]
    in_b = [x for x, size in zip(b.letters, shapes[1], strict=True) if x is not None and not _shared(size, known[x])]
    if out is not None:
        _check_result(out, result, known)
    set_a, set_b, kept = set(in_a), set(in_b), set(result)
    batch = [x for x in in_a if x in set_b and x in kept]
    rows = [x for x in in_a if x not in set_b and x in kept]
    columns = [x for x in in_b if x not in set_a and x in kept]
    summed = [x for x in in_a if x in set_b and x not in kept]
    if len(batch) + len(rows) + len(summed) != len(in_a) or len(batch) + len(columns) + len(summed) != len(in_b):
        raise RuleError("it sums over an axis of one operand alone")
    m, n, k, count = (prod(known[x] for x in group) for group in (rows, columns, summed, batch))
    transpose_a = bool(in_a) and in_a[-1] in rows and bool(summed)
    transpose_b = bool(in_b) and in_b[-1] in summed and bool(columns)
    swapped = bool(result) and bool(rows) and bool(columns) and _last(result, known) in rows
    if swapped:
        m, n, transpose_a, transpose_b = n, m, not transpose_b, not transpose_a
        a, b = b, a
    form = format_of(a.tensor, b.tensor, scales, k)
    second = b.tensor
    # C^T = B^T · A^T puts a weight on the left where weights are expected.
    if (form.narrow is a.tensor) if form.weight_only else (
        is_one(count) and a.tensor.is_weight and not b.tensor.is_weight
    ):  # fmt: skip
        m, n, second = n, m, a.tensor
    if out is not None:
        out_dtype = form.out_dtype(out.dtype)
    op = ops.Gemm(batch=count, m=m, n=n, k=k, dtype=form.dtype, out_dtype=out_dtype)
    attributes = {"transpose_a": transpose_a, "transpose_b": transpose_b}
    return Modelled(op, attributes, (), form.extra_bytes(op, second)), swapped


def _check_result(out: Tensor, result: Letters, sizes: dict[Hashable, Any]) -> None:
    wanted = [1 if x is None else sizes.get(x) for x in result]
    found = out.shape or ()
    differ = len(wanted) != len(found) or any(
        isinstance(w, int) and isinstance(f, int) and w != f for w, f in zip(wanted, found, strict=True)
    )
    if differ:
        shapes = ["x".join(map(str, s)) or "no axes" for s in (wanted, found)]
        raise DefinitionError(f"expected a result of {shapes[0]}, found {shapes[1]}")


@dataclass(frozen=True, slots=True)
class Scales:
    """How the values of a narrow operand are scaled: the dtype of the scales, and how many terms of a sum share one."""

    dtype: str
    group: Any


@dataclass(frozen=True, slots=True)
class Format:
    """How two tensors are multiplied.

    Attributes:
        dtype: of the product's descriptor.
        wide: dtype of the tensor that the format is of: the one stored in more bits, the first where both take as many; the
            floating one of a floating and an integer one that no format names.
        narrow: the other tensor; None where both take as many bits.
        is_named: whether the format names the pair, and has the conversion of the narrow tensor in itself.
    """

    dtype: str
    wide: str
    narrow: Tensor | None = None
    is_named: bool = False

    @property
    def weight_only(self) -> bool:
        """Whether the format's two sides differ: the narrow tensor has to be that of the weights."""
        record = dtype_record(self.dtype)
        return record.weight_bits != record.activation_bits

    def out_dtype(self, stored: str) -> str | None:
        """The descriptor's ``out_dtype``: None where the result is stored as the operands, and is the format's usual one."""
        is_usual = dtype_record(self.dtype).output_bits == 8 * element_bytes(stored)
        return None if is_usual and stored == self.wide else stored

    def extra_bytes(self, op: ops.Gemm | ops.Conv, second: Tensor, read: Any = None) -> Any:
        """Bytes of the narrow tensor beyond those that the descriptor counts for it; mostly negative.

        Of either side the descriptor counts its format's bits; what is read are the tensors, scales and all.

        Args:
            second: the tensor on the side of the weights.
            read: bytes of the narrow tensor that are read; None means all.
        """
        if self.narrow is None:
            return 0
        counted = op.weight_bytes if self.narrow is second else op.bytes_read - op.weight_bytes
        return (self.narrow.bytes if read is None else read) - counted


def format_of(
    a: Tensor, b: Tensor, scales: Scales | None = None, length: Any = None, *, fixed: bool = False
) -> Format:  # fmt: skip
    """The format of a product of two tensors: the one that names the pair, else the wider of their dtypes.

    Args:
        scales: of the narrower tensor.
        length: terms of a sum.
        fixed: whether B is on the side of the weights, as filters are, and the two cannot change places.
    """
    if a.dtype == b.dtype:
        return Format(a.dtype, a.dtype)
    bytes_a, bytes_b = element_bytes(a.dtype), element_bytes(b.dtype)
    wide, narrow = (b, a) if bytes_a < bytes_b else (a, b)
    group = scales.group if scales is not None else length
    found = (product_format if is_narrow(wide.dtype) else weight_format)(
        wide.dtype, narrow.dtype, scales.dtype if scales is not None else wide.dtype,
        group if isinstance(group, int) and group > 0 else LARGEST_GROUP,
    )  # fmt: skip
    differing = narrow if bytes_a != bytes_b else None
    if found is not None:
        named = Format(found, wide.dtype, differing, True)
        if not (fixed and named.weight_only and narrow is a):
            return named
    # Integers are converted to floating numbers, however wide they are.
    floating = next((t for t in (wide, narrow) if is_floating(t.dtype)), wide)
    if floating is narrow:
        return Format(narrow.dtype, narrow.dtype, wide)
    return Format(wide.dtype, wide.dtype, differing)


def _shared(size: Any, whole: Any) -> bool:
    return is_one(size) and not is_one(whole)


def _last(letters: Letters, sizes: dict[Hashable, Any]) -> Hashable:
    """The letter of the axis that is contiguous in memory."""
    for letter in reversed(letters):
        if letter is not None and not is_one(sizes.get(letter, 1)):
            return letter
    return letters[-1]


def out_dtype_of(operand: Tensor, result: Tensor) -> str | None:
    """The result's dtype where it is not the operand's."""
    return None if result.dtype == operand.dtype else result.dtype
