"""Operators by PyTorch: measuring, recordings, sweeps, the command. A double of the small layer over PyTorch runs them, with
synthesised times and readings; what PyTorch itself does is tested where it is installed."""

from __future__ import annotations

import dataclasses
import json
import math
import os
import random
import signal
import subprocess
import sys
import textwrap
import time
from collections.abc import Callable
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
from meter_doubles import Clock, FakeNvml, constant

from perfmodel import Gemm, Softmax, cli
from perfmodel.collect.collectors import Collector, collector
from perfmodel.collect.meters.nvml import NvmlDriver, NvmlMeter
from perfmodel.collect.pytorch import operators as torch_operators
from perfmodel.collect.pytorch.collector import PyTorch, read_shapes
from perfmodel.collect.pytorch.measuring import Settings, measure_operator
from perfmodel.collect.pytorch.recording import OPERATORS, Recording
from perfmodel.collect.pytorch.runtime import Loop, TorchRuntime, UnsupportedError
from perfmodel.collect.pytorch.sweep import DTYPES, FAMILIES, sweep
from perfmodel.errors import InputError, PerfmodelError, TraceError
from perfmodel.operator_sweep import Wanted, collect_operators, operator_table
from perfmodel.ops import FAMILIES as DESCRIPTORS
from perfmodel.ops.base import Operator

pandas = pytest.importorskip("pandas", reason="traces need the extra train")

PRODUCT = Gemm(m=128, n=256, k=64, dtype="bf16")
ROWS = Softmax(rows=8, cols=512, dtype="fp16")
QUICK = Settings(seconds=0.01, samples=4, warm_up=2)


class Double:
    """Every execution takes as long as ``cost`` says, on a clock that stands still otherwise."""

    software, device_name, threads = "torch-9.9", "Synthesised GPU", None

    def __init__(self, clock: Clock, cost: Callable[[Operator], float] = lambda op: 1e-4) -> None:
        self.clock, self.cost = clock, cost
        self.prepared: list[Operator] = []
        self.ran = self.driven_out = self.released = 0
        self.jitter = [1.0]
        self.without_pauses, self.busy = 1.0, True

    def prepare(self, op: Operator, seed: int) -> Callable[[], None]:
        self.prepared.append(op)
        if op.dtype == "fp8":
            raise UnsupportedError("no such kernel")
        if op.dtype == "fp64":
            raise MemoryError("much too large")
        seconds = self.cost(op)

        def work() -> None:
            self.ran += 1
            self.clock.now += seconds

        return work

    def seconds(self, work: Callable[[], None], executions: int, *, cold: bool) -> float:
        begin = self.clock.now
        for _ in range(executions):
            self.driven_out += cold
            work()
        self.jitter.append(self.jitter.pop(0))
        return (self.clock.now - begin) / executions * self.jitter[0]

    def repeat(self, work: Callable[[], None], executions: int) -> None:
        for _ in range(executions):
            work()

    def loop(self, work: Callable[[], None], executions: int) -> Loop:
        def run() -> None:
            begin = self.clock.now
            self.repeat(work, executions)
            self.clock.now = begin + (self.clock.now - begin) * self.without_pauses

        return Loop(run, executions, self.busy)

    def release(self) -> None:
        self.released += 1


def meter_of(clock: Clock, watts: float = 300.0, origin: str = "hardware", **settings: Any) -> NvmlMeter:
    meter = NvmlDriver(FakeNvml(clock, constant(watts), **settings), clock).open()
    meter.info = dataclasses.replace(meter.info, sampling="between", origin=origin)
    return meter


# ------------------------------------------------------------------------------------------------ one operator
def test_an_operator_is_warmed_up_and_timed_in_groups() -> None:
    clock = Clock()
    runtime = Double(clock)
    found = measure_operator(runtime, PRODUCT, QUICK, clock=clock)
    assert found.status == "ok"
    assert found.row["latency_s"] == pytest.approx(1e-4)
    # Groups of ten take a millisecond; ten of them are 0.01 s. 2 warm it up, 3 tell how long it takes.
    assert found.row["samples"] in (10, 11)
    assert runtime.ran == 2 + 3 + 10 * found.row["samples"]
    assert runtime.driven_out == 0


