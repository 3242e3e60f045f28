"""Pictures of cards and codes, looked at with other eyes than those that drew them."""

from __future__ import annotations

import io
import re
import struct
import zlib
from collections.abc import Mapping
from itertools import pairwise

import pytest
import zxingcpp
from PIL import Image, ImageChops, ImageStat

from passes import artwork
from passes.loyalty import codes
from passes.loyalty.card import Strip, StripKind
from passes.loyalty.design import Scene
from passes.loyalty.refusals import PictureUnreadable

DARK = {"ground": "#1F2A2E", "text": "#FFF7EC", "label": "#E8B48A"}
LIGHT = {"ground": "#F3ECDD", "text": "#22313F", "label": "#8A3B2B"}
LIMITS = {"limit_bytes": 8_000_000, "limit_pixels": 40_000_000}


def drawn(
    scene: str = "latte",
    kind: StripKind = StripKind.PROGRESS,
    step: int = 5,
    steps: int = 8,
    initials: str = "CC",
) -> Mapping[str, bytes]:
    """The pictures of some card."""
    colours = LIGHT if scene == "shelf" else DARK
    return artwork.pictures(
        scene,
        ground=colours["ground"],
        text=colours["text"],
        label=colours["label"],
        strip=Strip(kind, step, steps),
        initials=initials,
    )


def picture(data: bytes) -> Image.Image:
    """A picture in full colour."""
    return Image.open(io.BytesIO(data)).convert("RGB")


def differs(one: bytes, other: bytes) -> tuple[int, int, int, int] | None:
    """Where two pictures differ clearly: left, top, right, bottom."""
    changes = ImageChops.difference(picture(one), picture(other)).convert("L")
    return changes.point([0 if value < 40 else 255 for value in range(256)]).getbbox()


@pytest.mark.check("A-12")
@pytest.mark.parametrize("scene", list(Scene))
def test_every_scene_has_icon_logo_and_strip_in_three_sizes(scene: Scene) -> None:
    sizes = {name: picture(data).size for name, data in drawn(scene).items()}
    for scale, at in ((1, ""), (2, "@2x"), (3, "@3x")):
        assert sizes.pop(f"icon{at}.png") == (38 * scale, 38 * scale)
        assert sizes.pop(f"logo{at}.png") == (50 * scale, 50 * scale)
        assert sizes.pop(f"strip{at}.png") == (375 * scale, 144 * scale)
    assert sizes == {}


@pytest.mark.check("A-18")
@pytest.mark.parametrize("scene", list(Scene))
def test_pictures_stay_small(scene: Scene) -> None:
    found = drawn(scene)
    assert len(found["strip@3x.png"]) < 75_000
    assert sum(map(len, found.values())) < 200_000


def test_the_same_card_is_drawn_once_and_always_alike() -> None:
    assert drawn() is drawn()
    before = dict(drawn("plain"))
    artwork._pictures.cache_clear()
    artwork._backdrop.cache_clear()
    artwork._palette.cache_clear()
    artwork._emblems.cache_clear()
    assert dict(drawn("plain")) == before


@pytest.mark.slow
@pytest.mark.parametrize(
    ("scene", "kind", "steps"),
    [("latte", StripKind.PROGRESS, 8), ("shelf", StripKind.STAMPS, 10), ("plain", StripKind.PROGRESS, 5)],
)
def test_each_step_lights_one_more_mark_from_the_left(scene: str, kind: StripKind, steps: int) -> None:
    strips = [drawn(scene, kind, step, steps)["strip@3x.png"] for step in range(steps + 1)]
    assert len(set(strips)) == steps + 1
    lefts = []
    for before, after in pairwise(strips):
        where = differs(before, after)
        assert where is not None
        left, top, right, bottom = where
        lefts.append(left)
        # Inside the part that every phone shows, below and beside the large words.
        assert top >= 32
        assert bottom <= 432 - 31
        assert top > 432 * 0.72
        assert right < 1125 * 0.55
    assert lefts == sorted(lefts)


