"""Imported traces of GPUs and tuners, and the one door for all formats. Every file here is synthesised from the documented
format: no tool wrote it."""

from __future__ import annotations

import gzip
import json
import random
from importlib.metadata import EntryPoint
from pathlib import Path
from typing import Any

import pytest
from imported_traces import HERE, imported, operators, same, written
from profile_doubles import AUTOTVM, FILES, RANGE, TILE

from perfmodel import Conv, Gemm, cli
from perfmodel.collect.importers import registry
from perfmodel.collect.importers.cutlass import read_cutlass
from perfmodel.collect.importers.descriptor import descriptor_in, parse_descriptor
from perfmodel.collect.importers.nsight import NO_OPERATOR, read_nsight_compute, read_nsight_systems
from perfmodel.collect.importers.registry import Request
from perfmodel.collect.importers.tables import number
from perfmodel.collect.importers.tvm import read_autotvm, read_meta_schedule
from perfmodel.errors import InputError, PerfmodelError, TraceError
from perfmodel.importing import format_names, import_traces
from perfmodel.ops import Attention, Norm

pandas = pytest.importorskip("pandas", reason="traces need the extra train")

READERS = {
    "nsight-systems": read_nsight_systems, "nsight-compute": read_nsight_compute, "cutlass-profiler": read_cutlass,
    "autotvm": read_autotvm, "tvm-meta-schedule": read_meta_schedule,
}  # fmt: skip


def test_files_are_counted_while_they_are_read(tmp_path: Path) -> None:
    paths = [written(tmp_path, name) for name in list(FILES)[:2]]
    lines: list[str] = []
    import_traces(*paths, request=HERE, report=lines.append)
    assert lines == [f"{done}/2 files read; reading {path.name}" for done, path in enumerate(paths)]


# ------------------------------------------------------------------------------------------------ descriptors as text
def test_descriptors_are_read_from_text() -> None:
    assert parse_descriptor(RANGE) == Gemm(m=128, n=256, k=64, dtype="bf16")
    assert parse_descriptor("norm, kind=rmsnorm, rows=8, cols=4, dtype=fp16") == Norm(
        kind="rmsnorm", rows=8, cols=4, dtype="fp16"
    )
    text = "attention phase=prefill batch=1 q_len=8 kv_len=8 heads=4 kv_heads=2 head_dim=64 causal=true dtype=bf16"
    assert parse_descriptor(text) == Attention(
        phase="prefill", batch=1, q_len=8, kv_len=8, heads=4, kv_heads=2, head_dim=64, causal=True, dtype="bf16"
    )


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("gem m=1", "describes no operator"),
        ("gemm m=1 n=1 dtype=bf16", "lacks k"),
        ("gemm m=1 n=1 k=1 dtype=bf16 q=3", "gemm has no 'q'"),
        ("gemm m=x n=1 k=1 dtype=bf16", "wanted a whole number"),
        ("gemm m=0 n=1 k=1 dtype=bf16", "computes nothing"),
        ("gemm m=1 n=1 k=1 dtype=bf17", "bf17"),
        ("gemm 128", "no name=value"),
        ("", "describes no operator"),
    ],
)
def test_other_texts_are_refused(text: str, message: str) -> None:
    with pytest.raises(InputError, match=message):
        parse_descriptor(text)


def test_a_tile_is_no_problem() -> None:
    assert descriptor_in(f"{RANGE}: {TILE}") == (Gemm(m=128, n=256, k=64, dtype="bf16"), TILE)
    for name in (
        TILE,
        "ampere_sgemm_128x64_tn",
        "sm90_xmma_gemm_bf16bf16_bf16f32_f32_tn_n_tilesize128x128x64",
        "gemm m=1 n=2",
    ):
        assert descriptor_in(name) == (None, name)


