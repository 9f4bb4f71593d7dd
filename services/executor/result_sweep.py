"""Results that would stay in Redis for ever get a time to live: Redis removes them itself from then on."""

import redis

from shared.result_backend import result_key

SCAN_COUNT = 1000


class ResultSweep:
    """The kind `results`: `found` counts all that are there, `given_a_time_to_live` those that had none."""

    name = "results"

    def __init__(self, client: redis.Redis, *, ttl_seconds: int) -> None:
        self._client = client
        self._ttl_seconds = ttl_seconds

    def run(self, *, dry_run: bool) -> dict[str, int]:
        """Look at every result."""
        found = mended = 0
        for key in self._client.scan_iter(match=result_key("*"), count=SCAN_COUNT):
            found += 1
            if self._client.ttl(key) == -1:
                mended += 1
                if not dry_run:
                    self._client.expire(key, self._ttl_seconds)
        return {"found": found, "given_a_time_to_live": mended}
