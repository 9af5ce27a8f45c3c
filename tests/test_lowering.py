"""What the compiler's heuristics make of linalg: loop nests, dispatches, tiles, vector operations; literals counted by hand."""

from __future__ import annotations

from collections import Counter
from math import isfinite, prod

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from perfmodel.characterise.description import describe
from perfmodel.errors import InputError, ModelFileError
from perfmodel.features.lowering.features import features_of, names
from perfmodel.features.lowering.forming import Dispatch, dispatches_of
from perfmodel.features.lowering.loops import Access, LoopNest, collapsed, without_unit_loops
from perfmodel.features.lowering.nests_of import nests_of
from perfmodel.features.lowering.target import HASWELL
from perfmodel.features.lowering.tiling import tiling_of
from perfmodel.features.lowering.vector_code import tiles_of, vector_code
from perfmodel.features.mlir import read


def matmul(m: int, n: int, k: int, dtype: str = "f32", out: str = "f32", behind: str = "") -> str:
    zero, returned = "0.0" if out[0] in "fb" else "0", "%r" if behind else "%c"
    a, b, c, v = (
        f"tensor<{shape}>" for shape in (f"{m}x{k}x{dtype}", f"{k}x{n}x{dtype}", f"{m}x{n}x{out}", f"{n}x{out}")
    )
    return f"""func.func @main(%a: {a}, %b: {b}, %v: {v}) -> {c} {{
  %z = arith.constant {zero} : {out}
  %e = tensor.empty() : {c}
  %f = linalg.fill ins(%z : {out}) outs(%e : {c}) -> {c}
  %c = linalg.matmul ins(%a, %b : {a}, {b}) outs(%f : {c}) -> {c}
{behind}  return {returned} : {c}
}}
"""


def bias_tanh(m: int, n: int) -> str:
    t = f"tensor<{m}x{n}xf32>"
    maps = "affine_map<(i, j) -> (i, j)>, affine_map<(i, j) -> (j)>, affine_map<(i, j) -> (i, j)>"
    return f"""  %r = linalg.generic {{indexing_maps = [{maps}], iterator_types = ["parallel", "parallel"]}}
      ins(%c, %v : {t}, tensor<{n}xf32>) outs(%e : {t}) {{
  ^bb0(%x: f32, %y: f32, %o: f32):
    %s = arith.addf %x, %y : f32
    %t = math.tanh %s : f32
    linalg.yield %t : f32
  }} -> {t}
"""


def reduction(shape: tuple[int, ...], axis: int) -> str:
    loops = ", ".join(f"d{i}" for i in range(len(shape)))
    kept = [i for i in range(len(shape)) if i != axis]
    out = "".join(f"{shape[i]}x" for i in kept)
    kinds = ", ".join('"reduction"' if i == axis else '"parallel"' for i in range(len(shape)))
    maps = f"affine_map<({loops}) -> ({loops})>, affine_map<({loops}) -> ({', '.join(f'd{i}' for i in kept)})>"
    x, y = f"tensor<{'x'.join(map(str, shape))}xf32>", f"tensor<{out}f32>"
    return f"""func.func @main(%a: {x}) -> {y} {{
  %z = arith.constant 0.0 : f32
  %e = tensor.empty() : {y}
  %f = linalg.fill ins(%z : f32) outs(%e : {y}) -> {y}
{summed("%r", maps, kinds, f"%a : {x}", f"%f : {y}", y)}  return %r : {y}
}}
"""


def summed(name: str, maps: str, kinds: str, ins: str, outs: str, result: str) -> str:
    return f"""  {name} = linalg.generic {{indexing_maps = [{maps}], iterator_types = [{kinds}]}} ins({ins}) outs({outs}) {{
  ^bb0(%x: f32, %o: f32):
    %s = arith.addf %x, %o : f32
    linalg.yield %s : f32
  }} -> {result}
"""


