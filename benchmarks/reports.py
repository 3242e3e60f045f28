"""The marketer's reports on a busy shop's books: a year of 37,000 purchases, and one of a million.

Sales, receipts, postings and lots are written by the database itself, one
purchase in twelve by a guest, one in forty partly returned. Every report looks
at the whole year. With BENCH=full the larger year is measured too.

    BENCH=full python -m benchmarks.reports
"""

from __future__ import annotations

import contextlib
import sqlite3
import sys
import time
from collections.abc import Callable, Iterator
from datetime import UTC, date, datetime, timedelta
from fractions import Fraction
from functools import partial
from typing import Any

import psycopg
from sqlalchemy import Boolean, Column, Integer, Table

from benchmarks import ground
from benchmarks.ground import Database
from benchmarks.table import FULL, Row, alone
from passes import insights, store
from passes.server_keys import ServerKeys
from passes.store import Store, models
from passes.store import programmes as rows
from passes.store.insights import By, Cut, Window
from passes.store.instants import micros
from passes.store.programmes import Loaded

SMALL, LARGE = 37_000, 1_000_000
SECONDS_MAX = {SMALL: 2.0, LARGE: 10.0}
PURCHASES_EACH = 10
NOW = datetime(2027, 1, 15, 12, tzinfo=UTC)
MIDSUMMER = datetime(2026, 6, 21, tzinfo=UTC)
YEAR = Window(date(2026, 1, 1), date(2027, 1, 1))
SECOND_HALF = Window(date(2026, 7, 1), date(2027, 1, 1))

Report = Callable[..., object]

_KEYS = ServerKeys({"k1": b"k" * 32})

# A scattered number that both engines compute alike.
_CHANCE = "(i * 48271 + 11) % 2147483647"
_SALE = f"""
    CREATE TABLE sale AS WITH {{numbers}}
    SELECT i, {{base}} + i AS id, {{programme}} AS programme_id, {_CHANCE} % 9000 + 100 AS gross,
           CASE WHEN {_CHANCE} % 12 <> 0 THEN {{base}} + {_CHANCE} % {{members}} END AS member_id,
           {{start}} + (i * 31536000 / {{purchases}}) * 1000000 AS at, i * 365 / {{purchases}} AS day
    FROM n"""
_REDEEMS = "CASE WHEN i % 9 = 0 THEN 'redeem' ELSE '{other}' END"


def _insert(table: Table, rows: str, **values: object) -> str:
    """INSERT of an expression per column; what else must not be empty is zero or blank."""

    def blank(column: Column[Any]) -> str:
        if column.nullable:
            return "NULL"
        if isinstance(column.type, Boolean):
            return "false"
        return "0" if isinstance(column.type, Integer) else "''"

    values = {"programme_id": "programme_id", "id": "id", **values}
    expressions = [str(values.get(column.name, blank(column))) for column in table.columns]
    names = ", ".join(column.name for column in table.columns)
    return f"INSERT INTO {table.name} ({names}) SELECT {', '.join(expressions)} FROM {rows}"


def _statements(database: Database, shop: Loaded, purchases: int) -> list[str]:
    start = datetime(2026, 1, 1, 12, tzinfo=UTC)
    first, middle = micros(start), micros(start + timedelta(days=180))
    counting = f"RECURSIVE n(i) AS (SELECT 0 UNION ALL SELECT i + 1 FROM n WHERE i + 1 < {purchases})"
    day = "CAST(strftime('%Y%m%d', '2026-01-01', '+' || day || ' days') AS integer)"
    if database.postgresql:
        counting = f"n(i) AS (SELECT generate_series(0, {purchases} - 1)::bigint)"
        day = "CAST(to_char(date '2026-01-01' + CAST(day AS integer), 'YYYYMMDD') AS integer)"
    times = {"occurred_at": "at", "recorded_at": "at"}
    known = "sale WHERE member_id IS NOT NULL"
    lots = f"{known} AND i % 9 <> 0"
    issue, redeemed = shop.accounts["issue"], shop.accounts["redeemed"]
    return [
        _SALE.format(
            numbers=counting,
            base=ground.FIRST_ID,
            programme=shop.id,
            members=_members(purchases),
            start=first,
            purchases=purchases,
        ),
        _insert(
            models.purchase,
            "sale",
            **times,
            member_id="member_id",
            channel="CASE WHEN i % 5 = 0 THEN 'online' ELSE 'in_store' END",
            currency="'USD'",
            gross_minor="gross",
            net_minor="gross",
            local_day=day,
            voided_by="CASE WHEN i % 200 = 7 THEN 1 END",
        ),
        _insert(
            models.goods_return,
            "sale WHERE i % 40 = 3",
            **times,
            purchase_id="id",
            member_id="member_id",
            channel="'in_store'",
            net_minor="gross / 2",
            local_day=day,
        ),
        _insert(
            models.receipt,
            known,
            **times,
            kind=_REDEEMS.format(other="accrue"),
            member_id="member_id",
            purchase_id="id",
            points="10",
            reasons="'[]'",
        ),
        _insert(
            models.posting,
            known,
            **times,
            receipt_id="id",
            kind=_REDEEMS.format(other="earn"),
            asset="'points'",
            source=f"CASE WHEN i % 9 = 0 THEN member_id ELSE {issue} END",
            target=f"CASE WHEN i % 9 = 0 THEN {redeemed} ELSE member_id END",
            amount="gross / 100",
            block="1",
        ),
        _insert(
            models.lot,
            lots,
            account_id="member_id",
            asset="'points'",
            posting_id="id",
            original="gross / 100",
            remaining="gross / 200",
            earned_at="at",
        ),
        _insert(models.consumption, lots, lot_id="id", posting_id="id - i % 9", amount="1"),
        _insert(
            models.tier_change,
            f"{known} AND i % 20 = 1",
            member_id="member_id",
            from_key="'first-flight'",
            to_key="'wren'",
            at="at",
        ),
        _insert(
            models.offer_assignment,
            "member",
            offer_id="1",
            member_id="id",
            arm="CASE WHEN id % 10 = 0 THEN 'holdout' ELSE 'treated' END",
            at=middle,
        ),
        _insert(
            models.offer,
            "programme",
            programme_id="id",
            id="1",
            key="'spring'",
            starts_at=middle,
            state="'live'",
        ),
        _insert(
            models.joining,
            "member",
            member_id="id",
            source="CASE WHEN id % 3 = 0 THEN 'poster' ELSE 'link' END",
        ),
        f"UPDATE member SET joined_at = {first} + id % 1000 * 10000000",
        f"UPDATE card SET issued_at = {first}, installed_at = {first}, removed_at = "
        f"CASE WHEN id % 25 = 0 THEN {middle} END",
        "DROP TABLE sale",
    ]


