"""Device files from measurements: what stands in them, and that predictions use it."""

from __future__ import annotations

import json
import math
import os
import shutil
import sys
from dataclasses import replace
from itertools import pairwise
from pathlib import Path

import numpy as np
import pytest

from perfmodel.cli import INTERRUPTED, WRONG_USE, main
from perfmodel.cli.calibrate import _rough
from perfmodel.collect.microbenchmarks import bandwidth, products
from perfmodel.collect.microbenchmarks.process import measure_in_process
from perfmodel.collect.microbenchmarks.suite import Drift, Figure, Measurement, Progress
from perfmodel.collect.microbenchmarks.timing import LEAST_MOMENTS, MOMENT_S
from perfmodel.errors import InputError, PerfmodelError
from perfmodel.hardware import Device, load_device
from perfmodel.hardware.measured import memory_levels
from perfmodel.hardware.schema import parse_device
from perfmodel.hardware.writer import device_toml
from perfmodel.measured_cpu import MeasuredDevice, measure, measured_device
from perfmodel.models.analytical import analyse
from perfmodel.models.machine import Conditions
from perfmodel.models.predictor import Predictor
from perfmodel.models.rests_on import doubt, figure_of
from perfmodel.ops import Conv, Copy, Elementwise, Gemm, Norm, Operator
from perfmodel.ops.table import stack

BASE = Device(
    id="local-cpu", name="Some CPU", vendor="Someone", kind="cpu", family="zen3", units=2, peak_clock_hz=2.5e9,
    peak_flops={"fp32": 160e9, "fp64": 80e9}, flops_per_clock_per_unit={"fp32": 32.0, "fp64": 16.0},
    memory_bandwidth_bytes_per_s=9e9, memory_bytes=2**33, l2_bytes=2**25, l1_bytes_per_unit=2**15,
    sources=dict.fromkeys(
        (
            "memory_bandwidth_bytes_per_s", "memory_bytes", "units", "peak_clock_hz", "l2_bytes", "l1_bytes_per_unit",
            "peak_flops.fp32", "peak_flops.fp64", "flops_per_clock_per_unit.fp32", "flops_per_clock_per_unit.fp64",
        ),
        "made up",
    ),
)  # fmt: skip

RATES = {
    "gemm.onnxruntime.fp32_flops": 90e9, "gemm.onnxruntime.fp64_flops": 42e9, "gemm.onnxruntime.int8_flops": 150e9,
    "gemm.onnxruntime.fp32_m1_flops": 20e9, "gemv.onnxruntime.fp32_m1_flops": 9e9,
    "conv.onnxruntime.fp32_3x3_flops": 70e9, "conv.onnxruntime.fp32_1x1_flops": 70e9,
    "conv.onnxruntime.fp32_depthwise_flops": 20e9,
    "call.node_s": 1e-6, "call.product_s": 2e-6, "call.run_s": 10e-6,
    "kernel.elementwise.exp_per_s": 1e9, "kernel.elementwise.add_per_s": 4e9, "kernel.norm.layernorm_per_s": 2e9,
    "kernel.norm.layernorm_residual_per_s": 0.2e9,
}  # fmt: skip


def figure(value: float, *, best: float | None = None, steady: bool = True) -> Figure:
    return Figure(value, best or value, 0.02 if steady else 0.3, 12, 40, steady, "onnxruntime something")


def measurement(**changed: float) -> Measurement:
    """A core with a cache of 8 MiB at 40 and 20 GB/s, memory at 20 and 10 GB/s."""
    found = {name: figure(changed.get(name, value)) for name, value in RATES.items()}
    for size in bandwidth.sizes(2**25):
        held = size <= 2**23
        for kind, fast, slow in (("read", 40e9, 20e9), ("write", 20e9, 10e9), ("copy", 30e9, 15e9)):
            found[bandwidth.name(kind, size)] = figure(fast if held else slow)
    return Measurement(
        found, {}, Drift(9, 4e-3, 5e-3, 0.12, 0.3), "2026-11-26T07:00:00+00:00", 90.0,
        {"onnxruntime": "1.32.0", "numpy": "2.4.6"}, 1,
    )  # fmt: skip


