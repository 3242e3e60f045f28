"""Draw a pass as iOS draws a store card: its own colours, images, fields and barcode.

`layout` places things once, in points on a card of 375 × 525; `as_svg` and
`as_png` paint that. Positions were measured on public iPhone screenshots. The
SVG uses presentation attributes only, so it lives under a strict CSP.
"""

from __future__ import annotations

import base64
import io
import struct
import unicodedata
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import UTC, tzinfo
from html import escape
from typing import Any

from passes.emulators.card_text import label_of, text_of
from passes.emulators.wallet_file import Field, InstalledPass, colour_of

WIDTH, HEIGHT = 375, 525
# What of a card remains visible when another lies on it.
STACKED_HEIGHT = 66

_LEFT, _RIGHT = 15.0, 360.0
_STRIP_TOP, _STRIP_HEIGHT = 66.0, 144.0
_GAP = 19.0
_BLACK, _WHITE = (0, 0, 0), (255, 255, 255)
_SCREEN_SCALE = 2

Colour = tuple[int, int, int]

# How wide each character from space to tilde is, in hundredths of the letter size (sans serif, regular).
# fmt: off
_WIDTHS = (
    22, 24, 34, 58, 58, 74, 65, 18, 32, 32, 56, 58, 22, 27, 22, 30, 58, 58, 58, 58, 58, 58, 58, 58, 58,
    58, 22, 22, 58, 58, 58, 50, 85, 64, 63, 70, 71, 59, 57, 71, 73, 26, 54, 61, 58, 87, 72, 74, 60, 73,
    62, 58, 61, 68, 62, 95, 62, 58, 59, 31, 30, 30, 58, 50, 30, 53, 61, 53, 62, 55, 29, 62, 59, 24, 23,
    52, 25, 86, 59, 59, 61, 62, 33, 46, 31, 59, 51, 78, 48, 51, 46, 30, 25, 30, 58,
)
# fmt: on


@dataclass(frozen=True, slots=True)
class Box:
    """A filled rectangle with round corners."""

    x: float
    y: float
    width: float
    height: float
    radius: float
    fill: Colour


@dataclass(frozen=True, slots=True)
class Picture:
    """A PNG in a frame: scaled to fill and cropped, or (`whole`) to fit, at the left."""

    x: float
    y: float
    width: float
    height: float
    data: bytes
    whole: bool


@dataclass(frozen=True, slots=True)
class Words:
    """One line of text; `anchor` is start, middle or end, `y` its baseline."""

    x: float
    y: float
    size: float
    weight: int
    anchor: str
    fill: Colour
    text: str
    tight: bool = False


@dataclass(frozen=True, slots=True)
class Symbol:
    """A barcode: rows of modules, each `step_x` by `step_y`."""

    x: float
    y: float
    step_x: float
    step_y: float
    rows: tuple[tuple[bool, ...], ...]
    fill: Colour


Item = Box | Picture | Words | Symbol


# --- the layout -------------------------------------------------------------


def layout(installed: InstalledPass, *, language: str = "en", zone: tzinfo = UTC) -> list[Item]:
    """Everything on the front of the card, back to front."""
    document = installed.document
    ground = _colour(document, "backgroundColor", (235, 235, 235))
    foreground = _colour(document, "foregroundColor", _contrast(ground))
    label = _colour(document, "labelColor", foreground)
    items: list[Item] = [Box(0, 0, WIDTH, HEIGHT, 14, ground)]
    if strip := installed.image("strip", language):
        items.append(Picture(0, _STRIP_TOP, WIDTH, _STRIP_HEIGHT, strip, whole=False))
    header_left = _header(items, installed, language, zone, foreground, label)
    _brand(items, installed, language, foreground, header_left)
    for one in installed.section("primaryFields")[:1]:
        on_strip = _colour(document, "stripColor", foreground)
        size, text = _fitted(text_of(one, installed, language, zone), 46, 22, _RIGHT - _LEFT)
        items.append(Words(_LEFT, 134, size, 300, "start", on_strip, text, tight=size < 46))
        _, text = _fitted(_capitals(label_of(one, installed, language), language), 13, 13, _RIGHT - _LEFT)
        items.append(Words(_LEFT, 157, 13, 600, "start", label, text))
    row = installed.section("secondaryFields") + installed.section("auxiliaryFields")
    _row(items, row[:4], installed, language, zone, foreground, label)
    _barcode(items, installed, ground)
    return items


