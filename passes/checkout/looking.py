"""Looking without booking: the member behind a code, what a purchase would give, the newest receipts."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime

from passes.checkout import arrival
from passes.checkout.purchases import as_basket, situation
from passes.loyalty import codes
from passes.loyalty.earning import earn
from passes.loyalty.programme import next_reward
from passes.loyalty.receipt import Counter, Receipt
from passes.loyalty.rewards import Reward
from passes.store import Store, journal, members, programmes

_LOOK_RECEIPTS = 5


@dataclass(frozen=True, slots=True)
class RewardView:
    """A reward as the till shows it; `missing` points are 0 when it is ready."""

    key: str
    name: str
    points: int
    missing: int

    @property
    def ready(self) -> bool:
        """Whether the balance pays for it."""
        return self.missing == 0


@dataclass(frozen=True, slots=True)
class MemberView:
    """What a cashier sees of a member: never an address or a number to call.

    `metric` is what counts towards the next tier in the present period.
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
        tier = rules.tier(standing.tier)
        after_next = next_reward(rules, standing.balance)

        def view(reward: Reward) -> RewardView:
            price = reward.price(standing.tier)
            return RewardView(
                key=reward.key,
                name=reward.name.in_(language),
                points=price,
                missing=max(price - standing.balance, 0),
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
        )


def quote(store: Store, *, programme: str, code: str, amount_minor: int, now: datetime) -> int:
    """The points that `accrue` would give for this amount now. Changes nothing."""
    typed = arrival.typed(code)
    with store.read() as read:
        loaded = programmes.by_slug(read, programme)
        standing = arrival.card(read, loaded, typed, members.look(read, loaded.id, typed))
        rules = loaded.programme
        basket = as_basket(rules, amount_minor, (), 0, 0)
        known = situation(read, loaded, standing, Counter(), now)
        return earn(rules.earning, basket, currency=rules.currency, situation=known).points


def recent(store: Store, *, programme: str, person: str, limit: int = 20) -> list[Receipt]:
    """The newest receipts that a staff member booked."""
    with store.read() as read:
        loaded = programmes.by_slug(read, programme)
        rows = journal.receipts_of_person(read, loaded.id, person, limit=limit).all()
        return [arrival.as_receipt(row, loaded.programme) for row in rows]
