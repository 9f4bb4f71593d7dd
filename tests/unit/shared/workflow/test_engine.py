"""The loop over steps and symbols: order, flow of data, and what fails."""

import sys
from typing import Any

import numpy
import polars as pl
import pytest

from shared.objects.memory import MemoryObjectStore
from shared.objects.store import ObjectMissing
from shared.workflow import Context, Workflow
from shared.workflow.context import Position
from tests.unit.shared.workflow.listening import SYMBOLS, ListeningJournal, go


@pytest.fixture
def workflow() -> Workflow:
    """A workflow without steps yet."""
    return Workflow("test", title="Test")


def test_steps_run_as_declared_and_symbols_as_submitted(workflow: Workflow) -> None:
    """All symbols of a step come before the next step, and only the very last boundary is called the last."""

    @workflow.step
    def first(ctx: Context) -> int:
        return 1

    @workflow.step(each="symbol")
    def second(ctx: Context, symbol: str) -> str:
        return symbol

    journal = go(workflow)
    order = [Position("first"), *(Position("second", symbol) for symbol in SYMBOLS)]
    assert journal.begun == order
    assert journal.completed == [(position, position == order[-1]) for position in order]


def test_each_step_gets_what_its_parameters_are_named_after(workflow: Workflow) -> None:
    """The same symbol's output, the run's own output, or a dict by symbol."""
    seen: dict[str, Any] = {}

    @workflow.step
    def universe(ctx: Context) -> int:
        return 100

    @workflow.step(each="symbol")
    def size(ctx: Context, symbol: str, universe: int) -> int:
        return universe + len(symbol)

    @workflow.step(each="symbol")
    def doubled(ctx: Context, symbol: str, size: int) -> int:
        seen[symbol] = (ctx.symbol, size)
        return 2 * size

    @workflow.step
    def decide(ctx: Context, doubled: dict[str, int], universe: int) -> int:
        seen["decide"] = (ctx.symbol, doubled, universe)
        return 0

    go(workflow)
    assert seen == {
        "MSFT": ("MSFT", 104),
        "AAPL": ("AAPL", 104),
        "IBM": ("IBM", 103),
        "decide": (None, {"MSFT": 208, "AAPL": 208, "IBM": 206}, 100),
    }


def test_a_collected_failure_goes_on_with_the_other_symbols(workflow: Workflow) -> None:
    """The failed one is missing from the dict, and from later steps that need it, not from those that do not."""

    @workflow.step(each="symbol", on_error="collect")
    def signal(ctx: Context, symbol: str) -> int:
        if symbol == "AAPL":
            raise ValueError("no history")
        return len(symbol)

    @workflow.step(each="symbol")
    def needs_signal(ctx: Context, symbol: str, signal: int) -> int:
        return signal

    @workflow.step(each="symbol")
    def needs_nothing(ctx: Context, symbol: str) -> int:
        return 0

    @workflow.step(each="symbol")
    def needs_it_indirectly(ctx: Context, symbol: str, needs_signal: int) -> int:
        return needs_signal

    @workflow.step
    def decide(ctx: Context, signal: dict[str, int], needs_it_indirectly: dict[str, int]) -> list[str]:
        return sorted(signal) + sorted(needs_it_indirectly)

    journal = go(workflow)
    assert [position for position, _ in journal.failed] == [Position("signal", "AAPL")]
    assert Position("needs_signal", "AAPL") not in journal.begun
    assert Position("needs_it_indirectly", "AAPL") not in journal.begun
    assert Position("needs_nothing", "AAPL") in journal.begun
    assert journal.value("decide", None) == ["IBM", "MSFT", "IBM", "MSFT"]


def test_a_step_of_which_every_symbol_failed_fails_itself(workflow: Workflow) -> None:
    """SDK.md: if all symbols failed, the step fails; each symbol's own error is there too."""

    @workflow.step(each="symbol", on_error="collect")
    def signal(ctx: Context, symbol: str) -> int:
        raise ValueError(f"no history of {symbol}")

    @workflow.step
    def decide(ctx: Context, signal: dict[str, int]) -> int:
        raise AssertionError("must not run")

    journal = go(workflow)
    assert journal.error is not None
    assert (journal.error.step, journal.error.symbol) == ("signal", None)
    assert journal.error.failure.type == "all_symbols_failed"
    assert [failure.message for failure in journal.collected.values()] == [f"no history of {s}" for s in SYMBOLS]


def test_a_step_fails_when_no_symbol_has_all_its_inputs(workflow: Workflow) -> None:
    """Two steps may each fail for half of the symbols, and nothing is left for a third that takes both."""

    @workflow.step(each="symbol", on_error="collect")
    def left(ctx: Context, symbol: str) -> int:
        return 1 if symbol == "MSFT" else 1 // 0

    @workflow.step(each="symbol", on_error="collect")
    def right(ctx: Context, symbol: str) -> int:
        return 1 if symbol == "AAPL" else 1 // 0

    @workflow.step(each="symbol")
    def both(ctx: Context, symbol: str, left: int, right: int) -> int:
        raise AssertionError("must not run")

    journal = go(workflow, symbols=("MSFT", "AAPL"))
    assert journal.error is not None
    assert (journal.error.step, journal.error.failure.type) == ("both", "all_symbols_failed")
    assert "in the earlier steps" in journal.error.failure.message


