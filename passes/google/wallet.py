"""Google's wallet behind the seam, and what else the product asks of it.

A card changes by a patch of its object; Google brings it to the holder's
devices. There is no device token: an install's `address` is the object's id,
its `topic` the class's.
"""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from concurrent.futures import FIRST_COMPLETED, Future, wait
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any

from passes.google.client import GoogleApi, Resource
from passes.google.documents import class_patch, erasing_patch, object_patch
from passes.google.problems import (
    AccountRefused,
    AlreadyExists,
    ClassNotPublished,
    GoogleFailed,
    NotFound,
    TryLater,
)
from passes.google.schema import Document, DocumentInvalid, read, refuse_invalid
from passes.wallet import Accepted, Gone, Install, Later, Outcome, Parked, Rejected

THREADS = 8
"""An answer takes a good part of a second; so many at a time keep up with the rate."""
ROUND_SECONDS_MAX = 40
"""A round ends before the lease of what was claimed for it."""


@dataclass(frozen=True, slots=True)
class Wanted:
    """What an object should be.

    `before` is the document that Google was last told, if that is known: the
    patch is smaller then. `notify` asks for a notification if the balance
    changed; `ring` is a message of the document that is to notify by itself.
    The caller counts the three notifications that a card may have in 24 hours.
    """

    document: Document
    before: Document | None = None
    notify: bool = False
    ring: Document | None = None