MY = measured_device(measurement(), BASE).device


def seconds(op: Operator, device: Device = MY, cache: str = "warm") -> float:
    return float(analyse(stack([op])[0], device, conditions=Conditions(cache)).latency_s[0])


def test_the_file_reads_back_and_says_how_it_was_measured(tmp_path: Path) -> None:
    path = tmp_path / "my.toml"
    path.write_text(device_toml(MY), encoding="utf-8")
    assert load_device(path) == MY
    assert (MY.id, MY.units, MY.kind) == ("some-cpu-1-thread", 1, "cpu")
    source = MY.sources["measured.gemm.onnxruntime.fp32_flops"]
    for part in ("40 rounds in 12 visits", "known to 2.0%", "onnxruntime 1.32.0", "numpy 2.4.6",
                 "pinned to processor 1", "2026-11-26T07:00:00"):  # fmt: skip
        assert part in source
    assert "9 visits" in MY.sources["measured.anchor.gemm_s"]
    assert "12.0%" in MY.sources["measured.anchor.gemm_s"]
    assert not any(name.startswith("sweep.") for name in MY.measured)
    noisy = measurement()
    noisy.figures["call.node_s"] = figure(1e-6, steady=False)  # type: ignore[index]
    noisy.figures["call.product_s"] = replace(figure(1e-6, steady=False), uncertainty=math.inf)  # type: ignore[index]
    found = measured_device(noisy, BASE).device
    assert "known to 30.0%, NOT STEADY (wanted 5%)" in found.sources["measured.call.node_s"]
    assert found.measured["uncertainty.call.node_s"] == 0.3
    # Few visits cannot tell how they differ: no number is claimed.
    assert "fewer than 6 moments, NOT KNOWN" in found.sources["measured.call.product_s"]
    assert "uncertainty.call.product_s" not in found.measured
    assert found.measured["uncertainty.cache.l1.read_bytes_per_s"] == 0.02
    assert "known to 2.0%" in found.sources["measured.memory.read_bytes_per_s"]


def test_levels_are_what_the_sweep_shows() -> None:
    cache, memory = memory_levels(MY)
    assert (cache.name, cache.read_bytes_per_s, cache.write_bytes_per_s) == ("l1", 40e9, 20e9)
    assert cache.bytes == pytest.approx(2**23 * 2**0.25, rel=1e-3)
    assert (memory.name, memory.bytes, memory.read_bytes_per_s) == ("memory", math.inf, 20e9)
    assert MY.memory_bandwidth_bytes_per_s == 20e9
    assert memory_levels(load_device("a100-sxm-80gb")) == ()
    damaged = replace(MY, measured={**MY.measured, "cache.l1.read_bytes_per_s": -1.0})
    assert [level.name for level in memory_levels(damaged)] == ["memory"]


def test_no_benchmark_exceeds_a_peak() -> None:
    # One core of two: 80 GFLOP/s; the product ran at 90, so that the clock is 2.5 GHz * 90 / 80.
    assert MY.peak_flops["fp32"] == pytest.approx(90e9)
    assert MY.peak_flops["fp64"] == pytest.approx(45e9)
    assert MY.peak_clock_hz == pytest.approx(2.8125e9)
    assert "90.0 GFLOP/s" in MY.sources["peak_clock_hz"]
    assert MY.peak_flops["int8"] == 150e9
    slow = measured_device(measurement(**{"gemm.onnxruntime.fp32_flops": 60e9}), BASE).device
    assert slow.peak_flops["fp32"] == pytest.approx(84e9)  # fp64 at 42 of 40
    # A difference of two times says nothing by its best; a benchmark that is one time does.
    for name, peak in (("gemm.onnxruntime.fp32_m1_flops", 90e9), ("gemv.onnxruntime.fp32_m1_flops", 240e9)):
        quick = measurement()
        quick.figures[name] = figure(20e9, best=240e9)  # type: ignore[index]
        assert measured_device(quick, BASE).device.peak_flops["fp32"] == pytest.approx(peak)
    with pytest.raises(InputError, match=r"900 GFLOP/s, 11.2 times what .* too busy"):
        measured_device(measurement(**{"gemm.onnxruntime.fp32_flops": 900e9}), BASE)
    slowest = {name: 30e9 for name in RATES if "_flops" in name}
    assert measured_device(measurement(**slowest), BASE).device.peak_clock_hz == 2.5e9


