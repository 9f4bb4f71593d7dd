"""No question to the log reads all of it, whatever PostgreSQL knows of the table, which is nothing at first."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any
from uuid import uuid4

import psycopg
import pytest

from shared.domain.branch import ENDS
from shared.domain.events import EVENTS
from shared.log import async_event_log as asynchronous
from shared.log import recorder, schedules
from shared.log.tail import FOLLOW

TOPICS = list(EVENTS.topics)
STREAM = uuid4()
BY_STREAM = "blotter_events_pkey"
BY_POSITION = "blotter_events_notification_id_idx"
NO_OPTIONS = ""


@pytest.mark.parametrize(
    ("statement", "parameters", "options", "index"),
    [
        (recorder.STREAMS, ([STREAM] * 3, 0, recorder.NO_LIMIT, recorder.NO_LIMIT), NO_OPTIONS, BY_STREAM),
        (recorder.UNENDED, ([STREAM] * 500, list(ENDS)), NO_OPTIONS, BY_STREAM),
        (recorder.FIND, (STREAM, 1), NO_OPTIONS, BY_STREAM),
        (FOLLOW, (TOPICS, 1000), recorder.BY_INDEX, BY_POSITION),
        (recorder.READ, (1000, TOPICS, 500), recorder.BY_INDEX, BY_POSITION),
        (asynchronous.STAGES, (STREAM, TOPICS[0]), recorder.BY_INDEX, BY_STREAM),
        (asynchronous.LATEST, (STREAM,), recorder.BY_INDEX, BY_STREAM),
        (asynchronous.TOUCHED, (1000, 2000), recorder.BY_INDEX, BY_POSITION),
        (asynchronous.NEWEST, (1000, TOPICS), recorder.BY_INDEX, BY_POSITION),
        (asynchronous.HEAD, (), recorder.BY_INDEX, BY_POSITION),
        (recorder.NEWEST_OF, ([STREAM] * 500, TOPICS), NO_OPTIONS, BY_STREAM),
        (asynchronous.STREAM_AFTER, (STREAM, 1000), recorder.BY_INDEX, BY_STREAM),
        (schedules.SNAPSHOT, (STREAM, schedules.FORMAT), recorder.BY_INDEX, "schedule_snapshots_pkey"),
    ],
)
def test_every_question_goes_by_an_index(
    migrated_database_url: str, statement: str, parameters: Sequence[Any], options: str, index: str
) -> None:
    """Also with the plan that is kept with a prepared statement, made while the table was small."""
    with psycopg.connect(migrated_database_url, options=options) as connection:
        connection.execute("SET plan_cache_mode = force_generic_plan")
        lines = [row[0] for row in connection.execute(f"EXPLAIN {statement}".encode(), parameters).fetchall()]
    plan = "\n".join(lines)
    assert f"using {index} on" in plan or f"Bitmap Index Scan on {index}" in plan, plan
    assert "Seq Scan" not in plan, plan
    assert "Filter: (originator_id" not in plan, plan
