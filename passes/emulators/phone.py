"""A headless iPhone: adds passes, keeps them up to date, shows what iOS would show.

It speaks Apple's device web service ("Adding a Web Service to Update Passes")
from the phone's side: register R, list L, get G, unregister D, log X. It is
strict where a phone is strict, forgets nothing that happened (the request
history), and reaches only loopback and the services it was told about.
"""

from __future__ import annotations

import base64
import json
import logging
import os
import re
import secrets
import time
from collections import deque
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, replace
from datetime import UTC, datetime, tzinfo
from pathlib import Path
from threading import Lock, RLock
from typing import Any
from urllib.parse import quote, urlsplit

import urllib3

from passes.emulators.browsing import Answer, Astray, ask, follow, may_reach
from passes.emulators.card_text import text_of
from passes.emulators.wallet_file import PASS_MIME, Field, InstalledPass, PassRefused, open_pass

log = logging.getLogger(__name__)

# What Wallet's daemon and Safari call themselves.
_DAEMON = "passd/1.0 CFNetwork/3826.500.131 Darwin/24.5.0"
_SAFARI = (
    "Mozilla/5.0 (iPhone; CPU iPhone OS 18_5 like Mac OS X) AppleWebKit/605.1.15 "
    "(KHTML, like Gecko) Version/18.5 Mobile/15E148 Safari/604.1"
)
_HISTORY_MAX = 500
_NOTICES_MAX = 100
_GENERIC_TEXT = "Store card changed"


@dataclass(frozen=True, slots=True)
class Exchange:
    """One request of the phone and what came of it.

    `status` is None where no answer came. The pass's token never appears;
    `headers` are those that were sent, `answer` says in words what came back.
    """

    at: datetime
    method: str
    path: str
    headers: Mapping[str, str]
    status: int | None
    answer: str
    milliseconds: int


@dataclass(frozen=True, slots=True)
class Notice:
    """An update as the owner sees it: a lock-screen `text`, or silence (None) and `why`."""

    at: datetime
    pass_type: str
    serial: str
    organisation: str
    text: str | None
    why: str


@dataclass(frozen=True, slots=True)
class Card:
    """A pass on the phone and the phone's own settings for it.

    `polling` turns False for good when the shop stopped the card (a pass
    without web service) or answered 401.
    """

    installed: InstalledPass
    added_at: datetime
    updated_at: datetime
    last_modified: str | None = None
    registered: bool = False
    polling: bool = True
    automatic_updates: bool = True
    notifications: bool = True

    @property
    def key(self) -> tuple[str, str]:
        """What makes a pass the same pass: its type and serial number."""
        return self.installed.pass_type, self.installed.serial

    @property
    def service(self) -> str | None:
        """The web service's base address, to which `/v1/…` is appended."""
        address = self.installed.web_service_url
        # Apple's own sample ends in a slash; a doubled one would be another path.
        return address.rstrip("/") if address else None


