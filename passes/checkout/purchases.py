"""Purchases of members and sales to guests."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from datetime import datetime
from typing import Any

from passes.booking import Booking
from passes.checkout import arrival, progress
from passes.loyalty import dates
from passes.loyalty.basket import Basket, Line
from passes.loyalty.conditions import Place
from passes.loyalty.earning import Earned, Situation, earn
from passes.loyalty.lasting import available_at, expires_at, lapse_at
from passes.loyalty.ledger import PostingKind
from passes.loyalty.money import Money
from passes.loyalty.offers import Situation as OfferSituation
from passes.loyalty.offers import Standing as OfferStanding
from passes.loyalty.offers import folded, gives_points
from passes.loyalty.programme import Programme
from passes.loyalty.receipt import Counter, Receipt, ReceiptKind
from passes.loyalty.refusals import AmountInvalid, AmountTooLarge, Refused
from passes.loyalty.safety import Approved, Earlier, Watch, watch_purchase
from passes.loyalty.stacking import Applied, best
from passes.loyalty.tenders import Tender, check_tenders, unearning
from passes.loyalty.tiers import TierStep, tier_for
from passes.store import Read, Store, Work, allowances, journal, members, offers, purchases, safety, win_backs
from passes.store.instants import micros
from passes.store.members import Standing
from passes.store.programmes import Finding, Loaded

WELCOME, WIN_BACK = "welcome", "win_back"
"""Rules by which points come with a purchase that it did not earn."""

_NO_LIMIT = 2**62


@dataclass(frozen=True, slots=True)
class Sale:
    """A sale without a member. Until `claim_until` a guest may make it theirs; None where guests may not."""

    id: int
    net_minor: int
    currency: str
    claim_until: datetime | None = None


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
    tenders: Sequence[Tender] = (),
    offer_codes: Sequence[str] = (),
    takes_discounts: bool = False,
    occurred_at: datetime | None = None,
    watch: Watch | None = None,
    now: datetime,
) -> Receipt:
    """Book a member's purchase of `amount_minor` and give its points.

    `lines`, when given, must add up to the amount and the discount that was
    taken off the whole. `unearning_minor` of the amount was paid with a tender
    that earns nothing; `tenders`, when given, say that instead, and must add up
    to what is to be paid after offers. Where the register `takes_discounts`, the amount is
    that before offers, which then take off what they do; otherwise offers only
    give points, for the amount was paid. `offer_codes` are those that the
    customer showed. `occurred_at` is when it happened at an offline till,
    `now` at the latest. Raises CodeMistyped, CodeUnknown, CardForeign,
    CardVoided, OwnCard, AmountInvalid, AmountTooLarge, KeyInvalid, KeyReused,
    CapReached, TendersWrong, why an offer whose code was given does not hold, and where a
    till is watched LooksRepeated or ApprovalNeeded.
    """
    happened_at = arrival.happened(occurred_at, now)
    typed = arrival.typed(code)
    unearning_minor = unearning(tenders, said_minor=unearning_minor)
    content = {
        "code": typed,
        **_content(amount_minor, lines, discount_minor, unearning_minor, occurred_at, tenders),
        "offer_codes": list(offer_codes),
        "takes_discounts": takes_discounts,
    }

    def decide(work: Work) -> Receipt:
        manager = watch.approved_by if watch else None
        arrived = arrival.arrive(work, programme, typed, key, "accrue", content, at.person, manager)
        loaded, asked = arrived.loaded, arrived.asked
        if (before := asked.before()) is not None:
            return Receipt.from_json(before)
        standing = arrived.standing(work)
        basket = as_basket(loaded.programme, amount_minor, lines, discount_minor, unearning_minor)
        approved: tuple[Approved, ...] = ()
        if watch is not None:
            approved = watch_purchase(
                watch,
                amount=Money(amount_minor, loaded.programme.currency),
                at=at,
                same_day=same_day(work, loaded, standing, happened_at),
                happened_at=happened_at,
            )
        booked = book(
            work,
            loaded,
            standing,
            basket,
            has_lines=bool(lines),
            at=at,
            offer_codes=offer_codes,
            takes_discounts=takes_discounts,
            tenders=tenders,
            happened_at=happened_at,
            now=now,
        )
        if watch is not None:
            arrival.agreed(
                work, loaded, watch, approved, about=f"receipt {booked.id}", at=at, key=key, now=now
            )
        asked.answered(work, booked.as_json(), now=now)
        return booked

    return store.write(decide, lane=typed)


def same_day(read: Read, loaded: Loaded, standing: Standing, happened_at: datetime) -> list[Earlier]:
    """The member's other purchases of that local day."""
    zone = loaded.programme.zone
    return safety.purchases_between(
        read,
        loaded.id,
        standing.member_id,
        since=dates.day_start(dates.local_date(happened_at, zone), zone),
        until=dates.next_day_start(happened_at, zone),
    )


