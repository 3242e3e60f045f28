"""Alarms: what the operator must look at, one row for each kind of trouble."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime

from sqlalchemy import text

from passes.store.instants import instant, micros
from passes.store.work import Read, Work


@dataclass(frozen=True, slots=True)
class Alarm:
    """An open alarm: `words` of the newest occurrence, `count` since it was last cleared."""

    name: str
    words: str
    since: datetime
    last_at: datetime
    count: int


_SOUND = text("""
    INSERT INTO alarm (name, words, since, last_at, count, cleared_at)
    VALUES (:name, :words, :now, :now, :times, NULL)
    ON CONFLICT (name) DO UPDATE SET
        words = excluded.words,
        since = CASE WHEN alarm.cleared_at IS NULL THEN alarm.since ELSE excluded.since END,
        last_at = excluded.last_at,
        count = CASE WHEN alarm.cleared_at IS NULL THEN alarm.count ELSE 0 END + excluded.count,
        cleared_at = NULL
""")
_CLEAR = text("UPDATE alarm SET cleared_at = :now WHERE name = :name AND cleared_at IS NULL")
_OPEN = text(
    "SELECT name, words, since, last_at, count FROM alarm WHERE cleared_at IS NULL ORDER BY since, name"
)


def sound(work: Work, name: str, words: str, *, now: datetime, times: int = 1) -> None:
    """Raise an alarm, or count `times` more occurrences of one that is open."""
    work.put(_SOUND, name=name, words=words, now=micros(now), times=times)


def clear(work: Work, name: str, *, now: datetime) -> None:
    """The trouble is over. Harmless when there was none."""
    work.put(_CLEAR, name=name, now=micros(now))


def open_alarms(read: Read) -> list[Alarm]:
    """What needs looking at, oldest first."""
    return [
        Alarm(row.name, row.words, instant(row.since), instant(row.last_at), row.count)
        for row in read.ask(_OPEN).all()
    ]
