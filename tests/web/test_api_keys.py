"""Owners make keys, see them once, take them out of force, and put back what was a mistake."""

from __future__ import annotations

import json
import re
from datetime import timedelta

import pytest
from flask import Flask
from sqlalchemy import text

from passes import access, api_keys
from passes.access import Grant, Role
from passes.api_keys import ApiKey, Scope
from passes.cli.api_keys import SCOPES
from passes.loyalty.refusals import ApiKeyEnds, ApiKeyUnknown, ScopesMissing
from tests.shop import BOOKS, COFFEE, Shop
from tests.web.conftest import CHEAP, PASSWORD
from tests.web.test_api import Register, problem
from tests.web.visitor import Page, Visitor

ADDRESS = "/console/keys/"


@pytest.fixture
def ola(app: Flask, house: Shop) -> Visitor:
    """The coffee shop's owner, in the console."""
    grants = [Grant(COFFEE, Role.OWNER)]
    access.add_staff(
        house.store, login="ola", name="Ola", password=PASSWORD, grants=grants, now=house.now, cost=CHEAP
    )
    visitor = Visitor(app)
    sign_in(visitor)
    return visitor


def sign_in(visitor: Visitor) -> None:
    visitor.send(visitor.get("/console/sign-in").form("login"), login="ola", password=PASSWORD)


def keys_of(house: Shop) -> list[ApiKey]:
    return api_keys.every(house.store, programme=COFFEE)


def made(page: Page) -> str:
    """The secret that a page shows."""
    found = re.search(r'id="secret"[^>]*>(passes_[\w-]+)<', page.html)
    assert found is not None, page.text
    return found[1]


def make(ola: Visitor, *, name: str = "Counter 1", scope: str = "read", **typed: str) -> Page:
    form = ola.get(ADDRESS).form("name")
    return ola.post(form.address, {**form.values, "name": name, "scope": scope, **typed})


@pytest.mark.check("W-90")
def test_a_key_is_made_shown_once_and_works(app: Flask, ola: Visitor, house: Shop) -> None:
    code = house.join().code
    secret = made(make(ola, scope="purchases", location="west-loop", days="90"))
    (key,) = keys_of(house)
    assert (key.name, key.scopes, key.location) == ("Counter 1", ("purchases",), "west-loop")
    assert key.expires_at == house.now + timedelta(days=90)
    assert secret not in ola.get(ADDRESS).html
    till = Register(app, secret)
    booked = till.post("/purchases", {"code": code, "amount_minor": 1240})
    assert booked.status_code == 201
    assert problem(till.get(f"/members/{code}")) == (403, "scope_missing")
    page = ola.get(ADDRESS)
    for words in ("Counter 1", "purchases", "West Loop", "until Jun 12, 2026", "last used", "In force"):
        assert words in page.text
    house.now += timedelta(days=90)
    assert problem(till.get(f"/members/{code}")) == (401, "api_key_invalid")
    sign_in(ola)
    assert "Over" in ola.get(ADDRESS).text


def test_a_form_sent_twice_makes_one_key_and_shows_it_again(ola: Visitor, house: Shop) -> None:
    form = ola.get(ADDRESS).form("name")
    first, again = (made(ola.send(form, name="Counter 1", scope="read")) for _ in range(2))
    assert first == again
    assert len(keys_of(house)) == 1
    other = made(make(ola))
    assert other != first
    assert len(keys_of(house)) == 2


def test_every_scope_is_explained_and_none_is_forgotten(ola: Visitor) -> None:
    page = ola.get(ADDRESS)
    for scope in Scope:
        assert page.element(type="checkbox", name="scope", value=scope.value)
    assert set(SCOPES) == set(Scope)
    assert "Exchange points for rewards, and use gifts" in page.text


@pytest.mark.parametrize(
    ("typed", "words"),
    [
        ({"name": " "}, "name"),
        ({"scope": "nothing"}, "Say what this key may do."),
        ({"location": "the moon"}, "There is no shop “the moon”."),
    ],
)
def test_a_wrong_form_says_why_and_keeps_what_was_typed(
    ola: Visitor, house: Shop, typed: dict[str, str], words: str
) -> None:
    page = make(ola, **{"name": "Counter 7", **typed})
    assert page.status == 422
    assert words in page.text
    assert page.form("name").values["name"] == typed.get("name", "Counter 7")
    assert keys_of(house) == []


