"""The shipped device files: every number with its source, and none that contradicts another."""

from __future__ import annotations

import copy
import re
import tomllib
from dataclasses import fields
from pathlib import Path

import pytest

import perfmodel.hardware.schema as schema
from perfmodel.hardware import LOCAL_CPU, Device, catalogue, device_ids, load_device

FOLDER = Path(schema.__file__).parent / "catalogue"
PAGE = Path(__file__).parent.parent / "docs" / "devices.md"

# What the project set out to describe: the devices that traces come from, and those that users have.
WANTED = """
    a100-sxm-80gb a100-pcie-40gb a100-pcie-80gb h100-sxm h200-sxm l40s b200-sxm gb200 v100-pcie-32gb p100-pcie-16gb t4 p4 l4
    a10 a40 mi100 mi210 mi250 rtx-2080ti rtx-3090 rtx-4070 quadro-rtx-6000 rtx-a4000 arc-pro-b60 local-cpu
    h100-pcie h800 h20 h200-nvl gb300 b300-sxm rtx-4090 rtx-5090 rtx-pro-6000 rtx-a6000 l20 a30 gtx-1080ti mi250x mi300x
    mi325x mi355x tpu-v5e jetson-orin
""".split()

IDS = sorted(path.stem for path in FOLDER.glob("*.toml"))
all_devices = pytest.mark.parametrize("name", IDS)


def test_ids_are_the_files() -> None:
    assert device_ids() == tuple(sorted([*IDS, LOCAL_CPU]))
    assert set(WANTED) <= set(device_ids())
    server_cpus = [name for name in IDS if load_device(name).kind == "cpu" and (load_device(name).units or 0) >= 40]
    assert len(server_cpus) >= 6


@all_devices
def test_the_record_is_the_files(name: str) -> None:
    device = load_device(name)
    assert device.id == name == name.lower()
    assert re.fullmatch(r"NVIDIA|AMD|Intel|Google|AWS|Ampere", device.vendor)
    assert device.name.startswith(device.vendor)


@all_devices
def test_every_number_has_a_source(name: str) -> None:
    device = load_device(name)
    numbers = {"memory_bandwidth_bytes_per_s", "memory_bytes"}
    for field in (f.name for f in fields(device)):
        value = getattr(device, field)
        if field in ("sources", "id", "name", "vendor", "kind", "family", "compute_capability"):
            continue
        if hasattr(value, "keys"):
            numbers |= {f"{field}.{key}" for key in value}
        elif value is not None:
            numbers.add(field)
    assert set(device.sources) == numbers
    for citation in device.sources.values():
        # A document has a title of some words and a year, a version or a commit; what is derived names what from.
        assert len(citation.split()) > 3
        assert re.search(r"\b(19|20)\d\d\b|v\d|commit|TechPowerUp|CUDA device attributes|of this file", citation), (
            citation
        )


@all_devices
def test_no_citation_is_left_over(name: str) -> None:
    file = tomllib.loads((FOLDER / f"{name}.toml").read_text(encoding="utf-8"))
    assert set(load_device(name).sources.values()) == set(file["sources"].values())


# Rates whose vendor quotes them at a clock that is not named: their share of units x highest clock x operations per clock.
NVL = dict.fromkeys(("tf32", "fp16", "bf16", "fp8", "int8"), 0.866)
UNNAMED_CLOCK = {
    "b200-sxm": dict.fromkeys(("tf32", "fp16", "bf16", "fp8", "fp6", "fp4", "int8"), 0.944),
    "b300-sxm": dict.fromkeys(("tf32", "fp16", "bf16", "fp8", "fp6"), 0.913) | {"fp4": 0.947, "fp32": 0.974},
    "gb200": dict.fromkeys(("tf32", "fp16", "bf16", "fp8", "fp6", "fp4", "int8"), 0.974),
    "gb300": dict.fromkeys(("tf32", "fp16", "bf16", "fp8", "fp6", "fp4"), 0.974),
    "h100-nvl": NVL,
    "h200-nvl": NVL,
    "rtx-pro-6000-server": {"fp32": 1.026},  # the datasheet's 120 TFLOP/s against the highest clock of nvidia-smi
}
# Peaks without operations per clock, and why.
PER_CLOCK_UNKNOWN = {
    "h20": {
        "fp64",
        "fp32",
        "tf32",
        "fp16",
        "bf16",
        "fp8",
        "int8",
    },  # held to these rates for export, how is not published
    "h800": {"fp64"},  # the same
    "b300-sxm": {"fp64", "int8"},  # units that were cut
    "gb300": {"fp64", "int8"},
    "l40s": {"int4"},  # the datasheet's int4 is no faster than int8
    "tpu-v4": {"fp32"},  # six bf16 passes, no unit of its own
    "tpu-v5e": {"fp32"},
    "tpu-v5p": {"fp32", "bf16", "int8"},  # the clock is not published
    "tpu-v6e": {"fp32", "bf16", "int8"},
}


