"""What a machine shows of its GPUs without any library, and which devices of the catalogue those are."""

from __future__ import annotations

import time
from pathlib import Path

import pytest

from perfmodel import doctor
from perfmodel.hardware import accelerators, catalogue


# Names as drivers say them: nvidia-smi's of each board, and product_name of AMD's cards.
@pytest.mark.parametrize(
    ("name", "ids"),
    [
        ("NVIDIA H100 80GB HBM3", ["h100-sxm"]),
        ("NVIDIA H100 PCIe", ["h100-pcie"]),
        ("NVIDIA H100 NVL", ["h100-nvl"]),
        ("NVIDIA H200", ["h200-sxm"]),
        ("NVIDIA H200 NVL", ["h200-nvl"]),
        ("NVIDIA A100-SXM4-40GB", ["a100-sxm-40gb"]),
        ("NVIDIA A100-SXM4-80GB", ["a100-sxm-80gb"]),
        ("NVIDIA A100-PCIE-40GB", ["a100-pcie-40gb"]),
        ("NVIDIA A100 80GB PCIe", ["a100-pcie-80gb"]),
        ("NVIDIA A100-SXM4-64GB", []),  # the catalogue has 40 GB and 80 GB
        ("NVIDIA A100-SXM4", ["a100-sxm-40gb", "a100-sxm-80gb"]),  # the name leaves the memory open
        ("NVIDIA A100 80GB", ["a100-sxm-80gb"]),  # the board is open: NVIDIA's own module
        ("NVIDIA A800-SXM4-80GB", ["a800-sxm-80gb"]),
        ("NVIDIA A800 80GB PCIe", []),  # the catalogue has the module alone
        ("NVIDIA H800", ["h800"]),
        ("NVIDIA H800 PCIe", []),
        ("NVIDIA H20", ["h20"]),
        ("NVIDIA B200", ["b200-sxm"]),
        ("NVIDIA B300 SXM6 AC", ["b300-sxm"]),
        ("Tesla P100-PCIE-16GB", ["p100-pcie-16gb"]),
        ("Tesla P100-PCIE-12GB", []),
        ("Tesla P100-SXM2-16GB", []),
        ("Tesla V100-SXM2-16GB", ["v100-sxm2-16gb"]),
        ("Tesla V100-SXM2-32GB", ["v100-sxm2-32gb"]),
        ("Tesla V100-PCIE-32GB", ["v100-pcie-32gb"]),
        ("Tesla V100-PCIE-16GB", []),
        ("Tesla V100S-PCIE-32GB", []),
        ("Tesla T4", ["t4"]),
        ("NVIDIA L4", ["l4"]),
        ("NVIDIA L40S", ["l40s"]),
        ("NVIDIA A10", ["a10"]),
        ("NVIDIA A10G", []),
        ("NVIDIA GB200", ["gb200"]),
        ("NVIDIA GeForce RTX 4070", ["rtx-4070"]),
        ("NVIDIA GeForce RTX 4070 Ti", []),
        ("NVIDIA GeForce RTX 4090 Laptop GPU", []),
        ("NVIDIA RTX 6000 Ada Generation", ["rtx-6000-ada"]),
        ("Quadro RTX 6000", ["quadro-rtx-6000"]),
        ("NVIDIA RTX PRO 6000 Blackwell Workstation Edition", ["rtx-pro-6000"]),
        ("NVIDIA RTX PRO 6000 Blackwell Max-Q Workstation Edition", ["rtx-pro-6000-max-q"]),
        ("NVIDIA RTX PRO 6000 Blackwell Server Edition", ["rtx-pro-6000-server"]),
        ("AMD Instinct MI210", ["mi210"]),
        ("AMD Instinct MI300X OAM", ["mi300x"]),
        ("AMD INSTINCT MI250 (MCM) OAM AC MBA", ["mi250"]),
        ("Radeon RX 7900 XTX", ["rx-7900-xtx"]),
        ("Grace CPU 480GB", []),
        ("", []),
    ],
)
def test_names_of_drivers_are_devices_of_the_catalogue(name: str, ids: list[str]) -> None:
    assert accelerators.devices_named(name, catalogue().values()) == ids


def test_every_device_is_found_by_its_own_name() -> None:
    """Forms that the driver's name must tell apart are told apart by the catalogue's."""
    known = catalogue()
    for device in known.values():
        if device.kind != "cpu":
            assert device.id in accelerators.devices_named(device.name, known.values())


