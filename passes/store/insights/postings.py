"""What points did, by the journal, and what of them could still be used."""

from __future__ import annotations

from datetime import datetime
from functools import lru_cache
from typing import Any

from sqlalchemy import (
    ColumnElement,
    FromClause,
    Select,
    and_,
    case,
    func,
    null,
    select,
    union_all,
)

from passes.loyalty.ledger import POINTS, Bucket, OwnerKind, PostingKind
from passes.loyalty.liability import Outstanding
from passes.loyalty.metrics import IssueCohort, PointsFlow
from passes.store.insights.asking import (
    FROM,
    PROGRAMME,
    UNTIL,
    Bucketed,
    By,
    one_of,
)
from passes.store.instants import micros
from passes.store.models import (
    account,
    consumption,
    joining,
    lot,
    member,
    posting,
    receipt,
)
from passes.store.work import Read

SLOT_SECONDS = 900
"""Every zone's days begin on a quarter of an hour of UTC, so sums by quarter fold into its days."""

_SLOT_MICROS = SLOT_SECONDS * 1_000_000

_EARNED = {PostingKind.EARN: 1, PostingKind.CLAWBACK: -1}
_BONUS = {PostingKind.BONUS: 1}
_BURNED = {PostingKind.CAPTURE: 1, PostingKind.REDEEM: 1, PostingKind.RESTORE: -1}
_EXPIRED = {PostingKind.EXPIRE: 1}


def _flow_bucket(by: By | None, moved: FromClause) -> tuple[ColumnElement[Any], FromClause]:
    if by is None:
        return null(), moved
    if by in (By.MONTH, By.WEEK):
        return posting.c.occurred_at // _SLOT_MICROS, moved
    caused = moved.join(
        receipt, (receipt.c.programme_id == posting.c.programme_id) & (receipt.c.id == posting.c.receipt_id)
    )
    if by is By.SOURCE:
        same = (joining.c.programme_id == receipt.c.programme_id) & (
            joining.c.member_id == receipt.c.member_id
        )
        return joining.c.source, caused.outerjoin(joining, same)
    if by is By.TIER:
        same = (member.c.programme_id == receipt.c.programme_id) & (member.c.id == receipt.c.member_id)
        return member.c.tier, caused.outerjoin(member, same)
    return receipt.c[by.value], caused


@lru_cache
def _flow(by: By | None) -> Select[Any]:
    """Points by kind; what a reversal undid takes away from the kind that it undid."""
    undone = posting.alias("undone")
    in_window = and_(
        posting.c.programme_id == PROGRAMME,
        posting.c.asset == POINTS,
        posting.c.occurred_at >= FROM,
        posting.c.occurred_at < UNTIL,
    )
    bucket, tables = _flow_bucket(by, posting)
    done = (
        select(bucket.label("bucket"), posting.c.kind.label("kind"), posting.c.amount.label("amount"))
        .select_from(tables)
        .where(in_window, posting.c.kind != PostingKind.REVERSAL.value)
    )
    reversing = posting.join(
        undone, (undone.c.programme_id == posting.c.programme_id) & (undone.c.id == posting.c.reverses)
    )
    bucket, tables = _flow_bucket(by, reversing)
    taken_back = (
        select(bucket.label("bucket"), undone.c.kind, -posting.c.amount)
        .select_from(tables)
        .where(in_window, posting.c.kind == PostingKind.REVERSAL.value)
    )
    moves = union_all(done, taken_back).subquery("move")
    return select(moves.c.bucket, moves.c.kind, func.sum(moves.c.amount).label("amount")).group_by(
        moves.c.bucket, moves.c.kind
    )


def points(
    read: Read, programme_id: int, *, since: datetime, until: datetime, by: By | None = None
) -> dict[Bucketed, PointsFlow]:
    """Points that moved in `[since, until)` by business time.

    For months and weeks the buckets are slots of SLOT_SECONDS, which whoever
    knows the zone adds up.
    """
    rows = read.ask(_flow(by), programme_id=programme_id, from_at=micros(since), until_at=micros(until)).all()
    amounts: dict[Bucketed, dict[str, int]] = {}
    for row in rows:
        amounts.setdefault(row.bucket, {})[row.kind] = int(row.amount)
    return {bucket: _flow_of(moved) for bucket, moved in amounts.items()}


def _flow_of(moved: dict[str, int]) -> PointsFlow:
    earned, bonus, burned, expired = (
        sum(sign * moved.get(kind.value, 0) for kind, sign in signs.items())
        for signs in (_EARNED, _BONUS, _BURNED, _EXPIRED)
    )
    return PointsFlow(earned, bonus, burned, expired)


