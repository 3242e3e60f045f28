from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import replace
from decimal import Decimal
from fractions import Fraction
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from passes.language import say
from passes.loyalty.actions import Action
from passes.loyalty.basket import Basket, Line
from passes.loyalty.conditions import Condition
from passes.loyalty.earned import Earned
from passes.loyalty.earning import CapMode, Caps, Combine, EarnRule, Rate, Rounding
from passes.loyalty.explanation import Explained, explain
from passes.loyalty.programme import Programme
from passes.loyalty.stamps import StampRule
from tests.loyalty.shops import shop
from tests.loyalty.test_earning import (
    CAFE,
    CAFE_RULE,
    COFFEE,
    DOUBLE_DAY,
    HERE,
    ONE_PER_DOLLAR,
    multipliers,
    named,
    on,
    plus,
    times,
)

FINCH = replace(
    shop("copperfinch"),
    actions=(Action("cleanup", named("Beach clean-up"), 50),),
    stamps=StampRule(named("Free coffee"), target=10),
)


def ruled_by(rule: EarnRule) -> Programme:
    return replace(FINCH, earning=rule)


def told(
    earned: Earned,
    rule: EarnRule,
    *,
    lines: Sequence[Line] = (),
    language: str = "en",
    names: Mapping[str, str] | None = None,
) -> tuple[Explained, ...]:
    reason = json.loads(json.dumps({"rule": "earn", **earned.as_json()}))
    return explain(
        [reason],
        points=earned.points,
        version=3,
        programme=ruled_by(rule),
        language=language,
        say=say,
        lines=lines,
        names=names,
    )


def of(*reasons: dict[str, Any], points: int) -> tuple[Explained, ...]:
    return explain(reasons, points=points, version=3, programme=FINCH, language="en", say=say)


@pytest.mark.check("L-01", "L-08")
def test_the_cafe_basket_is_explained_line_by_line() -> None:
    parts = told(on(CAFE_RULE, CAFE), CAFE_RULE, lines=CAFE.lines)
    assert [(part.rule, part.words, part.figure) for part in parts] == [
        ("line", "Flat white: 1 bean for every $1.00 of $6.30. Times 2: coffee.", Decimal("12.6")),
        ("line", "Beans: 1 bean for every $1.00 of $12.82.", Decimal("12.82")),
        ("line", "Gift card: $25.00 earns nothing.", Decimal("0")),
        ("rounding", "Part points are dropped.", Decimal("-0.42")),
    ]
    coffee = parts[0]
    assert (coffee.line, coffee.amount_minor, coffee.rate, coffee.multiplier) == (1, 630, "1/100", "2")
    assert {part.version for part in parts} == {3}


def test_an_offer_is_called_by_its_title_and_a_tier_by_its_name() -> None:
    rule = replace(CAFE_RULE, combine=Combine.PRODUCT)
    tier = FINCH.tier("copper")
    earned = on(rule, CAFE, replace(DOUBLE_DAY, tier=tier))
    parts = told(earned, rule, names={"offer:double-day": "Double Wednesday"})
    assert parts[1].words == "Line 2: 1 bean for every $1.00 of $12.82. Times 3: Copper, Double Wednesday."


def test_it_is_explained_in_the_language_of_the_reader() -> None:
    parts = told(on(CAFE_RULE, CAFE), CAFE_RULE, lines=CAFE.lines, language="tr")
    assert parts[0].words == "Flat white: $6,30, her $1,00 için 1 çekirdek. 2 katı: coffee."
    assert parts[-1].words == "Küsuratlar aşağı yuvarlanır."


def test_a_purchase_of_which_only_the_amount_is_known_is_one_line() -> None:
    rule = EarnRule(points=1, per_minor=300)
    (line,) = told(on(rule, 900), rule)
    assert line.words == "Purchase: 1 bean for every $3.00 of $9.00."


def test_bonuses_short_budgets_and_caps_have_lines_of_their_own() -> None:
    rule = replace(
        ONE_PER_DOLLAR,
        multipliers=(times("double", "2", budget=30), times("empty", "3", budget=0)),
        bonuses=(plus("hello", 50), plus("small", 9, group="g"), plus("large", 10, group="g")),
        caps=Caps(purchase_points=150, day_points=160),
    )
    parts = told(on(rule, 10_000, replace(HERE, day_points=20)), rule)
    assert [(part.rule, part.key, part.words, int(part.points)) for part in parts[1:]] == [
        ("multiplier", "double", "double: only so much was left of it.", 30),
        ("multiplier", "empty", "empty: nothing was left of it.", 0),
        ("bonus", "hello", "Bonus: hello", 50),
        ("bonus", "large", "Bonus: large", 10),
        ("cap", "purchase", "At most 150 beans for one purchase.", -40),
        ("cap", "day", "On one day only so many: 140 beans were left.", -10),
    ]


def test_a_missed_minimum_takes_everything_away_again() -> None:
    amount = replace(ONE_PER_DOLLAR, minimum_minor=2_000, bonuses=(plus("hello", 5),))
    points = replace(ONE_PER_DOLLAR, minimum_points=30, bonuses=(plus("hello", 5),))
    assert [part.words for part in told(on(amount, 1_950), amount)][
        -1
    ] == "Purchases below $20.00 earn nothing."
    assert [part.words for part in told(on(points, 1_950), points)][
        -1
    ] == "Fewer than 30 beans are not given."


def test_what_was_kept_from_before_is_said() -> None:
    rule = EarnRule(points=1, per_minor=300, rounding=Rounding.CARRY)
    parts = told(on(rule, 500, replace(HERE, carried="2/3")), rule)
    assert [(part.words, part.points) for part in parts[1:]] == [
        ("Part points kept from before.", Fraction(2, 3)),
        ("Part points wait for your next purchase.", Fraction(-1, 3)),
    ]


