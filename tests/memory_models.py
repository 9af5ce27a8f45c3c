"""Runnable models with random weights, for comparing memory with a runtime: small networks of several architectures,
and copies of graphs whose weights are absent."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import onnx
from onnx import TensorProto, helper, numpy_helper

FLOAT = TensorProto.FLOAT


class Net:
    """A model under construction; every method adds an operator and returns the name of its result."""

    def __init__(self) -> None:
        self.nodes: list[onnx.NodeProto] = []
        self.weights: list[onnx.TensorProto] = []
        self._random = np.random.default_rng(0)

    def weight(self, *shape: int) -> str:
        """Random weights."""
        values = self._random.standard_normal(shape).astype(np.float32) * 0.02
        return self.constant(values)

    def constant(self, values: Any) -> str:
        """A constant."""
        name = f"w{len(self.weights)}"
        self.weights.append(numpy_helper.from_array(np.asarray(values), name))
        return name

    def op(self, kind: str, *inputs: str, outputs: int = 1, domain: str = "", **attributes: Any) -> Any:
        """An operator; the names of its results, where there are several."""
        names = [f"t{len(self.nodes)}_{i}" for i in range(outputs)]
        self.nodes.append(helper.make_node(kind, inputs, names, domain=domain, **attributes))
        return names[0] if outputs == 1 else names

    def conv(self, x: str, c_in: int, c_out: int, kernel: int = 3, *, stride: int = 1, groups: int = 1) -> str:
        """A convolution with a bias, padded to keep the extent."""
        return self.op(
            "Conv", x, self.weight(c_out, c_in // groups, kernel, kernel), self.weight(c_out), group=groups,
            kernel_shape=[kernel, kernel], pads=[kernel // 2] * 4, strides=[stride, stride],
        )  # fmt: skip

    def linear(self, x: str, width_in: int, width_out: int) -> str:
        """A matrix product and a bias."""
        return self.op("Add", self.op("MatMul", x, self.weight(width_in, width_out)), self.weight(width_out))

    def norm(self, x: str, width: int) -> str:
        """Layer normalisation."""
        return self.op("LayerNormalization", x, self.weight(width), self.weight(width), axis=-1)

    def gelu(self, x: str) -> str:
        """GELU as older exporters write it out."""
        inner = self.op("Erf", self.op("Div", x, self.constant(np.float32(2**0.5))))
        return self.op("Mul", self.op("Mul", x, self.op("Add", inner, self.constant(np.float32(1)))),
                       self.constant(np.float32(0.5)))  # fmt: skip

    def model(
        self,
        inputs: dict[str, tuple[tuple[Any, ...], int]],
        outputs: dict[str, tuple[Any, ...]],
    ) -> onnx.ModelProto:
        """The model; ``outputs`` are renamed results."""
        graph = helper.make_graph(
            self.nodes, "net",
            [helper.make_tensor_value_info(name, kind, shape) for name, (shape, kind) in inputs.items()],
            [helper.make_tensor_value_info(name, FLOAT, shape) for name, shape in outputs.items()],
            self.weights,
        )  # fmt: skip
        imports = [helper.make_opsetid("", 17)]
        return helper.make_model(graph, opset_imports=imports, ir_version=8)


def unet(width: int = 32, size: int = 128) -> onnx.ModelProto:
    """An encoder and a decoder with skip connections (Ronneberger et al., 2015), four levels."""
    net = Net()
    x, skips, channels = "image", [], 3
    for level in range(4):
        wider = width * 2**level
        x = net.op("Relu", net.conv(x, channels, wider))
        x = net.op("Relu", net.conv(x, wider, wider))
        channels = wider
        if level < 3:
            skips.append((x, wider))
            x = net.op("MaxPool", x, kernel_shape=[2, 2], strides=[2, 2])
    for skip, narrower in reversed(skips):
        up = net.op("ConvTranspose", x, net.weight(channels, narrower, 2, 2), kernel_shape=[2, 2], strides=[2, 2])
        x = net.op("Concat", up, skip, axis=1)
        x = net.op("Relu", net.conv(x, 2 * narrower, narrower))
        x = net.op("Relu", net.conv(x, narrower, narrower))
        channels = narrower
    net.conv(x, channels, 2, 1)
    net.nodes[-1].output[0] = "mask"
    return net.model({"image": (("batch", 3, size, size), FLOAT)}, {"mask": ("batch", 2, size, size)})


def mobilenet(size: int = 128) -> onnx.ModelProto:
    """Inverted residuals with depthwise convolutions and squeeze-and-excitation (Howard et al., 2019)."""
    net = Net()
    x = net.op("HardSwish", net.conv("image", 3, 16, stride=2))
    channels = 16
    for wider, stride in ((16, 1), (24, 2), (24, 1), (40, 2), (40, 1), (80, 2), (80, 1)):
        inner = 4 * channels
        y = net.op("HardSwish", net.conv(x, channels, inner, 1))
        y = net.op("HardSwish", net.conv(y, inner, inner, 3, stride=stride, groups=inner))
        gate = net.op("Relu", net.conv(net.op("GlobalAveragePool", y), inner, inner // 4, 1))
        y = net.op("Mul", y, net.op("HardSigmoid", net.conv(gate, inner // 4, inner, 1)))
        y = net.conv(y, inner, wider, 1)
        x = net.op("Add", x, y) if stride == 1 and wider == channels else y
        channels = wider
    x = net.op("Flatten", net.op("GlobalAveragePool", x))
    net.op("Gemm", x, net.weight(channels, 1000), net.weight(1000))
    net.nodes[-1].output[0] = "logits"
    return net.model({"image": (("batch", 3, size, size), FLOAT)}, {"logits": ("batch", 1000)})


def mixer(tokens: int = 196, width: int = 256, layers: int = 4) -> onnx.ModelProto:
    """MLP-Mixer (Tolstikhin et al., 2021): products along tokens and along channels in turn."""
    net = Net()
    x = net.linear("patches", 768, width)
    for _ in range(layers):
        y = net.op("Transpose", net.norm(x, width), perm=[0, 2, 1])
        y = net.linear(net.gelu(net.linear(y, tokens, 2 * width)), 2 * width, tokens)
        x = net.op("Add", x, net.op("Transpose", y, perm=[0, 2, 1]))
        y = net.linear(net.gelu(net.linear(net.norm(x, width), width, 4 * width)), 4 * width, width)
        x = net.op("Add", x, y)
    net.norm(x, width)
    net.nodes[-1].output[0] = "features"
    shape = ("batch", tokens, width)
    return net.model({"patches": (("batch", tokens, 768), FLOAT)}, {"features": shape})


def lstm(width: int = 256, layers: int = 2) -> onnx.ModelProto:
    """Bidirectional LSTM layers and a linear layer, as acoustic models have them."""
    net = Net()
    x, inner = net.op("Transpose", "frames", perm=[1, 0, 2]), 80
    for _ in range(layers):
        y = net.op(
            "LSTM", x, net.weight(2, 4 * width, inner), net.weight(2, 4 * width, width), net.weight(2, 8 * width),
            hidden_size=width, direction="bidirectional",
        )  # fmt: skip
        y = net.op("Transpose", y, perm=[0, 2, 1, 3])
        x = net.op("Reshape", y, net.constant(np.array([0, 0, 2 * width])))
        inner = 2 * width
    net.linear(net.op("Transpose", x, perm=[1, 0, 2]), inner, 500)
    net.nodes[-1].output[0] = "scores"
    return net.model({"frames": (("batch", "time", 80), FLOAT)}, {"scores": ("batch", "time", 500)})


def decoder(width: int = 256, heads: int = 4, layers: int = 4, vocabulary: int = 4000) -> onnx.ModelProto:
    """A decoder that is given its past keys and values and returns them longer, as exporters write one."""
    net = Net()
    inputs: dict[str, tuple[tuple[Any, ...], int]] = {"ids": (("batch", "seq"), TensorProto.INT64)}
    outputs: dict[str, tuple[Any, ...]] = {"logits": ("batch", "seq", vocabulary)}
    head = width // heads
    x = net.op("Gather", net.weight(vocabulary, width), "ids")
    split = net.constant(np.array([0, 0, heads, head]))
    for layer in range(layers):
        y = net.norm(x, width)
        q, k, v = (
            net.op("Transpose", net.op("Reshape", net.linear(y, width, width), split), perm=[0, 2, 1, 3]) for _ in "qkv"
        )
        joined = []
        for what, new in (("key", k), ("value", v)):
            past, present = f"past.{layer}.{what}", f"present.{layer}.{what}"
            inputs[past] = (("batch", heads, "past", head), FLOAT)
            outputs[present] = ("batch", heads, "past + seq", head)
            net.nodes.append(helper.make_node("Concat", [past, new], [present], axis=2))
            joined.append(present)
        scores = net.op("MatMul", q, net.op("Transpose", joined[0], perm=[0, 1, 3, 2]))
        scores = net.op("Softmax", net.op("Div", scores, net.constant(np.float32(head**0.5))), axis=-1)
        y = net.op("Transpose", net.op("MatMul", scores, joined[1]), perm=[0, 2, 1, 3])
        y = net.op("Reshape", y, net.constant(np.array([0, 0, width])))
        x = net.op("Add", x, net.linear(y, width, width))
        y = net.linear(net.gelu(net.linear(net.norm(x, width), width, 4 * width)), 4 * width, width)
        x = net.op("Add", x, y)
    net.op("MatMul", net.norm(x, width), net.weight(width, vocabulary))
    net.nodes[-1].output[0] = "logits"
    return net.model(inputs, outputs)


ARCHITECTURES: dict[str, Callable[[], onnx.ModelProto]] = {
    "unet": unet, "mobilenet": mobilenet, "mixer": mixer, "lstm": lstm, "decoder": decoder,
}  # fmt: skip
"""Networks by name."""


def runnable(source: Path) -> onnx.ModelProto:
    """A copy of a graph whose weights are absent, with random ones."""
    model = onnx.load(source, load_external_data=False)
    random = np.random.default_rng(0)
    for tensor in model.graph.initializer:
        if tensor.data_location != TensorProto.EXTERNAL:
            continue
        dtype = helper.tensor_dtype_to_np_dtype(tensor.data_type)
        count = int(np.prod(tensor.dims))
        # Positive, because variances are among them.
        values = np.abs(random.standard_normal(count, dtype=np.float32)) * 0.02 + 1e-3
        tensor.ClearField("external_data")
        tensor.data_location = TensorProto.DEFAULT
        tensor.raw_data = (values if dtype.kind == "f" else np.ones(count)).astype(dtype).tobytes()
    return model


def feeds(model: onnx.ModelProto, dims: dict[str, int]) -> dict[str, np.ndarray]:
    """Inputs of ones (zeros for floats), in the shapes that the dimensions give."""
    weights = {t.name for t in model.graph.initializer}
    found = {}
    for value in model.graph.input:
        if value.name not in weights:
            kind = value.type.tensor_type
            shape = [dims[d.dim_param] if d.dim_param else d.dim_value for d in kind.shape.dim]
            dtype = helper.tensor_dtype_to_np_dtype(kind.elem_type)
            found[value.name] = np.zeros(shape, dtype) if dtype.kind == "f" else np.ones(shape, dtype)
    return found
