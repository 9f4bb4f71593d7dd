"""When an alert is raised and when it is resolved: arithmetic on what was read, with the time as an argument."""

from collections.abc import Mapping
from datetime import datetime, timedelta
from uuid import UUID

import msgspec

from shared.domain.alert import Alert
from shared.domain.alert_events import AlertKind, Severity, alert_id

CLEAR_BELOW = 0.8
"""The part of a threshold below which a value is clear; what lies between changes nothing."""
LONGEST_GAP = timedelta(seconds=10)
"""Between two looks that are further apart nobody knows what was, and waiting begins anew."""
NOT_SEEN = "it is not seen any more"


_Since = dict[UUID, tuple[bool, datetime]]
"""Of each subject whether it is over or clear, and since when."""


class Reading(msgspec.Struct, frozen=True, kw_only=True):
    """What was read of one subject. It may be neither over nor clear: then an alert stays as it is."""

    kind: AlertKind
    subject: str
    severity: Severity
    summary: str
    is_over: bool
    is_clear: bool
    cleared: str
    value: float | None = None
    threshold: float | None = None

    @property
    def id(self) -> UUID:
        """Return the id of the alert that it may become."""
        return alert_id(self.kind, self.subject)


class Sample(msgspec.Struct, frozen=True, kw_only=True):
    """All that was read at one moment, and the kinds of which anything could be read at all."""

    readings: tuple[Reading, ...]
    seen: frozenset[AlertKind]


class Patience(msgspec.Struct, frozen=True, kw_only=True):
    """How long something must be wrong before it is raised, by kind, and right before it is resolved."""

    before: Mapping[AlertKind, timedelta]
    hold: timedelta


class Decisions(msgspec.Struct, frozen=True):
    """What to raise, and what to resolve for which reason."""

    raises: list[Reading]
    resolves: list[tuple[Alert, str]]


class Watch:
    """Remembers since when each subject has been over or clear, without a break."""

    def __init__(self, patience: Patience) -> None:
        self._patience = patience
        self._since: _Since = {}
        self._looked_at: datetime | None = None

    def forget(self) -> None:
        """Begin to wait anew."""
        self._since.clear()
        self._looked_at = None

    def decide(self, sample: Sample, active: Mapping[UUID, Alert], now: datetime) -> Decisions:
        """Return what a sample means, with the alerts that are active. What could not be read begins to wait anew."""
        if self._looked_at is not None and not timedelta() <= now - self._looked_at <= LONGEST_GAP:
            self._since.clear()
        self._looked_at = now
        before, self._since = self._since, {}
        decisions = Decisions([], [])
        for reading in sample.readings:
            alert = active.get(reading.id)
            if alert is None and reading.is_over:
                self._raise_in_time(reading, before, now, decisions)
            elif alert is not None and reading.is_clear:
                self._resolve_in_time(alert, reading.cleared, before, now, decisions)
        read = {reading.id for reading in sample.readings}
        for alert in active.values():
            if alert.kind in sample.seen and alert.id not in read:
                self._resolve_in_time(alert, NOT_SEEN, before, now, decisions)
        return decisions

    def _raise_in_time(self, reading: Reading, before: _Since, now: datetime, to: Decisions) -> None:
        patience = self._patience.before.get(reading.kind, timedelta())
        if self._held(reading.id, True, before, now) >= patience:
            to.raises.append(reading)

    def _resolve_in_time(self, alert: Alert, reason: str, before: _Since, now: datetime, to: Decisions) -> None:
        if self._held(alert.id, False, before, now) >= self._patience.hold:
            to.resolves.append((alert, reason))

    def _held(self, subject: UUID, over: bool, before: _Since, now: datetime) -> timedelta:
        known = before.get(subject)
        since = known[1] if known is not None and known[0] is over else now
        self._since[subject] = (over, since)
        return now - since
