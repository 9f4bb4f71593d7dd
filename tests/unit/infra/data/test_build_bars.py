"""The adjustment that the shipped bars went through."""

from datetime import date

import polars as pl

from infra.data.build_bars import adjusted


def test_all_four_prices_of_a_day_are_scaled_by_the_same_factor() -> None:
    """A two-for-one split later on: half of every price, the volume as it was, the oldest day first."""
    rows = pl.DataFrame(
        {
            "Date": [date(2003, 2, 19), date(2003, 2, 18)],
            "Open": [24.0, 48.3],
            "High": [25.0, 50.1],
            "Low": [23.0, 47.9],
            "Close": [24.5, 49.0],
            "Volume": [200, 100],
            "Adj Close": [24.5, 24.5],
        }
    )
    assert adjusted(rows).rows() == [
        (date(2003, 2, 18), 24.15, 25.05, 23.95, 24.5, 100),
        (date(2003, 2, 19), 24.0, 25.0, 23.0, 24.5, 200),
    ]
