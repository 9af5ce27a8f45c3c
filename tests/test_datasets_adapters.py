"""The adapters of public data sets, on tiny copies written by hand."""

from __future__ import annotations

import gzip
import json
import re
from pathlib import Path
from typing import Any

import numpy as np
import pandas
import pytest
import upstream_layouts as layouts

from perfmodel.datasets import load
from perfmodel.datasets.perfcastdb import device_id
from perfmodel.datasets.registry import ADAPTERS
from perfmodel.datasets.schema import usable
from perfmodel.errors import InputError, TraceError
from perfmodel.ops.table import from_columns


def row(table: Any, **where: Any) -> dict[str, Any]:
    """The one row with these values, without its nulls."""
    chosen = np.ones(len(table), dtype=bool)
    for column, value in where.items():
        chosen &= (table[column] == value).to_numpy()
    assert chosen.sum() == 1, f"{chosen.sum()} rows with {where}"
    found = table[chosen].iloc[0].to_dict()
    return {name: value for name, value in found.items() if not pandas.isna(value)}


@pytest.mark.parametrize("name", ADAPTERS)
def test_every_row_is_a_descriptor_or_a_run(tmp_path: Path, name: str) -> None:
    table = load(name, layouts.ALL[name](tmp_path))
    assert set(table["source"]) == {name}
    assert table["latency_s"].notna().to_numpy()[usable(table)].any() or name in ("accelwattch", "perfcastdb")
    if "op" in table.columns:
        good = table[usable(table)]
        groups = from_columns({column: good[column] for column in good.columns})
        assert sum(len(g) for g in groups) == len(good)
        assert all((np.asarray(g.op.bytes) > 0).all() for g in groups)


# -------------------------------------------------------------------------------------------------------- AIConfigurator
@pytest.fixture(scope="module")
def aiconfigurator(tmp_path_factory: pytest.TempPathFactory) -> Any:
    return load("aiconfigurator", layouts.aiconfigurator(tmp_path_factory.mktemp("aiconfigurator")))


def test_families_stand_in_order_and_keep_their_files_order(aiconfigurator: Any) -> None:
    families = aiconfigurator["op"].astype(str).tolist()
    assert list(dict.fromkeys(families)) == ["gemm", "attention", "moe", "quantize", "collective"]
    assert aiconfigurator["order"].tolist()[:4] == [0, 1, 0, 1]


def test_products_of_latent_attention_are_gemms(aiconfigurator: Any) -> None:
    # Queries of 128 into the latent of 512, results of 512 into values of 128; a product a head.
    into = row(aiconfigurator, op="gemm", batch=16)
    assert (into["m"], into["n"], into["k"], into["dtype"]) == (3, 512, 128, "bf16")
    out = row(aiconfigurator, op="gemm", batch=32)
    assert (out["m"], out["n"], out["k"], out["dtype"], out["latency_s"]) == (5, 128, 512, "fp8", 0.002)


def test_power_and_cache(aiconfigurator: Any) -> None:
    gemm = row(aiconfigurator, op="gemm", dtype="w4a16")
    assert (gemm["power_w"], gemm["power_limit_w"], gemm["cache"], gemm["kernel"]) == (400.0, 700.0, "rotating", "b")


def test_attention(aiconfigurator: Any) -> None:
    prefill = aiconfigurator[aiconfigurator["phase"] == "prefill"]
    assert prefill["q_len"].tolist() == prefill["kv_len"].tolist() == [128, 1]
    # A window of 0 is none, and an fp8 cache is no fp8 arithmetic.
    assert np.isnan(prefill["window"].iloc[0])
    assert prefill["window"].iloc[1] == 1024
    assert prefill["dtype"].tolist() == ["bf16", "bf16"]
    assert prefill["kv_dtype"].tolist() == ["bf16", "fp8"]
    assert prefill["causal"].tolist() == [True, True]
    decode = aiconfigurator[aiconfigurator["phase"] == "decode"]
    assert (decode["q_len"].tolist(), decode["kv_len"].tolist()) == ([1, 1], [2, 4096])
    assert set(decode["cache"]) == {"warm"}
    encoder = row(aiconfigurator, phase="encoder", q_len=197)
    assert (encoder["kv_len"], encoder["heads"], encoder["kv_heads"], encoder["causal"]) == (197, 12, 12, False)


