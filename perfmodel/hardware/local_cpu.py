"""The device record of the machine that perfmodel runs on.

Everything is read, nothing is configured: cores and caches from ``/sys``, the instruction set and the clock from
``/proc/cpuinfo`` and ``/sys``, limits from the affinity mask and the control groups, and the memory bandwidth from a
copy of a fifth of a second. What cannot be read is assumed, and the number's source then says so and why. The record
is a starting point; ``perfmodel calibrate`` measures the rest.
"""

from __future__ import annotations

import datetime
import os
import platform
import re
import time
from collections.abc import Iterable
from functools import cache
from pathlib import Path
from typing import NamedTuple

from perfmodel.hardware.cpu_rates import Cpu, flops_per_clock, parse_cpuinfo
from perfmodel.hardware.device import Device

_ROOT = Path("/")
_ASSUMED_CLOCK_HZ = 2.5e9
_ASSUMED_MEMORY_BYTES = 8 * 2**30
_ASSUMED_BANDWIDTH = 10e9


class Reading(NamedTuple):
    """A number and where it comes from."""

    value: float
    source: str


@cache
def local_cpu() -> Device:
    """The record of this machine, read and measured once per process (less than a second).

    Never raises: unreadable facts are assumed, and their source says so.
    """
    return describe(_ROOT)


def processor_name() -> str:
    """What this machine's processor is called; nothing is measured."""
    return _name(_cpu(_ROOT))


def _cpu(root: Path) -> Cpu:
    return parse_cpuinfo(_read(root / "proc/cpuinfo") or "", platform.machine())


def _name(cpu: Cpu) -> str:
    return cpu.name or platform.processor() or f"CPU ({cpu.architecture})"


def describe(root: Path) -> Device:
    """The record of the machine whose ``/proc`` and ``/sys`` lie below ``root``; bandwidth is measured here."""
    cpu = _cpu(root)
    cpus = usable_cpus()
    cores = usable_cores(root, cpus)
    rates = flops_per_clock(cpu)
    clock = plausible_clock(peak_clock(root, cpus, cpu), rates["fp32"].value)
    last_level, l1 = caches(root, cpus)
    bandwidth = copy_bandwidth(int(last_level.value) if last_level else 0)
    memory = memory_size(root)
    found = {
        "memory_bandwidth_bytes_per_s": bandwidth,
        "memory_bytes": memory,
        "units": cores,
        "peak_clock_hz": clock,
        "l2_bytes": last_level,
        "l1_bytes_per_unit": l1,
    }
    sources = {name: reading.source for name, reading in found.items() if reading is not None}
    for arithmetic, rate in rates.items():
        sources[f"flops_per_clock_per_unit.{arithmetic}"] = rate.source
        sources[f"peak_flops.{arithmetic}"] = "units x peak_clock_hz x flops_per_clock_per_unit of this record"
    return Device(
        id="local-cpu",
        name=_name(cpu),
        vendor=cpu.vendor or "unknown",
        kind="cpu",
        family=cpu.family_name,
        peak_flops={a: cores.value * clock.value * rate.value for a, rate in rates.items()},
        flops_per_clock_per_unit={a: float(rate.value) for a, rate in rates.items()},
        memory_bandwidth_bytes_per_s=bandwidth.value,
        memory_bytes=int(memory.value),
        units=int(cores.value),
        peak_clock_hz=clock.value,
        l2_bytes=int(last_level.value) if last_level else None,
        l1_bytes_per_unit=int(l1.value) if l1 else None,
        sources=sources,
    )


# ------------------------------------------------------------------------------------------------ cores


def usable_cpus() -> frozenset[int]:
    """The logical processors that this process may run on."""
    if hasattr(os, "sched_getaffinity"):
        return frozenset(os.sched_getaffinity(0))
    return frozenset(range(os.cpu_count() or 1))


def usable_cores(root: Path, cpus: Iterable[int]) -> Reading:
    """Physical cores below the given logical processors, not more than the control group's CPU quota."""
    cpus = sorted(set(cpus))
    siblings = []
    for cpu in cpus:
        topology = root / f"sys/devices/system/cpu/cpu{cpu}/topology"
        siblings.append(_read(topology / "core_cpus_list") or _read(topology / "thread_siblings_list"))
    if None in siblings:
        count = len(cpus)
        source = f"{count} logical processors; which of them share a core is not readable: each is taken as one"
    else:
        count = len(set(siblings))
        source = f"/sys/devices/system/cpu/cpu*/topology: {count} cores of {len(cpus)} processors in the affinity mask"
    quota = cpu_quota(root)
    # A quota below one core is a share of time, not a smaller core: the peak of the one core stays.
    if quota is not None and max(1, int(quota)) < count:
        return Reading(max(1, int(quota)), f"control group: {quota:g} CPUs of {count} cores")
    return Reading(max(1, count), source)


