"""The journal: request keys, receipts, postings, lots and cached balances.

A use case decides with the rules of `loyalty.ledger`; this file writes down
what was decided and answers what was decided before. A member's account row
is locked by whoever reads it to decide (`members.at_counter`), so what was
read still holds when it is written.
"""

from __future__ import annotations

import hashlib
import json
import re
from collections.abc import Mapping
from dataclasses import asdict, dataclass, replace
from datetime import datetime, timedelta
from typing import Any

import orjson
from sqlalchemy import bindparam, func, insert, select, union_all, update

from passes.loyalty.ledger import Consumption, Lot, PostingKind
from passes.loyalty.programme import Programme
from passes.loyalty.receipt import UNDOABLE, Counter, Receipt, ReceiptKind
from passes.loyalty.refusals import KeyInvalid, KeyReused
from passes.loyalty.stamps import STAMPS
from passes.store.ids import new_id
from passes.store.instants import instant, instant_or_none, micros
from passes.store.models import account, consumption, lot, posting, receipt, request
from passes.store.work import Answer, Read, Row, Work

_KEY = re.compile(r"[A-Za-z0-9._:-]{1,128}\Z")

_REQUEST = select(request.c.operation, request.c.fingerprint, request.c.answer).where(
    request.c.programme_id == bindparam("programme_id"), request.c.key == bindparam("key")
)
_KEEP_REQUEST = insert(request)
_ADD_POSTING = insert(posting)
_ADD_LOT = insert(lot)
_ADD_CONSUMPTION = insert(consumption)
_ADD_RECEIPT = insert(receipt)
_ADD_ACCOUNT = insert(account)
_MOVE = (
    update(account)
    .where(account.c.programme_id == bindparam("programme"), account.c.id == bindparam("account"))
    .values(balance=account.c.balance + bindparam("delta"))
)
_OPEN_LOTS = select(lot).where(
    lot.c.programme_id == bindparam("programme_id"),
    lot.c.account_id == bindparam("account_id"),
    lot.c.remaining > 0,
)
_LOTS_OF_POSTING = select(lot).where(
    lot.c.programme_id == bindparam("programme_id"), lot.c.posting_id == bindparam("posting_id")
)
_naming_it = union_all(
    select(posting.c.id).where(
        posting.c.programme_id == bindparam("programme_id"), posting.c.id == bindparam("posting_id")
    ),
    select(posting.c.id).where(
        posting.c.programme_id == bindparam("programme_id"), posting.c.reverses == bindparam("posting_id")
    ),
).subquery("naming_it")
_taken_by_it = (
    select(consumption.c.lot_id, func.sum(consumption.c.amount).label("amount"))
    .select_from(consumption.join(_naming_it, _naming_it.c.id == consumption.c.posting_id))
    .where(consumption.c.programme_id == bindparam("programme_id"))
    .group_by(consumption.c.lot_id)
    .subquery("taken_by_it")
)
_CONSUMED_BY = (
    select(_taken_by_it.c.amount, lot)
    .select_from(_taken_by_it.join(lot, lot.c.id == _taken_by_it.c.lot_id))
    .where(lot.c.programme_id == bindparam("programme_id"))
    .order_by(lot.c.id)
)
_ACTIVATE_LOT = (
    update(lot)
    .where(lot.c.programme_id == bindparam("programme"), lot.c.id == bindparam("lot"))
    .values(pending=False, account_id=bindparam("account"))
)
_EXTEND_LOT = (
    update(lot)
    .where(lot.c.programme_id == bindparam("programme"), lot.c.id == bindparam("lot"))
    .values(expires_at=bindparam("until"))
)
_TAKE_FROM_LOT = (
    update(lot)
    .where(lot.c.programme_id == bindparam("programme"), lot.c.id == bindparam("lot"))
    .values(remaining=lot.c.remaining - bindparam("taken"))
)
_RECEIPT = select(receipt).where(
    receipt.c.programme_id == bindparam("programme_id"), receipt.c.id == bindparam("receipt_id")
)
_MARK_UNDONE = (
    update(receipt)
    .where(
        receipt.c.programme_id == bindparam("programme"),
        receipt.c.id == bindparam("receipt"),
        receipt.c.undone_by.is_(None),
    )
    .values(undone_by=bindparam("by"))
)
_POSTINGS_OF = (
    select(posting)
    .where(
        posting.c.programme_id == bindparam("programme_id"),
        posting.c.receipt_id == bindparam("receipt_id"),
    )
    .order_by(posting.c.id)
)
_OF_MEMBER = (
    select(receipt)
    .where(receipt.c.programme_id == bindparam("programme_id"), receipt.c.member_id == bindparam("member_id"))
    .order_by(receipt.c.id.desc())
    .limit(bindparam("limit"))
)
_EARNED_BETWEEN = select(func.coalesce(func.sum(receipt.c.points), 0)).where(
    receipt.c.programme_id == bindparam("programme_id"),
    receipt.c.member_id == bindparam("member_id"),
    receipt.c.kind == ReceiptKind.ACCRUE.value,
    receipt.c.undone_by.is_(None),
    receipt.c.occurred_at >= bindparam("since"),
    receipt.c.occurred_at < bindparam("until"),
)
_STAMPED_BETWEEN = (
    select(func.coalesce(func.sum(posting.c.amount), 0))
    .select_from(
        receipt.join(
            posting,
            (posting.c.programme_id == receipt.c.programme_id) & (posting.c.receipt_id == receipt.c.id),
        )
    )
    .where(
        receipt.c.programme_id == bindparam("programme_id"),
        receipt.c.member_id == bindparam("member_id"),
        receipt.c.kind == ReceiptKind.ACCRUE.value,
        receipt.c.undone_by.is_(None),
        receipt.c.occurred_at >= bindparam("since"),
        receipt.c.occurred_at < bindparam("until"),
        posting.c.asset == STAMPS,
        posting.c.kind == PostingKind.EARN.value,
    )
)
_BALANCE = select(account.c.balance).where(
    account.c.programme_id == bindparam("programme_id"), account.c.id == bindparam("account_id")
)
_OF_PERSON = (
    select(receipt)
    .where(receipt.c.programme_id == bindparam("programme_id"), receipt.c.person == bindparam("person"))
    .order_by(receipt.c.id.desc())
    .limit(bindparam("limit"))
)


