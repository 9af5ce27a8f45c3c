"""Importers of traces. Every file here is synthesised from the documented format; no tool wrote it."""

from __future__ import annotations

import gzip
import json
from pathlib import Path
from typing import Any

import pytest
from profile_doubles import CACHE, CONVOLUTION, VERBOSE, call, kernel

from perfmodel import Conv, Gemm
from perfmodel.collect.importers import chrome
from perfmodel.collect.importers import rows as rows_module
from perfmodel.collect.importers.chrome import read_chrome
from perfmodel.collect.importers.kernel_tuner import read_kernel_tuner
from perfmodel.collect.importers.onednn import read_onednn
from perfmodel.collect.importers.rows import Imported, Rows
from perfmodel.datasets.schema import check_traces
from perfmodel.errors import TraceError

pandas = pytest.importorskip("pandas", reason="traces need the extra train")


def rows(found: Imported) -> list[dict[str, Any]]:
    """The rows without what they lack, after a check against the schema."""
    table = pandas.DataFrame(found.columns)
    check_traces(table, "imported")
    assert len(found) == len(table)
    return [{k: v for k, v in row.items() if v is not None and v == v} for row in table.to_dict("records")]


def part(row: dict[str, Any], *names: str) -> tuple[Any, ...]:
    return tuple(row.get(name) for name in names)


# ------------------------------------------------------------------------------------------------ oneDNN


def test_onednn(tmp_path: Path) -> None:
    path = tmp_path / "verbose.log"
    path.write_text(VERBOSE)
    found = read_onednn(path, "local-cpu", "onednn-3.5")
    got = rows(found)
    assert [row["op"] for row in got] == [
        "gemm",
        "gemm",
        "conv",
        "conv",
        "conv",
        "gemm",
        "softmax",
        "elementwise",
        "elementwise",
    ]
    gemm, batched, conv, depthwise, line, inner, softmax, relu, gelu = got
    assert part(gemm, "m", "n", "k", "batch", "dtype", "kernel") == (128, 512, 256, 1, "fp32", "matmul:brg:avx512_core")
    assert gemm["latency_s"] == pytest.approx(0.43e-3)  # of two calls; making the primitive is none
    assert gemm["samples"] == 2
    assert part(batched, "batch", "m", "n", "k", "dtype") == (12, 64, 48, 32, "bf16")
    assert part(conv, "batch", "c_in", "c_out", "h", "w", "kernel_h", "stride_w", "pad_h", "dilation_h", "groups") == (
        8, 3, 64, 224, 224, 7, 2, 3, 1, 1,
    )  # fmt: skip
    assert part(depthwise, "c_in", "groups", "dilation_h", "dilation_w", "dtype") == (32, 32, 2, 2, "int8")
    assert part(line, "h", "w", "kernel_h", "kernel_w", "pad_h", "pad_w") == (1, 100, 1, 3, 0, 1)
    assert part(inner, "m", "n", "k") == (32, 1000, 512 * 7 * 7)
    assert part(softmax, "rows", "cols") == (128, 1000)
    assert part(relu, "kind", "elements", "inputs") == ("relu", 2 * 64 * 56 * 56, 1)
    assert part(gelu, "kind", "elements", "inputs") == ("gelu_tanh", 200, 1)
    assert found.passed_over == {
        "reorder": 1, "convolution": 1, "matmul of another form": 1, "lines without a time": 1, "lines of another form": 1,
    }  # fmt: skip


def product(source: str, weights: str, attributes: str = "") -> str:
    """A line of 8 rows of 256 by 256 columns of 512."""
    return (
        f"onednn_verbose,v1,primitive,exec,cpu,matmul,brg:avx512_core,undef,src:{source}::blocked:ab::f0 "
        f"wei:{weights}::blocked:ab::f0 dst:{source}::blocked:ab::f0,{attributes},,8x256:256x512,0.5\n"
    )


