"""Draw a loyalty card as Google Wallet does, from what its class and object say.

Google publishes the order of the parts and the shapes of the pictures, not the
measures: those here are approximate, in points on a card 360 wide whose height
follows what it holds.
"""

from __future__ import annotations

import io
import re
from collections.abc import Callable
from dataclasses import dataclass

from passes.emulators import drawing
from passes.emulators.card_face import inline
from passes.emulators.drawing import (
    BLACK,
    SQUARE,
    WHITE,
    Box,
    Colour,
    Item,
    Picture,
    Symbol,
    Words,
    contrast,
    cut,
    fitted,
    text_width,
)
from passes.emulators.google_card import Barcode, Cell, Shown

WIDTH = 360.0

_RADIUS = 24
_LEFT, _RIGHT = 20.0, 340.0
# Half of the photograph's pixels, so that modules are whole ones.
_SCREEN_WIDTH = 375.0
_ROW_HEIGHT = 51.0
_HERO_RATIO = 336 / 1032
_KINDS = {
    "QR_CODE": "QR",
    "AZTEC": "Aztec",
    "PDF_417": "PDF417",
    "CODE_128": "Code128",
    "CODE_39": "Code39",
    "CODABAR": "Codabar",
    "DATA_MATRIX": "DataMatrix",
    "EAN_8": "EAN8",
    "EAN_13": "EAN13",
    "ITF_14": "ITF",
    "UPC_A": "UPCA",
}
_COLOUR = re.compile(r"#(?:[0-9a-f]{3}|[0-9a-f]{6})", re.ASCII | re.IGNORECASE)
_GREY: Colour = (60, 64, 67)

Pictures = Callable[[str | None], bytes | None]


@dataclass(frozen=True, slots=True)
class Face:
    """Everything on the front of the card, back to front, and how high it became."""

    items: tuple[Item, ...]
    height: float
    ground: Colour


def layout(card: Shown, pictures: Pictures) -> Face:
    """Place the parts from the top: brand, name, rows, barcode, and the hero picture at the foot."""
    logo = pictures(card.logo)
    ground = ground_of(card, logo)
    ink = contrast(ground)
    soft = _mixed(ink, ground, 0.78)
    items: list[Item] = []
    _brand(items, card, logo, ink, _mixed(ink, ground, 0.16))
    size, name = fitted(card.title, 22, 17, _RIGHT - _LEFT)
    items.append(Words(_LEFT, 90, size, 500, "start", ink, name, tight=size < 22))
    y = 102.0
    for row in card.rows:
        _row(items, row, y, ink, soft)
        y += _ROW_HEIGHT
    y += 8
    if card.barcode is not None:
        y = _barcode(items, card.barcode, y, dimmed=card.expired) + 16
    hero = pictures(card.hero)
    if hero is not None:
        height = WIDTH * _HERO_RATIO
        items.append(Picture(0, y, WIDTH, height, hero, whole=False))
        y += height
    return Face((Box(0, 0, WIDTH, y, _RADIUS, ground), *items), y, ground)


def head(card: Shown, pictures: Pictures) -> Face:
    """The card as it lies in the list: its brand and name only."""
    logo = pictures(card.logo)
    ground = ground_of(card, logo)
    ink = contrast(ground)
    items: list[Item] = [Box(0, 0, WIDTH, 88, _RADIUS, ground)]
    _disc(items, card, logo, 20, 20, 48, ink)
    size, name = fitted(card.title, 18, 15, _RIGHT - 84)
    items.append(Words(84, 41, size, 500, "start", ink, name))
    items.append(Words(84, 62, 13, 400, "start", _mixed(ink, ground, 0.78), cut(card.issuer, 13, 250)))
    return Face(tuple(items), 88, ground)


def as_svg(
    card: Shown,
    pictures: Pictures,
    *,
    unique: str = "card",
    small: bool = False,
    address: Callable[[bytes], str] = inline,
) -> str:
    """The front as inline SVG, or (`small`) what lies in the list; ids begin with `unique`."""
    face = head(card, pictures) if small else layout(card, pictures)
    return drawing.as_svg(
        face.items,
        size=(WIDTH, face.height),
        radius=_RADIUS,
        title=f"{card.issuer}. {card.title}" if small else spoken(card),
        unique=unique,
        address=address,
    )


def as_png(card: Shown, pictures: Pictures) -> bytes:
    """A photograph of the phone's screen with this card open, for a till to read."""
    margin = (_SCREEN_WIDTH - WIDTH) / 2
    return drawing.as_png(layout(card, pictures).items, width=_SCREEN_WIDTH, left=margin, ground=WHITE)


def spoken(card: Shown) -> str:
    """What TalkBack says of the card."""
    cells = [f"{cell.label} {cell.value}".strip() for row in card.rows for cell in row]
    return ". ".join([card.issuer, card.title, *cells])


