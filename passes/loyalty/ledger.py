"""The books: what a posting may mean, and lots as plain values.

A posting moves a positive amount of one asset from one account to another, so
an unbalanced entry cannot be written. Nothing is edited: a correction is a
posting that reverses another. Lots remember which points expire when.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from datetime import datetime
from enum import StrEnum


class OwnerKind(StrEnum):
    """Whose account it is. Never a card's: cards come and go, members stay."""

    MEMBER = "member"
    POOL = "pool"
    PARTNER = "partner"
    SYSTEM = "system"


class Bucket(StrEnum):
    """What the points in an account are waiting for, or where they went."""

    AVAILABLE = "available"
    PENDING = "pending"
    HELD = "held"
    ISSUE = "issue"
    REDEEMED = "redeemed"
    EXPIRED = "expired"
    CLAWBACK = "clawback"
    ADJUST = "adjust"
    MERGED = "merged"


POINTS = "points"
"""The asset every programme has."""


class PostingKind(StrEnum):
    """Why points moved."""

    EARN = "earn"
    BONUS = "bonus"  # given without a purchase: welcome, birthday
    ACTIVATE = "activate"
    HOLD = "hold"
    VOID = "void"
    CAPTURE = "capture"
    REDEEM = "redeem"  # hold and capture in one step, at the till
    CLAWBACK = "clawback"
    RESTORE = "restore"
    EXPIRE = "expire"
    ADJUST = "adjust"
    TRANSFER = "transfer"
    MERGE = "merge"
    POOL = "pool"
    REVERSAL = "reversal"  # undoes the posting it names


_A, _P, _H = Bucket.AVAILABLE, Bucket.PENDING, Bucket.HELD

ROUTES: Mapping[PostingKind, frozenset[tuple[Bucket, Bucket]]] = {
    PostingKind.EARN: frozenset({(Bucket.ISSUE, _P), (Bucket.ISSUE, _A)}),
    PostingKind.BONUS: frozenset({(Bucket.ISSUE, _P), (Bucket.ISSUE, _A)}),
    PostingKind.ACTIVATE: frozenset({(_P, _A)}),
    PostingKind.HOLD: frozenset({(_A, _H)}),
    PostingKind.VOID: frozenset({(_H, _A)}),
    PostingKind.CAPTURE: frozenset({(_H, Bucket.REDEEMED)}),
    PostingKind.REDEEM: frozenset({(_A, Bucket.REDEEMED)}),
    PostingKind.CLAWBACK: frozenset({(_P, Bucket.CLAWBACK), (_A, Bucket.CLAWBACK)}),
    PostingKind.RESTORE: frozenset({(Bucket.REDEEMED, _A)}),
    PostingKind.EXPIRE: frozenset({(_A, Bucket.EXPIRED)}),
    PostingKind.ADJUST: frozenset({(Bucket.ADJUST, _A), (_A, Bucket.ADJUST)}),
    PostingKind.TRANSFER: frozenset({(_A, _A)}),
    # By way of an account that is always empty again: so each posting has one
    # member's side, and belongs to that member's receipt.
    PostingKind.MERGE: frozenset({(way, Bucket.MERGED) for way in (_A, _P)})
    | frozenset({(Bucket.MERGED, way) for way in (_A, _P)}),
    PostingKind.POOL: frozenset({(_A, _A)}),
}
"""Between which buckets each kind moves; a reversal goes any of these ways backwards."""

NAMES_ANOTHER = frozenset(
    {
        PostingKind.REVERSAL,
        PostingKind.CAPTURE,
        PostingKind.VOID,
        PostingKind.CLAWBACK,
        PostingKind.RESTORE,
    }
)
"""The kinds that belong to an earlier posting: a capture to its hold, a restore to what it gives back."""

MAY_OVERDRAW = frozenset({PostingKind.CLAWBACK, PostingKind.ADJUST, PostingKind.REVERSAL, PostingKind.MERGE})
"""The kinds that may leave a member below zero. All others need the balance first."""


def check_movement(
    kind: PostingKind, source: Bucket, target: Bucket, amount: int, *, reverses: int | None
) -> None:
    """Raise ValueError for a posting that the journal could not mean.

    `source` and `target` are what the points in the two accounts wait for,
    `reverses` the id of the earlier posting that this one belongs to.
    """
    if amount <= 0:
        raise ValueError(f"a posting moves a positive amount, not {amount}")
    if kind is PostingKind.REVERSAL:
        if reverses is None:
            raise ValueError("a reversal names the posting it undoes")
        return
    if reverses is not None and kind not in NAMES_ANOTHER:
        raise ValueError(f"{kind} does not undo another posting")
    if (source, target) not in ROUTES[kind]:
        raise ValueError(f"{kind} does not go from {source} to {target}")


# Lots -----------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class Lot:
    """Points that were earned together and expire together; 0 ≤ remaining ≤ original.

    Spendable from when they are opened at `available_at` while `now < expires_at`;
    None means never expires. `pending` ones still stand in the account of waiting points.
    """

    id: int
    original: int
    remaining: int
    earned_at: datetime
    available_at: datetime
    expires_at: datetime | None = None
    pending: bool = False

    def __post_init__(self) -> None:
        if not 0 <= self.remaining <= self.original:
            raise ValueError(f"lot {self.id}: {self.remaining} of {self.original} cannot remain")


@dataclass(frozen=True, slots=True)
class Consumption:
    """`amount` was taken from a lot; kept so that a restore is exact."""

    lot_id: int
    amount: int


def spendable(lots: Iterable[Lot], now: datetime) -> tuple[Lot, ...]:
    """The lots that count at this moment, in the order in which they are used up.

    What waits is `pending`, whatever the clock says: of two machines that book
    for one member the second may be a moment behind.
    """
    return tuple(
        lot for lot in in_order(lots) if not lot.pending and (lot.expires_at is None or now < lot.expires_at)
    )


def in_order(lots: Iterable[Lot]) -> tuple[Lot, ...]:
    """Soonest expiry first (never expiring last), then the oldest, then the lowest id."""
    return tuple(
        sorted(
            lots,
            key=lambda lot: (
                lot.expires_at is None,
                lot.expires_at or lot.earned_at,
                lot.earned_at,
                lot.id,
            ),
        )
    )


def consume(lots: Iterable[Lot], amount: int) -> tuple[Consumption, ...]:
    """Which lots pay for `amount`, in order.

    Takes what there is: where the lots hold less, the rest is the deficit that
    only a kind in MAY_OVERDRAW may leave behind. ValueError for a negative amount.
    """
    if amount < 0:
        raise ValueError(f"cannot consume {amount}")
    taken = []
    for lot in in_order(lots):
        part = min(lot.remaining, amount)
        if part:
            taken.append(Consumption(lot.id, part))
            amount -= part
    return tuple(taken)
