"""The front door, in development and in production."""

from __future__ import annotations

from dataclasses import replace
from datetime import timedelta
from pathlib import Path

import pytest
from flask import Flask
from sqlalchemy import text

from app import create_app
from passes import access, campaigns
from passes.access import Grant, Role
from passes.store import Store, installs
from passes.wiring import Installation
from tests.shop import Shop
from tests.web.conftest import CHEAP, PASSWORD
from tests.web.visitor import Visitor

OFFER = """
title = "Maple Cortado is back"
text = "Only now."
effect = "percent_off"
percent = 10
[when]
from = "2026-03-14T08:00"
until = "2026-03-20T20:00"
"""
STEPS = ("joined", "added", "bought", "redeemed", "published")


@pytest.fixture
def resettable(installation: Installation, tmp_path: Path) -> Visitor:
    """A browser on this machine, at a service whose demonstration can be put back."""
    return Visitor(create_app(replace(installation, reset_file=tmp_path / "run" / "reset")))


def test_in_development_the_front_shows_a_card_and_every_side_of_the_service(ana: Visitor) -> None:
    page = ana.get("/")
    for words in ("Customer", "Cashier", "Marketer", "Under the hood"):
        assert words in page.text
    assert "160 to go" in page.html
    assert "Nothing here talks to Apple or Google." in page.text
    links = [given["href"] for tag, given in page.elements if tag == "a"]
    assert {"/try/copperfinch", "/hood", "http://127.0.0.1:8001/"} <= set(links)


def test_the_front_leads_to_the_owners_desk_too(ana: Visitor) -> None:
    roles = {form.values["role"] for form in ana.get("/").forms if "role" in form.values}
    assert roles == {"cashier", "marketer", "owner"}


def test_the_front_opens_the_doors_of_the_other_shop_too(ana: Visitor) -> None:
    page = ana.get("/?shop=marginalya")
    assert "Marginalya Kitabevi" in page.text
    assert page.element(href="/try/marginalya")
    assert page.form("programme").buttons == [("programme", "marginalya")]
    assert ana.get("/?shop=nobodys").element(href="/try/copperfinch")


# One click ---------------------------------------------------------------------------------


def test_one_click_makes_the_visitor_a_cashier(ana: Visitor) -> None:
    page = ana.post("/demonstration", {**ana.get("/").form("programme").values, "programme": "marginalya"})
    assert page.address == "/till/app"
    page = ana.get("/till/")
    assert "Alsancak" in page.text
    assert "Dee" in page.text


def test_a_cashier_may_begin_with_the_phone_beside_the_till(ana: Visitor) -> None:
    form = {**ana.get("/").form("programme").values, "programme": "copperfinch", "beside": "1"}
    page = ana.post("/demonstration", form)
    assert page.address == "/try/copperfinch"
    assert page.element(name="page")["src"] == "/till/app"
    assert ana.get("/till/").status == 200


@pytest.mark.parametrize(("role", "login"), [("marketer", "mo"), ("owner", "olive")])
def test_one_click_opens_the_console_with_a_cookie_of_its_own(
    ana: Visitor, installation: Installation, house: Shop, role: str, login: str
) -> None:
    access.add_staff(
        house.store,
        login="olive",
        name="Olive",
        password=PASSWORD,
        grants=[Grant("copperfinch", Role.OWNER)],
        now=house.now,
        cost=CHEAP,
    )
    form = {**ana.get("/").form("programme").values, "programme": "copperfinch", "role": role}
    answer = ana.post("/demonstration", form, follow=False).answer
    assert answer.headers["Location"] == "/console/"
    assert ana.cookie("passes_till", "/till") is None
    secret = ana.cookie("passes_console", "/console")
    assert secret is not None
    found = access.session(installation.store, secret=secret, area=access.Area.CONSOLE, now=house.now)
    assert found is not None
    assert (found.login, found.programme) == (login, "copperfinch")
    # The same secret opens nothing at the till.
    assert access.session(installation.store, secret=secret, area=access.Area.TILL, now=house.now) is None


def test_one_click_knows_no_other_roles(ana: Visitor) -> None:
    form = {**ana.get("/").form("programme").values, "programme": "copperfinch", "role": "root"}
    assert ana.post("/demonstration", form).status == 403


@pytest.mark.parametrize(
    "headers",
    [
        {"X_Forwarded_For": "127.0.0.1"},
        {"Forwarded": "for=127.0.0.1"},
        {"Host": "rebound.example"},
        {"Host": "127.0.0.1.rebound.example:8000"},
    ],
)
@pytest.mark.parametrize("role", ["cashier", "marketer", "owner"])
def test_one_click_is_refused_to_anybody_who_does_not_sit_here(
    ana: Visitor, app: Flask, headers: dict[str, str], role: str
) -> None:
    form = ana.get("/").form("programme")
    stranger = Visitor(app, **headers)
    page = stranger.post("/demonstration", {**form.values, "programme": "copperfinch", "role": role})
    assert page.status == 403
    assert stranger.cookie("passes_till", "/till") is None
    assert stranger.cookie("passes_console", "/console") is None
    # And the buttons are not even shown.
    assert stranger.get("/").forms == []


