"""The ranking of one problem's configurations on one device, before and after measurements."""

from __future__ import annotations

import threading
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np

from perfmodel.errors import InputError, checked_keywords, checked_methods, one_of
from perfmodel.hardware.device import Device
from perfmodel.hardware.loader import load_device
from perfmodel.models import cap
from perfmodel.ops.base import Operator
from perfmodel.rank.acquisition import Combinations, next_places
from perfmodel.rank.energy import Powered, powered, without_cap
from perfmodel.rank.features import coordinates
from perfmodel.rank.opinions import Opinions
from perfmodel.rank.physics import Physics
from perfmodel.rank.posterior import Posterior, priors
from perfmodel.rank.pretrained import NOTHING, Pretrained, load, shipped
from perfmodel.rank.ranking import OBJECTIVES, Ranking
from perfmodel.rank.screening import screen
from perfmodel.rank.space import Space, recognised, space
from perfmodel.rank.table import named_columns, parameters, unmatched
from perfmodel.units import LONGEST_S, SHORTEST_S

CANDIDATES = 20_000
"""Configurations that measurements are learned for; of more, the likeliest."""
INTERVAL = 1.645
"""Standard deviations on either side of nine tenths of a normal distribution."""
WIDENING = 0.5
"""ln by which intervals follow their misses: wider by 0.9 of it after a measurement outside, narrower by 0.1 after one inside,
so that nine tenths lie inside in the long run whatever the model (quantile tracking: Angelopoulos et al., "Conformal PID
Control for Time Series Prediction", 2023). A search measures where it is most hopeful; intervals that know nothing of that are
too narrow."""
FAILED = 2.0
"""ln by how much a configuration that failed counts as slower than the fastest."""

FAILURE = "failed when it was measured"
"""Its reason among those of what cannot run."""


@dataclass
class _Measurements:
    places: list[int] = field(default_factory=list)
    seconds: list[float] = field(default_factory=list)
    surprises: list[float] = field(default_factory=list)
    """ln(measured / forecast); 0 of the first, which sets the level, and of failures."""

    def failed(self) -> list[int]:
        """Places whose last measurement failed, in order."""
        last = dict(zip(self.places, self.seconds, strict=True))
        return sorted(place for place, seconds in last.items() if not np.isfinite(seconds))

    def best(self) -> float | None:
        """ln of the shortest time; None where nothing ran."""
        finite = [s for s in self.seconds if np.isfinite(s)]
        return float(np.log(min(finite))) if finite else None

    def without_failures_of(self, place: int) -> list[tuple[int, float]]:
        """All measurements in order but those of one place that failed."""
        both = zip(self.places, self.seconds, strict=True)
        return [(p, s) for p, s in both if p != place or np.isfinite(s)]


