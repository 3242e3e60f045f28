"""Shopify's messages: orders/paid, orders/cancelled, refunds/create.

- Signature: header `X-Shopify-Hmac-Sha256`, base64 of the HMAC-SHA256 of the
  raw body under the app's client secret
  (shopify.dev/docs/apps/build/webhooks/verify-deliveries).
- The body is the REST resource of the topic
  (…/webhooks/delivery-structure): an order
  (shopify.dev/docs/api/admin-rest/latest/resources/order) or a refund
  (…/resources/refund). Amounts are texts in the shop's currency.
- Deliveries come more than once and in any order; five seconds to answer, eight
  more tries in four hours (shopify.dev/apps/webhooks/https).

The headers beside the signature are not signed, so neither topic nor delivery
id is believed: what a message is, its body shows.
"""

from __future__ import annotations

from passes.loyalty.basket import allocate
from passes.registers.fields import Fields, parsed
from passes.registers.orders import (
    ANY_SHIPPING,
    Event,
    GoodsRefunded,
    Ignored,
    Malformed,
    Nature,
    OrderCancelled,
    OrderLine,
    OrderPaid,
)
from passes.registers.signatures import is_signed

SIGNATURE = "X-Shopify-Hmac-Sha256"
_PAID = frozenset({"paid", "partially_refunded", "refunded"})
_CARD_NAMES = frozenset({"card", "card_code", "loyalty", "loyalty_card", "loyalty_code", "loyalty-card"})


def is_genuine(secret: bytes, body: bytes, signature: str | None) -> bool:
    """Whether Shopify sent this body for the app with this secret."""
    return is_signed(signature, secret, body)


def read(body: bytes) -> Event:
    """What a genuine message says. Raises Malformed."""
    message = parsed(body)
    if "order_id" in message and isinstance(message.raw("refund_line_items"), list):
        return _refund(message)
    if not isinstance(message.raw("line_items"), list):
        return Ignored("not_an_order")
    order = message.key("id")
    if message.flag("test"):
        return Ignored("test_order", order)
    if message.text("financial_status") not in _PAID:
        return Ignored("not_paid", order)
    if "cancelled_at" in message:
        return OrderCancelled(order, message.instant("cancelled_at"))
    return _paid(message, order)


# An order -----------------------------------------------------------------------


def _paid(message: Fields, order: str) -> OrderPaid:
    currency = _currency(message)
    has_tax = message.flag("taxes_included")
    lines = [_goods(line, currency, has_tax) for line in message.each("line_items")]
    lines += [_shipping(line, currency, has_tax) for line in message.each("shipping_lines")]
    lines = [line for line in lines if line.quantity]
    lines = _settled(lines, message.minor("total_price", currency), message, currency)
    return OrderPaid(
        order=order,
        currency=currency,
        lines=tuple(lines),
        occurred_at=message.first_instant("processed_at", "created_at"),
        location=message.key_or_none("location_id"),
        channel="in_store" if message.text("source_name") == "pos" else "online",
        who=_who(message),
        words=tuple(text for name in ("note", "tags") if (text := message.text(name))),
    )


def _goods(line: Fields, currency: str, has_tax: bool) -> OrderLine:
    quantity = line.count("quantity")
    gross = line.minor("price", currency) * quantity
    nature = Nature.GOODS
    if line.flag("gift_card"):
        nature = Nature.GIFT_CARD
    elif "tip" in line or "tip_payment_gateway" in line:
        nature = Nature.TIP
    return _line(
        line,
        currency,
        key=f"line:{line.key('id')}",
        quantity=quantity,
        gross=gross,
        has_tax=has_tax,
        nature=nature,
    )


def _shipping(line: Fields, currency: str, has_tax: bool) -> OrderLine:
    gross = line.minor("price", currency)
    return _line(
        line,
        currency,
        key=f"shipping:{line.key('id')}",
        quantity=1 if gross and not line.flag("is_removed") else 0,
        gross=gross,
        has_tax=has_tax,
        nature=Nature.SHIPPING,
    )


