"""The pages without script are watched like the app: nobody gets round a manager by switching it off."""

from __future__ import annotations

import json

from sqlalchemy import text

from passes import checkout
from passes.access import Role
from tests.shop import KEYS, Shop
from tests.web.test_hostile_tills import employ
from tests.web.test_till import scan
from tests.web.visitor import Page, Visitor


def buy(cy: Visitor, code: str, amount: str) -> Page:
    """What follows the confirmation of an amount."""
    return cy.send(cy.send(scan(cy, code).form("amount"), amount=amount).form("amount"))


def test_a_large_purchase_and_a_guests_sale_need_a_manager(cy: Visitor, house: Shop) -> None:
    ana = house.join()
    refused = buy(cy, ana.code, "200.01")
    assert refused.status == 409
    assert "A purchase of more than $200.00 needs a manager." in refused.text
    assert house.balance(ana.code) == 100
    page = cy.send(cy.get("/till/").form("amount"), amount="250")
    assert "needs a manager" in cy.send(page.form("amount")).text


def test_a_manager_agrees_on_the_page_that_asks_for_one(cy: Visitor, house: Shop) -> None:
    ana = house.join()
    employ(house, "olive", "7391", Role.OWNER)
    shown = cy.send(scan(cy, ana.code).form("amount"), amount="300")
    assert "A purchase of more than $200.00 needs a manager." in shown.text
    for login, pin in (("olive", "0505"), ("cy", "7391")):
        wrong = cy.send(shown.form("amount"), manager=login, manager_pin=pin)
        assert (wrong.status, "The PIN is wrong." in wrong.text) == (422, True)
        assert wrong.form("amount").values["manager"] == login
    assert house.balance(ana.code) == 100
    # What was agreed to is what is booked: another amount is read again first.
    other = cy.send(shown.form("amount"), amount="400", manager="olive", manager_pin="7391")
    assert other.status == 200
    booked = cy.send(wrong.form("amount"), manager="olive", manager_pin="7391")
    assert (booked.redirects, house.balance(ana.code)) == ([303], 3_100)
    page = cy.send(cy.get("/till/").form("amount"), amount="250")
    assert "needs a manager" in page.text
    assert (
        "Booked without a card: $250.00"
        in cy.send(page.form("amount"), manager="olive", manager_pin="7391").text
    )
    asked = "SELECT detail FROM audit WHERE action = 'till.approve' ORDER BY id"
    with house.store.read() as read:
        told = [json.loads(row.detail) for row in read.ask(text(asked)).all()]
    assert [(one["operation"], one["amount_minor"], one["asked_by"]) for one in told] == [
        ("bookPurchase", 300_00, "cy"),
        ("bookSale", 250_00, "cy"),
    ]


def test_the_echo_says_that_a_manager_is_needed(cy: Visitor, house: Shop) -> None:
    ana = house.join()
    above = "A purchase of more than $200.00 needs a manager."
    for code in (ana.code, ""):
        said = [cy.fetch(f"/till/quote?code={code}&amount={amount}").data for amount in ("200", "200.01")]
        assert [json.loads(one)["approval"] for one in said] == ["", above]


def test_the_same_again_is_asked_about_once(cy: Visitor, house: Shop) -> None:
    ana = house.join()
    buy(cy, ana.code, "9.00")
    asked = buy(cy, ana.code, "9.00")
    assert asked.status == 409
    assert "$9.00 was booked on this card a moment ago. Is this another purchase?" in asked.text
    meant = cy.send(asked.form("amount"))
    assert meant.redirects == [303]
    assert house.balance(ana.code) == 280


def test_a_costly_reward_is_redeemed_with_a_one_time_code(cy: Visitor, house: Shop) -> None:
    ana = house.join()
    house.buy(ana.code, 40_000)
    reward = scan(cy, ana.code).form("reward", "bag-of-beans")
    assert "redeemed only with a one-time code" in cy.send(reward, reward="bag-of-beans").text
    shown = checkout.show_code(
        house.store, programme_id=ana.programme_id, member_id=ana.member_id, keys=KEYS, now=house.now
    )
    assert cy.send(reward, reward="bag-of-beans", one_time=shown.digits).redirects == [303]
    assert house.balance(ana.code) == 2_600
