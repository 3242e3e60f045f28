from __future__ import annotations

from dataclasses import replace
from datetime import UTC, datetime, timedelta
from zoneinfo import ZoneInfo

import pytest
from hypothesis import given
from hypothesis import strategies as st

from passes.loyalty.text import Text
from passes.loyalty.tiers import (
    OnReturn,
    Review,
    Tier,
    TierRule,
    TierStanding,
    TierStep,
    TierWindow,
    after_delay,
    after_purchase,
    after_return,
    after_review,
    period_of,
    reached,
    review_at,
    review_window,
    reviewed,
    ripe_window,
    starting,
    tier_for,
    valid_until,
    window_of,
)

ZONE = "America/Chicago"
BASIC, SILVER, GOLD, PLATINUM = (
    Tier(key, Text.of({"en": key.title()}), threshold)
    for key, threshold in (("basic", 0), ("silver", 30_000), ("gold", 100_000), ("platinum", 250_000))
)
TIERS = (BASIC, SILVER, GOLD, PLATINUM)
YEARLY = TierRule()
ROLLING = TierRule(window=TierWindow.ROLLING, days=365)
MEMBERSHIP = TierRule(window=TierWindow.MEMBERSHIP_YEAR)


def local(year: int, month: int, day: int, hour: int = 0, minute: int = 0) -> datetime:
    return datetime(year, month, day, hour, minute, tzinfo=ZoneInfo(ZONE)).astimezone(UTC)


JOINED = local(2025, 3, 10, 12)


def on(tier: Tier, until: datetime | None, *, period: int = 2026, metric: int = 0) -> TierStanding:
    return TierStanding(tier.key, until, until, None, period, metric)


def buys(
    standing: TierStanding, amount: int, at: datetime, rule: TierRule = YEARLY, joined: datetime = JOINED
) -> TierStep:
    return after_purchase(rule, TIERS, standing, added=amount, at=at, zone=ZONE, joined_at=joined)


def is_reviewed(
    standing: TierStanding, metric: int, now: datetime, rule: TierRule = YEARLY, last: datetime | None = None
) -> TierStep:
    return after_review(
        rule,
        TIERS,
        standing,
        metric=metric,
        last_purchase_at=last,
        now=now,
        zone=ZONE,
        joined_at=JOINED,
    )


# Windows ------------------------------------------------------------------------


def test_a_calendar_year_begins_at_midnight_where_the_shop_is() -> None:
    assert window_of(YEARLY, local(2026, 7, 1), ZONE, JOINED) == (local(2026, 1, 1), local(2027, 1, 1))
    assert period_of(YEARLY, datetime(2026, 1, 1, 5, 59, tzinfo=UTC), ZONE, JOINED) == 2025
    assert period_of(YEARLY, datetime(2026, 1, 1, 6, 0, tzinfo=UTC), ZONE, JOINED) == 2026


def test_a_membership_year_begins_on_the_day_of_joining() -> None:
    assert period_of(MEMBERSHIP, local(2026, 3, 9, 23, 59), ZONE, JOINED) == 2025
    assert period_of(MEMBERSHIP, local(2026, 3, 10), ZONE, JOINED) == 2026
    assert window_of(MEMBERSHIP, local(2026, 5, 1), ZONE, JOINED) == (local(2026, 3, 10), local(2027, 3, 10))


def test_who_joined_on_a_leap_day_begins_common_years_on_28_february() -> None:
    leap = local(2024, 2, 29, 9)
    assert window_of(MEMBERSHIP, local(2025, 6, 1), ZONE, leap) == (local(2025, 2, 28), local(2026, 2, 28))
    assert period_of(MEMBERSHIP, local(2028, 2, 28, 23), ZONE, leap) == 2027


@pytest.mark.check("L-13")
def test_a_rolling_window_lets_go_of_a_day_at_local_midnight() -> None:
    thirty = TierRule(window=TierWindow.ROLLING, days=30)
    start, end = window_of(thirty, local(2026, 11, 10, 15), ZONE, JOINED)
    # 1 November has 25 hours in Chicago.
    assert (start, end) == (local(2026, 10, 12), local(2026, 11, 11))
    assert period_of(thirty, local(2026, 11, 10), ZONE, JOINED) == 0


