"""PyTorch on a GPU, by a double of the module: a stream that runs behind the host, events, and errors that come late."""

from __future__ import annotations

import contextlib
from types import SimpleNamespace
from typing import Any

import pytest

from perfmodel.collect.pytorch import runtime as runtime_module
from perfmodel.collect.pytorch.measuring import Settings, measure_operator
from perfmodel.collect.pytorch.operators import _Inputs
from perfmodel.collect.pytorch.runtime import DeviceLostError, TorchRuntime, UnsupportedError
from perfmodel.ops import Gemm

US = 1e-6


class FakeGpu:
    """The host's clock and the stream of each device; the stream runs what was queued when it was queued."""

    def __init__(self, hip: str | None = None, capability: tuple[int, int] = (9, 0), cycles_per_s: float = 2e9) -> None:
        self.host = 0.0
        self.busy_until = {0: 0.0, 1: 0.0}
        self.current = 0
        self.lost = False
        self.sleeps: list[int] = []
        self.written: list[int] = []
        self.capturing: list[float] | None = None
        self.captured: list[list[float]] = []
        gpu = self

        class Captured:
            def replay(self) -> None:
                gpu.host += 5 * US
                for seconds in gpu.captured[-1]:
                    gpu.launch(seconds)

        @contextlib.contextmanager
        def graph(_: Any) -> Any:
            self.capturing = []
            try:
                yield
                self.captured.append(self.capturing)
            finally:
                self.capturing = None

        class Event:
            def __init__(self, enable_timing: bool) -> None:
                assert enable_timing

            def record(self) -> None:  # on the current device's stream
                self.at = max(gpu.busy_until[gpu.current], gpu.host)

            def elapsed_time(self, other: Event) -> float:
                return 1e3 * (other.at - self.at)

        def sleep(cycles: int) -> None:
            self.sleeps.append(cycles)
            self.launch(cycles / cycles_per_s)

        def synchronise(device: Any) -> None:
            self.check()
            self.host = max(self.host, self.busy_until[device.index or 0])

        def device(name: str) -> Any:
            kind, _, index = name.partition(":")
            return SimpleNamespace(type=kind, index=int(index) if index else None)

        def scratch(size: int, **_: Any) -> Any:
            self.written.append(size)
            return SimpleNamespace(zero_=lambda: self.launch(1e-4))

        generator = SimpleNamespace(manual_seed=lambda seed: None)
        self.torch = SimpleNamespace(
            __version__="2.9.0+cu130", device=device, Generator=lambda device: generator, inference_mode=contextlib.nullcontext,
            ones=lambda *_, **__: self.check(), empty=scratch, int8="int8", float8_e4m3fn="e4m3fn",
            float8_e4m3fnuz="e4m3fnuz", version=SimpleNamespace(hip=hip),
            backends=SimpleNamespace(
                cuda=SimpleNamespace(matmul=SimpleNamespace(allow_tf32=True)),
                cudnn=SimpleNamespace(allow_tf32=True, benchmark=False),
            ),
            cuda=SimpleNamespace(
                is_available=lambda: True, device_count=lambda: 2, get_device_name=lambda device: "Made-up GPU",
                set_device=lambda index: setattr(self, "current", index), Event=Event, _sleep=sleep,
                CUDAGraph=Captured, graph=graph,
                synchronize=synchronise, empty_cache=lambda: None, get_device_capability=lambda device: capability,
                get_device_properties=lambda device: SimpleNamespace(gcnArchName="gfx942:sramecc+:xnack-"),
            ),
        )  # fmt: skip

    def launch(self, seconds: float) -> None:
        if self.capturing is not None:
            self.capturing.append(seconds)
            return
        self.busy_until[self.current] = max(self.busy_until[self.current], self.host) + seconds

    def check(self) -> None:
        if self.lost:
            raise RuntimeError("CUDA error: an illegal memory access was encountered")

    def kernel(self, host_s: float, device_s: float) -> Any:
        def work() -> None:
            self.host += host_s
            self.launch(device_s)

        return work


@pytest.fixture
def host_clock(monkeypatch: pytest.MonkeyPatch) -> Any:
    def of(gpu: FakeGpu) -> TorchRuntime:
        monkeypatch.setattr(runtime_module.time, "perf_counter", lambda: gpu.host)
        return TorchRuntime("cuda", gpu.torch)

    return of


def test_events_time_kernels_and_not_the_host(host_clock: Any) -> None:
    gpu = FakeGpu()
    runtime = host_clock(gpu)
    # 200 launches of 20 us each are 4 ms of the host: a sleep of a millisecond would end amid them.
    assert runtime.seconds(gpu.kernel(20 * US, 3 * US), 200, cold=False) == pytest.approx(3 * US)
    assert len(gpu.sleeps) > 1
    again = len(gpu.sleeps)
    assert runtime.seconds(gpu.kernel(20 * US, 3 * US), 200, cold=False) == pytest.approx(3 * US)
    assert len(gpu.sleeps) == again + 1  # it knows by then
    # What takes the device longer than the host needs no more than the first sleep.
    slow = FakeGpu()
    assert host_clock(slow).seconds(slow.kernel(5 * US, 1e-3), 10, cold=False) == pytest.approx(1e-3)
    assert len(slow.sleeps) == 1


