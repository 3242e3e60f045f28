"""What time makes due for everybody at once: points that open, points that lapse, levels that end.

A first of January, at a hundred thousand members and at a million: every
member's waiting points open, other points of everybody lapse, and every level
is reviewed. Time must not grow faster than the members do, memory not at all.
Without BENCH=full there are ten thousand and a hundred thousand.

    BENCH=full python -m benchmarks.due
"""

from __future__ import annotations

import gc
import sqlite3
import sys
import time
from collections.abc import Callable, Iterator
from datetime import UTC, datetime, timedelta

import psycopg

from benchmarks import ground
from benchmarks.ground import FIRST_ID, Database
from benchmarks.table import FULL, Row, alone
from passes import books, due_work, store
from passes.server_keys import ServerKeys
from passes.store import Store, programmes

SIZES = {
    "PostgreSQL": (100_000, 1_000_000) if FULL else (10_000, 100_000),
    "SQLite": (10_000, 100_000),
}
MEMBERS_A_SECOND = {"PostgreSQL": 3_000, "SQLite": 1_500}
GROWTH_MAX, GROWTH_MEGABYTES_MAX = 1.5, 30.0

_KEYS = ServerKeys({"k1": b"k" * 32})
_MIDNIGHT = datetime(2027, 1, 1, 6, tzinfo=UTC)
"""In Chicago."""
_EARNED = _MIDNIGHT - timedelta(days=100)

Step = Callable[..., int]
_STEPS: dict[str, Step] = {
    "points that waited": due_work.activate_due,
    "levels reviewed": due_work.review_due,
    "points that lapse": due_work.expire_due,
}


def run() -> Iterator[Row]:
    """Measure both engines."""
    for engine, sizes in SIZES.items():
        took: dict[tuple[str, int], float] = {}
        for members in sizes:
            with ground.database(engine) as database:
                opened = store.open(database.url)
                ground.open_shop(opened, _KEYS)
                ground.fill(database, members, _KEYS)
                _fill(database, opened, members)
                for name, step in _STEPS.items():
                    seconds, grown = _measure(opened, step, members)
                    took[name, members] = seconds / members
                    yield from _rows(engine, name, members, seconds, grown)
                assert books.verify(opened).right
                opened.close()
        small, large = sizes
        for name in _STEPS:
            yield Row(
                f"{name}, {engine}: a member of {large:,} beside one of {small:,}",
                1e6 * took[name, large],
                "µs",
                GROWTH_MAX,
                1e6 * took[name, small],
                at_most=True,
            )


def _rows(engine: str, name: str, members: int, seconds: float, grown: float) -> Iterator[Row]:
    yield Row(
        f"{name}, {engine}, {members:,} members in {seconds:.1f} s",
        members / seconds,
        "/s",
        MEMBERS_A_SECOND[engine],
    )
    yield Row("… memory that this adds", grown, "MB", GROWTH_MEGABYTES_MAX, at_most=True)


def _measure(opened: Store, step: Step, members: int) -> tuple[float, float]:
    """Seconds until nothing is left, and megabytes that the process grew meanwhile."""
    gc.collect()
    # The first slice fills what every process fills once.
    began, done = time.perf_counter(), step(opened, now=_MIDNIGHT)
    before = peak = ground.resident_megabytes()
    while handled := step(opened, now=_MIDNIGHT):
        done += handled
        peak = max(peak, ground.resident_megabytes())
    assert done == members, (done, members)
    return time.perf_counter() - began, peak - before


