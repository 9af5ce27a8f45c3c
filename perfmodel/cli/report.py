"""``perfmodel report``."""

from __future__ import annotations

import argparse
from typing import TYPE_CHECKING

from perfmodel.cli import energy_options, exchange, options
from perfmodel.cli.output import TO_STDOUT, write_json, write_text
from perfmodel.cli.progress import Progress
from perfmodel.cli.targets import Written, page

if TYPE_CHECKING:
    from perfmodel.predict import ModelPrediction
    from perfmodel.predict.generation_result import GenerationPrediction

DESCRIPTION = "A page about what a model costs, with pictures, that opens offline in any browser."
EXAMPLE = (
    "perfmodel report resnet50.onnx --device h100-sxm --dim batch=32 --dtype bf16 -o report.html\n"
    "  perfmodel report resnet50.onnx --device h100-sxm,l40s --dim batch=32 --grid FRA -o report.html\n"
    "  perfmodel report llama.onnx --device h100-sxm,l40s --dim batch=8 --prompt 512 --generate 128 -o request.html"
)


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """The options of this command."""
    options.add_prediction_options(
        parser,
        device_metavar="D[,D2,...]",
        device_help="device ids (see `perfmodel devices`) or device TOMLs, separated by commas; the page opens with the first",
        explains=False,
    )
    parser.add_argument(
        "-o", "--output", metavar="FILE", action=Written, kind=page, required=True, help="the page, an .html file"
    )
    parser.add_argument(
        "--no-what-if",
        action="store_true",
        help="leave out other batches, formats, devices and launches: quicker for large models (a request has none)",
    )
    exchange.add_trace_option(parser)
    energy_options.add_generation_options(parser)
    energy_options.add_price_options(parser, several=True)
    options.add_json_option(parser)


def run(arguments: argparse.Namespace) -> int:
    """Predict, draw, write."""
    from perfmodel.predict.conditions import distinct_devices

    conditions = options.prediction_conditions(arguments)
    devices = options.device_list(arguments.device)
    request = energy_options.generation(arguments)
    distinct_devices(devices)
    prices = energy_options.prices_of_page(arguments, devices)

    from perfmodel.report import report

    found: list[ModelPrediction | GenerationPrediction] = []
    with Progress("perfmodel report") as progress:
        page = report(
            arguments.model,
            devices,
            what_if=not arguments.no_what_if,
            prompt=None if request is None else request.prompt,
            generate=None if request is None else request.generate,
            prices=prices,
            progress=progress,
            predicted=found.append,
            **conditions,
        )
    write_text(page, arguments.output)
    said = exchange.write_trace(arguments, found)
    if arguments.json is not None:
        write_json({"page": arguments.output, "predictions": [p.to_dict() for p in found]}, arguments.json)
    if arguments.json == TO_STDOUT:
        return 0
    print(f"{arguments.output}: {len(page.encode('utf-8')) / 1e6:.1f} MB, for any browser, offline")
    for line in said:
        print(line)
    return 0
