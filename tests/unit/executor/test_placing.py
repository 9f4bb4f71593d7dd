"""Orders at most once: what is in the log and what the venue received, whatever the venue answers."""

from collections.abc import Callable, Sequence
from typing import Any

import pytest
from eventsourcing.persistence import OperationalError

from shared.domain.events import Event
from shared.domain.execution_events import OrderRequested
from shared.domain.phases import Phase
from shared.log.recorder import Guard
from shared.trading.broker import OrderAmbiguous, OrderRejected, VenueUnavailable
from shared.workflow import Context, Decision, Order, TemporaryError, Workflow
from tests.unit.executor.bench import Bench, Venue, states


def buy(quantity: int = 10) -> Decision:
    """A decision to buy."""
    return Decision(symbol="MSFT", action="buy", quantity=quantity, reason="cheap")


def trading(body: Callable[[Context], Any]) -> Workflow:
    """A workflow whose only step trades."""
    workflow = Workflow("trading", title="Trading")

    @workflow.step(effect="orders")
    def trade(ctx: Context) -> list[Order]:
        orders: list[Order] = body(ctx)
        return orders

    return workflow


def place_one(ctx: Context) -> list[Order]:
    """Place one order."""
    return [ctx.broker.place(buy())]


def test_an_order_is_in_the_log_before_it_leaves() -> None:
    """When the venue receives the order, its request is recorded already."""
    bench = Bench(trading(place_one))
    task_id = bench.submit("MSFT")
    recorded: list[str] = []
    bench.venue.on_arrival = lambda: recorded.extend(bench.topics(task_id))

    execution = bench.run(task_id)

    assert recorded[-1] == "order_requested"
    assert bench.topics(task_id)[2:] == ["order_requested", "order_placed", "step_completed", "succeeded"]
    (order,) = bench.result(execution)["orders"]
    assert (order["state"], order["average_price"], order["quantity"]) == ("filled", "10", "10")
    assert order["client_order_id"] == bench.venue.received[0].client_order_id


def test_every_order_of_a_run_has_an_id_of_its_own() -> None:
    """Two orders of one step differ by their ordinal, a key names one apart from the order of calls."""

    def place_three(ctx: Context) -> list[Order]:
        return [ctx.broker.place(buy()), ctx.broker.place(buy()), ctx.broker.place(buy(), key="hedge")]

    bench = Bench(trading(place_three))
    bench.run(bench.submit("MSFT"))

    assert len({request.client_order_id for request in bench.venue.received}) == 3


def test_a_step_that_runs_again_does_not_order_again() -> None:
    """After a failure behind the order, the retry finds it in the ledger and sends nothing."""

    def place_then_fail(ctx: Context) -> list[Order]:
        order = ctx.broker.place(buy())
        if ctx.attempt == 1:
            raise TemporaryError("lost the network after the order")
        return [order]

    bench = Bench(trading(place_then_fail))
    task_id = bench.submit("MSFT")
    bench.run(task_id, 1)
    bench.fall_due(task_id)
    execution = bench.run(task_id, 2)

    assert len(bench.venue.received) == 1
    assert states(bench.result(execution)["orders"]) == ["filled"]


def test_a_rejected_order_is_an_outcome_and_not_an_error() -> None:
    """The run goes on; order and reason stand in the result."""
    bench = Bench(trading(place_one))
    bench.venue.answers = [OrderRejected("insufficient cash")]
    execution = bench.run(bench.submit("MSFT"))

    (order,) = bench.result(execution)["orders"]
    assert (order["state"], order["reason"]) == ("rejected", "insufficient cash")
    assert execution.phase is Phase.SUCCEEDED


def test_a_venue_that_is_away_is_tried_again_later() -> None:
    """The order was certainly not accepted; the retry sends it once."""
    bench = Bench(trading(place_one))
    bench.venue.answers = [VenueUnavailable("closed")]
    task_id = bench.submit("MSFT")
    assert bench.run(task_id, 1).phase is Phase.RETRY_WAIT
    bench.fall_due(task_id)
    execution = bench.run(task_id, 2)

    assert states(bench.result(execution)["orders"]) == ["filled"]
    assert len(bench.venue.book) == 1


