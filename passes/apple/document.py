"""CardFace -> pass.json, through the classes of wallet-py3k.

Every part of a document is an instance of one of its classes or of a subclass
below. The subclasses put right what version 0.0.4 does differently from Apple's
format (alignment and empty messages on every field, the legacy single barcode,
the misspelt expiration date, unknown keys in locations), and refuse to emit any
key that Apple does not document: phones ignore a misspelt key in silence.

Apple's pages: Pass, PassFields, PassFieldContent, Pass.Barcodes, Pass.Locations.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from functools import lru_cache
from typing import Any

import orjson
from wallet.models import (
    Barcode,
    BarcodeFormat,
    CurrencyField,
    DateField,
    DateStyle,
    Field,
    Location,
    NumberField,
    Pass,
    StoreCard,
)

from passes.loyalty.card import Barcode as CardCode
from passes.loyalty.card import CardFace, ChangeText, FaceField, FieldKind, Place, Symbology
from passes.loyalty.money import minor_digits

HEADER_FIELDS_MAX = 3
PRIMARY_FIELDS_MAX = 1
ROW_FIELDS_MAX = 4  # secondary and auxiliary share one row on a store card
LOCATIONS_MAX = 10
TOKEN_CHARACTERS_MIN = 16

CONTACT_KEY = "contact"
"""The back field with the contact details of the organisation that signs."""

SERIAL = re.compile(r"[A-Za-z0-9_-]{1,64}")
ADDRESS = re.compile(r"https://[^\s/?#]+(?:/[^\s?#]*)?")
ADDRESS_ON_A_LAPTOP = re.compile(r"https?://[^\s/?#]+(?:/[^\s?#]*)?")
HEX_COLOUR = re.compile(r"#[0-9A-Fa-f]{6}")


class DocumentInvalid(ValueError):
    """The face or the arguments cannot become a correct pass: a mistake of ours, never the customer's."""


@dataclass(frozen=True, slots=True)
class WebService:
    """Where the phone asks for updates of this card, and the secret it shows there.

    `url` is the base without `/v1`, which phones append. `token` must stay the
    same for the life of the serial. Only development allows http.
    """

    url: str
    token: str
    allow_http: bool = False

    def __post_init__(self) -> None:
        """Raise DocumentInvalid for an address or token that phones would not use."""
        shape = ADDRESS_ON_A_LAPTOP if self.allow_http else ADDRESS
        if not shape.fullmatch(self.url):
            raise DocumentInvalid("the web service address must be https, without query")
        if self.url.rstrip("/").endswith("/v1"):
            raise DocumentInvalid("the web service address must not end in /v1: phones append it")
        if len(self.token) < TOKEN_CHARACTERS_MIN:
            raise DocumentInvalid(f"the token has fewer than {TOKEN_CHARACTERS_MIN} characters")


def store_card(
    face: CardFace,
    *,
    pass_type: str,
    team: str,
    serial: str,
    web_service: WebService | None,
) -> bytes:
    """The pass.json of a card: compact UTF-8 JSON, the same bytes for the same arguments.

    `pass_type` and `team` are the signer's. Without `web_service` the phone
    never asks again, which is what a card that left us for good should do.
    Raises DocumentInvalid rather than emit something that a phone rejects,
    ignores or shows wrongly.
    """
    if not pass_type.startswith("pass."):
        raise DocumentInvalid(f"pass type {pass_type!r} does not start with pass.")
    if not SERIAL.fullmatch(serial):
        raise DocumentInvalid("the serial must be 1 to 64 of A-Z a-z 0-9 _ -")

    style = LoyaltyCard(*filter(None, (face.change, face.offer_change)))
    style.place("headerFields", (face.header,))
    style.place("primaryFields", (face.primary,))
    style.place("secondaryFields", face.row)
    style.place(
        "backFields",
        (
            *filter(None, (face.news,)),
            *(FaceField(f"offer-{offer.key}", offer.title, offer.text) for offer in face.offers),
            *face.back,
        ),
    )
    style.check()

    card = LoyaltyPass(style, passTypeIdentifier=pass_type, teamIdentifier=team)
    card.organizationName = face.organisation
    card.description = face.description
    card.logoText = face.programme_name
    card.serialNumber = serial
    card.backgroundColor = _rgb(face.colours.ground)
    card.foregroundColor = _rgb(face.colours.text)
    card.labelColor = _rgb(face.colours.label)
    card.barcodes = _barcodes(face.barcode)
    if face.places:
        card.locations = _locations(face.places)
    if face.voided:
        card.voided = True
    if face.expires_at is not None:
        card.expirationDate = _instant(face.expires_at)
    if web_service is not None:
        card.webServiceURL = web_service.url
        card.authenticationToken = web_service.token
    return orjson.dumps(card.json_dict())


