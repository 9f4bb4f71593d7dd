"""`blotter objects` and `blotter cleanup`, as they are typed: against a real log and a folder of objects."""

from __future__ import annotations

import json
import os
import re
import subprocess
import sys
from pathlib import Path

import pytest

from shared.log.event_log import EventLog
from shared.objects import LocalObjectStore
from tests.builders import running
from tests.contract.object_stores import in_folder


def blotter(*arguments: str) -> subprocess.CompletedProcess[str]:
    """What the command says."""
    return subprocess.run([sys.executable, "-m", "infra.cli", *arguments], capture_output=True, text=True, check=False)


@pytest.fixture
def store(tmp_path: Path, migrated_database_url: str, monkeypatch: pytest.MonkeyPatch) -> LocalObjectStore:
    """The object store of an installation whose log has one run; nothing is recorded of what is put."""
    monkeypatch.setenv("DATABASE_URL", migrated_database_url)
    monkeypatch.setenv("BLOTTER_HOME", str(tmp_path))
    monkeypatch.delenv("BLOTTER_OBJECTS_URL", raising=False)
    with EventLog(migrated_database_url) as log:
        log.save_execution(running(parameters={"of": "object://sha256/" + "0" * 64}))
    return LocalObjectStore(tmp_path / "objects")


def counts(said: str) -> dict[str, str]:
    """The rows of the table."""
    return dict(re.findall(r"^ *(\S.*?) {2,}([\d,]+) *$", said, re.MULTILINE))


def test_a_dry_run_says_what_would_be_removed(store: LocalObjectStore) -> None:
    """And where."""
    store.put(b"orphan", "text/plain")
    for _ in range(4):
        in_folder(store.root).grow_old()
    store.put(b"young", "text/plain")
    done = blotter("objects", "collect", "--dry-run")
    assert (done.returncode, done.stderr) == (0, "")
    assert f"Objects in {store.root}, as of position 2 of the log" in done.stdout
    assert counts(done.stdout) == {
        "objects": "2",
        "objects to which the log refers": "0",
        "young objects that stay for now": "1",
        "objects that would be removed": "1",
        "bytes that would be freed": "6",
    }
    assert len(list(store.list())) == 2


def test_cleanup_says_of_each_kind_what_would_be_done(
    store: LocalObjectStore, redis_url: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """In a table, and to the letter as JSON; a kind that was not done is named on standard error."""
    monkeypatch.setenv("REDIS_URL", redis_url)
    store.put(b"young", "text/plain")
    done = blotter("cleanup", "--dry-run")
    assert (done.returncode, done.stderr) == (0, "")
    assert "nothing was changed" in done.stdout
    assert re.search(r"objects +kept young +1 *\n", done.stdout)
    document = json.loads(blotter("cleanup", "--json").stdout)
    done_of = [each["kind"] for each in document["kinds"] if each["error"] is None]
    assert done_of == ["results", "executions", "log", "objects"]
    assert document["position"] > 2
    monkeypatch.setenv("REDIS_URL", "redis://127.0.0.1:1/0")
    done = blotter("cleanup")
    assert (done.returncode, done.stderr.count("\n")) == (1, 1)
    assert "Not everything could be done. results: " in done.stderr


def test_what_cannot_be_done_is_one_line(store: LocalObjectStore, monkeypatch: pytest.MonkeyPatch) -> None:
    """A store of which the log knows nothing is not emptied; without a log there is nothing to go by."""
    store.put(b"orphan", "text/plain")
    for _ in range(4):
        in_folder(store.root).grow_old()
    done = blotter("objects", "collect")
    assert (done.returncode, done.stderr.count("\n")) == (1, 1)
    assert "another log's store" in done.stderr
    monkeypatch.delenv("DATABASE_URL")
    done = blotter("objects", "collect")
    assert (done.returncode, "set DATABASE_URL" in done.stderr) == (2, True)
    assert os.listdir(store.root)
