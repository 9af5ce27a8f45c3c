"""What onnxruntime's CPU arena says of itself, read through its C interface (the Python package does not expose it).

The functions of ``OrtApi`` are only ever appended to, so that their numbers hold for every release from 1.23 on, which
brought ``AllocatorGetStats`` (https://onnxruntime.ai/docs/api/c/struct_ort_api.html).
"""

from __future__ import annotations

import ctypes
import re
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import onnxruntime

_API_VERSION = 23
_FUNCTIONS = {
    "GetErrorMessage": 2, "CreateEnv": 3, "CreateSession": 7, "Run": 9, "CreateSessionOptions": 10,
    "DisableMemPattern": 17, "SetSessionGraphOptimizationLevel": 23, "SetIntraOpNumThreads": 24,
    "CreateTensorWithDataAsOrtValue": 49, "CreateCpuMemoryInfo": 69, "ReleaseEnv": 92, "ReleaseStatus": 93,
    "ReleaseMemoryInfo": 94, "ReleaseSession": 95, "ReleaseValue": 96, "ReleaseSessionOptions": 100,
    "AddFreeDimensionOverrideByName": 124, "AddSessionConfigEntry": 130, "CreateAllocator": 131,
    "ReleaseAllocator": 132, "CreateAndRegisterAllocator": 144, "CreateArenaCfg": 156, "ReleaseArenaCfg": 157,
    "GetKeyValue": 297, "ReleaseKeyValuePairs": 300, "AllocatorGetStats": 319,
}  # fmt: skip
_ELEMENT_TYPES = {
    "float32": 1, "uint8": 2, "int8": 3, "int32": 6, "int64": 7, "bool": 9, "float16": 10, "float64": 11,
}  # fmt: skip
_PTR = ctypes.c_void_p


@dataclass(frozen=True)
class ArenaStats:
    """Bytes that the arena hands out and holds; the caller's input buffers are no part of it.

    Attributes:
        in_use: handed out now.
        peak_in_use: the most that was handed out at once so far.
        allocated: what the arena took from the system.
    """

    in_use: int
    peak_in_use: int
    allocated: int


@dataclass(frozen=True)
class Measured:
    """One model: after loading (weights and what was packed of them), after the first run, after the second.

    The first run asks for each tensor as it comes; the second lays them out as the first one's pattern says, in one block.
    """

    loaded: ArenaStats
    first: ArenaStats
    second: ArenaStats


class _Api:
    def __init__(self) -> None:
        folder = Path(onnxruntime.__file__).parent / "capi"
        # Linux: libonnxruntime.so.1.x.y; macOS: libonnxruntime.1.x.y.dylib; Windows: onnxruntime.dll.
        found = sorted(p for p in folder.iterdir() if re.fullmatch(r"(lib)?onnxruntime\.(\d.*|so.*|dylib|dll)", p.name))
        if not found:
            raise OSError(f"no C library of onnxruntime in {folder}")
        library = ctypes.CDLL(str(found[-1]))
        library.OrtGetApiBase.restype = ctypes.POINTER(_PTR * 2)
        get_api = ctypes.cast(library.OrtGetApiBase().contents[0], ctypes.CFUNCTYPE(_PTR, ctypes.c_uint32))
        address = get_api(_API_VERSION)
        if not address:
            raise OSError(f"onnxruntime {onnxruntime.__version__} is older than 1.{_API_VERSION}")
        self._table = ctypes.cast(address, ctypes.POINTER(_PTR * (max(_FUNCTIONS.values()) + 1))).contents

    def plain(self, name: str, result: Any, *arguments: Any) -> Any:
        """Call a function that has no status; arguments are ctypes values."""
        kinds = [type(a) if isinstance(a, ctypes._SimpleCData) else _PTR for a in arguments]
        return ctypes.CFUNCTYPE(result, *kinds)(self._table[_FUNCTIONS[name]])(*arguments)

    def call(self, name: str, *arguments: Any) -> None:
        """Call a function that returns a status; OSError says what it says."""
        status = self.plain(name, _PTR, *arguments)
        if status:
            message = self.plain("GetErrorMessage", ctypes.c_char_p, _PTR(status)).decode()
            self.plain("ReleaseStatus", None, _PTR(status))
            raise OSError(f"onnxruntime: {name}: {message}")

    def made(self, name: str, *arguments: Any) -> ctypes.c_void_p:
        """Call a function whose last argument is where the object goes that it makes."""
        out = _PTR()
        self.call(name, *arguments, ctypes.cast(ctypes.byref(out), _PTR))
        return out


