"""Somebody with the till's own tools who means no good credits nothing, breaks nothing, holds up nobody."""

from __future__ import annotations

from datetime import timedelta
from typing import Any

import pytest
from flask import Flask

from passes import access, tills
from passes.access import Grant, Role, own_cards
from passes.loyalty import codes
from passes.loyalty.codes import CodeKind
from tests.shop import COFFEE, Shop
from tests.web.conftest import CHEAP, PASSWORD, signed_in
from tests.web.test_api import problem, register
from tests.web.test_till_pairing import PIN, a_till, give_pin, pair, revoke
from tests.web.till_device import Device
from tests.web.visitor import Visitor

BEN_PIN = "5937"


@pytest.fixture
def till(app: Flask, house: Shop) -> Device:
    """The paired till at West Loop. Ben worked there this morning, and now Cy does."""
    employ(house, "ben", BEN_PIN)
    give_pin(house, "cy", PIN)
    device = Device(Visitor(app), house)
    pair(device.visitor, a_till(house)[1])
    assert device.sign_in("ben", BEN_PIN).status_code == 200
    device.post("/lock", {})
    assert device.sign_in().status_code == 200
    return device


def employ(house: Shop, login: str, pin: str, role: Role = Role.CASHIER) -> None:
    access.add_staff(
        house.store,
        login=login,
        name=login.title(),
        password=PASSWORD,
        grants=[Grant(COFFEE, role)],
        now=house.now,
        cost=CHEAP,
    )
    give_pin(house, login, pin)


def cards_own(house: Shop, login: str) -> str:
    """A card that is known to be this person's."""
    code = house.join(login.title()).code
    own_cards.link(house.store, programme=COFFEE, login=login, code=code, by=None, now=house.now)
    return code


def state(result: dict[str, Any]) -> tuple[str, str | None]:
    """What became of an item, and why not."""
    return result["state"], result["problem"] and result["problem"]["code"]


# Whose word it is --------------------------------------------------------------------


def test_a_colleagues_name_gives_nobody_points_on_their_own_card(till: Device, house: Shop) -> None:
    code = cards_own(house, "cy")
    claim = till.send(till.item("bookSale", {"amount_minor": 700}, person="ben"))[0]["answer"]["claim_url"]
    house.now += timedelta(minutes=1)
    for _ in range(2):
        bought = till.buys(code, 1000, person="ben")
        claimed = till.item("claimSale", {"code": code, "claim": claim}, person="ben")
        assert [state(one) for one in till.send(bought, claimed)] == [("refused", "own_card")] * 2
        till.post("/lock", {})
        house.now += timedelta(minutes=10)
    assert house.balance(code) == 100
    # Whoever left serves no more: a colleague who is really there books for them.
    assert till.sign_in("ben", BEN_PIN).status_code == 200
    assert state(till.send(till.buys(code, 1000, person="ben"))[0]) == ("booked", None)


def test_nobody_dates_a_booking_on_their_own_card_back_to_a_colleague_who_was_there(
    till: Device, house: Shop
) -> None:
    code, ana = cards_own(house, "cy"), house.join()
    till.post("/lock", {})
    assert till.sign_in("ben", BEN_PIN).status_code == 200
    bens = house.now + timedelta(minutes=10)
    # The network goes, and Cy takes over: on the device alone, and later before the service.
    house.now += timedelta(hours=1)
    till.post("/lock", {})
    assert till.sign_in().status_code == 200
    claimed, sold = (till.buys(one, 1500, person="ben", made_at=bens.isoformat()) for one in (code, ana.code))
    assert [state(one) for one in till.send(claimed, sold)] == [("review", None), ("booked", None)]
    assert (house.balance(code), house.balance(ana.code)) == (100, 250)
    # If it was Ben after all, who sold something to Cy, the owner knows.
    (waiting,) = tills.open_reviews(house.store, programme=COFFEE)
    assert (waiting.why, waiting.person) == ("own_card", "ben")


@pytest.mark.parametrize("name", ["cy", "CY", " Cy "])
def test_a_register_may_write_a_cashiers_name_as_it_likes(app: Flask, house: Shop, name: str) -> None:
    code = cards_own(house, "cy")
    asked = {"code": code, "amount_minor": 900, "person": name}
    assert problem(register(app, house, location="west-loop").post("/purchases", asked)) == (403, "own_card")


def test_a_browser_without_a_till_books_for_today_alone(app: Flask, cy: Visitor, house: Shop) -> None:
    device, ana = Device(cy, house), house.join()
    days = [(house.now - timedelta(days=number)).isoformat() for number in range(2, 12)]
    results = device.send(*[device.buys(ana.code, 2000 + place, made_at=at) for place, at in enumerate(days)])
    assert [state(one) for one in results[:4]] == [("booked", None)] * 4
    assert {one["answer"]["occurred_at"] for one in results[:4]} == {house.now.isoformat()}
    assert {state(one) for one in results[4:]} == {("refused", "approval_needed")}
    handle = device.post("/members/find", {"find": "Ana"}).get_json()["found"][0]["handle"]
    house.now += timedelta(days=3)
    signed_in(cy, "cy")
    place = cy.get("/till/place").form("place", f"{COFFEE}/west-loop")
    cy.post(place.address, {**place.values, "place": f"{COFFEE}/west-loop"})
    found = device.buys(handle, 1234, made_at=(house.now - timedelta(days=3)).isoformat())
    assert state(device.send(found)[0]) == ("refused", "handle_expired")


