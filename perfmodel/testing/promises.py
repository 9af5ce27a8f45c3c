"""The promises behind :class:`perfmodel.models.protocol.PredictorProtocol`, one function each.

A promise takes a predictor and a scope and yields a line for every place where it is broken: what was asked, what was got,
what was wanted. What the predictor says of physics (``floor_s``) is not believed: the yardstick is perfmodel's own.
"""

from __future__ import annotations

import copy
import dataclasses
import tempfile
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np

from perfmodel.errors import PerfmodelError
from perfmodel.hardware import Device, load_device
from perfmodel.models.predictor import Estimates, Predictor
from perfmodel.models.protocol import PredictorProtocol, missing
from perfmodel.ops import Gemm, Operator
from perfmodel.ops.table import COLUMN_OF_FIELD

NUMBERS = ("latency_s", "latency_low_s", "latency_high_s", "power_w", "power_low_w", "power_high_w", "energy_j")
TEXT = ("bound", "source")
SOURCES = ("learned", "blended", "analytical")
SAME = 1e-12
"""Relative difference below which two figures count as the same: sums in another order."""
_ROUNDING = 1e-9
"""Relative slack of inequalities between figures that were computed in different ways."""


@dataclass(frozen=True)
class Scope:
    """What a predictor is asked.

    Attributes:
        ops: ordinary operators of the families it covers.
        extremes: tiny and huge ones.
        devices: as :func:`perfmodel.testing.checks` takes them.
        reload: gives the predictor as it is after saving and loading.
    """

    ops: tuple[Operator, ...]
    extremes: tuple[Operator, ...]
    devices: tuple[Device | str, ...]
    reload: Callable[[], PredictorProtocol] | None = None


Promise = Callable[[PredictorProtocol, Scope], Iterator[str]]


def offers_the_protocol(p: PredictorProtocol, scope: Scope) -> Iterator[str]:
    """It has a name and ``predict``, and an answer has a figure of every kind for every row, in the order asked."""
    if lacks := missing(p):
        yield f"{type(p).__name__} has no {', '.join(lacks)} (perfmodel.models.protocol.PredictorProtocol)"
        return
    if not isinstance(p.name, str) or not p.name:
        yield f"its name is {p.name!r}; wanted a text"
    answer = p.predict(list(scope.ops), scope.devices[0])
    wanted = (
        *NUMBERS,
        *TEXT,
        *(f.name for f in dataclasses.fields(Estimates) if f.name not in ("terms", "details", "notes")),
    )
    for name in dict.fromkeys(wanted):
        value = getattr(answer, name, None)
        if value is None or np.shape(value) != (len(scope.ops),):
            got = "absent" if value is None else f"of shape {np.shape(value)}"
            yield f"{name} of {len(scope.ops)} operators is {got}; wanted the shape ({len(scope.ops)},)"
    for source in dict.fromkeys(np.atleast_1d(np.asarray(getattr(answer, "source", ()), dtype=object)).tolist()):
        if source not in SOURCES:
            yield f"a source is {source!r}; wanted one of {', '.join(SOURCES)}"


def finite_and_positive(p: PredictorProtocol, scope: Scope) -> Iterator[str]:
    """Latency, power and energy are finite and above 0; power and energy are NaN where the device's TDP is unknown."""
    yield from _finite(p, scope, scope.ops)


def tiny_and_huge(p: PredictorProtocol, scope: Scope) -> Iterator[str]:
    """The same, the floor and the interval for dimensions of 1 and of 2**40."""
    yield from _finite(p, scope, scope.extremes)
    yield from _floor(p, scope, scope.extremes)
    yield from _interval(p, scope, scope.extremes)


