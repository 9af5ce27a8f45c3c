"""Fixtures shared by all tests."""

from __future__ import annotations

import os
from pathlib import Path

import pytest


@pytest.fixture(scope="session")
def shared() -> Path:
    """The folder with data/, onnx/ and mlir/, or a skip that says why."""
    value = os.environ.get("PERFMODEL_SHARED")
    if not value or not Path(value).is_dir():
        pytest.skip("PERFMODEL_SHARED does not name a folder with data/, onnx/ and mlir/")
    return Path(value)
