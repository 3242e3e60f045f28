"""Members: who is active, in which tier, how far they came after joining, whose card left its phone."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime
from typing import Any

from sqlalchemy import (
    ColumnElement,
    Select,
    and_,
    case,
    distinct,
    func,
    or_,
    select,
)

from passes.loyalty.ledger import POINTS, PostingKind
from passes.loyalty.receipt import ReceiptKind
from passes.store.insights.asking import (
    AT,
    END_DAY,
    FIRST_DAY,
    FROM,
    PROGRAMME,
    UNTIL,
    Window,
    days_of,
    one_of,
)
from passes.store.instants import micros
from passes.store.models import (
    card,
    join_count,
    joining,
    member,
    posting,
    receipt,
    tier_change,
)
from passes.store.work import Read


def _open_at(instant: ColumnElement[int]) -> ColumnElement[bool]:
    return and_(
        member.c.joined_at <= instant, or_(member.c.closed_at.is_(None), member.c.closed_at > instant)
    )


# Whoever was merged into another member is that member from the start.
_himself = member.c.merged_into.is_(None)
_OPEN = (
    select(func.count()).select_from(member).where(member.c.programme_id == PROGRAMME, _himself, _open_at(AT))
)
_moving = member.alias("moving")
_ACTIVE = (
    select(func.count(distinct(member.c.id)))
    .select_from(
        posting.join(
            receipt,
            (receipt.c.programme_id == posting.c.programme_id) & (receipt.c.id == posting.c.receipt_id),
        )
        .join(
            _moving,
            (_moving.c.programme_id == receipt.c.programme_id) & (_moving.c.id == receipt.c.member_id),
        )
        .join(
            member,
            (member.c.programme_id == _moving.c.programme_id)
            & (member.c.id == func.coalesce(_moving.c.merged_into, _moving.c.id)),
        )
    )
    .where(
        posting.c.programme_id == PROGRAMME,
        posting.c.asset == POINTS,
        one_of(posting.c.kind, (PostingKind.EARN, PostingKind.REDEEM, PostingKind.CAPTURE)),
        posting.c.occurred_at >= FROM,
        posting.c.occurred_at <= AT,
        receipt.c.undone_by.is_(None),
        _open_at(AT),
    )
)


def active_members(read: Read, programme_id: int, *, since: datetime, at: datetime) -> tuple[int, int]:
    """Open members at an instant who earned or burned since another, and all open members."""
    active = read.ask(_ACTIVE, programme_id=programme_id, from_at=micros(since), at=micros(at))
    everybody = read.ask(_OPEN, programme_id=programme_id, at=micros(at))
    return int(active.value()), int(everybody.value())


def _tier_at(instant: ColumnElement[int]) -> ColumnElement[str]:
    """A member's tier at an instant, blank for none: by the change before, the one after, or as it is now."""

    def change(key: ColumnElement[Any], when: ColumnElement[bool], *order: ColumnElement[Any]) -> Any:
        return (
            select(func.coalesce(key, ""))
            .where(
                tier_change.c.programme_id == member.c.programme_id,
                tier_change.c.member_id == member.c.id,
                when,
            )
            .order_by(*order)
            .limit(1)
            .scalar_subquery()
        )

    at, number = tier_change.c.at, tier_change.c.id
    return func.coalesce(
        change(tier_change.c.to_key, at <= instant, at.desc(), number.desc()),
        change(tier_change.c.from_key, at > instant, at, number),
        member.c.tier,
        "",
    )


def _migration() -> Select[Any]:
    named: list[ColumnElement[Any]] = []
    for name, instant in (("start", FROM), ("end", UNTIL)):
        state = case((member.c.joined_at > instant, "joined"), (_open_at(instant), "open"), else_="closed")
        named += [state.label(f"state_{name}"), _tier_at(instant).label(f"tier_{name}")]
    each = select(*named).where(member.c.programme_id == PROGRAMME, _himself).subquery("each_member")
    return select(*each.c, func.count().label("members")).group_by(*each.c)


_MIGRATION = _migration()


@dataclass(frozen=True, slots=True)
class Moved:
    """Members by tier at two instants; a state is `open`, `joined` (later) or `closed` (by then)."""

    state_start: str
    tier_start: str | None
    state_end: str
    tier_end: str | None
    members: int


