from __future__ import annotations

import json
import os
from dataclasses import asdict, replace
from datetime import UTC, datetime
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from passes.language import say
from passes.loyalty.card import CardFace, FieldKind, OfferLine, Strip, compose
from passes.loyalty.design import StripKind
from passes.loyalty.letters import cleaned, upper
from passes.loyalty.programme import Programme, Shop
from passes.loyalty.rewards import RewardKind
from passes.loyalty.stamps import StampRule
from passes.loyalty.text import Text
from passes.loyalty.tiers import tier_for
from tests.loyalty.shops import shop

GOLDEN = Path(__file__).parents[1] / "golden"
CODE = "7KQ2MX94TDWR3NHC"
finch, sayfa = shop("copperfinch"), shop("marginalya")
stamped = replace(
    sayfa,
    stamps=StampRule(Text.of({"tr": "10. kitap", "en": "10th book"}), 10),
    design=replace(sayfa.design, strip=StripKind.STAMPS, steps=10),
)
MAPLE = OfferLine(
    "maple", "Maple Cortado is back", "Half price until Sunday.", datetime(2026, 3, 8, 23, tzinfo=UTC)
)
LOUD, QUIET = (replace(finch, can_alert_offers=may_ring) for may_ring in (True, False))
NEWS = replace(MAPLE, is_news=True, rings=True)


def face_of(
    programme: Programme = finch,
    *,
    balance: int = 640,
    name: str = "Ana Brandt",
    language: str = "en",
    spend_minor: int = 31_250,
    offers: tuple[OfferLine, ...] = (),
    stamps: int = 0,
    voided: bool = False,
    last_change: str | None = None,
    rings: bool = False,
) -> CardFace:
    return compose(
        programme,
        member_name=name,
        balance=balance,
        tier=tier_for(programme.tiers, spend_minor),
        code=CODE,
        language=language,
        say=say,
        offers=offers,
        stamps=stamps,
        voided=voided,
        last_change=last_change,
        rings=rings,
    )


# What the shops' cards say, word for word --------------------------------------


@pytest.mark.parametrize("language", ["en", "tr"])
@pytest.mark.parametrize("slug", ["copperfinch", "marginalya"])
def test_the_card_says_what_was_agreed(slug: str, language: str) -> None:
    """With GOLDEN=write in the environment the files are written anew, to be read before a commit."""
    balance = 640 if slug == "copperfinch" else 37
    face = face_of(shop(slug), balance=balance, language=language, offers=(MAPLE,))
    if slug == "copperfinch":
        face = face_of(LOUD, balance=balance, language=language, offers=(NEWS,), rings=True)
    path = GOLDEN / f"card_face_{slug}_{language}.json"
    said = json.dumps(asdict(face), ensure_ascii=False, indent=2, default=str) + "\n"
    if os.environ.get("GOLDEN") == "write":
        path.write_text(said, encoding="utf-8")
    assert said == path.read_text(encoding="utf-8")


def test_the_front_of_the_demonstration_card() -> None:
    face = face_of()
    assert (face.header.key, face.header.label, face.header.value) == ("balance", "BEANS", 640)
    assert face.header.kind is FieldKind.NUMBER
    assert (face.primary.key, face.primary.label, face.primary.value) == (
        "next",
        "NEXT: ANY DRINK",
        "160 to go",
    )
    assert [(field.key, field.value) for field in face.row] == [("member", "Ana Brandt"), ("tier", "Flight")]
    assert face.strip == Strip(StripKind.PROGRESS, 4, 8)
    assert face.description.startswith("Loyalty card, ")
    assert face.change is not None
    assert (face.change.field_key, face.change.text) == ("balance", "You now have %@ beans")


def test_the_code_is_scanned_plain_and_shown_in_groups() -> None:
    barcode = face_of().barcode
    assert (barcode.message, barcode.text) == (CODE, "7KQ2-MX94-TDWR-3NHC")


