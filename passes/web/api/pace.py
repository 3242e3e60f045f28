"""How fast one key may ask: so fast as no register needs, so slow that a program gone wild harms nobody."""

from __future__ import annotations

import threading
from datetime import datetime

from flask import current_app
from flask.sansio.app import App

from passes.store.instants import micros

REQUESTS_A_SECOND = 100
BURST = 500
"""So many at once, after a pause."""

_EXTENSION = "passes_api_pace"
_STEP_MICROS = 1_000_000 // REQUESTS_A_SECOND


class Pace:
    """Counts the requests of each key, in memory: a purchase is not to wait for a row that counts it.

    Each web process counts for itself. A key that asked too fast may go on
    after a moment; what was refused is not counted against it.
    """

    def __init__(self) -> None:
        self._lock = threading.Lock()
        # When each key's requests so far would be done at the pace that is allowed for ever.
        self._done_at: dict[int, int] = {}

    def allows(self, key_id: int, now: datetime) -> bool:
        """Whether this key may ask once more now; counts it if so."""
        at = micros(now)
        with self._lock:
            done_at = max(self._done_at.get(key_id, 0), at)
            if done_at - at > (BURST - 1) * _STEP_MICROS:
                return False
            self._done_at[key_id] = done_at + _STEP_MICROS
        return True


def register(app: App) -> None:
    """Begin to count for this application."""
    app.extensions[_EXTENSION] = Pace()


def here() -> Pace:
    """What this application counted."""
    found: Pace = current_app.extensions[_EXTENSION]
    return found
