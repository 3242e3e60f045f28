from __future__ import annotations

import inspect
import re
from dataclasses import replace
from datetime import UTC, datetime, time
from fractions import Fraction
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from passes.language import say
from passes.loyalty import offer_file, refusals
from passes.loyalty.conditions import Hours, Segment
from passes.loyalty.offer_file import parse
from passes.loyalty.offers import (
    AmountOff,
    Audience,
    BonusPoints,
    CodeKind,
    FreeItem,
    Offer,
    PercentOff,
    PointsTimes,
    Scope,
    Stacking,
)
from passes.loyalty.refusals import OfferInvalid
from tests.loyalty.shops import shop

FINCH = replace(shop("copperfinch"), categories=frozenset({"coffee", "beans"}))

MAPLE = """
effect = "percent_off"
percent = 20
most = 3.00
title = { en = "Maple Cortado is back", tr = "Akçaağaçlı Cortado döndü" }
[text]
en = "{offer.percent} percent off, at most {offer.most}."
tr = "Yüzde {offer.percent}, en çok {offer.most}."
[when]
from = 2026-03-14
until = "2026-03-21T20:00"
"""


def offer(extra: str = "", text: str = MAPLE) -> Offer:
    return parse(extra + text, name="maple.toml", programme=FINCH, say=say)


def problems(extra: str = "", text: str = MAPLE, name: str = "maple") -> list[str]:
    with pytest.raises(OfferInvalid) as refusal:
        parse(extra + text, name=name, programme=FINCH)
    found = refusal.value.values["problems"]
    assert isinstance(found, list)
    return found


def test_a_short_file_is_an_offer_for_everybody() -> None:
    maple = offer()
    assert (maple.key, maple.effect) == ("maple", PercentOff(20, Scope.ORDER, 300))
    assert (maple.audience, maple.code_kind, maple.stacking) == (
        Audience.ALL,
        CodeKind.NONE,
        Stacking.STACKABLE,
    )
    assert (maple.quota, maple.member_limit, maple.budget_minor, maple.holdout_percent) == (
        None,
        None,
        None,
        0,
    )
    assert {maple.rings, maple.restore_on_return, maple.new_members_only} == {False}


@pytest.mark.check("L-27")
def test_its_window_is_local_to_the_programme_or_to_the_zone_it_names() -> None:
    assert offer().window.starts_at == datetime(2026, 3, 14, 5, tzinfo=UTC)
    assert offer().window.ends_at == datetime(2026, 3, 22, 1, tzinfo=UTC)
    elsewhere = offer('zone = "Europe/Istanbul"\n').window
    assert (elsewhere.zone, elsewhere.starts_at) == ("Europe/Istanbul", datetime(2026, 3, 13, 21, tzinfo=UTC))


def test_numbers_in_its_texts_come_from_its_rules_in_each_language() -> None:
    assert offer().text.in_("en") == "20 percent off, at most $3.00."
    assert offer().text.in_("tr") == "Yüzde 20, en çok $3,00."
    (digit,) = problems(text=MAPLE.replace("Maple Cortado is back", "20 off"))
    assert digit.startswith("title.en (line 5): states a number itself")
    (unknown,) = problems(text=MAPLE.replace('{offer.most}."', '{offer.points}."', 1))
    assert "there is no placeholder {offer.points}" in unknown


def test_everything_an_offer_can_say() -> None:
    full = offer(
        """
quota = 500
member_limit = 2
budget = 250.00
new_members_only = true
code = "maple-2O"
stacking = "exclusive"
group = "spring"
priority = 5
holdout_percent = 20
restore_on_return = true
rings = true
partner = "Maple Farm"
scope = "items"
""",
        MAPLE
        + """
weekdays = ["sat", "sun"]
hours = ["08:00-11:00"]
categories = ["coffee"]
skus = ["cortado"]
brands = ["finch"]
shops = ["lakeview"]
channels = ["in_store"]
minimum = 8.00
tiers = ["copper"]
[when.segment]
idle_days_least = 30
""",
    )
    assert (full.quota, full.member_limit, full.budget_minor) == (500, 2, 25_000)
    assert (full.code_kind, full.code) == (CodeKind.SHARED, "MAP1E20")
    assert (full.stacking, full.group, full.priority) == (Stacking.EXCLUSIVE, "spring", 5)
    assert (full.holdout_percent, full.partner, full.rings) == (20, "Maple Farm", True)
    assert (full.audience, full.segment) == (
        Audience.SEGMENT,
        Segment(tiers=frozenset({"copper"}), idle_days_least=30),
    )
    assert (full.window.weekdays, full.window.hours) == (frozenset({5, 6}), (Hours(time(8), time(11)),))
    assert (full.categories, full.skus, full.brands) == (
        frozenset({"coffee"}),
        frozenset({"cortado"}),
        frozenset({"finch"}),
    )
    assert (full.locations, full.channels, full.minimum_minor) == (
        frozenset({"lakeview"}),
        frozenset({"in_store"}),
        800,
    )
    assert full.new_members_only
    assert full.restore_on_return


