"""Families of matrix products."""

from __future__ import annotations

from perfmodel.collect.iree.generator.drawing import Draw
from perfmodel.collect.iree.generator.registry import Parameters, family
from perfmodel.collect.iree.generator.scalars import ACTIVATIONS
from perfmodel.collect.iree.generator.text import Function, Scalars, Value, is_float

# Operands and accumulator; arithmetic narrower than f32 is often emulated, so it gets less of the work.
FORMATS = (
    ("f32", "f32"),
    ("f16", "f16"),
    ("f16", "f32"),
    ("bf16", "bf16"),
    ("bf16", "f32"),
    ("i8", "i32"),
    ("f64", "f64"),
)
FORMAT_WEIGHTS = (12, 2, 2, 1, 2, 4, 1)


def draw_formats(draw: Draw) -> Parameters:
    """``dtype`` of the operands and ``accumulator``."""
    dtype, accumulator = draw.choice(FORMATS, FORMAT_WEIGHTS)
    return {"dtype": dtype, "accumulator": accumulator}


def slow(p: Parameters) -> float:
    """How much dearer an operation of these formats is than in f32, roughly."""
    return {"f32": 1.0, "f64": 2.0, "i8": 2.0}.get(str(p["dtype"]), 6.0)


def multiply_add(s: Scalars, given: list[str]) -> str:
    """c + a b, in the accumulator's dtype."""
    a, b, c = given
    dtype = s.dtypes[c]
    return s.binary("add", c, s.binary("mul", s.cast(a, dtype), s.cast(b, dtype)))


def product(f: Function, a: Value, b: Value, out: str, maps: tuple[str, str, str], extents: dict[str, int]) -> Value:
    """A contraction by index letters: ``("ik", "kj", "ij")``; what the result lacks is summed over."""
    left, right, result = maps
    summed = [axis for axis in dict.fromkeys(left + right) if axis not in result]
    axes = result + "".join(axis.upper() for axis in summed)
    into = f.filled([extents[axis] for axis in result], out)
    return f.generic([(a, left), (b, right)], [(into, result)], axes, multiply_add)[0]


def _draw_gemm(draw: Draw) -> Parameters:
    if draw.chance(0.25):
        m, n, k = draw.extent(1, 32), draw.extent(64, 2048), draw.extent(64, 2048)
    else:
        m, n, k = (draw.extent(4, 1024) for _ in range(3))
    return {"m": m, "n": n, "k": k, **draw_formats(draw)}


def _gemm_work(p: Parameters) -> float:
    return 2.0 * p.get("batch", 1) * p["m"] * p["n"] * p["k"] * slow(p)


@family("gemm", draw=_draw_gemm, work=_gemm_work, small=2e5, large=1.6e8)
def gemm(p: Parameters) -> str:
    """C[m, n] = A[m, k] · B[k, n]."""
    f = Function()
    a, b = f.argument((p["m"], p["k"]), p["dtype"]), f.argument((p["k"], p["n"]), p["dtype"])
    return f.text(f.named("matmul", [a, b], f.filled((p["m"], p["n"]), p["accumulator"])))


def _draw_transposed(draw: Draw) -> Parameters:
    return {**_draw_gemm(draw), "maps": draw.choice(("ik,jk,ij", "ki,kj,ij", "ki,jk,ij", "ik,kj,ji"))}


@family("gemm_transposed", draw=_draw_transposed, work=_gemm_work, small=2e5, large=1.2e8)
def gemm_transposed(p: Parameters) -> str:
    """A product of which operands or the result lie transposed, as a linalg.generic."""
    f = Function()
    extents = {"i": p["m"], "j": p["n"], "k": p["k"]}
    left, right, result = p["maps"].split(",")
    a, b = (f.argument([extents[axis] for axis in text], p["dtype"]) for text in (left, right))
    return f.text(product(f, a, b, p["accumulator"], (left, right, result), extents))


def _draw_fused(draw: Draw) -> Parameters:
    p = _draw_gemm(draw)
    if not is_float(p["accumulator"]):
        p["activation"] = draw.choice(("relu", "none", "requantise", "requantise"))
    else:
        p["activation"] = draw.choice(("none", *ACTIVATIONS))
    return {**p, "bias": draw.choice(("row", "column", "none"), (6, 1, 2)), "residual": draw.chance(0.3)}


