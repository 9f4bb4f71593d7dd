"""The page about retention: its commands work as they stand."""

from __future__ import annotations

import pytest

from tests.docs.pages import commands, run
from tests.e2e.stack import Stack


@pytest.mark.parametrize("command", commands("docs/retention.md"))
def test_a_command_of_the_page_works(stack: Stack, command: str) -> None:
    """As it stands, but for the address of the stack."""
    done = run(stack, command)
    assert done.returncode == 0, done.stdout + done.stderr
    assert done.stdout.strip()
