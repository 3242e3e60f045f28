"""The part of Google's data model that we send, and the gate that everything outgoing passes.

Names, types and enumerations are facts from the API's machine-readable
description (walletobjects v1, revision 20260806); deprecated fields are left
out, so that they cannot be sent. What that description says in prose only
(required fields, largest counts, one-of) stands here as rules.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from datetime import datetime
from typing import Any
from urllib.parse import urlsplit

from passes.google.addresses import secure
from passes.google.ids import RESOURCE

Document = dict[str, Any]
"""A class, object or part of one, as JSON values."""

MESSAGES_MAX = 10
PLACES_MAX = 10
CARD_ROWS_MAX = 3
INT32_MAX = 2**31 - 1
INT64_MAX = 2**63 - 1


class DocumentInvalid(ValueError):
    """What was built is no correct class or object: a mistake of ours, never the customer's."""


Words = frozenset[str]
Kind = str | Words | tuple[str]
"""A scalar or the name of a type; the words of an enumeration; `("X",)` is a list of X."""

STATES: Words = frozenset({"ACTIVE", "COMPLETED", "EXPIRED", "INACTIVE"})
REVIEWS: Words = frozenset({"UNDER_REVIEW", "APPROVED", "REJECTED", "DRAFT"})
MESSAGE_TYPES: Words = frozenset({"TEXT", "EXPIRATION_NOTIFICATION", "TEXT_AND_NOTIFY"})
HOLDERS: Words = frozenset({"MULTIPLE_HOLDERS", "ONE_USER_ALL_DEVICES", "ONE_USER_ONE_DEVICE"})
NOTIFY: Words = frozenset({"NOTIFY_ON_UPDATE"})
RENDER: Words = frozenset({"UTF_8"})
BARCODES: Words = frozenset(
    {
        "AZTEC", "CODE_39", "CODE_128", "CODABAR", "DATA_MATRIX", "EAN_8", "EAN_13", "ITF_14", "PDF_417",
        "QR_CODE", "UPC_A", "TEXT_ONLY",
    }
)  # fmt: skip

# Google sets the rest itself, or knows the word without supporting it.
_NOT_OURS_TO_WRITE: Words = frozenset({"APPROVED", "REJECTED", "EXPIRATION_NOTIFICATION"})

TYPES: Mapping[str, Mapping[str, Kind]] = {
    "LoyaltyClass": {
        "id": "string", "issuerName": "string", "localizedIssuerName": "LocalizedString",
        "programName": "string", "localizedProgramName": "LocalizedString", "programLogo": "Image",
        "wideProgramLogo": "Image", "heroImage": "Image", "hexBackgroundColor": "string",
        "accountIdLabel": "string", "localizedAccountIdLabel": "LocalizedString",
        "accountNameLabel": "string", "localizedAccountNameLabel": "LocalizedString",
        "linksModuleData": "LinksModuleData", "textModulesData": ("TextModuleData",),
        "merchantLocations": ("MerchantLocation",), "messages": ("Message",),
        "multipleDevicesAndHoldersAllowedStatus": HOLDERS, "callbackOptions": "CallbackOptions",
        "classTemplateInfo": "ClassTemplateInfo", "reviewStatus": REVIEWS, "notifyPreference": NOTIFY,
    },
    "LoyaltyObject": {
        "id": "string", "classId": "string", "state": STATES, "accountId": "string", "accountName": "string",
        "loyaltyPoints": "LoyaltyPoints", "barcode": "Barcode", "heroImage": "Image",
        "textModulesData": ("TextModuleData",), "linksModuleData": "LinksModuleData",
        "messages": ("Message",), "validTimeInterval": "TimeInterval",
        "merchantLocations": ("MerchantLocation",), "notifyPreference": NOTIFY,
    },
    "AddMessageRequest": {"message": "Message"},
    "Barcode": {"type": BARCODES, "value": "string", "alternateText": "string", "renderEncoding": RENDER},
    "CallbackOptions": {"url": "string"},
    "CardRowOneItem": {"item": "TemplateItem"},
    "CardRowTwoItems": {"startItem": "TemplateItem", "endItem": "TemplateItem"},
    "CardRowThreeItems": {
        "startItem": "TemplateItem", "middleItem": "TemplateItem", "endItem": "TemplateItem",
    },
    "CardRowTemplateInfo": {
        "oneItem": "CardRowOneItem", "twoItems": "CardRowTwoItems", "threeItems": "CardRowThreeItems",
    },
    "CardTemplateOverride": {"cardRowTemplateInfos": ("CardRowTemplateInfo",)},
    "ClassTemplateInfo": {"cardTemplateOverride": "CardTemplateOverride"},
    "DateTime": {"date": "string"},
    "FieldReference": {"fieldPath": "string"},
    "FieldSelector": {"fields": ("FieldReference",)},
    "Image": {
        "sourceUri": "ImageUri", "privateImageId": "string", "contentDescription": "LocalizedString",
    },
    "ImageUri": {"uri": "string"},
    "LinksModuleData": {"uris": ("Uri",)},
    "LocalizedString": {"defaultValue": "TranslatedString", "translatedValues": ("TranslatedString",)},
    "LoyaltyPoints": {"label": "string", "balance": "LoyaltyPointsBalance"},
    "LoyaltyPointsBalance": {"string": "string", "int": "int32", "double": "double", "money": "Money"},
    "MerchantLocation": {"latitude": "double", "longitude": "double"},
    "Message": {
        "id": "string", "header": "string", "body": "string", "localizedHeader": "LocalizedString",
        "localizedBody": "LocalizedString", "displayInterval": "TimeInterval", "messageType": MESSAGE_TYPES,
    },
    "Money": {"currencyCode": "string", "micros": "int64"},
    "TemplateItem": {"firstValue": "FieldSelector"},
    "TextModuleData": {
        "id": "string", "header": "string", "body": "string",
        "localizedHeader": "LocalizedString", "localizedBody": "LocalizedString",
    },
    "TimeInterval": {"start": "DateTime", "end": "DateTime"},
    "TranslatedString": {"language": "string", "value": "string"},
    "Uri": {
        "id": "string", "uri": "string", "description": "string", "localizedDescription": "LocalizedString",
    },
}  # fmt: skip

