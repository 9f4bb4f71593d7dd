"""What may happen to the orders of a run: requested by the attempt that runs, settled by it or by the resolver."""

from decimal import Decimal

from shared.domain import execution_events as happened
from shared.domain.deciding import Deciding
from shared.domain.errors import Refused
from shared.domain.events import Stamp
from shared.domain.orders import OrderState


class OrderDecisions(Deciding):
    """The order ledger of a run."""

    def request_order(
        self,
        stamp: Stamp,
        *,
        attempt: int,
        client_order_id: str,
        step: str,
        symbol: str | None,
        order: happened.RequestedOrder,
    ) -> None:
        """Record that an order is about to be sent.

        Raises Refused when the run is being cancelled, or when an order of this id was requested before.
        """
        self.require_attempt(attempt)
        if client_order_id in self.orders:
            raise Refused(
                f"Order {client_order_id} of task {self.id} was requested before; it is settled, not sent again."
            )
        self._trigger(
            happened.OrderRequested,
            stamp,
            attempt=attempt,
            client_order_id=client_order_id,
            step=step,
            symbol=symbol,
            order=order,
        )

    def settle_order(self, stamp: Stamp, *, attempt: int, client_order_id: str, outcome: happened.OrderOutcome) -> None:
        """Record that the venue took the order."""
        self.require_attempt(attempt)
        self._require_order(client_order_id)
        self._trigger(happened.OrderPlaced, stamp, attempt=attempt, client_order_id=client_order_id, outcome=outcome)

    def reject_order(self, stamp: Stamp, *, attempt: int, client_order_id: str, reason: str) -> None:
        """Record that the venue refused the order."""
        self.require_attempt(attempt)
        self._require_order(client_order_id)
        self._trigger(happened.OrderRejected, stamp, attempt=attempt, client_order_id=client_order_id, reason=reason)

    def doubt_order(self, stamp: Stamp, *, attempt: int, client_order_id: str, reason: str) -> None:
        """Record that nobody knows whether the order arrived."""
        self.require_attempt(attempt)
        self._require_order(client_order_id)
        self._trigger(happened.OrderAmbiguous, stamp, attempt=attempt, client_order_id=client_order_id, reason=reason)

    def resolve_order(
        self, stamp: Stamp, *, client_order_id: str, outcome: happened.OrderOutcome | None, reason: str = ""
    ) -> None:
        """Record what the venue says of an order that no attempt is left to ask for: `outcome`, or None when it
        refused the order for `reason`.

        Raises Refused while an attempt runs, which settles its own orders, and when the order has an outcome already.
        """
        self._require_unsettled(client_order_id)
        of_order = {"attempt": self.attempts, "client_order_id": client_order_id}
        if outcome is None:
            self._trigger(happened.OrderRejected, stamp, **of_order, reason=reason)
        else:
            self._trigger(happened.OrderPlaced, stamp, **of_order, outcome=outcome)

    def follow_order(
        self, stamp: Stamp, *, client_order_id: str, outcome: happened.OrderOutcome, reason: str | None = None
    ) -> None:
        """Record what has become of an order since the venue took it, in whatever state its run is.

        Raises Refused when the order is not at the venue any more, or when that is nothing new.
        """
        self._require_order(client_order_id)
        known = self.orders[client_order_id]
        if known.state is not OrderState.PLACED or known.outcome is None:
            raise Refused(f"Order {client_order_id} of task {self.id} is {known.state}, and not at the venue.")
        before, since = Decimal(known.outcome.filled_quantity), Decimal(outcome.filled_quantity)
        if since < before or (since == before and outcome.state == known.state):
            raise Refused(f"Order {client_order_id} of task {self.id} is {known.state} with {before} filled already.")
        of_order = {"attempt": self.attempts, "client_order_id": client_order_id}
        self._trigger(happened.OrderUpdated, stamp, **of_order, outcome=outcome, reason=reason)

    def give_up_order(self, stamp: Stamp, *, client_order_id: str, reason: str) -> None:
        """Record that nobody asks the venue for this order any more, and why; its outcome may still be recorded.

        Raises Refused while an attempt runs, and when the order has an outcome.
        """
        self._require_unsettled(client_order_id)
        self._trigger(
            happened.OrderAmbiguous,
            stamp,
            attempt=self.attempts,
            client_order_id=client_order_id,
            reason=reason,
        )

    def _require_unsettled(self, client_order_id: str) -> None:
        self._require_order(client_order_id)
        if self.phase.at_work:
            raise Refused(f"Attempt {self.attempts} of task {self.id} runs; it settles order {client_order_id} itself.")
        if not self.orders[client_order_id].is_open:
            raise Refused(f"Order {client_order_id} of task {self.id} is settled; an outcome is never replaced.")

    def _require_order(self, client_order_id: str) -> None:
        if client_order_id not in self.orders:
            raise Refused(f"Task {self.id} has no order {client_order_id}; record its request before its outcome.")
