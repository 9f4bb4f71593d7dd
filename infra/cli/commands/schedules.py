"""`blotter schedule`: runs that begin by the clock."""

from __future__ import annotations

import json
import sys
from itertools import islice
from typing import Annotated

import typer

from infra.cli import schedule_options as options
from infra.cli import schedule_reports as reports
from infra.cli.arguments import AsJson, Url
from infra.cli.client import Client, Json
from infra.cli.failures import RefusedError
from infra.cli.output import console, say
from infra.cli.schedule_ids import PAGE, schedule_id
from infra.cli.schedule_options import Given, instant
from infra.cli.settings import gateway

app = typer.Typer(help="Runs that begin by the clock.", no_args_is_help=True)

SHOWN_TIMES = "5"
"""How many of its next times are shown beside a schedule."""

Id = Annotated[str, typer.Argument(metavar="ID", help="Its id, or its name if no other schedule has it.")]
Overlaps = Annotated[
    options.Overlap | None,
    typer.Option(metavar="POLICY", help=f"Instead of its own, this once: {', '.join(options.Overlap)}."),
]


@app.command()
def create(
    name: Annotated[str, typer.Argument(help="For people; the other commands take it instead of the id.")],
    strategy: Annotated[str, typer.Argument(help="Its id, as `GET /api/strategies` lists it.")],
    symbols: Annotated[list[str], typer.Argument(help="One or more symbols.")],
    cron: options.Cron = None,
    every: options.Every = None,
    at: options.At = None,
    session: options.Session = None,
    timezone: options.Timezone = None,
    calendar: options.Calendar = None,
    priority: options.Level = None,
    parameters: options.Parameters = None,
    overlap: options.Overlaps = None,
    catchup: options.Catchup = None,
    jitter: options.Jitter = None,
    start: options.Start = None,
    end: options.End = None,
    max_runs: options.MaxRuns = None,
    pause_on_failure: options.PauseOnFailure = False,
    disabled: Annotated[bool, typer.Option("--disabled", help="It fires from `enable` on.")] = False,
    preview: Annotated[bool, typer.Option("--preview", help="Show its next times; save nothing.")] = False,
    as_json: AsJson = False,
    url: Url = None,
) -> None:
    """Create a schedule that fires by one of --cron, --every, --at, --session; prints it and its next times."""
    given = Given(
        name=name,
        strategy=strategy,
        symbols=symbols,
        cron=cron,
        every=every,
        at=at,
        session=session,
        timezone=timezone,
        calendar=calendar,
        priority=priority,
        parameters=parameters,
        overlap=overlap,
        catchup=catchup,
        jitter=jitter,
        start=start,
        end=end,
        max_runs=max_runs,
        pause_on_failure=pause_on_failure or None,
    )
    body = given.body() | ({"enabled": False} if disabled else {})
    if "when" not in body:
        raise RefusedError(
            "Say when it fires, by one of --cron '35 9 * * mon-fri', --every 4h, --at 2026-03-02T14:30:00Z and "
            "--session open+5m."
        )
    with gateway(url) as client:
        if preview:
            answer = client.post("/api/schedules/preview", body)
            _print_json(answer) if as_json else reports.upcoming(console(), answer)
        else:
            _report(client, client.post("/api/schedules", body), as_json=as_json)


@app.command()
def change(
    schedule: Id,
    name: Annotated[str | None, typer.Option(help="Another name.")] = None,
    strategy: Annotated[str | None, typer.Option(help="Another strategy.")] = None,
    symbols: Annotated[
        list[str] | None, typer.Option("--symbol", help="A symbol, instead of those it has; may be repeated.")
    ] = None,
    cron: options.Cron = None,
    every: options.Every = None,
    at: options.At = None,
    session: options.Session = None,
    timezone: options.Timezone = None,
    calendar: options.Calendar = None,
    priority: options.Level = None,
    parameters: options.Parameters = None,
    overlap: options.Overlaps = None,
    catchup: options.Catchup = None,
    jitter: options.Jitter = None,
    start: options.Start = None,
    end: options.End = None,
    max_runs: options.MaxRuns = None,
    pause_on_failure: options.PausesOnFailure = None,
    as_json: AsJson = False,
    url: Url = None,
) -> None:
    """Change what is given of a schedule, and nothing else; prints it and its next times.

    Of --calendar, --start, --end and --max-runs, none takes away what there is.
    """
    given = Given(
        name=name,
        strategy=strategy,
        symbols=symbols,
        cron=cron,
        every=every,
        at=at,
        session=session,
        timezone=timezone,
        calendar=calendar,
        priority=priority,
        parameters=parameters,
        overlap=overlap,
        catchup=catchup,
        jitter=jitter,
        start=start,
        end=end,
        max_runs=max_runs,
        pause_on_failure=pause_on_failure,
    )
    body = given.body()
    if not body:
        raise RefusedError("Say what to change, for example --every 4h.")
    with gateway(url) as client:
        _report(client, client.patch(_path(client, schedule), body), as_json=as_json)


