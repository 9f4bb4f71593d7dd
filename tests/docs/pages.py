"""What a page of the documentation tells its readers to run."""

import re
import shlex
import subprocess
from pathlib import Path

from tests.e2e.stack import CHECKOUT, Stack

DEFAULT_URL = "http://127.0.0.1:8000"


def blocks(page: str, language: str) -> list[str]:
    """Return the fenced blocks of a language."""
    text = (CHECKOUT / page).read_text()
    return re.findall(rf"^```{language}\n(.*?)^```", text, flags=re.DOTALL | re.MULTILINE)


def commands(page: str) -> list[str]:
    """Return every command of a page, continued lines joined and comments taken off."""
    lines = "".join(blocks(page, "sh")).replace("\\\n", " ").splitlines()
    return [line.split("  #")[0].strip() for line in lines if line.strip()]


def run(stack: Stack, command: str) -> subprocess.CompletedProcess[str]:
    """Run a command as it stands, but for the address of the stack."""
    shown = shlex.split(command.replace(DEFAULT_URL, stack.record.url))
    program = str(Path(CHECKOUT / shown[0])) if "/" in shown[0] else shown[0]
    return subprocess.run(
        [program, *shown[1:], *(["--fail"] if program == "curl" else [])],
        cwd=CHECKOUT,
        env=stack.environment,
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )
