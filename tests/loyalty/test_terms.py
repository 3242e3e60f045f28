from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import fields, is_dataclass, replace
from datetime import date, datetime, time
from decimal import Decimal
from fractions import Fraction
from pathlib import Path
from zoneinfo import ZoneInfo

import pytest

from passes.language import say, shown
from passes.loyalty.earning import CapMode, Caps, Combine, Rounding
from passes.loyalty.lasting import (
    ClockStart,
    Expiry,
    ExpiryKind,
    MonthsTo,
    PointsRule,
    ReturnPolicy,
    Shortfall,
)
from passes.loyalty.money import Money
from passes.loyalty.occasions import Birthday, BirthdaySpan
from passes.loyalty.programme import Programme
from passes.loyalty.programme_file import parse
from passes.loyalty.stamps import StampFor, StampRule
from passes.loyalty.terms import terms
from passes.loyalty.text import Text
from passes.loyalty.tiers import OnReturn, Review, TierMetric, TierRule, TierWindow
from tests.loyalty.shops import shop

FULL = (Path(__file__).parent / "programmes" / "full.toml").read_text(encoding="utf-8")
finch, full = shop("copperfinch"), parse(FULL, name="full", say=say)


def said(programme: Programme, language: str = "en") -> str:
    return terms(programme, language, say)


def test_the_coffee_shops_terms_are_plain_and_complete() -> None:
    assert said(finch).split("\n\n") == [
        "You get 10 beans for every $1.00 you spend.\n"
        "What counts is what you pay after discounts. Tax that a purchase states earns nothing. "
        "What is paid with points or a gift card earns nothing. Part points are dropped.\n"
        "You get 100 beans for joining.",
        "Earns nothing: gift cards.",
        "You can spend beans as soon as you have them.\n"
        "Extra shot: 150 beans.\nBrewed coffee: 400 beans.\n"
        "Any drink: 800 beans.\nBag of beans: 1,500 beans.",
        "Your beans lapse 12 months after they were earned. "
        "The month in which that is still counts to its end.\n"
        "You are told before: 30 days, 7 days, one day.",
        "Your tier follows what you spend. Each calendar year counts by itself.\n"
        "Perch: from the start.\n"
        "Flight: from $250.00 spent (1.2 times as many beans).\n"
        "Copper: from $750.00 spent (1.5 times as many beans). A drink of your choice on your birthday.\n"
        "A tier begins at once. You keep it until the end of the next calendar year. "
        "If you have not reached it again by then, you get the tier you did reach. "
        "A return never costs a tier before it ends.",
        "Around your birthday, from 3 days before to as long after it, you get: Any drink. "
        "This is only for Copper. This happens once a year, and only if we know your birthday.",
        "Your own cup instead of a paper one: 5 beans "
        "(once for one member within one day; at most 500 times a day for all together).",
        "A return takes back what the purchase would not have earned without it. "
        "If you have already spent it, your balance falls below zero. "
        "What you spent on a returned purchase comes back. "
        "What has lapsed meanwhile then lasts another 30 days.",
        "Staff can correct a balance, with a reason. Above 500 beans a second person decides.\n"
        "You can leave whenever you like; we then erase your data.",
    ]


def test_what_the_shop_adds_follows_the_rules() -> None:
    assert finch.terms.in_("en") == f"{said(finch)}\n\nBeans have no cash value and cannot be sold."
    assert finch.terms.in_("tr").startswith(said(finch, "tr"))
    bare = parse(FULL.replace('terms = "The shop may be closed on holidays."\n', ""), name="full", say=say)
    assert bare.terms.in_("en") == said(bare)


def test_the_terms_speak_the_readers_language() -> None:
    assert "Harcadığınız her $1,00 için 10 çekirdek kazanırsınız." in said(finch, "tr")
    assert "Kazandırmaz: hediye kartı." in said(finch, "tr")


# No number but a rule's ---------------------------------------------------------------


@pytest.mark.parametrize("language", ["en", "tr"])
@pytest.mark.parametrize("programme", [finch, shop("marginalya"), full], ids=lambda one: one.slug)
def test_no_number_stands_in_the_terms_that_is_not_a_rules(programme: Programme, language: str) -> None:
    numbers = set(numbers_of(programme, language))
    for number in re.findall(r"[0-9][0-9.,:-]*", said(programme, language)):
        assert number.rstrip(".,:-") in numbers, number


def numbers_of(programme: Programme, language: str) -> Iterator[str]:
    """Every number within the rules, as a text may write it, and those that stand in names."""
    for value in values_within(programme):
        match value:
            case bool():
                pass
            case str():
                yield from re.findall(r"[0-9][0-9.,:-]*[0-9]|[0-9]", value)
            case int():
                yield shown(language, value)
                yield re.sub(r"[^0-9.,]", "", shown(language, Money(value, programme.currency)))
            case Fraction():
                yield shown(language, Decimal(value.numerator) / value.denominator)
            case datetime():
                local = value.astimezone(ZoneInfo(programme.zone))
                yield from (f"{local:%Y-%m-%d}", f"{local:%H:%M}")
                yield date.fromordinal(local.toordinal() - 1).isoformat()
            case time():
                yield f"{value:%H:%M}"


