"""What the emulated Google refuses in a class or object: each rule once broken and once kept."""

from __future__ import annotations

import json
from typing import Any

import pytest

from passes.emulators.google import ISSUER_ID
from passes.emulators.google_schema import SCHEMAS, merge, read
from tests.emulators.issuer import CARD_ID, CLASS_ID, Issuer, a_card, a_class

TEXT = {"defaultValue": {"language": "en", "value": "Hello"}}
IMAGE = {"sourceUri": {"uri": "https://shop.example/a.png"}}
WHERE = {"latitude": 41.4, "longitude": 2.2}
MESSAGE = {"header": "Hi", "body": "There"}
TILE = {"header": TEXT, "uri": "https://shop.example"}
ONE_ROW = {"oneItem": {"item": {"firstValue": {"fields": [{"fieldPath": "object.accountName"}]}}}}
TOTP = {
    "algorithm": "TOTP_SHA1",
    "periodMillis": "30000",
    "parameters": [{"key": "31" * 20, "valueLength": 8}],
}
ROTATING = {"type": "QR_CODE", "valuePattern": "{totp_value_0}", "totpDetails": TOTP}


def rows(*infos: Any) -> dict[str, Any]:
    return {"cardTemplateOverride": {"cardRowTemplateInfos": list(infos)}}


def row_of(path: str) -> dict[str, Any]:
    return rows({"oneItem": {"item": {"firstValue": {"fields": [{"fieldPath": path}]}}}})


# field, refused, accepted, a word of the refusal
CLASSES: list[tuple[str, Any, Any, str]] = [
    ("issuerName", None, "Copperfinch", "required"),
    ("programName", "", "Club", "required"),
    ("programLogo", None, IMAGE, "required"),
    ("programLogo", {**IMAGE, "privateImageId": "1"}, {"privateImageId": "1"}, "exactly one"),
    ("programLogo", {}, IMAGE, ""),
    ("programLogo", {"sourceUri": {"uri": "shop.example/a.png"}}, IMAGE, "http"),
    ("programLogo", {"sourceUri": {"uri": "https://[::1/a.png"}}, IMAGE, "http"),
    ("programLogo", {"sourceUri": {"uri": "data:image/png;base64,"}}, IMAGE, "http"),
    ("hexBackgroundColor", "red", "#ffcc00", "#rrggbb"),
    ("hexBackgroundColor", "#ffcc0", "#fc0", "#rrggbb"),
    ("multipleDevicesAndHoldersAllowedStatus", "EVERYBODY", "oneUserAllDevices", "Invalid value"),
    ("merchantLocations", [WHERE] * 11, [WHERE] * 10, "at most 10"),
    (
        "merchantLocations",
        [{**WHERE, "latitude": 90.1}],
        [{"latitude": -90, "longitude": 180}],
        "from -90 to 90",
    ),
    ("merchantLocations", [{**WHERE, "longitude": -180.1}], [WHERE], "from -180 to 180"),
    ("merchantLocations", [{"latitude": 1}], [WHERE], "required"),
    ("messages", [MESSAGE] * 11, [MESSAGE] * 10, "at most 10"),
    ("messages", [{"messageType": "EXPIRATION_NOTIFICATION"}], [{"messageType": "TEXT"}], "not supported"),
    ("valueAddedModuleData", [TILE] * 16, [TILE] * 15, "at most 15"),
    ("valueAddedModuleData", [{"header": TEXT}], [TILE], "required"),
    ("valueAddedModuleData", [{"header": TEXT, "uri": "shop"}], [TILE], "scheme"),
    ("valueAddedModuleData", [{"uri": "https://a"}], [TILE], "required"),
    ("textModulesData", [{"id": "a.b"}], [{"id": "a_b-1"}], "letters"),
    ("textModulesData", {"id": "a"}, [{"id": "a"}], "list of TextModuleData"),
    ("homepageUri", {"uri": "shop.example"}, {"uri": "https://shop.example"}, "scheme"),
    ("linksModuleData", {"uris": [{"uri": "12345"}]}, {"uris": [{"uri": "tel:12345"}]}, "scheme"),
    ("linksModuleData", {"uris": [{"description": "x"}]}, {"uris": [{"uri": "mailto:a@b"}]}, "required"),
    ("localizedProgramName", {"translatedValues": []}, TEXT, "required"),
    ("localizedProgramName", {"defaultValue": {"value": "x"}}, TEXT, "required"),
    (
        "localizedProgramName",
        {"defaultValue": {"language": "english!", "value": "x"}},
        {"defaultValue": {"language": "pt-BR", "value": "x"}},
        "BCP 47",
    ),
    ("classTemplateInfo", rows(*[ONE_ROW] * 4), rows(*[ONE_ROW] * 3), "at most 3"),
    ("classTemplateInfo", rows({**ONE_ROW, "twoItems": {}}), rows(ONE_ROW), "exactly one"),
    ("classTemplateInfo", rows({"oneItem": {"item": {}}}), rows(ONE_ROW), "exactly one"),
    (
        "classTemplateInfo",
        row_of("loyaltyPoints.balance"),
        row_of("object.loyaltyPoints.balance"),
        "no field",
    ),
    ("classTemplateInfo", row_of("object.points"), row_of("object.textModulesData['points']"), "no field"),
    ("classTemplateInfo", row_of("class.state"), row_of("class.rewardsTier"), "no field"),
    ("callbackOptions", {"url": "http://shop.example/c"}, {"url": "https://shop.example/c"}, "https"),
    ("callbackOptions", {"url": "https://[bad"}, {}, "https"),
    ("callbackOptions", {"url": "ftp://127.0.0.1/c"}, {"url": "http://127.0.0.1:8000/c"}, "https"),
    ("redemptionIssuers", ["one"], [3388, "3389"], "INT64"),
    ("enableSmartTap", "yes", True, "BOOLEAN"),
    ("countryCode", 34, "ES", "STRING"),
    ("messages", [None], [MESSAGE], "Invalid value"),
]