@pytest.mark.parametrize(
    ("source", "weights", "attributes", "dtype"),
    [
        ("bf16", "s8", "attr-fpmath:bf16:true", "w8a16"),
        ("f32", "u8", "", "w8a32"),
        # 256 terms share a scale where no group is written; 128 is the usual group, which the name leaves out.
        ("bf16", "s4", "attr-fpmath:bf16:true", "w4a16_g256"),
        (
            "f16",
            "u4",
            "attr-scales:src:0+wei:3:f16:128x1 attr-zero-points:wei:3:u4:128x1 attr-fpmath:f16:true",
            "w4a16",
        ),
        ("u8", "s8", "attr-scales:src:0:f32+wei:2:f32", "int8"),
        ("s8", "s4", "", "int8"),
        ("bf16", "bf16", "attr-fpmath:bf16", "bf16"),
        ("f32", "f32", "attr-fpmath:strict", "fp32"),
    ],
)
def test_onednn_formats_of_products(tmp_path: Path, source: str, weights: str, attributes: str, dtype: str) -> None:
    (tmp_path / "log").write_text(product(source, weights, attributes))
    (row,) = rows(read_onednn(tmp_path / "log", "local-cpu", "onednn-3.5"))
    assert part(row, "m", "n", "k", "dtype") == (8, 512, 256, dtype)


@pytest.mark.parametrize(
    ("source", "weights", "attributes", "why"),
    [
        ("f32", "f32", "attr-fpmath:bf16", "of f32 under fpmath:bf16: which arithmetic was used, it does not say"),
        ("f32", "s8", "attr-fpmath:any:true", "of f32 under fpmath:any: which"),
        ("bf16", "s2", "", "of operands whose product has no format here"),
        ("f32", "bf16", "", "of operands whose product has no format here"),
        ("f8_e4m3", "bf16", "", "of operands whose product has no format here"),
    ],
)
def test_onednn_products_without_a_format(tmp_path: Path, source: str, weights: str, attributes: str, why: str) -> None:
    (tmp_path / "log").write_text(product(source, weights, attributes))
    with pytest.raises(TraceError, match=f"matmul {why}"):
        read_onednn(tmp_path / "log", "local-cpu", "onednn-3.5")


def test_onednn_products_with_more_in_their_kernel_are_other_kernels(tmp_path: Path) -> None:
    after = "attr-scratchpad:user attr-post-ops:eltwise_relu+binary_add:f32:2"
    (tmp_path / "log").write_text(product("f32", "f32") + product("f32", "f32", after))
    found = read_onednn(tmp_path / "log", "local-cpu", "onednn-3.5").columns
    bare = "matmul:brg:avx512_core"
    assert found["kernel"] == [bare, f"{bare}+eltwise_relu+binary_add:f32:2"]


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("hello\n", "holds no operator that is understood$"),
        ("onednn_verbose,exec,cpu,reorder,x,undef,src_f32::x,,,8x8,0.3\n", r"understood: reorder \(1\)"),
        ("onednn_verbose,exec,cpu,matmul,x,undef,src_f32:: wei_f32::,,,axb,0.3\n", r"matmul of another form \(1\)"),
    ],
)
def test_onednn_without_a_row(tmp_path: Path, text: str, message: str) -> None:
    (tmp_path / "log").write_text(text)
    with pytest.raises(TraceError, match=message):
        read_onednn(tmp_path / "log", "local-cpu", "onednn")


# ------------------------------------------------------------------------------------------------ Kernel Tuner
GEMM = Gemm(m=4096, n=4096, k=4096, dtype="fp32")


def test_kernel_tuner(tmp_path: Path) -> None:
    path = tmp_path / "cache.json"
    path.write_text(json.dumps(CACHE))
    found = read_kernel_tuner(path, GEMM, "rtx-3090", "clblast-1.6")
    table = pandas.DataFrame(found.columns)
    check_traces(table, "imported")
    assert list(table["latency_s"].fillna(-1)) == [pytest.approx(0.0125), -1, pytest.approx(0.007)]
    assert list(table["status"]) == ["ok", "compilation failed", "ok"]
    assert list(table["cfg_MWG"]) == [16, 16, 32]
    assert list(table["cfg_method"]) == ["a"] * 3
    assert table["samples"].fillna(0).tolist() == [3, 0, 0]
    assert set(table["kernel"]) == {"Xgemm"}
    assert set(table["m"]) == {4096}


