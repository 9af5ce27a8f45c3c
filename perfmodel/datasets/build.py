"""From upstream files to one checked trace table, file by file, so that memory holds one upstream file at a time."""

from __future__ import annotations

import os
from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from contextlib import suppress
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any

from perfmodel.datasets import columns as c
from perfmodel.datasets.adapter import Wanted, finish
from perfmodel.datasets.cards import Card, columns_of, load_card
from perfmodel.datasets.local import locate
from perfmodel.datasets.registry import ADAPTERS, operator_lists, reader
from perfmodel.datasets.runs import Runs, check_operators
from perfmodel.datasets.schema import check_runs, check_traces, first_line, require_pandas, write_traces
from perfmodel.errors import InputError, PerfmodelError, TraceError, checked_keywords, nearest

if TYPE_CHECKING:
    import pandas as pd
    import pyarrow as pa

DUPLICATES = ("keep", "first", "median")
"""What becomes of repeats of one measurement in one file: all rows, the first, or one row with the medians."""
_AVERAGED = ("latency_s", "power_w", "energy_j", "temperature_c", "score")


@dataclass
class Summary:
    """What a build read and wrote.

    Attributes:
        rows: rows written, by (data set, family, device, software, status).
        repeats: of those, rows that measure again what stood in their file before.
        notes: rows by (data set, note).
        left_out: rows that ``--family`` or ``--device`` left out of files that hold others too.
        joined: repeats that ``--duplicates`` left out or joined.
        files: upstream files read.
    """

    rows: Counter[tuple[str, str, str, str, str]] = field(default_factory=Counter)
    repeats: Counter[tuple[str, str]] = field(default_factory=Counter)
    notes: Counter[tuple[str, str]] = field(default_factory=Counter)
    left_out: int = 0
    joined: int = 0
    files: int = 0

    @property
    def total(self) -> int:
        """Rows written."""
        return sum(self.rows.values())

    def add(self, table: pd.DataFrame, card: Card) -> None:
        """Counts one more table."""
        self.files += 1
        family = table["op"] if "op" in table.columns else table["workload"].map(lambda _: "runs")
        keys = [family, table["device"], table["software"], table["status"]]
        for key, count in table.groupby(keys, sort=False, observed=True).size().items():
            _, device, software, status = map(str, tuple(key))  # type: ignore[arg-type]  # a key a grouping column
            self.rows[card.id, _, device, software, status] += int(count)
        for name, count in family[table["repeat"] > 0].value_counts().items():
            self.repeats[card.id, str(name)] += int(count)
        for note, count in table["note"].dropna().value_counts().items():
            self.notes[card.id, str(note)] += int(count)

    def to_dict(self) -> dict[str, Any]:
        """For ``--json``."""
        names = ("dataset", "family", "device", "software", "status")
        return {
            "rows": self.total,
            "files": self.files,
            "left_out": self.left_out,
            "joined": self.joined,
            "groups": [{**dict(zip(names, key, strict=True)), "rows": n} for key, n in sorted(self.rows.items())],
            "repeats": [{"dataset": d, "family": f, "rows": n} for (d, f), n in sorted(self.repeats.items())],
            "notes": [{"dataset": d, "note": t, "rows": n} for (d, t), n in sorted(self.notes.items())],
        }


@dataclass(frozen=True)
class Plan:
    """A build that was checked before anything is read: the sets, their folders, the columns of the table.

    Attributes:
        sources: card and folder of each data set.
        wanted: what is asked for.
        columns: columns of the table and what they hold.
        duplicates: one of :data:`DUPLICATES`.
    """

    sources: tuple[tuple[Card, Path], ...]
    wanted: Wanted
    columns: dict[str, str]
    duplicates: str = "keep"

    @property
    def runs(self) -> bool:
        """Whether the table holds runs of whole models, programs or benchmarks."""
        return self.sources[0][0].table == "runs"


