"""What comes back of a purchase: parts that always add up to the whole."""

from __future__ import annotations

from dataclasses import replace

import pytest
from hypothesis import given
from hypothesis import strategies as st

from passes.loyalty.basket import Basket, Line
from passes.loyalty.earning import EarnRule, Rounding, earn
from passes.loyalty.lasting import ReturnPolicy
from passes.loyalty.refusals import (
    AmountInvalid,
    NothingLeftToReturn,
    Refused,
    ReturnLineUnknown,
    ReturnTooLarge,
)
from passes.loyalty.returns import (
    BackLine,
    SoldLine,
    all_gone,
    basket_left,
    coming_back,
    earning_left,
    given_back,
    is_nothing,
    left,
    paid_by_reward,
    sold,
    unearned,
    withheld,
)
from passes.loyalty.rewards import RewardKind
from tests.loyalty.test_earning import HERE

THREE = Basket((Line(3, 100), Line(1, 1_000), Line(2, 250, discount_minor=100)), discount_minor=85)


def lines_of(basket: Basket) -> tuple[SoldLine, ...]:
    return sold(basket, basket.paid_by_line())


def back(here: tuple[SoldLine, ...], **what: object) -> tuple[BackLine, ...]:
    values: dict[str, object] = {"lines": {}, "amount_minor": None, **what}
    return coming_back(here, currency="USD", **values)  # type: ignore[arg-type]


def test_a_sold_line_knows_its_share_of_every_discount() -> None:
    first, second, third = lines_of(THREE)
    assert (first.gross_minor, first.paid_minor, first.order_discount_minor) == (300, 285, 15)
    assert (second.paid_minor, second.order_discount_minor) == (950, 50)
    assert (third.gross_minor, third.own_discount_minor, third.paid_minor) == (500, 100, 380)
    assert sum(line.paid_minor for line in lines_of(THREE)) == THREE.net_minor


def test_pieces_of_a_line_share_its_price_and_the_last_takes_what_is_left() -> None:
    here = sold(Basket((Line(3, 100),), discount_minor=100), (200,))
    parts = []
    for _ in range(3):
        (one,) = back(here, lines={1: 1})
        parts.append((one.net_minor, one.gross_minor))
        here = left(here, [one])
    assert parts == [(66, 100), (67, 100), (67, 100)]
    assert is_nothing(here)


def test_without_a_choice_everything_that_is_left_comes_back() -> None:
    here = lines_of(THREE)
    here = left(here, back(here, lines={1: 2, 2: 1}))
    assert back(here) == (BackLine(1, 1, 100, 95), BackLine(3, 2, 500, 380))
    assert is_nothing(left(here, back(here)))


def test_money_without_goods_is_spread_and_its_last_part_takes_the_goods() -> None:
    here = lines_of(THREE)
    some = back(here, amount_minor=1_000)
    assert [(one.number, one.quantity, one.net_minor) for one in some] == [
        (1, 0, 177),
        (2, 0, 588),
        (3, 0, 235),
    ]
    here = left(here, some)
    assert not is_nothing(here)
    rest = back(here, amount_minor=615)
    assert [(one.quantity, one.net_minor) for one in rest] == [(3, 108), (1, 362), (2, 145)]
    assert all(line.gross_minor == line.paid_minor == 0 for line in left(here, rest))


@pytest.mark.parametrize(
    ("what", "refusal"),
    [
        ({"lines": {4: 1}}, ReturnLineUnknown),
        ({"lines": {0: 1}}, ReturnLineUnknown),
        ({"lines": {1: 4}}, ReturnTooLarge),
        ({"lines": {1: 0}}, AmountInvalid),
        ({"amount_minor": 1_616}, ReturnTooLarge),
        ({"amount_minor": 0}, AmountInvalid),
        ({"amount_minor": 10, "lines": {1: 1}}, AmountInvalid),
    ],
)
def test_what_cannot_come_back_is_refused(what: dict[str, object], refusal: type[Refused]) -> None:
    with pytest.raises(refusal):
        back(lines_of(THREE), **what)


def test_nothing_comes_back_twice() -> None:
    here = lines_of(THREE)
    with pytest.raises(NothingLeftToReturn):
        back(left(here, back(here)))
    with pytest.raises(NothingLeftToReturn):
        back(left(here, back(here, lines={2: 1})), lines={2: 1})


