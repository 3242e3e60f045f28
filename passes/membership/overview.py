"""How a member stands, for their own page: what can be had, what is missing, what happened and why."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from datetime import date, datetime, timedelta

from passes import showing
from passes.language import say
from passes.loyalty.card import CardFace, OfferLine
from passes.loyalty.dates import local_date
from passes.loyalty.explanation import Explained, explain
from passes.loyalty.lasting import ExpiryKind
from passes.loyalty.ledger import Lot, spendable
from passes.loyalty.offers import earning_key
from passes.loyalty.programme import Programme
from passes.loyalty.receipt import Receipt, ReceiptKind
from passes.loyalty.refusals import LinkUnknown
from passes.loyalty.rewards import Reward, RewardKind
from passes.loyalty.stamps import STAMPS
from passes.loyalty.text import Text
from passes.loyalty.tiers import Tier, TierMetric, TierWindow, next_tier, period_of, window_of
from passes.store import (
    Read,
    Row,
    Store,
    allowances,
    cards,
    due,
    journal,
    members,
    offers,
    programmes,
    purchases,
    redemptions,
)
from passes.store import membership as rows
from passes.store.due import MetricWindow
from passes.store.instants import instant, instant_or_none, micros
from passes.store.members import Standing
from passes.store.membership import Link
from passes.store.programmes import Loaded

RECEIPTS_SHOWN = 10
_LAPSES_SHOWN = 3
_ALMOST = timedelta(microseconds=1)


@dataclass(frozen=True, slots=True)
class Prize:
    """A reward of the programme: `missing` points are 0 when it can be had now.

    `from_points` where it is paid for in steps, of which this is the least.
    `tiers` are the levels it is for, where it is not for everybody, and not for this member.
    """

    key: str
    name: str
    points: int
    missing: int
    in_steps: bool = False
    tiers: tuple[str, ...] = ()
    sold_out: bool = False

    @property
    def is_ready(self) -> bool:
        """Whether the member can have it now."""
        return not (self.missing or self.tiers or self.sold_out)


@dataclass(frozen=True, slots=True)
class InHand:
    """A reward that only has to be asked for; `until` is the last day, None for ever."""

    name: str
    until: date | None


@dataclass(frozen=True, slots=True)
class OnDay:
    """So many points, and a day: the first on which they can be spent, or the last."""

    points: int
    day: date


@dataclass(frozen=True, slots=True)
class Level:
    """The member's tier and the way to the next one.

    `metric` and `threshold` of the next are minor units, points or visits, as
    `counts` says. `kept_until` is the last day of the present one, None for ever.
    """

    name: str
    perk: str | None
    kept_until: date | None
    counts: TierMetric
    metric: int
    next_name: str | None
    threshold: int

    @property
    def missing(self) -> int:
        """What the next tier still takes."""
        return max(self.threshold - self.metric, 0)


@dataclass(frozen=True, slots=True)
class StampCard:
    """A strip of stamps: so many of `target` are there, and `name` is what a full one gives."""

    name: str
    count: int
    target: int


@dataclass(frozen=True, slots=True)
class Entry:
    """A receipt as its member reads it, with the lines that explain its points.

    `reward` is what it was about and `place` the shop, where there is one.
    """

    receipt: Receipt
    reward: str | None
    place: str | None
    why: tuple[Explained, ...]


@dataclass(frozen=True, slots=True)
class Overview:
    """Everything that a member's page shows besides the card itself."""

    loaded: Loaded
    face: CardFace
    balance: int
    prizes: tuple[Prize, ...]
    in_hand: tuple[InHand, ...]
    offers: tuple[OfferLine, ...]
    level: Level | None
    stamps: StampCard | None
    lapsing: tuple[OnDay, ...]
    waiting: tuple[OnDay, ...]
    held: int
    entries: tuple[Entry, ...]
    wallets: Mapping[str, datetime]


