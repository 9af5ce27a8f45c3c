"""Types of MLIR values as structured records.

All records are frozen, compare by value and can be keys. A dimension is an ``int``, or None where the text has ``?``.
"""

from __future__ import annotations

from dataclasses import dataclass
from math import prod
from typing import Any, TypeAlias

Shape: TypeAlias = "tuple[int | None, ...] | None"
"""Dimensions, None for a dynamic one; None as a whole where the rank is unknown (``tensor<*xf32>``)."""


@dataclass(frozen=True, slots=True)
class ScalarType:
    """``f32``, ``bf16``, ``i8``, ``si64``, ``index``, ``none``, ``f8E4M3FN``, ..."""

    name: str

    def __str__(self) -> str:
        return self.name


@dataclass(frozen=True, slots=True)
class ComplexType:
    """``complex<f32>``."""

    element: Type

    def __str__(self) -> str:
        return f"complex<{self.element}>"


@dataclass(frozen=True, slots=True)
class TensorType:
    """A tensor, of the builtin dialect or of another one.

    Attributes:
        shape: see :data:`Shape`.
        element: type of the elements; None where a dialect leaves it open (``!torch.vtensor<[2],unk>``).
        encoding: attribute after the element type (a sparse encoding, named bounds, ...); None without one.
        kind: ``"tensor"``, or the dialect's own type (``"torch.vtensor"``, ``"torch.tensor"``, ``"flow.dispatch.tensor"``).
    """

    shape: Shape
    element: Type | None
    encoding: Any = None
    kind: str = "tensor"

    def __str__(self) -> str:
        if self.kind == "tensor":
            return f"tensor<{_body(self.shape, self.element)}{'' if self.encoding is None else f', {self.encoding}'}>"
        sizes = "*" if self.shape is None else "[" + ",".join("?" if d is None else str(d) for d in self.shape) + "]"
        return f"!{self.kind}<{sizes},{self.element or 'unk'}>"


@dataclass(frozen=True, slots=True)
class StridedLayout:
    """``strided<[64, 1], offset: ?>``; None stands for ``?``."""

    strides: tuple[int | None, ...]
    offset: int | None = 0


@dataclass(frozen=True, slots=True)
class MemRefType:
    """A buffer.

    Attributes:
        shape: see :data:`Shape`.
        element: type of the elements.
        layout: a :class:`StridedLayout`, an :class:`~perfmodel.features.mlir.attributes.AffineMap`, another attribute, or
            None for row-major without gaps.
        memory_space: ``3 : i32`` as 3, ``#gpu.address_space<workgroup>`` as an attribute; None for the default space.
    """

    shape: Shape
    element: Type
    layout: Any = None
    memory_space: Any = None

    def __str__(self) -> str:
        rest = "".join(f", {part}" for part in (self.layout, self.memory_space) if part is not None)
        return f"memref<{_body(self.shape, self.element)}{rest}>"


@dataclass(frozen=True, slots=True)
class VectorType:
    """A vector; ``scalable`` has one entry a dimension, True for ``[4]`` of ``vector<[4]xf32>``."""

    shape: tuple[int | None, ...]
    element: Type
    scalable: tuple[bool, ...] = ()

    def __str__(self) -> str:
        return f"vector<{_body(self.shape, self.element)}>"


@dataclass(frozen=True, slots=True)
class FunctionType:
    """``(inputs) -> results``."""

    inputs: tuple[Type, ...]
    results: tuple[Type, ...]

    def __str__(self) -> str:
        return f"({', '.join(map(str, self.inputs))}) -> ({', '.join(map(str, self.results))})"


@dataclass(frozen=True, slots=True)
class TupleType:
    """``tuple<i32, tensor<2xf32>>``."""

    elements: tuple[Type, ...]

    def __str__(self) -> str:
        return f"tuple<{', '.join(map(str, self.elements))}>"


@dataclass(frozen=True, slots=True)
class DialectType:
    """Any other type of a dialect, kept as text.

    Attributes:
        name: with the dialect, without the exclamation mark: ``"torch.list"``, ``"tosa.shape"``, ``"gpu.async.token"``.
        body: what stands between the angle brackets; empty without any.
    """

    name: str
    body: str = ""

    @property
    def dialect(self) -> str:
        """The dialect's name space."""
        return self.name.partition(".")[0]

    def __str__(self) -> str:
        return f"!{self.name}<{self.body}>" if self.body else f"!{self.name}"


Type: TypeAlias = (
    ScalarType | ComplexType | TensorType | MemRefType | VectorType | FunctionType | TupleType | DialectType
)
ShapedType: TypeAlias = TensorType | MemRefType | VectorType

SHAPED = (TensorType, MemRefType, VectorType)
"""For ``isinstance``: the types that have a shape and an element type."""


def element_count(kind: Type | None) -> int | None:
    """Number of elements; 1 for scalars, None where a dimension, the rank or the type is unknown."""
    if isinstance(kind, SHAPED):
        known = [size for size in kind.shape or () if size is not None]
        return None if kind.shape is None or len(known) < len(kind.shape) else prod(known)
    return 1 if isinstance(kind, (ScalarType, ComplexType)) else None


def _body(shape: Shape, element: Type | None) -> str:
    if shape is None:
        return f"*x{element}"
    return "".join(f"{'?' if d is None else d}x" for d in shape) + str(element)
