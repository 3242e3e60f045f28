"""Accounts, documents and signed callbacks for the tests of Google's side."""

from __future__ import annotations

import json
from base64 import b64encode, urlsafe_b64decode
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from functools import cache
from pathlib import Path
from typing import Any

from cryptography.hazmat.primitives.asymmetric import ec, rsa
from cryptography.hazmat.primitives.hashes import SHA256
from cryptography.hazmat.primitives.serialization import (
    Encoding,
    NoEncryption,
    PrivateFormat,
    PublicFormat,
)

from passes.google.account import ServiceAccount
from passes.google.documents import Pictures, loyalty_class, loyalty_object
from passes.google.schema import Document
from passes.language import say
from passes.loyalty.card import CardFace
from tests.apple.cards import face
from tests.loyalty.shops import shop

NOW = datetime(2026, 3, 14, 10, 0, tzinfo=UTC)
ISSUER = "3388000000022222222"
CLASS_ID = f"{ISSUER}.copperfinch"
OBJECT_ID = f"{ISSUER}.c-7Qm2Xw9LkT4"
EMAIL = "wallet@cards-example.iam.gserviceaccount.com"
LOGO = "https://cards.example.org/art/logo-1a2b.png"


def card(shown: CardFace | None = None, **changes: Any) -> Document:
    """The object of Ana's card."""
    arguments: dict[str, Any] = {"object_id": OBJECT_ID, "class_id": CLASS_ID}
    return loyalty_object(shown or face(), **(arguments | changes))


def club(**changes: Any) -> Document:
    """The class of the demonstration café."""
    arguments: dict[str, Any] = {"class_id": CLASS_ID, "pictures": Pictures(LOGO), "say": say}
    return loyalty_class(shop("copperfinch"), **(arguments | changes))


@cache
def account_key() -> rsa.RSAPrivateKey:
    """The key of the service account, made once in a run."""
    return rsa.generate_private_key(public_exponent=65537, key_size=2048)


def pem(key: rsa.RSAPrivateKey | ec.EllipticCurvePrivateKey) -> str:
    return key.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption()).decode()


def account_file(folder: Path, **changes: Any) -> Path:
    """A service account file as Google's console gives it; None takes a member away."""
    content: dict[str, Any] = {
        "type": "service_account",
        "project_id": "cards-example",
        "private_key_id": "0f1e2d3c",
        "private_key": pem(account_key()),
        "client_email": EMAIL,
        "token_uri": "https://oauth2.googleapis.com/token",
    }
    content = {name: value for name, value in (content | changes).items() if value is not None}
    path = folder / "account.json"
    path.write_text(json.dumps(content))
    return path


def account(token_address: str = "https://oauth2.googleapis.com/token") -> ServiceAccount:
    return ServiceAccount(EMAIL, "0f1e2d3c", token_address, account_key())


def parts(token: str) -> tuple[dict[str, Any], dict[str, Any], bytes, bytes]:
    """Header, claims, signature and what was signed, of a JWT."""
    signed, _, signature = token.rpartition(".")
    header, claims = (json.loads(_decoded(part)) for part in signed.split("."))
    return header, claims, _decoded(signature), signed.encode()


def _decoded(part: str) -> bytes:
    return urlsafe_b64decode(part + "=" * (-len(part) % 4))


# Callbacks --------------------------------------------------------------------


@cache
def curve_key(name: str) -> ec.EllipticCurvePrivateKey:
    """A P-256 key of that name."""
    return ec.generate_private_key(ec.SECP256R1())


def public(key: ec.EllipticCurvePrivateKey) -> str:
    der = key.public_key().public_bytes(Encoding.DER, PublicFormat.SubjectPublicKeyInfo)
    return b64encode(der).decode()


def milliseconds(moment: datetime) -> str:
    return str(int(moment.timestamp() * 1000))


def lengths(*values: str) -> bytes:
    """What is signed, written again from the specification."""
    signed = b""
    for value in values:
        raw = value.encode("utf-8")
        signed += bytes((len(raw) & 255, len(raw) >> 8 & 255, len(raw) >> 16 & 255, len(raw) >> 24)) + raw
    return signed


def signature(key: ec.EllipticCurvePrivateKey, *values: str) -> str:
    return b64encode(key.sign(lengths(*values), ec.ECDSA(SHA256()))).decode()


@dataclass(frozen=True, slots=True)
class Call:
    """A callback in the making; every part can be made wrong."""

    sender: str = "GooglePayPasses"
    recipient: str = ISSUER
    protocol: str = "ECv2SigningOnly"
    root: str = "root"
    intermediate: str = "intermediate"
    message_signer: str = "intermediate"
    key_ends: datetime = NOW + timedelta(days=1)
    message: dict[str, Any] = field(default_factory=dict)
    key_extras: dict[str, Any] = field(default_factory=dict)

    def envelope(self) -> dict[str, Any]:
        signed_key = json.dumps(
            {
                "keyValue": public(curve_key(self.intermediate)),
                "keyExpiration": milliseconds(self.key_ends),
                **self.key_extras,
            }
        )
        said = {
            "classId": CLASS_ID,
            "objectId": OBJECT_ID,
            "eventType": "save",
            "expTimeMillis": int(milliseconds(NOW + timedelta(minutes=10))),
            "nonce": "5ab4a1ea-3f3c-4dd1-9c3f-8b8d7d0a1c22",
            **self.message,
        }
        signed_message = json.dumps(
            {name: value for name, value in said.items() if value is not None}, ensure_ascii=False
        )
        return {
            "signature": signature(
                curve_key(self.message_signer), self.sender, self.recipient, self.protocol, signed_message
            ),
            "intermediateSigningKey": {
                "signedKey": signed_key,
                "signatures": [signature(curve_key(self.root), self.sender, self.protocol, signed_key)],
            },
            "protocolVersion": self.protocol,
            "signedMessage": signed_message,
        }

    def body(self) -> bytes:
        return json.dumps(self.envelope(), ensure_ascii=False).encode()


def published(*roots: dict[str, Any]) -> bytes:
    """A list of root keys as Google publishes it."""
    return json.dumps({"keys": list(roots or (root_entry(),))}).encode()


def root_entry(name: str = "root", **changes: Any) -> dict[str, Any]:
    entry = {
        "keyValue": public(curve_key(name)),
        "protocolVersion": "ECv2SigningOnly",
        "keyExpiration": milliseconds(NOW + timedelta(days=1)),
    } | changes
    return {key: value for key, value in entry.items() if value is not None}