def overview(store: Store, found: Link, *, language: str, now: datetime) -> Overview:
    """How the member stands, in words of `language`. The card must not be withdrawn. Raises LinkUnknown."""
    with store.read(snapshot=True) as read:
        loaded = programmes.by_id(read, found.programme_id)
        facts = cards.facts(read, loaded.id, found.card_id)
        if facts is None:
            raise LinkUnknown()
        face = showing.face_of(read, loaded, facts, now=now)
        standing = members.standing(members.look(read, loaded.id, facts.code))
        if standing is None:
            raise LinkUnknown()
        rules, tier = loaded.programme, loaded.programme.tier(standing.tier)
        shown_offers = face.offers
        if language != face.language and shown_offers:
            shown_offers = offers.for_card(read, loaded, found.member_id, language=language, now=now)
        return Overview(
            loaded=loaded,
            face=face,
            balance=standing.balance,
            prizes=_prizes(read, loaded, standing, language),
            in_hand=_in_hand(read, loaded, standing, language, now),
            offers=shown_offers,
            level=_level(read, rules, loaded.id, standing, language, now) if tier else None,
            stamps=_stamps(rules, facts.stamps, language),
            lapsing=_lapsing(read, loaded, standing, tier, now),
            waiting=_waiting(read, loaded, standing),
            held=_in_account(read, loaded, standing.held_account_id),
            entries=_entries(read, loaded, standing.member_id, language),
            wallets=rows.wallets(read, loaded.id, found.card_id),
        )


