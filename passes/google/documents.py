"""Programme and CardFace -> the JSON of a loyalty class and a loyalty object, and what changed between two.

One class for each programme holds what all cards share; one object for each
card holds the member's part, in the member's language. A level is a row of the
object, so that nobody has to move between classes.

A document is state: it holds everything that the card should show, and a patch
brings Google from any earlier state to it. Source: Google, "LoyaltyClass" and
"LoyaltyObject".
"""

from __future__ import annotations

import hashlib
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any

import orjson

from passes.google.schema import (
    INT32_MAX,
    MESSAGES_MAX,
    PLACES_MAX,
    Document,
    DocumentInvalid,
    read,
    refuse_invalid,
)
from passes.loyalty.card import CardFace, FaceField, FieldKind, OfferLine, Say, Symbology
from passes.loyalty.letters import upper
from passes.loyalty.money import decimal_text, minor_digits
from passes.loyalty.programme import Contact, Programme
from passes.loyalty.text import Text

TEXT_MODULES_MAX = 10
"""Google shows no more of them from one object."""
HEADER_CHARACTERS_MAX = 35
BODY_CHARACTERS_MAX = 500
PART_CHARACTERS = 450  # of a text that is cut: some room, because words stay whole
MICROS_DIGITS = 6

BARCODES: Mapping[Symbology, str] = {
    Symbology.QR: "QR_CODE",
    Symbology.AZTEC: "AZTEC",
    Symbology.PDF417: "PDF_417",
    Symbology.CODE128: "CODE_128",
}

# Keys of face fields: `member` becomes the account's name, `terms` stand in the
# class, the others become text modules.
MEMBER, NEXT, OFFER, TIER, STAMPS, TERMS = "member", "next", "offer", "tier", "stamps", "terms"


@dataclass(frozen=True, slots=True)
class Pictures:
    """Public addresses of images. Google keeps what it fetched: a new image needs a new address."""

    logo: str
    wide_logo: str | None = None
    hero: str | None = None


# The class --------------------------------------------------------------------


def loyalty_class(
    programme: Programme,
    *,
    class_id: str,
    pictures: Pictures,
    say: Say,
    callback_url: str | None = None,
    draft: bool = False,
) -> Document:
    """The class of a programme: names, colours, places, links and the rows on the front.

    `callback_url` is told when people save and remove cards. A draft cannot be
    used by objects yet. Raises DocumentInvalid rather than return something
    that Google would refuse.
    """
    languages = programme.languages
    said = _said(languages, say)
    document: Document = {
        "id": class_id,
        "issuerName": programme.organisation.in_(programme.language),
        "localizedIssuerName": _localised(programme.organisation, languages),
        "programName": programme.name.in_(programme.language),
        "localizedProgramName": _localised(programme.name, languages),
        "programLogo": _image(pictures.logo, programme.organisation, languages),
        "hexBackgroundColor": programme.design.colours.ground,
        "accountIdLabel": said["card"].in_(programme.language),
        "localizedAccountIdLabel": _localised(said["card"], languages),
        "accountNameLabel": said["member"].in_(programme.language),
        "localizedAccountNameLabel": _localised(said["member"], languages),
        # The first account that saves a card owns it: a link must not serve a whole street.
        "multipleDevicesAndHoldersAllowedStatus": "ONE_USER_ALL_DEVICES",
        "classTemplateInfo": {
            "cardTemplateOverride": {"cardRowTemplateInfos": _rows(programme)},
        },
        "merchantLocations": [
            {"latitude": shop.latitude, "longitude": shop.longitude} for shop in programme.shops[:PLACES_MAX]
        ],
        "linksModuleData": {"uris": _links(programme.contact, said, languages)},
        "textModulesData": _terms(programme.terms, said["terms"], languages),
        "reviewStatus": "DRAFT" if draft else "UNDER_REVIEW",
    }
    if pictures.wide_logo is not None:
        document["wideProgramLogo"] = _image(pictures.wide_logo, programme.organisation, languages)
    if pictures.hero is not None:
        document["heroImage"] = _image(pictures.hero, programme.name, languages)
    if callback_url is not None:
        document["callbackOptions"] = {"url": callback_url}
    refuse_invalid("LoyaltyClass", document)
    return document


