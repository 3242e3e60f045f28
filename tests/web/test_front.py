"""The front door, in development and in production."""

from __future__ import annotations

import pytest
from flask import Flask
from sqlalchemy import text

from passes.store import Store
from tests.shop import Shop
from tests.web.visitor import Visitor


def test_in_development_the_front_shows_a_card_and_every_side_of_the_service(
    ana: Visitor, house: Shop
) -> None:
    page = ana.get("/")
    for words in ("Customer", "Cashier", "Virtual iPhone", "Under the hood", "160 to go", "640"):
        assert words in page.text
    assert "Nothing here talks to Apple or Google." in page.text
    links = [given["href"] for tag, given in page.elements if tag == "a"]
    assert {"/join/copperfinch", "/join/marginalya", "http://127.0.0.1:8001/", "/health"} <= set(links)


def test_one_click_makes_the_visitor_a_cashier(ana: Visitor) -> None:
    page = ana.post("/demonstration", {**ana.get("/").form("programme").values, "programme": "marginalya"})
    assert page.address == "/till/"
    assert "Alsancak" in page.text
    assert "Dee" in page.text


@pytest.mark.parametrize(
    "headers",
    [
        {"X_Forwarded_For": "127.0.0.1"},
        {"Forwarded": "for=127.0.0.1"},
        {"Host": "rebound.example"},
        {"Host": "127.0.0.1.rebound.example:8000"},
    ],
)
def test_one_click_is_refused_to_anybody_who_does_not_sit_here(
    ana: Visitor, app: Flask, headers: dict[str, str]
) -> None:
    form = ana.get("/").form("programme")
    stranger = Visitor(app, **headers)
    page = stranger.post("/demonstration", {**form.values, "programme": "copperfinch"})
    assert page.status == 403
    assert stranger.cookie("passes_till", "/till") is None
    # And the button is not even shown.
    assert not any("programme" in form.names for form in stranger.get("/").forms)


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


def test_in_production_the_front_shows_the_shops_and_nothing_else(live: Flask) -> None:
    page = Visitor(live, base="https://cards.shop.example").get("/")
    assert "Copperfinch Coffee" in page.text
    assert "Join Finch Club" in page.text
    for words in ("Cashier", "virtual", "Virtual", "Under the hood"):
        assert words not in page.text


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
