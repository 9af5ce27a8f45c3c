"""Rules of normalisation, softmax, reductions and pooling."""

from __future__ import annotations

from typing import Any

from perfmodel import ops
from perfmodel.dtypes import element_bytes
from perfmodel.features.onnx.call import Call, Modelled, Rule, RuleError, axis_of, elements
from perfmodel.features.onnx.rules_products import conv_window
from perfmodel.ops.base import is_symbolic
from perfmodel.ops.costs import reduction_flops


def _norm(call: Call, kind: str, rows: Any, cols: Any, attributes: dict[str, Any], *, parameters: int = 2) -> Modelled:
    """A normalisation; ``parameters`` operands after the first are scale and shift, those present are read."""
    read = sum(call.elements(i) for i in range(1, 1 + parameters) if call.has(i))
    epsilon = call.get("epsilon", 1e-5)
    op = ops.Norm(kind=kind, rows=rows, cols=cols, parameters=read, dtype=call.dtype)
    return Modelled(op, {"epsilon": float(epsilon), **attributes})


def trailing_norm(kind: str) -> Rule:
    """LayerNormalization and RMSNormalization: over the axes from ``axis`` to the last."""

    def rule(call: Call) -> Modelled:
        shape = call.shape(0)
        axis = call.axis(-1, len(shape))
        return _norm(call, kind, elements(shape[:axis]), elements(shape[axis:]), {"axis": axis})

    return rule


def batch_norm(call: Call) -> Modelled:
    """BatchNormalization: one scale and one shift a channel; in training, the channel's own mean and variance first."""
    shape = call.shape(0)
    channels = shape[1] if len(shape) > 1 else 1
    cols = elements(shape[:1] + shape[2:])
    # Before operator set 14, results beside the first say so.
    statistics = sum(t is not None for t in call.outputs[1:])
    if call.get("training_mode", 0) or statistics:
        plain = _norm(call, "instancenorm", channels, cols, {"axis": 1}, parameters=4)
        return Modelled(plain.op, plain.attributes, (), statistics * call.tensor(3).bytes)
    op = ops.Norm(kind="batchnorm", rows=channels, cols=cols, dtype=call.dtype)
    return Modelled(op, {"epsilon": float(call.get("epsilon", 1e-5)), "axis": 1})


def group_norm(call: Call) -> Modelled:
    """GroupNormalization: over the channels of a group and all positions."""
    shape, groups = call.shape(0), int(call.get("num_groups", 1))
    if len(shape) < 2 or groups < 1:
        raise RuleError("it has no channels to group")
    rows = shape[0] * groups
    return _norm(call, "groupnorm", rows, over(elements(shape), rows), {"groups": groups})


def instance_norm(call: Call) -> Modelled:
    """InstanceNormalization: over the positions of each channel of each image."""
    shape = call.shape(0)
    return _norm(call, "instancenorm", elements(shape[:2]), elements(shape[2:]), {"axis": tuple(range(2, len(shape)))})


def mean_variance_norm(call: Call) -> Modelled:
    """MeanVarianceNormalization: no scale, no shift."""
    shape = call.shape(0)
    axes = call.axes(1, len(shape)) or tuple(axis_of(a, len(shape)) for a in (0, 2, 3) if a < len(shape))
    cols = elements(tuple(shape[a] for a in axes))
    return _norm(call, "instancenorm", over(elements(shape), cols), cols, {"axis": axes}, parameters=0)


def lp_norm(call: Call) -> Modelled:
    """LpNormalization along one axis."""
    shape = call.shape(0)
    axis = call.axis(-1, len(shape))
    return _norm(call, "l2norm", over(elements(shape), shape[axis]), shape[axis], {"axis": axis}, parameters=0)


def lrn(call: Call) -> Modelled:
    """LRN: each element over its neighbours across channels; every position is a row of its channels."""
    shape = call.shape(0)
    channels = shape[1] if len(shape) > 1 else 1
    return _norm(call, "lrn", elements(shape[:1] + shape[2:]), channels, {"size": call.get("size", None)}, parameters=0)


