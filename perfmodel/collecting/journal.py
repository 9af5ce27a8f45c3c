"""What is finished: one file a measured piece, in a folder beside the table, and the table as a view of them.

A piece is written under a temporary name, synchronised, and renamed, and so is the table: whenever the process dies, every
file is whole. A piece counts as done when the table that holds it is in place; nothing is reported before.
"""

from __future__ import annotations

import json
from collections.abc import Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass
from io import BytesIO
from pathlib import Path
from typing import TYPE_CHECKING, Any

from perfmodel.datasets.parquet import read_parquet
from perfmodel.datasets.schema import require_pandas
from perfmodel.errors import InputError, TraceError
from perfmodel.files import write_whole

if TYPE_CHECKING:
    import pandas as pd

SUFFIX = ".pieces"
_META = b"perfmodel"
_STARTED = ".started"
MOST_STARTS = 2
"""A piece that killed the process so often is passed over."""


@dataclass(frozen=True)
class Done:
    """A finished piece.

    Attributes:
        name: of the piece, and of its file.
        about: what :class:`perfmodel.collecting.pieces.Measured` says of it beside its rows.
        path: of the file.
    """

    name: str
    about: Mapping[str, Any]
    path: Path

    def rows(self) -> pd.DataFrame:
        """Its rows, as they were measured.

        Raises:
            TraceError: the file is damaged.
        """
        return read_parquet(self.path)


def pieces_of(output: Path) -> list[Path]:
    """The files of a table's finished pieces, unread, in the order of their names."""
    return sorted(_folder_of(output).glob("*.parquet"))


def _folder_of(output: Path) -> Path:
    return output.with_name(output.name + SUFFIX)


class Journal:
    """The finished pieces of one output.

    Args:
        output: the table; the folder stands beside it, under its name with :data:`SUFFIX`.

    Raises:
        TraceError: a file of the folder is no piece.
    """

    def __init__(self, output: Path) -> None:
        require_pandas()
        self.output: Path = Path(output)
        self.folder: Path = _folder_of(self.output)
        self._done: dict[str, Done] = {
            path.stem: Done(path.stem, _about(path), path) for path in pieces_of(self.output)
        }

    def __len__(self) -> int:
        return len(self._done)

    def __contains__(self, name: str) -> bool:
        return name in self._done

    @property
    def done(self) -> list[Done]:
        """All pieces, in the order of their names."""
        return [self._done[name] for name in sorted(self._done)]

    @property
    def seconds(self) -> float:
        """How long all of them took."""
        return float(sum(float(piece.about.get("seconds", 0.0)) for piece in self._done.values()))

    def check_output(self, *, overwrite: bool) -> None:
        """Refuses a table that is there and is not made of these pieces: it may be anybody's.

        Args:
            overwrite: whether it may be replaced all the same.

        Raises:
            InputError: it is there, and there is no piece; or it is a folder.
        """
        if self.output.is_dir():
            raise InputError(f"{self.output} is a folder; wanted a file")
        if self.output.exists() and not len(self) and not overwrite:
            raise InputError(
                f"{self.output} exists, and no pieces of it are in {self.folder}: take another output, or replace it with"
                " --force"
            )

    def start(self, name: str) -> bool:
        """Notes that a piece is begun; False where it was begun too often without an end."""
        self.folder.mkdir(parents=True, exist_ok=True)
        path = self.folder / f"{name}{_STARTED}"
        starts = path.stat().st_size if path.is_file() else 0
        if starts >= MOST_STARTS:
            return False
        with path.open("ab") as file:
            file.write(b".")
        return True

    def unstart(self, name: str) -> None:
        """Forgets that a piece was begun: not the piece ended the process, but somebody, or a full disk."""
        (self.folder / f"{name}{_STARTED}").unlink(missing_ok=True)

    def add(self, name: str, rows: pd.DataFrame, about: Mapping[str, Any]) -> Done:
        """Keeps a piece; it is on the disk when this returns."""
        import pyarrow as pa

        self.folder.mkdir(parents=True, exist_ok=True)
        path = self.folder / f"{name}.parquet"
        table = pa.Table.from_pandas(rows, preserve_index=False)
        table = table.replace_schema_metadata({**(table.schema.metadata or {}), _META: json.dumps(about).encode()})
        write_whole(path, _parquet(table))
        self.unstart(name)
        self._done[name] = Done(name, dict(about), path)
        return self._done[name]

    def write(self, table: pd.DataFrame, about: Mapping[str, Any]) -> None:
        """Puts the table in place."""
        import pyarrow as pa

        arrow = pa.Table.from_pandas(table, preserve_index=False)
        arrow = arrow.replace_schema_metadata({**(arrow.schema.metadata or {}), _META: json.dumps(about).encode()})
        write_whole(self.output, _parquet(arrow))


def check_names(files: Iterable[Path], there: Collection[str] = ()) -> None:
    """Refuses models whose pieces would be one file: of one name, or of names that differ in capitals alone.

    Args:
        files: the models.
        there: names of which there are pieces already: this machine tells them apart.

    Raises:
        InputError: two are called alike.
    """
    names: dict[str, Path] = {}
    for path in files:
        name = path.stem if path.stem in there else path.stem.casefold()
        if name in names:
            raise InputError(f"{names[name]} and {path} are both called {path.stem!r} in the table: rename one")
        names[name] = path


def _parquet(table: Any) -> bytes:
    import pyarrow.parquet as pq

    data = BytesIO()
    pq.write_table(table, data)
    return data.getvalue()


def about_table(path: str | Path) -> dict[str, Any]:
    """What `perfmodel collect` wrote into a table beside its rows: machine, versions, seed, drift; empty for other tables.

    Raises:
        TraceError: the file cannot be read.
    """
    return _about(Path(path), needed=False)


def _about(path: Path, *, needed: bool = True) -> dict[str, Any]:
    import pyarrow.parquet as pq

    try:
        stored = (pq.read_schema(path).metadata or {}).get(_META)
        found = None if stored is None else json.loads(stored)
    except Exception as error:  # pyarrow raises whatever its parser does
        raise TraceError(f"{path} is no readable piece: {' '.join(str(error).split())[:200]}") from None
    if found is None and not needed:
        return {}
    if not isinstance(found, dict):
        raise TraceError(f"{path} was not written by `perfmodel collect`: remove it, or choose another output")
    seconds = found.get("seconds", 0.0)
    if isinstance(seconds, bool) or not isinstance(seconds, int | float) or not 0 <= seconds < 1e9:
        raise TraceError(f"{path} took {seconds!r:.80} seconds: it is damaged; remove it, or choose another output")
    return found


def concatenated(tables: Sequence[pd.DataFrame]) -> pd.DataFrame:
    """Tables one below the other; columns that are empty in some are no reason to change a type."""
    pandas = require_pandas()
    kept = [table.dropna(axis="columns", how="all") for table in tables if len(table)]
    table: pd.DataFrame = pandas.concat(kept, ignore_index=True)
    return table
