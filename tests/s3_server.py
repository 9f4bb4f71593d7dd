"""An S3-speaking server for tests: SeaweedFS, which comes as one program in a PyPI wheel and checks signatures."""

from __future__ import annotations

import json
import os
import secrets
import signal
import sysconfig
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager, suppress
from dataclasses import dataclass
from datetime import timedelta
from pathlib import Path

import httpx
import obstore
import pytest
from obstore.exceptions import BaseError
from obstore.store import S3Store

from infra.local.failures import ServerError
from infra.local.ports import LOOPBACK, free_port
from infra.local.readiness import await_ready, end
from infra.local.spawn import spawn
from tests.servers import open_folder

BUCKET = "blotter-test"
REGION = "us-east-1"
READY_WITHIN = timedelta(seconds=60)
PARTS = ("master", "volume", "filer", "s3")
TRIES = 3
"""Its ports are chosen before it listens on them, and others choose ports meanwhile."""


@dataclass(frozen=True, kw_only=True)
class S3Server:
    """A running server with one bucket, and the key that opens it."""

    endpoint: str
    key_id: str
    secret: str

    def url(self, prefix: str, *, bucket: str = BUCKET) -> str:
        """What BLOTTER_OBJECTS_URL says for a prefix of the bucket."""
        return f"s3://{bucket}/{prefix}?region={REGION}&endpoint={self.endpoint}"

    @property
    def environment(self) -> dict[str, str]:
        """The variables from which a store takes its key."""
        return {"AWS_ACCESS_KEY_ID": self.key_id, "AWS_SECRET_ACCESS_KEY": self.secret}

    def bucket(self, prefix: str) -> S3Store:
        """The library's own store, for what people and disks do to objects."""
        return S3Store(
            BUCKET,
            prefix=prefix,
            region=REGION,
            endpoint=self.endpoint,
            access_key_id=self.key_id,
            secret_access_key=self.secret,
            client_options={"allow_http": True},
            retry_config={"max_retries": 0},
        )


@contextmanager
def s3_server() -> Iterator[S3Server]:
    """A server for as long as the context lasts; without its program tests are skipped, and fail in CI."""
    program = Path(sysconfig.get_path("scripts")) / "weed"
    if not program.exists():
        reason = "SeaweedFS is not installed: it is one of the development requirements, for Linux"
        pytest.fail(reason) if os.environ.get("CI") else pytest.skip(reason)
    with ExitStack() as stack:
        yield _started(stack, program)


def _started(stack: ExitStack, program: Path) -> S3Server:
    for _ in range(TRIES - 1):
        with suppress(ServerError):
            return stack.enter_context(_running(program))
    return stack.enter_context(_running(program))


@contextmanager
def _running(program: Path) -> Iterator[S3Server]:
    with open_folder() as folder, _serving(program, folder) as server:
        yield server


@contextmanager
def _serving(program: Path, folder: Path) -> Iterator[S3Server]:
    server_ports, grpc_ports = ({part: free_port() for part in PARTS} for _ in range(2))
    server = S3Server(
        endpoint=f"http://{LOOPBACK}:{server_ports['s3']}", key_id="test-key", secret=secrets.token_urlsafe(24)
    )
    keys = folder / "keys.json"
    keys.write_text(json.dumps(_identities(server)))
    log = folder / "seaweedfs.log"
    process = spawn(
        [
            *(program, "-logtostderr=true", "server", f"-dir={folder}", f"-ip={LOOPBACK}", f"-ip.bind={LOOPBACK}"),
            *(f"-{part}.port={port}" for part, port in server_ports.items()),
            *(f"-{part}.port.grpc={port}" for part, port in grpc_ports.items()),
            *("-filer", f"-filer.localSocket={folder / 'filer.sock'}", "-volume.max=20", "-volume.preStopSeconds=0"),
            *("-s3", f"-s3.config={keys}", f"-s3.localSocket={folder / 's3.sock'}", "-s3.autoCreateBucket=false"),
            # Nothing else of all that it can do, and not a word to anybody.
            *("-s3.port.iceberg=0", "-s3.port.lance=0", "-s3.iam=false", "-master.telemetry=false"),
        ],
        log=log,
        death_signal=signal.SIGKILL,
    )
    filer = f"http://{LOOPBACK}:{server_ports['filer']}"
    try:
        await_ready(process, lambda: _takes_objects(server, filer), name="SeaweedFS", within=READY_WITHIN, log=log)
        yield server
    finally:
        end(process, signal.SIGKILL, within=timedelta(seconds=10))
        for part, port in grpc_ports.items():  # it puts these there whatever it is told
            with suppress(OSError):
                Path(f"/tmp/seaweedfs-{part}-grpc-{port}.sock").unlink()


def _identities(server: S3Server) -> dict[str, object]:
    credentials = [{"accessKey": server.key_id, "secretKey": server.secret}]
    return {"identities": [{"name": "test", "credentials": credentials, "actions": ["Admin"]}]}


def _takes_objects(server: S3Server, filer: str) -> bool:
    """Whether it has the bucket and takes something into it; its parts find each other one after the other."""
    try:
        httpx.post(f"{filer}/buckets/{BUCKET}/", timeout=2)
        obstore.put(server.bucket("ready"), "ready", b"ready")
    except (httpx.HTTPError, BaseError, FileNotFoundError):
        return False
    return True
