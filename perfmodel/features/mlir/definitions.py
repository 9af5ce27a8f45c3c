"""How many operands the operations take that rules describe, as the dialects define them; None stands for any number.

Sources: the StableHLO specification, the TOSA specification (1.0, and 0.80 where operands were attributes), the reference
pages of MLIR's dialects, and the signatures of ATen's functions.
"""

from __future__ import annotations

from perfmodel.features.mlir import rules_linalg
from perfmodel.features.mlir.kinds import TENSOR_KINDS

Counts = tuple[int, int | None]

_HLO: dict[Counts, str] = {
    (0, 0): "constant iota",
    (1, 1): "abs cbrt ceil convert cosine count_leading_zeros exponential exponential_minus_one floor imag is_finite log "
    "log_plus_one logistic negate not popcnt real reduce_precision round_nearest_afz round_nearest_even rsqrt sign sine sqrt "
    "tan tanh bitcast_convert reshape transpose broadcast_in_dim broadcast slice reverse fft cholesky get_dimension_size "
    "uniform_quantize uniform_dequantize get_tuple_element rng_bit_generator dynamic_iota erf topk if case",
    (2, 2): "add and atan2 compare complex divide maximum minimum multiply or power remainder shift_left "
    "shift_right_arithmetic shift_right_logical subtract xor dot dot_general convolution pad gather einsum "
    "torch_index_select triangular_solve dynamic_reshape dynamic_broadcast_in_dim set_dimension_size",
    (3, 3): "clamp select batch_norm_training dynamic_gather dynamic_conv rng select_and_scatter",
    (4, 4): "real_dynamic_slice",
    (5, 5): "batch_norm_inference batch_norm_grad dynamic_pad",
    (1, None): "concatenate dynamic_slice sort map all_gather all_reduce all_to_all reduce_scatter collective_permute "
    "collective_broadcast",
    (2, None): "reduce reduce_window dynamic_update_slice",
    (3, None): "scatter",
}  # fmt: skip
_CHLO: dict[Counts, str] = {
    (1, 1): "acos acosh asin asinh atan atanh bessel_i1e conj cosh erf erf_inv erfc is_inf is_neg_inf is_pos_inf sinh square "
    "tan constant_like top_k",
    (2, 2): "broadcast_add broadcast_and broadcast_atan2 broadcast_compare broadcast_complex broadcast_divide "
    "broadcast_maximum broadcast_minimum broadcast_multiply broadcast_next_after broadcast_or broadcast_power "
    "broadcast_remainder broadcast_shift_left broadcast_shift_right_arithmetic broadcast_shift_right_logical "
    "broadcast_subtract broadcast_xor next_after",
    (3, 3): "broadcast_select clamp",
}  # fmt: skip
_TOSA: dict[Counts, str] = {
    (0, 0): "const const_shape",
    (1, 1): "abs bitwise_not ceil clamp clz cos erf exp floor log logical_not reciprocal rsqrt sigmoid sin tanh cast "
    "max_pool2d argmax reduce_sum reduce_max reduce_min reduce_prod reduce_product reduce_all reduce_any reverse rfft2d",
    (2, 2): "add arithmetic_right_shift bitwise_and bitwise_or bitwise_xor equal greater greater_equal intdiv logical_and "
    "logical_left_shift logical_or logical_right_shift logical_xor maximum minimum pow sub gather fft2d",
    (3, 3): "select scatter", (2, 3): "mul pad", (1, 3): "negate slice avg_pool2d", (2, 4): "matmul",
    (1, 2): "reshape transpose tile table", (1, 4): "resize", (1, 5): "rescale", (3, 5): "conv2d conv3d depthwise_conv2d "
    "transpose_conv2d", (2, 5): "fully_connected", (1, None): "concat identity", (4, 4): "matmul_t_block_scaled",
}  # fmt: skip
_ARITH: dict[Counts, str] = {
    (0, 0): "constant",
    (1, 1): "negf extf extsi extui truncf trunci sitofp uitofp fptosi fptoui index_cast index_castui bitcast",
    (2, 2): "addf addi addui_extended andi ceildivsi ceildivui cmpf cmpi divf divsi divui floordivsi maximumf maxnumf maxsi "
    "maxui minimumf minnumf minsi minui mulf muli mulsi_extended mului_extended ori remf remsi remui shli shrsi shrui subf "
    "subi xori",
    (3, 3): "select",
}  # fmt: skip
_MATH: dict[Counts, str] = {
    (1, 1): "absf absi acos acosh asin asinh atan atanh cbrt ceil cos cosh ctlz ctpop cttz erf erfc exp exp2 expm1 floor "
    "isfinite isinf isnan isnormal log log10 log1p log2 round roundeven rsqrt sin sincos sinh sqrt tan tanh trunc",
    (2, 2): "atan2 copysign fpowi ipowi powf", (3, 3): "fma clampf",
}  # fmt: skip
_COMPLEX: dict[Counts, str] = {
    (1, 1): "abs angle conj cos exp expm1 im log log1p neg re rsqrt sign sin sqrt tan tanh",
    (2, 2): "add sub mul div create eq neq pow atan2",
}  # fmt: skip
_TENSOR: dict[Counts, str] = {
    (1, 1): "collapse_shape cast bitcast", (2, 2): "reshape dim gather", (3, 3): "scatter",
    (1, None): "extract extract_slice pad expand_shape concat", (2, None): "insert insert_slice parallel_insert_slice pack",
}  # fmt: skip
_MEMREF: dict[Counts, str] = {
    (1, 1): "collapse_shape cast memory_space_cast", (2, 2): "copy dim", (1, None): "load subview expand_shape",
    (2, None): "store", (0, 0): "get_global",
}  # fmt: skip
_VECTOR: dict[Counts, str] = {
    (3, 3): "fma", (3, 5): "contract", (2, 3): "outerproduct", (1, 2): "reduction", (2, 2): "multi_reduction",
    (1, 1): "broadcast transpose shape_cast", (2, None): "transfer_read", (1, None): "load", (2, 4): "interleave",
}  # fmt: skip
_ATEN: dict[Counts, str] = {
    (1, None): "relu tanh sigmoid exp log sqrt rsqrt neg abs gelu sum mean",
    (2, 2): "mm bmm matmul mv dot",
    (2, None): "add sub mul div pow maximum minimum view reshape permute expand transpose cat",
    (3, 3): "linear einsum", (3, 4): "softmax log_softmax _softmax _log_softmax", (5, 5): "addmm baddbmm slice",
    (5, None): "embedding native_layer_norm", (6, 6): "layer_norm", (6, 8): "scaled_dot_product_attention",
    (7, 7): "conv1d conv2d conv3d", (9, 9): "convolution", (9, None): "batch_norm",
}  # fmt: skip


