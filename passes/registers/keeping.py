"""Registers of other makers as their owner keeps them: added with a secret, listed, changed, removed.

The secrets of Shopify and Square are given to us: they are encrypted under a key
derived from the server's and opened only to check a signature. Odoo signs
nothing; the token in its address is derived and not stored.
"""

from __future__ import annotations

import hmac
import re
import secrets
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime, timedelta
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
from passes.store import Row, Store, Work, programmes, registers, staff
from passes.store.ids import new_id
from passes.store.instants import instant, instant_or_none
from passes.store.programmes import Loaded

NAME_LETTERS_MAX = 64
LIST_LINES_MAX = 2_000
LIST_LETTERS_MAX = 200_000
ANYWHERE = "*"
"""In a list of locations: all that are not named."""

NATURES = tuple(nature.value for nature in Nature if nature is not Nature.GOODS)
"""Categories that a register itself tells apart; a list may name them too."""
OLD_SECRET_GOOD_FOR = timedelta(hours=1)

_WHICH_BYTES = 8
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
    """A register as its owner sees it; its secret is not shown again, `token` is part of Odoo's address."""

    id: int
    kind: Kind
    name: str
    places: Places
    created_at: datetime
    removed_at: datetime | None
    heard_at: datetime | None
    waiting: int
    token: str | None = field(repr=False)


@dataclass(frozen=True, slots=True)
class Opened:
    """A register in use, as a message arrives at it.

    `secrets` are what its maker may sign with now, `token` what stands in the
    address of a maker that does not sign.
    """

    id: int
    kind: Kind
    name: str
    loaded: Loaded
    heard_at: datetime | None
    secrets: tuple[bytes, ...] = field(repr=False)
    token: str = field(repr=False)


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
    by: int | None = None,
    now: datetime,
) -> int:
    """Let a register tell us of its orders. Its id.

    `locations` and `categories` are lines of `theirs = ours`; `by` is who of the
    staff does it. Raises
    ProgrammeUnknown, NameInvalid, RegisterSecretInvalid, RegisterListInvalid.
    """
    if not (clean := cleaned(name, NAME_LETTERS_MAX)):
        raise NameInvalid(limit=NAME_LETTERS_MAX)
    secret = secret.strip()
    _check(kind, secret)
    register_id = new_id(now)

    def decide(work: Work) -> None:
        loaded = programmes.by_slug(work, programme)
        places = _places(loaded.programme, locations, categories)
        key_id, sealed = _sealed(keys, kind, loaded.id, register_id, [_Secret(secret)])
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
        _note(work, "register.add", loaded.id, register_id, by=by, now=now)

    store.write(decide)
    return register_id


def change(
    store: Store,
    *,
    programme: str,
    register_id: int,
    locations: str | None = None,
    categories: str | None = None,
    by: int | None = None,
    now: datetime,
) -> str:
    """Replace the lists that are given. The register's name. Raises RegisterUnknown, RegisterListInvalid."""

    def decide(work: Work) -> str:
        found = registers.by_id(work, programme, register_id)
        if found is None:
            raise RegisterUnknown()
        row, loaded = found
        old, new = Places.from_json(row.places), _places(loaded.programme, locations or "", categories or "")
        places = Places(
            old.locations if locations is None else new.locations,
            old.categories if categories is None else new.categories,
        )
        registers.change(work, loaded.id, register_id, places=places.as_json())
        _note(work, "register.change", loaded.id, register_id, by=by, now=now)
        name: str = row.register_name
        return name

    return store.write(decide)


def renew(
    store: Store,
    keys: ServerKeys,
    *,
    programme: str,
    register_id: int,
    secret: str = "",
    by: int | None = None,
    now: datetime,
) -> Register:
    """Believe another secret from now on, and the old one for an hour more; at Odoo another address.

    Shopify may sign with the old one for as long (…/webhooks/verify-deliveries).
    An address that got around is good for nothing at once. What the register
    told before stays its own. Raises RegisterUnknown, RegisterSecretInvalid.
    """
    secret = secret.strip()

    def decide(work: Work) -> None:
        found = registers.by_id(work, programme, register_id)
        if found is None:
            raise RegisterUnknown()
        row, loaded = found
        kind = Kind(row.kind)
        _check(kind, secret)
        known = [_Secret(secret)]
        if kind is not Kind.ODOO:
            before = _secrets(keys, row, loaded.id)[0]
            known.append(_Secret(before.text, int((now + OLD_SECRET_GOOD_FOR).timestamp())))
        key_id, sealed = _sealed(keys, kind, loaded.id, register_id, known)
        registers.renew(work, loaded.id, register_id, key_id=key_id, secret=sealed)
        _note(work, "register.renew", loaded.id, register_id, by=by, now=now)

    store.write(decide)
    return one(store, keys, programme=programme, register_id=register_id)


def remove(store: Store, *, programme: str, register_id: int, by: int | None = None, now: datetime) -> str:
    """Listen to a register no longer: its secret is forgotten, what it told stays. Its name.

    Raises RegisterUnknown.
    """

    def decide(work: Work) -> str:
        loaded = programmes.by_slug(work, programme)
        name = registers.revoke(work, loaded.id, register_id, now=now)
        if name is None:
            raise RegisterUnknown()
        _note(work, "register.remove", loaded.id, register_id, by=by, now=now)
        return name

    return store.write(decide)


