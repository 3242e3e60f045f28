from __future__ import annotations

import contextlib
import json
from collections.abc import Callable
from dataclasses import asdict, replace
from datetime import UTC, date, datetime, timedelta
from fractions import Fraction
from pathlib import Path
from random import Random
from typing import Any
from zoneinfo import ZoneInfo

import pytest
from sqlalchemy import text

from passes import books, checkout, cli, due_work
from passes.due_work import DueDone, run_due
from passes.enrolment import Joined
from passes.loyalty.earning import EarnRule
from passes.loyalty.lasting import Expiry, ExpiryKind, MonthsTo, PointsRule
from passes.loyalty.occasions import Birthday, BirthdaySpan
from passes.loyalty.programme import Programme
from passes.loyalty.refusals import NotEnoughPoints
from passes.loyalty.rewards import Reward
from passes.loyalty.stamps import StampRule
from passes.loyalty.text import Text
from passes.loyalty.tiers import Review, Tier, TierMetric, TierRule, TierWindow
from passes.store import Store, programmes
from passes.store.instants import instant, micros
from tests.cast import rows
from tests.shop import COFFEE, TILL, Shop, open_shop

ZONE = "America/Chicago"
MONTHLY = PointsRule(Expiry(ExpiryKind.ROLLING, months=12, to=MonthsTo.MONTH))
LEVELS = (
    Tier("basic", Text.of({"en": "Basic"}), 0),
    Tier("silver", Text.of({"en": "Silver"}), 30_000),
    Tier("gold", Text.of({"en": "Gold"}), 100_000),
    Tier("platinum", Text.of({"en": "Platinum"}), 250_000),
)


def local(year: int, month: int, day: int, hour: int = 0, minute: int = 0) -> datetime:
    return datetime(year, month, day, hour, minute, tzinfo=ZoneInfo(ZONE)).astimezone(UTC)


@pytest.fixture
def shop(store: Store) -> Shop:
    return open_shop(store, local(2026, 1, 10, 9))


def ruled(shop: Shop, **changes: Any) -> None:
    """The coffee shop as if its file said so: one point for a unit, no welcome, and these rules."""
    with shop.store.read() as read:
        loaded = programmes.by_slug(read, COFFEE)
        rules: Programme = loaded.programme
        plain = {
            "earning": EarnRule(points=1, per_minor=100, limit_minor=10**9),
            "tiers": tuple(replace(tier, multiplier=Fraction(1)) for tier in rules.tiers),
            "tiering": TierRule(),
            "points": PointsRule(),
            "birthday": None,
            "stamps": None,
        }
        read.unchanging[("programme", loaded.id, loaded.version)] = replace(rules, **{**plain, **changes})


def a_member(shop: Shop, at: datetime | None = None, **options: Any) -> Joined:
    shop.now = at or shop.now
    return shop.join(**options)


def buys(shop: Shop, member: Joined, amount_minor: int, at: datetime) -> None:
    shop.now = at
    shop.buy(member.code, amount_minor)


def bucket(shop: Shop, member: Joined, name: str) -> int:
    found = rows(
        shop.store,
        "account",
        f"owner_id = '{member.member_id}' AND bucket = '{name}' AND asset = 'points'",
    )
    return sum(row["balance"] for row in found)


def stands(shop: Shop, member: Joined) -> dict[str, Any]:
    return rows(shop.store, "member", f"id = {member.member_id}")[0]


def revision(shop: Shop, member: Joined) -> int:
    return int(rows(shop.store, "card", f"id = {member.card_id}")[0]["revision"])


def receipts(shop: Shop, kind: str) -> list[dict[str, Any]]:
    return sorted(rows(shop.store, "receipt", f"kind = '{kind}'"), key=lambda row: int(row["id"]))


def set_values(shop: Shop, statement: str, **values: Any) -> None:
    shop.store.write(lambda work: work.put(text(statement), **values))


def assert_right(shop: Shop) -> None:
    verified = books.verify(shop.store)
    assert verified.right, verified.problems


# Waiting points ------------------------------------------------------------------


