"""What limits a benchmark on a processor: scores of STREAM, HPCG, SPECrate 2017 and Intel's Memory Latency Checker.

Two estimates of how a score changes from machine to machine, both from the datasheet alone and up to a factor that belongs to
the benchmark. The *plain* one is channels x rate for bandwidths and cores x clock for what computes. The *physical* one adds
three facts:

* Under a load on every core the clock lies between the base clock, which the power limit guarantees, and the all-core turbo,
  which it does not: their mean is taken.
* Memory on the package is not used up by the cores: each keeps a limited number of lines in flight. On a Xeon Max of 56 cores
  it gives 2.3 times the read bandwidth of eight channels of DDR5-4800 and 3.5 times that of STREAM, where the peaks differ 5.3
  times (J. D. McCalpin, Bandwidth Limits in the Intel Xeon Max Processors, ISC 2023 IXPUG workshop); taken in proportion to
  the cores.
* Some floating-point benchmarks of SPECrate wait for memory (:data:`MEMORY_SHARE`); time for arithmetic and time for memory
  add up.
"""

from __future__ import annotations

from dataclasses import dataclass, fields
from typing import TYPE_CHECKING, Any

import numpy as np

from perfmodel.errors import TraceError

if TYPE_CHECKING:
    import pandas as pd

CHANNEL_BYTES, STACK_BYTES = 8, 128
"""Bytes of a transfer: of a DDR channel, of a stack of HBM."""
REFERENCE: dict[str, float] = {"cores": 112, "clock_hz": 2.35e9, "ddr_bytes_per_s": 614.4e9}
"""The machine that shares of time are of: two sockets of 56 cores with eight channels of DDR5-4800 each."""
PACKAGE_READ, PACKAGE_STREAM, PACKAGE_CORES = 2.3, 3.5, 112
"""Bandwidth of memory on the package over that of the reference's DDR, for that many cores."""
MEMORY_SHARE = {
    "503.bwaves_r": 1.0, "519.lbm_r": 1.0, "549.fotonik3d_r": 1.0, "554.roms_r": 1.0,
    "507.cactuBSSN_r": 0.5, "510.parest_r": 0.5, "521.wrf_r": 0.5, "527.cam4_r": 0.5,
}  # fmt: skip
"""Share of its time that a benchmark of SPECrate waits for memory on the reference: all, half or (unnamed) nothing. Coarse
classes of common knowledge, not fitted to any score."""

FP_RATE = (
    *MEMORY_SHARE, "508.namd_r", "511.povray_r", "526.blender_r", "538.imagick_r", "544.nab_r",
)  # fmt: skip
"""The benchmarks of SPECrate 2017 Floating Point, whose geometric mean is the suite's score."""
FP_RATE_MEAN = "SPECrate2017_fp_base"

MEMORY_READ, MEMORY_STREAM, LINK, LAST_CACHE, COMPUTE, CORE_CLOCK, FIXED = (
    "memory read", "memory stream", "link", "last-level cache", "compute", "core clock", "fixed",
)  # fmt: skip


