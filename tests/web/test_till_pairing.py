"""A till: set up by the owner, paired once, opened with a PIN, put out at once."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from concurrent.futures import ThreadPoolExecutor
from datetime import timedelta
from typing import Any

import pytest
from flask import Flask
from sqlalchemy import text

from passes import access, tills
from passes.access import Grant, Role, pins
from passes.loyalty.refusals import (
    LocationUnknown,
    NotAllowed,
    PairingCodeWrong,
    PersonUnknown,
    PinWeak,
    TillUnknown,
)
from passes.server_keys import ServerKeys
from passes.store import Store
from passes.web.signin import DEVICE
from passes.web.till import items
from tests.shop import BOOKS, COFFEE, KEYS, Shop
from tests.web.conftest import CHEAP, PASSWORD, signed_in
from tests.web.till_device import Device
from tests.web.visitor import Page, Visitor

PIN = "4826"


@pytest.fixture
def staffed(house: Shop) -> Shop:
    """The coffee shop with an owner, and PINs for her and Cy."""
    access.add_staff(
        house.store,
        login="olive",
        name="Olive",
        password=PASSWORD,
        grants=[Grant(COFFEE, Role.OWNER)],
        now=house.now,
        cost=CHEAP,
    )
    give_pin(house, "cy", PIN)
    give_pin(house, "olive", "7391")
    return house


def give_pin(house: Shop, login: str, pin: str | None) -> None:
    pins.set_pin(house.store, programme=COFFEE, login=login, pin=pin, by=None, now=house.now, cost=CHEAP)


def a_till(house: Shop, name: str = "Front", location: str = "west-loop") -> tuple[int, str]:
    return tills.set_up(
        house.store, KEYS, programme=COFFEE, name=name, location=location, by=None, now=house.now
    )


def pair(visitor: Visitor, code: str) -> Page:
    return visitor.send(visitor.get("/till/pair").form("code"), code=code)


@pytest.fixture
def paired(app: Flask, staffed: Shop) -> Device:
    """A device that is the till at West Loop; nobody is signed in."""
    visitor = Visitor(app)
    pair(visitor, a_till(staffed)[1])
    return Device(visitor, staffed)


# Pairing -----------------------------------------------------------------------


def test_a_device_is_paired_with_a_code_and_then_asks_who_is_there(app: Flask, staffed: Shop) -> None:
    till_id, code = a_till(staffed)
    visitor = Visitor(app)
    scanned = visitor.get(f"/till/pair?code={code}")
    assert scanned.element(name="code")["value"] == f"{code[:4]}-{code[4:]}"
    assert visitor.send(scanned.form("code")).address == "/till/app"
    page = visitor.get("/till/sign-in")
    assert "Who is at the till?" in page.text
    assert "Cy" in page.text
    secret = visitor.cookie(DEVICE, "/till")
    assert secret is not None
    with staffed.store.read() as read:
        kept = read.ask(text("SELECT secret_hash, pairing_hash FROM till")).one()
    assert kept is not None
    assert secret.encode() not in bytes(kept.secret_hash)
    assert kept.pairing_hash is None
    state = Device(visitor, staffed).now()
    assert (state["paired"], state["revoked"], state["person"]) == (True, False, None)
    assert state["till"] == {
        "id": str(till_id),
        "name": "Front",
        "location": "west-loop",
        "shop_name": "West Loop",
        "sequence": 0,
    }
    assert [one["login"] for one in state["cashiers"]] == ["cy", "olive"]
    assert state["programme"]["slug"] == COFFEE


def test_the_cookie_of_a_till_is_sent_to_the_till_alone(app: Flask, live: Flask, staffed: Shop) -> None:
    for served, base, wanted in (
        (app, "http://127.0.0.1:8000", ()),
        (live, "https://cards.shop.example", ("Secure",)),
    ):
        visitor = Visitor(served, base=base)
        form = visitor.get("/till/pair").form("code")
        answer = visitor.send(form, follow=False, code=a_till(staffed, f"Front {base[:5]}")[1]).answer
        cookie = next(one for one in answer.headers.getlist("Set-Cookie") if one.startswith(f"{DEVICE}="))
        for part in ("HttpOnly", "Path=/till", "SameSite=Strict", *wanted):
            assert part in cookie


def test_a_wrong_code_pairs_nothing(staffed: Shop) -> None:
    a_till(staffed)
    for typed in ("", "2FTX", "2FTX-9KQD", "00000000", "ABCDEFGH", "2" * 400, "\ud800" * 8):
        with pytest.raises(PairingCodeWrong):
            tills.pair(staffed.store, code=typed, now=staffed.now)


def test_a_code_is_good_once_and_for_ten_minutes(app: Flask, staffed: Shop) -> None:
    _, code = a_till(staffed)
    first, second = Visitor(app), Visitor(app)
    assert pair(first, f" {code[:4].lower()} {code[4:]} ").address == "/till/app"
    page = pair(second, code)
    assert (page.status, "This code is wrong or too old." in page.text) == (422, True)
    assert second.cookie(DEVICE, "/till") is None
    till_id, late = a_till(staffed, "Back")
    staffed.now += timedelta(minutes=10)
    assert pair(second, late).status == 422
    name, again = tills.new_code(
        staffed.store, KEYS, programme=COFFEE, till_id=till_id, by=None, now=staffed.now
    )
    assert name == "Back"
    assert pair(second, again).address == "/till/app"


def test_guessing_codes_is_stopped(app: Flask, staffed: Shop) -> None:
    _, code = a_till(staffed)
    visitor = Visitor(app)
    for _ in range(20):
        assert pair(visitor, "2222-2222").status == 422
    page = pair(visitor, code)
    assert (page.status, "Too many tries." in page.text) == (429, True)
    staffed.now += timedelta(minutes=5)
    assert pair(visitor, code).address == "/till/app"


def test_another_device_takes_the_place_of_the_first(app: Flask, paired: Device, staffed: Shop) -> None:
    paired.sign_in()
    assert paired.now()["person"]["login"] == "cy"
    till_id = int(paired.now()["till"]["id"])
    _, code = tills.new_code(staffed.store, KEYS, programme=COFFEE, till_id=till_id, by=None, now=staffed.now)
    assert paired.now()["person"] is not None
    pair(Visitor(app), code)
    state = paired.now()
    assert (state["paired"], state["person"]) == (False, None)


def test_a_till_stands_in_a_shop_of_its_programme(staffed: Shop) -> None:
    for location in ("nowhere", ""):
        with pytest.raises(LocationUnknown):
            a_till(staffed, location=location)


# Out of force ------------------------------------------------------------------


def test_a_revoked_till_stops_at_once(paired: Device, staffed: Shop) -> None:
    paired.sign_in()
    ana = staffed.join()
    assert paired.get(f"/members/{ana.code}").status_code == 200
    revoke(paired, staffed)
    answer = paired.get(f"/members/{ana.code}")
    assert (answer.status_code, answer.get_json()["code"]) == (403, "till_revoked")
    state = paired.now()
    assert (state["paired"], state["revoked"], state["person"], state["programme"]) == (
        True,
        True,
        None,
        None,
    )
    assert paired.sign_in().get_json()["code"] == "till_revoked"
    assert paired.visitor.get("/till/").address == "/till/sign-in"
    with pytest.raises(TillUnknown):
        revoke(paired, staffed)


def test_nobody_of_another_programme_revokes_a_till(paired: Device, staffed: Shop) -> None:
    with pytest.raises(TillUnknown):
        tills.revoke(
            staffed.store,
            programme=BOOKS,
            till_id=int(paired.now()["till"]["id"]),
            by=None,
            now=staffed.now,
        )


def revoke(device: Device, house: Shop) -> None:
    with house.store.read() as read:
        till_id = read.ask(text("SELECT id FROM till")).value()
    tills.revoke(house.store, programme=COFFEE, till_id=till_id, by=None, now=house.now)


# PINs --------------------------------------------------------------------------


@pytest.mark.check("W-28")
def test_cashiers_change_with_two_taps_and_a_pin_without_script(paired: Device) -> None:
    page = paired.visitor.get("/till/sign-in")
    first = next(
        given["href"] for tag, given in page.elements if tag == "a" and "who=cy" in given.get("href", "")
    )
    form = paired.visitor.get(first).form("pin")
    page = paired.visitor.send(form, pin=PIN)
    assert page.address == "/till/app"
    state = paired.now()
    assert state["person"] == {"login": "cy", "name": "Cy", "roles": ["cashier"]}
    assert paired.sign_in("olive", "7391").get_json()["person"]["login"] == "olive"
    before = state["form_token"]
    assert paired.now()["form_token"] != before
    assert paired.post("/lock", {}).get_json() == {"locked": True}
    assert paired.now()["person"] is None
    assert paired.visitor.get("/till/").address == "/till/sign-in"


def test_a_pin_opens_nothing_but_a_paired_till(app: Flask, staffed: Shop) -> None:
    stranger = Device(Visitor(app), staffed)
    assert stranger.sign_in().get_json()["code"] == "till_unknown"
    form = stranger.visitor.get("/till/sign-in").form("login")
    assert stranger.visitor.send(form, login="cy", password=PIN).status == 422


def test_a_session_of_a_till_is_worth_nothing_elsewhere(app: Flask, paired: Device, staffed: Shop) -> None:
    paired.sign_in()
    stolen = paired.visitor.cookie("passes_till", "/till")
    assert stolen is not None
    thief = Visitor(app)
    thief.remember("passes_till", stolen, "/till")
    assert thief.get("/till/").address == "/till/sign-in"
    assert Device(thief, staffed).now()["person"] is None


def test_five_wrong_pins_and_only_the_password_helps(paired: Device, staffed: Shop) -> None:
    for _ in range(5):
        answer = paired.sign_in(pin="9021")
        assert (answer.status_code, answer.get_json()["code"]) == (422, "pin_wrong")
    assert paired.sign_in().get_json()["code"] == "pin_locked"
    staffed.now += timedelta(hours=2)
    assert paired.sign_in().get_json()["code"] == "pin_locked"
    assert paired.sign_in("olive", "7391").status_code == 200
    paired.post("/lock", {})
    form = paired.visitor.get("/till/sign-in?password=1").form("login")
    assert paired.visitor.send(form, login="cy", password=PASSWORD).address == "/till/app"
    assert paired.now()["person"]["login"] == "cy"
    paired.post("/lock", {})
    assert paired.sign_in().status_code == 200


def test_a_right_pin_forgets_the_wrong_ones(paired: Device) -> None:
    for _ in range(3):
        for _ in range(4):
            paired.sign_in(pin="9021")
        assert paired.sign_in().status_code == 200


def test_only_who_serves_here_comes_in(paired: Device, staffed: Shop) -> None:
    with pytest.raises(PersonUnknown):
        give_pin(staffed, "mo", PIN)
    for login in ("mo", "dee", "nobody", ""):
        assert paired.sign_in(login).get_json()["code"] == "pin_wrong"


def test_somebody_of_another_programme_does_not_sign_in_with_a_password_either(paired: Device) -> None:
    form = paired.visitor.get("/till/sign-in?password=1").form("login")
    page = paired.visitor.send(form, login="dee", password=PASSWORD)
    assert (page.status, "You may not do this." in page.text) == (403, True)


def test_whoever_signs_in_at_a_till_works_where_it_stands(paired: Device) -> None:
    paired.sign_in()
    page = paired.visitor.get("/till/place?stay=1")
    assert page.address == "/till/app"
    assert paired.now()["till"]["location"] == "west-loop"


def test_pins_that_everybody_tries_first_are_refused() -> None:
    weak = "|123|0000|9999|1234|4321|8901|2109|1212|123456789|12a4|١٢٣٤|5 55|4826\n"
    for pin in weak.split("|"):
        with pytest.raises(PinWeak):
            pins.check_pin(pin)
    for pin in ("4826", "70315", "19840407", "1235", "1233"):
        pins.check_pin(pin)


def test_a_pin_is_kept_as_a_hash(staffed: Shop) -> None:
    with staffed.store.read() as read:
        kept = read.ask(text("SELECT pin_hash FROM staff WHERE login = 'cy'")).value()
    assert kept.startswith("$argon2id$")
    assert PIN not in kept.split("$")[-1]


def test_a_pin_can_be_taken_away(paired: Device, staffed: Shop) -> None:
    give_pin(staffed, "cy", None)
    assert [one["login"] for one in paired.now()["cashiers"]] == ["olive"]
    assert paired.sign_in().get_json()["code"] == "pin_wrong"


def test_an_owner_gives_pins_to_her_own_people_alone(staffed: Shop) -> None:
    store = staffed.store
    with store.read() as read:
        olive = read.ask(text("SELECT id FROM staff WHERE login = 'olive'")).value()
    access.add_staff(
        store,
        login="both",
        name="Bo",
        password=PASSWORD,
        grants=[Grant(COFFEE, Role.CASHIER), Grant(BOOKS, Role.OWNER)],
        now=staffed.now,
        cost=CHEAP,
    )
    give: Callable[..., None] = lambda login: pins.set_pin(  # noqa: E731
        store, programme=COFFEE, login=login, pin=PIN, by=olive, now=staffed.now, cost=CHEAP
    )
    give("cy")
    with pytest.raises(PersonUnknown):
        give("dee")
    with pytest.raises(NotAllowed):
        give("both")


# A manager agrees ----------------------------------------------------------------


BASKET = {"code": "2FTX-9KQD-VM34-CHWR", "amount_minor": 3000}


def agreed(paired: Device, login: str, pin: str, **other: Any) -> Any:
    """What the app hears when it asks a manager about a purchase."""
    asked = {"key": "item-1", "operation": "bookPurchase", "path": {}, "body": BASKET, **other}
    return paired.post("/approvals", {"login": login, "pin": pin, **asked}).get_json()


def test_an_owner_agrees_to_one_item_for_five_minutes(paired: Device, staffed: Shop) -> None:
    paired.sign_in()
    token = agreed(paired, "olive", "7391")["approval"]
    with staffed.store.read() as read:
        programme_id = read.ask(text("SELECT id FROM programme WHERE slug = 'copperfinch'")).value()

    def who(
        given: str = token,
        *,
        key: str = "item-1",
        operation: str = "bookPurchase",
        body: Mapping[str, Any] = BASKET,
        minutes: int = 0,
        keys: ServerKeys = KEYS,
    ) -> str | None:
        content = items.content_of(operation, {}, body)
        at = staffed.now + timedelta(minutes=minutes)
        return pins.approved_by(keys, given, programme_id=programme_id, key=key, content=content, now=at)

    assert (who(), who(minutes=4), who(minutes=5)) == ("olive", "olive", None)
    assert (who(key="item-2"), who(token.replace("olive", "cy")), who(""), who("||"), who("a|b")) == (
        None,
    ) * 5
    assert who(keys=ServerKeys({"k1": b"x" * 32})) is None
    # Said again as meant, and with the token itself, it is the same purchase.
    assert who(body={"repeat": True, "approval": token, **BASKET}) == "olive"
    assert (who(body=BASKET | {"amount_minor": 300_000}), who(operation="bookSale")) == (None, None)


def test_a_managers_word_for_one_amount_books_no_other(paired: Device, staffed: Shop) -> None:
    paired.sign_in()
    ana = staffed.join()
    small = paired.buys(ana.code, 300_00)
    assert paired.send(small)[0]["problem"]["code"] == "approval_needed"
    token = agreed(paired, "olive", "7391", key=small["key"], body=small["body"])["approval"]
    large = small | {"body": small["body"] | {"amount_minor": 480_00, "approval": token}}
    assert paired.send(large)[0]["problem"]["code"] == "approval_needed"
    assert staffed.balance(ana.code) == 100
    assert paired.send(small | {"body": small["body"] | {"approval": token}})[0]["state"] == "booked"
    assert staffed.balance(ana.code) == 3_100
    with staffed.store.read() as read:
        detail = read.ask(text("SELECT detail FROM audit WHERE action = 'till.approve'")).value()
    assert '"amount_minor":30000' in detail.replace(" ", "")


def test_a_manager_agrees_to_nothing_that_is_no_booking(paired: Device) -> None:
    paired.sign_in()
    assert agreed(paired, "olive", "7391", operation="lookAtMember")["code"] == "request_invalid"


def test_a_cashier_cannot_agree_for_a_manager(paired: Device) -> None:
    paired.sign_in()
    for login, pin in (("cy", PIN), ("olive", "0505"), ("nobody", PIN)):
        assert agreed(paired, login, pin)["code"] == "pin_wrong"
    for _ in range(4):
        agreed(paired, "olive", "0505")
    assert agreed(paired, "olive", "7391")["code"] == "pin_locked"


def test_what_was_done_with_tills_stands_in_the_audit_trail(paired: Device, staffed: Shop) -> None:
    paired.sign_in()
    agreed(paired, "olive", "7391")
    revoke(paired, staffed)
    with staffed.store.read() as read:
        rows = read.ask(text("SELECT action, object, detail FROM audit ORDER BY id")).all()
    actions = [row.action for row in rows]
    wanted = ["staff.pin", "staff.pin", "till.add", "till.pair", "session.pin", "till.approve", "till.revoke"]
    assert [one for one in actions if one in wanted] == wanted
    approval = next(row for row in rows if row.action == "till.approve")
    assert approval.object == "item-1"
    assert '"location":"west-loop"' in approval.detail
    assert all(PIN not in row.detail and PIN not in row.object for row in rows)


def test_old_sessions_at_tills_are_kept_long_enough_for_a_late_queue(paired: Device, staffed: Shop) -> None:
    paired.sign_in()
    paired.post("/lock", {})
    for days, left in ((2, 1), (59, 1), (61, 0)):
        access.forget_due(staffed.store, now=staffed.now + timedelta(days=days))
        assert sessions_at_tills(staffed.store) == left


def sessions_at_tills(store: Store) -> int:
    with store.read() as read:
        found: int = read.ask(text("SELECT count(*) FROM session WHERE till_id IS NOT NULL")).value()
    return found


def test_signing_in_before_the_till_was_paired_does_not_count_there(app: Flask, staffed: Shop) -> None:
    visitor = Visitor(app)
    signed_in(visitor, "cy")
    pair(visitor, a_till(staffed)[1])
    assert Device(visitor, staffed).now()["person"] is None


# The demonstration ---------------------------------------------------------------


def test_one_click_makes_each_browser_a_till_of_its_own(app: Flask, staffed: Shop) -> None:
    def click(visitor: Visitor, programme: str = COFFEE) -> str:
        values = visitor.get("/").form("programme").values
        assert visitor.post("/demonstration", {**values, "programme": programme}).address == "/till/app"
        state = Device(visitor, staffed).now()
        assert (state["paired"], state["person"] is not None) == (True, True)
        return str(state["till"]["name"])

    first, second = Visitor(app), Visitor(app)
    assert (click(first), click(second), click(first)) == ("Demo till", "Demo till 2", "Demo till")
    assert Device(second, staffed).now()["person"] is not None
    # In the shop's own language, whoever clicks.
    assert click(second, BOOKS) == "Deneme kasası"
    staffed.now += timedelta(hours=13)
    assert click(Visitor(app)) == "Demo till"


def test_in_production_nobody_becomes_a_till_by_a_click(live: Flask, staffed: Shop) -> None:
    visitor = Visitor(live, base="https://cards.shop.example")
    assert visitor.post("/demonstration", {"programme": COFFEE, "form": "x"}).status == 403
    assert tills.every(staffed.store, KEYS, programme=COFFEE, now=staffed.now) == []


def test_browsers_that_click_at_once_get_a_till_each(staffed: Shop) -> None:
    def click(_number: int) -> str:
        return tills.pair_for_demonstration(
            staffed.store, KEYS, programme=COFFEE, location="west-loop", called="Demo till", now=staffed.now
        ).name

    with ThreadPoolExecutor(4) as pool:
        names = sorted(pool.map(click, range(4)))
    assert names == ["Demo till", "Demo till 2", "Demo till 3", "Demo till 4"]
