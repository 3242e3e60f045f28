from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from fractions import Fraction

import pytest
from hypothesis import given
from hypothesis import strategies as st

from passes.loyalty.basket import Basket, Line
from passes.loyalty.conditions import Condition
from passes.loyalty.earned import Earned, Missed
from passes.loyalty.earning import CapMode, Caps, Combine, EarnRule, Rate, Rounding
from passes.loyalty.unearning import TakenBack, earn_again, net_left, proportional, take_back
from tests.loyalty.test_earning import (
    CAFE,
    CAFE_RULE,
    COFFEE,
    DOUBLE_DAY,
    HERE,
    ONE_PER_DOLLAR,
    on,
    plus,
    times,
)


def nets(earned: Earned) -> list[int]:
    return [line.net_minor for line in earned.lines]


def returned(rule: EarnRule, earned: Earned, after: Sequence[int], carried: str | None = None) -> TakenBack:
    return take_back(rule, earned, before=nets(earned), after=after, carried=carried)


@pytest.mark.check("L-51")
def test_returned_beans_take_13_back_by_recomputing_and_17_by_proportion() -> None:
    earned = on(CAFE_RULE, CAFE)
    again = earn_again(CAFE_RULE, earned, [630, 0, 0])
    assert (again.points, Fraction(again.raw)) == (12, Fraction("12.60"))
    assert returned(CAFE_RULE, earned, [630, 0, 0]).points == 13
    assert proportional(earned, 1282) == 17


def test_a_return_keeps_the_multipliers_of_the_day_of_purchase() -> None:
    rule = replace(CAFE_RULE, combine=Combine.PRODUCT)
    earned = on(rule, CAFE, DOUBLE_DAY)
    assert returned(rule, earned, [0, 1282, 0]).points == 50 - 25


def test_what_no_longer_reaches_its_minimum_is_lost() -> None:
    large = Condition(minimum_minor=5_000)
    rule = replace(
        ONE_PER_DOLLAR,
        multipliers=(times("large", "2", large),),
        rates=(Rate("coffee", 3, 100, replace(COFFEE, minimum_minor=5_000)),),
        bonuses=(
            plus("from-50", 100, large, group="size", priority=2),
            plus("from-20", 30, Condition(minimum_minor=2_000), group="size", priority=1),
            plus("with-coffee", 7, COFFEE),
        ),
    )
    earned = on(rule, Basket((Line(1, 3_000), Line(1, 2_000, category="coffee"))))
    assert earned.points == 60 + 120 + 107
    assert earn_again(rule, earned, [3_000, 0]).points == 30 + 30
    assert earn_again(rule, earned, [0, 2_000]).points == 20 + 37
    assert earn_again(rule, earned, [0, 0]).points == 0


def test_below_the_minimum_of_a_purchase_everything_goes_back() -> None:
    rule = replace(ONE_PER_DOLLAR, minimum_minor=1_000)
    earned = on(rule, 1_500)
    assert earn_again(rule, earned, [999]).missed is Missed.AMOUNT
    assert returned(rule, earned, [999]).points == 15


def test_a_budget_gets_back_what_a_return_takes_from_it() -> None:
    rule = replace(ONE_PER_DOLLAR, multipliers=(times("double", "2", budget=70),))
    earned = on(rule, Basket((Line(1, 5_000), Line(1, 5_000))))
    assert (earned.points, earned.budgets) == (170, {"double": 70})
    assert returned(rule, earned, [5_000, 0]) == TakenBack(70, None, {"double": 20})
    assert returned(rule, earned, [0, 0]) == TakenBack(170, None, {"double": 70})


def test_a_purchase_that_a_cap_had_cut_loses_only_what_falls_below_the_cap() -> None:
    rule = replace(ONE_PER_DOLLAR, caps=Caps(purchase_points=50, day_points=80, mode=CapMode.CLAMP))
    earned = on(rule, 10_000, replace(HERE, day_points=40))
    assert earned.points == 40
    assert returned(rule, earned, [6_000]).points == 0
    assert returned(rule, earned, [3_000]).points == 10


def test_a_return_is_taken_from_what_is_carried_first() -> None:
    rule = EarnRule(points=1, per_minor=1_000, rounding=Rounding.BLOCK, carries=True)
    first = on(rule, 600)
    second = on(rule, 900, replace(HERE, carried=first.carried_after))
    assert (first.points, second.points, second.carried_after) == (0, 1, "500")
    assert returned(rule, second, [500], "500") == TakenBack(0, "100", {})
    # The first purchase earned no block by itself, but the second needed it for one.
    assert returned(rule, first, [0], "500") == TakenBack(1, "900", {})