@pytest.mark.parametrize(
    ("op", "name"),
    [
        (Gemm(m=768, n=768, k=768, dtype="fp32"), "gemm.onnxruntime.fp32_flops"),
        (Gemm(m=768, n=768, k=768, dtype="fp64"), "gemm.onnxruntime.fp64_flops"),
        (Gemm(m=768, n=768, k=768, dtype="int8"), "gemm.onnxruntime.int8_flops"),
        (Gemm(m=1, n=512, k=512, dtype="fp32"), "gemm.onnxruntime.fp32_m1_flops"),
        (Gemm(m=1, n=4096, k=4096, dtype="fp32"), "gemv.onnxruntime.fp32_m1_flops"),
    ],
)
def test_the_model_gives_the_benchmarks_times(op: Gemm, name: str) -> None:
    assert seconds(op) == pytest.approx(op.flops / RATES[name], rel=0.04)
    # The same with a machine that is slower at it.
    slower = measured_device(measurement(**{name: 0.7 * RATES[name]}), BASE).device
    assert seconds(op, slower) == pytest.approx(op.flops / RATES[name] / 0.7, rel=0.04)


def test_a_row_of_a_product_is_no_tile_of_sixteen() -> None:
    one, six = (analyse(stack([Gemm(m=m, n=512, k=512, dtype="fp32")])[0], MY).terms["compute"][0] for m in (1, 6))
    assert six == pytest.approx(6 * one)


def test_streams_come_from_their_level() -> None:
    # 1 MiB read and 1 MiB written: hypot(1/40, 1/20) ns a byte in cache, hypot(1/20, 1/10) from memory; 1 us a call.
    small, large = (Copy(elements=n, dtype="fp32") for n in (2**18, 2**26))
    assert seconds(small) == pytest.approx(1e-6 + 2**20 * math.hypot(1 / 40e9, 1 / 20e9), rel=0.02)
    assert seconds(large) == pytest.approx(1e-6 + 2**28 * math.hypot(1 / 20e9, 1 / 10e9), rel=0.02)
    assert seconds(small, cache="cold") == pytest.approx(1e-6 + 2**20 * math.hypot(1 / 20e9, 1 / 10e9), rel=0.02)


def test_kernels_run_at_their_measured_rate() -> None:
    n = 2**16
    # An exponential takes 1 ns; traffic in cache a quarter of that, which hardly counts beside it.
    assert seconds(Elementwise(kind="exp", elements=n, dtype="fp32")) == pytest.approx(1e-6 + n * 1e-9, rel=0.01)
    plain = Norm(kind="layernorm", rows=128, cols=512, dtype="fp32")
    added = Norm(kind="layernorm", rows=128, cols=512, residual=True, dtype="fp32")
    assert seconds(plain) == pytest.approx(1e-6 + n / 2e9, rel=0.03)
    assert seconds(added) == pytest.approx(1e-6 + n / 0.2e9, rel=0.01)
    # `sub` runs the loop of `add`; in 64 bits other loops run, of which nothing was measured.
    subtract, add = (Elementwise(kind=k, elements=n, inputs=2, dtype="fp32") for k in ("sub", "add"))
    assert seconds(subtract) == seconds(add)
    faster = measured_device(measurement(**{"kernel.elementwise.add_per_s": 0.1e9}), BASE).device
    assert seconds(add, faster) > 5 * seconds(add)


def test_times_never_fall_with_size() -> None:
    times = [seconds(Copy(elements=2**i, dtype="fp32")) for i in range(8, 28)]
    assert all(a < b for a, b in pairwise(times))
    predictor = Predictor()
    found = predictor.predict([Copy(elements=2**i, dtype="fp32") for i in range(8, 28)], MY)
    assert np.isfinite(found.latency_s).all()
    assert (found.latency_s > 0).all()


