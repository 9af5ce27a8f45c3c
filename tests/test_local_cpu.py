"""The record of the machine itself: the rules on made-up machines, and sanity on this one."""

from __future__ import annotations

from pathlib import Path

import pytest

import perfmodel.hardware.local_cpu as local
from perfmodel.hardware import load_device
from perfmodel.hardware.cpu_rates import Cpu, flops_per_clock, parse_cpuinfo
from perfmodel.hardware.local_cpu import Reading


def put(root: Path, path: str, text: str) -> None:
    file = root / path
    file.parent.mkdir(parents=True, exist_ok=True)
    file.write_text(text, encoding="utf-8")


CPUINFO = """processor\t: 0
vendor_id\t: AuthenticAMD
cpu family\t: 25
model\t\t: 17
model name\t: AMD EPYC
cpu MHz\t\t: 2596.152
flags\t\t: fpu sse2 avx fma avx2 avx512f avx512_bf16 avx512_vnni

processor\t: 1
cpu MHz\t\t: 3100.5
"""


@pytest.fixture
def machine(tmp_path: Path) -> Path:
    """Two cores of two threads each, one L3 for all; processors 0 and 2 share a core, as 1 and 3 do."""
    put(tmp_path, "proc/cpuinfo", CPUINFO)
    put(tmp_path, "proc/meminfo", "MemTotal:       16384000 kB\nMemFree: 1 kB\n")
    for cpu, core in ((0, "0,2"), (1, "1,3"), (2, "0,2"), (3, "1,3")):
        folder = f"sys/devices/system/cpu/cpu{cpu}"
        put(tmp_path, f"{folder}/topology/thread_siblings_list", core + "\n")
        for index, (level, kind, size, shared) in enumerate(
            [
                (1, "Data", "32K", core),
                (1, "Instruction", "64K", core),
                (2, "Unified", "1024K", core),
                (3, "Unified", "32M", "0-3"),
            ]
        ):
            for name, value in (("level", str(level)), ("type", kind), ("size", size), ("shared_cpu_list", shared)):
                put(tmp_path, f"{folder}/cache/index{index}/{name}", value + "\n")
    return tmp_path


def test_cpuinfo() -> None:
    cpu = parse_cpuinfo(CPUINFO, "whatever")
    assert (cpu.name, cpu.vendor, cpu.architecture, cpu.family_name) == ("AMD EPYC", "AMD", "x86_64", "zen4")
    assert cpu.current_mhz == (2596.152, 3100.5)
    arm = parse_cpuinfo("CPU implementer : 0x41\nCPU part : 0xd40\nFeatures : fp asimd bf16\n", "aarch64")
    assert (arm.name, arm.vendor, arm.family_name) == ("Arm Neoverse V1", "Arm", "neoverse-v1")
    nothing = parse_cpuinfo("", "AMD64")
    assert (nothing.name, nothing.architecture, nothing.family_name) == ("", "x86_64", "x86_64")


X86 = frozenset({"sse2", "avx", "avx2", "fma"})
WIDE = X86 | {"avx512f", "avx512_vnni"}


