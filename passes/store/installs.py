"""Installs: which phones hold which card, what they were told, and what they are owed.

An install is a `registration` of a device for a card. It is up to date when
`announced_revision` has reached the effective revision, the card's own plus
its programme's. `owed` holds the others, at most one row each; it is derived,
and can be rebuilt at any time.

Every install belongs to one wallet, and each wallet is claimed for by itself:
what waits for one is never in the way of the other. At Google one device
stands for whoever holds the card, and its address is the object's id.

Statements that handle many rows take them as one JSON text, which both engines
unpack into a table named `picked`. The rows are given in the order of their
keys, so that two workers lock them in the same order. CROSS JOIN is SQLite's
word for "in this order", and some indexes are named: it keeps no statistics
and would walk through a whole pass type instead. PostgreSQL decides by itself.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime

import orjson
from sqlalchemy import TextClause, text

from passes.store.cards import Held
from passes.store.ids import block_of_ids, new_id
from passes.store.instants import micros
from passes.store.work import Read, Work

APPLE, GOOGLE = "apple", "google"
"""The wallets, as they stand in the rows."""

ADDED, REMOVED, REFUSED = "added", "removed", "refused"
"""What can happen to a card on phones (`wallet_event`)."""


@dataclass(frozen=True, slots=True)
class _Spoken:
    """One statement as each engine wants it."""

    sqlite: TextClause
    postgresql: TextClause

    def on(self, read: Read) -> TextClause:
        return self.postgresql if read.postgresql else self.sqlite


# The phones of the cards picked, each looked up by its card. PostgreSQL expects
# a hundred picked rows of any list and would rather read the whole table.
_PHONES_ON_SQLITE = "registration r INDEXED BY ix_registration_pass_type_id_card_id"
_PHONES_ON_POSTGRESQL = (
    "LATERAL (SELECT * FROM registration held"
    " WHERE held.pass_type_id = :pass_type_id AND held.card_id = picked.card_id OFFSET 0) AS r"
)
_SQLITE_INDEXES = {
    "by_card": "INDEXED BY ix_registration_pass_type_id_card_id",
    "by_token": "INDEXED BY ix_device_pass_type_id_push_token",
}


def _spoken(sql: str, *, picked: Mapping[str, str] | None = None, lock: str = "") -> _Spoken:
    """A statement with `{picked}` (a table with these columns and types), `{greatest}` and SQLite's indexes.

    `lock` is the locking clause of PostgreSQL; SQLite has one writer and needs none.
    """
    columns = picked or {}
    extracted = ", ".join(f"json_extract(value, '$.{name}') AS {name}" for name in columns)
    typed = ", ".join(f"{name} {kind}" for name, kind in columns.items())
    return _Spoken(
        sqlite=text(
            sql.format(
                picked=f"(SELECT {extracted} FROM json_each(:rows)) AS picked",
                greatest="max",
                phones=_PHONES_ON_SQLITE,
                **_SQLITE_INDEXES,
            )
        ),
        postgresql=text(
            sql.format(
                picked=f"json_to_recordset(CAST(:rows AS json)) AS picked({typed})",
                greatest="greatest",
                phones=_PHONES_ON_POSTGRESQL,
                **dict.fromkeys(_SQLITE_INDEXES, ""),
            )
            + lock
        ),
    )


def _rows(rows: Iterable[Mapping[str, object]]) -> str:
    return orjson.dumps(list(rows)).decode()


# What phones ask ---------------------------------------------------------------

_SERIALS = _spoken("""
    SELECT c.serial, CASE WHEN c.tag > p.tag THEN c.tag ELSE p.tag END AS tag
    FROM pass_type t
    JOIN device d ON d.pass_type_id = t.id AND d.library_id = :library_id AND d.wallet = 'apple'
    JOIN registration r ON r.pass_type_id = d.pass_type_id AND r.device_id = d.id
    JOIN card c ON c.programme_id = r.programme_id AND c.id = r.card_id
    JOIN programme p ON p.id = r.programme_id
    WHERE t.identifier = :pass_type
      -- A number above the counter was never given out, or before a backup was
      -- restored: such a phone starts over.
      AND (c.tag > :since OR p.tag > :since OR :since > t.counter)
