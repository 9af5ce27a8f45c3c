"""Options that several commands share."""

from __future__ import annotations

import argparse
import math
from collections.abc import Iterable
from typing import Any

from perfmodel.cli.targets import Written
from perfmodel.errors import InputError

DIM_METAVAR = "NAME=N"


def add_prediction_options(
    parser: argparse.ArgumentParser,
    *,
    device_metavar: str,
    device_help: str,
    ranges: bool = False,
    explains: bool = True,
    model_required: bool = True,
) -> None:
    """MODEL, ``--device`` and everything else that conditions a prediction.

    Args:
        parser: gets them.
        device_metavar, device_help: of ``--device``.
        ranges: whether ``--clock-mhz`` and ``--power-limit-w`` take a range, too (:func:`number_or_range`).
        explains: whether there is an ``--explain``.
        model_required: whether MODEL and ``--device`` must be given.
    """
    parser.add_argument(
        "model",
        metavar="MODEL",
        nargs=None if model_required else "?",
        help="the model file (.onnx or .mlir); its weights are not needed",
    )
    parser.add_argument("--device", metavar=device_metavar, required=model_required, help=device_help)
    parser.add_argument(
        "--dim",
        metavar=DIM_METAVAR,
        action="append",
        default=[],
        help="a number for a symbolic dimension of the model, as in batch=8 (of an MLIR module by argument and axis, as in "
        "arg0_0=8), or for how often the body of a loop runs "
        "where that depends on data, as in decoder_trips=12; once for each",
    )
    parser.add_argument(
        "--dtype",
        metavar="DTYPE",
        help="run the GEMM-like operators (linear, convolution, attention, MoE) in this format, "
        "as in bf16, fp8 or w4a16 (docs/number-formats.md has them all); default: as the file has them",
    )
    parser.add_argument(
        "--dtype-map",
        metavar="KEY=DTYPE,...",
        action="append",
        default=[],
        help="other formats than --dtype for some operators, as in attention=fp8,*/lm_head/*=bf16: a key is an operator "
        "family (gemm, conv, attention, moe, rnn) or a pattern of names, and the most specific one decides; or the path "
        "of a .toml file of such pairs",
    )
    parser.add_argument(
        "--kv-dtype",
        metavar="DTYPE",
        help="store cached keys and values in this format, as in fp8; attention's arithmetic stays",
    )
    parser.add_argument(
        "--predictor",
        metavar="DIR",
        default="default",
        help="a predictor's folder, the name of a shipped one or of one that an installed package registers, or "
        "`analytical` for the physics alone",
    )
    parser.add_argument("--software", metavar="STACK", help="the software stack that runs the model, as in vllm-0.24.0")
    parser.add_argument(
        "--fusion",
        choices=("none", "engine"),
        default="engine",
        help="engine: fuse operators as inference engines do (default); none: one kernel an operator of the file",
    )
    parser.add_argument(
        "--launch",
        choices=("eager", "graph"),
        default="graph",
        help="graph: kernels replayed from a captured graph (default); eager: each launched by the host",
    )
    parser.add_argument(
        "--cache",
        choices=("rotating", "warm", "cold"),
        default="rotating",
        help="what the last-level cache may hold: rotating: activations, while weights come from memory (default); "
        "warm: all operands; cold: nothing",
    )
    number: dict[str, Any] = {"type": number_or_range if ranges else positive}
    also = "; or a range START:STOP:STEP to sweep" if ranges else ""
    parser.add_argument("--clock-mhz", metavar="F", help=f"the clock that the device is locked to{also}", **number)
    parser.add_argument("--power-limit-w", metavar="W", help=f"the device's power limit, below its TDP{also}", **number)
    parser.add_argument(
        "--entry",
        metavar="FUNCTION",
        help="the function of an MLIR module to predict; default: main, forward, or the one that nothing calls",
    )
    if explains:
        parser.add_argument(
            "--explain", action="store_true", help="print, for each operator shown, the terms of its bound"
        )


