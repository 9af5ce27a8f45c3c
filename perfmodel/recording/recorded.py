"""Arrays that write down what is done to them, so that the physics of this package is exported as it is and not a second time.

A :class:`Recorded` array holds numbers of some sample rows, on which numpy computes as ever, and the
:class:`~perfmodel.recording.program.Value` of one row. Numpy hands each operation on it to the class (NEP 13 and 18); what it
does not know it refuses. Rows take the same path: ``mask.any()`` is true, ``flatnonzero(mask)`` is all rows, and what is then
written under the mask is a choice between old and new.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any, Literal, cast

import numpy as np

from perfmodel.errors import PerfmodelError
from perfmodel.recording.program import ELEMENTWISE, Program, Value

SAMPLE_ROWS = 251
"""A prime that no other axis has: an axis of this length is that of the rows."""
_RENAMED = {"invert": "logical_not", "true_divide": "divide", "fabs": "absolute", "fmod": "remainder"}
_MOVES = (
    "transpose", "reshape", "ravel", "repeat", "broadcast_to", "expand_dims", "squeeze", "moveaxis", "swapaxes", "atleast_1d",
)  # fmt: skip


class UnrecordableError(PerfmodelError):
    """An operation on recorded arrays that has no counterpart in an export."""


class Recorded(np.ndarray):
    """An array of sample rows with what it is of any row.

    Attributes:
        value: the numbers of one row, in the order of the array without its axis of rows.
        program: what writes down.
        mask: of an array of row numbers, which rows it holds.
    """

    value: Value
    program: Program
    mask: Recorded | None

    def __array_finalize__(self, obj: Any) -> None:
        self.mask = None

    # ------------------------------------------------------------------------------------------------ numpy's protocols
    def __array_ufunc__(self, ufunc: np.ufunc, method: str, *inputs: Any, out: Any = None, **kwargs: Any) -> Any:
        """Records one operation; see NEP 13."""
        name = _RENAMED.get(ufunc.__name__, ufunc.__name__)
        with np.errstate(all="ignore"):
            if method == "reduce":
                return self._reduced(name, ufunc, inputs[0], **kwargs)
            if method != "__call__":
                raise UnrecordableError(f"numpy's {ufunc.__name__}.{method} cannot be exported")
            where = kwargs.pop("where", True)
            plain = [_plain(x) for x in inputs]
            if out is None:
                return self._recorded_call(name, ufunc(*plain, **kwargs), inputs)
            (target,) = out
            result = self._recorded_call(name, ufunc(*plain), inputs)
            if where is not True:
                return np.where(where, result, target)
            if not isinstance(target, Recorded):
                raise UnrecordableError("a recorded array is written into an array that is none")
            np.copyto(_plain(target), _plain(result), casting="same_kind")
            target.value = result.value
            return target

    def __array_function__(self, func: Any, types: Any, args: Any, kwargs: Any) -> Any:
        """Records a function of numpy; see NEP 18."""
        with np.errstate(all="ignore"):
            handler = _FUNCTIONS.get(func.__name__)
            if handler is not None:
                return handler(self, *args, **kwargs)
            if func.__name__ in _MOVES:
                return args[0]._moved(lambda a: func(a, *args[1:], **kwargs))
            if func.__name__ in (
                "any",
                "all",
                "min",
                "max",
                "amin",
                "amax",
                "sum",
                "clip",
                "shape",
                "ndim",
                "size",
                "copy",
                "round",
            ):
                return func._implementation(*args, **kwargs)
        raise UnrecordableError(f"numpy's {func.__name__} cannot be exported")

    # ---------------------------------------------------------------------------------------------------------- indexing
    def __getitem__(self, key: Any) -> Any:
        """Entries by fixed places, all rows by a mask or by recorded rows, or one of each row by a recorded index."""
        if isinstance(key, Recorded) and key.ndim == 1 and (key.dtype == bool or key.mask is not None):
            if self.mask is None:
                return self.copy()
            both = self.copy()
            other: Any = key if key.dtype == bool else key.mask
            both.mask = cast(Recorded, self.mask & other)
            return both
        if isinstance(key, tuple) and any(isinstance(k, Recorded) for k in key):
            return self._picked(key)
        return self._moved(lambda a: a[key])

    def __setitem__(self, key: Any, new: Any) -> None:
        """Writes under a mask, or rows."""
        mask = key if isinstance(key, Recorded) and key.dtype == bool else getattr(key, "mask", None)
        if mask is None and np.array_equal(_plain(key), np.arange(SAMPLE_ROWS)):  # all rows
            mask = True
        if mask is None:
            raise UnrecordableError("entries of a recorded array are written at places that are no mask")
        if mask is True:
            plain = np.broadcast_to(_plain(new), self.shape)
            result = recorded(self.program, plain, _spread(self.program, new, self.shape))
        else:
            result = cast(Recorded, np.where(mask, new, self))
        np.copyto(_plain(self), _plain(result), casting="same_kind")
        self.value = result.value

    def __iter__(self) -> Any:
        """The first axis, which must not be that of the rows."""
        return (self[i] for i in range(len(self)))

    def _picked(self, key: tuple[Any, ...]) -> Recorded:
        axes = [i for i, k in enumerate(key) if isinstance(k, Recorded)]
        rows = [i for i, k in enumerate(key) if not isinstance(k, Recorded)]
        if (
            len(key) != 2
            or self.ndim != 2
            or len(axes) != 1
            or not np.array_equal(key[rows[0]], np.arange(SAMPLE_ROWS))
        ):
            raise UnrecordableError("a recorded index beside others cannot be exported")
        index = key[axes[0]]
        plain = _plain(self)[tuple(_plain(k) for k in key)]
        return self._made(plain, self.program.pick(self.value, index.value, self.shape[axes[0]]))

    # ------------------------------------------------------------------------------------------------ methods of an array
    @property
    def T(self) -> Recorded:  # noqa: N802 - numpy's name
        """Axes reversed."""
        return self._moved(lambda a: a.T)

    def reshape(self, *shape: Any, **kwargs: Any) -> Recorded:
        """As numpy's, with the rows as an axis of their own."""
        return self._moved(lambda a: a.reshape(*shape, **kwargs))

    def ravel(self, order: Any = "C") -> Recorded:
        """As numpy's."""
        return self._moved(lambda a: a.ravel(order))

    def repeat(self, *args: Any, **kwargs: Any) -> Recorded:
        """As numpy's."""
        return self._moved(lambda a: a.repeat(*args, **kwargs))

    def copy(self, order: Any = "C") -> Recorded:
        """Another array of the same value."""
        result = self._made(_plain(self).copy(), self.value)
        result.mask = self.mask
        return result

    def astype(self, dtype: Any, *args: Any, **kwargs: Any) -> Any:
        """Rounded to float32, cut to whole numbers, or as it is."""
        kind, plain = np.dtype(dtype), _plain(self).astype(dtype)
        if kind == np.float32:
            return self._made(plain, self.program.elementwise("float32", [self.value]))
        if kind.kind in "iu" and self.dtype.kind == "f":
            return self._made(plain, self.program.elementwise("trunc", [self.value]))
        if kind.kind in "iuf" and self.dtype.kind in "iufb":
            return self._made(plain, self.value)
        raise UnrecordableError(f"a recorded array as {kind} cannot be exported")

    def argmin(self, axis: Any = None, out: Any = None, **kwargs: Any) -> Any:
        """The place of the least along an axis."""
        return self._along("argmin", _plain(self).argmin(axis), axis)

    def argmax(self, axis: Any = None, out: Any = None, **kwargs: Any) -> Any:
        """The place of the largest along an axis."""
        return self._along("argmax", _plain(self).argmax(axis), axis)

    def looked_up_in(self, table: np.ndarray) -> Recorded:
        """``table[self]``: see :func:`perfmodel.models.tables.look_up`."""
        return self._made(table.take(_plain(self)), self.program.look_up(table, self.value))

    # -------------------------------------------------------------------------------------------------------------- parts
    @property
    def row_axis(self) -> int:
        """Which axis is that of the rows."""
        return _row_axis(self.shape)

    def _made(self, plain: np.ndarray, value: Value) -> Recorded:
        return recorded(self.program, plain, value)

    def _moved(self, move: Callable[[Any], Any]) -> Recorded:
        """The array after a move of entries that is the same in all rows."""
        shape = list(self.shape)
        axis = self.row_axis
        shape[axis] = 1
        numbers = np.broadcast_to(np.arange(len(self.value)).reshape(shape), self.shape)
        moved, plain = move(numbers), move(_plain(self))
        places = np.take(moved, 0, axis=_row_axis(np.shape(moved)))
        if not (moved == np.expand_dims(places, _row_axis(np.shape(moved)))).all():
            raise UnrecordableError("entries of a recorded array move between rows")
        result = self._made(np.array(plain), self.value.at(places.reshape(-1)))
        return result

    def _recorded_call(self, name: str, plain: np.ndarray, inputs: Sequence[Any]) -> Recorded:
        if name == "positive":
            return self.copy()
        if name == "clip":
            low_high = np.maximum(inputs[0], inputs[1]) if inputs[1] is not None else inputs[0]
            return np.minimum(low_high, inputs[2]) if inputs[2] is not None else low_high
        if name not in ELEMENTWISE:
            raise UnrecordableError(f"numpy's {name} cannot be exported")
        if name == "logical_not" and inputs[0].dtype != bool:
            raise UnrecordableError("bits of numbers that are no truths are turned")
        values = [_spread(self.program, x, plain.shape) for x in inputs]
        return self._made(plain, self.program.elementwise(name, values))

    def _reduced(self, name: str, ufunc: np.ufunc, array: Any, axis: Any = 0, keepdims: bool = False, **_: Any) -> Any:
        plain = ufunc.reduce(_plain(array), axis=axis, keepdims=keepdims)
        if np.shape(plain).count(SAMPLE_ROWS) == 1:
            result = self._along(name, plain if not keepdims else np.squeeze(plain, axis), axis)
            return np.expand_dims(result, axis) if keepdims else result
        if name == "logical_or":  # a short cut past rows under a mask: the long way is right for all
            return True
        if name in ("minimum", "maximum"):  # how descriptors check what they are given
            return plain
        raise UnrecordableError(f"numpy's {name} over all rows cannot be exported")

    def _along(self, name: str, plain: np.ndarray, axis: Any) -> Recorded:
        axis = axis % self.ndim if isinstance(axis, int) else axis
        if not isinstance(axis, int) or axis == self.row_axis:
            raise UnrecordableError(f"numpy's {name} over rows cannot be exported")
        last = np.moveaxis(self, axis, -1)
        assert isinstance(last, Recorded)
        return self._made(np.asarray(plain), self.program.reduce(name, last.value, self.shape[axis]))