def test_a_run_takes_time_beside_its_kernels(tmp_path: Path) -> None:
    onnx = pytest.importorskip("onnx")
    import perfmodel

    given = [onnx.helper.make_tensor_value_info(n, 1, [64]) for n in "xy"]
    graph = onnx.helper.make_graph([onnx.helper.make_node("Exp", ["x"], ["y"])], "g", given[:1], given[1:])
    onnx.save(
        onnx.helper.make_model(graph, opset_imports=[onnx.helper.make_opsetid("", 17)], ir_version=8),
        tmp_path / "m.onnx",
    )
    without = replace(MY, measured={k: v for k, v in MY.measured.items() if k != "call.run_s"})
    with_run, alone = (perfmodel.predict(tmp_path / "m.onnx", device=d).latency_s for d in (MY, without))
    assert with_run.value - alone.value == pytest.approx(10e-6)
    assert with_run.low - alone.low == pytest.approx(10e-6)


def test_a_file_of_ones_own_keeps_its_name() -> None:
    named = measured_device(measurement(), replace(BASE, id="mine", name="Mine"), named=True).device
    assert (named.id, named.name) == ("mine", "Mine")


def test_what_is_missing_is_said() -> None:
    lacking = measurement()
    del lacking.figures["call.node_s"]  # type: ignore[attr-defined]
    with pytest.raises(InputError, match=r"call.node_s could not be measured: it was not run"):
        measured_device(lacking, BASE)
    few = Measurement(
        {k: f for k, f in measurement().figures.items() if "sweep" not in k}, {}, Drift(1, 1, 1, 0, 0), "", 1.0
    )
    with pytest.raises(InputError, match="bandwidth"):
        measured_device(few, BASE)
    with pytest.raises(InputError, match="only the processor of this machine"):
        measure("h100-sxm")
    with pytest.raises(InputError, match="positive"):
        measure(seconds=0.0)


def test_predictions_say_when_they_rest_on_what_is_hardly_known() -> None:
    products = [
        (Gemm(m=768, n=768, k=768, dtype="fp32"), 3.0),
        (Elementwise(kind="exp", elements=99, dtype="fp32"), 1.0),
    ]
    assert doubt(MY, products) is None
    assert doubt(BASE, products) is None  # nothing was measured
    noisy = measurement()
    noisy.figures["gemm.onnxruntime.fp32_flops"] = figure(90e9, steady=False)  # type: ignore[index]
    device = measured_device(noisy, BASE).device
    said = doubt(device, products)
    assert said is not None
    # 0.3 of three quarters of the time and 0.02 of a quarter.
    assert "known to 23% (gemm.onnxruntime.fp32_flops to 30%, kernel.elementwise.exp_per_s to 2%)" in said
    assert doubt(device, products[1:]) is None  # what is well known alone
    silent = replace(MY, measured={k: v for k, v in MY.measured.items() if not k.startswith("uncertainty.")})
    assert "does not say how well" in str(doubt(silent, products))


@pytest.mark.parametrize(
    ("op", "name"),
    [
        (Gemm(m=768, n=768, k=768, dtype="int8"), "gemm.onnxruntime.int8_flops"),
        (Gemm(m=768, n=768, k=768, dtype="bf16"), "gemm.onnxruntime.fp32_flops"),
        (Gemm(m=1, n=512, k=512, dtype="fp32"), "gemm.onnxruntime.fp32_m1_flops"),
        (Gemm(m=1, n=4096, k=4096, dtype="fp32"), "gemv.onnxruntime.fp32_m1_flops"),
        (Conv(batch=1, c_in=8, c_out=8, h=9, w=9, kernel_h=1, kernel_w=1, dtype="fp32"), "conv.onnxruntime.fp32_1x1_flops"),
        (Conv(batch=1, c_in=8, c_out=8, h=9, w=9, kernel_h=3, kernel_w=3, groups=8, dtype="fp32"),
         "conv.onnxruntime.fp32_depthwise_flops"),
        (Norm(kind="layernorm", rows=8, cols=8, residual=True, dtype="fp32"), "kernel.norm.layernorm_residual_per_s"),
        (Elementwise(kind="exp+mul", elements=8, dtype="fp32"), "kernel.elementwise.exp_per_s"),
        (Elementwise(kind="sub", elements=8, inputs=2, dtype="fp32"), "kernel.elementwise.add_per_s"),
        (Copy(elements=8, dtype="fp32"), "memory.read_bytes_per_s"),
    ],
)  # fmt: skip
def test_figures_that_a_time_rests_on(op: Operator, name: str) -> None:
    assert figure_of(op, MY) == name