class Asked:
    """A caller's request key, looked up in the same breath as other questions."""

    def __init__(
        self, read: Read, programme_id: int, key: str, operation: str, content: Mapping[str, Any]
    ) -> None:
        if not _KEY.match(key):
            raise KeyInvalid()
        self.programme_id = programme_id
        self.key = key
        self.operation = operation
        self.fingerprint = hashlib.sha256(_canonical(operation, content)).hexdigest()
        self._answer: Answer = read.ask(_REQUEST, programme_id=programme_id, key=key)
        self._is_new = False
        if isinstance(read, Work):
            read.overtaken = self._overtaken

    def before(self) -> str | None:
        """The first answer, when this request was carried out before; else None.

        Raises `KeyReused` when the key names another request.
        """
        row = self._answer.one()
        if row is None:
            self._is_new = True
            return None
        if row.operation != self.operation or row.fingerprint != self.fingerprint:
            raise KeyReused()
        answer: str = row.answer
        return answer

    def _overtaken(self, read: Read) -> bool:
        """Whether it was new and is not any more: what refused it may be what the first of them did."""
        asked = {"programme_id": self.programme_id, "key": self.key}
        return self._is_new and read.ask(_REQUEST, **asked).one() is not None

    def answered(self, work: Work, answer: str, *, now: datetime) -> None:
        """Keep the first answer. It commits with what it answers for, or not at all."""
        work.put(
            _KEEP_REQUEST,
            programme_id=self.programme_id,
            key=self.key,
            operation=self.operation,
            fingerprint=self.fingerprint,
            answer=answer,
            at=micros(now),
        )


def _canonical(operation: str, content: Mapping[str, Any]) -> bytes:
    """The same bytes for the same request; values may be dataclasses."""
    try:
        return orjson.dumps([operation, content], option=orjson.OPT_SORT_KEYS)
    except TypeError:
        # Numbers beyond 64 bits and halves of letters: refused later, in words.
        return json.dumps([operation, content], sort_keys=True, default=asdict).encode()


@dataclass(frozen=True, slots=True)
class Entry:
    """A posting about to be written, between account ids."""

    kind: PostingKind
    source: int
    target: int
    amount: int
    reverses: int | None = None
    asset: str = "points"


def add_posting(
    work: Work,
    programme_id: int,
    entry: Entry,
    *,
    receipt_id: int,
    programme_version: int,
    occurred_at: datetime,
    now: datetime,
) -> int:
    """Append one posting of a receipt. Returns its id. Balances are moved by `move`."""
    posting_id = new_id(now)
    work.put(
        _ADD_POSTING,
        programme_id=programme_id,
        id=posting_id,
        receipt_id=receipt_id,
        kind=entry.kind.value,
        asset=entry.asset,
        source=entry.source,
        target=entry.target,
        amount=entry.amount,
        occurred_at=micros(occurred_at),
        recorded_at=micros(now),
        programme_version=programme_version,
        reverses=entry.reverses,
        block=None,
    )
    return posting_id


