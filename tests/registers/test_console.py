"""Owners add a register of another maker, copy its address and look after its messages."""

from __future__ import annotations

import io
import json
import sys
from collections.abc import Iterator
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest
from flask import Flask

from passes import access, cli, registers
from passes.access import Grant, Role
from passes.cli.opening import opened
from passes.registers import Kind
from passes.registers.odoo import read
from passes.store import Store
from passes.store import open as open_store
from passes.wiring import register_books
from tests.cast import rows
from tests.registers.makers import SHOPIFY_SECRET, as_body, odoo_order, shopify_line, shopify_order, signed
from tests.shop import COFFEE, KEYS, Shop
from tests.web.conftest import CHEAP, PASSWORD, app, house, installation, mo, office
from tests.web.visitor import Page, Visitor

__all__ = ["app", "house", "installation", "mo", "office"]

REGISTERS = "/console/registers/"


@pytest.fixture
def store(sqlite_url: str) -> Iterator[Store]:
    """One engine is enough to look at pages."""
    opened = open_store(sqlite_url, writer_thread=True)
    yield opened
    opened.close()


@pytest.fixture
def bo(app: Flask, house: Shop) -> Visitor:
    """The coffee shop's owner, in the console."""
    grants = [Grant(COFFEE, Role.OWNER)]
    access.add_staff(
        house.store, login="bo", name="Bo", password=PASSWORD, grants=grants, now=house.now, cost=CHEAP
    )
    visitor = Visitor(app)
    visitor.send(visitor.get("/console/sign-in").form("login"), follow=False, login="bo", password=PASSWORD)
    return visitor


def add(bo: Visitor, **values: str) -> Page:
    typed = {"kind": "shopify", "name": "Online shop", "secret": SHOPIFY_SECRET, **values}
    return bo.fill_in(bo.get(REGISTERS).form("kind"), typed)


def the_one(house: Shop) -> registers.Register:
    (register,) = registers.every(house.store, KEYS, programme=COFFEE)
    return register


def test_only_owners_come_in(mo: Visitor) -> None:
    assert mo.get(REGISTERS).status == 403


def test_an_owner_adds_a_register_and_sees_its_address_but_never_its_secret(bo: Visitor, house: Shop) -> None:
    page = add(bo)
    register = the_one(house)
    assert page.address == f"{REGISTERS}{register.id}"
    assert f"http://127.0.0.1:8000/registers/shopify/{COFFEE}/{register.id}" in page.text
    assert SHOPIFY_SECRET not in page.text + bo.get(REGISTERS).text
    opened = registers.opened(
        house.store, KEYS, programme=COFFEE, kind=Kind.SHOPIFY, register_id=register.id, now=house.now
    )
    assert opened.secrets == (SHOPIFY_SECRET.encode(),)


@pytest.mark.parametrize(
    ("wrong", "words"),
    [
        ({"name": "  "}, "name"),
        ({"secret": ""}, "Paste the secret"),
        ({"secret": "short"}, "Paste the secret"),
        ({"secret": "with a space in it"}, "Paste the secret"),
        ({"secret": "x" * 300}, "Paste the secret"),
    ],
)
def test_a_register_that_cannot_be_added_is_said_kindly(
    bo: Visitor, house: Shop, wrong: dict[str, str], words: str
) -> None:
    page = add(bo, **wrong)
    assert page.status == 422
    assert words in page.text
    assert wrong.get("secret") in (None, "") or wrong["secret"] not in page.text
    assert rows(house.store, "register") == []


def test_an_odoo_register_has_a_secret_address(bo: Visitor, house: Shop) -> None:
    page = add(bo, kind="odoo", secret="")
    register = the_one(house)
    assert register.token
    assert f"/registers/odoo/{COFFEE}/{register.id}/{register.token}" in page.text
    assert "Treat it like a password." in page.text


def test_messages_are_shown_with_their_reason_and_tried_again(bo: Visitor, house: Shop, app: Flask) -> None:
    add(bo)
    register = the_one(house)
    address = f"{REGISTERS}{register.id}"
    assert "Nothing has come yet." in bo.get(address).text
    page = bo.send(bo.get(address).form("locations"), locations="1 = west-loop", categories="SKU-1 = coffee")
    assert page.address == address
    body = as_body(shopify_order([shopify_line(1, "5.00")], "5.00", location_id=2))
    headers = {"X-Shopify-Hmac-Sha256": signed(SHOPIFY_SECRET, body)}
    app.test_client().post(f"/registers/shopify/{COFFEE}/{register.id}", data=body, headers=headers)
    page = bo.get(address)
    assert "No line of your list names this location:" in page.text
    bo.send(page.form("locations"), locations="1 = west-loop\n* = lakeview", categories="")
    page = bo.send(bo.get(address).form("message"))
    assert "Booked" in page.text
    (sold,) = rows(house.store, "purchase")
    assert (sold["location"], sold["till"], sold["net_minor"]) == ("lakeview", "Online shop", 500)
    trail = [row["action"] for row in rows(house.store, "audit", "action LIKE 'register.%'")]
    assert trail == ["register.add", "register.change", "register.change", "register.retry"]
    form = bo.get(address).form("locations")
    page = bo.send(form, locations="nowhere at all", categories="")
    assert (page.status, "nowhere at all" in page.text) == (422, True)


