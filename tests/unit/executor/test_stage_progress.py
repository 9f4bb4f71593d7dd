"""Progress of a run whose members are at work in several processes: the newest one stays, and none too often."""

from __future__ import annotations

from uuid import UUID

import pytest

from services.executor.interruption import Interrupted
from services.executor.progress import FORGET, IN_STAGE, INTERVAL, StageProgress
from shared.domain.execution import WorkflowExecution
from shared.domain.phases import CeleryState, Phase
from shared.result_backend import AFTER_ATTEMPT, ResultMeta
from shared.workflow import Context
from tests.builders import at_join
from tests.memory_log import MemoryEventLog
from tests.unit.executor.bench import Bench, RecordedProgress, looking

SYMBOLS = ("AAPL", "IBM", "MSFT")
TICK = INTERVAL.total_seconds()


class Seconds:
    """A process's own clock, which moves with the bench's."""

    def __init__(self, bench: Bench, monkeypatch: pytest.MonkeyPatch) -> None:
        self._bench, self._start = bench, bench.clock()
        monkeypatch.setattr("services.executor.progress.monotonic", self)

    def __call__(self) -> float:
        """Return the seconds since the start."""
        return (self._bench.clock() - self._start).total_seconds()

    def pass_by(self, seconds: float) -> None:
        """Let time pass."""
        self._bench.clock.forward(seconds=seconds)


def told(bench: Bench) -> list[ResultMeta]:
    """What was told from within stages."""
    return [meta for meta in bench.board.metas if meta.sequence >= IN_STAGE]


def test_a_stage_that_is_over_soon_tells_nothing_of_itself(monkeypatch: pytest.MonkeyPatch) -> None:
    """The run does when it goes on; reading a stage of hundreds for nobody would cost more than its members."""
    bench = Bench(looking(lambda ctx, symbol: symbol))
    seconds = Seconds(bench, monkeypatch)
    run = bench.opened(*SYMBOLS)
    for symbol in SYMBOLS:
        seconds.pass_by(TICK / 4)
        bench.run_member(run, symbol)
    assert told(bench) == []


def test_a_longer_stage_is_told_of_at_most_every_interval(monkeypatch: pytest.MonkeyPatch) -> None:
    """What has ended by then is in it, and the run is at work."""
    symbols = [f"S{number}" for number in range(20)]
    bench = Bench(looking(lambda ctx, symbol: symbol))
    seconds = Seconds(bench, monkeypatch)
    run = bench.opened(*symbols)
    for symbol in symbols[:-1]:
        seconds.pass_by(TICK / 4)
        bench.run_member(run, symbol)
    metas = told(bench)
    assert [len(meta.result["completed_symbols"]) for meta in metas] == [5, 9, 13, 17]
    assert {(meta.status, meta.attempt, meta.task_id) for meta in metas} == {(CeleryState.STARTED, 1, str(run.id))}


