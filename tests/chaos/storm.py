"""A storm over a whole stack: runs are submitted while processes and servers are killed and the venue misbehaves."""

import json
import os
import random
import signal
import threading
import uuid
from dataclasses import dataclass, field
from datetime import timedelta
from functools import partial
from itertools import cycle
from pathlib import Path
from typing import Any

import httpx
import psutil

from infra.local.record import Phase, ProcessState
from shared.domain.orders import OrderState
from shared.domain.schedule_events import ScheduleFired
from shared.log.event_log import EventLog
from tests.e2e.stack import Stack
from tests.projection_check import differences
from tests.strategies.five_beside import SYMBOLS
from tests.venue.faults import Fault, Moment
from tests.venue.server import KEY, Venue
from tests.waiting import until
from tests.webhook_target import Target

STRATEGIES = {"five-orders": ("MSFT",), "five-beside": SYMBOLS}
"""What is submitted, in turn, and for which symbols."""
VICTIMS = (
    *("worker", "child", "child", "dispatcher", "projector", "status", "gateway", "scheduler"),
    *("relay", "notifier", "alerter"),
)
"""Who is killed: all of them, in an order of chance, and then all of them again."""
HTTP_TIMEOUT_SECONDS = 0.5
PERIOD = timedelta(milliseconds=1500)
"""Mean time between two kills: long enough for what died to be back before it dies again."""


def environment(venue: Venue) -> dict[str, str]:
    """Return the settings of a stack that trades at `venue`."""
    return {
        "BLOTTER_BROKER": "alpaca",
        "BLOTTER_ALPACA_TRADING_URL": venue.url,
        "BLOTTER_ALPACA_KEY_ID": KEY.key_id,
        "BLOTTER_ALPACA_SECRET_KEY": KEY.secret,
        "BLOTTER_HTTP_TIMEOUT_SECONDS": str(HTTP_TIMEOUT_SECONDS),
        "BLOTTER_MAX_LOSSES": "20",
        "BLOTTER_ORDER_PACE_SECONDS": "0",
        "BLOTTER_DELIVERY_LEASE_SECONDS": "2",
    }


