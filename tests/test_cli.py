"""The command line: what it passes on, its exit codes, and the files it writes."""

from __future__ import annotations

import json
import os
import re
import stat
import subprocess
import sys
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
from fake_predictions import operator, prediction

from perfmodel.cli import COMMANDS, main, options
from perfmodel.cli.output import write_json
from perfmodel.errors import InputError, ModelFileError
from perfmodel.predict import Estimate

ROOT = Path(__file__).resolve().parent.parent
DEMO = str(ROOT / "examples" / "resnet18.onnx")


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

    module = sys.modules["perfmodel.predict"]  # as an attribute of the package that name is the function
    monkeypatch.setattr(module, "predict", lambda *a, **k: answer(*a, **k)[0])
    monkeypatch.setattr(module, "compare", answer)
    return state


# ------------------------------------------------------------------------------------------------------ passing on
def test_predict_passes_every_option_on(predictor: SimpleNamespace) -> None:
    arguments = (
        "predict m.onnx --device h100-sxm --dim batch=8 --dim seq=128 --dtype fp8 --predictor mine"
        " --dtype-map attention=bf16,*/head/*=w4a16 --dtype-map conv=int8 --kv-dtype int8"
        " --software vllm-0.24.0 --fusion none --launch eager --cache warm"
        " --clock-mhz 1410 --power-limit-w 350.5 --entry forward --json -"
    )
    assert main(arguments.split()) == 0
    expected = {
        "dims": {"batch": 8, "seq": 128},
        "dtype": "fp8",
        "dtype_map": {"attention": "bf16", "*/head/*": "w4a16", "conv": "int8"},
        "kv_dtype": "int8",
        "predictor": "mine",
        "software": "vllm-0.24.0",
        "fusion": "none",
        "launch": "eager",
        "cache": "warm",
        "clock_mhz": 1410.0,
        "power_limit_w": 350.5,
        "entry": "forward",
    }
    assert predictor.calls == [(("m.onnx", "h100-sxm"), expected)]


def test_defaults(predictor: SimpleNamespace) -> None:
    assert main(["predict", "m.onnx", "--device", "h100-sxm", "--json", "-"]) == 0
    [(_, conditions)] = predictor.calls
    assert conditions == {
        "dims": {},
        "dtype": None,
        "dtype_map": {},
        "kv_dtype": None,
        "predictor": "default",
        "software": None,
        "fusion": "engine",
        "launch": "graph",
        "cache": "rotating",
        "clock_mhz": None,
        "power_limit_w": None,
        "entry": None,
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
        (["predct", "m.onnx"], "perfmodel: error: unknown command 'predct': did you mean 'predict'"),
        (["--verison"], "perfmodel: error: unknown option '--verison': did you mean '--version'?"),
        (["predict"], "the following arguments are required: MODEL, --device"),
        (["predict", "m.onnx", "--device", "d", "--dim", "x"], "perfmodel: error: --dim 'x': wanted NAME=N"),
        (["predict", "m.onnx", "--device", "d", "--fusion", "all"], "'all' is none of its values"),
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
        (KeyboardInterrupt(), 130, "perfmodel predict: interrupted; nothing was written\n"),
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


@pytest.mark.parametrize("arguments", ["devices --json -", "devices"])
def test_a_closed_pipe_is_quiet(arguments: str) -> None:
    # The first reader goes away at once, long before the catalogue is read.
    script = f"{sys.executable} -m perfmodel {arguments} | true; echo ${{PIPESTATUS[0]}}"
    done = subprocess.run(["bash", "-c", script], cwd=ROOT, capture_output=True, text=True, check=True)
    assert done.stdout == "141\n"
    assert done.stderr == ""


@pytest.mark.parametrize(("closed", "code"), [(">&-", 0), ("2>&-", 0), (">&- 2>&-", 0)])
def test_an_output_that_was_closed_from_the_start_is_no_bug(closed: str, code: int) -> None:
    script = f"{sys.executable} -m perfmodel devices h100-sxm {closed}"
    done = subprocess.run(["bash", "-c", script], cwd=ROOT, capture_output=True, text=True, check=False)
    assert done.returncode == code
    assert done.stderr == ""
    assert ("NVIDIA H100" in done.stdout) == closed.startswith("2")


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


def test_help_has_the_exit_codes_of_the_contracts(capsys: pytest.CaptureFixture[str]) -> None:
    page = (Path(__file__).parent.parent / "docs" / "contracts.md").read_text(encoding="utf-8")
    table = page.split("## Exit codes")[1].split("##")[0]
    codes = {code for row in re.findall(r"^\| ([\d, ]+) \|", table, re.MULTILINE) for code in row.split(", ")}
    assert {"0", "130", "143"} <= codes
    assert main(["--help"]) == 0
    told = capsys.readouterr().out.split("Exit codes:")[1].split("example:")[0]
    assert set(re.findall(r"\d+", told)) == codes


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


def test_all_lists_every_kind(predictor: SimpleNamespace, capsys: pytest.CaptureFixture[str]) -> None:
    predictor.results = [prediction(operators=tuple(operator("gemm", f"s{i}", 1e-6) for i in range(20)))]
    for option, kinds in (([], 15), (["--all"], 20)):
        assert main(["predict", "m.onnx", "--device", "h100-sxm", *option]) == 0
        assert capsys.readouterr().out.count("gemm bf16") == kinds


# --------------------------------------------------------------------------------------------------- the real thing
REAL = [DEMO, "--dtype", "bf16", "--predictor", "analytical"]  # what ships as `default` changes


def test_predict_the_demo_model(capsys: pytest.CaptureFixture[str], tmp_path: Path) -> None:
    target = tmp_path / "out.json"
    assert main(["predict", *REAL, "--device", "h100-sxm", "--dim", "batch=8", "--json", str(target)]) == 0
    lines = [line.rstrip() for line in capsys.readouterr().out.splitlines()]
    assert lines[0] == "resnet18 (batch=8, bf16) on h100-sxm"
    assert any("of 85.9 GB, at its peak" in line for line in lines)  # the H100's 80 GiB
    assert max(map(len, lines)) <= 80
    result = json.loads(target.read_text(encoding="utf-8"))
    # 11,689,512 parameters of 2 bytes, and no running statistics: batch normalisation is folded. Fusion leaves the
    # convolutions' biases uncounted or counts them: 4,800 values at most.
    assert 11_684_712 * 2 <= result["weights_bytes"] <= 11_699_112 * 2
    assert result["unmodelled"] == []
    for kernel in result["operators"]:
        assert set(kernel["latency_s"]) == {"value", "low", "high"}
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
