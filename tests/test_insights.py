"""The marketer's numbers as the reports give them."""

from __future__ import annotations

import csv
import json
import random
import re
from collections.abc import Callable, Iterator
from datetime import UTC, date, datetime, timedelta
from decimal import Decimal
from fractions import Fraction
from itertools import pairwise
from math import sqrt
from typing import Any

import pytest
from sqlalchemy import update

from passes import campaigns, checkout, cli, insights, issuing
from passes.cli.reports import REPORTS
from passes.loyalty.experiments import detectable_mean, detectable_proportion, sums
from passes.loyalty.refusals import OfferUnknown, ProgrammeUnknown
from passes.store import Store, programmes
from passes.store.insights import By, Cut, Kind, Window
from passes.store.instants import micros
from passes.store.models import account, join_count, member, offer, offer_assignment, offer_use
from passes.wallet import Gone
from tests.cast import PushService, a_card, an_install, deliver
from tests.sales import Desk, fixture, noon
from tests.shop import COFFEE, KEYS, PASS_TYPE, TILL, Shop, open_shop

Q2 = Window(date(2026, 4, 1), date(2026, 7, 1))
HALF = Window(date(2026, 1, 1), date(2026, 7, 1))
JULY = datetime(2026, 7, 2, tzinfo=UTC)
# Chicago: six hours behind UTC, five from 8 March 2026 on.
ZONE_HOURS = 6


@pytest.fixture
def shop(store: Store, now: datetime) -> Shop:
    return open_shop(store, now)


@pytest.fixture
def desk(shop: Shop) -> Desk:
    """Somebody who writes straight into the coffee shop's tables."""
    with shop.store.read() as read:
        return Desk(shop.store, programme_id=programmes.by_slug(read, COFFEE).id)


@pytest.fixture
def sold(desk: Desk) -> Store:
    """The fixture of the metrics, sold by the coffee shop."""
    fixture(desk)
    return desk.store


# Sales and customers ---------------------------------------------------------------


@pytest.mark.check("L-67", "L-73")
def test_sales_of_the_fixture_month_by_month(sold: Store) -> None:
    rows = insights.sales(sold, programme=COFFEE, cut=Cut(HALF), by=By.MONTH)
    assert [row.bucket for row in rows] == [f"2026-0{month}" for month in range(1, 7)]
    # Returned in April, but booked to the order of March.
    assert [row.net_minor for row in rows] == [120_00, 145_00, 165_00, 195_00, 85_00, 135_00]
    assert sum(row.net_minor for row in rows) == 845_00
    (whole,) = insights.sales(sold, programme=COFFEE, cut=Cut(HALF))
    assert whole.average_order_minor == 46_94
    assert whole.attach_rate == Fraction(16, 18)
    assert whole.member_share == Fraction(790, 845)


@pytest.mark.check("L-67", "L-73")
def test_members_of_the_fixture_bought_73_37_percent_in_72_2_percent_of_orders(desk: Desk) -> None:
    fixture(desk, starred_only=True)
    (whole,) = insights.sales(desk.store, programme=COFFEE, cut=Cut(HALF))
    assert whole.member_share is not None
    assert whole.attach_rate is not None
    assert round(float(100 * whole.member_share), 2) == 73.37
    assert round(float(100 * whole.attach_rate), 1) == 72.2


@pytest.mark.check("L-73")
def test_first_time_and_returning_come_with_a_filter_for_the_channel(desk: Desk) -> None:
    day = date(2026, 3, 2)
    for person in (1, 2):
        desk.member(person, joined=noon(day))
    desk.sell(day, 1_000, by=1)
    desk.sell(day + timedelta(days=1), 2_000, by=1, channel="online")
    desk.sell(day + timedelta(days=2), 400, by=2, channel="online")
    desk.sell(day + timedelta(days=3), 300, channel="online")
    desk.send()
    rows = insights.customers(desk.store, programme=COFFEE, cut=Cut(HALF, channel="online"))
    # Whoever bought in the shop before is no first-time customer online.
    assert {row.kind: (row.orders, row.customers, row.net_minor) for row in rows} == {
        Kind.FIRST: (1, 1, 400),
        Kind.RETURNING: (1, 1, 2_000),
        Kind.GUEST: (1, 0, 300),
    }
    assert [row.orders for row in insights.customers(
        desk.store, programme=COFFEE, cut=Cut(HALF, channel="phone")
    )] == [0, 0, 0]  # fmt: skip