def move(work: Work, programme_id: int, account_id: int, delta: int) -> None:
    """Change the cached balance of a member's account by what its postings moved."""
    work.put(_MOVE, expect=1, programme=programme_id, account=account_id, delta=delta)


def add_account(
    work: Work,
    *,
    programme_id: int,
    owner_kind: str,
    owner_id: str,
    bucket: str,
    now: datetime,
    asset: str = "points",
) -> int:
    """Open an account. Returns its id. System accounts cache no balance."""
    account_id = new_id(now)
    work.put(
        _ADD_ACCOUNT,
        programme_id=programme_id,
        id=account_id,
        owner_kind=owner_kind,
        owner_id=owner_id,
        asset=asset,
        bucket=bucket,
        balance=None if owner_kind == "system" else 0,
    )
    return account_id


# Lots ------------------------------------------------------------------------


def open_lot(
    work: Work,
    *,
    programme_id: int,
    account_id: int,
    posting_id: int,
    asset: str,
    amount: int,
    swallowed: int,
    pending: bool,
    earned_at: datetime,
    available_at: datetime,
    expires_at: datetime | None,
    programme_version: int,
    now: datetime,
) -> int:
    """Open the lot of a credit, of which a deficit of the account has `swallowed` a part. Returns its id."""
    lot_id = new_id(now)
    work.put(
        _ADD_LOT,
        programme_id=programme_id,
        id=lot_id,
        account_id=account_id,
        asset=asset,
        posting_id=posting_id,
        original=amount,
        remaining=amount - swallowed,
        earned_at=micros(earned_at),
        available_at=micros(available_at),
        expires_at=None if expires_at is None else micros(expires_at),
        pending=pending,
        programme_version=programme_version,
    )
    if swallowed:
        work.put(
            _ADD_CONSUMPTION,
            programme_id=programme_id,
            lot_id=lot_id,
            posting_id=posting_id,
            amount=swallowed,
        )
    return lot_id


def open_lots(read: Read, programme_id: int, account_id: int) -> list[Lot]:
    """The lots of an account that still hold something."""
    return [_lot(row) for row in read.ask(_OPEN_LOTS, programme_id=programme_id, account_id=account_id).all()]


def lots_of_posting(read: Read, programme_id: int, posting_id: int) -> list[Lot]:
    """The lots that a posting opened."""
    rows = read.ask(_LOTS_OF_POSTING, programme_id=programme_id, posting_id=posting_id).all()
    return [_lot(row) for row in rows]


def consumed_by(read: Read, programme_id: int, posting_id: int) -> list[tuple[Lot, Consumption]]:
    """What a posting took from which lots, less what was given back since; the lots as they stand now."""
    rows = read.ask(_CONSUMED_BY, programme_id=programme_id, posting_id=posting_id).all()
    return [(_lot(row), Consumption(row.id, int(row.amount))) for row in rows if row.amount > 0]


def activate_lot(work: Work, programme_id: int, lot_id: int, *, account_id: int) -> None:
    """A lot that waited can be spent from now on; `account_id` is that of available points."""
    work.put(_ACTIVATE_LOT, expect=1, programme=programme_id, lot=lot_id, account=account_id)


def extend_lot(work: Work, programme_id: int, lot_id: int, *, expires_at: datetime) -> None:
    """Give a lot a later expiry."""
    work.put(_EXTEND_LOT, expect=1, programme=programme_id, lot=lot_id, until=micros(expires_at))


def change_lots(work: Work, programme_id: int, posting_id: int, taken: Mapping[int, int]) -> None:
    """Take from lots (positive) or put back (negative) for one posting, and remember it."""
    for lot_id, amount in taken.items():
        if amount:
            work.put(_TAKE_FROM_LOT, expect=1, programme=programme_id, lot=lot_id, taken=amount)
            work.put(
                _ADD_CONSUMPTION,
                programme_id=programme_id,
                lot_id=lot_id,
                posting_id=posting_id,
                amount=amount,
            )


# Receipts --------------------------------------------------------------------


