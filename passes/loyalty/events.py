"""What the shop's own programs can be told of: kinds of events, by the names that travel."""

from __future__ import annotations

from collections.abc import Mapping
from enum import StrEnum

from passes.loyalty.receipt import ReceiptKind


class EventKind(StrEnum):
    """What happened. Standard Webhooks asks for names in parts, apart by full stops."""

    PURCHASE_BOOKED = "purchase.booked"
    RETURN_BOOKED = "return.booked"
    REWARD_REDEEMED = "reward.redeemed"
    REWARD_HELD = "reward.held"
    REWARD_CAPTURED = "reward.captured"
    REWARD_RELEASED = "reward.released"
    RECEIPT_UNDONE = "receipt.undone"
    POINTS_WELCOME = "points.welcome"
    POINTS_ACTIVATED = "points.activated"
    POINTS_EXPIRED = "points.expired"
    POINTS_BIRTHDAY = "points.birthday"
    POINTS_ACTION = "points.action"
    POINTS_ADJUSTED = "points.adjusted"
    POINTS_MERGED = "points.merged"
    MEMBER_JOINED = "member.joined"
    MEMBER_LEFT = "member.left"
    MEMBER_MERGED = "member.merged"
    MEMBER_PARTED = "member.parted"
    CARD_ADDED = "card.added"
    CARD_REMOVED = "card.removed"
    PING = "ping"


OF_RECEIPTS: Mapping[ReceiptKind, EventKind] = {
    ReceiptKind.ACCRUE: EventKind.PURCHASE_BOOKED,
    ReceiptKind.RETURN: EventKind.RETURN_BOOKED,
    ReceiptKind.REDEEM: EventKind.REWARD_REDEEMED,
    ReceiptKind.HOLD: EventKind.REWARD_HELD,
    ReceiptKind.CAPTURE: EventKind.REWARD_CAPTURED,
    ReceiptKind.VOID: EventKind.REWARD_RELEASED,
    ReceiptKind.UNDO: EventKind.RECEIPT_UNDONE,
    ReceiptKind.WELCOME: EventKind.POINTS_WELCOME,
    ReceiptKind.ACTIVATE: EventKind.POINTS_ACTIVATED,
    ReceiptKind.EXPIRE: EventKind.POINTS_EXPIRED,
    ReceiptKind.BIRTHDAY: EventKind.POINTS_BIRTHDAY,
    ReceiptKind.ACTION: EventKind.POINTS_ACTION,
    ReceiptKind.ADJUST: EventKind.POINTS_ADJUSTED,
    ReceiptKind.MERGE: EventKind.POINTS_MERGED,
}
"""Every receipt is one event."""

CHOOSABLE = tuple(kind for kind in EventKind if kind is not EventKind.PING)
"""What a webhook can be told of; a ping only tries the way."""