def energy_is_power_times_latency(p: PredictorProtocol, scope: Scope) -> Iterator[str]:
    """Joules of one execution are its mean power times its seconds."""
    for device, answer in _answers(p, scope, scope.ops):
        product = answer.power_w * answer.latency_s
        for i in _where(~np.isclose(answer.energy_j, product, rtol=_ROUNDING, atol=0, equal_nan=True)):
            yield (
                f"energy_j of {_named(scope.ops[i], device)} is {answer.energy_j[i]:.6g}; "
                f"wanted power_w x latency_s = {product[i]:.6g}"
            )


def never_below_the_floor(p: PredictorProtocol, scope: Scope) -> Iterator[str]:
    """No latency is below FLOPs / peak or, from a cold cache, below bytes / DRAM bandwidth."""
    yield from _floor(p, scope, scope.ops)


def interval_holds_the_estimate(p: PredictorProtocol, scope: Scope) -> Iterator[str]:
    """low <= value <= high for latency and power, all of them above 0 and finite."""
    yield from _interval(p, scope, scope.ops)


def power_within_the_limit(p: PredictorProtocol, scope: Scope) -> Iterator[str]:
    """Mean power is at most the device's limit, and at most a lower one that is set; a lower limit makes nothing faster."""
    for device, answer in _answers(p, scope, scope.ops):
        if device.tdp_w is None:
            continue
        capped_w = 0.7 * device.tdp_w
        capped = p.predict(list(scope.ops), device, power_limit_w=capped_w)
        for limit, power in ((device.tdp_w, answer.power_w), (capped_w, capped.power_w)):
            for i in _where(power > limit * (1 + 1e-6)):
                yield f"power_w of {_named(scope.ops[i], device)} is {power[i]:.6g}; the limit is {limit:.6g}"
        for i in _where(capped.latency_s < answer.latency_s * (1 - 1e-6)):
            yield (
                f"{_named(scope.ops[i], device)} takes {capped.latency_s[i]:.6g} s under {capped_w:.6g} W and "
                f"{answer.latency_s[i]:.6g} s without; wanted no less"
            )


def deterministic(p: PredictorProtocol, scope: Scope) -> Iterator[str]:
    """The same question has the same answer to the bit, whatever was asked in between."""
    first = {device.id: answer for device, answer in _answers(p, scope, scope.ops)}
    for device, again in _answers(p, scope, scope.ops):
        yield from _unlike(first[device.id], again, scope.ops, device, "asked again", rtol=0)


def one_by_one(p: PredictorProtocol, scope: Scope) -> Iterator[str]:
    """Many operators at once have the figures of each alone."""
    for device, answer in _answers(p, scope, scope.ops):
        for i, op in enumerate(scope.ops):
            alone = p.predict(op, device)
            yield from _unlike(_rows(answer, [i]), _rows(alone, [0]), [op], device, "asked alone")


def order_of_rows(p: PredictorProtocol, scope: Scope) -> Iterator[str]:
    """The figures of a row do not depend on where it stands."""
    order = np.random.default_rng(0).permutation(len(scope.ops))
    shuffled = [scope.ops[i] for i in order]
    for device, answer in _answers(p, scope, scope.ops):
        other = p.predict(shuffled, device)
        yield from _unlike(_rows(answer, order), _rows(other, slice(None)), shuffled, device, "in another order")


def tables_and_sweeps(p: PredictorProtocol, scope: Scope) -> Iterator[str]:
    """A table of columns, and a descriptor whose dimensions are arrays, give what a list of descriptors gives."""
    for op in _one_of_each_family(scope.ops):
        longer = [op, *(_grown(op, factor) for factor in (2, 3))]
        for device in map(load_device, scope.devices):
            listed = _rows(p.predict(longer, device), slice(None))
            table = _rows(p.predict(_table(longer), device), slice(None))
            yield from _unlike(listed, table, longer, device, "as a table")
            sweep = op.replace(
                **{n: np.array([getattr(o, n) for o in longer], dtype=np.float64) for n in _dimensions(op)}
            )
            swept = _rows(p.predict(sweep, device), slice(None))
            yield from _unlike(listed, swept, longer, device, "as a sweep")


