"""What reading and predicting large graphs costs, and whether it grows linearly with the nodes.

    python tests/bench/large_graphs.py [NODES ...]

Writes synthetic graphs of several kinds, predicts each in a process of its own, and prints seconds, peak memory and
microseconds a node.
"""

from __future__ import annotations

import re
import subprocess
import sys
import tempfile
from collections.abc import Callable
from pathlib import Path

import onnx
from onnx import TensorProto, helper

SIZES = (25_000, 50_000, 100_000, 200_000)

_Nodes = list[onnx.NodeProto]
_Tensors = list[onnx.TensorProto]

_PROGRAM = """
import re, sys, time
start = time.process_time()
import perfmodel
from perfmodel.features import read_onnx
from perfmodel.features.fusion import fuse
graph = read_onnx(sys.argv[1])
read = time.process_time()
fused = fuse(graph)
done = time.process_time()
prediction = perfmodel.predict(fused, "h100-sxm", predictor="analytical", fusion="none")
end = time.process_time()
peak = int(re.search(r"VmHWM:\\s*(\\d+) kB", open("/proc/self/status").read())[1]) * 1024
print(len(graph.nodes), read - start, done - read, end - done, end - start, peak, prediction.latency_s.value)
"""


def _weight(name: str, shape: list[int]) -> onnx.TensorProto:
    tensor = onnx.TensorProto(name=name, data_type=TensorProto.FLOAT, dims=shape, data_location=TensorProto.EXTERNAL)
    tensor.external_data.add(key="location", value="absent.bin")
    return tensor


def chain(count: int) -> tuple[_Nodes, _Tensors, list[int], str]:
    """One elementwise operator after the other."""
    kinds = ("Relu", "Sigmoid", "Tanh", "Exp")
    nodes = [helper.make_node(kinds[i % 4], [f"t{i}"], [f"t{i + 1}"], name=f"n{i}") for i in range(count)]
    return nodes, [], [64, 64], f"t{count}"


