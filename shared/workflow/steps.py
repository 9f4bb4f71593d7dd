"""One declared step: its function, its options, and what its signature says about the flow of data."""

import inspect
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from datetime import timedelta
from functools import cached_property
from typing import Any, get_type_hints

from shared.domain.catalogue import OnError, StepDescription, StepEffect, StepKind, StepScope
from shared.workflow.shapes import Shape, ShapeError, shape_of

CONTEXT = "ctx"
SYMBOL = "symbol"
RESERVED = (CONTEXT, SYMBOL, "self", "return")


class DeclarationError(ValueError):
    """A workflow or step that is declared wrongly; the message names it and says what to change."""


@dataclass(frozen=True, kw_only=True)
class Step:
    """One unit of a workflow; `inputs` are the earlier steps whose outputs its parameters are named after.

    `max_retries` None means the workflow's (or the run's) own number, and `first_retry_delay` None the workflow's.
    `timeout` is for one call, None for no limit but the run's. The symbols of a `parallel` step run side by side, and
    so do the steps of one `group`: at most `max_parallel` of them in one run (None for the dispatcher's default), and
    for each key of `limits` at most so many over all runs.
    """

    name: str
    function: Callable[..., Any]
    each: StepScope = StepScope.RUN
    parallel: bool = False
    group: str | None = None
    max_parallel: int | None = None
    limits: Mapping[str, int] = field(default_factory=dict, hash=False)
    on_error: OnError = OnError.FAIL
    effect: StepEffect = StepEffect.NONE
    preemptible: bool = True
    max_retries: int | None = None
    first_retry_delay: timedelta | None = None
    timeout: timedelta | None = None
    inputs: tuple[str, ...] = ()

    @property
    def kind(self) -> StepKind:
        """Return whether the step runs as tasks of its own, beside others, or in its run's task."""
        return StepKind.PARALLEL if self.parallel or self.group is not None else StepKind.SEQUENTIAL

    def describe(self) -> StepDescription:
        """Return the step without its code."""
        return StepDescription(
            name=self.name,
            each=self.each,
            kind=self.kind,
            group=self.group,
            max_parallel=self.max_parallel,
            limits=dict(self.limits),
            inputs=self.inputs,
            on_error=self.on_error,
            effect=self.effect,
            preemptible=self.preemptible,
            max_retries=self.max_retries,
            retry_delay_seconds=self.first_retry_delay.total_seconds() if self.first_retry_delay else None,
            timeout_seconds=self.timeout.total_seconds() if self.timeout is not None else None,
        )

    def call(self, ctx: Any, symbol: str | None, inputs: Mapping[str, Any]) -> Any:
        """Call the function by keyword, with the symbol if it runs for each."""
        if self.each is StepScope.SYMBOL:
            return self.function(ctx=ctx, symbol=symbol, **inputs)
        return self.function(ctx=ctx, **inputs)

    @cached_property
    def annotations(self) -> dict[str, Any]:
        """Return the resolved type hints; raises DeclarationError when one names what cannot be found."""
        try:
            return get_type_hints(self.function, include_extras=True)
        except Exception as error:
            raise DeclarationError(
                f"Step {self.name!r} has a type hint that cannot be resolved: {error}. "
                "Import the type at the top of the file, not under TYPE_CHECKING."
            ) from error

    @property
    def return_type(self) -> Any:
        """Return the annotation of what the step returns; Any if it has none."""
        return self.annotations.get("return", Any)

    def output_shape(self) -> Shape:
        """Return the check on what the step returns; raises DeclarationError for an impossible annotation."""
        return self._shape("return", "its return type")

    def input_shape(self, name: str) -> Shape:
        """Return the check on the parameter `name`; raises DeclarationError for an impossible annotation."""
        return self._shape(name, f"the type of its parameter {name!r}")

    def check(self) -> None:
        """Raise DeclarationError unless every annotation can be resolved and checked."""
        self.output_shape()
        for name in self.inputs:
            self.input_shape(name)

    def _shape(self, key: str, what: str) -> Shape:
        try:
            return shape_of(self.annotations.get(key, Any))
        except ShapeError as error:
            raise DeclarationError(
                f"Step {self.name!r}: {what}, {error}. Use JSON's types, a pydantic model, a dataclass or a "
                "msgspec struct of them, a DataFrame, a Series, or bytes."
            ) from error


