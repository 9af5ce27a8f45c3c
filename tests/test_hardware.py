"""The catalogue of devices, and how a device is found."""

from __future__ import annotations

import copy
import csv
import json
import math
import os
import re
import subprocess
import sys
import tomllib
from pathlib import Path

import pytest

import perfmodel.hardware.schema as schema
from perfmodel.errors import DeviceError
from perfmodel.hardware import LOCAL_CPU, catalogue, device_ids, load_device
from perfmodel.hardware.schema import parse_device

MEASURED = (
    "a100-sxm-80gb a100-pcie-40gb h100-sxm h200-sxm l40s b200-sxm gb200 a10 v100-pcie-32gb p100-pcie-16gb t4 p4"
).split()
OTHERS = "a100-pcie-80gb l4 a40 mi100 mi210 mi250 mi250x rtx-2080ti rtx-3090 rtx-4070 quadro-rtx-6000 rtx-a4000".split()
FOLDER = Path(schema.__file__).parent / "catalogue"

VALID = """
schema = 1
id = "my-gpu"
name = "My GPU"
vendor = "Me"
kind = "gpu"
family = "mine"
memory_bandwidth_bytes_per_s = { value = 1e12, source = "sheet" }
memory_bytes = { value = 16e9, source = "sheet" }
[peak_flops]
fp32 = { value = 10e12, source = "sheet" }
[sources]
sheet = "My datasheet, page 1, 2026"
"""


# ------------------------------------------------------------------------------------------------ the catalogue


def test_ids_are_those_of_the_design() -> None:
    assert device_ids() == tuple(sorted([*MEASURED, *OTHERS, LOCAL_CPU]))


@pytest.mark.parametrize("name", [*MEASURED, *OTHERS])
def test_every_number_has_a_source(name: str) -> None:
    device = load_device(name)
    assert device.id == name
    numbers = {"memory_bandwidth_bytes_per_s", "memory_bytes"}
    for field in vars(device):
        value = getattr(device, field)
        if field in ("sources", "id", "name", "vendor", "kind", "family", "compute_capability"):
            continue
        if hasattr(value, "keys"):
            numbers |= {f"{field}.{key}" for key in value}
        elif value is not None:
            numbers.add(field)
    assert set(device.sources) == numbers
    for citation in device.sources.values():
        # A document has a title of some words and a year, a version or a commit.
        assert len(citation.split()) > 3
        assert re.search(r"\b(19|20)\d\d\b|v\d|commit|TechPowerUp|CUDA device attributes", citation), citation


@pytest.mark.parametrize("name", [*MEASURED, *OTHERS])
def test_no_citation_is_left_over(name: str) -> None:
    file = tomllib.loads((FOLDER / f"{name}.toml").read_text(encoding="utf-8"))
    assert set(load_device(name).sources.values()) == set(file["sources"].values())


# B200's datasheet quotes Tensor Core rates at a clock that it does not name, 5.6 % below the highest.
LOWER_CLOCK = {("b200-sxm", a) for a in ("tf32", "fp16", "bf16", "fp8", "fp6", "fp4", "int8")}


@pytest.mark.parametrize("name", [*MEASURED, *OTHERS])
def test_peak_is_units_times_clock_times_operations_per_clock(name: str) -> None:
    device = load_device(name)
    assert device.units is not None
    for arithmetic, per_clock in device.flops_per_clock_per_unit.items():
        clock = device.clock_hz(arithmetic)
        assert clock is not None
        product = device.units * clock * per_clock
        tolerance = 0.06 if (name, arithmetic) in LOWER_CLOCK else 0.03
        assert device.peak_flops[arithmetic] == pytest.approx(product, rel=tolerance), arithmetic
    assert set(device.peak_flops) - set(device.flops_per_clock_per_unit) <= {"int4"}


@pytest.mark.parametrize("name", [*MEASURED, *OTHERS])
def test_bandwidth_is_bus_width_times_rate(name: str) -> None:
    device = load_device(name)
    if device.memory_bus_bits is None or device.memory_rate_bits_per_s_per_pin is None:
        assert name == "gb200"  # its bus width is not published
        return
    product = device.memory_bus_bits * device.memory_rate_bits_per_s_per_pin / 8
    assert device.memory_bandwidth_bytes_per_s == pytest.approx(product, rel=0.03)


