"""What time makes due, many members at a time.

Every question takes the next few that are due and locks them, in the order in
which a till locks a member, and leaves out whom somebody else is booking for
just now: they are still due a moment later. What is decided about them is
written with one statement for each table: on PostgreSQL from arrays, on SQLite
row by row.
"""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any

from sqlalchemy import Table, TextClause, text
from sqlalchemy import Text as TextColumn
from sqlalchemy.dialects import postgresql

from passes.loyalty.tiers import TierMetric, TierStanding, TierStep
from passes.store import models
from passes.store.ids import block_of_ids
from passes.store.instants import instant, instant_or_none, micros
from passes.store.work import Read, Row, Work

# Writing many rows ---------------------------------------------------------------


class Many:
    """One write for many rows: arrays on PostgreSQL, one run for each row on SQLite.

    `columns` maps the names that each row gives to the PostgreSQL type of
    their array. `{source}` in `on_postgresql` stands for the arrays as a table `u`.
    """

    def __init__(self, columns: Mapping[str, str], *, on_postgresql: str, on_sqlite: str) -> None:
        arrays = ", ".join(f"CAST(:{name} AS {kind}[])" for name, kind in columns.items())
        source = f"unnest({arrays}) AS u({', '.join(columns)})"
        self._columns = tuple(columns)
        self._on_postgresql = text(on_postgresql.format(source=source))
        self._on_sqlite = text(on_sqlite)

    @classmethod
    def insert(cls, table: Table, *, unless_known: bool = False) -> Many:
        """New rows of a table; each gives every column. With `unless_known`, rows that are there stay."""
        dialect = postgresql.dialect()  # type: ignore[no-untyped-call]
        # Texts as such, whatever their longest: the table checks that.
        columns = {
            column.name: "text"
            if isinstance(column.type, TextColumn) or column.type.python_type is str
            else column.type.compile(dialect=dialect)
            for column in table.columns
        }
        names = ", ".join(columns)
        into = f"INSERT INTO {table.name} ({names})"
        otherwise = " ON CONFLICT DO NOTHING" if unless_known else ""
        return cls(
            columns,
            on_postgresql=f"{into} SELECT {names} FROM {{source}}{otherwise}",
            on_sqlite=f"{into} VALUES ({', '.join(f':{name}' for name in columns)}){otherwise}",
        )

    def put(self, work: Work, rows: Sequence[Mapping[str, Any]]) -> None:
        """Write these rows."""
        if not rows:
            return
        if work.postgresql:
            arrays: dict[str, Any] = {name: _array([row[name] for row in rows]) for name in self._columns}
            work.put(self._on_postgresql, **arrays)
        else:
            work.put_many(self._on_sqlite, rows)


def _array(values: Sequence[int | str | bool | None]) -> str:
    """Values as PostgreSQL writes an array. The driver's own way takes several times as long."""
    return "{" + ",".join(map(_element, values)) + "}"


def _element(value: int | str | bool | None) -> str:
    if value is None:
        return "NULL"
    if isinstance(value, str):
        escaped = value.replace("\\", "\\\\").replace('"', '\\"')
        return f'"{escaped}"'
    return str(value)


_ADD_RECEIPTS = Many.insert(models.receipt)
_ADD_POSTINGS = Many.insert(models.posting)
_ADD_CONSUMPTIONS = Many.insert(models.consumption)
_ADD_TIER_CHANGES = Many.insert(models.tier_change)
_ADD_NOTICES = Many.insert(models.notice, unless_known=True)


def _change(table: str, columns: Mapping[str, str], values: str, *, key: str = "id") -> Many:
    """A change of rows found by their key; `{u}` in `values` comes before what a row gives."""
    known = {"programme": "bigint", key: "bigint"}
    return Many(
        {**known, **columns},
        on_postgresql=f"UPDATE {table} SET {values.format(u='u.', t=f'{table}.')} FROM {{source}}"
        f" WHERE {table}.programme_id = u.programme AND {table}.{key} = u.{key}",
        on_sqlite=f"UPDATE {table} SET {values.format(u=':', t='')}"
        f" WHERE programme_id = :programme AND {key} = :{key}",
    )


