"""New rules tried on old purchases: the present rules must give what was given, others what they say."""

from __future__ import annotations

import json
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from fractions import Fraction
from pathlib import Path
from random import Random
from typing import Any

import pytest
from sqlalchemy import text

from passes import backtest as backtests
from passes import campaigns, checkout, cli, due_work, enrolment, merging, programmes
from passes.backtest import BacktestFigures
from passes.loyalty.basket import Line
from passes.loyalty.receipt import Counter
from passes.loyalty.refusals import ProgrammeInvalid, ProgrammeNotComparable, ProgrammeUnknown, Refused
from passes.loyalty.tiers import TierMetric
from passes.store import Store
from passes.store.models import metadata
from tests.cast import rows
from tests.shop import COFFEE, PASS_TYPE, TILL, Shop

MILL = "mill"
START = datetime(2026, 1, 5, 8, tzinfo=UTC)

BASE = """
languages = ["en"]
currency = "USD"
zone = "America/Chicago"
name = "Old Mill"
organisation = "Old Mill Ltd"
description = "Points for everything."
terms = "None."

[categories]
coffee = "coffee"
beans = "beans"
gift-card = "gift cards"

[unit]
one = "point"
other = "points"

[code]
kind = "letters"
symbology = "qr"

[earning]
points_per = "1 per 1.00"
limit = 5000.00
{earning}

[[earning.excluded]]
categories = ["gift-card"]
{more}

[points]
{points}

[[rewards]]
key = "ten"
name = "Ten off"
kind = "amount_off"
points = {price}
amount = 10.00

[[rewards]]
key = "mug"
name = "Mug"
kind = "product"
points = 400
{tiering}
{tiers}
{stamps}

[card]
scene = "plain"
ground = "#000000"
text = "#FFFFFF"
label = "#FFFFFF"
strip = "progress"
steps = 8

[[shops]]
key = "west-loop"
name = "West"
address = "54 West Street"
latitude = 41.9
longitude = -87.6

[contact]
email = "mill@example.org"
"""
TIERS = """
[[tiers]]
key = "basic"
name = "Basic"
{metric} = 0

[[tiers]]
key = "gold"
name = "Gold"
{metric} = {gold}
multiplier = 1.5
"""
SPEND = TIERS.format(metric="spend", gold="150.00")
DOUBLE = """
[[earning.multipliers]]
key = "double-beans"
name = "Twice for beans"
factor = 2
{bounds}
when = { categories = ["beans"] }
"""


def a_file(
    earning: str = "",
    more: str = "",
    points: str = "",
    tiers: str = SPEND,
    tiering: str = "",
    stamps: str = "",
    price: int = 100,
) -> str:
    return BASE.format(
        earning=earning,
        more=more,
        points=points,
        tiers=tiers,
        tiering=f"[tiering]\n{tiering}" if tiering else "",
        stamps=f"[stamps]\n{stamps}" if stamps else "",
        price=price,
    )


def doubled(bounds: str = "") -> str:
    return DOUBLE.replace("{bounds}", bounds)


def opened(store: Store, source: str, at: datetime = START) -> Shop:
    programmes.load(store, name=MILL, source=source, pass_type=PASS_TYPE, now=at)
    return Shop(store, at)


def tried(shop: Shop, source: str, days: int = 60, **options: Any) -> BacktestFigures:
    return backtests.backtest(shop.store, programme=MILL, source=source, days=days, now=shop.now, **options)


def rule(figures: BacktestFigures, key: str) -> tuple[int, int]:
    return next(((one.before, one.after) for one in figures.rules if one.rule == key), (0, 0))


# The present rules -------------------------------------------------------------------

