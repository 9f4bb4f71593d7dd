"""Which decisions and orders a run arrived at, found in the outputs of its steps."""

import dataclasses
from collections.abc import Iterable, Iterator
from typing import Any, TypeVar, get_type_hints

import msgspec
from pydantic import BaseModel

from shared.workflow.fidelity import members
from shared.workflow.orders import Decision, Order
from shared.workflow.shapes import parts
from shared.workflow.steps import Step
from shared.workflow.workflow import Workflow

Kind = TypeVar("Kind", Decision, Order)


def final_steps(workflow: Workflow, kind: type[Kind]) -> tuple[Step, ...]:
    """Return the steps whose return type bears `kind`, without those that a later one builds on.

    Where a step sizes or filters the decisions of an earlier one, the later decisions stand. Entries and exits that two
    steps decide apart from each other both stand. It goes by annotations, so that a filter that drops all counts too.
    """
    bearing = [step for step in workflow.steps if _bears(step.return_type, kind, set())]
    superseded: set[str] = set()
    for step in bearing:
        superseded |= _ancestors(workflow, step)
    return tuple(step for step in bearing if step.name not in superseded)


def collect_decisions(values: Iterable[Any]) -> list[Decision]:
    """Return every Decision inside `values` (outputs of `final_steps`), in order, at any depth."""
    return [found for value in values for found in _find(value, Decision)]


def collect_orders(values: Iterable[Any]) -> list[Order]:
    """Return every Order inside `values`, in order, at any depth."""
    return [found for value in values for found in _find(value, Order)]


def _ancestors(workflow: Workflow, step: Step) -> set[str]:
    inputs = {each.name: each.inputs for each in workflow.steps}
    found: set[str] = set()
    waiting = list(step.inputs)
    while waiting:
        name = waiting.pop()
        if name not in found:
            found.add(name)
            waiting.extend(inputs[name])
    return found


def _bears(annotation: Any, kind: type[Any], seen: set[Any]) -> bool:
    """Tell whether values of this annotation may have a `kind` inside; models and dataclasses are looked into."""
    for part in parts(annotation):
        if not isinstance(part, type) or part in seen:
            continue
        seen.add(part)
        if issubclass(part, kind) or any(_bears(field, kind, seen) for field in _fields(part)):
            return True
    return False


def _fields(kind: type[Any]) -> Iterable[Any]:
    """Return the annotations of the fields of a record, none for any other type."""
    if issubclass(kind, BaseModel):
        return [field.annotation for field in kind.model_fields.values()]
    if issubclass(kind, msgspec.Struct) or dataclasses.is_dataclass(kind):
        return get_type_hints(kind).values()
    return ()


def _find(value: Any, kind: type[Kind]) -> Iterator[Kind]:
    if isinstance(value, kind):
        yield value
    else:
        for _, member in members(value):
            yield from _find(member, kind)