@all_devices
def test_peak_is_units_times_clock_times_operations_per_clock(name: str) -> None:
    device = load_device(name)
    assert device.units is not None
    for arithmetic, per_clock in device.flops_per_clock_per_unit.items():
        clock = device.clock_hz(arithmetic)
        assert clock is not None
        product = device.units * clock * per_clock * UNNAMED_CLOCK.get(name, {}).get(arithmetic, 1.0)
        assert device.peak_flops[arithmetic] == pytest.approx(product, rel=0.015), arithmetic
    assert set(device.peak_flops) - set(device.flops_per_clock_per_unit) == PER_CLOCK_UNKNOWN.get(name, set())


# Vendors that round: 6144 pins at 6.4 Gbit/s are 4.92 TB/s and sold as 4.8; MI325X and MI350 as 6 and 8.
ROUNDED = {"h200-sxm": 0.976, "h200-nvl": 0.976, "mi325x": 0.977, "mi350x": 0.977, "mi355x": 0.977}
NO_BUS = {"gb200", "b300-sxm", "gb300", "h20", "grace-cpu", "tpu-v4", "tpu-v5e", "tpu-v5p", "tpu-v6e"}


@all_devices
def test_bandwidth_is_bus_width_times_rate(name: str) -> None:
    device = load_device(name)
    if device.memory_bus_bits is None or device.memory_rate_bits_per_s_per_pin is None:
        assert name in NO_BUS
        return
    product = device.memory_bus_bits * device.memory_rate_bits_per_s_per_pin / 8
    assert device.memory_bandwidth_bytes_per_s == pytest.approx(product * ROUNDED.get(name, 1.0), rel=0.005)


@all_devices
def test_narrower_arithmetic_is_not_slower(name: str) -> None:
    # int8 was cut from Blackwell Ultra; everything else gets faster, or stays, with fewer bits.
    peaks = load_device(name).peak_flops
    chains = [
        ("fp64", "fp32"),
        ("fp32", "tf32", "fp16", "fp8", "fp4"),
        ("fp32", "bf16", "fp8"),
        ("fp32", "int8", "int4"),
    ]
    if name in ("b300-sxm", "gb300"):
        chains.pop()
    for chain in chains:
        known = [peaks[a] for a in chain if a in peaks]
        assert known == sorted(known), chain


# Tensor Core FLOP per SM and clock with FP32 accumulation, from the widths of the matrix instructions per architecture:
# Volta 8 x 4x4x4 multiply-adds, Ampere 4 x 8x4x8, Hopper twice, Blackwell four times that; GeForce half of its chip's.
@pytest.mark.parametrize(
    ("name", "fp16"),
    [
        ("v100-pcie-32gb", 2 * 8 * 64),
        ("t4", 2 * 8 * 64),
        ("rtx-2080ti", 8 * 64),
        ("a100-sxm-80gb", 2 * 4 * 256),
        ("a30", 2 * 4 * 256),
        ("jetson-orin", 2 * 4 * 256),
        ("a10", 2 * 4 * 128),
        ("rtx-3090", 4 * 128),
        ("rtx-a6000", 2 * 4 * 128),
        ("l40s", 2 * 4 * 128),
        ("l20", 4 * 128),
        ("rtx-4090", 4 * 128),
        ("rtx-5090", 4 * 128),
        ("rtx-pro-6000", 2 * 4 * 128),
        ("h100-sxm", 4096),
        ("b200-sxm", 8192),
        ("b300-sxm", 8192),
        ("mi300x", 2048),
        ("mi355x", 4096),
    ],
)
def test_matrix_rates_per_clock(name: str, fp16: int) -> None:
    assert load_device(name).flops_per_clock_per_unit["fp16"] == fp16


