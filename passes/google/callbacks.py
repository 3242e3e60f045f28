"""Google tells us that somebody saved or removed a card: who may say so, and what was said.

The message is signed with a key that Google's root keys vouch for, by the
protocol ECv2SigningOnly. Source: Google, "Payment data cryptography for
merchants" and "Use callbacks for saves and deletions".

Everything here is public: signatures are checked, no secret is compared, so
nothing depends on how long a comparison takes.
"""

from __future__ import annotations

import logging
import threading
from base64 import b64decode
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from enum import StrEnum
from typing import Any

import orjson
from cryptography.exceptions import InvalidSignature, UnsupportedAlgorithm
from cryptography.hazmat.primitives.asymmetric.ec import ECDSA, SECP256R1, EllipticCurvePublicKey
from cryptography.hazmat.primitives.hashes import SHA256
from cryptography.hazmat.primitives.serialization import load_der_public_key

from passes.google.ids import ISSUER, belongs_to

log = logging.getLogger(__name__)

SENDER = "GooglePayPasses"
PROTOCOL = "ECv2SigningOnly"
BODY_BYTES_MAX = 16 * 1024
NONCE_CHARACTERS_MAX = 256
SIGNATURES_MAX = 10

KEYS_LIFE_DEFAULT = timedelta(hours=1)
KEYS_LIFE_MIN = timedelta(minutes=1)
FORCED_FETCH_EVERY = timedelta(minutes=1)
FETCH_AGAIN_AFTER = timedelta(seconds=10)
"""How long a failed fetch stands for the next callbacks, so that they need not wait for the same."""

_MEMBERS = {"signature", "intermediateSigningKey", "protocolVersion", "signedMessage"}
_KEY_MEMBERS = {"signedKey", "signatures"}
_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)


class CallbackRefused(Exception):
    """Not said by Google, not to us, or not now. The reason is for our log: answer 4xx without it."""


class KeysUnavailable(Exception):
    """There are no root keys and none can be fetched: answer 503, Google tries again."""


class _UnknownRoot(CallbackRefused):
    """No root key that we hold vouches for the intermediate key; newer ones may."""


class Event(StrEnum):
    """What became of a card in somebody's wallet."""

    SAVE = "save"
    DELETE = "del"


@dataclass(frozen=True, slots=True)
class Callback:
    """What Google said.

    `nonce` makes the message unique: the caller stores it until `expires_at`
    at least, and lets the same one have no second effect. `event` None is one
    that we do not know: log it and answer 200.
    """

    class_id: str
    object_id: str
    event: Event | None
    nonce: str
    expires_at: datetime


@dataclass(frozen=True, slots=True)
class RootKey:
    """A key that vouches for intermediate keys until `expires_at`."""

    key: EllipticCurvePublicKey
    expires_at: datetime


# Checking ---------------------------------------------------------------------


def read_callback(body: bytes, *, issuer_id: str, roots: Sequence[RootKey], now: datetime) -> Callback:
    """The message in a callback's body, once everything about it has been checked.

    `issuer_id` is our own from the settings, never one that the message
    names. Raises CallbackRefused.
    """
    if not ISSUER.fullmatch(issuer_id):
        raise ValueError("the issuer id must be a number")
    if len(body) > BODY_BYTES_MAX:
        raise CallbackRefused("the body is too long")
    envelope = _json(body, "the body")
    if envelope.keys() != _MEMBERS:
        raise CallbackRefused("the body has other members than expected")
    intermediate = envelope["intermediateSigningKey"]
    if not isinstance(intermediate, dict) or intermediate.keys() != _KEY_MEMBERS:
        raise CallbackRefused("the intermediate key has other members than expected")
    if envelope["protocolVersion"] != PROTOCOL:
        raise CallbackRefused("another protocol version")

    # The strings are checked as they came: written anew they might differ in a byte.
    signed_key = _text(intermediate["signedKey"], "signedKey")
    signed_message = _text(envelope["signedMessage"], "signedMessage")
    signatures = intermediate["signatures"]
    if not isinstance(signatures, list) or not 0 < len(signatures) <= SIGNATURES_MAX:
        raise CallbackRefused("the intermediate key has no list of signatures")
    signatures = [_base64(signature, "a signature of the key") for signature in signatures]
    signature = _base64(envelope["signature"], "the signature")

    vouched = lengths_and_values(SENDER, PROTOCOL, signed_key)
    in_force = [root for root in roots if root.expires_at > now]
    if not any(_verifies(root.key, one, vouched) for root in in_force for one in signatures):
        raise _UnknownRoot("no root key in force vouches for the intermediate key")
    key = _json(signed_key.encode(), "signedKey")
    if _instant(key.get("keyExpiration"), "keyExpiration") <= now:
        raise CallbackRefused("the intermediate key has expired")
    public_key = _public_key(key.get("keyValue"))
    if public_key is None:
        raise CallbackRefused("the intermediate key cannot be used")
    if not _verifies(public_key, signature, lengths_and_values(SENDER, issuer_id, PROTOCOL, signed_message)):
        raise CallbackRefused("the message is not signed for this issuer by the intermediate key")

    return _callback(_json(signed_message.encode(), "signedMessage"), issuer_id=issuer_id, now=now)


