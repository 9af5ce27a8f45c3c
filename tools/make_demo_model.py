"""Writes examples/resnet18.onnx: ResNet-18 for 224x224 images, with a symbolic batch and without weights.

The architecture is that of He, Zhang, Ren and Sun, "Deep Residual Learning for Image Recognition" (2015), table 1 and
section 4.1 (shortcuts of option B: 1x1 convolutions where the width changes). The weights are declared as external
data in a file that does not exist: a prediction needs their shapes alone.

    python tools/make_demo_model.py [FILE]
"""

from __future__ import annotations

import sys
from pathlib import Path
from typing import Any

from onnx import ModelProto, NodeProto, TensorProto, helper

TARGET = Path(__file__).resolve().parent.parent / "examples" / "resnet18.onnx"
ABSENT = "resnet18.weights"
OPSET = 17
IR_VERSION = 8
STAGES = ((64, 1), (128, 2), (256, 2), (512, 2))
"""Channels and stride of each stage's first block; every stage has two blocks of two 3x3 convolutions."""
CLASSES = 1000


class ResNet:
    """Collects the nodes and the weights of the network, layer by layer."""

    def __init__(self) -> None:
        self.nodes: list[NodeProto] = []
        self.weights: list[TensorProto] = []
        self._offset = 0

    def weight(self, name: str, *shape: int) -> str:
        """Declare an fp32 weight whose bytes lie in the absent file."""
        tensor = TensorProto(name=name, data_type=TensorProto.FLOAT, dims=shape, data_location=TensorProto.EXTERNAL)
        length = 4
        for extent in shape:
            length *= extent
        for key, value in (("location", ABSENT), ("offset", self._offset), ("length", length)):
            tensor.external_data.add(key=key, value=str(value))
        self._offset += length
        self.weights.append(tensor)
        return name

    def node(self, op: str, name: str, inputs: list[str], **attributes: Any) -> str:
        """Add an operator; its one output has the node's name."""
        self.nodes.append(helper.make_node(op, inputs, [name], name=name, **attributes))
        return name

    def conv_bn(self, name: str, x: str, c_in: int, c_out: int, kernel: int, stride: int) -> str:
        """A convolution without bias, then batch normalisation."""
        kernels = self.weight(f"{name}.weight", c_out, c_in, kernel, kernel)
        pad = kernel // 2
        x = self.node(
            "Conv",
            name,
            [x, kernels],
            kernel_shape=[kernel, kernel],
            strides=[stride, stride],
            pads=[pad, pad, pad, pad],
        )
        parameters = [self.weight(f"{name}.bn.{p}", c_out) for p in ("scale", "bias", "mean", "var")]
        return self.node("BatchNormalization", f"{name}.bn", [x, *parameters], epsilon=1e-5)

    def block(self, name: str, x: str, c_in: int, c_out: int, stride: int) -> str:
        """Two 3x3 convolutions and the shortcut around them."""
        y = self.conv_bn(f"{name}.conv1", x, c_in, c_out, 3, stride)
        y = self.node("Relu", f"{name}.relu1", [y])
        y = self.conv_bn(f"{name}.conv2", y, c_out, c_out, 3, 1)
        if stride != 1 or c_in != c_out:
            x = self.conv_bn(f"{name}.shortcut", x, c_in, c_out, 1, stride)
        y = self.node("Add", f"{name}.add", [y, x])
        return self.node("Relu", f"{name}.relu2", [y])


def resnet18() -> ModelProto:
    """The model, as it is written."""
    net = ResNet()
    x = net.conv_bn("stem", "image", 3, 64, 7, 2)
    x = net.node("Relu", "stem.relu", [x])
    x = net.node("MaxPool", "stem.pool", [x], kernel_shape=[3, 3], strides=[2, 2], pads=[1, 1, 1, 1])
    channels = 64
    for index, (width, stride) in enumerate(STAGES, start=1):
        x = net.block(f"stage{index}.block1", x, channels, width, stride)
        x = net.block(f"stage{index}.block2", x, width, width, 1)
        channels = width
    x = net.node("GlobalAveragePool", "head.pool", [x])
    x = net.node("Flatten", "head.flatten", [x], axis=1)
    matrix, bias = net.weight("head.fc.weight", CLASSES, channels), net.weight("head.fc.bias", CLASSES)
    net.nodes.append(helper.make_node("Gemm", [x, matrix, bias], ["logits"], name="head.fc", transB=1))
    graph = helper.make_graph(
        net.nodes,
        "resnet18",
        [helper.make_tensor_value_info("image", TensorProto.FLOAT, ["batch", 3, 224, 224])],
        [helper.make_tensor_value_info("logits", TensorProto.FLOAT, ["batch", CLASSES])],
        initializer=net.weights,
    )
    model = helper.make_model(graph, producer_name="perfmodel", opset_imports=[helper.make_opsetid("", OPSET)])
    model.ir_version = IR_VERSION
    return model


if __name__ == "__main__":
    target = Path(sys.argv[1]) if len(sys.argv) > 1 else TARGET
    data = resnet18().SerializeToString(deterministic=True)
    target.write_bytes(data)
    print(f"{target}: {len(data)} bytes")
