"""Requests, spaces, recordings, options."""

from __future__ import annotations

import io
import json
import random
import tomllib
from collections.abc import Iterable
from pathlib import Path

import perfmodel
from fuzz.base import ROOT, analytical, refused, written
from perfmodel.errors import PerfmodelError


def serve(data: bytes, folder: Path) -> str:
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


def serve_seeds() -> Iterable[bytes]:
    import test_serving as t

    requests = [
        t.OPEN, {"do": "suggest", "session": "a", "n": 1}, {"do": "observe", "session": "a", "rows": [0], "seconds": [1e-3]},
        {"do": "rank", "session": "a", "top": 2}, {"do": "close", "session": "a"},
        {"do": "rank", **t.PROBLEM, "configs": t.CONFIGS, "id": 7},
        {"do": "predict", **t.PROBLEM, "space": "clblast_sgemm", "config": {k: v[0] for k, v in t.CONFIGS.items()}},
    ]  # fmt: skip
    yield b"\n".join(json.dumps(r).encode() for r in requests)
    yield from (json.dumps(r).encode() for r in requests)


def read_space(data: bytes, folder: Path) -> str:
    """A description of a space of configurations, and configurations of its columns."""
    path = written(folder, "space.toml", data)
    try:
        described = tomllib.loads(data.decode("utf-8", "replace"))
        columns, family = list(described["columns"]), str(described["op"])
    except (ValueError, KeyError, TypeError, RecursionError):
        columns, family = ["MWG", "NWG"], "gemm"
    rng = random.Random(7)
    configs = {name: [rng.choice((0, 1, 2, 4, 8, 16, 32, 64)) for _ in range(500)] for name in columns}
    try:
        perfmodel.rank(SPACE_PROBLEMS.get(family, SPACE_PROBLEMS["gemm"]), configs, "rtx-3090", space=path)
    except PerfmodelError as error:
        return refused(error)
    return "result"


SPACE_PROBLEMS = {
    "gemm": perfmodel.Gemm(m=512, n=512, k=512, dtype="fp32"),
    "conv": perfmodel.Conv(batch=1, c_in=1, c_out=1, h=512, w=512, kernel_h=15, kernel_w=15, dtype="fp32"),
}


def space_seeds() -> Iterable[bytes]:
    yield from (p.read_bytes() for p in sorted((ROOT / "perfmodel/rank/spaces").glob("*.toml")))


def read_recording(data: bytes, folder: Path) -> str:
    """A recording of a meter."""
    from perfmodel.collect.meters.replay import load_readings

    try:
        load_readings(written(folder, "readings.jsonl", data))
    except PerfmodelError as error:
        return refused(error)
    return "result"


def recording_seeds() -> Iterable[bytes]:
    import tempfile

    import test_meter_replay as t

    from perfmodel.collect.meters.replay import save_readings

    with tempfile.TemporaryDirectory() as folder:
        save_readings(Path(folder) / "r", t.INFO, t.READINGS)
        yield (Path(folder) / "r").read_bytes()


def read_options(data: bytes, folder: Path) -> str:
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


def option_seeds() -> Iterable[bytes]:
    yield from (b"gemm m=4096 n=4096 k=4096 dtype=fp32", b"norm kind=layernorm rows=8 cols=512 dtype=fp16")
    yield from (b"attention=fp8,*lm_head*=bf16", b"conv=int8,gemm=w4a16")


def read_dtype_map(data: bytes, folder: Path) -> str:
    """A file of ``--dtype-map``, and a prediction with it."""
    from perfmodel.predict import dtype_map

    try:
        mapping = dtype_map.checked(dtype_map.parse([str(written(folder, "map.toml", data))]))
        perfmodel.predict(ROOT / "examples" / "mlp.mlir", "h100-sxm", dtype_map=mapping, predictor=analytical())
    except PerfmodelError as error:
        return refused(error)
    return "result"


def dtype_map_seeds() -> Iterable[bytes]:
    yield b'attention = "fp8"\ngemm = "w4a16"\n"*lm_head*" = "bf16"\n'
    yield b'gemm = "fp8"\nconv = "int8"\n'
