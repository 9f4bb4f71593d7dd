"""Traces: one provider a process, and W3C trace contexts that travel with events and messages."""

from collections.abc import Iterator
from contextlib import contextmanager

from opentelemetry import trace
from opentelemetry.context import Context
from opentelemetry.sdk.resources import SERVICE_NAME, Resource
from opentelemetry.sdk.trace import TracerProvider
from opentelemetry.trace import Span, SpanKind
from opentelemetry.trace.propagation.tracecontext import TraceContextTextMapPropagator

_propagator = TraceContextTextMapPropagator()


def configure_tracing(service: str) -> None:
    """Install a provider for this process; call it after a fork, not before."""
    trace.set_tracer_provider(TracerProvider(resource=Resource.create({SERVICE_NAME: service})))


def current_traceparent() -> str | None:
    """Return the W3C traceparent of the active span, None outside of any."""
    carrier: dict[str, str] = {}
    _propagator.inject(carrier)
    return carrier.get("traceparent")


def context_of(traceparent: str | None) -> Context | None:
    """Return the context that `traceparent` names; None starts a new trace."""
    return _propagator.extract({"traceparent": traceparent}) if traceparent else None


@contextmanager
def span(name: str, *, parent: str | None = None, kind: SpanKind = SpanKind.INTERNAL) -> Iterator[Span]:
    """Run a block in a span, a child of `parent` (a traceparent) or of the active span."""
    tracer = trace.get_tracer("blotter")
    with tracer.start_as_current_span(name, context=context_of(parent), kind=kind) as active:
        yield active