def measure(
    path: Path,
    feeds: Mapping[str, np.ndarray],
    outputs: list[str],
    *,
    dims: Mapping[str, int] | None = None,
    mem_pattern: bool = True,
    optimise: bool = True,
    exact: bool = False,
) -> Measured:
    """Run a model twice on one thread and read the arena's statistics in between.

    Args:
        path: an ONNX file with weights.
        feeds: every input.
        outputs: names of the outputs to fetch; the arena holds them until they are released after each run.
        dims: numbers for symbolic dimensions, so that onnxruntime too knows every shape when it plans.
        mem_pattern: onnxruntime's memory patterns (on by default there).
        optimise: all graph optimisations (default there), or none.
        exact: an arena that grows by what is asked for and splits every chunk: what is in use is then what was asked for
            (in units of 256 bytes). By default regions double in size, and a chunk is split only when it is twice as
            large as the request: up to half of what is in use may be padding.
    """
    api = _Api()
    env = api.made("CreateEnv", ctypes.c_int(3), ctypes.c_char_p(b"perfmodel"))
    options = api.made("CreateSessionOptions")
    api.call("SetIntraOpNumThreads", options, ctypes.c_int(1))
    api.call("SetSessionGraphOptimizationLevel", options, ctypes.c_int(99 if optimise else 0))
    for name, size in (dims or {}).items():
        text = ctypes.c_char_p(name.encode())
        api.call("AddFreeDimensionOverrideByName", options, text, ctypes.c_int64(size))
    if not mem_pattern:
        api.call("DisableMemPattern", options)
    if exact:
        arena_memory = api.made("CreateCpuMemoryInfo", ctypes.c_int(1), ctypes.c_int(0))
        # No limit; extended as requested; the default first chunk; at most one byte left over in a chunk.
        config = api.made("CreateArenaCfg", ctypes.c_size_t(0), ctypes.c_int(1), ctypes.c_int(-1), ctypes.c_int(1))
        api.call("CreateAndRegisterAllocator", env, arena_memory, config)
        api.plain("ReleaseArenaCfg", None, config)
        api.plain("ReleaseMemoryInfo", None, arena_memory)
        key, on = ctypes.c_char_p(b"session.use_env_allocators"), ctypes.c_char_p(b"1")
        api.call("AddSessionConfigEntry", options, key, on)
    session = api.made("CreateSession", env, ctypes.c_char_p(str(path).encode()), options)
    info = api.made("CreateCpuMemoryInfo", ctypes.c_int(1), ctypes.c_int(0))
    arena = api.made("CreateAllocator", session, info)
    try:
        loaded = _stats(api, arena)
        _run(api, session, info, feeds, outputs)
        first = _stats(api, arena)
        _run(api, session, info, feeds, outputs)
        return Measured(loaded, first, _stats(api, arena))
    finally:
        for kind, handle in (
            ("Allocator", arena), ("MemoryInfo", info), ("Session", session), ("SessionOptions", options), ("Env", env)
        ):  # fmt: skip
            api.plain(f"Release{kind}", None, handle)


def _stats(api: _Api, arena: ctypes.c_void_p) -> ArenaStats:
    pairs = api.made("AllocatorGetStats", arena)

    def read(key: bytes) -> int:
        text = api.plain("GetKeyValue", ctypes.c_char_p, pairs, ctypes.c_char_p(key))
        return 0 if text is None else int(text)

    stats = ArenaStats(read(b"InUse"), read(b"MaxInUse"), read(b"TotalAllocated"))
    api.plain("ReleaseKeyValuePairs", None, pairs)
    return stats


def _run(
    api: _Api, session: ctypes.c_void_p, info: ctypes.c_void_p, feeds: Mapping[str, np.ndarray], outputs: list[str]
) -> None:
    arrays = {name: np.ascontiguousarray(a) for name, a in feeds.items()}
    values = (_PTR * len(arrays))()
    for i, a in enumerate(arrays.values()):
        shape = (ctypes.c_int64 * a.ndim)(*a.shape)
        values[i] = api.made(
            "CreateTensorWithDataAsOrtValue", info, _PTR(a.ctypes.data), ctypes.c_size_t(a.nbytes),
            ctypes.cast(shape, _PTR), ctypes.c_size_t(a.ndim), ctypes.c_int(_ELEMENT_TYPES[a.dtype.name]),
        ).value  # fmt: skip
    names = (ctypes.c_char_p * len(arrays))(*(n.encode() for n in arrays))
    wanted = (ctypes.c_char_p * len(outputs))(*(n.encode() for n in outputs))
    results = (_PTR * len(outputs))()
    try:
        api.call(
            "Run", session, _PTR(), ctypes.cast(names, _PTR), ctypes.cast(values, _PTR), ctypes.c_size_t(len(arrays)),
            ctypes.cast(wanted, _PTR), ctypes.c_size_t(len(outputs)), ctypes.cast(results, _PTR),
        )  # fmt: skip
    finally:
        for value in (*values, *results):
            if value:
                api.plain("ReleaseValue", None, _PTR(value))