def softmax(kind: str, *, flattens: bool = False) -> Rule:
    """Softmax and LogSoftmax; before operator set 13 over all axes from ``axis`` on.

    Args:
        flattens: like before operator set 13 whatever the set (BiasSoftmax).
    """

    def rule(call: Call) -> Modelled:
        shape = call.shape(0)
        if not shape:
            raise RuleError("its operand is a scalar")
        old = flattens or call.opset < 13
        axis: int | tuple[int, ...] = call.axis(1 if old else -1, len(shape))
        assert isinstance(axis, int)
        cols = shape[axis]
        if old and axis != len(shape) - 1:
            cols, axis = elements(shape[axis:]), tuple(range(axis, len(shape)))
        return Modelled(
            ops.Softmax(kind=kind, rows=over(elements(shape), cols), cols=cols, dtype=call.dtype), {"axis": axis}
        )

    return rule


def reduction(kind: str, *, by_attribute: bool = False) -> Rule:
    """The Reduce operators.

    Args:
        by_attribute: the axes are an attribute, whatever the second operand is.
    """

    def rule(call: Call) -> Modelled | ops.Operator:
        shape = call.shape(0)
        try:
            axes = call.axes(len(call.inputs) if by_attribute else 1, len(shape))
        except RuleError:
            # Whatever the axes are: every element is read and enters one of the results.
            rows = call.result().elements
            op = ops.Reduce(kind=kind, rows=rows, cols=over(elements(shape), rows), dtype=call.dtype)
            return Modelled(op, {"keepdims": bool(call.get("keepdims", 1))})
        if not axes:
            if call.get("noop_with_empty_axes", 0):
                return _of_one(call, kind)
            axes = tuple(range(len(shape)))
        cols = elements(tuple(shape[a] for a in axes))
        op = ops.Reduce(kind=kind, rows=over(elements(shape), cols), cols=cols, dtype=call.dtype)
        return Modelled(op, {"axis": axes, "keepdims": bool(call.get("keepdims", 1))})

    return rule


def _of_one(call: Call, kind: str) -> ops.Operator:
    """A reduction over no axis: each element alone."""
    if reduction_flops(kind) == (1, 0):
        return ops.View(kind="identity", dtype=call.dtype)
    return ops.Reduce(kind=kind, rows=call.elements(0), cols=1, dtype=call.dtype)


def arg_reduction(kind: str) -> Rule:
    """ArgMax and ArgMin: int64 results."""

    def rule(call: Call) -> Modelled:
        shape = call.shape(0)
        axis = call.axis(0, len(shape))
        cols = shape[axis] if shape else 1
        op = ops.Reduce(kind=kind, rows=over(elements(shape), cols), cols=cols, out_dtype="int64", dtype=call.dtype)
        return Modelled(op, {"axis": (axis,), "keepdims": bool(call.get("keepdims", 1))})

    return rule


def top_k(call: Call) -> Modelled:
    """TopK: the values and their int64 indices."""
    shape = call.shape(0)
    axis = call.axis(-1, len(shape))
    kept = call.result_shape()[axis]
    # Results are counted in elements of the values' dtype; an index takes 8 bytes.
    per_value = 1 + 8 / element_bytes(call.dtype)
    results = kept * (int(per_value) if per_value.is_integer() else per_value)
    op = ops.Reduce(
        kind="topk", rows=over(elements(shape), shape[axis]), cols=shape[axis], results=results, dtype=call.dtype
    )
    return Modelled(op, {"axis": (axis,)})


def running(kind: str) -> Rule:
    """CumSum and CumProd: a result for every element."""

    def rule(call: Call) -> Modelled:
        shape = call.shape(0)
        given = call.values(1) if call.has(1) else None
        axis = axis_of(int(given[0]), len(shape)) if given else 0
        cols = shape[axis] if shape else 1
        op = ops.Reduce(kind=kind, rows=over(elements(shape), cols), cols=cols, results=cols, dtype=call.dtype)
        return Modelled(op, {"axis": (axis,)})

    return rule


def hardmax(call: Call) -> Modelled:
    """Hardmax: a search along the axis, and a one among zeros."""
    shape = call.shape(0)
    axis = call.axis(-1, len(shape))
    op = ops.Reduce(
        kind="argmax", rows=over(elements(shape), shape[axis]), cols=shape[axis], results=shape[axis], dtype=call.dtype
    )
    return Modelled(op, {"axis": (axis,)})