def elementwise(*shape: int, steps: int = 1) -> str:
    loops = ", ".join(f"d{i}" for i in range(len(shape)))
    map_ = f"affine_map<({loops}) -> ({loops})>"
    kinds = ", ".join(['"parallel"'] * len(shape))
    t = f"tensor<{'x'.join(map(str, shape))}xf32>"
    lines, last = [], "%a"
    for step in range(steps):
        head = f"  %r{step} = linalg.generic {{indexing_maps = [{map_}, {map_}], iterator_types = [{kinds}]}}"
        lines.append(f"""{head} ins({last} : {t}) outs(%e : {t}) {{
  ^bb0(%x: f32, %o: f32):
    %s = math.exp %x : f32
    linalg.yield %s : f32
  }} -> {t}
""")
        last = f"%r{step}"
    body = "".join(lines)
    return f"func.func @main(%a: {t}) -> {t} {{\n  %e = tensor.empty() : {t}\n{body}  return {last} : {t}\n}}\n"


def dispatches(text: str) -> list[Dispatch]:
    return dispatches_of(nests_of(read(text)))


def test_a_product_is_a_nest_of_three_loops() -> None:
    [_, nest] = nests_of(read(matmul(6, 10, 4))).nests
    assert (nest.kind, nest.extents, nest.reduces) == ("contraction", (6, 10, 4), (False, False, True))
    assert nest.body == Counter(mul=1, add=1)
    assert [a.axes for a in nest.operands] == [((0,), (2,)), ((2,), (1,)), ((0,), (1,))]
    assert [a.bytes for a in nest.operands] == [6 * 4 * 4, 4 * 10 * 4, 6 * 10 * 4]


def test_a_wider_accumulator_casts_both_operands() -> None:
    [_, nest] = nests_of(read(matmul(6, 10, 4, "i8", "i32"))).nests
    assert nest.body == Counter({"i.mul": 1, "i.add": 1, "i.cast": 2})
    assert [a.bits for a in nest.operands] == [8, 8, 32]


def test_windows_are_indexed_by_two_loops() -> None:
    x, w, o = "tensor<1x16x16x8xf32>", "tensor<3x3x8x4xf32>", "tensor<1x14x14x4xf32>"
    text = f"""func.func @main(%x: {x}, %w: {w}, %o: {o}) -> {o} {{
  %r = linalg.conv_2d_nhwc_hwcf ins(%x, %w : {x}, {w}) outs(%o : {o}) -> {o}
  return %r : {o}
}}
"""
    [nest] = nests_of(read(text)).nests
    assert nest.extents == (1, 14, 14, 4, 3, 3, 8)
    assert nest.inputs[0].axes == ((0,), (1, 4), (2, 5), (6,))
    assert nest.iterations == 14 * 14 * 4 * 3 * 3 * 8


def test_what_follows_a_product_is_its_dispatch() -> None:
    [dispatch] = dispatches(matmul(100, 200, 300, behind=bias_tanh(100, 200)))
    assert [n.name for n in dispatch.nests] == ["linalg.matmul", "linalg.generic"]
    assert dispatch.root.kind == "contraction"
    assert dispatch.name == "matmul 100x200x300"


def test_elementwise_chains_are_one_nest_and_flat() -> None:
    [dispatch] = dispatches(elementwise(37, 1001, steps=3))
    [nest] = dispatch.nests
    assert nest.extents == (37 * 1001,)
    assert nest.body == Counter(exp=3)
    assert nest.operations == 3


def test_a_second_reduction_is_a_second_dispatch() -> None:
    whole = "tensor<f32>"
    maps = "affine_map<(i) -> (i)>, affine_map<(i) -> ()>"
    second = f"""  %e2 = tensor.empty() : {whole}
  %f2 = linalg.fill ins(%z : f32) outs(%e2 : {whole}) -> {whole}
{summed("%q", maps, '"reduction"', "%r : tensor<64xf32>", f"%f2 : {whole}", whole)}"""
    text = reduction((64, 32), 1).replace("  return %r : tensor<64xf32>", f"{second}  return %q : {whole}")
    assert [d.root.extents for d in dispatches(text)] == [(64, 32), (64,)]


