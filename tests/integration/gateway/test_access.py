"""Who may do what, with keys and without."""

from __future__ import annotations

import itertools

import pytest

from tests.integration.gateway.stage import ADA, BOB, ROOT, VERA, Stage, as_user, task

EVERYWHERE = ["/api/tasks", "/api/strategies", "/api/tasks/x", "/api", "/api/nothing-here"]
NO_KEYS = [None, "", "Bearer", "Bearer ", "Bearer wrong", f"Basic {ROOT}", ROOT, f"Bearer {ROOT}x", "Bearer \u00e9"]


async def test_nothing_under_api_answers_without_a_known_key(keyed: Stage) -> None:
    """Every path, even one that does not exist, asks for a key first."""
    for path, header in itertools.product(EVERYWHERE, NO_KEYS):
        request = keyed.client.build_request("GET", path, headers={b"Authorization": (header or "").encode("latin-1")})
        if header is None:
            del request.headers["Authorization"]
        response = await keyed.client.send(request)
        assert (response.status_code, response.json()["code"]) == (401, "unauthenticated"), (path, header)
        assert response.headers["WWW-Authenticate"] == "Bearer"


async def test_a_wrong_key_is_refused_before_the_body_is_looked_at(keyed: Stage) -> None:
    """Who is not let in learns nothing of what would be right."""
    response = await keyed.client.post("/api/tasks", content=b"{", headers=as_user("wrong-key-0123456789"))
    assert response.status_code == 401


@pytest.mark.parametrize("path", ["/health/live", "/health/ready", "/openapi.json"])
async def test_health_and_documentation_need_no_key(keyed: Stage, path: str) -> None:
    """Probes and tools carry no keys."""
    response = await keyed.client.get(path, headers={"Authorization": ""})
    assert response.status_code == 200


@pytest.mark.parametrize(("key", "status"), [(VERA, 403), (ADA, 202), (ROOT, 202)])
async def test_traders_and_admins_submit_and_viewers_do_not(keyed: Stage, key: str, status: int) -> None:
    """The role of the key decides, for single tasks and for batches."""
    one = await keyed.client.post("/api/tasks", json=task(), headers=as_user(key))
    many = await keyed.client.post("/api/tasks/batch", json={"tasks": [task()]}, headers=as_user(key))
    assert (one.status_code, many.status_code) == (status, status)


@pytest.mark.parametrize(
    ("key", "status", "code"),
    [(VERA, 403, "forbidden"), (BOB, 403, "not_your_task"), (ADA, 200, None), (ROOT, 200, None)],
)
async def test_a_trader_cancels_its_own_tasks_and_an_admin_any(
    keyed: Stage, key: str, status: int, code: str | None
) -> None:
    """A refused cancellation leaves the task as it was."""
    submitted = await keyed.client.post("/api/tasks", json=task(), headers=as_user(ADA))
    task_id = submitted.json()["task_id"]
    response = await keyed.client.delete(f"/api/tasks/{task_id}", headers=as_user(key))
    assert (response.status_code, response.json().get("code")) == (status, code)
    assert (await keyed.execution(task_id)).phase.ended is (status == 200)


async def test_the_owner_of_a_task_is_the_caller(keyed: Stage) -> None:
    """`user_id` comes from the key, in the event, in its actor and in the task; everyone may read it."""
    submitted = await keyed.client.post("/api/tasks", json=task(), headers=as_user(ADA))
    task_id = submitted.json()["task_id"]
    event = (await keyed.execution(task_id)).submitted
    read = await keyed.client.get(f"/api/tasks/{task_id}", headers=as_user(VERA))
    assert (event.user_id, event.actor, read.json()["user_id"]) == ("ada", "user:ada", "ada")


@pytest.mark.parametrize("host", ["127.0.0.1:8000", "localhost", "[::1]:8000", "127.8.9.10"])
async def test_open_mode_answers_to_names_of_this_machine(stage: Stage, host: str) -> None:
    """Loopback names and addresses are all the same to it."""
    assert (await stage.client.get("/api/strategies", headers={"Host": host})).status_code == 200


@pytest.mark.parametrize("host", ["evil.example", "evil.example:8000", "10.0.0.7:8000", "localhost.evil.example"])
async def test_open_mode_does_not_answer_to_other_names(stage: Stage, host: str) -> None:
    """A name that was made to point here (DNS rebinding) reaches nothing."""
    response = await stage.client.post("/api/tasks", json=task(), headers={"Host": host})
    assert (response.status_code, response.json()["code"]) == (403, "host_not_allowed")


async def test_with_keys_any_name_will_do(keyed: Stage) -> None:
    """A browser that is tricked brings no key."""
    assert (await keyed.client.get("/api/strategies", headers={"Host": "blotter.example"})).status_code == 200