_TAKE_FROM_LOTS = _change("lot", {"taken": "bigint"}, "remaining = {t}remaining - {u}taken")
_OPEN_LOTS = _change("lot", {"opened_in": "bigint"}, "pending = false, account_id = {u}opened_in")
_EXTEND_LOTS = _change("lot", {"until": "bigint"}, "expires_at = {u}until")
_MOVE = _change("account", {"moved": "bigint"}, "balance = {t}balance + {u}moved")
_LAPSE_AGAIN = _change("member", {"lapse": "bigint"}, "points_lapse_at = {u}lapse")
_REVISE = _change("card", {}, "revision = {t}revision + 1, changed = true", key="member_id")
_RESTAND = _change(
    "member",
    {
        "new_tier": "text",
        "new_until": "bigint",
        "new_due": "bigint",
        "new_waiting": "text",
    },
    "tier = {u}new_tier, tier_until = {u}new_until, tier_due_at = {u}new_due, tier_waiting = {u}new_waiting",
)

# Points ----------------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class DueLot:
    """A lot that is due, with what its member's booking needs. Instants as stored.

    `balance` is what the member can spend before anything is booked.
    """

    id: int
    asset: str
    remaining: int
    expires_at: int | None
    available_at: int
    account_id: int
    points_account_id: int
    balance: int
    member_id: int
    card_id: int
    tier: str | None
    tier_due_at: int | None
    points_lapse_at: int | None


# The member's oldest card that still holds; after a merge there may be several.
_CARD = """coalesce((SELECT card.id FROM card
            WHERE card.programme_id = member.programme_id AND card.member_id = member.id
            ORDER BY card.voided_at IS NOT NULL, card.id LIMIT 1), 0)"""
_OF_LOT = """
    SELECT lot.id, lot.asset, lot.remaining, lot.expires_at, lot.available_at, lot.account_id,
        member.points_account_id, available.balance, member.id AS member_id,
        {card} AS card_id,
        member.tier, member.tier_due_at, member.points_lapse_at
    FROM {start}
    WHERE {where}
    {lock}
"""
# SQLite keeps the order of cross joins; left to itself it begins with all accounts.
_WITH_MEMBER = "lot CROSS JOIN account CROSS JOIN member CROSS JOIN account AS available"
_ITS_MEMBER = """account.programme_id = lot.programme_id AND account.id = lot.account_id
        AND member.programme_id = lot.programme_id AND member.id =
            CASE account.owner_kind WHEN 'member' THEN CAST(account.owner_id AS BIGINT) END
        AND available.programme_id = lot.programme_id AND available.id = member.points_account_id
        AND """
_LOCK = "FOR UPDATE OF {tables} SKIP LOCKED"


class _Locking:
    """A question whose rows are locked where the engine has row locks; SQLite has one writer anyway."""

    def __init__(self, words: str, *, lock: str, **parts: str) -> None:
        self._on_postgresql = text(words.format(card=_CARD, lock=_LOCK.format(tables=lock), **parts))
        self._on_sqlite = text(words.format(card=_CARD, lock="", **parts))

    def ask(self, work: Work, **values: Any) -> list[Row]:
        chosen: TextClause = self._on_postgresql if work.postgresql else self._on_sqlite
        return work.ask(chosen, **values).all()


