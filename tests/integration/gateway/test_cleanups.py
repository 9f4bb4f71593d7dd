"""Clean-ups by the public API."""

from __future__ import annotations

from services.gateway.cleanup_answers import CleanupPage
from tests.cleanups import cleanup_finished
from tests.integration.gateway.stage import VERA, Stage, as_user

PATH = "/api/maintenance/cleanups"


async def test_clean_ups_are_shown_newest_first_and_every_field_is_declared(stage: Stage) -> None:
    """As the status service has them."""
    for position in (3, 7):
        stage.status.show_cleanup(position, cleanup_finished())
    answer = await stage.client.get(PATH, params={"limit": 1})
    page = answer.json()
    assert ([item["position"] for item in page["items"]], page["next_cursor"]) == ([7], "7")
    assert CleanupPage.model_validate(page, extra="forbid").model_dump(mode="json") == page
    rest = (await stage.client.get(PATH, params={"cursor": "7"})).json()
    assert [item["position"] for item in rest["items"]] == [3]


async def test_a_viewer_may_look(keyed: Stage) -> None:
    """Nothing of it is a secret."""
    assert (await keyed.client.get(PATH, headers=as_user(VERA))).status_code == 200


async def test_wrong_questions_are_refused_field_by_field(stage: Stage) -> None:
    """And what nobody knows."""
    for name, value in (("limit", "0"), ("cursor", "x"), ("before", "3")):
        answer = await stage.client.get(PATH, params={name: value})
        assert answer.status_code == 422
        assert [error["field"] for error in answer.json()["errors"]] == [name]


async def test_without_the_status_service_nobody_knows(stage: Stage) -> None:
    """The answer says so."""
    stage.status.away = True
    answer = await stage.client.get(PATH)
    assert (answer.status_code, answer.json()["code"]) == (503, "unavailable")
