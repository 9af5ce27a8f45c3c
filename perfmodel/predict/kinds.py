"""Operators of one kind taken together, and the formula of an estimate: what tables and pages show of operators."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass

from perfmodel import units
from perfmodel.predict.result import OperatorPrediction


@dataclass(frozen=True, slots=True)
class OperatorGroup:
    """Operators with the same op, shape and dtype, taken together.

    Attributes:
        count: executions of all of them.
        latency_s: seconds of all executions.
        bound: the bound that most of the time goes to.
        source: ``learned``, ``blended`` or ``analytical``, by the same rule.
        slowest: the operator of the group with the longest single execution, for ``--explain``.
    """

    op: str
    shape: str
    dtype: str
    count: int
    latency_s: float
    bound: str
    source: str
    slowest: OperatorPrediction


def group_operators(operators: Iterable[OperatorPrediction]) -> list[OperatorGroup]:
    """Groups by op, shape and dtype, those that take the most time first."""
    members: dict[tuple[str, str, str], list[OperatorPrediction]] = {}
    for operator in operators:
        members.setdefault((operator.op, operator.shape, operator.dtype), []).append(operator)
    groups = [
        OperatorGroup(
            op,
            shape,
            dtype,
            count=sum(o.count for o in same),
            latency_s=sum(o.latency_s.value for o in same),
            bound=_by_time(same, "bound"),
            source=_by_time(same, "source"),
            slowest=max(same, key=lambda o: o.latency_each_s.value),
        )
        for (op, shape, dtype), same in members.items()
    ]
    # sorted() is stable: groups of equal time stay in the model's order.
    return sorted(groups, key=lambda g: -g.latency_s)


def _by_time(operators: Iterable[OperatorPrediction], attribute: str) -> str:
    seconds: dict[str, float] = {}
    for operator in operators:
        key = getattr(operator, attribute)
        seconds[key] = seconds.get(key, 0.0) + operator.latency_s.value
    return max(seconds, key=lambda key: seconds[key])


def formula(operator: OperatorPrediction) -> str:
    """How the terms of the analytical model led to the bound, longest term first.

    ``max-like(dram 3.40 us, launch 2.00 us, compute 1.20 us) -> dram; 4.10 us predicted``.
    """
    terms = sorted(operator.terms.items(), key=lambda term: -term[1])
    listed = ", ".join(f"{name} {units.duration(seconds)}" for name, seconds in terms)
    return (
        f"max-like({listed}) -> {operator.bound}; {units.duration(operator.latency_each_s.value)} predicted"
        f"{_algorithm(operator)}{_tile(operator)}"
    )


def _algorithm(operator: OperatorPrediction) -> str:
    """``; winograd_nonfused, 35.6 MB of workspace``."""
    parts = [] if operator.algorithm is None else [operator.algorithm]
    if operator.workspace_bytes:
        parts.append(f"{units.size(operator.workspace_bytes)} of workspace")
    return f"; {', '.join(parts)}" if parts else ""


def _tile(operator: OperatorPrediction) -> str:
    """``; tile 256x128, split-K 1, 5 tiles on the busiest unit, 95 % of the units busy, 100 % of the bytes from DRAM``."""
    tile = operator.tile
    if not tile:
        return ""
    return (
        f"; tile {tile['tile_m']:.0f}x{tile['tile_n']:.0f}, split-K {tile['split_k']:.0f},"
        f" {tile['tiles_per_unit']:.0f} tiles on the busiest unit, {tile['occupancy']:.0%} of the units busy,"
        f" {tile['miss']:.0%} of the bytes from DRAM"
    )