# Distribution and vector tiles as iree-compile 3.13 --compile-to=executable-configurations prints them for haswell.
@pytest.mark.parametrize(
    ("text", "distribution", "vector"),
    [
        (matmul(64, 64, 64), (8, 64, 0), (8, 8, 8)),
        (matmul(100, 200, 300), (25, 50, 0), (8, 8, 8)),
        (matmul(1, 512, 512), (0, 64, 0), (1, 8, 8)),
        (matmul(384, 1024, 384), (96, 64, 0), (8, 8, 8)),
        (matmul(7, 1000, 64), (7, 50, 0), (7, 8, 8)),
        (matmul(1000, 7, 64), (40, 7, 0), (8, 8, 8)),
        (matmul(128, 128, 128, "f16", "f16"), (16, 64, 0), (8, 16, 16)),
        (elementwise(1_000_000), (4096,), (8,)),
        (elementwise(37, 1001), (4736,), (8,)),
        (elementwise(100, 3), (300,), (8,)),
        (reduction((1024, 1024), 1), (32, 0), (8, 8)),
        (reduction((1024, 1024), 0), (32, 0), (8, 1)),
        (reduction((64, 128, 32), 1), (8, 32, 0), (1, 8, 1)),
        (reduction((1000, 1000), 1), (25, 0), (8, 8)),
        (reduction((100_000,), 0), (0,), (8,)),
    ],
)
def test_tiles_are_those_that_the_compiler_prints(
    text: str, distribution: tuple[int, ...], vector: tuple[int, ...]
) -> None:
    [dispatch] = dispatches(text)
    tiling = tiling_of(dispatch.root, HASWELL)
    assert (tiling.distribution, tiling.vector) == (distribution, vector)


def test_tiles_of_a_loop() -> None:
    # 100 in groups of 30: three whole ones of 3 x 8 + 6, and one of 10 = 8 + 2.
    tiles = tiles_of(100, 30, 8)
    assert (tiles.full, tiles.partial, tiles.leftover, tiles.shapes) == (10, 4, 20, 3)


def test_vector_operations_of_a_product() -> None:
    [dispatch] = dispatches(matmul(16, 16, 16))
    code = vector_code(dispatch.root, (8, 16, 0), (8, 8, 8), HASWELL)
    # A tile of 8 x 8 x 8: 64 vectors of 8 lanes; 8 tiles of 8^3 in 16^3, 16^3 / 8 vectors in all.
    assert (code.lanes, code.unrolled, code.tiles) == (8, 64, 8)
    assert code.static["mul"] == 64
    assert code.executed["mul"] == 512
    assert code.static["load"] == 8  # the rows of B; A's 64 numbers are broadcast
    assert code.static["broadcast_load"] == 64


def test_formats_stand_before_what_is_computed_in_them() -> None:
    # bf16 has no instruction that rounds, f16 one that converts: they cost differently.
    [dispatch] = dispatches(matmul(8, 8, 8, "bf16"))
    assert dispatch.root.body == Counter({"mul": 1, "add": 1, "bf16.cast": 2})
    [dispatch] = dispatches(matmul(8, 8, 8, "f16", "f16"))
    assert dispatch.root.body == Counter({"f16.mul": 1, "f16.add": 1})
    values = features_of(dispatch, HASWELL).values
    assert (values["body_mul"], values["body_half"], values["body_brain"]) == (1, 2, 0)
    assert (values["half_operands"], values["brain_operands"]) == (3, 0)


def test_a_strided_window_is_gathered() -> None:
    # Rows of 17 read by 8 outputs and a window of 3: every other element; of 10 by 8 and 3 each one.
    def counted(width: int) -> Counter[str]:
        read_ = Access(((0, 1),), (width,), 32)
        assert read_.step(0, (8, 3)) == (2 if width == 17 else 1)
        filters, out = Access(((1,),), (3,), 32), Access(((0,),), (8,), 32)
        body = Counter(mul=1, add=1)
        nest = LoopNest("linalg.conv_1d", "convolution", (8, 3), (False, True), (read_, filters), (out,), body)
        return vector_code(nest, (8, 0), (8, 1), HASWELL).executed

    assert counted(10)["load"] == 3
    assert "gather_load" not in counted(10)
    assert counted(17)["gather_load"] == 24


def test_lanes_of_a_sum_are_added_up_one_by_one() -> None:
    [dispatch] = dispatches(reduction((16, 64), 1))
    # Rows of 64 in lanes of 8: 16 x 8 vectors, whose lanes are one sum.
    assert features_of(dispatch, HASWELL).executed["lane_sum"] == 128
    [dispatch] = dispatches(reduction((64, 16), 0))  # columns, each in a lane of its own
    assert features_of(dispatch, HASWELL).executed["lane_sum"] == 0


