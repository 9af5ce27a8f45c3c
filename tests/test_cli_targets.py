"""Files that commands write are checked before their work: names, extras, folders, and that no two are one."""

from __future__ import annotations

import os
import sys
from dataclasses import replace
from pathlib import Path

import pytest

from perfmodel.cli import main, output
from perfmodel.hardware import load_device
from perfmodel.hardware.writer import device_toml

RESNET = str(Path(__file__).resolve().parent.parent / "examples" / "resnet18.onnx")
SINGLE = ["missing.onnx", "--device", "a10"]
LIMITS = ["--power-limit-w", "100:150:50"]


def complaint(capsys: pytest.CaptureFixture[str], *arguments: str) -> str:
    """Of a command whose model is missing: what is said before anybody looks for it."""
    assert main(list(arguments)) == 2
    said = capsys.readouterr()
    assert said.out == ""
    assert said.err.count("\n") == 1
    return said.err


@pytest.mark.parametrize(
    "arguments",
    [
        ["report", *SINGLE, "-o", "no/r.html"],
        ["compare", *SINGLE, "--html", "no/r.html"],
        ["compare", *SINGLE, "--plot", "no/r.svg"],
        ["sweep", *SINGLE, *LIMITS, "-o", "no/r.svg"],
        ["predict", *SINGLE, "--power-plot", "no/r.svg"],
        ["predict", *SINGLE, "--trace", "no/r.json"],
        ["predict", *SINGLE, "--table", "no/r.csv"],
        ["predict", *SINGLE, "--annotate", "no/r.onnx"],
        *([command, *SINGLE, "--json", "no/r.json"] for command in ("predict", "compare", "energy-table")),
        ["characterise", "missing.mlir", "--json", "no/r.json"],
        ["doctor", "--json", "no/r.json"],
    ],
    ids=" ".join,
)
def test_a_folder_that_is_not_there(
    arguments: list[str], tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.chdir(tmp_path)
    assert f"cannot write '{arguments[-1]}': there is no folder no\n" in complaint(capsys, *arguments)


@pytest.mark.parametrize(
    ("package", "arguments"),
    [
        ("vl_convert", ["compare", *SINGLE, "--html", "r.html"]),
        ("matplotlib", ["compare", *SINGLE, "--plot", "r.svg"]),
        ("matplotlib", ["sweep", *SINGLE, *LIMITS, "-o", "r.svg"]),
        ("matplotlib", ["predict", *SINGLE, "--power-plot", "r.png"]),
        ("pandas", ["predict", *SINGLE, "--table", "r.parquet"]),
    ],
)
def test_an_extra_that_is_missing(
    package: str, arguments: list[str], monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setitem(sys.modules, package, None)
    assert f"needs the package '{package}', which is not installed" in complaint(capsys, *arguments)


@pytest.mark.parametrize("sizes", ["4", ",".join(map(str, range(1, 42)))], ids=["one", "41"])
def test_sizes_are_counted_before_anything_is_predicted(sizes: str, capsys: pytest.CaptureFixture[str]) -> None:
    said = complaint(capsys, "compare", *SINGLE, "--dim", "batch=4", "--over", f"batch={sizes}")
    assert "a comparison over batch needs 2 to 40 sizes" in said


def test_a_file_in_a_folder_that_may_not_be_written_to(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """It is replaced by another that is written beside it."""
    there = tmp_path / "there.json"
    there.write_text("{}")
    real = os.access
    monkeypatch.setattr(os, "access", lambda path, mode: Path(path) != tmp_path and real(path, mode))
    said = complaint(capsys, "predict", *SINGLE, "--json", str(there))
    assert f"the folder {tmp_path} may not be written to" in said


@pytest.mark.parametrize("second", ["x.json", "./x.json", "folder/../x.json", "link.json"])
def test_two_results_in_one_file(
    second: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.chdir(tmp_path)
    (tmp_path / "folder").mkdir()
    (tmp_path / "link.json").symlink_to("x.json")
    said = complaint(capsys, "predict", *SINGLE, "--trace", "x.json", "--json", second)
    assert "--json and --trace both write x.json" in said
    rank = ["rank", "--space", "gemm", "--device", "h100-sxm", "-o", "x.json", "--json", second]
    assert f"--output and --json both write {second}" in complaint(capsys, *rank)


def test_the_model_is_not_written_over(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    model = tmp_path / "m.onnx"
    model.write_bytes(b"weights")
    assert "is the model itself, which is not replaced" in complaint(
        capsys, "predict", str(model), "--device", "a10", "--json", str(model)
    )
    assert model.read_bytes() == b"weights"


@pytest.mark.skipif(not Path("/dev/fd").is_dir(), reason="pipes have no names here")
def test_a_pipe_is_written_to_and_takes_more_than_one_result(capsys: pytest.CaptureFixture[str]) -> None:
    reader, writer = os.pipe()
    try:
        output.check_target(f"/dev/fd/{writer}", overwrite=True)
        output.write_text("through", f"/dev/fd/{writer}")
        assert os.read(reader, 100) == b"through"
    finally:
        os.close(reader)
        os.close(writer)
    said = complaint(capsys, "predict", *SINGLE, "--annotate", "/dev/null", "--json", "/dev/null")
    assert "both write" not in said


# ----------------------------------------------------------------------------------------------------------- prices
@pytest.mark.parametrize("name", ["mine", "the path"])
@pytest.mark.parametrize("command", ["predict", "compare"])
def test_a_device_file_has_a_price_by_its_id_and_by_its_path(
    command: str, name: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    path = tmp_path / "my.toml"
    path.write_text(device_toml(replace(load_device("a10"), id="mine")))
    price = f"{path if name == 'the path' else name}=3.6"
    arguments = [RESNET, "--device", str(path), "--dim", "batch=8", "--predictor", "analytical"]
    assert main([command, *arguments, "--price-per-hour", price]) == 0
    assert "no price was given" not in capsys.readouterr().out


def test_one_device_has_one_price(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    said = complaint(capsys, "compare", *SINGLE, "--price-per-hour", "a10=1,a10=2")
    assert "gives a10 twice: 1 and 2" in said
