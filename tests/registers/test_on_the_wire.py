"""Messages of other makers' registers over HTTP: what is believed, booked, refused, and asked for again."""

from __future__ import annotations

import logging
import subprocess
from base64 import b64encode
from dataclasses import dataclass
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest
from flask import Flask
from werkzeug.test import TestResponse

from passes import registers
from passes.loyalty.refusals import Busy
from passes.registers import Kind
from passes.store import Store
from passes.web.registers import BODY_BYTES_MAX
from tests.cast import PUSH_TOKEN, PushService, a_card, an_install, deliver, rows
from tests.registers.makers import (
    SHOPIFY_SECRET,
    SQUARE_SECRET,
    as_body,
    odoo_order,
    shopify_cancelled,
    shopify_line,
    shopify_order,
    shopify_refund,
    signed,
    square_payment,
    square_refund,
)
from tests.shop import COFFEE, KEYS, Shop
from tests.web.conftest import app, house, installation, office

__all__ = ["app", "house", "installation", "office"]


ROOT = Path(__file__).parents[2]


@dataclass
class Counter:
    """The coffee shop's three registers, and what they send."""

    app: Flask
    house: Shop
    shopify: int
    square: int
    odoo: int

    def send_shopify(self, message: dict[str, Any], *, secret: str = SHOPIFY_SECRET) -> TestResponse:
        body = as_body(message)
        headers = {
            "X-Shopify-Hmac-Sha256": signed(secret, body),
            "X-Shopify-Topic": "orders/paid",
            "X-Shopify-Webhook-Id": "b54557e4-bdd9-4b37-8a5f-bf7d70bcd043",
            "X-Shopify-Event-Id": "98880550-7158-44d4-b7cd-2c97c8a091b5",
        }
        return self.post(f"/registers/shopify/{COFFEE}/{self.shopify}", body, headers)

    def send_square(self, message: dict[str, Any], *, secret: str = SQUARE_SECRET) -> TestResponse:
        body, path = as_body(message), f"/registers/square/{COFFEE}/{self.square}"
        signature = signed(secret, f"http://127.0.0.1:8000{path}".encode(), body)
        return self.post(path, body, {"x-square-hmacsha256-signature": signature})

    def send_odoo(self, message: dict[str, Any], *, token: str | None = None) -> TestResponse:
        register = registers.one(self.house.store, KEYS, programme=COFFEE, register_id=self.odoo)
        path = registers.address("", COFFEE, register)
        if token is not None:
            path = f"{path.rpartition('/')[0]}/{token}"
        return self.post(path, as_body(message), {})

    def post(self, path: str, body: bytes, headers: dict[str, str]) -> TestResponse:
        client = self.app.test_client()
        return client.post(path, data=body, headers=headers, content_type="application/json")


@pytest.fixture
def counter(app: Flask, house: Shop) -> Counter:
    def add(kind: Kind, secret: str = "") -> int:
        return registers.add(
            house.store, KEYS, programme=COFFEE, kind=kind, name=f"The {kind}", secret=secret, now=house.now
        )

    return Counter(
        app, house, add(Kind.SHOPIFY, SHOPIFY_SECRET), add(Kind.SQUARE, SQUARE_SECRET), add(Kind.ODOO)
    )


def test_a_shopify_order_gives_points_and_its_refund_takes_them(counter: Counter) -> None:
    ana = counter.house.join("Ana")
    order = shopify_order(
        [shopify_line(1, "14.25", 2, tax="2.92"), shopify_line(2, "3.50")],
        "34.92",
        note_attributes=[{"name": "loyalty_code", "value": ana.code}],
    )
    assert counter.send_shopify(order).get_json() == {"state": "booked", "why": None}
    # 32.00 without the tax.
    assert counter.house.balance(ana.code) == 100 + 320
    assert counter.send_shopify(shopify_refund({1: 1}, "15.71")).get_json()["state"] == "booked"
    assert counter.house.balance(ana.code) == 100 + 177
    counter.send_shopify(shopify_cancelled(order))
    assert counter.house.balance(ana.code) == 100


