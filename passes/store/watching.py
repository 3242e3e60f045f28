"""What may be abuse, counted from what is stored. A window is local days, as numbers, the last not in it."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime

from sqlalchemy import text

from passes.store.ids import first_id
from passes.store.instants import micros
from passes.store.work import Read, Row

_BOUGHT = """
    purchase.programme_id = :programme AND purchase.local_day >= :since AND purchase.local_day < :until
    AND purchase.voided_by IS NULL AND purchase.member_id IS NOT NULL
"""

_DAYS_AT_A_TILL = text(f"""
    SELECT member_id, location, till, local_day, count(*) AS times FROM purchase WHERE {_BOUGHT}
    GROUP BY member_id, location, till, local_day HAVING count(*) > :most
    ORDER BY times DESC, member_id LIMIT :rows
""")

_FAVOURITES = text(f"""
    WITH served AS (
        SELECT person, member_id, count(*) AS times FROM purchase WHERE {_BOUGHT} AND person IS NOT NULL
        GROUP BY person, member_id
    )
    SELECT served.person, served.member_id, served.times, sums.all_times, cashier.served_times,
        whole.every_time
    FROM served
    JOIN (SELECT member_id, sum(times) AS all_times FROM served GROUP BY member_id) AS sums
        ON sums.member_id = served.member_id
    JOIN (SELECT person, sum(times) AS served_times FROM served GROUP BY person) AS cashier
        ON cashier.person = served.person
    CROSS JOIN (SELECT sum(times) AS every_time FROM served) AS whole
    WHERE served.times >= :least
    ORDER BY served.times DESC, served.member_id LIMIT :rows
""")

_IN_A_ROW = text(f"""
    SELECT member_id, location, till, local_day, occurred_at, earlier_at FROM (
        SELECT member_id, location, till, local_day, occurred_at,
            lag(occurred_at, CAST(:back AS integer))
                OVER (PARTITION BY member_id, location, till ORDER BY occurred_at, id) AS earlier_at
        FROM purchase WHERE {_BOUGHT}
    ) AS run
    WHERE occurred_at - earlier_at <= :within ORDER BY occurred_at LIMIT :rows
""")

_ELSEWHERE = text(f"""
    SELECT member_id, local_day, occurred_at, earlier_at, location, earlier_location FROM (
        SELECT member_id, local_day, occurred_at, location,
            lag(occurred_at) OVER (PARTITION BY member_id ORDER BY occurred_at, id) AS earlier_at,
            lag(location) OVER (PARTITION BY member_id ORDER BY occurred_at, id) AS earlier_location
        FROM purchase WHERE {_BOUGHT}
    ) AS run
    WHERE location <> earlier_location AND occurred_at - earlier_at <= :within
    ORDER BY occurred_at LIMIT :rows
""")

_RETURNERS = text(f"""
    SELECT bought.member_id, count(*) AS purchases, count(back.purchase_id) AS returned
    FROM (SELECT member_id, id FROM purchase WHERE {_BOUGHT}) AS bought
    LEFT JOIN (
        SELECT DISTINCT purchase_id FROM goods_return WHERE goods_return.programme_id = :programme
        AND goods_return.local_day >= :since
    ) AS back ON back.purchase_id = bought.id
    GROUP BY bought.member_id HAVING count(back.purchase_id) >= :least
    ORDER BY returned DESC, bought.member_id LIMIT :rows
""")

_CLAIMERS = text(f"""
    SELECT purchase.member_id, count(*) AS times FROM purchase
    JOIN receipt ON receipt.programme_id = purchase.programme_id AND receipt.member_id = purchase.member_id
        AND receipt.purchase_id = purchase.id AND receipt.kind = 'accrue'
    WHERE {_BOUGHT} AND receipt.reasons LIKE '%"claimed"\\:true%'
    GROUP BY purchase.member_id HAVING count(*) >= :least
    ORDER BY times DESC, purchase.member_id LIMIT :rows
