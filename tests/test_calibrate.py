"""Calibration: constants that a device's own rows give, the file that holds them, and that every prediction honours them."""

from __future__ import annotations

import errno
import os
from dataclasses import replace
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest

from perfmodel.calibrate import SPREAD, calibrate
from perfmodel.cli import WRONG_USE, main
from perfmodel.errors import DeviceError, InputError, TraceError
from perfmodel.hardware import Device, load_device
from perfmodel.hardware.fields import CALIBRATED_FIELDS
from perfmodel.hardware.schema import parse_device
from perfmodel.hardware.writer import device_toml
from perfmodel.models.analytical import analyse
from perfmodel.models.constants import FALLBACK, Constants
from perfmodel.models.machine import Conditions
from perfmodel.models.predictor import Predictor, load_trained
from perfmodel.ops import Gemm
from perfmodel.ops.table import stack

pandas = pytest.importorskip("pandas")

A100 = load_device("a100-sxm-80gb")
ANALYTICAL = Predictor()


def measured(count: int, usual: Constants = FALLBACK, *, noise: float = 0.0, seed: int = 0, **factors: float) -> Any:
    """Rows of an A100 whose constants are ``factors`` times the usual ones."""
    rng = np.random.default_rng(seed)
    m, n, k = (2 ** rng.uniform(low, 13, count) // 1 for low in (0, 7, 7))
    group = stack([Gemm(m=int(a), n=int(b), k=int(c), dtype="bf16") for a, b, c in zip(m, n, k, strict=True)])[0]
    true = replace(usual, **{name: getattr(usual, name) * f for name, f in factors.items()})
    latency = analyse(group, A100, constants=true, conditions=Conditions("cold")).latency_s
    return pandas.DataFrame(
        {"device": A100.id, "software": "mine-1.0", "op": "gemm", "batch": 1, "m": m.astype(int), "n": n.astype(int),
         "k": k.astype(int), "dtype": "bf16", "source": "made up", "cache": "cold",
         "latency_s": latency * np.exp(noise * rng.standard_normal(count))}
    )  # fmt: skip


def error(device: Device, rows: Any) -> float:
    op = Gemm(**{d: rows[d].to_numpy(float) for d in "mnk"}, dtype="bf16")
    return float(np.abs(np.log(ANALYTICAL.predict(op, device, cache="cold").latency_s / rows["latency_s"])).mean())


def test_constants_that_differ_are_found() -> None:
    found = calibrate(measured(120, launch_cycles=1.3, dram_efficiency=0.9), A100, predictor=ANALYTICAL)
    moved = {name: found.device.calibrated[name] / getattr(FALLBACK, name) for name in SPREAD}
    assert moved["launch_cycles"] == pytest.approx(1.3, abs=0.08)
    assert moved["dram_efficiency"] == pytest.approx(0.9, abs=0.03)
    assert found.after < 0.3 * found.before


@pytest.mark.parametrize("seed", range(2))
def test_five_rows_help_and_never_harm(seed: int) -> None:
    others = measured(300, seed=99, launch_cycles=1.3, dram_efficiency=0.9)
    few = calibrate(measured(5, seed=seed, launch_cycles=1.3, dram_efficiency=0.9), A100, predictor=ANALYTICAL).device
    assert error(few, others) <= error(A100, others)
    usual = measured(300, seed=99)
    noisy = calibrate(measured(5, seed=seed, noise=0.1), A100, predictor=ANALYTICAL).device
    assert error(noisy, usual) < 0.05


def test_a_spike_moves_nothing() -> None:
    rows = measured(40)
    rows.loc[7, "latency_s"] *= 10
    assert error(calibrate(rows, A100, predictor=ANALYTICAL).device, measured(300, seed=99)) < 0.01


def test_the_written_file_reads_back_as_the_same_record() -> None:
    device = calibrate(measured(20, launch_cycles=1.3), A100, predictor=ANALYTICAL).device
    again = parse_device(device_toml(device), "again.toml")
    assert again == device
    assert set(again.calibrated) == set(SPREAD) <= set(CALIBRATED_FIELDS)
    assert "calibrated from 20 rows of GEMMs in bf16 on 20" in again.sources["calibrated.launch_cycles"]
    assert again.measured["launch_s"] == pytest.approx(device.calibrated["launch_cycles"] / 1.41e9)
    assert parse_device(device_toml(load_device("gb200")), "x.toml") == load_device("gb200")


def test_every_prediction_honours_the_file(tmp_path: Path) -> None:
    device = replace(
        A100, calibrated={"launch_cycles": 30_000.0}, sources={**A100.sources, "calibrated.launch_cycles": "made up"}
    )
    path = tmp_path / "slow.toml"
    path.write_text(device_toml(device))
    tiny = Gemm(m=1, n=64, k=64, dtype="bf16")
    slow, usual = (ANALYTICAL.predict(tiny, d, cache="warm").latency_s[0] for d in (str(path), A100))
    # 30,000 clocks of 1.41 GHz are 21.3 us.
    assert slow == pytest.approx(usual + (30_000 - FALLBACK.launch_cycles) / 1.41e9, rel=1e-6)


def test_constants_that_no_machine_has_are_refused() -> None:
    text = device_toml(A100).replace("[sources]", '[calibrated]\n{} = {{ value = {}, source = "source-1" }}\n[sources]')
    with pytest.raises(DeviceError, match=r"calibrated\.lunch_cycles: unknown constant: did you mean 'launch_cycles'"):
        parse_device(
            text.replace("{}", "lunch_cycles", 1).replace("{}", "4e3").replace("{{", "{").replace("}}", "}"), "f.toml"
        )
    with pytest.raises(DeviceError, match=r"calibrated\.dram_efficiency: got 78\.0; wanted a share"):
        parse_device(
            text.replace("{}", "dram_efficiency", 1).replace("{}", "78.0").replace("{{", "{").replace("}}", "}"),
            "f.toml",
        )


def test_rows_of_another_device_are_refused() -> None:
    with pytest.raises(
        InputError, match="no usable GEMM of the traces was measured on h100-sxm; their devices are a100"
    ):
        calibrate(measured(5), "h100-sxm", predictor=ANALYTICAL)
    with pytest.raises(InputError, match="is a cpu; only the constants of GPUs are fitted"):
        calibrate(measured(5), replace(A100, kind="cpu"), predictor=ANALYTICAL)


@pytest.mark.parametrize(("factor", "times"), [(1e3, "1,0"), (1e-6, "1e-06")])
def test_times_in_another_unit_are_refused(factor: float, times: str) -> None:
    with pytest.raises(TraceError, match=rf"latency_s of gemm on a100-sxm-80gb is {times}.* are they ms or us"):
        calibrate(measured(30).eval(f"latency_s = latency_s * {factor}"), A100, predictor=ANALYTICAL)


def test_a_slow_host_is_no_other_unit() -> None:
    rows = measured(30)
    rows["latency_s"] *= 100
    assert calibrate(rows, A100, predictor=ANALYTICAL).rows == 30


def test_the_command(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    rows, out = tmp_path / "few.parquet", tmp_path / "calibrated.toml"
    # From the constants that the command begins with, whatever the shipped ones are.
    usual = load_trained("analytical").constants or FALLBACK
    measured(20, usual, launch_cycles=1.3).to_parquet(rows)
    command = ["calibrate", "--device", A100.id, "-o", str(out)]
    assert main(command) == WRONG_USE
    assert "give rows that you measured with --traces" in capsys.readouterr().err
    command += ["--traces", str(rows), "--predictor", "analytical"]
    assert main(command) == 0
    assert "launch_cycles" in capsys.readouterr().out
    assert load_device(out).calibrated["launch_cycles"] == pytest.approx(1.3 * usual.launch_cycles, rel=0.15)
    before = out.read_bytes()
    assert main(command) == WRONG_USE
    assert "exists; --force replaces it" in capsys.readouterr().err
    assert out.read_bytes() == before
    assert main([*command, "--force"]) == 0


def test_a_measurement_that_cannot_be_written_is_printed(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    def full(path: Path, data: bytes) -> None:
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC), str(path))

    monkeypatch.setattr("perfmodel.measured_cpu.measure", lambda *a, **k: SimpleNamespace(device=A100))
    monkeypatch.setattr("perfmodel.cli.output.write_whole", full)
    assert main(["calibrate", "--device", "local-cpu", "-o", str(tmp_path / "my.toml")]) == WRONG_USE
    out, err = capsys.readouterr()
    assert err.count("\n") == 1
    assert "No space left on device; the device file is printed instead" in err
    (tmp_path / "saved.toml").write_text(out, encoding="utf-8")
    assert load_device(tmp_path / "saved.toml").id == A100.id
