"""The work W3 of the measurements: three sequential steps on a small dict."""

from shared.workflow import Context, Workflow

workflow = Workflow("three-steps", title="Three steps on a small dict")


@workflow.step
def first(ctx: Context) -> dict[str, int]:
    """Begin."""
    return {"n": 7, "k1": 8}


@workflow.step
def second(ctx: Context, first: dict[str, int]) -> dict[str, int]:
    """Add a key."""
    return {**first, "k2": first["n"] + 2}


@workflow.step
def third(ctx: Context, second: dict[str, int]) -> dict[str, int]:
    """Add another."""
    return {**second, "k3": second["n"] + 3}
