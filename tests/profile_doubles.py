"""Files as profilers and tuners write them. All are synthesised from the documented formats: no tool wrote them."""

from __future__ import annotations

import json
from typing import Any

# ------------------------------------------------------------------------------------------------ oneDNN, Kernel Tuner
VERBOSE = """some program's own line
onednn_verbose,v1,info,oneDNN v3.5.0 (commit 0)
onednn_verbose,v1,primitive,create:cache_miss,cpu,matmul,brg:avx512_core,undef,src_f32::blocked:ab::f0 wei_f32::blocked:ab::f0 dst_f32::blocked:ab::f0,,,128x256:256x512,9.9
loss 0.3 onednn_verbose,v1,primitive,exec,cpu,matmul,brg:avx512_core,undef,src_f32::blocked:ab::f0 wei_f32::blocked:ab::f0 dst_f32::blocked:ab::f0,,,128x256:256x512,0.42
onednn_verbose,v1,primitive,exec,cpu,matmul,brg:avx512_core,undef,src_f32::blocked:ab::f0 wei_f32::blocked:ab::f0 dst_f32::blocked:ab::f0,,,128x256:256x512,0.44
onednn_verbose,v1,primitive,exec,cpu,matmul,brg:avx512_core_amx,undef,src:bf16::blocked:abc::f0 wei:bf16::blocked:abc::f0 dst:bf16::blocked:abc::f0,attr-scratchpad:user,,12x64x32:1x32x48:12x64x48,0.05
onednn_verbose,exec,cpu,convolution,jit:avx512_core,forward_inference,src_f32::blocked:aBcd16b:f0 wei_f32::blocked:Acdb16a:f0 bia_f32::blocked:a:f0 dst_f32::blocked:aBcd16b:f0,attr-post-ops:eltwise_relu ,alg:convolution_direct,mb8_ic3oc64_ih224oh112kh7sh2dh0ph3_iw224ow112kw7sw2dw0pw3,1.5
onednn_verbose,exec,cpu,convolution,jit_dw:avx512_core,forward_inference,src_u8::x wei_s8::x dst_u8::x,,alg:convolution_direct,mb1_g32ic32oc32_ih56oh56kh3sh1dh1ph2_iw56ow56kw3sw1dw1pw2,0.2
onednn_verbose,exec,cpu,convolution,jit:avx512_core,forward_training,src_f32::x wei_f32::x dst_f32::x,,alg:convolution_direct,mb2_ic16oc16_iw100ow100kw3sw1dw0pw1,0.01
onednn_verbose,v1,primitive,exec,cpu,inner_product,brg:avx512_core,forward_inference,src_f32::x wei_f32::x dst_f32::x,,,mb32ic512ih7iw7oc1000,0.9
onednn_verbose,v1,primitive,exec,cpu,softmax,jit:avx512_core,forward_inference,src_f32::x dst_f32::x,,alg:softmax_accurate axis:1,128x1000,0.03
onednn_verbose,v1,primitive,exec,cpu,eltwise,jit:avx512_core,forward_inference,data_f32::x diff_undef::undef,,alg:eltwise_relu alpha:0 beta:0,2x64x56x56,0.02
onednn_verbose,v1,primitive,exec,cpu,eltwise,jit:avx512_core,forward_inference,src_f32::x dst_f32::x,,alg:eltwise_gelu_tanh alpha:0 beta:0,2x100,0.02
onednn_verbose,v1,primitive,exec,cpu,reorder,jit:uni,undef,src_f32::blocked:abcd::f0 dst_f32::blocked:aBcd16b::f0,,,8x64x56x56,0.3
onednn_verbose,v1,primitive,exec,cpu,convolution,jit:avx512_core,backward_data,src_f32::x wei_f32::x dst_f32::x,,alg:convolution_direct,mb2_ic16oc16_ih8oh8kh3sh1dh0ph1_iw8ow8kw3sw1dw0pw1,0.5
onednn_verbose,v1,primitive,exec,cpu,matmul,brg:avx512_core,undef,src_f32::x wei_f32::x dst_f32::x,,,128x256:255x512,0.4
onednn_verbose,v1,primitive,exec,cpu,matmul,brg:avx512_core,undef,src_f32::x wei_f32::x dst_f32::x,,,8x8:8x8,0
onednn_verbose,v1,primitive,exec,cpu
"""  # noqa: E501 - a line of the log is a line
CACHE = {
    "device_name": "Synthesised GPU",
    "kernel_name": "Xgemm",
    "problem_size": [4096, 4096],
    "tune_params_keys": ["MWG", "VWM", "method"],
    "tune_params": {"MWG": [16, 32], "VWM": [1, 2], "method": ["a"]},
    "objective": "time",
    "cache": {
        "16,1,a": {"MWG": 16, "VWM": 1, "method": "a", "time": 12.5, "times": [12.4, 12.5, 12.6], "timestamp": "x"},
        "16,2,a": {"MWG": 16, "VWM": 2, "method": "a", "time": "CompilationFailedConfig"},
        "32,1,a": {"MWG": 32, "VWM": 1, "method": "a", "time": 7.0},
    },
}


