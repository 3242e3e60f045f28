"""What the worker looks after at Google beside announcing: classes, holders, and what is to be erased."""

from __future__ import annotations

import logging
from dataclasses import dataclass
from datetime import datetime

from passes.google import ids
from passes.google.problems import AccountRefused, GoogleFailed, TryLater
from passes.google.wallet import GoogleWallet
from passes.google_cards.announcing import Announcer
from passes.google_cards.classes import publish_due
from passes.google_cards.hearing import check_due
from passes.google_cards.issuer import Issuer
from passes.store import Store, google
from passes.store.google import Place

log = logging.getLogger(__name__)

ERASE_SLICE = 5_000


def erase_due(
    store: Store, wallet: GoogleWallet, issuer: Issuer, *, now: datetime, after: Place = google.START
) -> tuple[int, Place | None]:
    """Take away what Google still says about withdrawn cards and members who left, object by object.

    Nothing can be deleted there: the id stays, and says nothing. Returns how
    many were erased, and where to go on (None: all were looked at).
    """
    with store.read() as read:
        over, place = google.to_erase(read, after=after, limit=ERASE_SLICE)
        found = [known for one in over if (known := google.by_object_id(read, one)) is not None]
    done = 0
    for known in found:
        if not ids.belongs_to(issuer.issuer_id, known.object_id):
            # Another issuer's, from before; only that one could erase it.
            continue
        try:
            wallet.erase(known.object_id)
        except (TryLater, AccountRefused):
            return done, after
        except GoogleFailed as trouble:
            log.warning("a card could not be erased at Google: %s", trouble)
            continue
        store.write(lambda work, known=known: google.erased(work, known, now=now))  # type: ignore[misc]
        done += 1
    return done, place


@dataclass(frozen=True, slots=True)
class GoogleDone:
    """What one turn of the upkeep did."""

    published: int = 0
    checked: int = 0
    erased: int = 0


class Upkeep:
    """What the worker looks after at Google beside announcing: classes, holders, and what is to be erased."""

    def __init__(self, store: Store, announcer: Announcer) -> None:
        self._store, self._announcer = store, announcer
        self._place: Place = google.START

    def run_due(self, *, now: datetime) -> GoogleDone:
        """Do what is due now. Any number of workers may."""
        store, wallet = self._store, self._announcer.wallet
        issuer = self._announcer.issuer
        published = publish_due(store, wallet, issuer, now=now)
        checked = check_due(store, wallet, issuer, now=now)
        erased, place = erase_due(store, wallet, issuer, now=now, after=self._place)
        self._place = place or google.START
        store.write(lambda work: google.forget_nonces(work, now=now))
        return GoogleDone(published, checked, erased)
