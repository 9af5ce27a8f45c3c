"""What ``predict`` adds to a prediction where it is asked for: power over time, racks, carbon and money."""

from __future__ import annotations

import argparse
from collections.abc import Callable
from typing import TYPE_CHECKING, Any, TypeAlias

from perfmodel.cli import energy_options
from perfmodel.cli.output import write_bytes

if TYPE_CHECKING:
    from rich.console import Console

    from perfmodel.predict import ModelPrediction
    from perfmodel.predict.energy import Cost
    from perfmodel.predict.generation_result import GenerationPrediction

Section: TypeAlias = "Callable[[Console], None]"


def asked_for(
    arguments: argparse.Namespace, prediction: ModelPrediction | GenerationPrediction
) -> tuple[dict[str, Any], list[Section]]:
    """Further keys of the JSON, and what prints the tables; a plot that was asked for is written.

    Raises:
        InputError: a profile, a rack or a plot of a device whose power is unknown.
    """
    keys: dict[str, Any] = {}
    sections: list[Section] = []
    if arguments.energy:
        sections.append(lambda screen: _print_energy(screen, prediction, everything=arguments.all))
    if arguments.power_profile or arguments.power_plot is not None or energy_options.asks_for_rack(arguments):
        _add_profile(arguments, prediction, keys, sections)
    if energy_options.asks_for_cost(arguments):
        costs = _costs(arguments, prediction)
        keys["cost"] = costs[-1][1].to_dict()
        if len(costs) > 1:
            keys["phase_costs"] = {name: cost.to_dict() for name, cost in costs[:-1]}
        sections.append(lambda screen: _print_cost(screen, costs))
    return keys, sections


def _add_profile(
    arguments: argparse.Namespace,
    prediction: ModelPrediction | GenerationPrediction,
    keys: dict[str, Any],
    sections: list[Section],
) -> None:
    from perfmodel.cli.energy_tables import print_profile, print_rack

    windows_s = energy_options.windows_s(arguments)
    profile = prediction.power_profile()
    if arguments.power_profile:
        keys["power_profile"] = profile.to_dict(windows_s)
        sections.append(lambda screen: print_profile(screen, profile, windows_s))
    if energy_options.asks_for_rack(arguments):
        result = profile.rack(
            count=arguments.count,
            budget_w=arguments.budget_w,
            hosts=energy_options.hosts(arguments),
            pue=arguments.pue,
            windows_s=windows_s,
        )
        keys["rack"] = result.to_dict()
        sections.append(lambda screen: print_rack(screen, result))
    if arguments.power_plot is not None:
        from perfmodel.predict.energy.plot import draw
        from perfmodel.predict.picture import picture_format

        title = f"{prediction.model} on {prediction.device}: power over time (estimated)"
        write_bytes(draw(profile, title, picture_format(arguments.power_plot)), arguments.power_plot)


def _costs(arguments: argparse.Namespace, prediction: ModelPrediction | GenerationPrediction) -> list[tuple[str, Cost]]:
    """Costs with what each is of; the whole comes last."""
    prices = energy_options.prices(arguments, [arguments.device])
    phases = getattr(prediction, "phases", ())
    whole = "request" if phases else "run"
    return [*((phase.name, phase.cost(prices)) for phase in phases), (whole, prediction.cost(prices))]


def _print_energy(screen: Console, prediction: ModelPrediction | GenerationPrediction, *, everything: bool) -> None:
    from perfmodel.cli.energy_tables import KINDS_SHOWN, print_energy
    from perfmodel.predict.result import ModelPrediction

    shown = None if everything else KINDS_SHOWN
    if isinstance(prediction, ModelPrediction):
        print_energy(screen, prediction, heading="energy by kind of operator:", shown=shown)
        return
    for phase in prediction.phases:
        # The part in the middle stands for all runs of the phase.
        part, _ = phase.parts[len(phase.parts) // 2]
        heading = f"energy of {phase.name} by kind of operator"
        print_energy(screen, part, heading=f"{heading}, one run of {phase.runs}:", shown=shown)


def _print_cost(screen: Console, costs: list[tuple[str, Cost]]) -> None:
    from perfmodel.cli.energy_tables import print_cost

    print_cost(screen, costs)
