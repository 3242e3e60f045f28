"""Points open, and points lapse: booked for many members at a time."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import replace
from datetime import date, datetime, timedelta
from functools import lru_cache
from itertools import groupby
from typing import Any

from passes.due_work.turns import each
from passes.loyalty import dates
from passes.loyalty.ledger import Bucket, PostingKind
from passes.loyalty.programme import Programme
from passes.loyalty.receipt import ReceiptKind
from passes.loyalty.stamps import STAMPS
from passes.store import Store, Work, due
from passes.store.due import Bookings, DueLot
from passes.store.ids import block_of_ids
from passes.store.instants import instant, micros
from passes.store.programmes import Loaded


def activate_due(store: Store, *, now: datetime, limit: int | None = None) -> int:
    """Let points be spent that waited long enough. Returns how many lots."""

    def decide(work: Work, loaded: Loaded, most: int) -> int:
        lots = due.ripe_lots(work, loaded.id, at=now, limit=most)
        if not lots:
            # Only now: these have no index of their own among all that still wait.
            return due.open_emptied(work, loaded.id, at=now, limit=most)
        _book(work, loaded, _activations(loaded, lots, now), now)
        return len(lots)

    return each(store, decide, limit)


def expire_due(store: Store, *, now: datetime, limit: int | None = None) -> int:
    """Let points lapse whose time is over, dated at the instant at which they lapsed. Returns how many lots.

    Where a member's level suspends expiry, they are looked at again when it ends.
    """

    def decide(work: Work, loaded: Loaded, most: int) -> int:
        lots = due.lapsed_lots(work, loaded.id, at=now, limit=most)
        suspending = _suspending(loaded.programme)
        kept = [lot for lot in lots if lot.tier in suspending]
        due.extend_lots(work, loaded.id, {lot.id: _until_level_ends(lot.tier_due_at, now) for lot in kept})
        over = [lot for lot in lots if lot.tier not in suspending]
        _book(work, loaded, _expiries(loaded, over, "expire", now), now)
        return len(lots)

    return each(store, decide, limit)


def lapse_idle_due(store: Store, *, now: datetime, limit: int | None = None) -> int:
    """Let all points of members lapse who did nothing for as long as the programme says. Returns how many."""

    def decide(work: Work, loaded: Loaded, most: int) -> int:
        idle, lots = due.idle_lots(work, loaded.id, at=now, limit=most)
        suspending = _suspending(loaded.programme)
        again: dict[int, int | None] = dict.fromkeys(idle)
        for lot in lots:
            if lot.tier in suspending:
                again[lot.member_id] = _until_level_ends(lot.tier_due_at, now)
        due.lapse_again(work, loaded.id, again)
        # What came after the lapse, while nobody looked, stays.
        over = [
            replace(lot, expires_at=lot.points_lapse_at)
            for lot in lots
            if lot.tier not in suspending and lot.available_at < (lot.points_lapse_at or 0)
        ]
        _book(work, loaded, _expiries(loaded, over, "inactivity", now), now)
        return len(idle)

    return each(store, decide, limit)


def _activations(loaded: Loaded, lots: Sequence[DueLot], now: datetime) -> Bookings:
    """What opening these lots means; a balance below zero swallows its share first."""
    booked = Bookings()
    ids = iter(block_of_ids(now, 2 * len(lots)))
    for of_member in _by_member(lots, lambda lot: lot.available_at):
        balance = of_member[0].balance
        for _, of_day in groupby(of_member, lambda lot: _local_day(lot.available_at, loaded.programme.zone)):
            receipt_id, before, reasons, at = next(ids), balance, [], 0
            for lot in of_day:
                booked.opened[lot.id] = lot.points_account_id
                posting_id, at = next(ids), lot.available_at
                booked.postings.append(
                    {
                        "id": posting_id,
                        "receipt_id": receipt_id,
                        "kind": PostingKind.ACTIVATE.value,
                        "asset": lot.asset,
                        "source": lot.account_id,
                        "target": lot.points_account_id,
                        "amount": lot.remaining,
                        "occurred_at": lot.available_at,
                    }
                )
                if swallowed := min(lot.remaining, max(-balance, 0)):
                    booked.take(lot.id, posting_id, swallowed)
                booked.move(lot.account_id, -lot.remaining)
                booked.move(lot.points_account_id, lot.remaining)
                balance += lot.remaining
                reasons.append({"rule": "activate", "points": lot.remaining, "lot": lot.id})
            _add_receipt(
                booked,
                of_member[0],
                receipt_id,
                ReceiptKind.ACTIVATE,
                points=0,
                balance_change=balance - before,
                balance_after=balance,
                at=at,
                reasons=reasons,
            )
    return booked


def _expiries(loaded: Loaded, lots: Sequence[DueLot], rule: str, now: datetime) -> Bookings:
    """What lapsing of these lots means: a receipt for each member and local day."""
    booked = Bookings()
    ids = iter(block_of_ids(now, 2 * len(lots)))
    for of_member in _by_member(lots, _lapsed_at):
        balance = of_member[0].balance
        for _, of_day in groupby(of_member, lambda lot: _local_day(_lapsed_at(lot), loaded.programme.zone)):
            receipt_id, before, stamps, reasons, at = next(ids), balance, 0, [], 0
            for lot in of_day:
                posting_id, at = next(ids), _lapsed_at(lot)
                booked.postings.append(
                    {
                        "id": posting_id,
                        "receipt_id": receipt_id,
                        "kind": PostingKind.EXPIRE.value,
                        "asset": lot.asset,
                        "source": lot.account_id,
                        "target": _expired_account(loaded, lot.asset),
                        "amount": lot.remaining,
                        "occurred_at": at,
                    }
                )
                booked.take(lot.id, posting_id, lot.remaining)
                booked.move(lot.account_id, -lot.remaining)
                if lot.asset == STAMPS:
                    stamps -= lot.remaining
                else:
                    balance -= lot.remaining
                reasons.append({"rule": rule, "asset": lot.asset, "points": lot.remaining, "lot": lot.id})
            _add_receipt(
                booked,
                of_member[0],
                receipt_id,
                ReceiptKind.EXPIRE,
                points=balance - before,
                balance_change=balance - before,
                balance_after=balance,
                stamps=stamps,
                at=at,
                reasons=reasons,
            )
    return booked


def _book(work: Work, loaded: Loaded, booked: Bookings, now: datetime) -> None:
    due.keep_bookings(work, loaded.id, booked, programme_version=loaded.version, now=now)


def _add_receipt(
    booked: Bookings,
    lot: DueLot,
    receipt_id: int,
    kind: ReceiptKind,
    *,
    points: int,
    balance_change: int,
    balance_after: int,
    at: int,
    reasons: Sequence[Mapping[str, Any]],
    stamps: int = 0,
) -> None:
    booked.members.add(lot.member_id)
    booked.receipts.append(
        {
            "id": receipt_id,
            "kind": kind.value,
            "member_id": lot.member_id,
            "card_id": lot.card_id,
            "points": points,
            "balance_change": balance_change,
            "balance_after": balance_after,
            "stamps": stamps,
            "occurred_at": at,
            "reasons": json.dumps(reasons, separators=(",", ":")),
        }
    )


def _by_member(lots: Sequence[DueLot], at: Callable[[DueLot], int]) -> Iterator[list[DueLot]]:
    ordered = sorted(lots, key=lambda lot: (lot.member_id, at(lot), lot.id))
    for _, of_member in groupby(ordered, lambda lot: lot.member_id):
        yield list(of_member)


def _lapsed_at(lot: DueLot) -> int:
    """The instant at which a lot lapsed: not before its points could be spent at all."""
    assert lot.expires_at is not None
    return max(lot.expires_at, lot.available_at)


def _expired_account(loaded: Loaded, asset: str) -> int:
    bucket = Bucket.EXPIRED.value
    return loaded.accounts[f"{STAMPS}:{bucket}" if asset == STAMPS else bucket]


def _suspending(rules: Programme) -> frozenset[str]:
    """The levels on which points do not lapse."""
    return frozenset(tier.key for tier in rules.tiers if tier.points_last)


def _until_level_ends(tier_due_at: int | None, now: datetime) -> int | None:
    """When to look again at what a level suspends. A review that is due itself comes first, so: tomorrow."""
    if tier_due_at is not None and tier_due_at <= micros(now):
        return micros(now + timedelta(days=1))
    return tier_due_at


# Most lots of a run lapse at the same few midnights.
@lru_cache(maxsize=4096)
def _local_day(at: int, zone: str) -> date:
    return dates.local_date(instant(at), zone)
