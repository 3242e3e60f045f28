"""Offers: refused for one stated reason, combined by one stated rule, computed in one stated order."""

from __future__ import annotations

from dataclasses import replace
from datetime import UTC, datetime, time, timedelta
from fractions import Fraction
from typing import Any
from zoneinfo import ZoneInfo

import pytest
from hypothesis import given
from hypothesis import strategies as st

from passes.loyalty.basket import Basket, Line
from passes.loyalty.conditions import Hours, MemberFacts, Place, Segment, Window
from passes.loyalty.offers import (
    HASH_MODULUS,
    AmountOff,
    Arm,
    BonusPoints,
    CodeKind,
    FreeItem,
    Offer,
    OfferState,
    PercentOff,
    PointsTimes,
    Scope,
    Silence,
    Situation,
    Stacking,
    Standing,
    applicable,
    draw,
    folded,
    silence,
)
from passes.loyalty.segments import belongs
from passes.loyalty.stacking import Applied, Stage, best
from passes.loyalty.text import Text

CHICAGO = "America/Chicago"
NOON = datetime(2026, 3, 14, 17, 0, tzinfo=UTC)
COFFEE = Line(quantity=2, unit_minor=350, category="coffee", sku="latte")
BEANS = Line(quantity=1, unit_minor=1425, category="beans")
GIFT_CARD = Line(quantity=1, unit_minor=2500, category="gift-card")
SIXTY = Basket.of_amount(6_000)


def an_offer(key: str = "maple", **values: Any) -> Offer:
    return Offer(
        **{
            "key": key,
            "title": Text.of({"en": "Maple Cortado is back"}),
            "text": Text.of({"en": "This week only."}),
            "effect": PercentOff(10),
            "window": Window(CHICAGO),
            **values,
        }
    )


def standing(key: str = "maple", **values: Any) -> Standing:
    of_offer = {name: value for name, value in values.items() if name in Offer.__dataclass_fields__}
    others = {name: value for name, value in values.items() if name not in of_offer}
    return Standing(sum(map(ord, key)), an_offer(key, **of_offer), **others)


def situation(at: datetime = NOON, *, location: str | None = "west-loop", **facts: Any) -> Situation:
    return Situation(at, "USD", Place(location), MemberFacts(**facts))


def reason(one: Standing, basket: Basket = SIXTY, at: Situation | None = None) -> str | None:
    refused = applicable(one, basket, at or situation())
    return refused.code if refused else None


def applied(
    *standings: Standing, basket: Basket = SIXTY, codes: tuple[str, ...] = (), **options: Any
) -> Applied:
    return best(standings, basket, situation(), codes=codes, **options)


def reasons(result: Applied) -> dict[str, str]:
    return {key: refused.code for key, refused in result.refused}


# Whether one holds ------------------------------------------------------------------

OVER = Window(CHICAGO, ends_at=NOON)
COMING = Window(CHICAGO, starts_at=NOON + timedelta(seconds=1))
REFUSALS = [
    (standing(state=OfferState.DRAFT), "offer_code_unknown"),
    (standing(quota=5, used=5, state=OfferState.ENDED), "offer_quota_used_up"),
    (standing(budget_minor=500, spent_minor=500), "offer_budget_used_up"),
    (standing(state=OfferState.ENDED), "offer_ended"),
    (standing(window=OVER), "offer_ended"),
    (standing(state=OfferState.PAUSED, window=COMING), "offer_paused"),
    (standing(window=COMING), "offer_not_started"),
    (standing(arm=Arm.HOLDOUT), "offer_not_for_you"),
    (standing(arm=None), "offer_not_for_you"),
    (standing(member_limit=2, member_uses=2), "offer_member_limit"),
    (standing(locations=frozenset({"lakeview"})), "offer_not_here"),
    (standing(channels=frozenset({"online"})), "offer_not_here"),
    (standing(window=Window(CHICAGO, weekdays=frozenset({0}))), "offer_not_now"),
    (standing(minimum_minor=6_001), "offer_minimum"),
    (standing(categories=frozenset({"coffee"})), "offer_items"),
    (standing(quota=5, used=4, budget_minor=1, member_limit=2, member_uses=1, minimum_minor=6_000), None),
]


@pytest.mark.check("L-29")
@pytest.mark.parametrize(("one", "code"), REFUSALS, ids=[str(code) for _, code in REFUSALS])
def test_every_reason_has_a_code_of_its_own(one: Standing, code: str | None) -> None:
    assert reason(one) == code