""")


@dataclass(frozen=True, slots=True)
class Listed:
    """A card that changed since the tag a phone named; `tag` is the change's own."""

    serial: str
    tag: int


def changed_since(read: Read, *, library_id: str, pass_type: str, since: int | None) -> list[Listed]:
    """The cards on a device that changed after the tag `since`; all of them for None.

    One statement that starts at the device, so that its cost is that of the
    device's cards, however many there are in all.
    """
    answer = read.ask(
        _SERIALS.on(read),
        library_id=library_id,
        pass_type=pass_type,
        since=-1 if since is None else since,
    )
    return [Listed(row.serial, row.tag) for row in answer.all()]


# Registering --------------------------------------------------------------------

_LOCK_CARD = _spoken(
    """
    SELECT c.revision + p.revision AS effective, c.stamped_revision + p.stamped_revision AS stamped,
           c.downloaded_revision
    FROM card c JOIN programme p ON p.id = c.programme_id
    WHERE c.programme_id = :programme_id AND c.id = :card_id
    """,
    lock=" FOR NO KEY UPDATE OF c",
)
_TOKEN_OF_DEVICE = _spoken("""
    SELECT push_token FROM device WHERE pass_type_id = :pass_type_id AND library_id = :library_id
""")
_KEEP_DEVICE = _spoken("""
    INSERT INTO device (pass_type_id, id, library_id, push_token, push_token_at, wallet)
    VALUES (:pass_type_id, :id, :library_id, :push_token, :now, :wallet)
    ON CONFLICT (pass_type_id, library_id)
    DO UPDATE SET push_token = excluded.push_token, push_token_at = excluded.push_token_at
    WHERE device.wallet = excluded.wallet
    RETURNING id
""")
_NEW_ADDRESS = _spoken("""
    UPDATE owed SET due_at = :now, attempts = 0
    WHERE pass_type_id = :pass_type_id AND device_id = :device_id AND attempts > 0
""")
_SAME_PHONE = _spoken(
    """
    SELECT r.device_id, r.announced_revision
    FROM device d {by_token} JOIN registration r ON r.pass_type_id = d.pass_type_id AND r.device_id = d.id
    WHERE d.pass_type_id = :pass_type_id AND d.push_token = :push_token AND d.id <> :device_id
      AND d.wallet = :wallet AND r.card_id = :card_id
    ORDER BY d.id
    """,
    lock=" FOR UPDATE OF d",
)
_REGISTER = _spoken("""
    INSERT INTO registration
        (pass_type_id, device_id, card_id, programme_id, announced_revision, registered_at, wallet)
    VALUES (:pass_type_id, :device_id, :card_id, :programme_id, :announced, :now, :wallet)
    ON CONFLICT (pass_type_id, device_id, card_id) DO NOTHING
    RETURNING card_id
""")
_REGISTERED = _spoken("""
    UPDATE card SET downloaded_revision = CASE WHEN :downloaded THEN 0 ELSE downloaded_revision END,
        changed = (changed OR :changed),
        installed_at = coalesce(installed_at, :now), removed_at = NULL
    WHERE programme_id = :programme_id AND id = :card_id
""")
_OWE_ONE = _spoken("""
    INSERT INTO owed (pass_type_id, device_id, card_id, revision, due_at, lease_until, attempts, wallet)
    VALUES (:pass_type_id, :device_id, :card_id, :revision, :now, 0, 0, :wallet)
    ON CONFLICT (pass_type_id, device_id, card_id) DO NOTHING
""")
_HELD_BY = _spoken("""
    SELECT count(*) FROM (
        SELECT 1 FROM registration WHERE pass_type_id = :pass_type_id AND card_id = :card_id LIMIT :limit
    ) AS counted
""")
_HAPPENED = _spoken("""
    INSERT INTO wallet_event (programme_id, id, card_id, wallet, event, at)
    VALUES (:programme_id, :id, :card_id, :wallet, :event, :now)
""")
_CARDS_HAPPENED = _spoken(
    """
    INSERT INTO wallet_event (programme_id, id, card_id, wallet, event, at)
    SELECT r.programme_id, picked.event_id, picked.pass_id, :wallet, :event, :now
    FROM {picked} CROSS JOIN registration r
    WHERE r.pass_type_id = picked.type_id AND r.device_id = picked.phone_id AND r.card_id = picked.pass_id
    """,
    picked={"type_id": "bigint", "phone_id": "bigint", "pass_id": "bigint", "event_id": "bigint"},
)