def test_for_ever_has_no_ends() -> None:
    lifetime = TierRule(window=TierWindow.LIFETIME)
    assert window_of(lifetime, local(2026, 1, 1), ZONE, JOINED) == (None, None)
    assert valid_until(lifetime, local(2026, 1, 1), ZONE, JOINED) is None


# Reaching a level ---------------------------------------------------------------


@pytest.mark.check("L-11")
def test_a_purchase_lifts_its_member_at_once_to_the_end_of_the_next_year() -> None:
    standing = TierStanding("silver", local(2027, 1, 1), local(2027, 1, 1), None, 2025, 95_000)
    step = buys(standing, 10_000, local(2025, 9, 14, 13))
    assert (step.tier, step.change, step.metric) == ("gold", "upgrade", 105_000)
    assert step.tier_until == step.tier_due_at == local(2027, 1, 1)


def test_an_upgrade_skips_levels_when_the_metric_allows() -> None:
    new = starting(YEARLY, TIERS, local(2026, 1, 5), ZONE)
    assert (new.tier, new.tier_until, new.tier_due_at, new.metric_period) == ("basic", None, None, 2026)
    assert buys(new, 250_000, local(2026, 1, 5)).tier == "platinum"
    assert reached(TIERS, 99_999, BASIC) is SILVER
    assert reached(TIERS, 99_999, GOLD) is None


def test_the_first_purchase_of_a_new_year_counts_from_zero() -> None:
    step = buys(on(GOLD, local(2027, 1, 1), period=2025, metric=105_000), 4_000, local(2026, 1, 1))
    assert (step.metric_period, step.metric, step.tier, step.change) == (2026, 4_000, "gold", None)


def test_a_late_sale_of_an_older_year_leaves_the_present_one_alone() -> None:
    standing = on(SILVER, local(2027, 1, 1), period=2026, metric=5_000)
    step = buys(standing, 200_000, local(2025, 12, 31, 23, 59))
    assert step == TierStep("silver", local(2027, 1, 1), local(2027, 1, 1), None, 2026, 5_000, None)


def test_earning_a_level_again_keeps_it_a_year_longer() -> None:
    step = buys(on(GOLD, local(2027, 1, 1), metric=99_000), 1_000, local(2026, 6, 1))
    assert (step.tier, step.change, step.tier_until) == ("gold", "kept", local(2028, 1, 1))
    again = buys(step, 1_000, local(2026, 6, 2))
    assert (again.change, again.tier_until) == (None, local(2028, 1, 1))


@pytest.mark.check("L-13")
def test_a_rolling_level_lasts_from_the_last_purchase_that_earns_it() -> None:
    step = buys(TierStanding("basic", None, None, None, 0, 70_000), 30_000, local(2026, 2, 3, 9), ROLLING)
    assert (step.tier, step.tier_until) == ("gold", local(2027, 2, 3))
    # The caller found 90,000 left in the window of the later purchase.
    later = buys(replace(step, metric=90_000), 5_000, local(2026, 12, 1, 9), ROLLING)
    assert (later.tier, later.change, later.tier_until) == ("gold", None, local(2027, 2, 3))
    enough = buys(replace(step, metric=95_000), 5_000, local(2026, 12, 1, 9), ROLLING)
    assert (enough.change, enough.tier_until) == ("kept", local(2027, 12, 1))


def test_a_programme_without_levels_still_counts() -> None:
    none = TierStanding(None, None, None, None, 2026, 0)
    step = after_purchase(YEARLY, (), none, added=5, at=local(2026, 2, 1), zone=ZONE, joined_at=JOINED)
    assert (step.tier, step.metric, step.change) == (None, 5, None)


# Reviews --------------------------------------------------------------------------


