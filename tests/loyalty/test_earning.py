from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import asdict, replace
from datetime import UTC, datetime, time
from fractions import Fraction
from zoneinfo import ZoneInfo

import pytest
from hypothesis import given
from hypothesis import strategies as st

from passes.loyalty.basket import Basket, Line
from passes.loyalty.conditions import Condition, Hours, MemberFacts, Place, Segment, Window
from passes.loyalty.earned import CapName, Cut, Earned, Missed
from passes.loyalty.earning import (
    Bonus,
    CapMode,
    Caps,
    Combine,
    EarnRule,
    Multiplier,
    Rate,
    Rounding,
    Situation,
    carried_minor,
    carried_points,
    earn,
)
from passes.loyalty.refusals import AmountInvalid, AmountTooLarge, CapReached
from passes.loyalty.text import Text
from passes.loyalty.tiers import Tier

NOON = datetime(2026, 6, 10, 17, 0, tzinfo=UTC)  # a Wednesday, noon in Chicago
HERE = Situation(at=NOON, zone="America/Chicago")
ONE_PER_DOLLAR = EarnRule(points=1, per_minor=100)
ANYTHING = Condition()
COFFEE = Condition(categories=frozenset({"coffee"}))


def on(rule: EarnRule, basket: Basket | int, situation: Situation = HERE) -> Earned:
    basket = Basket.of_amount(basket) if isinstance(basket, int) else basket
    return earn(rule, basket, currency="USD", situation=situation)


def named(words: str) -> Text:
    return Text.of({"en": words})


def times(
    key: str, factor: str, when: Condition = ANYTHING, *, budget: int | None = None, member: int | None = None
) -> Multiplier:
    return Multiplier(key, named(key), Fraction(factor), when, budget_points=budget, member_points=member)


def plus(key: str, points: int, when: Condition = ANYTHING, **more: object) -> Bonus:
    return replace(Bonus(key, named(key), points, when), **more)  # type: ignore[arg-type]


# The example of the reference: two coffees, beans, a gift card, 10 % off what is no gift card.

CAFE = Basket(
    (
        Line(2, 350, category="coffee", name="Flat white"),
        Line(1, 1425, category="beans", name="Beans"),
        Line(1, 2500, category="gift-card", name="Gift card"),
    ),
    discount_minor=213,
)
CAFE_RULE = replace(
    ONE_PER_DOLLAR,
    excluded=(Condition(categories=frozenset({"gift-card"})),),
    multipliers=(times("coffee", "2", COFFEE),),
)
DOUBLE_DAY = replace(HERE, multipliers=(times("offer:double-day", "2"),))


@pytest.mark.check("L-01")
def test_two_coffees_and_beans_earn_25_and_every_line_says_why() -> None:
    earned = on(CAFE_RULE, CAFE)
    coffee, beans, card = earned.lines
    assert (earned.points, earned.raw, earned.amount_minor, earned.eligible_minor) == (
        25,
        "1271/50",
        4412,
        1912,
    )
    assert (coffee.net_minor, coffee.rate, coffee.multiplier, coffee.raw) == (630, "1/100", "2", "63/5")
    assert (beans.net_minor, beans.rate, beans.multiplier, beans.raw) == (1282, "1/100", "1", "641/50")
    assert (card.paid_minor, card.net_minor, card.excluded, card.raw) == (2500, 0, 1, "0")
    assert (coffee.multipliers, beans.multipliers, card.multipliers) == (("coffee",), (), ())


@pytest.mark.check("L-01")
@pytest.mark.parametrize(
    ("combine", "points", "raw"),
    [(Combine.BEST, 38, "38.24"), (Combine.SUM_BONUS, 44, "44.54"), (Combine.PRODUCT, 50, "50.84")],
)
def test_a_double_day_joins_the_other_multipliers_by_policy(combine: Combine, points: int, raw: str) -> None:
    earned = on(replace(CAFE_RULE, combine=combine), CAFE, DOUBLE_DAY)
    assert (earned.points, Fraction(earned.raw)) == (points, Fraction(raw))
    assert earned.lines[0].multipliers == ("coffee", "offer:double-day")


