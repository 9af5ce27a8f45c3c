"""Predictors that other packages register, the example of docs/your-own-predictor.md among them."""

from __future__ import annotations

import json
import re
import sys
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest

import perfmodel
from perfmodel._resources import data_path
from perfmodel.cli import main
from perfmodel.errors import InputError, PredictorError
from perfmodel.models.predictor import Predictor, load_trained, predictor_folder
from perfmodel.models.protocol import PredictorProtocol
from perfmodel.testing import PROMISES, check_predictor

PAGE = (Path(__file__).parent.parent / "docs" / "your-own-predictor.md").read_text(encoding="utf-8")
GEMM = perfmodel.Gemm(m=512, n=512, k=512, dtype="bf16")
Install = Callable[..., None]


def example(name: str) -> str:
    """The code of the page under the mark of that name."""
    found = re.search(rf"<!-- example: {re.escape(name)} -->\n```\w+\n(.*?)```", PAGE, re.DOTALL)
    assert found is not None
    return found[1]


@pytest.fixture
def install(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Install:
    """Puts a made-up package on the path: a module, and a dist-info with entry points."""
    monkeypatch.syspath_prepend(tmp_path)

    def package(module: str, code: str, *lines: str, distribution: str | None = None) -> None:
        (tmp_path / f"{module}.py").write_text(code)
        folder = tmp_path / f"{distribution or module}-1.2.dist-info"
        folder.mkdir()
        (folder / "METADATA").write_text(f"Metadata-Version: 2.1\nName: {distribution or module}\nVersion: 1.2\n")
        (folder / "entry_points.txt").write_text("\n".join(["[perfmodel.predictors]", *lines]) + "\n")
        monkeypatch.delitem(sys.modules, module, raising=False)

    return package


def test_the_example_of_the_page(install: Install, capsys: pytest.CaptureFixture[str]) -> None:
    header, line = example("entry points").strip().splitlines()
    assert header == '[project.entry-points."perfmodel.predictors"]'
    install("house_model", example("house_model.py"), line.replace('"', ""))
    loaded = perfmodel.load("house-model")
    assert loaded.name == "house-model"
    physics = perfmodel.load("analytical").predict(GEMM, "h100-sxm").latency_s[0]
    assert loaded.predict(GEMM, "h100-sxm").latency_s[0] == pytest.approx(1.08 * physics + 1.5e-6)
    check_predictor(loaded, devices=["h100-sxm", "v100-pcie-32gb"])
    model = str(data_path("examples", "resnet18.onnx"))
    assert (
        main(
            ["predict", model, "--device", "h100-sxm", "--dim", "batch=8", "--predictor", "house-model", "--json", "-"]
        )
        == 0
    )
    assert json.loads(capsys.readouterr().out)["predictor"] == "house-model"


def test_it_is_evaluated_like_ours(install: Install) -> None:
    pandas = pytest.importorskip("pandas", reason="traces need the extra train")
    install("house_model", example("house_model.py"), "house-model = house_model:make")
    m = np.array([64, 512, 2048])
    rows = pandas.DataFrame(
        {"device": "h100-sxm", "software": "vllm-0.9.0", "op": "gemm", "batch": 1, "m": m, "n": 512, "k": 512,
         "dtype": "bf16", "source": "made up", "cache": "warm"}
    )  # fmt: skip
    rows["latency_s"] = (
        perfmodel.load("analytical").predict({c: rows[c] for c in rows}, "h100-sxm", cache="warm").latency_s
    )
    [group] = perfmodel.evaluate(rows, "house-model")["groups"]
    expected = np.mean(0.08 + 1.5e-6 / rows["latency_s"])
    assert group["mape"] == pytest.approx(expected)
    with pytest.raises(InputError, match="the predictor 'house-model' is a HouseModel of another package"):
        perfmodel.evaluate(rows, "house-model", protocol="shapes")


def test_the_promises_of_the_page() -> None:
    _, _, table = PAGE.partition("<!-- promises -->\n")
    rows = re.findall(r"^\| `(\w+)` \| (.*) \|$", table.partition("\n\n")[0], re.MULTILINE)
    assert dict(rows) == {
        name: (promise.__doc__ or "").splitlines()[0].replace("``", "`") for name, promise in PROMISES.items()
    }  # fmt: skip


def test_ours_and_folders_come_first(install: Install, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    install("pretender", "def make(): raise AssertionError", "analytical = pretender:make", "default = pretender:make")
    assert isinstance(perfmodel.load("analytical"), Predictor)
    assert predictor_folder("default") == data_path("models", "default")
    (tmp_path / "here" / "pretended").mkdir(parents=True)
    monkeypatch.chdir(tmp_path / "here")
    install("other", "def make(): raise AssertionError", "pretended = other:make")
    with pytest.raises(PredictorError, match=r"pretended is no predictor: it holds no manifest\.json"):
        perfmodel.load("pretended")


@pytest.mark.parametrize(
    ("code", "line"),
    [
        ("import no_such_module_at_all", "ModuleNotFoundError: No module named 'no_such_module_at_all'"),
        ("def make():\n    raise RuntimeError('no licence\\nserver')", "RuntimeError: no licence server"),
        ("class make:\n    pass", "which is no predictor: it lacks name, predict"),
        ("class make:\n    name = 'x'", "which is no predictor: it lacks predict"),
        ("make = 3", "TypeError: 'int' object is not callable"),
        ("", "AttributeError: module 'broken' has no attribute 'make'"),
        ("def make(", "SyntaxError: "),
    ],
)
def test_one_that_does_not_load(install: Install, code: str, line: str, capsys: pytest.CaptureFixture[str]) -> None:
    install("broken", code, "theirs = broken:make")
    with pytest.raises(PredictorError) as error:
        perfmodel.load("theirs")
    assert line in str(error.value)
    assert "broken 1.2: broken:make" in str(error.value)
    model = str(data_path("examples", "resnet18.onnx"))
    assert main(["predict", model, "--device", "h100-sxm", "--dim", "batch=1", "--predictor", "theirs"]) == 2
    assert capsys.readouterr().err.count("\n") == 1


def test_two_packages_of_one_name(install: Install) -> None:
    install("one", "", "theirs = one:make")
    install("two", "", "theirs = two:make")
    with pytest.raises(InputError, match=r"several packages register a predictor 'theirs': .*one 1\.2: one:make"):
        perfmodel.load("theirs")


def test_names_are_suggested(install: Install) -> None:
    install("mine", "def make(): raise AssertionError", "house-model = mine:make")
    with pytest.raises(InputError, match="no predictor is called 'house-modle': did you mean 'house-model'"):
        perfmodel.load("house-modle")


def test_what_a_predictor_is() -> None:
    assert isinstance(Predictor(), PredictorProtocol)
    assert not isinstance(Path("x"), PredictorProtocol)  # it has a name, too
    assert load_trained("analytical").name == "analytical"