@pytest.mark.check("L-67")
def test_retention_of_a_quarter_is_measured_against_the_quarter_before(sold: Store) -> None:
    (row,) = insights.retention(sold, programme=COFFEE, cut=Cut(Q2), now=JULY)
    assert (row.start, row.active, row.new, row.kept, row.complete) == (5, 6, 2, 4, True)
    assert (row.retention, row.churn) == (Fraction(4, 5), Fraction(1, 5))
    assert (row.net_revenue_retention, row.net_churn) == (Fraction(6875, 10_000), Fraction(3125, 10_000))
    assert not row.churn_is_negative


def test_a_period_that_is_not_over_has_no_rates(sold: Store) -> None:
    rows = insights.retention(
        sold, programme=COFFEE, cut=Cut(Q2), by=By.MONTH, now=datetime(2026, 6, 20, tzinfo=UTC)
    )
    assert [(row.bucket, row.complete) for row in rows] == [
        ("2026-04", True), ("2026-05", True), ("2026-06", False),
    ]  # fmt: skip
    # March: A, B, C, E. April: A, D, F. May: A, E. June: C, G.
    assert [(row.start, row.active, row.kept) for row in rows] == [(4, 3, 1), (3, 2, 1), (2, 2, 0)]
    assert [row.retention for row in rows] == [Fraction(1, 4), Fraction(1, 3), None]
    assert (rows[2].churn, rows[2].net_churn, rows[2].churn_is_negative) == (None, None, False)


def test_churn_is_negative_when_those_who_stay_make_up_for_those_who_left(desk: Desk) -> None:
    for person, before, after in ((1, 8_000, 0), (2, 4_000, 0), (3, 88_000, 107_000)):
        desk.sell(date(2026, 2, 1), before, by=person)
        if after:
            desk.sell(date(2026, 5, 1), after, by=person)
    desk.send()
    (row,) = insights.retention(desk.store, programme=COFFEE, cut=Cut(Q2), now=JULY)
    assert (row.net_churn, row.churn_is_negative) == (Fraction(-7, 100), True)


@pytest.mark.check("L-67")
def test_customers_of_the_fixture_are_worth_282_14_each(sold: Store) -> None:
    row = insights.worth(sold, programme=COFFEE, cut=Cut(HALF))
    assert (row.customers, row.repeating, row.orders, row.net_minor) == (7, 5, 16, 790_00)
    assert (row.repeat_rate, row.frequency) == (Fraction(5, 7), Fraction(16, 7))
    assert (row.average_order_minor, row.customer_value_minor) == (49_38, 112_86)
    assert (row.churn, row.lifespan) == (Fraction(1, 5), Fraction(5, 2))
    assert row.lifetime_value_minor == 282_14
    assert row.discounted_lifetime_value_minor is None


def test_a_margin_and_a_discount_rate_lower_the_lifetime_value(sold: Store) -> None:
    row = insights.worth(
        sold, programme=COFFEE, cut=Cut(HALF), margin=Fraction(2, 5), discount=Fraction(1, 10)
    )
    assert row.lifetime_value_minor == 112_86
    # 112.857 / 2 · 0.4 a quarter, kept with 0.8: 22.571 · 1.1 / (1.1 − 0.8)
    assert row.discounted_lifetime_value_minor == 82_76


@pytest.mark.check("L-67", "L-68")
def test_the_cohort_matrix_is_blank_where_time_is_still_to_come(sold: Store) -> None:
    rows = insights.cohorts(sold, programme=COFFEE, window=HALF, now=JULY)
    matrix = {row.month: (row.size, row.active) for row in rows}
    assert matrix["2026-01"] == (3, (3, 1, 3, 1, 1, 1, None))
    assert matrix["2026-02"] == (1, (1, 0, 1, 0, 0, None))
    assert matrix["2026-03"] == (1, (1, 0, 1, 0, None))
    assert matrix["2026-06"] == (1, (1, None))
    first = insights.cohorts(
        sold, programme=COFFEE, window=Window(date(2026, 1, 1), date(2026, 2, 1)),
        now=datetime(2026, 4, 1, 4, tzinfo=UTC),
    )  # fmt: skip
    # In Chicago it is still March.
    assert [(row.month, row.active) for row in first] == [("2026-01", (3, 1, None))]
    assert first[0].rates == (Fraction(1), Fraction(1, 3), None)


@pytest.mark.check("L-67")
def test_segments_of_the_fixture(sold: Store) -> None:
    rows = insights.segments(sold, programme=COFFEE, cut=Cut(HALF))
    found = {row.segment: (row.customers, row.net_minor) for row in rows if row.customers}
    assert found == {
        "champions": (1, 175_00),
        "loyal": (1, 200_00),
        "new": (1, 65_00),
        "potential": (1, 85_00),
        "hibernating": (3, 265_00),
    }
    assert len(rows) == 8
    assert sum(row.share_of_customers or 0 for row in rows) == 1


# What they will do -----------------------------------------------------------------


