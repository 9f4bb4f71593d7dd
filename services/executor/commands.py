"""Control commands to single workers, by Celery's remote control."""

from collections.abc import Mapping
from functools import partial
from typing import Any

import structlog
from celery import Celery
from kombu import Connection
from kombu.exceptions import OperationalError
from kombu.pidbox import Mailbox

logger = structlog.get_logger()


class Commands:
    """Sends commands over a connection that it keeps; one thread may use it."""

    def __init__(self, app: Celery) -> None:
        mailbox = Mailbox(app.conf.control_exchange, type="fanout", accept=["json"])
        self._workers: Any = mailbox(impatient(app))

    def tell(self, worker: str, command: str, arguments: Mapping[str, Any]) -> None:
        """Send a command to the one worker of this name; it may get lost."""
        try:
            self._workers.cast([worker], command, dict(arguments))
        except OperationalError as error:
            logger.warning("command.not_sent", command=command, worker=worker, error=str(error))


def impatient(app: Celery) -> Connection:
    """Return a connection that raises at once while Redis is away, where kombu itself would try for ever."""
    connection = app.connection_for_write(transport_options={"max_retries": 1, "interval_start": 0, "interval_max": 0})
    connection.ensure = partial(connection.ensure, max_retries=0)  # type: ignore[method-assign]
    return connection
