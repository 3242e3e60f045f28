"""What the till's app asks and sends: JSON, with a session or a paired device."""

from __future__ import annotations

import json
import re
from datetime import timedelta

import pytest
from flask import Flask

from passes import membership
from passes.access import Role
from passes.web.api.counter import COUNTER
from tests.shop import BOOKS, Shop
from tests.web.conftest import signed_in
from tests.web.test_api import register
from tests.web.test_hostile_tills import employ
from tests.web.test_till_pairing import PIN, a_till, give_pin, pair, revoke
from tests.web.till_device import Device
from tests.web.visitor import Visitor


@pytest.fixture
def till(cy: Visitor, house: Shop) -> Device:
    """Cy's device at West Loop, signed in with a password."""
    return Device(cy, house)


def test_a_stranger_is_told_that_nobody_is_signed_in(app: Flask, house: Shop) -> None:
    stranger = Device(Visitor(app), house)
    state = stranger.now()
    assert (state["person"], state["programme"], state["form_token"]) == (None, None, None)
    for rule in app.url_map.iter_rules():
        if rule.endpoint.startswith("desk.") and rule.endpoint not in ("desk.state", "desk.lock"):
            address = re.sub(r"<[^>]*>", "1", rule.rule)
            for method in (rule.methods or set()) & {"GET", "POST"}:
                answer = stranger.visitor.client.open(address, method=method, json={})
                wanted = "till_unknown" if rule.endpoint == "desk.sign_in" else "sign_in_needed"
                assert answer.get_json()["code"] == wanted, rule


def test_the_app_learns_who_and_where_it_is(till: Device) -> None:
    state = till.now()
    assert state["person"] == {"login": "cy", "name": "Cy", "roles": ["cashier"]}
    assert state["programme"]["slug"] == "copperfinch"
    assert (state["programme"]["currency"], state["programme"]["decimals"]) == ("USD", 2)
    assert state["server_time"]


def test_questions_are_answered_as_registers_are(till: Device, house: Shop) -> None:
    ana = house.join()
    assert till.get(f"/members/{ana.code}").get_json()["name"] == "Ana Reyes"
    quoted = till.post("/quotes", {"code": ana.code, "amount_minor": 1240})
    assert quoted.get_json()["points"] == 124
    assert not {one.name for one in COUNTER.all if one.is_write} & {
        rule.endpoint.removeprefix("desk.") for rule in till.visitor.client.application.url_map.iter_rules()
    }


def test_a_quote_says_beforehand_that_a_manager_has_to_agree(app: Flask, till: Device, house: Shop) -> None:
    ana = house.join()

    def quoted(amount_minor: int) -> list[dict[str, str]]:
        answer = till.post("/quotes", {"code": ana.code, "amount_minor": amount_minor}).get_json()
        found: list[dict[str, str]] = answer["approval"]
        return found

    above = {"why": "amount", "words": "A purchase of more than $200.00 needs a manager."}
    assert (quoted(200_00), quoted(200_01)) == ([], [above])
    till.send(*[till.buys(ana.code, 900 + number) for number in range(4)])
    again = "This card was used 4 times here today. Another purchase needs a manager."
    assert quoted(200_01) == [above, {"why": "visits", "words": again}]
    # What it announces is what happens.
    assert till.send(till.buys(ana.code, 5_00))[0]["problem"]["detail"] == again
    # A register's own program knows who stands there.
    shop = register(app, house)
    assert shop.post("/quotes", {"code": ana.code, "amount_minor": 200_01}).get_json()["approval"] == []


