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
import time
from collections.abc import Mapping
from importlib import import_module
from pathlib import Path
from typing import Any

from perfmodel.collect.kernels import Profile
from perfmodel.collect.onnxruntime_profile import read_profile
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
    """

    name = "onnxruntime-cpu"

    def __init__(self, threads: int = 1, seconds: float = 0.5, warm_up: int = 3) -> None:
        if threads < 1 or warm_up < 0 or not seconds > 0:
            raise InputError(f"wanted threads >= 1, warm_up >= 0, seconds > 0; got {threads}, {warm_up}, {seconds}")
        self.threads, self.seconds, self.warm_up = threads, seconds, warm_up

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
        before = self._timed(model, plain, feeds, runs)
        # The saved graph is what is profiled, so that names of nodes are those of the file.
        profiled = self._session(runtime, model, profile=folder / "profile")
        self._timed(model, profiled, feeds, self.warm_up + runs)
        written = Path(profiled.end_profiling())
        after = self._timed(model, plain, feeds, runs)
        written.replace(folder / PROFILE)
        record = {
            "format": FORMAT,
            "version": VERSION,
            "model": model.stem,
            "software": f"onnxruntime-{runtime.__version__}",
            "threads": self.threads,
            "warm_up": self.warm_up,
            "dims": dict(dims),
            "seed": seed,
            "before_s": before,
            "after_s": after,
        }
        # Last of all: a folder without it holds a recording that was cut short.
        write_whole(folder / RUN, (json.dumps(record, indent=1) + "\n").encode())
        return self.replay(folder)

    def replay(self, folder: Path) -> Profile:
        """The profile of a recording, not yet corrected for the profiler.

        Raises:
            TraceError: the folder holds none, or a damaged one.
        """
        record = read_run(folder)
        kernels, total, events = read_profile(Path(folder) / PROFILE, warm_up=record["warm_up"])
        return Profile(
            model=record["model"],
            software=record["software"],
            kernels=kernels,
            sum_s=total,
            events=events,
            before_s=tuple(record["before_s"]),
            after_s=tuple(record["after_s"]),
            threads=record["threads"],
        )

    def _session(self, runtime: Any, model: Path, *, graph: Path | None = None, profile: Path | None = None) -> Any:
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
            return runtime.InferenceSession(str(model), options, providers=["CPUExecutionProvider"])
        except Exception as error:  # the runtime raises a class for each of its states
            raise ModelFileError(f"{model}: onnxruntime cannot load it: {_line(error)}") from None

    def _timed(self, model: Path, session: Any, feeds: Mapping[str, Any], runs: int) -> list[float]:
        seconds = []
        for _ in range(runs):
            begin = time.perf_counter()
            _run(model, session, feeds)
            seconds.append(time.perf_counter() - begin)
        return seconds


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
        dims: numbers for symbolic dimensions; dimensions without a name are asked for as ``<input>_<axis>``.
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
            name = dim or f"{item.name}_{axis}"
            if name not in dims:
                missing.append(name)
            shape.append(dims.get(name, 1))
        kind = _ELEMENTS.get(item.type)
        if kind is None:
            raise ModelFileError(f"input {item.name!r} is a {item.type}; wanted a tensor of numbers or flags")
        if kind.startswith("float"):
            feeds[item.name] = rng.standard_normal(shape).astype(kind)
        else:
            feeds[item.name] = rng.integers(0, 2, shape).astype(kind)
    if missing:
        names = tuple(dict.fromkeys(missing))
        raise UnboundDimensionError(f"the model has the open dimensions {', '.join(names)}: give each a number", names)
    return feeds


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