def test_what_a_stage_tells_comes_after_what_opened_it_and_before_what_follows(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """By attempt and sequence, which decide what stays in Redis."""
    bench = Bench(looking(lambda ctx, symbol: symbol, trades=True))
    seconds = Seconds(bench, monkeypatch)
    run = bench.opened(*SYMBOLS)
    for symbol in SYMBOLS:
        bench.run_member(run, symbol)
        seconds.pass_by(TICK)
    bench.run(run.id, attempt=2)
    order = [(meta.attempt, meta.sequence) for meta in bench.board.metas]
    assert len(told(bench)) == 1
    assert order == sorted(set(order))
    assert all(sequence < AFTER_ATTEMPT for _, sequence in order)


def test_progress_within_one_step_goes_on_while_nothing_else_happens(monkeypatch: pytest.MonkeyPatch) -> None:
    """Each is newer than the one before, though the log says the same; it names the step and the symbol."""

    def body(ctx: Context, symbol: str) -> str:
        for done in range(5):
            seconds.pass_by(TICK)
            ctx.progress(done, 5, "half way")
        return symbol

    bench = Bench(looking(body))
    seconds = Seconds(bench, monkeypatch)
    run = bench.opened(*SYMBOLS)
    bench.run_member(run, "AAPL")
    metas = told(bench)
    assert [meta.result["step_progress"] for meta in metas] == [
        {"done": done, "total": 5, "message": "half way", "step": "look", "symbol": "AAPL"} for done in (1, 2, 3, 4)
    ]
    sequences = [meta.sequence for meta in metas]
    assert sequences == sorted(set(sequences))


def test_what_another_process_tells_later_is_newer(monkeypatch: pytest.MonkeyPatch) -> None:
    """Neither has seen what the other told; both share the log and the database's time."""

    def body(ctx: Context, symbol: str) -> str:
        for done in range(2):
            ctx.progress(done, 2)
            seconds.pass_by(TICK)
        return symbol

    bench = Bench(looking(body))
    seconds = Seconds(bench, monkeypatch)
    run = bench.opened(*SYMBOLS)
    bench.run_member(run, "AAPL")
    bench.deploy(bench.workflow)
    bench.run_member(run, "IBM")
    bench.deploy(bench.workflow)
    bench.run_member(run, "MSFT")
    sequences = [meta.sequence for meta in told(bench)]
    assert len(sequences) > 3
    assert sequences == sorted(set(sequences))


@pytest.mark.parametrize("phase", [Phase.CANCELLED, Phase.JOINED])
def test_a_run_that_waits_at_no_join_is_not_told_of(phase: Phase, monkeypatch: pytest.MonkeyPatch) -> None:
    """Its end, or its next attempt, says what is to be said."""

    def body(ctx: Context, symbol: str) -> str:
        ctx.progress(0, 2)
        seconds.pass_by(TICK)
        if phase is Phase.CANCELLED:
            bench.cancel(run.id)
        return symbol

    bench = Bench(looking(body))
    seconds = Seconds(bench, monkeypatch)
    run = bench.opened("AAPL")
    bench.run_member(run, "AAPL")
    assert bench.log.execution(run.id).phase is phase
    assert told(bench) == []


def test_an_interrupt_while_progress_is_read_waits_until_it_is_told(monkeypatch: pytest.MonkeyPatch) -> None:
    """It comes then, still within the step, which is called once more."""

    class Disturbed(MemoryEventLog):
        """A log of whose readings of a whole run one is disturbed."""

        def execution(self, task_id: UUID, *, until: int | None = None) -> WorkflowExecution:
            """Interrupt the member that is at work, once, and read."""
            if heard == ["reading"]:
                bench.interruptions.interrupt(run.members["look", "AAPL"].id, 1)
                heard.append("read")
            return super().execution(task_id, until=until)

    def body(ctx: Context, symbol: str) -> str:
        ctx.progress(0, 2)
        seconds.pass_by(TICK)
        if not heard:
            heard.append("reading")
            try:
                ctx.progress(1, 2)
            except Interrupted:
                heard.append("told" if told(bench) else "cut in two")
                raise
        return symbol

    heard: list[str] = []
    bench = Bench(looking(body), log=Disturbed())
    seconds = Seconds(bench, monkeypatch)
    run = bench.opened("AAPL", "IBM")
    bench.run_member(run, "AAPL")
    assert heard == ["reading", "read", "told"]
    assert bench.member(run, "AAPL").phase is Phase.SUCCEEDED


def test_a_process_forgets_the_runs_that_it_has_not_told_of_for_long(monkeypatch: pytest.MonkeyPatch) -> None:
    """It may live for months; one that comes again begins anew."""
    board = RecordedProgress()
    bench = Bench(looking(lambda ctx, symbol: symbol))
    seconds = Seconds(bench, monkeypatch)
    run = at_join()
    progress = StageProgress(board, lambda task_id: run, now=bench.clock)
    progress.tell(run.id)
    seconds.pass_by(FORGET.total_seconds() + 1)
    progress.tell(run.id)
    assert board.metas == []
    seconds.pass_by(TICK)
    progress.tell(run.id)
    assert len(board.metas) == 1


def test_a_step_does_not_fail_by_saying_how_far_it_is(monkeypatch: pytest.MonkeyPatch) -> None:
    """A log that does not answer costs the telling, and nothing else."""

    def away(task_id: UUID) -> WorkflowExecution:
        raise OSError("the server closed the connection")

    def body(ctx: Context, symbol: str) -> str:
        seconds.pass_by(2 * TICK)
        ctx.progress(1, 2)
        return symbol

    bench = Bench(looking(body))
    seconds = Seconds(bench, monkeypatch)
    run = bench.opened(*SYMBOLS)
    bench.run_member(run, "AAPL")
    monkeypatch.setattr(bench.branch_runner._progress, "_load", away)
    for symbol in SYMBOLS[1:]:
        bench.run_member(run, symbol)
    assert bench.log.execution(run.id).phase is Phase.JOINED