VARIANTS = {
    "floor": a_file(more=doubled()),
    "half-up, several multipliers, bonuses": a_file(
        earning='rounding = "half_up"\ncombine = "product"\nminimum = 2.00',
        more=doubled()
        + """
[[earning.multipliers]]
key = "mornings"
name = "Mornings"
factor = 1.5
when = { hours = ["06:00-12:00"] }
[[earning.bonuses]]
key = "big"
name = "Large shopping"
points = 20
when = { minimum = 30.00 }
[earning.caps]
purchase = 120
""",
        points='returns = "proportional"',
    ),
    "carried fractions": a_file(earning='rounding = "carry"', more=doubled()),
    "carried blocks": a_file(
        earning='rounding = "block"\ncarries = true', more="[earning.caps]\npurchase = 90"
    ).replace("1 per 1.00", "3 per 5.00"),
    "caps of a day": a_file(
        more="[earning.caps]\nday = 40",
        stamps="""
name = "Coffees"
target = 5
earned_for = "item"
categories = ["coffee"]
day_limit = 3
""",
    ),
    "budgets": a_file(more=doubled("budget_points = 600\nmember_points = 150")),
    "segments": a_file(
        more="""
[[earning.multipliers]]
key = "regulars"
name = "Regulars"
factor = 2
[earning.multipliers.when.segment]
purchases_least = 3
idle_days_most = 6
balance_least = 20
[[earning.multipliers]]
key = "golden"
name = "Gold alone"
factor = 3
when = { tiers = ["gold"] }
[[earning.bonuses]]
key = "again"
name = "Welcome back"
points = 7
[earning.bonuses.when.segment]
idle_days_least = 8
"""
    ),
    "rolling levels of spend": a_file(tiering='window = "rolling"\ndays = 25'),
    "rolling levels of points, returns at once": a_file(
        tiering='window = "rolling"\ndays = 30\nmetric = "points"\non_return = "immediate"',
        tiers=TIERS.format(metric="points", gold=120),
    ),
    "visits, held back, one down": a_file(
        tiering='window = "membership_year"\nmetric = "visits"\ndelay_days = 3\nreview = "one_down"',
        tiers=TIERS.format(metric="visits", gold=6),
    ),
    "waiting points, visits apart": a_file(
        points='pending_days = 4\n[points.expiry]\nkind = "rolling"\nmonths = 1',
        earning="welcome = 25\nwelcome_waits = true",
        stamps='name = "Visits"\ntarget = 6\nearned_for = "visit"\nminutes_between = 90\nday_limit = 2',
    ),
}

GOODS = (
    Line(1, 350, category="coffee"),
    Line(2, 375, category="coffee"),
    Line(1, 1425, category="beans"),
    Line(3, 1199, category="beans", discount_minor=97),
    Line(1, 2500, category="gift-card"),
    Line(1, 89),
)


