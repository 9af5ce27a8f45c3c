"""What the command line shows: predictions, comparisons, units, and the catalogue of devices."""

from __future__ import annotations

import dataclasses
import io
import json
from collections.abc import Callable
from types import SimpleNamespace
from typing import Any

import pytest
from fake_predictions import operator, prediction
from rich.console import Console

from perfmodel import units
from perfmodel.cli import devices, energy_tables, main, tables
from perfmodel.cli.output import console
from perfmodel.errors import PredictorError
from perfmodel.predict import Estimate
from perfmodel.predict.generation_result import GenerationPrediction, PhasePrediction
from perfmodel.predict.memory import KVCache, MemoryPlan, Owner
from perfmodel.predict.workload import Workload


def printed(show: Callable[..., None], *arguments: Any, **options: Any) -> list[str]:
    """The lines of a table in a pipe, without the blanks at their ends."""
    stream = io.StringIO()
    show(Console(file=stream, width=80, markup=False, highlight=False), *arguments, **options)
    return [line.rstrip() for line in stream.getvalue().splitlines()]


def test_lines_in_a_pipe_end_without_blanks_and_an_ellipsis_is_one_character_wide(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """What does not fit is cut with an ellipsis, which ASCII lacks: its escape would push the columns apart."""
    for encoding, mark in (("utf-8", "…"), ("ascii", "~")):
        raw = io.BytesIO()
        stream = io.TextIOWrapper(raw, encoding=encoding, errors="backslashreplace")
        monkeypatch.setattr("sys.stdout", stream)
        monkeypatch.setenv("COLUMNS", "60")
        table = tables.plain_table()
        table.add_column("name", no_wrap=True)
        table.add_column("empty", no_wrap=True)
        table.add_row("x" * 80, "")
        console().print(table)
        stream.flush()
        shown = raw.getvalue().decode(encoding).splitlines()
        assert f"x{mark}" in shown[2]
        assert max(map(len, shown)) <= 60
        assert [line for line in shown if line != line.rstrip()] == []


def line_of(lines: list[str], start: str) -> str:
    [line] = [line for line in lines if line.startswith(start)]
    return " ".join(line.split())


def test_operators_are_grouped_and_sorted_by_time() -> None:
    conv, gemm = tables.group_operators(prediction().operators)
    # 4 + 1 executions of 50 us; most of them bound by DRAM and learned.
    assert (conv.op, conv.count, conv.bound, conv.source) == ("conv", 5, "dram", "learned")
    assert conv.latency_s == pytest.approx(250e-6)
    assert (gemm.op, gemm.count, gemm.bound) == ("gemm", 1, "compute")


def test_the_table() -> None:
    lines = printed(tables.print_prediction, prediction(), dtype="bf16", device_memory_bytes=80_000_000_000)
    assert lines[0] == "resnet18 (batch=8, bf16) on h100-sxm"
    assert line_of(lines, "  latency") == "latency 400 us 90 % interval: 350 to 480 us"
    assert line_of(lines, "  throughput") == "throughput 20.0 k/s 8 in each run"  # 8 / 400 us
    assert line_of(lines, "  energy") == "energy 125 mJ 90 % interval: 100 to 150 mJ"
    assert line_of(lines, "  memory") == "memory 61.0 MB of 80.0 GB, at its peak; 23.0 MB of it weights"
    assert line_of(lines, "  utilisation") == "utilisation 12.3 % of the device's peak FLOP/s"
    assert line_of(lines, "  unmodelled") == "unmodelled 0.0 % every operator has a rule"
    assert line_of(lines, "conv") == "conv bf16 a 5 250 us 62.5 % dram learned"
    assert line_of(lines, "gemm") == "gemm bf16 b 1 100 us 25.0 % compute learned"
    assert max(map(len, lines)) <= 80
    assert not any("kinds" in line or "between" in line or "warning" in line for line in lines)


def test_throughput_counts_tokens_where_the_model_has_them() -> None:
    lines = printed(tables.print_prediction, prediction(workload=Workload(8, 2048)), dtype=None)
    assert line_of(lines, "  throughput") == "throughput 5.12 M/s 2,048 tokens in each run"  # 2048 / 400 us


def test_what_the_table_says_of_the_unknown() -> None:
    strange = prediction(
        dims={"tokens": 8},
        power_w=None,
        energy_j=None,
        peak_memory_bytes=90_000_000_000,
        unmodelled=({"op": "Einsum", "count": 2, "bytes_share": 0.25},),
        warnings=("fp8: a100 has none", "node 'x\x1b[31m[bold]'"),
        launch_gap_s=4e-5,
    )
    lines = printed(tables.print_prediction, strange, dtype=None, device_memory_bytes=80_000_000_000)
    assert lines[0] == "resnet18 (tokens=8) on h100-sxm"
    assert line_of(lines, "  power") == "power unknown the device quotes no TDP"
    assert line_of(lines, "  energy") == "energy unknown the device quotes no TDP"
    assert not any("throughput" in line for line in lines)  # no dimension that is known to count samples
    assert "MORE than the device's 80.0 GB; 23.0 MB of it weights" in " ".join(" ".join(lines).split())
    assert line_of(lines, "  unmodelled") == "unmodelled 25.0 % of the bytes: Einsum, estimated as memory traffic"
    assert line_of(lines, "launch gaps") == "launch gaps 40.0 us 10.0 %"
    assert lines[-2:] == ["warning: fp8: a100 has none", "warning: node 'x?[31m[bold]'"]


def test_energy_of_waits_whose_power_is_unknown() -> None:
    """Of a sum of runs that wait at different power, say: the time is known, and the share of the energy is not."""
    kernel = operator("gemm", "b", 3e-4, power_w=Estimate(200.0, 200.0, 200.0), energy_j=Estimate(0.06, 0.06, 0.06))
    p = prediction(operators=(kernel,), energy_j=Estimate(0.08, 0.08, 0.08), launch_gap_s=1e-4, idle_power_w=200.0)
    lines = printed(energy_tables.print_energy, p, heading="energy:", shown=None)
    assert line_of(lines, "gemm") == "gemm bf16 b 1 300 us 200 W 60.0 mJ 75.0 %"  # 60 of 80 mJ
    assert line_of(lines, "launch gaps") == "launch gaps 100 us 200 W 20.0 mJ 25.0 %"  # 200 W for 0.1 ms
    lines = printed(
        energy_tables.print_energy, dataclasses.replace(p, idle_power_w=None), heading="energy:", shown=None
    )
    assert line_of(lines, "launch gaps") == "launch gaps 100 us unknown unknown unknown"


def test_without_time_the_device_is_not_blamed() -> None:
    nothing = Estimate(0.0, 0.0, 0.0)
    still = prediction(operators=(), latency_s=nothing, power_w=None, energy_j=None)
    lines = printed(tables.print_prediction, still, dtype=None)
    assert line_of(lines, "  power") == "power unknown no operator takes time"
    assert line_of(lines, "  energy") == "energy unknown no operator takes time"
    phase = PhasePrediction(
        name="prefill",
        runs=1,
        tokens=4,
        parts=((still, 1),),
        latency_s=nothing,
        energy_j=None,
        power_w=None,
        peak_w=None,
    )
    request = GenerationPrediction(
        model="net", device="h100-sxm", predictor="default", prompt=4, generate=1, phases=(phase,), latency_s=nothing,
        power_w=None, energy_j=None, peak_w=None, kv_cache_bytes=0.0, peak_memory_bytes=1e6, workload=Workload(1, 5),
    )  # fmt: skip
    lines = printed(energy_tables.print_generation, request, dtype=None, device_memory_bytes=None)
    assert line_of(lines, "  throughput") == "throughput unknown tokens generated"
    assert line_of(lines, "  mean power") == "mean power unknown no operator takes time"


def test_memory_in_parts_and_its_owners() -> None:
    cache = KVCache(bytes=2e6, tensors=4, tokens=7, bytes_per_token=3e4, grows_with={"batch": 1e6, "past": 6e4})
    memory = MemoryPlan(
        runtime="engine", weights_bytes=23e6, activations_bytes=30e6, kv_cache_bytes=2e6, workspace_bytes=6e6,
        peak_node="conv1", kv_cache=cache,
        owners=(
            Owner("a\x1b", "activation", 20e6, 20 / 61, "conv1", "pool"), Owner("w", "weight", 12e6, 12 / 61, None, None),
        ),
    )  # fmt: skip
    lines = printed(tables.print_prediction, prediction(memory=memory), dtype=None, device_memory_bytes=8 * 10**10)
    text = " ".join(" ".join(lines).split())
    parts = "weights 23.0 MB, activations 30.0 MB".split(", ")
    assert f"at its peak; {parts[1]}, {parts[0]}, workspace 6.00 MB, key/value cache 2.00 MB" in text
    assert not any("needed until" in line for line in lines)
    lines = printed(tables.print_prediction, prediction(memory=memory), dtype=None, owners=True)
    assert "memory at its peak, while conv1 runs:" in lines
    assert line_of(lines, "a?") == "a? activation 20.0 MB 32.8 % conv1 pool"
    assert line_of(lines, "w ") == "w weight 12.0 MB 19.7 % (given) (the end)"
    assert line_of(lines, "all others") == "all others 29.0 MB 47.5 %"
    text = " ".join(" ".join(lines).split())
    assert "2.00 MB for 7 tokens of each sequence, 30.0 kB a token; grows by 1.00 MB with each batch, 60.0 kB" in text


def test_the_slowest_fifteen_and_the_rest() -> None:
    many = prediction(operators=tuple(operator("gemm", f"s{i:02}", 1e-6 * (i + 1), 2) for i in range(20)))
    lines = printed(tables.print_prediction, many, dtype=None)
    shown = [line.split()[2] for line in lines if line.startswith("gemm")]
    assert shown == [f"s{i:02}" for i in range(19, 4, -1)]
    # 2 · (1 + 2 + 3 + 4 + 5) us of 400 us
    assert line_of(lines, "5 other kinds") == "5 other kinds 10 30.0 us 7.5 %"
    everything = printed(tables.print_prediction, many, dtype=None, shown=None)
    assert sum(line.startswith("gemm") for line in everything) == 20


def test_explain_prints_the_formula() -> None:
    lines = printed(tables.print_prediction, prediction(), dtype=None, explain=True)
    assert (
        "  gemm bf16 b: max-like(dram 3.40 us, launch 2.00 us, compute 1.20 us) -> compute; 100 us predicted" in lines
    )


def test_explain_names_the_algorithm_and_its_workspace() -> None:
    p = prediction()
    named = dataclasses.replace(p.operators[0], algorithm="winograd_nonfused", workspace_bytes=35.6e6, tile={})
    assert tables.formula(named).endswith(" predicted; winograd_nonfused, 35.6 MB of workspace")
    assert tables.formula(dataclasses.replace(named, workspace_bytes=0.0)).endswith(" predicted; winograd_nonfused")
    partial = dataclasses.replace(named, algorithm=None, workspace_bytes=2e3)
    assert tables.formula(partial).endswith(" predicted; 2.00 kB of workspace")


def test_comparison() -> None:
    slow = prediction(device="l40s", latency_s=Estimate(1e-3, 9e-4, 1.1e-3), warnings=("b", "a"))
    lines = printed(tables.print_comparison, [prediction(warnings=("a",)), slow], dtype=None)
    assert lines[0] == "resnet18 (batch=8): 61.0 MB of memory at its peak"
    assert line_of(lines, "h100-sxm") == "h100-sxm 400 us 350 to 480 us 1.00x 312 W 125 mJ 12.3 %"
    # 1 ms / 400 us
    assert line_of(lines, "l40s") == "l40s 1.00 ms 900 us to 1.10 ms 2.50x 312 W 125 mJ 12.3 %"
    assert lines[-2:] == ["warning: a", "warning: l40s: b"]
    assert max(map(len, lines)) <= 80


@pytest.mark.parametrize(
    ("text", "wanted"),
    [
        (units.duration(1.234e-6), "1.23 us"),
        (units.duration(9.996e-4), "1.00 ms"),
        (units.duration(9.994e-4), "999 us"),
        (units.duration(12.34), "12.3 s"),
        (units.duration(3_600.0), "3600 s"),
        (units.duration(0.0), "0 s"),
        (units.duration(5e-14), "<0.001 ns"),
        (units.duration(None), "unknown"),
        (units.power(float("nan")), "unknown"),
        (units.size(80e9), "80.0 GB"),
        (units.size(999), "999 B"),
        (units.binary_size(50 * 1024 * 1024), "50.0 MiB"),
        (units.flop_rate(989.4e12), "989 TFLOP/s"),
        (units.flop_rate(1.979e15), "1.98 PFLOP/s"),
        (units.bandwidth(3.35e12), "3.35 TB/s"),
        (units.bandwidth(0.6), "0.600 B/s"),
        (units.power(61.84), "61.8 W"),
        (units.energy(0.0125), "12.5 mJ"),
        (units.clock(1.98e9), "1980 MHz"),
        (units.share(0.1234), "12.3 %"),
        (units.share(None), "unknown"),
    ],
)
def test_units(text: str, wanted: str) -> None:
    assert text == wanted


# ------------------------------------------------------------------------------------------------------ devices
def test_devices_lists_the_catalogue(capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("COLUMNS", "80")
    assert main(["devices"]) == 0
    lines = capsys.readouterr().out.splitlines()
    # NVIDIA's datasheet of the H100 SXM: 989 TFLOP/s bf16 dense, 1,979 fp8, 67 fp32, 3.35 TB/s, 700 W;
    # 80 GiB are 85.9 GB.
    [h100] = [line.split() for line in lines if line.startswith("h100-sxm ")]
    assert h100[1:7] == ["989", "1979", "66.9", "3.35", "85.9", "700"]
    # A Pascal GPU has neither bf16 nor fp8: its fp16 stands in the first column.
    [p100] = [line.split() for line in lines if line.startswith("p100-pcie-16gb ")]
    assert p100[1:4] == ["18.7", "-", "9.30"]
    assert max(map(len, lines)) <= 80


def test_one_device_with_sources(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["devices", "h100-sxm"]) == 0
    lines = capsys.readouterr().out.splitlines()
    rows = {line.split()[0]: line.split()[1:] for line in lines if line}
    assert rows["memory_bandwidth_bytes_per_s"][:2] == ["3.35", "TB/s"]
    assert rows["memory_clock_hz"][:2] == ["2619", "MHz"]
    assert rows["l2_bytes"][:2] == ["50.0", "MiB"]
    # Every number's source is printed below, once.
    marks = {row[-1] for row in rows.values() if row and row[-1].startswith("[")}
    assert marks
    assert marks <= set(rows)
    assert len({line for line in lines if line.startswith("[1] ")}) == 1


def test_what_is_learned_of_each_device(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> None:
    stacks = SimpleNamespace(software=("trtllm-1.0", "vllm-0.24.0"))
    shipped = SimpleNamespace(residuals={("gemm", "h100-sxm", "fp8"): stacks, ("gemm", "h100-sxm", "bf16"): stacks})
    monkeypatch.setattr("perfmodel.models.predictor.load_trained", lambda: shipped)
    both = ["trtllm-1.0", "vllm-0.24.0"]
    assert devices.learned() == {"h100-sxm": {"gemm": {"bf16": both, "fp8": both}}}
    assert main(["devices"]) == 0
    last = {line.split()[0]: line.split()[-1] for line in capsys.readouterr().out.splitlines()}
    assert (last["h100-sxm"], last["l4"]) == ("gemm", "-")
    assert main(["devices", "h100-sxm"]) == 0
    assert "\n  gemm bf16: trtllm-1.0, vllm-0.24.0\n" in capsys.readouterr().out
    assert main(["devices", "h100-sxm", "--json", "-"]) == 0
    assert json.loads(capsys.readouterr().out)["learned"] == {"gemm": {"bf16": both, "fp8": both}}
    # Many families and kernels: numbers of them, so that a line of the catalogue stays one line.
    kernels = SimpleNamespace(software=("vllm-0.24.0:a", "vllm-0.24.0:b", "trtllm-1.0"))
    more = {("moe", "h100-sxm", "all"): kernels, ("attention_prefill", "h100-sxm", "float"): stacks}
    shipped.residuals = more | shipped.residuals  # whatever the order of training, GEMMs stand first
    assert main(["devices"]) == 0
    [line] = [line.split() for line in capsys.readouterr().out.splitlines() if line.startswith("h100-sxm ")]
    assert line[-2:] == ["gemm", "+2"]
    assert main(["devices", "h100-sxm"]) == 0
    assert "\n  moe all: vllm-0.24.0 (2 kernels), trtllm-1.0\n" in capsys.readouterr().out
    assert main(["devices", "l4"]) == 0
    assert "no measurements of this device" in capsys.readouterr().out


def test_a_damaged_predictor_does_not_hide_the_catalogue(monkeypatch: pytest.MonkeyPatch) -> None:
    def damaged() -> None:
        raise PredictorError("the manifest is damaged")

    monkeypatch.setattr("perfmodel.models.predictor.load_trained", damaged)
    assert devices.learned() == {}


def test_devices_as_json(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["devices", "h100-sxm", "--json", "-"]) == 0
    record = json.loads(capsys.readouterr().out)
    assert record["id"] == "h100-sxm"
    assert record["memory_bandwidth_bytes_per_s"] == pytest.approx(3.35e12, rel=1e-3)
    assert record["sources"]["memory_bandwidth_bytes_per_s"]
    assert main(["devices", "--json", "-"]) == 0
    assert record in json.loads(capsys.readouterr().out)["devices"]


@pytest.mark.parametrize("kind", ["scores", "power", "latency"])
def test_tables_of_figures_fit_80_columns_with_long_names(kind: str) -> None:
    from perfmodel.cli import evaluate

    names = {"workload": "SPECrate 2017 Floating Point Base", "variant": "503.bwaves_r of it", "held_out": "published split",
             "device": "rtx-pro-6000-blackwell", "dtype": "w4a8_mxfp4_mxfp8", "software": "trtllm-1.3.0rc20"}  # fmt: skip
    figures = dict.fromkeys(
        ("mape", "median_ape", "p90_ape", "bias", "coverage_90", "analytical_mape", "roofline_mape", "noise_mape", "limit_mape",
         "median_mape"), 1.2345,
    )  # fmt: skip
    group = {**names, **figures, "n": 123456, "target": "score", "op": None}
    by = tuple(names)
    if kind == "scores":
        others = [{**group, "target": t} for t in ("score by mean", "score by linear", "score by plain physics")]
        table = evaluate._score_table([group, *others], by)
    elif kind == "power":
        table = evaluate._power_table([group], by, {**group})
    else:
        table = evaluate._table([group], by)
    lines = printed(lambda screen: screen.print(table))
    assert max(map(len, lines)) <= 80
    shown = " ".join(" ".join(lines).split())
    assert "SPECrate" in shown
    assert shown.count(" 123.4") >= 7  # no figure is cut
