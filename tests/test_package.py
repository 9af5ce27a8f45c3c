"""The package as a whole: what an import loads, which names are public, where the data are, and the demo model."""

from __future__ import annotations

import ast
import json
import math
import re
import subprocess
import sys
from pathlib import Path

import onnx
import pytest
from scripts import script

import perfmodel
from perfmodel import _resources
from perfmodel.errors import InputError

ROOT = Path(__file__).resolve().parent.parent
HEAVY = {
    "google.protobuf", "matplotlib", "numpy", "onnx", "onnx_ir", "onnx_shape_inference", "pandas", "pyarrow", "rich",
    "scipy", "sklearn", "sympy", "xgboost",
}  # fmt: skip


def loaded_by(code: str) -> set[str]:
    """Modules that a fresh interpreter loads for ``code``, beyond those that it starts with."""
    script = f"""
import sys
before = set(sys.modules)
{code}
import json
print(json.dumps(sorted(set(sys.modules) - before)))
"""
    done = subprocess.run([sys.executable, "-c", script], cwd=ROOT, capture_output=True, text=True, check=True)
    return set(json.loads(done.stdout.splitlines()[-1]))


# ------------------------------------------------------------------------------------------------ what is loaded
def test_import_loads_the_package_alone() -> None:
    loaded = loaded_by("import perfmodel")
    assert {name for name in loaded if name.startswith("perfmodel")} == {"perfmodel"}
    assert not loaded & HEAVY


def test_errors_and_dtypes_need_no_numpy() -> None:
    assert not loaded_by("import perfmodel; perfmodel.PerfmodelError; import perfmodel.dtypes") & HEAVY


def test_a_descriptor_needs_numpy_alone() -> None:
    loaded = loaded_by("import perfmodel; assert perfmodel.Gemm(m=2, n=3, k=4, dtype='fp32').flops == 48")
    assert "numpy" in loaded
    assert not loaded & (HEAVY - {"numpy"})


@pytest.mark.parametrize("arguments", [["--help"], ["predict", "--help"], ["compare", "--help"], ["devices", "--help"]])
def test_help_loads_nothing_heavy(arguments: list[str]) -> None:
    loaded = loaded_by(f"from perfmodel.cli import main; assert main({arguments!r}) == 0")
    assert not loaded & HEAVY


# ------------------------------------------------------------------------------------------------- public names
@pytest.mark.parametrize("name", perfmodel.__all__)
def test_public_name_is_there(name: str) -> None:
    value = getattr(perfmodel, name)
    assert name in dir(perfmodel)
    if name != "__version__":
        assert value.__name__ == name


def test_type_checkers_see_the_same_names() -> None:
    """The names under TYPE_CHECKING, which only type checkers read, are those that load lazily, from the same place."""
    tree = ast.parse(Path(perfmodel.__file__).read_text(encoding="utf-8"))
    [block] = [n for n in tree.body if isinstance(n, ast.If) and ast.unparse(n.test) == "TYPE_CHECKING"]
    seen = {a.asname: n.module for n in block.body if isinstance(n, ast.ImportFrom) for a in n.names}
    assert seen == {name: f"perfmodel.{module}" for name, module in perfmodel._MODULE_OF.items()}


def test_unknown_name() -> None:
    with pytest.raises(AttributeError, match="no attribute 'Gem'"):
        _ = perfmodel.Gem


def test_a_function_with_its_modules_name_stays_a_function() -> None:
    # Whichever is touched first: importing the submodule binds it to the package, where the function must stay.
    for first in ("import perfmodel.predict", "from perfmodel.predict import compare", "perfmodel.predict", "pass"):
        code = f"import perfmodel; {first}; import perfmodel.predict; assert callable(perfmodel.predict)"
        loaded_by(code)


