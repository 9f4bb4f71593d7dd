"""The gateway as a process: `python -m services.gateway`."""

import signal
import sys
from types import FrameType

import uvicorn
from pydantic import ValidationError

from services.gateway.app import create_app
from services.gateway.settings import GatewaySettings
from shared.http_server import Server
from shared.logging import configure_logging
from shared.telemetry import configure_telemetry

EXIT_USAGE = 2
GRACE_SECONDS = 10
"""How long requests may go on after SIGTERM; none takes longer than a batch's transaction."""


def main() -> None:
    """Serve until SIGTERM or SIGINT; exits with 2 and a sentence when the settings cannot be used."""
    try:
        settings = GatewaySettings()
    except ValidationError as error:
        print("\n".join(_sentence(problem["loc"], problem["msg"]) for problem in error.errors()), file=sys.stderr)
        raise SystemExit(EXIT_USAGE) from None
    configure_logging(settings.log_format, settings.log_level)
    configure_telemetry("gateway", settings.telemetry_options)
    # After its graceful stop uvicorn raises the signal once more, for handlers that stood before it.
    for number in (signal.SIGTERM, signal.SIGINT):
        signal.signal(number, _stopped)
    app = create_app(settings)
    server = Server(
        uvicorn.Config(
            app,
            host=settings.host,
            port=settings.port,
            log_config=None,
            access_log=False,
            server_header=False,
            timeout_graceful_shutdown=GRACE_SECONDS,
        ),
        end_streams=lambda: app.state.components.live.close(),
    )
    server.run()


def _sentence(where: tuple[int | str, ...], message: str) -> str:
    """Return what is wrong with a setting; its value is not shown, since it may be a key."""
    if not where:
        return message.removeprefix("Value error, ")
    name = str(where[0])
    return f"{name if name.isupper() else f'BLOTTER_{name.upper()}'}: {message}"


def _stopped(_: int, __: FrameType | None) -> None:
    raise SystemExit(0)


if __name__ == "__main__":
    main()