def test_a_host_that_was_held_up_once_does_not_make_every_sample_long(host_clock: Any) -> None:
    gpu = FakeGpu()
    runtime = host_clock(gpu)
    runtime.seconds(gpu.kernel(2e-3, 3 * US), 20, cold=False)  # 40 ms of launches
    assert max(gpu.sleeps) > 40_000_000
    for _ in range(3):
        assert runtime.seconds(gpu.kernel(5 * US, 3 * US), 20, cold=False) == pytest.approx(3 * US)
    assert gpu.sleeps[-1] == 2_000_000


def test_a_host_that_never_gets_ahead_ends(host_clock: Any) -> None:
    gpu = FakeGpu()
    assert host_clock(gpu).seconds(gpu.kernel(1.0, US), 2, cold=False) > US
    assert len(gpu.sleeps) <= 8
    assert max(gpu.sleeps) <= 100_000_000


def test_cold_executions_are_timed_alone_behind_a_write_beyond_every_cache(host_clock: Any) -> None:
    gpu = FakeGpu()
    assert host_clock(gpu).seconds(gpu.kernel(5 * US, 30 * US), 3, cold=True) == pytest.approx(30 * US)
    assert gpu.written == [512 * 2**20]


def test_a_loop_goes_from_one_execution_to_the_next_without_the_host(host_clock: Any) -> None:
    gpu = FakeGpu()
    runtime = host_clock(gpu)
    loop = runtime.loop(gpu.kernel(20 * US, 3 * US), 1050)
    assert (loop.executions, loop.busy) == (1100, True)  # eleven replays of a hundred
    assert [len(held) for held in gpu.captured] == [100]
    begin = gpu.host
    loop.run()
    # The first replay reaches the stream after 5 us; the host alone would have taken 22 ms.
    assert gpu.host - begin == pytest.approx(1100 * 3 * US + 5 * US)
    few = runtime.loop(gpu.kernel(20 * US, 3e-3), 10)
    assert few.executions == len(gpu.captured[-1]) == 10


def test_what_cannot_be_captured_is_launched_by_the_host(host_clock: Any) -> None:
    gpu = FakeGpu()
    runtime = host_clock(gpu)

    def work() -> None:
        if gpu.capturing is not None:
            raise RuntimeError("CUDA error: operation not permitted when stream is capturing")
        gpu.kernel(20 * US, 3 * US)()

    loop = runtime.loop(work, 100)
    assert (loop.executions, loop.busy, gpu.captured) == (100, False, [])
    begin = gpu.host
    loop.run()
    assert gpu.host - begin == pytest.approx(100 * 20 * US + 3 * US)


def test_the_second_gpu_is_the_one_whose_stream_is_timed(monkeypatch: pytest.MonkeyPatch) -> None:
    gpu = FakeGpu()
    TorchRuntime("cuda:1", gpu.torch)
    assert gpu.current == 1


def test_a_lost_gpu_ends_the_sweep_and_marks_no_operator(host_clock: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    gpu = FakeGpu()
    runtime = host_clock(gpu)

    def broken(*_: Any) -> Any:
        gpu.lost = True
        raise RuntimeError("CUDA error: an illegal memory access was encountered")

    monkeypatch.setattr("perfmodel.collect.pytorch.operators.build", broken)
    op = Gemm(m=8, n=8, k=8, dtype="fp16")
    with pytest.raises(DeviceLostError, match=r"answers nothing any more.*illegal memory access.*goes on"):
        measure_operator(runtime, op, Settings())
    # What a library refuses is no such error, and what comes late is one of the operator, too.
    gpu.lost = False
    refused = RuntimeError("CUDA error: CUBLAS_STATUS_NOT_SUPPORTED when calling cublasLtMatmul")

    def later(*_: Any) -> Any:
        calls = iter([None])

        def work() -> None:
            if next(calls, refused) is refused:
                raise refused

        return work

    monkeypatch.setattr("perfmodel.collect.pytorch.operators.build", later)
    assert measure_operator(runtime, op, Settings()).status.startswith("not supported: CUDA error: CUBLAS")
    full = RuntimeError("CUDA error: CUBLAS_STATUS_ALLOC_FAILED when calling cublasCreate")

    def no_room(*_: Any) -> Any:
        raise full

    monkeypatch.setattr("perfmodel.collect.pytorch.operators.build", no_room)
    assert measure_operator(runtime, op, Settings()).status == "out of memory"


def test_formats_are_those_of_the_architecture() -> None:
    def inputs(gpu: FakeGpu) -> _Inputs:
        return _Inputs(gpu.torch, gpu.torch.device("cuda"), None)

    assert inputs(FakeGpu()).dtype("fp8") == "e4m3fn"
    assert inputs(FakeGpu(hip="7.0")).dtype("fp8") == "e4m3fnuz"
    inputs(FakeGpu()).check_tf32()
    for gpu, why in ((FakeGpu(hip="7.0"), "ROCm"), (FakeGpu(capability=(7, 5)), "before Ampere")):
        with pytest.raises(UnsupportedError, match=why):
            inputs(gpu).check_tf32()
