"""The shorter way of a purchase answers as the long one does, or leaves it to that."""

from __future__ import annotations

import json
from collections.abc import Iterator
from datetime import timedelta
from typing import Any

import pytest
from flask import Flask, request, request_started
from werkzeug.datastructures import Headers
from werkzeug.test import TestResponse

from passes import api_keys, checkout, programmes
from passes.api_keys import Scope
from passes.loyalty.refusals import Busy
from passes.store import Store
from passes.web.api import ROOT
from passes.web.api.counter import COUNTER
from passes.web.api.express import Express
from tests.shop import COFFEE, Shop
from tests.web.test_api import Register, problem, register

PATH = "/purchases"


@pytest.fixture
def till(app: Flask, house: Shop) -> Register:
    """A register whose key is known."""
    known = register(app, house, location="west-loop")
    known.post(PATH, {"code": house.join("First").code, "amount_minor": 100})
    return known


@pytest.fixture
def by_flask(app: Flask) -> Iterator[list[str]]:
    """The paths that Flask saw."""
    seen: list[str] = []

    def note(_app: Flask, **_more: Any) -> None:
        seen.append(request.path)

    with request_started.connected_to(note, app):
        yield seen


def headers_of(answer: TestResponse) -> dict[str, str]:
    kept = Headers(answer.headers)
    kept.remove("X-Request-Id")
    kept.remove("Content-Length")
    return {name.lower(): value for name, value in kept.items()}


def test_only_what_is_always_at_the_same_path_has_a_shorter_way() -> None:
    assert list(COUNTER.frequent) == [PATH]


def test_both_ways_answer_alike(
    till: Register, house: Shop, by_flask: list[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    express = till.app.wsgi_app
    assert isinstance(express, Express)
    ana, ben = house.join("Ana"), house.join("Ben")
    content = {"amount_minor": 1240, "lines": [{"quantity": 2, "unit_minor": 620}]}
    short = till.post(PATH, {"code": ana.code, **content})
    assert by_flask == []
    monkeypatch.setattr(till.app, "wsgi_app", express._beyond)
    long = till.post(PATH, {"code": ben.code, **content})
    assert by_flask == [ROOT + PATH]
    assert (short.status, headers_of(short)) == (long.status, headers_of(long))
    assert {"x-content-type-options", "referrer-policy", "cache-control"} <= set(headers_of(short))
    told, also = (json.loads(answer.get_data()) for answer in (short, long))
    assert list(told) == list(also)
    differs = {name for name in told if told[name] != also[name]}
    assert differs == {"id", "member_id", "card_id"}
    assert told["points"] == 124
    assert int(short.headers["Content-Length"]) == len(short.get_data())


def test_the_same_key_gets_the_first_answer_and_is_told_so(
    till: Register, house: Shop, by_flask: list[str]
) -> None:
    ana = house.join()
    first = till.post(PATH, {"code": ana.code, "amount_minor": 1240}, key="once")
    house.now += timedelta(seconds=1)
    again = till.post(PATH, {"code": ana.code, "amount_minor": 1240}, key="once")
    assert by_flask == []
    assert again.get_data() == first.get_data()
    assert "Idempotent-Replayed" not in first.headers
    assert again.headers["Idempotent-Replayed"] == "true"
    assert house.balance(ana.code) == 224


def test_a_request_is_called_as_its_caller_calls_it(till: Register, house: Shop) -> None:
    body = {"code": house.join().code, "amount_minor": 1240}
    till.headers["X-Request-Id"] = "till-7:1"
    assert till.post(PATH, body).headers["X-Request-Id"] == "till-7:1"
    till.headers["X-Request-Id"] = "not a name\x7f"
    assert len(till.post(PATH, body).headers["X-Request-Id"]) == 16


def test_a_key_taken_out_of_force_books_nothing_from_then_on(till: Register, house: Shop) -> None:
    ana = house.join()
    [key] = api_keys.every(house.store, programme=COFFEE)
    api_keys.revoke(house.store, programme=COFFEE, key_id=key.id, now=house.now)
    refused = till.post(PATH, {"code": ana.code, "amount_minor": 1240})
    assert problem(refused) == (401, "api_key_invalid")
    # Nor does it learn whether a card exists.
    assert problem(till.post(PATH, {"code": "nobody", "amount_minor": 1240})) == (401, "api_key_invalid")
    assert house.balance(ana.code) == 100


def test_a_key_is_asked_about_again_when_the_programme_changes(
    till: Register, house: Shop, by_flask: list[str]
) -> None:
    ana = house.join()
    path = next(path for path in programmes.DEMONSTRATION if path.stem == COFFEE)
    source = path.read_text("utf-8").replace('key = "lakeview"', 'key = "lake-shore"')
    programmes.load(
        house.store, name=COFFEE, source=source, pass_type="pass.dev.passes.loyalty", now=house.now
    )
    anywhere = register(till.app, house)
    body = {"code": ana.code, "amount_minor": 1240}
    assert anywhere.post(PATH, {**body, "location": "lake-shore"}).status_code == 201
    till.post(PATH, body)
    assert by_flask == [ROOT + PATH] * 2
    till.post(PATH, body)
    assert len(by_flask) == 2


def test_whatever_is_not_plain_goes_the_long_way(till: Register, house: Shop, by_flask: list[str]) -> None:
    ana = house.join()
    body = {"code": ana.code, "amount_minor": 1240}
    poor = register(till.app, house, Scope.READ)
    poor.get("/receipts/1")
    by_flask.clear()
    expected = [
        (till.post(PATH + "?x=1", body), (201, None)),
        (till.post(PATH + "/", body), (201, None)),
        (till.post(PATH, b"{"), (422, "request_invalid")),
        (till.post(PATH, {**body, "amount_minor": -1}), (422, None)),
        (till.post(PATH, {**body, "code": "nobody"}), (422, None)),
        (till.post(PATH, body, key="no key at all"), (400, "idempotency_key_missing")),
        (till.post(PATH, b"x" * 256_001), (413, None)),
        (poor.post(PATH, body), (403, "scope_missing")),
        (Register(till.app, "passes_wrong").post(PATH, body), (401, "api_key_invalid")),
    ]
    assert len(by_flask) == len(expected)
    for answer, (status, code) in expected:
        assert answer.status_code == status, answer.get_data(as_text=True)
        if code is not None:
            assert problem(answer) == (status, code)
    plain = till.app.test_client().post(
        ROOT + PATH,
        data=json.dumps(body),
        headers={
            "Authorization": f"Bearer {till.secret}",
            "Idempotency-Key": "p",
            "Content-Type": "text/plain",
        },
    )
    assert problem(plain)[0] == 415
    assert house.balance(ana.code) == 100 + 2 * 124


def test_what_breaks_on_the_shorter_way_is_tried_once_more(
    till: Register, house: Shop, by_flask: list[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    ana = house.join()
    real, tries = Store.write, []

    def busy_once(store: Store, decide: Any, **more: Any) -> Any:
        tries.append(1)
        if len(tries) == 1:
            raise Busy()
        return real(store, decide, **more)

    monkeypatch.setattr(Store, "write", busy_once)
    assert till.post(PATH, {"code": ana.code, "amount_minor": 1240}).status_code == 201
    assert by_flask == [ROOT + PATH]
    assert (
        checkout.look(house.store, programme=COFFEE, code=ana.code, language="en", now=house.now).balance
        == 224
    )
