"""Wherever a user names something, a misspelt name is answered with the nearest one, in Python and at the command line."""

from __future__ import annotations

import copy
import pickle
import shlex
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

import perfmodel
from perfmodel.cli import main
from perfmodel.errors import CheckedFields, checked_keywords, nearest, one_of
from perfmodel.export import artefact, operator

ROOT = Path(__file__).parent.parent
MODEL = str(ROOT / "examples" / "resnet18.onnx")
GPT2 = str(ROOT / "examples" / "gpt2.onnx")
MLP = str(ROOT / "examples" / "mlp.mlir")
GEMM = perfmodel.Gemm(m=64, n=64, k=64, dtype="fp32")


def predicted(device: Any = "h100-sxm", model: Any = MODEL, **changes: Any) -> Any:
    return perfmodel.predict(model, device, **{"dims": {"batch": 1}, **changes})


PYTHON: dict[str, tuple[Callable[[], object], str]] = {
    "a name of the package": (lambda: perfmodel.predct, "did you mean 'predict'"),  # type: ignore[attr-defined]
    "device": (lambda: predicted("h100-smx"), "'h100-smx': did you mean 'h100-sxm' .* lists all"),
    "several devices": (lambda: predicted("h100-sxm,l40s"), "wanted one device, .* `perfmodel compare` and `report` take"),
    "device, far off": (lambda: predicted("zzz"), "`perfmodel devices` lists the 7. that there are"),
    "dtype": (lambda: predicted(dtype="bf61"), "did you mean 'bf16'"),
    "dtype of the cache": (lambda: predicted(kv_dtype="fp9"), "did you mean 'fp8'"),
    "family in a map": (lambda: predicted(dtype_map={"conf": "bf16"}), "did you mean 'conv'"),
    "dtype in a map": (lambda: predicted(dtype_map={"conv": "bf61"}), "did you mean 'bf16'"),
    "dimension": (lambda: predicted(dims={"batsh": 1}), "'batch', .* it has no dimension 'batsh'"),
    "dimension beside": (lambda: predicted(dims={"batch": 1, "sek": 2}), "no dimension 'sek'"),
    "dims": (lambda: predicted(dims=["batch"]), "wanted a mapping of names"),
    "predictor": (lambda: predicted(predictor="defualt"), "did you mean 'default'"),
    "predictor of another kind": (lambda: predicted(predictor=3), "got int"),
    "software": (lambda: predicted(software="vlm"), "did you mean 'vllm'"),
    "fusion": (lambda: predicted(fusion="engin"), "did you mean 'engine'"),
    "launch": (lambda: predicted(launch="grph"), "did you mean 'graph'"),
    "cache": (lambda: predicted(cache="rotatin"), "did you mean 'rotating'"),
    "function of a module": (lambda: predicted(model=MLP, dims=None, entry="mian"), "did you mean 'main'"),
    "file": (lambda: predicted(model=MODEL.replace("18", "81")), "no such file; did you mean 'resnet18.onnx'"),
    "model of another kind": (lambda: predicted(model=None), "got NoneType"),
    "predict(dim=)": (lambda: predicted(dim=1), "predict has no argument 'dim': did you mean 'dims'"),
    "predict(batch=)": (lambda: predicted(batch=8), r"no argument 'batch': .* go in dims=\{'batch': 8\}"),
    "predict(power_limit=)": (lambda: predicted(power_limit=300), "did you mean 'power_limit_w'"),
    "compare(dimz=)": (lambda: perfmodel.compare(MODEL, ["l40s"], dimz={}), "did you mean 'dims'"),  # type: ignore[call-arg]
    "predict_generation(promt=)": (
        lambda: perfmodel.predict_generation(GPT2, "l40s", promt=1, generate=2), "did you mean 'prompt'",  # type: ignore[call-arg]
    ),
    "predict_generation(launh=)": (
        lambda: perfmodel.predict_generation(GPT2, "l40s", prompt=1, generate=2, launh="eager"), "did you mean 'launch'",  # type: ignore[call-arg]
    ),
    "report(whatif=)": (lambda: perfmodel.report(MODEL, "l40s", whatif=False), "did you mean 'what_if'"),  # type: ignore[call-arg]
    "evaluate(protocl=)": (lambda: perfmodel.evaluate("t.csv", protocl="shapes"), "did you mean 'protocol'"),  # type: ignore[call-arg]
    "train(family=)": (lambda: perfmodel.train("t.csv", "o", family=["gemm"]), "did you mean 'families'"),  # type: ignore[call-arg]
    "rank(objectiv=)": (lambda: perfmodel.rank(GEMM, {}, "rtx-3090", objectiv=""), "did you mean 'objective'"),  # type: ignore[call-arg]
    "Ranker(objectiv=)": (
        lambda: perfmodel.Ranker(GEMM, {}, "rtx-3090", objectiv=""), "Ranker has no argument .* 'objective'",  # type: ignore[call-arg]
    ),
    "Prices(pues=)": (lambda: perfmodel.Prices(pues=1.1), "did you mean 'pue'"),  # type: ignore[call-arg]
    "Gemm(M=)": (lambda: perfmodel.Gemm(M=1, n=1, k=1, dtype="bf16"), "Gemm has no argument 'M': did you mean 'm'"),  # type: ignore[call-arg]
    "Norm.kind": (lambda: perfmodel.Norm(rows=1, cols=1, kind="rmsnrom", dtype="bf16"), "did you mean 'rmsnorm'"),
    "region": (lambda: perfmodel.grid_region("Germny"), "did you mean DEU"),
    "objective": (lambda: perfmodel.rank(GEMM, {"MWG": [8]}, "rtx-3090", objective="latncy"), "did you mean 'latency'"),
    "space": (lambda: perfmodel.rank(GEMM, {"MWG": [8]}, "rtx-3090", space="clblast_sgem"), "did you mean 'clblast_sgemm'"),
    "column": (lambda: perfmodel.rank(GEMM, {"MWGG": [8]}, "rtx-3090"), "'MWGG': did you mean 'MWG'"),
    "grouping": (lambda: perfmodel.evaluate("t.csv", by=["devce"]), "did you mean 'device'"),
    "target": (lambda: perfmodel.evaluate("t.csv", target="latencey"), "did you mean 'latency'"),
    "exported family": (lambda: operator("default", "h100-sxm", "gem", "bf16"), "did you mean 'gemm'"),
    "exported field": (
        lambda: operator("default", "h100-sxm", "norm", "bf16", settings={"kindd": 1}), "did you mean 'kind'",
    ),
    "exported format": (
        lambda: artefact(operator("analytical", "h100-sxm", "copy", "bf16"), "rust"), "format is 'rust': known: c, onnx",
    ),
}  # fmt: skip


