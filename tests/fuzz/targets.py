"""What perfmodel reads, each with seeds, with damage that fits, and with a function that reads one file.

A function returns what the file came to, in one word. It raises what perfmodel raised, other than one clear line
(:func:`refused`), and AssertionError where a result is none that perfmodel promises.
"""

from __future__ import annotations

import hashlib
import io
import json
import math
import random
import tomllib
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import Any

from mlir_mutations import damaged
from mutations import rewired

import perfmodel
from fuzz import mutations
from fuzz.mutations import Mutation
from perfmodel.errors import PerfmodelError, UnboundDimensionError

TESTS = Path(__file__).parent.parent
ROOT = TESTS.parent
LONGEST_LINE = 2000
_SCRATCH = "scratch"


@dataclass(frozen=True)
class Target:
    """One kind of file.

    Attributes:
        name: for the command line and the report.
        seeds: whole files to begin with.
        read: reads the bytes of one file, in a folder that it may write to, and says what they came to.
        mutations: damage that fits; the fuzzer's own comes beside it.
        needs: the extra or package that it needs beside the tests', for the report.
    """

    name: str
    seeds: Callable[[], Iterable[bytes]]
    read: Callable[[bytes, Path], str]
    mutations: tuple[Mutation, ...] = ()
    needs: str | None = None


def refused(error: PerfmodelError) -> str:
    """``"refused"``, where an error is one clear line."""
    message = str(error)
    if not message or "\n" in message or len(message) > LONGEST_LINE:
        raise AssertionError(f"no clear line: {message[:300]!r}") from error
    return "refused"


def _written(folder: Path, name: str, data: bytes) -> Path:
    path = folder / name
    path.write_bytes(data)
    return path


# ------------------------------------------------------------------------------------------------------------ models
@cache
def _analytical() -> perfmodel.Predictor:
    return perfmodel.load("analytical")


def _predicted(source: Any, device: str) -> perfmodel.ModelPrediction | None:
    """The prediction of a model, its open dimensions bound to 3; None where some stay open."""
    dims: dict[str, int] = {}
    for _ in range(3):
        try:
            found = perfmodel.predict(source, device, dims=dims, predictor=_analytical())
        except UnboundDimensionError as asked:
            refused(asked)
            dims |= dict.fromkeys(asked.names, 3)
        else:
            _check(found)
            return found
    return None


def _check(p: perfmodel.ModelPrediction) -> None:
    for e in (p.latency_s, p.energy_j):
        if e is not None:
            assert 0 <= e.low <= e.value <= e.high, e
            assert math.isfinite(e.high), e


def _exported(p: perfmodel.ModelPrediction) -> None:
    """A prediction in every form that is written of it."""
    from perfmodel.exchange.table import table_bytes
    from perfmodel.exchange.timeline import timeline

    json.loads(timeline([p]))
    table_bytes(p, "table.csv")
    json.dumps(p.to_dict(), allow_nan=False)
    assert "<script>alert" not in p._repr_html_()


def _onnx(data: bytes, folder: Path) -> str:
    try:
        found = _predicted(data, "h100-sxm")
    except PerfmodelError as error:
        return refused(error)
    return "asked" if found is None else "result"


def _onnx_on_cpu(data: bytes, folder: Path) -> str:
    """On a processor, by ONNX Runtime's memory plan, annotated and read again, exported."""
    import onnx

    from perfmodel.exchange.onnx_model import annotated

    path = _written(folder, "model.onnx", data)
    try:
        found = _predicted(path, "epyc-7763")
        if found is None:
            return "asked"
        _exported(found)
        if not any(found.dims.values()):
            new, _ = annotated(path, found)
            onnx.ModelProto.FromString(new)
            again = _predicted(new, "epyc-7763")
            assert again is not None
            assert math.isclose(again.latency_s.value, found.latency_s.value, rel_tol=1e-9)
    except PerfmodelError as error:
        return refused(error)
    return "result"


def _onnx_seeds() -> Iterable[bytes]:
    from backend_models import cases, node_cases

    yield from (c.model for c in node_cases()[::4])
    yield from (c.model for folder in ("simple", "pytorch-operator") for c in cases(folder) if len(c.model) < 20_000)
    yield from (p.read_bytes() for p in sorted((TESTS / "mlir_models").glob("*.onnx")) if p.stat().st_size < 100_000)


