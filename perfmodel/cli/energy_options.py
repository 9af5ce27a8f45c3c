"""Options about power over time, racks, carbon and money, which ``predict`` and ``compare`` share."""

from __future__ import annotations

import argparse
import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from perfmodel.cli.options import positive
from perfmodel.cli.targets import Written, plot
from perfmodel.errors import InputError, nearest

if TYPE_CHECKING:
    from perfmodel.predict.energy import Hosts, Prices


@dataclass(frozen=True)
class Generation:
    """A generation request: tokens of the prompt and of the answer."""

    prompt: int
    generate: int


def add_generation_options(parser: argparse.ArgumentParser) -> None:
    """``--prompt`` and ``--generate``."""
    group = parser.add_argument_group("a generation request, phase by phase (docs/energy.md)")
    group.add_argument(
        "--prompt", metavar="N", type=count, help="tokens of the prompt of each sequence; with --generate"
    )
    group.add_argument(
        "--generate",
        metavar="N",
        type=count,
        help="tokens that each sequence generates: prefill and decode, with time, power and energy of both",
    )


def add_price_options(parser: argparse.ArgumentParser, *, several: bool) -> None:
    """What stands between the device and the bill.

    Args:
        several: whether prices per hour may differ by device.
    """
    group = parser.add_argument_group("carbon and money: nothing is assumed that is not given (docs/energy.md)")
    group.add_argument(
        "--grid",
        metavar="REGION",
        help="whose electricity: an ISO code or a name, as in FRA, Germany or US-CA, or grams of CO2e per kWh",
    )
    group.add_argument(
        "--price-per-hour",
        metavar="DEVICE=P,..." if several else "P",
        help="price of one device for an hour, in a currency of your own"
        + ("; one number for all, or as in h100-sxm=2.5,l40s=1.1" if several else ""),
    )
    group.add_argument(
        "--electricity-price", metavar="P", type=not_negative, help="price of one kWh, in the same currency"
    )
    group.add_argument("--pue", metavar="F", type=not_negative, help="power of the building over that of its racks")
    group.add_argument(
        "--host-power-w",
        metavar="W",
        type=not_negative,
        help="what one host draws beside its devices (CPUs, memory, fans)",
    )
    group.add_argument(
        "--devices-per-host", metavar="N", type=count, default=1, help="devices that share a host (default: 1)"
    )


def add_profile_options(parser: argparse.ArgumentParser) -> None:
    """Power over time, and racks."""
    group = parser.add_argument_group("power over time, and racks (docs/energy.md)")
    group.add_argument("--energy", action="store_true", help="print power and energy of each kind of operator")
    group.add_argument(
        "--power-profile", action="store_true", help="print power over the time of a run: average, p99, peak"
    )
    group.add_argument(
        "--power-plot", metavar="PATH", action=Written, kind=plot,
        help="draw it into a .svg or .png file (needs perfmodel[plot])",
    )  # fmt: skip
    group.add_argument(
        "--window-ms",
        metavar="T,...",
        help="windows over which meters and power supplies average (default: 1,100)",
    )
    group.add_argument("--count", metavar="N", type=count, help="devices that run the model at once")
    group.add_argument(
        "--budget-w", metavar="W", type=positive, help="what devices and hosts of the rack together may draw"
    )


def generation(arguments: argparse.Namespace) -> Generation | None:
    """The request that was asked for; None: single runs.

    Raises:
        InputError: one of the two options without the other.
    """
    if (arguments.prompt is None) != (arguments.generate is None):
        missing = "--generate" if arguments.generate is None else "--prompt"
        raise InputError(f"a generation request needs --prompt and --generate: {missing} is missing")
    return None if arguments.prompt is None else Generation(arguments.prompt, arguments.generate)


def refuse_for_requests(arguments: argparse.Namespace, names: Sequence[str]) -> None:
    """Refuse switches that are of the operators of one run.

    Args:
        arguments: as given.
        names: of the switches.

    Raises:
        InputError: one of them is given with a generation request.
    """
    for name in names:
        if arguments.prompt is not None and getattr(arguments, name):
            raise InputError(f"--{name} is of the operators of one run: leave out --prompt and --generate")


def check(arguments: argparse.Namespace) -> None:
    """Refuse what ``predict`` cannot use before anything is predicted.

    Raises:
        InputError: an impossible price, window or region; hosts, a PUE or operators that no table asks for.
    """
    if arguments.all and arguments.prompt is not None and not arguments.energy:
        raise InputError("--all is of kinds of operators, which a request lists with --energy: give that as well")
    windows_s(arguments)
    if arguments.window_ms is not None and not (arguments.power_profile or asks_for_rack(arguments)):
        raise InputError("--window-ms is of power over time: give --power-profile, --count or --budget-w as well")
    given = arguments.pue is not None or arguments.host_power_w is not None or arguments.devices_per_host != 1
    if asks_for_cost(arguments):
        prices(arguments, [arguments.device])
    elif given and not asks_for_rack(arguments):
        raise InputError(
            "--pue, --host-power-w and --devices-per-host change carbon, money and racks: give --grid, --price-per-hour, "
            "--electricity-price, --count or --budget-w as well"
        )
    elif given:
        from perfmodel.predict.energy.rack import checked_pue

        hosts(arguments)
        checked_pue(arguments.pue)