def recorded(program: Program, sample: np.ndarray, value: Value) -> Recorded:
    """An array of sample rows with what it is of any row."""
    _row_axis(sample.shape)
    result = np.array(sample).view(Recorded)
    result.program, result.value = program, value
    return result


def _plain(value: Any) -> Any:
    return value.view(np.ndarray) if isinstance(value, Recorded) else value


def _row_axis(shape: tuple[int, ...]) -> int:
    if shape.count(SAMPLE_ROWS) != 1:
        raise UnrecordableError(f"an array of the shape {shape} has no axis of rows, or several")
    return shape.index(SAMPLE_ROWS)


def _spread(program: Program, value: Any, shape: tuple[int, ...]) -> Value:
    """An operand as a value with an entry for each of a result's shape."""
    axis = _row_axis(shape)
    of_row = list(shape)
    of_row[axis] = 1
    if isinstance(value, Recorded):
        own = list(value.shape)
        own[value.row_axis] = 1
        places = np.broadcast_to(np.arange(len(value.value)).reshape(own), of_row)
        return value.value.at(places.reshape(-1))
    array = np.asarray(value, dtype=np.float64)
    behind = len(shape) - axis  # axes count from the last
    if array.ndim >= behind and array.shape[-behind] == SAMPLE_ROWS:
        first = np.take(array, [0], axis=array.ndim - behind)
        if not ((array == first) | (np.isnan(array) & np.isnan(first))).all():
            raise UnrecordableError("numbers that differ between rows were not recorded")
        array = first
    return program.constant(np.broadcast_to(array, of_row).reshape(-1))


