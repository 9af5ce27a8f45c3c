"""A few measurements on a device of a family that no training has seen: what each number of them brings.

    python tests/bench/few_measurements.py gemm.parquet [--rows 1000] [--seeds 5] [--counts 0,10,20,50,100,200] [--each-table]

For each hardware family of the bf16 GEMM tables: the physics constants, the booster for unseen devices and the covariance of
errors are made without it (the covariance from devices that were left out as well, with boosters that saw neither). On each of
its devices, `suggest` chooses among the rows of the device's tables, software given; `calibrate` fits the device's constants to
the chosen rows, a correction takes their residuals, and the device's other rows are predicted. A device's figure is the mean of
its tables', mean over seeds. The number of rows is for all tables of a device together; with --each-table it is for each of
them, which then knows nothing of the others, as someone has it who runs one stack.
"""

from __future__ import annotations

import argparse
import base64
import json
import sys
import time
from dataclasses import replace
from pathlib import Path

import numpy as np
import pandas as pd

from perfmodel.calibrate import calibrate, measured_errors
from perfmodel.correct import correction_of
from perfmodel.datasets.schema import read_traces, usable
from perfmodel.hardware import Device, load_device
from perfmodel.models.constants import Constants
from perfmodel.models.families.gemm import GEMM
from perfmodel.models.fit import fit_constants
from perfmodel.models.kernel import Kernel, general_kernel
from perfmodel.models.kernel_fit import Sample, fit_kernel
from perfmodel.models.learned import UNSEEN
from perfmodel.models.predictor import Predictor
from perfmodel.models.trace_rows import Part, parts_of
from perfmodel.suggest import choose
from perfmodel.training.parts import NO_INTERVAL
from perfmodel.transfer import UnseenBooster, train_unseen

DTYPE = "bf16"
POOL = 1500
TRAINING_ROWS = 9000
"""Of each table; the booster for unseen devices draws a third of them anyway."""
KERNEL_ROWS, KERNEL_CALIBRATION_ROWS = 220, 100


class Bench:
    """The tables, and the predictors without some of their families."""

    def __init__(self, table: pd.DataFrame, keep: Path | None) -> None:
        self.table, self.keep = table, keep
        self.family = {d: load_device(d).family for d in sorted(table["device"].astype(str).unique())}
        self._bases: dict[frozenset[str], Predictor] = {}

    def base(self, *without: str) -> Predictor:
        """A predictor that saw no device of some families."""
        key = frozenset(without)
        if key not in self._bases:
            rest = self.table[~self.table["device"].astype(str).map(self.family).isin(key)]
            constants, unseen = self._kept("-".join(sorted(key)), rest)
            residuals = {} if unseen is None else {(GEMM.name, UNSEEN, DTYPE): unseen.residual(NO_INTERVAL)}
            self._bases[key] = Predictor("left-out", constants, residuals)
        return self._bases[key]

    def _kept(self, name: str, rest: pd.DataFrame) -> tuple[Constants, UnseenBooster | None]:
        """The constants and the booster for unseen devices from these rows, kept in a file between runs where one is named."""
        file = None if self.keep is None else self.keep / f"{name}.json"
        if file is not None and file.is_file():
            kept = json.loads(file.read_text())
            booster = kept["booster"]
            unseen = None if booster is None else UnseenBooster(base64.b64decode(booster["data"]), booster["entry"])
            return Constants.from_dict(kept["constants"]), unseen
        constants = fit_constants(rest, max_evaluations=8)
        unseen = train_unseen(parts_of(rest), constants, 0)
        if file is not None:
            booster = (
                None if unseen is None else {"data": base64.b64encode(unseen.data).decode(), "entry": unseen.entry}
            )
            file.write_text(json.dumps({"constants": constants.to_dict(), "booster": booster}))
        return constants, unseen

    def rows(self, device: str, per_table: int, seed: int) -> pd.DataFrame:
        """A sample of each table of a device."""
        mine = self.table[self.table["device"].astype(str) == device]
        shuffled = mine.sample(frac=1.0, random_state=seed)
        return shuffled.groupby("software", observed=True).head(per_table).reset_index(drop=True)

    def kernel(self, without: str) -> Kernel:
        """The covariance of errors, from every other family left out in turn."""
        samples = []
        for other in sorted(set(self.family.values()) - {without}):
            predictor = self.base(without, other)
            for device in (d for d, f in self.family.items() if f == other):
                samples.append(kernel_sample(self.rows(device, 200, 1), load_device(device), predictor))
        return fit_kernel(samples, general_kernel(GEMM))


def kernel_sample(rows: pd.DataFrame, device: Device, predictor: Predictor) -> Sample:
    """Errors that are left on a device after its calibration."""
    rows = rows.sample(min(len(rows), KERNEL_CALIBRATION_ROWS + KERNEL_ROWS), random_state=0).reset_index(drop=True)
    calibrated = calibrate(rows.iloc[:KERNEL_CALIBRATION_ROWS], device, predictor=predictor).device
    measured = measured_errors(Part(GEMM, "gemm", device.id, DTYPE, rows.iloc[-KERNEL_ROWS:]), calibrated, predictor)
    return Sample(measured.points, measured.error)


