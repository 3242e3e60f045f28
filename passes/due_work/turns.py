"""How due work takes its turns: in small transactions, programme by programme, day by day."""

from __future__ import annotations

from collections.abc import Callable
from datetime import date, datetime, timedelta

from passes.loyalty import dates
from passes.store import Store, Work, due, programmes
from passes.store.programmes import Loaded

# So many that PostgreSQL is not asked too often, and tills of these members
# wait a tenth of a second at most; so few that SQLite's one writer is free
# again within milliseconds.
_MANY, _FEW = 1_000, 100
# Each of these is a booking of its own, with a dozen statements.
_BOOKINGS_MANY, _BOOKINGS_FEW = 50, 10


def each(store: Store, decide: Callable[[Work, Loaded, int], int], limit: int | None) -> int:
    """Do it once for every programme, each in a transaction of its own."""
    most, _ = bounds(store, limit)
    with store.read() as read:
        loadeds = programmes.every(read)
    return sum(
        store.write(lambda work, loaded=loaded: decide(work, loaded, most))  # type: ignore[misc]
        for loaded in loadeds
    )


def bounds(store: Store, limit: int | None) -> tuple[int, int]:
    """How many rows, and how many bookings, one transaction takes."""
    many, bookings = (_MANY, _BOOKINGS_MANY) if store.postgresql else (_FEW, _BOOKINGS_FEW)
    return (many, bookings) if limit is None else (limit, min(limit, bookings))


def days_due(store: Store, loaded: Loaded, name: str, now: datetime) -> list[date]:
    """Today and the days before it on which nobody called; none when today's work is done.

    A programme that never had any begins today. After more than a year only
    the last one counts.
    """
    today = dates.local_date(now, loaded.programme.zone)
    with store.read() as read:
        marked = due.marked_day(read, loaded.id, name)
    if marked is None:
        return [today]
    done = date(marked // 10_000, marked // 100 % 100, marked % 100)
    missed = min((today - done).days, 366)
    return [today - timedelta(days=back) for back in range(missed - 1, -1, -1)]


def mark(store: Store, loaded: Loaded, name: str, day: date) -> None:
    """Remember that a day's work is done."""
    store.write(lambda work: due.mark_day(work, loaded.id, name, dates.day_number(day)))