@pytest.mark.parametrize("name", PYTHON)
def test_python_names_the_nearest(name: str) -> None:
    call, said = PYTHON[name]
    with pytest.raises((perfmodel.PerfmodelError, AttributeError), match=said):
        call()


COMMANDS = {
    "predikt x": "did you mean 'predict'",
    f"predict {MODEL} --devise h100-sxm": "--devise: did you mean '--device'",
    f"predict {MODEL} --device h100-smx": "did you mean 'h100-sxm'",
    f"predict {MODEL} --device h100-sxm --fusion engin": "did you mean 'engine'? known: none, engine",
    f"predict {MODEL} --device h100-sxm --dim batch=1 --grid Frnce": "did you mean FRA (France)",
    f"compare {MODEL} --device h100-sxm --dim batch=1 --rank latncy": "did you mean 'latency'",
    "energy-table --device h100-sxm --what-if multiplier=adr": "did you mean 'adder'",
    f"characterise {MLP} --target iree-llvm-cpu-haswel": "did you mean 'iree-llvm-cpu-haswell'",
    "export default --format c --device h100-sxm --op gemm --dtype bf16 --set mm=3": "did you mean 'm'",
    "export default --format cc --device h100-sxm --op gemm --dtype bf16": "did you mean 'c'? known: c, onnx",
    "devices h100-smx": "did you mean 'h100-sxm'",
    "devices --vendor nvida": "did you mean 'NVIDIA'",
    "datasets gett": "did you mean 'get'",
    "datasets get neusigt": "did you mean 'neusight'",
    "import x.json --device h100-sxm --software s --format onnxruntme -o o.csv": "did you mean 'onnxruntime'",
    "evaluate t.csv --by devce": "did you mean 'device'",
    "evaluate t.csv --protocol shape": "did you mean 'shapes'",
    "completion zhs": "did you mean 'zsh'",
}


@pytest.mark.parametrize("line", COMMANDS)
def test_commands_name_the_nearest(line: str, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(shlex.split(line)) == 2
    error = capsys.readouterr().err
    assert COMMANDS[line] in error
    assert error.count("\n") == 1


def test_options_that_are_nothing_alike_are_not_proposed(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["train", "t.csv", "-o", "x", "--target", "power"]) == 2
    assert "did you mean" not in capsys.readouterr().err


def test_capitals_count_where_they_are_part_of_a_name() -> None:
    assert nearest("MWGG", ["MWG", "mode"], limit=1) == "did you mean 'MWG'?"
    assert nearest("H100-SXM", ["h100-sxm"]) == "did you mean 'h100-sxm'?"


def test_long_lists_are_not_printed() -> None:
    many = [f"name-{i}" for i in range(100)]
    assert nearest("?", many, listed="`x`") == "`x` lists the 100 that there are"
    assert nearest("?", many[:3], listed="`x`") == "known: name-0, name-1, name-2"


def test_values_that_are_no_text_are_refused_in_a_line() -> None:
    with pytest.raises(perfmodel.InputError, match="launch is 3: known: graph, eager"):
        one_of("launch", 3, ("graph", "eager"))


def test_a_wrong_keyword_is_a_type_error_as_in_python() -> None:
    with pytest.raises(TypeError, match="no argument 'x'"):
        perfmodel.Prices(x=1)  # type: ignore[call-arg]


def test_functions_keep_what_they_are_called_with() -> None:
    @checked_keywords(["more"])
    def add(one: int, *, other: int = 2, **further: int) -> int:
        """Adds."""
        return one + other + sum(further.values())

    assert (add(1), add(1, other=5), add(one=1, more=3)) == (3, 6, 6)
    assert (add.__name__, add.__doc__) == ("add", "Adds.")
    with pytest.raises(perfmodel.KeywordError, match="add has no argument 'othr': did you mean 'other'"):
        add(1, othr=1)


def test_descriptors_are_copied_and_pickled_as_before() -> None:
    assert pickle.loads(pickle.dumps(GEMM)) == copy.deepcopy(GEMM) == GEMM.replace() == GEMM
    assert isinstance(GEMM, CheckedFields)


def test_one_device_needs_no_list() -> None:
    [one] = perfmodel.compare(MODEL, "h100-sxm", dims={"batch": 1})
    assert one.device == "h100-sxm"
    with pytest.raises(perfmodel.InputError, match="at least one device"):
        perfmodel.compare(MODEL, [], dims={"batch": 1})