def _rewired(data: bytes, rng: random.Random) -> bytes:
    from perfmodel.features.onnx.rules import RULES

    try:
        return rewired(data, rng, sorted(RULES))
    except Exception:  # no model any more, or one without nodes
        return data


def _mlir(data: bytes, folder: Path) -> str:
    """Text: predicted, annotated where it stands, read again."""
    from perfmodel.exchange.mlir_text import annotated

    path = _written(folder, "model.mlir", data)
    try:
        found = _predicted(path, "h100-sxm")
        if found is None:
            return "asked"
        if not any(found.dims.values()):
            new, _ = annotated(path, found)
            again = _predicted(_written(folder, "annotated.mlir", new.encode()), "h100-sxm")
            assert again is not None
            assert math.isclose(again.latency_s.value, found.latency_s.value, rel_tol=1e-9)
    except PerfmodelError as error:
        return refused(error)
    return "result"


def _mlir_seeds() -> Iterable[bytes]:
    yield from (p.read_bytes() for p in sorted((TESTS / "mlir_forms").glob("*.mlir")))
    yield from (p.read_bytes() for p in sorted((TESTS / "mlir_models").glob("*.mlir")) if p.stat().st_size < 60_000)


def _damaged_text(data: bytes, rng: random.Random) -> bytes:
    return damaged(data.decode("utf-8", "replace"), rng).encode("utf-8", "replace")


def _bytecode_seeds() -> Iterable[bytes]:
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


def _characterised(data: bytes, folder: Path) -> str:
    from perfmodel.characterise import characterise

    try:
        characterise(_written(folder, "module.mlir", data))
    except PerfmodelError as error:
        return refused(error)
    return "result"


# ------------------------------------------------------------------------------------------------------------ tables
_TRACES = b"""device,software,source,op,dtype,m,n,k,batch,kind,elements,inputs,latency_s,samples,status,power_w
h100-sxm,cublas-12,test,gemm,bf16,128,256,64,1,,,,2e-6,10,ok,300
h100-sxm,cublas-12,test,gemm,bf16,4096,4096,4096,1,,,,2e-4,10,ok,650
h100-sxm,cublas-12,test,elementwise,fp32,,,,,add,65536,2,3e-6,5,ok,
h100-sxm,cublas-12,test,gemm,fp8,8,8,8,2,,,,,1,out of memory,
"""
_RUNS = b"""device,software,source,workload,latency_s,samples,dtype,batch,energy_j
h100-sxm,torch-2,test,resnet50,0.002,10,fp16,8,0.5
a100-sxm-80gb,torch-2,test,bert,0.004,10,fp16,8,1.5
"""
_CONFIGS = b"MWG,NWG,KWG,MDIMC,NDIMC,MDIMA,NDIMB,KWI,VWM,VWN,STRM,STRN,SA,SB\n" + b"".join(
    b"%d,%d,16,8,8,8,8,2,1,%d,0,0,%d,1\n" % (m, n, v, v % 2) for m in (16, 64) for n in (32, 64) for v in (1, 2)
)


def _parquet_of(csv: bytes) -> bytes:
    import pandas

    out = io.BytesIO()
    pandas.read_csv(io.BytesIO(csv)).to_parquet(out)
    return out.getvalue()


def _traces(ending: str) -> Callable[[bytes, Path], str]:
    def read(data: bytes, folder: Path) -> str:
        """As traces, as runs, as the table of a collector, and on the way to the training."""
        from perfmodel.collecting.journal import about_table
        from perfmodel.datasets.schema import column_names, read_runs, read_traces, usable
        from perfmodel.hardware import load_device
        from perfmodel.models.trace_rows import analysed, cache_states, check_seconds, parts_of

        path = _written(folder, f"traces{ending}", data)
        said = []
        for reader in (read_runs, column_names, about_table) if ending == ".parquet" else (read_runs, column_names):
            try:
                reader(path)
            except PerfmodelError as error:
                said.append(refused(error))
        try:
            table = read_traces(path)
            for part in parts_of(table[usable(table)]):
                device = load_device(part.device)
                check_seconds(part, device, None)
                for found in analysed(part.rows, part.op, device, None, cache_states(part.rows)):
                    assert len(found.rows)
        except PerfmodelError as error:
            return refused(error)
        return "result"

    return read


