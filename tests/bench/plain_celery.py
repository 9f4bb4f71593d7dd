"""Plain Celery, as people use it without us: two tasks on a Redis of their own number, results in Redis."""

import os
from typing import Any

from celery import Celery

app = Celery("plain", broker=os.environ.get("PLAIN_CELERY_URL"), backend=os.environ.get("PLAIN_CELERY_URL"))


@app.task
def work(*given: Any) -> int:
    """Do what a member of a stage does."""
    return len(given)


@app.task
def collect(results: list[int]) -> int:
    """Take what a group gave, and hand it on."""
    return sum(results)
