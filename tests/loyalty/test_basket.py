from __future__ import annotations

from dataclasses import replace
from fractions import Fraction

import pytest
from hypothesis import given
from hypothesis import strategies as st

from passes.loyalty.basket import Basket, Line, allocate
from passes.loyalty.money import AMOUNT_LIMIT_MINOR
from passes.loyalty.refusals import AmountInvalid


@pytest.mark.check("L-03")
@given(st.integers(0, 10**9), st.lists(st.integers(0, 10**6), min_size=1, max_size=20))
def test_the_parts_of_a_discount_add_up_to_it_and_are_fair(total: int, weights: list[int]) -> None:
    parts = allocate(total, weights)
    assert sum(parts) == total
    assert all(part >= 0 for part in parts)
    if whole := sum(weights):
        shares = [Fraction(total * weight, whole) for weight in weights]
        assert all(abs(part - share) < 1 for part, share in zip(parts, shares, strict=True))


@pytest.mark.check("L-03")
@pytest.mark.parametrize(
    ("total", "weights", "parts"),
    [
        (213, (700, 1425), (70, 143)),
        (100, (1, 1, 1), (34, 33, 33)),
        (2, (1, 1, 1), (1, 1, 0)),
        (7, (0, 0), (7, 0)),
        (0, (3, 4), (0, 0)),
    ],
)
def test_the_largest_remainder_gets_the_odd_unit_and_ties_go_to_the_earlier_line(
    total: int, weights: tuple[int, ...], parts: tuple[int, ...]
) -> None:
    assert allocate(total, weights) == parts


@pytest.mark.parametrize(("total", "weights"), [(1, ()), (-1, (1,)), (1, (2, -1))])
def test_nothing_is_split_among_nobody_or_by_less_than_nothing(total: int, weights: tuple[int, ...]) -> None:
    with pytest.raises(ValueError, match="split"):
        allocate(total, weights)


def test_a_coupon_falls_on_the_lines_it_reaches_and_only_its_surplus_on_the_others() -> None:
    basket = Basket((Line(2, 350), Line(1, 1_425), Line(1, 2_500)), discount_minor=213)
    assert basket.paid_by_line() == (668, 1_359, 2_385)
    assert basket.paid_by_line([True, True, False]) == (630, 1_282, 2_500)
    large = replace(basket, discount_minor=2_225)
    assert large.paid_by_line([True, True, False]) == (0, 0, 2_400)
    assert large.paid_by_line([False, False, False]) == large.paid_by_line()


lines = st.lists(
    st.tuples(
        st.builds(
            lambda quantity, unit, share: Line(quantity, unit, discount_minor=quantity * unit * share // 100),
            st.integers(1, 9),
            st.integers(0, 9_999),
            st.integers(0, 100),
        ),
        st.booleans(),
    ),
    min_size=1,
    max_size=8,
)


@pytest.mark.check("L-03")
@given(lines, st.integers(0, 100))
def test_what_was_paid_by_line_adds_up_and_no_line_is_paid_with_less_than_nothing(
    bought: list[tuple[Line, bool]], percent: int
) -> None:
    basket = Basket(tuple(line for line, _ in bought))
    basket = replace(basket, discount_minor=basket.net_minor * percent // 100)
    basket.check()
    paid = basket.paid_by_line([reached for _, reached in bought])
    assert sum(paid) == basket.net_minor
    assert all(0 <= minor <= line.net_minor for minor, line in zip(paid, basket.lines, strict=True))


GOOD = Line(2, 500, discount_minor=100, tax_minor=90)


@pytest.mark.parametrize(
    "basket",
    [
        Basket(()),
        Basket((replace(GOOD, quantity=0),)),
        Basket((replace(GOOD, quantity=-1),)),
        Basket((replace(GOOD, unit_minor=-1),)),
        Basket((replace(GOOD, discount_minor=1_001),)),
        Basket((replace(GOOD, discount_minor=-1),)),
        Basket((replace(GOOD, tax_minor=901),)),
        Basket((replace(GOOD, tax_minor=-1),)),
        Basket((GOOD,), discount_minor=901),
        Basket((GOOD,), discount_minor=-1),
        Basket((GOOD,), unearning_minor=901),
        Basket((GOOD,), unearning_minor=-1),
        Basket((GOOD,), discount_minor=500, unearning_minor=401),
        Basket((Line(1, AMOUNT_LIMIT_MINOR),)),
        Basket((Line(2, AMOUNT_LIMIT_MINOR - 1),)),
    ],
)
def test_an_impossible_basket_is_refused(basket: Basket) -> None:
    with pytest.raises(AmountInvalid):
        basket.check()


def test_a_possible_one_is_not() -> None:
    Basket((GOOD, Line(1, 0)), discount_minor=500, unearning_minor=400).check()
    Basket((GOOD,), discount_minor=900).check()
    Basket.of_amount(1).check()
