"""``perfmodel compare``."""

from __future__ import annotations

import argparse
from typing import TYPE_CHECKING, Any

from perfmodel.cli import energy_options, options
from perfmodel.cli.output import TO_STDOUT, console, write_bytes, write_json, write_text
from perfmodel.cli.progress import Progress
from perfmodel.cli.targets import Written, page, plot
from perfmodel.errors import InputError, nearest

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from perfmodel.predict import ModelPrediction
    from perfmodel.predict.energy import Prices
    from perfmodel.predict.generation_result import GenerationPrediction
    from perfmodel.report.crossover import Curves

DESCRIPTION = "What a model file costs on several devices, the fastest (or cheapest, or cleanest) first."
EXAMPLE = (
    "perfmodel compare bert.onnx --device a100-sxm-80gb,h100-sxm,l40s --dim batch=8 --dim seq=128\n"
    "  perfmodel compare resnet.onnx --device h100-sxm,l40s --dim batch=8 --over batch=1:64 --html o.html"
)
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
    group = parser.add_argument_group("pictures (docs/report.md)")
    group.add_argument(
        "--over",
        metavar="NAME=A:B",
        help="also predict over a dimension of the model, from A to B in doublings or as a list A,B,C: from where on another "
        "device is faster, thriftier or cheaper for each sample or token; not with --prompt",
    )
    group.add_argument(
        "--html",
        metavar="FILE",
        action=Written,
        kind=page,
        help="write a page that opens offline (needs perfmodel[report])",
    )
    group.add_argument(
        "--plot",
        metavar="FILE",
        action=Written,
        kind=plot,
        help="draw the curves of --over, or latency against energy (--rank: carbon, money), into a .svg or .png file "
        "(needs perfmodel[plot])",
    )
    energy_options.add_generation_options(parser)
    energy_options.add_price_options(parser, several=True)


def run(arguments: argparse.Namespace) -> int:
    """Predict on each device, write JSON and pictures where they were asked for, and show the ranking."""
    from perfmodel.predict.conditions import distinct_devices

    conditions = options.prediction_conditions(arguments)
    devices = options.device_list(arguments.device)
    request = energy_options.generation(arguments)
    energy_options.refuse_for_requests(arguments, ("explain", "over"))
    over = _over(arguments.over, conditions["dims"])
    distinct_devices(devices)
    prices = _prices(arguments, devices)

    with Progress("perfmodel compare") as progress:
        progress(f"predicting {arguments.model} on {len(devices)} devices")
        ranking = _predicted(arguments, devices, request, conditions, progress)
    if prices is not None:
        from perfmodel.predict.energy.ranking import ranked

        ranking = ranked(ranking, arguments.rank or "latency", prices)
    curves = _curves(arguments, devices, over, prices, conditions)
    if arguments.plot is not None or arguments.html is not None:
        _draw(arguments, ranking, devices, prices, curves, conditions)
    if arguments.json is not None:
        result = _result(ranking, arguments.rank, prices)
        write_json(result if curves is None else result | {"over": curves.to_dict()}, arguments.json)
    if arguments.json != TO_STDOUT:
        _show(arguments, ranking, conditions["dtype"], prices)
        if curves is not None:
            _show_crossings(curves)
    return 0


def _predicted(
    arguments: argparse.Namespace,
    devices: list[str],
    request: energy_options.Generation | None,
    conditions: dict[str, Any],
    report: Callable[[str], None],
) -> Sequence[ModelPrediction | GenerationPrediction]:
    if request is None:
        from perfmodel.predict import compare

        return compare(arguments.model, devices, report=report, **conditions)
    from perfmodel.predict.generation import compare_generation

    return compare_generation(
        arguments.model, devices, prompt=request.prompt, generate=request.generate, report=report, **conditions
    )


