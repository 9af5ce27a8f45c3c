"""``perfmodel rank --serve``: one answer a request, whatever the request is."""

from __future__ import annotations

import contextlib
import io
import json
import os
import signal
import subprocess
import sys
from typing import Any

import numpy as np
import pytest
from docs_code import ROOT, blocks
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

import perfmodel
from perfmodel.cli import main
from perfmodel.rank import prepare, serving
from perfmodel.rank.serving import Server

PROBLEM = {"op": "gemm", "shape": {"m": 1024, "n": 1024, "k": 1024}, "dtype": "fp32", "device": "rtx-3090"}
CONFIGS = {
    "MWG": [64, 128, 32, 64], "NWG": [64, 64, 32, 32], "MDIMC": [8, 16, 8, 8], "NDIMC": [8, 8, 8, 8], "MDIMA": [8, 16, 8, 8],
    "NDIMB": [8, 8, 8, 8],
}  # fmt: skip
OPEN = {"do": "open", "session": "a", **PROBLEM, "configs": CONFIGS}


def asked(server: Server, **request: Any) -> Any:
    answer = json.loads(server.answer(json.dumps(request).encode()))
    assert answer["id"] == request.get("id")
    assert set(answer) in ({"id", "result"}, {"id", "error"})
    return answer.get("result", answer.get("error"))


def test_a_search_through_the_server_is_a_search_with_a_ranker() -> None:
    server = Server()
    op = perfmodel.Gemm(m=1024, n=1024, k=1024, dtype="fp32")
    ranker = perfmodel.Ranker(op, CONFIGS, "rtx-3090")
    assert asked(server, id=1, **OPEN) == {"configurations": 4, "refused": {}, "space": "clblast_sgemm"}
    for seconds in (2e-3, None, 1e-3):
        [row] = asked(server, id="x", do="suggest", session="a")["rows"]
        assert [row] == ranker.suggest(1).tolist()
        ranker.observe([row], [np.nan if seconds is None else seconds])
        assert asked(server, do="observe", session="a", rows=[row], seconds=[seconds]) == {"observed": ranker.observed}
    assert asked(server, do="rank", session="a", top=3) == ranker.ranking(3).to_dict("rtx-3090")
    one = {name: values[0] for name, values in CONFIGS.items()}
    assert (
        asked(server, do="observe", session="a", configs={n: [v] for n, v in one.items()}, seconds=[3e-3])["observed"]
        == 4
    )
    assert asked(server, do="rank", **PROBLEM, configs=CONFIGS) == perfmodel.rank(op, CONFIGS, "rtx-3090").to_dict(
        "rtx-3090"
    )
    for _ in range(2):  # the second time it is prepared already
        predicted = asked(server, do="predict", **PROBLEM, space="clblast_sgemm", config=one)
        assert predicted == {"latency_s": prepare(op, "rtx-3090", "clblast_sgemm")(one)}
    assert asked(server, do="close", session="a") == {"sessions": 0}


def test_the_session_of_the_page() -> None:
    [shown] = [b for b in blocks(ROOT / "docs" / "serving.md") if b.language == "json"]
    asked_and_answered = shown.text.splitlines()
    server = Server()
    answers = [server.answer(line.encode()).decode().strip() for line in asked_and_answered[::2]]
    assert len(answers) >= 3
    assert answers == asked_and_answered[1::2]