# The row, the strip, the words -----------------------------------------------


def test_todays_offer_stands_on_the_front_only_while_there_is_one() -> None:
    assert "offer" not in [field.key for field in face_of().row]
    face = face_of(offers=(MAPLE, replace(MAPLE, key="other", title="Other")))
    assert [(field.label, field.value) for field in face.row if field.key == "offer"] == [
        ("TODAY", "Maple Cortado is back")
    ]
    assert len(face.offers) == 2


def test_a_phone_rings_for_an_offer_where_shop_offer_and_member_want_it() -> None:
    face = face_of(LOUD, offers=(NEWS,), rings=True)
    assert face.news
    assert face.offer_change
    assert (face.news.key, face.news.value) == ("news", "Maple Cortado is back")
    assert (face.offer_change.field_key, face.offer_change.text) == ("news", "New offer: %@")
    assert face_of(LOUD, offers=(NEWS,)).offer_change is None
    assert face_of(LOUD, offers=(MAPLE,), rings=True).offer_change is None
    assert face_of(QUIET, offers=(NEWS,), rings=True).offer_change is None
    assert face_of(LOUD, offers=(NEWS,), rings=True, voided=True).offer_change is None
    told = face_of(LOUD, language="tr", offers=(NEWS,), rings=True).offer_change
    assert told
    assert told.text == "Yeni kampanya: %@"


def test_what_a_phone_may_ring_for_is_known_to_it_before() -> None:
    """A phone says nothing of a field that appears or goes: it is always there, or never."""
    quiet = face_of(LOUD, rings=True)
    assert quiet.news
    assert quiet.news.value == "Nothing new right now."
    assert quiet.offer_change is None
    assert face_of(LOUD, voided=True, offers=(NEWS,)).news == quiet.news
    assert face_of(QUIET, offers=(NEWS,), rings=True).news is None


@pytest.mark.parametrize(
    ("balance", "step"),
    [(-5, 0), (0, 0), (18, 0), (19, 1), (149, 7), (150, 0), (399, 7), (1499, 7), (1500, 8), (9999, 8)],
)
def test_the_strip_fills_from_one_reward_to_the_next(balance: int, step: int) -> None:
    assert face_of(balance=balance).strip.step == step


def test_when_every_reward_is_within_reach_the_best_one_is_ready() -> None:
    primary = face_of(balance=1500).primary
    assert (primary.label, primary.value) == ("BAG OF BEANS", "Ready")


def test_points_that_are_money_need_no_next_reward() -> None:
    pay = replace(finch.rewards[0], kind=RewardKind.POINTS_AS_MONEY, amount_minor=100)
    face = face_of(replace(finch, rewards=(pay,)))
    assert (face.primary.label, face.primary.value) == ("", "Finch Club")


def test_a_debt_shows_the_true_balance_and_how_far_the_first_reward_is() -> None:
    face = face_of(balance=-40)
    assert (face.header.value, face.primary.value) == (-40, "190 to go")


def test_one_bean_is_announced_as_one_bean() -> None:
    face = face_of(balance=1)
    assert face.change is not None
    assert face.change.text == "You now have %@ bean"


def test_a_programme_with_stamps_tells_them_in_words_too() -> None:
    face = face_of(stamped, balance=10, stamps=4)
    assert face.strip == Strip(StripKind.STAMPS, 4, 10)
    assert ("10TH BOOK", "4/10") in [(field.label, field.value) for field in face.row]
    assert face_of(stamped, stamps=12).strip.step == 10
    assert face_of(stamped, stamps=-1).strip.step == 0


def test_turkish_capitals_keep_their_dots() -> None:
    face = face_of(language="tr")
    assert face.primary.label == "SIRADAKİ: DİLEDİĞİNİZ İÇECEK"
    assert face.header.label == "ÇEKİRDEK"
    assert upper("ılık bilgi", "tr-TR") == "ILIK BİLGİ"
    assert upper("ılık bilgi", "en") == "ILIK BILGI"


