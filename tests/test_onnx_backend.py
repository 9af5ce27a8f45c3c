"""Every backend test model inside the onnx package is read and predicted, or refused with one clear line."""

from __future__ import annotations

from functools import lru_cache

import numpy as np
import pytest
from backend_models import FOLDERS, Case, cases

import perfmodel
from perfmodel.errors import InputError, UnboundDimensionError
from perfmodel.features import read_onnx
from perfmodel.graph import Graph
from perfmodel.ops import Unmodelled

ASKED = 3
"""The number given for every dimension that is asked for."""


def opened(case: Case) -> tuple[Graph | str, bool]:
    """(the graph, or the line that refuses the model; whether dimensions were asked for)."""
    dims: dict[str, int] = {}
    for _ in range(3):
        try:
            return read_onnx(case.model, dims=dims), bool(dims)
        except UnboundDimensionError as asked:
            if not asked.names or "\n" in str(asked):
                break
            dims |= dict.fromkeys(asked.names, ASKED)
        except InputError as refusal:
            return str(refusal), bool(dims)
    raise AssertionError(f"{case.name}: asks for dimensions again and again, or not in one line")


@lru_cache(maxsize=len(FOLDERS))
def opened_folder(folder: str) -> tuple[tuple[Case, Graph | str, bool], ...]:
    return tuple((case, *opened(case)) for case in cases(folder))


# An input without elements leaves nothing to compute. The grids' sizes depend on data and are asked for one by one: 3 for each
# do not fit each other.
REFUSED = {
    "test_affine_grid_2d_expanded", "test_affine_grid_2d_align_corners_expanded", "test_affine_grid_3d_expanded",
    "test_affine_grid_3d_align_corners_expanded",
    "test_reduce_sum_empty_set_non_reduced_axis_zero", "test_regex_full_match_empty", "test_reshape_allowzero_reordered",
    "test_split_zero_size_splits_opset13", "test_split_zero_size_splits_opset18", "test_split_zero_size_splits",
    "test_string_split_empty_tensor", "test_tril_zero", "test_triu_zero",
}  # fmt: skip


@pytest.mark.parametrize("folder", FOLDERS)
def test_every_model_is_predicted_or_refused_in_one_line(folder: str) -> None:
    predictor = perfmodel.load("default")
    refused = set()
    for case, graph, _ in opened_folder(folder):
        if isinstance(graph, str):
            assert "\n" not in graph
            assert len(graph) < 600
            refused.add(case.name)
            continue
        result = perfmodel.predict(graph, "h100-sxm", predictor=predictor)
        # Where everything is folded or a view, nothing runs and nothing has a power.
        for figure in (result.latency_s, result.energy_j) if result.operators else ():
            assert figure is not None
            assert np.isfinite([figure.value, figure.low, figure.high]).all(), case.name
            assert 0 <= figure.low <= figure.value <= figure.high, case.name
        assert np.isfinite([result.flops, result.bytes, result.peak_memory_bytes]).all()
        assert min(result.flops, result.bytes, result.peak_memory_bytes) >= 0
        assert all("\n" not in w for w in result.warnings)
    many = {"light": 9, "simple": 20, "pytorch-converted": 80, "pytorch-operator": 30, "node": 1500}
    assert len(opened_folder(folder)) >= many[folder]
    assert refused <= REFUSED


UNMODELLED = {
    # What they cost follows from characters or from a compressed picture, which no shape tells.
    "StringNormalizer", "StringConcat", "StringSplit", "RegexFullMatch", "ImageDecoder",
    "ai.onnx.preview.training::Gradient",
}  # fmt: skip


def test_node_tests_have_the_shapes_of_their_results_and_a_rule() -> None:
    """Inferred shapes against the tests' own numbers; operators without a rule are those of a short list."""
    wrong, unmodelled = [], set()
    for case, graph, asked in opened_folder("node"):
        # Where functions are written out, in loops and in sequences that enter a model, shapes may depend on data.
        if isinstance(graph, str) or any(part in case.name for part in ("expanded", "loop", "sequence_map")):
            continue
        for name, expected in zip(graph.outputs, case.outputs, strict=False):
            shape = graph.tensors[name].shape
            if not isinstance(expected, np.ndarray) or shape is None:
                continue
            fits = len(shape) == expected.ndim if asked else shape == expected.shape
            if not fits:
                wrong.append((case.name, shape, expected.shape))
        unmodelled |= {n.op.kind for n in graph.nodes if isinstance(n.op, Unmodelled)}
    assert wrong == []
    assert unmodelled <= UNMODELLED
