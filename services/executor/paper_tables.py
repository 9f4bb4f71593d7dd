"""The tables behind the paper broker's book, in the schema `paper`."""

from sqlalchemy import (
    BigInteger,
    Column,
    Date,
    DateTime,
    ForeignKey,
    Identity,
    Index,
    MetaData,
    Numeric,
    Table,
    Text,
)

metadata = MetaData(schema="paper")

accounts = Table(
    "accounts",
    metadata,
    Column("account_id", Text, primary_key=True),
    Column("cash", Numeric, nullable=False, comment="US dollars, exact"),
)

positions = Table(
    "positions",
    metadata,
    Column("account_id", ForeignKey(accounts.c.account_id), primary_key=True),
    Column("symbol", Text, primary_key=True),
    Column("shares", Numeric, nullable=False, comment="negative for a short"),
)

orders = Table(
    "orders",
    metadata,
    Column("account_id", ForeignKey(accounts.c.account_id), primary_key=True),
    Column("client_order_id", Text, primary_key=True),
    Column("arrival", BigInteger, Identity(always=True), nullable=False, comment="orders of arrival"),
    Column("symbol", Text, nullable=False),
    Column("side", Text, nullable=False),
    Column("quantity", Numeric, nullable=False),
    Column("limit_price", Numeric),
    Column("as_of", Date, comment="as the sender asked"),
    Column("decided_on", Date, nullable=False, comment="filled by the first bar after this day"),
    Column("reference_price", Numeric, nullable=False, comment="set aside for a waiting buy, a share"),
    Column("venue_order_id", Text, nullable=False),
    Column("state", Text, nullable=False),
    Column("submitted_at", DateTime(timezone=True), nullable=False),
    Column("filled_quantity", Numeric, nullable=False),
    Column("average_price", Numeric),
    Column("fees", Numeric),
    Column("filled_at", DateTime(timezone=True)),
    Column("reason", Text),
)

Index(
    "paper_orders_waiting",
    orders.c.account_id,
    orders.c.arrival,
    postgresql_where=orders.c.state == "placed",
)
