"""Models: ONNX and MLIR, predicted, annotated, exported, characterised."""

from __future__ import annotations

import io
import json
import math
import random
from collections.abc import Iterable
from functools import cache
from pathlib import Path
from typing import Any

from mlir_mutations import damaged
from mutations import rewired

import perfmodel
from fuzz.base import TESTS, analytical, refused, written
from perfmodel.errors import PerfmodelError, UnboundDimensionError

LINALG = """func.func @f(%a: tensor<MxKxf32>, %b: tensor<KxNxf32>) -> tensor<MxNxf32> {
  %zero = arith.constant 0.0 : f32
  %e = tensor.empty() : tensor<MxNxf32>
  %c = linalg.fill ins(%zero : f32) outs(%e : tensor<MxNxf32>) -> tensor<MxNxf32>
  %0 = linalg.matmul ins(%a, %b : tensor<MxKxf32>, tensor<KxNxf32>) outs(%c : tensor<MxNxf32>) -> tensor<MxNxf32>
  %1 = linalg.generic {indexing_maps = [affine_map<(i, j) -> (i, j)>, affine_map<(i, j) -> (i, j)>],
      iterator_types = ["parallel", "parallel"]} ins(%0 : tensor<MxNxf32>) outs(%e : tensor<MxNxf32>) {
  ^bb0(%x: f32, %y: f32):
    %2 = arith.mulf %x, %x : f32
    %3 = math.exp %2 : f32
    linalg.yield %3 : f32
  } -> tensor<MxNxf32>
  return %1 : tensor<MxNxf32>
}
"""


def predicted(source: Any, device: str) -> perfmodel.ModelPrediction | None:
    """The prediction of a model, its open dimensions bound to 3; None where some stay open."""
    dims: dict[str, int] = {}
    for _ in range(3):
        try:
            found = perfmodel.predict(source, device, dims=dims, predictor=analytical())
        except UnboundDimensionError as asked:
            refused(asked)
            dims |= dict.fromkeys(asked.names, 3)
        else:
            check(found)
            return found
    return None


def check(p: perfmodel.ModelPrediction) -> None:
    for e in (p.latency_s, p.energy_j):
        if e is not None:
            assert 0 <= e.low <= e.value <= e.high, e
            assert math.isfinite(e.high), e


def exported(p: perfmodel.ModelPrediction) -> None:
    """A prediction in every form that is written of it."""
    from perfmodel.exchange.table import table_bytes
    from perfmodel.exchange.timeline import timeline

    json.loads(timeline([p]))
    table_bytes(p, "table.csv")
    json.dumps(p.to_dict(), allow_nan=False)
    assert "<script>alert" not in p._repr_html_()


def read_onnx(data: bytes, folder: Path) -> str:
    try:
        found = predicted(data, "h100-sxm")
    except PerfmodelError as error:
        return refused(error)
    return "asked" if found is None else "result"


def annotated_onnx(data: bytes, folder: Path) -> str:
    """On a processor, by ONNX Runtime's memory plan, annotated and read again, exported."""
    import onnx

    from perfmodel.exchange.onnx_model import annotated

    path = written(folder, "model.onnx", data)
    try:
        found = predicted(path, "epyc-7763")
        if found is None:
            return "asked"
        exported(found)
        if not any(found.dims.values()):
            new, _ = annotated(path, found)
            onnx.ModelProto.FromString(new)
            again = predicted(new, "epyc-7763")
            assert again is not None
            assert math.isclose(again.latency_s.value, found.latency_s.value, rel_tol=1e-9)
    except PerfmodelError as error:
        return refused(error)
    return "result"


def onnx_seeds() -> Iterable[bytes]:
    from backend_models import cases, node_cases

    yield from (c.model for c in node_cases()[::4])
    yield from (c.model for folder in ("simple", "pytorch-operator") for c in cases(folder) if len(c.model) < 20_000)
    yield from (p.read_bytes() for p in sorted((TESTS / "mlir_models").glob("*.onnx")) if p.stat().st_size < 100_000)


def damaged_nodes(data: bytes, rng: random.Random) -> bytes:
    from perfmodel.features.onnx.rules import RULES

    try:
        return rewired(data, rng, sorted(RULES))
    except Exception:  # no model any more, or one without nodes
        return data


HOSTILE = (
    "</script><script>alert(1)</script>", '"><img src=x onerror=alert(1)>', "' onmouseover='alert(1)", "javascript:alert(1)",
    "<!--<script>", "]]>", "${alert(1)}", "{{7*7}}", "\u202e\u0000", "=cmd|' /C calc'!A0", "../../etc/passwd", "CON", "a\nb",
    "é" * 400, "a/b/c/d/e/f/g", "layers.0.self_attn", "",
)  # fmt: skip
"""Names that do harm where they are shown unescaped."""


def hostile_names(data: bytes, rng: random.Random) -> bytes:
    """A model some of whose tensors, nodes, dimensions or metadata have other names, everywhere the same."""
    import onnx

    try:
        proto = onnx.ModelProto.FromString(data)
    except Exception:  # no model any more
        return data
    tensors = {n for node in proto.graph.node for n in (*node.input, *node.output)}
    chosen = {n: rng.choice(HOSTILE) + str(i) for i, n in enumerate(sorted(map(str, tensors))) if rng.random() < 0.3}
    for node in proto.graph.node:
        for names in (node.input, node.output):
            for place, name in enumerate(names):
                names[place] = chosen.get(name, name)
        if rng.random() < 0.5:
            node.name = rng.choice(HOSTILE)
        if rng.random() < 0.2:
            node.metadata_props.add(key=rng.choice(HOSTILE), value=rng.choice(HOSTILE))
    for value in (*proto.graph.input, *proto.graph.output, *proto.graph.value_info, *proto.graph.initializer):
        value.name = chosen.get(value.name, value.name)
    for value in proto.graph.input:
        for dim in value.type.tensor_type.shape.dim:
            if rng.random() < 0.2:
                dim.dim_param = rng.choice(HOSTILE)
    if rng.random() < 0.5:
        proto.graph.name = rng.choice(HOSTILE)
    return bytes(proto.SerializeToString())