@pytest.mark.check("L-29")
def test_a_refusal_names_what_the_offer_asks() -> None:
    assert str(applicable(standing(minimum_minor=7_000), SIXTY, situation())) == (
        "This offer needs a purchase of at least 70.00 USD."
    )


def test_an_offer_for_new_members_is_not_for_those_who_bought_before() -> None:
    one = standing(new_members_only=True)
    assert reason(one, at=situation(purchases=0)) is None
    assert reason(one, at=situation(purchases=1)) == "offer_not_for_you"


@pytest.mark.check("L-27")
def test_a_window_opens_and_closes_to_the_second_in_its_zone() -> None:
    zone = ZoneInfo(CHICAGO)
    window = Window(CHICAGO, datetime(2026, 3, 14, 8, tzinfo=zone), datetime(2026, 3, 14, 20, tzinfo=zone))
    one, second = standing(window=window), timedelta(seconds=1)
    opens, closes = datetime(2026, 3, 14, 13, tzinfo=UTC), datetime(2026, 3, 15, 1, tzinfo=UTC)
    assert reason(one, at=situation(opens - second)) == "offer_not_started"
    assert reason(one, at=situation(opens)) is None
    assert reason(one, at=situation(closes - second)) is None
    assert reason(one, at=situation(closes)) == "offer_ended"


@pytest.mark.check("L-27")
def test_hours_that_recur_follow_the_clocks_on_the_nights_they_change() -> None:
    one = standing(window=Window(CHICAGO, hours=(Hours(time(1, 0), time(4, 0)),)))
    # 8 March 2026: 01:59:59 is followed by 03:00:00; these hours last two hours instead of three.
    spring = [datetime(2026, 3, 8, 7, tzinfo=UTC), datetime(2026, 3, 8, 9, tzinfo=UTC)]
    # 1 November 2026: 01:00 to 02:00 happens twice; these hours last four.
    autumn = [datetime(2026, 11, 1, 6, tzinfo=UTC), datetime(2026, 11, 1, 10, tzinfo=UTC)]
    for opens, closes in (spring, autumn):
        assert reason(one, at=situation(opens - timedelta(seconds=1))) == "offer_not_now"
        assert reason(one, at=situation(opens)) is None
        assert reason(one, at=situation(closes - timedelta(seconds=1))) is None
        assert reason(one, at=situation(closes)) == "offer_not_now"


# What several do --------------------------------------------------------------------

TEN_PERCENT = standing("ten-percent", effect=PercentOff(10))
FIVE_OFF = standing("five-off", effect=AmountOff(500))


@pytest.mark.check("L-26")
def test_sixty_with_ten_percent_and_five_off_is_forty_nine() -> None:
    both = applied(FIVE_OFF, TEN_PERCENT)
    assert (both.net_minor, both.other_order_net_minor) == (4_900, 4_950)
    assert [(step.key, step.stage, step.base_minor, step.discount_minor) for step in both.steps] == [
        ("ten-percent", Stage.ORDER_PERCENT, 6_000, 600),
        ("five-off", Stage.ORDER_AMOUNT, 5_400, 500),
    ]
    swapped = applied(FIVE_OFF, TEN_PERCENT, percent_first=False)
    assert (swapped.net_minor, swapped.other_order_net_minor) == (4_950, 4_900)
    assert applied(TEN_PERCENT).other_order_net_minor is None


@pytest.mark.check("L-26")
def test_an_exclusive_offer_wins_alone_when_it_is_worth_more() -> None:
    small, large = (
        standing("alone", effect=AmountOff(amount), stacking=Stacking.EXCLUSIVE) for amount in (1_099, 1_101)
    )
    assert [use.key for use in applied(small, FIVE_OFF, TEN_PERCENT).uses] == ["ten-percent", "five-off"]
    alone = applied(large, FIVE_OFF, TEN_PERCENT)
    assert [use.key for use in alone.uses] == ["alone"]
    assert reasons(alone) == {"five-off": "offer_not_combinable", "ten-percent": "offer_not_combinable"}


@pytest.mark.check("L-26")
def test_priority_decides_between_exclusive_and_stackable_whatever_they_are_worth() -> None:
    first = standing("first", effect=AmountOff(1), stacking=Stacking.EXCLUSIVE, priority=1)
    last = standing("last", effect=AmountOff(5_000), stacking=Stacking.EXCLUSIVE, priority=-1)
    assert [use.key for use in applied(first, FIVE_OFF).uses] == ["first"]
    assert [use.key for use in applied(last, FIVE_OFF).uses] == ["five-off"]
    assert [use.key for use in applied(first, last).uses] == ["first"]