def test_what_was_refused_comes_again_but_not_as_something_earlier(till: Device, house: Shop) -> None:
    ana = house.join()
    nothing = till.buys(ana.code, 0)
    assert state(till.send(nothing)[0]) == ("refused", "amount_invalid")
    long_ago = (house.now - timedelta(days=10)).isoformat()
    again = nothing | {"body": {"code": ana.code, "amount_minor": 1000}}
    assert till.send(again | {"made_at": long_ago})[0]["state"] == "review"
    assert house.balance(ana.code) == 100
    other = till.buys(ana.code, 0)
    assert state(till.send(other)[0]) == ("refused", "amount_invalid")
    assert till.send(other | {"body": {"code": ana.code, "amount_minor": 1100}})[0]["state"] == "booked"


# What breaks ----------------------------------------------------------------------------


@pytest.mark.parametrize(
    "odd",
    [
        {"body": {"code": "x", "amount_minor": 10**30}},
        {"sequence": 10**30},
        {"person": "c\x00y"},
        {"operation": "x" * 50},
        {"operation": "nonsense"},
        {"operation": "lookAtMember"},
        {"operation": "sendOneTimeCode"},
        {"path": {"receipt_key": "a\x00b"}},
        {"key": "short"},
        {"made_at": "yesterday"},
    ],
)
def test_an_item_that_is_none_is_refused_and_holds_up_no_other(
    till: Device, house: Shop, odd: dict[str, Any]
) -> None:
    ana = house.join()
    broken = till.buys(ana.code, 1000) | odd
    results = till.send(broken, till.buys(ana.code, 2000))
    assert [one["state"] for one in results] == ["refused", "booked"]
    assert results[0]["problem"]["code"] in ("request_invalid", "receipt_unknown")
    revoke(till, house)
    assert till.send({**broken, "key": broken["key"] + "-again"})[0]["state"] in ("refused", "review")
    kept = tills.open_reviews(house.store, programme=COFFEE)
    assert {one.operation for one in kept} <= {"bookPurchase"}


@pytest.mark.parametrize("at", ["0001-01-01T00:00:00+23:59", "9999-12-31T23:59:59-23:59"])
@pytest.mark.parametrize("clock", [timedelta(0), timedelta(days=1), timedelta(days=-9000)])
def test_no_instant_stops_the_queue_or_the_owners_page(
    app: Flask, till: Device, house: Shop, at: str, clock: timedelta
) -> None:
    ana = house.join()
    results = till.send(till.buys(ana.code, 1000, made_at=at), device_time=house.now + clock)
    assert results[0]["state"] in ("review", "refused", "booked")
    employ(house, "olive", "7391", Role.OWNER)
    olive = Visitor(app)
    form = olive.get("/console/sign-in").form("login")
    olive.send(form, follow=False, login="olive", password=PASSWORD)
    assert olive.get("/console/tills/").status == 200


def test_what_became_of_a_joining_is_told_and_undone_by_nobody(till: Device, house: Shop) -> None:
    joined = till.item("enrolMember", {"name": "Zoe"})
    assert till.send(joined)[0]["state"] == "booked"
    told = till.get(f"/requests/{joined['key']}")
    assert (told.status_code, told.get_json()["state"], told.get_json()["answer"]) == (200, "booked", None)
    undone = till.item("undoReceipt", {}, path={"receipt_key": joined["key"]})
    assert state(till.send(undone)[0]) == ("refused", "receipt_unknown")


# Who was only looked up ------------------------------------------------------------------


def test_no_page_tells_the_code_of_a_card_that_was_not_there(till: Device, house: Shop) -> None:
    ana = house.join("Ana Reyes")
    house.buy(ana.code, 40000)
    handle = till.post("/members/find", {"find": "Ana"}).get_json()["found"][0]["handle"]
    (booked,) = till.send(till.buys(handle, 1000))
    balance = house.balance(ana.code)
    visitor, receipt_id = till.visitor, booked["answer"]["id"]
    pages = [visitor.get("/till/today"), visitor.get(f"/till/done/{receipt_id}")]
    links = [
        given["href"]
        for page in pages
        for _, given in page.elements
        if "/till/card/" in given.get("href", "")
    ]
    assert len(links) >= 2
    pages += [visitor.get(link) for link in links]
    for page in pages:
        assert page.status == 200
        assert ana.code not in page.html.replace("-", "")
    # From there goods are bought, but a reward needs the member's own code.
    page = pages[-1]
    refused = visitor.send(page.form("reward", "extra-shot"), reward="extra-shot", one_time="")
    assert refused.status == 409
    assert house.balance(ana.code) == balance
    bought = visitor.send(visitor.send(pages[-2].form("amount"), amount="5.00").form("amount"))
    assert "/till/done/" in bought.address
    house.now += timedelta(minutes=16)
    assert visitor.get(links[0]).status == 410


def test_whoever_tries_numbers_at_random_is_stopped_at_the_app_too(till: Device) -> None:
    unknown = codes.code_from(bytes(range(codes.RANDOM_BYTES)), CodeKind.LETTERS)
    asked = [till.get(f"/members/{unknown}").status_code for _ in range(61)]
    assert asked == [404] * 60 + [429]
    (sent,) = till.send(till.buys(unknown, 100))
    assert (sent["state"], sent["problem"]["code"]) == ("later", "too_many_tries")
