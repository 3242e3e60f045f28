"""The owner's page of tills: who may see it, codes, people, and what waits to be looked at."""

from __future__ import annotations

from datetime import timedelta

import pytest
from flask import Flask

from passes import access, merging, tills
from passes.access import Grant, Role
from passes.store import team
from tests.shop import BOOKS, COFFEE, KEYS, Shop
from tests.web.conftest import CHEAP, PASSWORD
from tests.web.test_till_pairing import PIN, a_till, give_pin, pair, revoke
from tests.web.till_device import Device
from tests.web.visitor import Page, Visitor

HOME = "/console/tills/"


def owner_of(app: Flask, house: Shop, programme: str, login: str) -> Visitor:
    access.add_staff(
        house.store,
        login=login,
        name=login.title(),
        password=PASSWORD,
        grants=[Grant(programme, Role.OWNER)],
        now=house.now,
        cost=CHEAP,
    )
    visitor = Visitor(app)
    visitor.send(visitor.get("/console/sign-in").form("login"), follow=False, login=login, password=PASSWORD)
    return visitor


@pytest.fixture
def olive(app: Flask, house: Shop) -> Visitor:
    """The coffee shop's owner in the console."""
    return owner_of(app, house, COFFEE, "olive")


def push(visitor: Visitor, address: str, **values: str) -> Page:
    """Press a button of the page, in the form that leads to this address."""
    page = visitor.get(HOME)
    form = next(form for form in page.forms if form.address.endswith(address))
    return visitor.post(form.address, {**form.values, **values})


def test_only_owners_come_in(app: Flask, mo: Visitor, olive: Visitor) -> None:
    assert mo.get(HOME).status == 403
    assert Visitor(app).get(HOME).address == "/console/sign-in"
    assert "No tills yet" in olive.get(HOME).text
    assert "Tills" in olive.get("/console/offers").text
    assert "/console/tills/" not in mo.get("/console/offers").html


def test_an_owner_adds_a_till_and_its_code_pairs_a_device(app: Flask, olive: Visitor, house: Shop) -> None:
    page = push(olive, HOME, name="Front", location="west-loop")
    assert "Waits for a device" in page.text
    assert "Good once, until" in page.text
    (till,) = tills.every(house.store, KEYS, programme=COFFEE, now=house.now)
    assert till.code is not None
    assert f"{till.code[:4]}-{till.code[4:]}" in page.text
    pair(Visitor(app), till.code)
    assert "Paired" in olive.get(HOME).text
    twice = push(olive, HOME, name="Front", location="west-loop")
    assert (twice.status, "There is a till “Front” already." in twice.text) == (409, True)
    renewed = push(olive, f"/{till.id}/code")
    assert "The device that is paired now stops then." in renewed.text
    house.now += timedelta(minutes=10)
    assert "Paired" in olive.get(HOME).text
    blocked = push(olive, f"/{till.id}/revoke")
    assert "Blocked" in blocked.text


def test_another_programmes_tills_cannot_be_touched(app: Flask, olive: Visitor, house: Shop) -> None:
    till_id, _ = a_till(house)
    sevgi = owner_of(app, house, BOOKS, "sevgi")
    token = sevgi.get(HOME).forms[0].values["form_token"]
    for address in (f"{HOME}{till_id}/revoke", f"{HOME}{till_id}/code"):
        assert sevgi.post(address, {"form_token": token}).status == 404
    (till,) = tills.every(house.store, KEYS, programme=COFFEE, now=house.now)
    assert till.revoked_at is None
    assert sevgi.post(f"{HOME}people/pin", {"form_token": token, "login": "cy", "pin": PIN}).status == 404


def test_an_owner_gives_and_takes_pins(olive: Visitor, house: Shop) -> None:
    page = push(olive, "/people/pin", login="cy", pin="1234")
    assert (page.status, "A PIN has 4 to 8 digits" in page.text) == (422, True)
    assert "Has a PIN" in push(olive, "/people/pin", login="cy", pin=PIN).text
    assert "Has a PIN" not in push(olive, "/people/pin", login="cy", pin="", take="1").text


def test_an_owner_says_which_card_is_whose(olive: Visitor, house: Shop) -> None:
    cys = house.join("Cy Morales")
    page = push(olive, "/people/card", login="cy", code=cys.code.lower())
    assert "Own card: Cy Morales" in page.text
    assert push(olive, "/people/card", login="cy", code=cys.code).text.count("Own card: Cy Morales") == 1
    page = push(olive, "/people/card", login="cy", code="2222")
    assert (page.status, "That is not a card number." in page.text) == (422, True)
    page = push(olive, f"/people/card/{cys.member_id}/remove", login="cy")
    assert "Own card: Cy" not in page.text


@pytest.mark.check("L-78")
def test_nobody_books_on_a_card_of_their_own(app: Flask, olive: Visitor, house: Shop) -> None:
    cys, other = house.join("Cy Morales"), house.join("Ana Reyes")
    push(olive, "/people/card", login="cy", code=cys.code)
    give_pin(house, "cy", PIN)
    till = Device(Visitor(app), house)
    pair(till.visitor, a_till(house)[1])
    till.sign_in()
    mine, theirs = till.send(till.buys(cys.code, 1000), till.buys(other.code, 1000))
    assert (mine["state"], mine["problem"]["code"], theirs["state"]) == ("refused", "own_card", "booked")
    assert house.balance(cys.code) == 100