def every(store: Store, keys: ServerKeys, *, programme: str) -> list[Register]:
    """All registers of a programme, those in use first, then the newest. Raises ProgrammeUnknown."""
    with store.read() as read:
        programme_id = programmes.by_slug(read, programme).id
        rows = registers.every(read, programme_id)
        waiting = registers.count_waiting(read, programme_id)
    return [_register(keys, row, waiting.get(row.id, 0)) for row in rows]


def one(store: Store, keys: ServerKeys, *, programme: str, register_id: int) -> Register:
    """A register in use. Raises RegisterUnknown."""
    for found in every(store, keys, programme=programme):
        if found.id == register_id and found.removed_at is None:
            return found
    raise RegisterUnknown()


def address(public_url: str, programme: str, register: Register) -> str:
    """Where a register is heard. That of Odoo is secret: whoever knows it is believed."""
    found = f"{public_url}/registers/{register.kind}/{programme}/{register.id}"
    return f"{found}/{register.token}" if register.token else found


def opened(
    store: Store, keys: ServerKeys, *, programme: str, kind: Kind, register_id: int, now: datetime
) -> Opened:
    """The register that a message is for. Raises RegisterUnknown, also for one that was removed."""
    if not 0 < register_id < 2**63:
        raise RegisterUnknown()
    with store.read() as read:
        found = registers.by_id(read, programme, register_id)
    if found is None or found[0].kind != kind:
        raise RegisterUnknown()
    row, loaded = found
    try:
        known = _secrets(keys, row, loaded.id)
    except SealBroken:
        raise RegisterUnknown() from None
    return Opened(
        id=register_id,
        kind=kind,
        name=row.register_name,
        loaded=loaded,
        heard_at=instant_or_none(row.heard_at),
        secrets=tuple(one.text.encode() for one in known if one.good_until > now.timestamp()),
        token=_token(keys, row.key_id, loaded.id, register_id, row.secret),
    )


def is_genuine(register: Opened, signed: Callable[[bytes], bool]) -> bool:
    """Whether a message is signed with any of the register's secrets."""
    return any(signed(secret) for secret in register.secrets)


def knows_token(register: Opened, token: str) -> bool:
    """Whether a token is the one in an Odoo register's address; takes as long either way."""
    return hmac.compare_digest(register.token.encode(), token.encode("utf-8", "surrogatepass"))


def as_lines(pairs: Mapping[str, str]) -> str:
    """A list as it is typed."""
    return "\n".join(f"{theirs} = {ours}" for theirs, ours in pairs.items())


def _note(
    work: Work, action: str, programme_id: int, register_id: int, *, by: int | None, now: datetime
) -> None:
    about = f"register {register_id}"
    staff.note(work, action, about=about, staff_id=by, programme_id=programme_id, now=now)


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


def _register(keys: ServerKeys, row: Row, waiting: int) -> Register:
    is_secret = row.kind == Kind.ODOO and row.revoked_at is None
    return Register(
        id=row.id,
        kind=Kind(row.kind),
        name=row.name,
        places=Places.from_json(row.places),
        created_at=instant(row.created_at),
        removed_at=instant_or_none(row.revoked_at),
        heard_at=instant_or_none(row.heard_at),
        waiting=waiting,
        token=_token(keys, row.key_id, row.programme_id, row.id, row.secret) if is_secret else None,
    )


# Secrets ------------------------------------------------------------------------

_FOR_EVER = 2**62


@dataclass(frozen=True, slots=True)
class _Secret:
    """What a maker signs with; `good_until` in seconds since 1970."""

    text: str
    good_until: int = _FOR_EVER


def _check(kind: Kind, secret: str) -> None:
    if kind is not Kind.ODOO and not _SECRET.match(secret):
        raise RegisterSecretInvalid()


def _sealed(
    keys: ServerKeys, kind: Kind, programme_id: int, register_id: int, known: Sequence[_Secret]
) -> tuple[str, bytes]:
    """The key's id, and the secrets as stored; for Odoo a few random bytes that say which token it is."""
    if kind is Kind.ODOO:
        return keys.current_id, secrets.token_bytes(_WHICH_BYTES)
    return keys.seal(orjson.dumps(known), *_about(programme_id, register_id))


def _secrets(keys: ServerKeys, row: Row, programme_id: int) -> list[_Secret]:
    if row.kind == Kind.ODOO:
        return []
    text = keys.unseal(row.key_id, bytes(row.secret), *_about(programme_id, row.register_id))
    return [_Secret(**one) for one in orjson.loads(text)]


def _token(keys: ServerKeys, key_id: str, programme_id: int, register_id: int, which: bytes) -> str:
    return keys.register_token(programme_id, register_id, bytes(which).hex(), key_id=key_id)


def _about(programme_id: int, register_id: int) -> tuple[str, ...]:
    return ("register", str(programme_id), str(register_id))
