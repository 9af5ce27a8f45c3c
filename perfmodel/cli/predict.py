"""``perfmodel predict``."""

from __future__ import annotations

import argparse

from perfmodel.cli import options
from perfmodel.cli.output import TO_STDOUT, console, write_json

DESCRIPTION = "Latency, power, energy and memory of a model file on one device."
EXAMPLE = "perfmodel predict resnet50.onnx --device h100-sxm --dim batch=32 --dtype bf16"


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """The options of this command."""
    options.add_prediction_options(
        parser, device_metavar="D", device_help="a device id (see `perfmodel devices`) or a device TOML"
    )
    parser.add_argument("--all", action="store_true", help="show every kind of operator, not the 15 slowest")
    parser.add_argument(
        "--memory",
        action="store_true",
        help="print the largest tensors alive when memory is at its peak; in JSON, the bytes in use at every node",
    )
    options.add_json_option(parser)


def run(arguments: argparse.Namespace) -> int:
    """Predict, write the JSON where it was asked for, and show the table."""
    conditions = options.prediction_conditions(arguments)

    from perfmodel.predict import predict

    prediction = predict(arguments.model, arguments.device, **conditions)
    if arguments.json is not None:
        write_json(prediction.to_dict(memory_profile=arguments.memory), arguments.json)
    if arguments.json != TO_STDOUT:
        from perfmodel.cli.tables import OPERATORS_SHOWN, print_prediction
        from perfmodel.hardware import load_device

        print_prediction(
            console(),
            prediction,
            dtype=conditions["dtype"],
            device_memory_bytes=load_device(arguments.device).memory_bytes,
            shown=None if arguments.all else OPERATORS_SHOWN,
            explain=arguments.explain,
            owners=arguments.memory,
        )
    return 0
