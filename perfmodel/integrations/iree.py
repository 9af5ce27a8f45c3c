"""IREE on a CPU: which tiles and which way of lowering a linalg operation is fastest (docs/iree.md).

IREE's compiler obeys ``compilation_info``, an attribute of the operation that names the tile of a workgroup, the tile of
vectors and the pipeline. :func:`candidates` lists such tiles as columns, with the compiler's own ways beside them (its
heuristics, data tiling, micro-kernels); :func:`build` compiles one, :func:`timed` times it with IREE's runtime on one core,
and :func:`tune` does both for those that a :class:`~perfmodel.rank.ranker.Ranker` asks for.

Packages: ``iree-base-compiler`` and ``iree-base-runtime``. Names of attributes are those of release 3.13.
"""

from __future__ import annotations

import itertools
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from statistics import median
from typing import Any

import numpy as np

from perfmodel.errors import InputError, MissingExtraError, checked_keywords, checked_methods
from perfmodel.hardware.device import Device
from perfmodel.ops.base import Operator
from perfmodel.rank.pretrained import Pretrained
from perfmodel.rank.ranker import Ranker
from perfmodel.rank.ranking import Ranking

STRATEGIES = ("tiles", "compiler", "data tiling", "data tiling and micro-kernels")
"""Ways of lowering, by the number in the column ``strategy``."""
_FLAGS = (
    "--iree-hal-target-device=local",
    "--iree-hal-local-target-device-backends=llvm-cpu",
    "--iree-llvmcpu-target-cpu=host",
)
_OF_STRATEGY: tuple[tuple[str, ...], ...] = (
    (),
    (),
    ("--iree-opt-data-tiling",),
    ("--iree-opt-data-tiling", "--iree-llvmcpu-enable-ukernels=all"),
)


@checked_methods()
@dataclass(frozen=True)
class Form:
    """What tiles one kind of linalg operation takes.

    Attributes:
        space: id of the configuration space.
        pipeline: of the lowering, with its options.
        workgroup, vector, reduction: of each loop the column with its tile size; a number stands for itself. 0: not tiled.
        sizes: of each column the sizes that are offered.
        extents: of each column the field of the descriptor that it cannot exceed.
        own: the columns' values under the compiler's heuristics, the nearest that they come to.
        strategies: which of :data:`STRATEGIES` exist.
    """

    space: str
    pipeline: str
    workgroup: tuple[str | int, ...]
    vector: tuple[str | int, ...]
    reduction: tuple[str | int, ...]
    sizes: Mapping[str, tuple[int, ...]]
    extents: Mapping[str, str]
    own: Mapping[str, int]
    strategies: tuple[int, ...]


_DOUBLE = "#iree_cpu.pipeline<DoubleTilingExpert>, {enable_loop_peeling}"
_PRODUCT: dict[str, Any] = {
    "space": "iree_cpu_gemm",
    "pipeline": _DOUBLE,
    "sizes": {
        "dist_m": (32, 96),
        "dist_n": (64, 256),
        "vec_m": (2, 4, 6, 8),
        "vec_n": (8, 16, 32),
        "vec_k": (1, 8),
    },
    "extents": {"dist_m": "m", "dist_n": "n", "vec_m": "m", "vec_n": "n", "vec_k": "k"},
    "own": {"dist_m": 64, "dist_n": 64, "vec_m": 8, "vec_n": 8, "vec_k": 8},
    "strategies": (1, 2, 3),
}
FORMS: dict[str, Form] = {
    "linalg.matmul": Form(
        workgroup=("dist_m", "dist_n", 0), vector=("vec_m", "vec_n", 0), reduction=(0, 0, "vec_k"), **_PRODUCT
    ),
    "linalg.batch_matmul": Form(
        workgroup=(1, "dist_m", "dist_n", 0), vector=(1, "vec_m", "vec_n", 0), reduction=(0, 0, 0, "vec_k"), **_PRODUCT
    ),
    "linalg.matvec": Form(
        "iree_cpu_matvec", _DOUBLE, ("dist_m", 0), ("vec_m", 0), (0, "vec_k"),
        {"dist_m": (16, 64, 256, 1024), "vec_m": (1, 2, 4, 8, 16), "vec_k": (1, 4, 8, 16, 32)},
        {"dist_m": "m", "vec_m": "m", "vec_k": "k"}, {"dist_m": 64, "vec_m": 8, "vec_k": 8}, (1, 2, 3),
    ),
    "linalg.conv_2d_nhwc_hwcf": Form(
        "iree_cpu_conv", "#iree_cpu.pipeline<ConvTileAndDecomposeExpert>", (0, "dist_h", "dist_w", "dist_f", 0, 0, 0),
        (1, 1, "vec_w", "vec_f", 0, 0, 0), (0, 0, 0, 0, 1, 1, "vec_c"),
        {
            "dist_h": (1, 4), "dist_w": (28,), "dist_f": (32, 128), "vec_w": (1, 4, 7, 14), "vec_f": (8, 16, 32),
            "vec_c": (1, 8),
        },
        {
            "dist_h": "out_h", "dist_w": "out_w", "dist_f": "c_out", "vec_w": "out_w", "vec_f": "c_out", "vec_c": "c_in",
        },
        {"dist_h": 4, "dist_w": 28, "dist_f": 64, "vec_w": 4, "vec_f": 4, "vec_c": 8}, (1,),
    ),
}  # fmt: skip
"""By the name of the operation."""


