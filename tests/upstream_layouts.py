"""Tiny copies of public data sets, written by hand in their upstream layouts."""

from __future__ import annotations

import gzip
import json
from pathlib import Path
from typing import Any

import pandas


def parquet(path: Path, **columns: Any) -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    pandas.DataFrame(columns).to_parquet(path)
    return path


def text(path: Path, content: str) -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(content, encoding="utf-8")
    return path


def aiconfigurator(root: Path) -> Path:
    """Two rows or three of every kind of table, on one or two systems."""
    data = root / "systems" / "data"
    gpu = {"framework": "VLLM", "version": "0.24.0", "device": "NVIDIA H100 80GB HBM3"}
    head = {"kernel_source": ["a", "b"], "latency": [0.5, 2.0]}
    parquet(
        data / "h100_sxm/gemm/vllm/0.24.0/gemm_perf.parquet", **gpu, **head, gemm_dtype=["bfloat16", "int4_wo"], m=[1, 2],
        n=[64, 128], k=[256, 512], power=[300.0, 400.0], power_limit=[700.0, 700.0],
    )  # fmt: skip
    parquet(
        data / "h100_sxm/mla_bmm/vllm/0.24.0/mla_bmm_perf.parquet", **gpu, **head, op_name=["mla_gen_pre", "mla_gen_post"],
        bmm_dtype=["bfloat16", "fp8"], num_tokens=[3, 5], num_heads=[16, 32],
    )  # fmt: skip
    attention = {
        "batch_size": [4, 2], "isl": [128, 1], "num_heads": [32, 8], "num_key_value_heads": [8, 1], "head_dim": [128, 64],
        "attn_dtype": "bfloat16", "kv_cache_dtype": ["bfloat16", "fp8"],
    }  # fmt: skip
    parquet(
        data / "h100_sxm/attention/vllm/0.24.0/context_attention_perf.parquet", **gpu, **head, **attention, step=0,
        window_size=[0, 1024],
    )  # fmt: skip
    parquet(
        data / "h100_sxm/attention/vllm/0.24.0/generation_attention_perf.parquet", **gpu, **head,
        **{**attention, "isl": 1}, step=[1, 4095],
    )  # fmt: skip
    parquet(
        data / "l40s/encoder_attention/sglang/0.5.14/encoder_attention_perf.parquet", version="0.5.14", **head,
        batch_size=[1, 2], isl=[197, 256], num_heads=[12, 16], head_dim=[64, 72], attn_dtype="bfloat16",
    )  # fmt: skip
    mla = {
        "num_heads": [64, 8], "batch_size": [1, 2], "tp_size": [2, 16], "mla_dtype": "bfloat16", "kv_cache_dtype": "fp8",
    }  # fmt: skip
    parquet(data / "l40s/mla/trtllm/1.0.0/context_mla_perf.parquet", **head, **mla, isl=[16, 32], step=[0, 0])
    parquet(data / "l40s/mla/trtllm/1.0.0/generation_mla_perf.parquet", **head, **mla, isl=1, step=[7, 15])
    parquet(
        data / "l40s/moe/trtllm/1.3.0rc20/moe_perf.parquet", version="1.3.0rc20",
        kernel_source=["cutlass", "moe_torch_flow_nongated", "cutlass", "cutlass", "cutlass"], moe_dtype="bfloat16",
        num_tokens=[8, 16, 16, 8, 8], hidden_size=[4096, 2688, 2688, 4096, 4096],
        inter_size=[14336, 1856, 1856, 14336, 14336], topk=[2, 6, 6, 2, 2], num_experts=[8, 128, 128, 8, 8], moe_tp_size=1,
        moe_ep_size=[1, 2, 2, 1, 1], distribution="balanced", latency=[1.0, 2.0, 3.0, 1.5, 9.0],
    )  # fmt: skip
    quantize = {"m": [1, 64], "k": [128, 256], "quant_dtype": "fp8"}
    parquet(data / "l40s/quantize/sglang/0.5.14/scale_matrix_perf.parquet", **head, **quantize)
    parquet(
        data / "l40s/quantize/sglang/0.5.14/computescale_perf.parquet",
        **quantize,
        kernel_source="sglang",
        latency=[0.0, 0.25],
    )
    parquet(
        data / "l40s/quantize/vllm/0.24.0/computescale_perf.parquet", **quantize, kernel_source="x", latency=[0.0, 0.25]
    )
    parquet(
        data / "l40s/comm/nccl/2.27.3/nccl_perf.parquet", version="2.27.3", kernel_source="NCCL", latency=[0.01, 0.02],
        op_name=["alltoall", "all_gather"], nccl_dtype=["half", "int8"], num_gpus=[2, 8], message_size=[256, 512],
    )  # fmt: skip
    # Carried over from an older version than its folder says.
    parquet(
        data / "l40s/comm/vllm/0.22.0/custom_allreduce_perf.parquet", version="0.14.0", op_name="all_reduce",
        kernel_source=["vLLM_custom_graph", "vLLM_custom_eager"], allreduce_dtype="bfloat16", num_gpus=2,
        message_size=1024, latency=[0.005, 0.04],
    )  # fmt: skip
    return root


