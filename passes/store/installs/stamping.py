"""Changed cards get the number that phones see, and whoever holds them is owed it."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime

from passes.store.installs.spoken import picked_rows, spoken
from passes.store.instants import micros
from passes.store.work import Read, Work

# "The first in the order of the index": asked whether any exists, an engine that
# expects many would look through the table instead.
_WAITING = spoken("""
    SELECT (SELECT id FROM card WHERE changed ORDER BY pass_type_id, id LIMIT 1) IS NOT NULL
        OR EXISTS (SELECT 1 FROM programme WHERE revision > stamped_revision OR spread_after IS NOT NULL)
        OR coalesce(
            (SELECT due_at FROM owed WHERE wallet = :wallet AND lease_until <= :now
             ORDER BY due_at LIMIT 1) <= :now, false)
""")
_DUE = spoken("""
    SELECT coalesce(
        (SELECT due_at FROM owed WHERE wallet = :wallet AND lease_until <= :now
         ORDER BY due_at LIMIT 1) <= :now, false)
""")
_PASS_TYPES = spoken("""
    SELECT t.id FROM pass_type t
    WHERE (SELECT c.id FROM card c WHERE c.pass_type_id = t.id AND c.changed
           ORDER BY c.id LIMIT 1) IS NOT NULL
       OR EXISTS (SELECT 1 FROM programme p WHERE p.pass_type_id = t.id AND p.revision > p.stamped_revision)
    ORDER BY t.id
""")
_COUNT = spoken("UPDATE pass_type SET counter = counter + 1 WHERE id = :pass_type_id RETURNING counter")
_CHANGED_CARDS = spoken(
    """
    SELECT c.programme_id, c.id, c.revision, c.pace_full_at,
           (SELECT r.device_id FROM registration r
            WHERE r.pass_type_id = c.pass_type_id AND r.card_id = c.id LIMIT 1) IS NOT NULL AS held
    FROM card c WHERE c.pass_type_id = :pass_type_id AND c.changed
    ORDER BY c.id LIMIT :limit
    """,
    # A card that a checkout is just changing will be stamped with that change.
    lock=" FOR NO KEY UPDATE OF c SKIP LOCKED",
)
_STAMPED = {
    "programme_id": "bigint",
    "card_id": "bigint",
    "revision": "bigint",
    "due_at": "bigint",
    "pace_full_at": "bigint",
}
_STAMP_CARDS = spoken(
    """
    UPDATE card SET tag = :tag, stamped_revision = picked.revision, changed = false,
                    pace_full_at = picked.pace_full_at
    FROM {picked} WHERE card.programme_id = picked.programme_id AND card.id = picked.card_id
    """,
    picked=_STAMPED,
)
_STAMP_PROGRAMMES = spoken("""
    UPDATE programme SET tag = :tag, stamped_revision = revision, spread_after = 0
    WHERE pass_type_id = :pass_type_id AND revision > stamped_revision RETURNING id
""")

# "+ 0" keeps PostgreSQL from walking down the index of instants, past all that
# was paid lately, in search of one phone.
# A phone that is to be left alone for a while is so for every card it holds. An
# install whose announcement is under way is announced again when that is back.
OWE = """
    INSERT INTO owed (pass_type_id, device_id, card_id, revision, due_at, lease_until, attempts, wallet)
    SELECT lagging.pass_type_id, lagging.device_id, lagging.card_id, lagging.revision,
           {{greatest}}(lagging.due_at, coalesce(
               (SELECT max(o.due_at + 0) FROM owed o WHERE o.pass_type_id = lagging.pass_type_id
                AND o.device_id = lagging.device_id AND o.attempts > 0), 0)),
           0, 0, lagging.wallet
    FROM ({lagging}) AS lagging
    WHERE true
    ON CONFLICT (pass_type_id, device_id, card_id) DO UPDATE SET
        revision = {{greatest}}(owed.revision, excluded.revision),
        due_at = CASE WHEN owed.lease_until > :now
                        OR (owed.attempts = 0 AND (excluded.due_at < owed.due_at {fresh}))
                      THEN excluded.due_at ELSE owed.due_at END
"""
_OWE_STAMPED = spoken(
    OWE.format(
        # Behind a change to everybody, which takes Google minutes, a card's own
        # change makes it the latest again.
        fresh="OR (excluded.wallet = 'google' AND excluded.due_at <= :now)",
        lagging="""
        SELECT r.pass_type_id, r.device_id, r.card_id, picked.revision + p.stamped_revision AS revision,
               picked.due_at, r.wallet
        FROM {picked} CROSS JOIN {phones} CROSS JOIN programme p
        WHERE r.pass_type_id = :pass_type_id AND r.card_id = picked.card_id AND p.id = r.programme_id
          AND r.announced_revision < picked.revision + p.stamped_revision
        """,
    ),
    picked=_STAMPED,
)


@dataclass(frozen=True, slots=True)
class ChangedCard:
    """A card that waits for its tag, locked. `held` when at least one phone has it."""

    programme_id: int
    card_id: int
    revision: int
    pace_full_at: int
    held: bool


@dataclass(frozen=True, slots=True)
class Stamp:
    """What stamping writes for one card: instants as stored, in microseconds."""

    programme_id: int
    card_id: int
    revision: int
    due_at: int
    pace_full_at: int


def is_anything_waiting(read: Read, *, wallet: str, now: datetime) -> bool:
    """Whether there is something to stamp, or something due to this wallet's phones.

    Cheap enough to be asked many times a second.
    """
    return bool(read.ask(_WAITING.on(read), wallet=wallet, now=micros(now)).value())


def is_due(read: Read, *, wallet: str, now: datetime) -> bool:
    """Whether something is due to this wallet's phones, as cheap to ask."""
    return bool(read.ask(_DUE.on(read), wallet=wallet, now=micros(now)).value())