# All lots of an account that lapsed come together, so that they share receipts.
_LAPSED = _Locking(
    _OF_LOT,
    start=_WITH_MEMBER,
    where=_ITS_MEMBER
    + """lot.programme_id = :programme AND lot.remaining > 0 AND NOT lot.pending
        AND +lot.expires_at <= :at
        AND lot.account_id IN (
            SELECT due.account_id FROM lot AS due
            WHERE due.programme_id = :programme AND due.remaining > 0 AND NOT due.pending
                AND due.expires_at IS NOT NULL AND due.expires_at <= :at
            ORDER BY due.expires_at LIMIT :most)""",
    lock="available, member, lot",
)
_RIPE = _Locking(
    _OF_LOT,
    start=_WITH_MEMBER,
    where=_ITS_MEMBER
    + """lot.programme_id = :programme AND lot.remaining > 0 AND lot.pending
        AND +lot.available_at <= :at
        AND lot.account_id IN (
            SELECT due.account_id FROM lot AS due
            WHERE due.programme_id = :programme AND due.pending AND due.available_at <= :at
                AND due.remaining > 0
            ORDER BY due.available_at LIMIT :most)""",
    lock="available, member, lot",
)
# Nothing is left to open where everything was taken back while it waited.
_EMPTIED = text(
    """
    UPDATE lot SET pending = false, account_id = (
        SELECT member.points_account_id
        FROM account JOIN member ON member.programme_id = account.programme_id AND member.id =
            CASE account.owner_kind WHEN 'member' THEN CAST(account.owner_id AS BIGINT) END
        WHERE account.programme_id = lot.programme_id AND account.id = lot.account_id)
    WHERE programme_id = :programme AND pending AND remaining = 0 AND id IN (
        SELECT due.id FROM lot AS due
        WHERE due.programme_id = :programme AND due.pending AND due.available_at <= :at AND due.remaining = 0
        LIMIT :most)
    RETURNING id
"""
)
_IDLE = _Locking(
    """
    SELECT member.id, member.points_account_id
    FROM member JOIN account AS available ON available.programme_id = member.programme_id
        AND available.id = member.points_account_id
    WHERE member.programme_id = :programme
        AND member.points_lapse_at IS NOT NULL AND member.points_lapse_at <= :at
    ORDER BY member.points_lapse_at LIMIT :most
    {lock}
""",
    lock="available, member",
)
# Asked after the members are locked, so that nothing of what it says can be old.
_HELD_BY = _OF_LOT.format(
    card=_CARD,
    start=_WITH_MEMBER,
    where=_ITS_MEMBER
    + "lot.programme_id = :programme AND lot.remaining > 0 AND lot.account_id IN ({accounts})",
    lock="",
)
_HELD_ON_POSTGRESQL = text(_HELD_BY.format(accounts="SELECT unnest(CAST(:accounts AS bigint[]))"))
_HELD_ON_SQLITE = text(_HELD_BY.format(accounts="SELECT value FROM json_each(:accounts)"))


def lapsed_lots(work: Work, programme_id: int, *, at: datetime, limit: int) -> list[DueLot]:
    """Lots whose points lapsed, of at most `limit` accounts, those that lapsed first to begin with."""
    rows = _LAPSED.ask(work, programme=programme_id, at=micros(at), most=limit)
    return [DueLot(*row) for row in rows]


def ripe_lots(work: Work, programme_id: int, *, at: datetime, limit: int) -> list[DueLot]:
    """Lots that waited long enough, of at most `limit` accounts."""
    rows = _RIPE.ask(work, programme=programme_id, at=micros(at), most=limit)
    return [DueLot(*row) for row in rows]


def open_emptied(work: Work, programme_id: int, *, at: datetime, limit: int) -> int:
    """Stop waiting with lots that hold nothing any more. Returns how many."""
    return len(work.ask(_EMPTIED, programme=programme_id, at=micros(at), most=limit).all())


def idle_lots(work: Work, programme_id: int, *, at: datetime, limit: int) -> tuple[list[int], list[DueLot]]:
    """At most `limit` members whose points lapse for inactivity, and what they hold."""
    members = _IDLE.ask(work, programme=programme_id, at=micros(at), most=limit)
    accounts = [row.points_account_id for row in members]
    if work.postgresql:
        answer = work.ask(_HELD_ON_POSTGRESQL, programme=programme_id, accounts=accounts)
    else:
        answer = work.ask(_HELD_ON_SQLITE, programme=programme_id, accounts=json.dumps(accounts))
    return [row.id for row in members], [DueLot(*row) for row in answer.all()]


