from __future__ import annotations

from decimal import Decimal
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from passes.language import say
from passes.loyalty.money import Money
from passes.loyalty.placeholders import Value, check, fill, names
from passes.loyalty.programme_file import parse
from passes.loyalty.refusals import ProgrammeInvalid
from tests.loyalty.shops import shop, text_of

FULL = (Path(__file__).parent / "programmes" / "full.toml").read_text(encoding="utf-8")
finch, sayfa, full = shop("copperfinch"), shop("marginalya"), parse(FULL, name="full")


def test_a_number_in_a_text_is_written_the_way_its_language_writes_it() -> None:
    text = "{reward.bag-of-beans.points} / {tier.flight.threshold} / {tier.flight.multiplier}"
    assert fill(text, finch, "en", say) == "1,500 / $250.00 / 1.2"
    assert fill(text, finch, "tr", say) == "1.500 / $250,00 / 1,2"


def test_an_offer_brings_names_of_its_own() -> None:
    more: dict[str, Value] = {"offer.percent": 20, "offer.amount": Money(500, "USD"), "offer.ends": "Sunday"}
    assert (
        fill("{ offer.percent } % or {offer.amount} until {offer.ends}", finch, "en", say, more)
        == "20 % or $5.00 until Sunday"
    )
    assert check("{offer.percent} % off", {*names(finch), *more}) == []


def test_a_name_without_a_rule_is_no_name() -> None:
    with pytest.raises(KeyError):
        fill("{birthday.points}", sayfa, "en", say)


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("earning.points", 2),
        ("earning.amount", Money(500, "USD")),
        ("earning.welcome", 50),
        ("earning.minimum", Money(100, "USD")),
        ("earning.minimum_points", 2),
        ("earning.purchase_cap", 500),
        ("earning.day_cap", 800),
        ("rate.beans.points", 3),
        ("rate.beans.amount", Money(500, "USD")),
        ("rate.beans.minimum", Money(1_000, "USD")),
        ("multiplier.double-tuesday.factor", Decimal(2)),
        ("bonus.brand-week.points", 25),
        ("expiry.months", 18),
        ("points.pending_days", 2),
        ("points.return_days", 30),
        ("points.hundred_points_worth", Money(100, "USD")),
        ("reward.coffee.points", 100),
        ("reward.coffee.amount", Money(450, "USD")),
        ("reward.coffee.valid_days", 14),
        ("reward.quarter-off.percent", 25),
        ("reward.pay.least_points", 100),
        ("tier.gold.threshold", Money(40_000, "USD")),
        ("tier.gold.multiplier", Decimal("1.25")),
        ("tier.gold.early_access_hours", 24),
        ("stamps.target", 8),
        ("stamps.reward_amount", Money(450, "USD")),
        ("stamps.reward_valid_days", 60),
        ("stamps.months", 12),
        ("birthday.points", 20),
        ("birthday.days", 2),
        ("win_back.points", 40),
        ("win_back.idle_days", 60),
        ("win_back.valid_days", 21),
        ("action.clean-up.points", 200),
    ],
)
def test_every_rule_gives_its_number_a_name(name: str, value: object) -> None:
    assert names(full)[name] == value


def test_what_grants_nothing_has_no_name() -> None:
    """Nothing can be said of a welcome gift where there is none."""
    found = names(sayfa)
    for name in (
        "earning.welcome",
        "expiry.months",
        "birthday.points",
        "reward.25-lira.percent",
        "stamps.amount",
    ):
        assert name not in found
    # The lowest tier begins at nothing and multiplies by one: neither is a promise.
    assert "tier.perch.threshold" not in names(finch)
    assert "tier.perch.multiplier" not in names(finch)


@pytest.mark.parametrize(
    ("text", "problem"),
    [
        ("10 beans for nothing", "states a number itself ('1')"),
        ("Half: ½", "states a number itself ('½')"),
        ("Kat ²", "states a number itself ('²')"),
        ("٣ kahve", "states a number itself ('٣')"),
        ("Roman Ⅳ", "states a number itself ('Ⅳ')"),
        ("{earning.point}", "there is no placeholder {earning.point}; did you mean {earning.points}?"),
        ("{}", "there is no placeholder {}"),
        ("{birthday.points}", "there is no placeholder {birthday.points}"),
        ("{earning.points", "a brace stands alone"),
        ("earning.points}", "a brace stands alone"),
        ("{{earning.points}}", "a brace stands alone"),
    ],
)
def test_a_text_that_promises_what_no_rule_grants_is_refused(text: str, problem: str) -> None:
    assert any(found.startswith(problem) for found in check(text, names(finch))), check(text, names(finch))


@pytest.mark.parametrize(
    "text",
    ["Collect beans with every cup.", "{reward.25-lira.amount} indirim", "İkinci kahve bizden", "一杯", ""],
)
def test_words_and_names_with_digits_are_fine(text: str) -> None:
    assert check(text, names(sayfa)) == []


def test_every_text_of_a_card_is_checked_in_every_language() -> None:
    text = text_of("copperfinch")
    for old, path in (
        ('en = "Collect beans with', "description.en"),
        ('en = "Extra', "rewards[0].name.en"),
        ('tr = "Doğum gününüzde dilediğiniz', "tiers[2].perk.tr"),
        ('en = "Your own cup', "actions[0].name.en"),
        ('tr = "Çekirdeklerin nakit', "terms.tr"),
    ):
        assert old in text
        with pytest.raises(ProgrammeInvalid) as refusal:
            parse(text.replace(old, f"{old} 7", 1), name="copperfinch")
        summary = str(refusal.value.values["summary"])
        assert summary.startswith(f"{path} (line ")
        assert "states a number itself ('7')" in summary


@pytest.mark.parametrize(
    ("old", "new"),
    [
        ('en = "Finch Club"', 'en = "Club 21"'),
        ('name = "West Loop"', 'name = "Pier 39"'),
        ('en = "Perch"', 'en = "Level 1"'),
        ("My phone may ring", "My phone may ring 3 times a week"),
    ],
)
def test_names_addresses_and_consents_are_no_promises(old: str, new: str) -> None:
    assert old in text_of("copperfinch")
    parse(text_of("copperfinch").replace(old, new), name="copperfinch")


def test_a_text_follows_its_rule() -> None:
    text = text_of("marginalya").replace("target = 10", "target = 8")
    assert parse(text, name="marginalya", say=say).stamps != sayfa.stamps
    changed = parse(text, name="marginalya", say=say).stamps
    assert changed is not None
    assert changed.name.in_("tr") == "8. kitap"


@given(st.text(alphabet="{}ab.1 ", max_size=60))
def test_what_is_checked_can_be_filled_in(text: str) -> None:
    known: dict[str, Value] = {"a": 1, "b": Decimal("1.5"), "a.b": "x"}
    if not check(text, known):
        assert "{" not in fill(text, finch, "en", say, known)


def test_a_text_full_of_braces_costs_no_time() -> None:
    """Seconds, if every one of them were searched for what was meant."""
    assert len(check("{x}" * 2_000 + "{" * 8_000, names(finch))) <= 6
    assert len(check("".join(f"{{x{number}}}" for number in range(2_000)), names(finch))) <= 6
