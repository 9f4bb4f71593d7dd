"""What BLOTTER_OBJECTS_URL may say: a bucket of an S3-speaking server, or a folder."""

import re
from dataclasses import dataclass
from ipaddress import ip_address
from pathlib import Path
from urllib.parse import SplitResult, parse_qsl, unquote, urlsplit

from shared.domain.errors import BlotterError

FORMS = (
    "write s3://bucket/prefix?region=eu-central-1 (with &endpoint=https://host for another server than Amazon's), or "
    "file:///folder, or leave it unset for BLOTTER_HOME/objects"
)
_BUCKET = re.compile(r"[a-z0-9][a-z0-9.-]{1,61}[a-z0-9]")
_PREFIX = re.compile(r"([A-Za-z0-9!_()'*-][A-Za-z0-9!_.()'*-]*(/|$))*")
_REGION = re.compile(r"[a-z0-9-]{1,40}")


class WrongObjectsUrl(BlotterError):
    """BLOTTER_OBJECTS_URL names no place; the text says what to write, and repeats nothing that may be secret."""

    code = "wrong_objects_url"

    def __init__(self, reason: str) -> None:
        super().__init__(f"BLOTTER_OBJECTS_URL {reason}: {FORMS}.")


@dataclass(frozen=True, kw_only=True)
class S3Address:
    """A bucket, and a prefix in it; region and endpoint are those of the AWS_* variables if they are None here."""

    bucket: str
    prefix: str
    region: str | None = None
    endpoint: str | None = None
    allow_http: bool = False

    def __str__(self) -> str:
        """Return it for people."""
        at = f" at {self.endpoint}" if self.endpoint else ""
        return f"s3://{self.bucket}/{self.prefix}".rstrip("/") + at


def parse_objects_url(url: str) -> Path | S3Address:
    """Return the place that `url` names; raises WrongObjectsUrl."""
    try:
        parts = urlsplit(url)
        query = parse_qsl(parts.query, keep_blank_values=True, strict_parsing=bool(parts.query))
    except ValueError:
        raise WrongObjectsUrl("cannot be read") from None
    if parts.username is not None:
        raise WrongObjectsUrl(
            "must not bear a key: that goes into AWS_ACCESS_KEY_ID and AWS_SECRET_ACCESS_KEY, and here"
        )
    if parts.fragment:
        raise WrongObjectsUrl("has a # in it")
    match parts.scheme:
        case "file":
            return _folder(parts)
        case "s3":
            return _bucket(parts, query)
    raise WrongObjectsUrl(f"begins with {parts.scheme}:" if parts.scheme else "has no scheme")


def _folder(parts: SplitResult) -> Path:
    path = Path(unquote(parts.path))
    if parts.netloc not in ("", "localhost") or parts.query or not path.is_absolute():
        raise WrongObjectsUrl("names no folder of this machine (three slashes, an absolute path, nothing after it)")
    return path


def _bucket(parts: SplitResult, query: list[tuple[str, str]]) -> S3Address:
    if not _BUCKET.fullmatch(parts.netloc):
        raise WrongObjectsUrl("has no bucket's name after s3:// (3 to 63 lower-case letters, digits, dots and dashes)")
    prefix = unquote(parts.path).strip("/")
    if not _PREFIX.fullmatch(prefix):
        raise WrongObjectsUrl("has a prefix that is no plain path (letters, digits and !_.()'*- between its slashes)")
    given = dict(query)
    if unknown := sorted(set(given) - {"region", "endpoint", "allow_http"}):
        raise WrongObjectsUrl(f"has parameters other than region, endpoint and allow_http ({', '.join(unknown)})")
    if len(given) < len(query):
        raise WrongObjectsUrl("gives a parameter twice")
    if not _REGION.fullmatch(given.get("region", "x")):
        raise WrongObjectsUrl("has a region that is none")
    if given.get("allow_http", "false") not in ("true", "false"):
        raise WrongObjectsUrl("has an allow_http other than true and false")
    allow_http = given.get("allow_http") == "true"
    endpoint = given.get("endpoint")
    if endpoint is not None:
        allow_http = _check_endpoint(endpoint, allow_http=allow_http)
        endpoint = endpoint.rstrip("/")
    return S3Address(
        bucket=parts.netloc, prefix=prefix, region=given.get("region"), endpoint=endpoint, allow_http=allow_http
    )


def _check_endpoint(endpoint: str, *, allow_http: bool) -> bool:
    """Return whether plain HTTP is to be used; on the network it must be allowed in so many words."""
    try:
        parts = urlsplit(endpoint)
        named = bool(parts.hostname) and parts.port != 0
    except ValueError:
        named = False
    if not named or parts.scheme not in ("http", "https") or parts.username or parts.query or parts.fragment:
        raise WrongObjectsUrl("has an endpoint that is no http:// or https:// address of a server")
    if parts.scheme == "http" and not allow_http and not _is_loopback(str(parts.hostname)):
        raise WrongObjectsUrl(
            "has an endpoint without TLS on the network: use https://, or add &allow_http=true if nobody can listen "
            "there, that is"
        )
    return allow_http or parts.scheme == "http"


def _is_loopback(host: str) -> bool:
    try:
        return ip_address(host).is_loopback
    except ValueError:
        return host == "localhost"