@pytest.mark.check("W-90")
def test_a_revoked_key_stops_at_once_and_comes_back_within_ten_seconds(
    app: Flask, ola: Visitor, house: Shop
) -> None:
    secret = made(make(ola))
    till = Register(app, secret)
    assert till.get("/receipts/1").status_code == 404
    (key,) = keys_of(house)
    page = ola.post(f"{ADDRESS}{key.id}/revoke", {"form_token": token(ola)})
    assert problem(till.get("/receipts/1")) == (401, "api_key_invalid")
    assert "“Counter 1” is out of force." in page.text
    house.now += timedelta(seconds=9)
    page = ola.post(f"{ADDRESS}{key.id}/restore", {"form_token": token(ola)})
    assert "is out of force" not in page.text
    assert till.get("/receipts/1").status_code == 404
    ola.post(f"{ADDRESS}{key.id}/revoke", {"form_token": token(ola)})
    house.now += api_keys.RESTORE_TIME
    late = ola.post(f"{ADDRESS}{key.id}/restore", {"form_token": token(ola)})
    assert late.status == 404
    assert problem(till.get("/receipts/1")) == (401, "api_key_invalid")
    assert "is out of force" not in ola.get(ADDRESS).text


def test_who_made_revoked_and_restored_a_key_is_written_down(ola: Visitor, house: Shop) -> None:
    make(ola)
    (key,) = keys_of(house)
    for command in ("revoke", "restore", "revoke"):
        ola.post(f"{ADDRESS}{key.id}/{command}", {"form_token": token(ola)})
    with house.store.read() as read:
        rows = read.ask(
            text(
                "SELECT a.action, a.object, a.detail, s.login FROM audit a JOIN staff s ON s.id = a.staff_id"
                " WHERE a.action LIKE 'api_key%' ORDER BY a.id"
            )
        ).all()
    actions = ["api_key.issue", "api_key.revoke", "api_key.restore", "api_key.revoke"]
    assert [row.action for row in rows] == actions
    assert {(row.object, row.login) for row in rows} == {(f"api key {key.id}", "ola")}
    assert json.loads(rows[0].detail) == {"name": "Counter 1", "scopes": ["read"], "location": None}
    assert "passes_" not in "".join(row.detail for row in rows)


def test_revoking_twice_is_no_mistake_and_an_unknown_key_is_one(ola: Visitor, house: Shop) -> None:
    make(ola)
    (key,) = keys_of(house)
    statuses = [
        ola.post(f"{ADDRESS}{number}/revoke", {"form_token": token(ola)}).status
        for number in (key.id, key.id, 1, 2**70)
    ]
    assert statuses == [200, 200, 404, 404]


def test_keys_are_the_owners_business_alone(app: Flask, mo: Visitor, ola: Visitor, house: Shop) -> None:
    assert mo.get(ADDRESS).status == 403
    assert "API keys" not in mo.get("/console/offers").text
    assert "API keys" in ola.get("/console/offers").text
    theirs, _ = api_keys.issue(house.store, programme=BOOKS, name="Dee", scopes=[Scope.READ], now=house.now)
    assert ola.post(f"{ADDRESS}{theirs}/revoke", {"form_token": token(ola)}).status == 404
    (key,) = api_keys.every(house.store, programme=BOOKS)
    assert key.revoked_at is None


def test_a_key_that_may_do_nothing_or_is_over_is_not_made(house: Shop) -> None:
    with pytest.raises(ScopesMissing):
        api_keys.issue(house.store, programme=COFFEE, name="x", scopes=[], now=house.now)
    with pytest.raises(ApiKeyEnds):
        api_keys.issue(
            house.store,
            programme=COFFEE,
            name="x",
            scopes=[Scope.READ],
            expires_at=house.now,
            now=house.now,
        )
    with pytest.raises(ApiKeyUnknown):
        api_keys.restore(house.store, programme=COFFEE, key_id=1, now=house.now)


def token(ola: Visitor) -> str:
    return ola.get(ADDRESS).form("name").values["form_token"]
