"""The books: accounts, postings and lots as plain values.

A posting moves a positive amount of one asset from one account to another, so
an unbalanced entry cannot be written. Nothing is edited: a correction is a
posting that reverses another. Lots remember which points expire when.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, replace
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


@dataclass(frozen=True, slots=True)
class Owner:
    """`id` is the member's, pool's or partner's; for the system its programme's slug."""

    kind: OwnerKind
    id: int | str


@dataclass(frozen=True, slots=True)
class Account:
    """One asset of one owner in one state."""

    owner: Owner
    asset: str
    bucket: Bucket


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


@dataclass(frozen=True, slots=True)
class Posting:
    """`amount` of `asset` goes from `source` to `target`.

    `id` is None until it is stored; `reverses` is the id of the posting undone.
    ValueError for anything the journal could not mean.
    """

    kind: PostingKind
    asset: str
    source: Account
    target: Account
    amount: int
    id: int | None = None
    reverses: int | None = None

    def __post_init__(self) -> None:
        if self.amount <= 0:
            raise ValueError(f"a posting moves a positive amount, not {self.amount}")
        if not self.asset == self.source.asset == self.target.asset:
            raise ValueError("a posting has one asset")
        if self.source == self.target:
            raise ValueError("a posting needs two accounts")
        if self.kind is PostingKind.REVERSAL and self.reverses is None:
            raise ValueError("a reversal names the posting it undoes")
        if self.reverses is not None and self.kind not in NAMES_ANOTHER:
            raise ValueError(f"{self.kind} does not undo another posting")
        if self.kind is not PostingKind.REVERSAL:
            way = (self.source.bucket, self.target.bucket)
            if way not in ROUTES[self.kind]:
                raise ValueError(f"{self.kind} does not go from {way[0]} to {way[1]}")


def member_account(member: int, bucket: Bucket = Bucket.AVAILABLE, asset: str = POINTS) -> Account:
    """An account of a member."""
    return Account(Owner(OwnerKind.MEMBER, member), asset, bucket)


def system_account(programme: str, bucket: Bucket, asset: str = POINTS) -> Account:
    """An account of the programme itself; it may be below zero."""
    return Account(Owner(OwnerKind.SYSTEM, programme), asset, bucket)


def reverse(posting: Posting) -> Posting:
    """The posting that undoes this one, which must be stored. ValueError when it is itself a reversal."""
    if posting.id is None:
        raise ValueError("only a stored posting can be reversed")
    if posting.kind is PostingKind.REVERSAL:
        raise ValueError("a reversal is not reversed: the business is done anew")
    return replace(
        posting,
        kind=PostingKind.REVERSAL,
        source=posting.target,
        target=posting.source,
        id=None,
        reverses=posting.id,
    )


def balances(postings: Iterable[Posting]) -> dict[Account, int]:
    """What every account holds after these postings; the sum over an asset is always 0."""
    result: dict[Account, int] = {}
    for posting in postings:
        result[posting.source] = result.get(posting.source, 0) - posting.amount
        result[posting.target] = result.get(posting.target, 0) + posting.amount
    return result


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
        lot
        for lot in in_order(lots)
        if not lot.pending and (lot.expires_at is None or now < lot.expires_at)
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


def after(lots: Iterable[Lot], taken: Iterable[Consumption]) -> tuple[Lot, ...]:
    """The lots once these consumptions happened, in the order given."""
    amounts = _by_lot(taken)
    return tuple(replace(lot, remaining=lot.remaining - amounts.get(lot.id, 0)) for lot in lots)


def restore(lots: Iterable[Lot], taken: Iterable[Consumption]) -> tuple[Lot, ...]:
    """The lots once these consumptions were undone: the same points with their old expiry."""
    amounts = _by_lot(taken)
    return tuple(replace(lot, remaining=lot.remaining + amounts.get(lot.id, 0)) for lot in lots)


def absorb(lot: Lot, deficit: int) -> tuple[Lot, int]:
    """A new credit fills a hole first: the lot with what is left of it, and the deficit that stays."""
    filled = min(lot.remaining, max(deficit, 0))
    return replace(lot, remaining=lot.remaining - filled), deficit - filled


def deficit_of(available: int, lots: Iterable[Lot]) -> int:
    """How far an account is below what its lots hold: Σ remaining − deficit = available."""
    return sum(lot.remaining for lot in lots) - available


def _by_lot(taken: Iterable[Consumption]) -> dict[int, int]:
    amounts: dict[int, int] = {}
    for consumption in taken:
        amounts[consumption.lot_id] = amounts.get(consumption.lot_id, 0) + consumption.amount
    return amounts


def total(lots: Iterable[Lot]) -> int:
    """What the lots hold together."""
    return sum(lot.remaining for lot in lots)
