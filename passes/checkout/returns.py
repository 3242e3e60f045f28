"""Goods come back, whole or in part, and with them what they earned and what was spent on them."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, field, replace
from datetime import datetime, timedelta
from typing import Any

import orjson

from passes.booking import Booking
from passes.checkout import arrival, purchases, restoring
from passes.loyalty import dates
from passes.loyalty.basket import Line
from passes.loyalty.lasting import Shortfall
from passes.loyalty.ledger import POINTS, PostingKind
from passes.loyalty.letters import cleaned
from passes.loyalty.money import Money
from passes.loyalty.programme import Programme
from passes.loyalty.receipt import Counter, Receipt, ReceiptKind, refund_of
from passes.loyalty.refusals import (
    AlreadyUndone,
    NotAPurchase,
    PurchaseUnknown,
    ReceiptUnknown,
    ReturnBeforeSale,
    ReturnTooLate,
)
from passes.loyalty.returns import (
    BackLine,
    SoldLine,
    basket_left,
    coming_back,
    earning_left,
    is_nothing,
    left,
    sold,
    unearned,
    withheld,
)
from passes.loyalty.safety import Approved, Watch, watch_return
from passes.loyalty.stamps import STAMPS, stamps_for
from passes.loyalty.tiers import OnReturn, TierMetric
from passes.store import Row, Store, Work, journal, members, merging, offers, programmes
from passes.store import returns as returned
from passes.store.instants import micros
from passes.store.members import Standing
from passes.store.programmes import Finding, Loaded

_REASON_LENGTH_MAX = 200


@dataclass(frozen=True, slots=True)
class SaleReturned:
    """Goods of a sale without a member came back; `refund_minor` is paid out."""

    id: int
    purchase_id: int
    lines: tuple[BackLine, ...]
    refund_minor: int
    currency: str


@dataclass(frozen=True, slots=True)
class Exchanged:
    """Goods came back and others were bought in one step.

    `to_pay_minor` is what the customer pays, below zero what they get.
    """

    returned: Receipt
    bought: Receipt
    to_pay_minor: int

    def as_json(self) -> str:
        """As kept for its request key."""
        return orjson.dumps([self.returned.worded(""), self.bought, self.to_pay_minor]).decode()

    @classmethod
    def from_json(cls, text: str) -> Exchanged:
        """What `as_json` wrote."""
        one, other, to_pay_minor = orjson.loads(text)
        back, bought = (Receipt.from_json(orjson.dumps(values).decode()) for values in (one, other))
        return cls(back, bought, to_pay_minor)


@dataclass(frozen=True, slots=True)
class Returnable:
    """A line of a purchase: of its `sold` pieces `quantity` can still come back, for `paid_minor`."""

    number: int
    name: str | None
    category: str | None
    sold: int
    quantity: int
    paid_minor: int


def take_back(
    store: Store,
    *,
    programme: str,
    receipt_id: int,
    key: str,
    at: Counter,
    lines: Mapping[int, int] | None = None,
    amount_minor: int | None = None,
    parts: Mapping[int, tuple[int, int]] | None = None,
    reason: str = "",
    occurred_at: datetime | None = None,
    watch: Watch | None = None,
    now: datetime,
) -> Receipt:
    """Take back goods of the purchase that a receipt is about.

    `lines` names pieces by line number, `amount_minor` is money back without
    naming goods, `parts` pieces and money of each line; without any of them
    everything comes back. The receipt's `amount_minor` is what the goods cost;
    its reason "return" says what is refunded of that. Raises ReceiptUnknown,
    NotAPurchase, AlreadyUndone, ReturnTooLate, ReturnBeforeSale, OwnCard,
    NothingLeftToReturn, ReturnTooLarge, ReturnLineUnknown, AmountInvalid,
    KeyInvalid, KeyReused, and where a till is watched ApprovalNeeded.
    """
    wanted = _Wanted(lines or {}, amount_minor, cleaned(reason, _REASON_LENGTH_MAX), occurred_at, parts or {})
    content = {"receipt": receipt_id, **wanted.content()}

    def decide(work: Work) -> Receipt:
        finding = Finding(work, programme)
        asked = journal.Asked(work, finding.id, key, "return", content)
        loaded = finding.loaded()
        if (before := asked.before()) is not None:
            return Receipt.from_json(before).worded(wanted.reason)
        row, standing = _purchase(work, loaded, receipt_id)
        manager = watch.approved_by if watch else None
        arrival.refuse_own(work, loaded, standing.member_id, at.person, manager)
        booked = _book(work, loaded, standing, row, wanted, at=at, now=now)
        if watch is not None:
            # Refused now, it was never booked: what goods are worth is known only here.
            amount = Money(booked.amount_minor or 0, booked.currency)
            approved = watch_return(watch, amount=amount)
            about = f"receipt {booked.id}"
            arrival.agreed(work, loaded, watch, approved, about=about, at=at, key=key, now=now)
        asked.answered(work, booked.as_json(), now=now)
        return booked

    return store.write(decide)


def preview_return(
    store: Store,
    *,
    programme: str,
    receipt_id: int,
    lines: Mapping[int, int] | None = None,
    amount_minor: int | None = None,
    now: datetime,
) -> Receipt:
    """The receipt that `take_back` would give now, so that a customer can agree to it. Changes nothing.

    It is the same booking, undone before it counts. Raises what `take_back` raises for goods.
    """
    wanted = _Wanted(lines or {}, amount_minor, "", None)

    def decide(work: Work) -> Receipt:
        loaded = Finding(work, programme).loaded()
        row, standing = _purchase(work, loaded, receipt_id)
        raise _Shown(_book(work, loaded, standing, row, wanted, at=Counter(), now=now))

    try:
        return store.write(decide)
    except _Shown as shown:
        return shown.receipt


class _Shown(Exception):
    """Carries a booking out of the transaction that it undoes."""

    def __init__(self, receipt: Receipt) -> None:
        super().__init__()
        self.receipt = receipt


def returnable(store: Store, *, programme: str, receipt_id: int) -> tuple[Returnable, ...]:
    """What of a purchase can still come back, line by line.

    Raises ReceiptUnknown, NotAPurchase or AlreadyUndone.
    """
    with store.read() as read:
        loaded = programmes.by_slug(read, programme)
        known = 0 < receipt_id < arrival.ID_LIMIT
        row = journal.receipt_row(read, loaded.id, receipt_id) if known else None
        if row is None:
            raise ReceiptUnknown()
        if row.kind != ReceiptKind.ACCRUE.value:
            raise NotAPurchase()
        sale = returned.sale(read, loaded.id, row.purchase_id)
        assert sale is not None
        if sale.voided:
            raise AlreadyUndone()
        paid = [line.paid_minor for line in restoring.earned_by(row).lines]
        here = left(sold(sale.basket, paid), returned.lines_back(read, loaded.id, sale.id))
        return tuple(
            Returnable(one.number, line.name, line.category, line.quantity, one.quantity, one.paid_minor)
            for line, one in zip(sale.basket.lines, here, strict=True)
        )


def take_back_sale(
    store: Store,
    *,
    programme: str,
    purchase_id: int,
    key: str,
    at: Counter,
    lines: Mapping[int, int] | None = None,
    amount_minor: int | None = None,
    parts: Mapping[int, tuple[int, int]] | None = None,
    reason: str = "",
    occurred_at: datetime | None = None,
    watch: Watch | None = None,
    now: datetime,
) -> SaleReturned:
    """Take back goods of a sale without a member: only money moves.

    Raises PurchaseUnknown, also for a member's purchase, what `take_back`
    raises for goods and keys, and where a till is watched ApprovalNeeded.
    """
    wanted = _Wanted(lines or {}, amount_minor, cleaned(reason, _REASON_LENGTH_MAX), occurred_at, parts or {})
    content = {"purchase": purchase_id, **wanted.content()}

    def decide(work: Work) -> SaleReturned:
        finding = Finding(work, programme)
        asked = journal.Asked(work, finding.id, key, "return_sale", content)
        loaded = finding.loaded()
        if (before := asked.before()) is not None:
            return _sale_returned(before)
        known = 0 < purchase_id < arrival.ID_LIMIT
        sale = returned.sale_locked(work, loaded.id, purchase_id) if known else None
        if sale is None or sale.member_id is not None:
            raise PurchaseUnknown()
        goods = _goods(work, loaded, sale, sale.basket.paid_by_line(), wanted, now)
        approved: tuple[Approved, ...] = ()
        if watch is not None:
            approved = watch_return(watch, amount=Money(goods.net_minor, loaded.programme.currency))
        return_id = _write(work, loaded, goods, None, at=at, withheld_minor=0, now=now)
        answer = SaleReturned(return_id, sale.id, goods.back, goods.net_minor, loaded.programme.currency)
        if watch is not None:
            about = f"return {return_id}"
            arrival.agreed(work, loaded, watch, approved, about=about, at=at, key=key, now=now)
        asked.answered(work, orjson.dumps(answer).decode(), now=now)
        return answer

    return store.write(decide)


def exchange(
    store: Store,
    *,
    programme: str,
    receipt_id: int,
    key: str,
    at: Counter,
    returned_lines: Mapping[int, int] | None = None,
    returned_minor: int | None = None,
    amount_minor: int,
    lines: Sequence[Line] = (),
    discount_minor: int = 0,
    reason: str = "",
    now: datetime,
) -> Exchanged:
    """Take goods back and sell others, both or neither; the card changes once.

    Raises what `take_back` and `accrue` raise.
    """
    wanted = _Wanted(returned_lines or {}, returned_minor, cleaned(reason, _REASON_LENGTH_MAX), None)
    content = {
        "receipt": receipt_id,
        **wanted.content(),
        "bought": {
            "amount_minor": amount_minor,
            "lines": [asdict(line) for line in lines],
            "discount_minor": discount_minor,
        },
    }

    def decide(work: Work) -> Exchanged:
        finding = Finding(work, programme)
        asked = journal.Asked(work, finding.id, key, "exchange", content)
        loaded = finding.loaded()
        if (before := asked.before()) is not None:
            known = Exchanged.from_json(before)
            return replace(known, returned=known.returned.worded(wanted.reason))
        basket = purchases.as_basket(loaded.programme, amount_minor, lines, discount_minor, 0)
        row, standing = _purchase(work, loaded, receipt_id)
        arrival.refuse_own(work, loaded, standing.member_id, at.person)
        back = _book(work, loaded, standing, row, wanted, at=at, now=now, face_changed=False)
        after = members.standing(members.of_card(work, loaded.id, standing.card_id))
        assert after is not None
        bought = purchases.book(
            work, loaded, after, basket, has_lines=bool(lines), at=at, happened_at=now, now=now
        )
        answer = Exchanged(back, bought, amount_minor - refund_of(back))
        asked.answered(work, answer.as_json(), now=now)
        return answer

    return store.write(decide)


# What comes back ------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class _Wanted:
    """What somebody wants to bring back."""

    lines: Mapping[int, int]
    amount_minor: int | None
    reason: str
    occurred_at: datetime | None
    parts: Mapping[int, tuple[int, int]] = field(default_factory=dict)

    def content(self) -> dict[str, Any]:
        content: dict[str, Any] = {
            "lines": {str(number): quantity for number, quantity in self.lines.items()},
            "amount_minor": self.amount_minor,
            "reason": self.reason,
            "occurred_at": micros(self.occurred_at) if self.occurred_at else None,
        }
        # Only where it is given: an earlier key keeps its content.
        if self.parts:
            content["parts"] = {str(number): part for number, part in self.parts.items()}
        return content


@dataclass(frozen=True, slots=True)
class _Goods:
    """What comes back of a sale: all of its `lines`, those left `before` and `after`, and the difference."""

    sale: returned.Sold
    rules: Programme
    lines: tuple[SoldLine, ...]
    before: tuple[SoldLine, ...]
    back: tuple[BackLine, ...]
    after: tuple[SoldLine, ...]
    reason: str
    happened_at: datetime

    @property
    def net_minor(self) -> int:
        return sum(line.net_minor for line in self.back)

    @property
    def is_all(self) -> bool:
        """Whether nothing is left."""
        return is_nothing(self.after)


def _goods(
    work: Work, loaded: Loaded, sale: returned.Sold, paid: Sequence[int], wanted: _Wanted, now: datetime
) -> _Goods:
    """What comes back of a sale whose rows are locked, checked against all that came back before."""
    if sale.voided:
        raise AlreadyUndone()
    if wanted.occurred_at is not None and wanted.occurred_at < sale.occurred_at:
        raise ReturnBeforeSale()
    # A clock that was set back must not date a return before its sale either.
    happened_at = max(arrival.happened(wanted.occurred_at, now), sale.occurred_at)
    # What was promised with the sale holds for its return.
    rules = programmes.at_version(work, loaded.id, sale.programme_version)
    days = rules.points.return_days
    if days is not None:
        last = dates.local_date(sale.occurred_at, rules.zone) + timedelta(days=days)
        if dates.local_date(happened_at, rules.zone) > last:
            raise ReturnTooLate(days=days)
    lines = sold(sale.basket, paid)
    before = left(lines, returned.lines_back(work, loaded.id, sale.id))
    back = coming_back(
        before,
        lines=wanted.lines,
        amount_minor=wanted.amount_minor,
        currency=loaded.programme.currency,
        parts=wanted.parts,
    )
    return _Goods(
        sale, rules, lines, before, back, left(before, back), reason=wanted.reason, happened_at=happened_at
    )


def _write(
    work: Work,
    loaded: Loaded,
    goods: _Goods,
    booking: Booking | None,
    *,
    at: Counter,
    withheld_minor: int,
    now: datetime,
) -> int:
    return returned.add(
        work,
        programme_id=loaded.id,
        purchase_id=goods.sale.id,
        member_id=booking.standing.member_id if booking else None,
        receipt_id=booking.id if booking else None,
        counter=at,
        lines=goods.back,
        withheld_minor=withheld_minor,
        local_day=dates.day_number(dates.local_date(goods.happened_at, loaded.programme.zone)),
        occurred_at=goods.happened_at,
        now=now,
    )


def _sale_returned(text: str) -> SaleReturned:
    values = orjson.loads(text)
    return SaleReturned(**{**values, "lines": tuple(BackLine(**line) for line in values["lines"])})


# A member's purchase ----------------------------------------------------------------


def _purchase(work: Work, loaded: Loaded, receipt_id: int) -> tuple[Row, Standing]:
    """The receipt of a purchase and whose it is now, locked. Raises ReceiptUnknown or NotAPurchase."""
    row, standing = arrival.receipt(work, loaded, receipt_id)
    if row.kind != ReceiptKind.ACCRUE.value:
        raise NotAPurchase()
    survivor_id = merging.survivor_of(work, loaded.id, standing.member_id)
    if survivor_id != standing.member_id:
        survivor = merging.standing_of(work, loaded.id, survivor_id)
        assert survivor is not None
        standing = survivor
    return row, standing


def _book(
    work: Work,
    loaded: Loaded,
    standing: Standing,
    row: Row,
    wanted: _Wanted,
    *,
    at: Counter,
    now: datetime,
    face_changed: bool = True,
) -> Receipt:
    """Book a return for a member whose rows are locked; `row` is the receipt of the purchase."""
    sale = returned.sale(work, loaded.id, row.purchase_id)
    assert sale is not None
    earned = restoring.earned_by(row)
    goods = _goods(work, loaded, sale, [line.paid_minor for line in earned.lines], wanted, now)
    rules = loaded.programme
    booking = Booking(
        work, loaded, standing, kind=ReceiptKind.RETURN, at=at, occurred_at=goods.happened_at, now=now
    )
    told = returned.reasons_before(work, loaded.id, sale.id)
    earlier = [reason for reason in told if reason["rule"] == "return"]
    level = restoring.LevelBefore(booking) if rules.tiering.on_return is OnReturn.IMMEDIATE else None
    # First what the member gets back: it pays for what is taken.
    tender_minor = restoring.give_back_spent(
        booking, sale, goods.lines, before=goods.before, after=goods.after
    )
    taken = unearned(
        goods.rules.earning,
        goods.rules.points.returns,
        earned,
        before=earning_left(earned, goods.lines, goods.before),
        after=earning_left(earned, goods.lines, goods.after),
        taken=sum(reason["unearned"] for reason in earlier),
        carried=standing.carried,
    )
    shortfall = goods.rules.points.shortfall
    postings = journal.postings_of(work, loaded.id, row.id)
    clawed = booking.claw_back(
        taken.points,
        first=_given(work, loaded, row, postings, POINTS),
        may_overdraw=shortfall is Shortfall.NEGATIVE,
    )
    refund_minor = goods.net_minor - tender_minor
    kept_minor = 0
    if shortfall is Shortfall.DEDUCT:
        kept_minor = withheld(clawed.short, goods.rules.points.hundred_points_minor, refund_minor)
    restoring.budgets_back(booking, taken.budgets)
    stamps = _stamps_back(booking, goods, row, postings)
    given_again = offers.restore(work, loaded, row.id, now=now) if goods.is_all else []
    _write(work, loaded, goods, booking, at=at, withheld_minor=kept_minor, now=now)
    lost = {
        TierMetric.SPEND: goods.net_minor,
        TierMetric.POINTS: clawed.pending + clawed.available,
        TierMetric.VISITS: int(goods.is_all),
    }
    restoring.stand_after_return(
        booking,
        level,
        sold_at=sale.occurred_at,
        lost=lost[rules.tiering.metric],
        carried=taken.carried,
        is_all=goods.is_all,
    )
    booking.reasons.append(
        {
            "rule": "return",
            "receipt": row.id,
            "purchase": sale.id,
            "words": goods.reason,
            "policy": goods.rules.points.returns.value,
            "lines": [asdict(line) for line in goods.back],
            "refund_minor": refund_minor - kept_minor,
            "withheld_minor": kept_minor,
            "points_paid_minor": tender_minor,
            "unearned": taken.points,
            "from_pending": clawed.pending,
            "from_available": clawed.available,
            "short": clawed.short,
            "stamps": stamps,
            "offers": given_again,
        }
    )
    return booking.finish(amount_minor=goods.net_minor, purchase_id=sale.id, face_changed=face_changed)


def _stamps_back(booking: Booking, goods: _Goods, row: Row, postings: Sequence[Row]) -> int:
    """Take back the stamps of what came back. Returns how many."""
    rule = goods.rules.stamps
    given = [one for one in postings if one.kind == PostingKind.EARN and one.asset == STAMPS]
    if rule is None or not given:
        return 0
    count = sum(one.amount for one in given)

    def deserved(here: Sequence[SoldLine]) -> int:
        basket = basket_left(goods.sale.basket, here)
        return min(count, stamps_for(rule, basket, at=goods.sale.occurred_at).count) if basket.lines else 0

    taken = deserved(goods.before) - deserved(goods.after)
    if taken <= 0:
        return 0
    first = _given(booking.work, booking.loaded, row, postings, STAMPS)
    restoring.stamps_back(booking, rule, row.id, first, taken)
    return taken


def _given(work: Work, loaded: Loaded, row: Row, postings: Sequence[Row], asset: str) -> Sequence[int]:
    """The postings whose lots a purchase opened, wherever merges have carried these since."""
    own = [one.id for one in postings if one.kind == PostingKind.EARN and one.asset == asset]
    return merging.carried_postings(work, loaded.id, row.member_id, own)
