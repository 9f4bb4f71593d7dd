"""When alerts are raised and resolved."""

from __future__ import annotations

from datetime import timedelta
from uuid import UUID

import pytest

from services.status.alert_policy import NOT_SEEN, Patience, Sample, Watch
from shared.domain.alert import Alert, evolve, raised, resolved
from shared.domain.alert_events import AlertKind
from shared.domain.events import Stamp
from tests.alerts import AT, BLIND, alert_raised, sample

PATIENCE = Patience(before={AlertKind.QUEUE_BACKLOG: timedelta(seconds=3)}, hold=timedelta(seconds=5))


class Desk:
    """A watch, the alerts that follow from it, and a clock that a look moves on by a second."""

    def __init__(self) -> None:
        self.watch = Watch(PATIENCE)
        self.alerts: dict[UUID, Alert] = {}
        self.now = AT
        self.happened: list[str] = []

    def look(self, *samples: Sample, seconds: float = 1) -> list[str]:
        """Look at each of the samples, and return what happened at all so far."""
        for each in samples:
            self.now += timedelta(seconds=seconds)
            active = {alert.id: alert for alert in self.alerts.values() if alert.is_active}
            decisions = self.watch.decide(each, active, self.now)
            stamp = Stamp(at=self.now, actor="status:alerter")
            events = [
                raised(
                    self.alerts.get(over.id), stamp, kind=over.kind, subject=over.subject,
                    severity=over.severity, summary=over.summary,
                )
                for over in decisions.raises
            ]  # fmt: skip
            for event in (*events, *(resolved(alert, stamp, reason=why) for alert, why in decisions.resolves)):
                self.happened.append(event.TOPIC)
                after = evolve(self.alerts.get(event.originator_id), event)
                assert after is not None
                self.alerts[after.id] = after
        return self.happened


@pytest.fixture
def desk() -> Desk:
    """Nothing has been looked at yet."""
    return Desk()


def test_what_lasts_is_raised_once_and_resolved_once(desk: Desk) -> None:
    """Three seconds over, then five seconds clear; more of either changes nothing."""
    assert desk.look(*[sample(12)] * 3) == []
    assert desk.look(sample(12)) == ["alert.raised"]
    assert desk.look(*[sample(12)] * 30) == ["alert.raised"]
    assert desk.look(*[sample(0)] * 5) == ["alert.raised"]
    assert desk.look(*[sample(0)] * 30) == ["alert.raised", "alert.resolved"]


def test_a_value_that_flaps_raises_one_alert(desk: Desk) -> None:
    """Around the threshold it is neither clear nor raised anew; clear in between for less than the hold is nothing."""
    desk.look(*[sample(12)] * 4)
    assert desk.look(*[sample(9), sample(12)] * 20, *[sample(0), sample(12)] * 20) == ["alert.raised"]


def test_what_is_over_for_moments_only_is_never_raised(desk: Desk) -> None:
    """Each break begins the wait anew, also one that is not clear."""
    assert desk.look(*[sample(12), sample(12), sample(9)] * 20) == []


def test_what_could_not_be_read_says_nothing(desk: Desk) -> None:
    """Neither raises nor resolves, and what was seen before does not count."""
    assert desk.look(sample(12), sample(12), sample(12), BLIND, sample(12), sample(12)) == []
    desk.look(sample(12), sample(12))
    assert desk.look(*[BLIND] * 60) == ["alert.raised"]


def test_what_is_not_there_any_more_is_resolved(desk: Desk) -> None:
    """Only if its kind could be looked at."""
    desk.look(*[sample(12)] * 4)
    assert desk.look(*[sample()] * 6) == ["alert.raised", "alert.resolved"]
    (alert,) = desk.alerts.values()
    assert alert.resolution == NOT_SEEN


def test_who_has_slept_begins_to_wait_anew(desk: Desk) -> None:
    """What was in between nobody saw: two looks far apart are not a while."""
    assert desk.look(sample(12), seconds=1) == []
    assert desk.look(*[sample(12)] * 5, seconds=60) == []


def test_an_alert_that_comes_back_is_the_same_one(desk: Desk) -> None:
    """Raised for the second time, and acknowledged by nobody."""
    desk.look(*[sample(12)] * 4, *[sample(0)] * 6, *[sample(12)] * 4)
    (alert,) = desk.alerts.values()
    assert (alert.occurrences, alert.version, alert.is_active) == (2, 3, True)


def test_an_event_that_comes_again_changes_nothing() -> None:
    """As everything may arrive twice."""
    event = alert_raised()
    alert = evolve(None, event)
    assert evolve(alert, event) == alert