def smi(folder: Path, script: str, monkeypatch: pytest.MonkeyPatch) -> None:
    program = folder / "nvidia-smi"
    program.write_text(f"#!/bin/sh\n{script}\n")
    program.chmod(0o755)
    monkeypatch.setenv("PATH", f"{folder}:/usr/bin:/bin")


def written(root: Path, texts: dict[str, str]) -> None:
    for name, text in texts.items():
        (root / name).parent.mkdir(parents=True, exist_ok=True)
        (root / name).write_text(text)


NVIDIA = {
    f"proc/driver/nvidia/gpus/0000:{bus}:00.0/information": f"Model: \t\t NVIDIA L4\nIRQ:   \t\t {irq}\nGPU UUID: GPU-1\n"
    for bus, irq in (("01", 90), ("02", 91))
}
AMD = {
    "sys/class/drm/card0/device/vendor": "0x8086\n",  # a processor's own graphics
    "sys/class/drm/card1/device/vendor": "0x1002\n",
    "sys/class/drm/card1/device/product_name": "AMD Instinct MI210\n",
    "sys/class/drm/card1-DP-1/device/vendor": "0x1002\n",  # a connector
    "sys/class/drm/card2/device/vendor": "0x1002\n",
    "sys/class/drm/card2/device/device": "0x744c\n",
}


def test_files_of_drivers_are_read(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    written(tmp_path, NVIDIA | AMD)
    smi(tmp_path, "echo 'GPU 0: NVIDIA H200 (UUID: GPU-2)'", monkeypatch)  # not asked: it may wait for a GPU
    found = accelerators.seen(tmp_path)
    assert found == ["NVIDIA L4", "NVIDIA L4", "AMD Instinct MI210", "AMD GPU of the PCI device 0x744c"]


def test_nvidia_smi_is_asked_where_there_are_no_files(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    lines = (
        "GPU 0: NVIDIA H100 80GB HBM3 (UUID: GPU-1)\n"
        "  MIG 1g.10gb Device 0: (UUID: MIG-1)\n"
        "GPU 1: NVIDIA H200 (UUID: GPU-2)"
    )
    smi(tmp_path, f"[ \"$1\" = -L ] && cat <<'END'\n{lines}\nEND", monkeypatch)
    assert accelerators.seen(tmp_path) == ["NVIDIA H100 80GB HBM3", "NVIDIA H200"]


@pytest.mark.parametrize("script", ["echo 'GPU 0: NVIDIA L4 (UUID: x)'; exit 9", "exec sleep 30", "printf '\\377\\n'"])
def test_one_that_fails_or_hangs_shows_nothing(script: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(accelerators, "NVIDIA_SMI_S", 0.2 if "sleep" in script else 20.0)
    smi(tmp_path, script, monkeypatch)
    start = time.monotonic()
    assert accelerators.seen(tmp_path) == []
    assert time.monotonic() - start < 20


def test_where_nothing_is_nothing_is_shown(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PATH", str(tmp_path))
    assert accelerators.seen(tmp_path) == []
    (tmp_path / "sys").write_text("a file where a folder is wanted")
    assert accelerators.seen(tmp_path) == []


def test_doctor_names_them_with_their_ids(monkeypatch: pytest.MonkeyPatch) -> None:
    names = ["NVIDIA H100 80GB HBM3", "NVIDIA A10G", "NVIDIA H100 80GB HBM3", "NVIDIA A100-SXM4"]
    monkeypatch.setattr(accelerators, "seen", lambda: names)
    found = {f.name: (f.state, f.text) for f in doctor._devices()}
    assert found["NVIDIA H100 80GB HBM3"] == ("ok", "2 of them; h100-sxm in the catalogue")
    assert found["NVIDIA A10G"] == (
        "ok",
        "not in the catalogue by this name; `perfmodel devices --template` begins a file",
    )
    assert found["NVIDIA A100-SXM4"] == ("ok", "a100-sxm-40gb or a100-sxm-80gb in the catalogue")
    monkeypatch.setattr(accelerators, "seen", list)
    found = {f.name: (f.state, f.text) for f in doctor._devices()}
    assert found["accelerators"] == ("missing", "the system shows no GPU of NVIDIA or AMD")
