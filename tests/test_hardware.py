"""How a device is found: by its id, by the path of a file, or as a record."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest

import perfmodel.hardware.schema as schema
from perfmodel.errors import DeviceError
from perfmodel.hardware import LOCAL_CPU, catalogue, device_ids, load_device
from perfmodel.hardware.schema import parse_device

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


# ------------------------------------------------------------------------------------------------ finding a device


@pytest.mark.parametrize(
    ("wanted", "hint"),
    [
        ("h100", "did you mean 'h100-nvl' or 'h100-pcie' or 'h100-sxm'?"),
        ("A100-PCIE", "did you mean 'a100-pcie-40gb' or 'a100-pcie-80gb'?"),
        ("h100-smx", "did you mean 'h100-sxm'"),
        ("rtx3090", "did you mean 'rtx-3090'"),
        ("abacus", "`perfmodel devices` lists the "),
        ("", "`perfmodel devices` lists the "),
        ("x\n" * 500, "`perfmodel devices` lists the "),
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
    assert {*catalogue(), LOCAL_CPU} == set(device_ids())


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
    assert "no such file; `perfmodel devices` lists the ids" in message(tmp_path / "absent.toml")
    assert "this is not a file" in message(tmp_path)
    assert "1,000,001 bytes; a device TOML has at most 1,000,000" in message(big)
    assert "byte 6 is not UTF-8" in message(binary)
    assert "cannot be read" in message("a\0b.toml")
    assert "got a int" in message(3)
    assert "got a bytes" in message(b"t4")
    if hasattr(os, "mkfifo"):
        os.mkfifo(tmp_path / "pipe.toml")
        assert "this is not a file" in message(tmp_path / "pipe.toml")
