"""What happened to members' purchases, in the order in which it was booked; nothing here writes.

Receipts are read in the order of their ids, some thousands at a time, so that
a window of any length takes the same memory. The window's beginning is by
`recorded_at`: ids order bookings, they are not a clock.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import date, datetime

import orjson
from sqlalchemy import TextClause, text

from passes.loyalty.basket import Basket, Line
from passes.loyalty.dates import day_number
from passes.loyalty.returns import BackLine
from passes.loyalty.tiers import TierMetric
from passes.store.instants import instant, instant_or_none, micros
from passes.store.work import Read, Row

_MOST = 2_000
# Receipts of one booking have ids a little below its purchase's.
_A_MINUTE_OF_IDS = 60_000_000 << 12

_FIRST = text(
    "SELECT min(id) FROM purchase"
    " WHERE programme_id = :programme AND local_day >= :day AND recorded_at >= :since"
)
_HAPPENED = text(
    """
    SELECT receipt.id, receipt.kind, receipt.points, receipt.balance_change, receipt.balance_after,
        receipt.undoes, receipt.reasons, receipt.occurred_at AS happened_at, receipt.programme_version,
        purchase.id AS purchase_id, receipt.member_id, purchase.channel, purchase.location,
        purchase.gross_minor, purchase.order_discount_minor, purchase.unearning_minor,
        purchase.occurred_at, purchase.voided_by
    FROM receipt CROSS JOIN purchase
    WHERE receipt.programme_id = :programme AND receipt.id > :after
        AND receipt.recorded_at >= :since AND receipt.recorded_at <= :until
        AND receipt.kind IN ('accrue', 'return', 'undo')
        AND purchase.programme_id = receipt.programme_id AND purchase.id = receipt.purchase_id
        AND purchase.member_id IS NOT NULL
    ORDER BY receipt.id LIMIT :most
"""
)
_MERGED = text(
    """
    SELECT id, survivor_id, loser_id, at FROM merge
    WHERE programme_id = :programme AND id > :after AND undone_at IS NULL ORDER BY id
"""
)
_LINES = text(
    """
    SELECT purchase_id, quantity, unit_minor, discount_minor, sku, name, category, brand, tax_minor
    FROM purchase_line
    WHERE programme_id = :programme AND purchase_id BETWEEN :first AND :last
    ORDER BY purchase_id, line_number
"""
)
_RETURNED = text(
    """
    SELECT DISTINCT purchase_id FROM goods_return
    WHERE programme_id = :programme AND purchase_id BETWEEN :first AND :last
"""
)


@dataclass(frozen=True, slots=True)
class Batch:
    """Receipts of purchases, returns and undos in their order, each with the purchase that it is about.

    `baskets` are those of the purchases that were made here; of those that are
    `kept` something came back later, or they were undone.
    """

    rows: Sequence[Row]
    baskets: Mapping[int, Basket]
    kept: frozenset[int]


def happened(
    read: Read, programme_id: int, *, first_day: date, since: datetime, until: datetime
) -> Iterator[Batch]:
    """Everything that was recorded from one instant to another.

    No purchase of before `first_day` was booked as the first of all; tills that were
    offline tell of sales some hours late.
    """
    days = {"programme": programme_id, "day": day_number(first_day), "since": micros(since)}
    first = read.ask(_FIRST, **days).value()
    if first is None:
        return
    after = first - _A_MINUTE_OF_IDS
    while True:
        rows = read.ask(
            _HAPPENED,
            programme=programme_id,
            after=after,
            since=micros(since),
            until=micros(until),
            most=_MOST,
        ).all()
        if rows:
            yield _batch(read, programme_id, rows)
        if len(rows) < _MOST:
            return
        after = rows[-1].id


def merged_after(read: Read, programme_id: int, receipt_id: int) -> Sequence[Row]:
    """Members who became one after a receipt and still are, in order."""
    return read.ask(_MERGED, programme=programme_id, after=receipt_id).all()


def _batch(read: Read, programme_id: int, rows: Sequence[Row]) -> Batch:
    made = [row for row in rows if row.kind == "accrue"]
    if not made:
        return Batch(rows, {}, frozenset())
    span = {
        "programme": programme_id,
        "first": min(row.purchase_id for row in made),
        "last": max(row.purchase_id for row in made),
    }
    lines: dict[int, list[Line]] = {}
    for row in read.ask(_LINES, **span).all():
        lines.setdefault(row.purchase_id, []).append(_line(row))
    kept = {row.purchase_id for row in read.ask(_RETURNED, **span).all()}
    kept |= {row.purchase_id for row in made if row.voided_by is not None}
    return Batch(rows, {row.purchase_id: _basket(row, lines) for row in made}, frozenset(kept))


def _line(row: Row) -> Line:
    return Line(
        quantity=row.quantity,
        unit_minor=row.unit_minor,
        discount_minor=row.discount_minor,
        sku=row.sku,
        name=row.name,
        category=row.category,
        brand=row.brand,
        tax_minor=row.tax_minor,
    )


def _basket(row: Row, lines: Mapping[int, Sequence[Line]]) -> Basket:
    known = lines.get(row.purchase_id)
    return Basket(
        tuple(known) if known else (Line(quantity=1, unit_minor=row.gross_minor),),
        discount_minor=row.order_discount_minor,
        unearning_minor=row.unearning_minor,
    )


# One purchase from before the window -------------------------------------------------

_BACK_BEFORE = text(
    """
    SELECT return_line.line_number, return_line.quantity, return_line.gross_minor, return_line.net_minor
    FROM goods_return CROSS JOIN return_line
    WHERE goods_return.programme_id = :programme AND goods_return.purchase_id = :purchase
        AND (goods_return.receipt_id IS NULL OR goods_return.receipt_id < :receipt)
        AND return_line.programme_id = goods_return.programme_id AND return_line.return_id = goods_return.id
