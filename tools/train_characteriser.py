"""Trains the shipped characteriser again, from the tables of a data set of compiled modules, and writes its folder.

    python tools/train_characteriser.py [datasets/iree-cpu] [-o models/characterise] [--seed 0] [--no-accuracy]

Every module of the tables is in it. How far it is from modules that it has not seen is measured with shapes and with whole
families held out, and stands in ``accuracy.json`` and ``card.md``.
"""

from __future__ import annotations

import argparse
import contextlib
import hashlib
import platform
import time
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from typing import Any

import numpy as np

from perfmodel.characterise import evaluation, targets, training
from perfmodel.characterise.examples import Examples, folds_of_shapes
from perfmodel.characterise.table import Collected, examples_of, load_tables
from perfmodel.features.lowering.target import CompileTarget
from perfmodel.files import write_whole
from perfmodel.models import artefact

SHARES = (0.25, 0.5, 1.0)
VECTORS = {"haswell": (32, 16), "skylake-avx512": (64, 32), "znver3": (32, 16), "znver4": (64, 32)}
"""By LLVM's name of a processor: bytes of a vector register, and how many there are (LLVM's X86.td)."""
BEGIN, END = "<!-- characterise: accuracy -->", "<!-- end -->"
PROTOCOLS = {"shapes": "shapes held out", "families": "whole families held out"}


