"""Taking back: mistakes of the last minutes."""

from __future__ import annotations

from dataclasses import replace
from datetime import datetime

from passes.booking import Booking
from passes.checkout import arrival
from passes.loyalty import dates
from passes.loyalty.receipt import Counter, Receipt, ReceiptKind
from passes.loyalty.refusals import AlreadyUndone, ReceiptUnknown, UndoTooLate
from passes.store import Store, Work, journal, members, purchases
from passes.store.programmes import Finding


def undo(store: Store, *, programme: str, receipt_id: int, key: str, at: Counter, now: datetime) -> Receipt:
    """Reverse a purchase or redemption: new entries, nothing is edited.

    Restored points keep their old lots. Undoing a purchase whose points are
    spent may leave the balance below zero. Raises ReceiptUnknown,
    AlreadyUndone, UndoTooLate, KeyInvalid or KeyReused.
    """
    if not 0 < receipt_id < arrival.ID_LIMIT:
        raise ReceiptUnknown()

    def decide(work: Work) -> Receipt:
        finding = Finding(work, programme)
        asked = journal.Asked(work, finding.id, key, "undo", {"receipt": receipt_id})
        loaded = finding.loaded()
        if (before := asked.before()) is not None:
            return Receipt.from_json(before)
        row, standing = arrival.receipt(work, loaded, receipt_id)
        rules = loaded.programme
        undone = arrival.as_receipt(row, rules)
        if undone.undone_by is not None:
            raise AlreadyUndone()
        if not undone.may_be_undone(now):
            raise UndoTooLate()
        booking = Booking(work, loaded, standing, kind=ReceiptKind.UNDO, at=at, occurred_at=now, now=now)
        booking.reasons.append({"rule": "undo", "receipt": undone.id})
        for entry in journal.postings_of(work, loaded.id, undone.id):
            booking.reverse(entry)
        if undone.kind is ReceiptKind.ACCRUE:
            assert undone.amount_minor is not None
            standing = replace(booking.standing, purchases=booking.standing.purchases - 1)
            if dates.local_date(undone.occurred_at, rules.zone).year == standing.metric_period:
                standing = replace(standing, metric=standing.metric - undone.amount_minor)
            members.keep(work, loaded.id, standing)
            purchases.void(work, loaded.id, row.purchase_id, by=booking.id)
        booked = booking.finish(
            amount_minor=undone.amount_minor,
            purchase_id=row.purchase_id,
            reward_key=undone.reward_key,
            undoes=undone.id,
            face_changed=True,
        )
        journal.mark_undone(work, loaded.id, undone.id, by=booked.id)
        asked.answered(work, booked.as_json(), now=now)
        return booked

    return store.write(decide)