def test_the_phone_of_a_member_is_told(counter: Counter) -> None:
    card, push = a_card(counter.house), PushService()
    an_install(counter.house, card)
    deliver(counter.house, push)
    push.told.clear()
    for message in (square_payment(1250, reference_id=card.code), square_refund(250)):
        counter.send_square(message)
        counter.house.now += timedelta(minutes=2)
        deliver(counter.house, push)
    assert push.addresses == [PUSH_TOKEN, PUSH_TOKEN]


def test_a_square_payment_gives_points_and_its_refund_takes_them(counter: Counter) -> None:
    ana = counter.house.join("Ana")
    assert counter.send_square(square_payment(1250, reference_id=ana.code)).get_json()["state"] == "booked"
    assert counter.house.balance(ana.code) == 100 + 125
    assert counter.send_square(square_refund(250)).get_json()["state"] == "booked"
    assert counter.house.balance(ana.code) == 100 + 100


def test_an_odoo_order_gives_points_and_its_refund_takes_them(counter: Counter) -> None:
    ana = counter.house.join("Ana")
    assert counter.send_odoo(odoo_order(12.5, x_loyalty_code=ana.code)).get_json()["state"] == "booked"
    assert counter.house.balance(ana.code) == 100 + 125
    refund = odoo_order(-2.5, order=4712, refunded_order_id=[4711, "Main/04711"])
    assert counter.send_odoo(refund).get_json()["state"] == "booked"
    assert counter.house.balance(ana.code) == 100 + 100


# What is believed ------------------------------------------------------------------


def test_forged_messages_are_refused_and_leave_nothing(counter: Counter) -> None:
    order = shopify_order([shopify_line(1, "5.00")], "5.00")
    body, path = as_body(order), f"/registers/shopify/{COFFEE}/{counter.shopify}"
    other = registers.add(
        counter.house.store,
        KEYS,
        programme=COFFEE,
        kind=Kind.SHOPIFY,
        name="Another",
        secret="shpss_another",
        now=counter.house.now,
    )
    genuine = signed(SHOPIFY_SECRET, body)
    client = counter.app.test_client()
    for address, sent, signature in [
        (path, body, None),
        (path, body, ""),
        (path, body, "not base64!"),
        (path, body, signed("shpss_another", body)),
        (path, body + b" ", genuine),
        (path.replace(str(counter.shopify), str(other)), body, genuine),
    ]:
        headers = {} if signature is None else {"X-Shopify-Hmac-Sha256": signature}
        answer = client.post(address, data=sent, headers=headers)
        assert (answer.status_code, answer.get_json()["state"]) == (403, "not_genuine")
    for address in (
        path.replace(str(counter.shopify), "1"),
        path.replace(str(counter.shopify), "9" * 30),
        path.replace(str(counter.shopify), "abc"),
        path.replace(COFFEE, "marginalya"),
        path.replace(COFFEE, "nowhere"),
        path.replace("shopify", "square"),
    ):
        answer = client.post(address, data=body, headers={"X-Shopify-Hmac-Sha256": genuine})
        assert answer.status_code == 404
    assert rows(counter.house.store, "register_message") == []
    assert {row["heard_at"] for row in rows(counter.house.store, "register")} == {None}


def test_openssl_signs_as_the_makers_do(counter: Counter) -> None:
    """A witness of its own, and what the documentation tells to try."""

    def by_openssl(secret: str, text: bytes) -> str:
        command = ["openssl", "dgst", "-sha256", "-hmac", secret, "-binary"]
        return b64encode(subprocess.run(command, input=text, capture_output=True, check=True).stdout).decode()

    shown = (ROOT / "docs/registers.md").read_text("utf-8")
    body = shown.partition("body='")[2].partition("'\n")[0].encode()
    path = f"/registers/shopify/{COFFEE}/{counter.shopify}"
    answer = counter.post(path, body, {"X-Shopify-Hmac-Sha256": by_openssl(SHOPIFY_SECRET, body)})
    assert answer.get_json() == {"state": "booked", "why": None}
    assert rows(counter.house.store, "purchase")[0]["net_minor"] == 1240
    body, path = as_body(square_payment(500)), f"/registers/square/{COFFEE}/{counter.square}"
    signature = by_openssl(SQUARE_SECRET, f"http://127.0.0.1:8000{path}".encode() + body)
    answer = counter.post(path, body, {"x-square-hmacsha256-signature": signature})
    assert answer.get_json()["state"] == "booked"