def test_what_always_holds_goes_together_with_an_exclusive_offer() -> None:
    always = standing("always", effect=AmountOff(100), stacking=Stacking.ALWAYS)
    alone = standing("alone", effect=PercentOff(50), stacking=Stacking.EXCLUSIVE)
    both = applied(always, alone, FIVE_OFF)
    assert ([use.key for use in both.uses], both.net_minor) == (["alone", "always"], 2_900)


def test_one_of_each_stacking_group_counts_the_best_unless_priority_says_otherwise() -> None:
    small = standing("small", effect=AmountOff(100), group="spring")
    large = standing("large", effect=AmountOff(200), group="spring")
    other = standing("other", effect=AmountOff(50))
    assert [use.key for use in applied(small, large, other).uses] == ["large", "other"]
    urgent = replace(small, offer=replace(small.offer, priority=1))
    chosen = applied(urgent, large, other)
    assert [use.key for use in chosen.uses] == ["small", "other"]
    assert reasons(chosen) == {"large": "offer_not_combinable"}


def test_a_percentage_of_the_order_over_chosen_items_is_rounded_once_and_shared_exactly() -> None:
    basket = Basket((COFFEE, BEANS, GIFT_CARD))
    one = standing(effect=PercentOff(10), categories=frozenset({"coffee", "beans"}))
    result = applied(one, basket=basket)
    assert (result.line_discounts_minor, result.order_discount_minor) == ((70, 143, 0), 0)
    assert [line.net_minor for line in result.discounted(basket).lines] == [630, 1282, 2500]


def test_a_percentage_of_items_is_rounded_for_each_line() -> None:
    lines = Basket((Line(1, 105), Line(1, 105)))
    assert applied(standing(effect=PercentOff(10, Scope.ITEMS)), basket=lines).line_discounts_minor == (
        11,
        11,
    )
    assert applied(standing(effect=PercentOff(10)), basket=lines).order_discount_minor == 21


def test_discounts_stop_at_their_maximum() -> None:
    assert applied(standing(effect=PercentOff(50, most_minor=1_000))).discount_minor == 1_000
    basket = Basket((Line(3, 100), Line(1, 100)))
    capped = applied(standing(effect=AmountOff(60, Scope.ITEMS, most_minor=100)), basket=basket)
    assert capped.line_discounts_minor == (75, 25)


def test_an_amount_comes_off_every_piece_but_never_below_nothing() -> None:
    basket = Basket((Line(3, 100), Line(1, 30)))
    assert applied(standing(effect=AmountOff(50, Scope.ITEMS)), basket=basket).line_discounts_minor == (
        150,
        30,
    )
    assert applied(standing(effect=AmountOff(10_000)), basket=basket).net_minor == 0


def test_the_free_item_is_the_dearest_that_may_be_free() -> None:
    basket = Basket((Line(2, 350, category="coffee"), Line(1, 420, category="coffee"), Line(1, 300)))
    coffee = frozenset({"coffee"})
    free = applied(standing(effect=FreeItem(), categories=coffee), basket=basket)
    assert free.line_discounts_minor == (0, 420, 0)
    cheaper = applied(standing(effect=FreeItem(most_minor=400), categories=coffee), basket=basket)
    assert cheaper.line_discounts_minor == (350, 0, 0)


def test_tax_and_what_earns_nothing_shrink_with_the_price() -> None:
    basket = Basket((Line(1, 1_200, tax_minor=200),), unearning_minor=1_000)
    rest = applied(standing(effect=PercentOff(50, Scope.ITEMS)), basket=basket).discounted(basket)
    assert (rest.net_minor, rest.lines[0].tax_minor, rest.unearning_minor) == (600, 100, 600)
    rest.check()


@pytest.mark.check("L-28")
def test_an_offer_without_effect_is_not_used() -> None:
    free = Basket((Line(1, 500, discount_minor=500),))
    for effect in (PercentOff(10), AmountOff(100), FreeItem(), BonusPoints(50), PointsTimes(Fraction(2))):
        nothing = applied(standing(effect=effect), basket=free)
        assert (nothing.uses, nothing.multipliers, nothing.bonuses) == ((), (), ())
        assert reasons(nothing) == {"maple": "offer_no_effect"}
    beaten = applied(standing("all", effect=AmountOff(6_000, Scope.ITEMS)), FIVE_OFF)
    assert [use.key for use in beaten.uses] == ["all"]
    assert reasons(beaten) == {"five-off": "offer_no_effect"}


