"""Looking without booking: the member behind a code, what a purchase would give, the newest receipts."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime

from passes.checkout import arrival
from passes.checkout.purchases import as_basket, reckon
from passes.language import say
from passes.loyalty import codes
from passes.loyalty.basket import Line
from passes.loyalty.explanation import Explained, explain
from passes.loyalty.lasting import available_at
from passes.loyalty.offers import earning_key
from passes.loyalty.programme import Programme, next_reward
from passes.loyalty.receipt import Counter, Receipt
from passes.loyalty.refusals import ReceiptUnknown
from passes.loyalty.rewards import Reward, RewardKind
from passes.loyalty.stamps import STAMPS
from passes.loyalty.text import Text
from passes.store import Read, Row, Store, journal, members, offers, programmes, purchases, redemptions
from passes.store.instants import instant_or_none, micros
from passes.store.programmes import Loaded

_LOOK_RECEIPTS = 5
_ANYWHERE = Counter()


@dataclass(frozen=True, slots=True)
class RewardView:
    """A reward as the till shows it; `missing` points are 0 when it is ready.

    Where points are paid as money `points` is one step, and how many steps
    depends on what is to be paid.
    """

    key: str
    name: str
    points: int
    missing: int
    kind: RewardKind

    @property
    def ready(self) -> bool:
        """Whether the balance pays for it."""
        return self.missing == 0


@dataclass(frozen=True, slots=True)
class IssuedView:
    """A reward that the member has and can use now."""

    id: int
    key: str
    name: str
    expires_at: datetime | None


@dataclass(frozen=True, slots=True)
class MemberView:
    """What a cashier sees of a member: never an address or a number to call.

    `metric` is what counts towards the next tier in the present period;
    `pending` points wait, `held` ones are set aside for a payment. `issued`
    rewards only have to be used.
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
    issued: tuple[IssuedView, ...] = ()


def look(store: Store, *, programme: str, code: str, language: str, now: datetime) -> MemberView:
    """The member behind a scanned or typed code.

    Raises CodeMistyped, CodeUnknown, CardForeign or CardVoided.
    """
    typed = arrival.typed(code)
    with store.read() as read:
        loaded = programmes.by_slug(read, programme)
        standing = arrival.card(read, loaded, typed, members.look(read, loaded.id, typed))
        name = members.name_of(read, loaded.id, standing.member_id)
        rows = journal.receipts_of_member(read, loaded.id, standing.member_id, limit=_LOOK_RECEIPTS)
        rules = loaded.programme
        waiting = {
            name: journal.balance_of(read, loaded.id, account_id)
            for name, account_id in (
                ("pending", standing.pending_account_id),
                ("held", standing.held_account_id),
                ("stamps", standing.stamps_account_id),
            )
            if account_id is not None
        }
        tier = rules.tier(standing.tier)
        after_next = next_reward(rules, standing.balance)

        def view(reward: Reward) -> RewardView:
            price = reward.price(standing.tier)
            return RewardView(
                key=reward.key,
                name=reward.name.in_(language),
                points=price,
                missing=max(price - standing.balance, 0),
                kind=reward.kind,
            )

        return MemberView(
            programme=loaded.slug,
            member_id=standing.member_id,
            card_id=standing.card_id,
            name=name.value() or "",
            code=codes.grouped(codes.read(typed, rules.code_kind)),
            balance=standing.balance,
            unit=rules.unit.name(standing.balance, language),
            tier_key=tier.key if tier else None,
            tier_name=tier.name.in_(language) if tier else None,
            metric=standing.metric,
            rewards=tuple(view(reward) for reward in rules.rewards),
            next_reward=view(after_next) if after_next else None,
            recent=tuple(arrival.as_receipt(row, rules) for row in rows.all()),
            issued=_issued(read, loaded, standing.member_id, language, now),
            **waiting,
        )


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


@dataclass(frozen=True, slots=True)
class OfferView:
    """An offer in a quote: what it takes off, or in words why it does not hold."""

    key: str
    discount_minor: int = 0
    refused: str | None = None
    words: str | None = None