# Dense figures, half of the headlines with sparsity: 3,958 on H100, 1,466 on L40S, 3,352 on RTX 5090, 275 TOPS on Orin (with
# its two DLAs), 36 PFLOP/s for eight B300.
@pytest.mark.parametrize(
    ("name", "arithmetic", "peak"),
    [
        ("h100-sxm", "fp8", 1978.9e12),
        ("l40s", "fp8", 733e12),
        ("b200-sxm", "fp4", 9e15),
        ("gb200", "fp4", 10e15),
        ("b300-sxm", "bf16", 36e15 / 2 / 8),
        ("gb300", "fp4", 15e15),
        ("rtx-5090", "fp4", 1676e12),
        ("rtx-4090", "fp16", 165.2e12),
        ("jetson-orin", "int8", 85e12),
        ("mi300x", "fp16", 1307.4e12),
        ("h20", "bf16", 148e12),
        ("tpu-v5e", "bf16", 197e12),
    ],
)
def test_peaks_are_dense(name: str, arithmetic: str, peak: float) -> None:
    assert load_device(name).peak_flops[arithmetic] == peak


# Multiply-adds a core starts in one clock, from the vendors' descriptions: two 512-bit units of 16 lanes, ...
@pytest.mark.parametrize(
    ("name", "fma"),
    [
        ("xeon-8480-plus", 2 * 16),
        ("epyc-7763", 2 * 8),
        ("epyc-9654", 2 * 8),
        ("epyc-9755", 2 * 16),
        ("graviton3", 2 * 8),
        ("graviton4", 4 * 4),
        ("altra-max-m128-30", 2 * 4),
        ("ryzen-ai-9-hx-370", 2 * 8),
    ],
)
def test_vector_rates_of_cores(name: str, fma: int) -> None:
    assert load_device(name).flops_per_clock_per_unit["fp32"] == 2 * fma


def test_grace_fits_nvidias_own_figure() -> None:
    # The superchip of two is quoted at 7.1 TFLOP/s in fp64.
    assert load_device("grace-cpu").peak_flops["fp64"] == pytest.approx(7.1e12 / 2, rel=0.01)


def test_h100_vector_and_matrix_clocks_differ() -> None:
    h100 = load_device("h100-sxm")
    assert h100.clock_hz("bf16") == 1.83e9
    assert h100.clock_hz("fp32") == 1.98e9


def test_cdna_vector_units_are_slower_than_its_fp32_matrix_units() -> None:
    mi210 = load_device("mi210")
    assert (mi210.peak_flops["fp32"], mi210.vector_flops) == (45.3e12, 22.6e12)
    assert load_device("a100-pcie-40gb").vector_flops == 19.5e12


# Boards for export and cut boards: what is less than in the full one, all else being equal.
@pytest.mark.parametrize(
    ("name", "full", "less"),
    [
        ("h800", "h100-sxm", {"interconnect_bytes_per_s"}),
        ("a800-sxm-80gb", "a100-sxm-80gb", {"interconnect_bytes_per_s"}),
        ("a100-sxm-40gb", "a100-sxm-80gb", {"memory_bandwidth_bytes_per_s", "memory_bytes"}),
        ("v100-sxm2-16gb", "v100-sxm2-32gb", {"memory_bytes"}),
        ("rtx-pro-6000-max-q", "rtx-pro-6000", {"tdp_w", "peak_clock_hz"}),
        ("mi300x", "mi325x", {"memory_bandwidth_bytes_per_s", "memory_bytes", "tdp_w"}),
    ],
)
def test_siblings_differ_where_they_should(name: str, full: str, less: set[str]) -> None:
    one, other = load_device(name), load_device(full)
    fields = ("units", "peak_clock_hz", "memory_bandwidth_bytes_per_s", "memory_bytes", "tdp_w", "l2_bytes")
    fields += ("interconnect_bytes_per_s",)
    assert {field for field in fields if getattr(one, field) < getattr(other, field)} == less
    assert {field for field in fields if getattr(one, field) > getattr(other, field)} == set()