def a_year_of_customers(desk: Desk, people: int) -> int:
    """Customers who buy and leave at random until 1 July. Returns their orders' days after the first."""
    chance = random.Random(20260701)
    end, repeats = date(2026, 7, 1), 0
    for person in range(1, people + 1):
        rate, leaving = chance.gammavariate(1.2, 1 / 40), chance.betavariate(1, 4)
        worth = 60 * 100 / chance.gammavariate(5, 1)
        day = date(2025, 7, 1) + timedelta(days=chance.randrange(120))
        at = float(day.toordinal())
        seen: set[date] = set()
        while at < end.toordinal():
            day = date.fromordinal(int(at))
            seen.add(day)
            desk.sell(day, int(chance.gammavariate(4, worth / 4)) + 1, by=person)
            if chance.random() < leaving:
                break
            at += chance.expovariate(rate)
        repeats += len(seen) - 1
    desk.send()
    return repeats


def test_what_customers_will_buy_is_predicted_and_the_prediction_is_judged(desk: Desk) -> None:
    repeats = a_year_of_customers(desk, 700)
    row = insights.predicted(desk.store, programme=COFFEE, weeks=13, now=JULY)
    assert row.enough
    assert row.customers == 700
    assert row.repeats_predicted is not None
    assert row.repeats_actual is not None
    # The last quarter of the year, predicted from the rest.
    assert 0 < row.repeats_actual < repeats
    assert row.repeats_predicted == pytest.approx(row.repeats_actual, rel=0.2)
    assert row.purchases == pytest.approx(row.repeats_actual, rel=0.4)
    assert row.alive is not None
    assert 0 < row.alive < 700
    assert row.net_minor is not None
    assert row.net_per_customer_minor == round(row.net_minor / 700)
    assert row.correlation is not None
    assert abs(row.correlation) < Fraction(1, 4)
    half = insights.predicted(desk.store, programme=COFFEE, weeks=13, margin=Fraction(1, 2), now=JULY)
    assert half.net_minor == pytest.approx(row.net_minor / 2, abs=1)


def test_too_few_customers_or_too_little_time_predict_nothing(desk: Desk) -> None:
    a_year_of_customers(desk, 60)
    few = insights.predicted(desk.store, programme=COFFEE, now=JULY)
    assert (few.enough, few.purchases, few.net_minor) == (False, None, None)
    nobody = insights.predicted(desk.store, programme=COFFEE, now=datetime(2025, 7, 1, tzinfo=UTC))
    assert (nobody.customers, nobody.days, nobody.enough) == (0, 0, False)


# Points and members ---------------------------------------------------------------


def test_points_are_told_by_the_months_of_the_programmes_zone(desk: Desk) -> None:
    midnight = datetime(2026, 3, 1, ZONE_HOURS, tzinfo=UTC)
    for at, amount in (
        (midnight - timedelta(seconds=1), 5),
        (midnight, 7),
        (midnight + timedelta(days=31), 9),
    ):
        desk.post("earn", 1, 2, amount, at)
    # After the clocks changed a day begins an hour earlier.
    desk.post("earn", 1, 2, 11, datetime(2026, 4, 1, ZONE_HOURS - 1, tzinfo=UTC) - timedelta(seconds=1))
    desk.post("redeem", 2, 3, 4, midnight + timedelta(days=2))
    desk.send()
    window = Window(date(2026, 2, 1), date(2026, 5, 1))
    rows = insights.points(desk.store, programme=COFFEE, window=window, by=By.MONTH)
    assert [(row.bucket, row.earned, row.burned) for row in rows] == [
        ("2026-02", 5, 0), ("2026-03", 7 + 11, 4), ("2026-04", 9, 0),
    ]  # fmt: skip
    assert rows[1].redemption_rate == Fraction(4, 18)
    (whole,) = insights.points(desk.store, programme=COFFEE, window=window)
    assert (whole.earned, whole.burned) == (32, 4)
    weeks = insights.points(desk.store, programme=COFFEE, window=window, by=By.WEEK)
    assert [(row.bucket, row.earned) for row in weeks] == [
        ("2026-02-23", 12), ("2026-03-02", 0), ("2026-03-30", 20),
    ]  # fmt: skip
    with pytest.raises(ValueError, match="channel"):
        insights.points(desk.store, programme=COFFEE, window=window, by=By.CHANNEL)


def test_points_of_a_shop_that_did_nothing_are_zero(shop: Shop) -> None:
    (row,) = insights.points(shop.store, programme=COFFEE, window=HALF)
    assert (row.earned, row.redemption_rate) == (0, None)
    assert insights.issued(shop.store, programme=COFFEE, window=HALF).breakage is None


