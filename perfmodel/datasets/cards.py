"""The card of a data set (``datasets/<name>/card.toml``): where it comes from, what its columns mean, what to mind.

Beside it lie ``checksums.txt`` (SHA-256 of the upstream files, as ``sha256sum`` prints them) and ``counts.csv`` (rows by
family, device, software and status, as ``perfmodel datasets build`` counts them).
"""

from __future__ import annotations

import csv
import re
import tomllib
from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path, PurePosixPath
from typing import Any

from perfmodel._resources import data_path
from perfmodel.datasets import columns as c
from perfmodel.errors import InputError

TABLES = ("operators", "runs")
DOWNLOADS = ("files", "archive")
_REQUIRED = ("schema", "id", "title", "source", "licence", "table", "layout", "provides", "units", "columns", "traps")
_OPTIONAL = (
    "commit", "families", "note", "devices", "dtypes", "software", "cache", "marks", "configuration", "download", "package",
    "kinds", "moe",
)  # fmt: skip
_CONFIGURATION_KINDS = (c.INTEGER, c.NUMBER, c.TEXT)


@dataclass(frozen=True)
class Mark:
    """A known defect: which rows have it and what they are marked with.

    Attributes:
        where: values of our columns that a row must have, all of them; texts may hold ``*`` and ``?``.
        note: goes into the column ``note``: the row is usable, but mind this.
        status: goes into the column ``status``: the row is no measurement.
        why: one sentence.
    """

    where: Mapping[str, str | int]
    why: str
    note: str | None = None
    status: str | None = None


@dataclass(frozen=True)
class Download:
    """Where ``perfmodel datasets get`` finds the files.

    Attributes:
        kind: ``files``: each file of ``checksums.txt`` by itself; ``archive``: one ZIP archive, of which some members
            are kept.
        url: with ``{commit}`` and, for files, ``{path}`` in it.
        members: of an archive, patterns of the paths to keep; the archive's top folder is not part of them.
        sha256: of an archive; None where it is not known.
    """

    kind: str
    url: str
    members: tuple[str, ...] = ()
    sha256: str | None = None


@dataclass(frozen=True)
class Card:
    """A data set's card.

    Attributes:
        id: name of the data set and of its folder.
        table: ``operators`` or ``runs``.
        commit: upstream commit, or None where there is none.
        families: operator families that it holds, in the schema's order.
        provides: columns that its tables have beside the required ones.
        configuration: by upstream name, ``{means, kind}`` of the kernel parameters, which become ``cfg_<name>``.
        checksums: SHA-256 by upstream path.
        counts: rows by (family, device, software, status).
        raw: the whole file.
    """

    id: str
    title: str
    source: str
    licence: str
    table: str
    layout: str
    commit: str | None = None
    families: tuple[str, ...] = ()
    provides: tuple[str, ...] = ()
    devices: Mapping[str, str] = field(default_factory=dict)
    dtypes: Mapping[str, str] = field(default_factory=dict)
    marks: tuple[Mark, ...] = ()
    configuration: Mapping[str, Mapping[str, str]] = field(default_factory=dict)
    download: Download | None = None
    package: Mapping[str, str] | None = None
    checksums: Mapping[str, str] = field(default_factory=dict)
    counts: Mapping[tuple[str, str, str, str], int] = field(default_factory=dict)
    raw: Mapping[str, Any] = field(default_factory=dict)

    @property
    def rows(self) -> int | None:
        """Rows of the whole set; None where it was never at hand."""
        return sum(self.counts.values()) or None

    @property
    def measured_devices(self) -> tuple[str, ...]:
        """Devices that it has rows of."""
        return tuple(sorted({device for _, device, _, _ in self.counts})) or tuple(sorted(set(self.devices.values())))


def columns_of(cards: Sequence[Card], families: Collection[str] | None = None) -> dict[str, str]:
    """Columns of a table of some data sets, in order, and what they hold.

    Args:
        cards: all of operator traces or all of run traces.
        families: only these operator families; None means all that the sets hold.
    """
    provided = [name for card in cards for name in card.provides]
    if cards[0].table == "runs":
        columns = c.run_columns(provided)
        return columns | {name: c.NUMBER for name in provided if name.startswith(c.MACHINE)}
    held = {f for card in cards for f in card.families if families is None or f in families}
    columns = c.operator_columns(held, provided)
    for card in cards:
        columns |= {f"{c.CONFIGURATION}{name}": entry["kind"] for name, entry in card.configuration.items()}
    return columns


def load_card(name: str) -> Card:
    """The card of a data set.

    Raises:
        InputError: there is no such data set, or its card breaks the schema.
    """
    path = data_path("datasets", name, "card.toml")
    try:
        raw = tomllib.loads(path.read_text(encoding="utf-8"))
    except (tomllib.TOMLDecodeError, UnicodeDecodeError) as error:
        raise InputError(f"{path} is no TOML: {error}") from None
    card = parse_card(raw, str(path))
    if card.id != name:
        raise InputError(f"{path}: id is {card.id!r}; wanted the folder's name, {name!r}")
    checksums = path.with_name("checksums.txt")
    counts = path.with_name("counts.csv")
    return replace(
        card,
        checksums=parse_checksums(checksums.read_text(encoding="utf-8")) if checksums.is_file() else {},
        counts=_read_counts(counts) if counts.is_file() else {},
    )