@pytest.mark.check("L-12")
def test_gold_of_2025_with_420_in_2026_is_silver_on_1_january_2027() -> None:
    gold = on(GOLD, local(2027, 1, 1), metric=42_000)
    assert review_window(YEARLY, local(2027, 1, 1), local(2027, 1, 1), ZONE, JOINED) == (
        local(2026, 1, 1),
        local(2027, 1, 1),
    )
    step = is_reviewed(gold, 42_000, local(2027, 1, 1))
    assert (step.tier, step.change, step.tier_until) == ("silver", "review", local(2028, 1, 1))


@pytest.mark.check("L-12")
@pytest.mark.parametrize(
    ("review", "expected"), [(Review.FULL, SILVER), (Review.ONE_DOWN, GOLD), (Review.NEVER, PLATINUM)]
)
def test_platinum_with_420_falls_as_far_as_the_rule_says(review: Review, expected: Tier) -> None:
    rule = TierRule(review=review)
    assert reviewed(rule, TIERS, PLATINUM, 42_000) is expected
    step = is_reviewed(on(PLATINUM, local(2027, 1, 1), metric=42_000), 42_000, local(2027, 1, 1), rule)
    assert step.tier == expected.key
    if review is Review.NEVER:
        assert step.tier_until is None


@pytest.mark.check("L-12")
def test_with_thirty_days_of_grace_the_change_shows_on_31_january() -> None:
    rule = TierRule(grace_days=30)
    step = buys(on(SILVER, local(2026, 1, 1), period=2025, metric=95_000), 10_000, local(2025, 9, 14), rule)
    assert (step.tier_until, step.tier_due_at) == (local(2027, 1, 1), local(2027, 1, 31))
    assert review_window(rule, local(2027, 1, 1), local(2027, 1, 31), ZONE, JOINED) == (
        local(2026, 1, 1),
        local(2027, 1, 31),
    )
    after = is_reviewed(replace(step, metric_period=2026, metric=42_000), 42_000, local(2027, 1, 31), rule)
    assert (after.tier, after.tier_until, after.tier_due_at) == (
        "silver",
        local(2028, 1, 1),
        local(2028, 1, 31),
    )


@pytest.mark.check("L-12")
def test_purchases_within_grace_count_for_both_windows() -> None:
    rule = TierRule(grace_days=30)
    gold = TierStanding("gold", local(2027, 1, 1), local(2027, 1, 31), None, 2026, 90_000)
    spent = buys(gold, 12_000, local(2027, 1, 15), rule)
    assert (spent.metric_period, spent.metric) == (2027, 12_000)
    kept = is_reviewed(spent, 102_000, local(2027, 1, 31), rule)
    assert (kept.tier, kept.change, kept.tier_until) == ("gold", "kept", local(2028, 1, 1))
    assert (kept.metric_period, kept.metric) == (2027, 12_000)


def test_a_late_review_takes_nothing_that_the_new_year_already_earned() -> None:
    step = is_reviewed(on(GOLD, local(2027, 1, 1), period=2027, metric=35_000), 0, local(2027, 1, 9))
    assert (step.tier, step.tier_until) == ("silver", local(2029, 1, 1))


def test_reviews_that_were_missed_follow_in_order() -> None:
    first = is_reviewed(
        on(PLATINUM, local(2027, 1, 1)), 0, local(2029, 5, 1), TierRule(review=Review.ONE_DOWN)
    )
    assert (first.tier, first.tier_due_at) == ("gold", local(2028, 1, 1))
    second = is_reviewed(first, 0, local(2029, 5, 1), TierRule(review=Review.ONE_DOWN))
    assert (second.tier, second.tier_due_at) == ("silver", local(2029, 1, 1))
    third = is_reviewed(second, 0, local(2029, 5, 1), TierRule(review=Review.ONE_DOWN))
    assert (third.tier, third.tier_due_at) == ("basic", None)