@dataclass
class Storm:
    """One storm, reproducible in its choices by its seed; what it did is in `kills`."""

    stack: Stack
    venue: Venue
    seed: int
    runs: int
    strikes: int
    calls: Path
    told: Target
    tasks: list[str] = field(default_factory=list)
    schedule_id: str = ""
    kills: dict[str, int] = field(default_factory=dict)

    def rage(self) -> None:
        """Submit all runs and kill all the while, beside a schedule, then wait until every run has ended."""
        self._trouble_the_venue()
        self.schedule_id = until(self._scheduled, seconds=60, every=0.2, hint="no 201")
        until(self._hooked, seconds=60, every=0.2, hint="no 201")
        submitting = threading.Thread(target=self._submit)
        submitting.start()
        self._kill()
        submitting.join()
        until(self._switched_off, seconds=60, every=0.2, hint="the schedule stays on")
        until(self._all_ended, seconds=300, every=0.5, hint="not every run has ended")
        until(self._orders_have_ended, seconds=120, every=0.5, hint="an order was not followed to its end")
        until(self._is_projected, seconds=60, every=0.5, hint="the tables differ from the log")
        until(lambda: not self.untold(), seconds=120, every=0.5, hint="the webhook was not told of every end")

    def _trouble_the_venue(self) -> None:
        forever = 10**9
        self.venue.fail(Fault(kind="drop", moment=Moment.AFTER, times=forever, share=0.1))
        late = HTTP_TIMEOUT_SECONDS * 2
        self.venue.fail(Fault(kind="delay", moment=Moment.BEFORE, times=forever, share=0.02, seconds=late))
        self.venue.fail(Fault(kind="answer", moment=Moment.BEFORE, times=forever, share=0.02, status=500))

    def _scheduled(self) -> str | None:
        """Have a run fired each second; a gateway that died before it answered is asked again with the same key."""
        when = {"when": {"every_seconds": 1}, "overlap": "allow_all"}
        body = {"name": "storm", "strategy_id": "three-steps", "symbols": ["MSFT"], **when}
        answer = self._ask("POST", "/api/schedules", json=body, headers={"Idempotency-Key": f"storm-{self.seed}"})
        return None if answer is None else str(answer["schedule_id"])

    def _hooked(self) -> bool:
        """Have a webhook told of every end."""
        body = {"url": self.told.url, "types": ["task.succeeded"]}
        key = {"Idempotency-Key": f"hook-{self.seed}"}
        return self._ask("POST", "/api/webhooks", json=body, headers=key) is not None

    def untold(self) -> set[str]:
        """Return the runs of whose end the webhook was not told."""
        return set(self.tasks) - {str(json.loads(body)["subject"]) for _, body in list(self.told.requests)}

    def _switched_off(self) -> bool:
        return self._ask("POST", f"/api/schedules/{self.schedule_id}/disable") is not None

    def _ask(self, method: str, path: str, **request: Any) -> dict[str, Any] | None:
        """Return the answer, None when there is none now."""
        try:
            answer = self.stack.http.request(method, path, **request)
        except httpx.TransportError:
            return None
        assert answer.status_code < 300 or answer.status_code == 503, answer.text
        document: dict[str, Any] = answer.json()
        return document if answer.status_code < 300 else None

    def fired(self, log: EventLog) -> list[uuid.UUID]:
        """Return the runs of the schedule."""
        stream = log.stream(uuid.UUID(self.schedule_id))
        return [event.task_id for event in stream if isinstance(event, ScheduleFired)]

    def _submit(self) -> None:
        names = random.Random(self.seed)
        turns = cycle(STRATEGIES)
        for _ in range(self.runs):
            key = str(uuid.UUID(int=names.getrandbits(128), version=4))
            submitted = partial(self._submitted, next(turns), key)
            self.tasks.append(until(submitted, seconds=60, every=0.2, hint="no 202"))

    def _submitted(self, strategy: str, key: str) -> str | None:
        """Submit one run; a gateway that is away, or died before it answered, is asked again with the same key."""
        symbols, parameters = STRATEGIES[strategy], {"calls": str(self.calls)}
        body = {"strategy_id": strategy, "symbols": symbols, "parameters": parameters}
        answer = self._ask("POST", "/api/tasks", json=body, headers={"Idempotency-Key": key})
        return None if answer is None else str(answer["task_id"])

    def _kill(self) -> None:
        chance, pause = random.Random(self.seed), threading.Event()
        servers = {self.strikes // 3: "wipe", 2 * self.strikes // 3: "postgres"}
        doomed: list[str] = []
        for number in range(self.strikes):
            pause.wait(PERIOD.total_seconds() * chance.uniform(0.5, 1.5))
            doomed = doomed or chance.sample(VICTIMS, len(VICTIMS))
            victim = servers.get(number) or doomed.pop()
            self._strike(victim, chance)
            self.kills[victim] = self.kills.get(victim, 0) + 1

    def _strike(self, victim: str, chance: random.Random) -> None:
        if victim == "wipe":
            self.stack.redis.flushall()
            return
        process = until(lambda: self._running("worker" if victim == "child" else victim), seconds=60, hint=victim)
        if victim == "child":
            children = psutil.Process(process).children()
            if children:
                os.kill(chance.choice(children).pid, signal.SIGKILL)
            return
        os.kill(process, signal.SIGKILL)

    def _running(self, name: str) -> int | None:
        """Return the pid of a process that is up, None while it is not."""
        assert self.stack.record.phase is Phase.READY
        (process,) = [each for each in self.stack.record.processes if each.name == name]
        return process.pid if process.state is ProcessState.RUNNING and psutil.pid_exists(process.pid or 0) else None

    def _all_ended(self) -> bool:
        log = EventLog(self.stack.record.database_url)
        try:
            runs = [*map(uuid.UUID, self.tasks), *self.fired(log)]
            return all(log.execution(task_id).phase.ended for task_id in runs)
        finally:
            log.close()

    def _orders_have_ended(self) -> bool:
        log = EventLog(self.stack.record.database_url)
        try:
            orders = (order for task_id in self.tasks for order in log.execution(uuid.UUID(task_id)).orders.values())
            return all(order.state in (OrderState.FILLED, OrderState.REJECTED) for order in orders)
        finally:
            log.close()

    def _is_projected(self) -> bool:
        return differences(self.stack.record.database_url) == []
