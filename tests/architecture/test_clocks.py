"""Whose time counts: what a run has used up is measured by the database's clock, on whatever machine it was at work."""

import ast
from pathlib import Path

CHECKOUT = Path(__file__).resolve().parents[2]
MACHINE_TIME = {"datetime.now", "datetime.utcnow", "time.time", "utc_now"}
READERS = {
    "beacon.py": "says when a worker has spoken; only whether a silent one is listed as offline is computed from it",
    "metrics_feed.py": "says when figures were pushed, to those who listen, and nothing is computed from it",
    "progress.py": "says when a step has spoken, to those who listen, and nothing is computed from it",
    "reading.py": "tells how long something has been at work by now, and records nothing",
    "stamps.py": "is where it is read",
}
SERVICES = ("gateway", "executor", "scheduler")


def called(module: Path) -> set[str]:
    """The names of all that a module calls."""
    calls = [node.func for node in ast.walk(ast.parse(module.read_text())) if isinstance(node, ast.Call)]
    return {ast.unparse(function) for function in calls}


def modules() -> list[Path]:
    """The modules of those who append events."""
    return [module for service in SERVICES for module in (CHECKOUT / "services" / service).rglob("*.py")]


def test_whoever_appends_reads_the_databases_clock() -> None:
    """No module of theirs reads the machine's own, but for those that record nothing by it."""
    assert {module.name for module in modules() if called(module) & MACHINE_TIME} == set(READERS)


def test_whoever_appends_has_no_other_source_of_time() -> None:
    """What is handed to runners and followers as `now` is never the machine's."""
    given = {
        ast.unparse(keyword.value)
        for module in modules()
        for node in ast.walk(ast.parse(module.read_text()))
        if isinstance(node, ast.Call)
        for keyword in node.keywords
        if keyword.arg == "now"
    }
    assert "utc_now" not in given
    assert {"clock", "clock()", "clock.adjusted", "DatabaseClock(log.now).adjusted"} <= given