def test_a_secret_is_replaced_and_the_old_one_holds_for_an_hour(bo: Visitor, house: Shop, app: Flask) -> None:
    add(bo)
    register = the_one(house)
    page = bo.get(f"{REGISTERS}{register.id}")
    assert bo.send(page.form("secret"), secret="short").status == 422
    bo.send(page.form("secret"), secret="shpss_the_next_one")

    def send(order: int, secret: str) -> int:
        body = as_body(shopify_order([shopify_line(1, "5.00")], "5.00", order=order))
        headers = {"X-Shopify-Hmac-Sha256": signed(secret, body)}
        address = f"/registers/shopify/{COFFEE}/{register.id}"
        return app.test_client().post(address, data=body, headers=headers).status_code

    assert (send(1, SHOPIFY_SECRET), send(2, "shpss_the_next_one")) == (200, 200)
    house.now += timedelta(hours=1)
    assert (send(3, SHOPIFY_SECRET), send(4, "shpss_the_next_one")) == (403, 200)


def test_an_address_of_odoo_that_got_around_is_replaced_at_once(bo: Visitor, house: Shop, app: Flask) -> None:
    add(bo, kind="odoo", secret="")
    before = registers.address("", COFFEE, the_one(house))
    page = bo.get(f"{REGISTERS}{the_one(house).id}")
    (form,) = [one for one in page.forms if one.address.endswith("/secret")]
    page = bo.send(form)
    after = registers.address("", COFFEE, the_one(house))
    assert after in page.text
    body = as_body(odoo_order(5.0))
    client = app.test_client()
    assert [client.post(one, data=body).status_code for one in (before, after)] == [403, 200]


def test_a_removed_register_answers_nobody(bo: Visitor, house: Shop, app: Flask) -> None:
    add(bo)
    register = the_one(house)
    page = bo.get(f"{REGISTERS}{register.id}")
    (form,) = [one for one in page.forms if one.address.endswith("/remove")]
    assert "Removed" in bo.send(form).text
    assert bo.get(f"{REGISTERS}{register.id}").status == 404
    body = as_body(shopify_order([], "0.00"))
    headers = {"X-Shopify-Hmac-Sha256": signed(SHOPIFY_SECRET, body)}
    address = f"/registers/shopify/{COFFEE}/{register.id}"
    assert app.test_client().post(address, data=body, headers=headers).status_code == 404


def test_another_programme_s_registers_are_not_here(bo: Visitor, house: Shop) -> None:
    number = registers.add(
        house.store, KEYS, programme="marginalya", kind=Kind.ODOO, name="Theirs", now=house.now
    )
    assert "Theirs" not in bo.get(REGISTERS).text
    assert bo.get(f"{REGISTERS}{number}").status == 404


def test_the_commands_do_the_same(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setenv("PASSES_MODE", "development")
    monkeypatch.setenv("PASSES_VAR", str(tmp_path / "var"))
    monkeypatch.setenv("PASSES_CERTS", str(tmp_path / "certs" / "dev"))

    def run(*arguments: str, typed: str = "", status: int = 0) -> Any:
        capsys.readouterr()
        monkeypatch.setattr(sys, "stdin", io.StringIO(typed))
        assert cli.main([*arguments, "--json"]) == status
        printed = capsys.readouterr().out
        return json.loads(printed) if printed.strip() else None

    run("demo")
    places = tmp_path / "places.txt"
    places.write_text("# theirs = ours\n655441491 = west-loop\n", "utf-8")
    made = run(
        "register",
        "add",
        COFFEE,
        "shopify",
        "Online",
        "--locations",
        str(places),
        typed=f"{SHOPIFY_SECRET}\n",
    )
    assert made["address"].endswith(f"/registers/shopify/{COFFEE}/{made['register']}")
    assert SHOPIFY_SECRET not in json.dumps(made)
    run("register", "add", COFFEE, "square", "Counter", typed="\n", status=1)
    odoo = run("register", "add", COFFEE, "odoo", "Back room")
    assert [one["name"] for one in run("register", "list", COFFEE)] == ["Back room", "Online"]
    number = str(odoo["register"])
    assert run("register", "messages", COFFEE, number) == []
    run("register", "retry", COFFEE, number, "no-such-message", status=1)
    with opened() as installation:
        register = registers.opened(
            installation.store,
            installation.keys,
            programme=COFFEE,
            kind=Kind.ODOO,
            register_id=odoo["register"],
            now=installation.clock(),
        )
        registers.take(
            installation.store,
            register,
            read(as_body(odoo_order(5.0, currency_id=[2, "EUR"])), currency="USD"),
            key="abc",
            books=register_books(),
            now=installation.clock(),
        )
    (message,) = run("register", "messages", COFFEE, number)
    assert [message[name] for name in ("state", "why", "detail")] == ["refused", "currency_foreign", "EUR"]
    again = run("register", "retry", COFFEE, number, "abc")
    assert again == {"state": "refused", "why": "currency_foreign", "again": True}
    renewed = run("register", "renew", COFFEE, number)
    assert renewed["register"] == odoo["register"]
    assert renewed["address"] != odoo["address"]
    run("register", "renew", COFFEE, str(made["register"]), typed="x\n", status=1)
    assert run("register", "change", COFFEE, number) == {"changed": "Back room"}
    assert run("register", "remove", COFFEE, number) == {"removed": "Back room"}
    run("register", "remove", COFFEE, number, status=1)