def _callback(message: Mapping[str, Any], *, issuer_id: str, now: datetime) -> Callback:
    expires_at = _instant(message.get("expTimeMillis"), "expTimeMillis")
    if expires_at <= now:
        raise CallbackRefused("the message has expired")
    class_id, object_id = _text(message.get("classId"), "classId"), _text(message.get("objectId"), "objectId")
    if not belongs_to(issuer_id, class_id) or not belongs_to(issuer_id, object_id):
        raise CallbackRefused("the card belongs to another issuer")
    nonce = _text(message.get("nonce"), "nonce")
    if not 0 < len(nonce) <= NONCE_CHARACTERS_MAX:
        raise CallbackRefused("the nonce is empty or too long")
    event = _text(message.get("eventType"), "eventType")
    known = Event(event) if event in set(Event) else None
    return Callback(class_id, object_id, known, nonce, expires_at)


def lengths_and_values(*texts: str) -> bytes:
    """What is signed: each text in UTF-8 after its length in bytes, four bytes little-endian."""
    encoded = [text.encode() for text in texts]
    return b"".join(len(raw).to_bytes(4, "little") + raw for raw in encoded)


def _verifies(key: EllipticCurvePublicKey, signature: bytes, signed: bytes) -> bool:
    try:
        key.verify(signature, signed, ECDSA(SHA256()))
    except InvalidSignature:
        return False
    return True


def _public_key(text: object) -> EllipticCurvePublicKey | None:
    try:
        key = load_der_public_key(_base64(text, "keyValue"))
    except (CallbackRefused, ValueError, UnsupportedAlgorithm):
        return None
    usable = isinstance(key, EllipticCurvePublicKey) and isinstance(key.curve, SECP256R1)
    return key if usable else None  # type: ignore[return-value]


def _json(raw: bytes, what: str) -> dict[str, Any]:
    try:
        found = orjson.loads(raw)
    except orjson.JSONDecodeError:
        raise CallbackRefused(f"{what} is not JSON") from None
    if not isinstance(found, dict):
        raise CallbackRefused(f"{what} is no JSON object")
    return found


def _text(value: object, what: str) -> str:
    if not isinstance(value, str):
        raise CallbackRefused(f"{what} is no text")
    return value


def _base64(value: object, what: str) -> bytes:
    try:
        return b64decode(_text(value, what), validate=True)
    except ValueError:
        raise CallbackRefused(f"{what} is not base64") from None


def _instant(value: object, what: str) -> datetime:
    """Milliseconds since 1970, as a number or as text."""
    if isinstance(value, str) and value.isascii() and value.isdecimal() and len(value) <= 19:
        value = int(value)
    if type(value) is not int:
        raise CallbackRefused(f"{what} is no number of milliseconds")
    try:
        return _EPOCH + timedelta(milliseconds=value)
    except OverflowError:
        raise CallbackRefused(f"{what} is no moment") from None