@checked_methods()
class Ranker:
    """Ranks configurations, learns from those that were measured, and says which to measure next.

    Thread-safe: every method holds the ranker's own lock. The same calls in the same order give the same results; nothing is
    random and nothing outside the object changes.

    Args:
        op: the problem: one descriptor without open dimensions.
        configs: the candidates: a mapping of columns, a pandas or pyarrow table, or a Parquet or CSV file, with the parameters
            of the space as columns (``cfg_`` before a name is left out). No object is made for a row.
        device: its id, its TOML, or its record.
        space: the configuration space: its name, its TOML file, or a description; None: the shipped one with the columns.
        objective: ``latency``, ``energy`` or ``edp`` (energy times latency). Power is the physics' own: see
            :mod:`perfmodel.rank.energy`.
        power_limit_w: a cap below the device's own limit.
        pretrained: what other devices taught: ``default`` (shipped), ``none``, a ranker's folder, or the object.

    Raises:
        InputError: a column is absent, no configuration can run, the descriptor is of another family, the power limit is not
            above the device's idle power, …
        DeviceError: an unknown device.
    """

    def __init__(
        self, op: Operator, configs: Any, device: Device | str, *, space: Space | str | Mapping[str, Any] | None = None,
        objective: str = "latency", power_limit_w: float | None = None,
        pretrained: Pretrained | str = "default",
    ) -> None:  # fmt: skip
        one_of("the objective", objective, OBJECTIVES)
        if power_limit_w is not None and not power_limit_w > 0:
            raise InputError(f"the power limit is {power_limit_w!r}; wanted watts above 0")
        configs = named_columns(configs)  # once: a file would be read three times
        record = device if isinstance(device, Device) else load_device(device)
        cap.binds(record, power_limit_w)  # refuses what lies below the idle power
        doubts = (cap.without_effect(record, power_limit_w), cap.may_be_refused(record, power_limit_w))
        self._warnings = tuple(why for why in doubts if why is not None)
        self.space: Space = _space_of(space, op, configs)
        self.objective: str = objective
        self.power_limit_w: float | None = power_limit_w
        self.physics: Physics = Physics.of(self.space, op, record)
        taught = pretrained_of(pretrained)
        self._opinions = Opinions(self.physics, taught)
        self._lock = threading.RLock()
        columns = parameters(configs, self.space)
        self._assumed, self._ignored = unmatched(configs, self.space)
        self.rows: int = len(next(iter(columns.values())))
        screened = screen(self._opinions, columns)
        self.refused: dict[str, int] = screened.refused
        self._columns = {n: v[screened.places] for n, v in columns.items()}
        self._row_of_place = screened.places
        self._mean = screened.mean
        self._candidates = np.sort(np.argsort(screened.mean, kind="stable")[:CANDIDATES])
        self._place_of_row = {int(row): place for place, row in enumerate(self._row_of_place[self._candidates])}
        self._measured = _Measurements()
        self._widened = 0.0  # ln
        self._posterior: Posterior | None = None
        self._combinations: Combinations | None = None
        self._taught = taught

    def __repr__(self) -> str:
        return (
            f"<Ranker of {self.rows:,} configurations of {self.space.id} by {self.objective}, {self.observed} measured>"
        )

    @property
    def observed(self) -> int:
        """Measurements taken in, failures that a later one overcame left out."""
        with self._lock:
            return len(self._measured.places)

    @property
    def failed(self) -> tuple[int, ...]:
        """Rows that failed when they were measured last: not ranked, and not suggested again."""
        with self._lock:
            return tuple(int(row) for row in self._row_of_place[self._failed()])

    def observe(self, configs: Any, seconds: float | Sequence[float] | np.ndarray) -> None:
        """Learns from measurements.

        Args:
            configs: what was measured: rows of the candidates' table by number, or a table of their parameters. One that failed
                may be measured again; if it then runs, the failure is forgotten.
            seconds: of each, in order, under the power limit where one was given; NaN or infinity where it failed to compile
                or run.

        Raises:
            InputError: another number of seconds, a time that no kernel can take, or a configuration that is no candidate.
        """
        times = np.atleast_1d(np.asarray(seconds, dtype=np.float64))
        with self._lock:
            places = self._places(configs)
            if len(places) != len(times):
                raise InputError(f"{len(places)} configurations were measured but {len(times)} times given")
            impossible = times[(times < SHORTEST_S) | (np.isfinite(times) & (times > LONGEST_S))]
            if len(impossible):
                raise InputError(
                    f"a measured time is {float(impossible[0])!r}; wanted seconds, {SHORTEST_S:g} to {LONGEST_S:g}, or NaN "
                    "where it failed"
                )
            for place, value in zip(places, self._without_cap(places, times), strict=True):
                self._learn(int(place), float(value))

    def suggest(self, n: int = 1) -> np.ndarray:
        """Rows of the candidates' table to measure next, most wanted first.

        Without measurements, the fastest as far as is known, in turn with the fastest of each further region (a setting of the
        switches, with the outputs of a thread). With some, those whose measurement is expected to improve on the best most, in
        turn with others: in new regions, where measurements surprised, of new combinations (:mod:`perfmodel.rank.acquisition`).
        One at a time, each observed before the next, finds more than batches do.

        Args:
            n: how many; fewer come where fewer are left.

        Raises:
            InputError: n is below 1.
        """
        if n < 1:
            raise InputError(f"{n} configurations were asked for; wanted at least 1")
        with self._lock:
            learner = self._learner()
            assert self._combinations is not None
            measured = np.array(self._measured.places, dtype=np.intp)
            places = next_places(
                learner,
                self._combinations,
                measured,
                self._measured.best(),
                n,
                self._offset(),
                self._measured.surprises,
            )
            return self._row_of_place[self._candidates[places]]

    def interval(self, row: int) -> tuple[float, float]:
        """The 90 % interval of the seconds of one row of the candidates' table.

        Raises:
            InputError: the row is no candidate.
        """
        with self._lock:
            [place] = self._candidates[self._places([row])]
            mean, deviation = self._forecast()
            wide = self._half_width() * deviation[place]
            here = np.array([place])
            low, high = (self._under_limit(here, np.exp(mean[here] + sign * wide)) for sign in (-1, 1))
        return float(low[0]), float(high[0])

    def ranking(self, top_k: int | None = None) -> Ranking:
        """The candidates in order of the objective, as far as is known now.

        Args:
            top_k: how many; None: all that can run and were not screened out.

        Raises:
            InputError: top_k is below 1.
        """
        if top_k is not None and top_k < 1:
            raise InputError(f"top_k is {top_k}; wanted at least 1")
        with self._lock:
            mean, deviation = self._forecast()
            failed, observed = self._failed(), self.observed
            failed_rows, half_width = self.failed, self._half_width()
        latency = np.exp(mean)
        value, costs_of = latency, None
        if self.objective != "latency" or self.power_limit_w is not None:
            costs_of = self._powered(np.arange(len(latency)), latency)
            if costs_of is None:
                raise InputError(
                    f"the TDP or idle power of {self.physics.device.id} is unknown, and with it the energy: give a device file"
                )
            value = {"latency": costs_of.latency_s, "energy": costs_of.energy_j, "edp": costs_of.energy_j * costs_of.latency_s}[
                self.objective
            ]  # fmt: skip
        if len(failed):
            value = value.copy()
            value[failed] = np.inf
        order = _first(value, min(len(value) - len(failed), len(value) if top_k is None else top_k))
        chosen = self._powered(order, latency[order])
        wide = half_width * deviation[order]
        return Ranking(
            rows=self._row_of_place[order],
            columns={n: v[order] for n, v in self._columns.items()},
            latency_s=latency[order] if chosen is None else chosen.latency_s,
            latency_low_s=self._under_limit(order, latency[order] * np.exp(-wide)),
            latency_high_s=self._under_limit(order, latency[order] * np.exp(wide)),
            power_w=None if chosen is None else chosen.power_w,
            energy_j=None if chosen is None else chosen.energy_j,
            objective=self.objective,
            configurations=self.rows,
            refused=self.refused | ({FAILURE: len(failed)} if len(failed) else {}),
            screened_out=self.rows - sum(self.refused.values()) - len(self._row_of_place),
            observed=observed,
            source=self._opinions.source if observed == 0 else "observed",
            taught_by=self._opinions.taught_by,
            assumed=dict(self._assumed),
            ignored=self._ignored,
            failed=failed_rows,
            warnings=self._warnings,
        )

    def _learner(self) -> Posterior:
        if self._posterior is None:
            columns = {n: v[self._candidates] for n, v in self._columns.items()}
            costs = self.physics.costs(columns)
            outputs = np.broadcast_to(costs.roles["work_m"] * costs.roles["work_n"], (len(self._candidates),))
            self._combinations = Combinations(columns, outputs)
            opinions, _ = self._opinions.of(columns)
            centred = opinions - np.median(opinions, axis=0)
            self._posterior = Posterior(coordinates(columns, costs), centred, self._mean[self._candidates], priors())
        return self._posterior

    def _learn(self, place: int, seconds: float) -> None:
        if np.isfinite(seconds) and place in self._measured.failed():
            # It runs after all: everything but its failures is learned anew.
            others = self._measured.without_failures_of(place)
            self._measured, self._posterior, self._widened = _Measurements(), None, 0.0
            for earlier in others:
                self._learn(*earlier)
        learner, surprise = self._learner(), 0.0
        if np.isfinite(seconds):
            value = np.log(seconds)
            if learner.count:
                mean, variance = learner.moments()
                surprise = float(value - mean[place])
                missed = abs(surprise) > self._half_width() * np.sqrt(variance[place])
                self._widened = max(self._widened + WIDENING * (float(missed) - 0.1), 0.0)
        else:
            best = self._measured.best()
            value = FAILED + (best if best is not None else float(learner.moments()[0].min()))
        learner.add(place, value)
        self._measured.places.append(place)
        self._measured.seconds.append(seconds)
        self._measured.surprises.append(surprise)

    def _half_width(self) -> float:
        """Standard deviations on either side of the 90 % interval."""
        return float(INTERVAL * np.exp(self._widened))

    def _failed(self) -> np.ndarray:
        """Places of what failed when it was measured last."""
        return self._candidates[np.array(self._measured.failed(), dtype=np.intp)]

    def _offset(self) -> np.ndarray | None:
        """What the objective adds to ln(time) of each candidate; None: nothing."""
        if self.objective == "latency" and self.power_limit_w is None:
            return None
        latency = np.exp(self._learner().moments()[0])
        result = self._powered(self._candidates, latency)
        if result is None:
            raise InputError(f"the TDP or idle power of {self.physics.device.id} is unknown, and with it the energy")
        value = {"latency": result.latency_s, "energy": result.energy_j, "edp": result.energy_j * result.latency_s}
        return np.log(value[self.objective]) - np.log(latency)

    def _forecast(self) -> tuple[np.ndarray, np.ndarray]:
        """Mean and standard deviation of ln(seconds) of what was not screened out."""
        t = self._taught
        mean = self._mean.copy()
        if self._posterior is None or self._posterior.count == 0:
            return mean, np.full(len(mean), float(np.hypot(t.level_log_std, t.shape_log_std)))
        learned, variance = self._posterior.moments()
        level = float(np.median(learned - mean[self._candidates]))
        mean += level
        deviation = np.full(len(mean), t.shape_log_std)
        mean[self._candidates], deviation[self._candidates] = learned, np.sqrt(variance)
        return mean, deviation

    def _powered(self, places: np.ndarray, latency_s: np.ndarray) -> Powered | None:
        costs = self.physics.costs({n: v[places] for n, v in self._columns.items()})
        return powered(self.physics, costs, latency_s, self.power_limit_w)

    def _under_limit(self, places: np.ndarray, latency_s: np.ndarray) -> np.ndarray:
        """Seconds under the power limit of what takes so long without."""
        if self.power_limit_w is None:
            return latency_s
        under = self._powered(places, latency_s)
        return latency_s if under is None else under.latency_s

    def _without_cap(self, places: np.ndarray, seconds: np.ndarray) -> np.ndarray:
        """What is learned of: times as they would be without the power limit, which rankings put on again."""
        ran = np.isfinite(seconds)
        if self.power_limit_w is None or not ran.any():
            return seconds
        here = self._candidates[places[ran]]
        costs = self.physics.costs({n: v[here] for n, v in self._columns.items()})
        free = seconds.copy()
        free[ran] = without_cap(self.physics, costs, seconds[ran], self.power_limit_w)
        return free

    def _places(self, configs: Any) -> np.ndarray:
        """Places among the candidates of measured configurations."""
        if isinstance(configs, int | np.integer) or (
            isinstance(configs, Sequence | np.ndarray) and np.asarray(configs).dtype.kind in "iu"
        ):
            rows = np.atleast_1d(np.asarray(configs))
        else:
            rows = self._rows_of(parameters(configs, self.space))
        lost = [int(r) for r in rows if int(r) not in self._place_of_row]
        if lost:
            raise InputError(
                f"row {lost[0]} is no candidate: it cannot run, was screened out, is not among the {CANDIDATES:,} likeliest, or"
                f" the table of {self.rows} has no such row"
            )
        return np.array([self._place_of_row[int(r)] for r in rows], dtype=np.intp)

    def _rows_of(self, measured: Mapping[str, np.ndarray]) -> np.ndarray:
        mine = np.stack([self._columns[n][self._candidates] for n in self.space.columns], axis=1)
        rows = []
        for values in np.stack([measured[n] for n in self.space.columns], axis=1):
            found = np.flatnonzero((mine == values).all(axis=1))
            if not len(found):
                shown = ", ".join(f"{n} {v:g}" for n, v in zip(self.space.columns, values, strict=True))
                raise InputError(
                    f"the configuration {shown} is no candidate: it cannot run, was screened out, is not among the"
                    f" {CANDIDATES:,} likeliest, or is not in the table"
                )
            rows.append(int(self._row_of_place[self._candidates[found[0]]]))
        return np.array(rows)


