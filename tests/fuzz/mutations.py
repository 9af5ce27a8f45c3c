"""Damage that keeps a file readable enough to get past its parser: of JSON, TOML, tables, archives, lines."""

from __future__ import annotations

import copy
import io
import json
import random
import re
import warnings
import zipfile
from collections.abc import Callable, Iterator
from typing import Any

TEXTS = (
    "", "x", "null", "\x00", "é\u2028", "<script>alert(1)</script>", "../../etc/passwd", "C:\\a\\b", "nan", "1e999",
    "a" * 3000,
)  # fmt: skip
NUMBERS: tuple[Any, ...] = (
    0, 1, -1, 2, 7, 0.5, -0.0, 1e-320, 1e308, -1e308, 2**31, 2**48, 2**63, -(2**63), 10**400,
    float("nan"), float("inf"), float("-inf"),
)  # fmt: skip
OTHERS: tuple[Any, ...] = (None, True, False, [], {}, [[]], [{}], {"": 0}, [1, 2, 3], {"a": [1]})
TOML_VALUES = (
    "0", "-1", "1", "1e308", "1e-320", "nan", "inf", "-inf", "true", '""', '"x"', "[]", "[1, 2]", "{}", "{a = 1}", "9" * 400,
    "2026-01-01", "2026-01-01T00:00:00Z", '"\\u0000"', "1_0", "0x10",
)  # fmt: skip
CELLS = (
    "", "0", "-1", "nan", "inf", "-inf", "1e308", "1e-320", "9" * 400, "x", '"', '"a,b"', "true", "NA", "\x00", "é",
    "1;5", "1,5",
    "2026-01-01", "[1]", "gemm", "attention", "bf16", "h100-sxm",
)  # fmt: skip

PATHS = (
    "top/../../up.csv", "/etc/x.csv", "top/C:x.csv", "C:/x.csv", "top/a\\..\\b.csv", "top/CON.csv", "top/nul.txt", "top/a.csv.",
    "top/a. ", "top/A.CSV", "top/a.csv", "top/a.csv/b.csv", "top/e\u0301.csv", "top/\u00e9.csv", "top/" + "d/" * 200 + "x.csv",
    "top/" + "n" * 300 + ".csv", "top/a:b.csv", "top/a\0b.csv", "a.npy", "top/", "x",
)  # fmt: skip
FORMULAS = (
    "0", "1 / 0", "a ** a ** a", "sqrt(0 - 1)", "log2(0)", "where(1, 2, 3)", "min(1)", "op.k", "op.nothing", "device.lanes",
    "x.y.z", "__import__('os')", "1 if 1 else 2", "[1]", "not 1", "2 ** 1000", "1e999", "(" * 90 + "1" + ")" * 90, "MWG",
    "-MWG", "MWG % 0", "'a'",
)  # fmt: skip

Mutation = Callable[[bytes, random.Random], bytes]


def of_json(data: bytes, rng: random.Random) -> bytes:
    """Values, keys and entries of a JSON text are others; one that is no JSON is damaged as lines."""
    try:
        value = json.loads(data)
    except (ValueError, RecursionError):
        return of_lines(data, rng)
    for _ in range(rng.choice((1, 1, 2, 3))):
        value = _changed(value, rng, grow=len(data) < 5000)
    try:
        return json.dumps(value).encode()
    except (ValueError, RecursionError):
        return data


def of_json_lines(data: bytes, rng: random.Random) -> bytes:
    """One line's JSON is another, or lines are swapped, doubled or gone."""
    lines = data.split(b"\n")
    at = rng.randrange(len(lines))
    if rng.random() < 0.7:
        lines[at] = of_json(lines[at], rng)
        return b"\n".join(lines)
    return of_lines(data, rng)


