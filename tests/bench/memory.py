"""The memory plan of CPUs against what ONNX Runtime's arena says of itself.

    python tests/bench/memory.py                                  # networks written for this, and the demo model
    PERFMODEL_SHARED=... python tests/bench/memory.py             # also ResNet-50, BERT, GPT-2, ViT with random weights

Compared is what a run adds to the arena: activations, outputs and workspace. Inputs are the caller's and no part of the arena;
weights are only partly (GEMM weights that were packed). One thread, dimensions fixed in the session, two arenas:

exact      grows by what is asked for and splits every chunk: in use is what was asked for, in units of 256 bytes
default    as a session has it: regions double in size, a chunk is split only at twice the request

Columns: the plan's peak without weights and inputs; the most in use during the first run of either arena, and by how much the
plan differs; what the default arena took from the system; the same difference with weights on both sides.
"""

from __future__ import annotations

import os
import sys
import tempfile
from collections.abc import Iterator
from importlib.util import find_spec
from pathlib import Path

import numpy as np
import onnx

sys.path.insert(0, str(Path(__file__).resolve().parent.parent))

from memory_models import ARCHITECTURES, feeds, runnable
from ort_arena import measure

from perfmodel.features.fusion import fuse_for_cpu
from perfmodel.features.onnx import read_onnx
from perfmodel.predict.memory import MemoryPlan, plan_on_cpu

_SHARED: dict[str, tuple[dict[str, int], ...]] = {
    "resnet50": ({"batch": 1}, {"batch": 8}),
    "bert-base": ({"batch": 1, "seq": 128}, {"batch": 8, "seq": 128}, {"batch": 1, "seq": 512}),
    "gpt2": ({"batch": 1, "seq": 128}, {"batch": 2, "seq": 256}),
    "vit_b16": ({"batch": 1}, {"batch": 4}),
}
_OWN: dict[str, tuple[dict[str, int], ...]] = {
    "unet": ({"batch": 1}, {"batch": 4}),
    "mobilenet": ({"batch": 1}, {"batch": 8}),
    "mixer": ({"batch": 1}, {"batch": 8}),
    "lstm": ({"batch": 1, "time": 400}, {"batch": 8, "time": 200}),
    "decoder": ({"batch": 4, "seq": 1, "past": 511}, {"batch": 1, "seq": 128, "past": 128}),
}


def models() -> Iterator[tuple[str, onnx.ModelProto, tuple[dict[str, int], ...]]]:
    """Name, runnable model, and the dimensions to run it with."""
    demo = Path(__file__).resolve().parents[2] / "examples" / "resnet18.onnx"
    yield "resnet18", runnable(demo), ({"batch": 1}, {"batch": 8})
    if "PERFMODEL_SHARED" in os.environ:
        for name, sizes in _SHARED.items():
            yield name, runnable(Path(os.environ["PERFMODEL_SHARED"]) / "onnx" / f"{name}.graph.onnx"), sizes
    for name, sizes in _OWN.items():
        yield name, ARCHITECTURES[name](), sizes
    found = find_spec("rapidocr_onnxruntime")
    if found is not None and found.origin is not None:
        for path in sorted((Path(found.origin).parent / "models").glob("*.onnx")):
            model = onnx.load(path)
            for dim, size in zip(
                model.graph.input[0].type.tensor_type.shape.dim,
                (1, 3, 640, 640) if "det" in path.name else (4, 3, 48, 320),
                strict=True,
            ):
                dim.Clear()
                dim.dim_value = size
            yield path.stem, model, ({},)


def main() -> None:
    """Print the table, and the mean and the largest difference."""
    print("| model | dimensions | plan, MB | exact, MB | differs | default, MB | differs | taken, MB | with weights |")
    print("|---|---|---|---|---|---|---|---|---|")
    differences: dict[str, list[float]] = {}
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "model.onnx"
        for name, model, sizes in models():
            onnx.save(model, path)
            for dims in sizes:
                row, difference = _row(path, model, dims)
                differences.setdefault(name, []).append(difference)
                print(f"| {name} | {', '.join(f'{k}={v}' for k, v in dims.items())} | {row} |", flush=True)
    every = np.array([d for found in differences.values() for d in found])
    within = sum(max(map(abs, found)) <= 0.25 for found in differences.values())
    print(f"\nmean |difference| {np.abs(every).mean():.1%}, largest {np.abs(every).max():.1%};")
    print(f"{within} of {len(differences)} models within 25 % in every size")


def _row(path: Path, model: onnx.ModelProto, dims: dict[str, int]) -> tuple[str, float]:
    found: MemoryPlan = plan_on_cpu(fuse_for_cpu(read_onnx(str(path), dims=dims)))
    planned = found.peak_bytes - found.weights_bytes - found.inputs_bytes - _past_bytes(model, dims)
    values, outputs = feeds(model, dims), [o.name for o in model.graph.output]
    exact, default = (measure(path, values, outputs, dims=dims, exact=e) for e in (True, False))
    asked = exact.first.peak_in_use - exact.loaded.in_use
    used = default.first.peak_in_use - default.loaded.in_use
    weights = found.weights_bytes
    cells = [f"{planned / 1e6:.2f}", f"{asked / 1e6:.2f}", f"{planned / asked - 1:+.1%}", f"{used / 1e6:.2f}",
             f"{planned / used - 1:+.1%}", f"{default.first.allocated / 1e6:.1f}",
             f"{(planned + weights) / (used + weights) - 1:+.1%}"]  # fmt: skip
    return " | ".join(cells), planned / asked - 1


def _past_bytes(model: onnx.ModelProto, dims: dict[str, int]) -> float:
    """Past keys and values are the caller's too."""
    return float(sum(a.nbytes for name, a in feeds(model, dims).items() if name.startswith("past")))


if __name__ == "__main__":
    main()
