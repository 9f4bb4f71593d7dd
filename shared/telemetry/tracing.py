"""Spans, and W3C trace contexts that travel with events and messages."""

from collections.abc import Iterator, Mapping, Sequence
from contextlib import AbstractContextManager, contextmanager
from uuid import UUID

from opentelemetry import trace
from opentelemetry.context import Context
from opentelemetry.trace import Span, SpanKind
from opentelemetry.trace.propagation.tracecontext import TraceContextTextMapPropagator
from opentelemetry.util.types import AttributeValue

TASK_ID = "blotter.task_id"
"""The attribute by which a span is its task's; spans within it inherit it."""
TASKS = "blotter.tasks"
"""The attribute of a span that is about several tasks, and belongs to each one whose trace it is in."""

Attributes = Mapping[str, AttributeValue]

_tracer = trace.get_tracer("blotter")
"""Bound to the process's provider when there is one; to look for it each time costs a fifth of a span."""
_propagator = TraceContextTextMapPropagator()


def current_traceparent() -> str | None:
    """Return the W3C traceparent of the active span, None outside of any."""
    return traceparent_of(trace.get_current_span())


def context_of(traceparent: str | None) -> Context | None:
    """Return the context that `traceparent` names; None starts a new trace."""
    return _propagator.extract({"traceparent": traceparent}) if traceparent else None


def span(
    name: str, *, parent: str | None = None, kind: SpanKind = SpanKind.INTERNAL, attributes: Attributes | None = None
) -> AbstractContextManager[Span]:
    """Return a context that runs a block in a span, a child of `parent` (a traceparent) or of the active span."""
    return _tracer.start_as_current_span(name, context=context_of(parent), kind=kind, attributes=attributes)


@contextmanager
def spans(
    name: str, parents: Sequence[tuple[str | None, Attributes]], *, kind: SpanKind
) -> Iterator[Sequence[str | None]]:
    """Run a block in one span for each of `parents`, with attributes of its own; yields the spans' traceparents.

    Where there is no parent there is no span; none of them is the active one.
    """
    made = [
        _tracer.start_span(name, context=context_of(parent), kind=kind, attributes=own) if parent else None
        for parent, own in parents
    ]
    try:
        yield [traceparent_of(each) if each else None for each in made]
    finally:
        for each in made:
            if each is not None:
                each.end()


def record_span(name: str, *, parent: str, attributes: Attributes, began_at: int) -> None:
    """Record what began at `began_at`, in nanoseconds since 1970, and ends now, as a child of `parent`."""
    _tracer.start_span(name, context=context_of(parent), attributes=attributes, start_time=began_at).end()


def link_to(traceparents: Sequence[str | None], reason: str) -> None:
    """Link the active span to others by their traceparents, those that are None left out."""
    active = trace.get_current_span()
    for traceparent in traceparents:
        context = trace.get_current_span(context_of(traceparent)).get_span_context() if traceparent else None
        if context is not None and context.is_valid:
            active.add_link(context, {"blotter.reason": reason})


def note_tasks(task_ids: Sequence[UUID]) -> None:
    """Say which tasks the active span is about: it is kept as a span of the one, or as one that several share."""
    active = trace.get_current_span()
    if len(task_ids) == 1:
        active.set_attribute(TASK_ID, str(task_ids[0]))
    elif task_ids:
        active.set_attribute(TASKS, len(task_ids))


def traceparent_of(active: Span) -> str | None:
    """Return the W3C traceparent of a span, None of one that is no part of a trace."""
    context = active.get_span_context()
    return f"00-{context.trace_id:032x}-{context.span_id:016x}-{context.trace_flags:02x}" if context.is_valid else None
