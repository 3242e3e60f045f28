"""Instants as the tables keep them: whole microseconds since the epoch, UTC."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
_MICROSECOND = timedelta(microseconds=1)


def micros(at: datetime) -> int:
    """An aware instant as stored. A naive one is a programming mistake and raises TypeError."""
    return (at - _EPOCH) // _MICROSECOND


def instant(stored: int) -> datetime:
    """A stored instant as an aware datetime in UTC."""
    return _EPOCH + stored * _MICROSECOND


def instant_or_none(stored: int | None) -> datetime | None:
    """As `instant`, for columns that may be empty."""
    return None if stored is None else instant(stored)
