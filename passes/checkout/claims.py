"""A guest who was given a receipt joins, and the sale becomes theirs."""

from __future__ import annotations

import re
from dataclasses import dataclass
from datetime import datetime

from passes.checkout import arrival, purchases
from passes.loyalty.money import Money
from passes.loyalty.receipt import Counter, Receipt
from passes.loyalty.refusals import AlreadyClaimed, ClaimTooLate, SaleUnknown
from passes.server_keys import ServerKeys
from passes.store import Read, Store, Work, programmes
from passes.store import returns as returned
from passes.store.programmes import Loaded


def claim(
    store: Store,
    *,
    programme: str,
    code: str,
    sale_id: int,
    amount_minor: int | None,
    key: str,
    at: Counter,
    now: datetime,
) -> Receipt:
    """Give a member the points of a sale that was booked without one.

    The receipt's number and its total prove who was there; `amount_minor` is
    None where the receipt itself was shown (`proven_sale`). The points are
    those of the day of the sale, and wait and last as if it had been booked
    then. Once, and within the programme's days. Raises SaleUnknown (also for
    another total), AlreadyClaimed, ClaimTooLate, OwnCard also for whoever sold
    it, and what `accrue` raises for codes and keys.
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
        if sold is None or amount_minor not in (None, sold.net_minor):
            raise SaleUnknown()
        _refuse(work, loaded, sold, now)
        # What guests leave behind is not for those who sold it to them.
        arrival.refuse_own(work, loaded, standing.member_id, sold.person)
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


@dataclass(frozen=True, slots=True)
class Claimable:
    """A sale that somebody may still make theirs, until an instant."""

    amount: Money
    until: datetime


def claimable(store: Store, *, programme: str, sale_id: int, now: datetime) -> Claimable:
    """What the holder of a receipt may claim. Raises SaleUnknown, AlreadyClaimed, ClaimTooLate."""
    with store.read() as read:
        loaded = programmes.by_slug(read, programme)
        sold = returned.sale(read, loaded.id, sale_id) if 0 < sale_id < arrival.ID_LIMIT else None
        if sold is None:
            raise SaleUnknown()
        until = _refuse(read, loaded, sold, now)
    return Claimable(Money(sold.net_minor, loaded.programme.currency), until)


def proven_sale(keys: ServerKeys, loaded: Loaded, text: str) -> int:
    """The number of the sale whose receipt was shown: `NUMBER.PROOF`, or an address that ends so.

    Raises SaleUnknown for a number that somebody made up.
    """
    found = _CLAIM.search(text)
    if found is None or not keys.is_claim_proof(found["proof"], loaded.id, int(found["sale"])):
        raise SaleUnknown()
    return int(found["sale"])


_CLAIM = re.compile(r"(?:\A|claim=)(?P<sale>[1-9][0-9]{0,18})\.(?P<proof>[A-Za-z0-9_-]{16})\Z", re.ASCII)


def _refuse(read: Read, loaded: Loaded, sold: returned.Sold, now: datetime) -> datetime:
    """Refuse a sale that nobody can claim any more; returns until when this one can be."""
    if sold.voided:
        raise SaleUnknown()
    if sold.member_id is not None:
        raise AlreadyClaimed()
    until = purchases.claim_until(loaded.programme, sold.occurred_at)
    if until is None or now >= until:
        raise ClaimTooLate()
    if returned.any_of(read, loaded.id, sold.id):
        raise SaleUnknown()
    return until
