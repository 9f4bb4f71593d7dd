"""The loop over steps and symbols, the same in the executor and in `shared.testing`.

Steps run as declared, and the symbols of an `each="symbol"` step in the order in which they were submitted. Nothing is
kept here: a journal says what is done, gives the outputs back, and records what happens, so that a run goes on from any
state of it.

Three rules follow from collected failures (`on_error="collect"`):

- a symbol that failed in one step has no output there, and is left out of every later `each="symbol"` step that takes
  this output, directly or by way of another step; steps that do not take it still run for the symbol;
- a step that runs once a run gets a dict without the symbols that failed or were left out;
- if no symbol is left, the step fails with `all_symbols_failed`, recorded with the symbol None.
"""

from collections.abc import Callable, Sequence
from typing import Any, Protocol

from shared.domain.catalogue import OnError, StepScope
from shared.domain.failures import Failure
from shared.workflow.classification import classify
from shared.workflow.codec import OutputNotStored, OutputRefused
from shared.workflow.context import Context, Position
from shared.workflow.errors import PermanentError
from shared.workflow.shapes import name_of
from shared.workflow.steps import Step
from shared.workflow.workflow import Workflow

ALL_SYMBOLS_FAILED = "all_symbols_failed"
"""`Failure.type` of a step that has no symbol left to go on with."""


class Stopped(BaseException):
    """A run ends or pauses here; not an Exception, so that no `except Exception` of a step can swallow it."""


class InputRefused(PermanentError):
    """An earlier output does not have the type that a step's parameter wants."""


class WrongReturn(PermanentError):
    """A step returned something else than its return type says."""


class Journal(Protocol):
    """Whoever keeps the record of a run; a step and a symbol (None for a run-level step) name a position."""

    def is_done(self, step: str, symbol: str | None) -> bool:
        """Tell whether the position is over: completed, or failed and collected."""
        ...

    def has_failed(self, step: str, symbol: str | None) -> bool:
        """Tell whether the position failed and was collected."""
        ...

    def value(self, step: str, symbol: str | None) -> Any:
        """Return what a completed position returned, decoded; a new object each time, as steps may change theirs.

        An Exception from here counts as a failure of the step that wanted the value.
        """
        ...

    def begin(self, step: Step, symbol: str | None) -> None:
        """Note that a position begins; whatever is raised here (Stopped, say) ends the loop."""
        ...

    def call(self, step: Step, symbol: str | None, body: Callable[[], Any]) -> Any:
        """Return what the step's own code returns; a BaseException from here cuts it short and ends the loop.

        A step that takes longer than its `timeout` fails with StepTimeout.
        """
        ...

    def complete(self, step: Step, symbol: str | None, value: Any, *, last: bool) -> None:
        """Record what a position returned, before returning; an error of the codec becomes the position's failure.

        `last` says that nothing runs after it. There may be no such call: the last position may fail and be collected,
        or be done already when the loop starts.
        """
        ...

    def fail(self, step: Step, symbol: str | None, failure: Failure) -> None:
        """Record a failure; return if it was collected, otherwise raise Stopped (retry later, or the run's end).

        With symbol None and type `all_symbols_failed` it is the whole of an `each="symbol"` step, never collected.
        """
        ...


def run_steps(workflow: Workflow, symbols: Sequence[str], context: Context[Any], journal: Journal) -> None:
    """Run what `journal` does not call done, and return when all of it is.

    An Exception in a step, or its sys.exit(), becomes a Failure for `journal.fail`; any other BaseException passes
    through, and so does whatever the journal raises from `begin`, `fail` and `complete` (OutputRefused and
    OutputNotStored apart).
    """
    _Run(workflow, symbols, context, journal).go()


