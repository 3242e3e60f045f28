"""When a delivery is tried again, and how long a receiver that fails is left alone.

The waits are those of the Standard Webhooks specification's example schedule:
ten attempts within little more than three days.
"""

from __future__ import annotations

import hashlib
from datetime import timedelta

_SECOND, _MINUTE, _HOUR = timedelta(seconds=1), timedelta(minutes=1), timedelta(hours=1)

WAITS = (
    5 * _SECOND,
    5 * _MINUTE,
    30 * _MINUTE,
    2 * _HOUR,
    5 * _HOUR,
    10 * _HOUR,
    14 * _HOUR,
    20 * _HOUR,
    24 * _HOUR,
)
"""After the first attempt, the second …; after the last of them it is given up."""

RESTS = (6 * _SECOND, 15 * _SECOND, 1 * _MINUTE, 5 * _MINUTE, 10 * _MINUTE)
"""How long nothing is sent to a receiver after the first failure in a row, the second …

The first is longer than the first wait, so that what failed once is tried again before what comes behind it.
"""

DISABLED_AFTER = timedelta(days=3)
"""A receiver that took nothing for so long gets nothing more until its owner says so."""

ASKED_MAX = 24 * _HOUR
"""A receiver that asks for a longer wait (Retry-After) is not believed."""

_JITTER = 0.1


def wait(delivery_id: int, attempts: int) -> timedelta | None:
    """How long to wait after so many failed attempts; None when it is given up.

    Up to a tenth is added, so that what failed together does not come back
    together; how much follows from the delivery alone, never from chance.
    """
    if attempts > len(WAITS):
        return None
    spread = int.from_bytes(hashlib.sha256(f"{delivery_id} {attempts}".encode()).digest()[:4], "big") / 2**32
    return WAITS[attempts - 1] * (1 + _JITTER * spread)


def rest(failures: int) -> timedelta:
    """How long a receiver is left alone after so many failures in a row."""
    return RESTS[min(failures, len(RESTS)) - 1]
