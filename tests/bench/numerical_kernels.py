"""Numerical kernels on one pinned thread, predicted against measured: STREAM, AXPY, GEMV, GEMM, SpMV, a stencil, softmax.

    perfmodel calibrate --device local-cpu -o my.toml
    python tests/bench/numerical_kernels.py my.toml

Each kernel is a descriptor, or a loop nest as MLIR text where there is no descriptor for it, and runs in sizes that stay in
cache and that do not. Copy, scale and add are numpy's; AXPY is the BLAS of scipy; products and softmax are ONNX Runtime's,
with weights as a model has them and an empty run taken off; triad, stencil and SpMV are the C below, compiled by
`cc -O3 -march=native`, and are left out where there is no compiler.
"""

from __future__ import annotations

import argparse
import ctypes
import os
import shutil
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from statistics import median
from typing import Any

# One thread on one core, set before the imports below (E402): thread pools read both when they are loaded.
if hasattr(os, "sched_setaffinity"):
    os.sched_setaffinity(0, {max(os.sched_getaffinity(0))})
for _name in ("OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS"):
    os.environ[_name] = "1"

import numpy as np  # noqa: E402

import perfmodel  # noqa: E402
from perfmodel import Gemm  # noqa: E402
from perfmodel.collect.anchor import Anchor  # noqa: E402
from perfmodel.collect.microbenchmarks.sessions import call  # noqa: E402
from perfmodel.features.mlir import read_mlir  # noqa: E402
from perfmodel.hardware import Device, load_device  # noqa: E402
from perfmodel.models.predictor import load  # noqa: E402
from perfmodel.ops import Copy, Elementwise, Operator, Softmax  # noqa: E402

VECTORS = (8_000, 100_000, 8_000_000)
"""Elements of fp64 vectors: 128 kB, 1.6 MB and 128 MB in two of them."""
PER_ROW = 32
"""Non-zeros of a row of the sparse matrix, at random columns."""

SOURCE = r"""
void triad(long n, double s, const double *restrict b, const double *restrict c, double *restrict a) {
    for (long i = 0; i < n; i++) a[i] = b[i] + s * c[i];
}
void stencil(long n, long m, const double *restrict a, double *restrict b) {
    for (long i = 1; i < n - 1; i++)
        for (long j = 1; j < m - 1; j++)
            b[i * m + j] = 0.25 * (a[(i - 1) * m + j] + a[(i + 1) * m + j] + a[i * m + j - 1] + a[i * m + j + 1]);
}
void spmv(long n, const int *restrict start, const int *restrict column, const double *restrict value,
          const double *restrict x, double *restrict y) {
    for (long i = 0; i < n; i++) {
        double sum = 0.0;
        for (int j = start[i]; j < start[i + 1]; j++) sum += value[j] * x[column[j]];
        y[i] = sum;
    }
}
"""

STENCIL = """
func.func @stencil(%a: memref<{n}x{n}xf64>, %b: memref<{n}x{n}xf64>) {{
  %quarter = arith.constant 0.25 : f64
  affine.for %i = 1 to {last} {{
    affine.for %j = 1 to {last} {{
      %n = affine.load %a[%i - 1, %j] : memref<{n}x{n}xf64>
      %s = affine.load %a[%i + 1, %j] : memref<{n}x{n}xf64>
      %w = affine.load %a[%i, %j - 1] : memref<{n}x{n}xf64>
      %e = affine.load %a[%i, %j + 1] : memref<{n}x{n}xf64>
      %1 = arith.addf %n, %s : f64
      %2 = arith.addf %w, %e : f64
      %3 = arith.addf %1, %2 : f64
      %4 = arith.mulf %3, %quarter : f64
      affine.store %4, %b[%i, %j] : memref<{n}x{n}xf64>
    }}
  }}
  return
}}
"""