@pytest.mark.check("L-50")
def test_points_wait_for_their_day_and_then_count(shop: Shop) -> None:
    ruled(shop, points=replace(MONTHLY, pending_days=14))
    ana = a_member(shop)
    buys(shop, ana, 12_040, local(2026, 1, 10, 17))
    assert (bucket(shop, ana, "pending"), bucket(shop, ana, "available")) == (120, 0)

    assert run_due(shop.store, now=local(2026, 1, 23, 23, 59)).activated == 0
    before = revision(shop, ana)
    assert run_due(shop.store, now=local(2026, 1, 24)).activated == 1
    assert (bucket(shop, ana, "pending"), bucket(shop, ana, "available")) == (0, 120)
    assert revision(shop, ana) == before + 1
    (booked,) = receipts(shop, "activate")
    assert (booked["points"], booked["balance_change"], booked["balance_after"]) == (0, 120, 120)
    assert instant(booked["occurred_at"]) == local(2026, 1, 24)
    (posting,) = rows(shop.store, "posting", "kind = 'activate'")
    assert (posting["amount"], posting["receipt_id"]) == (120, booked["id"])
    (lot,) = rows(shop.store, "lot", "posting_id IN (SELECT id FROM posting WHERE kind = 'earn')")
    assert not lot["pending"]
    assert lot["account_id"] == posting["target"]
    assert instant(lot["expires_at"]) == local(2027, 2, 1)
    assert_right(shop)

    assert run_due(shop.store, now=local(2026, 1, 24, 1)).activated == 0
    assert revision(shop, ana) == before + 1
    shop.now = local(2026, 1, 25)
    assert shop.balance(ana.code) == 120


def test_points_taken_back_while_they_waited_wait_no_longer(shop: Shop) -> None:
    ruled(shop, points=replace(MONTHLY, pending_days=14))
    ana = a_member(shop)
    shop.now = local(2026, 1, 10, 17)
    shop.undo(shop.buy(ana.code, 12_040).id)
    buys(shop, ana, 1_000, local(2026, 1, 10, 18))
    before = revision(shop, ana)
    assert run_due(shop.store, now=local(2026, 1, 24)).activated == 2
    assert rows(shop.store, "lot", "pending") == []
    assert len(rows(shop.store, "posting", "kind = 'activate'")) == 1
    assert revision(shop, ana) == before + 1
    assert_right(shop)


@pytest.mark.check("L-50")
def test_a_balance_below_zero_swallows_what_opens_first(shop: Shop) -> None:
    ruled(shop, points=PointsRule())
    ana = a_member(shop)
    shop.now = local(2026, 1, 10, 10)
    first = shop.buy(ana.code, 40_000)
    shop.redeem(ana.code, "extra-shot")
    ruled(shop, points=replace(MONTHLY, pending_days=14))
    buys(shop, ana, 30_000, local(2026, 1, 10, 10, 2))
    shop.now = local(2026, 1, 10, 10, 5)
    shop.undo(first.id)
    assert bucket(shop, ana, "available") == -150

    assert run_due(shop.store, now=local(2026, 2, 1)).activated == 1
    assert bucket(shop, ana, "available") == 150
    (lot,) = rows(shop.store, "lot", "remaining > 0")
    assert (lot["original"], lot["remaining"]) == (300, 150)
    assert_right(shop)


@pytest.mark.check("L-50")
def test_at_midnight_points_open_before_levels_and_lapse_after_them(shop: Shop) -> None:
    midnight = local(2027, 1, 1)
    expiry = Expiry(ExpiryKind.FIXED_DAY, month=1, day=1)
    lasting_gold = (*LEVELS[:2], replace(LEVELS[2], points_last=True))
    ruled(shop, points=PointsRule(expiry), tiers=lasting_gold)
    ana, ben = a_member(shop), a_member(shop, name="Ben")
    buys(shop, ana, 20_000, local(2026, 5, 1))
    buys(shop, ben, 20_000, local(2026, 5, 1))
    # Ana's level, on which nothing lapses, ends at that same midnight; Ben's goes on.
    set_values(
        shop,
        "UPDATE member SET tier = 'gold', tier_until = :until, tier_due_at = :until WHERE id = :id",
        until=micros(midnight),
        id=ana.member_id,
    )
    set_values(
        shop,
        "UPDATE member SET tier = 'gold', tier_until = :until, tier_due_at = :until WHERE id = :id",
        until=micros(local(2028, 1, 1)),
        id=ben.member_id,
    )
    done = run_due(shop.store, now=midnight)
    assert (done.levels, done.expired) == (1, 2)
    assert stands(shop, ana)["tier"] == "basic"
    assert (bucket(shop, ana, "available"), bucket(shop, ben, "available")) == (0, 200)
    # Ben's points are looked at again when his level ends.
    (lot,) = rows(shop.store, "lot", "remaining > 0")
    assert instant(lot["expires_at"]) == local(2028, 1, 1)
    assert_right(shop)