@pytest.mark.parametrize(
    ("name", "dtype", "arithmetic", "note"),
    [
        ("a100-pcie-40gb", "fp8", "bf16", "fp8: a100-pcie-40gb has no fp8 arithmetic; bf16 ran instead"),
        ("h100-sxm", "fp8", "fp8", None),
        ("h100-sxm", "nvfp4", "fp8", "nvfp4: h100-sxm has no fp4 arithmetic; fp8 ran instead"),
        ("rtx-5090", "nvfp4", "fp4", None),
        ("arc-pro-b60", "fp8", "bf16", "fp8: arc-pro-b60 has no fp8 arithmetic; bf16 ran instead"),
        ("epyc-9654", "fp16", "fp32", "fp16: epyc-9654 has no fp16 arithmetic; fp32 ran instead"),
        ("t4", "nvfp4", "fp16", "nvfp4: t4 has no fp4 arithmetic; fp16 ran instead"),
        ("v100-pcie-32gb", "bf16", "fp32", "bf16: v100-pcie-32gb has no bf16 arithmetic; fp32 ran instead"),
        ("p4", "fp16", "fp32", "fp16: p4 has no fp16 arithmetic; fp32 ran instead"),
    ],
)
def test_says_what_ran_instead(name: str, dtype: str, arithmetic: str, note: str | None) -> None:
    ran = load_device(name).arithmetic(dtype)
    assert (ran.name, ran.note) == (arithmetic, note)
    assert ran.peak_flops == load_device(name).peak_flops[arithmetic]


def test_records_cannot_change_and_can_be_keys() -> None:
    device = load_device("t4")
    with pytest.raises(TypeError):
        device.peak_flops["fp32"] = 1.0
    again = copy.deepcopy(device)
    assert again == device
    assert hash(again) == hash(device)


def _families_of_the_page() -> dict[str, list[str]]:
    if not PAGE.is_file():
        pytest.skip("docs/ is not beside the tests")
    table = PAGE.read_text(encoding="utf-8").split("| family | devices |\n|---|---|\n")[1].split("\n\n")[0]
    rows = [row.strip("|").split("|") for row in table.splitlines()]
    return {family.strip(): re.findall(r"`([^`]+)`", devices) for family, devices in rows}


def test_the_page_lists_every_device_once() -> None:
    listed = [name for row in _families_of_the_page().values() for name in row]
    assert sorted(listed) == list(device_ids())


def test_the_page_keeps_families_together() -> None:
    rows = {name: row for row, names in _families_of_the_page().items() for name in names}
    devices: list[Device] = [load_device(name) for name in IDS]
    for device in devices:
        mates = {rows[other.id] for other in devices if (other.family, other.vendor) == (device.family, device.vendor)}
        assert len(mates) == 1, device.family


@pytest.mark.parametrize(
    ("device", "matrix", "ordinary"),
    [
        ("rtx-4090", "tf32 fp16 bf16 fp8 int8 int4", "fp64 fp32"),  # twice the fp32 rate in 16 bits, yet Tensor Cores
        ("rtx-3090", "tf32 fp16 bf16 int8", "fp32"),
        ("l20", "tf32 fp16 bf16 fp8", "fp32"),
        ("t4", "fp16 int8 int4", "fp32"),
        ("p100-pcie-16gb", "", "fp64 fp32 fp16"),  # packed FP16: two a lane
        ("gtx-1080ti", "", "fp32 int8"),  # DP4A: four a lane
        ("mi100", "fp32 fp16 bf16 int8", ""),  # MFMA
        ("mi250", "fp32 fp16 bf16 int8", ""),
        ("mi300x", "fp16 bf16 fp8 int8", "fp32"),
        ("tpu-v5e", "bf16 int8 fp32", ""),
        ("xeon-8480-plus", "bf16 int8", "fp64 fp32 fp16"),  # AMX; AVX512-FP16
        ("epyc-9654", "", "fp32 bf16 int8"),  # AVX-512 with VNNI and BF16
        ("graviton3", "bf16 int8", "fp32 fp16"),  # BFMMLA, SMMLA
    ],
)
def test_which_arithmetic_runs_on_matrix_units(device: str, matrix: str, ordinary: str) -> None:
    record = load_device(device)
    assert {a: record.on_matrix_units(a) for a in (matrix + " " + ordinary).split()} == (
        dict.fromkeys(matrix.split(), True) | dict.fromkeys(ordinary.split(), False)
    )


@pytest.mark.parametrize("capability", ["6.1", "10.3"])
def test_gpus_with_twice_the_special_function_units_say_so(capability: str) -> None:
    # CUDA C++ Programming Guide, table of arithmetic throughput: 32 in 6.1; NVIDIA of Blackwell Ultra: twice Blackwell's 16.
    devices = [d for d in catalogue().values() if d.compute_capability == capability]
    assert devices
    assert all(d.exponentials_per_clock_per_unit == 32 for d in devices)
