"""What ``cutlass_profiler --output=FILE`` writes: a line a kernel and problem, its time in milliseconds.

    Problem,Provider,OperationKind,Operation,Disposition,Status,gemm_kind,m,n,k,A,B,C,...,Bytes,Flops,Flops/Byte,Runtime,GB/s,GFLOPs

(CUTLASS documentation, "CUTLASS Profiler"). Operands are written as ``f16:column``. The tile, the stages and the instruction of
the kernel become ``cfg_<name>``. Matrix products and forward convolutions are rows; sparse, grouped and complex ones are not.
"""

from __future__ import annotations

from collections.abc import Collection, Mapping
from pathlib import Path
from typing import Any

from perfmodel.collect.importers.rows import Imported, Rows
from perfmodel.collect.importers.tables import csv_rows, number
from perfmodel.errors import DescriptorError, DtypeError
from perfmodel.ops import Conv, Gemm, Operator

_DTYPES = {
    "f64": "fp64", "f32": "fp32", "tf32": "tf32", "f16": "fp16", "bf16": "bf16", "s8": "int8", "u8": "int8", "e4m3": "fp8",
    "e5m2": "fp8", "fe4m3": "fp8", "fe5m2": "fp8",
}  # fmt: skip
_CONFIGURATION = (
    "split_k_mode", "split_k_slices", "raster_order", "swizzle_size", "op_class", "accum", "cta_m", "cta_n", "cta_k",
    "cluster_m", "cluster_n", "cluster_k", "stages", "warps_m", "warps_n", "warps_k", "inst_m", "inst_n", "inst_k",
    "iterator_algorithm",
)  # fmt: skip
_DONE = ("passed", "not_verified", "not_run", "unverified")
"""Dispositions of a kernel that ran: the profiler's check of the result may be off."""
MILLISECOND = 1e-3


def read_cutlass(path: str | Path, device: str, software: str, source: str = "cutlass-profiler") -> Imported:
    """One row a line. Lines of kernels that failed have no latency and the failure as ``status``.

    Args:
        path: the CSV file, or the profiler's whole output.
        device: the device's id, or the path of its TOML.
        software: the stack, as in ``cutlass-4.2``.
        source: what the rows bear.

    Raises:
        TraceError: it is no such table, or no line is understood.
    """
    rows = Rows({"device": device, "software": software, "source": source})
    for row in csv_rows(path, _is_header, "table of cutlass_profiler"):
        kind = row["OperationKind"]
        if kind not in ("gemm", "conv2d"):
            rows.passed_over[f"operations of the kind {kind}"] += 1
            continue
        try:
            op = _gemm(row) if kind == "gemm" else _conv(row)
        except (KeyError, ValueError, DescriptorError, DtypeError):
            rows.passed_over[f"{kind} of another form"] += 1
            continue
        if op is None:
            rows.passed_over[f"{kind} of a format or kind that has no descriptor"] += 1
            continue
        seconds, status = _outcome(row)
        more: dict[str, Any] = {"kernel": row["Operation"], "latency_s": seconds, "status": status}
        rows.add_row(op, more | {f"cfg_{name}": _value(row[name]) for name in _CONFIGURATION if row.get(name)})
    return rows.imported(str(path))


def _is_header(names: Collection[str]) -> bool:
    return {"OperationKind", "Operation", "Disposition", "Status", "Runtime"} <= set(names)


def _outcome(row: Mapping[str, str]) -> tuple[float | None, str]:
    runtime = number(row["Runtime"])
    if row["Status"] != "success" or row["Disposition"] not in _DONE:
        problem = row["Disposition"] if row["Status"] == "success" else row["Status"]
        return None, f"cutlass_profiler: {problem or 'no status'}"
    if runtime is None or not 0 < runtime < 1e9:
        return None, "no latency"
    return runtime * MILLISECOND, "ok"


def _gemm(row: Mapping[str, str]) -> Operator | None:
    if row.get("gemm_kind", "universal") not in ("universal", "gemm", "batched", "array", ""):
        return None
    dtype = _dtype(row, "A")
    if dtype is None or _dtype(row, "B") is None:
        return None
    return Gemm(
        dtype=dtype, batch=int(row.get("batch_count") or 1), m=int(row["m"]), n=int(row["n"]), k=int(row["k"]),
        out_dtype=_DTYPES.get(_element(row.get("D") or row.get("C", ""))),
    )  # fmt: skip


def _conv(row: Mapping[str, str]) -> Operator | None:
    dtype = _dtype(row, "Activation")
    if row["conv_kind"] != "fprop" or dtype is None:
        return None
    return Conv(
        dtype=dtype, batch=int(row["n"]), c_in=int(row["c"]), c_out=int(row["k"]), h=int(row["h"]), w=int(row["w"]),
        kernel_h=int(row["r"]), kernel_w=int(row["s"]), stride_h=int(row["stride_h"]), stride_w=int(row["stride_w"]),
        pad_h=int(row["pad_h"]), pad_w=int(row["pad_w"]), dilation_h=int(row["dilation_h"]),
        dilation_w=int(row["dilation_w"]), groups=int(row.get("groups") or 1),
    )  # fmt: skip


def _dtype(row: Mapping[str, str], operand: str) -> str | None:
    """The format of the arithmetic: fp32 operands in tensor cores are multiplied as tf32."""
    found = _DTYPES.get(_element(row[operand]))
    if found == "fp32" and row.get("op_class") == "tensorop":
        # Kernels that split fp32 into several products have another name for it ("f32" before the shape of the instruction).
        return "tf32" if "tf32" in row["Operation"] else None
    return found


def _element(operand: str) -> str:
    return operand.partition(":")[0]


def _value(text: str) -> Any:
    found = number(text)
    return text if found is None else int(found) if found == int(found) else found
