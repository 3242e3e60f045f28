"""Tills: the devices they are paired with, what they sent, and what of it somebody has to look at."""

from __future__ import annotations

from sqlalchemy import bindparam, select

from passes.store.models import request
from passes.store.work import Read

_ANSWER = select(request.c.operation, request.c.answer).where(
    request.c.programme_id == bindparam("programme_id"), request.c.key == bindparam("key")
)


def answer_to(read: Read, programme_id: int, request_key: str) -> str | None:
    """What a write answered when it was booked, as it was kept; None where it never was."""
    row = read.ask(_ANSWER, programme_id=programme_id, key=request_key).one()
    return None if row is None else str(row.answer)