def test_latent_attention(aiconfigurator: Any) -> None:
    prefill = row(aiconfigurator, phase="mla_prefill", q_len=16)
    assert (prefill["kv_heads"], prefill["head_dim"], prefill["v_head_dim"], prefill["tp"]) == (64, 192, 128, 2)
    decode = row(aiconfigurator, phase="mla_decode", kv_len=16)
    assert (decode["heads"], decode["kv_heads"], decode["head_dim"], decode["v_head_dim"]) == (8, 1, 576, 512)
    # A file without a version of its own is of its folder's.
    assert decode["software"] == "trtllm-1.0.0"


def test_experts_without_a_gate(aiconfigurator: Any) -> None:
    moe = aiconfigurator[aiconfigurator["op"] == "moe"]
    np.testing.assert_array_equal(moe["matrices"], [3, 2, np.nan, 3, 3])
    assert moe["note"].astype(object).where(moe["note"].notna(), None).tolist() == [
        None,
        None,
        "gate unknown",
        None,
        None,
    ]
    # The fourth and fifth rows measure the first again.
    assert moe["repeat"].tolist() == [0, 0, 0, 1, 2]


def test_a_gate_is_inferred_where_weights_would_outrun_the_memory(tmp_path: Path) -> None:
    shapes = {
        "kernel_source": "triton", "moe_dtype": "bfloat16", "num_tokens": 64, "hidden_size": [2688, 4096],
        "inter_size": [1856, 14336], "topk": [6, 2], "num_experts": [128, 8], "moe_tp_size": 1, "moe_ep_size": 1,
        "distribution": "balanced", "latency": [1.0, 2.0],
    }  # fmt: skip
    versions = {"sglang": "0.5.14", "vllm": "0.22.0"}
    for stack, version in versions.items():
        layouts.parquet(tmp_path / f"l40s/moe/{stack}/{version}/moe_perf.parquet", version=version, **shapes)
    table = load("aiconfigurator", tmp_path)
    newer, older = (table[table["software"] == f"{s}-{v}"] for s, v in versions.items())
    np.testing.assert_array_equal(newer["matrices"], [2, 3])
    np.testing.assert_array_equal(older["matrices"], [np.nan, 3])
    assert [newer["note"].iloc[0], older["note"].iloc[0]] == ["gate inferred", "gate unknown"]


def test_quantisation(aiconfigurator: Any) -> None:
    quantize = aiconfigurator[aiconfigurator["op"] == "quantize"]
    assert row(quantize, kind="quantize", rows=64)["out_dtype"] == "fp8"
    scale = quantize[quantize["kind"] == "scale"]
    assert scale[["software", "status"]].astype(str).to_numpy().tolist() == [
        ["sglang-0.5.14", "zero latency"], ["sglang-0.5.14", "stub"], ["vllm-0.24.0", "zero latency"], ["vllm-0.24.0", "ok"],
    ]  # fmt: skip
    assert scale["latency_s"].isna().tolist() == [True, False, True, False]


def test_collectives(aiconfigurator: Any) -> None:
    # 256 halves are 512 bytes; 512 of int8 as many.
    nccl = row(aiconfigurator, kind="all_to_all")
    assert (nccl["bytes"], nccl["ranks"], nccl["dtype"], nccl["software"]) == (512, 2, "fp16", "nccl-2.27.3")
    gather = row(aiconfigurator, kind="all_gather")
    assert (gather["bytes"], gather["dtype"], gather["note"]) == (512, "int8", "outlier")  # eight L40S
    graph = row(aiconfigurator, launch="graph")
    assert (graph["bytes"], graph["software"], graph["collection"]) == (2048, "vllm-0.14.0", "l40s/vllm/0.22.0")


