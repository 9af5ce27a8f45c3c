"""The loop of `perfmodel collect-mlir`: modules generated, compiled, counted and timed, until there are enough or time is up.

Counting and timing are apart: counts of instructions repeat exactly, whatever else the machine does, times want it quiet. Both
keep what is finished as pieces of a journal, so whatever ends them, the same command goes on.
"""

from __future__ import annotations

import contextlib
import hashlib
import json
import shutil
import tempfile
import time
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from perfmodel.collect.anchor import Anchor, pinned
from perfmodel.collect.iree.batch import OK, Measured, Source, measure
from perfmodel.collect.iree.calling import inputs_of
from perfmodel.collect.iree.compiler import DEFAULT_CPU, compiler_version
from perfmodel.collect.iree.executed import why_not
from perfmodel.collect.iree.generator import draw_family, generate
from perfmodel.collect.iree.running import RunError, time_module
from perfmodel.collecting.journal import Done, Journal, check_names, concatenated
from perfmodel.collecting.machine import machine
from perfmodel.datasets.schema import require_pandas
from perfmodel.errors import InputError, PerfmodelError
from perfmodel.files import write_whole

if TYPE_CHECKING:
    import pandas as pd

Report = Callable[[str], None]

BATCH = 16
"""Modules that are compiled together."""
MODULES, DISPATCHES, TIMES = "modules.parquet", "dispatches.parquet", "times.parquet"
_COMPILED = "compiled"
_OF_MODULES = (
    "module", "family", "seed", "number", "parameters", "real", "text", "text_sha256", "target_cpu", "compiler", "status",
    "executed_status", "executed_outside",
)  # fmt: skip


@dataclass(frozen=True)
class Wanted:
    """What to collect.

    Attributes:
        folder: that holds the two tables, the journals and the compiled modules.
        modules: how many generated ones, of all calls.
        minutes: of this call.
        seed: of the generator.
        cpu: LLVM's name of the target.
        real: files of modules of others: their text is not kept.
        count: whether instructions executed are counted.
        overwrite: whether tables that are there without their pieces are replaced.
    """

    folder: Path
    modules: int = 1000
    minutes: float = 60.0
    seed: int = 0
    cpu: str = DEFAULT_CPU
    real: Sequence[Path] = ()
    count: bool = True
    overwrite: bool = False


@dataclass(frozen=True)
class Tables:
    """What there is: a row a module, a row a dispatch."""

    modules: pd.DataFrame
    dispatches: pd.DataFrame


def collect_modules(
    wanted: Wanted, report: Report = lambda line: None, *, clock: Callable[[], float] = time.monotonic
) -> Tables:
    """Compiles and counts until there are enough modules or the time is up; goes on where an earlier call stopped.

    Args:
        wanted: what to collect.
        report: hears a line whenever a batch is safe.
        clock: seconds that only grow.

    Raises:
        InputError: numbers that are none, another seed or target than the folder was begun with, tables that are not to be
            replaced, no such target, nothing can be counted here, or a module of others has the name of another one.
        MissingExtraError: the extra ``iree`` is not installed.
    """
    if not wanted.modules >= 0 or not wanted.minutes > 0:
        raise InputError(f"got {wanted.modules} modules in {wanted.minutes:g} minutes; wanted numbers above 0")
    if wanted.count and (why := why_not()) is not None:
        raise InputError(f"{why}; --no-count leaves them out")
    compiler = compiler_version()
    journal = Journal(wanted.folder / MODULES)
    _check_same(journal, wanted, compiler)
    _check_real(journal, wanted)
    if not len(journal):
        for name in (MODULES, DISPATCHES):
            Journal(wanted.folder / name).check_output(overwrite=wanted.overwrite)
    end = clock() + 60 * wanted.minutes
    try:
        for name, sources, about in _pieces(wanted):
            if name in journal:
                continue
            if clock() >= end:
                break
            if not journal.start(name):
                report(f"{name}: passed over, since it ended the process twice")
                continue
            said = {"seed": wanted.seed, "target_cpu": wanted.cpu, "compiler": compiler, "modules": about}
            try:
                rows, counted = _measured(wanted, sources, said)
                journal.add(name, rows, said)
            except (KeyboardInterrupt, OSError, PerfmodelError):
                # Not the piece ended the process, but somebody, a full disk, or what is missing here.
                journal.unstart(name)
                raise
            there = sum(len(done.about["modules"]) for done in journal.done)
            total = wanted.modules + len(wanted.real)
            report(f"{there}/{total} modules; {name}: {counted} counted, {said['seconds']:.0f} s")
    except BaseException:
        # What ended it is what is told; where there are no tables to make, the journal keeps what is finished all the same.
        if len(journal):
            with contextlib.suppress(PerfmodelError, OSError):
                write_tables(wanted.folder)
        raise
    if not len(journal):
        raise InputError(f"nothing was compiled in {wanted.minutes:g} minutes: give more")
    return write_tables(wanted.folder)