def test_liability_needs_to_know_what_points_cost(desk: Desk, now: datetime) -> None:
    desk.member(101, joined=now - timedelta(days=9))
    desk.written[account][0]["balance"] = 1_000
    desk.send()
    row = insights.liability(desk.store, programme=COFFEE, now=now)
    assert (row.points, row.liability_minor) == (1_000, None)
    row = insights.liability(
        desk.store, programme=COFFEE, hundred_points_minor=50, redemption_rate=Fraction(8, 10), now=now
    )
    assert row.liability_minor == 4_00


@pytest.fixture
def two_years(desk: Desk) -> Desk:
    """A sale of 100 000 with 10 000 points of 1 in 2025; 4 500 are used that year and 4 000 the next."""
    sold_on = date(2025, 1, 15)
    desk.sell(sold_on, 100_000_00, by=1)
    desk.post("earn", 1, 2, 10_000, noon(sold_on))
    for month in range(2, 12):
        desk.post("redeem", 2, 3, 450, noon(date(2025, month, 10)))
        desk.post("redeem", 2, 3, 400, noon(date(2026, month, 10)))
    desk.send()
    return desk


@pytest.mark.check("L-66")
def test_the_journal_recognises_4110_in_the_first_and_3493_in_the_second_year(two_years: Desk) -> None:
    rates = {date(2025, 1, 1): Fraction(95, 100), date(2026, 1, 1): Fraction(97, 100)}
    months = insights.liability_journal(
        two_years.store,
        programme=COFFEE,
        window=Window(date(2025, 1, 1), date(2027, 1, 1)),
        rates=rates,
        hundred_points_minor=100_00,
    )
    assert len(months) == 24
    assert round(months[0].deferred_minor / 100) == 8_676
    years = [sum(month.recognised_minor for month in part) for part in (months[:12], months[12:])]
    assert [round(amount / 100) for amount in years] == [4_110, 3_493]
    assert round(months[-1].closing_minor / 100) == 1_073
    for before, month in pairwise(months):
        assert month.opening_minor == before.closing_minor
        assert month.closing_minor == month.opening_minor + month.deferred_minor - month.recognised_minor
    # A window in the middle shows the same months.
    part = insights.liability_journal(
        two_years.store,
        programme=COFFEE,
        window=Window(date(2026, 1, 1), date(2027, 1, 1)),
        rates=rates,
        hundred_points_minor=100_00,
    )
    assert part == months[12:]


def test_what_comes_back_later_leaves_the_month_of_the_sale_as_it_was(two_years: Desk) -> None:
    def january() -> insights.JournalFigures:
        window = Window(date(2025, 1, 1), date(2025, 4, 1))
        return insights.liability_journal(
            two_years.store, programme=COFFEE, window=window, rates={}, hundred_points_minor=100_00
        )[0]

    before = january()
    two_years.take_back(1, date(2025, 3, 1), 50_000_00)
    two_years.post("clawback", 2, 4, 5_000, noon(date(2025, 3, 1)))
    two_years.send()
    assert january() == before


def test_tiers_are_told_as_a_matrix_whose_rows_are_the_tiers_sizes(desk: Desk) -> None:
    start = datetime(2026, 1, 1, tzinfo=UTC)
    for person, tier, closed in ((1, "perch", None), (2, "perch", "2026-05-01"), (3, "copper", None)):
        closed_at = None if closed is None else micros(datetime.fromisoformat(closed).replace(tzinfo=UTC))
        desk.member(person, joined=start, tier=tier, closed_at=closed_at)
    desk.member(4, joined=datetime(2026, 4, 10, tzinfo=UTC), tier="flight")
    desk.send()
    rows = insights.tiers(desk.store, programme=COFFEE, window=Q2)
    assert [(row.tier, row.members, row.to) for row in rows] == [
        ("perch", 2, {"perch": 1, "(closed)": 1}),
        ("copper", 1, {"copper": 1}),
        ("(joined)", 1, {"flight": 1}),
    ]


