"""The contracts: what the project started with is still there, and every extension stands in docs/contracts.md."""

from __future__ import annotations

import dataclasses
import re
from pathlib import Path

import pytest

import perfmodel
from perfmodel import ops
from perfmodel.predict import Estimate, ModelPrediction, OperatorPrediction

PAGE = (Path(__file__).resolve().parent.parent / "docs" / "contracts.md").read_text(encoding="utf-8")

# The columns of operator traces, as the project started with them.
COLUMNS = {
    ops.Gemm: "batch m n k dtype out_dtype layout",
    ops.Conv: "batch c_in c_out h w kernel_h kernel_w stride_h stride_w pad_h pad_w dilation_h dilation_w groups dtype",
    ops.Attention: "phase batch q_len kv_len heads kv_heads head_dim v_head_dim causal window dtype kv_dtype tp",
    ops.Moe: "tokens hidden intermediate experts top_k tp ep distribution dtype",
    ops.Norm: "kind rows cols dtype",
    ops.Softmax: "kind rows cols dtype",
    ops.Elementwise: "kind elements inputs dtype",
    ops.Collective: "kind ranks dtype",  # and `bytes`, which descriptors call `message_bytes`
}
MODEL_KEYS = (
    "model device predictor latency_s power_w energy_j flops flops_executed bytes weights_bytes peak_memory_bytes "
    "utilisation operators unmodelled warnings"
)
OPERATOR_KEYS = (
    "name op shape dtype count flops bytes latency_s latency_each_s power_w energy_j bound source"
)  # fmt: skip


def extensions(descriptor: str) -> set[str]:
    """Fields that the page lists as extensions of a descriptor."""
    rows = re.findall(r"^\| (`[A-Z][^|]*) \| ([^|]*) \|", PAGE, re.MULTILINE)
    return {name for who, names in rows if f"`{descriptor}`" in who for name in re.findall(r"`(\w+)`", names)}


@pytest.mark.parametrize("cls", COLUMNS, ids=lambda c: c.__name__)
def test_descriptor_fields(cls: type[ops.Operator]) -> None:
    fields = {f.name for f in dataclasses.fields(cls)}
    columns = set(COLUMNS[cls].split())
    assert columns <= fields
    assert fields - columns == extensions(cls.__name__)


def test_json_keys() -> None:
    one = Estimate(1.0, 0.5, 2.0)
    operator = OperatorPrediction(
        name="a", op="gemm", shape="1x1x1", dtype="bf16", count=1, flops=2.0, bytes=6.0, latency_s=one,
        latency_each_s=one, power_w=one, energy_j=one, bound="launch", source="analytical",
    )  # fmt: skip
    model = ModelPrediction(
        model="m", device="d", predictor="p", latency_s=one, power_w=one, energy_j=one, flops=2.0, flops_executed=2.0,
        bytes=6.0, weights_bytes=2.0, peak_memory_bytes=6.0, utilisation=0.1, operators=(operator,),
        unmodelled=({"op": "X", "count": 1, "bytes_share": 0.5},),
    )  # fmt: skip
    result = model.to_dict()
    assert result["latency_s"] == {"value": 1.0, "low": 0.5, "high": 2.0}
    assert set(result["unmodelled"][0]) == {"op", "count", "bytes_share"}
    for keys, contract in ((set(result), MODEL_KEYS), (set(result["operators"][0]), OPERATOR_KEYS)):
        assert set(contract.split()) <= keys
        assert {key for key in keys if f"`{key}`" not in PAGE} == set()


def test_every_extra_dtype_and_family_is_listed() -> None:
    from perfmodel.dtypes import GEMM_DTYPES, STORAGE_DTYPES

    assert set(GEMM_DTYPES) == set(
        "fp64 fp32 tf32 fp16 bf16 fp8 fp8_static fp8_block nvfp4 mxfp4 int8 int8_sq w8a16 w4a16 w4a16_mxfp4 "
        "w4a8_mxfp4_mxfp8".split()
    )
    assert [d for d in STORAGE_DTYPES if not re.search(rf"\b{d}\b", PAGE)] == []
    families = set(
        "gemm conv attention moe norm softmax elementwise reduce pool copy embedding rnn quantize collective".split()
    )
    assert families <= set(ops.FAMILIES)
    assert {f for f in set(ops.FAMILIES) - families if f"| `{f}` |" not in PAGE} == set()


def test_every_module_has_its_layer() -> None:
    package = Path(perfmodel.__file__).parent
    there = {p.stem for p in package.iterdir() if p.suffix == ".py" or (p / "__init__.py").exists()}
    table = PAGE.split("## Layers")[1].split("##")[0]
    cells = [re.split(r"(?<!\\)\|", line)[2] for line in table.splitlines() if re.match(r"\| \d", line)]
    listed = [name for cell in cells for name in re.findall(r"`(\w+)`", cell)]
    assert sorted(listed) == sorted(there - {"__init__", "__main__"})
