"""Rankers for programs that speak JSON: one request a line in, one answer a line out (docs/serving.md).

Requests are answered in order, one at a time; nothing is read ahead, so that a client that writes faster than it is answered
waits in its pipe. What a client can make the server hold is bounded: a line's length, the open rankers, the rows of each.
"""

from __future__ import annotations

import json
import math
from collections import OrderedDict
from collections.abc import Callable, Mapping
from typing import Any, BinaryIO

from perfmodel.errors import InputError, PerfmodelError, is_finite_number, nearest
from perfmodel.ops import FAMILIES
from perfmodel.ops.base import Operator
from perfmodel.rank.ranker import Ranker, rank
from perfmodel.rank.single import prepare
from perfmodel.rank.table import named_columns

MAX_LINE_BYTES = 64 * 2**20
"""Of a request."""
MAX_SESSIONS = 16
"""Rankers that are open at once."""
MAX_OBSERVED = 2000
"""Measurements of a session: each holds a number for every candidate."""
MAX_ROWS = 2_000_000
"""Configurations of a table."""
MAX_RANKED = 100_000
"""Configurations of an answer."""
MAX_NESTED = 50
"""Lists and objects of an id inside each other: an answer repeats it."""
DEFAULT_RANKED = 10
_PREPARED = 256
_PROBLEM = ("op", "shape", "dtype", "device")
_RANKER = (*_PROBLEM, "configs", "space", "objective", "power_limit_w", "ranker")
_FIELDS: dict[str, tuple[str, ...]] = {
    "rank": (*_RANKER, "session", "top"),
    "open": (*_RANKER, "session"),
    "observe": ("session", "rows", "configs", "seconds"),
    "suggest": ("session", "n"),
    "predict": (*_PROBLEM, "space", "ranker", "config"),
    "close": ("session",),
}
"""What each request may hold beside ``id`` and ``do``."""


