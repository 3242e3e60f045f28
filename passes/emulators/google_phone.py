"""A phone with Google Wallet on it, without a screen: cards, notifications, and what its owner does."""

from __future__ import annotations

import threading
from collections.abc import Callable, Sequence
from dataclasses import asdict, dataclass, replace
from datetime import datetime
from typing import Any, Protocol

from passes.emulators.google_card import Shown, show
from passes.emulators.google_objects import Announcement

_NOTICES_MAX = 50


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


class AndroidPhone:
    """One phone, signed in to one Google account.

    Every method may be called from any thread. `on_change` hears of every
    change but those of cards, which Google knows. `muted` and `notices` are
    from an earlier life.
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
        on_change: Callable[[AndroidPhone], None] = lambda phone: None,
    ) -> None:
        self.id, self.name, self.account, self.language = phone_id, name, account, language
        self._google, self._clock, self._test_only = google, clock, test_only
        self._on_change = on_change
        self._lock = threading.Lock()
        self._muted = muted
        self._notices = list(notices)

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
    def cards(self) -> list[Shown]:
        """The cards as they are shown now, in the order in which they were saved."""
        return [self.card(name) for name in self._google.held_by(self.id)]

    def card(self, object_id: str) -> Shown:
        """One card. Raises KeyError if it is not on this phone."""
        if object_id not in self._google.held_by(self.id):
            raise KeyError(object_id)
        card_class, card_object = self._google.pair(object_id)
        return show(
            card_class,
            card_object,
            language=self.language,
            now=self._clock(),
            test_only=self._test_only,
        )

    def save(self, link: str) -> list[str]:
        """Tap "Add": a whole save link, or only its token. The ids of the objects.

        Raises ApiError or TokenRefused with what Google's page would say.
        """
        return self._google.save(link, self.id)

    def remove(self, object_id: str) -> None:
        """Delete the card from this phone. Raises KeyError if it is not there."""
        if not self._google.remove(object_id, self.id):
            raise KeyError(object_id)

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
            self._notices = [*self._notices, notice][-_NOTICES_MAX:]
        self._on_change(self)

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