@family("gemm_fused", draw=_draw_fused, work=_gemm_work, small=2e5, large=1.2e8, weight=2.0)
def gemm_fused(p: Parameters) -> str:
    """A product with bias, activation and residual behind it."""
    f = Function()
    a, b = f.argument((p["m"], p["k"]), p["dtype"]), f.argument((p["k"], p["n"]), p["dtype"])
    out = p["accumulator"]
    extras = []
    if p["bias"] != "none":
        extras.append(
            (f.argument((p["n"] if p["bias"] == "row" else p["m"],), out), "j" if p["bias"] == "row" else "i")
        )
    if p["residual"]:
        extras.append((f.argument((p["m"], p["n"]), out), "ij"))
    c = f.named("matmul", [a, b], f.filled((p["m"], p["n"]), out))
    result = "i8" if p["activation"] == "requantise" else out

    def body(s: Scalars, given: list[str]) -> str:
        x = given[0]
        for other in given[1:-1]:
            x = s.binary("add", x, other)
        if p["activation"] == "requantise":
            scaled = s.binary("mul", s.cast(x, "f32"), s.constant(0.0125, "f32"))
            low, high = s.constant(-128, "f32"), s.constant(127, "f32")
            return s.cast(s.binary("min", s.binary("max", s.unary("math.roundeven", scaled), low), high), "i8")
        if p["activation"] == "relu" and not is_float(out):
            return s.binary("max", x, s.constant(0, out))
        return ACTIVATIONS[p["activation"]](s, x) if p["activation"] != "none" else x

    into = f.empty((p["m"], p["n"]), result)
    return f.text(f.generic([(c, "ij"), *extras], [(into, "ij")], "ij", body)[0])


def _draw_batched(draw: Draw) -> Parameters:
    m, n, k = draw.extent(1, 256), draw.extent(8, 512), draw.extent(8, 256)
    return {"batch": draw.extent(2, 64), "m": m, "n": n, "k": k, "transposed": draw.chance(0.4), **draw_formats(draw)}


@family("gemm_batched", draw=_draw_batched, work=_gemm_work, small=2e5, large=1.2e8)
def gemm_batched(p: Parameters) -> str:
    """C[b, m, n] = A[b, m, k] · B[b, k, n], or of B[b, n, k]."""
    f = Function()
    extents = {"i": p["batch"], "j": p["m"], "k": p["n"], "l": p["k"]}
    a = f.argument((p["batch"], p["m"], p["k"]), p["dtype"])
    if p["transposed"]:
        b = f.argument((p["batch"], p["n"], p["k"]), p["dtype"])
        return f.text(product(f, a, b, p["accumulator"], ("ijl", "ikl", "ijk"), extents))
    b = f.argument((p["batch"], p["k"], p["n"]), p["dtype"])
    return f.text(f.named("batch_matmul", [a, b], f.filled((p["batch"], p["m"], p["n"]), p["accumulator"])))


def _draw_matvec(draw: Draw) -> Parameters:
    form = draw.choice(("matvec", "vecmat", "dot", "batch_matvec"), (4, 4, 1, 2))
    if form == "dot":
        return {"form": form, "m": 1, "k": draw.extent(256, 400_000), **draw_formats(draw)}
    batch = {"batch": draw.extent(2, 32)} if form == "batch_matvec" else {}
    return {"form": form, "m": draw.extent(16, 4096), "k": draw.extent(16, 4096), **batch, **draw_formats(draw)}


@family(
    "matvec",
    draw=_draw_matvec,
    work=lambda p: 2.0 * p.get("batch", 1) * p["m"] * p["k"] * slow(p),
    small=1e5,
    large=2e7,
)
def matvec(p: Parameters) -> str:
    """Products of a matrix and a vector, and of two vectors."""
    f = Function()
    m, k, dtype, out = p["m"], p["k"], p["dtype"], p["accumulator"]
    if p["form"] == "dot":
        return f.text(f.named("dot", [f.argument((k,), dtype), f.argument((k,), dtype)], f.filled((), out)))
    if p["form"] == "matvec":
        return f.text(f.named("matvec", [f.argument((m, k), dtype), f.argument((k,), dtype)], f.filled((m,), out)))
    if p["form"] == "vecmat":
        return f.text(f.named("vecmat", [f.argument((k,), dtype), f.argument((k, m), dtype)], f.filled((m,), out)))
    operands = [f.argument((p["batch"], m, k), dtype), f.argument((p["batch"], k), dtype)]
    return f.text(f.named("batch_matvec", operands, f.filled((p["batch"], m), out)))


def _draw_dequantised(draw: Draw) -> Parameters:
    group = draw.choice((32, 64, 128))
    return {
        "m": draw.choice((1, 1, 4, 16, 64, 128)),
        "n": draw.extent(64, 1024),
        "groups": draw.whole(1, 12),
        "group": group,
        "dtype": draw.choice(("f32", "f16"), (4, 1)),
    }


@family(
    "gemm_dequantised",
    draw=_draw_dequantised,
    work=lambda p: 2.0 * (p["m"] + 2) * p["n"] * p["groups"] * p["group"] * 2,
    small=2e5,
    large=6e7,
)
def gemm_dequantised(p: Parameters) -> str:
    """Weights of whole numbers with a scale a group, made floating and multiplied."""
    f = Function()
    m, n, g, s, dtype = p["m"], p["n"], p["groups"], p["group"], p["dtype"]
    weights, scales = f.argument((n, g, s), "i8"), f.argument((n, g), dtype)
    x = f.argument((m, g, s), dtype)

    def scaled(b: Scalars, given: list[str]) -> str:
        return b.binary("mul", b.cast(given[0], dtype), given[1])

    floating = f.generic([(weights, "ijk"), (scales, "ij")], [(f.empty((n, g, s), dtype), "ijk")], "ijk", scaled)[0]
    return f.text(product(f, x, floating, dtype, ("ikl", "jkl", "ij"), {"i": m, "j": n, "k": g, "l": s}))
