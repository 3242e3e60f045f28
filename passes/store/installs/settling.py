"""What became of an announcement: taken, later, released, or the phone is gone."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime

from passes.store.ids import block_of_ids
from passes.store.installs.claiming import Claim
from passes.store.installs.spoken import picked_rows, spoken
from passes.store.installs.timeline import REMOVED
from passes.store.instants import micros
from passes.store.work import Work

_CLAIMED = {"type_id": "bigint", "phone_id": "bigint", "pass_id": "bigint", "told": "bigint", "at": "bigint"}
_of_picked = "pass_type_id = picked.type_id AND device_id = picked.phone_id AND card_id = picked.pass_id"
_ANNOUNCED = spoken(
    f"""
    UPDATE registration SET announced_revision = {{greatest}}(announced_revision, picked.told)
    FROM {{picked}} WHERE {_of_picked}
    """,
    picked=_CLAIMED,
)
_PAID = spoken(
    """
    DELETE FROM owed WHERE (pass_type_id, device_id, card_id, revision) IN
        (SELECT type_id, phone_id, pass_id, told FROM {picked})
    """,
    picked=_CLAIMED,
)
# What is still there has changed while it was announced.
_OWED_MORE = spoken(
    f"UPDATE owed SET lease_until = 0, attempts = 0 FROM {{picked}} WHERE {_of_picked}", picked=_CLAIMED
)
_POSTPONE = spoken(
    f"""
    UPDATE owed SET lease_until = 0, attempts = attempts + 1, due_at = picked.at
    FROM {{picked}} WHERE {_of_picked}
    """,
    picked=_CLAIMED,
)
_RELEASE = spoken(f"UPDATE owed SET lease_until = 0 FROM {{picked}} WHERE {_of_picked}", picked=_CLAIMED)
_GONE = spoken(
    """
    SELECT d.pass_type_id, d.id AS device_id
    FROM {picked} CROSS JOIN device d {by_token}
    WHERE d.pass_type_id = picked.type_id AND d.push_token = picked.token AND d.push_token_at <= picked.at
    """,
    picked={"type_id": "bigint", "token": "text", "at": "bigint"},
    lock=" FOR UPDATE OF d",
)
_DEVICES = {"type_id": "bigint", "phone_id": "bigint"}
_FORGET = tuple(
    spoken(
        f"DELETE FROM {table} WHERE (pass_type_id, {column}) IN (SELECT type_id, phone_id FROM {{picked}})",
        picked=_DEVICES,
    )
    for table, column in (("owed", "device_id"), ("registration", "device_id"), ("device", "id"))
)


_CARDS_ON = spoken(
    """
    SELECT DISTINCT r.programme_id, r.card_id, r.wallet
    FROM {picked} CROSS JOIN registration r
    WHERE r.pass_type_id = picked.type_id AND r.device_id = picked.phone_id
    """,
    picked=_DEVICES,
)
_LAST_PHONES_GONE = spoken(
    """
    UPDATE card SET removed_at = :now
    WHERE (programme_id, id) IN (SELECT programme, pass_id FROM {picked})
      AND installed_at IS NOT NULL AND removed_at IS NULL
      AND NOT EXISTS (SELECT 1 FROM registration r
                      WHERE r.pass_type_id = card.pass_type_id AND r.card_id = card.id)
    """,
    picked={"programme": "bigint", "pass_id": "bigint"},
)
_LOST = spoken(
    """
    INSERT INTO wallet_event (programme_id, id, card_id, wallet, event, at)
    SELECT programme, event_id, pass_id, wallet, :event, :now FROM {picked}
    """,
    picked={"programme": "bigint", "event_id": "bigint", "pass_id": "bigint", "wallet": "text"},
)


def settle_accepted(work: Work, claims: Sequence[Claim]) -> None:
    """These installs were told. Whatever changed meanwhile stays owed."""
    if claims:
        rows = _claimed(claims)
        for statement in (_ANNOUNCED, _PAID, _OWED_MORE):
            work.put(statement.on(work), rows=rows)


def postpone(work: Work, claims: Sequence[tuple[Claim, datetime]]) -> None:
    """Try these again, each not before its instant."""
    if claims:
        rows = picked_rows(
            {
                "type_id": claim.pass_type_id,
                "phone_id": claim.device_id,
                "pass_id": claim.card_id,
                "at": micros(at),
            }
            for claim, at in sorted(claims, key=lambda pair: _key(pair[0]))
        )
        work.put(_POSTPONE.on(work), rows=rows)


def release(work: Work, claims: Sequence[Claim]) -> None:
    """Give claims back untried."""
    if claims:
        work.put(_RELEASE.on(work), rows=_claimed(claims))


@dataclass(frozen=True, slots=True)
class DeadToken:
    """A push token that no longer exists; devices that confirmed it after `since` are kept."""

    pass_type_id: int
    push_token: str
    since: datetime


def remove_devices(work: Work, dead: Sequence[DeadToken], *, now: datetime) -> int:
    """Forget the devices behind dead tokens with all they hold. Returns how many there were."""
    if not dead:
        return 0
    rows = picked_rows(
        {
            "type_id": one.pass_type_id,
            "token": one.push_token,
            # The service's instants are whole milliseconds.
            "at": micros(one.since) // 1000 * 1000 + 999,
        }
        for one in sorted(dead, key=lambda one: (one.pass_type_id, one.push_token))
    )
    gone = work.ask(_GONE.on(work), rows=rows).all()
    if gone:
        devices = picked_rows({"type_id": row.pass_type_id, "phone_id": row.device_id} for row in gone)
        lost = work.ask(_CARDS_ON.on(work), rows=devices).all()
        event_ids = block_of_ids(now, len(lost))
        held = picked_rows(
            {
                "programme": row.programme_id,
                "pass_id": row.card_id,
                "wallet": row.wallet,
                "event_id": event_id,
            }
            for row, event_id in zip(lost, event_ids, strict=True)
        )
        for statement in _FORGET:
            work.put(statement.on(work), rows=devices)
        work.put(_LAST_PHONES_GONE.on(work), rows=held, now=micros(now))
        work.put(_LOST.on(work), rows=held, event=REMOVED, now=micros(now))
    return len(gone)


def _claimed(claims: Sequence[Claim]) -> str:
    return picked_rows(
        {
            "type_id": claim.pass_type_id,
            "phone_id": claim.device_id,
            "pass_id": claim.card_id,
            "told": claim.revision,
        }
        for claim in sorted(claims, key=_key)
    )


def _key(claim: Claim) -> tuple[int, int, int]:
    return claim.pass_type_id, claim.device_id, claim.card_id
