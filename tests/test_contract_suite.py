"""The contract suite: our predictors keep every promise, and a predictor that breaks one is told which."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field, fields, replace
from importlib import import_module
from itertools import count
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from model_doubles import booster_bytes, predictor, residual, tree, write_predictor

import perfmodel
from perfmodel.errors import InputError, PredictorError
from perfmodel.features.vector import feature_schema
from perfmodel.models.predictor import Estimates, Predictor
from perfmodel.models.protocol import PredictorProtocol
from perfmodel.ops import Gemm, Operator, Softmax
from perfmodel.testing import PROMISES, check_predictor, checks

OPS = (
    Gemm(m=300, n=512, k=512, dtype="bf16"), Gemm(batch=8, m=16, n=64, k=64, dtype="fp16"),
    Softmax(rows=64, cols=100, dtype="fp32"),
)  # fmt: skip
EXTREMES = (Gemm(m=1, n=1, k=1, dtype="bf16"), Gemm(m=2**40, n=1, k=2**24, dtype="fp16"))
BASE = Predictor()


# ------------------------------------------------------------------------------------------------------ ours keep all
@pytest.mark.parametrize(("name", "check"), checks(reload=Predictor))
def test_the_analytical_model(name: str, check: Callable[[PredictorProtocol], None]) -> None:
    check(BASE)


def test_a_learned_one(tmp_path: Path) -> None:
    """Two stacks whose trees differ, saved, and leaned upon by a sibling."""
    write_predictor(tmp_path / "mine", ("h100-sxm", "bf16", (0.5, 0.4)), ("l40s", "fp16", (-0.2,)))
    loaded = perfmodel.load(tmp_path / "mine")
    devices = ("h100-sxm", "h200-sxm", "l40s")
    check_predictor(
        loaded,
        ops=OPS,
        devices=devices,
        reload=lambda: perfmodel.load(tmp_path / "mine"),
    )


def test_a_trained_one(tmp_path: Path) -> None:
    pytest.importorskip("xgboost", reason="training needs the extra train")
    from test_train import synthetic

    import_module("perfmodel.train").train(synthetic(12), tmp_path / "small")
    trained = perfmodel.load(tmp_path / "small")
    check_predictor(trained, ops=OPS, devices=("h100-sxm",), reload=lambda: perfmodel.load(tmp_path / "small"))


def test_the_shipped_one() -> None:
    try:
        shipped = perfmodel.load("default")
    except PredictorError as error:
        pytest.skip(f"the shipped predictor has to be trained again: {error}")
    check_predictor(shipped, reload=lambda: perfmodel.load("default"))


def test_gemms_alone() -> None:
    """A predictor that refuses other families is asked for its own."""

    @dataclass
    class GemmsAlone(Double):
        def predict(self, ops: Any, device: Any, **options: Any) -> Any:
            asked = ops if isinstance(ops, list) else [ops]
            if any(isinstance(op, Softmax) for op in asked):
                raise InputError("softmax is not predicted")
            return super().predict(ops, device, **options)

    check_predictor(GemmsAlone(), ops=OPS[:2], devices=["h100-sxm"])
    with pytest.raises(
        AssertionError, match="finite_and_positive: predict raised InputError: softmax is not predicted"
    ):
        check_predictor(GemmsAlone(), ops=OPS, devices=["h100-sxm"])


# -------------------------------------------------------------------------------------------------- broken ones are told
Change = Callable[[Estimates, Any, Mapping[str, Any]], Any]


@dataclass
class Double:
    """The analytical model with its answers, or the way it answers, changed."""

    change: Change = lambda answer, ops, options: answer
    name: str = "double"
    state: Any = field(default_factory=count)

    def predict(self, ops: Any, device: Any, **options: Any) -> Any:
        return self.change(BASE.predict(ops, device, **options), ops, options)


def scaled(factor: Any, *names: str) -> Change:
    """Some figures of an answer times a factor."""
    return lambda answer, ops, options: replace(answer, **{n: getattr(answer, n) * factor for n in names})


def first_row(value: float, name: str) -> Change:
    """One figure of the first row replaced."""

    def change(answer: Estimates, ops: Any, options: Any) -> Estimates:
        changed = getattr(answer, name).copy()
        changed[:1] = value
        return replace(answer, **{name: changed})

    return change


class EnergyOfItsOwn(Estimates):
    @property
    def energy_j(self) -> np.ndarray:
        return self.power_w * self.latency_s * 1.01


def energetic(answer: Estimates, ops: Any, options: Any) -> Estimates:
    return EnergyOfItsOwn(**{f.name: getattr(answer, f.name) for f in fields(answer)})


def by_position(answer: Estimates, ops: Any, options: Any) -> Estimates:
    """A little slower the further down a row stands; the first one, and so each alone, is right."""
    return scaled(1 + 1e-6 * np.arange(len(answer)), "latency_s", "latency_high_s")(answer, ops, options)


def by_neighbour(answer: Estimates, ops: Any, options: Any) -> Estimates:
    return scaled(1 + 1e-6 * (len(answer) - 1), "latency_s", "latency_high_s")(answer, ops, options)


def slow_tables(answer: Estimates, ops: Any, options: Any) -> Estimates:
    factor = 1.001 if isinstance(ops, Mapping) else 1.0
    return scaled(factor, "latency_s", "latency_high_s")(answer, ops, options)


def faster_under_a_cap(answer: Estimates, ops: Any, options: Mapping[str, Any]) -> Estimates:
    return scaled(0.5 if options.get("power_limit_w") else 1, "latency_s", "latency_low_s")(answer, ops, options)


def fast_batches(answer: Estimates, ops: Any, options: Any) -> Estimates:
    """A batch of 64 or more finds a better kernel, which a small one could have taken as well."""
    batch = np.asarray(ops.batch if isinstance(ops, Gemm) else 1.0)
    return scaled(np.where(batch >= 64, 0.4, 1.0), "latency_s", "latency_low_s")(answer, ops, options)


def writes_into_its_table(answer: Estimates, ops: Any, options: Any) -> Estimates:
    if isinstance(ops, dict) and "m" in ops:
        ops["m"][0] += 1
    return answer


def drifting() -> Change:
    calls = count()

    def change(answer: Estimates, ops: Any, options: Any) -> Estimates:
        return scaled(1 + 1e-15 * next(calls), "latency_high_s")(answer, ops, options)

    return change


class Forgiving(Double):
    """Takes what it does not know for something that it does."""

    def __init__(self, **instead: Any) -> None:
        super().__init__()
        self.instead = instead

    def predict(self, ops: Any, device: Any, **options: Any) -> Any:
        options.pop("software", None)
        if "device" in self.instead and device == "h001-mxs":
            device = self.instead["device"]
        if isinstance(ops, Mapping) and "op" in self.instead:
            ops = dict(ops) | {"op": ["gemm"]}
        if isinstance(ops, Mapping) and "dtype" in self.instead:
            ops = dict(ops) | {"dtype": [self.instead["dtype"]] * len(ops["dtype"])}
        if isinstance(ops, Operator) and "dim" in self.instead and ops.free_dims:
            ops = ops.bind(s=self.instead["dim"])
        return BASE.predict(ops, device, **options)


class KeyErrors(Double):
    """Does not look before it leaps."""

    def predict(self, ops: Any, device: Any, **options: Any) -> Any:
        if isinstance(device, str):
            device = {"h100-sxm": "h100-sxm"}[device]
        return BASE.predict(ops, device, **options)


class Silent(Double):
    """Refuses without a word."""

    def predict(self, ops: Any, device: Any, **options: Any) -> Any:
        if options.get("software"):
            raise InputError("")
        return BASE.predict(ops, device, **options)


class AtLeastOne(Double):
    """Answers something where nothing is asked."""

    def predict(self, ops: Any, device: Any, **options: Any) -> Any:
        return BASE.predict(ops if not isinstance(ops, list) or ops else OPS[0], device, **options)


class OverflowsAt(Double):
    """Counts FLOPs in 64-bit integers."""

    def predict(self, ops: Any, device: Any, **options: Any) -> Any:
        answer = BASE.predict(ops, device, **options)
        if isinstance(ops, list):
            huge = np.array([float(op.flops) > 2.0**63 for op in ops])
            return replace(answer, latency_s=np.where(huge, -answer.latency_s, answer.latency_s))
        return answer


class Nameless:
    def predict(self, ops: Any, device: Any, **options: Any) -> Any:
        return BASE.predict(ops, device, **options)


def stacks(answer: Estimates, ops: Any, options: Mapping[str, Any]) -> Estimates:
    """Every name is a stack of its own, unknown ones too."""
    factor = 1.1 if options.get("software") else 1.0
    return scaled(factor, "latency_s", "latency_high_s")(answer, ops, options)


def short(answer: Estimates, ops: Any, options: Any) -> Estimates:
    return replace(answer, workspace_bytes=answer.workspace_bytes[:1])


BROKEN: list[tuple[str, Any, str]] = [
    ("offers_the_protocol", Nameless(), r"Nameless has no name"),
    ("offers_the_protocol", Double(name=""), r"its name is ''; wanted a text"),
    (
        "offers_the_protocol",
        Double(short),
        r"workspace_bytes of 3 operators is of shape \(1,\); wanted the shape \(3,\)",
    ),
    (
        "finite_and_positive",
        Double(first_row(np.nan, "latency_s")),
        r"latency_s of gemm .* m=300 .* h100-sxm is nan; wanted",
    ),
    ("finite_and_positive", Double(first_row(0.0, "power_w")), r"power_w of gemm .* is 0; wanted .* \(and 1 more\)"),
    ("energy_is_power_times_latency", Double(energetic), r"energy_j of gemm .* wanted power_w x latency_s"),
    (
        "never_below_the_floor",
        Double(scaled(0.01, "latency_s", "latency_low_s", "floor_s")),
        r"latency_s of gemm .* the physical floor is",
    ),
    (
        "interval_holds_the_estimate",
        Double(first_row(1.0, "latency_low_s")),
        r"latency of gemm .* in \[1, .* wanted 0 < low",
    ),
    ("power_within_the_limit", Double(first_row(701.0, "power_w")), r"power_w of gemm .* is 701; the limit is 700"),
    (
        "power_within_the_limit",
        Double(faster_under_a_cap),
        r"gemm .* takes .* s under 490 W and .* s without; wanted no less",
    ),
    ("deterministic", Double(drifting()), r"latency_high_s of gemm .* asked again is .*, not"),
    ("one_by_one", Double(by_position), r"latency_s of gemm .* asked alone is"),
    ("one_by_one", Double(by_neighbour), r"latency_s of gemm .* asked alone is"),
    ("order_of_rows", Double(by_position), r"latency_s of .* in another order is"),
    ("tables_and_sweeps", Double(slow_tables), r"latency_s of .* as a table is"),
    ("inputs_not_mutated", Double(writes_into_its_table), r"the column 'm' of a table of gemm is changed by predict"),
    ("unknown_dtype", Forgiving(dtype="bf16"), r"a gemm of the dtype 'bf61' is accepted; wanted a PerfmodelError"),
    ("unknown_device", Forgiving(device="h100-sxm"), r"the device 'h001-mxs' is accepted"),
    ("unknown_device", KeyErrors(), r"the device 'h001-mxs' ends in KeyError; wanted a PerfmodelError of one line"),
    ("unknown_software", Double(stacks), r"latency_s of gemm .* with an unknown software, which was not refused, is"),
    ("unknown_software", Silent(), r"the error for the software 'no-such-stack-0.0' has 0 lines; wanted one"),
    ("unknown_family", Forgiving(op="gemm"), r"the family 'gmem' is accepted"),
    ("open_dimensions", Forgiving(dim=4), r"a gemm with the open dimension s is accepted"),
    ("nothing_asked", AtLeastOne(), r"latency_s of an empty list has the shape \(1,\); wanted \(0,\)"),
    (
        "tiny_and_huge",
        OverflowsAt(),
        r"latency_s of gemm batch=1 m=1.09951e\+12 .* is -.*; wanted a finite number above 0",
    ),
    (
        "more_work_is_not_faster",
        Double(fast_batches),
        r"gemm .* takes .* s at batch 32 and .* s at batch 64; wanted no less",
    ),
]


@pytest.mark.parametrize(("promise", "broken", "line"), BROKEN)
def test_a_broken_promise_is_told(promise: str, broken: Any, line: str) -> None:
    by_name = dict(checks(ops=OPS, extremes=EXTREMES, devices=["h100-sxm"]))
    by_name[promise](BASE)
    with pytest.raises(AssertionError, match=f"^{promise}: {line}") as error:
        by_name[promise](broken)
    assert len(str(error.value).splitlines()) == 1


def test_a_predictor_that_loads_as_something_else(tmp_path: Path) -> None:
    """Handed in as a function, and saved through methods of its own."""
    slower = Double(scaled(1.01, "latency_s", "latency_high_s"))
    by_name = dict(checks(ops=OPS, devices=["h100-sxm"], reload=lambda: slower))
    with pytest.raises(AssertionError, match=r"^save_and_load: latency_s of gemm .* loaded again is"):
        by_name["save_and_load"](BASE)

    class Saved(Double):
        def save(self, folder: Path) -> None:
            folder.mkdir()
            (folder / "name").write_text(self.name)

        @classmethod
        def load(cls, folder: Path) -> Double:
            return cls() if (folder / "name").read_text() == "good" else slower

    by_name = dict(checks(ops=OPS, devices=["h100-sxm"]))
    by_name["save_and_load"](Saved(name="good"))
    with pytest.raises(AssertionError, match="loaded again"):
        by_name["save_and_load"](Saved(name="bad"))


def test_every_promise_has_a_predictor_that_breaks_it() -> None:
    assert {promise for promise, _, _ in BROKEN} | {"save_and_load"} == set(PROMISES)


def test_all_broken_promises_at_once() -> None:
    with pytest.raises(AssertionError) as error:
        check_predictor(Double(scaled(-1.0, "power_w")), ops=OPS, devices=["h100-sxm"])
    lines = str(error.value).splitlines()
    assert [line.partition(":")[0] for line in lines] == [
        "finite_and_positive", "interval_holds_the_estimate", "tiny_and_huge",
    ]  # fmt: skip
    check_predictor(
        Double(scaled(-1.0, "power_w")),
        ops=OPS,
        devices=["h100-sxm"],
        expected_to_fail=dict.fromkeys(
            ["finite_and_positive", "interval_holds_the_estimate", "tiny_and_huge"], "a generator"
        ),
    )


def test_what_the_suite_refuses() -> None:
    with pytest.raises(InputError, match="unknown promise 'one_by_on': did you mean 'one_by_one'"):
        list(checks(expected_to_fail={"one_by_on": "why"}))
    with pytest.raises(InputError, match="at least one operator and one device"):
        check_predictor(BASE, ops=[])


def test_two_products_are_not_faster_than_one() -> None:
    """A residual of single products says 1.65 times the physics for one; batches are mostly the physics alone."""
    learned = predictor(residual("h100-sxm"), constants=None)
    check_predictor(learned, ops=OPS, devices=["h100-sxm"])
    # Bound by launches: what is more work takes no longer until there is much of it.
    small = Gemm(m=16, n=64, k=64, dtype="bf16")
    one, three, four, thousand = (
        learned.predict(small.replace(batch=b), "h100-sxm").latency_s[0] for b in (1, 3, 4, 1000)
    )
    assert one == three == four
    assert thousand >= four
    assert one / BASE.predict(small, "h100-sxm").latency_s[0] == pytest.approx(1.6487, rel=1e-4)


def test_measured_batches_grow_too() -> None:
    """Trees that fall by e^2 from a batch of 16 on, where batches of up to 4096 were measured."""
    column = feature_schema("gemm").names.index("log2_batch")
    packed = booster_bytes([tree((column, 4.0, 1, 2, False), (1.0,), (-1.0,))], 1)
    support = {**residual().support, "log2_batch": (0.0, 12.0)}
    learned = predictor(residual("h100-sxm", read=lambda: packed, support=support), constants=None)
    small = Gemm(batch=2.0 ** np.arange(18), m=16, n=64, k=64, dtype="bf16")
    latency = learned.predict(small, "h100-sxm").latency_s
    assert (np.diff(latency) >= 0).all()
    assert latency[4] == latency[3]  # 16 products, which the trees say take a seventh
    one_by_one = [learned.predict(small.replace(batch=b), "h100-sxm").latency_s[0] for b in (12.0, 24.0, 48.0)]
    assert one_by_one == sorted(one_by_one)
