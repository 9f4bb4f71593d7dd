"""What tests from outside need besides the stack."""

from pathlib import Path

import pytest


@pytest.fixture
def gates(tmp_path: Path) -> Path:
    """A folder of gates for the strategy `gated`, which workers can see."""
    return tmp_path
