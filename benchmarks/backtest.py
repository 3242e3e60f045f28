"""New rules tried on a quarter of a year: 37,000 purchases of two lines each, and a million of them.

The rules have levels, a multiplier with a budget, a cap a day and a segment;
one purchase in forty was partly returned. With BENCH=full the larger quarter
is measured too.

    BENCH=full python -m benchmarks.backtest
"""

from __future__ import annotations

import contextlib
import json
import resource
import sqlite3
import sys
import time
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta

import psycopg

from benchmarks import ground
from benchmarks.ground import Database
from benchmarks.table import FULL, Row, alone
from passes import backtest, programmes, store
from passes.server_keys import ServerKeys
from passes.store import Store
from passes.store import programmes as rows
from passes.store.instants import micros

SMALL, LARGE = 37_000, 1_000_000
SECONDS_MAX = {SMALL: 15.0, LARGE: 600.0}
GROWTH_MAX_MIB = 500
PURCHASES_EACH = 10
DAYS = 90
NOW = datetime(2026, 4, 1, 12, tzinfo=UTC)

NEW_RULES = """
[[earning.multipliers]]
key = "pastry-mornings"
name = "Pastry mornings"
factor = 2
budget_points = 1000000
when = { categories = ["bakery"], hours = ["07:00-11:00"] }

[[earning.bonuses]]
key = "regulars"
name = "Regulars"
points = 5
[earning.bonuses.when.segment]
purchases_least = 3
idle_days_most = 30

[earning.caps]
day = 800

[points.expiry]"""

_KEYS = ServerKeys({"k1": b"k" * 32})

# A scattered number that both engines compute alike, for the amount in steps of two.
_GROSS = "((i * 48271 + 11) % 2147483647 % 900 + 100) * 2"
_EARNED = json.dumps(
    [
        {
            "rule": "earn",
            "points": 10,
            "amount_minor": 2,
            "eligible_minor": 2,
            "raw": "10",
            "rounding": "floor",
            "rounded": 10,
            "lines": [
                {
                    "number": number,
                    "paid_minor": 1,
                    "net_minor": 1,
                    "excluded": None,
                    "rate_key": None,
                    "rate": "1/10",
                    "multipliers": [],
                    "multiplier": "1",
                    "raw": "5",
                }
                for number in (1, 2)
            ],
            "multipliers": [],
            "bonuses": [],
            "missed": None,
            "cuts": [],
            "carried_before": None,
            "carried_after": None,
        }
    ]
)
_RETURN = json.dumps(
    [
        {
            "rule": "return",
            "lines": [{"number": 1, "quantity": 1, "gross_minor": 1, "net_minor": 1}],
            "unearned": 5,
            "stamps": 0,
            "short": 0,
        }
    ]
)
_SALES = """
    CREATE TABLE sale AS WITH {numbers}
    SELECT i, {base} + i * 4 AS id, {base} + i * 48271 % 2147483647 % {members} AS member_id,
        {gross} AS gross, {start} + (i * {seconds} / {purchases}) * 1000000 AS at FROM n
"""
_FILL = (
    """INSERT INTO purchase (programme_id, id, member_id, card_id, channel, location, currency, gross_minor,
           discount_minor, order_discount_minor, unearning_minor, net_minor, occurred_at, recorded_at,
           local_day, programme_version)
       SELECT {programme}, id + 1, member_id, member_id, 'in_store', 'west-loop', 'USD', gross, 0, 0, 0,
           gross, at, at, {day}, 1 FROM sale""",
    """INSERT INTO purchase_line (programme_id, purchase_id, line_number, category, quantity, unit_minor,
           discount_minor, tax_minor, net_minor)
       SELECT {programme}, id + 1, line, CASE line WHEN 1 THEN 'coffee' ELSE 'bakery' END, 1, gross / 2,
           0, 0, gross / 2 FROM sale CROSS JOIN (SELECT 1 AS line UNION ALL SELECT 2) AS lines""",
    """INSERT INTO receipt (programme_id, id, kind, member_id, card_id, purchase_id, points, balance_change,
           balance_after, stamps, amount_minor, occurred_at, recorded_at, programme_version, reasons)
       SELECT {programme}, id, 'accrue', member_id, member_id, id + 1, 10, 10, 10, 0, gross, at, at, 1,
           '{earned}' FROM sale""",
    """INSERT INTO receipt (programme_id, id, kind, member_id, card_id, purchase_id, points, balance_change,
           balance_after, stamps, amount_minor, occurred_at, recorded_at, programme_version, reasons)
       SELECT {programme}, id + 2, 'return', member_id, member_id, id + 1, -5, -5, 5, 0, 1, at, at, 1,
           '{back}' FROM sale WHERE i % 40 = 3""",
    """INSERT INTO goods_return (programme_id, id, purchase_id, member_id, receipt_id, channel, gross_minor,
           net_minor, withheld_minor, occurred_at, recorded_at, local_day)
       SELECT {programme}, id + 3, id + 1, member_id, id + 2, 'in_store', 1, 1, 0, at, at, {day}
       FROM sale WHERE i % 40 = 3""",
    "DROP TABLE sale",
)


