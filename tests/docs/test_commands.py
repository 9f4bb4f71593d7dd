"""The commands that the documentation names exist."""

from __future__ import annotations

import re
import subprocess
from pathlib import Path

import pytest
import typer

from infra.cli.app import app

CHECKOUT = Path(__file__).resolve().parents[2]
PAGES = [CHECKOUT / "README.md", CHECKOUT / "ARCHITECTURE.md", *sorted((CHECKOUT / "docs").rglob("*.md"))]
FENCE = re.compile(r"^```(\w*)[^\n]*\n(.*?)^```", re.MULTILINE | re.DOTALL)
INLINE = re.compile(r"`([^`\n]+)`")
SHELLS = ("bash", "console", "sh", "shell")
COMMAND = re.compile(r"(?:^|&& |\| |\$ )(?:[A-Z_]+=\S+ )*(make|blotter) ([a-z][a-z-]*)", re.MULTILINE)


def named(page: Path) -> list[tuple[str, str]]:
    """The commands that a page names, in its shell blocks and in `inline code`."""
    text = page.read_text()
    shown = [block[2] for block in FENCE.finditer(text) if block[1] in SHELLS]
    shown += INLINE.findall(FENCE.sub("", text))
    return [command for words in shown for command in COMMAND.findall(words)]


def targets() -> set[str]:
    """The Makefile's targets."""
    return set(re.findall(r"^([a-z]+):", (CHECKOUT / "Makefile").read_text(), re.MULTILINE))


def commands() -> set[str]:
    """The commands of `blotter`."""
    group = typer.main.get_command(app)
    names: set[str] = set(getattr(group, "commands", {}))
    return names


@pytest.mark.parametrize("page", PAGES, ids=lambda page: str(page.relative_to(CHECKOUT)))
def test_every_command_that_a_page_names_exists(page: Path) -> None:
    """`make x` is a target, `blotter y` is a command; so a renamed one cannot leave the pages behind."""
    known = {"make": targets(), "blotter": commands()}
    assert [f"{program} {word}" for program, word in named(page) if word not in known[program]] == []


def test_the_makefile_lists_every_target() -> None:
    """`make` alone is the table of contents: a target without a description would be left out of it."""
    command = ["make", "--no-print-directory"]
    listed = subprocess.run(command, cwd=CHECKOUT, capture_output=True, text=True, check=True).stdout
    assert {line.split()[0] for line in listed.splitlines()} == targets()
