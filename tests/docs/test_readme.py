"""The README's own examples, run as a reader would run them."""

import re
from pathlib import Path
from typing import Any

import pytest

from tests.docs.pages import blocks, commands, run
from tests.e2e.stack import CHECKOUT, Stack

README = (CHECKOUT / "README.md").read_text()


def test_the_strategy_of_the_readme_passes_its_own_test() -> None:
    """Both Python blocks, one after the other in one module."""
    module: dict[str, Any] = {"__name__": "readme"}
    for block in blocks("README.md", "python"):
        exec(compile(block, "README.md", "exec"), module)

    assert module["outcome"].state == "SUCCESS"


@pytest.mark.parametrize("command", [command for command in commands("README.md") if not command.startswith("make")])
def test_a_command_of_the_readme_works(stack: Stack, command: str) -> None:
    """As it stands, but for the address of the stack."""
    done = run(stack, command)

    assert done.returncode == 0, done.stdout + done.stderr
    assert done.stdout.strip()


def test_every_target_of_the_readme_exists() -> None:
    """`make` targets: `check` and `test` are what CI runs, `demo` and `up` have tests of their own."""
    makefile = (CHECKOUT / "Makefile").read_text()
    targets = {command.split()[1] for command in commands("README.md") if command.startswith("make")}

    assert targets == {"demo", "up", "check", "test", "bench", "chaos"}
    assert targets <= set(re.findall(r"^([a-z]+):", makefile, flags=re.MULTILINE))


def test_every_setting_of_the_readme_is_one() -> None:
    """A variable that is named in the table is read by some service."""
    named = set(re.findall(r"`(BLOTTER_[A-Z_]+|[A-Z]+_URL)`", README))
    read = "".join(path.read_text() for path in Path(CHECKOUT).glob("*/**/settings.py"))
    for name in named:
        field = name.removeprefix("BLOTTER_").lower()
        assert re.search(rf"\b({field}|{name})\b", read), name
