"""Members who stayed away are promised a gift for coming back: who is, and whether it is due.

A promise is a notice. It holds for some days and until the member's next
purchase, which brings the gift; whether a promise was kept stands in the
member's allowances. Members of the holdout get none.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import date, datetime, timedelta

from sqlalchemy import bindparam, case, func, insert, literal, or_, select, update

from passes.loyalty.dates import day_number, day_start, local_date
from passes.loyalty.occasions import WinBack
from passes.store import allowances
from passes.store.instants import instant, micros
from passes.store.members import Standing
from passes.store.models import card, member, member_allowance, notice
from passes.store.programmes import Loaded
from passes.store.work import Read, Work

NAME = "win_back"
"""The kind of its notices, and the allowance that counts gifts."""


@dataclass(frozen=True, slots=True)
class Promise:
    """What a member was promised, in words, and when that is over."""

    words: str
    ends_at: datetime


_of_members = (
    member.c.programme_id == bindparam("programme"),
    member.c.id > bindparam("after"),
    member.c.id <= bindparam("up_to"),
)
# Questions about one member by the key, and not joins: see audiences.
_promised_at = (
    select(func.max(notice.c.at))
    .where(
        notice.c.programme_id == member.c.programme_id,
        notice.c.member_id == member.c.id,
        notice.c.kind == NAME,
    )
    .correlate(member)
    .scalar_subquery()
)
_given_at = (
    select(member_allowance.c.last_at)
    .where(
        member_allowance.c.programme_id == member.c.programme_id,
        member_allowance.c.member_id == member.c.id,
        member_allowance.c.name == NAME,
    )
    .correlate(member)
    .scalar_subquery()
)
# Whose promise was made just now, or ended unused since this was last looked at.
_concerned = (
    select(notice.c.member_id)
    .select_from(
        notice.join(
            member, (member.c.programme_id == notice.c.programme_id) & (member.c.id == notice.c.member_id)
        )
    )
    .where(
        notice.c.programme_id == bindparam("programme"),
        notice.c.member_id > bindparam("after"),
        notice.c.member_id <= bindparam("up_to"),
        notice.c.kind == NAME,
        notice.c.at > member.c.last_purchase_at,
        or_(
            notice.c.at == bindparam("at"),
            (notice.c.about > bindparam("ended_after")) & (notice.c.about <= bindparam("ended_by")),
        ),
    )
)
_REVISE = (
    update(card)
    .where(
        card.c.programme_id == bindparam("programme"),
        card.c.member_id.in_(_concerned),
        card.c.voided_at.is_(None),
    )
    .values(revision=card.c.revision + 1, changed=True)
)
_NEWEST = (
    select(notice.c.words, notice.c.at, member.c.last_purchase_at)
    .select_from(
        notice.join(
            member, (member.c.programme_id == notice.c.programme_id) & (member.c.id == notice.c.member_id)
        )
    )
    .where(
        notice.c.programme_id == bindparam("programme"),
        notice.c.member_id == bindparam("member"),
        notice.c.kind == NAME,
    )
    .order_by(notice.c.about.desc())
    .limit(1)
)


def promise(
    work: Work,
    loaded: Loaded,
    rule: WinBack,
    words: Mapping[str, str],
    *,
    after: int,
    up_to: int,
    since: date,
    now: datetime,
) -> None:
    """Promise the gift to every member of a slice who stayed away long enough and was not asked lately.

    `words` are what each language is told. Their cards change, and those of
    members whose promise ended unused on a day after `since`.
    """
    zone = loaded.programme.zone
    today = local_date(now, zone)
    told, *others = words.items()
    meant = select(
        literal(loaded.id),
        member.c.id,
        literal(NAME),
        literal(str(day_number(today))),
        case(*((member.c.language == language, text) for language, text in others), else_=told[1])
        if others
        else literal(told[1]),
        literal(micros(now)),
    ).where(
        *_of_members,
        member.c.closed_at.is_(None),
        member.c.merged_into.is_(None),
        member.c.holdout.is_(False),
        member.c.last_purchase_at < micros(day_start(today - timedelta(days=rule.idle_days - 1), zone)),
        func.coalesce(_promised_at, 0) < bindparam("again_from"),
        func.coalesce(_given_at, 0) < bindparam("again_from"),
    )
    columns = ("programme_id", "member_id", "kind", "about", "words", "at")
    values = {"programme": loaded.id, "after": after, "up_to": up_to}
    again_from = day_start(today - timedelta(days=rule.every_days - 1), zone)
    work.put(insert(notice).from_select(columns, meant), again_from=micros(again_from), **values)
    valid = timedelta(days=rule.valid_days)
    work.put(
        _REVISE,
        at=micros(now),
        ended_after=str(day_number(since - valid)),
        ended_by=str(day_number(today - valid)),
        **values,
    )


def standing_promise(read: Read, loaded: Loaded, member_id: int, *, now: datetime) -> Promise | None:
    """What a member is promised now; None for nothing, and without asking where no rule promises."""
    rule = loaded.programme.win_back
    if rule is None:
        return None
    row = read.ask(_NEWEST, programme=loaded.id, member=member_id).one()
    if row is None or row.last_purchase_at is None or row.at <= row.last_purchase_at:
        return None
    zone = loaded.programme.zone
    ends_at = day_start(local_date(instant(row.at), zone) + timedelta(days=rule.valid_days), zone)
    return Promise(row.words, ends_at) if now < ends_at else None


def win_back_bonus(read: Read, loaded: Loaded, standing: Standing, *, now: datetime) -> int | None:
    """The points that a purchase at `now` brings a member who was promised them; None where it brings none.

    Ask before the member's last purchase is changed, and write with `keep`
    that the promise was kept. Whoever bought lately costs no question.
    """
    rule, zone = loaded.programme.win_back, loaded.programme.zone
    if rule is None or standing.holdout or standing.last_purchase_at is None:
        return None
    last_day = local_date(instant(standing.last_purchase_at), zone)
    if (local_date(now, zone) - last_day).days < rule.idle_days:
        return None
    if standing_promise(read, loaded, standing.member_id, now=now) is None:
        return None
    return rule.points


def keep(work: Work, loaded: Loaded, member_id: int, *, now: datetime) -> None:
    """Write down that a promise was kept: the next one waits for as long as the rule says."""
    allowances.member_take(work, loaded.id, member_id, NAME, 1, now=now)