# Lapsing points -------------------------------------------------------------------


@pytest.mark.check("L-48")
def test_points_lapse_at_the_end_of_their_month_and_once(shop: Shop) -> None:
    ruled(shop, points=MONTHLY)
    ana = a_member(shop)
    buys(shop, ana, 10_000, local(2026, 1, 10, 12))
    buys(shop, ana, 5_000, local(2026, 1, 31, 23))
    buys(shop, ana, 3_000, local(2026, 2, 2))
    assert run_due(shop.store, now=local(2027, 2, 1) - timedelta(seconds=1)).expired == 0
    before = revision(shop, ana)
    # Three days late: the books still say midnight.
    now = local(2027, 2, 4, 8)
    assert run_due(shop.store, now=now).expired == 2
    (booked,) = receipts(shop, "expire")
    assert (booked["points"], booked["balance_change"], booked["balance_after"]) == (-150, -150, 30)
    assert instant(booked["occurred_at"]) == local(2027, 2, 1)
    assert instant(booked["recorded_at"]) == now
    reasons = json.loads(booked["reasons"])
    assert [(reason["rule"], reason["points"]) for reason in reasons] == [("expire", 100), ("expire", 50)]
    assert {instant(row["occurred_at"]) for row in rows(shop.store, "posting", "kind = 'expire'")} == {
        local(2027, 2, 1)
    }
    assert revision(shop, ana) == before + 1
    assert run_due(shop.store, now=now + timedelta(minutes=1)).expired == 0
    assert revision(shop, ana) == before + 1
    assert_right(shop)


def test_missed_days_give_a_receipt_each_in_order(shop: Shop) -> None:
    ruled(shop, points=PointsRule(Expiry(ExpiryKind.ROLLING, months=1)))
    ana = a_member(shop)
    for day in (12, 11):
        buys(shop, ana, 1_000 * day, local(2026, 1, day, 9))
    run_due(shop.store, now=local(2026, 3, 1))
    booked = receipts(shop, "expire")
    assert [row["points"] for row in booked] == [-110, -120]
    assert [row["balance_after"] for row in booked] == [120, 0]
    assert [instant(row["occurred_at"]) for row in booked] == [local(2026, 2, 11, 9), local(2026, 2, 12, 9)]
    assert_right(shop)


def test_small_slices_do_the_same_as_one_large_one(shop: Shop) -> None:
    ruled(shop, points=MONTHLY)
    members = [a_member(shop, name=f"Ana {number}") for number in range(7)]
    for member in members:
        for _ in range(2):
            buys(shop, member, 1_000, local(2026, 1, 10, 12))
    now = local(2027, 2, 1)
    taken = []
    while done := due_work.expire_due(shop.store, now=now, limit=2):
        taken.append(done)
    assert sum(taken) == 14
    assert max(taken) <= 4
    assert [row["points"] for row in receipts(shop, "expire")] == [-20] * 7
    assert_right(shop)


def test_stamps_lapse_apart_from_points(shop: Shop) -> None:
    ruled(shop, stamps=StampRule(Text.of({"en": "Punch"}), 10, months=1))
    ana = a_member(shop)
    buys(shop, ana, 1_000, local(2026, 1, 10, 12))
    before = revision(shop, ana)
    assert run_due(shop.store, now=local(2026, 2, 10)).expired == 1
    (booked,) = receipts(shop, "expire")
    assert (booked["points"], booked["stamps"], booked["balance_after"]) == (0, -1, 10)
    assert json.loads(booked["reasons"])[0]["asset"] == "stamps"
    assert rows(shop.store, "account", "owner_kind = 'member' AND asset = 'stamps'")[0]["balance"] == 0
    assert revision(shop, ana) == before + 1
    assert_right(shop)


