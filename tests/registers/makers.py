"""Messages as Shopify, Square and Odoo shape them, about an invented shop, and signed as they sign."""

from __future__ import annotations

import hmac
import json
from base64 import b64encode
from typing import Any

SHOPIFY_SECRET = "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"
SQUARE_SECRET = "dGVzdC1zaWduYXR1cmUta2V5LW9mLXNxdWFyZQ"
SOLD_AT = "2026-03-10T11:04:07-05:00"
BACK_AT = "2026-03-12T15:30:00-05:00"


def as_body(message: dict[str, Any]) -> bytes:
    return json.dumps(message, separators=(",", ":")).encode()


def signed(secret: str, *parts: bytes) -> str:
    return b64encode(hmac.digest(secret.encode(), b"".join(parts), "sha256")).decode()


# Shopify --------------------------------------------------------------------------


def shopify_line(number: int, price: str, quantity: int = 1, **more: Any) -> dict[str, Any]:
    """A line of an order; `off` is its share of the discounts, `tax` its tax."""
    off, tax = more.pop("off", None), more.pop("tax", None)
    return {
        "id": 1_380_000_000_000 + number,
        "variant_id": 4_470_000_000_000 + number,
        "product_id": 8_110_000_000_000 + number,
        "title": f"Article {number}",
        "name": f"Article {number}",
        "sku": f"SKU-{number}",
        "vendor": "Copperfinch",
        "price": price,
        "quantity": quantity,
        "current_quantity": quantity,
        "total_discount": "0.00",
        "discount_allocations": [{"amount": off, "discount_application_index": 0}] if off else [],
        "tax_lines": [{"title": "Sales tax", "price": tax, "rate": 0.1025}] if tax else [],
        "gift_card": False,
        "taxable": bool(tax),
        "requires_shipping": True,
        **more,
    }


def shopify_order(
    lines: list[dict[str, Any]], total: str, *, order: int = 5_500_100_200_301, **more: Any
) -> dict[str, Any]:
    """An order as orders/paid brings it."""
    return {
        "id": order,
        "admin_graphql_api_id": f"gid://shopify/Order/{order}",
        "name": "#1041",
        "test": False,
        "currency": "USD",
        "presentment_currency": "USD",
        "financial_status": "paid",
        "cancelled_at": None,
        "created_at": SOLD_AT,
        "processed_at": SOLD_AT,
        "updated_at": SOLD_AT,
        "taxes_included": False,
        "total_price": total,
        "total_tip_received": "0.00",
        "location_id": None,
        "source_name": "web",
        "note": None,
        "note_attributes": [],
        "tags": "",
        "discount_codes": [],
        "discount_applications": [],
        "customer": {"id": 7_700_100_200, "email": "noor@example.org", "first_name": "Noor"},
        "email": "noor@example.org",
        "line_items": lines,
        "shipping_lines": [],
        "refunds": [],
        **more,
    }


def shopify_shipping(price: str, number: int = 1, **more: Any) -> dict[str, Any]:
    return {
        "id": 4_100_000_000 + number,
        "title": "Courier",
        "price": price,
        "discount_allocations": [],
        "tax_lines": [],
        **more,
    }


def shopify_refund(
    pieces: dict[int, int],
    paid: str | None,
    *,
    refund: int = 900_100,
    order: int = 5_500_100_200_301,
    currency: str = "USD",
    **more: Any,
) -> dict[str, Any]:
    """A refund as refunds/create brings it: `pieces` by the number of `shopify_line`."""
    transactions = [
        {
            "id": refund + 1,
            "order_id": order,
            "kind": "refund",
            "status": "success",
            "amount": paid,
            "currency": currency,
            "test": False,
        }
    ]
    return {
        "id": refund,
        "order_id": order,
        "created_at": BACK_AT,
        "processed_at": BACK_AT,
        "note": "too sour",
        "restock": True,
        "refund_line_items": [
            {
                "id": refund + 10 + number,
                "line_item_id": 1_380_000_000_000 + number,
                "quantity": quantity,
                "restock_type": "return",
                "subtotal": 0.0,
                "total_tax": 0.0,
            }
            for number, quantity in pieces.items()
        ],
        "refund_shipping_lines": [],
        "order_adjustments": [],
        "transactions": transactions if paid is not None else [],
        **more,
    }