# ----------------------------------------------------------------------------------------------------- numpy's functions
def _where(first: Recorded, condition: Any, then: Any, otherwise: Any) -> Any:
    plain = np.where(_plain(condition), _plain(then), _plain(otherwise))
    if (
        plain.dtype.kind not in "iufb"
    ):  # names, which no figure depends on; one that did would be seen to differ between rows
        return plain
    values = [_spread(first.program, x, plain.shape) for x in (condition, then, otherwise)]
    return recorded(first.program, plain, first.program.elementwise("where", values))


def _joined(
    first: Recorded, arrays: Any, plain: np.ndarray, numbers: Callable[[list[np.ndarray]], np.ndarray]
) -> Recorded:
    """Arrays that are put together, as ``numbers`` does with the places of their entries."""
    values, places, start = [], [], 0
    for array in arrays:
        shape = list(np.shape(array))
        if SAMPLE_ROWS in shape:
            shape[shape.index(SAMPLE_ROWS)] = 1
        value = _spread(first.program, array, np.shape(array))
        values.append(value)
        places.append(np.broadcast_to(np.arange(start, start + len(value)).reshape(shape), np.shape(array)))
        start += len(value)
    order = numbers(places)
    order = np.take(order, 0, axis=_row_axis(order.shape))
    return recorded(first.program, plain, first.program.gather(values).at(order.reshape(-1)))