def _said(languages: Sequence[str], say: Say) -> dict[str, Text]:
    """Our own labels, in every language of the programme."""
    spoken = {
        language: {
            "card": say(language, "Card"),
            "member": upper(say(language, "Member"), language),  # As the rows beside it are written.
            "terms": say(language, "Terms"),
            # Descriptions of links are cut after 20 characters on the phone.
            "website": say(language, "Website"),
            "phone": say(language, "Call us"),
            "email": say(language, "Write to us"),
        }
        for language in languages
    }
    return {
        key: Text.of({language: words[key] for language, words in spoken.items()})
        for key in spoken[languages[0]]
    }


def _rows(programme: Programme) -> list[Document]:
    """The balance with the way to the next reward; then who it is; then today's offer."""
    about = ["object.accountName"]
    if programme.tiers:
        about.append(_module_path(TIER))
    if programme.stamps:
        about.append(_module_path(STAMPS))
    return [
        _row("object.loyaltyPoints.balance", _module_path(NEXT)),
        _row(*about),
        _row(_module_path(OFFER)),
    ]


_ITEMS = {
    1: ("oneItem", ("item",)),
    2: ("twoItems", ("startItem", "endItem")),
    3: ("threeItems", ("startItem", "middleItem", "endItem")),
}


def _row(*paths: str) -> Document:
    name, places = _ITEMS[len(paths)]
    return {
        name: {
            place: {"firstValue": {"fields": [{"fieldPath": path}]}}
            for place, path in zip(places, paths, strict=True)
        }
    }


def _module_path(key: str) -> str:
    return f"object.textModulesData['{key}']"


def _links(contact: Contact, said: Mapping[str, Text], languages: Sequence[str]) -> list[Document]:
    links = {
        "website": contact.website,
        "phone": f"tel:{contact.phone.replace(' ', '')}" if contact.phone else "",
        "email": f"mailto:{contact.email}" if contact.email else "",
    }
    return [
        {
            "id": key,
            "uri": uri,
            "description": said[key].in_(languages[0]),
            "localizedDescription": _localised(said[key], languages),
        }
        for key, uri in links.items()
        if uri
    ]


