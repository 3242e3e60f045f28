"""Google's rate, which all processes share."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable
from datetime import datetime

from passes.loyalty.refusals import Busy, StorageFull
from passes.store import Store, google

PACE = "google"
"""The name of the rate in `pacer`."""


class SharedPace:
    """A rate that all processes share, to be called before every request.

    Answers the seconds to wait. `slots` moments are reserved at once, and the
    next ones only when those have nearly passed, so that nobody else waits
    longer for a turn than they take. `clock` is the machine's own: a clock
    moved for a rehearsal must not stop everybody.
    """

    AHEAD_SECONDS = 0.05

    def __init__(
        self,
        store: Store,
        *,
        rate_per_second: float,
        clock: Callable[[], datetime],
        slots: int = 1,
        pause: Callable[[float], None] = time.sleep,
    ) -> None:
        self._store, self._rate, self._clock = store, rate_per_second, clock
        self._slots, self._pause = slots, pause
        self._reserving = threading.Lock()
        self._next, self._left = 0.0, 0

    def __call__(self) -> float:
        """Reserve a turn; how many seconds to wait for it."""
        with self._reserving:
            if not self._left:
                self._reserve()
            at, self._next, self._left = self._next, self._next + 1 / self._rate, self._left - 1
            return max(0.0, at - time.monotonic())

    def _reserve(self) -> None:
        if self._slots > 1:
            early = self._next - time.monotonic() - max(self.AHEAD_SECONDS, 1 / self._rate)
            if early > 0:
                self._pause(early)
        try:
            seconds = self._store.write(
                lambda work: google.reserve(
                    work, name=PACE, slots=self._slots, rate_per_second=self._rate, now=self._clock()
                )
            )
        except (Busy, StorageFull):
            # Without the others' leave a little slower than alone.
            seconds = 2 * self._slots / self._rate
        self._next, self._left = time.monotonic() + seconds, self._slots
