"""Pictures of cards and scannable codes, as bytes.

Everything is drawn here, in several times the final size, and then scaled
down, so that edges are smooth. Measures are points of a store card: the strip
is 375 wide and 144 high, of which older phones show the middle 123. The phone
writes the card's main value over the left half, which therefore stays calm;
the marks that fill up stand in a row below it.
"""

from __future__ import annotations

import io
import math
import unicodedata
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from functools import lru_cache
from types import MappingProxyType

import qrcode
import zxingcpp
from PIL import Image, ImageChops, ImageDraw, ImageFilter, ImageFont, ImageOps, UnidentifiedImageError

from passes.loyalty.card import Strip, StripKind
from passes.loyalty.design import Scene
from passes.loyalty.refusals import PictureUnreadable

STRIP_POINTS = (375, 144)
ICON_POINTS = 38
LOGO_POINTS = 50
SCALES = (1, 2, 3)

# Drawing happens this many times larger than the largest picture.
OVERSIZE = 3
PIXELS = SCALES[-1] * OVERSIZE  # to a point

# The row of marks: inside the middle 123 points, left of the scene.
MARKS_LEFT, MARKS_WIDTH, MARKS_MIDDLE = 17.0, 186.0, 122.5
MARK_PITCH_MAX = 22.0

Colour = tuple[int, int, int]


def pictures(
    scene: Scene | str,
    *,
    ground: str,
    text: str,
    label: str,
    strip: Strip,
    initials: str,
    logo: bytes = b"",
) -> Mapping[str, bytes]:
    """Icon, logo and strip of a card as PNG, by archive name, in all three sizes.

    The colours are `#RRGGBB` of the design; `initials` mark the scene "plain", unless
    the shop has a `logo` (PNG) of its own.
    The same arguments give the same bytes; recent answers are remembered, since
    a picture takes some tenths of a second. Drawn from above: "latte", a cup
    of coffee and beans; "shelf", books; "plain", rings and dots.
    """
    return _pictures(Scene(scene), ground.lower(), text.lower(), label.lower(), strip, initials, logo)


@lru_cache(maxsize=96)
def _pictures(
    scene: Scene, ground: str, text: str, label: str, strip: Strip, initials: str, logo: bytes
) -> Mapping[str, bytes]:
    colours = Colours(_colour(ground), _colour(text), _colour(label))
    drawn = _backdrop(scene, ground, text, label).copy()
    _draw_marks(drawn, scene, colours, strip)
    palette = _palette(scene, ground, text, label, strip.kind)
    found = {
        f"strip{_suffix(scale)}.png": _png(_shrink(drawn, STRIP_POINTS, scale), palette) for scale in SCALES
    }
    return MappingProxyType(found | dict(_emblems(scene, ground, text, label, initials, logo)))


@lru_cache(maxsize=16)
def _emblems(
    scene: Scene, ground: str, text: str, label: str, initials: str, logo: bytes
) -> Mapping[str, bytes]:
    colours = Colours(_colour(ground), _colour(text), _colour(label))
    icon = Image.new("RGB", (ICON_POINTS * PIXELS,) * 2, colours.ground)
    _draw_emblem(icon, scene, colours, initials, logo, margin=0.13)
    sign = Image.new("RGBA", (LOGO_POINTS * PIXELS,) * 2, (*colours.text, 0))
    _draw_emblem(sign, scene, colours, initials, logo, margin=0.02)
    found = {}
    for scale in SCALES:
        found[f"icon{_suffix(scale)}.png"] = _png(_shrink(icon, (ICON_POINTS,) * 2, scale))
        found[f"logo{_suffix(scale)}.png"] = _png(_shrink(sign, (LOGO_POINTS,) * 2, scale))
    return MappingProxyType(found)


def sketch(*, ground: str, text: str, label: str, strip: Strip, initials: str, logo: bytes = b"") -> Sketch:
    """A "plain" design while its colours are still being chosen.

    Drawn at the size in which it is shown, in a tenth of the time of the real
    one, and not remembered: whoever moves through colours must not push the
    pictures of cards in use out of memory.
    """
    colours = Colours(_colour(ground.lower()), _colour(text.lower()), _colour(label.lower()))
    width, height = STRIP_POINTS
    strip_drawn = Image.new("RGB", (width * _SKETCH_PIXELS, height * _SKETCH_PIXELS), colours.ground)
    _draw_backdrop(strip_drawn, Scene.PLAIN, colours)
    _draw_marks(strip_drawn, Scene.PLAIN, colours, strip)
    sign = Image.new("RGBA", (LOGO_POINTS * _SKETCH_PIXELS,) * 2, (*colours.text, 0))
    _draw_emblem(sign, Scene.PLAIN, colours, initials, logo, margin=0.02)
    return Sketch(strip=_webp(strip_drawn), logo=_webp(sign))


