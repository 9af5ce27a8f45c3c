"""Tuning records of TVM: the log of AutoTVM, ``database_tuning_record.json`` of MetaSchedule. Both have one JSON value a line.

AutoTVM (``tvm.autotvm.record``): ``{"input": [target, task, arguments, {}], "config": {"entity": [[name, kind, value], ...]},
"result": [[seconds, ...], error, seconds in all, time stamp]}``; ``i``, ``r`` and ``e`` in its first version. Arguments of a
task say the operator.

MetaSchedule (``tvm.meta_schedule.JSONDatabase``): ``[workload, [trace, seconds of each run, target, arguments]]``, arguments as
``["TENSOR", "float32", [128, 256]]``. What is computed stands in another file, as a serialised module of TVM; here it is told
from the names of the blocks that the trace schedules and from the arguments' shapes. Strides of convolutions are in neither.
"""

from __future__ import annotations

import hashlib
import json
import math
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from statistics import fmean, median, pstdev
from typing import Any

from perfmodel.collect.importers.rows import Imported, Rows, text_lines
from perfmodel.errors import DescriptorError, DtypeError, TraceError, is_finite_number
from perfmodel.ops import Conv, Gemm, Operator

_DTYPES = {"float32": "fp32", "float64": "fp64", "float16": "fp16", "bfloat16": "bf16", "int8": "int8", "uint8": "int8"}
_ERRORS = (
    "no error", "instantiation error", "compile error (host)", "compile error (device)", "runtime error", "wrong answer",
    "build timeout", "run timeout", "unknown error",
)  # fmt: skip
NEVER_S = 1e8
"""Failed measurements bear 1e9 or 1e10 seconds."""
UNREADABLE = "lines of another form"


def read_autotvm(path: str | Path, device: str, software: str, source: str = "autotvm") -> Imported:
    """One row a configuration that was tried, its knobs as ``cfg_<name>``; failures keep their reason as ``status``.

    Args:
        path: the log.
        device: the device's id, or the path of its TOML.
        software: the stack, as in ``tvm-0.14``.
        source: what the rows bear.

    Raises:
        TraceError: no line is a record of an operator that is understood.
    """
    rows = Rows({"device": device, "software": software, "source": source})
    for record in _records(path, rows):
        given = record.get("input", record.get("i")) if isinstance(record, dict) else None
        result = record.get("result", record.get("r")) if isinstance(record, dict) else None
        if not (isinstance(given, list) and len(given) >= 3 and isinstance(result, list) and len(result) >= 2):
            rows.passed_over[UNREADABLE] += 1
            continue
        task, arguments = str(given[1]), given[2]
        op = _task(task, arguments)
        if op is None:
            rows.passed_over[f"tasks {task[:60]}"] += 1
            continue
        config = record.get("config", given[5] if len(given) > 5 else {})
        entities = config.get("entity", config.get("e", [])) if isinstance(config, dict) else []
        failure = None if result[1] == 0 else _error(result[1])
        rows.add_row(op, {"kernel": task, **_measured(result[0], failure), **_knobs(entities)})
    return rows.imported(str(path))


def read_meta_schedule(path: str | Path, device: str, software: str, source: str = "tvm-meta-schedule") -> Imported:
    """One row a record of a matrix product, told apart by ``cfg_trace``, a hash of the schedule.

    Args:
        path: ``database_tuning_record.json``.
        device, software, source: as of :func:`read_autotvm`.

    Raises:
        TraceError: as :func:`read_autotvm`.
    """
    rows = Rows({"device": device, "software": software, "source": source})
    for record in _records(path, rows):
        body = record[1] if isinstance(record, list) and len(record) == 2 else None
        if not (isinstance(body, list) and len(body) == 4 and isinstance(body[3], list)):
            rows.passed_over[UNREADABLE] += 1
            continue
        trace, seconds, _, arguments = body
        blocks = _blocks(trace)
        op = next((op for block in blocks if (op := _block(block, arguments)) is not None), None)
        if op is None:
            rows.passed_over[f"blocks {', '.join(blocks)[:60] or 'without a name'}"] += 1
            continue
        key = hashlib.sha256(json.dumps(trace, sort_keys=True).encode()).hexdigest()[:12]
        rows.add_row(op, {"kernel": blocks[0], **_measured(seconds, None), "cfg_trace": key})
    return rows.imported(str(path))


