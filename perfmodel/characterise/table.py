"""Examples from the tables of ``datasets/iree-cpu``: features of every module's text beside what the compiler made of it."""

from __future__ import annotations

import re
import tomllib
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from perfmodel.characterise import targets
from perfmodel.characterise.description import describe
from perfmodel.characterise.examples import Examples
from perfmodel.collect.anchor import GEMM_N
from perfmodel.datasets.parquet import read_parquet
from perfmodel.datasets.schema import require_pandas
from perfmodel.errors import InputError, PerfmodelError
from perfmodel.features.lowering.features import names
from perfmodel.features.lowering.target import CompileTarget

_MODULES, _DISPATCHES = "modules.parquet", "dispatches.parquet"
_OF_MODULES = ("module", "family", "text", "status", "compiler", "target_cpu")
_OF_DISPATCHES = (
    "module", "target_cpu", "dispatch", "calls", "instructions", "code_bytes", "vector_registers", "spill_stores",
    "spill_loads", "executed_instructions",
)  # fmt: skip
_EXTENTS = re.compile(r"(?<=_)\d+(?:x\d+)*(?=x?[a-z]|_|$)")


@dataclass(frozen=True)
class Collected:
    """The data set's tables.

    Attributes:
        modules: as :func:`examples_of` wants them; those whose text the table lacks, or that did not compile, are left out.
        floor_s: seconds that the shortest call took; None where nothing was timed.
        peak_flops: what a tuned fp32 product sustained on one thread of the machine that timed them; 0 where nothing was timed.
        processor: that machine's.
        compiler, cpu: what compiled, and for what.
        left_out: modules without a text, or without code.
    """

    modules: list[dict[str, Any]]
    floor_s: float | None
    peak_flops: float
    processor: str
    compiler: str
    cpu: str
    left_out: int


def load_tables(folder: str | Path, cpu: str = "haswell") -> Collected:
    """Reads ``modules.parquet`` and ``dispatches.parquet``.

    Args:
        folder: that holds them, and the data set's card where it has one.
        cpu: LLVM's name of the processor whose rows are wanted.

    Raises:
        InputError: a table or one of its columns is missing.
        TraceError: a table cannot be read.
        MissingExtraError: the extra ``train`` is not installed.
    """
    pandas = require_pandas()
    folder = Path(folder)
    tables = []
    for name, columns in ((_MODULES, _OF_MODULES), (_DISPATCHES, _OF_DISPATCHES)):
        path = folder / name
        if not path.is_file():
            raise InputError(f"{path}: no such file; wanted the tables of datasets/iree-cpu")
        table = read_parquet(path)
        missing = [c for c in columns if c not in table]
        if missing:
            raise InputError(f"{path} lacks the columns {', '.join(missing)}")
        tables.append(table[table["target_cpu"] == cpu])
    by_module, by_dispatch = tables
    if not len(by_module):
        raise InputError(f"{folder} has no modules that were compiled for {cpu}")
    usable = by_module[(by_module["status"] == "ok") & by_module["text"].notna()]
    latency = usable["latency_s"] if "latency_s" in usable else pandas.Series(dtype=float)
    rows = dict(iter(by_dispatch.groupby("module", sort=False)))
    modules = []
    for record in usable.to_dict("records"):
        own = rows.get(record["module"])
        counts = [] if own is None else own.to_dict("records")
        for row in counts:
            row["name"] = row["dispatch"]
            row["spills"] = row["spill_stores"] + row["spill_loads"]
        found = record.get("latency_s")
        modules.append(
            {
                "module": record["module"], "family": record["family"], "text": record["text"], "dispatches": counts,
                "latency_s": None if found is None or pandas.isna(found) else float(found),
            }
        )  # fmt: skip
    anchor = usable["anchor_gemm_s"].median() if "anchor_gemm_s" in usable else float("nan")
    return Collected(
        modules, float(latency.min()) if latency.notna().any() else None,
        2.0 * GEMM_N**3 / float(anchor) if anchor == anchor and anchor > 0 else 0.0, _machine(folder),
        str(by_module["compiler"].iloc[0]), cpu, len(by_module) - len(usable),
    )  # fmt: skip


def _machine(folder: Path) -> str:
    """The machine that timed, as the data set's card says it, up to the first comma."""
    try:
        with (folder / "card.toml").open("rb") as file:
            return str(tomllib.load(file)["recipe"]["machine"]).partition(",")[0]
    except (OSError, KeyError, TypeError, tomllib.TOMLDecodeError):
        return "an unnamed machine"


def examples_of(modules: Sequence[Mapping[str, Any]], target: CompileTarget) -> Examples:
    """Examples of compiled modules.

    Args:
        modules: of each ``family``, ``text``, ``latency_s`` (None where it was not timed) and ``dispatches``: one mapping a
            dispatch that was compiled, in order, with ``name``, ``calls`` (how often a call of the module runs it) and the
            columns of :data:`perfmodel.characterise.targets.DISPATCH_TARGETS`, None where unknown.
        target: what they were compiled for.
    """
    families: list[str] = []
    texts: list[str] = []
    rows, module_of, new, same = [], [], [], []
    unread: dict[str, str] = {}
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
        np.array(module_of, dtype=int), np.concatenate(new) if new else np.zeros(0, dtype=bool),
        {k: np.array(v) for k, v in counts.items()},
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
    return float("nan") if number is None or number is require_pandas().NA else float(number)
