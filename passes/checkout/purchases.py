"""Purchases of members and sales to guests."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import asdict, dataclass, replace
from datetime import datetime

from passes.booking import Booking
from passes.checkout import arrival
from passes.loyalty import dates
from passes.loyalty.basket import Basket, Line
from passes.loyalty.earning import Earned, Situation, earn
from passes.loyalty.money import Money
from passes.loyalty.programme import Programme
from passes.loyalty.receipt import Counter, Receipt, ReceiptKind
from passes.loyalty.refusals import AmountInvalid, AmountTooLarge
from passes.loyalty.tiers import tier_for
from passes.store import Store, Work, journal, members, purchases
from passes.store.instants import micros
from passes.store.members import Standing
from passes.store.programmes import Finding, Loaded


@dataclass(frozen=True, slots=True)
class Sale:
    """A sale without a member."""

    id: int
    net_minor: int
    currency: str


def accrue(
    store: Store,
    *,
    programme: str,
    code: str,
    amount_minor: int,
    key: str,
    at: Counter,
    lines: Sequence[Line] = (),
    discount_minor: int = 0,
    unearning_minor: int = 0,
    occurred_at: datetime | None = None,
    now: datetime,
) -> Receipt:
    """Book a member's purchase of `amount_minor` and give its points.

    `lines`, when given, must add up to the amount and the discount that was
    taken off the whole. `unearning_minor` of the amount was paid with a tender
    that earns nothing. `occurred_at` is when it happened at an offline till,
    `now` at the latest. Raises CodeMistyped, CodeUnknown, CardForeign,
    CardVoided, AmountInvalid, AmountTooLarge, KeyInvalid or KeyReused.
    """
    happened_at = arrival.happened(occurred_at, now)
    typed = arrival.typed(code)
    content = {"code": typed, **_content(amount_minor, lines, discount_minor, unearning_minor, occurred_at)}

    def decide(work: Work) -> Receipt:
        loaded, asked, candidate = arrival.arrive(work, programme, typed, key, "accrue", content)
        if (before := asked.before()) is not None:
            return Receipt.from_json(before)
        standing = arrival.card(work, loaded, typed, candidate)
        basket = as_basket(loaded.programme, amount_minor, lines, discount_minor, unearning_minor)
        booked = book(
            work,
            loaded,
            standing,
            basket,
            has_lines=bool(lines),
            at=at,
            happened_at=happened_at,
            now=now,
        )
        asked.answered(work, booked.as_json(), now=now)
        return booked

    return store.write(decide)


def sale(
    store: Store,
    *,
    programme: str,
    amount_minor: int,
    key: str,
    at: Counter,
    lines: Sequence[Line] = (),
    discount_minor: int = 0,
    occurred_at: datetime | None = None,
    now: datetime,
) -> Sale:
    """Book a sale without a member: it earns nothing and counts in every share of sales.

    Raises AmountInvalid, AmountTooLarge, KeyInvalid or KeyReused.
    """
    happened_at = arrival.happened(occurred_at, now)
    content = _content(amount_minor, lines, discount_minor, 0, occurred_at)

    def decide(work: Work) -> Sale:
        finding = Finding(work, programme)
        asked = journal.Asked(work, finding.id, key, "sale", content)
        loaded = finding.loaded()
        if (before := asked.before()) is not None:
            return Sale(int(before), amount_minor, loaded.programme.currency)
        basket = as_basket(loaded.programme, amount_minor, lines, discount_minor, 0)
        sale_id = _write(work, loaded, None, basket, bool(lines), at, happened_at, now)
        asked.answered(work, str(sale_id), now=now)
        return Sale(sale_id, amount_minor, loaded.programme.currency)

    return store.write(decide)


def as_basket(
    rules: Programme, amount_minor: int, lines: Sequence[Line], discount_minor: int, unearning_minor: int
) -> Basket:
    """What was bought, checked. Raises AmountInvalid or AmountTooLarge."""
    if amount_minor <= 0:
        raise AmountInvalid()
    if amount_minor > rules.earning.limit_minor:
        raise AmountTooLarge(limit=Money(rules.earning.limit_minor, rules.currency))
    basket = Basket(
        tuple(lines) or (Line(quantity=1, unit_minor=amount_minor + discount_minor),),
        discount_minor=discount_minor,
        unearning_minor=unearning_minor,
    )
    basket.check()
    if basket.net_minor != amount_minor:
        raise AmountInvalid()
    return basket


def book(
    work: Work,
    loaded: Loaded,
    standing: Standing,
    basket: Basket,
    *,
    has_lines: bool,
    at: Counter,
    happened_at: datetime,
    now: datetime,
) -> Receipt:
    """Book a checked purchase of a member whose rows are locked."""
    rules = loaded.programme
    earned = situated(rules, standing, basket, happened_at)
    booking = Booking(
        work, loaded, standing, kind=ReceiptKind.ACCRUE, at=at, occurred_at=happened_at, now=now
    )
    booking.reasons.append({"rule": "earn", **earned.as_json()})
    if earned.points:
        booking.credit(earned.points)
    purchase_id = _write(work, loaded, standing, basket, has_lines, at, happened_at, now)
    members.keep(work, loaded.id, _after(rules, booking.standing, basket.net_minor, happened_at))
    return booking.finish(
        amount_minor=basket.net_minor, purchase_id=purchase_id, is_undoable=True, face_changed=True
    )


def situated(rules: Programme, standing: Standing, basket: Basket, at: datetime) -> Earned:
    """What the basket earns this member."""
    tier = rules.tier(standing.tier) or tier_for(rules.tiers, standing.metric)
    situation = Situation(at=at, zone=rules.zone, tier=tier)
    return earn(rules.earning, basket, currency=rules.currency, situation=situation)


def _after(rules: Programme, standing: Standing, amount_minor: int, happened_at: datetime) -> Standing:
    year = dates.local_date(happened_at, rules.zone).year
    metric, period = standing.metric, standing.metric_period
    if year >= period:
        metric, period = (metric if year == period else 0) + amount_minor, year
    reached = tier_for(rules.tiers, metric)
    current = rules.tier(standing.tier)
    if current and reached and current.threshold > reached.threshold:
        reached = current
    return replace(
        standing,
        metric=metric,
        metric_period=period,
        tier=reached.key if reached else None,
        purchases=standing.purchases + 1,
        last_purchase_at=max(standing.last_purchase_at or 0, micros(happened_at)),
    )


def _content(
    amount_minor: int,
    lines: Sequence[Line],
    discount_minor: int,
    unearning_minor: int,
    occurred_at: datetime | None,
) -> dict[str, object]:
    return {
        "amount_minor": amount_minor,
        "lines": [asdict(line) for line in lines],
        "discount_minor": discount_minor,
        "unearning_minor": unearning_minor,
        "occurred_at": micros(occurred_at) if occurred_at else None,
    }


def _write(
    work: Work,
    loaded: Loaded,
    standing: Standing | None,
    basket: Basket,
    has_lines: bool,
    at: Counter,
    happened_at: datetime,
    now: datetime,
) -> int:
    return purchases.add(
        work,
        programme_id=loaded.id,
        programme_version=loaded.version,
        member_id=standing.member_id if standing else None,
        card_id=standing.card_id if standing else None,
        counter=at,
        currency=loaded.programme.currency,
        basket=basket,
        has_lines=has_lines,
        local_day=dates.day_number(dates.local_date(happened_at, loaded.programme.zone)),
        occurred_at=happened_at,
        now=now,
    )