class Phone:
    """One iPhone. All methods may be called from any thread.

    Network work is done one piece at a time, as a phone's daemon does; reading
    (`cards`, `notices`, `history`, `state`) never waits for it.

    `clock` gives the aware present instant; `services` are the base addresses
    that may be reached besides loopback; `changed` is called after every
    operation that altered anything, for example to save.
    """

    def __init__(
        self,
        name: str,
        *,
        trust_roots: Sequence[bytes],
        clock: Callable[[], datetime],
        http: urllib3.PoolManager | None = None,
        allow_http: bool = True,
        push_token: str | None = None,
        device_id: str | None = None,
        phone_id: str = "iphone",
        services: Sequence[str] = (),
        language: str = "en",
        zone: tzinfo = UTC,
        changed: Callable[[Phone], None] = lambda phone: None,
    ) -> None:
        self.id = phone_id
        self.name = name
        self.language = language
        self.zone = zone
        self.push_token = push_token or secrets.token_hex(32)
        self.device_id = device_id or secrets.token_hex(16)
        self._trust_roots = tuple(trust_roots)
        self._clock = clock
        self._http = http or urllib3.PoolManager()
        self._allow_http = allow_http
        self._services = tuple(services)
        self._on_change = changed
        self._busy = RLock()
        self._lock = Lock()
        self._cards: dict[tuple[str, str], Card] = {}
        self._tags: dict[tuple[str, str], str] = {}
        self._waiting_topics: list[str] = []
        self._notices: deque[Notice] = deque(maxlen=_NOTICES_MAX)
        self._history: deque[Exchange] = deque(maxlen=_HISTORY_MAX)
        self._airplane = False
        self._erased = False
        self._version = 0

    # --- what can be seen from outside --------------------------------------

    @property
    def version(self) -> int:
        """Rises with everything that happens on this phone; for pages that poll."""
        return self._version

    @property
    def airplane(self) -> bool:
        """True while the phone has no network."""
        return self._airplane

    @property
    def cards(self) -> list[Card]:
        """The cards in the wallet, the first added first."""
        with self._lock:
            return list(self._cards.values())

    @property
    def notices(self) -> list[Notice]:
        """What the owner saw, or did not see and why, oldest first."""
        with self._lock:
            return list(self._notices)

    @property
    def history(self) -> list[Exchange]:
        """Every request with its answer, oldest first."""
        with self._lock:
            return list(self._history)

    def card(self, serial: str, *, pass_type: str | None = None) -> Card:
        """One card. Raises KeyError where there is none of this serial (and type)."""
        for card in self.cards:
            if card.installed.serial == serial and pass_type in (None, card.installed.pass_type):
                return card
        raise KeyError(serial)

    # --- what the owner does ------------------------------------------------

    def add(self, source: str | bytes) -> Card:
        """Put a pass into the wallet, from its download address or from its bytes.

        Raises `PassRefused` for anything a phone would not add.
        """
        installed, last_modified = self.look(source)
        return self.install(installed, last_modified=last_modified)

    def look(self, source: str | bytes) -> tuple[InstalledPass, str | None]:
        """What the add sheet shows: the checked pass and its Last-Modified. Installs nothing."""
        if isinstance(source, bytes):
            return self._open(source), None
        if self._airplane:
            raise PassRefused("offline", "This iPhone is in airplane mode.")
        if not may_reach(source, self._services):
            raise PassRefused(
                "forbidden_address", "This iPhone fetches only from this machine and from its shop."
            )
        with self._working():
            answer = self._request("GET", source, {"User-Agent": _SAFARI}, download=True)
        if answer is None:
            raise PassRefused("not_reachable", "The address does not answer.")
        self._check_download(answer)
        return self._open(answer.body), answer.headers.get("last-modified")

    def browse(self, address: str) -> tuple[InstalledPass, str | None]:
        """As `look`, for any link that leads to a card: redirects are followed as Safari does.

        A page's button for Apple Wallet is pressed. Raises `PassRefused`, or
        Elsewhere for a page without one.
        """
        if self._airplane:
            raise PassRefused("offline", "This iPhone is in airplane mode.")
        if not may_reach(address, self._services):
            raise PassRefused(
                "forbidden_address", "This iPhone fetches only from this machine and from its shop."
            )

        def fetch(at: str) -> Answer | None:
            return self._request("GET", at, {"User-Agent": _SAFARI}, download=True)

        with self._working():
            try:
                _, answer = follow(address, fetch, wallet="Apple")
            except Astray as astray:
                raise PassRefused("not_reachable", str(astray)) from None
        if answer is None:
            raise PassRefused("not_reachable", "The address does not answer.")
        self._check_download(answer)
        return self._open(answer.body), answer.headers.get("last-modified")

    def examine(self, data: bytes) -> tuple[list[str], PassRefused | None]:
        """The stages that a pass gets through here, and what stops it, if anything does. Adds nothing."""
        behind: list[str] = []
        try:
            self._open(data, passed=behind.append)
        except PassRefused as refusal:
            return behind, refusal
        return behind, None

    def install(self, installed: InstalledPass, *, last_modified: str | None = None) -> Card:
        """Accept the add sheet: the card goes into the wallet and is registered (R, then L).

        A pass that is already there is replaced; its settings stay.
        """
        now = self._clock()
        with self._working():
            before = self._cards.get((installed.pass_type, installed.serial))
            card = Card(installed, added_at=now, updated_at=now, last_modified=last_modified)
            if before is not None:
                card = replace(
                    card,
                    added_at=before.added_at,
                    automatic_updates=before.automatic_updates,
                    notifications=before.notifications,
                    registered=before.registered and before.service == card.service,
                )
            card = replace(card, polling=card.service is not None)
            self._put(card)
            if not self._airplane and card.automatic_updates:
                self._register(card)
        return self.card(installed.serial, pass_type=installed.pass_type)

    def remove(self, serial: str, *, pass_type: str | None = None) -> None:
        """Take a card out of the wallet. Offline the shop never hears of it, as in life."""
        with self._working():
            card = self.card(serial, pass_type=pass_type)
            self._unregister(card)
            with self._lock:
                del self._cards[card.key]

    def erase(self) -> None:
        """Lose everything without telling anyone; pushes no longer reach this phone."""
        with self._working(), self._lock:
            self._erased = True
            self._cards.clear()
            self._tags.clear()
            self._waiting_topics.clear()

    def automatic_updates(self, on: bool, serial: str | None = None, *, pass_type: str | None = None) -> None:
        """The switch on the back of a card (all cards without `serial`): off is D, on is R and L."""
        with self._working():
            for card in self._chosen(serial, pass_type):
                if card.automatic_updates == on:
                    continue
                self._put(replace(card, automatic_updates=on))
                if on and not self._airplane:
                    self._register(self._cards[card.key])
                elif not on:
                    self._unregister(card)

    def notifications(self, on: bool, serial: str | None = None, *, pass_type: str | None = None) -> None:
        """May this card (all cards without `serial`) speak on the lock screen?"""
        with self._working():
            for card in self._chosen(serial, pass_type):
                self._put(replace(card, notifications=on))

    def set_airplane(self, on: bool) -> None:
        """Cut or restore the network. On return, what APNs kept arrives, once a topic."""
        with self._working():
            self._airplane = on
            if on:
                return
            for card in self.cards:
                if card.automatic_updates and card.polling and not card.registered:
                    self._register(card)
            with self._lock:
                topics, self._waiting_topics = self._waiting_topics, []
            for topic in topics:
                self.sync(topic)

    def clear_notices(self) -> None:
        """Wipe the lock screen."""
        with self._working(), self._lock:
            self._notices.clear()

    def rename(self, name: str) -> None:
        """Give the phone another name."""
        with self._working():
            self.name = name

    def speak(self, language: str) -> None:
        """Set the phone's language: cards are shown in it as far as they are translated."""
        with self._working():
            self.language = language

    # --- what happens to the phone ------------------------------------------

    def receive_push(self, topic: str, *, stored: bool = True) -> list[Notice]:
        """A push arrives: ask what changed, and return what the owner saw of it.

        Offline it waits at APNs, which keeps one notification a topic, unless
        its sender forbade storing (`apns-expiration: 0`, `stored=False`).
        """
        # Waits for what the phone is doing: the airplane switch may be in mid-air.
        with self._busy:
            if self._airplane and not self._erased:
                if stored and topic not in self._waiting_topics:
                    with self._lock:
                        self._waiting_topics.append(topic)
                        self._version += 1
                    self._on_change(self)
                return []
            return self.sync(topic)

    def sync(self, topic: str) -> list[Notice]:
        """Ask each service of this pass type what changed (L) and fetch it (G)."""
        with self._working():
            if self._airplane or self._erased:
                return []
            services = {
                card.service: None
                for card in self.cards
                if card.installed.pass_type == topic and card.polling and card.automatic_updates
            }
            notices: list[Notice] = []
            for service in services:
                if service is not None:
                    notices += self._sync_service(service, topic, self._tags.get((service, topic)))
            return notices

    # --- state --------------------------------------------------------------

    def state(self) -> dict[str, Any]:
        """Everything worth keeping, as JSON values. Holds secrets: store it with mode 0600."""
        with self._lock:
            return {
                "id": self.id,
                "name": self.name,
                "language": self.language,
                "push_token": self.push_token,
                "device_id": self.device_id,
                "airplane": self._airplane,
                "waiting_topics": list(self._waiting_topics),
                "tags": [[*key, tag] for key, tag in self._tags.items()],
                "cards": [_card_state(card) for card in self._cards.values()],
                "notices": [_plain(notice) for notice in self._notices],
                "history": [_plain(exchange) for exchange in self._history],
            }

    def restore(self, state: Mapping[str, Any]) -> None:
        """Take over what `state` gave. A card whose pass is refused today is left out."""
        with self._busy, self._lock:
            self.id, self.name, self.language = state["id"], state["name"], state["language"]
            self.push_token, self.device_id = state["push_token"], state["device_id"]
            self._airplane = bool(state["airplane"])
            self._waiting_topics = list(state["waiting_topics"])
            self._tags = {(service, topic): tag for service, topic, tag in state["tags"]}
            self._notices.extend(Notice(**_with_moment(one)) for one in state["notices"])
            self._history.extend(Exchange(**_with_moment(one)) for one in state["history"])
            for one in state["cards"]:
                try:
                    installed = self._open(base64.b64decode(one["pass"]))
                except PassRefused:
                    continue
                self._cards[installed.pass_type, installed.serial] = _card_from(one, installed)
            self._version += 1

    # --- the protocol -------------------------------------------------------

    def _register(self, card: Card) -> None:
        """R, and on success L without a tag, which is what iOS usually asks next."""
        if card.service is None or not card.polling:
            return
        answer = self._request(
            "POST",
            card.service + self._registration_path(card),
            self._authorised(card) | {"Content-Type": "application/json"},
            body=json.dumps({"pushToken": self.push_token}).encode(),
        )
        if answer is not None and answer.status in (200, 201):
            self._put(replace(card, registered=True))
            self._sync_service(card.service, card.installed.pass_type, None)
            return
        if answer is not None and answer.status == 401:
            self._put(replace(card, registered=False, polling=False))
        pass_type, serial = card.key
        task = f"Register task (pass type {pass_type}, serial number {serial}"
        self._complain(card.service, task, _error(answer))

    def _unregister(self, card: Card) -> None:
        if self._airplane or card.service is None or not card.registered:
            return
        answer = self._request("DELETE", card.service + self._registration_path(card), self._authorised(card))
        self._put(replace(self._cards[card.key], registered=False))
        if answer is None or answer.status != 200:
            pass_type, serial = card.key
            task = f"Unregister task (pass type {pass_type}, serial number {serial}"
            self._complain(card.service, task, _error(answer))

    def _sync_service(self, service: str, topic: str, tag: str | None) -> list[Notice]:
        address = f"{service}/v1/devices/{_path(self.device_id)}/registrations/{_path(topic)}"
        if tag is not None:
            # Verbatim: a phone does not percent-encode a plus sign, so neither do we.
            address += f"?passesUpdatedSince={quote(tag, safe='+:-._~')}"
        answer = self._request("GET", address, {"User-Agent": _DAEMON})
        task = f"Get serial #s task (pass type {topic}, last updated {tag or '(null)'}"
        if answer is not None and answer.status == 204:
            if answer.body:
                self._complain(service, task, "Unexpected body in a 204 response")
            return []
        listed = _serials_and_tag(answer)
        if listed is None:
            self._complain(service, task, _error(answer))
            return []
        serials, new_tag = listed
        notices: list[Notice] = []
        fetched_all = True
        for serial in serials:
            card = self._cards.get((topic, serial))
            # A card that was removed without the shop's knowledge may still be listed.
            if card is None or not card.polling or card.service != service:
                continue
            notice, answered = self._get(card, service, listed_as_changed=tag is not None)
            notices += [notice] if notice else []
            fetched_all = fetched_all and answered
        if fetched_all:
            with self._lock:
                self._tags[service, topic] = new_tag
        return notices

    def _get(self, card: Card, service: str, *, listed_as_changed: bool) -> tuple[Notice | None, bool]:
        """G for one card: the notice it led to, and whether the service gave its answer."""
        installed = card.installed
        headers = self._authorised(card)
        if card.last_modified is not None:
            headers["If-Modified-Since"] = card.last_modified
        address = f"{service}/v1/passes/{_path(installed.pass_type)}/{_path(installed.serial)}"
        answer = self._request("GET", address, headers)
        task = (
            f"Get pass task (pass type {installed.pass_type}, serial number {installed.serial}, "
            f"if-modified-since {card.last_modified or '(null)'}"
        )
        if answer is not None and answer.status == 401:
            self._put(replace(card, polling=False, registered=False))
            self._complain(service, task, "Authentication failure")
            return None, True
        if answer is not None and answer.status == 304:
            if listed_as_changed:
                self._complain(service, task, "Server requested update but the pass was unchanged")
            return None, True
        if answer is None or answer.status != 200:
            self._complain(service, task, _error(answer))
            return None, False
        try:
            update = self._check_update(card, answer)
        except PassRefused as refusal:
            self._complain(service, task, f"Received invalid pass data ({refusal.sentence})")
            return None, True
        if "last-modified" not in answer.headers:
            self._complain(service, task, "Response to get pass request lacks a Last-Modified header")
        return self._apply(
            card, update, answer.headers.get("last-modified"), service, task, listed_as_changed
        ), True

    def _check_update(self, card: Card, answer: Answer) -> InstalledPass:
        if answer.media_type != PASS_MIME:
            raise PassRefused("wrong_mime", f"The answer is {answer.media_type or 'of no type'}, not a pass.")
        update = self._open(answer.body, expected=card.key)
        # Everything may change but serial number and token.
        if update.token is not None and update.token != card.installed.token:
            raise PassRefused("token_changed", "The pass's authenticationToken changed.")
        return update

    def _apply(
        self,
        card: Card,
        update: InstalledPass,
        last_modified: str | None,
        service: str,
        task: str,
        listed_as_changed: bool,
    ) -> Notice | None:
        now = self._clock()
        stopped = update.web_service_url is None
        self._put(
            replace(
                card,
                installed=update,
                updated_at=now,
                last_modified=last_modified,
                polling=not stopped,
                registered=card.registered and not stopped,
            )
        )
        if _content(update) == _content(card.installed):
            if listed_as_changed:
                self._complain(service, task, "Server requested update but the pass was unchanged")
            return None
        text, why = notice_of(card, update, language=self.language, zone=self.zone)
        notice = Notice(now, update.pass_type, update.serial, update.organisation, text, why)
        with self._lock:
            self._notices.append(notice)
        return notice

    def _complain(self, service: str, task: str, error: str) -> None:
        """X: tell the service, in the words phones use. Its answer changes nothing."""
        began = f"[{self._clock():%Y-%m-%d %H:%M:%S %z}]"
        text = f"{began} {task}; with web service url {service}) encountered error: {error}"
        self._request(
            "POST",
            f"{service}/v1/log",
            {"User-Agent": _DAEMON, "Content-Type": "application/json"},
            body=json.dumps({"logs": [text]}).encode(),
            note=error,
        )

    def _registration_path(self, card: Card) -> str:
        device, pass_type, serial = _path(self.device_id), *map(_path, card.key)
        return f"/v1/devices/{device}/registrations/{pass_type}/{serial}"

    @staticmethod
    def _authorised(card: Card) -> dict[str, str]:
        return {"User-Agent": _DAEMON, "Authorization": f"ApplePass {card.installed.token}"}

    # --- the wire -----------------------------------------------------------

    def _request(
        self,
        method: str,
        address: str,
        headers: Mapping[str, str],
        *,
        body: bytes | None = None,
        note: str = "",
        download: bool = False,
    ) -> Answer | None:
        """One request without following redirects; None if no answer came. Recorded either way."""
        began = time.monotonic()
        answer: Answer | None = None
        problem = ""
        if may_reach(address, self._services):
            try:
                try:
                    answer = ask(self._http, method, address, headers, body)
                except urllib3.exceptions.ProtocolError:
                    # A kept-open connection that the service closed meanwhile; a fresh one decides.
                    answer = ask(self._http, method, address, headers, body)
            except (urllib3.exceptions.HTTPError, OSError, ValueError) as error:
                problem = f"no answer ({type(error).__name__})"
        else:
            problem = "not asked: neither loopback nor the configured service"
        words = problem or _in_words(answer)
        shown = {name: value for name, value in headers.items() if name not in ("User-Agent", "Content-Type")}
        if "Authorization" in shown:
            shown["Authorization"] = "ApplePass …"
        exchange = Exchange(
            at=self._clock(),
            method=method,
            path=_shown_path(address, download=download),
            headers=shown,
            status=answer.status if answer else None,
            answer=f"{note}; {words}" if note else words,
            milliseconds=round((time.monotonic() - began) * 1000),
        )
        with self._lock:
            self._history.append(exchange)
            self._version += 1
        return answer

    def _check_download(self, answer: Answer) -> None:
        if 300 <= answer.status < 400:
            raise PassRefused("redirected", "The download answers with a redirect instead of the pass.")
        if answer.status != 200:
            raise PassRefused("not_found", f"The download answers {answer.status}.")
        if answer.media_type != PASS_MIME:
            raise PassRefused(
                "wrong_mime", f"The download is {answer.media_type or 'of no type'}, not a pass."
            )
        if not re.search(r'filename\*?=.*\.pkpass"?\s*(;|$)', answer.headers.get("content-disposition", "")):
            raise PassRefused("file_name", "The download names no .pkpass file in Content-Disposition.")

    def _open(
        self,
        data: bytes,
        *,
        expected: tuple[str, str] | None = None,
        passed: Callable[[str], None] = lambda stage: None,
    ) -> InstalledPass:
        return open_pass(
            data,
            trust_roots=self._trust_roots,
            now=self._clock(),
            expected=expected,
            allow_http=self._allow_http,
            passed=passed,
        )

    def _chosen(self, serial: str | None, pass_type: str | None) -> list[Card]:
        return self.cards if serial is None else [self.card(serial, pass_type=pass_type)]

    def _put(self, card: Card) -> None:
        with self._lock:
            self._cards[card.key] = card
            self._version += 1

    @contextmanager
    def _working(self) -> Iterator[None]:
        """One piece of work at a time; afterwards whoever keeps this phone is told."""
        with self._busy:
            try:
                yield
            finally:
                with self._lock:
                    self._version += 1
                self._on_change(self)


