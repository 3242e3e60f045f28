"""Whose cards they are, and what Google shows of a programme and a card."""

from __future__ import annotations

import hashlib
from dataclasses import dataclass

from passes.google import ids
from passes.google.documents import Pictures, loyalty_class, loyalty_object
from passes.google.schema import Document
from passes.language import say
from passes.loyalty.card import CardFace
from passes.loyalty.programme import Programme
from passes.store.programmes import Loaded


@dataclass(frozen=True, slots=True)
class Issuer:
    """Whose cards they are, and under which address Google finds our pictures and our ear."""

    issuer_id: str
    address: str

    def class_id(self, slug: str) -> str:
        """The class of a programme."""
        return ids.resource_id(self.issuer_id, slug)

    def object_id(self, serial: str) -> str:
        """The object of a card."""
        return ids.resource_id(self.issuer_id, serial)

    @property
    def callback_address(self) -> str:
        """Where Google says that a card was saved or removed."""
        return f"{self.address}/google/callback"

    def logo_address(self, programme: Programme) -> str:
        """The logo of a programme's class. Another drawing has another address."""
        return f"{self.address}/google/{programme.slug}/{drawing(programme)}/logo.png"

    def hero_address(self, programme: Programme, step: int) -> str:
        """The wide picture of a card with so many marks lit."""
        return f"{self.address}/google/{programme.slug}/{drawing(programme)}/hero-{step}.png"

    def class_document(self, loaded: Loaded) -> Document:
        """The class of a programme. Raises DocumentInvalid."""
        return loyalty_class(
            loaded.programme,
            class_id=self.class_id(loaded.slug),
            pictures=Pictures(logo=self.logo_address(loaded.programme)),
            say=say,
            callback_url=self.callback_address,
        )

    def card_document(self, loaded: Loaded, serial: str, face: CardFace) -> Document:
        """The object of a card. Raises DocumentInvalid."""
        return loyalty_object(
            face,
            object_id=self.object_id(serial),
            class_id=self.class_id(loaded.slug),
            hero=self.hero_address(loaded.programme, face.strip.step),
        )


def drawing(programme: Programme) -> str:
    """What names the pictures of a programme: it changes when what is drawn does."""
    design = programme.design
    parts = (design.scene, *_colours(programme), design.strip, design.steps, initials(programme))
    return hashlib.sha256("\0".join(map(str, parts)).encode() + design.logo).hexdigest()[:12]


def initials(programme: Programme) -> str:
    """The first letters of the organisation's first two words."""
    name = programme.organisation.in_(programme.language)
    return "".join(word[:1] for word in name.split()[:2]).upper()


def _colours(programme: Programme) -> tuple[str, str, str]:
    colours = programme.design.colours
    return colours.ground, colours.text, colours.label
