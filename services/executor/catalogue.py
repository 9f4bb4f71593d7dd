"""Publishes what strategies this executor has loaded, so that others know them without their code."""

import structlog

from shared.domain.catalogue_events import CATALOGUE_ID, CataloguePublished
from shared.domain.errors import VersionConflict
from shared.domain.events import Stamp
from shared.log.event_log import EventLog
from shared.workflow.registry import Registry

logger = structlog.get_logger()


def publish(registry: Registry, log: EventLog, stamp: Stamp) -> bool:
    """Append the catalogue to the log unless it says the same already; return whether it was appended."""
    for broken in registry.broken:
        logger.error("strategy.broken", file=broken.file, error=broken.error)
    strategies, retired = registry.descriptions(), registry.retired_definitions()
    while True:
        published = log.latest(CATALOGUE_ID)
        if isinstance(published, CataloguePublished) and (
            published.strategies,
            published.retired,
            published.broken,
        ) == (strategies, retired, registry.broken):
            return False
        version = published.originator_version + 1 if published else 1
        try:
            log.append(
                [
                    CataloguePublished(
                        originator_id=CATALOGUE_ID,
                        originator_version=version,
                        at=stamp.at,
                        actor=stamp.actor,
                        append_id=stamp.append_id,
                        strategies=strategies,
                        retired=retired,
                        broken=registry.broken,
                    )
                ]
            )
        except VersionConflict:
            continue
        logger.info("catalogue.published", strategies=[s.strategy_id for s in strategies], version=version)
        return True