def register(
    work: Work,
    held: Held,
    *,
    library_id: str,
    push_token: str,
    now: datetime,
    wallet: str = APPLE,
    announced_revision: int | None = None,
) -> bool:
    """A phone holds the card and can be reached at `push_token`. False when that was known.

    The newest token is kept in any case. Registrations of the same card under
    other device ids with the same token are the same phone's, and go. A new
    registration is told about changes since `announced_revision`, or since the
    download it came from. An id that another wallet uses is left alone: False.
    """
    key = {"pass_type_id": held.pass_type_id, "card_id": held.card_id}
    of_card = {"programme_id": held.programme_id, "card_id": held.card_id}
    at = micros(now)
    # The lock lets one phone at a time register a card: a storm of device ids
    # with one token then sees, and removes, each one's forerunner.
    locked = work.ask(_LOCK_CARD.on(work), **of_card).one()
    assert locked is not None
    address = {"pass_type_id": held.pass_type_id, "library_id": library_id}
    token_before = work.ask(_TOKEN_OF_DEVICE.on(work), **address).value()
    kept = work.ask(
        _KEEP_DEVICE.on(work), **address, id=new_id(now), push_token=push_token, wallet=wallet, now=at
    ).all()
    if not kept:
        return False
    device_id: int = kept[0].id
    if token_before not in (None, push_token):
        work.put(_NEW_ADDRESS.on(work), pass_type_id=held.pass_type_id, device_id=device_id, now=at)

    forerunners = work.ask(
        _SAME_PHONE.on(work), **key, device_id=device_id, push_token=push_token, wallet=wallet
    ).all()
    if announced_revision is None:
        # What one phone was told under its old id needs no telling under the new one.
        announced_revision = max(
            (row.announced_revision for row in forerunners), default=locked.downloaded_revision
        )
    for row in forerunners:
        _unregister(work, held, row.device_id)
    created = bool(
        work.ask(
            _REGISTER.on(work),
            **key,
            programme_id=held.programme_id,
            device_id=device_id,
            announced=announced_revision,
            wallet=wallet,
            now=at,
        ).all()
    )
    if not created:
        return False
    if not forerunners:
        # A phone may ask for the list with a tag that is already above the
        # card's, so the card needs a new one.
        work.put(
            _REGISTERED.on(work),
            **of_card,
            downloaded=wallet == APPLE,
            changed=locked.effective > announced_revision,
            now=at,
        )
        happened(work, held.programme_id, held.card_id, wallet=wallet, event=ADDED, now=now)
    elif locked.stamped > announced_revision:
        work.put(
            _OWE_ONE.on(work), **key, device_id=device_id, revision=locked.stamped, wallet=wallet, now=at
        )
    return True


def happened(work: Work, programme_id: int, card_id: int, *, wallet: str, event: str, now: datetime) -> None:
    """Write into the card's timeline what happened to it on phones."""
    work.put(
        _HAPPENED.on(work),
        programme_id=programme_id,
        id=new_id(now),
        card_id=card_id,
        wallet=wallet,
        event=event,
        now=micros(now),
    )


