"""Stand-ins for the nodes of TVM's TIR that the reader looks at: it tells them by the names of their classes."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any

SERIAL, PARALLEL, VECTORIZED, UNROLLED = range(4)


@dataclass(eq=False)
class Var:
    name: str


@dataclass(eq=False)
class IntImm:
    value: int


@dataclass(eq=False)
class Add:
    a: Any
    b: Any


@dataclass(eq=False)
class Mul:
    a: Any
    b: Any


@dataclass(eq=False)
class FloorDiv:
    a: Any
    b: Any


@dataclass(eq=False)
class FloorMod:
    a: Any
    b: Any


@dataclass(eq=False)
class Op:
    name: str


@dataclass(eq=False)
class Call:
    op: Op
    args: list[Any]


@dataclass(eq=False)
class Buffer:
    name: str
    shape: list[int]
    dtype: str = "float32"


@dataclass(eq=False)
class BufferLoad:
    buffer: Buffer
    indices: list[Any]


@dataclass(eq=False)
class BufferStore:
    buffer: Buffer
    value: Any
    indices: list[Any]


@dataclass(eq=False)
class For:
    loop_var: Var
    extent: Any
    kind: int
    body: Any
    annotations: dict[str, Any] = field(default_factory=dict)


@dataclass(eq=False)
class IterVar:
    var: Var


@dataclass(eq=False)
class SBlock:
    iter_vars: list[IterVar]
    body: Any
    annotations: dict[str, Any] = field(default_factory=dict)


@dataclass(eq=False)
class SBlockRealize:
    iter_values: list[Any]
    block: SBlock


@dataclass(eq=False)
class SeqStmt:
    seq: list[Any]


@dataclass(eq=False)
class PrimFunc:
    body: Any


@dataclass(eq=False)
class IRModule:
    functions: dict[str, Any]


def blocked_product(m: int, n: int, k: int, tile: int, *, unroll: int | None = None, wide: bool = True) -> IRModule:
    """C[m, n] += A[m, k] B[k, n]: columns in tiles, the loop over a tile's columns innermost and in vectors."""
    a, b, c = Buffer("A", [m, k]), Buffer("B", [k, n]), Buffer("C", [m, n])
    i, jo, kk, ji = Var("i"), Var("j_0"), Var("k"), Var("j_1")
    vi, vj, vk = Var("v_i"), Var("v_j"), Var("v_k")
    store = BufferStore(
        c, Add(BufferLoad(c, [vi, vj]), Mul(BufferLoad(a, [vi, vk]), BufferLoad(b, [vk, vj]))), [vi, vj]
    )
    block = SBlock([IterVar(vi), IterVar(vj), IterVar(vk)], store)
    body: Any = SBlockRealize([i, Add(Mul(jo, IntImm(tile)), ji), kk], block)
    body = For(ji, IntImm(tile), VECTORIZED if wide else SERIAL, body)
    body = For(jo, n // tile, SERIAL, For(kk, k, SERIAL, body))
    annotations = {} if unroll is None else {"pragma_auto_unroll_max_step": IntImm(unroll)}
    return IRModule({"main": PrimFunc(For(i, m, PARALLEL, body, annotations))})