@dataclass(frozen=True)
class Machines:
    """What the datasheet of each row's machine says; arrays of shape ``[rows]``, NaN where it has no such memory.

    Attributes:
        cores: of all sockets.
        base_hz, all_core_hz, max_hz: guaranteed clock, highest clock of all cores, highest clock of one.
        ddr_bytes_per_s, package_bytes_per_s: peaks of the memory beside and on the package; 0: none.
        ddr_module_bytes: of one module.
        l3_bytes: of a socket.
        numa_nodes: of the machine.
    """

    cores: np.ndarray
    base_hz: np.ndarray
    all_core_hz: np.ndarray
    max_hz: np.ndarray
    ddr_bytes_per_s: np.ndarray
    package_bytes_per_s: np.ndarray
    ddr_module_bytes: np.ndarray
    l3_bytes: np.ndarray
    numa_nodes: np.ndarray

    @classmethod
    def of(cls, table: pd.DataFrame) -> Machines:
        """The machines of run traces with the columns ``machine_<name>``.

        Raises:
            TraceError: a column is missing.
        """

        def column(name: str) -> np.ndarray:
            if f"machine_{name}" not in table:
                raise TraceError(
                    f"scores are predicted from the machine's datasheet, and the column machine_{name} is missing"
                )
            return table[f"machine_{name}"].to_numpy(dtype=np.float64, na_value=np.nan)

        ddr = column("ddr_modules") * CHANNEL_BYTES * np.nan_to_num(column("ddr_transfers_per_s"))
        package = column("hbm_stacks") * STACK_BYTES * np.nan_to_num(column("hbm_transfers_per_s"))
        return cls(
            column("sockets") * column("cores_per_socket"), column("base_clock_hz"), column("all_core_clock_hz"),
            column("max_clock_hz"), ddr, package, column("ddr_module_bytes"), column("l3_bytes_per_socket"),
            column("numa_nodes"),
        )  # fmt: skip

    def taken(self, rows: Any) -> Machines:
        """Some of the rows."""
        return Machines(*(getattr(self, f.name)[rows] for f in fields(self)))

    @property
    def sustained_hz(self) -> np.ndarray:
        """The clock under a load on every core."""
        return (self.base_hz + self.all_core_hz) / 2

    @property
    def peak_memory_bytes_per_s(self) -> np.ndarray:
        """Of the memory on the package where there is some, else of that beside it."""
        return np.where(self.package_bytes_per_s > 0, self.package_bytes_per_s, self.ddr_bytes_per_s)

    def memory_bytes_per_s(self, on_package: float) -> np.ndarray:
        """What the cores get of the memory, in units of the reference's DDR peak.

        Args:
            on_package: :data:`PACKAGE_READ` or :data:`PACKAGE_STREAM`.
        """
        package = on_package * self.cores / PACKAGE_CORES * REFERENCE["ddr_bytes_per_s"]
        package = np.minimum(package, self.package_bytes_per_s)
        return np.where(self.package_bytes_per_s > 0, package, self.ddr_bytes_per_s)

    def features(self) -> np.ndarray:
        """Logarithms for learners; shape ``[rows, 8]``, 0 for memory that is not there."""
        package = np.where(self.package_bytes_per_s > 0, 1.0, 0.0)
        module = np.where(np.isnan(self.ddr_module_bytes), 2**36, self.ddr_module_bytes)
        return np.stack(
            [
                np.log(self.cores / REFERENCE["cores"]), np.log(self.base_hz / 2e9), np.log(self.all_core_hz / 3e9),
                np.log(self.max_hz / 4e9), package, np.log(module / 2**36), np.log(self.l3_bytes / 1e8),
                np.log(self.numa_nodes / 2),
            ],
            axis=1,
        )  # fmt: skip


def kind_of(workload: str) -> str:
    """What limits a benchmark, by the name ``suite/test`` of its workload."""
    suite, _, test = workload.partition("/")
    if "latency" in suite:
        return CORE_CLOCK if "L1 hit" in test or "L2 hit" in test else FIXED
    if "Remote" in test:
        return LINK
    if test.startswith("LLC"):
        return LAST_CACHE
    if suite == "Stream" or "NTW" in test:
        return MEMORY_STREAM
    return MEMORY_READ if "Bandwidth" in suite or suite == "HPCG" else COMPUTE


def plain(workload: str, machines: Machines) -> np.ndarray:
    """Channels x rate, or cores x clock, of each machine; shape ``[rows]``. Scores are proportional to it."""
    kind = kind_of(workload)
    if kind in (MEMORY_READ, MEMORY_STREAM):
        return machines.peak_memory_bytes_per_s
    return _elsewhere(kind, machines, machines.all_core_hz)


def physical(workload: str, machines: Machines) -> np.ndarray:
    """The physical estimate of each machine; shape ``[rows]``. Scores are proportional to it."""
    kind = kind_of(workload)
    if kind in (MEMORY_READ, MEMORY_STREAM):
        return machines.memory_bytes_per_s(PACKAGE_READ if kind == MEMORY_READ else PACKAGE_STREAM)
    if kind != COMPUTE:
        return _elsewhere(kind, machines, machines.sustained_hz)
    test = workload.rpartition("/")[2]
    if test == FP_RATE_MEAN:
        mean: np.ndarray = np.exp(np.mean([np.log(physical(part, machines)) for part in FP_RATE], axis=0))
        return mean
    share = MEMORY_SHARE.get(test, 0.0)
    arithmetic = machines.cores * machines.sustained_hz / (REFERENCE["cores"] * REFERENCE["clock_hz"])
    memory = machines.memory_bytes_per_s(PACKAGE_READ) / REFERENCE["ddr_bytes_per_s"]
    result: np.ndarray = 1 / ((1 - share) / arithmetic + share / memory)
    return result


def _elsewhere(kind: str, machines: Machines, clock_hz: np.ndarray) -> np.ndarray:
    """What both estimates say of scores that main memory does not limit."""
    if kind == CORE_CLOCK:
        return 1 / machines.max_hz
    # A link between sockets and the way to memory are the same on all machines of a generation.
    return np.ones(len(machines.cores)) if kind in (LINK, FIXED) else machines.cores * clock_hz