def _records(path: str | Path, rows: Rows) -> Iterator[Any]:
    read = 0
    for line in text_lines(path):
        if not line.strip():
            continue
        try:
            yield json.loads(line)
            read += 1
        except (ValueError, RecursionError):
            # A log that was cut off ends within a line.
            rows.passed_over[UNREADABLE] += 1
    if not read:
        raise TraceError(f"{path} holds no tuning records: wanted one JSON value a line")


def _measured(seconds: Any, failure: str | None) -> dict[str, Any]:
    """The columns of a measurement, from the seconds of its runs."""
    times = [t for t in seconds if is_finite_number(t)] if isinstance(seconds, list) else []
    if failure is None and (not times or not all(0 < t < NEVER_S for t in times)):
        failure = "not measured"
    if failure is not None:
        return {"latency_s": None, "status": failure}
    spread = pstdev(times) / fmean(times)
    return {"latency_s": median(times), "samples": len(times), "latency_rel_std": spread, "status": "ok"}


def _error(number: Any) -> str:
    known = isinstance(number, int) and 0 < number < len(_ERRORS)
    return _ERRORS[number] if known else f"error {number}"


def _knobs(entities: Any) -> dict[str, Any]:
    found = {}
    for entity in entities if isinstance(entities, list) else []:
        if isinstance(entity, list) and len(entity) == 3 and isinstance(entity[0], str):
            value = entity[2]
            found[f"cfg_{entity[0]}"] = "x".join(map(str, value)) if isinstance(value, list) else value
    # Knobs of one name are texts in one task and numbers in another: a column has one type.
    return {name: value if value is None else str(value) for name, value in found.items()}


# ------------------------------------------------------------------------------------------------ tasks of AutoTVM


def _task(task: str, arguments: Any) -> Operator | None:
    """The operator of a task; None where there is no rule, or the arguments have another form."""
    if not isinstance(arguments, list) or "without_weight_transform" in task:
        return None
    rule = next((rule for start, rule in _TASKS.items() if task.startswith(start)), None)
    try:
        return None if rule is None else rule(arguments)
    except (IndexError, KeyError, TypeError, ValueError, OverflowError, DescriptorError, DtypeError):
        return None


def _tensor(argument: Any) -> tuple[list[int], str]:
    """``["TENSOR", [1, 3, 224, 224], "float32"]``; the first version leaves the word out."""
    items = argument[1:] if argument[0] == "TENSOR" else [argument[:-1], argument[-1]]
    shape, dtype = items
    return [int(d) for d in shape], _DTYPES[dtype]


def _dense(arguments: Sequence[Any]) -> Operator:
    (m, k), dtype = _tensor(arguments[0])
    weight, _ = _tensor(arguments[1])
    # [n, k], or packed as [n / b, k, b].
    n = weight[0] if len(weight) == 2 else weight[0] * weight[2]
    if weight[1] != k:
        raise ValueError(weight)
    return Gemm(dtype=dtype, m=m, n=n, k=k)


def _batch_matmul(arguments: Sequence[Any]) -> Operator:
    (batch, m, k), dtype = _tensor(arguments[0])
    (_, rows, columns), _ = _tensor(arguments[1])
    flags = [a for a in arguments if isinstance(a, bool)]
    if flags and flags[0]:
        m, k = k, m
    transposed = flags[1] if len(flags) > 1 else True
    n, other = (rows, columns) if transposed else (columns, rows)
    if other != k:
        raise ValueError(arguments)
    return Gemm(dtype=dtype, batch=batch, m=m, n=n, k=k)


