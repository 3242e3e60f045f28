"""pass.json, key by key."""

from __future__ import annotations

import json
import subprocess
import sys
from dataclasses import replace
from datetime import datetime, timedelta
from typing import Any

import pytest
import wallet.models
from hypothesis import given
from hypothesis import strategies as st

from passes.apple import document
from passes.apple.document import DocumentInvalid, WebService
from passes.loyalty.card import Barcode, ChangeText, Colours, FaceField, FieldKind, Place, Symbology
from tests.apple.cards import NOW, PASS_TYPE, SERIAL, SERVICE, TEAM, TOKEN, face, parsed, pass_json

AREAS = ("headerFields", "primaryFields", "secondaryFields", "auxiliaryFields", "backFields")


def fields(read: dict[str, Any]) -> dict[str, dict[str, Any]]:
    """All fields of a document by key."""
    found = [field for area in AREAS for field in read["storeCard"].get(area, ())]
    return {field["key"]: field for field in found}


@pytest.mark.check("A-21")
def test_the_format_version_is_the_number_one_and_the_serial_a_string() -> None:
    read = parsed(serial="123456")
    assert read["formatVersion"] == 1
    assert type(read["formatVersion"]) is int
    assert read["serialNumber"] == "123456"


def test_identity_texts_and_colours_are_those_of_the_card() -> None:
    read = parsed()
    assert read["passTypeIdentifier"] == PASS_TYPE
    assert read["teamIdentifier"] == TEAM
    assert read["organizationName"] == "Copperfinch Coffee"
    assert read["description"] == "Loyalty card, Finch Club, Copperfinch Coffee"
    assert read["logoText"] == "Finch Club"
    assert read["sharingProhibited"] is True


def test_the_same_card_gives_the_same_bytes() -> None:
    assert pass_json() == pass_json()


@pytest.mark.check("A-23")
@pytest.mark.parametrize("serial", ["", "a b", "ä", "a/b", "a" * 65, "a.b", "a\n"])
def test_a_serial_that_does_not_fit_an_address_is_refused(serial: str) -> None:
    with pytest.raises(DocumentInvalid, match="serial"):
        parsed(serial=serial)


def test_a_pass_type_that_does_not_start_with_pass_is_refused() -> None:
    with pytest.raises(DocumentInvalid, match="pass type"):
        parsed(pass_type="org.example.club")


# Web service --------------------------------------------------------------------


@pytest.mark.check("A-24")
def test_token_and_address_are_present_together_or_not_at_all() -> None:
    read = parsed()
    assert (read["webServiceURL"], read["authenticationToken"]) == (SERVICE.url, TOKEN)
    tombstone = parsed(face(voided=True), web_service=None)
    assert "webServiceURL" not in tombstone
    assert "authenticationToken" not in tombstone
    assert tombstone["voided"] is True


@pytest.mark.check("A-24")
def test_a_token_of_fewer_than_sixteen_characters_is_refused() -> None:
    with pytest.raises(DocumentInvalid, match="16"):
        WebService(SERVICE.url, "x" * 15)
    WebService(SERVICE.url, "x" * 16)


@pytest.mark.check("A-26")
@pytest.mark.parametrize(
    "address",
    [
        "http://cards.example.org/apple",
        "https://cards.example.org/apple?x=1",
        "https://cards.example.org/apple#x",
        "https://cards.example.org/v1",
        "https://cards.example.org/apple/v1/",
        "https:///apple",
        "cards.example.org/apple",
    ],
)
def test_an_address_that_phones_cannot_use_is_refused(address: str) -> None:
    with pytest.raises(DocumentInvalid):
        WebService(address, TOKEN)


@pytest.mark.check("A-26")
def test_http_is_for_development_only() -> None:
    assert WebService("http://localhost:8000/apple", TOKEN, allow_http=True).url.startswith("http:")
    with pytest.raises(DocumentInvalid):
        WebService("ftp://localhost/apple", TOKEN, allow_http=True)


# Barcodes -----------------------------------------------------------------------


@pytest.mark.check("A-27", "A-33")
def test_the_code_is_an_entry_of_an_array_and_there_is_no_legacy_key() -> None:
    read = parsed()
    assert read["barcodes"] == [
        {
            "format": "PKBarcodeFormatQR",
            "message": "7QM2XW9LKT4CDFHJ",
            "messageEncoding": "iso-8859-1",
            "altText": "7QM2 XW9L KT4C DFHJ",
        }
    ]
    assert "barcode" not in read


@pytest.mark.check("A-28", "A-29")
def test_a_qr_code_follows_code_128_which_watches_cannot_draw() -> None:
    read = parsed(face(barcode=Barcode(Symbology.CODE128, "1234567890123456", "1234 5678 9012 3456")))
    assert [entry["format"] for entry in read["barcodes"]] == ["PKBarcodeFormatCode128", "PKBarcodeFormatQR"]
    assert {entry["message"] for entry in read["barcodes"]} == {"1234567890123456"}
    assert all(entry["messageEncoding"] == "iso-8859-1" for entry in read["barcodes"])


