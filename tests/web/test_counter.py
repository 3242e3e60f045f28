"""What tills and registers ask at the counter beyond a purchase."""

from __future__ import annotations

import json
from datetime import timedelta
from typing import Any
from urllib.parse import quote, urlsplit

import pytest
from flask import Flask

from passes import books, checkout
from passes.api_keys import Scope
from passes.loyalty import codes
from tests.shop import BOOKS, COFFEE, KEYS, Shop
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
    assert found["recent"][0]["id"] == bought["id"]
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


def test_who_is_looked_up_earns_at_once_and_redeems_with_a_code(till: Register, house: Shop) -> None:
    ana = house.join("Ana Reyes", phone="+1 312 555 0188", email="ana@example.com")
    search = till.post("/members/find", {"find": "rey"}).json
    assert search is not None
    ((found,), more) = search["found"], search["more"]
    assert (found["name"], found["phone_end"], more) == ("Ana Reyes", "88", False)
    handle = found["handle"]
    # Nothing to reach her by, and no way to the number of her card.
    shown = till.get(f"/members/{handle}")
    for private in (ana.code, codes.grouped(ana.code), "5550188", "ana@example.com"):
        assert private not in shown.get_data(as_text=True) + json.dumps(search)
    assert shown.json is not None
    assert (shown.json["identified"], shown.json["code"]) == ("found", handle)
    quoted = till.post("/quotes", {"code": handle, "amount_minor": 5_000}).json
    booked = till.post("/purchases", {"code": handle, "amount_minor": 5_000}).json
    assert quoted is not None
    assert booked is not None
    assert quoted["points"] == booked["points"] == 500
    wish = {"code": handle, "reward": "extra-shot"}
    assert problem(till.post("/redemptions", wish)) == (409, "card_needed")
    assert problem(till.post("/redemptions", {**wish, "one_time": "000000"})) == (422, "one_time_code_wrong")
    shown_code = checkout.show_code(
        house.store, programme_id=ana.programme_id, member_id=ana.member_id, keys=KEYS, now=house.now
    )
    redeemed = till.post("/redemptions", {**wish, "one_time": shown_code.digits})
    assert redeemed.status_code == 201
    assert house.balance(ana.code) == 450
    # Letters are not set up here, so nobody waits for one.
    assert problem(till.post("/one-time-codes", {"handle": handle})) == (409, "one_time_code_not_sent")
    house.now += timedelta(minutes=16)
    assert problem(till.get(f"/members/{handle}")) == (410, "handle_expired")
    sold_then = {
        "code": handle,
        "amount_minor": 900,
        "occurred_at": (house.now - timedelta(minutes=9)).isoformat(),
    }
    assert till.post("/purchases", sold_then).status_code == 201
    assert books.verify(house.store).problems == ()


def paid(*parts: tuple[str, int]) -> list[dict[str, Any]]:
    return [{"kind": kind, "amount_minor": amount_minor} for kind, amount_minor in parts]


@pytest.mark.check("L-80")
def test_what_a_gift_card_paid_earns_nothing(till: Register, house: Shop) -> None:
    ana = house.join()
    mixed = {"code": ana.code, "amount_minor": 5_000, "tenders": paid(("card", 3_000), ("gift_card", 2_000))}
    assert till.post("/quotes", mixed).get_json()["points"] == 300
    booked = till.post("/purchases", mixed, key="mixed")
    assert (booked.status_code, booked.get_json()["points"]) == (201, 300)
    # The same again gets the same answer, and another way of paying is another purchase.
    assert till.post("/purchases", mixed, key="mixed").get_data() == booked.get_data()
    other = {**mixed, "tenders": paid(("cash", 3_000), ("points", 2_000))}
    assert problem(till.post("/purchases", other, key="mixed")) == (409, "key_reused")
    both = {**mixed, "unearning_minor": 2_000}
    assert till.post("/quotes", both).get_json()["points"] == 300
    for wrong in (
        {"unearning_minor": 1_999},
        {"tenders": paid(("card", 3_000))},
        {"tenders": paid(("card", 5_001))},
    ):
        for path in ("/quotes", "/purchases"):
            assert problem(till.post(path, mixed | wrong)) == (422, "tenders_wrong")
    shells = {**mixed, "tenders": paid(("shells", 5_000))}
    assert problem(till.post("/quotes", shells)) == (422, "request_invalid")
    assert house.balance(ana.code) == 400


def test_a_guest_who_paid_by_gift_card_claims_what_is_left(till: Register, house: Shop) -> None:
    ana = house.join()
    sold = {"amount_minor": 1_000, "tenders": paid(("gift_card", 400), ("cash", 600))}
    assert problem(till.post("/sales", {**sold, "amount_minor": 900})) == (422, "tenders_wrong")
    booked = till.post("/sales", sold).get_json()
    claimed = till.post("/claims", {"code": ana.code, "claim": booked["claim_url"]}).get_json()
    assert claimed["points"] == 60


