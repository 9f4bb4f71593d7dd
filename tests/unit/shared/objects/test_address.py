"""What BLOTTER_OBJECTS_URL may say, and what is said to those who write something else."""

from __future__ import annotations

from pathlib import Path

import pytest

from shared.objects.address import S3Address, WrongObjectsUrl, parse_objects_url


@pytest.mark.parametrize(
    ("url", "place"),
    [
        ("file:///var/blotter/objects", Path("/var/blotter/objects")),
        ("file://localhost/var/my%20objects", Path("/var/my objects")),
        ("s3://desk", S3Address(bucket="desk", prefix="")),
        ("s3://desk/", S3Address(bucket="desk", prefix="")),
        ("s3://desk/a/b/?region=eu-central-1", S3Address(bucket="desk", prefix="a/b", region="eu-central-1")),
        (
            "s3://desk/a?endpoint=https://s3.example.com:9000/",
            S3Address(bucket="desk", prefix="a", endpoint="https://s3.example.com:9000"),
        ),
        (
            "s3://desk?endpoint=http%3A%2F%2F127.0.0.1%3A9000&region=x",
            S3Address(bucket="desk", prefix="", region="x", endpoint="http://127.0.0.1:9000", allow_http=True),
        ),
        (
            "s3://desk?endpoint=http://[::1]:9000",
            S3Address(bucket="desk", prefix="", endpoint="http://[::1]:9000", allow_http=True),
        ),
        (
            "s3://desk?endpoint=http://minio:9000&allow_http=true",
            S3Address(bucket="desk", prefix="", endpoint="http://minio:9000", allow_http=True),
        ),
    ],
)
def test_a_place_is_read(url: str, place: Path | S3Address) -> None:
    """Plain HTTP is allowed on this machine, and elsewhere only in so many words."""
    assert parse_objects_url(url) == place


@pytest.mark.parametrize(
    ("url", "reason"),
    [
        ("", "has no scheme"),
        ("objects", "has no scheme"),
        ("/var/objects", "has no scheme"),
        ("gs://desk", "begins with gs:"),
        ("https://desk.s3.amazonaws.com", "begins with https:"),
        ("file://host/objects", "names no folder of this machine"),
        ("file://objects", "names no folder of this machine"),
        ("file:objects", "names no folder of this machine"),
        ("file:///objects?region=x", "names no folder of this machine"),
        ("s3://", "has no bucket's name"),
        ("s3:///prefix", "has no bucket's name"),
        ("s3://My_Bucket", "has no bucket's name"),
        ("s3://desk:9000/a", "has no bucket's name"),
        ("s3://desk/a b", "no plain path"),
        ("s3://desk/../other", "no plain path"),
        ("s3://desk/a//b", "no plain path"),
        ("s3://desk/%C3%A4", "no plain path"),
        ("s3://desk?zone=x", "other than region, endpoint and allow_http (zone)"),
        ("s3://desk?region=x&region=y", "twice"),
        ("s3://desk?region=", "has a region that is none"),
        ("s3://desk?region", "cannot be read"),
        ("s3://desk?endpoint=minio:9000", "no http:// or https:// address"),
        ("s3://desk?endpoint=https://", "no http:// or https:// address"),
        ("s3://desk?endpoint=https://host:x", "no http:// or https:// address"),
        ("s3://desk?endpoint=https://[::1", "no http:// or https:// address"),
        ("s3://desk?endpoint=http://minio:9000", "without TLS"),
        ("s3://desk?endpoint=http://10.0.0.1:9000&allow_http=false", "without TLS"),
        ("s3://desk?allow_http=yes", "other than true and false"),
        ("s3://desk#x", "has a #"),
        ("s3://[desk", "cannot be read"),
    ],
)
def test_anything_else_is_refused_with_what_to_write(url: str, reason: str) -> None:
    """Each with its own reason."""
    with pytest.raises(WrongObjectsUrl) as wrong:
        parse_objects_url(url)
    assert reason in wrong.value.detail
    assert "s3://bucket/prefix?region=" in wrong.value.detail


@pytest.mark.parametrize("url", ["s3://key:hunter2@desk/a", "s3://desk?secret=hunter2", "s3://hunter2:hunter2/"])
def test_a_secret_in_it_is_not_repeated(url: str) -> None:
    """Error texts end up in logs."""
    with pytest.raises(WrongObjectsUrl) as wrong:
        parse_objects_url(url)
    assert "hunter2" not in wrong.value.detail


@pytest.mark.parametrize(
    ("url", "text"),
    [
        ("s3://desk", "s3://desk"),
        ("s3://desk/a?endpoint=http://127.0.0.1:9000&region=x", "s3://desk/a at http://127.0.0.1:9000"),
    ],
)
def test_a_place_is_told(url: str, text: str) -> None:
    """As far as it helps to find it."""
    assert str(parse_objects_url(url)) == text
