"""BG/NBD and Gamma-Gamma at the published parameters, and fits that find what the data was made from."""

from __future__ import annotations

import random
from math import log

import pytest

from passes.loyalty.lifetime_value import (
    Buying,
    History,
    Spending,
    correlation,
    fit_buying,
    fit_spending,
    minimum,
)

# Fader, Hardie and Lee (2005), CDNOW, in weeks.
CDNOW = Buying(r=0.243, alpha=4.414, a=0.793, b=2.426)
SPEND = Spending(p=6.25, q=3.74, v=15.44)
ONE_IN_30 = History(2, 30.43, 38.86)
NEVER_AGAIN = History(0, 0, 38.86)
SOON_GONE = History(1, 1.71, 38.86)
FREQUENT = History(7, 29.43, 38.86)


@pytest.mark.parametrize(
    ("history", "expected"),
    [(ONE_IN_30, -9.4586), (NEVER_AGAIN, -0.5547), (SOON_GONE, -4.4691), (FREQUENT, -21.8633)],
)
def test_the_likelihood_of_a_customer(history: History, expected: float) -> None:
    assert round(CDNOW.log_likelihood(history), 4) == expected


@pytest.mark.parametrize(
    ("history", "expected"), [(ONE_IN_30, 0.7266), (NEVER_AGAIN, 1), (SOON_GONE, 0.2121), (FREQUENT, 0.6418)]
)
def test_the_probability_that_a_customer_is_still_one(history: History, expected: float) -> None:
    assert CDNOW.alive(history) == pytest.approx(expected, abs=6e-5)


@pytest.mark.parametrize(
    ("history", "weeks", "expected"),
    [(ONE_IN_30, 39, 1.2260), (ONE_IN_30, 52, 1.5587), (NEVER_AGAIN, 39, 0.1951), (SOON_GONE, 39, 0.2032),
     (FREQUENT, 39, 3.3371)],
)  # fmt: skip
def test_the_purchases_to_expect(history: History, weeks: float, expected: float) -> None:
    assert round(CDNOW.purchases(history, weeks), 4) == expected


def test_the_value_of_the_next_purchase_and_of_a_year() -> None:
    value = SPEND.value(2, 22.35)
    assert round(value, 2) == 24.66
    assert round(SPEND.population_mean, 2) == 35.22
    assert round(value * CDNOW.purchases(ONE_IN_30, 52), 2) == 38.44


def test_the_formula_goes_smoothly_through_a_of_one() -> None:
    around = [Buying(0.243, 4.414, a, 2.426).purchases(ONE_IN_30, 39) for a in (0.9999, 1.0, 1.0001)]
    assert around[0] == pytest.approx(around[1], rel=1e-3) == pytest.approx(around[2], rel=1e-3)


def simulated(customers: int, truth: Buying, age: float) -> list[History]:
    """Customers who buy and leave as the model says."""
    chance = random.Random(20050314)
    found = []
    for _ in range(customers):
        rate = chance.gammavariate(truth.r, 1 / truth.alpha)
        leaving = chance.betavariate(truth.a, truth.b)
        at, repeats, last = 0.0, 0, 0.0
        while True:
            at += -log(1 - chance.random()) / rate if rate > 1e-12 else age + 1
            if at > age:
                break
            repeats, last = repeats + 1, at
            if chance.random() < leaving:
                break
        found.append(History(repeats, last, age))
    return found


def test_a_fit_finds_at_least_the_likelihood_of_the_truth() -> None:
    truth = Buying(r=0.8, alpha=6.0, a=0.9, b=2.5)
    people = simulated(1_200, truth, 60.0)
    fitted = fit_buying(people)
    best, true = (sum(map(one.log_likelihood, people)) for one in (fitted, truth))
    assert best >= true - 1e-6
    assert best - true < 10  # four parameters explain little more than the truth does
    assert fitted.r == pytest.approx(truth.r, rel=0.25)
    assert sum(fitted.purchases(one, 30) for one in people) == pytest.approx(
        sum(truth.purchases(one, 30) for one in people), rel=0.08
    )


def test_a_fit_of_spending_finds_at_least_the_likelihood_of_the_truth() -> None:
    chance = random.Random(7)
    truth = Spending(p=4.0, q=5.0, v=60.0)
    seen = []
    for _ in range(1_500):
        repeats = chance.randint(1, 8)
        rate = chance.gammavariate(truth.q, 1 / truth.v)
        seen.append((repeats, sum(chance.gammavariate(truth.p, 1 / rate) for _ in range(repeats)) / repeats))
    fitted = fit_spending(seen)
    best, true = (sum(one.log_likelihood(*pair) for pair in seen) for one in (fitted, truth))
    assert true - 1e-6 <= best < true + 10
    assert fitted.population_mean == pytest.approx(truth.population_mean, rel=0.05)


def test_frequency_and_value_of_the_model_do_not_go_together() -> None:
    assert correlation([(1, 10.0), (2, 20.0), (3, 30.0)]) == pytest.approx(1)
    assert correlation([(1, 10.0), (1, 20.0)]) is None
    assert correlation([(1, 10.0)]) is None


def test_the_search_finds_the_bottom_of_a_curved_valley() -> None:
    found = minimum(lambda at: (1 - at[0]) ** 2 + 100 * (at[1] - at[0] ** 2) ** 2, (-1.2, 1.0))
    assert found == pytest.approx((1, 1), abs=1e-4)


def test_nobody_cannot_be_fitted() -> None:
    with pytest.raises(ValueError, match="no customers"):
        fit_buying([])
    with pytest.raises(ValueError, match="came back"):
        fit_spending([])
