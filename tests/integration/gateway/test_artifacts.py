"""What steps kept for people: listed from the log, sent from the object store, and never as whole when it is not."""

from __future__ import annotations

import threading
from collections.abc import Iterator
from contextlib import ExitStack
from pathlib import Path
from uuid import uuid4

import httpx
import pytest
import uvicorn

from services.gateway.app import create_app
from shared.domain.execution import WorkflowExecution
from shared.domain.execution_events import Artifact
from shared.domain.outputs import ObjectRef, Output
from shared.log.event_log import EventLog
from shared.objects import LocalObjectStore, ObjectStore, open_store
from shared.objects.store import CHUNK_BYTES
from tests.builders import running, stamp
from tests.contract.object_stores import path_of
from tests.fake_status import FakeStatus
from tests.integration.gateway.stage import BOB, Stage, as_user, settings, staged
from tests.s3_server import S3Server

CSV = b"symbol,close\nMSFT,24.68\n"
BIG = bytes(range(256)) * (3 * CHUNK_BYTES // 256) + b"end"
CONTENTS: dict[str, tuple[bytes, str]] = {
    "signals.csv": (CSV, "text/csv"),
    "chart.png": (b"\x89PNG....", "image/png"),
    "chart.svg": (b"<svg xmlns='http://www.w3.org/2000/svg'><script>alert(1)</script></svg>", "image/svg+xml"),
    "a report.html": (b"<script>alert(1)</script>", "text/html"),
    "empty.bin": (b"", "application/octet-stream"),
    "big.bin": (BIG, "application/octet-stream"),
}


def complete(run: WorkflowExecution, artifacts: dict[str, ObjectRef], at: float) -> None:
    """Complete the step that comes next, with what it kept."""
    step, symbol = run.next_position() or ("", None)
    run.complete_step(
        stamp(at),
        attempt=1,
        step=step,
        symbol=symbol,
        output=Output(inline=None),
        started_at=stamp(at).at,
        artifacts=tuple(Artifact(name=name, ref=ref) for name, ref in artifacts.items()),
    )


def recorded(store: ObjectStore) -> tuple[WorkflowExecution, dict[str, ObjectRef]]:
    """A run that has kept CONTENTS in its first step, and one more for AAPL; its events are still to be appended."""
    refs = {name: store.put(data, media_type) for name, (data, media_type) in CONTENTS.items()}
    run = running()
    complete(run, refs, 2)
    complete(run, {"aapl.txt": store.put(b"AAPL fell", "text/plain; charset=utf-8")}, 3)
    return run, refs


@pytest.fixture
def store(tmp_path: Path) -> LocalObjectStore:
    """The object store of the stage."""
    return LocalObjectStore(tmp_path / "objects")


@pytest.fixture
async def run(stage: Stage, store: LocalObjectStore) -> WorkflowExecution:
    """A run with artifacts, in the log; it runs on."""
    run, _ = recorded(store)
    await stage.log.append(run.collect_events())
    return run


def path(run: WorkflowExecution, name: str = "") -> str:
    """Where a run's artifacts are, or one of them."""
    return f"/api/tasks/{run.id}/artifacts" + (f"/{name}" if name else "")


async def test_artifacts_are_listed_with_all_that_one_needs_to_fetch_them(stage: Stage, run: WorkflowExecution) -> None:
    """In the order in which they were kept, while the run goes on; the URL of each is ready to use."""
    answer = (await stage.client.get(path(run))).json()
    assert answer["next_cursor"] is None
    assert [item["name"] for item in answer["items"]] == [*CONTENTS, "aapl.txt"]
    assert [(item["step"], item["symbol"]) for item in answer["items"]][-2:] == [("load", None), ("analyse", "AAPL")]
    for item in answer["items"]:
        sent = await stage.client.get(item["url"])
        assert (sent.status_code, len(sent.content)) == (200, item["size"])
        assert sent.headers["ETag"] == f'"{item["sha256"]}"'
        assert sent.headers["Content-Type"].startswith(item["media_type"])


async def test_a_list_comes_in_pages(stage: Stage, run: WorkflowExecution) -> None:
    """Without gap or repeat."""
    names: list[str] = []
    cursor: dict[str, str] = {}
    while True:
        page = (await stage.client.get(path(run), params={"limit": 3, **cursor})).json()
        names += [item["name"] for item in page["items"]]
        if page["next_cursor"] is None:
            break
        cursor = {"cursor": page["next_cursor"]}
    assert names == [*CONTENTS, "aapl.txt"]


@pytest.mark.parametrize("name", CONTENTS)
async def test_an_artifact_comes_whole(stage: Stage, run: WorkflowExecution, name: str) -> None:
    """With its length, so that a client knows when it has all of it."""
    data, media_type = CONTENTS[name]
    answer = await stage.client.get(path(run, name))
    assert answer.content == data
    assert answer.headers["Content-Length"] == str(len(data))
    assert answer.headers["Content-Type"].startswith(media_type)


@pytest.mark.parametrize(
    ("name", "where"),
    [
        ("signals.csv", "inline; filename*=UTF-8''signals.csv"),
        ("chart.png", "inline; filename*=UTF-8''chart.png"),
        ("aapl.txt", "inline; filename*=UTF-8''aapl.txt"),
        ("chart.svg", "attachment; filename*=UTF-8''chart.svg"),
        ("a report.html", "attachment; filename*=UTF-8''a%20report.html"),
        ("big.bin", "attachment; filename*=UTF-8''big.bin"),
    ],
)
async def test_nothing_that_could_run_is_shown_in_place(
    stage: Stage, run: WorkflowExecution, name: str, where: str
) -> None:
    """And nothing runs if it is shown all the same, nor is it taken for something else than it says."""
    headers = (await stage.client.get(path(run, name))).headers
    assert headers["Content-Disposition"] == where
    assert headers["X-Content-Type-Options"] == "nosniff"
    assert headers["Content-Security-Policy"].startswith("sandbox; default-src 'none'")


@pytest.mark.parametrize("form", ["{}", "W/{}", '"other", {}', "*"])
async def test_what_the_caller_has_already_is_not_sent_again(stage: Stage, run: WorkflowExecution, form: str) -> None:
    """By its hash."""
    etag = (await stage.client.get(path(run, "signals.csv"))).headers["ETag"]
    again = await stage.client.get(path(run, "signals.csv"), headers={"If-None-Match": form.format(etag)})
    assert (again.status_code, again.content, again.headers["ETag"]) == (304, b"", etag)
    other = await stage.client.get(path(run, "signals.csv"), headers={"If-None-Match": '"other"'})
    assert (other.status_code, other.content) == (200, CSV)


async def test_of_two_with_one_name_the_later_one_counts(
    stage: Stage, run: WorkflowExecution, store: LocalObjectStore
) -> None:
    """It keeps its place in the list; a client that has the first is sent the second."""
    old = (await stage.client.get(path(run, "signals.csv"))).headers["ETag"]
    complete(run, {"signals.csv": store.put(b"new", "text/csv")}, 4)
    await stage.log.append(run.collect_events())
    answer = await stage.client.get(path(run, "signals.csv"), headers={"If-None-Match": old})
    assert (answer.status_code, answer.content) == (200, b"new")
    first = (await stage.client.get(path(run))).json()["items"][0]
    assert (first["name"], first["step"], first["symbol"]) == ("signals.csv", "analyse", "MSFT")


async def test_an_unknown_name_is_answered_with_the_known_ones(stage: Stage, run: WorkflowExecution) -> None:
    """Up to twenty of them."""
    answer = await stage.client.get(path(run, "signal.csv"))
    assert (answer.status_code, answer.json()["code"]) == (404, "artifact_not_found")
    assert "it has signals.csv, chart.png" in answer.json()["detail"]
    bare = running()
    await stage.log.append(bare.collect_events())
    assert (await stage.client.get(path(bare))).json() == {"items": [], "next_cursor": None}
    assert "has none" in (await stage.client.get(path(bare, "x"))).json()["detail"]


@pytest.mark.parametrize("name", ["", "x"])
async def test_an_unknown_task_has_no_artifacts(stage: Stage, name: str) -> None:
    """404, as for the task itself; also for what no task's id can be."""
    for task_id in (str(uuid4()), "nonsense"):
        answer = await stage.client.get(f"/api/tasks/{task_id}/artifacts" + (f"/{name}" if name else ""))
        assert (answer.status_code, answer.json()["code"]) == (404, "task_not_found")


async def test_names_are_no_paths(stage: Stage, run: WorkflowExecution) -> None:
    """They are looked up in the record, and nowhere else."""
    for name in ("..%2F..%2Fpassword", "%2e%2e", "..%5c", "%00"):
        assert (await stage.client.get(path(run, name))).status_code == 404


async def test_an_object_that_is_gone_is_told_from_a_name_that_never_was(
    stage: Stage, run: WorkflowExecution, store: LocalObjectStore
) -> None:
    """410, with what to do; the list still has it."""
    ref = run.artifacts["signals.csv"].ref
    path_of(store.root, ref).unlink()
    answer = await stage.client.get(path(run, "signals.csv"))
    assert (answer.status_code, answer.json()["code"]) == (410, "artifact_gone")
    assert ref.sha256 in answer.json()["detail"]
    assert "signals.csv" in (await stage.client.get(path(run))).text


@pytest.mark.parametrize("damaged", [CSV[:-1], b"X" + CSV[1:]], ids=["shorter", "changed"])
async def test_a_small_object_that_is_damaged_is_not_sent_at_all(
    stage: Stage, run: WorkflowExecution, store: LocalObjectStore, damaged: bytes
) -> None:
    """It is known before the first byte."""
    path_of(store.root, run.artifacts["signals.csv"].ref).write_bytes(damaged)
    answer = await stage.client.get(path(run, "signals.csv"))
    assert (answer.status_code, answer.json()["code"]) == (410, "artifact_damaged")


async def test_any_caller_may_read_artifacts_and_nobody_else(keyed: Stage, store: LocalObjectStore) -> None:
    """Like the task itself."""
    run, _ = recorded(store)
    await keyed.log.append(run.collect_events())
    for where in (path(run), path(run, "signals.csv")):
        assert (await keyed.client.get(where, headers=as_user(BOB))).status_code == 200
        assert (await keyed.client.get(where, headers=as_user("nobody-0123456789"))).status_code == 401


@pytest.fixture
def served(migrated_database_url: str, tmp_path: Path) -> Iterator[str]:
    """The URL of a gateway over real HTTP, in which a connection can break."""
    app = create_app(settings(migrated_database_url, home=tmp_path), status_transport=FakeStatus().transport)
    server = uvicorn.Server(uvicorn.Config(app, port=0, log_config=None, access_log=False))
    socket = server.config.bind_socket()
    thread = threading.Thread(target=server.run, kwargs={"sockets": [socket]})
    thread.start()
    yield f"http://127.0.0.1:{socket.getsockname()[1]}"
    server.should_exit = True
    thread.join()


def test_a_large_object_that_is_damaged_breaks_off(
    served: str, migrated_database_url: str, store: LocalObjectStore
) -> None:
    """Its last piece is not sent, although its size is right; the gateway serves on."""
    run, refs = recorded(store)
    with EventLog(migrated_database_url) as log:
        log.save_execution(run)
    assert httpx.get(served + path(run, "big.bin")).content == BIG
    path_of(store.root, refs["big.bin"]).write_bytes(b"X" + BIG[1:])
    received = b""
    with httpx.stream("GET", served + path(run, "big.bin")) as answer, pytest.raises(httpx.RemoteProtocolError):
        assert answer.status_code == 200
        for piece in answer.iter_bytes():
            received += piece
    assert len(received) < len(BIG)
    assert httpx.get(served + path(run, "signals.csv")).content == CSV


def test_many_readers_at_once_do_not_hold_up_the_gateway(
    served: str, migrated_database_url: str, store: LocalObjectStore
) -> None:
    """A reader that stops reading holds no thread: sixty of them, and others are still answered."""
    run, _ = recorded(store)
    with EventLog(migrated_database_url) as log:
        log.save_execution(run)
    with ExitStack() as stack:
        for _ in range(60):
            answer = stack.enter_context(httpx.stream("GET", served + path(run, "big.bin"), timeout=30))
            assert answer.status_code == 200
        assert httpx.get(served + path(run, "signals.csv"), timeout=5).content == CSV
        assert httpx.get(f"{served}/health/live", timeout=5).status_code == 200


async def test_artifacts_come_out_of_a_bucket_too(
    s3: S3Server, catalogue_url: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """By the same references; while the server is away it is said so, and what can do without it still answers."""
    for name, value in s3.environment.items():
        monkeypatch.setenv(name, value)
    configuration = settings(catalogue_url, home=tmp_path, objects_url=s3.url(f"gateway/{uuid4().hex}"))
    run, _ = recorded(open_store(configuration))
    async with staged(configuration) as stage:
        await stage.log.append(run.collect_events())
        for name, (data, _) in CONTENTS.items():
            assert (await stage.client.get(path(run, name))).content == data
    away = settings(
        catalogue_url, home=tmp_path, objects_url="s3://desk/x?region=us-east-1&endpoint=http://127.0.0.1:1"
    )
    async with staged(away) as stage:
        answer = await stage.client.get(path(run, "signals.csv"))
        assert (answer.status_code, answer.json()["code"]) == (503, "unavailable")
        assert "http://127.0.0.1:1" in answer.json()["detail"]
        assert (await stage.client.get(path(run))).status_code == 200