@pytest.mark.check("L-49")
def test_a_purchase_moves_the_lapse_of_all_points(shop: Shop) -> None:
    idle = PointsRule(Expiry(ExpiryKind.INACTIVITY, months=6))
    ruled(shop, points=idle)
    ana, ben = a_member(shop), a_member(shop, name="Ben")
    buys(shop, ana, 10_000, local(2026, 1, 15, 9))
    buys(shop, ben, 10_000, local(2026, 1, 15, 9))
    buys(shop, ana, 500, local(2026, 7, 1, 9))
    assert run_due(shop.store, now=local(2026, 7, 15, 9)) == DueDone(idle=1, notices=0)
    assert (bucket(shop, ana, "available"), bucket(shop, ben, "available")) == (105, 0)
    (booked,) = receipts(shop, "expire")
    assert instant(booked["occurred_at"]) == local(2026, 7, 15, 9)
    assert json.loads(booked["reasons"])[0]["rule"] == "inactivity"
    assert stands(shop, ben)["points_lapse_at"] is None
    assert run_due(shop.store, now=local(2027, 1, 1, 9)).idle == 1
    assert bucket(shop, ana, "available") == 0
    assert_right(shop)


# Levels ---------------------------------------------------------------------------


@pytest.mark.check("L-11")
def test_a_purchase_lifts_its_member_at_once_and_grants_once_in_a_period(shop: Shop) -> None:
    gifted = replace(LEVELS[2], grants=("extra-shot",))
    ruled(shop, tiers=(*LEVELS[:2], gifted, LEVELS[3]), tiering=TierRule(window=TierWindow.LIFETIME))
    ana = a_member(shop)
    shop.now = local(2026, 1, 11)
    first = shop.buy(ana.code, 105_000)
    assert stands(shop, ana)["tier"] == "gold"
    (change,) = rows(shop.store, "tier_change")
    assert (change["to_key"], change["cause"], change["receipt_id"]) == ("gold", "upgrade", first.id)
    # Lost by hand and reached again: the gift came already.
    set_values(shop, "UPDATE member SET tier = 'silver'")
    buys(shop, ana, 100, local(2026, 1, 12))
    assert stands(shop, ana)["tier"] == "gold"
    assert len(rows(shop.store, "tier_change")) == 2
    assert len(rows(shop.store, "redemption", "source = 'tier'")) == 1


@pytest.mark.check("L-12")
@pytest.mark.parametrize(
    ("review", "spent", "expected"),
    [
        (Review.FULL, 105_000, "silver"),
        (Review.FULL, 260_000, "silver"),
        (Review.ONE_DOWN, 260_000, "gold"),
        (Review.NEVER, 260_000, "platinum"),
    ],
)
def test_420_in_the_next_year_is_reviewed_on_its_last_midnight(
    shop: Shop, review: Review, spent: int, expected: str
) -> None:
    ruled(shop, tiers=LEVELS, tiering=TierRule(review=review))
    ana = a_member(shop, local(2025, 3, 1))
    buys(shop, ana, spent, local(2025, 9, 14, 12))
    reached = stands(shop, ana)["tier"]
    assert reached == ("platinum" if spent == 260_000 else "gold")
    buys(shop, ana, 42_000, local(2026, 5, 5))
    assert run_due(shop.store, now=local(2027, 1, 1) - timedelta(seconds=1)).levels == 0
    before = revision(shop, ana)
    run_due(shop.store, now=local(2027, 1, 1))
    now = stands(shop, ana)
    assert now["tier"] == expected
    if review is Review.NEVER:
        return
    assert instant(now["tier_until"]) == instant(now["tier_due_at"]) == local(2028, 1, 1)
    assert revision(shop, ana) == before + 1
    (change,) = rows(shop.store, "tier_change", "cause = 'review'")
    assert (change["from_key"], change["to_key"], instant(change["at"])) == (
        reached,
        expected,
        local(2027, 1, 1),
    )
    run_due(shop.store, now=local(2027, 1, 2))
    assert len(rows(shop.store, "tier_change", "cause = 'review'")) == 1


