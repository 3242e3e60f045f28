"""Shapes of a card's face and how they are painted: as SVG for a page, as PNG for a till's eye.

Layouts place shapes once, in points; both painters draw the same. The SVG uses
presentation attributes only, so it lives under a strict CSP.
"""

from __future__ import annotations

import io
import unicodedata
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import lru_cache
from html import escape
from pathlib import Path
from typing import Any

BLACK, WHITE = (0, 0, 0), (255, 255, 255)

Colour = tuple[int, int, int]

_FONTS = "-apple-system, 'SF Pro Text', 'Phone Inter', 'Helvetica Neue', 'Liberation Sans', Arial, sans-serif"
_FONTS_FOLDER = Path(__file__).resolve().parents[2] / "static" / "vendor"
# What the first font file holds beyond U+00FF.
_LATIN = frozenset("ıŒœʻʼˆ˚˜€™↑↓−∕…–—‘’“”•")
_SCREEN = (750, 1334)
_SCREEN_TOP = 130

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
    """A PNG in a frame with round corners: scaled to fill and cropped, or (`whole`) to fit, at the left."""

    x: float
    y: float
    width: float
    height: float
    data: bytes
    whole: bool
    radius: float = 0


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


# --- painting ---------------------------------------------------------------


def as_svg(
    items: Sequence[Item],
    *,
    size: tuple[float, float],
    radius: float,
    title: str,
    unique: str,
    address: Callable[[bytes], str],
) -> str:
    """The shapes as inline SVG of that size; `title` is what a screen reader says.

    `unique` keeps its ids apart from other drawings' on the page; `address` is
    where a page finds a picture.
    """
    width, height = size
    painted = "".join(_svg(item, f"{unique}-{place}", address) for place, item in enumerate(items))
    name = escape(unique)
    return (
        f'<svg class="card" xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {width:g} {height:g}" role="img" '
        f'aria-label="{escape(title)}" font-family="{_FONTS}">'
        f'<clipPath id="{name}"><rect width="{width:g}" height="{height:g}" rx="{radius:g}"/></clipPath>'
        f'<g clip-path="url(#{name})">{painted}</g></svg>'
    )


