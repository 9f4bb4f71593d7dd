"""What the stack reads from the environment."""

from __future__ import annotations

from pathlib import Path

import pytest

from infra.local.failures import SettingsError
from infra.local.settings import LocalSettings


def test_without_variables_the_stack_lives_in_the_current_folder_on_port_8000(monkeypatch: pytest.MonkeyPatch) -> None:
    """The defaults that the documentation names; the strategies are those of the checkout."""
    for name in ("BLOTTER_HOME", "BLOTTER_PORT", "BLOTTER_STRATEGIES", "DATABASE_URL", "REDIS_URL"):
        monkeypatch.delenv(name, raising=False)
    settings = LocalSettings.from_environment()
    assert (settings.home, settings.port) == (Path(".blotter"), 8000)
    assert Path(settings.strategies).is_absolute()
    assert (Path(settings.strategies) / "sma_crossover.py").exists()
    assert (settings.database_url, settings.redis_url) == (None, None)


@pytest.mark.parametrize("port", ["0", "65536", "eight", ""])
def test_a_port_that_is_none_is_refused_by_the_name_of_its_variable(monkeypatch: pytest.MonkeyPatch, port: str) -> None:
    """The sentence names BLOTTER_PORT and what is wrong with it."""
    monkeypatch.setenv("BLOTTER_PORT", port)
    with pytest.raises(SettingsError, match="BLOTTER_PORT: Input should be"):
        LocalSettings.from_environment()
