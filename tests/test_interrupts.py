"""Ctrl-C, SIGTERM and a closed terminal: one line on standard error, results kept, nothing half written, for every command."""

from __future__ import annotations

import io
import os
import select
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from importlib import import_module
from pathlib import Path
from typing import Any

import pytest
from meter_doubles import Clock, Simulated, constant

from perfmodel.cli import main
from perfmodel.cli.interrupts import SIGNALS, Stopped, exit_code, heard, tell
from perfmodel.cli.progress import Progress
from perfmodel.collect.meters import MeterInfo

ROOT = Path(__file__).parent.parent
MLP = str(ROOT / "examples" / "mlp.mlir")
PREDICT = ["predict", MLP, "--device", "h100-sxm", "--predictor", "analytical"]
pytestmark = pytest.mark.skipif(sys.platform == "win32", reason="signals of POSIX")


def at_call(monkeypatch: pytest.MonkeyPatch, module: str, name: str, number: int, what: Callable[[], Any]) -> None:
    """Does something in the place of the n-th call of a function."""
    of = import_module(module)
    true, calls = getattr(of, name), []

    def called(*arguments: Any, **named: Any) -> Any:
        calls.append(1)
        if len(calls) == number:
            what()
        return true(*arguments, **named)

    monkeypatch.setattr(of, name, called)


# ------------------------------------------------------------------------------------------------------------ one line
@pytest.mark.parametrize(
    ("name", "code", "by"), [("SIGINT", 130, ""), ("SIGTERM", 143, " (SIGTERM)"), ("SIGHUP", 129, " (SIGHUP)")]
)
def test_each_signal_ends_a_command_with_one_line_and_its_code(
    name: str, code: int, by: str, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str], tmp_path: Path
) -> None:
    number = getattr(signal, name)
    before = [signal.getsignal(s) for s in SIGNALS]
    # While the file is being written, under its temporary name.
    at_call(monkeypatch, "os", "fsync", 1, lambda: signal.raise_signal(number))
    previous = signal.signal(signal.SIGINT, signal.default_int_handler)
    try:
        assert main([*PREDICT, "--json", str(tmp_path / "out.json")]) == code
    finally:
        signal.signal(signal.SIGINT, previous)
    assert capsys.readouterr() == ("", f"perfmodel predict: interrupted{by}; nothing was written\n")
    assert list(tmp_path.iterdir()) == []
    assert [signal.getsignal(s) for s in SIGNALS] == before


def test_what_had_been_written_is_named(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str], tmp_path: Path
) -> None:
    first, second = tmp_path / "trace.json", tmp_path / "out.json"

    def interrupt() -> None:
        raise KeyboardInterrupt

    at_call(monkeypatch, "os", "fsync", 2, interrupt)
    assert main([*PREDICT, "--trace", str(first), "--json", str(second)]) == 130
    assert capsys.readouterr().err == f"perfmodel predict: interrupted; {first} had been written\n"
    assert list(tmp_path.iterdir()) == [first]
    at_call(monkeypatch, "os", "fsync", 1, interrupt)
    assert main([*PREDICT, "--json", str(second)]) == 130
    assert capsys.readouterr().err == "perfmodel predict: interrupted; nothing was written\n"  # not the files of before


def test_a_command_says_itself_what_it_keeps(capsys: pytest.CaptureFixture[str]) -> None:
    stop = KeyboardInterrupt()
    stop.add_note("what was measured is in a\x1b[31m.parquet")
    tell("perfmodel collect", stop)
    assert capsys.readouterr().err == "perfmodel collect: interrupted; what was measured is in a [31m.parquet\n"


def test_a_collection_says_where_its_rows_are_once_it_has_some(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str], tmp_path: Path
) -> None:
    pytest.importorskip("pandas", reason="collecting needs the extra collect")

    def interrupted(wanted: Any, report: Any) -> None:
        raise Stopped(signal.SIGTERM)

    monkeypatch.setattr("perfmodel.collecting.session.collect", interrupted)
    table = tmp_path / "t.parquet"
    command = ["collect", "--device", "local-cpu", "-o", str(table)]
    assert main(command) == 143
    assert capsys.readouterr().err == "perfmodel collect: interrupted (SIGTERM); nothing was written\n"
    table.write_bytes(b"rows of somebody's, which --force would have replaced")
    assert main([*command, "--force"]) == 143
    assert capsys.readouterr().err == "perfmodel collect: interrupted (SIGTERM); nothing was written\n"
    (tmp_path / "t.parquet.pieces").mkdir()
    (tmp_path / "t.parquet.pieces" / "sweep-00000.parquet").write_bytes(b"rows")
    assert main(command) == 143
    assert capsys.readouterr().err == (
        f"perfmodel collect: interrupted (SIGTERM); what was measured is in {table}, the same command goes on\n"
    )


