"""A phone with Google Wallet on it, without a screen: cards, notifications, and what its owner does."""

from __future__ import annotations

import threading
from collections.abc import Callable, Mapping, Sequence
from dataclasses import asdict, dataclass, replace
from datetime import datetime
from typing import Any, Protocol

from passes.emulators.google_card import Shown, show
from passes.emulators.google_objects import Announcement

_NOTICES_MAX = 50


class Offline(Exception):
    """The phone is in airplane mode, and what its owner wants needs Google."""

    def __str__(self) -> str:
        return "This phone is in airplane mode."


class Google(Protocol):
    """What a phone asks of its Google."""

    def save(self, link: str, phone_id: str) -> list[str]:
        """Add what a link carries; the ids of the objects."""

    def remove(self, object_id: str, phone_id: str) -> bool:
        """Delete a card; False if the phone does not hold it."""

    def pair(self, object_id: str) -> tuple[dict[str, Any], dict[str, Any]]:
        """An object's class and the object."""

    def held_by(self, phone_id: str) -> list[str]:
        """The objects on a phone."""


@dataclass(frozen=True, slots=True)
class Notice:
    """A notification on the lock screen, or (`silent`) why there was none."""

    at: datetime
    object_id: str
    cause: str
    title: str
    words: str
    silent: str | None

    def as_json(self) -> dict[str, Any]:
        return {**asdict(self), "at": self.at.isoformat()}


def notice_from(kept: Mapping[str, Any]) -> Notice:
    """What `as_json` gave."""
    return Notice(**{**kept, "at": datetime.fromisoformat(kept["at"])})


class AndroidPhone:
    """One phone, signed in to one Google account.

    Every method may be called from any thread. `on_change` hears of every
    change but those of cards, which Google knows. `muted`, `notices` and
    `away` are from an earlier life.
    """

    def __init__(
        self,
        google: Google,
        *,
        phone_id: str,
        name: str,
        account: str,
        clock: Callable[[], datetime],
        language: str = "en",
        test_only: bool = True,
        muted: frozenset[str] = frozenset(),
        notices: Sequence[Notice] = (),
        away: Mapping[str, Any] | None = None,
        on_change: Callable[[AndroidPhone], None] = lambda phone: None,
    ) -> None:
        self.id, self.name, self.account, self.language = phone_id, name, account, language
        self._google, self._clock, self._test_only = google, clock, test_only
        self._on_change = on_change
        self._lock = threading.Lock()
        self._muted = muted
        self._notices = list(notices)
        # While there is no network: the cards as they were last seen, and what waits at Google.
        self._seen: dict[str, tuple[dict[str, Any], dict[str, Any]]] | None = None
        self._waiting: list[Notice] = []
        if away is not None:
            self._seen = {name: (one[0], one[1]) for name, one in away["seen"].items()}
            self._waiting = [notice_from(one) for one in away["waiting"]]

    @property
    def notices(self) -> list[Notice]:
        """The newest notifications and silences, oldest first."""
        with self._lock:
            return list(self._notices)

    @property
    def notifications(self) -> list[Notice]:
        """Those that the owner saw."""
        return [one for one in self.notices if one.silent is None]

    @property
    def airplane(self) -> bool:
        """True while the phone has no network."""
        return self._seen is not None

    @property
    def cards(self) -> list[Shown]:
        """The cards as they are shown now, in the order in which they were saved."""
        seen = self._seen
        return [self.card(name) for name in (self._google.held_by(self.id) if seen is None else seen)]

    def card(self, object_id: str) -> Shown:
        """One card. Raises KeyError if it is not on this phone."""
        seen = self._seen
        if seen is not None:
            card_class, card_object = seen[object_id]
        elif object_id in self._google.held_by(self.id):
            card_class, card_object = self._google.pair(object_id)
        else:
            raise KeyError(object_id)
        return show(
            card_class,
            card_object,
            language=self.language,
            now=self._clock(),
            test_only=self._test_only,
        )

    def save(self, link: str) -> list[str]:
        """Tap "Add": a whole save link, or only its token. The ids of the objects.

        Raises Offline, or ApiError or TokenRefused with what Google's page would say.
        """
        if self.airplane:
            raise Offline
        return self._google.save(link, self.id)

    def remove(self, object_id: str) -> None:
        """Delete the card from this phone. Raises KeyError if it is not there, and Offline."""
        if self.airplane:
            raise Offline
        if not self._google.remove(object_id, self.id):
            raise KeyError(object_id)

    def set_airplane(self, on: bool) -> None:
        """Cut or restore the network. On return the notifications that waited arrive.

        Each message arrives; of several updates of a card only the newest, because
        they would say the same.
        """
        # Asked without the lock: Google speaks to phones while it holds its own.
        seen = {name: self._google.pair(name) for name in self._google.held_by(self.id)} if on else None
        with self._lock:
            if on == self.airplane:
                return
            if on:
                self._seen = seen
            else:
                self._seen, waiting, self._waiting = None, self._waiting, []
                # Those that make a sound last: one of them wins over a silent one.
                updates = [one for one in waiting if one.cause == "update"]
                newest = {one.object_id: one for one in sorted(updates, key=lambda one: one.silent is None)}
                arrived = [one for one in waiting if one.cause != "update" or newest[one.object_id] is one]
                self._notices = [*self._notices, *arrived][-_NOTICES_MAX:]
        self._on_change(self)

    def rename(self, name: str) -> None:
        """Give the phone another name."""
        self.name = name
        self._on_change(self)

    def speak(self, language: str) -> None:
        """Set the phone's language, in which cards are shown as far as they are translated."""
        self.language = language
        self._on_change(self)

    def mute(self, object_id: str, muted: bool = True) -> None:
        """Turn the notifications of one card off, or on again."""
        with self._lock:
            self._muted = self._muted | {object_id} if muted else self._muted - {object_id}
        self._on_change(self)

    @property
    def muted(self) -> frozenset[str]:
        """The cards whose notifications are off."""
        with self._lock:
            return self._muted

    def clear_notices(self) -> None:
        """Wipe the lock screen."""
        with self._lock:
            self._notices.clear()
        self._on_change(self)

    def hear(self, announcement: Announcement) -> None:
        """Google wants to be noticed, or says why not."""
        notice = Notice(**asdict(announcement))
        with self._lock:
            if notice.silent is None and announcement.object_id in self._muted:
                notice = replace(notice, silent="its owner has turned notifications off")
            if self.airplane:
                self._waiting.append(notice)
            else:
                self._notices = [*self._notices, notice][-_NOTICES_MAX:]
        self._on_change(self)

    def away(self) -> dict[str, Any] | None:
        """What to keep of a phone without network; None with one."""
        with self._lock:
            if self._seen is None:
                return None
            return {"seen": dict(self._seen), "waiting": [one.as_json() for one in self._waiting]}

    def as_json(self) -> dict[str, Any]:
        """The phone for scripts: what its owner sees."""
        return {
            "id": self.id,
            "name": self.name,
            "account": self.account,
            "language": self.language,
            "cards": [asdict(one) for one in self.cards],
            "notices": [one.as_json() for one in self.notices],
        }
