"""What was typed, as the body of a schedule."""

from __future__ import annotations

import json
from dataclasses import fields, replace
from typing import Any

import pytest

from infra.cli.arguments import Priority
from infra.cli.failures import RefusedError
from infra.cli.schedule_options import Given, Overlap, instant, session_of
from services.gateway.schedule_bodies import ScheduleChange, ScheduleRequest

NOTHING = Given(**{field.name: None for field in fields(Given)})
EVERYTHING = Given(
    name="open-plus-5",
    strategy="sma-crossover",
    symbols=["AAPL", "MSFT"],
    cron="35 9 * * mon-fri",
    every=None,
    at=None,
    session=None,
    timezone="America/New_York",
    calendar="XNYS",
    priority=Priority.HIGH,
    parameters='{"fast": 10}',
    overlap=Overlap.BUFFER_ONE,
    catchup="5m",
    jitter="30",
    start="2026-03-02T14:30:00Z",
    end="2026-04-02T09:30:00-04:00",
    max_runs="20",
    pause_on_failure=False,
)


def test_nothing_given_is_nothing_sent() -> None:
    """What is left out is the gateway's choice, or stays as it is."""
    assert NOTHING.body() == {}


def test_every_option_becomes_its_field() -> None:
    """Durations are seconds, times bear their offset, parameters are an object."""
    assert EVERYTHING.body() == {
        "name": "open-plus-5",
        "strategy_id": "sma-crossover",
        "symbols": ["AAPL", "MSFT"],
        "when": {"cron": "35 9 * * mon-fri"},
        "timezone": "America/New_York",
        "calendar": "XNYS",
        "priority": "high",
        "parameters": {"fast": 10},
        "overlap": "buffer_one",
        "catchup_seconds": 300,
        "jitter_seconds": 30,
        "start_at": "2026-03-02T14:30:00+00:00",
        "end_at": "2026-04-02T09:30:00-04:00",
        "max_runs": 20,
        "pause_on_failure": False,
    }


@pytest.mark.parametrize(
    ("option", "when"),
    [
        ({"cron": "@daily"}, {"cron": "@daily"}),
        ({"every": "4h"}, {"every_seconds": 14400}),
        ({"at": "2026-03-02T14:30Z"}, {"at": "2026-03-02T14:30:00+00:00"}),
        ({"session": "open+5m"}, {"session": {"event": "open", "offset_seconds": 300}}),
    ],
)
def test_when_it_fires_is_one_of_four(option: dict[str, str], when: dict[str, Any]) -> None:
    """Each becomes its own form of `when`."""
    assert replace(NOTHING, **option).body() == {"when": when}  # type: ignore[arg-type]


@pytest.mark.parametrize(
    "option",
    [{"cron": "@daily"}, {"every": "4h"}, {"at": "2026-03-02T14:30Z"}, {"session": "close-10m"}],
    ids=["cron", "every", "at", "session"],
)
def test_the_gateway_can_read_what_is_made_of_each(option: dict[str, str]) -> None:
    """Its own checks of form take the body of a creation."""
    body = replace(EVERYTHING, **({"cron": None} | option)).body()  # type: ignore[arg-type]
    assert ScheduleRequest.model_validate_json(json.dumps(body)).name == "open-plus-5"


def test_two_ways_to_say_when_are_refused_by_name() -> None:
    """Only one can be meant."""
    with pytest.raises(RefusedError, match=r"^--cron and --at are given: a schedule has one of them\.$"):
        replace(NOTHING, cron="@daily", at="2026-03-02T14:30Z").body()


def test_none_takes_away_what_may_have_no_value() -> None:
    """A null in the change."""
    body = replace(NOTHING, calendar="none", start="none", end="none", max_runs="none").body()
    assert body == {"calendar": None, "start_at": None, "end_at": None, "max_runs": None}
    assert ScheduleChange.model_validate_json(json.dumps(body)).model_fields_set == body.keys()


@pytest.mark.parametrize(
    ("text", "event", "offset"),
    [
        ("open", "open", 0),
        ("close", "close", 0),
        ("open+5m", "open", 300),
        ("close-10m", "close", -600),
        ("open-90", "open", -90),
        ("close+1h30m", "close", 5400),
    ],
)
def test_a_moment_of_a_session_is_read(text: str, event: str, offset: float) -> None:
    """After it with a plus, before it with a minus."""
    assert session_of(text) == {"event": event, "offset_seconds": offset}


@pytest.mark.parametrize("text", ["", "noon", "Open", "open5m", "open+", "open + 5m", "+5m", "open\n"])
def test_a_moment_that_cannot_be_read_is_refused_with_examples(text: str) -> None:
    """The sentence names both events and shows an offset of each sign."""
    with pytest.raises(RefusedError) as refused:
        session_of(text)
    assert str(refused.value).startswith(f"--session {text} is not a moment of a session: ")
    assert str(refused.value).endswith("for example open+5m or close-10m.")


def test_an_offset_that_is_no_duration_is_refused_as_one() -> None:
    """The part that is wrong is the part that is shown."""
    with pytest.raises(RefusedError, match=r"^--session 5x is not a duration: "):
        session_of("open+5x")


@pytest.mark.parametrize(
    "text", ["", "tomorrow", "2026-03-02", "2026-03-02T14:30:00", "2026-13-02T14:30:00Z", "14:30Z"]
)
def test_a_time_without_its_offset_is_refused_with_examples(text: str) -> None:
    """Which of two hours is meant must not be guessed."""
    with pytest.raises(RefusedError) as refused:
        instant("--at", text)
    assert str(refused.value) == (
        f"--at {text} is not a time with its offset from UTC: write for example 2026-03-02T14:30:00Z or "
        "2026-03-02T09:30:00-05:00."
    )


@pytest.mark.parametrize("text", ["", "many", "2.5", "9" * 5000], ids=["empty", "word", "fraction", "too many digits"])
def test_a_count_that_is_no_whole_number_is_refused(text: str) -> None:
    """Which counts are allowed is the gateway's to say."""
    with pytest.raises(RefusedError, match=r"is not a whole number: write for example 20\.$"):
        replace(NOTHING, max_runs=text).body()


@pytest.mark.parametrize("text", ["{", "[1]", '{"a": NaN}', '{"a": 1e999}', '{"a": "\\ud800"}'])
def test_parameters_that_cannot_be_sent_are_refused(text: str) -> None:
    """Neither Python's numbers beyond JSON's nor half a character get as far as the gateway."""
    with pytest.raises(RefusedError, match=r"write (an object|one), such as"):
        replace(NOTHING, parameters=text).body()
