"""A card gets onto a phone and stays known there.

Downloads, and the five requests of Apple's web service as use cases: register,
list, get, unregister, log. Who may ask is decided here by the card's token;
what the requests look like on the wire is `apple.devices`, and the routes are
in `web.devices`.
"""

from __future__ import annotations

import hashlib
import hmac
import threading
from collections import OrderedDict
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from datetime import datetime, timedelta

from passes import artwork, showing
from passes.apple import bundle, document
from passes.apple.bundle import Bundle, Template
from passes.apple.signing import Signer
from passes.loyalty.card import CardFace, Strip
from passes.loyalty.programme import Programme
from passes.loyalty.refusals import CardVoided, LinkUnknown, TooManyTries
from passes.server_keys import ServerKeys
from passes.store import Store, Work, alarms, cards, installs, programmes, staff
from passes.store.cards import CardFacts, Held
from passes.store.instants import micros
from passes.store.programmes import Loaded

DOWNLOAD_MINUTES = 10
PHONES_OF_A_CARD_MAX = 50
"""More phones than this with one card sound an alarm; none is refused."""

LOG_KEPT_MAX = 5_000
LOG_REQUESTS_MAX = 30
_LOG_WINDOW = timedelta(minutes=1)
_TEMPLATES_MAX = 64


class CardGone(Exception):
    """The token does not open this serial, or there is no such serial: the two are not told apart."""


@dataclass(frozen=True, slots=True)
class Office:
    """What issuing needs of the world: who signs, where phones ask, and the server's keys."""

    signer: Signer
    keys: ServerKeys
    web_service_url: str
    allow_http: bool = False
    templates: Templates = field(default_factory=lambda: Templates())


class Templates:
    """The laid-out pictures of designs; those used last are kept."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._kept: OrderedDict[object, Template] = OrderedDict()

    def of(self, programme: Programme, strip: Strip) -> Template:
        """The pictures of a programme's cards with this strip. Raises ArtProblem."""
        design, initials = programme.design, _initials(programme.organisation.in_(programme.language))
        key = (design.scene, design.colours, strip, initials, design.logo)
        with self._lock:
            found = self._kept.get(key)
            if found is not None:
                self._kept.move_to_end(key)
                return found
        # Drawn outside the lock: another design need not wait for this one.
        made = Template(
            artwork.pictures(
                design.scene,
                ground=design.colours.ground,
                text=design.colours.text,
                label=design.colours.label,
                strip=strip,
                initials=initials,
                logo=design.logo,
            )
        )
        with self._lock:
            self._kept[key] = made
            while len(self._kept) > _TEMPLATES_MAX:
                self._kept.popitem(last=False)
        return made


# What a card says -----------------------------------------------------------------


def draw_ahead(store: Store, office: Office) -> None:
    """Draw the pictures of every programme's cards, so that no customer waits for the first of them."""
    with store.read() as read:
        standing = [loaded.programme for loaded in programmes.every(read)]
    for programme in standing:
        for step in range(programme.design.steps + 1):
            office.templates.of(programme, Strip(programme.design.strip, step, programme.design.steps))


def pass_file(office: Office, loaded: Loaded, facts: CardFacts, shown: CardFace, *, now: datetime) -> Bundle:
    """The signed card. A voided one carries no address to ask again at, so the phone stops asking.

    Raises CertificateProblem while the certificate is not valid.
    """
    if facts.pass_type != office.signer.pass_type:
        raise document.DocumentInvalid(f"the certificate is not for the pass type {facts.pass_type}")
    service = None
    if not shown.voided:
        service = document.WebService(
            office.web_service_url,
            office.keys.token(facts.key_id, facts.pass_type, facts.serial),
            office.allow_http,
        )
    pass_json = document.store_card(
        shown,
        pass_type=office.signer.pass_type,
        team=office.signer.team,
        serial=facts.serial,
        web_service=service,
    )
    template = office.templates.of(loaded.programme, shown.strip)
    return bundle.build(template, pass_json, office.signer, now=now)


@dataclass(frozen=True, slots=True)
class Issued:
    """A signed card and when it changed last."""

    bundle: Bundle
    last_modified: datetime


# Downloading ------------------------------------------------------------------------


def download_token(keys: ServerKeys, *, programme_id: int, card_id: int, now: datetime) -> str:
    """An address part that hands out the card for the next ten minutes."""
    expires_at = now + timedelta(minutes=DOWNLOAD_MINUTES)
    return keys.download_token(programme_id, card_id, expires_at=expires_at)


def download(store: Store, office: Office, *, token: str, now: datetime) -> Issued:
    """The card behind a download address. Raises LinkUnknown or CardVoided."""
    programme_id, card_id = office.keys.read_download_token(token, now=now)
    with store.read() as read:
        found = cards.facts(read, programme_id, card_id)
        if found is None:
            raise LinkUnknown()
        loaded = programmes.by_id(read, programme_id)
        shown = showing.face_of(read, loaded, found, now=now)
    return _hand_out(store, office, loaded, found, shown, now=now)


def export(store: Store, office: Office, *, programme: str, card_id: int, now: datetime) -> Bundle:
    """The card as a file, for the operator. Raises ProgrammeUnknown, LinkUnknown or CardVoided."""
    with store.read() as read:
        loaded = programmes.by_slug(read, programme)
        found = cards.facts(read, loaded.id, card_id)
        if found is None:
            raise LinkUnknown()
        shown = showing.face_of(read, loaded, found, now=now)
    return _hand_out(store, office, loaded, found, shown, now=now).bundle