_NEUSIGHT = "OPName,Latency,Device,Kernel Name,Kernels"


def neusight(root: Path) -> Path:
    nvidia, amd = root / "data" / "dataset", root / "data" / "dataset_amd"
    gpu = "NVIDIA A100-PCIE-40GB"
    text(
        nvidia / "train/collect/linear/p2.1.0" / f"{gpu}.csv",
        f"{_NEUSIGHT},B,M,N,K\nlinear,0.5,{gpu},ampere_sgemm_32x128_tn,;ampere_sgemm_32x128_tn;reduce,1,58,13,141\n",
    )
    text(nvidia / "test/bmm.csv", f"{_NEUSIGHT},B,M,N,K\nbmm,0.25,{gpu},ampere_sgemm_64x64_nn,,6,27,21,390\n")
    text(
        nvidia / "test/linear.csv", f"{_NEUSIGHT},B,M,N,K\nlinear,4,Tesla P4,maxwell_sgemm_128x64_tn,,1,512,768,1024\n"
    )
    text(
        nvidia / "train/collect/conv/p2.1.0/Tesla T4.csv",
        f"{_NEUSIGHT},B,Input_Channel,Output_Channel,Kernel_Szie,Input_Size,Stride,Padding\n"
        "conv,2.5,Tesla T4,winograd,;a;b;winograd,38,893,326,3,5,1,1\n",
    )
    rows = "".join(f"{op},1.5,{gpu},k,10,20,True\n" for op in ("add", "addu", "divu", "gelu"))
    text(nvidia / "train/elem.csv", f"OPName,Latency,Device,Kernel Name,B,H,large\n{rows}")
    text(nvidia / "train/ln.csv", f"OPName,Latency,Device,Kernel Name,B,H,large\nln,0.125,{gpu},k,4100,556,True\n")
    text(
        amd / "train/softmax.csv",
        f"{_NEUSIGHT},B,H,large\nsoftmax,0.0625,AMD Instinct MI210,k,;k,4102,519,True\n"
        "softmax,CUDA error,AMD Instinct MI210,k,;k,4102,520,True\n",
    )
    return root


NEUSIGHT_GRAPH = (
    "Name,OpName,FwOps,BwOps,AccOps,Prev,Next,InputShapes,OutputShape\n"
    'input_ids,misc,[],[],[],set(),set(),[],"(2, 8)"\n'
    'transformer_wte,EMBEDDING,"[[\'MEM\', ((2, 8), (2, 8, 4))]]",{wte},set(),set(),[],"(2, 8, 4)"\n'
    'transformer_h_0_ln_1,VECln,"[[\'VECln\', (16, 4)]]",{ln},set(),set(),[],"(2, 8, 4)"\n'
    'addmm,Linear,"[[\'Linear\', (16, 4, 12)]]",{addmm},set(),set(),[],"(16, 12)"\n'
    'matmul,BMM,"[[\'BMM\', (6, 8, 4, 8)]]",[],[],set(),set(),[],"(2, 3, 8, 8)"\n'
    'softmax,VECsoftmax,"[[\'VECsoftmax\', (48, 8)]]",[],[],set(),set(),[],"(2, 3, 8, 8)"\n'
    'add_15,VECadd,"[[\'VECadd\', (16, 4)]]",[],[],set(),set(),[],"(2, 8, 4)"\n'
    'lm_head,Linear,"[[\'Linear\', (16, 4, 50)]]",[],[],set(),set(),[],"(2, 8, 50)"\n'
)
"""A network of one traced layer, from transformer_h_0_ln_1 to add_15."""