@pytest.mark.parametrize(
    ("request_", "told"),
    [
        ({"do": "rnk"}, "did you mean 'rank'"),
        ({}, "do is None"),
        ({**OPEN, "device": "rtx-309"}, "rtx-3090"),
        ({**OPEN, "op": "gem"}, "gemm"),
        ({**OPEN, "shape": {"m": 4, "q": 1}}, "shape has 'q'"),
        ({**OPEN, "shape": {"m": 4}}, "lacks a field"),
        ({**OPEN, "shape": {"m": "4", "n": 1, "k": 1}}, "whole number"),
        ({**OPEN, "configs": [1]}, "object of columns"),
        ({**OPEN, "configs": {**CONFIGS, "MWG": ["x"] * 4}}, "no number"),
        ({**OPEN, "power_limit_w": "many"}, "wanted watts"),
        ({**OPEN, "objectiv": "edp"}, "did you mean 'objective'"),
        ({"do": "suggest", "session": "b"}, "no session 'b' is open"),
        ({"do": "suggest", "session": "open", "n": 0}, "whole number from 1"),
        ({"do": "observe", "session": "open", "rows": [7], "seconds": [1.0]}, "row 7 is no candidate"),
        ({"do": "observe", "session": "open", "rows": [0], "seconds": [0.0]}, "1e-12 to 1e"),
        (
            {"do": "observe", "session": "open", "rows": [0], "seconds": [1.0, 2.0]},
            "1 configurations were measured but 2",
        ),
        ({"do": "observe", "session": "open", "rows": [0], "seconds": 1.0}, "list of numbers"),
        ({"do": "observe", "session": "open", "seconds": [1.0]}, "rows (numbers of the table), or configs"),
        ({"do": "rank", "session": "open", "dtype": "fp32"}, "as it was opened"),
        ({"do": "predict", **PROBLEM, "config": {}}, "needs its space"),
        ({"do": "predict", **PROBLEM, "space": "clblast_sgemm", "config": {"MWG": 64}}, "it lacks NWG"),
    ],
)
def test_what_is_wrong_with_a_request_is_said_and_the_next_is_served(request_: dict[str, Any], told: str) -> None:
    server = Server()
    asked(server, **{**OPEN, "session": "open"})
    error = asked(server, **request_)
    assert told in error
    assert "\n" not in error
    assert asked(server, do="suggest", session="open") == {"rows": [perfmodel.Ranker(
        perfmodel.Gemm(m=1024, n=1024, k=1024, dtype="fp32"), CONFIGS, "rtx-3090").suggest(1)[0]]}  # fmt: skip


@pytest.mark.parametrize("depth", [100, 400, 600, 900, 990])
@pytest.mark.parametrize("field", ["id", "do", "session", "n"])
def test_nothing_that_is_nested_deeply_ends_it(field: str, depth: int) -> None:
    """An answer repeats the request's id: what can be read may still be too deep to write."""
    nested = "[" * depth + "]" * depth
    request = f'{{"do": "suggest", "session": "a", "{field}": {nested}}}'
    out = io.BytesIO()
    Server().serve(io.BytesIO(request.encode() + b'\n{"id": 2, "do": "close", "session": "a"}\n'), out)
    first, second = (json.loads(line) for line in out.getvalue().splitlines())
    assert first["id"] is None
    assert first["error"]
    assert "\n" not in first["error"]
    assert second == {"id": 2, "error": "no session 'a' is open"}


def test_an_option_that_is_null_is_one_that_was_left_out() -> None:
    server = Server()
    asked(server, **OPEN, objective=None, power_limit_w=None, ranker=None, space=None)
    assert asked(server, do="suggest", session="a", n=None) == asked(server, do="suggest", session="a")
    assert asked(server, do="rank", session="a", top=None) == asked(server, do="rank", session="a")
    left_out = asked(server, do="rank", **PROBLEM, configs=CONFIGS)
    assert asked(server, do="rank", **PROBLEM, configs=CONFIGS, session=None, top=None) == left_out
    assert asked(server, do="observe", session="a", rows=[0], configs=None, seconds=[1e-3]) == {"observed": 1}


JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=8),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=8), inner, max_size=3), max_leaves=6,
)  # fmt: skip
NAMES = ("rank", "open", "observe", "suggest", "predict", "close")
FIELDS = sorted({name for names in serving._FIELDS.values() for name in names})
REQUESTS = st.builds(
    lambda do, changed, removed: {
        **{k: v for k, v in {**OPEN, "rows": [0], "seconds": [1.0], "n": 1, "space": "clblast_sgemm"}.items()
           if k in serving._FIELDS[do] and k not in removed}, **changed, "do": do,
    },
    st.sampled_from(NAMES), st.dictionaries(st.sampled_from(FIELDS), JSON, max_size=2),
    st.sets(st.sampled_from(FIELDS), max_size=2),
)  # fmt: skip


