"""Classes, objects, messages and patches, member by member."""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping
from dataclasses import replace
from datetime import datetime, timedelta
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from passes.google import documents, schema
from passes.google.documents import (
    Pictures,
    add_message,
    class_patch,
    erasing_patch,
    loyalty_class,
    message,
    notifies,
    object_patch,
    offer_message,
    silent,
)
from passes.google.ids import IdInvalid, belongs_to, resource_id
from passes.google.schema import Document, DocumentInvalid, refuse_invalid
from passes.language import say
from passes.loyalty.card import Barcode, FaceField, FieldKind, OfferLine, Symbology
from passes.loyalty.programme import Shop
from passes.loyalty.text import Text
from tests.apple.cards import face
from tests.google.cards import CLASS_ID, ISSUER, LOGO, NOW, OBJECT_ID, card, club
from tests.loyalty.shops import shop

FACTS = json.loads((Path(__file__).parent / "field_facts.json").read_text(encoding="utf-8"))


def balance_of(kind: FieldKind, value: Any, currency: str | None = None) -> Document:
    header = FaceField("balance", "BEANS", value, kind, currency)
    return dict(card(face(header=header))["loyaltyPoints"]["balance"])


def modules(document: Document) -> dict[str, Document]:
    return {module["id"]: module for module in document["textModulesData"]}


def merged(document: Any, patch: Any) -> Any:
    """A merge patch applied as RFC 7396 says, written again."""
    if not isinstance(patch, dict):
        return patch
    result = dict(document) if isinstance(document, dict) else {}
    for name, value in patch.items():
        if value is None:
            result.pop(name, None)
        else:
            result[name] = merged(result.get(name), value)
    return result


# Ids --------------------------------------------------------------------------


@pytest.mark.check("G-01")
def test_ids_are_the_issuer_a_dot_and_an_internal_reference() -> None:
    assert resource_id(ISSUER, "copperfinch") == CLASS_ID
    assert club()["id"] == CLASS_ID
    assert (card()["id"], card()["classId"]) == (OBJECT_ID, CLASS_ID)
    for suffix in ("ana@example.org", "+44 20 7946", "Ana Çelik", "", "a/b", "a" * 65, "a\n"):
        with pytest.raises(IdInvalid):
            resource_id(ISSUER, suffix)
    for issuer in ("", "abc", "١٢٣", "12.3", "1" * 20):
        with pytest.raises(IdInvalid):
            resource_id(issuer, "copperfinch")
    for identifier in ("copperfinch", f"{ISSUER}.", f"{ISSUER}.a b", f"x{OBJECT_ID}"):
        with pytest.raises(DocumentInvalid):
            card(object_id=identifier)


def test_an_id_belongs_to_the_issuer_before_its_dot_only() -> None:
    assert belongs_to(ISSUER, OBJECT_ID)
    assert not belongs_to(ISSUER, f"{ISSUER}9.c")
    assert not belongs_to(ISSUER[:-1], OBJECT_ID)
    assert not belongs_to(ISSUER, ISSUER)


# The class --------------------------------------------------------------------


def test_a_class_says_what_all_cards_share() -> None:
    document = club(callback_url="https://cards.example.org/google/callback")
    programme = shop("copperfinch")
    assert document["issuerName"] == programme.organisation.in_("en")
    assert document["programName"] == programme.name.in_("en")
    assert document["programLogo"]["sourceUri"] == {"uri": LOGO}
    assert document["hexBackgroundColor"] == programme.design.colours.ground
    assert document["reviewStatus"] == "UNDER_REVIEW"
    assert document["multipleDevicesAndHoldersAllowedStatus"] == "ONE_USER_ALL_DEVICES"
    assert document["callbackOptions"] == {"url": "https://cards.example.org/google/callback"}
    assert document["merchantLocations"] == [
        {"latitude": place.latitude, "longitude": place.longitude} for place in programme.shops
    ]
    assert {link["uri"].split(":")[0] for link in document["linksModuleData"]["uris"]} <= {
        "https", "tel", "mailto"
    }  # fmt: skip
    assert document["linksModuleData"]["uris"]