_SKETCH_PIXELS = 3


@dataclass(frozen=True, slots=True)
class Sketch:
    """Strip and logo as WebP, for one page."""

    strip: bytes
    logo: bytes


def _webp(picture: Image.Image) -> bytes:
    file = io.BytesIO()
    picture.save(file, "WEBP", quality=82, method=0)
    return file.getvalue()


GOOGLE_LOGO_PIXELS = 660
GOOGLE_LOGO_MARGIN = 0.15
GOOGLE_HERO_PIXELS = (1032, 336)
"""The sizes of Google's brand guidelines. Its logo is cut to a circle, so the corners stay empty."""


def google_logo(
    scene: Scene | str, *, ground: str, text: str, label: str, initials: str, logo: bytes = b""
) -> bytes:
    """The shop's sign for a class at Google: a square PNG on the design's ground."""
    return _google_logo(Scene(scene), ground.lower(), text.lower(), label.lower(), initials, logo)


@lru_cache(maxsize=16)
def _google_logo(scene: Scene, ground: str, text: str, label: str, initials: str, logo: bytes) -> bytes:
    colours = Colours(_colour(ground), _colour(text), _colour(label))
    sign = Image.new("RGB", (GOOGLE_LOGO_PIXELS * 2,) * 2, colours.ground)
    _draw_emblem(sign, scene, colours, initials, logo, margin=GOOGLE_LOGO_MARGIN)
    return _png(sign.resize((GOOGLE_LOGO_PIXELS,) * 2, Image.Resampling.LANCZOS))


@lru_cache(maxsize=32)
def home_icon(
    scene: Scene | str,
    *,
    ground: str,
    text: str,
    label: str,
    initials: str,
    pixels: int,
    logo: bytes = b"",
) -> bytes:
    """The shop's sign for a home screen: a square PNG whose middle survives any phone's mask."""
    large = google_logo(scene, ground=ground, text=text, label=label, initials=initials, logo=logo)
    with Image.open(io.BytesIO(large)) as picture:
        return _png(picture.resize((pixels, pixels), Image.Resampling.LANCZOS))


@lru_cache(maxsize=64)
def google_hero(scene: Scene | str, *, ground: str, text: str, label: str, strip: Strip) -> bytes:
    """The strip as Google shows it: its middle, in Google's proportions, as PNG."""
    scene, ground, text, label = Scene(scene), ground.lower(), text.lower(), label.lower()
    drawn = _backdrop(scene, ground, text, label).copy()
    _draw_marks(drawn, scene, Colours(_colour(ground), _colour(text), _colour(label)), strip)
    width, height = GOOGLE_HERO_PIXELS
    left_out = (drawn.height - drawn.width * height / width) / 2
    hero = drawn.resize(
        (width, height), Image.Resampling.LANCZOS, box=(0, left_out, drawn.width, drawn.height - left_out)
    )
    return _png(hero, _palette(scene, ground, text, label, strip.kind))


def _suffix(scale: int) -> str:
    return "" if scale == 1 else f"@{scale}x"


# Colours ----------------------------------------------------------------------


class Colours:
    """The three colours of a design and what is mixed from them."""

    def __init__(self, ground: Colour, text: Colour, label: Colour) -> None:
        self.ground, self.text, self.label = ground, text, label
        # Shade goes away from what is written on it, so that it makes no text harder to read.
        self.dark = _lightness(ground) < _lightness(text)

    def lift(self, amount: float) -> Colour:
        """The ground, a little nearer to white (or, on light cards, to the label colour)."""
        return _mix(self.ground, (255, 255, 255) if self.dark else self.label, amount)

    def sink(self, amount: float) -> Colour:
        """The ground, a little nearer to black (or, on light cards, to the text colour)."""
        return _mix(self.ground, (0, 0, 0) if self.dark else self.text, amount)


def _colour(text: str) -> Colour:
    red, green, blue = bytes.fromhex(text.removeprefix("#"))
    return red, green, blue


def _mix(one: Colour, other: Colour, amount: float) -> Colour:
    red, green, blue = (round(a + (b - a) * amount) for a, b in zip(one, other, strict=True))
    return red, green, blue


def _lightness(colour: Colour) -> float:
    return (0.299 * colour[0] + 0.587 * colour[1] + 0.114 * colour[2]) / 255


# Tools ------------------------------------------------------------------------

Point = tuple[float, float]
At = Callable[[float, float], Point]


@dataclass(frozen=True, slots=True)
class Stencil:
    """A grey mask and where its top left corner lies on the canvas, in pixels."""

    mask: Image.Image
    left: int
    top: int


