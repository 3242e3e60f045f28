"""The web card: the same identity, made to be held to a till on a phone's whole screen.

Unlike a wallet's card it is ours, so it gives the code the white its standard
asks for, and changes a colour that could not be read.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from passes.faces import words
from passes.faces.colours import readable
from passes.faces.lettering import LIGHT, MEDIUM, SEMIBOLD, fit
from passes.faces.row import side_by_side
from passes.faces.sheet import Sheet
from passes.faces.symbols import QUIET_MODULES, SQUARE, symbol
from passes.faces.void import PICTURE_SHARE, draw_void
from passes.loyalty.card import CardFace
from passes.loyalty.letters import upper

if TYPE_CHECKING:
    from passes.faces import Pictures

WIDTH = 375.0
LEFT, RIGHT = 18.0, 357.0
CORNER = 20
LOGO, LOGO_TOP = 48.0, 14.0
NAMES_LEFT = LEFT + LOGO + 12
STRIP_TOP, STRIP_HEIGHT = 76.0, 144.0
CALM = 186.0  # the strip's left, on which can be written; its marks stand below
ROW_LABEL_BASELINE, ROW_BASELINE = 243.0, 267.0
CODE_TOP = 288.0
CODE_SIDE = 296.0  # with the white around it
BARS_HEIGHT, BARS_MARGIN = 110.0, 18.0
TEXT_SIZE, TEXT_BASELINE, BELOW_TEXT = 19.0, 18.0, 14.0  # from the symbol's white down


def card(face: CardFace, pictures: Pictures, zone: str, *, live: bool) -> str:
    """Logo and names, balance and next reward on the strip, the member, and the code, large."""
    ground, language = face.colours.ground, face.language
    text, label = readable(face.colours.text, ground), readable(face.colours.label, ground)
    opacity = PICTURE_SHARE if face.voided else 1
    sheet = Sheet(WIDTH)
    bottom = _bottom(face)
    sheet.box(0, 0, WIDTH, bottom, ground, radius=CORNER)

    sheet.picture(pictures.logo, LEFT, LOGO_TOP, LOGO, LOGO, opacity=opacity)
    room = RIGHT - NAMES_LEFT
    sheet.words(fit(face.organisation, room, size=13, weight=MEDIUM), NAMES_LEFT, 33, label)
    sheet.words(fit(face.programme_name, room, size=21, least=15, weight=SEMIBOLD), NAMES_LEFT, 56, text)

    if pictures.strip is not None:
        sheet.picture(pictures.strip, 0, STRIP_TOP, WIDTH, STRIP_HEIGHT, filled=True, opacity=opacity)
    unit = fit(upper(face.header.label, language), CALM, size=12, weight=SEMIBOLD)
    balance = fit(words.value(face.header, language, zone), CALM, size=46, least=26, weight=LIGHT)
    way = fit(words.value(face.primary, language, zone), CALM, size=16, least=12, weight=MEDIUM)
    reward = fit(upper(face.primary.label, language), CALM, size=12, least=10, weight=SEMIBOLD)
    sheet.words(unit, LEFT, STRIP_TOP + 22, label)
    sheet.words(balance, LEFT, STRIP_TOP + 62, text)
    sheet.words(way, LEFT, STRIP_TOP + 85, text)
    sheet.words(reward, LEFT, STRIP_TOP + 102, label)

    columns = side_by_side(
        [(upper(field.label, language), words.value(field, language, zone)) for field in face.row],
        left=LEFT, right=RIGHT, gap=18, most=21, least=14, label=12,
    )  # fmt: skip
    for field, column in zip(face.row, columns, strict=True):
        live_name = "name" if live and field.key == "member" else ""
        sheet.words(column.label, column.left, ROW_LABEL_BASELINE, label)
        sheet.words(column.value, column.left, ROW_BASELINE, text, live=live_name)

    if face.voided:
        draw_void(sheet, face, WIDTH / 2, CODE_TOP + 44, RIGHT - LEFT)
    else:
        _code(sheet, face, bottom)
    return sheet.finish(
        bottom,
        kind="web",
        language=language,
        title=face.description,
        words=words.spoken((face.organisation, face.programme_name, *words.front(face, zone))),
    )


def _symbol_height(face: CardFace) -> float:
    """How high the code's white is, without its text."""
    if face.barcode.symbology in SQUARE:
        return CODE_SIDE
    return BARS_HEIGHT


def _bottom(face: CardFace) -> float:
    if face.voided:
        return CODE_TOP + 88 + LEFT
    return CODE_TOP + _symbol_height(face) + TEXT_BASELINE + BELOW_TEXT + LEFT


def _code(sheet: Sheet, face: CardFace, bottom: float) -> None:
    """The code as large as the card allows, with its text below."""
    width = RIGHT - LEFT
    sheet.box(LEFT, CODE_TOP, width, bottom - LEFT - CODE_TOP, "#fff", radius=14)
    drawn = symbol(face.barcode)
    quiet = QUIET_MODULES[face.barcode.symbology]
    height = _symbol_height(face)
    square = face.barcode.symbology in SQUARE
    if square:
        step = CODE_SIDE / (drawn.columns + 2 * quiet)
        across = down = step * drawn.columns
    else:
        step = min(width / (drawn.columns + 2 * quiet), (width - 2 * BARS_MARGIN) / drawn.columns)
        across, down = step * drawn.columns, height - BARS_MARGIN
    sheet.symbol(
        drawn, WIDTH / 2 - across / 2, CODE_TOP + (height - down) * (0.5 if square else 1), across, down
    )
    text = fit(face.barcode.text, width - 24, size=TEXT_SIZE, least=13, weight=MEDIUM)
    sheet.words(
        text,
        WIDTH / 2,
        CODE_TOP + height + (TEXT_BASELINE - 8 if square else TEXT_BASELINE + 4),
        "#000",
        anchor="middle",
    )