"""
)
_RECEIPTS_BACK_BEFORE = text(
    """
    SELECT receipt.reasons FROM goods_return CROSS JOIN receipt
    WHERE goods_return.programme_id = :programme AND goods_return.purchase_id = :purchase
        AND goods_return.receipt_id < :receipt
        AND receipt.programme_id = goods_return.programme_id AND receipt.id = goods_return.receipt_id
"""
)
_RECEIPT = text("SELECT * FROM receipt WHERE programme_id = :programme AND id = :receipt")
_LAST_PURCHASE = text(
    """
    SELECT max(occurred_at) FROM purchase
    WHERE programme_id = :programme AND member_id = :member AND id <> :besides AND id < :receipt
        AND (voided_by IS NULL OR voided_by > :receipt)
"""
)
_DAY_BEFORE = text(
    """
    SELECT coalesce(sum(receipt.points), 0) AS points,
        coalesce(sum((SELECT sum(posting.amount) FROM posting
            WHERE posting.programme_id = receipt.programme_id AND posting.receipt_id = receipt.id
                AND posting.asset = 'stamps' AND posting.kind = 'earn')), 0) AS stamps
    FROM receipt
    WHERE receipt.programme_id = :programme AND receipt.member_id = :member AND receipt.kind = 'accrue'
        AND receipt.occurred_at >= :since AND receipt.occurred_at < :until
        AND receipt.recorded_at < :start AND (receipt.undone_by IS NULL OR receipt.undone_by > :receipt)
"""
)


def receipt_of(read: Read, programme_id: int, receipt_id: int) -> Row:
    """A stored receipt."""
    row = read.ask(_RECEIPT, programme=programme_id, receipt=receipt_id).one()
    assert row is not None
    return row


def back_before(
    read: Read, programme_id: int, purchase_id: int, receipt_id: int
) -> tuple[list[BackLine], int]:
    """What of a purchase had come back before a receipt, and how many points had gone with it."""
    which = {"programme": programme_id, "purchase": purchase_id, "receipt": receipt_id}
    lines = [BackLine(*row) for row in read.ask(_BACK_BEFORE, **which).all()]
    told = [
        reason
        for row in read.ask(_RECEIPTS_BACK_BEFORE, **which).all()
        for reason in orjson.loads(row.reasons)
        if reason["rule"] == "return"
    ]
    return lines, sum(reason["unearned"] for reason in told)


def last_purchase_before(
    read: Read, programme_id: int, member_id: int, *, besides: int, receipt_id: int
) -> datetime | None:
    """When a member's last purchase was, as known at a receipt, but for one purchase."""
    return instant_or_none(
        read.ask(
            _LAST_PURCHASE, programme=programme_id, member=member_id, besides=besides, receipt=receipt_id
        ).value()
    )


def day_before(
    read: Read,
    programme_id: int,
    member_id: int,
    *,
    since: datetime,
    until: datetime,
    start: datetime,
    receipt_id: int,
) -> tuple[int, int]:
    """Points and stamps of a member's purchases of a day, as far as they were recorded before `start`."""
    row = read.ask(
        _DAY_BEFORE,
        programme=programme_id,
        member=member_id,
        since=micros(since),
        until=micros(until),
        start=micros(start),
        receipt=receipt_id,
    ).one()
    assert row is not None
    return int(row.points), int(row.stamps)


