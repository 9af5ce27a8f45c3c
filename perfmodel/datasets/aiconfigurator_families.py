"""How each kind of AIConfigurator table describes its operator, and what that is in our columns."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from perfmodel.datasets.adapter import noted, translate
from perfmodel.datasets.cards import Card
from perfmodel.dtypes import element_bytes

if TYPE_CHECKING:
    import pandas as pd

    Columns = dict[str, Any]

# DeepSeek-V2's latent attention, which V3 kept (DeepSeek-V2 technical report, section 3.1.2): 128 dimensions without and
# 64 with position per head, value heads of 128, and one latent of 512 (plus the 64) that is cached.
_NOPE, _ROPE, _VALUE, _LATENT = 128, 64, 128, 512


def software(raw: pd.DataFrame, path: Path) -> pd.Series | str:
    """The stack that was measured: a file's own version where it has one, since some were carried over from an older one."""
    framework, version = path.parts[-3:-1]
    if "version" not in raw:
        return f"{framework}-{version}"
    own = raw["version"].astype(object)  # a damaged file's may be numbers
    stack: pd.Series = framework + "-" + own.where(own.notna(), version).astype(str)
    return stack


@dataclass(frozen=True)
class Table:
    """One kind of upstream table.

    Attributes:
        name: what the file is called, without ``_perf.parquet``.
        family: operator family of its rows.
        folder: folder that holds its frameworks.
        columns: upstream columns that it must have, beside the latency.
        read: from the upstream table to our descriptor columns.
        cache: state of the last-level cache while it was measured; None where upstream does not say.
    """

    name: str
    family: str
    folder: str
    columns: tuple[str, ...]
    read: Callable[[pd.DataFrame, Card, Path], Columns]
    cache: str | None = None

    @property
    def file(self) -> str:
        """File name."""
        return f"{self.name}_perf.parquet"


def _gemm(raw: pd.DataFrame, card: Card, path: Path) -> Columns:
    dtype = translate(raw["gemm_dtype"], card.dtypes, "dtype", path)
    return {"batch": 1, "m": raw["m"], "n": raw["n"], "k": raw["k"], "dtype": dtype}


def _mla_bmm(raw: pd.DataFrame, card: Card, path: Path) -> Columns:
    """The two batched products of absorbed latent attention: queries into the latent, and results out of it."""
    pre = (raw["op_name"] == "mla_gen_pre").to_numpy()
    if not (pre | (raw["op_name"] == "mla_gen_post").to_numpy()).all():
        translate(raw["op_name"], {"mla_gen_pre": "", "mla_gen_post": ""}, "product", path)
    return {
        "batch": raw["num_heads"],
        "m": raw["num_tokens"],
        "n": np.where(pre, _LATENT, _VALUE),
        "k": np.where(pre, _NOPE, _LATENT),
        "dtype": translate(raw["bmm_dtype"], card.dtypes, "dtype", path),
    }


def _attention(phase: str) -> Callable[[pd.DataFrame, Card, Path], Columns]:
    def read(raw: pd.DataFrame, card: Card, path: Path) -> Columns:
        window = raw["window_size"].astype(float) if "window_size" in raw else np.full(len(raw), np.nan)
        return {
            "phase": phase,
            "batch": raw["batch_size"],
            "q_len": raw["isl"],
            "kv_len": raw["isl"] + raw["step"],
            "heads": raw["num_heads"],
            "kv_heads": raw["num_key_value_heads"],
            "head_dim": raw["head_dim"],
            "causal": True,
            "window": np.where(np.asarray(window) > 0, window, np.nan),
            "dtype": translate(raw["attn_dtype"], card.dtypes, "dtype", path),
            "kv_dtype": translate(raw["kv_cache_dtype"], card.dtypes, "dtype", path),
        }

    return read


def _encoder(raw: pd.DataFrame, card: Card, path: Path) -> Columns:
    return {
        "phase": "encoder",
        "batch": raw["batch_size"],
        "q_len": raw["isl"],
        "kv_len": raw["isl"],
        "heads": raw["num_heads"],
        "kv_heads": raw["num_heads"],
        "head_dim": raw["head_dim"],
        "causal": False,
        "dtype": translate(raw["attn_dtype"], card.dtypes, "dtype", path),
    }


def _mla(phase: str) -> Callable[[pd.DataFrame, Card, Path], Columns]:
    decode = phase == "mla_decode"

    def read(raw: pd.DataFrame, card: Card, path: Path) -> Columns:
        return {
            "phase": phase,
            "batch": raw["batch_size"],
            "q_len": raw["isl"],
            "kv_len": raw["isl"] + raw["step"],
            "heads": raw["num_heads"],
            "kv_heads": 1 if decode else raw["num_heads"],
            "head_dim": (_LATENT if decode else _NOPE) + _ROPE,
            "v_head_dim": _LATENT if decode else _VALUE,
            "causal": True,
            "dtype": translate(raw["mla_dtype"], card.dtypes, "dtype", path),
            "kv_dtype": translate(raw["kv_cache_dtype"], card.dtypes, "dtype", path),
            "tp": raw["tp_size"],
        }

    return read