def test_names_and_labels_come_in_every_language_of_the_programme() -> None:
    programme = replace(
        shop("copperfinch"),
        languages=("en", "tr"),
        name=Text.of({"en": "Finch Club", "tr": "Finch Kulübü"}),
    )
    document = loyalty_class(programme, class_id=CLASS_ID, pictures=Pictures(LOGO), say=say)
    assert document["localizedProgramName"] == {
        "defaultValue": {"language": "en", "value": "Finch Club"},
        "translatedValues": [{"language": "tr", "value": "Finch Kulübü"}],
    }
    assert document["localizedAccountNameLabel"]["translatedValues"] == [{"language": "tr", "value": "ÜYE"}]
    alone = replace(programme, languages=("tr",))
    turkish = loyalty_class(alone, class_id=CLASS_ID, pictures=Pictures(LOGO), say=say)
    assert turkish["localizedProgramName"] == {"defaultValue": {"language": "tr", "value": "Finch Kulübü"}}
    assert turkish["accountIdLabel"] == "Kart"
    links = turkish["linksModuleData"]["uris"]
    assert "Bize yazın" in {link["description"] for link in links}
    for link in [*links, *document["linksModuleData"]["uris"]]:
        assert len(link["description"]) <= 20


def test_the_terms_stand_in_the_class_whole_and_in_every_language() -> None:
    english, turkish = "Points end after a year. " * 60, "Puanlar bir yıl sonra biter. " * 30
    programme = replace(
        shop("copperfinch"), languages=("en", "tr"), terms=Text.of({"en": english, "tr": turkish})
    )
    rows = loyalty_class(programme, class_id=CLASS_ID, pictures=Pictures(LOGO), say=say)["textModulesData"]
    assert [row["id"] for row in rows] == ["terms", "terms-2", "terms-3", "terms-4"]
    assert " ".join(row["body"] for row in rows) == english.strip()
    translated = [row["localizedBody"]["translatedValues"][0]["value"] for row in rows]
    assert " ".join(translated) == turkish.strip()
    assert all(0 < len(body) <= 500 for body in (*translated, *(row["body"] for row in rows)))
    assert rows[0]["localizedHeader"]["translatedValues"] == [{"language": "tr", "value": "Koşullar"}]
    said = FaceField("terms", "Terms", english)
    assert "terms" not in modules(card(face(back=(said,))))
    endless = replace(programme, terms=Text.of({"en": "word " * 5000, "tr": "kısa"}))
    cut = loyalty_class(endless, class_id=CLASS_ID, pictures=Pictures(LOGO), say=say)["textModulesData"]
    assert len(cut) == 10
    assert cut[-1]["body"].endswith("…")
    assert all(row["localizedBody"]["translatedValues"][0]["value"] for row in cut)
    none = replace(programme, terms=Text.of({"en": ""}))
    assert loyalty_class(none, class_id=CLASS_ID, pictures=Pictures(LOGO), say=say)["textModulesData"] == []


def test_the_front_shows_the_balance_and_the_level_as_rows_of_the_object() -> None:
    rows = club()["classTemplateInfo"]["cardTemplateOverride"]["cardRowTemplateInfos"]
    text = json.dumps(rows)
    assert len(rows) == 3
    assert "object.loyaltyPoints.balance" in text
    assert "object.textModulesData['tier']" in text
    assert "class." not in text
    for marginal in ("copperfinch", "marginalya"):
        programme = shop(marginal)
        bare = replace(programme, tiers=(), stamps=None)
        for one in (programme, bare):
            loyalty_class(one, class_id=CLASS_ID, pictures=Pictures(LOGO), say=say)


@pytest.mark.check("G-02")
@pytest.mark.parametrize("name", ["id", "issuerName", "programName", "programLogo", "reviewStatus"])
def test_a_class_without_what_google_needs_is_refused(name: str) -> None:
    for broken in (
        {key: value for key, value in club().items() if key != name},
        club() | {name: None},
        club() | {name: ""},
    ):
        with pytest.raises(DocumentInvalid, match=name):
            refuse_invalid("LoyaltyClass", broken)


