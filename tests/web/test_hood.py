"""Under the hood: a card's story, how the installation fares, and who may look."""

from __future__ import annotations

import hashlib
import io
import json
import zipfile
from datetime import timedelta

import pytest
from flask import Flask
from sqlalchemy import text

from passes import access, books
from passes.access import Grant, Role
from passes.store import installs
from tests.shop import Shop
from tests.web.conftest import CHEAP, PASSWORD
from tests.web.visitor import Visitor


@pytest.fixture
def olive(app: Flask, house: Shop) -> Visitor:
    """Olive, who owns the coffee shop, signed in to the console."""
    access.add_staff(
        house.store,
        login="olive",
        name="Olive",
        password=PASSWORD,
        grants=[Grant("copperfinch", Role.OWNER)],
        now=house.now,
        cost=CHEAP,
    )
    visitor = Visitor(app)
    visitor.send(
        visitor.get("/console/sign-in").form("login"), follow=False, login="olive", password=PASSWORD
    )
    return visitor


def test_a_balance_is_explained_by_everything_that_moved_it(ana: Visitor, house: Shop) -> None:
    joined = house.join("Ana Reyes")
    house.buy(joined.code, 1240)
    page = ana.get(f"/hood?code={joined.code.lower()}")
    assert "Why 224?" in page.text
    assert "Ana Reyes" in page.text
    assert "+100" in page.text
    assert "Purchase, $12.40" in page.text
    assert "+124" in page.text
    assert "Together 224 beans" in page.text
    assert "balance 224" in page.text


def test_bookings_of_long_ago_are_summed_up_and_the_sum_stays_right(ana: Visitor, house: Shop) -> None:
    joined = house.join()
    for _ in range(70):
        house.now += timedelta(minutes=1)
        house.buy(joined.code, 100)
    page = ana.get(f"/hood?code={joined.code}")
    assert "Together 800 beans" in page.text
    # 12 purchases of 10 are explained one by one, the rest together.
    assert "Earlier bookings together +680" in page.text


def test_the_newest_card_is_shown_first_and_others_are_one_click_away(ana: Visitor, house: Shop) -> None:
    assert "No card yet" in ana.get("/hood").text
    ben = house.join("Ben")
    house.now += timedelta(minutes=1)
    house.join("Ana")
    page = ana.get("/hood")
    assert "Ana" in page.text
    assert ana.get(page.element(href=f"/hood?shop=copperfinch&code={ben.code}")["href"]).status == 200
    # The bookshop's cards are not among them.
    assert ben.code not in ana.get("/hood?shop=marginalya").html


def test_a_card_that_is_none_is_refused_in_words(ana: Visitor, house: Shop) -> None:
    foreign = house.join(programme="marginalya")
    for code, status in (("CDFH", 422), (foreign.code, 404)):
        page = ana.get(f"/hood?code={code}")
        assert page.status == status
        assert page.element(id="code")["aria-invalid"] == "true"
        assert page.element(id="code")["value"] == code


def test_the_story_tells_what_phones_know(ana: Visitor, house: Shop) -> None:
    joined = house.join()
    assert "This card is on no phone." in ana.get("/hood").text

    def add(event: str) -> None:
        house.now += timedelta(seconds=10)
        house.store.write(
            lambda work: installs.happened(
                work, joined.programme_id, joined.card_id, wallet=installs.APPLE, event=event, now=house.now
            )
        )

    add(installs.ADDED)
    add(installs.REMOVED)
    page = ana.get("/hood")
    assert page.text.index("Taken out of Apple Wallet") < page.text.index("Put into Apple Wallet")


def test_what_waits_too_long_is_said(ana: Visitor, house: Shop) -> None:
    house.buy(house.join().code, 400)
    assert "Nothing is late" in ana.get("/hood").text
    house.now += timedelta(minutes=2)
    assert "the worker does not seem to run" in ana.get("/hood").text
    books.seal_due(house.store, now=house.now)
    assert "Nothing is late" in ana.get("/hood").text


def test_the_books_are_proven_on_request_and_a_forgery_shows(ana: Visitor, house: Shop) -> None:
    house.buy(house.join().code, 400)
    books.seal_due(house.store, now=house.now)
    page = ana.get("/hood")
    form = next(form for form in page.forms if form.method == "post")
    assert "every balance, lot, receipt and block is right" in ana.send(form).text
    house.store.write(
        lambda work: work.put(text("UPDATE account SET balance = balance + 1 WHERE balance = 140"))
    )
    shown = ana.send(form).text
    assert "is wrong" in shown or "are wrong" in shown
    assert "shows 141" in shown


def test_a_forged_card_can_be_had_to_show_that_it_is_noticed(ana: Visitor, live: Flask, house: Shop) -> None:
    joined = house.join()

    def whole(address: str) -> bool:
        with zipfile.ZipFile(io.BytesIO(ana.fetch(address).data)) as card:
            stated = json.loads(card.read("manifest.json"))["pass.json"]
            return bool(stated == hashlib.sha1(card.read("pass.json")).hexdigest())

    assert whole(f"/hood/card.pkpass?code={joined.code}")
    assert not whole(f"/hood/card.pkpass?code={joined.code}&forged=1")
    # A card's file holds its phone's token: nobody else's business, in no other place.
    assert Visitor(live, base="https://cards.shop.example").get("/hood/card.pkpass").status == 403
    distant = Visitor(ana.client.application, X_Forwarded_For="127.0.0.1")
    assert distant.get(f"/hood/card.pkpass?code={joined.code}").status == 403
    assert Visitor(live).get("/console/hood/card.pkpass", follow=False).status == 303


def test_only_whoever_sits_here_or_owns_the_shop_looks_under_the_hood(
    app: Flask, live: Flask, olive: Visitor, mo: Visitor, house: Shop
) -> None:
    joined = house.join("Ana Reyes")
    assert Visitor(app, X_Forwarded_For="127.0.0.1").get("/hood").status == 403
    assert Visitor(live, base="https://cards.shop.example").get("/hood").status == 403
    assert mo.get("/console/hood").status == 403
    page = olive.get("/console/hood")
    assert "Ana Reyes" in page.text
    # What the form says cannot lead to another shop.
    assert "Marginalya" not in olive.get("/console/hood?shop=marginalya").text
    form = next(form for form in page.forms if form.method == "post" and "form_token" in form.names)
    assert olive.send(form).status == 200
    assert joined.code in page.html
