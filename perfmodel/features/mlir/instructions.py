"""Vector and matrix instructions: how many elements one execution works on."""

from __future__ import annotations

import re
from math import prod
from typing import Any

from perfmodel.features.mlir.attribute_values import numbers_of
from perfmodel.features.mlir.attributes import AffineMap
from perfmodel.features.mlir.element_types import _scalar as dtype_of_name
from perfmodel.features.mlir.element_types import dtype_of
from perfmodel.features.mlir.ir import Operation, Value
from perfmodel.features.mlir.types import DialectType, MemRefType, TensorType, VectorType

WARP = 32
"""Threads that execute one matrix instruction together on NVIDIA's GPUs (and the subgroups of gpu.subgroup_mma_compute)."""

KINDS: dict[str, str] = {
    "vector.reduction": "add", "vector.multi_reduction": "add", "vector.outerproduct": "mul+add", "vector.scan": "add",
    "nvvm.ex2.approx": "exp", "nvvm.rcp.approx.ftz.f": "reciprocal", "llvm.intr.vector.reduce.fadd": "add",
    "llvm.intr.vector.reduce.add": "add", "llvm.intr.vector.reduce.fmax": "max", "llvm.intr.vector.reduce.fmin": "min",
    "llvm.intr.vector.reduce.fmul": "mul", "llvm.intr.vector.reduce.mul": "mul",
}  # fmt: skip
"""Vector operations that are arithmetic, and the scalar function of each element."""

_MATRIX = re.compile(r"([0-9]+)x([0-9]+)x(\w+)")


def lanes(operation: Operation) -> Any:
    """Elements that one execution computes."""
    name = operation.name
    if name == "vector.outerproduct":
        return prod(_shape(operation.operands[0])) * prod(_shape(operation.operands[1]))
    if name in ("vector.reduction", "vector.multi_reduction") or name.startswith("llvm.intr.vector.reduce."):
        return prod(_shape(operation.operands[0]))
    return prod(_shape(operation.results[0])) if operation.results else 1


def width(value: Value) -> Any:
    """Elements of a scalar or vector."""
    return prod(_shape(value))


def _shape(value: Value) -> tuple[Any, ...]:
    kind = value.type
    return tuple(kind.shape or ()) if isinstance(kind, (VectorType, TensorType)) else ()


def fragment(operation: Operation) -> tuple[int, ...] | None:
    """Rows and columns of a matrix that a warp loads or stores at once; None for other operations."""
    if not operation.name.startswith("gpu.subgroup_mma_"):
        return None
    for value in (*operation.results, *operation.operands):
        if isinstance(value.type, DialectType) and value.type.name == "gpu.mma_matrix":
            match = _MATRIX.search(value.type.body)
            return (int(match[1]), int(match[2])) if match else None
    return None


def product(operation: Operation) -> tuple[Any, Any, Any, str, str, bool] | None:
    """(m, n, k, dtype of A, dtype of C, whether a whole warp executes it) of a matrix instruction; None for others."""
    name = operation.name
    if name == "vector.contract":
        return _contract(operation)
    if name == "tt.dot" and len(operation.operands) >= 3:
        left, right = _shape(operation.operands[0]), _shape(operation.operands[1])
        if len(left) < 2 or len(right) < 2:
            return None
        rows = left[-2] * prod(left[:-2])
        return rows, right[-1], left[-1], _dtype(operation.operands[0]), _dtype(operation.operands[2]), False
    if name in ("nvgpu.mma.sync", "nvgpu.mma.sp.sync", "amdgpu.wmma"):
        shape = numbers_of(operation.attributes.get("mmaShape")) or [16, 8, 16]
        return shape[0], shape[1], shape[2], _dtype(operation.operands[0]), _dtype(operation.operands[2]), True
    if name == "amdgpu.mfma":
        m, n, k = (int(operation.attributes.get(x, 16)) for x in ("m", "n", "k"))
        return m, n, k * int(operation.attributes.get("blocks", 1)), _dtype(operation.operands[0]), "fp32", True
    if name == "gpu.subgroup_mma_compute":
        sides = [_MATRIX.search(v.type.body) for v in operation.operands[:3] if isinstance(v.type, DialectType)]
        if len(sides) == 3 and all(s is not None for s in sides):
            a, b, c = (s for s in sides if s is not None)
            return int(a[1]), int(b[2]), int(a[2]), dtype_of_name(a[3]) or "fp16", dtype_of_name(c[3]) or "fp32", True
    return None


def _contract(operation: Operation) -> tuple[Any, Any, Any, str, str, bool] | None:
    maps = [m for m in operation.attributes.get("indexing_maps", ()) if isinstance(m, AffineMap)]
    if len(maps) != 3 or len(operation.operands) < 3:
        return None
    sizes: dict[int, Any] = {}
    used: list[set[int]] = []
    for map_, value in zip(maps, operation.operands, strict=False):
        own = set()
        for expression, size in zip(map_.results, _shape(value), strict=False):
            if isinstance(expression, tuple) and expression[0] == "d":
                sizes[expression[1]] = size
                own.add(expression[1])
        if isinstance(map_, AffineMap):
            own |= {e[1] for e in map_.results if isinstance(e, tuple) and e[0] == "d"}
        used.append(own)
    a, b, c = used
    m = prod(sizes.get(d, 1) for d in a & c)
    n = prod(sizes.get(d, 1) for d in (b & c) - a)
    k = prod(sizes.get(d, 1) for d in (a & b) - c)
    return m, n, k, _dtype(operation.operands[0]), _dtype(operation.operands[2]), False


def _dtype(value: Value) -> str:
    kind = value.type
    element = kind.element if isinstance(kind, (VectorType, MemRefType, TensorType)) else kind
    return dtype_of(element) or "fp32"


def is_on_chip(value: Value) -> bool:
    """Whether a buffer lies in shared memory or registers: a workgroup's or private space, or ``memref.alloca``."""
    kind = value.type
    space = kind.memory_space if isinstance(kind, MemRefType) else None
    if space is not None and str(getattr(space, "body", space)).strip("<> ") in ("3", "5", "workgroup", "private"):
        return True
    operation = value.operation
    return operation is not None and operation.name == "memref.alloca"