@pytest.mark.check("L-12")
def test_with_grace_the_level_falls_on_31_january_unless_january_saves_it(shop: Shop) -> None:
    ruled(shop, tiers=LEVELS, tiering=TierRule(grace_days=30))
    ana, ben = a_member(shop, local(2025, 3, 1)), a_member(shop, name="Ben")
    for member in (ana, ben):
        buys(shop, member, 105_000, local(2025, 9, 14))
        buys(shop, member, 42_000, local(2026, 5, 5))
    buys(shop, ben, 58_000, local(2027, 1, 20))
    assert run_due(shop.store, now=local(2027, 1, 30, 23)).levels == 0
    before = revision(shop, ben)
    assert run_due(shop.store, now=local(2027, 1, 31)).levels == 2
    assert (stands(shop, ana)["tier"], stands(shop, ben)["tier"]) == ("silver", "gold")
    assert revision(shop, ben) == before
    # What Ben spent in January counts for 2027 as well.
    assert (stands(shop, ben)["metric_period"], stands(shop, ben)["metric"]) == (2027, 58_000)


@pytest.mark.check("L-14")
def test_a_returned_purchase_is_missing_at_the_review(shop: Shop) -> None:
    ruled(shop, tiers=LEVELS)
    ana = a_member(shop, local(2025, 3, 1))
    buys(shop, ana, 105_000, local(2025, 9, 14))
    buys(shop, ana, 95_000, local(2026, 5, 5))
    shop.now = local(2026, 6, 1)
    late = shop.buy(ana.code, 10_000)
    shop.now = local(2026, 6, 1, 0, 5)
    shop.undo(late.id)
    # As if the year's figure had not been corrected: the review counts the purchases themselves.
    set_values(shop, "UPDATE member SET tier_until = :at, tier_due_at = :at", at=micros(local(2027, 1, 1)))
    run_due(shop.store, now=local(2027, 1, 1))
    assert stands(shop, ana)["tier"] == "silver"


@pytest.mark.check("L-13")
def test_a_rolling_level_ends_when_old_purchases_leave_the_window(shop: Shop) -> None:
    ruled(shop, tiers=LEVELS, tiering=TierRule(window=TierWindow.ROLLING, days=365))
    ana = a_member(shop, local(2025, 3, 1))
    buys(shop, ana, 80_000, local(2025, 4, 1, 10))
    buys(shop, ana, 35_000, local(2025, 11, 20, 10))
    assert stands(shop, ana)["tier"] == "gold"
    assert run_due(shop.store, now=local(2026, 11, 19, 23)).levels == 0
    buys(shop, ana, 31_000, local(2026, 11, 19, 23))
    run_due(shop.store, now=local(2026, 11, 20))
    now = stands(shop, ana)
    assert (now["tier"], instant(now["tier_until"])) == ("silver", local(2027, 11, 19))
    run_due(shop.store, now=local(2027, 11, 19))
    assert stands(shop, ana)["tier"] == "basic"


@pytest.mark.check("L-15")
def test_an_upgrade_waits_seven_days_and_looks_at_returns_first(shop: Shop) -> None:
    given = replace(LEVELS[1], grants=("extra-shot",))
    ruled(shop, tiers=(LEVELS[0], given, *LEVELS[2:]), tiering=TierRule(delay_days=7))
    ana, ben = a_member(shop), a_member(shop, name="Ben")
    buys(shop, ana, 35_000, local(2026, 5, 4, 18))
    shop.now = local(2026, 5, 4, 18)
    back = shop.buy(ben.code, 35_000)
    shop.now = local(2026, 5, 4, 18, 5)
    shop.undo(back.id)
    assert run_due(shop.store, now=local(2026, 5, 10, 23)).levels == 0
    run_due(shop.store, now=local(2026, 5, 11))
    assert (stands(shop, ana)["tier"], stands(shop, ben)["tier"]) == ("silver", "basic")
    assert stands(shop, ana)["tier_waiting"] is None
    assert stands(shop, ben)["tier_due_at"] is None
    # The level's reward comes with it, once.
    (issued,) = rows(shop.store, "redemption")
    assert (issued["member_id"], issued["source"], issued["state"]) == (ana.member_id, "tier", "issued")


