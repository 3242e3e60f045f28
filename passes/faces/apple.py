"""The faces of a store card in Apple Wallet.

Positions were measured on public screenshots of iOS 17 and 18, scaled so that
a card is 375 points wide and 525 high. The row shows at most four fields, all
in one size; what does not fit is cut without a word, as the phone does it.

Sizes give capitals the height that they have on the phone. Our letters are a
little wider than its own, so the smallest sizes are a little smaller, and about
the same words are cut.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

from passes.faces import words
from passes.faces.colours import mixed
from passes.faces.lettering import LIGHT, SEMIBOLD, Line, cut, fit, wrap
from passes.faces.row import Column, side_by_side
from passes.faces.sheet import Sheet
from passes.faces.symbols import SQUARE, symbol
from passes.faces.void import PICTURE_SHARE, draw_void
from passes.language import say
from passes.loyalty.card import CardFace, FaceField
from passes.loyalty.letters import upper

if TYPE_CHECKING:
    from passes.faces import Pictures

WIDTH, HEIGHT = 375.0, 525.0
LEFT, RIGHT = 15.0, 360.0
CORNER = 14
STRIP_TOP, STRIP_HEIGHT = 66.0, 144.0
LOGO_TOP, LOGO_HEIGHT = 8.0, 50.0
ROW_FIELDS_MAX = 4
GAP = 19.0  # between two fields
LABEL = 11.7


@dataclass(frozen=True, slots=True)
class Sizes:
    """The largest and the smallest size of a text, and the baseline at each: small text stands higher."""

    most: float
    least: float
    baseline_of_most: float
    baseline_of_least: float

    def baseline(self, size: float) -> float:
        """Where a text of this size stands."""
        share = (size - self.least) / (self.most - self.least)
        return self.baseline_of_least + share * (self.baseline_of_most - self.baseline_of_least)


HEADER_LABEL_BASELINE, HEADER_ROOM = 20.6, 118.0
HEADER = Sizes(22.4, 13.2, 41.5, 33.6)
PRIMARY = Sizes(46.0, 22.0, 132.0, 126.0)
PRIMARY_LABEL_SIZE, PRIMARY_LABEL_BELOW = 12.6, 23.0
ROW_LABEL_BASELINE = 232.2
ROW = Sizes(27.8, 12.9, 263.5, 250.6)
LOGO_TEXT, LOGO_TEXT_LEAST, LOGO_TEXT_BASELINE = 19.0, 13.0, 39.5
SQUARE_MAX, PIXELS_PER_POINT = 142.0, 3
CODE_BOTTOM, BOX_BOTTOM, BOX_WIDTH, BOX_MARGIN = 483.0, 511.5, 163.0, 10.5
ALT_BASELINE, ALT_SIZE, ALT_ROOM = 500.5, 15.4, 277.0
WIDE_BOX, WIDE_SYMBOL, BARS_HEIGHT = 292.0, 262.0, 58.0


def front(face: CardFace, pictures: Pictures, zone: str, *, live: bool) -> str:
    """The front: header, the large words on the strip, the row, the code."""
    colours, language = face.colours, face.language
    faded = PICTURE_SHARE if face.voided else 1
    sheet = Sheet(WIDTH)
    sheet.box(0, 0, WIDTH, HEIGHT, colours.ground, radius=CORNER)
    if pictures.strip is not None:
        sheet.picture(pictures.strip, 0, STRIP_TOP, WIDTH, STRIP_HEIGHT, filled=True, opacity=faded)
    header_left = _header(sheet, face, zone)
    sheet.picture(pictures.logo, LEFT, LOGO_TOP, LOGO_HEIGHT, LOGO_HEIGHT, opacity=faded)
    name_left = LEFT + LOGO_HEIGHT + 10
    room = header_left - 12 - name_left
    name = fit(face.programme_name, room, size=LOGO_TEXT, least=LOGO_TEXT_LEAST, weight=SEMIBOLD)
    sheet.words(name, name_left, LOGO_TEXT_BASELINE, colours.text)
    _primary(sheet, face, zone)
    _row(sheet, face, zone, live=live)
    _code(sheet, face)
    return sheet.finish(
        HEIGHT,
        kind="apple-front",
        language=language,
        title=face.description,
        words=words.spoken((face.organisation, face.programme_name, *words.front(face, zone))),
    )


def header(face: CardFace, zone: str) -> tuple[Line, Line]:
    """Label and value of the header as far as the phone shows them."""
    value = words.value(face.header, face.language, zone)
    return (
        fit(label(face.header, face.language), HEADER_ROOM, size=LABEL, weight=SEMIBOLD),
        fit(value, HEADER_ROOM, size=HEADER.most, least=HEADER.least),
    )


def label(field: FaceField, language: str) -> str:
    """A label as the phone writes it: in capitals."""
    return upper(field.label, language)


def _header(sheet: Sheet, face: CardFace, zone: str) -> float:
    """The header field at the right; returns where it begins."""
    name, value = header(face, zone)
    sheet.words(name, RIGHT, HEADER_LABEL_BASELINE, face.colours.label, anchor="end")
    sheet.words(value, RIGHT, HEADER.baseline(value.size), face.colours.text, anchor="end")
    return RIGHT - max(name.width, value.width)


def _primary(sheet: Sheet, face: CardFace, zone: str) -> None:
    """The large words on the strip with their label below."""
    room = RIGHT - LEFT
    value = fit(
        words.value(face.primary, face.language, zone),
        room, size=PRIMARY.most, least=PRIMARY.least, weight=LIGHT,
    )  # fmt: skip
    name = fit(label(face.primary, face.language), room, size=PRIMARY_LABEL_SIZE, weight=SEMIBOLD)
    baseline = PRIMARY.baseline(value.size)
    sheet.words(value, LEFT, baseline, face.colours.text)
    sheet.words(name, LEFT, baseline + PRIMARY_LABEL_BELOW, face.colours.label)


def _row(sheet: Sheet, face: CardFace, zone: str, *, live: bool) -> None:
    """Secondary and auxiliary fields; a `live` one lets a script write the member's name."""
    # A field too many has no column.
    for field, column in zip(face.row, columns(face.row, face.language, zone), strict=False):
        sheet.words(column.label, column.left, ROW_LABEL_BASELINE, face.colours.label)
        sheet.words(
            column.value, column.left, ROW.baseline(column.value.size), face.colours.text,
            live="name" if live and field.key == "member" else "",
        )  # fmt: skip


