"""The catalogue against what others have written down of the same devices, and against what was measured on them.

Sources: the device files of NeuSight and the GPU records of EnergAIzer (in the shared folder), and NVIDIA AIConfigurator's
system files, from the installed package ``aiconfigurator-core`` where there is one (``make crosscheck``), else the six in the
shared folder. Every disagreement stands here with its reason, and one that is gone fails as well.
"""

from __future__ import annotations

import csv
import json
import math
import re
from importlib.util import find_spec
from pathlib import Path

import pytest

from perfmodel.hardware import load_device
from perfmodel.hardware.fields import number_of

SYSTEMS = {
    "a100_pcie": "a100-pcie-80gb",
    "a100_sxm": "a100-sxm-80gb",
    "a30": "a30",
    "b200_sxm": "b200-sxm",
    "b300_sxm": "b300-sxm",
    "b60": "arc-pro-b60",
    "gb200": "gb200",
    "gb300": "gb300",
    "h100_pcie": "h100-pcie",
    "h100_sxm": "h100-sxm",
    "h200_sxm": "h200-sxm",
    "l4": "l4",
    "l40s": "l40s",
    "rtx_pro_6000_server": "rtx-pro-6000-server",
}
"""AIConfigurator's name of a device: ours."""

KEYS = {
    "mem_bw": "memory_bandwidth_bytes_per_s",
    "mem_capacity": "memory_bytes",
    "float32_tc_flops": "peak_flops.fp32",
    "bfloat16_tc_flops": "peak_flops.bf16",
    "int8_tc_flops": "peak_flops.int8",
    "fp8_tc_flops": "peak_flops.fp8",
    "fp4_tc_flops": "peak_flops.fp4",
    "power": "tdp_w",
    "intra_node_bw": "interconnect_bytes_per_s",
}
"""AIConfigurator's key: our field, in the same unit."""

MEASURED_CAPACITY = "theirs is what nvidia-smi reports, less what the driver and error correction keep"
DISAGREEMENTS = {
    ("l40s", "mem_capacity"): MEASURED_CAPACITY,
    ("gb200", "mem_capacity"): MEASURED_CAPACITY,
    ("gb300", "mem_capacity"): MEASURED_CAPACITY,
    ("b300_sxm", "mem_capacity"): MEASURED_CAPACITY,
    ("rtx_pro_6000_server", "mem_capacity"): MEASURED_CAPACITY,
    (
        "rtx_pro_6000_server",
        "mem_bw",
    ): "theirs is the Workstation Edition's; the Server Edition's datasheet says 1597 GB/s",
    ("h100_pcie", "mem_bw"): "theirs is the datasheet's rounded 2 TB/s; 5120 bits at 2 x 1593 MHz are 2.039",
    ("b300_sxm", "mem_bw"): "theirs is an eighth of the board's rounded 62 TB/s; a GPU is quoted at 7.7",
    ("b60", "fp8_tc_flops"): "theirs is the 16-bit rate that fp8 falls back to; we say that there is no fp8 arithmetic",
    ("b60", "intra_node_bw"): "theirs is less what PCIe packets cost; ours is the nominal rate of the link",
}
CLOSE = 0.003
"""Relative; beyond it a disagreement needs a reason."""


def _systems() -> Path:
    spec = find_spec("aiconfigurator_core")
    if spec is None or not spec.submodule_search_locations:
        pytest.skip("needs the package aiconfigurator-core, 82 MB: `make crosscheck` installs it")
    return Path(spec.submodule_search_locations[0]) / "systems"


def _compare(system: str, folder: Path) -> None:
    text = (folder / f"{system}.yaml").read_text(encoding="utf-8")
    theirs = {key: float(value) for key, value in re.findall(r"^ +(\w+): ([0-9.]+)", text, re.MULTILINE)}
    device = load_device(SYSTEMS[system])
    assert theirs["mem_bw"] > 1e9  # the file is what it was taken for
    for key, field in KEYS.items():
        if key in theirs:
            ours = number_of(device, field)
            agrees = ours is not None and abs(ours / theirs[key] - 1) <= CLOSE
            assert agrees != ((system, key) in DISAGREEMENTS), (system, key, ours, theirs[key])
            assert ours is None or 0.85 < ours / theirs[key] < 1.15
    if "sm_version" in theirs:
        assert (device.compute_capability or "").replace(".", "") == f"{theirs['sm_version']:.0f}"