# ---------------------------------------------------------------------------------------------------- data files
def test_examples_are_models_scripts_and_kernels_but_no_package() -> None:
    # A folder `examples` on someone's path must shadow nothing: scripts are run by their path.
    endings = {p.suffix for p in (ROOT / "examples").rglob("*") if p.is_file()}
    assert endings <= {
        ".onnx",
        ".mlir",
        ".py",
        ".ipynb",
        ".c",
        ".cpp",
        ".toml",
    }  # kernels to tune, and what parameters mean
    assert not list((ROOT / "examples").rglob("__init__.py"))


@pytest.mark.parametrize("folder", ["datasets", "features", "models"])
def test_data_folders_hold_no_code(folder: str) -> None:
    assert [p for p in (ROOT / folder).rglob("*") if p.suffix in (".py", ".pyi", ".pkl", ".pickle")] == []
    assert _resources.data_path(folder).is_dir()


def test_data_in_a_checkout_and_in_a_wheel(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    # A wheel: site-packages/perfmodel/_data/models, beside a foreign top-level folder `models`.
    package = tmp_path / "site-packages" / "perfmodel"
    (package / "_data" / "models" / "default").mkdir(parents=True)
    (tmp_path / "site-packages" / "models" / "theirs").mkdir(parents=True)
    (tmp_path / "site-packages" / "datasets").mkdir()
    monkeypatch.setattr(_resources, "_PACKAGE", package)
    assert _resources.data_path("models", "default") == package / "_data" / "models" / "default"
    with pytest.raises(InputError, match="lost its datasets folder"):
        _resources.data_path("datasets")
    # A checkout: the folder that has a pyproject.toml.
    checkout = tmp_path / "checkout"
    (checkout / "perfmodel").mkdir(parents=True)
    (checkout / "datasets").mkdir()
    (checkout / "pyproject.toml").touch()
    monkeypatch.setattr(_resources, "_PACKAGE", checkout / "perfmodel")
    assert _resources.data_path("datasets") == checkout / "datasets"


@pytest.mark.parametrize("part", ["..", "../models", "/etc", "a/b"])
def test_data_path_leads_nowhere_else(part: str) -> None:
    with pytest.raises(InputError, match="wanted a plain name"):
        _resources.data_path("examples", part)


def test_data_path_names_what_is_there() -> None:
    with pytest.raises(
        InputError, match=r"no examples/resnet81\.onnx: did you mean 'resnet18\.onnx' or 'gpt2\.onnx'\?"
    ):
        _resources.data_path("examples", "resnet81.onnx")
    with pytest.raises(InputError, match=r"known: [^R]*$"):  # README.md is no data
        _resources.data_path("features", "zzzzzz")
    with pytest.raises(InputError, match="did you mean 'models'"):
        _resources.data_path("model")


# ---------------------------------------------------------------------------------------------------- demo model
@pytest.mark.parametrize("name", ["resnet18", "gpt2"])
def test_demo_model_is_the_one_that_the_script_writes(name: str) -> None:
    demo = script("make_demo_model")
    assert onnx.load(demo.TARGET / f"{name}.onnx", load_external_data=False) == demo.MODELS[name]()


def test_demo_model_is_gpt2() -> None:
    model = onnx.load(_resources.data_path("examples", "gpt2.onnx"), load_external_data=False)
    # 124,439,808 parameters, as published implementations count them: 50,257 and 1,024 rows of 768, and 12 layers of
    # 7,087,872; two more vectors in the last norm.
    elements = [math.prod(w.dims) for w in model.graph.initializer]
    assert sum(elements) == (50257 + 1024 + 2) * 768 + 12 * 7_087_872 == 124_439_808
    assert [i.name for i in model.graph.input[:3]] == ["input_ids", "position_ids", "past_key_values.0.key"]
    assert len(model.graph.input) == 2 + 2 * 12
    assert len(model.graph.output) == 1 + 2 * 12


def test_demo_model_is_resnet_18() -> None:
    model = onnx.load(_resources.data_path("examples", "resnet18.onnx"), load_external_data=False)
    elements = {}
    for weight in model.graph.initializer:
        elements[weight.name] = 1
        for extent in weight.dims:
            elements[weight.name] *= extent
    # 11,689,512 parameters, as published implementations count them; the running means and variances of the
    # 4,800 normalised channels (64 + 4*64 + 5*128 + 5*256 + 5*512) are no parameters.
    statistics = sum(n for name, n in elements.items() if name.endswith((".bn.mean", ".bn.var")))
    assert statistics == 9_600
    assert sum(elements.values()) - statistics == 11_689_512
    assert all(w.data_location == onnx.TensorProto.EXTERNAL and not w.raw_data for w in model.graph.initializer)
    inferred = onnx.shape_inference.infer_shapes(model, strict_mode=True, data_prop=True)
    shapes = {
        v.name: [d.dim_param or d.dim_value for d in v.type.tensor_type.shape.dim] for v in inferred.graph.value_info
    }
    assert shapes["stem.pool"] == ["batch", 64, 56, 56]
    assert shapes["stage4.block2.relu2"] == ["batch", 512, 7, 7]


@pytest.mark.parametrize("name", ["resnet18", "gpt2"])
def test_demo_model_is_valid_onnx(name: str) -> None:
    # The checker wants to read weights; as inputs they are only declared.
    model = onnx.load(_resources.data_path("examples", f"{name}.onnx"), load_external_data=False)
    for weight in model.graph.initializer:
        model.graph.input.append(onnx.helper.make_tensor_value_info(weight.name, weight.data_type, list(weight.dims)))
    del model.graph.initializer[:]
    onnx.checker.check_model(model, full_check=True)


# --------------------------------------------------------------------------------------------------------- pages
PAGES = sorted([*ROOT.glob("*.md"), *(ROOT / "docs").rglob("*.md")])


def test_commands_in_the_pages_run() -> None:
    refresh = script("refresh_docs")
    ran = {command: refresh.run(command) for page in PAGES for command in refresh.commands(page.read_text("utf-8"))}
    assert ran
    # 2: pages show what an error looks like, too; but never a traceback.
    assert {command: output for command, (code, output) in ran.items() if code not in (0, 2) or "Trace" in output} == {}


def test_the_output_of_commands_is_put_into_pages(monkeypatch: pytest.MonkeyPatch) -> None:
    refresh = script("refresh_docs")
    monkeypatch.setattr(refresh, "run", lambda command: (0, f"<{command}>\n"))
    block = "```console\n$ perfmodel a\nold\n$ ls\nkept\n$ perfmodel b\n```\n"
    page = f"$ perfmodel x\n{block}text\n```sh\n$ perfmodel c\n```\n"
    wanted = page.replace("perfmodel a\nold\n", "perfmodel a\n<perfmodel a>\n")
    wanted = wanted.replace("perfmodel b\n", "perfmodel b\n<perfmodel b>\n")
    assert refresh.refreshed(page) == wanted


@pytest.mark.parametrize("page", PAGES, ids=lambda p: str(p.relative_to(ROOT)))
def test_links_between_pages_lead_somewhere(page: Path) -> None:
    targets = re.findall(r"\]\(([^)#\s]+)(?:#[^)]*)?\)", page.read_text(encoding="utf-8"))
    local = [t for t in targets if "://" not in t and not t.startswith("mailto:")]
    assert [t for t in local if not (page.parent / t).exists()] == []


def test_the_reference_has_every_public_name() -> None:
    pages = [(ROOT / "docs" / "reference" / name).read_text() for name in ("python.md", "operators.md")]
    shown = {line.removeprefix("::: ") for page in pages for line in page.splitlines() if line.startswith(":::")}
    for name in perfmodel.__all__:
        if name != "__version__":
            found = getattr(perfmodel, name)
            assert {f"{found.__module__}.{found.__name__}", found.__module__} & shown, name
            assert found.__doc__, name
