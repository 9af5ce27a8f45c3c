"""The kernels of an ONNX model on this machine's processors, by ONNX Runtime (extra ``perfmodel[collect]``).

The runtime fuses operators and changes layouts before it runs anything, so that the graph that it saves is kept with the
profile: that is what the times belong to. The model runs without the profiler before and after, and a profile during
which that time moved is marked. A recording is a folder of three files:

``run.json``
    model, software, threads, dims, runs, and the seconds of every unprofiled run
``profile.json``
    ONNX Runtime's profile, the runs that warm up included
``optimised.onnx``
    the graph that ran
"""

from __future__ import annotations

import json
import math
import re
import time
from collections.abc import Mapping
from importlib import import_module
from pathlib import Path
from typing import Any

from perfmodel.collect.kernels import Profile
from perfmodel.collect.onnxruntime_profile import read_profile
from perfmodel.collect.pace import CHUNK_S, CHUNKS, PaceMaker, typical
from perfmodel.errors import InputError, MissingExtraError, ModelFileError, TraceError, UnboundDimensionError
from perfmodel.files import write_whole

FORMAT, VERSION = "perfmodel-onnxruntime-run", 1
RUN, PROFILE, GRAPH = "run.json", "profile.json", "optimised.onnx"
LEAST_RUNS, MOST_RUNS = 5, 200


