"""Settings of the dispatcher and of workers."""

from datetime import timedelta
from enum import StrEnum

from pydantic import Field, SecretStr, model_validator

from services.executor.policy import DispatchPolicy, PreemptionPolicy
from services.executor.queues import CONSUMED, check_order
from shared.alpaca import DATA_URL, TRADING_URL
from shared.settings import Settings


class Venue(StrEnum):
    """Where prices come from, or where orders go."""

    LOCAL = "local"
    ALPACA = "alpaca"


class ExecutorSettings(Settings):
    """What an executor needs beyond the log and Redis."""

    strategies: str = Field("strategies", description="comma-separated folders and module names")
    worker_name: str = Field("executor@%h", description="%h is the host's name; unique among all workers")
    worker_concurrency: int = Field(2, ge=1, le=256, description="tasks a worker runs at once")
    worker_pool: str = Field("prefork", pattern="^(prefork|threads)$")
    worker_queues: str = Field(",".join(CONSUMED), description="queues to consume, in the order of priority")
    worker_max_memory_kb: int | None = Field(None, ge=1, description="a child over this is replaced after its task")
    worker_max_tasks: int | None = Field(None, ge=1, description="a child is replaced after so many tasks")
    worker_seen_seconds: float = Field(
        3_600.0, gt=0, description="how long a worker that is gone is still listed, as unresponsive or offline"
    )
    window: int = Field(20, ge=1, description="runs of a level that may wait in Redis at once")
    max_losses: int = Field(3, ge=1, description="workers that a run may lose without completing a step in between")
    cancel_grace_seconds: float = Field(5.0, gt=0, description="for a cancelled run to stop before its child is killed")
    aging_seconds: float = Field(300.0, gt=0, description="waiting after which a run may go before higher ones")
    preemption_slice_seconds: float = Field(1.0, ge=0, description="what a resumed run keeps its worker for, at least")
    preemption_limit: int = Field(5, ge=0, description="preemptions after which a run keeps its worker to the end")
    order_patience_seconds: float = Field(
        86_400.0, gt=0, description="how long the venue is asked for an order of a run that has ended"
    )
    order_pace_seconds: float = Field(
        0.5, ge=0, description="between two questions for orders that the venue has taken and not filled"
    )
    market_data: Venue = Venue.LOCAL
    broker: Venue = Venue.LOCAL
    alpaca_trading_url: str = TRADING_URL
    alpaca_data_url: str = DATA_URL
    alpaca_key_id: str | None = None
    alpaca_secret_key: SecretStr | None = None
    paper_account: str = "default"
    paper_cash: int = Field(1_000_000, ge=0, description="cash a new paper account starts with, in USD")
    http_timeout_seconds: float = Field(10.0, gt=0, description="for requests of steps, and to Alpaca")
    result_ttl_seconds: int = Field(86_400, ge=1, description="for results that lack a time to live of their own")
    projection_lag_warning_seconds: float = Field(5.0, gt=0)

    @property
    def threads(self) -> bool:
        """Tell whether tasks run in threads of the worker, which nothing can end from outside."""
        return self.worker_pool == "threads"

    @property
    def dispatch_policy(self) -> DispatchPolicy:
        """Return what the dispatcher decides by."""
        return DispatchPolicy(
            window=self.window,
            max_losses=self.max_losses,
            cancel_grace=timedelta(seconds=self.cancel_grace_seconds),
            aging=timedelta(seconds=self.aging_seconds),
            preemption=PreemptionPolicy(
                slice=timedelta(seconds=self.preemption_slice_seconds), limit=self.preemption_limit
            ),
        )

    @property
    def queues(self) -> tuple[str, ...]:
        """Return the queues this worker consumes."""
        return tuple(queue.strip() for queue in self.worker_queues.split(",") if queue.strip())

    @model_validator(mode="after")
    def _check(self) -> "ExecutorSettings":
        check_order(self.queues)
        uses_alpaca = Venue.ALPACA in (self.market_data, self.broker)
        if uses_alpaca and not (self.alpaca_key_id and self.alpaca_secret_key):
            raise ValueError("set BLOTTER_ALPACA_KEY_ID and BLOTTER_ALPACA_SECRET_KEY to use Alpaca")
        return self
