"""The link that saves a card in Google Wallet."""

from __future__ import annotations

import logging
from datetime import datetime, timedelta

from passes.google import links
from passes.google.problems import AccountRefused, ClassNotPublished, Refused, TryLater
from passes.google.schema import DocumentInvalid
from passes.google_cards.classes import require_class
from passes.google_cards.desk import GoogleDesk
from passes.google_cards.drawn import Drawn, digests_of, draw
from passes.google_cards.troubles import ALARM_ACCOUNT, ALARM_CARD, sound
from passes.loyalty.refusals import CardVoided, GoogleNotSetUp, GoogleUnavailable, LinkUnknown
from passes.store import Store, Work, cards, google, programmes
from passes.store.google import Sent

log = logging.getLogger(__name__)

PUTS_MAX = 3
PUT_AGAIN_AFTER = timedelta(minutes=1)
CHECK_UNHEARD_AFTER = timedelta(minutes=15)
"""When Google is asked about a card whose link was shown without anything being heard."""


def save_link(store: Store, desk: GoogleDesk, *, programme_id: int, card_id: int, now: datetime) -> str:
    """The address that saves the card in Google Wallet; Google holds it from now on.

    Whoever has the address may save the card: it belongs on no other page than
    the member's own, and into no log. Raises LinkUnknown, CardVoided,
    GoogleUnavailable (try later) or GoogleNotSetUp (the operator knows why).
    """
    for _ in range(PUTS_MAX):
        drawn = _read_card(store, desk, programme_id, card_id, now=now)
        document, known = drawn.document, drawn.known
        if known is not None and known.object_id == document["id"] and not known.erased:
            if known.told_revision is not None:
                # Somebody holds it: the worker keeps it up to date.
                break
            is_new = now < known.inserted_at + PUT_AGAIN_AFTER
            if is_new and known.revision == drawn.facts.effective_revision:
                # Whoever taps again and again takes no turns from the others.
                break
        if _put(store, desk, drawn, now=now) and _is_unchanged(store, drawn):
            break
    return links.save_link(
        desk.account,
        object_id=document["id"],
        class_id=document["classId"],
        origins=desk.origins,
        now=now,
        addresses=desk.addresses,
    )


def _read_card(store: Store, desk: GoogleDesk, programme_id: int, card_id: int, *, now: datetime) -> Drawn:
    try:
        with store.read() as read:
            # Facts first: a programme that changes in between is then sent again for its newer revision.
            facts = cards.facts(read, programme_id, card_id)
            loaded = programmes.by_id(read, programme_id)
            known = google.object_of(read, programme_id, card_id)
            drawn = draw(read, desk.issuer, facts, loaded, known, now=now)
    except DocumentInvalid as invalid:
        raise _our_mistake(store, str(invalid), now=now) from invalid
    if drawn is None:
        raise LinkUnknown()
    if drawn.facts.voided_at is not None:
        raise CardVoided()
    return drawn


def _is_unchanged(store: Store, drawn: Drawn) -> bool:
    with store.read() as read:
        facts = cards.facts(read, drawn.facts.programme_id, drawn.facts.card_id)
    return facts is not None and facts.effective_revision == drawn.facts.effective_revision


def _put(store: Store, desk: GoogleDesk, drawn: Drawn, *, now: datetime) -> bool:
    """Give the card to Google. False when somebody else did so at the same time."""
    facts, document = drawn.facts, drawn.document
    programme_id, card_id = facts.programme_id, facts.card_id
    digests_now = digests_of(document)

    def begin(work: Work) -> str:
        if drawn.known is not None and drawn.known.object_id != document["id"]:
            # The shop had another issuer then, whose cards are not followed any more.
            google.let_go(work, drawn.known, now=now)
        google.add_object(work, programme_id, card_id, object_id=document["id"], now=now)
        return google.begin(work, programme_id, card_id, list(digests_now))

    try:
        with desk.breaker.pass_():
            its_class = desk.issuer.class_document(drawn.loaded)
            require_class(store, desk.wallet, drawn.loaded, its_class, now=now)
            mark = store.write(begin)
            desk.wallet.prepare(its_class, document, is_published=True)
    except TryLater as trouble:
        log.warning("a card could not be given to Google: %s", trouble)
        raise GoogleUnavailable() from trouble
    except AccountRefused as refused:
        sound(store, ALARM_ACCOUNT, f"Cards at Google are not updated. {refused}", now=now)
        raise GoogleNotSetUp() from refused
    except ClassNotPublished as refused:
        raise GoogleNotSetUp() from refused
    except (Refused, DocumentInvalid) as refused:
        raise _our_mistake(store, str(refused), now=now) from refused

    def settle(work: Work) -> bool:
        google.inserted(
            work,
            programme_id,
            card_id,
            revision=facts.effective_revision,
            check_at=now + CHECK_UNHEARD_AFTER,
            now=now,
        )
        return google.settle(work, Sent(programme_id, card_id, mark, digests_now))

    return store.write(settle)


def _our_mistake(store: Store, reason: str, *, now: datetime) -> GoogleUnavailable:
    log.error("a card is not as Google wants it: %s", reason)
    sound(store, ALARM_CARD, f"Google rejects what we say about a card: {reason}", now=now)
    return GoogleUnavailable()
