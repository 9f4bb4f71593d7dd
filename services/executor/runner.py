"""One attempt at a run: claim it in the log, take it through its steps, end it."""

from collections.abc import Callable
from contextlib import ExitStack, suppress
from dataclasses import dataclass
from typing import Any
from uuid import UUID

import httpx
import structlog
from pydantic import BaseModel

from services.executor.attempt import Attempt
from services.executor.interruption import Interrupted, Interruptions
from services.executor.journal import LogJournal
from services.executor.placing import LedgerPlacer
from services.executor.progress import Board, RunProgress
from services.executor.results import result_of
from services.executor.stamps import Clock, worker_stamp
from shared.domain.errors import InvalidInput, NotFound, Refused, VersionConflict
from shared.domain.execution_events import Artifact
from shared.domain.failures import Failure
from shared.log.event_log import EventLog
from shared.market_data.protocol import MarketData
from shared.objects import ObjectStore
from shared.trading.broker import Broker
from shared.workflow import artifacts
from shared.workflow.context import Collaborators, Context, Position
from shared.workflow.engine import Stopped, run_steps
from shared.workflow.registry import Registry
from shared.workflow.workflow import Workflow

logger = structlog.get_logger()


@dataclass(frozen=True, kw_only=True)
class World:
    """What steps reach through their context; each is opened when a step first asks for it."""

    market_data: Callable[[], MarketData]
    broker: Callable[[], Broker]
    http: Callable[[], httpx.Client]


class Runner:
    """Runs attempts, one after the other or side by side; it keeps no state between them."""

    def __init__(
        self,
        *,
        log: EventLog,
        objects: ObjectStore,
        registry: Registry,
        world: World,
        board: Board,
        now: Clock,
        interruptions: Interruptions | None = None,
    ) -> None:
        self._log = log
        self._interruptions = interruptions or Interruptions()
        self._objects = objects
        self._registry = registry
        self._world = world
        self._board = board
        self._now = now

    def run(self, task_id: UUID, attempt: int, *, worker: str) -> bool:
        """Claim attempt number `attempt` and take it as far as it goes; return whether the claim was won.

        A claim that is refused costs nothing and says nothing about the run: the message was late or doubled.
        """
        with structlog.contextvars.bound_contextvars(task_id=str(task_id), attempt=attempt, worker=worker):
            try:
                execution = self._log.execution(task_id)
                execution.claim(worker_stamp(worker, self._now), attempt=attempt, worker=worker)
                self._log.save_execution(execution)
            except (Refused, VersionConflict, NotFound) as refusal:
                logger.info("execution.not_claimed", reason=str(refusal))
                return False
            logger.info("execution.started", strategy_id=execution.submitted.strategy_id)
            with self._interruptions.of(task_id, attempt) as interruption:
                claimed = Attempt(self._log, execution, worker=worker, now=self._now, interruption=interruption)
                with suppress(Stopped):
                    self._go_on(claimed)
            logger.info("execution.left", phase=str(claimed.execution.phase))
            return True

    def _go_on(self, attempt: Attempt) -> None:
        """Take the attempt to its end. An interrupt of which the log knows no reason (any more) costs a step's try."""
        progress = RunProgress(self._board)
        while True:
            try:
                return self._go(attempt, progress)
            except Interrupted:
                attempt.obey()

    def _go(self, attempt: Attempt, progress: RunProgress) -> None:
        workflow, parameters = self._definition(attempt)
        journal = LogJournal(
            attempt,
            workflow,
            objects=self._objects,
            on_boundary=progress.at_boundary,
            finish=lambda execution: result_of(workflow, execution, self._objects),
        )
        with ExitStack() as stack:
            context = self._context(attempt, parameters, journal, progress, stack)
            run_steps(workflow, attempt.execution.submitted.symbols, context, journal)
            journal.succeed()

    def _definition(self, attempt: Attempt) -> tuple[Workflow, BaseModel]:
        """Return the definition that the run is pinned to, and its parameters; ends the run without them."""
        submitted = attempt.execution.submitted
        workflow = self._registry.definition(submitted.strategy_id, submitted.definition_hash)
        if workflow is None:
            known = self._registry.knows(submitted.strategy_id)
            attempt.end_failed(_definition_failure(submitted.strategy_id, known=known))
        try:
            return workflow, workflow.parse(submitted.parameters)
        except InvalidInput as error:
            attempt.end_failed(Failure(type="invalid_parameters", message=error.detail, retryable=False))

    def _context(
        self,
        attempt: Attempt,
        parameters: BaseModel,
        journal: LogJournal,
        progress: RunProgress,
        stack: ExitStack,
    ) -> Context[Any]:
        submitted = attempt.execution.submitted

        def keep(position: Position, name: str, value: Any) -> None:
            journal.keep(Artifact(name=name, ref=artifacts.keep(name, value, store=self._objects)))

        return Context(
            task_id=str(submitted.originator_id),
            symbols=submitted.symbols,
            parameters=parameters,
            attempt=attempt.number,
            collaborators=Collaborators(
                market_data=self._world.market_data,
                http=lambda: stack.enter_context(self._world.http()),
                broker=lambda position: LedgerPlacer(attempt, self._world.broker, position),
                log=logger,
                clock=self._now,
                report=progress.within_step,
                checkpoint=attempt.checkpoint,
                keep=keep,
            ),
        )


def _definition_failure(strategy_id: str, *, known: bool) -> Failure:
    """Return why a run cannot go on; `known` says that other definitions of its strategy are loaded."""
    if not known:
        return Failure(
            type="strategy_not_loaded",
            message=f"Strategy {strategy_id!r} is not loaded on this worker; see `broken` in GET /api/strategies, "
            "and start workers with the same BLOTTER_STRATEGIES as the dispatcher.",
            retryable=False,
        )
    return Failure(
        type="definition_changed",
        message=f"Strategy {strategy_id!r} has changed its steps or parameters since this run was submitted, and the "
        "old definition is not loaded on this worker (see `broken` in GET /api/strategies if it should be). Keep the "
        "old definition with retired=True until its runs have ended, or submit it again to run the new definition.",
        retryable=False,
    )
