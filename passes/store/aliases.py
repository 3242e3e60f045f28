"""Whether cards of a programme have codes of a former system.

Counted as they come in, for whoever asks does so every minute, and a million
codes are not looked through to learn that all of them are our own.
"""

from __future__ import annotations

from passes.store import allowances
from passes.store.work import Read, Work

_NAME = "former codes"
_NO_LIMIT = 2**62


def count(work: Work, programme_id: int) -> None:
    """One more of them."""
    allowances.take(work, programme_id, _NAME, 1, limit=_NO_LIMIT)


def are_there(read: Read, programme_id: int) -> bool:
    """Whether there ever were any."""
    return allowances.used(read, programme_id, _NAME) > 0