@pytest.mark.check("L-71")
def test_the_funnel_says_how_many_came_how_far_and_how_long_it_took(desk: Desk) -> None:
    joined = datetime(2026, 3, 10, 15, tzinfo=UTC)
    for source, views, sends in (("poster", 700, 300), ("link", 300, 100)):
        for step, number in (("view", views), ("send", sends)):
            desk.write(
                join_count, local_day=20260310, source=source, location="", step=step, count=number
            )  # fmt: skip
    for number in range(380):
        person = 1_001 + number
        desk.member(person, joined=joined, source="poster" if number < 290 else "link")
        minutes = 2 if number % 2 else 4
        desk.card(
            person,
            issued=joined,
            installed=joined + timedelta(minutes=minutes) if number < 304 else None,
        )
        if number < 240:
            desk.receipt("accrue", person, joined + timedelta(hours=2), points=4 if number < 230 else 0)
        if number < 60:
            desk.receipt("redeem", person, joined + timedelta(hours=5), points=-4)
    desk.send()
    march = Window(date(2026, 3, 1), date(2026, 4, 1))
    (whole,) = insights.funnel(desk.store, programme=COFFEE, window=march)
    assert (whole.views, whole.forms, whole.joined, whole.issued) == (1_000, 400, 380, 380)
    assert (whole.installed, whole.scanned, whole.earned, whole.redeemed) == (304, 240, 230, 60)
    assert whole.install_rate == Fraction(8, 10)
    assert whole.seconds_to == {
        "issued": 0, "installed": 180, "scanned": 7_020, "earned": 0, "redeemed": 10_800,
    }  # fmt: skip
    link, poster = insights.funnel(desk.store, programme=COFFEE, window=march, by=By.SOURCE)
    assert (poster.source, poster.views, poster.joined, poster.installed) == ("poster", 700, 290, 290)
    assert (link.source, link.forms, link.joined, link.installed, link.redeemed) == ("link", 100, 90, 14, 0)


@pytest.mark.check("L-71")
def test_twelve_of_three_hundred_removed_cards_are_four_percent(desk: Desk) -> None:
    before = datetime(2026, 1, 10, tzinfo=UTC)
    for person in range(1, 301):
        desk.member(person, joined=before)
        removed = datetime(2026, 5, 1, tzinfo=UTC) if person <= 12 else None
        desk.card(person, issued=before, installed=before, removed=removed)
    desk.send()
    row = insights.removals(desk.store, programme=COFFEE, window=Q2)
    assert (row.installed_at_start, row.removed, row.uninstall_rate) == (300, 12, Fraction(4, 100))


def test_the_active_member_rate_looks_ninety_days_back(desk: Desk, now: datetime) -> None:
    for person, days in ((1, 10), (2, 89), (3, 91)):
        desk.member(person, joined=now - timedelta(days=200))
        at = now - timedelta(days=days)
        desk.post("earn", 99, person, 5, at, receipt_id=desk.receipt("accrue", person, at))
    desk.send()
    assert insights.active(desk.store, programme=COFFEE, now=now).rate == Fraction(2, 3)
    assert insights.active(desk.store, programme=COFFEE, days=30, now=now).active == 1
    assert insights.active(desk.store, programme=COFFEE, at=now - timedelta(days=300), now=now).rate is None


# Offers ------------------------------------------------------------------------

APRIL = datetime(2026, 4, 1, tzinfo=UTC)


def an_offer(desk: Desk, arms: dict[str, tuple[int, int]], *, ends: datetime | None) -> None:
    """An offer from April on; for each arm its size and how many of it buy for 42.00."""
    desk.write(
        offer, id=5, key="spring", state="live", starts_at=micros(APRIL),
        ends_at=None if ends is None else micros(ends),
    )  # fmt: skip
    person = 10_000
    for arm, (size, buyers) in arms.items():
        for number in range(size):
            person += 1
            desk.write(offer_assignment, offer_id=5, member_id=person, arm=arm, at=micros(APRIL))
            if number < buyers:
                desk.sell(date(2026, 4, 10), 42_00, by=person)


@pytest.mark.check("L-70")
def test_an_offer_shows_its_lift_with_its_interval_and_what_it_returned(desk: Desk) -> None:
    an_offer(desk, {"treated": (1_800, 198), "holdout": (200, 18)}, ends=APRIL + timedelta(days=30))
    desk.write(offer_use, id=1, offer_id=5, member_id=1, receipt_id=1, state="consumed", discount_minor=20_00)
    desk.send()
    row = insights.offer(
        desk.store, programme=COFFEE, key="spring", margin=Fraction(4, 10), cost_minor=100_00, now=JULY
    )
    assert (row.treated, row.holdout, row.buyers_treated, row.buyers_holdout) == (1_800, 200, 198, 18)
    assert row.final
    assert row.conversion is not None
    assert row.conversion.difference == pytest.approx(0.02)
    assert row.conversion.lift == pytest.approx(0.02 / 0.09)
    assert row.conversion.low < 0 < row.conversion.high
    assert not row.conversion.shown
    assert row.spend_minor is not None
    assert row.spend_minor.difference == pytest.approx(0.02 * 42_00)
    # 1 800 people · 2 % · 42.00 · 40 % = 604.80 against 120.00
    assert (row.incremental_margin_minor, row.cost_minor) == (604_80, 120_00)
    assert row.return_on_investment is not None
    assert float(row.return_on_investment) == pytest.approx(4.04)
    assert row.return_low is not None
    assert row.return_high is not None
    assert row.return_low < row.return_on_investment < row.return_high