def _configs(ending: str) -> Callable[[bytes, Path], str]:
    def read(data: bytes, folder: Path) -> str:
        """A table of kernel configurations, ranked."""
        path = _written(folder, f"configs{ending}", data)
        try:
            found = perfmodel.rank(perfmodel.Gemm(m=512, n=512, k=512, dtype="fp32"), path, "rtx-3090", top_k=3)
            json.dumps(found.to_dict("rtx-3090"), allow_nan=False)
        except PerfmodelError as error:
            return refused(error)
        return "result"

    return read


# ------------------------------------------------------------------------------------------------- devices, predictors
def _device(data: bytes, folder: Path) -> str:
    from perfmodel.hardware import load_device

    # A name of its own: files of users are kept by path, time and size.
    path = _written(folder, f"{hashlib.sha1(data).hexdigest()[:16]}.toml", data)
    try:
        device = load_device(path)
        found = _analytical().predict(perfmodel.Gemm(m=100, n=200, k=300, dtype=next(iter(device.peak_flops))), device)
        assert (found.latency_s > 0).all()
        assert all(map(math.isfinite, found.latency_s))
        tomllib.loads(data.decode("utf-8-sig"))
    except PerfmodelError as error:
        return refused(error)
    finally:
        path.unlink()
    return "result"


def _device_seeds() -> Iterable[bytes]:
    yield from (p.read_bytes() for p in sorted((ROOT / "perfmodel/hardware/catalogue").glob("*.toml"))[::3])


def _predictor_parts() -> tuple[dict[str, object], bytes]:
    import tempfile

    from model_doubles import write_predictor

    with tempfile.TemporaryDirectory() as folder:
        manifest = write_predictor(Path(folder), ("toy", "bf16", (0.5, 0.4)))
        return manifest, (Path(folder) / "gemm/toy/bf16.json.gz").read_bytes()


@cache
def _toy() -> tuple[dict[str, object], bytes]:
    return _predictor_parts()


def _manifest(data: bytes, folder: Path) -> str:
    return _folder_predicts(folder, data, _toy()[1])


def _booster(data: bytes, folder: Path) -> str:
    """A booster with a hash that fits: what a hostile hand could make."""
    from perfmodel.models import artefact

    packed = artefact.compress(data)
    manifest = json.loads(json.dumps(_toy()[0]))
    manifest["boosters"][0]["sha256"] = hashlib.sha256(packed).hexdigest()
    return _folder_predicts(folder, json.dumps(manifest).encode(), packed)


def _folder_predicts(folder: Path, manifest: bytes, booster: bytes) -> str:
    from model_doubles import toy_device

    (folder / "gemm/toy").mkdir(parents=True, exist_ok=True)
    (folder / "gemm/toy/bf16.json.gz").write_bytes(booster)
    (folder / "manifest.json").write_bytes(manifest)
    try:
        found = perfmodel.load(folder).predict(perfmodel.Gemm(m=128, n=128, k=32, dtype="bf16"), toy_device())
    except PerfmodelError as error:
        return refused(error)
    assert (found.latency_s > 0).all()
    assert all(map(math.isfinite, found.latency_s))
    return "result"


def _booster_seed() -> Iterable[bytes]:
    import gzip

    return [gzip.decompress(_toy()[1])]


def _shipped_manifest(data: bytes, folder: Path) -> str:
    """The manifest of the shipped predictor, damaged, beside its boosters."""
    shipped = ROOT / "models" / "default"
    for item in shipped.iterdir():
        if item.is_dir() and not (folder / item.name).exists():
            # A link out of the folder is refused, as it is to be; the folders themselves are the predictor's own.
            import shutil

            shutil.copytree(item, folder / item.name)
    (folder / "manifest.json").write_bytes(data)
    try:
        found = perfmodel.load(folder).predict(perfmodel.Gemm(m=128, n=128, k=32, dtype="bf16"), "h100-sxm")
    except PerfmodelError as error:
        return refused(error)
    assert (found.latency_s > 0).all()
    assert all(map(math.isfinite, found.latency_s))
    return "result"


