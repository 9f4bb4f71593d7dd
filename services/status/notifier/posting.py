"""One delivery over HTTP: to an address that was looked at, signed, within a few seconds, and nowhere else.

A name is resolved once, and the connection made to that very address, so that a name server cannot show one address to
the check and another to the connection (DNS rebinding). Redirects are not followed.
"""

import asyncio
import socket
import ssl
import time
from collections.abc import Awaitable, Callable, Mapping
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from ipaddress import ip_address

import httpx

from shared.retry_after import retry_after
from shared.targets import Address, Networks, literal_address

TIMEOUT = timedelta(seconds=5)
"""For all of it: the name, the connection, the answer."""
MOST_OF_ANSWER = 1_024
"""Bytes of an answer that are read and kept."""
GONE = 410

Resolve = Callable[[str, int], Awaitable[list[Address]]]


@dataclass(frozen=True, kw_only=True)
class Outcome:
    """What became of a try: the target's status and the beginning of its answer, or an error."""

    duration: timedelta
    status: int | None = None
    error: str | None = None
    answer: str | None = None
    wish: timedelta | None = None

    @property
    def delivered(self) -> bool:
        """Tell whether the target took it: any 2xx."""
        return self.error is None and self.status is not None and 200 <= self.status < 300

    @property
    def gone(self) -> bool:
        """Tell whether the target wants nothing any more."""
        return self.status == GONE


async def resolve(host: str, port: int) -> list[Address]:
    """Return the addresses of a name. Raises OSError."""
    found = await asyncio.get_running_loop().getaddrinfo(host, port, type=socket.SOCK_STREAM)
    return [ip_address(str(each[4][0]).partition("%")[0]) for each in found]


class Poster:
    """Posts to targets in the networks that are allowed."""

    def __init__(self, networks: Networks, *, resolve: Resolve = resolve, timeout: timedelta = TIMEOUT) -> None:
        self._networks = networks
        self._resolve = resolve
        self._timeout = timeout
        self._http = httpx.AsyncClient(
            verify=ssl.create_default_context(),
            follow_redirects=False,
            trust_env=False,
            timeout=timeout.total_seconds(),
            # A connection belongs to an address, on which other names may be served: none is used for another name.
            limits=httpx.Limits(max_connections=None, max_keepalive_connections=0),
            headers={"user-agent": "Blotter-Webhooks"},
        )

    async def post(self, url: str, body: str, headers: Mapping[str, str]) -> Outcome:
        """Post `body`, and return what became of it; never raises for what is the target's fault."""
        began = time.monotonic()
        try:
            async with asyncio.timeout(self._timeout.total_seconds()):
                return await self._post(url, body, headers, began)
        except TimeoutError:
            error = f"no answer within {self._timeout.total_seconds():g} s"
        except (OSError, httpx.HTTPError, httpx.InvalidURL) as fault:
            error = f"{type(fault).__name__}: {fault}".rstrip(": ")
        return Outcome(duration=_since(began), error=error[:500])

    async def close(self) -> None:
        """Let go of its connections."""
        await self._http.aclose()

    async def _post(self, url: str, body: str, headers: Mapping[str, str], began: float) -> Outcome:
        named = httpx.URL(url)
        port = named.port or (443 if named.scheme == "https" else 80)
        literal = literal_address(named.host)
        found = [literal] if literal is not None else await self._resolve(named.host, port)
        allowed = [address for address in found if self._networks.allow(address)]
        if len(allowed) < len(found) or not allowed:
            refused = next((each for each in found if each not in allowed), None)
            error = f"{named.host} leads to {refused}, in a private network that BLOTTER_WEBHOOK_NETWORKS does not name"
            return Outcome(duration=_since(began), error=error if found else f"{named.host} has no address")
        request = self._http.build_request(
            "POST",
            named.copy_with(host=str(allowed[0])),
            content=body.encode(),
            headers={**headers, "host": named.netloc.decode("ascii")},
            extensions={"sni_hostname": named.raw_host.decode("ascii")},
        )
        response = await self._http.send(request, stream=True)
        try:
            return Outcome(
                status=response.status_code,
                answer=await _beginning(response),
                wish=_wish(response),
                duration=_since(began),
            )
        finally:
            await response.aclose()


async def _beginning(response: httpx.Response) -> str:
    read = b""
    async for chunk in response.aiter_raw():
        read += chunk
        if len(read) >= MOST_OF_ANSWER:
            break
    return read[:MOST_OF_ANSWER].decode(errors="replace").replace("\x00", "")


def _wish(response: httpx.Response) -> timedelta | None:
    if response.status_code not in (429, 503):
        return None
    return retry_after(response.headers.get("retry-after"), datetime.now(UTC))


def _since(began: float) -> timedelta:
    return timedelta(seconds=time.monotonic() - began)
