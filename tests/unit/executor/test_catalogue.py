"""What the dispatcher publishes of its strategies: once for each change."""

from services.executor.catalogue import publish
from shared.domain.catalogue_events import CATALOGUE_ID, CataloguePublished
from shared.workflow import Context, Workflow
from shared.workflow.registry import Registry
from tests.builders import stamp
from tests.memory_log import MemoryEventLog


def workflow(*, retired: bool) -> Workflow:
    """A definition of one strategy, the retired one with another step."""
    made = Workflow("changing", title="Changing", retired=retired)

    def old(ctx: Context) -> int:
        return 1

    def new(ctx: Context) -> int:
        return 2

    made.step(old if retired else new)
    return made


def test_a_catalogue_is_published_when_anything_in_it_has_changed() -> None:
    """The current definitions with all that others need of them, the retired ones by name and hash."""
    log, current, old = MemoryEventLog(), workflow(retired=False), workflow(retired=True)
    alone = Registry(workflows={"changing": current}, broken=())
    both = Registry(workflows={"changing": current}, retired=(old,), broken=())
    assert [publish(each, log, stamp()) for each in (alone, alone, both, both)] == [True, False, True, False]

    latest = log.latest(CATALOGUE_ID)
    assert isinstance(latest, CataloguePublished)
    assert [each.definition_hash for each in latest.strategies] == [current.definition_hash]
    assert [(each.strategy_id, each.definition_hash) for each in latest.retired] == [("changing", old.definition_hash)]