@pytest.mark.parametrize("refuses_duplicates", [True, False])
def test_an_order_that_arrived_without_an_answer_is_found(refuses_duplicates: bool) -> None:
    """The venue is asked by the client order id; what it has is not sent again."""
    bench = Bench(trading(place_one), venue=Venue(refuses_duplicates=refuses_duplicates))
    bench.venue.answers = [OrderAmbiguous("no answer")]
    bench.venue.arrives_anyway = True
    task_id = bench.submit("MSFT")
    execution = bench.run(task_id)

    assert bench.topics(task_id)[2:5] == ["order_requested", "order_ambiguous", "order_placed"]
    assert states(bench.result(execution)["orders"]) == ["filled"]
    assert len(bench.venue.received) == 1


def test_an_order_that_is_not_found_is_sent_again_where_duplicates_are_refused() -> None:
    """At such a venue sending twice is safe."""
    bench = Bench(trading(place_one))
    bench.venue.answers = [OrderAmbiguous("no answer")]
    execution = bench.run(bench.submit("MSFT"))

    assert states(bench.result(execution)["orders"]) == ["filled"]
    assert len({request.client_order_id for request in bench.venue.received}) == 1
    assert len(bench.venue.book) == 1


def test_an_order_that_is_not_found_needs_attention_where_duplicates_are_taken() -> None:
    """ "Not found" proves nothing at such a venue: the run stops for a person, and nothing is sent again."""
    bench = Bench(trading(place_one), venue=Venue(refuses_duplicates=False))
    bench.venue.answers = [OrderAmbiguous("no answer")]
    execution = bench.run(bench.submit("MSFT"))

    assert execution.phase is Phase.FAILED
    assert execution.failure is not None
    assert execution.failure.failure.needs_attention
    assert execution.failure.failure.type == "needs_attention"
    assert len(bench.venue.received) == 1


def test_the_same_id_with_another_order_needs_attention() -> None:
    """A step that decides otherwise when it runs again is stopped before it sends anything."""

    def indecisive(ctx: Context) -> list[Order]:
        order = ctx.broker.place(buy(quantity=10 * ctx.attempt))
        if ctx.attempt == 1:
            raise TemporaryError("later")
        return [order]

    bench = Bench(trading(indecisive))
    task_id = bench.submit("MSFT")
    bench.run(task_id, 1)
    bench.fall_due(task_id)
    execution = bench.run(task_id, 2)

    assert execution.failure is not None
    assert execution.failure.failure.needs_attention
    assert [request.quantity for request in bench.venue.received] == [10]


def test_no_order_leaves_after_a_cancellation() -> None:
    """A cancel that arrives between two orders stops the run before the second is requested."""

    def place_two(ctx: Context) -> list[Order]:
        first = ctx.broker.place(buy())
        bench.cancel(task_id)
        return [first, ctx.broker.place(buy())]

    bench = Bench(trading(place_two))
    task_id = bench.submit("MSFT")
    execution = bench.run(task_id)

    assert execution.phase is Phase.CANCELLED
    assert len(bench.venue.received) == 1


def test_an_order_on_its_way_is_settled_before_a_cancellation_is_obeyed() -> None:
    """The venue's answer goes into the ledger although the run is being cancelled."""
    bench = Bench(trading(place_one))
    task_id = bench.submit("MSFT")
    bench.venue.on_arrival = lambda: bench.cancel(task_id)
    execution = bench.run(task_id)

    assert bench.topics(task_id)[2:] == ["order_requested", "cancel_requested", "order_placed", "cancelled"]
    assert [str(order.state) for order in execution.orders.values()] == ["filled"]


def test_an_order_whose_request_was_not_stored_does_not_leave(monkeypatch: pytest.MonkeyPatch) -> None:
    """The log fails while it takes the request, the step tries again: the request is stored before the order goes."""

    def place_twice(ctx: Context) -> list[Order]:
        with pytest.raises(OperationalError):
            ctx.broker.place(buy(), key="hedge")
        return [ctx.broker.place(buy(), key="hedge")]

    bench = Bench(trading(place_twice))
    task_id = bench.submit("MSFT")
    recorded: list[str] = []
    bench.venue.on_arrival = lambda: recorded.extend(bench.topics(task_id))
    fails = [True]
    append = bench.log.append

    def failing(events: Sequence[Event], *, guard: Guard | None = None) -> list[int]:
        if fails and isinstance(events[0], OrderRequested):
            fails.pop()
            raise OperationalError("the server closed the connection")
        return append(events, guard=guard)

    monkeypatch.setattr(bench.log, "append", failing)
    execution = bench.run(task_id)

    assert recorded[-1] == "order_requested"
    assert bench.topics(task_id)[2:] == ["order_requested", "order_placed", "step_completed", "succeeded"]
    assert [str(order.state) for order in execution.orders.values()] == ["filled"]
