"""The desk on which the virtual phones lie: iPhones and Androids, seen by the page in one way."""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Callable, Sequence
from dataclasses import asdict, dataclass, field
from datetime import datetime, timedelta, tzinfo
from hashlib import sha256
from threading import Lock
from typing import TYPE_CHECKING, Any, Protocol
from urllib.parse import urlsplit

import urllib3

from passes.emulators import card_face, card_text, google_face
from passes.emulators.browsing import Answer, Astray, ask, follow, may_reach
from passes.emulators.card_text import Run
from passes.emulators.google_card import Shown
from passes.emulators.google_objects import OBJECT
from passes.emulators.google_phone import AndroidPhone, Offline
from passes.emulators.google_schema import ApiError
from passes.emulators.google_signing import TokenRefused
from passes.emulators.phone import Card, Phone, Phones
from passes.emulators.wallet_file import InstalledPass, PassRefused

if TYPE_CHECKING:
    from passes.emulators.apns import ApnsEmulator
    from passes.emulators.google import GoogleEmulator
    from passes.emulators.google_pictures import GooglePictures

IPHONE, ANDROID = "iphone", "android"

_CHROME = (
    "Mozilla/5.0 (Linux; Android 15; Pixel 9) AppleWebKit/537.36 (KHTML, like Gecko) "
    "Chrome/141.0.0.0 Mobile Safari/537.36"
)
_SAVE_PATH = "/gp/v/save/"
_PICTURES_MAX = 300
_SAME_CHANGE = timedelta(seconds=10)
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