# Counted by hand: two 256-bit units of 8 fp32 lanes, 2 FLOP each: 2 * 8 * 2 = 32; and so on.
@pytest.mark.parametrize(
    ("cpu", "expected"),
    [
        (Cpu("Core i7-8700", "Intel", "x86_64", X86, 6, 0x9E), {"fp32": 32, "fp64": 16}),
        (Cpu("Ryzen 7 1700", "AMD", "x86_64", X86, 0x17, 0x01), {"fp32": 16, "fp64": 8}),
        (Cpu("EPYC 7742", "AMD", "x86_64", X86, 0x17, 0x31), {"fp32": 32, "fp64": 16}),
        (
            Cpu("EPYC 9654", "AMD", "x86_64", WIDE | {"avx512_bf16"}, 0x19, 0x11),
            {"fp32": 32, "fp64": 16, "bf16": 64, "int8": 128},
        ),
        (
            Cpu("EPYC 9755", "AMD", "x86_64", WIDE | {"avx512_bf16"}, 0x1A, 0x02),
            {"fp32": 64, "fp64": 32, "bf16": 128, "int8": 256},
        ),
        (Cpu("Ryzen AI 9", "AMD", "x86_64", WIDE, 0x1A, 0x24), {"fp32": 32, "fp64": 16, "int8": 128}),
        (Cpu("Intel Xeon Platinum 8280", "Intel", "x86_64", WIDE, 6, 0x55), {"fp32": 64, "fp64": 32, "int8": 256}),
        (Cpu("Intel(R) Xeon(R) Silver 4216", "Intel", "x86_64", WIDE, 6, 0x55), {"fp32": 32, "fp64": 16, "int8": 128}),
        (Cpu("Intel(R) Xeon(R) Gold 5218", "Intel", "x86_64", WIDE, 6, 0x55), {"fp32": 32, "fp64": 16, "int8": 128}),
        (
            Cpu(
                "Xeon 8480+",
                "Intel",
                "x86_64",
                WIDE | {"avx512_bf16", "avx512_fp16", "amx_tile", "amx_bf16", "amx_int8"},
                6,
                0x8F,
            ),
            {"fp32": 64, "fp64": 32, "fp16": 128, "bf16": 1024, "int8": 2048},
        ),
        (Cpu("Core i5-2500", "Intel", "x86_64", frozenset({"sse2", "avx"}), 6, 0x2A), {"fp32": 16, "fp64": 8}),
        (Cpu("Xeon X5650", "Intel", "x86_64", frozenset({"sse2"}), 6, 0x2C), {"fp32": 8, "fp64": 4}),
        (
            Cpu("", "Arm", "aarch64", frozenset({"asimd", "asimdhp", "asimddp"}), part=0xD0C),
            {"fp32": 16, "fp64": 8, "fp16": 32, "int8": 64},
        ),
        (
            Cpu("", "Arm", "aarch64", frozenset({"bf16", "i8mm", "asimddp"}), part=0xD40),
            {"fp32": 32, "fp64": 16, "bf16": 128, "int8": 256},
        ),
        (Cpu("", "", "aarch64", frozenset()), {"fp32": 16, "fp64": 8}),
        (Cpu("", "", "riscv64", frozenset()), {"fp32": 8, "fp64": 4}),
    ],
    ids=lambda value: (value.name or value.architecture) if isinstance(value, Cpu) else "",
)
def test_operations_per_clock(cpu: Cpu, expected: dict[str, int]) -> None:
    rates = flops_per_clock(cpu)
    assert {name: rate.value for name, rate in rates.items()} == expected
    assert all(len(rate.source) > 20 for rate in rates.values())
    if cpu.family_name == "zen4":
        assert "Zen 4" in rates["fp32"].source


def test_cores_not_threads(machine: Path) -> None:
    assert local.usable_cores(machine, {0, 1, 2, 3}).value == 2
    assert local.usable_cores(machine, {0, 2}).value == 1  # the affinity mask leaves one core's two threads
    unknown = local.usable_cores(machine / "nowhere", {0, 1, 2})
    assert unknown.value == 3
    assert "not readable" in unknown.source


@pytest.mark.parametrize(
    ("files", "cores"),
    [
        ({"sys/fs/cgroup/cpu.max": "150000 100000"}, 1),
        ({"sys/fs/cgroup/cpu.max": "max 100000"}, 2),
        ({"sys/fs/cgroup/cpu.max": "rubbish"}, 2),
        ({"sys/fs/cgroup/cpu.max": "10000 100000"}, 1),
        ({"proc/self/cgroup": "0::/job/one\n", "sys/fs/cgroup/job/cpu.max": "100000 100000"}, 1),
        ({"proc/self/cgroup": "2:cpu,cpuacct:/job\n", "sys/fs/cgroup/cpu/job/cpu.cfs_quota_us": "100000",
          "sys/fs/cgroup/cpu/job/cpu.cfs_period_us": "100000"}, 1),
        ({"sys/fs/cgroup/cpu/cpu.cfs_quota_us": "-1", "sys/fs/cgroup/cpu/cpu.cfs_period_us": "100000"}, 2),
    ],
)  # fmt: skip
def test_cpu_quota(machine: Path, files: dict[str, str], cores: int) -> None:
    for path, text in files.items():
        put(machine, path, text)
    reading = local.usable_cores(machine, {0, 1, 2, 3})
    assert reading.value == cores
    assert ("control group" in reading.source) == (cores == 1)