@pytest.mark.parametrize("metric", [TierMetric.POINTS, TierMetric.VISITS])
def test_points_and_visits_are_counted_from_the_books(shop: Shop, metric: TierMetric) -> None:
    few = tuple(replace(tier, threshold=at) for tier, at in zip(LEVELS, (0, 2, 3, 9_000), strict=True))
    ruled(shop, tiers=few, tiering=TierRule(metric=metric))
    ana = a_member(shop, local(2025, 3, 1))
    for day in (1, 2):
        buys(shop, ana, 100, local(2026, 5, day))
    shop.now = local(2026, 5, 3)
    mistake = shop.buy(ana.code, 100)
    shop.undo(mistake.id)
    set_values(
        shop,
        "UPDATE member SET tier = 'platinum', tier_until = :at, tier_due_at = :at",
        at=micros(local(2027, 1, 1)),
    )
    run_due(shop.store, now=local(2027, 1, 1))
    assert stands(shop, ana)["tier"] == "silver"


# Holds and rewards ----------------------------------------------------------------


@pytest.mark.check("L-22")
def test_a_hold_that_timed_out_gives_everything_back(shop: Shop) -> None:
    rewards = (Reward("cup", Text.of({"en": "Cup"}), 100, stock=1),)
    ruled(shop, points=MONTHLY, rewards=rewards)
    ana = a_member(shop)
    buys(shop, ana, 15_000, local(2026, 1, 10, 12))
    held = checkout.authorise(
        shop.store, programme=COFFEE, code=ana.code, reward="cup", key=shop.key(), at=TILL, now=shop.now
    )
    assert (bucket(shop, ana, "available"), bucket(shop, ana, "held")) == (50, 100)
    assert run_due(shop.store, now=held.lapses_at - timedelta(seconds=1)).holds == 0
    now = held.lapses_at + timedelta(minutes=3)
    assert run_due(shop.store, now=now).holds == 1
    assert (bucket(shop, ana, "available"), bucket(shop, ana, "held")) == (150, 0)
    (hold,) = rows(shop.store, "hold")
    assert hold["state"] == "expired"
    (issued,) = rows(shop.store, "redemption")
    assert issued["state"] == "cancelled"
    assert rows(shop.store, "allowance", "name = 'stock:cup'")[0]["used"] == 0
    (lot,) = rows(shop.store, "lot")
    assert lot["remaining"] == 150
    assert_right(shop)
    assert run_due(shop.store, now=now).holds == 0


def test_a_reward_that_was_not_used_in_time_lapses(shop: Shop) -> None:
    granted = (replace(LEVELS[0]), replace(LEVELS[1], grants=("cup",)))
    rewards = (Reward("cup", Text.of({"en": "Cup"}), 100, valid_days=10),)
    ruled(shop, tiers=granted, tiering=TierRule(delay_days=1), rewards=rewards)
    ana = a_member(shop)
    buys(shop, ana, 35_000, local(2026, 5, 4, 18))
    run_due(shop.store, now=local(2026, 5, 5))
    (issued,) = rows(shop.store, "redemption")
    assert instant(issued["expires_at"]) == local(2026, 5, 15)
    assert run_due(shop.store, now=local(2026, 5, 14, 23)).rewards_lapsed == 0
    assert run_due(shop.store, now=local(2026, 5, 15)).rewards_lapsed == 1
    (issued,) = rows(shop.store, "redemption")
    assert issued["state"] == "expired"


# Birthdays ------------------------------------------------------------------------


@pytest.mark.check("L-30")
def test_a_birthday_of_29_february_is_given_once_on_the_28th(shop: Shop) -> None:
    ruled(shop, birthday=Birthday(points=50, reward_key="extra-shot"))
    ana = a_member(shop, birthday=date(2000, 2, 29))
    assert run_due(shop.store, now=local(2027, 2, 27, 12)).birthdays == 0
    before = revision(shop, ana)
    assert run_due(shop.store, now=local(2027, 2, 28, 0, 1)).birthdays == 1
    assert run_due(shop.store, now=local(2027, 2, 28, 0, 2)).birthdays == 0
    assert revision(shop, ana) == before + 1
    assert run_due(shop.store, now=local(2027, 3, 1)).birthdays == 0
    assert bucket(shop, ana, "available") == 50
    (booked,) = receipts(shop, "birthday")
    assert (booked["points"], booked["reward_key"]) == (50, "extra-shot")
    (issued,) = rows(shop.store, "redemption")
    assert (issued["source"], instant(issued["expires_at"])) == ("birthday", local(2027, 3, 1))
    (told,) = rows(shop.store, "notice")
    assert told["words"] == "Happy birthday! 50 beans are yours."
    assert_right(shop)


