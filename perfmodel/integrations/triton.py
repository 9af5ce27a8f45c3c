"""Triton's autotuner: configurations that cannot run are dropped, and only the most promising are compiled and timed.

    @triton.autotune(configs=CONFIGS, key=["M", "N", "K"], prune_configs_by=pruning("h100-sxm", top_k=8))

``triton.autotune`` asks ``early_config_prune`` once for the configurations that are worth ranking, and ``perf_model`` once for
each of them (docs/triton.md). Nothing here imports Triton, and a GPU is not needed: ``triton.Config`` is read by its
attributes, and tensors by their ``dtype``.
"""

from __future__ import annotations

import math
import threading
import warnings
from collections.abc import Callable, Mapping, Sequence
from typing import Any

import numpy as np

from perfmodel.errors import InputError, checked_keywords, checked_methods
from perfmodel.hardware.device import Device
from perfmodel.hardware.loader import load_device
from perfmodel.ops import Gemm
from perfmodel.ops.base import Operator
from perfmodel.rank.physics import Physics, undefined_role
from perfmodel.rank.pretrained import Pretrained
from perfmodel.rank.single import prepare
from perfmodel.rank.space import Space
from perfmodel.rank.space import space as space_of

ALIASES = {
    "BLOCK_M": "BLOCK_SIZE_M", "BLOCK_N": "BLOCK_SIZE_N", "BLOCK_K": "BLOCK_SIZE_K", "GROUP_M": "GROUP_SIZE_M",
    "SPLITK": "SPLIT_K",
}  # fmt: skip
"""Other names of the parameters of ``triton_gemm``."""
_LAUNCH = ("num_warps", "num_stages", "num_ctas", "maxnreg")
# tl.dot takes fp32 operands as TF32 unless it is told otherwise. Names as PyTorch and as Triton write them.
_DTYPES = {
    "float16": "fp16", "fp16": "fp16", "bfloat16": "bf16", "bf16": "bf16", "float32": "tf32", "fp32": "tf32",
    "float8_e4m3fn": "fp8", "float8_e5m2": "fp8", "fp8e4nv": "fp8", "fp8e5": "fp8", "int8": "int8",
}  # fmt: skip


@checked_keywords()
def product(arguments: Mapping[str, Any], dims: Sequence[str] = ("M", "N", "K"), dtype: str | None = None) -> Operator:
    """The descriptor of a matrix product from its kernel's arguments.

    Args:
        arguments: by name, as they are passed to the kernel.
        dims: names of the arguments that hold rows, columns and the contracted extent.
        dtype: of the operands; None: that of the first argument that has one.

    Raises:
        InputError: a dimension is absent, or no argument tells the number format.
    """
    absent = [name for name in dims if name not in arguments]
    if absent:
        raise InputError(
            f"the kernel has no argument {absent[0]!r}; its arguments are {', '.join(arguments)}: name the dimensions (dims=)"
        )
    if dtype is None:
        names = [str(a.dtype).removeprefix("torch.") for a in arguments.values() if hasattr(a, "dtype")]
        if not names or names[0] not in _DTYPES:
            raise InputError(
                f"the operands' number format is {names[0] if names else 'not among the arguments'!r}; name it (dtype=)"
            )
        dtype = _DTYPES[names[0]]
    m, n, k = (int(arguments[name]) for name in dims)
    return Gemm(m=m, n=n, k=k, dtype=dtype)


