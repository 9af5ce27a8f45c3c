"""The command line: what it passes on, what it prints, its exit codes, and the files it writes."""

from __future__ import annotations

import io
import json
import os
import stat
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from types import ModuleType, SimpleNamespace
from typing import Any

import pytest
from rich.console import Console

from perfmodel.cli import COMMANDS, devices, main, options, tables, units
from perfmodel.cli.output import write_json
from perfmodel.errors import InputError, ModelFileError, PredictorError
from perfmodel.predict import Estimate, ModelPrediction, OperatorPrediction

ROOT = Path(__file__).resolve().parent.parent
DEMO = str(ROOT / "examples" / "resnet18.onnx")


def operator(op: str, shape: str, each_s: float, count: int = 1, **changes: Any) -> OperatorPrediction:
    fields: dict[str, Any] = {
        "name": f"{op}.{shape}",
        "op": op,
        "shape": shape,
        "dtype": "bf16",
        "count": count,
        "flops": 1.0,
        "bytes": 1.0,
        "latency_s": Estimate(each_s * count, each_s * count, each_s * count),
        "latency_each_s": Estimate(each_s, each_s, each_s),
        "power_w": None,
        "energy_j": None,
        "bound": "dram",
        "source": "learned",
        "terms": {"compute": 1.2e-6, "dram": 3.4e-6, "launch": 2e-6},
    }
    return OperatorPrediction(**{**fields, **changes})


def prediction(**changes: Any) -> ModelPrediction:
    fields: dict[str, Any] = {
        "model": "resnet18",
        "device": "h100-sxm",
        "predictor": "default",
        "latency_s": Estimate(4e-4, 3.5e-4, 4.8e-4),
        "power_w": Estimate(312.0, 250.0, 400.0),
        "energy_j": Estimate(0.125, 0.1, 0.15),
        "flops": 29e9,
        "flops_executed": 29e9,
        "bytes": 320e6,
        "weights_bytes": 23e6,
        "peak_memory_bytes": 61e6,
        "utilisation": 0.123,
        "operators": (
            operator("conv", "a", 5e-5, 1, bound="launch", source="analytical"),
            operator("conv", "a", 5e-5, 4),
            operator("gemm", "b", 1e-4, bound="compute"),
        ),
        "dims": {"batch": 8},
    }
    return ModelPrediction(**{**fields, **changes})


@pytest.fixture
def predictor(monkeypatch: pytest.MonkeyPatch) -> SimpleNamespace:
    """Stands in for ``perfmodel.predict``: notes its arguments and answers with ``results``."""
    calls: list[tuple[Any, dict[str, Any]]] = []
    state = SimpleNamespace(calls=calls, results=[prediction()], error=None)

    def answer(model: str, device: Any, **conditions: Any) -> Any:
        calls.append(((model, device), conditions))
        if state.error is not None:
            raise state.error
        return state.results

    module = ModuleType("perfmodel.predict")
    module.predict = lambda *a, **k: answer(*a, **k)[0]  # type: ignore[attr-defined]
    module.compare = answer  # type: ignore[attr-defined]
    monkeypatch.setitem(sys.modules, "perfmodel.predict", module)
    return state


# ------------------------------------------------------------------------------------------------------ passing on
def test_predict_passes_every_option_on(predictor: SimpleNamespace) -> None:
    arguments = (
        "predict m.onnx --device h100-sxm --dim batch=8 --dim seq=128 --dtype fp8 --predictor mine"
        " --software vllm-0.24.0 --fusion none --launch eager --cache warm"
        " --clock-mhz 1410 --power-limit-w 350.5 --json -"
    )
    assert main(arguments.split()) == 0
    expected = {
        "dims": {"batch": 8, "seq": 128},
        "dtype": "fp8",
        "predictor": "mine",
        "software": "vllm-0.24.0",
        "fusion": "none",
        "launch": "eager",
        "cache": "warm",
        "clock_mhz": 1410.0,
        "power_limit_w": 350.5,
    }
    assert predictor.calls == [(("m.onnx", "h100-sxm"), expected)]


def test_defaults(predictor: SimpleNamespace) -> None:
    assert main(["predict", "m.onnx", "--device", "h100-sxm", "--json", "-"]) == 0
    [(_, conditions)] = predictor.calls
    assert conditions == {
        "dims": {},
        "dtype": None,
        "predictor": "default",
        "software": None,
        "fusion": "engine",
        "launch": "graph",
        "cache": "rotating",
        "clock_mhz": None,
        "power_limit_w": None,
    }