@pytest.mark.check("L-30")
def test_a_changed_birthday_gives_no_second_gift_in_a_year(shop: Shop) -> None:
    ruled(shop, birthday=Birthday(points=50, span=BirthdaySpan.DAYS, days=2))
    ana = a_member(shop, birthday=date(2000, 3, 20))
    run_due(shop.store, now=local(2026, 3, 18))
    assert len(receipts(shop, "birthday")) == 1

    def changed(month: int, day: int, at: datetime) -> None:
        set_values(
            shop,
            "UPDATE person SET birthday_month = :month, birthday_day = :day, birthday_changed_at = :at",
            month=month,
            day=day,
            at=micros(at),
        )

    changed(6, 20, local(2026, 4, 1))
    run_due(shop.store, now=local(2026, 6, 20))
    assert len(receipts(shop, "birthday")) == 1
    # Within thirty days before the new date: nothing that year.
    changed(2, 1, local(2027, 1, 10))
    run_due(shop.store, now=local(2027, 2, 1))
    assert len(receipts(shop, "birthday")) == 1
    run_due(shop.store, now=local(2028, 2, 1))
    assert len(receipts(shop, "birthday")) == 2
    assert bucket(shop, ana, "available") == 100


def test_birthdays_of_days_that_were_missed_are_given(shop: Shop) -> None:
    ruled(shop, birthday=Birthday(points=50))
    for day in (2, 3, 4, 9):
        a_member(shop, name=f"Ana {day}", birthday=date(2000, 3, day))
    run_due(shop.store, now=local(2026, 3, 1))
    assert run_due(shop.store, now=local(2026, 3, 4)).birthdays == 3


# Notices --------------------------------------------------------------------------


def told(shop: Shop) -> list[tuple[str, str]]:
    return sorted((row["about"], row["words"]) for row in rows(shop.store, "notice"))


def test_members_are_told_ahead_exactly_what_lapses_when(shop: Shop) -> None:
    ruled(shop, points=MONTHLY)
    ana, emre = a_member(shop), a_member(shop, name="Emre", language="tr")
    buys(shop, ana, 120_000, local(2026, 1, 10))
    buys(shop, ana, 3_400, local(2026, 1, 20))
    buys(shop, emre, 100, local(2026, 1, 10))
    ben = a_member(shop, name="Ben")
    buys(shop, ben, 5_000, local(2026, 3, 1))
    assert run_due(shop.store, now=local(2027, 1, 1)).notices == 0
    before = revision(shop, ana)
    assert run_due(shop.store, now=local(2027, 1, 2, 6)).notices == 2
    assert run_due(shop.store, now=local(2027, 1, 2, 7)).notices == 0
    assert told(shop) == [
        ("20270201:30", "1 çekirdek 1 Şubat 2027 tarihinde geçerliliğini yitiriyor."),
        ("20270201:30", "1,234 beans lapse on February 1, 2027."),
    ]
    assert revision(shop, ana) == before
    shop.now = local(2027, 1, 20)
    shop.redeem(ana.code, "extra-shot")
    run_due(shop.store, now=local(2027, 1, 25))
    run_due(shop.store, now=local(2027, 1, 31))
    later = [words for about, words in told(shop) if about != "20270201:30" and "beans" in words]
    assert later == ["1,084 beans lapse on February 1, 2027."] * 2


def test_members_are_told_ahead_of_inactivity(shop: Shop) -> None:
    ruled(shop, points=PointsRule(Expiry(ExpiryKind.INACTIVITY, months=6)))
    ana = a_member(shop)
    buys(shop, ana, 10_000, local(2026, 1, 15, 9))
    run_due(shop.store, now=local(2026, 7, 7))
    run_due(shop.store, now=local(2026, 7, 8))
    assert told(shop) == [("20260715:7", "100 beans lapse on July 15, 2026.")]