# Tensor Core FLOP per SM and clock with FP32 accumulation, from the widths of the matrix instructions per architecture:
# Volta 8 x 4x4x4 multiply-adds, Ampere 4 x 8x4x8, Hopper twice, Blackwell four times that; GeForce half of its chip's.
@pytest.mark.parametrize(
    ("name", "fp16"),
    [
        ("v100-pcie-32gb", 2 * 8 * 64),
        ("t4", 2 * 8 * 64),
        ("rtx-2080ti", 8 * 64),
        ("a100-sxm-80gb", 2 * 4 * 256),
        ("a10", 2 * 4 * 128),
        ("rtx-3090", 4 * 128),
        ("l40s", 2 * 4 * 128),
        ("rtx-4070", 4 * 128),
        ("h100-sxm", 4096),
        ("b200-sxm", 8192),
    ],
)
def test_matrix_rates_per_clock(name: str, fp16: int) -> None:
    assert load_device(name).flops_per_clock_per_unit["fp16"] == fp16


def test_peaks_are_dense() -> None:
    # The headline figures with sparsity are 2 x: 1979 and 3958 TFLOP/s on H100, 733 and 1466 on L40S.
    h100, l40s = load_device("h100-sxm"), load_device("l40s")
    assert (h100.peak_flops["bf16"], h100.peak_flops["fp8"]) == (989.4e12, 1978.9e12)
    assert (l40s.peak_flops["bf16"], l40s.peak_flops["fp8"]) == (362.05e12, 733e12)
    assert load_device("b200-sxm").peak_flops["fp4"] == 9e15
    assert load_device("gb200").peak_flops["fp4"] == 10e15


def test_h100_vector_and_matrix_clocks_differ() -> None:
    h100 = load_device("h100-sxm")
    assert h100.clock_hz("bf16") == 1.83e9
    assert h100.clock_hz("fp32") == 1.98e9


def test_cdna_vector_units_are_slower_than_its_fp32_matrix_units() -> None:
    mi210 = load_device("mi210")
    assert (mi210.peak_flops["fp32"], mi210.vector_flops) == (45.3e12, 22.6e12)
    assert load_device("a100-pcie-40gb").vector_flops == 19.5e12