def external_data(data: bytes, rng: random.Random) -> bytes:
    """A model some of whose weights lie elsewhere, or say so."""
    import onnx

    try:
        proto = onnx.ModelProto.FromString(data)
    except Exception:  # no model any more
        return data
    places = (
        "weights.bin", "sub/weights.bin", "link.bin", "../out.bin", "/etc/passwd", "C:\\w.bin", "CON", "", ".", "\0",
        "nowhere",
    )  # fmt: skip
    for tensor in proto.graph.initializer:
        if rng.random() < 0.5:
            for kind in ("raw_data", "float_data", "int64_data", "int32_data"):
                tensor.ClearField(kind)
            tensor.data_location = onnx.TensorProto.EXTERNAL
            del tensor.external_data[:]
            tensor.external_data.add(key="location", value=rng.choice(places))
            for key in ("offset", "length"):
                if rng.random() < 0.6:
                    tensor.external_data.add(key=key, value=rng.choice(("0", "8", "-1", "9" * 30, "x", "4096", "")))
    return bytes(proto.SerializeToString())


def read_onnx_in_a_folder(data: bytes, folder: Path) -> str:
    """With files beside it, and a link that leads out."""
    home = folder / "model"
    if not home.is_dir():
        (home / "sub").mkdir(parents=True)
        for name in ("weights.bin", "sub/weights.bin"):
            (home / name).write_bytes(bytes(range(256)) * 4)
        (folder / "out.bin").write_bytes(b"secret" * 100)
        (home / "link.bin").symlink_to(folder / "out.bin")
    path = written(home, "model.onnx", data)
    try:
        found = predicted(path, "h100-sxm")
    except PerfmodelError as error:
        return refused(error)
    return "asked" if found is None else "result"


def read_mlir(data: bytes, folder: Path) -> str:
    """Text: predicted, annotated where it stands, read again."""
    from perfmodel.exchange.mlir_text import annotated

    path = written(folder, "model.mlir", data)
    try:
        found = predicted(path, "h100-sxm")
        if found is None:
            return "asked"
        if not any(found.dims.values()):
            new, _ = annotated(path, found)
            again = predicted(written(folder, "annotated.mlir", new.encode()), "h100-sxm")
            assert again is not None
            assert math.isclose(again.latency_s.value, found.latency_s.value, rel_tol=1e-9)
    except PerfmodelError as error:
        return refused(error)
    return "result"


def mlir_seeds() -> Iterable[bytes]:
    yield from (p.read_bytes() for p in sorted((TESTS / "mlir_forms").glob("*.mlir")))
    yield from (p.read_bytes() for p in sorted((TESTS / "mlir_models").glob("*.mlir")) if p.stat().st_size < 60_000)


def linalg_seeds() -> Iterable[bytes]:
    """Modules that the characteriser reads: linalg and tensor operations with static shapes."""
    yield from (s for s in mlir_seeds() if b"linalg." in s)
    for m, n, k in ((64, 64, 64), (7, 33, 129)):
        yield LINALG.replace("M", str(m)).replace("N", str(n)).replace("K", str(k)).encode()


def damaged_text(data: bytes, rng: random.Random) -> bytes:
    return damaged(data.decode("utf-8", "replace"), rng).encode("utf-8", "replace")


def bytecode_of(data: bytes, rng: random.Random) -> bytes:
    """Bytecode of a form, its text damaged or not, and then its bytes or not."""
    from iree.compiler import ir

    texts = mlir_texts()
    for _ in range(20):
        text = rng.choice(texts)
        text = damaged(text, rng) if rng.random() < 0.7 else text
        with ir.Context() as context:
            context.allow_unregistered_dialects = True
            try:
                module = ir.Module.parse(text)
            except Exception:  # IREE refuses it
                continue
            out = io.BytesIO()
            module.operation.write_bytecode(out)
        made = bytearray(out.getvalue())
        for _ in range(rng.choice((0, 0, 0, 1, 1, 2))):
            made[rng.randrange(len(made))] = rng.randrange(256)
        return bytes(made)
    return data


@cache
def mlir_texts() -> tuple[str, ...]:
    """The forms."""
    return tuple(seed.decode() for seed in mlir_seeds())


def bytecode_seeds() -> Iterable[bytes]:
    from iree.compiler import ir

    for path in sorted((TESTS / "mlir_forms").glob("*.mlir")):
        with ir.Context() as context:
            context.allow_unregistered_dialects = True
            try:
                module = ir.Module.parse(path.read_text())
            except Exception:  # a form that IREE does not know
                continue
            out = io.BytesIO()
            module.operation.write_bytecode(out)
            yield out.getvalue()


def characterised(data: bytes, folder: Path) -> str:
    from perfmodel.characterise import characterise

    try:
        characterise(written(folder, "module.mlir", data))
    except PerfmodelError as error:
        return refused(error)
    return "result"
