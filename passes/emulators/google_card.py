"""What Google Wallet would show for an object and its class: rows, barcode, messages, what is hidden and why.

Sources: Google's pages on pass templates and rotating barcodes, and the field
descriptions of walletobjects:v1. The rows of a class without a template of its
own are not documented exactly; ours are the points and the tier, then the
member's name and number.
"""

from __future__ import annotations

import hashlib
import hmac
import re
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import datetime
from decimal import Decimal
from typing import Any

from passes.emulators.google_objects import shown_now
from passes.emulators.google_rules import moment

NAME_CHARACTERS_MAX = 20
MODULES_MAX = 10
VALUE_MODULES_MAX = 15

_STEP = re.compile(r"\.([A-Za-z]+)|\['([A-Za-z0-9_-]+)'\]")
_DATE_FORMATS = {
    "DATE_TIME": "%d %b, %H:%M",
    "DATE_ONLY": "%d %b",
    "TIME_ONLY": "%H:%M",
    "DATE_TIME_YEAR": "%d %b %Y, %H:%M",
    "DATE_YEAR": "%d %b %Y",
    "YEAR_MONTH": "%b %Y",
    "YEAR_MONTH_DAY": "%Y-%m-%d",
}
# Whose label a value carries: a member of the class, and what Wallet says without one.
_LABELS = {
    "object.accountName": ("accountNameLabel", "Member name"),
    "object.accountId": ("accountIdLabel", "Member ID"),
    "class.rewardsTier": ("rewardsTierLabel", "Tier"),
    "class.secondaryRewardsTier": ("secondaryRewardsTierLabel", "Tier"),
}
_DEFAULT_ROWS = (
    ("object.loyaltyPoints.balance", "class.rewardsTier"),
    ("object.accountName", "object.accountId"),
)
# Beyond these Google's small screens cut; advice, not a rule.
_ADVISED = (
    ("class", "accountIdLabel", 15),
    ("class", "accountNameLabel", 15),
    ("class", "rewardsTier", 7),
    ("class", "rewardsTierLabel", 9),
    ("object", "accountId", 20),
    ("object", "accountName", 20),
)


@dataclass(frozen=True, slots=True)
class Cell:
    """One value with its label, which may be empty."""

    label: str
    value: str


@dataclass(frozen=True, slots=True)
class Barcode:
    """What a scanner reads now, and the text below it. `rotating` ones change with the clock."""

    type: str
    value: str
    text: str
    rotating: bool = False


@dataclass(frozen=True, slots=True)
class Message:
    """A message as the details list it."""

    id: str
    header: str
    body: str


@dataclass(frozen=True, slots=True)
class Link:
    """Something to tap on the details page, or (`promoted`) a tile that a value-added module makes."""

    address: str
    text: str
    promoted: bool = False


@dataclass(frozen=True, slots=True)
class Shown:
    """A card as its holder sees it now. `expired` ones lie in the area for old passes.

    `remarks`: what Wallet cuts or leaves out, in words for the issuer. `wide`:
    the logo stands for the issuer's name too.
    """

    object_id: str
    class_id: str
    issuer: str
    title: str
    test_only: bool
    logo: str | None
    hero: str | None
    background: str | None
    rows: tuple[tuple[Cell, ...], ...]
    barcode: Barcode | None
    details: tuple[Cell, ...]
    links: tuple[Link, ...]
    messages: tuple[Message, ...]
    state: str
    expired: bool
    remarks: tuple[str, ...]
    wide: bool = False


def show(
    card_class: dict[str, Any],
    card_object: dict[str, Any],
    *,
    language: str,
    now: datetime,
    test_only: bool = False,
) -> Shown:
    """The card in this language, as far as it is translated. `test_only`: the issuer is in demo mode."""
    viewer = _Viewer(card_class, card_object, language)
    title, issuer = viewer.text(card_class, "programName"), viewer.text(card_class, "issuerName")
    return Shown(
        object_id=card_object["id"],
        class_id=card_class["id"],
        issuer=_cut(issuer),
        title=("[TEST ONLY] " if test_only else "") + _cut(title),
        test_only=test_only,
        logo=_image(card_class, "wideProgramLogo") or _image(card_class, "programLogo"),
        hero=_image(card_object, "heroImage") or _image(card_class, "heroImage"),
        background=card_class.get("hexBackgroundColor"),
        rows=tuple(viewer.rows()),
        barcode=_barcode(card_object, now),
        details=tuple(viewer.details()),
        links=tuple(viewer.links(now)),
        messages=tuple(viewer.messages(now)),
        state=card_object["state"],
        expired=card_object["state"] != "ACTIVE",
        remarks=tuple(_remarks(card_class, card_object, title, issuer)),
        wide=_image(card_class, "wideProgramLogo") is not None,
    )