def of_toml(data: bytes, rng: random.Random) -> bytes:
    """Values, keys and lines of a TOML text are others."""
    lines = data.decode("utf-8", "replace").split("\n")
    for _ in range(rng.choice((1, 1, 2, 3))):
        at = rng.randrange(len(lines))
        found = re.match(r"(\s*[\w.\"-]+\s*=\s*)(.*)", lines[at])
        how = rng.randrange(7)
        if found and how < 3:
            lines[at] = found[1] + rng.choice(TOML_VALUES)
        elif found and how == 3:
            lines[at] = found[1] + _other_number(found[2], rng)
        elif found and how == 6:
            lines[at] = found[1] + json.dumps(rng.choice((*FORMULAS, *TEXTS)))
        elif how == 4:
            del lines[at]
        else:
            lines.insert(rng.randrange(len(lines) + 1), lines[at] if lines else "")
        lines = lines or [""]
    return "\n".join(lines).encode()


def _other_number(text: str, rng: random.Random) -> str:
    """A value some of whose numbers are others."""
    return re.sub(
        r"\d[\d_.e+-]*", lambda n: rng.choice((n[0], n[0] + "0", "0", "1e308", "1e-320", "-1", "0.5", "2")), text
    )


def of_parquet(data: bytes, rng: random.Random) -> bytes:
    """A Parquet file that is whole, of a table that is not what it should be: values, types, names, rows, metadata."""
    import pyarrow as pa
    import pyarrow.parquet as pq

    try:
        table = pq.read_table(io.BytesIO(data))
    except Exception:  # none any more
        return data
    for _ in range(rng.choice((1, 1, 2, 3))):
        table = _other_table(table, rng, pa)
    metadata = dict(table.schema.metadata or {})
    if metadata and rng.random() < 0.3:
        key = rng.choice(sorted(metadata))
        metadata[key] = rng.choice((b"", b"null", b"[1]", b'{"seconds": "x"}', b"\xff", of_json(metadata[key], rng)))
        table = table.replace_schema_metadata(metadata)
    out = io.BytesIO()
    try:
        pq.write_table(table, out, compression=rng.choice(("snappy", "gzip", "zstd", "none")))
    except Exception:  # a type that Parquet has not
        return data
    return out.getvalue()


def _other_table(table: Any, rng: random.Random, pa: Any) -> Any:
    if not table.num_columns:
        return table
    place, how = rng.randrange(table.num_columns), rng.randrange(8)
    name, column = table.column_names[place], table.column(place)
    try:
        if how == 0:
            return table.remove_column(place)
        if how == 1:
            return table.set_column(place, rng.choice((*TEXTS, *table.column_names)), column)
        if how == 2:
            return pa.concat_tables([table, table.slice(0, rng.randrange(1, 5))])
        if how == 3:
            return table.slice(rng.randrange(table.num_rows + 1))
        if how == 4:
            types = (pa.string(), pa.float32(), pa.int8(), pa.bool_(), pa.binary(), pa.decimal128(20, 3), pa.null(),
                     pa.timestamp("ns"), pa.large_string(), pa.dictionary(pa.int32(), pa.string()))  # fmt: skip
            return table.set_column(place, name, column.cast(rng.choice(types), safe=False))
        values = column.to_pylist()
        if how == 5:
            return table.set_column(place, name, pa.array([rng.choice(OTHERS) for _ in values]))
        row = rng.randrange(len(values))
        values[row] = _other(values[row], rng)
        return table.set_column(place, name, pa.array(values))
    except (pa.ArrowException, TypeError, ValueError, OverflowError, IndexError):
        return table