def test_arms_of_fewer_than_thirty_show_no_effect_at_all(desk: Desk) -> None:
    an_offer(desk, {"treated": (200, 50), "holdout": (29, 1)}, ends=None)
    desk.send()
    row = insights.offer(desk.store, programme=COFFEE, key="spring", margin=Fraction(1, 2), now=JULY)
    assert (row.conversion, row.spend_minor, row.return_on_investment, row.final) == (None, None, None, False)
    assert (row.treated, row.buyers_holdout) == (200, 1)


def test_what_people_bought_before_takes_noise_out_of_an_offers_effect(desk: Desk) -> None:
    an_offer(desk, {"treated": (60, 0), "holdout": (60, 0)}, ends=APRIL + timedelta(days=30))
    for number in range(120):
        usual = 1_000 + 97 * (number % 60)
        desk.sell(date(2026, 3, 20), usual, by=10_001 + number)
        desk.sell(
            date(2026, 4, 20), usual + (50 if number < 60 else 0) + 3 * (number % 5), by=10_001 + number
        )
    desk.send()
    row = insights.offer(desk.store, programme=COFFEE, key="spring", now=JULY)
    assert row.spend_minor is not None
    assert row.spend_adjusted_minor is not None
    assert row.spend_minor.difference == pytest.approx(50)
    assert row.spend_adjusted_minor.difference == pytest.approx(50)
    assert (row.spend_minor.shown, row.spend_adjusted_minor.shown) == (False, True)


def test_before_launch_it_is_known_what_an_offer_could_show(desk: Desk) -> None:
    spent: list[tuple[float, float]] = []
    for number in range(1, 401):
        desk.member(number, joined=datetime(2026, 1, 1, tzinfo=UTC))
        before, after = 100 * (number % 7), 100 * (number % 7) + 10 * (number % 3)
        if number % 4:
            before = after = 0
        if before:
            desk.sell(date(2026, 5, 20), before, by=number)
        if after:
            desk.sell(date(2026, 6, 20), after, by=number)
        spent.append((after, before))
    desk.send()
    row = insights.detectable(desk.store, programme=COFFEE, now=JULY)
    everybody = sums(spent)
    assert (row.days, row.treated, row.holdout) == (30, 360, 40)
    assert row.conversion == Fraction(sum(after > 0 for after, _ in spent), 400)
    assert row.detectable_conversion == pytest.approx(
        detectable_proportion(float(row.conversion), treated=360, control=40)
    )
    assert row.spend_minor == round(everybody.sample.mean)
    assert row.detectable_spend_minor == round(
        detectable_mean(
            sqrt(everybody.sample.variance), treated=360, control=40, correlation=everybody.correlation
        )
    )
    few = insights.detectable(desk.store, programme=COFFEE, people=200, now=JULY)
    assert (few.treated, few.holdout, few.conversion, few.detectable_spend_minor) == (180, 20, None, None)


def test_an_offer_that_has_not_begun_or_does_not_exist(desk: Desk, now: datetime) -> None:
    an_offer(desk, {"treated": (40, 0)}, ends=None)
    desk.send()
    row = insights.offer(desk.store, programme=COFFEE, key="spring", now=now)
    assert (row.treated, row.conversion, row.uses) == (0, None, 0)
    with pytest.raises(OfferUnknown):
        insights.offer(desk.store, programme=COFFEE, key="autumn", now=now)


def test_a_programme_that_does_not_exist_is_refused(shop: Shop, now: datetime) -> None:
    with pytest.raises(ProgrammeUnknown):
        insights.sales(shop.store, programme="elsewhere", cut=Cut(HALF))


# As the counter books it ----------------------------------------------------------


def test_reports_tell_what_was_really_booked(shop: Shop) -> None:
    ana, ben = shop.join(), shop.join("Ben Novak")
    shop.buy(ana.code, 54_00)
    shop.buy(ana.code, 20_00)
    undone = shop.buy(ben.code, 10_00)
    shop.undo(undone.id)
    shop.redeem(ana.code, "extra-shot")
    window = Window(date(2026, 3, 1), date(2026, 4, 1))
    (sales,) = insights.sales(shop.store, programme=COFFEE, cut=Cut(window))
    assert (sales.orders, sales.net_minor, sales.member_share) == (2, 74_00, Fraction(1))
    (points,) = insights.points(shop.store, programme=COFFEE, window=window)
    balances = shop.balance(ana.code) + shop.balance(ben.code)
    assert points.earned + points.bonus - points.burned == balances
    assert points.bonus == 200
    assert points.burned > 0
    assert insights.liability(shop.store, programme=COFFEE, now=shop.now).points == balances
    later = shop.now + timedelta(seconds=1)
    assert insights.liability(shop.store, programme=COFFEE, at=later, now=later).points == balances
    issued = insights.issued(shop.store, programme=COFFEE, window=window)
    assert (issued.used, issued.remaining) == (points.burned, balances)
    assert issued.issued == issued.used + issued.expired + issued.taken_back + issued.remaining
    (funnel,) = insights.funnel(shop.store, programme=COFFEE, window=window)
    assert (funnel.joined, funnel.issued, funnel.scanned, funnel.earned, funnel.redeemed) == (2, 2, 2, 1, 1)
    assert insights.active(shop.store, programme=COFFEE, now=shop.now).rate == Fraction(1, 2)


