"""The whole stack as a user has it: `blotter up` in a folder of its own, spoken to from outside."""

import os
import signal
import subprocess
import sys
from pathlib import Path
from typing import Any, Self

import httpx
import redis
from celery import Celery

from infra.local import record
from infra.local.home import Home
from infra.local.ports import free_port
from infra.local.record import Phase, StackRecord
from tests.waiting import until

CHECKOUT = Path(__file__).resolve().parents[2]
BLOTTER = Path(sys.executable).with_name("blotter")
STRATEGIES = f"{CHECKOUT / 'strategies'},{CHECKOUT / 'tests' / 'strategies'}"

ENDED = ("SUCCESS", "FAILURE", "REVOKED")
READY_SECONDS = 90
STOP_SECONDS = 60


class Stack:
    """A running stack; a context manager."""

    def __init__(self, home: Path, **environment: str) -> None:
        self.home = Home.at(home)
        self._output = home.with_suffix(".out")
        inherited = {name: value for name, value in os.environ.items() if not name.endswith("_URL")}
        self._environment = {
            **inherited,
            "BLOTTER_HOME": str(home),
            "BLOTTER_PORT": str(free_port()),
            "BLOTTER_STRATEGIES": STRATEGIES,
            **environment,
        }

    def __enter__(self) -> Self:
        with self._output.open("ab") as output:
            self.process = subprocess.Popen(
                [BLOTTER, "up"],
                cwd=CHECKOUT,
                env=self._environment,
                stdout=output,
                stderr=subprocess.STDOUT,
                start_new_session=True,
            )
        until(self._is_ready, seconds=READY_SECONDS, hint=f"blotter up is not ready; see {self._output}")
        self.http = httpx.Client(base_url=self.record.url, timeout=10)
        self.redis = redis.Redis.from_url(self.record.redis_url)
        self.celery = Celery(broker=self.record.redis_url, backend=self.record.redis_url)
        return self

    def __exit__(self, *_: object) -> None:
        self.http.close()
        self.process.send_signal(signal.SIGINT)
        self.process.wait(STOP_SECONDS)

    @property
    def environment(self) -> dict[str, str]:
        """Return the environment in which the stack's own processes run."""
        found = self.record
        return {**self._environment, "DATABASE_URL": found.database_url, "REDIS_URL": found.redis_url}

    @property
    def record(self) -> StackRecord:
        """What `stack.json` says."""
        found = record.read(self.home.record)
        assert found is not None
        return found

    def _is_ready(self) -> bool:
        assert self.process.poll() is None, f"blotter up has ended: {self._output.read_text()}"
        found = record.read(self.home.record)
        return found is not None and found.supervisor_pid == self.process.pid and found.phase is Phase.READY

    def log_of(self, process: str) -> str:
        """Return what a process has logged so far."""
        return self.home.log(process).read_text()

    def submit(self, strategy_id: str, *symbols: str, **body: Any) -> str:
        """Submit a task and return its id."""
        answer = self.http.post("/api/tasks", json={"strategy_id": strategy_id, "symbols": symbols or ["MSFT"], **body})
        assert answer.status_code == 202, answer.text
        task_id: str = answer.json()["task_id"]
        return task_id

    def task(self, task_id: str) -> dict[str, Any]:
        """Return what `GET /api/tasks/{task_id}` says."""
        answer = self.http.get(f"/api/tasks/{task_id}")
        assert answer.status_code == 200, answer.text
        document: dict[str, Any] = answer.json()
        return document

    def wait(self, task_id: str, *states: str, seconds: float = 30) -> dict[str, Any]:
        """Wait until a task has one of `states` (any that has ended, by default) and return it."""
        wanted = states or ENDED

        def reached() -> dict[str, Any] | None:
            task = self.task(task_id)
            return task if task["state"] in wanted else None

        return until(reached, seconds=seconds, hint=f"task {task_id} is not {wanted}") or {}

    def events(self, task_id: str) -> list[dict[str, Any]]:
        """Return the history of a task."""
        items: list[dict[str, Any]] = self.http.get(f"/api/tasks/{task_id}/events?limit=500").json()["items"]
        return items

    def types(self, task_id: str) -> list[str]:
        """Return what has happened to a task, by name."""
        return [event["type"].removeprefix("execution.") for event in self.events(task_id)]

    def inspect(self, what: str) -> Any:
        """Ask the one worker, as `celery inspect` does."""
        (answer,) = getattr(self.celery.control.inspect(limit=1, timeout=10), what)().values()
        return answer
