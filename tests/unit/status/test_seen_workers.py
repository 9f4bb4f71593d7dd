"""What state a worker is in, by what it said of itself last and how long ago."""

from __future__ import annotations

from datetime import datetime, timedelta

import msgspec

from services.status.seen_workers import worker_views
from shared.domain.workers import OFFLINE_AFTER, UNRESPONSIVE_AFTER, WorkerState
from shared.heartbeats import TTL, WorkerHeartbeat, decode_heartbeats
from tests.builders import NOW
from tests.heartbeats import heartbeat

LATER = NOW + timedelta(minutes=1)
BEFORE_ALL_THIS = ("processed", "cpu_percent", "rss_bytes", "uss_bytes", "draining", "left")
"""Fields that workers of an older version do not send."""


def _by_name(beat: WorkerHeartbeat | None) -> dict[str, WorkerHeartbeat]:
    return {beat.name: beat} if beat else {}


def state(living: WorkerHeartbeat | None, last: WorkerHeartbeat | None, now: datetime = LATER) -> WorkerState:
    """The state of the one worker that these tell of."""
    (view,) = worker_views(_by_name(living), _by_name(last), now)
    return view.state


def test_a_worker_is_unresponsive_when_its_heartbeat_has_gone() -> None:
    """The two are one time, in two places that may not know each other."""
    assert TTL == UNRESPONSIVE_AFTER


def test_whoever_has_a_heartbeat_lives_whatever_its_clock_says() -> None:
    """Redis tells by its own clock; without one, the worker is silent also if its clock is ahead."""
    assert state(heartbeat(), heartbeat(), NOW + timedelta(days=1)) is WorkerState.ONLINE
    assert state(heartbeat(draining=True), None, NOW - timedelta(days=1)) is WorkerState.DRAINING
    assert state(None, heartbeat(), NOW - timedelta(days=1)) is WorkerState.UNRESPONSIVE


def test_a_copy_without_a_heartbeat_is_of_one_that_is_silent_and_at_last_gone() -> None:
    """Also of one that was about to leave."""
    for beat in (heartbeat(), heartbeat(draining=True)):
        assert state(None, beat, beat.at + timedelta(seconds=1)) is WorkerState.UNRESPONSIVE
        assert state(None, beat, beat.at + OFFLINE_AFTER) is WorkerState.OFFLINE


def test_a_goodbye_counts_at_once() -> None:
    """The heartbeat before it is still there for its few seconds."""
    assert state(heartbeat(), heartbeat(at=LATER, left=True)) is WorkerState.OFFLINE


def test_whoever_takes_the_name_of_one_that_left_is_online() -> None:
    """Also a worker of an older version, which leaves no copy."""
    assert state(heartbeat(at=LATER), heartbeat(left=True)) is WorkerState.ONLINE


def test_a_heartbeat_of_an_older_worker_is_read() -> None:
    """What it does not tell is not known, and it is online."""
    old = msgspec.to_builtins(heartbeat())
    for name in BEFORE_ALL_THIS:
        del old[name]
    (view,) = worker_views(decode_heartbeats([msgspec.json.encode(old), None]), {}, NOW)
    assert (view.state, view.last_heartbeat_at) == (WorkerState.ONLINE, heartbeat().at)
    assert (view.processed, view.cpu_percent, view.rss_bytes, view.uss_bytes) == (None, None, None, None)


def test_a_heartbeat_of_a_newer_worker_is_read_by_an_older_service() -> None:
    """Fields that are not known are passed over."""
    newer = msgspec.json.encode(msgspec.to_builtins(heartbeat()) | {"mood": "good"})
    assert decode_heartbeats([newer]) == {heartbeat().name: heartbeat()}
