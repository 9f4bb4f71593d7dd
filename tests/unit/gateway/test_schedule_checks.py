"""Which times a schedule may be given, at a moment that a test chooses."""

from __future__ import annotations

import threading
from datetime import datetime, timedelta
from typing import Any, cast

import pytest

from services.gateway import schedule_checks
from services.gateway.catalogue import Catalogue
from services.gateway.schedule_checks import ScheduleChecks, unfit_times
from shared.domain.errors import FieldError, InvalidInput
from shared.domain.timing import Timing, When
from tests.builders import NOW
from tests.schedule_builders import definition

BEFORE, AFTER = NOW - timedelta(days=1), NOW + timedelta(days=1)
HOURLY = When(cron="@hourly")


class NoCatalogue:
    """What is not asked for is not missed."""


def _timing(**changes: Any) -> Timing:
    return Timing(**({"when": HOURLY} | changes))


def _fields(errors: list[FieldError]) -> list[str]:
    return [error.field for error in errors]


@pytest.mark.parametrize(
    ("changes", "fields"),
    [
        ({}, []),
        ({"when": When(at=AFTER)}, []),
        ({"when": When(at=NOW)}, ["when.at"]),
        ({"when": When(at=BEFORE)}, ["when.at"]),
        ({"end_at": AFTER}, []),
        ({"end_at": NOW}, ["end_at"]),
        ({"end_at": NOW + timedelta(minutes=1)}, ["when"]),
        ({"when": When(at=BEFORE), "end_at": BEFORE + timedelta(hours=1)}, ["when.at", "end_at"]),
        ({"start_at": BEFORE}, []),
        ({"when": When(cron="61 * * * *"), "end_at": BEFORE}, ["when.cron"]),
    ],
)
def test_a_new_schedule_needs_a_time_to_come(changes: dict[str, Any], fields: list[str]) -> None:
    """What is wrong in itself is said first; then what is past; then that nothing is left."""
    assert _fields(unfit_times(_timing(**changes), now=NOW)) == fields


@pytest.mark.parametrize(
    ("before", "changes", "fields"),
    [
        ({"when": When(at=BEFORE)}, {"timezone": "Asia/Tokyo"}, []),
        ({"when": When(at=BEFORE)}, {"when": When(at=BEFORE - timedelta(days=1))}, ["when.at"]),
        ({"when": When(at=BEFORE)}, {"end_at": NOW}, ["end_at"]),
        ({"when": When(at=BEFORE)}, {"when": HOURLY}, []),
        ({"end_at": BEFORE}, {"when": When(cron="@daily")}, []),
        ({"end_at": BEFORE}, {"end_at": BEFORE - timedelta(days=1)}, ["end_at"]),
        ({"end_at": BEFORE}, {"end_at": None}, []),
        ({"end_at": AFTER}, {"when": When(cron="0 0 1 1 *")}, ["when"]),
    ],
)
def test_what_was_past_before_may_stay(before: dict[str, Any], changes: dict[str, Any], fields: list[str]) -> None:
    """Only what is given anew is held against the clock."""
    errors = unfit_times(_timing(**(before | changes)), now=NOW, before=_timing(**before))
    assert _fields(errors) == fields


async def test_times_are_computed_beside_the_loop(monkeypatch: pytest.MonkeyPatch) -> None:
    """The first schedule with a calendar takes half a second, in which every other request would stand still."""
    threads: list[threading.Thread] = []

    def noted(timing: Timing, *, now: datetime, before: Timing | None) -> list[FieldError]:
        threads.append(threading.current_thread())
        return [FieldError("when", "is never right here")]

    monkeypatch.setattr(schedule_checks, "unfit_times", noted)
    checks = ScheduleChecks(cast(Catalogue, NoCatalogue()))
    changed = definition(when=HOURLY)
    with pytest.raises(InvalidInput) as refused:
        await checks.check(changed, now=NOW, before=definition())
    assert [error.field for error in refused.value.errors] == ["when"]
    assert threads
    assert threading.main_thread() not in threads


async def test_what_stays_is_not_looked_at_again() -> None:
    """Neither the catalogue nor a calendar is asked for a change of the name."""
    checks = ScheduleChecks(cast(Catalogue, NoCatalogue()))
    await checks.check(definition(name="new", calendar="GONE"), now=NOW, before=definition(calendar="GONE"))