@pytest.mark.parametrize(
    ("lines", "effect"),
    [
        ('effect = "amount_off"\namount = 1.50', AmountOff(150)),
        ('effect = "amount_off"\namount = 1.50\nscope = "items"\nmost = 6', AmountOff(150, Scope.ITEMS, 600)),
        ('effect = "free_item"\nmost = 4.20', FreeItem(420)),
        ('effect = "bonus_points"\npoints = 50', BonusPoints(50)),
        ('effect = "points_times"\nfactor = 1.5', PointsTimes(Fraction(3, 2))),
    ],
)
def test_every_effect_can_be_written(lines: str, effect: object) -> None:
    assert offer(text=with_effect(lines)).effect == effect


def with_effect(lines: str) -> str:
    return f'title = "Back"\ntext = "For you."\n{lines}\n[when]\nuntil = 2026-04-01\n'


def test_an_offer_may_be_for_those_who_asked_for_a_product() -> None:
    asked = offer('product = "maple-cortado"\n')
    assert (asked.audience, asked.product) == (Audience.REQUESTED, "maple-cortado")
    (both,) = problems('product = "maple-cortado"\n', MAPLE + 'tiers = ["copper"]\n')
    assert "not for both" in both


def test_unique_codes_are_made_not_written() -> None:
    assert offer("unique_codes = true\n").code_kind is CodeKind.UNIQUE
    assert "together with unique_codes" in problems('unique_codes = true\ncode = "MAPLE"\n')[0]


@pytest.mark.parametrize(
    ("text", "message"),
    [
        (with_effect('effect = "percent_of"'), "effect (line 3): must be percent_off or"),
        (with_effect(""), "effect: is missing"),
        (with_effect('effect = "free_item"\npercent = 5'), "percent (line 4): only belongs to percent_off"),
        (with_effect('effect = "points_times"\nfactor = 1'), "factor (line 4): must be above 1"),
        (
            with_effect('effect = "bonus_points"\npoints = 5\nbudget = 9'),
            "budget (line 5): only belongs to an offer",
        ),
        (with_effect('effect = "amount_off"\namount = 1\nmost = 9'), "most (line 5): only belongs to"),
        (with_effect('effect = "free_item"').replace("until = 2026-04-01", ""), "an offer has an end"),
        (with_effect('effect = "free_item"') + 'shops = ["moon"]', "there is no shop 'moon'"),
        (with_effect('effect = "free_item"\ncode = "ÄÖ"'), "code (line 4): must be 4 to 24 letters"),
        (with_effect('effect = "free_item"\nquotum = 5'), "there is no such key; did you mean quota?"),
        (with_effect('effect = "free_item"\nzone = "Mars"'), "zone (line 4): must be an IANA time zone"),
        ("title", "this is not TOML"),
        ("#" * 50_001, "more than 50000 characters"),
        ("a=" + "[" * 9_000, "nested too deeply"),
    ],
)
def test_mistakes_are_named_with_their_key_and_line(text: str, message: str) -> None:
    assert any(message in problem for problem in problems(text=text))


def test_the_name_of_the_file_is_the_key() -> None:
    assert "may only have small letters" in problems(name="Maple 20")[0]


@given(st.text(max_size=60), st.integers(0, 12))
def test_whatever_the_text_is_the_answer_is_an_offer_or_a_refusal(noise: str, place: int) -> None:
    lines = MAPLE.split("\n")
    lines.insert(min(place, len(lines)), noise)
    try:
        assert isinstance(parse("\n".join(lines), name="maple", programme=FINCH), Offer)
    except OfferInvalid:
        assert problems(text="\n".join(lines))


DOCS = Path(__file__).parents[2] / "docs" / "offers.md"


def test_the_example_in_the_documentation_is_an_offer() -> None:
    example = DOCS.read_text("utf-8").split("```toml\n")[1].split("```")[0]
    documented = parse(example, name="maple", programme=FINCH, say=say)
    assert documented.text.in_("en") == "20 percent off every cortado, once, at most $3.00."
    assert documented.audience is Audience.SEGMENT


def test_every_key_and_every_refusal_is_documented() -> None:
    words = DOCS.read_text("utf-8")
    asked = [*re.findall(r'top\.\w+\("(\w+)"', inspect.getsource(offer_file)), "when"]
    assert len(set(asked)) > 20
    assert [key for key in asked if f"`{key}`" not in words and f"`[{key}]`" not in words] == []
    codes = {one.code for one in refusals.Refused.__subclasses__() if one.code.startswith("offer_")}
    at_the_till = codes - {
        *("offer_unknown", "offer_key_taken", "offer_state_wrong", "offer_invalid", "offer_code_taken")
    }
    assert [code for code in sorted(at_the_till) if f"`{code}`" not in words] == []
