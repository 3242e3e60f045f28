"""Whom an offer is for, as sets: who gets it or is held out, and whose cards change with it.

A change of an offer's state concerns many cards, but never all of them: those
of the holdout must neither change nor be announced. So it is no revision of
the programme. It is spread over the members in slices, each a short
transaction that goes on where the last one ended; nothing is fetched.
"""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime

from sqlalchemy import (
    ColumnElement,
    and_,
    bindparam,
    case,
    delete,
    func,
    insert,
    literal,
    or_,
    select,
    update,
)
from sqlalchemy.dialects import postgresql, sqlite

from passes.loyalty.conditions import Segment
from passes.loyalty.offers import (
    HASH_MODULUS,
    MARKS,
    Arm,
    Audience,
    Draw,
    Offer,
    OfferState,
    draw,
)
from passes.loyalty.segments import bounds
from passes.store.instants import instant, micros
from passes.store.models import (
    account,
    card,
    consent,
    member,
    offer,
    offer_assignment,
    offer_use,
    programme,
    wish,
)
from passes.store.offers import offer_at, state_is
from passes.store.programmes import Loaded
from passes.store.work import Read, Work

# Questions about one row by its key, and not joins: PostgreSQL keeps the plan of a
# slice, and a join that was planned while a table was empty walks it when it is not.
_balance = (
    select(account.c.balance)
    .where(account.c.programme_id == member.c.programme_id, account.c.id == member.c.points_account_id)
    .correlate(member)
    .scalar_subquery()
)


def member_is_in(segment: Segment, now: datetime, zone: str) -> ColumnElement[bool]:
    """The segment as a condition on rows of `member`: what `segments.belongs` says of one member."""
    limits = bounds(segment, now, zone)
    asked: list[ColumnElement[bool]] = []
    if segment.tiers:
        asked.append(member.c.tier.in_(sorted(segment.tiers)))
    if segment.languages:
        asked.append(member.c.language.in_(sorted(segment.languages)))
    if segment.consent is not None:
        asked.append(_agreed(segment.consent))
    if limits.joined_from is not None:
        asked.append(member.c.joined_at >= micros(limits.joined_from))
    if segment.purchases_least is not None:
        asked.append(member.c.purchases >= segment.purchases_least)
    if segment.purchases_most is not None:
        asked.append(member.c.purchases <= segment.purchases_most)
    if limits.bought_before is not None:
        asked.append(member.c.last_purchase_at < micros(limits.bought_before))
    if limits.bought_from is not None:
        asked.append(member.c.last_purchase_at >= micros(limits.bought_from))
    if segment.balance_least is not None:
        asked.append(_balance >= segment.balance_least)
    return and_(literal(1) == 1, *asked)


def _agreed(purpose: str) -> ColumnElement[bool]:
    """Whether a member's newest answer to a question is yes."""
    newest = (
        select(consent.c.given)
        .where(
            consent.c.programme_id == member.c.programme_id,
            consent.c.member_id == member.c.id,
            consent.c.purpose == purpose,
        )
        .order_by(consent.c.id.desc())
        .limit(1)
        .correlate(member)
        .scalar_subquery()
    )
    return func.coalesce(newest, False).is_(True)


def _asked_for(product: str) -> ColumnElement[bool]:
    asked_at = select(wish.c.asked_at).where(
        wish.c.programme_id == member.c.programme_id,
        wish.c.product == product,
        wish.c.member_id == member.c.id,
    )
    return asked_at.correlate(member).scalar_subquery().is_not(None)


def is_meant(read_offer: Offer, now: datetime, zone: str) -> ColumnElement[bool]:
    """The audience of an offer as a condition on rows of `member`."""
    open_ones = and_(member.c.closed_at.is_(None), member.c.merged_into.is_(None))
    match read_offer.audience:
        case Audience.ALL:
            return open_ones
        case Audience.SEGMENT:
            return and_(open_ones, member_is_in(read_offer.segment or Segment(), now, zone))
        case Audience.REQUESTED:
            return and_(open_ones, _asked_for(read_offer.product or ""))


def is_held_out(drawn: Draw) -> ColumnElement[bool]:
    """Whether a member is held out of an offer: what `Draw.arm` says of one member."""
    mark = (member.c.id % HASH_MODULUS * drawn.multiplier + drawn.offset) % HASH_MODULUS % MARKS
    return or_(member.c.holdout.is_(True), mark < drawn.holdout_marks)


# Spreading a change of state -------------------------------------------------------------