class Canvas:
    """Paints soft shapes on a picture; all measures are points from its top left corner."""

    def __init__(self, picture: Image.Image, pixels: float) -> None:
        self.picture = picture
        self.pixels = pixels

    def stencil(
        self, x: float, y: float, width: float, height: float, draw: Callable[[ImageDraw.ImageDraw, At], None]
    ) -> Stencil:
        """A mask of that place on which `draw` has drawn; `at` turns points into its pixels."""
        p = self.pixels
        left, top = math.floor(x * p), math.floor(y * p)
        mask = Image.new("L", (math.ceil((x + width) * p) - left, math.ceil((y + height) * p) - top), 0)
        draw(ImageDraw.Draw(mask), lambda px, py: (px * p - left, py * p - top))
        return Stencil(mask, left, top)

    def paint(self, stencil: Stencil, colour: Colour, opacity: float = 1.0) -> None:
        """Cover the stencil's shape with a colour."""
        mask = stencil.mask
        if opacity < 1.0:
            mask = mask.point([round(value * opacity) for value in range(256)])
        if self.picture.mode == "RGBA":
            layer = Image.new("RGBA", mask.size, (*colour, 0))
            layer.putalpha(mask)
            self.picture.alpha_composite(layer, *_inside(stencil))
        else:
            self.picture.paste(colour, (stencil.left, stencil.top), mask)

    def oval(self, x: float, y: float, rx: float, ry: float) -> Stencil:
        """The stencil of an ellipse around x, y."""
        return self.stencil(
            x - rx, y - ry, 2 * rx, 2 * ry,
            lambda draw, at: draw.ellipse((at(x - rx, y - ry), at(x + rx, y + ry)), fill=255),
        )  # fmt: skip

    def ring(self, x: float, y: float, radius: float, width: float) -> Stencil:
        """The stencil of a ring whose line lies inside the radius."""
        line = max(1, round(width * self.pixels))
        return self.stencil(
            x - radius, y - radius, 2 * radius, 2 * radius,
            lambda draw, at: draw.ellipse(
                (at(x - radius, y - radius), at(x + radius, y + radius)), outline=255, width=line
            ),
        )  # fmt: skip

    def outline(self, points: Sequence[Point]) -> Stencil:
        """The stencil of a filled polygon."""
        left, top = min(x for x, _ in points), min(y for _, y in points)
        right, bottom = max(x for x, _ in points), max(y for _, y in points)
        return self.stencil(
            left, top, right - left, bottom - top,
            lambda draw, at: draw.polygon([at(x, y) for x, y in points], fill=255),
        )  # fmt: skip

    def line(self, points: Sequence[Point], width: float) -> Stencil:
        """The stencil of a line with round ends."""
        half = width / 2
        left, top = min(x for x, _ in points) - half, min(y for _, y in points) - half
        right, bottom = max(x for x, _ in points) + half, max(y for _, y in points) + half

        def draw_line(draw: ImageDraw.ImageDraw, at: At) -> None:
            placed = [at(x, y) for x, y in points]
            draw.line(placed, fill=255, width=max(1, round(width * self.pixels)), joint="curve")
            radius = half * self.pixels
            for x, y in (placed[0], placed[-1]):
                draw.ellipse((x - radius, y - radius, x + radius, y + radius), fill=255)

        return self.stencil(left, top, right - left, bottom - top, draw_line)

    def glow(self, x: float, y: float, radius: float) -> Stencil:
        """A stencil that is full in the middle and fades to nothing at the radius."""
        side = max(2, round(2 * radius * self.pixels))
        light = ImageChops.invert(Image.radial_gradient("L")).point(_FADE).resize((side, side))
        return Stencil(light, round((x - radius) * self.pixels), round((y - radius) * self.pixels))

    def lit(self, stencil: Stencil, x: float, y: float, radius: float) -> Stencil:
        """The part of a stencil that light from x, y reaches."""
        glow = self.glow(x, y, radius)
        light = Image.new("L", stencil.mask.size, 0)
        light.paste(glow.mask, (glow.left - stencil.left, glow.top - stencil.top))
        return Stencil(ImageChops.multiply(stencil.mask, light), stencil.left, stencil.top)

    def soft(self, stencil: Stencil, radius: float) -> Stencil:
        """The stencil with blurred edges (it should leave room for them)."""
        blurred = stencil.mask.filter(ImageFilter.GaussianBlur(radius * self.pixels))
        return Stencil(blurred, stencil.left, stencil.top)


def _inside(stencil: Stencil) -> tuple[tuple[int, int], tuple[int, int]]:
    # alpha_composite, unlike paste, refuses to start outside of the picture.
    left, top = max(0, stencil.left), max(0, stencil.top)
    return (left, top), (left - stencil.left, top - stencil.top)