def _moe(raw: pd.DataFrame, card: Card, path: Path) -> Columns:
    shapes = raw[["hidden_size", "inter_size", "topk", "num_experts"]].to_numpy()
    plain = np.zeros(len(raw), dtype=bool)
    for shape in card.raw["moe"]["shapes_without_gate"]:
        plain |= (shapes == np.array(shape)).all(axis=1)
    labelled = (
        raw["kernel_source"].astype(str).str.contains(card.raw["moe"]["label_without_gate"], regex=False).to_numpy()
    )
    inferred = plain & ~labelled & np.isin(software(raw, path), card.raw["moe"]["software_without_gate"])
    # Elsewhere the shapes of networks without a gate may have been measured with one: unknown is not three.
    unknown = plain & ~labelled & ~inferred
    matrices = np.where(labelled | inferred, 2.0, np.where(unknown, np.nan, 3.0))
    return {
        "tokens": raw["num_tokens"],
        "hidden": raw["hidden_size"],
        "intermediate": raw["inter_size"],
        "experts": raw["num_experts"],
        "top_k": raw["topk"],
        "tp": raw["moe_tp_size"],
        "ep": raw["moe_ep_size"],
        "distribution": raw["distribution"],
        "matrices": matrices,
        "dtype": translate(raw["moe_dtype"], card.dtypes, "dtype", path),
        "note": np.where(inferred, "gate inferred", noted(unknown, "gate unknown")),
    }


def _quantize(kind: str) -> Callable[[pd.DataFrame, Card, Path], Columns]:
    def read(raw: pd.DataFrame, card: Card, path: Path) -> Columns:
        out = translate(raw["quant_dtype"], card.dtypes, "dtype", path)
        return {"kind": kind, "rows": raw["m"], "cols": raw["k"], "dtype": "bf16", "out_dtype": out}

    return read


def _collective(dtype_column: str) -> Callable[[pd.DataFrame, Card, Path], Columns]:
    def read(raw: pd.DataFrame, card: Card, path: Path) -> Columns:
        dtype = translate(raw[dtype_column], card.dtypes, "dtype", path)
        width = dtype.map({name: int(element_bytes(name)) for name in dtype.unique()})
        kernel = raw["kernel_source"].astype(str)
        launch = noted(kernel.str.endswith("_graph"), "graph")
        launch[kernel.str.endswith("_eager").to_numpy()] = "eager"
        return {
            "kind": translate(raw["op_name"], card.raw["kinds"], "collective", path),
            "bytes": raw["message_size"] * width,
            "ranks": raw["num_gpus"],
            "dtype": dtype,
            "launch": launch,
        }

    return read


_ATTENTION = (
    "batch_size",
    "isl",
    "num_heads",
    "num_key_value_heads",
    "head_dim",
    "attn_dtype",
    "kv_cache_dtype",
    "step",
)
_MLA = ("batch_size", "isl", "num_heads", "tp_size", "mla_dtype", "kv_cache_dtype", "step")
_MOE = (
    "num_tokens", "hidden_size", "inter_size", "num_experts", "topk", "moe_tp_size", "moe_ep_size", "distribution", "moe_dtype",
    "kernel_source",
)  # fmt: skip
_ENCODER = ("batch_size", "isl", "num_heads", "head_dim", "attn_dtype")
_QUANTIZE = ("m", "k", "quant_dtype")
_COMM = ("op_name", "kernel_source", "num_gpus", "message_size")

TABLES: dict[str, Table] = {
    table.name: table
    for table in (
        Table("gemm", "gemm", "gemm", ("gemm_dtype", "m", "n", "k"), _gemm),
        Table("mla_bmm", "gemm", "mla_bmm", ("op_name", "num_tokens", "num_heads", "bmm_dtype"), _mla_bmm),
        Table("context_attention", "attention", "attention", _ATTENTION, _attention("prefill")),
        # The decode benchmark reads the same keys and values again and again.
        Table("generation_attention", "attention", "attention", _ATTENTION, _attention("decode"), "warm"),
        Table("encoder_attention", "attention", "encoder_attention", _ENCODER, _encoder),
        Table("context_mla", "attention", "mla", _MLA, _mla("mla_prefill")),
        Table("generation_mla", "attention", "mla", _MLA, _mla("mla_decode"), "warm"),
        Table("moe", "moe", "moe", _MOE, _moe),
        Table("scale_matrix", "quantize", "quantize", _QUANTIZE, _quantize("quantize")),
        Table("computescale", "quantize", "quantize", _QUANTIZE, _quantize("scale")),
        Table("nccl", "collective", "comm", (*_COMM, "nccl_dtype"), _collective("nccl_dtype")),
        Table("custom_allreduce", "collective", "comm", (*_COMM, "allreduce_dtype"), _collective("allreduce_dtype")),
    )
}
"""Every kind of table that is read, by its name, in the order in which rows stand."""
