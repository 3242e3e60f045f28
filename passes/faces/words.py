"""What a face says, as text."""

from __future__ import annotations

from collections.abc import Iterable
from datetime import datetime
from zoneinfo import ZoneInfo

from passes.language import say, shown
from passes.loyalty.card import CardFace, FaceField, FieldKind
from passes.loyalty.money import Money


def value(field: FaceField, language: str, zone: str) -> str:
    """One value the way this language writes it; dates in this zone."""
    given = field.value
    if isinstance(given, datetime):
        return shown(language, given.astimezone(ZoneInfo(zone)).date())
    if field.kind is FieldKind.MONEY and isinstance(given, int) and field.currency is not None:
        return shown(language, Money(given, field.currency))
    return shown(language, given)


def pair(field: FaceField, language: str, zone: str) -> str:
    """A field as a phrase: label, then value."""
    text = value(field, language, zone)
    return f"{field.label}: {text}" if field.label else text


def spoken(parts: Iterable[str]) -> str:
    """Parts one after the other, each ended so that a reading voice pauses."""
    said = (" ".join(part.split()) for part in parts if part)
    return " ".join(part if part.endswith((".", "!", "?", "…")) else f"{part}." for part in said)


def front(face: CardFace, zone: str) -> list[str]:
    """Everything on the front, in reading order."""
    said = [pair(field, face.language, zone) for field in (face.header, face.primary, *face.row)]
    if not face.voided:
        said.append(say(face.language, "Card code %(code)s", code=face.barcode.text))
    return said


def notice(face: CardFace, zone: str) -> str:
    """What a locked phone says when the face's announced field has changed; empty if nothing."""
    if face.change is None:
        return ""
    fields = (face.header, face.primary, *face.row, *face.back)
    changed = next(field for field in fields if field.key == face.change.field_key)
    return face.change.text.replace("%@", value(changed, face.language, zone))