def test_goods_that_cost_nothing_come_back_too() -> None:
    here = sold(Basket((Line(1, 300, discount_minor=300), Line(1, 500)), discount_minor=500), (0, 0))
    assert sum(one.net_minor for one in back(here)) == 0
    assert is_nothing(left(here, back(here)))
    with pytest.raises(ReturnTooLarge):
        back(here, amount_minor=1)


def test_what_is_left_is_a_basket_of_its_own() -> None:
    basket = replace(THREE, unearning_minor=323)
    here = lines_of(basket)
    here = left(here, back(here, lines={1: 1, 2: 1}))
    rest = basket_left(basket, here)
    rest.check()
    assert [line.quantity for line in rest.lines] == [2, 2]
    assert (rest.net_minor, rest.unearning_minor) == (190 + 380, 114)
    assert basket_left(basket, all_gone(here)).lines == ()


def test_points_spent_come_back_by_the_discount_that_they_gave() -> None:
    lines = lines_of(THREE)
    on_all = paid_by_reward(RewardKind.AMOUNT_OFF, lines, is_tender=False)
    on_item = paid_by_reward(RewardKind.FREE_ITEM, lines, is_tender=False)
    as_money = paid_by_reward(RewardKind.POINTS_AS_MONEY, lines, is_tender=True)
    assert (on_all, on_item, as_money) == ([15, 50, 20], [0, 0, 100], [285, 950, 380])
    after = left(lines, back(lines, lines={2: 1}))
    assert [given_back(100, weights, lines, after) for weights in (on_all, on_item, as_money)] == [59, 0, 59]
    assert given_back(100, on_item, lines, left(lines, back(lines, lines={3: 1}))) == 50
    assert given_back(100, on_all, lines, all_gone(lines)) == 100


def test_without_any_discount_points_come_back_as_the_price_does() -> None:
    lines = lines_of(Basket((Line(1, 300), Line(1, 700))))
    weights = paid_by_reward(None, lines, is_tender=False)
    assert given_back(10, weights, lines, left(lines, back(lines, lines={1: 1}))) == 3
    free = sold(Basket((Line(2, 0), Line(1, 0))), (0, 0))
    weights = paid_by_reward(None, free, is_tender=False)
    assert given_back(9, weights, free, left(free, back(free, lines={1: 1}))) == 3


def test_what_is_withheld_is_the_worth_of_the_points_and_never_more_than_the_refund() -> None:
    assert withheld(40, 125, 5_000) == 50
    assert withheld(33, 100, 5_000) == 33
    assert withheld(1, 50, 5_000) == 0
    assert withheld(400, 10_000, 5_000) == 5_000
    assert withheld(40, None, 5_000) == 0


BASKETS = st.builds(
    lambda lines, share: Basket(
        tuple(lines), discount_minor=sum(line.net_minor for line in lines) * share // 100
    ),
    st.lists(
        st.builds(Line, quantity=st.integers(1, 5), unit_minor=st.integers(1, 2_000)), min_size=1, max_size=4
    ),
    st.integers(0, 100),
)


@given(
    basket=BASKETS,
    wanted=st.lists(st.tuples(st.integers(1, 4), st.integers(1, 3), st.integers(0, 900)), max_size=6),
    rounding=st.sampled_from(
        [Rounding.FLOOR, Rounding.HALF_UP, Rounding.CEIL, Rounding.PER_LINE_FLOOR, Rounding.BLOCK]
    ),
    policy=st.sampled_from(ReturnPolicy),
    spent=st.integers(0, 500),
)
def test_returns_in_any_parts_add_up_to_the_whole(
    basket: Basket, wanted: list[tuple[int, int, int]], rounding: Rounding, policy: ReturnPolicy, spent: int
) -> None:
    rule = EarnRule(3, 100, rounding=rounding)
    earned = earn(rule, basket, currency="USD", situation=HERE)
    lines = sold(basket, [line.paid_minor for line in earned.lines])
    weights = paid_by_reward(RewardKind.AMOUNT_OFF, lines, is_tender=False)
    here, money, taken, given_points = lines, 0, 0, 0
    steps: list[dict[str, object]] = [
        {"amount_minor": minor} if minor % 2 else {"lines": {number: quantity}}
        for number, quantity, minor in wanted
    ]
    for what in (*steps, {}):
        try:
            part = back(here, **what)
        except Refused:
            continue
        after = left(here, part)
        assert all(0 <= line.paid_minor <= line.gross_minor and line.quantity >= 0 for line in after)
        points = unearned(
            rule,
            policy,
            earned,
            before=earning_left(earned, lines, here),
            after=earning_left(earned, lines, after),
            taken=taken,
            carried=None,
        ).points
        restored = given_back(spent, weights, lines, after) - given_back(spent, weights, lines, here)
        assert points >= 0
        assert restored >= 0
        money, taken, given_points = (
            money + sum(one.net_minor for one in part),
            taken + points,
            given_points + restored,
        )
        assert taken <= earned.points
        here = after
    assert is_nothing(here)
    assert (money, taken, given_points) == (basket.net_minor, earned.points, spent)