@pytest.mark.parametrize("end", ["", ",", ",\n"])
def test_kernel_tuner_is_not_done(tmp_path: Path, end: str) -> None:
    path = tmp_path / "cache.json"
    path.write_text(json.dumps(CACHE)[:-2] + end)
    assert len(read_kernel_tuner(path, GEMM, "rtx-3090", "clblast-1.6")) == 3


def test_a_kernel_tuner_cache_that_was_cut_off_anywhere(tmp_path: Path) -> None:
    path, text = tmp_path / "cache.json", json.dumps(CACHE)
    begin = text.index('"16,1,a"')
    for cut in range(text.index('"16,2,a"'), len(text)):
        path.write_text(text[:cut])
        found = read_kernel_tuner(path, GEMM, "rtx-3090", "clblast-1.6")
        whole = 3 if cut >= len(text) - 2 else 2 if cut > text.index('"32,1,a"') - 3 else 1
        assert len(found) == whole, text[begin:cut]


def test_failures_of_older_kernel_tuners_are_no_times(tmp_path: Path) -> None:
    old = {**CACHE, "cache": {"16,1,a": {"MWG": 16, "VWM": 1, "method": "a", "time": 1e20}}}
    (tmp_path / "c.json").write_text(json.dumps(old))
    (row,) = rows(read_kernel_tuner(tmp_path / "c.json", GEMM, "a10", "x"))
    assert part(row, "latency_s", "status") == (None, "failed")


@pytest.mark.parametrize(
    ("content", "message"),
    [
        ('{"results": [], "metadata": {}}', "results in the T4 format; wanted the cache file"),
        ("[]", "it is no JSON object"),
        ("{", "it is no JSON object"),
        ('{"cache": {}}', "wanted tune_params_keys and cache"),
        ('{"tune_params_keys": [], "cache": {}}', "holds no configuration"),
        ('{"tune_params_keys": ["a"], "cache": {"1": {"b": 1}}}', "configuration '1': wanted the parameters a"),
        ('{"tune_params_keys": ["a"], "cache": {"1": {"a": 1, "time": -1}}}', "configuration '1': time is -1; wanted"),
        ('{"tune_params_keys": ["a"], "cache": {"1": {"a": 1}}}', "configuration '1': time is None; wanted"),
    ],
)
def test_kernel_tuner_files_that_are_none(tmp_path: Path, content: str, message: str) -> None:
    (tmp_path / "c.json").write_text(content)
    with pytest.raises(TraceError, match=message):
        read_kernel_tuner(tmp_path / "c.json", GEMM, "a10", "x")


# ------------------------------------------------------------------------------------------------ Chrome traces
def trace(tmp_path: Path, *events: dict[str, Any]) -> Path:
    path = tmp_path / "trace.json"
    path.write_text(json.dumps({"schemaVersion": 1, "traceEvents": [{"ph": "M", "name": "process_name"}, *events]}))
    return path


