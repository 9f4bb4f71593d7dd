"""The catalogue in the gateway: shown as published, refreshed when an executor publishes again."""

from __future__ import annotations

from pathlib import Path

import psycopg
import pytest

from shared.domain.catalogue import BrokenStrategy, RetiredDefinition
from tests.integration.gateway.stage import PARAMETERS, Stage, publish, settings, staged, strategy, task


async def test_a_strategy_is_described(stage: Stage) -> None:
    """Title, description, steps, schema and defaults are those that the executor published."""
    document = (await stage.client.get("/api/strategies/sma-crossover")).json()
    assert document["title"] == "Moving-average crossover"
    assert document["steps"] == [
        {"name": "load", "kind": "sequential", "each": "run"},
        {"name": "analyse", "kind": "sequential", "each": "symbol"},
        {"name": "decide", "kind": "sequential", "each": "run"},
    ]
    assert (document["parameters_schema"], document["defaults"]) == (PARAMETERS, {"fast": 20, "slow": 50})


async def test_strategies_are_listed_by_id_with_the_broken_ones(stage: Stage) -> None:
    """A file that does not load is named with its error, and hides nothing else."""
    broken = BrokenStrategy(file="draft.py", error="SyntaxError: line 7")
    await publish(stage.log, strategy(strategy_id="b"), strategy(strategy_id="a"), broken=(broken,))
    await stage.knows("a")
    document = (await stage.client.get("/api/strategies")).json()
    assert [item["strategy_id"] for item in document["items"]] == ["a", "b"]
    assert document["broken"] == [{"file": "draft.py", "error": "SyntaxError: line 7"}]


async def test_a_catalogue_replaces_the_one_before(stage: Stage) -> None:
    """What is no longer published cannot be submitted, and new schemas count at once."""
    await publish(stage.log, strategy(strategy_id="new", parameters_schema={"type": "object", "required": ["fast"]}))
    await stage.knows("new")
    assert (await stage.submit()).status_code == 404
    missing = await stage.client.post("/api/tasks", json=task(strategy_id="new"))
    assert [error["field"] for error in missing.json()["errors"]] == ["parameters.fast"]


async def test_a_strategy_that_is_only_retired_takes_no_new_runs_and_says_so(stage: Stage) -> None:
    """It is neither listed nor submittable, and is told from one that never was; beside a current one it is silent."""
    old = [RetiredDefinition(strategy_id=name, definition_hash="2" * 64) for name in ("gone", "kept")]
    await publish(stage.log, strategy(strategy_id="kept"), retired=tuple(old))
    await stage.knows("kept")
    refused = await stage.client.post("/api/tasks", json=task(strategy_id="gone"))
    assert (refused.status_code, refused.json()["code"]) == (404, "strategy_not_found")
    assert "is retired" in refused.json()["detail"]
    accepted = await stage.client.post("/api/tasks", json=task(strategy_id="kept"))
    assert (await stage.execution(accepted.json()["task_id"])).submitted.definition_hash == "1" * 64
    listed = (await stage.client.get("/api/strategies")).json()["items"]
    assert [item["strategy_id"] for item in listed] == ["kept"]


async def test_an_unusable_schema_breaks_its_own_strategy_only(stage: Stage) -> None:
    """A strategy whose parameters could not be checked is listed as broken instead."""
    await publish(stage.log, strategy(), strategy(strategy_id="odd", parameters_schema={"type": "nonsense"}))
    await publish(stage.log, strategy(strategy_id="last"), strategy(strategy_id="odd", parameters_schema={"type": 1}))
    await stage.knows("last")
    document = (await stage.client.get("/api/strategies")).json()
    assert [item["strategy_id"] for item in document["items"]] == ["last"]
    assert [item["file"] for item in document["broken"]] == ["odd"]


async def test_an_earlier_catalogue_is_known_from_the_first_request_on(catalogue_url: str, tmp_path: Path) -> None:
    """It is loaded before the gateway answers."""
    async with staged(settings(catalogue_url, home=tmp_path)) as running:
        assert (await running.submit()).status_code == 202


@pytest.mark.parametrize("times", [1, 3])
async def test_it_goes_on_listening_after_its_connection_was_lost(stage: Stage, catalogue_url: str, times: int) -> None:
    """PostgreSQL may drop the connection that listens; the next catalogue arrives all the same."""
    for number in range(times):
        async with await psycopg.AsyncConnection.connect(catalogue_url, autocommit=True) as connection:
            await connection.execute(
                "SELECT pg_terminate_backend(pid) FROM pg_stat_activity "
                "WHERE datname = current_database() AND query LIKE 'LISTEN%'"
            )
        await publish(stage.log, strategy(strategy_id=f"after-{number}"))
        await stage.knows(f"after-{number}")