@pytest.mark.parametrize(
    ("name", "dtype", "arithmetic", "note"),
    [
        ("a100-pcie-40gb", "fp8", "bf16", "fp8: a100-pcie-40gb has no fp8 arithmetic; bf16 ran instead"),
        ("h100-sxm", "fp8", "fp8", None),
        ("h100-sxm", "nvfp4", "fp8", "nvfp4: h100-sxm has no fp4 arithmetic; fp8 ran instead"),
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


def test_against_the_records_of_published_measurements(shared: Path) -> None:
    systems = shared / "data/aiconfigurator/aic-core/src/aiconfigurator_core/systems"
    ids = {"a100_sxm": "a100-sxm-80gb", "h100_sxm": "h100-sxm", "h200_sxm": "h200-sxm", "b200_sxm": "b200-sxm"}
    for system, name in {**ids, "l40s": "l40s", "gb200": "gb200"}.items():
        text = (systems / f"{system}.yaml").read_text(encoding="utf-8")
        theirs = {key: float(value) for key, value in re.findall(r"^ +(\w+): ([0-9.]+)", text, re.MULTILINE)}
        device = load_device(name)
        assert device.memory_bandwidth_bytes_per_s == pytest.approx(theirs["mem_bw"], rel=0.01)
        assert device.memory_bytes == pytest.approx(theirs["mem_capacity"], rel=0.07)  # L40S: less what ECC takes
        assert device.peak_flops["bf16"] == pytest.approx(theirs["bfloat16_tc_flops"], rel=0.01)
        assert device.peak_flops["int8"] == pytest.approx(theirs["int8_tc_flops"], rel=0.01)
        assert device.tdp_w == theirs["power"]
        assert device.interconnect_bytes_per_s == theirs["intra_node_bw"]


def test_no_published_measurement_beats_a_peak(shared: Path) -> None:
    neusight = shared / "data/neusight/scripts/asplos/data"
    fastest: dict[str, float] = {}
    for path in neusight.glob("dataset/train/collect/linear/*/*.csv"):
        with path.open(encoding="utf-8", newline="") as file:
            for row in csv.DictReader(file):
                flops = 2 * math.prod(float(row[key] or 1) for key in "BMNK")
                fastest[path.stem] = max(fastest.get(path.stem, 0), flops / (float(row["Latency"]) * 1e-3))
    assert len(fastest) == 5
    for stem, flops in fastest.items():
        config = json.loads((neusight / f"device_configs/{stem.replace(' ', '_')}.json").read_text(encoding="utf-8"))
        device = load_device(stem.lower().removeprefix("nvidia ").removeprefix("tesla "))
        assert flops < device.peak_flops["fp32"]
        assert device.memory_bandwidth_bytes_per_s == pytest.approx(config["Mem_Bw"] * 1e9, rel=0.01)
        assert device.l2_bytes == config["L2Cache"] * 2**20


# ------------------------------------------------------------------------------------------------ finding a device


@pytest.mark.parametrize(
    ("wanted", "hint"),
    [
        ("h100", "did you mean 'h100-sxm'?"),
        ("A100", "did you mean 'a100-pcie-40gb' or 'a100-pcie-80gb' or 'a100-sxm-80gb'?"),
        ("h100-smx", "did you mean 'h100-sxm'"),
        ("rtx3090", "did you mean 'rtx-3090'"),
        ("abacus", "known: a10, a100-pcie-40gb"),
        ("", "known: a10, "),
        ("x\n" * 500, "known: a10, "),
    ],
)
def test_unknown_id_names_the_nearest(wanted: str, hint: str) -> None:
    with pytest.raises(DeviceError) as caught:
        load_device(wanted)
    assert hint in str(caught.value)
    assert "\n" not in str(caught.value)


def test_one_device_reads_one_file(monkeypatch: pytest.MonkeyPatch) -> None:
    import perfmodel.hardware.loader as loader

    loader._from_catalogue.cache_clear()
    read = []
    monkeypatch.setattr(schema, "parse_device", lambda text, where: read.append(where) or parse_device(text, where))
    first = load_device("t4")
    assert read == ["t4.toml"]
    assert load_device("t4") is first
    assert read == ["t4.toml"]
    assert set(catalogue()) == {*MEASURED, *OTHERS}


def test_importing_loads_no_heavy_module() -> None:
    heavy = ("numpy", "tomllib", "importlib.resources")
    code = f"import sys, perfmodel.hardware; print([m for m in {heavy} if m in sys.modules])"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "[]"


def test_a_file_of_ones_own(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = tmp_path / "mine.toml"
    path.write_text("\ufeff" + VALID, encoding="utf-8")  # as Windows editors save it
    device = load_device(path)
    assert (device.id, device.memory_bytes, device.peak_flops["fp32"]) == ("my-gpu", 16_000_000_000, 10e12)
    assert device.units is None
    assert load_device(str(path)) is device
    monkeypatch.chdir(tmp_path)
    assert load_device("mine.toml") is device
    assert load_device(device) is device
    path.write_text(VALID.replace("10e12", "20.5e12"), encoding="utf-8")
    os.utime(path, ns=(1, 1))
    assert load_device(path).peak_flops["fp32"] == 20.5e12


def test_files_that_are_none(tmp_path: Path) -> None:
    def message(path: object) -> str:
        with pytest.raises(DeviceError) as caught:
            load_device(path)
        assert "\n" not in str(caught.value)
        return str(caught.value)

    big, binary = tmp_path / "big.toml", tmp_path / "binary.toml"
    big.write_bytes(b"#" * 1_000_001)
    binary.write_bytes(b"id = '\xff\xfe'")
    assert "no such file; known ids: a10, " in message(tmp_path / "absent.toml")
    assert "this is not a file" in message(tmp_path)
    assert "1,000,001 bytes; a device TOML has at most 1,000,000" in message(big)
    assert "byte 6 is not UTF-8" in message(binary)
    assert "cannot be read" in message("a\0b.toml")
    assert "got a int" in message(3)
    assert "got a bytes" in message(b"t4")
    if hasattr(os, "mkfifo"):
        os.mkfifo(tmp_path / "pipe.toml")
        assert "this is not a file" in message(tmp_path / "pipe.toml")
