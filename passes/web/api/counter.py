"""What registers and tills ask at the counter: look, quote, book, redeem, take back, undo.

The same functions answer `/api/v1` and the tills: only who asks is found out differently.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from datetime import datetime
from typing import Any

from flask import url_for

from passes import checkout
from passes.api_keys import Scope
from passes.checkout import Sale
from passes.loyalty.money import Money
from passes.loyalty.refusals import (
    AlreadyClaimed,
    AmountInvalid,
    AmountTooLarge,
    ClaimTooLate,
    PurchaseUnknown,
    ReceiptUnknown,
    SaleUnknown,
)
from passes.web import language
from passes.web.api import answers, refusals, wire
from passes.web.api.cards import card_of, proof
from passes.web.api.holds import HOLDS
from passes.web.api.operations import Asked, Operation, Operations, number
from passes.web.api.people import PEOPLE
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
        refusals=refusals.CARD,
    )
)
def look_at_member(asked: Asked, code: str) -> Mapping[str, Any]:
    """What a cashier sees."""
    known, is_found = card_of(asked, code)
    view = checkout.look(
        installation().store,
        programme=asked.caller.programme,
        code=known,
        language=language.current(),
        at=asked.counter(wire.HERE),
        now=now(),
    )
    # Who was only looked up must not turn into a card that was there.
    shown = replace(view, code=code) if is_found else view
    return answers.member(shown, identified="found" if is_found else "card", now=now())


@COUNTER.add(
    Operation(
        "quotePurchase",
        "POST",
        "/quotes",
        Scope.READ,
        "What a purchase would come to, with every reason. Books nothing.",
        wire.QuoteAnswer,
        body=wire.QuoteAsked,
        refusals=(*refusals.CARD, *refusals.BASKET),
    )
)
def quote_purchase(asked: Asked, body: wire.QuoteAsked) -> Mapping[str, Any]:
    """The same sum as the booking makes."""
    return answers.quote(
        checkout.quote(
            installation().store,
            programme=asked.caller.programme,
            at=asked.counter(body),
            language=language.current(),
            watch=asked.watch,
            now=now(),
            **_bought(asked, body),
        )
    )


@COUNTER.add(
    Operation(
        "readAmount",
        "GET",
        "/amounts",
        Scope.READ,
        "An amount that a person typed, as the language asked for writes amounts.",
        wire.AmountAnswer,
        query=wire.Typed,
        refusals=(AmountInvalid, AmountTooLarge),
    )
)
def read_amount(asked: Asked, query: wire.Typed) -> Mapping[str, Any]:
    """`1,234.50` in English is `1.234,50` in Turkish; what could be either is refused."""
    rules = asked.caller.loaded.programme
    amount_minor = language.read_amount(query.typed, rules.currency)
    if amount_minor > rules.earning.limit_minor:
        raise AmountTooLarge(limit=Money(rules.earning.limit_minor, rules.currency))
    words = language.money(amount_minor, rules.currency)
    return {"amount_minor": amount_minor, "currency": rules.currency, "words": words}


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
        refusals=refusals.PURCHASE,
        is_frequent=True,
    )
)
def book_purchase(asked: Asked, body: wire.PurchaseAsked) -> Mapping[str, Any]:
    """A purchase."""
    return answers.receipt(
        checkout.accrue(
            asked.store,
            programme=asked.caller.programme,
            key=asked.request_key,
            at=asked.counter(body),
            occurred_at=body.occurred_at,
            watch=asked.watch,
            now=now(),
            **_bought(asked, body, body.occurred_at),
        )
    )


@COUNTER.add(
    Operation(
        "bookSale",
        "POST",
        "/sales",
        Scope.PURCHASES,
        "Book a sale without a member; the guest may claim its points afterwards.",
        wire.SaleAnswer,
        body=wire.SaleAsked,
        status=201,
        refusals=refusals.SALE,
    )
)
def book_sale(asked: Asked, body: wire.SaleAsked) -> Mapping[str, Any]:
    """A guest's sale, with the address at which it can be claimed."""
    booked = checkout.sale(
        installation().store,
        programme=asked.caller.programme,
        amount_minor=body.amount_minor,
        lines=[line.line() for line in body.lines],
        discount_minor=body.discount_minor,
        tenders=[one.tender() for one in body.tenders],
        occurred_at=body.occurred_at,
        key=asked.request_key,
        at=asked.counter(body),
        watch=asked.watch,
        now=now(),
    )
    return {
        "id": str(booked.id),
        "amount_minor": booked.net_minor,
        "currency": booked.currency,
        "claim_url": _claim_url(asked, booked) if booked.claim_until else None,
        "claim_until": booked.claim_until,
    }


