"""The stages that a run has opened, and their branches: each is made when somebody first asks for it.

A member's worker needs few of many, and a stage may have hundreds; so does whoever only looks at the run itself.
"""

from collections.abc import Collection, Iterable, Iterator
from typing import TYPE_CHECKING
from uuid import UUID

from shared.domain.branch import Branch
from shared.domain.execution_events import Member
from shared.domain.execution_records import StepKey

if TYPE_CHECKING:
    from shared.domain.stage_decisions import StageDecisions


class OpenedStages:
    """The members of all stages of one run, by the stage's number, its step and symbol."""

    def __init__(self, run: "StageDecisions") -> None:
        self._run = run
        self._stages: dict[int, dict[StepKey, Branch | None]] = {}
        self._newest: dict[StepKey, int] = {}

    def open(self, opening: int, members: Iterable[Member]) -> None:
        """Take in that a stage was opened."""
        keys = [(member.step, member.symbol) for member in members]
        self._stages[opening] = dict.fromkeys(keys)
        self._newest.update(dict.fromkeys(keys, opening))

    def branch(self, opening: int, step: str, symbol: str | None) -> Branch | None:
        """Return a member of a stage, None when the stage has none of this step and symbol."""
        stage = self._stages.get(opening, {})
        if (step, symbol) not in stage:
            return None
        known = stage[step, symbol]
        if known is None:
            known = stage[step, symbol] = Branch(self._run, opening, step, symbol)
        return known

    def newest(self, step: str, symbol: str | None) -> Branch | None:
        """Return the branch of a step and symbol in the last stage that had it, None when none has."""
        opening = self._newest.get((step, symbol))
        return None if opening is None else self.branch(opening, step, symbol)

    def members(self) -> dict[StepKey, Branch]:
        """Return the branch of each step and symbol, in the last stage that had it."""
        return {
            (step, symbol): branch for step, symbol in self._newest if (branch := self.newest(step, symbol)) is not None
        }

    def of(self, opening: int) -> list[Branch]:
        """Return the members of one stage."""
        return list(self._made(opening, self._stages.get(opening, ())))

    def newest_first(self, opening: int) -> Iterator[UUID]:
        """Yield the streams of one stage's members, the last ones first."""
        return (branch.id for branch in self._made(opening, reversed(self._stages.get(opening, {}))))

    def touched(self, *, after: int) -> Iterator[Branch]:
        """Yield the branches of later stages than `after` that anybody has asked for: no other one has an event."""
        for opening, stage in self._stages.items():
            if opening > after:
                yield from (branch for branch in stage.values() if branch is not None)

    def of_steps(self, steps: Collection[str], symbol: str | None) -> list[Branch]:
        """Return the branches of some steps, those for `symbol` and for none, or all if it is None."""
        return [
            branch
            for opening, stage in self._stages.items()
            for branch in self._made(
                opening, [key for key in stage if key[0] in steps and (symbol is None or key[1] in (None, symbol))]
            )
        ]

    def all(self) -> dict[UUID, Branch]:
        """Return every branch by its stream."""
        return {branch.id: branch for opening in self._stages for branch in self.of(opening)}

    def forget_members(self) -> None:
        """Let no stage be the newest of anything: what comes next is opened anew."""
        self._newest.clear()

    def _made(self, opening: int, keys: Iterable[StepKey]) -> Iterator[Branch]:
        for step, symbol in keys:
            branch = self.branch(opening, step, symbol)
            assert branch is not None
            yield branch