# Members as they were -----------------------------------------------------------------


class _Wanted:
    """A question about some members, each with an instant of its own (`w.member_id`, `w.since`)."""

    def __init__(self, words: str) -> None:
        self._on_sqlite = self._with(
            words,
            "(SELECT json_extract(value, '$[0]') AS member_id, json_extract(value, '$[1]') AS since"
            " FROM json_each(:wanted)) AS w",
        )
        self._on_postgresql = self._with(
            words, "unnest(CAST(:members AS bigint[]), CAST(:sinces AS bigint[])) AS w(member_id, since)"
        )

    @staticmethod
    def _with(words: str, source: str) -> TextClause:
        return text(words.replace("{wanted}", source))

    def ask(
        self, read: Read, programme_id: int, wanted: Mapping[int, int], **values: object
    ) -> Sequence[Row]:
        """The rows for these members."""
        if read.postgresql:
            return read.ask(
                self._on_postgresql,
                programme=programme_id,
                members=list(wanted),
                sinces=list(wanted.values()),
                **values,
            ).all()
        pairs = orjson.dumps(list(wanted.items())).decode()
        return read.ask(self._on_sqlite, programme=programme_id, wanted=pairs, **values).all()


_MEMBERS = _Wanted(
    """
    SELECT member.id, member.joined_at, member.language, member.tier, member.tier_until, member.tier_due_at
    FROM {wanted} CROSS JOIN member
    WHERE member.programme_id = :programme AND member.id = w.member_id
"""
)
# What was known when the window began: purchases that were undone or returned
# since then were still there.
_KNOWN = """
    SELECT w.member_id, w.since, purchase.id, purchase.occurred_at, purchase.net_minor,
        coalesce((SELECT sum(goods_return.net_minor) FROM goods_return
            WHERE goods_return.programme_id = purchase.programme_id
                AND goods_return.purchase_id = purchase.id AND goods_return.recorded_at < :start), 0)
        AS returned_minor
    FROM {wanted} CROSS JOIN purchase
    WHERE purchase.programme_id = :programme AND purchase.member_id = w.member_id
        AND purchase.recorded_at < :start
        AND (purchase.voided_by IS NULL OR (SELECT undo.recorded_at FROM receipt AS undo
            WHERE undo.programme_id = purchase.programme_id AND undo.id = purchase.voided_by) >= :start)
"""
_BEFORE = _Wanted(
    f"""
    SELECT known.member_id,
        sum(CASE WHEN known.net_minor > known.returned_minor OR known.net_minor = 0 THEN 1 ELSE 0 END)
            AS purchases,
        max(known.occurred_at) AS last_purchase_at,
        sum(CASE WHEN known.occurred_at >= known.since THEN known.net_minor - known.returned_minor ELSE 0 END)
            AS spend,
        sum(CASE WHEN known.occurred_at >= known.since AND known.net_minor > known.returned_minor
            THEN 1 ELSE 0 END) AS visits
    FROM ({_KNOWN}) AS known GROUP BY known.member_id
"""
)
_PURCHASES = _Wanted(f"{_KNOWN} AND purchase.occurred_at >= w.since")
_POINTS = _Wanted(
    """
    SELECT purchase.member_id, purchase.id,
        sum(CASE posting.kind WHEN 'earn' THEN posting.amount ELSE -posting.amount END) AS points
    FROM {wanted} CROSS JOIN receipt CROSS JOIN purchase CROSS JOIN posting
    WHERE receipt.programme_id = :programme
        AND (receipt.member_id = w.member_id OR receipt.member_id IN (SELECT merge.loser_id FROM merge
            WHERE merge.programme_id = :programme AND merge.survivor_id = w.member_id
                AND merge.undone_at IS NULL))
        AND receipt.recorded_at < :start
        AND purchase.programme_id = receipt.programme_id AND purchase.id = receipt.purchase_id
        AND purchase.member_id = w.member_id AND purchase.occurred_at >= w.since
        AND posting.programme_id = receipt.programme_id AND posting.receipt_id = receipt.id
        AND posting.asset = 'points' AND posting.kind IN ('earn', 'clawback')
    GROUP BY purchase.member_id, purchase.id
"""
)
_STAMPED = _Wanted(
    """
    SELECT receipt.member_id, max(receipt.occurred_at) AS at
    FROM {wanted} CROSS JOIN receipt
    WHERE receipt.programme_id = :programme AND receipt.member_id = w.member_id
        AND receipt.recorded_at < :start AND receipt.kind = 'accrue' AND receipt.stamps <> 0
        AND receipt.undone_by IS NULL
    GROUP BY receipt.member_id
"""
)
_CHANGES = _Wanted(
    """
    SELECT tier_change.member_id, tier_change.id, tier_change.at, tier_change.from_key, tier_change.to_key,
        tier_change.cause, tier_change.receipt_id
    FROM {wanted} CROSS JOIN tier_change
    WHERE tier_change.programme_id = :programme AND tier_change.member_id = w.member_id
        AND tier_change.id > :after
    ORDER BY tier_change.member_id, tier_change.id
"""
)