def test_a_download_that_is_stopped_says_that_whole_files_stay(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    def interrupted(card: Any, report: Any) -> None:
        raise KeyboardInterrupt

    monkeypatch.setattr("perfmodel.datasets.fetch.get", interrupted)
    assert main(["datasets", "get", "zeus"]) == 130
    assert capsys.readouterr().err == (
        "perfmodel datasets: interrupted; files that had come whole are kept, the same command goes on\n"
    )


def test_signals_that_are_ignored_stay_so(monkeypatch: pytest.MonkeyPatch) -> None:
    """``nohup`` has SIGHUP ignored: the terminal that closes ends nothing."""
    before = signal.signal(signal.SIGHUP, signal.SIG_IGN)
    try:
        with heard():
            assert signal.getsignal(signal.SIGHUP) == signal.SIG_IGN
            assert signal.getsignal(signal.SIGTERM) not in (signal.SIG_DFL, signal.SIG_IGN)
            signal.raise_signal(signal.SIGHUP)
        assert signal.getsignal(signal.SIGHUP) == signal.SIG_IGN
    finally:
        signal.signal(signal.SIGHUP, before)


def test_what_keeps_the_results_is_not_stopped_again() -> None:
    kept = []
    with heard():
        try:
            signal.raise_signal(signal.SIGHUP)
        except KeyboardInterrupt as stop:
            signal.raise_signal(signal.SIGTERM)  # a shell that ends sends it, too
            kept.append(exit_code(stop))
    assert kept == [129]
    assert signal.getsignal(signal.SIGTERM) == signal.SIG_DFL


def test_a_terminal_that_is_gone_ends_no_work(monkeypatch: pytest.MonkeyPatch) -> None:
    class Gone(io.StringIO):
        def isatty(self) -> bool:
            return True

        def write(self, text: str) -> int:
            raise OSError(5, "Input/output error")

    monkeypatch.setattr("sys.stderr", Gone())
    monkeypatch.setenv("TERM", "xterm")
    now = iter(range(100))
    with Progress("perfmodel x", ticks=False, clock=lambda: float(next(now) * 10)) as progress:
        progress("1/3 pieces")
        progress.note("a piece is safe")
    tell("perfmodel x", Stopped(signal.SIGHUP))


def test_a_terminal_that_cannot_rewrite_is_told_as_a_log_is(monkeypatch: pytest.MonkeyPatch) -> None:
    class Dumb(io.StringIO):
        def isatty(self) -> bool:
            return True

    screen = Dumb()
    monkeypatch.setattr("sys.stderr", screen)
    monkeypatch.setenv("TERM", "dumb")
    clock = Clock()
    with Progress("perfmodel x", clock=clock) as progress:
        for done in range(4):
            progress(f"{done}/4 pieces")
            clock.now += 40
    assert screen.getvalue().startswith("perfmodel x: 2/4 pieces (80 s, ")  # a minute or more after the beginning
    assert screen.getvalue().count("\n") == 1
    assert "\x1b" not in screen.getvalue()


def test_readings_of_a_meter_until_the_interrupt_are_kept(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str], tmp_path: Path
) -> None:
    clock = Clock()
    info = MeterInfo("plug", "0", "a plug", power="instant", interval_s=0.1, sampling="between")
    monkeypatch.setattr("perfmodel.collect.meters.open_meter", lambda name: Simulated(info, constant(200.0), clock))

    def sleep(seconds: float) -> None:
        clock.now += seconds
        if clock.now > 120:  # twenty seconds after its beginning
            raise KeyboardInterrupt

    monkeypatch.setattr("time.sleep", sleep)
    path = tmp_path / "readings.jsonl"
    assert main(["meters", "--meter", "double", "--seconds", "3600", "-o", str(path)]) == 130
    assert capsys.readouterr().err == (f"perfmodel meters: interrupted; the readings until now are in {path}\n")
    assert len(path.read_text().splitlines()) > 10
    monkeypatch.undo()
    assert main(["meters", "--meter", f"replay:{path}"]) == 0


# ---------------------------------------------------------------------------------------------------- real processes
INTERRUPTED_IN = """
import os, signal, sys

class Finder:
    def find_spec(self, name, path=None, target=None):
        if name == {name!r}:
            os.kill(os.getpid(), signal.SIGINT)

sys.meta_path.insert(0, Finder())
from perfmodel.__main__ import main
sys.exit(main())
"""