def _header(
    items: list[Item],
    installed: InstalledPass,
    language: str,
    zone: tzinfo,
    foreground: Colour,
    label: Colour,
) -> float:
    """Header fields from the right; the x where they begin."""
    right = _RIGHT
    for one in installed.section("headerFields")[:3]:
        size, text = _fitted(text_of(one, installed, language, zone), 23, 14.6, 118)
        title = _capitals(label_of(one, installed, language), language)
        width = max(text_width(text, size), min(text_width(title, 12), 118))
        _, title = _fitted(title, 12, 12, max(width, 40))
        items.append(Words(right, 20.7, 12, 600, "end", label, title))
        items.append(Words(right, 41.3, size, 400, "end", foreground, text))
        right -= width + _GAP
    return right


def _brand(
    items: list[Item], installed: InstalledPass, language: str, foreground: Colour, right: float
) -> None:
    x = _LEFT
    if logo := installed.image("logo", language):
        pixels = _png_size(logo)
        width = min(160.0, 50.0 * pixels[0] / max(1, pixels[1]))
        items.append(Picture(_LEFT, 8, width, 50, logo, whole=True))
        x += width + 10
    title = installed.translate(str(installed.document.get("logoText", "")), language)
    if title and right - x > 20:
        size, title = _fitted(title, 17, 13, right - x)
        items.append(Words(x, 39, size, 600, "start", foreground, title))


def _row(
    items: list[Item],
    fields: Sequence[Field],
    installed: InstalledPass,
    language: str,
    zone: tzinfo,
    foreground: Colour,
    label: Colour,
) -> None:
    """Secondary and auxiliary fields: one row, one size, labels no wider than their column."""
    if not fields:
        return
    space = _RIGHT - _LEFT - _GAP * (len(fields) - 1)
    texts = [text_of(one, installed, language, zone) for one in fields]
    size = min(28.6, max(14.6, 28.6 * space / max(1.0, sum(text_width(text, 28.6) for text in texts))))
    widths = [text_width(text, size) for text in texts]
    if sum(widths) > space:
        # Even the smallest size is too wide: the long ones give way to the short ones.
        share = space / len(fields)
        spare = sum(max(0.0, share - width) for width in widths)
        wide = sum(1 for width in widths if width > share)
        texts = [_cut(text, size, share + spare / max(1, wide)) for text in texts]
        widths = [text_width(text, size) for text in texts]
    widths = [max(width, 44.0) for width in widths]
    gap = max(6.0, (_RIGHT - _LEFT - sum(widths)) / max(1, len(fields) - 1))
    x = _LEFT
    for index, (one, text, width) in enumerate(zip(fields, texts, widths, strict=True)):
        last = index == len(fields) - 1 and len(fields) > 1
        anchor, at = ("end", _RIGHT) if last else ("start", x)
        title = _cut(_capitals(label_of(one, installed, language), language), 12, width + gap - 6)
        items.append(Words(at, 232.2, 12, 600, anchor, label, title))
        # The larger the letters, the lower they stand; both ends were measured.
        baseline = 250.5 + (263.5 - 250.5) * (size - 14.6) / (28.6 - 14.6)
        items.append(Words(at, baseline, size, 300, anchor, foreground, text))
        x += width + gap


def _barcode(items: list[Item], installed: InstalledPass, ground: Colour) -> None:
    source = shown_barcode(installed)
    if source is None:
        return
    rows = modules_of(source)
    square = source["format"] in ("PKBarcodeFormatQR", "PKBarcodeFormatAztec")
    columns = len(rows[0])
    # Whole half-points a module keep the edges on pixels of a two-times screen.
    step = max(1.0, int(2 * (138 if square else 270) / columns) / 2)
    width = step * columns
    height = step * len(rows) if len(rows) > 1 else 70.0
    alt = _cut(str(source.get("altText", "")), 15.9, 277)
    box_width = max(163.0, width + 24, text_width(alt, 15.9) + 20)
    top = 483 - height
    items.append(Box((WIDTH - box_width) / 2, top - 14, box_width, height + (41 if alt else 28), 8, _WHITE))
    dimmed = (190, 190, 190) if installed.voided else _BLACK
    items.append(Symbol((WIDTH - width) / 2, top, step, height / len(rows), rows, dimmed))
    if alt:
        items.append(Words(WIDTH / 2, 501, 15.9, 400, "middle", dimmed, alt))
    if installed.voided:
        items.append(
            Words(WIDTH / 2, top - 22, 13, 600, "middle", _contrast(ground), "This card was stopped")
        )


# --- barcodes ---------------------------------------------------------------


