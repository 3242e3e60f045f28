"""What a card should say now: the wallet-neutral face.

`CardFace` is frozen: every wallet, the web card and the previews are drawn
from it and from nothing else. `compose` makes it from plain values.
"""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime
from enum import StrEnum


class Symbology(StrEnum):
    """How the card code is drawn."""

    QR = "qr"
    AZTEC = "aztec"
    PDF417 = "pdf417"
    CODE128 = "code128"


@dataclass(frozen=True, slots=True)
class Barcode:
    """The scannable code: `message` is what a scanner reads, `text` what a person types."""

    symbology: Symbology
    message: str
    text: str


class FieldKind(StrEnum):
    """How a value is to be formatted by the wallet."""

    TEXT = "text"
    NUMBER = "number"
    MONEY = "money"
    INSTANT = "instant"


@dataclass(frozen=True, slots=True)
class FaceField:
    """One labelled value.

    `key` never changes for the same fact: wallets match old and new values by
    it. `value` is a str for TEXT, an int for NUMBER, an int of minor units for
    MONEY (with `currency`), an aware datetime for INSTANT.
    """

    key: str
    label: str
    value: str | int | datetime
    kind: FieldKind = FieldKind.TEXT
    currency: str | None = None


class StripKind(StrEnum):
    """What the picture behind the primary value shows."""

    PLAIN = "plain"
    PROGRESS = "progress"  # fills towards the next reward
    STAMPS = "stamps"  # a punch card


@dataclass(frozen=True, slots=True)
class Strip:
    """The picture: `step` of `steps` are lit (0 ≤ step ≤ steps)."""

    kind: StripKind
    step: int
    steps: int


@dataclass(frozen=True, slots=True)
class OfferLine:
    """A limited-time offer as the card shows it."""

    key: str
    title: str
    text: str
    ends_at: datetime


@dataclass(frozen=True, slots=True)
class ChangeText:
    """The one sentence a phone may show when `field_key` changed; `text` contains %@ once."""

    field_key: str
    text: str


@dataclass(frozen=True, slots=True)
class Place:
    """A shop near which the card may surface."""

    latitude: float
    longitude: float
    text: str


@dataclass(frozen=True, slots=True)
class Colours:
    """Hex colours, `#RRGGBB`."""

    ground: str
    text: str
    label: str


@dataclass(frozen=True, slots=True)
class CardFace:
    """Everything a card shows, in one language, at one moment.

    `design` names the artwork (the programme's slug); `row` holds at most four
    fields; `change` names at most one field whose change may alert.
    """

    design: str
    organisation: str
    programme_name: str
    description: str
    language: str
    colours: Colours
    header: FaceField
    primary: FaceField
    row: tuple[FaceField, ...]
    strip: Strip
    back: tuple[FaceField, ...]
    offers: tuple[OfferLine, ...]
    change: ChangeText | None
    barcode: Barcode
    places: tuple[Place, ...] = ()
    voided: bool = False
    expires_at: datetime | None = None
