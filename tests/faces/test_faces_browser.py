"""Faces of cards in a real Chromium, under the pages' policy: scanned, measured, compared with stored."""

from __future__ import annotations

import io
import os
import threading
from collections.abc import Iterator
from itertools import pairwise
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import zxingcpp
from flask import Flask, Response, request
from PIL import Image, ImageChops
from playwright.sync_api import Browser, Page
from werkzeug.serving import make_server

from app import CONTENT_SECURITY_POLICY, ROOT
from passes.faces import Face, draw
from passes.faces.apple import columns
from passes.loyalty.card import CardFace
from passes.loyalty.design import Symbology
from tests.faces.samples import CODES, NAMES, books, coded, coffee, four_in_the_row, pictures, programmes

pytestmark = [pytest.mark.browser, pytest.mark.slow]

GOLDEN = Path(__file__).parents[1] / "golden"
AXE = (Path(__file__).parents[1] / "vendor" / "axe-4.14.1.min.js").read_text()
RULES = ["wcag2a", "wcag2aa", "wcag21a", "wcag21aa", "wcag22aa"]
FRONTS = (Face.APPLE_FRONT, Face.GOOGLE_FRONT, Face.WEB)
SIMILAR = 0.98


class Wall:
    """A page that shows faces, served under the policy of all pages."""

    def __init__(self) -> None:
        self.faces: list[str] = []
        self.app = Flask("wall", static_folder=str(ROOT / "static"))
        self.app.add_url_rule("/", view_func=self.page)
        self.app.add_url_rule("/static/at-once.css", view_func=self.sheet)

    def sheet(self) -> Response:
        """The real style sheet, but its font is waited for: pictures are compared."""
        text = (ROOT / "static" / "faces.css").read_text()
        return Response(
            text.replace("font-display: optional", "font-display: block"), content_type="text/css"
        )

    def page(self) -> Response:
        sheet = "" if "plain" in request.args else '<link rel="stylesheet" href="/static/at-once.css">'
        cells = "".join(f'<div class="face-figure">{face}</div>' for face in self.faces)
        body = f'<!doctype html><html lang="en" dir="{request.args.get("dir", "ltr")}"><meta charset="utf-8">'
        answer = Response(f"{body}<title>Cards</title>{sheet}{cells}", content_type="text/html")
        answer.headers["Content-Security-Policy"] = CONTENT_SECURITY_POLICY
        return answer


@pytest.fixture
def wall() -> Iterator[tuple[Wall, str]]:
    shown = Wall()
    server = make_server("127.0.0.1", 0, shown.app, threaded=True)
    thread = threading.Thread(target=server.serve_forever)
    thread.start()
    yield shown, f"http://127.0.0.1:{server.server_port}/"
    server.shutdown()
    thread.join()
    server.server_close()


class Looked:
    """A window onto the wall; everything the browser complains about is kept."""

    def __init__(self, chromium: Browser, wall: tuple[Wall, str]) -> None:
        self.wall, self.address = wall
        self.context = chromium.new_context(viewport={"width": 420, "height": 900}, device_scale_factor=2)
        self.page: Page = self.context.new_page()
        self.complaints: list[str] = []
        self.page.on("console", lambda message: self.complaints.append(message.text))
        self.page.on("pageerror", lambda error: self.complaints.append(str(error)))

    def at(self, *faces: str, query: str = "") -> Page:
        self.wall.faces = list(faces)
        self.page.goto(self.address + query)
        self.page.evaluate("() => document.fonts.ready.then(() => 1)")
        return self.page


@pytest.fixture
def look(chromium: Browser, wall: tuple[Wall, str]) -> Iterator[Looked]:
    """Whatever is looked at: the policy is broken by nothing."""
    looked = Looked(chromium, wall)
    yield looked
    looked.context.close()
    assert [one for one in looked.complaints if "favicon" not in one and "404" not in one] == []


def drawn(face: CardFace, kind: Face, **more: Any) -> str:
    return draw(face, kind, pictures=pictures(face), zone="America/Chicago", **more)


def seen(page: Page, place: int = 0) -> Image.Image:
    """What the screen shows of one face."""
    return Image.open(io.BytesIO(page.locator("svg.face").nth(place).screenshot()))


