from __future__ import annotations

from dataclasses import replace
from fractions import Fraction

import pytest
from hypothesis import given
from hypothesis import strategies as st

from passes.loyalty.programme import (
    EarnRule,
    Programme,
    Rounding,
    Text,
    affordable,
    earn,
    next_reward,
)
from passes.loyalty.refusals import AmountInvalid, AmountTooLarge, RewardUnknown
from passes.loyalty.tiers import multiplier_of, next_tier, tier_for
from tests.loyalty.shops import shop

finch, sayfa = shop("copperfinch"), shop("marginalya")


def with_rule(rule: EarnRule) -> Programme:
    return replace(finch, earning=rule)


def test_a_coffee_of_12_40_earns_124_beans() -> None:
    earned = earn(finch, 1240)
    assert (earned.points, earned.raw, earned.rate, earned.multiplier) == (124, "124", "1/10", "1")


def test_part_points_are_dropped_and_the_exact_value_is_kept() -> None:
    earned = earn(finch, 999, multiplier=Fraction("1.2"))
    assert (earned.points, earned.raw, earned.rounding) == (119, "2997/25", Rounding.FLOOR)


@pytest.mark.parametrize(
    ("rounding", "amount_minor", "points"),
    [
        (Rounding.FLOOR, 1550, 1),
        (Rounding.HALF_UP, 1499, 1),
        (Rounding.HALF_UP, 1500, 2),
        (Rounding.CEIL, 1001, 2),
        (Rounding.CEIL, 1000, 1),
        (Rounding.FLOOR, 999, 0),
        (Rounding.BLOCK, 10500, 10),
    ],
)
def test_each_rounding_does_what_its_name_says(rounding: Rounding, amount_minor: int, points: int) -> None:
    rule = EarnRule(points=1, per_minor=1000, rounding=rounding)
    assert earn(with_rule(rule), amount_minor).points == points


def test_full_blocks_are_counted_before_the_multiplier() -> None:
    rule = EarnRule(points=1, per_minor=1000, rounding=Rounding.BLOCK)
    assert earn(with_rule(rule), 2999, multiplier=Fraction(3, 2)).points == 3
    assert (
        earn(with_rule(replace(rule, rounding=Rounding.FLOOR)), 2999, multiplier=Fraction(3, 2)).points == 4
    )


@pytest.mark.parametrize("amount_minor", [0, -1, -(10**30)])
def test_an_amount_that_is_not_positive_is_refused(amount_minor: int) -> None:
    with pytest.raises(AmountInvalid):
        earn(finch, amount_minor)


def test_an_amount_above_the_limit_is_refused_and_names_it() -> None:
    assert earn(finch, 50_000).points == 5_000
    with pytest.raises(AmountTooLarge, match=r"500\.00 USD"):
        earn(finch, 50_001)


def test_below_the_minimum_nothing_is_earned() -> None:
    rule = EarnRule(points=10, per_minor=100, minimum_minor=500)
    assert earn(with_rule(rule), 499).points == 0
    assert earn(with_rule(rule), 500).points == 50


@given(st.integers(1, 50_000), st.integers(1, 50_000), st.sampled_from(Rounding))
def test_spending_more_never_earns_less(one: int, other: int, rounding: Rounding) -> None:
    programme = with_rule(EarnRule(points=7, per_minor=300, rounding=rounding))
    less, more = sorted((one, other))
    assert earn(programme, less).points <= earn(programme, more).points


@given(st.integers(1, 50_000), st.fractions(min_value=Fraction(1, 10), max_value=10, max_denominator=100))
def test_points_differ_from_the_exact_value_by_less_than_one(amount_minor: int, multiplier: Fraction) -> None:
    earned = earn(finch, amount_minor, multiplier=multiplier)
    assert 0 <= Fraction(earned.raw) - earned.points < 1
    assert Fraction(earned.raw) == amount_minor * Fraction(earned.rate) * Fraction(earned.multiplier)


@given(st.integers(-10_000, 10_000))
def test_every_reward_is_either_affordable_or_still_ahead(balance: int) -> None:
    ready, upcoming = affordable(finch, balance), next_reward(finch, balance)
    assert all(reward.points <= balance for reward in ready)
    if upcoming is None:
        assert len(ready) == len(finch.rewards)
    else:
        assert upcoming.points > balance
        assert all(reward.points >= upcoming.points for reward in finch.rewards if reward not in ready)


def test_a_regular_with_640_beans_can_have_a_brewed_coffee_and_is_on_the_way_to_any_drink() -> None:
    assert [reward.key for reward in affordable(finch, 640)] == ["extra-shot", "brewed-coffee"]
    upcoming = next_reward(finch, 640)
    assert upcoming is not None
    assert upcoming.key == "any-drink"


def test_a_reward_is_found_by_its_key_or_refused() -> None:
    assert finch.reward("extra-shot").points == 150
    with pytest.raises(RewardUnknown):
        finch.reward("yacht")


@pytest.mark.parametrize(
    ("spend_minor", "tier", "above"),
    [
        (-500, "perch", "flight"),
        (0, "perch", "flight"),
        (24_999, "perch", "flight"),
        (25_000, "flight", "copper"),
        (74_999, "flight", "copper"),
        (75_000, "copper", None),
        (10**15, "copper", None),
    ],
)
def test_a_tier_begins_at_its_exact_threshold(spend_minor: int, tier: str, above: str | None) -> None:
    reached, following = tier_for(finch, spend_minor), next_tier(finch, spend_minor)
    assert reached is not None
    assert reached.key == tier
    assert (following.key if following else None) == above


def test_a_programme_without_tiers_multiplies_by_one() -> None:
    assert tier_for(sayfa, 10**9) is None
    assert multiplier_of(None) == 1
    assert multiplier_of(tier_for(finch, 30_000)) == Fraction(6, 5)


def test_a_missing_language_falls_back_to_its_base_and_then_to_the_default() -> None:
    text = Text.of({"en": "bean", "tr": "çekirdek"})
    assert text.in_("tr-TR") == "çekirdek"
    assert text.in_("de") == "bean"


def test_one_bean_is_not_one_beans() -> None:
    assert [finch.unit.name(count, "en") for count in (0, 1, 2)] == ["beans", "bean", "beans"]
