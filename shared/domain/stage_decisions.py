"""What may happen to a run whose steps run side by side: it waits at a join until all its members have ended."""

from collections.abc import Sequence

from shared.domain import execution_events as happened
from shared.domain.deciding import Deciding
from shared.domain.errors import Refused
from shared.domain.events import Stamp
from shared.domain.execution_records import StepKey
from shared.domain.failures import Failure, timeout_failure
from shared.domain.phases import Phase


class StageDecisions(Deciding):
    """The stages of a run. Decisions on an open stage need its branches to have been read."""

    def open_stage(self, stamp: Stamp, *, attempt: int, members: Sequence[StepKey]) -> None:
        """End the attempt and have `members` run as tasks of their own; raises Refused for one that is settled."""
        self.require_attempt(attempt)
        if not members or (settled := [key for key in members if self.is_settled(key)]):
            raise Refused(f"Task {self.id} cannot open a stage of {settled if members else 'no members'}.")
        plan = {step: self.described(step) for step, _ in members}
        most = [step.max_parallel for step in plan.values() if step.max_parallel is not None]
        self._trigger(
            happened.StageOpened,
            stamp,
            attempt=attempt,
            opening=self.opening + 1,
            members=tuple(
                happened.Member(step=step, symbol=symbol, limits=self.submitted.limits | plan[step].limits)
                for step, symbol in members
            ),
            max_parallel=min(most) if most else None,
        )

    def settle_stage(self, stamp: Stamp) -> None:
        """Go on when the last member has ended: the stage closes, or the run that is being cancelled is cancelled.

        Raises Refused while a member is left, and when there is no open stage.
        """
        stage = self.stage()
        if self.phase is Phase.AT_JOIN and all(branch.phase.ended for branch in stage):
            failed = sum(branch.phase is Phase.FAILED for branch in stage)
            self._trigger(
                happened.StageClosed, stamp, opening=self.opening, completed=len(stage) - failed, failed=failed
            )
        elif self.in_stage and self.phase is Phase.CANCELLING and not any(branch.at_work for branch in stage):
            self._trigger(happened.Cancelled, stamp)
        else:
            raise Refused(
                f"Task {self.id} is {self.phase}, and not all members of its stage {self.opening} have ended."
            )

    def fail_in_stage(
        self, stamp: Stamp, *, failure: Failure, step: str | None = None, symbol: str | None = None
    ) -> None:
        """End a run that waits at a join with an error; members at work are stopped, and the others never start."""
        if self.phase is not Phase.AT_JOIN:
            raise Refused(f"Task {self.id} is {self.phase} and waits at no join.")
        self._trigger(happened.Failed, stamp, attempt=self.attempts, failure=failure, step=step, symbol=symbol)

    def time_out_in_stage(self, stamp: Stamp) -> None:
        """End a run whose time is over while it waits at a join; raises Refused while time is left."""
        if self.time_left(stamp.at).total_seconds() > 0:
            raise Refused(f"Task {self.id} has time left.")
        self.fail_in_stage(stamp, failure=timeout_failure(self.submitted.timeout_seconds))

    def hurry_branches(self, stamp: Stamp) -> bool:
        """End the delay of every branch that waits for a retry; return whether there was one, or is over already."""
        retrying = [branch for branch in self.stage() if branch.phase in (Phase.RETRY_WAIT, Phase.RETRY_DUE)]
        for branch in retrying:
            if branch.phase is Phase.RETRY_WAIT:
                branch.fall_due(stamp)
        return bool(retrying)