# ------------------------------------------------------------------------------------------------ formats
@pytest.mark.parametrize(
    ("text", "value"),
    [
        ("1,234.5", 1234.5), ("12,345", 12345.0), ("1,234,567.25", 1234567.25), ("10.24", 10.24), ("", None),
        ("1e3", 1000.0), ("nan", None),
    ],
)  # fmt: skip
def test_numbers_of_tables(text: str, value: float | None) -> None:
    assert number(text) == value


@pytest.mark.parametrize("text", ["10,24", "1.234,5", "1.234,567", "0,5", "0,125", "-3,25"])
def test_decimal_commas_are_refused(text: str) -> None:
    with pytest.raises(TraceError, match="decimal comma: write the file again under LC_ALL=C"):
        number(text)


def test_cutlass(tmp_path: Path) -> None:
    rows, found = imported(tmp_path, "cutlass.csv")
    ops = operators(found.table)
    assert same(ops[0], Gemm(batch=2, m=512, n=768, k=1024, dtype="fp16"))
    conv = Conv(
        batch=8, c_in=3, c_out=64, h=224, w=112, kernel_h=7, kernel_w=5, stride_h=2, stride_w=1, pad_h=3, pad_w=2, groups=1,
        dtype="fp16",
    )  # fmt: skip
    assert same(ops[4], conv)
    assert [r["dtype"] for r in rows] == ["fp16", "tf32", "fp32", "fp32", "fp16"]
    assert [r["status"] for r in rows] == [
        "ok", "ok", "cutlass_profiler: incorrect", "cutlass_profiler: error_invalid_problem", "ok",
    ]  # fmt: skip
    assert [r.get("latency_s") for r in rows] == [
        pytest.approx(2.5e-4),
        pytest.approx(5e-4),
        None,
        None,
        pytest.approx(3e-3),
    ]
    assert (rows[0]["cfg_cta_m"], rows[0]["cfg_stages"], rows[0]["cfg_op_class"]) == (128, 3, "tensorop")
    assert rows[0]["out_dtype"] == "fp32"
    assert found.passed_over == {
        "operations of the kind spgemm": 1,
        "gemm of a format or kind that has no descriptor": 2,
        "conv2d of a format or kind that has no descriptor": 1,
    }


def test_autotvm(tmp_path: Path) -> None:
    rows, found = imported(tmp_path, "tune.log")
    ops = operators(found.table)
    assert same(ops[0], Gemm(m=4, n=1000, k=512, dtype="fp16"))
    assert (rows[0]["latency_s"], rows[0]["samples"]) == (pytest.approx(0.003), 2)
    assert rows[0]["latency_rel_std"] == pytest.approx(1 / 3)
    assert (rows[0]["cfg_tile_k"], rows[0]["cfg_unroll"]) == ("-1x64", "4")
    seven_by_five = Conv(
        batch=1, c_in=3, c_out=64, h=224, w=112, kernel_h=7, kernel_w=5, stride_h=2, stride_w=1, pad_h=3, pad_w=2, groups=1,
        dtype="fp32",
    )  # fmt: skip
    assert same(ops[1], seven_by_five)
    assert (rows[1]["status"], rows[1].get("latency_s")) == ("runtime error", None)
    packed = Conv(
        batch=2, c_in=32, c_out=32, h=56, w=56, kernel_h=3, kernel_w=3, stride_h=1, stride_w=1, pad_h=1, pad_w=1, groups=32,
        dtype="fp32",
    )  # fmt: skip
    assert same(ops[2], packed)
    last = Conv(
        batch=2, c_in=16, c_out=32, h=28, w=14, kernel_h=3, kernel_w=1, stride_h=1, stride_w=1, pad_h=0, pad_w=0, groups=1,
        dtype="int8",
    )  # fmt: skip
    assert same(ops[3], last)
    assert same(ops[4], Gemm(batch=12, m=64, n=48, k=32, dtype="fp32"))
    assert same(ops[5], Gemm(m=4, n=16, k=8, dtype="fp32"))
    assert found.passed_over == {
        "tasks correlation_nchw.cuda": 1,
        "tasks conv2d_nchw.cuda": 1,  # padded on one side
        "lines of another form": 1,
    }


