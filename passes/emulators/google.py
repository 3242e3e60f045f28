"""Google Wallet, as far as loyalty cards need it, on this machine.

A service account gets a token, writes classes and objects, and hands out save
links; virtual Android phones save the cards, show them, are notified or not,
and delete them; the issuer hears of it by signed callbacks. It checks as
strictly as Google documents and misbehaves on request. What Google does beyond
its documents (fetching images, looking at texts) cannot be had here.
"""

from __future__ import annotations

import collections
import threading
import time
from collections.abc import Callable, Mapping
from dataclasses import replace
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from passes.emulators.google_api import BATCH_PATH, ROOT, TOKEN_PATH, Api
from passes.emulators.google_callbacks import DELAYS_SECONDS, Callback, CallbackPost
from passes.emulators.google_card import Shown, show
from passes.emulators.google_faults import Faults, Request
from passes.emulators.google_journal import Journal
from passes.emulators.google_objects import CLASS, OBJECT, Announcement, Resources
from passes.emulators.google_pages import Pages
from passes.emulators.google_phone import AndroidPhone, Notice, notice_from
from passes.emulators.google_pictures import GooglePictures
from passes.emulators.google_rules import LOOPBACK_NAMES, place_of
from passes.emulators.google_schema import ApiError, Violation, invalid, read
from passes.emulators.google_server import Call, HttpServer, Reply, Silence
from passes.emulators.google_signing import (
    CallbackSigner,
    ServiceAccounts,
    Slips,
    make_key_file,
    public_key_of,
)

ISSUER_ID = "3388000000012345678"
ACCOUNT = "loyalty@emulated.iam.gserviceaccount.com"
SAVE_PATH = "/gp/v/save/"
KEYS_PATH = "/gp/m/issuer/keys"

_LISTS = {"loyaltyClasses", "loyaltyObjects"}
_LOOK_SECONDS = 0.02


