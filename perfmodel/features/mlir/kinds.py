"""Operations that are one scalar function, and what :mod:`perfmodel.ops.costs` calls it."""

from __future__ import annotations

_STABLEHLO: dict[str, str] = {
    "abs": "abs", "add": "add", "and": "and", "atan2": "atan", "cbrt": "cube_root", "ceil": "ceil", "clamp": "clip",
    "compare": "compare", "complex": "copy", "cosine": "cos", "count_leading_zeros": "bitwise", "divide": "div",
    "exponential": "exp", "exponential_minus_one": "expm1", "floor": "floor", "imag": "copy", "is_finite": "is_inf",
    "log": "log", "log_plus_one": "log1p", "logistic": "sigmoid", "maximum": "max", "minimum": "min",
    "multiply": "mul", "negate": "neg", "not": "not", "or": "or", "popcnt": "bitwise", "power": "pow", "real": "copy",
    "reduce_precision": "round", "remainder": "mod", "round_nearest_afz": "round", "round_nearest_even": "round",
    "rsqrt": "rsqrt", "select": "where", "shift_left": "shift", "shift_right_arithmetic": "shift",
    "shift_right_logical": "shift", "sign": "sign", "sine": "sin", "sqrt": "sqrt", "subtract": "sub", "tan": "tan",
    "tanh": "tanh", "xor": "xor",
}  # fmt: skip

_CHLO: dict[str, str] = {
    "acos": "acos", "acosh": "acosh", "asin": "asin", "asinh": "asinh", "atan": "atan", "atanh": "atanh",
    "bessel_i1e": "exp", "broadcast_add": "add", "broadcast_and": "and", "broadcast_atan2": "atan",
    "broadcast_compare": "compare", "broadcast_complex": "copy", "broadcast_divide": "div",
    "broadcast_maximum": "max", "broadcast_minimum": "min", "broadcast_multiply": "mul", "broadcast_next_after": "add",
    "broadcast_or": "or", "broadcast_power": "pow", "broadcast_remainder": "mod", "broadcast_select": "where",
    "broadcast_shift_left": "shift", "broadcast_shift_right_arithmetic": "shift",
    "broadcast_shift_right_logical": "shift", "broadcast_subtract": "sub", "broadcast_xor": "xor", "conj": "neg",
    "cosh": "cosh", "erf": "erf", "erf_inv": "erf", "erfc": "erf", "is_inf": "is_inf", "is_neg_inf": "is_inf",
    "is_pos_inf": "is_inf", "next_after": "add", "sinh": "sinh", "square": "square", "tan": "tan",
}  # fmt: skip

_TOSA: dict[str, str] = {
    "abs": "abs", "add": "add", "arithmetic_right_shift": "shift", "bitwise_and": "bitwise", "bitwise_not": "bitwise",
    "bitwise_or": "bitwise", "bitwise_xor": "bitwise", "ceil": "ceil", "clamp": "clip", "clz": "bitwise", "cos": "cos",
    "equal": "equal", "erf": "erf", "exp": "exp", "floor": "floor", "greater": "greater",
    "greater_equal": "greater_equal", "intdiv": "div", "log": "log", "logical_and": "and",
    "logical_left_shift": "shift", "logical_not": "not", "logical_or": "or", "logical_right_shift": "shift",
    "logical_xor": "xor", "maximum": "max", "minimum": "min", "mul": "mul", "negate": "neg", "pow": "pow",
    "reciprocal": "reciprocal", "rsqrt": "rsqrt", "select": "where", "sigmoid": "sigmoid", "sin": "sin", "sub": "sub",
    "tanh": "tanh",
}  # fmt: skip

_ARITH: dict[str, str] = {
    "addf": "add", "addi": "add", "addui_extended": "add", "andi": "and", "ceildivsi": "div", "ceildivui": "div",
    "cmpf": "compare", "cmpi": "compare", "divf": "div", "divsi": "div", "divui": "div", "floordivsi": "div",
    "maximumf": "max", "maxnumf": "max", "maxsi": "max", "maxui": "max", "minimumf": "min", "minnumf": "min",
    "minsi": "min", "minui": "min", "mulf": "mul", "muli": "mul", "mulsi_extended": "mul", "mului_extended": "mul",
    "negf": "neg", "ori": "or", "remf": "mod", "remsi": "mod", "remui": "mod", "select": "where", "shli": "shift",
    "shrsi": "shift", "shrui": "shift", "subf": "sub", "subi": "sub", "xori": "xor", "maxf": "max", "minf": "min",
    "extf": "cast", "extsi": "cast", "extui": "cast", "truncf": "cast", "trunci": "cast", "sitofp": "cast",
    "uitofp": "cast", "fptosi": "cast", "fptoui": "cast", "index_cast": "cast", "index_castui": "cast",
    "bitcast": "cast", "scaling_extf": "cast", "scaling_truncf": "cast", "convertf": "cast",
}  # fmt: skip

_MATH: dict[str, str] = {
    "absf": "abs", "absi": "abs", "acos": "acos", "acosh": "acosh", "asin": "asin", "asinh": "asinh", "atan": "atan",
    "atan2": "atan", "atanh": "atanh", "cbrt": "cube_root", "ceil": "ceil", "clampf": "clip", "copysign": "sign",
    "cos": "cos", "cosh": "cosh", "ctlz": "bitwise", "ctpop": "bitwise", "cttz": "bitwise", "erf": "erf", "erfc": "erf",
    "exp": "exp", "exp2": "exp", "expm1": "expm1", "floor": "floor", "fma": "mul+add", "fpowi": "pow", "ipowi": "pow",
    "isfinite": "is_inf", "isinf": "is_inf", "isnan": "is_nan", "isnormal": "is_inf", "log": "log", "log10": "log",
    "log1p": "log1p", "log2": "log", "powf": "pow", "round": "round", "roundeven": "round", "rsqrt": "rsqrt",
    "sin": "sin", "sincos": "sin", "sinh": "sinh", "sqrt": "sqrt", "tan": "tan", "tanh": "tanh", "trunc": "trunc",
}  # fmt: skip

