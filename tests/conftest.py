"""Fixtures for every test: servers once a session, a database and a Redis of its own for each test."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from infra.migrations.migrate import migrate
from tests import servers
from tests.copies import Copies
from tests.e2e.stack import Stack
from tests.failing_redis import FailingRedis
from tests.s3_server import S3Server, s3_server


@pytest.fixture(scope="session")
def postgres_server() -> Iterator[servers.Postgres]:
    """A PostgreSQL server, stopped at the end of the session if we started it."""
    with servers.postgres() as server:
        yield server


@pytest.fixture(scope="session")
def redis_server() -> Iterator[servers.Redis]:
    """A Redis server, stopped at the end of the session if we started it."""
    with servers.valkey() as server:
        yield server


@pytest.fixture(scope="session")
def s3() -> Iterator[S3Server]:
    """An S3-speaking server with one bucket, killed at the end of the session."""
    with s3_server() as server:
        yield server


@pytest.fixture
def database_url(postgres_server: servers.Postgres) -> Iterator[str]:
    """An empty database of the test's own."""
    url = postgres_server.create()
    yield url
    postgres_server.drop(url)


@pytest.fixture(scope="session")
def migrated_template(postgres_server: servers.Postgres) -> Iterator[str]:
    """The name of a database with every migration applied, to copy from."""
    url = postgres_server.create()
    migrate(url)
    yield servers.name_of(url)
    postgres_server.drop(url)


@pytest.fixture(scope="session")
def migrated_copies(postgres_server: servers.Postgres, migrated_template: str) -> Iterator[Copies]:
    """Copies of it, made ahead."""
    with Copies(postgres_server, migrated_template) as copies:
        yield copies


@pytest.fixture
def migrated_database_url(migrated_copies: Copies) -> Iterator[str]:
    """A database of the test's own with every migration applied."""
    url = migrated_copies.take()
    yield url
    migrated_copies.give_back(url)


@pytest.fixture
def redis_url(redis_server: servers.Redis) -> str:
    """An empty Redis database."""
    return redis_server.next_url()


@pytest.fixture
def failing_redis() -> Iterator[FailingRedis]:
    """A Redis of the test's own, which it may kill, stop and start."""
    with servers.open_folder() as folder, FailingRedis(folder) as server:
        yield server


@pytest.fixture(scope="session")
def stack() -> Iterator[Stack]:
    """The whole stack, with the shipped strategies and those of the tests, for all tests that only use it."""
    with servers.open_folder() as folder, Stack(folder / "home") as stack:
        yield stack
