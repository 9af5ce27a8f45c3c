"""The backend test models inside the installed onnx package: those on disk, and the node tests, which newer versions make
on the fly."""

from __future__ import annotations

import warnings
from collections.abc import Iterator
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path
from typing import Any

import onnx

FOLDERS = ("light", "simple", "pytorch-converted", "pytorch-operator", "node")
DATA = Path(onnx.__file__).parent / "backend" / "test" / "data"


@dataclass(frozen=True)
class Case:
    """One model.

    Attributes:
        model: bytes of the file.
        inputs, outputs: the numbers of its first data set, where the package has them at hand.
    """

    name: str
    model: bytes
    inputs: tuple[Any, ...] = ()
    outputs: tuple[Any, ...] = ()


@lru_cache(maxsize=1)
def node_cases() -> tuple[Case, ...]:
    """The tests of single operators."""
    folder = DATA / "node"
    if folder.is_dir():
        return tuple(_stored(path) for path in sorted(folder.glob("*/model.onnx")))
    from onnx.backend.test.loader import load_node_model_tests

    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # casts that overflow on purpose
        cases = load_node_model_tests()
    return tuple(
        Case(c.name, c.model.SerializeToString(), *(map(tuple, c.data_sets[0]) if c.data_sets else ())) for c in cases
    )


def _stored(path: Path) -> Case:
    from onnx import numpy_helper

    def numbers(kind: str) -> tuple[Any, ...]:
        found = []
        files = sorted((path.parent / "test_data_set_0").glob(f"{kind}_*.pb"), key=lambda p: int(p.stem.split("_")[1]))
        for file in files:
            tensor = onnx.TensorProto()
            try:
                tensor.ParseFromString(file.read_bytes())
                found.append(numpy_helper.to_array(tensor))
            except Exception:  # a sequence or an optional: no numbers to compare
                return ()
        return tuple(found)

    return Case(path.parent.name, path.read_bytes(), numbers("input"), numbers("output"))


def cases(folder: str) -> Iterator[Case]:
    """The models of one folder of the backend tests."""
    if folder == "node":
        yield from node_cases()
        return
    for path in sorted((DATA / folder).rglob("*.onnx")):
        yield Case(path.parent.name if path.stem == "model" else path.stem, path.read_bytes())
