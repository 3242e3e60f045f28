"""The service account: its file, what it signs, and the token that it is given.

Source: Google, "Using OAuth 2.0 for Server to Server Applications".
"""

from __future__ import annotations

import os
import re
import secrets
from base64 import urlsafe_b64encode
from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from pathlib import Path
from typing import Any

import orjson
from cryptography.exceptions import UnsupportedAlgorithm
from cryptography.hazmat.primitives.asymmetric.padding import PKCS1v15
from cryptography.hazmat.primitives.asymmetric.rsa import RSAPrivateKey, generate_private_key
from cryptography.hazmat.primitives.hashes import SHA256
from cryptography.hazmat.primitives.serialization import (
    Encoding,
    NoEncryption,
    PrivateFormat,
    load_pem_private_key,
)

from passes.google.addresses import AddressInvalid, checked

SCOPE = "https://www.googleapis.com/auth/wallet_object.issuer"
GRANT_TYPE = "urn:ietf:params:oauth:grant-type:jwt-bearer"
ASSERTION_LIFE = timedelta(minutes=10)  # Google takes up to an hour
RENEW_BEFORE = timedelta(minutes=2)
KEY_BITS_MIN = 2048
FILE_BYTES_MAX = 64 * 1024

_EMAIL = re.compile(r"[^\s@\x00-\x1f]+@[^\s@\x00-\x1f]+")


class AccountUnusable(Exception):
    """The service account file cannot be used; the text is one plain sentence for a person."""


@dataclass(frozen=True, slots=True)
class ServiceAccount:
    """Who signs: `email` is invited in Google's console, `token_address` exchanges assertions."""

    email: str
    key_id: str
    token_address: str
    key: RSAPrivateKey = field(repr=False)

    @classmethod
    def load(cls, path: Path) -> ServiceAccount:
        """Read the JSON key file of Google's console. Raises AccountUnusable."""
        name = f"The service account file {path}"
        try:
            with path.open("rb") as file:
                raw = file.read(FILE_BYTES_MAX + 1)
        except OSError as error:
            raise AccountUnusable(f"{name} cannot be read: {error.strerror}.") from None
        try:
            content = orjson.loads(raw)
        except orjson.JSONDecodeError:
            # Neither the text nor the place: both would quote the key.
            raise AccountUnusable(f"{name} is not JSON: download it again from Google's console.") from None
        if not isinstance(content, dict) or content.get("type") != "service_account":
            raise AccountUnusable(f"{name} is not the key of a service account.")
        values = {
            key: content.get(key) for key in ("client_email", "private_key_id", "private_key", "token_uri")
        }
        for key, value in values.items():
            if not isinstance(value, str) or not value:
                raise AccountUnusable(f"{name} lacks {key}.")
        if not _EMAIL.fullmatch(str(values["client_email"])):
            raise AccountUnusable(f"{name} has no e-mail address in client_email.")
        try:
            address = checked(str(values["token_uri"]))
        except AddressInvalid:
            raise AccountUnusable(f"{name} names a token_uri that is not https.") from None
        return cls(
            email=str(values["client_email"]),
            key_id=str(values["private_key_id"]),
            token_address=address,
            key=_key(str(values["private_key"]), name),
        )

    def sign(self, claims: Mapping[str, Any]) -> str:
        """A JWT with these claims, signed with RS256 (RFC 7515, RFC 7518)."""
        header = {"alg": "RS256", "typ": "JWT", "kid": self.key_id}
        signed = f"{_part(orjson.dumps(header))}.{_part(orjson.dumps(dict(claims)))}"
        return f"{signed}.{_part(self.key.sign(signed.encode('ascii'), PKCS1v15(), SHA256()))}"

    def assertion(self, *, audience: str, now: datetime) -> str:
        """What is exchanged for an access token at `audience`, the token address itself."""
        issued = int(now.timestamp())
        return self.sign(
            {
                "iss": self.email,
                "scope": SCOPE,
                "aud": audience,
                "iat": issued,
                "exp": issued + int(ASSERTION_LIFE.total_seconds()),
            }
        )


@dataclass(frozen=True, slots=True)
class AccessToken:
    """What opens the API until `expires_at`."""

    value: str = field(repr=False)
    expires_at: datetime

    def usable(self, now: datetime) -> bool:
        """Whether a request that starts now will still be welcome when it arrives."""
        return now + RENEW_BEFORE < self.expires_at


def token_of(answer: Mapping[str, Any], *, now: datetime) -> AccessToken | None:
    """The token in an answer of the token address; None if there is none that could be used."""
    value, seconds = answer.get("access_token"), answer.get("expires_in")
    if not isinstance(value, str) or not re.fullmatch(r"[\x21-\x7e]{1,4096}", value):
        return None
    if type(seconds) is not int or not 0 < seconds <= 86_400:
        return None
    return AccessToken(value, now + timedelta(seconds=seconds))


def make_development_account(path: Path, *, email: str) -> None:
    """Make the key file of a service account that only the emulator knows, unless there is one.

    Readable by its owner only. Where tokens are had says the setting, since ports change.
    """
    if path.exists():
        return
    path.parent.mkdir(parents=True, exist_ok=True)
    key = generate_private_key(public_exponent=65537, key_size=KEY_BITS_MIN)
    pem = key.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption()).decode("ascii")
    content = {
        "type": "service_account",
        "project_id": "emulated",
        "private_key_id": secrets.token_hex(20),
        "private_key": pem,
        "client_email": email,
        "token_uri": "http://127.0.0.1/token",
    }
    beside = path.with_name(f"{path.name}.{secrets.token_hex(4)}")
    descriptor = os.open(beside, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
    with os.fdopen(descriptor, "wb") as file:
        file.write(orjson.dumps(content))
    try:
        # A link cannot replace a file: of two that start at once, both use the first one's.
        os.link(beside, path)
    except FileExistsError:
        pass
    finally:
        beside.unlink()


def _key(pem: str, name: str) -> RSAPrivateKey:
    try:
        key = load_pem_private_key(pem.encode(), password=None)
    except (ValueError, TypeError, UnsupportedAlgorithm):
        # `from None`: the cause may quote the key.
        raise AccountUnusable(f"{name} has a private_key that cannot be read.") from None
    if not isinstance(key, RSAPrivateKey) or key.key_size < KEY_BITS_MIN:
        raise AccountUnusable(f"{name} has a private_key that is not RSA with at least {KEY_BITS_MIN} bits.")
    return key


def _part(raw: bytes) -> str:
    return urlsafe_b64encode(raw).rstrip(b"=").decode("ascii")