@given(
    amounts=st.lists(st.integers(1, 500), min_size=1, max_size=5),
    parts=st.lists(st.integers(1, 300), max_size=8),
    rounding=st.sampled_from([Rounding.CARRY, Rounding.BLOCK]),
)
def test_where_rounding_carries_nothing_is_left_once_everything_came_back(
    amounts: list[int], parts: list[int], rounding: Rounding
) -> None:
    """Points and what is carried are together always the exact worth of what has not come back."""
    rule = EarnRule(1, 100, rounding=rounding, carries=rounding is Rounding.BLOCK)
    carried: str | None = None
    points = 0
    open_purchases = []
    for amount in amounts:
        earned = earn(
            rule, Basket.of_amount(amount), currency="USD", situation=replace(HERE, carried=carried)
        )
        carried, points = earned.carried_after, points + earned.points
        open_purchases.append((earned, sold(Basket.of_amount(amount), (amount,))))
    for place, (earned, lines) in enumerate(open_purchases):
        here, taken = lines, 0
        for part in (*parts[place::2], None):
            try:
                coming = back(here, amount_minor=part)
            except Refused:
                continue
            after = left(here, coming)
            found = unearned(
                rule,
                ReturnPolicy.PROPORTIONAL,
                earned,
                before=earning_left(earned, lines, here),
                after=earning_left(earned, lines, after),
                taken=taken,
                carried=carried,
            )
            carried, here, taken = found.carried, after, taken + found.points
            points -= found.points
    assert points == 0
    assert carried in ("0", None)


def test_a_rule_with_a_minimum_takes_everything_once_it_is_not_reached() -> None:
    rule = EarnRule(1, 100, minimum_minor=1_000)
    basket = Basket((Line(2, 600),))
    earned = earn(rule, basket, currency="USD", situation=HERE)
    lines = lines_of(basket)
    after = left(lines, back(lines, lines={1: 1}))
    taken = [
        unearned(
            rule,
            policy,
            earned,
            before=earning_left(earned, lines, lines),
            after=earning_left(earned, lines, after),
            taken=0,
            carried=None,
        ).points
        for policy in (ReturnPolicy.RECOMPUTE, ReturnPolicy.PROPORTIONAL)
    ]
    assert taken == [12, 6]


def test_parts_say_pieces_and_money_of_each_line() -> None:
    here = sold(Basket((Line(3, 100), Line(1, 500))), [300, 500])
    back = coming_back(here, lines={}, amount_minor=None, currency="USD", parts={1: (2, 200), 2: (0, 120)})
    assert back == (BackLine(1, 2, 200, 200), BackLine(2, 0, 120, 120))
    rest = left(here, back)
    assert [(line.quantity, line.paid_minor) for line in rest] == [(1, 100), (1, 380)]
    for wrong in ({1: (3, 299)}, {1: (4, 300)}, {2: (1, 501)}):
        with pytest.raises(ReturnTooLarge):
            coming_back(here, lines={}, amount_minor=None, currency="USD", parts=wrong)
    with pytest.raises(AmountInvalid):
        coming_back(here, lines={}, amount_minor=None, currency="USD", parts={1: (0, 0)})
    with pytest.raises(ReturnLineUnknown):
        coming_back(here, lines={}, amount_minor=None, currency="USD", parts={3: (1, 1)})
