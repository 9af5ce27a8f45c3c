"""Training loses nothing that somebody has: other files, the predictor that is there, finished pieces."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator
from importlib import import_module
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest
from model_doubles import write_predictor
from test_power_learned import entry_of, powered_folder

from perfmodel import load
from perfmodel.cli import main
from perfmodel.correct import train_on_base
from perfmodel.errors import InputError
from perfmodel.models import artefact
from perfmodel.models.constants import FALLBACK
from perfmodel.training.resume import Pieces

pandas = pytest.importorskip("pandas", reason="training needs the extra train")
pytest.importorskip("xgboost", reason="training needs the extra train")

training, power = import_module("perfmodel.train"), import_module("perfmodel.train_power")
KEY = "0123456789abcdef" * 2
CHARACTERISER = {"schema": 1, "kind": "characteriser", "boosters": []}


def files(folder: Path) -> dict[str, bytes]:
    return {str(p.relative_to(folder)): p.read_bytes() for p in sorted(folder.rglob("*")) if p.is_file()}


def interrupted(*_: Any, **__: Any) -> Any:
    raise KeyboardInterrupt


def gemms(**changes: Any) -> Any:
    m = np.tile([64.0, 128.0, 256.0, 512.0], 6)
    columns = {
        "op": "gemm", "batch": 1, "m": m, "n": np.repeat(64.0 * np.arange(1, 7), 4), "k": 256, "dtype": "bf16",
        "device": "h100-sxm", "software": "stack0-1.0", "source": "made up", "cache": "warm", "latency_s": 1e-5,
    }  # fmt: skip
    return pandas.DataFrame({**columns, **changes})


# ---------------------------------------------------------------------------------------------------------------- pieces
def test_only_pieces_are_removed_with_the_pieces(tmp_path: Path) -> None:
    pieces = Pieces(tmp_path)
    pieces.store(KEY, {"a": 1}, {"x": np.arange(3)})
    (tmp_path / f"{KEY[::-1]}.npz").write_bytes(b"the process died before its JSON was written")
    (tmp_path / f".{KEY}.json.12.34.tmp").write_bytes(b"or while it was")
    others = {"thesis.tex", f"{'d' * 32}.json", "results.json", "results.npz", f"{KEY}.npz.bak", f"data/{KEY}.json"}
    for name in others:
        (tmp_path / name).parent.mkdir(exist_ok=True)
        (tmp_path / name).write_text("months of work")
    pieces.remove()
    assert set(files(tmp_path)) == others


def test_a_folder_of_nothing_but_pieces_goes_with_them(tmp_path: Path) -> None:
    pieces = Pieces(tmp_path / "pieces")
    pieces.remove()  # before there is one
    pieces.store(KEY, {"a": 1}, {"x": np.arange(3)})
    pieces.remove()
    assert list(tmp_path.iterdir()) == []
    Pieces(None).remove()


@pytest.mark.parametrize("where", [".", "p", "p/../p", "..", "file", "file/deeper"])
def test_pieces_need_a_folder_of_their_own(where: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "work").mkdir()
    monkeypatch.chdir(tmp_path / "work")
    Path("file").write_text("mine")
    with pytest.raises(InputError, match="finished pieces") as error:
        training.train("no-such-traces.csv", "p", resume=where)  # refused before the traces are read
    assert "\n" not in str(error.value)
    assert [p.name for p in Path().iterdir()] == ["file"]


# ---------------------------------------------------------------------------------------------------------------- outputs
def anew(output: Path) -> None:
    training.train("no-such-traces.csv", output)


def on_base(output: Path) -> None:
    train_on_base("no-such-traces.csv", output, base="default")


HOW = [pytest.param(anew, id="anew"), pytest.param(on_base, id="on a base")]
FOREIGN = {
    "some text": ("notes.txt", "mine"),
    "an extension of a browser": ("manifest.json", '{"manifest_version": 3}'),
    "a characteriser": ("manifest.json", json.dumps(CHARACTERISER)),
    "pieces of a collection": (f"t.parquet.pieces/{KEY}.parquet", "rows"),
}


@pytest.mark.parametrize("train", HOW)
@pytest.mark.parametrize("what", FOREIGN)
def test_a_folder_of_something_else_is_refused_before_the_work(
    train: Callable[[Path], None], what: str, tmp_path: Path
) -> None:
    name, text = FOREIGN[what]
    for file, content in ((name, text), ("accuracy.json", "mine"), (".new/card.md", "mine")):
        (tmp_path / "p" / file).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / "p" / file).write_text(content)
    before = files(tmp_path)
    with pytest.raises(InputError, match=r"p holds (manifest\.json|accuracy\.json).*and is no predictor") as error:
        train(tmp_path / "p")
    assert "\n" not in str(error.value)
    assert files(tmp_path) == before


@pytest.mark.parametrize("train", HOW)
def test_a_file_is_no_folder(train: Callable[[Path], None], tmp_path: Path) -> None:
    (tmp_path / "p").write_text("mine")
    with pytest.raises(InputError, match="p is a file; wanted a folder"):
        train(tmp_path / "p")
    assert (tmp_path / "p").read_text() == "mine"


@pytest.mark.parametrize("train", HOW)
@pytest.mark.parametrize(
    "left", [None, ".gitignore", ".partial/x.json", ".new/card.md", ".installing/card.md", "predictor"]
)
def test_what_a_training_left_is_trained_into(train: Callable[[Path], None], left: str | None, tmp_path: Path) -> None:
    if left == "predictor":
        write_predictor(tmp_path, ("h100-sxm", "bf16", (0.5,)))
    elif left is not None:
        artefact.write_file(tmp_path, left, b"{}")
    with pytest.raises(Exception, match=r"no-such-traces\.csv"):
        train(tmp_path)


def test_pieces_inside_the_output_are_no_foreign_files(tmp_path: Path) -> None:
    artefact.write_file(tmp_path, f"p/mine/pieces/{KEY}.json", b"{}")
    with pytest.raises(Exception, match=r"no-such-traces\.csv"):
        training.train("no-such-traces.csv", tmp_path / "p", resume=tmp_path / "p" / "mine" / "pieces")


# ------------------------------------------------------------------------------------------------------------- interrupts
def test_an_interrupted_training_leaves_no_new_files(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(training, "in_parallel", interrupted)
    with pytest.raises(KeyboardInterrupt):
        training.train(gemms(), tmp_path / "p", constants=FALLBACK)
    assert list(tmp_path.iterdir()) == []
    write_predictor(tmp_path / "p", ("h100-sxm", "bf16", (0.5,)))
    before = files(tmp_path)
    with pytest.raises(KeyboardInterrupt):
        training.train(gemms(), tmp_path / "p", constants=FALLBACK)
    assert files(tmp_path) == before
    assert not (tmp_path / "p" / ".new").exists()


def test_interrupted_training_of_power_leaves_the_predictor(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    folder = powered_folder(tmp_path / "p")
    (folder / "accuracy.json").write_text("{}")
    before = files(folder)

    def one_and_no_more(*_: Any) -> Iterator[Any]:
        yield SimpleNamespace(entry=entry_of("", ""), booster=b"another booster", rows=[])
        raise KeyboardInterrupt

    task = SimpleNamespace(rows=[], name="h100-sxm bf16", device="h100-sxm")
    monkeypatch.setattr(power, "power_tasks", lambda *_: [task, task])
    monkeypatch.setattr(power, "in_parallel", one_and_no_more)
    monkeypatch.setattr(power, "_line", lambda rows: "")
    with pytest.raises(KeyboardInterrupt):
        power.train_power(gemms(power_w=300.0), folder)
    assert files(folder) == before
    assert (
        load(folder).predict({"op": "gemm", "m": 4096, "n": 4096, "k": 4096, "dtype": "bf16"}, "h100-sxm").power_w > 0
    )


@pytest.mark.parametrize(
    ("options", "written", "said"),
    [
        ([], False, "{p} is as it was"),
        ([], True, "the latency's predictor is written to {p}; --only power adds what the traces say of power"),
        (["--only", "latency"], True, "{p} is written"),
        (["--only", "power"], False, "{p} is as it was"),
        (["--base", "default"], False, "{p} is as it was"),
    ],
)  # fmt: skip
def test_an_interrupt_says_whether_the_predictor_is_written(
    options: list[str], written: bool, said: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:  # fmt: skip
    folder = tmp_path / "p"
    write_predictor(folder, ("h100-sxm", "bf16", (0.5,)))

    def stopped(*_: Any, **__: Any) -> None:
        if written:
            with artefact.staged(folder) as new:
                write_predictor(new, ("h100-sxm", "bf16", (0.5,)))
        raise KeyboardInterrupt

    for module, name in (("train", "train"), ("train_power", "train_power"), ("correct", "train_on_base")):
        monkeypatch.setattr(import_module(f"perfmodel.{module}"), name, stopped)
    assert main(["train", "t.csv", "-o", str(folder), *options]) == 130
    assert capsys.readouterr().err == f"perfmodel train: interrupted; {said.format(p=folder)}\n"
