"""What tills and registers ask at the counter beyond a purchase."""

from __future__ import annotations

from datetime import timedelta
from urllib.parse import urlsplit

import pytest
from flask import Flask

from passes import books
from tests.shop import COFFEE, Shop
from tests.web.test_api import Register, problem, register


@pytest.fixture
def till(app: Flask, house: Shop) -> Register:
    return register(app, house, location="west-loop")


def test_a_member_is_shown_with_what_holds_here_and_now(till: Register, house: Shop) -> None:
    ana = house.join()
    bought = till.post("/purchases", {"code": ana.code, "amount_minor": 5_000}).json
    found = till.get(f"/members/{ana.code}").json
    assert bought is not None
    assert found is not None
    assert (found["identified"], found["balance"], found["birthday"]) == ("card", 600, False)
    assert [one["id"] for one in found["recent"]][0] == bought["id"]
    assert found["last_visit_at"] is not None
    assert found["as_of"]
    ready = {one["key"] for one in found["rewards"] if one["ready"]}
    assert "extra-shot" in ready
    waiting = [one for one in found["rewards"] if not one["ready"]]
    assert waiting
    assert all(one["why"] and one["refused"] == "not_enough_points" for one in waiting)
    assert found["next_reward"]["missing"] > 0


def test_a_birthday_is_told_some_days_around_it_and_never_its_date(till: Register, house: Shop) -> None:
    near = house.join(birthday=(house.now + timedelta(days=6)).date().replace(year=2000))
    far = house.join("Ben", birthday=(house.now + timedelta(days=9)).date().replace(year=2000))
    shown = [till.get(f"/members/{one.code}").json for one in (near, far)]
    assert [one and one["birthday"] for one in shown] == [True, False]


def test_a_guests_sale_tells_where_its_points_can_be_claimed(till: Register, house: Shop) -> None:
    sold = till.post("/sales", {"amount_minor": 900}, key="guest-1")
    assert sold.status_code == 201
    assert sold.json is not None
    assert f"/join/{COFFEE}?claim={sold.json['id']}." in sold.json["claim_url"]
    assert sold.json["claim_until"]
    again = till.post("/sales", {"amount_minor": 900}, key="guest-1")
    assert again.get_data() == sold.get_data()


def test_what_can_come_back_is_listed_and_previewed_before_it_is_booked(till: Register, house: Shop) -> None:
    ana = house.join()
    lines = [
        {"quantity": 2, "unit_minor": 450, "category": "coffee", "name": "Flat white"},
        {"unit_minor": 340, "category": "bakery"},
    ]
    booked = till.post("/purchases", {"code": ana.code, "amount_minor": 1240, "lines": lines}).json
    assert booked is not None
    here = till.get(f"/receipts/{booked['id']}/returnable").json
    assert here is not None
    assert (here["paid_minor"], [line["quantity"] for line in here["lines"]]) == (1240, [2, 1])
    wanted = {"receipt_id": booked["id"], "lines": [{"number": 1, "quantity": 1}]}
    shown = till.post("/returns/preview", wanted).json
    assert shown is not None
    assert (shown["refund_minor"], shown["balance"]) == (450, 179)
    assert house.balance(ana.code) == 224
    back = till.post("/returns", wanted).json
    assert back is not None
    assert (back["refund_minor"], back["balance"]) == (450, 179)
    left = till.get(f"/receipts/{booked['id']}/returnable").json
    assert left is not None
    assert [line["quantity"] for line in left["lines"]] == [1, 1]
    assert problem(till.get("/receipts/7/returnable")) == (404, "receipt_unknown")
    assert books.verify(house.store).problems == ()


def test_somebody_becomes_a_member_on_the_spot(till: Register, house: Shop) -> None:
    body = {"name": "Ece Demir", "language": "tr", "consents": {"offers": False}}
    made = till.post("/members", body, key="new-1")
    assert made.status_code == 201
    assert made.json is not None
    found = till.get(f"/members/{made.json['code']}").json
    assert found is not None
    assert found["name"] == "Ece Demir"
    page = till.app.test_client().get(urlsplit(made.json["card_url"]).path)
    assert page.status_code == 200
    assert "Ece Demir" in page.get_data(as_text=True)
    assert till.post("/members", body, key="new-1").get_data() == made.get_data()
