"""What perfmodel keeps between runs, and what it downloads: resumed work, measurements, archives, others' data sets."""

from __future__ import annotations

import io
import json
import math
import random
import shutil
import tempfile
import zipfile
from collections.abc import Iterable
from functools import cache
from pathlib import Path

import perfmodel
from fuzz import mutations
from fuzz.base import refused, written
from fuzz.tables import TRACES, parquet_of
from perfmodel.errors import PerfmodelError


# ----------------------------------------------------------------------------------------------------------- collecting
def read_recording(data: bytes, folder: Path) -> str:
    """The folder of a sweep of operators: its first line is ``run.json``, the others are the operators."""
    from perfmodel.collect.onnxruntime_cpu import read_run
    from perfmodel.collect.pytorch.recording import OPERATORS, RUN, Recording

    about, _, lines = data.partition(b"\n")
    written(folder, RUN, about)
    written(folder, OPERATORS, lines)
    came_to = "result"
    try:
        read_run(folder)
    except PerfmodelError as error:
        refused(error)
    try:
        columns = Recording(folder).columns("h100-sxm")
        assert len({len(values) for values in columns.values()}) == 1
    except PerfmodelError as error:
        came_to = refused(error)
    return came_to


def recording_seeds() -> Iterable[bytes]:
    from perfmodel.collect.pytorch.measuring import Measurement
    from perfmodel.collect.pytorch.recording import OPERATORS, RUN, Recording

    about = {"software": "torch-2.9", "device_name": "mine", "threads": None, "cache": "warm", "seed": 0}
    with tempfile.TemporaryDirectory() as name:
        made = Recording(Path(name), about)
        for size in (64, 128):
            op = perfmodel.Gemm(m=size, n=size, k=size, dtype="bf16")
            made.add(Measurement(op, "ok", (1e-5, 1.1e-5), {"clock_mhz": 1500.0, "note": None}))
        made.add(Measurement(perfmodel.Softmax(rows=8, cols=512, dtype="fp32"), "out of memory"))
        yield (Path(name) / RUN).read_bytes().replace(b"\n", b" ") + b"\n" + (Path(name) / OPERATORS).read_bytes()


def read_piece(data: bytes, folder: Path) -> str:
    """A finished piece of ``collect``, taken up again."""
    from perfmodel.collecting.journal import SUFFIX, Journal

    output = folder / "traces.parquet"
    written(folder, f"traces.parquet{SUFFIX}/piece-0.parquet", data)
    try:
        journal = Journal(output)
        assert math.isfinite(journal.seconds)
        for done in journal.done:
            done.rows()
    except PerfmodelError as error:
        return refused(error)
    return "result"


def piece_seeds() -> Iterable[bytes]:
    import pandas

    from perfmodel.collecting.journal import Journal

    with tempfile.TemporaryDirectory() as name:
        done = Journal(Path(name) / "t.parquet").add(
            "p", pandas.read_csv(io.BytesIO(TRACES)), {"seconds": 1.5, "size": "small"}
        )
        yield done.path.read_bytes()
    yield parquet_of(TRACES)


# ------------------------------------------------------------------------------------------------------------- training
def read_resumed(data: bytes, folder: Path) -> str:
    """A finished piece of a training: an archive of arrays beside its JSON."""
    from perfmodel.training.resume import Pieces

    for name in ("k.json", "k.npz"):
        (folder / name).unlink(missing_ok=True)
    first, _, rest = data.partition(b"\n")
    written(folder, "k.json", first)
    written(folder, "k.npz", rest)
    return "refused" if Pieces(folder).load("k") is None else "result"


def resume_seeds() -> Iterable[bytes]:
    import numpy as np

    out = io.BytesIO()
    np.savez(out, a=np.arange(12.0).reshape(3, 4), b=np.array(["x", "y"]))
    yield b'{"a": [1, 2.5], "b": {"c": null}}\n' + out.getvalue()


def read_nests(data: bytes, folder: Path) -> str:
    """Measurements of schedules that a tuner goes on with."""
    from perfmodel.integrations.nest_learner import NestLearner

    learner = NestLearner()
    try:
        learner.load(written(folder, "nests.json", data))
        for name in list(learner.workloads):
            learner.best(name)
            mean, deviation = learner.forecast(name, [])
            assert len(mean) == len(deviation) == 0
    except PerfmodelError as error:
        return refused(error)
    return "result"


