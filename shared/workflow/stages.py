"""The stages of a workflow: steps that run one by one, and those that run side by side, as tasks of their own.

A parallel step is a stage, and so are all neighbouring steps of one group, and each other step by itself. A run goes
on to the next stage when all of one has ended.
"""

import re
from collections.abc import Iterator, Mapping, Sequence
from itertools import groupby
from typing import Any

from shared.domain.catalogue import StepEffect, StepKind, StepScope
from shared.workflow.steps import DeclarationError, Step

LONGEST_LIMIT_KEY = 100

_GROUP = re.compile(r"[a-z0-9][a-z0-9_-]{0,49}")


def stages(steps: Sequence[Step]) -> Iterator[tuple[Step, ...]]:
    """Yield the stages in the order in which they run."""
    for _, stage in groupby(steps, key=lambda step: (step.group, None if step.group else step.name)):
        yield tuple(stage)


def check_stage(step: Step, earlier: Sequence[Step]) -> None:
    """Raise DeclarationError unless `step`, declared after `earlier`, can run beside what it is to run beside."""
    if not isinstance(step.parallel, bool):
        raise DeclarationError(f"Step {step.name!r}: parallel= is True or False, not {step.parallel!r}.")
    if step.parallel:
        _check_parallel(step)
    if step.group is not None:
        _check_group(step, earlier)
    if step.kind is StepKind.PARALLEL and step.effect is StepEffect.ORDERS:
        raise DeclarationError(
            f"Step {step.name!r}: orders are placed one after the other, never side by side. Leave out parallel= and "
            'group=, or let this step return decisions and a later one with effect="orders" place them.'
        )
    _check_max_parallel(step)
    check_limits(f"Step {step.name!r}", step.limits)
    if step.limits and step.kind is StepKind.SEQUENTIAL:
        raise DeclarationError(
            f"Step {step.name!r}: limits= holds for tasks, and a sequential step shares its run's task. Say it for "
            "all of the run with Workflow(limits=...), or give the step a group of its own."
        )


def check_limits(where: str, limits: Any) -> None:
    """Raise DeclarationError unless `limits` maps keys that people can read to numbers of tasks."""
    if not isinstance(limits, Mapping):
        raise DeclarationError(f'{where}: limits= takes a dict such as {{"venue:alpaca": 5}}, not {limits!r}.')
    for key, most in limits.items():
        if not isinstance(key, str) or not key.strip() or not key.isprintable() or len(key) > LONGEST_LIMIT_KEY:
            raise DeclarationError(
                f"{where}: a key of limits= has 1 to {LONGEST_LIMIT_KEY} printable characters, such as "
                f"venue:alpaca, and {key!r} does not."
            )
        if not _is_count(most):
            raise DeclarationError(f"{where}: limits= allows 1 task or more at once for {key!r}, not {most!r}.")


def _check_parallel(step: Step) -> None:
    if step.group is not None:
        raise DeclarationError(
            f"Step {step.name!r}: parallel= runs the symbols of one step side by side, and group= several steps. "
            "Use one of the two."
        )
    if step.each is not StepScope.SYMBOL:
        raise DeclarationError(
            f"Step {step.name!r}: parallel=True runs a step's symbols side by side, and it runs once a run. "
            'Add each="symbol", or put it beside other steps with group="...".'
        )


def _check_group(step: Step, earlier: Sequence[Step]) -> None:
    if not isinstance(step.group, str) or not _GROUP.fullmatch(step.group):
        raise DeclarationError(
            f"Step {step.name!r}: group= has 1 to 50 lower-case letters, digits, dashes and underscores, such as "
            f"charts, and not {step.group!r}."
        )
    if step.each is not StepScope.RUN:
        raise DeclarationError(
            f"Step {step.name!r}: group= is for steps that run once a run. Use parallel=True to run the symbols of a "
            "step side by side."
        )
    beside = [other.name for other in earlier if other.group == step.group]
    if beside and earlier[-1].group != step.group:
        raise DeclarationError(
            f"Step {step.name!r}: the steps of group {step.group!r} are to be neighbours, and {earlier[-1].name!r} "
            f"stands between it and {beside[-1]!r}. Move {step.name!r} up to them, or give it another group."
        )
    for name in step.inputs:
        if name in beside:
            raise DeclarationError(
                f"Step {step.name!r} takes the output of {name!r}, and both run at the same time in group "
                f"{step.group!r}. Give {step.name!r} another group, or none, so that it runs after."
            )


def _check_max_parallel(step: Step) -> None:
    if step.max_parallel is None:
        return
    if not _is_count(step.max_parallel):
        raise DeclarationError(f"Step {step.name!r}: max_parallel= is 1 or more, not {step.max_parallel!r}.")
    if step.kind is StepKind.SEQUENTIAL:
        raise DeclarationError(
            f"Step {step.name!r}: max_parallel= says how many tasks of a stage are at work at once, and this step is "
            "none. Add parallel=True or group=, or leave it out."
        )


def _is_count(value: Any) -> bool:
    return isinstance(value, int) and not isinstance(value, bool) and value >= 1
