"""What the pages take a reader to have: small files under the names that their blocks call them by."""

from __future__ import annotations

import itertools
import json
import shutil
from collections.abc import Callable
from pathlib import Path

import numpy as np
import onnx
import pytest
from docs_code import ROOT, blocks
from onnx_models import small_model
from profile_doubles import CACHE, CUTLASS, KERN_SUM, call, kernel

import perfmodel
from perfmodel._resources import data_path
from perfmodel.cli import main
from perfmodel.collect.collectors import collector
from perfmodel.hardware import load_device

DYNAMIC = """func.func @main(%a: tensor<?x?x64xf32>, %b: tensor<64x32xf32>) -> tensor<?x?x32xf32> {
  %0 = stablehlo.dot_general %a, %b, contracting_dims = [2] x [0]
    : (tensor<?x?x64xf32>, tensor<64x32xf32>) -> tensor<?x?x32xf32>
  return %0 : tensor<?x?x32xf32>
}
"""
PRODUCT = """func.func @matmul_{n}(%a: tensor<{n}x{n}xf32>, %b: tensor<{n}x{n}xf32>) -> tensor<{n}x{n}xf32> {{
  %0 = stablehlo.dot_general %a, %b, contracting_dims = [1] x [0]
    : (tensor<{n}x{n}xf32>, tensor<{n}x{n}xf32>) -> tensor<{n}x{n}xf32>
  return %0 : tensor<{n}x{n}xf32>
}}
"""


def with_dims(model: onnx.ModelProto, **dims: str | int) -> onnx.ModelProto:
    """A model whose open dimensions are renamed, or fixed."""
    for value in (*model.graph.input, *model.graph.output):
        for dim in value.type.tensor_type.shape.dim:
            wanted = dims.get(dim.dim_param)
            if isinstance(wanted, int):
                dim.dim_value = wanted
            elif wanted is not None:
                dim.dim_param = wanted
    return model


def network() -> onnx.ModelProto:
    """One with weights, so that it also runs, and no open dimension."""
    return with_dims(small_model(), batch=1)


def transformer(**dims: int) -> onnx.ModelProto:
    """The decoder of examples/, given no earlier tokens; its last product is called as most exporters call it."""
    model = onnx.load(str(ROOT / "examples" / "gpt2.onnx"), load_external_data=False)
    model.graph.node[-1].name = "lm_head"
    lengths = {"sequence_length": "seq", "past_sequence_length + sequence_length": "seq", "past_sequence_length": 0}
    return with_dims(model, **lengths, **dims)


def device_file(path: Path) -> None:
    assert main(["devices", "--template", "--like", "l40s", "-o", str(path)]) == 0
    path.write_text(path.read_text("utf-8").replace('id = "my-l40s"', 'id = "my-gpu"'), "utf-8")


def traces(path: Path) -> None:
    """Products on a reader's own device where one is described, otherwise on two GPUs, a tenth slower than by physics."""
    pandas = pytest.importorskip("pandas", reason="traces need the extra train")
    mine = path.parent / "my-gpu.toml"
    devices = [mine] if mine.exists() else ["h100-sxm", "l40s"]
    # Power is learned from a hundred rows of 0.1 ms or more: 2 softwares x 54, of which the shortest takes 0.1 TFLOP.
    m, n, k = np.array(list(itertools.product(range(4096, 24577, 4096), (4096, 6144, 8192), (4096, 6144, 8192)))).T
    products = perfmodel.Gemm(m=m, n=n, k=k, dtype="bf16")
    tables = []
    for device, software in itertools.product(map(load_device, devices), ("vllm-0.14.0", "sglang-0.5.14")):
        e = perfmodel.load("analytical").predict(products, device, cache="warm")
        tables.append(
            pandas.DataFrame(
                {"device": device.id, "software": software, "op": "gemm", "batch": 1, "m": m, "n": n, "k": k,
                 "dtype": "bf16", "source": "made up", "cache": "warm", "latency_s": 1.1 * e.latency_s, "power_w": 250.0}
            )
        )  # fmt: skip
    pandas.concat(tables, ignore_index=True).to_parquet(path)


def runs(path: Path) -> None:
    """One network of a single operator."""
    pandas = pytest.importorskip("pandas", reason="traces need the extra train")
    (path.parent / "net.csv").write_text("op,batch,m,n,k,dtype,count\ngemm,1,512,1024,1024,bf16,12\n")
    row = {"device": "h100-sxm", "software": "vllm-0.14.0", "source": "made up", "workload": "net", "latency_s": 2e-4}
    pandas.DataFrame([{**row, "operators": "net.csv"}]).to_parquet(path)


def configurations(path: Path) -> None:
    pandas = pytest.importorskip("pandas", reason="tables need the extra train")
    names = ["MWG", "NWG", "MDIMC", "NDIMC", "MDIMA", "NDIMB", "SA", "SB"]
    rows = itertools.product((32, 64), (32, 64, 128), (8, 16), (8, 16), (8,), (8,), (0, 1), (0, 1))
    pandas.DataFrame(list(rows), columns=names).to_parquet(path)


def dtype_map(path: Path) -> None:
    """The one that the page shows."""
    shown = [b.text for b in blocks(ROOT / "docs" / "number-formats.md") if b.language == "toml"]
    path.write_text(shown[0], "utf-8")


def profile(path: Path) -> None:
    """A profile of ONNX Runtime, and the graph that it ran."""
    pytest.importorskip("onnxruntime", reason="profiles need the extra collect")
    model = path.parent / "profiled.onnx"
    onnx.save(network(), str(model))
    collector("onnxruntime-cpu").collect(model, path.parent, dims={})


def save(make: Callable[[], onnx.ModelProto]) -> Callable[[Path], None]:
    return lambda path: onnx.save(make(), str(path))


def write(text: str) -> Callable[[Path], object]:
    return lambda path: path.write_text(text, "utf-8")


INPUTS: dict[str, Callable[[Path], object]] = {
    "model.onnx": save(network),
    "bert.onnx": save(transformer),
    "llama.onnx": save(lambda: transformer(batch=1)),
    "model.mlir": write((ROOT / "examples" / "mlp.mlir").read_text("utf-8")),
    "dynamic.mlir": write(DYNAMIC),
    "library.mlir": write("".join(PRODUCT.format(n=n) for n in (128, 256))),
    "my-gpu.toml": device_file,
    "formats.toml": dtype_map,
    "configs.parquet": configurations,
    "traces.parquet": traces,
    "few.parquet": traces,
    "runs.parquet": runs,
    "trace.json": write(
        json.dumps(
            {
                "schemaVersion": 1,
                "traceEvents": [
                    call("aten::mm", 0, 9, [[64, 64], [64, 64]], external=1),
                    kernel("gemm", 4, external=1),
                ],
            }
        )
    ),
    "gemm.csv": write(CUTLASS),
    "conv.csv": write(CUTLASS),
    "cache.json": write(json.dumps(CACHE)),
    "kernels.csv": write(KERN_SUM),
    "profile.json": profile,
    "my-predictor": lambda path: shutil.copytree(data_path("models", "default"), path),  # pages may train into it
}