def inputs_not_mutated(p: PredictorProtocol, scope: Scope) -> Iterator[str]:
    """Nothing that is handed in is changed."""
    device = scope.devices[0]
    for op in _one_of_each_family(scope.ops):
        table = {name: np.array(column) for name, column in _table([op, op]).items()}
        extra = np.array([4096.0, 0.0])
        before = copy.deepcopy((table, extra))
        p.predict(table, device, extra_bytes_read=extra, extra_flops=extra)
        if list(table) != list(before[0]):
            yield f"the columns of a table of {op.op} are {', '.join(table)} afterwards"
        for name in table.keys() & before[0].keys():
            if not np.array_equal(table[name], before[0][name]):
                yield f"the column {name!r} of a table of {op.op} is changed by predict"
        if not np.array_equal(extra, before[1]):
            yield f"the array extra_bytes_read of {op.op} is changed by predict"
    given = list(scope.ops)
    p.predict(given, device)
    if given != list(scope.ops):
        yield "the list of operators is changed by predict"


def save_and_load(p: PredictorProtocol, scope: Scope) -> Iterator[str]:
    """What was saved and loaded again answers alike, to the bit."""
    save, load = getattr(p, "save", None), getattr(type(p), "load", None)
    if scope.reload is not None:
        loaded = scope.reload()
    elif callable(save) and callable(load):
        with tempfile.TemporaryDirectory() as folder:
            save(Path(folder) / "saved")
            loaded = load(Path(folder) / "saved")
    else:
        return
    for device, answer in _answers(p, scope, scope.ops):
        again = loaded.predict(list(scope.ops), device)
        yield from _unlike(answer, again, scope.ops, device, "loaded again", rtol=0)


def unknown_dtype(p: PredictorProtocol, scope: Scope) -> Iterator[str]:
    """A dtype that nobody knows is refused with a perfmodel error of one line."""
    for op in _one_of_each_family(scope.ops):
        table = _table([op]) | {"dtype": ["bf61"]}
        yield from _refused(f"a {op.op} of the dtype 'bf61'", partial(p.predict, table, scope.devices[0]))


def unknown_device(p: PredictorProtocol, scope: Scope) -> Iterator[str]:
    """A device that nobody knows is refused with a perfmodel error of one line."""
    yield from _refused("the device 'h001-mxs'", lambda: p.predict(list(scope.ops), "h001-mxs"))


def unknown_software(p: PredictorProtocol, scope: Scope) -> Iterator[str]:
    """A stack that it does not know is refused; a predictor that tells none apart answers as without one."""
    for device, answer in _answers(p, scope, scope.ops):
        try:
            named = p.predict(list(scope.ops), device, software="no-such-stack-0.0")
        except PerfmodelError as error:
            yield from _one_line("the software 'no-such-stack-0.0'", error)
        else:
            yield from _unlike(answer, named, scope.ops, device, "with an unknown software, which was not refused,")


def unknown_family(p: PredictorProtocol, scope: Scope) -> Iterator[str]:
    """A family that nobody knows is refused with a perfmodel error of one line; so is a table without ``op``."""
    table = _table([scope.ops[0]])
    yield from _refused("the family 'gmem'", lambda: p.predict(table | {"op": ["gmem"]}, scope.devices[0]))
    without = {name: column for name, column in table.items() if name != "op"}
    yield from _refused("a table without the column op", lambda: p.predict(without, scope.devices[0]))


def open_dimensions(p: PredictorProtocol, scope: Scope) -> Iterator[str]:
    """A descriptor whose dimensions are still symbolic is refused with a perfmodel error of one line."""
    import sympy

    for op in _one_of_each_family(scope.ops):
        symbolic = op.replace(**{_dimensions(op)[0]: sympy.Symbol("s", integer=True, positive=True)})
        for ops in (symbolic, [scope.ops[0], symbolic]):
            yield from _refused(f"a {op.op} with the open dimension s", partial(p.predict, ops, scope.devices[0]))


