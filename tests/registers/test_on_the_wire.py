"""Messages of other makers' registers over HTTP: what is believed, booked, refused, and asked for again."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import pytest
from flask import Flask
from werkzeug.test import TestResponse

from passes import registers
from passes.registers import Kind
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
        return self._post(f"/registers/shopify/{COFFEE}/{self.shopify}", body, headers)

    def send_square(self, message: dict[str, Any], *, secret: str = SQUARE_SECRET) -> TestResponse:
        body, path = as_body(message), f"/registers/square/{COFFEE}/{self.square}"
        signature = signed(secret, f"http://127.0.0.1:8000{path}".encode(), body)
        return self._post(path, body, {"x-square-hmacsha256-signature": signature})

    def send_odoo(self, message: dict[str, Any], *, token: str | None = None) -> TestResponse:
        register = registers.one(self.house.store, programme=COFFEE, register_id=self.odoo)
        path = registers.address(KEYS, "", COFFEE, register)
        if token is not None:
            path = f"{path.rpartition('/')[0]}/{token}"
        return self._post(path, as_body(message), {})

    def _post(self, path: str, body: bytes, headers: dict[str, str]) -> TestResponse:
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
