"""Sealing the journal in blocks, and the questions that prove it."""

from __future__ import annotations

import hashlib
from collections.abc import Iterable, Iterator
from datetime import datetime

from sqlalchemy import bindparam, case, func, insert, select, union_all, update

from passes.store.instants import micros
from passes.store.models import (
    account,
    block,
    consumption,
    hold,
    lot,
    member,
    posting,
    programme,
    receipt,
)
from passes.store.work import Read, Row, Work

GENESIS = "0" * 64
_BLOCKS_AT_ONCE = 200

_LOCK = (
    select(programme.c.id).where(programme.c.id == bindparam("programme_id")).with_for_update(key_share=True)
)
_LAST_BLOCK = (
    select(block.c.number, block.c.hash)
    .where(block.c.programme_id == bindparam("programme_id"))
    .order_by(block.c.number.desc())
    .limit(1)
)
_unsealed = (
    select(posting.c.id)
    .where(posting.c.programme_id == bindparam("programme"), posting.c.block.is_(None))
    .order_by(posting.c.id)
    .limit(bindparam("limit"))
)
# One statement picks and marks: a posting that commits meanwhile is in neither half.
_SEAL = (
    update(posting)
    .where(posting.c.programme_id == bindparam("programme"), posting.c.id.in_(_unsealed))
    .values(block=bindparam("number"))
    .returning(*posting.c)
)
_ADD_BLOCK = insert(block)
_BLOCKS = (
    select(block)
    .where(block.c.programme_id == bindparam("programme_id"), block.c.number > bindparam("after"))
    .order_by(block.c.number)
    .limit(_BLOCKS_AT_ONCE)
)
_SEALED = (
    select(posting)
    .where(
        posting.c.programme_id == bindparam("programme_id"),
        posting.c.block >= bindparam("first"),
        posting.c.block <= bindparam("last"),
    )
    .order_by(posting.c.block, posting.c.id)
)
_COUNTS = select(
    select(func.count())
    .select_from(posting)
    .where(posting.c.programme_id == bindparam("programme_id"))
    .scalar_subquery()
    .label("postings"),
    select(func.count())
    .select_from(account)
    .where(account.c.programme_id == bindparam("programme_id"))
    .scalar_subquery()
    .label("accounts"),
    select(func.count())
    .select_from(lot)
    .where(lot.c.programme_id == bindparam("programme_id"))
    .scalar_subquery()
    .label("lots"),
)