def shown_barcode(installed: InstalledPass) -> dict[str, Any] | None:
    """The first barcode that iOS 9 to 26 can display."""
    shown = ("QR", "PDF417", "Aztec", "Code128")
    for one in installed.document.get("barcodes", []):
        if one["format"].removeprefix("PKBarcodeFormat") in shown:
            return dict(one)
    return None


def modules_of(barcode: dict[str, Any]) -> tuple[tuple[bool, ...], ...]:
    """The symbol of a barcode's message, dark modules True, without quiet zone."""
    if barcode["format"] == "PKBarcodeFormatQR":
        import qrcode

        code = qrcode.QRCode(border=0, error_correction=qrcode.ERROR_CORRECT_M)
        code.add_data(barcode["message"].encode(barcode["messageEncoding"]))
        code.make(fit=True)
        return tuple(tuple(bool(one) for one in row) for row in code.get_matrix())
    import zxingcpp

    formats = {
        "PKBarcodeFormatPDF417": zxingcpp.BarcodeFormat.PDF417,
        "PKBarcodeFormatAztec": zxingcpp.BarcodeFormat.Aztec,
        "PKBarcodeFormatCode128": zxingcpp.BarcodeFormat.Code128,
    }
    symbol = zxingcpp.create_barcode(barcode["message"], formats[barcode["format"]])
    image: Any = symbol.to_image(scale=1, add_quiet_zones=False)
    rows: Any = memoryview(image).tolist()
    bars = tuple(tuple(pixel < 128 for pixel in row) for row in rows)
    return bars[:1] if barcode["format"] == "PKBarcodeFormatCode128" else bars


# --- painting ---------------------------------------------------------------


def as_svg(
    installed: InstalledPass, *, language: str = "en", zone: tzinfo = UTC, unique: str = "card"
) -> str:
    """The front as inline SVG; `unique` keeps its ids apart from other cards' on the page."""
    painted = "".join(_svg(item) for item in layout(installed, language=language, zone=zone))
    title = escape(spoken(installed, language=language, zone=zone))
    return (
        f'<svg class="card" xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {WIDTH} {HEIGHT}" role="img" '
        f'aria-label="{title}" font-family="{_FONTS}">'
        f'<clipPath id="{escape(unique)}"><rect width="{WIDTH}" height="{HEIGHT}" rx="14"/></clipPath>'
        f'<g clip-path="url(#{escape(unique)})">{painted}</g></svg>'
    )


_FONTS = "-apple-system, 'SF Pro Text', Inter, 'Helvetica Neue', 'Liberation Sans', Arial, sans-serif"


def spoken(installed: InstalledPass, *, language: str = "en", zone: tzinfo = UTC) -> str:
    """What VoiceOver says of the card: its description and the fields on the front."""
    parts = [installed.translate(str(installed.document["description"]), language)]
    for one in installed.fields:
        if one.section != "backFields":
            label = label_of(one, installed, language)
            parts.append(f"{label} {text_of(one, installed, language, zone)}".strip())
    return ". ".join(parts)


def _svg(item: Item) -> str:
    if isinstance(item, Box):
        return (
            f'<rect x="{item.x:g}" y="{item.y:g}" width="{item.width:g}" height="{item.height:g}" '
            f'rx="{item.radius:g}" fill="{_hex(item.fill)}"/>'
        )
    if isinstance(item, Picture):
        ratio = "xMinYMid meet" if item.whole else "xMidYMid slice"
        data = base64.b64encode(item.data).decode()
        return (
            f'<image x="{item.x:g}" y="{item.y:g}" width="{item.width:g}" height="{item.height:g}" '
            f'preserveAspectRatio="{ratio}" href="data:image/png;base64,{data}"/>'
        )
    if isinstance(item, Symbol):
        return (
            f'<path transform="translate({item.x:g} {item.y:g}) scale({item.step_x:g} {item.step_y:g})" '
            f'shape-rendering="crispEdges" fill="{_hex(item.fill)}" d="{_path(item.rows)}"/>'
        )
    length = f' textLength="{text_width(item.text, item.size):.1f}" lengthAdjust="spacingAndGlyphs"'
    return (
        f'<text x="{item.x:g}" y="{item.y:g}" font-size="{item.size:g}" font-weight="{item.weight}" '
        f'text-anchor="{item.anchor}" fill="{_hex(item.fill)}"{length if item.tight else ""}>'
        f"{escape(item.text)}</text>"
    )


def _path(rows: Sequence[Sequence[bool]]) -> str:
    """Every run of dark modules as one rectangle."""
    parts: list[str] = []
    for y, row in enumerate(rows):
        x = 0
        while x < len(row):
            end = x
            while end < len(row) and row[end]:
                end += 1
            if end > x:
                parts.append(f"M{x} {y}h{end - x}v1h{x - end}z")
            x = end + 1
    return "".join(parts)