def columns(fields: Sequence[FaceField], language: str, zone: str) -> tuple[Column, ...]:
    """The row's fields as the phone places them; what is too much for it vanishes."""
    return side_by_side(
        [
            (label(field, language), words.value(field, language, zone))
            for field in fields[:ROW_FIELDS_MAX]
        ],
        left=LEFT, right=RIGHT, gap=GAP, most=ROW.most, least=ROW.least, label=LABEL,
    )  # fmt: skip


# The code ---------------------------------------------------------------------


def _code(sheet: Sheet, face: CardFace) -> None:
    """The code in its white box with the text below it; a card that is not valid has none to scan."""
    middle = WIDTH / 2
    if face.voided:
        draw_void(sheet, face, middle, BOX_BOTTOM - 90, 240)
        return
    drawn = symbol(face.barcode)
    if face.barcode.symbology in SQUARE:
        # Whole pixels to a module keep the symbol's edges sharp.
        step = int(SQUARE_MAX * PIXELS_PER_POINT / drawn.columns) / PIXELS_PER_POINT
        across, down, box = step * drawn.columns, step * drawn.rows, BOX_WIDTH
    else:
        across, box = WIDE_SYMBOL, WIDE_BOX
        down = max(BARS_HEIGHT, across / drawn.columns * drawn.rows) if drawn.rows > 1 else BARS_HEIGHT
    text = fit(face.barcode.text, ALT_ROOM, size=ALT_SIZE)
    box = max(box, text.width + 2 * BOX_MARGIN)
    top = CODE_BOTTOM - down
    sheet.box(middle - box / 2, top - BOX_MARGIN, box, BOX_BOTTOM - top + BOX_MARGIN, "#fff", radius=7)
    sheet.symbol(drawn, middle - across / 2, top, across, down)
    sheet.words(text, middle, ALT_BASELINE, "#000", anchor="middle")


# The back ---------------------------------------------------------------------

BACK_TOP, BACK_LABEL, BACK_VALUE, BACK_LINE, BACK_GAP = 30.0, 13.0, 15.0, 20.0, 18.0


def back(face: CardFace, zone: str) -> str:
    """The back: news and offers first, then everything that needs reading. As high as its text."""
    fields = [] if face.news is None else [face.news]
    fields += [FaceField(f"offer-{offer.key}", offer.title, offer.text) for offer in face.offers]
    fields += face.back
    return listed(
        face,
        [(field.label, words.value(field, face.language, zone)) for field in fields],
        kind="apple-back",
        corner=CORNER,
    )


