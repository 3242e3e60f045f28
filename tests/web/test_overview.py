"""Where an owner's console begins, and what it says of its parts."""

from __future__ import annotations

from flask import Flask

from passes import tills
from tests.shop import COFFEE, Shop
from tests.web.test_till_pairing import a_till, pair
from tests.web.test_tills import owner_of
from tests.web.visitor import Visitor

HOME = "/console/"


def test_an_owner_begins_at_all_parts_of_the_console(app: Flask, house: Shop) -> None:
    olive = owner_of(app, house, COFFEE, "olive")
    page = olive.get("/console/sign-in")
    assert page.address == HOME
    for part in ("offers", "tills/", "registers/", "keys/", "webhooks/", "golive/"):
        assert f'href="/console/{part}"' in page.html, part
    assert "none runs now" in page.text
    assert page.text.count("none yet") == 4
    # A till counts once a device is paired with it, and no more once it is blocked.
    till_id, code = a_till(house)
    assert "1 till" not in olive.get(HOME).text
    pair(Visitor(app), code)
    assert "1 till, 0 people have a PIN" in olive.get(HOME).text
    tills.revoke(house.store, programme=COFFEE, till_id=till_id, by=None, now=house.now)
    assert "1 till" not in olive.get(HOME).text


def test_a_marketer_begins_at_the_offers(mo: Visitor) -> None:
    assert mo.get(HOME).address == "/console/offers"
    assert "Overview" not in mo.get(HOME).text


def test_nobody_else_comes_in(app: Flask) -> None:
    assert Visitor(app).get(HOME).address == "/console/sign-in"