@COUNTER.add(
    Operation(
        "claimSale",
        "POST",
        "/claims",
        Scope.PURCHASES,
        "Give a member the points of a guest's sale whose receipt they show.",
        wire.ReceiptAnswer,
        body=wire.ClaimAsked,
        status=201,
        refusals=(*refusals.HELD_CARD, SaleUnknown, AlreadyClaimed, ClaimTooLate),
    )
)
def claim_sale(asked: Asked, body: wire.ClaimAsked) -> Mapping[str, Any]:
    """A guest's sale, once."""
    here, loaded = installation(), asked.caller.loaded
    return answers.receipt(
        checkout.claim(
            here.store,
            programme=asked.caller.programme,
            code=card_of(asked, body.code)[0],
            sale_id=checkout.proven_sale(here.keys, loaded, body.claim),
            amount_minor=None,
            key=asked.request_key,
            at=asked.counter(body),
            now=now(),
        )
    )


@COUNTER.add(
    Operation(
        "takeBackSale",
        "POST",
        "/sales/<sale_id>/returns",
        Scope.RETURNS,
        "Take goods of a guest's sale back: line by line, by amount, or all of them.",
        wire.SaleReturnAnswer,
        body=wire.SaleReturnAsked,
        status=201,
        refusals=refusals.SALE_RETURN,
    )
)
def take_back_sale(asked: Asked, body: wire.SaleReturnAsked, sale_id: str) -> Mapping[str, Any]:
    """Only money moves. A sale that was claimed is its member's: that one's receipt is returned."""
    back = checkout.take_back_sale(
        installation().store,
        programme=asked.caller.programme,
        purchase_id=number(sale_id, PurchaseUnknown),
        lines=_pieces(body),
        amount_minor=body.amount_minor,
        reason=body.reason,
        occurred_at=body.occurred_at,
        key=asked.request_key,
        at=asked.counter(body),
        watch=asked.watch,
        now=now(),
    )
    return {
        "id": str(back.id),
        "sale_id": str(back.purchase_id),
        "refund_minor": back.refund_minor,
        "currency": back.currency,
    }


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
        refusals=refusals.REWARD,
    )
)
def redeem_reward(asked: Asked, body: wire.RedemptionAsked) -> Mapping[str, Any]:
    """A reward."""
    code, shown = proof(body.code, body.one_time, asked)
    return answers.receipt(
        checkout.redeem(
            installation().store,
            programme=asked.caller.programme,
            code=code,
            proof=shown,
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
        "useReward",
        "POST",
        "/uses",
        Scope.REWARDS,
        "Use a reward that the member was given.",
        wire.ReceiptAnswer,
        body=wire.UseAsked,
        status=201,
        refusals=refusals.USE,
    )
)
def use_reward(asked: Asked, body: wire.UseAsked) -> Mapping[str, Any]:
    """A reward in hand."""
    code, shown = proof(body.code, body.one_time, asked)
    return answers.receipt(
        checkout.use(
            installation().store,
            programme=asked.caller.programme,
            code=code,
            proof=shown,
            redemption_id=int(body.redemption_id),
            purchase_receipt_id=None if body.purchase_receipt_id is None else int(body.purchase_receipt_id),
            key=asked.request_key,
            at=asked.counter(body),
            now=now(),
        )
    )