def cards_happened(work: Work, claims: Sequence[Claim], *, wallet: str, event: str, now: datetime) -> None:
    """As `happened`, for the cards of these claims."""
    if claims:
        rows = _rows(
            {
                "type_id": claim.pass_type_id,
                "phone_id": claim.device_id,
                "pass_id": claim.card_id,
                "event_id": number,
            }
            for claim, number in zip(claims, block_of_ids(now, len(claims)), strict=True)
        )
        work.put(_CARDS_HAPPENED.on(work), rows=rows, wallet=wallet, event=event, now=micros(now))


def phones_of(read: Read, held: Held, *, limit: int) -> int:
    """How many phones hold a card, counted up to `limit`."""
    count: int = read.ask(
        _HELD_BY.on(read), pass_type_id=held.pass_type_id, card_id=held.card_id, limit=limit
    ).value()
    return count


_LOCK_DEVICE = _spoken(
    """
    SELECT id FROM device
    WHERE pass_type_id = :pass_type_id AND library_id = :library_id AND wallet = :wallet
    """,
    lock=" FOR UPDATE",
)
_REMOVED = _spoken("""
    INSERT INTO wallet_event (programme_id, id, card_id, wallet, event, at)
    SELECT programme_id, :id, card_id, wallet, :event, :now FROM registration
    WHERE pass_type_id = :pass_type_id AND device_id = :device_id AND card_id = :card_id
""")
_FORGET_REGISTRATION = _spoken("""
    DELETE FROM registration
    WHERE pass_type_id = :pass_type_id AND device_id = :device_id AND card_id = :card_id
""")
_FORGET_OWED = _spoken("""
    DELETE FROM owed WHERE pass_type_id = :pass_type_id AND device_id = :device_id AND card_id = :card_id
""")
_FORGET_EMPTY_DEVICE = _spoken("""
    DELETE FROM device WHERE pass_type_id = :pass_type_id AND id = :device_id
      AND NOT EXISTS (SELECT 1 FROM registration r
                      WHERE r.pass_type_id = device.pass_type_id AND r.device_id = device.id)
""")


_LAST_PHONE_GONE = _spoken("""
    UPDATE card SET removed_at = :now
    WHERE programme_id = :programme_id AND id = :card_id AND installed_at IS NOT NULL AND removed_at IS NULL
      AND NOT EXISTS (SELECT 1 FROM registration r
                      WHERE r.pass_type_id = card.pass_type_id AND r.card_id = card.id)
""")


def unregister(work: Work, held: Held, *, library_id: str, now: datetime, wallet: str = APPLE) -> None:
    """The phone no longer wants to hear of the card. Harmless when it never did."""
    # Locked first: the next statement then sees every registration of the device.
    row = work.ask(
        _LOCK_DEVICE.on(work), pass_type_id=held.pass_type_id, library_id=library_id, wallet=wallet
    ).one()
    if row is not None:
        work.put(
            _REMOVED.on(work),
            pass_type_id=held.pass_type_id,
            device_id=row.id,
            card_id=held.card_id,
            id=new_id(now),
            event=REMOVED,
            now=micros(now),
        )
        _unregister(work, held, row.id)
        work.put(
            _LAST_PHONE_GONE.on(work), programme_id=held.programme_id, card_id=held.card_id, now=micros(now)
        )


def _unregister(work: Work, held: Held, device_id: int) -> None:
    of_device = {"pass_type_id": held.pass_type_id, "device_id": device_id}
    work.put(_FORGET_REGISTRATION.on(work), **of_device, card_id=held.card_id)
    work.put(_FORGET_OWED.on(work), **of_device, card_id=held.card_id)
    work.put(_FORGET_EMPTY_DEVICE.on(work), **of_device)


# Stamping -----------------------------------------------------------------------

