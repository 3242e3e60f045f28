"""The worker: announces changes to phones, seals the books, forgets what is over.

Everything it does is a function of what is due; any number of workers may run
on PostgreSQL, and one that is killed loses nothing.
"""

from __future__ import annotations

import logging
import threading
from collections.abc import Mapping
from dataclasses import dataclass

from passes import access, books, delivery
from passes.loyalty.refusals import Busy, StorageFull
from passes.wallet import Wallet
from passes.wiring import Installation

HOUSEKEEPING_SECONDS = 5.0

log = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True)
class Done:
    """What one pass over the due work did."""

    stamped: int
    announced: int
    sealed: int


def run(installation: Installation, wallets: Mapping[str, Wallet], *, stop: threading.Event) -> None:
    """Work until `stop` is set. Sealing has a thread of its own, so that no push waits for it."""
    housekeeping = threading.Thread(
        target=_keep_house, args=(installation, stop), name="housekeeping", daemon=True
    )
    housekeeping.start()
    delivery.run(installation.store, wallets, clock=installation.clock, stop=stop)
    housekeeping.join()


def step(installation: Installation, wallets: Mapping[str, Wallet]) -> Done:
    """Do what is due now, then return."""
    store, now = installation.store, installation.clock()
    delivery.sweep(store, now=now)
    stamped = announced = sealed = 0
    while handled := delivery.stamp_due(store, now=now):
        stamped += handled
    while (told := delivery.announce_due(store, wallets, now=now)).claimed and not told.stopped:
        announced += told.accepted
    while handled := books.seal_due(store, now=now):
        sealed += handled
    return Done(stamped, announced, sealed)


def _keep_house(installation: Installation, stop: threading.Event) -> None:
    while not stop.is_set():
        try:
            now = installation.clock()
            while books.seal_due(installation.store, now=now) and not stop.is_set():
                pass
            access.forget_due(installation.store, now=now)
        except (Busy, StorageFull) as trouble:
            log.warning("sealing waits: %s", trouble)
        stop.wait(HOUSEKEEPING_SECONDS)
