"""The class of each programme at Google: brought there, refused, tried again."""

from __future__ import annotations

import hashlib
import logging
from dataclasses import dataclass
from datetime import datetime, timedelta

import orjson

from passes.google.problems import AccountRefused, ClassNotPublished, GoogleFailed, TryLater
from passes.google.schema import Document, DocumentInvalid
from passes.google.wallet import GoogleWallet
from passes.google_cards.issuer import Issuer
from passes.google_cards.troubles import ALARM_ACCOUNT, ALARM_CLASS
from passes.store import Store, Work, alarms, google, programmes
from passes.store.programmes import Loaded

log = logging.getLogger(__name__)

AGAIN_AFTER = {google.WAITING: timedelta(seconds=10), google.REFUSED: timedelta(minutes=10)}


def class_digest(document: Document) -> str:
    """What tells one version of a class from another."""
    return hashlib.sha256(orjson.dumps(document, option=orjson.OPT_SORT_KEYS)).hexdigest()


def require_class(
    store: Store, wallet: GoogleWallet, loaded: Loaded, document: Document, *, now: datetime
) -> None:
    """Publish the programme's class unless Google has it like this. Raises GoogleFailed."""
    with store.read() as read:
        state = google.class_of(read, loaded.id)
    digest = class_digest(document)
    if state is not None and state.digest == digest:
        if state.state == google.PUBLISHED:
            return
        if state.state == google.REFUSED and not _is_time(state.state, state.tried_at, now):
            raise ClassNotPublished(state.words)
    publish(store, wallet, loaded, document, now=now)


def publish(store: Store, wallet: GoogleWallet, loaded: Loaded, document: Document, *, now: datetime) -> None:
    """Bring the class to Google and write down what became of it.

    Raises ClassNotPublished where it was refused, AccountRefused, TryLater.
    """
    state, words = google.PUBLISHED, ""
    trouble: GoogleFailed | None = None
    try:
        wallet.publish(document)
    except TryLater as later:
        state, words, trouble = google.WAITING, str(later), later
    except AccountRefused as refused:
        state, words, trouble = google.REFUSED, str(refused), refused
    except (GoogleFailed, DocumentInvalid) as refused:
        state, words, trouble = google.REFUSED, str(refused), ClassNotPublished(str(refused))

    def decide(work: Work) -> None:
        google.keep_class(
            work,
            loaded.id,
            class_id=document["id"],
            digest=class_digest(document),
            state=state,
            words=words,
            now=now,
        )
        if isinstance(trouble, AccountRefused):
            alarms.sound(work, ALARM_ACCOUNT, f"Cards at Google are not updated. {trouble}", now=now)
        elif state == google.REFUSED:
            said = f"Google does not take the cards of {loaded.slug}: {words}"
            alarms.sound(work, ALARM_CLASS, said, now=now)
        elif state == google.PUBLISHED:
            alarms.clear(work, ALARM_ACCOUNT, now=now)
            if not google.is_any_refused(work):
                alarms.clear(work, ALARM_CLASS, now=now)

    store.write(decide)
    if trouble is not None:
        raise trouble


def _is_time(state: str, tried_at: datetime | None, now: datetime) -> bool:
    return tried_at is None or now >= tried_at + AGAIN_AFTER[state]


def publish_due(store: Store, wallet: GoogleWallet, issuer: Issuer, *, now: datetime) -> int:
    """Bring every programme's class to Google where it is not there as it should be. Returns how many were.

    One that was refused is tried again when it changes, and slowly otherwise.
    """
    with store.read() as read:
        standing = [(loaded, google.class_of(read, loaded.id)) for loaded in programmes.every(read)]
    published = 0
    for loaded, state in standing:
        try:
            document = issuer.class_document(loaded)
            if (
                state is not None
                and state.digest == class_digest(document)
                and (state.state == google.PUBLISHED or not _is_time(state.state, state.tried_at, now))
            ):
                continue
            publish(store, wallet, loaded, document, now=now)
            published += 1
        except AccountRefused:
            # The same would be said of every programme.
            return published
        except TryLater as trouble:
            # Common for a moment while everything starts; the doctor says where it lasts.
            log.info("the class of %s waits for Google: %s", loaded.slug, trouble)
        except (GoogleFailed, DocumentInvalid) as trouble:
            if state is None or state.words != str(trouble):
                log.warning("the class of %s is not at Google: %s", loaded.slug, trouble)
    return published


@dataclass(frozen=True, slots=True)
class ClassFinding:
    """What Google makes of a programme's class; `problem` None where cards can be saved."""

    slug: str
    class_id: str
    problem: GoogleFailed | None


def try_classes(store: Store, wallet: GoogleWallet, issuer: Issuer, *, now: datetime) -> list[ClassFinding]:
    """Bring every programme's class to Google now, however lately that was tried: to see whether it works."""
    with store.read() as read:
        standing = programmes.every(read)
    findings = []
    for loaded in standing:
        problem: GoogleFailed | None = None
        try:
            publish(store, wallet, loaded, issuer.class_document(loaded), now=now)
        except DocumentInvalid as invalid:
            problem = ClassNotPublished(str(invalid))
        except GoogleFailed as failed:
            problem = failed
        findings.append(ClassFinding(loaded.slug, issuer.class_id(loaded.slug), problem))
        if isinstance(problem, AccountRefused | TryLater):
            break
    return findings
