"""Changes on their way to Google: what to send, and what to write down of it."""

from __future__ import annotations

import threading
from collections import deque
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from datetime import datetime

from passes.google import ids
from passes.google.client import GoogleApi
from passes.google.documents import known_by, offer_message
from passes.google.schema import Document, DocumentInvalid
from passes.google.wallet import GoogleWallet, Wanted
from passes.google_cards.drawn import BALANCE, Drawn, digests_of, draw
from passes.google_cards.issuer import Issuer
from passes.loyalty.card import CardFace, OfferLine
from passes.store import Read, Store, Work, cards, google, programmes
from passes.store.google import Sent
from passes.store.programmes import Loaded
from passes.wallet import Accepted, Install, Later, Outcome

CHUNK = 8
"""Cards that are made ready together: in one read and one write."""
SETTLE = 10


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
        drawn: list[tuple[Install, Drawn]] = []
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
    ) -> Drawn | None:
        known = google.by_object_id(read, install.address)
        if known is None or known.erased or not ids.belongs_to(self.issuer.issuer_id, known.object_id):
            return None
        facts = cards.facts(read, known.programme_id, known.card_id)
        loaded = standing.get(known.programme_id)
        if loaded is None:
            loaded = standing[known.programme_id] = programmes.by_id(read, known.programme_id)
        drawn = draw(read, self.issuer, facts, loaded, known, now=now)
        if drawn is not None:
            class_id, version = drawn.document["classId"], drawn.loaded.version
            if self._classes.get(class_id, (None,))[0] != version:
                self._classes[class_id] = version, self.issuer.class_document(drawn.loaded)
        return drawn


def _begin(work: Work, drawn: Drawn, *, now: datetime) -> _Ready:
    """Book the notifications, and forget what Google holds of the members that are about to be sent."""
    known, document = drawn.known, drawn.document
    assert known is not None
    programme_id, card_id = known.programme_id, known.card_id
    wanted = digests_of(document)
    changing = [name for name, digest in wanted.items() if known.told.get(name) != digest]
    if not changing:
        return _Ready(Wanted(document, before=document))

    def book(about: str) -> bool:
        return google.book_alert(work, programme_id=programme_id, card_id=card_id, about=about, now=now)

    # Only a balance that Google is known to hold can be seen to change; one that
    # was on its way when something broke has its notification booked already.
    changes = BALANCE in changing and BALANCE in known.told and drawn.face.change is not None
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
