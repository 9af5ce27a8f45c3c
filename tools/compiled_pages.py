"""Writes into the pages what the shipped rows of compiled modules say, and what other tiles gave.

    python tools/compiled_pages.py            docs/compiled-modules.md, from datasets/iree-cpu
    python tools/compiled_pages.py --compile  also docs/characterise.md: examples/mlp.mlir with other tiles, and with something
                                              else behind the product, compiled and counted (extra `iree`, Valgrind)

Predictions are of the shipped characteriser, so run it after `make characteriser`.
"""

from __future__ import annotations

import argparse
import tempfile
from collections.abc import Sequence
from pathlib import Path

import pandas as pd

from perfmodel.characterise import characterise
from perfmodel.characterise.result import Characterisation
from perfmodel.characterise.targets import MANY_SPILLS
from perfmodel.characterise.training import LEAST_LATENCY_S
from perfmodel.datasets.compiled import CompiledModules, load_compiled
from perfmodel.files import write_whole

ROOT = Path(__file__).resolve().parent.parent
EXAMPLE = ROOT / "examples" / "mlp.mlir"
PRODUCT = "linalg.matmul ins"
TILES = ((8, 8, 8), (8, 16, 8), (8, 8, 4), (4, 8, 8), (4, 16, 4), (2, 8, 8), (1, 8, 8))
"""Vector tile sizes of the example's product; the heuristic's stand first."""
BODIES = {
    "the product, a bias and a tanh": None,
    "a bias alone": ("%t = math.tanh %s : f32", "%t = arith.addf %s, %s : f32"),
    "a bias and an exponential": ("math.tanh", "math.exp"),
    "a bias and an error function": ("math.tanh", "math.erf"),
}
"""What stands behind the example's product, as a change of its text."""


def main() -> None:
    """Fill the marked places."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--compile", action="store_true", help="also what needs the compiler")
    arguments = parser.parse_args()
    shipped = load_compiled()
    page = ROOT / "docs" / "compiled-modules.md"
    put(page, "spills", spills(shipped.dispatches))
    put(page, "rows", rows(shipped))
    if arguments.compile:
        page = ROOT / "docs" / "characterise.md"
        put(page, "tiles", "\n" + "\n".join(tile_table(EXAMPLE.read_text(encoding="utf-8"))) + "\n")
        put(page, "fused", "\n" + "\n".join(fused_table(EXAMPLE.read_text(encoding="utf-8"))) + "\n")


def put(page: Path, mark: str, text: str) -> None:
    """Replaces what stands between ``<!-- mark: begin -->`` and ``<!-- mark: end -->``."""
    begin, end = f"<!-- {mark}: begin -->", f"<!-- {mark}: end -->"
    whole = page.read_text(encoding="utf-8")
    before, found, rest = whole.partition(begin)
    _, closed, after = rest.partition(end)
    if not found or not closed:
        raise SystemExit(f"{page} has no marks {begin} and {end}")
    write_whole(page, (before + begin + text + end + after).encode())


def spills(dispatches: pd.DataFrame) -> str:
    """How often the stores of vectors that are counted agree with the compiler's remarks."""
    known = dispatches[dispatches["vector_slots"].notna()]
    stored, slots = known["spill_stores"] > 0, known["vector_slots"] > 0
    touched = known["spill_stores"] + known["spill_loads"]
    said = known["regalloc_spills"] + known["regalloc_reloads"]
    many = ((touched > MANY_SPILLS) == (said > MANY_SPILLS))[slots]
    ratio = (known["spill_stores"] / known["regalloc_spills"])[slots & (known["regalloc_spills"] > 0)]
    return (
        f"of {len(known):,} dispatches {percent((stored == slots).mean())} have such stores where, and only where, the frame"
        f" has places for vector registers; of the {int(slots.sum()):,} that have places, {percent(many.mean())} have more than"
        f" {MANY_SPILLS} stores and loads where the remarks name more than {MANY_SPILLS} spills and reloads, and the stores are"
        f" {ratio.median():.2f} of the spills that the remarks name, of registers of any kind (90 % of them between"
        f" {ratio.quantile(0.05):.2f} and {ratio.quantile(0.95):.2f})."
    )