def neusight_models(root: Path) -> Path:
    """A language model on two GPUs: five layers, of which one is traced; one run as inference, one as training."""
    asplos = root / "scripts/asplos"
    forward = NEUSIGHT_GRAPH.format(wte="[],[]", ln="[],[]", addmm="[],[]")
    training = NEUSIGHT_GRAPH.format(
        wte="\"[['MEM', ((50, 4),)]]\",\"[['VECadd', [1, 200]]]\"",
        ln="\"[['VECmul', (16, 4)]]\",[]",
        addmm="\"[['Linear', (16, 12, 4)], ['Linear', (12, 16, 4)]]\",\"[['VECadd', [1, 48]]]\"",
    )
    text(asplos / "results/opgraph/gpt3_xl-inf-8-2.csv", forward)
    text(asplos / "results/opgraph/gpt2_large-train-8-2.csv", training)
    times = "Name,latency\ninput_ids,0\ntransformer_h_0_ln_1,0.5\naddmm,2\nmatmul,1\nsoftmax,0.25\nadd_15,0.125\nlm_head,8\n"
    run = {"num_layer": 5, "e2e_latency": 40.0, "fw_latency": 40.0, "bwall_latency": 0}
    for gpu, name in (
        ("Tesla_T4", "gpt3_xl-inf-8-2"), ("Tesla_T4", "gpt2_large-train-8-2"), ("NVIDIA_L4", "gpt3_xl-inf-8-2"),
        ("Tesla_T4", "gpt2_large-train-8-2-dp4"),
    ):  # fmt: skip
        text(asplos / f"label/{gpu}/{name}.json", json.dumps(run))
    text(asplos / "label/Tesla_T4/gpt3_xl-inf-8-2.csv", times)
    text(asplos / "label/Tesla_T4/gpt2_large-train-8-2.csv", times)
    return root


def neusight_checkout(root: Path) -> Path:
    """All of NeuSight in small: training rows of two GPUs, test rows of one of them and of a third, the same rows once more
    where upstream pools or parts them, and the networks of :func:`neusight_models`. Latencies in ms."""
    neusight_models(root)
    data = root / "scripts/asplos/data/dataset"
    products = {
        "linear": [
            ("train", "Tesla T4", 0.5), ("train", "Tesla V100-PCIE-32GB", 0.25), ("test", "Tesla T4", 2),
            ("test", "NVIDIA L4", 4),
        ],
        "bmm": [("train", "Tesla T4", 1), ("test", "NVIDIA L4", 0.5), ("test", "NVIDIA L4", 1.25)],
    }  # fmt: skip
    for op, rows in products.items():
        lines = [
            (part, gpu, f"{op},{ms},{gpu},k,,1,{64 * (i + 1)},128,256\n") for i, (part, gpu, ms) in enumerate(rows)
        ]
        for gpu in dict.fromkeys(gpu for part, gpu, _ in lines if part == "train"):
            mine = "".join(line for part, g, line in lines if part == "train" and g == gpu)
            text(data / f"train/collect/{op}/p2.1.0/{gpu}.csv", f"{_NEUSIGHT},B,M,N,K\n{mine}")
        for part in ("train", "test"):
            pooled = "".join(line for p, _, line in lines if p == part)
            text(data / part / f"{op}.csv", f"{_NEUSIGHT},B,M,N,K\n{pooled}")
    head = "OPName,Latency,Device,Kernel Name,B,H,large\n"
    for part, gpu, ms in (("train", "Tesla T4", 0.125), ("test", "NVIDIA L4", 0.5)):
        text(data / part / "ln.csv", f"{head}ln,{ms},{gpu},k,4100,512,True\n")
    for path in ("train/collect/ln.csv", "train/collect/ln/p2.1.0/Tesla T4.csv"):
        text(data / path, f"{head}ln,0.125,Tesla T4,k,4100,512,True\n")
    text(data / "train/collect/add/p2.1.0/Tesla T4.csv", f"{head}add,0.1,Tesla T4,k,10,20,True\n")
    text(data / "train/elem.csv", f"{head}add,0.1,Tesla T4,k,10,20,True\n")
    return root


def zeus(root: Path) -> Path:
    text(
        root / "trace/summary_power_v100.csv",
        "dataset,network,batch_size,optimizer,power_limit,time_per_epoch,average_power\n"
        "imagenet,resnet50,256,adadelta,225,7200,150\nimagenet,resnet50,256,adadelta,100,14400,106\n",
    )
    return root


def accelwattch(root: Path) -> Path:
    text(
        root / "util/hw_power_validation_volta.csv",
        ",mean HW_power,st_dev,var,#samples\nbackprop_k1,200.0,5.0,25.0,5\nsad_k1,100,1,1,5",
    )
    return root


