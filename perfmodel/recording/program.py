"""A computation of one row written down: steps over short vectors of numbers, from named inputs to named outputs.

A step has a vector of results; what reads it says of each number which result it takes (:class:`Value`), so that slices,
broadcasts and transpositions are no steps. Steps that are written twice are one, and a vector whose entries repeat is computed
once for each entry that differs: the tile model's 128 candidates have nine distinct sides.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any

import numpy as np

ELEMENTWISE: dict[str, int] = {
    "add": 2, "subtract": 2, "multiply": 2, "divide": 2, "power": 2, "maximum": 2, "minimum": 2, "remainder": 2,
    "floor_divide": 2, "hypot": 2, "less": 2, "less_equal": 2, "greater": 2, "greater_equal": 2, "equal": 2, "not_equal": 2,
    "logical_and": 2, "logical_or": 2, "bitwise_and": 2, "bitwise_or": 2, "ceil": 1, "floor": 1, "sqrt": 1, "exp": 1,
    "exp2": 1, "log": 1, "log2": 1, "square": 1, "negative": 1, "absolute": 1, "logical_not": 1, "reciprocal": 1, "rint": 1,
    "where": 3, "float32": 1, "trunc": 1,
}  # fmt: skip
"""Operations on each number, with their operands. ``float32`` rounds to it, ``trunc`` towards 0; truths are 1 and 0."""
_TRUTHS = (
    "less", "less_equal", "greater", "greater_equal", "equal", "not_equal", "logical_and", "logical_or", "logical_not",
)  # fmt: skip
REDUCTIONS = ("minimum", "maximum", "add", "logical_and", "logical_or", "argmin", "argmax")
"""Operations on runs of equal length."""


@dataclass(frozen=True, eq=False)
class Step:
    """One step.

    Attributes:
        number: its place in the program.
        op: ``input``, ``constant``, ``gather`` (several values after each other), ``reduce``, ``pick`` (one of each run, by an
            index), ``look_up`` (of a table, by an index), ``count`` (of sorted edges at or below), ``is_in``, ``trees``, or one
            of :data:`ELEMENTWISE`.
        inputs: what it reads.
        size: how many numbers it makes.
        data: what else it needs: numbers of a constant or table, the name of a reduction, a booster.
    """

    number: int
    op: str
    inputs: tuple[Value, ...]
    size: int
    data: Any = None


@dataclass(frozen=True, eq=False)
class Value:
    """Numbers of a step: entry ``i`` is the step's result ``places[i]``."""

    step: Step
    places: np.ndarray

    def __len__(self) -> int:
        return len(self.places)

    def at(self, places: np.ndarray) -> Value:
        """Some of its entries."""
        return Value(self.step, self.places[places])

    @property
    def whole(self) -> bool:
        """Whether it is the step's results as they stand."""
        return len(self.places) == self.step.size and bool((self.places == np.arange(self.step.size)).all())


