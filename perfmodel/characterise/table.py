"""Examples from the tables of ``datasets/iree-cpu``: features of every module's text beside what the compiler made of it."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np

from perfmodel.characterise import targets
from perfmodel.characterise.description import describe
from perfmodel.characterise.examples import Examples
from perfmodel.errors import PerfmodelError
from perfmodel.features.lowering.features import names
from perfmodel.features.lowering.target import CompileTarget

_EXTENTS = re.compile(r"(?<=_)\d+(?:x\d+)*(?=x?[a-z]|_|$)")


def examples_of(modules: Sequence[Mapping[str, Any]], target: CompileTarget) -> Examples:
    """Examples of compiled modules.

    Args:
        modules: of each ``family``, ``text``, ``latency_s`` (None where it was not timed) and ``dispatches``: one mapping a
            dispatch that was compiled, in order, with ``name``, ``calls`` (how often a call of the module runs it) and the columns
            of :data:`perfmodel.characterise.targets.DISPATCH_TARGETS`, None where unknown.
        target: what they were compiled for.
    """
    families, texts, rows, module_of, new, same, unread = [], [], [], [], [], [], {}
    counts: dict[str, list[float]] = {t.name: [] for t in targets.DISPATCH_TARGETS}
    totals: dict[str, list[float]] = {t.name: [] for t in (*targets.DISPATCH_TARGETS, targets.LATENCY)}
    for place, module in enumerate(modules):
        try:
            description = describe(module["text"], target)
        except PerfmodelError as error:
            unread[f"{module['family']}/{place}"] = str(error)
            continue
        if description.unknown:
            unread[f"{module['family']}/{place}"] = f"not understood: {', '.join(sorted(description.unknown))}"
            continue
        number, compiled = len(texts), list(module["dispatches"])
        families.append(str(module["family"]))
        texts.append(str(module["text"]))
        unique = [name for name, is_new in zip(description.names, description.is_new, strict=True) if is_new]
        of_unique = aligned(unique, [str(d["name"]) for d in compiled])
        found = [of_unique[i] for i in description.distinct.tolist()]
        same.append(len(compiled) == int(description.is_new.sum()))
        new.append(description.is_new)
        rows.append(description.matrix)
        module_of += [number] * len(description.names)
        for goal in targets.DISPATCH_TARGETS:
            measured = [_value(d.get(goal.column)) for d in compiled]
            # What is executed is of all calls of a dispatch.
            share = [1 if goal.once else max(int(d.get("calls") or 1), 1) for d in compiled]
            counts[goal.name] += [np.nan if i is None else measured[i] / share[i] for i in found]
            totals[goal.name].append(float(np.sum(measured)) if measured else np.nan)
        totals[targets.LATENCY.name].append(_value(module.get("latency_s")))
    return Examples(
        np.array(families), tuple(texts), np.concatenate(rows) if rows else np.zeros((0, len(names()))),
        np.array(module_of, dtype=int), np.concatenate(new) if new else np.zeros(0, dtype=bool), {k: np.array(v) for k, v in counts.items()},
        {k: np.array(v) for k, v in totals.items()}, np.array(same, dtype=bool), unread,
    )  # fmt: skip


def aligned(predicted: Sequence[str], compiled: Sequence[str]) -> list[int | None]:
    """For each predicted dispatch the number of the compiled one that it is: by place where there are as many, else by the
    extents of the root's loops (the compiler makes equal dispatches once), in order."""
    if len(predicted) == len(compiled):
        return list(range(len(predicted)))
    keys = [_extents(name) for name in compiled]
    result: list[int | None] = []
    taken: set[int] = set()
    for name in predicted:
        wanted = _extents(name.replace(" ", "_") + "_")
        chosen = next((i for i, key in enumerate(keys) if key == wanted and i not in taken), None)
        if chosen is not None:
            taken.add(chosen)
        result.append(chosen)
    return result


def _extents(name: str) -> tuple[int, ...]:
    """``(48, 192, 96)`` of ``main_dispatch_0_matmul_48x192x96_f32``, without loops of one iteration."""
    found = [m for m in _EXTENTS.findall(re.sub(r"^\w+?_dispatch_\d+", "", name)) if m]
    longest = max(found, key=len, default="")
    return tuple(int(x) for x in longest.split("x") if x and x != "1")


def _value(number: Any) -> float:
    return float("nan") if number is None else float(number)
