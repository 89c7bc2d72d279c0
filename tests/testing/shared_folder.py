"""The folder of what all workers of a test session share."""

import os
from pathlib import Path

import pytest


def find_shared_folder(factory: pytest.TempPathFactory) -> Path:
    """The temporary folder of the session: with several workers, that above the folder of each."""
    base = factory.getbasetemp()
    return base.parent if "PYTEST_XDIST_WORKER" in os.environ else base