class GoogleEmulator:
    """A Google Wallet on `host` that answers as Google's does, and the phones that it knows.

    `accounts`: public keys (PEM) of service accounts by e-mail address; without
    them one account is made, whose `key_file` the issuer uses. `state_folder`
    keeps everything across restarts but access tokens and waiting callbacks.
    `callback_hosts` may be called beside loopback. `after_save` says where a
    browser goes once a card is on a phone, given the phone and the object.
    `services` may be asked for pictures beside loopback, and may show the save
    page inside their own.
    """

    def __init__(
        self,
        *,
        issuer_id: str = ISSUER_ID,
        accounts: Mapping[str, bytes] | None = None,
        host: str = "127.0.0.1",
        port: int = 0,
        state_folder: Path | None = None,
        history_limit: int = 2000,
        legacy_spelling: bool = True,
        demo_mode: bool = True,
        callback_hosts: frozenset[str] = frozenset(),
        callback_delays_seconds: tuple[float, ...] = DELAYS_SECONDS,
        after_save: Callable[[str, str], str] | None = None,
        services: tuple[str, ...] = (),
        clock: Callable[[], datetime] = lambda: datetime.now(UTC),
    ) -> None:
        self.issuer_id, self.host, self.clock = issuer_id, host, clock
        self.after_save, self.services = after_save, services
        self.pictures = GooglePictures(services=services)
        self.faults = Faults()
        self._demo_mode = demo_mode
        self._history_limit = history_limit
        self._journal = Journal(state_folder) if state_folder is not None else None
        self._changed = threading.Condition()
        self._version = 0
        self._received = 0
        self._history: dict[int, Request] = {}
        self._callbacks: dict[int, Callback] = {}
        self._announcements: collections.deque[Announcement] = collections.deque(maxlen=history_limit)
        self._phones: dict[str, AndroidPhone] = {}
        self._key_file = self._restore_key_file() if accounts is None else None
        if accounts is None and self._key_file is not None:
            accounts = {self._key_file["client_email"]: public_key_of(self._key_file)}
        self._accounts = ServiceAccounts(accounts or {})
        self.signer = self._restore_signer()
        self.resources = Resources(
            issuer_id,
            clock=clock,
            journal=self._journal,
            legacy_spelling=legacy_spelling,
            on_announcement=self._announce,
        )
        self.api = Api(
            self.resources,
            self._accounts,
            faults=self.faults,
            clock=clock,
            record=self._record,
            address=lambda: self.address,
        )
        self._pages = Pages(self)
        self._post = CallbackPost(
            on_outcome=self._settle, hosts=callback_hosts, delays_seconds=callback_delays_seconds
        )
        self._server = HttpServer(self._answer, host=host, port=port)
        self._restore_past()

    # --- life -------------------------------------------------------------------

    def start(self) -> None:
        """Listen. A `port` of 0 becomes a free one. Raises OSError if the port is taken."""
        self.come_back()
        self._post.start()

    def stop(self) -> None:
        """Close everything; returns when all threads have ended."""
        self.go_down()
        self._post.stop()
        if self._journal is not None:
            self._journal.close()

    def go_down(self) -> None:
        """Be unreachable: the port is closed, every connection ended."""
        self._server.stop()

    def come_back(self) -> None:
        """Listen again on the same port."""
        self._server.start()

    # --- addresses and keys -----------------------------------------------------

    @property
    def port(self) -> int:
        """The port that it listens on (or did, while it is down)."""
        return self._server.port

    @property
    def address(self) -> str:
        """The root of the API, without a slash at the end."""
        return f"http://{self.host}:{self.port}"

    @property
    def token_address(self) -> str:
        return self.address + TOKEN_PATH

    @property
    def save_address(self) -> str:
        """What a save link's token is appended to."""
        return self.address + SAVE_PATH

    @property
    def keys_address(self) -> str:
        """Where the root keys of callbacks are."""
        return self.address + KEYS_PATH

    @property
    def key_file(self) -> dict[str, str]:
        """The service account as Google's console hands it out; it asks for tokens here.

        Raises LookupError if the accounts were given from outside.
        """
        if self._key_file is None:
            raise LookupError("The service accounts were given by their public keys.")
        return {**self._key_file, "token_uri": self.token_address}

    # --- what is known ------------------------------------------------------------

    @property
    def version(self) -> int:
        """Grows with everything that happens, for pages that poll."""
        return self._version

    @property
    def received(self) -> int:
        """Requests taken since the start, however short the history is."""
        return self._received

    @property
    def history(self) -> list[Request]:
        """The newest requests, oldest first."""
        with self._changed:
            return list(self._history.values())

    @property
    def callbacks(self) -> list[Callback]:
        """The newest callbacks and what became of each, oldest first."""
        with self._changed:
            return list(self._callbacks.values())

    @property
    def announcements(self) -> list[Announcement]:
        """What was to be noticed since the start, also where no phone heard of it."""
        with self._changed:
            return list(self._announcements)

    def wait_until(self, condition: Callable[[], object], timeout_seconds: float = 10) -> None:
        """Wait for something to have happened here. Raises TimeoutError."""
        deadline = time.monotonic() + timeout_seconds
        while True:
            seen = self._version
            # Without the lock: the condition may look at anything.
            if condition():
                return
            with self._changed:
                left = deadline - time.monotonic()
                if left <= 0:
                    raise TimeoutError(f"not within {timeout_seconds} s")
                # A condition may look at something that nobody tells this service of, such as
                # what the other side wrote down once it had answered: so not for longer than this.
                short = min(left, _LOOK_SECONDS)
                self._changed.wait_for(lambda seen=seen: self._version != seen, short)  # type: ignore[misc]

    def as_json(self) -> dict[str, Any]:
        """What a page about this service shows; histories are separate."""
        return {
            "issuer_id": self.issuer_id,
            "port": self.port,
            "listening": self._server.listening,
            "received": self._received,
            "version": self._version,
            "classes": self.resources.names(CLASS),
            "objects": len(self.resources.names(OBJECT)),
            "phones": [phone.as_json() for phone in self.phones],
            "faults": self.faults.as_json(),
        }

    # --- phones -------------------------------------------------------------------

    @property
    def phones(self) -> list[AndroidPhone]:
        """Every phone, in the order in which they came."""
        with self._changed:
            return list(self._phones.values())

    def phone(self, phone_id: str) -> AndroidPhone:
        """Raises KeyError if there is no such phone."""
        with self._changed:
            return self._phones[phone_id]

    def add_phone(
        self, name: str = "Pixel", *, account: str | None = None, language: str = "en"
    ) -> AndroidPhone:
        """A new phone, signed in to an account of its own unless one is named."""
        number = 1
        # An erased phone's account still holds its cards, so its id is not given to another.
        taken = {phone.id for phone in self.phones} | self.resources.holding()
        while (phone_id := "android" if number == 1 else f"android-{number}") in taken:
            number += 1
        phone = self._make_phone(phone_id, name, account or f"{phone_id}@gmail.example", language)
        self._keep_phone(phone)
        return phone

    def erase_phone(self, phone_id: str) -> None:
        """Wipe a phone. Its cards stay in the account, so the issuer hears nothing. Raises KeyError."""
        with self._changed:
            del self._phones[phone_id]
        self._write("phone", phone_id, None)
        self._touch()

    def look(self, link: str) -> list[Shown]:
        """The cards that a save link would add, as its page shows them.

        Raises TokenRefused or ApiError with what the page would say.
        """
        classes, objects = self._carried(link)
        self.resources.judge(classes, objects)
        known = {one["id"]: read("LoyaltyClass", one) for one in classes}
        cards = []
        for one in objects:
            if one["id"] in self.resources.names(OBJECT) or "state" not in one:
                card_class, card_object = self.resources.pair(one["id"])
            else:
                wanted = one["classId"]
                if wanted in known and wanted not in self.resources.names(CLASS):
                    card_class = known[wanted]
                else:
                    card_class = self.resources.get(CLASS, wanted)
                card_object = read("LoyaltyObject", one)
            cards.append(
                show(card_class, card_object, language="en", now=self.clock(), test_only=self._demo_mode)
            )
        return cards

    def save(self, link: str, phone_id: str) -> list[str]:
        """Put what a save link carries on a phone; the ids of the objects.

        Classes and objects that do not exist are made, others left as they are.
        Raises TokenRefused, ApiError, or KeyError if there is no such phone.
        """
        phone = self.phone(phone_id)
        classes, objects = self._carried(link)
        names = self.resources.add_missing(classes, objects)
        for name in names:
            if self.resources.hold(name, phone_id, phone.account):
                self.send_callback(name, "save")
        self._touch()
        return names

    def remove(self, object_id: str, phone_id: str) -> bool:
        """Delete a card from a phone; False if it was not there."""
        found = self.resources.release(object_id, phone_id)
        if found:
            self.send_callback(object_id, "del")
            self._touch()
        return found

    def pair(self, object_id: str) -> tuple[dict[str, Any], dict[str, Any]]:
        """An object's class and the object. Raises ApiError 404."""
        return self.resources.pair(object_id)

    def held_by(self, phone_id: str) -> list[str]:
        """The objects on a phone."""
        return self.resources.held_by(phone_id)

    def send_callback(self, object_id: str, event: str, slips: Slips | None = None) -> Callback | None:
        """Tell the issuer of a "save" or "del"; None if the class names no address.

        `slips` spoil it on purpose, for tests of the issuer's checks.
        """
        url = self.resources.callback_url(object_id)
        if url is None:
            return None
        card_class, _ = self.resources.pair(object_id)
        slips = slips or Slips()
        # Not documented, but seen: how many hold the card.
        extra = {"count": len(self.resources.holders(object_id)), **slips.message}
        body, nonce = self.signer.envelope(
            card_class["id"], object_id, event, now=self.clock(), slips=replace(slips, message=extra)
        )
        withheld = self.faults.callbacks_withheld
        callback = Callback(
            self.clock(), object_id, event, nonce, url, outcome="withheld" if withheld else "waiting"
        )
        with self._changed:
            number = max(self._callbacks, default=0) + 1
            self._callbacks[number] = callback
        self._settle(number, callback)
        if not withheld:
            for _ in range(2 if self.faults.callbacks_doubled else 1):
                self._post.send(number, callback, body)
        return callback

    # --- inside -------------------------------------------------------------------

    def _carried(self, link: str) -> tuple[list[Any], list[Any]]:
        token = link.rpartition("/")[2]
        payload = self._accounts.check_save(token, now=self.clock())
        if others := set(payload) - _LISTS:
            raise invalid(Violation("payload", f"This emulator keeps no {', '.join(sorted(others))}."))
        if not payload.get("loyaltyObjects"):
            raise invalid(Violation("payload", "There is nothing to save."))
        return payload.get("loyaltyClasses", []), payload["loyaltyObjects"]

    def _answer(self, call: Call) -> Reply | Silence:
        # A page elsewhere must not reach this through a name it controls (DNS rebinding).
        _, name = place_of(f"http://{call.headers.get('host', '')}")
        if name not in LOOPBACK_NAMES | {self.host}:
            return Reply(403, b"This service answers only on this machine.")
        if call.path in (TOKEN_PATH, BATCH_PATH) or call.path.startswith(ROOT):
            reply = self.api.answer(call)
        else:
            reply = self._pages.answer(call)
        if isinstance(reply, Reply) and self.faults.slow_seconds:
            return replace(reply, delay_seconds=self.faults.slow_seconds)
        return reply

    def _touch(self) -> None:
        with self._changed:
            self._version += 1
            self._changed.notify_all()

    def _record(
        self,
        method: str,
        path: str,
        resource: str | None,
        status: int | None,
        reason: str | None,
        body: Any,
        agent: str,
    ) -> None:
        with self._changed:
            number = max(self._history, default=0) + 1
            request = Request(number, self.clock(), method, path, resource, status, reason, body, agent)
            self._received += 1
            self._history[number] = request
            self._write("request", str(number), request.as_json())
            self._shorten("request", self._history)
        self._touch()

    def record_page(self, method: str, path: str, status: int, reason: str | None) -> None:
        """A request that was none of the API's; `path` without what is secret in it."""
        self._record(method, path, None, status, reason, None, "")

    def _settle(self, number: int, callback: Callback) -> None:
        with self._changed:
            self._callbacks[number] = callback
            self._write("callback", str(number), callback.as_json())
            self._shorten("callback", self._callbacks)
        self._touch()

    def _announce(self, announcement: Announcement) -> None:
        with self._changed:
            self._announcements.append(announcement)
        holders = self.resources.holders(announcement.object_id)
        phones = [phone for phone in self.phones if phone.id in holders]
        for phone in phones:
            phone.hear(announcement)
        self._touch()

    def _shorten(self, kind: str, kept: dict[int, Any]) -> None:
        while len(kept) > self._history_limit:
            oldest = min(kept)
            del kept[oldest]
            self._write(kind, str(oldest), None)

    def _write(self, kind: str, key: str, value: Any) -> None:
        if self._journal is not None:
            self._journal.write(kind, key, value)

    def _make_phone(
        self,
        phone_id: str,
        name: str,
        account: str,
        language: str,
        muted: frozenset[str] = frozenset(),
        notices: tuple[Notice, ...] = (),
        away: dict[str, Any] | None = None,
    ) -> AndroidPhone:
        phone = AndroidPhone(
            self,
            phone_id=phone_id,
            name=name,
            account=account,
            clock=self.clock,
            language=language,
            test_only=self._demo_mode,
            muted=muted,
            notices=notices,
            away=away,
            on_change=self._keep_phone,
        )
        with self._changed:
            self._phones[phone_id] = phone
        return phone

    def _keep_phone(self, phone: AndroidPhone) -> None:
        kept = {
            "name": phone.name,
            "account": phone.account,
            "language": phone.language,
            "muted": sorted(phone.muted),
            "notices": [one.as_json() for one in phone.notices],
            "away": phone.away(),
        }
        self._write("phone", phone.id, kept)
        self._touch()

    def _restore_key_file(self) -> dict[str, str]:
        known: dict[str, Any] = self._journal.all("key file") if self._journal is not None else {}
        if ACCOUNT not in known:
            known[ACCOUNT] = make_key_file(ACCOUNT, "")
            self._write("key file", ACCOUNT, known[ACCOUNT])
        return dict(known[ACCOUNT])

    def _restore_signer(self) -> CallbackSigner:
        known = self._journal.all("root key") if self._journal is not None else {}
        pem = known.get(self.issuer_id)
        signer = CallbackSigner(self.issuer_id, root=pem.encode() if pem else None)
        self._write("root key", self.issuer_id, signer.root_pem.decode())
        return signer

    def _restore_past(self) -> None:
        if self._journal is None:
            return
        for number, one in self._journal.all("request").items():
            self._history[int(number)] = Request(**{**one, "at": datetime.fromisoformat(one["at"])})
        for number, one in self._journal.all("callback").items():
            callback = Callback(**{**one, "at": datetime.fromisoformat(one["at"])})
            # Nobody carries it any more.
            waiting = callback.outcome == "waiting"
            self._callbacks[int(number)] = replace(callback, outcome="given up") if waiting else callback
        for phone_id, one in self._journal.all("phone").items():
            self._make_phone(
                phone_id,
                one["name"],
                one["account"],
                one["language"],
                frozenset(one["muted"]),
                tuple(map(notice_from, one["notices"])),
                one.get("away"),
            )


__all__ = ["ACCOUNT", "ISSUER_ID", "ApiError", "GoogleEmulator", "Slips"]
