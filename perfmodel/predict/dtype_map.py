"""``--dtype-map``: which operators run in another format than ``--dtype``.

A map's keys are operator families (``gemm``, ``attention``) or patterns of names (``*/lm_head/*``), its values dtypes. A
pattern is compared with the names of a node, of the nodes fused into it and of its largest weight, as shells compare file
names (``*``, ``?``, ``[...]``; upper and lower case differ). Of several keys that match an operator the most specific
decides: a full name before a pattern, a pattern before a family; of two patterns the one with more literal characters, of
equals the later.
"""

from __future__ import annotations

import difflib
import fnmatch
import os
import re
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any

from perfmodel.dtypes import gemm_dtype
from perfmodel.errors import DtypeError, InputError, nearest
from perfmodel.files import parse_toml
from perfmodel.graph import Graph, Node
from perfmodel.ops import FAMILIES, GEMM_LIKE

MAX_KEYS = 1000
MAX_FILE_BYTES = 1_000_000
_MAX_KEY = 1000
_WILD = frozenset("*?[")
_COMPARED = 2000  # names that a mistyped one is compared with
_EXAMPLE = "as in gemm=w4a16,*/lm_head/*=bf16"


def parse(texts: Iterable[str]) -> dict[str, str]:
    """A map from the values of ``--dtype-map``: ``KEY=DTYPE,...`` or the path of a TOML file with such pairs.

    Raises:
        InputError: a value is neither; a file cannot be read; one key has two dtypes.
    """
    result: dict[str, str] = {}
    for text in texts:
        pairs = _read(text) if text.endswith(".toml") or ("=" not in text and os.path.exists(text)) else _pairs(text)
        for key, value in pairs:
            if result.setdefault(key, value) != value:
                raise InputError(f"--dtype-map gives {_short(key)} twice: {_short(result[key])} and {_short(value)}")
    return result


def _pairs(text: str) -> list[tuple[str, str]]:
    pairs = []
    for part in filter(None, map(str.strip, text.split(","))):
        key, equals, value = map(str.strip, part.rpartition("="))
        if not equals or not key or not value:
            raise InputError(f"--dtype-map {_short(part)}: wanted KEY=DTYPE, {_EXAMPLE}, or the path of a .toml file")
        pairs.append((key, value))
    if not pairs:
        raise InputError(f"--dtype-map {_short(text)} holds nothing: wanted KEY=DTYPE, {_EXAMPLE}")
    return pairs


def _read(name: str) -> list[tuple[str, str]]:
    try:
        with Path(name).open("rb") as file:
            data = file.read(MAX_FILE_BYTES + 1)
    except (OSError, ValueError) as error:  # a zero byte in the path
        raise InputError(f"--dtype-map {name}: cannot be read: {getattr(error, 'strerror', None) or error}") from None
    if len(data) > MAX_FILE_BYTES:
        raise InputError(f"--dtype-map {name}: a map of dtypes has at most {MAX_FILE_BYTES:,} bytes")
    try:
        table = parse_toml(data.decode("utf-8-sig"))
    except UnicodeDecodeError as error:
        raise InputError(f"--dtype-map {name}: not TOML: byte {error.start} is not UTF-8") from None
    except ValueError as error:
        raise InputError(f"--dtype-map {name}: {error}") from None
    for key, value in table.items():
        if not isinstance(value, str):
            raise InputError(
                f'--dtype-map {name}: {_short(key)} is a {type(value).__name__}; wanted lines "KEY" = "DTYPE", with the'
                " key in quotes where it holds a dot"
            )
    return list(table.items())


def checked(mapping: Mapping[str, str]) -> dict[str, str]:
    """The map with every dtype known and under its usual name.

    Raises:
        InputError: a key or value is no text, or there are too many.
        DtypeError: a dtype is unknown.
    """
    if not isinstance(mapping, Mapping):
        raise InputError(
            f"dtype_map is a {type(mapping).__name__}; wanted a mapping of families or name patterns to dtypes"
        )
    if len(mapping) > MAX_KEYS:
        raise InputError(f"dtype_map has {len(mapping):,} keys; at most {MAX_KEYS:,} are read")
    result = {}
    for key, value in mapping.items():
        if not isinstance(key, str) or not key or len(key) > _MAX_KEY:
            raise InputError(f"dtype_map has the key {_short(key)}; wanted an operator family or a pattern of names")
        if key in FAMILIES and key not in GEMM_LIKE:
            raise InputError(
                f"dtype_map: {key} keeps its arithmetic; formats are for {', '.join(GEMM_LIKE)}, or for names"
            )
        try:
            result[key] = gemm_dtype(value).name
        except DtypeError as error:
            raise DtypeError(f"dtype_map, key {_short(key)}: {error}") from None
    return result