def _over(text: str | None, dims: dict[str, int]) -> tuple[str, tuple[int, ...]] | None:
    """The dimension of ``--over`` and its sizes; of A:B the size that ``--dim`` gives it, too, where it lies between.

    Raises:
        InputError: it is neither NAME=A:B nor NAME=A,B,C, has too few or too many sizes, or ``--dim`` does not give NAME.
    """
    if text is None:
        return None
    name, equals, sizes = text.rpartition("=")
    name, (first, colon, last) = name.strip(), sizes.partition(":")
    parts = [first, last] if colon else sizes.split(",")
    if not equals or not name or not all(p.strip().isdecimal() and int(p) > 0 for p in parts):
        raise InputError(f"--over {text!r}: wanted NAME=A:B or NAME=A,B,C of whole numbers, as in batch=1:256")
    if name not in dims:
        hint = nearest(name, dims) if dims else f"give one, as in --dim {name}=8"
        raise InputError(f"--over {name!r}: --dim must give the size at which devices are compared: {hint}")
    numbers = {int(p) for p in parts}
    if colon:
        size, end = min(numbers), max(numbers)
        while size < end:
            numbers.add(size)
            size *= 2
        if min(numbers) < dims[name] < end:
            numbers.add(dims[name])
    from perfmodel.report.crossover import checked_sizes

    return name, checked_sizes(name, numbers)


def _curves(
    arguments: argparse.Namespace,
    devices: list[str],
    over: tuple[str, tuple[int, ...]] | None,
    prices: Prices | None,
    conditions: dict[str, Any],
) -> Curves | None:
    if over is None:
        return None
    from perfmodel.report.crossover import Curves

    with Progress("perfmodel compare") as progress:
        curves = Curves.of(arguments.model, devices, *over, prices=prices, say=progress, **conditions)
        curves.to_dict()  # predicts what crossings are searched at, which may be more than the curves themselves
        return curves


def _draw(
    arguments: argparse.Namespace,
    ranking: Sequence[ModelPrediction | GenerationPrediction],
    devices: list[str],
    prices: Prices | None,
    curves: Curves | None,
    conditions: dict[str, Any],
) -> None:
    from perfmodel.report import comparing

    if arguments.plot is not None:
        from perfmodel.predict.picture import picture_format

        ending = picture_format(arguments.plot)
        write_bytes(comparing.draw(ranking, prices, curves, arguments.rank, ending), arguments.plot)
    if arguments.html is not None:
        from perfmodel.report.request import request_title
        from perfmodel.report.what_if import title_of

        title = title_of(ranking[0].model, conditions)
        if arguments.prompt is not None:
            title = request_title(ranking[0].model, arguments.prompt, arguments.generate, conditions)
        with Progress("perfmodel compare") as progress:
            page = comparing.comparison_html(ranking, devices, title, prices, curves, progress)
        write_text(page, arguments.html)


def _show_crossings(curves: Curves) -> None:
    from perfmodel.cli.tables import safe
    from perfmodel.predict.energy.ranking import labels
    from perfmodel.report.sections import crossing_lines

    screen = console()
    names = {d.id: d.id for d in curves.devices}
    for line in crossing_lines(curves.to_dict(), names, labels(curves.prices)):
        screen.print(safe(line))


def _prices(arguments: argparse.Namespace, devices: list[str]) -> Prices | None:
    """What energy, carbon and money follow from; None where only latency was asked for.

    Raises:
        InputError: an impossible price, an unknown region, or an order that nothing was given for.
    """
    given = (arguments.pue, arguments.host_power_w, arguments.rank)
    if not energy_options.asks_for_cost(arguments) and given == (None, None, None) and arguments.devices_per_host == 1:
        return None
    from perfmodel.predict.energy.ranking import check_rank

    prices = energy_options.prices(arguments, devices)
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

    rank = arguments.rank or "latency"
    print_cost_comparison(screen, ranking, prices, dtype=dtype, rank=rank, explain=arguments.explain)
