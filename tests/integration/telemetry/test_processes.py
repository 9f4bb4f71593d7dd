"""What processes say of tasks is kept: when one of them is killed, when PostgreSQL is away, when a collector hangs."""

from __future__ import annotations

import os
import signal
import socket
import subprocess
import sys
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from uuid import uuid4

import msgspec
import psycopg
import pytest
from opentelemetry.proto.collector.trace.v1.trace_service_pb2 import ExportTraceServiceRequest

from tests.waiting import until

SPEAKER = Path(__file__).with_name("speaker.py")
CHECKOUT = Path(__file__).resolve().parents[3]
PARENT = "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01"


class Speaker:
    """A running speaker, and what it has printed: number, process and seconds of each thing it said."""

    def __init__(self, process: subprocess.Popen[str]) -> None:
        self.process = process
        self.said: list[tuple[int, int, float]] = []
        threading.Thread(target=self._read, daemon=True).start()

    def _read(self) -> None:
        assert self.process.stdout is not None
        for line in self.process.stdout:
            number, pid, seconds = line.split()
            self.said.append((int(number), int(pid), float(seconds)))

    @property
    def pids(self) -> set[int]:
        """Who has said something."""
        return {pid for _, pid, _ in self.said}


@contextmanager
def speaking(database_url: str, task_id: str, *more: str, **environment: str) -> Iterator[Speaker]:
    """Run a speaker; it is killed at the end, with its children."""
    process = subprocess.Popen(
        [sys.executable, SPEAKER, database_url, task_id, PARENT, *more],
        cwd=CHECKOUT,
        env={**os.environ, "PYTHONPATH": str(CHECKOUT), **environment},
        stdout=subprocess.PIPE,
        stderr=subprocess.DEVNULL,
        text=True,
        start_new_session=True,
    )
    try:
        yield Speaker(process)
    finally:
        os.killpg(process.pid, signal.SIGKILL)
        process.wait()


def kept(database_url: str, task_id: str) -> tuple[int, dict[int, list[int]]]:
    """How many spans are kept of a task, and the numbers of its lines by process."""
    with psycopg.connect(database_url) as connection:
        spans = connection.execute("SELECT body FROM telemetry.spans WHERE task_id = %s", [task_id]).fetchall()
        lines = connection.execute("SELECT body FROM telemetry.lines WHERE task_id = %s ORDER BY id", [task_id])
        numbers: dict[int, list[int]] = {}
        for (body,) in lines:
            for line in msgspec.json.decode(body):
                numbers.setdefault(line["fields"]["pid"], []).append(line["fields"]["number"])
    return sum(len(msgspec.json.decode(body)) for (body,) in spans), numbers


def test_of_children_that_are_forked_off_each_keeps_its_own_and_a_killed_one_loses_a_second(
    migrated_database_url: str,
) -> None:
    """kill -9 of one in the middle: what it had said before is kept, and the other one goes on."""
    task_id = str(uuid4())
    with speaking(migrated_database_url, task_id, "fork") as speaker:
        until(lambda: len(speaker.pids) == 2 and len(kept(migrated_database_url, task_id)[1]) == 2, seconds=20)
        doomed, other = sorted(speaker.pids)
        until(lambda: len(kept(migrated_database_url, task_id)[1][doomed]) > 100, seconds=20)
        os.kill(doomed, signal.SIGKILL)
        said = [number for number, pid, _ in list(speaker.said) if pid == doomed]
        before = len(kept(migrated_database_url, task_id)[1][other])
        until(lambda: len(kept(migrated_database_url, task_id)[1][other]) > before + 100, seconds=20)
    spans, lines = kept(migrated_database_url, task_id)
    for pid in (doomed, other):
        assert lines[pid] == list(range(1, len(lines[pid]) + 1))
    assert said[-1] - lines[doomed][-1] < 300
    assert spans == sum(len(numbers) for numbers in lines.values())