@pytest.mark.parametrize("system", SYSTEMS)
def test_aiconfigurators_system_files(system: str) -> None:
    _compare(system, _systems())


def test_every_system_of_the_package_is_compared() -> None:
    files = {
        p.stem for p in _systems().glob("*.yaml") if re.search(r"^gpu:", p.read_text(encoding="utf-8"), re.MULTILINE)
    }
    assert files - set(SYSTEMS) == set()


@pytest.mark.parametrize("system", ["a100_sxm", "h100_sxm", "h200_sxm", "b200_sxm", "gb200", "l40s"])
def test_aiconfigurators_system_files_of_the_shared_folder(system: str, shared: Path) -> None:
    _compare(system, shared / "data/aiconfigurator/aic-core/src/aiconfigurator_core/systems")


# The fastest 16-bit product as a share of the peak: one above 1 would show a peak that is too low, one around a half a peak
# that counts sparsity or the wrong accumulation.
@pytest.mark.parametrize("system", ["b60", "b300_sxm", "gb300", "rtx_pro_6000_server"])
def test_measured_products_reach_the_peak_and_no_more(system: str) -> None:
    pandas = pytest.importorskip("pandas")
    device, best = load_device(SYSTEMS[system]), 0.0
    files = sorted(_systems().glob(f"data/{system}/gemm/vllm/*/gemm_perf.parquet"))
    assert files
    for path in files:
        rows = pandas.read_parquet(path, columns=["gemm_dtype", "m", "n", "k", "latency"])
        rows = rows[(rows["gemm_dtype"] == "bfloat16") & (rows["latency"] > 0)]
        flops = 2.0 * rows["m"] * rows["n"] * rows["k"]
        best = max(best, float((flops / (rows["latency"] * 1e-3)).max()))
    assert 0.9 < best / device.peak_flops["bf16"] <= 1.0


# ------------------------------------------------------------------------------------------------ NeuSight

NEUSIGHT = {
    "AMD_Instinct_MI100": "mi100",
    "AMD_Instinct_MI210": "mi210",
    "NVIDIA_A100-PCIE-40GB": "a100-pcie-40gb",
    "Tesla_P100-PCIE-16GB": "p100-pcie-16gb",
    "Tesla_P4": "p4",
    "Tesla_T4": "t4",
    "Tesla_V100-PCIE-32GB": "v100-pcie-32gb",
}
NEUSIGHT_DISAGREEMENTS = {
    ("mi210", "L2Cache"): "16 MB are the two dies' of an MI250; an MI210 has one",
    ("p100-pcie-16gb", "Freq"): "1380 MHz is not a clock of the PCIe card, whose boost is 1303",
    ("p4", "Num_Sm"): "40 is twice its 20 SMs (of 128 cores)",
    ("p4", "Core_Per_SM"): "half of its 128 cores per SM",
    ("p4", "Freq"): "1113 MHz is TechPowerUp's boost; NVIDIA's is 1063",
    ("p4", "SingleFLOPs"): "at 1113 MHz; NVIDIA quotes 5.5 TFLOP/s",
    ("v100-pcie-32gb", "Freq"): "1370 MHz, by NeuSight alone; the product brief has 1380",
    ("t4", "Dev_Mem"): "15 GB are what the driver leaves of 16",
    ("t4", "SingleFLOPs"): "the product of clock and cores, which NVIDIA rounds to 8.1 TFLOP/s",
    ("p100-pcie-16gb", "SingleFLOPs"): "at 1329 MHz; NVIDIA quotes 9.3 TFLOP/s",
}


