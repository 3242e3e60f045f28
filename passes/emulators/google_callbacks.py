"""Telling the issuer that a card was saved or deleted, again and again until it answers.

Google documents neither the number nor the spacing of its attempts: these are
short, so that a rehearsal does not take a day.
"""

from __future__ import annotations

import heapq
import itertools
import logging
import threading
import time
from collections.abc import Callable
from dataclasses import asdict, dataclass, replace
from datetime import datetime
from typing import Any

import urllib3

from passes.emulators.google_rules import LOOPBACK_NAMES, place_of

log = logging.getLogger(__name__)

DELAYS_SECONDS = (0.5, 2.0, 10.0, 30.0, 60.0)
_TIMEOUT_SECONDS = 5.0


@dataclass(frozen=True, slots=True)
class Callback:
    """One callback and what became of it.

    `outcome`: "waiting", "taken", "refused" (4xx: not sent again), "given up",
    "withheld", or "no address" for one that is not on this machine.
    """

    at: datetime
    object_id: str
    event: str
    nonce: str
    url: str
    attempts: int = 0
    status: int | None = None
    outcome: str = "waiting"

    def as_json(self) -> dict[str, Any]:
        return {**asdict(self), "at": self.at.isoformat()}


class CallbackPost:
    """Carries callbacks on a thread of its own. `on_outcome` hears of each one whenever it changes.

    `hosts` may be reached beside loopback.
    """

    def __init__(
        self,
        *,
        on_outcome: Callable[[int, Callback], None],
        hosts: frozenset[str] = frozenset(),
        delays_seconds: tuple[float, ...] = DELAYS_SECONDS,
    ) -> None:
        self._on_outcome = on_outcome
        self._hosts = LOOPBACK_NAMES | hosts
        self._delays = delays_seconds
        self._http = urllib3.PoolManager(num_pools=4, maxsize=4, retries=False)
        self._changed = threading.Condition()
        # Due time, an order among equals, the callback's number, itself, its body.
        self._due: list[tuple[float, int, int, Callback, bytes]] = []
        self._order = itertools.count()
        self._ended = False
        self._thread: threading.Thread | None = None

    def start(self) -> None:
        """Begin to carry."""
        self._ended = False
        self._thread = threading.Thread(target=self._walk, name="google-callbacks", daemon=True)
        self._thread.start()

    def stop(self) -> None:
        """End; what is still waiting is not sent."""
        with self._changed:
            self._ended = True
            self._changed.notify_all()
        if self._thread is not None:
            # Not for an answer that somebody may never give.
            self._thread.join(1)
            self._thread = None
        self._http.clear()

    def send(self, number: int, callback: Callback, body: bytes) -> None:
        """Take one; returns at once."""
        _, host = place_of(callback.url)
        if host not in self._hosts:
            self._on_outcome(number, replace(callback, outcome="no address"))
            return
        with self._changed:
            heapq.heappush(self._due, (time.monotonic(), next(self._order), number, callback, body))
            self._changed.notify_all()

    def _walk(self) -> None:
        while True:
            with self._changed:
                while not self._ended and (not self._due or self._due[0][0] > time.monotonic()):
                    wait = self._due[0][0] - time.monotonic() if self._due else None
                    self._changed.wait(wait)
                if self._ended:
                    return
                _, _, number, callback, body = heapq.heappop(self._due)
            try:
                self._attempt(number, callback, body)
            except Exception:
                log.exception("a callback could not be carried")
                self._on_outcome(number, replace(callback, outcome="given up"))

    def _attempt(self, number: int, callback: Callback, body: bytes) -> None:
        status = self._post(callback.url, body)
        attempts = callback.attempts + 1
        if status is not None and status < 300:
            outcome = "taken"
        elif status is not None and status < 500 and status != 429:
            outcome = "refused"
        else:
            outcome = "waiting" if attempts <= len(self._delays) else "given up"
        callback = replace(callback, attempts=attempts, status=status, outcome=outcome)
        self._on_outcome(number, callback)
        if outcome == "waiting":
            due = time.monotonic() + self._delays[attempts - 1]
            with self._changed:
                heapq.heappush(self._due, (due, next(self._order), number, callback, body))

    def _post(self, url: str, body: bytes) -> int | None:
        """The status of the answer; None without one. Redirects are not followed."""
        try:
            answer = self._http.request(
                "POST",
                url,
                body=body,
                headers={"Content-Type": "application/json; charset=utf-8", "User-Agent": "Googlebot"},
                timeout=_TIMEOUT_SECONDS,
                redirect=False,
            )
        except urllib3.exceptions.HTTPError:
            return None
        return int(answer.status)