def _terms(terms: Text, header: Text, languages: Sequence[str]) -> list[Document]:
    """The terms, which are the same for everybody and longer than one module may be.

    Every language is cut into as many parts as the longest one needs, so that
    a part has all its translations.
    """
    texts = {language: terms.in_(language).strip() for language in languages}
    if not all(texts.values()):
        return []
    longest = max(map(len, texts.values()))
    count = min(-(-longest // PART_CHARACTERS), TEXT_MODULES_MAX)
    parts = {language: _parts(text, count) for language, text in texts.items()}
    modules = []
    for place in range(count):
        body = Text.of({language: parts[language][place] for language in languages})
        modules.append(
            {
                "id": TERMS if place == 0 else f"{TERMS}-{place + 1}",
                "header": header.in_(languages[0]),
                "body": body.in_(languages[0]),
                "localizedHeader": _localised(header, languages),
                "localizedBody": _localised(body, languages),
            }
        )
    return modules


def _parts(text: str, count: int) -> list[str]:
    """A text cut between words into so many parts of about the same length."""
    parts: list[str] = [""]
    wanted = min(len(text) / count, PART_CHARACTERS)
    for word in re.findall(r"\S+\s*", text):
        if len(parts) < count and parts[-1] and len(parts[-1]) + len(word) / 2 > wanted:
            parts.append("")
        parts[-1] += word
    parts += ["…"] * (count - len(parts))
    return [_cut(part.strip(), BODY_CHARACTERS_MAX) for part in parts]


def _localised(text: Text, languages: Sequence[str]) -> Document:
    """The text in every language of the programme, its first one as the default."""
    default, *others = languages
    document: Document = {"defaultValue": {"language": default, "value": text.in_(default)}}
    if others:
        document["translatedValues"] = [
            {"language": language, "value": text.in_(language)} for language in others
        ]
    return document


def _image(address: str, description: Text, languages: Sequence[str]) -> Document:
    return {"sourceUri": {"uri": address}, "contentDescription": _localised(description, languages)}


# The object -------------------------------------------------------------------


def loyalty_object(
    face: CardFace,
    *,
    object_id: str,
    class_id: str,
    hero: str | None = None,
    messages: Sequence[Document] = (),
) -> Document:
    """The object of a card: what the face says.

    `hero` is the public address of the picture for the face's strip.
    `messages` (see `message`) follow the face's own offers; ten are kept.
    Raises DocumentInvalid rather than return something that Google would refuse.
    """
    member = next((str(field.value) for field in face.row if field.key == MEMBER), None)
    shown = [face.primary, *face.row, *face.back]
    _refuse_twins(shown)
    shown = [field for field in shown if field.key not in (MEMBER, TERMS)]
    document: Document = {
        "id": object_id,
        "classId": class_id,
        "state": "INACTIVE" if face.voided else "ACTIVE",
        "accountId": face.barcode.text,
        "loyaltyPoints": {"label": face.header.label, "balance": _balance(face.header)},
        "barcode": _barcode(face),
        "textModulesData": [_module(field) for field in shown[:TEXT_MODULES_MAX]],
        "messages": [*(offer_message(offer) for offer in face.offers), *messages][:MESSAGES_MAX],
    }
    if member is not None:
        document["accountName"] = member
    if hero is not None:
        document["heroImage"] = {
            "sourceUri": {"uri": hero},
            "contentDescription": {"defaultValue": {"language": face.language, "value": face.programme_name}},
        }
    if face.expires_at is not None:
        document["validTimeInterval"] = {"end": {"date": _instant(face.expires_at)}}
    refuse_invalid("LoyaltyObject", document)
    return document


def _balance(field: FaceField) -> Document:
    """Exactly one of Google's kinds of balance."""
    value, kind = field.value, field.kind
    if kind is FieldKind.NUMBER and type(value) is int:
        # Google's whole numbers end at 32 bits.
        return {"int": value} if abs(value) <= INT32_MAX else {"string": str(value)}
    if kind is FieldKind.MONEY and type(value) is int and field.currency is not None:
        scale = 10 ** (MICROS_DIGITS - minor_digits(field.currency))
        return {"money": {"currencyCode": field.currency, "micros": str(value * scale)}}
    if kind is FieldKind.TEXT and isinstance(value, str):
        return {"string": value}
    raise DocumentInvalid(f"field {field.key}: {value!r} is no balance")


def _barcode(face: CardFace) -> Document:
    code = face.barcode
    barcode: Document = {
        "type": BARCODES[code.symbology],
        "value": code.message,
        # What a cashier types when the camera fails.
        "alternateText": code.text,
    }
    if code.symbology is Symbology.QR:
        barcode["renderEncoding"] = "UTF_8"
    return barcode


def _module(field: FaceField) -> Document:
    return {
        "id": field.key,
        "header": _cut(field.label, HEADER_CHARACTERS_MAX),
        "body": _cut(_words(field), BODY_CHARACTERS_MAX),
    }


def _words(field: FaceField) -> str:
    """A value as text: unlike Apple's, these fields know no formats."""
    value = field.value
    if isinstance(value, datetime):
        return _instant(value)[:10]
    if field.kind is FieldKind.MONEY and type(value) is int and field.currency is not None:
        return f"{decimal_text(value, field.currency)} {field.currency}"
    return str(value)


def _cut(text: str, limit: int) -> str:
    return text if len(text) <= limit else text[: limit - 1].rstrip() + "…"


def _refuse_twins(fields: Sequence[FaceField]) -> None:
    seen: set[str] = set()
    for field in fields:
        if not field.key or field.key in seen:
            raise DocumentInvalid(f"two fields have the key {field.key!r}: rows are found by key")
        seen.add(field.key)


def _instant(moment: datetime) -> str:
    if moment.utcoffset() is None:
        raise DocumentInvalid("a date needs its zone")
    return moment.isoformat(timespec="seconds")


# Messages ---------------------------------------------------------------------


def message(
    key: str,
    *,
    header: str,
    body: str,
    ends_at: datetime,
    starts_at: datetime | None = None,
    alert: bool = False,
) -> Document:
    """A message that Google shows from `starts_at` and takes away by itself at `ends_at`.

    `key` must be unique for the card. `alert` asks for a notification too:
    three a card in 24 hours are allowed, which the caller counts.
    """
    if starts_at is not None and starts_at >= ends_at:
        raise DocumentInvalid("a message must end after it begins")
    interval: Document = {"end": {"date": _instant(ends_at)}}
    if starts_at is not None:
        interval["start"] = {"date": _instant(starts_at)}
    return {
        "id": key,
        "header": header,
        "body": body,
        "displayInterval": interval,
        "messageType": "TEXT_AND_NOTIFY" if alert else "TEXT",
    }


def offer_message(offer: OfferLine, *, alert: bool = False) -> Document:
    """The message of an offer. The one that alerts and the one on the card share their id."""
    return message(
        f"offer-{offer.key}", header=offer.title, body=offer.text, ends_at=offer.ends_at, alert=alert
    )


def add_message(wanted: Mapping[str, Any]) -> Document:
    """The body of an addMessage request. Raises DocumentInvalid."""
    body: Document = {"message": dict(wanted)}
    for name in ("id", "displayInterval"):
        if not wanted.get(name):
            raise DocumentInvalid(f"a message without {name} could never be taken away again")
    refuse_invalid("AddMessageRequest", body)
    return body


def silent(body: Mapping[str, Any]) -> Document:
    """The same request without its notification: for a card whose alerts of the day are used up."""
    quiet = {name: value for name, value in body.items() if name != "notifyPreference"}
    if "message" in quiet:
        quiet["message"] = {**quiet["message"], "messageType": "TEXT"}
    return quiet


def notifies(body: Mapping[str, Any]) -> bool:
    """Whether a request asks for a notification."""
    return "notifyPreference" in body or body.get("message", {}).get("messageType") == "TEXT_AND_NOTIFY"


# Changes ----------------------------------------------------------------------

_ANYTHING = object()  # equal to nothing that we could want


def _all(*names: str) -> dict[str, Any]:
    return dict.fromkeys(names, _ANYTHING)


# Everything that an earlier version of a document may have held. Patches merge,
# so whatever is not wanted any more has to be taken away by name.
_EARLIER: Mapping[str, Mapping[str, Any]] = {
    "LoyaltyObject": {
        "accountId": _ANYTHING,
        "accountName": _ANYTHING,
        "loyaltyPoints": {"label": _ANYTHING, "balance": _all("string", "int", "double", "money")},
        "barcode": _all("type", "value", "alternateText", "renderEncoding"),
        "heroImage": _ANYTHING,
        "textModulesData": _ANYTHING,
        "messages": _ANYTHING,
        "validTimeInterval": _ANYTHING,
    },
    "LoyaltyClass": {
        "wideProgramLogo": _ANYTHING,
        "heroImage": _ANYTHING,
        "callbackOptions": _ANYTHING,
        "linksModuleData": _ANYTHING,
        "merchantLocations": _ANYTHING,
        "textModulesData": _ANYTHING,
    },
}


def object_patch(
    wanted: Mapping[str, Any], before: Mapping[str, Any] | None = None, *, notify: bool = False
) -> Document | None:
    """What to send so that an object becomes `wanted`; None when nothing differs.

    `before` is what Google holds: our own earlier document, or Google's answer
    to a get. Without it the patch says everything and takes away whatever else
    an earlier version may have held. `notify` asks for a notification if the
    balance changes: Google forgets the wish after this one request.
    """
    patch = _patch("LoyaltyObject", wanted, before)
    if not patch:
        return None
    if notify and "balance" in (patch.get("loyaltyPoints") or {}):
        patch["notifyPreference"] = "NOTIFY_ON_UPDATE"
    refuse_invalid("LoyaltyObject", patch, patch=True)
    return patch


def class_patch(wanted: Mapping[str, Any], before: Mapping[str, Any] | None = None) -> Document | None:
    """What to send so that a class becomes `wanted`; None when nothing differs.

    Every patch asks for review again, as Google wants it; that Google has
    approved the class meanwhile is no difference.
    """
    patch = _patch("LoyaltyClass", wanted, before)
    patch.pop("reviewStatus", None)
    known = read("LoyaltyClass", before).get("reviewStatus") if before is not None else None
    leaves_draft = known == "DRAFT" and wanted["reviewStatus"] != "DRAFT"
    if not patch and not leaves_draft:
        return None
    # A class that has left the draft state cannot go back.
    patch["reviewStatus"] = wanted["reviewStatus"] if known in (None, "DRAFT") else "UNDER_REVIEW"
    refuse_invalid("LoyaltyClass", patch, patch=True)
    return patch


def digests(type_name: str, document: Mapping[str, Any]) -> dict[str, str]:
    """What a document says, member by member, to be compared later without keeping it.

    A member that an earlier document may have had and this one lacks has a
    digest too.
    """
    names = (document.keys() | _EARLIER[type_name].keys()) - {"id"}
    return {
        name: hashlib.blake2b(
            orjson.dumps(document.get(name), option=orjson.OPT_SORT_KEYS), digest_size=9
        ).hexdigest()
        for name in sorted(names)
    }


def known_by(wanted: Mapping[str, Any], told: Mapping[str, str]) -> Document:
    """What Google holds of an object as far as digests tell, for `object_patch`: `told` are those of
    the members that it was last given.

    A member with the wanted digest is as wanted; any other may be anything.
    """
    same = {name for name, digest in digests("LoyaltyObject", wanted).items() if told.get(name) == digest}
    known = {name: value for name, value in wanted.items() if name in same}
    return known | {name: value for name, value in _EARLIER["LoyaltyObject"].items() if name not in same}


def erasing_patch() -> Document:
    """What takes a person's data from an object. It can never be deleted, and its id stays used."""
    patch: Document = dict.fromkeys(
        ("accountId", "accountName", "barcode", "heroImage", "loyaltyPoints", "validTimeInterval")
    )
    patch |= {"messages": [], "textModulesData": [], "state": "INACTIVE"}
    refuse_invalid("LoyaltyObject", patch, patch=True)
    return patch


def _patch(type_name: str, wanted: Mapping[str, Any], before: Mapping[str, Any] | None) -> Document:
    known = read(type_name, before) if before is not None else _EARLIER[type_name]
    if before is not None:
        # Only what we look after: whatever else somebody set in the console stays.
        ours = wanted.keys() | _EARLIER[type_name].keys()
        known = {name: value for name, value in known.items() if name in ours}
    patch = _merge(known, wanted)
    patch.pop("id", None)
    return patch


def _merge(before: Mapping[str, Any], wanted: Mapping[str, Any]) -> Document:
    """A merge patch (RFC 7396): changed members, null for those that go, lists whole."""
    patch: Document = {name: None for name in before if name not in wanted}
    for name, value in wanted.items():
        known = before.get(name, _ANYTHING)
        if isinstance(value, Mapping) and isinstance(known, Mapping):
            if inner := _merge(known, value):
                patch[name] = inner
        elif known is _ANYTHING or known != value:
            patch[name] = value
    return patch
