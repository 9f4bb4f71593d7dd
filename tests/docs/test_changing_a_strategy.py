"""The page on changing a strategy: its two files, loaded as a worker loads them."""

import re
from pathlib import Path
from textwrap import dedent

from shared.testing import MemoryMarketData, bars, run
from shared.workflow.registry import load_strategies
from tests.e2e.stack import CHECKOUT

PAGE = (CHECKOUT / "docs" / "changing-a-strategy.md").read_text()


def test_the_files_of_the_page_stand_beside_each_other_and_say_the_same(tmp_path: Path) -> None:
    """One is current and one retired, nothing is broken, and both work out the same signal."""
    names = re.findall(r"This is `strategies/(\w+\.py)`", PAGE)
    blocks = re.findall(r"^ +```python\n(.*?)^ +```", PAGE, flags=re.DOTALL | re.MULTILINE)
    for name, block in zip(names, blocks, strict=True):
        (tmp_path / name).write_text(dedent(block))
    registry = load_strategies(str(tmp_path), entry_points=False)

    assert registry.broken == ()
    (current,), (retired,) = registry.workflows.values(), registry.retired
    assert [len(current.steps), len(retired.steps)] == [2, 1]
    prices = MemoryMarketData({"MSFT": bars([30.0] * 19 + [27.0])})
    outcomes = [run(workflow, ["MSFT"], market_data=prices) for workflow in (current, retired)]
    assert [round(outcome.outputs["signal"]["MSFT"], 6) for outcome in outcomes] == [0.095477, 0.095477]
