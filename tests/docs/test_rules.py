"""docs/rules.md names the tests that hold each rule."""

import re

from tests.e2e.stack import CHECKOUT

RULES = (CHECKOUT / "docs" / "rules.md").read_text()
TESTS = "\n".join(file.read_text() for file in (CHECKOUT / "tests").rglob("test_*.py"))


def test_every_test_that_a_rule_names_exists() -> None:
    """A rule whose test was renamed or removed would stand there without proof."""
    named = set(re.findall(r"`(test_\w+)`", RULES))
    assert len(named) > 30
    assert {name for name in named if f"def {name}(" not in TESTS} == set()


def test_every_file_that_the_rules_name_exists() -> None:
    """People are sent to a room that is there."""
    named = set(re.findall(r"`((?:services|shared|tests)/[\w/]+\.py)`", RULES))
    assert {name for name in named if not (CHECKOUT / name).exists()} == set()


def test_every_rule_has_a_test() -> None:
    """A point of the list without a test is a promise only."""
    points = re.split(r"\n(?=- )", RULES.partition("## Order")[2])
    assert [point for point in points if point.startswith("- ") and "`test_" not in point] == []