@pytest.mark.check("L-02")
def test_excluded_lines_shipping_tips_and_gift_cards_earn_nothing() -> None:
    excluded = tuple(Condition(categories=frozenset({name})) for name in ("shipping", "tip", "gift-card"))
    rule = replace(ONE_PER_DOLLAR, excluded=excluded, bonuses=(plus("any", 50),))
    for place, category in enumerate(("shipping", "tip", "gift-card"), start=1):
        earned = on(rule, Basket((Line(1, 5_000, category=category),)))
        assert (earned.points, earned.lines[0].excluded) == (0, place)
    assert on(rule, Basket((Line(1, 5_000, category="coffee"), Line(1, 900, category="tip")))).points == 100


def test_an_exclusion_may_hold_at_one_place_or_in_one_channel_only() -> None:
    rule = replace(
        ONE_PER_DOLLAR,
        excluded=(Condition(categories=frozenset({"beans"}), channels=frozenset({"online"})),),
    )
    basket = Basket((Line(1, 1_000, category="beans"),))
    assert on(rule, basket).points == 10
    assert on(rule, basket, replace(HERE, place=Place(channel="online"))).points == 0


# Rounding --------------------------------------------------------------------


@pytest.mark.check("L-04")
@pytest.mark.parametrize(
    ("rounding", "points"),
    [
        (Rounding.FLOOR, 25),
        (Rounding.HALF_UP, 25),
        (Rounding.CEIL, 26),
        (Rounding.PER_LINE_FLOOR, 24),
        (Rounding.CARRY, 25),
    ],
)
def test_the_cafe_basket_by_rounding(rounding: Rounding, points: int) -> None:
    assert on(replace(CAFE_RULE, rounding=rounding), CAFE).points == points


@pytest.mark.check("L-04")
@pytest.mark.parametrize(
    ("rounding", "amount_minor", "points"),
    [
        (Rounding.FLOOR, 1550, 1),
        (Rounding.HALF_UP, 1499, 1),
        (Rounding.HALF_UP, 1500, 2),
        (Rounding.CEIL, 1001, 2),
        (Rounding.CEIL, 1000, 1),
        (Rounding.FLOOR, 999, 0),
        (Rounding.BLOCK, 10_500, 10),
        (Rounding.CARRY, 1999, 1),
    ],
)
def test_each_rounding_does_what_its_name_says(rounding: Rounding, amount_minor: int, points: int) -> None:
    assert on(EarnRule(points=1, per_minor=1000, rounding=rounding), amount_minor).points == points


def test_full_blocks_are_counted_before_the_multiplier() -> None:
    rule = EarnRule(points=1, per_minor=1000, rounding=Rounding.BLOCK)
    half_more = replace(HERE, multipliers=(times("half", "1.5"),))
    assert on(rule, 2999, half_more).points == 3
    assert on(replace(rule, rounding=Rounding.FLOOR), 2999, half_more).points == 4


def test_a_multiplier_of_some_lines_counts_for_their_share_of_the_blocks() -> None:
    rule = EarnRule(
        points=1, per_minor=1000, rounding=Rounding.BLOCK, multipliers=(times("coffee", "3", COFFEE),)
    )
    earned = on(rule, Basket((Line(1, 500, category="coffee"), Line(1, 500))))
    assert (earned.points, [line.raw for line in earned.lines]) == (2, ["3/2", "1/2"])


def test_lines_of_another_rate_make_blocks_of_their_own() -> None:
    rule = EarnRule(
        points=1,
        per_minor=1000,
        rounding=Rounding.BLOCK,
        carries=True,
        rates=(Rate("books", 5, 2000, Condition(categories=frozenset({"book"}))),),
    )
    earned = on(rule, Basket((Line(1, 3_900, category="book"), Line(1, 1_700))))
    assert (earned.points, earned.carried_after) == (6, "700")


@pytest.mark.check("L-04")
def test_what_rounding_leaves_waits_for_the_next_purchase() -> None:
    rule = EarnRule(points=1, per_minor=300, rounding=Rounding.CARRY)
    first = on(rule, 500)
    second = on(rule, 500, replace(HERE, carried=first.carried_after))
    assert (first.points, first.carried_after) == (1, "2/3")
    assert (second.points, second.carried_before, second.carried_after) == (2, "2/3", "1/3")


