"""Power and energy of runs that the constants never saw: networks, GPUs, power caps.

    PERFMODEL_SHARED=... python tests/bench/power.py

Prints mean errors in percent: EnergAIzer's networks and GPUs held out in turn, and Zeus's GPUs under power caps, all runs and
those whose cap binds.
"""

from __future__ import annotations

import os
from pathlib import Path
from typing import Any

import numpy as np

from perfmodel.datasets.build import load_runs
from perfmodel.evaluate import evaluate
from perfmodel.protocols.caps import Capped, capped

BINDING = 0.95
"""A cap binds where the uncapped run draws more than this share of it."""


def main() -> None:
    """Prints the tables."""
    data = Path(os.environ["PERFMODEL_SHARED"]) / "data"
    for protocol in ("energy", "energy-device"):
        report = evaluate("energaizer", protocol=protocol, root=data / "energaizer", by=("device", "variant"))
        print(f"\n{protocol}\n\n| device | variant | target | runs | mean | median | p90 | inside |\n|" + "---|" * 8)
        for g in report["groups"]:
            print(f"| {g['device']} | {g['variant']} | {g['target']} | {g['n']} | {_figures(g)} |")
    runs = capped(load_runs("zeus", data / "zeus"))
    assert runs is not None
    print("\ncaps\n\n| held out | runs | power | time | energy |\n|" + "---|" * 5)
    errors, binding = [], []
    for name in sorted(set(runs.device.tolist())):
        held = runs.taken(runs.device == name)
        off = held.log_errors(runs.taken(runs.device != name).fit())
        each = {target: np.abs(np.expm1(-values)) for target, values in off.items()}
        _row(name, each)
        errors.append(each)
        binding.append(_binds(held))
    everything = {target: np.concatenate([e[target] for e in errors]) for target in errors[0]}
    _row("all", everything)
    bound = np.concatenate(binding)
    _row(f"uncapped power above {BINDING} of the cap", {t: v[bound] for t, v in everything.items()})


def _binds(runs: Capped) -> np.ndarray:
    result: np.ndarray = runs.runs.power_w > BINDING * runs.runs.cap_w
    return result


def _row(name: str, errors: dict[str, np.ndarray]) -> None:
    cells = " | ".join(f"{100 * errors[target].mean():.1f} %" for target in ("power", "latency", "energy"))
    print(f"| {name} | {len(errors['power'])} | {cells} |")


def _figures(group: dict[str, Any]) -> str:
    names = ("mape", "median_ape", "p90_ape", "coverage_90")
    return " | ".join("" if group[name] is None else f"{100 * group[name]:.1f} %" for name in names)


if __name__ == "__main__":
    main()