def test_a_withdrawn_card_says_so_and_announces_nothing() -> None:
    face = face_of(voided=True)
    assert face.voided
    assert face.primary.value == "No longer valid"
    assert face.change is None


def test_the_back_explains_the_balance() -> None:
    back = {field.key: str(field.value) for field in face_of(last_change="+124 for 12.40 today").back}
    assert list(back) == ["rewards", "shops", "why", "contact", "terms", "leave"]
    assert back["why"].split("\n") == [
        "You get 10 beans for every $1.00 you spend.",
        "As Flight you get 1.2 times as many.",
        "Part points are dropped.",
        "+124 for 12.40 today",
    ]
    assert "Any drink: 800 beans" in back["rewards"]
    assert "hello@copperfinch.example" in back["leave"]


def test_the_perk_of_a_tier_stands_with_the_rewards() -> None:
    back = {field.key: str(field.value) for field in face_of(spend_minor=80_000).back}
    assert "Copper: A drink of your choice on your birthday." in back["rewards"]


def test_a_card_names_at_most_ten_places() -> None:
    many = tuple(Shop(f"s{number}", finch.name, "Street 1", 41.0, -87.0) for number in range(12))
    assert len(face_of(replace(finch, shops=many)).places) == 10
    assert face_of().places[0].text == "Nearby: West Loop, 914 W Lake St, Chicago, IL 60607"


# Names ------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("given_name", "shown"),
    [
        ("Gülşah Işıklı", "Gülşah Işıklı"),
        ("ليلى حداد", "ليلى حداد"),
        ("Wilhelmina Featherstonehaugh-Cholmondeley III", "Wilhelmina Featherstonehaugh-Cholmondeley III"),
        ("  Ana\n\tBrandt\x00 ", "Ana Brandt"),
        ("Ana\u202egnissap\u202c", "Anagnissap"),
        ("x" * 65, "x" * 63 + "…"),
    ],
)
def test_a_name_is_printed_as_it_is_but_never_breaks_the_card(given_name: str, shown: str) -> None:
    assert face_of(name=given_name).row[0].value == shown


def test_a_card_without_a_name_has_no_empty_field() -> None:
    assert [field.key for field in face_of(name="\u200b \n").row] == ["tier"]


@given(st.text(max_size=200))
def test_any_name_becomes_one_printable_line(name: str) -> None:
    line = cleaned(name)
    assert len(line) <= 64
    assert line == line.strip()
    assert "\n" not in line
    assert cleaned(line) == line


# Whatever the numbers are -------------------------------------------------------


@given(
    programme=st.sampled_from([finch, sayfa]),
    balance=st.integers(-(10**18), 10**18) | st.integers(-50, 2_000),
    name=st.text(max_size=80),
    language=st.sampled_from(["en", "tr", "de", "en-XA", "ar-XB", "", "x" * 30]),
    spend_minor=st.integers(-(10**9), 10**9),
    has_offer=st.booleans(),
    stamps=st.integers(-5, 25),
    voided=st.booleans(),
)
def test_any_balance_gives_a_card_within_the_limits(
    programme: Programme,
    balance: int,
    name: str,
    language: str,
    spend_minor: int,
    has_offer: bool,
    stamps: int,
    voided: bool,
) -> None:
    face = face_of(
        programme,
        balance=balance,
        name=name,
        language=language,
        spend_minor=spend_minor,
        offers=(MAPLE,) if has_offer else (),
        stamps=stamps,
        voided=voided,
    )
    assert len(face.row) <= 4
    assert 0 <= face.strip.step <= face.strip.steps
    assert face.header.value == balance
    assert len(face.places) <= 10
    fields = [face.header, face.primary, *face.row, *face.back]
    assert len({field.key for field in fields}) == len(fields)
    assert all(field.label and field.value != "" for field in fields)
    if face.change:
        assert face.change.text.count("%@") == 1
        assert face.change.field_key == face.header.key