def plan(
    names: Sequence[str],
    root: str | Path | None = None,
    *,
    families: Sequence[str] | None = None,
    devices: Sequence[str] | None = None,
    tables: Sequence[str] | None = None,
    duplicates: str = "keep",
) -> Plan:
    """Checks what a build asks for.

    Args:
        names: data sets, all of operator traces or all of run traces.
        root: a local copy, for one data set; None: the download or the installed package.
        families: operator families to keep; None means all.
        devices: device ids to keep; None means all.
        tables: upstream kinds of file to read (AIConfigurator: ``gemm``, ``context_attention``, …); None means all.
        duplicates: one of :data:`DUPLICATES`.

    Raises:
        InputError: an unknown name, sets that do not go together, a set that is not on this machine.
    """
    if not names:
        raise InputError(f"no data set was named: {nearest('', ADAPTERS)}")
    for name in names:
        reader(name)
    cards = [load_card(name) for name in dict.fromkeys(names)]
    if len({card.table for card in cards}) > 1:
        kinds = ", ".join(f"{card.id} holds {card.table[:-1]} traces" for card in cards)
        raise InputError(f"operator and run traces are two tables: {kinds}; build them apart")
    if root is not None and len(cards) > 1:
        raise InputError(f"--from names the folder of one data set, and {len(cards)} were asked for")
    if duplicates not in DUPLICATES:
        raise InputError(f"duplicates is {duplicates!r}: {nearest(duplicates, DUPLICATES)}")
    named = ", ".join(card.id for card in cards)
    held = [f for f in c.REQUIRED_OF_FAMILY if any(f in card.families for card in cards)]
    for family in families or ():
        if family not in held:
            where = "run traces have no families" if not held else nearest(family, held)
            raise InputError(f"{named}: no rows of the family {family!r}: {where}")
    known = {device for card in cards for device in card.measured_devices} | {
        d for k in cards for d in k.devices.values()
    }
    for device in devices or ():
        if device not in known:
            raise InputError(f"{named}: no rows of the device {device!r}: {nearest(device, known)}")
    wanted = Wanted(*(None if w is None else frozenset(w) for w in (families, devices, tables)))
    columns = columns_of(cards, families)
    return Plan(tuple((card, locate(card, root)) for card in cards), wanted, columns, duplicates)


def parts(chosen: Plan, summary: Summary | None = None) -> Iterator[pd.DataFrame]:
    """The rows that a plan asks for, checked, one upstream file at a time.

    Rows stand by data set, by family, by the path of their file, then in the file's order: the same files always give the
    same table.

    Raises:
        TraceError: a file that cannot be read, or rows that break the schema.
        InputError: nothing of what was asked for is there.
    """
    summary = Summary() if summary is None else summary
    for card, root in chosen.sources:
        before = summary.total
        for table in _upstream(card, root, chosen.wanted):
            rows = chosen.wanted.rows(table)
            summary.left_out += int((~rows).sum())
            table = finish(table if rows.all() else table[rows].reset_index(drop=True), card)
            if table.empty:
                continue
            table = _joined(table, card, chosen.duplicates, summary)
            name = f"{card.id}: {table['collection'].iloc[0]}" if "collection" in table.columns else card.id
            (check_runs if card.table == "runs" else check_traces)(table, name)
            summary.add(table, card)
            yield table
        if summary.total == before:
            raise InputError(f"{card.id}: {root} holds no row of what was asked for")


def _upstream(card: Card, root: Path, wanted: Wanted) -> Iterator[pd.DataFrame]:
    """The tables of a data set's files.

    Raises:
        TraceError: a file differs from what its adapter knows, such as a text where numbers stand.
    """
    try:
        yield from reader(card.id)(root, card, wanted)
    except PerfmodelError:
        raise
    except (ArithmeticError, AttributeError, LookupError, TypeError, ValueError) as error:
        raise TraceError(
            f"{card.id}: a file below {root} is none of upstream's: {type(error).__name__} {first_line(error)}"
        ) from None