def test_full_blocks_over_several_purchases() -> None:
    rule = EarnRule(points=5, per_minor=1000, rounding=Rounding.BLOCK, carries=True)
    first = on(rule, 1_950)
    second = on(rule, 50, replace(HERE, carried=first.carried_after))
    assert (first.points, first.carried_after) == (5, "950")
    assert (second.points, second.carried_after) == (5, "0")


@given(st.lists(st.integers(1, 30_000), min_size=1, max_size=8), st.sampled_from(["block", "carry"]))
def test_carrying_gives_the_same_however_the_same_spend_is_split(parts: list[int], rounding: str) -> None:
    rule = EarnRule(points=3, per_minor=700, rounding=Rounding(rounding), carries=True)
    carried, points = None, 0
    for amount_minor in parts:
        earned = on(rule, amount_minor, replace(HERE, carried=carried))
        carried, points = earned.carried_after, points + earned.points
    at_once = on(rule, sum(parts))
    assert (points, carried) == (at_once.points, at_once.carried_after)


def test_what_was_carried_under_another_rounding_is_worth_nothing() -> None:
    assert carried_points("950") == 0
    assert carried_points("2/3") == Fraction(2, 3)
    assert carried_minor("2/3") == 0
    assert carried_minor("950") == 950


def test_a_carried_fraction_always_fits_its_column() -> None:
    carried = None
    for per_minor in range(10_007, 10_400, 2):
        rule = EarnRule(points=1, per_minor=per_minor, rounding=Rounding.CARRY)
        carried = on(rule, 333, replace(HERE, carried=carried)).carried_after
        assert len(carried or "") <= 64


def test_a_rule_that_does_not_carry_leaves_what_was_carried_alone() -> None:
    assert on(ONE_PER_DOLLAR, 999, replace(HERE, carried="2/3")).carried_after == "2/3"


# Amounts -----------------------------------------------------------------------


@pytest.mark.parametrize("amount_minor", [0, -1, -(10**30)])
def test_an_amount_that_is_not_positive_is_refused(amount_minor: int) -> None:
    with pytest.raises(AmountInvalid):
        on(ONE_PER_DOLLAR, amount_minor)


def test_an_amount_above_the_limit_is_refused_and_names_it() -> None:
    rule = replace(ONE_PER_DOLLAR, limit_minor=50_000)
    assert on(rule, 50_000).points == 500
    for amount_minor in (50_001, 10**30):
        with pytest.raises(AmountTooLarge, match=r"500\.00 USD"):
            on(rule, amount_minor)


def test_a_line_that_is_free_earns_nothing_and_neither_does_a_basket_of_them() -> None:
    rule = replace(ONE_PER_DOLLAR, rounding=Rounding.CEIL, bonuses=(plus("any", 50, COFFEE),))
    free = Line(1, 450, discount_minor=450, category="coffee")
    assert on(rule, Basket((free,))).points == 0
    assert on(rule, Basket((Line(1, 450, category="coffee"),), discount_minor=450)).points == 0
    assert on(rule, Basket((free, Line(1, 300)))).points == 3


def test_a_line_of_unknown_goods_has_the_programmes_own_rate() -> None:
    rule = replace(ONE_PER_DOLLAR, rates=(Rate("books", 9, 100, Condition(skus=frozenset({"978-1"}))),))
    earned = on(rule, Basket((Line(1, 100, sku="978-1"), Line(1, 100, sku="978-2"), Line(1, 100))))
    assert [line.rate_key for line in earned.lines] == ["books", None, None]
    assert earned.points == 11


def test_of_two_rates_on_one_line_the_higher_priority_counts_alone() -> None:
    rates = (
        Rate("coffee", 2, 100, COFFEE, priority=1),
        Rate("brand", 3, 100, Condition(brands=frozenset({"finch"})), priority=2),
        Rate("late", 9, 100, COFFEE, priority=2),
    )
    basket = Basket((Line(1, 100, category="coffee", brand="finch"), Line(1, 100, category="coffee")))
    assert [line.rate_key for line in on(replace(ONE_PER_DOLLAR, rates=rates), basket).lines] == [
        "brand",
        "late",
    ]


def test_contained_tax_earns_only_where_the_rule_says_so() -> None:
    basket = Basket((Line(1, 12_000, tax_minor=2_000),))
    assert on(ONE_PER_DOLLAR, basket).points == 100
    assert on(replace(ONE_PER_DOLLAR, tax_earns=True), basket).points == 120