def sale(
    store: Store,
    *,
    programme: str,
    amount_minor: int,
    key: str,
    at: Counter,
    lines: Sequence[Line] = (),
    discount_minor: int = 0,
    tenders: Sequence[Tender] = (),
    occurred_at: datetime | None = None,
    watch: Watch | None = None,
    now: datetime,
) -> Sale:
    """Book a sale without a member: it earns nothing and counts in every share of sales.

    What of its `tenders` earns nothing earns nothing for whoever claims it, either.
    Raises AmountInvalid, AmountTooLarge, TendersWrong, KeyInvalid, KeyReused, and where a till is watched
    ApprovalNeeded.
    """
    happened_at = arrival.happened(occurred_at, now)
    unearning_minor = unearning(tenders, said_minor=0)
    content = _content(amount_minor, lines, discount_minor, unearning_minor, occurred_at, tenders)

    def decide(work: Work) -> Sale:
        finding = Finding(work, programme)
        asked = journal.Asked(work, finding.id, key, "sale", content)
        loaded = finding.loaded()
        until = claim_until(loaded.programme, happened_at)
        if (before := asked.before()) is not None:
            return Sale(int(before), amount_minor, loaded.programme.currency, until)
        basket = as_basket(loaded.programme, amount_minor, lines, discount_minor, unearning_minor)
        check_tenders(tenders, to_pay=Money(basket.net_minor, loaded.programme.currency))
        approved: tuple[Approved, ...] = ()
        if watch is not None:
            amount = Money(amount_minor, loaded.programme.currency)
            approved = watch_purchase(watch, amount=amount, at=at, happened_at=happened_at)
        sale_id = _write(work, loaded, None, basket, bool(lines), at, happened_at, now)
        if watch is not None:
            arrival.agreed(work, loaded, watch, approved, about=f"sale {sale_id}", at=at, key=key, now=now)
        asked.answered(work, str(sale_id), now=now)
        return Sale(sale_id, amount_minor, loaded.programme.currency, until)

    return store.write(decide)


def claim_until(rules: Programme, sold_at: datetime) -> datetime | None:
    """Up to when a guest may claim a sale; None where the programme lets nobody."""
    if not rules.earning.claim_days:
        return None
    return dates.next_day_start(sold_at, rules.zone, rules.earning.claim_days)


def as_basket(
    rules: Programme, amount_minor: int, lines: Sequence[Line], discount_minor: int, unearning_minor: int
) -> Basket:
    """What was bought, checked. Raises AmountInvalid or AmountTooLarge."""
    # Only what its lines say was free may cost nothing.
    if amount_minor < 0 or (amount_minor == 0 and not lines):
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


@dataclass(frozen=True, slots=True)
class Reckoned:
    """What a purchase comes to: the basket as it is to be paid, its points, and what offers did.

    `gifts` are points that come with it and that it did not earn, each with the
    rule they come from. `refused` are offers whose code was given and that do
    not hold, by key or code.
    """

    basket: Basket
    earned: Earned
    gifts: tuple[tuple[str, int], ...] = ()
    applied: Applied | None = None
    refused: tuple[tuple[str, Refused], ...] = ()

    @property
    def points(self) -> int:
        """All points that the purchase brings."""
        return self.earned.points + sum(points for _, points in self.gifts)

    @property
    def reasons(self) -> list[dict[str, Any]]:
        """What explains them."""
        gifts = [{"rule": rule, "points": points} for rule, points in self.gifts]
        return [{"rule": "earn", **self.earned.as_json()}, *gifts]


