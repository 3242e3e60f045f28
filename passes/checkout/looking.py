"""Looking at a member without booking: who stands at the counter, what they have, and what holds for them."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime, timedelta

from passes.checkout import arrival
from passes.checkout.quoting import AsMoney, as_money
from passes.checkout.rewards import limit_reached
from passes.language import say
from passes.loyalty import codes
from passes.loyalty.conditions import Place
from passes.loyalty.dates import local_date, near_yearly
from passes.loyalty.lasting import ExpiryKind
from passes.loyalty.offers import Situation, holds
from passes.loyalty.programme import Programme, next_reward
from passes.loyalty.receipt import Counter, Receipt
from passes.loyalty.refusals import (
    NotEnoughPoints,
    NotEnoughStamps,
    Refused,
    RewardLimitReached,
    RewardSoldOut,
)
from passes.loyalty.rewards import Reward, RewardKind, in_the_way
from passes.loyalty.stamps import STAMPS
from passes.loyalty.text import Text
from passes.store import (
    Read,
    Row,
    Store,
    allowances,
    counter,
    journal,
    offers,
    programmes,
    redemptions,
)
from passes.store.counter import Seen
from passes.store.instants import instant_or_none, micros
from passes.store.programmes import Loaded

_LOOK_RECEIPTS = 5
_ANYWHERE = Counter()

LAPSING_SOON = timedelta(days=30)
"""So long before points lapse a cashier may mention it."""

BIRTHDAY_DAYS = 7
"""So many days before and after it a cashier may wish a happy birthday."""


@dataclass(frozen=True, slots=True)
class RewardView:
    """A reward as the till shows it; `missing` points are 0 when the balance pays for it.

    Where points are paid as money `points` is one step, and how many steps
    depends on what is to be paid. `refused` is why it cannot be had here and
    now, `why` the same in words.
    """

    key: str
    name: str
    points: int
    missing: int
    kind: RewardKind
    refused: str | None = None
    why: str | None = None

    @property
    def ready(self) -> bool:
        """Whether it can be had here and now."""
        return self.refused is None


@dataclass(frozen=True, slots=True)
class IssuedView:
    """A reward that the member has and can use now."""

    id: int
    key: str
    name: str
    expires_at: datetime | None


@dataclass(frozen=True, slots=True)
class OfferHere:
    """An offer that holds for this member, here and now, for what it is about."""

    key: str
    title: str
    text: str
    ends_at: datetime | None


@dataclass(frozen=True, slots=True)
class Lapsing:
    """Points that cannot be spent any more from `at` on."""

    points: int
    at: datetime


@dataclass(frozen=True, slots=True)
class MemberView:
    """What a cashier sees of a member: never an address or a number to call.

    `metric` is what counts towards the next tier in the present period;
    `pending` points wait, `held` ones are set aside for a payment. `issued`
    rewards only have to be used. `stamps_needed` fill a punch card; None where
    there is none. `is_birthday` also some days before and after.
    """

    programme: str
    member_id: int
    card_id: int
    name: str
    code: str
    balance: int
    unit: str
    tier_key: str | None
    tier_name: str | None
    metric: int
    rewards: tuple[RewardView, ...]
    next_reward: RewardView | None
    recent: tuple[Receipt, ...]
    pending: int = 0
    held: int = 0
    stamps: int = 0
    stamps_needed: int | None = None
    issued: tuple[IssuedView, ...] = ()
    as_money: tuple[AsMoney, ...] = ()
    offers: tuple[OfferHere, ...] = ()
    last_visit_at: datetime | None = None
    lapsing: Lapsing | None = None
    is_birthday: bool = False


def look(
    store: Store, *, programme: str, code: str, language: str, at: Counter = _ANYWHERE, now: datetime
) -> MemberView:
    """The member behind a scanned or typed code, as the counter `at` may serve them now.

    Raises CodeMistyped, CodeUnknown, CardForeign or CardVoided.
    """
    typed = arrival.typed(code)
    with store.read() as read:
        loaded = programmes.by_slug(read, programme)
        rules = loaded.programme
        found = arrival.seen(read, loaded, typed, counter.see(read, loaded.id, typed))
        standing = found.standing
        rows = journal.receipts_of_member(read, loaded.id, standing.member_id, limit=_LOOK_RECEIPTS)
        tier = rules.tier(standing.tier)
        after_next = next_reward(rules, standing.balance)
        views = {
            reward.key: _reward(read, loaded, found, reward, at, language, now) for reward in rules.rewards
        }
        return MemberView(
            programme=loaded.slug,
            member_id=standing.member_id,
            card_id=standing.card_id,
            name=found.name,
            # A code of a former system stays as people know it.
            code=codes.grouped(typed) if codes.is_code(typed, rules.code_kind) else typed,
            balance=standing.balance,
            unit=rules.unit.name(standing.balance, language),
            tier_key=tier.key if tier else None,
            tier_name=tier.name.in_(language) if tier else None,
            metric=standing.metric,
            rewards=(*views.values(), *_full_card(rules, found.stamps, language)),
            next_reward=views[after_next.key] if after_next else None,
            recent=tuple(journal.receipt_of(row, rules) for row in rows.all()),
            pending=found.pending,
            held=found.held,
            stamps=found.stamps,
            stamps_needed=rules.stamps.target if rules.stamps else None,
            issued=_issued(read, loaded, standing.member_id, language, now),
            as_money=as_money(rules, standing, basket_minor=None, language=language),
            offers=_offers_here(read, loaded, found, at, language, now),
            last_visit_at=instant_or_none(standing.last_purchase_at),
            lapsing=_lapsing(read, loaded, found, now),
            is_birthday=found.birthday is not None
            and near_yearly(*found.birthday, local_date(now, rules.zone), days=BIRTHDAY_DAYS),
        )


def _reward(
    read: Read, loaded: Loaded, found: Seen, reward: Reward, at: Counter, language: str, now: datetime
) -> RewardView:
    standing = found.standing
    price = reward.price(standing.tier)
    missing = max(price - standing.balance, 0)
    refused = in_the_way(reward, tier=standing.tier, location=at.location, now=now)
    if refused is None and limit_reached(read, loaded, standing.member_id, reward, now=now):
        refused = RewardLimitReached(limit=reward.member_limit)
    if refused is None and reward.stock is not None:
        taken = allowances.used(read, loaded.id, allowances.stock_name(reward.key))
        refused = RewardSoldOut() if taken >= reward.stock else None
    if refused is None and missing:
        unit = loaded.programme.unit.name(price, language)
        refused = NotEnoughPoints(unit=unit, needed=price, available=standing.balance)
    return RewardView(
        key=reward.key,
        name=reward.name.in_(language),
        points=price,
        missing=missing,
        kind=reward.kind,
        refused=refused.code if refused else None,
        why=_in_words(language, refused) if refused else None,
    )


def _full_card(rules: Programme, stamps: int, language: str) -> tuple[RewardView, ...]:
    """A punch card, where its reward is asked for at the counter."""
    rule = rules.stamps
    if rule is None or not rule.on_request:
        return ()
    refused = NotEnoughStamps(needed=rule.target, available=stamps) if stamps < rule.target else None
    return (
        RewardView(
            key=STAMPS,
            name=rule.name.in_(language),
            points=0,
            missing=0,
            kind=RewardKind.FREE_ITEM,
            refused=refused.code if refused else None,
            why=_in_words(language, refused) if refused else None,
        ),
    )


def _in_words(language: str, refused: Refused) -> str:
    return say(language, refused.words, **refused.values)


def _offers_here(
    read: Read, loaded: Loaded, found: Seen, at: Counter, language: str, now: datetime
) -> tuple[OfferHere, ...]:
    if not loaded.has_offers:
        return ()
    facts, place = arrival.facts(found.standing), Place(location=at.location, channel=at.channel)
    situation = Situation(now, loaded.programme.currency, place, facts)
    standings = offers.running(read, loaded, found.standing.member_id, now=now).standings(facts, now)
    here = [one.offer for one in standings if holds(one, situation) is None]
    return tuple(
        OfferHere(one.key, one.title.in_(language), one.text.in_(language), one.window.ends_at)
        for one in sorted(here, key=lambda offer: (-offer.priority, offer.key))
    )


def _lapsing(read: Read, loaded: Loaded, found: Seen, now: datetime) -> Lapsing | None:
    """The next points to lapse, where that is soon."""
    rules, standing = loaded.programme, found.standing
    tier = rules.tier(standing.tier)
    if standing.balance <= 0 or (tier is not None and tier.points_last):
        return None
    match rules.points.expiry.kind:
        case ExpiryKind.NONE:
            return None
        case ExpiryKind.INACTIVITY:
            at = instant_or_none(standing.points_lapse_at)
            following = (standing.balance, at) if at is not None else None
        case _:
            following = counter.next_to_lapse(read, loaded.id, standing.points_account_id, now=now)
    if following is None or following[1] - now > LAPSING_SOON:
        return None
    return Lapsing(*following)


def _issued(
    read: Read, loaded: Loaded, member_id: int, language: str, now: datetime
) -> tuple[IssuedView, ...]:
    """What can be used now. What is held for a payment is not offered again."""
    return tuple(
        IssuedView(
            id=row.id,
            key=row.reward_key,
            name=_name_of(read, loaded, row, language),
            expires_at=instant_or_none(row.expires_at),
        )
        for row in redemptions.issued_to(read, loaded.id, member_id)
        if row.source != "points" and (row.expires_at is None or row.expires_at > micros(now))
    )


def _name_of(read: Read, loaded: Loaded, row: Row, language: str) -> str:
    """What a reward is called, or was when it was given if the programme has it no more."""
    name = _names(loaded.programme).get(row.reward_key)
    given = None if name else journal.receipt_row(read, loaded.id, row.receipt_id)
    if given is not None:
        name = _names(programmes.at_version(read, loaded.id, given.programme_version)).get(row.reward_key)
    return name.in_(language) if name else str(row.reward_key)


def _names(rules: Programme) -> dict[str, Text]:
    names = {reward.key: reward.name for reward in rules.rewards}
    return names if rules.stamps is None else {**names, STAMPS: rules.stamps.name}
