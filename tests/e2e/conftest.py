"""One stack for all tests that only use it."""

from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.e2e.stack import Stack


@pytest.fixture(scope="session")
def stack(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Stack]:
    """A running stack with the shipped strategies and those of the tests."""
    with Stack(tmp_path_factory.mktemp("stack") / "home") as stack:
        yield stack


@pytest.fixture
def gates(tmp_path: Path) -> Path:
    """A folder of gates for the strategy `gated`, which workers can see."""
    return tmp_path
