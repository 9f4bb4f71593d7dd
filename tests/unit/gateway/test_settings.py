"""What the gateway makes of its environment."""

from __future__ import annotations

from typing import Any

import pytest
from pydantic import ValidationError

from services.gateway.settings import GatewaySettings, is_loopback

KEYS = "ada:trader:0123456789abcdef"


def _settings(database: str = "postgresql://u:p@host:5432/blotter", **changes: Any) -> GatewaySettings:
    return GatewaySettings(
        database_url=database, **({"api_keys": "", "host": "127.0.0.1", "id_secret": None} | changes)
    )


@pytest.mark.parametrize("host", ["127.0.0.1", "127.1.2.3", "::1", "[::1]", "localhost"])
def test_open_mode_is_for_loopback(host: str) -> None:
    """Without keys the gateway listens where only this machine can reach it."""
    assert is_loopback(host)
    assert _settings(host=host).keys == ()


@pytest.mark.parametrize("host", ["0.0.0.0", "::", "10.0.0.1", "blotter.example", "localhost.example", ""])
def test_any_other_address_needs_keys(host: str) -> None:
    """Without keys it refuses with what to do; with keys it listens anywhere."""
    with pytest.raises(ValidationError, match="set BLOTTER_API_KEYS"):
        _settings(host=host)
    assert len(_settings(host=host, api_keys=KEYS).keys) == 1


def test_a_bad_key_is_not_shown() -> None:
    """Neither the error nor the settings' own text holds a key."""
    with pytest.raises(ValidationError) as refusal:
        _settings(api_keys="ada:trader:short-secret")
    assert "short-secret" not in str(refusal.value)
    assert "0123456789abcdef" not in repr(_settings(api_keys=KEYS))


def test_ids_are_the_same_in_every_replica_of_one_installation() -> None:
    """The namespace hangs on the database's name, not on the way there; another database has another."""
    here = _settings("postgresql://u:p@host:5432/blotter").id_namespace
    assert here == _settings("postgresql://other:pw@db.internal/blotter").id_namespace
    assert here == _settings("host=db dbname=blotter").id_namespace
    assert here != _settings("postgresql://u:p@host:5432/another").id_namespace


def test_a_secret_replaces_the_databases_name() -> None:
    """With BLOTTER_ID_SECRET nobody can tell the ids from the database's name."""
    one = _settings(id_secret="one")
    assert one.id_namespace == _settings("postgresql://u:p@host/elsewhere", id_secret="one").id_namespace
    assert len({one.id_namespace, _settings(id_secret="two").id_namespace, _settings().id_namespace}) == 3