def pass_types_to_stamp(read: Read) -> list[int]:
    """The pass types of which a card or a programme waits for its tag."""
    return [row.id for row in read.ask(_PASS_TYPES.on(read)).all()]


def next_tag(work: Work, pass_type_id: int) -> int:
    """The next change number of a pass type.

    The counter's row stays locked until the transaction ends, so numbers
    become visible in their order and no phone can skip one.
    """
    tag: int = work.ask(_COUNT.on(work), pass_type_id=pass_type_id).all()[0].counter
    return tag


def changed_cards(work: Work, pass_type_id: int, *, limit: int) -> list[ChangedCard]:
    """Cards that wait for a tag, oldest first, locked; those locked by others are passed over."""
    rows = work.ask(_CHANGED_CARDS.on(work), pass_type_id=pass_type_id, limit=limit).all()
    return [
        ChangedCard(row.programme_id, row.id, row.revision, row.pace_full_at, bool(row.held)) for row in rows
    ]


def stamp(work: Work, pass_type_id: int, tag: int, stamps: Sequence[Stamp], *, now: datetime) -> None:
    """Give the cards their tag and owe it to every phone that does not know the revision yet."""
    if not stamps:
        return
    rows = picked_rows(
        {
            "programme_id": one.programme_id,
            "card_id": one.card_id,
            "revision": one.revision,
            "due_at": one.due_at,
            "pace_full_at": one.pace_full_at,
        }
        for one in stamps
    )
    work.put(_STAMP_CARDS.on(work), rows=rows, tag=tag)
    work.put(_OWE_STAMPED.on(work), rows=rows, pass_type_id=pass_type_id, now=micros(now))


def stamp_programmes(work: Work, pass_type_id: int, tag: int) -> int:
    """Give changed programmes their tag: all their cards are listed from now on. Returns how many."""
    return len(work.ask(_STAMP_PROGRAMMES.on(work), pass_type_id=pass_type_id, tag=tag).all())


# Spreading a programme's change --------------------------------------------------

_SPREADING = spoken(
    """
    SELECT id, pass_type_id, stamped_revision, spread_after FROM programme
    WHERE spread_after IS NOT NULL ORDER BY id LIMIT 1
    """,
    lock=" FOR NO KEY UPDATE SKIP LOCKED",
)
_IS_SPREADING = spoken("SELECT EXISTS (SELECT 1 FROM programme WHERE spread_after IS NOT NULL)")
_SLICE = spoken("""
    SELECT max(id) AS last, count(*) AS cards FROM (
        SELECT id FROM card WHERE programme_id = :programme_id AND id > :after ORDER BY id LIMIT :limit
    ) AS slice
""")
_OWE_SLICE = spoken(
    OWE.format(
        fresh="",
        lagging="""
        SELECT r.pass_type_id, r.device_id, r.card_id, c.stamped_revision + :stamped AS revision,
               {greatest}(:now, c.pace_full_at - :promised_micros) AS due_at, r.wallet
        FROM (
            SELECT id, pass_type_id, stamped_revision, pace_full_at FROM card
            WHERE programme_id = :programme_id AND id > :after AND id <= :last
            -- Keeps SQLite from looking for the whole range once for each card.
            LIMIT 1000000
        ) AS c CROSS JOIN registration r {by_card}
        WHERE r.pass_type_id = c.pass_type_id AND r.card_id = c.id
          AND r.announced_revision < c.stamped_revision + :stamped
        """,
    )
)
_SPREAD_TO = spoken("UPDATE programme SET spread_after = :last WHERE id = :programme_id")


def is_spreading(read: Read) -> bool:
    """Whether a programme's change is on its way to its cards' phones."""
    return bool(read.ask(_IS_SPREADING.on(read)).value())


def spread(work: Work, *, now: datetime, limit: int, promised_micros: int) -> int:
    """Owe a programme's change to the phones of the next `limit` cards.

    Returns how many cards were looked at.
    A push promised for later (`pace_full_at - promised_micros`) carries this change too.
    """
    found = work.ask(_SPREADING.on(work)).one()
    if found is None:
        return 0
    piece = work.ask(_SLICE.on(work), programme_id=found.id, after=found.spread_after, limit=limit).one()
    assert piece is not None
    if piece.cards:
        work.put(
            _OWE_SLICE.on(work),
            programme_id=found.id,
            after=found.spread_after,
            last=piece.last,
            stamped=found.stamped_revision,
            now=micros(now),
            promised_micros=promised_micros,
        )
    last = piece.last if piece.cards == limit else None
    work.put(_SPREAD_TO.on(work), programme_id=found.id, last=last)
    cards: int = piece.cards
    return cards
