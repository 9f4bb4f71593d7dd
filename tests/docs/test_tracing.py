"""The examples of docs/tracing.md, run as a reader would run them."""

import re
import subprocess

from services.status.settings import StatusSettings
from tests.docs.pages import DEFAULT_URL, blocks
from tests.e2e.stack import CHECKOUT, Stack

PAGE = "docs/tracing.md"


def test_the_commands_of_the_page_show_a_trace_and_its_lines(stack: Stack) -> None:
    """One after the other, in one shell."""
    (script,) = blocks(PAGE, "sh")
    done = subprocess.run(
        ["bash", "-euo", "pipefail", "-c", script.replace(DEFAULT_URL, stack.record.url)],
        cwd=CHECKOUT,
        env=stack.environment,
        capture_output=True,
        text=True,
        timeout=120,
        check=False,
    )
    assert done.returncode == 0, done.stdout + done.stderr
    assert "execution.left" in done.stdout
    assert '"trace_id"' in done.stdout


def test_every_setting_of_the_page_has_its_default() -> None:
    """By its name, as the services read it."""
    told = dict(re.findall(r"^\| `BLOTTER_(\w+)` \| `([^`]+)` \|", (CHECKOUT / PAGE).read_text(), re.MULTILINE))
    fields = StatusSettings.model_fields
    assert {"TELEMETRY", "TRACE_SAMPLE_RATIO"} < told.keys()
    assert told == {
        name: f"{default:.0f}" if isinstance(default := fields[name.lower()].default, float) else str(default)
        for name in told
    }
