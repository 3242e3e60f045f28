"""The server's own keys, and everything derived from them.

What a pass or a link contains is computed, never stored: an authentication
token from the pass type and serial, a card link from the card, a download
address from the card and its last minute. Rotation adds a key; one that cards
in use name is never taken away.

The file holds a line a key, newest last: `id hexadecimal-secret`.
"""

from __future__ import annotations

import hmac
import os
import secrets
from base64 import urlsafe_b64decode, urlsafe_b64encode
from collections.abc import Mapping
from datetime import UTC, datetime
from pathlib import Path

from cryptography.exceptions import InvalidTag
from cryptography.hazmat.primitives.ciphers.aead import AESGCM

from passes.loyalty.refusals import HandleExpired, LinkUnknown

_SECRET_BYTES = 32
_MAC_BYTES = 18
_NONCE_BYTES = 12
_CLAIM_BYTES = 12

HANDLE = "~"
"""What handles begin with, and no card's code does."""


class ServerKeyMissing(Exception):
    """There is no usable key file where the settings point."""


class SealBroken(Exception):
    """A secret that was given to us cannot be opened."""


class ServerKeys:
    """Named secrets; the last one makes what is new."""

    def __init__(self, secrets_by_id: Mapping[str, bytes]) -> None:
        if not secrets_by_id:
            raise ServerKeyMissing("The server key file holds no key.")
        self._secrets = dict(secrets_by_id)
        self.current_id = next(reversed(self._secrets))

    @classmethod
    def load(cls, path: Path) -> ServerKeys:
        """Read the key file. Raises `ServerKeyMissing` in one plain sentence."""
        try:
            lines = path.read_text("ascii").splitlines()
        except (OSError, UnicodeDecodeError) as error:
            raise ServerKeyMissing(f"The server key file {path} cannot be read.") from error
        try:
            pairs = [line.split() for line in lines if line.strip()]
            loaded = {identifier: bytes.fromhex(secret) for identifier, secret in pairs}
        except ValueError as error:
            raise ServerKeyMissing(f"The server key file {path} is damaged.") from error
        if any(len(secret) < _SECRET_BYTES for secret in loaded.values()):
            raise ServerKeyMissing(f"The server key file {path} holds a key that is too short.")
        return cls(loaded)

    @classmethod
    def create(cls, path: Path) -> ServerKeys:
        """Make a key file with one fresh key, readable by its owner only, unless there is one."""
        path.parent.mkdir(parents=True, exist_ok=True)
        line = f"k1 {secrets.token_hex(_SECRET_BYTES)}\n"
        beside = path.with_name(f"{path.name}.{secrets.token_hex(4)}")
        descriptor = os.open(beside, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
        with os.fdopen(descriptor, "w") as file:
            file.write(line)
        try:
            # A link cannot replace a file: of two that start at once, both use the first one's.
            os.link(beside, path)
        except FileExistsError:
            pass
        finally:
            beside.unlink()
        return cls.load(path)

    def token(self, key_id: str, pass_type: str, serial: str) -> str:
        """The authentication token of a pass: 32 characters, the same for the life of the serial."""
        return _text(self._mac(key_id, "token", pass_type, serial)[:24])

    def link_secret(self, key_id: str, card_id: int, number: int) -> str:
        """The secret in `/card/<secret>`; `number` counts the links a card has had."""
        return _text(self._mac(key_id, "link", str(card_id), str(number))[:24])

    def webhook_secret(self, key_id: str, programme_id: int, webhook_id: int, rotation: int) -> bytes:
        """What signs for a webhook: 32 bytes, others after each rotation."""
        return self._mac(key_id, "webhook", str(programme_id), str(webhook_id), str(rotation))

    def register_token(self, programme_id: int, register_id: int, which: str, *, key_id: str) -> str:
        """What stands in the address at which a register without signatures tells us of its orders.

        `which` is another one each time that the address is changed.
        """
        return _text(self._mac(key_id, "register", str(programme_id), str(register_id), which)[:24])

    def seal(self, secret: bytes, *about: str) -> tuple[str, bytes]:
        """Encrypt what somebody gave us to keep: the key's id, and what may be stored.

        `about` says whose it is; it can be opened under the same words only.
        """
        nonce = os.urandom(_NONCE_BYTES)
        box = AESGCM(self._mac(self.current_id, "seal"))
        return self.current_id, nonce + box.encrypt(nonce, secret, _about(about))

    def unseal(self, key_id: str, sealed: bytes, *about: str) -> bytes:
        """What `seal` encrypted. Raises `SealBroken` where it was changed, or under a lost key."""
        if key_id not in self._secrets:
            raise SealBroken(f"There is no server key {key_id} any more.")
        box = AESGCM(self._mac(key_id, "seal"))
        try:
            return box.decrypt(sealed[:_NONCE_BYTES], sealed[_NONCE_BYTES:], _about(about))
        except (InvalidTag, ValueError):
            raise SealBroken("What was sealed is damaged, or belongs elsewhere.") from None

    def form_proof(self, *parts: str) -> str:
        """A proof that this server made a form's hidden values."""
        return _text(self._mac(self.current_id, "form", *parts)[:_MAC_BYTES])

    def claim_proof(self, programme_id: int, sale_id: int) -> str:
        """What a receipt shows besides its number, so that nobody claims sales by guessing numbers."""
        return self._claim_proof(self.current_id, programme_id, sale_id)

    def is_claim_proof(self, proof: str, programme_id: int, sale_id: int) -> bool:
        """Whether this server wrote that proof, with whichever of its keys: receipts last for days."""
        return any(
            hmac.compare_digest(proof.encode(), self._claim_proof(key_id, programme_id, sale_id).encode())
            for key_id in self._secrets
        )

    def _claim_proof(self, key_id: str, programme_id: int, sale_id: int) -> str:
        return _text(self._mac(key_id, "claim", str(programme_id), str(sale_id))[:_CLAIM_BYTES])

    def download_token(self, programme_id: int, card_id: int, *, expires_at: datetime) -> str:
        """An address part that downloads one card until `expires_at`."""
        return self._lasting("download", programme_id, card_id, expires_at)

    def read_download_token(self, text: str, *, now: datetime) -> tuple[int, int]:
        """Programme and card of a download address. Raises `LinkUnknown` for a forged or expired one."""
        found = self._read_lasting("download", text, now)
        if found is None:
            raise LinkUnknown()
        return found

    def handle(self, programme_id: int, card_id: int, *, expires_at: datetime) -> str:
        """What stands for a card that was found without being there, until `expires_at`."""
        return HANDLE + self._lasting("handle", programme_id, card_id, expires_at)

    def read_handle(self, text: str, *, now: datetime) -> tuple[int, int]:
        """Programme and card of a handle. Raises `HandleExpired` for a forged or expired one."""
        found = self._read_lasting("handle", text.removeprefix(HANDLE), now)
        if found is None:
            raise HandleExpired()
        return found

    def one_time_digits(self, key_id: str, programme_id: int, code_id: int) -> str:
        """The six digits of a one-time code."""
        raw = self._mac(key_id, "one_time", str(programme_id), str(code_id))
        return f"{int.from_bytes(raw[:8], 'big') % 1_000_000:06d}"

    def one_time_hash(self, programme_id: int, member_id: int, digits: str) -> bytes:
        """What is kept of a one-time code: without the key nobody can try all million of them."""
        return self._mac(self.current_id, "one_time_hash", str(programme_id), str(member_id), digits)

    def _lasting(self, purpose: str, programme_id: int, card_id: int, expires_at: datetime) -> str:
        body = (
            programme_id.to_bytes(8, "big")
            + card_id.to_bytes(8, "big")
            + int(expires_at.timestamp()).to_bytes(5, "big")
        )
        return _text(body + self._mac(self.current_id, purpose, body.hex())[:_MAC_BYTES])

    def _read_lasting(self, purpose: str, text: str, now: datetime) -> tuple[int, int] | None:
        try:
            raw = urlsafe_b64decode(text + "=" * (-len(text) % 4))
        except ValueError:
            return None
        if len(raw) != 21 + _MAC_BYTES or _text(raw) != text:
            return None
        body, proof = raw[:21], raw[21:]
        # Minutes-old ones made by the key before the newest still hold.
        if not any(
            hmac.compare_digest(proof, self._mac(key_id, purpose, body.hex())[:_MAC_BYTES])
            for key_id in self._secrets
        ):
            return None
        expires_at = datetime.fromtimestamp(int.from_bytes(body[16:21], "big"), UTC)
        if now >= expires_at:
            return None
        return int.from_bytes(body[:8], "big"), int.from_bytes(body[8:16], "big")

    def _mac(self, key_id: str, purpose: str, *parts: str) -> bytes:
        # Lengths keep ("ab", "c") and ("a", "bc") apart.
        message = "".join(f"{len(part)}:{part}" for part in (purpose, *parts))
        return hmac.digest(self._secrets[key_id], message.encode(), "sha256")


def _text(raw: bytes) -> str:
    return urlsafe_b64encode(raw).rstrip(b"=").decode("ascii")


def _about(parts: tuple[str, ...]) -> bytes:
    # Lengths here too: what is sealed for one may not open for another.
    return "".join(f"{len(part)}:{part}" for part in parts).encode()