def test_cold_executions_are_timed_one_by_one() -> None:
    clock = Clock()
    runtime = Double(clock)
    found = measure_operator(runtime, PRODUCT, dataclasses.replace(QUICK, cold=True), clock=clock)
    assert runtime.driven_out == 3 + found.row["samples"]


def test_long_operators_have_as_many_samples_as_are_asked_for() -> None:
    clock = Clock()
    assert len(measure_operator(Double(clock, lambda op: 0.5), PRODUCT, QUICK, clock=clock).seconds) == 4


def test_the_median_is_the_time_and_scatter_is_no_measurement() -> None:
    clock = Clock()
    runtime = Double(clock)
    runtime.jitter = [1.0, 1.0, 1.1]
    found = measure_operator(runtime, PRODUCT, dataclasses.replace(QUICK, seconds=0.003, samples=6), clock=clock)
    assert found.row["latency_s"] == pytest.approx(1e-4)
    runtime.jitter = [1.0, 3.0]
    found = measure_operator(runtime, PRODUCT, dataclasses.replace(QUICK, seconds=0.003, samples=6), clock=clock)
    # Three of 1 and three of 3: quartiles of 1 and 3 around 2.
    assert found.status == "the time scatters by 100%"
    assert found.row["latency_s"] is None
    # One sample in six that another program held up is no reason to drop the others.
    runtime.jitter = [1.0, 1.0, 1.0, 1.0, 1.0, 9.0]
    found = measure_operator(runtime, PRODUCT, dataclasses.replace(QUICK, seconds=0.003, samples=6), clock=clock)
    assert (found.status, found.row["latency_s"]) == ("ok", pytest.approx(1e-4))


@pytest.mark.parametrize(
    ("dtype", "status", "released"), [("fp8", "not supported: no such kernel", 0), ("fp64", "out of memory", 1)]
)
def test_what_cannot_run_says_why(dtype: str, status: str, released: int) -> None:
    runtime = Double(Clock())
    found = measure_operator(runtime, PRODUCT.replace(dtype=dtype), QUICK)
    assert (found.status, found.row["latency_s"], runtime.released) == (status, None, released)


def test_clocks_are_read_with_every_operator() -> None:
    clock = Clock()
    row = measure_operator(Double(clock), PRODUCT, QUICK, meter=meter_of(clock, reasons=0x4), clock=clock).row
    assert (row["clock_mhz"], row["mem_clock_mhz"], row["power_limit_w"], row["temperature_c"]) == (1755, 2619, 700, 61)
    assert row["note"] == "clock lowered: power cap"
    assert "power_w" not in row


def test_power_settles_before_it_is_measured() -> None:
    clock = Clock()
    begin = clock.now
    settings = dataclasses.replace(QUICK, power=True)
    row = measure_operator(Double(clock), PRODUCT, settings, meter=meter_of(clock), clock=clock).row
    assert row["power_w"] == pytest.approx(300.0, rel=0.01)
    # 300 W for 0.1 ms.
    assert row["energy_j"] == pytest.approx(0.03, rel=0.02)
    assert clock.now - begin > 5  # two seconds to settle, three of the window
    assert row["note"] is None


def test_power_and_time_of_a_row_are_of_the_same_executions() -> None:
    """Samples with pauses run at a higher clock than work without an end: 0.1 ms and 0.12 ms here."""
    clock = Clock()
    runtime = Double(clock)
    runtime.without_pauses = 1.2
    settings = dataclasses.replace(QUICK, power=True)
    row = measure_operator(runtime, PRODUCT, settings, meter=meter_of(clock, reasons=0x4), clock=clock).row
    assert row["latency_s"] == pytest.approx(1.2e-4)
    assert row["energy_j"] == pytest.approx(row["power_w"] * row["latency_s"], rel=1e-3)
    assert row["samples"] > 50
    assert row["note"] == "clock lowered: power cap (0.0001 s with pauses)"