def hosts(arguments: argparse.Namespace) -> Hosts:
    """What the devices are plugged into.

    Raises:
        InputError: devices share a host whose power is not given.
    """
    from perfmodel.predict.energy import Hosts

    if arguments.devices_per_host != 1 and arguments.host_power_w is None:
        raise InputError("--devices-per-host needs --host-power-w, the power of one host")
    return Hosts(arguments.host_power_w, arguments.devices_per_host)


def asks_for_cost(arguments: argparse.Namespace) -> bool:
    """Whether carbon or money was asked for."""
    return any(v is not None for v in (arguments.grid, arguments.price_per_hour, arguments.electricity_price))


def asks_for_rack(arguments: argparse.Namespace) -> bool:
    """Whether many devices or a budget were asked for."""
    return arguments.count is not None or arguments.budget_w is not None


def prices(arguments: argparse.Namespace, devices: Sequence[str]) -> Prices:
    """What was given of grid and prices.

    Args:
        devices: those that may have a price, as they were given: ids, or paths of device files.

    Raises:
        InputError: an impossible price, an unknown region or device.
    """
    from perfmodel.predict.energy import Prices

    return Prices(
        grid=arguments.grid,
        per_hour=_per_hour(arguments.price_per_hour, devices),
        electricity=arguments.electricity_price,
        hosts=hosts(arguments),
        pue=arguments.pue,
    )


def prices_of_page(arguments: argparse.Namespace, devices: Sequence[str]) -> Prices | None:
    """What a page gives carbon and money by; None where nothing was given for them.

    Args:
        devices: as they were given.

    Raises:
        InputError: an impossible price, an unknown region, or hosts and a PUE that nothing asks for.
    """
    if asks_for_cost(arguments):
        return prices(arguments, devices)
    if arguments.pue is not None or arguments.host_power_w is not None or arguments.devices_per_host != 1:
        raise InputError(
            "--pue, --host-power-w and --devices-per-host change carbon and money: give --grid, --price-per-hour or "
            "--electricity-price as well"
        )
    return None


def _per_hour(text: str | None, devices: Sequence[str]) -> Any:
    if text is None:
        return None
    if "=" not in text:
        return _price(text, text)
    from perfmodel.hardware import load_device

    # A device file is called by its path or by the id that stands in it.
    ids: dict[str, str] = {}
    for given in devices:
        record = load_device(given)
        ids[given] = ids[record.id] = record.id
    found: dict[str, float] = {}
    for part in text.split(","):
        device, equals, number = part.rpartition("=")
        device = device.strip()
        if not equals or not device:
            raise InputError(f"--price-per-hour {part!r}: wanted DEVICE=PRICE, as in h100-sxm=2.5,l40s=1.1")
        if device not in ids:
            raise InputError(f"--price-per-hour names {device!r}, which is not compared: {nearest(device, ids)}")
        price = _price(number, part)
        if found.setdefault(ids[device], price) != price:
            raise InputError(f"--price-per-hour gives {ids[device]} twice: {found[ids[device]]:g} and {price:g}")
    return found


def _price(number: str, part: str) -> float:
    try:
        return not_negative(number)
    except argparse.ArgumentTypeError:
        raise InputError(f"--price-per-hour {part!r}: wanted a price of 0 or more, as in 2.5") from None


def windows_s(arguments: argparse.Namespace) -> tuple[float, ...]:
    """The windows of meters [s].

    Raises:
        InputError: one is no number above 0.
    """
    if arguments.window_ms is None:
        from perfmodel.predict.energy.profile import WINDOWS_S

        return WINDOWS_S
    try:
        return tuple(sorted({positive(part) / 1e3 for part in arguments.window_ms.split(",")}))
    except argparse.ArgumentTypeError as error:
        raise InputError(f"--window-ms {arguments.window_ms!r}: {error}; wanted milliseconds, as in 1,100") from None


def count(text: str) -> int:
    """A whole number of at least 1, for argparse."""
    try:
        value = int(text)
    except ValueError:
        value = 0
    if value < 1:
        raise argparse.ArgumentTypeError(f"{text!r} is no whole number of at least 1")
    return value


def not_negative(text: str) -> float:
    """A finite number of 0 or more, for argparse."""
    try:
        value = float(text)
    except ValueError:
        value = math.nan
    if not (value >= 0 and math.isfinite(value)):
        raise argparse.ArgumentTypeError(f"{text!r} is no number of 0 or more")
    return value
