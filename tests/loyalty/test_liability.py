"""What points still owed are worth, with the worked numbers of the standards."""

from __future__ import annotations

from fractions import Fraction

import hypothesis.strategies as st
import pytest
from hypothesis import given

from passes.loyalty.liability import (
    JournalMonth,
    Outstanding,
    PointsMonth,
    deferred_minor,
    journal,
    recognised_minor,
)


@pytest.mark.check("L-66")
def test_of_a_sale_of_50_with_500_points_3_70_are_deferred() -> None:
    points_minor = 500 * Fraction(8, 10)  # worth a cent each, 80 % will be used
    assert deferred_minor(50_00, goods_minor=50_00, points_minor=points_minor) == 3_70


@pytest.mark.check("L-66")
@pytest.mark.parametrize("unit", [1, 100], ids=["in whole units", "in hundredths"])
def test_revenue_of_two_years_is_4110_and_3493_and_1073_are_left(unit: int) -> None:
    price = 100_000 * unit
    deferred = deferred_minor(price, goods_minor=price, points_minor=9_500 * unit)
    first = recognised_minor(deferred, redeemed=4_500, expected=9_500, before_minor=0)
    second = recognised_minor(deferred, redeemed=8_500, expected=9_700, before_minor=first)
    left = deferred - first - second
    assert [round(amount / unit) for amount in (price - deferred, deferred, first, second, left)] == [
        91_324, 8_676, 4_110, 3_493, 1_073,
    ]  # fmt: skip


@given(
    deferred=st.integers(0, 10**9),
    used=st.lists(st.integers(0, 1000), max_size=12),
    expected=st.integers(1, 5000),
)
def test_what_is_recognised_never_exceeds_what_was_deferred(
    deferred: int, used: list[int], expected: int
) -> None:
    recognised = redeemed = 0
    for points in used:
        redeemed += points
        recognised += recognised_minor(
            deferred, redeemed=redeemed, expected=expected, before_minor=recognised
        )
        assert 0 <= recognised <= deferred
    if redeemed >= expected:
        assert recognised == deferred


def test_a_raised_expectation_takes_revenue_back() -> None:
    assert recognised_minor(100, redeemed=50, expected=200, before_minor=50) == -25


def test_nothing_is_deferred_for_a_sale_that_costs_and_gives_nothing() -> None:
    assert deferred_minor(0, goods_minor=0, points_minor=0) == 0
    assert deferred_minor(100, goods_minor=100, points_minor=0) == 0


def test_the_liability_counts_pending_available_and_held_but_no_account_below_zero() -> None:
    owed = Outstanding(pending=60, available=90, held=50, deficit=40)
    assert owed.points == 200
    assert owed.liability_minor(cost_minor=Fraction(1, 2), redemption_rate=Fraction(8, 10)) == 80


# Month by month --------------------------------------------------------------


@pytest.mark.check("L-66")
def test_a_sale_of_50_with_500_points_defers_3_70_in_its_month() -> None:
    (booked,) = journal([PointsMonth(0, 50_00, 500, 0, 0, Fraction(8, 10))], point_minor=1)
    assert booked == JournalMonth(0, 0, 3_70, 0)
    assert booked.closing_minor == 3_70


@pytest.mark.check("L-66")
def test_the_months_of_two_years_recognise_4110_and_3493_and_leave_1073() -> None:
    months = [PointsMonth(0, 100_000_00, 10_000, 0, 0, Fraction(95, 100))]
    months += [PointsMonth(n, 0, 0, 0, 450, Fraction(95, 100)) for n in range(1, 11)]
    months.append(PointsMonth(11, 0, 0, 0, 0, Fraction(95, 100)))
    # In the second year more is believed to be used, and 4 000 more are.
    months += [PointsMonth(n, 0, 0, 0, 400, Fraction(97, 100)) for n in range(12, 22)]
    booked = journal(months, point_minor=100)
    first, second = (sum(month.recognised_minor for month in part) for part in (booked[:12], booked[12:]))
    assert [round(amount / 100) for amount in (booked[0].deferred_minor, first, second)] == [
        8_676,
        4_110,
        3_493,
    ]
    assert round(booked[-1].closing_minor / 100) == 1_073


def test_points_given_without_a_sale_defer_nothing_and_share_what_was_deferred() -> None:
    months = [PointsMonth(0, 100_00, 100, 100, 0, Fraction(1)), PointsMonth(1, 0, 0, 0, 100, Fraction(1))]
    sold, used = journal(months, point_minor=1)
    assert (sold.deferred_minor, sold.recognised_minor) == (99, 0)
    assert (used.deferred_minor, used.recognised_minor) == (0, 50)


amounts = st.integers(-5_000, 20_000)


@given(
    st.lists(
        st.tuples(
            amounts, st.integers(-50, 500), st.integers(0, 50), st.integers(-20, 300), st.integers(1, 20)
        ),
        max_size=20,
    )
)
def test_every_month_opens_where_the_one_before_closed(rows: list[tuple[int, int, int, int, int]]) -> None:
    months = [
        PointsMonth(number, net, earned, bonus, burned, Fraction(rate, 20))
        for number, (net, earned, bonus, burned, rate) in enumerate(rows)
    ]
    booked = journal(months, point_minor=Fraction(1, 2))
    closing = 0
    for month in booked:
        assert month.opening_minor == closing
        closing = month.closing_minor
    assert closing == sum(month.deferred_minor - month.recognised_minor for month in booked)
    # Of a positive total never more is recognised than was deferred.
    if closing and sum(month.deferred_minor for month in booked) > 0:
        assert closing > 0
