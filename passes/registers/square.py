"""Square's messages: payment.created, payment.updated, refund.created, refund.updated.

- Signature: header `x-square-hmacsha256-signature`, base64 of the HMAC-SHA256
  of the notification address followed by the raw body, under the
  subscription's signature key; the address is the one entered at Square, to the
  letter (developer.squareup.com/docs/webhooks/step3validate).
- A payment is paid once its status is COMPLETED, a refund paid out likewise;
  both events come again whenever a field changes
  (developer.squareup.com/docs/payments-api/webhooks, …/refunds-api/webhooks).
- `amount_money` leaves the tip out, `tip_money` is the tip; amounts are in the
  smallest unit (developer.squareup.com/reference/square/objects/Payment).
- A payment names its order but not what was bought: it is booked by its amount.
  Several payments of one order are each booked by themselves.
"""

from __future__ import annotations

from passes.loyalty.money import AMOUNT_LIMIT_MINOR
from passes.registers.fields import Fields, parsed
from passes.registers.orders import Event, GoodsRefunded, Ignored, Malformed, Nature, OrderLine, OrderPaid
from passes.registers.signatures import is_signed

SIGNATURE = "X-Square-Hmacsha256-Signature"
_GOODS, _TIP = "payment", "tip"


def is_genuine(secret: bytes, address: str, body: bytes, signature: str | None) -> bool:
    """Whether Square sent this body to this address for the subscription with this signature key."""
    return is_signed(signature, secret, address.encode(), body)


def read(body: bytes) -> Event:
    """What a genuine message says. Raises Malformed."""
    message = parsed(body)
    kind, _, _ = (message.text("type") or "").partition(".")
    about = message.at("data").at("object")
    if kind == "payment":
        return _payment(about.at("payment"))
    if kind == "refund":
        return _refund(about.at("refund"))
    # An order's own event says only that something about it changed.
    return Ignored("not_a_payment")


def _payment(payment: Fields) -> Event:
    order = payment.key("id")
    if payment.text("status") != "COMPLETED":
        return Ignored("not_paid", order)
    currency, paid = _money(payment, "amount_money")
    tip = _money(payment, "tip_money")[1] if "tip_money" in payment else 0
    lines = [OrderLine(_GOODS, 1, paid, paid)] if paid or not tip else []
    if tip:
        lines.append(OrderLine(_TIP, 1, tip, tip, nature=Nature.TIP))
    who = (payment.text("reference_id"), payment.key_or_none("customer_id"))
    return OrderPaid(
        order=order,
        currency=currency,
        lines=tuple(lines),
        occurred_at=payment.instant("created_at"),
        location=payment.key_or_none("location_id"),
        channel="online" if _is_online(payment) else "in_store",
        who=tuple(text for text in who if text),
        words=tuple(text for text in (payment.text("note"),) if text),
    )


def _is_online(payment: Fields) -> bool:
    """Whether it was paid on a page, as far as the message says (ApplicationDetails.square_product)."""
    return payment.at("application_details").text("square_product") in ("ECOMMERCE_API", "ONLINE_STORE")


def _refund(refund: Fields) -> Event:
    order = refund.key_or_none("payment_id")
    if order is None:
        return Ignored("unlinked_refund")
    if refund.text("status") != "COMPLETED":
        return Ignored("not_paid_out", order)
    currency, paid = _money(refund, "amount_money")
    return GoodsRefunded(
        order=order,
        refund=refund.key("id")[-64:],
        currency=currency,
        occurred_at=refund.first_instant("created_at", "updated_at"),
        paid_minor=paid,
    )


def _money(of: Fields, name: str) -> tuple[str, int]:
    money = of.at(name)
    currency, amount = money.text("currency"), money.raw("amount")
    if currency is None or isinstance(amount, bool) or not isinstance(amount, int):
        raise Malformed(f"{name} is no money")
    if not 0 <= amount < AMOUNT_LIMIT_MINOR:
        raise Malformed(f"{name} is no possible amount")
    return currency, amount