# ----------------------------------------------------------------------------------------------------------- importers
def _importer(name: str) -> Callable[[bytes, Path], str]:
    def read(data: bytes, folder: Path) -> str:
        from perfmodel.collect.importers.descriptor import parse_descriptor
        from perfmodel.collect.importers.registry import Request
        from perfmodel.importing import import_traces

        request = Request(
            "a100-sxm-80gb", "stack-1.0", op=parse_descriptor("gemm m=4096 n=4096 k=4096 dtype=fp32"),
            graph=_profile()[1] if name == "onnxruntime" else None, dims={"batch": 2},
        )  # fmt: skip
        path = _written(folder, "trace", data)
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


def _importer_seeds(*names: str) -> Callable[[], Iterable[bytes]]:
    def seeds() -> Iterable[bytes]:
        import test_importing

        return [test_importing.FILES[n][0].encode() for n in names]

    return seeds


def _kernel_tuner_seeds() -> Iterable[bytes]:
    import test_collect_importers

    return [json.dumps(test_collect_importers.CACHE).encode()]


def _onednn_seeds() -> Iterable[bytes]:
    import test_collect_importers

    return [test_collect_importers.VERBOSE.encode()]


def _chrome_seeds() -> Iterable[bytes]:
    import test_collect_importers as t

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
    yield json.dumps({"schemaVersion": 1, "traceEvents": [{"ph": "M", "name": "process_name"}, *events]}).encode()


@cache
def _profile() -> tuple[bytes, Path]:
    """The profile of a small model, run here, and the graph that ran."""
    import tempfile

    import onnx
    from test_collect_onnxruntime import small_model

    from perfmodel.collect.onnxruntime_cpu import OnnxRuntimeCpu

    folder = Path(tempfile.mkdtemp())
    onnx.save(small_model(), folder / "small.onnx")
    OnnxRuntimeCpu(seconds=0.001).collect(folder / "small.onnx", folder / "run", dims={"batch": 2})
    data = json.loads((folder / "run" / "profile.json").read_bytes())
    return json.dumps(data[:60]).encode(), folder / "run" / "optimised.onnx"


def _onnxruntime_seeds() -> Iterable[bytes]:
    return [_profile()[0]]


# ---------------------------------------------------------------------------------------------------------- the others
def _serve(data: bytes, folder: Path) -> str:
    """Lines of ``rank --serve``: one strict answer each, and none of an internal error."""
    from perfmodel.rank.serving import Server

    out = io.BytesIO()
    Server().serve(io.BytesIO(data), out)
    answers = [json.loads(line) for line in out.getvalue().splitlines()]
    assert len(answers) == sum(1 for line in data.split(b"\n") if line.strip())
    for answer in answers:
        assert ("result" in answer) != ("error" in answer)
        assert "internal error" not in str(answer.get("error")), answer["error"]
    return "result" if any("result" in a for a in answers) else "refused"


def _serve_seeds() -> Iterable[bytes]:
    import test_serving as t

    requests = [
        t.OPEN, {"do": "suggest", "session": "a", "n": 1}, {"do": "observe", "session": "a", "rows": [0], "seconds": [1e-3]},
        {"do": "rank", "session": "a", "top": 2}, {"do": "close", "session": "a"},
        {"do": "rank", **t.PROBLEM, "configs": t.CONFIGS, "id": 7},
        {"do": "predict", **t.PROBLEM, "space": "clblast_sgemm", "config": {k: v[0] for k, v in t.CONFIGS.items()}},
    ]  # fmt: skip
    yield b"\n".join(json.dumps(r).encode() for r in requests)
    yield from (json.dumps(r).encode() for r in requests)


def _space(data: bytes, folder: Path) -> str:
    """A description of a space of configurations."""
    path = _written(folder, "space.toml", data)
    names, *rows = (line.decode().split(",") for line in _CONFIGS.splitlines())
    configs = {name: [int(row[i]) for row in rows] for i, name in enumerate(names)}
    try:
        perfmodel.rank(perfmodel.Gemm(m=512, n=512, k=512, dtype="fp32"), configs, "rtx-3090", space=path)
    except PerfmodelError as error:
        return refused(error)
    return "result"


def _space_seeds() -> Iterable[bytes]:
    yield from (p.read_bytes() for p in sorted((ROOT / "perfmodel/rank/spaces").glob("*.toml")))


def _recording(data: bytes, folder: Path) -> str:
    """A recording of a meter."""
    from perfmodel.collect.meters.replay import load_readings

    try:
        load_readings(_written(folder, "readings.jsonl", data))
    except PerfmodelError as error:
        return refused(error)
    return "result"