_moves = union_all(
    select(posting.c.target.label("account_id"), posting.c.amount.label("amount")).where(
        posting.c.programme_id == bindparam("programme_id")
    ),
    select(posting.c.source, -posting.c.amount).where(posting.c.programme_id == bindparam("programme_id")),
).subquery("moves")
_recomputed = (
    select(_moves.c.account_id, func.sum(_moves.c.amount).label("balance"))
    .group_by(_moves.c.account_id)
    .subquery("recomputed")
)
_WRONG_BALANCES = (
    select(account.c.id, account.c.balance, func.coalesce(_recomputed.c.balance, 0).label("recomputed"))
    .select_from(account.outerjoin(_recomputed, _recomputed.c.account_id == account.c.id))
    .where(
        account.c.programme_id == bindparam("programme_id"),
        account.c.balance.is_not(None),
        account.c.balance != func.coalesce(_recomputed.c.balance, 0),
    )
)
_STRANGE_ACCOUNTS = (
    select(_moves.c.account_id)
    .select_from(
        _moves.outerjoin(
            account,
            (account.c.programme_id == bindparam("programme_id")) & (account.c.id == _moves.c.account_id),
        )
    )
    .where(account.c.id.is_(None))
    .distinct()
)
_consumed = (
    select(consumption.c.lot_id, func.sum(consumption.c.amount).label("amount"))
    .where(consumption.c.programme_id == bindparam("programme_id"))
    .group_by(consumption.c.lot_id)
    .subquery("consumed")
)
_WRONG_LOTS = (
    select(lot.c.id, lot.c.original, lot.c.remaining, func.coalesce(_consumed.c.amount, 0).label("consumed"))
    .select_from(
        lot.outerjoin(_consumed, _consumed.c.lot_id == lot.c.id).outerjoin(
            posting, (posting.c.programme_id == lot.c.programme_id) & (posting.c.id == lot.c.posting_id)
        )
    )
    .where(
        lot.c.programme_id == bindparam("programme_id"),
        (lot.c.original - func.coalesce(_consumed.c.amount, 0) != lot.c.remaining)
        | posting.c.id.is_(None)
        | (posting.c.amount != lot.c.original),
    )
)
_held = (
    select(lot.c.account_id, func.sum(lot.c.remaining).label("remaining"))
    .where(lot.c.programme_id == bindparam("programme_id"))
    .group_by(lot.c.account_id)
    .subquery("held")
)
_WRONG_HOLDINGS = (
    select(account.c.id, account.c.balance, func.coalesce(_held.c.remaining, 0).label("remaining"))
    .select_from(account.outerjoin(_held, _held.c.account_id == account.c.id))
    .where(
        account.c.programme_id == bindparam("programme_id"),
        account.c.balance.is_not(None),
        # Held points left their lots when they were set aside.
        account.c.bucket != "held",
        # Points below zero are a hole that no lot shows.
        func.coalesce(_held.c.remaining, 0) != case((account.c.balance > 0, account.c.balance), else_=0),
    )
)
_WRONG_HELD = (
    select(account.c.id, account.c.balance, func.coalesce(func.sum(hold.c.amount), 0).label("held"))
    .select_from(
        account.outerjoin(
            member,
            (member.c.programme_id == account.c.programme_id) & (member.c.held_account_id == account.c.id),
        ).outerjoin(
            hold,
            (hold.c.programme_id == member.c.programme_id)
            & (hold.c.member_id == member.c.id)
            & (hold.c.state == "authorised"),
        )
    )
    .where(
        account.c.programme_id == bindparam("programme_id"),
        account.c.balance.is_not(None),
        account.c.bucket == "held",
    )
    .group_by(account.c.id, account.c.balance)
    .having(account.c.balance != func.coalesce(func.sum(hold.c.amount), 0))
)
# Within a member's own accounts the two sides of a posting cancel out; the
# programme's accounts do not count. No posting goes from member to member.
_signed = case((account.c.id == posting.c.target, posting.c.amount), else_=-posting.c.amount)
_booked = (
    select(
        posting.c.receipt_id,
        func.sum(case((account.c.asset == "points", _signed), else_=0)).label("points"),
        func.sum(
            case(
                ((account.c.asset == "points") & (account.c.bucket == "available"), _signed),
                else_=0,
            )
        ).label("change"),
        func.sum(case((account.c.asset == "stamps", _signed), else_=0)).label("stamps"),
    )
    .select_from(
        posting.join(
            account,
            (account.c.programme_id == posting.c.programme_id)
            & account.c.balance.is_not(None)
            & ((account.c.id == posting.c.target) | (account.c.id == posting.c.source)),
        )
    )
    .where(posting.c.programme_id == bindparam("programme_id"))
    .group_by(posting.c.receipt_id)
    .subquery("booked")
)
_WRONG_RECEIPTS = (
    select(
        receipt.c.id,
        receipt.c.points,
        receipt.c.stamps,
        func.coalesce(_booked.c.points, 0).label("booked"),
        func.coalesce(_booked.c.stamps, 0).label("booked_stamps"),
    )
    .select_from(receipt.outerjoin(_booked, _booked.c.receipt_id == receipt.c.id))
    .where(
        receipt.c.programme_id == bindparam("programme_id"),
        (receipt.c.points != func.coalesce(_booked.c.points, 0))
        | (receipt.c.balance_change != func.coalesce(_booked.c.change, 0))
        | (receipt.c.stamps != func.coalesce(_booked.c.stamps, 0)),
    )
)


_in_time = (posting.c.occurred_at <= bindparam("at")) & (posting.c.recorded_at <= bindparam("known_at"))
_BALANCE_AS_OF = select(
    func.coalesce(
        func.sum(
            case((posting.c.target == bindparam("account_id"), posting.c.amount), else_=-posting.c.amount)
        ),
        0,
    )
).where(
    posting.c.programme_id == bindparam("programme_id"),
    (posting.c.target == bindparam("account_id")) | (posting.c.source == bindparam("account_id")),
    _in_time,
)