_of_offer = (offer.c.programme_id == bindparam("programme"), offer.c.id == bindparam("which"))
_SPREADING = (
    select(programme.c.slug, offer.c.id)
    .select_from(offer.join(programme, programme.c.id == offer.c.programme_id))
    .where(offer.c.spread_after.is_not(None))
    .order_by(offer.c.id)
)
_LOCK = (
    select(offer.c.state, offer.c.revision, offer.c.starts_at, offer.c.spread_after)
    .where(*_of_offer, offer.c.spread_after.is_not(None))
    .with_for_update(skip_locked=True)
)
_slice = (
    select(member.c.id)
    .where(member.c.programme_id == bindparam("programme"), member.c.id > bindparam("after"))
    .order_by(member.c.id)
    .limit(bindparam("count"))
    .subquery()
)
_UP_TO = select(func.max(_slice.c.id), func.count())
_SET_SPREAD = update(offer).where(*_of_offer).values(spread_after=bindparam("done"))
_treated = select(offer_assignment.c.member_id).where(
    offer_assignment.c.programme_id == bindparam("programme"),
    offer_assignment.c.offer_id == bindparam("which"),
    offer_assignment.c.member_id > bindparam("after"),
    offer_assignment.c.member_id <= bindparam("up_to"),
    offer_assignment.c.arm == Arm.TREATED.value,
)
_REVISE_TREATED = (
    update(card)
    .where(
        card.c.programme_id == bindparam("programme"),
        card.c.member_id.in_(_treated),
        card.c.voided_at.is_(None),
    )
    .values(revision=card.c.revision + 1, changed=True)
)


def spreading(read: Read) -> Sequence[tuple[str, int]]:
    """Programme and id of the offers whose change is on its way to the cards."""
    return [(row.slug, row.id) for row in read.ask(_SPREADING).all()]


def spread(work: Work, loaded: Loaded, offer_id: int, *, limit: int, now: datetime) -> int:
    """Carry an offer's change of state on to the next `limit` members. Returns how many were looked at.

    Where the offer runs, its audience is written down first, each member in an
    arm; then the cards of those treated say something new. In an offer for
    everybody, whoever joined while it ran is written down too.
    """
    row = work.ask(_LOCK, programme=loaded.id, which=offer_id).one()
    if row is None:  # done, or another worker is at it
        return 0
    after = row.spread_after
    up_to, count = work.ask(_UP_TO, programme=loaded.id, after=after, count=limit).all()[0]
    if count:
        read_offer = offer_at(work, loaded, offer_id, row.revision)
        if row.state == OfferState.LIVE.value or read_offer.audience is Audience.ALL:
            _assign(work, loaded, offer_id, read_offer, after, up_to, started_at=row.starts_at, now=now)
        work.put(_REVISE_TREATED, programme=loaded.id, which=offer_id, after=after, up_to=up_to)
    work.put(
        _SET_SPREAD,
        expect=1,
        programme=loaded.id,
        which=offer_id,
        done=up_to if count == limit else None,
    )
    return int(count)


def assign_one(
    work: Work, loaded: Loaded, offer_id: int, read_offer: Offer, member_id: int, *, now: datetime
) -> None:
    """Write a member down for an offer that runs already, if it is for them."""
    _assign(work, loaded, offer_id, read_offer, member_id - 1, member_id, started_at=None, now=now)


def _assign(
    work: Work,
    loaded: Loaded,
    offer_id: int,
    read_offer: Offer,
    after: int,
    up_to: int,
    *,
    started_at: int | None,
    now: datetime,
) -> None:
    """Write the members of a slice down who are meant, unless they are already."""
    at: ColumnElement[int] = literal(micros(now))
    if started_at is not None:
        # Whoever joined while it ran is in it from that day on.
        at = case((member.c.joined_at > started_at, member.c.joined_at), else_=at)
    arm = case((is_held_out(draw(loaded.slug, read_offer)), Arm.HOLDOUT.value), else_=Arm.TREATED.value)
    meant = select(literal(loaded.id), literal(offer_id), member.c.id, arm, at).where(
        member.c.programme_id == loaded.id,
        member.c.id > after,
        member.c.id <= up_to,
        is_meant(read_offer, now, loaded.programme.zone),
    )
    columns = ("programme_id", "offer_id", "member_id", "arm", "at")
    into = (postgresql if work.postgresql else sqlite).insert(offer_assignment)
    work.put(into.from_select(columns, meant).on_conflict_do_nothing())


# Offers whose time has come ---------------------------------------------------------------