def localized(owner: dict[str, Any], name: str, language: str) -> str:
    """A text in this language, its base language, the default of its translations, or as it stands alone."""
    return words_in(owner.get(f"localized{name[0].upper()}{name[1:]}"), language) or str(owner.get(name, ""))


def words_in(text: dict[str, Any] | None, language: str) -> str:
    """A LocalizedString in this language; empty without one."""
    if not text:
        return ""
    default = text["defaultValue"]
    known = {one["language"].lower(): one["value"] for one in [default, *text.get("translatedValues", ())]}
    wanted = language.lower()
    return str(known.get(wanted) or known.get(wanted.split("-")[0]) or default["value"])


def totp(key: bytes, counter: int, digits: int) -> str:
    """RFC 4226: the value of one period, SHA-1, as RFC 6238 counts periods."""
    digest = hmac.new(key, counter.to_bytes(8, "big"), hashlib.sha1).digest()
    start = digest[19] & 0x0F
    number = int.from_bytes(digest[start : start + 4], "big") & 0x7FFFFFFF
    return str(number % 10**digits).zfill(digits)


class _Viewer:
    """Reads texts from a class and an object in one language."""

    def __init__(self, card_class: dict[str, Any], card_object: dict[str, Any], language: str) -> None:
        self._class, self._object, self._language = card_class, card_object, language

    def text(self, owner: dict[str, Any], name: str) -> str:
        return localized(owner, name, self._language)

    def rows(self) -> Iterator[tuple[Cell, ...]]:
        override = self._class.get("classTemplateInfo", {}).get("cardTemplateOverride", {})
        if infos := override.get("cardRowTemplateInfos"):
            for info in infos:
                (row,) = info.values()
                items = [row[name] for name in ("item", "startItem", "middleItem", "endItem") if name in row]
                # An item without a value leaves its place to the others, a row without any is not drawn.
                if cells := tuple(cell for cell in map(self._item, items) if cell is not None):
                    yield cells
            return
        for paths in _DEFAULT_ROWS:
            if cells := tuple(cell for cell in map(self._cell, paths) if cell is not None):
                yield cells

    def details(self) -> Iterator[Cell]:
        template = self._class.get("classTemplateInfo", {}).get("detailsTemplateOverride")
        if template is not None:
            for one in template.get("detailsItemInfos", ()):
                if "item" in one and (cell := self._item(one["item"])) is not None:
                    yield cell
            return
        for owner in (self._object, self._class):
            for module in owner.get("textModulesData", ())[:MODULES_MAX]:
                yield Cell(self.text(module, "header"), self.text(module, "body"))

    def links(self, now: datetime) -> Iterator[Link]:
        tiles: list[dict[str, Any]] = []
        for owner in (self._object, self._class):
            tiles += sorted(owner.get("valueAddedModuleData", ()), key=lambda one: one.get("sortIndex", 0))
        for tile in tiles[:VALUE_MODULES_MAX]:
            if shown_now(tile.get("viewConstraints", {}), now):
                yield Link(tile["uri"], words_in(tile["header"], self._language), promoted=True)
        if homepage := self._class.get("homepageUri"):
            yield Link(homepage["uri"], self.text(homepage, "description"))
        for owner in (self._object, self._class):
            for uri in owner.get("linksModuleData", {}).get("uris", ()):
                yield Link(uri["uri"], self.text(uri, "description"))

    def messages(self, now: datetime) -> Iterator[Message]:
        for owner in (self._object, self._class):
            for one in owner.get("messages", ()):
                if shown_now(one, now):
                    yield Message(one.get("id", ""), self.text(one, "header"), self.text(one, "body"))

    def _item(self, item: dict[str, Any]) -> Cell | None:
        first = self._selected(item.get("firstValue"))
        second = self._selected(item.get("secondValue"))
        if first is None or second is None:
            return first or second
        return Cell(first.label, f"{first.value} / {second.value}")

    def _selected(self, selector: dict[str, Any] | None) -> Cell | None:
        """The first of a selector's fields that holds something."""
        for one in (selector or {}).get("fields", ()):
            cell = self._cell(one["fieldPath"])
            if cell is not None:
                return Cell(cell.label, _dated(cell.value, one.get("dateFormat")))
        return None

    def _cell(self, path: str) -> Cell | None:
        """What a path like `object.loyaltyPoints.balance` leads to; None if nothing is there."""
        start, _, _ = path.partition(".")
        found: Any = self._object if start == "object" else self._class
        name, parent = "", found
        for step in _STEP.finditer(path):
            if step[2]:
                # An element of a list, by its id.
                inside = found if isinstance(found, list) else []
                name, parent = step[2], next((one for one in inside if one.get("id") == step[2]), None)
                found = parent
            else:
                name, parent = step[1], found
                found = parent.get(name) if isinstance(parent, dict) else None
        if not isinstance(parent, dict):
            return None
        if path.endswith("]"):
            label, value = self.text(parent, "header"), self.text(parent, "body")
        elif name == "balance" and isinstance(found, dict):
            label, value = self.text(parent, "label") or "Points", _balance(found)
        else:
            labelled, otherwise = _LABELS.get(path, ("", ""))
            label = (labelled and self.text(self._class, labelled)) or otherwise
            value = self.text(parent, name)
        return Cell(label, value) if value else None


