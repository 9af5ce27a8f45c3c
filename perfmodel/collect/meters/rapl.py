"""Energy of processors: the RAPL counters of Intel and AMD, through Linux's powercap files.

``/sys/class/powercap/intel-rapl:N`` is a package (or the whole platform, ``psys``), ``intel-rapl:N:M`` a part of it. Each
has ``name``, ``energy_uj`` (microjoules since some moment, starting again at ``max_energy_range_uj``), and limits
(Documentation/power/powercap/powercap.rst of the kernel). AMD's processors appear under the same names. Packages and
memory are added up; cores and graphics are parts of a package, and the platform contains the packages.
"""

from __future__ import annotations

import errno
import re
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from perfmodel.collect.meters.base import BETWEEN, Conditions, Counter, Found, MeterInfo, Reading
from perfmodel.errors import MeterError

NAME = "rapl"
UPDATE_S = 0.001
"""The registers are updated about every millisecond (Documentation/hwmon/amd_energy.rst of the kernel; Intel alike)."""
STEPS_OF_RANGE = 2**32
"""The counters are 32 bits wide: ``max_energy_range_uj`` is so many steps."""
COUNTED = ("package", "dram")
"""Zones, by the beginning of their names, that are added up: no other zone contains them, apart from ``psys``."""
UNREADABLE = (
    "{path} may be read by root alone (Linux 5.10 and later, since the counter can leak secrets): run as root, or "
    "`sudo chmod a+r /sys/class/powercap/intel-rapl:*/energy_uj`, which holds until the next boot"
)


@dataclass(frozen=True, slots=True)
class Zone:
    """A folder with an energy counter.

    Attributes:
        name: unique: ``package-0``, ``package-0/dram``.
        package: the number of the top zone, as in ``intel-rapl:1``.
    """

    name: str
    package: str
    folder: Path

    @property
    def counted(self) -> bool:
        """Whether its energy is part of the total."""
        return self.name.rpartition("/")[2].startswith(COUNTED)


class RaplDriver:
    """Every package of this machine, alone or together.

    Args:
        root: the folder that ``/sys`` lies in; another one in tests.
        clock: seconds of a clock that never goes back.
    """

    name = NAME

    def __init__(self, root: Path | str = "/", clock: Callable[[], float] = time.perf_counter) -> None:
        self.root: Path = Path(root)
        self._clock = clock

    def find(self) -> Sequence[Found]:
        """One entry: all packages together."""
        try:
            meter = self.open()
        except MeterError as problem:
            return [Found(NAME, why_not=str(problem))]
        return [Found(NAME, meter.info.unit, meter.info.device, info=meter.info)]

    def open(self, unit: str | None = None) -> RaplMeter:
        """All packages (None or ``all``), or one by its number.

        Raises:
            MeterError: there is none, or its counter may not be read.
        """
        zones = zones_of(self.root)
        packages = sorted({z.package for z in zones}, key=int)
        if unit not in (None, "all"):
            if unit not in packages:
                raise MeterError(f"rapl has no package {unit!r}; known: all, {', '.join(packages)}")
            zones = [z for z in zones if z.package == unit]
        if not any(z.counted for z in zones):
            raise MeterError(f"rapl:{unit or 'all'} has no package or memory: {', '.join(z.name for z in zones)}")
        return RaplMeter(self.root, unit or "all", zones, self._clock)


class RaplMeter:
    """Energy counters of packages and their parts."""

    def __init__(self, root: Path, unit: str, zones: Sequence[Zone], clock: Callable[[], float]) -> None:
        self.root: Path = root
        self.zones: Sequence[Zone] = zones
        self._clock = clock
        counters = []
        for zone in zones:
            _microjoules(zone)  # a counter that may not be read is found out here
            text = _text(zone.folder / "max_energy_range_uj")
            range_uj = int(text) if text and text.isdigit() and int(text) > 0 else None
            # Where the range is unknown, so is the step; 61 uJ is the usual one of Intel's processors.
            step_uj = range_uj / STEPS_OF_RANGE if range_uj else 61.0
            counters.append(Counter(zone.name, step_uj * 1e-6, range_uj * 1e-6 if range_uj else None, zone.counted))
        has_memory = any(z.counted and z.name.endswith("dram") for z in zones)
        self._limits = [z.folder for z in zones if z.name.startswith("package") and "/" not in z.name]
        self.info: MeterInfo = MeterInfo(
            meter=NAME,
            unit=unit,
            device=_processor(root),
            counters=tuple(counters),
            update_s=UPDATE_S,
            interval_s=0.05,
            settle_s=1.0,
            min_window_s=1.0,
            sampling=BETWEEN,
            caveats=("everything that runs on these packages is in it",)
            + (() if has_memory else ("the memory modules are not in it: no counter tells",)),
        )

    def clock(self) -> float:
        """Seconds of the driver's clock."""
        return self._clock()

    def read(self, *, conditions: bool = False) -> Reading:
        """The counters, and the conditions where they are asked for.

        Raises:
            MeterError: a zone vanished, or may not be read any more.
        """
        begin = self.clock()
        energy = {zone.name: _microjoules(zone) * 1e-6 for zone in self.zones}
        middle = (begin + self.clock()) / 2
        return Reading(middle, energy, None, self._conditions() if conditions else None)

    def close(self) -> None:
        """Nothing is held open."""

    def _conditions(self) -> Conditions:
        limits = [limit for folder in self._limits if (limit := _long_term_limit_w(folder)) is not None]
        return Conditions(
            clock_mhz=_mean_clock_mhz(self.root),
            temperature_c=_temperature_c(self.root),
            power_limit_w=sum(limits) if limits and len(limits) == len(self._limits) else None,
        )


