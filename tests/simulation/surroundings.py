"""What is around the code: time, the log and the stores, Redis, and a venue that misbehaves."""

from collections import Counter
from collections.abc import Collection, Sequence
from dataclasses import dataclass, field, replace
from datetime import datetime, timedelta
from decimal import Decimal
from enum import StrEnum
from typing import Any
from uuid import UUID

from services.executor.live_run import LiveRun
from services.executor.open_orders import OpenOrder
from services.executor.pointers import message_id
from services.executor.queues import CONSUMED
from services.executor.reconciling import Sighting
from shared.domain.events import Event
from shared.domain.execution import WorkflowExecution
from shared.domain.orders import OrderState
from shared.domain.priority import Priority
from shared.heartbeats import TTL, WorkerHeartbeat
from shared.log.recorder import Guard
from shared.routing import level_queue
from shared.trading.broker import OrderAmbiguous, OrderRejected, OrderReport, OrderRequest, VenueUnavailable
from tests.builders import NOW
from tests.memory_log import MemoryEventLog
from tests.memory_store import MemoryOrderStore, MemoryStore
from tests.simulation.fibers import in_a_fiber, point


class Clock:
    """The one time of the simulation."""

    def __init__(self) -> None:
        self.at = NOW

    def __call__(self) -> datetime:
        """Return the present moment."""
        return self.at


class Cut(Exception):
    """The connection to the log broke."""


class PointedLog(MemoryEventLog):
    """The log; a process may die before an append, or after it and before it hears of it.

    `cuts` are those of the next appends by processes: True breaks the connection after the commit, False before.
    """

    def __init__(self) -> None:
        super().__init__()
        self.cuts: list[bool] = []

    def append(self, events: Sequence[Event], *, guard: Guard | None = None) -> list[int]:
        """Append all or none."""
        point("append")
        cut = self.cuts.pop(0) if self.cuts and in_a_fiber() else None
        if cut is False:
            raise Cut
        positions = super().append(events, guard=guard)
        point("appended")
        if cut:
            raise Cut
        return positions

    def execution(self, task_id: UUID, *, until: int | None = None) -> WorkflowExecution:
        """Return the run as it was; it may have moved on before the caller does."""
        execution = super().execution(task_id, until=until)
        point("read")
        return execution

    def member(self, task_id: UUID, *, opening: int, step: str, symbol: str | None) -> WorkflowExecution:
        """Return the run as it was, as far as a member needs it."""
        execution = super().member(task_id, opening=opening, step=step, symbol=symbol)
        point("read")
        return execution


class PointedStore(MemoryStore):
    """The dispatcher's table."""

    def commit(
        self,
        changed: Sequence[LiveRun],
        ended: Sequence[UUID],
        *,
        after: int,
        position: int,
        paused: Collection[Priority] | None = None,
    ) -> None:
        """Write, all or nothing."""
        point("commit")
        super().commit(changed, ended, after=after, position=position, paused=paused)
        point("committed")


class PointedOrderStore(MemoryOrderStore):
    """The resolver's table."""

    def commit(self, changed: Sequence[OpenOrder], settled: Sequence[str], *, after: int, position: int) -> None:
        """Write, all or nothing."""
        point("commit")
        super().commit(changed, settled, after=after, position=position)
        point("committed")


class RedisAway(Exception):
    """Redis does not answer."""


@dataclass(frozen=True)
class Message:
    """A pointer on its way, to a run or to a member of a stage."""

    id: UUID
    task_id: UUID
    attempt: int
    queue: str
    opening: int | None = None
    step: str | None = None
    symbol: str | None = None


class Redis:
    """Queues and heartbeats, for as long as nobody wipes them."""

    def __init__(self, clock: Clock) -> None:
        self._clock = clock
        self.up = True
        self.generation = 1
        self.messages: list[Message] = []
        self._beats: dict[str, WorkerHeartbeat] = {}

    def wipe(self) -> None:
        """Lose everything."""
        self.generation += 1
        self.messages.clear()
        self._beats.clear()

    def beat(self, heartbeat: WorkerHeartbeat) -> None:
        """Keep what a worker says of itself, for its time to live."""
        if self.up:
            self._beats[heartbeat.name] = heartbeat

    def take(self) -> Message | None:
        """Give the first message of the first queue that has one."""
        waiting = [message for message in self.messages if self.up]
        message = min(waiting, key=lambda each: CONSUMED.index(each.queue), default=None)
        if message is not None:
            self.messages.remove(message)
        return message

    def look(self) -> Sighting | None:
        """Return what the dispatcher sees."""
        if not self.up:
            return None
        living = {name: beat for name, beat in self._beats.items() if self._clock() - beat.at < TTL}
        queued = frozenset(message_id(message.id, message.attempt) for message in self.messages)
        return Sighting(generation=str(self.generation), workers=living, queued=queued)

    def send(self, runs: Sequence[LiveRun]) -> None:
        """Take pointers, one after the other."""
        for run in runs:
            point("send")
            if not self.up:
                raise RedisAway
            queue = level_queue(run.sent_level or run.level, resumed=run.resumed)
            self.messages.append(Message(run.id, run.task_id, run.attempt, queue, run.opening, run.step, run.symbol))

    def withdraw(self, runs: Sequence[LiveRun]) -> int:
        """Drop the pointers of runs that have ended."""
        gone = {(run.id, run.attempt) for run in runs if self.up}
        before = len(self.messages)
        self.messages[:] = [each for each in self.messages if (each.id, each.attempt) not in gone]
        return before - len(self.messages)

    def clear(self, wanted: Collection[str]) -> int:
        """Drop all pointers but some, unless Redis is away."""
        point("clear")
        before = len(self.messages)
        if self.up:
            self.messages[:] = [each for each in self.messages if message_id(each.id, each.attempt) in wanted]
        return before - len(self.messages)


