"""Signatures on both ways: the issuer's RS256 tokens are checked here, callbacks are signed here.

Sources: RFC 7515, RFC 7523 and Google's page on service accounts for tokens;
for callbacks Google's page on saves and deletions and the ECv2SigningOnly
protocol of Tink's payment method tokens.
"""

from __future__ import annotations

import base64
import binascii
import json
import secrets
import struct
from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from typing import Any, TypeGuard, cast

from cryptography.exceptions import InvalidSignature
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec, padding, rsa

GRANT_TYPE = "urn:ietf:params:oauth:grant-type:jwt-bearer"
SCOPE = "https://www.googleapis.com/auth/wallet_object.issuer"
TOKEN_ADDRESS = "https://oauth2.googleapis.com/token"
SENDER = "GooglePayPasses"
PROTOCOL = "ECv2SigningOnly"

_CLOCK_SKEW = timedelta(minutes=5)
_ASSERTION_LIFE_MAX = timedelta(hours=1)
_INTERMEDIATE_LIFE = timedelta(days=7)
_MESSAGE_LIFE = timedelta(hours=1)
_TIMES = (
    "Invalid JWT: Token must be a short-lived token (60 minutes) and in a reasonable timeframe. "
    "Check your iat and exp values in the JWT claim."
)
# The names a save link's payload may use; this emulator creates the first two.
_PAYLOAD = frozenset(
    {"loyaltyClasses", "loyaltyObjects"}
    | {f"{one}{many}" for one in ("offer", "giftCard", "generic") for many in ("Classes", "Objects")}
    | {f"{one}{many}" for one in ("eventTicket", "flight", "transit") for many in ("Classes", "Objects")}
)


@dataclass(eq=False)
class TokenRefused(Exception):
    """A signed token that is not believed: OAuth's error code, and words for a person."""

    error: str
    words: str

    def __str__(self) -> str:
        return self.words


class ServiceAccounts:
    """Who may speak for the issuer: public keys by e-mail address. Raises ValueError if one is not RSA."""

    def __init__(self, public_keys: Mapping[str, bytes]) -> None:
        self._keys: dict[str, rsa.RSAPublicKey] = {}
        for email, pem in public_keys.items():
            key = serialization.load_pem_public_key(pem)
            if not isinstance(key, rsa.RSAPublicKey):
                raise ValueError(f"{email} needs an RSA key.")
            self._keys[email] = key

    def check_assertion(self, assertion: str, *, audiences: frozenset[str], now: datetime) -> str:
        """The account that asks for an access token (RFC 7523). Raises TokenRefused."""
        claims = self._open(assertion)
        if str(claims.get("aud")) not in audiences:
            raise TokenRefused(
                "invalid_grant",
                f"Invalid JWT: Failed audience check. The right audience is {TOKEN_ADDRESS}",
            )
        issued, expires = claims.get("iat"), claims.get("exp")
        if not _is_number(issued) or not _is_number(expires):
            raise TokenRefused("invalid_grant", _TIMES)
        at, skew = now.timestamp(), _CLOCK_SKEW.total_seconds()
        life = expires - issued
        if issued > at + skew or expires < at or not 0 < life <= _ASSERTION_LIFE_MAX.total_seconds():
            raise TokenRefused("invalid_grant", _TIMES)
        if SCOPE not in str(claims.get("scope", "")).split():
            raise TokenRefused("invalid_scope", "Invalid OAuth scope or ID token audience provided.")
        return str(claims["iss"])

    def check_save(self, token: str, *, now: datetime) -> dict[str, list[Any]]:
        """The payload of an "Add to Google Wallet" link. Raises TokenRefused."""
        claims = self._open(token)
        if claims.get("aud") != "google":
            raise TokenRefused("invalid_request", "aud must be google.")
        if claims.get("typ") != "savetowallet":
            raise TokenRefused("invalid_request", "typ must be the claim savetowallet.")
        issued = claims.get("iat")
        if not isinstance(issued, int) or isinstance(issued, bool):
            raise TokenRefused("invalid_request", "iat must be whole seconds.")
        if issued > now.timestamp() + _CLOCK_SKEW.total_seconds():
            raise TokenRefused("invalid_request", "iat lies in the future.")
        expires = claims.get("exp")
        if expires is not None and not (_is_number(expires) and expires > now.timestamp()):
            raise TokenRefused("invalid_request", "The link has expired.")
        origins = claims.get("origins", [])
        if not isinstance(origins, list) or not all(isinstance(one, str) for one in origins):
            raise TokenRefused("invalid_request", "origins must be a list of addresses.")
        payload = claims.get("payload")
        if not isinstance(payload, dict) or not payload or not set(payload) <= _PAYLOAD:
            raise TokenRefused("invalid_request", "payload must hold lists of classes or objects.")
        if not all(isinstance(many, list) for many in payload.values()):
            raise TokenRefused("invalid_request", "payload must hold lists of classes or objects.")
        return payload

    def _open(self, token: str) -> dict[str, Any]:
        """The claims of a token that an account has signed with RS256."""
        try:
            head, body, signature = token.split(".")
            header, claims = json.loads(_base64url(head)), json.loads(_base64url(body))
            raw = _base64url(signature)
        except (ValueError, binascii.Error) as error:
            raise TokenRefused("invalid_grant", "Invalid JWT: it cannot be read.") from error
        if not isinstance(header, dict) or not isinstance(claims, dict):
            raise TokenRefused("invalid_grant", "Invalid JWT: it cannot be read.")
        # Never the header's choice: "none" and HS256 with a public key are old tricks.
        if header.get("alg") != "RS256":
            raise TokenRefused("invalid_grant", "Invalid JWT: the algorithm must be RS256.")
        key = self._keys.get(str(claims.get("iss")))
        if key is None:
            raise TokenRefused("invalid_grant", "Invalid grant: account not found")
        try:
            key.verify(raw, f"{head}.{body}".encode(), padding.PKCS1v15(), hashes.SHA256())
        except InvalidSignature as error:
            raise TokenRefused("invalid_grant", "Invalid JWT Signature.") from error
        return claims


