"""What is owed is claimed with a lease: by one worker, a phone as a whole."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime

from passes.store.installs.spoken import picked_rows, spoken
from passes.store.installs.wallets import APPLE
from passes.store.instants import micros
from passes.store.work import Work

# All devices with the same push token are one phone: they are claimed together.
_DUE_DEVICES = """
    SELECT phone.pass_type_id, phone.id AS device_id, phone.push_token, t.identifier AS pass_type
    FROM (
        SELECT DISTINCT due.pass_type_id, due.device_id FROM (
            SELECT pass_type_id, device_id FROM owed
            WHERE wallet = :wallet AND due_at <= :now AND lease_until <= :now
            ORDER BY due_at {order} LIMIT :limit
        ) AS due
    ) AS counted
    JOIN device d ON d.pass_type_id = counted.pass_type_id AND d.id = counted.device_id
    JOIN device phone {by_token} ON phone.pass_type_id = d.pass_type_id AND phone.push_token = d.push_token
        AND phone.wallet = :wallet
    JOIN pass_type t ON t.id = phone.pass_type_id
"""
_LOCK_PHONES = " FOR NO KEY UPDATE OF phone SKIP LOCKED"
_LONGEST_DUE = spoken(_DUE_DEVICES.replace("{order}", ""), lock=_LOCK_PHONES)
_LATEST_DUE = spoken(_DUE_DEVICES.replace("{order}", "DESC"), lock=_LOCK_PHONES)
_LEASE = spoken(
    """
    UPDATE owed SET lease_until = :lease_until FROM {picked}
    WHERE pass_type_id = picked.type_id AND device_id = picked.phone_id AND lease_until <= :now
    RETURNING pass_type_id, device_id, card_id, revision, attempts, due_at
    """,
    picked={"type_id": "bigint", "phone_id": "bigint"},
)


@dataclass(frozen=True, slots=True)
class Claim:
    """An install that this worker announces now: `revision` is what it will have been told."""

    pass_type_id: int
    device_id: int
    card_id: int
    revision: int
    attempts: int
    pass_type: str
    push_token: str
    due_at: int


def claim(
    work: Work, *, now: datetime, lease_until: datetime, limit: int, wallet: str = APPLE, latest: int = 0
) -> list[Claim]:
    """Lease what is owed to the phones of the `limit` rows of a wallet that have been due for longest.

    And to those of the `latest` rows that became due last, so that where a
    wallet is slow, somebody at a till need not wait for a change to everybody.
    A phone is claimed whole: one push carries all its changed cards, those
    included that were to wait a little longer.
    """
    at = micros(now)
    devices = work.ask(_LONGEST_DUE.on(work), wallet=wallet, now=at, limit=limit).all()
    if latest:
        devices += work.ask(_LATEST_DUE.on(work), wallet=wallet, now=at, limit=latest).all()
    if not devices:
        return []
    phones = {(row.pass_type_id, row.device_id): row for row in devices}
    rows = picked_rows({"type_id": type_id, "phone_id": phone_id} for type_id, phone_id in sorted(phones))
    leased = work.ask(_LEASE.on(work), rows=rows, now=at, lease_until=micros(lease_until)).all()
    claims = []
    for row in leased:
        phone = phones[row.pass_type_id, row.device_id]
        claims.append(
            Claim(
                row.pass_type_id,
                row.device_id,
                row.card_id,
                row.revision,
                row.attempts,
                phone.pass_type,
                phone.push_token,
                row.due_at,
            )
        )
    return claims
