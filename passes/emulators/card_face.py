"""Draw a pass as iOS draws a store card: its own colours, images, fields and barcode.

`layout` places things once, in points on a card of 375 × 525; `as_svg` and
`as_png` have that painted. Positions were measured on public iPhone screenshots. The
SVG uses presentation attributes only, so it lives under a strict CSP.
"""

from __future__ import annotations

import base64
import struct
from collections.abc import Callable, Sequence
from datetime import UTC, tzinfo
from typing import Any

from passes.emulators import drawing
from passes.emulators.card_text import label_of, text_of
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
from passes.emulators.wallet_file import Field, InstalledPass, colour_of

WIDTH, HEIGHT = 375, 525

_LEFT, _RIGHT = 15.0, 360.0
_STRIP_TOP, _STRIP_HEIGHT = 66.0, 144.0
_GAP = 19.0
_RADIUS = 14


# --- the layout -------------------------------------------------------------


def layout(installed: InstalledPass, *, language: str = "en", zone: tzinfo = UTC) -> list[Item]:
    """Everything on the front of the card, back to front."""
    document = installed.document
    ground = _colour(document, "backgroundColor", (235, 235, 235))
    foreground = _colour(document, "foregroundColor", contrast(ground))
    label = _colour(document, "labelColor", foreground)
    items: list[Item] = [Box(0, 0, WIDTH, HEIGHT, _RADIUS, ground)]
    if strip := installed.image("strip", language):
        items.append(Picture(0, _STRIP_TOP, WIDTH, _STRIP_HEIGHT, strip, whole=False))
    header_left = _header(items, installed, language, zone, foreground, label)
    _brand(items, installed, language, foreground, header_left)
    for one in installed.section("primaryFields")[:1]:
        on_strip = _colour(document, "stripColor", foreground)
        size, text = fitted(text_of(one, installed, language, zone), 46, 22, _RIGHT - _LEFT)
        items.append(Words(_LEFT, 134, size, 300, "start", on_strip, text, tight=size < 46))
        _, text = fitted(_capitals(label_of(one, installed, language), language), 13, 13, _RIGHT - _LEFT)
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
        size, text = fitted(text_of(one, installed, language, zone), 23, 14.6, 118)
        title = _capitals(label_of(one, installed, language), language)
        width = max(text_width(text, size), min(text_width(title, 12), 118))
        _, title = fitted(title, 12, 12, max(width, 40))
        items.append(Words(right, 20.7, 12, 600, "end", label, title))
        # Small values stand a little higher; both ends were measured.
        top = 23.7 + (25 - 23.7) * (size - 14.6) / (23 - 14.6)
        items.append(Words(right, top + 0.709 * size, size, 400, "end", foreground, text))
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
        size, title = fitted(title, 17, 13, right - x)
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
        texts = [cut(text, size, share + spare / max(1, wide)) for text in texts]
        widths = [text_width(text, size) for text in texts]
    widths = [max(width, 44.0) for width in widths]
    gap = max(6.0, (_RIGHT - _LEFT - sum(widths)) / max(1, len(fields) - 1))
    x = _LEFT
    for index, (one, text, width) in enumerate(zip(fields, texts, widths, strict=True)):
        last = index == len(fields) - 1 and len(fields) > 1
        anchor, at = ("end", _RIGHT) if last else ("start", x)
        title = cut(_capitals(label_of(one, installed, language), language), 12, width + gap - 6)
        items.append(Words(at, 232.2, 12, 600, anchor, label, title))
        # The larger the letters, the lower they stand; both ends were measured.
        baseline = 250.5 + (263.5 - 250.5) * (size - 14.6) / (28.6 - 14.6)
        items.append(Words(at, baseline, size, 300, anchor, foreground, text))
        x += width + gap


def _barcode(items: list[Item], installed: InstalledPass, ground: Colour) -> None:
    source = shown_barcode(installed)
    if source is None:
        return
    kind = source["format"].removeprefix("PKBarcodeFormat")
    rows = drawing.modules_of(kind, source["message"], encoding=source["messageEncoding"])
    square = kind in SQUARE
    columns = len(rows[0])
    # Whole half-points a module keep the edges on pixels of a two-times screen.
    step = max(1.0, int(2 * (138 if square else 270) / columns) / 2)
    width = step * columns
    height = step * len(rows) if len(rows) > 1 else 70.0
    alt = cut(str(source.get("altText", "")), 15.9, 277)
    box_width = max(163.0, width + 24, text_width(alt, 15.9) + 32)
    top = 483 - height
    items.append(Box((WIDTH - box_width) / 2, top - 14, box_width, height + (41 if alt else 28), 8, WHITE))
    dimmed = (190, 190, 190) if installed.voided else BLACK
    items.append(Symbol((WIDTH - width) / 2, top, step, height / len(rows), rows, dimmed))
    if alt:
        items.append(Words(WIDTH / 2, 501, 15.9, 400, "middle", dimmed, alt))
    if installed.voided:
        items.append(Words(WIDTH / 2, top - 22, 13, 600, "middle", contrast(ground), "This card was stopped"))


def shown_barcode(installed: InstalledPass) -> dict[str, Any] | None:
    """The first barcode that iOS 9 to 26 can display."""
    shown = ("QR", "PDF417", "Aztec", "Code128")
    for one in installed.document.get("barcodes", []):
        if one["format"].removeprefix("PKBarcodeFormat") in shown:
            return dict(one)
    return None


# --- painting ---------------------------------------------------------------


def inline(data: bytes) -> str:
    """A picture as an address that holds it."""
    return f"data:image/png;base64,{base64.b64encode(data).decode()}"


def as_svg(
    installed: InstalledPass,
    *,
    language: str = "en",
    zone: tzinfo = UTC,
    unique: str = "card",
    address: Callable[[bytes], str] = inline,
) -> str:
    """The front as inline SVG; `unique` keeps its ids apart from other cards' on the page."""
    return drawing.as_svg(
        layout(installed, language=language, zone=zone),
        size=(WIDTH, HEIGHT),
        radius=_RADIUS,
        title=spoken(installed, language=language, zone=zone),
        unique=unique,
        address=address,
    )


def as_png(installed: InstalledPass, *, language: str = "en", zone: tzinfo = UTC) -> bytes:
    """A photograph of the phone's screen with this card open, for a till to read."""
    return drawing.as_png(layout(installed, language=language, zone=zone), width=WIDTH, ground=WHITE)


def spoken(installed: InstalledPass, *, language: str = "en", zone: tzinfo = UTC) -> str:
    """What VoiceOver says of the card: its description and the fields on the front."""
    parts = [installed.translate(str(installed.document["description"]), language)]
    for one in installed.fields:
        if one.section != "backFields":
            label = label_of(one, installed, language)
            parts.append(f"{label} {text_of(one, installed, language, zone)}".strip())
    return ". ".join(parts)


# --- texts and colours of a pass --------------------------------------------


def _capitals(text: str, language: str) -> str:
    # Turkish has two letters i, and only one of them loses its dot.
    return (text.replace("i", "İ") if language.partition("-")[0] in ("tr", "az") else text).upper()


def _colour(document: Any, key: str, otherwise: Colour) -> Colour:
    return colour_of(document[key], key) if key in document else otherwise


def _png_size(data: bytes) -> tuple[int, int]:
    width, height = struct.unpack(">II", data[16:24])
    return int(width), int(height)
