"""What Google tells us of who holds a card, and what it is asked where that is unsure."""

from __future__ import annotations

import logging
from datetime import datetime, timedelta

from passes.google import ids
from passes.google.callbacks import Callback, CallbackRefused, Event, KeysUnavailable
from passes.google.problems import GoogleFailed, NotFound, TryLater
from passes.google.wallet import GoogleWallet
from passes.google_cards.desk import GoogleDesk
from passes.google_cards.issuer import Issuer
from passes.loyalty.refusals import GoogleUnavailable
from passes.store import Store, Work, google, installs, programmes
from passes.store.google import Object

log = logging.getLogger(__name__)

CHECK_AFTER = timedelta(minutes=1)
"""When Google is asked who holds a card of which two events may have come in the wrong order."""
CHECKS_AT_ONCE = 20


def take_callback(store: Store, desk: GoogleDesk, body: bytes, now: datetime) -> None:
    """Google says that somebody saved or removed a card; the same message twice has one effect.

    Raises CallbackRefused (answer 4xx without a reason), KeysUnavailable
    (answer 503), Busy or StorageFull (503 as well): Google says it again.
    """
    try:
        with desk.ear.pass_():
            said = desk.reader.read(body, now=now)
    except GoogleUnavailable:
        raise KeysUnavailable("too many messages wait for Google's keys") from None
    with store.read() as read:
        slugs = {desk.issuer.class_id(loaded.slug): loaded.id for loaded in programmes.every(read)}
        found = google.by_object_id(read, said.object_id)
    programme_id = slugs.get(said.class_id)
    if programme_id is None or (found is not None and found.programme_id != programme_id):
        raise CallbackRefused("the class is none of ours, or not that of the card")
    if found is None:
        log.warning("Google speaks of a card that we never gave it: %s", said.object_id)
        return
    if said.event is None:
        log.warning("Google says of a card what we do not know: %s", said.object_id)
        return
    heard = found
    store.write(lambda work: _hear(work, desk.issuer, heard, said, now=now))


def _hear(work: Work, issuer: Issuer, found: Object, said: Callback, *, now: datetime) -> None:
    if (
        not google.is_new(work, issuer_id=issuer.issuer_id, nonce=said.nonce, expires_at=said.expires_at)
        or found.erased
    ):
        return
    # Of the first thing ever heard nothing can have overtaken anything. Later
    # ones may come in the wrong order: then Google knows, and is asked.
    first = not google.was_heard_of(work, found)
    if said.event is Event.SAVE:
        google.hold(work, found, now=now)
        google.check(work, found, at=None if first else now + CHECK_AFTER)
    else:
        if found.told_revision is None:
            # Written down as well: a save that is heard later may have come before.
            key = found.programme_id, found.card_id
            installs.happened(work, *key, wallet=installs.GOOGLE, event=installs.REMOVED, now=now)
        google.let_go(work, found, now=now)
        google.check(work, found, at=now + CHECK_AFTER)


def check_due(store: Store, wallet: GoogleWallet, issuer: Issuer, *, now: datetime) -> int:
    """Ask Google about the cards of which it is unsure whether anybody holds them. Returns how many."""
    with store.read() as read:
        found = [
            known
            for object_id in google.checks_due(read, now=now, limit=CHECKS_AT_ONCE)
            if (known := google.by_object_id(read, object_id)) is not None
        ]
    for known in found:
        if not ids.belongs_to(issuer.issuer_id, known.object_id):
            store.write(lambda work, known=known: google.check(work, known, at=None))  # type: ignore[misc]
            continue
        try:
            held = wallet.is_held(known.object_id)
        except NotFound:
            held = False
        except TryLater as trouble:
            again_at = now + timedelta(seconds=trouble.wait_seconds)
            store.write(lambda work, known=known, at=again_at: google.check(work, known, at=at))  # type: ignore[misc]
            continue
        except GoogleFailed as trouble:
            log.warning("Google does not say who holds a card: %s", trouble)
            store.write(lambda work, known=known: google.check(work, known, at=now + timedelta(hours=1)))  # type: ignore[misc]
            continue

        def decide(work: Work, known: Object = known, held: bool = held) -> None:
            if not google.take_check(work, known, now=now):
                return
            if held and not known.erased:
                google.hold(work, known, now=now)
            elif not held:
                google.let_go(work, known, now=now)

        store.write(decide)
    return len(found)
