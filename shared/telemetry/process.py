"""The telemetry of one process: set up in it, after a fork and never before, and written out when it ends."""

import atexit
import logging
import os
import threading
from dataclasses import dataclass
from datetime import timedelta

from opentelemetry import trace
from opentelemetry.context import Context
from opentelemetry.sdk.resources import SERVICE_NAME, Resource
from opentelemetry.sdk.trace import ReadableSpan, Span, SpanProcessor, TracerProvider
from opentelemetry.sdk.trace.sampling import ParentBased, TraceIdRatioBased

from shared.telemetry.lines import TaskLines
from shared.telemetry.masking import masker
from shared.telemetry.outbox import Outbox, Store
from shared.telemetry.records import is_kept
from shared.telemetry.store import SqlStore
from shared.telemetry.tracing import TASK_ID

LAST_FLUSH = timedelta(seconds=1)
"""How long the end of a process is held up for what it has not written yet."""
OTLP_ENDPOINTS = ("OTEL_EXPORTER_OTLP_ENDPOINT", "OTEL_EXPORTER_OTLP_TRACES_ENDPOINT")
OTLP_TIMEOUT_SECONDS = 5

_outboxes: list[Outbox] = []


@dataclass(frozen=True, kw_only=True)
class TelemetryOptions:
    """What is kept: spans of which part of the traces, and whether in the store; the store's database."""

    database_url: str
    sample_ratio: float = 1.0
    is_kept: bool = True


class Keeping(SpanProcessor):
    """Gives the spans of tasks to an outbox; a span has the task of the one that it is in."""

    def __init__(self, outbox: Outbox) -> None:
        self._outbox = outbox

    def on_start(self, span: Span, parent_context: Context | None = None) -> None:
        """Let a span inherit its parent's task."""
        parent = trace.get_current_span(parent_context)
        inherited = (parent.attributes or {}).get(TASK_ID) if isinstance(parent, ReadableSpan) else None
        if inherited is not None and TASK_ID not in (span.attributes or {}):
            span.set_attribute(TASK_ID, inherited)

    def on_end(self, span: ReadableSpan) -> None:
        """Take a span that tells of a task."""
        if is_kept(span):
            self._outbox.add_span(span)


def configure_telemetry(service: str, options: TelemetryOptions, *, store: Store | None = None) -> None:
    """Install a provider for this process, and have its spans and the log lines of tasks kept.

    Call it once, after `configure_logging`, and after a fork, not before. With OTEL_EXPORTER_OTLP_ENDPOINT set (or the
    one for traces) all spans go there too, over HTTP, by the variables of the OpenTelemetry specification.
    """
    sampler = ParentBased(TraceIdRatioBased(options.sample_ratio))
    resource = Resource.create({SERVICE_NAME: service})
    provider = TracerProvider(resource=resource, sampler=sampler, shutdown_on_exit=False)
    if options.is_kept:
        outbox = Outbox(store or SqlStore(options.database_url), service, masker())
        outbox.start()
        _outboxes.append(outbox)
        provider.add_span_processor(Keeping(outbox))
        logging.getLogger().addHandler(TaskLines(outbox))
    if any(os.environ.get(name) for name in OTLP_ENDPOINTS):
        provider.add_span_processor(_exporting())
    trace.set_tracer_provider(provider)
    atexit.register(flush_telemetry)


def flush_telemetry() -> None:
    """Write what waits, and end; who does not answer, store or collector, holds the process up for a second at most."""
    provider = trace.get_tracer_provider()
    exports = threading.Thread(target=_flush, args=(provider,), daemon=True)
    exports.start()
    while _outboxes:
        _outboxes.pop().stop(LAST_FLUSH)
    exports.join(LAST_FLUSH.total_seconds())


def _flush(provider: trace.TracerProvider) -> None:
    if isinstance(provider, TracerProvider):
        provider.force_flush()


def _exporting() -> SpanProcessor:
    """Return a processor that exports in batches, in a thread of its own, what fits into its queue."""
    from opentelemetry.exporter.otlp.proto.http.trace_exporter import OTLPSpanExporter
    from opentelemetry.sdk.trace.export import BatchSpanProcessor

    return BatchSpanProcessor(OTLPSpanExporter(timeout=OTLP_TIMEOUT_SECONDS))
