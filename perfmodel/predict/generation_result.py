"""What a generation request comes to: the whole, its phases, and several side by side."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from perfmodel.errors import checked_methods
from perfmodel.predict.energy.cost import Cost, Prices, cost_of
from perfmodel.predict.energy.profile import PowerBlock, PowerProfile, steps_of
from perfmodel.predict.result import Estimate, ModelPrediction
from perfmodel.predict.workload import Workload

if TYPE_CHECKING:
    from pandas import DataFrame


@checked_methods()
@dataclass(frozen=True, kw_only=True)
class PhasePrediction:
    """A phase of a request.

    Attributes:
        name: ``prefill`` or ``decode``.
        runs: how often the model runs.
        tokens: tokens of all sequences that the phase works on: those of the prompt, or those generated one by one.
        parts: predictions, each with the number of runs that it stands for, in order.
        latency_s, energy_j: of the whole phase.
        power_w: mean over its time.
        peak_w: power of the operator that draws most.
    """

    name: str
    runs: int
    tokens: int
    parts: tuple[tuple[ModelPrediction, int], ...]
    latency_s: Estimate
    energy_j: Estimate | None
    power_w: Estimate | None
    peak_w: Estimate | None

    @property
    def latency_per_run_s(self) -> Estimate:
        """Seconds of a run: to the first token (prefill), or from one token to the next (decode)."""
        return self.latency_s.scaled(1 / self.runs)

    @property
    def energy_per_token_j(self) -> Estimate | None:
        """Joules of a token."""
        return None if self.energy_j is None else self.energy_j.scaled(1 / self.tokens)

    def cost(self, prices: Prices) -> Cost:
        """Energy at the meter, carbon and money of the phase, and of a million of its tokens."""
        samples = self.parts[0][0].workload.samples
        return cost_of(prices, self.parts[0][0].device, self.latency_s, self.energy_j, Workload(samples, self.tokens))

    def __hash__(self) -> int:
        return hash((self.name, self.runs, self.tokens, self.latency_s))

    def __repr__(self) -> str:
        from perfmodel.predict.notebook import phase_line

        return phase_line(self)

    def _repr_html_(self) -> str:
        """What Jupyter shows: the figures of the phase and of a run, with their intervals."""
        from perfmodel.predict.notebook import phase_html

        return phase_html(self)

    def to_pandas(self) -> DataFrame:
        """The phase's rows of :meth:`GenerationPrediction.to_pandas`.

        Raises:
            MissingExtraError: pandas is not installed (the extra ``train``).
        """
        from perfmodel.predict.notebook import phases_frame

        return phases_frame([self])

    def to_dict(self) -> dict[str, Any]:
        """The keys of the JSON contract."""
        return {
            "name": self.name, "runs": self.runs, "tokens": self.tokens, "latency_s": self.latency_s.to_dict(),
            "latency_per_run_s": self.latency_per_run_s.to_dict(), "energy_j": _dict(self.energy_j),
            "energy_per_token_j": _dict(self.energy_per_token_j), "power_w": _dict(self.power_w),
            "peak_w": _dict(self.peak_w), "parts": [{"runs": n, **p.to_dict()} for p, n in self.parts],
        }  # fmt: skip


@checked_methods()
@dataclass(frozen=True, kw_only=True)
class GenerationPrediction:
    """A generation request on a device.

    Attributes:
        model: the file's name, or what the graph is called.
        device: the device's id.
        predictor: the predictor's name.
        prompt, generate: tokens of each sequence that are given, and that come out.
        phases: prefill, and decode where more than one token is generated (prefill makes the first).
        latency_s, power_w, energy_j: of the whole request; power is the mean.
        peak_w: power of the operator that draws most.
        kv_cache_bytes: keys and values at the end.
        peak_memory_bytes: the most of any run, the last step among them; where the file has no cache of its own, of the largest
            run that is predicted, with the whole cache added.
        workload: sequences, and their tokens of prompt and answer together.
        dims: the dimensions that the model was bound to in its first run.
        dtype_map: formats by operator family or pattern of names, as they were asked for.
        kv_dtype: the format that cached keys and values were asked to be stored in; None: none was.
        warnings: one line each: what was assumed, what is beyond the training data.
        idle_power_w: what the device draws while it waits, in watts; None where that is unknown.
        power_limit_w: the limit in force, the device's or the one that was asked for; None where the device's is unknown.
        lowest_idle_power_w: what the device draws at its lowest clock while nothing runs: power limits lie above it.
    """

    model: str
    device: str
    predictor: str
    prompt: int
    generate: int
    phases: tuple[PhasePrediction, ...]
    latency_s: Estimate
    power_w: Estimate | None
    energy_j: Estimate | None
    peak_w: Estimate | None
    kv_cache_bytes: float
    peak_memory_bytes: float
    workload: Workload
    dims: Mapping[str, int] = field(default_factory=dict)
    dtype_map: Mapping[str, str] = field(default_factory=dict)
    kv_dtype: str | None = None
    warnings: tuple[str, ...] = ()
    idle_power_w: float | None = None
    power_limit_w: float | None = None
    lowest_idle_power_w: float | None = None

    def power_profile(self) -> PowerProfile:
        """Power over the time of the request, its phases one after the other.

        Raises:
            InputError: the device's power is unknown.
        """
        blocks = (PowerBlock(phase.name, tuple(steps_of(p)), runs) for phase in self.phases for p, runs in phase.parts)
        return PowerProfile(tuple(blocks), self.idle_power_w, self.power_limit_w, self.lowest_idle_power_w)

    def cost(self, prices: Prices) -> Cost:
        """Energy at the meter, carbon and money of the request, and of a million tokens, given and generated."""
        return cost_of(prices, self.device, self.latency_s, self.energy_j, self.workload)

    def __hash__(self) -> int:
        return hash((self.model, self.device, self.predictor, self.prompt, self.generate, self.latency_s))

    def __repr__(self) -> str:
        """One line."""
        from perfmodel.predict.notebook import request_line

        return request_line(self)

    def _repr_html_(self) -> str:
        """What Jupyter shows: the request and its phases, with intervals."""
        from perfmodel.predict.notebook import request_html

        return request_html(self)

    def to_pandas(self) -> DataFrame:
        """One row an operator of each phase; ``runs`` says how many runs of the model a row stands for, each.

        Raises:
            MissingExtraError: pandas is not installed (the extra ``train``).
        """
        from perfmodel.predict.notebook import phases_frame

        return phases_frame(self.phases)

    def to_dict(self) -> dict[str, Any]:
        """The keys of the JSON contract."""
        return {
            "model": self.model, "device": self.device, "predictor": self.predictor, "prompt": self.prompt,
            "generate": self.generate, "latency_s": self.latency_s.to_dict(), "power_w": _dict(self.power_w),
            "energy_j": _dict(self.energy_j), "peak_w": _dict(self.peak_w), "kv_cache_bytes": self.kv_cache_bytes,
            "peak_memory_bytes": self.peak_memory_bytes, "samples": self.workload.samples,
            "tokens": self.workload.tokens, "dims": dict(self.dims), "dtype_map": dict(self.dtype_map),
            "kv_dtype": self.kv_dtype, "warnings": list(self.warnings), "idle_power_w": self.idle_power_w,
            "power_limit_w": self.power_limit_w, "lowest_idle_power_w": self.lowest_idle_power_w,
            "phases": [phase.to_dict() for phase in self.phases],
        }  # fmt: skip


@checked_methods()
class GenerationComparison(list[GenerationPrediction]):
    """Requests side by side: a list that shows itself as a table. :func:`compare_generation` gives one, the fastest first."""

    def _repr_html_(self) -> str:
        """What Jupyter shows: one row a request, the latency also as a multiple of the first one's."""
        from perfmodel.predict.notebook import requests_html

        return requests_html(self)

    def to_pandas(self) -> DataFrame:
        """One row a request, SI units in the names of the columns.

        Raises:
            MissingExtraError: pandas is not installed (the extra ``train``).
        """
        from perfmodel.predict.notebook import requests_frame

        return requests_frame(self)


def _dict(estimate: Estimate | None) -> dict[str, float] | None:
    return None if estimate is None else estimate.to_dict()
