"""How few measurements find IREE's fastest tiles: every candidate of six linalg workloads compiled and timed, then searches
replayed.

    python tests/bench/iree_search.py record FOLDER     compile all candidates (half an hour; goes on where it stopped)
    python tests/bench/iree_search.py time FOLDER       time them on one core, in rounds, and write FOLDER/iree.json
    python tests/bench/iree_search.py replay [FILE]     searches over the recorded times (tests/bench/recorded/iree.json)

A figure is the shortest recorded time of all candidates over that of the best that the search measured, in percent. A ranker
starts from the physics alone, or from that and the recorded times of the other products (the workload itself is left out).
"""

from __future__ import annotations

import argparse
import dataclasses
import json
import sys
import time
from collections.abc import Sequence
from pathlib import Path
from statistics import median
from typing import Any

import numpy as np

from perfmodel.errors import InputError
from perfmodel.hardware.loader import load_device
from perfmodel.integrations import iree
from perfmodel.rank import Ranker
from perfmodel.rank import space as space_of
from perfmodel.rank.pretrained import NOTHING, Pretrained
from perfmodel.rank.table import parameters
from perfmodel.rank.training import Measured, train_source

OBSERVED = (1, 5, 10, 20)
RANDOM_SEEDS = 200
REPEATS = 15
SIZES = {"tall product 3136x64": {"dist_n": (32, 64)}}
"""Offered in place of the usual ones, of which there would be one."""
RECORDED = Path(__file__).parent / "recorded" / "iree.json"

_FUNCTION = """
#both = affine_map<(d0, d1) -> (d0, d1)>
#row = affine_map<(d0, d1) -> (d1)>
func.func @main({arguments}) -> {result} {{
  %zero = arith.constant 0.0 : f32
  %empty = tensor.empty() : {result}
  %start = linalg.fill ins(%zero : f32) outs(%empty : {result}) -> {result}
  %r = linalg.{name} ins(%a, %b : {a}, {b}) outs(%start : {result}) -> {result}
{rest}
}}
"""
_BIAS_AND_RELU = """
  %y = linalg.generic {{indexing_maps = [#both, #row, #both], iterator_types = ["parallel", "parallel"]}}
      ins(%r, %bias : {result}, {bias}) outs(%empty : {result}) {{
  ^bb0(%product: f32, %added: f32, %out: f32):
    %sum = arith.addf %product, %added : f32
    %most = arith.maximumf %sum, %zero : f32
    linalg.yield %most : f32
  }} -> {result}
  return %y : {result}"""


def _tensor(*shape: int) -> str:
    return f"tensor<{'x'.join(map(str, shape))}xf32>"


def _module(name: str, a: str, b: str, result: str, bias: str | None = None) -> str:
    rest = f"  return %r : {result}" if bias is None else _BIAS_AND_RELU.format(result=result, bias=bias)
    arguments = f"%a: {a}, %b: {b}" + ("" if bias is None else f", %bias: {bias}")
    return _FUNCTION.format(arguments=arguments, result=result, name=name, a=a, b=b, rest=rest)


def workloads() -> dict[str, str]:
    """MLIR modules by name."""
    ones = "{dilations = dense<1> : tensor<2xi64>, strides = dense<1> : tensor<2xi64>}"
    return {
        "square product 512": _module("matmul", _tensor(512, 512), _tensor(512, 512), _tensor(512, 512)),
        "tall product 3136x64": _module("matmul", _tensor(3136, 256), _tensor(256, 64), _tensor(3136, 64)),
        "batch of 12 products": _module(
            "batch_matmul", _tensor(12, 128, 64), _tensor(12, 64, 128), _tensor(12, 128, 128)
        ),
        "product, bias, ReLU": _module(
            "matmul", _tensor(197, 192), _tensor(192, 768), _tensor(197, 768), bias=_tensor(768)
        ),
        "convolution 3x3": _module(
            f"conv_2d_nhwc_hwcf {ones}", _tensor(1, 30, 30, 128), _tensor(3, 3, 128, 128), _tensor(1, 28, 28, 128)
        ),
        "matrix times vector": _module("matvec", _tensor(4096, 1024), _tensor(1024), _tensor(4096)),
    }


def _rows(configs: dict[str, np.ndarray]) -> list[dict[str, int]]:
    return [{n: int(v[row]) for n, v in configs.items()} for row in range(len(configs["strategy"]))]


def record(folder: Path) -> None:
    """Compiles all candidates; a file each, empty where the compiler refused."""
    for number, (name, text) in enumerate(workloads().items()):
        target = iree.Target.of(text)
        rows = _rows(iree.candidates(target, SIZES.get(name)))
        for row, configuration in enumerate(rows):
            path = folder / f"{number}" / f"{row}.vmfb"
            if path.exists():
                continue
            path.parent.mkdir(parents=True, exist_ok=True)
            try:
                program = iree.build(target, configuration)
            except InputError as error:
                sys.stderr.write(f"{error}\n")
                program = b""
            partial = path.with_suffix(".part")
            partial.write_bytes(program)
            partial.rename(path)
        print(f"{name}: {len(rows)} candidates", flush=True)