def nothing_asked(p: PredictorProtocol, scope: Scope) -> Iterator[str]:
    """No operators give no rows."""
    empty: dict[str, list[Any]] = {name: [] for name in _table([scope.ops[0]])}
    for what, ops in (("an empty list", []), ("an empty table", empty)):
        answer = p.predict(ops, scope.devices[0])
        for name in NUMBERS:
            if np.shape(getattr(answer, name)) != (0,):
                yield f"{name} of {what} has the shape {np.shape(getattr(answer, name))}; wanted (0,)"


def more_work_is_not_faster(p: PredictorProtocol, scope: Scope) -> Iterator[str]:
    """A GEMM of twice the batch takes at least as long.

    Of GEMMs alone: libraries change their kernel with the batch of an attention or a convolution, and measured times of
    those do fall now and then.
    """
    for op in (o for o in scope.ops if isinstance(o, Gemm)):
        batches = 2.0 ** np.arange(7) * op.batch
        for device in map(load_device, scope.devices):
            latency = p.predict(op.replace(batch=batches), device).latency_s
            for i in _where(np.diff(latency) < -_ROUNDING * latency[:-1]):
                yield (
                    f"{_named(op, device)} takes {latency[i]:.6g} s at batch {batches[i]:g} and {latency[i + 1]:.6g} s at "
                    f"batch {batches[i + 1]:g}; wanted no less"
                )


PROMISES: Mapping[str, Promise] = {
    promise.__name__: promise
    for promise in (
        offers_the_protocol, finite_and_positive, energy_is_power_times_latency, never_below_the_floor,
        interval_holds_the_estimate, power_within_the_limit, deterministic, one_by_one, order_of_rows, tables_and_sweeps,
        inputs_not_mutated, save_and_load, unknown_dtype, unknown_device, unknown_software, unknown_family,
        open_dimensions, nothing_asked, tiny_and_huge, more_work_is_not_faster,
    )
}  # fmt: skip
"""Every promise by its name."""


# ------------------------------------------------------------------------------------------------------ shared parts
def _finite(p: PredictorProtocol, scope: Scope, ops: Sequence[Operator]) -> Iterator[str]:
    for device, answer in _answers(p, scope, ops):
        for name in ("latency_s", "power_w", "energy_j"):
            values = np.asarray(getattr(answer, name), dtype=np.float64)
            good = np.isfinite(values) & (values > 0)
            if device.tdp_w is None and name != "latency_s":
                good |= np.isnan(values)
            for i in _where(~good):
                yield f"{name} of {_named(ops[i], device)} is {values[i]:g}; wanted a finite number above 0"


def _floor(p: PredictorProtocol, scope: Scope, ops: Sequence[Operator]) -> Iterator[str]:
    for cache in ("rotating", "cold"):
        for device, answer in _answers(p, scope, ops, cache=cache):
            floor = Predictor().predict(list(ops), device, cache=cache).floor_s
            for i in _where(answer.latency_s < floor * (1 - _ROUNDING)):
                yield (
                    f"latency_s of {_named(ops[i], device)} ({cache} cache) is {answer.latency_s[i]:.6g}; "
                    f"the physical floor is {floor[i]:.6g}"
                )


def _interval(p: PredictorProtocol, scope: Scope, ops: Sequence[Operator]) -> Iterator[str]:
    for device, answer in _answers(p, scope, ops):
        for what in ("latency", "power"):
            unit = "s" if what == "latency" else "w"
            low, value, high = (getattr(answer, f"{what}{part}_{unit}") for part in ("_low", "", "_high"))
            good = (low > 0) & (low <= value) & (value <= high) & np.isfinite(high)
            if device.tdp_w is None and what == "power":
                good |= np.isnan(value)
            for i in _where(~good):
                yield (
                    f"{what} of {_named(ops[i], device)} is {value[i]:.6g} in [{low[i]:.6g}, {high[i]:.6g}]; "
                    "wanted 0 < low <= value <= high, all finite"
                )


