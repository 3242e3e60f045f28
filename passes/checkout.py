"""At the counter: look at a card, book a purchase, redeem, undo, sell to a guest.

Every write names its request. Asked again with the same key and content it
answers as it did first; a refusal keeps nothing, not even the key.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from datetime import datetime, timedelta
from typing import Any
from zoneinfo import ZoneInfo

from passes.loyalty import codes
from passes.loyalty.ledger import (
    MAY_OVERDRAW,
    Consumption,
    Lot,
    PostingKind,
    consume,
    restore,
)
from passes.loyalty.money import Money
from passes.loyalty.programme import Earned, Programme, Reward, earn, next_reward
from passes.loyalty.receipt import Counter, Receipt, ReceiptKind
from passes.loyalty.refusals import (
    AlreadyUndone,
    AmountInvalid,
    AmountTooLarge,
    CardForeign,
    CardVoided,
    CodeMistyped,
    CodeUnknown,
    NotEnoughPoints,
    ReceiptUnknown,
    UndoTooLate,
)
from passes.loyalty.tiers import multiplier_of, tier_for
from passes.store import Read, Row, Store, Work, journal, members, programmes, purchases
from passes.store.ids import new_id
from passes.store.instants import instant, micros
from passes.store.programmes import Finding, Loaded
from passes.store.purchases import Line
from passes.store.work import Answer

_LOOK_RECEIPTS = 5
_CODE_LENGTH_MAX = 64
_ID_LIMIT = 2**63


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
    """What a cashier sees of a member: never an address or a number to call."""

    programme: str
    member_id: int
    card_id: int
    name: str
    code: str
    balance: int
    unit: str
    tier_key: str | None
    tier_name: str | None
    spend_minor: int
    rewards: tuple[RewardView, ...]
    next_reward: RewardView | None
    recent: tuple[Receipt, ...]


@dataclass(frozen=True, slots=True)
class Sale:
    """A sale without a member."""

    id: int
    net_minor: int
    currency: str


def look(store: Store, *, programme: str, code: str, language: str, now: datetime) -> MemberView:
    """The member behind a scanned or typed code.

    Raises CodeMistyped, CodeUnknown, CardForeign or CardVoided.
    """
    with store.read() as read:
        loaded = programmes.by_slug(read, programme)
        read_code = codes.read(code, loaded.programme.code_kind)
        found = _card(read, read_code, members.look(read, loaded.id, read_code).one())
        name = members.name_of(read, loaded.id, found.member_id)
        rows = journal.receipts_of_member(read, loaded.id, found.member_id, limit=_LOOK_RECEIPTS)
        rules = loaded.programme
        tier = tier_for(rules, _spend(found, _year(rules, now)))
        after_next = next_reward(rules, found.balance)
        return MemberView(
            programme=loaded.slug,
            member_id=found.member_id,
            card_id=found.card_id,
            name=name.value() or "",
            code=codes.grouped(read_code),
            balance=found.balance,
            unit=rules.unit.name(found.balance, language),
            tier_key=tier.key if tier else None,
            tier_name=tier.name.in_(language) if tier else None,
            spend_minor=_spend(found, _year(rules, now)),
            rewards=tuple(_reward_view(reward, found.balance, language) for reward in rules.rewards),
            next_reward=_reward_view(after_next, found.balance, language) if after_next else None,
            recent=tuple(_as_receipt(row, rules) for row in rows.all()),
        )


def quote(store: Store, *, programme: str, code: str, amount_minor: int, now: datetime) -> int:
    """The points that `accrue` would give for this amount now. Changes nothing."""
    with store.read() as read:
        loaded = programmes.by_slug(read, programme)
        read_code = codes.read(code, loaded.programme.code_kind)
        found = _card(read, read_code, members.look(read, loaded.id, read_code).one())
        return _earned(loaded.programme, found, amount_minor, _year(loaded.programme, now)).points


def accrue(
    store: Store,
    *,
    programme: str,
    code: str,
    amount_minor: int,
    key: str,
    at: Counter,
    lines: Sequence[Line] = (),
    occurred_at: datetime | None = None,
    now: datetime,
) -> Receipt:
    """Book a member's purchase of `amount_minor` and give its points.

    `lines`, when given, must add up to the amount. `occurred_at` is when it
    happened at an offline till, `now` at the latest. Raises CodeMistyped,
    CodeMistyped,
    CodeUnknown, CardForeign, CardVoided, AmountInvalid, AmountTooLarge,
    KeyInvalid or KeyReused.
    """
    happened_at = min(occurred_at, now) if occurred_at else now
    typed = _typed(code)
    content = {
        "code": typed,
        "amount_minor": amount_minor,
        "lines": [asdict(line) for line in lines],
        "occurred_at": micros(occurred_at) if occurred_at else None,
    }

    def decide(work: Work) -> Receipt:
        loaded, asked, candidate = _arrive(work, programme, typed, key, "accrue", content)
        if (before := asked.before()) is not None:
            return Receipt.from_json(before)
        rules = loaded.programme
        found = _card(work, codes.read(code, rules.code_kind), candidate.one())
        _check_lines(lines, amount_minor)
        year = _year(rules, happened_at)
        earned = _earned(rules, found, amount_minor, year)
        booked = Receipt(
            id=new_id(now),
            kind=ReceiptKind.ACCRUE,
            member_id=found.member_id,
            card_id=found.card_id,
            points=earned.points,
            balance_after=found.balance + earned.points,
            amount_minor=amount_minor,
            currency=rules.currency,
            reward_key=None,
            counter=at,
            occurred_at=happened_at,
            recorded_at=now,
            programme_version=loaded.version,
            reasons=({"rule": "earn", **asdict(earned)},),
            undo_until=now + timedelta(seconds=rules.undo_seconds),
        )
        purchase_id = purchases.add(
            work,
            programme_id=loaded.id,
            programme_version=loaded.version,
            member_id=found.member_id,
            card_id=found.card_id,
            counter=at,
            currency=rules.currency,
            net_minor=amount_minor,
            lines=lines,
            local_day=_local_day(rules, happened_at),
            occurred_at=happened_at,
            now=now,
        )
        if earned.points:
            posting_id = journal.add_posting(
                work,
                loaded.id,
                journal.Entry(
                    PostingKind.EARN, loaded.accounts["issue"], found.points_account_id, earned.points
                ),
                booked,
            )
            journal.open_lot(
                work,
                programme_id=loaded.id,
                account_id=found.points_account_id,
                posting_id=posting_id,
                amount=earned.points,
                deficit=max(-found.balance, 0),
                booked=booked,
            )
            journal.move(work, loaded.id, found.points_account_id, earned.points)
        _spend_more(work, loaded, found, amount_minor, year, happened_at)
        journal.add_receipt(work, loaded.id, booked, purchase_id=purchase_id)
        members.revise_cards(work, loaded.id, found.member_id)
        asked.answered(work, booked.as_json(), now=now)
        return booked

    return store.write(decide)


def redeem(
    store: Store, *, programme: str, code: str, reward: str, key: str, at: Counter, now: datetime
) -> Receipt:
    """Exchange points for a reward.

    Raises NotEnoughPoints with `needed`, `available` and `ready` (what the
    balance does pay for), RewardUnknown, and what `accrue` raises for codes and keys.
    """
    typed = _typed(code)
    content = {"code": typed, "reward": reward}

    def decide(work: Work) -> Receipt:
        loaded, asked, candidate = _arrive(work, programme, typed, key, "redeem", content)
        if (before := asked.before()) is not None:
            return Receipt.from_json(before)
        rules = loaded.programme
        wanted = rules.reward(reward)
        found = _card(work, codes.read(code, rules.code_kind), candidate.one())
        _guard(rules, PostingKind.REDEEM, found.balance, wanted.points)
        booked = Receipt(
            id=new_id(now),
            kind=ReceiptKind.REDEEM,
            member_id=found.member_id,
            card_id=found.card_id,
            points=-wanted.points,
            balance_after=found.balance - wanted.points,
            amount_minor=None,
            currency=rules.currency,
            reward_key=wanted.key,
            counter=at,
            occurred_at=now,
            recorded_at=now,
            programme_version=loaded.version,
            reasons=({"rule": "reward", "reward": wanted.key, "points": wanted.points},),
            undo_until=now + timedelta(seconds=rules.undo_seconds),
        )
        taken = consume(journal.open_lots(work, loaded.id, found.points_account_id), wanted.points)
        posting_id = journal.add_posting(
            work,
            loaded.id,
            journal.Entry(
                PostingKind.REDEEM, found.points_account_id, loaded.accounts["redeemed"], wanted.points
            ),
            booked,
        )
        journal.change_lots(work, loaded.id, posting_id, {part.lot_id: part.amount for part in taken})
        journal.move(work, loaded.id, found.points_account_id, -wanted.points)
        journal.add_receipt(work, loaded.id, booked, purchase_id=None)
        members.revise_cards(work, loaded.id, found.member_id)
        asked.answered(work, booked.as_json(), now=now)
        return booked

    return store.write(decide)


def undo(store: Store, *, programme: str, receipt_id: int, key: str, at: Counter, now: datetime) -> Receipt:
    """Reverse a purchase or redemption: new entries, nothing is edited.

    Restored points keep their old lots. Undoing a purchase whose points are
    spent may leave the balance below zero. Raises ReceiptUnknown,
    AlreadyUndone, UndoTooLate, KeyInvalid or KeyReused.
    """
    if not 0 < receipt_id < _ID_LIMIT:
        raise ReceiptUnknown()

    def decide(work: Work) -> Receipt:
        finding = Finding(work, programme)
        asked = journal.Asked(work, finding.id, key, "undo", {"receipt": receipt_id})
        loaded = finding.loaded()
        if (before := asked.before()) is not None:
            return Receipt.from_json(before)
        row = journal.receipt_row(work, loaded.id, receipt_id)
        if row is None:
            raise ReceiptUnknown()
        found = members.of_card(work, loaded.id, row.card_id).one()
        assert found is not None
        # Read again under the member's lock: another till may have undone it meanwhile.
        row = journal.receipt_row(work, loaded.id, receipt_id)
        assert row is not None
        rules = loaded.programme
        undone = _as_receipt(row, rules)
        if undone.undone_by is not None:
            raise AlreadyUndone()
        if not undone.may_be_undone(now):
            raise UndoTooLate()
        booked = Receipt(
            id=new_id(now),
            kind=ReceiptKind.UNDO,
            member_id=undone.member_id,
            card_id=undone.card_id,
            points=-undone.points,
            balance_after=found.balance - undone.points,
            amount_minor=undone.amount_minor,
            currency=rules.currency,
            reward_key=undone.reward_key,
            counter=at,
            occurred_at=now,
            recorded_at=now,
            programme_version=loaded.version,
            reasons=({"rule": "undo", "receipt": undone.id},),
            undoes=undone.id,
        )
        for entry in journal.postings_of(work, loaded.id, undone.id):
            _reverse(work, loaded, found, entry, booked)
        if undone.kind is ReceiptKind.ACCRUE:
            assert undone.amount_minor is not None
            year = _year(rules, undone.occurred_at)
            _spend_less(work, loaded, found, undone.amount_minor, year)
            purchases.void(work, loaded.id, row.purchase_id, by=booked.id)
        journal.add_receipt(work, loaded.id, booked, purchase_id=row.purchase_id)
        journal.mark_undone(work, loaded.id, undone.id, by=booked.id)
        members.revise_cards(work, loaded.id, undone.member_id)
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
    occurred_at: datetime | None = None,
    now: datetime,
) -> Sale:
    """Book a sale without a member: it earns nothing and counts in every share of sales.

    Raises AmountInvalid, AmountTooLarge, KeyInvalid or KeyReused.
    """
    happened_at = min(occurred_at, now) if occurred_at else now
    content = {
        "amount_minor": amount_minor,
        "lines": [asdict(line) for line in lines],
        "occurred_at": micros(occurred_at) if occurred_at else None,
    }

    def decide(work: Work) -> Sale:
        finding = Finding(work, programme)
        asked = journal.Asked(work, finding.id, key, "sale", content)
        loaded = finding.loaded()
        rules = loaded.programme
        if (before := asked.before()) is not None:
            return Sale(int(before), amount_minor, rules.currency)
        _check_amount(rules, amount_minor)
        _check_lines(lines, amount_minor)
        sale_id = purchases.add(
            work,
            programme_id=loaded.id,
            programme_version=loaded.version,
            member_id=None,
            card_id=None,
            counter=at,
            currency=rules.currency,
            net_minor=amount_minor,
            lines=lines,
            local_day=_local_day(rules, happened_at),
            occurred_at=happened_at,
            now=now,
        )
        asked.answered(work, str(sale_id), now=now)
        return Sale(sale_id, amount_minor, rules.currency)

    return store.write(decide)


def recent(store: Store, *, programme: str, person: str, limit: int = 20) -> list[Receipt]:
    """The newest receipts that a staff member booked."""
    with store.read() as read:
        loaded = programmes.by_slug(read, programme)
        rows = journal.receipts_of_person(read, loaded.id, person, limit=limit).all()
        return [_as_receipt(row, loaded.programme) for row in rows]


# What the steps above share ---------------------------------------------------


def _typed(code: str) -> str:
    """The code as it may be looked up; whether its check character is right is known with the programme."""
    typed = codes.normalise(code)
    if not (typed.isascii() and typed.isalnum() and len(typed) <= _CODE_LENGTH_MAX):
        raise CodeMistyped()
    return typed


def _arrive(
    work: Work, programme: str, typed: str, key: str, operation: str, content: Mapping[str, Any]
) -> tuple[Loaded, journal.Asked, Answer]:
    """The programme, whether this was asked before, and the card behind a code, locked.

    The card is asked for before the programme's kind of code is known, so that
    all three questions travel together.
    """
    finding = Finding(work, programme)
    asked = journal.Asked(work, finding.id, key, operation, content)
    candidate = members.at_counter(work, finding.id, typed)
    return finding.loaded(), asked, candidate


def _card(read: Read, code: str, found: Row | None) -> Row:
    if found is None:
        raise CardForeign() if members.code_elsewhere(read, code) else CodeUnknown()
    if found.voided_at is not None:
        raise CardVoided()
    return found


def _guard(rules: Programme, kind: PostingKind, available: int, needed: int) -> None:
    """The balance must cover it, unless the kind may overdraw. The account row is locked."""
    if kind not in MAY_OVERDRAW and available < needed:
        ready = [reward.key for reward in rules.rewards if reward.points <= available]
        raise NotEnoughPoints(
            unit=rules.unit.name(needed, rules.language), needed=needed, available=available, ready=ready
        )


def _reverse(work: Work, loaded: Loaded, found: Row, entry: Row, booked: Receipt) -> None:
    account_id = found.points_account_id
    reversal = journal.Entry(
        PostingKind.REVERSAL, entry.target, entry.source, entry.amount, reverses=entry.id
    )
    posting_id = journal.add_posting(work, loaded.id, reversal, booked)
    open_lots = journal.open_lots(work, loaded.id, account_id)
    if entry.target == account_id:
        # The lot that this purchase opened pays first, then the others in their order.
        own = journal.lots_of_posting(work, loaded.id, entry.id)
        first = consume(own, entry.amount)
        others = [lot for lot in open_lots if lot.id not in {mine.id for mine in own}]
        rest = consume(others, entry.amount - sum(part.amount for part in first))
        journal.change_lots(work, loaded.id, posting_id, _taken([*first, *rest]))
        journal.move(work, loaded.id, account_id, -entry.amount)
    else:
        consumed = journal.consumed_by(work, loaded.id, entry.id)
        given_back = [part for _, part in consumed]
        lots = restore(_merged([lot for lot, _ in consumed], open_lots), given_back)
        # A hole that opened meanwhile is filled first.
        swallowed = consume(lots, max(-found.balance, 0))
        changes = _taken(swallowed)
        for part in given_back:
            changes[part.lot_id] = changes.get(part.lot_id, 0) - part.amount
        journal.change_lots(work, loaded.id, posting_id, changes)
        journal.move(work, loaded.id, account_id, entry.amount)


def _merged(first: Sequence[Lot], second: Sequence[Lot]) -> list[Lot]:
    return list({lot.id: lot for lot in (*first, *second)}.values())


def _taken(parts: Sequence[Consumption]) -> dict[int, int]:
    taken: dict[int, int] = {}
    for part in parts:
        taken[part.lot_id] = taken.get(part.lot_id, 0) + part.amount
    return taken


def _earned(rules: Programme, found: Row, amount_minor: int, year: int) -> Earned:
    tier = tier_for(rules, _spend(found, year))
    return earn(rules, amount_minor, multiplier=multiplier_of(tier))


def _check_amount(rules: Programme, amount_minor: int) -> None:
    if amount_minor <= 0:
        raise AmountInvalid()
    if amount_minor > rules.earning.limit_minor:
        raise AmountTooLarge(limit=Money(rules.earning.limit_minor, rules.currency))


def _check_lines(lines: Sequence[Line], amount_minor: int) -> None:
    for line in lines:
        if line.quantity <= 0 or line.unit_minor < 0 or not 0 <= line.discount_minor <= line.gross_minor:
            raise AmountInvalid()
    if lines and sum(line.net_minor for line in lines) != amount_minor:
        raise AmountInvalid()


def _spend(found: Row, year: int) -> int:
    return int(found.spend_minor) if found.spend_year == year else 0


def _spend_more(
    work: Work, loaded: Loaded, found: Row, amount_minor: int, year: int, happened_at: datetime
) -> None:
    last = max(found.last_purchase_at or 0, micros(happened_at))
    if year >= found.spend_year:
        spend_minor = _spend(found, year) + amount_minor
    else:
        # A late sale of a finished year stands in `purchase`; this year's figure stays.
        year, spend_minor = found.spend_year, found.spend_minor
    members.spent(work, loaded.id, found.member_id, year=year, spend_minor=spend_minor, last_purchase_at=last)


def _spend_less(work: Work, loaded: Loaded, found: Row, amount_minor: int, year: int) -> None:
    if year == found.spend_year:
        members.spent(
            work,
            loaded.id,
            found.member_id,
            year=year,
            spend_minor=found.spend_minor - amount_minor,
            last_purchase_at=found.last_purchase_at,
        )


def _as_receipt(row: Row, rules: Programme) -> Receipt:
    undoable = row.kind in (ReceiptKind.ACCRUE, ReceiptKind.REDEEM)
    undo_until = instant(row.recorded_at) + timedelta(seconds=rules.undo_seconds)
    return journal.as_receipt(row, currency=rules.currency, undo_until=undo_until if undoable else None)


def _reward_view(reward: Reward, balance: int, language: str) -> RewardView:
    return RewardView(
        key=reward.key,
        name=reward.name.in_(language),
        points=reward.points,
        missing=max(reward.points - balance, 0),
    )


def _local_day(rules: Programme, at: datetime) -> int:
    local = at.astimezone(ZoneInfo(rules.zone))
    return local.year * 10_000 + local.month * 100 + local.day


def _year(rules: Programme, at: datetime) -> int:
    return at.astimezone(ZoneInfo(rules.zone)).year