SPMV = """
func.func @spmv(%start: memref<{rows1}xi32>, %column: memref<{entries}xi32>, %value: memref<{entries}xf64>,
                %x: memref<{rows}xf64>, %y: memref<{rows}xf64>) {{
  %zero = arith.constant 0.0 : f64
  affine.for %i = 0 to {rows} {{
    %sum = affine.for %j = 0 to {each} iter_args(%acc = %zero) -> (f64) {{
      %c32 = affine.load %column[%i * {each} + %j] : memref<{entries}xi32>
      %c = arith.index_cast %c32 : i32 to index
      %v = affine.load %value[%i * {each} + %j] : memref<{entries}xf64>
      %u = memref.load %x[%c] : memref<{rows}xf64>
      %p = arith.mulf %v, %u : f64
      %s = arith.addf %acc, %p : f64
      affine.yield %s : f64
    }}
    affine.store %sum, %y[%i] : memref<{rows}xf64>
  }}
  return
}}
"""


@dataclass(frozen=True)
class Kernel:
    """One line of the table."""

    name: str
    size: str
    operator: Operator
    extra_bytes: float
    work: Callable[[], object]
    in_a_run: bool = False
    """Whether the time of a run of a model is to be taken off."""


def _compiled(folder: str) -> Any | None:
    """The C functions, or None without a compiler."""
    compiler = shutil.which("cc")
    if compiler is None:
        return None
    source, library = Path(folder) / "kernels.c", Path(folder) / "kernels.so"
    source.write_text(SOURCE, encoding="utf-8")
    subprocess.run([compiler, "-O3", "-march=native", "-shared", "-fPIC", "-o", library, source], check=True)
    return ctypes.CDLL(str(library))


def _nest(text: str) -> tuple[Operator, float]:
    """The only kernel of a module, and what it reads beside its descriptor."""
    (node,) = read_mlir(text).nodes
    return node.op, float(node.extra_bytes_read)


def _pointer(array: np.ndarray) -> ctypes.c_void_p:
    return ctypes.c_void_p(array.ctypes.data)


def kernels(library: Any | None) -> Iterator[Kernel]:
    """Every kernel in every size; arrays live as long as their line."""
    for n in VECTORS:
        a, b, c = (np.full(n, 0.5) for _ in range(3))
        size = f"{n:,} fp64"
        fp64 = {"elements": n, "dtype": "fp64"}
        yield Kernel("STREAM copy (numpy)", size, Copy(**fp64), 0.0, lambda a=a, b=b: np.copyto(b, a))
        scale = Elementwise(kind="mul", inputs=1, **fp64)
        yield Kernel("STREAM scale (numpy)", size, scale, 0.0, lambda a=a, b=b: np.multiply(a, 3.0, out=b))
        add = Elementwise(kind="add", inputs=2, **fp64)
        yield Kernel("STREAM add (numpy)", size, add, 0.0, lambda a=a, b=b, c=c: np.add(a, b, out=c))
        multiply_add = Elementwise(kind="mul+add", inputs=2, **fp64)
        if library is not None:
            triad = _bound(library.triad, ctypes.c_long(n), ctypes.c_double(3.0), a, b, c)
            yield Kernel("STREAM triad (C)", size, multiply_add, 0.0, triad)
        from scipy.linalg.blas import daxpy

        yield Kernel("AXPY (BLAS)", size, multiply_add, 0.0, lambda a=a, b=b: daxpy(a, b, a=1e-9))
    rng = np.random.default_rng(0)
    for m, n in ((1, 256), (1, 1024), (1, 4096), (64, 256), (256, 1024), (1024, 1024)):
        x, w = (rng.standard_normal(shape, np.float32) for shape in ((m, n), (n, n)))
        work = call([("MatMul", ["x", "w"], ["y"], {})], {"x": x}, ["y"], {"w": w})
        name = "GEMV (ONNX Runtime)" if m == 1 else "GEMM (ONNX Runtime)"
        yield Kernel(name, f"{m}x{n}x{n} fp32", Gemm(m=m, n=n, k=n, dtype="fp32"), 0.0, work, in_a_run=True)
    for rows, cols in ((64, 128), (1024, 128), (12 * 512, 512), (64, 50_257)):
        x = rng.standard_normal((rows, cols), np.float32)
        work = call([("Softmax", ["x"], ["y"], {"axis": -1})], {"x": x}, ["y"])
        yield Kernel(
            "softmax (ONNX Runtime)", f"{rows}x{cols} fp32", Softmax(rows=rows, cols=cols, dtype="fp32"), 0.0, work,
            in_a_run=True,
        )  # fmt: skip
    if library is None:
        return
    for n in (130, 514, 4098):
        a, b = np.full((n, n), 0.5), np.zeros((n, n))
        work = _bound(library.stencil, ctypes.c_long(n), ctypes.c_long(n), a, b)
        yield Kernel("5-point stencil (C)", f"{n}x{n} fp64", *_nest(STENCIL.format(n=n, last=n - 1)), work)
    for rows in (1_000, 20_000, 500_000):
        entries = rows * PER_ROW
        start = np.arange(0, entries + 1, PER_ROW, dtype=np.int32)
        column = np.sort(rng.integers(0, rows, (rows, PER_ROW), dtype=np.int32), axis=1).ravel()
        value, x, y = np.full(entries, 0.5), np.full(rows, 0.5), np.zeros(rows)
        work = _bound(library.spmv, ctypes.c_long(rows), start, column, value, x, y)
        text = SPMV.format(rows=rows, rows1=rows + 1, each=PER_ROW, entries=entries)
        yield Kernel("SpMV, CSR (C)", f"{rows:,} rows x {PER_ROW} fp64", *_nest(text), work)