@pytest.mark.check("G-09")
def test_ten_places_are_taken_and_the_eleventh_is_refused_in_words() -> None:
    many = tuple(Shop(f"s{n}", Text.of({"en": f"Shop {n}"}), "A Street", 40.0 + n, -80.0) for n in range(12))
    document = loyalty_class(
        replace(shop("copperfinch"), shops=many), class_id=CLASS_ID, pictures=Pictures(LOGO), say=say
    )
    assert len(document["merchantLocations"]) == 10
    for type_name, sound in (("LoyaltyClass", document), ("LoyaltyObject", card())):
        places = [{"latitude": 1, "longitude": 2}] * 11
        with pytest.raises(DocumentInvalid, match="more than 10 places"):
            refuse_invalid(type_name, sound | {"merchantLocations": places})
        refuse_invalid(type_name, sound | {"merchantLocations": places[1:]})
        for latitude, longitude in ((90.1, 0), (-90.1, 0), (0, 180.1), (0, -180.1), (float("nan"), 0)):
            wrong = [{"latitude": latitude, "longitude": longitude}]
            with pytest.raises(DocumentInvalid, match="no place on earth"):
                refuse_invalid(type_name, sound | {"merchantLocations": wrong})
        corners = [{"latitude": 90, "longitude": -180}, {"latitude": -90, "longitude": 180}]
        refuse_invalid(type_name, sound | {"merchantLocations": corners})


@pytest.mark.check("G-10")
@pytest.mark.parametrize(
    ("part", "words"),
    [
        (
            {"messages": [message(f"m{n}", header="h", body="b", ends_at=NOW) for n in range(11)]},
            "10 messages",
        ),
        ({"textModulesData": [{"id": "a.b", "header": "h", "body": "b"}]}, "no dots"),
        ({"linksModuleData": {"uris": [{"uri": "www.example.org"}]}}, "scheme"),
        ({"heroImage": {"sourceUri": {"uri": "http://example.org/a.png"}}}, "https"),
        ({"heroImage": {"sourceUri": {"uri": "ftp://example.org/a.png"}}}, "https"),
        ({"heroImage": {"sourceUri": {"uri": LOGO}, "privateImageId": "p"}}, "exactly one"),
        ({"heroImage": {}}, "exactly one"),
    ],
)
def test_what_google_would_refuse_or_cut_is_refused_before_sending(part: Document, words: str) -> None:
    for type_name, sound in (("LoyaltyObject", card()), ("LoyaltyClass", club())):
        with pytest.raises(DocumentInvalid, match=words):
            refuse_invalid(type_name, sound | part)


@pytest.mark.check("G-10")
def test_a_front_has_at_most_three_rows_of_one_kind_each() -> None:
    row = documents._row("object.accountName")
    for rows, words in (
        ([row] * 4, "3 rows"),
        ([{}], "exactly one"),
        ([row | documents._row("a", "b")], "one"),
    ):
        info: Document = {"cardTemplateOverride": {"cardRowTemplateInfos": rows}}
        with pytest.raises(DocumentInvalid, match=words):
            refuse_invalid("LoyaltyClass", club() | {"classTemplateInfo": info})


def test_only_secure_callback_addresses_are_written() -> None:
    for address in ("http://cards.example.org/google/callback", "cards.example.org", "https://a b", ""):
        with pytest.raises(DocumentInvalid, match="callback"):
            club(callback_url=address)
    club(callback_url="http://127.0.0.1:8000/google/callback")


# The object -------------------------------------------------------------------


def test_an_object_says_what_the_face_says() -> None:
    document = card()
    assert document["state"] == "ACTIVE"
    assert document["accountName"] == "Ana Çelik"
    assert document["accountId"] == "7QM2 XW9L KT4C DFHJ"
    assert document["loyaltyPoints"] == {"label": "BEANS", "balance": {"int": 640}}
    assert document["barcode"] == {
        "type": "QR_CODE",
        "value": "7QM2XW9LKT4CDFHJ",
        "alternateText": "7QM2 XW9L KT4C DFHJ",
        "renderEncoding": "UTF_8",
    }
    rows = modules(document)
    assert rows["tier"] == {"id": "tier", "header": "TIER", "body": "Flight"}
    assert rows["next"]["body"] == "160 to go"
    assert rows["spent"]["body"] == "249.90 USD"
    assert rows["since"]["body"] == "2026-03-14"
    assert rows["contact"]["body"] == "hello@copperfinch.example"
    assert "member" not in rows


def test_the_same_face_gives_the_same_document() -> None:
    assert card() == card()


