"""``perfmodel compare``."""

from __future__ import annotations

import argparse

from perfmodel.cli import options
from perfmodel.cli.output import TO_STDOUT, console, write_json
from perfmodel.errors import InputError

DESCRIPTION = "What a model file costs on several devices, the fastest first."
EXAMPLE = "perfmodel compare bert.onnx --device a100-sxm-80gb,h100-sxm,l40s --dim batch=8 --dim seq=128"


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """The options of this command."""
    options.add_prediction_options(
        parser,
        device_metavar="D1,D2,...",
        device_help="device ids (see `perfmodel devices`) or device TOMLs, separated by commas",
    )
    options.add_json_option(parser)


def run(arguments: argparse.Namespace) -> int:
    """Predict on each device, write the JSON where it was asked for, and show the ranking."""
    conditions = options.prediction_conditions(arguments)
    devices = _device_list(arguments.device)

    from perfmodel.predict import compare

    ranking = compare(arguments.model, devices, **conditions)
    if arguments.json is not None:
        write_json({"model": ranking[0].model, "predictions": [p.to_dict() for p in ranking]}, arguments.json)
    if arguments.json != TO_STDOUT:
        from perfmodel.cli.tables import print_comparison

        print_comparison(console(), ranking, dtype=conditions["dtype"], explain=arguments.explain)
    return 0


def _device_list(text: str) -> list[str]:
    """The devices named, in order, each once."""
    devices = list(dict.fromkeys(part.strip() for part in text.split(",") if part.strip()))
    if not devices:
        raise InputError(f"--device {text!r} names no device: wanted ids separated by commas, as in h100-sxm,l40s")
    return devices