def values_within(value: object) -> Iterator[object]:
    if is_dataclass(value) and not isinstance(value, type):
        for one in fields(value):
            yield from values_within(getattr(value, one.name))
    elif isinstance(value, tuple | frozenset):
        for part in value:
            yield from values_within(part)
    else:
        yield value


# Each rule in words -------------------------------------------------------------------


def with_points(**values: object) -> Programme:
    return replace(full, points=replace(PointsRule(), **values))  # type: ignore[arg-type]


def with_expiry(**values: object) -> Programme:
    return with_points(expiry=Expiry(**values))  # type: ignore[arg-type]


def with_tiering(**values: object) -> Programme:
    return replace(full, tiering=TierRule(**values))  # type: ignore[arg-type]


def with_earning(**values: object) -> Programme:
    return replace(full, earning=replace(full.earning, **values))  # type: ignore[arg-type]


def with_stamps(**values: object) -> Programme:
    name = Text.of({"en": "a coffee"})
    return replace(full, stamps=StampRule(name=name, target=5, **values))  # type: ignore[arg-type]


def with_birthday(**values: object) -> Programme:
    return replace(full, birthday=Birthday(**values))  # type: ignore[arg-type]


@pytest.mark.parametrize(
    ("programme", "words"),
    [
        (with_earning(rounding=Rounding.HALF_UP), "Part points are rounded to the nearest whole."),
        (with_earning(rounding=Rounding.CEIL), "Part points are rounded up."),
        (with_earning(rounding=Rounding.PER_LINE_FLOOR), "Part points are dropped, line by line."),
        (with_earning(rounding=Rounding.CARRY), "Part points wait for your next purchase."),
        (with_earning(tax_earns=False), "Tax that a purchase states earns nothing."),
        (with_earning(combine=Combine.BEST), "Where several multipliers apply, the highest counts."),
        (with_earning(combine=Combine.SUM_BONUS), "what each adds is added up."),
        (with_earning(caps=Caps(day_points=9, mode=CapMode.REJECT)), "would earn more is not booked."),
        (with_earning(minimum_points=5), "A purchase that would earn less than 5 points earns nothing."),
        (with_expiry(), "Your points do not lapse."),
        (with_expiry(kind=ExpiryKind.INACTIVITY, months=1), "when you earn and spend none for one month."),
        (
            with_expiry(kind=ExpiryKind.FIXED_DAY, month=12, day=31),
            "Your points lapse every year when this day begins: 31 December.",
        ),
        (
            with_expiry(kind=ExpiryKind.ROLLING, months=6, starts=ClockStart.ACTIVATION, to=MonthsTo.YEAR),
            "Your points lapse 6 months after they could first be spent. The year in which",
        ),
        (with_points(shortfall=Shortfall.FORGIVE), "you owe us nothing for it."),
        (with_points(returns=ReturnPolicy.PROPORTIONAL), "takes back the same share"),
        (with_tiering(metric=TierMetric.POINTS), "Your tier follows the points you earn."),
        (with_tiering(metric=TierMetric.VISITS), "Level 2: from 40,000 purchases"),
        (with_tiering(window=TierWindow.LIFETIME), "Everything since you joined counts."),
        (with_tiering(window=TierWindow.LIFETIME), "You keep it for good."),
        (with_tiering(window=TierWindow.MEMBERSHIP_YEAR), "until the end of your next year as a member."),
        (with_tiering(review=Review.NEVER), "You keep it for good."),
        (with_tiering(on_return=OnReturn.IMMEDIATE), "A return can cost a tier at once."),
        (with_stamps(), "Every purchase brings a stamp."),
        (with_stamps(minutes_between=45), "Between two stamps there are at least 45 minutes."),
        (with_stamps(earned_for=StampFor.AMOUNT, per_minor=500), "Every full $5.00 you spend bring a stamp."),
        (with_stamps(earned_for=StampFor.ITEM), "Every article you buy brings a stamp."),
        (with_stamps(), "Further stamps count for the next card."),
        (with_birthday(points=5), "On your birthday you get: 5 points."),
        (
            with_birthday(points=5, span=BirthdaySpan.MONTH),
            "In the month of your birthday you get: 5 points.",
        ),
    ],
)
def test_each_rule_is_said_in_words(programme: Programme, words: str) -> None:
    assert words in said(programme)


def test_what_is_not_there_is_not_spoken_of() -> None:
    bare = replace(full, tiers=(), stamps=None, birthday=None, win_back=None, actions=())
    for word in ("tier", "stamp", "birthday", "invite", "river"):
        assert word in said(full)
        assert word not in said(bare)
