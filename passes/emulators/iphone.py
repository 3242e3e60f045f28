"""An iPhone on the desk."""

from __future__ import annotations

from dataclasses import asdict
from typing import TYPE_CHECKING, Any

from passes.emulators import card_face, card_text
from passes.emulators.phone import Card, Phone
from passes.emulators.seats import (
    IPHONE,
    Asked,
    Detail,
    Heard,
    OnPhone,
    Refused,
    Section,
    Sheet,
    moments,
)
from passes.emulators.wallet_file import PassRefused

if TYPE_CHECKING:
    from passes.emulators.desk import Desk


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
        return [moments(asdict(one)) for one in self._phone.history]

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
            "notices": [moments(asdict(one)) for one in phone.notices],
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