# Fields -----------------------------------------------------------------------

FIELD_KEYS = frozenset(
    {"key", "value", "label", "changeMessage", "numberStyle", "currencyCode", "dateStyle", "timeStyle"}
)


class _Documented:
    """What all fields share: they start without the base class's noise and emit documented keys only."""

    def _settle(self) -> None:
        """Take away what the base class puts into every field.

        Alignment is forbidden on primary and back fields, and elsewhere the
        phone's own choice follows the reader's script. An empty change message
        would silence nothing: phones then show a general text.
        """
        attributes = vars(self)
        del attributes["textAlignment"], attributes["changeMessage"]
        if not attributes["label"]:
            del attributes["label"]

    def json_dict(self) -> dict[str, Any]:
        """The field's keys as Apple documents them; DocumentInvalid for any other."""
        attributes = vars(self)
        _refuse_unknown(attributes, FIELD_KEYS, "field")
        return attributes


class TextField(_Documented, Field):  # type: ignore[misc]
    """A text as it stands."""

    def __init__(self, key: str, value: str, label: str) -> None:
        if not isinstance(value, str):
            raise DocumentInvalid(f"field {key}: a text must be a str")
        Field.__init__(self, key, value, label)
        self._settle()


class WholeNumberField(_Documented, NumberField):  # type: ignore[misc]
    """A number that the phone writes in its reader's way."""

    def __init__(self, key: str, value: int, label: str) -> None:
        if type(value) is not int:
            raise DocumentInvalid(f"field {key}: a number must be an int, this is a {type(value).__name__}")
        NumberField.__init__(self, key, value, label)
        self._settle()


class MoneyField(_Documented, CurrencyField):  # type: ignore[misc]
    """An amount that the phone writes with its currency; made from minor units."""

    def __init__(self, key: str, amount_minor: int, label: str, currency: str | None) -> None:
        if type(amount_minor) is not int or currency is None:
            raise DocumentInvalid(f"field {key}: money is an int of minor units with a currency")
        # A JSON number, since only numbers are formatted. The division gives the
        # double next to the exact amount, whose shortest spelling is the amount.
        digits = minor_digits(currency)
        value = amount_minor / 10**digits if digits else amount_minor
        CurrencyField.__init__(self, key, value, label, currency)
        self._settle()


class InstantField(_Documented, DateField):  # type: ignore[misc]
    """A moment that the phone writes in its own zone and language."""

    def __init__(self, key: str, value: datetime, label: str) -> None:
        DateField.__init__(self, key, _instant(value), label)
        self.dateStyle = DateStyle.MEDIUM
        del self.isRelative  # off by default
        self._settle()


def _field(face_field: FaceField) -> Any:
    key, label, value, kind = face_field.key, face_field.label, face_field.value, face_field.kind
    if not key:
        raise DocumentInvalid("a field has no key")
    # The classes check that the value is of the kind.
    if kind is FieldKind.TEXT:
        return TextField(key, value, label)  # type: ignore[arg-type]
    if kind is FieldKind.NUMBER:
        return WholeNumberField(key, value, label)  # type: ignore[arg-type]
    if kind is FieldKind.MONEY:
        return MoneyField(key, value, label, face_field.currency)  # type: ignore[arg-type]
    return InstantField(key, value, label)  # type: ignore[arg-type]


# Style ------------------------------------------------------------------------


