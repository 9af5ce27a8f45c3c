"""oneDNN's verbose mode (``ONEDNN_VERBOSE=1``): one line a primitive, its time in milliseconds at the end.

    onednn_verbose,v1,primitive,exec,cpu,matmul,brg:avx2,undef,src_f32::... wei_f32::... dst_f32::...,,,8x256:256x512,0.42

Fields after ``exec``: engine, primitive, implementation, propagation, operands, attributes, auxiliary, problem, time (oneDNN
Developer Guide, "Verbose Mode"). Earlier releases lack ``v1`` and ``primitive``; timestamps may stand after the marker.

The format of a product follows from both operands: floating-point activations with integer weights are weights that are widened
(``attr-fpmath:bf16:true``). ``attr-fpmath`` of a product of fp32 allows another arithmetic; no line says which one was used.
"""

from __future__ import annotations

import math
import re
from collections.abc import Callable
from pathlib import Path

from perfmodel.collect.importers.rows import Imported, Rows, read_text
from perfmodel.errors import DescriptorError, DtypeError
from perfmodel.ops import Conv, Elementwise, Gemm, Operator, Softmax
from perfmodel.ops.formats import is_narrow, product_format, weight_format

_MARKERS = ("onednn_verbose", "dnnl_verbose", "mkldnn_verbose")
_DTYPES = {
    "f32": "fp32", "f64": "fp64", "f16": "fp16", "bf16": "bf16", "s8": "int8", "u8": "int8", "s4": "int4", "u4": "int4",
}  # fmt: skip
_PRODUCTS = ("matmul", "inner_product", "convolution")
_ELEMENTWISE = {
    "eltwise_relu": "relu", "eltwise_tanh": "tanh", "eltwise_logistic": "sigmoid", "eltwise_exp": "exp",
    "eltwise_sqrt": "sqrt", "eltwise_abs": "abs", "eltwise_gelu_erf": "gelu", "eltwise_gelu_tanh": "gelu_tanh",
    "eltwise_swish": "silu",
}  # fmt: skip
MILLISECOND = 1e-3
LONGEST_NAME = 200


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
        attributes, auxiliary, problem, text = ",".join(fields[5:-3]), *fields[-3:]
        try:
            seconds = float(text) * MILLISECOND
            op = _operator(primitive, propagation, operands, attributes, auxiliary, problem)
        except _NoFormatError as why:
            rows.passed_over[f"{primitive} {why}"] += 1
            continue
        except (ValueError, DescriptorError, DtypeError):
            rows.passed_over[f"{primitive} of another form"] += 1
            continue
        if op is None or not (math.isfinite(seconds) and seconds > 0):
            rows.passed_over[primitive if op is None else "lines without a time"] += 1
            continue
        # What is done to the results in the same kernel makes it another one.
        after = re.search(r"post[-_]ops:'?([^\s']+)", attributes)
        kernel = f"{primitive}:{implementation}" + (f"+{after[1]}" if after else "")
        rows.add(op, seconds, kernel[:LONGEST_NAME])
    return rows.imported(str(path))


def _operator(
    primitive: str, propagation: str, operands: str, attributes: str, auxiliary: str, problem: str
) -> Operator | None:
    """The descriptor of a line; None where there is none for it.

    Raises:
        ValueError: the problem is written in another form than the documented one.
    """
    if propagation.startswith("backward"):
        return None
    if primitive in _PRODUCTS:
        found = _product(primitive, problem)
        if found is None:
            return None
        make, dims, terms = found
        return make(dtype=_format(operands, attributes, terms), **dims)
    # Element-wise primitives call their operand `data` in earlier releases.
    dtype = _dtype(operands, "src") or _dtype(operands, "data")
    if dtype is None:
        return None
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


class _NoFormatError(ValueError):
    """A product whose format is none of ours, or not known; the message is why."""


def _format(operands: str, attributes: str, terms: int) -> str:
    """The format of a product whose sums have so many terms.

    Raises:
        _NoFormatError: there is none, or it is not known which one was used.
    """
    source, weights = _dtype(operands, "src"), _dtype(operands, "wei")
    relaxed = re.search(r"fpmath:(?!strict)\w+", attributes)
    if source == "fp32" and relaxed:
        raise _NoFormatError(f"of f32 under {relaxed[0]}: which arithmetic was used, it does not say")
    dtype = None
    if source is not None and weights is not None:
        # Weights that share a scale: one column of them where no groups are written.
        scales = re.search(r"scales:\S*?wei:[^+\s]*?:(\d+)x(\d+)", attributes)
        group = int(scales[1]) * int(scales[2]) if scales else terms
        if source == weights and not is_narrow(source):
            dtype = source
        else:
            dtype = (product_format if is_narrow(source) else weight_format)(source, weights, "", group)
    if dtype is None:
        raise _NoFormatError("of operands whose product has no format here")
    return dtype


def _product(primitive: str, problem: str) -> tuple[Callable[..., Operator], dict[str, int], int] | None:
    """What makes the descriptor of a product, its dimensions, and how many terms a sum has; None for three spatial axes."""
    if primitive == "matmul":
        dims = _matmul(problem)
        return Gemm, dims, dims["k"]
    if primitive == "convolution":
        n = _numbers(problem, "mb", "ic", "oc", "iw", "kw", "sw", "pw")
        if "id" in n:
            return None
        dims = _convolution(n)
        return Conv, dims, dims["c_in"] // max(dims["groups"], 1) * dims["kernel_h"] * dims["kernel_w"]
    n = _numbers(problem, "mb", "oc", "ic")
    k = n["ic"] * n.get("ih", 1) * n.get("iw", 1) * n.get("id", 1)
    return Gemm, {"m": n["mb"], "n": n["oc"], "k": k}, k


def _matmul(problem: str) -> dict[str, int]:
    """``[batch x] m x k : [batch x] k x n [: dst]``."""
    sides = [[int(d) for d in side.split("x")] for side in problem.split(":")[:2]]
    a, b = sides
    if len(a) < 2 or len(b) != len(a) or a[-1] != b[-2]:
        raise ValueError(problem)
    batch = math.prod(max(x, y) for x, y in zip(a[:-2], b[:-2], strict=True))
    return {"batch": batch, "m": a[-2], "n": b[-1], "k": a[-1]}


def _convolution(n: dict[str, int]) -> dict[str, int]:
    # One axis is written as `iw ow kw ...` alone. A dilation of 0 is none.
    return {
        "batch": n["mb"], "c_in": n["ic"], "c_out": n["oc"], "h": n.get("ih", 1), "w": n["iw"],
        "kernel_h": n.get("kh", 1), "kernel_w": n["kw"], "stride_h": n.get("sh", 1), "stride_w": n["sw"],
        "pad_h": n.get("ph", 0), "pad_w": n["pw"], "dilation_h": n.get("dh", 0) + 1, "dilation_w": n.get("dw", 0) + 1,
        "groups": n.get("g", 1),
    }  # fmt: skip


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