def test_blocks_of_other_rates_are_counted_again() -> None:
    rates = (Rate("books", 5, 2_000, Condition(categories=frozenset({"book"}))),)
    rule = EarnRule(points=1, per_minor=1_000, rounding=Rounding.BLOCK, carries=True, rates=rates)
    earned = on(rule, Basket((Line(2, 2_000, category="book"), Line(1, 1_700))))
    assert (earned.points, earned.carried_after) == (11, "700")
    assert returned(rule, earned, [2_000, 1_700], "700") == TakenBack(5, "700", {})


def test_bonuses_of_a_carrying_rule_go_back_with_what_they_were_for() -> None:
    rule = EarnRule(points=1, per_minor=300, rounding=Rounding.CARRY, bonuses=(plus("c", 7, COFFEE),))
    earned = on(rule, Basket((Line(1, 500), Line(1, 100, category="coffee"))))
    assert (earned.points, earned.carried_after) == (9, "0")
    assert returned(rule, earned, [500, 0], "0") == TakenBack(8, "2/3", {})


@given(
    st.lists(st.tuples(st.integers(1, 20_000), st.integers(0, 100)), min_size=1, max_size=8),
    st.sampled_from(["block", "carry"]),
)
def test_purchases_and_returns_leave_exactly_what_the_spend_that_stays_is_worth(
    visits: list[tuple[int, int]], rounding: str
) -> None:
    rule = EarnRule(points=3, per_minor=700, rounding=Rounding(rounding), carries=True)
    carried, points, kept = None, 0, 0
    bought = []
    for amount_minor, _ in visits:
        earned = on(rule, amount_minor, replace(HERE, carried=carried))
        carried, points = earned.carried_after, points + earned.points
        bought.append(earned)
    for earned, (amount_minor, share) in zip(bought, visits, strict=True):
        half, left = amount_minor * (100 + share) // 200, amount_minor * share // 100
        for before, after in ((amount_minor, half), (half, left)):
            taken = take_back(rule, earned, before=[before], after=[after], carried=carried)
            carried, points = taken.carried, points - taken.points
        kept += left
    if kept:
        at_once = on(replace(rule, limit_minor=10**9), kept)
        assert (points, carried) == (at_once.points, at_once.carried_after)
    else:
        assert (points, carried) == (0, "0")


@given(
    st.lists(st.tuples(st.integers(1, 9), st.integers(1, 5_000), st.integers(0, 9)), min_size=1, max_size=5),
    st.sampled_from([Rounding.FLOOR, Rounding.HALF_UP, Rounding.CEIL, Rounding.PER_LINE_FLOOR]),
)
def test_returns_never_take_more_than_was_earned_and_all_of_it_in_the_end(
    bought: list[tuple[int, int, int]], rounding: Rounding
) -> None:
    rule = replace(CAFE_RULE, rounding=rounding, bonuses=(plus("any", 5),))
    basket = Basket(tuple(Line(quantity, unit, category="coffee") for quantity, unit, _ in bought))
    earned = on(rule, basket)
    part = [
        net_left(line, quantity=quantity, returned=min(back, quantity))
        for line, (quantity, _, back) in zip(earned.lines, bought, strict=True)
    ]
    first = returned(rule, earned, part)
    rest = take_back(rule, earned, before=part, after=[0] * len(part), carried=None)
    assert first.points >= 0
    assert first.points + rest.points == earned.points


@given(st.integers(1, 10_000), st.integers(0, 10_000), st.integers(0, 10_000))
def test_several_proportional_returns_take_as_much_as_one(amount: int, one: int, other: int) -> None:
    earned = on(EarnRule(points=7, per_minor=300), amount)
    first = min(one, amount)
    second = min(other, amount - first)
    both = proportional(earned, first) + proportional(earned, second, before_minor=first)
    assert both == proportional(earned, first + second)
    assert proportional(earned, amount) == earned.points


def test_more_than_was_bought_cannot_come_back() -> None:
    earned = on(ONE_PER_DOLLAR, 1_000)
    with pytest.raises(ValueError, match="bought"):
        net_left(earned.lines[0], quantity=2, returned=3)
    with pytest.raises(ValueError, match="bought"):
        proportional(earned, 600, before_minor=500)
    with pytest.raises(ValueError, match="bought"):
        earn_again(ONE_PER_DOLLAR, earned, [1_001])
