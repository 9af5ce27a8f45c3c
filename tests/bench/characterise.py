"""What a compiler makes of modules: errors on modules that the characteriser has not seen, from datasets/iree-cpu.

    python tests/bench/characterise.py [--data datasets/iree-cpu] [--seed 0] [--curve] [--json FILE]

Medians of |predicted / measured - 1| of whole modules; shapes held out (random modules, the same text never on both sides) and
whole families held out, beside the median of the family, a linear model on the same features, and boosted trees on a bag of the
text's tokens. `--curve`: with a quarter, half and all of the modules.
"""

from __future__ import annotations

import argparse
import json
from pathlib import Path
from typing import Any

from perfmodel.characterise import evaluation, targets
from perfmodel.characterise.examples import Examples
from perfmodel.characterise.table import examples_of, load_tables
from perfmodel.features.lowering.target import HASWELL

MODELS = ("model", "linear", "tokens", "family_median")


def show(protocol: str, found: dict[str, Any]) -> None:
    """One protocol's table."""
    print(f"\n{protocol} held out{'':>16}" + "".join(f"{name:>15}" for name in MODELS) + f"{'in 90 %':>10}")
    for name in (*(t.name for t in evaluation.JUDGED), targets.LATENCY.name):
        row = found[name]
        cells = "".join(f"{_percent(row.get(model, {}).get('median')):>15}" for model in MODELS)
        print(f"  {name:<26} {row['model']['n']:>5}" + cells + f"{_percent(row['coverage_90']):>10}")
    print(f"  latency, executed given          {_percent(found['latency_s']['given_executed']['median']):>15}")
    spills = {k: v for k, v in found["spills"].items() if isinstance(v, float)}
    print("  spills: " + ", ".join(f"{name} {value:.3f}" for name, value in spills.items()))
    worst = sorted(found["executed"]["by_family"].items(), key=lambda item: -(item[1]["median"] or 0))
    print("  executed by family: " + ", ".join(f"{name} {_percent(value['median'])}" for name, value in worst))


def curve(examples: Examples, floor_s: float, seed: int) -> None:
    """Medians with part of the modules."""
    for protocol in ("shapes", "families"):
        for share, found in evaluation.learning_curve(examples, protocol, floor_s, seed).items():
            print(f"{protocol} {share}: " + ", ".join(f"{name} {_percent(value)}" for name, value in found.items()))


def _percent(share: float | None) -> str:
    return "-" if share is None else f"{100 * share:.1f} %"


def main() -> None:
    """Reads the tables, judges, prints."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--data", type=Path, default=Path("datasets/iree-cpu"))
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--curve", action="store_true")
    parser.add_argument("--json", type=Path)
    arguments = parser.parse_args()
    collected = load_tables(arguments.data)
    examples = examples_of(collected.modules, HASWELL)
    floor_s = collected.floor_s or 0.0
    print(
        f"{len(examples)} modules of {len(set(examples.families.tolist()))} families, {len(examples.matrix)} dispatches"
    )
    same = _percent(float(examples.same_count.mean()))
    print(f"as many dispatches as compiled in {same} of the modules; {len(examples.unread)} modules not read")
    result = {}
    for protocol in ("shapes", "families"):
        result[protocol] = evaluation.judged(examples, protocol, floor_s, arguments.seed)
        show(protocol, result[protocol])
    if arguments.curve:
        curve(examples, floor_s, arguments.seed)
    if arguments.json:
        arguments.json.write_text(json.dumps(result, indent=1))


if __name__ == "__main__":
    main()