def _convolution(arguments: Sequence[Any], layout: str, depthwise: bool = False) -> Operator:
    data, dtype = _tensor(arguments[0])
    weight, _ = _tensor(arguments[1])
    strides, padding, dilation = arguments[2], arguments[3], arguments[4]
    if layout == "NHWC":
        batch, h, w, c = data
        kernel_h, kernel_w, a, b = weight
        c_out = a * b if depthwise else b
    else:
        batch, c, h, w = data if len(data) == 4 else (data[0], data[1] * data[4], data[2], data[3])
        kernel_h, kernel_w = weight[2], weight[3]
        if depthwise:
            c_out = weight[0] * weight[1] * (weight[5] if len(weight) == 6 else 1)
        else:
            c_out = weight[0] * (weight[5] if len(weight) == 6 else 1)
    top, left, bottom, right = _sides(padding)
    if (top, left) != (bottom, right):
        raise ValueError(padding)
    down, across = _pair(dilation)
    return Conv(
        dtype=dtype, batch=batch, c_in=c, c_out=c_out, h=h, w=w, kernel_h=kernel_h, kernel_w=kernel_w,
        stride_h=_pair(strides)[0], stride_w=_pair(strides)[1], pad_h=top, pad_w=left, dilation_h=down, dilation_w=across,
        groups=c if depthwise else 1,
    )  # fmt: skip


def _pair(value: Any) -> tuple[int, int]:
    return (value, value) if isinstance(value, int) else (int(value[0]), int(value[1]))


def _sides(value: Any) -> tuple[int, int, int, int]:
    if isinstance(value, int) or len(value) == 2:
        down, across = _pair(value)
        return down, across, down, across
    top, left, bottom, right = value
    return int(top), int(left), int(bottom), int(right)


_TASKS: dict[str, Callable[[Sequence[Any]], Operator]] = {
    "dense": _dense,
    "batch_matmul": _batch_matmul,
    "depthwise_conv2d_nhwc": lambda a: _convolution(a, "NHWC", depthwise=True),
    "depthwise_conv2d_nchw": lambda a: _convolution(a, "NCHW", depthwise=True),
    "depthwise_conv2d_NCHWc": lambda a: _convolution(a, "NCHW", depthwise=True),
    "conv2d_nhwc": lambda a: _convolution(a, "NHWC"),
    "conv2d_nchw": lambda a: _convolution(a, "NCHW"),
    "conv2d_NCHWc": lambda a: _convolution(a, "NCHW"),
}
"""By the beginning of the task's name; ``.cuda``, ``.x86`` or ``_winograd`` follow."""


# ------------------------------------------------------------------------------------------------ blocks of MetaSchedule


def _blocks(trace: Any) -> list[str]:
    """Names of the blocks that a trace asks for: instructions ``["GetBlock", [], [name, function], [result]]``."""
    instructions = trace[0] if isinstance(trace, list) and trace and isinstance(trace[0], list) else []
    found = []
    for item in instructions:
        if isinstance(item, list) and len(item) >= 3 and item[0] in ("GetBlock", "GetSBlock"):
            attributes = item[2]
            if isinstance(attributes, list) and attributes and isinstance(attributes[0], str):
                found.append(attributes[0])
    return list(dict.fromkeys(name for name in found if name != "root"))


def _block(name: str, arguments: Sequence[Any]) -> Operator | None:
    """The product of a block called after one (``T_matmul_NT``, ``matmul``, ``T_batch_matmul_NN``), where the shapes agree."""
    lower = name.lower()
    if "matmul" not in lower and lower not in ("dense", "t_dense"):
        return None
    try:
        tensors = [([int(d) for d in a[2]], _DTYPES[a[1]]) for a in arguments if a[0] == "TENSOR"]
        (a, dtype), (b, _), (out, out_dtype) = tensors[0], tensors[1], tensors[-1]
        if not (2 <= len(a) == len(b) == len(out) and len(tensors) >= 3):
            return None
        (m, k), n = a[-2:], out[-1]
        # The first may be transposed, the second may be.
        if m != out[-2]:
            m, k = k, m
        if m != out[-2] or sorted(b[-2:]) != sorted((k, n)):
            return None
        return Gemm(dtype=dtype, batch=math.prod(out[:-2]), m=m, n=n, k=k, out_dtype=out_dtype)
    except (IndexError, KeyError, TypeError, ValueError, OverflowError, DescriptorError, DtypeError):
        return None