def test_chrome_on_a_processor(tmp_path: Path) -> None:
    path = trace(
        tmp_path,
        call("aten::linear", 0, 100, [[32, 256], [512, 256], [512]]),
        call("aten::addmm", 10, 80, [[512], [32, 256], [256, 512], [], []]),
        call("aten::linear", 200, 100, [[32, 256], [512, 256], [512]]),
        call("aten::addmm", 210, 90, [[512], [32, 256], [256, 512], [], []]),
        call("aten::bmm", 400, 40, [[8, 16, 64], [8, 64, 128]], kind="c10::BFloat16"),
        call("aten::convolution", 500, 70, [[8, 3, 224, 224], [64, 3, 7, 7], [64]], CONVOLUTION),
        call("aten::_softmax", 600, 5, [[4, 12, 128, 128], [], []], ["", "-1", "False"]),
        call("aten::native_layer_norm", 610, 6, [[32, 128, 768], [], [768], [768], []], ["", "[768]", "", "", "1e-05"]),
        call("aten::mul", 620, 7, [[32, 128], [128]]),
        call("aten::mm", 630, 7, [[2, 3], [4, 5]]),
        call("aten::mm", 640, 7, [[2, 3], [3, 5]], kind="long int"),
    )
    found = read_chrome(path, "local-cpu", "torch-2.9.0")
    gemm, batched, conv, softmax, norm, mul = rows(found)
    assert part(gemm, "m", "n", "k", "dtype", "samples", "kernel") == (32, 512, 256, "fp32", 2, "aten::addmm")
    assert gemm["latency_s"] == pytest.approx(85e-6)
    assert part(batched, "batch", "m", "n", "k", "dtype") == (8, 16, 128, 64, "bf16")
    assert part(conv, "c_in", "c_out", "h", "kernel_h", "stride_h", "pad_w", "groups") == (3, 64, 224, 7, 2, 3, 1)
    assert part(softmax, "rows", "cols") == (4 * 12 * 128, 128)
    assert part(norm, "kind", "rows", "cols") == ("layernorm", 32 * 128, 768)
    assert part(mul, "kind", "elements", "inputs", "input_elements") == ("mul", 32 * 128, 1, 32 * 128 + 128)
    assert found.passed_over == {"aten::mm of another form": 2}


def test_chrome_on_a_gpu(tmp_path: Path) -> None:
    path = trace(
        tmp_path,
        call("aten::mm", 0, 20, [[64, 64], [64, 64]], external=1, kind="c10::Half"),
        kernel("gemm_64x64", 8.0, 1),
        kernel("splitk_reduce", 2.0, 1),
        # The kernels of a convolution are launched by an operator within it.
        call("aten::convolution", 100, 50, [[1, 8, 32, 32], [8, 8, 3, 3], []], CONVOLUTION, external=2),
        call("aten::cudnn_convolution", 110, 30, [[1, 8, 32, 32], [8, 8, 3, 3]], external=3),
        kernel("implicit_gemm", 31.0, 3),
        call("aten::mm", 200, 20, [[2, 2], [2, 2]], external=9),
    )
    found = read_chrome(path, "h100-sxm", "torch-2.9.0")
    gemm, conv = rows(found)
    assert part(gemm, "dtype", "kernel") == ("fp16", "gemm_64x64")
    assert gemm["latency_s"] == pytest.approx(10e-6)
    assert part(conv, "kernel", "c_out") == ("implicit_gemm", 8)
    assert conv["latency_s"] == pytest.approx(31e-6)
    assert found.passed_over == {"aten::mm that launched no kernel": 1}


def test_traces_of_the_other_kind_of_device_are_refused(tmp_path: Path) -> None:
    product = call("aten::mm", 0, 20, [[64, 64], [64, 64]], external=1)
    with pytest.raises(TraceError, match=r"no kernels .*, and h100-sxm is a gpu: profile with ProfilerActivity\.CUDA$"):
        read_chrome(trace(tmp_path, product), "h100-sxm", "torch-2.9.0")
    with pytest.raises(TraceError, match="holds kernels of a GPU, and local-cpu is a cpu"):
        read_chrome(trace(tmp_path, product, kernel("gemm", 8.0, 1)), "local-cpu", "torch-2.9.0")


@pytest.mark.parametrize(
    ("dims", "kinds", "elements", "inputs", "input_elements"),
    [
        ([[64, 32], [64, 32], []], ("float", "float", "Scalar"), 2048, 2, None),  # the last is alpha
        ([[64, 1], [1, 32], []], ("float", "float", "Scalar"), 2048, 0, 64 + 32),
        ([[64, 32], [32]], ("float", "float"), 2048, 1, 2048 + 32),
        ([[32], [64, 32]], ("float", "float"), 2048, 1, 2048 + 32),
        ([[64, 32], []], ("float", "double"), 2048, 1, None),  # x * 0.5
        ([[], [64, 32]], ("double", "c10::Half"), 2048, 1, None),
        ([[], []], ("float", "float"), 1, 2, None),
    ],
)
def test_operands_that_broadcast(
    tmp_path: Path, dims: Any, kinds: Any, elements: int, inputs: int, input_elements: int | None
) -> None:
    event = call("aten::mul", 0, 5, dims)
    event["args"]["Input type"] = list(kinds)
    (row,) = rows(read_chrome(trace(tmp_path, event), "local-cpu", "torch"))
    assert part(row, "elements", "inputs", "input_elements") == (elements, inputs, input_elements)
    assert row["dtype"] == ("fp16" if "c10::Half" in kinds else "fp32")