OBJECTS: list[tuple[str, Any, Any, str]] = [
    ("classId", None, CLASS_ID, "required"),
    ("state", None, "ACTIVE", "required"),
    ("state", "STATE_UNSPECIFIED", "active", "required"),
    ("state", "Active", "COMPLETED", "Invalid value"),
    ("loyaltyPoints", {"label": "Points"}, {"balance": {"int": 1}}, "required"),
    ("loyaltyPoints", {"balance": {}}, {"balance": {"int": 0}}, ""),
    ("loyaltyPoints", {"balance": {"int": 1, "string": "1"}}, {"balance": {"string": "1"}}, "exactly one"),
    ("loyaltyPoints", {"balance": {"int": 2**31}}, {"balance": {"int": "12"}}, "INT32"),
    ("loyaltyPoints", {"balance": {"int": 1.5}}, {"balance": {"double": 1.5}}, "INT32"),
    ("loyaltyPoints", {"balance": {"double": float("inf")}}, {"balance": {"double": 2}}, "DOUBLE"),
    ("loyaltyPoints", {"balance": {"int": True}}, {"balance": {"int": -3}}, "INT32"),
    (
        "secondaryLoyaltyPoints",
        {"balance": {"money": {"currencyCode": "EUR"}}},
        {"balance": {"money": {"currencyCode": "EUR", "micros": "4500000"}}},
        "required",
    ),
    (
        "secondaryLoyaltyPoints",
        {"balance": {"money": {"currencyCode": "euro", "micros": "1"}}},
        {"balance": {"money": {"currencyCode": "EUR", "micros": 1}}},
        "ISO 4217",
    ),
    ("barcode", {"value": "1"}, {"type": "qrCode", "value": "1"}, "required"),
    ("barcode", {"type": "QR_CODE"}, {"type": "EAN13", "value": "4006381333931"}, "required"),
    (
        "barcode",
        {"type": "TEXT_ONLY", "value": "1", "alternateText": "1"},
        {"type": "TEXT_ONLY", "value": "1"},
        "TEXT_ONLY",
    ),
    (
        "barcode",
        {"type": "CODE_128", "value": "1", "renderEncoding": "UTF_8"},
        {"type": "QR_CODE", "value": "1", "renderEncoding": "UTF_8"},
        "QR_CODE",
    ),
    ("barcode", {"type": "ITF_14", "value": "1" * 13}, {"type": "ITF_14", "value": "1" * 14}, "14 digits"),
    ("barcode", {"type": "UPC_A", "value": "1" * 10}, {"type": "UPC_A", "value": "1" * 12}, "11 or 12"),
    ("rotatingBarcode", {**ROTATING, "type": "CODE_128"}, {**ROTATING, "type": "PDF_417"}, "QR_CODE or PDF"),
    ("rotatingBarcode", {"type": "QR_CODE", "totpDetails": TOTP}, ROTATING, "required"),
    ("rotatingBarcode", {**ROTATING, "initialRotatingBarcodeValues": {"values": ["1"]}}, ROTATING, "transit"),
    ("rotatingBarcode", {**ROTATING, "totpDetails": {**TOTP, "periodMillis": "0"}}, ROTATING, "positive"),
    ("rotatingBarcode", {**ROTATING, "totpDetails": {**TOTP, "algorithm": None}}, ROTATING, "TOTP_SHA1"),
    ("rotatingBarcode", {**ROTATING, "totpDetails": {**TOTP, "parameters": []}}, ROTATING, ""),
    (
        "rotatingBarcode",
        {**ROTATING, "totpDetails": {**TOTP, "parameters": [{"key": "xyz", "valueLength": 8}]}},
        ROTATING,
        "Base16",
    ),
    (
        "validTimeInterval",
        {"start": {"date": "2026-01-01T00:00:00Z"}, "end": {"date": "2026-02-01T00:00:00"}},
        {"start": {"date": "2026-01-01T00:00:00"}, "end": {"date": "2026-02-01T00:00:00"}},
        "offset",
    ),
    ("validTimeInterval", {"end": {"date": "tomorrow"}}, {"end": {"date": "2026-02-01"}}, "ISO 8601"),
    ("linkedObjectIds", [CARD_ID], [], "itself"),
    ("linkedObjectIds", [f"{ISSUER_ID}.none"], [f"{ISSUER_ID}.there"], "not found"),
    ("linkedObjectIds", [f"{ISSUER_ID}.n{n}" for n in range(51)], [], "at most 50"),
    ("linkedOfferIds", [f"{ISSUER_ID}.offer"], [], "not found"),
    ("smartTapRedemptionValue", "é", "7HK2", "ASCII"),
    ("merchantLocations", [WHERE] * 11, [WHERE] * 10, "at most 10"),
    ("messages", [MESSAGE] * 11, [MESSAGE] * 10, "at most 10"),
    ("valueAddedModuleData", [TILE] * 16, [TILE] * 15, "at most 15"),
    ("notifyPreference", "NOTIFY", "NOTIFY_ON_UPDATE", "Invalid value"),
    (
        "appLinkData",
        {"displayText": {"defaultValue": {"language": "en", "value": "x" * 31}}},
        {"displayText": {"defaultValue": {"language": "en", "value": "x" * 30}}},
        "30 characters",
    ),
    (
        "appLinkData",
        {"webAppLinkInfo": {"appTarget": {}}},
        {"webAppLinkInfo": {"appTarget": {"targetUri": {"uri": "https://a", "description": "A"}}}},
        "exactly one",
    ),
]