@dataclass(slots=True)
class Bookings:
    """Receipts of many members in the making, to be written together.

    `moves` change balances of accounts, `taken` what lots hold, `opened` says
    to which account a lot that waited now belongs.
    """

    receipts: list[dict[str, Any]] = field(default_factory=list)
    postings: list[dict[str, Any]] = field(default_factory=list)
    consumptions: list[dict[str, Any]] = field(default_factory=list)
    taken: dict[int, int] = field(default_factory=dict)
    opened: dict[int, int] = field(default_factory=dict)
    moves: dict[int, int] = field(default_factory=dict)
    members: set[int] = field(default_factory=set)

    def move(self, account_id: int, amount: int) -> None:
        """Change an account's balance."""
        self.moves[account_id] = self.moves.get(account_id, 0) + amount

    def take(self, lot_id: int, posting_id: int, amount: int) -> None:
        """Take from a lot for a posting."""
        self.taken[lot_id] = self.taken.get(lot_id, 0) + amount
        self.consumptions.append({"lot_id": lot_id, "posting_id": posting_id, "amount": amount})


def keep_bookings(
    work: Work, programme_id: int, bookings: Bookings, *, programme_version: int, now: datetime
) -> None:
    """Write receipts, postings and what they changed; the members' cards say something new."""
    common = {
        "programme_id": programme_id,
        "recorded_at": micros(now),
        "programme_version": programme_version,
    }
    _ADD_RECEIPTS.put(work, [{**_NO_RECEIPT, **common, **row} for row in bookings.receipts])
    _ADD_POSTINGS.put(work, [{**_NO_POSTING, **common, **row} for row in bookings.postings])
    _ADD_CONSUMPTIONS.put(work, [{"programme_id": programme_id, **row} for row in bookings.consumptions])
    put = _by_id(programme_id)
    _TAKE_FROM_LOTS.put(work, put("taken", bookings.taken))
    _OPEN_LOTS.put(work, put("opened_in", bookings.opened))
    _MOVE.put(work, put("moved", bookings.moves))
    revise(work, programme_id, bookings.members)


_NO_RECEIPT: Mapping[str, Any] = {
    "purchase_id": None,
    "reward_key": None,
    "stamps": 0,
    "amount_minor": None,
    "location": None,
    "till": None,
    "person": None,
    "undoes": None,
    "undone_by": None,
}
_NO_POSTING: Mapping[str, Any] = {"reverses": None, "block": None}


def _by_id(programme_id: int) -> Any:
    def rows(name: str, values: Mapping[int, int | None]) -> list[dict[str, Any]]:
        return [{"programme": programme_id, "id": key, name: values[key]} for key in sorted(values)]

    return rows


def revise(work: Work, programme_id: int, members: Iterable[int]) -> None:
    """The cards of these members say something new."""
    _REVISE.put(work, [{"programme": programme_id, "member_id": member} for member in sorted(members)])


def extend_lots(work: Work, programme_id: int, until: Mapping[int, int | None]) -> None:
    """Let lots lapse at other instants (as stored), or never."""
    _EXTEND_LOTS.put(work, _by_id(programme_id)("until", until))


def lapse_again(work: Work, programme_id: int, lapse: Mapping[int, int | None]) -> None:
    """When members' points lapse for inactivity next (as stored); None until they do something again."""
    _LAPSE_AGAIN.put(work, _by_id(programme_id)("lapse", lapse))


# Levels ----------------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class DueMember:
    """A member whose level must be looked at."""

    id: int
    card_id: int
    joined_at: datetime
    standing: TierStanding


@dataclass(frozen=True, slots=True)
class MetricWindow:
    """What counts for a member from one instant until another; None is open."""

    member_id: int
    since: datetime | None
    until: datetime | None


@dataclass(frozen=True, slots=True)
class Metric:
    """What purchases of a window count, less what came back, and when the last of them was."""

    value: int
    last_purchase_at: datetime | None


_LEVELS = _Locking(
    """
    SELECT member.id,
        {card} AS card_id,
        member.joined_at, member.tier, member.tier_until, member.tier_due_at, member.tier_waiting,
        member.metric_period, member.metric
    FROM member
    WHERE member.programme_id = :programme AND member.tier_due_at IS NOT NULL AND member.tier_due_at <= :at
    ORDER BY member.tier_due_at LIMIT :most
    {lock}
""",
    lock="member",
)
_returned = """coalesce((SELECT sum(goods_return.net_minor) FROM goods_return
        WHERE goods_return.programme_id = purchase.programme_id
            AND goods_return.purchase_id = purchase.id), 0)"""
