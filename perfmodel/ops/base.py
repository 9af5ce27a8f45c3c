"""What every operator descriptor has in common.

A descriptor is a frozen record of *what is computed*, never of how: shapes, dtypes, and the counts that
follow from them. It knows no file format and no device. Every dimension may be

- an ``int`` (the counts are then exact integers wherever the formula is),
- a numpy array (the counts are arrays: a sweep over a batch size is one call),
- a sympy expression (still symbolic; ``bind`` turns it into one of the other two).
"""

from __future__ import annotations

import dataclasses
import functools
from collections.abc import Callable, Iterator
from typing import TYPE_CHECKING, Any, ClassVar, Self, TypeAlias

import numpy as np

from perfmodel.dtypes import dtype as dtype_record
from perfmodel.errors import CheckedFields, DescriptorError, UnboundDimensionError

if TYPE_CHECKING:
    import sympy

Dim: TypeAlias = "int | float | np.ndarray | sympy.Expr"
"""A dimension: a number, an array of numbers, or a symbolic expression."""

MAX_DIMENSION = 2**48
"""Largest dimension accepted: no tensor of a real machine has more elements along one axis."""


def is_symbolic(value: object) -> bool:
    """Whether a dimension is still a symbolic expression."""
    return hasattr(value, "free_symbols")


def lowest(value: Dim) -> Any:
    """The smallest number that a dimension holds; None for symbolic ones and empty arrays."""
    if isinstance(value, np.ndarray):
        return value.min() if value.size else None
    return None if is_symbolic(value) else value


def at_least(value: Dim, floor: Dim) -> Any:
    """``max(value, floor)`` for numbers, arrays and symbolic expressions alike."""
    if is_symbolic(value) or is_symbolic(floor):
        import sympy

        return sympy.Max(value, floor)
    if isinstance(value, np.ndarray) or isinstance(floor, np.ndarray):
        return np.maximum(value, floor)
    return max(value, floor)


def at_most(value: Dim, ceiling: Dim) -> Any:
    """``min(value, ceiling)`` for numbers, arrays and symbolic expressions alike."""
    if is_symbolic(value) or is_symbolic(ceiling):
        import sympy

        return sympy.Min(value, ceiling)
    if isinstance(value, np.ndarray) or isinstance(ceiling, np.ndarray):
        return np.minimum(value, ceiling)
    return min(value, ceiling)