def main() -> None:
    """Train, judge, write."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("data", type=Path, nargs="?", default=Path("datasets/iree-cpu"))
    parser.add_argument("-o", "--output", type=Path, default=Path("models/characterise"))
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument(
        "--no-accuracy", action="store_true", help="leave the accuracy as it is, which takes most of the time"
    )
    parser.add_argument(
        "--page", type=Path, default=Path("docs/characterise.md"), help="the page whose table of accuracy is rewritten"
    )
    arguments = parser.parse_args()
    collected = load_tables(arguments.data)
    target = target_of(collected)
    examples = examples_of(collected.modules, target)
    print(f"{len(examples)} modules, {len(examples.matrix)} dispatches; {len(examples.unread)} not read, "
          f"{int((~examples.same_count).sum())} with another number of dispatches")  # fmt: skip
    folder = arguments.output / target.id
    floor_s = collected.floor_s or 0.0
    learned, boosters = training.train(
        examples, target, floor_s, collected.peak_flops, collected.processor,
        folds_of_shapes(examples, evaluation.SHAPE_FOLDS, arguments.seed), arguments.seed,
    )  # fmt: skip
    training.save(learned, boosters, folder, about(arguments.data, collected, examples, arguments.seed))
    if not arguments.no_accuracy:
        accuracy = judge(examples, floor_s, arguments.seed)
        artefact.write_json(folder, "accuracy.json", accuracy)
        write_whole(folder / "card.md", card(collected, examples, accuracy).encode())
        if arguments.page.is_file():
            put_into(arguments.page, table_lines(accuracy))
    size = sum(path.stat().st_size for path in folder.iterdir())
    print(f"{folder}: {size / 1e3:.0f} kB")


def target_of(collected: Collected) -> CompileTarget:
    """The target of the tables."""
    if collected.cpu not in VECTORS:
        raise SystemExit(f"the vector registers of {collected.cpu} are not in VECTORS: add them, with their source")
    size, count = VECTORS[collected.cpu]
    return CompileTarget(f"iree-llvm-cpu-{collected.cpu}", collected.cpu, size, count, compiler=collected.compiler)


def judge(examples: Examples, floor_s: float, seed: int) -> dict[str, Any]:
    """The figures of both protocols, and the learning curve."""
    result: dict[str, Any] = {
        "modules": len(examples),
        "dispatches": len(examples.matrix),
        "protocols": {},
        "curve": {},
    }
    for protocol in PROTOCOLS:
        begin = time.perf_counter()
        result["protocols"][protocol] = evaluation.judged(examples, protocol, floor_s, seed)
        print(f"{protocol}: {time.perf_counter() - begin:.0f} s")
    result["curve"] = evaluation.learning_curve(examples, "shapes", floor_s, seed, SHARES[:-1])
    whole = result["protocols"]["shapes"]
    result["curve"]["1"] = {name: whole[name]["model"]["median"] for name in whole if "model" in whole[name]}
    return result


def about(data: Path, collected: Collected, examples: Examples, seed: int) -> dict[str, Any]:
    """What the manifest says of how it was made."""
    hashes = {
        name: hashlib.sha256((data / name).read_bytes()).hexdigest()
        for name in ("modules.parquet", "dispatches.parquet")
    }
    return {
        "seed": seed, "modules": len(examples), "dispatches": len(examples.matrix), "training_data": hashes,
        "parameters": {"all": training.PARAMETERS, "of_target": training.OF_TARGET},
        "versions": {"python": platform.python_version(), **_versions()},
    }  # fmt: skip


def _versions() -> dict[str, str]:
    found = {}
    for package in ("numpy", "scipy", "xgboost-cpu"):
        with contextlib.suppress(PackageNotFoundError):
            found[package] = version(package)
    return found


def card(collected: Collected, examples: Examples, accuracy: dict[str, Any]) -> str:
    """The model card."""
    families = sorted(set(examples.families.tolist()))
    lines = [
        f"# Characteriser of {collected.compiler} for {collected.cpu}",
        "",
        "What the compiler makes of linalg modules, learned from their text: instructions and bytes of code, instructions",
        "executed, vector registers, spills, and the time of a call. Boosted trees correct a linear estimate over the vector",
        "operations that the compiler's tile sizes give, which are re-derived from its heuristics",
        "(`perfmodel/features/lowering/`); no compiler is run.",
        "",
        f"Trained on `datasets/iree-cpu`: {len(examples)} generated modules of {len(families)} families,",
        f"{len(examples.matrix)} dispatches, compiled by {collected.compiler} for `{collected.cpu}`, counted with Valgrind's",
        f"callgrind, timed on one thread of {collected.processor}.",
        "`make characteriser` makes it again.",
        "",
        "## How far it is from modules that it has not seen",
        "",
        *table_lines(accuracy),
        "",
        "Median errors with a quarter, half and all of the modules, shapes held out: "
        + "; ".join(
            f"{name}: " + ", ".join(percent(accuracy["curve"][share].get(name)) for share in ("0.25", "0.5", "1"))
            for name in (*(t.name for t in evaluation.JUDGED), targets.LATENCY.name)
        )
        + ".",
        "",
        "## What it is not for",
        "",
        "Other compilers, versions, processors or flags than those above. Operations outside of linalg and tensor are listed",
        "and in no figure. Modules unlike those of the training are off by what the second column says. Latency is that of the",
        "machine above.",
        "",
    ]
    return "\n".join(lines)


def table_lines(accuracy: dict[str, Any]) -> list[str]:
    """The table of figures: medians of the relative error of whole modules, by protocol and model."""
    lines = ["| | " + " | ".join(PROTOCOLS.values()) + " |", "|---|---|---|"]
    found = [accuracy["protocols"][p] for p in PROTOCOLS]
    titles = {"instructions": "instructions in the code", "code_bytes": "bytes of code", "executed": "instructions executed",
              "latency_s": "latency above 20 us, net of the floor"}  # fmt: skip
    models = {
        "model": "this model",
        "linear": "linear model",
        "tokens": "bag of tokens",
        "family_median": "median of the family",
    }
    for name, title in titles.items():
        for model, label in models.items():
            lines.append(
                f"| {title}: {label} | "
                + " | ".join(percent(f[name].get(model, {}).get("median")) for f in found)
                + " |"
            )
        lines.append(
            f"| {title}: share within the 90 % interval | "
            + " | ".join(percent(f[name]["coverage_90"]) for f in found)
            + " |"
        )
    given = " | ".join(percent(f["latency_s"]["given_executed"]["median"]) for f in found)
    without = " | ".join(percent(f["latency_s"]["without_executed"]["median"]) for f in found)
    lines.append(f"| latency, without the predicted instructions | {without} |")
    lines.append(f"| latency, were the instructions executed known | {given} |")
    lines.append(
        "| more than 8 spills in a dispatch: area under the curve | "
        + " | ".join(_three(f["spills"]["auc"]) for f in found)
        + " |"
    )
    lines.append("| the same of whole modules | " + " | ".join(_three(f["spills"]["module_auc"]) for f in found) + " |")
    for model, label in (("linear", "linear model"), ("tokens", "bag of tokens"), ("family", "share of the family")):
        lines.append(
            f"| the same: {label} | " + " | ".join(_three(f["spills"].get(f"{model}_module_auc")) for f in found) + " |"
        )
    registers = " | ".join("-" if (v := f["vector_registers"]["mean_absolute"]) is None else f"{v:.2f}" for f in found)
    lines.append(f"| vector registers: mean error | {registers} |")
    return lines


def put_into(page: Path, lines: list[str]) -> None:
    """Puts the table between its marks in a page."""
    before, begin, rest = page.read_text(encoding="utf-8").partition(BEGIN)
    _, end, after = rest.partition(END)
    if not begin or not end:
        raise SystemExit(f"{page} has no marks {BEGIN} and {END}")
    write_whole(page, "\n".join([before + begin, "", *lines, "", end + after]).encode())


def percent(share: float | None) -> str:
    """``12.3 %``; ``-`` where unknown."""
    return "-" if share is None or not np.isfinite(share) else f"{100 * share:.1f} %"


def _three(value: float | None) -> str:
    return "-" if value is None else f"{value:.3f}"


if __name__ == "__main__":
    main()