def test_a_discount_on_the_whole_lowers_the_tax_too() -> None:
    basket = Basket((Line(1, 12_000, tax_minor=2_000),), discount_minor=6_000)
    assert on(ONE_PER_DOLLAR, basket).eligible_minor == 5_000
    assert on(ONE_PER_DOLLAR, replace(basket, discount_minor=12_000)).eligible_minor == 0


@pytest.mark.check("L-80")
def test_only_the_part_paid_with_earning_tender_earns() -> None:
    basket = Basket((Line(1, 1_000), Line(1, 1_000), Line(1, 1_000)), unearning_minor=1_000)
    earned = on(EarnRule(points=1, per_minor=1), basket)
    assert [line.net_minor for line in earned.lines] == [666, 667, 667]
    assert (earned.points, earned.amount_minor) == (2_000, 3_000)
    assert on(ONE_PER_DOLLAR, Basket((Line(1, 1_000),), unearning_minor=1_000)).points == 0


@pytest.mark.check("L-80")
def test_a_gift_card_pays_for_excluded_lines_in_proportion() -> None:
    basket = Basket(
        (Line(1, 700, category="coffee"), Line(1, 300, category="gift-card")), unearning_minor=500
    )
    assert on(CAFE_RULE, basket).eligible_minor == 350


# Multipliers -------------------------------------------------------------------


def test_a_tier_multiplies_under_its_own_key_and_by_the_same_policy() -> None:
    copper = Tier("copper", named("Copper"), 0, multiplier=Fraction(3, 2))
    earned = on(CAFE_RULE, CAFE, replace(HERE, tier=copper))
    assert earned.lines[1].multipliers == ("tier:copper",)
    assert Fraction(earned.raw) == Fraction("12.60") + Fraction("12.82") * Fraction(3, 2)


@pytest.mark.parametrize(
    ("condition", "holds"),
    [
        (Condition(tiers=frozenset({"copper"})), True),
        (Condition(tiers=frozenset({"perch"})), False),
        (Condition(locations=frozenset({"loop"})), True),
        (Condition(locations=frozenset({"lakeview"})), False),
        (Condition(channels=frozenset({"online"})), False),
        (Condition(minimum_minor=1_000), True),
        (Condition(minimum_minor=1_001), False),
        (Condition(segment=Segment(purchases_most=0)), True),
        (Condition(segment=Segment(purchases_least=1)), False),
        (Condition(brands=frozenset({"finch"})), False),
    ],
)
def test_a_multiplier_applies_when_all_it_asks_for_holds(condition: Condition, holds: bool) -> None:
    rule = replace(ONE_PER_DOLLAR, multipliers=(times("m", "2", condition),))
    situation = replace(
        HERE, place=Place("loop"), tier=Tier("copper", named("Copper"), 0), member=MemberFacts()
    )
    assert on(rule, 1_000, situation).points == (20 if holds else 10)


def test_factors_below_one_never_make_a_line_negative() -> None:
    rule = replace(
        ONE_PER_DOLLAR, combine=Combine.SUM_BONUS, multipliers=(times("a", "0.2"), times("b", "0.3"))
    )
    assert on(rule, 10_000).points == 0


def local(zone: str, *moment: int, fold: int = 0) -> datetime:
    return datetime(*moment, tzinfo=ZoneInfo(zone), fold=fold).astimezone(UTC)  # type: ignore[misc,arg-type]


NEW_YORK = "America/New_York"


@pytest.mark.check("L-06")
@pytest.mark.parametrize(
    ("day", "hours"), [((2026, 11, 1), 25), ((2026, 3, 8), 23), ((2026, 6, 7), 24)], ids=["25h", "23h", "24h"]
)
def test_a_double_sunday_lasts_exactly_that_day_of_the_shops_zone(
    day: tuple[int, int, int], hours: int
) -> None:
    sunday = Condition(window=Window(NEW_YORK, weekdays=frozenset({6})))
    rule = replace(ONE_PER_DOLLAR, multipliers=(times("sunday", "2", sunday),))
    begins = local(NEW_YORK, *day)
    minutes = [begins.timestamp() + 60 * minute for minute in range(-60, 27 * 60)]
    doubled = [
        moment
        for moment in minutes
        if on(rule, 100, replace(HERE, at=datetime.fromtimestamp(moment, UTC))).points == 2
    ]
    assert (doubled[0], len(doubled)) == (begins.timestamp(), hours * 60)