def test_a_failure_that_nothing_collects_ends_the_run(workflow: Workflow) -> None:
    """No further symbol, no further step."""

    @workflow.step(each="symbol")
    def signal(ctx: Context, symbol: str) -> int:
        return {"MSFT": 1}[symbol]

    journal = go(workflow)
    assert journal.begun == [Position("signal", "MSFT"), Position("signal", "AAPL")]
    assert journal.error is not None
    assert journal.error.failure.type == "KeyError"
    assert "in signal" in journal.error.failure.traceback


def test_an_output_of_another_type_than_declared_fails_the_step(workflow: Workflow) -> None:
    """It is found where it was made, not in the step that reads it."""

    @workflow.step
    def decide(ctx: Context) -> list[int]:
        return ["many"]  # type: ignore[list-item]

    error = go(workflow).error
    assert error is not None
    assert (error.failure.type, error.failure.retryable) == ("WrongReturn", False)
    assert "Step 'decide' returned list, not list[int]: 0: Input should be a valid integer" in error.failure.message


def test_a_missing_dataframe_is_found_by_its_class(workflow: Workflow) -> None:
    """A dict of bars is no DataFrame, and pydantic alone would not know."""

    @workflow.step
    def history(ctx: Context) -> pl.DataFrame:
        return {"close": [1.0]}  # type: ignore[return-value]

    error = go(workflow).error
    assert error is not None
    assert "Input should be an instance of DataFrame" in error.failure.message


def test_an_input_of_another_type_than_wanted_fails_the_step_that_wants_it(workflow: Workflow) -> None:
    """The usual cause, a dict by symbol taken for a single value, is named."""

    @workflow.step(each="symbol")
    def signal(ctx: Context, symbol: str) -> float:
        return 1.0

    @workflow.step
    def decide(ctx: Context, signal: float) -> int:
        raise AssertionError("must not run")

    error = go(workflow).error
    assert error is not None
    assert (error.step, error.failure.type) == ("decide", "InputRefused")
    assert "wants 'signal' as float" in error.failure.message
    assert "gets 'signal' as a dict by symbol" in error.failure.message


def test_numbers_of_numpy_are_what_the_annotation_says(workflow: Workflow) -> None:
    """Polars and pandas hand them out all the time."""

    @workflow.step(each="symbol")
    def signal(ctx: Context, symbol: str) -> float:
        return numpy.float32(0.5)  # type: ignore[return-value]

    journal = go(workflow)
    assert (type(journal.value("signal", "IBM")), journal.value("signal", "IBM")) == (float, 0.5)


def test_a_value_that_cannot_be_stored_fails_its_step(workflow: Workflow) -> None:
    """For one symbol where failures are collected; the others go on."""

    @workflow.step(each="symbol", on_error="collect")
    def signal(ctx: Context, symbol: str) -> float:
        return float("nan") if symbol == "AAPL" else 1.0

    journal = go(workflow)
    [(position, failure)] = journal.failed
    assert position == Position("signal", "AAPL")
    assert (failure.type, failure.retryable) == ("OutputRefused", False)


def test_an_input_that_is_gone_fails_the_step_that_wants_it(workflow: Workflow) -> None:
    """An object removed from the store is the step's failure, with words to go on from; not a crash of the worker."""

    @workflow.step
    def history(ctx: Context) -> bytes:
        return b"bars"

    @workflow.step
    def decide(ctx: Context, history: bytes) -> int:
        raise AssertionError("must not run")

    class Forgetful(ListeningJournal):
        def value(self, step: str, symbol: str | None) -> Any:
            """Find nothing."""
            ref = self.outputs[Position(step, symbol)].ref
            assert ref is not None
            raise ObjectMissing(ref)

    error = go(workflow, Forgetful(workflow)).error
    assert error is not None
    assert (error.step, error.failure.type, error.failure.retryable) == ("decide", "ObjectMissing", False)


def test_an_object_store_that_fails_is_tried_again(workflow: Workflow) -> None:
    """A full disk may be emptied; the step has to run again then, as its value is lost."""

    @workflow.step
    def history(ctx: Context) -> bytes:
        return b"bars"

    class FullStore(MemoryObjectStore):
        def put(self, data: bytes, media_type: str) -> Any:
            """Take nothing."""
            raise OSError(28, "No space left on device")

    journal = ListeningJournal(workflow)
    journal._store = FullStore()
    go(workflow, journal)
    [retry] = journal.retries
    assert retry.failure.type == "OutputNotStored"
    assert "No space left on device" in retry.failure.message


def test_a_step_that_calls_exit_fails_and_takes_nothing_else_down(workflow: Workflow) -> None:
    """The process belongs to the worker."""

    @workflow.step
    def leave(ctx: Context) -> None:
        sys.exit("enough")

    error = go(workflow).error
    assert error is not None
    assert (error.failure.type, error.failure.retryable) == ("SystemExit", False)
