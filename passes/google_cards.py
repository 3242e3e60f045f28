"""Cards in Google Wallet: the link that saves one, what Google tells us, and what the worker does there.

A card is an object at Google, put there before anybody sees a link to it.
Google says by a callback that somebody saved it; from then on the card has an
install, and the worker brings every change to the object. What Google holds is
remembered as digests, so that a change sends what changed and nothing else.
"""

from __future__ import annotations

import hashlib
import logging
import threading
import time
from collections import deque
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from datetime import datetime, timedelta

import orjson

from passes import showing
from passes.google import ids, links
from passes.google.account import ServiceAccount
from passes.google.addresses import Addresses
from passes.google.callbacks import Callback, CallbackReader, CallbackRefused, Event, KeysUnavailable
from passes.google.client import GoogleApi
from passes.google.documents import Pictures, digests, known_by, loyalty_class, loyalty_object, offer_message
from passes.google.problems import (
    AccountRefused,
    ClassNotPublished,
    GoogleFailed,
    NotFound,
    Refused,
    TryLater,
)
from passes.google.schema import Document, DocumentInvalid
from passes.google.wallet import GoogleWallet, Wanted
from passes.language import say
from passes.loyalty.card import CardFace, OfferLine
from passes.loyalty.programme import Programme
from passes.loyalty.refusals import (
    Busy,
    CardVoided,
    GoogleNotSetUp,
    GoogleUnavailable,
    LinkUnknown,
    StorageFull,
)
from passes.store import Read, Store, Work, alarms, cards, google, programmes
from passes.store.cards import CardFacts
from passes.store.google import Object, Place, Sent
from passes.store.programmes import Loaded
from passes.wallet import Accepted, Install, Later, Outcome

log = logging.getLogger(__name__)

PACE = "google"
"""The name of Google's rate in `pacer`."""

ALARM_ACCOUNT = "google_account_refused"
ALARM_CLASS = "google_class_refused"
ALARM_CARD = "google_request_refused"

PUTS_MAX = 3
PUT_AGAIN_AFTER = timedelta(minutes=1)
AT_ONCE_MAX = 2
"""So many threads of a web process may wait for Google at a time; the others serve the tills."""
PATIENCE_SECONDS = 0.5
REST_SECONDS = 10
"""How long the web leaves a Google alone that did not answer."""

CHECK_AFTER = timedelta(minutes=1)
"""When Google is asked who holds a card of which two events may have come in the wrong order."""
CHECK_UNHEARD_AFTER = timedelta(minutes=15)
"""When it is asked about a card whose link was shown without anything being heard."""
CLASS_AGAIN_AFTER = {google.WAITING: timedelta(seconds=10), google.REFUSED: timedelta(minutes=10)}

CHUNK = 8
"""Cards that the worker makes ready together: in one read and one write."""
SETTLE = 10
CHECKS_AT_ONCE = 20
ERASE_SLICE = 5_000
_BALANCE = "#balance"  # beside the digests of members: that of the balance alone


# What Google shows ----------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class Issuer:
    """Whose cards they are, and under which address Google finds our pictures and our ear."""

    issuer_id: str
    address: str

    def class_id(self, slug: str) -> str:
        """The class of a programme."""
        return ids.resource_id(self.issuer_id, slug)

    def object_id(self, serial: str) -> str:
        """The object of a card."""
        return ids.resource_id(self.issuer_id, serial)

    @property
    def callback_address(self) -> str:
        """Where Google says that a card was saved or removed."""
        return f"{self.address}/google/callback"

    def logo_address(self, programme: Programme) -> str:
        """The logo of a programme's class. Another drawing has another address."""
        return f"{self.address}/google/{programme.slug}/{drawing(programme)}/logo.png"

    def hero_address(self, programme: Programme, step: int) -> str:
        """The wide picture of a card with so many marks lit."""
        return f"{self.address}/google/{programme.slug}/{drawing(programme)}/hero-{step}.png"

    def class_document(self, loaded: Loaded) -> Document:
        """The class of a programme. Raises DocumentInvalid."""
        return loyalty_class(
            loaded.programme,
            class_id=self.class_id(loaded.slug),
            pictures=Pictures(logo=self.logo_address(loaded.programme)),
            say=say,
            callback_url=self.callback_address,
        )

    def card_document(self, loaded: Loaded, serial: str, face: CardFace) -> Document:
        """The object of a card. Raises DocumentInvalid."""
        return loyalty_object(
            face,
            object_id=self.object_id(serial),
            class_id=self.class_id(loaded.slug),
            hero=self.hero_address(loaded.programme, face.strip.step),
        )


