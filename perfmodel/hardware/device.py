"""Device records: what a machine can do, every number with its source. See ``docs/device-files.md`` for the file format."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field, fields
from typing import Generic, TypeVar

from perfmodel import units
from perfmodel.dtypes import Dtype
from perfmodel.dtypes import dtype as dtype_record
from perfmodel.errors import checked_methods
from perfmodel.html_table import html_result, html_table

_Value = TypeVar("_Value")

_PACKED_IN_A_LANE = {"tf32": 0, "fp8": 0, "fp6": 0, "fp4": 0, "fp16": 2, "bf16": 2, "int8": 4}
"""Values that ordinary units multiply in a 32-bit lane (packed FP16, DP4A): none in formats that only matrix units know."""
_ROUNDED = 1.1
"""Datasheets round: the P100's packed FP16, 18.7 TFLOP/s, is 2.01 times its FP32."""


class FrozenMapping(Mapping[str, _Value], Generic[_Value]):
    """A mapping that cannot change and can be hashed: loaded devices are shared by everyone in the process."""

    __slots__ = ("_items",)

    def __init__(self, items: Mapping[str, _Value]) -> None:
        self._items = dict(items)

    def __getitem__(self, key: str) -> _Value:
        return self._items[key]

    def __iter__(self) -> Iterator[str]:
        return iter(self._items)

    def __len__(self) -> int:
        return len(self._items)

    def __hash__(self) -> int:
        return hash(frozenset(self._items.items()))

    def __repr__(self) -> str:
        return repr(self._items)


@dataclass(frozen=True, slots=True)
class Arithmetic:
    """Which hardware arithmetic runs a dtype on a device.

    Attributes:
        name: a name of :data:`perfmodel.dtypes.ARITHMETICS`.
        peak_flops: dense FLOP/s of the dtype at the peak clock; passes are divided out.
        note: one line when it is not the dtype's own arithmetic, else None.
        passes: products of the arithmetic that one product of the dtype takes.
    """

    name: str
    peak_flops: float
    note: str | None
    passes: int = 1