class _Run:
    """One pass over a workflow; `absent` holds, for each step that runs for each symbol, those without an output."""

    def __init__(self, workflow: Workflow, symbols: Sequence[str], context: Context[Any], journal: Journal) -> None:
        self._steps = {step.name: step for step in workflow.steps}
        self._symbols = tuple(symbols)
        self._context = context
        self._journal = journal
        self._absent: dict[str, set[str]] = {}

    def go(self) -> None:
        """Run the steps in their order."""
        final = next(reversed(self._steps), None)
        for step in self._steps.values():
            if step.each is StepScope.SYMBOL:
                self._for_each(step, final=step.name == final)
            elif not self._journal.is_done(step.name, None):
                self._perform(step, None, last=step.name == final)

    def _for_each(self, step: Step, *, final: bool) -> None:
        able = [symbol for symbol in self._symbols if not self._left_out(step, symbol)]
        pending = [symbol for symbol in able if not self._journal.is_done(step.name, symbol)]
        for symbol in pending:
            self._perform(step, symbol, last=final and symbol == pending[-1])
        present = {symbol for symbol in able if not self._journal.has_failed(step.name, symbol)}
        self._absent[step.name] = set(self._symbols) - present
        if self._symbols and not present:
            self._end(step, None, _none_left(step, able))

    def _left_out(self, step: Step, symbol: str) -> bool:
        return any(symbol in self._absent.get(name, ()) for name in step.inputs)

    def _perform(self, step: Step, symbol: str | None, *, last: bool) -> None:
        self._journal.begin(step, symbol)
        try:
            value = self._call(step, symbol)
        except (Exception, SystemExit) as error:
            failure = classify(error)
        else:
            try:
                self._journal.complete(step, symbol, value, last=last)
                return
            except (OutputRefused, OutputNotStored) as error:
                failure = classify(error)
        if symbol is None or step.on_error is not OnError.COLLECT:
            self._end(step, symbol, failure)
        self._journal.fail(step, symbol, failure)

    def _call(self, step: Step, symbol: str | None) -> Any:
        inputs = {name: self._input(step, name, symbol) for name in step.inputs}
        context = self._context.at(Position(step.name, symbol))
        value = self._journal.call(step, symbol, lambda: step.call(context, symbol, inputs))
        try:
            return step.output_shape().check(value)
        except ValueError as error:
            raise WrongReturn(
                f"Step {step.name!r} returned {type(value).__name__}, not {name_of(step.return_type)}: {error}. "
                "Return what its annotation says, or change that."
            ) from None

    def _input(self, step: Step, name: str, symbol: str | None) -> Any:
        value = self._output_of(self._steps[name], symbol)
        try:
            return step.input_shape(name).check(value)
        except ValueError as error:
            wanted = name_of(step.annotations.get(name, Any))
            raise InputRefused(
                f"Step {step.name!r} wants {name!r} as {wanted}, and step {name!r} gave a {type(value).__name__}: "
                f"{error}. Make the two annotations agree"
                f"{_mind_the_dict(self._steps[name], symbol)}."
            ) from None

    def _output_of(self, source: Step, symbol: str | None) -> Any:
        if source.each is StepScope.RUN:
            return self._journal.value(source.name, None)
        if symbol is not None:
            return self._journal.value(source.name, symbol)
        present = (each for each in self._symbols if each not in self._absent[source.name])
        return {each: self._journal.value(source.name, each) for each in present}

    def _end(self, step: Step, symbol: str | None, failure: Failure) -> None:
        """Record a failure that must not be passed over."""
        self._journal.fail(step, symbol, failure)
        raise RuntimeError(f"The journal went on after step {step.name!r} failed, whose failure nothing collects.")


def _none_left(step: Step, able: Sequence[str]) -> Failure:
    where = "in it" if able else "in the earlier steps whose outputs it takes"
    return Failure(
        type=ALL_SYMBOLS_FAILED,
        message=f"Step {step.name!r} has no symbol left: every one failed {where}. See the error of each symbol.",
        retryable=False,
    )


def _mind_the_dict(source: Step, symbol: str | None) -> str:
    """Point to the usual cause of a mismatch: a run-level step gets a dict of what ran for each symbol."""
    fits = source.each is StepScope.SYMBOL and symbol is None
    return f"; a step that runs once gets {source.name!r} as a dict by symbol" if fits else ""
