"""An issuer written here, byte by byte: it signs as google-auth does and asks as Google's own client does."""

from __future__ import annotations

import base64
import http.client
import json
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime
from functools import cache
from typing import Any
from urllib.parse import urlencode, urlsplit

from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import padding, rsa

from passes.emulators.google import ISSUER_ID

EMAIL = "till@shop.iam.gserviceaccount.com"
TOKEN_ADDRESS = "https://oauth2.googleapis.com/token"
SCOPE = "https://www.googleapis.com/auth/wallet_object.issuer"
GRANT_TYPE = "urn:ietf:params:oauth:grant-type:jwt-bearer"
CLASS_ID = f"{ISSUER_ID}.club"
CARD_ID = f"{ISSUER_ID}.card-7"


@cache
def key(name: str = "issuer") -> rsa.RSAPrivateKey:
    """A key that lasts as long as the test run."""
    return rsa.generate_private_key(public_exponent=65537, key_size=2048)


def public_pem(name: str = "issuer") -> bytes:
    return (
        key(name)
        .public_key()
        .public_bytes(serialization.Encoding.PEM, serialization.PublicFormat.SubjectPublicKeyInfo)
    )


def signed(
    claims: Mapping[str, Any], *, signer: str = "issuer", header: Mapping[str, Any] | None = None
) -> str:
    """A compact JWS; `header` adds to or replaces what stands in its head."""
    head = {"alg": "RS256", "typ": "JWT", "kid": "1", **(header or {})}
    body = f"{_base64url(json.dumps(head).encode())}.{_base64url(json.dumps(dict(claims)).encode())}"
    return f"{body}.{_base64url(key(signer).sign(body.encode(), padding.PKCS1v15(), hashes.SHA256()))}"


def a_class(**changes: Any) -> dict[str, Any]:
    """A loyalty class; None takes a member away."""
    made = {
        "id": CLASS_ID,
        "issuerName": "Copperfinch",
        "programName": "Finch Club",
        "programLogo": {"sourceUri": {"uri": "https://shop.example/logo.png"}},
        "reviewStatus": "UNDER_REVIEW",
        **changes,
    }
    return {name: value for name, value in made.items() if value is not None}


def a_card(**changes: Any) -> dict[str, Any]:
    """A loyalty object; None takes a member away."""
    made = {
        "id": CARD_ID,
        "classId": CLASS_ID,
        "state": "ACTIVE",
        "accountName": "Ana Solé",
        "accountId": "1007",
        "loyaltyPoints": {"label": "Points", "balance": {"int": 40}},
        "barcode": {"type": "QR_CODE", "value": "7HK2", "alternateText": "7HK2"},
        **changes,
    }
    return {name: value for name, value in made.items() if value is not None}


@dataclass(frozen=True)
class Answer:
    """What came back."""

    status: int
    headers: Mapping[str, str]
    body: bytes

    @property
    def json(self) -> Any:
        return json.loads(self.body)

    @property
    def error(self) -> dict[str, Any]:
        found: dict[str, Any] = self.json["error"]
        assert found["code"] == self.status
        return found


class Issuer:
    """Speaks plain HTTP to an emulator on one connection, which is made again when it was lost."""

    def __init__(self, address: str, now: datetime) -> None:
        self.now = now
        where = urlsplit(address)
        self._connection = http.client.HTTPConnection(where.hostname or "", where.port, timeout=5)
        self.token = ""

    def close(self) -> None:
        self._connection.close()

    def raw(
        self, method: str, path: str, body: bytes | None = None, headers: Mapping[str, str] | None = None
    ) -> Answer:
        """Exactly this request."""
        try:
            self._connection.request(method, path, body, dict(headers or {}))
            response = self._connection.getresponse()
            return Answer(
                response.status,
                {name.lower(): value for name, value in response.getheaders()},
                response.read(),
            )
        except (OSError, http.client.HTTPException):
            self._connection.close()
            raise

    def assertion(
        self, *, signer: str = "issuer", header: Mapping[str, Any] | None = None, **changes: Any
    ) -> str:
        at = int(self.now.timestamp())
        claims = {
            "iss": EMAIL,
            "scope": SCOPE,
            "aud": TOKEN_ADDRESS,
            "iat": at,
            "exp": at + 3600,
            **changes,
        }
        return signed({k: v for k, v in claims.items() if v is not None}, signer=signer, header=header)

    def exchange(self, assertion: str, grant_type: str = GRANT_TYPE) -> Answer:
        form = urlencode({"assertion": assertion, "grant_type": grant_type}).encode()
        return self.raw("POST", "/token", form, {"content-type": "application/x-www-form-urlencoded"})

    def sign_in(self) -> Issuer:
        self.token = self.exchange(self.assertion()).json["access_token"]
        return self

    def call(self, method: str, path: str, body: Any = None, **headers: str) -> Answer:
        """A request to the API as googleapiclient puts it on the wire."""
        sent = {
            "accept": "application/json",
            "accept-encoding": "gzip, deflate",
            "user-agent": "(gzip)",
            "x-goog-api-client": "gdcl/2.202.0 gl-python/3.11",
            "authorization": f"Bearer {self.token}",
            **{name.replace("_", "-"): value for name, value in headers.items()},
        }
        data = None
        if body is not None:
            data = body if isinstance(body, bytes) else json.dumps(body).encode()
            sent["content-type"] = "application/json"
        mark = "&" if "?" in path else "?"
        return self.raw(method, f"/walletobjects/v1/{path}{mark}alt=json", data, sent)

    def insert(self, card_class: dict[str, Any] | None = None, card: dict[str, Any] | None = None) -> None:
        """A class, and an object of it, that are taken."""
        for path, one in (("loyaltyClass", card_class or a_class()), ("loyaltyObject", card or a_card())):
            answer = self.call("POST", path, one)
            assert answer.status == 200, answer.body

    def token_for(self, *objects: dict[str, Any], signer: str = "issuer", **changes: Any) -> str:
        """The token of a save link."""
        claims = {
            "iss": EMAIL,
            "aud": "google",
            "typ": "savetowallet",
            "iat": int(self.now.timestamp()),
            "origins": ["http://127.0.0.1:8000"],
            "payload": {"loyaltyObjects": list(objects) or [{"id": CARD_ID, "classId": CLASS_ID}]},
            **changes,
        }
        header = claims.pop("header", None)
        return signed({k: v for k, v in claims.items() if v is not None}, signer=signer, header=header)


def _base64url(raw: bytes) -> str:
    return base64.urlsafe_b64encode(raw).rstrip(b"=").decode()
