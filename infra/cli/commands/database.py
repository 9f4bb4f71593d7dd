"""`blotter migrate` and `blotter rebuild`: the schema, and the tables that queries read."""

from __future__ import annotations

from infra.cli.failures import UnreachableError
from infra.cli.modules import DATABASE, database_url, run
from infra.cli.output import console, say, table


def migrate() -> None:
    """Bring the database of DATABASE_URL, or of the running local stack, to the newest schema."""
    from sqlalchemy.exc import OperationalError  # slow to import: only here

    from infra.migrations.migrate import migrate as apply

    url = database_url()
    try:
        applied = apply(url)
    except OperationalError as error:
        raise UnreachableError(f"The database does not answer: {error.orig} Correct DATABASE_URL.") from None
    say(console(), f"Applied {', '.join(applied)}." if applied else "The schema is up to date.")


def rebuild() -> None:
    """Drop the tables that queries read and make them anew from the log, while the system runs."""
    done = run("services.status.rebuild", DATABASE)
    to = console()
    say(to, f"Rebuilt as of position {done['position']} of the log, in {done['seconds']:.1f} s.")
    table(to, "Tables", ["table", "rows"], sorted(done["rows"].items()))