# Every member: 120 points that wait till midnight, 80 that lapse then, and a
# level that ends then, which this year's purchase does not keep.
_POINTS = (
    """INSERT INTO account (programme_id, id, owner_kind, owner_id, asset, bucket, balance)
       SELECT {programme}, {base} + {members} + i, 'member', CAST({base} + i AS {text}), 'points', 'pending',
           120 FROM n""",
    """INSERT INTO purchase (programme_id, id, member_id, card_id, channel, currency, gross_minor,
           discount_minor, order_discount_minor, unearning_minor, net_minor, occurred_at, recorded_at,
           local_day, programme_version)
       SELECT {programme}, {base} + i, {base} + i, {base} + i, 'in_store', 'USD', 30000, 0, 0, 0, 30000,
           {earned}, {earned}, 20260923, 1 FROM n""",
    """INSERT INTO receipt (programme_id, id, kind, member_id, card_id, purchase_id, points, balance_change,
           balance_after, stamps, amount_minor, occurred_at, recorded_at, programme_version, reasons)
       SELECT {programme}, {base} + i, 'accrue', {base} + i, {base} + i, {base} + i, 200, 80, 80, 0, 30000,
           {earned}, {earned}, 1, '[]' FROM n""",
    """INSERT INTO posting (programme_id, id, receipt_id, kind, asset, source, target, amount, occurred_at,
           recorded_at, programme_version)
       SELECT {programme}, {base} + i, {base} + i, 'earn', 'points', {issue}, {base} + {members} + i, 120,
           {earned}, {earned}, 1 FROM n""",
    """INSERT INTO posting (programme_id, id, receipt_id, kind, asset, source, target, amount, occurred_at,
           recorded_at, programme_version)
       SELECT {programme}, {base} + {members} + i, {base} + i, 'earn', 'points', {issue}, {base} + i, 80,
           {earned}, {earned}, 1 FROM n""",
    """INSERT INTO lot (programme_id, id, account_id, asset, posting_id, original, remaining, earned_at,
           available_at, expires_at, pending, programme_version)
       SELECT {programme}, {base} + i, {base} + {members} + i, 'points', {base} + i, 120, 120, {earned},
           {midnight}, NULL, true, 1 FROM n""",
    """INSERT INTO lot (programme_id, id, account_id, asset, posting_id, original, remaining, earned_at,
           available_at, expires_at, pending, programme_version)
       SELECT {programme}, {base} + {members} + i, {base} + i, 'points', {base} + {members} + i, 80, 80,
           {earned}, {earned}, {midnight}, false, 1 FROM n""",
    "UPDATE account SET balance = 80 WHERE owner_kind = 'member' AND bucket = 'available'",
    """UPDATE member SET pending_account_id = id + {members}, tier = 'copper', tier_until = {midnight},
           tier_due_at = {midnight}, metric_period = 2026, metric = 30000""",
)


def _fill(on: Database, opened: Store, members: int) -> None:
    with opened.read() as read:
        shop = programmes.by_slug(read, ground.SHOP)
    values = {
        "programme": shop.id,
        "base": FIRST_ID,
        "members": members,
        "text": "text",
        "issue": shop.accounts["issue"],
        "earned": int(_EARNED.timestamp()) * 1_000_000,
        "midnight": int(_MIDNIGHT.timestamp()) * 1_000_000,
    }
    if on.postgresql:
        numbers = f"WITH n(i) AS (SELECT generate_series(0, {members} - 1)::bigint) "
        assert on.server is not None
        with psycopg.connect(on.server.url().replace("+psycopg", ""), autocommit=True) as connection:
            for sql in _POINTS:
                connection.execute((numbers if "FROM n" in sql else "") + sql.format(**values))
            connection.execute("VACUUM ANALYZE")
            connection.execute("CHECKPOINT")
        return
    numbers = f"WITH RECURSIVE n(i) AS (SELECT 0 UNION ALL SELECT i + 1 FROM n WHERE i + 1 < {members}) "
    plain = sqlite3.connect(on.url.removeprefix("sqlite:///"))
    plain.execute("PRAGMA synchronous=OFF")
    plain.execute("PRAGMA cache_size=-400000")
    with plain:
        for sql in _POINTS:
            plain.execute((numbers if "FROM n" in sql else "") + sql.format(**values))
    plain.execute("ANALYZE")
    plain.execute("PRAGMA wal_checkpoint(TRUNCATE)")
    plain.close()


if __name__ == "__main__":
    sys.exit(alone(run))
