"""Logos that people upload: made small and plain, or refused."""

from __future__ import annotations

import io
import struct
import zlib
from random import Random
from typing import Any

import pytest
from PIL import Image

from passes import artwork, programmes
from passes.loyalty.card import Strip, StripKind
from passes.loyalty.programme_file import LOGO_BYTES_MAX, LOGO_SIDE_MAX
from passes.loyalty.refusals import LogoTooLarge, LogoUnreadable, ProgrammeInvalid
from passes.programmes import logos
from passes.store import Store
from tests.shop import PASS_TYPE
from tests.test_programmes_begun import SOURCE, with_logo

RED, BLUE = (220, 30, 30, 255), (20, 40, 200, 255)


def encoded(picture: Image.Image, kind: str = "PNG", **options: Any) -> bytes:
    file = io.BytesIO()
    picture.save(file, kind, **options)
    return file.getvalue()


def sign(width: int = 400, height: int = 100) -> Image.Image:
    """Red at the left, blue at the right, nothing around it."""
    drawn = Image.new("RGBA", (width + 80, height + 80), (0, 0, 0, 0))
    drawn.paste(RED, (40, 40, 40 + width // 2, 40 + height))
    drawn.paste(BLUE, (40 + width // 2, 40, 40 + width, 40 + height))
    return drawn


def opened(png: bytes) -> Image.Image:
    assert png.startswith(b"\x89PNG")
    return Image.open(io.BytesIO(png))


@pytest.mark.parametrize("kind", ["PNG", "JPEG", "WEBP"])
def test_a_picture_becomes_a_small_png(kind: str) -> None:
    picture = sign(1600, 800)
    made = opened(logos.read(encoded(picture.convert("RGB") if kind == "JPEG" else picture, kind)))
    assert max(made.size) <= LOGO_SIDE_MAX
    assert made.format == "PNG"


def test_empty_edges_are_cut_away_and_transparency_stays() -> None:
    made = opened(logos.read(encoded(sign())))
    assert made.size == (400, 100)
    seen = opened(logos.read(encoded(Image.new("RGBA", (50, 50), (255, 0, 0, 120))))).convert("RGBA")
    assert seen.getpixel((25, 25)) == (255, 0, 0, 120)


def test_a_photo_is_turned_upright_and_says_nothing_about_where_it_was_taken() -> None:
    exif = Image.Exif()
    exif[0x0112] = 6  # lies on its side
    exif[0x010F] = "Somebody's camera"
    exif.get_ifd(0x8825)[2] = (41.0, 0.0, 0.0)
    picture = sign(300, 100).convert("RGB")
    sent = encoded(picture, "JPEG", exif=exif, comment=b"a remark", icc_profile=b"colours")
    assert b"Somebody's camera" in sent
    kept = logos.read(sent)
    made = opened(kept)
    assert made.height > made.width
    for trace in (b"Somebody", b"Exif", b"eXIf", b"remark", b"iCCP", b"tEXt"):
        assert trace not in kept
    assert not made.info
    assert not made.getexif()


@pytest.mark.parametrize("mode", ["1", "L", "LA", "P", "RGB", "RGBA", "CMYK", "I;16"])
def test_every_kind_of_colour_is_understood(mode: str) -> None:
    picture = Image.new("I;16", (60, 40), 40_000) if mode == "I;16" else sign(60, 40).convert("RGBA")
    picture = (
        picture if mode == "I;16" else picture.convert("RGB" if mode == "CMYK" else "RGBA").convert(mode)
    )
    made = opened(logos.read(encoded(picture, "JPEG" if mode == "CMYK" else "PNG"))).convert("RGB")
    if mode == "I;16":
        assert 154 <= made.convert("L").getpixel((30, 20)) <= 157  # type: ignore[operator]
    elif mode in ("RGB", "RGBA", "P", "CMYK"):
        red, _, blue = made.getpixel((made.width * 2 // 5, made.height // 2))  # type: ignore[misc]
        assert red > blue


def test_the_noisiest_photo_still_fits_into_a_file() -> None:
    noise = Image.frombytes("RGB", (700, 500), Random(7).randbytes(700 * 500 * 3))
    made = logos.read(encoded(noise, "JPEG", quality=95))
    assert len(made) <= LOGO_BYTES_MAX
    assert opened(made).width >= 128


@pytest.mark.parametrize("ground", ["#FFFFFF", "#000000", "#DC1E1E", "#1428C8"])
def test_a_logo_of_two_colours_shows_on_everything(ground: str) -> None:
    assert logos.stands_out(logos.read(encoded(sign())), ground)


def test_white_on_white_is_seen_by_nobody() -> None:
    white = logos.read(encoded(Image.new("RGBA", (90, 40), (255, 255, 255, 255))))
    assert not logos.stands_out(white, "#FFFFFF")
    assert not logos.stands_out(white, "#E8E8E8")
    assert logos.stands_out(white, "#1F4E4A")
    faint = logos.read(encoded(Image.new("RGBA", (90, 40), (0, 0, 0, 20))))
    assert not logos.stands_out(faint, "#FFFFFF")


# What is refused ------------------------------------------------------------------------


def bomb(width: int, height: int) -> bytes:
    """A PNG of a few bytes that says it is enormous."""

    def chunk(kind: bytes, data: bytes) -> bytes:
        return struct.pack(">I", len(data)) + kind + data + struct.pack(">I", zlib.crc32(kind + data))

    header = struct.pack(">IIBBBBB", width, height, 8, 6, 0, 0, 0)
    return (
        b"\x89PNG\r\n\x1a\n"
        + chunk(b"IHDR", header)
        + chunk(b"IDAT", zlib.compress(bytes(1000)))
        + chunk(b"IEND", b"")
    )


@pytest.mark.parametrize(("width", "height"), [(4_001, 4_000), (60_000, 60_000), (2**31 - 1, 2**31 - 1)])
def test_a_bomb_is_refused_before_it_is_unpacked(width: int, height: int) -> None:
    with pytest.raises((LogoTooLarge, LogoUnreadable)):
        logos.read(bomb(width, height))


def test_too_many_bytes_are_refused() -> None:
    with pytest.raises(LogoTooLarge, match="5 MB and 16 million pixels"):
        logos.read(bytes(logos.UPLOAD_BYTES_MAX + 1))


@pytest.mark.parametrize(
    "sent",
    [
        b"",
        b"hello",
        b"<svg xmlns='http://www.w3.org/2000/svg'><script>alert(1)</script></svg>",
        encoded(sign(), "GIF"),
        encoded(sign(), "TIFF"),
        encoded(sign())[:200],
        encoded(Image.new("RGBA", (50, 50), (255, 0, 0, 3))),
    ],
    ids=["nothing", "text", "svg", "gif", "tiff", "cut off", "nothing to see"],
)
def test_what_is_no_picture_is_refused(sent: bytes) -> None:
    with pytest.raises(LogoUnreadable):
        logos.read(sent)


# On the card ------------------------------------------------------------------------------


def test_the_logo_is_on_the_card_its_icon_and_googles_class() -> None:
    logo = logos.read(encoded(sign(200, 200)))
    colours: Any = {"ground": "#FFFFFF", "text": "#000000", "label": "#333333"}
    drawn = artwork.pictures(
        "plain", **colours, strip=Strip(StripKind.PROGRESS, 0, 8), initials="KS", logo=logo
    )
    google = artwork.google_logo("plain", **colours, initials="KS", logo=logo)
    home = artwork.home_icon("plain", **colours, initials="KS", pixels=192, logo=logo)
    for png in (drawn["icon@3x.png"], drawn["logo@2x.png"], google, home):
        picture = opened(png).convert("RGB")
        assert picture.width == picture.height
        left = picture.getpixel((picture.width // 3, picture.height // 2))
        right = picture.getpixel((picture.width * 2 // 3, picture.height // 2))
        assert (left, right) == (RED[:3], BLUE[:3])
    without = artwork.pictures("plain", **colours, strip=Strip(StripKind.PROGRESS, 0, 8), initials="KS")
    assert without["icon.png"] != drawn["icon.png"]
    assert without["strip.png"] == drawn["strip.png"]


def test_a_programme_file_with_a_damaged_logo_is_refused(store: Store, now: Any) -> None:
    logo = logos.read(encoded(sign()))
    source = with_logo(SOURCE, logo[: len(logo) // 2])
    with pytest.raises(ProgrammeInvalid, match=r"card\.logo \(line 20\): is damaged"):
        programmes.load(store, name="kestane", source=source, pass_type=PASS_TYPE, now=now)


@pytest.mark.parametrize("given", ["not base64!", "aGVsbG8=", 5])
def test_a_programme_file_says_what_its_logo_must_be(store: Store, now: Any, given: object) -> None:
    quoted = f'"{given}"' if isinstance(given, str) else str(given)
    source = SOURCE.replace("[contact]", f"logo = {quoted}\n[contact]")
    with pytest.raises(ProgrammeInvalid, match=r"card\.logo .*must be a PNG in base64"):
        programmes.load(store, name="kestane", source=source, pass_type=PASS_TYPE, now=now)
