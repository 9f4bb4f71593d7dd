"""The examples of docs/metrics.md, run as a reader would run them, and its figures against those of the API."""

import re

import httpx
import pytest

from services.gateway.metric_answers import MetricPoint, MetricsAnswer
from tests.docs.pages import commands, run
from tests.e2e.stack import CHECKOUT, Stack

PAGE = "docs/metrics.md"


@pytest.mark.parametrize("command", commands(PAGE))
def test_a_command_of_the_page_works(stack: Stack, command: str) -> None:
    """Each by itself."""
    done = run(stack, command)

    assert done.returncode == 0, done.stdout + done.stderr
    assert done.stdout.strip()


def test_the_page_tells_every_figure() -> None:
    """What the API answers is explained, and nothing else."""
    told = {name for name in _first_column() if not name.startswith("blotter_")}
    assert told | {"as_of_position", "at"} == {*MetricsAnswer.model_fields, *MetricPoint.model_fields}


def test_the_page_tells_every_series(stack: Stack) -> None:
    """What a scrape of the whole stack brings is explained, and nothing else."""
    text = httpx.get(f"{stack.record.url}/metrics").text
    brought = set(re.findall(r"^# TYPE (\w+) ", text, re.MULTILINE))
    assert {name for name in _first_column() if name.startswith("blotter_")} == brought


def _first_column() -> set[str]:
    rows = re.findall(r"^\| (`[^|]+) \|", (CHECKOUT / PAGE).read_text(), re.MULTILINE)
    return {name for row in rows for name in re.findall(r"`(\w+)`", row)}