@pytest.mark.parametrize("dark", [False, True])
def test_every_code_that_is_drawn_can_be_scanned_from_the_screen(look: Looked, dark: bool) -> None:
    base = coffee() if dark else books()
    wanted = [(coded(base, symbology), kind) for symbology in Symbology for kind in FRONTS]
    page = look.at(*(drawn(face, kind) for face, kind in wanted))
    for place, (face, kind) in enumerate(wanted):
        found = [code.text for code in zxingcpp.read_barcodes(seen(page, place))]
        assert found == [CODES[face.barcode.symbology]], (face.barcode.symbology, kind)


def test_a_voided_card_cannot_be_scanned(look: Looked) -> None:
    page = look.at(*(drawn(coffee(voided=True), kind) for kind in FRONTS))
    for place in range(len(FRONTS)):
        assert zxingcpp.read_barcodes(seen(page, place)) == []


# Where a text may be seen: in its window, which clips it, or wherever it reaches.
SEEN = """(face, text) => {
  const window = text.getAttribute("clip-path");
  if (!window) return text.getBoundingClientRect();
  const [left, , right] = window.match(/-?[0-9.]+/g).map(Number);
  const place = face.getScreenCTM();
  return { left: place.a * left + place.e, right: place.a * right + place.e };
}"""
OVERFLOWING = f"""() => {{
  const seen = {SEEN};
  return [...document.querySelectorAll("svg.face")].flatMap((face) => {{
    const card = face.getBoundingClientRect();
    const scale = card.width / face.viewBox.baseVal.width;
    return [...face.querySelectorAll("text")].filter((text) => {{
      const box = seen(face, text);
      const stretched = text.getAttribute("textLength");
      const wide = text.getBoundingClientRect().width / scale;
      const out = box.left < card.left || box.right > card.right + 0.5;
      return out || (stretched && Math.abs(wide - stretched) > 3);
    }}).map((text) => text.textContent);
  }});
}}"""
COLUMNS = f"""() => {{
  const seen = {SEEN};
  return [...document.querySelectorAll("svg.face")].map((face) =>
    [...face.querySelectorAll('text[font-weight="300"]')].slice(1).map((text) => {{
      const box = seen(face, text);
      return [box.left, box.right];
    }}));
}}"""


def test_a_window_cuts_off_what_is_too_long_whatever_a_page_says_of_pictures(look: Looked) -> None:
    page = look.at(drawn(coffee(), Face.APPLE_FRONT, live=True))
    page.evaluate("document.adoptedStyleSheets = [new CSSStyleSheet()]")
    page.evaluate("document.adoptedStyleSheets[0].replaceSync('svg, text { width: 100%; height: auto; }')")
    before = seen(page)
    page.evaluate("document.querySelector('[data-live]').textContent = 'Ana ' + 'W'.repeat(90)")
    after = seen(page)
    # The columns beside it, in pixels of a screen with two to a point.
    beside = (int(2 * columns(coffee().row, "en", "UTC")[1].left), 440, 750, 560)
    assert ImageChops.difference(before.crop(beside), after.crop(beside)).getbbox() is None
    assert ImageChops.difference(before, after).getbbox() is not None


@pytest.mark.parametrize("query", ["", "?plain=1", "?dir=rtl"], ids=["font", "no font", "rtl page"])
def test_no_name_breaks_a_card_whatever_font_there_is(look: Looked, query: str) -> None:
    faces = [four_in_the_row(books(name=name)) for name in NAMES]
    page = look.at(
        *(drawn(face, kind, live=kind is Face.WEB) for face in faces for kind in FRONTS), query=query
    )
    assert page.evaluate(OVERFLOWING) == []


def test_values_of_the_row_do_not_touch_each_other(look: Looked) -> None:
    page = look.at(*(drawn(four_in_the_row(books(name=name)), Face.APPLE_FRONT) for name in NAMES))
    edges = page.evaluate(COLUMNS)
    for row in edges:
        assert len(row) == 4
        assert all(one[1] < following[0] for one, following in pairwise(row))


def test_a_card_is_the_same_on_a_page_from_right_to_left(look: Looked) -> None:
    one = seen(look.at(drawn(coffee(), Face.APPLE_FRONT)))
    other = seen(look.at(drawn(coffee(), Face.APPLE_FRONT), query="?dir=rtl"))
    assert similarity(one, other) > 0.999