@pytest.mark.check("L-06")
def test_a_happy_hour_follows_the_clock_on_the_wall() -> None:
    happy = Condition(window=Window(NEW_YORK, hours=(Hours(time(1), time(2)),)))
    rule = replace(ONE_PER_DOLLAR, multipliers=(times("happy", "2", happy),))

    def points(at: datetime) -> int:
        return on(rule, 100, replace(HERE, at=at)).points

    # 01:30 comes twice on the day of 25 hours, and both count.
    assert [points(local(NEW_YORK, 2026, 11, 1, 1, 30, fold=fold)) for fold in (0, 1)] == [2, 2]
    assert points(local(NEW_YORK, 2026, 11, 1, 2, 0)) == 1
    assert points(local(NEW_YORK, 2026, 6, 7, 0, 59, 59)) == 1


@pytest.mark.parametrize(
    ("combine", "added"), [(Combine.BEST, (0, 13)), (Combine.SUM_BONUS, (6, 19)), (Combine.PRODUCT, (12, 25))]
)
def test_of_each_multiplier_is_kept_what_would_be_missing_without_it(
    combine: Combine, added: tuple[int, int]
) -> None:
    coffee, day = on(replace(CAFE_RULE, combine=combine), CAFE, DOUBLE_DAY).multipliers
    assert (coffee.points, day.points) == added


# Budgets -------------------------------------------------------------------------


@pytest.mark.check("L-05")
def test_a_multiplier_adds_only_what_its_budget_has_left() -> None:
    rule = replace(ONE_PER_DOLLAR, multipliers=(times("double", "2", budget=1_000),))
    enough = on(rule, 10_000, replace(HERE, used={"double": 900}))
    short = on(rule, 10_000, replace(HERE, used={"double": 970}))
    empty = on(rule, 10_000, replace(HERE, used={"double": 1_000}))
    assert (enough.points, enough.budgets, enough.lines[0].multiplier) == (200, {"double": 100}, "2")
    assert (short.points, short.budgets, short.lines[0].multiplier) == (130, {"double": 30}, "1")
    assert (empty.points, empty.budgets, empty.multipliers[0].is_short) == (100, {}, True)


def test_the_share_of_one_member_bounds_a_multiplier_too() -> None:
    rule = replace(ONE_PER_DOLLAR, multipliers=(times("double", "2", budget=1_000, member=50),))
    situation = replace(HERE, used={"double": 100}, member_used={"double": 10})
    assert on(rule, 10_000, situation).budgets == {"double": 40}


def test_a_short_multiplier_leaves_room_for_the_next_best() -> None:
    rule = replace(
        ONE_PER_DOLLAR, multipliers=(times("triple", "3", budget=5), times("double", "2", budget=500))
    )
    earned = on(rule, 10_000)
    assert (earned.points, earned.budgets) == (205, {"double": 100, "triple": 5})


multipliers = st.lists(
    st.tuples(
        st.fractions(min_value=1, max_value=4, max_denominator=10),
        st.none() | st.integers(0, 300),
        st.sampled_from([ANYTHING, COFFEE, Condition(categories=frozenset({"beans"}))]),
    ),
    max_size=4,
)
amounts = st.integers(0, 20_000)


@given(amounts, amounts, multipliers, st.sampled_from(Combine), st.sampled_from(Rounding))
def test_bounded_multipliers_stay_within_their_bounds_and_below_the_unbounded_result(
    coffee: int,
    beans: int,
    drawn: Sequence[tuple[Fraction, int | None, Condition]],
    combine: Combine,
    rounding: Rounding,
) -> None:
    basket = Basket((Line(1, coffee + 1, category="coffee"), Line(1, beans, category="beans")))
    bounded = tuple(
        times(f"m{place}", str(factor), when, budget=bound)
        for place, (factor, bound, when) in enumerate(drawn)
    )
    rule = replace(ONE_PER_DOLLAR, combine=combine, rounding=rounding)
    earned = on(replace(rule, multipliers=bounded), basket)
    free = on(replace(rule, multipliers=tuple(replace(one, budget_points=None) for one in bounded)), basket)
    plain = on(replace(rule, multipliers=tuple(one for one in bounded if one.budget_points is None)), basket)
    limits = {one.key: one.budget_points for one in bounded if one.budget_points is not None}
    assert all(0 < points <= limits[key] for key, points in earned.budgets.items())
    assert plain.points <= earned.points <= free.points
    assert earned.points == plain.points + sum(earned.budgets.values())