@dataclass
class Program:
    """Steps in an order in which each reads earlier ones.

    Attributes:
        inputs: names, in order.
        outputs: by name; each one number.
    """

    steps: list[Step] = field(default_factory=list)
    inputs: list[str] = field(default_factory=list)
    outputs: dict[str, Value] = field(default_factory=dict)
    _known: dict[Any, Step] = field(default_factory=dict)

    def input(self, name: str) -> Value:
        """A new input, one number."""
        self.inputs.append(name)
        return _all(self._step("input", (), 1, name, name))

    def constant(self, numbers: np.ndarray) -> Value:
        """Numbers that are always the same, shape ``[entries]``."""
        numbers = np.ascontiguousarray(numbers, dtype=np.float64)
        if numbers.size == 1:
            return _all(self._step("constant", (), 1, numbers, numbers.tobytes()))
        bits, places = np.unique(numbers.view(np.int64), return_inverse=True)
        distinct = bits.view(np.float64)
        return Value(self._step("constant", (), len(distinct), distinct, bits.tobytes()), places.reshape(-1))

    def value_of(self, result: Any) -> Value:
        """What a result is: of a recorded array its own value, of a plain number a constant."""
        value: Value = getattr(result, "value", None) or self.constant(
            np.atleast_1d(np.asarray(result, dtype=np.float64))
        )
        return value

    def elementwise(self, op: str, values: list[Value]) -> Value:
        """An operation on values of one length, or of length 1."""
        length = max(map(len, values))
        if op in ("multiply", "divide"):  # by 1, which leaves no trace
            kept = [v for place, v in enumerate(values) if not (_is_all(v, 1.0) and (op == "multiply" or place == 1))]
            if len(kept) == 1 and len(kept[0]) == length:
                return kept[0]
        if op == "not_equal" and _is_all(values[1], 0.0) and values[0].step.op in _TRUTHS and len(values[0]) == length:
            return values[0]
        if length == 1:  # nothing repeats: most steps of a ranker's, each time one is prepared
            return _all(self._step(op, tuple(values), 1))
        places = np.stack([np.broadcast_to(v.places, (length,)) for v in values], axis=1)
        distinct, back = np.unique(places, axis=0, return_inverse=True)
        inputs = tuple(Value(v.step, distinct[:, i]) for i, v in enumerate(values))
        return Value(self._step(op, inputs, len(distinct)), back.reshape(-1))

    def reduce(self, name: str, value: Value, run: int) -> Value:
        """Each run of ``run`` entries to one number; the first place of the least or largest for ``argmin`` and ``argmax``."""
        runs = value.places.reshape(-1, run)
        distinct, back = np.unique(runs, axis=0, return_inverse=True)
        step = self._step("reduce", (Value(value.step, distinct.reshape(-1)),), len(distinct), (name, run), (name, run))
        return Value(step, back.reshape(-1))

    def pick(self, value: Value, index: Value, run: int) -> Value:
        """Of each run of ``run`` entries the one that the index names."""
        return _all(self._step("pick", (value, index), len(index), run, run))

    def look_up(self, table: np.ndarray, index: Value) -> Value:
        """The table's numbers at places."""
        distinct, back = np.unique(index.places, return_inverse=True)
        table = np.ascontiguousarray(table)
        key = (table.dtype.str, table.tobytes())
        step = self._step("look_up", (Value(index.step, distinct),), len(distinct), table, key)
        return Value(step, back.reshape(-1))

    def count(self, edges: np.ndarray, value: Value, side: str) -> Value:
        """How many of the rising edges are below each number (``left``), or at or below it (``right``)."""
        edges = np.ascontiguousarray(edges, dtype=np.float64)
        step = self._step("count", (value,), len(value), (edges, side), (edges.tobytes(), side))
        return _all(step)

    def is_in(self, values: np.ndarray, value: Value) -> Value:
        """Whether each number is one of some."""
        known = np.unique(np.asarray(values, dtype=np.float64))
        return _all(self._step("is_in", (value,), len(value), known, known.tobytes()))

    def gather(self, values: list[Value]) -> Value:
        """Values after each other."""
        if len({v.step.number for v in values}) == 1:
            return Value(values[0].step, np.concatenate([v.places for v in values]))
        if all(v.step.op == "constant" for v in values):
            return self.constant(np.concatenate([v.step.data[v.places] for v in values]))
        return _all(self._step("gather", tuple(values), sum(map(len, values))))

    def trees(self, booster: Any, row: Value) -> Value:
        """The sum of a booster's trees on a row of features."""
        return _all(self._step("trees", (row,), 1, booster, id(booster)))

    def needed(self) -> list[Step]:
        """The steps that an output depends on, in order."""
        wanted = {v.step.number for v in self.outputs.values()}
        for step in reversed(self.steps):
            if step.number in wanted:
                wanted |= {v.step.number for v in step.inputs}
        return [s for s in self.steps if s.number in wanted]

    def _step(self, op: str, inputs: tuple[Value, ...], size: int, data: Any = None, key: Any = None) -> Step:
        identity = (op, tuple((v.step.number, v.places.tobytes()) for v in inputs), key)
        step = self._known.get(identity)
        if step is None:
            step = Step(len(self.steps), op, inputs, size, data)
            self.steps.append(step)
            self._known[identity] = step
        return step


def _is_all(value: Value, number: float) -> bool:
    """Whether all numbers are always this one."""
    return value.step.op == "constant" and bool((value.step.data[value.places] == number).all())


def _all(step: Step) -> Value:
    return Value(step, np.arange(step.size))
