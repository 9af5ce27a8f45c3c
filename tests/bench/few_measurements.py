"""A few measurements on a device of a family that no training has seen: what each number of them brings.

    python tests/bench/few_measurements.py gemm.parquet [--rows 1000] [--seeds 5] [--counts 0,10,20,50,100,200] [--each-table]
        [--random] [--json FOLDER] [--keep FOLDER]

For each hardware family of the bf16 GEMM tables: the physics constants, the booster for unseen devices, its interval and the
covariance of errors are made without it (the last two from devices that were left out as well, with boosters that saw neither
family). On each of its devices, `suggest` chooses among the rows of its tables, software given (with --random chance does);
`calibrate` fits the device's constants to the chosen rows, a correction takes their residuals, and the device's other rows are
predicted. A device's figure is the mean of its tables', mean over seeds; the worst draw is held against the same rows before
any measurement. The number of rows is for all tables of a device together; with --each-table it is for each of them, which then
knows nothing of the others, as someone has it who runs one stack.
"""

from __future__ import annotations

import argparse
import base64
import json
import sys
import time
from dataclasses import asdict, replace
from pathlib import Path
from typing import NamedTuple

import numpy as np
import pandas as pd

from perfmodel.calibrate import calibrate, measured_errors
from perfmodel.correct import correction_of
from perfmodel.datasets.schema import read_traces, usable
from perfmodel.error_kernels import learn_error_kernels
from perfmodel.evaluate import GroupAccuracy, JudgedRows, accuracy_report, grouped, judge_part
from perfmodel.hardware import Device, load_device
from perfmodel.models.constants import Constants
from perfmodel.models.families.gemm import GEMM
from perfmodel.models.fit import fit_constants
from perfmodel.models.learned import UNSEEN
from perfmodel.models.predictor import Predictor
from perfmodel.models.trace_rows import Part, parts_of
from perfmodel.suggest import choose
from perfmodel.training.parts import BY, NO_INTERVAL
from perfmodel.transfer import FAMILY, LeftOut, UnseenBooster, train_unseen, transfer_quantiles

DTYPE = "bf16"
POOL = 1500
TRAINING_ROWS = 9000
"""Of each table; the booster for unseen devices draws a third of them anyway."""
LEFT_OUT_ROWS = 300
"""Of each table of a family that is left out for the interval and the covariance."""


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

    def made(self, without: str) -> Predictor:
        """What training makes of the other families: constants, the booster for unseen devices with its interval, and the
        covariance of errors; the last two from every other family left out in turn as well."""
        left_out, parts = [], []
        for other in sorted(set(self.family.values()) - {without}):
            for device in (d for d, f in self.family.items() if f == other):
                part = Part(GEMM, "gemm", device, DTYPE, self.rows(device, LEFT_OUT_ROWS, 1))
                parts.append(part)
                left_out += [LeftOut(FAMILY, other, r) for r in judge_part(part, self.base(without, other))]
        base = self.base(without)
        assert base.constants is not None
        quantiles = transfer_quantiles(left_out)[FAMILY][GEMM.name, DTYPE]
        residuals = {k: replace(r, quantiles=tuple((q[0], q[1]) for q in quantiles)) for k, r in base.residuals.items()}
        return replace(base, residuals=residuals, error_kernels=learn_error_kernels(parts, left_out, base.constants))


class Judged(NamedTuple):
    """The same rows corrected, after calibration alone, and before any measurement."""

    corrected: list[JudgedRows]
    calibrated: list[JudgedRows]
    before: list[JudgedRows]


def judge(
    rows: pd.DataFrame, device: Device, predictor: Predictor, counts: list[int], seed: int, *, at_random: bool = False
) -> dict[int, Judged]:
    """The rows not measured, by number of measurements."""
    pool = np.random.default_rng(seed).permutation(len(rows))[:POOL]
    chosen = np.arange(len(pool))
    if not at_random:
        chosen = choose(Part(GEMM, "gemm", device.id, DTYPE, rows.iloc[pool]), device, predictor, max([*counts, 1]))
    result = {}
    for count in counts:
        rest = np.ones(len(rows), dtype=bool)
        rest[pool[chosen[:count]]] = False
        corrected, calibrated = predictor, device
        if count:
            few = Part(GEMM, "gemm", device.id, DTYPE, rows.iloc[pool[chosen[:count]]])
            calibrated = calibrate(few.rows, device, predictor=predictor, seed=seed).device
            correction, _, _ = correction_of(few, measured_errors(few, calibrated, predictor), calibrated, predictor)
            corrected = replace(predictor, corrections={correction.key: correction})
        others = Part(GEMM, "gemm", device.id, DTYPE, rows[rest])
        # A correction brings the calibrated constants along: the plain device is what is asked for.
        both = judge_part(others, corrected)
        by_calibration, before = (
            both if not count else as_predicted(both, others, record, predictor) for record in (calibrated, device)
        )
        result[count] = Judged(both, by_calibration, before)
    return result