def test_square_signs_the_address_too(counter: Counter) -> None:
    body, path = as_body(square_payment(100)), f"/registers/square/{COFFEE}/{counter.square}"
    client = counter.app.test_client()
    for address in ("", "http://127.0.0.1:8000", f"https://127.0.0.1:8000{path}"):
        signature = signed(SQUARE_SECRET, address.encode(), body)
        answer = client.post(path, data=body, headers={"x-square-hmacsha256-signature": signature})
        assert answer.status_code == 403
    # What a proxy or an attacker says the host is does not matter.
    good = signed(SQUARE_SECRET, f"http://127.0.0.1:8000{path}".encode(), body)
    headers = {"x-square-hmacsha256-signature": good, "Host": "elsewhere.example"}
    assert client.post(path, data=body, headers=headers).status_code == 200


def test_an_address_of_odoo_is_only_good_with_its_token(counter: Counter) -> None:
    for token in ("x", "x" * 32, "é", "a" * 5000):
        assert counter.send_odoo(odoo_order(5.0), token=token).status_code == 403
    other = registers.add(
        counter.house.store, KEYS, programme=COFFEE, kind=Kind.ODOO, name="Other", now=counter.house.now
    )
    register = registers.one(counter.house.store, KEYS, programme=COFFEE, register_id=other)
    token = registers.address("", COFFEE, register).rpartition("/")[2]
    assert counter.send_odoo(odoo_order(5.0), token=token).status_code == 403
    assert rows(counter.house.store, "register_message") == []


def test_a_header_cannot_turn_one_message_into_another(counter: Counter) -> None:
    """Topic and delivery id are not signed: a captured order stays the order that it is."""
    ana = counter.house.join("Ana")
    order = shopify_order(
        [shopify_line(1, "5.00")], "5.00", note_attributes=[{"name": "card", "value": ana.code}]
    )
    body, path = as_body(order), f"/registers/shopify/{COFFEE}/{counter.shopify}"
    client = counter.app.test_client()
    for number, topic in enumerate(("orders/paid", "orders/cancelled", "refunds/create", "orders/paid")):
        headers = {
            "X-Shopify-Hmac-Sha256": signed(SHOPIFY_SECRET, body),
            "X-Shopify-Topic": topic,
            "X-Shopify-Webhook-Id": f"id-{number}",
        }
        assert client.post(path, data=body, headers=headers).get_json()["state"] == "booked"
    assert counter.house.balance(ana.code) == 100 + 50
    assert len(rows(counter.house.store, "register_message")) == 1


def test_a_browser_s_origin_does_not_matter_and_forms_are_not_read(counter: Counter) -> None:
    body, path = as_body(square_payment(100)), f"/registers/square/{COFFEE}/{counter.square}"
    headers = {
        "x-square-hmacsha256-signature": signed(SQUARE_SECRET, f"http://127.0.0.1:8000{path}".encode(), body),
        "Origin": "https://elsewhere.example",
        "Sec-Fetch-Site": "cross-site",
    }
    answer = counter.app.test_client().post(
        path, data=body, headers=headers, content_type="application/x-www-form-urlencoded"
    )
    assert answer.get_json()["state"] == "booked"


# What cannot be read ---------------------------------------------------------------