# ----------------------------------------------------------------------------------------------- the command
@pytest.fixture
def instead(monkeypatch: pytest.MonkeyPatch) -> None:
    """The measurement above in place of 90 seconds of work."""
    monkeypatch.setattr(
        "perfmodel.collect.microbenchmarks.process.measure_in_process",
        lambda seconds, progress=None: (measurement(), BASE),
    )


@pytest.mark.usefixtures("instead")
def test_the_command_writes_a_device_file(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    path = tmp_path / "my.toml"
    assert main(["calibrate", "--device", "local-cpu", "-o", str(path)]) == 0
    assert load_device(path) == MY
    shown = capsys.readouterr().out
    assert "gemm.onnxruntime.fp32_flops" in shown
    assert "90.0 GFLOP/s" in shown
    assert main(["calibrate", "--device", "local-cpu", "-o", str(tmp_path / "none" / "my.toml")]) == WRONG_USE
    assert "there is no folder" in capsys.readouterr().err
    assert "memory: read 20.0, write 10.0, copy 15.0 GB/s" in shown
    assert main(["calibrate", "--device", "local-cpu", "-o", str(path)]) == WRONG_USE
    assert "--force" in capsys.readouterr().err
    assert main(["calibrate", "--device", "local-cpu", "-o", "-"]) == 0
    assert parse_device(capsys.readouterr().out, "screen") == MY


def test_options_that_would_not_be_used_are_refused(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["calibrate", "--device", "local-cpu", "--seed", "3", "-o", "-"]) == WRONG_USE
    assert "--seed is for calibrating with --traces" in capsys.readouterr().err
    assert main(["calibrate", "--device", "a10", "--traces", "t.csv", "--seconds", "3", "-o", "-"]) == WRONG_USE
    assert "--seconds is for calibrating without --traces" in capsys.readouterr().err


def test_the_command_and_the_page_say_what_it_takes_to_know_how_steady_a_figure_is() -> None:
    silent = replace(MY, measured={k: v for k, v in MY.measured.items() if not k.startswith("uncertainty.")})
    rule = "must be measured at six moments at least, 3 s or more apart"  # LEAST_MOMENTS, MOMENT_S
    assert (LEAST_MOMENTS, MOMENT_S) == (6, 3.0)
    assert rule.replace("six", "6") in str(_rough(MeasuredDevice(silent, measurement(), ())))
    page = (Path(__file__).parent.parent / "docs" / "calibrating.md").read_text(encoding="utf-8")
    assert rule in " ".join(page.split())


def test_an_interrupt_writes_nothing(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    def stopped(seconds: float, progress: object = None) -> None:
        raise KeyboardInterrupt

    monkeypatch.setattr("perfmodel.collect.microbenchmarks.process.measure_in_process", stopped)
    assert main(["calibrate", "--device", "local-cpu", "-o", str(tmp_path / "my.toml")]) == INTERRUPTED
    assert "interrupted; nothing was written" in capsys.readouterr().err
    assert list(tmp_path.iterdir()) == []


def test_an_interrupt_ends_the_process_that_measures() -> None:
    pytest.importorskip("onnxruntime")

    def stop(progress: Progress) -> None:
        assert progress.total > 100
        raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        measure_in_process(60.0, stop)
    with pytest.raises(ChildProcessError):  # no child is left
        os.waitpid(-1, os.WNOHANG)


def test_a_process_that_fails_says_why(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sys, "executable", shutil.which("false"))
    with pytest.raises(PerfmodelError, match="measuring failed: it ended with status 1"):
        measure_in_process(1.0)


def test_json_of_a_measurement_is_strict() -> None:
    rough = measurement()
    rough.figures["call.run_s"] = replace(figure(1e-5), uncertainty=math.inf)  # type: ignore[index]
    text = json.dumps(rough.to_json(), allow_nan=False)
    assert Measurement.from_json(json.loads(text)) == rough
    assert products.N == 768