def reckon(
    read: Read,
    loaded: Loaded,
    standing: Standing,
    basket: Basket,
    at: Counter,
    happened_at: datetime,
    *,
    offer_codes: Sequence[str] = (),
    takes_discounts: bool = False,
    is_late: bool = False,
) -> Reckoned:
    """Work a purchase out. A quote and a booking both ask here, so that they agree."""
    rules = loaded.programme
    known = situation(read, loaded, standing, at, happened_at)
    applied: Applied | None = None
    refused: tuple[tuple[str, Refused], ...] = ()
    # What an offline till reports late may belong to an offer that has ended since.
    if loaded.has_offers or offer_codes or is_late:
        asked = offers.running(read, loaded, standing.member_id, codes=offer_codes, now=happened_at)
        given = {folded(code) for code in offer_codes}
        stand = [
            one
            for one in asked.standings(known.member, happened_at)
            if takes_discounts or gives_points(one.offer) or _code_of(one) in given
        ]
        applied = best(
            stand,
            basket,
            OfferSituation(happened_at, rules.currency, known.place, known.member),
            codes=offer_codes,
        )
        shown = given | {one.offer.key for one in stand if _code_of(one) in given}
        refused = tuple((key, why) for key, why in applied.refused if key in shown or folded(key) in given)
        basket = applied.discounted(basket)
        known = replace(known, multipliers=applied.multipliers, bonuses=applied.bonuses)
    earned = earn(rules.earning, basket, currency=rules.currency, situation=known)
    return Reckoned(basket, earned, _gifts(read, loaded, standing, earned, happened_at), applied, refused)


def _gifts(
    read: Read, loaded: Loaded, standing: Standing, earned: Earned, happened_at: datetime
) -> tuple[tuple[str, int], ...]:
    """What comes with a purchase besides its points: the gift for coming back, the welcome that waited."""
    rule, gifts = loaded.programme.earning, []
    if returning := win_backs.win_back_bonus(read, loaded, standing, now=happened_at):
        gifts.append((WIN_BACK, returning))
    # Who may be somebody that has joined before gets it when the two are merged.
    is_new = not standing.welcome_given and standing.merge_candidate_of is None
    if rule.welcome_waits and rule.welcome_points and is_new and earned.points:
        gifts.append((WELCOME, rule.welcome_points))
    return tuple(gifts)


def _code_of(one: OfferStanding) -> str | None:
    return one.code or one.offer.code


def book(
    work: Work,
    loaded: Loaded,
    standing: Standing,
    basket: Basket,
    *,
    has_lines: bool,
    at: Counter,
    offer_codes: Sequence[str] = (),
    takes_discounts: bool = False,
    tenders: Sequence[Tender] = (),
    sale_id: int | None = None,
    happened_at: datetime,
    now: datetime,
) -> Receipt:
    """Book a checked purchase of a member whose rows are locked: a new one, or a guest's `sale_id`."""
    reckoned = reckon(
        work,
        loaded,
        standing,
        basket,
        at,
        happened_at,
        offer_codes=offer_codes,
        takes_discounts=takes_discounts,
        is_late=happened_at < now,
    )
    for _, why in reckoned.refused:
        raise why
    basket, earned = reckoned.basket, reckoned.earned
    check_tenders(tenders, to_pay=Money(basket.net_minor, loaded.programme.currency))
    booking = Booking(
        work, loaded, standing, kind=ReceiptKind.ACCRUE, at=at, occurred_at=happened_at, now=now
    )
    booking.reasons += reckoned.reasons
    if sale_id is not None:
        booking.reasons[0] = {**booking.reasons[0], "claimed": True}
    if reckoned.applied is not None:
        _use_offers(booking, reckoned.applied, earned)
    level = progress.level(booking)
    if sale_id is None:
        purchase_id = _write(work, loaded, standing, basket, has_lines, at, happened_at, now)
    else:
        purchase_id = sale_id
        purchases.adopt(work, loaded.id, sale_id, member_id=standing.member_id, card_id=standing.card_id)
    _give(booking, reckoned)
    stamped = progress.stamp(booking, basket)
    climbed = progress.climb(booking, level, amount_minor=basket.net_minor, points=earned.points)
    members.keep(work, loaded.id, _after(booking, climbed, earned, stamped))
    return booking.finish(
        amount_minor=basket.net_minor,
        purchase_id=purchase_id,
        is_undoable=sale_id is None,
        face_changed=True,
    )


def _use_offers(booking: Booking, applied: Applied, earned: Earned) -> None:
    """Take the uses of offers from what there is of them, and say what each took off."""
    offers.reserve(
        booking.work,
        booking.loaded,
        applied.uses,
        member_id=booking.standing.member_id,
        receipt_id=booking.id,
        points=earned.added,
        happened_at=booking.occurred_at,
        now=booking.now,
    )
    for use in applied.uses:
        if use.discount_minor:
            booking.reasons.append(
                {"rule": "offer", "offer": use.key, "discount_minor": use.discount_minor, "points": 0}
            )


