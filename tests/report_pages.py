"""Report pages made of predictions by hand."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
from fake_predictions import prediction

from perfmodel.hardware import load_device
from perfmodel.predict import Estimate, ModelPrediction, OperatorPrediction
from perfmodel.predict.memory import MemoryPlan, Owner
from perfmodel.report import page
from perfmodel.report.figures import device_figures
from perfmodel.report.what_if import Variant

HOSTILE = (
    "<script>window.hacked=1</script>",
    "</script><script>window.hacked=1</script>",
    '"><img src=x onerror="window.hacked=1">',
    "<!--<script>window.hacked=1//-->",
    "javascript:window.hacked=1",
    "${window.hacked=1} $title `${1}`",
    "\\u003cscript\\u003ewindow.hacked=1",
    "a & b < c > d ' \" \u2028 \u202e",
)
"""Names that do harm where they are read as anything but text."""


def page_of(
    predictions: Sequence[ModelPrediction], *, title: str = "net", library: str = "", variants: Sequence[Variant] = ()
) -> str:
    """A page of predictions; without a library its charts stay empty."""
    shown = [device_figures(p, load_device(p.device), None) for p in predictions]
    return page.report_page(
        shown, variants, {"model": title, "dims": {"batch": 8}, "asked": {"dtype": "bf16"}}, library
    )


def page_of_hostile_names(library: str) -> str:
    """Every hostile name as an operator's, a module's, a tensor's, a warning."""
    operators = tuple(_operator(i, f"{name}/{other}", 1e-5) for i, name in enumerate(HOSTILE) for other in HOSTILE)
    owners = tuple(Owner(name, "activation", 1e6, 0.1, name, name) for name in HOSTILE)
    memory = _plan([o.name for o in operators], owners)
    p = _model(operators, memory, warnings=HOSTILE, model=HOSTILE[0])
    return page_of(
        [p], title=HOSTILE[1], library=library, variants=[Variant("device", HOSTILE[2], "x", None, HOSTILE[3])]
    )


def page_of_names(names: Sequence[str], library: str) -> str:
    """A name as an operator's, its module's, a tensor's, the model's."""
    operators = tuple(_operator(i, f"{name}/{name}", 1e-5) for i, name in enumerate(names))
    owners = tuple(Owner(name, "activation", 1e6, 0.1, name, name) for name in names)
    return page_of(
        [_model(operators, _plan([o.name for o in operators], owners), model=names[0])], title=names[0], library=library
    )


def large_page(count: int, library: str = "") -> str:
    """A page of so many operators, half of which are unlike all others, in modules three deep."""
    generator = np.random.default_rng(7)
    times = generator.lognormal(-11.5, 1.0, count)
    operators = []
    for i in range(count):
        layer, part = divmod(i, 12)
        operators.append(
            _operator(
                i // 2, f"/model/layers.{layer}/{('attention', 'mlp', 'norm')[part % 3]}/MatMul_{i}", times[i // 2]
            )
        )
    return page_of([_model(tuple(operators), _plan([o.name for o in operators], ()))], library=library)


def _operator(i: int, name: str, seconds: float) -> OperatorPrediction:
    op, bound = (("gemm", "compute"), ("attention", "l2"), ("elementwise", "dram"), ("norm", "launch"))[i % 4]
    flops = 0.0 if i % 31 == 0 else 10 ** (6 + i % 7 + (i % 97) / 97)
    each = Estimate(seconds, 0.8 * seconds, 1.3 * seconds)
    watts = Estimate(300.0 + i % 300, 250.0, 700.0)
    return OperatorPrediction(
        name=name, op=op, shape=f"{i + 16}x{4096 + i % 5}x{128 * (1 + i % 9)}", dtype="bf16", count=1, flops=flops,
        bytes=1e4 * (1 + i % 1000), latency_s=each, latency_each_s=each, power_w=watts,
        energy_j=Estimate(watts.value * seconds, 0.0, 700.0 * seconds), bound=bound, source=("learned", "analytical")[i % 2],
        terms={"compute": 0.6 * seconds, "dram": 0.9 * seconds, "l2": 0.4 * seconds, "launch": 2.1e-6},
        tile={"tile_m": 128.0, "tile_n": 256.0, "split_k": 1.0, "tiles_per_unit": 3.0, "occupancy": 0.9, "miss": 0.5},
        power_source="analytical",
    )  # fmt: skip


def _plan(names: Sequence[str], owners: tuple[Owner, ...]) -> MemoryPlan:
    profile = 2e9 + 1e9 * np.sin(np.arange(len(names)) / 40.0) ** 2
    return MemoryPlan(
        runtime="engine", weights_bytes=1.5e9, activations_bytes=float(profile.max()) - 1.5e9, peak_node=names[0],
        nodes=tuple(names), profile=profile, owners=owners,
    )  # fmt: skip


def _model(operators: tuple[OperatorPrediction, ...], memory: MemoryPlan, **changes: Any) -> ModelPrediction:
    seconds = sum(o.latency_s.value for o in operators)
    joules = sum(o.energy_j.value for o in operators if o.energy_j is not None)
    fields: dict[str, Any] = {
        "operators": operators, "memory": memory, "latency_s": Estimate(seconds, 0.8 * seconds, 1.3 * seconds),
        "energy_j": Estimate(joules, 0.8 * joules, 1.2 * joules), "power_w": Estimate(joules / seconds, 250.0, 700.0),
        "peak_memory_bytes": memory.peak_bytes, "idle_power_w": 100.0, "power_limit_w": 700.0,
    }  # fmt: skip
    return prediction(**{**fields, **changes})


def write(path: Path, text: str) -> Path:
    """The page as a file that a browser can open."""
    path.write_text(text, encoding="utf-8")
    return path