OFFER_FILE = """
title = "Maple Cortado is back"
text = "Only now."
effect = "percent_off"
percent = 10
[when]
from = "2026-03-14T04:00"
until = "2026-03-15T20:00"
"""


def test_an_offer_is_judged_by_whom_it_was_meant_for_and_what_they_really_bought(shop: Shop) -> None:
    names = ("Ana Reyes", "Ben Novak", "Cleo Diaz", "Dan Wu")
    people = [shop.join(name) for name in names]
    for number, person in enumerate(people):
        held_out = update(member).where(member.c.id == person.member_id).values(holdout=number == 3)
        shop.store.write(lambda work, held_out=held_out: work.put(held_out))  # type: ignore[misc]
    shop.now += timedelta(hours=1)
    campaigns.plan(shop.store, programme=COFFEE, name="maple", source=OFFER_FILE, now=shop.now)
    campaigns.publish(shop.store, programme=COFFEE, key="maple", now=shop.now)
    campaigns.run_due(shop.store, now=shop.now)
    while campaigns.spread_due(shop.store, now=shop.now):
        pass
    shop.now += timedelta(hours=1)
    sold = shop.buy(people[0].code, 40_00, takes_discounts=True)
    shop.buy(people[3].code, 30_00)
    shop.undo(shop.buy(people[1].code, 10_00).id)
    checkout.take_back(
        shop.store,
        programme=COFFEE,
        receipt_id=sold.id,
        key=shop.key(),
        at=TILL,
        amount_minor=9_00,
        now=shop.now,
    )
    later = shop.now + timedelta(minutes=1)
    row = insights.offer(shop.store, programme=COFFEE, key="maple", now=later)
    assert (row.treated, row.buyers_treated, row.holdout, row.buyers_holdout) == (3, 1, 1, 1)
    assert (row.uses, row.discount_minor, row.final) == (1, 4_00, False)
    (sales,) = insights.sales(
        shop.store, programme=COFFEE, cut=Cut(Window(date(2026, 3, 1), date(2026, 4, 1)))
    )
    assert (sales.orders, sales.gross_minor, sales.discount_minor) == (2, 70_00, 4_00)
    assert (sales.returned_minor, sales.net_minor) == (9_00, 57_00)
    after = insights.offer(shop.store, programme=COFFEE, key="maple", now=shop.now + timedelta(days=9))
    assert after.final


@pytest.mark.check("L-71")
def test_installs_and_removals_are_what_phones_reported(shop: Shop) -> None:
    joined = shop.now
    cards = [a_card(shop, name) for name in ("Ana Reyes", "Ben Novak", "Cleo Diaz", "Dan Wu")]
    for number, card in enumerate(cards[:3]):
        an_install(shop, card, phone=f"phone-{number}", push_token=f"{number}" * 64)
    an_install(shop, cards[0], phone="tablet", push_token="9" * 64)
    march, april = Window(date(2026, 3, 1), date(2026, 4, 1)), Window(date(2026, 4, 1), date(2026, 5, 1))
    (funnel,) = insights.funnel(shop.store, programme=COFFEE, window=march)
    assert (funnel.joined, funnel.issued, funnel.installed) == (4, 4, 3)
    # In April Ana leaves one of two phones, Ben his only one, and Cleo's is gone.
    shop.now = joined + timedelta(days=25)
    for card, phone in ((cards[0], "tablet"), (cards[1], "phone-1")):
        issuing.unregister(
            shop.store, KEYS, library_id=phone, pass_type=PASS_TYPE, serial=card.serial, token=card.token,
            now=shop.now,
        )  # fmt: skip
    shop.buy(cards[2].code, 500)
    deliver(shop, PushService({"2" * 64: Gone(shop.now, "Unregistered")}))
    row = insights.removals(shop.store, programme=COFFEE, window=april)
    assert (row.installed_at_start, row.removed, row.uninstall_rate) == (3, 2, Fraction(2, 3))
    # Back on a phone is no longer removed.
    an_install(shop, cards[1], phone="phone-1", push_token="1" * 64)
    assert insights.removals(shop.store, programme=COFFEE, window=april).removed == 1


# On the command line ----------------------------------------------------------------

Run = Callable[..., Any]


