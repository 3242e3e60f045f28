"""A guest who was given a receipt joins, and the sale becomes theirs."""

from __future__ import annotations

from datetime import datetime

from passes.checkout import arrival, purchases
from passes.loyalty.receipt import Counter, Receipt
from passes.loyalty.refusals import AlreadyClaimed, ClaimTooLate, SaleUnknown
from passes.store import Store, Work
from passes.store import returns as returned


def claim(
    store: Store,
    *,
    programme: str,
    code: str,
    sale_id: int,
    amount_minor: int,
    key: str,
    at: Counter,
    now: datetime,
) -> Receipt:
    """Give a member the points of a sale that was booked without one.

    The receipt's number and its total prove who was there. The points are
    those of the day of the sale, and wait and last as if it had been booked
    then. Once, and within the programme's days. Raises SaleUnknown (also for
    another total), AlreadyClaimed, ClaimTooLate, and what `accrue` raises for
    codes and keys.
    """
    typed = arrival.typed(code)
    content = {"code": typed, "sale": sale_id, "amount_minor": amount_minor}

    def decide(work: Work) -> Receipt:
        arrived = arrival.arrive(work, programme, typed, key, "claim", content, at.person)
        loaded, asked = arrived.loaded, arrived.asked
        if (before := asked.before()) is not None:
            return Receipt.from_json(before)
        standing = arrived.standing(work)
        known = 0 < sale_id < arrival.ID_LIMIT
        sold = returned.sale_locked(work, loaded.id, sale_id) if known else None
        if sold is None or sold.voided or sold.net_minor != amount_minor:
            raise SaleUnknown()
        if sold.member_id is not None:
            raise AlreadyClaimed()
        until = purchases.claim_until(loaded.programme, sold.occurred_at)
        if until is None or now >= until:
            raise ClaimTooLate()
        if returned.any_of(work, loaded.id, sale_id):
            raise SaleUnknown()
        booked = purchases.book(
            work,
            loaded,
            standing,
            sold.basket,
            has_lines=True,
            at=at,
            sale_id=sale_id,
            happened_at=sold.occurred_at,
            now=now,
        )
        asked.answered(work, booked.as_json(), now=now)
        return booked

    return store.write(decide)