def test_operands_of_one_shape_in_two_formats_are_no_row(tmp_path: Path) -> None:
    mixed = call("aten::add", 0, 5, [[64, 32], [64, 32], []])
    mixed["args"]["Input type"] = ["c10::BFloat16", "float", "Scalar"]
    found = read_chrome(trace(tmp_path, mixed, call("aten::add", 10, 3, [[5, 5], [5, 5], []])), "local-cpu", "torch")
    assert [row["elements"] for row in rows(found)] == [25]
    assert found.passed_over == {"aten::add of another form": 1}


@pytest.mark.parametrize(
    ("dims", "kinds"),
    [
        ([[64, 3], [64, 2]], ("float", "float")),
        ([[64], [64]], ("float", "c10::Half")),
        ([[0], [1]], ("float", "float")),
    ],
)
def test_operands_that_are_no_descriptor(tmp_path: Path, dims: Any, kinds: Any) -> None:
    event = call("aten::mul", 0, 5, dims)
    event["args"]["Input type"] = list(kinds)
    with pytest.raises(TraceError, match=r"aten::mul of another form \(1\)"):
        read_chrome(trace(tmp_path, event), "local-cpu", "torch")


def test_long_traces_are_looked_at_once() -> None:
    """Each of 300 operators, one after the other, looks at itself alone."""
    looked_at = []

    class Calls(list[chrome.Call]):
        def __getitem__(self, place: Any) -> Any:
            found = super().__getitem__(place)
            looked_at.append(len(found) if isinstance(place, slice) else 1)
            return found

    found = Rows({"device": "h100-sxm", "software": "torch", "source": "x"})
    calls = [chrome.Call("aten::relu", 20.0 * i, 20.0 * i + 10, i, [[8]], ["float"], [""]) for i in range(300)]
    chrome._add(found, Calls(calls), {i: [("k", 1e-6)] for i in range(300)})
    assert found.imported("x").columns["samples"] == [300]
    assert sum(looked_at) == 300


def test_kernels_that_bear_their_correlation_alone(tmp_path: Path) -> None:
    alone = {**kernel("Cijk_Ailk", 9.0, 0), "args": {"correlation": 77}}
    launch = {"ph": "X", "cat": "cuda_runtime", "name": "hipLaunchKernel", "ts": 5, "dur": 1,
              "args": {"correlation": 77, "external id": 4}}  # fmt: skip
    path = trace(
        tmp_path, call("aten::mm", 0, 20, [[8, 8], [8, 8]], external=4), launch, alone,
        {**alone, "args": {"correlation": 78}}, {**alone, "args": {"correlation": [1]}},
    )  # fmt: skip
    (gemm,) = rows(read_chrome(path, "mi300x", "torch-2.9.0"))
    assert part(gemm, "kernel", "m") == ("Cijk_Ailk", 8)
    assert gemm["latency_s"] == pytest.approx(9e-6)