def test_tiles_grow_to_the_next_that_divides_the_loop() -> None:
    from perfmodel.features.lowering.tiling import _merge_workgroups

    def merged(extents: tuple[int, ...], tiles: list[int], hints: tuple[int, ...]) -> list[int]:
        _merge_workgroups(extents, tiles, [64] * len(extents), hints, limit=16, fewest=8)
        return tiles

    # iree-compile 3.13 on convolutions and batched products: 8 of 24 doubles to 16, which does not divide it, so it is 24.
    assert merged((48, 24, 24), [4, 24, 8], (1, 1, 8)) == [4, 24, 24]
    assert merged((4, 80, 64), [1, 8, 64], (8, 8, 8)) == [1, 40, 64]
    # 40 whole would leave 4 workgroups for 8 threads.
    assert merged((4, 40, 64), [1, 8, 64], (8, 8, 8))[1] == 8


def test_unit_and_neighbouring_loops_vanish() -> None:
    access = Access(((0,), (1,), (2,)), (4, 1, 8), 32)
    nest = LoopNest("linalg.exp", "elementwise", (4, 1, 8), (False,) * 3, (access,), (access,), Counter(exp=1))
    flat = collapsed(without_unit_loops(nest))
    assert (flat.extents, flat.inputs[0].shape, flat.inputs[0].axes) == ((32,), (32,), ((0,),))


def test_unknown_operations_are_listed() -> None:
    made_up = '  %u = "made.up"(%a) : (tensor<64xf32>) -> tensor<64xf32>\n'
    text = elementwise(64).replace("  %e = tensor.empty", f"{made_up}  %e = tensor.empty")
    assert describe(text, HASWELL).unknown == Counter({"made.up": 1})


def test_nothing_to_characterise_is_refused() -> None:
    with pytest.raises(ModelFileError, match="it computes nothing"):
        describe("func.func @main(%a: tensor<4xf32>) -> tensor<4xf32> {\n  return %a : tensor<4xf32>\n}\n", HASWELL)


def test_open_dimensions_are_refused() -> None:
    with pytest.raises(InputError, match="static shapes"):
        describe(elementwise(64).replace("tensor<64xf32>", "tensor<?xf32>"), HASWELL)


_extent = st.integers(1, 300)


@settings(max_examples=25)
@given(m=_extent, n=_extent, k=_extent, dtype=st.sampled_from([("f32", "f32"), ("f16", "f32"), ("i8", "i32")]))
def test_tiles_of_products_hold_together(m: int, n: int, k: int, dtype: tuple[str, str]) -> None:
    [dispatch] = dispatches(matmul(m, n, k, *dtype))
    root, tiling = dispatch.root, tiling_of(dispatch.root, HASWELL)
    assert all(0 <= d <= e for d, e in zip(tiling.distribution, root.extents, strict=True))
    assert tiling.distribution[2] == 0  # a reduction is never divided among workgroups
    code = vector_code(root, tiling.distribution, tiling.vector, HASWELL)
    assert m * n * k <= code.executed["mul" if dtype[1] == "f32" else "i.mul"] * code.lanes  # no iteration is lost


@settings(max_examples=25)
@given(shape=st.lists(_extent, min_size=1, max_size=4), axis=st.integers(0, 3))
def test_features_are_finite(shape: list[int], axis: int) -> None:
    [dispatch] = dispatches(reduction(tuple(shape), axis % len(shape)))
    features = features_of(dispatch, HASWELL)
    assert tuple(features.values) == names()
    assert all(isfinite(v) for v in features.values.values())
    assert features.iterations == prod(shape)


@pytest.mark.parametrize(
    ("damage", "reason"),
    [
        (('["parallel", "parallel"]', '["parallel"]'), "1 iterator types for 2 loops"),
        (("affine_map<(i, j) -> (j)>, affine_map<(i, j) -> (i, j)>", "affine_map<(i, j) -> (j)>"), "it has no output"),
    ],
)
def test_maps_and_loops_that_contradict_each_other(damage: tuple[str, str], reason: str) -> None:
    text = matmul(64, 96, 32, behind=bias_tanh(64, 96))
    assert damage[0] in text
    with pytest.raises(ModelFileError, match=f"linalg.generic cannot be read as a loop nest .*{reason}"):
        nests_of(read(text.replace(*damage)))