# ------------------------------------------------------------------------------------------------ Chrome traces
def call(
    name: str, ts: float, dur: float, dims: Any = (), values: Any = (), external: int | None = None, kind: str = "float"
) -> dict[str, Any]:
    arguments: dict[str, Any] = {
        "Input Dims": list(dims),
        "Input type": [kind] * len(dims),
        "Concrete Inputs": list(values),
    }
    if external is not None:
        arguments["External id"] = external
    return {"ph": "X", "cat": "cpu_op", "name": name, "pid": 1, "tid": 1, "ts": ts, "dur": dur, "args": arguments}


def kernel(name: str, dur: float, external: int) -> dict[str, Any]:
    arguments = {"External id": external, "stream": 7}
    return {"ph": "X", "cat": "kernel", "name": name, "pid": 0, "tid": 7, "ts": 5000, "dur": dur, "args": arguments}


CONVOLUTION = ["", "", "", "[2, 2]", "[3, 3]", "[1, 1]", "False", "[0, 0]", "1"]

# ------------------------------------------------------------------------------------------------ Nsight, CUTLASS, TVM
RANGE = "gemm m=128 n=256 k=64 dtype=bf16"
TILE = "void cutlass::Kernel2<cutlass_80_tensorop_bf16_s16816gemm_bf16_256x128_32x3_tn_align8>(T1::Params)"

