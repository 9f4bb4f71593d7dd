"""`blotter migrate`: the schema."""

from __future__ import annotations

from infra.cli.failures import RefusedError, UnreachableError
from infra.cli.output import console, say
from infra.cli.settings import local_home
from infra.local import record
from infra.local.settings import LocalSettings


def migrate() -> None:
    """Bring the database of DATABASE_URL, or of the running local stack, to the newest schema."""
    from sqlalchemy.exc import OperationalError  # slow to import: only here

    from infra.migrations.migrate import migrate as apply

    url = LocalSettings.from_environment().database_url
    if url is None:
        home = local_home()
        running = record.read(home.record) if home.supervisor() else None
        if running is None:
            raise RefusedError(f"No stack runs in {home.path}: set DATABASE_URL, or start one with `blotter up`.")
        url = running.database_url
    try:
        applied = apply(url)
    except OperationalError as error:
        raise UnreachableError(f"The database does not answer: {error.orig} Correct DATABASE_URL.") from None
    say(console(), f"Applied {', '.join(applied)}." if applied else "The schema is up to date.")
