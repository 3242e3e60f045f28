"""An offer from the marketer's form to the phones and off them again, through real processes."""

from __future__ import annotations

from datetime import timedelta
from functools import partial
from typing import Any
from zoneinfo import ZoneInfo

import pytest
from sqlalchemy import text

from tests.shop import COFFEE
from tests.stories.test_google_story import an_android, google, save_link
from tests.stories.town import Town, browser, install, until
from tests.web.visitor import Page, Visitor

pytestmark = [pytest.mark.story, pytest.mark.slow]

TITLE = "Maple Cortado is back"


def joined(town: Town, name: str, **consents: Any) -> Page:
    """A new member by the join page, with these boxes ticked."""
    customer = browser(town.web_url)
    form = next(form for form in customer.get(f"/join/{COFFEE}").forms if "name" in form.names)
    page = customer.send(form, name=name, **consents)
    assert page.redirects == [303], page.text
    # Nobody in this story may be in the tenth that never gets offers.
    with town.counter() as (shop, _):
        shop.store.write(lambda work: work.put(text("UPDATE member SET holdout = :no"), no=False))
    return page


def marketer(town: Town) -> Visitor:
    """Mo, signed in by the demonstration's front page."""
    mo = browser(town.web_url)
    form = next(form for form in mo.get("/").forms if ("programme", COFFEE) in form.buttons)
    assert mo.send(form, role="marketer", programme=COFFEE).address == "/console/offers"
    return mo


def _shows(town: Town, serial: str, title: str | None) -> bool:
    """Whether this is the offer on the front of a card on the iPhone."""
    card = next(card for card in town.phone()["cards"] if card["serial"] == serial)
    return bool(card["fields"].get("offer") == title)


def rung(town: Town, serial: str) -> list[str]:
    """What the iPhone said aloud about a card, without its balance."""
    notices = town.phone()["notices"]
    return [one["text"] for one in notices if one["serial"] == serial and one["text"]]


@pytest.mark.check("L-83", "L-85")
def test_an_offer_reaches_every_kind_of_card_rings_for_who_asked_and_leaves_by_itself(town: Town) -> None:
    town.start("serve", "worker", "emulate")
    ana, ben = joined(town, "Ana Reyes", ring="on"), joined(town, "Ben Novak")
    serials = [install(town, page) for page in (ana, ben)]
    phone = an_android(town)
    for page in (ana, ben):
        link = save_link(town, page.address.partition("?")[0])
        google(town, f"/emulator/phones/{phone['id']}/save", "POST", link=link)
    until(
        lambda: (
            [one["outcome"] for one in google(town, "/emulator/history.json")["callbacks"]]
            == ["taken", "taken"]
        ),
        what="both callbacks",
    )

    mo = marketer(town)
    local = town.now().astimezone(ZoneInfo("America/Chicago"))
    page = mo.fill_in(
        mo.get("/console/offers/new").form("points"),
        {
            "title.en": TITLE,
            "title.tr": "Akçaağaçlı Cortado döndü",
            "text.en": "{offer.points} extra beans.",
            "text.tr": "{offer.points} ekstra çekirdek.",
            "effect": "bonus_points",
            "points": "50",
            "starts": (local + timedelta(hours=1)).strftime("%Y-%m-%dT%H:%M"),
            "ends": (local + timedelta(hours=3)).strftime("%Y-%m-%dT%H:%M"),
            "who": "all",
            "rings": "on",
            "by_day": None,
        },
    )
    assert page.status == 200, page.text
    assert "1 iPhone rings" in page.text
    assert "1 iPhone stays silent" in page.text
    assert "1 Android rings" in page.text
    assert "1 Android stays silent" in page.text
    mo.send(next(form for form in page.forms if form.address.endswith("/publish")))
    assert TITLE not in browser(town.web_url).get(ana.address).html

    town.pass_time(3600)
    for serial in serials:
        until(partial(_shows, town, serial, TITLE), what="the offer on the iPhone")
    assert [rung(town, serial) for serial in serials] == [[f"New offer: {TITLE}"], []]
    until(lambda: len(_with_offer(town)) == 2, what="the offer on both cards at Google")
    assert [(one["cause"], one["title"]) for one in _loud(town)] == [("message", TITLE)]
    assert _loud(town)[0]["object_id"] == _object_of(town, "Ana Reyes")
    assert TITLE in browser(town.web_url).get(ana.address).html
    until(lambda: "Every phone was told." in mo.get(page.address).text, what="the page to say so")

    town.pass_time(2 * 3600)
    for serial in serials:
        until(partial(_shows, town, serial, None), what="the offer to leave the iPhone")
    until(lambda: not _with_offer(town), what="the offer to leave the cards at Google")
    assert [len(rung(town, serial)) for serial in serials] == [1, 0]
    assert len(_loud(town)) == 1
    assert "Over" in mo.get(page.address).text
    assert TITLE not in browser(town.web_url).get(ana.address).html


def _loud(town: Town) -> list[dict[str, Any]]:
    """What the Android phone said aloud."""
    return [one for one in an_android(town)["notices"] if one["silent"] is None]


def _with_offer(town: Town) -> list[str]:
    """The objects whose card on the phone shows the offer."""
    cards = an_android(town)["cards"]
    return [
        card["object_id"] for card in cards if TITLE in str(card["rows"]) and TITLE in str(card["messages"])
    ]


def _object_of(town: Town, name: str) -> str:
    found = [card["object_id"] for card in an_android(town)["cards"] if name in str(card["rows"])]
    return str(found[0])