# Pillow's radial gradient is darkest in the middle and reaches the edges of its
# square at 0.71; this maps it to a smooth fall that is nought there.
_FADE = [round(255 * max(0.0, (value / 255 - 0.293) / 0.707) ** 1.8) for value in range(256)]


def _turned(points: Iterable[Point], x: float, y: float, degrees: float) -> list[Point]:
    """Points around the origin, turned clockwise and moved to x, y."""
    sine, cosine = math.sin(math.radians(degrees)), math.cos(math.radians(degrees))
    return [(x + px * cosine - py * sine, y + px * sine + py * cosine) for px, py in points]


def _oval_points(rx: float, ry: float) -> list[Point]:
    return [(rx * math.cos(turn * math.tau / 72), ry * math.sin(turn * math.tau / 72)) for turn in range(72)]


def _shrink(picture: Image.Image, points: tuple[int, int], scale: int) -> Image.Image:
    size = points[0] * scale, points[1] * scale
    return picture if picture.size == size else picture.resize(size, Image.Resampling.LANCZOS)


FULL_COLOUR_BYTES_MAX = 45_000  # at two pixels to a point


@lru_cache(maxsize=48)
def _palette(scene: Scene, ground: str, text: str, label: str, kind: StripKind) -> Image.Image | None:
    """The 256 colours that suit all strips of a design best; None where full colour is small enough.

    Chosen once, on a half-filled strip of middle size, because choosing takes
    longer than all the rest.
    """
    drawn = _backdrop(scene, ground, text, label).copy()
    _draw_marks(drawn, scene, Colours(_colour(ground), _colour(text), _colour(label)), Strip(kind, 4, 8))
    example = _shrink(drawn, STRIP_POINTS, 2)
    if len(_png(example)) <= FULL_COLOUR_BYTES_MAX:
        return None
    return example.quantize(256, method=Image.Quantize.MEDIANCUT, kmeans=2)


def _png(picture: Image.Image, palette: Image.Image | None = None) -> bytes:
    """A PNG in full colour or in the colours of a palette.

    Never dithered: its grain doubles the size, and on a phone it is easier to
    see than the steps of a dark gradient.
    """
    if palette is not None:
        picture = picture.quantize(palette=palette, dither=Image.Dither.NONE)
    file = io.BytesIO()
    # Level 9 saves 2.7 % of the bytes, and whoever starts the service waits twice as long for its pictures.
    picture.save(file, "PNG", compress_level=7)
    return file.getvalue()


@lru_cache(maxsize=64)
def webp(png: bytes) -> bytes:
    """The same picture for pages: WebP without loss, a fifth smaller. Wallets take PNG alone."""
    file = io.BytesIO()
    with Image.open(io.BytesIO(png)) as picture:
        picture.convert("RGBA" if "transparency" in picture.info or picture.mode == "RGBA" else "RGB").save(
            file, "WEBP", lossless=True, exact=True
        )
    return file.getvalue()


# Backdrops --------------------------------------------------------------------


@lru_cache(maxsize=8)
def _backdrop(scene: Scene, ground: str, text: str, label: str) -> Image.Image:
    """The strip without its marks, at the largest final size. Callers copy it."""
    colours = Colours(_colour(ground), _colour(text), _colour(label))
    width, height = STRIP_POINTS
    picture = Image.new("RGB", (width * PIXELS, height * PIXELS), colours.ground)
    _draw_backdrop(picture, scene, colours)
    return _shrink(picture, STRIP_POINTS, SCALES[-1])


def _draw_backdrop(picture: Image.Image, scene: Scene, colours: Colours) -> None:
    """Shade and scene, all over a picture that has the strip's proportions."""
    canvas = Canvas(picture, picture.width / STRIP_POINTS[0])
    fall = Image.linear_gradient("L").resize(picture.size)
    canvas.paint(Stencil(fall, 0, 0), colours.sink(0.34 if colours.dark else 0.07))
    {Scene.LATTE: _draw_latte, Scene.SHELF: _draw_shelf, Scene.PLAIN: _draw_rings}[scene](canvas, colours)


CREAM, PORCELAIN = (251, 238, 214), (246, 240, 231)
WHITE, SHADOW = (255, 255, 255), (0, 0, 0)
COFFEE, CREMA, ROAST = (112, 62, 30), (186, 122, 66), (58, 30, 16)


