"""What can happen to the catalogue of strategies: one stream for all of it."""

from typing import ClassVar
from uuid import UUID

from shared.domain.catalogue import BrokenStrategy, RetiredDefinition, StrategyDescription
from shared.domain.events import EVENTS, Event

CATALOGUE_ID = UUID("6f0c4a0e-5f5d-5b0a-9d0b-0b6a7c1f2e30")
"""The id of the catalogue's stream."""


@EVENTS.add
class CataloguePublished(Event, frozen=True, kw_only=True):
    """An executor has loaded its strategies; this replaces what was published before."""

    TOPIC: ClassVar[str] = "catalogue.published"

    strategies: tuple[StrategyDescription, ...]
    broken: tuple[BrokenStrategy, ...] = ()
    retired: tuple[RetiredDefinition, ...] = ()
