"""Ids made by the application: 63 bits, ordered by time."""

from __future__ import annotations

import random
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
    return block_of_ids(now, 1)[0]


def block_of_ids(now: datetime, count: int) -> range:
    """So many fresh ids in a row, which nobody else in this process gets.

    A block begins where `new_id` would and lies as close: 4096 ids to the
    microsecond, so a block of five thousand reaches a microsecond ahead of the
    clock. Whether an id of another process falls into it depends on how many
    there are in that microsecond, not on whether they come one by one: it
    happens to one in a thousand such blocks beside a process that makes a
    thousand ids a second. Then the key refuses the block, and the write that
    it was for runs again with another one.
    """
    global _last
    # They keep processes apart and nothing secret, so no question to the system for each.
    candidate = first_id(now) | random.getrandbits(_RANDOM_BITS)
    with _lock:
        first = candidate if candidate > _last else _last + 1
        _last = first + count - 1
    return range(first, first + count)


def first_id(at: datetime) -> int:
    """No id that was made at that instant or later is below this one."""
    since = at - _EPOCH
    micros = (since.days * 86_400 + since.seconds) * 1_000_000 + since.microseconds
    return micros << _RANDOM_BITS