_ISSUING = (PostingKind.EARN, PostingKind.BONUS, PostingKind.ADJUST)
# A hold takes points out of their lots; what it does not capture goes back.
_USING = (
    PostingKind.REDEEM.value,
    PostingKind.HOLD.value,
    PostingKind.VOID.value,
    PostingKind.CAPTURE.value,
    PostingKind.RESTORE.value,
)
_source_posting, _taking, _undone = posting.alias("source"), posting.alias("taking"), posting.alias("undone")
_issued_lots = (
    select(lot.c.id, lot.c.original, lot.c.remaining)
    .select_from(
        lot.join(
            _source_posting,
            (_source_posting.c.programme_id == lot.c.programme_id)
            & (_source_posting.c.id == lot.c.posting_id),
        )
    )
    .where(
        lot.c.programme_id == PROGRAMME,
        lot.c.asset == POINTS,
        lot.c.earned_at >= FROM,
        lot.c.earned_at < UNTIL,
        one_of(_source_posting.c.kind, _ISSUING),
    )
)
_issued = _issued_lots.subquery("issued")
_ISSUED = select(
    func.coalesce(func.sum(_issued.c.original), 0), func.coalesce(func.sum(_issued.c.remaining), 0)
)
_meant = case(
    (_taking.c.kind == PostingKind.REVERSAL.value, _undone.c.kind),
    else_=_taking.c.kind,
)
_TAKEN = (
    select(_meant.label("kind"), func.sum(consumption.c.amount).label("amount"))
    .select_from(
        consumption.join(_issued, _issued.c.id == consumption.c.lot_id)
        .join(
            _taking,
            (_taking.c.programme_id == consumption.c.programme_id)
            & (_taking.c.id == consumption.c.posting_id),
        )
        .outerjoin(
            _undone,
            (_undone.c.programme_id == _taking.c.programme_id) & (_undone.c.id == _taking.c.reverses),
        )
    )
    .where(consumption.c.programme_id == PROGRAMME)
    .group_by(_meant)
)


def issue_cohort(read: Read, programme_id: int, *, since: datetime, until: datetime) -> IssueCohort:
    """The points earned or given in `[since, until)` and what became of them by now.

    Points on hold count as used.
    """
    values = {"programme_id": programme_id, "from_at": micros(since), "until_at": micros(until)}
    total, taken = read.ask(_ISSUED, **values).one(), read.ask(_TAKEN, **values).all()
    assert total is not None
    amounts = {row.kind: int(row.amount) for row in taken}
    used = sum(amounts.pop(kind, 0) for kind in _USING)
    expired = amounts.pop(PostingKind.EXPIRE.value, 0)
    return IssueCohort(int(total[0]), used, expired, sum(amounts.values()), int(total[1]))


_usable = and_(
    account.c.programme_id == PROGRAMME,
    account.c.asset == POINTS,
    one_of(account.c.owner_kind, (OwnerKind.MEMBER, OwnerKind.POOL)),
)


def _above(balance: ColumnElement[Any], bucket: ColumnElement[Any]) -> Select[Any]:
    return select(
        bucket.label("bucket"),
        func.sum(case((balance > 0, balance), else_=0)).label("above"),
        func.sum(case((balance < 0, -balance), else_=0)).label("below"),
    ).group_by(bucket)


_OUTSTANDING = _above(account.c.balance, account.c.bucket).where(_usable)
_sides = union_all(
    *(
        select(side.label("account_id"), amount.label("amount")).where(
            posting.c.programme_id == PROGRAMME,
            posting.c.asset == POINTS,
            posting.c.occurred_at < UNTIL,
        )
        for side, amount in ((posting.c.target, posting.c.amount), (posting.c.source, -posting.c.amount))
    )
).subquery("side")
_then = (
    select(_sides.c.account_id, func.sum(_sides.c.amount).label("balance"))
    .group_by(_sides.c.account_id)
    .subquery("then_held")
)
_OUTSTANDING_AT = (
    _above(_then.c.balance, account.c.bucket)
    .select_from(_then.join(account, account.c.id == _then.c.account_id))
    .where(_usable)
)


def outstanding(read: Read, programme_id: int, *, at: datetime | None = None) -> Outstanding:
    """Points that members could still use: now by their balances, or at an instant by the journal."""
    if at is None:
        rows = read.ask(_OUTSTANDING, programme_id=programme_id).all()
    else:
        rows = read.ask(_OUTSTANDING_AT, programme_id=programme_id, until_at=micros(at)).all()
    above = {row.bucket: int(row.above) for row in rows}
    return Outstanding(
        pending=above.get(Bucket.PENDING.value, 0),
        available=above.get(Bucket.AVAILABLE.value, 0),
        held=above.get(Bucket.HELD.value, 0),
        deficit=sum(int(row.below) for row in rows),
    )
