"""What the web needs of Google, and how few of its threads may wait there."""

from __future__ import annotations

import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field

from passes.google.account import ServiceAccount
from passes.google.addresses import Addresses
from passes.google.callbacks import CallbackReader
from passes.google.client import GoogleApi
from passes.google.problems import TryLater
from passes.google.wallet import GoogleWallet
from passes.google_cards.issuer import Issuer
from passes.loyalty.refusals import GoogleUnavailable

AT_ONCE_MAX = 2
"""So many threads of a web process may wait for Google at a time; the others serve the tills."""
PATIENCE_SECONDS = 0.5
REST_SECONDS = 10
"""How long the web leaves a Google alone that did not answer."""


class Breaker:
    """Lets few threads at a time wait for Google, and none while it is known not to answer."""

    def __init__(self) -> None:
        self._seats = threading.BoundedSemaphore(AT_ONCE_MAX)
        self._rests_until = 0.0

    @contextmanager
    def pass_(self) -> Iterator[None]:
        """One visit to Google. Raises GoogleUnavailable where nobody may wait; TryLater begins a rest."""
        if time.monotonic() < self._rests_until or not self._seats.acquire(timeout=PATIENCE_SECONDS):
            raise GoogleUnavailable()
        try:
            yield
        except TryLater:
            self._rests_until = time.monotonic() + REST_SECONDS
            raise
        finally:
            self._seats.release()


@dataclass(frozen=True, slots=True)
class GoogleDesk:
    """What the web needs to hand out cards of Google's.

    `origins` are the sites that show the button. `wallet` and `api` give up
    after one try: a customer waits. `emulated` must be said on pages.
    """

    issuer: Issuer
    account: ServiceAccount = field(repr=False)
    addresses: Addresses
    api: GoogleApi = field(repr=False)
    wallet: GoogleWallet = field(repr=False)
    reader: CallbackReader = field(repr=False)
    origins: tuple[str, ...]
    breaker: Breaker = field(default_factory=Breaker, repr=False)
    ear: Breaker = field(default_factory=Breaker, repr=False)

    @property
    def emulated(self) -> bool:
        """Whether cards go somewhere else than to Google."""
        return self.addresses.emulated

    def close(self) -> None:
        """Let go of connections."""
        self.wallet.close()