@app.command("list")
def list_(
    strategy: Annotated[str | None, typer.Option(help="Only those of this strategy.")] = None,
    user: Annotated[str | None, typer.Option(help="Only those of this user.")] = None,
    enabled: Annotated[
        bool | None, typer.Option("--enabled/--disabled", help="Only those that fire, or do not.")
    ] = None,
    as_json: AsJson = False,
    url: Url = None,
) -> None:
    """List the schedules, and when each fires next."""
    query = {
        "strategy_id": strategy,
        "user_id": user,
        "enabled": None if enabled is None else str(enabled).lower(),
    }
    asked = {name: value for name, value in query.items() if value is not None}
    with gateway(url) as client:
        found = list(client.items("/api/schedules", limit=PAGE, **asked))
    if as_json:
        _print_json({"items": found})
    elif found:
        reports.listing(console(), found)
    else:
        say(console(), "There are no such schedules." if asked else "There are no schedules.")


@app.command()
def show(schedule: Id, as_json: AsJson = False, url: Url = None) -> None:
    """Show a schedule: its settings, its runs, and its next times."""
    with gateway(url) as client:
        _report(client, client.get(_path(client, schedule)), as_json=as_json)


@app.command()
def enable(schedule: Id, url: Url = None) -> None:
    """Let a schedule fire from now on; what it did not do meanwhile is not made up for."""
    with gateway(url) as client:
        _say_state(client.post(f"{_path(client, schedule)}/enable"))


@app.command()
def disable(
    schedule: Id, reason: Annotated[str | None, typer.Option(help="Kept with the schedule.")] = None, url: Url = None
) -> None:
    """Let a schedule fire by its times no more, until it is enabled; runs that are held for them are cancelled."""
    with gateway(url) as client:
        because = None if reason is None else {"reason": reason}
        _say_state(client.post(f"{_path(client, schedule)}/disable", query=because))


@app.command()
def trigger(schedule: Id, overlap: Overlaps = None, url: Url = None) -> None:
    """Let a schedule fire once, now, even one that is disabled; prints the id of the task."""
    body = None if overlap is None else {"overlap": overlap.value}
    with gateway(url) as client:
        task = client.post(f"{_path(client, schedule)}/trigger", body)
    say(console(), task["task_id"])
    if task["held"]:
        say(console(), "It is held until the runs before it have ended.")


@app.command()
def backfill(
    schedule: Id,
    start: Annotated[str, typer.Argument(help="From this time on, such as 2026-01-05T00:00:00Z.")],
    end: Annotated[str, typer.Argument(help="Up to this time, such as 2026-01-17T00:00:00Z.")],
    overlap: Overlaps = None,
    url: Url = None,
) -> None:
    """Let a schedule fire for its times in the past, both ends included."""
    body = {"start": instant("START", start), "end": instant("END", end)}
    if overlap is not None:
        body["overlap"] = overlap.value
    with gateway(url) as client:
        found = client.post(f"{_path(client, schedule)}/backfill", body)
    times = reports.times_text(found["count"])
    say(console(), f"Backfill {found['backfill_id']}: {times}, overlap {found['overlap']}")


@app.command()
def history(
    schedule: Id,
    limit: Annotated[int, typer.Option(min=1, help="How many events.")] = 20,
    as_json: AsJson = False,
    url: Url = None,
) -> None:
    """Show what has happened to a schedule, newest first: fired, skipped, missed, and what became of the runs."""
    with gateway(url) as client:
        page = str(min(limit, int(PAGE)))
        found = list(islice(client.items(f"{_path(client, schedule)}/history", limit=page), limit))
    _print_json({"items": found}) if as_json else reports.history(console(), found)


@app.command()
def upcoming(
    schedule: Id,
    count: Annotated[int, typer.Option("--count", "-n", min=1, help="How many.")] = 10,
    as_json: AsJson = False,
    url: Url = None,
) -> None:
    """Show the next times of a schedule, as its zone's clocks show them and in UTC."""
    with gateway(url) as client:
        found = client.get(f"{_path(client, schedule)}/upcoming", n=str(count))
    _print_json(found) if as_json else reports.upcoming(console(), found)


@app.command()
def delete(
    schedule: Id, yes: Annotated[bool, typer.Option("--yes", "-y", help="Do not ask.")] = False, url: Url = None
) -> None:
    """Delete a schedule: it never fires again, and runs that are held are cancelled; the others go on."""
    with gateway(url) as client:
        path = _path(client, schedule)
        if not yes:
            found = client.get(path)
            _ask(f"Delete schedule {found['name']} ({found['strategy_id']}, {reports.timing_line(found)})?")
        deleted = client.delete(path)
    say(console(), f"{deleted['name']} is deleted.")


def _path(client: Client, schedule: str) -> str:
    return f"/api/schedules/{schedule_id(client, schedule)}"


def _report(client: Client, schedule: Json, *, as_json: bool) -> None:
    if as_json:
        _print_json(schedule)
        return
    coming = client.get(f"/api/schedules/{schedule['schedule_id']}/upcoming", n=SHOWN_TIMES)
    reports.report(console(), schedule, coming)


def _say_state(schedule: Json) -> None:
    say(console(), f"{schedule['name']}: {reports.state_line(schedule)}")


def _print_json(answer: Json) -> None:
    typer.echo(json.dumps(answer, indent=2))


def _ask(question: str) -> None:
    """Go on only after a yes; raises RefusedError after anything else, and where nobody can answer."""
    typer.echo(f"{question} [y/N] ", nl=False, err=True)
    answer = sys.stdin.readline()
    if not answer:
        typer.echo(err=True)
    if answer.strip().lower() not in {"y", "yes"}:
        raise RefusedError("Nothing was deleted: answer y, or give --yes.")