@settings(max_examples=100, deadline=None, suppress_health_check=[HealthCheck.too_slow])
@given(
    st.lists(
        st.binary(max_size=40).map(lambda b: b.replace(b"\n", b" ")) | REQUESTS.map(lambda r: json.dumps(r).encode()),
        max_size=5,
    )
)
def test_every_line_has_one_answer(lines: list[bytes]) -> None:
    out = io.BytesIO()
    Server().serve(io.BytesIO(b"\n".join(lines)), out)
    answers = [json.loads(line) for line in out.getvalue().splitlines()]
    assert len(answers) == sum(1 for line in lines if line.strip())
    for answer in answers:
        assert "internal error" not in answer.get("error", "")


def test_a_line_that_is_too_long_is_passed_over(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(serving, "MAX_LINE_BYTES", 100)
    out = io.BytesIO()
    Server().serve(io.BytesIO(b"[" * 1000 + b"\n" + b'{"do": "close", "session": "a"}\n' + b"[" * 70000), out)
    errors = [json.loads(line)["error"] for line in out.getvalue().splitlines()]
    assert [e.startswith("a line of more than") for e in errors] == [True, False, True]


def test_what_a_client_makes_the_server_hold_is_bounded(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(serving, "MAX_SESSIONS", 1)
    monkeypatch.setattr(serving, "MAX_ROWS", 4)
    monkeypatch.setattr(serving, "MAX_OBSERVED", 1)
    server = Server()
    assert "wanted at most 4" in asked(server, **{**OPEN, "configs": {n: v * 2 for n, v in CONFIGS.items()}})
    asked(server, **OPEN)
    assert "is open already" in asked(server, **OPEN)
    assert "close one first" in asked(server, **{**OPEN, "session": "b"})
    assert "takes 1 measurements" in asked(server, do="observe", session="a", rows=[0, 1], seconds=[1.0, 1.0])
    deep = b"[" * 100_000
    assert "no JSON" in json.loads(server.answer(deep))["error"]
    assert "NaN is no JSON" in json.loads(server.answer(b'{"do": NaN}'))["error"]


def _started(**pipes: Any) -> subprocess.Popen[bytes]:
    # A shell ignores interrupts for what it starts in the background, and a child would ignore them, too.
    before = signal.signal(signal.SIGINT, signal.default_int_handler)
    try:
        return subprocess.Popen([sys.executable, "-m", "perfmodel", "rank", "--serve"], stdin=subprocess.PIPE, **pipes)
    finally:
        signal.signal(signal.SIGINT, before)


def _interrupt(process: subprocess.Popen[bytes]) -> None:
    """Ctrl-C until it ends: one that comes just before Python begins to wait for input is noticed with the next."""
    for _ in range(10):
        process.send_signal(signal.SIGINT)
        with contextlib.suppress(subprocess.TimeoutExpired):
            process.wait(10)
            return
    raise AssertionError("ten interrupts did not end it")


def test_it_ends_with_its_input_an_interrupt_or_its_reader() -> None:
    line = b'{"do": "suggest", "session": "a"}\n'
    with _started(stdout=subprocess.PIPE, stderr=subprocess.PIPE) as process:
        out, errors = process.communicate(line)
    assert (process.returncode, errors) == (0, b"")
    assert json.loads(out)["error"] == "no session 'a' is open"

    with _started(stdout=subprocess.PIPE, stderr=subprocess.PIPE) as process:
        assert process.stdin is not None
        assert process.stdout is not None
        assert process.stderr is not None
        process.stdin.write(line)
        process.stdin.flush()
        process.stdout.readline()  # it serves
        _interrupt(process)
        assert (process.returncode, process.stderr.read()) == (130, b"")

    reader, writer = os.pipe()
    with _started(stdout=writer, stderr=subprocess.PIPE) as process:
        os.close(writer)
        os.close(reader)
        _, errors = process.communicate(line * 3)
    assert (process.returncode, errors) == (141, b"")


def test_options_beside_serve_are_refused(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["rank", "--serve", "--dtype", "fp32"]) == 2
    assert "--serve takes no dtype" in capsys.readouterr().err
    assert main(["rank", "configs.csv", "--op", "gemm"]) == 2
    assert "wanted --shape, --dtype, --device (or --serve)" in capsys.readouterr().err
