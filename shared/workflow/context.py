"""What a step is given besides its inputs: the run, the world outside, and ways to speak up."""

import re
from collections.abc import Callable
from dataclasses import dataclass
from datetime import datetime
from functools import cached_property
from typing import TYPE_CHECKING, Any, Generic, NamedTuple, Protocol

from typing_extensions import TypeVar

from shared.workflow.errors import PermanentError
from shared.workflow.orders import Decision, Order

if TYPE_CHECKING:
    import httpx
    from structlog.typing import FilteringBoundLogger

    from shared.market_data.protocol import MarketData

_ARTIFACT_NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9._ -]{0,99}")


class Position(NamedTuple):
    """A step, and the symbol where it runs for each: the places at which a run can stop and go on."""

    step: str
    symbol: str | None = None


class Progress(NamedTuple):
    """How far one step is, in units of its own."""

    done: int
    total: int
    message: str = ""


class Placer(Protocol):
    """The way from a decision to an order, for one position of a run."""

    def place(self, decision: Decision, key: str | None = None) -> Order:
        """Place `decision` at most once, whatever happens to this run, and return the order.

        Its client order id derives from task, step, symbol and the ordinal of the call, or from `key` instead of the
        ordinal: use a key where the order of the calls may differ from try to try.
        """
        ...


@dataclass(frozen=True, kw_only=True)
class Collaborators:
    """What stands behind a context; the callables in the first block are called once, at the first use.

    `checkpoint` raises a BaseException to stop the run there. `keep` stores an artifact under its name.
    """

    market_data: Callable[[], "MarketData"]
    http: Callable[[], "httpx.Client"]

    broker: Callable[[Position], Placer]
    log: "FilteringBoundLogger"
    clock: Callable[[], datetime]
    report: Callable[[Position, Progress], None]
    checkpoint: Callable[[], None]
    keep: Callable[[Position, str, Any], None]

    @cached_property
    def opened_market_data(self) -> "MarketData":
        """Return the market data, opened at the first use."""
        return self.market_data()

    @cached_property
    def opened_http(self) -> "httpx.Client":
        """Return the HTTP client, opened at the first use."""
        return self.http()


Parameters = TypeVar("Parameters", default=Any)
"""A strategy's parameters model; a bare `Context` leaves it open."""


class Context(Generic[Parameters]):
    """The first argument of every step; `Context[Parameters]` tells a type checker which model `parameters` is.

    `scheduled_at` is the time in UTC that a schedule fired the run for, which a late or backfilled run may be long
    after; None for one that somebody submitted.
    """

    def __init__(
        self,
        *,
        task_id: str,
        symbols: tuple[str, ...],
        parameters: Parameters,
        attempt: int,
        collaborators: Collaborators,
        scheduled_at: datetime | None = None,
        position: Position | None = None,
        side_by_side: bool = False,
    ) -> None:
        self.task_id = task_id
        self.symbols = symbols
        self.parameters = parameters
        self.attempt = attempt
        self.scheduled_at = scheduled_at
        self._collaborators = collaborators
        self._position = position
        self._side_by_side = side_by_side

    def at(self, position: Position, *, side_by_side: bool = False) -> "Context[Parameters]":
        """Return the context of one position, with the same collaborators; the engine makes one for each call.

        What runs `side_by_side` has no broker, even where it happens to run alone.
        """
        return Context(
            task_id=self.task_id,
            symbols=self.symbols,
            parameters=self.parameters,
            attempt=self.attempt,
            collaborators=self._collaborators,
            scheduled_at=self.scheduled_at,
            position=position,
            side_by_side=side_by_side,
        )

    @property
    def symbol(self) -> str | None:
        """Return the symbol that the step runs for, None in a step that runs once a run."""
        return self._position.symbol if self._position else None

    @property
    def market_data(self) -> "MarketData":
        """Return the source of bars that this deployment is set up with."""
        return self._collaborators.opened_market_data

    @property
    def http(self) -> "httpx.Client":
        """Return an HTTP client with timeouts and tracing; it is closed with the run."""
        return self._collaborators.opened_http

    @cached_property
    def broker(self) -> Placer:
        """Return the way to place orders; client order ids count from the start of each step and symbol.

        Raises PermanentError in a step that runs side by side with others.
        """
        if self._side_by_side:
            raise PermanentError(
                f"Step {self._here().step!r} runs side by side with others, and orders are placed one after the other. "
                'Let it return decisions, and place them in a later step with effect="orders".'
            )
        return self._collaborators.broker(self._here())

    @cached_property
    def log(self) -> "FilteringBoundLogger":
        """Return a structured logger that knows the task, the step and the symbol."""
        log = self._collaborators.log
        return log.bind(**self._position._asdict()) if self._position else log

    def now(self) -> datetime:
        """Return the current time in UTC (of the test's clock, in a test)."""
        return self._collaborators.clock()

    def progress(self, done: int, total: int, message: str = "") -> None:
        """Say how far this step is, in units of its own; call it as often as you like."""
        if not 0 <= done <= total:
            raise ValueError(f"progress(done, total): 0 <= done <= total, not done={done}, total={total}")
        self._collaborators.report(self._here(), Progress(done, total, message))

    def checkpoint(self) -> None:
        """Mark a safe point: a run that is to be cancelled or preempted stops here, and `finally` blocks run.

        The step runs again from its start when the run goes on.
        """
        self._collaborators.checkpoint()

    def artifact(self, name: str, value: Any) -> None:
        """Keep a figure, DataFrame, text, bytes or JSON value for people, under a file name such as `chart.png`.

        A second value of one name in one run replaces the first. Raises PermanentError for a name that is no file name.
        """
        if not _ARTIFACT_NAME.fullmatch(name):
            raise PermanentError(
                f"{name!r} cannot name an artifact: up to 100 letters, digits, dots, dashes, underscores and spaces."
            )
        self._collaborators.keep(self._here(), name, value)

    def _here(self) -> Position:
        if self._position is None:
            raise RuntimeError("This context stands at no step yet: the engine calls at() before each step.")
        return self._position