def make_key_file(email: str, token_address: str) -> dict[str, str]:
    """A service account's key file, as Google's console hands it out; its key is new."""
    key = rsa.generate_private_key(public_exponent=65537, key_size=2048)
    pem = key.private_bytes(
        serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption()
    )
    return {
        "type": "service_account",
        "project_id": "emulated",
        "private_key_id": secrets.token_hex(20),
        "private_key": pem.decode(),
        "client_email": email,
        "client_id": str(secrets.randbelow(10**21)),
        "token_uri": token_address,
    }


def public_key_of(key_file: Mapping[str, str]) -> bytes:
    """The public half of a key file, PEM."""
    key = serialization.load_pem_private_key(key_file["private_key"].encode(), None)
    return key.public_key().public_bytes(
        serialization.Encoding.PEM, serialization.PublicFormat.SubjectPublicKeyInfo
    )


@dataclass(frozen=True, slots=True)
class Slips:
    """What may go wrong with a callback; tests ask for one at a time. The defaults are what Google sends.

    `message` and `signed_key` replace or add members of the signed parts, None
    removes one; `changed_after_signing` replaces text in the signed message.
    """

    sender: str = SENDER
    protocol: str = PROTOCOL
    recipient: str | None = None
    signed_by_root: bool = False
    stranger: bool = False
    intermediate_expires: timedelta = _INTERMEDIATE_LIFE
    message_expires: timedelta = _MESSAGE_LIFE
    nonce: str | None = None
    message: Mapping[str, Any] = field(default_factory=dict)
    signed_key: Mapping[str, Any] = field(default_factory=dict)
    changed_after_signing: tuple[str, str] | None = None
    envelope: Mapping[str, Any] = field(default_factory=dict)