def _hand_out(
    store: Store,
    office: Office,
    loaded: Loaded,
    found: CardFacts,
    shown: CardFace,
    *,
    now: datetime,
) -> Issued:
    if found.voided_at is not None:
        raise CardVoided()
    issued = Issued(pass_file(office, loaded, found, shown, now=now), found.last_modified)
    store.write(
        lambda work: cards.mark_downloaded(
            work, found.programme_id, found.card_id, effective_revision=found.effective_revision
        )
    )
    return issued


# Apple's web service -----------------------------------------------------------------


def register(
    store: Store,
    keys: ServerKeys,
    *,
    library_id: str,
    pass_type: str,
    serial: str,
    token: str,
    read_push_token: Callable[[], str],
    now: datetime,
) -> bool:
    """A phone added the card. True when that is news, False when it was known.

    `read_push_token` is called once the token has proven right, so that nobody
    learns anything from a malformed body. Raises CardGone, and what it raises.
    """
    held = _authorised(store, keys, pass_type=pass_type, serial=serial, token=token)
    push_token = read_push_token()

    def decide(work: Work) -> bool:
        created = installs.register(work, held, library_id=library_id, push_token=push_token, now=now)
        if created and installs.phones_of(work, held, limit=PHONES_OF_A_CARD_MAX + 1) > PHONES_OF_A_CARD_MAX:
            words = f"More than {PHONES_OF_A_CARD_MAX} phones hold one card. Newest: card {held.card_id}."
            alarms.sound(work, "card_on_many_phones", words, now=now)
        return created

    return store.write(decide)


@dataclass(frozen=True, slots=True)
class Changes:
    """Cards to fetch, and the tag to ask with the next time."""

    serials: Sequence[str]
    tag: int


def changes(store: Store, *, library_id: str, pass_type: str, since: int | None) -> Changes | None:
    """The cards on a phone that changed after a tag; None when there are none.

    Knowing the device's id is the proof of being it. The new tag is the
    largest of the cards returned, never more: a change that is being stamped
    at this moment will have a larger one.
    """
    with store.read() as read:
        listed = installs.changed_since(read, library_id=library_id, pass_type=pass_type, since=since)
    if not listed:
        return None
    return Changes([one.serial for one in listed], max(one.tag for one in listed))


def newest(
    store: Store,
    office: Office,
    *,
    pass_type: str,
    serial: str,
    token: str,
    is_fresh: Callable[[datetime], bool],
    now: datetime,
) -> Issued | None:
    """The newest version of a card; None when `is_fresh`, given its date, says that the phone has it.

    Raises CardGone. A withdrawn card is answered too: as a last version,
    after which the phone stops asking.
    """
    held = _authorised(store, office.keys, pass_type=pass_type, serial=serial, token=token)
    if is_fresh(held.last_modified):
        return None
    with store.read() as read:
        # In this order: a programme changed in between is then shown with the
        # older date and fetched again; the other way round it would be missed.
        found = cards.facts(read, held.programme_id, held.card_id)
        loaded = programmes.by_id(read, held.programme_id)
        assert found is not None
        shown = showing.face_of(read, loaded, found, now=now)
    return Issued(pass_file(office, loaded, found, shown, now=now), found.last_modified)


def unregister(
    store: Store,
    keys: ServerKeys,
    *,
    library_id: str,
    pass_type: str,
    serial: str,
    token: str,
    now: datetime,
) -> None:
    """A phone removed the card, or its owner turned updates off. Harmless when repeated. Raises CardGone."""
    held = _authorised(store, keys, pass_type=pass_type, serial=serial, token=token)
    store.write(lambda work: installs.unregister(work, held, library_id=library_id, now=now))


def keep_log(store: Store, *, entries: Sequence[str], address: str, now: datetime) -> None:
    """Keep what a phone reported, redacted by the caller. Raises TooManyTries."""
    # Nobody signs in to report, so the address is all there is to count by; it is not kept.
    digest = hashlib.sha256(address.encode("utf-8", "replace")).hexdigest()[:16]
    seconds = int(_LOG_WINDOW.total_seconds())
    window_at = micros(now) // (seconds * 1_000_000) * seconds * 1_000_000

    def decide(work: Work) -> bool:
        if staff.count_try(work, name=f"wallet_log:{digest}", window_at=window_at) > LOG_REQUESTS_MAX:
            return False
        installs.keep_log(work, entries, now=now, kept_max=LOG_KEPT_MAX)
        return True

    if not store.write(decide):
        raise TooManyTries()


def _authorised(store: Store, keys: ServerKeys, *, pass_type: str, serial: str, token: str) -> Held:
    with store.read() as read:
        held = cards.by_serial(read, pass_type, serial)
    # An unknown serial costs the same work as a wrong token, so that the time
    # to the answer says nothing either.
    expected = keys.token(held.key_id if held else keys.current_id, pass_type, serial)
    right = hmac.compare_digest(expected.encode(), token.encode("utf-8", "surrogateescape"))
    if held is None or not right:
        raise CardGone()
    return held


def _initials(name: str) -> str:
    return "".join(word[0] for word in name.split()[:2]).upper()
