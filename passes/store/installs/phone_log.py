"""What phones complain about."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime

from passes.store.ids import new_id
from passes.store.installs.spoken import spoken
from passes.store.instants import micros
from passes.store.work import Read, Work

_KEEP_LOG = spoken("INSERT INTO wallet_log (id, at, text) VALUES (:id, :at, :text)")
_TRIM_LOG = spoken("""
    DELETE FROM wallet_log WHERE id <= (
        SELECT id FROM wallet_log ORDER BY id DESC LIMIT 1 OFFSET :kept
    )
""")
_LOG = spoken("SELECT at, text FROM wallet_log ORDER BY id DESC LIMIT :limit")


def keep_log(work: Work, texts: Sequence[str], *, now: datetime, kept_max: int) -> None:
    """Append what phones reported, already redacted; the oldest make room beyond `kept_max`."""
    at = micros(now)
    work.put_many(_KEEP_LOG.on(work), [{"id": new_id(now), "at": at, "text": words} for words in texts])
    work.put(_TRIM_LOG.on(work), kept=kept_max)


def newest_log(read: Read, *, limit: int) -> list[tuple[int, str]]:
    """What phones reported, newest first: instants as stored, and words to be escaped when shown."""
    return [(row.at, row.text) for row in read.ask(_LOG.on(read), limit=limit).all()]