# All of it ------------------------------------------------------------------------


def test_a_run_ends_between_two_transactions_when_told(shop: Shop) -> None:
    ruled(shop, points=MONTHLY)
    ana = a_member(shop)
    buys(shop, ana, 10_000, local(2026, 1, 10))
    assert run_due(shop.store, now=local(2027, 2, 1), stopped=lambda: True) == DueDone()
    assert bucket(shop, ana, "available") == 100


def test_what_was_interrupted_goes_on_where_it_stopped(shop: Shop) -> None:
    ruled(shop, points=MONTHLY)
    for number in range(5):
        buys(shop, a_member(shop, name=f"Ana {number}"), 10_000, local(2026, 1, 10))
    now = local(2027, 2, 1)
    assert due_work.expire_due(shop.store, now=now, limit=2) == 2
    assert run_due(shop.store, now=now).expired == 3
    assert len(receipts(shop, "expire")) == 5
    assert_right(shop)


def test_two_workers_share_the_work_and_do_nothing_twice(
    shop: Shop, postgresql_only: Callable[[], None]
) -> None:
    postgresql_only()
    import threading

    ruled(shop, points=MONTHLY)
    for number in range(20):
        buys(shop, a_member(shop, name=f"Ana {number}"), 10_000, local(2026, 1, 10))
    now = local(2027, 2, 1)

    def work() -> None:
        while due_work.expire_due(shop.store, now=now, limit=3):
            pass

    threads = [threading.Thread(target=work) for _ in range(3)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    run_due(shop.store, now=now)
    assert len(receipts(shop, "expire")) == 20
    assert_right(shop)


@pytest.fixture
def postgresql_only(store: Store) -> Callable[[], None]:
    def check() -> None:
        if not store.postgresql:
            pytest.skip("SQLite has one writer")

    return check


def test_the_command_line_does_what_is_due(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setenv("PASSES_MODE", "development")
    monkeypatch.setenv("PASSES_VAR", str(tmp_path / "var"))
    monkeypatch.setenv("PASSES_CERTS", str(tmp_path / "certs" / "dev"))
    for command in (("certs", "dev"), ("keys", "create"), ("migrate",)):
        assert cli.main([*command]) == 0
    capsys.readouterr()
    assert cli.main(["due", "--json"]) == 0
    assert json.loads(capsys.readouterr().out) == asdict(DueDone())


@pytest.mark.parametrize(
    "points",
    [
        PointsRule(Expiry(ExpiryKind.ROLLING, months=1), pending_days=5),
        PointsRule(Expiry(ExpiryKind.INACTIVITY, months=1), pending_days=2),
        PointsRule(Expiry(ExpiryKind.FIXED_DAY, month=3, day=1), pending_days=40),
    ],
    ids=["rolling", "inactivity", "fixed day"],
)
def test_whatever_happens_in_between_the_books_stay_right(shop: Shop, points: PointsRule) -> None:
    dice = Random(7)
    ruled(
        shop,
        points=points,
        tiers=(*LEVELS[:2], replace(LEVELS[2], points_last=True)),
        tiering=TierRule(window=TierWindow.ROLLING, days=20, delay_days=2, grace_days=3),
        birthday=Birthday(points=30),
    )
    people = [a_member(shop, name=f"Ana {day}", birthday=date(2000, 2, day)) for day in (1, 14, 28)]
    now = shop.now
    for _ in range(60):
        now += timedelta(hours=dice.randrange(1, 240))
        shop.now = now
        ana = dice.choice(people)
        match dice.randrange(5):
            case 0 | 1:
                shop.buy(ana.code, dice.randrange(100, 60_000))
            case 2:
                with contextlib.suppress(NotEnoughPoints):
                    shop.redeem(ana.code, "extra-shot")
            case 3:
                shop.undo(shop.buy(ana.code, dice.randrange(100, 60_000)).id)
            case 4:
                run_due(shop.store, now=now)
    run_due(shop.store, now=now)
    before = rows(shop.store, "posting")
    assert run_due(shop.store, now=now) == DueDone()
    assert len(rows(shop.store, "posting")) == len(before)
    assert {row["kind"] for row in before} >= {"activate", "expire"}
    assert_right(shop)
