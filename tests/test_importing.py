"""Imported traces of GPUs and tuners, and the one door for all formats. Every file here is synthesised from the documented
format: no tool wrote it."""

from __future__ import annotations

import gzip
import json
import random
import re
from importlib.metadata import EntryPoint
from pathlib import Path
from typing import Any

import pytest
from profile_doubles import AUTOTVM, FILES, KERN_SUM, RANGE, TILE

from perfmodel import Conv, Gemm, cli
from perfmodel.collect.importers import registry
from perfmodel.collect.importers.cutlass import read_cutlass
from perfmodel.collect.importers.descriptor import descriptor_in, parse_descriptor
from perfmodel.collect.importers.nsight import NO_EXECUTION, NO_OPERATOR, read_nsight_compute, read_nsight_systems
from perfmodel.collect.importers.registry import Request
from perfmodel.collect.importers.tables import number
from perfmodel.collect.importers.tvm import read_autotvm, read_meta_schedule
from perfmodel.errors import InputError, PerfmodelError, TraceError
from perfmodel.importing import format_names, import_traces
from perfmodel.ops import Attention, Norm
from perfmodel.ops.table import from_columns

pandas = pytest.importorskip("pandas", reason="traces need the extra train")

READERS = {
    "nsight-systems": read_nsight_systems, "nsight-compute": read_nsight_compute, "cutlass-profiler": read_cutlass,
    "autotvm": read_autotvm, "tvm-meta-schedule": read_meta_schedule,
}  # fmt: skip
HERE = Request("a100-sxm-80gb", "stack-1.0")


def written(folder: Path, name: str, text: str | None = None) -> Path:
    path = folder / name
    path.write_text(FILES[name][0] if text is None else text)
    return path


def imported(folder: Path, name: str) -> tuple[list[dict[str, Any]], Any]:
    found = import_traces(written(folder, name), request=HERE)
    return [{k: v for k, v in row.items() if not pandas.isna(v)} for row in found.table.to_dict("records")], found


def test_files_are_counted_while_they_are_read(tmp_path: Path) -> None:
    paths = [written(tmp_path, name) for name in list(FILES)[:2]]
    lines: list[str] = []
    import_traces(*paths, request=HERE, report=lines.append)
    assert lines == [f"{done}/2 files read; reading {path.name}" for done, path in enumerate(paths)]


def operators(table: Any) -> list[Any]:
    """The descriptor of each row."""
    found: dict[int, Any] = {}
    for group in from_columns({name: table[name] for name in table.columns}):
        for i, row in enumerate(group.rows):
            found[int(row)] = group.taken(slice(i, i + 1)).op
    return [found[i] for i in range(len(table))]


def same(op: Any, wanted: Any) -> bool:
    names = wanted.dimension_names()
    return type(op) is type(wanted) and all(
        float(getattr(op, n)[0]) == float(getattr(wanted, n)) for n in names if getattr(wanted, n) is not None
    )


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
def test_a_summary_of_nsight_systems(tmp_path: Path) -> None:
    [row], found = imported(tmp_path, "kern_sum.csv")
    # The median of ten; deviation over mean 50 / 1000.
    assert (row["m"], row["n"], row["k"], row["dtype"]) == (128, 256, 64, "bf16")
    assert (row["latency_s"], row["samples"], row["latency_rel_std"]) == pytest.approx((990e-9, 10, 0.05))
    assert row["kernel"] == TILE
    assert (row["device"], row["software"], row["source"]) == ("a100-sxm-80gb", "stack-1.0", "nsight-systems")
    assert row["collection"] == "kern_sum.csv"
    assert found.passed_over == {NO_OPERATOR: 2}  # and calls of the runtime are no kernels
    # Where no empty line parts the tables, the next header does.
    joined = written(tmp_path, "joined.csv", KERN_SUM.replace("\n\nTime", "\nTime"))
    assert import_traces(joined, request=HERE).passed_over == found.passed_over


def test_a_trace_of_nsight_systems(tmp_path: Path) -> None:
    [row], found = imported(tmp_path, "trace.csv")
    assert (row["latency_s"], row["samples"], row["kernel"]) == (pytest.approx(3e-6), 2, "kernel_a")
    assert found.passed_over == {"copies and fills": 1}


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


def test_nsight_compute(tmp_path: Path) -> None:
    rows, found = imported(tmp_path, "ncu.csv")
    assert [(r["op"], r["latency_s"]) for r in rows] == [
        ("gemm", pytest.approx(1.2345e-3)),
        ("norm", pytest.approx(5e-4)),
    ]
    assert found.passed_over == {NO_OPERATOR: 1}
    [row], _ = imported(tmp_path, "raw.csv")
    assert row["latency_s"] == pytest.approx(2e-6)