@dataclass(frozen=True, slots=True)
class Quote:
    """What a purchase would come to: `pay_minor` after offers, and the points with every reason for them.

    `balance_after` is what could be spent then; points that wait are not in it.
    """

    pay_minor: int
    discount_minor: int
    points: int
    balance_after: int
    offers: tuple[OfferView, ...]
    why: tuple[Explained, ...]


def quote(
    store: Store,
    *,
    programme: str,
    code: str,
    amount_minor: int,
    lines: Sequence[Line] = (),
    discount_minor: int = 0,
    unearning_minor: int = 0,
    offer_codes: Sequence[str] = (),
    takes_discounts: bool = False,
    at: Counter = _ANYWHERE,
    language: str | None = None,
    now: datetime,
) -> Quote:
    """What `accrue` would do with the same purchase now: the same code works it out. Changes nothing."""
    typed = arrival.typed(code)
    with store.read() as read:
        loaded = programmes.by_slug(read, programme)
        standing = arrival.card(read, loaded, typed, members.look(read, loaded.id, typed))
        rules = loaded.programme
        basket = as_basket(rules, amount_minor, lines, discount_minor, unearning_minor)
        reckoned = reckon(
            read,
            loaded,
            standing,
            basket,
            at,
            now,
            offer_codes=offer_codes,
            takes_discounts=takes_discounts,
        )
    in_words = language or rules.language
    waits = available_at(
        rules.points, occurred_at=now, categories=[line.category for line in basket.lines], zone=rules.zone
    )
    uses = reckoned.applied.uses if reckoned.applied else ()
    views = [OfferView(use.key, use.discount_minor) for use in uses]
    for key, why in reckoned.refused:
        views.append(OfferView(key, refused=why.code, words=say(in_words, why.words, **why.values)))
    return Quote(
        pay_minor=reckoned.basket.net_minor,
        discount_minor=basket.net_minor - reckoned.basket.net_minor,
        points=reckoned.points,
        balance_after=standing.balance + (reckoned.points if waits <= now else 0),
        offers=tuple(views),
        why=explain(
            reckoned.reasons,
            points=reckoned.points,
            version=loaded.version,
            programme=rules,
            language=in_words,
            say=say,
            lines=basket.lines,
        ),
    )


@dataclass(frozen=True, slots=True)
class Why:
    """A receipt with every part of its points in words; the parts add up to them."""

    receipt: Receipt
    parts: tuple[Explained, ...]


def why(store: Store, *, programme: str, receipt_id: int, language: str | None = None) -> Why:
    """Why a receipt moved the points it did, by the rules of its time. Raises ReceiptUnknown."""
    if not 0 < receipt_id < arrival.ID_LIMIT:
        raise ReceiptUnknown()
    with store.read() as read:
        loaded = programmes.by_slug(read, programme)
        row = journal.receipt_row(read, loaded.id, receipt_id)
        if row is None:
            raise ReceiptUnknown()
        rules = programmes.at_version(read, loaded.id, row.programme_version)
        lines = purchases.lines_of(read, loaded.id, row.purchase_id) if row.purchase_id else ()
        in_words = language or rules.language
        titles = {}
        # Also of offers that are over by now.
        for row_of_offer in offers.every(read, loaded) if '"offer' in row.reasons else ():
            offer = row_of_offer.offer
            titles[offer.key] = titles[earning_key(offer.key)] = offer.title.in_(in_words)
    receipt = arrival.as_receipt(row, loaded.programme)
    return Why(
        receipt,
        explain(
            receipt.reasons,
            points=receipt.points,
            version=receipt.programme_version,
            programme=rules,
            language=in_words,
            say=say,
            lines=lines,
            names=titles,
        ),
    )


def recent(store: Store, *, programme: str, person: str, limit: int = 20) -> list[Receipt]:
    """The newest receipts that a staff member booked."""
    with store.read() as read:
        loaded = programmes.by_slug(read, programme)
        rows = journal.receipts_of_person(read, loaded.id, person, limit=limit).all()
        return [arrival.as_receipt(row, loaded.programme) for row in rows]
