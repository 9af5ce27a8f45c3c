"""FLOPs per element of scalar operations: the one table of such costs.

Weights follow the Livermore convention (F. H. McMahon, "The Livermore Fortran Kernels: A Computer Test of
the Numerical Performance Range", LLNL UCRL-53745, 1986, section 3): add, subtract, multiply, compare = 1;
divide and square root = 4; exponential, trigonometric and alike = 8. Composite functions are the sum of their
parts, written out below so that a reader can check each.
"""

from __future__ import annotations

BASIC = 1
DIVIDE = 4
TRANSCENDENTAL = 8

_BASIC = (
    "add sub mul max min neg abs sign relu clip compare equal greater less greater_equal less_equal not_equal and or not "
    "xor where floor ceil round trunc is_nan is_inf bitwise shift leaky_relu prelu thresholded_relu increment fma"
).split()
_DIVIDE = "div sqrt reciprocal mod fmod".split()
_TRANSCENDENTAL = (
    "exp log erf tanh sin cos tan asin acos atan sinh cosh asinh acosh atanh pow cube_root log1p expm1".split()
)
# Moved or reinterpreted, not computed: these are traffic only.
_FREE = "cast copy identity fill random iota dropout".split()

SIGMOID = BASIC + TRANSCENDENTAL + BASIC + DIVIDE  # neg, exp, add, div = 14

FLOPS_PER_ELEMENT: dict[str, int] = {
    **dict.fromkeys(_BASIC, BASIC),
    **dict.fromkeys(_DIVIDE, DIVIDE),
    **dict.fromkeys(_TRANSCENDENTAL, TRANSCENDENTAL),
    **dict.fromkeys(_FREE, 0),
    "rsqrt": 2 * DIVIDE,  # sqrt, reciprocal
    "square": BASIC,
    "sigmoid": SIGMOID,
    "silu": SIGMOID + BASIC,  # x · sigmoid(x)
    "swish": SIGMOID + 2 * BASIC,  # x · sigmoid(a·x)
    "hard_sigmoid": 4 * BASIC,  # mul, add, max, min
    "hard_swish": 5 * BASIC,  # x · hard_sigmoid(x)
    "elu": TRANSCENDENTAL + 3 * BASIC,  # exp, sub, mul, select
    "celu": TRANSCENDENTAL + DIVIDE + 3 * BASIC,
    "selu": TRANSCENDENTAL + 4 * BASIC,
    "softplus": 2 * TRANSCENDENTAL + BASIC,  # log(1 + exp x)
    "softsign": DIVIDE + 2 * BASIC,  # x / (1 + |x|)
    "mish": 3 * TRANSCENDENTAL + 2 * BASIC,  # x · tanh(log(1 + exp x))
    "gelu": TRANSCENDENTAL + 4 * BASIC,  # 0.5·x · (1 + erf(x·c)): mul, erf, add, mul, mul = 12
    "gelu_tanh": TRANSCENDENTAL + 8 * BASIC,  # 0.5·x · (1 + tanh(c·(x + d·x·x·x))): 4 mul, add, tanh, add, 2 mul = 16
    "glu": SIGMOID + BASIC,
    "rope": 3 * BASIC,  # rotate-half form: x·cos + rot(x)·sin
    "shrink": 3 * BASIC,  # two compares, one add
    # Interpolation along n axes weighs 2^n or 4^n neighbours: as many mul, one add fewer. The weights are computed once
    # a row and column.
    "resize_linear_1d": 3 * BASIC,
    "resize_linear": 7 * BASIC,
    "resize_linear_3d": 15 * BASIC,
    "resize_cubic_1d": 7 * BASIC,
    "resize_cubic": 31 * BASIC,
    "resize_cubic_3d": 127 * BASIC,
    "quantize": 4 * BASIC,  # mul, round, add, clip
    "dequantize": 2 * BASIC,  # sub, mul
    "requantize": 4 * BASIC,  # mul, round, add, clip
    # One stage of a complex FFT costs 5 a point (a complex product, 6, and two complex sums, 4, for two points): the
    # 5·N·log2(N) of M. Frigo and S. G. Johnson, "The Design and Implementation of FFTW3", Proc. IEEE 93(2), 2005.
    "fft_stage": 5 * BASIC,
    "complex_mul": 6 * BASIC,  # 4 mul, 2 add
    # Overlap of two boxes whose areas are known: 2 max, 2 min, 2 sub, 2 clip, mul; add, sub, div; compare.
    "iou": 9 * BASIC + 2 * BASIC + DIVIDE + BASIC,
}
"""FLOPs for one element of the output."""

SOFTMAX = 2 * BASIC + TRANSCENDENTAL + BASIC + DIVIDE
"""max, subtract, exp, sum, divide: 15 per element."""

LOG_SOFTMAX = 3 * BASIC + TRANSCENDENTAL + BASIC
"""max, subtract, exp, sum, subtract: 12 per element; the logarithm of the sum is one a row, ``LOG_SOFTMAX_PER_ROW``."""

LOG_SOFTMAX_PER_ROW = TRANSCENDENTAL

