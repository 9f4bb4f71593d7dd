"""Build the daily bars that Blotter ships, from the installed `bokeh-sampledata` package.

Run it from the repository: `python -m infra.data.build_bars`. It rewrites `shared/market_data/bars`: one Parquet
file a symbol, and a README with the source, its terms, the adjustment and the SHA-256 of every file.
"""

from hashlib import sha256
from importlib.util import find_spec
from pathlib import Path

import polars as pl

SOURCE_FILE = "stocks.csv.gz"
SOURCE_EDITION = "2026.1"
SOURCE_SHA256 = "5abadf99b2d394f920120a27de6f0df129859d71d4cfb0bf661bcc99446ab1fd"
"""What the package's own inventory says of the file; another edition is looked at before it is shipped."""

BARS = Path(__file__).parents[2] / "shared" / "market_data" / "bars"
DECIMALS = 6
"""Decimals of the source's adjusted close; the other prices are rounded to the same."""

README = """\
# Daily bars

Written by `python -m infra.data.build_bars`; do not edit by hand.

- **Source**: `{file}` of the PyPI package `bokeh-sampledata` {edition}, SHA-256
  `{source_sha256}`;
  that package took it from Quandl WIKI Prices (archived copy of the WIKI_PRICES table).
- **Terms**: public domain. Quandl's archived publisher page (web.archive.org, 11 April 2015, quandl.com/data/WIKI)
  puts WIKI data in the public domain and allows redistribution, commercial or not. The package's own code is
  BSD-3-Clause. The prices are as the source had them, with no promise that they are right.
- **Columns**: `date` (exchange day), `open`, `high`, `low`, `close` (US dollars a share, adjusted), `volume` (shares
  as reported on the day, not adjusted for splits).
- **Adjustment**: factor = source's adjusted close / source's close, per day; open, high, low and close are the
  source's prices times the factor, rounded to {decimals} decimals. So `close` is the source's adjusted close, which
  accounts for splits and dividends, also for those after the last day.
- `GOOG` is Google before its 2014 split, today's `GOOGL`.

| file | rows | first day | last day | SHA-256 |
|---|---|---|---|---|
{rows}
"""


def source() -> Path:
    """Return the installed source file, without importing the package.

    Raises SystemExit when the package is missing or holds another edition of the data.
    """
    spec = find_spec("bokeh_sampledata")
    if spec is None or not spec.submodule_search_locations:
        raise SystemExit("bokeh-sampledata is not installed: pip install bokeh-sampledata==2026.1")
    path = Path(spec.submodule_search_locations[0]) / "_data" / SOURCE_FILE
    found = sha256(path.read_bytes()).hexdigest()
    if found != SOURCE_SHA256:
        raise SystemExit(
            f"{SOURCE_FILE} has SHA-256 {found}, which is not that of {SOURCE_EDITION}: "
            "compare the data and its terms, then change SOURCE_EDITION and SOURCE_SHA256"
        )
    return path


def adjusted(rows: pl.DataFrame) -> pl.DataFrame:
    """Return bars with all four prices adjusted by adjusted close / close, oldest first."""
    factor = pl.col("Adj Close") / pl.col("Close")
    price = {name: (pl.col(name.title()) * factor).round(DECIMALS) for name in ("open", "high", "low")}
    return rows.select(
        date=pl.col("Date"), **price, close=pl.col("Adj Close").round(DECIMALS), volume=pl.col("Volume")
    ).sort("date")


def describe(path: Path, bars: pl.DataFrame) -> str:
    """Return a file's line of the README's table."""
    checksum = sha256(path.read_bytes()).hexdigest()
    return f"| {path.name} | {bars.height} | {bars['date'][0]} | {bars['date'][-1]} | `{checksum}` |"


def main() -> None:
    """Write every symbol's Parquet file and the README."""
    everything = pl.read_csv(source(), try_parse_dates=True)
    BARS.mkdir(exist_ok=True)
    lines = []
    for (symbol,), rows in sorted(everything.group_by("Ticker")):
        path = BARS / f"{symbol}.parquet"
        bars = adjusted(rows)
        bars.write_parquet(path, compression="zstd", compression_level=19)
        lines.append(describe(path, bars))
    text = README.format(
        file=SOURCE_FILE,
        edition=SOURCE_EDITION,
        source_sha256=SOURCE_SHA256,
        decimals=DECIMALS,
        rows="\n".join(lines),
    )
    (BARS / "README.md").write_text(text, encoding="utf-8")
    print(text)


if __name__ == "__main__":
    main()
