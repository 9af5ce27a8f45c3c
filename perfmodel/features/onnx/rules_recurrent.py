"""Rules of recurrent layers."""

from __future__ import annotations

from typing import Any

from perfmodel import ops
from perfmodel.features.onnx.call import Call, Modelled, Rule, RuleError

_ACTIVATIONS: dict[str, str] = {
    "affine": "fma", "elu": "elu", "hardsigmoid": "hard_sigmoid", "leakyrelu": "leaky_relu", "relu": "relu",
    "scaledtanh": "tanh", "sigmoid": "sigmoid", "softplus": "softplus", "softsign": "softsign", "tanh": "tanh",
    "thresholdedrelu": "thresholded_relu",
}  # fmt: skip
"""What recurrent layers call their activations (in any case), and the names of the costs."""


def _activations(call: Call) -> str | None:
    given = call.get("activations", None)
    if not given:
        return None
    names = [_ACTIVATIONS.get(str(name).lower()) for name in given]
    if None in names:
        raise RuleError(f"its activation {given[names.index(None)]!r} is not known")
    return "+".join(str(name) for name in names)


def recurrent_layer(call: Call, kind: str, *, hidden: Any, directions: Any) -> Modelled:
    """The descriptor of LSTM, GRU or RNN(X, W, R, B, sequence lengths, initial h, initial c, peepholes).

    Sequences shorter than the longest count whole: kernels step through all of them together. ``linear_before_reset`` of
    GRU moves one multiplication from before the product to behind it and changes no count.

    Args:
        hidden, directions: units of the layer, and its directions.
    """
    x = call.shape(0)
    if len(x) != 3:
        raise RuleError(f"its input has the rank {len(x)}, not 3")
    seq_len, batch = (x[1], x[0]) if call.get("layout", 0) == 1 else (x[0], x[1])
    op = ops.Rnn(
        kind=kind, batch=batch, seq_len=seq_len, input_size=x[2], hidden_size=hidden, directions=directions,
        bias=call.has(3), peepholes=kind == "lstm" and call.has(7), activations=_activations(call), dtype=call.dtype,
    )  # fmt: skip
    read = sum(call.tensor(i).bytes for i in (3, 4, 5, 6, 7) if call.has(i))
    clip: tuple[ops.Operator, ...] = ()
    if call.get("clip", 0.0):
        inputs = ops.Elementwise(
            kind="clip", elements=op.gates * batch * seq_len * hidden * directions, inputs=0, dtype=call.dtype
        )
        clip = (inputs,)
    return Modelled(op, {}, clip, read)


def recurrent(kind: str) -> Rule:
    """LSTM, GRU and RNN with weights [directions, gates * hidden, inputs]."""

    def rule(call: Call) -> Modelled:
        w, r = call.shape(1), call.shape(2)
        if len(w) != 3 or len(r) != 3:
            raise RuleError("its weights do not have the rank 3")
        return recurrent_layer(call, kind, hidden=r[2], directions=w[0])

    return rule


RULES: dict[str, Rule] = {"LSTM": recurrent("lstm"), "GRU": recurrent("gru"), "RNN": recurrent("rnn")}
