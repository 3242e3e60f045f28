"""Signatures of makers: base64 of an HMAC-SHA256 over exactly what was sent."""

from __future__ import annotations

import hmac
from base64 import b64decode


def is_signed(given: str | None, secret: bytes, *parts: bytes) -> bool:
    """Whether `given` is the signature of these bytes under this secret; takes as long either way."""
    if not given or not secret:
        return False
    try:
        shown = b64decode(given, validate=True)
    except ValueError:
        return False
    return hmac.compare_digest(shown, hmac.digest(secret, b"".join(parts), "sha256"))