def test_looking_up_is_limited_and_bound_to_one_shop(till: Register, app: Flask, house: Shop) -> None:
    house.join("Ana Reyes")
    search = till.post("/members/find", {"find": "ana"}).json
    assert search is not None
    other = register(app, house, programme=BOOKS)
    handle = search["found"][0]["handle"]
    assert problem(other.get(f"/members/{handle}")) == (410, "handle_expired")
    assert other.post("/members/find", {"find": "ana"}).json == {"found": [], "more": False}
    assert problem(till.post("/members/find", {"find": "a"})) == (422, "search_too_short")
    for _ in range(58):
        till.post("/members/find", {"find": "ana"})
    assert problem(till.post("/members/find", {"find": "ana"})) == (429, "too_many_tries")
    # A name in an address would stand in the logs of every proxy.
    assert problem(other.get("/members?find=ana")) == (405, "http_405")
    read_only = register(app, house, Scope.READ)
    assert problem(read_only.post("/members/find", {"find": "ana"})) == (403, "scope_missing")


@pytest.mark.parametrize(
    ("typed", "speech", "outcome"),
    [
        ("1,234.50", "en", 123_450),
        ("1.234,50", "tr", 123_450),
        ("TRY 12.4", "en", 1_240),
        ("12.4 ₺", "tr", None),
        ("12,4 ₺", "tr", 1_240),
        ("12,40", "tr", 1_240),
        ("١٢", "en", 1_200),
        ("1.234,50", "en", None),
        ("1,234.50", "tr", None),
        ("🙂", "en", None),
        ("12.405", "en", None),
        ("0", "en", None),
        ("-5", "en", None),
        ("2FTX-9KQD-VM34-CHWR", "en", None),
        ("https://shop.example/1", "en", None),
        ("100001", "en", "amount_too_large"),
    ],
)
def test_an_amount_is_read_as_its_language_writes_it(
    app: Flask, house: Shop, typed: str, speech: str, outcome: int | str | None
) -> None:
    till = register(app, house, programme=BOOKS)
    till.headers["Accept-Language"] = speech
    answer = till.get(f"/amounts?typed={quote(typed)}")
    if isinstance(outcome, int):
        assert answer.json is not None
        assert answer.json["amount_minor"] == outcome
        assert answer.json["words"]
    else:
        assert problem(answer) == (422, outcome or "amount_invalid")


def test_points_are_held_while_a_customer_pays(till: Register, house: Shop) -> None:
    ana = house.join()
    house.buy(ana.code, 5_000)
    held = till.post("/holds", {"code": ana.code, "reward": "extra-shot"})
    assert held.status_code == 201
    assert held.json is not None
    assert (held.json["points"], held.json["balance"]) == (150, 450)
    spent = till.post(f"/holds/{held.json['id']}/capture", {})
    again = till.post(f"/holds/{held.json['id']}/capture", {})
    assert spent.json is not None
    assert again.json is not None
    assert (spent.status_code, spent.json["id"]) == (201, again.json["id"])
    assert problem(till.post(f"/holds/{held.json['id']}/release", {})) == (409, "hold_over")
    other = till.post("/holds", {"code": ana.code, "reward": "extra-shot"}).json
    assert other is not None
    freed = till.post(f"/holds/{other['id']}/release", {}).json
    assert freed is not None
    assert freed["balance"] == 450
    assert problem(till.post("/holds/x/capture", {})) == (404, "hold_unknown")
    assert problem(till.post("/holds/7/capture", {})) == (404, "hold_unknown")
    assert books.verify(house.store).problems == ()


def test_a_reward_in_hand_is_used_once(app: Flask, house: Shop) -> None:
    till = register(app, house, programme=BOOKS)
    ana = house.join(programme=BOOKS)
    books_sold = [{"quantity": 10, "unit_minor": 10_000, "category": "book"}]
    till.post("/purchases", {"code": ana.code, "amount_minor": 100_000, "lines": books_sold})
    found = till.get(f"/members/{ana.code}").json
    assert found is not None
    (stamped,) = found["issued"]
    used = till.post("/uses", {"code": ana.code, "redemption_id": stamped["id"]})
    assert used.status_code == 201
    assert problem(till.post("/uses", {"code": ana.code, "redemption_id": stamped["id"]}))[0] == 409


@pytest.mark.parametrize(
    "code", ["2FTX-9KQD-VM34", "9780140328721", "https://example.com/a?b=c", "🙂", "~", "'; DROP TABLE card"]
)
def test_what_is_no_card_is_refused_in_words(till: Register, code: str) -> None:
    status, why = problem(till.post("/quotes", {"code": code, "amount_minor": 100}))
    assert (status, why) in {(422, "code_mistyped"), (410, "handle_expired")}


def test_goods_of_a_guests_sale_come_back_until_somebody_claims_it(till: Register, house: Shop) -> None:
    sold, claimed = (till.post("/sales", {"amount_minor": 900}).json for _ in range(2))
    assert sold is not None
    assert claimed is not None
    back = till.post(f"/sales/{sold['id']}/returns", {"amount_minor": 450})
    assert back.status_code == 201
    assert back.json is not None
    assert (back.json["sale_id"], back.json["refund_minor"]) == (sold["id"], 450)
    rest = till.post(f"/sales/{sold['id']}/returns", {}).json
    assert rest is not None
    assert rest["refund_minor"] == 450
    assert problem(till.post(f"/sales/{sold['id']}/returns", {})) == (409, "nothing_left_to_return")
    ana = house.join()
    claim = claimed["claim_url"].partition("claim=")[2]
    assert till.post("/claims", {"code": ana.code, "claim": claim}).status_code == 201
    for sale_id in (claimed["id"], "7", "x"):
        assert problem(till.post(f"/sales/{sale_id}/returns", {})) == (404, "purchase_unknown")