class Server:
    """Answers requests; it holds the rankers that they opened."""

    def __init__(self) -> None:
        self._sessions: dict[str, tuple[Ranker, str]] = {}
        self._prepared: OrderedDict[str, Callable[[Mapping[str, float]], float]] = OrderedDict()
        self._answers = {
            "rank": self._rank, "open": self._open, "observe": self._observe, "suggest": self._suggest,
            "predict": self._predict, "close": self._close,
        }  # fmt: skip

    def serve(self, requests: BinaryIO, answers: BinaryIO) -> None:
        """Answers every line until the input ends; empty lines are passed over.

        Raises:
            BrokenPipeError: nobody reads the answers any more.
        """
        while line := requests.readline(MAX_LINE_BYTES + 1):
            if len(line) > MAX_LINE_BYTES:
                while line and not line.endswith(b"\n"):
                    line = requests.readline(2**16)
                answer = _failed(None, f"a line of more than {MAX_LINE_BYTES >> 20} MiB")
            elif not line.strip():
                continue
            else:
                answer = self.answer(line)
            answers.write(answer)
            answers.flush()

    def answer(self, line: bytes) -> bytes:
        """The answer to one request: ``{"id": …, "result": {…}}`` or ``{"id": …, "error": "…"}``, with a line's end.

        It raises nothing: what is wrong with a request is said in the answer, and a mistake of ours, too.
        """
        name: Any = None
        try:
            request = _parsed(line)
            name = _repeatable(request.get("id"))
            result = self._answers[_what(request)](request)
            return _line({"id": name, "result": result})
        except PerfmodelError as error:
            return _failed(name, str(error))
        except (MemoryError, RecursionError) as error:
            return _failed(name, f"the request is too large: {type(error).__name__}")
        except Exception as error:  # the next request is served all the same
            return _failed(name, f"internal error, please report it: {type(error).__name__} {error}")

    def _open(self, request: Mapping[str, Any]) -> dict[str, Any]:
        session = _text(request, "session")
        if session in self._sessions:
            raise InputError(f"the session {session!r} is open already: close it first, or choose another name")
        if len(self._sessions) >= MAX_SESSIONS:
            raise InputError(f"{MAX_SESSIONS} sessions are open: close one first")
        ranker = Ranker(
            _operator(request), _configs(request), _text(request, "device"), space=request.get("space"),
            objective=_or(request, "objective", "latency"), power_limit_w=_watts(request),
            pretrained=_or(request, "ranker", "default"),
        )  # fmt: skip
        self._sessions[session] = ranker, _text(request, "device")
        return {"configurations": ranker.rows, "refused": ranker.refused, "space": ranker.space.id}

    def _rank(self, request: Mapping[str, Any]) -> dict[str, Any]:
        top = _whole(request, "top", DEFAULT_RANKED, MAX_RANKED)
        if request.get("session") is not None:
            beside = [name for name in _RANKER if request.get(name) is not None]
            if beside:
                raise InputError(f"a session is ranked as it was opened: {', '.join(beside)} has no place here")
            ranker, device = self._session(request)
            return ranker.ranking(top).to_dict(device)
        ranking = rank(
            _operator(request), _configs(request), _text(request, "device"), top_k=top, space=request.get("space"),
            objective=_or(request, "objective", "latency"), power_limit_w=_watts(request),
            pretrained=_or(request, "ranker", "default"),
        )  # fmt: skip
        return ranking.to_dict(_text(request, "device"))

    def _observe(self, request: Mapping[str, Any]) -> dict[str, Any]:
        ranker, _ = self._session(request)
        by_number = request.get("rows") is not None
        if by_number == (request.get("configs") is not None):
            raise InputError("wanted what was measured: rows (numbers of the table), or configs (their parameters)")
        measured = _rows(request) if by_number else _configs(request)
        seconds = _seconds(request)
        if ranker.observed + len(seconds) > MAX_OBSERVED:
            raise InputError(f"a session takes {MAX_OBSERVED:,} measurements; this one has {ranker.observed:,}")
        ranker.observe(measured, seconds)
        return {"observed": ranker.observed}

    def _suggest(self, request: Mapping[str, Any]) -> dict[str, Any]:
        ranker, _ = self._session(request)
        rows = ranker.suggest(_whole(request, "n", 1, MAX_RANKED))
        return {"rows": [int(row) for row in rows]}

    def _predict(self, request: Mapping[str, Any]) -> dict[str, Any]:
        config = request.get("config")
        if not isinstance(config, Mapping) or not all(is_finite_number(v) for v in config.values()):
            raise InputError("config is to be an object of the space's parameters with one number each")
        if request.get("space") is None:
            raise InputError("a prediction of one configuration needs its space")
        problem = {name: request.get(name) for name in (*_PROBLEM, "space", "ranker")}
        key = json.dumps(problem, sort_keys=True)
        predict = self._prepared.get(key)
        if predict is None:
            predict = prepare(
                _operator(request), _text(request, "device"), request["space"], _or(request, "ranker", "default")
            )
            self._prepared[key] = predict
            if len(self._prepared) > _PREPARED:
                self._prepared.popitem(last=False)
        else:
            self._prepared.move_to_end(key)
        try:
            return {"latency_s": predict({name: float(v) for name, v in config.items()})}
        except ZeroDivisionError:
            raise InputError("config has a 0 that the space's formulas divide by") from None

    def _close(self, request: Mapping[str, Any]) -> dict[str, Any]:
        self._session(request)
        del self._sessions[request["session"]]
        return {"sessions": len(self._sessions)}

    def _session(self, request: Mapping[str, Any]) -> tuple[Ranker, str]:
        session = _text(request, "session")
        if session not in self._sessions:
            raise InputError(f"no session {session!r} is open")
        return self._sessions[session]


def _parsed(line: bytes) -> dict[str, Any]:
    try:
        request = json.loads(line, parse_constant=_refuse_constant)
    except (ValueError, RecursionError) as error:
        raise InputError(f"the line is no JSON: {error}") from None
    if not isinstance(request, dict):
        raise InputError(f"the line is no JSON object but a {type(request).__name__}")
    return request


def _refuse_constant(name: str) -> Any:
    raise ValueError(f"{name} is no JSON")


def _repeatable(name: Any) -> Any:
    """A request's id.

    Raises:
        InputError: it is nested more deeply than an answer could repeat.
    """
    level = [name]
    for _ in range(MAX_NESTED):
        within = [v.values() if isinstance(v, dict) else v for v in level if isinstance(v, dict | list)]
        if not within:
            return name
        level = [value for values in within for value in values]
    raise InputError(f"the id is nested more than {MAX_NESTED} deep")