@pytest.mark.parametrize("symbology", [Symbology.QR, Symbology.AZTEC, Symbology.PDF417])
def test_codes_that_everything_draws_stand_alone(symbology: Symbology) -> None:
    read = parsed(face(barcode=Barcode(symbology, "ABC", "ABC")))
    assert [entry["format"].lower() for entry in read["barcodes"]] == [f"pkbarcodeformat{symbology}"]


@pytest.mark.check("A-30")
def test_a_code_that_would_be_lost_in_its_encoding_is_refused() -> None:
    with pytest.raises(DocumentInvalid, match="iso-8859-1"):
        parsed(face(barcode=Barcode(Symbology.QR, "ğ", "ğ")))
    assert parsed(face(barcode=Barcode(Symbology.QR, "é", "é")))["barcodes"][0]["message"] == "é"


def test_an_empty_code_is_refused() -> None:
    with pytest.raises(DocumentInvalid, match="empty"):
        parsed(face(barcode=Barcode(Symbology.QR, "", "")))


# Fields -------------------------------------------------------------------------


@pytest.mark.check("A-34")
def test_field_keys_are_unique_and_the_same_in_every_version() -> None:
    before = parsed()
    after = parsed(face(header=FaceField("balance", "BEANS", 700, FieldKind.NUMBER)))
    assert list(fields(before)) == list(fields(after))
    total = sum(len(before["storeCard"].get(area, ())) for area in AREAS)
    assert len(fields(before)) == total
    with pytest.raises(DocumentInvalid, match="two fields"):
        parsed(face(primary=FaceField("balance", "NEXT", "x")))


@pytest.mark.check("A-35")
def test_numbers_and_money_are_json_numbers() -> None:
    text = pass_json().decode()
    read = fields(json.loads(text))
    assert read["balance"]["value"] == 640
    assert type(read["balance"]["value"]) is int
    assert read["balance"]["numberStyle"] == "PKNumberStyleDecimal"
    assert '"value":249.9,' in text
    assert read["spent"]["currencyCode"] == "USD"
    assert "numberStyle" not in read["spent"]


@pytest.mark.check("A-35")
@pytest.mark.parametrize(
    ("minor", "currency", "written"),
    [
        (1999, "USD", "19.99"),
        (5, "JPY", "5"),
        (1, "KWD", "0.001"),
        (-250, "TRY", "-2.5"),
        (10**11 + 1, "EUR", "1000000000.01"),
    ],
)
def test_money_has_the_digits_of_its_currency(minor: int, currency: str, written: str) -> None:
    text = pass_json(face(row=(FaceField("money", "CREDIT", minor, FieldKind.MONEY, currency),))).decode()
    assert f'"key":"money","value":{written},' in text


@pytest.mark.parametrize(
    "broken",
    [
        FaceField("x", "X", "640", FieldKind.NUMBER),
        FaceField("x", "X", True, FieldKind.NUMBER),
        FaceField("x", "X", "1.50", FieldKind.MONEY, "USD"),
        FaceField("x", "X", 150, FieldKind.MONEY),
        FaceField("x", "X", 640, FieldKind.TEXT),
        FaceField("x", "X", "2026-03-14", FieldKind.INSTANT),
        FaceField("", "X", "x"),
    ],
)
def test_a_value_that_does_not_fit_its_kind_is_refused(broken: FaceField) -> None:
    with pytest.raises(DocumentInvalid):
        parsed(face(row=(broken,)))


@pytest.mark.check("A-36")
def test_no_field_carries_an_alignment() -> None:
    assert b"textAlignment" not in pass_json()


@pytest.mark.check("A-37", "A-110")
def test_only_the_changed_field_carries_a_change_message() -> None:
    read = fields(parsed())
    assert {key for key, field in read.items() if "changeMessage" in field} == {"balance"}
    assert read["balance"]["changeMessage"] == "You now have %@ beans"
    assert b"changeMessage" not in pass_json(face(change=None))


@pytest.mark.check("A-37", "A-110", "A-111")
def test_an_offer_rings_only_where_the_face_says_so_and_is_a_field_of_its_own() -> None:
    news = FaceField("news", "Newest offer", "Maple Cortado is back")
    silent = fields(parsed(face(news=news)))
    assert silent["news"] == {"key": "news", "label": "Newest offer", "value": "Maple Cortado is back"}
    loud = parsed(face(news=news, offer_change=ChangeText("news", "New offer: %@")))
    assert loud["storeCard"]["backFields"][0]["changeMessage"] == "New offer: %@"
    assert fields(loud)["balance"]["changeMessage"] == "You now have %@ beans"
    assert {key for key, field in fields(loud).items() if "changeMessage" in field} == {"balance", "news"}
    with pytest.raises(DocumentInvalid, match="news"):
        parsed(face(offer_change=ChangeText("news", "New offer: %@")))


