"""A phone as the page sees it, whatever its make: its cards, what it heard, what was asked."""

from __future__ import annotations

from dataclasses import dataclass, field
from datetime import datetime
from typing import Any, Protocol
from urllib.parse import urlsplit

from passes.emulators.card_text import Run

IPHONE, ANDROID = "iphone", "android"
SAVE_PATH = "/gp/v/save/"
_LINKS = ("http://", "https://")


class Refused(Exception):
    """A phone does not do it; `sentence` says why, `code` names it for developers."""

    def __init__(self, sentence: str, code: str = "") -> None:
        super().__init__(sentence)
        self.sentence, self.code = sentence, code


@dataclass(frozen=True, slots=True)
class Detail:
    """One entry of a card's back or details page."""

    label: str
    runs: tuple[Run, ...]


@dataclass(frozen=True, slots=True)
class Section:
    """Entries that stand together; `title` may be empty."""

    title: str
    details: tuple[Detail, ...]


@dataclass(frozen=True, slots=True)
class OnPhone:
    """A card as the page shows it.

    `type` is the pass type, empty at Google. `automatic_updates` is None where
    a phone has no such switch, `may_update` False where the switch is dead.
    `facts` are for developers, `hint` is for the owner; `archived` ones lie apart.
    """

    serial: str
    type: str
    issuer: str
    sections: tuple[Section, ...]
    notifications: bool
    automatic_updates: bool | None
    may_update: bool
    hint: str
    facts: tuple[str, ...]
    updated_at: datetime | None
    archived: bool
    source: Any = field(repr=False)


@dataclass(frozen=True, slots=True)
class Heard:
    """An update as the owner sees it: `text` on the lock screen, or None and the sentence why not."""

    at: datetime
    issuer: str
    text: str | None
    why: str
    serial: str
    icon: bytes | None
    title: str = ""


@dataclass(frozen=True, slots=True)
class Asked:
    """One request and its answer. `way` says who asked whom; `status` None: no answer came."""

    at: datetime
    way: str
    method: str
    path: str
    status: int | None
    answer: str
    more: tuple[str, ...] = ()
    milliseconds: int | None = None


@dataclass(frozen=True, slots=True)
class Sheet:
    """What a phone offers to add: the fronts, and what accepting it hands back to the phone."""

    phone_id: str
    issuer: str
    cards: tuple[Any, ...]
    accepted: Any = field(repr=False)


class Seat(Protocol):
    """A phone on the desk."""

    kind: str

    @property
    def id(self) -> str: ...
    @property
    def name(self) -> str: ...
    @property
    def language(self) -> str: ...
    @property
    def airplane(self) -> bool: ...
    @property
    def version(self) -> str:
        """Changes with everything that the page shows of this phone."""

    def cards(self) -> list[OnPhone]: ...
    def card(self, serial: str, kind: str | None) -> OnPhone:
        """Raises KeyError."""

    def front(self, source: Any, *, small: bool = False) -> str:
        """A card as SVG; `small` as it lies in a list, where that is another drawing."""

    def screen(self, card: OnPhone) -> bytes:
        """The phone's screen with this card open, as PNG."""

    def heard(self) -> list[Heard]:
        """The newest first."""

    def asked(self) -> list[Asked]:
        """The newest first."""

    def export(self) -> list[dict[str, Any]]:
        """Every request for a file, oldest first, without secrets."""

    def as_json(self) -> dict[str, Any]: ...
    def look(self, link: str) -> Sheet:
        """Where a link leads. Raises Refused, or Elsewhere for a page without a card."""

    def install(self, accepted: Any) -> OnPhone:
        """Raises Refused."""

    def remove(self, card: OnPhone) -> None:
        """Raises Refused."""

    def notify(self, card: OnPhone, on: bool) -> None: ...
    def update(self, card: OnPhone, on: bool) -> None: ...
    def set_airplane(self, on: bool) -> None: ...
    def rename(self, name: str) -> None: ...
    def speak(self, language: str) -> None: ...
    def clear(self) -> None: ...


def kind_of(link: str) -> str | None:
    """Which kind of phone a link is for, where its address tells."""
    try:
        path = urlsplit(link).path
    except ValueError:
        return None
    if path.startswith(SAVE_PATH) or path.endswith("/google"):
        return ANDROID
    return IPHONE if path.endswith("/apple") else None


def is_link(text: str) -> bool:
    """True for an address that a browser would open."""
    return text.lower().startswith(_LINKS)


def moments(value: dict[str, Any]) -> dict[str, Any]:
    """The same for a file: instants as text."""
    return {name: one.isoformat() if isinstance(one, datetime) else one for name, one in value.items()}