def _listed(prefix: str, table: dict[Counts, str]) -> dict[str, Counts]:
    return {f"{prefix}.{name}": counts for counts, names in table.items() for name in names.split()}


OPERANDS: dict[str, Counts] = {
    **_listed("stablehlo", _HLO), **_listed("mhlo", _HLO), **_listed("chlo", _CHLO), **_listed("tosa", _TOSA),
    **_listed("arith", _ARITH), **_listed("math", _MATH), **_listed("complex", _COMPLEX), **_listed("tensor", _TENSOR),
    **_listed("memref", _MEMREF), **_listed("vector", _VECTOR),
}  # fmt: skip
"""(least, most) operands by the operation's name."""

OF_ATEN: dict[str, Counts] = {name: counts for counts, names in _ATEN.items() for name in names.split()}
"""The same by the function's name, for ``torch.aten``."""

PAIRED = frozenset(f"{dialect}.{name}" for dialect in ("stablehlo", "mhlo") for name in ("reduce", "reduce_window"))
"""Operations that take an initial value for each operand."""

_BINARY = frozenset("add sub mul div max min pow".split())


def _of_linalg() -> dict[str, tuple[Counts, int]]:
    found: dict[str, tuple[Counts, int]] = {}
    for name in rules_linalg.RULES:
        short = name.partition(".")[2]
        kind = TENSOR_KINDS.get(name)
        if short in rules_linalg.PRODUCTS:
            found[name] = ((4, 4) if short.startswith("quantized") else (2, 2)), 1
        elif "conv_" in short:
            found[name] = ((4, 4) if short.endswith("_q") else (2, 2)), 1
        elif short.startswith("pooling_"):
            found[name] = (2, 2), 1
        elif kind is not None:
            found[name] = ((3, 3) if kind == "where" else (2, 2) if kind in _BINARY else (1, 1)), 1
    ones = "transpose broadcast fill copy softmax winograd_filter_transform winograd_input_transform winograd_output_transform"
    return {
        **found,
        **dict.fromkeys([f"linalg.{n}" for n in ones.split()], ((1, 1), 1)),
        "linalg.contract": ((2, 2), 1),
    }


OF_LINALG: dict[str, tuple[Counts, int]] = _of_linalg()
"""(least and most operands that are read, how many are written) of linalg's named operations."""

SEVERAL_RESULTS = frozenset(
    "reduce reduce_window sort scatter map while if case rng_bit_generator batch_norm_training batch_norm_grad top_k topk "
    "all_gather all_reduce all_to_all reduce_scatter collective_permute collective_broadcast addui_extended mulsi_extended "
    "mului_extended sincos fft2d rfft2d identity interleave".split()
)
"""Operations of the tables above with more than one result."""

AXES: dict[str, str] = {
    **{
        f"{dialect}.{name}": attribute
        for dialect in ("stablehlo", "mhlo")
        for name, attribute in (
            ("sort", "dimension"), ("iota", "iota_dimension"), ("batch_norm_inference", "feature_index"),
            ("batch_norm_training", "feature_index"), ("batch_norm_grad", "feature_index"), ("reverse", "dimensions"),
            ("get_dimension_size", "dimension"), ("all_gather", "all_gather_dim"),
        )
    },
    "linalg.reduce": "dimensions", "linalg.softmax": "dimension", "linalg.broadcast": "dimensions",
}  # fmt: skip
"""Attributes that name axes, by the operation's name."""
