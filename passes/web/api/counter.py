"""What registers and tills ask at the counter: look, quote, book, redeem, take back, undo.

The same functions answer `/api/v1` and the tills: only who asks is found out differently.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from passes import checkout
from passes.api_keys import Scope
from passes.loyalty.refusals import ReceiptUnknown
from passes.web import language
from passes.web.api import wire
from passes.web.api.operations import Asked, Operation, Operations
from passes.web.here import installation, now

COUNTER = Operations()


@COUNTER.add(
    Operation(
        "lookAtMember",
        "GET",
        "/members/<code>",
        Scope.READ,
        "The member behind a scanned or typed code.",
        wire.MemberAnswer,
    )
)
def look_at_member(asked: Asked, code: str) -> Mapping[str, Any]:
    """What a cashier sees."""
    return wire.member(
        checkout.look(
            installation().store,
            programme=asked.caller.programme,
            code=code,
            language=language.current(),
            now=now(),
        )
    )


@COUNTER.add(
    Operation(
        "quotePurchase",
        "POST",
        "/quotes",
        Scope.READ,
        "What a purchase would come to, with every reason. Books nothing.",
        wire.QuoteAnswer,
        body=wire.QuoteAsked,
    )
)
def quote_purchase(asked: Asked, body: wire.QuoteAsked) -> Mapping[str, Any]:
    """The same sum as the booking makes."""
    return wire.quote(
        checkout.quote(
            installation().store,
            programme=asked.caller.programme,
            at=asked.counter(body),
            language=language.current(),
            now=now(),
            **_bought(body),
        )
    )


@COUNTER.add(
    Operation(
        "bookPurchase",
        "POST",
        "/purchases",
        Scope.PURCHASES,
        "Book a member's purchase and give its points.",
        wire.ReceiptAnswer,
        body=wire.PurchaseAsked,
        status=201,
    )
)
def book_purchase(asked: Asked, body: wire.PurchaseAsked) -> Mapping[str, Any]:
    """A purchase."""
    return wire.receipt(
        checkout.accrue(
            installation().store,
            programme=asked.caller.programme,
            key=asked.request_key,
            at=asked.counter(body),
            occurred_at=body.occurred_at,
            now=now(),
            **_bought(body),
        )
    )


@COUNTER.add(
    Operation(
        "redeemReward",
        "POST",
        "/redemptions",
        Scope.REWARDS,
        "Exchange points for a reward.",
        wire.ReceiptAnswer,
        body=wire.RedemptionAsked,
        status=201,
    )
)
def redeem_reward(asked: Asked, body: wire.RedemptionAsked) -> Mapping[str, Any]:
    """A reward."""
    return wire.receipt(
        checkout.redeem(
            installation().store,
            programme=asked.caller.programme,
            code=body.code,
            reward=body.reward,
            points=body.points,
            basket_minor=body.basket_minor,
            key=asked.request_key,
            at=asked.counter(body),
            now=now(),
        )
    )


@COUNTER.add(
    Operation(
        "takeBackGoods",
        "POST",
        "/returns",
        Scope.RETURNS,
        "Take goods of a purchase back: line by line, by amount, or all of them.",
        wire.ReceiptAnswer,
        body=wire.ReturnAsked,
        status=201,
    )
)
def take_back_goods(asked: Asked, body: wire.ReturnAsked) -> Mapping[str, Any]:
    """A return."""
    return wire.receipt(
        checkout.take_back(
            installation().store,
            programme=asked.caller.programme,
            receipt_id=_number(body.receipt_id),
            lines={line.number: line.quantity for line in body.lines} or None,
            amount_minor=body.amount_minor,
            reason=body.reason,
            occurred_at=body.occurred_at,
            key=asked.request_key,
            at=asked.counter(body),
            now=now(),
        )
    )


@COUNTER.add(
    Operation(
        "lookAtReceipt",
        "GET",
        "/receipts/<receipt_id>",
        Scope.READ,
        "A receipt, and why it moved the points it did.",
        wire.ReceiptWithReasons,
    )
)
def look_at_receipt(asked: Asked, receipt_id: str) -> Mapping[str, Any]:
    """A receipt in words."""
    return wire.with_reasons(
        checkout.why(
            installation().store,
            programme=asked.caller.programme,
            receipt_id=_number(receipt_id),
            language=language.current(),
        )
    )


@COUNTER.add(
    Operation(
        "undoReceipt",
        "POST",
        "/receipts/<receipt_id>/undo",
        Scope.PURCHASES,
        "Take a mistake back, within the programme's time.",
        wire.ReceiptAnswer,
        body=wire.UndoAsked,
        status=201,
    )
)
def undo_receipt(asked: Asked, body: wire.UndoAsked, receipt_id: str) -> Mapping[str, Any]:
    """A reversing entry."""
    return wire.receipt(
        checkout.undo(
            installation().store,
            programme=asked.caller.programme,
            receipt_id=_number(receipt_id),
            key=asked.request_key,
            at=asked.counter(body),
            now=now(),
        )
    )


def _bought(body: wire.QuoteAsked) -> dict[str, Any]:
    return {
        "code": body.code,
        "amount_minor": body.amount_minor,
        "lines": [line.line() for line in body.lines],
        "discount_minor": body.discount_minor,
        "unearning_minor": body.unearning_minor,
        "offer_codes": body.offer_codes,
        "takes_discounts": body.takes_discounts,
    }


def _number(text: str) -> int:
    if not (text.isascii() and text.isdecimal() and len(text) <= 19):
        raise ReceiptUnknown()
    return int(text)