class Phones:
    """The phones of one desk: made, found, woken by their push token, kept in a folder.

    `folder` None keeps nothing. Each phone is one JSON file of mode 0600.
    """

    def __init__(self, make: Callable[..., Phone], *, folder: Path | None = None) -> None:
        self._make = make
        self._folder = folder
        self._lock = RLock()
        self._phones: dict[str, Phone] = {}
        if folder is not None:
            folder.mkdir(parents=True, exist_ok=True)
            for path in sorted(folder.glob("phone-*.json"), key=lambda path: (len(path.name), path.name)):
                self._load(path)

    def all(self) -> list[Phone]:
        """Every phone, the first made first."""
        with self._lock:
            return list(self._phones.values())

    def get(self, phone_id: str) -> Phone:
        """One phone. Raises KeyError."""
        with self._lock:
            return self._phones[phone_id]

    def add(self, name: str) -> Phone:
        """A new phone, switched on and empty."""
        with self._lock:
            number = 1
            while (phone_id := "iphone" if number == 1 else f"iphone-{number}") in self._phones:
                number += 1
            phone = self._make(name, phone_id=phone_id, changed=self._save)
            self._phones[phone_id] = phone
        self._save(phone)
        return phone

    def erase(self, phone_id: str) -> str:
        """Wipe a phone and take it off the desk; its push token, now dead, is returned."""
        with self._lock:
            phone = self._phones.pop(phone_id)
        phone.erase()
        if self._folder is not None:
            (self._folder / f"phone-{phone_id}.json").unlink(missing_ok=True)
        return phone.push_token

    def by_token(self, push_token: str) -> Phone | None:
        """The phone that a push is meant for."""
        return next((phone for phone in self.all() if phone.push_token == push_token), None)

    def _load(self, path: Path) -> None:
        try:
            state = json.loads(path.read_text("utf-8"))
            phone = self._make(state["name"], phone_id=state["id"], changed=self._save)
            phone.restore(state)
        except (ValueError, KeyError, TypeError):
            # Half a phone is worse than none, and a lost virtual phone is soon replaced.
            log.warning("%s is not a phone that this version saved; it is left alone", path)
            return
        self._phones[phone.id] = phone

    def _save(self, phone: Phone) -> None:
        if self._folder is None:
            return
        with self._lock:
            if phone.id not in self._phones:
                return
            path = self._folder / f"phone-{phone.id}.json"
            written = path.with_suffix(".new")
            with os.fdopen(os.open(written, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600), "w") as file:
                json.dump(phone.state(), file)
            written.replace(path)


