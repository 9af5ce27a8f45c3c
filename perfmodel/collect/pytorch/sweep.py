"""Which operators are worth measuring on a device of which nothing is known: sizes spread evenly on a logarithmic scale.

A third of the dimensions is a power of two or three quarters of one, as in networks; the others are any number, so that what
padding costs is seen. Families take turns, so that a sweep that is stopped has some of each.
"""

from __future__ import annotations

import random
from collections.abc import Callable, Iterator, Sequence
from itertools import count, islice

from perfmodel.collect.pytorch.operators import BINARY, UNARY
from perfmodel.errors import InputError, nearest
from perfmodel.ops import Attention, Conv, Elementwise, Embedding, Gemm, Norm, Softmax
from perfmodel.ops.base import Operator

DTYPES = ("bf16", "fp16", "fp32", "tf32", "fp8", "int8")
_VECTOR = ("bf16", "fp16", "fp32")
MOST_FLOPS, MOST_BYTES = 4e12, 4e9
"""Of one operator: a few milliseconds of a fast GPU, and what fits beside others."""
FAMILIES = ("gemm", "attention", "conv", "norm", "softmax", "elementwise", "embedding")


def sweep(
    operators: int,
    *,
    seed: int = 0,
    families: Sequence[str] = FAMILIES,
    dtypes: Sequence[str] = DTYPES,
    most_flops: float = MOST_FLOPS,
    most_bytes: float = MOST_BYTES,
) -> list[Operator]:
    """Different operators, the same for the same seed; a shorter sweep is the beginning of a longer one.

    Args:
        operators: how many.
        seed: of the draw.
        families: of :data:`FAMILIES`; products are drawn twice as often as each other.
        dtypes: of :data:`DTYPES`; operators that multiply nothing take those among them that vectors have.
        most_flops, most_bytes: of one operator.

    Raises:
        InputError: an unknown family or format, or limits that nothing keeps to.
    """
    for given, known, what in ((families, FAMILIES, "family"), (dtypes, DTYPES, "format")):
        for name in given:
            if name not in known:
                raise InputError(f"no {what} of a sweep is called {name!r}: {nearest(name, known)}")
    if operators < 1 or not families or not dtypes:
        raise InputError(
            f"wanted at least one operator, family and format; got {operators}, {list(families)}, {list(dtypes)}"
        )
    return list(islice(_drawn(random.Random(seed), families, dtypes, most_flops, most_bytes), operators))


def _drawn(
    chance: random.Random, families: Sequence[str], dtypes: Sequence[str], most_flops: float, most_bytes: float
) -> Iterator[Operator]:
    turns = [f for family in families for f in ([family] * 2 if family == "gemm" else [family])]
    seen: set[Operator] = set()
    refused = 0
    for turn in count():
        family = turns[turn % len(turns)]
        allowed = dtypes if family == "gemm" else [d for d in dtypes if d in _VECTOR]
        op = _DRAWS[family](chance, chance.choice(allowed or ["fp32"]))
        if op in seen or float(op.flops) > most_flops or float(op.bytes) > most_bytes:
            refused += 1
            if refused > 1000 * (len(seen) + 1):
                raise InputError(f"hardly an operator has at most {most_flops:g} FLOP and {most_bytes:g} bytes")
            continue
        seen.add(op)
        yield op


def _size(chance: random.Random, low: int, high: int) -> int:
    """Even on a logarithmic scale, a third of them round."""
    value = low * (high / low) ** chance.random()
    if chance.random() < 1 / 3:
        power = 2 ** max(round(value).bit_length() - 1, 0)
        value = chance.choice([power, power * 3 // 2])
    return int(min(max(round(value), low), high))


def _even(value: int, of: int) -> int:
    return max(value // of, 1) * of


def _gemm(chance: random.Random, dtype: str) -> Operator:
    # Kernels of 8 bits take multiples of 16 alone, and torch._int_mm more than 16 rows.
    narrow = dtype in ("fp8", "int8")
    batch = 1 if narrow or chance.random() < 0.7 else _size(chance, 2, 256)
    m, n, k = _size(chance, 1, 16384), _size(chance, 16, 16384), _size(chance, 16, 16384)
    if narrow:
        m, n, k = max(m, 17), _even(n, 16), _even(k, 16)
    return Gemm(dtype=dtype, batch=batch, m=m, n=n, k=k)


def _attention(chance: random.Random, dtype: str) -> Operator:
    heads = chance.choice([8, 12, 16, 32, 40, 64])
    kv_heads = heads // chance.choice([d for d in (1, 4, 8) if heads % d == 0])
    head_dim = chance.choice([64, 128])
    kv_len = _size(chance, 64, 16384)
    phase = chance.choice(["prefill", "decode", "encoder"])
    return Attention(
        dtype=dtype, phase=phase, batch=_size(chance, 1, 64), q_len=1 if phase == "decode" else kv_len, kv_len=kv_len,
        heads=heads, kv_heads=kv_heads, head_dim=head_dim, causal=phase != "encoder",
    )  # fmt: skip


def _conv(chance: random.Random, dtype: str) -> Operator:
    kernel = chance.choice([1, 1, 3, 3, 3, 5, 7])
    c_in, c_out = _size(chance, 3, 1024), _size(chance, 16, 1024)
    depthwise = chance.random() < 0.15
    side = _size(chance, max(kernel, 7), 224)
    stride = chance.choice([1, 1, 2])
    return Conv(
        dtype=dtype, batch=_size(chance, 1, 64), c_in=c_in, c_out=c_in if depthwise else c_out, h=side, w=side,
        kernel_h=kernel, kernel_w=kernel, stride_h=stride, stride_w=stride, pad_h=kernel // 2, pad_w=kernel // 2,
        groups=c_in if depthwise else 1,
    )  # fmt: skip


def _norm(chance: random.Random, dtype: str) -> Operator:
    kind = chance.choice(["layernorm", "rmsnorm"])
    return Norm(dtype=dtype, kind=kind, rows=_size(chance, 1, 65536), cols=_size(chance, 64, 16384))


def _softmax(chance: random.Random, dtype: str) -> Operator:
    return Softmax(dtype=dtype, rows=_size(chance, 1, 65536), cols=_size(chance, 16, 65536))


def _elementwise(chance: random.Random, dtype: str) -> Operator:
    kind = chance.choice([*UNARY, *BINARY])
    return Elementwise(dtype=dtype, kind=kind, elements=_size(chance, 1024, 2**29), inputs=2 if kind in BINARY else 1)


def _embedding(chance: random.Random, dtype: str) -> Operator:
    return Embedding(dtype=dtype, rows=_size(chance, 1, 65536), cols=_size(chance, 64, 8192))


_DRAWS: dict[str, Callable[[random.Random, str], Operator]] = {
    "gemm": _gemm, "attention": _attention, "conv": _conv, "norm": _norm, "softmax": _softmax, "elementwise": _elementwise,
    "embedding": _embedding,
}  # fmt: skip
