"""The table of all rules: operator → pure function from a call to a descriptor."""

from __future__ import annotations

from perfmodel.features.onnx import (
    rules_attention,
    rules_contrib,
    rules_einsum,
    rules_elementwise,
    rules_memory,
    rules_ml,
    rules_movement,
    rules_narrow,
    rules_products,
    rules_qlinear,
    rules_quantized,
    rules_recurrent,
    rules_signal,
    rules_training,
    rules_vision,
)
from perfmodel.features.onnx.call import Rule

_STANDARD = (
    rules_products.RULES, rules_attention.RULES, rules_recurrent.RULES, rules_einsum.RULES, rules_elementwise.RULES,
    rules_memory.RULES, rules_movement.RULES, rules_vision.RULES, rules_signal.RULES, rules_quantized.RULES,
    rules_training.RULES, rules_ml.RULES,
)  # fmt: skip
_CONTRIB = (
    rules_contrib.CONTRIB, rules_attention.CONTRIB, rules_vision.CONTRIB, rules_signal.CONTRIB, rules_quantized.CONTRIB,
    rules_qlinear.CONTRIB, rules_narrow.CONTRIB,
)  # fmt: skip

RULES: dict[tuple[str, str], Rule] = {
    **{("", op_type): rule for table in _STANDARD for op_type, rule in table.items()},
    # ONNX Runtime's optimiser puts this one operator of its own into the standard domain.
    ("", "SimplifiedLayerNormalization"): rules_contrib.CONTRIB["SimplifiedLayerNormalization"],
    **{("com.microsoft", op_type): rule for table in _CONTRIB for op_type, rule in table.items()},
    **{("com.microsoft.nchwc", op_type): rule for op_type, rule in rules_contrib.BLOCKED.items()},
    **{("ai.onnx.ml", op_type): rule for op_type, rule in rules_ml.ML.items()},
    **{("ai.onnx.preview", op_type): rule for op_type, rule in rules_attention.PREVIEW.items()},
    **{("ai.onnx.preview.training", op_type): rule for op_type, rule in rules_training.PREVIEW.items()},
}
"""(domain, operator) → rule; the standard domain is ``""``."""

STRUCTURAL: dict[str, frozenset[int]] = {
    "CumSum": frozenset({1}),
    "CumProd": frozenset({1}),
    "Dropout": frozenset({1, 2}),
    "Expand": frozenset({1}),
    "OneHot": frozenset({1}),
    "Pad": frozenset({1, 3}),
    "Reshape": frozenset({1}),
    "Resize": frozenset({1, 2, 3}),
    "Slice": frozenset({1, 2, 3, 4}),
    "Split": frozenset({1}),
    "SplitToSequence": frozenset({1}),
    "Squeeze": frozenset({1}),
    "Tile": frozenset({1}),
    "TopK": frozenset({1}),
    "Trilu": frozenset({1}),
    "Unsqueeze": frozenset({1}),
    "Upsample": frozenset({1}),
    **{f"Reduce{kind}": frozenset({1}) for kind in "Sum Mean Max Min Prod L1 L2 SumSquare LogSum LogSumExp".split()},
}
"""Operands that say how, not what (shapes, axes, sizes): known ones become attributes and leave ``Node.inputs``."""


_CHARACTERS = "its cost follows from characters, which no shape tells"
_DICTIONARY = "it works on dictionaries of the host"

UNMODELLED: dict[tuple[str, str], str] = {
    ("", "ImageDecoder"): "its cost follows from a compressed picture, which no shape tells",
    ("", "RegexFullMatch"): _CHARACTERS,
    ("", "StringConcat"): _CHARACTERS,
    ("", "StringNormalizer"): _CHARACTERS,
    ("", "StringSplit"): _CHARACTERS,
    ("ai.onnx.ml", "CastMap"): _DICTIONARY,
    ("ai.onnx.ml", "DictVectorizer"): _DICTIONARY,
    ("ai.onnx.ml", "ZipMap"): _DICTIONARY,
    ("ai.onnx.preview.training", "Gradient"): "it differentiates another part of the graph",
    ("com.microsoft", "EPContext"): "it holds a model that another tool compiled",
    ("com.microsoft", "Snpe"): "it holds a model that another tool compiled",
    ("com.microsoft", "Tokenizer"): _CHARACTERS,
}
"""Operators that have no rule on purpose, and why: completes "counted as memory traffic only, because ..."."""


def rule_for(domain: str, op_type: str) -> Rule | None:
    """The rule of an operator, or None."""
    return RULES.get(("" if domain == "ai.onnx" else domain, op_type))