def test_formats_that_perfmodel_has_no_dtype_for(tmp_path: Path) -> None:
    layouts.parquet(
        tmp_path / "l40s/moe/trtllm/1.0.0/moe_perf.parquet", kernel_source="k", moe_dtype=["w4afp8", "bfloat16"], num_tokens=1,
        hidden_size=64, inter_size=64, topk=1, num_experts=2, moe_tp_size=1, moe_ep_size=1, distribution="balanced",
        latency=[1.0, 1.0],
    )  # fmt: skip
    table = load("aiconfigurator", tmp_path)
    assert table["status"].tolist() == ["unsupported dtype", "ok"]
    assert table["dtype"].isna().tolist() == [True, False]


def test_the_installed_package_is_found(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    layouts.aiconfigurator(tmp_path / "site" / "aiconfigurator_core")
    (tmp_path / "site" / "aiconfigurator_core" / "__init__.py").write_text("raise ImportError('not to be imported')")
    monkeypatch.setenv("PERFMODEL_CACHE", str(tmp_path / "cache"))
    with pytest.raises(InputError, match=r"aiconfigurator is not on this machine: .* `pip install --no-deps aiconf"):
        load("aiconfigurator")
    monkeypatch.syspath_prepend(str(tmp_path / "site"))
    assert len(load("aiconfigurator", families=["gemm"])) == 4


# -------------------------------------------------------------------------------------------------------------- NeuSight
def test_neusight(tmp_path: Path) -> None:
    table = load("neusight", layouts.neusight(tmp_path))
    linear = row(table, m=58)
    # N is the contraction: (M, N, K) is (m, k, n).
    assert (linear["batch"], linear["n"], linear["k"], linear["dtype"], linear["latency_s"]) == (
        1,
        141,
        13,
        "fp32",
        0.0005,
    )
    assert (linear["software"], linear["device"], linear["kernels"]) == ("pytorch-2.1", "a100-pcie-40gb", 2)
    assert linear["collection"] == "dataset/train/collect/linear/p2.1.0/NVIDIA A100-PCIE-40GB"
    bmm = row(table, collection="dataset/test/bmm")
    assert (bmm["batch"], bmm["m"], bmm["n"], bmm["k"], "kernels" in bmm) == (6, 27, 390, 21, False)
    assert row(table, device="p4")["note"] == "low clock"
    conv = row(table, op="conv")
    assert (conv["batch"], conv["c_in"], conv["c_out"], conv["h"], conv["w"], conv["kernel_h"]) == (
        38,
        893,
        326,
        5,
        5,
        3,
    )
    assert (conv["pad_w"], conv["stride_h"], conv["groups"], conv["kernels"], conv["note"]) == (1, 1, 1, 3, "throttled")
    elementwise = table[table["op"] == "elementwise"]
    assert elementwise["kind"].tolist() == ["add", "add", "div", "gelu"]
    assert elementwise["inputs"].tolist() == [2, 1, 1, 1]
    assert set(elementwise["elements"]) == {200}
    assert (row(table, op="norm")["rows"], row(table, op="norm")["cols"]) == (4100, 556)
    softmax = table[table["op"] == "softmax"]
    assert softmax["status"].tolist() == ["ok", "CUDA error"]
    assert set(softmax["software"]) == {"pytorch-2.4"}


# ------------------------------------------------------------------------------------------------------------------ runs
def test_zeus(tmp_path: Path) -> None:
    table = load("zeus", layouts.zeus(tmp_path))
    run = row(table, power_limit_w=225)
    assert (run["workload"], run["batch"], run["phase"], run["optimizer"]) == (
        "resnet50/imagenet",
        256,
        "train",
        "adadelta",
    )
    assert (run["latency_s"], run["power_w"], run["energy_j"], run["device"]) == (
        7200,
        150,
        1_080_000,
        "v100-pcie-32gb",
    )
    assert row(table, power_limit_w=100)["note"] == "above its limit"
    assert "note" not in run


def test_accelwattch(tmp_path: Path) -> None:
    run = row(load("accelwattch", layouts.accelwattch(tmp_path)), workload="backprop_k1")
    assert (run["power_w"], run["power_rel_std"], run["samples"], run["status"]) == (200, 0.025, 5, "ok")
    assert "latency_s" not in run


def test_perfcastdb(tmp_path: Path) -> None:
    table = load("perfcastdb", layouts.perfcastdb(tmp_path))
    assert table["workload"].tolist()[1:] == ["Stream/Add Bandwidth (NTW) (MB/s)", "SPECrate2017_int_base/502.gcc_r"]
    assert table["score_unit"].tolist() == ["MB/s", "MB/s", "ratio"]
    assert table["repeat"].tolist() == [0, 1, 0]
    assert set(table["device"]) == {"xeon-platinum-8476c"}
    # The third machine reports totals: 4.5 MiB over 96 cores are 48 KiB, 210 MiB over two sockets 105 MiB.
    for column, wanted in (
        ("machine_l1d_bytes_per_core", 48 * 1024),
        ("machine_l2_bytes_per_core", 2 * 1024**2),
        ("machine_l3_bytes_per_socket", 105 * 1024**2),
        ("machine_base_clock_hz", 2.6e9),
        ("machine_memory_bytes", 1024**4),
    ):
        assert table[column].tolist() == [wanted] * 3
    # The third machine has no memory on the package.
    assert table["machine_ddr_modules"].tolist() == [16, 16, 16]
    assert table["machine_ddr_module_bytes"].tolist() == [64 * 1024**3] * 3
    assert table["machine_hbm_stacks"].tolist() == [8, 8, 0]
    assert table["machine_hbm_transfers_per_s"].tolist()[:2] == [3.2e9, 3.2e9]
    assert np.isnan(table["machine_hbm_transfers_per_s"].iloc[2])


def test_names_of_processors() -> None:
    assert device_id("Intel (R) Xeon (R) CPU Max 9460") == "xeon-max-9460"


def test_energaizer(tmp_path: Path) -> None:
    table = load("energaizer", layouts.energaizer(tmp_path))
    run = row(table, workload="tiny_pbf16_b4_s128_modeprefill_attneager")
    assert (run["batch"], run["phase"], run["dtype"], run["samples"]) == (4, "prefill", "bf16", 7)
    assert (run["latency_s"], run["energy_j"], run["power_w"], run["clock_mhz"]) == (0.0025, 0.75, 300, 900)
    assert (run["temperature_c"], run["status"]) == (50, "ok")
    assert row(table, workload="tiny_pbf16_b4_s128_modeprefill")["status"] == "above the peak: broke off early"
    assert (row(table, collection="a100")["dtype"], row(table, collection="a100")["device"]) == (
        "fp32",
        "a100-pcie-40gb",
    )
    assert row(table, collection="dvfs")["note"] == "power capped"


# ------------------------------------------------------------------------------------------------------------- auto-tuning
def test_benchmark_hub(tmp_path: Path) -> None:
    table = load("benchmark_hub", layouts.benchmark_hub(tmp_path))
    gemm = table[table["op"] == "gemm"]
    assert gemm["status"].tolist() == ["ok", "CompilationFailedConfig", "RuntimeFailedConfig"]
    assert gemm["cfg_MWG"].tolist() == [128, 16, 32]
    best = row(gemm, status="ok")
    assert (best["m"], best["n"], best["k"], best["latency_s"], best["samples"]) == (4096, 4096, 4096, 0.0055, 2)
    assert best["latency_rel_std"] == pytest.approx(0.5 / 5.5)
    conv = table[table["op"] == "conv"]
    assert conv["status"].tolist() == ["ok", "RuntimeFailedConfig"]
    # The image's margin is part of the input: 4110 - 15 + 1 outputs.
    assert (conv["h"].iloc[0], conv["kernel_h"].iloc[0], conv["latency_s"].iloc[0]) == (4110, 15, 0.0035)
    assert conv["cfg_block_size_x"].tolist() == [16, 32]


def test_a_tuning_session_that_was_stopped(tmp_path: Path) -> None:
    whole = json.dumps({"kernel_name": "Xgemm", "cache": layouts.GEMM_SPACE})
    path = tmp_path / "gemm" / "RTX_3090.json"
    layouts.text(path, whole[:-2] + ",")
    assert len(load("benchmark_hub", tmp_path)) == 3
    for content in ("{", "[]", '{"cache": {"a": {}}}', '{"cache": 5}'):
        path.write_text(content)
        with pytest.raises(TraceError, match="is no Kernel Tuner cache file"):
            load("benchmark_hub", tmp_path)
    path.unlink()
    broken = path.with_suffix(".json.gz")
    broken.write_bytes(gzip.compress(whole.encode())[:-20])
    with pytest.raises(TraceError, match="is cut short"):
        load("benchmark_hub", tmp_path)


def test_gpperf(tmp_path: Path) -> None:
    table = load("gpperf", layouts.gpperf(tmp_path) / "results.csv")
    assert table["status"].tolist() == ["ok"] * 8 + ["no latency", "zero latency"]
    first = row(table, k=256)
    assert (first["m"], first["n"], first["dtype"], first["layout"], first["device"]) == (
        512,
        1024,
        "fp32",
        "nn",
        "rtx-4070",
    )
    assert (first["latency_s"], first["power_w"], first["clock_mhz"], first["mem_clock_mhz"]) == (
        0.0005,
        70,
        2760,
        10251,
    )
    assert first["energy_j"] == pytest.approx(0.035)
    assert (first["cfg_Blocksize1"], first["cfg_Stage"], first["cfg_Beta"]) == (128, 2, 0.5)
    assert first["cfg_Combination Type"] == "linear_combination"


# ---------------------------------------------------------------------------------------------------------- what is refused
@pytest.mark.parametrize("name", ADAPTERS)
def test_folders_without_the_data(tmp_path: Path, name: str) -> None:
    with pytest.raises(TraceError) as error:
        load(name, tmp_path / "nothing")
    assert "\n" not in str(error.value)
    with pytest.raises(TraceError, match=r"holds no|cannot be read"):
        load(name, tmp_path)


@pytest.mark.parametrize("name", [n for n in ADAPTERS if n not in ("benchmark_hub", "energaizer", "neusight_models")])
def test_files_of_another_shape_are_named(tmp_path: Path, name: str) -> None:
    root = layouts.ALL[name](tmp_path)
    path = next(p for p in sorted(root.rglob("*")) if p.suffix in (".csv", ".parquet"))
    if path.suffix == ".csv":
        path.write_text("a,b\n1,2\n")
    else:
        pandas.DataFrame({"a": [1]}).to_parquet(path)
    with pytest.raises(TraceError, match=rf"{re.escape(path.name)}: column .* is missing; found a"):
        load(name, root)
    path.write_bytes(b"\x00\xff")
    with pytest.raises(TraceError, match=r"is no readable|is missing"):
        load(name, root)


@pytest.mark.parametrize(
    ("name", "old", "new", "message"),
    [
        ("neusight", "Tesla T4,", "Tesla T5,", "the card names no device for 'Tesla T5'"),
        ("neusight", "gelu,", "gelux,", "the card names no elementwise function for 'gelux'"),
        ("gpperf", "RTX 4070", "RTX 5070", "the card names no device for 'NVIDIA GeForce RTX 5070'"),
        ("gpperf", "simt_sgemm", "simt_xgemm", "the card names no dtype for the kernel"),
    ],
)
def test_names_that_the_card_does_not_know(tmp_path: Path, name: str, old: str, new: str, message: str) -> None:
    root = layouts.ALL[name](tmp_path)
    for path in root.rglob("*.csv"):
        path.write_text(path.read_text().replace(old, new))
    with pytest.raises(TraceError, match=message):
        load(name, root)


def test_systems_that_the_card_does_not_know(tmp_path: Path) -> None:
    (layouts.zeus(tmp_path) / "trace/summary_power_v100.csv").rename(tmp_path / "trace/summary_power_v1.csv")
    with pytest.raises(TraceError, match="the card names no device for 'v1'"):
        load("zeus", tmp_path)
    layouts.text(tmp_path / "hub/gemm/RTX_1.json", "{}")
    with pytest.raises(TraceError, match="the card names no device for 'RTX_1'"):
        load("benchmark_hub", tmp_path / "hub")