def run() -> Iterator[Row]:
    """Measure both engines."""
    for engine in ground.ENGINES:
        for purchases in (SMALL, LARGE) if FULL else (SMALL,):
            with ground.database(engine) as database:
                hints = _planner_hints(database)
                opened = store.open(database.url)
                ground.open_shop(opened, _KEYS)
                ground.fill(database, _members(purchases), _KEYS)
                _fill(database, opened, purchases)
                _give_back(database, hints)
                opened.close()
                opened = store.open(database.url)
                for name, report in _reports().items():
                    began = time.perf_counter()
                    report(opened, programme=ground.SHOP)
                    took = time.perf_counter() - began
                    words = f"{name}, {purchases:,} purchases, {engine}"
                    yield Row(words, took, "s", SECONDS_MAX[purchases], at_most=True)
                opened.close()


def _planner_hints(database: Database) -> list[Any]:
    """What a new SQLite file tells its planner; analysing half-filled tables would overwrite it."""
    if database.postgresql:
        return []
    with contextlib.closing(_plain(database)) as plain:
        return plain.execute("SELECT * FROM sqlite_stat1").fetchall()


def _give_back(database: Database, hints: list[Any]) -> None:
    if hints:
        with contextlib.closing(_plain(database)) as plain, plain:
            plain.execute("DELETE FROM sqlite_stat1")
            plain.executemany("INSERT INTO sqlite_stat1 VALUES (?, ?, ?)", hints)


def _plain(database: Database) -> sqlite3.Connection:
    return sqlite3.connect(database.url.removeprefix("sqlite:///"))


def _members(purchases: int) -> int:
    return purchases // PURCHASES_EACH // 4 * 4


def _fill(database: Database, opened: Store, purchases: int) -> None:
    with opened.read() as read:
        shop = rows.by_slug(read, ground.SHOP)
    statements = _statements(database, shop, purchases)
    if database.postgresql:
        assert database.server is not None
        with psycopg.connect(database.server.url().replace("+psycopg", ""), autocommit=True) as connection:
            for sql in statements:
                connection.execute(sql)
            connection.execute("VACUUM ANALYZE")
    else:
        with contextlib.closing(_plain(database)) as plain:
            plain.execute("PRAGMA synchronous=OFF")
            with plain:
                for sql in statements:
                    plain.execute(sql)
            plain.execute("PRAGMA wal_checkpoint(TRUNCATE)")


def _reports() -> dict[str, Report]:
    cut = Cut(YEAR)
    of_channel = Cut(YEAR, channel="online")
    return {
        "sales by month": partial(insights.sales, cut=cut, by=By.MONTH),
        "sales by week, one channel": partial(insights.sales, cut=of_channel, by=By.WEEK),
        "sales by tier": partial(insights.sales, cut=cut, by=By.TIER),
        "sales by source": partial(insights.sales, cut=cut, by=By.SOURCE),
        "first-time and returning by month": partial(insights.customers, cut=cut, by=By.MONTH),
        "retention of half a year": partial(insights.retention, cut=Cut(SECOND_HALF), now=NOW),
        "retention by month": partial(insights.retention, cut=cut, by=By.MONTH, now=NOW),
        "worth": partial(insights.worth, cut=cut),
        "cohorts": partial(insights.cohorts, window=YEAR, now=NOW),
        "segments": partial(insights.segments, cut=cut),
        "predicted": partial(insights.predicted, now=NOW),
        "journal": partial(insights.liability_journal, window=YEAR, rates={}, hundred_points_minor=50),
        "points by month": partial(insights.points, window=YEAR, by=By.MONTH),
        "points by source": partial(insights.points, window=YEAR, by=By.SOURCE),
        "points issued": partial(insights.issued, window=YEAR),
        "liability now": partial(insights.liability, now=NOW),
        "liability at midsummer": partial(insights.liability, at=MIDSUMMER, now=NOW),
        "active members": partial(insights.active, at=MIDSUMMER, now=NOW),
        "tiers": partial(insights.tiers, window=SECOND_HALF),
        "funnel by source": partial(insights.funnel, window=YEAR, by=By.SOURCE),
        "removals": partial(insights.removals, window=SECOND_HALF),
        "detectable": partial(insights.detectable, days=90, now=NOW),
        "offer": partial(insights.offer, key="spring", margin=Fraction(2, 5), now=NOW),
    }


if __name__ == "__main__":
    sys.exit(alone(run))
