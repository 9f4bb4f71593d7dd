"""The options of `@workflow.step` as authors write them: which there are, and what each may be."""

from collections.abc import Iterable
from typing import Any, TypeVar

from shared.domain.catalogue import OnError, StepEffect, StepScope
from shared.workflow.steps import DeclarationError

Choice = TypeVar("Choice", StepEffect, StepScope, OnError)

KNOWN = (
    "each, parallel, group, max_parallel, limits, on_error, effect, preemptible, max_retries, first_retry_delay or "
    "timeout"
)


def refuse_unknown(where: str, options: Iterable[str]) -> None:
    """Raise DeclarationError for an option that there is not."""
    for name in options:
        raise DeclarationError(f"{where}: there is no option {name}=. Use {KNOWN}.")


def may_be_preempted(where: str, effect: str | None, wanted: bool | None) -> bool:
    """Return whether a step may be preempted: unless its author says no, or it trades."""
    if effect == StepEffect.ORDERS and wanted:
        raise DeclarationError(f'{where}: a step with effect="orders" is never preempted; leave out preemptible=.')
    return effect != StepEffect.ORDERS and wanted is not False


def choice(where: str, kind: type[Choice], option: str, value: Any) -> Choice:
    """Return the member of `kind` that an author wrote as a word."""
    try:
        return kind(value)
    except ValueError:
        choices = " or ".join(f'"{member}"' for member in kind)
        raise DeclarationError(f"{where}: {option}= is {choices}, not {value!r}.") from None
