"""Odoo's messages: what an automation rule on `pos.order` sends with "Send Webhook Notification".

- The action posts `_model`, `_id`, `_action` and the chosen fields as JSON and
  waits one second; it is not signed and not sent again
  (odoo/odoo: odoo/addons/base/models/ir_actions.py, `_run_action_webhook`,
  since 17.0). So the address itself holds a secret.
- Fields of `pos.order`: `amount_total` (below zero for a refund), `state`
  (draft, cancel, paid, done, invoiced), `date_order` (UTC, without a zone),
  `config_id`, `partner_id`, `pos_reference`, `refunded_order_id` (17.0 to 19.0;
  `refunded_order_ids` before) (odoo/odoo: addons/point_of_sale/models/pos_order.py).
- A field that points elsewhere comes as a number, a number and a name, or a list
  of numbers; of lines only their numbers come. So an order is booked by its
  amount. A shop whose own code sends the lines as objects, with the fields of
  `pos.order.line`, has them booked one by one.
"""

from __future__ import annotations

from datetime import UTC, datetime
from decimal import Decimal
from typing import Any

from passes.loyalty.basket import allocate
from passes.registers.fields import Fields, parsed
from passes.registers.orders import (
    Event,
    GoodsRefunded,
    Ignored,
    Malformed,
    Nature,
    OrderCancelled,
    OrderLine,
    OrderPaid,
)

_PAID = frozenset({"paid", "done", "invoiced"})
# Fields that shops add are called x_…, those that Studio adds x_studio_….
_CARDS = tuple(
    prefix + name
    for name in ("loyalty_code", "card_code", "partner_barcode")
    for prefix in ("", "x_", "x_studio_")
)
_WORDS = ("general_note", "general_customer_note", "internal_note", "note", "floating_order_name")


def read(body: bytes, *, currency: str) -> Event:
    """What a message says, whose address held the token. `currency` is that of the shop. Raises Malformed."""
    message = parsed(body)
    if message.text("_model") != "pos.order":
        return Ignored("not_an_order")
    order = message.key_or_none("_id") or message.key("id")
    state = message.text("state")
    if state == "cancel":
        return OrderCancelled(order, _at(message))
    if state not in _PAID:
        return Ignored("not_paid", order)
    named = _name(message.raw("currency_id"))
    currency = named if named and len(named) == 3 else currency
    total = _amount(message, currency)
    if total < 0:
        return _refund(message, order, currency, -total)
    return OrderPaid(
        order=order,
        currency=currency,
        lines=_lines(message, currency, total),
        occurred_at=_at(message),
        location=_number(message.raw("config_id")),
        who=tuple(text for name in _CARDS if (text := message.key_or_none(name))),
        words=tuple(text for name in _WORDS if (text := message.text(name))),
    )


def _lines(message: Fields, currency: str, total: int) -> tuple[OrderLine, ...]:
    found = message.raw("lines")
    if not (isinstance(found, list) and found and all(isinstance(one, dict) for one in found)):
        tip = message.minor_or("tip_amount", currency, rounds=True)
        if not 0 < tip <= total:
            return (OrderLine("order", 1, total, total),)
        tips = OrderLine("tip", 1, tip, tip, nature=Nature.TIP)
        return (OrderLine("order", 1, total - tip, total - tip), tips) if total > tip else (tips,)
    lines = [_line(line, currency) for line in message.each("lines")]
    if abs(total - sum(line.net_minor for line in lines)) > len(lines):
        raise Malformed("lines do not add up to amount_total")
    # What takes money off, such as a coupon, is a line below zero: it makes the others cheaper.
    goods = [line for line in lines if line.net_minor >= 0]
    off = -sum(line.net_minor for line in lines if line.net_minor < 0)
    if not goods or off > sum(line.net_minor for line in goods):
        raise Malformed("lines are less than nothing")
    shares = allocate(off, [line.net_minor for line in goods])
    return tuple(line.cheaper(share) for line, share in zip(goods, shares, strict=True))


def _line(line: Fields, currency: str) -> OrderLine:
    quantity = line.number_or("qty", Decimal(1))
    net = line.minor("price_subtotal_incl", currency, rounds=True)
    tax = net - line.minor_or("price_subtotal", currency, net, rounds=True)
    share = line.number_or("discount", Decimal(0))
    if not 0 <= share < 100:
        share = Decimal(0)
    gross = int((net / (1 - share / 100)).to_integral_value())
    pieces = int(quantity) if quantity == int(quantity) and quantity > 0 else 1
    product = line.raw("product_id")
    marks = (line.text("product_code"), _number(product), line.text("category"))
    return OrderLine(
        key=f"line:{line.key('id')}",
        quantity=pieces,
        gross_minor=max(gross, net),
        net_minor=net,
        tax_minor=min(max(tax, 0), max(net, 0)),
        name=line.text("full_product_name") or _name(product),
        sku=line.text("product_code"),
        marks=tuple(mark for mark in marks if mark),
    )


def _refund(message: Fields, order: str, currency: str, paid: int) -> Event:
    before = message.raw("refunded_order_id") or message.raw("refunded_order_ids")
    # A list of several numbers is several orders: whose money it is cannot be said.
    is_one = not isinstance(before, list) or len(before) == 1 or _name(before) is not None
    refunded = _number(before) if is_one else None
    if refunded is None:
        return Ignored("unlinked_refund", order)
    pieces: dict[str, int] = {}
    found = message.raw("lines")
    if isinstance(found, list) and found and all(isinstance(one, dict) for one in found):
        for line in message.each("lines"):
            sold, quantity = _number(line.raw("refunded_orderline_id")), -line.number_or("qty", Decimal(0))
            if sold is not None and quantity > 0:
                whole = int(quantity) if quantity == int(quantity) else 1
                pieces[f"line:{sold}"] = pieces.get(f"line:{sold}", 0) + whole
    return GoodsRefunded(
        order=refunded,
        refund=order,
        currency=currency,
        occurred_at=_at(message),
        pieces=pieces,
        paid_minor=paid,
    )


def _amount(message: Fields, currency: str) -> int:
    return message.minor("amount_total", currency, rounds=True)


def _at(message: Fields) -> datetime:
    text = message.text("date_order") or message.text("write_date")
    try:
        at = datetime.fromisoformat(text or "")
    except ValueError:
        raise Malformed("date_order is no instant") from None
    return at if at.tzinfo else at.replace(tzinfo=UTC)


def _number(value: Any) -> str | None:
    """The number of what a field points to, however Odoo writes it."""
    found = value[0] if isinstance(value, list) and value else value
    return str(found) if isinstance(found, int) and not isinstance(found, bool) and found > 0 else None


def _name(value: Any) -> str | None:
    """The name of what a field points to, where Odoo writes it too."""
    named = isinstance(value, list) and len(value) == 2 and isinstance(value[1], str)
    return value[1] if named else None
