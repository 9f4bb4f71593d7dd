"""A workflow as its author declares it: a name, parameters, and steps in the order in which they run."""

import hashlib
import re
from collections.abc import Callable, Mapping
from datetime import timedelta
from typing import Any, Literal, TypeVar, overload

import msgspec
from pydantic import BaseModel

from shared.domain.catalogue import OnError, StepEffect, StepScope, StrategyDescription
from shared.domain.failures import FIRST_RETRY_DELAY
from shared.workflow import parameters as parameter_models
from shared.workflow.options import choice, may_be_preempted, refuse_unknown
from shared.workflow.outlines import essence
from shared.workflow.stages import check_limits, check_stage
from shared.workflow.steps import DeclarationError, Step, declare

Function = TypeVar("Function", bound=Callable[..., Any])

_NAME = re.compile(r"[a-z0-9]([a-z0-9._-]{0,98}[a-z0-9])?")


class Workflow:
    """A strategy: declare it in a module, and its steps with `@workflow.step`.

    `name` is the strategy id, lower case letters, digits and `. _ -`, unique among all that are loaded. `timeout`
    is a run's whole time at work, `max_retries` the retries of each step and symbol, after `first_retry_delay`
    and twice as long each time, less a random share of up to `retry_jitter` (0..1), so that many runs do not come back
    at once. `retired` keeps an old definition in the code beside the new one (or alone): it takes no new runs, and the
    unfinished ones that are pinned to its `definition_hash` go on with it. For each key of `limits` at most so many
    of its tasks and others' under the same key are at work at once: of runs, and of what these run side by side.
    Raises DeclarationError for what cannot be.
    """

    def __init__(
        self,
        name: str,
        *,
        title: str,
        description: str = "",
        parameters: type[BaseModel] | None = None,
        timeout: timedelta = timedelta(hours=1),
        max_retries: int = 3,
        first_retry_delay: timedelta = FIRST_RETRY_DELAY,
        retry_jitter: float = 0.0,
        retired: bool = False,
        limits: Mapping[str, int] | None = None,
    ) -> None:
        self.name = name
        self.title = title
        self.description = description
        self.parameters = parameters or parameter_models.NoParameters
        self.timeout = timeout
        self.max_retries = max_retries
        self.first_retry_delay = first_retry_delay
        self.retry_jitter = retry_jitter
        self.retired = retired
        self.limits = {} if limits is None else limits
        self._steps: tuple[Step, ...] = ()
        self._definition_hash: str | None = None
        self._check_declaration()

    def __repr__(self) -> str:
        retired = ", retired=True" if self.retired else ""
        return f"Workflow({self.name!r}, steps={[step.name for step in self._steps]}{retired})"

    @property
    def steps(self) -> tuple[Step, ...]:
        """Return the steps in the order in which they run."""
        return self._steps

    @overload
    def step(self, function: Function, /) -> Function: ...

    @overload
    def step(
        self,
        function: None = None,
        /,
        *,
        each: Literal["run", "symbol"] = "run",
        parallel: bool = False,
        group: str | None = None,
        max_parallel: int | None = None,
        limits: Mapping[str, int] | None = None,
        on_error: Literal["fail", "collect"] = "fail",
        effect: Literal["orders"] | None = None,
        preemptible: bool | None = None,
        max_retries: int | None = None,
        first_retry_delay: timedelta | None = None,
        timeout: timedelta | None = None,
    ) -> Callable[[Function], Function]: ...

    def step(
        self,
        function: Any = None,
        /,
        *,
        each: str = "run",
        parallel: bool = False,
        group: str | None = None,
        max_parallel: int | None = None,
        limits: Mapping[str, int] | None = None,
        on_error: str = "fail",
        effect: str | None = None,
        preemptible: bool | None = None,
        max_retries: int | None = None,
        first_retry_delay: timedelta | None = None,
        timeout: timedelta | None = None,
        **unknown: Any,
    ) -> Any:
        """Declare a step; the function itself stays as it is, to be called in tests.

        `each="symbol"` runs it for one symbol after the other, and with `parallel=True` for all of them side by side,
        each as a task of its own. Neighbouring steps of one `group`, which run once a run, run side by side as well.
        At most `max_parallel` of these tasks are at work at once in one run, and for each key of `limits` at most so
        many over all runs. The next step starts when all of them have ended.

        `on_error="collect"` (with `each="symbol"` only) keeps a symbol's error and goes on with the others.
        `effect="orders"` marks the steps that trade; they are never preempted, nor run side by side, and a step with
        `preemptible=False` is not preempted either. `timeout` is for one call of the function: after it the step fails,
        and is tried again. Raises DeclarationError with a sentence that names the step and the fix.
        """

        def declared(function: Any) -> Any:
            where = f"Step {getattr(function, '__name__', function)!r}"
            refuse_unknown(where, unknown)
            return self._declare(
                function,
                each=choice(where, StepScope, "each", each),
                parallel=parallel,
                group=group,
                max_parallel=max_parallel,
                limits={} if limits is None else limits,
                on_error=choice(where, OnError, "on_error", on_error),
                effect=choice(where, StepEffect, "effect", effect or StepEffect.NONE),
                preemptible=may_be_preempted(where, effect, preemptible),
                max_retries=max_retries,
                first_retry_delay=first_retry_delay,
                timeout=timeout,
            )

        return declared if function is None else declared(function)

    def check(self) -> None:
        """Raise DeclarationError unless the workflow can run: it has steps, and their types can be checked."""
        if not self._steps:
            raise DeclarationError(
                f"Workflow {self.name!r} has no steps: put @workflow.step above the functions that it runs."
            )
        for step in self._steps:
            step.check()

    def parse(self, values: Mapping[str, Any]) -> BaseModel:
        """Return a run's parameters as the model; raises InvalidInput with each field that is wrong."""
        return parameter_models.parse(self.parameters, values)

    def describe(self) -> StrategyDescription:
        """Return everything that others may know of this workflow; raises DeclarationError."""
        self.check()
        return StrategyDescription(
            strategy_id=self.name,
            title=self.title,
            description=self.description,
            steps=tuple(step.describe() for step in self._steps),
            parameters_schema=parameter_models.schema(self.parameters),
            parameters_default=parameter_models.defaults(self.parameters),
            definition_hash=self.definition_hash,
            max_retries=self.max_retries,
            timeout_seconds=self.timeout.total_seconds(),
            retry_delay_seconds=self.first_retry_delay.total_seconds(),
            retry_jitter=float(self.retry_jitter),
            limits=dict(self.limits),
        )

    @property
    def definition_hash(self) -> str:
        """Return the SHA-256 (hex) of what must not change under a running run.

        That is:

        - the workflow's name;
        - each step's name, `each`, `on_error`, `effect`, the names of its inputs, and the outline of its return type,
          by which its output is read back; and the order of the steps;
        - the parameters' JSON Schema without its titles, descriptions and examples: names, types, ranges, defaults. A
          parameter that is added counts as well, though it has a default.

        All else may change under a run: the code of steps and of validators, titles and descriptions, the types of a
        step's inputs, `preemptible`. Which steps run side by side, and how many at once, may change too (`parallel`,
        `group`, `max_parallel`, `limits`): the same steps and symbols are done, and they take and return the same.
        Retries, their delay and the timeout are pinned to each run apart, and so is `max_retries` of a step. `retired`
        is not a part of it, so that an old definition keeps its hash.
        """
        if self._definition_hash is None:
            self._definition_hash = self._hash()
        return self._definition_hash

    def _hash(self) -> str:
        steps = [
            {
                "name": step.name,
                "each": step.each,
                "inputs": sorted(step.inputs),
                "effect": step.effect,
                "on_error": step.on_error,
                "returns": essence(step.output_shape().outline()),
            }
            for step in self._steps
        ]
        schema = essence(parameter_models.schema(self.parameters))
        definition = {"name": self.name, "steps": steps, "parameters": schema}
        return hashlib.sha256(msgspec.json.encode(definition, order="sorted")).hexdigest()

    def _declare(self, function: Any, **options: Any) -> Any:
        if not callable(function):
            raise DeclarationError(
                f"Workflow {self.name!r}: @workflow.step takes a function, not {function!r}; options go by keyword."
            )
        step = declare(function, self._steps, **options)
        check_stage(step, self._steps)
        self._steps += (step,)
        self._definition_hash = None
        return function

    def _check_declaration(self) -> None:
        where = f"Workflow {self.name!r}"
        if not isinstance(self.name, str) or not _NAME.fullmatch(self.name):
            raise DeclarationError(
                f"{where}: a name has 1 to 100 lower-case letters, digits, dots, dashes and underscores, "
                "such as mean-reversion."
            )
        if not self.title:
            raise DeclarationError(f"{where} needs a title that people can read.")
        if not (isinstance(self.parameters, type) and issubclass(self.parameters, BaseModel)):
            raise DeclarationError(f"{where}: parameters= takes a pydantic model class, not {self.parameters!r}.")
        for option in ("timeout", "first_retry_delay"):
            value = getattr(self, option)
            if not isinstance(value, timedelta) or value <= timedelta(0):
                raise DeclarationError(f"{where}: {option}= takes a timedelta above zero, not {value!r}.")
        if self.max_retries < 0:
            raise DeclarationError(f"{where}: max_retries= is 0 or more, not {self.max_retries}.")
        if not 0 <= self.retry_jitter <= 1:
            raise DeclarationError(f"{where}: retry_jitter= is a share from 0 to 1, not {self.retry_jitter!r}.")
        check_limits(where, self.limits)
