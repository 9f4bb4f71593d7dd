"""The histories: hypothesis chooses what happens next, and every choice does something."""

from collections import Counter

from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, invariant, rule

from shared.domain.phases import Phase
from shared.domain.priority import Priority
from tests.simulation.desk import Desk
from tests.simulation.invariants import Invariants
from tests.simulation.processes import Worker
from tests.simulation.surroundings import Fault, Message, seconds
from tests.simulation.workflows import Trouble

ANY = st.integers(0, 7)
POINTS = st.integers(1, 12)
USUAL = st.integers(1, 5)
TROUBLES = st.builds(
    Trouble,
    st.sampled_from([0, 0, 0, 1, 2, 9]),
    for_good=st.sampled_from([False, False, True]),
    deadly=st.sampled_from([False] * 7 + [True]),
)

STRATEGIES = st.sampled_from(["looking", "spreading", "trading"])
TIMEOUTS = st.sampled_from([600.0, 600.0, 20.0, 5.0])


class Histories(RuleBasedStateMachine):
    """A desk to which anything may happen; `coverage` counts what did: rules, events by topic, ends of runs."""

    def __init__(self, coverage: Counter[str]) -> None:
        super().__init__()
        self.coverage = coverage

    @initialize(refuses_duplicates=st.booleans(), timeout_seconds=TIMEOUTS, trouble=TROUBLES, troubled=STRATEGIES)
    def begin(self, refuses_duplicates: bool, timeout_seconds: float, trouble: Trouble, troubled: str) -> None:
        """Open the desk, with work for more than its two slots."""
        self.desk = Desk(refuses_duplicates)
        self.promises = Invariants(self.desk)
        for strategy, level in (("spreading", Priority.LOW), ("trading", Priority.LOW), ("trading", Priority.NORMAL)):
            self._submit(strategy, level, "ada", Trouble(), timeout_seconds)
        self._submit(troubled, Priority.NORMAL, "bob", trouble, 600.0)

    def _begin_to_work(self, points: int) -> None:
        self.desk.dispatcher.turn()
        for worker in self.desk.workers:
            worker.take()
            worker.advance(0, points)

    def _submit(self, strategy: str, level: Priority, user: str, trouble: Trouble, timeout_seconds: float) -> None:
        self.desk.submit(strategy, level, user, trouble, timeout_seconds)

    @rule(
        strategy=STRATEGIES,
        level=st.sampled_from(Priority),
        user=st.sampled_from(["ada", "bob"]),
        trouble=TROUBLES,
        timeout_seconds=TIMEOUTS,
    )
    def submit(self, strategy: str, level: Priority, user: str, trouble: Trouble, timeout_seconds: float) -> None:
        """One more run, while there are few."""
        if sum(not self.desk.run(number).phase.ended for number in range(len(self.desk.tasks))) < 6:
            self._submit(strategy, level, user, trouble, timeout_seconds)

    @rule(strategy=STRATEGIES, level=st.sampled_from(Priority))
    def hold(self, strategy: str, level: Priority) -> None:
        """A schedule submits a run that is to wait for the one before it, one at a time."""
        if not any(self.desk.run(number).phase is Phase.HELD for number in range(len(self.desk.tasks))):
            self.desk.submit(strategy, level, "ada", Trouble(), 600.0, held=True)

    @rule()
    def release(self) -> None:
        """The schedule lets it go."""
        self.desk.release()

    @rule(quarters=st.integers(1, 4), points=USUAL)
    def usual(self, quarters: int, points: int) -> None:
        """Everything as it should be, for up to a second."""
        for _ in range(quarters):
            self.desk.quarter(points)

    @rule(quarters=st.integers(4, 8), points=USUAL)
    def usual_for_longer(self, quarters: int, points: int) -> None:
        """The same for up to three."""
        self.usual(quarters, points)

    @rule(worker=ANY, slot=ANY, points=POINTS)
    def work(self, worker: int, slot: int, points: int) -> None:
        """One attempt goes on, the others do not."""
        chosen = self.desk.workers[worker % 2]
        chosen.take()
        chosen.advance(slot, points)

    @rule(points=POINTS)
    def dispatch(self, points: int) -> None:
        """The dispatcher gets some way through its turn."""
        self.desk.dispatcher.advance(points)

    @rule(points=POINTS)
    def resolve(self, points: int) -> None:
        """The resolver gets some way through its turn."""
        self.desk.resolver.advance(points)

    @rule(duration=st.sampled_from([0.5, 1, 2, 3.5, 8, 70]), points=POINTS)
    def wait(self, duration: float, points: int) -> None:
        """Time passes in the middle of what the workers are at, and nobody but the heartbeats does anything."""
        self._begin_to_work(points)
        self.desk.pass_time(seconds(duration))

    @rule(points=POINTS)
    def urgent(self, points: int) -> None:
        """A run comes that is more urgent than what the workers are at."""
        self._begin_to_work(points)
        self._submit("looking", Priority.HIGH, "bob", Trouble(), 600.0)
        self._press()

    def _press(self) -> None:
        """Have the dispatcher see who waits without a slot."""
        self.desk.pass_time(seconds(0.25))
        self.desk.dispatcher.turn()

    @rule(number=ANY, points=POINTS, force=st.booleans())
    def cancel(self, number: int, points: int, force: bool) -> None:
        """Somebody wants a run to stop, perhaps one that is at work."""
        self._begin_to_work(points)
        self.desk.cancel(number, force=force)
        self.desk.dispatcher.turn()

    @rule(worker=ANY, points=st.integers(0, 4))
    def cancel_beside(self, worker: int, points: int) -> None:
        """Somebody wants a run to stop whose branches are just being claimed, or at work."""
        chosen = self._with_branches(worker)
        chosen.advance(0, points)
        for message, _ in chosen.attempts:
            if message.step is not None:
                self.desk.cancel(self.desk.tasks.index(message.task_id))
        self.desk.dispatcher.turn()
        chosen.advance(0, points)

    @rule(worker=ANY, points=POINTS)
    def urgent_beside(self, worker: int, points: int) -> None:
        """Runs come, one for each slot, that are more urgent than the branches that are at work."""
        chosen = self._with_branches(worker)
        for _ in self.desk.workers:
            self._submit("looking", Priority.HIGH, "bob", Trouble(), 600.0)
        self._press()
        chosen.advance(0, points)

    def _with_branches(self, worker: int) -> Worker:
        """Let things take their course until a worker has a branch, if it gets one soon."""
        chosen = self.desk.workers[worker % 2]
        for _ in range(12):
            if any(message.step is not None for message, _ in chosen.attempts):
                break
            self.desk.quarter(3)
        return chosen

    @rule(level=st.sampled_from(Priority), paused=st.booleans(), points=POINTS)
    def pause_or_resume(self, level: Priority, paused: bool, points: int) -> None:
        """An admin does, and the dispatcher gets some way through its turn."""
        (self.desk.pause if paused else self.desk.resume)(level)
        self.desk.dispatcher.advance(points)

    @rule(number=ANY)
    def go_on(self, number: int) -> None:
        """Somebody wants a run to go on that waits for a retry, or that has failed or was cancelled."""
        self.desk.go_on(number)

    @rule(worker=ANY, points=POINTS)
    def kill_worker(self, worker: int, points: int) -> None:
        """kill -9, wherever its attempts are."""
        chosen = self.desk.workers[worker % 2]
        chosen.take()
        for slot in range(len(chosen.attempts)):
            chosen.advance(slot, points)
        chosen.kill()

    @rule(worker=ANY, slot=ANY, points=POINTS)
    def kill_child(self, worker: int, slot: int, points: int) -> None:
        """kill -9 of one child, wherever it is."""
        chosen = self.desk.workers[worker % 2]
        chosen.take()
        chosen.advance(slot, points)
        chosen.kill_child(slot)

    @rule(points=st.integers(4, 9))
    def wear_down(self, points: int) -> None:
        """Children die again and again, each time a little further."""
        for _ in range(4):
            self._begin_to_work(points)
            for worker in self.desk.workers:
                worker.kill_child(0)
            self.usual(2, 1)

    @rule(worker=ANY, stopped=st.booleans())
    def stop_or_continue(self, worker: int, stopped: bool) -> None:
        """SIGSTOP or SIGCONT."""
        if stopped:
            self.desk.workers[worker % 2].stop()
        else:
            self.desk.workers[worker % 2].stopped = False

    @rule(worker=ANY, before=POINTS, meanwhile=USUAL, after=POINTS)
    def oversleep(self, worker: int, before: int, meanwhile: int, after: int) -> None:
        """A worker sleeps until others have its runs, and goes on as if nothing had happened."""
        self._begin_to_work(before)
        sleeper = self.desk.workers[worker % 2]
        sleeper.stop()
        self.usual(20, meanwhile)
        sleeper.stopped = False
        sleeper.advance(0, after)

    @rule(cuts=st.lists(st.booleans(), min_size=1, max_size=2))
    def cut_the_log(self, cuts: list[bool]) -> None:
        """The next appends break off, before or after they are stored."""
        self.desk.log.cuts[:] = cuts

    @rule(points=POINTS, beyond=st.booleans())
    def kill_dispatcher(self, points: int, beyond: bool) -> None:
        """kill -9 in the middle of a turn; beyond it a new one begins."""
        self.desk.dispatcher.advance(points)
        self.desk.dispatcher.kill()
        if beyond:
            self.desk.dispatcher.turn()

    @rule(points=POINTS)
    def kill_resolver(self, points: int) -> None:
        """kill -9 in the middle of a turn."""
        self.desk.resolver.advance(points)
        self.desk.resolver.kill()

    @rule(points=POINTS)
    def fail_over(self, points: int) -> None:
        """The leader falls asleep in the middle of a turn, and a replica leads."""
        self.desk.dispatcher.advance(points)
        self.desk.fail_over()

    @rule(number=ANY, points=POINTS)
    def wake_a_ghost(self, number: int, points: int) -> None:
        """A former leader wakes up and goes on."""
        if self.desk.ghosts:
            self.desk.ghosts[number % len(self.desk.ghosts)].advance(points)

    @rule(up=st.booleans())
    def redis_goes_or_comes(self, up: bool) -> None:
        """Redis is away, or back with all that it held."""
        self.desk.redis.up = up

    @rule()
    def wipe(self) -> None:
        """Redis has lost everything."""
        self.desk.redis.wipe()

    @rule(number=ANY)
    def lose_a_message(self, number: int) -> None:
        """A pointer is gone."""
        if self.desk.redis.messages:
            self.desk.redis.messages.pop(number % len(self.desk.redis.messages))

    @rule(number=ANY, attempt=st.integers(1, 4))
    def repeat_a_message(self, number: int, attempt: int) -> None:
        """A pointer comes again, whatever became of its attempt, or before its time."""
        run = self.desk.run(number)
        queue = str(run.submitted.priority)
        self.desk.redis.messages.append(Message(run.id, run.id, attempt, queue))
        for branch in list(run.branches.values())[:: 1 + number]:
            again = Message(branch.id, run.id, attempt, queue, branch.opening, branch.step, branch.symbol)
            self.desk.redis.messages.append(again)

    @rule(faults=st.lists(st.sampled_from(Fault), min_size=1, max_size=3))
    def trouble_the_venue(self, faults: list[Fault]) -> None:
        """The next submissions go wrong."""
        self.desk.venue.faults[:] = faults

    @rule(questions=st.integers(1, 3))
    def silence_the_venue(self, questions: int) -> None:
        """The next questions are not answered."""
        self.desk.venue.silent = questions

    @rule()
    def let_orders_arrive(self) -> None:
        """What was late is there."""
        self.desk.venue.deliver()

    @invariant()
    def holds(self) -> None:
        """Every promise, after every rule."""
        if hasattr(self, "desk"):
            self.promises.check()
            self.coverage["rules"] += 1

    def teardown(self) -> None:
        """Everything comes to rest, and nothing was lost."""
        if not hasattr(self, "desk"):
            return
        try:
            self.desk.settle()
            self.promises.check_rest()
            self._count()
        finally:
            self.desk.close()

    def _count(self) -> None:
        self.coverage["histories"] += 1
        self.coverage["calls"] += len(self.desk.calls)
        for recorded in self.desk.log.read(0, limit=100_000):
            self.coverage[recorded.event.TOPIC] += 1
        for run in self.promises.runs.values():
            self.coverage[f"ended {run.failure.failure.type if run.failure else run.phase}"] += 1