def test_power_of_a_device_that_waits_for_its_host_is_none_of_the_operator() -> None:
    clock = Clock()
    runtime = Double(clock)
    runtime.without_pauses, runtime.busy = 4.0, False
    settings = dataclasses.replace(QUICK, power=True)
    row = measure_operator(runtime, PRODUCT, settings, meter=meter_of(clock), clock=clock).row
    assert (row["status"], row["power_w"], row["energy_j"]) == ("ok", None, None)
    assert row["latency_s"] == pytest.approx(1e-4)
    assert "the device waited for the host, which took 4.0 times as long" in row["note"]
    # A host that is quick enough is as good as a graph.
    runtime.without_pauses = 1.02
    row = measure_operator(runtime, PRODUCT, settings, meter=meter_of(clock), clock=clock).row
    assert (row["power_w"], row["note"]) == (pytest.approx(300.0, rel=0.01), None)


@pytest.mark.parametrize(("threads", "launch"), [(None, "graph"), (4, "eager")])
def test_times_of_a_gpu_are_without_launches(tmp_path: Path, threads: int | None, launch: str) -> None:
    """Rows of products that were timed with their launch bear the call's cost when they are judged, or taught with."""
    runtime = Double(Clock())
    runtime.threads = threads  # type: ignore[assignment]
    PyTorch(settings=QUICK, runtime=runtime).measure([PRODUCT], tmp_path / "run")
    assert operator_table(tmp_path / "run", "h100-sxm")["launch"].tolist() == [launch]


@pytest.mark.parametrize(
    ("origin", "settle_s", "note"),
    [("synthesised", None, "not a sensor's"), ("hardware", 0.1, "earlier load shows in the readings")],
)
def test_what_is_no_measurement_has_no_power(origin: str, settle_s: float | None, note: str) -> None:
    clock = Clock()
    settings = dataclasses.replace(QUICK, power=True, settle_s=settle_s)
    row = measure_operator(Double(clock), PRODUCT, settings, meter=meter_of(clock, origin=origin), clock=clock).row
    assert row["power_w"] is None
    assert row["energy_j"] is None
    assert row["latency_s"] == pytest.approx(1e-4)
    assert note in row["note"]


@pytest.mark.parametrize("wrong", [{"seconds": 0}, {"samples": 1}, {"warm_up": -1}, {"cold": True, "power": True}])
def test_settings_that_are_none(wrong: dict[str, Any]) -> None:
    with pytest.raises(InputError):
        Settings(**wrong)


# ------------------------------------------------------------------------------------------------ sweeps
def test_a_sweep_is_the_same_for_its_seed_and_begins_like_a_longer_one() -> None:
    assert sweep(40, seed=3) == sweep(80, seed=3)[:40]
    assert sweep(40, seed=3) != sweep(40, seed=4)


@pytest.mark.parametrize("seed", range(3))
def test_a_sweep_has_every_family_and_keeps_to_its_limits(seed: int) -> None:
    found = sweep(400, seed=seed, most_flops=1e12, most_bytes=1e9)
    assert len(set(found)) == 400
    assert {op.op for op in found} == set(FAMILIES)
    assert {op.dtype for op in found if op.op == "gemm"} == set(DTYPES)
    for op in found:
        assert 0 < float(op.bytes) <= 1e9
        assert float(op.flops) <= 1e12
    narrow = [op for op in found if op.dtype in ("fp8", "int8")]
    assert all(op.batch == 1 and op.m > 16 and op.n % 16 == op.k % 16 == 0 for op in narrow)


@pytest.mark.parametrize(
    ("wrong", "message"),
    [
        ({"families": ["gem"]}, "no family of a sweep is called 'gem'"),
        ({"dtypes": ["bf17"]}, "no format of a sweep is called 'bf17'"),
        ({"families": []}, "wanted at least one"),
        ({"most_bytes": 1.0}, "hardly an operator"),
    ],
)
def test_sweeps_that_are_none(wrong: dict[str, Any], message: str) -> None:
    with pytest.raises(InputError, match=message):
        sweep(4, **wrong)


