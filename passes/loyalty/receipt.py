"""What the till got back: one receipt for every movement that a person caused."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace
from datetime import datetime
from enum import StrEnum
from typing import Any

import orjson


class ReceiptKind(StrEnum):
    """What happened."""

    ACCRUE = "accrue"
    REDEEM = "redeem"
    UNDO = "undo"
    WELCOME = "welcome"
    HOLD = "hold"
    CAPTURE = "capture"
    VOID = "void"
    RETURN = "return"
    ACTIVATE = "activate"
    EXPIRE = "expire"
    BIRTHDAY = "birthday"
    ACTION = "action"
    ADJUST = "adjust"
    MERGE = "merge"


UNDOABLE = frozenset({ReceiptKind.ACCRUE, ReceiptKind.REDEEM})
"""What a cashier may take back for a while."""


@dataclass(frozen=True, slots=True)
class Counter:
    """Where and by whom: location and till of the programme, the staff member's login."""

    location: str | None = None
    till: str | None = None
    person: str | None = None
    channel: str = "in_store"


@dataclass(frozen=True, slots=True)
class Receipt:
    """One booked movement. `amount_minor` belongs to purchases and returns.

    `points` is what the member gained or lost, points that still wait
    included; `balance_change` what of it moved the balance that can be spent.
    `reasons` explain every point. `undo_until` is None when it cannot be undone.
    """

    id: int
    kind: ReceiptKind
    member_id: int
    card_id: int
    points: int
    balance_change: int
    balance_after: int
    amount_minor: int | None
    currency: str
    reward_key: str | None
    counter: Counter
    occurred_at: datetime
    recorded_at: datetime
    programme_version: int
    reasons: tuple[Mapping[str, Any], ...]
    undoes: int | None = None
    undone_by: int | None = None
    undo_until: datetime | None = None
    stamps: int = 0
    redemption_id: int | None = None

    @property
    def balance_before(self) -> int:
        """The balance that this receipt found."""
        return self.balance_after - self.balance_change

    @property
    def is_claim(self) -> bool:
        """Whether it is a sale that a guest made theirs afterwards."""
        return any(reason.get("claimed") for reason in self.reasons)

    @property
    def tier_reached(self) -> str | None:
        """The key of the tier that it lifted the member to."""
        risen = (one for one in self.reasons if one.get("rule") == "tier" and one.get("change") == "upgrade")
        return next((str(one["tier"]) for one in risen if one.get("tier")), None)

    @property
    def stamp_rewards(self) -> int:
        """How many stamp cards it filled, each of which is worth a reward."""
        return sum(int(one.get("rewards") or 0) for one in self.reasons if one.get("rule") == "stamp")

    def may_be_undone(self, now: datetime) -> bool:
        """Whether a cashier may still undo it."""
        return self.undo_until is not None and now < self.undo_until and self.undone_by is None

    def told(self) -> dict[str, Any]:
        """The receipt as programs are told of it, by the API and by webhooks alike."""
        return {
            "id": str(self.id),
            "kind": self.kind.value,
            "card_id": str(self.card_id),
            "member_id": str(self.member_id),
            "points": self.points,
            "stamps": self.stamps,
            "stamp_rewards": self.stamp_rewards,
            "tier_reached": self.tier_reached,
            "balance_before": self.balance_before,
            "balance": self.balance_after,
            "amount_minor": self.amount_minor,
            "refund_minor": refund_of(self) if self.kind is ReceiptKind.RETURN else None,
            "currency": self.currency,
            "reward": self.reward_key,
            "location": self.counter.location,
            "till": self.counter.till,
            "person": self.counter.person,
            "occurred_at": self.occurred_at,
            "recorded_at": self.recorded_at,
            "undo_until": self.undo_until,
            "undoes": None if self.undoes is None else str(self.undoes),
            "undone_by": None if self.undone_by is None else str(self.undone_by),
        }

    def worded(self, words: str) -> Receipt:
        """A return with these words on why the goods came back, other receipts as they are."""
        if self.kind is not ReceiptKind.RETURN:
            return self
        return replace(
            self, reasons=tuple({**one, "words": words} if "words" in one else one for one in self.reasons)
        )

    def as_json(self) -> str:
        """The receipt as kept for its request key.

        What somebody wrote on a return is left out: it may name people, and so
        stands in one place, to be forgotten. Who asks again says it again.
        """
        return orjson.dumps(self.worded("")).decode()

    @classmethod
    def from_json(cls, text: str) -> Receipt:
        """A receipt kept by `as_json`."""
        values = orjson.loads(text)
        return cls(**{**values, **_read(values)})


def refund_of(receipt: Receipt) -> int:
    """The money that a return's receipt pays out, in minor units."""
    return sum(reason["refund_minor"] for reason in receipt.reasons if reason["rule"] == "return")


def _read(values: Mapping[str, Any]) -> dict[str, Any]:
    return {
        "kind": ReceiptKind(values["kind"]),
        "counter": Counter(**values["counter"]),
        "occurred_at": datetime.fromisoformat(values["occurred_at"]),
        "recorded_at": datetime.fromisoformat(values["recorded_at"]),
        "reasons": tuple(values["reasons"]),
        "undo_until": datetime.fromisoformat(values["undo_until"]) if values["undo_until"] else None,
    }