_LINALG: dict[str, str] = {
    "abs": "abs", "add": "add", "ceil": "ceil", "div": "div", "div_unsigned": "div", "erf": "erf", "exp": "exp",
    "floor": "floor", "log": "log", "max": "max", "min": "min", "mul": "mul", "negf": "neg", "powf": "pow",
    "reciprocal": "reciprocal", "round": "round", "rsqrt": "rsqrt", "select": "where", "sqrt": "sqrt",
    "square": "square", "sub": "sub", "tanh": "tanh",
}  # fmt: skip

_LLVM: dict[str, str] = {
    "add": "add", "and": "and", "ashr": "shift", "fadd": "add", "fcmp": "compare", "fdiv": "div", "fmul": "mul",
    "fneg": "neg", "frem": "mod", "fsub": "sub", "icmp": "compare", "lshr": "shift", "mul": "mul", "or": "or",
    "sdiv": "div", "select": "where", "shl": "shift", "srem": "mod", "sub": "sub", "udiv": "div", "urem": "mod",
    "xor": "xor",
    **dict.fromkeys("bitcast fpext fptosi fptoui fptrunc sext sitofp trunc uitofp zext".split(), "cast"),
}  # fmt: skip

_LLVM_INTRINSICS: dict[str, str] = {
    "abs": "abs", "acos": "acos", "asin": "asin", "atan": "atan", "atan2": "atan", "bitreverse": "bitwise",
    "bswap": "bitwise", "ceil": "ceil", "copysign": "sign", "cos": "cos", "cosh": "cosh", "ctlz": "bitwise",
    "ctpop": "bitwise", "cttz": "bitwise", "exp": "exp", "exp10": "exp", "exp2": "exp", "fabs": "abs", "floor": "floor",
    "fma": "mul+add", "fmuladd": "mul+add", "fshl": "shift", "fshr": "shift", "is.fpclass": "is_inf", "log": "log",
    "log10": "log", "log2": "log", "maximum": "max", "maxnum": "max", "minimum": "min", "minnum": "min",
    "nearbyint": "round", "pow": "pow", "powi": "pow", "rint": "round", "round": "round", "roundeven": "round",
    "sadd.sat": "add", "sin": "sin", "sinh": "sinh", "smax": "max", "smin": "min", "sqrt": "sqrt", "ssub.sat": "sub",
    "tan": "tan", "tanh": "tanh", "trunc": "trunc", "uadd.sat": "add", "umax": "max", "umin": "min", "usub.sat": "sub",
    **{f"{s}{o}.with.overflow": o for s in "su" for o in ("add", "sub", "mul")},
}  # fmt: skip
"""LLVM's instructions and intrinsics, as its language reference names them."""

SCALAR_KINDS: dict[str, str] = {
    **{f"llvm.{name}": kind for name, kind in _LLVM.items()},
    **{f"llvm.intr.{name}": kind for name, kind in _LLVM_INTRINSICS.items()},
    **{f"arith.{name}": kind for name, kind in _ARITH.items()},
    **{f"math.{name}": kind for name, kind in _MATH.items()},
    "complex.abs": "abs", "complex.add": "add", "complex.angle": "atan", "complex.atan2": "atan",
    "complex.bitcast": "cast", "complex.conj": "neg", "complex.cos": "cos", "complex.create": "copy",
    "complex.div": "div", "complex.eq": "compare", "complex.exp": "exp", "complex.expm1": "expm1", "complex.im": "copy",
    "complex.log": "log", "complex.log1p": "log1p", "complex.mul": "mul", "complex.neg": "neg",
    "complex.neq": "compare", "complex.pow": "pow", "complex.powi": "pow", "complex.re": "copy",
    "complex.rsqrt": "rsqrt", "complex.sign": "sign", "complex.sin": "sin", "complex.sqrt": "sqrt",
    "complex.sub": "sub", "complex.tan": "tan", "complex.tanh": "tanh",
    "index.add": "add", "index.mul": "mul", "index.sub": "sub", "index.casts": "cast", "index.castu": "cast",
    "vector.fma": "mul+add",
}  # fmt: skip
"""Operations on scalars (and, elementwise, on tensors and vectors)."""

TENSOR_KINDS: dict[str, str] = {
    **{f"stablehlo.{name}": kind for name, kind in _STABLEHLO.items()},
    **{f"mhlo.{name}": kind for name, kind in {**_STABLEHLO, "erf": "erf", "acos": "acos", "acosh": "acosh",
       "asin": "asin", "asinh": "asinh", "atanh": "atanh", "cosh": "cosh", "sinh": "sinh", "logistic": "sigmoid"}.items()},
    **{f"chlo.{name}": kind for name, kind in _CHLO.items()},
    **{f"tosa.{name}": kind for name, kind in _TOSA.items()},
    **{f"linalg.{name}": kind for name, kind in _LINALG.items()},
    **SCALAR_KINDS,
}  # fmt: skip
"""Operations that apply one scalar function to each element of their operands."""