class LoyaltyCard(StoreCard):  # type: ignore[misc]
    """The store card style with its layout limits; phones drop what is too much without a word.

    `changes` name the fields whose new values may alert, and never two that one
    event changes: two changed fields with messages collapse into a general text.
    """

    def __init__(self, *changes: ChangeText) -> None:
        super().__init__()
        self._changes = {change.field_key: change.text for change in changes}
        self._keys: set[str] = set()

    def place(self, area: str, face_fields: Iterable[FaceField]) -> None:
        """Append fields to one of the style's areas, such as `headerFields`."""
        fields: list[Any] = getattr(self, area)
        for face_field in face_fields:
            if face_field.key in self._keys:
                raise DocumentInvalid(f"two fields have the key {face_field.key}: changes are matched by key")
            self._keys.add(face_field.key)
            field = _field(face_field)
            if face_field.key in self._changes:
                field.changeMessage = self._changes[face_field.key]
            fields.append(field)

    def check(self) -> None:
        """Raise DocumentInvalid if the fields do not fit a store card."""
        if len(self.headerFields) > HEADER_FIELDS_MAX:
            raise DocumentInvalid(f"more than {HEADER_FIELDS_MAX} header fields")
        if len(self.primaryFields) > PRIMARY_FIELDS_MAX:
            raise DocumentInvalid(f"more than {PRIMARY_FIELDS_MAX} primary field")
        if len(self.secondaryFields) + len(self.auxiliaryFields) > ROW_FIELDS_MAX:
            raise DocumentInvalid(f"more than {ROW_FIELDS_MAX} fields in the row")
        if not any(field.key == CONTACT_KEY for field in self.backFields):
            # Apple's review guidelines ask for it, and a customer needs it.
            raise DocumentInvalid(f"the back has no field {CONTACT_KEY}")
        for key, text in self._changes.items():
            if "%@" not in text:
                raise DocumentInvalid("the change message lacks %@: phones would not use it")
            if key not in self._keys:
                raise DocumentInvalid(f"the change message names {key}, which no field has")


# Barcodes ---------------------------------------------------------------------

# Not known to wallet-py3k.
CODE128 = "PKBarcodeFormatCode128"

FORMATS: Mapping[Symbology, str] = {
    Symbology.QR: BarcodeFormat.QR,
    Symbology.AZTEC: BarcodeFormat.AZTEC,
    Symbology.PDF417: BarcodeFormat.PDF417,
    Symbology.CODE128: CODE128,
}

# What every iOS and watchOS can draw; behind anything else a QR must follow.
EVERYWHERE = frozenset({BarcodeFormat.QR, BarcodeFormat.AZTEC, BarcodeFormat.PDF417})

BARCODE_KEYS = frozenset({"format", "message", "messageEncoding", "altText"})


class ScanCode(Barcode):  # type: ignore[misc]
    """One entry of `barcodes`."""

    def __init__(self, message: str, form: str, text: str) -> None:
        super().__init__(message, form, text)
        try:
            message.encode(self.messageEncoding)
        except UnicodeEncodeError:
            raise DocumentInvalid(f"the code cannot be written in {self.messageEncoding}") from None
        if not message:
            raise DocumentInvalid("the code is empty")

    def json_dict(self) -> dict[str, Any]:
        """The entry's keys as Apple documents them."""
        emitted = {name: value for name, value in vars(self).items() if value}
        _refuse_unknown(emitted, BARCODE_KEYS, "barcode")
        return emitted


def _barcodes(code: CardCode) -> list[ScanCode]:
    form = FORMATS[code.symbology]
    entries = [ScanCode(code.message, form, code.text)]
    if form not in EVERYWHERE:
        entries.append(ScanCode(code.message, BarcodeFormat.QR, code.text))
    return entries


# Locations --------------------------------------------------------------------

LOCATION_KEYS = frozenset({"latitude", "longitude", "relevantText"})


class ShopLocation(Location):  # type: ignore[misc]
    """One entry of `locations`: a shop near which the card may surface."""

    def __init__(self, latitude: float, longitude: float, text: str) -> None:
        # The base class turns nonsense into 0, 0, a place in the Atlantic.
        if not (-90 <= latitude <= 90 and -180 <= longitude <= 180):
            raise DocumentInvalid(f"no place on earth: {latitude}, {longitude}")
        super().__init__(latitude, longitude)
        self.relevantText = text
        # An altitude of 0 would be a claim, and the format knows no distance here.
        del self.altitude, self.distance

    def json_dict(self) -> dict[str, Any]:
        """The entry's keys as Apple documents them."""
        emitted = {name: value for name, value in vars(self).items() if value != ""}
        _refuse_unknown(emitted, LOCATION_KEYS, "location")
        return emitted