class OnnxRuntimeCpu:
    """ONNX Runtime's CPU kernels.

    Args:
        threads: processors that one kernel may use; times of more than one scatter.
        seconds: about how long each of the three parts (before, profiled, after) runs.
        warm_up: runs before anything is timed.
        pace: work between the runs that tells how fast the machine was meanwhile; None: none.
    """

    name = "onnxruntime-cpu"

    def __init__(self, threads: int = 1, seconds: float = 0.5, warm_up: int = 3, pace: PaceMaker | None = None) -> None:
        if threads < 1 or warm_up < 0 or not seconds > 0:
            raise InputError(f"wanted threads >= 1, warm_up >= 0, seconds > 0; got {threads}, {warm_up}, {seconds}")
        self.threads: int = threads
        self.seconds: float = seconds
        self.warm_up: int = warm_up
        self.pace: PaceMaker | None = pace

    def why_not(self) -> str | None:
        """Whether onnxruntime is missing."""
        try:
            _runtime()
        except MissingExtraError as problem:
            return str(problem)
        return None

    def collect(self, model: Path, folder: Path, *, dims: Mapping[str, int], seed: int = 0) -> Profile:
        """Run a model and keep the recording in a folder.

        Raises:
            MissingExtraError: onnxruntime is not installed.
            ModelFileError: the runtime cannot load or run it.
            UnboundDimensionError: a symbolic dimension has no number.
        """
        runtime = _runtime()
        model, folder = Path(model), Path(folder)
        folder.mkdir(parents=True, exist_ok=True)
        plain = self._session(runtime, model, graph=folder / GRAPH)
        feeds = random_inputs(plain.get_inputs(), dims, seed)
        _run(model, plain, feeds)  # the first run allocates
        once = self._timed(model, plain, feeds, max(self.warm_up, 1))[-1]
        runs = min(max(LEAST_RUNS, math.ceil(self.seconds / max(once, 1e-6))), MOST_RUNS)
        if self.pace is not None:
            self.pace.reset()
        before = self._timed(model, plain, feeds, runs)
        # The saved graph is what is profiled, so that names of nodes are those of the file.
        profiled = self._session(runtime, model, profile=folder / "profile")
        self._timed(model, profiled, feeds, self.warm_up + runs)
        written = Path(profiled.end_profiling())
        after = self._timed(model, plain, feeds, runs)
        written.replace(folder / PROFILE)
        return self._recorded(folder, model.stem, self.warm_up, dims, seed, before, after)

    def collect_once(
        self, model: bytes, name: str, folder: Path, *, dims: Mapping[str, int] | None = None, seed: int = 0
    ) -> Profile:
        """Like :meth:`collect` in half the time, for models that nobody keeps: one session, which is profiled first, and
        whose runs without the profiler follow. What moved between their halves marks the profile.

        Args:
            model: the serialised model.
            name: what it is called.
            folder, dims, seed: as of :meth:`collect`.

        Raises:
            MissingExtraError, ModelFileError, UnboundDimensionError: as :meth:`collect`.
        """
        runtime = _runtime()
        folder, label = Path(folder), Path(name)
        folder.mkdir(parents=True, exist_ok=True)
        session = self._session(runtime, model, graph=folder / GRAPH, profile=folder / "profile", label=name)
        feeds = random_inputs(session.get_inputs(), dims or {}, seed)
        _run(label, session, feeds)  # the first run allocates
        begin = time.perf_counter()
        first = self._timed(label, session, feeds, self.warm_up)
        once = first[-1] if first else time.perf_counter() - begin
        runs = min(max(LEAST_RUNS, math.ceil(self.seconds / max(once, 1e-6))), MOST_RUNS)
        if self.pace is not None:
            self.pace.reset()
        self._timed(label, session, feeds, runs)
        written = Path(session.end_profiling())
        _run(label, session, feeds)
        after = self._timed(label, session, feeds, 2 * ((runs + 1) // 2))
        written.replace(folder / PROFILE)
        half = len(after) // 2
        return self._recorded(folder, name, 1 + self.warm_up, dims or {}, seed, after[:half], after[half:])

    def _recorded(
        self,
        folder: Path,
        name: str,
        warm_up: int,
        dims: Mapping[str, int],
        seed: int,
        before: list[float],
        after: list[float],
    ) -> Profile:
        record = {
            "format": FORMAT,
            "version": VERSION,
            "model": name,
            "software": f"onnxruntime-{_runtime().__version__}",
            "threads": self.threads,
            "warm_up": warm_up,
            "dims": dict(dims),
            "seed": seed,
            "before_s": before,
            "after_s": after,
        }
        if self.pace is not None and (found := typical(self.pace.reset())) is not None:
            record["pace_s"] = list(found)
        # Last of all: a folder without it holds a recording that was cut short.
        write_whole(folder / RUN, (json.dumps(record, indent=1) + "\n").encode())
        return self.replay(folder)

    def optimise(self, model: Path, target: Path) -> None:
        """Writes the graph that the runtime makes of a model, which is what runs.

        Raises:
            MissingExtraError: onnxruntime is not installed.
            ModelFileError: the runtime cannot load it: its weights are missing, say.
        """
        self._session(_runtime(), Path(model), graph=Path(target))

    def replay(self, folder: Path) -> Profile:
        """The profile of a recording, not yet corrected for the profiler.

        Raises:
            TraceError: the folder holds none, or a damaged one.
        """
        record = read_run(folder)
        kernels, total, events = read_profile(
            Path(folder) / PROFILE, warm_up=record["warm_up"], copies=copies_of(Path(folder) / GRAPH)
        )
        return Profile(
            model=record["model"],
            software=record["software"],
            kernels=kernels,
            sum_s=total,
            events=events,
            before_s=tuple(record["before_s"]),
            after_s=tuple(record["after_s"]),
            threads=record["threads"],
            pace_s=None if record.get("pace_s") is None else tuple(record["pace_s"]),
        )

    def _session(
        self,
        runtime: Any,
        model: Path | bytes,
        *,
        graph: Path | None = None,
        profile: Path | None = None,
        label: str = "",
    ) -> Any:
        options = runtime.SessionOptions()
        options.intra_op_num_threads = self.threads
        options.inter_op_num_threads = 1
        options.log_severity_level = 3
        if graph is not None:
            options.optimized_model_filepath = str(graph)
        if profile is not None:
            options.enable_profiling = True
            options.profile_file_prefix = str(profile)
        try:
            given = model if isinstance(model, bytes) else str(model)
            return runtime.InferenceSession(given, options, providers=["CPUExecutionProvider"])
        except Exception as error:  # the runtime raises a class for each of its states
            raise ModelFileError(f"{label or str(model)}: onnxruntime cannot load it: {_line(error)}") from None

    def _timed(self, model: Path, session: Any, feeds: Mapping[str, Any], runs: int) -> list[float]:
        seconds: list[float] = []
        chunk, since = math.ceil(runs / CHUNKS), 0.0
        for number in range(1, runs + 1):
            begin = time.perf_counter()
            _run(model, session, feeds)
            seconds.append(time.perf_counter() - begin)
            since += seconds[-1]
            if self.pace is not None and number % chunk == 0:
                self.pace(CHUNK_S - since)
                since = 0.0
        return seconds


def copies_of(graph: Path) -> dict[tuple[str, str], int]:
    """How often a name and operator occur in a saved graph, where that is more than once."""
    import onnx

    counts: dict[tuple[str, str], int] = {}
    if graph.is_file():
        for node in onnx.load(str(graph), load_external_data=False).graph.node:
            if node.name:
                counts[node.name, node.op_type] = counts.get((node.name, node.op_type), 0) + 1
    return {key: count for key, count in counts.items() if count > 1}


def read_run(folder: Path) -> dict[str, Any]:
    """The file ``run.json`` of a recording, checked.

    Raises:
        TraceError: it is missing, or not what was written.
    """
    path = Path(folder) / RUN
    try:
        record = json.loads(path.read_text(encoding="utf-8"))
    except OSError:
        raise TraceError(f"{folder} holds no complete recording: there is no {RUN}") from None
    except (ValueError, RecursionError):
        raise TraceError(f"{path} is no JSON") from None
    if not isinstance(record, dict) or record.get("format") != FORMAT or record.get("version") != VERSION:
        raise TraceError(f"{path} is no recording of version {VERSION}")
    times = [seconds for group in ("before_s", "after_s") for seconds in _list(record.get(group))]
    good = (
        all(isinstance(record.get(k), str) for k in ("model", "software"))
        and all(isinstance(record.get(k), int) and record[k] >= 0 for k in ("threads", "warm_up"))
        and all(isinstance(t, float) and math.isfinite(t) and t > 0 for t in times)
        and isinstance(record.get("dims"), dict)
        and all(isinstance(t, float) and math.isfinite(t) and t > 0 for t in _list(record.get("pace_s", [])))
    )
    if not good:
        raise TraceError(f"{path}: wanted model, software, threads, warm_up, dims, and positive before_s and after_s")
    return record


def _list(value: Any) -> list[Any]:
    """What is no list is a list of something that is no time."""
    return value if isinstance(value, list) else [None]


_ELEMENTS = {
    "tensor(float)": "float32", "tensor(double)": "float64", "tensor(float16)": "float16", "tensor(int64)": "int64",
    "tensor(int32)": "int32", "tensor(int16)": "int16", "tensor(int8)": "int8", "tensor(uint8)": "uint8",
    "tensor(uint16)": "uint16", "tensor(uint32)": "uint32", "tensor(uint64)": "uint64", "tensor(bool)": "bool",
}  # fmt: skip


def random_inputs(inputs: Any, dims: Mapping[str, int], seed: int) -> dict[str, Any]:
    """Values for a session's inputs: standard normal numbers; whole ones and flags are 0 or 1, which any table holds.

    Args:
        inputs: what ``get_inputs`` gives: each has ``name``, ``type``, ``shape``.
        dims: numbers for symbolic dimensions, by any of their names (:func:`dimension_names`).
        seed: of the values.

    Raises:
        UnboundDimensionError: dimensions have no number.
        ModelFileError: an input of another kind (a text, a sequence).
    """
    import numpy as np

    rng = np.random.default_rng(seed)
    feeds, missing = {}, []
    for item in inputs:
        shape = []
        for axis, dim in enumerate(item.shape):
            if isinstance(dim, int):
                shape.append(dim)
                continue
            names = dimension_names(item.name, axis, dim)
            found = [dims[name] for name in names if name in dims]
            if not found:
                missing.append(names[0])
            shape.append(found[0] if found else 1)
        kind = _ELEMENTS.get(item.type)
        if kind is None:
            raise ModelFileError(f"input {item.name!r} is a {item.type}; wanted a tensor of numbers or flags")
        if kind.startswith("float"):
            feeds[item.name] = rng.standard_normal(shape).astype(kind)
        else:
            feeds[item.name] = rng.integers(0, 2, shape).astype(kind)
    if missing:
        names = tuple(dict.fromkeys(missing))
        raise UnboundDimensionError(
            f"the model has the open dimensions {', '.join(names)}: give each a number (--dim {names[0]}=1)", names
        )
    return feeds


def dimension_names(tensor: str, axis: int, dim: str | None) -> tuple[str, ...]:
    """What a symbolic dimension of an input may be called: as the file has it, with letters, digits and underscores alone
    (as the reader asks for it), and by its input and axis, which is all that an unnamed one has. ``?`` is no name: several
    dimensions that have nothing to do with each other bear it."""
    by_place = re.sub(r"\W", "_", f"{tensor}_{axis}")
    if dim and not re.search(r"\w", dim):
        dim = None
    return tuple(dict.fromkeys([dim, re.sub(r"\W", "_", dim), by_place] if dim else [by_place, f"{tensor}_{axis}"]))


def _run(model: Path, session: Any, feeds: Mapping[str, Any]) -> None:
    try:
        session.run(None, feeds)
    except Exception as error:
        raise ModelFileError(f"{model}: onnxruntime cannot run it: {_line(error)}") from None


def _runtime() -> Any:
    try:
        return import_module("onnxruntime")
    except ImportError:
        raise MissingExtraError("onnxruntime", "collect", "running a model") from None


def _line(error: Exception) -> str:
    return " ".join(str(error).split())[:300] or type(error).__name__
