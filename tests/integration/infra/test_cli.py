"""The commands about the stack and its servers, against real ones."""

from __future__ import annotations

import re

import psycopg
import pytest
import redis

from infra.local.ports import free_port
from tests.integration.infra.commands import Blotter
from tests.integration.infra.fake_gateway import FakeGateway


def test_status_and_down_say_that_nothing_runs(blotter: Blotter) -> None:
    """`status` as an exit code for scripts; stopping what does not run is no failure."""
    assert blotter("status").code == 3
    down = blotter("down")
    assert (down.code, down.out.startswith("No stack runs in ")) == (0, True)


def test_migrate_brings_a_given_database_up_to_date(
    blotter: Blotter, database_url: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The first call names the revisions, the second says that there are none."""
    monkeypatch.setenv("DATABASE_URL", database_url)
    assert blotter("migrate").out.startswith("Applied 0001, ")
    assert blotter("migrate").out == "The schema is up to date.\n"
    with psycopg.connect(database_url) as connection:
        assert connection.execute("SELECT count(*) FROM log.blotter_events").fetchone() == (0,)


def test_migrate_without_a_database_says_how_to_name_one(blotter: Blotter, monkeypatch: pytest.MonkeyPatch) -> None:
    """Neither a running stack nor DATABASE_URL; or one that does not answer."""
    assert "set DATABASE_URL" in blotter("migrate").err
    monkeypatch.setenv("DATABASE_URL", f"postgresql://app:x@127.0.0.1:{free_port()}/blotter")
    ended = blotter("migrate")
    assert (ended.code, "Correct DATABASE_URL." in ended.err) == (3, True)


def test_rebuild_tells_what_it_has_made(
    blotter: Blotter, migrated_database_url: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The tables of an empty log are made anew, and listed with their rows."""
    monkeypatch.setenv("DATABASE_URL", migrated_database_url)
    ended = blotter("rebuild")
    assert (ended.code, ended.out.startswith("Rebuilt as of position 0 of the log, in ")) == (0, True)
    assert "workflow_executions" in ended.out


def test_rebuild_without_a_schema_says_what_is_missing(
    blotter: Blotter, database_url: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """One line, no traceback, with the database's own word and what to check; without a database, how to name one."""
    monkeypatch.setenv("DATABASE_URL", database_url)
    ended = blotter("rebuild")
    assert (ended.code, ended.err.count("\n")) == (1, 1)
    assert "Check DATABASE_URL" in ended.err
    monkeypatch.delenv("DATABASE_URL")
    assert "set DATABASE_URL" in blotter("rebuild").err


def test_doctor_repairs_and_tells_what_it_did(
    blotter: Blotter, migrated_database_url: str, redis_url: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A message of a run that the log does not know is removed; the table says so."""
    monkeypatch.setenv("DATABASE_URL", migrated_database_url)
    monkeypatch.setenv("REDIS_URL", redis_url)
    client = redis.Redis.from_url(redis_url)
    client.rpush("normal", b'{"headers": {"id": "nobody", "task": "executor.run"}}')
    ended = blotter("doctor", "--repair")
    assert (ended.code, "Repair as of position 0 of the log" in ended.out) == (0, True), ended
    assert re.search(r"messages removed\D* 1 *\n", ended.out)
    assert client.llen("normal") == 0


def test_doctor_repairs_only_servers_that_it_knows(
    blotter: Blotter, redis_url: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """It names those that are missing, and says when one does not do what it should."""
    assert "set DATABASE_URL and REDIS_URL" in blotter("doctor", "--repair").err
    monkeypatch.setenv("DATABASE_URL", f"postgresql://app:x@127.0.0.1:{free_port()}/blotter")
    monkeypatch.setenv("REDIS_URL", f"redis://127.0.0.1:{free_port()}/0")
    ended = blotter("doctor", "--repair")
    assert (ended.code, "start it, or correct REDIS_URL" in ended.err) == (1, True)
    monkeypatch.setenv("REDIS_URL", redis_url)
    ended = blotter("doctor", "--repair")
    assert (ended.code, "start it, or correct DATABASE_URL" in ended.err) == (1, True)


def test_doctor_finds_nothing_wrong_on_a_sound_machine(
    blotter: Blotter, database_url: str, redis_url: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Given servers that answer, a free port, a good Python."""
    monkeypatch.setenv("DATABASE_URL", database_url)
    monkeypatch.setenv("REDIS_URL", redis_url)
    ended = blotter("doctor")
    assert (ended.code, "BAD" in ended.out) == (0, False)
    assert "ok   PostgreSQL answers" in ended.out
    assert "ok   Redis answers" in ended.out


def test_doctor_names_what_is_wrong_and_the_variable_to_correct(
    blotter: Blotter, gateway: FakeGateway, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A taken port, and servers that do not answer; a password in a URL is not shown."""
    monkeypatch.setenv("BLOTTER_PORT", gateway.url.rpartition(":")[2])
    monkeypatch.setenv("DATABASE_URL", f"postgresql://app:hidden@127.0.0.1:{free_port()}/blotter")
    monkeypatch.setenv("REDIS_URL", f"redis://:hidden@127.0.0.1:{free_port()}/0")
    ended = blotter("doctor")
    assert (ended.code, ended.err) == (1, "3 of the checks failed: each line marked BAD says what to do.\n")
    assert "set BLOTTER_PORT to a free one" in ended.out
    assert "correct DATABASE_URL" in ended.out
    assert "correct REDIS_URL" in ended.out
    assert "hidden" not in ended.out
