"""``perfmodel compare``."""

from __future__ import annotations

import argparse
from typing import TYPE_CHECKING, Any

from perfmodel.cli import energy_options, options
from perfmodel.cli.output import TO_STDOUT, console, write_json

if TYPE_CHECKING:
    from collections.abc import Sequence

    from perfmodel.predict import ModelPrediction
    from perfmodel.predict.energy import Prices
    from perfmodel.predict.generation import GenerationPrediction

DESCRIPTION = "What a model file costs on several devices, the fastest (or cheapest, or cleanest) first."
EXAMPLE = "perfmodel compare bert.onnx --device a100-sxm-80gb,h100-sxm,l40s --dim batch=8 --dim seq=128"
RANKS = ("latency", "energy", "carbon", "money")


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """The options of this command."""
    options.add_prediction_options(
        parser,
        device_metavar="D1,D2,...",
        device_help="device ids (see `perfmodel devices`) or device TOMLs, separated by commas",
    )
    parser.add_argument(
        "--rank",
        choices=RANKS,
        help="what decides the order: latency (default), energy at the meter, carbon (needs --grid) or money (needs prices)",
    )
    options.add_json_option(parser)
    energy_options.add_generation_options(parser)
    energy_options.add_price_options(parser, several=True)


def run(arguments: argparse.Namespace) -> int:
    """Predict on each device, write the JSON where it was asked for, and show the ranking."""
    conditions = options.prediction_conditions(arguments)
    devices = options.device_list(arguments.device)
    request = energy_options.generation(arguments)
    energy_options.refuse_for_requests(arguments, ("explain",))
    prices = _prices(arguments, devices)

    ranking: Sequence[ModelPrediction | GenerationPrediction]
    if request is None:
        from perfmodel.predict import compare

        ranking = compare(arguments.model, devices, **conditions)
    else:
        from perfmodel.predict.generation import compare_generation

        ranking = compare_generation(
            arguments.model, devices, prompt=request.prompt, generate=request.generate, **conditions
        )
    if prices is not None:
        from perfmodel.predict.energy.ranking import ranked

        ranking = ranked(ranking, arguments.rank or "latency", prices)
    if arguments.json is not None:
        write_json(_result(ranking, arguments.rank, prices), arguments.json)
    if arguments.json != TO_STDOUT:
        _show(arguments, ranking, conditions["dtype"], prices)
    return 0


def _prices(arguments: argparse.Namespace, devices: list[str]) -> Prices | None:
    """What energy, carbon and money follow from; None where only latency was asked for.

    Raises:
        InputError: an impossible price, an unknown region, or an order that nothing was given for.
    """
    given = (arguments.pue, arguments.host_power_w, arguments.rank)
    if not energy_options.asks_for_cost(arguments) and given == (None, None, None) and arguments.devices_per_host == 1:
        return None
    from perfmodel.hardware import load_device
    from perfmodel.predict.energy.ranking import check_rank

    prices = energy_options.prices(arguments, [load_device(device).id for device in devices])
    check_rank(arguments.rank or "latency", prices)
    return prices


def _result(
    ranking: Sequence[ModelPrediction | GenerationPrediction], rank: str | None, prices: Prices | None
) -> dict[str, Any]:
    predictions = [p.to_dict() | ({} if prices is None else {"cost": p.cost(prices).to_dict()}) for p in ranking]
    return {"model": ranking[0].model, "predictions": predictions} | (
        {} if prices is None else {"rank": rank or "latency"}
    )


def _show(
    arguments: argparse.Namespace,
    ranking: Sequence[ModelPrediction | GenerationPrediction],
    dtype: str | None,
    prices: Prices | None,
) -> None:
    screen = console()
    if prices is None and arguments.prompt is None:
        from perfmodel.cli.tables import print_comparison
        from perfmodel.predict.result import ModelPrediction

        runs = [p for p in ranking if isinstance(p, ModelPrediction)]  # all of them: no request was asked for
        print_comparison(screen, runs, dtype=dtype, explain=arguments.explain)
        return
    from perfmodel.cli.energy_tables import print_cost_comparison
    from perfmodel.predict.energy import Prices

    print_cost_comparison(screen, ranking, prices or Prices(), dtype=dtype, rank=arguments.rank or "latency")
