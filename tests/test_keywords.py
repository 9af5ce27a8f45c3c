"""Every public function, method and constructor answers a misspelt keyword argument with the nearest one."""

from __future__ import annotations

import inspect
import pickle
from collections.abc import Callable, Iterator
from contextlib import suppress
from typing import Any

import pytest
from documented import defined, documented_names

import perfmodel
from perfmodel.errors import MissingExtraError, checked_methods

MADE_BY_THE_THOUSAND = ("Estimate", "OperatorPrediction", "Node", "Tensor")
"""Records whose constructors are Python's: predictions and readers of large graphs would wait for the look at the names."""
BY_PLACE = ("Comparison", "GenerationComparison")
"""Lists, whose constructors take no keyword at all."""
ANY_NAME = (
    "Graph.bind", "Operator.bind", "Operator.replace", "Node.replace", "Pruning.early_config_prune", "Pruning.perf_model",
)  # fmt: skip
"""Methods that take names of dimensions, of fields, or of a kernel's arguments; those of fields have a test of their own."""
OF_DESCRIPTORS = ("Operator.dimension_names", "Operator.optional_dimension_names")
"""Without arguments, and called for each of a large graph's nodes."""
TYPES_ALONE = ("PredictorProtocol", "PredictionConditions", "Collector")
ERRORS = "perfmodel.errors"
"""Its functions are those of perfmodel's own modules, some called for each number of a file."""
TVM = "perfmodel.integrations.tvm.CostModel"
"""TVM makes the class that is called."""


def public() -> Iterator[tuple[str, Any]]:
    """What the pages of the reference and ``dir(perfmodel)`` list, by name; what is inside tuners where these are installed."""
    found = {name: getattr(perfmodel, name) for name in perfmodel.__all__}
    known = set(map(id, found.values()))
    for documented in documented_names():
        if documented == ERRORS:
            continue
        with suppress(MissingExtraError):
            for thing in defined(documented):
                name = getattr(thing, "__name__", "")
                if id(thing) not in known:
                    found[documented if documented.endswith(f".{name}") else f"{documented}.{name}"] = thing
    for name, thing in found.items():
        of_types = inspect.isclass(thing) and (issubclass(thing, Exception) or thing.__name__ in TYPES_ALONE)
        if callable(thing) and not of_types and name != TVM:
            yield name, thing


def callables() -> Iterator[tuple[str, Callable[..., Any]]]:
    """The public functions, and the constructors and public methods of the public classes."""
    seen = set()
    for name, thing in public():
        if not inspect.isclass(thing):
            yield name, thing
            continue
        if thing.__name__ not in (*MADE_BY_THE_THOUSAND, *BY_PLACE):
            yield thing.__name__, thing
        for cls in thing.__mro__:
            for method, member in vars(cls).items() if cls.__module__.startswith("perfmodel.") else ():
                what = f"{cls.__name__}.{method}"
                function = getattr(member, "__func__", member)
                if method[0] == "_" or what in seen or not inspect.isfunction(function):
                    continue
                seen.add(what)
                if what not in (*ANY_NAME, *OF_DESCRIPTORS):
                    yield what, function


CALLABLES = dict(callables())


def test_what_is_asked() -> None:
    expected = {
        "load", "load_device", "device_ids", "grid_region", "Predictor.predict", "ModelPrediction.cost",
        "ModelPrediction.power_profile", "Comparison.to_pandas", "perfmodel.calibrate.measure", "perfmodel.datasets.load",
        "perfmodel.exchange.timeline.timeline", "perfmodel.testing.check_predictor", "Device", "Gemm", "Ranker.suggest",
        "perfmodel.rank.prepare", "Space.from_dict", "perfmodel.export.artefact", "perfmodel.importing.import_traces",
        "perfmodel.integrations.triton.pruning", "Strategy.tune", "Target.of", "perfmodel.integrations.iree.tune",
        "Characterisation.to_dict", "perfmodel.datasets.splits.folds_of", "perfmodel.collect.meters.open_meter",
        "perfmodel.collect.collectors.collector",
    }  # fmt: skip
    assert expected <= CALLABLES.keys()


@pytest.mark.parametrize("what", CALLABLES)
def test_a_misspelt_keyword_is_answered_with_the_nearest(what: str) -> None:
    kinds = (inspect.Parameter.POSITIONAL_OR_KEYWORD, inspect.Parameter.KEYWORD_ONLY)
    parameters = inspect.signature(CALLABLES[what]).parameters.values()
    names = [p.name for p in parameters if p.kind in kinds and p.name not in ("self", "cls")]
    for name in names:
        with pytest.raises(perfmodel.KeywordError, match=rf" has no argument '{name}x': did you mean .*'{name}'"):
            CALLABLES[what](**{f"{name}x": None})
    with pytest.raises(perfmodel.KeywordError, match=r"'qq': (known: |did you mean |it takes none)"):
        CALLABLES[what](qq=None)


def test_fields_of_copies() -> None:
    gemm = perfmodel.Gemm(m=1, n=1, k=1, dtype="bf16")
    from perfmodel.graph import Node

    assert Node("a", gemm).replace(count=2).count == 2
    for record, wrong, right in ((gemm, "batsh", "batch"), (Node("a", gemm), "cuont", "count")):
        with pytest.raises(perfmodel.KeywordError, match=f"no argument '{wrong}': did you mean '{right}'"):
            record.replace(**{wrong: 2})


@checked_methods()
class Scale:
    """Something with a method of each kind."""

    def __init__(self, factor: int = 1) -> None:
        self.factor = factor

    def times(self, value: int, *, plus: int = 0) -> int:
        """``factor * value + plus``."""
        return self.factor * value + plus

    @classmethod
    def double(cls, times: int = 1) -> Scale:
        """By two, so often."""
        return cls(2**times)

    @staticmethod
    def unit(name: str = "m") -> str:
        """The unit."""
        return name

    def wrong(self, value: Any) -> Any:
        """Fails within."""
        return value + "text"

    def anything(self, **names: int) -> list[str]:
        """What it is given."""
        return list(names)


class Offset(Scale):
    """A constructor of its own."""

    def __init__(self, *, offset: int) -> None:
        super().__init__(offset)


def test_classes_are_what_they_were() -> None:
    scale = Scale(factor=3)
    assert (scale.times(2, plus=1), Scale.double(times=2).factor, Scale.unit(name="s")) == (7, 4, "s")
    assert scale.anything(any=1) == ["any"]
    assert Offset(offset=2).times(value=5) == 10
    assert pickle.loads(pickle.dumps(scale)).factor == 3
    assert str(inspect.signature(Scale.times)) == "(self, value: 'int', *, plus: 'int' = 0) -> 'int'"
    assert (Scale.times.__doc__, Scale.double().times(1)) == ("``factor * value + plus``.", 2)


def test_errors_within_are_those_of_before() -> None:
    with pytest.raises(TypeError, match="unsupported operand") as failed:
        Scale().wrong(1)
    assert not isinstance(failed.value, perfmodel.KeywordError)
    times: Callable[..., Any] = Scale().times
    with pytest.raises(TypeError, match="missing 1 required positional argument: 'value'") as failed:
        times(plus=1)
    assert not isinstance(failed.value, perfmodel.KeywordError)
    calls: tuple[Callable[..., Any], ...] = (Scale.double, Scale.unit, times, Scale, Scale.double().wrong)
    for call in calls:
        with pytest.raises(perfmodel.KeywordError, match="no argument 'qq'"):
            call(qq=1)
