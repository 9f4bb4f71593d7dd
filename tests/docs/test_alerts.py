"""The examples of docs/alerts.md, run as a reader would run them, and its table against what there is."""

import re

import pytest

from services.status.alert_settings import AlertSettings
from shared.domain.alert_events import AlertKind
from tests.docs.pages import commands, run
from tests.e2e.stack import CHECKOUT, Stack

PAGE = "docs/alerts.md"


@pytest.mark.parametrize("command", commands(PAGE))
def test_a_command_of_the_page_works(stack: Stack, command: str) -> None:
    """Each by itself."""
    done = run(stack, command)

    assert done.returncode == 0, done.stdout + done.stderr
    assert done.stdout.strip()


def test_the_page_tells_every_kind_and_every_setting() -> None:
    """With the defaults that hold."""
    text = (CHECKOUT / PAGE).read_text()
    assert set(re.findall(r"^\| `(\w+)` \|", text, re.MULTILINE)) == set(AlertKind)
    told = {name.lower(): float(value) for name, value in re.findall(r"`(ALERT_\w+)` \((\d+)\)", text)}
    fields = {name: each.default for name, each in AlertSettings.model_fields.items() if name.startswith("alert_")}
    assert told == fields
