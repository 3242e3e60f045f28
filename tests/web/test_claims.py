"""A guest's receipt leads to the join page, and its points become theirs: once, in time, with the receipt."""

from __future__ import annotations

from datetime import timedelta
from urllib.parse import urlsplit

import pytest
from flask import Flask

from passes import access, books
from passes.access import Grant, Role
from passes.store import programmes, team
from passes.store.instants import micros
from tests.shop import COFFEE, KEYS, Shop
from tests.web.conftest import CHEAP, PASSWORD
from tests.web.test_api import Register, problem, register
from tests.web.test_join import join
from tests.web.visitor import Visitor


@pytest.fixture
def till(app: Flask, house: Shop) -> Register:
    return register(app, house, location="west-loop")


def sold(till: Register, amount_minor: int = 900, **more: str) -> str:
    """A guest's sale, and the address on its receipt."""
    booked = till.post("/sales", {"amount_minor": amount_minor, **more}).json
    assert booked is not None
    found = urlsplit(booked["claim_url"])
    return f"{found.path}?{found.query}"


@pytest.mark.check("L-07")
def test_who_joins_through_a_receipt_has_its_points(
    till: Register, ana: Visitor, app: Flask, house: Shop
) -> None:
    address = sold(till)
    page = ana.get(address)
    assert "Your purchase of $9.00 is waiting to be put on a card." in page.text
    page = join(ana, address=address)
    assert "The points of your purchase are on this card." in page.text
    assert "You have 190 beans." in page.text
    # Whoever finds the receipt in a bin afterwards joins, and has the gift for joining alone.
    ben = Visitor(app)
    assert "The points of this receipt were already collected." in ben.get(address).text
    page = join(ben, "Ben Sato", address=address)
    assert "The points of this receipt were already collected." in page.text
    assert "You have 100 beans." in page.text
    assert books.verify(house.store).problems == ()


def test_who_has_a_card_puts_a_receipt_on_it(till: Register, ana: Visitor, house: Shop) -> None:
    join(ana)
    address = sold(till)
    page = ana.get(address)
    assert "You already have a card" in page.text
    page = ana.send(page.form("form"))
    assert "The points of your purchase are on this card." in page.text
    assert "You have 190 beans." in page.text
    page = ana.get(address)
    assert "already collected" in page.text


@pytest.mark.check("L-90")
@pytest.mark.parametrize("made_up", ["1.AAAAAAAAAAAAAAAA", "x", "9" * 40, "é.🙂", "1.AAAAAAAAAAAAAAA\n"])
def test_nobody_picks_receipts_by_their_numbers(
    till: Register, ana: Visitor, made_up: str, house: Shop
) -> None:
    address = sold(till)
    number, _, proof = address.partition("claim=")[2].partition(".")
    page = join(ana, address=f"/join/{COFFEE}?claim={made_up}")
    assert "You have 100 beans." in page.text
    card = house.join("Ben")
    other = KEYS.claim_proof(1, int(number))
    for claim in (made_up, f"{int(number) + 1}.{proof}", f"{number}.{other}", f"{number}.{proof}x"):
        refused = till.post("/claims", {"code": card.code, "claim": claim})
        assert problem(refused) == (404, "sale_unknown")
    booked = till.post("/claims", {"code": card.code, "claim": f"https://shop.example{address}"})
    assert booked.status_code == 201
    assert booked.json is not None
    assert booked.json["points"] == 90


def test_a_receipt_is_worth_its_points_for_some_days(till: Register, ana: Visitor, house: Shop) -> None:
    address = sold(till)
    house.now += timedelta(days=15)
    page = join(ana, address=address)
    assert "It is too late to collect the points of this receipt." in page.text
    assert "You have 100 beans." in page.text


@pytest.mark.check("L-90")
def test_what_guests_leave_behind_is_not_for_who_sold_it(till: Register, house: Shop) -> None:
    own = house.join("Sam Till")
    staff_id = access.add_staff(
        house.store,
        login="sam",
        name="Sam",
        password=PASSWORD,
        grants=[Grant(COFFEE, Role.CASHIER)],
        now=house.now,
        cost=CHEAP,
    )
    with house.store.read() as read:
        programme_id = programmes.by_slug(read, COFFEE).id
    house.store.write(
        lambda work: team.link_card(
            work,
            programme_id=programme_id,
            staff_id=staff_id,
            member_id=own.member_id,
            now=micros(house.now),
        )
    )
    claim = sold(till, person="sam").partition("claim=")[2]
    assert problem(till.post("/claims", {"code": own.code, "claim": claim})) == (403, "own_card")
    assert till.post("/claims", {"code": house.join("Guest").code, "claim": claim}).status_code == 201