def _bound(function: Any, *arguments: Any) -> Callable[[], object]:
    """A call with its arguments ready; arrays stay alive with it."""
    ready = [_pointer(a) if isinstance(a, np.ndarray) else a for a in arguments]

    def run(held: tuple[Any, ...] = arguments) -> None:
        function(*ready)

    return run


def measured_s(work: Callable[[], object], seconds: float) -> float:
    """Median of batches of at least a millisecond."""
    work()
    begin = time.perf_counter()
    work()
    calls = max(1, round(1e-3 / max(time.perf_counter() - begin, 1e-7)))
    times: list[float] = []
    end = time.perf_counter() + seconds
    while len(times) < 5 or time.perf_counter() < end:
        begin = time.perf_counter()
        for _ in range(calls):
            work()
        times.append((time.perf_counter() - begin) / calls)
    return median(times)


def main() -> int:
    """Prints the table."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("device", help="what perfmodel calibrate wrote")
    parser.add_argument("--seconds", type=float, default=0.4, help="of each kernel and size")
    arguments = parser.parse_args()
    devices: list[Device] = [load_device("local-cpu"), load_device(arguments.device)]
    predictor, anchor = load("default"), Anchor()
    anchors = [anchor.times()]
    errors: list[list[float]] = []
    one = {"x": np.ones(8, np.float32)}
    empty = call([("Identity", ["x"], ["y"], {})], one, ["y"])
    print("| kernel | size | measured | local-cpu | calibrated | bound |\n|---|---|---|---|---|---|")
    with tempfile.TemporaryDirectory() as folder:
        for kernel in kernels(_compiled(folder)):
            seconds = measured_s(kernel.work, arguments.seconds)
            if kernel.in_a_run:
                seconds -= measured_s(empty, 0.05)
            found = [
                predictor.predict([kernel.operator], d, cache="warm", extra_bytes_read=np.array([kernel.extra_bytes]))
                for d in devices
            ]
            predicted = [float(f.latency_s[0]) for f in found]
            errors.append([abs(p / seconds - 1) for p in predicted])
            shown = [f"{p * 1e6:,.1f} us ({p / seconds - 1:+.0%})" for p in predicted]
            print(
                f"| {kernel.name} | {kernel.size} | {seconds * 1e6:,.1f} us | {' | '.join(shown)} | {found[1].bound[0]} |",
                flush=True,
            )
            anchors.append(anchor.times(1))
    middle = np.median(np.array(errors), axis=0)
    print(f"| **median error** | | | {middle[0]:.1%} | {middle[1]:.1%} | |")
    gemm, copy = (np.array(v) for v in zip(*anchors, strict=True))
    print(f"\nanchor: product {np.ptp(gemm) / np.median(gemm):.0%}, copy {np.ptp(copy) / np.median(copy):.0%} of range")
    print(f"perfmodel {perfmodel.__version__}, numpy {np.__version__}")
    return 0


if __name__ == "__main__":
    sys.exit(main())