def test_a_card_that_left_is_inactive_and_its_end_carries_its_offset() -> None:
    assert card(face(voided=True))["state"] == "INACTIVE"
    assert card(face(expires_at=NOW))["validTimeInterval"] == {"end": {"date": "2026-03-14T10:00:00+00:00"}}
    with pytest.raises(DocumentInvalid, match="zone"):
        card(face(expires_at=NOW.replace(tzinfo=None)))


@pytest.mark.check("G-03")
def test_an_object_without_what_google_needs_is_refused() -> None:
    for name in ("id", "classId", "state"):
        broken = {key: value for key, value in card().items() if key != name}
        with pytest.raises(DocumentInvalid, match=name):
            refuse_invalid("LoyaltyObject", broken)
    for points in ({"label": "BEANS"}, {"label": "BEANS", "balance": {}}):
        with pytest.raises(DocumentInvalid, match=r"balance|exactly one"):
            refuse_invalid("LoyaltyObject", card() | {"loyaltyPoints": points})


@pytest.mark.check("G-04")
@pytest.mark.parametrize(
    ("kind", "value", "currency", "balance"),
    [
        (FieldKind.NUMBER, 640, None, {"int": 640}),
        (FieldKind.NUMBER, 0, None, {"int": 0}),
        (FieldKind.NUMBER, -5, None, {"int": -5}),
        (FieldKind.NUMBER, 2**31 - 1, None, {"int": 2**31 - 1}),
        (FieldKind.NUMBER, 2**31, None, {"string": "2147483648"}),
        (FieldKind.TEXT, "Gold", None, {"string": "Gold"}),
        (FieldKind.MONEY, 1240, "USD", {"money": {"currencyCode": "USD", "micros": "12400000"}}),
        (FieldKind.MONEY, 5, "JPY", {"money": {"currencyCode": "JPY", "micros": "5000000"}}),
        (FieldKind.MONEY, -1234, "KWD", {"money": {"currencyCode": "KWD", "micros": "-1234000"}}),
    ],
)
def test_a_balance_is_of_exactly_one_kind(
    kind: FieldKind, value: Any, currency: str | None, balance: Document
) -> None:
    assert balance_of(kind, value, currency) == balance


@pytest.mark.check("G-04")
def test_a_patch_to_another_kind_of_balance_takes_the_old_one_away() -> None:
    few = card(face(header=FaceField("balance", "BEANS", 5, FieldKind.NUMBER)))
    many = card(face(header=FaceField("balance", "BEANS", 2**31, FieldKind.NUMBER)))
    assert object_patch(many, few) == {"loyaltyPoints": {"balance": {"int": None, "string": "2147483648"}}}
    blind = object_patch(many)
    assert blind is not None
    kinds = {"int": None, "double": None, "money": None, "string": "2147483648"}
    assert blind["loyaltyPoints"]["balance"] == kinds
    with pytest.raises(DocumentInvalid, match="exactly one"):
        refuse_invalid("LoyaltyObject", {"loyaltyPoints": {"balance": {"int": None}}}, patch=True)
    both = card() | {"loyaltyPoints": {"label": "B", "balance": {"int": 5, "string": "9"}}}
    with pytest.raises(DocumentInvalid, match="exactly one"):
        refuse_invalid("LoyaltyObject", both)


@pytest.mark.parametrize(
    "header",
    [
        FaceField("balance", "B", "12", FieldKind.NUMBER),
        FaceField("balance", "B", True, FieldKind.NUMBER),
        FaceField("balance", "B", 12, FieldKind.MONEY),
        FaceField("balance", "B", NOW, FieldKind.INSTANT),
        FaceField("balance", "B", 12, FieldKind.TEXT),
    ],
)
def test_what_is_no_balance_is_refused(header: FaceField) -> None:
    with pytest.raises(DocumentInvalid, match="no balance"):
        card(face(header=header))


@pytest.mark.parametrize(
    ("symbology", "word"),
    [
        (Symbology.QR, "QR_CODE"),
        (Symbology.AZTEC, "AZTEC"),
        (Symbology.PDF417, "PDF_417"),
        (Symbology.CODE128, "CODE_128"),
    ],
)
def test_every_symbology_has_its_word_and_only_qr_an_encoding(symbology: Symbology, word: str) -> None:
    barcode = card(face(barcode=Barcode(symbology, "ABC", "A BC")))["barcode"]
    assert barcode["type"] == word
    assert ("renderEncoding" in barcode) is (symbology is Symbology.QR)
    with pytest.raises(DocumentInvalid):
        card(face(barcode=Barcode(symbology, "", "")))


