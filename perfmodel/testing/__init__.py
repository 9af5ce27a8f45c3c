"""The contract of a predictor as checks, for people who write their own.

    from perfmodel.testing import check_predictor
    check_predictor(my_predictor)                       # AssertionError with a line for every broken promise

With pytest, one test a promise::

    @pytest.mark.parametrize(("name", "check"), perfmodel.testing.checks(devices=["h100-sxm"]))
    def test_promise(name, check):
        check(my_predictor)

Nothing here needs pytest. The promises are those of :data:`perfmodel.testing.promises.PROMISES`.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence

from perfmodel.errors import InputError, checked_keywords, nearest
from perfmodel.hardware import Device
from perfmodel.models.protocol import PredictorProtocol
from perfmodel.ops import Operator
from perfmodel.testing.promises import PROMISES, Promise, Scope
from perfmodel.testing.samples import DEVICES, EXTREMES, SAMPLES

Check = Callable[[PredictorProtocol], None]
"""Takes a predictor; raises AssertionError, in one line, where it breaks the promise."""


@checked_keywords()
def checks(
    *,
    ops: Sequence[Operator] = SAMPLES,
    extremes: Sequence[Operator] | None = None,
    devices: Sequence[Device | str] = DEVICES,
    reload: Callable[[], PredictorProtocol] | None = None,
    expected_to_fail: Mapping[str, str] | None = None,
) -> list[tuple[str, Check]]:
    """Every promise as a name and a check.

    Args:
        ops: operators that the predictor covers, one kernel each (no views). A predictor of GEMMs alone is given GEMMs.
        extremes: absurdly small and large ones; None means those of :data:`EXTREMES` whose families are among ``ops``.
        devices: what it predicts for: ids, records, or paths of device TOMLs.
        reload: saves the predictor and loads it again, or loads anew what was saved; without it a predictor that has
            ``save(folder)`` is saved, and loaded with the ``load(folder)`` of its class; one that has neither makes no promise.
        expected_to_fail: by name of a promise, why it is known to be broken; such checks are left out.

    Raises:
        InputError: no operator, no device, or a promise of an unknown name.
    """
    if not ops or not devices:
        raise InputError("the contract suite needs at least one operator and one device")
    excused = dict(expected_to_fail or {})
    for name in excused:
        if name not in PROMISES:
            raise InputError(f"unknown promise {name!r}: {nearest(name, PROMISES)}")
    families = {op.op for op in ops}
    extremes = [op for op in EXTREMES if op.op in families] if extremes is None else extremes
    scope = Scope(tuple(ops), tuple(extremes), tuple(devices), reload)
    return [(name, _check(name, promise, scope)) for name, promise in PROMISES.items() if name not in excused]


@checked_keywords()
def check_predictor(
    predictor: PredictorProtocol,
    *,
    ops: Sequence[Operator] = SAMPLES,
    extremes: Sequence[Operator] | None = None,
    devices: Sequence[Device | str] = DEVICES,
    reload: Callable[[], PredictorProtocol] | None = None,
    expected_to_fail: Mapping[str, str] | None = None,
) -> None:
    """Holds a predictor against every promise; arguments as for :func:`checks`.

    Raises:
        AssertionError: one line for each broken promise.
        InputError: as :func:`checks`.
    """
    broken: list[str] = []
    for _, check in checks(
        ops=ops, extremes=extremes, devices=devices, reload=reload, expected_to_fail=expected_to_fail
    ):
        try:
            check(predictor)
        except AssertionError as error:
            broken.append(str(error))
    if broken:
        raise AssertionError("\n".join(broken))


def _check(name: str, promise: Promise, scope: Scope) -> Check:
    def check(predictor: PredictorProtocol) -> None:
        lines = []
        try:
            lines = list(promise(predictor, scope))
        except Exception as error:  # whatever a predictor raises where it should not
            lines = [f"predict raised {type(error).__name__}: {' '.join(str(error).split())}"]
        if lines:
            more = f" (and {len(lines) - 1} more)" if len(lines) > 1 else ""
            raise AssertionError(f"{name}: {lines[0]}{more}")

    check.__name__ = f"check_{name}"
    check.__doc__ = promise.__doc__
    return check


__all__ = ["DEVICES", "EXTREMES", "PROMISES", "SAMPLES", "Check", "check_predictor", "checks"]
