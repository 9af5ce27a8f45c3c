"""Fits the power constants again and writes ``perfmodel/models/power/fitted.toml``.

    python tools/fit_power.py path/to/data      the folder with energaizer, zeus and aiconfigurator

- ``constants``: fitted to EnergAIzer's runs on the A100 PCIe, latencies given. Its runs on the A10 are not used.
- ``cap``: the response of a run to a power cap, fitted to Zeus's runs on four GPUs.
- ``intervals``: ln(measured / predicted) within which nine tenths lie: ``seen`` of networks held out on the A100, ``unseen`` of
  devices that the constants were not fitted on, GEMMs of at least 0.1 ms on H200, B200 and GB200 and networks on the A10.
"""

from __future__ import annotations

import hashlib
import sys
from dataclasses import replace
from pathlib import Path

import numpy as np

from perfmodel.datasets.build import load, load_runs
from perfmodel.hardware import load_device
from perfmodel.models.analytical import Extras, analyse
from perfmodel.models.machine import Conditions
from perfmodel.models.power import DevicePower, PowerConstants
from perfmodel.models.power.energy import of_group
from perfmodel.models.power.fit import SPREADS, MeasuredLoad, fit_power, fit_timing
from perfmodel.models.predictor import load_trained
from perfmodel.models.trace_rows import cache_states, descriptor_columns
from perfmodel.ops.table import from_columns
from perfmodel.protocols.caps import capped
from perfmodel.protocols.energy import COVERED, log_errors
from perfmodel.protocols.run_loads import Labelled, labelled

ROOT = Path(__file__).resolve().parent.parent
TARGET = ROOT / "perfmodel" / "models" / "power" / "fitted.toml"
FITTED_ON = "a100-pcie-40gb"
LABELLED = ("h200-sxm", "b200-sxm", "gb200")
LEFT_OUT = ("fp8_block",)
"""Formats whose tables differ tenfold between stacks: no one knows which kernels they are of."""
SHORTEST_S = 1e-4
ROWS_PER_TABLE = 400


def main(data: Path) -> None:
    """Fit, and write the file."""
    predictor = load_trained("default")
    found = {item.device.id: item for item in labelled(load_runs("energaizer", data / "energaizer"), predictor)}
    item = found.pop(FITTED_ON)
    everything = np.arange(len(item.energy_j))
    kinds = item.table["dtype"].astype(str).to_numpy(dtype=object)
    timing = fit_timing(item.load, kinds)
    timed = timing.timed(item.load, kinds, given=True)
    constants = fit_power([MeasuredLoad(item.device, timed, item.energy_j, timing.dispatch_s)])
    seen = log_errors(item, everything, given=True)
    unseen = [_runs_off(other, constants, timing.dispatch_s) for other in found.values()]
    unseen += _tables_off(data / "aiconfigurator", constants)
    runs = capped(load_runs("zeus", data / "zeus"))
    assert runs is not None
    response = runs.fit()
    # Every table of an unseen device weighs the same.
    rng = np.random.default_rng(0)
    pooled = np.concatenate([rng.choice(errors, ROWS_PER_TABLE) for errors in unseen])
    text = _written(
        constants, response.to_dict(), {"seen": seen, "unseen": pooled}, timing.dispatch_s, len(everything), data
    )
    TARGET.write_text(text, encoding="utf-8")
    print(text)


def _runs_off(item: Labelled, constants: PowerConstants, dispatch_s: float) -> np.ndarray:
    predicted = item.load.energy_j(DevicePower.of(item.device, constants), dispatch_s)
    return np.log(item.energy_j / predicted)


def _tables_off(root: Path, constants: PowerConstants) -> list[np.ndarray]:
    """ln(measured / predicted power) of GEMMs, one array a table."""
    predictor = load_trained("default")
    traces = load("aiconfigurator", root, families=["gemm"], devices=list(LABELLED))
    known = traces["power_w"].notna() & (traces["latency_s"] >= SHORTEST_S) & (traces["status"].fillna("ok") == "ok")
    traces = traces[known & ~traces["dtype"].isin(LEFT_OUT)]
    errors = []
    for (device, _, _), table in traces.groupby(["device", "software", "dtype"], observed=True, sort=True):
        part = table.sample(min(ROWS_PER_TABLE, len(table)), random_state=0).reset_index(drop=True)
        # What the device's own file says of its power was fitted to these tables.
        record, state = replace(load_device(str(device)), measured={}), str(cache_states(part)[0])
        off = np.empty(len(part))
        for group in from_columns(descriptor_columns(part, "gemm")):
            extras, conditions = Extras(np.zeros(len(group)), np.zeros(len(group))), Conditions(state)
            bounds = analyse(group, record, constants=predictor.constants, conditions=conditions, extras=extras)
            measured_s = part["latency_s"].to_numpy(dtype=np.float64)[group.rows]
            watts = of_group(group, record, bounds, measured_s, extras, conditions, constants)["power_w"]
            off[group.rows] = np.log(part["power_w"].to_numpy(dtype=np.float64)[group.rows] / watts)
        errors.append(off)
    return errors


def _written(
    constants: PowerConstants,
    response: dict[str, float],
    errors: dict[str, np.ndarray],
    dispatch_s: float,
    runs: int,
    data: Path,
) -> str:
    lines = [
        "# Written by tools/fit_power.py; docs/power.md says what the numbers mean and how far they carry.",
        f"# {runs} runs of {FITTED_ON} in energaizer, a launch taking the host {dispatch_s * 1e6:.1f} us;",
        f"# fitted are {', '.join(SPREADS)}, the rest are priors.",
        f"# sha256 of the runs: {_sha256(data / 'energaizer' / 'test' / 'data' / 'measurements')}",
        f"# sha256 of the capped runs: {_sha256(data / 'zeus')}",
    ]
    lines += ["", f'devices = ["{FITTED_ON}"]']
    values = constants.to_dict()
    tables = {name: values.pop(name) for name in ("arithmetic_j_per_flop", "dram_j_per_byte", "voltage")}
    lines += ["", "[constants]", *(f"{name} = {value:.4g}" for name, value in values.items())]
    for name, table in tables.items():
        lines += ["", f"[constants.{name}]", *(f"{key} = {value:.4g}" for key, value in table.items())]
    lines += ["", "[cap]", *(f"{name} = {value:.4g}" for name, value in response.items())]
    lines += ["", "[intervals]"]
    for name, off in errors.items():
        low, high = np.quantile(off, COVERED)
        lines.append(f"{name} = [{low:.3f}, {high:.3f}]")
    return "\n".join(lines) + "\n"


def _sha256(folder: Path) -> str:
    digest = hashlib.sha256()
    for path in sorted(folder.rglob("*.csv")):
        digest.update(path.read_bytes())
    return digest.hexdigest()


if __name__ == "__main__":
    if len(sys.argv) != 2:
        sys.exit("usage: python tools/fit_power.py path/to/data")
    main(Path(sys.argv[1]))
