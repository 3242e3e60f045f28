"""What was found or booked, as `wire` describes the answers of the API."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime
from decimal import Decimal
from fractions import Fraction
from typing import Any

from passes.checkout import (
    AsMoney,
    MemberView,
    Quote,
    Receipt,
    Returnable,
    RewardView,
    Why,
    refund_of,
)
from passes.loyalty.explanation import Explained


def receipt(booked: Receipt) -> dict[str, Any]:
    """A receipt as `ReceiptAnswer` describes it."""
    return booked.told()


def with_reasons(found: Why) -> dict[str, Any]:
    """As `ReceiptWithReasons`."""
    return {**receipt(found.receipt), "why": _reasons(found.parts)}


def quote(found: Quote) -> dict[str, Any]:
    """As `QuoteAnswer`."""
    return {
        "pay_minor": found.pay_minor,
        "discount_minor": found.discount_minor,
        "points": found.points,
        "balance": found.balance_after,
        "offers": [
            {
                "key": one.key,
                "discount_minor": one.discount_minor,
                "refused": one.refused,
                "words": one.words,
            }
            for one in found.offers
        ],
        "why": _reasons(found.why),
        "as_money": [_as_money(one) for one in found.as_money],
        "approval": [{"why": one.why.value, "words": one.words} for one in found.approval],
    }


def member(found: MemberView, *, identified: str, now: datetime) -> dict[str, Any]:
    """As `MemberAnswer`."""
    return {
        "member_id": str(found.member_id),
        "card_id": str(found.card_id),
        "code": found.code,
        "name": found.name,
        "identified": identified,
        "balance": found.balance,
        "unit": found.unit,
        "tier": found.tier_key,
        "tier_name": found.tier_name,
        "pending": found.pending,
        "held": found.held,
        "stamps": found.stamps,
        "stamps_needed": found.stamps_needed,
        "issued": [
            {"id": str(one.id), "key": one.key, "name": one.name, "expires_at": one.expires_at}
            for one in found.issued
        ],
        "rewards": [_reward(one) for one in found.rewards],
        "next_reward": _reward(found.next_reward) if found.next_reward else None,
        "as_money": [_as_money(one) for one in found.as_money],
        "offers": [
            {"key": one.key, "title": one.title, "text": one.text, "ends_at": one.ends_at}
            for one in found.offers
        ],
        "recent": [receipt(one) for one in found.recent],
        "last_visit_at": found.last_visit_at,
        "expiring": {"points": found.lapsing.points, "at": found.lapsing.at} if found.lapsing else None,
        "birthday": found.is_birthday,
        "as_of": now,
    }


def _reward(one: RewardView) -> dict[str, Any]:
    return {
        "key": one.key,
        "name": one.name,
        "kind": one.kind.value,
        "points": one.points,
        "missing": one.missing,
        "ready": one.ready,
        "refused": one.refused,
        "why": one.why,
    }


def _as_money(one: AsMoney) -> dict[str, Any]:
    return {
        "reward": one.reward_key,
        "name": one.name,
        "least": one.least,
        "most": one.most,
        "step": one.step,
        "step_minor": one.step_minor,
    }


def returnable(receipt_id: int, currency: str, lines: Sequence[Returnable]) -> dict[str, Any]:
    """As `ReturnableAnswer`."""
    return {
        "receipt_id": str(receipt_id),
        "currency": currency,
        "paid_minor": sum(line.paid_minor for line in lines),
        "lines": [
            {
                "number": line.number,
                "name": line.name,
                "category": line.category,
                "sold": line.sold,
                "quantity": line.quantity,
                "paid_minor": line.paid_minor,
            }
            for line in lines
        ],
    }


def return_preview(shown: Receipt) -> dict[str, Any]:
    """As `ReturnPreview`."""
    return {
        "amount_minor": shown.amount_minor,
        "refund_minor": refund_of(shown),
        "currency": shown.currency,
        "points": shown.points,
        "stamps": shown.stamps,
        "balance_before": shown.balance_before,
        "balance": shown.balance_after,
    }


def _reasons(parts: tuple[Explained, ...]) -> list[dict[str, Any]]:
    return [{"words": part.words, "points": _exact(part.points)} for part in parts]


def _exact(points: Fraction) -> str:
    digits = Decimal(points.numerator) / points.denominator
    return f"{digits:f}" if Fraction(digits) == points else f"{points.numerator}/{points.denominator}"
