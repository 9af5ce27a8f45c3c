"""Rules of ``ai.onnx.ml``: linear models, support vectors, trees, encoders; and of n-gram counts.

The parameters of these operators are attributes, so that they are part of the file and are read by the kernel.
Dictionaries and maps (CastMap, DictVectorizer, ZipMap) live on the host and have no rule.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from perfmodel import ops
from perfmodel.features.onnx.call import Call, Modelled, Rule, RuleError, elements
from perfmodel.features.onnx.rules_elementwise import every_operand
from perfmodel.ops.base import at_most, is_symbolic

_FLOAT_BYTES = 4
_TREE_NODE_BYTES = 20
"""A node as runtimes keep it: threshold, feature, mode, two children (4 bytes each)."""


def _rows(call: Call) -> tuple[Any, Any]:
    """Samples and features of the first operand; a vector is one sample."""
    shape = call.shape(0)
    if not shape:
        raise RuleError("its operand is a scalar")
    return elements(shape[:-1]), shape[-1]


def _count(call: Call, name: str) -> int:
    return len(call.get(name, ()))


def _targets(coefficients: int, features: Any) -> int:
    if is_symbolic(features) or not features or coefficients % features:
        raise RuleError(f"its {coefficients} coefficients do not fit {features} features")
    return int(coefficients // features)


def _after(call: Call, scores: Any) -> tuple[ops.Operator, ...]:
    """What turns scores into probabilities."""
    kinds = {"LOGISTIC": "sigmoid", "PROBIT": "erf+mul", "SOFTMAX": None, "SOFTMAX_ZERO": None}
    transform = str(call.get("post_transform", "NONE"))
    if transform not in kinds:
        return ()
    kind = kinds[transform]
    if kind is None:
        return (ops.Softmax(rows=scores[0], cols=scores[1], dtype="fp32"),)
    return (ops.Elementwise(kind=kind, elements=scores[0] * scores[1], inputs=0, dtype="fp32"),)


def linear(call: Call) -> Modelled:
    """LinearRegressor and LinearClassifier: a product with the coefficients, and the intercepts."""
    rows, features = _rows(call)
    targets = _targets(_count(call, "coefficients"), features)
    op = ops.Gemm(batch=1, m=rows, n=targets, k=features, dtype="fp32", out_dtype="fp32")
    bias = (ops.Elementwise(kind="add", elements=rows * targets, inputs=0, dtype="fp32"),)
    has_bias = bool(_count(call, "intercepts"))
    return Modelled(
        op, {}, (*(bias if has_bias else ()), *_after(call, (rows, targets))), _FLOAT_BYTES * targets * has_bias
    )


_KERNELS = {"LINEAR": "", "POLY": "mul+add+pow", "RBF": "add+add+mul+exp", "SIGMOID": "mul+add+tanh"}


def support_vectors(call: Call) -> Modelled:
    """SVMRegressor and SVMClassifier: products with all support vectors, the kernel function, the weighted sums."""
    rows, features = _rows(call)
    vectors = _count(call, "support_vectors")
    if not vectors:  # a linear machine: one set of coefficients a target
        targets = _targets(_count(call, "coefficients"), features)
        return Modelled(ops.Gemm(batch=1, m=rows, n=targets, k=features, dtype="fp32", out_dtype="fp32"))
    count = _targets(vectors, features)
    # A classifier has one set of coefficients fewer than classes; pairs of classes share them.
    sets = max(_count(call, "coefficients") // max(count, 1), 1)
    op = ops.Gemm(batch=1, m=rows, n=count, k=features, dtype="fp32", out_dtype="fp32")
    kernel = _KERNELS.get(str(call.get("kernel_type", "LINEAR")), "")
    fused: tuple[ops.Operator, ...] = (
        ops.Gemm(batch=1, m=rows, n=sets, k=count, dtype="fp32", out_dtype="fp32"),
        *_after(call, (rows, sets + 1)),
    )
    if kernel:
        fused = (ops.Elementwise(kind=kernel, elements=rows * count, inputs=0, dtype="fp32"), *fused)
    return Modelled(op, {}, fused, _FLOAT_BYTES * sets * count)


def _depth(
    trees: Sequence[int], nodes: Sequence[int], children: Sequence[tuple[int, int]], modes: Sequence[Any]
) -> int:
    """Sum over the trees of the longest path from the root to a leaf, in comparisons."""
    index = {(tree, node): i for i, (tree, node) in enumerate(zip(trees, nodes, strict=True))}
    inner = [str(mode) != "LEAF" for mode in modes]
    has_parent = {
        (trees[i], child) for i in range(len(trees)) if inner[i] for child in children[i] if (trees[i], child) in index
    }
    roots = [i for i, (tree, node) in enumerate(zip(trees, nodes, strict=True)) if (tree, node) not in has_parent]
    total = 0
    for root in roots:
        longest, level = 0, [root] if inner[root] else []
        while level and longest <= len(trees):  # a damaged file may go in circles
            longest += 1
            following = (index.get((trees[i], child)) for i in level for child in children[i])
            level = list({i for i in following if i is not None and inner[i]})
        total += longest
    return total


def _ensemble(call: Call, comparisons: int, nodes: int, sums: int) -> Modelled:
    rows, _ = _rows(call)
    visited = at_most(rows * comparisons, nodes)
    op = every_operand(call, "compare", rows, steps=comparisons, dtype="fp32")
    added = ops.Elementwise(kind="add", elements=rows * sums, inputs=0, dtype="fp32")
    result = call.outputs[-1]
    width = 1 if result is None or not result.shape else result.shape[-1]
    return Modelled(op, {}, (added, *_after(call, (rows, width))), _TREE_NODE_BYTES * visited)


def tree_ensemble(call: Call) -> Modelled:
    """TreeEnsembleRegressor and TreeEnsembleClassifier: each sample goes down each tree, by its longest path at most."""
    trees, ids = list(call.get("nodes_treeids", ())), list(call.get("nodes_nodeids", ()))
    true, false = list(call.get("nodes_truenodeids", ())), list(call.get("nodes_falsenodeids", ()))
    modes = list(call.get("nodes_modes", ()))
    if not trees or len({len(trees), len(ids), len(true), len(false), len(modes)}) != 1:
        raise RuleError("its attributes describe no trees")
    comparisons = _depth(trees, ids, list(zip(true, false, strict=True)), modes)
    return _ensemble(call, comparisons, len(trees), len(set(trees)))


def tree_ensemble_5(call: Call) -> Modelled:
    """TreeEnsemble (version 5), whose leaves are stored apart from the inner nodes."""
    roots = list(call.get("tree_roots", ()))
    true, false = list(call.get("nodes_truenodeids", ())), list(call.get("nodes_falsenodeids", ()))
    leaf_true, leaf_false = list(call.get("nodes_trueleafs", ())), list(call.get("nodes_falseleafs", ()))
    if not roots or len({len(true), len(false), len(leaf_true), len(leaf_false)}) != 1:
        raise RuleError("its attributes describe no trees")
    total = 0
    for root in roots:
        longest, level = 0, {root}
        while level and longest <= len(true):
            longest += 1
            level = {
                child
                for i in level
                if 0 <= i < len(true)
                for child, is_leaf in ((true[i], leaf_true[i]), (false[i], leaf_false[i]))
                if not is_leaf
            }
        total += longest
    return _ensemble(call, total, len(true), len(roots))


def plain(*steps: str) -> Rule:
    """One chain of scalar functions an element of the result."""

    def rule(call: Call) -> Modelled:
        return Modelled(every_operand(call, "+".join(steps), call.result().elements, dtype=call.dtype))

    return rule


def normalizer(call: Call) -> Modelled:
    """Normalizer: each sample over its largest element, its sum or its length."""
    rows, features = _rows(call)
    op = ops.Norm(kind="l2norm", rows=rows, cols=features, parameters=0, dtype=call.dtype)
    return Modelled(op, {"norm": str(call.get("norm", "MAX"))})


def look_up(call: Call) -> ops.Copy:
    """LabelEncoder and CategoryMapper: each element is replaced by its entry of a table."""
    out = call.result()
    return ops.Copy(
        kind="lookup", elements=out.elements, read_elements=call.elements(0), dtype=call.dtype, out_dtype=out.dtype
    )


def spread(call: Call) -> ops.Copy:
    """OneHotEncoder and FeatureVectorizer: written once, read once."""
    out = call.result()
    read = sum(call.elements(i) for i in range(len(call.inputs)) if call.has(i))
    return ops.Copy(kind="onehot", elements=out.elements, read_elements=read, dtype=call.dtype, out_dtype=out.dtype)


def pick_features(call: Call) -> Modelled:
    """ArrayFeatureExtractor: some columns."""
    op = ops.Copy(kind="gather", elements=call.result().elements, dtype=call.dtype)
    return Modelled(op, {"axis": len(call.shape(0)) - 1}, (), call.tensor(1).bytes)


def ngram_counts(call: Call) -> Modelled:
    """TfIdfVectorizer: for each length and gap, each n-gram is looked up and counted."""
    rows, length = _rows(call)
    first, last = int(call.get("min_gram_length", 1)), int(call.get("max_gram_length", 1))
    grams = max(last - first + 1, 1) * (int(call.get("max_skip_count", 0)) + 1)
    weighs = str(call.get("mode", "TF")) != "TF"
    op = every_operand(call, "add", rows * length, steps=grams, dtype=call.result().dtype)
    weights = ops.Elementwise(kind="mul", elements=call.result().elements, inputs=0, dtype=op.dtype)
    return Modelled(op, {}, (weights,) if weighs else ())


RULES: dict[str, Rule] = {"TfIdfVectorizer": ngram_counts}
"""Operators of the standard domain."""

ML: dict[str, Rule] = {
    "ArrayFeatureExtractor": pick_features,
    "Binarizer": plain("greater"),
    "CategoryMapper": look_up,
    "FeatureVectorizer": spread,
    "Imputer": plain("is_nan", "where"),
    "LabelEncoder": look_up,
    "LinearClassifier": linear,
    "LinearRegressor": linear,
    "Normalizer": normalizer,
    "OneHotEncoder": spread,
    "SVMClassifier": support_vectors,
    "SVMRegressor": support_vectors,
    "Scaler": plain("sub", "mul"),
    "TreeEnsemble": tree_ensemble_5,
    "TreeEnsembleClassifier": tree_ensemble,
    "TreeEnsembleRegressor": tree_ensemble,
}
"""Operators of the domain ``ai.onnx.ml``."""
