"""A step for each of five symbols side by side, between one before and one after; each call leaves a line in a file."""

from shared.workflow import Context, Workflow
from tests.strategies.five_orders import Parameters, note

SYMBOLS = ("AAPL", "GOOG", "IBM", "MSFT", "ORCL")

workflow = Workflow("five-beside", title="Five side by side", parameters=Parameters, max_retries=20)


@workflow.step
def begin(ctx: Context[Parameters]) -> int:
    """Begin."""
    note(ctx, "begin")
    return 1


@workflow.step(each="symbol", parallel=True)
def look(ctx: Context[Parameters], symbol: str, begin: int) -> int:
    """Look at one symbol."""
    note(ctx, f"look:{symbol}")
    return begin + len(symbol)


@workflow.step
def join(ctx: Context[Parameters], look: dict[str, int]) -> dict[str, int]:
    """Give back what every symbol gave."""
    note(ctx, "join")
    return look