# Root keys --------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class Published:
    """What the address of the root keys answered, and for how long it said that holds."""

    body: bytes
    life: timedelta | None


def root_keys(body: bytes) -> tuple[RootKey, ...]:
    """The root keys of our protocol that say when they end. CallbackRefused for anything unreadable."""
    keys = _json(body, "the list of root keys").get("keys")
    if not isinstance(keys, list):
        raise CallbackRefused("the list of root keys has no keys")
    found = []
    for entry in keys:
        if not isinstance(entry, dict) or entry.get("protocolVersion") != PROTOCOL:
            continue
        try:
            expires_at = _instant(entry.get("keyExpiration"), "keyExpiration")
        except CallbackRefused:
            # A key of this protocol without an end is not one of Google's.
            continue
        if (key := _public_key(entry.get("keyValue"))) is not None:
            found.append(RootKey(key, expires_at))
    return tuple(found)


@dataclass(frozen=True, slots=True)
class _Kept:
    """Root keys in hand; replaced as a whole, so that threads never see half of a change."""

    roots: tuple[RootKey, ...]
    renew_at: datetime
    good_until: datetime


class CallbackReader:
    """Checks callbacks against root keys that are fetched now and then.

    `fetch` asks for the keys (`client.fetch_root_keys`); it may raise
    KeysUnavailable. Keys are kept as long as their address says, and never
    past the end of the first that expires; they are fetched again at half
    that time. A message under a key that we do not know may cause a fetch at
    most once a minute, so that forgeries cannot make us ask Google all day.
    Safe for any number of threads.
    """

    def __init__(self, *, issuer_id: str, fetch: Callable[[], Published]) -> None:
        self._issuer_id = issuer_id
        self._fetch = fetch
        self._fetching = threading.Lock()
        self._kept = _Kept((), _EPOCH, _EPOCH)
        self._tried_at = _EPOCH

    def read(self, body: bytes, *, now: datetime) -> Callback:
        """The checked message. Raises CallbackRefused (answer 4xx) or KeysUnavailable (answer 503)."""
        roots = self._current(now)
        try:
            return read_callback(body, issuer_id=self._issuer_id, roots=roots, now=now)
        except _UnknownRoot:
            with self._fetching:
                if self._kept.roots is roots and not self._renewed(now, not_within=FORCED_FETCH_EVERY):
                    raise
                roots = self._kept.roots
        return read_callback(body, issuer_id=self._issuer_id, roots=roots, now=now)

    def _current(self, now: datetime) -> tuple[RootKey, ...]:
        kept = self._kept
        if now < kept.renew_at:
            return kept.roots
        if now < kept.good_until:
            # One thread tries, nobody waits for it, and a failure changes nothing yet.
            if self._fetching.acquire(blocking=False):
                try:
                    self._renewed(now, not_within=FORCED_FETCH_EVERY)
                finally:
                    self._fetching.release()
            return self._kept.roots
        with self._fetching:
            if now >= self._kept.good_until and not self._renewed(now, not_within=FETCH_AGAIN_AFTER):
                raise KeysUnavailable("there are no root keys, and none could be fetched")
            return self._kept.roots

    def _renewed(self, now: datetime, *, not_within: timedelta) -> bool:
        """Fetch the keys, unless that was tried only just now; whether there are new ones."""
        if now < self._tried_at + not_within:
            return False
        self._tried_at = now
        try:
            published = self._fetch()
            found = root_keys(published.body)
        except (KeysUnavailable, CallbackRefused) as trouble:
            log.warning("the keys that sign Google's callbacks could not be fetched: %s", trouble)
            return False
        in_force = tuple(root for root in found if root.expires_at > now)
        if not in_force:
            log.warning("of the keys that sign Google's callbacks none is in force")
            return False
        life = max(published.life if published.life is not None else KEYS_LIFE_DEFAULT, KEYS_LIFE_MIN)
        good_until = min(now + life, *(root.expires_at for root in in_force))
        self._kept = _Kept(in_force, now + (good_until - now) / 2, good_until)
        return True
