"""What a step is given: the definition that its run is pinned to, and the context it is called with."""

from collections.abc import Callable
from contextlib import ExitStack
from dataclasses import dataclass
from typing import Any, Protocol

import httpx
import structlog
from pydantic import BaseModel

from services.executor.attempt import Attempt
from services.executor.branch_attempt import BranchAttempt
from services.executor.stamps import Clock
from shared.domain.errors import InvalidInput
from shared.domain.execution_events import Artifact, Submitted
from shared.domain.failures import Failure
from shared.market_data.protocol import MarketData
from shared.objects import ObjectStore
from shared.trading.broker import Broker
from shared.workflow import artifacts
from shared.workflow.context import Collaborators, Context, Placer, Position, Progress
from shared.workflow.registry import Registry
from shared.workflow.workflow import Workflow

logger = structlog.get_logger()


@dataclass(frozen=True, kw_only=True)
class World:
    """What steps reach through their context; each is opened when a step first asks for it."""

    market_data: Callable[[], MarketData]
    broker: Callable[[], Broker]
    http: Callable[[], httpx.Client]


class Keeper(Protocol):
    """Whoever records what a step keeps for people."""

    def keep(self, artifact: Artifact) -> None:
        """Remember an artifact of the running position."""


class NoDefinition(Exception):
    """The run cannot go on on this worker; `failure` says why."""

    def __init__(self, failure: Failure) -> None:
        super().__init__(failure.message)
        self.failure = failure


class Contexts:
    """Makes contexts for the runs of this process."""

    def __init__(self, *, objects: ObjectStore, registry: Registry, world: World, now: Clock) -> None:
        self.objects = objects
        self.world = world
        self._registry = registry
        self._now = now

    def definition(self, submitted: Submitted) -> tuple[Workflow, BaseModel]:
        """Return the definition that a run is pinned to, and its parameters; raises NoDefinition."""
        workflow = self._registry.definition(submitted.strategy_id, submitted.definition_hash)
        if workflow is None:
            known = self._registry.knows(submitted.strategy_id)
            raise NoDefinition(_definition_failure(submitted.strategy_id, known=known))
        try:
            return workflow, workflow.parse(submitted.parameters)
        except InvalidInput as error:
            failure = Failure(type="invalid_parameters", message=error.detail, retryable=False)
            raise NoDefinition(failure) from error

    def of(
        self,
        attempt: Attempt | BranchAttempt,
        parameters: BaseModel,
        *,
        placer: Callable[[Position], Placer],
        keeper: Keeper,
        report: Callable[[Position, Progress], None],
        stack: ExitStack,
    ) -> Context[Any]:
        """Return the context of an attempt; what it opens is closed with `stack`."""
        submitted = attempt.execution.submitted

        def keep(position: Position, name: str, value: Any) -> None:
            keeper.keep(Artifact(name=name, ref=artifacts.keep(name, value, store=self.objects)))

        return Context(
            task_id=str(submitted.originator_id),
            symbols=submitted.symbols,
            parameters=parameters,
            attempt=attempt.number,
            scheduled_at=submitted.scheduled_at,
            collaborators=Collaborators(
                market_data=self.world.market_data,
                http=lambda: stack.enter_context(self.world.http()),
                broker=placer,
                log=logger,
                clock=self._now,
                report=report,
                checkpoint=attempt.checkpoint,
                keep=keep,
            ),
        )


def _definition_failure(strategy_id: str, *, known: bool) -> Failure:
    """Return why a run cannot go on; `known` says that other definitions of its strategy are loaded."""
    if not known:
        return Failure(
            type="strategy_not_loaded",
            message=f"Strategy {strategy_id!r} is not loaded on this worker; see `broken` in GET /api/strategies, "
            "and start workers with the same BLOTTER_STRATEGIES as the dispatcher.",
            retryable=False,
        )
    return Failure(
        type="definition_changed",
        message=f"Strategy {strategy_id!r} has changed its steps or parameters since this run was submitted, and the "
        "old definition is not loaded on this worker (see `broken` in GET /api/strategies if it should be). Keep the "
        "old definition with retired=True until its runs have ended, or submit it again to run the new definition.",
        retryable=False,
    )