class Matcher:
    """The keys of one map, each compiled once.

    Args:
        mapping: a map that :func:`checked` returned.
    """

    def __init__(self, mapping: Mapping[str, str]) -> None:
        self.mapping = mapping
        self._patterns: list[tuple[tuple[int, int, int], str, re.Pattern[str] | None]] = []
        for order, key in enumerate(mapping):
            if key in GEMM_LIKE:
                rank = (0, 0, order)
            elif _WILD & set(key):
                rank = (1, len(re.sub(r"\[[^]]*\]|[*?]", "", key)), order)
            else:
                rank = (2, 0, order)
            pattern = re.compile(fnmatch.translate(key)) if rank[0] == 1 else None
            self._patterns.append((rank, key, pattern))
        self._patterns.sort(key=lambda entry: entry[0], reverse=True)

    def key_for(self, family: str, names: Iterable[str]) -> str | None:
        """The most specific key that matches an operator; None where none does."""
        names = tuple(names)
        for (kind, _, _), key, pattern in self._patterns:
            if kind == 0:
                found = key == family
            elif pattern is None:
                found = key in names
            else:
                found = any(pattern.match(name) for name in names)
            if found:
                return key
        return None


def names_of(node: Node, graph: Graph) -> tuple[str, ...]:
    """The names that patterns are compared with: of the node, of those fused into it, of its largest weight."""
    weights = [t for name in node.inputs if (t := graph.tensors.get(name)) is not None and t.is_weight]
    largest = max(weights, key=lambda t: t.elements or 0, default=None)
    own = () if largest is None else tuple(filter(None, (largest.name, largest.source)))
    return tuple(dict.fromkeys((node.name, *node.members, *own)))


def assign(graph: Graph, mapping: Mapping[str, str], castable: Iterable[int]) -> tuple[dict[int, str], tuple[str, ...]]:
    """The dtype of each castable node that a key matches, and warnings.

    Args:
        graph: fused.
        mapping: a map that :func:`checked` returned.
        castable: positions of the nodes whose format can be chosen.

    Returns:
        Dtypes by position, and one line for each family that the model has no operator of.

    Raises:
        InputError: a pattern matches no operator whose format can be chosen; the nearest names are given.
    """
    matcher = Matcher(mapping)
    named = [(i, graph.nodes[i].op.op, names_of(graph.nodes[i], graph)) for i in castable]
    chosen: dict[int, str] = {}
    used: set[str] = set()
    for index, family, names in named:
        key = matcher.key_for(family, names)
        if key is not None:
            chosen[index] = mapping[key]
            used.add(key)
    warnings = []
    for key in mapping:
        # A key that others always outdo is still one that matches.
        alone = Matcher({key: mapping[key]})
        if key in used or any(alone.key_for(family, names) for _, family, names in named):
            continue
        if key not in GEMM_LIKE:
            raise InputError(_no_match(key, graph, alone, [n for _, _, names in named for n in names]))
        warnings.append(f"dtype_map: the model has no {key} operator whose format can be chosen")
    return chosen, tuple(warnings)


def _no_match(key: str, graph: Graph, alone: Matcher, names: list[str]) -> str:
    others = [n for n in graph.nodes if alone.key_for(n.op.op, names_of(n, graph))]
    if others:
        what = f"{others[0].op.op} {others[0].op.dtype}"
        return (
            f"dtype_map: {_short(key)} matches only operators that multiply no floating matrices"
            f" ({_short(others[0].name)}, {what})"
        )
    if not names:
        return f"dtype_map: {_short(key)} matches nothing: the model multiplies no floating matrices"
    families = difflib.get_close_matches(key, GEMM_LIKE, n=1)
    known = [*families, *names[:_COMPARED]]
    if difflib.get_close_matches(key.lower(), known, n=1, cutoff=0.5):
        return f"dtype_map: {_short(key)} matches no operator: {nearest(key, known)}"
    return f"dtype_map: {_short(key)} matches no operator; they are called, for example, {', '.join(map(_short, names[:3]))}"


def _short(value: Any) -> str:
    text = repr(value)
    return text if len(text) <= 80 else text[:77] + "..."
