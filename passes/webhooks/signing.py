"""Signatures as the Standard Webhooks specification 1.0.0 has them.

Signed is `{webhook-id}.{webhook-timestamp}.{body}` with HMAC-SHA256; the header
`webhook-signature` lists signatures apart by spaces, each `v1,` and base64.
Secrets are shown as `whsec_` and base64 of 24 to 64 bytes. While a secret is
being changed, both sign: a receiver takes a message that one of them fits.

Source: github.com/standard-webhooks/standard-webhooks, spec/standard-webhooks.md,
"Signature scheme" and "Webhook headers".
"""

from __future__ import annotations

import hmac
from base64 import b64encode
from collections.abc import Mapping, Sequence
from datetime import datetime, timedelta

from passes.server_keys import ServerKeys
from passes.store.webhooks import Webhook

PREFIX = "whsec_"
BOTH_SIGN = timedelta(hours=24)
"""So long the secret before a rotation signs beside the new one."""


def shown(secret: bytes) -> str:
    """A secret as its owner copies it."""
    return PREFIX + b64encode(secret).decode("ascii")


def secrets_of(webhook: Webhook, keys: ServerKeys, *, now: datetime) -> list[bytes]:
    """What signs for a webhook now, the newest first."""
    secrets = [keys.webhook_secret(webhook.key_id, webhook.programme_id, webhook.id, webhook.rotation)]
    rotated_at, before = webhook.rotated_at, webhook.previous_key_id
    if rotated_at is not None and before is not None and now < rotated_at + BOTH_SIGN:
        secrets.append(keys.webhook_secret(before, webhook.programme_id, webhook.id, webhook.rotation - 1))
    return secrets


def headers(message_id: str, body: bytes, secrets: Sequence[bytes], *, now: datetime) -> Mapping[str, str]:
    """The three headers of an attempt; the timestamp is that of the attempt, not of the event."""
    timestamp = str(int(now.timestamp()))
    signed = b".".join((message_id.encode("ascii"), timestamp.encode("ascii"), body))
    signatures = (b64encode(hmac.digest(secret, signed, "sha256")).decode("ascii") for secret in secrets)
    return {
        "webhook-id": message_id,
        "webhook-timestamp": timestamp,
        "webhook-signature": " ".join(f"v1,{one}" for one in signatures),
    }