_ANSWERS = _Wanted(
    """
    SELECT consent.member_id, consent.id, consent.purpose, consent.given
    FROM {wanted} CROSS JOIN consent
    WHERE consent.programme_id = :programme AND consent.member_id = w.member_id
    ORDER BY consent.id
"""
)


@dataclass(frozen=True, slots=True)
class Before:
    """What a member's purchases had come to when the window began, `spend` and `visits` since an instant."""

    purchases: int = 0
    last_purchase_at: datetime | None = None
    spend: int = 0
    visits: int = 0


@dataclass(frozen=True, slots=True)
class OldPurchase:
    """A purchase of before the window, as it stood when that began."""

    id: int
    at: datetime
    net_minor: int
    returned_minor: int


def members_of(read: Read, programme_id: int, ids: Iterable[int]) -> Mapping[int, Row]:
    """These members as they are now."""
    rows = _MEMBERS.ask(read, programme_id, dict.fromkeys(ids, 0))
    return {row.id: row for row in rows}


def before(
    read: Read, programme_id: int, since: Mapping[int, datetime], *, start: datetime
) -> Mapping[int, Before]:
    """What these members had done when the window began; what counts does so `since` an instant of each."""
    rows = _BEFORE.ask(read, programme_id, _stored(since), start=micros(start))
    return {
        row.member_id: Before(
            int(row.purchases), instant_or_none(row.last_purchase_at), int(row.spend), int(row.visits)
        )
        for row in rows
    }


def purchases_before(
    read: Read, programme_id: int, since: Mapping[int, datetime], *, start: datetime
) -> Mapping[int, Sequence[OldPurchase]]:
    """The purchases that a rolling window may still count when the backtest begins."""
    found: dict[int, list[OldPurchase]] = {}
    for row in _PURCHASES.ask(read, programme_id, _stored(since), start=micros(start)):
        found.setdefault(row.member_id, []).append(
            OldPurchase(row.id, instant(row.occurred_at), row.net_minor, int(row.returned_minor))
        )
    return found


def points_before(
    read: Read, programme_id: int, since: Mapping[int, datetime], *, start: datetime
) -> Mapping[int, Mapping[int, int]]:
    """What purchases since an instant had earned when the window began: by member and purchase."""
    found: dict[int, dict[int, int]] = {}
    for row in _POINTS.ask(read, programme_id, _stored(since), start=micros(start)):
        found.setdefault(row.member_id, {})[row.id] = int(row.points)
    return found


def stamped_before(
    read: Read, programme_id: int, ids: Iterable[int], *, start: datetime
) -> Mapping[int, datetime]:
    """When these members were last given a stamp before the window."""
    rows = _STAMPED.ask(read, programme_id, dict.fromkeys(ids, 0), start=micros(start))
    return {row.member_id: instant(row.at) for row in rows}


def changes_since(
    read: Read, programme_id: int, ids: Iterable[int], *, receipt_id: int
) -> Mapping[int, Sequence[Row]]:
    """How these members' tiers changed after a receipt, in order.

    Not by their instants: a review that was done late carries the one for which it was due.
    """
    found: dict[int, list[Row]] = {}
    for row in _CHANGES.ask(read, programme_id, dict.fromkeys(ids, 0), after=receipt_id):
        found.setdefault(row.member_id, []).append(row)
    return found


def answers_of(read: Read, programme_id: int, ids: Iterable[int]) -> Mapping[int, Sequence[Row]]:
    """What these members answered when asked for consents, in order."""
    found: dict[int, list[Row]] = {}
    for row in _ANSWERS.ask(read, programme_id, dict.fromkeys(ids, 0)):
        found.setdefault(row.member_id, []).append(row)
    return found


def _stored(since: Mapping[int, datetime]) -> Mapping[int, int]:
    return {member_id: micros(at) for member_id, at in since.items()}


# Everybody, at the end ------------------------------------------------------------------

