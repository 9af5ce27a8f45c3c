"""What PyTorch runs for a descriptor."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from perfmodel.collect.pytorch.runtime import UnsupportedError, Work
from perfmodel.ops import Attention, Conv, Elementwise, Embedding, Gemm, Norm, Softmax
from perfmodel.ops.base import Operator

_DTYPES = {
    "fp64": "float64", "fp32": "float32", "tf32": "float32", "fp16": "float16", "bf16": "bfloat16", "int8": "int8",
    "fp8": "float8_e4m3fn",
}  # fmt: skip
UNARY = ("relu", "gelu", "silu", "sigmoid", "tanh", "exp", "sqrt", "abs")
BINARY = ("add", "sub", "mul", "div")


def build(torch: Any, op: Operator, device: Any, generator: Any) -> Work:
    """One execution of an operator, on random inputs of its shape.

    Args:
        torch: the module.
        op: a descriptor with numbers.
        device: a device of PyTorch.
        generator: of the inputs' values.

    Raises:
        UnsupportedError: there is no rule, or none for this kind or format.
        AttributeError, RuntimeError: this version or device lacks what is needed.
    """
    rule = _RULES.get(type(op))
    if rule is None:
        raise UnsupportedError(f"nothing runs {op.op} here")
    return rule(_Inputs(torch, device, generator), op)


class _Inputs:
    """Makes tensors."""

    def __init__(self, torch: Any, device: Any, generator: Any) -> None:
        self.torch, self.device, self.generator = torch, device, generator

    def dtype(self, name: str) -> Any:
        """PyTorch's name of one of our formats."""
        if name not in _DTYPES:
            raise UnsupportedError(f"PyTorch's own kernels have no {name}")
        if name == "fp8" and self.architecture.startswith("gfx94"):
            return self.torch.float8_e4m3fnuz  # what the MI300 multiplies, with another exponent bias
        return getattr(self.torch, _DTYPES[name])

    @property
    def architecture(self) -> str:
        """AMD's name of the GPU's instruction set (``gfx942:sramecc+``); empty elsewhere."""
        if self.torch.version.hip is None or self.device.type != "cuda":
            return ""
        return str(self.torch.cuda.get_device_properties(self.device).gcnArchName)

    def check_tf32(self) -> None:
        """Where there is no tf32, PyTorch multiplies in fp32 and does not say so.

        Raises:
            UnsupportedError: there is none.
        """
        if self.device.type != "cuda":
            raise UnsupportedError("processors multiply fp32 as fp32")
        if self.torch.version.hip is not None:
            raise UnsupportedError("PyTorch on ROCm multiplies fp32 as fp32")
        if self.torch.cuda.get_device_capability(self.device) < (8, 0):
            raise UnsupportedError("GPUs before Ampere have no tf32")

    def values(self, dtype: str, *shape: Any) -> Any:
        """Random numbers: a GPU draws more power on those than on zeros."""
        if dtype == "int8":
            return self.whole(-128, 128, *shape).to(self.torch.int8)
        found = self.torch.randn(shape, generator=self.generator, device=self.device, dtype=self.torch.float32)
        return found.to(self.dtype(dtype))

    def whole(self, low: int, high: int, *shape: Any) -> Any:
        """Random whole numbers from ``low`` to below ``high``."""
        return self.torch.randint(low, high, shape, generator=self.generator, device=self.device)


def _tf32(torch: Any, work: Callable[[], object], wanted: bool) -> Work:
    """The same with products of fp32 operands in tf32, where that is wanted."""
    if not wanted:
        return work
    matmul, cudnn = torch.backends.cuda.matmul, torch.backends.cudnn

    def run() -> object:
        matmul.allow_tf32 = cudnn.allow_tf32 = True
        try:
            return work()
        finally:
            matmul.allow_tf32 = cudnn.allow_tf32 = False

    return run


def _gemm(make: _Inputs, op: Gemm) -> Work:
    torch = make.torch
    if op.dtype == "tf32":
        make.check_tf32()
    if op.dtype == "fp8":
        if op.batch != 1:
            raise UnsupportedError("torch._scaled_mm has no batch")
        a, b = make.values("fp8", op.m, op.k), make.values("fp8", op.n, op.k).t()
        one = torch.ones((), device=make.device, dtype=torch.float32)
        out = torch.float16 if op.out_dtype == "fp16" else torch.bfloat16
        # As inference engines do: Hopper is quicker with it.
        return lambda: torch._scaled_mm(a, b, scale_a=one, scale_b=one, out_dtype=out, use_fast_accum=True)
    if op.dtype == "int8":
        if op.batch != 1:
            raise UnsupportedError("torch._int_mm has no batch")
        a, b = make.values("int8", op.m, op.k), make.values("int8", op.n, op.k).t()
        return lambda: torch._int_mm(a, b)
    if op.batch == 1:
        # Weights as a linear layer keeps them: [n, k].
        a, weight = make.values(op.dtype, op.m, op.k), make.values(op.dtype, op.n, op.k)
        return _tf32(torch, lambda: torch.nn.functional.linear(a, weight), op.dtype == "tf32")
    a, b = make.values(op.dtype, op.batch, op.m, op.k), make.values(op.dtype, op.batch, op.k, op.n)
    return _tf32(torch, lambda: torch.bmm(a, b), op.dtype == "tf32")


