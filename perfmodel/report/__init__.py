"""``perfmodel report``: what a model costs, as one page that opens offline in any browser.

===============  =============================================================================
``figures``      one prediction as the page shows it: headline, kinds of operators, memory, power
``ceilings``     the lines of the roofline
``names``        names from files: on one line, not too long, none that turns text around
``places``       the module that an operator belongs to, where its name does not say
``modules``      the tree of modules that the operators' names spell
``what_if``      the same model under other batches, formats, devices, launches
``request``      a generation request: its figures, its course over the tokens, the runs to look into
``caveats``      what was extrapolated, assumed or not modelled
``crossover``    several devices over a dimension: who is cheaper from where on, and which no other beats
``page``         HTML around all of it, escaped, with a policy that lets no other code run
``vega``         the plotting library, as one script, from the package that brings it
``assets``       style and scripts of the page
===============  =============================================================================
"""

from __future__ import annotations

import os
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from typing import TYPE_CHECKING, Any, Unpack

from perfmodel.errors import InputError, checked_keywords
from perfmodel.predict.conditions import CONDITIONS, PredictionConditions, device_list, distinct_devices

if TYPE_CHECKING:
    from perfmodel.graph import Graph
    from perfmodel.hardware import Device
    from perfmodel.predict.energy.cost import Prices
    from perfmodel.predict.generation_result import GenerationPrediction
    from perfmodel.predict.result import ModelPrediction

MOST_DEVICES = 8
"""Devices that one page holds."""

Progress = Callable[[str], None]
"""Is called with a line that says what is done next."""


@checked_keywords(CONDITIONS)
def report(
    model: str | os.PathLike[str] | Graph | Any,
    devices: str | os.PathLike[str] | Device | Sequence[str | os.PathLike[str] | Device],
    *,
    what_if: bool = True,
    prompt: int | None = None,
    generate: int | None = None,
    prices: Prices | None = None,
    progress: Progress | None = None,
    predicted: Callable[[ModelPrediction | GenerationPrediction], None] | None = None,
    **conditions: Unpack[PredictionConditions],
) -> str:
    """A self-contained HTML page about what a model costs on one or several devices.

    Args:
        model: as for :func:`perfmodel.predict`.
        devices: one as there, or at most :data:`MOST_DEVICES`; the page opens with the first.
        what_if: whether to predict also other batches, formats, devices and launches; not for a request.
        prompt, generate: tokens of each sequence that are given and that come out, as for
            :func:`perfmodel.predict_generation`: the page is about the whole request, prefill and decode. None: about one run.
        prices: what carbon and money follow from; None: the page says what it would need.
        progress: is told what is done next.
        predicted: is given the prediction of each device, in order.
        conditions: ``dims``, ``dtype`` and all other keyword arguments of :func:`perfmodel.predict`.

    Returns:
        the page's text, UTF-8 once it is written.

    Raises:
        InputError: as :func:`perfmodel.predict`, or the wrong number of devices, or two with one id, or one
            of ``prompt`` and ``generate`` alone.
        MissingExtraError: the plotting library is not installed (the extra ``report``).
    """
    from perfmodel.report import figures, page, request, vega
    from perfmodel.report.what_if import Study

    chosen = device_list(devices, "a report")
    if len(chosen) > MOST_DEVICES:
        raise InputError(f"a report has 1 to {MOST_DEVICES} devices; got {len(chosen)}")
    request.check_request(prompt, generate)
    distinct_devices(chosen)
    say, tell = progress or (lambda line: None), predicted or (lambda prediction: None)
    vega.check_installed()
    # Making the library's script takes seconds of another core, the predictions of this one.
    with ThreadPoolExecutor(1) as pool:
        library = pool.submit(vega.script)
        say("reading the model")
        if prompt is not None and generate is not None:
            of_devices, title = request.study(model, chosen, prompt, generate, conditions, prices, tell, say)
            say("writing the page")
            return page.request_page(of_devices, title, library.result())
        study = Study.of(model, chosen, conditions)
        found = list(study.predictions(say))
        for prediction, _ in found:
            tell(prediction)
        megahertz = conditions.get("clock_mhz")
        clock_hz = None if megahertz is None else 1e6 * megahertz
        shown = [
            figures.device_figures(p, record, study.predictor, prices, clock_hz, study.operator_paths(p))
            for p, record in found
        ]
        variants = study.variants(say) if what_if else []
        say("writing the page")
        return page.report_page(shown, variants, study.title, library.result())


__all__ = ["MOST_DEVICES", "report"]
