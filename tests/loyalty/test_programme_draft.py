"""What a short form can say about a programme, what it is told, and the colours that it chooses."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from passes.language import say
from passes.loyalty.letters import cleaned
from passes.loyalty.money import Money
from passes.loyalty.programme_draft import (
    Draft,
    Fault,
    colours_on,
    draft_of,
    earned_with,
    mended,
    problems,
    slug_of,
    source_of,
    spent_for,
)
from passes.loyalty.programme_file import CONTRAST_GOOD, contrast_of, parse

LANGUAGES = ("en", "tr")
KESTANE = Draft(
    shop="Kestane & Söhne",
    name="Kestane",
    email="hello@kestane.example",
    ground="#5A2D0C",
    points="1",
    amount="10,00",
    amount_minor=1_000,
    unit_one="kestane",
    unit_other="kestane",
    reward="Bir fincan kahve",
    price="20",
    currency="TRY",
    zone="Europe/Istanbul",
    language="tr",
)


def wrong(**changes: Any) -> list[tuple[str, Fault]]:
    return [(one.name, one.fault) for one in problems(replace(KESTANE, **changes), languages=LANGUAGES)]


def test_a_form_becomes_a_programme_with_its_rule_and_its_reward() -> None:
    assert wrong() == []
    programme = parse(source_of(KESTANE, say=say), name=slug_of(KESTANE), say=say)
    assert programme.slug == "kestane"
    assert programme.organisation.in_("tr") == "Kestane & Söhne"
    assert programme.description.in_("tr") == "Her alışverişte kestane biriktirin."
    assert (programme.earning.points, programme.earning.per_minor) == (1, 1_000)
    [reward] = programme.rewards
    assert (reward.name.in_("tr"), reward.points) == ("Bir fincan kahve", 20)
    assert (programme.currency, programme.zone, programme.languages) == ("TRY", "Europe/Istanbul", ("tr",))
    assert programme.contact.email == "hello@kestane.example"
    assert programme.warnings == ()


def test_a_card_without_a_name_is_called_as_its_shop() -> None:
    programme = parse(source_of(replace(KESTANE, name=""), say=say), name="x", say=say)
    assert programme.name == programme.organisation


@pytest.mark.parametrize(
    ("changes", "expected"),
    [
        ({"shop": ""}, ("shop", Fault.MISSING)),
        ({"shop": "K" * 65}, ("shop", Fault.TOO_LONG)),
        ({"name": "K" * 65}, ("name", Fault.TOO_LONG)),
        ({"email": ""}, ("email", Fault.MISSING)),
        ({"email": "kestane"}, ("email", Fault.NO_EMAIL)),
        ({"email": "a@b."}, ("email", Fault.NO_EMAIL)),
        ({"ground": "brown"}, ("ground", Fault.NO_COLOUR)),
        ({"ground": "#12345"}, ("ground", Fault.NO_COLOUR)),
        ({"points": ""}, ("points", Fault.MISSING)),
        ({"points": "many"}, ("points", Fault.NO_NUMBER)),
        ({"points": "٣"}, ("points", Fault.NO_NUMBER)),
        ({"points": "0"}, ("points", Fault.OUT_OF_RANGE)),
        ({"points": "100001"}, ("points", Fault.OUT_OF_RANGE)),
        ({"amount": ""}, ("amount", Fault.MISSING)),
        ({"amount_minor": None}, ("amount", Fault.NO_AMOUNT)),
        ({"amount_minor": 10_000_001}, ("amount", Fault.NO_AMOUNT)),
        ({"unit_one": ""}, ("unit_one", Fault.MISSING)),
        ({"unit_other": "K" * 21}, ("unit_other", Fault.TOO_LONG)),
        ({"unit_other": "50 % off"}, ("unit_other", Fault.SIGN)),
        ({"reward": ""}, ("reward", Fault.MISSING)),
        ({"reward": "{coffee}"}, ("reward", Fault.SIGN)),
        ({"reward": "2 coffees"}, ("reward", Fault.DIGITS)),
        ({"price": "1000001"}, ("price", Fault.OUT_OF_RANGE)),
        ({"currency": "XXX"}, ("currency", Fault.NOT_OFFERED)),
        ({"zone": "Moon/Base"}, ("zone", Fault.NOT_OFFERED)),
        ({"language": "ja"}, ("language", Fault.NOT_OFFERED)),
    ],
)
def test_every_field_is_told_what_is_wrong_with_it(changes: Any, expected: tuple[str, Fault]) -> None:
    assert wrong(**changes) == [expected]


def test_problems_come_in_the_order_of_the_form() -> None:
    names = [one.name for one in problems(Draft(), languages=LANGUAGES)]
    assert names == [
        *("shop", "email", "ground", "points", "amount", "unit_one", "unit_other", "reward", "price"),
        *("currency", "zone", "language"),
    ]


def test_an_unfinished_form_can_be_looked_at() -> None:
    draft = Draft(shop="Kestane", ground="#102030", currency="JPY", amount="12,34")
    shown = mended(draft, problems(draft, languages=LANGUAGES), replace(KESTANE, amount_minor=1))
    assert (shown.shop, shown.ground, shown.reward) == ("Kestane", "#102030", "Bir fincan kahve")
    assert parse(source_of(shown, say=say), name="preview", say=say).currency == "JPY"


# Colours ------------------------------------------------------------------------------

COLOURS = st.integers(0, 0xFFFFFF).map(lambda value: f"#{value:06x}")


@given(COLOURS)
def test_words_can_be_read_on_every_ground(ground: str) -> None:
    colours = colours_on(ground)
    assert colours.ground.lower() == ground
    assert contrast_of(colours.text, ground) >= CONTRAST_GOOD
    assert contrast_of(colours.label, ground) >= CONTRAST_GOOD


def test_labels_are_quieter_than_the_words() -> None:
    colours = colours_on("#1F4E4A")
    assert (colours.text, colours.label) == ("#FFFFFF", "#BCCAC9")
    assert contrast_of(colours.label, "#1F4E4A") < contrast_of(colours.text, "#1F4E4A")


# Whatever is typed ---------------------------------------------------------------------

LINES = st.text(max_size=30).map(cleaned)


@given(
    shop=LINES,
    name=LINES,
    unit=LINES,
    reward=LINES,
    ground=COLOURS,
    points=st.integers(1, 100_000),
    price=st.integers(1, 1_000_000),
    amount=st.integers(1, 10_000_000),
    currency=st.sampled_from(["USD", "TRY", "JPY", "KWD", "CLF", "VND"]),
)
def test_a_form_without_problems_is_always_a_valid_file(
    shop: str,
    name: str,
    unit: str,
    reward: str,
    ground: str,
    points: int,
    price: int,
    amount: int,
    currency: str,
) -> None:
    draft = replace(
        KESTANE,
        shop=shop,
        name=name,
        unit_one=unit,
        unit_other=unit,
        reward=reward,
        ground=ground,
        points=str(points),
        price=str(price),
        amount="x",
        amount_minor=amount,
        currency=currency,
    )
    if problems(draft, languages=LANGUAGES):
        return
    source = source_of(draft, say=say)
    programme = parse(source, name=slug_of(draft), say=say)
    assert programme.organisation.in_("tr") == shop
    # The form comes back as it was.
    again = draft_of(source)
    assert again is not None
    assert source_of(again, say=say) == source
    assert programme.rewards[0].name.in_("tr") == reward
    assert programme.earning.limit_minor >= amount
    # What the page promises is what a purchase of that size earns.
    spent, earned = earned_with(draft)
    assert programme.earning.points * spent // programme.earning.per_minor == earned
    needed = spent_for(draft)
    assert points * needed // amount >= price > points * (needed - 1) // amount


@pytest.mark.parametrize(
    ("name", "slug"),
    [
        ("Café Ünlü", "cafe-unlu"),
        ("İpek & Şirin", "ipek-sirin"),
        ("喫茶店", "card"),
        ("--", "card"),
        ("a " * 40, "a-" * 17 + "a"),
    ],
)
def test_an_address_is_made_from_the_name(name: str, slug: str) -> None:
    assert slug_of(replace(KESTANE, name=name)) == slug


@pytest.mark.parametrize(
    ("old", "new"),
    [
        ('name = "Kestane"', 'name = { tr = "Kestane" }'),
        ("points = 20", "points = 20\nstock = 5"),
        ("[contact]", "[till]\nlookup = false\n[contact]"),
        ('strip = "progress"', 'strip = "plain"'),
        ('text = "#FFFFFF"', 'text = "#FFFFFE"'),
        ("[unit]", "# A remark.\n[unit]"),
        ("[[rewards]]", "[rewards]"),
        ("1 per 10.00", "1 for 10.00"),
        ("currency", "currency ="),
    ],
)
def test_a_file_that_says_more_is_no_form(old: str, new: str) -> None:
    source = source_of(KESTANE, say=say)
    assert old in source
    assert draft_of(source) is not None
    assert draft_of(source.replace(old, new, 1)) is None


def test_amounts_are_those_of_the_currency() -> None:
    draft = replace(KESTANE, currency="JPY", amount_minor=100, points="1", price="30")
    assert "1 per 100" in source_of(draft, say=say)
    assert str(Money(spent_for(draft), "JPY")) == "3000 JPY"