def _draw_latte(canvas: Canvas, colours: Colours) -> None:
    """A cup from above at the right, and gold rings that run out from it."""
    x, y = 300.0, 72.0
    canvas.paint(canvas.glow(x, y, 185), colours.label, 0.26)
    for step in range(9):
        radius = 77 + 13 * step + step * step
        canvas.paint(canvas.ring(x, y, radius, 0.6), colours.label, 0.60 * 0.74**step)

    canvas.paint(canvas.glow(x + 2, y + 7, 94), SHADOW, 0.8)
    saucer = canvas.oval(x, y, 65, 65)
    canvas.paint(saucer, colours.lift(0.10))
    canvas.paint(canvas.lit(saucer, x - 30, y - 36, 100), colours.lift(0.30), 0.9)
    canvas.paint(canvas.ring(x, y, 65, 1.1), colours.label)
    canvas.paint(canvas.ring(x, y, 61.6, 0.4), colours.label, 0.55)

    canvas.paint(canvas.glow(x + 4, y + 8, 68), SHADOW, 0.8)
    ends = _turned([(44, 0), (59.5, 0)], x, y, 40)
    canvas.paint(canvas.line([(px + 1.4, py + 2.2) for px, py in ends], 9.4), SHADOW, 0.3)
    canvas.paint(canvas.line(ends, 9.0), _mix(PORCELAIN, SHADOW, 0.06))
    canvas.paint(canvas.line(_turned([(44, -1.4), (59, -1.4)], x, y, 40), 3.4), (255, 253, 248), 0.85)
    cup = canvas.oval(x, y, 49, 49)
    canvas.paint(cup, _mix(PORCELAIN, SHADOW, 0.10))
    canvas.paint(canvas.lit(cup, x - 20, y - 24, 84), (255, 253, 248))
    canvas.paint(canvas.oval(x, y, 44.6, 44.6), ROAST)
    canvas.paint(canvas.oval(x, y + 0.4, 43.9, 43.9), CREMA)
    coffee = canvas.oval(x, y + 0.4, 41.6, 41.6)
    canvas.paint(coffee, COFFEE)
    canvas.paint(canvas.lit(coffee, x - 10, y - 12, 66), CREMA, 0.62)
    _draw_tulip(canvas, x, y - 2.5, 39.0)


def _draw_tulip(canvas: Canvas, x: float, y: float, radius: float) -> None:
    """The milk's pattern: three leaves below a heart, poured towards the handle."""
    lean = -22.0
    upper = [math.pi * step / 40 for step in range(41)]
    for middle, wide, high in ((0.44, 0.78, 0.48), (0.20, 0.69, 0.43), (-0.03, 0.58, 0.37)):
        outer = [(wide * math.cos(turn), middle + high * math.sin(turn)) for turn in upper]
        inner = [(wide * math.cos(turn), middle - 0.05 + high * 0.52 * math.sin(turn)) for turn in upper]
        leaf = [(radius * px, radius * py) for px, py in (*outer, *reversed(inner))]
        canvas.paint(canvas.soft(canvas.outline(_turned(leaf, x, y, lean)), 0.3), CREAM)
    heart = [_heart(step * math.tau / 90) for step in range(90)]
    shape = [(radius * 0.40 * px, radius * (0.40 * py - 0.38)) for px, py in heart]
    canvas.paint(canvas.soft(canvas.outline(_turned(shape, x, y, lean)), 0.3), CREAM)
    stem = _turned([(0, radius * 0.02), (0, radius * 0.92)], x, y, lean)
    canvas.paint(canvas.line(stem, 0.9), CREMA, 0.9)


def _heart(turn: float) -> Point:
    """A heart's outline between -1 and 1, point downwards."""
    up = 13 * math.cos(turn) - 5 * math.cos(2 * turn) - 2 * math.cos(3 * turn) - math.cos(4 * turn)
    return math.sin(turn) ** 3, -up / 16


def _draw_shelf(canvas: Canvas, colours: Colours) -> None:
    """A board with books at the right; the last one leans on its neighbours."""
    canvas.paint(canvas.glow(300, 66, 190), WHITE, 0.5)
    floor = 116.0
    soft_label = _mix(colours.label, colours.ground, 0.38)
    books = (
        # width, height, colour, gold bands (share of the height, from the top)
        (13, 76, colours.label, (0.14, 0.20)),
        (10, 64, _mix(colours.text, colours.ground, 0.18), (0.2,)),
        (16, 86, (190, 146, 82), (0.13, 0.76)),
        (9, 70, (98, 120, 100), (0.3,)),
        (14, 91, colours.text, (0.11, 0.16, 0.80)),
        (11, 67, soft_label, (0.5,)),
        (15, 80, (112, 66, 78), (0.14, 0.19)),
    )
    canvas.paint(canvas.glow(302, floor + 4, 96), SHADOW, 0.10)
    x = 226.0
    for width, height, colour, bands in books:
        _draw_spine(canvas, (x, floor), (width, height), 0.0, colour, bands)
        x += width + 0.9
    # Its upper corner touches the neighbour, 82 · sin 11° to the left of its foot.
    _draw_spine(canvas, (x + 15.0, floor), (12, 82), -11.0, (206, 170, 106), (0.16, 0.82))
    wood = _mix((150, 104, 62), colours.ground, 0.12)
    canvas.paint(canvas.outline(_box(216, floor, 375, floor + 4.6)), wood)
    canvas.paint(canvas.outline(_box(216, floor, 375, floor + 0.9)), WHITE, 0.35)
    canvas.paint(canvas.outline(_box(216, floor + 3.7, 375, floor + 4.6)), SHADOW, 0.18)