def run() -> Iterator[Row]:
    """Measure both engines."""
    for engine in ground.ENGINES:
        for purchases in (SMALL, LARGE) if FULL else (SMALL,):
            with ground.database(engine) as database:
                hints = _planner_hints(database)
                opened = store.open(database.url)
                ground.open_shop(opened, _KEYS)
                ground.fill(database, purchases // PURCHASES_EACH // 4 * 4, _KEYS)
                _fill(database, opened, purchases)
                _give_back(database, hints)
                opened.close()
                opened = store.open(database.url)
                before = _peak_mib()
                began = time.perf_counter()
                found = backtest.backtest(opened, programme=ground.SHOP, source=_rules(), days=DAYS, now=NOW)
                took = time.perf_counter() - began
                opened.close()
                assert found.purchases == purchases, found.purchases
                words = f"{purchases:,} purchases, {engine}"
                yield Row(f"backtest of {words}", took, "s", SECONDS_MAX[purchases], at_most=True)
                # A peak of the process is told once: the second engine's would hide below the first's.
                grown = _peak_mib() - before
                if engine == ground.ENGINES[0]:
                    yield Row(f"memory for {words}", grown, "MiB", GROWTH_MAX_MIB, at_most=True)


def _planner_hints(database: Database) -> list[tuple[str, str, str]]:
    """What a new SQLite file tells its planner; analysing half-filled tables overwrites it."""
    if database.postgresql:
        return []
    with contextlib.closing(sqlite3.connect(database.url.removeprefix("sqlite:///"))) as plain:
        return plain.execute("SELECT * FROM sqlite_stat1").fetchall()


def _give_back(database: Database, hints: list[tuple[str, str, str]]) -> None:
    if hints:
        with contextlib.closing(sqlite3.connect(database.url.removeprefix("sqlite:///"))) as plain, plain:
            plain.execute("DELETE FROM sqlite_stat1")
            plain.executemany("INSERT INTO sqlite_stat1 VALUES (?, ?, ?)", hints)


def _rules() -> str:
    coffee = next(path for path in programmes.DEMONSTRATION if path.stem == "copperfinch")
    return coffee.read_text("utf-8").replace("\n[points.expiry]", NEW_RULES)


def _peak_mib() -> float:
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024


def _fill(database: Database, opened: Store, purchases: int) -> None:
    with opened.read() as read:
        shop = rows.by_slug(read, ground.SHOP)
    counting = f"RECURSIVE n(i) AS (SELECT 0 UNION ALL SELECT i + 1 FROM n WHERE i + 1 < {purchases})"
    day = "CAST(strftime('%Y%m%d', at / 1000000, 'unixepoch') AS integer)"
    if database.postgresql:
        counting = f"n(i) AS (SELECT generate_series(0, {purchases} - 1)::bigint)"
        day = "CAST(to_char(to_timestamp(at / 1000000), 'YYYYMMDD') AS integer)"
    values = {
        "numbers": counting,
        "base": ground.FIRST_ID,
        "programme": shop.id,
        "members": purchases // PURCHASES_EACH // 4 * 4,
        "gross": _GROSS,
        "start": micros(NOW - timedelta(days=DAYS - 1)),
        "seconds": (DAYS - 2) * 86_400,
        "purchases": purchases,
        "day": day,
        "earned": _EARNED,
        "back": _RETURN,
    }
    statements = [sql.format(**values) for sql in (_SALES, *_FILL)]
    if database.postgresql:
        assert database.server is not None
        with psycopg.connect(database.server.url().replace("+psycopg", ""), autocommit=True) as connection:
            for sql in statements:
                connection.execute(sql.encode())
            connection.execute("VACUUM ANALYZE")
        return
    with contextlib.closing(sqlite3.connect(database.url.removeprefix("sqlite:///"))) as plain:
        plain.execute("PRAGMA synchronous=OFF")
        with plain:
            for sql in statements:
                plain.execute(sql)
        plain.execute("PRAGMA wal_checkpoint(TRUNCATE)")


if __name__ == "__main__":
    sys.exit(alone(run))
