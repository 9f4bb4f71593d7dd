"""Three steps side by side for each symbol, each on a small value: what the bench counts."""

from shared.workflow import Context, Workflow

workflow = Workflow("fanning-w5x", title="W5x")


@workflow.step(each="symbol", parallel=True)
def first(ctx: Context, symbol: str) -> dict[str, int]:
    """Begin."""
    return {"value": len(symbol)}


@workflow.step(each="symbol", parallel=True)
def second(ctx: Context, symbol: str, first: dict[str, int]) -> dict[str, int]:
    """Go on."""
    return {"value": first["value"] + 1}


@workflow.step(each="symbol", parallel=True)
def third(ctx: Context, symbol: str, second: dict[str, int]) -> dict[str, int]:
    """End."""
    return {"value": second["value"] * 2}