@pytest.mark.parametrize("scene", list(Scene))
def test_the_left_half_stays_calm_behind_the_large_words(scene: Scene) -> None:
    strip = picture(drawn(scene)["strip@3x.png"]).convert("L")
    calm = ImageStat.Stat(strip.crop((0, 31, 560, 320)))
    lively = ImageStat.Stat(strip.crop((640, 31, 1125, 401)))
    assert calm.stddev[0] < 14
    assert calm.stddev[0] < lively.stddev[0]


@pytest.mark.parametrize("scene", list(Scene))
def test_the_strip_runs_into_the_card_above_it(scene: Scene) -> None:
    colours = LIGHT if scene is Scene.SHELF else DARK
    ground = tuple(bytes.fromhex(colours["ground"][1:]))
    corner = picture(drawn(scene)["strip@3x.png"]).getpixel((10, 0))
    assert isinstance(corner, tuple)
    assert max(abs(one - other) for one, other in zip(corner, ground, strict=True)) <= 6


def test_a_plain_strip_has_no_marks() -> None:
    without = drawn(kind=StripKind.PLAIN, step=0)["strip@3x.png"]
    assert differs(without, drawn(step=8)["strip@3x.png"]) is not None
    assert without == drawn(kind=StripKind.PLAIN, step=0, steps=3)["strip@3x.png"]


@pytest.mark.parametrize("steps", [1, 2, 12, 20])
def test_any_number_of_marks_stays_in_its_place(steps: int) -> None:
    where = differs(
        drawn(step=0, steps=steps)["strip@3x.png"], drawn(step=steps, steps=steps)["strip@3x.png"]
    )
    assert where is not None
    assert where[2] < 1125 * 0.56


@pytest.mark.parametrize("initials", ["A", "MK", "İÇ", "ışık", "مرحبا", "", "ABCDEF"])
def test_any_initials_give_an_emblem(initials: str) -> None:
    found = drawn("plain", initials=initials)
    ground = Image.new("RGB", (114, 114), DARK["ground"])
    assert ImageChops.difference(picture(found["icon@3x.png"]), ground).getbbox() is not None


def test_a_logo_lets_the_card_shine_through() -> None:
    logo = Image.open(io.BytesIO(drawn()["logo@3x.png"]))
    assert logo.mode == "RGBA"
    assert logo.getpixel((0, 0))[3] == 0  # type: ignore[index]


# Codes ----------------------------------------------------------------------------------------


CODE = codes.code_from(bytes(range(64)))


@pytest.mark.check("A-32", "A-117")
@pytest.mark.parametrize("message", [CODE, "https://cards.example.org/join/finch-club?from=poster", "ü" * 40])
def test_a_drawn_qr_code_reads_back(message: str) -> None:
    assert artwork.read_barcodes(artwork.qr_png(message), **LIMITS) == [message]
    assert artwork.read_barcodes(artwork.qr_png(message, module_pixels=3), **LIMITS) == [message]


def test_a_card_code_gives_the_smallest_square() -> None:
    assert 'viewBox="0 0 29 29"' in artwork.qr_svg(CODE)  # 21 modules and 4 around them


def test_the_svg_draws_the_same_modules_as_the_picture() -> None:
    svg = artwork.qr_svg(CODE)
    found = re.search(r'<path fill="#000" d="([^"]*)"', svg)
    assert found
    side = 29
    modules = Image.new("L", (side, side), 255)
    for x, y, width in re.findall(r"M(\d+) (\d+)h(\d+)v1h-\d+z", found[1]):
        modules.paste(0, (int(x), int(y), int(x) + int(width), int(y) + 1))
    small = Image.open(io.BytesIO(artwork.qr_png(CODE, module_pixels=1))).convert("L")
    assert modules.tobytes() == small.tobytes()
    assert "style" not in svg
    quiet = picture(artwork.qr_png(CODE, module_pixels=1))
    assert {quiet.getpixel((x, y)) for x in range(side) for y in (*range(4), *range(25, 29))} == {
        (255, 255, 255)
    }