def balance_as_of(read: Read, programme_id: int, account_id: int, *, at: datetime, known_at: datetime) -> int:
    """What an account held at `at`, as far as was known at `known_at`."""
    value = read.ask(
        _BALANCE_AS_OF,
        programme_id=programme_id,
        account_id=account_id,
        at=micros(at),
        known_at=micros(known_at),
    ).value()
    return int(value)


def seal(work: Work, programme_id: int, *, limit: int, now: datetime) -> int:
    """Put the oldest unsealed postings into the next block. Returns how many.

    The worker sees committed postings only, so blocks stand in commit order;
    no checkout waits for this.
    """
    work.ask(_LOCK, programme_id=programme_id).one()
    last = work.ask(_LAST_BLOCK, programme_id=programme_id).one()
    number, previous = (last.number + 1, last.hash) if last else (1, GENESIS)
    rows = work.ask(_SEAL, programme=programme_id, limit=limit, number=number).all()
    if rows:
        work.put(
            _ADD_BLOCK,
            programme_id=programme_id,
            number=number,
            postings=len(rows),
            previous_hash=previous,
            hash=hash_block(previous, sorted(rows, key=lambda row: int(row.id))),
            sealed_at=micros(now),
        )
    return len(rows)


def hash_block(previous: str, postings: Iterable[Row]) -> str:
    """SHA-256 over the block before and every field of every posting, in id order."""
    digest = hashlib.sha256(previous.encode())
    for row in postings:
        fields = (
            row.programme_id,
            row.id,
            row.receipt_id,
            row.kind,
            row.asset,
            row.source,
            row.target,
            row.amount,
            row.occurred_at,
            row.recorded_at,
            row.programme_version,
            row.reverses,
        )
        digest.update(("|".join(map(str, fields)) + "\n").encode())
    return digest.hexdigest()


def blocks(read: Read, programme_id: int) -> Iterator[tuple[Row, list[Row]]]:
    """Every block with its postings in id order, in the chain's order, a few hundred in memory at a time."""
    after = 0
    while heads := read.ask(_BLOCKS, programme_id=programme_id, after=after).all():
        rows = read.ask(
            _SEALED, programme_id=programme_id, first=heads[0].number, last=heads[-1].number
        ).all()
        by_number: dict[int, list[Row]] = {}
        for row in rows:
            by_number.setdefault(row.block, []).append(row)
        for head in heads:
            yield head, by_number.get(head.number, [])
        after = heads[-1].number


def counts(read: Read, programme_id: int) -> Row:
    """How many postings, accounts and lots a programme has."""
    row = read.ask(_COUNTS, programme_id=programme_id).one()
    assert row is not None
    return row


def wrong_balances(read: Read, programme_id: int) -> list[Row]:
    """Accounts whose cached balance is not what the journal says."""
    return read.ask(_WRONG_BALANCES, programme_id=programme_id).all()


def strange_accounts(read: Read, programme_id: int) -> list[Row]:
    """Accounts that postings name and that do not exist."""
    return read.ask(_STRANGE_ACCOUNTS, programme_id=programme_id).all()


def wrong_lots(read: Read, programme_id: int) -> list[Row]:
    """Lots that do not follow from their posting and their consumption."""
    return read.ask(_WRONG_LOTS, programme_id=programme_id).all()


def wrong_holdings(read: Read, programme_id: int) -> list[Row]:
    """Accounts whose lots do not add up to their balance."""
    return read.ask(_WRONG_HOLDINGS, programme_id=programme_id).all()


def wrong_held(read: Read, programme_id: int) -> list[Row]:
    """Accounts of held points that differ from their open holds."""
    return read.ask(_WRONG_HELD, programme_id=programme_id).all()


def wrong_receipts(read: Read, programme_id: int) -> list[Row]:
    """Receipts that state other points than their postings moved."""
    return read.ask(_WRONG_RECEIPTS, programme_id=programme_id).all()