def notice_of(
    card: Card, update: InstalledPass, *, language: str = "en", zone: tzinfo = UTC
) -> tuple[str | None, str]:
    """What iOS shows when `card` becomes `update`: the lock-screen text or None, and why.

    Values are compared by field key. One changed field with a change message
    speaks; several collapse into a generic text (Wallet Developer Guide,
    "Updating a Pass"; behaviour of several fields from field reports).
    """
    before = {one.key: one.value for one in card.installed.fields}
    changed = [one for one in update.fields if one.key in before and before[one.key] != one.value]
    speaking = [one for one in changed if one.change_message]
    if not card.notifications:
        return None, "its owner has turned notifications for this card off"
    if not speaking:
        fresh = [one for one in update.fields if one.key not in before]
        return None, _silence(changed, fresh)
    if len(speaking) > 1:
        return _GENERIC_TEXT, f"{len(speaking)} fields with a change message changed at once"
    one = speaking[0]
    message = update.translate(one.change_message or "", language)
    return message.replace("%@", text_of(one, update, language, zone)), f"{one.key} has a change message"


def _silence(changed: Sequence[Field], fresh: Sequence[Field]) -> str:
    """Why an update without a change message was silent, for the sentence that a page makes of it."""
    if not changed and not fresh:
        return "nothing that is written on the card has changed"
    if not changed and all(one.change_message for one in fresh):
        return "what appears on a card for the first time makes no sound"
    quiet = [*changed, *(one for one in fresh if not one.change_message)]
    # A shop may ring for offers only where the owner wants it; it then leaves the message out.
    if any(one.key == "news" or one.key.startswith("offer") for one in quiet):
        return "its owner did not ask for offers"
    names = [one.label or one.key for one in quiet]
    return f"the shop wrote no message for {', '.join(names)}"


