"""Registers of other makers as their owner keeps them: added with a secret, listed, changed, removed.

The secrets of Shopify and Square are given to us: they are encrypted under a key
derived from the server's and opened only to check a signature. Odoo signs
nothing; the token in its address is derived and not stored.
"""

from __future__ import annotations

import hmac
import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import datetime
from enum import StrEnum

import orjson

from passes.loyalty.letters import cleaned
from passes.loyalty.programme import Programme
from passes.loyalty.refusals import (
    NameInvalid,
    RegisterListInvalid,
    RegisterSecretInvalid,
    RegisterUnknown,
)
from passes.registers.orders import Nature
from passes.server_keys import SealBroken, ServerKeys
from passes.store import Row, Store, Work, programmes, registers
from passes.store.ids import new_id
from passes.store.instants import instant, instant_or_none
from passes.store.programmes import Loaded

NAME_LETTERS_MAX = 64
LIST_LINES_MAX = 2_000
LIST_LETTERS_MAX = 200_000
ANYWHERE = "*"
"""In a list of locations: all that are not named."""

_SECRET = re.compile(r"[\x21-\x7e]{8,256}\Z")


class Kind(StrEnum):
    """Whose register it is."""

    SHOPIFY = "shopify"
    SQUARE = "square"
    ODOO = "odoo"


@dataclass(frozen=True, slots=True)
class Places:
    """What a register's names are here: its locations are shops, its articles belong to categories."""

    locations: Mapping[str, str] = field(default_factory=dict)
    categories: Mapping[str, str] = field(default_factory=dict)

    def as_json(self) -> str:
        """As kept."""
        return orjson.dumps(self).decode()

    @classmethod
    def from_json(cls, text: str) -> Places:
        """What `as_json` wrote."""
        return cls(**orjson.loads(text))

    def knows(self, location: str | None) -> bool:
        """Whether it is known where that is: always, where no list was given."""
        return location is None or not self.locations or location in self.locations or self._anywhere

    def shop(self, location: str | None) -> str | None:
        """The shop of a register's location."""
        found = self.locations.get(location or "", self.locations.get(ANYWHERE))
        return found or None

    @property
    def _anywhere(self) -> bool:
        return ANYWHERE in self.locations


@dataclass(frozen=True, slots=True)
class Register:
    """A register as its owner sees it; its secret is not shown again."""

    id: int
    kind: Kind
    name: str
    places: Places
    created_at: datetime
    removed_at: datetime | None
    heard_at: datetime | None
    waiting: int
    programme_id: int
    key_id: str


@dataclass(frozen=True, slots=True)
class Opened:
    """A register in use, as a message arrives at it; `secret` is what its maker signs with."""

    id: int
    kind: Kind
    name: str
    loaded: Loaded
    key_id: str
    secret: bytes = field(repr=False)
    heard_at: datetime | None


def add(
    store: Store,
    keys: ServerKeys,
    *,
    programme: str,
    kind: Kind,
    name: str,
    secret: str = "",
    locations: str = "",
    categories: str = "",
    now: datetime,
) -> int:
    """Let a register tell us of its orders. Its id.

    `locations` and `categories` are lines of `theirs = ours`. Raises
    ProgrammeUnknown, NameInvalid, RegisterSecretInvalid, RegisterListInvalid.
    """
    if not (clean := cleaned(name, NAME_LETTERS_MAX)):
        raise NameInvalid(limit=NAME_LETTERS_MAX)
    secret = secret.strip()
    if kind is not Kind.ODOO and not _SECRET.match(secret):
        raise RegisterSecretInvalid()
    register_id = new_id(now)

    def decide(work: Work) -> None:
        loaded = programmes.by_slug(work, programme)
        places = _places(loaded.programme, locations, categories)
        key_id, sealed = keys.current_id, b""
        if kind is not Kind.ODOO:
            key_id, sealed = keys.seal(secret.encode(), *_about(loaded.id, register_id))
        registers.add(
            work,
            programme_id=loaded.id,
            register_id=register_id,
            kind=kind,
            name=clean,
            key_id=key_id,
            secret=sealed,
            places=places.as_json(),
            now=now,
        )

    store.write(decide)
    return register_id


def change(
    store: Store,
    *,
    programme: str,
    register_id: int,
    locations: str | None = None,
    categories: str | None = None,
) -> str:
    """Replace the lists that are given. The register's name. Raises RegisterUnknown, RegisterListInvalid."""

    def decide(work: Work) -> str:
        found = registers.by_id(work, programme, register_id)
        if found is None:
            raise RegisterUnknown()
        row, loaded = found
        now, new = Places.from_json(row.places), _places(loaded.programme, locations or "", categories or "")
        places = Places(
            now.locations if locations is None else new.locations,
            now.categories if categories is None else new.categories,
        )
        registers.change(work, loaded.id, register_id, places=places.as_json())
        name: str = row.register_name
        return name

    return store.write(decide)