KERN_SUM = f"""Generating SQLite file report.sqlite from report.nsys-rep
Processing [report.sqlite] with [cuda_gpu_kern_sum.py]...

 ** CUDA GPU Kernel Summary (cuda_gpu_kern_sum):
Time (%),Total Time (ns),Instances,Avg (ns),Med (ns),Min (ns),Max (ns),StdDev (ns),Name
60.0,10000,10,1000.0,990.0,900,1100,50.0,"{RANGE}:{TILE}"
20.0,4000,2,2000.0,2000.0,1900,2100,100.0,ampere_sgemm_128x64_tn
20.0,4000,2,2000.0,2000.0,1900,2100,100.0,"triton_red_fused_mean_0d1d"

Time (%),Total Time (ns),Num Calls,Avg (ns),Med (ns),Min (ns),Max (ns),StdDev (ns),Name
90.0,99,9,11,11,11,11,0.0,cudaLaunchKernel
"""
GPU_TRACE = f"""Start (us),Duration (us),CorrId,GrdX,GrdY,GrdZ,BlkX,BlkY,BlkZ,Reg/Trd,Device,Ctx,Strm,Name
1,2.5,1,1,1,1,128,1,1,32,A100,1,7,{RANGE}/kernel_a
9,3.5,2,1,1,1,128,1,1,32,A100,1,7,{RANGE}/kernel_a
20,7,3,,,,,,,,A100,1,7,[CUDA memcpy HtoD]
"""
NCU = f"""==PROF== Connected to process 17
==PROF== Profiling "gemm" - 0: 0%....50%....100% - 9 passes
"ID","Process ID","Process Name","Host Name","Kernel Name","Context","Stream","Section Name","Metric Name","Metric Unit","Metric Value"
"0","17","python","localhost","{RANGE}","1","7","GPU Speed Of Light Throughput","DRAM Frequency","cycle/nsecond","1.21"
"0","17","python","localhost","{RANGE}","1","7","GPU Speed Of Light Throughput","Duration","usecond","1,234.5"
"1","17","python","localhost","ampere_sgemm_128x64_tn","1","7","GPU Speed Of Light Throughput","Duration","usecond","3"
"2","17","python","localhost","norm kind=layernorm rows=8 cols=512 dtype=fp16","1","7","","Duration","msecond","0.5"
"""  # noqa: E501 - a header is a line
NCU_RAW = f""""ID","Process ID","Kernel Name","Context","gpu__time_duration.sum","sm__cycles_elapsed.max"
"","","","","ns","cycle"
"0","17","{RANGE}","1","2,000","3,000"
"""
CUTLASS = """
=============================
CSV Results:

Problem,Provider,OperationKind,Operation,Disposition,Status,gemm_kind,m,n,k,A,B,C,D,alpha,beta,split_k_slices,batch_count,op_class,accum,cta_m,cta_n,cta_k,stages,min_cc,Bytes,Flops,Runtime,GB/s,GFLOPs
1,CUTLASS,gemm,cutlass_tensorop_s16816gemm_f16_128x256_32x3,passed,success,universal,512,768,1024,f16:column,f16:row,f32:column,f32:column,1,0,1,2,tensorop,f32,128,256,32,3,80,1,1,0.25,1,1
1,CUTLASS,gemm,cutlass_tensorop_s1688tf32gemm_256x128_16x3,not_verified,success,universal,8,16,32,f32:column,f32:row,f32:column,f32:column,1,0,1,1,tensorop,f32,256,128,16,3,80,1,1,0.5,1,1
2,CUTLASS,gemm,cutlass_simt_sgemm_128x128_8x2,incorrect,success,universal,8,16,32,f32:column,f32:row,f32:column,f32:column,1,0,1,1,simt,f32,128,128,8,2,50,1,1,0.5,1,1
3,CUTLASS,gemm,cutlass_simt_sgemm_128x64_8x2,not_run,error_invalid_problem,universal,8,16,32,f32:column,f32:row,f32:column,f32:column,1,0,1,1,simt,f32,128,64,8,2,50,1,1,0,1,1
4,CUTLASS,spgemm,cutlass_tensorop_spgemm,passed,success,spgemm,8,16,32,f16:row,f16:row,f16:row,f16:row,1,0,1,1,tensorop,f32,128,64,8,2,80,1,1,0.1,1,1
5,CUTLASS,gemm,cutlass_z,passed,success,universal,8,16,32,cf32:row,cf32:row,cf32:row,cf32:row,1,0,1,1,simt,f32,128,64,8,2,50,1,1,0.1,1,1
6,CUTLASS,gemm,cutlass_g,passed,success,grouped,8,16,32,f16:row,f16:row,f16:row,f16:row,1,0,1,1,simt,f32,128,64,8,2,50,1,1,0.1,1,1

Problem,Provider,OperationKind,Operation,Disposition,Status,conv_kind,n,h,w,c,k,r,s,p,q,pad_h,pad_w,stride_h,stride_w,dilation_h,dilation_w,Activation,Filter,Output,op_class,Bytes,Flops,Flops/Byte,Runtime,GB/s,GFLOPs
1,CUTLASS,conv2d,cutlass_tensorop_s1688fprop,passed,success,fprop,8,224,112,3,64,7,5,112,56,3,2,2,1,1,1,f16:nhwc,f16:nhwc,f32:nhwc,tensorop,1,1,1,3,1,1
1,CUTLASS,conv2d,cutlass_tensorop_s1688dgrad,passed,success,dgrad,8,224,112,3,64,7,5,112,56,3,2,2,1,1,1,f16:nhwc,f16:nhwc,f32:nhwc,tensorop,1,1,1,3,1,1
"""
AUTOTVM = """{"input": ["cuda", "dense_small_batch.gpu", [["TENSOR", [4, 512], "float16"], ["TENSOR", [1000, 512], "float16"], null, "float16"], {}], "config": {"index": 3, "code_hash": null, "entity": [["tile_k", "sp", [-1, 64]], ["unroll", "ot", 4]]}, "result": [[0.002, 0.004], 0, 1.5, 1700000000.0], "version": 0.2, "tvm_version": "0.14.0"}
{"input": ["cuda", "conv2d_nchw.cuda", [["TENSOR", [1, 3, 224, 112], "float32"], ["TENSOR", [64, 3, 7, 5], "float32"], [2, 1], [3, 2, 3, 2], [1, 1], "float32"], {}], "config": {"index": 3, "entity": []}, "result": [[1000000000.0], 4, 1.5, 1700000000.0], "version": 0.2}
{"input": ["llvm", "depthwise_conv2d_NCHWc.x86", [["TENSOR", [2, 4, 56, 56, 8], "float32"], ["TENSOR", [4, 1, 3, 3, 1, 8], "float32"], [1, 1], [1, 1], [1, 1], "NCHW8c", "NCHW8c", "float32"], {}], "config": {"index": 3, "entity": []}, "result": [[0.001], 0, 1.5, 1700000000.0], "version": 0.2}
{"input": ["cuda", "conv2d_nhwc.cuda", [["TENSOR", [2, 28, 14, 16], "int8"], ["TENSOR", [3, 1, 16, 32], "int8"], [1, 1], 0, 1, "int32"], {}], "config": {"entity": []}, "result": [[0.003], 0, 1, 1], "version": 0.2}
{"input": ["cuda", "batch_matmul.cuda", [["TENSOR", [12, 64, 32], "float32"], ["TENSOR", [12, 48, 32], "float32"]], {}], "config": {"entity": []}, "result": [[0.003], 0, 1, 1], "version": 0.2}
{"input": ["cuda", "correlation_nchw.cuda", [["TENSOR", [12, 64, 32, 2], "float32"]], {}], "config": {"entity": []}, "result": [[0.003], 0, 1, 1], "version": 0.2}
{"input": ["cuda", "conv2d_nchw.cuda", [["TENSOR", [1, 3, 8, 8], "float32"], ["TENSOR", [4, 3, 3, 3], "float32"], [1, 1], [0, 0, 1, 1], [1, 1], "float32"], {}], "config": {"entity": []}, "result": [[0.003], 0, 1, 1], "version": 0.2}
{"i": ["cuda", "dense", [[4, 8, "float32"], [16, 8, "float32"]], {}, ["dense"], {"i": 1, "t": "direct", "c": null, "e": [["tile_k", "sp", [-1, 8]]]}], "r": [[0.001], 0, 1, 1], "v": 0.1}
{"input": ["cuda", "dense_sma"""  # noqa: E501 - a record is a line; the last is cut off