def test_long_texts_end_in_an_ellipsis_and_rows_in_ten() -> None:
    long = FaceField("why", "L" * 40, "word " * 200)
    row = modules(card(face(back=(long,))))["why"]
    assert len(row["header"]) == 35
    assert len(row["body"]) <= 500
    assert row["body"].endswith("…")
    back = tuple(FaceField(f"b{n}", "B", str(n)) for n in range(20))
    assert len(card(face(back=back))["textModulesData"]) == 10


def test_two_fields_of_one_key_are_refused() -> None:
    with pytest.raises(DocumentInvalid, match="key"):
        card(face(back=(FaceField("tier", "T", "x"),)))


@pytest.mark.check("G-07")
def test_whole_numbers_of_64_bits_travel_as_text() -> None:
    money = {"money": {"currencyCode": "USD", "micros": 5}}
    with pytest.raises(DocumentInvalid, match="micros"):
        refuse_invalid("LoyaltyObject", card() | {"loyaltyPoints": {"balance": money}})
    for wrong in ("", "5.0", "+5", "٥", str(2**63), "five"):
        money["money"]["micros"] = wrong
        with pytest.raises(DocumentInvalid, match="micros"):
            refuse_invalid("LoyaltyObject", card() | {"loyaltyPoints": {"balance": money}})
    for given_as in (5, "5"):
        answer = {"loyaltyPoints": {"balance": {"money": {"micros": given_as}, "int": str(given_as)}}}
        assert schema.read("LoyaltyObject", answer) == {
            "loyaltyPoints": {"balance": {"money": {"micros": "5"}, "int": 5}}
        }


# Names ------------------------------------------------------------------------


def words_of(type_name: str, document: Mapping[str, Any]) -> Iterator[tuple[str, str, Any]]:
    """Every (type, field, value) in a document, found by the independent list of facts."""
    for name, value in document.items():
        yield type_name, name, value
        kind = FACTS["types"][type_name].get(name, {}).get("type", "")
        for item in value if isinstance(value, list) else [value]:
            if isinstance(item, Mapping):
                yield from words_of(kind, item)


def everything_sent() -> list[tuple[str, Document]]:
    rich = face(expires_at=NOW, header=FaceField("balance", "B", 1240, FieldKind.MONEY, "USD"))
    pictures = Pictures(LOGO, wide_logo=LOGO, hero=LOGO)
    sent = [
        ("LoyaltyClass", club(pictures=pictures, callback_url="https://cards.example.org/google/callback")),
        ("LoyaltyClass", club(draft=True)),
        ("LoyaltyObject", card()),
        ("LoyaltyObject", card(rich, hero=LOGO)),
        ("LoyaltyObject", erasing_patch()),
        ("AddMessageRequest", add_message(offer_message(face().offers[0], alert=True))),
    ]
    for patch in (object_patch(card(rich), card(), notify=True), object_patch(card(rich), notify=True)):
        assert patch is not None
        sent.append(("LoyaltyObject", patch))
    blind = class_patch(club())
    assert blind is not None
    return [*sent, ("LoyaltyClass", blind)]


@pytest.mark.check("G-05")
def test_everything_that_is_sent_uses_googles_names_and_words_and_none_that_are_outdated() -> None:
    seen = set()
    for type_name, document in everything_sent():
        for where, name, value in words_of(type_name, document):
            fact = FACTS["types"][where].get(name)
            assert fact is not None, f"{where} has no {name}"
            assert not fact.get("deprecated"), f"{where}.{name} is deprecated"
            seen.add((where, name))
            if value is not None and "enum" in fact:
                assert value in fact["enum"]
                assert value == value.upper()
    assert len(seen) > 50


def test_the_gate_knows_no_name_or_word_that_google_does_not() -> None:
    for type_name, fields in schema.TYPES.items():
        facts = FACTS["types"][type_name]
        for name, kind in fields.items():
            fact = facts[name]
            assert not fact.get("deprecated"), f"{type_name}.{name}"
            if isinstance(kind, frozenset):
                assert kind <= set(fact["enum"]), f"{type_name}.{name}"
            elif isinstance(kind, tuple):
                assert fact["list"]
                assert fact["type"] == kind[0]
            else:
                assert fact["type"] == kind, f"{type_name}.{name}"