def zones_of(root: Path) -> list[Zone]:
    """Every zone with an energy counter, packages before their parts.

    Raises:
        MeterError: there is none; the line says what is missing.
    """
    folder = root / "sys/class/powercap"
    if not folder.is_dir():
        raise MeterError(
            f"there is no {folder}: the kernel lacks powercap, or this is a container or virtual machine that hides it"
        )
    found: dict[str, Path] = {}
    for path in folder.iterdir():
        # `intel-rapl-mmio:0` reads the same package another way, and would count it twice.
        if re.fullmatch(r"intel-rapl:[0-9]+(:[0-9]+)?", path.name) and (path / "energy_uj").exists():
            found[path.name] = path
    if not found:
        raise MeterError(
            f"{folder} has no intel-rapl zone: `sudo modprobe intel_rapl_msr` loads the driver on bare metal; "
            "virtual machines have no such counters"
        )
    names = {key: _text(path / "name") or key for key, path in found.items()}
    zones = []
    for key in sorted(found, key=lambda k: [int(n) for n in k.split(":")[1:]]):
        package = key.split(":")[1]
        top = f"intel-rapl:{package}"
        name = names[key] if key == top else f"{names.get(top, top)}/{names[key]}"
        zones.append(Zone(name, package, found[key]))
    return zones


def _microjoules(zone: Zone) -> int:
    """The counter.

    Raises:
        MeterError: it may not be read, is gone, or is no number.
    """
    path = zone.folder / "energy_uj"
    try:
        text = path.read_text(encoding="ascii").strip()
    except PermissionError:
        raise MeterError(UNREADABLE.format(path=path)) from None
    except OSError as error:
        if error.errno in (errno.ENOENT, errno.ENODEV, errno.ENOTDIR):
            raise MeterError(f"{path} is gone: the driver was unloaded or its processor taken offline") from None
        raise MeterError(f"{path} cannot be read: {error.strerror or error}") from None
    except ValueError:
        text = ""
    if not text.isdigit():
        raise MeterError(f"{path} holds {text[:20]!r}; wanted microjoules as a whole number")
    return int(text)


def _long_term_limit_w(folder: Path) -> float | None:
    """The limit that holds over seconds to minutes; packages also have one for milliseconds."""
    for number in range(4):
        if _text(folder / f"constraint_{number}_name") == "long_term":
            text = _text(folder / f"constraint_{number}_power_limit_uw")
            return int(text) * 1e-6 if text and text.isdigit() and int(text) > 0 else None
    return None


def _mean_clock_mhz(root: Path) -> float | None:
    """Mean over the processors of what cpufreq says; None where it says nothing."""
    files = (root / "sys/devices/system/cpu").glob("cpu[0-9]*/cpufreq/scaling_cur_freq")
    clocks = [int(text) for path in files if (text := _text(path)) and text.isdigit()]
    return sum(clocks) / len(clocks) / 1000 if clocks else None


_SENSORS: Mapping[str, str] = {"coretemp": "Package id", "k10temp": "Tctl"}
"""Drivers of processors' sensors, and how the label of the one for the package begins."""


def _temperature_c(root: Path) -> float | None:
    """The hottest package."""
    found = []
    for chip in (root / "sys/class/hwmon").glob("hwmon*"):
        wanted = _SENSORS.get(_text(chip / "name") or "")
        for label in chip.glob("temp*_label") if wanted else ():
            if wanted and (_text(label) or "").startswith(wanted):
                text = _text(label.with_name(label.name.replace("_label", "_input")))
                if text and text.lstrip("-").isdigit():
                    found.append(int(text) / 1000)
    return max(found, default=None)


def _processor(root: Path) -> str:
    match = re.search(r"^model name\s*:\s*(.+)$", _text(root / "proc/cpuinfo") or "", re.MULTILINE)
    return match[1].strip() if match else "processor"


def _text(path: Path) -> str | None:
    try:
        with path.open(encoding="utf-8", errors="replace") as file:
            return file.read(1_000_000).strip()
    except OSError:
        return None
