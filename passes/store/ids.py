"""Ids made by the application: 63 bits, ordered by time."""

from __future__ import annotations

import secrets
import threading
from datetime import UTC, datetime

_EPOCH = datetime(2024, 1, 1, tzinfo=UTC)
_RANDOM_BITS = 12

_lock = threading.Lock()
_last = 0


def new_id(now: datetime) -> int:
    """A fresh id: microseconds since 2024 (51 bits, to 2095), then 12 random bits.

    Ids of one process rise strictly. Two processes can meet by chance, about
    once in two days at thousands a second each; the key then refuses one of
    them and `Store.write` runs that function again.
    """
    global _last
    since = now - _EPOCH
    micros = (since.days * 86_400 + since.seconds) * 1_000_000 + since.microseconds
    candidate = (micros << _RANDOM_BITS) | secrets.randbits(_RANDOM_BITS)
    with _lock:
        _last = candidate if candidate > _last else _last + 1
        return _last