def _pieces(wanted: Wanted) -> Iterator[tuple[str, list[Source], list[dict[str, Any]]]]:
    about: list[dict[str, Any]]
    for path in wanted.real:
        text = _text(path)
        about = [{"module": f"real-{path.stem}", "family": "real", "number": None, "parameters": None, "real": True}]
        yield f"real-{path.stem}", [Source(f"real-{path.stem}", text, joined=False)], about
    for first in range(0, wanted.modules, BATCH):
        generated = [generate(draw_family(wanted.seed, n), wanted.seed, n) for n in range(first, first + BATCH)]
        about = [
            {
                "module": g.name, "family": g.family, "number": g.number, "parameters": json.dumps(g.parameters), "real": False,
                "text": g.text,
            }
            for g in generated
        ]  # fmt: skip
        yield f"batch-{first // BATCH:05d}", [Source(g.name, g.text) for g in generated], about


def _measured(wanted: Wanted, sources: Sequence[Source], about: dict[str, Any]) -> tuple[pd.DataFrame, int]:
    """The rows of a piece, and how many of its modules were counted; what is known of the modules goes into ``about``."""
    begin = time.perf_counter()
    folder = Path(tempfile.mkdtemp(prefix="perfmodel-iree-"))
    rows: list[dict[str, Any]] = []
    try:
        found = measure(sources, folder / "made", cpu=wanted.cpu, count=wanted.count)
        for source, record, result in zip(sources, about["modules"], found, strict=True):
            record.update(_kept(wanted.folder, source, result))
            own = [{"module": result.name, **row} for row in result.dispatches]
            # What was made of another's text says what the text was.
            rows += [{**row, "ir": None} for row in own] if record["real"] else own
    finally:
        shutil.rmtree(folder, ignore_errors=True)
    about["seconds"] = time.perf_counter() - begin
    table = require_pandas().DataFrame(rows if rows else [{"module": found[0].name, "dispatch": None}])
    return table, sum(result.executed_status == OK for result in found)


def _kept(root: Path, source: Source, result: Measured) -> dict[str, Any]:
    """What is known of a module beside its dispatches; its compiled file is kept under its checksum, for timing."""
    vmfb = None
    if result.vmfb is not None:
        data = result.vmfb.read_bytes()
        vmfb = f"{hashlib.sha256(data).hexdigest()[:24]}.vmfb"
        target = root / _COMPILED / vmfb
        if not target.exists():
            target.parent.mkdir(parents=True, exist_ok=True)
            write_whole(target, data)
    return {
        "text_sha256": _sha256(source.text), "status": result.status,
        "executed_status": result.executed_status, "executed_outside": result.outside, "function": result.function,
        "vmfb": vmfb,
    }  # fmt: skip


def time_modules(
    wanted: Wanted, report: Report = lambda line: None, *, clock: Callable[[], float] = time.monotonic
) -> Tables:
    """Times what was compiled and was not timed yet, on one pinned thread, between times of the anchor.

    Args:
        wanted: ``folder``, ``minutes`` and ``real``.
        report: hears a line whenever a piece is safe.
        clock: seconds that only grow.

    Raises:
        InputError: nothing was compiled, or a module of others is another one than was.
        MissingExtraError: the extras ``iree`` and ``collect`` are not installed.
    """
    journal, times = Journal(wanted.folder / MODULES), Journal(wanted.folder / TIMES)
    if not len(journal):
        raise InputError(f"{wanted.folder} has no compiled modules: perfmodel collect-mlir without --time first")
    _check_real(journal, wanted)
    texts = {f"real-{path.stem}": _text(path) for path in wanted.real}
    end = clock() + 60 * wanted.minutes
    with pinned():
        anchor = Anchor()
        for done in journal.done:
            if done.name in times:
                continue
            if clock() >= end:
                break
            before = anchor.times(3)
            rows = [row for record in done.about["modules"] if (row := _timed(wanted.folder, record, texts))]
            after = anchor.times(3)
            if rows:
                table = (
                    require_pandas()
                    .DataFrame(rows)
                    .assign(
                        anchor_gemm_s=(before.gemm_s + after.gemm_s) / 2,
                        anchor_copy_s=(before.copy_s + after.copy_s) / 2,
                    )
                )
                times.add(done.name, table, {"machine": machine()})
                report(f"{len(times)} of {len(journal)} pieces timed")
    return write_tables(wanted.folder)


