"""Shapes of what a Loop carries from one iteration to the next and of what it collects."""

from __future__ import annotations

from typing import Any

from perfmodel.features.onnx.operator_shapes import dims_of, set_output


def infer_loop(ctx: Any, node: Any) -> None:
    """Shapes of a Loop's outputs; the shapes inside its body are inferred by now.

    A carried tensor that an iteration makes longer by some elements (a growing cache) is longer by as many times that at
    the end as there are iterations; where their number is not known, its dimension stays open.
    """
    body = node.attributes["body"].as_graph() if "body" in node.attributes else None
    if body is None or len(node.inputs) < 2:
        return
    count = ctx.get_symbolic_value(node.inputs[0]) if node.inputs[0] is not None else None
    trips = count[0] if count is not None and len(count) == 1 else None
    carried = len(node.inputs) - 2
    for index, output in enumerate(node.outputs):
        if index + 1 >= len(body.outputs):
            break
        result = body.outputs[index + 1]
        if index < carried and not _is_tensor(result):
            if result.type is not None:
                ctx.set_type(output, result.type)
            continue
        dims = dims_of(result)
        if dims is None:
            set_output(ctx, node, index, None, result.dtype)
        elif index < carried:
            before = dims_of(body.inputs[index + 2]) if index + 2 < len(body.inputs) else None
            set_output(ctx, node, index, _grown(before, dims, trips), result.dtype)
        else:
            set_output(ctx, node, index, [trips, *dims], result.dtype)


def _is_tensor(value: Any) -> bool:
    import onnx_ir as ir

    return value.type is None or isinstance(value.type, ir.TensorType)


def _grown(before: list[Any] | None, after: list[Any], trips: Any) -> list[Any] | None:
    """The shape after all iterations, of which one turns ``before`` into ``after``; None marks an open dimension."""
    if before is None or before == after:
        return after
    if len(before) != len(after):
        return None
    return [a if a == b else None if trips is None else b + trips * (a - b) for b, a in zip(before, after, strict=True)]