def pool(kind: str, *, last: bool = False) -> Rule:
    """MaxPool, AveragePool, LpPool with one to three spatial axes; three are folded into two.

    Positions of maxima are written where they are an output, and a mask (MaxpoolWithMask) is read.

    Args:
        last: the channels are the last axis instead of the second.
    """

    def rule(call: Call) -> Modelled:
        x, y = call.shape(0), call.result_shape()
        window = [int(k) for k in call.get("kernel_shape", ())]
        if not 3 <= len(x) <= 5 or len(window) != len(x) - 2 or len(y) != len(x):
            raise RuleError(f"it has {len(x) - 2} spatial axes and a window of {len(window)}")
        if last:
            x, y = _channels_first(x), _channels_first(y)
        strides, _, _ = conv_window(call, x[2:], tuple(window))
        op = ops.Pool(
            kind=_power(call) if kind == "lp" else kind, batch=x[0], channels=x[1],
            h=elements(x[2:-1]), w=x[-1], out_h=elements(y[2:-1]), out_w=y[-1],
            kernel_h=elements(tuple(window[:-1])), kernel_w=window[-1], dtype=call.dtype,
        )  # fmt: skip
        extra = call.further_results() + (call.tensor(1).bytes if call.has(1) else 0)
        return Modelled(op, {"kernel": tuple(window), "strides": tuple(strides)}, (), extra)

    return rule


def _channels_first(shape: tuple[Any, ...]) -> tuple[Any, ...]:
    return (shape[0], shape[-1], *shape[1:-1])


def _power(call: Call) -> str:
    """The kind of a sum of p-th powers: those of 1 and 2 need no power function."""
    p = call.get("p", 2)
    return f"l{int(p)}" if p in (1, 2) else "lp"


def global_pool(kind: str, *, last: bool = False) -> Rule:
    """Global pooling reduces every channel to one element.

    Args:
        last: the channels are the last axis instead of the second.
    """

    def rule(call: Call) -> Modelled:
        shape = _channels_first(call.shape(0)) if last else call.shape(0)
        op = ops.Reduce(
            kind=_power(call) if kind == "lp" else kind, rows=elements(shape[:2]), cols=elements(shape[2:]),
            dtype=call.dtype,
        )  # fmt: skip
        axes = range(1, len(shape) - 1) if last else range(2, len(shape))
        return Modelled(op, {"axis": tuple(axes), "keepdims": True})

    return rule


def over(total: Any, part: Any) -> Any:
    """``total / part`` where it is whole by construction; 0 of 0."""
    if is_symbolic(total) or is_symbolic(part):
        return total / part
    return total // part if part else 0


RULES: dict[str, Rule] = {
    "LayerNormalization": trailing_norm("layernorm"),
    "RMSNormalization": trailing_norm("rmsnorm"),
    "BatchNormalization": batch_norm,
    "GroupNormalization": group_norm,
    "InstanceNormalization": instance_norm,
    "MeanVarianceNormalization": mean_variance_norm,
    "LpNormalization": lp_norm,
    "LRN": lrn,
    "Softmax": softmax("softmax"),
    "LogSoftmax": softmax("log_softmax"),
    "ReduceSum": reduction("sum"),
    "ReduceMean": reduction("mean"),
    "ReduceMax": reduction("max"),
    "ReduceMin": reduction("min"),
    "ReduceProd": reduction("prod"),
    "ReduceL1": reduction("l1"),
    "ReduceL2": reduction("l2"),
    "ReduceSumSquare": reduction("sum_square"),
    "ReduceLogSum": reduction("log_sum"),
    "ReduceLogSumExp": reduction("log_sum_exp"),
    "ArgMax": arg_reduction("argmax"),
    "ArgMin": arg_reduction("argmin"),
    "TopK": top_k,
    "CumSum": running("cumsum"),
    "CumProd": running("cumprod"),
    "Hardmax": hardmax,
    "MaxPool": pool("max"),
    "AveragePool": pool("average"),
    "LpPool": pool("lp"),
    "GlobalAveragePool": global_pool("mean"),
    "GlobalMaxPool": global_pool("max"),
    "GlobalLpPool": global_pool("lp"),
}