# ------------------------------------------------------------------------------------------------ recordings
def test_it_is_a_collector_with_a_replay(tmp_path: Path) -> None:
    clock = Clock()
    shapes = tmp_path / "shapes.csv"
    shapes.write_text("op,m,n,k,dtype,predicted\ngemm,128,256,64,bf16,9\ngemm,8,8,16,fp8,9\nsoftmax,,,,fp16,1\n")
    with pytest.raises(TraceError, match="row 2 lacks rows, cols"):
        read_shapes(shapes)
    shapes.write_text("op,m,n,k,dtype,rows,cols\ngemm,128,256,64,bf16,,\ngemm,8,8,16,fp8,,\nsoftmax,,,,fp16,8,512\n")
    mine = PyTorch(settings=QUICK, runtime=Double(clock, lambda op: 1e-4 if op == PRODUCT else 2e-4))
    assert isinstance(mine, Collector)
    profile = mine.collect(shapes, tmp_path / "run", dims={})
    assert [(k.op_type, k.latency_s) for k in profile.kernels] == [
        ("gemm", pytest.approx(1e-4)),
        ("softmax", pytest.approx(2e-4)),
    ]
    assert profile.software == "torch-9.9"
    assert collector("pytorch").replay(tmp_path / "run") == profile


def test_rows_keep_to_the_schema_and_say_why_they_have_no_time(tmp_path: Path) -> None:
    clock = Clock()
    mine = PyTorch(settings=QUICK, runtime=Double(clock), meter=meter_of(clock))
    mine.measure([PRODUCT, ROWS, PRODUCT.replace(dtype="fp8")], tmp_path / "run")
    table = operator_table(tmp_path / "run", "h100-sxm")
    assert table["status"].tolist() == ["ok", "ok", "not supported: no such kernel"]
    assert table["latency_s"].notna().tolist() == [True, True, False]
    assert set(table["device"]) == {"h100-sxm"}
    assert set(table["software"]) == {"torch-9.9"}
    assert set(table["cache"]) == {"warm"}
    assert table["clock_mhz"].tolist()[:2] == [1755, 1755]


def test_it_goes_on_where_it_stopped(tmp_path: Path) -> None:
    wanted = sweep(12, families=["softmax", "norm"])
    first, second = Double(Clock()), Double(Clock())
    left = iter([False] * 5 + [True])
    PyTorch(settings=QUICK, runtime=first).measure(wanted, tmp_path / "run", until=lambda: next(left))
    assert first.prepared == wanted[:5]
    with (tmp_path / "run" / OPERATORS).open("a") as file:
        file.write('{"op": {"op": "softm')  # the process died within a line
    recording = PyTorch(settings=QUICK, runtime=second).measure(wanted, tmp_path / "run")
    assert second.prepared == wanted[5:]
    assert [m.op for m in recording.done] == wanted == [m.op for m in Recording(tmp_path / "run").done]


