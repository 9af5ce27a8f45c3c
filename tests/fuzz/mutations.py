"""Damage that keeps a file readable enough to get past its parser: of JSON, of TOML, of comma-separated tables, of lines."""

from __future__ import annotations

import copy
import json
import random
import re
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
        how = rng.randrange(6)
        if found and how < 4:
            lines[at] = found[1] + rng.choice(TOML_VALUES)
        elif how == 4:
            del lines[at]
        else:
            lines.insert(rng.randrange(len(lines) + 1), lines[at] if lines else "")
        lines = lines or [""]
    return "\n".join(lines).encode()


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