def _balance(balance: dict[str, Any]) -> str:
    if "money" in balance:
        amount = Decimal(balance["money"]["micros"]) / 1_000_000
        return f"{balance['money']['currencyCode']} {amount:,.2f}"
    (value,) = balance.values()
    return str(value)


def _dated(value: str, form: str | None) -> str:
    at = moment(value) if form in _DATE_FORMATS else None
    return at.strftime(_DATE_FORMATS[form or ""]) if at is not None else value


def _image(owner: dict[str, Any], name: str) -> str | None:
    found = owner.get(name, {}).get("sourceUri", {}).get("uri")
    return str(found) if found else None


def _barcode(card: dict[str, Any], now: datetime) -> Barcode | None:
    """The rotating code before the fixed one."""
    if rotating := card.get("rotatingBarcode"):
        totps = rotating["totpDetails"]
        millis = int(now.timestamp() * 1000)
        counter = millis // int(totps["periodMillis"])
        value = rotating["valuePattern"].replace("{totp_timestamp_millis}", str(millis))
        value = value.replace("{totp_timestamp_seconds}", str(millis // 1000))
        for place, one in enumerate(totps["parameters"]):
            code = totp(bytes.fromhex(one["key"]), counter, one["valueLength"])
            value = value.replace(f"{{totp_value_{place}}}", code)
        return Barcode(rotating["type"], value, rotating.get("alternateText", ""), rotating=True)
    fixed = card.get("barcode")
    return fixed and Barcode(fixed["type"], fixed.get("value", ""), fixed.get("alternateText", ""))


def _cut(text: str) -> str:
    return text if len(text) <= NAME_CHARACTERS_MAX else text[: NAME_CHARACTERS_MAX - 1].rstrip() + "…"


def _remarks(
    card_class: dict[str, Any], card_object: dict[str, Any], title: str, issuer: str
) -> Iterator[str]:
    for name, text in (("programName", title), ("issuerName", issuer)):
        if len(text) > NAME_CHARACTERS_MAX:
            yield f"class.{name} has {len(text)} characters: cut after {NAME_CHARACTERS_MAX}"
    for whose, name, limit in _ADVISED:
        text = (card_class if whose == "class" else card_object).get(name, "")
        if len(text) > limit:
            yield f"{whose}.{name} has {len(text)} characters; Google advises {limit}"
    for name in ("loyaltyPoints", "secondaryLoyaltyPoints"):
        points = card_object.get(name, {})
        if len(points.get("label", "")) > 9:
            yield f"object.{name}.label has {len(points['label'])} characters; Google advises 9"
        if len(points.get("balance", {}).get("string", "")) > 7:
            yield f"object.{name}.balance has more than 7 characters"
    for whose, owner in (("object", card_object), ("class", card_class)):
        if len(owner.get("textModulesData", ())) > MODULES_MAX:
            yield f"{whose}.textModulesData: only the first {MODULES_MAX} are shown"
    if "rotatingBarcode" in card_object and "barcode" in card_object:
        yield "object.barcode is hidden behind the rotating one, and undoes its protection"