@checked_methods()
class Pruning:
    """The two functions that ``prune_configs_by`` takes. Thread-safe; the same arguments give the same answers.

    Args:
        device: its id, its TOML, or its record: the one that runs the kernel, not this machine.
        problem: the descriptor of a kernel's arguments; default: :func:`product`.
        space: what the meta-parameters mean.
        names: of meta-parameters, the space's name; beside :data:`ALIASES`.
        pretrained: as for a ranker.

    Raises:
        InputError: an unknown space.
        DeviceError: an unknown device.
    """

    def __init__(
        self, device: Device | str, problem: Callable[[Mapping[str, Any]], Operator] = product,
        space: Space | str | Mapping[str, Any] = "triton_gemm", names: Mapping[str, str] | None = None,
        pretrained: Pretrained | str = "default",
    ) -> None:  # fmt: skip
        self.device: Device = device if isinstance(device, Device) else load_device(device)
        self.space: Space = space_of(space)
        self._problem, self._pretrained = problem, pretrained
        self._names = {**ALIASES, **(names or {})}
        self._models: dict[Operator, Callable[[Mapping[str, float]], float]] = {}
        self._lock = threading.Lock()

    def early_config_prune(self, configs: Sequence[Any], named_args: Mapping[str, Any], **kwargs: Any) -> list[Any]:
        """The configurations that the device can run, in the order given.

        Where it could run none, all come back and a warning says why: the compiler has the last word.

        Args:
            configs: ``triton.Config`` objects.
            named_args: the kernel's arguments by name.
            kwargs: further arguments of the call.
        """
        physics = Physics.of(self.space, self._problem({**named_args, **kwargs}), self.device)
        rows = [self._parameters({**kwargs, **_settings(config)}) for config in configs]
        columns = {name: np.array([row[name] for row in rows]) for name in self.space.columns}
        with np.errstate(all="ignore"):  # of impossible shapes, which are refused
            try:
                costs = physics.costs(columns)
            except ArithmeticError:  # of numbers that no column stands in
                raise InputError(undefined_role(self.space)) from None
            refused = np.broadcast_to(physics.refusal(costs), (len(rows),))
        kept = [config for config, code in zip(configs, refused, strict=True) if code == 0]
        if kept:
            return kept
        reasons = sorted({physics.reasons[code] for code in refused})
        warnings.warn(
            f"none of {len(rows)} configurations should run on {self.device.id} ({'; '.join(reasons)}): all are tried",
            stacklevel=2,
        )
        return list(configs)

    def perf_model(self, **arguments: Any) -> float:
        """Seconds of one configuration; infinity where it cannot run.

        Args:
            arguments: the kernel's, the meta-parameters, and the launch's (``num_warps``, ``num_stages``).
        """
        op = self._problem(arguments)
        with self._lock:
            model = self._models.get(op)
            if model is None:
                model = self._models[op] = prepare(op, self.device, self.space, self._pretrained)
        parameters = self._parameters(arguments)
        try:
            return model(parameters)
        except InputError:
            return math.inf

    def _parameters(self, arguments: Mapping[str, Any]) -> dict[str, float]:
        """The space's parameters among a call's arguments.

        Raises:
            InputError: one without a default is absent.
        """
        named = {self._names.get(name, name): value for name, value in arguments.items()}
        found: dict[str, float] = {}
        for name, default in self.space.columns.items():
            value = named.get(name, default)
            if value is None:
                raise InputError(
                    f"a configuration lacks {name}, which the space {self.space.id} needs; it has {', '.join(arguments)}: "
                    "say what yours are called (names=)"
                )
            found[name] = float(value)
        return found


@checked_keywords()
def pruning(
    device: Device | str, *, top_k: int | float = 10, problem: Callable[[Mapping[str, Any]], Operator] = product,
    space: Space | str | Mapping[str, Any] = "triton_gemm", names: Mapping[str, str] | None = None,
    pretrained: Pretrained | str = "default",
) -> dict[str, Any]:  # fmt: skip
    """What ``triton.autotune(prune_configs_by=...)`` takes.

    Args:
        top_k: how many configurations are compiled and timed; a share of those that can run where it is a float.
        device, problem, space, names, pretrained: see :class:`Pruning`.
    """
    own = Pruning(device, problem, space, names, pretrained)
    return {"early_config_prune": own.early_config_prune, "perf_model": own.perf_model, "top_k": top_k}


def _settings(config: Any) -> dict[str, Any]:
    """Meta-parameters and launch settings of a ``triton.Config``."""
    launch = {name: getattr(config, name, None) for name in _LAUNCH}
    return {**config.kwargs, **{name: value for name, value in launch.items() if value is not None}}