def test_compare_takes_a_list(predictor: SimpleNamespace, capsys: pytest.CaptureFixture[str]) -> None:
    slow = prediction(device="l40s", latency_s=Estimate(1e-3, 9e-4, 1.1e-3))
    predictor.results = [prediction(), slow]
    assert main(["compare", "m.onnx", "--device", "l40s, h100-sxm,,l40s", "--json", "-"]) == 0
    assert predictor.calls[0][0] == ("m.onnx", ["l40s", "h100-sxm"])
    result = json.loads(capsys.readouterr().out)
    assert result["model"] == "resnet18"
    assert [p["device"] for p in result["predictions"]] == ["h100-sxm", "l40s"]


@pytest.mark.parametrize(
    ("pairs", "dims"),
    [
        ([], {}),
        (["batch=8"], {"batch": 8}),
        (["past_sequence_length + 1=4", "a=b=2"], {"past_sequence_length + 1": 4, "a=b": 2}),
        (["batch=8", "batch=8"], {"batch": 8}),
    ],
)
def test_dims(pairs: list[str], dims: dict[str, int]) -> None:
    assert options.parse_dims(pairs) == dims


@pytest.mark.parametrize("pair", ["batch", "batch=", "=8", "batch=x", "batch=1.5", "batch=0", "batch=-2", ""])
def test_dim_that_is_none(pair: str) -> None:
    with pytest.raises(InputError, match="wanted NAME=N with a whole number of at least 1"):
        options.parse_dims([pair])


def test_dim_twice() -> None:
    with pytest.raises(InputError, match="'batch' twice: 8 and 9"):
        options.parse_dims(["batch=8", "batch=9"])