@pytest.mark.parametrize("form", ["PNG", "JPEG", "WEBP", "GIF"])
def test_photos_of_every_usual_kind_are_read(form: str) -> None:
    photo = picture(artwork.qr_png(CODE)).rotate(7, expand=True, fillcolor="white")
    file = io.BytesIO()
    photo.save(file, form)
    assert artwork.read_barcodes(file.getvalue(), **LIMITS) == [CODE]


@pytest.mark.parametrize(
    ("form", "message"),
    [
        (zxingcpp.BarcodeFormat.Aztec, "7QM2XW9LKT4CDFHJ"),
        (zxingcpp.BarcodeFormat.PDF417, "7QM2XW9LKT4CDFHJ"),
        (zxingcpp.BarcodeFormat.Code128, "1234567890123456"),
        (zxingcpp.BarcodeFormat.EAN13, "4006381333931"),
    ],
)
def test_the_other_kinds_of_code_are_read(form: zxingcpp.BarcodeFormat, message: str) -> None:
    assert artwork.read_barcodes(coded(form, message), **LIMITS) == [message]


def coded(form: zxingcpp.BarcodeFormat, message: str) -> bytes:
    """A picture of some code."""
    image = zxingcpp.create_barcode(message, form).to_image(scale=4)
    rows, columns = image.shape
    pixels = bytes(memoryview(image))  # type: ignore[arg-type]
    drawing = Image.frombytes("L", (columns, rows), pixels)
    framed = Image.new("L", (columns + 80, rows + 80), 255)
    framed.paste(drawing, (40, 40))
    file = io.BytesIO()
    framed.save(file, "PNG")
    return file.getvalue()


def test_codes_of_kinds_that_no_card_has_are_not_read() -> None:
    assert artwork.read_barcodes(coded(zxingcpp.BarcodeFormat.DataMatrix, "7QM2XW9LKT4C"), **LIMITS) == []


def test_a_picture_without_a_code_gives_nothing() -> None:
    assert artwork.read_barcodes(drawn()["strip.png"], **LIMITS) == []


def png_that_claims(width: int, height: int) -> bytes:
    """A small file whose header promises a huge picture."""

    def chunk(kind: bytes, body: bytes) -> bytes:
        return struct.pack(">L", len(body)) + kind + body + struct.pack(">L", zlib.crc32(kind + body))

    header = struct.pack(">2L5B", width, height, 8, 0, 0, 0, 0)
    body = zlib.compress(b"\0" * 1000)
    return b"\x89PNG\r\n\x1a\n" + chunk(b"IHDR", header) + chunk(b"IDAT", body) + chunk(b"IEND", b"")


@pytest.mark.parametrize(
    "upload",
    [
        b"",
        b"hello",
        b"%PDF-1.4",
        b"<svg xmlns='http://www.w3.org/2000/svg'/>",
        artwork.qr_png("x")[:60],
        png_that_claims(6400, 6400),
        png_that_claims(12_000, 12_000),
        png_that_claims(60_000, 60_000),
        png_that_claims(2**31 - 1, 2**31 - 1),
        png_that_claims(100, 100),
    ],
)
def test_what_is_no_reasonable_picture_is_refused(upload: bytes) -> None:
    with pytest.raises(PictureUnreadable):
        artwork.read_barcodes(upload, **LIMITS)


def test_an_upload_over_the_limit_is_refused_unopened() -> None:
    upload = artwork.qr_png("x")
    with pytest.raises(PictureUnreadable):
        artwork.read_barcodes(upload, limit_bytes=len(upload) - 1, limit_pixels=10**6)
    assert artwork.read_barcodes(upload, limit_bytes=len(upload), limit_pixels=10**6) == ["x"]