REQUIRED: Mapping[str, tuple[str, ...]] = {
    "LoyaltyClass": ("id", "issuerName", "programName", "programLogo", "reviewStatus"),
    "LoyaltyObject": ("id", "classId", "state"),
    "AddMessageRequest": ("message",),
    "LoyaltyPoints": ("balance",),
    "LocalizedString": ("defaultValue",),
    "Money": ("currencyCode", "micros"),
    "Barcode": ("type",),
    "MerchantLocation": ("latitude", "longitude"),
    "Uri": ("uri",),
}


# Writing ----------------------------------------------------------------------


def refuse_invalid(type_name: str, document: Mapping[str, Any], *, patch: bool = False) -> None:
    """Let a correct document of this type pass; DocumentInvalid names the path of the first mistake.

    In a patch fields may be missing, and null takes a field away. Lists are
    replaced as wholes, so their items are always complete.
    """
    _refuse_type(type_name, document, type_name, patch=patch)
    if type_name == "LoyaltyClass" and patch and not document.get("reviewStatus"):
        raise DocumentInvalid("LoyaltyClass: every change of a class must ask for review again")


def _refuse_type(type_name: str, value: Any, path: str, *, patch: bool) -> None:
    if not isinstance(value, Mapping):
        raise DocumentInvalid(f"{path}: an object is expected")
    known = TYPES[type_name]
    for name, item in value.items():
        if name not in known:
            raise DocumentInvalid(f"{path}: there is no field {name}")
        if item is None:
            if not patch:
                raise DocumentInvalid(f"{path}.{name}: null has a meaning in patches only")
        else:
            _refuse_kind(known[name], item, f"{path}.{name}", patch=patch)
    if not patch:
        for name in REQUIRED.get(type_name, ()):
            if value.get(name) in (None, "", {}):
                raise DocumentInvalid(f"{path}: {name} is missing")
    if rule := _RULES.get(type_name):
        present = {name: item for name, item in value.items() if item is not None}
        if broken := rule(present, patch):
            raise DocumentInvalid(f"{path}: {broken}")


def _refuse_kind(kind: Kind, value: Any, path: str, *, patch: bool) -> None:
    if isinstance(kind, tuple):
        if not isinstance(value, list | tuple):
            raise DocumentInvalid(f"{path}: a list is expected")
        for place, item in enumerate(value):
            _refuse_kind(kind[0], item, f"{path}[{place}]", patch=False)
    elif isinstance(kind, frozenset):
        if not isinstance(value, str) or value not in kind or value in _NOT_OURS_TO_WRITE:
            raise DocumentInvalid(f"{path}: {value!r} is not a word that may be written here")
    elif check := _SCALARS.get(kind):
        if not check(value):
            raise DocumentInvalid(f"{path}: {value!r} is no {kind}")
    else:
        _refuse_type(kind, value, path, patch=patch)


_SCALARS: Mapping[str, Callable[[Any], bool]] = {
    "string": lambda value: isinstance(value, str),
    "int32": lambda value: type(value) is int and -INT32_MAX - 1 <= value <= INT32_MAX,
    # As text, because a JSON number loses digits beyond 2^53 in many readers.
    "int64": lambda value: isinstance(value, str) and _is_int64(value),
    "double": lambda value: type(value) in (int, float),
}


def _is_int64(text: str) -> bool:
    digits = text.removeprefix("-")
    return (
        digits.isascii()
        and digits.isdecimal()
        and len(digits) <= 19
        and -INT64_MAX - 1 <= int(text) <= INT64_MAX
    )


# Each rule answers with what is wrong, or None.
Rule = Callable[[Mapping[str, Any], bool], str | None]


