"""The faces of a loyalty card in Google Wallet.

Google publishes the order of the parts but no measures, so these are
approximate: a round logo, names, rows of one to three items, the code, and the
picture at the bottom. The text's colour follows from the ground.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

from passes.faces import words
from passes.faces.colours import black_or_white, softer
from passes.faces.lettering import MEDIUM, REGULAR, Line, fit, width, wrap
from passes.faces.row import shares
from passes.faces.sheet import Sheet
from passes.faces.symbols import SQUARE, symbol
from passes.faces.void import PICTURE_SHARE, draw_void
from passes.language import say
from passes.loyalty.card import CardFace, FaceField

if TYPE_CHECKING:
    from passes.faces import Pictures

WIDTH = 375.0
LEFT, RIGHT = 24.0, 351.0
CORNER = 24
LOGO = 34.0  # the sign within the circle, whose ground is the card's own
ROW_LABEL, ROW_VALUE, ROW_VALUE_LEAST = 12.0, 20.0, 16.0
ROWS_TOP, ROW_HEIGHT = 92.0, 62.0
ITEMS_MAX, ITEM_GAP = 3, 16.0  # in a row
CODE_SIDE, CODE_MARGIN, CODE_TEXT = 152.0, 20.0, 14.0
BARS_WIDTH, BARS_HEIGHT = 270.0, 64.0
HERO_HEIGHT = WIDTH * 336 / 1032
# Which fields stand in the second and the third row; the first has balance and next reward.
ABOUT, TODAY = ("member", "tier", "stamps"), ("offer",)
HEADER_CHARACTERS_MAX, BODY_CHARACTERS_MAX, MODULES_MAX = 35, 500, 10


def front(face: CardFace, pictures: Pictures, zone: str, *, live: bool) -> str:
    """The card as the wallet lists it."""
    ground = face.colours.ground
    text = black_or_white(ground)
    label = softer(text, ground)
    opacity = PICTURE_SHARE if face.voided else 1
    rows = _rows(face)
    code_top = ROWS_TOP + ROW_HEIGHT * len(rows) + 4
    code_height = _code_height(face)
    hero_top = code_top + code_height + 24
    height = hero_top + (HERO_HEIGHT if pictures.hero is not None else 0)
    sheet = Sheet(WIDTH)
    sheet.box(0, 0, WIDTH, height, ground, radius=CORNER)

    middle = 44.0
    sheet.picture(pictures.logo, LEFT, middle - LOGO / 2, LOGO, LOGO, opacity=opacity)
    names, room = LEFT + LOGO + 14, RIGHT - LEFT - LOGO - 14
    sheet.words(fit(face.organisation, room, size=13), names, middle - 4, label)
    sheet.words(fit(face.programme_name, room, size=17, weight=MEDIUM), names, middle + 15, text)

    for place, fields in enumerate(rows):
        _row(sheet, fields, face, zone, ROWS_TOP + ROW_HEIGHT * place, text, label, live=live)
    if face.voided:
        draw_void(sheet, face, WIDTH / 2, code_top + code_height / 2, 240, ground=ground, text=text)
    else:
        _code(sheet, face, code_top, code_height)
    if pictures.hero is not None:
        sheet.picture(
            pictures.hero, 0, hero_top, WIDTH, HERO_HEIGHT,
            filled=True, clip=f"inset(0 round 0 0 {CORNER}px {CORNER}px)", opacity=opacity,
        )  # fmt: skip
    return sheet.finish(
        height,
        kind="google-front",
        language=face.language,
        title=face.description,
        words=words.spoken((face.organisation, face.programme_name, *words.front(face, zone))),
    )


def _rows(face: CardFace) -> list[tuple[FaceField, ...]]:
    about = tuple(field for field in face.row if field.key in ABOUT)
    today = tuple(field for field in face.row if field.key in TODAY)
    return [row for row in ((face.header, face.primary), about, today) if row]


def _row(
    sheet: Sheet,
    fields: Sequence[FaceField],
    face: CardFace,
    zone: str,
    top: float,
    text: str,
    label: str,
    *,
    live: bool,
) -> None:
    """One to three items: at the left, at the right, and one between them in the middle."""
    count = len(fields)
    values = [words.value(field, face.language, zone) for field in fields]
    space = RIGHT - LEFT - ITEM_GAP * (count - 1)
    # Three keep to their thirds, so that the middle one stands in the middle.
    wanted = [
        max(width(field.label, ROW_LABEL), width(value, ROW_VALUE))
        for field, value in zip(fields, values, strict=True)
    ]
    rooms = [space / 3] * 3 if count == ITEMS_MAX else shares(wanted, space)
    if count < ITEMS_MAX:
        rooms[0] += space - sum(rooms)
    for place, (field, value, room) in enumerate(zip(fields, values, rooms, strict=True)):
        last = place == count - 1 and count > 1
        anchor = "end" if last else "middle" if place else "start"
        x = RIGHT if last else (LEFT + RIGHT) / 2 if place else LEFT
        sheet.words(fit(field.label, room, size=ROW_LABEL), x, top + 14, label, anchor=anchor)
        sheet.words(
            fit(value, room, size=ROW_VALUE, least=ROW_VALUE_LEAST), x, top + 38, text,
            anchor=anchor, live="name" if live and field.key == "member" else "",
        )  # fmt: skip


def _code_height(face: CardFace) -> float:
    if face.voided:
        return 100.0
    side = CODE_SIDE if face.barcode.symbology in SQUARE else BARS_HEIGHT
    return side + 2 * CODE_MARGIN + CODE_TEXT + 6


def _code(sheet: Sheet, face: CardFace, top: float, height: float) -> None:
    """The code in a white box with what a cashier types when the camera fails."""
    drawn = symbol(face.barcode)
    if face.barcode.symbology in SQUARE:
        across, down = CODE_SIDE, CODE_SIDE
    else:
        across, down = BARS_WIDTH, BARS_HEIGHT
    text = fit(face.barcode.text, RIGHT - LEFT - 2 * CODE_MARGIN, size=CODE_TEXT)
    box = max(across, text.width) + 2 * CODE_MARGIN
    sheet.box((WIDTH - box) / 2, top, box, height, "#fff", radius=16)
    sheet.symbol(drawn, (WIDTH - across) / 2, top + CODE_MARGIN, across, down)
    sheet.words(text, WIDTH / 2, top + CODE_MARGIN + down + 6 + CODE_TEXT, "#000", anchor="middle")


# Details ----------------------------------------------------------------------

TITLE_TOP, LABEL_SIZE, VALUE_SIZE, LINE, BETWEEN = 44.0, 13.0, 15.0, 21.0, 20.0


def details(face: CardFace, pictures: Pictures, zone: str) -> str:
    """The page behind the card: account, messages with the newest first, then texts."""
    ground = face.colours.ground
    text = black_or_white(ground)
    label = softer(text, ground)
    room = RIGHT - LEFT
    entries = _entries(face, zone)
    placed: list[tuple[Line, float, str]] = [
        (fit(face.programme_name, room, size=22, least=16, weight=MEDIUM), TITLE_TOP, text),
        (fit(face.organisation, room, size=14), TITLE_TOP + 22, label),
    ]
    hero_top = TITLE_TOP + 42
    y = hero_top + (HERO_HEIGHT * room / WIDTH + 34 if pictures.hero is not None else 14)
    for heading, body in entries:
        placed.append((fit(heading, room, size=LABEL_SIZE), y, label))
        y += LINE
        for line in wrap(body, room, size=VALUE_SIZE, weight=REGULAR):
            placed.append((line, y, text))
            y += LINE
        y += BETWEEN
    height = y - LINE + 4
    sheet = Sheet(WIDTH)
    sheet.box(0, 0, WIDTH, height, ground, radius=CORNER)
    if pictures.hero is not None:
        sheet.picture(
            pictures.hero, LEFT, hero_top, room, HERO_HEIGHT * room / WIDTH,
            filled=True, clip="inset(0 round 12px)", opacity=PICTURE_SHARE if face.voided else 1,
        )  # fmt: skip
    for line, at, colour in placed:
        if line.leftwards:
            sheet.words(line, RIGHT, at, colour, anchor="end")
        else:
            sheet.words(line, LEFT, at, colour)
    return sheet.finish(
        height,
        kind="google-details",
        language=face.language,
        title=face.description,
        words=words.spoken(f"{heading}: {body}" for heading, body in entries),
    )


def _entries(face: CardFace, zone: str) -> list[tuple[str, str]]:
    """Labels and texts in Google's order; the terms belong to the class and come last."""
    language = face.language
    member = [field for field in face.row if field.key == "member"]
    modules = [
        field for field in (face.primary, *face.row, *face.back) if field.key not in ("member", "terms")
    ]
    entries = [(field.label, words.value(field, language, zone)) for field in member]
    entries.append((say(language, "Card"), face.barcode.text))
    entries += [(offer.title, offer.text) for offer in face.offers]
    for field in modules[:MODULES_MAX]:
        heading, body = field.label, words.value(field, language, zone)
        entries.append((_characters(heading, HEADER_CHARACTERS_MAX), _characters(body, BODY_CHARACTERS_MAX)))
    entries += [
        (field.label, words.value(field, language, zone)) for field in face.back if field.key == "terms"
    ]
    return entries


def _characters(text: str, limit: int) -> str:
    return text if len(text) <= limit else text[: limit - 1].rstrip() + "…"
