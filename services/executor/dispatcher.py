"""The dispatcher's process: `python -m services.executor.dispatcher`.

It publishes the catalogue of strategies, then follows the log four times: to send waiting runs to the workers, to
copy the ends of runs into Celery's result backend, to settle the orders that no run settles, and to have workers leave
that are to. Replicas stand by.
"""

from datetime import timedelta
from functools import partial

import redis
import sqlalchemy as sa

from services.executor.app import create_app
from services.executor.catalogue import publish
from services.executor.commands import Commands
from services.executor.dispatching import Dispatcher
from services.executor.drains import Drains
from services.executor.final_results import FinalResults
from services.executor.pointers import CelerySender
from services.executor.process import broker
from services.executor.reconciler import RedisScout
from services.executor.resolver import Resolver
from services.executor.settings import ExecutorSettings
from services.executor.store import LiveRunStore, open_order_store
from shared.domain.events import Stamp
from shared.log.clock import DatabaseClock, database_time
from shared.log.event_log import EventLog
from shared.log.follower import Follower
from shared.log.positions import ASYNCHRONOUS_COMMIT
from shared.log.process import run_followers
from shared.logging import configure_logging
from shared.objects import open_store
from shared.telemetry import configure_telemetry
from shared.workflow.registry import load_strategies

DISPATCH_PACE = timedelta(milliseconds=10)
RESULTS_PACE = timedelta(milliseconds=20)
ORDERS_PACE = timedelta(milliseconds=200)
"""Most orders have their outcome within it, and are never written as open."""


def main() -> None:
    """Compose the process and run it until it is told to stop."""
    settings = ExecutorSettings()
    configure_logging(settings.log_format, settings.log_level)
    configure_telemetry("executor.dispatcher", settings.telemetry_options)
    log = EventLog(settings.database_url, open_store=partial(open_store, settings))
    clock = DatabaseClock(partial(database_time, settings.database_url))
    engine = sa.create_engine(settings.sqlalchemy_url, connect_args={"options": ASYNCHRONOUS_COMMIT})
    publish(load_strategies(settings.strategies), log, Stamp(at=clock.adjusted(), actor=Dispatcher.name))
    client = redis.Redis.from_url(settings.redis_url, socket_timeout=1, socket_connect_timeout=1)
    dispatcher = Dispatcher(
        log,
        LiveRunStore(engine, Dispatcher.name),
        CelerySender(create_app(settings), client),
        RedisScout(client),
        settings.dispatch_policy,
        now=clock.adjusted,
    )
    results = FinalResults(
        log,
        engine,
        redis.Redis.from_url(settings.redis_url, socket_timeout=2, socket_connect_timeout=1),
        open_store(settings),
        now=clock.adjusted,
    )
    resolver = Resolver(
        log,
        open_order_store(engine, Resolver.name),
        broker,
        patience=timedelta(seconds=settings.order_patience_seconds),
        pace=timedelta(seconds=settings.order_pace_seconds),
        now=clock.adjusted,
    )
    drains = Drains(engine, client, Commands(create_app(settings)), now=clock.adjusted)
    run_followers(
        [
            Follower(log, settings.database_url, dispatcher, pace=DISPATCH_PACE),
            Follower(log, settings.database_url, results, pace=RESULTS_PACE),
            Follower(log, settings.database_url, resolver, pace=ORDERS_PACE),
            Follower(log, settings.database_url, drains),
        ]
    )
    log.close()


if __name__ == "__main__":
    main()