# Bonuses, minimums, caps -----------------------------------------------------------


def test_a_bonus_comes_after_rounding_and_once_however_much_is_bought() -> None:
    rule = replace(ONE_PER_DOLLAR, bonuses=(plus("beans-week", 50, COFFEE),))
    basket = Basket((Line(3, 450, category="coffee"), Line(2, 399, category="coffee")))
    assert on(rule, basket, DOUBLE_DAY).points == 42 + 50


def test_a_bonus_needs_a_line_that_earns() -> None:
    rule = replace(CAFE_RULE, bonuses=(plus("card", 50, Condition(categories=frozenset({"gift-card"}))),))
    assert on(rule, CAFE).points == 25


def test_what_every_rule_gave_is_known_by_its_key() -> None:
    rule = replace(
        ONE_PER_DOLLAR, bonuses=(plus("hello", 7), plus("a", 1, group="g"), plus("b", 2, group="g"))
    )
    assert on(rule, 1_000, DOUBLE_DAY).added == {"offer:double-day": 10, "hello": 7, "b": 2}
    assert on(replace(rule, minimum_minor=1_001), 1_000, DOUBLE_DAY).added == {}


def test_of_a_group_only_the_highest_priority_counts() -> None:
    rule = replace(
        ONE_PER_DOLLAR,
        bonuses=(
            plus("from-20", 30, Condition(minimum_minor=2_000), group="size", priority=1),
            plus("from-50", 100, Condition(minimum_minor=5_000), group="size", priority=2),
            plus("hello", 7),
        ),
    )
    assert [on(rule, amount).points for amount in (1_999, 2_000, 5_000)] == [26, 57, 157]


def test_below_the_minimum_nothing_is_earned_and_nothing_carried() -> None:
    rule = EarnRule(points=10, per_minor=100, minimum_minor=500, bonuses=(plus("any", 5),))
    assert (on(rule, 499).points, on(rule, 499).missed) == (0, Missed.AMOUNT)
    assert on(rule, 500).points == 55
    carrying = replace(rule, rounding=Rounding.CARRY, bonuses=())
    assert on(carrying, 499, replace(HERE, carried="1/2")).carried_after == "1/2"


def test_fewer_than_the_minimum_points_are_none() -> None:
    rule = replace(ONE_PER_DOLLAR, minimum_points=5, multipliers=(times("d", "2", budget=100),))
    earned = on(rule, 200)
    assert (earned.points, earned.missed, earned.budgets) == (0, Missed.POINTS, {})
    assert on(rule, 300).points == 6


@pytest.mark.check("L-05")
def test_a_cap_cuts_what_is_above_it_and_says_so() -> None:
    rule = replace(ONE_PER_DOLLAR, caps=Caps(purchase_points=50, day_points=80))
    first = on(rule, 10_000)
    second = on(rule, 10_000, replace(HERE, day_points=50))
    third = on(rule, 10_000, replace(HERE, day_points=90))
    assert (first.points, first.cuts) == (50, (Cut(CapName.PURCHASE, 50, 50),))
    assert (second.points, second.cuts) == (30, (Cut(CapName.PURCHASE, 50, 50), Cut(CapName.DAY, 20, 30)))
    assert third.points == 0


@pytest.mark.check("L-05")
@pytest.mark.parametrize("day_points", [0, 60])
def test_a_cap_may_refuse_instead(day_points: int) -> None:
    rule = replace(ONE_PER_DOLLAR, caps=Caps(purchase_points=50, day_points=80, mode=CapMode.REJECT))
    assert on(rule, 2_000, replace(HERE, day_points=day_points)).points == 20
    with pytest.raises(CapReached) as refusal:
        on(rule, 5_100, replace(HERE, day_points=day_points))
    assert refusal.value.code == "cap_reached"


def test_a_budget_pays_only_for_what_a_cap_left() -> None:
    rule = replace(
        ONE_PER_DOLLAR, multipliers=(times("d", "2", budget=1_000),), caps=Caps(purchase_points=130)
    )
    assert on(rule, 10_000).budgets == {"d": 30}