def cpu_quota(root: Path) -> float | None:
    """How many CPUs' time the control groups (version 2 or 1) grant, or None without a limit."""
    quotas = []
    for folder in _group_folders(root, "cpu"):
        limit = (_read(folder / "cpu.max") or "").split()
        if len(limit) != 2:
            limit = [(_read(folder / f"cpu.cfs_{part}_us") or "").strip() for part in ("quota", "period")]
        quota, period = (_number(part) for part in limit)
        if quota is not None and period is not None and quota > 0 and period > 0:
            quotas.append(quota / period)
    return min(quotas, default=None)


def _group_folders(root: Path, controller: str) -> list[Path]:
    """Where the limits of this process's control groups may stand: its own group and every group around it."""
    folders = [root / "sys/fs/cgroup", root / "sys/fs/cgroup" / controller]
    for line in (_read(root / "proc/self/cgroup") or "").splitlines():
        _, _, rest = line.partition(":")
        controllers, _, group = rest.partition(":")
        if controllers and controller not in controllers.split(","):
            continue
        top = root / "sys/fs/cgroup" / (controller if controllers else "")
        parts = [part for part in group.split("/") if part not in ("", "..")]
        folders += [top.joinpath(*parts[: i + 1]) for i in range(len(parts))]
    return folders


# ------------------------------------------------------------------------------------------------ clock


def peak_clock(root: Path, cpus: Iterable[int], cpu: Cpu) -> Reading:
    """The highest clock that the system admits to."""
    for name in ("cpuinfo_max_freq", "scaling_max_freq"):
        folder = root / "sys/devices/system/cpu"
        khz = [_number(_read(folder / f"cpu{i}/cpufreq/{name}") or "") for i in cpus]
        known = [value for value in khz if value]
        if known:
            return Reading(max(known) * 1e3, f"/sys/devices/system/cpu/cpu*/cpufreq/{name}")
    if cpu.current_mhz:
        return Reading(
            max(cpu.current_mhz) * 1e6,
            "/proc/cpuinfo, current clock: the system (a virtual machine?) hides the highest",
        )
    named = re.search(r"@ ?([0-9.]+) ?GHz", cpu.name)
    if named and (ghz := _number(named[1])):
        return Reading(ghz * 1e9, "the processor's name: base clock")
    return Reading(_ASSUMED_CLOCK_HZ, "assumed: no clock is readable on this system")


def plausible_clock(clock: Reading, fp32_per_clock: float) -> Reading:
    """Raises a clock that is not the system's maximum when matrix products already run faster than it allows.

    Virtual machines report the base clock while the processor boosts; a peak below what is observed would be no peak.
    """
    if "max_freq" in clock.source:
        return clock
    rate = _gemm_fp32_flops_per_cpu_second()
    if rate is None or rate <= clock.value * fp32_per_clock:
        return clock
    return Reading(
        rate / fp32_per_clock,
        f"measured here: numpy products ran at the rate of {rate / 1e9:.0f} fp32 GFLOP/s on one core, more than "
        f"{clock.value / 1e6:.0f} MHz allow ({clock.source})",
    )


def _gemm_fp32_flops_per_cpu_second(n: int = 768, repeats: int = 4) -> float | None:
    """Best rate of n x n products per second of CPU time, so that several BLAS threads do not count as one core.

    fp64 products run on the same units with half the lanes: their rate counts twice.
    """
    try:
        import numpy as np
    except ImportError:
        return None
    best = 0.0
    for dtype, lanes in ((np.float32, 1), (np.float64, 2)):
        a = np.ones((n, n), dtype)
        out = np.empty_like(a)
        for _ in range(repeats):
            wall, busy = time.perf_counter(), time.process_time()
            np.matmul(a, a, out=out)
            busy, wall = time.process_time() - busy, time.perf_counter() - wall
            # CPU time has a coarse clock on some systems; one core never computes longer than the wall clock says.
            best = max(best, lanes * 2 * n**3 / max(busy, wall, 1e-6))
    return best


