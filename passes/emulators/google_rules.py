"""What Google refuses although the schema allows it: required fields, limits, and forms of values.

Every rule looks at one object of one schema; a whole class or object is right
when none of its parts breaks a rule. Rules that Google documents in prose only
are from the field descriptions of walletobjects:v1.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator
from datetime import datetime
from typing import Any
from urllib.parse import urlsplit

from passes.emulators.google_schema import SCHEMAS, Violation, parts

IDENTIFIER = re.compile(r"[0-9]+\.[A-Za-z0-9._-]+")
LOOPBACK_NAMES = frozenset({"localhost", "127.0.0.1", "::1"})
MESSAGES_MAX = 10
LOCATIONS_MAX = 10
VALUE_MODULES_MAX = 15
ROWS_MAX = 3
LINKS_MAX = 50

_MODULE_ID = re.compile(r"[A-Za-z0-9_-]+")
_SCHEME = re.compile(r"[A-Za-z][A-Za-z0-9+.-]*:.+", re.DOTALL)
_COLOUR = re.compile(r"#([0-9A-Fa-f]{3}|[0-9A-Fa-f]{6})")
_BASE16 = re.compile(r"([0-9A-Fa-f]{2})+")
_LANGUAGE = re.compile(r"[A-Za-z]{2,3}(-[A-Za-z0-9]{2,8})*")
_PATH = re.compile(r"(object|class)\.([A-Za-z]+)(\.[A-Za-z]+|\['[A-Za-z0-9_-]+'\])*")
_DIGITS = {"ITF_14": {14}, "UPC_A": {11, 12}, "EAN_8": {7, 8}, "EAN_13": {12, 13}}

Broken = Iterator[tuple[str, str]]
Rule = Callable[[dict[str, Any]], Broken]


def violations(schema: str, resource: dict[str, Any]) -> list[Violation]:
    """Everything wrong with a whole class or object, without a look at any other resource."""
    found = []
    for part, value, where in parts(schema, resource):
        for rule in _RULES.get(part, ()):
            for name, words in rule(value):
                path = ".".join(piece for piece in (where, name) if piece)
                found.append(Violation(path, f"Invalid value at '{path}': {words}" if path else words))
    return found


def moment(text: str) -> datetime | None:
    """An ISO 8601 instant, aware or not as written; None if it is none."""
    try:
        return datetime.fromisoformat(text)
    except ValueError:
        return None


def place_of(address: str) -> tuple[str, str]:
    """The scheme and the host of an address; both empty if it is none."""
    try:
        found = urlsplit(address)
        return found.scheme, found.hostname or ""
    except ValueError:
        return "", ""


def _requires(*names: str) -> Rule:
    def rule(given: dict[str, Any]) -> Broken:
        for name in names:
            if given.get(name) in (None, "", {}, []):
                yield name, "this field is required."

    return rule


def _exactly_one(*names: str) -> Rule:
    def rule(given: dict[str, Any]) -> Broken:
        if sum(name in given for name in names) != 1:
            yield "", f"exactly one of {', '.join(names)} must be set."

    return rule


def _at_most(name: str, limit: int) -> Rule:
    def rule(given: dict[str, Any]) -> Broken:
        if len(given.get(name, ())) > limit:
            yield name, f"{len(given[name])} elements; at most {limit} are allowed."

    return rule


def _matches(name: str, pattern: re.Pattern[str], words: str) -> Rule:
    def rule(given: dict[str, Any]) -> Broken:
        if name in given and not pattern.fullmatch(given[name]):
            yield name, words

    return rule


def _within(name: str, limit: float) -> Rule:
    def rule(given: dict[str, Any]) -> Broken:
        if name in given and not -limit <= given[name] <= limit:
            yield name, f"must be from {-limit} to {limit}."

    return rule


def _image_uri(given: dict[str, Any]) -> Broken:
    scheme, host = place_of(given.get("uri", ""))
    if scheme not in ("http", "https") or not host:
        yield "uri", "an image needs an http or https address."


def _interval(given: dict[str, Any]) -> Broken:
    ends = [moment(given[name].get("date", "")) for name in ("start", "end") if name in given]
    known = [one for one in ends if one is not None]
    if len({one.tzinfo is None for one in known}) > 1:
        yield "", "either both ends carry an offset or neither does."


def _date(given: dict[str, Any]) -> Broken:
    if moment(given.get("date", "")) is None:
        yield "date", "not an ISO 8601 extended date and time."


def _barcode(given: dict[str, Any]) -> Broken:
    kind, value = given.get("type"), given.get("value", "")
    if kind in (None, "BARCODE_TYPE_UNSPECIFIED"):
        yield "type", "this field is required."
    if not value:
        yield "value", "this field is required."
    if kind == "TEXT_ONLY" and "alternateText" in given:
        yield "alternateText", "not allowed with TEXT_ONLY."
    if given.get("renderEncoding") == "UTF_8" and kind != "QR_CODE":
        yield "renderEncoding", "UTF_8 is for QR_CODE only."
    digits = _DIGITS.get(kind or "")
    if digits and not (value.isascii() and value.isdigit() and len(value) in digits):
        yield "value", f"{kind} needs {' or '.join(map(str, sorted(digits)))} digits."


def _rotating(given: dict[str, Any]) -> Broken:
    if given.get("type") not in ("QR_CODE", "PDF_417"):
        yield "type", "a rotating barcode is QR_CODE or PDF_417."
    if "initialRotatingBarcodeValues" in given:
        yield "initialRotatingBarcodeValues", "for transit passes only."


def _totp(given: dict[str, Any]) -> Broken:
    if given.get("algorithm") != "TOTP_SHA1":
        yield "algorithm", "must be TOTP_SHA1."
    if int(given.get("periodMillis", "0")) <= 0:
        yield "periodMillis", "must be positive."


def _totp_parameter(given: dict[str, Any]) -> Broken:
    if not _BASE16.fullmatch(given.get("key", "")):
        yield "key", "must be Base16."
    if given.get("valueLength", 0) <= 0:
        yield "valueLength", "must be positive."


def _template_item(given: dict[str, Any]) -> Broken:
    if ("firstValue" in given) == ("predefinedItem" in given):
        yield "", "exactly one of firstValue, predefinedItem must be set."
    if "secondValue" in given and "firstValue" not in given:
        yield "secondValue", "needs a firstValue."


def _field_path(given: dict[str, Any]) -> Broken:
    found = _PATH.fullmatch(given.get("fieldPath", ""))
    owner = {"object": "LoyaltyObject", "class": "LoyaltyClass"}
    if found is None or found[2] not in SCHEMAS[owner[found[1]]]:
        yield "fieldPath", f"{given.get('fieldPath', '')!r} is no field of a loyalty class or object."


def _app_link(given: dict[str, Any]) -> Broken:
    if len(given.get("displayText", {}).get("defaultValue", {}).get("value", "")) > 30:
        yield "displayText", "at most 30 characters."


def _callback(given: dict[str, Any]) -> Broken:
    scheme, host = place_of(given.get("url", ""))
    # Google takes https only. Loopback cannot be reached by Google, so a plain address there is a rehearsal.
    plain = scheme == "http" and host in LOOPBACK_NAMES
    if "url" in given and not (host and (scheme == "https" or plain)):
        yield "url", "must be an https address."


def _message(given: dict[str, Any]) -> Broken:
    if given.get("messageType") == "EXPIRATION_NOTIFICATION":
        yield "messageType", "EXPIRATION_NOTIFICATION is not supported."


def _set_enum(name: str, unspecified: str) -> Rule:
    def rule(given: dict[str, Any]) -> Broken:
        if given.get(name) in (None, unspecified):
            yield name, "this field is required."

    return rule


def _links(given: dict[str, Any]) -> Broken:
    if given.get("id") in given.get("linkedObjectIds", ()):
        yield "linkedObjectIds", "an object cannot be linked to itself."


def _smart_tap(given: dict[str, Any]) -> Broken:
    if not given.get("smartTapRedemptionValue", "").isascii():
        yield "smartTapRedemptionValue", "only ASCII characters are supported."


_LIMITS = (
    _at_most("messages", MESSAGES_MAX),
    _at_most("merchantLocations", LOCATIONS_MAX),
    _at_most("valueAddedModuleData", VALUE_MODULES_MAX),
)
_HAS_SCHEME = _matches("uri", _SCHEME, "a URI needs a scheme.")

_RULES: dict[str, tuple[Rule, ...]] = {
    "LoyaltyClass": (
        _requires("issuerName", "programName", "programLogo"),
        _matches("hexBackgroundColor", _COLOUR, "must be #rrggbb or #rgb."),
        *_LIMITS,
    ),
    "LoyaltyObject": (
        _requires("classId"),
        _set_enum("state", "STATE_UNSPECIFIED"),
        _at_most("linkedObjectIds", LINKS_MAX),
        _links,
        _smart_tap,
        *_LIMITS,
    ),
    "LoyaltyPoints": (_requires("balance"),),
    "LoyaltyPointsBalance": (_exactly_one("string", "int", "double", "money"),),
    "Money": (
        _requires("currencyCode", "micros"),
        _matches("currencyCode", re.compile("[A-Z]{3}"), "must be an ISO 4217 code."),
    ),
    "Image": (_exactly_one("sourceUri", "privateImageId"),),
    "ImageUri": (_image_uri,),
    "Uri": (_requires("uri"), _HAS_SCHEME),
    "LocalizedString": (_requires("defaultValue"),),
    "TranslatedString": (
        _requires("language", "value"),
        _matches("language", _LANGUAGE, "must be a BCP 47 language."),
    ),
    "TextModuleData": (_matches("id", _MODULE_ID, "letters, digits, '_' and '-' only."),),
    "ValueAddedModuleData": (_requires("header", "uri"), _HAS_SCHEME),
    "TimeInterval": (_interval,),
    "DateTime": (_date,),
    "Barcode": (_barcode,),
    "RotatingBarcode": (_rotating, _requires("valuePattern", "totpDetails")),
    "RotatingBarcodeTotpDetails": (_totp, _requires("parameters")),
    "RotatingBarcodeTotpDetailsTotpParameters": (_totp_parameter,),
    "MerchantLocation": (
        lambda given: (
            (name, "this field is required.") for name in ("latitude", "longitude") if name not in given
        ),
        _within("latitude", 90),
        _within("longitude", 180),
    ),
    "CardTemplateOverride": (_at_most("cardRowTemplateInfos", ROWS_MAX),),
    "CardRowTemplateInfo": (_exactly_one("oneItem", "twoItems", "threeItems"),),
    "TemplateItem": (_template_item,),
    "FieldReference": (_field_path,),
    "AppLinkData": (_app_link,),
    "AppLinkDataAppLinkInfoAppTarget": (_exactly_one("packageName", "targetUri"),),
    "CallbackOptions": (_callback,),
    "Message": (_message,),
}
