"""Rules of losses and of the optimisers of ``ai.onnx.preview.training``."""

from __future__ import annotations

from typing import Any

from perfmodel import ops
from perfmodel.features.onnx.call import Call, Modelled, Rule, RuleError, elements
from perfmodel.features.onnx.rules_elementwise import every_operand
from perfmodel.ops import Operator


def _picked(call: Call, dtype: str, steps: tuple[str, ...]) -> tuple[Any, tuple[Operator, ...]]:
    """What a loss does with the one score of each position that the target picks.

    Returns:
        The number of positions, and the arithmetic: its sign, a class weight, the sum (of the weights too, for a mean).
    """
    positions = call.elements(1)
    kinds = [*steps, "neg"]
    if call.has(2):
        kinds.append("mul")
    if call.get("reduction", "mean") != "none":
        kinds.append("add")
        if call.has(2) and call.get("reduction", "mean") == "mean":
            kinds.append("add")
    return positions, (ops.Elementwise(kind="+".join(kinds), elements=positions, inputs=0, dtype=dtype),)


def negative_log_likelihood(call: Call) -> Modelled:
    """NegativeLogLikelihoodLoss(scores [N, C, ...], target [N, ...], weight [C])."""
    scores, target = call.tensor(0), call.tensor(1)
    positions, arithmetic = _picked(call, call.dtype, ())
    weights = call.tensor(2).bytes if call.has(2) else 0
    # The target picks one of C scores.
    op = ops.Copy(kind="gather", elements=call.result().elements, read_elements=positions, dtype=scores.dtype)
    return Modelled(op, {}, arithmetic, target.bytes + weights)


def softmax_cross_entropy(call: Call) -> Modelled:
    """SoftmaxCrossEntropyLoss: a log-softmax over the classes, of which the target picks one.

    Without the second output nothing but the loss is written.
    """
    shape = call.shape(0)
    if len(shape) < 2:
        raise RuleError(f"its scores have the rank {len(shape)}")
    rows, cols = elements(shape[:1] + shape[2:]), shape[1]
    extra = call.tensor(1).bytes + (call.tensor(2).bytes if call.has(2) else 0)
    if len(call.outputs) > 1 and call.outputs[1] is not None:
        _, arithmetic = _picked(call, call.dtype, ())
        return Modelled(
            ops.Softmax(kind="log_softmax", rows=rows, cols=cols, dtype=call.dtype), {"axis": 1}, arithmetic, extra
        )
    _, arithmetic = _picked(call, call.dtype, ("sub",))
    op = ops.Reduce(kind="log_sum_exp", rows=rows, cols=cols, dtype=call.dtype)
    return Modelled(op, {"axis": (1,)}, arithmetic, extra)


def optimizer(steps: tuple[str, ...], operands: int) -> Rule:
    """One step of an optimiser: these scalar functions for each parameter, everything read and written once.

    Args:
        operands: tensors a parameter has (itself, its gradient, its moments), after the rate and the step count.
    """

    def rule(call: Call) -> Modelled:
        tensors = (len(call.inputs) - 2) // operands
        parameters = sum(call.elements(2 + i) for i in range(tensors))
        return Modelled(every_operand(call, "+".join(steps), parameters))

    return rule


RULES: dict[str, Rule] = {
    "NegativeLogLikelihoodLoss": negative_log_likelihood,
    "SoftmaxCrossEntropyLoss": softmax_cross_entropy,
}

_REGULARISED = ("mul", "add")  # the gradient and the norm's share of the parameter

PREVIEW: dict[str, Rule] = {
    # v = a·v + b·g, x = x - r·v
    "Momentum": optimizer((*_REGULARISED, "mul", "mul", "add", "mul", "sub"), 3),
    # h = h + g·g, x = x - r·g / (sqrt(h) + e)
    "Adagrad": optimizer((*_REGULARISED, "mul", "add", "sqrt", "add", "mul", "div", "sub"), 3),
    # v = a·v + (1-a)·g, h = b·h + (1-b)·g·g, x = x - r·v / (sqrt(h) + e)
    "Adam": optimizer(
        (*_REGULARISED, "mul", "mul", "add", "mul", "mul", "mul", "add", "sqrt", "add", "mul", "div", "sub"), 4
    ),
}
"""Operators of ``ai.onnx.preview.training``; Gradient differentiates another part of the graph and has no rule."""
