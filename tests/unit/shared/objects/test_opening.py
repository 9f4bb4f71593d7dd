"""Which store the settings open."""

from __future__ import annotations

import sys
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest
from pydantic import ValidationError

from shared.objects import LocalObjectStore, WrongObjectsUrl, open_store
from shared.objects.opening import S3NotInstalled
from shared.objects.s3 import S3ObjectStore
from shared.settings import Settings


def settings(**changes: Any) -> Settings:
    """Settings whatever the environment of the test run says."""
    return Settings(**({"database_url": "postgresql://nobody@localhost/none", "objects_url": None} | changes))


@pytest.mark.parametrize("url", [None, ""])
def test_objects_are_in_the_home_folder_by_default(url: str | None, tmp_path: Path) -> None:
    """Also where a deployment passes an empty variable on."""
    store = open_store(settings(home=tmp_path, objects_url=url))
    assert isinstance(store, LocalObjectStore)
    assert store.place == str(tmp_path / "objects")


def test_a_folder_may_be_named(tmp_path: Path) -> None:
    """By URL, like a bucket."""
    assert open_store(settings(objects_url=f"file://{tmp_path}")).place == str(tmp_path)


def test_a_bucket_may_be_named() -> None:
    """It is not asked anything yet: services start without it."""
    store = open_store(settings(objects_url="s3://desk/objects?region=eu-central-1"))
    assert isinstance(store, S3ObjectStore)
    assert store.place == "s3://desk/objects"


def test_a_wrong_url_keeps_a_service_from_starting() -> None:
    """With the variable's name."""
    with pytest.raises(WrongObjectsUrl, match="BLOTTER_OBJECTS_URL"):
        open_store(settings(objects_url="nfs://desk"))


def test_without_the_library_it_is_said_what_to_install(monkeypatch: pytest.MonkeyPatch) -> None:
    """It is an extra of its own: most installations need none."""
    monkeypatch.delitem(sys.modules, "shared.objects.s3", raising=False)
    monkeypatch.setitem(sys.modules, "obstore", None)
    with pytest.raises(S3NotInstalled, match="extra `s3`"):
        open_store(settings(objects_url="s3://desk"))


def test_the_grace_is_a_week_and_never_less_than_an_hour() -> None:
    """Shorter ones would remove what a running step has just put."""
    assert settings().object_grace == timedelta(days=7)
    with pytest.raises(ValidationError):
        settings(object_grace_seconds=60)
