"""Latency, power and energy of a model file or an operator on a named device.

    >>> import perfmodel
    >>> p = perfmodel.predict("model.onnx", device="h100-sxm", dims={"batch": 8})  # doctest: +SKIP
    >>> p.latency_s.value, p.latency_s.low, p.latency_s.high  # doctest: +SKIP

Every public name is loaded on first use (PEP 562), so that ``import perfmodel`` costs next to nothing.
"""

from __future__ import annotations

import sys
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from perfmodel.errors import DescriptorError as DescriptorError
    from perfmodel.errors import DeviceError as DeviceError
    from perfmodel.errors import DownloadError as DownloadError
    from perfmodel.errors import DtypeError as DtypeError
    from perfmodel.errors import InputError as InputError
    from perfmodel.errors import KeywordError as KeywordError
    from perfmodel.errors import MeterError as MeterError
    from perfmodel.errors import MissingExtraError as MissingExtraError
    from perfmodel.errors import ModelFileError as ModelFileError
    from perfmodel.errors import PerfmodelError as PerfmodelError
    from perfmodel.errors import PredictorError as PredictorError
    from perfmodel.errors import TraceError as TraceError
    from perfmodel.errors import UnboundDimensionError as UnboundDimensionError
    from perfmodel.evaluate import evaluate as evaluate
    from perfmodel.features import read_onnx as read_onnx
    from perfmodel.graph import Graph as Graph
    from perfmodel.hardware import Device as Device
    from perfmodel.hardware import device_ids as device_ids
    from perfmodel.hardware import load_device as load_device
    from perfmodel.models.predictor import Predictor as Predictor
    from perfmodel.models.predictor import load as load
    from perfmodel.ops import Attention as Attention
    from perfmodel.ops import Collective as Collective
    from perfmodel.ops import Conv as Conv
    from perfmodel.ops import Copy as Copy
    from perfmodel.ops import Elementwise as Elementwise
    from perfmodel.ops import Embedding as Embedding
    from perfmodel.ops import Gemm as Gemm
    from perfmodel.ops import Moe as Moe
    from perfmodel.ops import Norm as Norm
    from perfmodel.ops import Pool as Pool
    from perfmodel.ops import Quantize as Quantize
    from perfmodel.ops import Reduce as Reduce
    from perfmodel.ops import Rnn as Rnn
    from perfmodel.ops import Softmax as Softmax
    from perfmodel.predict import Comparison as Comparison
    from perfmodel.predict import Estimate as Estimate
    from perfmodel.predict import ModelPrediction as ModelPrediction
    from perfmodel.predict import OperatorPrediction as OperatorPrediction
    from perfmodel.predict import compare as compare
    from perfmodel.predict import predict as predict
    from perfmodel.predict.energy import Hosts as Hosts
    from perfmodel.predict.energy import Prices as Prices
    from perfmodel.predict.energy import grid_region as grid_region
    from perfmodel.predict.generation import compare_generation as compare_generation
    from perfmodel.predict.generation import predict_generation as predict_generation
    from perfmodel.predict.generation_result import GenerationComparison as GenerationComparison
    from perfmodel.predict.generation_result import GenerationPrediction as GenerationPrediction
    from perfmodel.rank import Ranker as Ranker
    from perfmodel.rank import Ranking as Ranking
    from perfmodel.rank import rank as rank
    from perfmodel.report import report as report
    from perfmodel.train import train as train

    __version__: str

_MODULE_OF = {
    "Attention": "ops",
    "Collective": "ops",
    "Conv": "ops",
    "Copy": "ops",
    "Comparison": "predict",
    "DescriptorError": "errors",
    "Device": "hardware",
    "DeviceError": "errors",
    "DownloadError": "errors",
    "DtypeError": "errors",
    "Elementwise": "ops",
    "Embedding": "ops",
    "Estimate": "predict",
    "Gemm": "ops",
    "GenerationComparison": "predict.generation_result",
    "GenerationPrediction": "predict.generation_result",
    "Graph": "graph",
    "Hosts": "predict.energy",
    "InputError": "errors",
    "KeywordError": "errors",
    "MeterError": "errors",
    "MissingExtraError": "errors",
    "ModelFileError": "errors",
    "ModelPrediction": "predict",
    "Moe": "ops",
    "Norm": "ops",
    "OperatorPrediction": "predict",
    "PerfmodelError": "errors",
    "Pool": "ops",
    "Predictor": "models.predictor",
    "PredictorError": "errors",
    "Prices": "predict.energy",
    "Quantize": "ops",
    "Ranker": "rank",
    "Ranking": "rank",
    "Reduce": "ops",
    "Rnn": "ops",
    "Softmax": "ops",
    "TraceError": "errors",
    "UnboundDimensionError": "errors",
    "compare": "predict",
    "compare_generation": "predict.generation",
    "device_ids": "hardware",
    "load": "models.predictor",
    "load_device": "hardware",
    "evaluate": "evaluate",
    "grid_region": "predict.energy",
    "predict": "predict",
    "predict_generation": "predict.generation",
    "rank": "rank",
    "report": "report",
    "train": "train",
    "read_onnx": "features",
}
"""Every public name, and the module under perfmodel that defines it."""

__all__ = ["__version__", *_MODULE_OF]  # noqa: PLE0604 - the keys are strings


def __getattr__(name: str) -> Any:
    if name == "__version__":
        value: Any = _version()
    elif name in _MODULE_OF:
        from importlib import import_module

        value = getattr(import_module(f"perfmodel.{_MODULE_OF[name]}"), name)
    else:
        from perfmodel.errors import nearest

        hint = f": {nearest(name, _MODULE_OF)}" if name[:1] != "_" else ""
        raise AttributeError(f"module 'perfmodel' has no attribute {name!r}{hint}")
    globals()[name] = value
    return value


def __dir__() -> list[str]:
    return sorted({*__all__, *(name for name in globals() if name.startswith("__"))})


def _version() -> str:
    from importlib.metadata import PackageNotFoundError, version

    try:
        return version("perfmodel")
    except PackageNotFoundError:
        return "0+source"  # a checkout on the path that nobody installed


class _Package(type(sys)):  # type: ignore[misc]
    """Keeps ``perfmodel.predict`` the function.

    Some functions have their module's name. Importing a submodule binds it to its package, which would hide the
    function from everyone else in the process; ``from perfmodel.predict import …`` still finds the module.
    """

    def __setattr__(self, name: str, value: object) -> None:
        if not (name in _MODULE_OF and isinstance(value, type(sys))):
            super().__setattr__(name, value)


sys.modules[__name__].__class__ = _Package
