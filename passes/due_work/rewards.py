"""Rewards that nobody used lapse, and points held for payments that never came go back."""

from __future__ import annotations

from datetime import datetime

from passes.booking import Booking
from passes.due_work.turns import bounds, each
from passes.loyalty.receipt import Counter, ReceiptKind
from passes.store import Store, Work, due, members, programmes, redemptions
from passes.store.instants import instant, micros
from passes.store.programmes import Loaded


def lapse_rewards_due(store: Store, *, now: datetime, limit: int | None = None) -> int:
    """Let rewards lapse that were given and not used in time. Returns how many."""

    def decide(work: Work, loaded: Loaded, most: int) -> int:
        return due.lapse_rewards(work, loaded.id, at=now, limit=most)

    return each(store, decide, limit)


def release_holds_due(store: Store, *, now: datetime, limit: int | None = None) -> int:
    """Give back points held for payments that never came, and the rewards they were for. Returns how many."""
    most, _ = bounds(store, limit)
    with store.read() as read:
        held = [
            (loaded, hold_id)
            for loaded in programmes.every(read)
            for hold_id in due.lapsed_holds(read, loaded.id, at=now, limit=most)
        ]
    return sum(
        store.write(lambda work, loaded=loaded, hold_id=hold_id: _release(work, loaded, hold_id, now))  # type: ignore[misc]
        for loaded, hold_id in held
    )


def _release(work: Work, loaded: Loaded, hold_id: int, now: datetime) -> int:
    hold = redemptions.hold_by_id(work, loaded.id, hold_id)
    assert hold is not None
    standing = members.standing(members.of_card(work, loaded.id, hold.card_id))
    # Read again under the member's lock: a till may have resolved or extended it meanwhile.
    hold = redemptions.hold_by_id(work, loaded.id, hold_id)
    assert hold is not None
    assert standing is not None
    if hold.state != redemptions.AUTHORISED or hold.lapses_at > micros(now):
        return 0
    booking = Booking(
        work,
        loaded,
        standing,
        kind=ReceiptKind.VOID,
        at=Counter(),
        occurred_at=instant(hold.lapses_at),
        now=now,
    )
    booking.end_hold(hold, becomes=redemptions.EXPIRED, rule="timeout")
    booking.finish(redemption_id=hold.redemption_id)
    return 1