# Purchases move to the survivor of a merge, receipts stay with whom they were given to.
_earned = """coalesce((SELECT sum(CASE posting.kind WHEN 'earn' THEN posting.amount
            WHEN 'clawback' THEN -posting.amount ELSE 0 END)
        FROM receipt JOIN posting ON posting.programme_id = receipt.programme_id
            AND posting.receipt_id = receipt.id AND posting.asset = 'points'
        WHERE receipt.programme_id = purchase.programme_id AND receipt.purchase_id = purchase.id
            AND receipt.member_id IN (
                SELECT purchase.member_id UNION ALL SELECT merge.loser_id FROM merge
                WHERE merge.programme_id = purchase.programme_id
                    AND merge.survivor_id = purchase.member_id AND merge.undone_at IS NULL)), 0)"""
_COUNTS: Mapping[TierMetric, str] = {
    TierMetric.SPEND: f"purchase.net_minor - {_returned}",
    TierMetric.VISITS: f"CASE WHEN purchase.net_minor > {_returned} THEN 1 ELSE 0 END",
    TierMetric.POINTS: _earned,
}
_METRIC = """
    SELECT coalesce(sum({counts}), 0) AS metric, max(purchase.occurred_at) AS last_purchase_at
    FROM purchase
    WHERE purchase.programme_id = :programme AND purchase.member_id = {member}
        AND purchase.occurred_at >= {since} AND purchase.occurred_at < {until}
        AND purchase.voided_by IS NULL
"""
_METRIC_ON_SQLITE = {
    metric: text(_METRIC.format(counts=counts, member=":member", since=":since", until=":until"))
    for metric, counts in _COUNTS.items()
}
_METRIC_ON_POSTGRESQL = {
    metric: text(
        "SELECT found.metric, found.last_purchase_at FROM unnest(CAST(:members AS bigint[]),"
        " CAST(:sinces AS bigint[]), CAST(:untils AS bigint[]))"
        " WITH ORDINALITY AS w(member_id, since, until, number) CROSS JOIN LATERAL ("
        + _METRIC.format(counts=counts, member="w.member_id", since="w.since", until="w.until")
        + ") AS found ORDER BY w.number"
    )
    for metric, counts in _COUNTS.items()
}
_NEVER_BEFORE, _NEVER_AFTER = -(2**62), 2**62


def due_members(work: Work, programme_id: int, *, at: datetime, limit: int) -> list[DueMember]:
    """Members whose level must be looked at, those that waited longest first."""
    rows = _LEVELS.ask(work, programme=programme_id, at=micros(at), most=limit)
    return [
        DueMember(
            id=row.id,
            card_id=row.card_id,
            joined_at=instant(row.joined_at),
            standing=TierStanding(
                tier=row.tier,
                tier_until=instant_or_none(row.tier_until),
                tier_due_at=instant_or_none(row.tier_due_at),
                tier_waiting=row.tier_waiting,
                metric_period=row.metric_period,
                metric=row.metric,
            ),
        )
        for row in rows
    ]


def metrics(
    read: Read, programme_id: int, metric: TierMetric, windows: Sequence[MetricWindow]
) -> list[Metric]:
    """What counts in each of these windows, from the purchases themselves and what came back of them."""
    if not windows:
        return []
    members = [window.member_id for window in windows]
    sinces = [_NEVER_BEFORE if window.since is None else micros(window.since) for window in windows]
    untils = [_NEVER_AFTER if window.until is None else micros(window.until) for window in windows]
    if read.postgresql:
        rows = read.ask(
            _METRIC_ON_POSTGRESQL[metric],
            programme=programme_id,
            members=members,
            sinces=sinces,
            untils=untils,
        ).all()
    else:
        rows = [
            row
            for member, since, until in zip(members, sinces, untils, strict=True)
            for row in read.ask(
                _METRIC_ON_SQLITE[metric], programme=programme_id, member=member, since=since, until=until
            ).all()
        ]
    return [Metric(int(row.metric), instant_or_none(row.last_purchase_at)) for row in rows]


