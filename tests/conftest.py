"""Fixtures shared by all tests."""

from __future__ import annotations

import os
from pathlib import Path

import pytest
from hypothesis import settings

# How long one example takes depends on what else the machine does; where time is the property, a test measures its own.
# The same examples each time: a failure is of the change that it is seen with. `HYPOTHESIS_PROFILE=search` looks further.
settings.register_profile("perfmodel", deadline=None, derandomize=True)
settings.register_profile("search", deadline=None)
settings.load_profile(os.environ.get("HYPOTHESIS_PROFILE", "perfmodel"))


@pytest.fixture(scope="session")
def shared() -> Path:
    """The folder with data/, onnx/ and mlir/, or a skip that says why."""
    value = os.environ.get("PERFMODEL_SHARED")
    if not value or not Path(value).is_dir():
        pytest.skip("PERFMODEL_SHARED does not name a folder with data/, onnx/ and mlir/")
    return Path(value)
