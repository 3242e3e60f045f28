"""What HTTP itself wants of the API: methods, types, sizes, limits, and a number for every request."""

from __future__ import annotations

import contextlib
import json
import logging
import sqlite3
from collections.abc import Iterator
from dataclasses import replace
from datetime import timedelta

import psycopg
import pytest
from flask import Flask

from app import create_app
from passes import store as stores
from passes.api_keys import Scope
from passes.store import doors
from passes.web.api import ROOT, operations, pace
from passes.wiring import Installation
from tests.shop import Shop
from tests.web.test_api import Register, problem, register


@pytest.fixture
def till(app: Flask, house: Shop) -> Register:
    return register(app, house)


def test_an_unknown_address_is_a_problem_too(till: Register) -> None:
    assert problem(till.get("/nothing")) == (404, "http_404")
    assert problem(till.get("/")) == (404, "http_404")
    assert problem(till.post("/members/x/y/z", {})) == (404, "http_404")


def test_a_wrong_method_is_told_the_right_ones(till: Register) -> None:
    for path, allowed in (("/purchases", "POST, OPTIONS"), ("/receipts/1", "GET, HEAD, OPTIONS")):
        client = till.app.test_client()
        for method in {"GET", "POST", "PUT", "PATCH", "DELETE"} - set(allowed.split(", ")):
            answer = client.open(ROOT + path, method=method)
            assert problem(answer) == (405, "http_405")
            assert answer.headers["Allow"] == allowed
        asked = client.options(ROOT + path)
        assert (asked.status_code, asked.get_data(), asked.headers["Allow"]) == (204, b"", allowed)
        assert "Access-Control-Allow-Origin" not in asked.headers


def test_head_says_what_get_would(till: Register, house: Shop) -> None:
    code = house.join().code
    headers = {"Authorization": f"Bearer {till.secret}"}
    asked = till.app.test_client().head(f"{ROOT}/members/{code}", headers=headers)
    assert (asked.status_code, asked.get_data()) == (200, b"")
    assert asked.headers["Content-Length"] == str(len(till.get(f"/members/{code}").get_data()))


@pytest.mark.parametrize("kind", ["", "text/plain", "application/x-www-form-urlencoded", "text/json"])
def test_a_body_is_json_and_says_so(till: Register, house: Shop, kind: str) -> None:
    code = house.join().code
    answer = till.app.test_client().post(
        f"{ROOT}/purchases",
        data=json.dumps({"code": code, "amount_minor": 100}),
        content_type=kind,
        headers={"Authorization": f"Bearer {till.secret}", "Idempotency-Key": "1"},
    )
    assert problem(answer) == (415, "http_415")
    assert house.balance(code) == 100


def test_too_much_is_refused_unread(till: Register) -> None:
    assert problem(till.post("/purchases", b" " * (operations.BODY_BYTES_MAX + 1))) == (413, "http_413")
    assert problem(till.post("/purchases", b" " * operations.BODY_BYTES_MAX)) == (422, "request_invalid")


def test_every_answer_has_a_number(till: Register, caplog: pytest.LogCaptureFixture) -> None:
    numbers = {till.get(path).headers[operations.REQUEST_ID] for path in ("/nothing", "/receipts/1")}
    assert len(numbers) == 2
    till.headers[operations.REQUEST_ID] = "order-1047"
    assert till.get("/receipts/1").headers[operations.REQUEST_ID] == "order-1047"
    till.headers[operations.REQUEST_ID] = "forged, line"
    assert till.get("/receipts/1").headers[operations.REQUEST_ID] not in ("order-1047", "forged, line")


def test_our_own_mistake_is_logged_under_the_number_and_not_shown(
    app: Flask, house: Shop, caplog: pytest.LogCaptureFixture, monkeypatch: pytest.MonkeyPatch
) -> None:
    till = register(app, house)

    def crash(**_: str) -> None:
        raise RuntimeError("the secret of the crash")

    monkeypatch.setitem(app.view_functions, "api.lookAtReceipt", crash)
    till.headers[operations.REQUEST_ID] = "order-1047"
    with caplog.at_level(logging.ERROR):
        answer = till.get("/receipts/1")
    assert problem(answer) == (500, "internal")
    assert "secret" not in answer.get_data(as_text=True)
    assert "order-1047" in caplog.text
    assert "the secret of the crash" in caplog.text


def test_a_replay_says_that_it_is_one(till: Register, house: Shop) -> None:
    bought = {"code": house.join().code, "amount_minor": 1240}
    first = till.post("/purchases", bought, key="order-7")
    house.now += timedelta(seconds=3)
    again = till.post("/purchases", bought, key="order-7")
    assert operations.REPLAYED not in first.headers
    assert again.headers[operations.REPLAYED] == "true"
    assert first.get_data() == again.get_data()


def test_a_key_that_asks_without_end_has_to_wait_and_no_other(app: Flask, house: Shop) -> None:
    wild, calm = register(app, house, Scope.READ), register(app, house, Scope.READ)
    codes = [wild.get("/receipts/1").status_code for _ in range(pace.BURST + 2)]
    assert codes == [404] * pace.BURST + [429] * 2
    answer = wild.get("/receipts/1")
    assert problem(answer) == (429, "too_many_requests")
    assert answer.headers["Retry-After"] == "1"
    assert calm.get("/receipts/1").status_code == 404
    house.now += timedelta(seconds=1)
    codes = [wild.get("/receipts/1").status_code for _ in range(pace.REQUESTS_A_SECOND + 1)]
    assert codes == [404] * pace.REQUESTS_A_SECOND + [429]


@pytest.mark.check("L-59")
def test_a_key_replays_refuses_another_body_and_waits_for_one_still_running(
    database_url: str, installation: Installation, house: Shop, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(doors, "_BUSY_SECONDS", 1)
    store = stores.open(database_url)
    till = register(create_app(replace(installation, store=store)), house)
    code = house.join().code
    bought = {"code": code, "amount_minor": 1240}
    with somebody_booking(database_url):
        waiting = till.post("/purchases", bought, key="order-7")
    assert problem(waiting) == (503, "busy")
    assert waiting.headers["Retry-After"] == "2"
    assert house.balance(code) == 100
    first = till.post("/purchases", bought, key="order-7")
    assert (first.status_code, operations.REPLAYED in first.headers) == (201, False)
    house.now += timedelta(seconds=3)
    again = till.post("/purchases", bought, key="order-7")
    assert again.get_data() == first.get_data()
    assert again.headers[operations.REPLAYED] == "true"
    other = till.post("/purchases", {**bought, "amount_minor": 1241}, key="order-7")
    assert problem(other) == (409, "key_reused")
    assert house.balance(code) == 224
    store.close()


@contextlib.contextmanager
def somebody_booking(database_url: str) -> Iterator[None]:
    """A request in another process, stopped before it could answer: it holds what a booking holds."""
    if database_url.startswith("sqlite"):
        path = database_url.removeprefix("sqlite:///")
        with contextlib.closing(sqlite3.connect(path, isolation_level=None)) as other:
            other.execute("BEGIN IMMEDIATE")
            yield
            other.execute("ROLLBACK")
    else:
        with psycopg.connect(database_url.replace("+psycopg", "")) as other:
            other.execute("SELECT id FROM account FOR UPDATE")
            yield
            other.rollback()
