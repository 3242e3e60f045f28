"""The worker: tells phones, members and programs of changes, does what time makes due, seals the books.

Everything it does is a function of what is due; any number of workers may run
on PostgreSQL, and one that is killed loses nothing.
"""

from __future__ import annotations

import logging
import threading
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass

from passes import (
    access,
    books,
    campaigns,
    correspondence,
    delivery,
    due_work,
    membership,
    registers,
    webhooks,
)
from passes.campaigns import CampaignsDone
from passes.correspondence import Sent
from passes.due_work import DueDone
from passes.google_cards import Announcer, GoogleDone, Upkeep
from passes.loyalty.refusals import Busy, StorageFull
from passes.wallet import Wallet
from passes.webhooks import Sender
from passes.wiring import Installation, register_books, webhook_door

HOUSEKEEPING_SECONDS = 5.0
DUE_SECONDS = 60.0
# Offers begin and end to the second at the tills; the cards follow this soon.
CAMPAIGN_SECONDS = 2.0
# What registers of other makers tell is booked as it comes; this is for what had to wait.
REGISTERS_SECONDS = 15.0
GOOGLE_SECONDS = 2.0
# What is on its way to Google at the end is waited for no longer; a lease brings it back.
GOOGLE_ENDS_SECONDS = 1.5
# Somebody who just joined may look for the letter at once.
MAIL_SECONDS = 1.0

log = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True)
class Done:
    """What one pass over the due work did."""

    stamped: int
    announced: int
    sealed: int
    due: DueDone
    campaigns: CampaignsDone
    letters: int
    google: GoogleDone
    messages: int
    orders: int


def run(installation: Installation, wallets: Mapping[str, Wallet], *, stop: threading.Event) -> None:
    """Work until `stop` is set.

    What is due, offers, letters, webhooks, registers, sealing and Google have a thread each: on the
    first of January the first may take minutes, and no push, no offer, no letter and no block waits.
    """
    google = _google(wallets)
    beside = [
        threading.Thread(target=target, args=(installation, stop), name=name, daemon=True)
        for target, name in (
            (_keep_house, "housekeeping"),
            (_keep_time, "due work"),
            (_keep_campaigns, "campaigns"),
            (_keep_mail, "mail"),
            (_keep_webhooks, "webhooks"),
            (_keep_registers, "registers"),
        )
    ]
    if google is not None:
        beside += [
            threading.Thread(target=target, args=(installation, google, stop), name=name, daemon=True)
            for target, name in ((_announce_to_google, "google"), (_keep_google, "google's upkeep"))
        ]
    for thread in beside:
        thread.start()
    delivery.run(installation.store, wallets, clock=installation.clock, stop=stop)
    if google is not None:
        google.stop()
    ends_at = time.monotonic() + GOOGLE_ENDS_SECONDS
    for thread in beside:
        thread.join(max(0.0, ends_at - time.monotonic()) if "google" in thread.name else None)


def _google(wallets: Mapping[str, Wallet]) -> Announcer | None:
    found = wallets.get(delivery.GOOGLE)
    return found if isinstance(found, Announcer) else None


def step(installation: Installation, wallets: Mapping[str, Wallet]) -> Done:
    """Do what is due now, then return."""
    store, now = installation.store, installation.clock()
    due = due_work.run_due(store, now=now)
    offers = campaigns.run_due(store, now=now)
    orders = registers.run_due(store, books=register_books(), now=now)
    delivery.sweep(store, now=now)
    stamped = announced = sealed = 0
    while handled := delivery.stamp_due(store, now=now):
        stamped += handled
    while (told := delivery.announce_due(store, wallets, now=now)).claimed and not told.stopped:
        announced += told.accepted
    google, cared = _google(wallets), GoogleDone()
    if google is not None:
        cared = Upkeep(store, google).run_due(now=now)
        while (
            told := delivery.announce_due(store, wallets, wallet=delivery.GOOGLE, now=now)
        ).claimed and not told.stopped:
            announced += told.accepted
    while handled := books.seal_due(store, now=now):
        sealed += handled
    letters = 0
    while (sent := _send(installation, stopped=lambda: False)).claimed and not sent.stopped:
        letters += sent.taken
    messages = _tell(installation)
    return Done(stamped, announced, sealed, due, offers, letters, cared, messages, orders)