@pytest.mark.parametrize("stem", NEUSIGHT)
def test_neusights_device_files(stem: str, shared: Path) -> None:
    path = shared / f"data/neusight/scripts/asplos/data/device_configs/{stem}.json"
    theirs = json.loads(path.read_text(encoding="utf-8"))
    device = load_device(NEUSIGHT[stem])
    assert device.units is not None
    assert device.l2_bytes is not None
    assert device.peak_clock_hz is not None
    ours = {
        "Dev_Mem": device.memory_bytes / 2**30,
        "Mem_Bw": device.memory_bandwidth_bytes_per_s / 1e9,
        "Num_Sm": device.units,
        "Freq": device.peak_clock_hz / 1e6,
        "L2Cache": device.l2_bytes / 2**20,
        "SingleFLOPs": device.vector_flops / 1e9,
        "SingleFLOPsVEC": device.vector_flops / 1e9,
        "SingleFLOPsMM": device.peak_flops["fp32"] / 1e9,
    }
    if device.vendor == "NVIDIA":  # a core is a lane with a multiply-add a clock
        ours["Core_Per_SM"] = device.flops_per_clock_per_unit["fp32"] / 2
    for key in ours.keys() & theirs.keys():
        agrees = abs(ours[key] / theirs[key] - 1) <= 0.005
        assert agrees != ((device.id, key) in NEUSIGHT_DISAGREEMENTS), (key, ours[key], theirs[key])


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
        assert flops < load_device(NEUSIGHT[stem.replace(" ", "_")]).peak_flops["fp32"]


# ------------------------------------------------------------------------------------------------ EnergAIzer

ENERGAIZER = {
    "a10": "a10",
    "h100pci": "h100-pcie",
    "h100sxm": "h100-sxm",
    "l40s": "l40s",
    "netsres117": "a100-sxm-80gb",
    "yz8": "a100-pcie-40gb",
}
ENERGAIZER_FIELDS = {
    "dram_bw": ("memory_bandwidth_bytes_per_s", 1e9),
    "dram_freq": ("memory_clock_hz", 1e6),
    "cuda_fp32_flops": ("peak_flops.fp32", 1e12),
    "tc_fp64_flops": ("peak_flops.fp64", 1e12),
    "tc_fp32_flops": ("peak_flops.tf32", 1e12),
    "tc_bf16_flops": ("peak_flops.bf16", 1e12),
    "tc_fp16_flops": ("peak_flops.fp16", 1e12),
    "tc_int8_flops": ("peak_flops.int8", 1e12),
    "sm_max_freq": ("peak_clock_hz", 1e6),
    "num_sm": ("units", 1),
    "dram_size": ("memory_bytes", 2**30),
    "power_cap": ("tdp_w", 1),
    "l2_size": ("l2_bytes", 2**20),
}
ENERGAIZER_DISAGREEMENTS = {
    ("a10", "dram_freq"): "6251 MHz counts two transfers of a GDDR6 clock of 1563 MHz that makes eight",
    ("l40s", "dram_bw"): "846 is 864 with its digits swapped: 384 bits at 18 Gbit/s",
    (
        "l40s",
        "l2_size",
    ): "48 MB; products whose operands are twice that still beat DRAM, as AD102's 96 MB would have it",
}


@pytest.mark.parametrize("stem", ENERGAIZER)
def test_energaizers_gpu_records(stem: str, shared: Path) -> None:
    text = (shared / f"data/energaizer/config/gpu/{stem}.yaml").read_text(encoding="utf-8")
    theirs = {key: float(value) for key, value in re.findall(r"^ +(\w+): ([0-9.]+)", text, re.MULTILINE)}
    device = load_device(ENERGAIZER[stem])
    for key in theirs.keys() & ENERGAIZER_FIELDS.keys():
        field, factor = ENERGAIZER_FIELDS[key]
        ours = number_of(device, field)
        assert ours is not None, field
        agrees = abs(ours / factor / theirs[key] - 1) <= 0.002
        assert agrees != ((device.id, key) in ENERGAIZER_DISAGREEMENTS), (key, ours / factor, theirs[key])