def add_json_option(parser: argparse.ArgumentParser) -> None:
    """``--json PATH|-``."""
    parser.add_argument(
        "--json",
        metavar="PATH|-",
        action=Written,
        help="write the result as JSON to this file; `-`: to standard output, alone",
    )


def add_force_option(parser: argparse._ActionsContainer) -> None:
    """``--force``, of commands that write one file and keep one that is there."""
    parser.add_argument("--force", action="store_true", help="replace FILE where it exists")


def prediction_conditions(arguments: argparse.Namespace) -> dict[str, Any]:
    """The keyword arguments of :func:`perfmodel.predict` that the options give.

    Raises:
        InputError: a ``--dim`` is not NAME=N, or one name has two numbers.
    """
    return {
        "dims": parse_dims(arguments.dim),
        "dtype": arguments.dtype,
        "dtype_map": _dtype_map(arguments.dtype_map),
        "kv_dtype": arguments.kv_dtype,
        "predictor": arguments.predictor,
        "software": arguments.software,
        "fusion": arguments.fusion,
        "launch": arguments.launch,
        "clock_mhz": arguments.clock_mhz,
        "power_limit_w": arguments.power_limit_w,
        "cache": arguments.cache,
        "entry": arguments.entry,
    }


def names_of(text: str | None) -> list[str] | None:
    """Names that stand in a row, with commas between them; None where the option was left out."""
    return None if text is None else [part.strip() for part in text.split(",") if part.strip()]


def device_list(text: str) -> list[str]:
    """The devices named, in order, each once.

    Raises:
        InputError: there are none.
    """
    devices = list(dict.fromkeys(names_of(text) or ()))
    if not devices:
        raise InputError(f"--device {text!r} names no device: wanted ids separated by commas, as in h100-sxm,l40s")
    return devices


def _dtype_map(texts: list[str]) -> dict[str, str]:
    if not texts:
        return {}
    from perfmodel.predict.dtype_map import parse

    return parse(texts)


def parse_dims(pairs: Iterable[str]) -> dict[str, int]:
    """Dimensions by name from ``["batch=8", "seq=128"]``.

    Raises:
        InputError: a pair is not NAME=N with a whole number N of at least 1, or one name has two numbers.
    """
    dims: dict[str, int] = {}
    for pair in pairs:
        # Exporters make names such as `past_sequence_length + 1`: everything before the last `=` is the name.
        name, equals, number = pair.rpartition("=")
        name = name.strip()
        try:
            value = int(number)
        except ValueError:
            value = 0
        if not equals or not name or value < 1:
            raise InputError(f"--dim {pair!r}: wanted {DIM_METAVAR} with a whole number of at least 1, as in batch=8")
        if dims.setdefault(name, value) != value:
            raise InputError(f"--dim gives {name!r} twice: {dims[name]} and {value}")
    return dims


def positive(text: str) -> float:
    """A finite number above 0, for argparse."""
    try:
        value = float(text)
    except ValueError:
        value = math.nan
    if not (value > 0 and math.isfinite(value)):
        raise argparse.ArgumentTypeError(f"{text!r} is no number above 0")
    return value


LONGEST_RANGE = 1000
"""Numbers that a range may have."""


def number_or_range(text: str) -> float | list[float]:
    """A finite number above 0, or those of START:STOP:STEP, the last included, for argparse."""
    if ":" not in text:
        return positive(text)
    parts = [positive(part) for part in text.split(":")]
    if len(parts) != 3 or parts[1] < parts[0]:
        raise argparse.ArgumentTypeError(
            f"{text!r} is no range START:STOP:STEP with START at most STOP, as in 200:400:25"
        )
    start, stop, step = parts
    count = math.floor((stop - start) / step * (1 + 1e-12)) + 1
    if count > LONGEST_RANGE:
        raise argparse.ArgumentTypeError(f"the range {text!r} has {count:,} numbers; wanted at most {LONGEST_RANGE:,}")
    return [start + index * step for index in range(count)]
