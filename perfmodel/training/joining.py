"""One booster of several: each software's trees, told apart by its one-hot column.

A booster file stays one file in XGBoost's own format, and whoever reads it needs to know nothing of this.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from typing import Any

from perfmodel.training.objective import import_xgboost

_NO_PARENT = 2**31 - 1
"""XGBoost's parent of a root."""


def joined(boosters: Mapping[int, Any]) -> Any:
    """One booster of several, each of which counts only where its own 0-or-1 column is 1.

    Every tree gets a new root that asks for that column and leads to a leaf of 0 where it is 0. So what one software does
    (a kernel that is thirty times slower for some heads) is not taken for what all do.

    Args:
        boosters: by the column; they share features, objective and ``base_score``, and no two columns are 1 in one row.
    """
    xgboost = import_xgboost()
    model: dict[str, Any] | None = None
    trees: list[dict[str, Any]] = []
    starts: set[str] = set()
    for column, booster in boosters.items():
        model = json.loads(booster.save_raw("json"))
        for tree in model["learner"]["gradient_booster"]["model"]["trees"]:
            trees.append(_gated(tree, column, len(trees)))
        starts.add(model["learner"]["learner_model_param"]["base_score"])
    assert model is not None, "no rows to train on"
    assert len(starts) == 1, "boosters that start from unlike values"
    gradient = model["learner"]["gradient_booster"]["model"]
    gradient["trees"], gradient["tree_info"] = trees, [0] * len(trees)
    gradient["iteration_indptr"] = list(range(len(trees) + 1))
    gradient["gbtree_model_param"]["num_trees"] = str(len(trees))
    result = xgboost.Booster({"nthread": 1})
    result.load_model(bytearray(json.dumps(model).encode()))
    return result


def _gated(tree: dict[str, Any], column: int, number: int) -> dict[str, Any]:
    """A tree below a new root: node 1 is the leaf of 0, node 2 the old root."""

    def moved(children: list[int]) -> list[int]:
        return [child + 2 if child >= 0 else child for child in children]

    nodes = len(tree["left_children"]) + 2
    above = {
        "left_children": [1, -1], "right_children": [2, -1], "split_indices": [column, 0], "split_conditions": [0.5, 0.0],
        "split_type": [0, 0], "default_left": [1, 0], "base_weights": [0.0, 0.0], "loss_changes": [0.0, 0.0],
        "sum_hessian": [0.0, 0.0],
    }  # fmt: skip
    parents = [0 if parent == _NO_PARENT else parent + 2 for parent in tree["parents"]]
    below = {
        **tree, "left_children": moved(tree["left_children"]), "right_children": moved(tree["right_children"]),
    }  # fmt: skip
    return {
        **tree,
        **{name: head + below[name] for name, head in above.items()},
        "parents": [_NO_PARENT, 0, *parents],
        "id": number,
        "tree_param": {**tree["tree_param"], "num_nodes": str(nodes)},
    }
