"""What a prediction says: figures with intervals, per model and per operator."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from perfmodel.errors import InputError, checked_methods, is_number
from perfmodel.predict.workload import Workload

if TYPE_CHECKING:
    from pandas import DataFrame

    from perfmodel.predict.energy.cost import Cost, Prices
    from perfmodel.predict.energy.profile import PowerProfile
    from perfmodel.predict.memory import MemoryPlan


@checked_methods(constructor=False)
@dataclass(frozen=True, slots=True)
class Estimate:
    """An estimate and its 90 % interval, in the unit that the field's name gives.

    Attributes:
        value: the most likely figure.
        low, high: the ends of the interval: nine in ten true values lie between them.
    """

    value: float
    low: float
    high: float

    def to_dict(self) -> dict[str, float]:
        """``{value, low, high}``."""
        return {"value": self.value, "low": self.low, "high": self.high}

    def scaled(self, factor: float) -> Estimate:
        """The estimate times a number of 0 or more."""
        return Estimate(factor * self.value, factor * self.low, factor * self.high)

    def __mul__(self, factor: float) -> Estimate:
        """:meth:`scaled`.

        Raises:
            InputError: the number is below 0, which would turn the interval round.
        """
        if not is_number(factor):
            return NotImplemented
        if not factor >= 0:
            raise InputError(f"an estimate times {factor!r}: wanted a number of 0 or more")
        return self.scaled(float(factor))

    __rmul__ = __mul__

    def __truediv__(self, divisor: float) -> Estimate:
        """A part of it, as of one run of many.

        Raises:
            InputError: the number is not above 0.
        """
        if not is_number(divisor):
            return NotImplemented
        if not divisor > 0:
            raise InputError(f"an estimate over {divisor!r}: wanted a number above 0")
        return Estimate(self.value / divisor, self.low / divisor, self.high / divisor)

    def __add__(self, other: Estimate | float) -> Estimate:
        """:meth:`plus`; ``sum`` of estimates works."""
        return self.plus(other) if isinstance(other, (Estimate, int, float)) else NotImplemented

    __radd__ = __add__

    def plus(self, other: Estimate | float) -> Estimate:
        """The sum with another estimate whose errors go the same way (ends are added), or with a number."""
        if isinstance(other, Estimate):
            return Estimate(self.value + other.value, self.low + other.low, self.high + other.high)
        return Estimate(self.value + other, self.low + other, self.high + other)


def _dict(estimate: Estimate | None) -> dict[str, float] | None:
    return None if estimate is None else estimate.to_dict()


@checked_methods(constructor=False)
@dataclass(frozen=True, slots=True, kw_only=True)
class OperatorPrediction:
    """One kernel of the model.

    ``flops``, ``bytes``, ``latency_s`` and ``energy_j`` are for all ``count`` executions together.

    Attributes:
        name: the node's name in the file, or of the operator that a fused kernel is built around.
        op: the operator's family (``"gemm"``, ``"attention"``, ...).
        shape: the dimensions as short text, for tables.
        dtype: a name of :mod:`perfmodel.dtypes`.
        count: executions in one run of the model.
        flops: FLOPs of all executions (1 FLOP = one multiply or one add), unmasked.
        bytes: operands and results of all executions, each read or written once.
        latency_s: seconds of all executions.
        latency_each_s: seconds of one.
        power_w: mean watts while it runs; None where the device's TDP is unknown.
        energy_j: joules of all executions; None where ``power_w`` is.
        bound: the bound that wins (see :data:`perfmodel.models.analytical.TERMS`; ``power`` where the power limit holds the
            clock).
        source: ``learned``, ``blended`` or ``analytical``, of the latency.
        power_source: the same of the power; None where it is unknown, or a predictor does not say.
        terms: seconds of each bound alone, one execution.
        analytical_s: the analytical model's latency of one execution.
        tile: what the tile model chose (:data:`perfmodel.models.predictor.DETAILS`); empty where there is no single product.
        algorithm: which of a family's algorithms is expected to run; None where it has but one.
        workspace_bytes: memory beyond operands and results that one execution needs while it runs.
        flops_executed: like ``flops``, after causality and windows; None where that is not known.
        members: names of all nodes of the file that became part of the kernel, itself included; empty where that is not known.
    """

    name: str
    op: str
    shape: str
    dtype: str
    count: int
    flops: float
    bytes: float
    latency_s: Estimate
    latency_each_s: Estimate
    power_w: Estimate | None
    energy_j: Estimate | None
    bound: str
    source: str
    terms: Mapping[str, float] = field(default_factory=dict)
    analytical_s: float = 0.0
    tile: Mapping[str, float] = field(default_factory=dict)
    algorithm: str | None = None
    workspace_bytes: float = 0.0
    power_source: str | None = None
    flops_executed: float | None = None
    members: tuple[str, ...] = ()

    def __hash__(self) -> int:
        return hash((self.name, self.op, self.shape, self.dtype, self.count, self.latency_s))

    def __repr__(self) -> str:
        from perfmodel.predict.notebook import operator_line

        return operator_line(self)

    def _repr_html_(self) -> str:
        """What Jupyter shows: the figures with their intervals, and the terms of the bound."""
        from perfmodel.predict.notebook import operator_html

        return operator_html(self)

    def to_pandas(self) -> DataFrame:
        """The operator's row of :meth:`ModelPrediction.to_pandas`.

        Raises:
            MissingExtraError: pandas is not installed (the extra ``train``).
        """
        from perfmodel.predict.notebook import operators_frame

        return operators_frame([self])

    def to_dict(self) -> dict[str, Any]:
        """The keys of the JSON contract."""
        return {
            "name": self.name, "op": self.op, "shape": self.shape, "dtype": self.dtype, "count": self.count,
            "flops": self.flops, "bytes": self.bytes, "latency_s": self.latency_s.to_dict(),
            "latency_each_s": self.latency_each_s.to_dict(), "power_w": _dict(self.power_w),
            "energy_j": _dict(self.energy_j), "bound": self.bound, "source": self.source,
            "terms_s": dict(self.terms), "analytical_s": self.analytical_s, "tile": dict(self.tile),
            "algorithm": self.algorithm, "workspace_bytes": self.workspace_bytes,
            "power_source": self.power_source, "flops_executed": self.flops_executed, "members": list(self.members),
        }  # fmt: skip


@checked_methods()
@dataclass(frozen=True, slots=True, kw_only=True)
class ModelPrediction:
    """A whole model on a device, run once.

    Attributes:
        model: the file's name, or what the graph is called.
        device: the device's id.
        predictor: the predictor's name.
        latency_s: seconds of a run.
        power_w: mean watts over its time; None where the device's TDP is unknown.
        energy_j: joules of a run; None where ``power_w`` is.
        flops: FLOPs of a run (1 FLOP = one multiply or one add), unmasked.
        flops_executed: like ``flops``, after causality and windows.
        bytes: operands and results of all kernels, each read or written once by a kernel.
        weights_bytes: bytes of the weights that some kernel reads, in the format that they are stored in.
        peak_memory_bytes: the most bytes in use at one time.
        operators: one entry a kernel, in the order of execution.
        warnings: one line each: what was assumed, what is beyond the training data.
        utilisation: share of the device's peak that the executed FLOPs of matrix products amount to, each at the peak of
            its own arithmetic.
        launch_gap_s: seconds in which the device waits for the host (eager launches only); part of ``latency_s``.
        unmodelled: ``{op, count, bytes_share}`` of operators that no rule covers.
        removed_flops: FLOPs of operators that fusion folded away.
        dims: the dimensions that the model was bound to.
        dtype_map: formats by operator family or pattern of names, as they were asked for.
        kv_dtype: the format that cached keys and values were asked to be stored in; None: none was.
        memory: the parts of ``peak_memory_bytes``, the node at which it is reached, and the tensors that it consists of.
        workload: how many samples and tokens a run works on.
        idle_power_w: what the device draws while it waits; None where that is unknown.
        power_limit_w: the limit in force, the device's or the one that was asked for; None where the device's is unknown.
        lowest_idle_power_w: what the device draws at its lowest clock while nothing runs: power limits lie above it.
    """

    model: str
    device: str
    predictor: str
    latency_s: Estimate
    power_w: Estimate | None
    energy_j: Estimate | None
    flops: float
    flops_executed: float
    bytes: float
    weights_bytes: float
    peak_memory_bytes: float
    utilisation: float
    operators: tuple[OperatorPrediction, ...]
    unmodelled: tuple[Mapping[str, Any], ...] = ()
    warnings: tuple[str, ...] = ()
    launch_gap_s: float = 0.0
    removed_flops: float = 0.0
    dims: Mapping[str, int] = field(default_factory=dict)
    dtype_map: Mapping[str, str] = field(default_factory=dict)
    kv_dtype: str | None = None
    memory: MemoryPlan | None = None
    workload: Workload = field(default_factory=Workload)
    idle_power_w: float | None = None
    power_limit_w: float | None = None
    lowest_idle_power_w: float | None = None

    def power_profile(self) -> PowerProfile:
        """Power over the time of the run.

        Raises:
            InputError: the device's power is unknown.
        """
        from perfmodel.predict.energy.profile import profile_of

        return profile_of(self)

    def cost(self, prices: Prices) -> Cost:
        """Energy at the meter, carbon and money of one run."""
        from perfmodel.predict.energy.cost import cost_of

        return cost_of(prices, self.device, self.latency_s, self.energy_j, self.workload)

    def __add__(self, other: ModelPrediction) -> ModelPrediction:
        """Both models after each other on one device; see :func:`perfmodel.predict.sums.after_each_other`.

        Raises:
            InputError: they are on different devices.
        """
        if not isinstance(other, ModelPrediction):
            return NotImplemented
        from perfmodel.predict.sums import after_each_other

        return after_each_other(self, other)

    def __radd__(self, other: Any) -> ModelPrediction:
        # sum() starts with 0.
        return self if isinstance(other, int) and other == 0 else NotImplemented

    def __mul__(self, times: int) -> ModelPrediction:
        """So many runs of the model after each other; see :func:`perfmodel.predict.sums.repeated`.

        Raises:
            InputError: the number is not whole, or below 1.
        """
        if not is_number(times):  # of a string or an array, say
            return NotImplemented
        from perfmodel.predict.sums import repeated

        return repeated(self, times)

    __rmul__ = __mul__

    def __hash__(self) -> int:
        return hash((self.model, self.device, self.predictor, self.latency_s, self.energy_j, len(self.operators)))

    def __repr__(self) -> str:
        """One line: thousands of operators are no help on a screen."""
        from perfmodel.predict.notebook import prediction_line

        return prediction_line(self)

    def _repr_html_(self) -> str:
        """What Jupyter shows: the figures with their intervals, and the kinds of operators that take the most time."""
        from perfmodel.predict.notebook import prediction_html

        return prediction_html(self)

    def to_pandas(self) -> DataFrame:
        """One row an operator, in the order of the model, SI units in the names of the columns.

        Raises:
            MissingExtraError: pandas is not installed (the extra ``train``).
        """
        from perfmodel.predict.notebook import operators_frame

        return operators_frame(self.operators)

    def to_dict(self, *, memory_profile: bool = False) -> dict[str, Any]:
        """The keys of the JSON contract; ``docs/contracts.md`` lists the additional ones.

        Args:
            memory_profile: also the bytes in use at every node of the graph, which may be many.
        """
        return {
            "model": self.model, "device": self.device, "predictor": self.predictor,
            "latency_s": self.latency_s.to_dict(), "power_w": _dict(self.power_w), "energy_j": _dict(self.energy_j),
            "flops": self.flops, "flops_executed": self.flops_executed, "bytes": self.bytes,
            "weights_bytes": self.weights_bytes, "peak_memory_bytes": self.peak_memory_bytes,
            "utilisation": self.utilisation, "operators": [o.to_dict() for o in self.operators],
            "unmodelled": [dict(u) for u in self.unmodelled], "warnings": list(self.warnings),
            "launch_gap_s": self.launch_gap_s, "removed_flops": self.removed_flops, "dims": dict(self.dims),
            "dtype_map": dict(self.dtype_map), "kv_dtype": self.kv_dtype,
            "memory": None if self.memory is None else self.memory.to_dict(profile=memory_profile),
            "samples": self.workload.samples, "tokens": self.workload.tokens, "idle_power_w": self.idle_power_w,
            "power_limit_w": self.power_limit_w, "lowest_idle_power_w": self.lowest_idle_power_w,
        }  # fmt: skip


@checked_methods()
class Comparison(list[ModelPrediction]):
    """Predictions side by side: a list that shows itself as a table. :func:`perfmodel.compare` gives one, the fastest first."""

    def _repr_html_(self) -> str:
        """What Jupyter shows: one row a prediction, the latency also as a multiple of the first one's."""
        from perfmodel.predict.notebook import ranking_html

        return ranking_html(self)

    def to_pandas(self) -> DataFrame:
        """One row a prediction, SI units in the names of the columns.

        Raises:
            MissingExtraError: pandas is not installed (the extra ``train``).
        """
        from perfmodel.predict.notebook import ranking_frame

        return ranking_frame(self)
