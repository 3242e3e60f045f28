"""Registers ask the API: with a key, by name, and get problems they can read."""

from __future__ import annotations

import json
import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import timedelta
from itertools import count
from typing import Any

import pytest
from flask import Flask
from werkzeug.test import TestResponse

from passes import api_keys, books
from passes.api_keys import Scope
from passes.loyalty.refusals import ApiKeyInvalid, ApiKeyUnknown, LocationUnknown
from passes.web.api import EVERYTHING, ROOT, wire
from tests.shop import BOOKS, COFFEE, Shop

_numbers = count(1)


@dataclass
class Register:
    """A register with a key."""

    app: Flask
    secret: str
    headers: dict[str, str] = field(default_factory=dict)

    def get(self, path: str) -> TestResponse:
        """A question."""
        return self.app.test_client().get(ROOT + path, headers=self._headers())

    def post(self, path: str, body: Mapping[str, Any] | bytes, *, key: str | None = None) -> TestResponse:
        """A write, named by `key` or by a new name."""
        name = f"sale-{next(_numbers)}" if key is None else key
        data = body if isinstance(body, bytes) else json.dumps(body).encode()
        headers = {"Idempotency-Key": name, "Content-Type": "application/json", **self._headers()}
        return self.app.test_client().post(ROOT + path, data=data, headers=headers)

    def _headers(self) -> dict[str, str]:
        return {"Authorization": f"Bearer {self.secret}", **self.headers}


def register(app: Flask, house: Shop, *scopes: Scope, programme: str = COFFEE, **options: Any) -> Register:
    _, secret = api_keys.issue(
        house.store,
        programme=programme,
        name="Front",
        scopes=scopes or tuple(Scope),
        now=house.now,
        **options,
    )
    return Register(app, secret)


@pytest.fixture
def till(app: Flask, house: Shop) -> Register:
    return register(app, house, location="west-loop")


def problem(answer: TestResponse) -> tuple[int, str]:
    """Status and code of a problem, which must be whole."""
    assert answer.content_type == "application/problem+json"
    said = wire.Problem.model_validate_json(answer.get_data())
    assert said.status == answer.status_code
    assert said.detail
    assert said.title
    return said.status, said.code


def test_a_purchase_is_looked_at_quoted_booked_explained_undone(till: Register, house: Shop) -> None:
    ana = house.join()
    member = till.get(f"/members/{ana.code.lower()}")
    assert member.status_code == 200
    assert member.json is not None
    assert (member.json["name"], member.json["balance"]) == ("Ana Reyes", 100)
    bought = {"code": ana.code, "amount_minor": 1240}
    quoted = till.post("/quotes", bought)
    assert quoted.json is not None
    assert (quoted.status_code, quoted.json["points"], quoted.json["balance"]) == (200, 124, 224)
    assert house.balance(ana.code) == 100
    booked = till.post("/purchases", {**bought, "person": "cy"})
    assert booked.status_code == 201
    assert booked.json is not None
    assert (booked.json["points"], booked.json["balance"], booked.json["location"]) == (124, 224, "west-loop")
    assert (booked.json["till"], booked.json["person"]) == ("Front", "cy")
    found = till.get(f"/receipts/{booked.json['id']}")
    assert found.json is not None
    assert [part["points"] for part in found.json["why"]] == ["124"]
    undone = till.post(f"/receipts/{booked.json['id']}/undo", {})
    assert undone.json is not None
    assert (undone.status_code, undone.json["balance"], undone.json["undoes"]) == (
        201,
        100,
        booked.json["id"],
    )
    assert books.verify(house.store).problems == ()


def test_lines_come_back_one_by_one(till: Register, house: Shop) -> None:
    ana = house.join()
    lines = [
        {"quantity": 2, "unit_minor": 450, "category": "coffee", "sku": "flat-white"},
        {"unit_minor": 340, "category": "bakery"},
    ]
    booked = till.post("/purchases", {"code": ana.code, "amount_minor": 1240, "lines": lines}).json
    assert booked is not None
    back = till.post("/returns", {"receipt_id": booked["id"], "lines": [{"number": 1, "quantity": 1}]})
    assert back.json is not None
    assert (back.status_code, back.json["amount_minor"], back.json["balance"]) == (201, 450, 179)
    reward = till.post("/redemptions", {"code": ana.code, "reward": "extra-shot"})
    assert reward.json is not None
    assert (reward.status_code, reward.json["balance"], reward.json["reward"]) == (201, 29, "extra-shot")


