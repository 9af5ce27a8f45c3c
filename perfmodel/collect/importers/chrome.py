"""torch.profiler's Chrome traces (``export_chrome_trace``, with ``record_shapes=True``).

An operator is an event of the category ``cpu_op`` whose ``args`` have ``Input Dims``, ``Input type`` and ``Concrete
Inputs``; a kernel is one of the category ``kernel`` and bears the ``External id`` of the operator that launched it.
Times are microseconds. On a GPU an operator takes as long as the kernels that it, and the operators that it calls,
launched; on a processor as long as its own event.
"""

from __future__ import annotations

import json
import math
from bisect import bisect_left, bisect_right
from collections.abc import Callable
from dataclasses import dataclass
from itertools import zip_longest
from pathlib import Path
from typing import Any, TypeGuard

from perfmodel.collect.importers.rows import Imported, Rows, parse_json, read_text
from perfmodel.errors import DescriptorError, DtypeError, TraceError, is_finite_number
from perfmodel.hardware import load_device
from perfmodel.ops import Attention, Conv, Elementwise, Gemm, Norm, Operator, Softmax

_DTYPES = {"float": "fp32", "double": "fp64", "c10::Half": "fp16", "c10::BFloat16": "bf16"}
MICROSECOND = 1e-6


@dataclass(frozen=True, slots=True)
class Call:
    """An operator's event."""

    name: str
    begin: float
    end: float
    external: int | None
    shapes: list[Any]
    types: list[Any]
    values: list[Any]


def read_chrome(path: str | Path, device: str, software: str, source: str = "torch-profiler") -> Imported:
    """The operators of a trace that there are descriptors for.

    Args:
        path: the trace.
        device: the device's id, or the path of its TOML.
        software: the stack, as in ``torch-2.9.0``.
        source: what the rows bear.

    Raises:
        TraceError: it is no such trace, was taken without shapes, holds no kernels where the device is no processor or some
            where it is one, or holds no operator that is understood.
        DeviceError: an unknown device.
    """
    items = _events(path)
    threads: dict[Any, list[Call]] = {}
    kernels: dict[int, list[tuple[str, float]]] = {}
    launches = _launches(items)
    for item in items:
        if not isinstance(item, dict) or item.get("ph") != "X":
            continue
        found = item.get("args")
        arguments: dict[str, Any] = found if isinstance(found, dict) else {}
        begin, length = item.get("ts"), item.get("dur")
        if not (is_finite_number(begin) and is_finite_number(length) and length >= 0):
            continue
        external = _external(arguments)
        if item.get("cat") == "cpu_op":
            lists = (_list(arguments.get(key)) for key in ("Input Dims", "Input type", "Concrete Inputs"))
            call = Call(str(item.get("name")), begin, begin + length, external, *lists)
            threads.setdefault(str(item.get("tid")), []).append(call)
        elif item.get("cat") == "kernel":
            correlation = arguments.get("correlation")
            found_by = (
                external if external is not None else launches.get(correlation if _is_whole(correlation) else None)
            )
            if found_by is not None:
                kernels.setdefault(found_by, []).append((str(item.get("name")), length * MICROSECOND))
    if threads and not any(call.shapes for calls in threads.values() for call in calls):
        raise TraceError(f"{path} was taken without shapes: profile with record_shapes=True")
    known = load_device(device)
    if threads and not kernels and known.kind != "cpu":
        raise TraceError(
            f"{path} holds no kernels that operators launched, and {known.id} is a {known.kind}: profile with "
            "ProfilerActivity.CUDA"
        )
    if kernels and known.kind == "cpu":
        raise TraceError(f"{path} holds kernels of a GPU, and {known.id} is a cpu: give the device that they ran on")
    rows = Rows({"device": device, "software": software, "source": source})
    for calls in threads.values():
        calls.sort(key=lambda c: (c.begin, -c.end))
        _add(rows, calls, kernels)
    return rows.imported(str(path))


def _external(arguments: dict[str, Any]) -> int | None:
    """The number that ties a kernel to its operator; older versions spell its name otherwise."""
    found = arguments.get("External id", arguments.get("external id"))
    return found if _is_whole(found) else None


