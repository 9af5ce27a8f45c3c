"""The table of all rules: operator → pure function from a call to a descriptor."""

from __future__ import annotations

from perfmodel.features.onnx import (
    rules_contrib,
    rules_elementwise,
    rules_memory,
    rules_movement,
    rules_products,
    rules_quantized,
)
from perfmodel.features.onnx.call import Rule

_STANDARD = (
    rules_products.RULES, rules_elementwise.RULES, rules_memory.RULES, rules_movement.RULES, rules_quantized.RULES,
)  # fmt: skip

RULES: dict[tuple[str, str], Rule] = {
    **{("", op_type): rule for table in _STANDARD for op_type, rule in table.items()},
    # ONNX Runtime's optimiser puts this one operator of its own into the standard domain.
    ("", "SimplifiedLayerNormalization"): rules_contrib.CONTRIB["SimplifiedLayerNormalization"],
    **{("com.microsoft", op_type): rule for op_type, rule in rules_contrib.CONTRIB.items()},
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
    "Squeeze": frozenset({1}),
    "Tile": frozenset({1}),
    "TopK": frozenset({1}),
    "Trilu": frozenset({1}),
    "Unsqueeze": frozenset({1}),
    "Upsample": frozenset({1}),
    **{f"Reduce{kind}": frozenset({1}) for kind in "Sum Mean Max Min Prod L1 L2 SumSquare LogSum LogSumExp".split()},
}
"""Operands that say how, not what (shapes, axes, sizes): known ones become attributes and leave ``Node.inputs``."""


def rule_for(domain: str, op_type: str) -> Rule | None:
    """The rule of an operator, or None."""
    return RULES.get(("" if domain == "ai.onnx" else domain, op_type))