@pytest.mark.parametrize(("name", "refused", "accepted", "words"), CLASSES)
def test_a_class_keeps_the_rules(issuer: Issuer, name: str, refused: Any, accepted: Any, words: str) -> None:
    answer = issuer.call("POST", "loyaltyClass", a_class(**{name: refused}))
    assert (answer.status, answer.error["status"]) == (400, "INVALID_ARGUMENT")
    assert words in answer.error["message"]
    (violation, *_) = answer.error["details"][0]["fieldViolations"]
    assert violation["field"].startswith(name)
    taken = issuer.call("POST", "loyaltyClass", a_class(**{name: accepted}))
    assert taken.status == 200, taken.body


@pytest.mark.parametrize(("name", "refused", "accepted", "words"), OBJECTS)
def test_an_object_keeps_the_rules(
    issuer: Issuer, name: str, refused: Any, accepted: Any, words: str
) -> None:
    issuer.insert(card=a_card(id=f"{ISSUER_ID}.there"))
    answer = issuer.call("POST", "loyaltyObject", a_card(**{name: refused}))
    assert (answer.status, answer.error["status"]) == (400, "INVALID_ARGUMENT")
    assert words in answer.error["message"]
    (violation, *_) = answer.error["details"][0]["fieldViolations"]
    assert violation["field"].startswith(name)
    taken = issuer.call("POST", "loyaltyObject", a_card(**{name: accepted}))
    assert taken.status == 200, taken.body


