"""The query API as a process: `python -m services.status`."""

import uvicorn

from services.status.app import create_app
from services.status.settings import StatusSettings
from shared.http_server import Server
from shared.logging import configure_logging
from shared.telemetry import configure_telemetry


def main() -> None:
    """Serve until SIGTERM or SIGINT."""
    settings = StatusSettings()
    configure_logging(settings.log_format, settings.log_level)
    configure_telemetry("status", settings.telemetry_options)
    app = create_app(settings)
    config = uvicorn.Config(
        app, host=settings.status_host, port=settings.status_port, log_config=None, access_log=False
    )
    Server(config, end_streams=lambda: app.state.resources.progress_reports.close()).run()


if __name__ == "__main__":
    main()
