"""A shop's own logo: any picture that somebody uploads becomes a small PNG, or is refused.

Nothing of the file that was sent is kept: it is unpacked, turned upright, cut
to what can be seen and written anew, without where and with what it was taken.
"""

from __future__ import annotations

import io
from collections import Counter
from collections.abc import Iterator

from PIL import Image, ImageOps

from passes.loyalty.programme_file import LOGO_BYTES_MAX, LOGO_SIDE_MAX, contrast_of
from passes.loyalty.refusals import LogoTooLarge, LogoUnreadable

UPLOAD_BYTES_MAX = 5_000_000
UPLOAD_PIXELS_MAX = 16_000_000
"""Known from the picture's first bytes: a small file can unpack into more than a machine's memory."""

# SVG is none of them: it is a program that every phone would have to be protected from.
_FORMATS = ("PNG", "JPEG", "WEBP")
_TROUBLE = (
    OSError,
    ValueError,
    SyntaxError,
    EOFError,
    OverflowError,
    Image.DecompressionBombError,
    Image.DecompressionBombWarning,
)
_LOOKED_AT, _TOLD_APART, _PART_SEEN = 24, 1.6, 0.05
"""Pixels of a side that are looked at; the contrast from which shapes show; how many of them have to."""
_ALPHA_SEEN = 8
"""Of 255: less than this of a colour is seen by nobody."""


def read(upload: bytes) -> bytes:
    """The logo in an uploaded file, as it stands in a programme file. Raises LogoUnreadable, LogoTooLarge."""
    if len(upload) > UPLOAD_BYTES_MAX:
        raise LogoTooLarge(megabytes=UPLOAD_BYTES_MAX // 1_000_000, megapixels=UPLOAD_PIXELS_MAX // 1_000_000)
    sign = _opened(upload)
    for side, colours in _sizes():
        smaller = sign.copy()
        smaller.thumbnail((side, side), Image.Resampling.LANCZOS)
        made = _png(smaller, colours)
        if len(made) <= LOGO_BYTES_MAX:
            return made
    raise LogoUnreadable


def can_be_drawn(logo: bytes) -> bool:
    """Whether the whole of a programme file's logo is there."""
    try:
        with Image.open(io.BytesIO(logo), formats=("PNG",)) as opened:
            opened.load()
    except _TROUBLE:
        return False
    return True


def stands_out(logo: bytes, ground: str) -> bool:
    """Whether some part of a logo can be told from the colour `#RRGGBB` that it stands on."""
    with Image.open(io.BytesIO(logo), formats=("PNG",)) as opened:
        small = opened.convert("RGBA").resize((_LOOKED_AT,) * 2, Image.Resampling.BOX)
    behind = Image.new("RGBA", small.size, ground)
    behind.alpha_composite(small)
    parts = behind.convert("RGB").tobytes()
    colours = Counter(f"#{parts[at : at + 3].hex()}" for at in range(0, len(parts), 3))
    clear = sum(count for colour, count in colours.items() if contrast_of(colour, ground) >= _TOLD_APART)
    return clear >= _LOOKED_AT**2 * _PART_SEEN


def _opened(upload: bytes) -> Image.Image:
    """The picture upright, in colours with transparency, without empty edges."""
    try:
        with Image.open(io.BytesIO(upload), formats=_FORMATS) as opened:
            if opened.width * opened.height > UPLOAD_PIXELS_MAX:
                raise LogoTooLarge(
                    megabytes=UPLOAD_BYTES_MAX // 1_000_000, megapixels=UPLOAD_PIXELS_MAX // 1_000_000
                )
            # A JPEG can be unpacked at a fraction of its size; others ignore this.
            opened.draft("RGB", (2 * LOGO_SIDE_MAX, 2 * LOGO_SIDE_MAX))
            upright = ImageOps.exif_transpose(opened)
            if upright.mode.startswith("I"):
                # Sixteen bits of grey would be cut instead of scaled.
                upright = upright.convert("I").point([value / 257 for value in range(65_536)], "L")
            upright.thumbnail((2 * LOGO_SIDE_MAX, 2 * LOGO_SIDE_MAX), Image.Resampling.LANCZOS)
            found = upright.convert("RGBA")
    except _TROUBLE:
        raise LogoUnreadable from None
    seen = found.getchannel("A").point([0 if value < _ALPHA_SEEN else 255 for value in range(256)]).getbbox()
    if seen is None:
        raise LogoUnreadable
    return found.crop(seen)


def _sizes() -> Iterator[tuple[int, int | None]]:
    """Larger and in more colours first. Photos need few bytes only when they are small."""
    for side in (LOGO_SIDE_MAX, 384, 288, 192, 128):
        yield side, None
        yield side, 256


def _png(picture: Image.Image, colours: int | None) -> bytes:
    # A new picture: what came with the old one, such as its colour profile, stays behind.
    clean = Image.new("RGBA", picture.size)
    clean.paste(picture)
    if clean.getchannel("A").getextrema() == (255, 255):
        clean = clean.convert("RGB")
    if colours is not None:
        method = Image.Quantize.FASTOCTREE if clean.mode == "RGBA" else Image.Quantize.MEDIANCUT
        clean = clean.quantize(colours, method=method, dither=Image.Dither.NONE)
    file = io.BytesIO()
    clean.save(file, "PNG")
    return file.getvalue()