def ceil_div(value: Dim, divisor: Dim) -> Any:
    """``ceil(value / divisor)`` for numbers, arrays and symbolic expressions alike."""
    if is_symbolic(value) or is_symbolic(divisor):
        import sympy

        return sympy.ceiling(value / divisor)
    return -(-value // divisor)


def floor_div(value: Dim, divisor: Dim) -> Any:
    """``floor(value / divisor)`` for numbers, arrays and symbolic expressions alike."""
    if is_symbolic(value) or is_symbolic(divisor):
        import sympy

        return sympy.floor(value / divisor)
    return value // divisor


def storage_bytes(elements: Dim, bits: float) -> Any:
    """Bytes that ``elements`` values of ``bits`` bits each take; exact for whole bytes."""
    if float(bits).is_integer() and bits % 8 == 0:
        return elements * int(bits // 8)
    return elements * (bits / 8)


class Product:
    """``batch`` independent products C[m,n] = A[m,k] · B[k,n]: what a GEMM-like operator multiplies."""

    __slots__ = ("batch", "k", "m", "n")

    def __init__(self, batch: Dim, m: Dim, n: Dim, k: Dim) -> None:
        self.batch: Dim = batch
        self.m: Dim = m
        self.n: Dim = n
        self.k: Dim = k

    @property
    def flops(self) -> Any:
        """2·batch·m·n·k: one multiply and one add per term."""
        return 2 * self.batch * self.m * self.n * self.k


@dataclasses.dataclass(frozen=True, kw_only=True)
class Operator(CheckedFields):
    """Base of all descriptors.

    Subclasses are frozen, keyword-only dataclasses. Fields whose metadata has ``dim=True`` are dimensions.
    All counts are for one execution of the operator.

    Args:
        dtype: how operands and results are stored, a name or another spelling in :mod:`perfmodel.dtypes` (``"bf16"``,
            ``"fp8"``, ``"w4a16"``).
    """

    op: ClassVar[str] = ""
    """The family's name in traces and in JSON."""

    dtype: str

    def __post_init__(self) -> None:
        record = dtype_record(self.dtype)
        if record.name != self.dtype:  # another spelling of it, as w4a16_g128
            object.__setattr__(self, "dtype", record.name)
        for name in self.dimension_names():
            given = getattr(self, name)
            if type(given) is int and 0 <= given <= MAX_DIMENSION:  # nearly all of them, in graphs of 200,000 nodes
                continue
            value = _dimension(type(self).__name__, name, given)
            if value is None and name not in self.optional_dimension_names():
                raise DescriptorError(f"{type(self).__name__}.{name} is None; wanted a whole number")
            if value is not given:
                object.__setattr__(self, name, value)

    @classmethod
    def dimension_names(cls) -> tuple[str, ...]:
        """Names of the fields that are dimensions, in order of declaration."""
        cached = cls.__dict__.get("_dimension_names")
        if cached is None:
            cached = tuple(f.name for f in dataclasses.fields(cls) if f.metadata.get("dim"))
            cls._dimension_names = cached  # type: ignore[attr-defined]
        return cached

    @classmethod
    def optional_dimension_names(cls) -> tuple[str, ...]:
        """Names of the dimensions that may be absent (None)."""
        cached = cls.__dict__.get("_optional_dimension_names")
        if cached is None:
            cached = tuple(f.name for f in dataclasses.fields(cls) if f.metadata.get("dim") and f.default is None)
            cls._optional_dimension_names = cached  # type: ignore[attr-defined]
        return cached

    def _dimensions(self) -> Iterator[tuple[str, Any]]:
        for name in self.dimension_names():
            yield name, getattr(self, name)

    @property
    def free_dims(self) -> tuple[str, ...]:
        """Names of the symbolic dimensions that are still open, sorted."""
        symbolic = [v for name in self.dimension_names() if is_symbolic(v := getattr(self, name))]
        if not symbolic:  # nearly all of them, in graphs of 200,000 nodes
            return ()
        names = {str(s) for v in symbolic for s in v.free_symbols}
        return tuple(sorted(names))

    def bind(self, **dims: int | np.ndarray) -> Self:
        """The same operator with symbolic dimensions replaced by numbers or by arrays of numbers.

        Raises:
            UnboundDimensionError: a symbolic dimension of this operator is not given.
        """
        missing = tuple(n for n in self.free_dims if n not in dims)
        if missing:
            raise UnboundDimensionError(
                f"{self.op} has the open dimensions {', '.join(missing)}: give each a number", missing
            )
        changes = {name: evaluate(value, dims) for name, value in self._dimensions() if is_symbolic(value)}
        return dataclasses.replace(self, **changes) if changes else self

    @property
    def products(self) -> tuple[Product, ...]:
        """The matrix products inside the operator; empty for those that multiply no matrices."""
        return ()

    @property
    def product_flops(self) -> Any:
        """FLOPs inside matrix products, unmasked."""
        return sum(p.flops for p in self.products)

    @property
    def flops(self) -> Any:
        """All FLOPs, unmasked (1 FLOP = one multiply or one add)."""
        raise NotImplementedError

    @property
    def flops_executed(self) -> Any:
        """FLOPs after causality and windows are taken into account."""
        return self.flops

    @property
    def bytes_read(self) -> Any:
        """Bytes of all operands, each read once."""
        raise NotImplementedError

    @property
    def bytes_written(self) -> Any:
        """Bytes of all results, each written once."""
        raise NotImplementedError

    @property
    def bytes(self) -> Any:
        """``bytes_read + bytes_written``: the compulsory traffic of one execution."""
        return self.bytes_read + self.bytes_written

    @property
    def shape(self) -> str:
        """The dimensions as short text, for tables."""
        return "x".join(str(v) for _, v in self._dimensions() if v is not None)

    def replace(self, **changes: Any) -> Self:
        """A copy with some fields changed."""
        return dataclasses.replace(self, **changes)


def dim_field(default: Any = dataclasses.MISSING) -> Any:
    """A dataclass field that is a dimension."""
    return dataclasses.field(default=default, metadata={"dim": True})


def evaluate(value: Any, dims: dict[str, Any]) -> Any:
    """The number (or array) that a symbolic dimension takes for the given bindings.

    Values that are no expressions are returned unchanged.

    Raises:
        UnboundDimensionError: a symbol of the expression is not given.
        DescriptorError: the expression has no finite value there.
    """
    if not is_symbolic(value):
        return value
    symbols = sorted(value.free_symbols, key=str)
    missing = tuple(str(s) for s in symbols if str(s) not in dims)
    if missing:
        raise UnboundDimensionError(f"the dimensions {', '.join(missing)} are open: give each a number", missing)
    arguments = [dims[str(s)] for s in symbols]
    if all(isinstance(a, (int, np.integer)) for a in arguments):
        number = value.subs(dict(zip(symbols, map(int, arguments), strict=True)))
        if number.is_integer:
            return int(number)
        if not number.is_real:  # a division by zero
            given = ", ".join(f"{s} = {a}" for s, a in zip(symbols, arguments, strict=True))
            raise DescriptorError(f"the dimension {value} is no number at {given}")
        return float(number)  # half a padding, or bytes of a sub-byte format
    return np.asarray(_compiled(value, tuple(symbols))(*map(_widened, arguments)))


@functools.lru_cache(maxsize=4096)
def _compiled(expression: Any, symbols: tuple[Any, ...]) -> Callable[..., Any]:
    # A model repeats the same few expressions in every layer; compiling one takes about a millisecond.
    import sympy

    # Under names of our own, since a dimension may be called like a function ("floor").
    plain = sympy.symbols(f"dim_0:{len(symbols)}")
    expression = expression.xreplace(dict(zip(symbols, plain, strict=True)))
    compiled: Callable[..., Any] = sympy.lambdify(plain, expression, modules="numpy")
    return compiled


def _widened(value: Any) -> Any:
    """Integers as Python's or 64-bit ones, floats as 64-bit ones: counts overflow or round in anything narrower."""
    if isinstance(value, np.ndarray):
        wide = np.int64 if value.dtype.kind in "iu" else np.float64
        return value if value.dtype == wide else value.astype(wide)
    if isinstance(value, np.integer):
        return int(value)
    return float(value) if isinstance(value, np.floating) else value


def _dimension(owner: str, name: str, value: Any) -> Any:
    """The dimension as it is kept: see :func:`_widened`."""
    if value is None or is_symbolic(value):
        return value
    if isinstance(value, np.ndarray):
        if value.dtype.kind not in "iuf":
            raise DescriptorError(f"{owner}.{name} is an array of {value.dtype}; dimensions are whole numbers")
        low, high = (value.min(), value.max()) if value.size else (0, 0)
        if not (np.isfinite(low) and np.isfinite(high)):
            raise DescriptorError(f"{owner}.{name} holds a value that is not finite; dimensions are whole numbers")
    else:
        if isinstance(value, bool) or not isinstance(value, (int, float, np.integer, np.floating)):
            raise DescriptorError(
                f"{owner}.{name} is {value!r}; a dimension is a whole number, got {type(value).__name__}"
            )
        if value != value or value in (float("inf"), float("-inf")):
            raise DescriptorError(f"{owner}.{name} is {value!r}; dimensions are finite")
        low = high = value
    if low < 0:
        raise DescriptorError(f"{owner}.{name} is {low}; dimensions are not negative")
    if high > MAX_DIMENSION:
        raise DescriptorError(f"{owner}.{name} is {high}; the largest dimension accepted is 2^48 = {MAX_DIMENSION}")
    return _widened(value)
