"""The examples of docs/queues.md, run as a reader would run them."""

import pytest

from tests.docs.pages import commands, run
from tests.e2e.stack import Stack


@pytest.mark.parametrize("command", commands("docs/queues.md"))
def test_a_command_of_the_page_works(stack: Stack, command: str) -> None:
    """One after the other; in the end nothing is paused."""
    done = run(stack, command)

    assert done.returncode == 0, done.stdout + done.stderr
    assert done.stdout.strip()
