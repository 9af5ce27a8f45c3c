"""Writes the models in examples/, with symbolic dimensions and without weights.

``resnet18.onnx``: ResNet-18 for 224x224 images, of He, Zhang, Ren and Sun, "Deep Residual Learning for Image Recognition"
(2015), table 1 and section 4.1 (shortcuts of option B: 1x1 convolutions where the width changes).

``gpt2.onnx``: a decoder of the sizes of the smallest GPT-2 (Radford et al., "Language Models are Unsupervised Multitask
Learners", 2019, table 2), which is given the keys and values of earlier tokens and returns them longer, as models are
exported that generate.

The weights are declared as external data in files that do not exist: a prediction needs their shapes alone.

    python tools/make_demo_model.py [FOLDER]
"""

from __future__ import annotations

import sys
from pathlib import Path
from typing import Any

from onnx import ModelProto, NodeProto, TensorProto, ValueInfoProto, helper

TARGET = Path(__file__).resolve().parent.parent / "examples"
STAGES = ((64, 1), (128, 2), (256, 2), (512, 2))
"""Channels and stride of each stage's first block; every stage has two blocks of two 3x3 convolutions."""
CLASSES = 1000
LAYERS, WIDTH, HEADS, VOCABULARY, POSITIONS = 12, 768, 12, 50257, 1024
"""Sizes of the decoder."""


class Net:
    """Collects the nodes and the weights of a network."""

    def __init__(self, name: str) -> None:
        self.name = name
        self.nodes: list[NodeProto] = []
        self.weights: list[TensorProto] = []
        self._offset = 0

    def weight(self, name: str, *shape: int) -> str:
        """Declare an fp32 weight whose bytes lie in the absent file."""
        tensor = TensorProto(name=name, data_type=TensorProto.FLOAT, dims=shape, data_location=TensorProto.EXTERNAL)
        length = 4
        for extent in shape:
            length *= extent
        for key, value in (("location", f"{self.name}.weights"), ("offset", self._offset), ("length", length)):
            tensor.external_data.add(key=key, value=str(value))
        self._offset += length
        self.weights.append(tensor)
        return name

    def node(self, op: str, name: str, inputs: list[str], **attributes: Any) -> str:
        """Add an operator; its one output has the node's name."""
        self.nodes.append(helper.make_node(op, inputs, [name], name=name, **attributes))
        return name

    def model(
        self, inputs: list[ValueInfoProto], outputs: list[ValueInfoProto], *, opset: int, ir_version: int
    ) -> ModelProto:
        """The model, as it is written."""
        graph = helper.make_graph(self.nodes, self.name, inputs, outputs, initializer=self.weights)
        model = helper.make_model(graph, producer_name="perfmodel", opset_imports=[helper.make_opsetid("", opset)])
        model.ir_version = ir_version
        return model


class ResNet(Net):
    """Layers of a residual network."""

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
    net = ResNet("resnet18")
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
    image = helper.make_tensor_value_info("image", TensorProto.FLOAT, ["batch", 3, 224, 224])
    logits = helper.make_tensor_value_info("logits", TensorProto.FLOAT, ["batch", CLASSES])
    return net.model([image], [logits], opset=17, ir_version=8)


class Decoder(Net):
    """Layers of a transformer."""

    def linear(self, name: str, x: str, width_in: int, width_out: int) -> str:
        """A matrix product and a bias."""
        x = self.node("MatMul", name, [x, self.weight(f"{name}.weight", width_in, width_out)])
        return self.node("Add", f"{name}.add", [x, self.weight(f"{name}.bias", width_out)])

    def norm(self, name: str, x: str) -> str:
        """Layer normalisation."""
        parameters = [self.weight(f"{name}.{p}", WIDTH) for p in ("scale", "bias")]
        return self.node("LayerNormalization", name, [x, *parameters], axis=-1, epsilon=1e-5)

    def attention(self, name: str, x: str, past: tuple[str, str], present: tuple[str, str]) -> str:
        """Causal self-attention over the tokens of a cache and the new ones."""
        parts = [f"{name}.{p}" for p in "qkv"]
        x = self.linear(f"{name}.qkv", x, WIDTH, 3 * WIDTH)
        self.nodes.append(helper.make_node("Split", [x], parts, name=f"{name}.split", axis=-1, num_outputs=3))
        self.nodes.append(
            helper.make_node(
                "Attention",
                [*parts, "", *past],
                [name, *present],
                name=name,
                is_causal=1,
                q_num_heads=HEADS,
                kv_num_heads=HEADS,
            )
        )
        return self.linear(f"{name}.out", name, WIDTH, WIDTH)


def gpt2() -> ModelProto:
    """The model, as it is written."""
    net = Decoder("gpt2")
    table = net.weight("tokens", VOCABULARY, WIDTH)
    x = net.node("Gather", "embedding", [table, "input_ids"])
    positions = net.node("Gather", "position", [net.weight("positions", POSITIONS, WIDTH), "position_ids"])
    x = net.node("Add", "embedding.add", [x, positions])
    tokens = ["batch", "sequence_length"]
    inputs = [helper.make_tensor_value_info(n, TensorProto.INT64, tokens) for n in ("input_ids", "position_ids")]
    outputs = [helper.make_tensor_value_info("logits", TensorProto.FLOAT, [*tokens, VOCABULARY])]
    cached: list[str | int | None] = ["batch", HEADS, "past_sequence_length", WIDTH // HEADS]
    longer: list[str | int | None] = ["batch", HEADS, "past_sequence_length + sequence_length", WIDTH // HEADS]
    for layer in range(LAYERS):
        name = f"layer{layer}"
        past, present = ((f"{what}.{layer}.key", f"{what}.{layer}.value") for what in ("past_key_values", "present"))
        inputs += [helper.make_tensor_value_info(n, TensorProto.FLOAT, cached) for n in past]
        outputs += [helper.make_tensor_value_info(n, TensorProto.FLOAT, longer) for n in present]
        y = net.attention(f"{name}.attention", net.norm(f"{name}.norm1", x), past, present)
        x = net.node("Add", f"{name}.add1", [x, y])
        y = net.linear(f"{name}.up", net.norm(f"{name}.norm2", x), WIDTH, 4 * WIDTH)
        y = net.node("Gelu", f"{name}.gelu", [y], approximate="tanh")
        x = net.node("Add", f"{name}.add2", [x, net.linear(f"{name}.down", y, 4 * WIDTH, WIDTH)])
    # The table of tokens once more, read the other way round.
    matrix = net.node("Transpose", "head.table", [table], perm=[1, 0])
    net.nodes.append(helper.make_node("MatMul", [net.norm("head.norm", x), matrix], ["logits"], name="head"))
    return net.model(inputs, outputs, opset=23, ir_version=10)


MODELS = {"resnet18": resnet18, "gpt2": gpt2}
"""What makes each model, by name."""


if __name__ == "__main__":
    folder = Path(sys.argv[1]) if len(sys.argv) > 1 else TARGET
    for stem, made in MODELS.items():
        data = made().SerializeToString(deterministic=True)
        (folder / f"{stem}.onnx").write_bytes(data)
        print(f"{folder / stem}.onnx: {len(data)} bytes")
