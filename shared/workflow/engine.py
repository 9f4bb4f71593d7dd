"""The loop over steps and symbols, the same in the executor and in `shared.testing`.

Steps run as declared, and the symbols of an `each="symbol"` step in the order in which they were submitted. Nothing is
kept here: a journal says what is done, gives the outputs back, and records what happens, so that a run goes on from any
state of it. What is to run side by side (a stage of `shared.workflow.stages`) is given to the journal, which has each
member run as a task of its own (`run_member`), or lets the loop go on to run them here.

Three rules follow from collected failures (`on_error="collect"`):

- a symbol that failed in one step has no output there, and is left out of every later `each="symbol"` step that takes
  this output, directly or by way of another step; steps that do not take it still run for the symbol;
- a step that runs once a run gets a dict without the symbols that failed or were left out;
- if no symbol is left, the step fails with `all_symbols_failed`, recorded with the symbol None.
"""

from collections.abc import Callable, Sequence
from typing import Any, NamedTuple, Protocol

from shared.domain.catalogue import OnError, StepKind, StepScope
from shared.domain.failures import Failure
from shared.workflow.classification import classify
from shared.workflow.codec import OutputNotStored, OutputRefused
from shared.workflow.context import Context, Position
from shared.workflow.errors import PermanentError
from shared.workflow.shapes import name_of
from shared.workflow.stages import stages
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


class Member(NamedTuple):
    """One position of a stage: a step, and a symbol where it runs for each."""

    step: Step
    symbol: str | None


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

    def fork(self, members: Sequence[Member]) -> None:
        """Have the members of a stage, which are not done yet, run side by side.

        Raises Stopped when they run elsewhere: the engine is called again when all have ended. It returns when they
        are to run here, one after the other.
        """
        ...


def run_steps(workflow: Workflow, symbols: Sequence[str], context: Context[Any], journal: Journal) -> None:
    """Run what `journal` does not call done, and return when all of it is.

    An Exception in a step, or its sys.exit(), becomes a Failure for `journal.fail`; any other BaseException passes
    through, and so does whatever the journal raises from `begin`, `fail` and `complete` (OutputRefused and
    OutputNotStored apart).
    """
    _Run(workflow, symbols, context, journal).go()


def run_member(
    workflow: Workflow,
    symbols: Sequence[str],
    context: Context[Any],
    journal: Journal,
    step_name: str,
    symbol: str | None,
) -> None:
    """Run one member of a stage, in a task of its own; `journal` knows all earlier steps to be done.

    `symbols` are all of the run's. Nothing happens if the member is done; what passes through is as in `run_steps`.
    """
    if not journal.is_done(step_name, symbol):
        _Run(workflow, symbols, context, journal).member(step_name, symbol)


class _Run:
    """One pass over a workflow. `absent` holds, for earlier steps that run for each symbol, those without an output."""

    def __init__(self, workflow: Workflow, symbols: Sequence[str], context: Context[Any], journal: Journal) -> None:
        self._steps = {step.name: step for step in workflow.steps}
        self._symbols = tuple(symbols)
        self._context = context
        self._journal = journal
        self._absent: dict[str, frozenset[str]] = {}

    def go(self) -> None:
        """Run the stages in their order."""
        final = next(reversed(self._steps), None)
        for stage in stages(tuple(self._steps.values())):
            pending = [Member(step, symbol) for step in stage for symbol in self._pending(step)]
            if pending and stage[0].kind is StepKind.PARALLEL:
                self._journal.fork(pending)
            for number, (step, symbol) in enumerate(pending, start=1):
                self._perform(step, symbol, last=step.name == final and number == len(pending))
            for step in stage:
                self._require_symbols(step)

    def member(self, name: str, symbol: str | None) -> None:
        """Run one position."""
        self._perform(self._steps[name], symbol, last=False)

    def _pending(self, step: Step) -> list[str | None]:
        symbols = self._able(step) if step.each is StepScope.SYMBOL else [None]
        return [symbol for symbol in symbols if not self._journal.is_done(step.name, symbol)]

    def _able(self, step: Step) -> Sequence[str]:
        """Return the symbols that have all inputs of the step."""
        left_out = frozenset[str]().union(*(self._absent_in(self._steps[name]) for name in step.inputs))
        return [symbol for symbol in self._symbols if symbol not in left_out]

    def _absent_in(self, step: Step) -> frozenset[str]:
        """Return the symbols of which a step has no output; every position of the step is done."""
        if step.each is StepScope.RUN:
            return frozenset()
        if step.name not in self._absent:
            present = {symbol for symbol in self._able(step) if not self._journal.has_failed(step.name, symbol)}
            self._absent[step.name] = frozenset(self._symbols) - present
        return self._absent[step.name]

    def _require_symbols(self, step: Step) -> None:
        if self._symbols and len(self._absent_in(step)) == len(set(self._symbols)):
            self._end(step, None, _none_left(step, self._able(step)))

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
        side_by_side = step.kind is StepKind.PARALLEL
        context = self._context.at(Position(step.name, symbol), side_by_side=side_by_side)
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
        absent = self._absent_in(source)
        present = (each for each in self._symbols if each not in absent)
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