_BEGUN = (
    select(offer.c.programme_id, offer.c.id)
    .where(
        offer.c.state == OfferState.SCHEDULED.value,
        offer.c.starts_at <= bindparam("now"),
        offer.c.ends_at > bindparam("now"),
    )
    .order_by(offer.c.id)
    .limit(bindparam("count"))
)
_START = (
    update(offer)
    .where(*_of_offer, offer.c.state == OfferState.SCHEDULED.value)
    .values(state=OfferState.LIVE.value, spread_after=0)
    .returning(offer.c.id)
)
_OVER = (
    select(offer.c.programme_id, offer.c.id)
    .where(
        state_is(OfferState.SCHEDULED, OfferState.LIVE, OfferState.PAUSED),
        offer.c.ends_at <= bindparam("now"),
    )
    .order_by(offer.c.id)
    .limit(bindparam("count"))
)
# What was never shown, or was taken off the cards when it was paused, has nothing to spread.
_END = (
    update(offer)
    .where(
        *_of_offer,
        state_is(OfferState.SCHEDULED, OfferState.LIVE, OfferState.PAUSED),
    )
    .values(
        state=OfferState.ENDED.value,
        ended_at=offer.c.ends_at,
        spread_after=case((offer.c.state == OfferState.LIVE.value, 0), else_=offer.c.spread_after),
    )
    .returning(offer.c.id)
)


_newest_use = (
    select(func.max(offer_use.c.at))
    .where(offer_use.c.programme_id == offer.c.programme_id, offer_use.c.offer_id == offer.c.id)
    .correlate(offer)
    .scalar_subquery()
)
_USED_UP = (
    select(programme.c.slug, offer.c.key, _newest_use.label("used_at"))
    .select_from(offer.join(programme, programme.c.id == offer.c.programme_id))
    .where(
        offer.c.state == OfferState.LIVE.value,
        or_(offer.c.used >= offer.c.quota, offer.c.spent_minor >= offer.c.budget_minor),
    )
    .order_by(offer.c.id)
    .limit(bindparam("count"))
)


def begun(read: Read, *, limit: int, now: datetime) -> Sequence[tuple[int, int]]:
    """Programme and id of scheduled offers whose window has begun."""
    return [(row.programme_id, row.id) for row in read.ask(_BEGUN, now=micros(now), count=limit).all()]


def start(work: Work, programme_id: int, offer_id: int) -> bool:
    """A scheduled offer runs now. False when somebody else was faster."""
    return work.ask(_START, programme=programme_id, which=offer_id).one() is not None


def over(read: Read, *, limit: int, now: datetime) -> Sequence[tuple[int, int]]:
    """Programme and id of published offers whose window is over."""
    return [(row.programme_id, row.id) for row in read.ask(_OVER, now=micros(now), count=limit).all()]


def finish(work: Work, programme_id: int, offer_id: int) -> bool:
    """An offer has ended with its window. False when somebody else was faster."""
    return work.ask(_END, programme=programme_id, which=offer_id).one() is not None


def used_up(read: Read, *, limit: int) -> Sequence[tuple[str, str, datetime]]:
    """Programme and key of live offers of which nothing is left, and when they were used last."""
    rows = read.ask(_USED_UP, count=limit).all()
    return [(row.slug, row.key, instant(row.used_at)) for row in rows]


# "Tell me when it's back" -------------------------------------------------------------------

_of_wish = (
    wish.c.programme_id == bindparam("programme"),
    wish.c.product == bindparam("which"),
    wish.c.member_id == bindparam("member"),
)
_WISH = select(wish.c.asked_at).where(*_of_wish)
_ADD_WISH = insert(wish)
_DROP_WISH = delete(wish).where(*_of_wish).returning(wish.c.asked_at)
_WISHES = (
    select(wish.c.product, func.count().label("members"))
    .where(wish.c.programme_id == bindparam("programme"))
    .group_by(wish.c.product)
    .order_by(wish.c.product)
)


def add_wish(work: Work, programme_id: int, product: str, member_id: int, *, now: datetime) -> bool:
    """Remember that a member asked for a product. False when that was known."""
    if work.ask(_WISH, programme=programme_id, which=product, member=member_id).one() is not None:
        return False
    work.put(_ADD_WISH, programme_id=programme_id, product=product, member_id=member_id, asked_at=micros(now))
    return True


def drop_wish(work: Work, programme_id: int, product: str, member_id: int) -> bool:
    """Forget that a member asked for a product. False when nothing was known."""
    return work.ask(_DROP_WISH, programme=programme_id, which=product, member=member_id).one() is not None


def wishes(read: Read, programme_id: int) -> dict[str, int]:
    """How many members asked for each product."""
    return {row.product: row.members for row in read.ask(_WISHES, programme=programme_id).all()}
