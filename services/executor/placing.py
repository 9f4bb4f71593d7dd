"""Placing orders at most once: in the log before they leave, and never sent again on a guess."""

import json
from collections.abc import Callable
from hashlib import sha256
from typing import NoReturn
from uuid import UUID

import structlog

from services.executor.attempt import Attempt
from shared.domain.execution_events import OrderOutcome, RequestedOrder
from shared.domain.execution_records import OrderRecord
from shared.domain.failures import NEEDS_ATTENTION, Failure
from shared.domain.orders import OrderState
from shared.telemetry import span
from shared.trading.broker import (
    Broker,
    OrderAmbiguous,
    OrderRejected,
    OrderReport,
    OrderRequest,
    VenueUnavailable,
    plain,
)
from shared.workflow.context import Position
from shared.workflow.orders import Decision, Order

logger = structlog.get_logger()


def client_order_id(task_id: UUID, position: Position, mark: int | str) -> str:
    """Return the id under which a venue knows an order: the task's, and 16 hex digits of what tells it apart.

    `mark` is the ordinal of the call within its step and symbol, or the author's own key.
    """
    apart = json.dumps([position.step, position.symbol, mark]).encode()
    return f"{task_id}-{sha256(apart).hexdigest()[:16]}"


class LedgerPlacer:
    """What `ctx.broker` is in a worker: one position's way to the venue, by way of the log."""

    def __init__(self, attempt: Attempt, broker: Callable[[], Broker], position: Position) -> None:
        self._attempt = attempt
        self._open_broker = broker
        self._position = position
        self._ordinal = 0

    def place(self, decision: Decision, key: str | None = None) -> Order:
        """Place `decision` once and return what became of it; an order that the venue refused is `rejected`.

        Raises VenueUnavailable when it was not sent and may be later. When nobody but a person can tell what became
        of it, the run ends there.
        """
        with self._attempt.interruption.masked(), span("order.place") as active:
            order = self._place(decision, key)
            active.set_attribute("blotter.client_order_id", order.client_order_id)
            active.set_attribute("blotter.order_state", str(order.state))
            return order

    def _place(self, decision: Decision, key: str | None) -> Order:
        if key is None:
            self._ordinal += 1
        order_id = client_order_id(self._attempt.execution.id, self._position, key or self._ordinal)
        request = decision.request(order_id)
        known = self._attempt.execution.orders.get(order_id)
        if known is None:
            return self._place_new(request)
        if known.order != _requested(request):
            self._stop(
                f"Order {order_id} was requested as {known.order} and now as {_requested(request)}. The step decided "
                "otherwise when it ran again; place(d, key=...) keeps orders apart whose sequence may change."
            )
        return self._resume(known, request)

    def _place_new(self, request: OrderRequest) -> Order:
        self._attempt.check_deadline()
        self._attempt.append_unless_cancelled(
            lambda run, stamp: run.request_order(
                stamp,
                attempt=self._attempt.number,
                client_order_id=request.client_order_id,
                step=self._position.step,
                symbol=self._position.symbol,
                order=_requested(request),
            )
        )
        return self._send(request)

    def _resume(self, known: OrderRecord, request: OrderRequest) -> Order:
        """Go on with an order of an earlier attempt: what has an outcome keeps it, the others are asked for."""
        if known.state is OrderState.REJECTED:
            return self._rejected(request, known.reason or "")
        if known.outcome is not None:
            return _order(request, known.outcome)
        return self._find_or_send(request, "An earlier attempt ended while it was on its way")

    def _send(self, request: OrderRequest) -> Order:
        try:
            report = self._open_broker().submit(request)
        except OrderRejected as rejection:
            return self._reject(request, str(rejection))
        except OrderAmbiguous as doubt:
            reason = str(doubt)
            self._attempt.append(
                lambda run, stamp: run.doubt_order(
                    stamp, attempt=self._attempt.number, client_order_id=request.client_order_id, reason=reason
                )
            )
            return self._find_or_send(request, reason)
        return self._settle(request, report)

    def _find_or_send(self, request: OrderRequest, reason: str) -> Order:
        """Ask the venue for an order that may have arrived. "Not found" is no proof that it will not arrive yet:
        it is sent again only where the venue refuses a second order of the same id (docs/rules.md, "Orders")."""
        broker = self._open_broker()
        report = broker.find(request.client_order_id)
        if report is None and not broker.refuses_duplicates:
            self._stop(
                f"Order {request.client_order_id} may or may not have reached the venue ({reason}), and the venue "
                "does not refuse duplicates. Look at the venue's own book, then settle the order by hand."
            )
        try:
            return self._settle(request, report or broker.submit(request))
        except OrderRejected as rejection:
            return self._reject(request, str(rejection))
        except OrderAmbiguous as doubt:
            raise VenueUnavailable(f"The venue does not say what became of the order: {doubt}") from doubt

    def _stop(self, message: str) -> NoReturn:
        failure = Failure(type=NEEDS_ATTENTION, message=message, retryable=False, needs_attention=True)
        self._attempt.end_failed(failure, step=self._position.step, symbol=self._position.symbol)

    def _settle(self, request: OrderRequest, report: OrderReport) -> Order:
        if report.state is OrderState.REJECTED:
            return self._reject(request, report.reason or "The venue gave no reason.")
        outcome = outcome_of(report)
        self._attempt.append(
            lambda run, stamp: run.settle_order(
                stamp, attempt=self._attempt.number, client_order_id=request.client_order_id, outcome=outcome
            )
        )
        logger.info("order.placed", client_order_id=request.client_order_id, state=outcome.state)
        return _order(request, outcome)

    def _reject(self, request: OrderRequest, reason: str) -> Order:
        self._attempt.append(
            lambda run, stamp: run.reject_order(
                stamp, attempt=self._attempt.number, client_order_id=request.client_order_id, reason=reason
            )
        )
        logger.warning("order.rejected", client_order_id=request.client_order_id, reason=reason)
        return self._rejected(request, reason)

    def _rejected(self, request: OrderRequest, reason: str) -> Order:
        return Order(
            client_order_id=request.client_order_id,
            symbol=request.symbol,
            side=request.side,
            quantity=request.quantity,
            state=OrderState.REJECTED,
            reason=reason,
        )


def outcome_of(report: OrderReport) -> OrderOutcome:
    """Return what a venue reports of an order that it took, as the log keeps it."""
    return OrderOutcome(
        state=str(report.state),
        venue_order_id=report.venue_order_id,
        filled_quantity=plain(report.filled_quantity),
        average_price=plain(report.average_price) if report.average_price is not None else None,
        fees=plain(report.fees) if report.fees is not None else None,
        submitted_at=report.submitted_at,
        filled_at=report.filled_at,
    )


def _requested(request: OrderRequest) -> RequestedOrder:
    return RequestedOrder(
        symbol=request.symbol,
        side=str(request.side),
        quantity=plain(request.quantity),
        limit_price=plain(request.limit_price) if request.limit_price is not None else None,
        as_of=request.as_of,
    )


def _order(request: OrderRequest, outcome: OrderOutcome) -> Order:
    return Order.model_validate(
        {
            "client_order_id": request.client_order_id,
            "symbol": request.symbol,
            "side": request.side,
            "quantity": request.quantity,
            "state": outcome.state,
            "venue_order_id": outcome.venue_order_id,
            "filled_quantity": outcome.filled_quantity,
            "average_price": outcome.average_price,
            "fees": outcome.fees,
            "submitted_at": outcome.submitted_at,
            "filled_at": outcome.filled_at,
        }
    )