class IPhone:
    """An iPhone on the desk."""

    kind = IPHONE

    def __init__(self, phone: Phone, desk: Desk) -> None:
        self._phone, self._desk = phone, desk

    @property
    def id(self) -> str:
        return self._phone.id

    @property
    def name(self) -> str:
        return self._phone.name

    @property
    def language(self) -> str:
        return self._phone.language

    @property
    def airplane(self) -> bool:
        return self._phone.airplane

    @property
    def version(self) -> str:
        return f"{self._phone.version}"

    def cards(self) -> list[OnPhone]:
        return [self._seen(one) for one in self._phone.cards]

    def card(self, serial: str, kind: str | None) -> OnPhone:
        return self._seen(self._phone.card(serial, pass_type=kind))

    def front(self, source: Any, *, small: bool = False) -> str:
        return card_face.as_svg(
            source,
            language=self._phone.language,
            zone=self._phone.zone,
            unique="c" + f"{source.pass_type}/{source.serial}".encode().hex(),
            address=self._desk.pictures.address,
        )

    def screen(self, card: OnPhone) -> bytes:
        return card_face.as_png(card.source, language=self._phone.language, zone=self._phone.zone)

    def heard(self) -> list[Heard]:
        icons = {one.key: one.installed.image("icon", self._phone.language) for one in self._phone.cards}
        return [
            Heard(
                one.at,
                one.organisation,
                one.text,
                f"This iPhone stays silent: {one.why}.",
                one.serial,
                icons.get((one.pass_type, one.serial)),
            )
            for one in reversed(self._phone.notices)
        ]

    def asked(self) -> list[Asked]:
        found = [
            Asked(
                one.at,
                "phone → shop",
                one.method,
                one.path,
                one.status,
                one.answer,
                tuple(f"{name}: {value}" for name, value in one.headers.items()),
                one.milliseconds,
            )
            for one in self._phone.history
        ]
        found += [
            Asked(
                one.at,
                "shop → Apple",
                "PUSH",
                f"/3/device/{one.token[:6]}…",
                one.status,
                one.reason or "taken for this phone",
                tuple(f"{name}: {value}" for name, value in one.headers.items() if name.startswith("apns-")),
            )
            for one in self._desk.pushes_of(self._phone.push_token)
        ]
        return sorted(found, key=lambda one: one.at, reverse=True)

    def export(self) -> list[dict[str, Any]]:
        return [_moments(asdict(one)) for one in self._phone.history]

    def as_json(self) -> dict[str, Any]:
        phone = self._phone
        return {
            "id": phone.id,
            "kind": self.kind,
            "name": phone.name,
            "language": phone.language,
            "version": phone.version,
            "airplane": phone.airplane,
            "cards": [self._card_json(one) for one in phone.cards],
            "notices": [_moments(asdict(one)) for one in phone.notices],
            "requests": [
                {"at": one.at.isoformat(), "method": one.method, "status": one.status, "answer": one.answer}
                for one in phone.history
            ],
        }

    def look(self, link: str) -> Sheet:
        try:
            installed, last_modified = self._phone.browse(link)
        except PassRefused as refusal:
            raise Refused(refusal.sentence, refusal.reason_code) from None
        return Sheet(self.id, installed.organisation, (installed,), (installed, last_modified))

    def install(self, accepted: Any) -> OnPhone:
        installed, last_modified = accepted
        return self._seen(self._phone.install(installed, last_modified=last_modified))

    def remove(self, card: OnPhone) -> None:
        self._phone.remove(card.serial, pass_type=card.type)

    def notify(self, card: OnPhone, on: bool) -> None:
        self._phone.notifications(on, card.serial, pass_type=card.type)

    def update(self, card: OnPhone, on: bool) -> None:
        self._phone.automatic_updates(on, card.serial, pass_type=card.type)

    def set_airplane(self, on: bool) -> None:
        self._phone.set_airplane(on)

    def rename(self, name: str) -> None:
        self._phone.rename(name)

    def speak(self, language: str) -> None:
        self._phone.speak(language)

    def clear(self) -> None:
        self._phone.clear_notices()

    def _seen(self, card: Card) -> OnPhone:
        phone, installed = self._phone, card.installed
        back = tuple(
            Detail(
                card_text.label_of(one, installed, phone.language),
                tuple(card_text.runs_of(one, installed, phone.language, phone.zone)),
            )
            for one in installed.section("backFields")
        )
        known = "Registered with the shop" if card.registered else "Not registered with the shop"
        return OnPhone(
            serial=installed.serial,
            type=installed.pass_type,
            issuer=installed.organisation,
            sections=(Section("", back),) if back else (),
            notifications=card.notifications,
            automatic_updates=card.automatic_updates,
            may_update=card.polling,
            hint=self._hint(card),
            facts=(known, *installed.remarks),
            updated_at=card.updated_at,
            archived=installed.voided,
            source=installed,
        )

    def _hint(self, card: Card) -> str:
        if not card.polling:
            stopped = "The shop stopped this card; it is not updated any more."
            return stopped if card.installed.voided else "This card is not updated any more."
        if card.registered:
            return ""
        if self._phone.airplane:
            return "Offline: the shop does not know this phone yet."
        return "Not registered with the shop." if card.automatic_updates else "Automatic updates are off."

    def _card_json(self, card: Card) -> dict[str, Any]:
        installed = card.installed
        barcode = card_face.shown_barcode(installed)
        return {
            "serial": installed.serial,
            "pass_type": installed.pass_type,
            "organisation": installed.organisation,
            "fields": {
                one.key: card_text.text_of(one, installed, self._phone.language, self._phone.zone)
                for one in installed.fields
            },
            "barcode": barcode and {"format": barcode["format"], "message": barcode["message"]},
            "voided": installed.voided,
            "registered": card.registered,
            "polling": card.polling,
            "automatic_updates": card.automatic_updates,
            "notifications": card.notifications,
            "updated_at": card.updated_at.isoformat(),
            "remarks": list(installed.remarks),
        }