@checked_keywords()
def rank(
    op: Operator, configs: Any, device: Device | str, *, top_k: int | None = None,
    space: Space | str | Mapping[str, Any] | None = None, objective: str = "latency", power_limit_w: float | None = None,
    pretrained: Pretrained | str = "default",
) -> Ranking:  # fmt: skip
    """Orders kernel configurations by what they will take, none of them measured.

    Those that cannot run are counted by reason and never ranked. The arguments are those of :class:`Ranker`; for a search that
    measures, make one and keep it.

    Args:
        top_k: how many to return; None: all.

    Raises:
        InputError: see :class:`Ranker`.
    """
    ranker = Ranker(
        op, configs, device, space=space, objective=objective, power_limit_w=power_limit_w, pretrained=pretrained
    )
    return ranker.ranking(top_k)


def _space_of(given: Space | str | Mapping[str, Any] | None, op: Operator, configs: Any) -> Space:
    return recognised(op.op, list(named_columns(configs))) if given is None else space(given)


def pretrained_of(given: Pretrained | str) -> Pretrained:
    """The sources that ``default``, ``none`` or a folder's path names."""
    if isinstance(given, Pretrained):
        return given
    if given == "default":
        return shipped()
    return NOTHING if given == "none" else load(given)


def _first(value: np.ndarray, top_k: int | None) -> np.ndarray:
    """Places of the smallest values in order, equal ones as they stand."""
    if top_k is None or top_k >= len(value):
        return np.argsort(value, kind="stable")
    bound = np.partition(value, top_k - 1)[top_k - 1]
    few = np.flatnonzero(value <= bound)
    return few[np.argsort(value[few], kind="stable")][:top_k]
