"""oneDNN's verbose mode (``ONEDNN_VERBOSE=1``): one line a primitive, its time in milliseconds at the end.

    onednn_verbose,v1,primitive,exec,cpu,matmul,brg:avx2,undef,src_f32::... wei_f32::... dst_f32::...,,,8x256:256x512,0.42

Fields after ``exec``: engine, primitive, implementation, propagation, operands, attributes, auxiliary, problem, time (oneDNN
Developer Guide, "Verbose Mode"). Earlier releases lack ``v1`` and ``primitive``; timestamps may stand after the marker.
"""

from __future__ import annotations

import math
import re
from pathlib import Path

from perfmodel.collect.importers.rows import Imported, Rows, read_text
from perfmodel.errors import DescriptorError, DtypeError
from perfmodel.ops import Conv, Elementwise, Gemm, Operator, Softmax

_MARKERS = ("onednn_verbose", "dnnl_verbose", "mkldnn_verbose")
_DTYPES = {"f32": "fp32", "f64": "fp64", "f16": "fp16", "bf16": "bf16", "s8": "int8", "u8": "int8"}
_ELEMENTWISE = {
    "eltwise_relu": "relu", "eltwise_tanh": "tanh", "eltwise_logistic": "sigmoid", "eltwise_exp": "exp",
    "eltwise_sqrt": "sqrt", "eltwise_abs": "abs", "eltwise_gelu_erf": "gelu", "eltwise_gelu_tanh": "gelu_tanh",
    "eltwise_swish": "silu",
}  # fmt: skip
MILLISECOND = 1e-3


def read_onednn(path: str | Path, device: str, software: str, source: str = "onednn-verbose") -> Imported:
    """The primitives of a log that has them, among whatever else stands in it.

    Matrix products, inner products, two-dimensional convolutions, softmax and element-wise functions are rows. The time
    that making a primitive takes (``create``) is passed over.

    Args:
        path: the log.
        device: the device's id, or the path of its TOML.
        software: the stack, as in ``onednn-3.5``.
        source: what the rows bear.

    Raises:
        TraceError: it holds no line that is understood.
    """
    rows = Rows({"device": device, "software": software, "source": source})
    for line in read_text(path).splitlines():
        # A program's own output may stand before the marker, on the same line.
        start = min((line.find(m) for m in _MARKERS if m in line), default=-1)
        if start < 0:
            continue
        fields = line[start:].strip().split(",")
        if "exec" not in fields[:5]:
            continue
        fields = fields[fields.index("exec") + 1 :]
        if len(fields) < 9:
            rows.passed_over["lines of another form"] += 1
            continue
        primitive, implementation, propagation, operands = fields[1], fields[2], fields[3], fields[4]
        auxiliary, problem, text = fields[-3], fields[-2], fields[-1]
        try:
            seconds = float(text) * MILLISECOND
            op = _operator(primitive, propagation, operands, auxiliary, problem)
        except (ValueError, DescriptorError, DtypeError):
            rows.passed_over[f"{primitive} of another form"] += 1
            continue
        if op is None or not (math.isfinite(seconds) and seconds > 0):
            rows.passed_over[primitive if op is None else "lines without a time"] += 1
            continue
        rows.add(op, seconds, f"{primitive}:{implementation}")
    return rows.imported(str(path))


def _operator(primitive: str, propagation: str, operands: str, auxiliary: str, problem: str) -> Operator | None:
    """The descriptor of a line; None where there is none for it.

    Raises:
        ValueError: the problem is written in another form than the documented one.
    """
    if propagation.startswith("backward"):
        return None
    # Element-wise primitives call their operand `data` in earlier releases.
    dtype = _dtype(operands, "wei") or _dtype(operands, "src") or _dtype(operands, "data")
    if dtype is None:
        return None
    if primitive == "matmul":
        return _matmul(problem, dtype)
    if primitive == "inner_product":
        n = _numbers(problem, "mb", "oc", "ic")
        return Gemm(dtype=dtype, m=n["mb"], n=n["oc"], k=n["ic"] * n.get("ih", 1) * n.get("iw", 1) * n.get("id", 1))
    if primitive == "convolution":
        return _convolution(_numbers(problem, "mb", "ic", "oc", "iw", "kw", "sw", "pw"), dtype)
    shape = [int(d) for d in problem.split("x")] if re.fullmatch(r"\d+(x\d+)*", problem) else None
    if shape is None:
        raise ValueError(problem)
    if primitive == "softmax":
        axis = re.search(r"axis:(\d+)", auxiliary)
        place = int(axis[1]) if axis else len(shape) - 1
        if place >= len(shape) or not shape[place]:
            raise ValueError(f"{problem} along axis {place}")
        cols = shape[place]
        return Softmax(dtype=dtype, rows=math.prod(shape) // cols, cols=cols)
    if primitive == "eltwise":
        kind = next((kind for name, kind in _ELEMENTWISE.items() if f"alg:{name} " in f"{auxiliary} "), None)
        return None if kind is None else Elementwise(dtype=dtype, kind=kind, elements=math.prod(shape), inputs=1)
    return None


def _matmul(problem: str, dtype: str) -> Gemm:
    """``[batch x] m x k : [batch x] k x n [: dst]``."""
    sides = [[int(d) for d in side.split("x")] for side in problem.split(":")[:2]]
    a, b = sides
    if len(a) < 2 or len(b) != len(a) or a[-1] != b[-2]:
        raise ValueError(problem)
    batch = math.prod(max(x, y) for x, y in zip(a[:-2], b[:-2], strict=True))
    return Gemm(dtype=dtype, batch=batch, m=a[-2], n=b[-1], k=a[-1])


def _convolution(n: dict[str, int], dtype: str) -> Conv | None:
    if "id" in n:
        return None  # three spatial axes
    # One axis is written as `iw ow kw ...` alone. A dilation of 0 is none.
    return Conv(
        dtype=dtype,
        batch=n["mb"], c_in=n["ic"], c_out=n["oc"], h=n.get("ih", 1), w=n["iw"], kernel_h=n.get("kh", 1), kernel_w=n["kw"],
        stride_h=n.get("sh", 1), stride_w=n["sw"], pad_h=n.get("ph", 0), pad_w=n["pw"],
        dilation_h=n.get("dh", 0) + 1, dilation_w=n.get("dw", 0) + 1, groups=n.get("g", 1),
    )  # fmt: skip


def _numbers(problem: str, *wanted: str) -> dict[str, int]:
    """``mb1_ic3oc64_ih224oh112kh7...`` as a mapping.

    Raises:
        ValueError: it has no such form, or lacks one of those ``wanted``.
    """
    if not re.fullmatch(r"(_?[a-z]+\d+)+", problem):
        raise ValueError(problem)
    found = {name: int(number) for name, number in re.findall(r"([a-z]+)(\d+)", problem)}
    if not found.keys() >= set(wanted):
        raise ValueError(problem)
    return found


def _dtype(operands: str, which: str) -> str | None:
    """``src_f32::blocked:ab::f0`` (``src:f32:...`` in later releases)."""
    match = re.search(rf"\b{which}[_:](\w+?):", operands)
    return _DTYPES.get(match[1]) if match else None
