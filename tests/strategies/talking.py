"""A step that says much, by several loggers, also what it should not; it fails before it trades, or for good."""

import logging
import sys

from pydantic import BaseModel

from shared.workflow import Context, Decision, Order, TemporaryError, Workflow

library = logging.getLogger("some.library")


class Parameters(BaseModel):
    """`api_key` is nothing that anybody should read; the step fails in `failures` attempts, or `broken` for good."""

    api_key: str = ""
    failures: int = 0
    broken: bool = False


workflow = Workflow("talking", title="Talks, and trades", parameters=Parameters)


@workflow.step(each="symbol")
def talk(ctx: Context[Parameters], symbol: str) -> int:
    """Say it by the context's logger, by the standard library's, and on a URL."""
    key = ctx.parameters.api_key
    ctx.log.info("asked", url=f"https://ann:{key}@feed.example/bars", parameters=ctx.parameters.model_dump())
    library.warning("the key %s is old", key)
    if ctx.attempt <= ctx.parameters.failures:
        raise TemporaryError(f"the feed refuses {key}")
    if ctx.parameters.broken:
        raise ValueError(f"never with {key}")
    return sys.getsizeof(symbol)


@workflow.step(effect="orders")
def trade(ctx: Context[Parameters], talk: dict[str, int]) -> list[Order]:
    """Buy one of each."""
    decisions = [Decision(symbol=symbol, action="buy", quantity=1, reason="said so") for symbol in talk]
    return [ctx.broker.place(decision) for decision in decisions]
