"""How long one prediction takes: the exported forms, compiled, and the Python ones.

    python tests/bench/exported.py [--folder DIR]

C is timed by a loop in C over the same inputs (-O2), the best of 20 rounds; ONNX by ONNX Runtime on one thread, in batches.
Published: 17 to 94 us a whole model step (AIConfigurator's Rust engine), 35 to 71 us a GEMM (nvMatmulHeuristics).
"""

from __future__ import annotations

import argparse
import subprocess
import tempfile
import time
from collections.abc import Callable, Mapping
from pathlib import Path

import numpy as np

import perfmodel
from perfmodel.export import Export, artefact, operator, ranker
from perfmodel.models.predictor import load_trained
from perfmodel.rank import prepare

_MAIN = """\
#include <stdio.h>
#include <time.h>
#include "{name}.h"
int main(void)
{{
    volatile double first = {first};
    {name}_input in = {{{inputs}}};
    {name}_output out;
    double best = 1e9;
    for (int round = 0; round < 20; round++) {{
        struct timespec start, end;
        clock_gettime(CLOCK_MONOTONIC, &start);
        for (int i = 0; i < 2000; i++) {{ in.{field} = first; {name}(&in, &out); }}
        clock_gettime(CLOCK_MONOTONIC, &end);
        double taken = ((end.tv_sec - start.tv_sec) * 1e6 + (end.tv_nsec - start.tv_nsec) / 1e3) / 2000;
        if (taken < best) best = taken;
    }}
    printf("%.2f\\n", best);
}}
"""
CONFIGURATION = {
    "MWG": 64, "NWG": 64, "KWG": 32, "MDIMC": 8, "NDIMC": 8, "MDIMA": 8, "NDIMB": 8, "KWI": 2, "VWM": 2, "VWN": 2, "STRM": 0,
    "STRN": 0, "SA": 1, "SB": 1,
}  # fmt: skip
PROBLEM = {"batch": 1, "m": 4096, "n": 4096, "k": 4096}
DECODE = {"batch": 16, "q_len": 1, "kv_len": 4096, "heads": 32, "kv_heads": 8, "head_dim": 128}
CONVOLUTION = {
    "batch": 8, "c_in": 64, "c_out": 64, "h": 56, "w": 56, "kernel_h": 3, "kernel_w": 3, "pad_h": 1, "pad_w": 1, "pad_d": 0,
    "out_pad_h": 0, "out_pad_w": 0, "out_pad_d": 0,
}  # fmt: skip


def in_c(export: Export, inputs: Mapping[str, float], folder: Path) -> float:
    """Microseconds of one call."""
    for name, data in artefact(export, "c").items():
        (folder / name).write_bytes(data)
    values = [repr(float(inputs[n])) for n in export.inputs]
    text = _MAIN.format(name=export.name, inputs=", ".join(values), first=values[0], field=next(iter(export.inputs)))
    (folder / "main.c").write_text(text)
    command = ["cc", "-D_POSIX_C_SOURCE=199309L", "-std=c99", "-O2", "main.c", f"{export.name}.c", "-lm", "-o", "timed"]
    subprocess.run(command, cwd=folder, check=True)
    return float(subprocess.run([str(folder / "timed")], check=True, capture_output=True, text=True).stdout)


def in_onnx(export: Export, inputs: Mapping[str, float], rows: int) -> float:
    """Microseconds a row of a batch."""
    import onnxruntime

    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = 1
    [data] = artefact(export, "onnx").values()
    session = onnxruntime.InferenceSession(data, options)
    columns = {n: np.full(rows, float(inputs[n])) for n in export.inputs}
    return best(lambda: session.run(None, columns), 1) / rows


def best(function: Callable[[], object], calls: int) -> float:
    """Microseconds of a call, the best of ten rounds."""
    taken = []
    for _ in range(10):
        start = time.perf_counter()
        for _ in range(calls):
            function()
        taken.append((time.perf_counter() - start) / calls)
    return 1e6 * min(taken)


def main() -> None:
    """Print the table."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--folder", type=Path, help="where the C is written; default: a temporary folder")
    given = parser.parse_args().folder
    with tempfile.TemporaryDirectory() as temporary:
        folder = given or Path(temporary)
        predictor = load_trained()
        space = ranker("rtx-3080", "clblast_sgemm", "fp32")
        gemm = operator(predictor, "h100-sxm", "gemm", "bf16")
        one = operator(predictor, "h100-sxm", "gemm", "bf16", software="vllm", name="gemm_vllm")
        plain = operator(predictor, "rtx-3090", "gemm", "fp32")
        norm = operator(predictor, "h100-sxm", "norm", "bf16", settings={"kind": "rmsnorm"})
        decode = operator(predictor, "h100-sxm", "attention", "bf16", settings={"phase": "decode", "causal": True})
        conv = operator(predictor, "rtx-3090", "conv", "fp32")
        rows = {
            "C: a kernel configuration": in_c(space, {**PROBLEM, **CONFIGURATION}, folder),
            "C: a GEMM, the fastest of three stacks": in_c(gemm, PROBLEM, folder),
            "C: a GEMM of one stack": in_c(one, PROBLEM, folder),
            "C: a GEMM by the physics alone": in_c(plain, PROBLEM, folder),
            "C: a normalisation": in_c(norm, {"rows": 4096, "cols": 4096}, folder),
            "C: attention of a decode step": in_c(decode, DECODE, folder),
            "C: a convolution by the physics alone": in_c(conv, dict.fromkeys(conv.inputs, 1.0) | CONVOLUTION, folder),
            "ONNX: a GEMM of 1,000 single ones": in_onnx(gemm, PROBLEM, 1000),
            "ONNX: a GEMM of 1,000 batches of 8": in_onnx(gemm, {**PROBLEM, "batch": 8}, 1000),
            "ONNX: a kernel configuration of 100": in_onnx(space, {**PROBLEM, **CONFIGURATION}, 100),
            "ONNX: a kernel configuration of 100,000": in_onnx(space, {**PROBLEM, **CONFIGURATION}, 100_000),
        }
        op = perfmodel.Gemm(m=4096, n=4096, k=4096, dtype="fp32")
        predict = prepare(op, "rtx-3080", "clblast_sgemm")
        configuration = {n: float(v) for n, v in CONFIGURATION.items()}
        rows["Python: a kernel configuration, prepared"] = best(lambda: predict(configuration), 300)
        rows["Python: prepare it"] = best(lambda: prepare(op, "rtx-3080", "clblast_sgemm"), 1)
        of_bf16 = perfmodel.Gemm(m=4096, n=4096, k=4096, dtype="bf16")
        rows["Python: a GEMM, the fastest of three stacks"] = best(lambda: predictor.predict(of_bf16, "h100-sxm"), 3)
    print(f"{'':46}{'us':>12}")
    for name, microseconds in rows.items():
        print(f"{name:46}{microseconds:>12.2f}")


if __name__ == "__main__":
    main()