def perfcastdb(root: Path) -> Path:
    columns = {
        "RESULT.WorkloadName": ["Stream", "Stream", "SPECrate2017_int_base"],
        "RESULT.WorkloadPreset": "icc | SSE", "RESULT.TestName": ["Add Bandwidth (NTW) (MB/s)"] * 2 + ["502.gcc_r"],
        "RESULT.Value": [400000.0, 410000.0, 480.5], "SVR.CPU.CPU Model": "Intel(R) Xeon(R) Platinum 8476C",
        "SVR.CPU.Socket(s)": 2, "SVR.CPU.Core(s) per Socket": 48, "SVR.CPU.Thread(s) per Core": 2, "SVR.CPU.NUMA Node(s)": 2,
        "SVR.CPU.Base Frequency": 2.6, "SVR.CPU.Maximum Frequency": 3.8, "SVR.CPU.All-core Maximum Frequency": 3.1,
        "SVR.Power.TDP": 350, "SVR.CPU.L1d Cache": [48, 48, 4.5], "SVR.CPU.L2 Cache": [2048, 2048, 192],
        "SVR.CPU.L3 Cache": [107520, 107520, 210], "SVR.CPU.CPU(s)": 192, "Measure.DIMM.Total": 1024, "Measure.DIMM.Num": 16,
        "Measure.DIMM.Freq": 4800,
        "SVR.Memory.Installed": [
            *["1024GB (16x64GB DDR5 4800 MT/s [4800 MT/s]); 128GB (8x16GB HBM2 3200 MT/s [3200 MT/s])"] * 2,
            "1024GB (16x64GB DDR5 4800 MT/s [4400 MT/s])",
        ],
    }  # fmt: skip
    path = root / "data/raw/SPR/train_data.csv"
    path.parent.mkdir(parents=True)
    pandas.DataFrame(columns).to_csv(path, index=False)
    return root


def energaizer(root: Path) -> Path:
    product = [{"batch": 1, "dimM": 1024, "dimN": 1024, "dimK": 1024, "precM": "bf16"}, ["gemm"]]
    text(root / "test/data/workloads/all/tiny_pbf16_b4_s128_modeprefill.json", json.dumps([product]))
    rows = {
        "a10": "tiny_pbf16_b4_s128_modeprefill_attneager_freq900_iter7.csv,0.75,2.5,900,50\n"
        # 2 · 1024^3 FLOPs in a microsecond are 2147 TFLOP/s.
        "tiny_pbf16_b4_s128_modeprefill_freq900_iter9.csv,0.75,0.001,900,50\n",
        "a100": "net__pfp32_b8_freq900_iter3.csv,3,10,900,60\n",
        "dvfs": "net__pbf16_b8_freq1410_iter3.csv,2.5,10,1300,70\n",
    }
    for folder, lines in rows.items():
        text(
            root / f"test/data/measurements/{folder}/nvml/nvml_parsed.csv",
            f"workload,energy,time,avg_freq,temp\n{lines}",
        )
    return root


GEMM_SPACE = {
    "128,64": {"MWG": 128, "NWG": 64, "KWG": 32, "time": 5.5, "times": [5.0, 6.0]},
    "16,16": {"MWG": 16, "NWG": 16, "KWG": 32, "time": "CompilationFailedConfig"},
    "32,16": {"MWG": 32, "NWG": 16, "KWG": 32, "time": {"__error__": "RuntimeFailedConfig"}},
}


def benchmark_hub(root: Path) -> Path:
    cache = {"device_name": "NVIDIA GeForce RTX 3090", "kernel_name": "Xgemm", "cache": GEMM_SPACE}
    path = root / "cachefiles/gemm/RTX_3090.json.gz"
    path.parent.mkdir(parents=True)
    path.write_bytes(gzip.compress(json.dumps(cache).encode()))
    # The same once more in another format, which is not read.
    text(root / "cachefiles/gemm/RTX_3090_T4.json", "{}")
    parquet(
        root / "cachefiles_convolution_milo_A100.parquet", block_size_x=[16, 32], tile_size_x=[1, 2],
        time=["3.5", "RuntimeFailedConfig"],
    )  # fmt: skip
    return root


GPPERF_COLUMNS = (
    "Timestamp,M,N,K,Kernel Name,Layout,Blocksize1,Blocksize2,Blocksize3,Stage,Combination Type,Alpha,Beta,Runtime,Power,"
    "Clock SM,Clocks Mem,Temp,GPU Util,Mem Util,GPU Name,Compute Cap,Energy,TFlops"
)


def gpperf(root: Path) -> Path:
    """Ten rows: eight shapes, one without a time, one of time 0."""
    lines = [GPPERF_COLUMNS]
    for index in range(10):
        runtime = {8: "", 9: "0"}.get(index, str(0.5 * (index + 1)))
        lines.append(
            f"17313728{index:02},512,1024,{256 * (index + 1)},cutlass_simt_sgemm_128x128_8x2_nn_align1,nn,128,64,32,2,"
            f"linear_combination,1,0.5,{runtime},70, 2760, 10251, 47, 100, 0,NVIDIA GeForce RTX 4070,8.9,.003,6168"
        )
    text(root / "results.csv", "\n".join(lines) + "\n")
    return root


_SETS = (
    accelwattch, aiconfigurator, benchmark_hub, energaizer, gpperf, neusight, neusight_models, perfcastdb, zeus,
)  # fmt: skip
ALL = {f.__name__: f for f in _SETS}
