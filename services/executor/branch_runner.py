"""One attempt at a branch: claim it in its own stream, run its one step, and have the run go on if it was the last."""

from contextlib import ExitStack, suppress
from typing import NoReturn
from uuid import UUID

import structlog

from services.executor.branch_attempt import BranchAttempt
from services.executor.branch_journal import BranchJournal
from services.executor.contexts import Contexts, NoDefinition
from services.executor.interruption import Interrupted, Interruptions
from services.executor.progress import Board, StageProgress
from services.executor.stamps import Clock, worker_stamp
from shared.domain.branch import branch_id
from shared.domain.errors import NotFound, Refused, VersionConflict
from shared.log.event_log import EventLog
from shared.telemetry import link_to
from shared.telemetry.masking import masker
from shared.workflow.context import Position
from shared.workflow.engine import Stopped, run_member

logger = structlog.get_logger()


class BranchRunner:
    """Runs attempts at branches; beside `Runner`, of which it shares what steps are given."""

    def __init__(
        self, *, log: EventLog, contexts: Contexts, board: Board, now: Clock, interruptions: Interruptions | None = None
    ) -> None:
        self._log = log
        self._interruptions = interruptions or Interruptions()
        self._contexts = contexts
        self._progress = StageProgress(board, log.execution, now=now)
        self._now = now

    def run(self, task_id: UUID, *, opening: int, step: str, symbol: str | None, attempt: int, worker: str) -> bool:
        """Claim attempt number `attempt` of a member and take it as far as it goes; return whether the claim was won.

        A claim that is refused costs nothing: the message was late or doubled, or the run waits no more for it.
        """
        names = {"task_id": str(task_id), "step": step, "symbol": symbol, "attempt": attempt, "worker": worker}
        with structlog.contextvars.bound_contextvars(**names):
            stream = branch_id(task_id, opening, step, symbol)
            while True:
                try:
                    run = self._log.member(task_id, opening=opening, step=step, symbol=symbol)
                    branch = run.branch(opening, step, symbol)
                    before, phase = branch.attempt_trace, branch.phase
                    branch.claim(worker_stamp(worker, self._now), attempt=attempt, worker=worker)
                    self._log.save_execution(run)
                except VersionConflict:
                    continue  # the run or the branch has moved on: the claim is decided again
                except (Refused, NotFound) as refusal:
                    logger.info("branch.not_claimed", reason=str(refusal))
                    return False
                break
            link_to([before], str(phase))
            masker().learn(run.submitted.parameters)
            with self._interruptions.of(stream, attempt) as interruption:
                claimed = BranchAttempt(self._log, branch, worker=worker, now=self._now, interruption=interruption)
                with suppress(Stopped):
                    self._go_on(claimed)
            self._progress.tell(task_id)
            return True

    def _go_on(self, attempt: BranchAttempt) -> None:
        while True:
            try:
                return self._go(attempt)
            except Interrupted:
                attempt.obey()

    def _go(self, attempt: BranchAttempt) -> None:
        branch, submitted = attempt.branch, attempt.execution.submitted
        try:
            workflow, parameters = self._contexts.definition(submitted)
        except NoDefinition as error:
            attempt.end_run(error.failure, step=branch.step, symbol=branch.symbol)
        journal = BranchJournal(attempt, workflow, objects=self._contexts.objects)
        with ExitStack() as stack:
            context = self._contexts.of(
                attempt,
                parameters,
                placer=_no_placer,
                keeper=journal,
                report=lambda position, progress: self._progress.within_step(attempt, position, progress),
                stack=stack,
            )
            run_member(workflow, submitted.symbols, context, journal, branch.step, branch.symbol)


def _no_placer(position: Position) -> NoReturn:
    raise AssertionError(f"the context of {position}, which runs side by side with others, gave it a broker")
