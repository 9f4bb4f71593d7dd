"""The examples of docs/schedules.md, run as a reader would run them."""

import json

import pytest

from tests.docs.pages import blocks, commands, run
from tests.e2e.stack import Stack

PAGE = "docs/schedules.md"


@pytest.mark.parametrize("command", commands(PAGE))
def test_a_command_of_the_page_works(stack: Stack, command: str) -> None:
    """One after the other."""
    done = run(stack, command)

    assert done.returncode == 0, done.stdout + done.stderr
    assert done.stdout.strip()


@pytest.mark.parametrize("block", blocks(PAGE, "json"))
def test_a_body_of_the_page_is_accepted(stack: Stack, block: str) -> None:
    """And has times to come, all of which are five minutes after an opening of the exchange."""
    answer = stack.http.post("/api/schedules/preview", json=json.loads(block))

    assert answer.status_code == 200, answer.text
    assert {each["local"][11:19] for each in answer.json()["items"]} == {"09:35:00"}
