"""The published events, described at the gateway."""

from __future__ import annotations

from tests.fake_status import ASYNCAPI
from tests.integration.gateway.stage import Stage


async def test_the_document_and_its_page_need_no_key(stage: Stage) -> None:
    """As the OpenAPI document, they tell nothing but what this version can do."""
    document = await stage.client.get("/asyncapi.json", headers={"Authorization": ""})
    assert (document.status_code, document.json()) == (200, ASYNCAPI)
    page = await stage.client.get("/asyncapi", headers={"Authorization": ""})
    assert (page.status_code, page.headers["content-type"]) == (200, "text/html; charset=utf-8")
    assert page.text.startswith("<!doctype html>")
    assert "default-src 'none'" in page.headers["content-security-policy"]


async def test_without_the_status_service_they_are_unavailable(stage: Stage) -> None:
    """A problem that says so, for both."""
    stage.status.away = True
    for path in ("/asyncapi", "/asyncapi.json"):
        answer = await stage.client.get(path)
        assert (answer.status_code, answer.json()["code"]) == (503, "unavailable")


async def test_nothing_can_be_asked_for(stage: Stage) -> None:
    """Unknown parameters are refused here too."""
    assert (await stage.client.get("/asyncapi.json?version=2")).status_code == 422