def listed(face: CardFace, entries: Sequence[tuple[str, str]], *, kind: str, corner: int) -> str:
    """Labels and texts below each other on the card's ground."""
    colours = face.colours
    room = RIGHT - LEFT
    placed: list[tuple[Line, float, str]] = []
    rules: list[float] = []
    y = BACK_TOP
    for label, text in entries:
        if label:
            placed.append((fit(label, room, size=BACK_LABEL, weight=SEMIBOLD), y, colours.label))
            y += BACK_LINE
        for line in wrap(text, room, size=BACK_VALUE):
            placed.append((line, y, colours.text))
            y += BACK_LINE
        rules.append(y - BACK_LINE + BACK_GAP / 2 + 3)
        y += BACK_GAP
    height = y - BACK_LINE + 4
    sheet = Sheet(WIDTH)
    sheet.box(0, 0, WIDTH, height, colours.ground, radius=corner)
    for at in rules[:-1]:
        sheet.box(LEFT, at, room, 1, mixed(colours.ground, colours.text, 0.18))
    for line, at, colour in placed:
        sheet.words(
            line,
            LEFT if not line.leftwards else RIGHT,
            at,
            colour,
            anchor="end" if line.leftwards else "start",
        )
    return sheet.finish(
        height,
        kind=kind,
        language=face.language,
        title=face.description,
        words=words.spoken(f"{label}: {text}" if label else text for label, text in entries),
    )


# The lock screen --------------------------------------------------------------

LOCK_MARGIN, LOCK_PADDING, LOCK_ICON, LOCK_LINE, LOCK_LINES_MAX = 12.0, 12.0, 38.0, 19.0, 4


def lock(face: CardFace, pictures: Pictures, zone: str, notice: str | None) -> str:
    """A notification on a locked phone, on a ground of the card's colour.

    ValueError when there is nothing to say: a phone then shows nothing either.
    """
    text = words.notice(face, zone) if notice is None else notice
    if not text:
        raise ValueError("neither a notice nor a change to speak of")
    colours = face.colours
    left = LOCK_MARGIN + LOCK_PADDING + LOCK_ICON + 10
    right = WIDTH - LOCK_MARGIN - LOCK_PADDING
    when = fit(say(face.language, "now"), 80, size=13)
    lines = wrap(text, right - left, size=15)
    if len(lines) > LOCK_LINES_MAX:
        rest = " ".join(line.text for line in lines[LOCK_LINES_MAX - 1 :])
        shown = cut(rest, right - left, size=15)
        lines = (*lines[: LOCK_LINES_MAX - 1], fit(shown, right - left, size=15))
    height = max(LOCK_ICON, 18 + LOCK_LINE * len(lines)) + 2 * (LOCK_PADDING + LOCK_MARGIN)
    panel = mixed(colours.ground, colours.text, 0.12)
    sheet = Sheet(WIDTH)
    sheet.box(0, 0, WIDTH, height, colours.ground, radius=CORNER)
    sheet.box(
        LOCK_MARGIN, LOCK_MARGIN, WIDTH - 2 * LOCK_MARGIN, height - 2 * LOCK_MARGIN, panel, radius=20
    )  # fmt: skip
    icon_top = (height - LOCK_ICON) / 2
    icon_left = LOCK_MARGIN + LOCK_PADDING
    sheet.box(icon_left, icon_top, LOCK_ICON, LOCK_ICON, colours.ground, radius=9)
    sheet.picture(pictures.logo, icon_left + 4, icon_top + 4, LOCK_ICON - 8, LOCK_ICON - 8)
    title = fit(face.organisation, right - left - when.width - 10, size=15, weight=SEMIBOLD)
    top = LOCK_MARGIN + LOCK_PADDING + 13
    sheet.words(title, left, top, colours.text)
    sheet.words(when, right, top, mixed(colours.text, panel, 0.25), anchor="end")
    for place, line in enumerate(lines):
        rightmost = line.leftwards
        sheet.words(
            line, right if rightmost else left, top + LOCK_LINE * (place + 1), colours.text,
            anchor="end" if rightmost else "start",
        )  # fmt: skip
    return sheet.finish(
        height,
        kind="apple-lock",
        language=face.language,
        title=face.organisation,
        words=words.spoken((text,)),
    )
