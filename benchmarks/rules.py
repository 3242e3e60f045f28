"""How long the earning rules take, from a bare amount to a full basket in a busy programme.

Nothing bounds them but the time that a purchase has. The median of many calls
counts.

    python -m benchmarks.rules
"""

from __future__ import annotations

import statistics
import sys
import time
from collections.abc import Callable, Iterator
from dataclasses import replace
from datetime import UTC, datetime
from fractions import Fraction

from benchmarks.table import Row, alone
from passes.loyalty.basket import Basket, Line
from passes.loyalty.conditions import Condition, MemberFacts, Place, Window
from passes.loyalty.earning import Bonus, Caps, Combine, EarnRule, Multiplier, Rate, Situation, earn
from passes.loyalty.text import Text
from passes.loyalty.tiers import Tier
from passes.loyalty.unearning import take_back

CALLS = 4_000
PLAIN_MICROSECONDS, FULL_MICROSECONDS = 30.0, 1_000.0
LINES, RATES, MULTIPLIERS, BONUSES = 20, 10, 8, 4

NOON = datetime(2026, 6, 10, 17, tzinfo=UTC)
COPPER = Tier("copper", Text.of({"en": "Copper"}), 75_000, multiplier=Fraction(3, 2))
SITUATION = Situation(
    at=NOON,
    zone="America/Chicago",
    place=Place("west-loop"),
    member=MemberFacts(tier="copper", purchases=12),
    tier=COPPER,
)
NAME = Text.of({"en": "A rule"})


def run() -> Iterator[Row]:
    """Measure all of it."""
    plain, amount = EarnRule(points=10, per_minor=100), Basket.of_amount(1_240)
    yield _row("points of an amount", PLAIN_MICROSECONDS, lambda: _earn(plain, amount))
    basket = _basket()
    for combine in Combine:
        rule = _rule(combine)
        yield _row(
            f"… of {LINES} lines under {RATES + MULTIPLIERS + BONUSES} rules, {combine}",
            FULL_MICROSECONDS,
            lambda rule=rule: _earn(rule, basket),  # type: ignore[misc]
        )
    limited = _rule(Combine.BEST, budget_points=1_000)
    yield _row("… of them every multiplier limited", FULL_MICROSECONDS, lambda: _earn(limited, basket))
    rule = _rule(Combine.BEST)
    earned = earn(rule, basket, currency="USD", situation=SITUATION)
    nets = [line.net_minor for line in earned.lines]
    yield _row(
        "… taken back by half",
        FULL_MICROSECONDS,
        lambda: take_back(rule, earned, before=nets, after=[net // 2 for net in nets], carried=None),
    )


def _earn(rule: EarnRule, basket: Basket) -> object:
    return earn(rule, basket, currency="USD", situation=SITUATION)


def _category(number: int) -> str:
    return f"category-{number % RATES}"


def _of(*numbers: int, minimum_minor: int = 0) -> Condition:
    return Condition(categories=frozenset(map(_category, numbers)), minimum_minor=minimum_minor)


def _rule(combine: Combine, *, budget_points: int | None = None) -> EarnRule:
    wednesday = Window("America/Chicago", weekdays=frozenset({2}))
    return EarnRule(
        points=1,
        per_minor=100,
        combine=combine,
        excluded=(Condition(categories=frozenset({"gift-card"})),),
        rates=tuple(
            Rate(f"rate-{number}", number + 1, 100 * (number % 3 + 1), _of(number), priority=number)
            for number in range(RATES)
        ),
        multipliers=tuple(
            Multiplier(
                f"multiplier-{number}",
                NAME,
                Fraction(10 + number, 8),
                replace(_of(number, number + 3), window=wednesday, tiers=frozenset({"copper"})),
                budget_points=budget_points,
            )
            for number in range(MULTIPLIERS)
        ),
        bonuses=tuple(
            Bonus(f"bonus-{number}", NAME, 10, _of(number, minimum_minor=500), group="g", priority=number)
            for number in range(BONUSES)
        ),
        caps=Caps(purchase_points=100_000, day_points=200_000),
    )


def _basket() -> Basket:
    return Basket(
        tuple(
            Line(
                1 + number % 3,
                399 + 7 * number,
                discount_minor=number,
                category=_category(number) if number % 7 else "gift-card",
                tax_minor=number,
            )
            for number in range(LINES)
        ),
        discount_minor=777,
        unearning_minor=500,
    )


def _row(name: str, microseconds_most: float, job: Callable[[], object]) -> Row:
    taken = []
    for _ in range(CALLS):
        began = time.perf_counter_ns()
        job()
        taken.append(time.perf_counter_ns() - began)
    return Row(name, statistics.median(taken) / 1_000, "µs", microseconds_most, at_most=True)


if __name__ == "__main__":
    sys.exit(alone(run))