def test_clock_prefers_the_highest_that_is_admitted(machine: Path) -> None:
    cpu = parse_cpuinfo(CPUINFO, "x86_64")
    now = local.peak_clock(machine, {0, 1}, cpu)
    assert now.value == pytest.approx(3100.5e6)
    assert "current clock" in now.source
    put(machine, "sys/devices/system/cpu/cpu1/cpufreq/scaling_max_freq", "3400000\n")
    assert local.peak_clock(machine, {0, 1}, cpu).value == 3.4e9
    put(machine, "sys/devices/system/cpu/cpu0/cpufreq/cpuinfo_max_freq", "3700000\n")
    assert local.peak_clock(machine, {0, 1}, cpu) == (3.7e9, "/sys/devices/system/cpu/cpu*/cpufreq/cpuinfo_max_freq")
    named = Cpu("Intel(R) Core(TM) i5 CPU @ 2.60GHz", "Intel", "x86_64", frozenset())
    assert local.peak_clock(machine / "nowhere", {0}, named).value == 2.6e9
    assert "assumed" in local.peak_clock(machine / "nowhere", {0}, Cpu("", "", "x86_64", frozenset())).source


def test_no_peak_below_what_was_observed(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(local, "_gemm_fp32_flops_per_cpu_second", lambda: 96e9)
    base = Reading(2.6e9, "/proc/cpuinfo, current clock")
    raised = local.plausible_clock(base, 32)
    assert raised.value == 3e9  # 96 GFLOP/s at 32 FLOP a clock
    assert "2600 MHz allow" in raised.source
    assert local.plausible_clock(base, 64) == base
    certain = Reading(2.6e9, "/sys/devices/system/cpu/cpu*/cpufreq/cpuinfo_max_freq")
    assert local.plausible_clock(certain, 32) == certain


def test_caches(machine: Path) -> None:
    last, l1 = local.caches(machine, {0, 1, 2, 3})
    assert last is not None
    assert l1 is not None
    assert (last.value, l1.value) == (32 * 2**20, 32 * 2**10)
    for cpu in (0, 2):  # a second L3: its size counts as well
        put(machine, f"sys/devices/system/cpu/cpu{cpu}/cache/index3/shared_cpu_list", "0,2")
    assert local.caches(machine, {0, 1})[0] == (
        64 * 2**20,
        "/sys/devices/system/cpu/cpu*/cache: L3, 2 of 33554432 bytes",
    )
    assert local.caches(machine / "nowhere", {0}) == (None, None)


def test_memory(machine: Path) -> None:
    assert local.memory_size(machine).value == 16_777_216_000
    put(machine, "sys/fs/cgroup/memory/memory.limit_in_bytes", "9223372036854771712\n")
    assert local.memory_size(machine).value == 16_777_216_000
    put(machine, "sys/fs/cgroup/memory.max", "4000000000\n")
    assert local.memory_size(machine) == (4e9, "control group memory limit")


def test_a_machine_that_tells_nothing(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(local, "copy_bandwidth", lambda size: Reading(1e10, "measured"))
    monkeypatch.setattr(local, "_gemm_fp32_flops_per_cpu_second", lambda: None)
    monkeypatch.setattr(local, "usable_cpus", lambda: frozenset({0, 1}))
    monkeypatch.setattr(local.platform, "machine", lambda: "riscv64")
    device = local.describe(tmp_path)
    assert device.peak_flops["fp32"] == 2 * 2.5e9 * 8
    assert (device.units, device.l2_bytes, device.family) == (2, None, "riscv64")
    assert "assumed" in device.sources["peak_clock_hz"]
    assert "l2_bytes" not in device.sources


def test_this_machine() -> None:
    device = load_device("local-cpu")
    assert load_device("local-cpu") is device
    assert (device.id, device.kind) == ("local-cpu", "cpu")
    assert 1 <= (device.units or 0) <= len(local.usable_cpus())
    assert 5e8 < (device.peak_clock_hz or 0) < 1e10
    assert 2e9 < device.peak_flops["fp32"] < 1e14
    assert device.peak_flops["fp64"] == device.peak_flops["fp32"] / 2
    assert 5e8 < device.memory_bandwidth_bytes_per_s < 1e12
    assert 2**26 < device.memory_bytes < 2**48
    assert "one thread" in device.sources["memory_bandwidth_bytes_per_s"]
    numbers = {f"peak_flops.{a}" for a in device.peak_flops} | {
        f"flops_per_clock_per_unit.{a}" for a in device.peak_flops
    }
    assert numbers <= set(device.sources)