class Android:
    """An Android phone on the desk, whose wallet is Google's."""

    kind = ANDROID

    def __init__(self, phone: AndroidPhone, google: GoogleEmulator, desk: Desk) -> None:
        self._phone, self._google, self._desk = phone, google, desk

    @property
    def id(self) -> str:
        return self._phone.id

    @property
    def name(self) -> str:
        return self._phone.name

    @property
    def language(self) -> str:
        return self._phone.language

    @property
    def airplane(self) -> bool:
        return self._phone.airplane

    @property
    def version(self) -> str:
        return f"{self._google.version}"

    def cards(self) -> list[OnPhone]:
        return [self._seen(one) for one in self._phone.cards]

    def card(self, serial: str, kind: str | None) -> OnPhone:
        return self._seen(self._phone.card(serial))

    def front(self, source: Any, *, small: bool = False) -> str:
        return google_face.as_svg(
            source,
            self._desk.fetched.get,
            unique=f"{'h' if small else 'c'}{source.object_id.encode().hex()}",
            small=small,
            address=self._desk.pictures.address,
        )

    def screen(self, card: OnPhone) -> bytes:
        return google_face.as_png(card.source, self._desk.fetched.get)

    def heard(self) -> list[Heard]:
        cards = {one.object_id: one for one in self._phone.cards}
        found = []
        rang: dict[str, datetime] = {}
        for one in self._phone.notices:
            if not one.silent:
                rang[one.object_id] = one.at
            elif not one.words and one.object_id in rang and one.at - rang[one.object_id] < _SAME_CHANGE:
                continue  # A change comes in several requests: the card rang for it just now.
            card = cards.get(one.object_id)
            found.append(
                Heard(
                    one.at,
                    card.issuer if card else "Wallet",
                    None if one.silent else one.words,
                    f"This Android stays silent: {one.silent}.",
                    one.object_id,
                    self._desk.fetched.get(card.logo) if card else None,
                    one.title,
                )
            )
        return found[::-1]

    def asked(self) -> list[Asked]:
        found = [
            Asked(
                one.at,
                "phone → Google" if one.path.startswith(_SAVE_PATH) else "shop → Google",
                one.method,
                one.path,
                one.status,
                one.reason or ("done" if one.status else "no answer"),
                () if one.resource is None or one.resource in one.path else (one.resource,),
            )
            for one in self._google.history
            if one.resource is None or self._concerns(one.resource)
        ]
        found += [
            Asked(
                one.at,
                "Google → shop",
                "POST",
                urlsplit(one.url).path,
                one.status,
                f"{'saved' if one.event == 'save' else 'deleted'}: {one.outcome}",
                (one.object_id,),
            )
            for one in self._google.callbacks
        ]
        return sorted(found, key=lambda one: one.at, reverse=True)

    def export(self) -> list[dict[str, Any]]:
        found = [{"kind": "request", **one.as_json()} for one in self._google.history]
        found += [{"kind": "callback", **one.as_json()} for one in self._google.callbacks]
        return sorted(found, key=lambda one: str(one["at"]))

    def as_json(self) -> dict[str, Any]:
        muted = self._phone.muted
        return {
            "id": self._phone.id,
            "kind": self.kind,
            "name": self._phone.name,
            "language": self._phone.language,
            "version": self._google.version,
            "airplane": self._phone.airplane,
            "cards": [
                {
                    "serial": one.object_id,
                    "class": one.class_id,
                    "organisation": one.issuer,
                    "title": one.title,
                    "fields": {cell.label: cell.value for row in one.rows for cell in row},
                    "barcode": one.barcode and {"format": one.barcode.type, "message": one.barcode.value},
                    "messages": [asdict(message) for message in one.messages],
                    "state": one.state,
                    "notifications": one.object_id not in muted,
                    "remarks": list(one.remarks),
                }
                for one in self._phone.cards
            ],
            "notices": [one.as_json() for one in self._phone.notices],
        }

    def look(self, link: str) -> Sheet:
        if self._phone.airplane:
            raise Refused(str(Offline()), "offline")

        def fetch(address: str) -> Answer | None:
            if not may_reach(address, [self._desk.service_url]):
                raise Refused(
                    "This phone fetches only from this machine and from its shop.", "forbidden_address"
                )
            try:
                return ask(self._desk.http, "GET", address, {"User-Agent": _CHROME}, None)
            except (urllib3.exceptions.HTTPError, OSError, ValueError):
                return None

        try:
            address, answer = follow(link, fetch, wallet="Google", arrived=self._is_save_link)
            if answer is not None:
                raise Refused(
                    "The shop says no." if answer.status >= 400 else "That is nothing for Google Wallet.",
                    f"{answer.status} {answer.media_type}",
                )
            cards = self._google.look(address)
        except Astray as astray:
            raise Refused(str(astray), "not_reachable") from None
        except TokenRefused as refused:
            raise Refused(refused.words, refused.error) from None
        except ApiError as refused:
            raise Refused(refused.message, refused.reason) from None
        return Sheet(self.id, cards[0].issuer, tuple(cards), address)

    def install(self, accepted: Any) -> OnPhone:
        try:
            names = self._phone.save(accepted)
        except Offline as away:
            raise Refused(str(away), "offline") from None
        except TokenRefused as refused:
            raise Refused(refused.words, refused.error) from None
        except ApiError as refused:
            raise Refused(refused.message, refused.reason) from None
        return self.card(names[0], None)

    def remove(self, card: OnPhone) -> None:
        try:
            self._phone.remove(card.serial)
        except Offline as away:
            raise Refused(str(away), "offline") from None

    def notify(self, card: OnPhone, on: bool) -> None:
        self._phone.mute(card.serial, not on)

    def update(self, card: OnPhone, on: bool) -> None:
        raise Refused("Google Wallet has no such switch: it keeps every card up to date.")

    def set_airplane(self, on: bool) -> None:
        self._phone.set_airplane(on)

    def rename(self, name: str) -> None:
        self._phone.rename(name)

    def speak(self, language: str) -> None:
        self._phone.speak(language)

    def clear(self) -> None:
        self._phone.clear_notices()

    def _is_save_link(self, address: str) -> bool:
        return urlsplit(address).path.startswith(_SAVE_PATH)

    def _concerns(self, resource: str) -> bool:
        """A card of this phone, or a class: the rest of a campaign is not this phone's business."""
        if self._google.resources.knows(OBJECT, resource):
            return self._phone.id in self._google.resources.holders(resource)
        return True

    def _seen(self, card: Shown) -> OnPhone:
        messages = tuple(Detail(one.header, (Run(one.body),)) for one in reversed(card.messages))
        modules = tuple(Detail(one.label, (Run(one.value),)) for one in card.details)
        # Rows are often modules too: what stands below is not said twice.
        known = tuple(
            Detail(one.label, (Run(one.value),))
            for row in card.rows
            for one in row
            if one not in card.details
        )
        links = tuple(
            Detail("", (Run(one.text or one.address, one.address),))
            for one in card.links
            if urlsplit(one.address).scheme in ("http", "https", "mailto", "tel")
        )
        sections = (
            Section("Messages", messages),
            Section("", known),
            Section("", modules),
            Section("Links", links),
        )
        return OnPhone(
            serial=card.object_id,
            type="",
            issuer=card.issuer,
            sections=tuple(one for one in sections if one.details),
            notifications=card.object_id not in self._phone.muted,
            automatic_updates=None,
            may_update=True,
            hint="The shop ended this card." if card.expired else "",
            facts=(f"{card.state.capitalize()} at Google", *card.remarks),
            updated_at=None,
            archived=card.expired,
            source=card,
        )