@pytest.fixture(scope="module")
def demonstration(tmp_path_factory: pytest.TempPathFactory) -> Iterator[None]:
    """An installation with the demonstration shops."""
    folder = tmp_path_factory.mktemp("demonstration")
    with pytest.MonkeyPatch.context() as patched:
        patched.setenv("PASSES_MODE", "development")
        patched.setenv("PASSES_VAR", str(folder / "var"))
        patched.setenv("PASSES_CERTS", str(folder / "certs" / "dev"))
        assert cli.main(["demo", "--json"]) == 0
        yield


@pytest.fixture
def run(demonstration: None, capsys: pytest.CaptureFixture[str]) -> Run:
    """Run a command; JSON as values, else the text."""

    def command(*arguments: str, status: int = 0) -> Any:
        capsys.readouterr()
        assert cli.main(list(arguments)) == status
        shown = capsys.readouterr()
        return json.loads(shown.out) if "--json" in arguments else shown.out + shown.err

    return command


def test_every_report_answers_on_the_command_line(run: Run) -> None:
    whole = run("report", "sales", COFFEE, "--json")
    assert (whole["programme"], whole["currency"]) == (COFFEE, "USD")
    assert whole["rows"][0]["orders"] == 8
    assert whole["rows"][0]["member_share"] == 1.0
    months = run("report", "sales", COFFEE, "--by", "month", "--json")["rows"]
    assert sum(row["net_minor"] for row in months) == whole["rows"][0]["net_minor"]
    kinds = run("report", "customers", COFFEE, "--json")["rows"]
    assert [row["kind"] for row in kinds] == ["first", "returning", "guest"]
    for name in REPORTS:
        if name not in ("journal", "offer"):
            assert run("report", name, COFFEE, "--json")["rows"] is not None
            assert run("report", name, COFFEE)
    assert run("report", "offer", COFFEE, "--offer", "x", "--json", status=1)["refused"] == "offer_unknown"


def test_a_report_is_a_table_with_amounts_and_percents(run: Run) -> None:
    shown = run("report", "sales", COFFEE)
    assert "orders: 8\n" in shown
    assert "member share: 100.00 %\n" in shown
    assert re.search(r"^net: \d+\.\d\d$", shown, re.MULTILINE)
    header, *lines = run("report", "customers", COFFEE).splitlines()
    assert header.split() == ["bucket", "kind", "orders", "customers", "gross", "net", "average", "order"]
    assert [line.split()[0] for line in lines] == ["first", "returning", "guest"]


@pytest.mark.check("L-66")
def test_the_journal_for_the_accounts_balances_month_by_month(run: Run) -> None:
    arguments = ("report", "journal", COFFEE, "--hundred-points", "5.00", "--redemption-rate", "0.8", "--csv")
    rows = list(csv.DictReader(run(*arguments).splitlines()))
    assert {row["account"] for row in rows} == {"sales", "points owed"}
    for month in {row["month"] for row in rows}:
        sides = [
            sum(Decimal(row[side] or 0) for row in rows if row["month"] == month)
            for side in ("debit", "credit")
        ]
        assert sides[0] == sides[1] > 0
    assert "hundred" in run("report", "journal", COFFEE, status=1)


def test_a_report_that_cannot_be_given_says_why(run: Run) -> None:
    both = run("report", "sales", status=1)
    assert both == "Say which programme: copperfinch, marginalya.\n"
    words = run("report", "points", COFFEE, "--from", "2026-03-02", "--to", "2026-03-02", status=1)
    assert words == "2026-03-02 is not before 2026-03-02; the day of --to does not count.\n"
    assert "zone" in run("report", "active", COFFEE, "--at", "2026-03-02T10:00", status=1)


@pytest.mark.parametrize(
    "misspelt",
    [
        ("points", "--by", "channel"),
        ("worth", "--margin", "1/0"),
        ("worth", "--margin", "-1"),
        ("active", "--days", "0"),
        ("journal", "--redemption-rate", "often"),
        ("journal", "--redemption-rate", "2027-13-01=0.5"),
        ("sales", "--from", "yesterday"),
    ],
    ids=" ".join,
)
def test_a_misspelt_report_ends_with_status_2(misspelt: tuple[str, ...], run: Run) -> None:
    name, *options = misspelt
    with pytest.raises(SystemExit) as stopped:
        cli.main(["report", name, COFFEE, *options])
    assert stopped.value.code == 2


def test_retention_looks_at_months_that_are_over_unless_told_otherwise(run: Run) -> None:
    (row,) = run("report", "retention", COFFEE, "--json")["rows"]
    assert row["complete"]
    assert all(
        one["complete"] for one in run("report", "retention", COFFEE, "--by", "month", "--json")["rows"]
    )