def ground_of(card: Shown, logo: bytes | None) -> Colour:
    """The card's own colour, else the one that its logo has most of, else grey."""
    if card.background and _COLOUR.fullmatch(card.background):
        digits = card.background[1:]
        if len(digits) == 3:
            digits = "".join(2 * digit for digit in digits)
        return (int(digits[:2], 16), int(digits[2:4], 16), int(digits[4:], 16))
    return (logo and _dominant(logo)) or _GREY


# --- the parts --------------------------------------------------------------


def _brand(items: list[Item], card: Shown, logo: bytes | None, ink: Colour, line: Colour) -> None:
    if logo is not None and card.wide:
        # A wide logo stands for logo and name.
        items.append(Picture(_LEFT, 12, 200, 34, logo, whole=True))
    else:
        _disc(items, card, logo, _LEFT, 12, 34, ink)
        items.append(Words(64, 34, 14, 500, "start", ink, cut(card.issuer, 14, _RIGHT - 64)))
    items.append(Box(0, 58, WIDTH, 1, 0, line))


def _disc(
    items: list[Item], card: Shown, logo: bytes | None, x: float, y: float, size: float, ink: Colour
) -> None:
    """The logo cut to a circle, or the first letter of the issuer while there is none."""
    if logo is not None:
        items.append(Picture(x, y, size, size, logo, whole=False, radius=size / 2))
        return
    items.append(Box(x, y, size, size, size / 2, ink))
    letter = card.issuer[:1].upper()
    middle = y + size / 2 + size * 0.18
    items.append(Words(x + size / 2, middle, size * 0.5, 600, "middle", contrast(ink), letter))


def _row(items: list[Item], cells: tuple[Cell, ...], y: float, ink: Colour, soft: Colour) -> None:
    """One, two or three items of one row: the first at the left, the last at the right."""
    shares = _shares([max(text_width(cell.value, 20), text_width(cell.label, 12)) for cell in cells])
    for place, (cell, share) in enumerate(zip(cells, shares, strict=True)):
        anchor, x = "start", _LEFT
        if place and place == len(cells) - 1:
            anchor, x = "end", _RIGHT
        elif place:
            anchor, x = "middle", WIDTH / 2
        size, value = fitted(cell.value, 20, 13, share)
        items.append(Words(x, y + 16, 12, 400, anchor, soft, cut(cell.label, 12, share)))
        items.append(Words(x, y + 39, size, 500, anchor, ink, value, tight=size < 20))


def _shares(needs: list[float]) -> list[float]:
    """How wide each of a row's items may be: of two, a short one leaves its room to the other."""
    space = _RIGHT - _LEFT - 16 * (len(needs) - 1)
    fair = space / len(needs)
    if len(needs) != 2:
        return [fair] * len(needs)
    first, second = needs
    return [max(fair, space - second), max(fair, space - first)]


def _barcode(items: list[Item], code: Barcode, y: float, *, dimmed: bool) -> float:
    """The code on its white ground; where it ends."""
    ink = (190, 190, 190) if dimmed else BLACK
    kind = _KINDS.get(code.type)
    text = cut(code.text or (code.value if kind is None else ""), 14, 250)
    if kind is None:
        width = max(160.0, text_width(text, 18) + 40)
        items.append(Box((WIDTH - width) / 2, y, width, 52, 16, WHITE))
        items.append(Words(WIDTH / 2, y + 32, 18, 500, "middle", ink, text))
        return y + 52
    rows = drawing.modules_of(kind, code.value)
    columns = len(rows[0])
    # Whole half-points a module keep the edges on pixels of a two-times screen.
    step = max(1.0, int(2 * (136 if kind in SQUARE else 250) / columns) / 2)
    width = step * columns
    # Scanners want some modules of white at either end of a row of bars.
    quiet = 18.0 if kind in SQUARE else max(18.0, 9 * step)
    height = step * len(rows) if len(rows) > 1 else 72.0
    box = max(width + 2 * quiet, text_width(text, 14) + 32)
    items.append(Box((WIDTH - box) / 2, y, box, height + (48 if text else 32), 18, WHITE))
    items.append(Symbol((WIDTH - width) / 2, y + 16, step, height / len(rows), rows, ink))
    if not text:
        return y + height + 32
    items.append(Words(WIDTH / 2, y + height + 37, 14, 400, "middle", ink, text))
    return y + height + 48


def _mixed(colour: Colour, ground: Colour, part: float) -> Colour:
    red, green, blue = (
        round(one * part + other * (1 - part)) for one, other in zip(colour, ground, strict=True)
    )
    return red, green, blue


def _dominant(logo: bytes) -> Colour | None:
    """The colour that most of the picture has; None if it cannot be read."""
    from PIL import Image

    try:
        with Image.open(io.BytesIO(logo)) as opened:
            small = opened.convert("RGB").resize((64, 64)).quantize(6).convert("RGB")
    except (OSError, ValueError, SyntaxError, Image.DecompressionBombError):
        return None
    _, colour = max(small.getcolors() or [(0, None)])
    if not isinstance(colour, tuple):
        return None
    red, green, blue = colour[:3]
    return red, green, blue