@checked_methods()
@dataclass(frozen=True)
class Target:
    """The operation of a module that is tuned.

    Attributes:
        text: the module.
        name: of the operation.
        op: its descriptor.
        inputs: shape of each argument of its function.
    """

    text: str
    name: str
    op: Operator
    inputs: tuple[tuple[int, ...], ...]

    @property
    def form(self) -> Form:
        """Its tiles."""
        return FORMS[self.name]

    @classmethod
    def of(cls, text: str) -> Target:
        """The one operation with known tiles in a module of static shapes.

        Args:
            text: an MLIR module with one function.

        Raises:
            InputError: there is none, or more than one.
            ModelFileError: no module.
            UnboundDimensionError: a dimension is not known.
        """
        from perfmodel.features.mlir.reader import read_mlir

        graph = read_mlir(text)
        found = [n for n in graph.nodes if n.source_op in FORMS]
        if len(found) != 1:
            names = ", ".join(n.name for n in found) or "none"
            raise InputError(
                f"the module has {len(found)} operations whose tiles can be chosen ({names}); wanted one of {', '.join(FORMS)}"
            )
        inputs = tuple(tuple(int(d) for d in graph.tensors[name].shape or ()) for name in graph.inputs)
        if any(graph.tensors[name].dtype != "fp32" for name in graph.inputs):
            raise InputError("a function's arguments are timed in fp32 alone; got another number format")
        return cls(text, str(found[0].source_op), found[0].op, inputs)


@checked_keywords()
def candidates(target: Target, sizes: Mapping[str, Sequence[int]] | None = None) -> dict[str, np.ndarray]:
    """All combinations of tile sizes, none beyond the problem's own extents, and the compiler's own ways.

    Args:
        target: the operation.
        sizes: of columns, those to offer in place of the form's.

    Returns:
        columns of the form's space, shape ``[candidates]``.

    Raises:
        InputError: a column that the form does not have.
    """
    form = target.form
    offered = {**form.sizes, **(sizes or {})}
    unknown = set(offered) - set(form.sizes)
    if unknown:
        raise InputError(f"{target.name} has no tile {sorted(unknown)[0]!r}; wanted some of {', '.join(form.sizes)}")
    most = {column: int(getattr(target.op, field)) for column, field in form.extents.items()}
    values = [sorted({min(int(v), most[c]) for v in offered[c]}) for c in form.sizes]
    rows = [(0, *row) for row in itertools.product(*values)]
    own = tuple(min(form.own[c], most[c]) for c in form.sizes)
    rows += [(strategy, *own) for strategy in form.strategies]
    table = np.array(rows)
    return {name: table[:, place] for place, name in enumerate(("strategy", *form.sizes))}


def annotated(target: Target, configuration: Mapping[str, int]) -> str:
    """The module with the tiles of a configuration on its operation; the module itself for the compiler's own ways.

    Raises:
        MissingExtraError: IREE's compiler is not installed.
    """
    if configuration.get("strategy", 0):
        return target.text
    ir = _bindings()
    form = target.form

    def tiles(of: tuple[str | int, ...]) -> str:
        return str([int(configuration[c]) if isinstance(c, str) else c for c in of])

    text = (
        "#iree_codegen.compilation_info<lowering_config = #iree_cpu.lowering_config<"
        f"distribution = {tiles(form.workgroup)}, vector_common_parallel = {tiles(form.vector)}, "
        f"vector_reduction = {tiles(form.reduction)}>, translation_info = <pipeline = {form.pipeline}>>"
    )
    with ir.Context(), ir.Location.unknown():
        module = ir.Module.parse(target.text)

        def mark(operation: Any) -> Any:
            if operation.name == target.name:
                operation.attributes["compilation_info"] = ir.Attribute.parse(text)
            return ir.WalkResult.ADVANCE

        module.operation.walk(mark)
        return str(module)