def test_meta_schedule(tmp_path: Path) -> None:
    rows, found = imported(tmp_path, "database_tuning_record.json")
    ops = operators(found.table)
    assert same(ops[0], Gemm(m=128, n=256, k=64, dtype="fp16"))
    assert (rows[0]["latency_s"], rows[0]["samples"], rows[0]["kernel"]) == (0.002, 3, "T_matmul_NT")
    assert same(ops[1], Gemm(batch=4, m=16, n=32, k=8, dtype="fp16"))
    assert [r["status"] for r in rows] == ["ok", "not measured", "not measured"]
    assert len({r["cfg_trace"] for r in rows}) == 3
    # The third product's shapes do not go together.
    assert found.passed_over == {
        "blocks conv2d_nchw, update": 1,
        "blocks matmul, update": 1,
        "lines of another form": 1,
    }


# ------------------------------------------------------------------------------------------------ one door
@pytest.mark.parametrize("name", FILES)
def test_formats_are_told_from_the_file(tmp_path: Path, name: str) -> None:
    assert registry.detect(written(tmp_path, name)).name == FILES[name][1]


def test_formats_that_were_there_before_are_told_too(tmp_path: Path) -> None:
    texts = {
        "onednn-verbose": "starting\nonednn_verbose,v1,info,oneDNN v3.5.0\n",
        "kernel-tuner": '{"device_name": "x", "tune_params_keys": ["a"], "cache": {',
        "torch-profiler": '{"schemaVersion": 1, "deviceProperties": [], "traceEvents": [',
        "onnxruntime": '[{"cat" : "Session","pid" :1,"name" :"model_loading_uri"',
    }
    for name, text in texts.items():
        path = written(tmp_path, "x", text)
        from perfmodel.importing import _OF_GRAPHS

        assert registry.detect(path, _OF_GRAPHS).name == name
    assert set(texts) < set(format_names())


def test_packed_files_are_unpacked(tmp_path: Path) -> None:
    path = tmp_path / "tune.log.gz"
    path.write_bytes(gzip.compress(AUTOTVM.encode()))
    assert len(import_traces(path, request=HERE).table) == 6
    path.write_bytes(gzip.compress(AUTOTVM.encode())[:200])
    with pytest.raises(TraceError, match=r"tune\.log\.gz"):
        import_traces(path, request=HERE)


@pytest.mark.parametrize("name", FILES)
def test_damaged_files_give_one_line(tmp_path: Path, name: str) -> None:
    """Cut off anywhere, or with other characters in it: a table, or one clear line."""
    text, kind = FILES[name]
    chance = random.Random(4)
    cases = [text[: chance.randrange(len(text))] for _ in range(40)]
    for _ in range(40):
        at = chance.randrange(len(text))
        cases.append(
            text[:at] + chance.choice(["\0", '"', "9" * 400, "\udcff", "[" * 3000, "\n", "-1", "NaN", "é,"]) + text[at:]
        )
    for case in cases:
        path = tmp_path / name
        path.write_bytes(case.encode("utf-8", "surrogateescape"))
        said = None
        try:
            assert len(READERS[kind](path, "a100-sxm-80gb", "stack-1.0")) > 0
        except TraceError as problem:
            said = str(problem)
        assert said is None or (name in said and "\n" not in said)