def as_predicted(judged: list[JudgedRows], part: Part, device: Device, predictor: Predictor) -> list[JudgedRows]:
    """The same rows as an uncorrected predictor has them for a device, calibrated or not."""
    predicted = measured_errors(part, device, predictor).predicted_s
    software = part.rows["software"].astype(str).to_numpy()
    return [replace(r, predicted=predicted[software == r.software]) for r in judged]


def mean_of_seeds(groups: list[list[GroupAccuracy]]) -> list[GroupAccuracy]:
    """Each table's figures, the mean over seeds."""
    result = []
    for same in zip(*groups, strict=True):
        first, *others = (asdict(g) for g in same)
        assert all((g["device"], g["software"]) == (first["device"], first["software"]) for g in others)
        figures: dict[str, float] = {}
        for name in first:
            # A sample may hold no shape that two versions share, and so no disagreement between them.
            known = [g[name] for g in (first, *others) if isinstance(g[name], float)]
            if known:
                figures[name] = float(np.mean(known))
        result.append(GroupAccuracy(**first | figures))
    return result


def mean_over_devices(groups: list[GroupAccuracy], name: str) -> float:
    """The mean over devices of the mean over a device's tables."""
    devices = sorted({str(g.device) for g in groups})
    return float(np.mean([np.mean([getattr(g, name) for g in groups if g.device == d]) for d in devices]))


def main() -> None:
    """Print the table."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("traces", type=Path)
    parser.add_argument("--rows", type=int, default=1000, help="rows of each table that are judged")
    parser.add_argument("--seeds", type=int, default=5)
    parser.add_argument("--counts", default="0,10,20,50,100,200")
    parser.add_argument("--families", default="", help="only these, by comma")
    parser.add_argument("--each-table", action="store_true")
    parser.add_argument("--random", action="store_true", help="rows drawn at random instead of suggested ones")
    parser.add_argument(
        "--json", type=Path, help="a folder for few_N.json of each count, in the form of evaluate --json"
    )
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
    everything: list[dict[int, list[GroupAccuracy]]] = [{c: [] for c in counts} for _ in Judged._fields]
    worst = dict.fromkeys(counts, (-1.0, ""))
    for family in wanted:
        start = time.monotonic()
        predictor = bench.made(family)
        sys.stderr.write(f"{family}: made without it in {time.monotonic() - start:.0f} s\n")
        for device in (d for d, f in bench.family.items() if f == family):
            groups: dict[int, list[list[list[GroupAccuracy]]]] = {c: [[] for _ in Judged._fields] for c in counts}
            for seed in range(arguments.seeds):
                rows = bench.rows(device, arguments.rows, 100 + seed)
                pieces = [rows]
                if arguments.each_table:
                    pieces = [r.reset_index(drop=True) for _, r in rows.groupby("software", observed=True)]
                done = [
                    judge(p, load_device(device), predictor, counts, seed, at_random=arguments.random) for p in pieces
                ]
                for count in counts:
                    drawn = [grouped([r for d in done for r in d[count][i]], BY) for i in range(len(Judged._fields))]
                    for kept, figures in zip(groups[count], drawn, strict=True):
                        kept.append(figures)
                    after, before = (mean_over_devices(drawn[i], "mape") for i in (0, 2))
                    worst[count] = max(worst[count], (after - before, f"{device}, seed {seed}, from {before:.2%}"))
            for count in counts:
                for kept, drawn in zip(everything, groups[count], strict=True):
                    kept[count] += mean_of_seeds(drawn)
            print(line(device, everything, [device]), flush=True)
    print(line("mean", everything, sorted({str(g.device) for g in everything[0][counts[0]]})))
    for count in counts:
        tables = ", ".join(f"{g.device} {g.software} {g.mape:.1%} ({g.coverage_90:.0%})" for g in everything[0][count])
        print(f"{count}: {tables}")
        if count:
            print(f"{count}: the worst draw changes a device's MAPE by {worst[count][0]:+.2%} ({worst[count][1]})")
        if arguments.json is not None:
            report = accuracy_report("family", 0, everything[0][count])
            (arguments.json / f"few_{count}.json").write_text(json.dumps(report, indent=1) + "\n")


def line(name: str, everything: list[dict[int, list[GroupAccuracy]]], devices: list[str]) -> str:
    """A row of the table, over some devices."""
    cells = ""
    for count in everything[0]:
        corrected, calibrated, _ = ([g for g in kept[count] if g.device in devices] for kept in everything)
        figures = [mean_over_devices(corrected, n) for n in ("mape", "coverage_90")]
        cells += f"{figures[0]:>12.2%}{mean_over_devices(calibrated, 'mape'):>6.1%}{figures[1]:>6.0%}"
    return f"{name:<16}{cells}"


if __name__ == "__main__":
    main()
