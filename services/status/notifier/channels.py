"""Telling people by Apprise (https://github.com/caronc/apprise): mail, Slack and the like."""

import asyncio
import time
from concurrent.futures import ThreadPoolExecutor
from datetime import timedelta
from urllib.parse import urlsplit

import apprise

from services.status.notifier.posting import Outcome, Resolve, resolve
from shared.targets import Networks, literal_address

TIMEOUT = timedelta(seconds=20)
"""Mail servers take their time; a thread that takes longer is left to its end, and its outcome is not waited for."""
_OWN_SERVERS = frozenset({"json", "jsons", "mailto", "mailtos", "ntfy", "ntfys"})
"""Schemes whose URL names the server; all others lead to one service each."""


class Channels:
    """Ways to people. Apprise blocks: as many as `at_once` have a thread each, so that none waits for another's."""

    def __init__(
        self, networks: Networks, *, at_once: int, resolve: Resolve = resolve, timeout: timedelta = TIMEOUT
    ) -> None:
        self._networks = networks
        self._resolve = resolve
        self._timeout = timeout
        self._threads = ThreadPoolExecutor(at_once, thread_name_prefix="apprise")

    async def tell(self, url: str, *, title: str, body: str) -> Outcome:
        """Send a message to an Apprise URL, and return what became of it; never raises for what is the channel's."""
        began = time.monotonic()
        error = await self._fault(url)
        if error is None:
            loop = asyncio.get_running_loop()
            try:
                async with asyncio.timeout(self._timeout.total_seconds()):
                    sent = await loop.run_in_executor(self._threads, _notify, url, title, body)
                error = None if sent else "the channel did not take it"
            except TimeoutError:
                error = f"no answer within {self._timeout.total_seconds():g} s"
        took = timedelta(seconds=time.monotonic() - began)
        return Outcome(duration=took, error=error, status=None if error else 200)

    def close(self) -> None:
        """Let go of the threads, without waiting for what they are at."""
        self._threads.shutdown(wait=False, cancel_futures=True)

    async def _fault(self, url: str) -> str | None:
        """Return why a channel may not be used: its server is in a private network that is not allowed.

        Apprise resolves the name once more by itself: unlike a webhook's, a name that changes in between gets through.
        """
        parts = urlsplit(url)
        if parts.scheme not in _OWN_SERVERS or not parts.hostname:
            return None
        literal = literal_address(parts.hostname)
        try:
            found = [literal] if literal is not None else await self._resolve(parts.hostname, parts.port or 0)
        except OSError:
            return None  # a topic, and not a host; or a host that nobody can reach
        if all(self._networks.allow(address) for address in found):
            return None
        return "its server is in a private network that BLOTTER_WEBHOOK_NETWORKS does not name"


def _notify(url: str, title: str, body: str) -> bool:
    channel = apprise.Apprise()
    return bool(channel.add(url) and channel.notify(title=title, body=body))
