"""One model measured: rows of its kernels as the profiler saw them, and what is known of the run.

Rows keep the profiler's times; what it adds to an event is found from all pieces together, and taken off when the table is
made (:func:`perfmodel.collecting.session.table_of`).
"""

from __future__ import annotations

import re
import shutil
import tempfile
import time
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from statistics import median
from typing import TYPE_CHECKING, Any

from perfmodel.collect.anchor import Anchor, AnchorTimes
from perfmodel.collect.kernels import EventCost, Profile
from perfmodel.collect.onnxruntime_cpu import GRAPH, OnnxRuntimeCpu, dimension_names
from perfmodel.profiled import operator_traces

if TYPE_CHECKING:
    import pandas as pd

DRIFT = 0.03
"""By how much the anchor may differ before and after a piece that bears no note of it."""
UNSTABLE = 0.15
"""By how much two halves of the runs without the profiler may differ; beyond that a piece is no measurement. Machines that are
shared move by several percent from one second to the next, which the pace between the runs takes out (``pace``)."""
_ANCHOR_REPEATS = 3


@dataclass(frozen=True)
class Measured:
    """A model that was measured.

    Attributes:
        rows: operator traces; ``latency_s`` holds the profiler's share.
        about: ``run_s`` (median without the profiler), ``sum_s``, ``events`` and ``views`` of a run, ``left_out_s``,
            ``moved``, ``drift`` (of the anchor's product and copy), ``anchor_s``, ``pace_s``, ``status``, ``note``,
            ``seconds``.
    """

    rows: pd.DataFrame
    about: dict[str, Any]

    @property
    def status(self) -> str:
        """``ok``, or why its times are no measurement."""
        return str(self.about["status"])


class Bench:
    """Measures models one after the other, each between two times of the anchor.

    Args:
        runtime: the collector.
        device: id of the device, for the rows.
        anchor: the work that tells drift; None leaves drift unknown.
        recordings: a folder that keeps what was recorded of each piece (graphs without weights), for replay; None: nothing.
    """

    def __init__(
        self, runtime: OnnxRuntimeCpu, device: str, anchor: Anchor | None, recordings: Path | None = None
    ) -> None:
        self.runtime: OnnxRuntimeCpu = runtime
        self.device: str = device
        self.anchor: Anchor | None = anchor
        self.recordings: Path | None = recordings
        self._last: AnchorTimes | None = None

    def measure(
        self, model: bytes | Path, name: str, *, dims: Mapping[str, int] | None = None, seed: int = 0
    ) -> Measured:
        """A model, once.

        Args:
            model: a file, which is measured thoroughly; or a serialised model, which is measured in half the time.
            name: what the rows bear as ``collection``.
            dims, seed: as of :meth:`perfmodel.collect.onnxruntime_cpu.OnnxRuntimeCpu.collect`.

        Raises:
            PerfmodelError: it cannot be run or read.
        """
        begin = time.perf_counter()
        before = self._last or self._times()
        folder = Path(tempfile.mkdtemp(prefix="perfmodel-", dir=_memory_folder()))
        try:
            if isinstance(model, bytes):
                profile = self.runtime.collect_once(model, name, folder, dims=dims, seed=seed)
            else:
                profile = self.runtime.collect(model, folder, dims=dims or {}, seed=seed)
            self._last = after = self._times()
            without_weights(folder / GRAPH)
            rows, about = self._rows(profile, folder / GRAPH, name, dims)
            if self.recordings is not None:
                shutil.copytree(folder, self.recordings / name, dirs_exist_ok=True)
        finally:
            shutil.rmtree(folder, ignore_errors=True)
        moved, note = profile.moved, None
        status = (
            "ok" if moved is None or abs(moved) <= UNSTABLE else f"the unprofiled time moved by {moved:+.1%} meanwhile"
        )
        if before is not None and after is not None:
            change = after.slower_than(before)
            about["drift"] = [change.gemm_s - 1, change.copy_s - 1]
            about["anchor_s"] = [median(part) for part in zip(before, after, strict=True)]
            if abs(change.gemm_s - 1) > DRIFT:
                note = f"the anchor moved by {change.gemm_s - 1:+.1%} while the model was measured"
        seconds = time.perf_counter() - begin
        about |= {"status": status, "note": note, "seconds": seconds, "at": time.time()}
        return Measured(rows.assign(status=status, note=note), about)

    def _times(self) -> AnchorTimes | None:
        return None if self.anchor is None else self.anchor.times(_ANCHOR_REPEATS)

    def _rows(
        self, profile: Profile, graph: Path, name: str, dims: Mapping[str, int] | None
    ) -> tuple[pd.DataFrame, dict[str, Any]]:
        traced = operator_traces(
            profile, graph, self.device, dims=dims_of_inputs(graph, dims or {}), cost=EventCost(per_event_s=0.0)
        )
        views = sum(1 for _, reason, _ in traced.left_out if reason.endswith("is view"))
        about = {
            "run_s": profile.unprofiled_s,
            "sum_s": profile.sum_s,
            "events": profile.events,
            "views": views,
            "left_out_s": sum(s for _, reason, s in traced.left_out if not reason.endswith("is view")),
            "moved": profile.moved,
            "pace_s": None if profile.pace_s is None else list(profile.pace_s),
            "software": profile.software,
            "threads": profile.threads,
        }
        return traced.table.assign(collection=name), about


def without_weights(path: Path) -> None:
    """Takes the weights out of a saved graph: what is read of it are shapes, and constants of a few elements."""
    import onnx

    from perfmodel.features.onnx.external import MAX_CONSTANT_ELEMENTS

    model = onnx.load(str(path), load_external_data=False)
    for tensor in model.graph.initializer:
        elements = 1
        for dim in tensor.dims:
            elements *= dim
        if elements > MAX_CONSTANT_ELEMENTS:
            for field in ("raw_data", "float_data", "int32_data", "int64_data", "double_data", "uint64_data"):
                tensor.ClearField(field)
            del tensor.external_data[:]
            tensor.data_location = onnx.TensorProto.EXTERNAL
            entry = tensor.external_data.add()
            entry.key, entry.value = "location", "weights-left-out"
    path.write_bytes(model.SerializeToString())


def dims_of_inputs(graph: Path, dims: Mapping[str, int]) -> dict[str, int]:
    """The numbers of a saved graph's own symbolic dimensions, under the names that the reader asks for; others are of no
    dimension of this model."""
    import onnx

    if not dims:
        return {}
    found = {}
    for item in onnx.load(str(graph), load_external_data=False).graph.input:
        for axis, dim in enumerate(item.type.tensor_type.shape.dim):
            if not dim.HasField("dim_value"):
                names = dimension_names(item.name, axis, dim.dim_param)
                number = next((dims[n] for n in names if n in dims), None)
                if number is not None:
                    found[re.sub(r"\W", "_", names[0])] = number
    return found


def _memory_folder() -> str | None:
    """A folder in memory where there is one: recordings of a second are read once and thrown away."""
    folder = Path("/dev/shm")
    return str(folder) if folder.is_dir() and shutil.disk_usage(folder).free > 4 * 2**30 else None