NONSENSE = [
    b"",
    b"[]",
    b"null",
    b"\xff\xfe",
    b"{" * 100_000,
    as_body(shopify_order([shopify_line(1, "5.001")], "5.00")),
    as_body(shopify_order([shopify_line(1, "five")], "5.00")),
    as_body(shopify_order([shopify_line(1, "1e999")], "5.00")),
    as_body(shopify_order([shopify_line(1, "5.00", -1)], "5.00")),
    as_body(shopify_order([shopify_line(1, "5.00", off="6.00")], "5.00")),
    as_body(shopify_order([shopify_line(1, "5.00")], "-5.00")),
    as_body(shopify_order([shopify_line(1, "5.00")], "5.00", processed_at="yesterday")),
    as_body(shopify_order([shopify_line(1, "5.00")] * 1001, "5005.00")),
    as_body(shopify_refund({1: 1}, "-5.00")),
]


def test_a_genuine_message_that_makes_no_sense_is_kept_and_answered(counter: Counter) -> None:
    """Sending it again would change nothing, so it is answered as taken; the owner sees why it was not."""
    for body in NONSENSE:
        answer = counter.post(
            f"/registers/shopify/{COFFEE}/{counter.shopify}",
            body,
            {"X-Shopify-Hmac-Sha256": signed(SHOPIFY_SECRET, body)},
        )
        assert (answer.status_code, answer.get_json()) == (200, {"state": "refused", "why": "malformed"})
    kept = registers.latest(counter.house.store, programme=COFFEE, register_id=counter.shopify)
    assert len(kept) == len(NONSENSE)
    assert all(one.detail and not one.can_retry for one in kept)


def test_a_huge_body_is_refused_before_anybody_looks_at_it(counter: Counter) -> None:
    body = b" " * (BODY_BYTES_MAX + 1)
    answer = counter.post(
        f"/registers/shopify/{COFFEE}/{counter.shopify}",
        body,
        {"X-Shopify-Hmac-Sha256": signed(SHOPIFY_SECRET, body)},
    )
    assert answer.status_code == 413
    assert rows(counter.house.store, "register_message") == []


# Trouble ---------------------------------------------------------------------------


def test_a_busy_database_asks_for_the_message_again(
    counter: Counter, monkeypatch: pytest.MonkeyPatch
) -> None:
    ana = counter.house.join("Ana")
    order = square_payment(1000, reference_id=ana.code)

    def busy(_store: Store, _decide: object) -> None:
        raise Busy

    with monkeypatch.context() as while_busy:
        while_busy.setattr(Store, "write", busy)
        answer = counter.send_square(order)
    assert (answer.status_code, answer.headers["Retry-After"]) == (503, "60")
    assert counter.send_square(order).get_json()["state"] == "booked"
    assert counter.house.balance(ana.code) == 100 + 100


def test_no_secret_reaches_a_log_or_an_answer(counter: Counter, caplog: pytest.LogCaptureFixture) -> None:
    with caplog.at_level(logging.DEBUG):
        answers = [
            counter.send_shopify(shopify_order([], "0.00"), secret="wrong-secret"),
            counter.send_shopify(shopify_order([shopify_line(1, "5.00")], "5.00")),
            counter.send_odoo(odoo_order(5.0)),
        ]
    told = caplog.text + "".join(answer.text for answer in answers)
    token = registers.one(counter.house.store, KEYS, programme=COFFEE, register_id=counter.odoo).token
    assert token
    assert not any(one in told for one in (SHOPIFY_SECRET, SQUARE_SECRET, token))


def test_a_register_is_noted_as_heard(counter: Counter) -> None:
    counter.send_square(square_payment(100))
    (kept,) = [one for one in registers.every(counter.house.store, KEYS, programme=COFFEE) if one.heard_at]
    assert (kept.kind, kept.heard_at) == (Kind.SQUARE, counter.house.now)
    counter.house.now += timedelta(hours=1)
    counter.send_square(square_payment(200, payment="p2"))
    (kept,) = [one for one in registers.every(counter.house.store, KEYS, programme=COFFEE) if one.heard_at]
    assert kept.heard_at == counter.house.now