def test_nsight_compute_as_it_writes_its_sections(tmp_path: Path) -> None:
    """ncu 2025.3 without options: lines of metrics lack the columns of rules that the header has."""
    path = tmp_path / "sections.csv"
    whole = (
        '==PROF== Connected to process 511 (/usr/bin/python3.12)\n"ID","Process ID","Kernel Name","Section Name","Metric Name",'
        '"Metric Unit","Metric Value","Rule Name","Rule Type","Rule Description"\n'
        '"8","511","gemm m=64 n=32 k=16 dtype=bf16/nvjet_64x8","Launch Statistics","Block Size","","1,024",""\n'
        '"8","511","gemm m=64 n=32 k=16 dtype=bf16/nvjet_64x8","GPU Speed Of Light Throughput","Duration","ns","9,632",""\n'
        '"8","511","gemm m=64 n=32 k=16 dtype=bf16/nvjet_64x8","SpeedOfLight","","","","SOLBottleneck","OPT","low throughput"\n'
    )
    path.write_text(whole)
    found = read_nsight_compute(path, "h100-sxm", "torch-2.11.0")
    assert found.columns["latency_s"] == [pytest.approx(9.632e-6)]
    assert found.columns["kernel"] == ["nvjet_64x8"]
    # A value that the end of the file cuts is none: 9 ns would be a thousand times too small.
    path.write_text(whole[: whole.index('9,632"') + 1])
    with pytest.raises(TraceError, match="kernels without a time"):
        read_nsight_compute(path, "h100-sxm", "torch-2.11.0")


# A product that splits its sum: 900 us of partial sums, and 3 us of a kernel that adds them up.
SPLIT = ("ampere_bf16_s16816gemm_splitk", "splitKreduce_kernel")


def summary(tmp_path: Path, *kernels: tuple[str, int, float]) -> Path:
    """A summary of Nsight Systems: kernels of one range's name, their instances and their medians in us."""
    lines = ["Time (%),Total Time (ns),Instances,Avg (ns),Med (ns),Min (ns),Max (ns),StdDev (ns),Name"]
    lines += [f'1,1,{count},{us * 1e3},{us * 1e3},1,1,{us * 10},"{RANGE}:{name}"' for name, count, us in kernels]
    return written(tmp_path, "sum.csv", "\n".join(lines) + "\n")


def launched(tmp_path: Path, *kernels: tuple[str, float]) -> Path:
    """A trace of Nsight Systems: launches of one range's name, and their us."""
    lines = ["Start (us),Duration (us),CorrId,Device,Strm,Name"]
    lines += [f'{i},{us},{i},A100,7,"{RANGE}:{name}"' for i, (name, us) in enumerate(kernels)]
    return written(tmp_path, "gpu.csv", "\n".join(lines) + "\n")


def test_kernels_of_one_execution_are_one_row(tmp_path: Path) -> None:
    """900 us and 3 us are 903 us; deviations of 9 and 0.03 us, independent of each other, are 9.00005 us."""
    (split, add_up), path = SPLIT, summary(tmp_path, (SPLIT[1], 10, 3.0), (SPLIT[0], 10, 900.0))
    [row] = import_traces(path, request=HERE).table.to_dict("records")
    assert (row["latency_s"], row["samples"], row["kernel"]) == (pytest.approx(903e-6), 10, split)
    assert row["latency_rel_std"] == pytest.approx(9.00005 / 903)
    path = launched(tmp_path, (split, 890.0), (add_up, 3.0), (split, 910.0), (add_up, 5.0), (split, 1.0))
    found = import_traces(path, request=HERE)  # the file ends amid an execution
    [row] = found.table.to_dict("records")
    # The mean of 893 and 915 us.
    assert (row["latency_s"], row["samples"], row["kernel"]) == (pytest.approx(904e-6), 2, split)
    assert found.passed_over == {NO_EXECUTION: 1}