def test_attention_of_every_backend(tmp_path: Path) -> None:
    q, k = [2, 32, 128, 64], [2, 8, 128, 64]
    cpu = ["", "", "", "0.", "True", "", ""]
    efficient = ["", "", "", "", "False", "0.", "False", ""]
    path = trace(
        tmp_path,
        call("aten::_scaled_dot_product_flash_attention_for_cpu", 0, 5, [q, k, k], cpu),
        call("aten::_scaled_dot_product_efficient_attention", 10, 6, [q, k, k], efficient),
        call("aten::_scaled_dot_product_cudnn_attention", 20, 7, [[2, 32, 1, 64], k, k], efficient),
        # is_causal counts from the first key, the descriptor's mask from the last.
        call("aten::_scaled_dot_product_flash_attention", 30, 7, [[2, 32, 64, 64], k, k], cpu),
    )
    found = read_chrome(path, "local-cpu", "torch")
    prefill, encoder, decode = rows(found)
    assert part(prefill, "phase", "batch", "q_len", "kv_len", "heads", "kv_heads", "head_dim", "causal") == (
        "prefill", 2, 128, 128, 32, 8, 64, True,
    )  # fmt: skip
    assert part(encoder, "phase", "causal") == ("encoder", False)
    assert part(decode, "phase", "q_len", "kv_len") == ("decode", 1, 128)
    assert sum(found.passed_over.values()) == 1


def test_transposed_convolutions_are_passed_over(tmp_path: Path) -> None:
    transposed = [*CONVOLUTION[:6], "True", *CONVOLUTION[7:]]
    path = trace(
        tmp_path,
        call("aten::convolution", 0, 9, [[1, 8, 8, 8], [8, 8, 3, 3], []], transposed),
        call("aten::relu", 10, 3, [[5, 5]]),
    )
    found = read_chrome(path, "local-cpu", "torch")
    assert [row["kind"] for row in rows(found)] == ["relu"]
    assert found.passed_over == {"aten::convolution of another form": 1}


@pytest.mark.parametrize(
    ("content", "message"),
    [
        ("no json", "is no Chrome trace: it is no JSON"),
        ("{}", "wanted traceEvents"),
        ('{"traceEvents": []}', "holds no operator that is understood"),
        (json.dumps([call("aten::mm", 0, 5)]), r"was taken without shapes: profile with record_shapes=True"),
        (json.dumps([call("aten::mm", float("nan"), 5, [[1, 1], [1, 1]])]), "holds no operator that is understood"),
    ],
)
def test_chrome_files_that_are_none(tmp_path: Path, content: str, message: str) -> None:
    (tmp_path / "t.json").write_text(content)
    with pytest.raises(TraceError, match=message):
        read_chrome(tmp_path / "t.json", "local-cpu", "torch")


def test_descriptors_are_the_same_from_two_tools(tmp_path: Path) -> None:
    """One convolution, by PyTorch and by oneDNN."""
    (tmp_path / "log").write_text(
        "onednn_verbose,exec,cpu,convolution,jit,forward_inference,src_f32::x wei_f32::x,,alg:convolution_direct,"
        "mb8_ic3oc64_ih224oh112kh7sh2dh0ph3_iw224ow112kw7sw2dw0pw3,1.5\n"
    )
    one = read_onednn(tmp_path / "log", "local-cpu", "onednn").columns
    other = read_chrome(
        trace(tmp_path, call("aten::convolution", 0, 9, [[8, 3, 224, 224], [64, 3, 7, 7], [64]], CONVOLUTION)),
        "local-cpu",
        "torch",
    ).columns
    names = set(Conv.__dataclass_fields__) & set(one)
    assert {n: one[n] for n in names} == {n: other[n] for n in names}


def test_packed_profiles_that_unpack_without_end_are_refused(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = tmp_path / "trace.json.gz"
    monkeypatch.setattr(rows_module, "_MOST_UNPACKED", 100_000)
    path.write_bytes(gzip.compress(b'{"traceEvents": [' + b" " * 2_000_000 + b"]}"))
    with pytest.raises(TraceError, match=r"unpacks to more than \d+ bytes"):
        rows_module.read_text(path)
    plain = tmp_path / "trace.json"
    plain.write_text('{"traceEvents": [' + "[]," * 1000 + "[]]}")
    monkeypatch.setattr(rows_module, "MOST_CONTAINERS", 1000)
    with pytest.raises(TraceError, match="more than 1,000 lists and objects"):
        read_chrome(plain, "h100-sxm", "x-1")