def of_zip(data: bytes, rng: random.Random) -> bytes:
    """A ZIP archive whose members have other names, contents, sizes, methods or flags."""
    try:
        with zipfile.ZipFile(io.BytesIO(data)) as file:
            members = [(info.filename, file.read(info)) for info in file.infolist()]
    except Exception:  # none any more
        return data
    out = io.BytesIO()
    with zipfile.ZipFile(out, "w", rng.choice((zipfile.ZIP_STORED, zipfile.ZIP_DEFLATED, zipfile.ZIP_BZIP2))) as file:
        for name, content in members:
            if rng.random() < 0.3:
                name = rng.choice(PATHS)
            if rng.random() < 0.2:
                content = rng.choice(
                    (b"", b"\0" * 10_000_000, b"x", content[:-5], b"\x93NUMPY\x01\x00" + content, content * 2)
                )
            with warnings.catch_warnings():
                warnings.simplefilter("ignore")  # of a name that stands twice
                file.writestr(name or "x", content)
    made = bytearray(out.getvalue())
    for _ in range(rng.choice((0, 0, 1, 2))):
        # The directory at the end says sizes, methods, flags and places.
        made[rng.randrange(len(made) * rng.choice((0, 2, 3)) // 4, len(made))] = rng.randrange(256)
    return bytes(made)


def of_table(data: bytes, rng: random.Random) -> bytes:
    """Cells, names of columns, rows and columns of a table with commas are others."""
    lines = data.decode("utf-8", "replace").split("\n")
    for _ in range(rng.choice((1, 1, 2, 3))):
        at = rng.randrange(len(lines))
        cells = lines[at].split(",")
        how = rng.randrange(8)
        if how < 4:
            cells[rng.randrange(len(cells))] = rng.choice(CELLS)
            lines[at] = ",".join(cells)
        elif how == 4:
            column = rng.randrange(len(cells))
            lines = [",".join(c for i, c in enumerate(line.split(",")) if i != column) for line in lines]
        elif how == 5:
            first, second = rng.randrange(len(cells)), rng.randrange(len(cells))
            cells[first], cells[second] = cells[second], cells[first]
            lines[at] = ",".join(cells)
        else:
            return of_lines("\n".join(lines).encode(), rng)
    return "\n".join(lines).encode()


def of_lines(data: bytes, rng: random.Random) -> bytes:
    """Lines are swapped, doubled or gone, or a piece is another."""
    lines = data.split(b"\n")
    at, other = rng.randrange(len(lines)), rng.randrange(len(lines))
    how = rng.randrange(5)
    if how == 0:
        del lines[at]
    elif how == 1:
        lines.insert(other, lines[at])
    elif how == 2:
        lines[at], lines[other] = lines[other], lines[at]
    else:
        line = lines[at]
        start = rng.randrange(len(line) + 1)
        end = min(len(line), start + rng.choice((0, 1, 2, 8)))
        piece = rng.choice((*CELLS, "[" * 3000, "{", "}", "\t", "0x", "'")).encode()
        lines[at] = line[:start] + piece + line[end:]
    return b"\n".join(lines)


def _changed(value: Any, rng: random.Random, *, grow: bool) -> Any:
    """One change; only small values grow, or a few changes of a change would fill the memory."""
    places = list(_places(value))
    if not places:
        return _other(value, rng)
    holder, key = rng.choice(places)
    how = rng.randrange(8)
    if how == 0:
        del holder[key]
    elif how == 1 and isinstance(holder, dict):
        holder[rng.choice(TEXTS)] = holder.pop(key)
    elif how == 2 and isinstance(holder, list) and grow:
        holder.extend(holder[:50] * rng.choice((1, 1, 3)))
    elif how == 3:
        another, name = rng.choice(places)
        try:
            holder[key] = json.loads(json.dumps(another[name]))
        except (LookupError, ValueError):
            holder[key] = None
    else:
        holder[key] = _other(holder[key], rng)
    return value


def _places(value: Any) -> Iterator[tuple[Any, Any]]:
    """Every (container, key) of a value, outermost first."""
    waiting = [value]
    while waiting:
        at = waiting.pop()
        items = at.items() if isinstance(at, dict) else enumerate(at) if isinstance(at, list) else ()
        for key, inner in items:
            yield at, key
            if isinstance(inner, dict | list):
                waiting.append(inner)


def _other(value: Any, rng: random.Random) -> Any:
    """Another value, mostly of the same kind."""
    if isinstance(value, int | float) and rng.random() < 0.7:
        return rng.choice(NUMBERS)
    if isinstance(value, str) and rng.random() < 0.5:
        return rng.choice((*TEXTS, value + "x", value[:-1], value.upper()))
    # A copy: the next change may be one of it, and a list put into itself has no last place.
    return copy.deepcopy(rng.choice((*OTHERS, *NUMBERS, *TEXTS)))
