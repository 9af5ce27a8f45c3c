"""Sweep models: every chain is a model that ONNX Runtime runs, draws repeat, and hold the kernels that networks have."""

from __future__ import annotations

import numpy as np
import onnx
import pytest
from onnx import TensorProto, helper, numpy_helper

from perfmodel.collect.sweeps.builder import Builder
from perfmodel.collect.sweeps.families import CHAINS, KINDS, SIZES, draw, usual_weights
from perfmodel.features import read_onnx

onnxruntime = pytest.importorskip("onnxruntime", reason="the extra collect is not installed")


def optimised(model: onnx.ModelProto, path: object) -> onnx.ModelProto:
    """What ONNX Runtime makes of a model, after running it once."""
    from perfmodel.collect.onnxruntime_cpu import random_inputs

    options = onnxruntime.SessionOptions()
    options.log_severity_level = 4
    options.intra_op_num_threads = 1
    options.optimized_model_filepath = str(path)
    session = onnxruntime.InferenceSession(model.SerializeToString(), options, providers=["CPUExecutionProvider"])
    session.run(None, random_inputs(session.get_inputs(), {}, 0))
    return onnx.load(str(path))


@pytest.mark.parametrize("chain", CHAINS)
def test_a_chain_runs_at_every_size(chain, tmp_path):
    for seed, flops in enumerate((1e3, 1e5, 3e6)):
        b = Builder(np.random.default_rng(seed))
        CHAINS[chain](b, flops)
        assert len(b) > 0
        assert b.flops > 0
        optimised(b.model(chain), tmp_path / "optimised.onnx")


def test_a_number_is_the_same_piece_whatever_was_drawn_before():
    first = draw(4, seed=3)
    draw(1, seed=3)
    again = draw(4, seed=3)
    assert first.model.SerializeToString() == again.model.SerializeToString()
    assert first.chains == again.chains
    assert draw(4, seed=4).model.SerializeToString() != first.model.SerializeToString()


def test_sizes_take_turns_and_a_hot_piece_is_one_chain():
    pieces = [draw(number, seed=0) for number in range(3)]
    assert [p.size for p in pieces] == list(SIZES) == ["large", "small", "hot"]
    assert len(pieces[2].chains) == 1
    assert len(pieces[1].chains) > 5


def test_weights_decide_which_chains_are_drawn():
    weights = dict.fromkeys(usual_weights(), 0.0) | {"linear": 1.0}
    assert set(draw(1, seed=0, weights=weights).chains) == {"linear"}


def test_usual_weights_are_shares_of_every_chain():
    weights = usual_weights()
    assert set(weights) == {name for chains in KINDS.values() for name in chains}
    assert sum(weights.values()) == pytest.approx(1.0)


def test_sweeps_lead_to_the_kernels_that_networks_have(tmp_path):
    found: set[str] = set()
    for number in (1, 4, 7, 10):  # of many small chains
        model = optimised(draw(number, seed=0).model, tmp_path / "o.onnx")
        found |= {f"{node.domain}::{node.op_type}" for node in model.graph.node}
    wanted = {
        "com.microsoft.nchwc::Conv", "com.microsoft::FusedMatMul",
        "com.microsoft::SkipLayerNormalization", "com.microsoft::DynamicQuantizeMatMul", "::ConvInteger",
        "com.microsoft::QLinearMatMul", "::LSTM", "com.microsoft::DynamicQuantizeLSTM", "com.microsoft::QuickGelu",
        "com.microsoft::MatMulIntegerToFloat", "com.microsoft::QLinearConv",
    }  # fmt: skip
    # Domains of standard operators differ between versions: the name after them counts.
    names = {name.rpartition("::")[2] for name in found}
    assert {name.rpartition("::")[2] for name in wanted} <= names


def test_gelu_with_a_bias_stands_alone_in_some_chains(tmp_path):
    b = Builder(np.random.default_rng(0))
    for _ in range(12):
        CHAINS["gates"](b, 1e5)
    kinds = {node.op_type for node in optimised(b.model("gates"), tmp_path / "o.onnx").graph.node}
    assert {"BiasGelu", "Gelu"} <= kinds


def test_convolutions_along_one_axis_come_in_batches_of_short_frames_too():
    """Voice detectors cut sound into frames of a few places, each an image of a batch."""
    frames = 0
    for seed in range(40):
        b = Builder(np.random.default_rng(seed))
        CHAINS["along-time"](b, 1e7)
        (value,) = b.model("m").graph.input
        batch, _, places = (d.dim_value for d in value.type.tensor_type.shape.dim)
        frames += batch > 1 and places <= 20
    assert 1 <= frames <= 20


def test_filters_of_the_blocked_layout_may_have_more_channels_than_there_are():
    """20 channels are 24 in blocks of 8: a depthwise 3 x 3 over 10 x 10 places computes 2 * 9 * 24 * 100 FLOPs."""
    weight = numpy_helper.from_array(np.zeros((24, 1, 3, 3), np.float32), "w")
    node = helper.make_node(
        "Conv",
        ["x", "w"],
        ["y"],
        name="c",
        domain="com.microsoft.nchwc",
        group=24,
        kernel_shape=[3, 3],
        pads=[1, 1, 1, 1],
    )
    graph = helper.make_graph(
        [node], "g", [helper.make_tensor_value_info("x", TensorProto.FLOAT, [1, 20, 10, 10])],
        [helper.make_tensor_value_info("y", TensorProto.FLOAT, [1, 24, 10, 10])], [weight],
    )  # fmt: skip
    model = helper.make_model(
        graph, opset_imports=[helper.make_opsetid("", 17), helper.make_opsetid("com.microsoft.nchwc", 1)], ir_version=8
    )
    (found,) = read_onnx(model).nodes
    assert found.flops == 2 * 9 * 24 * 100
