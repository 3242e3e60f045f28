"""What a purchase would give before it is booked, why a receipt moved its points, and the newest receipts."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime

from passes.checkout import arrival
from passes.checkout.purchases import as_basket, reckon, same_day
from passes.language import say
from passes.loyalty.basket import Line
from passes.loyalty.explanation import Explained, explain
from passes.loyalty.lasting import available_at
from passes.loyalty.money import Money
from passes.loyalty.offers import earning_key
from passes.loyalty.programme import Programme
from passes.loyalty.receipt import Counter, Receipt
from passes.loyalty.refusals import ApprovalNeeded, ReceiptUnknown
from passes.loyalty.rewards import RewardKind, choice
from passes.loyalty.safety import Approved, Watch, approvals
from passes.loyalty.tenders import Tender, check_tenders, unearning
from passes.store import Store, journal, members, offers, programmes, purchases
from passes.store.members import Standing

_ANYWHERE = Counter()

NO_LIMIT_MINOR = 2**62
"""More than any basket."""


@dataclass(frozen=True, slots=True)
class OfferView:
    """An offer in a quote: what it takes off, or in words why it does not hold."""

    key: str
    discount_minor: int = 0
    refused: str | None = None
    words: str | None = None


@dataclass(frozen=True, slots=True)
class AsMoney:
    """How many points this purchase lets a member pay as money: `least` to `most` in steps; `most` 0: none.

    Each `step` is worth `step_minor`.
    """

    reward_key: str
    name: str
    least: int
    most: int
    step: int
    step_minor: int


@dataclass(frozen=True, slots=True)
class ApprovalView:
    """What a manager will have to agree to before the purchase is booked, and in words why."""

    why: Approved
    words: str


@dataclass(frozen=True, slots=True)
class Quote:
    """What a purchase would come to: `pay_minor` after offers, and the points with every reason for them.

    `balance_after` is what could be spent then; points that wait are not in it.
    `approval` is empty where nobody has to agree, and where no till is watched.
    """

    pay_minor: int
    discount_minor: int
    points: int
    balance_after: int
    offers: tuple[OfferView, ...]
    why: tuple[Explained, ...]
    as_money: tuple[AsMoney, ...] = ()
    approval: tuple[ApprovalView, ...] = ()


def quote(
    store: Store,
    *,
    programme: str,
    code: str,
    amount_minor: int,
    lines: Sequence[Line] = (),
    discount_minor: int = 0,
    unearning_minor: int = 0,
    tenders: Sequence[Tender] = (),
    offer_codes: Sequence[str] = (),
    takes_discounts: bool = False,
    at: Counter = _ANYWHERE,
    language: str | None = None,
    watch: Watch | None = None,
    now: datetime,
) -> Quote:
    """What `accrue` would do with the same purchase now: the same code works it out. Changes nothing."""
    typed = arrival.typed(code)
    unearning_minor = unearning(tenders, said_minor=unearning_minor)
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
        check_tenders(tenders, to_pay=Money(reckoned.basket.net_minor, rules.currency))
        needed: list[tuple[Approved, ApprovalNeeded]] = []
        if watch is not None:
            amount, others = Money(amount_minor, rules.currency), same_day(read, loaded, standing, now)
            needed = approvals(watch.rules, amount=amount, at=at, same_day=others)
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
        as_money=as_money(rules, standing, basket_minor=reckoned.basket.net_minor, language=in_words),
        approval=tuple(
            ApprovalView(one, say(in_words, refused.words, **refused.values)) for one, refused in needed
        ),
    )


def as_money(
    rules: Programme, standing: Standing, *, basket_minor: int | None, language: str
) -> tuple[AsMoney, ...]:
    """What the balance lets a member pay of a basket; of any basket where that is not known yet."""
    found = []
    for reward in rules.rewards:
        if reward.kind is not RewardKind.POINTS_AS_MONEY:
            continue
        # Enough for every point there is, whatever share of a basket may be paid so.
        basket = NO_LIMIT_MINOR if basket_minor is None else basket_minor
        offered = choice(reward, balance=standing.balance, basket_minor=basket)
        name, step_minor = reward.name.in_(language), reward.amount_minor or 0
        found.append(AsMoney(reward.key, name, offered.least, offered.most, offered.step, step_minor))
    return tuple(found)


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
    receipt = journal.receipt_of(row, loaded.programme)
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
        return [journal.receipt_of(row, loaded.programme) for row in rows]
