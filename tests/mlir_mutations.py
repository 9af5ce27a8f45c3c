"""Damaged MLIR text: what copying, editing and hostile hands make of it. All seeded."""

from __future__ import annotations

import random
import re

_TOKEN = re.compile(r'"[^"\n]*"|[%@#!^]?[\w$.-]+|->|\s+|.')
_PIECES = (
    "( ) [ ] { } < > , : :: = -> - + * ? # ! ^ @ % \" ' \\ / // \n 0 -1 0x7F 1e9 4x 9999999999999999999999 loc( dense< "
    "tensor<?x4xf32> tensor<*xf32> memref<4xf32, 3> vector<[4]xf32> !torch.vtensor<[1],f32> affine_map<(d0) -> (d0)> "
    "affine_set<(d0) : (d0 >= 0)> %0 %0#1 %arg0 @main ^bb0 ^bb0: #map #stablehlo.dot<> {a = 1} <{b}> ({ }) {-# #-} "
    "array<i64: 1> dense_resource<x> strided<[1]> i32 index none complex<f32> tuple<> () true unit to into attributes "
    "scf.yield func.func module return \x00 \u00e9"
).split(" ")


def damaged(text: str, rng: random.Random) -> str:
    """One to four changes of one kind or another."""
    for _ in range(rng.choice((1, 1, 2, 4))):
        text = rng.choice((_truncated, _flipped, _without, _swapped, _inserted, _inserted, _lines))(text, rng)
    return text


def _truncated(text: str, rng: random.Random) -> str:
    return text[: rng.randrange(len(text) + 1)]


def _flipped(text: str, rng: random.Random) -> str:
    at = rng.randrange(len(text)) if text else 0
    return text[:at] + chr(rng.randrange(1, 127)) + text[at + 1 :]


def _tokens(text: str) -> list[str]:
    return _TOKEN.findall(text) or [" "]


def _without(text: str, rng: random.Random) -> str:
    tokens = _tokens(text)
    at = rng.randrange(len(tokens))
    del tokens[at : at + rng.choice((1, 1, 2, 8))]
    return "".join(tokens)


def _swapped(text: str, rng: random.Random) -> str:
    tokens = _tokens(text)
    first, second = rng.randrange(len(tokens)), rng.randrange(len(tokens))
    tokens[first], tokens[second] = tokens[second], tokens[first]
    return "".join(tokens)


def _inserted(text: str, rng: random.Random) -> str:
    tokens = _tokens(text)
    tokens.insert(rng.randrange(len(tokens)), rng.choice(_PIECES) * rng.choice((1, 1, 1, 2, 70)))
    return "".join(tokens)


def _lines(text: str, rng: random.Random) -> str:
    lines = text.split("\n")
    at = rng.randrange(len(lines))
    if rng.random() < 0.5:
        lines.insert(rng.randrange(len(lines)), lines[at])
    else:
        del lines[at]
    return "\n".join(lines)