def _timed(folder: Path, record: dict[str, Any], texts: dict[str, str]) -> dict[str, Any] | None:
    text = record.get("text") or texts.get(record["module"])
    if record["vmfb"] is None or text is None:
        return None
    row = {
        "module": record["module"],
        "latency_s": None,
        "latency_rel_std": None,
        "samples": None,
        "latency_status": OK,
    }
    with tempfile.TemporaryDirectory(prefix="perfmodel-iree-") as inputs:
        try:
            _, values = inputs_of(text, Path(inputs))
            found = time_module(folder / _COMPILED / record["vmfb"], record["function"], values)
        except (RunError, InputError) as problem:
            return {**row, "latency_status": str(problem)}
    return {**row, "latency_s": found.latency_s, "latency_rel_std": found.latency_rel_std, "samples": found.samples}


def write_tables(folder: Path) -> Tables:
    """Makes the two tables of what is in the journals, and puts them in place."""
    pandas = require_pandas()
    journal, timed = Journal(folder / MODULES), Journal(folder / TIMES)
    dispatches, modules = [], []
    for done in journal.done:
        rows = done.rows()
        rows = rows[rows["dispatch"].notna()]
        dispatches.append(rows.assign(target_cpu=done.about["target_cpu"], compiler=done.about["compiler"]))
        modules += [{**_common(done), **record} for record in done.about["modules"]]
    by_module = pandas.DataFrame(modules, columns=list(_OF_MODULES))
    if not any(map(len, dispatches)):
        raise InputError(
            f"no module gave any code: {by_module['status'].iloc[0] if len(by_module) else 'there is none'}"
        )
    table = concatenated(dispatches).drop(columns=["symbol"])
    table = table.reindex(columns=[*table.columns, *(name for name in ("lowering", "ir") if name not in table)])
    # A module's count is that of its dispatches, as often as it runs each; what callgrind saw of one has all its runs already.
    static = table.groupby("module").agg(
        dispatches=("dispatch", "size"), instructions=("instructions", "sum"), code_bytes=("code_bytes", "sum")
    )
    by_module = by_module.merge(static.reset_index(), on="module", how="left")
    if "executed_instructions" in table:
        executed = table.groupby("module")["executed_instructions"].sum(min_count=1)
        by_module["executed_instructions"] = by_module["module"].map(executed)
    if len(timed):
        times = concatenated([done.rows() for done in timed.done])
        by_module = by_module.merge(times, on="module", how="left")
    about = {"machine": machine()}
    journal.write(by_module, about)
    Journal(folder / DISPATCHES).write(table, about)
    return Tables(by_module, table)


def _common(done: Done) -> dict[str, Any]:
    return {name: done.about[name] for name in ("seed", "target_cpu", "compiler")}


def _text(path: Path) -> str:
    return path.read_text(encoding="utf-8", errors="replace")


def _sha256(text: str) -> str:
    return hashlib.sha256(text.encode()).hexdigest()


def _check_real(journal: Journal, wanted: Wanted) -> None:
    """Refuses modules of others that would be passed over for another one of their name, or timed with its inputs."""
    known = {record["module"]: record.get("text_sha256") for done in journal.done for record in done.about["modules"]}
    check_names(wanted.real, {name.removeprefix("real-") for name in known})
    for path in wanted.real:
        before = known.get(f"real-{path.stem}")
        if before is not None and before != _sha256(_text(path)):
            raise InputError(
                f"{wanted.folder} holds {path.stem} compiled from another text than {path}: rename this one, or choose another"
                " folder"
            )


def _check_same(journal: Journal, wanted: Wanted, compiler: str) -> None:
    for done in journal.done:
        found = (done.about.get("seed"), done.about.get("target_cpu"), done.about.get("compiler"))
        if found != (wanted.seed, wanted.cpu, compiler):
            raise InputError(
                f"{journal.folder} holds modules for {found[1]} by {found[2]} with the seed {found[0]}, not for {wanted.cpu} by"
                f" {compiler} with {wanted.seed}: choose another folder, or remove that one and give --force"
            )