def test_a_member_with_the_address_of_a_login_is_that_person(app: Flask, olive: Visitor, house: Shop) -> None:
    own = house.join("Kim", email="Kim@Shop.example")
    access.add_staff(
        house.store,
        login="kim@shop.example",
        name="Kim",
        password=PASSWORD,
        grants=[Grant(COFFEE, Role.CASHIER)],
        now=house.now,
        cost=CHEAP,
    )
    give_pin(house, "kim@shop.example", PIN)
    till = Device(Visitor(app), house)
    pair(till.visitor, a_till(house)[1])
    assert till.sign_in("kim@shop.example").status_code == 200
    (result,) = till.send(till.buys(own.code, 1000, person="kim@shop.example"))
    assert result["problem"]["code"] == "own_card"
    assert "Own card: Kim" in olive.get(HOME).text


def test_whose_card_it_is_outlives_a_merge(app: Flask, olive: Visitor, house: Shop) -> None:
    own, other = house.join("Cy Morales"), house.join("C. Morales")
    push(olive, "/people/card", login="cy", code=own.code)
    merging.merge(
        house.store,
        programme=COFFEE,
        survivor=other.code,
        loser=own.code,
        proof="their passport",
        by="mo",
        key=house.key(),
        now=house.now,
    )
    with house.store.read() as read:
        whose = [row.member_id for row in team.own_cards(read, programme_id=own.programme_id)]
    assert other.member_id in whose


# What waits to be looked at ------------------------------------------------------


@pytest.fixture
def lost(app: Flask, house: Shop) -> Device:
    """A till that was blocked before its queue came: 12.40 for Ana, and a reward she cannot afford."""
    give_pin(house, "cy", PIN)
    device = Device(Visitor(app), house)
    pair(device.visitor, a_till(house)[1])
    device.sign_in()
    revoke(device, house)
    return device


def test_an_owner_books_what_a_lost_till_did(lost: Device, olive: Visitor, house: Shop) -> None:
    ana = house.join()
    made = house.now
    item = lost.buys(ana.code, 1240)
    house.now += timedelta(hours=1)
    assert lost.send(item)[0]["state"] == "review"
    page = olive.get(HOME)
    assert "Please look at this 1" in page.text
    assert "Purchase of $12.40 · Ana Reyes" in page.text
    assert "Front · Cy" in page.text
    assert "The till was blocked before this came." in page.text
    (waiting,) = tills.open_reviews(house.store, programme=COFFEE)
    form = next(form for form in page.forms if form.address.endswith("/book"))
    assert "Please look at this" not in olive.send(form).text
    assert house.balance(ana.code) == 224
    again = olive.send(form)
    assert (again.status, "This was already decided." in again.text) == (409, True)
    assert house.balance(ana.code) == 224
    (told,) = lost.send(item)
    assert (told["state"], told["answer"]["person"], told["answer"]["till"]) == ("booked", "cy", "Front")
    assert told["answer"]["occurred_at"] == made.isoformat()
    decided = tills.review(house.store, programme=COFFEE, review_id=waiting.id)
    assert (decided.state, decided.content) == ("booked", {})


def test_an_owner_does_not_book_it_and_the_till_hears_so(lost: Device, olive: Visitor, house: Shop) -> None:
    ana = house.join()
    item = lost.buys(ana.code, 1240)
    lost.send(item)
    assert "Please look at this" not in push(olive, "/dismiss", note="Never happened").text
    assert house.balance(ana.code) == 100
    (told,) = lost.send(item)
    assert (told["state"], told["problem"]["code"]) == ("refused", "review_dismissed")


def test_what_cannot_be_booked_stays_with_its_reason(lost: Device, olive: Visitor, house: Shop) -> None:
    ana = house.join()
    lost.send(lost.item("redeemReward", {"code": ana.code, "reward": "bag-of-beans"}))
    page = push(olive, "/book")
    assert page.status == 409
    assert "Reward “Bag of beans”" in page.text
    assert "Please look at this 1" in page.text


def test_reviews_of_another_programme_are_nobodys_business(
    app: Flask, lost: Device, olive: Visitor, house: Shop
) -> None:
    lost.send(lost.buys(house.join().code, 1240))
    (waiting,) = tills.open_reviews(house.store, programme=COFFEE)
    sevgi = owner_of(app, house, BOOKS, "sevgi")
    assert "Please look at this" not in sevgi.get(HOME).text
    token = sevgi.get(HOME).forms[0].values["form_token"]
    for what in ("book", "dismiss"):
        address = f"{HOME}reviews/{waiting.id}/{what}"
        assert sevgi.post(address, {"form_token": token}).status in (404, 409)
    assert tills.open_reviews(house.store, programme=COFFEE) == [waiting]
