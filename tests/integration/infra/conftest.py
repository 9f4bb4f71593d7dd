"""Running commands, and what they speak to."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from infra.cli.app import main
from infra.local.ports import free_port
from tests.integration.infra.commands import Blotter, Ended
from tests.integration.infra.fake_gateway import FakeGateway, fake_gateway


@pytest.fixture
def blotter(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str], tmp_path: Path) -> Blotter:
    """Run a command in this process, with a BLOTTER_HOME where nothing runs."""
    for name in ("DATABASE_URL", "REDIS_URL", "BLOTTER_URL", "BLOTTER_API_KEY"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setenv("BLOTTER_HOME", str(tmp_path / "home"))
    monkeypatch.setenv("BLOTTER_PORT", str(free_port()))

    def run(*arguments: str) -> Ended:
        monkeypatch.setattr("sys.argv", ["blotter", *arguments])
        with pytest.raises(SystemExit) as ended:
            main()
        said = capsys.readouterr()
        return Ended(int(ended.value.code or 0), said.out, said.err)

    return run


@pytest.fixture
def gateway(monkeypatch: pytest.MonkeyPatch, blotter: Blotter) -> Iterator[FakeGateway]:
    """A gateway that BLOTTER_URL names."""
    with fake_gateway() as fake:
        monkeypatch.setenv("BLOTTER_URL", fake.url)
        yield fake
