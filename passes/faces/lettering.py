"""How wide words are, and how they are made to fit: shrunk, cut with an ellipsis, broken into lines.

Measured with the font that previews are shown in, so that a browser can be
told the exact width. Scripts outside the font are guessed on the wide side;
their lines are marked, so that whoever draws them puts a fence around them.
"""

from __future__ import annotations

import bisect
import threading
import unicodedata
from collections.abc import Iterator
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path

from PIL import ImageFont

ELLIPSIS = "…"
LIGHT, REGULAR, MEDIUM, SEMIBOLD = 300, 400, 500, 600

_FONTS = Path(__file__).parents[2] / "static" / "vendor"
_MEASURED_AT = 100  # pixels: large enough that hinting rounds nothing away
_OPTICAL_MIN, _OPTICAL_MAX = 14, 32  # the font's range: text cut and display cut

# What each file of the font holds, as its maker states it for `unicode-range`.
_LATIN = (
    (0x20, 0x7E), (0xA0, 0xFF), (0x131, 0x131), (0x152, 0x153), (0x2BB, 0x2BC), (0x2C6, 0x2C6),
    (0x2DA, 0x2DA), (0x2DC, 0x2DC), (0x2010, 0x2027), (0x2030, 0x203A), (0x20AC, 0x20AC), (0x2122, 0x2122),
    (0x2191, 0x2191), (0x2193, 0x2193), (0x2212, 0x2212), (0x2215, 0x2215),
)  # fmt: skip
_LATIN_MORE = (
    (0x100, 0x130), (0x132, 0x151), (0x154, 0x24F), (0x1E00, 0x1E9F), (0x20A0, 0x20AB), (0x20AD, 0x20C0),
)  # fmt: skip
_FILES = ("inter-5.3.0-latin.woff2", "inter-5.3.0-latin-ext.woff2")


@dataclass(frozen=True, slots=True)
class Line:
    """Words that fit: their size, weight and width in points, and the `room` that was for them.

    `sure` says whether the width was measured; if not, it was guessed.
    """

    text: str
    size: float
    weight: int
    width: float
    room: float
    sure: bool

    @property
    def leftwards(self) -> bool:
        """Whether the words run from right to left: their first letter decides."""
        return leftwards(self.text)


def leftwards(text: str) -> bool:
    """Whether a text's first letter belongs to a script that runs from right to left."""
    for symbol in text:
        kind = unicodedata.bidirectional(symbol)
        if kind in ("R", "AL"):
            return True
        if kind == "L":
            return False
    return False


def width(text: str, size: float, weight: int = REGULAR) -> float:
    """How wide a text is, in the unit of `size`."""
    return _ems(text, weight, _optical(size))[0] * size


def fit(text: str, room: float, *, size: float, least: float | None = None, weight: int = REGULAR) -> Line:
    """A text in this room: as large as it goes from `size` down to `least`, then cut."""
    chosen = shrunk(text, room, size=size, least=size if least is None else least, weight=weight)
    shown = cut(text, room, size=chosen, weight=weight)
    ems, sure = _ems(shown, weight, _optical(chosen))
    return Line(shown, chosen, weight, ems * chosen, room, sure)


def shrunk(text: str, room: float, *, size: float, least: float, weight: int = REGULAR) -> float:
    """The largest size from `least` to `size`, in tenths, at which a text is no wider than its room."""
    while size > least:
        wide = width(text, size, weight)
        if wide <= room:
            break
        # Smaller letters are a little wider for their size, so one division seldom is enough.
        size = max(least, min(size - 0.1, int(size * room / wide * 10) / 10))
    return size


@lru_cache(maxsize=4096)
def cut(text: str, room: float, *, size: float, weight: int = REGULAR) -> str:
    """The text, or as much of it as leaves room for an ellipsis. Never parts a letter from its marks."""
    if width(text, size, weight) <= room:
        return text
    letters = list(_letters(text))
    # Each more letter makes it wider, so the last that fits can be found by halving.
    fits = bisect.bisect_left(
        range(1, len(letters)),
        True,
        key=lambda count: width("".join(letters[:count]).rstrip() + ELLIPSIS, size, weight) > room,
    )
    return "".join(letters[:fits]).rstrip() + ELLIPSIS