class CallbackSigner:
    """Google's root key for callbacks, an intermediate below it, and what they sign."""

    def __init__(self, issuer_id: str, *, root: bytes | None = None) -> None:
        """`root` is the PEM of `root_pem` from an earlier run; without it the key is new."""
        self._issuer_id = issuer_id
        self._root = (
            cast(ec.EllipticCurvePrivateKey, serialization.load_pem_private_key(root, None))
            if root
            else _new_key()
        )
        self._intermediate = _new_key()
        # Keys that a verifier must pass over: another protocol's, and one whose time is up.
        self._decoys = [_spki(_new_key()), _spki(_new_key())]

    @property
    def root_pem(self) -> bytes:
        return self._root.private_bytes(
            serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption()
        )

    def public_keys(self, now: datetime, *, life: timedelta = timedelta(days=365)) -> dict[str, Any]:
        """What the keys' address answers: the root key among others that do not count."""
        another, old = self._decoys

        def entry(key: str, protocol: str, expires: datetime) -> dict[str, str]:
            return {"keyValue": key, "protocolVersion": protocol, "keyExpiration": _millis(expires)}

        return {
            "keys": [
                entry(another, "ECv2", now + life),
                entry(old, PROTOCOL, now - timedelta(days=1)),
                entry(_spki(self._root), PROTOCOL, now + life),
            ]
        }

    def envelope(
        self, class_id: str, object_id: str, event: str, *, now: datetime, slips: Slips | None = None
    ) -> tuple[bytes, str]:
        """A signed callback and its nonce. `event` is "save" or "del"; `slips` spoil it for a test."""
        slips = slips or Slips()
        root = _new_key() if slips.stranger else self._root
        signed_key = _google_json(
            {
                "keyValue": _spki(self._intermediate),
                "keyExpiration": _millis(now + slips.intermediate_expires),
            },
            slips.signed_key,
        )
        nonce = slips.nonce or secrets.token_hex(16)
        message = _google_json(
            {
                "classId": class_id,
                "objectId": object_id,
                "expTimeMillis": int(_millis(now + slips.message_expires)),
                "eventType": event,
                "nonce": nonce,
            },
            slips.message,
        )
        signer = root if slips.signed_by_root else self._intermediate
        signature = _sign(signer, slips.sender, slips.recipient or self._issuer_id, slips.protocol, message)
        if slips.changed_after_signing is not None:
            message = message.replace(*slips.changed_after_signing)
        body = _google_json(
            {
                "signature": signature,
                "intermediateSigningKey": {
                    "signedKey": signed_key,
                    "signatures": [_sign(root, slips.sender, slips.protocol, signed_key)],
                },
                "protocolVersion": slips.protocol,
                "signedMessage": message,
            },
            slips.envelope,
        )
        return body.encode(), nonce


def _google_json(members: dict[str, Any], changes: Mapping[str, Any]) -> str:
    """Compact JSON in which "=" is escaped, as Google's writer does it; None removes a member."""
    changed = {name: value for name, value in (members | dict(changes)).items() if value is not None}
    return json.dumps(changed, separators=(",", ":"), ensure_ascii=False).replace("=", "\\u003d")


def _sign(key: ec.EllipticCurvePrivateKey, *texts: str) -> str:
    """ECDSA over the texts, each after its length in bytes as four bytes, the lowest first."""
    signed = b"".join(struct.pack("<I", len(text.encode())) + text.encode() for text in texts)
    return base64.b64encode(key.sign(signed, ec.ECDSA(hashes.SHA256()))).decode()


def _new_key() -> ec.EllipticCurvePrivateKey:
    return ec.generate_private_key(ec.SECP256R1())


def _spki(key: ec.EllipticCurvePrivateKey) -> str:
    der = key.public_key().public_bytes(
        serialization.Encoding.DER, serialization.PublicFormat.SubjectPublicKeyInfo
    )
    return base64.b64encode(der).decode()


def _millis(moment: datetime) -> str:
    return str(int(moment.astimezone(UTC).timestamp() * 1000))


def _base64url(text: str) -> bytes:
    return base64.b64decode(text + "=" * (-len(text) % 4), altchars=b"-_", validate=True)


def _is_number(value: object) -> TypeGuard[float]:
    return isinstance(value, int | float) and not isinstance(value, bool)
