"""``perfmodel predict``."""

from __future__ import annotations

import argparse
from typing import TYPE_CHECKING, Any

from perfmodel.cli import energy_options, energy_sections, exchange, options
from perfmodel.cli.output import TO_STDOUT, console, write_json
from perfmodel.cli.progress import Progress

if TYPE_CHECKING:
    from perfmodel.predict import ModelPrediction
    from perfmodel.predict.generation_result import GenerationPrediction

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
    energy_options.add_generation_options(parser)
    energy_options.add_profile_options(parser)
    energy_options.add_price_options(parser, several=False)
    exchange.add_file_options(parser)


def run(arguments: argparse.Namespace) -> int:
    """Predict, write the files that were asked for, and show the tables."""
    conditions = options.prediction_conditions(arguments)
    request = energy_options.generation(arguments)
    energy_options.check(arguments)
    energy_options.refuse_for_requests(arguments, ("explain", "memory", "annotate"))
    exchange.check_annotated(arguments.model, arguments.annotate)

    with Progress("perfmodel predict") as progress:
        progress(f"predicting {arguments.model} on {arguments.device}")
        prediction, result = _predict(arguments, request, conditions)
    further, sections = energy_sections.asked_for(arguments, prediction)
    said, warnings = exchange.write_files(arguments, prediction, conditions)
    if arguments.json is not None:
        write_json(result | further, arguments.json)
    lines = [f"warning: {warning}" for warning in warnings]
    if arguments.json != TO_STDOUT:
        _show(arguments, prediction, conditions["dtype"], sections)
        lines = said + lines
    if lines:
        from perfmodel.cli.tables import safe

        # JSON on standard output is of the prediction alone: what is wrong with a file that was written stands beside it.
        screen = console(errors=arguments.json == TO_STDOUT)
        for line in lines:
            screen.print(safe(line), soft_wrap=True)
    return 0


def _predict(
    arguments: argparse.Namespace, request: energy_options.Generation | None, conditions: dict[str, Any]
) -> tuple[ModelPrediction | GenerationPrediction, dict[str, Any]]:
    """The prediction, and what JSON has of it."""
    if request is None:
        from perfmodel.predict import predict

        single = predict(arguments.model, arguments.device, **conditions)
        return single, single.to_dict(memory_profile=arguments.memory)
    from perfmodel.predict.generation import predict_generation

    several = predict_generation(
        arguments.model, arguments.device, prompt=request.prompt, generate=request.generate, **conditions
    )
    return several, several.to_dict()


def _show(
    arguments: argparse.Namespace,
    prediction: ModelPrediction | GenerationPrediction,
    dtype: str | None,
    sections: list[energy_sections.Section],
) -> None:
    from perfmodel.cli.tables import OPERATORS_SHOWN, print_prediction, print_warnings
    from perfmodel.hardware import load_device
    from perfmodel.predict.result import ModelPrediction

    screen = console()
    memory_bytes = load_device(arguments.device).memory_bytes
    if not isinstance(prediction, ModelPrediction):
        from perfmodel.cli.energy_tables import print_generation

        print_generation(screen, prediction, dtype=dtype, device_memory_bytes=memory_bytes)
        for section in sections:
            section(screen)
        print_warnings(screen, prediction.warnings)
        return
    print_prediction(
        screen,
        prediction,
        dtype=dtype,
        device_memory_bytes=memory_bytes,
        shown=None if arguments.all else OPERATORS_SHOWN,
        explain=arguments.explain,
        owners=arguments.memory,
        sections=sections,
    )