def tier_moves(read: Read, programme_id: int, *, since: datetime, until: datetime) -> list[Moved]:
    """Who was in which tier at two instants, everybody who ever joined included."""
    rows = read.ask(
        _MIGRATION, programme_id=programme_id, from_at=micros(since), until_at=micros(until)
    ).all()
    return [
        Moved(row.state_start, row.tier_start or None, row.state_end, row.tier_end or None, row.members)
        for row in rows
    ]


# From the poster to the first reward ---------------------------------------------

_JOIN_COUNTS = (
    select(join_count.c.source, join_count.c.step, func.sum(join_count.c.count).label("count"))
    .where(
        join_count.c.programme_id == PROGRAMME,
        join_count.c.local_day >= FIRST_DAY,
        join_count.c.local_day < END_DAY,
    )
    .group_by(join_count.c.source, join_count.c.step)
)
_AT_TILLS = (ReceiptKind.ACCRUE, ReceiptKind.REDEEM, ReceiptKind.HOLD)


def _first(*conditions: ColumnElement[bool]) -> ColumnElement[int | None]:
    return func.min(case((and_(*conditions), receipt.c.occurred_at)))


_stands = receipt.c.undone_by.is_(None)
_STEPS = (
    select(
        func.min(joining.c.source).label("source"),
        func.min(member.c.joined_at).label("joined_at"),
        func.min(card.c.issued_at).label("issued_at"),
        func.min(card.c.installed_at).label("installed_at"),
        _first(one_of(receipt.c.kind, _AT_TILLS)).label("scanned_at"),
        _first(receipt.c.kind == ReceiptKind.ACCRUE.value, receipt.c.points > 0, _stands).label("earned_at"),
        _first(one_of(receipt.c.kind, (ReceiptKind.REDEEM, ReceiptKind.CAPTURE)), _stands).label(
            "redeemed_at"
        ),
    )
    .select_from(
        member.outerjoin(
            joining,
            (joining.c.programme_id == member.c.programme_id) & (joining.c.member_id == member.c.id),
        )
        .outerjoin(card, (card.c.programme_id == member.c.programme_id) & (card.c.member_id == member.c.id))
        .outerjoin(
            receipt,
            (receipt.c.programme_id == member.c.programme_id) & (receipt.c.member_id == member.c.id),
        )
    )
    .where(
        member.c.programme_id == PROGRAMME,
        _himself,
        member.c.joined_at >= FROM,
        member.c.joined_at < UNTIL,
    )
    .group_by(member.c.id)
)


def join_counts(read: Read, programme_id: int, window: Window) -> dict[tuple[str, str], int]:
    """How often the join page was shown and sent, by (source, step)."""
    rows = read.ask(_JOIN_COUNTS, programme_id=programme_id, **days_of(window)).all()
    return {(row.source, row.step): int(row.count) for row in rows}


@dataclass(frozen=True, slots=True)
class Steps:
    """When one member took each step for the first time, in microseconds since the epoch."""

    source: str | None
    joined_at: int
    issued_at: int | None
    installed_at: int | None
    scanned_at: int | None
    earned_at: int | None
    redeemed_at: int | None


def steps(read: Read, programme_id: int, *, since: datetime, until: datetime) -> list[Steps]:
    """The first steps of everybody who joined in `[since, until)`, whenever they were taken."""
    rows = read.ask(_STEPS, programme_id=programme_id, from_at=micros(since), until_at=micros(until)).all()
    return [Steps(*row) for row in rows]


_ever_installed = and_(card.c.programme_id == PROGRAMME, card.c.installed_at.is_not(None))
_still_on = or_(card.c.removed_at.is_(None), card.c.removed_at >= FROM)
_REMOVALS = select(
    func.coalesce(func.sum(case((and_(card.c.installed_at < FROM, _still_on), 1), else_=0)), 0).label(
        "start"
    ),
    func.coalesce(
        func.sum(case((and_(card.c.removed_at >= FROM, card.c.removed_at < UNTIL), 1), else_=0)), 0
    ).label("removed"),
).where(_ever_installed)


def removals(read: Read, programme_id: int, *, since: datetime, until: datetime) -> tuple[int, int]:
    """Cards on a phone at the start, and cards whose last phone let go of them in `[since, until)`."""
    row = read.ask(_REMOVALS, programme_id=programme_id, from_at=micros(since), until_at=micros(until)).one()
    assert row is not None
    return int(row.start), int(row.removed)
