"""How cards of a programme look, in words both the programme file and the card use.

These live below `programme` and `card` so that neither has to import the other's file.
"""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum


class Symbology(StrEnum):
    """How the card code is drawn."""

    QR = "qr"
    AZTEC = "aztec"
    PDF417 = "pdf417"
    CODE128 = "code128"


class StripKind(StrEnum):
    """What the picture behind the primary value shows."""

    PLAIN = "plain"
    PROGRESS = "progress"  # fills towards the next reward
    STAMPS = "stamps"  # a punch card


class Scene(StrEnum):
    """What is drawn on the strip."""

    LATTE = "latte"
    SHELF = "shelf"
    PLAIN = "plain"


@dataclass(frozen=True, slots=True)
class Colours:
    """Hex colours, `#RRGGBB`."""

    ground: str
    text: str
    label: str


@dataclass(frozen=True, slots=True)
class Design:
    """The look of a programme's cards; `steps` is how many marks the strip has.

    `logo` is the shop's own sign as PNG; where it is empty one is drawn.
    """

    scene: Scene
    colours: Colours
    strip: StripKind
    steps: int
    logo: bytes = b""