def test_one_click_is_refused_over_the_network(ana: Visitor, app: Flask) -> None:
    form = ana.get("/").form("programme")
    answer = app.test_client().post(
        "/demonstration",
        data={**form.values, "programme": "copperfinch"},
        base_url="http://127.0.0.1:8000",
        environ_base={"REMOTE_ADDR": "192.0.2.7"},
    )
    assert answer.status_code == 403
    assert "Set-Cookie" not in answer.headers


def test_one_click_does_not_exist_in_production(ana: Visitor, live: Flask) -> None:
    form = ana.get("/").form("programme")
    for base in ("https://cards.shop.example", "http://127.0.0.1:8000"):
        visitor = Visitor(live, base=base)
        assert visitor.post("/demonstration", {**form.values, "programme": "copperfinch"}).status == 403
        assert visitor.get("/").forms == []


def test_one_click_needs_a_form_of_this_page(ana: Visitor) -> None:
    for data in ({"programme": "copperfinch"}, {"programme": "copperfinch", "form": "1.2.3"}):
        assert ana.post("/demonstration", data).status == 422
    join = ana.get("/join/copperfinch").form("name").values["form"]
    assert ana.post("/demonstration", {"programme": "copperfinch", "form": join}).status == 422


# Signing in for real -----------------------------------------------------------------------


def test_staff_sign_in_to_the_console_and_out_again(app: Flask) -> None:
    mo = Visitor(app)
    form = mo.get("/console/sign-in").form("login")
    assert mo.send(form, login="mo", password="wrong password").status == 422
    answer = mo.send(form, follow=False, login="mo", password=PASSWORD).answer
    assert answer.headers["Location"] == "/console/"
    assert mo.get("/console/sign-in", follow=False).status == 303
    # Signed in to the console is not signed in to the till.
    assert mo.get("/till/", follow=False).answer.headers["Location"] == "/till/sign-in"


# The list of things to try -------------------------------------------------------------------


def test_the_list_ticks_itself_from_what_was_really_booked(ana: Visitor, house: Shop) -> None:
    def ticked() -> list[str]:
        answer = ana.fetch("/demonstration/state").json
        assert answer is not None
        page = ana.get("/")
        assert page.html.count('<li class="done">') == sum(answer["steps"])
        return [name for name, done in zip(STEPS, answer["steps"], strict=True) if done]

    old = house.join("Nora")
    # Everything up to the moment at which the shops were opened does not count.
    assert ticked() == []
    house.now += timedelta(minutes=1)
    house.buy(old.code, 400)
    assert ticked() == []
    new = house.join("Ana")
    assert ticked() == ["joined"]
    bought = house.buy(new.code, 2000)
    assert ticked() == ["joined", "bought"]
    house.undo(bought.id)
    assert ticked() == ["joined", "bought", "redeemed"]
    house.store.write(
        lambda work: installs.happened(
            work, new.programme_id, new.card_id, wallet=installs.APPLE, event=installs.ADDED, now=house.now
        )
    )
    assert ticked() == ["joined", "added", "bought", "redeemed"]
    campaigns.plan(house.store, programme="copperfinch", name="maple", source=OFFER, now=house.now)
    assert ticked() == ["joined", "added", "bought", "redeemed"]
    campaigns.publish(house.store, programme="copperfinch", key="maple", now=house.now)
    assert ticked() == list(STEPS)


# Putting it back -----------------------------------------------------------------------------


def test_a_reset_asks_whoever_started_the_service(resettable: Visitor, tmp_path: Path) -> None:
    asked = tmp_path / "run" / "reset"
    state = resettable.fetch("/demonstration/state").json
    assert state is not None
    assert state["resetting"] is False
    page = resettable.send(resettable.get("/").form("reset"), reset="1")
    assert "Putting everything back" in page.text
    assert asked.exists()
    state = resettable.fetch("/demonstration/state").json
    assert state is not None
    assert state["resetting"] is True


def test_a_reset_needs_a_form_of_this_page(resettable: Visitor, tmp_path: Path) -> None:
    assert resettable.post("/demonstration/reset", {"form": "1.2.3"}).status == 422
    assert not (tmp_path / "run" / "reset").exists()


def test_a_reset_is_not_offered_where_nobody_would_do_it(ana: Visitor) -> None:
    page = ana.get("/")
    assert not any("reset" in form.names for form in page.forms)
    assert "make run" in page.text or "SQLite only" in page.text
    assert ana.post("/demonstration/reset", page.form("programme").values).status == 403


