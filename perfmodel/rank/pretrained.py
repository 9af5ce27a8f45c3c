"""What other devices took for the configurations of a space: tables of ln(measured / physics), one a device.

A shipped ranker is a folder with ``ranker.json`` and one gzipped file of tables for each space and device, with their hashes.
"""

from __future__ import annotations

import gzip
import io
import json
from collections.abc import Mapping
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path
from typing import Any

from perfmodel.errors import PredictorError
from perfmodel.models import artefact
from perfmodel.models.trees import MOST_LN
from perfmodel.rank.lookup import Tables

MANIFEST = "ranker.json"
SCHEMA = 1
_MAX_TEXT = 64 * 2**20


@dataclass(frozen=True)
class Source:
    """One device's measured space.

    Attributes:
        space: id of the space.
        device: id of the device.
        op: the operator that was measured, by the fields of its descriptor.
        rows: configurations that ran.
        tables: ln(measured seconds / physics) on that device.
    """

    space: str
    device: str
    op: Mapping[str, Any]
    rows: int
    tables: Tables


@dataclass(frozen=True)
class Pretrained:
    """Sources, and how far they are from devices that they were not trained on.

    Attributes:
        sources: all of them.
        level_log_std: standard deviation of the level's ln(measured / predicted) on held-out devices.
        shape_log_std: the same of one configuration against another.
    """

    sources: tuple[Source, ...]
    level_log_std: float = 0.7
    shape_log_std: float = 0.5

    def of(self, space: str, without: tuple[str, ...] = ()) -> tuple[Source, ...]:
        """The sources of a space, but those of some devices."""
        return tuple(s for s in self.sources if s.space == space and s.device not in without)


NOTHING = Pretrained(())
"""Physics alone."""


def load(folder: str | Path) -> Pretrained:
    """Reads a ranker's folder.

    Raises:
        PredictorError: it is none, is damaged, or a newer version wrote it.
    """
    folder = Path(folder)
    path = folder / MANIFEST
    try:
        if path.exists() and not path.is_file():
            raise PredictorError(f"{folder} is no ranker: {MANIFEST} is no file")
        if path.stat().st_size > _MAX_TEXT:
            raise PredictorError(f"{path} is larger than {_MAX_TEXT >> 20} MiB, which no manifest is")
        manifest = json.loads(path.read_bytes())
    except OSError as error:
        raise PredictorError(f"{folder} is no ranker: {MANIFEST} cannot be read ({error.strerror or error})") from None
    except (ValueError, RecursionError) as error:
        raise PredictorError(f"{path} is no JSON: {error}") from None
    try:
        if manifest["schema"] > SCHEMA:
            raise PredictorError(
                f"{path} has schema {manifest['schema']}; this version reads up to {SCHEMA}: upgrade perfmodel"
            )
        sources = []
        for entry in manifest["sources"]:
            text = _text(artefact.read_file(folder, str(entry["file"]), str(entry["sha256"])), folder)
            tables = Tables.from_dict(json.loads(text))
            op = dict(entry["op"])
            sources.append(Source(str(entry["space"]), str(entry["device"]), op, int(entry["rows"]), tables))
        deviations = float(manifest["level_log_std"]), float(manifest["shape_log_std"])
        if not all(0 <= d <= MOST_LN for d in deviations):
            raise ValueError(f"level_log_std and shape_log_std are to be 0 to {MOST_LN:g}")
        return Pretrained(tuple(sources), *deviations)
    except (KeyError, TypeError, ValueError, AttributeError, OverflowError, RecursionError) as error:
        raise PredictorError(f"{path} lacks something or holds a wrong type: {type(error).__name__} {error}") from None


@lru_cache(maxsize=1)
def shipped() -> Pretrained:
    """The ranker that ships; nothing where the installation has none."""
    from perfmodel._resources import data_path
    from perfmodel.errors import InputError

    try:
        folder = data_path("models", "ranker")
    except InputError:
        return NOTHING
    return load(folder)


def save(pretrained: Pretrained, folder: Path, about: Mapping[str, Any]) -> None:
    """Writes a ranker's folder.

    Args:
        pretrained: what to write.
        folder: where; it may exist.
        about: further keys of the manifest: versions, data, accuracy.
    """
    entries = []
    for source in pretrained.sources:
        name = f"{source.space}/{source.device}.json.gz"
        text = json.dumps(source.tables.to_dict(), separators=(",", ":"), sort_keys=True).encode()
        sha256 = artefact.write_file(folder, name, artefact.compress(text))
        entries.append(
            {
                "space": source.space, "device": source.device, "op": dict(source.op), "rows": source.rows, "file": name,
                "sha256": sha256,
            }
        )  # fmt: skip
    manifest = {
        "schema": SCHEMA, "sources": entries, "level_log_std": pretrained.level_log_std,
        "shape_log_std": pretrained.shape_log_std,
    }  # fmt: skip
    artefact.write_json(folder, MANIFEST, {**about, **manifest})


def _text(data: bytes, folder: Path) -> bytes:
    try:
        with gzip.GzipFile(fileobj=io.BytesIO(data)) as file:
            text = file.read(_MAX_TEXT + 1)
    except (OSError, EOFError) as error:
        raise PredictorError(f"{folder}: a file of tables is damaged: {error}") from None
    if len(text) > _MAX_TEXT:
        raise PredictorError(f"{folder}: a file of tables holds more than {_MAX_TEXT >> 20} MiB")
    return text
