"""An Android phone on the desk, whose wallet is Google's."""

from __future__ import annotations

from dataclasses import asdict
from datetime import datetime, timedelta
from typing import TYPE_CHECKING, Any
from urllib.parse import urlsplit

import urllib3

from passes.emulators import google_face
from passes.emulators.browsing import Answer, Astray, ask, follow, may_reach
from passes.emulators.card_text import Run
from passes.emulators.google_card import Shown
from passes.emulators.google_objects import OBJECT
from passes.emulators.google_phone import AndroidPhone, Offline
from passes.emulators.google_schema import ApiError
from passes.emulators.google_signing import TokenRefused
from passes.emulators.seats import (
    ANDROID,
    SAVE_PATH,
    Asked,
    Detail,
    Heard,
    OnPhone,
    Refused,
    Section,
    Sheet,
)

if TYPE_CHECKING:
    from passes.emulators.desk import Desk
    from passes.emulators.google import GoogleEmulator

_CHROME = (
    "Mozilla/5.0 (Linux; Android 15; Pixel 9) AppleWebKit/537.36 (KHTML, like Gecko) "
    "Chrome/141.0.0.0 Mobile Safari/537.36"
)
_SAME_CHANGE = timedelta(seconds=10)


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
                "phone → Google" if one.path.startswith(SAVE_PATH) else "shop → Google",
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
        return urlsplit(address).path.startswith(SAVE_PATH)

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
