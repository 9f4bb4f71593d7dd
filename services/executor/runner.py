"""One attempt at a run: claim it in the log, take it through its steps, end it."""

from contextlib import ExitStack, suppress
from uuid import UUID

import structlog

from services.executor.attempt import Attempt
from services.executor.contexts import Contexts, NoDefinition
from services.executor.interruption import Interrupted, Interruptions
from services.executor.journal import LogJournal
from services.executor.placing import LedgerPlacer
from services.executor.progress import Board, RunProgress
from services.executor.results import result_of
from services.executor.stamps import Clock, worker_stamp
from shared.domain.errors import NotFound, Refused, VersionConflict
from shared.log.event_log import EventLog
from shared.telemetry import link_to
from shared.telemetry.masking import masker
from shared.workflow.engine import Stopped, run_steps

logger = structlog.get_logger()


class Runner:
    """Runs attempts, one after the other or side by side; it keeps no state between them."""

    def __init__(
        self, *, log: EventLog, contexts: Contexts, board: Board, now: Clock, interruptions: Interruptions | None = None
    ) -> None:
        self._log = log
        self._interruptions = interruptions or Interruptions()
        self._contexts = contexts
        self._board = board
        self._now = now

    def run(self, task_id: UUID, attempt: int, *, worker: str) -> bool:
        """Claim attempt number `attempt` and take it as far as it goes; return whether the claim was won.

        A claim that is refused costs nothing and says nothing about the run: the message was late or doubled.
        """
        with structlog.contextvars.bound_contextvars(task_id=str(task_id), attempt=attempt, worker=worker):
            try:
                execution = self._log.execution(task_id)
                before, phase = (execution.attempt_trace, execution.restart_trace), execution.phase
                execution.claim(worker_stamp(worker, self._now), attempt=attempt, worker=worker)
                self._log.save_execution(execution)
            except (Refused, VersionConflict, NotFound) as refusal:
                logger.info("execution.not_claimed", reason=str(refusal))
                return False
            link_to(before, str(phase))
            masker().learn(execution.submitted.parameters)
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
        submitted = attempt.execution.submitted
        try:
            workflow, parameters = self._contexts.definition(submitted)
        except NoDefinition as error:
            attempt.end_failed(error.failure)
        objects = self._contexts.objects
        journal = LogJournal(
            attempt,
            workflow,
            objects=objects,
            on_boundary=progress.at_boundary,
            finish=lambda execution: result_of(workflow, execution, objects),
        )
        with ExitStack() as stack:
            context = self._contexts.of(
                attempt,
                parameters,
                placer=lambda position: LedgerPlacer(attempt, self._contexts.world.broker, position),
                keeper=journal,
                report=progress.within_step,
                stack=stack,
            )
            run_steps(workflow, submitted.symbols, context, journal)
            journal.succeed()