def keep_levels(
    work: Work, programme_id: int, steps: Sequence[tuple[DueMember, TierStep]], *, now: datetime
) -> None:
    """Write where members stand now, and every change of a level; cards of changed levels say so."""

    def stored(at: datetime | None) -> int | None:
        return None if at is None else micros(at)

    _RESTAND.put(
        work,
        [
            {
                "programme": programme_id,
                "id": found.id,
                "new_tier": step.tier,
                "new_until": stored(step.tier_until),
                "new_due": stored(step.tier_due_at),
                "new_waiting": step.tier_waiting,
            }
            for found, step in steps
        ],
    )
    changes = [(found, step) for found, step in steps if step.change]
    _ADD_TIER_CHANGES.put(
        work,
        [
            {
                "programme_id": programme_id,
                "id": change_id,
                "member_id": found.id,
                "from_key": found.standing.tier,
                "to_key": step.tier,
                "cause": step.change,
                "metric_period": step.metric_period,
                "metric": step.metric,
                "receipt_id": None,
                "reason": None,
                "at": stored(found.standing.tier_due_at or now),
            }
            for change_id, (found, step) in zip(block_of_ids(now, len(changes)), changes, strict=True)
        ],
    )
    revise(work, programme_id, [found.id for found, step in steps if step.tier != found.standing.tier])


# Rewards, birthdays, notices ---------------------------------------------------------

_HOLDS = text(
    """
    SELECT id FROM hold
    WHERE programme_id = :programme AND state = 'authorised' AND lapses_at <= :at
    ORDER BY lapses_at LIMIT :most
"""
)
_LAPSE_REWARDS = text(
    """
    UPDATE redemption SET state = 'expired'
    WHERE programme_id = :programme AND state = 'issued' AND id IN (
        SELECT due.id FROM redemption AS due
        WHERE due.programme_id = :programme AND due.state = 'issued'
            AND due.expires_at IS NOT NULL AND due.expires_at <= :at
        ORDER BY due.expires_at LIMIT :most)
    RETURNING member_id
"""
)
_BORN = text(
    f"""
    SELECT member.id, member.joined_at, member.tier, person.birthday_changed_at,
        {_CARD} AS card_id
    FROM person JOIN member ON member.programme_id = person.programme_id AND member.id = person.member_id
    WHERE person.programme_id = :programme
        AND person.birthday_month = :month AND person.birthday_day = :day AND person.member_id > :after
        AND member.closed_at IS NULL AND member.merged_into IS NULL
    ORDER BY person.member_id LIMIT :most
"""
)
_MARKED = text("SELECT used FROM allowance WHERE programme_id = :programme AND name = :name")
_MARK = text(
    """
    INSERT INTO allowance (programme_id, name, used) VALUES (:programme, :name, :day)
    ON CONFLICT (programme_id, name) DO UPDATE SET used = excluded.used
"""
)
_MEMBERS_END = text(
    """
    SELECT max(id) FROM (
        SELECT id FROM member WHERE programme_id = :programme AND id > :after ORDER BY id LIMIT :most) AS page
"""
)
_LAPSING = text(
    """
    SELECT member.id, member.language, lot.expires_at AS lapses_at, sum(lot.remaining) AS points
    FROM member JOIN lot ON lot.programme_id = member.programme_id
        AND lot.account_id = member.points_account_id AND lot.remaining > 0
        AND lot.expires_at >= :since AND lot.expires_at < :until
    WHERE member.programme_id = :programme AND member.id > :after AND member.id <= :last
        AND member.closed_at IS NULL
    GROUP BY member.id, member.language, lot.expires_at
    ORDER BY member.id, lot.expires_at
"""
)
_ANY_LAPSING = text(
    """
    SELECT 1 FROM lot
    WHERE programme_id = :programme AND remaining > 0 AND expires_at IS NOT NULL
        AND expires_at >= :since AND expires_at < :until AND asset = 'points' LIMIT 1
"""
)
_ANY_GOING_IDLE = text(
    """
    SELECT 1 FROM member
    WHERE programme_id = :programme AND points_lapse_at IS NOT NULL
        AND points_lapse_at >= :since AND points_lapse_at < :until LIMIT 1
"""
)
_GOING_IDLE = text(
    """
    SELECT member.id, member.language, member.points_lapse_at AS lapses_at, account.balance AS points
    FROM member JOIN account ON account.programme_id = member.programme_id
        AND account.id = member.points_account_id AND account.balance > 0
    WHERE member.programme_id = :programme AND member.id > :after AND member.id <= :last
        AND member.points_lapse_at >= :since AND member.points_lapse_at < :until
        AND member.closed_at IS NULL
    ORDER BY member.id
"""
)