def history_of(shop: Shop, chance: Random, *, with_merge: bool = False) -> None:
    """Months of a shop's life: purchases, goods that come back, mistakes undone, rewards, days that pass."""
    people = [shop.join(name=f"Person {number}", programme=MILL) for number in range(5)]
    bought: list[tuple[int, str]] = []
    for step in range(170):
        shop.now += timedelta(minutes=chance.choice((1, 30, 200, 1_000, 2_500)))
        if with_merge and step == 100:
            merging.merge(
                shop.store,
                programme=MILL,
                survivor=people[0].code,
                loser=people[1].code,
                proof="both cards in one hand",
                by="mo",
                key=shop.key(),
                now=shop.now,
            )
        who = chance.choice(people)
        roll = chance.random()
        try:
            if roll < 0.68:
                lines = tuple(chance.choice(GOODS) for _ in range(chance.randint(1, 3)))
                net = sum(line.net_minor for line in lines)
                off = chance.choice((0, 0, net // 10))
                with_lines = chance.random() < 0.8
                late = timedelta(hours=chance.choice((0, 0, 0, 5)))
                receipt = shop.buy(
                    who.code,
                    net - off if with_lines else net,
                    programme=MILL,
                    lines=lines if with_lines else (),
                    discount_minor=off if with_lines else 0,
                    unearning_minor=chance.choice((0, 0, 50)),
                    at=Counter("west-loop", "front", "cy", chance.choice(("in_store", "online"))),
                    occurred_at=shop.now - late if late else None,
                )
                bought.append((receipt.id, who.code))
                if chance.random() < 0.12:
                    shop.now += timedelta(minutes=chance.choice((0, 3)))
                    shop.undo(bought.pop()[0], programme=MILL)
            elif roll < 0.80 and bought:
                receipt_id, _ = chance.choice(bought[-25:])
                whole = chance.random() < 0.5
                checkout.take_back(
                    shop.store,
                    programme=MILL,
                    receipt_id=receipt_id,
                    key=shop.key(),
                    at=TILL,
                    lines=None if whole else {1: 1},
                    now=shop.now,
                )
            elif roll < 0.93:
                shop.redeem(who.code, "ten", programme=MILL)
            else:
                due_work.run_due(shop.store, now=shop.now)
        except Refused:
            continue
    due_work.run_due(shop.store, now=shop.now)


def really_earned(shop: Shop, since: datetime) -> int:
    """What the books say of the purchases of the window, told without any of the backtest's code."""
    stamp = int(since.timestamp() * 1_000_000)
    with shop.store.read() as read:
        return int(
            read.ask(
                text(
                    "SELECT coalesce(sum(CASE posting.kind WHEN 'earn' THEN posting.amount"
                    " ELSE -posting.amount END), 0)"
                    " FROM posting JOIN receipt ON receipt.id = posting.receipt_id"
                    " JOIN purchase ON purchase.id = receipt.purchase_id"
                    " WHERE posting.asset = 'points' AND posting.kind IN ('earn', 'clawback')"
                    " AND purchase.voided_by IS NULL AND purchase.recorded_at >= :since"
                ),
                since=stamp,
            ).value()
        )


@pytest.mark.parametrize("seed", range(1))
@pytest.mark.parametrize("variant", VARIANTS)
def test_the_present_rules_give_everybody_exactly_what_was_given(
    store: Store, variant: str, seed: int
) -> None:
    source = VARIANTS[variant]
    shop = opened(store, source)
    history_of(shop, Random(f"{variant} {seed}"))
    for days in (3, 45, 400):
        found = tried(shop, source, days=days)
        assert found.winners.largest == found.losers.largest == ()
        assert found.points_before == found.points_after
        assert found.stamps_before == found.stamps_after
        assert [one for one in found.rules if one.before != one.after] == []
        assert sum(one.after for one in found.rules) == found.points_after
        assert [one for one in found.tiers if one.before != one.after] == []
        assert [one for one in found.rewards if one.change != "same"] == []
        assert found.purchases > 0
        if variant == "floor":
            assert found.points_before == really_earned(shop, found.since)


@pytest.mark.parametrize("variant", ["floor", "segments", "rolling levels of spend", "carried fractions"])
def test_cards_that_became_one_go_on_as_one(store: Store, variant: str) -> None:
    shop = opened(store, VARIANTS[variant])
    history_of(shop, Random(f"merge {variant}"), with_merge=True)
    found = tried(shop, VARIANTS[variant], days=400)
    assert (found.winners.largest, found.losers.largest) == ((), ())
    assert found.members == 4
    if variant == "floor":
        assert found.points_before == found.points_after == really_earned(shop, found.since)


# Other rules -------------------------------------------------------------------------

BEANS = Line(1, 2000, category="beans")
COFFEE_LINE = Line(1, 400, category="coffee")


def buys(shop: Shop, code: str, *lines: Line, days: int = 1, **options: Any) -> Any:
    shop.now += timedelta(days=days)
    net = sum(line.net_minor for line in lines)
    return shop.buy(code, net, programme=MILL, lines=lines, **options)


def test_a_multiplier_shows_what_it_would_have_given_and_to_whom(store: Store) -> None:
    shop = opened(store, a_file(tiers=""))
    ana, ben, cem = (shop.join(name=name, programme=MILL) for name in ("Ana", "Ben", "Cem"))
    buys(shop, ana.code, BEANS, COFFEE_LINE)
    buys(shop, ana.code, BEANS)
    buys(shop, ben.code, BEANS)
    buys(shop, cem.code, COFFEE_LINE)
    found = tried(shop, a_file(tiers="", more=doubled()))
    assert (found.purchases, found.members) == (4, 3)
    assert (found.points_before, found.points_after, found.difference) == (68, 128, 60)
    assert rule(found, "base") == (68, 68)
    assert rule(found, "multiplier:double-beans") == (0, 60)
    assert (found.winners.members, found.winners.points) == (2, 60)
    first, second = found.winners.largest
    assert (first.member_id, first.before, first.after, first.difference) == (ana.member_id, 44, 84, 40)
    assert (second.member_id, second.difference) == (ben.member_id, 20)
    assert first.name is None
    assert (found.losers.members, found.losers.points, found.unchanged) == (0, 0, 1)


def test_every_purchase_is_held_against_the_rules_it_was_booked_under(store: Store) -> None:
    shop = opened(store, a_file(tiers=""))
    ana = shop.join(programme=MILL)
    buys(shop, ana.code, BEANS)
    twice = a_file(tiers="").replace("1 per 1.00", "2 per 1.00")
    programmes.load(store, name=MILL, source=twice, pass_type=PASS_TYPE, now=shop.now)
    buys(shop, ana.code, BEANS)
    for source, after in ((twice, 80), (a_file(tiers=""), 40)):
        found = tried(shop, source)
        assert (found.points_before, found.points_after) == (60, after)


def test_names_stand_in_the_report_only_when_asked_for(store: Store) -> None:
    shop = opened(store, a_file())
    ana = shop.join(name="Ana Reyes", programme=MILL)
    buys(shop, ana.code, BEANS)
    assert "Ana Reyes" not in str(tried(shop, a_file(more=doubled())))
    assert [one.name for one in tried(shop, a_file(more=doubled()), with_names=True).winners.largest] == [
        "Ana Reyes"
    ]


def test_a_consent_counts_from_when_it_was_given(store: Store) -> None:
    asking = """
[[consents]]
purpose = "offers"
version = "1"
text = "You may write to me."
"""
    wanted = """
[[earning.multipliers]]
key = "agreed"
name = "Thank you"
factor = 2
[earning.multipliers.when.segment]
consent = "offers"
"""
    shop = opened(store, a_file(tiers="") + asking)
    ana = shop.join(name="Ana", programme=MILL, consents={"offers": True})
    ben = shop.join(name="Ben", programme=MILL)
    for member in (ana, ben):
        buys(shop, member.code, BEANS)
    found = tried(shop, a_file(tiers="", more=wanted) + asking)
    assert [(one.member_id, one.difference) for one in found.winners.largest] == [(ana.member_id, 20)]


def test_the_ten_who_lose_most_are_shown_and_all_are_counted(store: Store) -> None:
    shop = opened(store, a_file(tiers=""))
    for number in range(12):
        member = shop.join(name=f"Person {number}", programme=MILL)
        buys(shop, member.code, Line(1, 1_000 * (number + 1)))
    found = tried(shop, a_file(tiers="").replace("1 per 1.00", "1 per 2.00"))
    assert (found.losers.members, found.losers.points) == (12, -390)
    assert [one.difference for one in found.losers.largest] == [-5 * number for number in range(12, 2, -1)]


def test_a_budget_is_shared_in_the_order_of_the_purchases(store: Store) -> None:
    shop = opened(store, a_file(tiers=""))
    ana, ben = (shop.join(name=name, programme=MILL) for name in ("Ana", "Ben"))
    for _ in range(2):
        buys(shop, ana.code, BEANS)
        buys(shop, ben.code, BEANS)
    found = tried(shop, a_file(tiers="", more=doubled("budget_points = 50")))
    assert rule(found, "multiplier:double-beans") == (0, 50)
    assert [(one.member_id, one.difference) for one in found.winners.largest] == [
        (ana.member_id, 30),
        (ben.member_id, 20),
    ]
    alone = tried(shop, a_file(tiers="", more=doubled("member_points = 25")))
    assert [one.difference for one in alone.winners.largest] == [25, 25]


def test_what_was_used_of_a_budget_before_the_window_is_gone(store: Store) -> None:
    source = a_file(tiers="", more=doubled("budget_points = 50"))
    shop = opened(store, source)
    ana = shop.join(programme=MILL)
    buys(shop, ana.code, BEANS)
    buys(shop, ana.code, BEANS, days=40)
    buys(shop, ana.code, BEANS)
    larger = a_file(tiers="", more=doubled("budget_points = 55"))
    found = tried(shop, larger, days=10)
    assert rule(found, "multiplier:double-beans") == (30, 35)


def test_caps_and_carried_rests_follow_the_new_rules(store: Store) -> None:
    shop = opened(store, a_file(tiers=""))
    ana = shop.join(programme=MILL)
    for _ in range(4):
        buys(shop, ana.code, Line(1, 1_050), days=0)
        shop.now += timedelta(minutes=5)
    capped = tried(shop, a_file(tiers="", more="[earning.caps]\nday = 25"))
    assert (capped.points_before, capped.points_after) == (40, 25)
    assert rule(capped, "cap:day") == (0, -15)
    assert tried(shop, a_file('rounding = "carry"', tiers="")).points_after == 42


def test_a_level_reached_earlier_multiplies_what_follows(store: Store) -> None:
    shop = opened(store, a_file())
    ana, ben = (shop.join(name=name, programme=MILL) for name in ("Ana", "Ben"))
    for _ in range(3):
        buys(shop, ana.code, BEANS)
    buys(shop, ben.code, BEANS)
    lower = a_file(tiers=TIERS.format(metric="spend", gold="40.00"))
    found = tried(shop, lower)
    assert (found.points_before, found.points_after) == (80, 90)
    assert rule(found, "tier:gold") == (0, 10)
    assert [(one.tier, one.before, one.after, one.at_review) for one in found.tiers] == [
        ("basic", 2, 1, 1),
        ("gold", 0, 1, 1),
    ]


def test_a_higher_threshold_takes_no_level_before_its_review(store: Store) -> None:
    shop = opened(store, a_file())
    ana = shop.join(programme=MILL)
    for _ in range(10):
        buys(shop, ana.code, BEANS)
    higher = a_file(tiers=TIERS.format(metric="spend", gold="500.00"))
    found = tried(shop, higher, days=1)
    gold = next(one for one in found.tiers if one.tier == "gold")
    assert (gold.before, gold.after, gold.at_review) == (1, 1, 0)


@pytest.mark.parametrize("metric", list(TierMetric))
def test_levels_at_review_count_what_the_metric_counts(store: Store, metric: TierMetric) -> None:
    shop = opened(store, a_file())
    ana = shop.join(programme=MILL)
    shop.join(name="Ben", programme=MILL)
    for _ in range(3):
        buys(shop, ana.code, BEANS)
    gold = {TierMetric.SPEND: "60.00", TierMetric.POINTS: 60, TierMetric.VISITS: 3}[metric]
    tiers = TIERS.format(metric=metric.value, gold=gold)
    found = tried(shop, a_file(tiers=tiers, tiering=f'metric = "{metric.value}"'))
    assert {one.tier: one.at_review for one in found.tiers} == {"basic": 1, "gold": 1}


def test_a_level_that_is_over_under_the_new_rules_is_reviewed(store: Store) -> None:
    shop = opened(store, a_file())
    ana = shop.join(programme=MILL)
    for _ in range(4):
        buys(shop, ana.code, BEANS, BEANS)
    buys(shop, ana.code, BEANS, days=40)
    short = a_file(tiering='window = "rolling"\ndays = 20')
    found = tried(shop, short)
    assert found.points_before == 40 * 4 + 30
    assert found.points_after == 40 * 4 + 20
    assert {one.tier: one.after for one in found.tiers} == {"basic": 1, "gold": 0}


def test_rewards_become_affordable_by_price_and_by_points(store: Store) -> None:
    shop = opened(store, a_file(tiers=""))
    ana, ben = (shop.join(name=name, programme=MILL) for name in ("Ana", "Ben"))
    for _ in range(3):
        buys(shop, ana.code, BEANS, BEANS)
    buys(shop, ben.code, BEANS)
    found = {one.reward: one for one in tried(shop, a_file(tiers="", price=20)).rewards}
    ten = found["ten"]
    assert (ten.points_before, ten.points_after) == (100, 20)
    assert (ten.members_before, ten.members_after, ten.change) == (1, 2, "more")
    assert found["mug"].change == "same"
    dear = {one.reward: one for one in tried(shop, a_file(tiers="", price=500)).rewards}["ten"]
    assert (dear.members_after, dear.change) == (0, "less")
    mug = {
        one.reward: one for one in tried(shop, a_file(tiers="").replace("1 per 1.00", "4 per 1.00")).rewards
    }
    assert (mug["mug"].members_before, mug["mug"].members_after, mug["mug"].change) == (0, 1, "more")
    other = tried(shop, a_file(tiers="").replace('key = "mug"', 'key = "cup"')).rewards
    assert {one.reward: one.change for one in other} == {"ten": "same", "mug": "gone", "cup": "new"}


def test_costs_come_from_what_the_file_says_or_the_cheapest_reward_and_are_never_made_up(
    store: Store,
) -> None:
    stated = a_file(tiers="", points="hundred_points_worth = 5.00")
    shop = opened(store, stated)
    ana = shop.join(programme=MILL)
    buys(shop, ana.code, *[BEANS] * 5)
    found = tried(shop, a_file(tiers="", price=200))
    cost = found.cost
    assert (cost.known_from_before, cost.known_from_after) == ("stated", "reward")
    assert cost.hundred_points_before_minor == cost.hundred_points_after_minor == Fraction(500)
    assert (cost.before_minor, cost.after_minor, cost.difference_minor) == (500, 500, 0)
    free = a_file(tiers="").replace('kind = "amount_off"', 'kind = "free_item"')
    unknown = tried(shop, free)
    assert (unknown.cost.known_from_after, unknown.cost.after_minor) == ("unknown", None)
    assert unknown.cost.difference_minor is None
    assert unknown.liability.after_minor is None
    twice = tried(shop, stated.replace("1 per 1.00", "2 per 1.00"), redemption_rate=Fraction(4, 5))
    liability = twice.liability
    assert (liability.outstanding_before, liability.outstanding_after) == (100, 200)
    assert (liability.redemption_rate, liability.rate_from) == (Fraction(4, 5), "stated")
    assert (liability.before_minor, liability.after_minor) == (400, 800)


def test_a_year_of_history_says_itself_what_share_of_points_is_used(store: Store) -> None:
    source = a_file(tiers="", points="hundred_points_worth = 5.00")
    shop = opened(store, source)
    ana = shop.join(programme=MILL)
    buys(shop, ana.code, *[BEANS] * 10)
    shop.redeem(ana.code, "ten", programme=MILL)
    buys(shop, ana.code, BEANS, days=400)
    liability = tried(shop, source, redemption_rate=Fraction(4, 5)).liability
    assert (liability.redemption_rate, liability.rate_from) == (Fraction(1, 2), "history")


def test_guests_voided_purchases_and_returned_goods_do_not_count(store: Store) -> None:
    shop = opened(store, a_file(tiers=""))
    ana = shop.join(programme=MILL)
    buys(shop, ana.code, BEANS)
    back = buys(shop, ana.code, BEANS, COFFEE_LINE)
    checkout.take_back(
        shop.store, programme=MILL, receipt_id=back.id, key=shop.key(), at=TILL, lines={1: 1}, now=shop.now
    )
    shop.undo(buys(shop, ana.code, BEANS).id, programme=MILL)
    checkout.sale(shop.store, programme=MILL, amount_minor=9_900, key=shop.key(), at=TILL, now=shop.now)
    found = tried(shop, a_file(tiers="", more=doubled()))
    assert (found.purchases, found.points_before, found.points_after) == (2, 24, 44)
    assert rule(found, "returns") == (-20, -40)
    assert rule(found, "multiplier:double-beans") == (0, 40)


def test_purchases_that_a_till_would_refuse_are_counted_apart(store: Store) -> None:
    shop = opened(store, a_file(tiers=""))
    ana = shop.join(programme=MILL)
    buys(shop, ana.code, BEANS)
    buys(shop, ana.code, *[BEANS] * 10)
    found = tried(shop, a_file(tiers="").replace("limit = 5000.00", "limit = 100.00"))
    assert (found.refused, found.points_before, found.points_after) == (1, 220, 20)


def test_stamps_follow_the_new_card(store: Store) -> None:
    shop = opened(store, a_file(tiers=""))
    ana = shop.join(programme=MILL)
    for _ in range(3):
        buys(shop, ana.code, COFFEE_LINE, COFFEE_LINE)
    stamps = 'name = "Coffees"\ntarget = 10\nearned_for = "item"\ncategories = ["coffee"]'
    assert tried(shop, a_file(tiers="", stamps=stamps)).stamps_after == 6
    bounded = tried(shop, a_file(tiers="", stamps=stamps + "\nday_limit = 1"))
    assert (bounded.stamps_before, bounded.stamps_after) == (0, 3)


def test_what_offers_gave_is_left_out_on_both_sides(store: Store) -> None:
    shop = opened(store, a_file(tiers=""))
    joined = iter(lambda: shop.join(programme=MILL), None)
    # One in ten gets no offers at all.
    ana = next(one for one in joined if not enrolment.in_holdout(MILL, one.member_id))
    offer = """
title = "Fifty more"
text = "Today."
effect = "bonus_points"
points = 50
holdout_percent = 0
[when]
until = "2999-12-31"
"""
    campaigns.plan(shop.store, programme=MILL, name="fifty", source=offer, now=shop.now)
    campaigns.publish(shop.store, programme=MILL, key="fifty", now=shop.now)
    campaigns.run_due(shop.store, now=shop.now)
    booked = buys(shop, ana.code, BEANS)
    assert booked.points == 70
    found = tried(shop, a_file(tiers=""))
    assert (found.points_before, found.points_after, found.offer_points) == (20, 20, 50)
    assert any("Offers are not simulated" in note for note in found.notes)


# Refusals, reading alone, the command ---------------------------------------------------


def test_rules_of_another_currency_or_zone_are_refused(store: Store) -> None:
    shop = opened(store, a_file())
    for old, new in (('"USD"', '"EUR"'), ("America/Chicago", "Europe/Istanbul")):
        with pytest.raises(ProgrammeNotComparable) as refused:
            tried(shop, a_file().replace(old, new))
        assert refused.value.values["expected"] == "USD, America/Chicago"
        assert new.strip('"') in str(refused.value)
    with pytest.raises(ProgrammeInvalid):
        tried(shop, "nonsense")
    with pytest.raises(ProgrammeUnknown):
        backtests.backtest(store, programme="nowhere", source=a_file(), now=shop.now)


def test_nothing_is_written(store: Store) -> None:
    shop = opened(store, a_file(more=doubled("budget_points = 600")))
    history_of(shop, Random(3))
    before = {table: rows(store, table) for table in metadata.tables}
    tried(shop, a_file(more=doubled("budget_points = 60")))
    assert {table: rows(store, table) for table in metadata.tables} == before


def test_an_empty_shop_has_figures_too(store: Store) -> None:
    shop = opened(store, a_file())
    found = tried(shop, a_file(more=doubled()))
    assert (found.purchases, found.points_before, found.points_after, found.members) == (0, 0, 0, 0)
    assert (found.liability.outstanding_before, found.liability.before_minor) == (0, 0)


Run = Callable[..., Any]


@pytest.fixture
def run(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> Run:
    """Run a command with --json on an installation of this test's own, and give its answer."""
    monkeypatch.setenv("PASSES_MODE", "development")
    monkeypatch.setenv("PASSES_VAR", str(tmp_path / "var"))
    monkeypatch.setenv("PASSES_CERTS", str(tmp_path / "certs" / "dev"))

    def command(*arguments: str, status: int = 0) -> Any:
        capsys.readouterr()
        assert cli.main([*arguments, "--json"]) == status
        return json.loads(capsys.readouterr().out)

    return command


def test_the_command_tries_a_file_on_the_demonstration_shop(
    run: Run, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    cli.main(["demo"])
    (present,) = (path for path in programmes.DEMONSTRATION if path.stem == COFFEE)
    path = tmp_path / f"{COFFEE}.toml"
    path.write_text(present.read_text("utf-8"), "utf-8")
    same = run("programme", "backtest", str(path), "--days", "400")
    assert same["purchases"] > 0
    assert same["difference"] == 0
    assert (same["winners"]["members"], same["losers"]["members"]) == (0, 0)

    path = tmp_path / "new.toml"
    path.write_text(present.read_text("utf-8").replace("10 per 1.00", "12 per 1.00"), "utf-8")
    new = run(
        "programme",
        "backtest",
        str(path),
        "--programme",
        COFFEE,
        "--days",
        "400",
        "--names",
        "--redemption-rate",
        "3/4",
    )
    assert new["difference"] > 0
    assert new["winners"]["largest"][0]["name"]
    assert new["liability"]["redemption_rate"] == 0.75
    capsys.readouterr()
    assert cli.main(["programme", "backtest", str(path), "--programme", COFFEE]) == 0
    shown = capsys.readouterr().out
    assert "members win" in shown
    assert "Offers are not simulated" in shown
    assert new["winners"]["largest"][0]["name"] not in shown
    assert run("programme", "backtest", str(path), status=1)["refused"] == "programme_unknown"
    path.write_text(path.read_text("utf-8").replace('"USD"', '"EUR"'), "utf-8")
    refused = run("programme", "backtest", str(path), "--programme", COFFEE, status=1)
    assert refused["refused"] == "programme_not_comparable"
    run("programme", "backtest", str(tmp_path / "none.toml"), status=1)