def declare(function: Callable[..., Any], earlier: Sequence[Step], **options: Any) -> Step:
    """Return the step that `function` declares after the steps `earlier`; raises DeclarationError."""
    name = _name(function, earlier)
    step = Step(name=name, function=function, **options)
    _check_options(step)
    return _with_inputs(step, [other.name for other in earlier])


def _name(function: Callable[..., Any], earlier: Sequence[Step]) -> str:
    name = getattr(function, "__name__", "")
    if not name.isidentifier() or name in RESERVED:
        raise DeclarationError(f"A step is a function with a name of its own, not {name or function!r}: use def.")
    if any(step.name == name for step in earlier):
        raise DeclarationError(f"Step {name!r} is declared twice in one workflow: rename one of the two functions.")
    if inspect.iscoroutinefunction(function) or inspect.isgeneratorfunction(function):
        raise DeclarationError(
            f"Step {name!r} is async or a generator, which a worker would never run: "
            "write a plain function that returns its value."
        )
    return name


def _check_options(step: Step) -> None:
    if step.on_error is OnError.COLLECT and step.each is not StepScope.SYMBOL:
        raise DeclarationError(
            f'Step {step.name!r}: on_error="collect" collects the errors of single symbols. '
            'Add each="symbol", or leave on_error at "fail".'
        )
    if step.max_retries is not None and step.max_retries < 0:
        raise DeclarationError(f"Step {step.name!r}: max_retries is 0 or more, not {step.max_retries}.")
    _check_duration(step, "first_retry_delay")
    _check_duration(step, "timeout")


def _check_duration(step: Step, option: str) -> None:
    value = getattr(step, option)
    if value is not None and not (isinstance(value, timedelta) and value > timedelta()):
        raise DeclarationError(f"Step {step.name!r}: {option}= takes a timedelta above zero, not {value!r}.")


def _with_inputs(step: Step, earlier: Sequence[str]) -> Step:
    parameters = inspect.signature(step.function).parameters
    _check_parameters(step, parameters)
    inputs = tuple(name for name in parameters if name not in (CONTEXT, SYMBOL))
    for name in inputs:
        if name not in earlier:
            known = f"Declared before it: {', '.join(earlier)}." if earlier else "It is the first step."
            raise DeclarationError(
                f"Step {step.name!r} has a parameter {name!r}, and no step of that name is declared before it. {known} "
                f"Name the parameter after an earlier step, move {name!r} above {step.name!r}, or take a setting "
                "from ctx.parameters."
            )
    return replace(step, inputs=inputs)


def _check_parameters(step: Step, parameters: Mapping[str, inspect.Parameter]) -> None:
    for parameter in parameters.values():
        if parameter.kind not in (parameter.POSITIONAL_OR_KEYWORD, parameter.KEYWORD_ONLY):
            raise DeclarationError(
                f"Step {step.name!r}: the parameter {parameter} cannot be filled by name. "
                "Write out each input as a parameter of its own, named after an earlier step."
            )
    if CONTEXT not in parameters:
        raise DeclarationError(f"Step {step.name!r} has no ctx: write def {step.name}(ctx: Context, ...).")
    if step.each is StepScope.SYMBOL and SYMBOL not in parameters:
        raise DeclarationError(
            f"Step {step.name!r} runs for each symbol and does not take it: "
            f"write def {step.name}(ctx: Context, symbol: str, ...)."
        )
    if step.each is StepScope.RUN and SYMBOL in parameters:
        raise DeclarationError(
            f"Step {step.name!r} takes a symbol and runs once a run: "
            'declare it with @workflow.step(each="symbol"), or use ctx.symbols.'
        )