def _keep_house(installation: Installation, stop: threading.Event) -> None:
    while not stop.is_set():
        try:
            now = installation.clock()
            while books.seal_due(installation.store, now=now) and not stop.is_set():
                pass
            access.forget_due(installation.store, now=now)
            membership.forget_phones_due(installation.store, now=now)
            registers.forget_due(installation.store, now=now)
        except (Busy, StorageFull) as trouble:
            log.warning("sealing waits: %s", trouble)
        stop.wait(HOUSEKEEPING_SECONDS)


def _keep_time(installation: Installation, stop: threading.Event) -> None:
    while not stop.is_set():
        try:
            done = due_work.run_due(installation.store, now=installation.clock(), stopped=stop.is_set)
            if done != DueDone():
                log.info("due work done: %s", done)
        except (Busy, StorageFull) as trouble:
            log.warning("due work waits: %s", trouble)
        stop.wait(DUE_SECONDS)


def _keep_campaigns(installation: Installation, stop: threading.Event) -> None:
    while not stop.is_set():
        try:
            done = campaigns.run_due(installation.store, now=installation.clock(), stopped=stop.is_set)
            if done != CampaignsDone():
                log.info("campaigns moved on: %s", done)
        except (Busy, StorageFull) as trouble:
            log.warning("campaigns wait: %s", trouble)
        stop.wait(CAMPAIGN_SECONDS)


def _keep_registers(installation: Installation, stop: threading.Event) -> None:
    while not stop.is_set():
        try:
            registers.run_due(installation.store, books=register_books(), now=installation.clock())
        except (Busy, StorageFull) as trouble:
            log.warning("orders of other registers wait: %s", trouble)
        stop.wait(REGISTERS_SECONDS)


def _announce_to_google(installation: Installation, google: Announcer, stop: threading.Event) -> None:
    while not stop.is_set():
        try:
            delivery.run_google(
                installation.store,
                {delivery.GOOGLE: google},
                rate_per_second=google.rate_per_second,
                clock=installation.clock,
                stop=stop,
            )
        except Exception:
            # Whatever it is, cards at Google are to be told again, and nobody else's fault.
            if not stop.is_set():
                log.exception("announcing to Google failed")
            stop.wait(delivery.TROUBLE_SECONDS)


def _keep_google(installation: Installation, google: Announcer, stop: threading.Event) -> None:
    upkeep = Upkeep(installation.store, google)
    while not stop.is_set():
        try:
            done = upkeep.run_due(now=installation.clock())
            if done != GoogleDone():
                log.info("looked after Google: %s", done)
        except (Busy, StorageFull) as trouble:
            log.warning("looking after Google waits: %s", trouble)
        except Exception:
            if not stop.is_set():
                log.exception("looking after Google failed")
            stop.wait(delivery.TROUBLE_SECONDS)
        stop.wait(GOOGLE_SECONDS)


def _keep_mail(installation: Installation, stop: threading.Event) -> None:
    while not stop.is_set():
        wait = MAIL_SECONDS
        try:
            sent = _send(installation, stopped=stop.is_set)
            if sent.claimed:
                log.info("letters: %s", sent)
                wait = 0
            if sent.stopped:
                wait = correspondence.TROUBLE_SECONDS
        except (Busy, StorageFull) as trouble:
            log.warning("letters wait: %s", trouble)
        stop.wait(wait)


def _send(installation: Installation, *, stopped: Callable[[], bool]) -> Sent:
    if installation.post is None:
        return Sent()
    return correspondence.send_due(
        installation.store,
        installation.post,
        keys=installation.keys,
        public_url=installation.public_url,
        now=installation.clock(),
        stopped=stopped,
    )


def _keep_webhooks(installation: Installation, stop: threading.Event) -> None:
    Sender(
        installation.store,
        webhook_door(installation),
        keys=installation.keys,
        clock=installation.clock,
        stop=stop,
    ).run()


def _tell(installation: Installation) -> int:
    """Send every message that is due now to webhooks; how many were taken."""
    store, clock, door = installation.store, installation.clock, webhook_door(installation)
    webhooks.find_due(store, now=clock())
    taken = 0
    while (sent := webhooks.send_due(store, door, keys=installation.keys, clock=clock)).turns:
        taken += sent.taken
    return taken