def _stack(first: Recorded, arrays: Any, axis: int = 0) -> Recorded:
    arrays = list(arrays)
    plain = np.stack([_plain(a) for a in arrays], axis=axis)
    return _joined(first, arrays, plain, lambda places: np.stack(places, axis=axis))


def _concatenate(first: Recorded, arrays: Any, axis: int = 0) -> Recorded:
    arrays = list(arrays)
    plain = np.concatenate([_plain(a) for a in arrays], axis=axis)
    return _joined(first, arrays, plain, lambda places: np.concatenate(places, axis=axis))


def _full_like(first: Recorded, like: Any, fill: Any, dtype: Any = None, **_: Any) -> Recorded:
    plain = np.full_like(_plain(like), fill, dtype=dtype)
    return recorded(first.program, plain, _spread(first.program, fill, plain.shape))


def _flatnonzero(first: Recorded, mask: Recorded) -> Recorded:
    rows = np.arange(SAMPLE_ROWS)
    result = recorded(first.program, rows, first.program.constant(np.zeros(1)))
    result.mask = mask if mask.dtype == bool else mask != 0
    return result


def _isin(first: Recorded, element: Any, among: Any, **_: Any) -> Recorded:
    plain = np.isin(_plain(element), among)
    return recorded(first.program, plain, first.program.is_in(np.asarray(among), element.value))


def _searchsorted(
    first: Recorded, edges: Any, values: Any, side: Literal["left", "right"] = "left", sorter: Any = None
) -> Recorded:
    plain = np.searchsorted(edges, _plain(values), side=side)
    return recorded(first.program, plain, first.program.count(np.asarray(edges), values.value, side))


_FUNCTIONS: dict[str, Callable[..., Any]] = {
    "where": _where, "stack": _stack, "concatenate": _concatenate, "full_like": _full_like, "flatnonzero": _flatnonzero,
    "isin": _isin, "searchsorted": _searchsorted,
    "zeros_like": lambda first, like, **more: _full_like(first, like, 0.0, **more),
    "ones_like": lambda first, like, **more: _full_like(first, like, 1.0, **more),
    "argmin": lambda first, array, axis=None, **_: array.argmin(axis),
    "argmax": lambda first, array, axis=None, **_: array.argmax(axis),
}  # fmt: skip