def _locations(places: Sequence[Place]) -> list[ShopLocation]:
    if len(places) > LOCATIONS_MAX:
        raise DocumentInvalid(f"more than {LOCATIONS_MAX} locations")
    return [ShopLocation(place.latitude, place.longitude, place.text) for place in places]


# Pass -------------------------------------------------------------------------

PASS_KEYS = frozenset(
    {
        "authenticationToken", "backgroundColor", "barcodes", "description", "expirationDate",
        "foregroundColor", "formatVersion", "labelColor", "locations", "logoText",
        "organizationName", "passTypeIdentifier", "serialNumber", "sharingProhibited", "storeCard",
        "teamIdentifier", "voided", "webServiceURL",
    }
)  # fmt: skip

REQUIRED_KEYS = (
    "description", "organizationName", "passTypeIdentifier", "serialNumber", "teamIdentifier",
    "barcodes", "storeCard",
)  # fmt: skip

# Attributes of the base class: its own names and files, and keys that a store
# card of ours must not have.
NOT_KEYS = frozenset(
    {
        "_files", "_hashes", "passInformation", "barcode", "ibeacons", "exprirationDate",
        "suppressStripShine", "relevantDate", "associatedStoreIdentifiers", "appLaunchURL",
        "userInfo",
    }
)  # fmt: skip


class LoyaltyPass(Pass):  # type: ignore[misc]
    """A pass with the keys that wallet-py3k lacks, and none that it invents."""

    def __init__(self, style: LoyaltyCard, *, passTypeIdentifier: str, teamIdentifier: str) -> None:
        super().__init__(style, passTypeIdentifier=passTypeIdentifier, teamIdentifier=teamIdentifier)
        self.barcodes: list[ScanCode] = []
        self.expirationDate: str | None = None
        # A shared card would let two people spend the same points.
        self.sharingProhibited = True

    def json_dict(self) -> dict[str, Any]:
        """The document as plain values; DocumentInvalid if a key is missing or unknown."""
        misspelt = vars(self).keys() - PASS_KEYS - NOT_KEYS
        if misspelt:
            raise DocumentInvalid(f"a pass has no {', '.join(sorted(misspelt))}")
        document: dict[str, Any] = super().json_dict()
        del document["suppressStripShine"]  # there has been no shine since iOS 7
        document["sharingProhibited"] = self.sharingProhibited
        document["barcodes"] = [code.json_dict() for code in self.barcodes]
        if self.locations:
            document["locations"] = [location.json_dict() for location in self.locations]
        if self.expirationDate is not None:
            document["expirationDate"] = self.expirationDate
        for key in REQUIRED_KEYS:
            if not document[key]:
                raise DocumentInvalid(f"{key} is missing")
        _refuse_unknown(document, PASS_KEYS, "pass")
        return document


# Values -----------------------------------------------------------------------


def _refuse_unknown(emitted: Mapping[str, Any], known: frozenset[str], what: str) -> None:
    if not known.issuperset(emitted):
        unknown = ", ".join(sorted(emitted.keys() - known))
        raise DocumentInvalid(f"a {what} has no {unknown}")


def _instant(moment: object) -> str:
    """ISO 8601 with zone, in whole seconds; phones take nothing less."""
    if not isinstance(moment, datetime) or moment.utcoffset() is None:
        raise DocumentInvalid("a date needs its zone")
    return moment.isoformat(timespec="seconds")


@lru_cache(maxsize=256)
def _rgb(colour: str) -> str:
    if not HEX_COLOUR.fullmatch(colour):
        raise DocumentInvalid(f"{colour!r} is no colour of the form #RRGGBB")
    red, green, blue = bytes.fromhex(colour[1:])
    return f"rgb({red}, {green}, {blue})"