def test_points_are_handed_to_the_earning_rules() -> None:
    bonus = standing("bonus", effect=BonusPoints(50))
    double = standing("double", effect=PointsTimes(Fraction(2)), categories=frozenset({"coffee"}))
    result = applied(bonus, double, basket=Basket((COFFEE, BEANS)))
    assert [(one.key, one.points) for one in result.bonuses] == [("offer:bonus", 50)]
    (multiplier,) = result.multipliers
    assert (multiplier.key, multiplier.factor) == ("offer:double", Fraction(2))
    assert multiplier.when.fits_line(COFFEE)
    assert not multiplier.when.fits_line(BEANS)
    assert [use.key for use in result.uses] == ["bonus", "double"]


def test_a_discount_above_what_is_left_of_the_budget_is_refused_whole() -> None:
    one = standing(effect=PercentOff(10), budget_minor=1_000, spent_minor=401)
    result = applied(one)
    assert (result.uses, reasons(result)) == ((), {"maple": "offer_budget_used_up"})
    assert applied(replace(one, spent_minor=400)).discount_minor == 600


# Codes -------------------------------------------------------------------------------


def test_a_code_works_however_it_is_typed() -> None:
    coded = standing(code_kind=CodeKind.SHARED, code=folded("MAPLE-10"))
    assert applied(coded).uses == ()
    for typed in ("MAPLE-10", "maple10", " Maple 1O ", "mapleı0", "MAPlE-lo"):
        assert [use.key for use in applied(coded, codes=(typed,)).uses] == ["maple"]


@pytest.mark.check("L-29")
def test_a_single_use_code_works_once() -> None:
    fresh = standing(code_kind=CodeKind.UNIQUE, code=None)
    typed = "23c-45d"
    assert applied(fresh).uses == ()
    given = replace(fresh, code=folded(typed))
    assert [use.key for use in applied(given, codes=(typed,)).uses] == ["maple"]
    assert reasons(applied(replace(given, code_used=True), codes=(typed,))) == {"maple": "offer_code_used"}


@pytest.mark.check("L-29")
def test_a_code_of_no_offer_is_named_in_the_refusal() -> None:
    coded = standing(code_kind=CodeKind.SHARED, code=folded("MAPLE"), state=OfferState.PAUSED)
    assert reasons(applied(coded, codes=("walnut", "maple"))) == {
        "walnut": "offer_code_unknown",
        "maple": "offer_paused",
    }


# Arms --------------------------------------------------------------------------------


@pytest.mark.check("L-84")
def test_the_standing_holdout_never_gets_an_offer_and_arms_are_stable() -> None:
    drawn = draw("copperfinch", an_offer(holdout_percent=20))
    members = range(7_000_000_000, 7_000_000_000 + 20_000 * 4_099, 4_099)
    assert {drawn.arm(member, holdout=True) for member in members[:200]} == {Arm.HOLDOUT}
    arms = [drawn.arm(member, holdout=False) for member in members]
    assert arms == [
        draw("copperfinch", an_offer(holdout_percent=20)).arm(one, holdout=False) for one in members
    ]
    assert arms.count(Arm.HOLDOUT) / len(arms) == pytest.approx(0.2, abs=0.01)
    none = draw("copperfinch", an_offer())
    assert {none.arm(member, holdout=False) for member in members} == {Arm.TREATED}


@pytest.mark.check("L-84")
def test_two_offers_hold_out_different_members() -> None:
    members = [number * 5_003 + HASH_MODULUS for number in range(20_000)]
    held = []
    for key in ("maple", "walnut"):
        drawn = draw("copperfinch", an_offer(key, holdout_percent=30))
        held.append({member for member in members if drawn.arm(member, holdout=False) is Arm.HOLDOUT})
    assert len(held[0] & held[1]) / len(members) == pytest.approx(0.09, abs=0.01)


@pytest.mark.parametrize(
    ("rings", "allowed", "agreed", "silent"),
    [
        (False, True, True, Silence.OFFER),
        (True, False, True, Silence.PROGRAMME),
        (True, True, False, Silence.MEMBER),
        (True, True, True, None),
    ],
)
def test_an_offer_rings_only_where_shop_and_member_agreed(
    rings: bool, allowed: bool, agreed: bool, silent: Silence | None
) -> None:
    assert silence(an_offer(rings=rings), can_alert_offers=allowed, agreed=agreed) is silent


# Properties --------------------------------------------------------------------------