class Fault(StrEnum):
    """What a venue may do to a submission, instead of answering."""

    LOST_ANSWER = "lost answer"
    LATE_ARRIVAL = "late arrival"
    LOST_REQUEST = "lost request"
    UNAVAILABLE = "unavailable"
    REJECTED = "rejected"
    RESTS = "rests"


@dataclass
class Venue:
    """A broker whose book fills at once, but for orders that rest; `faults` are those of the next submissions."""

    refuses_duplicates: bool
    faults: list[Fault] = field(default_factory=list)
    silent: int = 0
    book: dict[str, OrderReport] = field(default_factory=dict)
    late: list[OrderRequest] = field(default_factory=list)
    submits: Counter[str] = field(default_factory=Counter)
    arrivals: Counter[str] = field(default_factory=Counter)

    def submit(self, request: OrderRequest) -> OrderReport:
        """Take an order, or do as the next fault says."""
        point("submit")
        self.submits[request.client_order_id] += 1
        fault = self.faults.pop(0) if self.faults else None
        match fault:
            case Fault.UNAVAILABLE:
                raise VenueUnavailable("closed for a moment")
            case Fault.REJECTED if request.client_order_id not in self.book:
                self._arrive(request, OrderState.REJECTED)
                raise OrderRejected("no money")
            case Fault.LATE_ARRIVAL:
                self.late.append(request)
                raise OrderAmbiguous("no answer")
            case Fault.LOST_REQUEST:
                raise OrderAmbiguous("no answer")
        self._arrive(request, OrderState.PLACED if fault is Fault.RESTS else OrderState.FILLED)
        point("arrived")
        if fault is Fault.LOST_ANSWER:
            raise OrderAmbiguous("no answer")
        return self.book[request.client_order_id]

    def _arrive(self, request: OrderRequest, state: OrderState) -> None:
        if self.refuses_duplicates and request.client_order_id in self.book:
            return
        self.arrivals[request.client_order_id] += 1
        self.book[request.client_order_id] = _report(request, state)

    def deliver(self) -> None:
        """Let what was late arrive, and what rests come further: most is filled in two parts, some expires."""
        for request in self.late:
            self._arrive(request, OrderState.FILLED)
        self.late.clear()
        for name, order in self.book.items():
            if order.state is not OrderState.PLACED:
                continue
            if order.filled_quantity:
                self.book[name] = replace(order, state=OrderState.FILLED, filled_quantity=order.quantity)
            elif int(name[-1], 16) < 4:
                self.book[name] = replace(order, state=OrderState.REJECTED, reason="expired")
            else:
                self.book[name] = replace(order, filled_quantity=order.quantity / 4, average_price=Decimal(10))

    @property
    def rests(self) -> bool:
        """Whether an order has not come to its end."""
        return any(order.state is OrderState.PLACED for order in self.book.values())

    def find(self, client_order_id: str) -> OrderReport | None:
        """Return what is in the book; "not found" may be too early."""
        point("find")
        if self.silent:
            self.silent -= 1
            raise VenueUnavailable("closed for a moment")
        return self.book.get(client_order_id)

    def cash(self) -> Decimal:
        """Return no cash."""
        return Decimal(0)

    def positions(self) -> dict[str, Decimal]:
        """Return no positions."""
        return {}


def _report(request: OrderRequest, state: OrderState) -> OrderReport:
    filled: dict[str, Any] = (
        {"filled_quantity": request.quantity, "average_price": Decimal(10), "fees": Decimal(1), "filled_at": NOW}
        if state is OrderState.FILLED
        else {"reason": "no money" if state is OrderState.REJECTED else None}
    )
    return OrderReport(
        client_order_id=request.client_order_id,
        venue_order_id=f"v-{request.client_order_id[-4:]}",
        symbol=request.symbol,
        side=request.side,
        quantity=request.quantity,
        limit_price=request.limit_price,
        state=state,
        submitted_at=NOW,
        **filled,
    )


def seconds(number: float) -> timedelta:
    """Return a duration."""
    return timedelta(seconds=number)
