"""What operands of ATen's functions mean: flags and masks by their places, operators by the name that they are given."""

# ruff: noqa: E501 - the modules have one operation a line

from __future__ import annotations

from typing import Any

import pytest

from perfmodel.features.fusion import fuse
from perfmodel.features.mlir import read_mlir
from perfmodel.ops import Attention, Conv, Elementwise, Norm, Unmodelled

SETUP = """%none = torch.constant.none
  %true = torch.constant.bool true
  %false = torch.constant.bool false
  %zero = torch.constant.float 0.0
  %tenth = torch.constant.float 1.0e-01
"""
TYPES = {
    "%none": "!torch.none", "%true": "!torch.bool", "%false": "!torch.bool", "%zero": "!torch.float",
    "%tenth": "!torch.float",
}  # fmt: skip


def call(
    function: str, operands: str, tensors: dict[str, str], results: tuple[str, ...], *, generic: bool = False
) -> str:
    """A function of one operation of ATen.

    Args:
        operands: names, separated by blanks; the first tensors, then constants of ``SETUP``.
        tensors: shape and element type of each argument (``"[2,3],f32"``), in order.
        generic: whether it is written as ``torch.operator``.
    """
    kinds = {f"%{name}": f"!torch.vtensor<{kind}>" for name, kind in tensors.items()} | TYPES
    made = [f"!torch.vtensor<{kind}>" for kind in results]
    names = operands.split()
    taken, given = ", ".join(kinds[n] for n in names), ", ".join(made)
    head = ", ".join(f"%r{i}" for i in range(len(made)))
    written = (
        f'torch.operator "torch.aten.{function}"({", ".join(names)}) : ({taken}) -> ({given})'
        if generic
        else f"torch.aten.{function} {', '.join(names)} : {taken} -> {given}"
    )
    arguments = ", ".join(f"%{n}: {kinds['%' + n]}" for n in tensors)
    return (
        f"func.func @main({arguments}) -> {made[0]} {{\n  {SETUP}  {head} = {written}\n  return %r0 : {made[0]}\n}}\n"
    )


HEADS = "[1,8,128,64],f16"
QKV = {"q": HEADS, "k": HEADS, "v": HEADS}
MASK = {"m": "[1,8,128,128],f16"}


def _results(function: str) -> tuple[str, ...]:
    if function == "scaled_dot_product_attention":
        return (HEADS,)
    if function.endswith("_for_cpu"):
        return (HEADS, "[1,8,128],f32")
    return (HEADS, "[1,8,128],f32", "[],si64", "[],si64")


# Places as in PyTorch's native_functions.yaml: {c} stands where is_causal does, {m} where the mask does.
SIGNATURES = {
    "scaled_dot_product_attention": "%q %k %v {m} %zero {c} %none %true",
    "_scaled_dot_product_flash_attention": "%q %k %v %zero {c} %true %none",
    "_scaled_dot_product_flash_attention_for_cpu": "%q %k %v %zero {c} {m} %none",
    "_scaled_dot_product_efficient_attention": "%q %k %v {m} %true %zero {c} %none",
    "_scaled_dot_product_cudnn_attention": "%q %k %v {m} %true %zero {c} %true %none",
    "_scaled_dot_product_fused_attention_overrideable": "%q %k %v {m} %zero {c} %true %none",
}


@pytest.mark.parametrize("generic", [False, True])
@pytest.mark.parametrize("function", SIGNATURES)
@pytest.mark.parametrize("causal", ["%true", "%false"])
def test_each_attention_is_causal_where_its_own_flag_says_so(function: str, causal: str, generic: bool) -> None:
    # Flags that ask for a log-sum-exp or a debug mask are true throughout.
    operands = SIGNATURES[function].format(m="%none", c=causal)
    (node,) = read_mlir(call(function, operands, QKV, _results(function), generic=generic)).nodes
    assert isinstance(node.op, Attention)
    assert node.op.causal == (causal == "%true")
    assert node.bytes == 4 * 8 * 128 * 64 * 2  # q, k, v and the result, of two bytes an element