def nest_seeds() -> Iterable[bytes]:
    workload = {"features": [[1.0, 2.0, 3.0], [2.0, 2.5, 3.5]], "prior_log_s": [-9.0, -8.5], "log_s": [-9.1, None]}
    yield json.dumps({"schema": 1, "workloads": {"mm": workload, "conv": workload}}).encode()


# ------------------------------------------------------------------------------------------------------------ data sets
def read_archive(data: bytes, folder: Path) -> str:
    """A downloaded archive, unpacked."""
    from perfmodel.datasets.cards import load_card
    from perfmodel.datasets.fetch import unpacked

    card = load_card("neusight")
    _, _, rest = data.partition(b"\n")
    path, into = written(folder, "archive.zip", rest), folder / "files"
    shutil.rmtree(into, ignore_errors=True)
    before = {p.name for p in folder.iterdir()}
    try:
        unpacked(path, into, ("**/*.csv", "*.txt"), card)
    except PerfmodelError as error:
        return refused(error)
    except (OSError, zipfile.BadZipFile):  # one line where a download is fetched
        return "refused"
    finally:
        assert {p.name for p in folder.iterdir()} <= before | {"files"}, "something was unpacked elsewhere"
    assert sum(p.stat().st_size for p in into.rglob("*")) < 2**30
    return "result"


def archive_seeds() -> Iterable[bytes]:
    for method in (zipfile.ZIP_STORED, zipfile.ZIP_DEFLATED):
        out = io.BytesIO()
        with zipfile.ZipFile(out, "w", method) as file:
            for name in ("top/a.csv", "top/sub/b.csv", "top/c.txt", "top/left-out.py"):
                file.writestr(name, "x,y\n1,2\n" * 20)
        yield b"{}\n" + out.getvalue()


@cache
def _layouts() -> dict[str, dict[str, bytes]]:
    """Of each public data set the files of a tiny copy."""
    import upstream_layouts

    found = {}
    for name, make in upstream_layouts.ALL.items():
        with tempfile.TemporaryDirectory() as folder:
            root = make(Path(folder))
            found[name] = {str(p.relative_to(root)): p.read_bytes() for p in sorted(root.rglob("*")) if p.is_file()}
    return found


def read_upstream(data: bytes, folder: Path) -> str:
    """One file of a data set is another: first line its set and path, a table of Parquet as CSV."""
    import pandas

    from perfmodel.datasets import load

    head, _, body = data.partition(b"\n")
    name, _, place = head.decode("utf-8", "replace").partition(" ")
    files = _layouts().get(name, {})
    if place not in files:
        return "refused"
    root = folder / name
    if not root.is_dir():
        for path, content in files.items():
            written(root, path, content)
    try:
        if place.endswith(".parquet"):
            try:
                body = parquet_of(body)
            except Exception:  # no table any more
                return "refused"
        written(root, place, body)
        table = load(name, root)
        assert isinstance(table, pandas.DataFrame)
    except PerfmodelError as error:
        return refused(error)
    finally:
        written(root, place, files[place])
    return "result"


def upstream_seeds() -> Iterable[bytes]:
    import pandas

    for name, files in _layouts().items():
        for place, content in files.items():
            if place.endswith(".parquet"):
                content = pandas.read_parquet(io.BytesIO(content)).to_csv(index=False).encode()
            yield f"{name} {place}\n".encode() + content


def upstream_damaged(data: bytes, rng: random.Random) -> bytes:
    """The file behind the first line is damaged, as its kind is."""
    head, _, body = data.partition(b"\n")
    damage = mutations.of_json if head.endswith(b".json") else mutations.of_table
    return head + b"\n" + damage(body, rng)


def behind_the_first_line(data: bytes, rng: random.Random) -> bytes:
    """An archive behind a line of JSON: both are damaged."""
    first, _, rest = data.partition(b"\n")
    if rng.random() < 0.3:
        return mutations.of_json(first, rng).replace(b"\n", b" ") + b"\n" + rest
    return first + b"\n" + mutations.of_zip(rest, rng)


def damaged_lines(data: bytes, rng: random.Random) -> bytes:
    """The first line, or one of the others, of a recording."""
    return mutations.of_json_lines(data, rng)