CATEGORIES = ("coffee", "beans", None)
lines = st.builds(
    lambda quantity, unit, off, category: Line(
        quantity, unit, discount_minor=quantity * unit * off // 100, category=category
    ),
    st.integers(1, 4),
    st.integers(0, 2_000),
    st.integers(0, 100),
    st.sampled_from(CATEGORIES),
)
baskets = st.lists(lines, min_size=1, max_size=4).flatmap(
    lambda some: st.integers(0, sum(line.net_minor for line in some)).map(
        lambda off: Basket(tuple(some), discount_minor=off)
    )
)
most = st.none() | st.integers(1, 1_000)
scopes = st.sampled_from(Scope)
effects = st.one_of(
    st.builds(PercentOff, st.integers(1, 100), scopes, most),
    st.builds(AmountOff, st.integers(1, 1_500), scopes, most),
    st.builds(FreeItem, most),
    st.builds(BonusPoints, st.integers(1, 100)),
    st.builds(PointsTimes, st.sampled_from([Fraction(3, 2), Fraction(2)])),
)


def offers(stackings: Any, groups: Any) -> Any:
    one = st.fixed_dictionaries(
        {
            "effect": effects,
            "categories": st.sampled_from(
                [frozenset(), frozenset({"coffee"}), frozenset({"coffee", "beans"})]
            ),
            "stacking": stackings,
            "group": groups,
            "priority": st.integers(-1, 1),
            "budget_minor": st.none() | st.integers(1, 1_000),
            "minimum_minor": st.integers(0, 2_000),
        }
    )
    return st.lists(one, max_size=5).map(
        lambda some: [standing(f"offer-{place}", **values) for place, values in enumerate(some)]
    )


anything = offers(st.sampled_from(Stacking), st.sampled_from([None, "spring", "autumn"]))
stackable = offers(st.just(Stacking.STACKABLE), st.none())


@given(anything, baskets)
def test_discounts_never_exceed_the_basket_and_their_parts_add_up(
    some: list[Standing], basket: Basket
) -> None:
    result = best(some, basket, situation())
    rest = result.discounted(basket)
    rest.check()
    assert 0 <= result.discount_minor <= basket.net_minor
    assert rest.net_minor == result.net_minor == basket.net_minor - result.discount_minor
    assert sum(use.discount_minor for use in result.uses) == result.discount_minor
    assert sum(step.discount_minor for step in result.steps) == result.discount_minor
    assert all(step.discount_minor > 0 for step in result.steps)
    assert len({use.key for use in result.uses} | {key for key, _ in result.refused}) == len(some)
    used = {one.offer.key: one.offer for one in some if one.offer.key in {use.key for use in result.uses}}
    exclusive = [one for one in used.values() if one.stacking is Stacking.EXCLUSIVE]
    stacked = [one for one in used.values() if one.stacking is Stacking.STACKABLE]
    assert len(exclusive) <= 1
    assert not (exclusive and stacked)
    groups = [one.group for one in used.values() if one.group and one.stacking is not Stacking.EXCLUSIVE]
    assert len(groups) == len(set(groups))
    for use in result.uses:
        assert used[use.key].budget_minor is None or use.discount_minor <= (used[use.key].budget_minor or 0)


@given(stackable, baskets)
def test_one_more_stackable_offer_never_makes_it_dearer(some: list[Standing], basket: Basket) -> None:
    for count in range(len(some)):
        fewer, more = (best(some[:number], basket, situation()) for number in (count, count + 1))
        assert more.net_minor <= fewer.net_minor


@given(anything, baskets)
def test_the_order_in_which_offers_are_named_changes_nothing(some: list[Standing], basket: Basket) -> None:
    there, back = best(some, basket, situation()), best(some[::-1], basket, situation())
    assert (there.uses, there.net_minor) == (back.uses, back.net_minor)


# Segments ------------------------------------------------------------------------------


def test_days_of_a_segment_are_local_days() -> None:
    idle = Segment(idle_days_least=1)
    bought = MemberFacts(last_purchase_at=datetime(2026, 3, 14, 4, 59, tzinfo=UTC))  # 23:59 in Chicago
    assert not belongs(idle, bought, datetime(2026, 3, 14, 4, 59, 59, tzinfo=UTC), CHICAGO)
    assert belongs(idle, bought, datetime(2026, 3, 14, 5, 0, tzinfo=UTC), CHICAGO)


def test_who_never_bought_is_neither_idle_nor_busy() -> None:
    assert not belongs(Segment(idle_days_least=1), MemberFacts(), NOON, CHICAGO)
    assert not belongs(Segment(idle_days_most=9), MemberFacts(), NOON, CHICAGO)
    assert belongs(Segment(purchases_most=0), MemberFacts(), NOON, CHICAGO)