# --------------------------------------------------------------------------------------------------- wrong use
@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ([], "usage: perfmodel COMMAND"),
        (["predct", "m.onnx"], "perfmodel: error: unknown command 'predct': did you mean 'predict'?"),
        (["--verison"], "perfmodel: error: unknown option '--verison': did you mean '--version'?"),
        (["predict"], "the following arguments are required: MODEL, --device"),
        (["predict", "m.onnx", "--device", "d", "--dim", "x"], "perfmodel: error: --dim 'x': wanted NAME=N"),
        (["predict", "m.onnx", "--device", "d", "--fusion", "all"], "invalid choice: 'all'"),
        (["predict", "m.onnx", "--device", "d", "--clock-mhz", "-5"], "'-5' is no number above 0"),
        (["predict", "m.onnx", "--device", "d", "--power-limit-w", "nan"], "'nan' is no number above 0"),
        (["predict", "m.onnx", "--device", "d", "--power-limit-w", "inf"], "'inf' is no number above 0"),
        (["predict", "m.onnx", "--dev", "d"], "required: --device"),  # no abbreviations: later options may clash
        (["compare", "m.onnx", "--device", ","], "names no device"),
        (["devices", "h100-smx"], "unknown device 'h100-smx': did you mean 'h100-sxm'"),
    ],
)
def test_wrong_use(arguments: list[str], message: str, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(arguments) == 2
    output = capsys.readouterr()
    assert output.out == ""
    assert message in output.err
    if arguments:
        assert output.err.count("\n") == 1


def test_an_error_is_one_line_that_the_terminal_does_not_obey(
    predictor: SimpleNamespace, capsys: pytest.CaptureFixture[str]
) -> None:
    predictor.error = ModelFileError("m.onnx: the node 'a\nb\x1b[31m' is\tcyclic")
    assert main(["predict", "m.onnx", "--device", "h100-sxm"]) == 2
    assert capsys.readouterr().err == "perfmodel: error: m.onnx: the node 'a b [31m' is cyclic\n"


@pytest.mark.parametrize(
    ("error", "code", "message"),
    [
        (KeyboardInterrupt(), 130, ""),
        (PermissionError(13, "Permission denied", "m.onnx"), 2, "perfmodel: error: m.onnx: Permission denied\n"),
        (OSError("disk on fire"), 2, "perfmodel: error: disk on fire\n"),
    ],
)
def test_other_ends(
    predictor: SimpleNamespace, capsys: pytest.CaptureFixture[str], error: BaseException, code: int, message: str
) -> None:
    predictor.error = error
    assert main(["predict", "m.onnx", "--device", "h100-sxm"]) == code
    assert capsys.readouterr().err == message


def test_a_bug_is_not_hidden(predictor: SimpleNamespace) -> None:
    predictor.error = ZeroDivisionError()
    with pytest.raises(ZeroDivisionError):
        main(["predict", "m.onnx", "--device", "h100-sxm"])


def test_a_closed_pipe_is_quiet() -> None:
    # The first reader goes away at once; the catalogue's JSON is far longer than a pipe's buffer can hide.
    script = f"{sys.executable} -m perfmodel devices --json - | true; echo ${{PIPESTATUS[0]}}"
    done = subprocess.run(["bash", "-c", script], cwd=ROOT, capture_output=True, text=True, check=True)
    assert done.stdout == "141\n"
    assert done.stderr == ""


# ------------------------------------------------------------------------------------------------------- help
@pytest.mark.parametrize("command", [c.name for c in COMMANDS])
def test_help_has_an_example(command: str, capsys: pytest.CaptureFixture[str]) -> None:
    assert main([command, "--help"]) == 0
    output = capsys.readouterr().out
    assert f"example:\n  perfmodel {command} " in output
    assert max(map(len, output.splitlines())) <= 100


def test_help_lists_every_command(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["--help"]) == 0
    output = capsys.readouterr().out
    assert all(f"\n  {c.name} " in output for c in COMMANDS)
    assert max(map(len, output.splitlines())) <= 80


def test_version(capsys: pytest.CaptureFixture[str]) -> None:
    import perfmodel

    assert main(["--version"]) == 0
    assert capsys.readouterr().out == f"perfmodel {perfmodel.__version__}\n"


# ------------------------------------------------------------------------------------------------------- JSON
def test_json_alone_on_standard_output(predictor: SimpleNamespace, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["predict", "m.onnx", "--device", "h100-sxm", "--json", "-"]) == 0
    output = capsys.readouterr()
    assert json.loads(output.out)["latency_s"] == {"value": 4e-4, "low": 3.5e-4, "high": 4.8e-4}
    assert output.err == ""


def test_json_in_a_file_beside_the_table(
    predictor: SimpleNamespace, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    target = tmp_path / "out.json"
    assert main(["predict", "m.onnx", "--device", "h100-sxm", "--json", str(target)]) == 0
    assert json.loads(target.read_text(encoding="utf-8"))["device"] == "h100-sxm"
    assert "latency" in capsys.readouterr().out
    assert list(tmp_path.iterdir()) == [target]


def test_json_that_cannot_be_written(
    predictor: SimpleNamespace, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    for target in (tmp_path / "no" / "out.json", tmp_path):
        assert main(["predict", "m.onnx", "--device", "h100-sxm", "--json", str(target)]) == 2
        output = capsys.readouterr()
        assert output.out == ""
        assert output.err.startswith(f"perfmodel: error: cannot write '{target}': ")
        assert output.err.count("\n") == 1
    assert list(tmp_path.iterdir()) == []


def test_a_failed_write_leaves_the_old_file(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    target = tmp_path / "out.json"
    target.write_text("old", encoding="utf-8")

    def full(*_: object) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(Path, "replace", full)
    with pytest.raises(InputError, match="No space left on device"):
        write_json({}, str(target))
    assert target.read_text(encoding="utf-8") == "old"
    assert list(tmp_path.iterdir()) == [target]


def test_a_replaced_file_keeps_its_permissions_and_links(tmp_path: Path) -> None:
    target = tmp_path / "out.json"
    target.write_text("old", encoding="utf-8")
    target.chmod(0o640)
    link = tmp_path / "latest.json"
    link.symlink_to(target)
    write_json({"a": 1}, str(link))
    assert link.is_symlink()
    assert target.read_text(encoding="utf-8") == '{\n  "a": 1\n}\n'
    assert stat.S_IMODE(target.stat().st_mode) == 0o640


def test_a_pipe_is_written_to_not_replaced(tmp_path: Path) -> None:
    pipe = tmp_path / "pipe"
    os.mkfifo(pipe)
    reader = os.open(pipe, os.O_RDONLY | os.O_NONBLOCK)
    try:
        write_json([1], str(pipe))
        assert os.read(reader, 100) == b"[\n  1\n]\n"
    finally:
        os.close(reader)
    assert stat.S_ISFIFO(pipe.stat().st_mode)


def test_not_a_number_is_no_json(tmp_path: Path) -> None:
    with pytest.raises(ValueError, match="not JSON compliant"):
        write_json({"latency_s": float("nan")}, str(tmp_path / "out.json"))
    assert list(tmp_path.iterdir()) == []


# ------------------------------------------------------------------------------------------------------ tables
def printed(show: Callable[..., None], *arguments: Any, **options: Any) -> list[str]:
    """The lines of a table in a pipe, without the blanks at their ends."""
    stream = io.StringIO()
    show(Console(file=stream, width=80, markup=False, highlight=False), *arguments, **options)
    return [line.rstrip() for line in stream.getvalue().splitlines()]


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
    assert line_of(lines, "  power") == "power unknown the device's TDP is unknown"
    assert line_of(lines, "  energy") == "energy unknown the device's TDP is unknown"
    assert not any("throughput" in line for line in lines)  # no dimension that is known to count samples
    assert "MORE than the device's 80.0 GB; 23.0 MB of it weights" in " ".join(" ".join(lines).split())
    assert line_of(lines, "  unmodelled") == "unmodelled 25.0 % of the bytes: Einsum, estimated as memory traffic"
    assert line_of(lines, "launch gaps") == "launch gaps 40.0 us 10.0 %"
    assert lines[-2:] == ["warning: fp8: a100 has none", "warning: node 'x?[31m[bold]'"]


def test_the_slowest_fifteen_and_the_rest() -> None:
    many = prediction(operators=tuple(operator("gemm", f"s{i:02}", 1e-6 * (i + 1), 2) for i in range(20)))
    lines = printed(tables.print_prediction, many, dtype=None)
    shown = [line.split()[2] for line in lines if line.startswith("gemm")]
    assert shown == [f"s{i:02}" for i in range(19, 4, -1)]
    # 2 · (1 + 2 + 3 + 4 + 5) us of 400 us
    assert line_of(lines, "5 other kinds") == "5 other kinds 10 30.0 us 7.5 %"
    everything = printed(tables.print_prediction, many, dtype=None, shown=None)
    assert sum(line.startswith("gemm") for line in everything) == 20


def test_all_lists_every_kind(predictor: SimpleNamespace, capsys: pytest.CaptureFixture[str]) -> None:
    predictor.results = [prediction(operators=tuple(operator("gemm", f"s{i}", 1e-6) for i in range(20)))]
    for option, kinds in (([], 15), (["--all"], 20)):
        assert main(["predict", "m.onnx", "--device", "h100-sxm", *option]) == 0
        assert capsys.readouterr().out.count("gemm bf16") == kinds


def test_explain_prints_the_formula() -> None:
    lines = printed(tables.print_prediction, prediction(), dtype=None, explain=True)
    assert (
        "  gemm bf16 b: max-like(dram 3.40 us, launch 2.00 us, compute 1.20 us) -> compute; 100 us predicted" in lines
    )


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


# --------------------------------------------------------------------------------------------------- the real thing
REAL = [DEMO, "--dtype", "bf16", "--predictor", "analytical"]  # what ships as `default` changes


def test_predict_the_demo_model(capsys: pytest.CaptureFixture[str], tmp_path: Path) -> None:
    target = tmp_path / "out.json"
    assert main(["predict", *REAL, "--device", "h100-sxm", "--dim", "batch=8", "--json", str(target)]) == 0
    lines = [line.rstrip() for line in capsys.readouterr().out.splitlines()]
    assert lines[0] == "resnet18 (batch=8, bf16) on h100-sxm"
    assert "of 85.9 GB, at its peak" in line_of(lines, "  memory")  # the H100's 80 GiB
    assert max(map(len, lines)) <= 80
    result = json.loads(target.read_text(encoding="utf-8"))
    # 11,689,512 parameters of 2 bytes, and no running statistics: batch normalisation is folded. Fusion leaves the
    # convolutions' biases uncounted or counts them: 4,800 values at most.
    assert 11_684_712 * 2 <= result["weights_bytes"] <= 11_699_112 * 2
    assert result["unmodelled"] == []
    for operator in result["operators"]:
        assert set(operator["latency_s"]) == {"value", "low", "high"}
    assert sum(o["latency_s"]["value"] for o in result["operators"]) == pytest.approx(result["latency_s"]["value"])


def test_compare_the_demo_model(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["compare", *REAL, "--device", "l4,h100-sxm,a10", "--dim", "batch=8", "--json", "-"]) == 0
    ranked = json.loads(capsys.readouterr().out)["predictions"]
    latencies = [p["latency_s"]["value"] for p in ranked]
    assert latencies == sorted(latencies)
    assert ranked[0]["device"] == "h100-sxm"


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["--device", "h100-sxm"], "batch"),  # an open dimension is asked for by name
        (["--device", "h100-smx", "--dim", "batch=8"], "did you mean 'h100-sxm'"),
        (["--device", "h100-sxm", "--dim", "batch=8", "--dim", "sequence=4"], "sequence"),
        (["--device", "h100-sxm", "--dim", "batch=8", "--dtype", "bf61"], "did you mean 'bf16'"),
        (["--device", "h100-sxm", "--dim", f"batch={2**62}"], "2^31"),
        (["--device", "h100-sxm", "--dim", "batch=8", "--predictor", "defualt"], "defualt"),
    ],
)
def test_what_predict_refuses(arguments: list[str], message: str, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["predict", DEMO, "--predictor", "analytical", *arguments]) == 2
    output = capsys.readouterr()
    assert output.out == ""
    assert output.err.startswith("perfmodel: error: ")
    assert message in output.err
    assert output.err.count("\n") == 1


# ------------------------------------------------------------------------------------------------------ devices
def test_devices_lists_the_catalogue(capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("COLUMNS", "80")
    assert main(["devices"]) == 0
    lines = capsys.readouterr().out.splitlines()
    # NVIDIA's datasheet of the H100 SXM: 989 TFLOP/s bf16 dense, 1,979 fp8, 67 fp32, 3.35 TB/s, 700 W;
    # 80 GiB are 85.9 GB.
    [h100] = [line.split() for line in lines if line.startswith("h100-sxm ")]
    assert h100[-7:-1] == ["989", "1979", "66.9", "3.35", "85.9", "700"]
    # A Pascal GPU has neither bf16 nor fp8: its fp16 stands in the first column.
    [p100] = [line.split() for line in lines if line.startswith("p100-pcie-16gb ")]
    assert p100[-7:-4] == ["18.7", "-", "9.30"]
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
    shipped = SimpleNamespace(residuals={("h100-sxm", "fp8"): stacks, ("h100-sxm", "bf16"): stacks})
    monkeypatch.setattr("perfmodel.models.predictor.load", lambda: shipped)
    both = ["trtllm-1.0", "vllm-0.24.0"]
    assert devices.learned() == {"h100-sxm": {"gemm": {"bf16": both, "fp8": both}}}
    assert main(["devices"]) == 0
    last = {line.split()[0]: line.split()[-1] for line in capsys.readouterr().out.splitlines()}
    assert (last["h100-sxm"], last["l4"]) == ("gemm", "-")
    assert main(["devices", "h100-sxm"]) == 0
    assert "\n  gemm bf16: trtllm-1.0, vllm-0.24.0\n" in capsys.readouterr().out
    assert main(["devices", "h100-sxm", "--json", "-"]) == 0
    assert json.loads(capsys.readouterr().out)["learned"] == {"gemm": {"bf16": both, "fp8": both}}
    assert main(["devices", "l4"]) == 0
    assert "no measurements of this device" in capsys.readouterr().out


def test_a_damaged_predictor_does_not_hide_the_catalogue(monkeypatch: pytest.MonkeyPatch) -> None:
    def damaged() -> None:
        raise PredictorError("the manifest is damaged")

    monkeypatch.setattr("perfmodel.models.predictor.load", damaged)
    assert devices.learned() == {}


def test_devices_as_json(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["devices", "h100-sxm", "--json", "-"]) == 0
    record = json.loads(capsys.readouterr().out)
    assert record["id"] == "h100-sxm"
    assert record["memory_bandwidth_bytes_per_s"] == pytest.approx(3.35e12, rel=1e-3)
    assert record["sources"]["memory_bandwidth_bytes_per_s"]
    assert main(["devices", "--json", "-"]) == 0
    assert record in json.loads(capsys.readouterr().out)["devices"]