def started(command: list[str], **pipes: Any) -> subprocess.Popen[bytes]:
    # A shell ignores interrupts for what it starts in the background, and a child would ignore them, too.
    before = signal.signal(signal.SIGINT, signal.default_int_handler)
    try:
        return subprocess.Popen([sys.executable, *command], cwd=ROOT, **pipes)
    finally:
        signal.signal(signal.SIGINT, before)


@pytest.mark.parametrize(
    ("name", "who"),
    [
        ("perfmodel.cli", ""), ("argparse", ""), ("perfmodel.cli.predict", " predict"), ("numpy", " predict"),
        ("perfmodel.predict", " predict"), ("rich.console", " predict"),
    ],
)  # fmt: skip
def test_an_interrupt_while_it_is_imported_is_one_line_too(name: str, who: str) -> None:
    command = ["-c", INTERRUPTED_IN.format(name=name), *PREDICT]
    with started(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE) as process:
        out, errors = process.communicate()
    assert (out, errors.decode()) == (b"", f"perfmodel{who}: interrupted; nothing was written\n")
    assert process.returncode == 130


def test_an_interrupt_of_code_that_is_run_from_text_has_the_same_exit_code(tmp_path: Path) -> None:
    """Modules make code at import; CPython would end ``python -m`` by the signal where the interrupt fell into that."""
    (tmp_path / "stopped.py").write_text(
        "import sys\n"
        "from perfmodel import __main__, cli\n"
        "def stopped():\n"
        "    try:\n"
        "        exec('raise KeyboardInterrupt')\n"
        "    except KeyboardInterrupt:\n"
        "        return 130\n"
        "cli.main = stopped\n"
        "sys.exit(__main__.main())\n"
    )
    environment = {**os.environ, "PYTHONPATH": str(ROOT)}
    done = subprocess.run([sys.executable, "-m", "stopped"], cwd=tmp_path, env=environment, check=False)
    assert done.returncode == 130


def test_the_command_on_the_path_is_the_entry_that_does_so() -> None:
    text = (ROOT / "pyproject.toml").read_text(encoding="utf-8")
    assert '\nperfmodel = "perfmodel.__main__:main"\n' in text


@pytest.mark.parametrize("name", ["SIGTERM", "SIGHUP"])
def test_a_server_that_is_stopped_says_nothing(name: str) -> None:
    command = ["-m", "perfmodel", "rank", "--serve"]
    with started(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=subprocess.PIPE) as process:
        assert process.stdin is not None
        assert process.stdout is not None
        assert process.stderr is not None
        process.stdin.write(b'{"do": "suggest", "session": "a"}\n')
        process.stdin.flush()
        process.stdout.readline()  # it serves
        process.send_signal(getattr(signal, name))
        assert (process.wait(20), process.stderr.read()) == (128 + getattr(signal, name), b"")


def test_ctrl_c_on_a_terminal_while_a_child_measures(tmp_path: Path) -> None:
    """Both processes get it; one says so, in place of the line of progress, and nothing is left."""
    pytest.importorskip("onnxruntime", reason="measuring needs the extra collect")
    pty = pytest.importorskip("pty", reason="no terminals here")
    pid, terminal = pty.fork()
    if pid == 0:
        signal.signal(signal.SIGINT, signal.SIG_DFL)
        os.chdir(ROOT)
        os.environ.update(TERM="xterm", COLUMNS="120")
        arguments = ["calibrate", "--device", "local-cpu", "--seconds", "60", "-o", str(tmp_path / "my.toml")]
        os.execv(sys.executable, [sys.executable, "-m", "perfmodel", *arguments])
    said, sent, until = b"", False, time.monotonic() + 120
    while time.monotonic() < until:
        if not select.select([terminal], [], [], 1)[0]:
            continue
        try:
            piece = os.read(terminal, 65536)
        except OSError:  # Linux, when the other side is closed
            break
        if not piece:
            break
        said += piece
        if b" left, until " in said and not sent:
            sent = True
            os.write(terminal, b"\x03")
    _, status = os.waitpid(pid, 0)
    os.close(terminal)
    assert sent, said
    assert os.waitstatus_to_exitcode(status) == 130
    assert said.endswith(b"\rperfmodel calibrate: interrupted; nothing was written\r\n")
    assert said.count(b"interrupted") == 1
    assert b"Traceback" not in said
    assert list(tmp_path.iterdir()) == []