def drawing(programme: Programme) -> str:
    """What names the pictures of a programme: it changes when what is drawn does."""
    design = programme.design
    parts = (design.scene, *_colours(programme), design.strip, design.steps, initials(programme))
    return hashlib.sha256("\0".join(map(str, parts)).encode()).hexdigest()[:12]


def initials(programme: Programme) -> str:
    """The first letters of the organisation's first two words."""
    name = programme.organisation.in_(programme.language)
    return "".join(word[:1] for word in name.split()[:2]).upper()


def _colours(programme: Programme) -> tuple[str, str, str]:
    colours = programme.design.colours
    return colours.ground, colours.text, colours.label


def class_digest(document: Document) -> str:
    """What tells one version of a class from another."""
    return hashlib.sha256(orjson.dumps(document, option=orjson.OPT_SORT_KEYS)).hexdigest()


# The desk of the web ----------------------------------------------------------------


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


@dataclass(frozen=True, slots=True)
class _Drawn:
    """A card as of one moment: its facts, what Google should show, and what it holds."""

    loaded: Loaded
    facts: CardFacts
    face: CardFace
    document: Document
    known: Object | None


def _drawn(
    read: Read,
    issuer: Issuer,
    facts: CardFacts | None,
    loaded: Loaded,
    known: Object | None,
    *,
    now: datetime,
) -> _Drawn | None:
    if facts is None:
        return None
    face = showing.face_of(read, loaded, facts, now=now)
    return _Drawn(loaded, facts, face, issuer.card_document(loaded, facts.serial, face), known)


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


def _read_card(store: Store, desk: GoogleDesk, programme_id: int, card_id: int, *, now: datetime) -> _Drawn:
    try:
        with store.read() as read:
            # Facts first: a programme that changes in between is then sent again for its newer revision.
            facts = cards.facts(read, programme_id, card_id)
            loaded = programmes.by_id(read, programme_id)
            known = google.object_of(read, programme_id, card_id)
            drawn = _drawn(read, desk.issuer, facts, loaded, known, now=now)
    except DocumentInvalid as invalid:
        raise _our_mistake(store, str(invalid), now=now) from invalid
    if drawn is None:
        raise LinkUnknown()
    if drawn.facts.voided_at is not None:
        raise CardVoided()
    return drawn


def _is_unchanged(store: Store, drawn: _Drawn) -> bool:
    with store.read() as read:
        facts = cards.facts(read, drawn.facts.programme_id, drawn.facts.card_id)
    return facts is not None and facts.effective_revision == drawn.facts.effective_revision


def _put(store: Store, desk: GoogleDesk, drawn: _Drawn, *, now: datetime) -> bool:
    """Give the card to Google. False when somebody else did so at the same time."""
    facts, document = drawn.facts, drawn.document
    programme_id, card_id = facts.programme_id, facts.card_id
    digests_now = _digests(document)

    def begin(work: Work) -> str:
        if drawn.known is not None and drawn.known.object_id != document["id"]:
            # The shop had another issuer then, whose cards are not followed any more.
            google.let_go(work, drawn.known, now=now)
        google.add_object(work, programme_id, card_id, object_id=document["id"], now=now)
        return google.begin(work, programme_id, card_id, list(digests_now))

    try:
        with desk.breaker.pass_():
            its_class = desk.issuer.class_document(drawn.loaded)
            _require_class(store, desk.wallet, drawn.loaded, its_class, now=now)
            mark = store.write(begin)
            desk.wallet.prepare(its_class, document, is_published=True)
    except TryLater as trouble:
        log.warning("a card could not be given to Google: %s", trouble)
        raise GoogleUnavailable() from trouble
    except AccountRefused as refused:
        _sound(store, ALARM_ACCOUNT, f"Cards at Google are not updated. {refused}", now=now)
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
    _sound(store, ALARM_CARD, f"Google rejects what we say about a card: {reason}", now=now)
    return GoogleUnavailable()