class Pictures:
    """Pictures that pages show, by what they hold: an address stays good while the picture does."""

    def __init__(self) -> None:
        self._lock = Lock()
        self._kept: OrderedDict[str, bytes] = OrderedDict()

    def address(self, data: bytes) -> str:
        """Where the page finds this picture."""
        name = sha256(data).hexdigest()[:32]
        with self._lock:
            self._kept[name] = data
            self._kept.move_to_end(name)
            while len(self._kept) > _PICTURES_MAX:
                self._kept.popitem(last=False)
        return f"/pictures/{name}.png"

    def get(self, name: str) -> bytes:
        """Raises KeyError."""
        with self._lock:
            return self._kept[name]


class Desk:
    """Every phone, whatever its make. Without `google` there are iPhones only."""

    def __init__(
        self,
        phones: Phones,
        *,
        service_url: str,
        clock: Callable[[], datetime],
        zone: tzinfo,
        apns: ApnsEmulator | None = None,
        google: GoogleEmulator | None = None,
    ) -> None:
        self.phones, self.google, self.apns = phones, google, apns
        self.service_url, self.clock, self.zone = service_url, clock, zone
        self.pictures = Pictures()
        self.http = urllib3.PoolManager()

    @property
    def fetched(self) -> GooglePictures:
        """The pictures of Google's cards."""
        if self.google is None:
            raise LookupError("There is no Google here.")
        return self.google.pictures

    def all(self) -> list[Seat]:
        """iPhones first, each kind in the order in which they came."""
        seats: list[Seat] = [IPhone(one, self) for one in self.phones.all()]
        if self.google is not None:
            seats += [Android(one, self.google, self) for one in self.google.phones]
        return seats

    def get(self, phone_id: str) -> Seat:
        """Raises KeyError."""
        try:
            return IPhone(self.phones.get(phone_id), self)
        except KeyError:
            if self.google is None:
                raise
            return Android(self.google.phone(phone_id), self.google, self)

    def first(self, kind: str | None = None) -> Seat:
        """The first phone (of this kind); where there is none, a new one."""
        found = next((one for one in self.all() if kind in (None, one.kind)), None)
        return found or self.add("", kind or IPHONE)

    def add(self, name: str, kind: str) -> Seat:
        """A new phone. Raises LookupError for Androids without Google."""
        if kind != ANDROID:
            return IPhone(self.phones.add(name or "iPhone"), self)
        if self.google is None:
            raise LookupError("There is no Google here.")
        return Android(self.google.add_phone(name or "Android"), self.google, self)

    def examine(self, data: bytes) -> tuple[list[str], PassRefused | None]:
        """What an iPhone finds when it opens a file: the stages passed, and what stops it."""
        phone = next(iter(self.phones.all()), None) or self.phones.add("iPhone")
        return phone.examine(data)

    def erase(self, phone_id: str) -> None:
        """Take a phone off the desk without telling any shop. Raises KeyError."""
        if phone_id in {one.id for one in self.phones.all()}:
            token = self.phones.erase(phone_id)
            if self.apns is not None:
                millis = int(self.clock().timestamp() * 1000)
                self.apns.faults.answer(token, 410, "Unregistered", timestamp_ms=millis)
        elif self.google is not None:
            self.google.erase_phone(phone_id)
        else:
            raise KeyError(phone_id)

    def pushes_of(self, token: str) -> Sequence[Any]:
        """What Apple's push service took for this phone."""
        if self.apns is None:
            return ()
        return [one for one in self.apns.history if one.token == token]


def kind_of(link: str) -> str | None:
    """Which kind of phone a link is for, where its address tells."""
    try:
        path = urlsplit(link).path
    except ValueError:
        return None
    if path.startswith(_SAVE_PATH) or path.endswith("/google"):
        return ANDROID
    return IPHONE if path.endswith("/apple") else None


def is_link(text: str) -> bool:
    """True for an address that a browser would open."""
    return text.lower().startswith(_LINKS)


def _moments(value: dict[str, Any]) -> dict[str, Any]:
    return {name: one.isoformat() if isinstance(one, datetime) else one for name, one in value.items()}


__all__ = ["ANDROID", "IPHONE", "Desk", "InstalledPass", "OnPhone", "Refused", "Seat", "Sheet"]
