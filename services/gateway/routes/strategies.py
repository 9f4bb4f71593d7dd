"""Strategies: what an executor has loaded."""

from http import HTTPStatus
from typing import Annotated

import msgspec
from fastapi import APIRouter, Path, Request, Response

from services.gateway import answers, examples
from services.gateway.components import components
from services.gateway.documents import json_response, strategy_document
from services.gateway.openapi import answer, problems
from services.gateway.queries import Nothing

router = APIRouter(prefix="/api/strategies", tags=["strategies"])

_PROBLEMS = problems(HTTPStatus.UNAUTHORIZED, HTTPStatus.FORBIDDEN, HTTPStatus.UNPROCESSABLE_ENTITY)


@router.get(
    "",
    response_model=answers.StrategyPage,
    responses={
        200: answer("All of them", {"items": [examples.STRATEGY], "broken": [examples.BROKEN]}),
        **_PROBLEMS,
    },
)
async def list_strategies(request: Request, _: Nothing) -> Response:
    """List strategies by id, and the files that could not be loaded; none while no executor has published any."""
    latest = components(request).catalogue.latest
    items = [latest.strategies[name].description for name in sorted(latest.strategies)] if latest else []
    broken = msgspec.to_builtins(latest.broken) if latest else []
    return json_response({"items": [strategy_document(item) for item in items], "broken": broken})


@router.get(
    "/{strategy_id}",
    response_model=answers.StrategyAnswer,
    responses={
        200: answer("The strategy", examples.STRATEGY),
        **_PROBLEMS,
        **problems(HTTPStatus.NOT_FOUND, HTTPStatus.SERVICE_UNAVAILABLE),
    },
)
async def read_strategy(
    request: Request, strategy_id: Annotated[str, Path(examples=["sma-crossover"])], _: Nothing
) -> Response:
    """Describe one strategy: its steps, and the JSON Schema of its parameters."""
    strategy = components(request).catalogue.require().strategy(strategy_id)
    return json_response(strategy_document(strategy.description))