def test_a_browser_that_is_no_till_knows_whom_to_ask_to_agree(till: Device, house: Shop) -> None:
    assert till.now()["cashiers"] == []
    employ(house, "olive", "7391", Role.OWNER)
    give_pin(house, "cy", PIN)
    assert till.now()["cashiers"] == [{"login": "olive", "name": "Olive", "approves": True}]
    sold = till.item("bookSale", {"amount_minor": 250_00})
    assert till.send(sold)[0]["problem"]["code"] == "approval_needed"
    asked = {name: sold[name] for name in ("key", "operation", "path", "body")}
    token = till.post("/approvals", {"login": "olive", "pin": "7391", **asked}).get_json()["approval"]
    assert till.send(sold | {"body": {**sold["body"], "approval": token}})[0]["state"] == "booked"


def test_a_write_goes_through_the_queue_and_lands_once(till: Device, house: Shop) -> None:
    ana = house.join()
    item = till.buys(ana.code, 1240)
    (first,) = till.send(item)
    assert (first["state"], first["status"], first["problem"]) == ("booked", 201, None)
    assert first["answer"]["points"] == 124
    assert (first["answer"]["person"], first["answer"]["location"]) == ("cy", "west-loop")
    (again,) = till.send(item)
    assert again["answer"]["id"] == first["answer"]["id"]
    assert house.balance(ana.code) == 224
    assert till.get(f"/requests/{item['key']}").get_json()["answer"]["id"] == first["answer"]["id"]
    assert till.get("/requests/never-sent").status_code == 404
    (mine,) = till.get("/mine").get_json()["receipts"]
    assert (mine["name"], mine["may_undo"]) == ("Ana Reyes", True)


def test_one_refused_item_holds_up_no_other(till: Device, house: Shop) -> None:
    ana, ben = house.join(), house.join("Ben Okafor")
    results = till.send(
        till.buys(ana.code, 0),
        {"key": "not-an-item"},
        till.item("noSuchThing", {}),
        till.item("lookAtMember", {}, path={"code": ana.code}),
        till.item("undoReceipt", {}, path={"receipt_key": "never-made", "more": "x"}),
        till.buys(ben.code, 500),
    )
    assert [one["state"] for one in results] == ["refused"] * 5 + ["booked"]
    assert [one["problem"]["code"] for one in results[:5]] == [
        "amount_invalid",
        "request_invalid",
        "request_invalid",
        "request_invalid",
        "receipt_unknown",
    ]
    assert house.balance(ben.code) == 150


def test_a_mistake_is_undone_by_the_key_of_what_made_it(till: Device, house: Shop) -> None:
    ana = house.join()
    bought = till.buys(ana.code, 1000)
    undone = till.item("undoReceipt", {}, path={"receipt_key": bought["key"]})
    first, second = till.send(bought, undone)
    assert second["state"] == "booked"
    assert second["answer"]["undoes"] == first["answer"]["id"]
    assert house.balance(ana.code) == 100


def test_a_body_cannot_say_who_or_where(till: Device, house: Shop) -> None:
    ana = house.join()
    item = till.buys(ana.code, 1000)
    item["body"] |= {"person": "dee", "till": "another", "location": "elsewhere"}
    (result,) = till.send(item)
    assert (result["answer"]["person"], result["answer"]["location"]) == ("cy", "west-loop")


def test_a_request_without_the_sessions_token_is_refused(till: Device, house: Shop) -> None:
    ana = house.join()
    body = {"device_time": house.now.isoformat(), "items": [till.buys(ana.code, 1000)]}
    for token in ("", "x" * 32):
        answer = till.post("/queue", body, **{"X-Form-Token": token})
        assert (answer.status_code, answer.get_json()["code"]) == (422, "form_stale")
    foreign = till.post("/queue", body, Origin="https://elsewhere.example")
    assert foreign.get_json()["code"] == "form_stale"
    assert house.balance(ana.code) == 100


def test_a_queue_has_limits(till: Device, house: Shop) -> None:
    items = [till.buys("x", 1) for _ in range(51)]
    answer = till.post("/queue", {"device_time": house.now.isoformat(), "items": items})
    assert answer.get_json()["code"] == "request_invalid"
    huge = json.dumps({"device_time": house.now.isoformat(), "items": [], "more": "x" * 300_000})
    assert till.post("/queue", {"huge": huge}).status_code == 413