def test_files_that_are_too_large_are_refused(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("perfmodel.collect.importers.rows.MOST_BYTES", 100)
    for name in ("kern_sum.csv", "tune.log"):
        with pytest.raises(TraceError, match="more than 100 bytes"):
            import_traces(written(tmp_path, name), request=HERE)
    packed = tmp_path / "bomb.json.gz"
    packed.write_bytes(gzip.compress(b" " * 100_000))
    monkeypatch.setattr("perfmodel.collect.importers.rows.MOST_BYTES", 1000)
    with pytest.raises(TraceError, match="more than 1000 bytes"):
        import_traces(packed, request=HERE, format="torch-profiler")


def test_a_kernel_tuner_cache_needs_its_operator(tmp_path: Path) -> None:
    cache = {"kernel_name": "k", "tune_params_keys": ["a"], "cache": {"1": {"a": 1, "time": 2.0}}}
    path = written(tmp_path, "c.json", json.dumps(cache))
    with pytest.raises(InputError, match="give the operator"):
        import_traces(path, request=HERE)
    given = Request("a100-sxm-80gb", "stack-1.0", op=Gemm(m=1, n=2, k=3, dtype="fp32"))
    assert import_traces(path, request=given).table["latency_s"].tolist() == [0.002]


def test_a_profile_needs_its_graph(tmp_path: Path) -> None:
    path = written(tmp_path, "p.json", '[{"cat" : "Session","pid" :1}]')
    with pytest.raises(InputError, match="--graph"):
        import_traces(path, request=HERE)


class Stopwatch:
    name, title = "stopwatch", "a stopwatch's list"

    def is_it(self, head: str) -> bool:
        return head.startswith("stopwatch")

    def read(self, path: Path, request: Request) -> Any:
        from perfmodel.collect.importers.rows import Rows

        rows = Rows({"device": request.device, "software": request.software, "source": "stopwatch"})
        rows.add(Gemm(m=1, n=1, k=1, dtype="fp32"), float(path.read_text().split()[1]), "by hand")
        return rows.imported(str(path))


def test_other_packages_add_formats(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    entry = EntryPoint("stopwatch", f"{__name__}:Stopwatch", registry.GROUP)
    monkeypatch.setattr(registry, "registered", lambda group: {"stopwatch": (entry,)})
    monkeypatch.setattr("perfmodel.plugins.registered", lambda group: {"stopwatch": (entry,)})
    path = written(tmp_path, "w.txt", "stopwatch 0.25")
    assert import_traces(path, request=HERE).table["latency_s"].tolist() == [0.25]
    assert "stopwatch" in format_names()
    broken = EntryPoint("broken", "pathlib:Path", registry.GROUP)
    monkeypatch.setattr("perfmodel.plugins.registered", lambda group: {"broken": (broken,)})
    with pytest.raises(PerfmodelError, match="which is no importer: it lacks title, is_it, read"):
        registry.format_of("broken")


# ------------------------------------------------------------------------------------------------ the command
def test_the_command_writes_a_table(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    first, second = written(tmp_path, "kern_sum.csv"), written(tmp_path, "cutlass.csv")
    target = tmp_path / "traces.parquet"
    arguments = ["import", str(first), str(second), "--device", "a100-sxm-80gb", "--software", "s-1", "-o", str(target)]
    assert cli.main(arguments) == 0
    said = capsys.readouterr().out
    assert "6 rows (5 gemm, 1 conv), 2 of them failed" in said
    assert f"passed over: 2 x {NO_OPERATOR}" in said
    assert len(pandas.read_parquet(target)) == 6
    assert cli.main(arguments) == 2
    assert "exists; --force replaces it" in capsys.readouterr().err
    assert cli.main([*arguments, "--force", "--json", "-"]) == 0
    assert json.loads(capsys.readouterr().out)["operators"] == {"gemm": 5, "conv": 1}


@pytest.mark.parametrize(
    ("more", "message"),
    [
        (["--format", "nsight"], "no format is called 'nsight'"),
        (["--op", "gem"], "describes no operator"),
        (["--device", "a101"], "a101"),
        (["-o", "t.txt"], "neither .csv nor .parquet"),
        (["--warm-up", "-1"], "wanted --warm-up"),
    ],
)
def test_wrong_use_gives_one_line(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str], more: list[str], message: str
) -> None:
    monkeypatch.chdir(tmp_path)
    path = written(tmp_path, "kern_sum.csv")
    assert cli.main(["import", str(path), "--device", "t4", "--software", "s-1", "-o", "t.csv", *more]) == 2
    error = capsys.readouterr().err
    assert message in error
    assert error.count("\n") == 1
    assert not (tmp_path / "t.csv").exists()