def as_png(installed: InstalledPass, *, language: str = "en", zone: tzinfo = UTC) -> bytes:
    """A photograph of the phone's screen with this card open: 750 × 1334 pixels, for a till to read."""
    from PIL import Image, ImageDraw, ImageFont

    scale, top = _SCREEN_SCALE, 130
    screen = Image.new("RGB", (WIDTH * scale, 1334), (0, 0, 0))
    paint = ImageDraw.Draw(screen)
    for item in layout(installed, language=language, zone=zone):
        x, y = round(item.x * scale), round(item.y * scale) + top
        if isinstance(item, Box):
            corner = (x + round(item.width * scale) - 1, y + round(item.height * scale) - 1)
            paint.rounded_rectangle([(x, y), corner], item.radius * scale, fill=item.fill)
        elif isinstance(item, Picture):
            size = (max(1, round(item.width * scale)), max(1, round(item.height * scale)))
            picture = _scaled(item, size)
            screen.paste(picture, (x, y), picture)
        elif isinstance(item, Words):
            anchor = {"start": "ls", "middle": "ms", "end": "rs"}[item.anchor]
            font = ImageFont.load_default(item.size * scale)
            paint.text((x, y), _plain(item.text), fill=item.fill, font=font, anchor=anchor)
        else:
            for row, modules in enumerate(item.rows):
                for column, dark in enumerate(modules):
                    if dark:
                        left, upper = x + column * item.step_x * scale, y + row * item.step_y * scale
                        right, lower = left + item.step_x * scale - 1, upper + item.step_y * scale - 1
                        paint.rectangle([left, upper, right, lower], fill=item.fill)
    target = io.BytesIO()
    screen.save(target, "PNG", compress_level=1)
    return target.getvalue()


def _scaled(item: Picture, size: tuple[int, int]) -> Any:
    from PIL import Image, ImageOps

    # A pass's image may be anything that begins like a PNG; a phone shows nothing then.
    try:
        with Image.open(io.BytesIO(item.data)) as opened:
            picture = opened.convert("RGBA")
    except (OSError, ValueError, SyntaxError, Image.DecompressionBombError):
        return Image.new("RGBA", size)
    if item.whole:
        return ImageOps.pad(picture, size, centering=(0, 0.5), color=(0, 0, 0, 0))
    return ImageOps.fit(picture, size)


def _plain(text: str) -> str:
    """The text without accents, which the letters that come with Pillow lack; a till reads only the code."""
    spread = unicodedata.normalize("NFKD", text.replace("ı", "i"))
    return "".join(one for one in spread if not unicodedata.combining(one))


# --- text and colours -------------------------------------------------------


def text_width(text: str, size: float) -> float:
    """How wide a line is, in points, estimated; letters outside ASCII count as wide ones."""
    hundredths = sum(_WIDTHS[ord(one) - 32] if " " <= one <= "~" else _foreign(one) for one in text)
    return hundredths * size / 100


def _foreign(character: str) -> int:
    return 100 if character >= "\u2e80" else 61


def _fitted(text: str, size: float, smallest: float, space: float) -> tuple[float, str]:
    """The largest size from `size` down to `smallest` at which the text fits; cut if none does."""
    width = text_width(text, size)
    if width <= space:
        return size, text
    shrunk = max(smallest, size * space / width)
    return shrunk, _cut(text, shrunk, space)


def _cut(text: str, size: float, space: float) -> str:
    if text_width(text, size) <= space + 0.01:
        return text
    while text and text_width(text + "…", size) > space:
        text = text[:-1]
    return text.rstrip() + "…"


def _capitals(text: str, language: str) -> str:
    # Turkish has two letters i, and only one of them loses its dot.
    return (text.replace("i", "İ") if language.partition("-")[0] in ("tr", "az") else text).upper()


def _colour(document: Any, key: str, otherwise: Colour) -> Colour:
    return colour_of(document[key], key) if key in document else otherwise


def _contrast(ground: Colour) -> Colour:
    light = 0.299 * ground[0] + 0.587 * ground[1] + 0.114 * ground[2]
    return _BLACK if light > 140 else _WHITE


def _hex(colour: Colour) -> str:
    return "#{:02x}{:02x}{:02x}".format(*colour)


def _png_size(data: bytes) -> tuple[int, int]:
    width, height = struct.unpack(">II", data[16:24])
    return int(width), int(height)