def _launches(items: list[Any]) -> dict[Any, int]:
    """The operator of each launch by its correlation: kernels of ROCm may bear that alone."""
    found = {}
    for item in items:
        if isinstance(item, dict) and item.get("cat") in ("cuda_runtime", "cuda_driver", "hip_runtime"):
            arguments = item.get("args")
            if isinstance(arguments, dict) and _is_whole(correlation := arguments.get("correlation")):
                external = _external(arguments)
                if external is not None:
                    found[correlation] = external
    return found


def _add(rows: Rows, calls: list[Call], kernels: dict[int, list[tuple[str, float]]]) -> None:
    begins = [call.begin for call in calls]
    for call in calls:
        rule = RULES.get(call.name)
        if rule is None:
            continue
        try:
            op = rule(call)
        except (ValueError, IndexError, TypeError, OverflowError, RecursionError, DescriptorError, DtypeError):
            rows.passed_over[f"{call.name} of another form"] += 1
            continue
        if not kernels:
            rows.add(op, max((call.end - call.begin) * MICROSECOND, 1e-9), call.name)
            continue
        nearby = calls[bisect_left(begins, call.begin) : bisect_right(begins, call.end)]
        within = [c for c in nearby if c.end <= call.end]
        launched = [k for c in within if c.external is not None for k in kernels.get(c.external, ())]
        if not launched:
            rows.passed_over[f"{call.name} that launched no kernel"] += 1
            continue
        longest = max(launched, key=lambda k: k[1])[0]
        rows.add(op, sum(seconds for _, seconds in launched), longest)


# ------------------------------------------------------------------------------------------------ operators


def _shape(call: Call, index: int) -> list[int]:
    """Raises ValueError for what is no tensor of something."""
    return _dims(call.shapes[index])


def _dims(found: Any) -> list[int]:
    if not isinstance(found, list) or not all(_is_whole(n) and n > 0 for n in found):
        raise ValueError(found)
    return found


def _dtype(call: Call, index: int) -> str:
    """Raises ValueError for a type without arithmetic of its own."""
    name = _DTYPES.get(call.types[index])
    if name is None:
        raise ValueError(call.types[index])
    return name


def _gemm(first: int, batched: bool) -> Callable[[Call], Operator]:
    """``mm(a, b)``, ``addmm(bias, a, b)`` and their batched sisters."""

    def rule(call: Call) -> Operator:
        a, b = _shape(call, first), _shape(call, first + 1)
        if len(a) != 2 + batched or len(b) != len(a) or a[-1] != b[-2]:
            raise ValueError(a)
        return Gemm(dtype=_dtype(call, first), batch=a[0] if batched else 1, m=a[-2], n=b[-1], k=a[-1])

    return rule


def _convolution(call: Call) -> Operator:
    """``convolution(input, weight, bias, stride, padding, dilation, transposed, output_padding, groups)``."""
    x, w = _shape(call, 0), _shape(call, 1)
    if len(x) != 4 or len(w) != 4 or call.values[6] != "False":
        raise ValueError(x)
    stride, padding, dilation = (_pair(call.values[i]) for i in (3, 4, 5))
    return Conv(
        dtype=_dtype(call, 0),
        batch=x[0], c_in=x[1], c_out=w[0], h=x[2], w=x[3], kernel_h=w[2], kernel_w=w[3], stride_h=stride[0],
        stride_w=stride[1], pad_h=padding[0], pad_w=padding[1], dilation_h=dilation[0], dilation_w=dilation[1],
        groups=int(call.values[8]),
    )  # fmt: skip


def _pair(text: str) -> tuple[int, int]:
    """``[1, 1]``, or ``[1]`` for both."""
    numbers = json.loads(text)
    if not isinstance(numbers, list) or len(numbers) not in (1, 2):
        raise ValueError(text)
    return int(numbers[0]), int(numbers[-1])


