"""Which decisions of a run are its result."""

from dataclasses import dataclass

from pydantic import BaseModel

from shared.workflow import Context, Decision, Order, Workflow
from shared.workflow.orders import Side
from shared.workflow.results import collect_decisions, collect_orders, final_steps
from shared.workflow.steps import Step


def names(steps: tuple[Step, ...]) -> list[str]:
    """Return the steps' names."""
    return [step.name for step in steps]


def decision(symbol: str) -> Decision:
    """Return some decision about `symbol`."""
    return Decision(symbol=symbol, action=Side.BUY, quantity="10", reason="It fell.")


class Plan(BaseModel):
    """A model with decisions in it."""

    entries: list[Decision]
    note: str = ""


@dataclass
class Book:
    """A dataclass with a plan in it, by a name that is resolved late."""

    plans: "dict[str, Plan]"


def test_the_decisions_that_a_later_step_builds_on_are_superseded() -> None:
    """A filter's decisions stand, not those that it was given, however many steps are in between."""
    workflow = Workflow("test", title="Test")

    @workflow.step(each="symbol")
    def decide(ctx: Context, symbol: str) -> Decision | None:
        return None

    @workflow.step
    def count(ctx: Context, decide: dict[str, Decision | None]) -> int:
        return len(decide)

    @workflow.step
    def limit(ctx: Context, count: int) -> list[Decision]:
        return []

    @workflow.step(effect="orders")
    def trade(ctx: Context, limit: list[Decision]) -> list[Order]:
        return []

    assert names(final_steps(workflow, Decision)) == ["limit"]
    assert names(final_steps(workflow, Order)) == ["trade"]


def test_decisions_made_apart_all_stand() -> None:
    """Entries and exits, each by a step of its own."""
    workflow = Workflow("test", title="Test")

    @workflow.step
    def enter(ctx: Context) -> Plan:
        return Plan(entries=[])

    @workflow.step
    def leave(ctx: Context) -> Book:
        return Book({})

    @workflow.step
    def report(ctx: Context, enter: Plan, leave: Book) -> str:
        return ""

    assert names(final_steps(workflow, Decision)) == ["enter", "leave"]


def test_decisions_are_found_at_any_depth_in_order() -> None:
    """In lists, dicts by symbol, models and dataclasses."""
    first, second, third, fourth = map(decision, "ABCD")
    values = [
        {"A": first, "B": None, "C": [second]},
        Book({"x": Plan(entries=[third], note="n")}),
        ("text", 1.5, (fourth,)),
    ]
    assert collect_decisions(values) == [first, second, third, fourth]
    assert collect_orders(values) == []
