"""Metrics: how many tasks there are, how long they take, and what waits."""

from typing import Annotated

from fastapi import APIRouter, Query, Request, Response

from services.gateway import metric_answers as answers
from services.gateway import metric_examples as examples
from services.gateway.components import components
from services.gateway.documents import json_response
from services.gateway.openapi import USUAL_PROBLEMS, answer
from services.gateway.queries import HistoryQuery, MetricsQuery

router = APIRouter(prefix="/api/metrics", tags=["metrics"])


@router.get(
    "", response_model=answers.MetricsAnswer, responses={200: answer("All of them", examples.METRICS), **USUAL_PROBLEMS}
)
async def get_metrics(request: Request, query: Annotated[MetricsQuery, Query()]) -> Response:
    """Tell how many tasks are in each status, how long they took and waited, what waits now, and how many workers live.

    All but the lag and the workers is of one position of the log, `as_of_position`: a count over the log up to there
    gives the same. Times are those of the whole minutes since `window_from`, and of the minute that runs.
    """
    return json_response(await components(request).metrics.now(query))


@router.get(
    "/history",
    response_model=answers.MetricHistory,
    responses={200: answer("A point for each minute", examples.HISTORY), **USUAL_PROBLEMS},
)
async def get_history(request: Request, query: Annotated[HistoryQuery, Query()]) -> Response:
    """Tell what each of the last minutes was like, oldest first, also those in which nothing happened.

    What happened belongs to the minute of its event. The last point is the minute that runs.
    """
    return json_response(await components(request).metrics.history(query))