@pytest.mark.parametrize("cut", range(0, 100, 7))
def test_a_recording_that_was_cut_off_anywhere_is_readable(tmp_path: Path, cut: int) -> None:
    runtime = Double(Clock())
    wanted = sweep(6, families=["softmax"])
    PyTorch(settings=QUICK, runtime=runtime).measure(wanted, tmp_path / "run")
    path = tmp_path / "run" / OPERATORS
    data = path.read_bytes()
    path.write_bytes(data[: len(data) * cut // 100])
    kept = Recording(tmp_path / "run").done
    assert [m.op for m in kept] == wanted[: len(kept)]
    again = PyTorch(settings=QUICK, runtime=Double(Clock())).measure(wanted, tmp_path / "run")
    assert len(again) == 6
    assert len(Recording(tmp_path / "run")) == 6


def test_damaged_lines_are_measured_again(tmp_path: Path) -> None:
    PyTorch(settings=QUICK, runtime=Double(Clock())).measure([PRODUCT, ROWS], tmp_path / "run")
    path = tmp_path / "run" / OPERATORS
    lines = path.read_text().splitlines()
    chance = random.Random(1)
    for bad in (
        "[]",
        "null",
        '{"op": 3}',
        lines[0].replace("gemm", "gem"),
        lines[0].replace('"seconds": [', '"seconds": [-'),
    ):
        path.write_text(f"{bad}\n{lines[1]}\n")
        assert [m.op for m in Recording(tmp_path / "run").done] == [ROWS], bad
    for _ in range(50):
        at = chance.randrange(len(lines[0]))
        path.write_text(lines[0][:at] + chance.choice('0[]{}"x,') + lines[0][at + 1 :] + "\n")
        assert len(Recording(tmp_path / "run")) <= 1


def test_a_folder_of_something_else_is_refused(tmp_path: Path) -> None:
    PyTorch(settings=QUICK, runtime=Double(Clock())).measure([ROWS], tmp_path / "run")
    with pytest.raises(InputError, match="begun with seed 0, and this is 1"):
        PyTorch(settings=QUICK, runtime=Double(Clock())).measure([ROWS], tmp_path / "run", seed=1)
    cold = dataclasses.replace(QUICK, cold=True)
    with pytest.raises(InputError, match="begun with cache 'warm', and this is 'cold'"):
        PyTorch(settings=cold, runtime=Double(Clock())).measure([ROWS], tmp_path / "run")
    with pytest.raises(TraceError, match=r"there is no run\.json"):
        Recording(tmp_path)
    (tmp_path / "run" / "run.json").write_text("[]")
    with pytest.raises(TraceError, match="no recording of version 1"):
        Recording(tmp_path / "run")


def test_power_needs_a_meter() -> None:
    with pytest.raises(InputError, match="power needs a meter"):
        PyTorch(settings=Settings(power=True), runtime=Double(Clock()))


KILLED = """
import sys, time
sys.path[:0] = {path!r}
from test_collect_pytorch import Double, QUICK, Clock
from perfmodel.collect.pytorch.collector import PyTorch
from perfmodel.collect.pytorch.sweep import sweep

class Slow(Double):
    def prepare(self, op, seed):
        time.sleep(0.002)
        return super().prepare(op, seed)

def told(recording, op, status):
    print(len(recording), flush=True)

PyTorch(settings=QUICK, runtime=Slow(Clock())).measure(sweep(100000, families=["softmax", "norm"]), sys.argv[1], report=told)
"""


def test_a_process_that_is_killed_loses_nothing_it_reported(tmp_path: Path) -> None:
    script = textwrap.dedent(KILLED).format(path=[str(Path(__file__).parent), *sys.path])
    process = subprocess.Popen([sys.executable, "-c", script, str(tmp_path / "run")], stdout=subprocess.PIPE, text=True)
    assert process.stdout is not None
    assert process.stdout.readline() == "1\n"
    time.sleep(0.2)
    os.kill(process.pid, signal.SIGKILL)
    reported = process.stdout.read().split()
    process.wait()
    assert len(Recording(tmp_path / "run")) >= int(([*reported] or ["1"])[-1])


# ------------------------------------------------------------------------------------------------ tables and the command
def test_it_stops_when_the_time_is_up(tmp_path: Path) -> None:
    clock = Clock()
    said: list[str] = []
    wanted = Wanted("h100-sxm", tmp_path / "run", minutes=0.001, families=["softmax"])
    table = collect_operators(wanted, PyTorch(settings=QUICK, runtime=Double(clock)), said.append, clock)
    # Each takes 0.2 s of the double's clock in samples alone where the settings ask for 0.01 s.
    assert 1 <= len(table) == len(said) < 60
    assert said[0].startswith("1 operators, ")
    for wrong in ({"minutes": 0.0}, {"minutes": math.inf}, {"operators": 0}):
        with pytest.raises(InputError):
            collect_operators(
                dataclasses.replace(wanted, **wrong), PyTorch(settings=QUICK, runtime=Double(clock)), clock=clock
            )


@pytest.fixture
def doubled(monkeypatch: pytest.MonkeyPatch) -> Double:
    """The command runs on a double."""
    runtime = Double(Clock())
    monkeypatch.setattr(PyTorch, "runtime", lambda self: runtime)
    monkeypatch.setattr("perfmodel.collect.pytorch.measuring.time.perf_counter", runtime.clock)
    monkeypatch.setattr("perfmodel.cli.collect_ops.METERS", ())
    return runtime


def test_the_command(tmp_path: Path, doubled: Double, capsys: pytest.CaptureFixture[str]) -> None:
    target = tmp_path / "t.parquet"
    arguments = ["collect-ops", "--device", "h100-sxm", "-o", str(target), "--operators", "9"]
    assert cli.main(arguments) == 0
    assert f"{target}: 9 rows" in capsys.readouterr().out
    assert len(pandas.read_parquet(target)) == 9
    assert cli.main([*arguments[:-1], "12", "--json", "-"]) == 0
    result = json.loads(capsys.readouterr().out)
    assert result["rows"] == 12
    assert len(doubled.prepared) == 12  # nine of them were done


def test_a_table_that_it_did_not_begin_is_kept_unless_it_may_be_replaced(
    tmp_path: Path, doubled: Double, capsys: pytest.CaptureFixture[str]
) -> None:
    target = tmp_path / "t.csv"
    target.write_text("somebody's measurements")
    arguments = ["collect-ops", "--device", "h100-sxm", "-o", str(target), "--operators", "3"]
    assert cli.main(arguments) == 2
    assert f"{target} exists; --force replaces it" in capsys.readouterr().err
    assert (target.read_text(), doubled.prepared) == ("somebody's measurements", [])
    assert cli.main([*arguments, "--force"]) == 0
    assert len(pandas.read_csv(target)) == 3
    assert cli.main([*arguments[:-1], "4"]) == 0  # its own, with which it goes on unasked
    assert len(pandas.read_csv(target)) == 4


def test_the_table_is_there_after_an_interruption(
    tmp_path: Path, doubled: Double, monkeypatch: pytest.MonkeyPatch
) -> None:
    target = tmp_path / "t.parquet"
    arguments = ["collect-ops", "--device", "h100-sxm", "-o", str(target)]
    prepare = doubled.prepare

    def interrupted(op: Operator, seed: int) -> Callable[[], None]:
        if len(doubled.prepared) == 3:
            raise KeyboardInterrupt
        return prepare(op, seed)

    monkeypatch.setattr(doubled, "prepare", interrupted)
    assert cli.main(arguments) == 130
    assert len(pandas.read_parquet(target)) == 3
    # Before anything was finished there is nothing to keep.
    doubled.prepared = [PRODUCT] * 3
    assert cli.main([*arguments[:-1], str(tmp_path / "u.parquet")]) == 130
    assert not (tmp_path / "u.parquet").exists()


def test_a_sweep_of_a_processor_is_of_smaller_operators(tmp_path: Path) -> None:
    runtime = Double(Clock())
    runtime.threads = 4  # type: ignore[assignment]
    wanted = Wanted("local-cpu", tmp_path / "run", operators=60)
    collect_operators(wanted, PyTorch(settings=QUICK, runtime=runtime))
    assert max(float(op.flops) for op in runtime.prepared) <= 4e9


@pytest.mark.parametrize(
    ("more", "message"),
    [
        (["--device", "h101"], "h101"),
        (["--minutes", "-3"], "wanted a number above 0"),
        (["--families", "gem"], "no family"),
        (["--power"], "no meter of a GPU can be read"),
        (["--meter", "nvmx"], "no meter is called 'nvmx'"),
        (["--shapes", "nothing.csv"], "nothing.csv"),
        (["-o", "t.txt"], "neither .csv nor .parquet"),
    ],
)
def test_wrong_use_gives_one_line(
    tmp_path: Path, doubled: Double, capsys: pytest.CaptureFixture[str], more: list[str], message: str
) -> None:
    target = str(tmp_path / "t.csv")
    assert cli.main(["collect-ops", "--device", "h100-sxm", "-o", target, *more]) == 2
    error = capsys.readouterr().err
    assert message in error
    assert error.count("\n") == 1


def test_without_pytorch_it_says_what_is_missing(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "torch", None)
    why = PyTorch().why_not()
    assert why is not None
    assert "pip install torch" in why


# ------------------------------------------------------------------------------------------------ what goes on
ABOUT = {"software": "torch-2.9.0", "device_name": "EPYC", "threads": 1, "cache": "warm", "seed": 0}


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"threads": 32}, "was begun with threads 1, and this is 32: take another folder"),
        ({"device_name": "Xeon"}, "was begun with device_name 'EPYC', and this is 'Xeon': take another folder"),
        ({"threads": None, "device_name": "H100"}, "begun with device_name 'EPYC', and this is 'H100'"),
    ],
)
def test_a_recording_goes_on_as_it_was_begun(tmp_path: Path, change: dict[str, Any], message: str) -> None:
    Recording(tmp_path / "run", ABOUT)
    Recording(tmp_path / "run", ABOUT)
    with pytest.raises(InputError, match=message):
        Recording(tmp_path / "run", {**ABOUT, **change})