@pytest.mark.check("G-05", "G-36")
@pytest.mark.parametrize(
    ("type_name", "part"),
    [
        ("LoyaltyObject", {"kind": "walletobjects#loyaltyObject"}),
        ("LoyaltyObject", {"version": "1"}),
        ("LoyaltyObject", {"locations": []}),
        ("LoyaltyObject", {"infoModuleData": {}}),
        ("LoyaltyClass", {"wordMark": {"sourceUri": {"uri": LOGO}}}),
        ("LoyaltyClass", {"allowMultipleUsersPerObject": True}),
        ("LoyaltyObject", {"balance": 5}),
        ("LoyaltyObject", {"state": "active"}),
        ("LoyaltyObject", {"state": "STATE_UNSPECIFIED"}),
        ("LoyaltyObject", {"notifyPreference": "NOTIFY"}),
        ("LoyaltyObject", {"barcode": {"type": "qrCode", "value": "x"}}),
        ("LoyaltyClass", {"reviewStatus": "underReview"}),
        ("LoyaltyClass", {"reviewStatus": "APPROVED"}),
        ("LoyaltyClass", {"callbackOptions": {"updateRequestUrl": "https://example.org"}}),
        ("LoyaltyObject", {"messages": [{"id": "m", "messageType": "EXPIRATION_NOTIFICATION"}]}),
        ("LoyaltyObject", {"state": None}),
        ("LoyaltyObject", {"state": ["ACTIVE"]}),
        ("LoyaltyObject", {"textModulesData": {}}),
        ("LoyaltyObject", {"barcode": "x"}),
        ("LoyaltyObject", {"accountId": 5}),
        ("LoyaltyObject", {"barcode": {"type": "TEXT_ONLY", "value": "x", "alternateText": "x"}}),
        ("LoyaltyObject", {"barcode": {"type": "AZTEC", "value": "x", "renderEncoding": "UTF_8"}}),
        ("LoyaltyObject", {"validTimeInterval": {"start": {"date": "2026-01-01T00:00"},
                                                 "end": {"date": "2026-01-02T00:00Z"}}}),
        ("LoyaltyObject", {"validTimeInterval": {"end": {"date": "tomorrow"}}}),
    ],
)  # fmt: skip
def test_unknown_outdated_and_misspelt_things_are_refused(type_name: str, part: Document) -> None:
    sound = card() if type_name == "LoyaltyObject" else club()
    with pytest.raises(DocumentInvalid):
        refuse_invalid(type_name, sound | part)


@pytest.mark.check("G-06")
def test_googles_old_spellings_are_read_as_todays() -> None:
    held = card() | {
        "kind": "walletobjects#loyaltyObject",
        "version": "7",
        "state": "active",
        "hasUsers": True,
        "classReference": club(),
        "barcode": {"kind": "walletobjects#barcode", **card()["barcode"], "type": "qrCode"},
    }
    assert object_patch(card(), held) is None
    for spelling in ("approved", "APPROVED", "underReview", "UNDER_REVIEW"):
        assert class_patch(club(), club() | {"reviewStatus": spelling, "version": 3}) is None
    assert schema.read("LoyaltyClass", {"reviewStatus": "underReview"}) == {"reviewStatus": "UNDER_REVIEW"}
    assert schema.read("LoyaltyObject", {"state": "frozen", "barcode": 7}) == {
        "state": "frozen",
        "barcode": 7,
    }


# Patches ----------------------------------------------------------------------


def test_a_new_balance_is_all_that_is_said() -> None:
    richer = card(face(header=FaceField("balance", "BEANS", 740, FieldKind.NUMBER)))
    assert object_patch(richer, card()) == {"loyaltyPoints": {"balance": {"int": 740}}}
    assert object_patch(card(), card()) is None


