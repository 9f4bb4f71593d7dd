"""The page on steps that run side by side: its example, run as a reader would."""

import re
from pathlib import Path
from typing import Any

from shared.workflow.stages import stages
from shared.workflow.steps import Step

PAGE = (Path(__file__).parents[4] / "docs" / "parallel-steps.md").read_text()


def test_the_example_of_the_page_passes_its_own_test() -> None:
    """Both blocks, one after the other in one module; its stages are those that the page speaks of."""
    module: dict[str, Any] = {"__name__": "page"}
    for block in re.findall(r"^```python\n(.*?)^```", PAGE, flags=re.DOTALL | re.MULTILINE):
        exec(compile(block, "parallel-steps.md", "exec"), module)

    assert [[step.name for step in stage] for stage in stages(module["workflow"].steps)] == [
        ["bars"],
        ["signal"],
        ["prices", "ranking"],
        ["decide"],
        ["trade"],
    ]


def test_every_option_of_the_page_is_one() -> None:
    """An option that is renamed is renamed on the page."""
    for option in re.findall(r"`(\w+)=", PAGE):
        assert option in Step.__dataclass_fields__ or option == "Workflow", option
