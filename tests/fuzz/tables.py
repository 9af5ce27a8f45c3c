"""Tables of measurements and of configurations."""

from __future__ import annotations

import io
import json
from collections.abc import Callable, Iterable
from pathlib import Path

import perfmodel
from fuzz.base import refused, written
from perfmodel.errors import PerfmodelError

TRACES = b"""device,software,source,op,dtype,m,n,k,batch,kind,elements,inputs,latency_s,samples,status,power_w
h100-sxm,cublas-12,test,gemm,bf16,128,256,64,1,,,,2e-6,10,ok,300
h100-sxm,cublas-12,test,gemm,bf16,4096,4096,4096,1,,,,2e-4,10,ok,650
h100-sxm,cublas-12,test,elementwise,fp32,,,,,add,65536,2,3e-6,5,ok,
h100-sxm,cublas-12,test,gemm,fp8,8,8,8,2,,,,,1,out of memory,
"""
RUNS = b"""device,software,source,workload,latency_s,samples,dtype,batch,energy_j
h100-sxm,torch-2,test,resnet50,0.002,10,fp16,8,0.5
a100-sxm-80gb,torch-2,test,bert,0.004,10,fp16,8,1.5
"""
CONFIGS = b"MWG,NWG,KWG,MDIMC,NDIMC,MDIMA,NDIMB,KWI,VWM,VWN,STRM,STRN,SA,SB\n" + b"".join(
    b"%d,%d,16,8,8,8,8,2,1,%d,0,0,%d,1\n" % (m, n, v, v % 2) for m in (16, 64) for n in (32, 64) for v in (1, 2)
)


def parquet_of(csv: bytes) -> bytes:
    import pandas

    out = io.BytesIO()
    pandas.read_csv(io.BytesIO(csv)).to_parquet(out)
    return out.getvalue()


def read_traces_as(ending: str) -> Callable[[bytes, Path], str]:
    def read(data: bytes, folder: Path) -> str:
        """As traces, as runs, as the table of a collector, and on the way to the training."""
        from perfmodel.collecting.journal import about_table
        from perfmodel.datasets.schema import column_names, read_runs, read_traces, usable
        from perfmodel.hardware import load_device
        from perfmodel.models.trace_rows import analysed, cache_states, check_seconds, parts_of

        path = written(folder, f"traces{ending}", data)
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


def read_configs_as(ending: str) -> Callable[[bytes, Path], str]:
    def read(data: bytes, folder: Path) -> str:
        """A table of kernel configurations, ranked."""
        path = written(folder, f"configs{ending}", data)
        try:
            found = perfmodel.rank(perfmodel.Gemm(m=512, n=512, k=512, dtype="fp32"), path, "rtx-3090", top_k=3)
            json.dumps(found.to_dict("rtx-3090"), allow_nan=False)
        except PerfmodelError as error:
            return refused(error)
        return "result"

    return read


def trace_seeds() -> Iterable[bytes]:
    return (parquet_of(TRACES), parquet_of(RUNS))


def config_seeds() -> Iterable[bytes]:
    return (parquet_of(CONFIGS),)