def _sound(store: Store, name: str, words: str, *, now: datetime) -> None:
    store.write(lambda work: alarms.sound(work, name, words, now=now))


def _digests(document: Document) -> dict[str, str]:
    balance = orjson.dumps(document["loyaltyPoints"]["balance"], option=orjson.OPT_SORT_KEYS)
    own = hashlib.blake2b(balance, digest_size=9).hexdigest()
    return digests("LoyaltyObject", document) | {_BALANCE: own}


# Classes ----------------------------------------------------------------------------


def _require_class(
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
    _publish(store, wallet, loaded, document, now=now)


def _publish(
    store: Store, wallet: GoogleWallet, loaded: Loaded, document: Document, *, now: datetime
) -> None:
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
    return tried_at is None or now >= tried_at + CLASS_AGAIN_AFTER[state]


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
            _publish(store, wallet, loaded, document, now=now)
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
            _publish(store, wallet, loaded, issuer.class_document(loaded), now=now)
        except DocumentInvalid as invalid:
            problem = ClassNotPublished(str(invalid))
        except GoogleFailed as failed:
            problem = failed
        findings.append(ClassFinding(loaded.slug, issuer.class_id(loaded.slug), problem))
        if isinstance(problem, AccountRefused | TryLater):
            break
    return findings


# Callbacks --------------------------------------------------------------------------


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
    first = not google.was_held_before(work, found)
    if said.event is Event.SAVE:
        google.hold(work, found, now=now)
        google.check(work, found, at=None if first else now + CHECK_AFTER)
    else:
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
            google.check(work, known, at=None)
            if held and not known.erased:
                google.hold(work, known, now=now)
            elif not held:
                google.let_go(work, known, now=now)

        store.write(decide)
    return len(found)


# Erasing ----------------------------------------------------------------------------


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


# The shared rate --------------------------------------------------------------------


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


# The worker ---------------------------------------------------------------------------


@dataclass(slots=True)
class _Ready:
    """A card made ready to be sent: what is wanted (None: it is gone), and what to write down afterwards."""

    wanted: Wanted | None
    sent: Sent | None = None
    problem: DocumentInvalid | None = None


class Announcer:
    """Google's wallet for `delivery`: `GoogleWallet`, and what Google was told (`passes.wallet.Wallet`).

    Serves one announcing thread at a time; `wallet` may be used by others too.
    """

    def __init__(
        self,
        store: Store,
        issuer: Issuer,
        api: GoogleApi,
        *,
        clock: Callable[[], datetime],
        rate_per_second: float,
        threads: int,
    ) -> None:
        self.issuer, self.rate_per_second = issuer, rate_per_second
        self._store, self._clock = store, clock
        self._stopped = threading.Event()
        self._waiting: deque[Install] = deque()
        self._ready: dict[int, _Ready] = {}
        self._classes: dict[str, tuple[int, Document]] = {}
        self.wallet = GoogleWallet(
            api,
            wanted_of=self._wanted_of,
            class_of=lambda class_id: self._classes[class_id][1] if class_id in self._classes else None,
            clock=clock,
            threads=threads,
            stopped=self._stopped.is_set,
        )

    def announce(self, batch: Sequence[Install]) -> Iterator[tuple[Install, Outcome]]:
        """As `GoogleWallet.announce`; an outcome is given once it was written down what Google took."""
        self._waiting, self._ready = deque(batch), {}
        taken: list[Install] = []
        for install, outcome in self.wallet.announce(batch):
            ready = self._ready.get(install.key)
            if not isinstance(outcome, Accepted) or ready is None or ready.sent is None:
                yield install, outcome
                continue
            taken.append(install)
            if len(taken) >= SETTLE:
                yield from self._settled(taken)
                taken = []
        yield from self._settled(taken)

    def stop(self) -> None:
        """Begin nothing more: the round that is under way ends with what is on its way."""
        self._stopped.set()

    def close(self) -> None:
        """Let go of connections."""
        self.wallet.close()

    def _settled(self, taken: Sequence[Install]) -> Iterator[tuple[Install, Outcome]]:
        if not taken:
            return
        sent = [one for install in taken if (one := self._ready[install.key].sent) is not None]
        settled = self._store.write(lambda work: [google.settle(work, one) for one in sent])
        for install, is_mine in zip(taken, settled, strict=True):
            if is_mine:
                yield install, Accepted()
            else:
                yield install, Later(self._clock(), "the card was given to Google twice at once")

    # What to send -------------------------------------------------------------------

    def _wanted_of(self, install: Install) -> Wanted | None:
        if install.key not in self._ready:
            chunk = [self._waiting.popleft() for _ in range(min(CHUNK, len(self._waiting)))]
            self._make_ready(chunk)
        ready = self._ready[install.key]
        if ready.problem is not None:
            raise ready.problem
        return ready.wanted

    def _make_ready(self, chunk: Sequence[Install]) -> None:
        now = self._clock()
        drawn: list[tuple[Install, _Drawn]] = []
        # A programme that changes meanwhile makes all its cards be told once more.
        standing: dict[int, Loaded] = {}
        with self._store.read() as read:
            for install in chunk:
                try:
                    one = self._draw(read, install, standing, now=now)
                except DocumentInvalid as problem:
                    self._ready[install.key] = _Ready(None, problem=problem)
                    continue
                if one is None:
                    self._ready[install.key] = _Ready(None)
                else:
                    drawn.append((install, one))
        if drawn:
            made = self._store.write(lambda work: [_begin(work, one, now=now) for _, one in drawn])
            self._ready |= {install.key: ready for (install, _), ready in zip(drawn, made, strict=True)}

    def _draw(
        self, read: Read, install: Install, standing: dict[int, Loaded], *, now: datetime
    ) -> _Drawn | None:
        known = google.by_object_id(read, install.address)
        if known is None or known.erased or not ids.belongs_to(self.issuer.issuer_id, known.object_id):
            return None
        facts = cards.facts(read, known.programme_id, known.card_id)
        loaded = standing.get(known.programme_id)
        if loaded is None:
            loaded = standing[known.programme_id] = programmes.by_id(read, known.programme_id)
        drawn = _drawn(read, self.issuer, facts, loaded, known, now=now)
        if drawn is not None:
            class_id, version = drawn.document["classId"], drawn.loaded.version
            if self._classes.get(class_id, (None,))[0] != version:
                self._classes[class_id] = version, self.issuer.class_document(drawn.loaded)
        return drawn


def _begin(work: Work, drawn: _Drawn, *, now: datetime) -> _Ready:
    """Book the notifications, and forget what Google holds of the members that are about to be sent."""
    known, document = drawn.known, drawn.document
    assert known is not None
    programme_id, card_id = known.programme_id, known.card_id
    wanted = _digests(document)
    changing = [name for name, digest in wanted.items() if known.told.get(name) != digest]
    if not changing:
        return _Ready(Wanted(document, before=document))

    def book(about: str) -> bool:
        return google.book_alert(work, programme_id=programme_id, card_id=card_id, about=about, now=now)

    # Only a balance that Google is known to hold can be seen to change; one that
    # was on its way when something broke has its notification booked already.
    changes = _BALANCE in changing and _BALANCE in known.told and drawn.face.change is not None
    notify = known.ringing or (changes and book(google.BALANCE))
    ring = None
    if "messages" in changing and (offer := _news(drawn.face)) is not None and book(f"offer:{offer.key}"):
        ring = offer_message(offer, alert=True)
    mark = google.begin(work, programme_id, card_id, changing, ringing=notify)
    before = known_by(document, known.told)
    return _Ready(
        Wanted(document, before=before, notify=notify, ring=ring), Sent(programme_id, card_id, mark, wanted)
    )


def _news(face: CardFace) -> OfferLine | None:
    """The offer for which this member's phone may ring."""
    if face.offer_change is None:
        return None
    return next((offer for offer in face.offers if offer.rings), None)


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
