"""Faults that tests order from the venue, and the middleware that commits them."""

import asyncio
from collections.abc import Callable
from enum import StrEnum
from random import Random
from threading import Lock
from typing import Any, Literal, assert_never

from pydantic import BaseModel
from starlette.responses import JSONResponse
from starlette.types import ASGIApp, Message, Receive, Scope, Send


class Moment(StrEnum):
    """Whether a fault comes before the venue has acted on the request, or after."""

    BEFORE = "before"
    AFTER = "after"


class Fault(BaseModel):
    """What goes wrong with the next `times` requests of `method` whose path begins with `path`.

    `delay` waits `seconds`, `drop` closes the connection without an answer, `answer` gives `status` instead. With a
    `share` below 1 only that part of the requests is hit, by chance.
    """

    kind: Literal["delay", "drop", "answer"]
    moment: Moment = Moment.BEFORE
    method: str = "POST"
    path: str = "/v2/orders"
    times: int = 1
    share: float = 1.0
    seconds: float = 0.0
    status: int = 500
    retry_after: str | None = None


class Faults:
    """The faults still to come, used up in the order in which they were asked for."""

    def __init__(self) -> None:
        self._waiting: list[Fault] = []
        self._lock = Lock()
        self._chance = Random(0)

    def add(self, fault: Fault) -> None:
        """Ask for a fault."""
        with self._lock:
            self._waiting.append(fault.model_copy())

    def clear(self) -> None:
        """Forget those that have not happened yet."""
        with self._lock:
            self._waiting.clear()

    def take(self, method: str, path: str) -> Fault | None:
        """Return the fault for this request and count it as done."""
        with self._lock:
            for fault in self._waiting:
                if fault.method == method and path.startswith(fault.path) and self._chance.random() < fault.share:
                    fault.times -= 1
                    if fault.times < 1:
                        self._waiting.remove(fault)
                    return fault
        return None


class FaultMiddleware:
    """Commits the ordered fault before or after the venue has handled a request.

    `cut` closes the connection of a client's address at once.
    """

    def __init__(self, app: ASGIApp, faults: Faults, cut: Callable[[Any], None]) -> None:
        self._app = app
        self._faults = faults
        self._cut = cut

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Handle one request."""
        fault = self._faults.take(scope["method"], scope["path"]) if scope["type"] == "http" else None
        if fault is None:
            await self._app(scope, receive, send)
            return
        receive = await arrived(receive)
        if fault.moment is Moment.BEFORE and await self._commit(fault, scope, receive, send):
            return
        answer: list[Message] = []

        async def keep(message: Message) -> None:
            answer.append(message)

        await self._app(scope, receive, keep)
        if fault.moment is Moment.AFTER and await self._commit(fault, scope, receive, send):
            return
        for message in answer:
            await send(message)

    async def _commit(self, fault: Fault, scope: Scope, receive: Receive, send: Send) -> bool:
        """Let it happen; tell whether the request has had its answer with that."""
        match fault.kind:
            case "delay":
                await asyncio.sleep(fault.seconds)
                return False
            case "drop":
                self._cut(scope["client"])
                return True
            case "answer":
                headers = {"Retry-After": fault.retry_after} if fault.retry_after else None
                body = {"message": f"ordered fault {fault.status}"}
                await JSONResponse(body, fault.status, headers=headers)(scope, receive, send)
                return True
            case _:
                assert_never(fault.kind)


async def arrived(receive: Receive) -> Receive:
    """Return the request once it is here whole, so that it is handled even if its sender has gone by then."""
    body = b""
    message = await receive()
    while message["type"] == "http.request":
        body += message["body"]
        if not message["more_body"]:
            break
        message = await receive()
    whole: list[Message] = [{"type": "http.request", "body": body, "more_body": False}]

    async def replay() -> Message:
        return whole.pop() if whole else await receive()

    return replay
