"""Trading calendars: which codes are known, how far they go, and what they cost those who have none."""

from collections.abc import Iterator
from datetime import date
from itertools import islice
from typing import Any

import exchange_calendars  # type: ignore[import-untyped]
import pytest

from shared.schedules import calendars, times_of, timing_errors
from shared.schedules.calendars import calendar_of
from tests.unit.shared.schedules.timings import complaint, cron

pytestmark = pytest.mark.filterwarnings("ignore::DeprecationWarning")  # pandas 4 is announced to the library


@pytest.fixture
def _cold() -> Iterator[None]:
    """Forget what was computed, before and after."""
    calendars.calendar_of.cache_clear()
    calendars.span_of.cache_clear()
    yield
    calendars.calendar_of.cache_clear()
    calendars.span_of.cache_clear()


@pytest.mark.parametrize(
    ("code", "meant"),
    [("xnys", "XNYS"), ("XNYSE", "XNYS"), ("nyse", "NYSE"), ("24-7", "24/7"), ("XL0N", "XLON")],
)
def test_a_code_that_is_nearly_right_is_answered_with_the_right_one(code: str, meant: str) -> None:
    """Codes are those of the library, in its case."""
    field, message = complaint(cron("@daily", calendar=code))
    assert field == "calendar"
    assert message.startswith(f"{code} is no trading calendar. Did you mean ")
    assert meant in message


@pytest.mark.parametrize("code", ["", "\0", "../../etc", "New York Stock Exchange of America", "x" * 10**6, "\ud800"])
def test_any_other_text_is_refused_with_an_example(code: str) -> None:
    """Hostile ones too."""
    field, message = complaint(cron("@daily", calendar=code))
    assert field == "calendar"
    assert message.endswith("Write the code of an exchange, such as XNYS, XLON or 24/7.")
    assert len(message) < 200


def test_an_alias_is_the_exchange_it_stands_for() -> None:
    """Its sessions are the same, and messages name the exchange."""
    assert calendar_of("NYSE").code == "XNYS"
    assert str(calendar_of("NYSE").zone) == "America/New_York"


def test_sessions_go_on_from_span_to_span() -> None:
    """Over the end of 1999 and of 2049, where one table ends and the next begins."""
    calendar = calendar_of("XNYS")
    around_2000 = [each.day for each in islice(calendar.sessions_from(date(1999, 12, 30)), 3)]
    around_2050 = [each.day for each in islice(calendar.sessions_from(date(2049, 12, 30)), 3)]
    assert around_2000 == [date(1999, 12, 30), date(1999, 12, 31), date(2000, 1, 3)]
    assert around_2050 == [date(2049, 12, 30), date(2049, 12, 31), date(2050, 1, 3)]


def test_a_calendar_goes_as_far_as_its_library_vouches_for() -> None:
    """Hong Kong's ends with 2049, Tokyo's begins with 1997, New York's is open at both ends."""
    assert calendar_of("XHKG").last_day == date(2049, 12, 31)
    assert calendar_of("XTKS").first_day == date(1997, 1, 1)
    assert calendar_of("XTKS").next_day(date(1900, 1, 1)) == date(1997, 1, 6)
    assert calendar_of("XHKG").next_day(date(2050, 1, 1)) is None
    new_york = calendar_of("XNYS")
    assert (new_york.first_day, new_york.last_day) == (date(1900, 1, 1), date(2199, 12, 31))


@pytest.mark.usefixtures("_cold")
def test_a_calendar_that_the_library_cannot_compute_is_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    """Whatever it raises, it is no accident of ours."""

    def fails(*_: object, **__: object) -> None:
        raise NotImplementedError("by subclasses")

    monkeypatch.setattr(exchange_calendars, "get_calendar", fails)
    field, message = complaint(cron("@daily", calendar="XNYS"))
    assert field == "calendar"
    assert message.startswith(
        "The installed exchange_calendars cannot compute the sessions of XNYS (NotImplementedError)"
    )


@pytest.mark.usefixtures("_cold")
def test_without_a_calendar_the_library_is_not_even_imported(monkeypatch: pytest.MonkeyPatch) -> None:
    """It brings pandas, which takes half a second and much memory."""

    def imports(name: str) -> Any:
        raise AssertionError(name)

    monkeypatch.setattr(calendars, "import_module", imports)
    times_of.cache_clear()
    assert timing_errors(cron("0 9 * * mon-fri", "America/New_York")) == []