@pytest.mark.check("A-37")
def test_a_change_message_without_the_value_or_without_its_field_is_refused() -> None:
    with pytest.raises(DocumentInvalid, match="%@"):
        parsed(face(change=ChangeText("balance", "Your balance changed")))
    with pytest.raises(DocumentInvalid, match="elsewhere"):
        parsed(face(change=ChangeText("elsewhere", "Now %@")))


@pytest.mark.check("A-38")
def test_moments_carry_their_zone_and_naive_ones_are_refused() -> None:
    read = fields(parsed())
    assert read["since"]["value"] == "2026-03-14T10:00:00+00:00"
    naive = datetime(2026, 3, 14)  # noqa: DTZ001
    with pytest.raises(DocumentInvalid, match="zone"):
        parsed(face(row=(FaceField("since", "SINCE", naive, FieldKind.INSTANT),)))
    with pytest.raises(DocumentInvalid, match="zone"):
        parsed(face(expires_at=naive))


@pytest.mark.check("A-39")
def test_an_expiry_reaches_the_phone() -> None:
    assert parsed(face(expires_at=NOW + timedelta(days=1)))["expirationDate"] == "2026-03-15T10:00:00+00:00"
    assert "expirationDate" not in parsed()


@pytest.mark.check("A-40")
def test_more_fields_than_a_phone_shows_are_refused() -> None:
    row = tuple(FaceField(f"f{number}", "F", "x") for number in range(5))
    parsed(face(row=row[:4]))
    with pytest.raises(DocumentInvalid, match="4 fields"):
        parsed(face(row=row))
    style = document.LoyaltyCard()
    style.place("primaryFields", row[:2])
    with pytest.raises(DocumentInvalid, match="primary"):
        style.check()
    style = document.LoyaltyCard()
    style.place("headerFields", row[:4])
    with pytest.raises(DocumentInvalid, match="header"):
        style.check()


@pytest.mark.check("A-46")
def test_a_card_without_contact_details_is_refused() -> None:
    assert fields(parsed())["contact"]["value"] == "hello@copperfinch.example"
    with pytest.raises(DocumentInvalid, match="contact"):
        parsed(face(back=()))


def test_running_offers_stand_first_on_the_back() -> None:
    first = parsed()["storeCard"]["backFields"][0]
    assert first == {
        "key": "offer-maple",
        "label": "Maple Cortado is back",
        "value": "Double beans until Friday",
    }


# Places, colours, keys -------------------------------------------------------------


@pytest.mark.check("A-41")
def test_places_are_numbers_without_altitude_and_distance() -> None:
    read = parsed(face(places=(Place(41, -87.5, ""), Place(-90.0, 180.0, "South"))))
    assert read["locations"] == [
        {"latitude": 41.0, "longitude": -87.5},
        {"latitude": -90.0, "longitude": 180.0, "relevantText": "South"},
    ]
    assert "locations" not in parsed(face(places=()))


@pytest.mark.check("A-41")
@pytest.mark.parametrize("place", [(90.1, 0), (-91, 0), (0, 180.5), (0, -181), (float("nan"), 0)])
def test_a_place_outside_the_earth_is_refused(place: tuple[float, float]) -> None:
    with pytest.raises(DocumentInvalid, match="earth"):
        parsed(face(places=(Place(*place, "x"),)))


@pytest.mark.check("A-41")
def test_an_eleventh_place_is_refused() -> None:
    places = tuple(Place(1.0, float(number), "x") for number in range(11))
    assert len(parsed(face(places=places[:10]))["locations"]) == 10
    with pytest.raises(DocumentInvalid, match="10 locations"):
        parsed(face(places=places))


@pytest.mark.check("A-45")
def test_colours_are_written_as_rgb() -> None:
    read = parsed()
    assert read["backgroundColor"] == "rgb(31, 42, 46)"
    assert read["foregroundColor"] == "rgb(255, 247, 236)"
    assert read["labelColor"] == "rgb(232, 180, 138)"


@pytest.mark.parametrize("colour", ["1F2A2E", "#1F2A", "#GGGGGG", "red", "#1F2A2E\n"])
def test_a_colour_of_another_form_is_refused(colour: str) -> None:
    with pytest.raises(DocumentInvalid, match="colour"):
        parsed(face(colours=Colours(colour, "#FFFFFF", "#FFFFFF")))