class GoogleWallet:
    """Google Wallet (`passes.wallet.Wallet`).

    `wanted_of` answers what the object of an install should be, None when
    there is no such card any more; `class_of` gives the document of a class,
    None when it is not ours. Both are called by the thread that announces.
    Once `stopped` says so, nothing more is begun. One object serves one
    announcing thread at a time; everything else may be called by any thread.
    """

    def __init__(
        self,
        api: GoogleApi,
        *,
        wanted_of: Callable[[Install], Wanted | None],
        class_of: Callable[[str], Document | None],
        clock: Callable[[], datetime],
        threads: int = THREADS,
        round_seconds_max: float = ROUND_SECONDS_MAX,
        stopped: Callable[[], bool] = lambda: False,
    ) -> None:
        self._api = api
        self._stopped = stopped
        self._wanted_of, self._class_of, self._clock = wanted_of, class_of, clock
        self._threads = threads
        self._round_seconds_max = round_seconds_max
        self._published: dict[str, Document] = {}
        self._in_use = threading.Lock()

    # The seam -----------------------------------------------------------------

    def announce(self, batch: Sequence[Install]) -> Iterator[tuple[Install, Outcome]]:
        """Bring each install's object to its newest state; yields each exactly once, as answers arrive.

        What the account or its key is refused for parks everything without an
        answer. What is not begun when the round's time is over comes back as
        `Later`, due at once.
        """
        if not self._in_use.acquire(blocking=False):
            raise RuntimeError("one GoogleWallet serves one announcing thread at a time")
        try:
            yield from self._announce(batch)
        finally:
            self._in_use.release()

    def close(self) -> None:
        """Let go of connections."""
        self._api.close()

    def _announce(self, batch: Sequence[Install]) -> Iterator[tuple[Install, Outcome]]:
        ends_at = time.monotonic() + self._round_seconds_max
        running: dict[Future[Outcome], Install] = {}
        parked: Parked | None = None
        waiting = iter(batch)
        try:
            while True:
                # Documents are made as late as possible: what is sent is the newest state.
                while len(running) < self._threads and (install := next(waiting, None)) is not None:
                    if parked is not None:
                        yield install, parked
                    elif time.monotonic() >= ends_at or self._stopped():
                        yield install, Later(self._clock(), "the round's time was over")
                    else:
                        started = self._started(install)
                        if isinstance(started, Future):
                            running[started] = install
                        else:
                            yield install, started
                if not running:
                    return
                for future in wait(running, return_when=FIRST_COMPLETED).done:
                    outcome = future.result()
                    if isinstance(outcome, Parked):
                        parked = outcome
                    yield running.pop(future), outcome
        finally:
            # A caller that stopped listening must not leave requests to the next round.
            wait(running)

    def _started(self, install: Install) -> Future[Outcome] | Outcome:
        try:
            wanted = self._wanted_of(install)
            if wanted is None:
                return Gone(self._clock(), "there is no such card")
            refuse_invalid("LoyaltyObject", wanted.document)
            if wanted.document["id"] != install.address:
                raise DocumentInvalid(f"the document is that of {wanted.document['id']}")
            its_class = self._class_of(wanted.document["classId"])
        except DocumentInvalid as invalid:
            return Rejected(str(invalid))
        told: Future[Outcome] = Future()

        def tell() -> None:
            try:
                told.set_result(self._tell(wanted, its_class))
            except BaseException as mistake:
                told.set_exception(mistake)

        # Not a pool: the end of the process would wait for every answer on its way.
        threading.Thread(target=tell, name="google", daemon=True).start()
        return told

    def _tell(self, wanted: Wanted, its_class: Document | None) -> Outcome:
        try:
            self._change(wanted, its_class)
        except GoogleFailed as failed:
            return self._outcome(failed)
        except DocumentInvalid as invalid:
            return Rejected(str(invalid))
        return Accepted()

    def _change(self, wanted: Wanted, its_class: Document | None) -> None:
        document = wanted.document
        patch = object_patch(document, wanted.before, notify=wanted.notify)
        if patch is None:
            return
        try:
            if wanted.ring is not None:
                # Before the patch, whose list of messages then takes its place.
                self.tell(document["id"], wanted.ring)
            self._api.patch(Resource.OBJECT, document["id"], patch)
        except NotFound:
            self._put_card(document, its_class)

    def _outcome(self, failed: GoogleFailed) -> Outcome:
        if isinstance(failed, TryLater):
            return Later(self._clock() + timedelta(seconds=failed.wait_seconds), str(failed))
        if isinstance(failed, AccountRefused):
            return Parked(str(failed))
        return Rejected(str(failed))

    # Classes and new cards ----------------------------------------------------

    def publish(self, its_class: Document) -> None:
        """Bring a class to this state, creating it if need be; all its cards follow.

        Raises GoogleFailed (ClassNotPublished for a class whose cards nobody
        could save), DocumentInvalid.
        """
        class_id = its_class["id"]
        self._published.pop(class_id, None)
        held = self._put(Resource.CLASS, its_class)
        status = read("LoyaltyClass", held).get("reviewStatus")
        if status in ("DRAFT", "REJECTED"):
            review = held.get("review")
            comments = review.get("comments") or "" if isinstance(review, Mapping) else ""
            words = "is a draft: publish it first" if status == "DRAFT" else "was rejected by Google"
            raise ClassNotPublished(f"The class {class_id} {words}. {comments}".strip())
        self._published[class_id] = its_class

    def prepare(self, its_class: Document, card: Document, *, is_published: bool = False) -> None:
        """Make sure that Google holds this card, before anybody is shown a link to it.

        `is_published` when the caller knows that Google has the class as it
        is here. Raises GoogleFailed (ClassNotPublished for a class whose cards
        nobody could save), DocumentInvalid.
        """
        if is_published:
            self._published[its_class["id"]] = its_class
        if self._published.get(its_class["id"]) != its_class:
            self.publish(its_class)
        self._put_card(card, its_class)

    def _put_card(self, card: Document, its_class: Document | None) -> None:
        try:
            self._put(Resource.OBJECT, card)
        except NotFound:
            # The same answer says that the class is missing.
            if its_class is None:
                raise
            self.publish(its_class)
            self._put(Resource.OBJECT, card)

    def erase(self, object_id: str) -> None:
        """Take a person's data from the object; one that never was at Google is fine. Raises GoogleFailed."""
        try:
            self._api.patch(Resource.OBJECT, object_id, erasing_patch())
        except NotFound:
            return

    def tell(self, object_id: str, message: Mapping[str, Any]) -> bool:
        """Put a message on one card; whether it notifies. Raises GoogleFailed."""
        return self._api.add_message(Resource.OBJECT, object_id, message)

    def is_held(self, object_id: str) -> bool:
        """Whether at least one person has the card, for callbacks that were missed or came out of order."""
        return self._api.get(Resource.OBJECT, object_id).get("hasUsers") is True

    def _put(self, resource: Resource, document: Document) -> Document:
        """Insert; what is there already is compared and patched. Google's version of it."""
        try:
            return self._api.insert(resource, document)
        except AlreadyExists:
            held = self._api.get(resource, document["id"])
        make_patch = class_patch if resource is Resource.CLASS else object_patch
        patch = make_patch(document, held)
        return held if patch is None else self._api.patch(resource, document["id"], patch)