NORM: dict[str, int] = {
    "layernorm": 7 * BASIC,  # mean (1), subtract (1), square (1), mean (1), scale by 1/std (1), gamma (1), beta (1)
    "rmsnorm": 4 * BASIC,  # square, mean, scale by 1/rms, gamma
    "batchnorm": 2 * BASIC,  # at inference one multiply and one add, constants folded
    "groupnorm": 7 * BASIC,
    "instancenorm": 7 * BASIC,
    "l2norm": 3 * BASIC,
    "lrn": 4 * BASIC + TRANSCENDENTAL,
}
"""FLOPs per element; the one division and square root per row are counted apart as ``NORM_PER_ROW``."""

NORM_PER_ROW = 2 * DIVIDE


REDUCTION: dict[str, tuple[int, int]] = {
    "l1": (2 * BASIC, 0),  # abs, add
    "l2": (2 * BASIC, DIVIDE),  # square, add; a root
    "lp": (2 * BASIC + TRANSCENDENTAL, TRANSCENDENTAL),  # abs, power, add; a power
    "sum_square": (2 * BASIC, 0),
    "log_sum": (BASIC, TRANSCENDENTAL),
    "log_sum_exp": (3 * BASIC + TRANSCENDENTAL, TRANSCENDENTAL + BASIC),  # max, sub, exp, add; log, add
}
"""(FLOPs per element, FLOPs per result) of reductions and pools that cost more than one per element.

The others (sum, mean, max, min, product, arg-max, top-k, running sums) start from the neutral element and count one an
element. A mean of n is n - 1 additions and one multiplication by 1/n.
"""


_COMPLEX_MUL, _COMPLEX_DIV, _ABS = 6 * BASIC, 9 * BASIC + 2 * DIVIDE, 3 * BASIC + DIVIDE
_COMPLEX_EXP = 3 * TRANSCENDENTAL + 2 * BASIC
_COMPLEX_LOG = _ABS + 2 * TRANSCENDENTAL
_COMPLEX_SIN = 4 * TRANSCENDENTAL + 2 * BASIC
_COMPLEX_SQRT = _ABS + 2 * DIVIDE + 3 * BASIC

COMPLEX: dict[str, int] = {
    "add": 2 * BASIC,
    "sub": 2 * BASIC,
    "mul": _COMPLEX_MUL,  # 4 mul, 2 add
    "square": _COMPLEX_MUL,
    "div": _COMPLEX_DIV,  # a product with the conjugate (6), its square (3), two quotients
    "reciprocal": 3 * BASIC + 2 * DIVIDE,
    "neg": 2 * BASIC,
    "abs": _ABS,  # 2 mul, add, sqrt
    "sign": _ABS + 2 * DIVIDE,
    "exp": _COMPLEX_EXP,  # exp, sin and cos; 2 mul
    "expm1": _COMPLEX_EXP + BASIC,
    "log": _COMPLEX_LOG,  # absolute value, log, atan
    "log1p": _COMPLEX_LOG + BASIC,
    **dict.fromkeys(("sin", "cos", "sinh", "cosh"), _COMPLEX_SIN),  # sin a · cosh b, cos a · sinh b
    **dict.fromkeys(("tan", "tanh"), 2 * _COMPLEX_SIN + _COMPLEX_DIV),
    "sqrt": _COMPLEX_SQRT,  # absolute value, the larger part's root, the other by a quotient
    "rsqrt": _COMPLEX_SQRT + 3 * BASIC + 2 * DIVIDE,
    "pow": _COMPLEX_LOG + _COMPLEX_MUL + _COMPLEX_EXP,
    "sigmoid": _COMPLEX_EXP + 3 * BASIC + _COMPLEX_DIV,
}
"""FLOPs for one element of complex numbers, in real multiplications and additions; other functions count twice, once a part.

A complex product counts 6 and a complex sum 2 (MAGMA counts so, FLOPS_CGEMM): a term of a product of
complex matrices is 8 FLOPs.
"""


def is_complex(dtype: str) -> bool:
    """Whether a format holds pairs of real and imaginary parts."""
    return dtype.startswith("complex")


def reduction_flops(kind: str, *, of_complex: bool = False) -> tuple[int, int]:
    """(FLOPs per element, FLOPs per result) of a reduction or a pool."""
    per_element, per_result = REDUCTION.get(kind, (BASIC, 0))
    if of_complex:
        return (_COMPLEX_MUL, 0) if kind in ("prod", "cumprod") else (2 * per_element, 2 * per_result)
    return per_element, per_result


def elementwise_flops(kind: str, *, of_complex: bool = False) -> int | None:
    """FLOPs per element of an elementwise kind; a fused chain ``"mul+add+relu"`` is the sum of its parts.

    Returns:
        None when a part is not in the table: unknown is not zero.
    """
    total = 0
    for part in kind.split("+"):
        cost = FLOPS_PER_ELEMENT.get(part)
        if cost is None:
            return None
        total += COMPLEX.get(part, 2 * cost) if of_complex else cost
    return total