def test_kernels_of_one_execution_in_nsight_compute(tmp_path: Path) -> None:
    header = '"ID","Process ID","Kernel Name","Block Size","Grid Size","Metric Name","Metric Unit","Metric Value"\n'
    alike = f"{RANGE}/void cutlass::Kernel2<{'x' * 200}"
    for first, second in ((f"{RANGE}/{SPLIT[0]}", f"{RANGE}/{SPLIT[1]}"), (RANGE, RANGE), (f"{alike}A>", f"{alike}B>")):
        lines = [
            f'"{i}","17","{second if i % 2 else first}","(128, 1, 1)","({64 - i % 2}, 1, 1)","Duration","us","{us}"\n'
            for i, us in enumerate((900, 3, 904, 5))
        ]
        found = read_nsight_compute(written(tmp_path, "split.csv", header + "".join(lines)), "a100-sxm-80gb", "s-1")
        # The mean of 903 and 909 us.
        assert (found.columns["latency_s"], found.columns["samples"]) == ([pytest.approx(906e-6)], [2])


def test_other_kernels_of_one_range_are_ways_of_their_own(tmp_path: Path) -> None:
    (one, other), us = SPLIT, 1e-6
    table = import_traces(launched(tmp_path, (one, 9.0), (one, 9.0), (other, 3.0), (other, 3.0)), request=HERE).table
    assert table[["kernel", "latency_s", "samples"]].to_numpy().tolist() == [
        [one, pytest.approx(9 * us), 2], [other, pytest.approx(3 * us), 2],
    ]  # fmt: skip
    # Names of ranges that say more than the operator keep ways of computing it apart in a summary.
    text = (
        summary(tmp_path, (one, 10, 9.0), (other, 10, 3.0))
        .read_text()
        .replace(f"{RANGE}:{other}", f"mine {RANGE}:{other}")
    )
    table = import_traces(written(tmp_path, "two.csv", text), request=HERE).table
    assert table["latency_s"].tolist() == pytest.approx([9 * us, 3 * us])
    # Two tables in one file: the second measured the same again.
    text = summary(tmp_path, (one, 10, 9.0), (other, 10, 3.0)).read_text()
    assert import_traces(written(tmp_path, "two.csv", text + text), request=HERE).table["latency_s"].tolist() == (
        pytest.approx([12 * us, 12 * us])
    )


def test_kernels_that_ran_unequally_often_are_no_execution(tmp_path: Path) -> None:
    (one, other), reason = SPLIT, re.escape(NO_EXECUTION)
    with pytest.raises(TraceError, match=rf"{reason} \(2\)"):
        import_traces(summary(tmp_path, (one, 10, 9.0), (other, 7, 3.0)), request=HERE)
    # One execution that ran the second kernel twice, or two of the second after what made something ready.
    with pytest.raises(TraceError, match=rf"{reason} \(3\)"):
        import_traces(launched(tmp_path, (one, 9.0), (other, 3.0), (other, 3.0)), request=HERE)
    # The kernels before those that repeat are as many as one execution has.
    two = (("fill", 1.0), ("copy", 1.0), *2 * ((one, 9.0), (other, 3.0)))
    with pytest.raises(TraceError, match=rf"{reason} \(6\)"):
        import_traces(launched(tmp_path, *two), request=HERE)
    # One whole execution after the first kernel, or one of all four launches.
    with pytest.raises(TraceError, match=rf"{reason} \(4\)"):
        import_traces(launched(tmp_path, ("fill", 1.0), (one, 9.0), (other, 3.0), (one, 9.0)), request=HERE)
    # One that ran again is none that made something ready.
    with pytest.raises(TraceError, match=rf"{reason} \(6\)"):
        import_traces(launched(tmp_path, ("fill", 1.0), *2 * ((one, 9.0), (other, 3.0)), ("fill", 1.0)), request=HERE)


def test_a_kernel_that_made_something_ready_is_in_no_row(tmp_path: Path) -> None:
    """900 + 3 and 904 + 5 us are 906 us in the mean; the first launch counts for none, nor the last, which was cut off."""
    split, add_up = SPLIT
    times = ((split, 900.0), (add_up, 3.0), (split, 904.0), (add_up, 5.0), (split, 1e6))
    found = import_traces(launched(tmp_path, ("fill", 5000.0), *times), request=HERE)
    [row] = found.table.to_dict("records")
    assert (row["latency_s"], row["samples"], row["kernel"]) == (pytest.approx(906e-6), 2, split)
    assert found.passed_over == {NO_EXECUTION: 2}


def test_launches_of_one_kernel_are_executions_each(tmp_path: Path) -> None:
    """Whether one execution launched it twice, no file tells (docs/importing.md)."""
    [row] = import_traces(launched(tmp_path, *4 * ((SPLIT[0], 9.0),)), request=HERE).table.to_dict("records")
    assert (row["latency_s"], row["samples"]) == (pytest.approx(9e-6), 4)


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
