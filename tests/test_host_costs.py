"""What kernels do, counted by hand, and the factors that are made of it."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from perfmodel.hardware import load_device
from perfmodel.models.host.context import COLUMNS
from perfmodel.models.host.features import numbers
from perfmodel.models.host.work import CHANNELS_LAST, INTEGERS, TERMS, Costs, keys, terms
from perfmodel.ops import Conv, Elementwise, Gemm, Operator
from perfmodel.ops.table import columns_of

BLOCKED = "com.microsoft.nchwc::Conv"


def table(*rows: tuple[Operator, str], **stand: float) -> dict[str, np.ndarray]:
    """Operators as their kernels, as a table of traces."""
    found = []
    for op, kernel in rows:
        found.append({**columns_of(op), "kernel": kernel, "fused": None, **dict.fromkeys(COLUMNS, 0.0), **stand})
    names = list(dict.fromkeys(name for row in found for name in row))
    return {name: np.array([row.get(name) for row in found], dtype=object) for name in names}


def amounts(*rows: tuple[Operator, str], **stand: float) -> dict[str, np.ndarray]:
    """Their amounts by term, beside the places of an image and the FLOPs that are asked for in the unit of ``lanes``."""
    mine = table(*rows, **stand)
    columns, base = numbers(mine, load_device("xeon-8380"))
    values, places = terms(mine, columns, base)
    flops = np.array([float(np.sum(op.product_flops)) for op, _ in rows]) * 1e-11
    return dict(zip(TERMS, values.T, strict=True)) | {"places": places, "flops": flops}


def along_time(width: int, stride: int = 1) -> Conv:
    return Conv(
        batch=64,
        c_in=128,
        c_out=64,
        h=1,
        w=width,
        kernel_h=1,
        kernel_w=3,
        pad_h=0,
        pad_w=1,
        stride_w=stride,
        dtype="fp32",
    )


def test_few_places_of_an_image_fill_a_part_of_a_vector_whatever_the_batch() -> None:
    found = amounts(
        (along_time(4), "Conv"), (along_time(4, 2), "Conv"), (along_time(1), "Conv"), (along_time(20), "Conv")
    )
    assert found["places"] == pytest.approx([4, 2, 1, 20])
    # Of 16 columns there are 4, 2; one column is a matrix times a vector and takes 4; of 32 there are 20.
    assert found["lanes"] / found["flops"] == pytest.approx([16 / 4, 16 / 2, 4, 32 / 20])
    assert found["tiles"] / found["lanes"] == pytest.approx([66 / 64] * 4)  # 64 filters in tiles of 6 rows
    assert found["calls"] == pytest.approx([64e-6] * 4)  # a product an image
    assert found["packed"] == pytest.approx([64 * places * 128 * 3 * 1e-9 for places in (4, 2, 1, 20)])


def test_blocked_convolutions_take_four_blocks_of_filters_at_a_time() -> None:
    def conv(c_out: int) -> tuple[Operator, str]:
        return Conv(
            batch=1, c_in=32, c_out=c_out, h=9, w=9, kernel_h=3, kernel_w=3, pad_h=1, pad_w=1, dtype="fp32"
        ), BLOCKED

    found = amounts(conv(8), conv(40), conv(64))
    assert found["lanes"] == pytest.approx(found["flops"])
    assert found["tiles"] / found["flops"] == pytest.approx([32 / 8, 64 / 40, 1])
    assert found["taps"] == pytest.approx([81 * 9 * 1e-9] * 3)


def test_channels_last_have_filters_as_columns_and_channels_that_stand_alone_as_lanes() -> None:
    dense = Conv(batch=2, c_in=8, c_out=20, h=5, w=5, kernel_h=1, kernel_w=1, dtype="int8")
    alone = Conv(
        batch=1, c_in=20, c_out=20, h=5, w=5, kernel_h=3, kernel_w=3, pad_h=1, pad_w=1, groups=20, dtype="int8"
    )
    found = amounts((dense, CHANNELS_LAST), (alone, CHANNELS_LAST))
    assert found["lanes"] / found["flops"] == pytest.approx([32 / 20, 24 / 20])
    assert found["tiles"] / found["flops"] == pytest.approx([32 / 20 * 54 / 50, 32 / 20])  # 50 places in tiles of 6
    assert found["packed"] == pytest.approx([0, 25 * 9 * 20 * 1e-9])  # one tap needs no patches
    assert found["calls"] == pytest.approx([1e-6, 1e-6])


def test_products_are_filled_up_to_tiles() -> None:
    found = amounts((Gemm(m=8, n=20, k=10, batch=3, dtype="fp32"), "MatMul"))
    assert found["lanes"] == pytest.approx([3 * 2 * 8 * 32 * 10 * 1e-11])
    assert found["tiles"] == pytest.approx([3 * 2 * 12 * 32 * 10 * 1e-11])
    assert found["calls"] == pytest.approx([3e-6])


def test_an_operand_that_no_weight_is_is_packed_in_each_call() -> None:
    product = Gemm(m=8, n=20, k=10, dtype="fp32")
    assert amounts((product, "MatMul"))["packed"] == pytest.approx([200e-9])
    assert amounts((product, "MatMul"), weight_bytes=800.0)["packed"] == [0]  # 200 numbers, stored
    heads = Gemm(m=8, n=20, k=10, batch=3, dtype="fp32")
    assert amounts((heads, "MatMul"))["packed"] == pytest.approx([600e-9])


def test_integer_convolutions_pack_filters_for_each_image_and_have_a_narrow_tile() -> None:
    def conv(width: int) -> tuple[Operator, str]:
        return Conv(
            batch=5, c_in=4, c_out=6, h=1, w=width, kernel_h=1, kernel_w=3, pad_h=0, pad_w=1, dtype="int8"
        ), INTEGERS

    found = amounts(conv(2), conv(8), conv(9), weight_bytes=72.0)
    assert found["lanes"] / found["flops"] == pytest.approx([8 / 2, 1, 16 / 9])
    assert found["weights"] == pytest.approx([5 * 72e-10] * 3)
    assert found["stretches"] == pytest.approx([0, 0, 0])
    assert amounts((along_time(4), "Conv"), weight_bytes=72.0)["weights"] == pytest.approx([72e-10])


def test_patches_are_written_row_by_row() -> None:
    # 20 rows of places, 3 taps of 7 channels: rows of one place are as many jumps as numbers.
    narrow = Conv(batch=2, c_in=7, c_out=5, h=22, w=1, kernel_h=3, kernel_w=1, pad_h=0, pad_w=0, dtype="int8")
    wide = Conv(batch=2, c_in=7, c_out=5, h=22, w=10, kernel_h=3, kernel_w=1, pad_h=0, pad_w=0, dtype="int8")
    found = amounts((narrow, INTEGERS), (wide, INTEGERS), (narrow, CHANNELS_LAST))
    assert found["stretches"] == pytest.approx([2 * 20 * 21e-8, 2 * 20 * 21e-8, 0])
    assert found["packed"] == pytest.approx([2 * 20 * 21e-9, 2 * 200 * 21e-9, 2 * 20 * 21e-9])


def test_stretches_are_what_lies_between_two_jumps() -> None:
    add = Elementwise(kind="add", elements=1200, inputs=2, dtype="fp32")
    sizes = {"output_bytes": 4800.0, "input_bytes": 4800.0}
    assert amounts((add, "Add"), contiguous_elements=12.0, **sizes)["stretches"] == pytest.approx([100e-8])
    assert amounts((add, "Add"), contiguous_elements=1200.0, **sizes)["stretches"] == [0]


@settings(max_examples=30, deadline=None)
@given(
    st.integers(1, 300),
    st.integers(1, 40),
    st.integers(1, 40),
    st.sampled_from(["Conv", BLOCKED, CHANNELS_LAST, INTEGERS]),
)
def test_no_kernel_does_less_than_it_is_asked_for(batch: int, c_out: int, width: int, kernel: str) -> None:
    op = Conv(batch=batch, c_in=3, c_out=c_out, h=1, w=width, kernel_h=1, kernel_w=3, pad_h=0, pad_w=1, dtype="fp32")
    found = amounts((op, kernel))
    assert found["flops"][0] <= found["lanes"][0] * (1 + 1e-9) <= found["tiles"][0] * (1 + 2e-9)
    assert all(np.isfinite(value).all() and (value >= 0).all() for value in found.values())


def test_the_finest_factors_count_and_where_there_are_none_the_first_estimate() -> None:
    mine = table(
        (Gemm(m=1, n=1, k=1, dtype="fp32"), "MatMul"),
        (Gemm(m=1, n=1, k=1, dtype="fp32"), "Gemm"),
        (Elementwise(kind="add", elements=1, inputs=2, dtype="fp32"), "Add"),
    )
    assert [level.tolist()[:2] for level in keys(mine)] == [
        ["gemm|fp32|", "gemm|fp32|"], ["MatMul|", "Gemm|"], ["MatMul|fp32|", "Gemm|fp32|"],
    ]  # fmt: skip

    def calls(of_a_call: float) -> tuple[float, ...]:
        return (of_a_call, *[0.0] * (len(TERMS) - 1))

    costs = Costs({"gemm|fp32|": calls(2.0), "MatMul|": calls(3.0)})
    amounts_of = np.zeros((3, len(TERMS)))
    amounts_of[:, 0] = 1e-6
    assert costs.seconds(mine, amounts_of, np.full(3, 9e-6)) == pytest.approx([3e-6, 2e-6, 9e-6])


def test_factors_follow_a_law_far_beyond_what_was_measured_and_a_disturbed_row_pulls_little() -> None:
    from perfmodel.training.host_costs import factors

    rng = np.random.default_rng(0)
    values = np.zeros((60, len(TERMS)))
    call, lanes, bytes_ = (TERMS.index(name) for name in ("call", "lanes", "bytes"))
    values[:, call] = 1e-6
    values[:, lanes], values[:, bytes_] = 10 ** rng.uniform(-6, -3, 60), 10 ** rng.uniform(-6, -4, 60)
    seconds = 3 * values[:, call] + 1.5 * values[:, lanes] + 0.5 * values[:, bytes_]
    seconds[0] *= 20
    found = factors(values, seconds, np.ones(60))
    large = np.zeros(len(TERMS))
    large[[call, lanes, bytes_]] = 1e-6, 0.1, 1e-3
    # One of sixty logarithms is off by 3, and moves their mean by a twentieth.
    assert large @ found == pytest.approx(3e-6 + 0.15 + 5e-4, rel=0.06)
    assert (found >= 0).all()


def test_what_hardly_varied_gets_no_factor_of_thousands() -> None:
    """Four bytes of a scale beside every kernel explain the 5 us of a call as well as the call does, until there are 4 kB."""
    from perfmodel.training.host_costs import factors

    values = np.zeros((40, len(TERMS)))
    call, weights = TERMS.index("call"), TERMS.index("weights")
    values[:, call], values[:, weights] = 1e-6, 4e-10
    found = factors(values, np.full(40, 5e-6), np.ones(40))
    assert values[0] @ found == pytest.approx(5e-6, rel=0.02)
    larger = values[0].copy()
    larger[weights] *= 1000
    assert larger @ found == pytest.approx(5e-6, rel=0.1)


def test_factors_need_rows_of_several_models() -> None:
    from perfmodel.training.host_costs import FEWEST_MODELS, FEWEST_ROWS, fit_costs

    count = FEWEST_ROWS
    mine = table(*[(Gemm(m=1, n=1, k=i + 1, dtype="fp32"), "MatMul") for i in range(count)])
    values = np.zeros((count, len(TERMS)))
    values[:, 0] = 1e-6
    seconds, ones = np.full(count, 5e-6), np.ones(count)
    few = np.array([f"m{i % (FEWEST_MODELS - 1)}" for i in range(count)])
    many = np.array([f"m{i % FEWEST_MODELS}" for i in range(count)])
    assert fit_costs(mine, values, seconds, ones, few).factors == {}
    found = fit_costs(mine, values, seconds, ones, many)
    assert set(found.factors) == {"gemm|fp32|", "MatMul|", "MatMul|fp32|"}
    assert found.seconds(mine, values, seconds) == pytest.approx(seconds, rel=0.01)