def _joined(table: pd.DataFrame, card: Card, duplicates: str, summary: Summary) -> pd.DataFrame:
    repeats = int((table["repeat"] > 0).sum())
    if duplicates == "keep" or not repeats:
        return table
    summary.joined += repeats
    first = table[table["repeat"] == 0].reset_index(drop=True)
    if duplicates == "first":
        return first
    measured = [name for name in _AVERAGED if name in table.columns]
    key = [
        n
        for n in table.columns
        if n not in (*_AVERAGED, "order", "repeat", "status", "note", "samples", "latency_rel_std")
    ]
    groups = table.groupby(key, dropna=False, sort=False, observed=True)
    first[measured] = groups[measured].median().to_numpy()
    first["samples"] = groups.size().to_numpy()
    return first


def arrow_schema(columns: dict[str, str]) -> pa.Schema:
    """The Arrow schema of a table with these columns; texts are dictionaries."""
    import pyarrow as pa

    types = {
        c.TEXT: pa.dictionary(pa.int32(), pa.string()), c.INTEGER: pa.int64(), c.NUMBER: pa.float64(), c.FLAG: pa.bool_(),
    }  # fmt: skip
    return pa.schema([(name, types[kind]) for name, kind in columns.items()])


def to_arrow(table: pd.DataFrame, schema: pa.Schema) -> pa.Table:
    """A part with exactly the schema's columns; those that it lacks are null.

    Raises:
        TraceError: a column holds another kind of value.
    """
    import pyarrow as pa

    arrays = []
    for name, kind in zip(schema.names, schema.types, strict=True):
        if name not in table.columns:
            arrays.append(pa.nulls(len(table), kind))
            continue
        try:
            arrays.append(_to_array(table[name], kind))
        except (pa.ArrowException, TypeError, ValueError, OverflowError) as error:
            where = f"{table['source'].iloc[0]}: " if "source" in table.columns and len(table) else ""
            raise TraceError(f"{where}column {name!r:.80} holds what is no {kind}: {first_line(error)}") from None
    return pa.Table.from_arrays(arrays, schema=schema)


def _to_array(values: pd.Series, kind: pa.DataType) -> pa.Array:
    import numpy as np
    import pyarrow as pa

    if pa.types.is_dictionary(kind):
        return pa.array(values, type=pa.string(), from_pandas=True).dictionary_encode().cast(kind)
    if pa.types.is_integer(kind) and values.dtype.kind == "f":
        numbers = values.to_numpy()
        null = np.isnan(numbers)
        if (np.abs(numbers[~null]) >= 2.0**63).any():
            raise ValueError("a number beyond 64 bits")
        return pa.array(np.where(null, 0, numbers).astype(np.int64), mask=null)
    return pa.array(values, type=kind, from_pandas=True)


def write(chosen: Plan, output: str | Path, report: Callable[[str], None] = lambda line: None) -> Summary:
    """Builds a table and writes it, Parquet or CSV by the file's ending, under a temporary name until it is whole.

    The operators of runs go, one table a list, into a folder beside it: ``<name>.operators/``.

    Args:
        chosen: what is built.
        output: the file.
        report: receives a line whenever an upstream file is done.

    Raises:
        InputError: an ending that is neither, or the file cannot be written.
        TraceError: as :func:`parts`.
    """
    require_pandas()
    path = Path(output)
    ending = path.suffix.lower()
    if ending not in (".parquet", ".csv"):
        raise InputError(f"{output}: wanted a file that ends in .parquet or .csv")
    if not path.absolute().parent.is_dir():
        raise InputError(f"cannot write {output}: there is no folder {path.absolute().parent}")
    summary = Summary()
    temporary = path.with_name(f".{path.name}.{os.getpid()}.partial")
    try:
        tables = _with_lists(chosen, _told(parts(chosen, summary), summary, report), path)
        _write_parts(chosen, tables, temporary, csv=ending == ".csv")
        temporary.replace(path)
    except OSError as error:
        raise InputError(f"cannot write {output}: {error.strerror or error}") from None
    finally:
        with suppress(OSError):
            temporary.unlink(missing_ok=True)
    return summary