def test_a_request_sent_again_gets_the_first_answer(till: Register, house: Shop) -> None:
    ana = house.join()
    bought = {"code": ana.code, "amount_minor": 1240}
    first, again = (
        till.post("/purchases", bought, key="order-7"),
        till.post("/purchases", bought, key="order-7"),
    )
    assert first.get_data() == again.get_data()
    assert house.balance(ana.code) == 224
    other = till.post("/purchases", {**bought, "amount_minor": 1}, key="order-7")
    assert problem(other) == (409, "key_reused")


def test_two_registers_may_count_alike(app: Flask, house: Shop) -> None:
    ana = house.join()
    for _ in range(2):
        answer = register(app, house).post("/purchases", {"code": ana.code, "amount_minor": 100}, key="1")
        assert answer.status_code == 201
    assert house.balance(ana.code) == 120


@pytest.mark.parametrize("key", ["", "with blank", "x" * 65, "ünicode".encode().decode("latin-1")])
def test_a_write_must_name_itself(till: Register, house: Shop, key: str) -> None:
    ana = house.join()
    answer = till.post("/purchases", {"code": ana.code, "amount_minor": 100}, key=key)
    assert problem(answer) == (400, "idempotency_key_missing")
    assert house.balance(ana.code) == 100


def test_every_operation_needs_a_key_in_force_with_its_scope(app: Flask, house: Shop) -> None:
    key_id, secret = api_keys.issue(
        house.store, programme=COFFEE, name="Old", scopes=[Scope.READ], now=house.now
    )
    _, ended = api_keys.issue(
        house.store,
        programme=COFFEE,
        name="Over",
        scopes=tuple(Scope),
        expires_at=house.now,
        now=house.now - timedelta(days=1),
    )
    for operation in EVERYTHING:
        path = re.sub("<[^>]*>", "1", operation.rule)
        others = [scope for scope in Scope if scope is not operation.scope]
        strangers = [
            Register(app, ended),
            Register(app, "passes_wrong"),
            Register(app, ""),
            Register(app, "ü"),
        ]
        for stranger in strangers:
            ask = stranger.get(path) if operation.method == "GET" else stranger.post(path, {})
            assert problem(ask) == (401, "api_key_invalid"), operation
            assert ask.headers["WWW-Authenticate"] == "Bearer"
        poor = register(app, house, *others)
        ask = poor.get(path) if operation.method == "GET" else poor.post(path, {})
        assert problem(ask) == (403, "scope_missing"), operation
    assert Register(app, secret).get("/receipts/1").status_code == 404
    assert api_keys.revoke(house.store, programme=COFFEE, key_id=key_id, now=house.now) == "Old"
    assert problem(Register(app, secret).get("/receipts/1")) == (401, "api_key_invalid")
    with pytest.raises(ApiKeyUnknown):
        api_keys.revoke(house.store, programme=COFFEE, key_id=key_id, now=house.now)


def test_a_key_opens_its_own_programme_only(app: Flask, house: Shop) -> None:
    ana = house.join()
    bookshop = register(app, house, programme=BOOKS)
    assert problem(bookshop.get(f"/members/{ana.code}")) == (409, "card_foreign")
    booked = house.buy(ana.code, 1000)
    assert problem(bookshop.get(f"/receipts/{booked.id}")) == (404, "receipt_unknown")
    assert problem(bookshop.post(f"/receipts/{booked.id}/undo", {})) == (404, "receipt_unknown")


def test_a_secret_is_kept_as_its_digest_and_its_use_is_noted_now_and_then(app: Flask, house: Shop) -> None:
    till = register(app, house)
    till.get("/receipts/1")
    [key] = api_keys.every(house.store, programme=COFFEE)
    assert key.used_at == house.now
    house.now += timedelta(minutes=59)
    till.get("/receipts/1")
    assert api_keys.every(house.store, programme=COFFEE)[0].used_at == house.now - timedelta(minutes=59)
    house.now += timedelta(minutes=2)
    till.get("/receipts/1")
    assert api_keys.every(house.store, programme=COFFEE)[0].used_at == house.now
    assert till.secret not in repr(api_keys.every(house.store, programme=COFFEE))
    with pytest.raises(ApiKeyInvalid):
        api_keys.caller(house.store, secret=till.secret + "x", now=house.now)


