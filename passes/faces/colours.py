"""Colours that can be read on each other. All are `#RRGGBB`."""

from __future__ import annotations

CONTRAST_MIN = 4.5
"""WCAG 2, success criterion 1.4.3."""
BLACK, WHITE = "#000000", "#ffffff"


def contrast(one: str, other: str) -> float:
    """The contrast of two colours, from 1 to 21 (WCAG 2, relative luminance)."""
    low, high = sorted((_luminance(one), _luminance(other)))
    return (high + 0.05) / (low + 0.05)


def mixed(one: str, other: str, amount: float) -> str:
    """The first colour with this share of the second in it."""
    parts = zip(_parts(one), _parts(other), strict=True)
    return "#" + "".join(f"{round(a + (b - a) * amount):02x}" for a, b in parts)


def black_or_white(ground: str) -> str:
    """Whichever can be read better on this ground."""
    return max(WHITE, BLACK, key=lambda one: contrast(one, ground))


def readable(wanted: str, ground: str) -> str:
    """The wanted colour where it can be read on this ground, else black or white."""
    return wanted if contrast(wanted, ground) >= CONTRAST_MIN else black_or_white(ground)


def softer(text: str, ground: str) -> str:
    """A quieter shade of the text's colour that can still be read on this ground."""
    for amount in (0.35, 0.25, 0.15):
        shade = mixed(text, ground, amount)
        if contrast(shade, ground) >= CONTRAST_MIN:
            return shade
    return text


def _parts(colour: str) -> bytes:
    return bytes.fromhex(colour.removeprefix("#"))


def _luminance(colour: str) -> float:
    red, green, blue = (_linear(part / 255) for part in _parts(colour))
    return 0.2126 * red + 0.7152 * green + 0.0722 * blue


def _linear(part: float) -> float:
    return part / 12.92 if part <= 0.04045 else float(((part + 0.055) / 1.055) ** 2.4)