def situation(
    read: Read, loaded: Loaded, standing: Standing, at: Counter, happened_at: datetime
) -> Situation:
    """Everything but the basket that the points of a purchase depend on.

    What is limited is asked for only where a limit can apply; in a write it is
    locked, so that two purchases never share the last of it.
    """
    rules, zone = loaded.programme, loaded.programme.zone
    place = Place(location=at.location, channel=at.channel)
    bounded = [
        one
        for one in rules.earning.multipliers
        if (one.budget_points is not None or one.member_points is not None)
        and (one.when.window is None or one.when.window.contains(happened_at))
    ]
    used = {}
    if isinstance(read, Work):
        used = {one.key: allowances.used_locked(read, loaded.id, budget_name(one.key)) for one in bounded}
    else:
        used = {one.key: allowances.used(read, loaded.id, budget_name(one.key)) for one in bounded}
    had = allowances.member_used(read, loaded.id, standing.member_id) if bounded else {}
    day_points = 0
    if rules.earning.caps.day_points is not None:
        today = dates.local_date(happened_at, zone)
        day_points = journal.earned_between(
            read,
            loaded.id,
            standing.member_id,
            since=dates.day_start(today, zone),
            until=dates.next_day_start(happened_at, zone),
        )
    facts = arrival.facts(standing)
    if rules.earning.asks_consent:
        facts = replace(facts, consents=members.agreed(read, loaded.id, standing.member_id))
    return Situation(
        at=happened_at,
        zone=zone,
        place=place,
        member=facts,
        tier=rules.tier(standing.tier) or tier_for(rules.tiers, standing.metric),
        carried=standing.carried,
        day_points=day_points,
        used=used,
        member_used={one.key: had.get(budget_name(one.key), (0, happened_at))[0] for one in bounded},
    )


def budget_name(multiplier_key: str) -> str:
    """Under which name it is counted what a bounded multiplier has added."""
    return f"multiplier:{multiplier_key}"


def _give(booking: Booking, reckoned: Reckoned) -> None:
    """The points of the purchase, and the gifts that come with it."""
    basket, earned = reckoned.basket, reckoned.earned
    rules, standing = booking.loaded.programme, booking.standing
    opens_at = available_at(
        rules.points,
        occurred_at=booking.occurred_at,
        categories=[line.category for line in basket.lines],
        zone=rules.zone,
    )
    lapses_at = expires_at(
        rules.points,
        earned_at=booking.occurred_at,
        available_at=opens_at,
        zone=rules.zone,
        tier=rules.tier(standing.tier),
    )
    if earned.points:
        booking.credit(earned.points, available_at=opens_at, expires_at=lapses_at)
    limits = {one.key: one.budget_points for one in rules.earning.multipliers}
    for key, points in earned.budgets.items():
        name, limit = budget_name(key), limits.get(key)
        limit = _NO_LIMIT if limit is None else limit
        taken = allowances.take(booking.work, booking.loaded.id, name, points, limit=limit)
        assert taken, "the budget was locked when it was looked at"
        allowances.member_take(
            booking.work, booking.loaded.id, standing.member_id, name, points, now=booking.now
        )
    for rule, points in reckoned.gifts:
        booking.credit(points, kind=PostingKind.BONUS, available_at=opens_at, expires_at=lapses_at)
        if rule == WELCOME:
            booking.standing = replace(booking.standing, welcome_given=True)
        else:
            win_backs.keep(booking.work, booking.loaded, standing.member_id, now=booking.occurred_at)


def _after(booking: Booking, climbed: TierStep, earned: Earned, stamped: bool) -> Standing:
    """How the member stands after the purchase."""
    rules, standing, happened_at = booking.loaded.programme, booking.standing, booking.occurred_at
    last = micros(happened_at)
    lapses_at = lapse_at(rules.points, happened_at, rules.zone, rules.tier(climbed.tier))
    return standing.on_level(
        climbed,
        carried=earned.carried_after,
        purchases=standing.purchases + 1,
        last_purchase_at=max(standing.last_purchase_at or 0, last),
        last_stamp_at=max(standing.last_stamp_at or 0, last) if stamped else standing.last_stamp_at,
        points_lapse_at=None if lapses_at is None else max(standing.points_lapse_at or 0, micros(lapses_at)),
    )


def _content(
    amount_minor: int,
    lines: Sequence[Line],
    discount_minor: int,
    unearning_minor: int,
    occurred_at: datetime | None,
    tenders: Sequence[Tender],
) -> dict[str, object]:
    return {
        "amount_minor": amount_minor,
        "lines": tuple(lines),
        "discount_minor": discount_minor,
        "unearning_minor": unearning_minor,
        "occurred_at": micros(occurred_at) if occurred_at else None,
        "tenders": tuple(tenders),
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