@COUNTER.add(
    Operation(
        "listReturnable",
        "GET",
        "/receipts/<receipt_id>/returnable",
        Scope.READ,
        "What of a purchase can still come back, line by line.",
        wire.ReturnableAnswer,
        refusals=refusals.RETURNABLE,
    )
)
def list_returnable(asked: Asked, receipt_id: str) -> Mapping[str, Any]:
    """Lines with what is left of them."""
    lines = checkout.returnable(
        installation().store, programme=asked.caller.programme, receipt_id=number(receipt_id, ReceiptUnknown)
    )
    return answers.returnable(
        number(receipt_id, ReceiptUnknown), asked.caller.loaded.programme.currency, lines
    )


@COUNTER.add(
    Operation(
        "previewReturn",
        "POST",
        "/returns/preview",
        Scope.READ,
        "What taking goods back would do to points and money. Books nothing.",
        wire.ReturnPreview,
        body=wire.ReturnPreviewAsked,
        refusals=refusals.RETURN_PREVIEW,
    )
)
def preview_return(asked: Asked, body: wire.ReturnPreviewAsked) -> Mapping[str, Any]:
    """The same booking, undone before it counts."""
    return answers.return_preview(
        checkout.preview_return(
            installation().store,
            programme=asked.caller.programme,
            receipt_id=number(body.receipt_id, ReceiptUnknown),
            lines=_pieces(body),
            amount_minor=body.amount_minor,
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
        refusals=refusals.RETURN,
    )
)
def take_back_goods(asked: Asked, body: wire.ReturnAsked) -> Mapping[str, Any]:
    """A return."""
    return answers.receipt(
        checkout.take_back(
            installation().store,
            programme=asked.caller.programme,
            receipt_id=number(body.receipt_id, ReceiptUnknown),
            lines=_pieces(body),
            amount_minor=body.amount_minor,
            reason=body.reason,
            occurred_at=body.occurred_at,
            key=asked.request_key,
            at=asked.counter(body),
            watch=asked.watch,
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
        refusals=(ReceiptUnknown,),
    )
)
def look_at_receipt(asked: Asked, receipt_id: str) -> Mapping[str, Any]:
    """A receipt in words."""
    return answers.with_reasons(
        checkout.why(
            installation().store,
            programme=asked.caller.programme,
            receipt_id=number(receipt_id, ReceiptUnknown),
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
        refusals=refusals.UNDO,
    )
)
def undo_receipt(asked: Asked, body: wire.UndoAsked, receipt_id: str) -> Mapping[str, Any]:
    """A reversing entry."""
    return answers.receipt(
        checkout.undo(
            installation().store,
            programme=asked.caller.programme,
            receipt_id=number(receipt_id, ReceiptUnknown),
            key=asked.request_key,
            at=asked.counter(body),
            now=now(),
        )
    )


def _claim_url(asked: Asked, booked: Sale) -> str:
    proof = installation().keys.claim_proof(asked.caller.loaded.id, booked.id)
    path = url_for("join.form", slug=asked.caller.programme, claim=f"{booked.id}.{proof}")
    return installation().public_url + path


def _pieces(body: wire.ReturnPreviewAsked | wire.SaleReturnAsked) -> dict[int, int] | None:
    return {line.number: line.quantity for line in body.lines} or None


def _bought(asked: Asked, body: wire.QuoteAsked, at: datetime | None = None) -> dict[str, Any]:
    return {
        # What a till reports late was looked up when it happened.
        "code": card_of(asked, body.code, at)[0],
        "amount_minor": body.amount_minor,
        "lines": [line.line() for line in body.lines],
        "discount_minor": body.discount_minor,
        "unearning_minor": body.unearning_minor,
        "tenders": [one.tender() for one in body.tenders],
        "offer_codes": body.offer_codes,
        "takes_discounts": body.takes_discounts,
    }


COUNTER.include(PEOPLE)
COUNTER.include(HOLDS)