def _serials_and_tag(answer: Answer | None) -> tuple[list[str], str] | None:
    """The list's two members, if they are what Apple documents."""
    if answer is None or answer.status != 200 or answer.media_type != "application/json":
        return None
    try:
        value = json.loads(answer.body)
    except ValueError:
        return None
    if not isinstance(value, dict):
        return None
    serials, tag = value.get("serialNumbers"), value.get("lastUpdated")
    if not isinstance(serials, list) or not all(isinstance(one, str) for one in serials):
        return None
    return (serials, tag) if isinstance(tag, str) and tag else None


def _error(answer: Answer | None) -> str:
    if answer is None:
        return "Could not connect to the server."
    if 300 <= answer.status < 400:
        return f"Unexpected redirect (response code {answer.status})"
    if answer.status == 401:
        return "Authentication failure"
    if answer.status in (200, 201):
        return "Response body could not be understood"
    return f"Unexpected response code {answer.status}"


def _in_words(answer: Answer | None) -> str:
    """A short account of an answer for the request panel; never its secrets."""
    if answer is None:
        return "no answer"
    listed = _serials_and_tag(answer)
    if listed is not None:
        return f"{len(listed[0])} card{'' if len(listed[0]) == 1 else 's'}, tag {listed[1]}"
    if answer.media_type == PASS_MIME:
        return (
            f"pass, {max(1, len(answer.body) // 1000)} kB, {answer.headers.get('last-modified', 'undated')}"
        )
    if answer.status == 200 and answer.media_type == "text/html":
        return "a page"
    return {
        200: "done",
        201: "registered",
        204: "nothing changed",
        304: "not modified",
        401: "not allowed",
    }.get(answer.status, "refused" if answer.status >= 400 else "answered")