def parse_card(raw: Mapping[str, Any], name: str) -> Card:
    """A card from its TOML.

    Raises:
        InputError: naming the key, what was found and what was wanted.
    """

    def refuse(key: str, wanted: str) -> InputError:
        return InputError(f"{name}: {key} is {raw.get(key)!r}; wanted {wanted}")

    for key in _REQUIRED:
        if key not in raw:
            raise InputError(f"{name}: the key {key!r} is missing")
    for key in raw:
        if key not in _REQUIRED + _OPTIONAL:
            raise InputError(f"{name}: unknown key {key!r}; known: {', '.join(sorted(_REQUIRED + _OPTIONAL))}")
    if raw["schema"] != 1:
        raise refuse("schema", "1")
    if raw["table"] not in TABLES:
        raise refuse("table", " or ".join(TABLES))
    families = tuple(raw.get("families", ()))
    if families != tuple(f for f in c.REQUIRED_OF_FAMILY if f in families) or bool(families) != (
        raw["table"] == "operators"
    ):
        raise refuse("families", f"some of {', '.join(c.REQUIRED_OF_FAMILY)}, in this order (none for runs)")
    for column in raw["provides"]:
        if c.kind_of(column) is None and not column.startswith(c.MACHINE):
            raise InputError(f"{name}: provides names {column!r}, which is no column of the schema")
    for parameter, entry in raw.get("configuration", {}).items():
        if set(entry) != {"means", "kind"} or entry["kind"] not in _CONFIGURATION_KINDS:
            raise InputError(
                f"{name}: configuration.{parameter} is {entry!r}; wanted means and kind ({', '.join(_CONFIGURATION_KINDS)})"
            )
    if not re.fullmatch(r"[0-9a-f]{7,40}", raw.get("commit", "0" * 7)):
        raise refuse("commit", "a commit's hash")
    return Card(
        id=raw["id"],
        title=raw["title"],
        source=raw["source"],
        licence=raw["licence"],
        table=raw["table"],
        layout=raw["layout"],
        commit=raw.get("commit"),
        families=families,
        provides=tuple(raw["provides"]),
        devices=raw.get("devices", {}),
        dtypes=raw.get("dtypes", {}),
        marks=tuple(_mark(entry, name) for entry in raw.get("marks", ())),
        configuration=raw.get("configuration", {}),
        download=_download(raw["download"], name) if "download" in raw else None,
        package=raw.get("package"),
        raw=raw,
    )


def _mark(entry: Mapping[str, Any], name: str) -> Mark:
    if (
        not set(entry) <= {"where", "note", "status", "why"}
        or not entry.get("why")
        or ("note" in entry) == ("status" in entry)
    ):
        raise InputError(f"{name}: a mark is {dict(entry)!r}; wanted where, why, and either note or status")
    for column in entry.get("where", {}):
        if c.kind_of(column) not in (c.TEXT, c.INTEGER):
            raise InputError(f"{name}: a mark's where names {column!r}, which is no text or whole number of the schema")
    return Mark(entry["where"], entry["why"], entry.get("note"), entry.get("status"))


def _download(entry: Mapping[str, Any], name: str) -> Download:
    kind = entry.get("kind")
    if kind not in DOWNLOADS or not str(entry.get("url", "")).startswith(("https://", "http://")):
        raise InputError(f"{name}: download is {dict(entry)!r}; wanted kind ({' or '.join(DOWNLOADS)}) and url")
    if (kind == "files") != ("{path}" in entry["url"]) or (kind == "archive") != bool(entry.get("members")):
        raise InputError(f"{name}: download: files have {{path}} in their url, an archive has members to keep")
    return Download(kind, entry["url"], tuple(entry.get("members", ())), entry.get("sha256"))


def parse_checksums(text: str) -> dict[str, str]:
    """SHA-256 by path, from the lines ``<64 hexadecimal digits>  <path>``.

    Raises:
        InputError: a line that is none, or a path that leads out of the folder.
    """
    sums = {}
    for number, line in enumerate(text.splitlines(), 1):
        if not line.strip():
            continue
        match = re.fullmatch(r"([0-9a-f]{64}) [ *](.+)", line)
        if match is None or not is_inside(match[2]):
            raise InputError(f"checksums.txt, line {number}: found {line!r}, wanted a SHA-256 and a relative path")
        sums[match[2]] = match[1]
    return sums


def is_inside(path: str) -> bool:
    """Whether a relative path stays below the folder that it starts from."""
    parts = PurePosixPath(path).parts
    return bool(parts) and not path.startswith("/") and ".." not in parts and "\\" not in path and ":" not in parts[0]


def _read_counts(path: Path) -> dict[tuple[str, str, str, str], int]:
    with path.open(newline="", encoding="utf-8") as file:
        return {
            (row["family"], row["device"], row["software"], row["status"]): int(row["rows"])
            for row in csv.DictReader(file)
        }