def _attention(make: _Inputs, op: Attention) -> Work:
    if op.phase not in ("prefill", "decode", "encoder") or op.window is not None:
        raise UnsupportedError(f"scaled_dot_product_attention has no {op.phase} with these options")
    if op.kv_dtype not in (None, op.dtype):
        raise UnsupportedError("scaled_dot_product_attention reads keys and values in the format of the queries")
    attend = make.torch.nn.functional.scaled_dot_product_attention
    q = make.values(op.dtype, op.batch, op.heads, op.q_len, op.head_dim)
    k = make.values(op.dtype, op.batch, op.kv_heads, op.kv_len, op.head_dim)
    v = make.values(op.dtype, op.batch, op.kv_heads, op.kv_len, op.v_head_dim or op.head_dim)
    options: dict[str, bool] = {"enable_gqa": True} if op.kv_heads != op.heads else {}
    # A query of a decode step is the last one: it sees every key, so that nothing is masked.
    masked = bool(op.causal) and op.phase != "decode"
    if masked and op.q_len != op.kv_len:
        raise UnsupportedError("is_causal counts from the first key: queries behind a prefix need a mask")
    return lambda: attend(q, k, v, is_causal=masked, **options)


def _conv(make: _Inputs, op: Conv) -> Work:
    if op.transposed or op.depth != 1 or op.pad_h != int(op.pad_h) or op.pad_w != int(op.pad_w):
        raise UnsupportedError("convolutions of two axes with the same padding on both sides alone")
    torch = make.torch
    if op.dtype == "tf32":
        make.check_tf32()
    x = make.values(op.dtype, op.batch, op.c_in, op.h, op.w)
    weight = make.values(op.dtype, op.c_out, op.c_in // op.groups, op.kernel_h, op.kernel_w)
    settings = {
        "stride": (op.stride_h, op.stride_w), "padding": (int(op.pad_h), int(op.pad_w)),
        "dilation": (op.dilation_h, op.dilation_w), "groups": op.groups,
    }  # fmt: skip
    return _tf32(torch, lambda: torch.nn.functional.conv2d(x, weight, **settings), op.dtype == "tf32")


def _norm(make: _Inputs, op: Norm) -> Work:
    if op.residual:
        raise UnsupportedError("PyTorch has no normalisation that adds a residual")
    functional = make.torch.nn.functional
    x, scale, shift = (make.values(op.dtype, *shape) for shape in ((op.rows, op.cols), (op.cols,), (op.cols,)))
    shape = (op.cols,)
    if op.kind == "layernorm":
        return lambda: functional.layer_norm(x, shape, scale, shift)
    if op.kind == "rmsnorm":
        return lambda: functional.rms_norm(x, shape, scale)
    raise UnsupportedError(f"nothing runs a {op.kind} here")


def _softmax(make: _Inputs, op: Softmax) -> Work:
    x = make.values(op.dtype, op.rows, op.cols)
    return lambda: make.torch.nn.functional.softmax(x, dim=-1)


def _elementwise(make: _Inputs, op: Elementwise) -> Work:
    torch, functional = make.torch, make.torch.nn.functional
    x = make.values(op.dtype, op.elements)
    if op.kind in BINARY and op.inputs == 2:
        y, run = make.values(op.dtype, op.elements), getattr(torch, op.kind)
        return lambda: run(x, y)
    if op.kind in UNARY and op.inputs == 1:
        run = getattr(functional if op.kind in ("gelu", "silu") else torch, op.kind)
        return lambda: run(x)
    raise UnsupportedError(f"nothing runs {op.kind} of {op.inputs} inputs here")


ROWS_OF_TABLE = 50_000
"""Of the table that an embedding reads: a vocabulary's."""


def _embedding(make: _Inputs, op: Embedding) -> Work:
    table = make.values(op.dtype, ROWS_OF_TABLE, op.cols)
    index = make.whole(0, ROWS_OF_TABLE, op.rows)
    return lambda: make.torch.nn.functional.embedding(index, table)


_RULES: dict[type[Operator], Callable[[_Inputs, Any], Work]] = {
    Gemm: _gemm, Attention: _attention, Conv: _conv, Norm: _norm, Softmax: _softmax, Elementwise: _elementwise,
    Embedding: _embedding,
}  # fmt: skip