def wide(count: int) -> tuple[_Nodes, _Tensors, list[int], str]:
    """Everything reads the input; one sum of all, in groups."""
    nodes: _Nodes = []
    level = []
    for i in range(count * 9 // 10):
        nodes.append(helper.make_node("Relu", ["t0"], [f"r{i}"], name=f"n{i}"))
        level.append(f"r{i}")
    number = 0
    while len(level) > 1:
        following = []
        for start in range(0, len(level), 16):
            nodes.append(helper.make_node("Sum", level[start : start + 16], [f"s{number}"], name=f"s{number}"))
            following.append(f"s{number}")
            number += 1
        level = following
    return nodes, [], [64, 64], level[0]


def transformer(count: int) -> tuple[_Nodes, _Tensors, list[int], str]:
    """Layers of attention and feed-forward as an exporter writes them, shape arithmetic included."""
    nodes: _Nodes = []
    weights = [_weight(n, s) for n, s in (("wq", [256, 256]), ("w1", [256, 1024]), ("w2", [1024, 256]), ("g", [256]))]
    weights.append(helper.make_tensor("heads", TensorProto.INT64, [2], [4, 64]))
    weights.append(helper.make_tensor("flat", TensorProto.INT64, [1], [256]))
    weights.append(helper.make_tensor("scale", TensorProto.FLOAT, [], [0.125]))
    x = "t0"
    layer = 0
    while len(nodes) < count:
        p = f"l{layer}."

        def add(op: str, inputs: str, output: str, p: str = p, **attributes: object) -> None:
            names = [i if i in _SHARED or i.startswith(("t", "l")) else p + i for i in inputs.split()]
            nodes.append(helper.make_node(op, names, [p + output], name=p + output, **attributes))

        add("LayerNormalization", f"{x} g g", "n", axis=-1)
        for head in "qkv":
            add("MatMul", "n wq", f"{head}0")
            add("Shape", f"{head}0", f"{head}s", start=0, end=1)
            add("Concat", f"{head}s heads", f"{head}shape", axis=0)
            add("Reshape", f"{head}0 {head}shape", f"{head}1")
            add("Transpose", f"{head}1", f"{head}2", perm=[1, 2, 0] if head == "k" else [1, 0, 2])
        add("MatMul", "q2 k2", "scores")
        add("Mul", "scores scale", "scaled")
        add("Softmax", "scaled", "probs", axis=-1)
        add("MatMul", "probs v2", "mixed")
        add("Transpose", "mixed", "back", perm=[1, 0, 2])
        add("Shape", "back", "bs", start=0, end=1)
        add("Concat", "bs flat", "bshape", axis=0)
        add("Reshape", "back bshape", "joined")
        add("MatMul", "joined wq", "out")
        add("Add", f"{x} out", "residual")
        add("LayerNormalization", "residual g g", "n2", axis=-1)
        add("MatMul", "n2 w1", "up")
        add("Gelu", "up", "act")
        add("MatMul", "act w2", "down")
        add("Add", "residual down", "end")
        x = f"{p}end"
        layer += 1
    return nodes, weights, [64, 256], x


_SHARED = frozenset(("wq", "w1", "w2", "g", "heads", "flat", "scale"))


def convolutional(count: int) -> tuple[_Nodes, _Tensors, list[int], str]:
    """Residual blocks, a weight of its own for each convolution."""
    nodes: _Nodes = []
    weights: _Tensors = [_weight(n, [16]) for n in ("g", "b", "m", "v")]
    x, number = "t0", 0
    while len(nodes) < count:
        start = x
        for _ in range(2):
            weights.append(_weight(f"w{number}", [16, 16, 3, 3]))
            nodes.append(
                helper.make_node("Conv", [x, f"w{number}"], [f"c{number}"], name=f"c{number}", pads=[1, 1, 1, 1])
            )
            nodes.append(
                helper.make_node("BatchNormalization", [f"c{number}", *"gbmv"], [f"n{number}"], name=f"n{number}")
            )
            nodes.append(helper.make_node("Relu", [f"n{number}"], [f"r{number}"], name=f"r{number}"))
            x, number = f"r{number}", number + 1
        nodes.append(helper.make_node("Add", [x, start], [f"a{number}"], name=f"a{number}"))
        x = f"a{number}"
    return nodes, weights, [1, 16, 16, 16], x


KINDS: dict[str, Callable[[int], tuple[_Nodes, _Tensors, list[int], str]]] = {
    "chain": chain, "wide": wide, "transformer": transformer, "convolutional": convolutional,
}  # fmt: skip


def model(kind: str, count: int) -> onnx.ModelProto:
    """A graph of about ``count`` nodes."""
    nodes, weights, shape, output = KINDS[kind](count)
    graph = helper.make_graph(
        nodes,
        kind,
        [helper.make_tensor_value_info("t0", TensorProto.FLOAT, shape)],
        [helper.make_tensor_value_info(output, TensorProto.FLOAT, None)],
        weights,
    )
    return helper.make_model(graph, opset_imports=[helper.make_opsetid("", 20)])


def main() -> None:
    """Prints the table."""
    sizes = [int(a) for a in sys.argv[1:]] or SIZES
    print("| kind | nodes | read s | fuse s | predict s | all s (CPU) | peak MB | us a node |")
    print("|---" * 8 + "|")
    with tempfile.TemporaryDirectory() as folder:
        for kind in KINDS:
            for size in sizes:
                path = Path(folder) / f"{kind}.onnx"
                proto = model(kind, size)
                nodes = len(proto.graph.node)
                onnx.save(proto, path)
                done = subprocess.run(
                    [sys.executable, "-c", _PROGRAM, path], capture_output=True, text=True, check=False
                )
                if done.returncode:
                    print(f"| {kind} | {nodes} | failed: {re.sub(chr(10), ' ', done.stderr)[-200:]} |")
                    continue
                _, read, fused, predicted, total, peak, _ = map(float, done.stdout.split())
                print(
                    f"| {kind} | {nodes:,} | {read:.1f} | {fused:.1f} | {predicted:.1f} | {total:.1f} "
                    f"| {peak / 1e6:.0f} | {total / nodes * 1e6:.0f} |",
                    flush=True,
                )


if __name__ == "__main__":
    main()