def test_all_that_is_wrong_is_said_at_once(issuer: Issuer) -> None:
    answer = issuer.call("POST", "loyaltyClass", a_class(issuerName=None, hexBackgroundColor="red"))
    fields = [one["field"] for one in answer.error["details"][0]["fieldViolations"]]
    assert fields == ["issuerName", "hexBackgroundColor"]


def test_whole_numbers_come_back_as_strings_and_null_is_absence(issuer: Issuer) -> None:
    issuer.insert(a_class(redemptionIssuers=[3388], countryCode=None))
    taken = issuer.call(
        "PUT", f"loyaltyClass/{CLASS_ID}", {**a_class(redemptionIssuers=[3388]), "countryCode": None}
    )
    assert (taken.json["redemptionIssuers"], "countryCode" in taken.json) == (["3388"], False)


def test_links_are_not_nested_and_not_undone(issuer: Issuer) -> None:
    first, second, third = (f"{ISSUER_ID}.{name}" for name in ("a", "b", "c"))
    issuer.insert(card=a_card(id=first))
    issuer.call("POST", "loyaltyObject", a_card(id=second))
    assert issuer.call("POST", "loyaltyObject", a_card(id=third, linkedObjectIds=[second])).status == 200
    above = issuer.call("PATCH", f"loyaltyObject/{first}", {"linkedObjectIds": [third]})
    below = issuer.call("PATCH", f"loyaltyObject/{second}", {"linkedObjectIds": [first]})
    assert [above.status, below.status] == [400, 400]
    assert all("nested" in one.error["message"] for one in (above, below))
    lost = issuer.call("PATCH", f"loyaltyObject/{third}", {"linkedObjectIds": [first]})
    assert (lost.status, "cannot be unlinked" in lost.error["message"]) == (400, True)
    assert issuer.call("PATCH", f"loyaltyObject/{third}", {"linkedObjectIds": [second, first]}).status == 200


def test_every_enum_is_read_in_each_of_its_spellings() -> None:
    spellings = 0
    for schema, members in SCHEMAS.items():
        for name, shape in members.items():
            if isinstance(shape, dict):
                for value, old in shape.items():
                    for spelling in (value, *old):
                        assert read(schema, {name: spelling}) == {name: value}
                        spellings += 1
    assert spellings > 100


def test_a_merge_leaves_what_it_merges_as_it_was() -> None:
    stored = {"a": {"b": 1, "c": [1, 2]}, "d": 1}
    before = json.dumps(stored)
    assert merge(stored, {"a": {"c": [3], "e": {"f": None}}, "d": None}) == {"a": {"b": 1, "c": [3], "e": {}}}
    assert json.dumps(stored) == before