def test_a_recording_of_a_processor_without_a_name_goes_on(tmp_path: Path) -> None:
    Recording(tmp_path / "run", {**ABOUT, "device_name": "cpu"})
    assert Recording(tmp_path / "run", ABOUT).about["device_name"] == "cpu"
    with pytest.raises(InputError, match="begun with device_name 'cpu', and this is 'H100'"):
        Recording(tmp_path / "run", {**ABOUT, "device_name": "H100", "threads": None})


def test_a_processor_is_called_by_its_name() -> None:
    from perfmodel.hardware import load_device

    torch = SimpleNamespace(
        device=lambda name: name, __version__="2.9.0+cpu", get_num_threads=lambda: 4,
        backends=SimpleNamespace(cuda=SimpleNamespace(matmul=SimpleNamespace()), cudnn=SimpleNamespace()),
    )  # fmt: skip
    assert TorchRuntime("cpu", torch).device_name == load_device("local-cpu").name


# ------------------------------------------------------------------------------------------------ PyTorch itself
@pytest.fixture(scope="module")
def processor() -> TorchRuntime:
    pytest.importorskip("torch", reason="PyTorch is not installed")
    return TorchRuntime("cpu", cache_bytes=2**22)


@pytest.mark.parametrize("family", FAMILIES)
def test_pytorch_runs_every_family_on_a_processor(processor: TorchRuntime, family: str) -> None:
    drawn = sweep(6, families=[family], dtypes=["fp32"], most_flops=1e8, most_bytes=1e7)
    for op in drawn:
        found = measure_operator(processor, op, dataclasses.replace(QUICK, samples=2, seconds=0.001))
        assert found.status == "ok" or found.status.startswith(("not supported", "the time scatters")), op
        assert found.seconds or found.status.startswith("not supported")