@pytest.mark.check("G-33")
def test_a_wish_to_notify_lasts_for_one_request_about_the_balance() -> None:
    richer = card(face(header=FaceField("balance", "BEANS", 740, FieldKind.NUMBER)))
    patch = object_patch(richer, card(), notify=True)
    assert patch is not None
    assert patch["notifyPreference"] == "NOTIFY_ON_UPDATE"
    assert "notifyPreference" not in (object_patch(richer, card()) or {})
    # Nothing that Google would notify about has changed.
    other = object_patch(card(face(primary=FaceField("next", "NEXT", "Ready"))), card(), notify=True)
    assert other is not None
    assert "notifyPreference" not in other
    assert object_patch(card(), card(), notify=True) is None
    assert notifies(patch)
    assert silent(patch) == object_patch(richer, card())


@pytest.mark.check("G-25")
def test_lists_are_sent_whole_so_that_nothing_in_them_is_lost() -> None:
    offers = (*face().offers, OfferLine("latte", "Latte week", "One free", NOW + timedelta(days=5)))
    patch = object_patch(card(face(offers=offers)), card())
    assert patch is not None
    assert [entry["id"] for entry in patch["messages"]] == ["offer-maple", "offer-latte"]
    changed_row = object_patch(card(face(primary=FaceField("next", "NEXT", "Ready"))), card())
    assert changed_row is not None
    assert [row["id"] for row in changed_row["textModulesData"]] == list(modules(card()))
    programme = shop("copperfinch")
    longer = replace(programme, contact=replace(programme.contact, website="https://copperfinch.example"))
    links = class_patch(
        loyalty_class(longer, class_id=CLASS_ID, pictures=Pictures(LOGO), say=say),
        loyalty_class(
            replace(longer, contact=replace(longer.contact, website="")),
            class_id=CLASS_ID,
            pictures=Pictures(LOGO),
            say=say,
        ),
    )
    assert links is not None
    assert len(links["linksModuleData"]["uris"]) > 1


@pytest.mark.check("G-37")
def test_an_offer_that_has_ended_leaves_the_card_with_the_next_patch() -> None:
    running = card()
    assert running["messages"][0]["displayInterval"] == {"end": {"date": "2026-03-17T10:00:00+00:00"}}
    assert running["messages"][0]["messageType"] == "TEXT"
    patch = object_patch(card(face(offers=())), running)
    assert patch == {"messages": []}
    with pytest.raises(DocumentInvalid, match="taken away"):
        add_message({"header": "Sale", "body": "Now", "messageType": "TEXT"})
    with pytest.raises(DocumentInvalid, match="taken away"):
        add_message({"id": "sale", "header": "Sale", "body": "Now", "messageType": "TEXT"})


def test_messages_beyond_ten_are_left_out_from_the_end() -> None:
    extra = [message(f"note-{n}", header="h", body="b", ends_at=NOW) for n in range(20)]
    kept = [entry["id"] for entry in card(messages=extra)["messages"]]
    assert kept == ["offer-maple", *(f"note-{n}" for n in range(9))]


@pytest.mark.check("G-37")
def test_two_messages_of_one_id_are_refused() -> None:
    twin = offer_message(face().offers[0])
    with pytest.raises(DocumentInvalid, match="same id"):
        card(messages=[twin])


def test_a_message_has_a_window_and_may_alert() -> None:
    alert = offer_message(face().offers[0], alert=True)
    assert alert["messageType"] == "TEXT_AND_NOTIFY"
    assert alert["id"] == card()["messages"][0]["id"]
    body = add_message(alert)
    assert notifies(body)
    assert silent(body) == add_message(offer_message(face().offers[0]))
    assert not notifies(silent(body))
    window = message("m", header="h", body="b", starts_at=NOW, ends_at=NOW + timedelta(days=1))
    assert window["displayInterval"]["start"] == {"date": "2026-03-14T10:00:00+00:00"}
    with pytest.raises(DocumentInvalid, match="after it begins"):
        message("m", header="h", body="b", starts_at=NOW, ends_at=NOW)
    with pytest.raises(DocumentInvalid, match="zone"):
        message("m", header="h", body="b", ends_at=datetime(2026, 1, 1))  # noqa: DTZ001


