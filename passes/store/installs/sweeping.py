"""Whatever is owed and forgotten is found again from the revisions."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime

from passes.store.installs.spoken import picked_rows, spoken
from passes.store.installs.stamping import OWE
from passes.store.instants import micros
from passes.store.work import Read, Work

Place = tuple[int, int, int]
"""Pass type, device and card of a registration: where a sweep stands."""

START: Place = (0, 0, 0)

_REGISTRATIONS = spoken("""
    SELECT r.pass_type_id, r.device_id, r.card_id,
           r.announced_revision < c.stamped_revision + p.stamped_revision AND o.card_id IS NULL AS forgotten
    FROM (
        SELECT * FROM registration
        WHERE (pass_type_id, device_id, card_id) > (:type_id, :phone_id, :pass_id)
        ORDER BY pass_type_id, device_id, card_id LIMIT :limit
    ) AS r
    JOIN card c ON c.programme_id = r.programme_id AND c.id = r.card_id
    JOIN programme p ON p.id = r.programme_id
    LEFT JOIN owed o
        ON o.pass_type_id = r.pass_type_id AND o.device_id = r.device_id AND o.card_id = r.card_id
    ORDER BY r.pass_type_id, r.device_id, r.card_id
""")
_OWE_FORGOTTEN = spoken(
    OWE.format(
        fresh="",
        lagging="""
        SELECT r.pass_type_id, r.device_id, r.card_id, c.stamped_revision + p.stamped_revision AS revision,
               :now AS due_at, r.wallet
        FROM {picked} CROSS JOIN registration r CROSS JOIN card c CROSS JOIN programme p
        WHERE r.pass_type_id = picked.type_id AND r.device_id = picked.phone_id AND r.card_id = picked.pass_id
          AND c.programme_id = r.programme_id AND c.id = r.card_id AND p.id = r.programme_id
          AND r.announced_revision < c.stamped_revision + p.stamped_revision
        """,
    ),
    picked={"type_id": "bigint", "phone_id": "bigint", "pass_id": "bigint"},
)


def forgotten(read: Read, *, after: Place, limit: int) -> tuple[list[Place], Place | None]:
    """Installs among the next `limit` that lag behind and are owed nothing, and where to go on.

    The place is None after the last registration.
    """
    type_id, phone_id, pass_id = after
    rows = read.ask(
        _REGISTRATIONS.on(read), type_id=type_id, phone_id=phone_id, pass_id=pass_id, limit=limit
    ).all()
    places = [(row.pass_type_id, row.device_id, row.card_id) for row in rows]
    found = [place for place, row in zip(places, rows, strict=True) if row.forgotten]
    return found, places[-1] if len(rows) == limit else None


def owe(work: Work, places: Sequence[Place], *, now: datetime) -> None:
    """Owe these installs whatever they lag behind by."""
    if places:
        rows = picked_rows(
            {"type_id": type_id, "phone_id": phone_id, "pass_id": pass_id}
            for type_id, phone_id, pass_id in places
        )
        work.put(_OWE_FORGOTTEN.on(work), rows=rows, now=micros(now))