def meta_record(block: str, *tensors: list[int], seconds: list[float] | None, extra: str = "update") -> str:
    trace = [[["GetBlock", [], [block, "main"], ["b0"]], ["GetBlock", [], [extra, "main"], ["b1"]]], []]
    return json.dumps([0, [trace, seconds, {"kind": "cuda"}, [["TENSOR", "float16", t] for t in tensors]]]) + "\n"


META = (
    meta_record("T_matmul_NT", [128, 64], [256, 64], [128, 256], seconds=[0.002, 0.001, 0.003])
    + meta_record("T_batch_matmul_NN", [4, 16, 8], [4, 8, 32], [4, 16, 32], seconds=None)
    + meta_record("conv2d_nchw", [1, 3, 8, 8], [4, 3, 3, 3], [1, 4, 6, 6], seconds=[0.1])
    + meta_record("matmul", [128, 64], [65, 256], [128, 256], seconds=[0.1])
    + meta_record("matmul", [8, 4], [4, 16], [8, 16], seconds=[1e10], extra="x")
    + "[1, [[["
)
FILES = {
    "kern_sum.csv": (KERN_SUM, "nsight-systems"), "trace.csv": (GPU_TRACE, "nsight-systems"),
    "ncu.csv": (NCU, "nsight-compute"), "raw.csv": (NCU_RAW, "nsight-compute"),
    "cutlass.csv": (CUTLASS, "cutlass-profiler"), "tune.log": (AUTOTVM, "autotvm"),
    "database_tuning_record.json": (META, "tvm-meta-schedule"),
}  # fmt: skip
