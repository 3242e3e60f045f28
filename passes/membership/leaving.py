"""A member leaves: points lapse, cards end everywhere, the person is forgotten, the books still balance."""

from __future__ import annotations

from datetime import datetime, timedelta

from passes.booking import Booking
from passes.loyalty.dates import day_number, local_date
from passes.loyalty.ledger import PostingKind
from passes.loyalty.receipt import Counter, ReceiptKind
from passes.loyalty.stamps import STAMPS
from passes.store import Store, Work, cards, due, journal, members, merging, programmes, redemptions, tills
from passes.store import membership as rows
from passes.store.instants import micros
from passes.store.members import Standing
from passes.store.membership import Link
from passes.store.programmes import Loaded


def leave(store: Store, found: Link, *, now: datetime) -> None:
    """End the membership behind a card for good; said again, it changes nothing more.

    What was set aside comes back, what waits opens, and all of it lapses with
    the stamps and the rewards in hand. Every card is withdrawn, which the
    worker tells the phones. What is known of the person goes, also from members
    that were merged into this one; the books keep their ids.
    """

    def decide(work: Work) -> None:
        loaded = programmes.by_id(work, found.programme_id)
        standing = members.standing(members.of_card(work, loaded.id, found.card_id))
        if standing is None or standing.voided_at is not None:
            return
        _forfeit(work, loaded, standing, now)
        merged = merging.merges_into(work, loaded.id, standing.member_id)
        everybody = [standing.member_id, *(row.loser_id for row in merged)]
        for member_id in everybody:
            for card_id in rows.cards_of(work, loaded.id, member_id):
                cards.void(work, loaded.id, card_id, now=now)
            known = rows.person_of(work, loaded.id, member_id)
            tills.forget(work, loaded.id, member_id, known, now=micros(now))
            rows.forget(work, loaded.id, member_id, now=now)
            for row in rows.merges_of(work, loaded.id, member_id):
                rows.forget_merge(work, loaded.id, row)
        rows.note(work, loaded.id, action="member.leave", about=f"member {standing.member_id}", now=now)

    store.write(decide)


def _forfeit(work: Work, loaded: Loaded, standing: Standing, now: datetime) -> None:
    """Let everything lapse that the member has, on one receipt."""
    at = Counter(channel="online")
    booking = Booking(work, loaded, standing, kind=ReceiptKind.EXPIRE, at=at, occurred_at=now, now=now)
    for hold in rows.open_holds(work, loaded.id, standing.member_id):
        booking.end_hold(hold, becomes=redemptions.VOIDED, rule="release")
    if standing.pending_account_id is not None:
        booking.open_early(journal.open_lots(work, loaded.id, standing.pending_account_id))
    lapsed = booking.expire(journal.open_lots(work, loaded.id, standing.points_account_id), at=now)
    stamps = 0
    if standing.stamps_account_id is not None:
        lots = journal.open_lots(work, loaded.id, standing.stamps_account_id)
        stamps = sum(lot.remaining for lot in lots)
        if stamps:
            booking.spend(stamps, kind=PostingKind.EXPIRE, asset=STAMPS)
            booking.reasons.append({"rule": "expire", "asset": STAMPS, "points": stamps})
    for row in redemptions.issued_to(work, loaded.id, standing.member_id):
        redemptions.change(work, loaded.id, row.id, was=redemptions.ISSUED, becomes=redemptions.EXPIRED)
    if lapsed or stamps or booking.reasons:
        booking.reasons.append({"rule": "leave", "points": -lapsed})
        booking.finish()


PHONES_KEPT = timedelta(days=30)
"""A phone that was off learns that the card is over when it comes back within this time."""

_DAILY = "due:phones"
_AT_ONCE = 100


def forget_phones_due(store: Store, *, now: datetime) -> int:
    """Forget how phones of people who left are reached, once for each local day. Returns how many.

    Until then they are told that the card is over, and may ask for its last version.
    """
    with store.read() as read:
        standing = programmes.every(read)
    return sum(_forget_phones(store, loaded, now=now) for loaded in standing)


def _forget_phones(store: Store, loaded: Loaded, *, now: datetime) -> int:
    today = day_number(local_date(now, loaded.programme.zone))
    with store.read() as read:
        if due.marked_day(read, loaded.id, _DAILY) == today:
            return 0
        phones = rows.phones_of_the_gone(read, loaded.id, before=now - PHONES_KEPT)
    for start in range(0, len(phones), _AT_ONCE):
        part = phones[start : start + _AT_ONCE]
        store.write(lambda work, part=part: rows.forget_phones(work, part))  # type: ignore[misc]
    store.write(lambda work: due.mark_day(work, loaded.id, _DAILY, today))
    return len(phones)
