"""The servers behind the fixtures: embedded ones, or those of DATABASE_URL and REDIS_URL.

A test gets a database of its own, copied from a template, so that tests neither wait for one another's schema
nor see one another's rows.
"""

from __future__ import annotations

import itertools
import os
import secrets
import shutil
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import psycopg
import redis
from psycopg import sql

from infra.local.ports import free_port
from infra.local.postgres import reaches, start_postgres
from infra.local.valkey import start_valkey

# Durability is not what these tests are about, and the stack's own tests do not use these servers.
FAST = {"fsync": "off", "full_page_writes": "off", "autovacuum": "off", "max_wal_size": "4GB"}
REDIS_DATABASES = 16
MEMORY = "/dev/shm"
ROOM = 4 << 30
"""Bytes."""


class Postgres:
    """A server on which tests make and drop databases."""

    def __init__(self, url: str) -> None:
        """Use the server at `url`, as a user who may create databases."""
        self.url = url

    def create(self, *, template: str = "template0") -> str:
        """Make a database of a random name; answer its URL."""
        name = f"test_{secrets.token_hex(6)}"
        self._run(
            sql.SQL("CREATE DATABASE {} TEMPLATE {} STRATEGY FILE_COPY").format(
                sql.Identifier(name), sql.Identifier(template)
            )
        )
        return self.url_of(name)

    def drop(self, url: str) -> None:
        """Drop a database, whoever is still connected to it."""
        self._run(sql.SQL("DROP DATABASE IF EXISTS {} WITH (FORCE)").format(sql.Identifier(name_of(url))))

    def url_of(self, name: str) -> str:
        """The URL of another database of this server."""
        return self.url.rpartition("/")[0] + "/" + name

    def _run(self, statement: sql.Composed) -> None:
        with psycopg.connect(self.url, autocommit=True) as connection:
            connection.execute(statement)


class Redis:
    """A server whose numbered databases tests use in turn."""

    def __init__(self, url: str, numbers: list[int]) -> None:
        """Use the databases `numbers` of the server at `url`."""
        self.url = url
        self._numbers = itertools.cycle(numbers)

    def next_url(self) -> str:
        """The URL of an empty database."""
        url = self.url.rpartition("/")[0] + f"/{next(self._numbers)}"
        with redis.Redis.from_url(url) as client:
            client.flushdb()
        return url


def name_of(url: str) -> str:
    """The database's name in a URL."""
    return url.rpartition("/")[2]


@contextmanager
def postgres() -> Iterator[Postgres]:
    """The server of DATABASE_URL, or an embedded one for as long as the context lasts."""
    if given := os.environ.get("DATABASE_URL"):
        yield Postgres(given)
        return
    with open_folder(in_memory=True) as folder:
        server = start_postgres(folder, port=free_port(), log=folder / "postgres.log", options=FAST)
        try:
            yield Postgres(server.url)
        finally:
            server.stop()


@contextmanager
def valkey() -> Iterator[Redis]:
    """The server of REDIS_URL (its database must be empty), or an embedded one while the context lasts."""
    if given := os.environ.get("REDIS_URL"):
        yield _given_redis(given)
        return
    with open_folder() as folder:
        server = start_valkey(folder, port=free_port(), log=folder / "valkey.log")
        try:
            yield Redis(server.url, list(range(REDIS_DATABASES)))
        finally:
            server.stop()


def _given_redis(url: str) -> Redis:
    with redis.Redis.from_url(url) as client:
        number = int(client.get_connection_kwargs().get("db") or 0)
        if client.dbsize():
            raise RuntimeError("REDIS_URL names a database that holds keys, and tests empty it: name another.")
    base = url if url.count("/") > 2 else f"{url}/{number}"
    return Redis(base, [number])


@contextmanager
def open_folder(*, in_memory: bool = False) -> Iterator[Path]:
    """A temporary folder that the account which runs PostgreSQL can reach (pytest's own is closed).

    `in_memory`, if there is room: a copy of a database is hundreds of small files.
    """
    roomy = in_memory and Path(MEMORY).is_dir() and shutil.disk_usage(MEMORY).free > ROOM
    for parent in (*([MEMORY] if roomy else []), tempfile.gettempdir(), "/var/tmp", "/var/lib"):
        if reaches(Path(parent)):
            break
    with tempfile.TemporaryDirectory(prefix="blotter-test-", dir=parent, ignore_cleanup_errors=True) as name:
        Path(name).chmod(0o711)
        yield Path(name)