def _identity(value: Mapping[str, Any], _patch: bool) -> str | None:
    for name in ("id", "classId"):
        if name in value and not RESOURCE.fullmatch(value[name]):
            return f"{name} must be the issuer, a dot, and letters, digits, . _ -"
    if len(value.get("messages", ())) > MESSAGES_MAX:
        return f"more than {MESSAGES_MAX} messages"
    # Google takes two of one id, and then neither can be told from the other.
    named = [message["id"] for message in value.get("messages", ()) if "id" in message]
    if len(set(named)) != len(named):
        return "two messages have the same id"
    if len(value.get("merchantLocations", ())) > PLACES_MAX:
        return f"more than {PLACES_MAX} places; Google refuses the card"
    return None


def _exactly_one(*names: str, also_in_patches: bool = False) -> Rule:
    def rule(value: Mapping[str, Any], patch: bool) -> str | None:
        count = sum(name in value for name in names)
        if count > 1 or (count == 0 and (also_in_patches or not patch)):
            return f"exactly one of {', '.join(names)} is needed"
        return None

    return rule


def _place(value: Mapping[str, Any], _patch: bool) -> str | None:
    if not (-90 <= value["latitude"] <= 90 and -180 <= value["longitude"] <= 180):
        return f"{value['latitude']}, {value['longitude']} is no place on earth"
    return None


def _rows(value: Mapping[str, Any], _patch: bool) -> str | None:
    if len(value.get("cardRowTemplateInfos", ())) > CARD_ROWS_MAX:
        return f"more than {CARD_ROWS_MAX} rows"
    return None


def _text_module(value: Mapping[str, Any], _patch: bool) -> str | None:
    # Dots separate the parts of a field path.
    if "." in value.get("id", ""):
        return "the id of a text module has no dots"
    return None


def _link(value: Mapping[str, Any], _patch: bool) -> str | None:
    return None if _has_scheme(value.get("uri", "")) else "a link needs its scheme, such as https: or tel:"


def _fetched(name: str, what: str) -> Rule:
    def rule(value: Mapping[str, Any], _patch: bool) -> str | None:
        return None if secure(value.get(name, "")) else f"{what} must be an https address"

    return rule


def _barcode(value: Mapping[str, Any], patch: bool) -> str | None:
    if value.get("type") == "TEXT_ONLY":
        return "there is no alternate text beside TEXT_ONLY" if "alternateText" in value else None
    if "renderEncoding" in value and value.get("type", "QR_CODE") != "QR_CODE":
        return "renderEncoding belongs to QR codes"
    return None if patch or value.get("value") else "the code is empty"


def _interval(value: Mapping[str, Any], _patch: bool) -> str | None:
    try:
        ends = [datetime.fromisoformat(moment["date"]) for moment in value.values()]
    except (KeyError, ValueError):
        return "a moment must be ISO 8601"
    if len({end.utcoffset() is None for end in ends}) > 1:
        return "both ends carry an offset, or neither"
    return None


_RULES: Mapping[str, Rule] = {
    "LoyaltyClass": _identity,
    "LoyaltyObject": _identity,
    "LoyaltyPointsBalance": _exactly_one("string", "int", "double", "money", also_in_patches=True),
    "MerchantLocation": _place,
    "CardTemplateOverride": _rows,
    "CardRowTemplateInfo": _exactly_one("oneItem", "twoItems", "threeItems"),
    "TextModuleData": _text_module,
    "Uri": _link,
    "Image": _exactly_one("sourceUri", "privateImageId"),
    "ImageUri": _fetched("uri", "an image"),
    "CallbackOptions": _fetched("url", "the callback"),
    "Barcode": _barcode,
    "TimeInterval": _interval,
}


def _has_scheme(address: str) -> bool:
    try:
        parts = urlsplit(address)
    except ValueError:
        return False
    return bool(parts.scheme) and bool(parts.netloc or parts.path)


# Reading ----------------------------------------------------------------------


def read(type_name: str, document: Mapping[str, Any]) -> Document:
    """What Google answered, in the spelling in which we write.

    Keeps the fields that we know, turns old spellings of enumerations
    (`active`, `underReview`) into today's, and numbers into the form in which
    they are written, so that the result compares with a document of ours.
    """
    known = TYPES[type_name]
    return {
        name: _read_kind(known[name], value)
        for name, value in document.items()
        if name in known and value is not None
    }


def _read_kind(kind: Kind, value: Any) -> Any:
    if isinstance(kind, tuple):
        return [_read_kind(kind[0], item) for item in value] if isinstance(value, list) else value
    if isinstance(kind, frozenset):
        return word(kind, value)
    if kind in ("int32", "int64"):
        # Either may arrive as a number or as text.
        try:
            return str(int(value)) if kind == "int64" else int(value)
        except (TypeError, ValueError):
            return value
    if kind in TYPES and isinstance(value, Mapping):
        return read(kind, value)
    return value


def word(words: Words, value: Any) -> Any:
    """The upper-case word that `value` spells in any of Google's ways; `value` itself if none."""
    if not isinstance(value, str):
        return value
    bare = value.replace("_", "").lower()
    return next((candidate for candidate in words if candidate.replace("_", "").lower() == bare), value)