def test_a_level_given_by_hand_ends_within_a_year() -> None:
    by_hand = on(PLATINUM, local(2026, 6, 15), metric=35_000)
    assert review_window(YEARLY, local(2026, 6, 15), local(2026, 6, 15), ZONE, JOINED) == (
        local(2025, 1, 1),
        local(2026, 1, 1),
    )
    assert is_reviewed(by_hand, 0, local(2026, 6, 15)).tier == "silver"
    earlier = is_reviewed(by_hand, 110_000, local(2026, 6, 15))
    assert (earlier.tier, earlier.tier_until) == ("gold", local(2027, 1, 1))


@pytest.mark.check("L-13")
def test_a_rolling_level_ends_when_what_earned_it_leaves_the_window() -> None:
    gold = TierStanding("gold", local(2027, 2, 3), local(2027, 2, 3), None, 0, 100_000)
    assert review_window(ROLLING, local(2027, 2, 3), local(2027, 2, 3, 0, 5), ZONE, JOINED) == (
        local(2026, 2, 4),
        local(2027, 2, 4),
    )
    step = is_reviewed(gold, 35_000, local(2027, 2, 3), ROLLING, last=local(2026, 11, 20, 16))
    assert (step.tier, step.tier_until) == ("silver", local(2027, 11, 20))
    nothing = is_reviewed(gold, 0, local(2027, 2, 3), ROLLING)
    assert (nothing.tier, nothing.tier_until) == ("basic", None)


# Returns --------------------------------------------------------------------------


@pytest.mark.check("L-14")
def test_a_return_under_the_threshold_waits_for_the_review() -> None:
    gold = TierStanding("gold", local(2027, 1, 1), local(2027, 1, 1), None, 2025, 105_000)
    step = after_return(
        YEARLY, TIERS, gold, metric=90_000, earlier=0, at=local(2025, 10, 1), zone=ZONE, joined_at=JOINED
    )
    assert (step.tier, step.metric, step.change) == ("gold", 90_000, None)
    assert is_reviewed(replace(step, metric_period=2026, metric=0), 0, local(2027, 1, 1)).tier == "basic"


@pytest.mark.check("L-14")
def test_a_return_costs_the_level_at_once_where_the_rule_says_so() -> None:
    rule = TierRule(on_return=OnReturn.IMMEDIATE)
    gold = TierStanding("gold", local(2027, 1, 1), local(2027, 1, 1), None, 2025, 105_000)

    def returned(earlier: int) -> TierStep:
        return after_return(
            rule,
            TIERS,
            gold,
            metric=90_000,
            earlier=earlier,
            at=local(2025, 10, 1),
            zone=ZONE,
            joined_at=JOINED,
        )

    assert (returned(0).tier, returned(0).change, returned(0).tier_until) == (
        "silver",
        "return",
        local(2027, 1, 1),
    )
    # Gold was earned in the year before as well, and that still holds.
    assert (returned(100_000).tier, returned(100_000).change) == ("gold", None)


# Upgrades that wait -----------------------------------------------------------------


WAITING = TierRule(delay_days=7)


@pytest.mark.check("L-15")
def test_an_upgrade_that_waits_is_looked_at_again_after_returns() -> None:
    step = buys(on(BASIC, None, metric=20_000), 15_000, local(2026, 5, 4, 18), WAITING)
    assert (step.tier, step.tier_waiting, step.tier_due_at) == ("basic", "silver", local(2026, 5, 11))
    assert ripe_window(WAITING, local(2026, 5, 11), ZONE, JOINED) == (
        local(2026, 1, 1),
        local(2026, 5, 5),
        local(2027, 1, 1),
    )

    def looked_at(metric: int, coming: int) -> TierStep:
        return after_delay(
            WAITING,
            TIERS,
            replace(step, metric=coming),
            metric=metric,
            coming=coming,
            at=local(2026, 5, 11),
            zone=ZONE,
            joined_at=JOINED,
        )

    granted = looked_at(35_000, 35_000)
    assert (granted.tier, granted.change, granted.tier_waiting) == ("silver", "upgrade", None)
    assert granted.tier_until == granted.tier_due_at == local(2028, 1, 1)
    returned = looked_at(29_000, 29_000)
    assert (returned.tier, returned.tier_waiting, returned.tier_due_at) == ("basic", None, None)
    more = looked_at(35_000, 120_000)
    assert (more.tier, more.tier_waiting, more.tier_due_at) == ("silver", "gold", local(2026, 5, 12))