def timings(folder: Path, seconds: float) -> None:
    """Times all programs, in rounds until the seconds are over, and checks each against the first one's result."""
    end = time.monotonic() + seconds
    shortest: dict[str, list[float | None]] = {}
    rounds = 0
    while rounds == 0 or time.monotonic() < end:
        for number, (name, text) in enumerate(workloads().items()):
            target = iree.Target.of(text)
            found = shortest.setdefault(name, [None] * len(_rows(iree.candidates(target, SIZES.get(name)))))
            wanted = None
            for row in range(len(found)):
                if rounds and time.monotonic() > end:
                    break
                program = (folder / f"{number}" / f"{row}.vmfb").read_bytes()
                if not program or (rounds and found[row] is None):
                    continue
                if rounds == 0:
                    result = np.asarray(iree.loaded(target, program)())
                    wanted = result if wanted is None else wanted
                    if not np.allclose(result, wanted, rtol=1e-4):
                        sys.stderr.write(f"{name}, row {row}: another result\n")
                        continue
                taken, _ = iree.timed(target, program, REPEATS)
                earlier = found[row]
                found[row] = taken if earlier is None else min(taken, earlier)
        rounds += 1
        print(f"round {rounds} done", flush=True)
    device = load_device("local-cpu")
    facts = ("units", "peak_clock_hz", "memory_bandwidth_bytes_per_s", "l2_bytes", "l1_bytes_per_unit")
    record: dict[str, Any] = {
        "processor": device.name, "family": device.family, "compiler": "iree-base-compiler 3.13", "rounds": rounds,
        "device": {f: getattr(device, f) for f in facts} | {"fp32": device.flops_per_clock_per_unit["fp32"]},
        "seconds": {n: [None if s is None else float(f"{s:.4g}") for s in v] for n, v in shortest.items()},
    }  # fmt: skip
    entries = [f" {json.dumps(n)}: {json.dumps(v)}" for n, v in record.items() if n != "seconds"]
    times = ",\n".join(f"  {json.dumps(n)}: {json.dumps(v)}" for n, v in record["seconds"].items())
    (folder / "iree.json").write_text("{\n" + ",\n".join(entries) + ',\n "seconds": {\n' + times + "\n }\n}\n")


def measured_spaces(path: Path) -> dict[str, Measured]:
    """The recorded workloads on a record of the processor that they ran on."""
    record = json.loads(path.read_text())
    facts = dict(record["device"])
    assert facts.pop("fp32") == 32.0, "another core than the one of the record"
    rate = facts["units"] * facts["peak_clock_hz"] * 32.0
    device = dataclasses.replace(load_device("epyc-7763"), id="recorded-cpu", peak_flops={"fp32": rate}, **facts)
    spaces = {}
    for name, text in workloads().items():
        target = iree.Target.of(text)
        space = space_of(target.form.space)
        columns = parameters(iree.candidates(target, SIZES.get(name)), space)
        seconds = np.array([np.nan if s is None else s for s in record["seconds"][name]])
        spaces[name] = Measured(space, target.op, device, columns, seconds)
    return spaces


def searched(measured: Measured, pretrained: Pretrained) -> list[float]:
    """Percent of the shortest time that the best of the first so many measured reaches."""
    ranker = Ranker(measured.op, measured.columns, measured.device, space=measured.space, pretrained=pretrained)
    rows: list[int] = []
    for _ in range(max(OBSERVED)):
        [row] = ranker.suggest()
        rows.append(int(row))
        ranker.observe([int(row)], [float(measured.latency_s[row])])
    return [best_of(measured, rows[:k]) for k in OBSERVED]


def best_of(measured: Measured, rows: Sequence[int] | np.ndarray) -> float:
    """Percent of the shortest time that the best of some rows reaches; 0 where all failed."""
    times = measured.latency_s[np.asarray(rows, dtype=np.intp)]
    return 0.0 if np.isnan(times).all() else float(100 * np.nanmin(measured.latency_s) / np.nanmin(times))


def replay(path: Path) -> None:
    """Prints the table of docs/iree.md."""
    spaces = measured_spaces(path)
    rows: dict[str, list[list[float]]] = {}
    for name, measured in spaces.items():
        others = [m for n, m in spaces.items() if n != name and m.space.id == measured.space.id]
        taught = Pretrained(tuple(train_source(m, 0) for m in others), 0.3, 0.3)
        order = [np.random.default_rng(seed).permutation(len(measured.latency_s)) for seed in range(RANDOM_SEEDS)]
        found = {
            "physics, then learning": searched(measured, NOTHING),
            "taught by the other products": searched(measured, taught),
            f"random, mean of {RANDOM_SEEDS}": [float(np.mean([best_of(measured, o[:k]) for o in order])) for k in OBSERVED],
            "the compiler's own way": [best_of(measured, np.flatnonzero(measured.columns["strategy"] == 1))] * len(OBSERVED),
        }  # fmt: skip
        ok = measured.latency_s[np.isfinite(measured.latency_s)]
        near = int((ok <= ok.min() / 0.95).sum())
        print(
            f"{name}: {len(ok)} ran, best {1e3 * ok.min():.3f} ms, median {1e3 * np.median(ok):.3f} ms, {near} within 5 %"
        )
        for method, values in found.items():
            rows.setdefault(method, []).append(values)
    print(f"\nbest after {' / '.join(map(str, OBSERVED))} measurements [% of the exhaustive best]")
    for method, results in rows.items():
        middle = " / ".join(f"{median(column):.1f}" for column in zip(*results, strict=True))
        each = "  ".join(" / ".join(f"{v:.0f}" for v in one) for one in results)
        print(f"{method:32} median {middle}   {each}")


def main() -> None:
    """Run what was asked for."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("what", choices=("record", "time", "replay"))
    parser.add_argument("path", type=Path, nargs="?", help="the folder, or the file to replay")
    parser.add_argument("--seconds", type=float, default=240.0, help="how long to time for")
    arguments = parser.parse_args()
    if arguments.what == "replay":
        replay(arguments.path or RECORDED)
    elif arguments.path is None:
        parser.error("a folder is needed")
    elif arguments.what == "record":
        record(arguments.path)
    else:
        timings(arguments.path, arguments.seconds)


if __name__ == "__main__":
    main()