@pytest.mark.check("L-05")
@given(amounts, amounts, multipliers, st.integers(0, 200), st.integers(0, 200), st.integers(0, 300))
def test_points_are_never_above_a_cap(
    coffee: int,
    beans: int,
    drawn: Sequence[tuple[Fraction, int | None, Condition]],
    purchase: int,
    day: int,
    before: int,
) -> None:
    basket = Basket((Line(1, coffee + 1, category="coffee"), Line(1, beans, category="beans")))
    rule = replace(
        ONE_PER_DOLLAR,
        multipliers=tuple(
            times(f"m{n}", str(factor), when, budget=bound) for n, (factor, bound, when) in enumerate(drawn)
        ),
        bonuses=(plus("any", 70),),
        caps=Caps(purchase_points=purchase, day_points=day),
    )
    earned = on(rule, basket, replace(HERE, day_points=before))
    assert 0 <= earned.points <= min(purchase, max(day - before, 0))
    assert sum(earned.budgets.values()) <= earned.points


# Whatever is bought ------------------------------------------------------------------


@given(st.integers(1, 50_000), st.integers(1, 50_000), st.sampled_from(Rounding), multipliers)
def test_spending_more_never_earns_less(
    one: int, other: int, rounding: Rounding, drawn: Sequence[tuple[Fraction, int | None, Condition]]
) -> None:
    rule = EarnRule(
        points=7,
        per_minor=300,
        rounding=rounding,
        multipliers=tuple(
            times(f"m{n}", str(factor), budget=bound) for n, (factor, bound, _) in enumerate(drawn)
        ),
        bonuses=(plus("from-100", 20, Condition(minimum_minor=10_000)),),
    )
    less, more = sorted((one, other))
    assert on(rule, less).points <= on(rule, more).points


lines = st.lists(
    st.builds(
        lambda quantity, unit, share, category: Line(
            quantity, unit, discount_minor=quantity * unit * share // 100, category=category
        ),
        st.integers(1, 5),
        st.integers(0, 9_999),
        st.integers(0, 100),
        st.sampled_from(["coffee", "beans", "gift-card", None]),
    ),
    min_size=1,
    max_size=6,
)


@given(lines, st.integers(0, 100), st.integers(0, 100), st.sampled_from(Rounding), st.sampled_from(Combine))
def test_no_basket_breaks_the_rules_or_what_they_record(
    bought: list[Line], discount: int, tender: int, rounding: Rounding, combine: Combine
) -> None:
    bought = [*bought, Line(1, 1)]
    whole = sum(line.net_minor for line in bought)
    basket = Basket(tuple(bought), discount_minor=whole * discount // 100)
    basket = replace(basket, unearning_minor=basket.net_minor * tender // 100)
    rule = replace(CAFE_RULE, rounding=rounding, combine=combine, carries=True)
    earned = on(rule, basket, DOUBLE_DAY)
    assert earned.points >= 0
    assert sum(line.paid_minor for line in earned.lines) == earned.amount_minor == basket.net_minor
    assert all(0 <= line.net_minor <= line.paid_minor for line in earned.lines)
    assert sum(Fraction(line.raw) for line in earned.lines) == Fraction(earned.raw)
    assert abs(Fraction(earned.raw) - earned.rounded) < (
        len(bought) if rounding is Rounding.PER_LINE_FLOOR else 1
    )


@pytest.mark.check("L-08")
def test_what_was_earned_is_read_back_from_a_receipt_exactly() -> None:
    rule = replace(
        CAFE_RULE,
        rounding=Rounding.CARRY,
        multipliers=(*CAFE_RULE.multipliers, times("b", "3", budget=2)),
        bonuses=(plus("any", 5), plus("more", 9, COFFEE, group="g")),
        caps=Caps(purchase_points=20),
    )
    earned = on(rule, CAFE, DOUBLE_DAY)
    kept: Mapping[str, object] = json.loads(json.dumps({"rule": "earn", **earned.as_json()}))
    assert Earned.from_json(kept) == earned
    assert (
        earned.as_json() == json.loads(json.dumps(asdict(earned))) == json.loads(json.dumps(earned.as_json()))
    )