""")

_LATE = text(f"""
    SELECT location, till, person, count(*) AS times FROM purchase
    WHERE {_BOUGHT} AND recorded_at - occurred_at > :within
    GROUP BY location, till, person ORDER BY times DESC, till LIMIT :rows
""")

_ENROLLED = text("""
    SELECT name, used FROM allowance WHERE programme_id = :programme
    AND name >= :first AND name < :last AND used >= :least ORDER BY used DESC, name LIMIT :rows
""")

_NOTED = text("""
    SELECT staff.login, count(*) AS times FROM audit LEFT JOIN staff ON staff.id = audit.staff_id
    WHERE audit.programme_id = :programme AND audit.id >= :first AND audit.at < :until
    AND audit.action = :action
    GROUP BY staff.login HAVING count(*) >= :least ORDER BY times DESC LIMIT :rows
""")

ENROLLED = "enrolled:"
"""What the counts of people who joined at a till begin with; then day, location and till, apart by colons."""


@dataclass(frozen=True, slots=True)
class Days:
    """Local days as numbers (yyyymmdd), from the first to the one after the last; `rows` at most."""

    since: int
    until: int
    rows: int = 100


def days_at_a_till(read: Read, programme_id: int, days: Days, *, most: int) -> list[Row]:
    """Members with more than `most` purchases at one till on one day."""
    return _ask(read, _DAYS_AT_A_TILL, programme_id, days, most=most)


def favourites(read: Read, programme_id: int, days: Days, *, least: int) -> list[Row]:
    """Who served whom at least so often: `times` of the member's `all_times`, and of `every_time` a cashier's
    `served_times`."""
    return _ask(read, _FAVOURITES, programme_id, days, least=least)


def in_a_row(read: Read, programme_id: int, days: Days, *, times: int, within: int) -> list[Row]:
    """Purchases that are at least the `times`-th of a member at one till within so many microseconds."""
    return _ask(read, _IN_A_ROW, programme_id, days, back=times - 1, within=within)


def elsewhere(read: Read, programme_id: int, days: Days, *, within: int) -> list[Row]:
    """Purchases of a member within so many microseconds of one in another shop."""
    return _ask(read, _ELSEWHERE, programme_id, days, within=within)


def returners(read: Read, programme_id: int, days: Days, *, least: int) -> list[Row]:
    """Members who brought goods of so many of their purchases back."""
    return _ask(read, _RETURNERS, programme_id, days, least=least)


def claimers(read: Read, programme_id: int, days: Days, *, least: int) -> list[Row]:
    """Members who claimed so many sales of guests."""
    return _ask(read, _CLAIMERS, programme_id, days, least=least)


def late(read: Read, programme_id: int, days: Days, *, within: int) -> list[Row]:
    """Tills and people whose purchases were said to be older than so many microseconds when they came."""
    return _ask(read, _LATE, programme_id, days, within=within)


def enrolled(read: Read, programme_id: int, days: Days, *, least: int) -> list[Row]:
    """Tills at which so many people joined on one day: `name` is `ENROLLED`, day, location and till."""
    return read.ask(
        _ENROLLED,
        programme=programme_id,
        first=f"{ENROLLED}{days.since}",
        last=f"{ENROLLED}{days.until}",
        least=least,
        rows=days.rows,
    ).all()


def noted(
    read: Read,
    programme_id: int,
    *,
    action: str,
    since: datetime,
    until: datetime,
    least: int,
    rows: int = 100,
) -> list[Row]:
    """Who of the staff did something so often."""
    # An id is never earlier than its instant, but may be later where the clock was set back.
    span = {"first": first_id(since), "until": micros(until)}
    asked = {"action": action, **span, "least": least, "rows": rows}
    return read.ask(_NOTED, programme=programme_id, **asked).all()


def _ask(read: Read, statement: object, programme_id: int, days: Days, **more: int) -> list[Row]:
    return read.ask(
        statement,  # type: ignore[arg-type]
        programme=programme_id,
        since=days.since,
        until=days.until,
        rows=days.rows,
        **more,
    ).all()
