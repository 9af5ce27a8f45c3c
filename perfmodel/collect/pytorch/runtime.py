"""What measuring needs of PyTorch: run an operator, wait, and time with events. Tests put a double in its place."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from importlib import import_module
from typing import Any, Protocol

from perfmodel.errors import InputError, PerfmodelError
from perfmodel.hardware.local_cpu import processor_name
from perfmodel.ops.base import Operator

Work = Callable[[], object]
"""One execution of an operator, begun when it returns."""
QUEUE_CYCLES = 2_000_000
"""Clocks that a GPU is first kept busy with nothing while the host queues work: a millisecond of most. So that events time
kernels and not the host that launches them; where the host takes longer, it is kept busy for longer."""
MOST_QUEUE_CYCLES = 100_000_000
"""A twentieth of a second."""
_QUEUE_TRIES = 4
MOST_QUEUED = 200
"""Launches that are queued at once: the queue of a stream holds about a thousand."""
GRAPH_EXECUTIONS = 100
"""Executions that one captured graph holds."""
USUAL_CACHE_BYTES = 512 * 2**20
"""What a cold execution writes: twice the largest last-level cache of a GPU (256 MB of an MI300X)."""


class UnsupportedError(Exception):
    """This PyTorch, or this device, does not run an operator; the message says why."""


class DeviceLostError(PerfmodelError):
    """The device answers nothing any more; what is asked of it says nothing of the operator."""


class Runtime(Protocol):
    """Runs operators on one device."""

    software: str
    """The stack, as in ``torch-2.9.0``."""
    device_name: str
    """Of the GPU, or of the processor."""
    threads: int | None
    """Processors that one operator may use; None on a GPU."""

    def prepare(self, op: Operator, seed: int) -> Work:
        """What runs an operator once, on inputs that it keeps.

        Raises:
            UnsupportedError: it cannot run here.
            MemoryError: the inputs do not fit.
        """

    def seconds(self, work: Work, executions: int, *, cold: bool) -> float:
        """Mean seconds of one of some executions in a row; ``cold``: with the caches driven out before each. Raises as
        :meth:`prepare`."""

    def repeat(self, work: Work, executions: int) -> None:
        """Some executions that nobody times, and wait for them. Raises as :meth:`prepare`: errors of a GPU come late."""

    def loop(self, work: Work, executions: int) -> Loop:
        """Many executions at once that keep the device busy, for a meter. Raises as :meth:`prepare`."""

    def release(self) -> None:
        """Give back the memory of what was prepared before."""


@dataclass(frozen=True)
class Loop:
    """Executions that run as one.

    Attributes:
        run: runs them, and waits.
        executions: how many they are.
        busy: whether the device goes from one to the next by itself; False: the host launches each, and may be late.
    """

    run: Callable[[], object]
    executions: int
    busy: bool


class TorchRuntime:
    """PyTorch on one of its devices.

    Args:
        device: ``cuda``, ``cuda:1`` (ROCm's GPUs, too), ``cpu``.
        torch: the module; None: that one.
        cache_bytes: what a cold execution writes before it begins, to drive the last-level cache out.

    Everything raises :class:`DeviceLostError` once the device answers nothing any more.

    Raises:
        PerfmodelError: PyTorch is not installed, or cannot be loaded.
        InputError: it sees no such device.
    """

    def __init__(self, device: str = "cuda", torch: Any = None, cache_bytes: int = USUAL_CACHE_BYTES) -> None:
        self.torch: Any = import_torch() if torch is None else torch
        self._gpu = device.startswith("cuda")
        if self._gpu and not self.torch.cuda.is_available():
            raise InputError(
                "PyTorch sees no GPU: wanted a build with CUDA or ROCm, and its driver; --on cpu runs on processors"
            )
        try:
            self.device: Any = self.torch.device(device)
            count = self.torch.cuda.device_count() if self._gpu else 1
        except RuntimeError as problem:
            raise InputError(f"PyTorch has no device {device!r}: {_line(problem)}") from None
        if self._gpu and (self.device.index or 0) >= count:
            raise InputError(f"PyTorch has no device {device!r}; it sees {count}, counted from 0")
        self.software: str = f"torch-{str(self.torch.__version__).partition('+')[0]}"
        self.device_name: str = str(self.torch.cuda.get_device_name(self.device)) if self._gpu else processor_name()
        self.threads: int | None = None if self._gpu else int(self.torch.get_num_threads())
        self._cache_bytes = cache_bytes
        self._scratch: Any = None
        self._queue_cycles = QUEUE_CYCLES
        if self._gpu:
            # Events are recorded on the current device's stream, whatever device the work runs on.
            self.torch.cuda.set_device(self.device.index or 0)
        # Products of fp32 operands are fp32, and of tf32 ones what the matrix units make of them: operators say which.
        self.torch.backends.cuda.matmul.allow_tf32 = False
        self.torch.backends.cudnn.allow_tf32 = False
        self.torch.backends.cudnn.benchmark = True

    def prepare(self, op: Operator, seed: int) -> Work:
        """As :meth:`Runtime.prepare`; nothing is kept for gradients."""
        from perfmodel.collect.pytorch.operators import build

        with self._understood():
            generator = self.torch.Generator(device=self.device)
            generator.manual_seed(seed)
            with self.torch.inference_mode():
                work = build(self.torch, op, self.device, generator)

                def run() -> object:
                    with self.torch.inference_mode():
                        return work()

                run()
                self._wait()
        return run

    @contextmanager
    def _understood(self) -> Iterator[None]:
        """PyTorch's errors as those of :meth:`Runtime.prepare`."""
        try:
            yield
        except RuntimeError as problem:  # PyTorch raises it, and its OutOfMemoryError is one, for all that it cannot do
            said = str(problem).lower()
            if any(part in said for part in ("out of memory", "not enough memory", "alloc_failed")):
                raise MemoryError(_line(problem)) from None
            self._check_alive(problem)
            raise UnsupportedError(_line(problem)) from None
        except (AttributeError, NotImplementedError, TypeError) as problem:
            # A version of PyTorch without this dtype, function or argument, and a kernel that it lacks on this device.
            raise UnsupportedError(_line(problem)) from None

    def _check_alive(self, problem: RuntimeError) -> None:
        """After a wrong access or a hardware error every further call to a GPU fails, until the process ends."""
        if not self._gpu:
            return
        try:
            self.torch.ones(1, device=self.device)
            self._wait()
        except RuntimeError:
            raise DeviceLostError(
                f"the GPU answers nothing any more ({_line(problem)}); what was finished is kept, and the same command goes on"
            ) from None

    def seconds(self, work: Work, executions: int, *, cold: bool) -> float:
        """As :meth:`Runtime.seconds`: by events on a GPU, by the clock on a processor."""
        with self._understood():
            if not self._gpu:
                return self._on_processor(work, executions, cold=cold)
            return self._by_events(work, executions, cold=cold)

    def _by_events(self, work: Work, executions: int, *, cold: bool) -> float:
        cuda = self.torch.cuda
        if cold:
            pairs = []
            for _ in range(executions):
                self._drive_out()
                begin, end = cuda.Event(enable_timing=True), cuda.Event(enable_timing=True)
                begin.record()
                work()
                end.record()
                pairs.append((begin, end))
            self._wait()
            return sum(float(begin.elapsed_time(end)) for begin, end in pairs) / executions * 1e-3
        for _ in range(_QUEUE_TRIES):
            asleep, begin, end = (cuda.Event(enable_timing=True) for _ in range(3))
            can_sleep = hasattr(cuda, "_sleep")
            asleep.record()
            if can_sleep:
                cuda._sleep(self._queue_cycles)
            begin.record()
            host = time.perf_counter()
            for _ in range(executions):
                work()
            end.record()
            queued_s = time.perf_counter() - host
            self._wait()
            slept_s = float(asleep.elapsed_time(begin)) * 1e-3
            # Awake before all was queued: the time is the host's. How long a clock is differs from GPU to GPU.
            if slept_s >= queued_s or not can_sleep or self._queue_cycles >= MOST_QUEUE_CYCLES:
                # A host that was held up once is quick again: no further sample sleeps as long.
                needed = int(self._queue_cycles * 2 * queued_s / max(slept_s, 1e-6))
                self._queue_cycles = max(QUEUE_CYCLES, min(self._queue_cycles, needed))
                break
            longer = 1.5 * queued_s / max(slept_s, 1e-6)
            self._queue_cycles = int(min(self._queue_cycles * max(longer, 1.5), MOST_QUEUE_CYCLES))
        return float(begin.elapsed_time(end)) / executions * 1e-3

    def _on_processor(self, work: Work, executions: int, *, cold: bool) -> float:
        total = 0.0
        for _ in range(executions if cold else 1):
            if cold:
                self._drive_out()
            begin = time.perf_counter()
            for _ in range(1 if cold else executions):
                work()
            total += time.perf_counter() - begin
        return total / executions

    def repeat(self, work: Work, executions: int) -> None:
        """As :meth:`Runtime.repeat`."""
        with self._understood():
            for _ in range(executions):
                work()
            self._wait()

    def loop(self, work: Work, executions: int) -> Loop:
        """As :meth:`Runtime.loop`: on a GPU a graph, where PyTorch can capture the work, replayed as often as is needed."""
        if not self._gpu:
            return Loop(lambda: self.repeat(work, executions), executions, True)
        held = min(executions, GRAPH_EXECUTIONS)
        replays = -(-executions // held)
        try:
            with self._understood():
                graph = self._captured(work, held)
        except UnsupportedError:
            return Loop(lambda: self.repeat(work, executions), executions, False)
        return Loop(lambda: self.repeat(graph.replay, replays), held * replays, True)

    def _captured(self, work: Work, executions: int) -> Any:
        """A graph of some executions. What they allocate is the graph's own, and each gives it back to the next."""
        cuda = self.torch.cuda
        self._wait()
        graph = cuda.CUDAGraph()
        with cuda.graph(graph):
            for _ in range(executions):
                work()
        graph.replay()
        self._wait()
        return graph

    def _wait(self) -> None:
        if self._gpu:
            self.torch.cuda.synchronize(self.device)

    def release(self) -> None:
        """As :meth:`Runtime.release`."""
        if self._gpu:
            self.torch.cuda.empty_cache()

    def _drive_out(self) -> None:
        if self._scratch is None:
            self._scratch = self.torch.empty(self._cache_bytes, dtype=self.torch.int8, device=self.device)
        self._scratch.zero_()


def import_torch() -> Any:
    """The module torch.

    Raises:
        PerfmodelError: it is not installed, or cannot be loaded.
    """
    try:
        return import_module("torch")
    except ModuleNotFoundError:
        raise PerfmodelError(
            "measuring operators needs PyTorch, which is not installed: pip install torch, in the build for your device"
        ) from None
    except (ImportError, OSError) as problem:  # a build for another CUDA fails while its libraries are loaded
        raise PerfmodelError(f"PyTorch cannot be loaded: {_line(problem)}") from None


def _line(problem: Exception) -> str:
    return " ".join(str(problem).split())[:200] or type(problem).__name__