def shopify_cancelled(message: dict[str, Any]) -> dict[str, Any]:
    """The same order once it is cancelled."""
    return {**message, "cancelled_at": BACK_AT, "cancel_reason": "customer", "financial_status": "refunded"}


# Square ---------------------------------------------------------------------------


def square_payment(
    amount: int, *, payment: str = "hYy9pRFVxpDsO1FB05SunFWUe9JZY", tip: int = 0, event: int = 1, **more: Any
) -> dict[str, Any]:
    """A payment as payment.updated brings it."""
    currency = more.pop("currency", "USD")
    return {
        "merchant_id": "6SSW7HV8K2ST5",
        "type": "payment.updated",
        "event_id": f"6a8f5f28-54a1-4eb0-a98a-{event:012d}",
        "created_at": "2026-03-10T16:04:09.308Z",
        "data": {
            "type": "payment",
            "id": payment,
            "object": {
                "payment": {
                    "id": payment,
                    "created_at": "2026-03-10T16:04:07.086Z",
                    "updated_at": "2026-03-10T16:04:08.831Z",
                    "amount_money": {"amount": amount, "currency": currency},
                    **({"tip_money": {"amount": tip, "currency": currency}} if tip else {}),
                    "total_money": {"amount": amount + tip, "currency": currency},
                    "status": "COMPLETED",
                    "source_type": "CARD",
                    "card_details": {"status": "CAPTURED", "card": {"card_brand": "VISA", "last_4": "1111"}},
                    "location_id": "S8GWD5R9QB376",
                    "order_id": "03O3USaPaAaFnI6kkwB1JxGgBsUZY",
                    **more,
                }
            },
        },
    }


def square_refund(
    amount: int, *, payment: str = "hYy9pRFVxpDsO1FB05SunFWUe9JZY", refund: str = "r1", **more: Any
) -> dict[str, Any]:
    """A refund as refund.updated brings it."""
    return {
        "merchant_id": "6SSW7HV8K2ST5",
        "type": "refund.updated",
        "event_id": f"bc316346-6691-4243-88ed-{refund}",
        "created_at": "2026-03-12T20:30:11Z",
        "data": {
            "type": "refund",
            "id": f"{payment}_{refund}",
            "object": {
                "refund": {
                    "id": f"{payment}_{refund}",
                    "created_at": "2026-03-12T20:30:00.836Z",
                    "updated_at": "2026-03-12T20:30:10.381Z",
                    "amount_money": {"amount": amount, "currency": more.pop("currency", "USD")},
                    "status": "COMPLETED",
                    "location_id": "S8GWD5R9QB376",
                    "order_id": "haOyDuHiqtAXMk0d8pDKXpL7Jg4F",
                    "payment_id": payment,
                    **more,
                }
            },
        },
    }


# Odoo -----------------------------------------------------------------------------


def odoo_order(total: float, *, order: int = 4711, **more: Any) -> dict[str, Any]:
    """What an automation rule on pos.order sends."""
    return {
        "_action": "Tell the loyalty programme(#312)",
        "_id": order,
        "_model": "pos.order",
        "id": order,
        "name": f"Main/{order:05d}",
        "pos_reference": "Order 00042-007-0003",
        "amount_total": total,
        "amount_paid": total,
        "amount_tax": 0.0,
        "state": "paid",
        "date_order": "2026-03-10 16:04:07",
        "partner_id": False,
        "config_id": [3, "Front counter"],
        "currency_id": [1, "USD"],
        "lines": [9001, 9002],
        "refunded_order_id": False,
        **more,
    }
