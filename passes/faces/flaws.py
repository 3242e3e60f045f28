"""What to know before a card is published: what is cut, very small or hard to read.

Computed by the layout that draws the faces, so that a warning and a picture
cannot disagree. Nothing here forbids anything.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from enum import StrEnum

from passes.faces import apple, words
from passes.faces.colours import CONTRAST_MIN, contrast
from passes.faces.lettering import Line
from passes.faces.symbols import symbol
from passes.language import say
from passes.loyalty.card import CardFace, FaceField, Symbology

SMALL_SHARE = 0.6
"""Below this share of its wanted size a value is hard to read at arm's length."""
GOOGLE_TITLE_CHARACTERS = 15
"""Advice of others, not a rule: small phones cut what is longer."""
QR_MODULES_MAX = 33
"""Denser symbols are slow to scan from a screen."""


class Flaw(StrEnum):
    """What may go wrong."""

    DROPPED = "dropped"
    LABEL_CUT = "label_cut"
    VALUE_CUT = "value_cut"
    SMALL = "small"
    CONTRAST = "contrast"
    DENSE = "dense"
    LETTERS_IN_BARS = "letters_in_bars"
    TITLE_LONG = "title_long"


@dataclass(frozen=True, slots=True)
class Warning:
    """One flaw: `key` is the field's (or `text`, `label`, `barcode`, `programme_name`).

    `name` is the field's label or text as people know it, `shown` what is left
    of it where it is cut, `ratio` the contrast where that is the flaw.
    """

    flaw: Flaw
    key: str
    name: str = ""
    shown: str = ""
    ratio: float = 0.0

    def words(self, language: str) -> str:
        """A sentence that names the place and the way out."""
        match self.flaw:
            case Flaw.DROPPED:
                return say(
                    language,
                    "“%(field)s” does not appear on iPhones: the row has room for four. Take one away.",
                    field=self.name,
                )
            case Flaw.LABEL_CUT:
                return say(
                    language,
                    "iPhones cut the label “%(field)s” to “%(shown)s”. Shorten it or what stands beside it.",
                    field=self.name,
                    shown=self.shown,
                )
            case Flaw.VALUE_CUT:
                return say(
                    language,
                    "iPhones cut “%(field)s” to “%(shown)s”. Shorten it.",
                    field=self.name,
                    shown=self.shown,
                )
            case Flaw.SMALL:
                return say(
                    language,
                    "“%(field)s” is very small on iPhones. Shorten it or what stands beside it.",
                    field=self.name,
                )
            case Flaw.CONTRAST:
                return say(
                    language,
                    "%(colour)s is hard to read on the card: a contrast of %(ratio)s, where 4.5 is needed.",
                    colour=self.name,
                    ratio=f"{self.ratio:.1f}",
                )
            case Flaw.DENSE:
                return say(language, "The code is so dense that scanners are slow. Use a shorter one.")
            case Flaw.LETTERS_IN_BARS:
                return say(
                    language, "A bar code with letters is too wide for a phone. Use codes of digits for it."
                )
            case Flaw.TITLE_LONG:
                return say(
                    language,
                    "Google Wallet may cut “%(field)s”: it has more than 15 letters.",
                    field=self.name,
                )


def warnings(face: CardFace, zone: str) -> tuple[Warning, ...]:
    """Everything that a wallet would show otherwise than it was meant, the most visible first."""
    return (
        *_of_row(face, zone),
        *_of_header(face, zone),
        *_of_colours(face),
        *_of_code(face),
        *_of_title(face),
    )


def _of_row(face: CardFace, zone: str) -> Iterator[Warning]:
    for dropped in face.row[apple.ROW_FIELDS_MAX :]:
        yield Warning(Flaw.DROPPED, dropped.key, dropped.label)
    placed = apple.columns(face.row, face.language, zone)
    for field, column in zip(face.row, placed, strict=False):
        yield from _of_lines(field, face, zone, column.label, column.value, apple.ROW)


def _of_header(face: CardFace, zone: str) -> Iterator[Warning]:
    label, value = apple.header(face, zone)
    yield from _of_lines(face.header, face, zone, label, value, apple.HEADER)


def _of_lines(
    field: FaceField, face: CardFace, zone: str, label: Line, value: Line, sizes: apple.Sizes
) -> Iterator[Warning]:
    full = words.value(field, face.language, zone)
    if value.text != full:
        yield Warning(Flaw.VALUE_CUT, field.key, full, value.text)
    elif value.size < SMALL_SHARE * sizes.most:
        yield Warning(Flaw.SMALL, field.key, full)
    if label.text != apple.label(field, face.language):
        yield Warning(Flaw.LABEL_CUT, field.key, field.label, label.text)


def _of_colours(face: CardFace) -> Iterator[Warning]:
    for key, colour in (("text", face.colours.text), ("label", face.colours.label)):
        if (ratio := contrast(colour, face.colours.ground)) < CONTRAST_MIN:
            yield Warning(Flaw.CONTRAST, key, colour, ratio=ratio)


def _of_code(face: CardFace) -> Iterator[Warning]:
    code = face.barcode
    if code.symbology is Symbology.QR and symbol(code).columns > QR_MODULES_MAX:
        yield Warning(Flaw.DENSE, "barcode")
    if code.symbology is Symbology.CODE128 and not code.message.isdigit():
        yield Warning(Flaw.LETTERS_IN_BARS, "barcode")


def _of_title(face: CardFace) -> Iterator[Warning]:
    if len(face.programme_name) > GOOGLE_TITLE_CHARACTERS:
        yield Warning(Flaw.TITLE_LONG, "programme_name", face.programme_name)
