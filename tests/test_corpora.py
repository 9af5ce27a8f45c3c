"""Files that once were read wrongly, by what read them: found by fuzzing (docs/robustness.md), each made small.

Beside them, a few damaged files of every target, so that the targets themselves stay in order.
"""

from __future__ import annotations

import copy
import random
import signal
from pathlib import Path

import pytest

pytest.importorskip("pandas", reason="traces need the extra train")

if not hasattr(signal, "setitimer"):
    pytest.skip("no timer of processor time here", allow_module_level=True)

from fuzz import mutations
from fuzz.targets import TARGETS
from fuzz.worker import judge

FOLDER = Path(__file__).parent / "corpora"
FILES = sorted(p for p in FOLDER.glob("*/*"))
DAMAGED = 6


@pytest.mark.parametrize("path", FILES, ids=lambda p: f"{p.parent.name}-{p.name}")
def test_what_was_read_wrongly_is_a_result_or_one_line(path: Path, tmp_path: Path) -> None:
    came_to, error = judge(TARGETS[path.parent.name].read, path.read_bytes(), tmp_path)
    assert error is None, repr(error)
    assert came_to in ("result", "refused")


@pytest.mark.parametrize("name", [n for n, t in TARGETS.items() if t.needs is None and t.mutations])
def test_damaged_files_of_every_kind(name: str, tmp_path: Path) -> None:
    target = TARGETS[name]
    if name in ("onnx", "onnx-annotated", "onnx-external", "mlir-text", "characterise"):
        pytest.skip("tried by the tests of its reader")
    if name in ("import-onnxruntime", "predictor-shipped"):
        pytest.skip("takes seconds to set up: fuzzed, not tested")
    rng = random.Random(f"damaged {name}")
    seeds = list(target.seeds())
    for _ in range(DAMAGED):
        data = rng.choice(target.mutations)(rng.choice(seeds), rng)
        _, error = judge(target.read, data, tmp_path)
        assert error is None, repr(error)


def test_damage_of_one_file_is_none_of_the_next() -> None:
    """A value that damage puts into a file must not be changed with it: it once came to hold itself, and filled the memory."""
    rng, before = random.Random("others"), copy.deepcopy(mutations.OTHERS)
    data = b'{"a": [1, 2, 3], "b": {"c": [[]]}}'
    for _ in range(300):
        data = mutations.of_json(data, rng)[:2000]
        assert before == mutations.OTHERS
        data = data if data.endswith(b"}") else b'{"a": [1, 2, 3], "b": {"c": [[]]}}'


@pytest.mark.parametrize(
    "name", ["traces-csv", "traces-parquet", "configs-csv", "device-toml", "predictor-manifest", "rank-space"]
)
def test_whole_files_are_read(name: str, tmp_path: Path) -> None:
    """So that a target that refuses everything is noticed."""
    came_to = [judge(TARGETS[name].read, seed, tmp_path) for seed in TARGETS[name].seeds()]
    assert ("result", None) in came_to
    assert not [error for _, error in came_to if error is not None]