def test_a_screen_reader_gets_one_picture_with_all_words(look: Looked) -> None:
    page = look.at(drawn(coffee(), Face.APPLE_FRONT))
    snapshot = page.locator("body").aria_snapshot()
    assert snapshot.startswith('- img "Loyalty card, Finch Club, Copperfinch Coffee"')
    assert page.locator("svg.face desc").text_content() == (
        "Copperfinch Coffee. Finch Club. BEANS: 640. NEXT: ANY DRINK: 160 to go. "
        "MEMBER: Ana Brandt. TIER: Flight. TODAY: Maple Cortado is back. Card code 7KQ2-MX94-TDWR-3NHC."
    )


def test_a_page_of_all_faces_has_no_barrier(look: Looked) -> None:
    page = look.at(*(drawn(coffee(), kind, notice="News") for kind in Face))
    page.evaluate(AXE + ";1")
    found = page.evaluate("(rules) => axe.run(document, { runOnly: rules })", RULES)["violations"]
    assert [(one["id"], one["nodes"][0]["html"][:200]) for one in found] == []


WRITE = """async (words) => {
  const { write } = await import("/static/faces.js");
  const line = document.querySelector('[data-live="name"]');
  write(line, words);
  const room = Number(line.dataset.room);
  return { text: line.textContent, wide: line.getComputedTextLength(), room };
}"""


def test_a_name_that_a_script_writes_into_a_card_stays_in_its_place(look: Looked) -> None:
    page = look.at(drawn(coffee(), Face.APPLE_FRONT, live=True))
    for name in NAMES:
        written = page.evaluate(WRITE, name)
        assert written["wide"] <= written["room"] + 0.5
        assert written["text"] == name or written["text"].endswith("…")
    assert page.evaluate(WRITE, "Bo")["text"] == "Bo"
    assert page.locator("script").count() == 0


# Compared with stored renders ---------------------------------------------------


@pytest.mark.check("W-64")
@pytest.mark.parametrize("name", ["coffee", "books", "loud", "night"])
def test_a_sample_programmes_card_looks_as_it_was_agreed(look: Looked, name: str) -> None:
    """With GOLDEN=write in the environment the pictures are made anew, to be looked at before a commit."""
    face = programmes()[name]
    page = look.at(drawn(face, Face.APPLE_FRONT), drawn(face, Face.GOOGLE_FRONT))
    for place, wallet in enumerate(("apple", "google")):
        shown = seen(page, place)
        found = [code.text for code in zxingcpp.read_barcodes(shown)]
        assert found == [face.barcode.message]
        small = shown.convert("L").resize((shown.width // 2, shown.height // 2), Image.Resampling.BOX)
        path = GOLDEN / f"face_{name}_{wallet}.png"
        if os.environ.get("GOLDEN") == "write":
            small.quantize(32).save(path, optimize=True)
        assert similarity(small, Image.open(path)) >= SIMILAR


def test_the_comparison_sees_another_balance_and_another_colour() -> None:
    """A gate that lets everything through would be none."""
    stored = Image.open(GOLDEN / "face_coffee_apple.png").convert("L")
    assert similarity(stored, stored) == pytest.approx(1)
    moved = Image.new("L", stored.size, stored.getpixel((5, 60)))
    moved.paste(stored, (3, 3))
    assert similarity(stored, moved) < SIMILAR
    assert similarity(stored, Image.open(GOLDEN / "face_night_apple.png")) < SIMILAR


def similarity(one: Image.Image, other: Image.Image) -> float:
    """The mean structural similarity (SSIM) of two grey pictures, in windows of eight pixels; 1 is equal."""
    a, b = (np.asarray(picture.convert("L"), dtype=np.float64) for picture in (one, other))
    if a.shape != b.shape:
        return 0.0

    def mean(values: Any, side: int = 8) -> Any:
        sums = np.pad(values, ((1, 0), (1, 0))).cumsum(0).cumsum(1)
        return (
            sums[side:, side:] - sums[:-side, side:] - sums[side:, :-side] + sums[:-side, :-side]
        ) / side**2

    mean_a, mean_b = mean(a), mean(b)
    spread_a, spread_b = mean(a * a) - mean_a**2, mean(b * b) - mean_b**2
    common = mean(a * b) - mean_a * mean_b
    low, high = (0.01 * 255) ** 2, (0.03 * 255) ** 2
    alike = (2 * mean_a * mean_b + low) * (2 * common + high)
    alike /= (mean_a**2 + mean_b**2 + low) * (spread_a + spread_b + high)
    return float(alike.mean())