def _told(tables: Iterator[pd.DataFrame], summary: Summary, report: Callable[[str], None]) -> Iterator[pd.DataFrame]:
    for table in tables:
        report(f"{summary.files} upstream files, {summary.total:,} rows")
        yield table


def _write_parts(chosen: Plan, tables: Iterator[pd.DataFrame], path: Path, *, csv: bool) -> None:
    import pyarrow as pa
    import pyarrow.csv
    import pyarrow.parquet

    schema = arrow_schema(chosen.columns)
    if csv:
        plain = pa.schema([(f.name, f.type.value_type if pa.types.is_dictionary(f.type) else f.type) for f in schema])
        with pyarrow.csv.CSVWriter(path, plain) as writer:
            for table in tables:
                writer.write_table(to_arrow(table, schema).cast(plain))
        return
    with pyarrow.parquet.ParquetWriter(path, schema, compression="zstd") as writer:
        for table in tables:
            writer.write_table(to_arrow(table, schema))


def _with_lists(chosen: Plan, tables: Iterator[pd.DataFrame], output: Path) -> Iterator[pd.DataFrame]:
    """The tables of a plan; operator lists that their runs name are written, and named by their paths."""
    lists = {card.id: operator_lists(card.id, root, card) for card, root in chosen.sources}
    folder = output.with_name(f"{output.stem}.operators")
    written: dict[tuple[str, str], str] = {}
    for table in tables:
        if "operators" in table.columns and len(table):
            source = str(table["source"].iloc[0])
            of_source = lists[source]
            for reference in dict.fromkeys(table["operators"].dropna()):
                if of_source is None or (source, reference) in written:
                    continue
                path = folder / source / f"{reference}.parquet"
                path.parent.mkdir(parents=True, exist_ok=True)
                write_traces(of_source(reference), path)
                written[source, reference] = path.relative_to(output.parent).as_posix()
            table["operators"] = [written.get((source, r)) for r in table["operators"]]
        yield table


@checked_keywords()
def load(
    name: str,
    root: str | Path | None = None,
    *,
    families: Sequence[str] | None = None,
    devices: Sequence[str] | None = None,
    tables: Sequence[str] | None = None,
    duplicates: str = "keep",
) -> pd.DataFrame:
    """One data set as a table in the trace schema; see :func:`plan` for the arguments and :func:`parts` for the order.

    Texts are categories; whole numbers that some rows lack are floats with NaN.
    """
    import pyarrow as pa

    require_pandas()
    chosen = plan([name], root, families=families, devices=devices, tables=tables, duplicates=duplicates)
    schema = arrow_schema(chosen.columns)
    whole = pa.concat_tables([to_arrow(table, schema) for table in parts(chosen)])
    table: pd.DataFrame = whole.unify_dictionaries().to_pandas(self_destruct=True)
    return table


def load_runs(name: str, root: str | Path | None = None, *, devices: Sequence[str] | None = None) -> Runs:
    """One data set of run traces, with the operators of its runs, in memory.

    Raises:
        InputError: a set of operator traces.
        TraceError: as :func:`parts`.
    """
    chosen = plan([name], root, devices=devices)
    if not chosen.runs:
        raise InputError(f"{name} holds operator traces; wanted a set of runs")
    ((_, folder),) = chosen.sources
    return Runs(load(name, root, devices=devices), _UpstreamLists(name, folder))


class _UpstreamLists:
    """The operator tables of a data set of runs, made when they are asked for, each once."""

    def __init__(self, name: str, folder: Path) -> None:
        self._name, self._folder = name, folder
        self._known: dict[str, pd.DataFrame] = {}

    def __call__(self, reference: str) -> pd.DataFrame:
        if reference not in self._known:
            # Found anew each time, since functions cannot be sent to other processes: there are some hundred lists.
            lists = operator_lists(self._name, self._folder, load_card(self._name))
            if lists is None:
                raise TraceError(f"{self._name}: the data set has no operators of its runs")
            self._known[reference] = lists(reference)
            check_operators(self._known[reference], f"{self._name}: {reference}")
        return self._known[reference]