@pytest.mark.parametrize("address", ["/try/copperfinch", "/demonstration/state"])
def test_the_demonstration_is_for_whoever_sits_here(app: Flask, live: Flask, address: str) -> None:
    assert Visitor(app).get(address).status == 200
    assert Visitor(app, X_Forwarded_For="127.0.0.1").get(address).status == 403
    assert Visitor(live).get(address).status == 403


# Side by side --------------------------------------------------------------------------------


def test_one_page_shows_the_phone_and_our_own_pages_inside_itself(ana: Visitor, live: Flask) -> None:
    page = ana.get("/try/copperfinch")
    policy = page.answer.headers["Content-Security-Policy"]
    assert policy.endswith("; frame-src 'self' http://127.0.0.1:8001")
    assert "connect-src 'self' http://127.0.0.1:8001;" in policy
    assert "frame-ancestors 'none'" in policy
    assert page.element(name="phone")["src"] == "http://127.0.0.1:8001/?embed=1"
    assert page.element(name="page")["src"] == "/join/copperfinch"
    for other in ("/", "/join/copperfinch", "/till/sign-in"):
        assert "8001" not in ana.get(other).answer.headers["Content-Security-Policy"]
    # Our own pages let only ourselves show them, only when a browser says that it frames them, and
    # in production nobody.
    for said in ("iframe", "empty"):  # What the card's worker fetches for a frame says "empty".
        framed = Visitor(ana.client.application, Sec_Fetch_Dest=said).get("/join/copperfinch")
        assert "frame-ancestors 'self'" in framed.answer.headers["Content-Security-Policy"]
    framed = Visitor(live, base="https://cards.shop.example", Sec_Fetch_Dest="iframe").get(
        "/join/copperfinch"
    )
    assert "frame-ancestors 'none'" in framed.answer.headers["Content-Security-Policy"]


# Light and dark ------------------------------------------------------------------------------


@pytest.mark.check("W-07")
def test_the_look_is_in_the_page_itself_and_is_kept(ana: Visitor) -> None:
    assert "data-theme" not in ana.get("/").html
    # At once, and on every page after it: nothing has to run before the first paint.
    assert '<html lang="en" dir="ltr" data-theme="dark">' in ana.get("/?look=dark").html
    page = ana.get("/join/copperfinch")
    assert 'data-theme="dark"' in page.html
    assert '<meta name="color-scheme" content="dark">' in page.html
    assert 'data-theme="light"' in ana.get("/?look=light").html
    ana.get("/?look=nonsense")
    assert 'data-theme="light"' in ana.get("/").html
    ana.get("/?look=system")
    assert "data-theme" not in ana.get("/").html


# Production ----------------------------------------------------------------------------------


def test_in_production_the_front_shows_the_shops_and_nothing_else(live: Flask) -> None:
    page = Visitor(live, base="https://cards.shop.example").get("/")
    assert "Copperfinch Coffee" in page.text
    assert "Join Finch Club" in page.text
    for words in ("Cashier", "virtual", "Virtual", "Under the hood", "Reset", "try"):
        assert words not in page.text


def test_from_another_machine_the_demonstration_looks_like_a_shop(app: Flask) -> None:
    answer = app.test_client().get(
        "/", base_url="http://192.0.2.1:8000", environ_base={"REMOTE_ADDR": "192.0.2.7"}
    )
    assert "/join/copperfinch" in answer.text
    assert "/demonstration" not in answer.text


@pytest.mark.parametrize(
    ("public_url", "shown"),
    [("http://127.0.0.1:8000", False), ("http://localhost:8000", False), ("http://192.168.1.20:8000", True)],
)
def test_the_code_for_ones_own_phone_carries_an_address_that_phones_reach(
    installation: Installation, public_url: str, shown: bool
) -> None:
    page = Visitor(create_app(replace(installation, public_url=public_url))).get("/")
    assert (f"{public_url}/join/copperfinch" in page.text) is shown
    assert ("make run LAN=1" in page.text) is not shown


@pytest.mark.parametrize("host", ["a..b", "x" * 64])
def test_a_host_name_that_makes_no_sense_is_refused_in_words(app: Flask, host: str) -> None:
    answer = app.test_client().get("/", headers={"Host": host})
    assert (answer.status_code, answer.text) == (400, "This is not possible")


def test_an_empty_service_says_that_nothing_is_open(
    store: Store, app: Flask, live: Flask, house: Shop
) -> None:
    for table in ("staff_grant", "session", "account", "programme_version", "programme"):
        _empty(store, table)
    assert "Nothing is open yet" in Visitor(live, base="https://cards.shop.example").get("/").text
    assert "Nothing is open yet" in Visitor(app).get("/").text


def _empty(store: Store, table: str) -> None:
    store.write(lambda work: work.put(text(f"DELETE FROM {table}")))