def _softmax(call: Call) -> Operator:
    shape = _shape(call, 0)
    cols = shape[int(call.values[1])]
    return Softmax(dtype=_dtype(call, 0), rows=math.prod(shape) // cols, cols=cols)


def _layer_norm(call: Call) -> Operator:
    shape, normalised = _shape(call, 0), _dims(json.loads(call.values[1]))
    cols = math.prod(normalised)
    return Norm(dtype=_dtype(call, 0), kind="layernorm", rows=math.prod(shape) // cols, cols=cols)


def _attention(causal: int) -> Callable[[Call], Operator]:
    """``scaled_dot_product_attention`` as its backends are called: queries, keys, values of ``[batch, heads, length, width]``,
    and whether it is causal, as the argument of that number."""

    def rule(call: Call) -> Operator:
        q, k, v = (_shape(call, place) for place in range(3))
        if (
            not len(q) == len(k) == len(v) == 4
            or q[0] != k[0]
            or k[:3] != v[:3]
            or call.values[causal] not in ("True", "False")
        ):
            raise ValueError(q)
        if call.values[causal] == "True" and q[2] != k[2]:
            raise ValueError(q)  # PyTorch's mask begins at the first key, the descriptor's ends at the last
        return Attention(
            dtype=_dtype(call, 0), phase="decode" if q[2] == 1 else "prefill" if call.values[causal] == "True" else "encoder",
            batch=q[0], q_len=q[2], kv_len=k[2], heads=q[1], kv_heads=k[1], head_dim=q[3], v_head_dim=v[3],
            causal=call.values[causal] == "True",
        )  # fmt: skip

    return rule


def _elementwise(kind: str, operands: int) -> Callable[[Call], Operator]:
    """A scalar function of operands that broadcast to one shape; a number has the shape ``[]``."""

    def rule(call: Call) -> Operator:
        shapes = {place: _shape(call, place) for place, s in enumerate(call.shapes[:operands]) if isinstance(s, list)}
        elements = math.prod(_broadcast(list(shapes.values())))
        whole = [place for place, shape in shapes.items() if math.prod(shape) == elements]
        smaller = sum(math.prod(shape) for place, shape in shapes.items() if shape and place not in whole)
        [dtype] = {_dtype(call, place) for place in whole or shapes}
        return Elementwise(
            dtype=dtype, kind=kind, elements=elements, inputs=len(whole),
            input_elements=len(whole) * elements + smaller if smaller else None,
        )  # fmt: skip

    return rule


def _broadcast(shapes: list[list[int]]) -> list[int]:
    """Raises ValueError for shapes that do not go together."""
    found: list[int] = []
    for sizes in zip_longest(*(reversed(shape) for shape in shapes), fillvalue=1):
        size = max(sizes)
        if any(s not in (1, size) for s in sizes):
            raise ValueError(shapes)
        found.append(size)
    return found[::-1]


RULES: dict[str, Callable[[Call], Operator]] = {
    "aten::mm": _gemm(0, False),
    "aten::addmm": _gemm(1, False),
    "aten::bmm": _gemm(0, True),
    "aten::baddbmm": _gemm(1, True),
    "aten::convolution": _convolution,
    "aten::_scaled_dot_product_flash_attention": _attention(4),
    "aten::_scaled_dot_product_flash_attention_for_cpu": _attention(4),
    "aten::_scaled_dot_product_efficient_attention": _attention(6),
    "aten::_scaled_dot_product_cudnn_attention": _attention(6),
    "aten::_softmax": _softmax,
    "aten::native_layer_norm": _layer_norm,
    **{
        f"aten::{name}": _elementwise(name, 1)
        for name in ("relu", "gelu", "silu", "sigmoid", "tanh", "exp", "sqrt", "abs")
    },
    **{f"aten::{name}": _elementwise(name, 2) for name in ("add", "sub", "mul", "div")},
}
"""What becomes of an operator of PyTorch. Operators that call one of these (``aten::linear``, ``aten::conv2d``) are none:
they would count it twice."""


def _events(path: str | Path) -> list[Any]:
    text = read_text(path)
    try:
        data = parse_json(text)
    except ValueError as error:
        raise TraceError(f"{path} is no Chrome trace: it is no JSON ({str(error)[:100]})") from None
    items = data.get("traceEvents") if isinstance(data, dict) else data
    if not isinstance(items, list):
        raise TraceError(f"{path} is no Chrome trace: wanted traceEvents")
    return items


def _list(value: Any) -> list[Any]:
    return value if isinstance(value, list) else []


def _is_whole(value: Any) -> TypeGuard[int]:
    return isinstance(value, int) and not isinstance(value, bool)