def _answers(
    p: PredictorProtocol, scope: Scope, ops: Sequence[Operator], **options: Any
) -> Iterator[tuple[Device, Estimates]]:
    for device in map(load_device, scope.devices):
        yield device, p.predict(list(ops), device, **options)


def _unlike(
    left: Any, right: Any, ops: Sequence[Operator], device: Device, how: str, *, rtol: float = SAME
) -> Iterator[str]:
    """A line for every figure of the rows ``ops`` that differs between two answers."""
    for name in (*NUMBERS, *TEXT):
        a, b = np.asarray(getattr(left, name)), np.asarray(getattr(right, name))
        if a.shape != b.shape:
            yield f"{name} {how} has the shape {b.shape}, not {a.shape}"
            continue
        same = a == b if name in TEXT else np.isclose(a, b, rtol=rtol, atol=0, equal_nan=True)
        for i in _where(~same):
            yield f"{name} of {_named(ops[i], device)} {how} is {_text(b[i])}, not {_text(a[i])}"


@dataclass(frozen=True)
class _Rows:
    """Some rows of an answer, under the same names."""

    values: Mapping[str, np.ndarray]

    def __getattr__(self, name: str) -> np.ndarray:
        return self.values[name]


def _rows(answer: Estimates, rows: Any) -> _Rows:
    return _Rows({name: np.asarray(getattr(answer, name))[rows] for name in (*NUMBERS, *TEXT)})


def _refused(what: str, ask: Callable[[], Any]) -> Iterator[str]:
    try:
        ask()
    except PerfmodelError as error:
        yield from _one_line(what, error)
    except Exception as error:  # anything else is a traceback on the user's screen
        yield f"{what} ends in {type(error).__name__}; wanted a PerfmodelError of one line"
    else:
        yield f"{what} is accepted; wanted a PerfmodelError"


def _one_line(what: str, error: Exception) -> Iterator[str]:
    if not str(error).strip() or "\n" in str(error):
        yield f"the error for {what} has {len(str(error).splitlines())} lines; wanted one"


def _one_of_each_family(ops: Sequence[Operator]) -> list[Operator]:
    first: dict[str, Operator] = {}
    for op in ops:
        first.setdefault(op.op, op)
    return list(first.values())


def _dimensions(op: Operator) -> list[str]:
    return [name for name in op.dimension_names() if getattr(op, name) is not None]


def _grown(op: Operator, factor: int) -> Operator:
    """The same operator with its outermost required dimension multiplied."""
    required = {f.name for f in dataclasses.fields(op) if f.default is dataclasses.MISSING}
    name = next(n for n in _dimensions(op) if n == "batch" or n in required)
    return op.replace(**{name: getattr(op, name) * factor})


def _table(ops: Sequence[Operator]) -> dict[str, list[Any]]:
    """Columns of descriptors of one family, under the names that traces give them."""
    first = ops[0]
    renamed = COLUMN_OF_FIELD.get(first.op, {})
    columns: dict[str, list[Any]] = {"op": [first.op] * len(ops)}
    for field in dataclasses.fields(first):
        if getattr(first, field.name) is not None:
            columns[renamed.get(field.name, field.name)] = [getattr(op, field.name) for op in ops]
    return columns


def _named(op: Operator, device: Device) -> str:
    shape = " ".join(f"{n}={getattr(op, n):g}" for n in _dimensions(op) if np.ndim(getattr(op, n)) == 0)
    return f"{op.op} {shape} {op.dtype} on {device.id}"


def _text(value: Any) -> str:
    return f"{value:.17g}" if isinstance(value, float) else str(value)


def _where(broken: np.ndarray) -> list[int]:
    return [int(i) for i in np.flatnonzero(broken)]
