"""Whether trying again may help: the one question that retries ask of an error.

::

    Exception
    ├── TemporaryError          the same call may succeed later
    └── PermanentError          the same call will fail again: change something first

A leaf below every package, so that brokers and market data can say it without importing the workflow SDK.
"""

from datetime import timedelta


class TemporaryError(Exception):
    """The same call may succeed later; `retry_after` is how long to wait, if the other side said so.

    Seconds are accepted for `retry_after` and kept as a `timedelta`.
    """

    def __init__(self, message: str = "temporary failure", *, retry_after: timedelta | float | None = None) -> None:
        super().__init__(message)
        if retry_after is not None and not isinstance(retry_after, timedelta):
            retry_after = timedelta(seconds=retry_after)
        self.retry_after: timedelta | None = retry_after


class PermanentError(Exception):
    """The same call will fail again; the message says what to change."""