@checked_methods()
@dataclass(frozen=True, kw_only=True)
class Device:
    """One GPU, CPU or other accelerator. ``None`` means unknown.

    Only the first block and the identity are compulsory.
    """

    id: str
    """What it is asked for by (``"h100-sxm"``): the device file's name."""
    name: str
    """What its maker calls it."""
    vendor: str
    """Its maker (``"NVIDIA"``, ``"AMD"``, ``"Intel"``, ...)."""
    kind: str
    """``"gpu"``, ``"cpu"`` or ``"tpu"``."""
    family: str
    """Architecture family; its devices share kernels (``"ampere"``, ``"hopper"``, ``"cdna2"``, ``"zen4"``)."""

    peak_flops: Mapping[str, float]
    """Dense FLOP/s (or integer operations/s) by arithmetic."""
    memory_bandwidth_bytes_per_s: float
    """Peak of the main memory (DRAM, HBM), reads and writes together."""
    memory_bytes: int
    """Size of the main memory."""

    units: int | None = None
    """SMs, compute units, matrix units of a TPU, or physical cores."""
    peak_clock_hz: float | None = None
    """The clock at which the peaks hold (boost), except those in ``arithmetic_clock_hz``."""
    arithmetic_clock_hz: Mapping[str, float] = field(default_factory=dict)
    """The clock of an arithmetic's peak where it is not ``peak_clock_hz``.

    H100: vector units are quoted at 1980 MHz, tensor cores at 1830.
    """
    base_clock_hz: float | None = None
    """The clock that is guaranteed."""
    memory_clock_hz: float | None = None
    """Memory clock (HBM: two transfers a clock, GDDR6: eight)."""
    memory_bus_bits: int | None = None
    """Width of the memory interface."""
    memory_rate_bits_per_s_per_pin: float | None = None
    """Rate of one of its pins."""
    flops_per_clock_per_unit: Mapping[str, float] = field(default_factory=dict)
    """Dense operations of one unit in one clock, by arithmetic; of the units that ``peak_flops`` quotes."""
    vector_peak_flops: Mapping[str, float] = field(default_factory=dict)
    """FLOP/s of the ordinary units, for arithmetics whose ``peak_flops`` is that of matrix units (CDNA: fp32)."""
    l2_bytes: int | None = None
    """Last-level cache on chip."""
    l2_partitions: int | None = None
    """Parts of it that each keep their own copy of what their units read; None means one."""
    l1_bytes_per_unit: int | None = None
    """L1 and shared memory together."""
    shared_bytes_per_unit: int | None = None
    """Largest part of it that kernels may use as shared memory (LDS)."""
    register_bytes_per_unit: int | None = None
    """Vector registers of one unit."""
    exponentials_per_clock_per_unit: float | None = None
    """fp32 exponentials (exp2) that one unit's special-function units give in one clock."""
    tdp_w: float | None = None
    """Power limit as delivered, in watts."""
    idle_power_w: float | None = None
    """Watts at the lowest clock while nothing runs."""
    interconnect_bytes_per_s: float | None = None
    """One direction, all links to peers together."""
    compute_capability: str | None = None
    """The architecture as compilers name it (``"9.0"``, ``"gfx90a"``)."""
    process_nm: float | None = None
    """Manufacturing process in nanometres, by its marketing name."""
    sources: Mapping[str, str] = field(default_factory=dict)
    """The source of every number, by field (``"peak_flops.bf16"``)."""
    measured: Mapping[str, float] = field(default_factory=dict)
    """Ceilings and constants from calibration, where there are any."""
    calibrated: Mapping[str, float] = field(default_factory=dict)
    """Physics constants that were fitted to this device (``perfmodel calibrate``), in place of those of all devices."""

    def __post_init__(self) -> None:
        for item in fields(self):
            value = getattr(self, item.name)
            if isinstance(value, Mapping) and not isinstance(value, FrozenMapping):
                object.__setattr__(self, item.name, FrozenMapping(value))

    def __hash__(self) -> int:
        # Asked for thousands of times by what is remembered of a device: computed once, over all of its tables.
        found: int | None = self.__dict__.get("_hash")
        if found is None:
            found = hash(tuple([getattr(self, item.name) for item in fields(self)]))
            object.__setattr__(self, "_hash", found)
        return found

    def __repr__(self) -> str:
        """One line; :func:`dataclasses.asdict` gives every number."""
        peak, flops = self._fastest()
        return (
            f"<Device {self.id}: {self.name}, {units.flop_rate(flops)} in {peak}, "
            f"{units.bandwidth(self.memory_bandwidth_bytes_per_s)}, {units.size(self.memory_bytes)}, {units.power(self.tdp_w)}>"
        )

    def _repr_html_(self) -> str:
        """What Jupyter shows: the figures that matter most, each with its source."""
        figures = [
            *((f"peak {a}", units.flop_rate(f), f"peak_flops.{a}") for a, f in self.peak_flops.items()),
            ("memory bandwidth", units.bandwidth(self.memory_bandwidth_bytes_per_s), "memory_bandwidth_bytes_per_s"),
            ("memory", units.size(self.memory_bytes), "memory_bytes"),
            ("units", units.UNKNOWN if self.units is None else str(self.units), "units"),
            ("peak clock", units.clock(self.peak_clock_hz), "peak_clock_hz"),
            ("last-level cache", units.binary_size(self.l2_bytes), "l2_bytes"),
            ("TDP", units.power(self.tdp_w), "tdp_w"),
            ("idle power", units.power(self.idle_power_w), "idle_power_w"),
        ]
        rows = [(name, value, self.sources.get(field_name, "")) for name, value, field_name in figures]
        title = f"{self.id}: {self.name} ({self.vendor} {self.family}, {self.kind})"
        return html_result(title, html_table(("", "", "source"), rows, right=(1,)))

    def _fastest(self) -> tuple[str, float]:
        """The 16-bit arithmetic that most models run in, or what the device has."""
        name = next((a for a in ("bf16", "fp16") if a in self.peak_flops), "fp32")
        return name, self.peak_flops[name]

    def __getstate__(self) -> dict[str, object]:
        # Hashes of texts differ between processes.
        return {name: value for name, value in self.__dict__.items() if name != "_hash"}

    def clock_hz(self, arithmetic: str) -> float | None:
        """The clock at which ``peak_flops[arithmetic]`` holds, or None when it is unknown."""
        return self.arithmetic_clock_hz.get(arithmetic, self.peak_clock_hz)

    def arithmetic(self, dtype: str) -> Arithmetic:
        """The arithmetic that runs ``dtype`` here: the first of its chain that this device has a peak for.

        Raises:
            DtypeError: the dtype is unknown.
        """
        record = dtype_record(dtype)
        chain = record.arithmetics
        usable = [(a, self.peak_flops[a]) for a in chain if a in self.peak_flops]
        if not usable:
            # fp32 is compulsory in every device file, so that only fp64 and tf32-less chains can end here.
            name = "fp32"
            return Arithmetic(
                name, self.peak_flops[name], f"{dtype}: {self.id} quotes no peak for it; fp32 ran instead"
            )
        name, peak = usable[0]
        passes = record.bit_planes if name == "int1" else 1
        # Bit-serial products take one pass for each pair of bits; a wider unit that needs a single one may be quicker.
        if passes > 1 and len(usable) > 1 and usable[1][1] > peak / passes:
            (name, peak), passes = usable[1], 1
        return Arithmetic(name, peak / passes, _arithmetic_note(record, name, self), passes)

    @property
    def has_matrix_units(self) -> bool:
        """Whether some peak is beyond the ordinary units."""
        return any(self._beyond_lanes(name) for name in _PACKED_IN_A_LANE)

    def on_matrix_units(self, arithmetic: str) -> bool:
        """Whether products in an arithmetic run on matrix units here.

        Its own peak alone does not tell: the Tensor Cores of GeForce cards do 16 bits at but twice the fp32 rate. Those that
        a GPU has know all narrow formats; a CPU's (AMX) know some.
        """
        if arithmetic in ("fp64", "fp32"):  # most matrix units have none
            return self.peak_flops.get(arithmetic, 0.0) > _ROUNDED * self.vector_flops
        return self._beyond_lanes(arithmetic) if self.kind == "cpu" else self.has_matrix_units

    def _beyond_lanes(self, arithmetic: str) -> bool:
        """Whether a peak is more than values packed in the lanes of the ordinary units give."""
        packed = _PACKED_IN_A_LANE.get(arithmetic, 0)
        return self.peak_flops.get(arithmetic, 0.0) > packed * _ROUNDED * self.vector_flops

    @property
    def vector_flops(self) -> float:
        """FLOP/s of the ordinary (non-matrix) units in fp32."""
        return self.vector_peak_flops.get("fp32", self.peak_flops["fp32"])


def _arithmetic_note(record: Dtype, name: str, device: Device) -> str | None:
    """What an arithmetic does with operands that are not its own, one line; None where it takes them as they are."""
    if record.bit_planes > 1 and "int1" in device.peak_flops:
        passes = f"{record.name}: {record.bit_planes} passes of 1-bit products"
        return f"{passes} ran" if name == "int1" else f"{passes} would take longer; {name} ran instead"
    if name != record.arithmetics[0]:
        return f"{record.name}: {device.id} has no {record.arithmetics[0]} arithmetic; {name} ran instead"
    if record.widens_activations(name):
        return f"{record.name}: operands are widened in registers to {name}, which multiplies"
    if record.widens_weights(name):
        return f"{record.name}: {record.weight_format[-1]}-bit weights are widened in registers to {name}, which multiplies"
    return None
