"""The API for registers and shops' own programs: `/api/v1`.

Every request shows a key; every write names itself by an Idempotency-Key, and
sent again it gets the first answer. Refusals are problems (RFC 9457) with the
codes that all of the product uses. The OpenAPI document is made from what
serves the requests.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import orjson
from flask import Blueprint, Response
from werkzeug.exceptions import NotFound

from passes import checkout
from passes.api_keys import Scope
from passes.loyalty.refusals import ReceiptUnknown
from passes.web import language
from passes.web.api import openapi, operations, wire
from passes.web.api.operations import Asked, Operation, Operations
from passes.web.here import installation, now

ROOT = "/api/v1"

blueprint = Blueprint("api", __name__, url_prefix=ROOT)
served = Operations(blueprint)


@served.add(
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


@served.add(
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


@served.add(
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
            key=_key(asked),
            at=asked.counter(body),
            occurred_at=body.occurred_at,
            now=now(),
            **_bought(body),
        )
    )


@served.add(
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
            key=_key(asked),
            at=asked.counter(body),
            now=now(),
        )
    )


@served.add(
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
            key=_key(asked),
            at=asked.counter(body),
            now=now(),
        )
    )


@served.add(
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


@served.add(
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
            key=_key(asked),
            at=asked.counter(body),
            now=now(),
        )
    )


@blueprint.get("/openapi.json")
def document() -> Response:
    """What can be asked, for programs and for people. Nothing in it is secret."""
    answer = Response(
        orjson.dumps(openapi.document(served.all, root=ROOT, server=installation().public_url)),
        content_type="application/json",
    )
    answer.headers["Cache-Control"] = "public, max-age=300"
    return answer


@blueprint.route("/", defaults={"rest": ""}, methods=["GET", "POST", "PUT", "PATCH", "DELETE"])
@blueprint.route("/<path:rest>", methods=["GET", "POST", "PUT", "PATCH", "DELETE"])
def nothing(rest: str) -> Response:
    """No page for programs: an unknown address is a problem like any other."""
    return operations.fail(NotFound())


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


def _key(asked: Asked) -> str:
    # Two registers may count their requests alike.
    return f"api:{asked.caller.id}:{asked.key}"


def _number(text: str) -> int:
    if not (text.isascii() and text.isdecimal() and len(text) <= 19):
        raise ReceiptUnknown()
    return int(text)
