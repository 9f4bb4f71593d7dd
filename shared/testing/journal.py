"""The record of a run in memory: the engine's journal in tests."""

from collections.abc import Callable, Iterable, Sequence
from datetime import timedelta
from typing import Any

from shared.domain.catalogue import OnError, StepScope
from shared.domain.failures import Failure, retry_delay
from shared.domain.outputs import Output
from shared.objects.store import ObjectStore
from shared.testing.outcome import Retry, StepFailure
from shared.workflow.codec import decode_output, encode_output
from shared.workflow.context import Position
from shared.workflow.engine import Member, Stopped
from shared.workflow.steps import Step
from shared.workflow.workflow import Workflow


class MemoryJournal:
    """Keeps outputs in the form in which the log keeps them; `error` is set when the run has failed for good.

    `fail` raises Stopped for a retry too: call the engine again, and it goes on from the failed position.
    """

    def __init__(self, workflow: Workflow, *, store: ObjectStore, max_retries: int | None = None) -> None:
        self._workflow = workflow
        self._steps = {step.name: step for step in workflow.steps}
        self._store = store
        self._max_retries = workflow.max_retries if max_retries is None else max_retries
        self.outputs: dict[Position, Output] = {}
        self.collected: dict[Position, Failure] = {}
        self.retries: list[Retry] = []
        self.error: StepFailure | None = None

    def is_done(self, step: str, symbol: str | None) -> bool:
        """Tell whether the position is over."""
        return Position(step, symbol) in self.outputs or self.has_failed(step, symbol)

    def has_failed(self, step: str, symbol: str | None) -> bool:
        """Tell whether the position failed and was collected."""
        return Position(step, symbol) in self.collected

    def value(self, step: str, symbol: str | None) -> Any:
        """Return what a position returned, decoded anew."""
        return decode_output(self._steps[step], self.outputs[Position(step, symbol)], store=self._store)

    def begin(self, step: Step, symbol: str | None) -> None:
        """Nothing stops a run in a test before a step."""

    def call(self, step: Step, symbol: str | None, body: Callable[[], Any]) -> Any:
        """Call it; nothing cuts a step short in a test."""
        return body()

    def complete(self, step: Step, symbol: str | None, value: Any, *, last: bool) -> None:
        """Keep what a position returned; raises OutputRefused."""
        self.outputs[Position(step.name, symbol)] = encode_output(step, value, store=self._store)

    def fail(self, step: Step, symbol: str | None, failure: Failure) -> None:
        """Note a retry, a collected failure or the run's end; raises Stopped unless it was collected."""
        number = 1 + sum((past.step, past.symbol) == (step.name, symbol) for past in self.retries)
        limit = self._max_retries if step.max_retries is None else step.max_retries
        if failure.retryable and number <= limit:
            delay = self._delay(step, number, failure)
            self.retries.append(Retry(step=step.name, symbol=symbol, number=number, delay=delay, failure=failure))
        elif step.on_error is OnError.COLLECT and symbol is not None:
            self.collected[Position(step.name, symbol)] = failure
            return
        else:
            self.error = StepFailure(step=step.name, symbol=symbol, failure=failure)
        raise Stopped

    def fork(self, members: Sequence[Member]) -> None:
        """Let them run here: in a test what would run side by side runs one after the other."""

    def values(self, steps: Iterable[Step]) -> dict[str, Any]:
        """Return the outputs of `steps` as far as there are any, by step, and by symbol where a step runs for each."""
        found: dict[str, Any] = {}
        for step in steps:
            by_symbol = {at.symbol: self.value(*at) for at in self.outputs if at.step == step.name}
            if step.each is StepScope.SYMBOL:
                found[step.name] = by_symbol
            elif by_symbol:
                found[step.name] = by_symbol[None]
        return found

    def _delay(self, step: Step, number: int, failure: Failure) -> timedelta:
        """Return the delay without jitter."""
        asked = failure.retry_after_seconds
        retry_after = timedelta(seconds=asked) if asked is not None else None
        first = step.first_retry_delay or self._workflow.first_retry_delay
        return retry_delay(number, first=first, retry_after=retry_after)