def remove(store: Store, *, programme: str, register_id: int, now: datetime) -> str:
    """Listen to a register no longer: its secret is forgotten, what it told stays. Its name.

    Raises RegisterUnknown.
    """

    def decide(work: Work) -> str:
        name = registers.revoke(work, programmes.by_slug(work, programme).id, register_id, now=now)
        if name is None:
            raise RegisterUnknown()
        return name

    return store.write(decide)


def every(store: Store, *, programme: str) -> list[Register]:
    """All registers of a programme, those in use first, then the newest. Raises ProgrammeUnknown."""
    with store.read() as read:
        rows = registers.every(read, programmes.by_slug(read, programme).id)
    return [_register(row) for row in rows]


def one(store: Store, *, programme: str, register_id: int) -> Register:
    """A register in use. Raises RegisterUnknown."""
    for found in every(store, programme=programme):
        if found.id == register_id and found.removed_at is None:
            return found
    raise RegisterUnknown()


def address(keys: ServerKeys, public_url: str, programme: str, register: Register) -> str:
    """Where a register is heard. That of Odoo is secret: whoever knows it is believed."""
    found = f"{public_url}/registers/{register.kind}/{programme}/{register.id}"
    if register.kind is Kind.ODOO:
        found += f"/{keys.register_token(register.programme_id, register.id, key_id=register.key_id)}"
    return found


def opened(store: Store, keys: ServerKeys, *, programme: str, kind: Kind, register_id: int) -> Opened:
    """The register that a message is for. Raises RegisterUnknown, also for one that was removed."""
    if not 0 < register_id < 2**63:
        raise RegisterUnknown()
    with store.read() as read:
        found = registers.by_id(read, programme, register_id)
    if found is None or found[0].kind != kind:
        raise RegisterUnknown()
    row, loaded = found
    secret, heard_at = b"", instant_or_none(row.heard_at)
    if kind is not Kind.ODOO:
        try:
            secret = keys.unseal(row.key_id, bytes(row.secret), *_about(loaded.id, register_id))
        except SealBroken:
            raise RegisterUnknown() from None
    return Opened(register_id, kind, row.register_name, loaded, row.key_id, secret, heard_at)


def knows_token(keys: ServerKeys, register: Opened, token: str) -> bool:
    """Whether a token is the one in an Odoo register's address; takes as long either way."""
    wanted = keys.register_token(register.loaded.id, register.id, key_id=register.key_id)
    return hmac.compare_digest(wanted.encode(), token.encode("utf-8", "surrogatepass"))


def as_lines(pairs: Mapping[str, str]) -> str:
    """A list as it is typed."""
    return "\n".join(f"{theirs} = {ours}" for theirs, ours in pairs.items())


def _places(rules: Programme, locations: str, categories: str) -> Places:
    shops = {shop.key for shop in rules.shops}
    return Places(
        _pairs(locations, shops),
        {theirs.casefold(): ours for theirs, ours in _pairs(categories, rules.categories).items()},
    )


def _pairs(text: str, known: frozenset[str] | set[str]) -> dict[str, str]:
    lines = [line.strip() for line in text.splitlines()]
    if len(text) > LIST_LETTERS_MAX or len(lines) > LIST_LINES_MAX:
        raise RegisterListInvalid(line="…")
    pairs = {}
    for line in lines:
        if not line or line.startswith("#"):
            continue
        theirs, sign, ours = (part.strip() for part in line.rpartition("="))
        if not sign or not theirs or ours not in known or not line.isprintable():
            raise RegisterListInvalid(line=cleaned(line, 60))
        pairs[theirs] = ours
    return pairs


def _about(programme_id: int, register_id: int) -> tuple[str, ...]:
    return ("register", str(programme_id), str(register_id))


def _register(row: Row) -> Register:
    return Register(
        id=row.id,
        kind=Kind(row.kind),
        name=row.name,
        places=Places.from_json(row.places),
        created_at=instant(row.created_at),
        removed_at=instant_or_none(row.revoked_at),
        heard_at=instant_or_none(row.heard_at),
        waiting=row.waiting,
        programme_id=row.programme_id,
        key_id=row.key_id,
    )


NATURES = tuple(nature.value for nature in Nature if nature is not Nature.GOODS)
"""Categories that a register itself tells apart; a list may name them too."""