@lru_cache(maxsize=512)
def wrap(text: str, room: float, *, size: float, weight: int = REGULAR) -> tuple[Line, ...]:
    """A text in lines of at most this width, broken between words and at its own line breaks."""
    lines: list[str] = []
    space = width(" ", size, weight)
    for paragraph in text.split("\n"):
        line, used = "", 0.0
        for word in _pieces(paragraph, room, size, weight):
            wide = width(word, size, weight)
            if line and used + space + wide > room:
                lines.append(line)
                line, used = word, wide
            else:
                line, used = (f"{line} {word}", used + space + wide) if line else (word, wide)
        lines.append(line)
    return tuple(
        Line(line, size, weight, ems * size, room, sure)
        for line, (ems, sure) in ((line, _ems(line, weight, _optical(size))) for line in lines)
    )


def _pieces(paragraph: str, room: float, size: float, weight: int) -> Iterator[str]:
    """The words of a paragraph; one that is wider than the room comes in several pieces."""
    for word in paragraph.split():
        rest = word
        while width(rest, size, weight) > room:
            piece = ""
            for letter in _letters(rest):
                if piece and width(piece + letter, size, weight) > room:
                    break
                piece += letter
            yield piece
            rest = rest[len(piece) :]
            if not rest:
                break
        if rest:
            yield rest


def _letters(text: str) -> Iterator[str]:
    """The letters as people count them: with their accents, joined emoji and flags in one piece."""
    letter = ""
    for symbol in text:
        flag = _is_flag(symbol) and len(letter) == 1 and _is_flag(letter)
        if letter and not (flag or letter.endswith("\u200d") or _is_mark(symbol)):
            yield letter
            letter = ""
        letter += symbol
    if letter:
        yield letter


def _is_mark(symbol: str) -> bool:
    skin = "\U0001f3fb" <= symbol <= "\U0001f3ff"
    return skin or unicodedata.category(symbol) in ("Mn", "Me", "Mc", "Cf")


def _is_flag(symbol: str) -> bool:
    return "\U0001f1e6" <= symbol <= "\U0001f1ff"


# Measuring --------------------------------------------------------------------


def _optical(size: float) -> int:
    """The optical size that a browser chooses: letters for reading are wider than those for headlines."""
    return round(min(max(size, _OPTICAL_MIN), _OPTICAL_MAX))


@lru_cache(maxsize=16384)
def _ems(text: str, weight: int, optical: int) -> tuple[float, bool]:
    """The width of a text in its own size, and whether all of it was measured."""
    total, sure = 0.0, True
    for file, run in _runs(text):
        if file is None:
            total += sum(map(_guessed, run))
            sure = False
        else:
            font, lock = _font(file, weight, optical)
            # One font is no place for two threads.
            with lock:
                total += font.getlength(run) / _MEASURED_AT
    return total, sure


@lru_cache(maxsize=64)
def _font(file: str, weight: int, optical: int) -> tuple[ImageFont.FreeTypeFont, threading.Lock]:
    font = ImageFont.truetype(_FONTS / file, _MEASURED_AT)
    font.set_variation_by_axes([optical, weight])
    return font, threading.Lock()


def _runs(text: str) -> Iterator[tuple[str | None, str]]:
    """The text in parts that one file of the font holds, or none."""
    if text.isascii() and text.isprintable():
        yield _FILES[0], text
        return
    start = 0
    for end in range(1, len(text) + 1):
        if end == len(text) or _file(text[end]) != _file(text[start]):
            yield _file(text[start]), text[start:end]
            start = end


@lru_cache(maxsize=2048)
def _file(symbol: str) -> str | None:
    code = ord(symbol)
    for file, ranges in zip(_FILES, (_LATIN, _LATIN_MORE), strict=True):
        if any(first <= code <= last for first, last in ranges):
            return file
    return None


@lru_cache(maxsize=2048)
def _guessed(symbol: str) -> float:
    """The width in ems of a symbol whose font nobody knows: what is wide for its script.

    Not the widest there is: then most names would be cut for nothing. The
    window around such a line catches the rest.
    """
    kind = unicodedata.category(symbol)
    if kind in ("Mn", "Me", "Cf"):
        return 0.0
    if ord(symbol) >= 0x1F000:
        return 1.3  # emoji are wider than letters are high
    if unicodedata.east_asian_width(symbol) in "WF":
        return 1.0
    if unicodedata.bidirectional(symbol) in ("R", "AL"):
        return 0.56
    return {"Lu": 0.82, "Ll": 0.66}.get(kind, 0.8)
