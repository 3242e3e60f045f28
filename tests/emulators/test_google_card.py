"""What the virtual Android phone shows: rows by template, languages, barcodes, what is cut or hidden."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import Any

import pytest

from passes.emulators.google_card import Cell, Link, Shown, show, totp
from tests.emulators.conftest import NOW
from tests.emulators.issuer import CARD_ID, CLASS_ID, a_card, a_class


def look(
    card_class: dict[str, Any] | None = None, card: dict[str, Any] | None = None, **options: Any
) -> Shown:
    options = {"language": "en", "now": NOW, **options}
    return show(card_class or a_class(), card or a_card(), **options)


def words(**translations: str) -> dict[str, Any]:
    """A localized text: `en` is the default."""
    return {
        "defaultValue": {"language": "en", "value": translations.pop("en")},
        "translatedValues": [
            {"language": language.replace("_", "-"), "value": value}
            for language, value in translations.items()
        ],
    }


def item(*paths: str, second: str | None = None, **options: Any) -> dict[str, Any]:
    made: dict[str, Any] = {"firstValue": {"fields": [{"fieldPath": path, **options} for path in paths]}}
    if second:
        made["secondValue"] = {"fields": [{"fieldPath": second}]}
    return made


def template(*rows: dict[str, Any]) -> dict[str, Any]:
    return {"cardTemplateOverride": {"cardRowTemplateInfos": list(rows)}}


def test_a_card_without_a_template_shows_points_tier_name_and_number() -> None:
    shown = look(a_class(rewardsTier="Gold", hexBackgroundColor="#c40"))
    assert shown.rows == (
        (Cell("Points", "40"), Cell("Tier", "Gold")),
        (Cell("Member name", "Ana Solé"), Cell("Member ID", "1007")),
    )
    assert (shown.issuer, shown.title, shown.object_id, shown.class_id) == (
        "Copperfinch",
        "Finch Club",
        CARD_ID,
        CLASS_ID,
    )
    assert (shown.background, shown.logo) == ("#c40", "https://shop.example/logo.png")
    assert (shown.expired, shown.remarks) == (False, ())


def test_labels_are_the_classs_own() -> None:
    shown = look(
        a_class(accountIdLabel="Number", localizedAccountNameLabel=words(en="Member", ca="Soci")),
        language="ca",
    )
    assert shown.rows[1] == (Cell("Soci", "Ana Solé"), Cell("Number", "1007"))


def test_a_template_decides_the_rows() -> None:
    modules = [{"id": "stamps", "header": "Stamps", "body": "3 of 10"}, {"id": "empty", "header": "Nothing"}]
    shown = look(
        a_class(
            rewardsTier="Gold",
            classTemplateInfo=template(
                {
                    "twoItems": {
                        "startItem": item("object.loyaltyPoints.balance"),
                        "endItem": item("object.textModulesData['stamps']"),
                    }
                },
                {
                    "threeItems": {
                        "startItem": item("object.textModulesData['empty']"),
                        "middleItem": item("object.textModulesData['none']", "object.accountName"),
                        "endItem": item("class.rewardsTier", second="object.accountId"),
                    }
                },
                {"oneItem": {"item": item("object.textModulesData['none']")}},
            ),
        ),
        a_card(textModulesData=modules),
    )
    assert shown.rows == (
        (Cell("Points", "40"), Cell("Stamps", "3 of 10")),
        (Cell("Member name", "Ana Solé"), Cell("Tier", "Gold / 1007")),
    )


@pytest.mark.parametrize(
    ("form", "seen"),
    [("DATE_YEAR", "31 Mar 2026"), ("YEAR_MONTH", "Mar 2026"), (None, "2026-03-31T10:00:00Z")],
)
def test_dates_are_written_as_the_template_says(form: str | None, seen: str) -> None:
    options = {"dateFormat": form} if form else {}
    shown = look(
        a_class(
            classTemplateInfo=template(
                {"oneItem": {"item": item("object.validTimeInterval.end.date", **options)}}
            )
        ),
        a_card(validTimeInterval={"end": {"date": "2026-03-31T10:00:00Z"}}),
    )
    assert shown.rows == ((Cell("", seen),),)


@pytest.mark.parametrize(
    ("balance", "seen"),
    [
        ({"int": 0}, "0"),
        ({"double": 2.5}, "2.5"),
        ({"string": "1 250"}, "1 250"),
        ({"money": {"currencyCode": "EUR", "micros": "1234500000"}}, "EUR 1,234.50"),
    ],
)
def test_a_balance_of_each_kind_is_shown(balance: dict[str, Any], seen: str) -> None:
    shown = look(card=a_card(loyaltyPoints={"balance": balance}))
    assert shown.rows[0] == (Cell("Points", seen),)


@pytest.mark.parametrize(
    ("language", "title"),
    [("en", "Club"), ("pt-BR", "Clube BR"), ("pt", "Clube"), ("pt-AO", "Clube"), ("tr", "Club")],
)
def test_a_phone_reads_its_own_language_or_the_nearest(language: str, title: str) -> None:
    card_class = a_class(localizedProgramName=words(en="Club", pt="Clube", pt_BR="Clube BR"))
    assert look(card_class, language=language).title == title


def test_a_demo_issuers_cards_say_so_and_long_names_are_cut() -> None:
    shown = look(a_class(programName="The Copperfinch Coffee Club"), test_only=True)
    assert shown.title == "[TEST ONLY] The Copperfinch Cof…"
    assert shown.remarks == ("class.programName has 27 characters: cut after 20",)


def test_what_is_longer_than_google_advises_is_remarked_upon() -> None:
    shown = look(
        a_class(rewardsTier="Platinum"),
        a_card(
            accountName="x" * 21,
            loyaltyPoints={"label": "Copperpoints", "balance": {"string": "12345678"}},
            textModulesData=[{"id": str(number), "body": "x"} for number in range(11)],
        ),
    )
    assert [remark.split()[0] for remark in shown.remarks] == [
        "class.rewardsTier",
        "object.accountName",
        "object.loyaltyPoints.label",
        "object.loyaltyPoints.balance",
        "object.textModulesData:",
    ]
    assert len(shown.details) == 10


def test_a_fixed_barcode_is_shown_with_its_text() -> None:
    barcode = look().barcode
    assert barcode is not None
    assert (barcode.type, barcode.value, barcode.text, barcode.rotating) == ("QR_CODE", "7HK2", "7HK2", False)
    assert look(card=a_card(barcode=None)).barcode is None


@pytest.mark.parametrize(
    ("seconds", "code"),
    [
        (59, "94287082"),
        (1111111109, "07081804"),
        (1111111111, "14050471"),
        (1234567890, "89005924"),
        (2000000000, "69279037"),
        (20000000000, "65353130"),
    ],
)
def test_the_rotating_code_is_that_of_rfc_6238(seconds: int, code: str) -> None:
    assert totp(b"12345678901234567890", seconds // 30, 8) == code


def test_a_rotating_barcode_comes_before_the_fixed_one_and_changes() -> None:
    rotating = {
        "type": "QR_CODE",
        "valuePattern": "7HK2-{totp_timestamp_seconds}-{totp_value_0}",
        "totpDetails": {
            "algorithm": "TOTP_SHA1",
            "periodMillis": "30000",
            "parameters": [{"key": b"12345678901234567890".hex(), "valueLength": 8}],
        },
    }
    card = a_card(rotatingBarcode=rotating)
    shown = look(card=card, now=datetime.fromtimestamp(59, UTC))
    assert shown.barcode is not None
    assert (shown.barcode.value, shown.barcode.rotating) == ("7HK2-59-94287082", True)
    assert "undoes its protection" in shown.remarks[0]
    later = look(card=card, now=datetime.fromtimestamp(1111111109, UTC)).barcode
    assert later is not None
    assert later.value == "7HK2-1111111109-07081804"


def test_details_links_and_tiles_come_from_object_and_class() -> None:
    shown = look(
        a_class(
            textModulesData=[{"header": "Terms", "body": "None"}],
            homepageUri={"uri": "https://shop.example", "description": "Shop"},
            linksModuleData={"uris": [{"uri": "tel:12345", "description": "Call"}]},
            valueAddedModuleData=[
                {"header": words(en="Later"), "uri": "https://a", "sortIndex": 2},
                {"header": words(en="First"), "uri": "https://b", "sortIndex": 1},
                {
                    "header": words(en="Over"),
                    "uri": "https://c",
                    "viewConstraints": {"displayInterval": {"end": {"date": "2026-02-01T00:00:00Z"}}},
                },
            ],
        ),
        a_card(textModulesData=[{"header": "Offer", "body": "Half price"}]),
    )
    assert shown.details == (Cell("Offer", "Half price"), Cell("Terms", "None"))
    assert shown.links == (
        Link("https://b", "First", promoted=True),
        Link("https://a", "Later", promoted=True),
        Link("https://shop.example", "Shop"),
        Link("tel:12345", "Call"),
    )


def test_a_details_template_names_what_is_listed() -> None:
    details = {"detailsTemplateOverride": {"detailsItemInfos": [{"item": item("object.accountId")}]}}
    shown = look(a_class(classTemplateInfo=details, textModulesData=[{"body": "hidden"}]))
    assert shown.details == (Cell("Member ID", "1007"),)


def test_a_card_that_is_not_active_lies_with_the_old_ones() -> None:
    assert look(card=a_card(state="COMPLETED")).expired is True
    assert look(card=a_card(state="INACTIVE")).state == "INACTIVE"


def test_the_objects_pictures_come_before_the_classs() -> None:
    def image(name: str) -> dict[str, Any]:
        return {"sourceUri": {"uri": f"https://shop.example/{name}.png"}}

    card_class = a_class(heroImage=image("summer"), wideProgramLogo=image("wide"))
    shown = look(card_class)
    assert (shown.hero, shown.logo) == ("https://shop.example/summer.png", "https://shop.example/wide.png")
    assert look(card_class, a_card(heroImage=image("ana"))).hero == "https://shop.example/ana.png"
