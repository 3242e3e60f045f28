"""What phones say and ask: they hold a card, they let go of it, which cards changed since."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime

from passes.store.cards import Held
from passes.store.ids import new_id
from passes.store.installs.spoken import spoken
from passes.store.installs.timeline import ADDED, REMOVED, happened
from passes.store.installs.wallets import APPLE
from passes.store.instants import micros
from passes.store.work import Read, Work

# What phones ask ---------------------------------------------------------------

_SERIALS = spoken("""
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

_LOCK_CARD = spoken(
    """
    SELECT c.revision + p.revision AS effective, c.stamped_revision + p.stamped_revision AS stamped,
           c.downloaded_revision
    FROM card c JOIN programme p ON p.id = c.programme_id
    WHERE c.programme_id = :programme_id AND c.id = :card_id
    """,
    lock=" FOR NO KEY UPDATE OF c",
)
_TOKEN_OF_DEVICE = spoken("""
    SELECT push_token FROM device WHERE pass_type_id = :pass_type_id AND library_id = :library_id
""")
_KEEP_DEVICE = spoken("""
    INSERT INTO device (pass_type_id, id, library_id, push_token, push_token_at, wallet)
    VALUES (:pass_type_id, :id, :library_id, :push_token, :now, :wallet)
    ON CONFLICT (pass_type_id, library_id)
    DO UPDATE SET push_token = excluded.push_token, push_token_at = excluded.push_token_at
    WHERE device.wallet = excluded.wallet
    RETURNING id
""")
_NEW_ADDRESS = spoken("""
    UPDATE owed SET due_at = :now, attempts = 0
    WHERE pass_type_id = :pass_type_id AND device_id = :device_id AND attempts > 0
""")
_SAME_PHONE = spoken(
    """
    SELECT r.device_id, r.announced_revision
    FROM device d {by_token} JOIN registration r ON r.pass_type_id = d.pass_type_id AND r.device_id = d.id
    WHERE d.pass_type_id = :pass_type_id AND d.push_token = :push_token AND d.id <> :device_id
      AND d.wallet = :wallet AND r.card_id = :card_id
    ORDER BY d.id
    """,
    lock=" FOR UPDATE OF d",
)
_REGISTER = spoken("""
    INSERT INTO registration
        (pass_type_id, device_id, card_id, programme_id, announced_revision, registered_at, wallet)
    VALUES (:pass_type_id, :device_id, :card_id, :programme_id, :announced, :now, :wallet)
    ON CONFLICT (pass_type_id, device_id, card_id) DO NOTHING
    RETURNING card_id
""")
_REGISTERED = spoken("""
    UPDATE card SET downloaded_revision = CASE WHEN :downloaded THEN 0 ELSE downloaded_revision END,
        changed = (changed OR :changed),
        installed_at = coalesce(installed_at, :now), removed_at = NULL
    WHERE programme_id = :programme_id AND id = :card_id
""")
_OWE_ONE = spoken("""
    INSERT INTO owed (pass_type_id, device_id, card_id, revision, due_at, lease_until, attempts, wallet)
    VALUES (:pass_type_id, :device_id, :card_id, :revision, :now, 0, 0, :wallet)
    ON CONFLICT (pass_type_id, device_id, card_id) DO NOTHING
""")
_HELD_BY = spoken("""
    SELECT count(*) FROM (
        SELECT 1 FROM registration WHERE pass_type_id = :pass_type_id AND card_id = :card_id LIMIT :limit
    ) AS counted
""")


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


def phones_of(read: Read, held: Held, *, limit: int) -> int:
    """How many phones hold a card, counted up to `limit`."""
    count: int = read.ask(
        _HELD_BY.on(read), pass_type_id=held.pass_type_id, card_id=held.card_id, limit=limit
    ).value()
    return count


_LOCK_DEVICE = spoken(
    """
    SELECT id FROM device
    WHERE pass_type_id = :pass_type_id AND library_id = :library_id AND wallet = :wallet
    """,
    lock=" FOR UPDATE",
)
_REMOVED = spoken("""
    INSERT INTO wallet_event (programme_id, id, card_id, wallet, event, at)
    SELECT programme_id, :id, card_id, wallet, :event, :now FROM registration
    WHERE pass_type_id = :pass_type_id AND device_id = :device_id AND card_id = :card_id
""")
_FORGET_REGISTRATION = spoken("""
    DELETE FROM registration
    WHERE pass_type_id = :pass_type_id AND device_id = :device_id AND card_id = :card_id
""")
_FORGET_OWED = spoken("""
    DELETE FROM owed WHERE pass_type_id = :pass_type_id AND device_id = :device_id AND card_id = :card_id
""")
_FORGET_EMPTY_DEVICE = spoken("""
    DELETE FROM device WHERE pass_type_id = :pass_type_id AND id = :device_id
      AND NOT EXISTS (SELECT 1 FROM registration r
                      WHERE r.pass_type_id = device.pass_type_id AND r.device_id = device.id)
""")


_LAST_PHONE_GONE = spoken("""
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