def _prizes(read: Read, loaded: Loaded, standing: Standing, language: str) -> tuple[Prize, ...]:
    """The programme's rewards, cheapest first."""
    rules = loaded.programme

    def prize(reward: Reward) -> Prize:
        in_steps = reward.kind is RewardKind.POINTS_AS_MONEY
        price = reward.price(standing.tier)
        if in_steps:
            price = -(-max(reward.least_points, price) // price) * price
        outside = reward.tiers and standing.tier not in reward.tiers
        wanted = [tier for tier in rules.tiers if outside and tier.key in reward.tiers]
        gone = allowances.used(read, loaded.id, allowances.stock_name(reward.key)) if reward.stock else 0
        return Prize(
            key=reward.key,
            name=reward.name.in_(language),
            points=price,
            missing=max(price - standing.balance, 0),
            in_steps=in_steps,
            tiers=tuple(tier.name.in_(language) for tier in wanted),
            sold_out=reward.stock is not None and gone >= reward.stock,
        )

    return tuple(sorted((prize(reward) for reward in rules.rewards), key=lambda one: one.points))


def _in_hand(
    read: Read, loaded: Loaded, standing: Standing, language: str, now: datetime
) -> tuple[InHand, ...]:
    """Rewards to be asked for. What is set aside for a payment is under way already."""
    zone, names = loaded.programme.zone, _reward_names(loaded.programme)
    found = []
    for row in redemptions.issued_to(read, loaded.id, standing.member_id):
        if row.source == "points" or (row.expires_at is not None and row.expires_at <= micros(now)):
            continue
        name = names.get(row.reward_key) or _name_then(read, loaded, row)
        found.append(InHand(name.in_(language) if name else row.reward_key, _last_day(row.expires_at, zone)))
    return tuple(found)


def _name_then(read: Read, loaded: Loaded, row: Row) -> Text | None:
    """What a reward was called when it was given, if the programme has it no more."""
    given = journal.receipt_row(read, loaded.id, row.receipt_id) if row.receipt_id else None
    if given is None:
        return None
    return _reward_names(programmes.at_version(read, loaded.id, given.programme_version)).get(row.reward_key)


def _reward_names(rules: Programme) -> dict[str, Text]:
    names = {reward.key: reward.name for reward in rules.rewards}
    return names if rules.stamps is None else {**names, STAMPS: rules.stamps.name}


def _level(
    read: Read, rules: Programme, programme_id: int, standing: Standing, language: str, now: datetime
) -> Level | None:
    tier, rule = rules.tier(standing.tier), rules.tiering
    if tier is None:
        return None
    joined_at = instant(standing.joined_at)
    metric = standing.metric
    if rule.window is TierWindow.ROLLING:
        since, until = window_of(rule, now, rules.zone, joined_at)
        window = MetricWindow(standing.member_id, since, until)
        metric = due.metrics(read, programme_id, rule.metric, [window])[0].value
    elif standing.metric_period != period_of(rule, now, rules.zone, joined_at):
        metric = 0
    following = next_tier(rules.tiers, tier.threshold)
    return Level(
        name=tier.name.in_(language),
        perk=tier.perk.in_(language) if tier.perk else None,
        kept_until=_last_day(standing.tier_until, rules.zone),
        counts=rule.metric,
        metric=max(metric, 0),
        next_name=following.name.in_(language) if following else None,
        threshold=following.threshold if following else 0,
    )


def _stamps(rules: Programme, count: int, language: str) -> StampCard | None:
    if rules.stamps is None:
        return None
    return StampCard(
        rules.stamps.name.in_(language), min(max(count, 0), rules.stamps.target), rules.stamps.target
    )


def _lapsing(
    read: Read, loaded: Loaded, standing: Standing, tier: Tier | None, now: datetime
) -> tuple[OnDay, ...]:
    """The next points to lapse, with the last day on which each can be used."""
    rules = loaded.programme
    if standing.balance <= 0 or (tier and tier.points_last):
        return ()
    if rules.points.expiry.kind is ExpiryKind.INACTIVITY:
        day = _last_day(standing.points_lapse_at, rules.zone)
        return (OnDay(standing.balance, day),) if day else ()
    lots = spendable(journal.open_lots(read, loaded.id, standing.points_account_id), now)
    lasting = [(lot, lot.expires_at - _ALMOST) for lot in lots if lot.expires_at is not None]
    return _by_day(lasting, rules.zone)[:_LAPSES_SHOWN]


def _waiting(read: Read, loaded: Loaded, standing: Standing) -> tuple[OnDay, ...]:
    """Points that cannot be spent yet, with the first day on which they can."""
    if standing.pending_account_id is None:
        return ()
    lots = journal.open_lots(read, loaded.id, standing.pending_account_id)
    return _by_day([(lot, lot.available_at) for lot in lots], loaded.programme.zone)


def _by_day(lots: Iterable[tuple[Lot, datetime]], zone: str) -> tuple[OnDay, ...]:
    totals: dict[date, int] = {}
    for lot, at in lots:
        day = local_date(at, zone)
        totals[day] = totals.get(day, 0) + lot.remaining
    return tuple(OnDay(points, day) for day, points in sorted(totals.items()))


def _in_account(read: Read, loaded: Loaded, account_id: int | None) -> int:
    return journal.balance_of(read, loaded.id, account_id) if account_id else 0


def _last_day(until: int | None, zone: str) -> date | None:
    """The last day of what ends at a stored instant, which does not count any more itself."""
    at = instant_or_none(until)
    return None if at is None else local_date(at - _ALMOST, zone)


def _entries(read: Read, loaded: Loaded, member_id: int, language: str) -> tuple[Entry, ...]:
    """The newest receipts. What was taken back stands crossed out, without an entry of its own."""
    found = journal.receipts_of_member(read, loaded.id, member_id, limit=2 * RECEIPTS_SHOWN).all()
    titles: dict[str, str] = {}
    # Also of offers that are over by now.
    for row in offers.every(read, loaded) if any('"offer' in one.reasons for one in found) else ():
        titles[row.offer.key] = titles[earning_key(row.offer.key)] = row.offer.title.in_(language)
    shown = [row for row in found if row.kind != ReceiptKind.UNDO][:RECEIPTS_SHOWN]
    return tuple(_entry(read, loaded, row, titles, language) for row in shown)


def _entry(read: Read, loaded: Loaded, row: Row, titles: Mapping[str, str], language: str) -> Entry:
    rules = programmes.at_version(read, loaded.id, row.programme_version)
    receipt = journal.as_receipt(row, currency=rules.currency, undo_until=None)
    lines = purchases.lines_of(read, loaded.id, row.purchase_id) if row.purchase_id else ()
    reward = _reward_names(rules).get(row.reward_key) if row.reward_key else None
    shops = {shop.key: shop.name for shop in rules.shops}
    place = shops.get(receipt.counter.location or "")
    return Entry(
        receipt=receipt,
        reward=reward.in_(language) if reward else None,
        place=place.in_(language) if place else None,
        why=explain(
            receipt.reasons,
            points=receipt.points,
            version=receipt.programme_version,
            programme=rules,
            language=language,
            say=say,
            lines=lines,
            names=titles,
        ),
    )
