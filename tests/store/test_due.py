"""Many rows in one write, what is found by which index, and ids in blocks."""

from __future__ import annotations

import re
import sqlite3
import threading
from datetime import datetime, timedelta
from typing import Any

import pytest
from sqlalchemy import TextClause, text

from passes import store as database
from passes.loyalty.ledger import PostingKind
from passes.loyalty.tiers import TierMetric
from passes.store import Store, Work, due, programmes
from passes.store.due import MetricWindow
from passes.store.ids import block_of_ids, new_id
from passes.store.instants import micros
from tests.cast import rows
from tests.shop import COFFEE, Shop, open_shop

# Ids ------------------------------------------------------------------------------


def test_a_block_of_ids_lies_between_what_was_made_before_and_after(now: datetime) -> None:
    before, block, after = new_id(now), block_of_ids(now, 5_000), new_id(now)
    assert before < block[0]
    assert len(block) == 5_000
    assert block[-1] < after
    # It reaches a few microseconds ahead of the clock, no more.
    assert new_id(now + timedelta(microseconds=10)) > after
    assert len(block_of_ids(now, 0)) == 0
    assert after < 2**63


def test_threads_never_share_an_id(now: datetime) -> None:
    made: list[int] = []

    def make() -> None:
        for _ in range(200):
            made.extend(block_of_ids(now, 7))
            made.append(new_id(now))

    threads = [threading.Thread(target=make) for _ in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert len(set(made)) == len(made) == 4 * 200 * 8


# Many rows ------------------------------------------------------------------------


def test_many_rows_keep_their_values_whatever_these_are(store: Store, now: datetime) -> None:
    words = [
        'plain, with "quotes" and {braces}',
        "back\\slash \\N",
        "NULL",
        "",
        "Çekirdek ☕ 'tis",
        "line\nbreak",
    ]
    notices = [due.Notice(number, "test", f"about {number}", said) for number, said in enumerate(words)]
    store.write(lambda work: due.add_notices(work, 1, notices, now=now))
    assert [row["words"] for row in sorted(rows(store, "notice"), key=lambda row: row["member_id"])] == words
    again = [due.Notice(0, "test", "about 0", "other words")]
    store.write(lambda work: due.add_notices(work, 1, again, now=now))
    assert rows(store, "notice", "member_id = 0")[0]["words"] == words[0]


def test_nothing_is_written_for_no_rows(store: Store, now: datetime) -> None:
    def decide(work: Work) -> None:
        due.add_notices(work, 1, [], now=now)
        due.revise(work, 1, [])
        due.extend_lots(work, 1, {})
        due.keep_bookings(work, 1, due.Bookings(), programme_version=1, now=now)
        assert due.metrics(work, 1, TierMetric.SPEND, []) == []

    store.write(decide)
    assert rows(store, "receipt") == []


# Locks ----------------------------------------------------------------------------


def test_a_member_whom_a_till_has_just_locked_is_left_for_later(postgresql_url: str, now: datetime) -> None:
    store = database.open(postgresql_url)
    shop = open_shop(store, now)
    ana, ben = shop.join(), shop.join("Ben")
    store.write(lambda work: work.put(text("UPDATE lot SET expires_at = :at"), at=micros(now)))
    with store.read() as read:
        programme_id = programmes.by_slug(read, COFFEE).id
    found: list[int] = []

    def at_the_till(work: Work) -> None:
        work.ask(text("SELECT id FROM member WHERE id = :id FOR UPDATE"), id=ana.member_id).one()
        # Meanwhile, on another connection:
        other = database.open(postgresql_url)
        lots = other.write(lambda due_work: due.lapsed_lots(due_work, programme_id, at=now, limit=10))
        found.extend(lot.member_id for lot in lots)
        other.close()

    store.write(at_the_till)
    assert found == [ben.member_id]
    store.close()


# Metrics --------------------------------------------------------------------------


def test_metrics_count_their_window_without_what_came_back(store: Store, now: datetime) -> None:
    shop: Shop = open_shop(store, now)
    ana, ben = shop.join(), shop.join("Ben")
    for hours, amount in ((0, 1_000), (2, 2_000), (4, 4_000)):
        shop.now = now + timedelta(hours=hours)
        shop.buy(ana.code, amount)
    shop.undo(shop.buy(ana.code, 50_000).id)
    sold = sorted(rows(store, "purchase"), key=lambda row: int(row["id"]))[1]
    store.write(
        lambda work: work.put(
            text(
                "INSERT INTO goods_return (programme_id, id, purchase_id, channel, gross_minor, net_minor,"
                " withheld_minor, occurred_at, recorded_at, local_day)"
                " VALUES (:programme, 1, :purchase, 'in_store', 2000, 2000, 0, 0, 0, 20260314)"
            ),
            programme=sold["programme_id"],
            purchase=sold["id"],
        )
    )
    windows = [
        MetricWindow(ana.member_id, None, None),
        MetricWindow(ana.member_id, now, now + timedelta(hours=4)),
        MetricWindow(ben.member_id, None, None),
        MetricWindow(ana.member_id, now + timedelta(hours=4), None),
    ]

    def counted(metric: TierMetric) -> list[int]:
        with store.read() as read:
            return [one.value for one in due.metrics(read, ana.programme_id, metric, windows)]

    assert counted(TierMetric.SPEND) == [5_000, 1_000, 0, 4_000]
    assert counted(TierMetric.VISITS) == [2, 1, 0, 1]
    earned = [row["amount"] for row in rows(store, "posting", f"kind = '{PostingKind.EARN.value}'")]
    assert counted(TierMetric.POINTS)[0] == sum(earned) - max(earned)
    with store.read() as read:
        (last, *_) = due.metrics(read, ana.programme_id, TierMetric.SPEND, windows)
    assert last.last_purchase_at == now + timedelta(hours=4)


# Plans ----------------------------------------------------------------------------

QUESTIONS: dict[str, tuple[TextClause, tuple[str, ...]]] = {
    "lots that lapsed": (due._LAPSED._on_sqlite, ("ix_lot_expiry", "ix_lot_open")),
    "lots that waited": (due._RIPE._on_sqlite, ("ix_lot_pending", "ix_lot_open")),
    "lots that were emptied": (due._EMPTIED, ("ix_lot_pending",)),
    "idle members": (due._IDLE._on_sqlite, ("ix_member_points_lapse",)),
    "what idle members hold": (due._HELD_ON_SQLITE, ("ix_lot_open",)),
    "levels": (due._LEVELS._on_sqlite, ("ix_member_tier_due",)),
    "holds": (due._HOLDS, ("ix_hold_open",)),
    "rewards": (due._LAPSE_REWARDS, ("ix_redemption_expiry",)),
    "birthdays": (due._BORN, ("ix_person_birthday",)),
    "days on which points lapse": (due._ANY_LAPSING, ("ix_lot_expiry",)),
    "days on which members are idle": (due._ANY_GOING_IDLE, ("ix_member_points_lapse",)),
    "spend": (due._METRIC_ON_SQLITE[TierMetric.SPEND], ("member_id_occurred_at", "purchase_id")),
    "points": (due._METRIC_ON_SQLITE[TierMetric.POINTS], ("member_id_occurred_at", "member_id_id")),
}


@pytest.mark.parametrize("question", QUESTIONS)
def test_what_is_due_is_found_by_its_index_in_a_new_file(sqlite_url: str, question: str) -> None:
    statement, wanted = QUESTIONS[question]
    words = str(statement)
    values: dict[str, Any] = dict.fromkeys(re.findall(r"(?<!:):(\w+)", words), 1)
    connection = sqlite3.connect(sqlite_url.removeprefix("sqlite:///"))
    plan = [row[3] for row in connection.execute(f"EXPLAIN QUERY PLAN {words}", values)]
    connection.close()
    for index in wanted:
        assert any(index in line for line in plan), plan
    scanned = [line for line in plan if line.startswith("SCAN") and "json_each" not in line]
    assert scanned in ([], ["SCAN CONSTANT ROW"]), plan
