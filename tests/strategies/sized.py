"""Outputs of every kind and size."""

import polars as pl

from shared.workflow import Context, Workflow

workflow = Workflow("sized", title="Outputs of every size")


@workflow.step
def table(ctx: Context) -> pl.DataFrame:
    """A DataFrame: it travels as a Parquet object."""
    return pl.DataFrame({"close": [1.0, 2.5, 4.0]})


@workflow.step
def large(ctx: Context, table: pl.DataFrame) -> str:
    """Text over 64 KiB: it travels as an object too."""
    return "x" * (70 * 1024)


@workflow.step
def small(ctx: Context, table: pl.DataFrame, large: str) -> dict[str, float]:
    """Small JSON: it stands in the log."""
    return {"sum": float(table["close"].sum()), "length": len(large)}