@pytest.mark.check("L-15")
def test_an_upgrade_of_december_granted_in_january_counts_for_its_own_year() -> None:
    step = buys(on(BASIC, None, metric=20_000), 15_000, local(2026, 12, 28, 18), WAITING)
    granted = after_delay(
        WAITING,
        TIERS,
        step,
        metric=35_000,
        coming=35_000,
        at=local(2027, 1, 4),
        zone=ZONE,
        joined_at=JOINED,
    )
    assert (granted.tier, granted.tier_until) == ("silver", local(2028, 1, 1))


def test_waiting_does_not_hide_that_the_present_level_was_earned_again() -> None:
    step = buys(on(GOLD, local(2027, 1, 1), metric=200_000), 60_000, local(2026, 7, 1), WAITING)
    assert (step.tier, step.tier_until, step.tier_waiting) == ("gold", local(2028, 1, 1), "platinum")
    assert step.tier_due_at == local(2026, 7, 8)


# Whatever happens ---------------------------------------------------------------------


@given(
    st.lists(st.tuples(st.integers(0, 120_000), st.integers(0, 700)), max_size=12),
    st.sampled_from([YEARLY, ROLLING, MEMBERSHIP, TierRule(window=TierWindow.LIFETIME)]),
)
def test_purchases_never_lower_a_level_and_a_level_above_the_lowest_always_has_its_review(
    purchases: list[tuple[int, int]], rule: TierRule
) -> None:
    standing = starting(rule, TIERS, JOINED, ZONE)
    best = 0
    for amount, day in sorted(purchases, key=lambda one: one[1]):
        at = local(2025, 3, 11).replace(hour=18) + (local(2025, 3, 12) - local(2025, 3, 11)) * day
        step = buys(standing, amount, at, rule)
        tier = next(tier for tier in TIERS if tier.key == step.tier)
        assert tier.threshold >= best
        assert tier.threshold >= (tier_for(TIERS, step.metric) or BASIC).threshold
        best = tier.threshold
        assert (step.tier_until is None) == (tier is BASIC or rule.window is TierWindow.LIFETIME)
        assert step.tier_due_at == review_at(rule, step.tier_until, ZONE)
        standing = step


@given(
    st.lists(st.tuples(st.integers(0, 1_400), st.integers(0, 120_000)), max_size=14),
    st.sampled_from([YEARLY, MEMBERSHIP]),
    st.booleans(),
)
def test_a_level_is_the_better_of_what_this_year_and_the_last_one_give(
    purchases: list[tuple[int, int]], rule: TierRule, late: bool
) -> None:
    """However purchases and reviews fall; a worker that comes months late ends at the same level."""
    standing = starting(rule, TIERS, JOINED, ZONE)
    spent: dict[int, int] = {}

    def review(now: datetime) -> None:
        nonlocal standing
        while standing.tier_due_at and standing.tier_due_at <= now:
            assert standing.tier_until
            start, end = review_window(rule, standing.tier_until, now, ZONE, JOINED)
            assert start
            assert end
            assert end <= now
            metric = spent.get(period_of(rule, start, ZONE, JOINED), 0)
            standing = is_reviewed(standing, metric, now, rule)

    now = JOINED
    for day, amount in sorted(purchases):
        now = local(2025, 3, 11, 12) + timedelta(days=day)
        if not late:
            review(now)
        period = period_of(rule, now, ZONE, JOINED)
        spent[period] = spent.get(period, 0) + amount
        standing = buys(standing, amount, now, rule)
    review(now)
    period = period_of(rule, now, ZONE, JOINED)
    best = max(spent.get(period, 0), spent.get(period - 1, 0))
    expected = tier_for(TIERS, best)
    assert expected
    assert standing.tier == expected.key