def _draw_spine(
    canvas: Canvas, foot: Point, size: Point, lean: float, colour: Colour, bands: Sequence[float]
) -> None:
    """A standing book; `foot` is its lower left corner, `lean` in degrees."""
    width, height = size

    def part(left: float, right: float, top: float, bottom: float) -> Stencil:
        return canvas.outline(_turned(_box(left, -top, right, -bottom), *foot, lean))

    canvas.paint(part(1.5, width + 1.4, height - 1.2, 0), SHADOW, 0.16)
    canvas.paint(part(0, width, height, 0), colour)
    canvas.paint(part(width * 0.10, width * 0.34, height, 0), WHITE, 0.15)
    canvas.paint(part(width * 0.80, width, height, 0), SHADOW, 0.20)
    for band in bands:
        top = height * (1 - band)
        canvas.paint(part(0, width, top, top - 1.4), (240, 214, 150), 0.92)


def _box(left: float, top: float, right: float, bottom: float) -> list[Point]:
    return [(left, top), (right, top), (right, bottom), (left, bottom)]


def _draw_rings(canvas: Canvas, colours: Colours) -> None:
    """Soft rings that say nothing, for any programme."""
    x, y = 318.0, 66.0
    canvas.paint(canvas.glow(x, y, 210), colours.label, 0.30)
    for step in range(9):
        radius = 30 + 17 * step
        canvas.paint(canvas.ring(x, y, radius, 0.8), colours.label, 0.60 * 0.78**step)
    for radius in (64, 47, 30):
        canvas.paint(canvas.oval(x, y, radius, radius), colours.label, 0.12)


# Marks ------------------------------------------------------------------------