def rows(shipped: CompiledModules) -> str:
    """How many rows there are."""
    modules = shipped.modules
    real, counted = int(modules["real"].sum()), int((modules["executed_status"] == "ok").sum())
    timed = modules["latency_s"]
    above = int((timed > LEAST_LATENCY_S).sum())
    return (
        f"{len(modules):,} modules, {len(modules) - real:,} of them generated and {real} of others, without their text,"
        f" {len(shipped.dispatches):,} dispatches; instructions executed of {counted:,} modules, times of"
        f" {int(timed.notna().sum()):,}, {above:,} of them above {1e6 * LEAST_LATENCY_S:.0f} us."
    )


def tile_table(text: str) -> list[str]:
    """The example with other vector tiles: predicted, and what the compiler made of it."""
    found = characterise(text)
    workgroup = found.dispatches[0].distribution
    cases = {
        ",".join(map(str, tile)): (characterise(text, vector_tiles=tile), tiled(text, workgroup, tile))
        for tile in TILES
    }
    return table("vector tiles", cases)


def fused_table(text: str) -> list[str]:
    """The example with something else behind the product."""
    changed = {name: text if change is None else text.replace(*change) for name, change in BODIES.items()}
    return table("behind the product", {name: (characterise(body), body) for name, body in changed.items()})


def tiled(text: str, workgroup: Sequence[int], tile: Sequence[int]) -> str:
    """The text with a ``compilation_info`` on its product, so that the compiler takes these tiles."""
    rows, columns, inner = tile
    info = (
        "#iree_codegen.compilation_info<lowering_config = #iree_cpu.lowering_config<"
        f"cache_parallel = [{workgroup[0]}, {workgroup[1]}, 0], distribution = [{workgroup[0]}, {workgroup[1]}, 0], "
        f"vector_common_parallel = [{rows}, {columns}, 0], vector_reduction = [0, 0, {inner}]>, "
        "translation_info = <pipeline = #iree_cpu.pipeline<DoubleTilingExpert>, {enable_loop_peeling}>>"
    )
    return text.replace(PRODUCT, f"linalg.matmul {{compilation_info = {info}}} ins", 1)


def table(first: str, cases: dict[str, tuple[Characterisation, str]]) -> list[str]:
    """Predicted and compiled counts, a row a case."""
    from perfmodel.collect.iree.batch import OK, Source, measure
    from perfmodel.collect.iree.compiler import DEFAULT_CPU

    lines = [
        f"| {first} | instructions: predicted | compiled | executed: predicted | counted | spills: predicted | compiled |"
        f" chance of more than {MANY_SPILLS} |",
        "|---|---|---|---|---|---|---|---|",
    ]
    sources = [Source(name, text, joined=False) for name, (_, text) in cases.items()]
    with tempfile.TemporaryDirectory(prefix="perfmodel-iree-") as folder:
        for made in measure(sources, Path(folder) / "made", cpu=DEFAULT_CPU):
            if made.status != OK or made.executed_status != OK:
                raise SystemExit(f"{made.name}: {made.status}; {made.executed_status}")
            predicted, compiled = cases[made.name][0], pd.DataFrame(made.dispatches)
            spilled = int((compiled["spill_stores"] + compiled["spill_loads"]).sum())
            lines.append(
                f"| {made.name} | {predicted.instructions.value:,.0f} | {compiled['instructions'].sum():,} |"
                f" {predicted.executed.value / 1e6:.2f} M | {compiled['executed_instructions'].sum() / 1e6:.2f} M |"
                f" {predicted.spills.value:,.0f} | {spilled:,} |"
                f" {percent(max(d.many_spills for d in predicted.dispatches))} |"
            )
    return lines


def percent(share: float) -> str:
    """``97 %``."""
    return f"{100 * share:.0f} %"


if __name__ == "__main__":
    main()