def test_a_code_is_drawn_for_an_address_of_ours_alone(till: Device) -> None:
    drawn = till.post("/codes", {"text": "http://127.0.0.1:8000/join/copperfinch?claim=x"}).get_json()["svg"]
    assert drawn.startswith("<svg")
    for text in ("https://elsewhere.example/", "http://127.0.0.1:8000.elsewhere.example/", "", "x" * 600):
        answer = till.post("/codes", {"text": text})
        assert answer.get_json()["code"] == "request_invalid"


def test_a_till_learns_which_of_its_members_left(app: Flask, house: Shop) -> None:
    give_pin(house, "cy", PIN)
    device = Device(Visitor(app), house)
    pair(device.visitor, a_till(house)[1])
    ana, ben, elif_ = house.join(), house.join("Ben"), house.join("Elif", BOOKS)
    for one in (ana, elif_):
        membership.leave(house.store, membership.link(house.store, secret=one.link_secret), now=house.now)
    # Nobody need be signed in, and numbers that no card has look like those of members.
    known = [ana.code, ben.code, elif_.code, "2222222222222222"]
    assert device.post("/remembered", {"codes": known}).get_json() == {"gone": [ana.code]}
    assert device.post("/remembered", {"codes": []}).get_json() == {"gone": []}
    assert device.post("/remembered", {"codes": [ana.code] * 501}).get_json()["code"] == "request_invalid"
    revoke(device, house)
    assert device.post("/remembered", {"codes": known}).get_json()["code"] == "till_revoked"


def test_my_bookings_show_sales_without_a_card_and_no_card_numbers(till: Device, house: Shop) -> None:
    ana = house.join()
    booked = till.send(till.buys(ana.code, 1240), till.item("bookSale", {"amount_minor": 700}))
    assert [one["state"] for one in booked] == ["booked", "booked"]
    house.now += timedelta(minutes=1)
    mine = till.get("/mine").get_json()["receipts"]
    assert {(one["kind"], one["amount_minor"]) for one in mine} == {("accrue", 1240), ("sale", 700)}
    purchase = next(one for one in mine if one["kind"] == "accrue")
    assert ana.code not in str(mine)
    assert purchase["code_end"] == ana.code[-4:]
    assert till.get(f"/members/{purchase['code']}").get_json()["identified"] == "found"
    assert till.now()["place"] == {"location": "west-loop", "shop_name": "West Loop"}


def test_a_mistaken_sale_without_a_card_is_taken_back(till: Device, house: Shop) -> None:
    (booked,) = till.send(made := till.item("bookSale", {"amount_minor": 700}))
    (sold,) = till.get("/mine").get_json()["receipts"]
    assert (sold["id"], sold["may_undo"], sold["undone_by"]) == (booked["answer"]["id"], True, None)
    back = till.item("takeBackSale", {}, path={"receipt_key": made["key"]})
    (taken,) = till.send(back)
    assert (taken["state"], taken["answer"]["refund_minor"]) == ("booked", 700)
    (sold,) = till.get("/mine").get_json()["receipts"]
    assert (sold["may_undo"], sold["undone_by"]) == (False, taken["answer"]["id"])


def test_a_cashier_who_chose_no_shop_is_asked_to(app: Flask, house: Shop) -> None:
    device = Device(Visitor(app), house)
    signed_in(device.visitor, "cy")
    state = device.now()
    assert (state["person"]["login"], state["place"], state["programme"]) == ("cy", None, None)
    answer = device.get(f"/members/{house.join().code}")
    assert (answer.status_code, answer.get_json()["code"]) == (409, "place_missing")
    body = {"device_time": house.now.isoformat(), "items": []}
    assert device.post("/queue", body).get_json()["code"] == "place_missing"