def _svg(item: Item, unique: str, address: Callable[[bytes], str]) -> str:
    if isinstance(item, Box):
        return (
            f'<rect x="{item.x:g}" y="{item.y:g}" width="{item.width:g}" height="{item.height:g}" '
            f'rx="{item.radius:g}" fill="{hexed(item.fill)}"/>'
        )
    if isinstance(item, Picture):
        frame = f'x="{item.x:g}" y="{item.y:g}" width="{item.width:g}" height="{item.height:g}"'
        ratio = "xMinYMid meet" if item.whole else "xMidYMid slice"
        image = f'<image {frame} preserveAspectRatio="{ratio}" href="{escape(address(item.data))}"'
        if not item.radius:
            return f"{image}/>"
        name = escape(unique)
        return (
            f'<clipPath id="{name}"><rect {frame} rx="{item.radius:g}"/></clipPath>'
            f'{image} clip-path="url(#{name})"/>'
        )
    if isinstance(item, Symbol):
        return (
            f'<path transform="translate({item.x:g} {item.y:g}) scale({item.step_x:g} {item.step_y:g})" '
            f'shape-rendering="crispEdges" fill="{hexed(item.fill)}" d="{_path(item.rows)}"/>'
        )
    length = f' textLength="{text_width(item.text, item.size):.1f}" lengthAdjust="spacingAndGlyphs"'
    return (
        f'<text x="{item.x:g}" y="{item.y:g}" font-size="{item.size:g}" font-weight="{item.weight}" '
        f'text-anchor="{item.anchor}" fill="{hexed(item.fill)}"{length if item.tight else ""}>'
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


def as_png(items: Sequence[Item], *, width: float, ground: Colour, left: float = 0) -> bytes:
    """A photograph of a phone's screen with these shapes on it: 750 × 1334 pixels, for a till to read.

    The screen is `width` points wide, of which `left` stay free at either side.
    """
    from PIL import Image, ImageDraw

    scale = _SCREEN[0] / width
    screen = Image.new("RGB", _SCREEN, ground)
    paint = ImageDraw.Draw(screen)
    for item in items:
        x, y = round((item.x + left) * scale), round(item.y * scale) + _SCREEN_TOP
        if isinstance(item, Box):
            corner = (x + round(item.width * scale) - 1, y + round(item.height * scale) - 1)
            paint.rounded_rectangle([(x, y), corner], item.radius * scale, fill=item.fill)
        elif isinstance(item, Picture):
            size = (max(1, round(item.width * scale)), max(1, round(item.height * scale)))
            picture = _scaled(item, size, scale)
            screen.paste(picture, (x, y), picture)
        elif isinstance(item, Words):
            _write(paint, item, x, y, scale)
        else:
            # Whole pixels a module: a scanner's grid must not drift.
            step_x, step_y = max(1, round(item.step_x * scale)), max(1, round(item.step_y * scale))
            for row, modules in enumerate(item.rows):
                for column, dark in enumerate(modules):
                    if dark:
                        at, upper = x + column * step_x, y + row * step_y
                        paint.rectangle([at, upper, at + step_x - 1, upper + step_y - 1], fill=item.fill)
    target = io.BytesIO()
    screen.save(target, "PNG", compress_level=1)
    return target.getvalue()


def _scaled(item: Picture, size: tuple[int, int], scale: float) -> Any:
    from PIL import Image, ImageChops, ImageDraw, ImageOps

    # A card's image may be anything that begins like a PNG; a phone shows nothing then.
    try:
        with Image.open(io.BytesIO(item.data)) as opened:
            picture = opened.convert("RGBA")
    except (OSError, ValueError, SyntaxError, Image.DecompressionBombError):
        return Image.new("RGBA", size)
    if item.whole:
        return ImageOps.pad(picture, size, centering=(0, 0.5), color=(0, 0, 0, 0))
    fitted = ImageOps.fit(picture, size)
    if item.radius:
        mask = Image.new("L", size)
        box = [(0, 0), (size[0] - 1, size[1] - 1)]
        ImageDraw.Draw(mask).rounded_rectangle(box, item.radius * scale, fill=255)
        fitted.putalpha(ImageChops.multiply(fitted.getchannel("A"), mask))
    return fitted


def _write(paint: Any, item: Words, x: int, y: int, scale: float) -> None:
    """A line in the page's own letters, run by run: each of its font files holds some of them."""
    runs: list[tuple[str, Any]] = []
    for character in item.text:
        font = _font(_file_of(character), round(item.size * scale), item.weight)
        if runs and runs[-1][1] is font:
            runs[-1] = (runs[-1][0] + character, font)
        else:
            runs.append((character, font))
    widths = [font.getlength(text) for text, font in runs]
    x -= round({"start": 0, "middle": sum(widths) / 2, "end": sum(widths)}[item.anchor])
    for (text, font), width in zip(runs, widths, strict=True):
        paint.text((x, y), text, fill=item.fill, font=font, anchor="ls")
        x += round(width)


def _file_of(character: str) -> str:
    return "latin" if character in _LATIN or ord(character) <= 0xFF else "latin-ext"


@lru_cache(maxsize=64)
def _font(file: str, size: int, weight: int) -> Any:
    from PIL import ImageFont

    try:
        font = ImageFont.truetype(_FONTS_FOLDER / f"inter-5.3.0-{file}.woff2", size)
        font.set_variation_by_axes([min(32, max(14, size // 2)), weight])
    except OSError:
        # A till reads only the code: any letters will do.
        return ImageFont.load_default(size)
    return font


# --- barcodes ---------------------------------------------------------------


@lru_cache(maxsize=256)
def modules_of(kind: str, message: str, *, encoding: str = "utf-8") -> tuple[tuple[bool, ...], ...]:
    """The symbol of a message, dark modules True, without quiet zone.

    `kind` is QR, PDF417, Aztec, Code128, EAN13, EAN8, ITF, Code39, UPCA or DataMatrix; linear
    ones have one row. Raises ValueError for what cannot be written in that kind.
    """
    if kind == "QR":
        import qrcode

        code = qrcode.QRCode(border=0, error_correction=qrcode.ERROR_CORRECT_M)
        code.add_data(message.encode(encoding))
        code.make(fit=True)
        return tuple(tuple(bool(one) for one in row) for row in code.get_matrix())
    import zxingcpp

    symbol = zxingcpp.create_barcode(message, getattr(zxingcpp.BarcodeFormat, kind))
    image: Any = symbol.to_image(scale=1, add_quiet_zones=False)
    rows: Any = memoryview(image).tolist()
    bars = tuple(tuple(pixel < 128 for pixel in row) for row in rows)
    return bars if kind in SQUARE or kind == "PDF417" else bars[:1]


SQUARE = frozenset({"QR", "Aztec", "DataMatrix"})


# --- text and colours -------------------------------------------------------


def text_width(text: str, size: float) -> float:
    """How wide a line is, in points, estimated; letters outside ASCII count as wide ones."""
    hundredths = sum(_WIDTHS[ord(one) - 32] if " " <= one <= "~" else _foreign(one) for one in text)
    return hundredths * size / 100


def _foreign(character: str) -> int:
    if "\u0590" <= character <= "\u08ff":
        # Hebrew and Arabic letters are narrow, and their marks take no room.
        return 0 if unicodedata.combining(character) else 46
    return 100 if character >= "\u2e80" else 61


def fitted(text: str, size: float, smallest: float, space: float) -> tuple[float, str]:
    """The largest size from `size` down to `smallest` at which the text fits; cut if none does."""
    width = text_width(text, size)
    if width <= space:
        return size, text
    shrunk = max(smallest, size * space / width)
    return shrunk, cut(text, shrunk, space)


def cut(text: str, size: float, space: float) -> str:
    if text_width(text, size) <= space + 0.01:
        return text
    while text and text_width(text + "…", size) > space:
        text = text[:-1]
    return text.rstrip() + "…"


def _capitals(text: str, language: str) -> str:
    # Turkish has two letters i, and only one of them loses its dot.
    return (text.replace("i", "İ") if language.partition("-")[0] in ("tr", "az") else text).upper()


def contrast(ground: Colour) -> Colour:
    """Black or white, whichever can be read on this ground."""
    light = 0.299 * ground[0] + 0.587 * ground[1] + 0.114 * ground[2]
    return BLACK if light > 140 else WHITE


def hexed(colour: Colour) -> str:
    """As #rrggbb."""
    return "#{:02x}{:02x}{:02x}".format(*colour)
