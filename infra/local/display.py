"""What the person at the terminal sees while a stack starts, runs and stops."""

from __future__ import annotations

import time
from collections.abc import Sequence

from rich.console import Console
from rich.live import Live
from rich.spinner import Spinner
from rich.table import Table
from rich.text import Text

from infra.local.record import ProcessRecord, ProcessState

_MARKS = {
    ProcessState.RUNNING: Text("*", style="green"),
    ProcessState.GIVEN: Text("*", style="blue"),
    ProcessState.RESTARTING: Text("!", style="yellow"),
    ProcessState.KILLED: Text("!", style="red"),
    ProcessState.STOPPED: Text("-", style="dim"),
    ProcessState.LEFT: Text("-", style="yellow"),
}


class PatientConsole(Console):
    """A console whose reader may leave: a stack does not end because `head` has seen enough."""

    def on_broken_pipe(self) -> None:
        """Say nothing any more."""
        self.quiet = True


class Display:
    """A live table on a terminal; one line per event elsewhere."""

    def __init__(self, console: Console) -> None:
        """Nothing is drawn before the first call."""
        self._console = console
        self._live: Live | None = None
        self._began = time.monotonic()
        self._told: set[tuple[str, ProcessState, int]] = set()

    def say(self, sentence: str) -> None:
        """One line, on any kind of output."""
        try:
            self._console.print(sentence, markup=False, highlight=False, soft_wrap=True)
        except OSError:  # the terminal is gone
            self._console.quiet = True

    def show(self, headline: str, processes: Sequence[ProcessRecord]) -> None:
        """The state of every process; drawn in place on a terminal, told once a change elsewhere."""
        if not self._console.is_terminal:
            self.tell(processes)
            return
        self._told.update(_key(process) for process in processes)
        try:
            if self._live is None:
                self._live = Live(console=self._console, auto_refresh=False, transient=True)
                self._live.start()
            self._live.update(self._table(headline, processes), refresh=True)
        except OSError:
            self._console.quiet = True

    def settle(self) -> None:
        """Take the live table away, for plain lines to follow."""
        if self._live is not None:
            try:
                self._live.stop()
            except OSError:
                self._console.quiet = True
            self._live = None

    def seconds(self) -> float:
        """How long it has been since the display was made."""
        return time.monotonic() - self._began

    def tell(self, processes: Sequence[ProcessRecord]) -> None:
        """A line for every process that has changed since it was last shown or told."""
        for process in processes:
            if process.state in (ProcessState.WAITING, ProcessState.STARTING) or _key(process) in self._told:
                continue
            self._told.add(_key(process))
            self.say(f"{self.seconds():6.1f} s  {process.name} {_words(process)}")

    def _table(self, headline: str, processes: Sequence[ProcessRecord]) -> Table:
        table = Table.grid(padding=(0, 1))
        table.add_row(Spinner("dots"), Text(headline))
        for process in processes:
            table.add_row(_MARKS.get(process.state, Text(" ")), Text(f"{process.name:<12}{_words(process)}"))
        return table


def _key(process: ProcessRecord) -> tuple[str, ProcessState, int]:
    return process.name, process.state, process.restarts


def _words(process: ProcessRecord) -> str:
    words: str = process.state.value
    if process.port is not None and process.state == ProcessState.RUNNING:
        words += f" on port {process.port}"
    if process.state == ProcessState.RESTARTING:
        words += f", it ended with code {process.last_exit}"
    if process.state == ProcessState.LEFT:
        words += ", as it was told to, and is not started again before the next `blotter up`"
    return words
