"""Plastic cards of a former system at the till's camera: read where there are some."""

from __future__ import annotations

import base64
import io
from itertools import cycle

import numpy as np
import pytest
import zxingcpp
from PIL import Image
from playwright.sync_api import expect

from passes.enrolment import Joined
from tests.shop import Shop
from tests.web.browser.test_scanning import CAMERA, FILMED, known_as, picture, the_member, to_the_till
from tests.web.browser.till import call
from tests.web.browser.window import Open

pytestmark = [pytest.mark.browser, pytest.mark.slow]

# One of each kind of bars, as somebody lays it before the camera.
PLASTIC = (
    ("EAN13", "4006381333931"),
    ("EAN8", "96385074"),
    ("UPCA", "036000291452"),
    ("Code39", "CLUB-40017"),
    ("Code128", "OLD.40017"),
    ("ITF", "00400170"),
    ("Codabar", "A40017A"),
)


def plastic(kind: str, text: str, turn: float = 0) -> str:
    """A card with bars on a table, as an address: drawn by what other programs write barcodes with."""
    code = zxingcpp.create_barcode(text, getattr(zxingcpp.BarcodeFormat, kind))
    bars = Image.fromarray(np.array(zxingcpp.write_barcode_to_image(code, scale=4)))
    card = Image.new("L", (760, 480), 250)
    bars = bars.resize((620, 170))
    card.paste(bars, (70, 250))
    table = Image.new("L", (1280, 720), 118)
    table.paste(card, (260, 120))
    file = io.BytesIO()
    table.rotate(turn, fillcolor=118).save(file, "PNG", compress_level=1)
    return f"data:image/png;base64,{base64.b64encode(file.getvalue()).decode()}"


def test_the_camera_reads_plastic_cards_once_a_programme_has_such_codes(
    browse: Open, house: Shop, ana: Joined
) -> None:
    window = browse()
    window.page.add_init_script(CAMERA)
    page = to_the_till(window)
    # Without a former code nothing but the programme's own kind is looked for.
    page.evaluate("window.show", plastic(*PLASTIC[0]))
    page.locator("[data-slot=start]").click()
    page.wait_for_timeout(1500)
    expect(page.locator("#screen")).to_have_attribute("data-screen", "scan")
    expect(page.locator("[data-slot=watching]")).to_have_text("Hold the code into the frame")
    for _, text in PLASTIC:
        known_as(house, ana, text)
    call(page, "queue", "it.sync()")
    page.reload()
    for turn, (kind, text) in zip(cycle((0, 6, -6)), PLASTIC, strict=False):
        expect(page.locator("#screen")).to_have_attribute("data-screen", "scan")
        page.evaluate("window.show", plastic(kind, text, turn))
        page.locator("[data-slot=start]").click()
        expect(the_member(page), kind).to_have_text("Ana Reyes")
        page.keyboard.press("Escape")
    # Its own cards are read as before, and so is a photo of an old one.
    page.evaluate("window.show", picture(FILMED))
    known_as(house, ana, FILMED)
    page.locator("[data-slot=start]").click()
    expect(the_member(page)).to_have_text("Ana Reyes")
    page.keyboard.press("Escape")
    body = plastic(*PLASTIC[3], turn=15).partition(",")[2]
    page.locator("[data-slot=photo]").set_input_files(
        {"name": "card.png", "mimeType": "image/png", "buffer": base64.b64decode(body)}
    )
    expect(the_member(page)).to_have_text("Ana Reyes")