@pytest.mark.check("G-11")
def test_every_change_of_a_class_asks_for_review_and_never_repeats_googles_own_word() -> None:
    coloured = club() | {"hexBackgroundColor": "#102030"}
    held = club() | {"reviewStatus": "APPROVED"}
    review = {"hexBackgroundColor": "#102030", "reviewStatus": "UNDER_REVIEW"}
    assert class_patch(coloured, held) == review
    assert class_patch(coloured, club()) == review
    draft, coloured_draft = club(draft=True), club(draft=True) | {"hexBackgroundColor": "#102030"}
    assert class_patch(coloured_draft, draft) == review | {"reviewStatus": "DRAFT"}
    assert class_patch(draft, draft) is None
    assert class_patch(club(), draft) == {"reviewStatus": "UNDER_REVIEW"}
    # Once out of the draft state there is no way back.
    assert class_patch(draft, held) is None
    assert class_patch(coloured_draft, held) == review
    blind = class_patch(club())
    assert blind is not None
    assert blind["reviewStatus"] == "UNDER_REVIEW"
    with pytest.raises(DocumentInvalid, match="review"):
        refuse_invalid("LoyaltyClass", {"hexBackgroundColor": "#102030"}, patch=True)


def test_what_a_class_does_not_want_any_more_goes() -> None:
    rich = club(
        pictures=Pictures(LOGO, wide_logo=LOGO, hero=LOGO), callback_url="https://cards.example.org/google"
    )
    gone = {"wideProgramLogo": None, "heroImage": None, "callbackOptions": None}
    assert class_patch(club(), rich) == gone | {"reviewStatus": "UNDER_REVIEW"}
    blind = class_patch(club())
    assert blind is not None
    assert gone.items() <= blind.items()


def test_what_somebody_set_in_the_console_stays() -> None:
    held = club() | {"countryCode": "US", "enableSmartTap": False}
    assert class_patch(club(), held) is None
    assert object_patch(card(), card() | {"linksModuleData": {"uris": []}, "hasUsers": True}) is None


@pytest.mark.check("G-13")
def test_erasure_takes_every_personal_field_away_and_ends_the_card() -> None:
    held = merged(card(face(expires_at=NOW), hero=LOGO), erasing_patch())
    assert held == {
        "id": OBJECT_ID,
        "classId": CLASS_ID,
        "state": "INACTIVE",
        "messages": [],
        "textModulesData": [],
    }
    source = (Path(documents.__file__).parent / "client.py").read_text()
    assert "DELETE" not in source
    assert "PUT" not in source


@pytest.mark.check("G-26")
def test_nothing_replaces_a_whole_resource() -> None:
    for path in Path(documents.__file__).parent.glob("*.py"):
        assert '"PUT"' not in path.read_text()


FACES = st.builds(
    face,
    header=st.one_of(
        st.builds(FaceField, st.just("balance"), st.text(max_size=5), st.integers(-(2**40), 2**40),
                  st.just(FieldKind.NUMBER)),
        st.builds(FaceField, st.just("balance"), st.text(max_size=5), st.integers(-(10**9), 10**9),
                  st.just(FieldKind.MONEY), st.sampled_from(["USD", "JPY", "KWD"])),
    ),
    row=st.lists(
        st.builds(FaceField, st.sampled_from(["member", "tier", "offer", "stamps"]), st.text(max_size=5),
                  st.text(max_size=9)),
        max_size=4, unique_by=lambda field: field.key,
    ).map(tuple),
    offers=st.lists(
        st.builds(OfferLine, st.sampled_from("abcdef"), st.text(max_size=9), st.text(max_size=9),
                  st.just(NOW)), max_size=4, unique_by=lambda offer: offer.key,
    ).map(tuple),
    barcode=st.builds(Barcode, st.sampled_from(list(Symbology)), st.just("ABC"), st.just("A BC")),
    voided=st.booleans(),
    expires_at=st.sampled_from([None, NOW, NOW + timedelta(days=1)]),
)  # fmt: skip


@given(before=FACES, wanted=FACES, hero_before=st.booleans(), hero=st.booleans())
def test_a_patch_leads_from_any_state_to_the_wanted_one(
    before: Any, wanted: Any, hero_before: bool, hero: bool
) -> None:
    was = card(before, hero=LOGO if hero_before else None)
    should = card(wanted, hero=LOGO if hero else None)
    known = object_patch(should, was, notify=True)
    for patch in (known, object_patch(should, None)):
        after = merged(was, patch or {})
        after.pop("notifyPreference", None)
        assert after == should
    assert (known is None) == (was == should)
