"""What tests from outside need besides the stack."""

from collections.abc import Iterator
from pathlib import Path

import pytest


@pytest.fixture
def gates(tmp_path: Path) -> Iterator[Path]:
    """A folder of gates for the strategy `gated`, which workers can see.

    What a test that fails has left standing goes through in the end, so that it keeps no slot from the tests after it.
    """
    yield tmp_path
    for note in tmp_path.glob("*.*-*"):
        note.with_suffix("").touch()
