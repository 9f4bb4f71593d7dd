"""The examples of docs/live.md, run as a reader would run them."""

import json

import pytest

from tests.docs.pages import commands, run
from tests.e2e.stack import Stack


@pytest.mark.parametrize("command", commands("docs/live.md"))
def test_a_command_of_the_page_answers_events(stack: Stack, command: str) -> None:
    """The catalogue at least is in every log."""
    done = run(stack, command)

    assert done.returncode == 0, done.stdout + done.stderr
    assert {event["specversion"] for event in json.loads(done.stdout)["items"]} == {"1.0"}