def test_a_key_that_stands_somewhere_books_nowhere_else(till: Register, app: Flask, house: Shop) -> None:
    ana = house.join()
    elsewhere = till.post("/purchases", {"code": ana.code, "amount_minor": 100, "location": "lakeview"})
    assert problem(elsewhere) == (422, "location_unknown")
    anywhere = register(app, house)
    booked = anywhere.post("/purchases", {"code": ana.code, "amount_minor": 100, "location": "lakeview"}).json
    assert booked is not None
    assert booked["location"] == "lakeview"
    nowhere = anywhere.post("/purchases", {"code": ana.code, "amount_minor": 100, "location": "the moon"})
    assert problem(nowhere) == (422, "location_unknown")
    with pytest.raises(LocationUnknown):
        register(app, house, location="the moon")


@pytest.mark.parametrize(
    ("body", "pointer"),
    [
        (b"", ""),
        (b"not json", ""),
        (b"[]", ""),
        (b"\xff\xfe", ""),
        ({"code": "x"}, "/amount_minor"),
        ({"code": "x", "amount_minor": "12.40"}, "/amount_minor"),
        ({"code": "x", "amount_minor": 12.4}, "/amount_minor"),
        ({"code": "x", "amount_minor": True}, "/amount_minor"),
        ({"code": "x", "amount_minor": -1}, "/amount_minor"),
        ({"code": "x", "amount_minor": 2**64}, "/amount_minor"),
        ({"code": "x", "amount_minor": 1, "amount": 1}, "/amount"),
        ({"code": "x", "amount_minor": 1, "a/b~c": 1}, "/a~1b~0c"),
        ({"code": 7, "amount_minor": 1}, "/code"),
        ({"code": "", "amount_minor": 1}, "/code"),
        ({"code": "x", "amount_minor": 1, "occurred_at": "2026-03-14T10:00:00"}, "/occurred_at"),
        ({"code": "x", "amount_minor": 1, "lines": [{"quantity": 0, "unit_minor": 1}]}, "/lines/0/quantity"),
    ],
)
def test_a_malformed_body_is_told_where_it_is_wrong(till: Register, body: Any, pointer: str) -> None:
    answer = till.post("/purchases", body)
    assert problem(answer) == (422, "request_invalid")
    assert answer.json is not None
    assert pointer in [error["pointer"] for error in answer.json["errors"]]


@pytest.mark.parametrize("text", ["\0", "a\0b", "\ud800", "🍂" * 16, "<script>", "../..", "x" * 64])
def test_texts_that_no_database_holds_are_refused_in_words(till: Register, house: Shop, text: str) -> None:
    ana = house.join()
    for body in (
        {"code": text, "amount_minor": 100},
        {"code": ana.code, "amount_minor": 100, "person": text, "till": text},
        {"code": ana.code, "amount_minor": 100, "lines": [{"unit_minor": 100, "name": text, "sku": text}]},
        {"code": ana.code, "amount_minor": 100, "offer_codes": [text]},
    ):
        answer = till.post("/purchases", body)
        assert answer.status_code in (201, 404, 409, 422), (text, answer.get_data(as_text=True))
        if answer.status_code != 201:
            problem(answer)
    assert books.verify(house.store).problems == ()


def test_refusals_speak_the_language_asked_for(till: Register, house: Shop) -> None:
    till.headers["Accept-Language"] = "tr"
    answer = till.get("/members/nonsense")
    assert problem(answer) == (422, "code_mistyped")
    assert answer.json is not None
    assert answer.json["detail"] == "Bu bir kart numarası değil. Kontrol edip yeniden deneyin."


def test_answers_are_what_the_document_says(till: Register, house: Shop) -> None:
    ana = house.join()
    booked = till.post("/purchases", {"code": ana.code, "amount_minor": 1240})
    receipt = wire.ReceiptAnswer.model_validate_json(booked.get_data(), extra="forbid")
    wire.ReceiptWithReasons.model_validate_json(
        till.get(f"/receipts/{receipt.id}").get_data(), extra="forbid"
    )
    wire.MemberAnswer.model_validate_json(till.get(f"/members/{ana.code}").get_data(), extra="forbid")
    quoted = till.post("/quotes", {"code": ana.code, "amount_minor": 1240})
    wire.QuoteAnswer.model_validate_json(quoted.get_data(), extra="forbid")