@pytest.mark.parametrize(
    ("reason", "points", "words"),
    [
        ({"rule": "welcome", "points": 100}, 100, "A gift for joining."),
        ({"rule": "reward", "reward": "brewed-coffee", "points": 400}, -400, "Reward: Brewed coffee"),
        ({"rule": "reward", "reward": "gone", "points": 0}, 0, "Reward: gone"),
        ({"rule": "hold", "reward": "any-drink", "points": 800}, 0, "Set aside for a reward: Any drink"),
        ({"rule": "release", "hold": 7, "points": 800}, 0, "What was set aside is free again."),
        ({"rule": "capture", "hold": 7, "points": 800}, -800, "Paid with what was set aside."),
        ({"rule": "activate", "points": 12}, 0, "What was waiting can be spent now."),
        ({"rule": "undo", "receipt": 12}, -124, "An earlier entry was undone."),
        ({"rule": "return", "points": -13}, -13, "Goods were given back."),
        ({"rule": "return"}, -13, "Goods were given back."),
        ({"rule": "return", "receipt": 5, "unearned": 13, "stamps": 0}, -13, "Goods were given back."),
        ({"rule": "timeout", "hold": 7, "points": 800}, 0, "What was set aside is free again."),
        (
            {"rule": "restore", "reward": "any-drink", "points": 800},
            800,
            "Given back, as its reward was: Any drink",
        ),
        ({"rule": "stamp", "stamps": 3, "fewer": None, "rewards": 0, "balance": 3}, 0, "Stamps: 3"),
        ({"rule": "stamp", "stamps": 3, "rewards": 1}, 0, "Stamps: 3. The card is full: Free coffee"),
        ({"rule": "reward", "reward": "stamps", "points": 0, "stamps": 10}, 0, "Reward: Free coffee"),
        ({"rule": "expire", "asset": "stamps", "points": 4}, 0, "Stamps that were not used in time."),
        ({"rule": "unmerge", "merge": 1, "points": -70}, -70, "Cards that had become one are two again."),
        ({"rule": "carried", "points": 1}, 1, "Part points of two cards make a whole one."),
        ({"rule": "welcome_twice", "points": -100}, -100, "Only one of two gifts for joining counts."),
        ({"rule": "tier", "tier": "copper"}, 0, "Tier: Copper"),
        ({"rule": "birthday", "points": 50}, 50, "A birthday gift."),
        ({"rule": "win_back", "points": 50}, 50, "A gift for coming back."),
        ({"rule": "action", "action": "cleanup", "points": 50}, 50, "Thank you: Beach clean-up"),
        ({"rule": "adjustment", "code": "goodwill", "points": -5}, -5, "Corrected by the shop."),
        ({"rule": "adjustment", "text": "Sorry for the wait", "points": 5}, 5, "Sorry for the wait"),
        ({"rule": "expire", "points": 30}, -30, "beans that were not used in time."),
        ({"rule": "merge"}, 70, "Two cards became one."),
        ({"rule": "offer", "offer": "spring", "points": 0}, 0, "Offer: spring"),
        ({"rule": "something-new", "points": 4}, 4, "A change of the balance."),
        ({}, 0, "A change of the balance."),
    ],
)
def test_every_kind_of_movement_has_its_words(reason: dict[str, Any], points: int, words: str) -> None:
    (part,) = of(reason, points=points)
    assert (part.words, part.points) == (words, Fraction(points))


def test_several_reasons_add_up_and_what_nothing_explains_is_said() -> None:
    returned = of({"rule": "return"}, {"rule": "welcome", "points": 100}, points=87)
    assert [(part.rule, int(part.points)) for part in returned] == [("return", -13), ("welcome", 100)]
    unknown = of({"rule": "welcome", "points": 100}, points=93)
    assert [(part.rule, int(part.points)) for part in unknown] == [("welcome", 100), ("other", -7)]


@pytest.mark.check("L-08")
@given(
    st.integers(1, 20_000),
    st.integers(0, 20_000),
    multipliers,
    st.sampled_from(Combine),
    st.sampled_from(Rounding),
    st.none() | st.integers(0, 300),
    st.sampled_from([None, "0", "1/3", "250", "999/1000"]),
    st.integers(0, 60),
)
def test_the_parts_of_a_purchase_add_up_to_its_points(
    coffee: int,
    beans: int,
    drawn: Sequence[tuple[Fraction, int | None, Condition]],
    combine: Combine,
    rounding: Rounding,
    cap: int | None,
    carried: str | None,
    minimum: int,
) -> None:
    rule = replace(
        CAFE_RULE,
        combine=combine,
        rounding=rounding,
        carries=True,
        minimum_points=minimum,
        minimum_minor=minimum * 10,
        rates=(Rate("beans", 7, 300, Condition(categories=frozenset({"beans"}))),),
        multipliers=tuple(
            times(f"m{n}", str(factor), when, budget=bound) for n, (factor, bound, when) in enumerate(drawn)
        ),
        bonuses=(plus("any", 20), plus("coffee", 5, COFFEE)),
        caps=Caps(purchase_points=cap, day_points=cap and cap * 2, mode=CapMode.CLAMP),
    )
    basket = Basket((Line(1, coffee, category="coffee"), Line(1, beans, category="beans")))
    earned = on(rule, basket, replace(DOUBLE_DAY, carried=carried, day_points=10))
    parts = told(earned, rule)
    assert sum(part.points for part in parts) == earned.points
    assert not any(part.rule == "other" for part in parts)
    assert all(part.words for part in parts)