@pytest.mark.parametrize("function", [f for f, operands in SIGNATURES.items() if "{m}" in operands])
def test_each_attention_reads_and_adds_its_mask(function: str) -> None:
    operands = SIGNATURES[function].format(m="%m", c="%false")
    (node,) = read_mlir(call(function, operands, QKV | MASK, _results(function))).nodes
    assert isinstance(node.op, Attention)
    assert node.extra_bytes_read == 8 * 128 * 128 * 2
    assert [add.elements for add in node.fused if isinstance(add, Elementwise)] == [8 * 128 * 128]


STATISTICS = dict.fromkeys(("w", "b", "mean", "var"), "[3],f32")
IMAGE = "[2,3,8,8],f32"


@pytest.mark.parametrize(
    ("function", "operands", "kind"),
    [
        ("batch_norm", "%x %w %b %mean %var %false %tenth %zero %true", "batchnorm"),
        ("batch_norm", "%x %w %b %mean %var %true %tenth %zero %true", "instancenorm"),
        ("native_batch_norm", "%x %w %b %mean %var %false %tenth %zero", "batchnorm"),
        ("native_batch_norm", "%x %w %b %mean %var %true %tenth %zero", "instancenorm"),
        # It has no such flag: the momentum stands in its place.
        ("_native_batch_norm_legit_no_training", "%x %w %b %mean %var %tenth %zero", "batchnorm"),
    ],
)
def test_batch_norms_in_training_have_the_statistics_of_the_batch(function: str, operands: str, kind: str) -> None:
    results = (IMAGE,) if function == "batch_norm" else (IMAGE, "[3],f32", "[3],f32")
    (node,) = read_mlir(call(function, operands, {"x": IMAGE} | STATISTICS, results)).nodes
    # In training the running statistics are read as well: four numbers a channel.
    read = 4 * 3 if kind == "instancenorm" else None
    assert node.op == Norm(kind=kind, rows=3, cols=2 * 8 * 8, parameters=read, dtype="fp32")
    # The running statistics are written, and those of the batch where they are results: two times three numbers each.
    assert node.extra_bytes_read == (0 if read is None else 4 * 6 * (1 if function == "batch_norm" else 2))


@pytest.mark.parametrize(("flag", "kinds"), [("%false", [Conv]), ("%true", [Conv, Norm])])
def test_a_batch_norm_in_training_is_no_part_of_the_convolution_before_it(flag: str, kinds: list[type[Any]]) -> None:
    image, filters = f"!torch.vtensor<{IMAGE}>", "!torch.vtensor<[3,3,1,1],f32>"
    row = "!torch.vtensor<[3],f32>"
    text = f"""func.func @main(%x: {image}) -> {image} {{
      {SETUP}
      %one = torch.constant.int 1
      %no = torch.constant.int 0
      %ones = torch.prim.ListConstruct %one, %one : (!torch.int, !torch.int) -> !torch.list<int>
      %noes = torch.prim.ListConstruct %no, %no : (!torch.int, !torch.int) -> !torch.list<int>
      %f = torch.vtensor.literal(dense_resource<f> : tensor<3x3x1x1xf32>) : {filters}
      %w = torch.vtensor.literal(dense_resource<w> : tensor<3xf32>) : {row}
      %c = torch.aten.convolution %x, %f, %none, %ones, %noes, %ones, %false, %noes, %one : {image}, {filters}, !torch.none, !torch.list<int>, !torch.list<int>, !torch.list<int>, !torch.bool, !torch.list<int>, !torch.int -> {image}
      %r = torch.aten.batch_norm %c, %w, %w, %w, %w, {flag}, %tenth, %zero, %true : {image}, {row}, {row}, {row}, {row}, !torch.bool, !torch.float, !torch.float, !torch.bool -> {image}
      return %r : {image}
    }}"""
    assert [type(n.op) for n in fuse(read_mlir(text)).nodes] == kinds


def test_an_operator_that_aten_has_is_read_by_its_name() -> None:
    (node,) = read_mlir(call("relu", "%x", {"x": "[8],f32"}, ("[8],f32",), generic=True)).nodes
    assert (node.source_op, node.op) == (
        "torch.aten.relu",
        Elementwise(kind="relu", elements=8, input_elements=8, dtype="fp32"),
    )


def test_an_operator_without_a_rule_is_traffic() -> None:
    graph = read_mlir(call("mystery", "%x", {"x": "[8],f32"}, ("[8],f32",), generic=True))
    assert isinstance(graph.nodes[0].op, Unmodelled)
    assert any("no rule covers the operator that it names" in w for w in graph.warnings)
