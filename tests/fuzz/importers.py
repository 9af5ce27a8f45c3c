"""Other tools' profiles and logs."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterable
from functools import cache
from pathlib import Path

from fuzz.base import refused, written
from perfmodel.errors import PerfmodelError


def importing(name: str) -> Callable[[bytes, Path], str]:
    def read(data: bytes, folder: Path) -> str:
        from perfmodel.collect.importers.descriptor import parse_descriptor
        from perfmodel.collect.importers.registry import Request
        from perfmodel.importing import import_traces

        # Times of the host's calls are refused for GPUs, and those of kernels for processors.
        on_host = name == "onnxruntime" or (name == "torch-profiler" and b'"kernel"' not in data)
        request = Request(
            "epyc-9654" if on_host else "a100-sxm-80gb", "stack-1.0",
            op=parse_descriptor("gemm m=4096 n=4096 k=4096 dtype=fp32"),
            graph=small_profile()[1] if name == "onnxruntime" else None, dims={"batch": 2},
        )  # fmt: skip
        path = written(folder, "trace", data)
        came_to = []
        for format in (name, None):
            try:
                import_traces(path, request=request, format=format)
            except PerfmodelError as error:
                came_to.append(refused(error))
            else:
                came_to.append("result")
        return came_to[0]

    return read


def importing_seeds(*names: str) -> Callable[[], Iterable[bytes]]:
    def seeds() -> Iterable[bytes]:
        from profile_doubles import FILES

        return [FILES[n][0].encode() for n in names]

    return seeds


def kernel_tuner_seeds() -> Iterable[bytes]:
    from profile_doubles import CACHE

    return [json.dumps(CACHE).encode()]


def onednn_seeds() -> Iterable[bytes]:
    from profile_doubles import VERBOSE

    return [VERBOSE.encode()]


def chrome_seeds() -> Iterable[bytes]:
    import profile_doubles as t

    events = [
        t.call("aten::addmm", 10, 80, [[512], [32, 256], [256, 512], [], []]),
        t.call("aten::bmm", 400, 40, [[8, 16, 64], [8, 64, 128]], kind="c10::BFloat16"),
        t.call("aten::convolution", 500, 70, [[8, 3, 224, 224], [64, 3, 7, 7], [64]], t.CONVOLUTION),
        t.call("aten::_softmax", 600, 5, [[4, 12, 128, 128], [], []], ["", "-1", "False"]),
        t.call(
            "aten::native_layer_norm", 610, 6, [[32, 128, 768], [], [768], [768], []], ["", "[768]", "", "", "1e-05"]
        ),
        t.call("aten::mul", 620, 7, [[32, 128], [128]]),
    ]
    for more in ([], [t.kernel("gemm_64x64", 8.0, 1)]):
        events[0]["args"]["External id"] = 1
        yield json.dumps({"traceEvents": [{"ph": "M", "name": "process_name"}, *events, *more]}).encode()


@cache
def small_profile() -> tuple[bytes, Path]:
    """The profile of a small model, run here, and the graph that ran."""
    import tempfile

    import onnx
    from onnx_models import small_model

    from perfmodel.collect.onnxruntime_cpu import OnnxRuntimeCpu

    folder = Path(tempfile.mkdtemp())
    onnx.save(small_model(), folder / "small.onnx")
    OnnxRuntimeCpu(seconds=0.001).collect(folder / "small.onnx", folder / "run", dims={"batch": 2})
    data = json.loads((folder / "run" / "profile.json").read_bytes())
    return json.dumps(data[:60]).encode(), folder / "run" / "optimised.onnx"


def onnxruntime_seeds() -> Iterable[bytes]:
    return [small_profile()[0]]