@checked_keywords()
def build(target: Target, configuration: Mapping[str, int]) -> bytes:
    """Compiles the module for this machine's CPU.

    Returns:
        what IREE's runtime loads.

    Raises:
        InputError: the compiler refuses the configuration, with its first line.
        MissingExtraError: IREE's compiler is not installed.
    """
    try:
        import iree.compiler as compiler
    except ImportError:
        raise MissingExtraError("iree-base-compiler", "iree", "compiling with IREE") from None
    strategy = int(configuration.get("strategy", 0))
    text = annotated(target, configuration)
    try:
        program: bytes = compiler.compile_str(text, extra_args=[*_FLAGS, *_OF_STRATEGY[strategy]])
    except compiler.CompilerToolError as error:
        line = next((part for part in str(error).splitlines() if "error:" in part), str(error).splitlines()[0])
        raise InputError(f"IREE does not compile {dict(configuration)}: {line.strip()[:200]}") from None
    return program


@checked_keywords()
def timed(target: Target, program: bytes, repeats: int = 10, seed: int = 0) -> tuple[float, float]:
    """Seconds of one call on one core, the shortest and the median of some.

    Args:
        target: the operation.
        program: of :func:`build`.
        repeats: calls that count, after one that does not.
        seed: of the inputs.

    Raises:
        MissingExtraError: IREE's runtime is not installed.
    """
    call = loaded(target, program, seed)
    call()
    taken = []
    for _ in range(repeats):
        start = time.perf_counter()
        call()
        taken.append(time.perf_counter() - start)
    return min(taken), median(taken)


def loaded(target: Target, program: bytes, seed: int = 0) -> Any:
    """A function that runs a program once on inputs of its own and gives its result."""
    try:
        import iree.runtime as runtime
    except ImportError:
        raise MissingExtraError("iree-base-runtime", "iree", "running what IREE compiled") from None
    device = runtime.get_device("local-sync")
    context = runtime.SystemContext(config=runtime.Config(device=device))
    module = runtime.VmModule.copy_buffer(context.instance, program)
    context.add_vm_module(module)
    [name] = [n for n in module.function_names if not n.startswith("__") and "$" not in n]
    function = context.modules[module.name][name]
    rng = np.random.default_rng(seed)
    inputs = [runtime.asdevicearray(device, rng.random(shape, dtype=np.float32)) for shape in target.inputs]
    return lambda: function(*inputs)


@checked_methods()
@dataclass(frozen=True)
class Tuned:
    """What a search found.

    Attributes:
        configuration: the fastest that was measured.
        seconds: it took.
        program: compiled with it.
        measured: rows of the candidates with their seconds, NaN where one failed, in the order of the search.
        ranking: of all candidates, with what was learned.
    """

    configuration: dict[str, int]
    seconds: float
    program: bytes
    measured: tuple[tuple[int, float], ...]
    ranking: Ranking


@checked_keywords()
def tune(
    text: str, device: Device | str = "local-cpu", measurements: int = 10, *, sizes: Mapping[str, Sequence[int]] | None = None,
    pretrained: Pretrained | str = "default",
) -> Tuned:  # fmt: skip
    """Searches for the tiles of a module's operation on this machine.

    Args:
        text: an MLIR module with one linalg operation whose tiles can be chosen (:data:`FORMS`).
        device: this machine's record; ``local-cpu`` reads it.
        measurements: candidates to compile and time.
        sizes: see :func:`candidates`.
        pretrained: what the ranker starts from.

    Raises:
        InputError: none of the measured candidates ran; see also :meth:`Target.of`.
        MissingExtraError: a package of IREE's is not installed.
    """
    target = Target.of(text)
    configs = candidates(target, sizes)
    ranker = Ranker(target.op, configs, device, space=target.form.space, pretrained=pretrained)
    measured: list[tuple[int, float]] = []
    best: tuple[float, dict[str, int], bytes] | None = None
    while len(measured) < measurements and len(suggested := ranker.suggest(1)):
        row = int(suggested[0])
        configuration = {name: int(column[row]) for name, column in configs.items()}
        try:
            program = build(target, configuration)
            seconds, _ = timed(target, program)
        except InputError:
            seconds = float("nan")
        else:
            if best is None or seconds < best[0]:
                best = (seconds, configuration, program)
        ranker.observe([row], [seconds])
        measured.append((row, seconds))
    if best is None:
        raise InputError(f"IREE compiled none of {len(measured)} candidates of {target.name}")
    return Tuned(best[1], best[0], best[2], tuple(measured), ranker.ranking())


def _bindings() -> Any:
    try:
        from iree.compiler import ir
    except ImportError:
        raise MissingExtraError("iree-base-compiler", "iree", "writing IREE's attributes") from None
    return ir
