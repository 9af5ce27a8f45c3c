"""The anchor: two fixed pieces of work that are timed again and again through a measuring run.

The speed of a machine moves while it is measured (clocks, neighbours on the same processor), and most of that movement is
common to all kernels of one moment. What the anchor took at the time of a measurement, over what it took in the whole run,
says by how much: once for work that computes, and once for work that waits for memory. The work never changes, so that
runs of different days can be compared too.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager
from importlib import import_module
from statistics import median
from typing import Any, NamedTuple

from perfmodel.errors import MissingExtraError

GEMM_N = 512
"""The product is C[n, n] = A[n, n] · B[n, n] in fp32: 268 MFLOP and 3 MB, 2 to 10 ms on one core of a server."""
COPY_BYTES = 32 * 2**20
"""The copy reads so many bytes and writes as many, with nothing between but memory on most machines: 3 to 10 ms."""
REPEATS = 5


class AnchorTimes(NamedTuple):
    """Median seconds of the anchor's two parts at one moment.

    Attributes:
        gemm_s: one product of :data:`GEMM_N`.
        copy_s: one copy of :data:`COPY_BYTES`.
    """

    gemm_s: float
    copy_s: float

    def slower_than(self, reference: AnchorTimes) -> AnchorTimes:
        """How much longer both parts took than in ``reference``, as factors: 1.05 is 5 % slower."""
        return AnchorTimes(self.gemm_s / reference.gemm_s, self.copy_s / reference.copy_s)


class Anchor:
    """The anchor's work, ready to run on one thread; making it costs some 50 ms and 70 MB.

    Args:
        clock: gives seconds that only grow.

    Raises:
        MissingExtraError: onnxruntime is not installed.
    """

    def __init__(self, clock: Callable[[], float] = time.perf_counter) -> None:
        import numpy as np

        self._clock = clock
        self._session = product_session(GEMM_N, "the anchor of a measuring run")
        self._feeds = {name: np.full((GEMM_N, GEMM_N), 0.5, np.float32) for name in "ab"}
        # Written to, so that the pages are there before anything is timed.
        self._source, self._target = (np.ones(COPY_BYTES // 8) for _ in range(2))

    def times(self, repeats: int = REPEATS) -> AnchorTimes:
        """Both parts now: the median of ``repeats`` executions each, after one that does not count. About 50 ms."""
        import numpy as np

        def gemm() -> None:
            self._session.run(None, self._feeds)

        return AnchorTimes(
            self._median(gemm, repeats), self._median(lambda: np.copyto(self._target, self._source), repeats)
        )

    def _median(self, work: Callable[[], None], repeats: int) -> float:
        work()
        seconds = []
        for _ in range(repeats):
            begin = self._clock()
            work()
            seconds.append(self._clock() - begin)
        return median(seconds)


def typical(times: Iterable[AnchorTimes]) -> AnchorTimes:
    """The median of each part over a run: what the factors of :meth:`AnchorTimes.slower_than` refer to.

    Raises:
        ValueError: there are none.
    """
    gemm, copy = zip(*times, strict=True)
    return AnchorTimes(median(gemm), median(copy))


@contextmanager
def pinned(cpu: int | None = None) -> Iterator[int | None]:
    """This thread, and the threads that it starts, on one processor until the block ends.

    Args:
        cpu: a logical processor; None takes the highest-numbered one that this process may use: the lowest serve
            most interrupts.

    Yields:
        the processor; None where the system cannot pin (macOS, Windows).
    """
    import os

    if not hasattr(os, "sched_setaffinity"):
        yield None
        return
    before = os.sched_getaffinity(0)
    chosen = max(before) if cpu is None else cpu
    os.sched_setaffinity(0, {chosen})
    try:
        yield chosen
    finally:
        os.sched_setaffinity(0, before)


def product_session(n: int, purpose: str) -> Any:
    """A session of ONNX Runtime that computes ``c = a · b`` in fp32, each ``[n, n]``, on one thread.

    Args:
        n: rows and columns.
        purpose: what it is for, as an error says it.

    Raises:
        MissingExtraError: onnxruntime is not installed.
    """
    try:
        runtime = import_module("onnxruntime")
    except ImportError:
        raise MissingExtraError("onnxruntime", "collect", purpose) from None
    from onnx import TensorProto, helper

    def tensor(name: str) -> Any:
        return helper.make_tensor_value_info(name, TensorProto.FLOAT, [n, n])

    graph = helper.make_graph(
        [helper.make_node("MatMul", ["a", "b"], ["c"])], "product", [tensor("a"), tensor("b")], [tensor("c")]
    )
    # The oldest versions that every supported runtime reads: the work is the same with all of them.
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 17)], ir_version=8)
    options = runtime.SessionOptions()
    options.intra_op_num_threads = options.inter_op_num_threads = 1
    options.log_severity_level = 3
    return runtime.InferenceSession(model.SerializeToString(), options, providers=["CPUExecutionProvider"])