def _shown_path(address: str, *, download: bool) -> str:
    parts = urlsplit(address)
    if not download:
        return f"{parts.path}?{parts.query}" if parts.query else parts.path
    # Download addresses carry a secret; it has no place in a panel or a saved file.
    return "/".join(part if len(part) < 16 else f"{part[:4]}…" for part in parts.path.split("/"))


def _path(text: str) -> str:
    return quote(text, safe="")


def _content(installed: InstalledPass) -> dict[str, bytes]:
    """The files that matter to the eye: a new signature alone is no new pass."""
    return {name: data for name, data in installed.files.items() if name != "signature"}


def _plain(value: Notice | Exchange) -> dict[str, Any]:
    found = {name: getattr(value, name) for name in value.__dataclass_fields__}
    return found | {"at": value.at.isoformat()}


def _with_moment(value: Mapping[str, Any]) -> dict[str, Any]:
    return dict(value) | {"at": datetime.fromisoformat(value["at"])}


def _card_state(card: Card) -> dict[str, Any]:
    return {
        "pass": base64.b64encode(card.installed.data).decode(),
        "added_at": card.added_at.isoformat(),
        "updated_at": card.updated_at.isoformat(),
        "last_modified": card.last_modified,
        "registered": card.registered,
        "polling": card.polling,
        "automatic_updates": card.automatic_updates,
        "notifications": card.notifications,
    }


def _card_from(state: Mapping[str, Any], installed: InstalledPass) -> Card:
    rest = {name: value for name, value in state.items() if name != "pass"}
    moments = {name: datetime.fromisoformat(state[name]) for name in ("added_at", "updated_at")}
    return Card(installed, **(rest | moments))
