"""What a worker process needs to run tasks, composed once in each child: never before the fork."""

import logging
from decimal import Decimal
from functools import lru_cache, partial

import httpx
import redis
import sqlalchemy as sa
from celery import signals

from services.executor.branch_runner import BranchRunner
from services.executor.contexts import Contexts, World
from services.executor.interruption import Interruptions, NoAlarm, ProcessAlarm
from services.executor.paper_book import SqlBook
from services.executor.progress import RedisBoard
from services.executor.runner import Runner
from services.executor.settings import ExecutorSettings, Venue
from shared.alpaca import AlpacaKey, connect
from shared.log.clock import DatabaseClock
from shared.log.event_log import EventLog
from shared.logging import configure_logging
from shared.market_data.alpaca import AlpacaMarketData
from shared.market_data.files import FileMarketData
from shared.market_data.protocol import MarketData
from shared.objects import open_store
from shared.telemetry import configure_telemetry, flush_telemetry
from shared.telemetry.http import TracedClient
from shared.trading.alpaca import AlpacaBroker
from shared.trading.broker import Broker
from shared.trading.paper import PaperBroker
from shared.workflow.registry import load_strategies

CHATTER = ("celery.worker.strategy", "celery.app.trace")
"""Loggers that say of each message what our own lines say of each run."""


@lru_cache(maxsize=1)
def settings() -> ExecutorSettings:
    """Return this process's settings, read once."""
    return ExecutorSettings()


@lru_cache(maxsize=1)
def log() -> EventLog:
    """Return this process's event log."""
    return EventLog(settings().database_url, open_store=partial(open_store, settings()))


@lru_cache(maxsize=1)
def clock() -> DatabaseClock:
    """Return the clock of this process's runs; it is adjusted between runs only, where no interrupt can hit it."""
    return DatabaseClock(log().now)


@lru_cache(maxsize=1)
def contexts() -> Contexts:
    """Return what steps of this process are given."""
    own = settings()
    return Contexts(
        objects=open_store(own),
        registry=load_strategies(own.strategies),
        world=World(market_data=market_data, broker=broker, http=http_client),
        now=clock(),
    )


@lru_cache(maxsize=1)
def board() -> RedisBoard:
    """Return where runs of this process show their progress."""
    return RedisBoard(redis.Redis.from_url(settings().redis_url))


@lru_cache(maxsize=1)
def runner() -> Runner:
    """Return this process's runner, composed at the first call."""
    return Runner(log=log(), contexts=contexts(), board=board(), now=clock(), interruptions=interruptions())


@lru_cache(maxsize=1)
def branch_runner() -> BranchRunner:
    """Return this process's runner of branches."""
    return BranchRunner(log=log(), contexts=contexts(), board=board(), now=clock(), interruptions=interruptions())


@lru_cache(maxsize=1)
def interruptions() -> Interruptions:
    """Return the attempts of this process, as those who interrupt them address them."""
    return Interruptions(NoAlarm if settings().threads else ProcessAlarm)


@lru_cache(maxsize=1)
def market_data() -> MarketData:
    """Return the source of prices that the settings name."""
    match settings().market_data:
        case Venue.LOCAL:
            return FileMarketData()
        case Venue.ALPACA:
            return AlpacaMarketData(_alpaca(settings().alpaca_data_url))


@lru_cache(maxsize=1)
def broker() -> Broker:
    """Return the broker that the settings name; the paper account is opened with its first use."""
    own = settings()
    match own.broker:
        case Venue.LOCAL:
            book = SqlBook(sa.create_engine(own.sqlalchemy_url, pool_pre_ping=True))
            book.open_account(own.paper_account, Decimal(own.paper_cash))
            return PaperBroker(book, market_data(), account_id=own.paper_account)
        case Venue.ALPACA:
            return AlpacaBroker(_alpaca(own.alpaca_trading_url))


def http_client() -> httpx.Client:
    """Return a client for steps: no request of it hangs for ever."""
    return TracedClient(timeout=settings().http_timeout_seconds, follow_redirects=True)


def _alpaca(base_url: str) -> httpx.Client:
    own = settings()
    if own.alpaca_key_id is None or own.alpaca_secret_key is None:
        raise AssertionError("ExecutorSettings has checked that both are set")
    key = AlpacaKey(key_id=own.alpaca_key_id, secret=own.alpaca_secret_key.get_secret_value())
    return connect(base_url, key, timeout=httpx.Timeout(own.http_timeout_seconds))


def compose() -> None:
    """Compose the runner before the first task comes, so that the first task does not pay for it."""
    configure_telemetry("executor.worker", settings().telemetry_options)
    runner()
    branch_runner()


@signals.setup_logging.connect
def set_up_logging(**_: object) -> None:
    """Keep Celery from configuring logs in its own way."""
    configure_logging(settings().log_format, settings().log_level)
    for name in CHATTER:
        logging.getLogger(name).setLevel(logging.WARNING)


@signals.worker_init.connect
def compose_for_threads(**_: object) -> None:
    """Compose in the one process of a pool of threads, where no child is ever started."""
    if settings().threads:
        compose()


@signals.worker_process_init.connect
def compose_in_child(**_: object) -> None:
    """Compose in each child of a pool of processes, and take its signals."""
    compose()
    interruptions().listen()


@signals.worker_process_shutdown.connect
def flush_in_child(**_: object) -> None:
    """Let a child that ends in peace write what it has to say."""
    flush_telemetry()
