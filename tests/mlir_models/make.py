"""Exports the small networks beside this file from PyTorch to ONNX and to four dialects of MLIR.

    python tests/mlir_models/make.py [FOLDER]

Needs torch, onnx, onnxscript and torch-mlir in the environment that runs it; perfmodel itself and its tests do not. The
weights are random and left out of the texts (``dense_resource<__elided__>``) and of the ONNX files (external data that
is not stored), since a prediction never reads them.
"""

from __future__ import annotations

import re
import sys
from pathlib import Path

import onnx
import torch
from torch import nn
from torch_mlir import fx
from torch_mlir.compiler_utils import OutputType

FOLDER = Path(__file__).resolve().parent
DIALECTS = {
    "torch": OutputType.RAW,
    "torch_backend": OutputType.TORCH,
    "stablehlo": OutputType.STABLEHLO,
    "linalg": OutputType.LINALG_ON_TENSORS,
    "tosa": OutputType.TOSA,
}


class SmallCnn(nn.Module):
    """Three convolutions with batch norms, one of them with a residual connection, max pooling, a classifier."""

    def __init__(self) -> None:
        super().__init__()
        self.stem = nn.Conv2d(3, 64, 7, stride=2, padding=3, bias=False)
        self.stem_norm = nn.BatchNorm2d(64)
        self.pool = nn.MaxPool2d(3, stride=2, padding=1)
        self.conv1 = nn.Conv2d(64, 64, 3, padding=1, bias=False)
        self.norm1 = nn.BatchNorm2d(64)
        self.conv2 = nn.Conv2d(64, 64, 3, padding=1, bias=False)
        self.norm2 = nn.BatchNorm2d(64)
        self.depthwise = nn.Conv2d(64, 64, 3, stride=2, padding=1, groups=64)
        self.classifier = nn.Linear(64, 100)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        """Images [N, 3, H, W] to logits [N, 100]."""
        x = self.pool(torch.relu(self.stem_norm(self.stem(x))))
        y = torch.relu(self.norm1(self.conv1(x)))
        x = torch.relu(self.norm2(self.conv2(y)) + x)
        x = torch.relu(self.depthwise(x))
        return self.classifier(x.mean((2, 3)))


class Encoder(nn.Module):
    """Two pre-norm transformer layers with attention written out, GELU, and a final norm."""

    def __init__(self, width: int = 256, heads: int = 4, layers: int = 2) -> None:
        super().__init__()
        self.layers = nn.ModuleList(EncoderLayer(width, heads) for _ in range(layers))
        self.norm = nn.LayerNorm(width)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        """Tokens [N, S, width] to tokens of the same shape."""
        for layer in self.layers:
            x = layer(x)
        return self.norm(x)


class EncoderLayer(nn.Module):
    """One layer of :class:`Encoder`."""

    def __init__(self, width: int, heads: int) -> None:
        super().__init__()
        self.heads = heads
        self.norm1, self.norm2 = nn.LayerNorm(width), nn.LayerNorm(width)
        self.qkv, self.out = nn.Linear(width, 3 * width), nn.Linear(width, width)
        self.up, self.down = nn.Linear(width, 4 * width), nn.Linear(4 * width, width)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        """Tokens [N, S, width]."""
        batch, length, width = x.shape
        q, k, v = self.qkv(self.norm1(x)).chunk(3, dim=-1)
        q, k, v = (t.reshape(batch, length, self.heads, -1).transpose(1, 2) for t in (q, k, v))
        attended = nn.functional.scaled_dot_product_attention(q, k, v)
        x = x + self.out(attended.transpose(1, 2).reshape(batch, length, width))
        return x + self.down(nn.functional.gelu(self.up(self.norm2(x))))


MODELS = {
    "cnn": (SmallCnn, (8, 3, 224, 224)),
    "encoder": (Encoder, (8, 128, 256)),
    "transformer": (
        lambda: nn.TransformerEncoderLayer(256, 4, 1024, batch_first=True, activation="gelu"),
        (8, 128, 256),
    ),
}


def main() -> None:
    """Write every model in every form."""
    folder = Path(sys.argv[1]) if len(sys.argv) > 1 else FOLDER
    folder.mkdir(parents=True, exist_ok=True)
    for name, (make, shape) in MODELS.items():
        torch.manual_seed(0)
        model = make().eval()
        with torch.no_grad():  # zeros and ones would be folded away by exporters
            for parameter in [*model.parameters(), *(b for b in model.buffers() if b.is_floating_point())]:
                parameter.copy_(torch.rand_like(parameter) + 0.1)
        example = (torch.zeros(shape),)
        onnx_file = folder / f"{name}.onnx"
        torch.onnx.export(model, example, str(onnx_file), dynamo=True, external_data=True)
        _forget_weights(onnx_file)
        for dialect, kind in DIALECTS.items():
            module = fx.export_and_import(model, *example, output_type=kind, func_name="main")
            (folder / f"{name}.{dialect}.mlir").write_text(_text(module))


def _text(module: object) -> str:
    """The module without locations and weights."""
    text = module.operation.get_asm(large_elements_limit=16, enable_debug_info=False)  # type: ignore[attr-defined]
    text = re.sub(r"dense_resource<[^_>][^>]*>", "dense_resource<__elided__>", text)
    return re.sub(r"\n\{-#.*#-\}\n?", "\n", text, flags=re.DOTALL)


def _forget_weights(path: Path) -> None:
    """Keep small constants; every other weight points at external data that are not there."""
    model = onnx.load(path, load_external_data=True)
    onnx.save(model, path, save_as_external_data=True, location=f"{path.stem}.weights", size_threshold=256)
    path.with_suffix(".weights").unlink()
    path.with_suffix(".onnx.data").unlink(missing_ok=True)


if __name__ == "__main__":
    main()
