"""Phones for the tests' small shop: cards with serials and tokens, installs, and a scripted push service."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any

from sqlalchemy import text

from passes import delivery, issuing
from passes.delivery import APPLE, Told
from passes.server_keys import ServerKeys
from passes.store import Store
from passes.wallet import Accepted, Install, Outcome
from tests.shop import KEYS, PASS_TYPE, Shop

PHONE = "0f1e2d3c4b5a69788796a5b4c3d2e1f0"
PUSH_TOKEN = "a1" * 32


@dataclass(frozen=True, slots=True)
class Card:
    """A member's card as a phone knows it."""

    programme_id: int
    member_id: int
    card_id: int
    serial: str
    code: str
    token: str


def a_card(shop: Shop, name: str = "Ana Reyes", programme: str = "copperfinch") -> Card:
    """A new member's card, which no phone has yet."""
    joined = shop.join(name, programme)
    token = KEYS.token(KEYS.current_id, PASS_TYPE, joined.serial)
    return Card(joined.programme_id, joined.member_id, joined.card_id, joined.serial, joined.code, token)


def an_install(
    shop: Shop, card: Card, *, phone: str = PHONE, push_token: str = PUSH_TOKEN, keys: ServerKeys = KEYS
) -> bool:
    """The phone registers the card; True when that was news."""
    return issuing.register(
        shop.store,
        keys,
        library_id=phone,
        pass_type=PASS_TYPE,
        serial=card.serial,
        token=card.token,
        read_push_token=lambda: push_token,
        now=shop.now,
    )


def rows(store: Store, table: str, where: str = "1 = 1") -> list[dict[str, Any]]:
    """What stands in a table."""
    with store.read() as read:
        return [row._asdict() for row in read.ask(text(f"SELECT * FROM {table} WHERE {where}")).all()]


@dataclass(slots=True)
class PushService:
    """A wallet whose answers the test writes: everything is accepted but what `answers` says otherwise."""

    answers: dict[str, Outcome] = field(default_factory=dict)
    told: list[Install] = field(default_factory=list)
    meanwhile: Callable[[], None] | None = None

    def announce(self, batch: Sequence[Install]) -> Iterator[tuple[Install, Outcome]]:
        if self.meanwhile:
            self.meanwhile()
        for install in batch:
            self.told.append(install)
            yield install, self.answers.get(install.address, Accepted())

    def close(self) -> None:
        """Nothing is open."""

    @property
    def addresses(self) -> list[str]:
        """The push tokens that were told, in order."""
        return [install.address for install in self.told]


def deliver(shop: Shop, wallet: PushService, *, now: datetime | None = None) -> Told:
    """One turn of the worker: stamp everything, then announce once."""
    at = now or shop.now
    while delivery.stamp_due(shop.store, now=at):
        pass
    return delivery.announce_due(shop.store, {APPLE: wallet}, now=at)
