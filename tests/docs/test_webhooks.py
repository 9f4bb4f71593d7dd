"""The examples of docs/webhooks.md, run as a reader would run them."""

from datetime import UTC, datetime
from typing import Any

import pytest

from services.status.notifier.signing import signed_headers
from tests.docs.pages import blocks, commands, run
from tests.e2e.stack import Stack
from tests.webhook_builders import SECRET

PAGE = "docs/webhooks.md"


@pytest.mark.parametrize("command", commands(PAGE))
def test_a_command_of_the_page_works(stack: Stack, command: str) -> None:
    """One after the other; nobody listens where they lead to."""
    done = run(stack, command)

    assert done.returncode == 0, done.stdout + done.stderr
    assert done.stdout.strip()


def test_what_they_made_is_unmade(stack: Stack) -> None:
    """The stack is shared with other tests; each command of the table works on the way."""
    (made,) = stack.http.get("/api/webhooks").json()["items"]
    webhook = made["webhook_id"]
    for command in ("test", "deliveries", "rotate", "disable", "enable", "delete"):
        done = run(stack, f".venv/bin/blotter webhooks {command} {webhook}")
        assert done.returncode == 0, done.stdout + done.stderr
    assert stack.http.put("/api/me/notifications", json={"channels": []}).status_code == 200


def test_the_receiver_of_the_page_verifies_what_is_delivered() -> None:
    """With the library that it names."""
    (source,) = blocks(PAGE, "python")
    names: dict[str, Any] = {}
    exec(source, names)
    headers = signed_headers("a:1", "{}", at=datetime.now(UTC), secrets=[SECRET])
    assert names["verified"](SECRET, "{}", headers) == {}