def _what(request: Mapping[str, Any]) -> str:
    what = request.get("do")
    if not isinstance(what, str) or what not in _FIELDS:
        raise InputError(f"do is {_short(what)}: {nearest(str(what), _FIELDS)}")
    for name in request:
        if name not in ("id", "do", *_FIELDS[what]):
            raise InputError(f"{what} has no {_short(name)}: {nearest(name, _FIELDS[what])}")
    return what


def _operator(request: Mapping[str, Any]) -> Operator:
    family, shape = _text(request, "op"), request.get("shape")
    if family not in FAMILIES:
        raise InputError(f"op is {_short(family)}: {nearest(family, FAMILIES)}")
    if not isinstance(shape, Mapping):
        raise InputError(
            'shape is to be an object of the descriptor\'s fields, as in {"m": 4096, "n": 4096, "k": 4096}'
        )
    known = FAMILIES[family].dimension_names()
    for name in shape:
        if name not in known:
            raise InputError(f"shape has {_short(name)}, which {family} has not: {nearest(name, known)}")
    try:
        return FAMILIES[family](dtype=_text(request, "dtype"), **shape)
    except TypeError as error:
        raise InputError(f"the descriptor lacks a field: {error}") from None


def _configs(request: Mapping[str, Any]) -> dict[str, Any]:
    configs = request.get("configs")
    if not isinstance(configs, Mapping | str):
        raise InputError("configs is to be an object of columns, or the path of a .parquet or .csv file")
    columns = named_columns(configs)
    rows = max((len(v) if hasattr(v, "__len__") else 1 for v in columns.values()), default=0)
    if rows > MAX_ROWS:
        raise InputError(f"configs has {rows:,} rows; wanted at most {MAX_ROWS:,}")
    return columns


def _rows(request: Mapping[str, Any]) -> list[int]:
    rows = request["rows"]
    if not isinstance(rows, list) or not rows or any(type(r) is not int or not 0 <= r < MAX_ROWS for r in rows):
        raise InputError("rows is to be a list of rows of the table, whole numbers from 0")
    return rows


def _seconds(request: Mapping[str, Any]) -> list[float]:
    seconds = request.get("seconds")
    if not isinstance(seconds, list) or not all(s is None or is_finite_number(s) for s in seconds):
        raise InputError("seconds is to be a list of numbers, null for what failed")
    return [math.nan if s is None else float(s) for s in seconds]


def _text(request: Mapping[str, Any], name: str) -> str:
    value = request.get(name)
    if not isinstance(value, str) or not value:
        raise InputError(f"{name} is {_short(value)}; wanted a text")
    return value


def _or(request: Mapping[str, Any], name: str, default: str) -> str:
    return default if request.get(name) is None else _text(request, name)


def _watts(request: Mapping[str, Any]) -> float | None:
    value = request.get("power_limit_w")
    if value is None or is_finite_number(value):
        return value
    raise InputError(f"power_limit_w is {_short(value)}; wanted watts")


def _whole(request: Mapping[str, Any], name: str, default: int, most: int) -> int:
    value = default if request.get(name) is None else request[name]
    if type(value) is not int or not 1 <= value <= most:
        raise InputError(f"{name} is {_short(value)}; wanted a whole number from 1 to {most:,}")
    return value


def _short(value: Any) -> str:
    return repr(value) if len(repr(value)) <= 60 else repr(value)[:60] + "…"


def _failed(name: Any, why: str) -> bytes:
    return _line({"id": name, "error": " ".join(why.split())})


def _line(answer: Mapping[str, Any]) -> bytes:
    return json.dumps(_finite(answer), allow_nan=False, separators=(",", ":")).encode() + b"\n"


def _finite(value: Any) -> Any:
    """What is no finite number as null: JSON has no other."""
    if isinstance(value, float):
        return value if math.isfinite(value) else None
    if isinstance(value, Mapping):
        return {k: _finite(v) for k, v in value.items()}
    return [_finite(v) for v in value] if isinstance(value, list) else value