@pytest.mark.check("A-51", "A-43", "A-44")
def test_a_full_card_has_exactly_these_keys_and_no_null() -> None:
    read = parsed(face(voided=True, expires_at=NOW))
    assert set(read) == {
        "authenticationToken", "backgroundColor", "barcodes", "description", "expirationDate",
        "foregroundColor", "formatVersion", "labelColor", "locations", "logoText", "organizationName",
        "passTypeIdentifier",
        "serialNumber", "sharingProhibited", "storeCard", "teamIdentifier", "voided", "webServiceURL",
    }  # fmt: skip
    assert b"null" not in pass_json(face(voided=True, expires_at=NOW))
    known = {
        "key",
        "value",
        "label",
        "changeMessage",
        "numberStyle",
        "currencyCode",
        "dateStyle",
        "timeStyle",
    }
    assert all(set(field) <= known for field in fields(read).values())


def bare_pass() -> document.LoyaltyPass:
    """A pass that lacks nothing."""
    style = document.LoyaltyCard()
    style.place("headerFields", [FaceField("balance", "BEANS", 640, FieldKind.NUMBER)])
    card = document.LoyaltyPass(style, passTypeIdentifier=PASS_TYPE, teamIdentifier=TEAM)
    card.organizationName = card.description = card.serialNumber = "x"
    card.barcodes = [document.ScanCode("x", "PKBarcodeFormatQR", "x")]
    return card


@pytest.mark.check("A-51")
def test_a_misspelt_key_raises_wherever_it_is_set() -> None:
    card = bare_pass()
    card.json_dict()
    card.exprirationDate = None  # the base class's own misspelling stays harmless
    card.json_dict()
    card.expiryDate = "2026-03-14T10:00:00Z"
    with pytest.raises(DocumentInvalid, match="expiryDate"):
        card.json_dict()
    for part in (
        document.TextField("x", "x", "X"),
        document.WholeNumberField("x", 1, "X"),
        document.MoneyField("x", 1, "X", "USD"),
        document.InstantField("x", NOW, "X"),
        document.ScanCode("x", "PKBarcodeFormatQR", "x"),
        document.ShopLocation(1, 1, "x"),
    ):
        part.json_dict()
        part.changeMesage = "%@"
        with pytest.raises(DocumentInvalid, match="changeMesage"):
            part.json_dict()


@pytest.mark.check("A-51")
def test_a_key_that_the_library_would_add_raises() -> None:
    card = bare_pass()
    card.relevantDate = "2026-03-14T10:00:00Z"
    with pytest.raises(DocumentInvalid, match="relevantDate"):
        card.json_dict()


@pytest.mark.check("A-11")
@pytest.mark.parametrize(
    "key", ["organizationName", "description", "serialNumber", "teamIdentifier", "barcodes"]
)
def test_a_missing_required_key_raises(key: str) -> None:
    card = bare_pass()
    setattr(card, key, "")
    with pytest.raises(DocumentInvalid, match=key):
        card.json_dict()


@pytest.mark.check("A-11")
def test_a_face_without_a_name_is_refused() -> None:
    with pytest.raises(DocumentInvalid, match="organizationName"):
        parsed(face(organisation=""))


@pytest.mark.check("A-53")
@given(name=st.text(max_size=200) | st.sampled_from(["\x00\x1b\x7f", "a" * 10_000, '"\\\n', "👩‍🚀", "مريم"]))
def test_any_name_survives_the_journey(name: str) -> None:
    if any("\ud800" <= letter <= "\udfff" for letter in name):
        return
    read = parsed(face(row=(FaceField("member", "MEMBER", name),)))
    assert fields(read)["member"]["value"] == name
    assert len(read["storeCard"]["secondaryFields"]) == 1


# The library ------------------------------------------------------------------------


def test_every_part_of_a_document_is_of_wallet_py3k() -> None:
    assert issubclass(document.LoyaltyPass, wallet.models.Pass)
    assert issubclass(document.LoyaltyCard, wallet.models.StoreCard)
    assert issubclass(document.ScanCode, wallet.models.Barcode)
    assert issubclass(document.ShopLocation, wallet.models.Location)
    style = document.LoyaltyCard()
    card = face()
    style.place("secondaryFields", (card.header, *card.row))
    assert all(isinstance(field, wallet.models.Field) for field in style.secondaryFields)


def test_without_the_package_there_are_no_documents() -> None:
    words = "import sys; sys.modules['wallet'] = None; import passes.apple.document"
    ended = subprocess.run([sys.executable, "-c", words], capture_output=True, text=True, check=False)
    assert ended.returncode != 0
    assert "wallet" in ended.stderr


def test_the_serial_and_token_of_a_card_do_not_depend_on_its_face() -> None:
    one = parsed()
    other = parsed(replace(face(), colours=Colours("#000000", "#FFFFFF", "#FFFFFF"), programme_name="Other"))
    for key in ("serialNumber", "authenticationToken"):
        assert one[key] == other[key]
    assert one["serialNumber"] == SERIAL
