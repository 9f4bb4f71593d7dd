"""Time zones: which names are known, and what is said of the others."""

import pytest

from shared.schedules import timing_errors
from tests.unit.shared.schedules.timings import complaint, cron


@pytest.mark.parametrize("name", ["UTC", "America/New_York", "Australia/Lord_Howe", "America/Argentina/Ushuaia", "EST"])
def test_names_of_the_database_are_taken(name: str) -> None:
    """Also those of three parts, and the old ones without a place."""
    assert timing_errors(cron("@daily", name)) == []


@pytest.mark.parametrize(
    ("name", "meant"),
    [
        ("europe/berlin", "Europe/Berlin"),
        ("Europe/Berln", "Europe/Berlin"),
        ("berlin", "Europe/Berlin"),
        ("New York", "America/New_York"),
        ("utc", "UTC"),
    ],
)
def test_a_name_that_is_nearly_right_is_answered_with_the_right_one(name: str, meant: str) -> None:
    """Whether it is the case, a letter or the continent that is wrong."""
    field, message = complaint(cron("@daily", name))
    assert field == "timezone"
    assert message.startswith(f"{name} is no time zone. Did you mean {meant}")


@pytest.mark.parametrize(
    "name",
    [
        "",
        " ",
        "Mars/Base",
        "../../etc/passwd",
        "/etc/localtime",
        "localtime",
        "\0",
        "Mars\n",
        "\ud800",
        "é",
        "x" * 10**6,
    ],
)
def test_any_other_text_is_refused_with_an_example(name: str) -> None:
    """Also paths and texts that no file may be called."""
    field, message = complaint(cron("@daily", name))
    assert field == "timezone"
    assert message.endswith("Write an IANA name, such as America/New_York or UTC.")
    assert len(message) < 200
    assert message.isprintable()