def add_receipt(work: Work, programme_id: int, booked: Receipt, *, purchase_id: int | None) -> None:
    """Append a receipt."""
    work.put(
        _ADD_RECEIPT,
        programme_id=programme_id,
        id=booked.id,
        kind=booked.kind.value,
        member_id=booked.member_id,
        card_id=booked.card_id,
        purchase_id=purchase_id,
        reward_key=booked.reward_key,
        points=booked.points,
        balance_change=booked.balance_change,
        balance_after=booked.balance_after,
        stamps=booked.stamps,
        amount_minor=booked.amount_minor,
        location=booked.counter.location,
        till=booked.counter.till,
        person=booked.counter.person,
        occurred_at=micros(booked.occurred_at),
        recorded_at=micros(booked.recorded_at),
        programme_version=booked.programme_version,
        reasons=orjson.dumps(booked.reasons).decode(),
        undoes=booked.undoes,
        undone_by=None,
    )


def receipt_row(read: Read, programme_id: int, receipt_id: int) -> Row | None:
    """One receipt as stored, with its purchase."""
    return read.ask(_RECEIPT, programme_id=programme_id, receipt_id=receipt_id).one()


def mark_undone(work: Work, programme_id: int, receipt_id: int, *, by: int) -> None:
    """Note on a receipt which other one undid it; of two at once, one is undone whole."""
    work.put(_MARK_UNDONE, expect=1, programme=programme_id, receipt=receipt_id, by=by)


def postings_of(read: Read, programme_id: int, receipt_id: int) -> list[Row]:
    """The postings of a receipt, in their order."""
    return read.ask(_POSTINGS_OF, programme_id=programme_id, receipt_id=receipt_id).all()


def receipts_of_member(read: Read, programme_id: int, member_id: int, *, limit: int) -> Answer:
    """A member's newest receipts; read them with `as_receipt`."""
    return read.ask(_OF_MEMBER, programme_id=programme_id, member_id=member_id, limit=limit)


def earned_between(read: Read, programme_id: int, member_id: int, *, since: datetime, until: datetime) -> int:
    """The points of a member's purchases in `[since, until)`, those undone not counted."""
    value = read.ask(
        _EARNED_BETWEEN,
        programme_id=programme_id,
        member_id=member_id,
        since=micros(since),
        until=micros(until),
    ).value()
    return int(value)


def stamped_between(
    read: Read, programme_id: int, member_id: int, *, since: datetime, until: datetime
) -> int:
    """The stamps of a member's purchases in `[since, until)`, those undone not counted."""
    value = read.ask(
        _STAMPED_BETWEEN,
        programme_id=programme_id,
        member_id=member_id,
        since=micros(since),
        until=micros(until),
    ).value()
    return int(value)


def balance_of(read: Read, programme_id: int, account_id: int) -> int:
    """What an account of a member holds. Whoever decides by it has locked the member."""
    return int(read.ask(_BALANCE, programme_id=programme_id, account_id=account_id).value())


def receipts_of_person(read: Read, programme_id: int, person: str, *, limit: int) -> Answer:
    """The newest receipts that a staff member booked; read them with `as_receipt`."""
    return read.ask(_OF_PERSON, programme_id=programme_id, person=person, limit=limit)


def as_receipt(row: Row, *, currency: str, undo_until: datetime | None) -> Receipt:
    """A stored row as a receipt."""
    return Receipt(
        id=row.id,
        kind=ReceiptKind(row.kind),
        member_id=row.member_id,
        card_id=row.card_id,
        points=row.points,
        balance_change=row.balance_change,
        balance_after=row.balance_after,
        stamps=row.stamps,
        amount_minor=row.amount_minor,
        currency=currency,
        reward_key=row.reward_key,
        counter=Counter(location=row.location, till=row.till, person=row.person),
        occurred_at=instant(row.occurred_at),
        recorded_at=instant(row.recorded_at),
        programme_version=row.programme_version,
        reasons=tuple(json.loads(row.reasons)),
        undoes=row.undoes,
        undone_by=row.undone_by,
        undo_until=undo_until,
    )


def receipt_of(row: Row, rules: Programme) -> Receipt:
    """A stored receipt; it can be undone as long as the programme says.

    A claimed sale cannot: it was no mistake of the till, and goods come back by a return.
    """
    undo_until = instant(row.recorded_at) + timedelta(seconds=rules.undo_seconds)
    read = as_receipt(row, currency=rules.currency, undo_until=undo_until if row.kind in UNDOABLE else None)
    return replace(read, undo_until=None) if read.is_claim else read


def _lot(row: Row) -> Lot:
    return Lot(
        id=row.id,
        original=row.original,
        remaining=row.remaining,
        earned_at=instant(row.earned_at),
        available_at=instant(row.available_at),
        expires_at=instant_or_none(row.expires_at),
        pending=row.pending,
    )