_EVERYBODY = text(
    """
    SELECT member.id, member.tier, account.balance
    FROM member CROSS JOIN account
    WHERE member.programme_id = :programme AND member.id > :after
        AND member.closed_at IS NULL AND member.merged_into IS NULL
        AND account.programme_id = member.programme_id AND account.id = member.points_account_id
    ORDER BY member.id LIMIT :most
"""
)
_NAMES = _Wanted(
    """
    SELECT person.member_id, person.name FROM {wanted} CROSS JOIN person
    WHERE person.programme_id = :programme AND person.member_id = w.member_id
"""
)
_FIRST_LOT = text("SELECT min(earned_at) FROM lot WHERE programme_id = :programme AND asset = 'points'")


def everybody(read: Read, programme_id: int) -> Iterator[Row]:
    """Every open member with tier and balance, oldest first."""
    after = 0
    while rows := read.ask(_EVERYBODY, programme=programme_id, after=after, most=_MOST).all():
        yield from rows
        after = rows[-1].id


def names_of(read: Read, programme_id: int, ids: Iterable[int]) -> Mapping[int, str]:
    """The names of these members, without those who were erased."""
    rows = _NAMES.ask(read, programme_id, dict.fromkeys(ids, 0))
    return {row.member_id: row.name for row in rows}


def first_points_at(read: Read, programme_id: int) -> datetime | None:
    """When the first points were earned."""
    return instant_or_none(read.ask(_FIRST_LOT, programme=programme_id).value())


_METRIC_OF_ALL = {
    "spend": "sum(purchase.net_minor - {returned})",
    "visits": "sum(CASE WHEN purchase.net_minor > {returned} THEN 1 ELSE 0 END)",
}
_OF_ALL = """
    SELECT found.metric, count(*) AS members FROM (
        SELECT purchase.member_id, {metric} AS metric
        FROM purchase JOIN member ON member.programme_id = purchase.programme_id
            AND member.id = purchase.member_id
        LEFT JOIN (
            SELECT goods_return.purchase_id, sum(goods_return.net_minor) AS net_minor FROM goods_return
            WHERE goods_return.programme_id = :programme GROUP BY goods_return.purchase_id
        ) AS back ON back.purchase_id = purchase.id
        WHERE purchase.programme_id = :programme AND purchase.voided_by IS NULL
            AND purchase.occurred_at >= :since AND purchase.occurred_at < :until
            AND member.closed_at IS NULL AND member.merged_into IS NULL
        GROUP BY purchase.member_id) AS found
    GROUP BY found.metric
"""
_COUNTED = {
    metric: text(_OF_ALL.format(metric=counts.format(returned="coalesce(back.net_minor, 0)")))
    for metric, counts in _METRIC_OF_ALL.items()
}
_ALWAYS = 2**62


def counted(
    read: Read, programme_id: int, metric: TierMetric, *, since: datetime | None, until: datetime | None
) -> Mapping[int, int]:
    """How many open members bought what counts so much, by that figure. For SPEND and VISITS only."""
    rows = read.ask(
        _COUNTED[metric.value],
        programme=programme_id,
        since=-_ALWAYS if since is None else micros(since),
        until=_ALWAYS if until is None else micros(until),
    ).all()
    return {int(row.metric): row.members for row in rows}


_POINTS_OF_ALL = text(
    """
    SELECT purchase.member_id,
        sum(CASE posting.kind WHEN 'earn' THEN posting.amount ELSE -posting.amount END) AS points
    FROM receipt CROSS JOIN purchase CROSS JOIN member CROSS JOIN posting
    WHERE receipt.programme_id = :programme
        AND purchase.programme_id = receipt.programme_id AND purchase.id = receipt.purchase_id
        AND purchase.voided_by IS NULL
        AND purchase.occurred_at >= :since AND purchase.occurred_at < :until
        AND member.programme_id = purchase.programme_id AND member.id = purchase.member_id
        AND member.closed_at IS NULL AND member.merged_into IS NULL
        AND posting.programme_id = receipt.programme_id AND posting.receipt_id = receipt.id
        AND posting.asset = 'points' AND posting.kind IN ('earn', 'clawback')
    GROUP BY purchase.member_id
"""
)


def points_counted(
    read: Read, programme_id: int, *, since: datetime | None, until: datetime | None
) -> Sequence[tuple[int, int]]:
    """What open members' purchases earned, by member; what returns took is off."""
    rows = read.ask(
        _POINTS_OF_ALL,
        programme=programme_id,
        since=-_ALWAYS if since is None else micros(since),
        until=_ALWAYS if until is None else micros(until),
    ).all()
    return [(row.member_id, int(row.points)) for row in rows]