# "The first in the order of the index": asked whether any exists, an engine that
# expects many would look through the table instead.
_WAITING = _spoken("""
    SELECT (SELECT id FROM card WHERE changed ORDER BY pass_type_id, id LIMIT 1) IS NOT NULL
        OR EXISTS (SELECT 1 FROM programme WHERE revision > stamped_revision OR spread_after IS NOT NULL)
        OR coalesce(
            (SELECT due_at FROM owed WHERE wallet = :wallet AND lease_until <= :now
             ORDER BY due_at LIMIT 1) <= :now, false)
""")
_DUE = _spoken("""
    SELECT coalesce(
        (SELECT due_at FROM owed WHERE wallet = :wallet AND lease_until <= :now
         ORDER BY due_at LIMIT 1) <= :now, false)
""")
_PASS_TYPES = _spoken("""
    SELECT t.id FROM pass_type t
    WHERE (SELECT c.id FROM card c WHERE c.pass_type_id = t.id AND c.changed
           ORDER BY c.id LIMIT 1) IS NOT NULL
       OR EXISTS (SELECT 1 FROM programme p WHERE p.pass_type_id = t.id AND p.revision > p.stamped_revision)
    ORDER BY t.id
""")
_COUNT = _spoken("UPDATE pass_type SET counter = counter + 1 WHERE id = :pass_type_id RETURNING counter")
_CHANGED_CARDS = _spoken(
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
_STAMP_CARDS = _spoken(
    """
    UPDATE card SET tag = :tag, stamped_revision = picked.revision, changed = false,
                    pace_full_at = picked.pace_full_at
    FROM {picked} WHERE card.programme_id = picked.programme_id AND card.id = picked.card_id
    """,
    picked=_STAMPED,
)
_STAMP_PROGRAMMES = _spoken("""
    UPDATE programme SET tag = :tag, stamped_revision = revision, spread_after = 0
    WHERE pass_type_id = :pass_type_id AND revision > stamped_revision RETURNING id
""")

# "+ 0" keeps PostgreSQL from walking down the index of instants, past all that
# was paid lately, in search of one phone.
# A phone that is to be left alone for a while is so for every card it holds. An
# install whose announcement is under way is announced again when that is back.
_OWE = """
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
_OWE_STAMPED = _spoken(
    _OWE.format(
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
    rows = _rows(
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

_SPREADING = _spoken(
    """
    SELECT id, pass_type_id, stamped_revision, spread_after FROM programme
    WHERE spread_after IS NOT NULL ORDER BY id LIMIT 1
    """,
    lock=" FOR NO KEY UPDATE SKIP LOCKED",
)
_IS_SPREADING = _spoken("SELECT EXISTS (SELECT 1 FROM programme WHERE spread_after IS NOT NULL)")
_SLICE = _spoken("""
    SELECT max(id) AS last, count(*) AS cards FROM (
        SELECT id FROM card WHERE programme_id = :programme_id AND id > :after ORDER BY id LIMIT :limit
    ) AS slice
""")
_OWE_SLICE = _spoken(
    _OWE.format(
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
_SPREAD_TO = _spoken("UPDATE programme SET spread_after = :last WHERE id = :programme_id")


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


# Claiming -----------------------------------------------------------------------

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
_LONGEST_DUE = _spoken(_DUE_DEVICES.replace("{order}", ""), lock=_LOCK_PHONES)
_LATEST_DUE = _spoken(_DUE_DEVICES.replace("{order}", "DESC"), lock=_LOCK_PHONES)
_LEASE = _spoken(
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
    rows = _rows({"type_id": type_id, "phone_id": phone_id} for type_id, phone_id in sorted(phones))
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


# Settling -----------------------------------------------------------------------

_CLAIMED = {"type_id": "bigint", "phone_id": "bigint", "pass_id": "bigint", "told": "bigint", "at": "bigint"}
_of_picked = "pass_type_id = picked.type_id AND device_id = picked.phone_id AND card_id = picked.pass_id"
_ANNOUNCED = _spoken(
    f"""
    UPDATE registration SET announced_revision = {{greatest}}(announced_revision, picked.told)
    FROM {{picked}} WHERE {_of_picked}
    """,
    picked=_CLAIMED,
)
_PAID = _spoken(
    """
    DELETE FROM owed WHERE (pass_type_id, device_id, card_id, revision) IN
        (SELECT type_id, phone_id, pass_id, told FROM {picked})
    """,
    picked=_CLAIMED,
)
# What is still there has changed while it was announced.
_OWED_MORE = _spoken(
    f"UPDATE owed SET lease_until = 0, attempts = 0 FROM {{picked}} WHERE {_of_picked}", picked=_CLAIMED
)
_POSTPONE = _spoken(
    f"""
    UPDATE owed SET lease_until = 0, attempts = attempts + 1, due_at = picked.at
    FROM {{picked}} WHERE {_of_picked}
    """,
    picked=_CLAIMED,
)
_RELEASE = _spoken(f"UPDATE owed SET lease_until = 0 FROM {{picked}} WHERE {_of_picked}", picked=_CLAIMED)
_GONE = _spoken(
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
    _spoken(
        f"DELETE FROM {table} WHERE (pass_type_id, {column}) IN (SELECT type_id, phone_id FROM {{picked}})",
        picked=_DEVICES,
    )
    for table, column in (("owed", "device_id"), ("registration", "device_id"), ("device", "id"))
)


_CARDS_ON = _spoken(
    """
    SELECT DISTINCT r.programme_id, r.card_id, r.wallet
    FROM {picked} CROSS JOIN registration r
    WHERE r.pass_type_id = picked.type_id AND r.device_id = picked.phone_id
    """,
    picked=_DEVICES,
)
_LAST_PHONES_GONE = _spoken(
    """
    UPDATE card SET removed_at = :now
    WHERE (programme_id, id) IN (SELECT programme, pass_id FROM {picked})
      AND installed_at IS NOT NULL AND removed_at IS NULL
      AND NOT EXISTS (SELECT 1 FROM registration r
                      WHERE r.pass_type_id = card.pass_type_id AND r.card_id = card.id)
    """,
    picked={"programme": "bigint", "pass_id": "bigint"},
)
_LOST = _spoken(
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
        rows = _rows(
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
    rows = _rows(
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
        devices = _rows({"type_id": row.pass_type_id, "phone_id": row.device_id} for row in gone)
        lost = work.ask(_CARDS_ON.on(work), rows=devices).all()
        event_ids = block_of_ids(now, len(lost))
        held = _rows(
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
    return _rows(
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


# Sweeping -----------------------------------------------------------------------

Place = tuple[int, int, int]
"""Pass type, device and card of a registration: where a sweep stands."""

START: Place = (0, 0, 0)

_REGISTRATIONS = _spoken("""
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
_OWE_FORGOTTEN = _spoken(
    _OWE.format(
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
        rows = _rows(
            {"type_id": type_id, "phone_id": phone_id, "pass_id": pass_id}
            for type_id, phone_id, pass_id in places
        )
        work.put(_OWE_FORGOTTEN.on(work), rows=rows, now=micros(now))


# What phones complain about -------------------------------------------------------

_KEEP_LOG = _spoken("INSERT INTO wallet_log (id, at, text) VALUES (:id, :at, :text)")
_TRIM_LOG = _spoken("""
    DELETE FROM wallet_log WHERE id <= (
        SELECT id FROM wallet_log ORDER BY id DESC LIMIT 1 OFFSET :kept
    )
""")
_LOG = _spoken("SELECT at, text FROM wallet_log ORDER BY id DESC LIMIT :limit")


def keep_log(work: Work, texts: Sequence[str], *, now: datetime, kept_max: int) -> None:
    """Append what phones reported, already redacted; the oldest make room beyond `kept_max`."""
    at = micros(now)
    work.put_many(_KEEP_LOG.on(work), [{"id": new_id(now), "at": at, "text": words} for words in texts])
    work.put(_TRIM_LOG.on(work), kept=kept_max)


def newest_log(read: Read, *, limit: int) -> list[tuple[int, str]]:
    """What phones reported, newest first: instants as stored, and words to be escaped when shown."""
    return [(row.at, row.text) for row in read.ask(_LOG.on(read), limit=limit).all()]