def test_pytorch_computes_what_the_descriptor_says(processor: TorchRuntime) -> None:
    product = processor.prepare(Gemm(batch=3, m=4, n=5, k=6, dtype="fp32"), 0)()
    assert tuple(product.shape) == (3, 4, 5)  # type: ignore[attr-defined]
    linear = processor.prepare(Gemm(m=4, n=5, k=6, dtype="bf16"), 0)()
    assert tuple(linear.shape) == (4, 5)  # type: ignore[attr-defined]
    step = {
        "phase": "decode",
        "batch": 2,
        "q_len": 1,
        "kv_len": 9,
        "heads": 4,
        "kv_heads": 2,
        "head_dim": 8,
        "causal": True,
    }
    attention = processor.prepare(DESCRIPTORS["attention"](dtype="fp32", **step), 0)()
    assert tuple(attention.shape) == (2, 4, 1, 8)  # type: ignore[attr-defined]
    with pytest.raises(UnsupportedError, match="as fp32"):
        processor.prepare(Gemm(m=4, n=5, k=6, dtype="tf32"), 0)


def test_pytorch_without_a_gpu_says_so(processor: TorchRuntime) -> None:
    if processor.torch.cuda.is_available():
        pytest.skip("there is a GPU")
    with pytest.raises(PerfmodelError, match="sees no GPU"):
        TorchRuntime("cuda")


def test_every_family_of_a_sweep_has_a_rule() -> None:
    assert {DESCRIPTORS[family] for family in FAMILIES} == set(torch_operators._RULES)