def _recording_seeds() -> Iterable[bytes]:
    import tempfile

    import test_meter_replay as t

    from perfmodel.collect.meters.replay import save_readings

    with tempfile.TemporaryDirectory() as folder:
        save_readings(Path(folder) / "r", t.INFO, t.READINGS)
        yield (Path(folder) / "r").read_bytes()


def _options(data: bytes, folder: Path) -> str:
    """Texts of options: operators, formats of operators, dimensions."""
    from perfmodel.collect.importers.descriptor import parse_descriptor
    from perfmodel.predict import dtype_map

    text = data.decode("utf-8", "replace")
    came_to = "refused"
    for parse in (parse_descriptor, lambda t: dtype_map.checked(dtype_map.parse([t]))):
        try:
            parse(text)
            came_to = "result"
        except PerfmodelError as error:
            refused(error)
    return came_to


def _option_seeds() -> Iterable[bytes]:
    yield from (b"gemm m=4096 n=4096 k=4096 dtype=fp32", b"norm kind=layernorm rows=8 cols=512 dtype=fp16")
    yield from (b"attention=fp8,*lm_head*=bf16", b"conv=int8,gemm=w4a16")


_JSON, _TOML, _TABLE, _LINES = mutations.of_json, mutations.of_toml, mutations.of_table, mutations.of_lines

TARGETS = {
    t.name: t
    for t in (
        Target("onnx", _onnx_seeds, _onnx, (_rewired,)),
        Target("onnx-annotated", _onnx_seeds, _onnx_on_cpu, (_rewired,)),
        Target("mlir-text", _mlir_seeds, _mlir, (_damaged_text,)),
        Target("mlir-bytecode", _bytecode_seeds, _mlir, needs="mlir"),
        Target("characterise", _mlir_seeds, _characterised, (_damaged_text,)),
        Target("traces-csv", lambda: (_TRACES, _RUNS), _traces(".csv"), (_TABLE,)),
        Target("traces-parquet", lambda: (_parquet_of(_TRACES), _parquet_of(_RUNS)), _traces(".parquet")),
        Target("configs-csv", lambda: (_CONFIGS,), _configs(".csv"), (_TABLE,)),
        Target("configs-parquet", lambda: (_parquet_of(_CONFIGS),), _configs(".parquet")),
        Target("device-toml", _device_seeds, _device, (_TOML,)),
        Target("predictor-manifest", lambda: (json.dumps(_toy()[0]).encode(),), _manifest, (_JSON,)),
        Target("predictor-booster", _booster_seed, _booster, (_JSON,)),
        Target(
            "predictor-shipped", lambda: ((ROOT / "models/default/manifest.json").read_bytes(),), _shipped_manifest, (_JSON,)
        ),
        Target("import-nsight-systems", _importer_seeds("kern_sum.csv", "trace.csv"), _importer("nsight-systems"), (_TABLE,)),
        Target("import-nsight-compute", _importer_seeds("ncu.csv", "raw.csv"), _importer("nsight-compute"), (_TABLE,)),
        Target("import-cutlass", _importer_seeds("cutlass.csv"), _importer("cutlass-profiler"), (_TABLE,)),
        Target("import-autotvm", _importer_seeds("tune.log"), _importer("autotvm"), (mutations.of_json_lines,)),
        Target(
            "import-meta-schedule", _importer_seeds("database_tuning_record.json"), _importer("tvm-meta-schedule"),
            (mutations.of_json_lines,),
        ),
        Target("import-kernel-tuner", _kernel_tuner_seeds, _importer("kernel-tuner"), (_JSON,)),
        Target("import-onednn", _onednn_seeds, _importer("onednn-verbose"), (_LINES, _TABLE)),
        Target("import-torch", _chrome_seeds, _importer("torch-profiler"), (_JSON,)),
        Target("import-onnxruntime", _onnxruntime_seeds, _importer("onnxruntime"), (_JSON,)),
        Target("rank-serve", _serve_seeds, _serve, (mutations.of_json_lines,)),
        Target("rank-space", _space_seeds, _space, (_TOML,)),
        Target("meter-recording", _recording_seeds, _recording, (mutations.of_json_lines,)),
        Target("options", _option_seeds, _options, (_LINES,)),
    )
}  # fmt: skip
