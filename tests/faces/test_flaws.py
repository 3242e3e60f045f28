"""Warnings say what a wallet would show otherwise than it was meant."""

from __future__ import annotations

from dataclasses import replace

import pytest

from passes.faces import Flaw, warnings
from passes.language import languages
from passes.loyalty.card import Barcode, CardFace, FaceField
from passes.loyalty.design import Colours, Symbology
from tests.faces.samples import books, coded, coffee

ZONE = "America/Chicago"


def found(face: CardFace) -> set[tuple[Flaw, str]]:
    return {(one.flaw, one.key) for one in warnings(face, ZONE)}


def row(*fields: tuple[str, str]) -> tuple[FaceField, ...]:
    return tuple(FaceField(key.lower(), key, value) for key, value in fields)


def test_a_good_card_has_none() -> None:
    assert warnings(coffee(offers=()), ZONE) == ()
    assert warnings(books(), ZONE) == ()


def test_a_fifth_field_is_named() -> None:
    face = replace(coffee(), row=row(("A", "1"), ("B", "2"), ("C", "3"), ("D", "4"), ("E", "5")))
    assert (Flaw.DROPPED, "e") in found(face)


def test_a_long_offer_is_small_first_and_then_cut() -> None:
    member, tier = coffee(offers=()).row
    ring = FaceField("offer", "TODAY", "Maple Cortado is back again")
    assert (Flaw.SMALL, "offer") in found(replace(coffee(), row=(member, tier, ring)))
    title = "Maple Cortado is back again, until Sunday"
    longer = replace(ring, value=title)
    (cut,) = (
        one for one in warnings(replace(coffee(), row=(member, tier, longer)), ZONE) if one.key == "offer"
    )
    assert cut.flaw is Flaw.VALUE_CUT
    assert cut.name == title
    assert title.startswith(cut.shown.removesuffix("…"))
    assert cut.words("en") == f"iPhones cut “{cut.name}” to “{cut.shown}”. Shorten it."


def test_a_label_that_its_neighbours_cut_is_named() -> None:
    fields = row(
        ("ID CONTACT", "230012086"), ("POLICYHOLDER", "JOHN"), ("FROM", "01.01.2023"), ("TO", "01.03.2024")
    )
    assert (Flaw.LABEL_CUT, "policyholder") in found(replace(coffee(), row=fields))


def test_colours_that_cannot_be_read_are_named() -> None:
    face = replace(coffee(offers=()), colours=Colours("#1F2A2E", "#FFF7EC", "#3A4A50"))
    (warning,) = warnings(face, ZONE)
    assert (warning.flaw, warning.key, warning.name) == (Flaw.CONTRAST, "label", "#3A4A50")
    assert warning.ratio < 4.5


def test_codes_that_scan_badly_are_named() -> None:
    plain = coffee(offers=())
    assert found(coded(plain, Symbology.CODE128)) == set()
    letters = replace(plain, barcode=replace(plain.barcode, symbology=Symbology.CODE128))
    assert found(letters) == {(Flaw.LETTERS_IN_BARS, "barcode")}
    dense = replace(plain, barcode=Barcode(Symbology.QR, "https://cards.shop.example/" * 6, "…"))
    assert found(dense) == {(Flaw.DENSE, "barcode")}


def test_a_long_title_is_named() -> None:
    assert found(replace(coffee(offers=()), programme_name="The Copperfinch Club")) == {
        (Flaw.TITLE_LONG, "programme_name")
    }


@pytest.mark.parametrize("language", languages())
def test_every_warning_is_a_sentence(language: str) -> None:
    face = replace(
        coffee(),
        programme_name="A programme with a long name",
        colours=Colours("#777777", "#777777", "#777777"),
        row=row(("A", "W" * 60), ("B" * 30, "2"), ("C" * 30, "3"), ("D", "4"), ("E", "5")),
    )
    sentences = [one.words(language) for one in warnings(face, ZONE)]
    assert len(sentences) >= 6
    assert all(one.endswith(".") and "%(" not in one for one in sentences)
