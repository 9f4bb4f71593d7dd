"""The README's own examples, run as a reader would run them."""

import re
import shlex
import subprocess
from pathlib import Path
from typing import Any

import pytest

from tests.e2e.stack import CHECKOUT, Stack

README = (CHECKOUT / "README.md").read_text()
DEFAULT_URL = "http://127.0.0.1:8000"


def blocks(language: str) -> list[str]:
    """Return the fenced blocks of a language."""
    return re.findall(rf"^```{language}\n(.*?)^```", README, flags=re.DOTALL | re.MULTILINE)


def commands() -> list[str]:
    """Return every command of the README, continued lines joined and comments taken off."""
    lines = "".join(blocks("sh")).replace("\\\n", " ").splitlines()
    return [line.split("  #")[0].strip() for line in lines if line.strip()]


def test_the_strategy_of_the_readme_passes_its_own_test() -> None:
    """Both Python blocks, one after the other in one module."""
    module: dict[str, Any] = {"__name__": "readme"}
    for block in blocks("python"):
        exec(compile(block, "README.md", "exec"), module)

    assert module["outcome"].state == "SUCCESS"


@pytest.mark.parametrize("command", [command for command in commands() if not command.startswith("make")])
def test_a_command_of_the_readme_works(stack: Stack, command: str) -> None:
    """As it stands, but for the address of the stack."""
    shown = shlex.split(command.replace(DEFAULT_URL, stack.record.url))
    program = str(CHECKOUT / shown[0]) if "/" in shown[0] else shown[0]
    done = subprocess.run(
        [program, *shown[1:], *(["--fail"] if program == "curl" else [])],
        cwd=CHECKOUT,
        env=stack.environment,
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )

    assert done.returncode == 0, done.stdout + done.stderr
    assert done.stdout.strip()


def test_every_target_of_the_readme_exists() -> None:
    """`make` targets: `check` and `test` are what CI runs, `demo` and `up` have tests of their own."""
    makefile = (CHECKOUT / "Makefile").read_text()
    targets = {command.split()[1] for command in commands() if command.startswith("make")}

    assert targets == {"demo", "up", "check", "test", "bench", "chaos"}
    assert targets <= set(re.findall(r"^([a-z]+):", makefile, flags=re.MULTILINE))


def test_every_setting_of_the_readme_is_one() -> None:
    """A variable that is named in the table is read by some service."""
    named = set(re.findall(r"`(BLOTTER_[A-Z_]+|[A-Z]+_URL)`", README))
    read = "".join(path.read_text() for path in Path(CHECKOUT).glob("*/**/settings.py"))
    for name in named:
        field = name.removeprefix("BLOTTER_").lower()
        assert re.search(rf"\b({field}|{name})\b", read), name
