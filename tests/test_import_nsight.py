"""Kernels that Nsight Systems and Nsight Compute saw, below NVTX ranges that describe operators."""

from __future__ import annotations

import re
from pathlib import Path

import pytest
from imported_traces import HERE, imported, written
from profile_doubles import KERN_SUM, RANGE, TILE

from perfmodel.collect.importers.nsight import NO_EXECUTION, NO_OPERATOR, read_nsight_compute
from perfmodel.errors import TraceError
from perfmodel.importing import import_traces


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