# ------------------------------------------------------------------------------------------------ memory


def caches(root: Path, cpus: Iterable[int]) -> tuple[Reading | None, Reading | None]:
    """The last-level cache below the given processors (all its instances), and one core's L1 data cache."""
    levels: dict[int, dict[str, float]] = {}
    for cpu in cpus:
        for index in range(8):
            folder = root / f"sys/devices/system/cpu/cpu{cpu}/cache/index{index}"
            size, level = _size(_read(folder / "size") or ""), _number(_read(folder / "level") or "")
            if size and level and (_read(folder / "type") or "").strip() != "Instruction":
                shared = (_read(folder / "shared_cpu_list") or f"cpu{cpu}").strip()
                levels.setdefault(int(level), {})[shared] = size
    if not levels:
        return None, None
    last, source = max(levels), "/sys/devices/system/cpu/cpu*/cache"
    instances = levels[last]
    total = Reading(
        sum(instances.values()), f"{source}: L{last}, {len(instances)} of {max(instances.values()):.0f} bytes"
    )
    l1 = Reading(max(levels[1].values()), f"{source}: L1 data") if 1 in levels and last > 1 else None
    return total, l1


def memory_size(root: Path) -> Reading:
    """Main memory, or what the control groups leave of it."""
    limits = []
    for folder in _group_folders(root, "memory"):
        for name in ("memory.max", "memory.limit_in_bytes"):
            value = _number(_read(folder / name) or "")
            if value:
                limits.append(value)
    total = re.search(r"^MemTotal:\s*([0-9]+) kB", _read(root / "proc/meminfo") or "", re.MULTILINE)
    if total:
        reading = Reading(int(total[1]) * 1024, "/proc/meminfo, MemTotal")
    else:
        try:
            reading = Reading(os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES"), "sysconf(SC_PHYS_PAGES)")
        except (AttributeError, ValueError, OSError):
            return Reading(_ASSUMED_MEMORY_BYTES, "assumed: this system does not say how much memory it has")
    # Version 1 writes a number near 2^63 for "no limit".
    if limits and min(limits) < reading.value:
        return Reading(min(limits), "control group memory limit")
    return reading


def copy_bandwidth(last_level_bytes: int, seconds: float = 0.2, repeats: int = 5) -> Reading:
    """Memory bandwidth of one thread, counted as STREAM counts its copy: bytes read plus bytes written.

    The line that a store fetches before it overwrites it is not counted (McCalpin, STREAM, 1995).

    Args:
        last_level_bytes: the two arrays together are four times this, and each within 32 MB and 128 MB.
        seconds: no further repetition starts after this time.
        repeats: the best of so many counts.
    """
    try:
        import numpy as np

        size = min(max(32_000_000, 2 * last_level_bytes), 128_000_000) // 8
        source, target = np.ones(size), np.ones(size)  # written to, so that the pages are there before timing
    except (ImportError, MemoryError) as error:
        return Reading(_ASSUMED_BANDWIDTH, f"assumed: the copy could not be measured ({type(error).__name__})")
    best, done, begin = float("inf"), 0, time.perf_counter()
    while done < repeats and (done < 2 or time.perf_counter() - begin < seconds):
        start = time.perf_counter()
        np.copyto(target, source)
        best, done = min(best, time.perf_counter() - start), done + 1
    today = datetime.date.today().isoformat()
    return Reading(
        2 * source.nbytes / best,
        f"measured here: numpy copy of {source.nbytes / 1e6:.0f} MB, one thread, best of {done}, {today}",
    )


# ------------------------------------------------------------------------------------------------ small files


def _read(path: Path) -> str | None:
    try:
        with path.open(encoding="utf-8", errors="replace") as file:
            return file.read(4_000_000)
    except OSError:
        return None


def _number(text: str) -> float | None:
    text = text.strip()
    return float(text) if re.fullmatch(r"[0-9]{1,20}(\.[0-9]{1,9})?", text) else None


def _size(text: str) -> float | None:
    """``"1024K"`` in bytes."""
    match = re.fullmatch(r"([0-9]{1,12})([KMG]?)", text.strip())
    return float(match[1]) * {"": 1, "K": 2**10, "M": 2**20, "G": 2**30}[match[2]] if match else None
