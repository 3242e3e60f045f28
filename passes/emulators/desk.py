"""The desk on which the virtual phones lie: iPhones and Androids, seen by the page in one way."""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Callable, Sequence
from datetime import datetime, tzinfo
from hashlib import sha256
from threading import Lock
from typing import TYPE_CHECKING, Any

import urllib3

from passes.emulators.android import Android
from passes.emulators.iphone import IPhone
from passes.emulators.phone import Phones
from passes.emulators.seats import (
    ANDROID,
    IPHONE,
    Seat,
)
from passes.emulators.wallet_file import PassRefused

if TYPE_CHECKING:
    from passes.emulators.apns import ApnsEmulator
    from passes.emulators.google import GoogleEmulator
    from passes.emulators.google_pictures import GooglePictures

_PICTURES_MAX = 300


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