def _draw_marks(picture: Image.Image, scene: Scene, colours: Colours, strip: Strip) -> None:
    if strip.kind is StripKind.PLAIN or strip.steps < 1:
        return
    pitch = min(MARK_PITCH_MAX, MARKS_WIDTH / strip.steps)
    size = pitch * 0.40
    left, top, height = MARKS_LEFT - 3, MARKS_MIDDLE - 13, 26
    scale = SCALES[-1]
    across = pitch * strip.steps + 6
    # Drawn large on its own and laid over the finished backdrop: only this row differs between cards.
    row = Image.new("RGBA", (math.ceil(across) * PIXELS, height * PIXELS), (*colours.label, 0))
    canvas = Canvas(row, PIXELS)
    for number in range(strip.steps):
        x, y = 3 + pitch * (number + 0.5), height / 2
        lit, last = number < strip.step, number == strip.steps - 1
        if strip.kind is StripKind.STAMPS:
            _draw_stamp(canvas, colours, x, y, size, lit=lit, last=last)
        elif scene is Scene.LATTE:
            _draw_bean(canvas, colours, x, y, size, lit=lit)
        else:
            _draw_dot(canvas, colours, x, y, size * 0.72, lit=lit)
    small = row.resize((row.width // OVERSIZE, row.height // OVERSIZE), Image.Resampling.LANCZOS)
    picture.paste(small, (round(left * scale), round(top * scale)), small)


def _draw_bean(canvas: Canvas, colours: Colours, x: float, y: float, size: float, *, lit: bool) -> None:
    turn = -38.0
    body = canvas.outline(_turned(_oval_points(size, size * 0.68), x, y, turn))
    along = [step / 12 for step in range(-11, 12)]
    wave = [(size * share, size * 0.17 * math.sin(share * math.pi)) for share in along]
    crease = _turned(wave, x, y, turn)
    if lit:
        canvas.paint(body, _mix(colours.label, SHADOW, 0.16))
        canvas.paint(
            canvas.lit(body, x - size * 0.3, y - size * 0.45, size * 1.5), _mix(colours.label, CREAM, 0.35)
        )
        canvas.paint(canvas.line(crease, size * 0.17), colours.sink(0.3))
    else:
        canvas.paint(body, colours.label, 0.10)
        rim = _turned(_oval_points(size * 0.97, size * 0.65), x, y, turn)
        canvas.paint(canvas.line([*rim, rim[0]], size * 0.075), colours.label, 0.55)
        canvas.paint(canvas.line(crease, size * 0.085), colours.label, 0.45)


def _draw_stamp(
    canvas: Canvas, colours: Colours, x: float, y: float, size: float, *, lit: bool, last: bool
) -> None:
    if lit:
        canvas.paint(canvas.oval(x, y, size, size), colours.label)
        mark = colours.ground
    else:
        canvas.paint(canvas.oval(x, y, size, size), colours.label, 0.07)
        canvas.paint(
            canvas.ring(x, y, size, size * (0.16 if last else 0.10)), colours.label, 0.75 if last else 0.5
        )
        mark = colours.label
    if last:
        star = [
            (size * reach * math.sin(step * math.pi / 5), -size * reach * math.cos(step * math.pi / 5))
            for step, reach in ((step, 0.62 if step % 2 == 0 else 0.27) for step in range(10))
        ]
        canvas.paint(canvas.outline(_turned(star, x, y, 0)), mark, 1.0 if lit else 0.8)
    elif lit:
        tick = _turned(
            [(-0.40 * size, 0.02 * size), (-0.10 * size, 0.32 * size), (0.42 * size, -0.30 * size)], x, y, 0
        )
        canvas.paint(canvas.line(tick, size * 0.20), mark)


def _draw_dot(canvas: Canvas, colours: Colours, x: float, y: float, size: float, *, lit: bool) -> None:
    if lit:
        canvas.paint(canvas.oval(x, y, size, size), colours.label)
    else:
        canvas.paint(canvas.ring(x, y, size, size * 0.16), colours.label, 0.55)


# Emblems ----------------------------------------------------------------------


def _draw_emblem(
    picture: Image.Image, scene: Scene, colours: Colours, initials: str, logo: bytes, *, margin: float
) -> None:
    """The shop's sign, filling the square picture up to a margin (a share of its side)."""
    if logo:
        _draw_logo(picture, logo, margin=margin)
        return
    unit = picture.width * (1 - 2 * margin) / 100
    sign = Image.new("RGBA", (round(unit * 100),) * 2, (*colours.label, 0))
    canvas = Canvas(sign, unit)
    if scene is Scene.LATTE:
        _draw_finch(canvas, colours)
    elif scene is Scene.SHELF:
        _draw_book(canvas, colours)
    else:
        _draw_initials(canvas, colours, initials)
    offset = round(picture.width * margin)
    if picture.mode == "RGBA":
        picture.alpha_composite(sign, (offset, offset))
    else:
        picture.paste(sign, (offset, offset), sign)


def _draw_logo(picture: Image.Image, logo: bytes, *, margin: float) -> None:
    """The shop's own sign in the middle, as large as it fits."""
    side = round(picture.width * (1 - 2 * margin))
    with Image.open(io.BytesIO(logo), formats=("PNG",)) as opened:
        sign = ImageOps.contain(opened.convert("RGBA"), (side, side), Image.Resampling.LANCZOS)
    at = (picture.width - sign.width) // 2, (picture.height - sign.height) // 2
    if picture.mode == "RGBA":
        picture.alpha_composite(sign, at)
    else:
        picture.paste(sign, at, sign)


def _crescent(
    canvas: Canvas, outer: tuple[float, float, float], inner: tuple[float, float, float]
) -> Stencil:
    """What is left of one circle (x, y, radius) outside of another: an arc with pointed ends."""
    (x, y, radius), (hole_x, hole_y, hole) = outer, inner

    def draw_arc(draw: ImageDraw.ImageDraw, at: At) -> None:
        draw.ellipse((at(x - radius, y - radius), at(x + radius, y + radius)), fill=255)
        draw.ellipse((at(hole_x - hole, hole_y - hole), at(hole_x + hole, hole_y + hole)), fill=0)

    return canvas.stencil(x - radius, y - radius, 2 * radius, 2 * radius, draw_arc)


def _draw_finch(canvas: Canvas, colours: Colours) -> None:
    """A finch of two arcs and a circle, with a beak and an eye."""
    light = _mix(colours.label, colours.text, 0.6)
    canvas.paint(canvas.outline([(78, 20.5), (99, 29), (78, 36)]), light)
    canvas.paint(_crescent(canvas, (45, 47, 43), (33, 32, 43)), colours.label)
    canvas.paint(_crescent(canvas, (38, 41, 27), (30, 29, 28)), light)
    canvas.paint(canvas.oval(72, 29, 16, 16), colours.label)
    canvas.paint(canvas.oval(77, 26, 2.8, 2.8), colours.ground)


def _draw_book(canvas: Canvas, colours: Colours) -> None:
    """An open book seen from the front, with a ribbon."""
    for side in (-1, 1):
        page = [(50.0, 26.0)]
        page += [
            (50 + side * step * 4.2, 26 - 9 * math.sin(step / 10 * math.pi * 0.9)) for step in range(1, 11)
        ]
        page += [(92.0 if side > 0 else 8.0, 76.0)]
        page += [
            (50 + side * step * 4.2, 80 - 9 * math.sin(step / 10 * math.pi * 0.9)) for step in range(9, 0, -1)
        ]
        page += [(50.0, 82.0)]
        canvas.paint(
            canvas.outline(page), colours.label if side < 0 else _mix(colours.label, colours.ground, 0.18)
        )
    canvas.paint(canvas.line([(50, 27), (50, 81)], 2.4), colours.ground)
    canvas.paint(canvas.outline([(66, 18), (76, 18), (76, 52), (71, 46), (66, 52)]), colours.text)


def _draw_initials(canvas: Canvas, colours: Colours, initials: str) -> None:
    canvas.paint(canvas.oval(50, 50, 49, 49), colours.label, 0.16)
    canvas.paint(canvas.ring(50, 50, 49, 4.5), colours.label)
    letters = _drawable(initials)[:2]
    if not letters:
        canvas.paint(canvas.oval(50, 50, 20, 20), colours.label)
        return
    font = ImageFont.load_default(size=canvas.pixels * (44 if len(letters) == 2 else 54))
    canvas.paint(
        canvas.stencil(
            0, 0, 100, 100, lambda draw, at: draw.text(at(50, 51), letters, fill=255, font=font, anchor="mm")
        ),
        colours.text,
    )


def _drawable(text: str) -> str:
    """The letters that Pillow's built-in font has, without their accents."""
    plain = unicodedata.normalize("NFKD", text.replace("ı", "i").upper())
    return "".join(letter for letter in plain if letter.isascii() and letter.isalnum())


# Codes ------------------------------------------------------------------------

QUIET_MODULES = 4  # ISO/IEC 18004: readers may need this much white around a QR code


def _qr(message: str, border: int) -> list[list[bool]]:
    code = qrcode.QRCode(border=border, error_correction=qrcode.constants.ERROR_CORRECT_M)
    code.add_data(message)
    code.make(fit=True)
    return [[bool(module) for module in row] for row in code.get_matrix()]


@lru_cache(maxsize=64)
def qr_svg(message: str) -> str:
    """A QR code as an SVG document without size, with its quiet zone, black on white.

    Most are asked for again and again: the way to the same form, of every visitor.

    Only presentation attributes: it may stand in a page whose policy forbids styles.
    """
    rows = _qr(message, QUIET_MODULES)
    path = []
    for y, row in enumerate(rows):
        x = 0
        while x < len(row):
            run = x
            while run < len(row) and row[run] == row[x]:
                run += 1
            if row[x]:
                path.append(f"M{x} {y}h{run - x}v1h-{run - x}z")
            x = run
    side = len(rows)
    return (
        f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {side} {side}" shape-rendering="crispEdges">'
        f'<rect width="{side}" height="{side}" fill="#fff"/><path fill="#000" d="{"".join(path)}"/></svg>'
    )


def qr_png(message: str, *, module_pixels: int = 8) -> bytes:
    """A QR code as a black and white PNG with its quiet zone."""
    rows = _qr(message, QUIET_MODULES)
    picture = Image.new("1", (len(rows), len(rows)), 1)
    picture.putdata([0 if module else 1 for row in rows for module in row])
    file = io.BytesIO()
    side = len(rows) * module_pixels
    picture.resize((side, side), Image.Resampling.NEAREST).save(file, "PNG", optimize=True)
    return file.getvalue()


PICTURE_FORMATS = ("PNG", "JPEG", "WEBP", "GIF")

READABLE = zxingcpp.BarcodeFormats(
    [
        zxingcpp.BarcodeFormat.QRCode,
        zxingcpp.BarcodeFormat.Aztec,
        zxingcpp.BarcodeFormat.PDF417,
        zxingcpp.BarcodeFormat.Code128,
        zxingcpp.BarcodeFormat.EAN13,
    ]
)


def read_barcodes(picture: bytes, *, limit_bytes: int, limit_pixels: int) -> list[str]:
    """The texts of the codes in an uploaded picture, in the order found; none: an empty list.

    PictureUnreadable for what is no picture, is damaged or is larger than the
    limits; the size is known from the header, before anything is unpacked.
    """
    if len(picture) > limit_bytes:
        raise PictureUnreadable
    try:
        with Image.open(io.BytesIO(picture), formats=PICTURE_FORMATS) as opened:
            if opened.width * opened.height > limit_pixels:
                raise PictureUnreadable
            grey = opened.convert("L")
    except (UnidentifiedImageError, OSError, ValueError, SyntaxError, EOFError):
        raise PictureUnreadable from None
    except (Image.DecompressionBombError, Image.DecompressionBombWarning):
        raise PictureUnreadable from None
    found = zxingcpp.read_barcodes(grey, formats=READABLE)
    return [code.text for code in found]