def lapsed_holds(read: Read, programme_id: int, *, at: datetime, limit: int) -> list[int]:
    """Holds whose time ran out and that nobody has resolved."""
    return [row.id for row in read.ask(_HOLDS, programme=programme_id, at=micros(at), most=limit).all()]


def lapse_rewards(work: Work, programme_id: int, *, at: datetime, limit: int) -> int:
    """Let rewards lapse that were given and not used in time. Returns how many."""
    rows = work.ask(_LAPSE_REWARDS, programme=programme_id, at=micros(at), most=limit).all()
    revise(work, programme_id, {row.member_id for row in rows})
    return len(rows)


def born_on(read: Read, programme_id: int, *, month: int, day: int, after: int, limit: int) -> list[Row]:
    """Members with this birthday, in the order of their ids, beginning after one.

    Each row has id, card_id, joined_at, tier and birthday_changed_at.
    """
    return read.ask(_BORN, programme=programme_id, month=month, day=day, after=after, most=limit).all()


def marked_day(read: Read, programme_id: int, name: str) -> int | None:
    """The last day (yyyymmdd) whose daily work of this name is done."""
    found: int | None = read.ask(_MARKED, programme=programme_id, name=name).value()
    return found


def mark_day(work: Work, programme_id: int, name: str, day: int) -> None:
    """The daily work of this name is done for this day."""
    work.put(_MARK, programme=programme_id, name=name, day=day)


@dataclass(frozen=True, slots=True)
class Lapsing:
    """Points of a member that lapse at an instant."""

    member_id: int
    language: str
    lapses_at: datetime
    points: int


def members_end(read: Read, programme_id: int, *, after: int, limit: int) -> int | None:
    """The last of the next `limit` members; None at the end."""
    found: int | None = read.ask(_MEMBERS_END, programme=programme_id, after=after, most=limit).value()
    return found


def anything_lapses(
    read: Read, programme_id: int, *, since: datetime, until: datetime, by_inactivity: bool
) -> bool:
    """Whether points of anybody lapse within `since <= t < until`."""
    asked = read.ask(
        _ANY_GOING_IDLE if by_inactivity else _ANY_LAPSING,
        programme=programme_id,
        since=micros(since),
        until=micros(until),
    )
    return asked.one() is not None


def lapsing(
    read: Read,
    programme_id: int,
    *,
    since: datetime,
    until: datetime,
    after: int,
    last: int,
    by_inactivity: bool,
) -> list[Lapsing]:
    """What lapses within `since <= t < until` of members from after one to another, exactly as it stands."""
    rows = read.ask(
        _GOING_IDLE if by_inactivity else _LAPSING,
        programme=programme_id,
        since=micros(since),
        until=micros(until),
        after=after,
        last=last,
    ).all()
    return [Lapsing(row.id, row.language, instant(row.lapses_at), int(row.points)) for row in rows]


@dataclass(frozen=True, slots=True)
class Notice:
    """What a member is told, once: `kind` and `about` name it."""

    member_id: int
    kind: str
    about: str
    words: str


def add_notices(work: Work, programme_id: int, notices: Sequence[Notice], *, now: datetime) -> None:
    """Write what members are told; what they were told before is left as it was."""
    _ADD_NOTICES.put(
        work,
        [
            {
                "programme_id": programme_id,
                "member_id": one.member_id,
                "kind": one.kind,
                "about": one.about,
                "words": one.words,
                "at": micros(now),
            }
            for one in notices
        ],
    )
