"""TVM's scheduled functions (TIR with blocks) as loop nests.

Index expressions are evaluated at the first iteration, at the second and at the last of each loop; what fused and split loops
make of them (divisions, remainders) needs no algebra. Nodes are told by the names of their classes, which moved between modules
from one minor release of TVM to the next.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any

import numpy as np

from perfmodel.integrations.loop_nests import Access, Nest

_KINDS = {0: "serial", 1: "parallel", 2: "vectorized", 3: "unrolled", 4: "parallel"}
"""TVM's ``ForKind``; the last binds a GPU's threads."""
_BINARY: dict[str, Callable[[Any, Any], Any]] = {
    "Add": np.add, "Sub": np.subtract, "Mul": np.multiply, "FloorDiv": np.floor_divide, "FloorMod": np.mod,
    "Div": np.floor_divide, "Mod": np.mod, "Min": np.minimum, "Max": np.maximum,
}  # fmt: skip
_ARITHMETIC = ("Add", "Sub", "Mul", "Div", "Max", "Min")
_CALL_FLOPS = 10.0
"""Of an exponential, a hyperbolic tangent and the like."""
UNROLL = "pragma_auto_unroll_max_step"


@dataclass
class _Loops:
    """Loops on the way from the outermost to the present statement."""

    variables: list[int] = field(default_factory=list)
    extents: list[int] = field(default_factory=list)
    kinds: list[str] = field(default_factory=list)
    values: dict[int, Any] = field(default_factory=dict)  # of a block's own iterators: their expressions
    unroll_steps: int = 0

    def inside(self, **changed: Any) -> _Loops:
        kept = {
            "variables": self.variables, "extents": self.extents, "kinds": self.kinds, "values": self.values,
            "unroll_steps": self.unroll_steps,
        }  # fmt: skip
        return _Loops(**{**kept, **changed})


def nests(module: Any) -> list[Nest]:
    """The loop nests of a module's functions, in order.

    Args:
        module: an ``IRModule`` whose functions are TIR with constant extents.

    Raises:
        ValueError: an extent is no constant.
    """
    found: list[Nest] = []
    for _, function in module.functions_items() if hasattr(module, "functions_items") else module.functions.items():
        if hasattr(function, "body"):
            _statement(function.body, _Loops(), found)
    return found


def _statement(node: Any, loops: _Loops, found: list[Nest]) -> None:
    kind = type(node).__name__
    if kind == "For":
        extent = _whole(node.extent)
        steps = _annotation(node.annotations, UNROLL)
        inner = loops.inside(
            variables=[*loops.variables, hash(node.loop_var)],
            extents=[*loops.extents, extent],
            kinds=[*loops.kinds, _KINDS.get(int(node.kind), "serial")],
            unroll_steps=loops.unroll_steps if steps is None else steps,
        )
        _statement(node.body, inner, found)
    elif kind.endswith("BlockRealize"):
        block = node.block
        own = {hash(i.var): v for i, v in zip(block.iter_vars, node.iter_values, strict=True)}
        steps = _annotation(block.annotations, UNROLL)
        inner = loops.inside(
            values={**loops.values, **own}, unroll_steps=loops.unroll_steps if steps is None else steps
        )
        _statement(block.body, inner, found)
    elif kind == "SeqStmt":
        for part in node.seq:
            _statement(part, loops, found)
    elif kind == "BufferStore":
        found.append(_nest(node, loops))
    elif kind == "IfThenElse":
        _statement(node.then_case, loops, found)
    elif hasattr(node, "body"):
        _statement(node.body, loops, found)


def _nest(store: Any, loops: _Loops) -> Nest:
    extents = np.array(loops.extents or [1], dtype=np.int64)
    count = len(extents)
    # Points: the first iteration, then the second of each loop, then the last of each.
    points: dict[int, np.ndarray] = {}
    for place, variable in enumerate(loops.variables):
        at = np.zeros(1 + 2 * count, dtype=np.int64)
        at[1 + place] = min(1, extents[place] - 1)
        at[1 + count + place] = extents[place] - 1
        points[variable] = at
    environment = _Environment(points, loops.values)
    accesses = [_access(store.buffer, store.indices, environment, count, written=True)]
    flops, branches = 0.0, False
    stack = [store.value]
    while stack:
        node = stack.pop()
        kind = type(node).__name__
        if kind in ("BufferLoad", "TensorLoad"):
            buffer = node.source if kind == "TensorLoad" else node.buffer
            accesses.append(_access(buffer, node.indices, environment, count, written=False))
        elif kind in _BINARY:
            flops += 1.0 if kind in _ARITHMETIC else 0.0
            stack += [node.a, node.b]
        elif kind == "Select":
            branches = True
            stack += [node.true_value, node.false_value]
        elif kind == "Call":
            if "if_then_else" in str(node.op.name):
                branches = True
                stack += list(node.args)[1:]
            else:
                flops += _CALL_FLOPS
                stack += list(node.args)
        elif kind in ("Cast", "Not"):
            stack.append(node.value if kind == "Cast" else node.a)
    kinds = tuple(loops.kinds) or ("serial",)
    return Nest(extents, kinds, tuple(accesses), flops, loops.unroll_steps, branches)


@dataclass
class _Environment:
    """Values of loop variables and of blocks' iterators at all points."""

    points: Mapping[int, np.ndarray]
    values: Mapping[int, Any]
    known: dict[int, Any] = field(default_factory=dict)

    def at(self, node: Any) -> Any:
        """An index expression at all points; 0 for what is unknown."""
        kind = type(node).__name__
        if kind == "IntImm":
            return int(node.value)
        if kind == "Var" or kind == "SizeVar":
            key = hash(node)
            if key in self.points:
                return self.points[key]
            if key not in self.known:
                self.known[key] = self.at(self.values[key]) if key in self.values else 0
            return self.known[key]
        if kind in _BINARY:
            return _BINARY[kind](self.at(node.a), self.at(node.b))
        if kind == "Cast":
            return self.at(node.value)
        return 0


def _access(buffer: Any, indices: Any, environment: _Environment, loops: int, *, written: bool) -> Access:
    shape = np.array([_whole(extent) for extent in buffer.shape] or [1], dtype=np.float64)
    values = [np.broadcast_to(np.asarray(environment.at(i)), (1 + 2 * loops,)) for i in indices]
    at = np.stack(values).astype(np.float64) if values else np.zeros((1, 1 + 2 * loops))
    steps = np.concatenate([np.cumprod(shape[::-1])[::-1][1:], [1.0]])
    stride = (steps[:, None] * (at[:, 1 : 1 + loops] - at[:, :1])).sum(axis=0)
    reach = np.abs(at[:, 1 + loops :] - at[:, :1])
    # A remainder comes back to 0 at the last iteration: it then went all the way, or as far as its second step tells.
    reach = np.maximum(reach, np.abs(at[:, 1 : 1 + loops] - at[:, :1]))
    return Access(str(buffer.name), _element_bytes(str(buffer.dtype)), written, shape, reach, stride)


def _element_bytes(dtype: str) -> float:
    digits = "".join(c for c in dtype.split("x", maxsplit=1)[0] if c.isdigit())
    return max(int(digits or 8) / 8, 0.5)


def _whole(value: Any) -> int:
    number = getattr(value, "value", value)
    try:
        return int(number)
    except (TypeError, ValueError):
        raise ValueError(f"a loop or buffer has the extent {value}; wanted a constant") from None


def _annotation(annotations: Any, name: str) -> int | None:
    if annotations is not None and name in annotations:
        return _whole(annotations[name])
    return None