def _line(
    line: Fields, currency: str, *, key: str, quantity: int, gross: int, has_tax: bool, nature: Nature
) -> OrderLine:
    # A discount on the whole order is allocated to its lines as well.
    shares = line.each("discount_allocations")
    discount = sum(share.minor("amount", currency) for share in shares)
    if not shares:
        discount = line.minor_or("total_discount", currency)
    tax = sum(part.minor("price", currency) for part in line.each("tax_lines"))
    if gross < 0 or tax < 0 or not 0 <= discount <= gross:
        raise Malformed(f"{key.partition(':')[0]}: discount or tax does not fit the price")
    added = 0 if has_tax else tax
    net = gross - discount + added
    sku, brand = line.text("sku"), line.text("vendor")
    marks = (sku, line.key_or_none("variant_id"), line.key_or_none("product_id"), brand)
    return OrderLine(
        key=key,
        quantity=quantity,
        gross_minor=gross + added,
        net_minor=net,
        tax_minor=min(tax, net),
        nature=nature,
        name=line.text("title"),
        sku=sku,
        brand=brand,
        marks=tuple(mark for mark in marks if mark),
    )


def _settled(lines: list[OrderLine], total: int, message: Fields, currency: str) -> list[OrderLine]:
    """The lines, adding up to what was paid: what none of them says is a tip, or a fee such as duties."""
    rest = total - sum(line.net_minor for line in lines)
    if rest > 0:
        tip = message.minor_or("total_tip_received", currency)
        is_tip = tip == rest and not any(line.nature is Nature.TIP for line in lines)
        nature = Nature.TIP if is_tip else Nature.FEE
        return [*lines, OrderLine(nature.value, 1, rest, rest, nature=nature)]
    if rest == 0:
        return lines
    if -rest > sum(line.net_minor for line in lines) or total < 0:
        raise Malformed("total_price is less than nothing")
    # Such as cash that is rounded down: it belongs to all that was bought.
    shares = allocate(-rest, [line.net_minor for line in lines])
    return [line.cheaper(share) for line, share in zip(lines, shares, strict=True)]


def _who(message: Fields) -> tuple[str, ...]:
    named = [
        one.text("value")
        for one in message.each("note_attributes")
        if (one.text("name") or "").strip().casefold().replace(" ", "_") in _CARD_NAMES
    ]
    codes = [one.text("code") for one in message.each("discount_codes")]
    customer = message.at("customer").key_or_none("id")
    return tuple(text for text in (*named, *codes, customer) if text)


def _currency(message: Fields) -> str:
    currency = message.text("currency")
    if currency is None:
        raise Malformed("currency is missing")
    return currency


# A refund -----------------------------------------------------------------------


def _refund(message: Fields) -> Event:
    order = message.key("order_id")
    paid = [
        one
        for one in message.each("transactions")
        if one.text("kind") == "refund" and one.text("status") == "success"
    ]
    if any(one.flag("test") for one in paid):
        return Ignored("test_order", order)
    currency = next((one.text("currency") for one in paid if "currency" in one), None)
    pieces: dict[str, int] = {}
    for line in message.each("refund_line_items"):
        key = f"line:{line.key('line_item_id')}"
        pieces[key] = pieces.get(key, 0) + line.count("quantity")
    money: dict[str, int] = {}
    for line in message.each("refund_shipping_lines"):
        shop = line.at("subtotal_amount_set").at("shop_money")
        if currency and "amount" in shop:
            key = f"shipping:{line.at('shipping_line').key('id')}"
            money[key] = money.get(key, 0) + shop.minor("amount", currency)
    # Before version 2024-10 of the API shipping came back as an adjustment, which names no line.
    for line in message.each("order_adjustments"):
        if currency and line.text("kind") == "shipping_refund":
            given = -line.minor("amount", currency) - line.minor_or("tax_amount", currency)
            money[ANY_SHIPPING] = money.get(ANY_SHIPPING, 0) + given
    total = sum(one.minor("amount", currency) for one in paid) if currency else None
    if not pieces and not total:
        return Ignored("nothing_refunded", order)
    if (total or 0) < 0 or any(part < 0 for part in money.values()):
        raise Malformed("a refund takes money")
    return GoodsRefunded(
        order=order,
        refund=message.key("id"),
        currency=currency,
        occurred_at=message.first_instant("processed_at", "created_at"),
        pieces={key: quantity for key, quantity in pieces.items() if quantity},
        money={key: part for key, part in money.items() if part},
        paid_minor=total,
    )