def test_while_postgresql_is_away_nobody_waits_and_what_was_said_is_kept_later(migrated_database_url: str) -> None:
    """Behind an address where nobody listens, and then PostgreSQL does: nothing is lost that fits into the queue."""
    task_id = str(uuid4())
    with socket.socket() as refused:
        refused.bind(("127.0.0.1", 0))
        port = refused.getsockname()[1]
    url = psycopg.conninfo.make_conninfo(migrated_database_url, host="127.0.0.1", port=port)
    with speaking(url, task_id) as speaker:
        until(lambda: len(speaker.said) > 200, seconds=20)
        assert sorted(seconds for *_, seconds in list(speaker.said))[len(speaker.said) // 2] < 0.01
        with _forwarding(port, migrated_database_url):
            until(lambda: len(kept(migrated_database_url, task_id)[1].get(speaker.process.pid, [])) > 200, seconds=40)
    (numbers,) = kept(migrated_database_url, task_id)[1].values()
    assert numbers == list(range(1, len(numbers) + 1))


def test_with_an_endpoint_set_spans_go_there_too(migrated_database_url: str) -> None:
    """By OTLP over HTTP, as any collector takes them, with the name of the service."""
    task_id = str(uuid4())
    with (
        _collector() as (url, received),
        speaking(migrated_database_url, task_id, OTEL_EXPORTER_OTLP_ENDPOINT=url, OTEL_BSP_SCHEDULE_DELAY="200"),
    ):
        until(lambda: received, seconds=20)
        until(lambda: kept(migrated_database_url, task_id)[0] > 0, seconds=20)
    request = ExportTraceServiceRequest.FromString(received[0])
    (resource,) = request.resource_spans
    names = {each.key: each.value.string_value for each in resource.resource.attributes}
    spans = resource.scope_spans[0].spans
    assert names["service.name"] == "speaker"
    assert {span.name for span in spans} == {"said"}
    assert {span.trace_id.hex() for span in spans} == {PARENT.split("-")[1]}


def test_a_collector_that_hangs_slows_nothing_and_keeps_nothing_from_being_kept(migrated_database_url: str) -> None:
    """It takes the connection and never answers."""
    task_id = str(uuid4())
    with socket.create_server(("127.0.0.1", 0)) as hanging:
        url = f"http://127.0.0.1:{hanging.getsockname()[1]}"
        with speaking(
            migrated_database_url, task_id, OTEL_EXPORTER_OTLP_ENDPOINT=url, OTEL_BSP_SCHEDULE_DELAY="100"
        ) as speaker:
            until(lambda: kept(migrated_database_url, task_id)[0] > 300, seconds=30)
            took = sorted(seconds for *_, seconds in list(speaker.said))
    assert took[len(took) // 2] < 0.01


@contextmanager
def _collector() -> Iterator[tuple[str, list[bytes]]]:
    """A server that takes whatever is posted to it."""
    received: list[bytes] = []

    class Handler(BaseHTTPRequestHandler):
        def do_POST(self) -> None:
            body = self.rfile.read(int(self.headers["Content-Length"]))
            if self.headers.get("Content-Encoding") is None and self.path == "/v1/traces":
                received.append(body)
            self.send_response(200)
            self.end_headers()

        def log_message(self, *_: object) -> None:
            pass

    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    threading.Thread(target=server.serve_forever, daemon=True).start()
    try:
        yield f"http://127.0.0.1:{server.server_port}", received
    finally:
        server.shutdown()
        server.server_close()


@contextmanager
def _forwarding(port: int, database_url: str) -> Iterator[None]:
    """Let PostgreSQL be reached at a port from now on."""
    target = psycopg.conninfo.conninfo_to_dict(database_url)
    address = str(target["host"]), int(str(target["port"]))
    with socket.create_server(("127.0.0.1", port)) as server:

        def accept() -> None:
            while True:
                try:
                    client, _ = server.accept()
                except OSError:
                    return
                upstream = socket.create_connection(address)
                for source, sink in ((client, upstream), (upstream, client)):
                    threading.Thread(target=_copy, args=(source, sink), daemon=True).start()

        threading.Thread(target=accept, daemon=True).start()
        yield


def _copy(source: socket.socket, sink: socket.socket) -> None:
    try:
        while data := source.recv(65_536):
            sink.sendall(data)
    except OSError:
        pass
    finally:
        sink.close()


@pytest.fixture(autouse=True)
def _no_collector(monkeypatch: pytest.MonkeyPatch) -> None:
    """None but the test's own."""
    for name in [name for name in os.environ if name.startswith("OTEL_")]:
        monkeypatch.delenv(name)