def judge(
    rows: pd.DataFrame, device: Device, predictor: Predictor, counts: list[int], seed: int
) -> dict[int, tuple[float, float, float]]:
    """MAPE, MAPE after calibration alone, and coverage on the rows not measured, by number of measurements."""
    pool = np.random.default_rng(seed).permutation(len(rows))[:POOL]
    chosen = choose(Part(GEMM, "gemm", device.id, DTYPE, rows.iloc[pool]), device, predictor, max([*counts, 1]))
    result = {}
    for count in counts:
        measured = pool[chosen[:count]]
        rest = np.ones(len(rows), dtype=bool)
        rest[measured] = False
        corrected, calibrated = predictor, device
        if count:
            few = Part(GEMM, "gemm", device.id, DTYPE, rows.iloc[measured])
            calibrated = calibrate(few.rows, device, predictor=predictor, seed=seed).device
            correction, _, _ = correction_of(few, measured_errors(few, calibrated, predictor), calibrated, predictor)
            corrected = replace(predictor, corrections={correction.key: correction})
        others = rows[rest]
        alone = measured_errors(Part(GEMM, "gemm", device.id, DTYPE, others), calibrated, predictor)
        both = (
            alone if not count else measured_errors(Part(GEMM, "gemm", device.id, DTYPE, others), calibrated, corrected)
        )
        inside = covered(others, calibrated, corrected) if count else np.full(len(others), np.nan)
        tables = others["software"].astype(str).to_numpy()
        figures = [
            [float(np.mean(v[tables == t])) for t in sorted(set(tables))]
            for v in (np.abs(np.expm1(-both.error)), np.abs(np.expm1(-alone.error)), inside)
        ]
        result[count] = tuple(float(np.mean(f)) for f in figures)
    return result  # type: ignore[return-value]


def covered(rows: pd.DataFrame, device: Device, predictor: Predictor) -> np.ndarray:
    """Whether each row lies in its 90 % interval."""
    from perfmodel.ops import Gemm

    inside = np.zeros(len(rows))
    place = np.arange(len(rows))
    for (software, cache), part in rows.assign(_p=place).groupby(["software", "cache"], observed=True):
        op = Gemm(**{d: part[d].to_numpy(np.float64) for d in ("batch", "m", "n", "k")}, dtype=DTYPE)
        known = predictor.known_software(str(software), device, op)
        e = predictor.predict(op, device, software=known, cache=str(cache))
        measured = part["latency_s"].to_numpy()
        inside[part["_p"]] = (measured >= e.latency_low_s) & (measured <= e.latency_high_s)
    return inside


def main() -> None:
    """Print the table."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("traces", type=Path)
    parser.add_argument("--rows", type=int, default=1000, help="rows of each table that are judged")
    parser.add_argument("--seeds", type=int, default=5)
    parser.add_argument("--counts", default="0,10,20,50,100,200")
    parser.add_argument("--families", default="", help="only these, by comma")
    parser.add_argument("--each-table", action="store_true")
    parser.add_argument(
        "--keep", type=Path, help="a folder for the boosters and constants that are made, for the next run"
    )
    arguments = parser.parse_args()
    counts = [int(c) for c in arguments.counts.split(",")]
    table = read_traces(arguments.traces)
    table = table[usable(table) & (table["op"] == "gemm").to_numpy() & (table["dtype"] == DTYPE).to_numpy()]
    columns = ["device", "software", "source", "op", "batch", "m", "n", "k", "dtype", "latency_s", "cache"]
    shuffled = table[columns].sample(frac=1.0, random_state=0)
    bench = Bench(
        shuffled.groupby(["device", "software"], observed=True).head(TRAINING_ROWS).reset_index(drop=True),
        arguments.keep,
    )
    wanted = [f for f in arguments.families.split(",") if f] or sorted(set(bench.family.values()))
    print(
        f"{'device':<16}" + "".join(f"{c:>24}" for c in counts) + "   (MAPE, after calibration alone, coverage)",
        flush=True,
    )
    figures = []
    for family in wanted:
        start = time.monotonic()
        predictor = replace(bench.base(family), error_kernels={GEMM.name: bench.kernel(family)})
        sys.stderr.write(f"{family}: made without it in {time.monotonic() - start:.0f} s\n")
        for device in (d for d, f in bench.family.items() if f == family):
            runs = []
            for seed in range(arguments.seeds):
                rows = bench.rows(device, arguments.rows, 100 + seed)
                pieces = [rows]
                if arguments.each_table:
                    pieces = [r.reset_index(drop=True) for _, r in rows.groupby("software", observed=True)]
                done = [judge(p, load_device(device), predictor, counts, seed) for p in pieces]
                runs.append([np.mean([d[c] for d in done], axis=0) for c in counts])
            mean = np.mean(runs, axis=0)
            figures.append(mean)
            cells = "".join(f"{a:>12.2%}{b:>6.1%}{c:>6.0%}" if c == c else f"{a:>24.2%}" for a, b, c in mean)
            print(f"{device:<16}{cells}", flush=True)
    mean = np.mean(figures, axis=0)
    print(f"{'mean':<16}" + "".join(f"{a:>12.2%}{b:>6.1%}{c:>6.0%}" if c == c else f"{a:>24.2%}" for a, b, c in mean))


if __name__ == "__main__":
    main()
